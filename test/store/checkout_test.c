/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What vrift_checkout() restores, and what it shares. */
#include "support/check.h"
#include "support/disk.h"
#include "support/place.h"
#include "support/tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* -- Exactness ---------------------------------------------------------------------------------------------------- */

static void an_unusual_tree_is_restored_exactly_whatever_the_threads_and_umask(void **state)
{
    struct place *place = *state;
    tree_make_unusual(place->src, place_without(place->src));
    if (getuid() == 0)
        tree_make_owners(place->src);
    vrift_snapshot *snapshot = place_import(place, 0);
    static const uint32_t jobs[] = {1, 0, 7};
    for (size_t i = 0; i < 3; i++) {
        struct vrift_checkout_options options = place_options(i == 1 ? VRIFT_LINK_COPY : VRIFT_LINK_SMART);
        struct vrift_checkout_result result;
        struct vrift_snapshot_info info;
        char dest[4300];
        snprintf(dest, sizeof dest, "%s%zu", place->dest, i);
        options.jobs = jobs[i];
        mode_t before = umask(i == 1 ? 077 : 0);
        check_ok(vrift_checkout(snapshot, dest, &options, &result));
        umask(before);
        tree_assert_same(place->src, dest, 0);
        check_ok(vrift_snapshot_info(snapshot, &info));
        assert_int_equal(result.files, info.files);
        assert_int_equal(result.directories, info.directories);
        assert_int_equal(result.symlinks, info.symlinks);
        assert_int_equal(result.specials, info.specials);
        assert_int_equal(result.bytes, info.bytes);
        assert_int_equal(result.rungs.hardlink, 0);
        assert_int_equal(result.skipped_owners, 0);
    }
    vrift_snapshot_unref(snapshot);
    assert_int_equal(tree_count_names(place->path), 5);
}

static void a_restored_tree_imports_to_the_same_snapshot(void **state)
{
    struct place *place = *state;
    struct vrift_import_result first, second;
    vrift_snapshot *snapshot;
    tree_make_unusual(place->src, place_without(place->src));
    check_ok(vrift_import(place->store, place->src, NULL, &first));
    check_ok(vrift_snapshot_open(place->store, &first.snapshot, &snapshot));
    check_ok(vrift_checkout(snapshot, place->dest, NULL, NULL));
    vrift_snapshot_unref(snapshot);
    check_ok(vrift_import(place->store, place->dest, NULL, &second));
    assert_memory_equal(first.snapshot.bytes, second.snapshot.bytes, 32);
    assert_int_equal(second.new_blobs, 0);
}

static void a_sparse_file_of_five_gibibytes_is_restored_sparse(void **state)
{
    struct place *place = *state;
    char path[4300];
    snprintf(path, sizeof path, "%s/huge", place->src);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(pwrite(fd, "end", 3, ((off_t)5 << 30) - 3), 3);
    close(fd);
    vrift_snapshot *snapshot = place_import(place, 0);
    check_ok(vrift_checkout(snapshot, place->dest, NULL, NULL));
    tree_assert_same(place->src, place->dest, 0);
    assert_true(place_stat(place->dest, "huge").st_blocks < 2048);
    vrift_snapshot_unref(snapshot);
}

static void an_empty_tree_and_its_attributes_are_restored(void **state)
{
    struct place *place = *state;
    assert_int_equal(chmod(place->src, 01511), 0);
    vrift_snapshot *snapshot = place_import(place, 0);
    check_ok(vrift_checkout(snapshot, place->dest, NULL, NULL));
    tree_assert_same(place->src, place->dest, 0);
    vrift_snapshot_unref(snapshot);
}

/* -- Sharing ------------------------------------------------------------------------------------------------------ */

