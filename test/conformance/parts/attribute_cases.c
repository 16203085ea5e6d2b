/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "conformance/conformance.h"

#include <unistd.h>

static void every_permission_bit_can_be_set(struct world *world)
{
    static const uint32_t modes[] = {0, 0777, 04755, 02755, 01777, 07777, 0400, 0644};
    put(world->task, "/f", "x");
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0755));
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        int32_t result = vrift_fchmodat(world->task, AT, "/f", modes[i], 0);
        if (lacks(world, VRIFT_CAPABILITY_UNIX_PERMISSIONS, result))
            return;
        check_ok(result);
        assert_int_equal(stat_of(world->task, "/f").mode, VRIFT_S_IFREG | modes[i]);
        check_ok(vrift_fchmodat(world->task, AT, "/d", modes[i], 0));
        assert_int_equal(stat_of(world->task, "/d").mode, VRIFT_S_IFDIR | modes[i]);
    }
}

static void chmod_stamps_ctime_and_leaves_mtime(struct world *world)
{
    put(world->task, "/f", "x");
    struct vrift_stat old = stat_of(world->task, "/f");
    let_the_clock_tick();
    check_ok(vrift_fchmodat(world->task, AT, "/f", 0600, 0));
    struct vrift_stat new = stat_of(world->task, "/f");
    assert_true(before(old.ctime, new.ctime));
    assert_memory_equal(&old.mtime, &new.mtime, sizeof old.mtime);
    assert_int_equal(old.ino, new.ino);
}

static void a_file_can_be_given_away(struct world *world)
{
    put(world->task, "/f", "x");
    int32_t result = vrift_fchownat(world->task, AT, "/f", 1234, 5678, 0);
    if (lacks(world, VRIFT_CAPABILITY_OWNERSHIP, result))
        return;
    check_ok(result);
    assert_int_equal(stat_of(world->task, "/f").uid, 1234);
    assert_int_equal(stat_of(world->task, "/f").gid, 5678);
    check_ok(vrift_fchownat(world->task, AT, "/f", 0xffffffff, 1, 0));
    assert_int_equal(stat_of(world->task, "/f").uid, 1234);
    assert_int_equal(stat_of(world->task, "/f").gid, 1);
    check_ok(vrift_symlinkat(world->task, "f", AT, "/l"));
    check_ok(vrift_fchownat(world->task, AT, "/l", 7, 8, VRIFT_AT_SYMLINK_NOFOLLOW));
    assert_int_equal(stat_of(world->task, "/l").uid, 7);
    assert_int_equal(stat_of(world->task, "/f").uid, 1234);
}

static void what_a_task_makes_belongs_to_it(struct world *world)
{
    struct vrift_cred_options options = {.size = sizeof options, .uid = 1000, .gid = 1001};
    vrift_cred *cred;
    vrift_task *other;
    if (!has(world, VRIFT_CAPABILITY_OWNERSHIP))
        return;
    check_ok(vrift_fchmodat(world->task, AT, "/", 0777, 0));
    check_ok(vrift_cred_new(world->vfs, &options, &cred));
    check_ok(vrift_task_fork(world->task, &other));
    check_ok(vrift_task_set_cred(other, cred));
    put(other, "/f", "x");
    check_ok(vrift_mkdirat(other, AT, "/d", 0755));
    check_ok(vrift_symlinkat(other, "f", AT, "/l"));
    vrift_task_free(other);
    vrift_cred_unref(cred);
    static const char *const names[] = {"/f", "/d", "/l"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stat_of(world->task, names[i]).uid, 1000);
        assert_int_equal(stat_of(world->task, names[i]).gid, 1001);
    }
}

