/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What random calls on the kernel and on libvrift disagreed about once: each in a few lines, with the kernel's answer. */
#include "support/world.h"

#include <string.h>

#define HERE VRIFT_AT_FDCWD

static int begin_world(void **state)
{
    *state = world_new(NULL);
    return 0;
}

static int end_world(void **state)
{
    world_free(*state);
    return 0;
}

static int64_t nanoseconds(const struct vrift_timespec *time)
{
    return time->sec * 1000000000 + time->nsec;
}

static vrift_task *task_of_user(struct world *w, uint32_t uid)
{
    vrift_cred *cred = world_cred(w, uid, uid);
    vrift_task *task;
    check_ok(vrift_task_new(w->ns, cred, NULL, &task));
    vrift_cred_unref(cred);
    return task;
}

/* -- Stamps -------------------------------------------------------------------------------------------------------- */

static void a_change_time_that_was_seen_differs_from_the_next(void **state)
{
    struct world *w = *state;
    world_file(w, "/f", "");
    int64_t before = 0;
    for (int i = 0; i < 100; i++) {
        check_ok(vrift_fchmodat(w->task, HERE, "/f", 0600, 0));
        struct vrift_stat st = world_stat(w, "/f");
        assert_true(nanoseconds(&st.ctime) > before);
        before = nanoseconds(&st.ctime);
    }
    world_file(w, "/later", "");
    struct vrift_stat st = world_stat(w, "/later");
    assert_true(nanoseconds(&st.ctime) >= before);
}

static void truncating_to_the_same_length_stamps_by_descriptor_and_not_by_name(void **state)
{
    struct world *w = *state;
    world_file(w, "/f", "");
    struct vrift_stat before = world_stat(w, "/f"), after;
    check_ok(vrift_truncate(w->task, "/f", 0));
    after = world_stat(w, "/f");
    assert_int_equal(nanoseconds(&after.mtime), nanoseconds(&before.mtime));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDWR, 0));
    check_ok(vrift_ftruncate(w->task, fd, 0));
    after = world_stat(w, "/f");
    assert_true(nanoseconds(&after.mtime) > nanoseconds(&before.mtime));
    check_ok(vrift_close(w->task, fd));
}

static void an_access_time_before_1970_is_older_than_any_change(void **state)
{
    struct world *w = *state;
    struct vrift_timespec times[2] = {{-1, 500000000, 0}, {300, 0, 0}};
    char byte;
    world_file(w, "/f", "x");
    check_ok(vrift_utimensat(w->task, HERE, "/f", times, 0));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDONLY, 0));
    assert_int_equal(vrift_read(w->task, fd, &byte, 1), 1);
    check_ok(vrift_close(w->task, fd));
    assert_true(world_stat(w, "/f").atime.sec > 300);
}

static void an_access_time_in_the_future_stays_when_a_link_is_followed(void **state)
{
    struct world *w = *state;
    struct vrift_timespec times[2] = {{5000000000, 0, 0}, {100, 0, 0}};
    struct vrift_stat st;
    check_ok(vrift_symlinkat(w->task, "nothing", HERE, "/l"));
    check_ok(vrift_utimensat(w->task, HERE, "/l", times, VRIFT_AT_SYMLINK_NOFOLLOW));
    check_ok(vrift_vfs_drop_caches(w->vfs));
    check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, "/l", 0, &st));
    assert_int_equal(world_stat(w, "/l").atime.sec, 5000000000);
}

/* -- Names --------------------------------------------------------------------------------------------------------- */

static void a_whiteout_belongs_to_who_renamed(void **state)
{
    struct world *w = *state;
    vrift_task *user = task_of_user(w, 1000);
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0777));
    world_file(w, "/d/a", "");
    check_ok(vrift_renameat2(user, HERE, "/d/a", HERE, "/d/b", VRIFT_RENAME_WHITEOUT));
    struct vrift_stat st = world_stat(w, "/d/a");
    assert_int_equal(st.mode, VRIFT_S_IFCHR);
    assert_int_equal(st.uid, 1000);
    assert_int_equal(st.gid, 1000);
    vrift_task_free(user);
}

