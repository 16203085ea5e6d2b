/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Storing trees and reading them back through the snapshot. */
#include "support/check.h"
#include "support/storage.h"
#include "support/tree.h"

#include <vrift/clone.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    char *directory;
    char *tree; /* DIRECTORY/tree, an empty directory */
    vrift_store *store;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->directory = temporary_directory();
    fixture->tree = storage_path(fixture->directory, "tree");
    mkdir(fixture->tree, 0755);
    fixture->store = storage_make(fixture->directory);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    vrift_store_close(fixture->store);
    remove_temporary_directory(fixture->directory);
    free(fixture->tree);
    free(fixture);
    return 0;
}

static void unusual_trees_read_back_exactly(void **state)
{
    struct fixture *fixture = *state;
    int privileged = geteuid() == 0;
    tree_make_unusual(fixture->tree, privileged ? 0 : TREE_NO_DEVICES);
    if (privileged)
        tree_make_owners(fixture->tree);
    struct vrift_digest id = storage_import(fixture->store, fixture->tree, 0, 0);
    vrift_snapshot *snapshot = storage_open(fixture->store, &id);
    storage_assert_matches(snapshot, fixture->tree);
    vrift_snapshot_unref(snapshot);
    storage_assert_sound(fixture->store);
}

static void a_timeless_snapshot_reads_back_with_one_time_for_all(void **state)
{
    struct fixture *fixture = *state;
    tree_make_unusual(fixture->tree, geteuid() == 0 ? 0 : TREE_NO_DEVICES);
    struct vrift_digest id = storage_import(fixture->store, fixture->tree, 0, VRIFT_IMPORT_TIMELESS);
    vrift_snapshot *snapshot = storage_open(fixture->store, &id);
    storage_assert_matches(snapshot, fixture->tree);
    vrift_snapshot_unref(snapshot);
}

static void an_id_does_not_depend_on_threads_umask_locale_or_the_order_in_which_files_were_made(void **state)
{
    struct fixture *fixture = *state;
    char copies[] = "/dev/shm/vrift-test-XXXXXX";
    if (!mkdtemp(copies))
        skip_because("no tmpfs at /dev/shm");
    char *copy = storage_path(copies, "copy");
    tree_make_unusual(fixture->tree, geteuid() == 0 ? 0 : TREE_NO_DEVICES);
    struct vrift_digest one = storage_import(fixture->store, fixture->tree, 1, 0);
    struct vrift_digest eight = storage_import(fixture->store, fixture->tree, 8, 0);
    assert_memory_equal(&one, &eight, sizeof one);

    /* tmpfs lists the last made first, other file systems by a hash of the name. */
    check_ok(vrift_clone_tree(fixture->tree, copy, NULL, NULL));
    mode_t old = umask(077);
    char *other = storage_path(fixture->directory, "other");
    mkdir(other, 0700);
    vrift_store *second = storage_make(other);
    setenv("LC_ALL", "C.UTF-8", 1);
    struct vrift_digest from_copy = storage_import(second, copy, 3, 0);
    umask(old);
    assert_memory_equal(&one, &from_copy, sizeof one);
    vrift_store_close(second);
    free(other);
    free(copy);
    remove_temporary_directory(strdup(copies));
}

static void only_times_differ_between_trees_of_one_timeless_id(void **state)
{
    struct fixture *fixture = *state;
    storage_write(fixture->tree, "a", "hello", 5);
    struct vrift_digest timed = storage_import(fixture->store, fixture->tree, 0, 0);
    struct vrift_digest timeless = storage_import(fixture->store, fixture->tree, 0, VRIFT_IMPORT_TIMELESS);
    const struct timespec times[2] = {{5, 6}, {7, 8}};
    char *file = storage_path(fixture->tree, "a");
    assert_int_equal(utimensat(AT_FDCWD, file, times, 0), 0);
    struct vrift_digest timed_later = storage_import(fixture->store, fixture->tree, 0, 0);
    struct vrift_digest timeless_later = storage_import(fixture->store, fixture->tree, 0, VRIFT_IMPORT_TIMELESS);
    assert_memory_not_equal(&timed, &timed_later, sizeof timed);
    assert_memory_equal(&timeless, &timeless_later, sizeof timed);
    assert_memory_not_equal(&timed, &timeless, sizeof timed);
    free(file);
}

static void importing_twice_stores_nothing_more(void **state)
{
    struct fixture *fixture = *state;
    struct vrift_import_result first, second;
    tree_make_unusual(fixture->tree, geteuid() == 0 ? 0 : TREE_NO_DEVICES);
    check_ok(vrift_import(fixture->store, fixture->tree, NULL, &first));
    check_ok(vrift_import(fixture->store, fixture->tree, NULL, &second));
    assert_true(first.new_blobs > 0 && first.stored_bytes > 0);
    assert_int_equal(second.new_blobs, 0);
    assert_int_equal(second.stored_bytes, 0);
    assert_memory_equal(&first.snapshot, &second.snapshot, sizeof first.snapshot);
}