static void a_directory_with_setgid_passes_its_group_on(struct world *world)
{
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0755));
    int32_t result = vrift_fchownat(world->task, AT, "/d", 0xffffffff, 2000, 0);
    if (lacks(world, VRIFT_CAPABILITY_OWNERSHIP, result))
        return;
    check_ok(vrift_fchmodat(world->task, AT, "/d", 02777, 0));
    put(world->task, "/d/f", "x");
    check_ok(vrift_mkdirat(world->task, AT, "/d/s", 0755));
    assert_int_equal(stat_of(world->task, "/d/f").gid, 2000);
    assert_int_equal(stat_of(world->task, "/d/f").mode, VRIFT_S_IFREG | 0644);
    assert_int_equal(stat_of(world->task, "/d/s").gid, 2000);
    assert_int_equal(stat_of(world->task, "/d/s").mode, VRIFT_S_IFDIR | 02755);
}

static void times_are_set_to_the_nanosecond_before_1970_too(struct world *world)
{
    static const struct vrift_timespec wanted[][2] = {
        {{-1, 999999999, 0}, {-1000000000, 1, 0}},
        {{0, 0, 0}, {0, 1, 0}},
        {{1700000000, 123456789, 0}, {4102444800, 987654321, 0}},
    };
    put(world->task, "/f", "x");
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0755));
    for (int i = 0; i < 3; i++) {
        int32_t result = vrift_utimensat(world->task, AT, "/f", wanted[i], 0);
        if (lacks(world, VRIFT_CAPABILITY_SET_TIMES, result))
            return;
        check_ok(result);
        check_ok(vrift_utimensat(world->task, AT, "/d", wanted[i], 0));
        struct vrift_stat file = stat_of(world->task, "/f");
        assert_memory_equal(&file.atime, &wanted[i][0], sizeof file.atime);
        assert_memory_equal(&file.mtime, &wanted[i][1], sizeof file.mtime);
        struct vrift_stat dir = stat_of(world->task, "/d");
        assert_memory_equal(&dir.mtime, &wanted[i][1], sizeof dir.mtime);
    }
}

static void times_can_be_omitted_or_be_now(struct world *world)
{
    const struct vrift_timespec both[2] = {{1, 2, 0}, {3, 4, 0}};
    const struct vrift_timespec only_mtime[2] = {{0, VRIFT_UTIME_OMIT, 0}, {5, 6, 0}};
    const struct vrift_timespec atime_now[2] = {{0, VRIFT_UTIME_NOW, 0}, {0, VRIFT_UTIME_OMIT, 0}};
    const struct vrift_timespec bad[2] = {{0, 1000000000, 0}, {0, 0, 0}};
    put(world->task, "/f", "x");
    if (lacks(world, VRIFT_CAPABILITY_SET_TIMES, vrift_utimensat(world->task, AT, "/f", both, 0)))
        return;
    check_ok(vrift_utimensat(world->task, AT, "/f", only_mtime, 0));
    struct vrift_stat attr = stat_of(world->task, "/f");
    assert_int_equal(attr.atime.sec, 1);
    assert_int_equal(attr.mtime.sec, 5);
    check_ok(vrift_utimensat(world->task, AT, "/f", atime_now, 0));
    attr = stat_of(world->task, "/f");
    assert_true(attr.atime.sec > 1700000000);
    assert_int_equal(attr.mtime.sec, 5);
    check_ok(vrift_utimensat(world->task, AT, "/f", NULL, 0));
    assert_true(stat_of(world->task, "/f").mtime.sec > 1700000000);
    check_error(-VRIFT_EINVAL, vrift_utimensat(world->task, AT, "/f", bad, 0));
}

static void a_symlink_has_times_of_its_own(struct world *world)
{
    const struct vrift_timespec times[2] = {{11, 0, 0}, {12, 0, 0}};
    put(world->task, "/f", "x");
    if (lacks(world, VRIFT_CAPABILITY_SYMLINKS, vrift_symlinkat(world->task, "f", AT, "/l")))
        return;
    int32_t result = vrift_utimensat(world->task, AT, "/l", times, VRIFT_AT_SYMLINK_NOFOLLOW);
    if (lacks(world, VRIFT_CAPABILITY_SET_TIMES, result))
        return;
    check_ok(result);
    assert_int_equal(stat_of(world->task, "/l").mtime.sec, 12);
    assert_true(stat_of(world->task, "/f").mtime.sec > 1700000000);
    check_error(-VRIFT_EOPNOTSUPP, vrift_fchmodat(world->task, AT, "/l", 0600, VRIFT_AT_SYMLINK_NOFOLLOW));
}

