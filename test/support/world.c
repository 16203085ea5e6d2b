/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/world.h"

#include "support/kernel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
/*
 * Directories are locked in the order of the tree, which renames change: to the sanitizer's guess that is a cycle. The
 * core's own checker (core/lockrank.h), on in debug builds, knows the order. Races are still looked for.
 */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "detect_deadlocks=0";
}
#endif

static pthread_mutex_t count_lock = PTHREAD_MUTEX_INITIALIZER;

static int may_allocate(struct world *world)
{
    pthread_mutex_lock(&count_lock);
    int may = world->allocations_left > 0;
    if (may && world->allocations_left != UINT64_MAX)
        world->allocations_left--;
    if (may)
        world->allocated++;
    pthread_mutex_unlock(&count_lock);
    return may;
}

static void *VRIFT_CALLBACK counted_malloc(size_t size, void *payload)
{
    return may_allocate(payload) ? malloc(size) : NULL;
}

static void *VRIFT_CALLBACK counted_realloc(void *pointer, size_t size, void *payload)
{
    struct world *world = payload;
    if (!may_allocate(world))
        return NULL;
    if (pointer) {
        pthread_mutex_lock(&count_lock);
        world->allocated--;
        pthread_mutex_unlock(&count_lock);
    }
    return realloc(pointer, size);
}

static void VRIFT_CALLBACK counted_free(void *pointer, void *payload)
{
    struct world *world = payload;
    pthread_mutex_lock(&count_lock);
    world->allocated--;
    pthread_mutex_unlock(&count_lock);
    free(pointer);
}

struct world *world_new(const struct vrift_vfs_options *options)
{
    struct world *world = calloc(1, sizeof *world);
    struct vrift_allocator allocator = {.size = sizeof allocator,
                                        .payload = world,
                                        .malloc_fn = counted_malloc,
                                        .realloc_fn = counted_realloc,
                                        .free_fn = counted_free};
    struct vrift_vfs_options own = {.size = sizeof own};
    if (options)
        own = *options;
    if (!own.protect)
        own.protect = kernel_protection();
    own.allocator = &allocator;
    world->allocations_left = UINT64_MAX;
    check_ok(vrift_vfs_new(&own, &world->vfs));
    check_ok(vrift_mem_new(world->vfs, NULL, &world->sb));
    check_ok(vrift_ns_new(world->vfs, world->sb, 0, &world->ns));
    check_ok(vrift_task_new(world->ns, NULL, NULL, &world->task));
    return world;
}

void world_free(struct world *world)
{
    world_fault(world, NULL, 0, 0);
    world->allocations_left = UINT64_MAX;
    vrift_task_free(world->task);
    vrift_ns_unref(world->ns);
    vrift_sb_unref(world->sb);
    vrift_vfs_free(world->vfs);
    assert_int_equal(world->allocated, 0);
    free(world);
}

int32_t world_file(struct world *world, const char *path, const char *content)
{
    int32_t fd = (int32_t)check_ok(
        vrift_openat(world->task, VRIFT_AT_FDCWD, path, VRIFT_O_RDWR | VRIFT_O_CREAT | VRIFT_O_TRUNC, 0644));
    assert_int_equal(vrift_write(world->task, fd, content, strlen(content)), strlen(content));
    check_ok(vrift_close(world->task, fd));
    return 0;
}

void world_expect(struct world *world, const char *path, const char *content)
{
    char buf[4096];
    int32_t fd = (int32_t)check_ok(vrift_openat(world->task, VRIFT_AT_FDCWD, path, VRIFT_O_RDONLY, 0));
    int64_t got = check_ok(vrift_read(world->task, fd, buf, sizeof buf - 1));
    buf[got] = '\0';
    check_ok(vrift_close(world->task, fd));
    assert_string_equal(buf, content);
}

struct vrift_stat world_stat(struct world *world, const char *path)
{
    struct vrift_stat st;
    check_ok(vrift_statat(world->task, VRIFT_AT_FDCWD, path, VRIFT_AT_SYMLINK_NOFOLLOW, &st));
    return st;
}

uint64_t world_backend_calls(struct world *world)
{
    struct vrift_vfs_stats stats;
    check_ok(vrift_vfs_stats(world->vfs, &stats));
    return stats.backend_calls;
}

vrift_cred *world_cred(struct world *world, uint32_t uid, uint32_t gid)
{
    struct vrift_cred_options options = {.size = sizeof options, .uid = uid, .gid = gid};
    vrift_cred *cred;
    check_ok(vrift_cred_new(world->vfs, &options, &cred));
    return cred;
}

static int32_t VRIFT_CALLBACK inject(const char *slot, void *payload)
{
    struct world *world = payload;
    if (!world->fault_error || strcmp(slot, world->fault_slot) != 0)
        return 0;
    if (world->fault_after) {
        world->fault_after--;
        return 0;
    }
    world->fault_hits++;
    return world->fault_error;
}

void world_fault(struct world *world, const char *slot, uint32_t after, int32_t error)
{
    world->fault_slot = slot;
    world->fault_after = after;
    world->fault_error = error;
    world->fault_hits = 0;
    check_ok(vrift_vfs_set_fault(world->vfs, error ? inject : NULL, world));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *world_list(struct world *world, const char *path)
{
    static char text[65536];
    static char *names[4096];
    _Alignas(8) char buf[1024];
    size_t count = 0;
    int64_t got;
    int32_t fd =
        (int32_t)check_ok(vrift_openat(world->task, VRIFT_AT_FDCWD, path, VRIFT_O_RDONLY | VRIFT_O_DIRECTORY, 0));
    while ((got = check_ok(vrift_getdents(world->task, fd, buf, sizeof buf, 0))) > 0) {
        for (int64_t at = 0; at < got;) {
            const struct vrift_dirent *entry = (const struct vrift_dirent *)(const void *)(buf + at);
            const char *name = vrift_dirent_name(entry);
            if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
                names[count++] = strdup(name);
            at += entry->record_length;
        }
    }
    check_ok(vrift_close(world->task, fd));
    qsort(names, count, sizeof *names, compare_names);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        strcat(text, i ? " " : "");
        strcat(text, names[i]);
        free(names[i]);
    }
    return text;
}
