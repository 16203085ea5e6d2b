/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A backend that cannot be written says EROFS to every change, and nothing else about what is there. */
#include "conformance/conformance.h"

static void opening_for_writing_is_refused(struct world *world)
{
    check_error(-VRIFT_EROFS, vrift_openat(world->task, AT, "/hello", VRIFT_O_WRONLY, 0));
    check_error(-VRIFT_EROFS, vrift_openat(world->task, AT, "/hello", VRIFT_O_RDWR, 0));
    check_error(-VRIFT_EROFS, vrift_openat(world->task, AT, "/hello", VRIFT_O_RDONLY | VRIFT_O_TRUNC, 0));
    check_error(-VRIFT_EROFS, vrift_openat(world->task, AT, "/hello", VRIFT_O_WRONLY | VRIFT_O_APPEND, 0));
    check_text(world->task, "/hello", "hello world\n");
}

static void making_a_file_is_refused_but_opening_one_that_exists_is_not(struct world *world)
{
    check_error(-VRIFT_EROFS, vrift_openat(world->task, AT, "/new", VRIFT_O_RDONLY | VRIFT_O_CREAT, 0644));
    check_error(-VRIFT_EROFS, vrift_openat(world->task, AT, "/new", VRIFT_O_WRONLY | VRIFT_O_CREAT, 0644));
    check_error(-VRIFT_EEXIST, vrift_openat(world->task, AT, "/hello", VRIFT_O_CREAT | VRIFT_O_EXCL, 0644));
    int32_t fd = (int32_t)check_ok(vrift_openat(world->task, AT, "/hello", VRIFT_O_RDONLY | VRIFT_O_CREAT, 0644));
    check_ok(vrift_close(world->task, fd));
}

static void making_a_directory_is_refused(struct world *world)
{
    check_error(-VRIFT_EROFS, vrift_mkdirat(world->task, AT, "/new", 0755));
    check_error(-VRIFT_EEXIST, vrift_mkdirat(world->task, AT, "/hello", 0755));
    check_error(-VRIFT_ENOENT, vrift_mkdirat(world->task, AT, "/missing/new", 0755));
}

static void making_a_symlink_is_refused(struct world *world)
{
    check_error(-VRIFT_EROFS, vrift_symlinkat(world->task, "x", AT, "/new"));
    check_error(-VRIFT_EEXIST, vrift_symlinkat(world->task, "x", AT, "/hello"));
}

static void making_a_special_file_is_refused(struct world *world)
{
    check_error(-VRIFT_EROFS, vrift_mknodat(world->task, AT, "/new", VRIFT_S_IFIFO | 0644, 0));
    check_error(-VRIFT_EROFS, vrift_mknodat(world->task, AT, "/new", VRIFT_S_IFREG | 0644, 0));
}

static void making_a_nameless_file_is_refused(struct world *world)
{
    check_error(-VRIFT_EROFS, vrift_openat(world->task, AT, "/dir", VRIFT_O_TMPFILE | VRIFT_O_RDWR, 0600));
}

static void linking_is_refused(struct world *world)
{
    check_error(-VRIFT_EROFS, vrift_linkat(world->task, AT, "/hello", AT, "/new", 0));
    check_error(-VRIFT_EEXIST, vrift_linkat(world->task, AT, "/hello", AT, "/exec", 0));
}

static void removing_is_refused(struct world *world)
{
    check_error(-VRIFT_EROFS, vrift_unlinkat(world->task, AT, "/hello", 0));
    check_error(-VRIFT_EROFS, vrift_unlinkat(world->task, AT, "/nothing", VRIFT_AT_REMOVEDIR));
    check_text(world->task, "/hello", "hello world\n");
}

static void renaming_is_refused(struct world *world)
{
    check_error(-VRIFT_EROFS, vrift_renameat2(world->task, AT, "/hello", AT, "/new", 0));
    check_error(-VRIFT_EROFS, vrift_renameat2(world->task, AT, "/hello", AT, "/exec", 0));
    check_error(-VRIFT_EROFS, vrift_renameat2(world->task, AT, "/hello", AT, "/exec", VRIFT_RENAME_EXCHANGE));
    check_error(-VRIFT_EROFS, vrift_renameat2(world->task, AT, "/dir", AT, "/newdir", 0));
}

