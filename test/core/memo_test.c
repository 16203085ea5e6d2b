/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Answers for whole paths that are remembered: each change that could make one wrong is made after it was, and seen. */
#include "support/world.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define HERE    VRIFT_AT_FDCWD
#define WALKERS 2
#define USER    1000

static int setup(void **state)
{
    struct world *w = world_new(NULL);
    check_ok(vrift_mkdirat(w->task, HERE, "/a", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/a/b", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/other", 0755));
    world_file(w, "/a/b/file", "12345");
    world_file(w, "/other/file", "123");
    check_ok(vrift_symlinkat(w->task, "b/file", HERE, "/a/link"));
    check_ok(vrift_remount(w->task, HERE, "/", VRIFT_MOUNT_NOATIME)); /* or following a symlink leaves a trace */
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

static uint64_t hits_of(struct world *w)
{
    struct vrift_vfs_stats stats;
    check_ok(vrift_vfs_stats(w->vfs, &stats));
    return stats.hits;
}

/* Asks until the answer is remembered, and checks that it is: then a call counts one hit, whatever the depth. */
static struct vrift_stat warm_as(struct world *w, vrift_task *task, const char *path, uint64_t flags, int32_t wanted)
{
    struct vrift_stat st;
    for (int i = 0; i < 80; i++)
        check_error(wanted, vrift_statat(task, HERE, path, flags, &st));
    uint64_t before = hits_of(w), calls = world_backend_calls(w);
    for (int i = 0; i < 10; i++)
        check_error(wanted, vrift_statat(task, HERE, path, flags, &st));
    assert_int_equal(hits_of(w) - before, 10);
    assert_int_equal(world_backend_calls(w), calls);
    return st;
}

static struct vrift_stat warm(struct world *w, const char *path, int32_t wanted)
{
    return warm_as(w, w->task, path, 0, wanted);
}

static void answers_are_the_same_as_those_of_a_walk(void **state)
{
    struct world *w = *state;
    static const char *const paths[] = {"/a/b/file", "a/b/file", "/a/link", "/a/../other/./file", "/", "/a/b/"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct vrift_stat first, st;
        memset(&first, 1, sizeof first);
        memset(&st, 2, sizeof st);
        check_ok(vrift_statat(w->task, HERE, paths[i], 0, &first));
        struct vrift_stat remembered = warm(w, paths[i], 0);
        check_ok(vrift_statat(w->task, HERE, paths[i], 0, &st));
        assert_memory_equal(&first, &st, sizeof st);
        assert_memory_equal(&remembered, &st, sizeof st);
    }
    struct vrift_stat link = warm_as(w, w->task, "/a/link", VRIFT_AT_SYMLINK_NOFOLLOW, 0);
    assert_int_equal(link.mode & VRIFT_S_IFMT, VRIFT_S_IFLNK);
    assert_int_equal(warm(w, "/a/link", 0).mode & VRIFT_S_IFMT, VRIFT_S_IFREG);
}

static void attributes_follow_every_change(void **state)
{
    struct world *w = *state;
    struct vrift_setattr set = {.size = sizeof set};
    (void)set;
    assert_int_equal(warm(w, "/a/b/file", 0).size, 5);
    check_ok(vrift_truncate(w->task, "/a/b/file", 2));
    assert_int_equal(world_stat(w, "/a/b/file").size, 2);
    warm(w, "/a/b/file", 0);
    check_ok(vrift_fchmodat(w->task, HERE, "/a/b/file", 0600, 0));
    assert_int_equal(world_stat(w, "/a/b/file").mode & 07777, 0600);
    warm(w, "/a/b/file", 0);
    check_ok(vrift_linkat(w->task, HERE, "/a/b/file", HERE, "/other/second", 0));
    assert_int_equal(world_stat(w, "/a/b/file").nlink, 2);
    warm(w, "/a/b/file", 0);
    check_ok(vrift_truncate(w->task, "/other/second", 9)); /* by another name */
    assert_int_equal(world_stat(w, "/a/b/file").size, 9);
}

static void names_that_come_and_go_are_seen(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    warm(w, "/a/b/missing", -VRIFT_ENOENT);
    world_file(w, "/a/b/missing", "x"); /* the directory is complete: nothing had to go for it */
    check_ok(vrift_statat(w->task, HERE, "/a/b/missing", 0, &st));
    warm(w, "/a/b/missing", 0);
    check_ok(vrift_unlinkat(w->task, HERE, "/a/b/missing", 0));
    check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, "/a/b/missing", 0, &st));
    warm(w, "/a/b/missing", -VRIFT_ENOENT);
    check_ok(vrift_renameat2(w->task, HERE, "/other/file", HERE, "/a/b/missing", 0));
    assert_int_equal(world_stat(w, "/a/b/missing").size, 3);
    warm(w, "/a/b/file", 0);
    check_ok(vrift_renameat2(w->task, HERE, "/a/b", HERE, "/moved", 0));
    check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, "/a/b/file", 0, &st));
    check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, "/a/link", 0, &st));
    warm(w, "/a/link", -VRIFT_ENOENT);
    check_ok(vrift_mkdirat(w->task, HERE, "/a/b", 0755));
    check_ok(vrift_linkat(w->task, HERE, "/moved/file", HERE, "/a/b/file", 0));
    check_ok(vrift_statat(w->task, HERE, "/a/link", 0, &st));
}

