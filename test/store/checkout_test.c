/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/check.h"
#include "support/disk.h"
#include "support/tree.h"

#include <vrift/snapshot.h>
#include <vrift/store.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

struct place {
    char *path;
    char src[4200], dest[4200], store_path[4200];
    vrift_store *store;
};

static void open_store(struct place *place)
{
    const struct vrift_store_options options = {
        .size = sizeof options, .durability = VRIFT_DURABILITY_NONE, .flags = VRIFT_STORE_CREATE};
    check_ok(vrift_store_open(place->store_path, &options, &place->store));
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    place->path = temporary_directory();
    snprintf(place->src, sizeof place->src, "%s/src", place->path);
    snprintf(place->dest, sizeof place->dest, "%s/dest", place->path);
    snprintf(place->store_path, sizeof place->store_path, "%s/store", place->path);
    open_store(place);
    *state = place;
    return mkdir(place->src, 0755);
}

static int tear_down(void **state)
{
    struct place *place = *state;
    vrift_store_close(place->store);
    remove_temporary_directory(place->path);
    free(place);
    return 0;
}

static unsigned without(const char *path)
{
    unsigned flags = setxattr(path, "user.probe", "", 0, 0) < 0 ? TREE_NO_XATTRS : 0;
    removexattr(path, "user.probe");
    return flags | TREE_NO_HUGE | (getuid() ? TREE_NO_DEVICES : 0);
}