static void changing_attributes_is_refused(struct world *world)
{
    struct vrift_stat old = stat_of(world->task, "/hello");
    check_error(-VRIFT_EROFS, vrift_fchmodat(world->task, AT, "/hello", 0600, 0));
    check_error(-VRIFT_EROFS, vrift_fchownat(world->task, AT, "/hello", 1, 1, 0));
    check_error(-VRIFT_EROFS, vrift_utimensat(world->task, AT, "/hello", NULL, 0));
    check_error(-VRIFT_EROFS, vrift_truncate(world->task, "/hello", 0));
    struct vrift_stat new = stat_of(world->task, "/hello");
    new.atime = old.atime;
    assert_memory_equal(&old, &new, sizeof old);
}

static void changing_xattrs_is_refused(struct world *world)
{
    check_error(-VRIFT_EROFS, vrift_setxattrat(world->task, AT, "/hello", "user.color", "red", 3, 0));
    check_error(-VRIFT_EROFS, vrift_setxattrat(world->task, AT, "/dir", "user.new", "x", 1, 0));
    check_error(-VRIFT_EROFS, vrift_removexattrat(world->task, AT, "/hello", "user.color", 0));
}

static void a_descriptor_for_reading_does_not_write(struct world *world)
{
    int32_t fd = open_file(world->task, "/hello", VRIFT_O_RDONLY);
    check_error(-VRIFT_EBADF, vrift_write(world->task, fd, "x", 1));
    check_error(-VRIFT_EBADF, vrift_pwrite(world->task, fd, "x", 1, 0));
    check_error(-VRIFT_EINVAL, vrift_ftruncate(world->task, fd, 0));
    check_ok(vrift_close(world->task, fd));
}

static void asking_whether_it_may_be_written_says_no(struct world *world)
{
    check_error(-VRIFT_EROFS, vrift_faccessat(world->task, AT, "/hello", 2, 0));
    check_ok(vrift_faccessat(world->task, AT, "/hello", 4, 0));
}

static void what_cannot_be_changed_is_declared_so(struct world *world)
{
    static const uint32_t changes[] = {VRIFT_CAPABILITY_CREATE, VRIFT_CAPABILITY_RANDOM_WRITE,
                                       VRIFT_CAPABILITY_TRUNCATE, VRIFT_CAPABILITY_APPEND, VRIFT_CAPABILITY_SET_TIMES};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        assert_false(has(world, changes[i]));
        assert_int_equal(world->caps[changes[i]].error, -VRIFT_EROFS);
    }
}

const struct test_case refuse_cases[] = {
    {"opening_for_writing_is_refused", opening_for_writing_is_refused},
    {"making_a_file_is_refused_but_opening_one_that_exists_is_not",
     making_a_file_is_refused_but_opening_one_that_exists_is_not},
    {"making_a_directory_is_refused", making_a_directory_is_refused},
    {"making_a_symlink_is_refused", making_a_symlink_is_refused},
    {"making_a_special_file_is_refused", making_a_special_file_is_refused},
    {"making_a_nameless_file_is_refused", making_a_nameless_file_is_refused},
    {"linking_is_refused", linking_is_refused},
    {"removing_is_refused", removing_is_refused},
    {"renaming_is_refused", renaming_is_refused},
    {"changing_attributes_is_refused", changing_attributes_is_refused},
    {"changing_xattrs_is_refused", changing_xattrs_is_refused},
    {"a_descriptor_for_reading_does_not_write", a_descriptor_for_reading_does_not_write},
    {"asking_whether_it_may_be_written_says_no", asking_whether_it_may_be_written_says_no},
    {"what_cannot_be_changed_is_declared_so", what_cannot_be_changed_is_declared_so},
    {NULL, NULL},
};