static void changes_of_its_names_stamp_a_directory(struct world *world)
{
    struct vrift_stat old;
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0755));
    for (int step = 0; step < 4; step++) {
        old = stat_of(world->task, "/d");
        let_the_clock_tick();
        if (step == 0)
            put(world->task, "/d/f", "x");
        else if (step == 1)
            check_ok(vrift_mkdirat(world->task, AT, "/d/s", 0755));
        else if (step == 2)
            check_ok(vrift_unlinkat(world->task, AT, "/d/f", 0));
        else
            check_ok(vrift_unlinkat(world->task, AT, "/d/s", VRIFT_AT_REMOVEDIR));
        assert_true(before(old.mtime, stat_of(world->task, "/d").mtime));
        assert_true(before(old.ctime, stat_of(world->task, "/d").ctime));
    }
}

static void a_new_inode_has_the_time_of_its_making(struct world *world)
{
    put(world->task, "/a", "");
    let_the_clock_tick();
    put(world->task, "/b", "");
    assert_true(before(stat_of(world->task, "/a").mtime, stat_of(world->task, "/b").mtime));
    struct vrift_stat b = stat_of(world->task, "/b");
    assert_memory_equal(&b.mtime, &b.ctime, sizeof b.mtime);
}

static void xattrs_are_set_replaced_listed_and_removed(struct world *world)
{
    char buf[256];
    vrift_task *task = world->task;
    put(task, "/f", "x");
    int32_t result = vrift_setxattrat(task, AT, "/f", "user.a", "one", 3, 0);
    if (lacks(world, VRIFT_CAPABILITY_USER_XATTRS, result))
        return;
    check_ok(result);
    check_error(-VRIFT_EEXIST, vrift_setxattrat(task, AT, "/f", "user.a", "two", 3, VRIFT_XATTR_CREATE));
    check_error(-VRIFT_ENODATA, vrift_setxattrat(task, AT, "/f", "user.b", "two", 3, VRIFT_XATTR_REPLACE));
    check_ok(vrift_setxattrat(task, AT, "/f", "user.a", "longer", 6, VRIFT_XATTR_REPLACE));
    check_ok(vrift_setxattrat(task, AT, "/f", "user.b", "", 0, VRIFT_XATTR_CREATE));
    assert_int_equal(vrift_getxattrat(task, AT, "/f", "user.a", buf, sizeof buf, 0), 6);
    assert_memory_equal(buf, "longer", 6);
    check_error(-VRIFT_ERANGE, vrift_getxattrat(task, AT, "/f", "user.a", buf, 5, 0));
    assert_int_equal(vrift_listxattrat(task, AT, "/f", buf, sizeof buf, 0), 14);
    check_ok(vrift_removexattrat(task, AT, "/f", "user.a", 0));
    check_error(-VRIFT_ENODATA, vrift_removexattrat(task, AT, "/f", "user.a", 0));
    check_error(-VRIFT_ENODATA, vrift_getxattrat(task, AT, "/f", "user.a", buf, sizeof buf, 0));
    assert_int_equal(vrift_listxattrat(task, AT, "/f", buf, sizeof buf, 0), 7);
    check_ok(vrift_mkdirat(task, AT, "/d", 0755));
    check_ok(vrift_setxattrat(task, AT, "/d", "user.a", "dir", 3, 0));
    assert_int_equal(vrift_getxattrat(task, AT, "/d", "user.a", buf, sizeof buf, 0), 3);
}

static void xattrs_follow_the_inode_not_the_name(struct world *world)
{
    char buf[16];
    put(world->task, "/f", "x");
    int32_t result = vrift_setxattrat(world->task, AT, "/f", "user.a", "v", 1, 0);
    if (lacks(world, VRIFT_CAPABILITY_USER_XATTRS, result))
        return;
    check_ok(vrift_renameat2(world->task, AT, "/f", AT, "/g", 0));
    put(world->task, "/f", "another");
    assert_int_equal(vrift_getxattrat(world->task, AT, "/g", "user.a", buf, sizeof buf, 0), 1);
    check_error(-VRIFT_ENODATA, vrift_getxattrat(world->task, AT, "/f", "user.a", buf, sizeof buf, 0));
}

