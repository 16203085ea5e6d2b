/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Attributes, directories, confinement, removal and small files, on whatever file system $TMPDIR is. */
#include "support/check.h"

#include "platform/fileops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct place {
    char *path;
    int dir;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    place->path = temporary_directory();
    place->dir = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = place;
    return place->dir < 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    close(place->dir);
    remove_temporary_directory(place->path);
    free(place);
    return 0;
}

static void make_file(int dir, const char *name, const char *text)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* -- Attributes --------------------------------------------------------------------------------------------------- */

static void stat_agrees_with_the_hosts_and_does_not_follow(void **state)
{
    struct place *place = *state;
    struct vrift_stat got, by_fd;
    struct stat st;
    make_file(place->dir, "file", "hello");
    symlinkat("file", place->dir, "link");
    assert_int_equal(fstatat(place->dir, "file", &st, 0), 0);
    check_ok(vr_fileops_stat(place->dir, "file", &got));
    assert_int_equal(got.mask & VRIFT_STAT_BASIC, VRIFT_STAT_BASIC);
    assert_int_equal(got.ino, st.st_ino);
    assert_int_equal(got.size, 5);
    assert_int_equal(got.mode, st.st_mode);
    assert_int_equal(got.mtime.sec, st.st_mtim.tv_sec);
    assert_int_equal(got.mtime.nsec, st.st_mtim.tv_nsec);
    check_ok(vr_fileops_stat(place->dir, "link", &got));
    assert_int_equal(got.mode & VRIFT_S_IFMT, VRIFT_S_IFLNK);
    assert_int_equal(fstat(place->dir, &st), 0);
    check_ok(vr_fileops_stat(place->dir, "", &by_fd));
    assert_int_equal(by_fd.ino, st.st_ino);
    check_error(-VRIFT_ENOENT, vr_fileops_stat(place->dir, "nothing", &got));
}

static void attributes_can_be_set_through_an_o_path_descriptor(void **state)
{
    struct place *place = *state;
    struct vrift_stat got;
    const struct vrift_timespec old = {-86400, 123456789, 0};
    char value[8];
    make_file(place->dir, "file", "x");
    int fd = openat(place->dir, "file", O_PATH | O_CLOEXEC);
    assert_true(fd >= 0);
    check_ok(vr_fileops_set_mode(fd, "", 0640));
    check_ok(vr_fileops_set_owner(fd, "", getuid(), getgid()));
    check_ok(vr_fileops_set_times(fd, "", NULL, &old));
    check_ok(vr_fileops_stat(fd, "", &got));
    assert_int_equal(got.mode & 07777, 0640);
    assert_int_equal(got.mtime.sec, -86400);
    assert_int_equal(got.mtime.nsec, 123456789);
    assert_true(got.atime.sec > 0);
    int32_t result = vr_fileops_xattr_set(fd, "", "user.a", "1234", 4, VRIFT_XATTR_CREATE);
    if (result == -VRIFT_EOPNOTSUPP)
        skip_because("no user xattrs here");
    check_ok(result);
    assert_int_equal(check_ok(vr_fileops_xattr_get(fd, "", "user.a", value, sizeof value)), 4);
    assert_memory_equal(value, "1234", 4);
    close(fd);
}

static void attributes_of_a_symlink_are_its_own(void **state)
{
    struct place *place = *state;
    struct vrift_stat link, file;
    const struct vrift_timespec time = {1000, 1, 0};
    make_file(place->dir, "file", "x");
    symlinkat("file", place->dir, "link");
    check_ok(vr_fileops_set_times(place->dir, "link", &time, &time));
    check_ok(vr_fileops_stat(place->dir, "link", &link));
    check_ok(vr_fileops_stat(place->dir, "file", &file));
    assert_int_equal(link.mtime.sec, 1000);
    assert_true(file.mtime.sec > 1000);
    check_error(-VRIFT_EOPNOTSUPP, vr_fileops_set_mode(place->dir, "link", 0600));
    assert_true(vr_fileops_xattr_set(place->dir, "link", "user.a", "1", 1, 0) < 0);
    char buf[256];
    check_error(-VRIFT_ENODATA, vr_fileops_xattr_get(place->dir, "file", "user.a", buf, sizeof buf));
    check_ok(vr_fileops_xattr_list(place->dir, "link", buf, sizeof buf));
}