static void who_was_handed_a_descriptor_may_not_link_by_it(void **state)
{
    struct world *w = *state;
    vrift_task *user = task_of_user(w, 1000), *child;
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0777));
    int32_t fd = (int32_t)check_ok(vrift_openat(user, HERE, "/d/a", VRIFT_O_CREAT | VRIFT_O_RDWR, 0600));
    check_ok(vrift_task_fork(user, &child));
    check_ok(vrift_linkat(user, fd, "", HERE, "/d/b", VRIFT_AT_EMPTY_PATH));
    check_error(-VRIFT_ENOENT, vrift_linkat(child, fd, "", HERE, "/d/c", VRIFT_AT_EMPTY_PATH));
    /* Linux asks whether the path is empty or not. */
    check_error(-VRIFT_ENOENT, vrift_linkat(child, fd, "x", HERE, "/d/c", VRIFT_AT_EMPTY_PATH));
    check_error(-VRIFT_ENOTDIR, vrift_linkat(child, fd, "x", HERE, "/d/c", 0));
    vrift_task_free(child);
    vrift_task_free(user);
}

static void a_removed_directory_finds_no_fault_with_a_name_and_takes_nameless_files(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    char name[300];
    memset(name, 'n', 256);
    name[256] = '\0';
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    check_ok(vrift_chdir(w->task, "/d"));
    check_error(-VRIFT_ENAMETOOLONG, vrift_statat(w->task, HERE, name, 0, &st));
    check_ok(vrift_unlinkat(w->task, HERE, "/d", VRIFT_AT_REMOVEDIR));
    check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, name, 0, &st));
    check_error(-VRIFT_ENOENT, vrift_mkdirat(w->task, HERE, name, 0755));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, ".", VRIFT_O_TMPFILE | VRIFT_O_RDWR, 0600));
    check_ok(vrift_close(w->task, fd));
    check_ok(vrift_chdir(w->task, "/"));
}

static void a_directory_moved_out_of_a_bind_has_no_path(void **state)
{
    struct world *w = *state;
    char buf[64];
    check_ok(vrift_mkdirat(w->task, HERE, "/a", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/a/b", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/n", 0755));
    check_ok(vrift_bind(w->task, HERE, "/a", HERE, "/n", 0));
    check_ok(vrift_chdir(w->task, "/n/b"));
    check_ok(vrift_renameat2(w->task, HERE, "/a/b", HERE, "/e", 0));
    assert_int_equal(vrift_getcwd(w->task, buf, sizeof buf), 15);
    assert_string_equal(buf, "(unreachable)/");
    check_ok(vrift_chdir(w->task, "/"));
}

static void a_walk_in_a_scope_starts_at_a_directory_and_not_at_the_root(void **state)
{
    struct world *w = *state;
    struct vrift_open_how how = {.size = sizeof how, .resolve = VRIFT_RESOLVE_BENEATH};
    world_file(w, "/f", "");
    check_error(-VRIFT_EXDEV, vrift_openat2(w->task, 77, "/f", &how)); /* before it looks at the descriptor */
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDONLY, 0));
    how.resolve = VRIFT_RESOLVE_IN_ROOT;
    check_error(-VRIFT_ENOTDIR, vrift_openat2(w->task, fd, "/", &how));
    check_ok(vrift_close(w->task, fd));
}

static void the_text_of_a_long_symlink_takes_a_page(void **state)
{
    struct world *w = *state;
    char text[200];
    memset(text, 't', sizeof text);
    text[128] = '\0';
    check_ok(vrift_symlinkat(w->task, text, HERE, "/long"));
    text[127] = '\0';
    check_ok(vrift_symlinkat(w->task, text, HERE, "/short"));
    assert_int_equal(world_stat(w, "/long").blocks, 8);
    assert_int_equal(world_stat(w, "/short").blocks, 0);
}

/* -- Bytes --------------------------------------------------------------------------------------------------------- */