static void bad_xattrs_are_refused(struct world *world)
{
    vrift_task *task = world->task;
    char name[300];
    char *big = calloc(1, 65537);
    put(task, "/f", "x");
    if (has(world, VRIFT_CAPABILITY_USER_XATTRS)) {
        memset(name, 'x', sizeof name);
        memcpy(name, "user.", 5);
        name[256] = '\0';
        check_error(-VRIFT_ERANGE, vrift_setxattrat(task, AT, "/f", name, "v", 1, 0));
        check_error(-VRIFT_E2BIG, vrift_setxattrat(task, AT, "/f", "user.big", big, 65537, 0));
        check_error(-VRIFT_EOPNOTSUPP, vrift_setxattrat(task, AT, "/f", "nonsense.a", "v", 1, 0));
        check_error(-VRIFT_EINVAL, vrift_setxattrat(task, AT, "/f", "user.", "v", 1, 0));
        if (!lacks(world, VRIFT_CAPABILITY_SYMLINKS, vrift_symlinkat(task, "f", AT, "/l")))
            check_error(-VRIFT_EPERM, vrift_setxattrat(task, AT, "/l", "user.a", "v", 1, VRIFT_AT_SYMLINK_NOFOLLOW));
    }
    free(big);
}

static vrift_task *task_of(struct world *world, uint32_t uid)
{
    struct vrift_cred_options options = {.size = sizeof options, .uid = uid, .gid = uid};
    vrift_cred *cred;
    vrift_task *task;
    check_ok(vrift_cred_new(world->vfs, &options, &cred));
    check_ok(vrift_task_fork(world->task, &task));
    check_ok(vrift_task_set_cred(task, cred));
    vrift_cred_unref(cred);
    return task;
}

static void an_acl_decides_where_the_mode_does_not(struct world *world)
{
    static const char acl[] = "\2\0\0\0\1\0\7\0\377\377\377\377\2\0\5\0\350\3\0\0\4\0\0\0\377\377\377\377"
                              "\20\0\7\0\377\377\377\377\40\0\0\0\377\377\377\377"; /* uid 1000: r-x */
    char buf[sizeof acl];
    vrift_task *task = world->task;
    check_ok(vrift_mkdirat(task, AT, "/d", 0755));
    int32_t result = vrift_setxattrat(task, AT, "/d", "system.posix_acl_access", acl, sizeof acl - 1, 0);
    if (lacks(world, VRIFT_CAPABILITY_ACLS, result))
        return;
    check_ok(result);
    check_ok(vrift_setxattrat(task, AT, "/d", "system.posix_acl_default", acl, sizeof acl - 1, 0));
    put(task, "/d/f", "x");
    vrift_task *named = task_of(world, 1000), *other = task_of(world, 1001);
    check_ok(vrift_fchmodat(task, AT, "/", 0755, 0));
    assert_int_equal(stat_of(task, "/d").mode & 0777, 0770);
    assert_int_equal(stat_of(task, "/d/f").mode & 0777, 0640); /* of what was asked for, not of the umask */
    assert_int_equal(vrift_getxattrat(task, AT, "/d", "system.posix_acl_access", buf, sizeof buf, 0), sizeof acl - 1);
    assert_memory_equal(buf, acl, sizeof acl - 1);
    check_ok(vrift_faccessat(named, AT, "/d/f", 4, 0));
    check_error(-VRIFT_EACCES, vrift_faccessat(named, AT, "/d/f", 2, 0));
    check_error(-VRIFT_EACCES, vrift_faccessat(other, AT, "/d/f", 0, 0));
    check_ok(vrift_fchmodat(task, AT, "/d", 0700, 0)); /* the group bits are the mask */
    check_error(-VRIFT_EACCES, vrift_faccessat(named, AT, "/d/f", 4, 0));
    check_ok(vrift_fchmodat(task, AT, "/d", 0750, 0));
    check_ok(vrift_faccessat(named, AT, "/d/f", 4, 0));
    check_ok(vrift_removexattrat(task, AT, "/d", "system.posix_acl_access", 0));
    check_error(-VRIFT_EACCES, vrift_faccessat(named, AT, "/d/f", 0, 0));
    vrift_task_free(named);
    vrift_task_free(other);
}

