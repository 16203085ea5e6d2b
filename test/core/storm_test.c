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
            /* ENOENT: somebody removed it meanwhile. */
            expect(storm, vrift_getdents(task, fd, entries, sizeof entries, 0), (const int32_t[]){-VRIFT_ENOENT, 0});
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

/* Removes everything in the current directory, however deep the storm has made it. */
static void remove_here(struct world *w)
{
    char *list = strdup(world_list(w, "."));
    char *rest = NULL;
    for (char *name = strtok_r(list, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        struct vrift_stat st = world_stat(w, name);
        if ((st.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR) {
            check_ok(vrift_chdir(w->task, name));
            remove_here(w);
            check_ok(vrift_chdir(w->task, ".."));
            check_ok(vrift_unlinkat(w->task, HERE, name, VRIFT_AT_REMOVEDIR));
        } else {
            check_ok(vrift_unlinkat(w->task, HERE, name, 0));
        }
    }
    free(list);
}

/* Whatever the storm left must be listable and removable. */
static void remove_all(struct world *w)
{
    check_ok(vrift_chdir(w->task, "/"));
    remove_here(w);
}

/* What the storm passes over. */
enum ground { MEMORY, OVERLAY, HOST };

static vrift_sb *overlay_ground(struct world *w)
{
    vrift_sb *lower, *upper, *overlay;
    check_ok(vrift_mem_new(w->vfs, NULL, &lower));
    check_ok(vrift_mem_new(w->vfs, NULL, &upper));
    check_ok(vrift_mkdirat(w->task, HERE, "/l", 0755));
    check_ok(vrift_mount(w->task, HERE, "/l", lower, 0));
    check_ok(vrift_mkdirat(w->task, HERE, "/l/a", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/l/a/c", 0755));
    world_file(w, "/l/a/x", "lower");
    world_file(w, "/l/a/c/y", "lower");
    check_ok(vrift_symlinkat(w->task, "x", HERE, "/l/a/z"));
    check_ok(vrift_umount(w->task, HERE, "/l", 0));
    check_ok(vrift_mount(w->task, HERE, "/l", upper, 0));
    check_ok(vrift_mkdirat(w->task, HERE, "/l/upper", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/l/work", 0755));
    check_ok(vrift_umount(w->task, HERE, "/l", 0));
    struct vrift_overlay_layer low = {lower, NULL}, up = {upper, "/upper"};
    struct vrift_overlay_options options = {
        .size = sizeof options, .lower_count = 1, .lower = &low, .upper = &up, .work = "/work"};
    check_ok(vrift_overlay_new(w->vfs, &options, &overlay));
    vrift_sb_unref(lower);
    vrift_sb_unref(upper);
    return overlay;
}

/* Moves the world's task to the ground. Returns a directory of the host behind it, or NULL. */
static char *stand_on(struct world *w, enum ground ground)
{
    vrift_sb *sb = NULL;
    char *directory = NULL;
    if (ground == MEMORY)
        return NULL;
    if (ground == OVERLAY) {
        sb = overlay_ground(w);
    } else {
        directory = temporary_directory();
        check_ok(vrift_host_new(w->vfs, directory, NULL, &sb));
    }
    check_ok(vrift_mkdirat(w->task, HERE, "/ground", 0755));
    check_ok(vrift_mount(w->task, HERE, "/ground", sb, 0));
    vrift_sb_unref(sb);
    check_ok(vrift_chroot(w->task, "/ground"));
    check_ok(vrift_chdir(w->task, "/"));
    return directory;
}

static void storm_over(enum ground ground, uint64_t cache_bytes)
{
    struct vrift_vfs_options options = {.size = sizeof options, .cache_bytes = cache_bytes};
    struct world *w = world_new(&options);
    struct storm storm = {.world = w};
    char *directory = stand_on(w, ground);
    static const char *const dirs[] = {"/a", "/b", "/a/c", "/b/d", "/b/d/e", "/m"};
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        if (vrift_mkdirat(w->task, HERE, dirs[i], 0755) != -VRIFT_EEXIST)
            world_stat(w, dirs[i]);
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
    assert_true(atomic_load(&storm.steps) > 500);
    while (vrift_umount(w->task, HERE, "/m", VRIFT_UMOUNT_DETACH) == 0)
        ;
    remove_all(w);
    assert_string_equal(world_list(w, "/"), "");
    vrift_sb_unref(storm.other);
    world_free(w);
    remove_temporary_directory(directory);
}

static void a_storm_of_changes_leaves_a_whole_tree(void **state)
{
    (void)state;
    storm_over(MEMORY, 0);
}

static void a_storm_under_constant_eviction_leaves_a_whole_tree(void **state)
{
    (void)state;
    storm_over(MEMORY, 1);
}

static void a_storm_over_an_overlay_leaves_a_whole_tree(void **state)
{
    (void)state;
    storm_over(OVERLAY, 0);
}

static void a_storm_over_an_overlay_under_eviction_leaves_a_whole_tree(void **state)
{
    (void)state;
    storm_over(OVERLAY, 1);
}

static void a_storm_over_a_host_directory_leaves_a_whole_tree(void **state)
{
    (void)state;
    storm_over(HOST, 0);
}

/* One task, many threads: where it stands and who it is change under walks that are under way. */
static void *run_shared(void *payload)
{
    struct stormer *s = payload;
    struct world *w = s->storm->world;
    vrift_task *task = w->task;
    vrift_cred *user = world_cred(w, 0, 0), *root;
    check_ok(vrift_cred_new(w->vfs, NULL, &root));
    char text[256];
    struct vrift_stat st;
    while (!atomic_load(&s->storm->stop)) {
        switch (roll(s, 8)) {
        case 0:
            expect(s->storm, vrift_chdir(task, roll(s, 2) ? "/a/c" : "/b"), usual);
            break;
        case 1:
            check_ok(vrift_task_set_cred(task, roll(s, 2) ? root : user));
            break;
        case 2:
            expect(s->storm, vrift_getcwd(task, text, sizeof text), usual);
            break;
        case 3: {
            int32_t fd = vrift_openat(task, HERE, ".", VRIFT_O_DIRECTORY, 0);
            expect(s->storm, fd, usual);
            if (fd >= 0) {
                int32_t copy = vrift_dup(task, fd);
                expect(s->storm, vrift_fchdir(task, copy), usual);
                check_ok(vrift_close(task, copy));
                check_ok(vrift_close(task, fd));
            }
            break;
        }
        case 4:
            vrift_umask(task, roll(s, 0777));
            break;
        default:
            expect(s->storm, vrift_statat(task, HERE, roll(s, 2) ? "../a/c" : "x", 0, &st), usual);
            break;
        }
        atomic_fetch_add(&s->storm->steps, 1);
    }
    vrift_cred_unref(user);
    vrift_cred_unref(root);
    return NULL;
}

static void threads_may_share_a_task(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct storm storm = {.world = w};
    pthread_t threads[THREADS];
    struct stormer stormers[THREADS];
    check_ok(vrift_mkdirat(w->task, HERE, "/a", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/a/c", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/b", 0755));
    for (int i = 0; i < THREADS; i++) {
        stormers[i] = (struct stormer){&storm, (uint64_t)i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, run_shared, &stormers[i]), 0);
    }
    struct timespec second = {1, 0};
    nanosleep(&second, NULL);
    atomic_store(&storm.stop, 1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    check_error(0, atomic_load(&storm.unexpected));
    assert_true(atomic_load(&storm.steps) > 100);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_storm_of_changes_leaves_a_whole_tree),
        cmocka_unit_test(a_storm_under_constant_eviction_leaves_a_whole_tree),
        cmocka_unit_test(a_storm_over_an_overlay_leaves_a_whole_tree),
        cmocka_unit_test(a_storm_over_an_overlay_under_eviction_leaves_a_whole_tree),
        cmocka_unit_test(a_storm_over_a_host_directory_leaves_a_whole_tree),
        cmocka_unit_test(threads_may_share_a_task),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