static void xattrs_follow_the_kernels_rules(void **state)
{
    struct place *place = *state;
    char buf[64];
    make_file(place->dir, "file", "x");
    int32_t result = vr_fileops_xattr_set(place->dir, "file", "user.one", "12", 2, 0);
    if (result == -VRIFT_EOPNOTSUPP)
        skip_because("no user xattrs here");
    check_ok(result);
    check_error(-VRIFT_EEXIST, vr_fileops_xattr_set(place->dir, "file", "user.one", "", 0, VRIFT_XATTR_CREATE));
    check_error(-VRIFT_ENODATA, vr_fileops_xattr_set(place->dir, "file", "user.two", "", 0, VRIFT_XATTR_REPLACE));
    check_error(-VRIFT_EINVAL, vr_fileops_xattr_set(place->dir, "file", "user.two", "", 0, 4));
    check_error(-VRIFT_ERANGE, vr_fileops_xattr_get(place->dir, "file", "user.one", buf, 1));
    assert_int_equal(vr_fileops_xattr_get(place->dir, "file", "user.one", NULL, 0), 2);
    assert_int_equal(vr_fileops_xattr_list(place->dir, "file", NULL, 0), sizeof "user.one");
    assert_int_equal(vr_fileops_xattr_list(place->dir, "file", buf, sizeof buf), sizeof "user.one");
    assert_memory_equal(buf, "user.one", sizeof "user.one");
    check_ok(vr_fileops_xattr_remove(place->dir, "file", "user.one"));
    check_error(-VRIFT_ENODATA, vr_fileops_xattr_remove(place->dir, "file", "user.one"));
}

/* -- Directories -------------------------------------------------------------------------------------------------- */

struct listing {
    unsigned count, stop_after;
    uint64_t last_cookie;
    int seen[5000];
};

static int32_t list(const struct vr_fileops_dirent *entry, void *payload)
{
    struct listing *listing = payload;
    assert_int_equal(strlen(entry->name), entry->length);
    listing->seen[atoi(entry->name)]++;
    listing->last_cookie = entry->cookie;
    return ++listing->count == listing->stop_after ? 7 : 0;
}

static void readdir_goes_on_after_a_cookie_and_sees_every_name_once(void **state)
{
    struct place *place = *state;
    static struct listing listing;
    memset(&listing, 0, sizeof listing);
    for (int i = 0; i < 5000; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        make_file(place->dir, name, "");
    }
    listing.stop_after = 1234;
    assert_int_equal(vr_fileops_readdir(place->dir, 0, list, &listing), 7);
    assert_int_equal(listing.count, 1234);
    check_ok(vr_fileops_readdir(place->dir, listing.last_cookie, list, &listing));
    assert_int_equal(listing.count, 5000);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(listing.seen[i], 1);
    int file = openat(place->dir, "7", O_RDONLY | O_CLOEXEC);
    check_error(-VRIFT_ENOTDIR, vr_fileops_readdir(file, 0, list, &listing));
    close(file);
}