static void flags_bind_everybody(struct world *world)
{
    vrift_task *task = world->task;
    uint64_t flags;
    put(task, "/f", "x");
    check_ok(vrift_mkdirat(task, AT, "/d", 0755));
    int32_t result = vrift_setflags(task, AT, "/f", VRIFT_FL_NODUMP, 0);
    if (lacks(world, VRIFT_CAPABILITY_FLAGS, result))
        return;
    check_ok(result);
    check_ok(vrift_getflags(task, AT, "/f", 0, &flags));
    assert_int_equal(flags, VRIFT_FL_NODUMP);
    check_error(-VRIFT_EOPNOTSUPP, vrift_setflags(task, AT, "/f", 1, 0));
    vrift_task *other = task_of(world, 1000);
    check_error(-VRIFT_EPERM, vrift_setflags(other, AT, "/f", 0, 0));
    vrift_task_free(other);
    result = vrift_setflags(task, AT, "/f", VRIFT_FL_IMMUTABLE, 0);
    if (result == -VRIFT_EPERM && geteuid() != 0)
        skip_because("needs root, to set flags that bind on the host");
    check_ok(result);
    assert_true(stat_of(task, "/f").attributes & VRIFT_ATTR_IMMUTABLE);
    check_error(-VRIFT_EPERM, vrift_unlinkat(task, AT, "/f", 0));
    check_error(-VRIFT_EPERM, vrift_openat(task, AT, "/f", VRIFT_O_WRONLY, 0));
    check_error(-VRIFT_EPERM, vrift_fchmodat(task, AT, "/f", 0600, 0));
    check_error(-VRIFT_EPERM, vrift_linkat(task, AT, "/f", AT, "/g", 0));
    check_text(task, "/f", "x");
    check_ok(vrift_setflags(task, AT, "/f", 0, 0));
    check_ok(vrift_unlinkat(task, AT, "/f", 0));
    check_ok(vrift_setflags(task, AT, "/d", VRIFT_FL_APPEND, 0));
    put(task, "/d/f", "x");
    check_error(-VRIFT_EPERM, vrift_unlinkat(task, AT, "/d/f", 0));
    check_ok(vrift_setflags(task, AT, "/d", 0, 0));
    check_ok(vrift_unlinkat(task, AT, "/d/f", 0));
}

static void trusted_xattrs_belong_to_the_privileged(struct world *world)
{
    char buf[16];
    put(world->task, "/f", "x");
    int32_t result = vrift_setxattrat(world->task, AT, "/f", "trusted.a", "v", 1, 0);
    if (lacks(world, VRIFT_CAPABILITY_TRUSTED_XATTRS, result))
        return;
    check_ok(result);
    assert_int_equal(vrift_getxattrat(world->task, AT, "/f", "trusted.a", buf, sizeof buf, 0), 1);
    struct vrift_cred_options options = {.size = sizeof options, .uid = 1000, .gid = 1000};
    vrift_cred *cred;
    vrift_task *other;
    check_ok(vrift_fchmodat(world->task, AT, "/", 0777, 0));
    check_ok(vrift_cred_new(world->vfs, &options, &cred));
    check_ok(vrift_task_fork(world->task, &other));
    check_ok(vrift_task_set_cred(other, cred));
    check_error(-VRIFT_ENODATA, vrift_getxattrat(other, AT, "/f", "trusted.a", buf, sizeof buf, 0));
    check_error(-VRIFT_EPERM, vrift_setxattrat(other, AT, "/f", "trusted.a", "w", 1, 0));
    assert_int_equal(vrift_listxattrat(other, AT, "/f", buf, sizeof buf, 0), 0);
    vrift_task_free(other);
    vrift_cred_unref(cred);
}