static void hard_links_share_what_can_be_shared_and_nothing_else(void **state)
{
    struct place *place = *state;
    struct vrift_checkout_options options = place_options(VRIFT_LINK_HARDLINK);
    struct vrift_checkout_result result;
    char again[4300], with_id[8500];
    place_put(place->src, "small", "text", 0644);
    place_put_large(place->src, "large", 'l', 0600);
    place_put(place->src, "program", "text", 0755);
    place_put(place->src, "empty", "", 0644);
    place_put(place->src, "set-id", "#!", 0755);
    place_put(place->src, "attributed", "a", 0644);
    snprintf(with_id, sizeof with_id, "%s/set-id", place->src);
    assert_int_equal(chmod(with_id, 04755), 0);
    snprintf(with_id, sizeof with_id, "%s/attributed", place->src);
    int shared = setxattr(with_id, "user.x", "1", 1, 0) < 0 ? 4 : 3;
    vrift_snapshot *snapshot = place_import(place, 0);
    check_ok(vrift_checkout(snapshot, place->dest, &options, &result));
    assert_int_equal(result.rungs.hardlink, shared);
    assert_int_equal(result.files, 6);
    snprintf(again, sizeof again, "%s2", place->dest);
    check_ok(vrift_checkout(snapshot, again, &options, &result));
    struct stat a = place_stat(place->dest, "small"), b = place_stat(again, "small"), x = place_stat(again, "program");
    assert_int_equal(a.st_ino, b.st_ino);
    assert_int_equal(a.st_mode & 07777, 0444);
    assert_int_equal(a.st_mtim.tv_sec, 1);
    assert_int_not_equal(a.st_ino, x.st_ino); /* of the same content */
    assert_int_equal(x.st_mode & 07777, 0555);
    assert_int_equal(place_stat(place->dest, "large").st_ino, place_stat(again, "large").st_ino);
    assert_int_equal(place_stat(again, "set-id").st_mode & 07777, 04755);
    assert_int_equal(place_stat(again, "empty").st_nlink, 1);
    vrift_snapshot_unref(snapshot);
}

static void smart_shares_read_only_files_of_timeless_snapshots_only(void **state)
{
    struct place *place = *state;
    struct vrift_checkout_result result;
    char again[4300];
    place_put(place->src, "read-only", "text", 0444);
    place_put(place->src, "program", "text", 0555);
    place_put(place->src, "writable", "text", 0644);
    vrift_snapshot *timed = place_import(place, 0), *timeless = place_import(place, VRIFT_IMPORT_TIMELESS);
    check_ok(vrift_checkout(timed, place->dest, NULL, &result));
    assert_int_equal(result.rungs.hardlink, 0);
    snprintf(again, sizeof again, "%s2", place->dest);
    check_ok(vrift_checkout(timeless, again, NULL, &result));
    assert_int_equal(result.rungs.hardlink, 2);
    assert_int_equal(place_stat(again, "program").st_mode & 07777, 0555);
    assert_int_equal(place_stat(again, "read-only").st_mode & 07777, 0444);
    assert_int_equal(place_stat(again, "writable").st_nlink, 1);
    assert_int_equal(place_stat(again, "writable").st_mtim.tv_sec, 1);
    vrift_snapshot_unref(timed);
    vrift_snapshot_unref(timeless);
}

static void links_of_a_tree_stay_links_when_inodes_are_shared(void **state)
{
    struct place *place = *state;
    struct vrift_checkout_options options = place_options(VRIFT_LINK_HARDLINK);
    struct vrift_checkout_result result;
    char a[8500], b[8500];
    place_put(place->src, "one", "text", 0444);
    snprintf(a, sizeof a, "%s/one", place->src);
    snprintf(b, sizeof b, "%s/two", place->src);
    assert_int_equal(link(a, b), 0);
    vrift_snapshot *snapshot = place_import(place, VRIFT_IMPORT_TIMELESS);
    check_ok(vrift_checkout(snapshot, place->dest, &options, &result));
    assert_int_equal(result.files, 1);
    assert_int_equal(place_stat(place->dest, "one").st_ino, place_stat(place->dest, "two").st_ino);
    vrift_snapshot_unref(snapshot);
}