static void opening_beneath_never_leaves(void **state)
{
    struct place *place = *state;
    struct vrift_stat got;
    mkdirat(place->dir, "a", 0755);
    mkdirat(place->dir, "a/b", 0755);
    make_file(place->dir, "a/b/file", "x");
    symlinkat("b", place->dir, "a/to_b");
    symlinkat("/etc", place->dir, "etc");
    for (uint32_t how = 0; how <= VR_FILEOPS_NO_OPENAT2; how++) {
        int32_t fd = vr_fileops_open_beneath(place->dir, "a/b/file", O_RDONLY, 0, how);
        close((int)check_ok(fd));
        close((int)check_ok(vr_fileops_open_beneath(place->dir, "a//b/", O_RDONLY | O_DIRECTORY, 0, how)));
        close((int)check_ok(vr_fileops_open_beneath(place->dir, "", O_PATH, 0, how)));
        check_error(-VRIFT_EXDEV, vr_fileops_open_beneath(place->dir, "/etc/passwd", O_RDONLY, 0, how));
        check_error(-VRIFT_EXDEV, vr_fileops_open_beneath(place->dir, "../x", O_RDONLY, 0, how));
        check_error(-VRIFT_EXDEV, vr_fileops_open_beneath(place->dir, "a/..", O_RDONLY, 0, how));
        check_error(-VRIFT_ELOOP, vr_fileops_open_beneath(place->dir, "etc/passwd", O_RDONLY, 0, how));
        check_error(-VRIFT_ELOOP, vr_fileops_open_beneath(place->dir, "a/to_b/file", O_RDONLY, 0, how));
        check_error(-VRIFT_ELOOP, vr_fileops_open_beneath(place->dir, "etc", O_RDONLY, 0, how));
        check_error(-VRIFT_ELOOP, vr_fileops_open_beneath(place->dir, "etc", O_PATH, 0, how));
        check_error(-VRIFT_ELOOP, vr_fileops_open_beneath(place->dir, "etc", O_RDONLY | O_DIRECTORY, 0, how));
        check_error(-VRIFT_ENOTDIR, vr_fileops_open_beneath(place->dir, "a/b/file/x", O_RDONLY, 0, how));
        check_error(-VRIFT_ENOTDIR, vr_fileops_open_beneath(place->dir, "a/b/file/", O_RDONLY, 0, how));
        check_error(-VRIFT_ENOENT, vr_fileops_open_beneath(place->dir, "a/none/x", O_RDONLY, 0, how));
        fd = vr_fileops_open_beneath(place->dir, "etc", O_PATH | O_NOFOLLOW, 0, how);
        check_ok(fd);
        check_ok(vr_fileops_stat(fd, "", &got));
        assert_int_equal(got.mode & VRIFT_S_IFMT, VRIFT_S_IFLNK);
        close(fd);
        char name[16];
        snprintf(name, sizeof name, "a/new%u", how);
        close((int)check_ok(vr_fileops_open_beneath(place->dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600, how)));
        check_error(-VRIFT_EEXIST, vr_fileops_open_beneath(place->dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600, how));
    }
}