static void ranges_are_checked_before_anything_else(void **state)
{
    struct world *w = *state;
    char bytes[16] = {0};
    struct vrift_iovec nothing[2] = {{bytes, 0}, {bytes, 0}};
    check_error(-VRIFT_EINVAL, vrift_pread(w->task, 77, bytes, 1, UINT64_MAX));
    world_file(w, "/f", "12345");
    check_ok(vrift_fchmodat(w->task, HERE, "/f", 04755, 0));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDWR | VRIFT_O_APPEND, 0));
    check_error(-VRIFT_EINVAL, vrift_pwrite(w->task, fd, bytes, 1, INT64_MAX));
    assert_int_equal(world_stat(w, "/f").size, 5);
    check_error(-VRIFT_EINVAL, vrift_lseek(w->task, fd, INT64_MAX, VRIFT_SEEK_END));
    check_ok(vrift_close(w->task, fd));
    fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/", VRIFT_O_RDONLY, 0));
    check_error(-VRIFT_EISDIR, vrift_read(w->task, fd, bytes, 0));
    assert_int_equal(vrift_readv(w->task, fd, nothing, 2), 0);
    check_error(-VRIFT_EISDIR, vrift_pread(w->task, fd, bytes, 1, 0));
    check_error(-VRIFT_EINVAL, vrift_pread(w->task, fd, bytes, 1, INT64_MAX));
    check_ok(vrift_close(w->task, fd));
}

static void sending_a_file_to_its_own_end_goes_on_with_what_was_sent(void **state)
{
    struct world *w = *state;
    world_file(w, "/f", "123456789");
    int64_t from = 0;
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDWR, 0));
    check_ok(vrift_lseek(w->task, fd, 0, VRIFT_SEEK_END));
    assert_int_equal(vrift_sendfile(w->task, fd, fd, &from, 20), 20);
    check_ok(vrift_close(w->task, fd));
    world_expect(w, "/f", "12345678912345678912345678912");
}

/* -- What fails ---------------------------------------------------------------------------------------------------- */

static void a_mode_that_its_acl_cannot_follow_stays(void **state)
{
    struct world *w = *state;
    static const uint8_t acl[] = {2, 0,    0,    0,    1,    0,    7,  0, 0xff, 0xff, 0xff, 0xff, 2,    0,   7,
                                  0, 0xe8, 3,    0,    0,    4,    0,  5, 0,    0xff, 0xff, 0xff, 0xff, 16,  0,
                                  7, 0,    0xff, 0xff, 0xff, 0xff, 32, 0, 5,    0,    0xff, 0xff, 0xff, 0xff};
    world_file(w, "/f", "");
    check_ok(vrift_setxattrat(w->task, HERE, "/f", "system.posix_acl_access", acl, sizeof acl, 0));
    assert_int_equal(world_stat(w, "/f").mode & 0777, 0775);
    world_fault(w, "setxattr", 0, -VRIFT_EIO);
    check_error(-VRIFT_EIO, vrift_fchmodat(w->task, HERE, "/f", 0600, 0));
    world_fault(w, NULL, 0, 0);
    assert_int_equal(world_stat(w, "/f").mode & 0777, 0775);
    check_ok(vrift_fchmodat(w->task, HERE, "/f", 0600, 0));
    assert_int_equal(world_stat(w, "/f").mode & 0777, 0600);
}

static void a_listing_that_cannot_learn_a_number_fails(void **state)
{
    struct world *w = *state;
    char buf[512];
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/d", VRIFT_O_RDONLY, 0));
    world_file(w, "/d/x", ""); /* so that the directory's attributes must be asked for */
    world_fault(w, "getattr", 0, -VRIFT_EIO);
    check_error(-VRIFT_EIO, vrift_getdents(w->task, fd, buf, sizeof buf, 0));
    world_fault(w, NULL, 0, 0);
    assert_true(check_ok(vrift_getdents(w->task, fd, buf, sizeof buf, 0)) > 0);
    check_ok(vrift_close(w->task, fd));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_world, end_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_time_that_was_seen_differs_from_the_next),
        TEST(truncating_to_the_same_length_stamps_by_descriptor_and_not_by_name),
        TEST(an_access_time_before_1970_is_older_than_any_change),
        TEST(an_access_time_in_the_future_stays_when_a_link_is_followed),
        TEST(a_whiteout_belongs_to_who_renamed),
        TEST(who_was_handed_a_descriptor_may_not_link_by_it),
        TEST(a_removed_directory_finds_no_fault_with_a_name_and_takes_nameless_files),
        TEST(a_directory_moved_out_of_a_bind_has_no_path),
        TEST(a_walk_in_a_scope_starts_at_a_directory_and_not_at_the_root),
        TEST(the_text_of_a_long_symlink_takes_a_page),
        TEST(ranges_are_checked_before_anything_else),
        TEST(sending_a_file_to_its_own_end_goes_on_with_what_was_sent),
        TEST(a_mode_that_its_acl_cannot_follow_stays),
        TEST(a_listing_that_cannot_learn_a_number_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