/* The store and the destination on a file system of its own; then from there to another. */
static void restore_on(struct place *place, const char *kind, int clones)
{
    struct disk disk;
    struct vrift_checkout_options options = place_options(VRIFT_LINK_REFLINK);
    struct vrift_checkout_result result;
    disk_insert(&disk, kind, 600); /* ext4 has blocks of 4 KiB, and room for large xattrs, from 512 MiB on */
    if (disk.missing)
        skip_because("%s: %s", kind, disk.missing);
    struct place on_disk = *place;
    char dest[4300];
    snprintf(on_disk.store_path, sizeof on_disk.store_path, "%s/store", disk.path);
    snprintf(dest, sizeof dest, "%s/dest", disk.path);
    place_open_store(&on_disk);
    tree_make_unusual(place->src, TREE_NO_HUGE);
    vrift_snapshot *snapshot = place_import(&on_disk, 0);
    check_ok(vrift_checkout(snapshot, dest, NULL, &result));
    tree_assert_same(place->src, dest, 0);
    assert_int_equal(result.rungs.clone > 5, clones);
    assert_int_equal(result.rungs.kernel_copy > 5, !clones);
    snprintf(dest, sizeof dest, "%s/dest2", disk.path);
    if (clones) {
        check_ok(vrift_checkout(snapshot, dest, &options, &result));
        tree_assert_same(place->src, dest, 0);
        check_error(-VRIFT_EXDEV, vrift_checkout(snapshot, place->dest, &options, &result));
    } else {
        check_error(-VRIFT_EOPNOTSUPP, vrift_checkout(snapshot, dest, &options, &result));
        assert_int_equal(tree_count_names(disk.path), strcmp(kind, "ext4") == 0 ? 3 : 2); /* with lost+found */
    }
    options = place_options(VRIFT_LINK_HARDLINK); /* another file system: copies, and says why */
    check_ok(vrift_checkout(snapshot, place->dest, &options, &result));
    assert_int_equal(result.rungs.hardlink, 0);
    assert_true(result.rungs.hardlink_error == -VRIFT_EXDEV || result.rungs.hardlink_error == -VRIFT_EPERM);
    tree_assert_same(place->src, place->dest, 0);
    vrift_snapshot_unref(snapshot);
    vrift_store_close(on_disk.store);
    disk_eject(&disk);
}

static void xfs_restores_by_clones(void **state)
{
    restore_on(*state, "xfs", 1);
}

static void btrfs_restores_by_clones(void **state)
{
    restore_on(*state, "btrfs", 1);
}

static void ext4_restores_by_kernel_copies(void **state)
{
    restore_on(*state, "ext4", 0);
}

static void tmpfs_restores_by_kernel_copies(void **state)
{
    restore_on(*state, "tmpfs", 0);
}

/* -- Owners and privilege ------------------------------------------------------------------------------------------ */

static void an_ordinary_user_restores_what_he_owns(void **state)
{
    struct place *place = *state;
    if (getuid() != 0)
        skip_because("run by root only; the tests above cover others");
    char command[25000];
    struct vrift_checkout_result result;
    tree_make_unusual(place->src, TREE_NO_DEVICES | place_without(place->src));
    snprintf(command, sizeof command,
             "chown -hR 65534:65534 '%s' && chmod u+s '%s/files/set-user-id' && chmod g+s "
             "'%s/files/set-group-id, large' && chmod 755 '%s' && chmod 711 '%s'",
             place->path, place->src, place->src, place->path, place->src);
    assert_int_equal(system(command), 0);
    vrift_snapshot *snapshot = place_import(place, 0);
    assert_int_equal(setegid(65534), 0);
    assert_int_equal(seteuid(65534), 0);
    int32_t status = vrift_checkout(snapshot, place->dest, NULL, &result);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
    struct vrift_error_detail detail;
    check_ok(vrift_error_detail(&detail));
    if (status)
        print_error("%s: %s: %s\n", detail.operation, detail.path, detail.reason);
    check_ok(status);
    assert_int_equal(result.skipped_owners, 0);
    tree_assert_same(place->src, place->dest, 0);
    vrift_snapshot_unref(snapshot);
}

