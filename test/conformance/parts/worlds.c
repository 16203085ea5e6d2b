/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "conformance/conformance.h"

static void make_mem(struct world *world)
{
    check_ok(vrift_mem_new(world->vfs, NULL, &world->sb));
}

static void make_small_mem(struct world *world)
{
    struct vrift_mem_options options = {.size = sizeof options, .max_bytes = 16 * 4096, .max_inodes = 20};
    check_ok(vrift_mem_new(world->vfs, &options, &world->sb));
}

static void make_host_with(struct world *world, uint64_t flags)
{
    struct vrift_host_options options = {.size = sizeof options, .flags = flags};
    if (!world->directory)
        world->directory = temporary_directory();
    check_ok(vrift_host_new(world->vfs, world->directory, &options, &world->sb));
}

static void make_host(struct world *world)
{
    make_host_with(world, 0);
}

static void make_host_by_walk(struct world *world)
{
    make_host_with(world, VRIFT_HOST_NO_OPENAT2);
}

static void make_host_exclusive(struct world *world)
{
    make_host_with(world, VRIFT_HOST_EXCLUSIVE);
}

/* Fills world->directory through a writable superblock of its own. */
static void fill_directory(struct world *world)
{
    struct vrift_capability caps[VRIFT_CAPABILITY_COUNT];
    vrift_sb *sb;
    vrift_ns *ns;
    vrift_task *task;
    world->directory = temporary_directory();
    check_ok(vrift_host_new(world->vfs, world->directory, NULL, &sb));
    for (uint32_t i = 1; i < VRIFT_CAPABILITY_COUNT; i++)
        check_ok(vrift_sb_capability(sb, i, &caps[i]));
    check_ok(vrift_ns_new(world->vfs, sb, 0, &ns));
    check_ok(vrift_task_new(ns, NULL, NULL, &task));
    make_fixture(task, caps);
    vrift_task_free(task);
    vrift_ns_unref(ns);
    vrift_sb_unref(sb);
}

static void make_host_read_only(struct world *world)
{
    fill_directory(world);
    make_host_with(world, VRIFT_HOST_READ_ONLY);
}

const struct kind kinds[] = {
    {"mem", 1, make_mem, make_small_mem},
    {"host", 1, make_host, NULL},
    {"host by walk", 1, make_host_by_walk, NULL},
    {"host exclusive", 1, make_host_exclusive, NULL},
    {"host read-only", 0, make_host_read_only, NULL},
};
const size_t kind_count = sizeof kinds / sizeof *kinds;

struct world *make_world(const struct kind *kind, int small)
{
    struct world *world = calloc(1, sizeof *world);
    struct vrift_task_options options = {.size = sizeof options, .umask = 022};
    assert_non_null(world);
    world->kind = kind;
    check_ok(vrift_vfs_new(NULL, &world->vfs));
    (small ? kind->make_small : kind->make)(world);
    for (uint32_t i = 1; i < VRIFT_CAPABILITY_COUNT; i++)
        check_ok(vrift_sb_capability(world->sb, i, &world->caps[i]));
    check_ok(vrift_ns_new(world->vfs, world->sb, 0, &world->ns));
    check_ok(vrift_task_new(world->ns, NULL, &options, &world->task));
    return world;
}

void free_world(struct world *world)
{
    struct vrift_vfs_stats stats;
    vrift_task_free(world->task);
    check_ok(vrift_vfs_stats(world->vfs, &stats));
    uint64_t open_files = stats.open_files;
    vrift_ns_unref(world->ns);
    vrift_sb_unref(world->sb);
    vrift_vfs_free(world->vfs);
    remove_temporary_directory(world->directory);
    free(world);
    assert_int_equal(open_files, 0);
}

int has(const struct world *world, uint32_t capability)
{
    return world->caps[capability].effective != VRIFT_SUPPORT_NONE;
}

int lacks_at(const struct world *world, uint32_t capability, int64_t result, const char *expression, const char *file,
             int line)
{
    if (has(world, capability))
        return 0;
    check_error_at(world->caps[capability].error, result, expression, file, line);
    return 1;
}