static void put(const char *dir, const char *name, const char *text, mode_t mode)
{
    char path[8500];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static void put_large(const char *dir, const char *name, char letter, mode_t mode)
{
    static char text[100001];
    memset(text, letter, sizeof text - 1);
    put(dir, name, text, mode);
}

static vrift_snapshot *import(struct place *place, uint64_t flags)
{
    const struct vrift_import_options options = {.size = sizeof options, .flags = flags};
    struct vrift_import_result result;
    vrift_snapshot *snapshot;
    check_ok(vrift_import(place->store, place->src, &options, &result));
    check_ok(vrift_snapshot_open(place->store, &result.snapshot, &snapshot));
    return snapshot;
}

static struct vrift_checkout_options options_for(uint32_t link)
{
    return (struct vrift_checkout_options){.size = sizeof(struct vrift_checkout_options), .link = link};
}

static struct stat stat_in(const char *dir, const char *name)
{
    char path[8500];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(lstat(path, &st), 0);
    return st;
}

/* -- Exactness ---------------------------------------------------------------------------------------------------- */

static void an_unusual_tree_is_restored_exactly_whatever_the_threads_and_umask(void **state)
{
    struct place *place = *state;
    tree_make_unusual(place->src, without(place->src));
    if (getuid() == 0)
        tree_make_owners(place->src);
    vrift_snapshot *snapshot = import(place, 0);
    static const uint32_t jobs[] = {1, 0, 7};
    for (size_t i = 0; i < 3; i++) {
        struct vrift_checkout_options options = options_for(i == 1 ? VRIFT_LINK_COPY : VRIFT_LINK_SMART);
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
    tree_make_unusual(place->src, without(place->src));
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
    vrift_snapshot *snapshot = import(place, 0);
    check_ok(vrift_checkout(snapshot, place->dest, NULL, NULL));
    tree_assert_same(place->src, place->dest, 0);
    assert_true(stat_in(place->dest, "huge").st_blocks < 2048);
    vrift_snapshot_unref(snapshot);
}

static void an_empty_tree_and_its_attributes_are_restored(void **state)
{
    struct place *place = *state;
    assert_int_equal(chmod(place->src, 01511), 0);
    vrift_snapshot *snapshot = import(place, 0);
    check_ok(vrift_checkout(snapshot, place->dest, NULL, NULL));
    tree_assert_same(place->src, place->dest, 0);
    vrift_snapshot_unref(snapshot);
}

/* -- Sharing ------------------------------------------------------------------------------------------------------ */

static void hard_links_share_what_can_be_shared_and_nothing_else(void **state)
{
    struct place *place = *state;
    struct vrift_checkout_options options = options_for(VRIFT_LINK_HARDLINK);
    struct vrift_checkout_result result;
    char again[4300], with_id[8500];
    put(place->src, "small", "text", 0644);
    put_large(place->src, "large", 'l', 0600);
    put(place->src, "program", "text", 0755);
    put(place->src, "empty", "", 0644);
    put(place->src, "set-id", "#!", 0755);
    put(place->src, "attributed", "a", 0644);
    snprintf(with_id, sizeof with_id, "%s/set-id", place->src);
    assert_int_equal(chmod(with_id, 04755), 0);
    snprintf(with_id, sizeof with_id, "%s/attributed", place->src);
    int shared = setxattr(with_id, "user.x", "1", 1, 0) < 0 ? 4 : 3;
    vrift_snapshot *snapshot = import(place, 0);
    check_ok(vrift_checkout(snapshot, place->dest, &options, &result));
    assert_int_equal(result.rungs.hardlink, shared);
    assert_int_equal(result.files, 6);
    snprintf(again, sizeof again, "%s2", place->dest);
    check_ok(vrift_checkout(snapshot, again, &options, &result));
    struct stat a = stat_in(place->dest, "small"), b = stat_in(again, "small"), x = stat_in(again, "program");
    assert_int_equal(a.st_ino, b.st_ino);
    assert_int_equal(a.st_mode & 07777, 0444);
    assert_int_equal(a.st_mtim.tv_sec, 1);
    assert_int_not_equal(a.st_ino, x.st_ino); /* of the same content */
    assert_int_equal(x.st_mode & 07777, 0555);
    assert_int_equal(stat_in(place->dest, "large").st_ino, stat_in(again, "large").st_ino);
    assert_int_equal(stat_in(again, "set-id").st_mode & 07777, 04755);
    assert_int_equal(stat_in(again, "empty").st_nlink, 1);
    vrift_snapshot_unref(snapshot);
}

static void smart_shares_read_only_files_of_timeless_snapshots_only(void **state)
{
    struct place *place = *state;
    struct vrift_checkout_result result;
    char again[4300];
    put(place->src, "read-only", "text", 0444);
    put(place->src, "program", "text", 0555);
    put(place->src, "writable", "text", 0644);
    vrift_snapshot *timed = import(place, 0), *timeless = import(place, VRIFT_IMPORT_TIMELESS);
    check_ok(vrift_checkout(timed, place->dest, NULL, &result));
    assert_int_equal(result.rungs.hardlink, 0);
    snprintf(again, sizeof again, "%s2", place->dest);
    check_ok(vrift_checkout(timeless, again, NULL, &result));
    assert_int_equal(result.rungs.hardlink, 2);
    assert_int_equal(stat_in(again, "program").st_mode & 07777, 0555);
    assert_int_equal(stat_in(again, "read-only").st_mode & 07777, 0444);
    assert_int_equal(stat_in(again, "writable").st_nlink, 1);
    assert_int_equal(stat_in(again, "writable").st_mtim.tv_sec, 1);
    vrift_snapshot_unref(timed);
    vrift_snapshot_unref(timeless);
}

static void links_of_a_tree_stay_links_when_inodes_are_shared(void **state)
{
    struct place *place = *state;
    struct vrift_checkout_options options = options_for(VRIFT_LINK_HARDLINK);
    struct vrift_checkout_result result;
    char a[8500], b[8500];
    put(place->src, "one", "text", 0444);
    snprintf(a, sizeof a, "%s/one", place->src);
    snprintf(b, sizeof b, "%s/two", place->src);
    assert_int_equal(link(a, b), 0);
    vrift_snapshot *snapshot = import(place, VRIFT_IMPORT_TIMELESS);
    check_ok(vrift_checkout(snapshot, place->dest, &options, &result));
    assert_int_equal(result.files, 1);
    assert_int_equal(stat_in(place->dest, "one").st_ino, stat_in(place->dest, "two").st_ino);
    vrift_snapshot_unref(snapshot);
}

/* The store and the destination on a file system of its own; then from there to another. */
static void restore_on(struct place *place, const char *kind, int clones)
{
    struct disk disk;
    struct vrift_checkout_options options = options_for(VRIFT_LINK_REFLINK);
    struct vrift_checkout_result result;
    disk_insert(&disk, kind, 600); /* ext4 has blocks of 4 KiB, and room for large xattrs, from 512 MiB on */
    if (disk.missing)
        skip_because("%s: %s", kind, disk.missing);
    struct place on_disk = *place;
    char dest[4300];
    snprintf(on_disk.store_path, sizeof on_disk.store_path, "%s/store", disk.path);
    snprintf(dest, sizeof dest, "%s/dest", disk.path);
    open_store(&on_disk);
    tree_make_unusual(place->src, TREE_NO_HUGE);
    vrift_snapshot *snapshot = import(&on_disk, 0);
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
    options = options_for(VRIFT_LINK_HARDLINK); /* another file system: copies, and says why */
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

/* -- Trouble ------------------------------------------------------------------------------------------------------ */

static void a_destination_in_use_is_refused(void **state)
{
    struct place *place = *state;
    char path[8500];
    struct vrift_error_detail detail;
    put(place->src, "file", "text", 0644);
    vrift_snapshot *snapshot = import(place, 0);
    mkdir(place->dest, 0755);
    put(place->dest, "file", "precious", 0644);
    check_error(-VRIFT_ENOTEMPTY, vrift_checkout(snapshot, place->dest, NULL, NULL));
    check_ok(vrift_error_detail(&detail));
    assert_string_equal(detail.path, place->dest);
    assert_string_equal(detail.reason, "the directory is not empty");
    snprintf(path, sizeof path, "%s/file", place->dest);
    check_error(-VRIFT_EEXIST, vrift_checkout(snapshot, path, NULL, NULL));
    snprintf(path, sizeof path, "%s/file/x", place->dest);
    check_error(-VRIFT_ENOTDIR, vrift_checkout(snapshot, path, NULL, NULL));
    check_error(-VRIFT_ENOENT, vrift_checkout(snapshot, "", NULL, NULL));
    check_error(-VRIFT_EINVAL, vrift_checkout(NULL, place->dest, NULL, NULL));
    check_error(-VRIFT_EINVAL, vrift_checkout(snapshot, NULL, NULL, NULL));
    assert_int_equal(tree_count_names(place->dest), 1);
    vrift_snapshot_unref(snapshot);
}

static void an_empty_directory_is_replaced_and_a_mount_point_filled(void **state)
{
    struct place *place = *state;
    struct disk disk;
    put(place->src, "file", "text", 0644);
    vrift_snapshot *snapshot = import(place, 0);
    mkdir(place->dest, 0700);
    check_ok(vrift_checkout(snapshot, place->dest, NULL, NULL));
    tree_assert_same(place->src, place->dest, 0);
    disk_insert(&disk, "tmpfs", 8);
    if (disk.missing) {
        vrift_snapshot_unref(snapshot);
        skip_because("tmpfs: %s", disk.missing);
    }
    check_ok(vrift_checkout(snapshot, disk.path, NULL, NULL));
    tree_assert_same(place->src, disk.path, 0);
    vrift_snapshot_unref(snapshot);
    disk_eject(&disk);
}

static void a_full_disk_leaves_no_destination(void **state)
{
    struct place *place = *state;
    struct disk disk;
    char dest[4300];
    struct vrift_error_detail detail;
    disk_insert(&disk, "tmpfs", 1);
    if (disk.missing)
        skip_because("tmpfs: %s", disk.missing);
    tree_make_unusual(place->src, TREE_NO_XATTRS | TREE_NO_HUGE);
    vrift_snapshot *snapshot = import(place, 0);
    snprintf(dest, sizeof dest, "%s/dest", disk.path);
    check_error(-VRIFT_ENOSPC, vrift_checkout(snapshot, dest, NULL, NULL));
    check_ok(vrift_error_detail(&detail));
    assert_true(strncmp(detail.path, dest, strlen(dest)) == 0 || strncmp(detail.path, "...", 3) == 0);
    assert_true(strlen(detail.path) > strlen(dest));
    assert_int_equal(tree_count_names(disk.path), 0);
    check_error(-VRIFT_ENOSPC, vrift_checkout(snapshot, disk.path, NULL, NULL));
    assert_int_equal(tree_count_names(disk.path), 0);
    vrift_snapshot_unref(snapshot);
    disk_eject(&disk);
}

static int32_t cancel_at_once(const struct vrift_progress *progress, void *payload)
{
    uint64_t *total = payload;
    *total = progress->files_total;
    return 99;
}

struct watch {
    uint64_t files, bytes, files_total, bytes_total;
    unsigned calls;
};

static int32_t watch(const struct vrift_progress *progress, void *payload)
{
    struct watch *seen = payload;
    assert_true(progress->files_done >= seen->files && progress->bytes_done >= seen->bytes);
    *seen = (struct watch){progress->files_done, progress->bytes_done, progress->files_total, progress->bytes_total,
                           seen->calls + 1};
    return 0;
}

static void progress_ends_at_its_total_and_can_cancel(void **state)
{
    struct place *place = *state;
    uint64_t total = 0;
    struct watch seen = {0, 0, 0, 0, 0};
    struct vrift_checkout_options options = options_for(0);
    tree_make_unusual(place->src, TREE_NO_XATTRS | TREE_NO_DEVICES | TREE_NO_HUGE);
    vrift_snapshot *snapshot = import(place, 0);
    options.progress = cancel_at_once;
    options.payload = &total;
    assert_int_equal(vrift_checkout(snapshot, place->dest, &options, NULL), 99);
    assert_true(total > 300);
    assert_int_equal(tree_count_names(place->path), 2);
    options.progress = watch;
    options.payload = &seen;
    check_ok(vrift_checkout(snapshot, place->dest, &options, NULL));
    assert_true(seen.calls >= 1);
    assert_int_equal(seen.files, seen.files_total);
    assert_int_equal(seen.bytes, seen.bytes_total);
    vrift_snapshot_unref(snapshot);
}

/* -- Damage ------------------------------------------------------------------------------------------------------- */

static char flipped_kind[32];

/* Flips one bit in the middle of the first file found in a directory of the store, larger than 4 KiB or in a pack. */
static int flip_first(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)at;
    if (type != FTW_F || !strstr(path, flipped_kind) || st->st_size < 4)
        return 0;
    char byte;
    chmod(path, 0644);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, st->st_size / 2), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, st->st_size / 2), 1);
    close(fd);
    return 1;
}

