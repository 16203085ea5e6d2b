/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The kinds: how to make a superblock of each backend. */
#include "conformance/conformance.h"

#include <sys/stat.h>

static void make_mem(struct world *world)
{
    check_ok(vrift_mem_new(world->vfs, NULL, &world->sb));
}

static void make_small_mem(struct world *world)
{
    struct vrift_mem_options options = {.size = sizeof options, .max_bytes = 16 * 4096, .max_inodes = 20};
    check_ok(vrift_mem_new(world->vfs, &options, &world->sb));
}

/* -- The host ------------------------------------------------------------------------------------------------------ */

/* A directory below world->directory, made at need. */
static void subdirectory(struct world *world, const char *name, char *path, size_t size)
{
    if (!world->directory)
        world->directory = temporary_directory();
    snprintf(path, size, "%s/%s", world->directory, name);
    mkdir(path, 0755);
}

static vrift_sb *new_host(struct world *world, const char *name, uint64_t flags)
{
    struct vrift_host_options options = {.size = sizeof options, .flags = flags};
    char path[4096];
    vrift_sb *sb;
    subdirectory(world, name, path, sizeof path);
    check_ok(vrift_host_new(world->vfs, path, &options, &sb));
    return sb;
}

static void make_host(struct world *world)
{
    world->sb = new_host(world, "tree", 0);
}

static void make_host_by_walk(struct world *world)
{
    world->sb = new_host(world, "tree", VRIFT_HOST_NO_OPENAT2);
}

static void make_host_heard(struct world *world)
{
    world->sb = new_host(world, "tree", VRIFT_HOST_NOTIFY);
}

static void make_host_exclusive(struct world *world)
{
    world->sb = new_host(world, "tree", VRIFT_HOST_EXCLUSIVE);
}

static vrift_task *new_task(struct world *world, vrift_sb *sb)
{
    vrift_ns *ns;
    vrift_task *task;
    check_ok(vrift_ns_new(world->vfs, sb, 0, &ns));
    check_ok(vrift_task_new(ns, NULL, NULL, &task));
    vrift_ns_unref(ns);
    return task;
}

static void read_capabilities(vrift_sb *sb, struct vrift_capability *caps)
{
    for (uint32_t i = 1; i < VRIFT_CAPABILITY_COUNT; i++)
        check_ok(vrift_sb_capability(sb, i, &caps[i]));
}

/* Makes the fixture through a superblock that can be written. */
static void fill(struct world *world, vrift_sb *sb, int size)
{
    struct vrift_capability caps[VRIFT_CAPABILITY_COUNT];
    vrift_task *task = new_task(world, sb);
    read_capabilities(sb, caps);
    make_fixture(task, caps, size);
    vrift_task_free(task);
}

static void fill_host(struct world *world, int size)
{
    vrift_sb *sb = new_host(world, "tree", 0);
    fill(world, sb, size);
    vrift_sb_unref(sb);
}

static void make_full_host_read_only(struct world *world, int size)
{
    fill_host(world, size);
    world->sb = new_host(world, "tree", VRIFT_HOST_READ_ONLY);
}

/* -- A snapshot ---------------------------------------------------------------------------------------------------- */

/* Stores the host's "tree" and answers a superblock of its snapshot. */
static vrift_sb *new_cas(struct world *world)
{
    struct vrift_store_options options = {.size = sizeof options, .flags = VRIFT_STORE_CREATE};
    struct vrift_import_result imported;
    char tree[4096];
    char store[4096];
    vrift_sb *sb;
    subdirectory(world, "tree", tree, sizeof tree);
    subdirectory(world, "store", store, sizeof store);
    options.durability = VRIFT_DURABILITY_NONE;
    check_ok(vrift_store_open(store, &options, &world->store));
    check_ok(vrift_import(world->store, tree, NULL, &imported));
    check_ok(vrift_snapshot_open(world->store, &imported.snapshot, &world->snapshot));
    check_ok(vrift_cas_new(world->vfs, world->snapshot, &sb));
    return sb;
}

static void make_full_cas(struct world *world, int size)
{
    fill_host(world, size);
    world->sb = new_cas(world);
}

/* -- Overlays ------------------------------------------------------------------------------------------------------ */

/* The unprivileged may not set "trusted.", so an overlay of theirs keeps its marks in "user.". */
static uint64_t overlay_flags(vrift_sb *upper)
{
    struct vrift_capability trusted;
    check_ok(vrift_sb_capability(upper, VRIFT_CAPABILITY_TRUSTED_XATTRS, &trusted));
    return trusted.effective == VRIFT_SUPPORT_NONE ? VRIFT_OVERLAY_USERXATTR : 0;
}

/* Over world->layers[0], with an upper and a work directory in world->layers[1]. */
static void stack(struct world *world)
{
    vrift_task *task = new_task(world, world->layers[1]);
    check_ok(vrift_mkdirat(task, AT, "/upper", 0755));
    check_ok(vrift_mkdirat(task, AT, "/work", 0755));
    vrift_task_free(task);
    struct vrift_overlay_layer lower = {world->layers[0], NULL};
    struct vrift_overlay_layer upper = {world->layers[1], "/upper"};
    struct vrift_overlay_options options = {.size = sizeof options,
                                            .lower_count = 1,
                                            .lower = &lower,
                                            .upper = &upper,
                                            .work = "/work",
                                            .flags = overlay_flags(world->layers[1])};
    check_ok(vrift_overlay_new(world->vfs, &options, &world->sb));
}

