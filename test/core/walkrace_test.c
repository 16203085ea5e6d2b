/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Walks without a lock against everything that changes under them. Each walker asks questions of which only some answers
 * are possible whatever the order of things: a name that is always there is never missing, one that never was is never
 * found, `..` never leads out of where the walk is confined.
 *
 *   --seconds N     how long each of the tests runs (1)
 */
#include "support/world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HERE    VRIFT_AT_FDCWD
#define WALKERS 3

static long seconds = 1;

struct race {
    struct world *world;
    vrift_task *shared; /* whose credentials and place change meanwhile */
    vrift_cred *user, *root;
    vrift_sb *over;
    int32_t jail;
    uint64_t one, two; /* numbers that a name may have */
    _Atomic int stop;
    _Atomic uint64_t walks, changes;
    _Atomic int wrong; /* line of the first question that got an impossible answer */
};

static void blame(struct race *race, int line, bool good)
{
    int none = 0;
    if (!good)
        atomic_compare_exchange_strong(&race->wrong, &none, line);
}
#define POSSIBLE(condition) blame(race, __LINE__, (condition))

/* -- What changes -------------------------------------------------------------------------------------------------- */

static void replace_file(vrift_task *task)
{
    int32_t fd = vrift_openat(task, HERE, "/replaced/fresh", VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644);
    if (fd >= 0)
        vrift_close(task, fd);
    vrift_renameat2(task, HERE, "/replaced/fresh", HERE, "/replaced/always", 0);
}

static void replace_link(vrift_task *task, bool one)
{
    const char *target = one ? "/targets/one-with-a-long-name/file" : "two/file";
    vrift_symlinkat(task, target, HERE, "/targets/fresh");
    vrift_renameat2(task, HERE, "/targets/fresh", HERE, "/targets/link", 0);
}

static void change_neighbours(vrift_task *task, uint64_t round)
{
    char path[96];
    snprintf(path, sizeof path, "/stay/deep/neighbour-%u-with-a-name-that-is-long", (unsigned)(round % 7));
    int32_t fd = vrift_openat(task, HERE, path, VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644);
    if (fd >= 0)
        vrift_close(task, fd);
    else
        vrift_unlinkat(task, HERE, path, 0);
    snprintf(path, sizeof path, "/stay/deep/neighbour-%u-with-a-name-that-is-long", (unsigned)((round + 3) % 7));
    vrift_unlinkat(task, HERE, path, 0);
}

static void *run_changer(void *payload)
{
    struct race *race = payload;
    vrift_task *task;
    if (vrift_task_fork(race->world->task, &task)) {
        POSSIBLE(false);
        return NULL;
    }
    for (uint64_t round = 0; !atomic_load(&race->stop); round++) {
        vrift_renameat2(task, HERE, "/exchanged/a", HERE, "/exchanged/b", VRIFT_RENAME_EXCHANGE);
        replace_file(task);
        replace_link(task, round % 2);
        change_neighbours(task, round);
        vrift_renameat2(task, HERE, "/bound/deep", HERE, "/outside/deep", 0);
        vrift_renameat2(task, HERE, "/outside/deep", HERE, "/bound/deep", 0);
        if (vrift_mount(task, HERE, "/mounted", race->over, 0) == 0)
            vrift_umount(task, HERE, "/mounted", VRIFT_UMOUNT_DETACH);
        vrift_task_set_cred(race->shared, round % 2 ? race->user : race->root);
        vrift_chdir(race->shared, round % 2 ? "/places/one" : "/places/two");
        if (round % 64 == 0)
            vrift_vfs_drop_caches(race->world->vfs);
        atomic_fetch_add(&race->changes, 1);
    }
    vrift_task_free(task);
    return NULL;
}

/* -- What must hold ------------------------------------------------------------------------------------------------ */

