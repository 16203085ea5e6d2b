/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* vrift_checkout() when something is in its way: a destination in use, a full disk, damage, death, rivals, few files. */
#include "store/target.h"
#include "support/check.h"
#include "support/disk.h"
#include "support/place.h"
#include "support/tree.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- Trouble ------------------------------------------------------------------------------------------------------ */

static void a_destination_in_use_is_refused(void **state)
{
    struct place *place = *state;
    char path[8500];
    struct vrift_error_detail detail;
    place_put(place->src, "file", "text", 0644);
    vrift_snapshot *snapshot = place_import(place, 0);
    mkdir(place->dest, 0755);
    place_put(place->dest, "file", "precious", 0644);
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
    place_put(place->src, "file", "text", 0644);
    vrift_snapshot *snapshot = place_import(place, 0);
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

/* Writes until there is no more room. */
static void fill_disk(const struct disk *disk)
{
    static const char zeros[65536];
    char path[sizeof disk->path + 16];
    snprintf(path, sizeof path, "%s/fill", disk->path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, zeros, sizeof zeros) > 0)
        continue;
    close(fd);
}

/* What can be shared is shared through an inode of the store, which is made when first needed. */
static void a_store_that_cannot_be_written_is_checked_out_by_copying(void **state)
{
    struct place *place = *state;
    struct disk disk;
    const uint32_t links[] = {VRIFT_LINK_SMART, VRIFT_LINK_HARDLINK, VRIFT_LINK_COPY};
    place_put(place->src, "file", "text", 0444);
    disk_insert(&disk, "tmpfs", 8);
    if (disk.missing)
        skip_because("tmpfs: %s", disk.missing);
    vrift_store_close(place->store);
    snprintf(place->store_path, sizeof place->store_path, "%s/store", disk.path);
    place_open_store(place);
    vrift_snapshot *snapshot = place_import(place, VRIFT_IMPORT_TIMELESS);
    fill_disk(&disk);
    for (size_t i = 0; i < 6; i++) { /* full first, then read-only */
        struct vrift_checkout_options options = place_options(links[i % 3]);
        struct vrift_checkout_result result;
        if (i == 3)
            assert_int_equal(mount(NULL, disk.path, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
        snprintf(place->dest, sizeof place->dest, "%s/dest%zu", place->path, i);
        check_ok(vrift_checkout(snapshot, place->dest, &options, &result));
        assert_int_equal(result.rungs.copy, 1);
        assert_int_equal(place_stat(place->dest, "file").st_size, 4);
    }
    vrift_snapshot_unref(snapshot);
    vrift_store_close(place->store);
    place->store = NULL;
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
    vrift_snapshot *snapshot = place_import(place, 0);
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
    struct vrift_checkout_options options = place_options(0);
    tree_make_unusual(place->src, TREE_NO_XATTRS | TREE_NO_DEVICES | TREE_NO_HUGE);
    vrift_snapshot *snapshot = place_import(place, 0);
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
    place_put(place->src, "file", text, 0644);
    struct vrift_import_result imported;
    vrift_snapshot *snapshot;
    check_ok(vrift_import(place->store, place->src, NULL, &imported));
    vrift_store_close(place->store);
    flip_in(place, "packs");
    place_open_store(place);
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
    place_put_large(place->src, "large", 'l', 0644);
    vrift_snapshot *snapshot = place_import(place, 0);
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
    tree_make_unusual(place->src, place_without(place->src));
    vrift_snapshot *snapshot = place_import(place, 0);
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
    tree_make_unusual(place->src, place_without(place->src));
    vrift_snapshot *snapshot = place_import(place, 0);
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
        place_put(place->src, name, name, 0644);
    }
    vrift_snapshot *snapshot = place_import(place, 0);
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

/* A directory behind a symlink is filled where it is; both of two rivals may have found it empty. */
static void of_rivals_that_fill_one_directory_the_loser_removes_nothing(void **state)
{
    struct place *place = *state;
    char link[4300];
    snprintf(link, sizeof link, "%s/link", place->path);
    assert_int_equal(mkdir(place->dest, 0755), 0);
    assert_int_equal(symlink(place->dest, link), 0);
    struct vr_target first, second, third;
    check_ok(vr_target_open(&first, link));
    check_ok(vr_target_open(&second, link));
    check_ok(vr_target_open(&third, link));
    check_ok(vr_target_make_root(&first));
    check_error(-VRIFT_ENOTEMPTY, vr_target_make_root(&second));
    place_put(place->dest, "made", "by the first", 0644);
    vr_target_close(&second);
    check_ok(vr_target_publish(&first));
    vr_target_close(&first);
    check_error(-VRIFT_ENOTEMPTY, vr_target_make_root(&third));
    vr_target_close(&third);
    assert_int_equal(tree_count_names(place->dest), 1);
}

static void few_descriptors_suffice_for_a_deep_tree(void **state)
{
    struct place *place = *state;
    struct rlimit before, few;
    tree_make_unusual(place->src, place_without(place->src));
    vrift_snapshot *snapshot = place_import(place, 0);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, place_set_up, place_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_destination_in_use_is_refused),
        TEST(an_empty_directory_is_replaced_and_a_mount_point_filled),
        TEST(a_store_that_cannot_be_written_is_checked_out_by_copying),
        TEST(a_full_disk_leaves_no_destination),
        TEST(progress_ends_at_its_total_and_can_cancel),
        TEST(a_flipped_bit_in_a_small_content_is_noticed),
        TEST(a_truncated_large_content_is_noticed),
        TEST(a_flipped_bit_in_the_index_changes_nothing),
        TEST(a_killed_checkout_leaves_nothing_that_looks_whole),
        TEST(of_checkouts_to_one_place_exactly_one_wins),
        TEST(of_rivals_that_fill_one_directory_the_loser_removes_nothing),
        TEST(few_descriptors_suffice_for_a_deep_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