static void a_path_longer_than_the_system_takes_is_opened_beneath(void **state)
{
    struct place *place = *state;
    char *path = calloc(300, 26);
    assert_non_null(path);
    int dir = dup(place->dir);
    for (int i = 0; i < 300; i++) {
        strcat(path, "a_rather_long_directory/");
        assert_int_equal(mkdirat(dir, "a_rather_long_directory", 0755), 0);
        int next = openat(dir, "a_rather_long_directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(dir);
        dir = next;
    }
    make_file(dir, "file", "x");
    close(dir);
    for (uint32_t how = 0; how <= VR_FILEOPS_NO_OPENAT2; how++) {
        close((int)check_ok(vr_fileops_open_beneath(place->dir, path, O_RDONLY | O_DIRECTORY, 0, how)));
        size_t length = strlen(path);
        strcpy(path + length, "file");
        close((int)check_ok(vr_fileops_open_beneath(place->dir, path, O_RDONLY, 0, how)));
        path[length] = '\0';
    }
    check_ok(vr_fileops_remove_tree(place->dir, "a_rather_long_directory"));
    free(path);
}

static void a_path_is_made_with_its_parents_and_again(void **state)
{
    struct place *place = *state;
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/x//y/z/", place->path);
    check_ok(vr_fileops_make_path(path, 0700));
    check_ok(vr_fileops_make_path(path, 0700));
    assert_int_equal(stat(path, &st), 0);
    make_file(place->dir, "file", "");
    snprintf(path, sizeof path, "%s/file/y", place->path);
    check_error(-VRIFT_ENOTDIR, vr_fileops_make_path(path, 0700));
    check_error(-VRIFT_ENOENT, vr_fileops_make_path("", 0700));
}

/* -- Removal ------------------------------------------------------------------------------------------------------ */

static void a_tree_far_deeper_than_a_path_may_be_is_removed(void **state)
{
    struct place *place = *state;
    int dir = dup(place->dir);
    for (int i = 0; i < 3000; i++) {
        assert_int_equal(mkdirat(dir, "a_longer_name", 0755), 0);
        if (i % 100 == 0)
            make_file(dir, "file", "x");
        int next = openat(dir, "a_longer_name", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(dir);
        dir = next;
    }
    close(dir);
    check_ok(vr_fileops_remove_tree(place->dir, "a_longer_name"));
    assert_int_equal(faccessat(place->dir, "a_longer_name", F_OK, 0), -1);
    check_ok(vr_fileops_remove_tree(place->dir, "a_longer_name"));
}

static void a_wide_tree_with_read_only_directories_is_removed_and_symlinks_are_not_followed(void **state)
{
    struct place *place = *state;
    mkdirat(place->dir, "outside", 0755);
    make_file(place->dir, "outside/precious", "x");
    mkdirat(place->dir, "tree", 0755);
    symlinkat("../outside", place->dir, "tree/link");
    for (int i = 0; i < 300; i++) {
        char name[64];
        snprintf(name, sizeof name, "tree/d%d", i);
        mkdirat(place->dir, name, 0755);
        snprintf(name, sizeof name, "tree/d%d/file", i);
        make_file(place->dir, name, "x");
        snprintf(name, sizeof name, "tree/d%d/sub", i);
        mkdirat(place->dir, name, 0755);
        snprintf(name, sizeof name, "tree/d%d", i);
        fchmodat(place->dir, name, i % 2 ? 0555 : 0, 0);
    }
    fchmodat(place->dir, "tree", 0555, 0);
    if (getuid() == 0) /* whom no mode stops */
        assert_int_equal(seteuid(65534), 0);
    int32_t unprivileged = vr_fileops_remove_tree(place->dir, "tree");
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    if (getuid() == 0)
        assert_true(unprivileged < 0); /* not its owner */
    check_ok(vr_fileops_remove_tree(place->dir, "tree"));
    assert_int_equal(faccessat(place->dir, "tree", F_OK, 0), -1);
    assert_int_equal(faccessat(place->dir, "outside/precious", F_OK, 0), 0);
}

static void our_own_unreadable_directories_are_removed_without_privilege(void **state)
{
    struct place *place = *state;
    if (getuid() != 0)
        skip_because("run by root only; the test above covers others");
    assert_int_equal(fchmod(place->dir, 0777), 0);
    assert_int_equal(seteuid(65534), 0);
    mkdirat(place->dir, "own", 0755);
    mkdirat(place->dir, "own/a", 0755);
    mkdirat(place->dir, "own/a/b", 0755);
    make_file(place->dir, "own/a/file", "x");
    fchmodat(place->dir, "own/a", 0, 0);
    fchmodat(place->dir, "own", 0555, 0);
    int32_t result = vr_fileops_remove_tree(place->dir, "own");
    assert_int_equal(seteuid(0), 0);
    check_ok(result);
    assert_int_equal(faccessat(place->dir, "own", F_OK, 0), -1);
}

/* -- Small files -------------------------------------------------------------------------------------------------- */

static void a_file_is_written_whole_and_read_back(void **state)
{
    struct place *place = *state;
    char *data;
    size_t length;
    struct stat st;
    mode_t before = umask(077);
    check_ok(vr_fileops_write_file(place->dir, "file", "first", 5, 0644, 0));
    umask(before);
    assert_int_equal(fstatat(place->dir, "file", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    check_ok(vr_fileops_write_file(place->dir, "file", "second\0", 7, 0444, 1));
    check_ok(vr_fileops_read_file(place->dir, "file", 7, &data, &length));
    assert_int_equal(length, 7);
    assert_memory_equal(data, "second\0", 8);
    free(data);
    check_error(-VRIFT_EFBIG, vr_fileops_read_file(place->dir, "file", 6, &data, &length));
    mkdirat(place->dir, "dir", 0755);
    check_ok(vr_fileops_write_file(place->dir, "dir/file", "", 0, 0600, 1));
    check_ok(vr_fileops_read_file(place->dir, "dir/file", 0, &data, &length));
    assert_int_equal(length, 0);
    assert_string_equal(data, "");
    free(data);
}

static void what_is_not_a_plain_file_is_not_read(void **state)
{
    struct place *place = *state;
    char *data;
    size_t length;
    make_file(place->dir, "file", "x");
    symlinkat("file", place->dir, "link");
    mkfifoat(place->dir, "fifo", 0644);
    check_error(-VRIFT_ELOOP, vr_fileops_read_file(place->dir, "link", 10, &data, &length));
    check_error(-VRIFT_EINVAL, vr_fileops_read_file(place->dir, "fifo", 10, &data, &length));
    check_error(-VRIFT_EISDIR, vr_fileops_read_file(place->dir, ".", 10, &data, &length));
    check_error(-VRIFT_ENOENT, vr_fileops_read_file(place->dir, "none", 10, &data, &length));
    check_ok(vr_fileops_read_file(AT_FDCWD, "/proc/self/status", 1 << 20, &data, &length));
    assert_true(length > 100);
    free(data);
}

static int32_t count_one(const struct vr_fileops_dirent *entry, void *payload)
{
    (void)entry;
    ++*(int *)payload;
    return 0;
}

static void a_failed_write_leaves_no_temporary_file(void **state)
{
    struct place *place = *state;
    int count = 0;
    mkdirat(place->dir, "in_the_way", 0755);
    check_error(-VRIFT_EISDIR, vr_fileops_write_file(place->dir, "in_the_way", "x", 1, 0644, 0));
    check_error(-VRIFT_ENOENT, vr_fileops_write_file(place->dir, "none/file", "x", 1, 0644, 0));
    check_ok(vr_fileops_readdir(place->dir, 0, count_one, &count));
    assert_int_equal(count, 1);
}

static void reads_past_the_end_return_what_there_is(void **state)
{
    struct place *place = *state;
    char buf[16];
    int fd = openat(place->dir, "file", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    check_ok(vr_fileops_write_at(fd, "abcdef", 6, 2));
    assert_int_equal(vr_fileops_read_at(fd, buf, sizeof buf, 4), 4);
    assert_memory_equal(buf, "cdef", 4);
    assert_int_equal(vr_fileops_read_at(fd, buf, sizeof buf, 8), 0);
    close(fd);
    check_error(-VRIFT_EBADF, vr_fileops_read_at(-1, buf, 1, 0));
    check_error(-VRIFT_EBADF, vr_fileops_write_at(-1, buf, 1, 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(stat_agrees_with_the_hosts_and_does_not_follow),
        TEST(attributes_can_be_set_through_an_o_path_descriptor),
        TEST(attributes_of_a_symlink_are_its_own),
        TEST(xattrs_follow_the_kernels_rules),
        TEST(readdir_goes_on_after_a_cookie_and_sees_every_name_once),
        TEST(opening_beneath_never_leaves),
        TEST(a_path_longer_than_the_system_takes_is_opened_beneath),
        TEST(a_path_is_made_with_its_parents_and_again),
        TEST(a_tree_far_deeper_than_a_path_may_be_is_removed),
        TEST(a_wide_tree_with_read_only_directories_is_removed_and_symlinks_are_not_followed),
        TEST(our_own_unreadable_directories_are_removed_without_privilege),
        TEST(a_file_is_written_whole_and_read_back),
        TEST(what_is_not_a_plain_file_is_not_read),
        TEST(a_failed_write_leaves_no_temporary_file),
        TEST(reads_past_the_end_return_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
