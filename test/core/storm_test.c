/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Threads that make, move, look at, mount over and remove the same few names at once, with a cache so small that it
 * is evicted all the time. What is checked: every answer is one that some order could give, nothing deadlocks, and at
 * the end the tree is whole. The thread sanitizer checks the rest.
 */
#include "support/world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HERE    VRIFT_AT_FDCWD
#define THREADS 4
#define SECONDS 2

struct storm {
    struct world *world;
    vrift_sb *other; /* mounted and unmounted meanwhile */
    _Atomic int stop;
    _Atomic uint64_t steps;
    _Atomic int32_t unexpected; /* the first answer that no order explains */
};

struct stormer {
    struct storm *storm;
    uint64_t seed;
};

static uint32_t roll(struct stormer *s, uint32_t sides)
{
    s->seed = s->seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(s->seed >> 33) % sides;
}

static void expect(struct storm *storm, int64_t result, const int32_t *allowed)
{
    if (result >= 0)
        return;
    for (; *allowed; allowed++)
        if (result == *allowed)
            return;
    int32_t none = 0;
    atomic_compare_exchange_strong(&storm->unexpected, &none, (int32_t)result);
}

static const int32_t usual[] = {-VRIFT_ENOENT,
                                -VRIFT_EEXIST,
                                -VRIFT_ENOTDIR,
                                -VRIFT_EISDIR,
                                -VRIFT_ENOTEMPTY,
                                -VRIFT_EBUSY,
                                -VRIFT_EXDEV,
                                -VRIFT_EINVAL,
                                -VRIFT_ELOOP,
                                -VRIFT_EPERM,
                                0};

static const char *some_path(struct stormer *s, char *buf, size_t size)
{
    static const char *const dirs[] = {"/a", "/b", "/a/c", "/b/d", "/b/d/e", "/m"};
    static const char *const names[] = {"x", "y", "z", "c", "d", "e"};
    snprintf(buf, size, "%s/%s", dirs[roll(s, 6)], names[roll(s, 6)]);
    return buf;
}

static void one_step(struct stormer *s, vrift_task *task)
{
    struct storm *storm = s->storm;
    char one[64], two[64], text[256];
    _Alignas(8) char entries[512];
    struct vrift_stat st;
    some_path(s, one, sizeof one);
    some_path(s, two, sizeof two);
    int32_t fd;
    switch (roll(s, 15)) {
    case 0:
        expect(storm, vrift_mkdirat(task, HERE, one, 0755), usual);
        break;
    case 1:
        expect(storm, vrift_unlinkat(task, HERE, one, VRIFT_AT_REMOVEDIR), usual);
        break;
    case 2:
        expect(storm, vrift_unlinkat(task, HERE, one, 0), usual);
        break;
    case 3:
    case 4:
        expect(storm, vrift_renameat2(task, HERE, one, HERE, two, 0), usual);
        break;
    case 5:
        expect(storm, vrift_renameat2(task, HERE, one, HERE, two, VRIFT_RENAME_EXCHANGE), usual);
        break;
    case 6:
        expect(storm, vrift_linkat(task, HERE, one, HERE, two, 0), usual);
        break;
    case 7:
        expect(storm, vrift_symlinkat(task, two, HERE, one), usual);
        break;
    case 8:
        fd = vrift_openat(task, HERE, one, VRIFT_O_CREAT | VRIFT_O_RDWR, 0644);
        expect(storm, fd, usual);
        if (fd >= 0) {
            expect(storm, vrift_write(task, fd, "content", 7), (const int32_t[]){0});
            expect(storm, vrift_close(task, fd), (const int32_t[]){0});
        }
        break;
    case 9:
        fd = vrift_openat(task, HERE, roll(s, 2) ? "/a" : "/b/d", VRIFT_O_DIRECTORY, 0);
        expect(storm, fd, usual);
        if (fd >= 0) {
            expect(storm, vrift_getdents(task, fd, entries, sizeof entries, 0), (const int32_t[]){0});
            expect(storm, vrift_statat(task, fd, "../..", 0, &st), usual);
            expect(storm, vrift_close(task, fd), (const int32_t[]){0});
        }
        break;
    case 10:
        expect(storm, vrift_mount(task, HERE, "/m", storm->other, 0), usual);
        break;
    case 11:
        expect(storm, vrift_umount(task, HERE, "/m", roll(s, 2) ? VRIFT_UMOUNT_DETACH : 0), usual);
        break;
    case 12:
        expect(storm, vrift_realpath(task, HERE, one, text, sizeof text), usual);
        break;
    default:
        expect(storm, vrift_statat(task, HERE, one, roll(s, 2) ? VRIFT_AT_SYMLINK_NOFOLLOW : 0, &st), usual);
        break;
    }
    atomic_fetch_add(&storm->steps, 1);
}

static void *run_storm(void *payload)
{
    struct stormer *s = payload;
    vrift_task *task;
    if (vrift_task_fork(s->storm->world->task, &task)) {
        atomic_store(&s->storm->unexpected, -VRIFT_ENOMEM);
        return NULL;
    }
    while (!atomic_load(&s->storm->stop))
        one_step(s, task);
    vrift_task_free(task);
    return NULL;
}

/* Removes everything below a directory; whatever the storm left must be listable and removable. */
static void remove_below(struct world *w, const char *path)
{
    char *list = strdup(world_list(w, path));
    char *rest = NULL;
    for (char *name = strtok_r(list, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        char child[512];
        snprintf(child, sizeof child, "%s/%s", path, name);
        struct vrift_stat st = world_stat(w, child);
        if ((st.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR) {
            remove_below(w, child);
            check_ok(vrift_unlinkat(w->task, HERE, child, VRIFT_AT_REMOVEDIR));
        } else {
            check_ok(vrift_unlinkat(w->task, HERE, child, 0));
        }
    }
    free(list);
}

static void storm_with_cache_of(uint64_t cache_bytes)
{
    struct vrift_vfs_options options = {.size = sizeof options, .cache_bytes = cache_bytes};
    struct world *w = world_new(&options);
    struct storm storm = {.world = w};
    static const char *const dirs[] = {"/a", "/b", "/a/c", "/b/d", "/b/d/e", "/m"};
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        check_ok(vrift_mkdirat(w->task, HERE, dirs[i], 0755));
    check_ok(vrift_mem_new(w->vfs, NULL, &storm.other));
    pthread_t threads[THREADS];
    struct stormer stormers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        stormers[i] = (struct stormer){&storm, (uint64_t)i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, run_storm, &stormers[i]), 0);
    }
    struct timespec second = {SECONDS, 0};
    nanosleep(&second, NULL);
    atomic_store(&storm.stop, 1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    print_message("# %llu steps\n", (unsigned long long)atomic_load(&storm.steps));
    check_error(0, atomic_load(&storm.unexpected));
    assert_true(atomic_load(&storm.steps) > 1000);
    while (vrift_umount(w->task, HERE, "/m", VRIFT_UMOUNT_DETACH) == 0)
        ;
    remove_below(w, "/");
    assert_int_equal(world_stat(w, "/").nlink, 2);
    vrift_sb_unref(storm.other);
    world_free(w);
}

static void a_storm_of_changes_leaves_a_whole_tree(void **state)
{
    (void)state;
    storm_with_cache_of(0);
}

static void a_storm_under_constant_eviction_leaves_a_whole_tree(void **state)
{
    (void)state;
    storm_with_cache_of(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_storm_of_changes_leaves_a_whole_tree),
        cmocka_unit_test(a_storm_under_constant_eviction_leaves_a_whole_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