static void who_asks_and_from_where_makes_a_difference(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    vrift_task *task;
    vrift_cred *user = world_cred(w, USER, USER);
    check_ok(vrift_task_fork(w->task, &task));
    check_ok(vrift_chdir(task, "/a/b"));
    assert_int_equal(warm_as(w, task, "file", 0, 0).size, 5);
    warm_as(w, w->task, "file", 0, -VRIFT_ENOENT);
    assert_int_equal(warm_as(w, task, "file", 0, 0).size, 5);
    check_ok(vrift_chdir(task, "/other"));
    check_ok(vrift_statat(task, HERE, "file", 0, &st));
    assert_int_equal(st.size, 3);
    check_ok(vrift_fchmodat(w->task, HERE, "/a/b", 0700, 0));
    warm_as(w, task, "/a/b/file", 0, 0);
    check_ok(vrift_task_set_cred(task, user));
    check_error(-VRIFT_EACCES, vrift_statat(task, HERE, "/a/b/file", 0, &st));
    check_ok(vrift_fchmodat(w->task, HERE, "/a/b", 0755, 0));
    warm_as(w, task, "/a/b/file", 0, 0);
    check_ok(vrift_fchmodat(w->task, HERE, "/a/b", 0700, 0)); /* no name changed, nor the file */
    check_error(-VRIFT_EACCES, vrift_statat(task, HERE, "/a/b/file", 0, &st));
    check_ok(vrift_fchownat(w->task, HERE, "/a/b", USER, USER, 0));
    warm_as(w, task, "/a/b/file", 0, 0);
    check_ok(vrift_fchownat(w->task, HERE, "/a/b", 0, 0, 0));
    check_error(-VRIFT_EACCES, vrift_statat(task, HERE, "/a/b/file", 0, &st));
    check_ok(vrift_fchmodat(w->task, HERE, "/a/b", 0755, 0));
    warm_as(w, w->task, "/a/b/file", 0, 0);
    check_ok(vrift_chroot(w->task, "/a"));
    check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, "/a/b/file", 0, &st));
    vrift_cred_unref(user);
    vrift_task_free(task);
}

/* A task with rights is freed, and what the next one has may lie where its credentials lay. */
static void credentials_in_a_slot_used_again_are_others(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    vrift_task *task;
    check_ok(vrift_fchmodat(w->task, HERE, "/a/b", 0700, 0));
    for (int i = 0; i < 4; i++) {
        vrift_cred *root, *user;
        check_ok(vrift_cred_new(w->vfs, NULL, &root));
        check_ok(vrift_task_new(w->ns, root, NULL, &task));
        vrift_cred_unref(root);
        warm_as(w, task, "/a/b/file", 0, 0);
        vrift_task_free(task);
        user = world_cred(w, USER, USER);
        check_ok(vrift_task_new(w->ns, user, NULL, &task));
        vrift_cred_unref(user);
        for (int j = 0; j < 80; j++)
            check_error(-VRIFT_EACCES, vrift_statat(task, HERE, "/a/b/file", 0, &st));
        vrift_task_free(task);
    }
}

static void symlinks_that_are_followed_are_stamped_each_time(void **state)
{
    struct world *w = *state;
    struct vrift_stat before, after, st;
    const struct timespec pause = {0, 20000000};
    check_ok(vrift_remount(w->task, HERE, "/", VRIFT_MOUNT_STRICTATIME));
    for (int i = 0; i < 100; i++)
        check_ok(vrift_statat(w->task, HERE, "/a/link", 0, &st));
    check_ok(vrift_statat(w->task, HERE, "/a/link", VRIFT_AT_SYMLINK_NOFOLLOW, &before));
    nanosleep(&pause, NULL);
    check_ok(vrift_statat(w->task, HERE, "/a/link", 0, &st));
    check_ok(vrift_statat(w->task, HERE, "/a/link", VRIFT_AT_SYMLINK_NOFOLLOW, &after));
    assert_true(after.atime.sec > before.atime.sec || after.atime.nsec > before.atime.nsec);
}