static int32_t in_jail(vrift_task *task, int32_t dirfd, const char *path, uint64_t how_to)
{
    struct vrift_open_how how = {.size = sizeof how, .flags = VRIFT_O_PATH, .resolve = how_to};
    int32_t fd = vrift_openat2(task, dirfd, path, &how);
    if (fd >= 0)
        vrift_close(task, fd);
    return fd < 0 ? fd : 0;
}

static void ask(struct race *race, vrift_task *task)
{
    struct vrift_stat st;
    POSSIBLE(vrift_statat(task, HERE, "/stay/deep/name", 0, &st) == 0 && st.size == 5);
    POSSIBLE(vrift_statat(task, HERE, "/stay/deep/a-name-that-does-not-fit-into-a-dentry", 0, &st) == 0 &&
             st.size == 4);
    POSSIBLE(vrift_statat(task, HERE, "/stay/deep/never", 0, &st) == -VRIFT_ENOENT);
    POSSIBLE(vrift_statat(task, HERE, "/stay/deep/never-and-with-a-long-name-at-that", 0, &st) == -VRIFT_ENOENT);
    POSSIBLE(vrift_statat(task, HERE, "/exchanged/a/file", 0, &st) == 0);
    POSSIBLE(st.ino == race->one || st.ino == race->two);
    POSSIBLE(vrift_statat(task, HERE, "/exchanged/b/../b/./file", 0, &st) == 0);
    POSSIBLE(st.ino == race->one || st.ino == race->two);
    POSSIBLE(vrift_statat(task, HERE, "/replaced/always", 0, &st) == 0);
    POSSIBLE(vrift_statat(task, HERE, "/targets/link", 0, &st) == 0 && (st.size == 3 || st.size == 6));
    POSSIBLE(vrift_statat(task, HERE, "/mounted/common", 0, &st) == 0);
    int32_t fd = vrift_openat(task, HERE, "/mounted/common", VRIFT_O_RDONLY, 0);
    POSSIBLE(fd >= 0);
    if (fd >= 0)
        vrift_close(task, fd);
    POSSIBLE(vrift_statat(race->shared, HERE, "here", 0, &st) == 0);
    POSSIBLE(vrift_statat(race->shared, HERE, "../../stay/deep/name", 0, &st) == 0);
    /* Out of the jail and back: `marker` lies outside only, `inside` at its root. */
    int32_t result = in_jail(task, race->jail, "deep/er/../../../../marker", VRIFT_RESOLVE_IN_ROOT);
    POSSIBLE(result == -VRIFT_ENOENT || result == -VRIFT_EXDEV);
    result = in_jail(task, race->jail, "deep/er/../../inside", VRIFT_RESOLVE_BENEATH);
    POSSIBLE(result == 0 || result == -VRIFT_ENOENT || result == -VRIFT_EXDEV);
    result = vrift_statat(task, HERE, "/jail/deep/../../marker", 0, &st);
    POSSIBLE(result == 0 || result == -VRIFT_ENOENT);
    result = vrift_statat(task, HERE, "/jail/deep/er/../../inside", 0, &st);
    POSSIBLE(result == 0 || result == -VRIFT_ENOENT);
    atomic_fetch_add(&race->walks, 1);
}

static void *run_walker(void *payload)
{
    struct race *race = payload;
    vrift_task *task;
    if (vrift_task_fork(race->world->task, &task)) {
        POSSIBLE(false);
        return NULL;
    }
    while (!atomic_load(&race->stop))
        ask(race, task);
    vrift_task_free(task);
    return NULL;
}

/* -- The ground ---------------------------------------------------------------------------------------------------- */