static void flip_in(struct place *place, const char *kind)
{
    snprintf(flipped_kind, sizeof flipped_kind, "/%s/", kind);
    assert_int_equal(nftw(place->store_path, flip_first, 16, FTW_PHYS), 1);
}

static void a_flipped_bit_in_a_small_content_is_noticed(void **state)
{
    struct place *place = *state;
    struct vrift_error_detail detail;
    char text[9000];
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 8999; i++)
        text[i] = (char)('a' + ((unsigned)i * (unsigned)i >> 3) % 23);
    put(place->src, "file", text, 0644);
    struct vrift_import_result imported;
    vrift_snapshot *snapshot;
    check_ok(vrift_import(place->store, place->src, NULL, &imported));
    vrift_store_close(place->store);
    flip_in(place, "packs");
    open_store(place);
    int32_t result = vrift_snapshot_open(place->store, &imported.snapshot, &snapshot);
    if (!result) {
        result = vrift_checkout(snapshot, place->dest, NULL, NULL);
        check_ok(vrift_error_detail(&detail));
        assert_int_equal(detail.error, result);
        vrift_snapshot_unref(snapshot);
    }
    check_error(-VRIFT_EUCLEAN, result);
    assert_int_equal(tree_count_names(place->path), 2);
}

static void a_truncated_large_content_is_noticed(void **state)
{
    struct place *place = *state;
    char command[9000];
    put_large(place->src, "large", 'l', 0644);
    vrift_snapshot *snapshot = import(place, 0);
    snprintf(command, sizeof command, "find '%s/objects' -type f -exec truncate -s 50000 {} +", place->store_path);
    assert_int_equal(system(command), 0);
    check_error(-VRIFT_EUCLEAN, vrift_checkout(snapshot, place->dest, NULL, NULL));
    snprintf(command, sizeof command, "find '%s/objects' -type f -delete", place->store_path);
    assert_int_equal(system(command), 0);
    check_error(-VRIFT_EIO, vrift_checkout(snapshot, place->dest, NULL, NULL));
    assert_int_equal(tree_count_names(place->path), 2);
    vrift_snapshot_unref(snapshot);
}