static void equal_contents_are_stored_once_and_empty_ones_never(void **state)
{
    struct fixture *fixture = *state;
    struct vrift_import_result result;
    char *large = calloc(1, 100000);
    memset(large, 'x', 100000);
    storage_write(fixture->tree, "a", large, 100000);
    storage_write(fixture->tree, "b", large, 100000);
    storage_write(fixture->tree, "c", "small", 5);
    storage_write(fixture->tree, "d", "small", 5);
    storage_write(fixture->tree, "e", "", 0);
    check_ok(vrift_import(fixture->store, fixture->tree, NULL, &result));
    assert_int_equal(result.files, 5);
    assert_int_equal(result.bytes, 200010);
    assert_int_equal(result.new_blobs, 3); /* one large, one small, the tree node */
    struct vrift_store_stats stats;
    check_ok(vrift_store_stats(fixture->store, &stats));
    assert_int_equal(stats.loose_blobs, 1);
    assert_int_equal(stats.packed_blobs, 2);
    assert_int_equal(stats.snapshots, 1);
    assert_int_equal(stats.temporary_files, 0);
    free(large);
}

static void a_directory_of_100000_entries_is_listed_and_looked_up(void **state)
{
    struct fixture *fixture = *state;
    int dirfd = open(fixture->tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < 100000; i++) {
        char name[32];
        snprintf(name, sizeof name, "file-%d", i);
        int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        close(fd);
    }
    close(dirfd);
    struct vrift_digest id = storage_import(fixture->store, fixture->tree, 2, 0);
    vrift_snapshot *snapshot = storage_open(fixture->store, &id);
    struct vrift_snapshot_info info;
    check_ok(vrift_snapshot_info(snapshot, &info));
    assert_int_equal(info.entries, 100001);
    storage_assert_matches(snapshot, fixture->tree);
    uint64_t entry;
    check_error(-VRIFT_ENOENT, vrift_snapshot_lookup(snapshot, 0, "file-100000", 11, &entry));
    check_error(-VRIFT_ENOTDIR, vrift_snapshot_lookup(snapshot, 1, "x", 1, &entry));
    check_error(-VRIFT_EINVAL, vrift_snapshot_lookup(snapshot, 100001, "x", 1, &entry));
    vrift_snapshot_unref(snapshot);
}

static void a_sparse_file_of_5_gib_keeps_its_holes_and_costs_only_its_data(void **state)
{
    struct fixture *fixture = *state;
    char *path = storage_path(fixture->tree, "sparse");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(ftruncate(fd, (off_t)5 << 30), 0);
    assert_int_equal(pwrite(fd, "begin", 5, 1 << 20), 5);
    assert_int_equal(pwrite(fd, "end", 3, ((off_t)5 << 30) - 3), 3);
    off_t first = lseek(fd, 0, SEEK_DATA);
    close(fd);
    struct vrift_import_result result;
    check_ok(vrift_import(fixture->store, fixture->tree, NULL, &result));
    assert_int_equal(result.bytes, (uint64_t)5 << 30);
    struct vrift_store_stats stats;
    check_ok(vrift_store_stats(fixture->store, &stats));
    assert_true(stats.loose_bytes < 1 << 20);
    vrift_snapshot *snapshot = storage_open(fixture->store, &result.snapshot);
    storage_assert_matches(snapshot, fixture->tree);
    uint64_t entry;
    check_ok(vrift_snapshot_walk(snapshot, "/sparse", &entry));
    assert_int_equal(vrift_snapshot_seek(snapshot, entry, 0, VRIFT_SEEK_DATA), first);
    assert_int_equal(vrift_snapshot_seek(snapshot, entry, 0, VRIFT_SEEK_HOLE), 0);
    check_error(-VRIFT_ENXIO, vrift_snapshot_seek(snapshot, entry, (uint64_t)5 << 30, VRIFT_SEEK_DATA));
    vrift_snapshot_unref(snapshot);
    storage_assert_sound(fixture->store);
    free(path);
}

