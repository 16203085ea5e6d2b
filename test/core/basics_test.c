/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls of fs.h, file.h and task.h on a memory file system, in their ordinary use. */
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

static void a_file_is_made_written_read_and_removed(void **state)
{
    struct world *w = *state;
    world_file(w, "/f", "hello");
    world_expect(w, "/f", "hello");
    struct vrift_stat st = world_stat(w, "/f");
    assert_int_equal(st.size, 5);
    assert_int_equal(st.nlink, 1);
    assert_int_equal(st.mode, VRIFT_S_IFREG | 0644);
    check_ok(vrift_unlinkat(w->task, HERE, "/f", 0));
    check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, "/f", 0, &st));
}

static void a_tree_is_made_listed_moved_and_removed(void **state)
{
    struct world *w = *state;
    check_ok(vrift_mkdirat(w->task, HERE, "/a", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/a/b", 0755));
    world_file(w, "/a/b/x", "1");
    world_file(w, "/a/b/y", "2");
    assert_string_equal(world_list(w, "/a/b"), "x y");
    check_ok(vrift_renameat2(w->task, HERE, "/a/b", HERE, "/c", 0));
    assert_string_equal(world_list(w, "/"), "a c");
    assert_string_equal(world_list(w, "/c"), "x y");
    world_expect(w, "/c/x", "1");
    check_error(-VRIFT_ENOTEMPTY, vrift_unlinkat(w->task, HERE, "/c", VRIFT_AT_REMOVEDIR));
    check_ok(vrift_unlinkat(w->task, HERE, "/c/x", 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/c/y", 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/c", VRIFT_AT_REMOVEDIR));
    assert_string_equal(world_list(w, "/"), "a");
}

static void names_are_exchanged_and_hard_links_share_an_inode(void **state)
{
    struct world *w = *state;
    world_file(w, "/one", "1");
    check_ok(vrift_mkdirat(w->task, HERE, "/dir-with-a-long-name", 0755));
    world_file(w, "/dir-with-a-long-name/two", "2");
    check_ok(vrift_renameat2(w->task, HERE, "/one", HERE, "/dir-with-a-long-name/two", VRIFT_RENAME_EXCHANGE));
    world_expect(w, "/one", "2");
    world_expect(w, "/dir-with-a-long-name/two", "1");
    check_ok(vrift_linkat(w->task, HERE, "/one", HERE, "/three", 0));
    assert_int_equal(world_stat(w, "/one").ino, world_stat(w, "/three").ino);
    assert_int_equal(world_stat(w, "/three").nlink, 2);
    check_ok(vrift_renameat2(w->task, HERE, "/one", HERE, "/three", 0));
    assert_string_equal(world_list(w, "/"), "dir-with-a-long-name one three");
}

static void symlinks_lead_where_they_say(void **state)
{
    struct world *w = *state;
    char buf[64];
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    world_file(w, "/d/f", "deep");
    check_ok(vrift_symlinkat(w->task, "d", HERE, "/l"));
    check_ok(vrift_symlinkat(w->task, "/l/f", HERE, "/m"));
    world_expect(w, "/l/f", "deep");
    world_expect(w, "/m", "deep");
    assert_int_equal(check_ok(vrift_readlinkat(w->task, HERE, "/m", buf, sizeof buf)), 4);
    assert_int_equal(check_ok(vrift_realpath(w->task, HERE, "/m", buf, sizeof buf)), 5);
    assert_string_equal(buf, "/d/f");
    check_ok(vrift_chdir(w->task, "/l"));
    check_ok(vrift_getcwd(w->task, buf, sizeof buf));
    assert_string_equal(buf, "/d");
    world_expect(w, "f", "deep");
    check_ok(vrift_chdir(w->task, "/"));
}

static void dup_shares_the_position_and_a_fork_shares_the_description(void **state)
{
    struct world *w = *state;
    char buf[8];
    vrift_task *child;
    world_file(w, "/f", "abcdef");
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDONLY, 0));
    int32_t copy = (int32_t)check_ok(vrift_dup(w->task, fd));
    assert_int_equal(vrift_read(w->task, fd, buf, 2), 2);
    assert_int_equal(vrift_read(w->task, copy, buf, 2), 2);
    assert_memory_equal(buf, "cd", 2);
    check_ok(vrift_task_fork(w->task, &child));
    assert_int_equal(vrift_read(child, fd, buf, 2), 2);
    assert_memory_equal(buf, "ef", 2);
    assert_int_equal(vrift_lseek(w->task, copy, 0, VRIFT_SEEK_CUR), 6);
    vrift_task_free(child);
    check_ok(vrift_close(w->task, fd));
    check_error(-VRIFT_EBADF, vrift_close(w->task, fd));
    assert_int_equal(vrift_dup3(w->task, copy, 40, VRIFT_O_CLOEXEC), 40);
    check_ok(vrift_close(w->task, copy));
    check_ok(vrift_close(w->task, 40));
}