static void a_flipped_bit_in_the_index_changes_nothing(void **state)
{
    struct place *place = *state;
    tree_make_unusual(place->src, without(place->src));
    vrift_snapshot *snapshot = import(place, 0);
    flip_in(place, "index");
    check_ok(vrift_checkout(snapshot, place->dest, NULL, NULL));
    tree_assert_same(place->src, place->dest, 0);
    vrift_snapshot_unref(snapshot);
}

/* -- Sudden death ------------------------------------------------------------------------------------------------- */

static void a_killed_checkout_leaves_nothing_that_looks_whole(void **state)
{
    struct place *place = *state;
    int survived = 0, killed = 0;
    char command[9000];
    tree_make_unusual(place->src, without(place->src));
    vrift_snapshot *snapshot = import(place, 0);
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(vrift_checkout(snapshot, place->dest, NULL, NULL) ? 1 : 0);
        usleep((useconds_t)(i * 8000));
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        if (access(place->dest, F_OK) == 0) {
            tree_assert_same(place->src, place->dest, 0);
            survived++;
        } else {
            killed++;
        }
        snprintf(command, sizeof command, "cd '%s' && chmod -R u+rwx dest .vrift-* 2>/dev/null; rm -rf dest .vrift-*",
                 place->path);
        assert_int_equal(system(command), 0);
    }
    assert_true(killed > 0);
    printf("# killed in time: %d, whole already: %d\n", killed, survived);
    vrift_snapshot_unref(snapshot);
}

