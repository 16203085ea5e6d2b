/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "conformance/conformance.h"

static int32_t move(struct world *world, const char *from, const char *to, uint64_t flags)
{
    return vrift_renameat2(world->task, AT, from, AT, to, flags);
}

static void check_missing(struct world *world, const char *path)
{
    struct vrift_stat attr;
    check_error_at(-VRIFT_ENOENT, vrift_statat(world->task, AT, path, VRIFT_AT_SYMLINK_NOFOLLOW, &attr), path, __FILE__,
                   __LINE__);
}

/* Whether directories cannot be renamed at all. An overlay lacks the capability, and renames what it made itself. */
static int refuses_directories(const struct world *world, int32_t result)
{
    return !has(world, VRIFT_CAPABILITY_DIRECTORY_RENAME) &&
           result == world->caps[VRIFT_CAPABILITY_DIRECTORY_RENAME].error;
}

static void a_file_takes_a_new_name_and_stays_the_same_inode(struct world *world)
{
    put(world->task, "/a", "x");
    uint64_t ino = stat_of(world->task, "/a").ino;
    int32_t fd = open_file(world->task, "/a", VRIFT_O_RDWR);
    check_ok(move(world, "/a", "/b", 0));
    check_missing(world, "/a");
    check_text(world->task, "/b", "x");
    assert_int_equal(stat_of(world->task, "/b").ino, ino);
    assert_int_equal(vrift_write(world->task, fd, "y", 1), 1);
    check_text(world->task, "/b", "y");
    check_ok(vrift_close(world->task, fd));
    check_error(-VRIFT_ENOENT, move(world, "/a", "/c", 0));
    assert_int_equal(count_entries(world->task, "/"), 1);
}

static void a_file_replaces_another_whose_open_descriptor_still_reads(struct world *world)
{
    char buf[8];
    struct vrift_stat attr;
    put(world->task, "/a", "new");
    put(world->task, "/b", "old");
    int32_t fd = open_file(world->task, "/b", VRIFT_O_RDONLY);
    check_ok(move(world, "/a", "/b", 0));
    check_text(world->task, "/b", "new");
    check_missing(world, "/a");
    int64_t result = vrift_pread(world->task, fd, buf, sizeof buf, 0);
    if (!lacks(world, VRIFT_CAPABILITY_UNLINKED_OPEN, result)) {
        assert_int_equal(result, 3);
        assert_memory_equal(buf, "old", 3);
        check_ok(vrift_fstat(world->task, fd, &attr));
        assert_int_equal(attr.nlink, 0);
    }
    check_ok(vrift_close(world->task, fd));
}

static void a_name_made_and_removed_many_times_over_stays_one_entry(struct world *world)
{
    for (int i = 0; i < 50; i++) {
        put(world->task, "/new", i % 2 ? "1" : "0");
        check_ok(move(world, "/new", "/current", 0));
        check_text(world->task, "/current", i % 2 ? "1" : "0");
    }
    assert_int_equal(count_entries(world->task, "/"), 1);
}

static void types_must_agree_and_a_replaced_directory_must_be_empty(struct world *world)
{
    put(world->task, "/f", "x");
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0755));
    check_ok(vrift_mkdirat(world->task, AT, "/e", 0755));
    put(world->task, "/e/x", "x");
    check_error(-VRIFT_EISDIR, move(world, "/f", "/d", 0));
    check_error(-VRIFT_ENOTDIR, move(world, "/d", "/f", 0));
    int32_t result = move(world, "/d", "/e", 0);
    if (refuses_directories(world, result))
        return;
    check_error(-VRIFT_ENOTEMPTY, result);
    check_ok(move(world, "/e", "/d", 0));
    check_missing(world, "/e");
    check_text(world->task, "/d/x", "x");
}

