/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What tasks share and what they have of their own, as clone(2) decides. */
#include "support/world.h"

#include <string.h>

#define HERE VRIFT_AT_FDCWD

static int setup(void **state)
{
    *state = world_new(NULL);
    return 0;
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

static void a_clone_with_files_shares_the_descriptors_both_ways(void **state)
{
    struct world *w = *state;
    vrift_task *other;
    check_ok(vrift_task_clone(w->task, VRIFT_CLONE_FILES, &other));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_CREAT | VRIFT_O_RDWR, 0644));
    assert_int_equal(check_ok(vrift_write(other, fd, "abc", 3)), 3);
    int32_t second = (int32_t)check_ok(vrift_dup(other, fd));
    check_ok(vrift_close(other, fd));
    check_error(-VRIFT_EBADF, vrift_close(w->task, fd));
    vrift_task_free(other);
    assert_int_equal(check_ok(vrift_write(w->task, second, "def", 3)), 3);
    world_expect(w, "/f", "abcdef");
    check_ok(vrift_close(w->task, second));
}

static void a_clone_with_files_outlives_the_task_it_came_from(void **state)
{
    struct world *w = *state;
    vrift_task *first, *second;
    check_ok(vrift_task_fork(w->task, &first));
    int32_t fd = (int32_t)check_ok(vrift_openat(first, HERE, "/f", VRIFT_O_CREAT | VRIFT_O_RDWR, 0644));
    check_ok(vrift_task_clone(first, VRIFT_CLONE_FILES | VRIFT_CLONE_FS, &second));
    vrift_task_free(first);
    assert_int_equal(check_ok(vrift_write(second, fd, "abc", 3)), 3);
    check_ok(vrift_close(second, fd));
    vrift_task_free(second);
    world_expect(w, "/f", "abc");
}

static void a_clone_with_fs_shares_directory_and_umask(void **state)
{
    struct world *w = *state;
    vrift_task *other;
    char buf[16];
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    check_ok(vrift_task_clone(w->task, VRIFT_CLONE_FS, &other));
    check_ok(vrift_chdir(other, "/d"));
    check_ok(vrift_getcwd(w->task, buf, sizeof buf));
    assert_string_equal(buf, "/d");
    check_ok(vrift_umask(w->task, 027));
    assert_int_equal(check_ok(vrift_umask(other, 0)), 027);
    check_ok(vrift_chroot(w->task, "/d"));
    check_ok(vrift_getcwd(other, buf, sizeof buf));
    assert_string_equal(buf, "/");
    vrift_task_free(other);
}

static void a_clone_shares_nothing_else(void **state)
{
    struct world *w = *state;
    vrift_task *other;
    char buf[16];
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    check_ok(vrift_task_clone(w->task, VRIFT_CLONE_FILES, &other));
    check_ok(vrift_chdir(other, "/d"));
    check_ok(vrift_getcwd(w->task, buf, sizeof buf));
    assert_string_equal(buf, "/");
    vrift_cred *cred = world_cred(w, 1000, 1000);
    check_ok(vrift_task_set_cred(other, cred));
    check_error(-VRIFT_EACCES, vrift_openat(other, HERE, "/d/f", VRIFT_O_CREAT | VRIFT_O_RDWR, 0644));
    check_ok(vrift_close(w->task, (int32_t)check_ok(vrift_openat(w->task, HERE, "/d/f", VRIFT_O_CREAT, 0644))));
    vrift_task_free(other);
    check_ok(vrift_task_clone(w->task, VRIFT_CLONE_FS, &other));
    int32_t fd = (int32_t)check_ok(vrift_openat(other, HERE, "/d/f", 0, 0));
    check_error(-VRIFT_EBADF, vrift_close(w->task, fd));
    vrift_task_free(other);
    vrift_cred_unref(cred);
    check_error(-VRIFT_EINVAL, vrift_task_clone(w->task, 1, &other));
}

static void a_clone_without_memory_leaves_everything_as_it_was(void **state)
{
    struct world *w = *state;
    vrift_task *other;
    vrift_sb *sb;
    world_file(w, "/f", "hello");
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDONLY, 0));
    for (uint64_t flags = 0; flags <= (VRIFT_CLONE_FILES | VRIFT_CLONE_FS); flags += VRIFT_CLONE_FS) {
        int32_t result = -VRIFT_ENOMEM;
        for (uint64_t left = 0; result == -VRIFT_ENOMEM && left < 50; left++) {
            w->allocations_left = left;
            result = vrift_task_clone(w->task, flags, &other);
        }
        w->allocations_left = UINT64_MAX;
        check_ok(result);
        vrift_task_free(other);
    }
    int32_t result = -VRIFT_ENOMEM;
    for (uint64_t left = 0; result == -VRIFT_ENOMEM && left < 50; left++) {
        w->allocations_left = left;
        result = vrift_fd_new(w->task, &sb);
    }
    w->allocations_left = UINT64_MAX;
    check_ok(result);
    vrift_sb_unref(sb);
    check_ok(vrift_close(w->task, fd));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_clone_with_files_shares_the_descriptors_both_ways),
        TEST(a_clone_with_files_outlives_the_task_it_came_from),
        TEST(a_clone_with_fs_shares_directory_and_umask),
        TEST(a_clone_shares_nothing_else),
        TEST(a_clone_without_memory_leaves_everything_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