static void an_ordinary_user_restores_what_he_owns(void **state)
{
    struct place *place = *state;
    if (getuid() != 0)
        skip_because("run by root only; the tests above cover others");
    char command[25000];
    struct vrift_checkout_result result;
    tree_make_unusual(place->src, TREE_NO_DEVICES | without(place->src));
    snprintf(command, sizeof command,
             "chown -hR 65534:65534 '%s' && chmod u+s '%s/files/set-user-id' && chmod g+s "
             "'%s/files/set-group-id, large' && chmod 755 '%s' && chmod 711 '%s'",
             place->path, place->src, place->src, place->path, place->src);
    assert_int_equal(system(command), 0);
    vrift_snapshot *snapshot = import(place, 0);
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
    put(place->src, "file", "text", 0644);
    snprintf(path, sizeof path, "%s/set-id", place->src);
    put(place->src, "set-id", "text", 0755);
    assert_int_equal(chmod(path, 04755), 0);
    assert_int_equal(chmod(place->path, 0777), 0);
    vrift_snapshot *snapshot = import(place, 0);
    assert_int_equal(setegid(65534), 0);
    assert_int_equal(seteuid(65534), 0);
    int32_t status = vrift_checkout(snapshot, place->dest, NULL, &result);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
    check_ok(status);
    assert_int_equal(result.skipped_specials, 1);
    assert_int_equal(result.skipped_owners, 3); /* the files and the root */
    assert_int_equal(tree_count_names(place->dest), 2);
    assert_int_equal(stat_in(place->dest, "set-id").st_mode & 07777, 0755); /* not set-id to somebody else */
    vrift_snapshot_unref(snapshot);
}