static void a_directory_does_not_go_into_itself(struct world *world)
{
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0755));
    check_ok(vrift_mkdirat(world->task, AT, "/d/e", 0755));
    check_error(-VRIFT_EINVAL, move(world, "/d", "/d/x", 0));
    check_error(-VRIFT_EINVAL, move(world, "/d", "/d/e/x", 0));
    check_error(-VRIFT_ENOTEMPTY, move(world, "/d/e", "/d", 0));
    check_ok(move(world, "/d", "/d", 0));
}

static void a_directory_moves_with_all_it_holds(struct world *world)
{
    char buf[64];
    check_ok(vrift_mkdirat(world->task, AT, "/a", 0755));
    check_ok(vrift_mkdirat(world->task, AT, "/a/d", 0755));
    check_ok(vrift_mkdirat(world->task, AT, "/b", 0755));
    put(world->task, "/a/d/f", "inside");
    int32_t fd = open_file(world->task, "/a/d", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    check_ok(vrift_chdir(world->task, "/a/d"));
    uint32_t links = stat_of(world->task, "/a").nlink;
    int32_t result = move(world, "/a/d", "/b/moved", 0);
    if (!refuses_directories(world, result)) {
        struct vrift_stat attr;
        check_ok(result);
        check_text(world->task, "/b/moved/f", "inside");
        check_missing(world, "/a/d");
        check_ok(vrift_statat(world->task, fd, "f", 0, &attr));
        check_ok(vrift_statat(world->task, fd, "..", 0, &attr));
        assert_int_equal(attr.ino, stat_of(world->task, "/b").ino);
        assert_int_equal(vrift_getcwd(world->task, buf, sizeof buf), 9);
        assert_string_equal(buf, "/b/moved");
        put(world->task, "made", "relative");
        check_text(world->task, "/b/moved/made", "relative");
        if (links > 1) {
            assert_int_equal(stat_of(world->task, "/a").nlink, links - 1);
            assert_int_equal(stat_of(world->task, "/b").nlink, 3);
        }
    }
    check_ok(vrift_chdir(world->task, "/"));
    check_ok(vrift_close(world->task, fd));
}

static void no_replace_keeps_what_is_there(struct world *world)
{
    put(world->task, "/a", "a");
    put(world->task, "/b", "b");
    int32_t result = move(world, "/a", "/b", VRIFT_RENAME_NOREPLACE);
    if (lacks(world, VRIFT_CAPABILITY_RENAME_NOREPLACE, result))
        return;
    check_error(-VRIFT_EEXIST, result);
    check_text(world->task, "/b", "b");
    check_ok(move(world, "/a", "/c", VRIFT_RENAME_NOREPLACE));
    check_text(world->task, "/c", "a");
}

static void exchange_swaps_two_names(struct world *world)
{
    put(world->task, "/f", "file");
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0755));
    put(world->task, "/d/x", "x");
    int32_t result = move(world, "/f", "/d", VRIFT_RENAME_EXCHANGE);
    if (lacks(world, VRIFT_CAPABILITY_RENAME_EXCHANGE, result))
        return;
    check_ok(result);
    check_text(world->task, "/d", "file");
    check_text(world->task, "/f/x", "x");
    check_ok(move(world, "/f", "/d", VRIFT_RENAME_EXCHANGE));
    check_text(world->task, "/d/x", "x");
    check_error(-VRIFT_ENOENT, move(world, "/f", "/missing", VRIFT_RENAME_EXCHANGE));
    assert_int_equal(count_entries(world->task, "/"), 2);
}

static void whiteout_leaves_a_device_0_0_behind(struct world *world)
{
    put(world->task, "/f", "x");
    int32_t result = move(world, "/f", "/g", VRIFT_RENAME_WHITEOUT);
    if (lacks(world, VRIFT_CAPABILITY_RENAME_WHITEOUT, result))
        return;
    check_ok(result);
    check_text(world->task, "/g", "x");
    struct vrift_stat attr = stat_of(world->task, "/f");
    assert_int_equal(attr.mode & VRIFT_S_IFMT, VRIFT_S_IFCHR);
    assert_int_equal(attr.rdev, 0);
    check_ok(vrift_unlinkat(world->task, AT, "/f", 0));
}