static void two_processes_may_import_at_once(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 200; i++) {
        char name[16], *data = calloc(1, 40000);
        snprintf(name, sizeof name, "f%d", i);
        snprintf(data, 40000, "%d", i / 2);
        storage_write(fixture->tree, name, data, i % 3 ? 40000 : 100);
        free(data);
    }
    char *path = storage_path(fixture->directory, "store");
    pid_t children[4];
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            vrift_store *store;
            struct vrift_import_result result;
            int failed = vrift_store_open(path, NULL, &store) || vrift_import(store, fixture->tree, NULL, &result);
            if (!failed)
                vrift_store_close(store);
            _exit(failed != 0);
        }
    }
    for (int i = 0; i < 4; i++) {
        int status;
        waitpid(children[i], &status, 0);
        assert_int_equal(status, 0);
    }
    storage_assert_sound(fixture->store);
    struct vrift_digest id = storage_import(fixture->store, fixture->tree, 0, 0);
    vrift_snapshot *snapshot = storage_open(fixture->store, &id);
    storage_assert_matches(snapshot, fixture->tree);
    vrift_snapshot_unref(snapshot);
    struct vrift_store_stats stats;
    check_ok(vrift_store_stats(fixture->store, &stats));
    assert_int_equal(stats.snapshots, 1);
    assert_int_equal(stats.temporary_files, 0);
    free(path);
}

/* -- What changes while it is read -------------------------------------------------------------------------------- */

#define CHANGING_SIZE ((size_t)8 << 20) /* so large that it is hashed before it is copied */

struct changing {
    char *path;
    unsigned calls;
};