static void an_unlinked_file_lives_until_it_is_closed(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    world_file(w, "/f", "alive");
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDONLY, 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/f", 0));
    check_ok(vrift_fstat(w->task, fd, &st));
    assert_int_equal(st.nlink, 0);
    assert_int_equal(st.size, 5);
    check_error(-VRIFT_ENOENT, vrift_linkat(w->task, fd, "", HERE, "/g", VRIFT_AT_EMPTY_PATH));
    check_ok(vrift_close(w->task, fd));
}

static void an_unnamed_file_can_be_given_a_name(void **state)
{
    struct world *w = *state;
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/", VRIFT_O_TMPFILE | VRIFT_O_RDWR, 0600));
    assert_int_equal(vrift_write(w->task, fd, "x", 1), 1);
    check_ok(vrift_linkat(w->task, fd, "", HERE, "/named", VRIFT_AT_EMPTY_PATH));
    check_ok(vrift_close(w->task, fd));
    world_expect(w, "/named", "x");
    fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/", VRIFT_O_TMPFILE | VRIFT_O_RDWR | VRIFT_O_EXCL, 0600));
    check_error(-VRIFT_ENOENT, vrift_linkat(w->task, fd, "", HERE, "/other", VRIFT_AT_EMPTY_PATH));
    check_ok(vrift_close(w->task, fd));
}

static void a_removed_directory_is_empty_and_takes_no_names(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    char buf[256];
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    check_ok(vrift_chdir(w->task, "/d"));
    check_ok(vrift_unlinkat(w->task, HERE, "/d", VRIFT_AT_REMOVEDIR));
    check_error(-VRIFT_ENOENT, vrift_getcwd(w->task, buf, sizeof buf));
    check_ok(vrift_statat(w->task, HERE, ".", 0, &st));
    assert_int_equal(st.nlink, 0);
    check_ok(vrift_statat(w->task, HERE, "..", 0, &st));
    check_error(-VRIFT_ENOENT, vrift_openat(w->task, HERE, "x", VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644));
    check_error(-VRIFT_ENOENT, vrift_mkdirat(w->task, HERE, "x", 0755));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, ".", VRIFT_O_RDONLY, 0));
    check_error(-VRIFT_ENOENT, vrift_getdents(w->task, fd, buf, sizeof buf, 0)); /* readdir(3) takes it for the end */
    check_ok(vrift_close(w->task, fd));
    check_ok(vrift_chdir(w->task, "/"));
}