static void make_overlay(struct world *world)
{
    check_ok(vrift_mem_new(world->vfs, NULL, &world->layers[0]));
    check_ok(vrift_mem_new(world->vfs, NULL, &world->layers[1]));
    stack(world);
}

static void make_full_overlay(struct world *world, int size)
{
    check_ok(vrift_mem_new(world->vfs, NULL, &world->layers[0]));
    check_ok(vrift_mem_new(world->vfs, NULL, &world->layers[1]));
    fill(world, world->layers[0], size);
    stack(world);
}

static void make_small_overlay(struct world *world)
{
    struct vrift_mem_options options = {.size = sizeof options, .max_bytes = 16 * 4096, .max_inodes = 20};
    check_ok(vrift_mem_new(world->vfs, NULL, &world->layers[0]));
    check_ok(vrift_mem_new(world->vfs, &options, &world->layers[1]));
    stack(world);
}

static void make_overlay_on_host(struct world *world)
{
    world->layers[0] = new_host(world, "tree", VRIFT_HOST_READ_ONLY);
    world->layers[1] = new_host(world, "changes", 0);
    stack(world);
}

static void make_full_overlay_on_host(struct world *world, int size)
{
    fill_host(world, size);
    make_overlay_on_host(world);
}

static void make_overlay_on_host_heard(struct world *world)
{
    world->layers[0] = new_host(world, "tree", VRIFT_HOST_READ_ONLY);
    world->layers[1] = new_host(world, "changes", VRIFT_HOST_NOTIFY);
    stack(world);
}

static void make_full_overlay_on_host_heard(struct world *world, int size)
{
    fill_host(world, size);
    make_overlay_on_host_heard(world);
}

static void make_overlay_on_snapshot(struct world *world)
{
    world->layers[0] = new_cas(world);
    world->layers[1] = new_host(world, "changes", VRIFT_HOST_EXCLUSIVE);
    stack(world);
}

static void make_full_overlay_on_snapshot(struct world *world, int size)
{
    fill_host(world, size);
    make_overlay_on_snapshot(world);
}

static void make_full_overlay_without_upper(struct world *world, int size)
{
    check_ok(vrift_mem_new(world->vfs, NULL, &world->layers[0]));
    fill(world, world->layers[0], size);
    struct vrift_overlay_layer lower = {world->layers[0], NULL};
    struct vrift_overlay_options options = {.size = sizeof options, .lower_count = 1, .lower = &lower};
    check_ok(vrift_overlay_new(world->vfs, &options, &world->sb));
}

/* -- All ----------------------------------------------------------------------------------------------------------- */

const struct kind kinds[] = {
    {"mem", make_mem, NULL, make_small_mem},
    {"host", make_host, NULL, NULL},
    {"host by walk", make_host_by_walk, NULL, NULL},
    {"host heard", make_host_heard, NULL, NULL},
    {"host exclusive", make_host_exclusive, NULL, NULL},
    {"host read-only", NULL, make_full_host_read_only, NULL},
    {"cas", NULL, make_full_cas, NULL},
    {"overlay", make_overlay, make_full_overlay, make_small_overlay},
    {"overlay on host", make_overlay_on_host, make_full_overlay_on_host, NULL},
    {"overlay on host heard", make_overlay_on_host_heard, make_full_overlay_on_host_heard, NULL},
    {"overlay on snapshot", make_overlay_on_snapshot, make_full_overlay_on_snapshot, NULL},
    {"overlay read-only", NULL, make_full_overlay_without_upper, NULL},
};
const size_t kind_count = sizeof kinds / sizeof *kinds;

static void make_superblock(struct world *world, int contents)
{
    const struct kind *kind = world->kind;
    if (contents == NEARLY_FULL) {
        kind->make_small(world);
    } else if (contents == EMPTY) {
        kind->make(world);
    } else if (kind->make_full) {
        kind->make_full(world, contents);
    } else {
        kind->make(world);
        fill(world, world->sb, contents);
    }
}

struct world *make_world(const struct kind *kind, int contents)
{
    struct world *world = calloc(1, sizeof *world);
    struct vrift_task_options options = {.size = sizeof options, .umask = 022};
    assert_non_null(world);
    world->kind = kind;
    check_ok(vrift_vfs_new(NULL, &world->vfs));
    make_superblock(world, contents);
    read_capabilities(world->sb, world->caps);
    check_ok(vrift_ns_new(world->vfs, world->sb, 0, &world->ns));
    check_ok(vrift_task_new(world->ns, NULL, &options, &world->task));
    return world;
}

void free_world(struct world *world)
{
    struct vrift_vfs_stats stats;
    vrift_task_free(world->task);
    vrift_ns_unref(world->ns);
    vrift_sb_unref(world->sb);
    vrift_sb_unref(world->layers[0]);
    vrift_sb_unref(world->layers[1]);
    vrift_snapshot_unref(world->snapshot);
    vrift_store_close(world->store);
    check_ok(vrift_vfs_stats(world->vfs, &stats));
    vrift_vfs_free(world->vfs);
    remove_temporary_directory(world->directory);
    free(world);
    assert_int_equal(stats.open_files, 0);
    assert_int_equal(stats.inodes, 0);
}

int has(const struct world *world, uint32_t capability)
{
    return world->caps[capability].effective != VRIFT_SUPPORT_NONE;
}

int holds(const struct world *world, uint32_t capability)
{
    return has(world, capability) || world->caps[capability].error == -VRIFT_EROFS;
}

int lacks_at(const struct world *world, uint32_t capability, int64_t result, const char *expression, const char *file,
             int line)
{
    if (has(world, capability))
        return 0;
    check_error_at(world->caps[capability].error, result, expression, file, line);
    return 1;
}