static void devices_that_may_not_be_made_are_counted_and_left_out(void **state)
{
    struct place *place = *state;
    struct vrift_checkout_result result;
    char path[8500], other[8500];
    if (getuid() != 0)
        skip_because("needs root to make devices");
    snprintf(path, sizeof path, "%s/null", place->src);
    assert_int_equal(mknod(path, S_IFCHR | 0666, 0x103), 0);
    snprintf(other, sizeof other, "%s/same null", place->src);
    assert_int_equal(link(path, other), 0);
    place_put(place->src, "file", "text", 0644);
    snprintf(path, sizeof path, "%s/set-id", place->src);
    place_put(place->src, "set-id", "text", 0755);
    assert_int_equal(chmod(path, 04755), 0);
    assert_int_equal(chmod(place->path, 0777), 0);
    vrift_snapshot *snapshot = place_import(place, 0);
    assert_int_equal(setegid(65534), 0);
    assert_int_equal(seteuid(65534), 0);
    int32_t status = vrift_checkout(snapshot, place->dest, NULL, &result);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
    check_ok(status);
    assert_int_equal(result.skipped_specials, 1);
    assert_int_equal(result.skipped_owners, 3); /* the files and the root */
    assert_int_equal(tree_count_names(place->dest), 2);
    assert_int_equal(place_stat(place->dest, "set-id").st_mode & 07777, 0755); /* not set-id to somebody else */
    vrift_snapshot_unref(snapshot);
}

static void owners_are_left_alone_on_request(void **state)
{
    struct place *place = *state;
    struct vrift_checkout_options options = place_options(VRIFT_LINK_HARDLINK);
    struct vrift_checkout_result result;
    if (getuid() != 0)
        skip_because("needs root to give files away");
    tree_make_owners(place->src);
    vrift_snapshot *snapshot = place_import(place, 0);
    check_ok(vrift_checkout(snapshot, place->dest, &options, &result));
    tree_assert_same(place->src, place->dest, 0); /* none is the store's, so none is shared */
    assert_int_equal(result.rungs.hardlink, 0);
    assert_int_equal(result.rungs.hardlink_error, -VRIFT_EPERM);
    assert_int_equal(rename(place->dest, strcat(strcpy(place->src, place->dest), "-before")), 0);
    options.flags = VRIFT_CHECKOUT_NO_OWNERS;
    check_ok(vrift_checkout(snapshot, place->dest, &options, &result));
    assert_int_equal(result.rungs.hardlink, 4); /* all but the set-id one */
    assert_int_equal(place_stat(place->dest, "owners/large").st_uid, 0);
    assert_true(result.skipped_owners >= 5);
    vrift_snapshot_unref(snapshot);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_unusual_tree_is_restored_exactly_whatever_the_threads_and_umask),
        TEST(a_restored_tree_imports_to_the_same_snapshot),
        TEST(a_sparse_file_of_five_gibibytes_is_restored_sparse),
        TEST(an_empty_tree_and_its_attributes_are_restored),
        TEST(hard_links_share_what_can_be_shared_and_nothing_else),
        TEST(smart_shares_read_only_files_of_timeless_snapshots_only),
        TEST(links_of_a_tree_stay_links_when_inodes_are_shared),
        TEST(xfs_restores_by_clones),
        TEST(btrfs_restores_by_clones),
        TEST(ext4_restores_by_kernel_copies),
        TEST(tmpfs_restores_by_kernel_copies),
        TEST(an_ordinary_user_restores_what_he_owns),
        TEST(devices_that_may_not_be_made_are_counted_and_left_out),
        TEST(owners_are_left_alone_on_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