/* Lets each report through. The 8 MiB are read in pieces of 1 MiB: the tenth report comes in the second pass. */
static int32_t VRIFT_CALLBACK change_in_second_pass(const struct vrift_progress *progress, void *payload)
{
    struct changing *changing = payload;
    (void)progress;
    if (++changing->calls == 10) {
        int fd = open(changing->path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(pwrite(fd, "!", 1, CHANGING_SIZE - 1), 1);
        close(fd);
    }
    usleep(60000); /* reports are at least 50 ms apart */
    return 0;
}

/* The first of two equal files changes after it was hashed: its content must still be stored, for the second. */
static void a_file_that_changes_as_it_is_read_takes_no_other_with_it(void **state)
{
    struct fixture *fixture = *state;
    struct changing changing = {storage_path(fixture->tree, "a"), 0};
    uint8_t *data = calloc(CHANGING_SIZE, 1);
    for (size_t i = 0; i < CHANGING_SIZE; i += 64)
        data[i] = (uint8_t)(i >> 6 ^ i >> 14 ^ 1);
    storage_write(fixture->tree, "a", data, CHANGING_SIZE);
    storage_write(fixture->tree, "b", data, CHANGING_SIZE);
    struct vrift_import_options options = {
        .size = sizeof options, .jobs = 1, .progress = change_in_second_pass, .payload = &changing};
    struct vrift_import_result result;
    check_ok(vrift_import(fixture->store, fixture->tree, &options, &result));
    assert_true(changing.calls > 10);
    vrift_snapshot *snapshot = storage_open(fixture->store, &result.snapshot);
    storage_assert_matches(snapshot, fixture->tree);
    vrift_snapshot_unref(snapshot);
    storage_assert_sound(fixture->store);
    free(data);
    free(changing.path);
}

struct resume {
    uint64_t cookie;
    int left;
    char last[16];
};

static int32_t VRIFT_CALLBACK take_some(const struct vrift_snapshot_entry *entry, void *payload)
{
    struct resume *resume = payload;
    if (resume->left-- == 0)
        return 77;
    resume->cookie = entry->cookie;
    snprintf(resume->last, sizeof resume->last, "%s", entry->name);
    return 0;
}

static void a_listing_goes_on_after_any_cookie(void **state)
{
    struct fixture *fixture = *state;
    for (char name[2] = "a"; name[0] <= 'g'; name[0]++)
        storage_write(fixture->tree, name, name, 1);
    struct vrift_digest id = storage_import(fixture->store, fixture->tree, 0, 0);
    vrift_snapshot *snapshot = storage_open(fixture->store, &id);
    struct resume resume = {0, 3, ""};
    assert_int_equal(vrift_snapshot_readdir(snapshot, 0, 0, take_some, &resume), 77);
    assert_string_equal(resume.last, "c");
    resume.left = 2;
    assert_int_equal(vrift_snapshot_readdir(snapshot, 0, resume.cookie, take_some, &resume), 77);
    assert_string_equal(resume.last, "e");
    resume.left = 100;
    check_ok(vrift_snapshot_readdir(snapshot, 0, resume.cookie, take_some, &resume));
    assert_string_equal(resume.last, "g");
    check_ok(vrift_snapshot_readdir(snapshot, 0, UINT64_MAX, take_some, &resume));
    vrift_snapshot_unref(snapshot);
}

static void a_snapshot_outlives_the_handle_of_its_store(void **state)
{
    struct fixture *fixture = *state;
    char text[8];
    uint64_t entry;
    storage_write(fixture->tree, "a", "content", 7);
    struct vrift_digest id = storage_import(fixture->store, fixture->tree, 0, 0);
    vrift_snapshot *snapshot = storage_open(fixture->store, &id);
    vrift_store_close(fixture->store);
    fixture->store = NULL;
    check_ok(vrift_snapshot_walk(snapshot, "a", &entry));
    assert_int_equal(vrift_snapshot_pread(snapshot, entry, text, sizeof text, 2), 5);
    assert_memory_equal(text, "ntent", 5);
    vrift_snapshot_unref(snapshot);
}

static void a_store_may_have_more_packs_than_a_process_has_descriptors(void **state)
{
    struct fixture *fixture = *state;
    const int imports = 100;
    struct vrift_digest id = {0};
    struct rlimit old, few;
    char name[16], text[16];
    for (int i = 0; i < imports; i++) {
        snprintf(name, sizeof name, "%d", i);
        storage_write(fixture->tree, name, name, strlen(name));
        id = storage_import(fixture->store, fixture->tree, 1, 0);
    }
    vrift_store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    few = old;
    few.rlim_cur = 100;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    char *path = storage_path(fixture->directory, "store");
    vrift_store *store;
    check_ok(vrift_store_open(path, NULL, &store));
    vrift_snapshot *snapshot = storage_open(store, &id);
    for (int i = 0; i < imports; i++) {
        uint64_t entry, offset;
        int32_t fd;
        snprintf(name, sizeof name, "%d", i);
        check_ok(vrift_snapshot_walk(snapshot, name, &entry));
        check_ok(vrift_snapshot_open_blob(snapshot, entry, &fd, &offset));
        assert_int_equal(pread(fd, text, strlen(name), (off_t)offset), strlen(name));
        assert_memory_equal(text, name, strlen(name));
        close(fd);
    }
    storage_assert_sound(store);
    vrift_snapshot_unref(snapshot);
    vrift_store_close(store);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    free(path);
}

static void what_is_not_a_regular_file_has_no_content(void **state)
{
    struct fixture *fixture = *state;
    char *link = storage_path(fixture->tree, "link"), text[4];
    uint64_t entry, offset;
    int32_t fd;
    assert_int_equal(symlink("target", link), 0);
    storage_write(fixture->tree, "empty", "", 0);
    struct vrift_digest id = storage_import(fixture->store, fixture->tree, 0, 0);
    vrift_snapshot *snapshot = storage_open(fixture->store, &id);
    check_error(-VRIFT_EISDIR, vrift_snapshot_pread(snapshot, 0, text, 4, 0));
    check_ok(vrift_snapshot_walk(snapshot, "link", &entry));
    check_error(-VRIFT_EINVAL, vrift_snapshot_pread(snapshot, entry, text, 4, 0));
    assert_int_equal(vrift_snapshot_readlink(snapshot, entry, text, 4), 4);
    assert_memory_equal(text, "targ", 4);
    check_error(-VRIFT_ENOTDIR, vrift_snapshot_walk(snapshot, "link/x", &entry));
    check_error(-VRIFT_ENOTDIR, vrift_snapshot_walk(snapshot, "link/", &entry));
    check_error(-VRIFT_EINVAL, vrift_snapshot_walk(snapshot, "..", &entry));
    check_ok(vrift_snapshot_walk(snapshot, "empty", &entry));
    check_error(-VRIFT_ENODATA, vrift_snapshot_open_blob(snapshot, entry, &fd, &offset));
    check_error(-VRIFT_EINVAL, vrift_snapshot_readlink(snapshot, entry, text, 4));
    vrift_snapshot_unref(snapshot);
    free(link);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(unusual_trees_read_back_exactly),
        TEST(a_timeless_snapshot_reads_back_with_one_time_for_all),
        TEST(an_id_does_not_depend_on_threads_umask_locale_or_the_order_in_which_files_were_made),
        TEST(only_times_differ_between_trees_of_one_timeless_id),
        TEST(importing_twice_stores_nothing_more),
        TEST(equal_contents_are_stored_once_and_empty_ones_never),
        TEST(a_directory_of_100000_entries_is_listed_and_looked_up),
        TEST(a_sparse_file_of_5_gib_keeps_its_holes_and_costs_only_its_data),
        TEST(two_processes_may_import_at_once),
        TEST(a_file_that_changes_as_it_is_read_takes_no_other_with_it),
        TEST(a_listing_goes_on_after_any_cookie),
        TEST(a_snapshot_outlives_the_handle_of_its_store),
        TEST(a_store_may_have_more_packs_than_a_process_has_descriptors),
        TEST(what_is_not_a_regular_file_has_no_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