static void permissions_are_checked_by_mode_bits(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    vrift_cred *user = world_cred(w, 1000, 1000);
    check_ok(vrift_mkdirat(w->task, HERE, "/closed", 0700));
    check_ok(vrift_mkdirat(w->task, HERE, "/open", 0777));
    world_file(w, "/closed/f", "secret");
    check_ok(vrift_task_set_cred(w->task, user));
    check_error(-VRIFT_EACCES, vrift_statat(w->task, HERE, "/closed/f", 0, &st));
    check_error(-VRIFT_EACCES, vrift_statat(w->task, HERE, "/closed/missing", 0, &st));
    check_error(-VRIFT_EACCES, vrift_mkdirat(w->task, HERE, "/mine", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/open/mine", 0755));
    assert_int_equal(world_stat(w, "/open/mine").uid, 1000);
    check_error(-VRIFT_EPERM, vrift_fchownat(w->task, HERE, "/open/mine", 0, 0, 0));
    check_error(-VRIFT_EPERM, vrift_fchmodat(w->task, HERE, "/open", 0755, 0));
    vrift_cred_unref(user);
}

static void a_mount_covers_and_comes_off_again(void **state)
{
    struct world *w = *state;
    vrift_sb *other;
    char buf[64];
    check_ok(vrift_mem_new(w->vfs, NULL, &other));
    check_ok(vrift_mkdirat(w->task, HERE, "/m", 0755));
    world_file(w, "/m/below", "below");
    check_ok(vrift_mount(w->task, HERE, "/m", other, 0));
    assert_string_equal(world_list(w, "/m"), "");
    world_file(w, "/m/above", "above");
    assert_int_not_equal(world_stat(w, "/m").dev, world_stat(w, "/").dev);
    assert_int_equal(world_stat(w, "/m/..").ino, world_stat(w, "/").ino);
    check_error(-VRIFT_EBUSY, vrift_unlinkat(w->task, HERE, "/m", VRIFT_AT_REMOVEDIR));
    check_error(-VRIFT_EBUSY, vrift_renameat2(w->task, HERE, "/m", HERE, "/n", 0));
    check_error(-VRIFT_EXDEV, vrift_renameat2(w->task, HERE, "/m/above", HERE, "/above", 0));
    check_ok(vrift_chdir(w->task, "/m"));
    check_ok(vrift_getcwd(w->task, buf, sizeof buf));
    assert_string_equal(buf, "/m");
    check_error(-VRIFT_EBUSY, vrift_umount(w->task, HERE, "/m", 0));
    check_ok(vrift_chdir(w->task, "/"));
    check_ok(vrift_remount(w->task, HERE, "/m", VRIFT_MOUNT_RDONLY));
    check_error(-VRIFT_EROFS, vrift_mkdirat(w->task, HERE, "/m/x", 0755));
    check_ok(vrift_umount(w->task, HERE, "/m", 0));
    world_expect(w, "/m/below", "below");
    check_error(-VRIFT_EINVAL, vrift_umount(w->task, HERE, "/m", 0));
    vrift_sb_unref(other);
}

static void a_bind_shows_a_part_and_stays_when_it_is_detached(void **state)
{
    struct world *w = *state;
    check_ok(vrift_mkdirat(w->task, HERE, "/src", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/dst", 0755));
    world_file(w, "/src/f", "shown");
    check_ok(vrift_bind(w->task, HERE, "/src", HERE, "/dst", VRIFT_MOUNT_RDONLY));
    world_expect(w, "/dst/f", "shown");
    check_error(-VRIFT_EROFS, vrift_unlinkat(w->task, HERE, "/dst/f", 0));
    check_error(-VRIFT_EXDEV, vrift_renameat2(w->task, HERE, "/src/f", HERE, "/dst/g", 0));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/dst/f", VRIFT_O_RDONLY, 0));
    check_error(-VRIFT_EBUSY, vrift_umount(w->task, HERE, "/dst", 0));
    check_ok(vrift_umount(w->task, HERE, "/dst", VRIFT_UMOUNT_DETACH));
    assert_string_equal(world_list(w, "/dst"), "");
    check_ok(vrift_close(w->task, fd));
}

static void a_mount_that_was_taken_out_can_be_neither_unmounted_nor_remounted(void **state)
{
    struct world *w = *state;
    vrift_sb *other;
    struct vrift_stat st;
    check_ok(vrift_mem_new(w->vfs, NULL, &other));
    check_ok(vrift_mkdirat(w->task, HERE, "/m", 0755));
    check_ok(vrift_mount(w->task, HERE, "/m", other, 0));
    check_ok(vrift_mkdirat(w->task, HERE, "/m/in", 0755));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/m", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY, 0));
    check_ok(vrift_umount(w->task, HERE, "/m", VRIFT_UMOUNT_DETACH));
    check_error(-VRIFT_EINVAL, vrift_umount(w->task, fd, ".", VRIFT_UMOUNT_DETACH));
    check_error(-VRIFT_EINVAL, vrift_umount(w->task, fd, ".", 0));
    check_error(-VRIFT_EINVAL, vrift_remount(w->task, fd, ".", VRIFT_MOUNT_RDONLY));
    check_ok(vrift_statat(w->task, fd, "in", 0, &st));
    check_ok(vrift_mkdirat(w->task, fd, "still-writable", 0755));
    check_ok(vrift_close(w->task, fd));
    vrift_sb_unref(other);
}

static void a_mount_of_another_namespace_keeps_its_flags(void **state)
{
    struct world *w = *state;
    vrift_ns *ns;
    vrift_task *stranger;
    check_ok(vrift_ns_new(w->vfs, w->sb, 0, &ns));
    check_ok(vrift_task_new(ns, NULL, NULL, &stranger));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY, 0));
    vrift_file *file;
    check_ok(vrift_task_file(w->task, fd, &file));
    int32_t theirs = (int32_t)check_ok(vrift_task_install(stranger, file));
    vrift_file_unref(file);
    check_error(-VRIFT_EINVAL, vrift_remount(stranger, theirs, ".", VRIFT_MOUNT_RDONLY));
    check_error(-VRIFT_EINVAL, vrift_umount(stranger, theirs, ".", VRIFT_UMOUNT_DETACH));
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    check_ok(vrift_close(w->task, fd));
    vrift_task_free(stranger);
    vrift_ns_unref(ns);
}

static void only_who_is_trusted_sets_attributes_of_the_system(void **state)
{
    struct world *w = *state;
    char buf[8];
    world_file(w, "/f", "f");
    check_ok(vrift_setxattrat(w->task, HERE, "/f", "security.x", "root", 4, 0));
    vrift_cred *nobody = world_cred(w, 1000, 1000);
    check_ok(vrift_task_set_cred(w->task, nobody));
    vrift_cred_unref(nobody);
    check_error(-VRIFT_EPERM, vrift_setxattrat(w->task, HERE, "/f", "security.x", "mine", 4, 0));
    check_error(-VRIFT_EPERM, vrift_removexattrat(w->task, HERE, "/f", "security.x", 0));
    check_error(-VRIFT_EPERM, vrift_setxattrat(w->task, HERE, "/f", "system.posix_acl_access", "\2\0\0", 4, 0));
    check_error(-VRIFT_EOPNOTSUPP, vrift_setxattrat(w->task, HERE, "/f", "system.posix_acl_access", "mine", 4, 0));
    check_error(-VRIFT_EPERM, vrift_removexattrat(w->task, HERE, "/f", "system.posix_acl_access", 0));
    assert_int_equal(check_ok(vrift_getxattrat(w->task, HERE, "/f", "security.x", buf, sizeof buf, 0)), 4);
    assert_memory_equal(buf, "root", 4);
}

static void a_write_that_appends_only_a_part_leaves_the_position_behind_that(void **state)
{
    struct world *w = *state;
    char first[] = "abc", second[] = "def";
    const struct vrift_iovec iov[] = {{first, 3}, {second, 3}};
    world_file(w, "/f", "12345");
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_WRONLY | VRIFT_O_APPEND, 0));
    world_fault(w, "pwrite", 1, -VRIFT_ENOSPC);
    assert_int_equal(vrift_writev(w->task, fd, iov, 2), 3);
    world_fault(w, "pwrite", 0, 0);
    assert_int_equal(vrift_lseek(w->task, fd, 0, VRIFT_SEEK_CUR), 8);
    check_ok(vrift_close(w->task, fd));
    world_expect(w, "/f", "12345abc");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_is_made_written_read_and_removed),
        TEST(a_tree_is_made_listed_moved_and_removed),
        TEST(names_are_exchanged_and_hard_links_share_an_inode),
        TEST(symlinks_lead_where_they_say),
        TEST(dup_shares_the_position_and_a_fork_shares_the_description),
        TEST(an_unlinked_file_lives_until_it_is_closed),
        TEST(an_unnamed_file_can_be_given_a_name),
        TEST(a_removed_directory_is_empty_and_takes_no_names),
        TEST(permissions_are_checked_by_mode_bits),
        TEST(a_mount_covers_and_comes_off_again),
        TEST(a_bind_shows_a_part_and_stays_when_it_is_detached),
        TEST(a_mount_that_was_taken_out_can_be_neither_unmounted_nor_remounted),
        TEST(a_mount_of_another_namespace_keeps_its_flags),
        TEST(only_who_is_trusted_sets_attributes_of_the_system),
        TEST(a_write_that_appends_only_a_part_leaves_the_position_behind_that),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