static void renaming_one_link_over_another_of_the_same_inode_does_nothing(struct world *world)
{
    put(world->task, "/a", "x");
    if (lacks(world, VRIFT_CAPABILITY_HARD_LINKS, vrift_linkat(world->task, AT, "/a", AT, "/b", 0)))
        return;
    check_ok(move(world, "/a", "/b", 0));
    check_text(world->task, "/a", "x");
    check_text(world->task, "/b", "x");
    assert_int_equal(stat_of(world->task, "/a").nlink, 2);
}

static void a_symlink_is_moved_and_replaced_itself(struct world *world)
{
    put(world->task, "/f", "x");
    if (lacks(world, VRIFT_CAPABILITY_SYMLINKS, vrift_symlinkat(world->task, "f", AT, "/l")))
        return;
    check_ok(move(world, "/l", "/m", 0));
    assert_int_equal(stat_of(world->task, "/m").mode & VRIFT_S_IFMT, VRIFT_S_IFLNK);
    check_text(world->task, "/m", "x");
    put(world->task, "/g", "y");
    check_ok(move(world, "/g", "/m", 0));
    assert_int_equal(stat_of(world->task, "/m").mode & VRIFT_S_IFMT, VRIFT_S_IFREG);
    check_text(world->task, "/f", "x");
}

static void unknown_and_contradicting_flags_are_refused(struct world *world)
{
    put(world->task, "/a", "a");
    put(world->task, "/b", "b");
    check_error(-VRIFT_EINVAL, move(world, "/a", "/b", 8));
    check_error(-VRIFT_EINVAL, move(world, "/a", "/b", VRIFT_RENAME_NOREPLACE | VRIFT_RENAME_EXCHANGE));
    check_text(world->task, "/a", "a");
    check_text(world->task, "/b", "b");
}

static void a_rename_stamps_both_directories(struct world *world)
{
    check_ok(vrift_mkdirat(world->task, AT, "/a", 0755));
    check_ok(vrift_mkdirat(world->task, AT, "/b", 0755));
    put(world->task, "/a/f", "x");
    struct vrift_stat a = stat_of(world->task, "/a");
    struct vrift_stat b = stat_of(world->task, "/b");
    let_the_clock_tick();
    check_ok(move(world, "/a/f", "/b/f", 0));
    assert_true(before(a.mtime, stat_of(world->task, "/a").mtime));
    assert_true(before(b.mtime, stat_of(world->task, "/b").mtime));
}

const struct test_case rename_cases[] = {
    {"a_file_takes_a_new_name_and_stays_the_same_inode", a_file_takes_a_new_name_and_stays_the_same_inode},
    {"a_file_replaces_another_whose_open_descriptor_still_reads",
     a_file_replaces_another_whose_open_descriptor_still_reads},
    {"a_name_made_and_removed_many_times_over_stays_one_entry",
     a_name_made_and_removed_many_times_over_stays_one_entry},
    {"types_must_agree_and_a_replaced_directory_must_be_empty",
     types_must_agree_and_a_replaced_directory_must_be_empty},
    {"a_directory_does_not_go_into_itself", a_directory_does_not_go_into_itself},
    {"a_directory_moves_with_all_it_holds", a_directory_moves_with_all_it_holds},
    {"no_replace_keeps_what_is_there", no_replace_keeps_what_is_there},
    {"exchange_swaps_two_names", exchange_swaps_two_names},
    {"whiteout_leaves_a_device_0_0_behind", whiteout_leaves_a_device_0_0_behind},
    {"renaming_one_link_over_another_of_the_same_inode_does_nothing",
     renaming_one_link_over_another_of_the_same_inode_does_nothing},
    {"a_symlink_is_moved_and_replaced_itself", a_symlink_is_moved_and_replaced_itself},
    {"unknown_and_contradicting_flags_are_refused", unknown_and_contradicting_flags_are_refused},
    {"a_rename_stamps_both_directories", a_rename_stamps_both_directories},
    {NULL, NULL},
};