/* Each change that somebody could care for; the clock ticks before, for backends that have nothing finer to count by. */
static int32_t change_file(struct world *world, int step)
{
    static const struct vrift_timespec times[2] = {{1, 0, 0}, {2, 0, 0}};
    switch (step) {
    case 0:
        put(world->task, "/d/f", "other");
        return 0;
    case 1:
        return vrift_truncate(world->task, "/d/f", 2);
    case 2:
        return vrift_fchmodat(world->task, AT, "/d/f", 0600, 0);
    case 3:
        return vrift_utimensat(world->task, AT, "/d/f", times, 0);
    case 4:
        return vrift_setxattrat(world->task, AT, "/d/f", "user.a", "v", 1, 0);
    case 5:
        return vrift_removexattrat(world->task, AT, "/d/f", "user.a", 0);
    case 6:
        return vrift_linkat(world->task, AT, "/d/f", AT, "/g", 0);
    case 7:
        return vrift_unlinkat(world->task, AT, "/g", 0);
    case 8:
        return vrift_renameat2(world->task, AT, "/d/f", AT, "/d/h", 0);
    default:
        return vrift_renameat2(world->task, AT, "/d/h", AT, "/d/f", 0);
    }
}

static void the_version_grows_with_each_change_and_not_without(struct world *world)
{
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0755));
    put(world->task, "/d/f", "first");
    for (int step = 0; step < 10; step++) {
        const char *after = step == 8 ? "/d/h" : "/d/f";
        struct vrift_stat old = stat_of(world->task, step == 9 ? "/d/h" : "/d/f"), dir = stat_of(world->task, "/d");
        if (!(old.mask & VRIFT_STAT_VERSION))
            fail_msg("no version");
        let_the_clock_tick();
        check_ok(vrift_vfs_drop_caches(world->vfs));
        struct vrift_stat same = stat_of(world->task, step == 9 ? "/d/h" : "/d/f");
        assert_int_equal(same.version, old.version);
        int32_t result = change_file(world, step);
        if (result < 0) {
            assert_true(step >= 4); /* no xattrs, or no links */
            continue;
        }
        struct vrift_stat new = stat_of(world->task, after);
        assert_true(new.version > old.version);
        if (step >= 8)
            assert_true(stat_of(world->task, "/d").version > dir.version);
    }
}

const struct test_case attribute_cases[] = {
    {"the_version_grows_with_each_change_and_not_without", the_version_grows_with_each_change_and_not_without},
    {"every_permission_bit_can_be_set", every_permission_bit_can_be_set},
    {"chmod_stamps_ctime_and_leaves_mtime", chmod_stamps_ctime_and_leaves_mtime},
    {"a_file_can_be_given_away", a_file_can_be_given_away},
    {"what_a_task_makes_belongs_to_it", what_a_task_makes_belongs_to_it},
    {"a_directory_with_setgid_passes_its_group_on", a_directory_with_setgid_passes_its_group_on},
    {"times_are_set_to_the_nanosecond_before_1970_too", times_are_set_to_the_nanosecond_before_1970_too},
    {"times_can_be_omitted_or_be_now", times_can_be_omitted_or_be_now},
    {"a_symlink_has_times_of_its_own", a_symlink_has_times_of_its_own},
    {"changes_of_its_names_stamp_a_directory", changes_of_its_names_stamp_a_directory},
    {"a_new_inode_has_the_time_of_its_making", a_new_inode_has_the_time_of_its_making},
    {"xattrs_are_set_replaced_listed_and_removed", xattrs_are_set_replaced_listed_and_removed},
    {"xattrs_follow_the_inode_not_the_name", xattrs_follow_the_inode_not_the_name},
    {"bad_xattrs_are_refused", bad_xattrs_are_refused},
    {"an_acl_decides_where_the_mode_does_not", an_acl_decides_where_the_mode_does_not},
    {"flags_bind_everybody", flags_bind_everybody},
    {"trusted_xattrs_belong_to_the_privileged", trusted_xattrs_belong_to_the_privileged},
    {NULL, NULL},
};