static void mounts_are_seen(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    vrift_sb *sb;
    check_ok(vrift_mem_new(w->vfs, NULL, &sb));
    uint64_t dev = warm(w, "/a/b", 0).dev;
    warm(w, "/a/b/file", 0);
    check_ok(vrift_mount(w->task, HERE, "/a/b", sb, 0));
    check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, "/a/b/file", 0, &st));
    assert_int_not_equal(warm(w, "/a/b", 0).dev, dev);
    check_ok(vrift_umount(w->task, HERE, "/a/b", 0));
    assert_int_equal(world_stat(w, "/a/b").dev, dev);
    check_ok(vrift_statat(w->task, HERE, "/a/b/file", 0, &st));
    vrift_sb_unref(sb);
}

static void what_others_change_is_never_remembered(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    vrift_sb *sb;
    char path[4200];
    char *directory = temporary_directory();
    snprintf(path, sizeof path, "%s/f", directory);
    check_ok(vrift_host_new(w->vfs, directory, NULL, &sb));
    check_ok(vrift_mount(w->task, HERE, "/other", sb, 0));
    vrift_sb_unref(sb);
    for (int i = 0; i < 100; i++)
        check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, "/other/f", 0, &st));
    int fd = open(path, O_CREAT | O_WRONLY, 0644);
    assert_true(fd >= 0);
    for (int i = 0; i < 100; i++)
        check_ok(vrift_statat(w->task, HERE, "/other/f", 0, &st));
    assert_int_equal(write(fd, "12", 2), 2);
    close(fd);
    check_ok(vrift_statat(w->task, HERE, "/other/f", 0, &st));
    assert_int_equal(st.size, 2);
    check_ok(vrift_umount(w->task, HERE, "/other", 0));
    remove_temporary_directory(directory);
}

static void texts_that_are_long_or_alike_are_told_apart(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    char path[4096];
    for (size_t length = 1; length < 200; length++) {
        path[0] = '/';
        memset(path + 1, 'x', length);
        path[length + 1] = '\0';
        for (int i = 0; i < 40; i++)
            check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, path, 0, &st));
        path[length] = '/'; /* of the same length, and there if it is all slashes */
        memset(path, '/', length + 1);
        check_ok(vrift_statat(w->task, HERE, path, 0, &st));
    }
}

static void a_flag_is_told_from_a_byte_of_the_text(void **state)
{
    struct world *w = *state;
    check_ok(vrift_symlinkat(w->task, "a/b/file", HERE, "/abcdef"));
    check_ok(vrift_mkdirat(w->task, HERE, "/abcdef\1", 0755));
    struct vrift_stat st = warm(w, "/abcdef\1", 0);
    assert_int_equal(st.mode & VRIFT_S_IFMT, VRIFT_S_IFDIR);
    st = warm_as(w, w->task, "/abcdef", VRIFT_AT_SYMLINK_NOFOLLOW, 0);
    assert_int_equal(st.mode & VRIFT_S_IFMT, VRIFT_S_IFLNK);
    st = warm_as(w, w->task, "/abcdef", 0, 0);
    assert_int_equal(st.mode & VRIFT_S_IFMT, VRIFT_S_IFREG);
    check_ok(vrift_statat(w->task, HERE, "/abcdef\1", 0, &st));
    assert_int_equal(st.mode & VRIFT_S_IFMT, VRIFT_S_IFDIR);
}

static void a_listing_that_teaches_nothing_disturbs_nothing(void **state)
{
    struct world *w = *state;
    assert_string_equal(world_list(w, "/a/b"), "file");
    warm(w, "/a/b/file", 0);
    assert_string_equal(world_list(w, "/a/b"), "file");
    struct vrift_stat st;
    uint64_t before = hits_of(w);
    check_ok(vrift_statat(w->task, HERE, "/a/b/file", 0, &st));
    assert_int_equal(hits_of(w) - before, 1);
}

/* -- Changes and questions at the same time ------------------------------------------------------------------------- */

struct race {
    struct world *world;
    _Atomic int stop;
    _Atomic uint64_t made, removed, size, door; /* door: 4n open, 4n + 2 closed, odd: between */
    _Atomic int wrong;
    _Atomic uint64_t asked;
};