static void build(struct race *race)
{
    struct world *w = race->world;
    static const char *const dirs[] = {"/stay",
                                       "/stay/deep",
                                       "/exchanged",
                                       "/exchanged/a",
                                       "/exchanged/b",
                                       "/replaced",
                                       "/targets",
                                       "/mounted",
                                       "/bound",
                                       "/bound/deep",
                                       "/bound/deep/er",
                                       "/outside",
                                       "/jail",
                                       "/places",
                                       "/places/one",
                                       "/places/two",
                                       "/targets/one-with-a-long-name",
                                       "/targets/two"};
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        check_ok(vrift_mkdirat(w->task, HERE, dirs[i], 0755));
    world_file(w, "/stay/deep/name", "12345");
    world_file(w, "/stay/deep/a-name-that-does-not-fit-into-a-dentry", "1234");
    world_file(w, "/exchanged/a/file", "x");
    world_file(w, "/exchanged/b/file", "x");
    world_file(w, "/replaced/always", "x");
    world_file(w, "/targets/one-with-a-long-name/file", "123");
    world_file(w, "/targets/two/file", "123456");
    check_ok(vrift_symlinkat(w->task, "two/file", HERE, "/targets/link"));
    world_file(w, "/mounted/common", "below");
    world_file(w, "/marker", "x");
    world_file(w, "/bound/inside", "x");
    world_file(w, "/places/one/here", "x");
    world_file(w, "/places/two/here", "x");
    race->one = world_stat(w, "/exchanged/a/file").ino;
    race->two = world_stat(w, "/exchanged/b/file").ino;
    check_ok(vrift_bind(w->task, HERE, "/bound", HERE, "/jail", 0));
    race->jail = (int32_t)check_ok(vrift_openat(w->task, HERE, "/jail", VRIFT_O_PATH, 0));
    check_ok(vrift_mem_new(w->vfs, NULL, &race->over));
    check_ok(vrift_mount(w->task, HERE, "/mounted", race->over, 0));
    world_file(w, "/mounted/common", "above");
    check_ok(vrift_umount(w->task, HERE, "/mounted", 0));
    race->user = world_cred(w, 1000, 1000);
    check_ok(vrift_cred_new(w->vfs, NULL, &race->root));
    check_ok(vrift_task_fork(w->task, &race->shared));
    check_ok(vrift_chdir(race->shared, "/places/one"));
}

static void run(uint64_t cache_bytes)
{
    struct vrift_vfs_options options = {.size = sizeof options, .cache_bytes = cache_bytes};
    struct race race = {.world = world_new(&options)};
    pthread_t changer, walkers[WALKERS];
    build(&race);
    assert_int_equal(pthread_create(&changer, NULL, run_changer, &race), 0);
    for (int i = 0; i < WALKERS; i++)
        assert_int_equal(pthread_create(&walkers[i], NULL, run_walker, &race), 0);
    struct timespec time = {seconds, 0};
    nanosleep(&time, NULL);
    atomic_store(&race.stop, 1);
    pthread_join(changer, NULL);
    for (int i = 0; i < WALKERS; i++)
        pthread_join(walkers[i], NULL);
    print_message("# %llu rounds of walks against %llu of changes\n", (unsigned long long)atomic_load(&race.walks),
                  (unsigned long long)atomic_load(&race.changes));
    if (atomic_load(&race.wrong))
        fail_msg("an impossible answer to the question in line %d", atomic_load(&race.wrong));
    assert_true(atomic_load(&race.walks) > 10 && atomic_load(&race.changes) > 10);
    vrift_task_free(race.shared);
    vrift_cred_unref(race.user);
    vrift_cred_unref(race.root);
    check_ok(vrift_close(race.world->task, race.jail));
    vrift_sb_unref(race.over);
    world_free(race.world);
}

static void no_walk_sees_what_never_was(void **state)
{
    (void)state;
    run(0);
}

static void no_walk_under_constant_eviction_sees_what_never_was(void **state)
{
    (void)state;
    run(1);
}

static void no_walk_sees_what_never_was_while_slots_are_used_again(void **state)
{
    (void)state;
    run(24 << 10);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], "--seconds") == 0)
            seconds = atol(argv[i + 1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_walk_sees_what_never_was),
        cmocka_unit_test(no_walk_under_constant_eviction_sees_what_never_was),
        cmocka_unit_test(no_walk_sees_what_never_was_while_slots_are_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