static void owners_are_left_alone_on_request(void **state)
{
    struct place *place = *state;
    struct vrift_checkout_options options = options_for(VRIFT_LINK_HARDLINK);
    struct vrift_checkout_result result;
    if (getuid() != 0)
        skip_because("needs root to give files away");
    tree_make_owners(place->src);
    vrift_snapshot *snapshot = import(place, 0);
    check_ok(vrift_checkout(snapshot, place->dest, &options, &result));
    tree_assert_same(place->src, place->dest, 0); /* none is the store's, so none is shared */
    assert_int_equal(result.rungs.hardlink, 0);
    assert_int_equal(result.rungs.hardlink_error, -VRIFT_EPERM);
    assert_int_equal(rename(place->dest, strcat(strcpy(place->src, place->dest), "-before")), 0);
    options.flags = VRIFT_CHECKOUT_NO_OWNERS;
    check_ok(vrift_checkout(snapshot, place->dest, &options, &result));
    assert_int_equal(result.rungs.hardlink, 4); /* all but the set-id one */
    assert_int_equal(stat_in(place->dest, "owners/large").st_uid, 0);
    assert_true(result.skipped_owners >= 5);
    vrift_snapshot_unref(snapshot);
}

struct racer {
    vrift_snapshot *snapshot;
    const char *dest;
    int32_t result;
};

static void *race(void *payload)
{
    struct racer *racer = payload;
    racer->result = vrift_checkout(racer->snapshot, racer->dest, NULL, NULL);
    return NULL;
}

static void of_checkouts_to_one_place_exactly_one_wins(void **state)
{
    struct place *place = *state;
    struct racer racers[4];
    pthread_t threads[4];
    int won = 0;
    for (int i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "file %d", i);
        put(place->src, name, name, 0644);
    }
    vrift_snapshot *snapshot = import(place, 0);
    for (int i = 0; i < 4; i++) {
        racers[i] = (struct racer){snapshot, place->dest, 1};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        if (racers[i].result == 0)
            won++;
        else
            assert_true(racers[i].result == -VRIFT_EEXIST || racers[i].result == -VRIFT_ENOTEMPTY);
    }
    assert_int_equal(won, 1);
    tree_assert_same(place->src, place->dest, 0);
    assert_int_equal(tree_count_names(place->path), 3);
    vrift_snapshot_unref(snapshot);
}

static void few_descriptors_suffice_for_a_deep_tree(void **state)
{
    struct place *place = *state;
    struct rlimit before, few;
    tree_make_unusual(place->src, without(place->src));
    vrift_snapshot *snapshot = import(place, 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 200; /* the tree is 320 directories deep, a third of them with siblings */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int32_t status = vrift_checkout(snapshot, place->dest, NULL, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    check_ok(status);
    tree_assert_same(place->src, place->dest, 0);
    vrift_snapshot_unref(snapshot);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
        TEST(a_destination_in_use_is_refused),
        TEST(an_empty_directory_is_replaced_and_a_mount_point_filled),
        TEST(a_full_disk_leaves_no_destination),
        TEST(progress_ends_at_its_total_and_can_cancel),
        TEST(a_flipped_bit_in_a_small_content_is_noticed),
        TEST(a_truncated_large_content_is_noticed),
        TEST(a_flipped_bit_in_the_index_changes_nothing),
        TEST(a_killed_checkout_leaves_nothing_that_looks_whole),
        TEST(an_ordinary_user_restores_what_he_owns),
        TEST(devices_that_may_not_be_made_are_counted_and_left_out),
        TEST(owners_are_left_alone_on_request),
        TEST(of_checkouts_to_one_place_exactly_one_wins),
        TEST(few_descriptors_suffice_for_a_deep_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