static void blame(struct race *race, int line, bool good)
{
    int none = 0;
    if (!good)
        atomic_compare_exchange_strong(&race->wrong, &none, line);
}
#define POSSIBLE(condition) blame(race, __LINE__, (condition))

static void name_of(char path[64], uint64_t number)
{
    snprintf(path, 64, "/a/b/name-%llu", (unsigned long long)number);
}

static void *run_walker(void *payload)
{
    struct race *race = payload;
    struct world *w = race->world;
    vrift_task *task;
    vrift_cred *user = world_cred(w, USER, USER);
    check_ok(vrift_task_new(w->ns, user, NULL, &task));
    while (!atomic_load(&race->stop)) {
        struct vrift_stat st;
        char path[64];
        uint64_t made = atomic_load(&race->made);
        name_of(path, made);
        int32_t result = vrift_statat(task, HERE, path, 0, &st);
        POSSIBLE(result == 0 || atomic_load(&race->made) != made);
        name_of(path, made + 1);
        vrift_statat(task, HERE, path, 0, &st); /* to remember that it is missing */
        name_of(path, atomic_load(&race->removed));
        POSSIBLE(vrift_statat(task, HERE, path, 0, &st) == -VRIFT_ENOENT);
        uint64_t size = atomic_load(&race->size);
        POSSIBLE(vrift_statat(task, HERE, "/a/b/file", 0, &st) == 0 && st.size >= size);
        uint64_t door = atomic_load(&race->door);
        result = vrift_statat(task, HERE, "/other/file", 0, &st);
        if (atomic_load(&race->door) == door && !(door & 1))
            POSSIBLE(result == (door & 2 ? -VRIFT_EACCES : 0));
        atomic_fetch_add(&race->asked, 1);
    }
    vrift_cred_unref(user);
    vrift_task_free(task);
    return NULL;
}

static void change(struct race *race, uint64_t round)
{
    struct world *w = race->world;
    char path[64];
    name_of(path, round + 1);
    POSSIBLE(vrift_mknodat(w->task, HERE, path, VRIFT_S_IFREG | 0600, 0) == 0);
    atomic_store(&race->made, round + 1);
    POSSIBLE(vrift_truncate(w->task, "/a/b/file", round + 10) == 0);
    atomic_store(&race->size, round + 10);
    uint64_t door = atomic_load(&race->door);
    atomic_store(&race->door, door + 1);
    POSSIBLE(vrift_fchmodat(w->task, HERE, "/other", door & 2 ? 0755 : 0700, 0) == 0);
    atomic_store(&race->door, door + 2);
    if (round % 4)
        return; /* a removal moves more than the others do */
    name_of(path, round);
    int32_t result = vrift_unlinkat(w->task, HERE, path, 0);
    POSSIBLE(result == 0 || result == -VRIFT_ENOENT);
    atomic_store(&race->removed, round);
}

static void no_answer_is_remembered_too_long(void **state)
{
    struct race race = {.world = *state};
    pthread_t walkers[WALKERS];
    const struct timespec pause = {0, 300000};
    atomic_store(&race.removed, 1u << 30);
    world_file(race.world, "/a/b/name-0", "x");
    for (int i = 0; i < WALKERS; i++)
        assert_int_equal(pthread_create(&walkers[i], NULL, run_walker, &race), 0);
    for (uint64_t round = 0; round < 1500 && !atomic_load(&race.wrong); round++) {
        change(&race, round);
        nanosleep(&pause, NULL); /* so that it becomes calm enough to remember */
    }
    atomic_store(&race.stop, 1);
    for (int i = 0; i < WALKERS; i++)
        pthread_join(walkers[i], NULL);
    print_message("# asked %llu times\n", (unsigned long long)atomic_load(&race.asked));
    if (atomic_load(&race.wrong))
        fail_msg("an impossible answer to the question in line %d", atomic_load(&race.wrong));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_are_the_same_as_those_of_a_walk),
        TEST(attributes_follow_every_change),
        TEST(names_that_come_and_go_are_seen),
        TEST(who_asks_and_from_where_makes_a_difference),
        TEST(credentials_in_a_slot_used_again_are_others),
        TEST(symlinks_that_are_followed_are_stamped_each_time),
        TEST(mounts_are_seen),
        TEST(what_others_change_is_never_remembered),
        TEST(texts_that_are_long_or_alike_are_told_apart),
        TEST(a_flag_is_told_from_a_byte_of_the_text),
        TEST(a_listing_that_teaches_nothing_disturbs_nothing),
        TEST(no_answer_is_remembered_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
