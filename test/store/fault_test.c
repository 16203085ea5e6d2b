/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Imports that cannot succeed: bad trees, trees that change, full disks, cancelling, killing. The store stays whole. */
#include "support/check.h"
#include "support/storage.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct fixture {
    char *directory;
    char *tree;
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
    char *small = storage_path(fixture->directory, "small");
    umount2(small, MNT_DETACH); /* of a test that failed while it was mounted */
    free(small);
    vrift_store_close(fixture->store);
    remove_temporary_directory(fixture->directory);
    free(fixture->tree);
    free(fixture);
    return 0;
}

/* Nothing was published, and nothing temporary is left. */
static void assert_empty(vrift_store *store)
{
    struct vrift_store_stats stats;
    check_ok(vrift_store_stats(store, &stats));
    assert_int_equal(stats.loose_blobs, 0);
    assert_int_equal(stats.packs, 0);
    assert_int_equal(stats.snapshots, 0);
    assert_int_equal(stats.index_bytes, 0);
    assert_int_equal(stats.temporary_files, 0);
    storage_assert_sound(store);
}

static void assert_detail(const char *end_of_path, const char *reason)
{
    struct vrift_error_detail detail;
    check_ok(vrift_error_detail(&detail));
    size_t length = strlen(detail.path), end = strlen(end_of_path);
    if (length < end || strcmp(detail.path + length - end, end_of_path) != 0 || !strstr(detail.reason, reason))
        print_error("the detail says: %s %s: %s\n", detail.operation, detail.path, detail.reason);
    assert_true(length >= end);
    assert_string_equal(detail.path + length - end, end_of_path);
    assert_non_null(strstr(detail.reason, reason));
}

static void a_path_that_is_no_directory_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct vrift_import_result result;
    char *absent = storage_path(fixture->tree, "absent"), *file = storage_path(fixture->tree, "file");
    storage_write(fixture->tree, "file", "x", 1);
    check_error(-VRIFT_ENOENT, vrift_import(fixture->store, absent, NULL, &result));
    assert_detail("/tree/absent", "");
    check_error(-VRIFT_ENOTDIR, vrift_import(fixture->store, file, NULL, &result));
    assert_detail("/tree/file", "");
    assert_empty(fixture->store);
    free(absent);
    free(file);
}

static void a_store_is_not_imported_into_itself(void **state)
{
    struct fixture *fixture = *state;
    struct vrift_import_result result;
    check_error(-VRIFT_EINVAL, vrift_import(fixture->store, fixture->directory, NULL, &result));
    assert_detail("/store", "lies in the tree");
    assert_empty(fixture->store);
}

static void an_unreadable_file_is_named(void **state)
{
    struct fixture *fixture = *state;
    char *file = storage_path(fixture->tree, "sub");
    mkdir(file, 0755);
    storage_write(file, "secret", "x", 1);
    free(file);
    file = storage_path(fixture->tree, "sub/secret");
    assert_int_equal(chmod(file, 0), 0);
    free(file);
    assert_int_equal(chmod(fixture->directory, 0755), 0);
    pid_t child = fork();
    if (child == 0) {
        vrift_store *store;
        struct vrift_import_result result;
        struct vrift_error_detail detail;
        char own[] = "/tmp/vrift-test-XXXXXX";
        if (geteuid() == 0 && (setgid(65534) || setuid(65534)))
            _exit(2);
        if (!mkdtemp(own))
            _exit(3);
        store = storage_make(own);
        int32_t error = vrift_import(store, fixture->tree, NULL, &result);
        vrift_error_detail(&detail);
        vrift_store_close(store);
        remove_temporary_directory(strdup(own));
        const char *end = strstr(detail.path, "/tree/sub/secret");
        _exit(error == -VRIFT_EACCES && end && strlen(end) == 16 ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

/* -- Trees that change -------------------------------------------------------------------------------------------- */

struct meddler {
    const char *tree;
    int skip;  /* reports to let pass first */
    int times; /* left to do it */
    void (*act)(const char *tree);
};

static int32_t VRIFT_CALLBACK meddle(const struct vrift_progress *progress, void *payload)
{
    struct meddler *meddler = payload;
    const struct timespec wait = {0, 60000000}; /* longer than the time between reports, so the next comes at once */
    (void)progress;
    if (meddler->skip > 0) {
        meddler->skip--;
        nanosleep(&wait, NULL);
    } else if (meddler->times > 0) {
        meddler->times--;
        meddler->act(meddler->tree);
    }
    return 0;
}

static void append_to_large(const char *tree)
{
    char *path = storage_path(tree, "large");
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(write(fd, "more", 4), 4);
    close(fd);
    free(path);
}

static void remove_last(const char *tree)
{
    char *path = storage_path(tree, "z");
    unlink(path);
    free(path);
}

static void write_large(const char *tree, size_t size)
{
    char *data = calloc(1, size);
    storage_write(tree, "large", data, size);
    free(data);
}

static void a_file_that_changes_once_is_read_again(void **state)
{
    struct fixture *fixture = *state;
    struct meddler meddler = {fixture->tree, 0, 1, append_to_large};
    const struct vrift_import_options options = {
        .size = sizeof options, .jobs = 1, .progress = meddle, .payload = &meddler};
    struct vrift_import_result result;
    write_large(fixture->tree, (size_t)6 << 20);
    memset(&result, 0, sizeof result);
    check_ok(vrift_import(fixture->store, fixture->tree, &options, &result));
    assert_int_equal(meddler.times, 0);
    assert_int_equal(result.bytes, ((uint64_t)6 << 20) + 4);
    storage_assert_sound(fixture->store);
}

static void a_file_that_keeps_changing_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct vrift_import_result result;
    write_large(fixture->tree, (size_t)32 << 20);
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        char *path = storage_path(fixture->tree, "large");
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        for (unsigned i = 0;; i++) {
            if (pwrite(fd, &i, sizeof i, 12345) < 0 || (i == 10 && write(ready[1], "x", 1) < 0))
                _exit(1);
        }
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    int32_t error = vrift_import(fixture->store, fixture->tree, NULL, &result);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ready[0]);
    close(ready[1]);
    check_error(-VRIFT_ESTALE, error);
    assert_detail("/tree/large", "changed while it was read");
    assert_empty(fixture->store);
}

static void a_file_that_vanishes_is_named(void **state)
{
    struct fixture *fixture = *state;
    /* The first report comes with the root's own attributes, before its names are listed; the second with "a". */
    struct meddler meddler = {fixture->tree, 1, 1, remove_last};
    const struct vrift_import_options options = {
        .size = sizeof options, .jobs = 1, .progress = meddle, .payload = &meddler};
    struct vrift_import_result result;
    storage_write(fixture->tree, "a", "a", 1);
    storage_write(fixture->tree, "z", "z", 1);
    int32_t error = vrift_import(fixture->store, fixture->tree, &options, &result);
    assert_int_equal(meddler.times, 0);
    check_error(-VRIFT_ENOENT, error);
    assert_detail("/tree/z", "vanished");
    assert_empty(fixture->store);
}

/* -- Ending early ------------------------------------------------------------------------------------------------- */

static int32_t VRIFT_CALLBACK cancel(const struct vrift_progress *progress, void *payload)
{
    (void)progress;
    ++*(int *)payload;
    return 4711;
}

static void the_callback_cancels_and_its_answer_is_returned(void **state)
{
    struct fixture *fixture = *state;
    int calls = 0;
    const struct vrift_import_options options = {
        .size = sizeof options, .jobs = 4, .progress = cancel, .payload = &calls};
    struct vrift_import_result result;
    for (int i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        storage_write(fixture->tree, name, name, strlen(name));
    }
    assert_int_equal(vrift_import(fixture->store, fixture->tree, &options, &result), 4711);
    assert_int_equal(calls, 1);
    assert_empty(fixture->store);
}

static void a_full_disk_leaves_the_store_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    if (geteuid() != 0)
        skip_because("mounting a small file system needs root");
    char *small = storage_path(fixture->directory, "small"), *path;
    mkdir(small, 0755);
    if (mount("tmpfs", small, "tmpfs", 0, "size=3m") != 0)
        skip_because("tmpfs cannot be mounted");
    vrift_store *store = storage_make(small);
    for (int i = 0; i < 100; i++) {
        char name[16], *data = malloc(100000);
        memset(data, i, 100000);
        snprintf(name, sizeof name, "%d", i);
        storage_write(fixture->tree, name, data, i % 2 ? 100000 : 10000);
        free(data);
    }
    struct vrift_import_result result;
    check_error(-VRIFT_ENOSPC, vrift_import(store, fixture->tree, NULL, &result));
    assert_detail("/small/store", "");
    assert_empty(store);
    /* What fits can be stored afterwards. */
    path = storage_path(fixture->directory, "fits");
    mkdir(path, 0755);
    storage_write(path, "a", "a", 1);
    struct vrift_digest id = storage_import(store, path, 1, 0);
    (void)id;
    storage_assert_sound(store);
    vrift_store_close(store);
    assert_int_equal(umount(small), 0);
    free(path);
    free(small);
}

/* New content in each round. */
static void fill_round(const char *tree, int round)
{
    for (int i = 0; i < 40; i++) {
        char name[16], data[20000];
        snprintf(name, sizeof name, "%d", i);
        memset(data, round, sizeof data);
        storage_write(tree, name, data, i % 2 ? sizeof data : 100 + (size_t)i);
    }
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Imports in a child and kills it after a while, -1: never. Whether it was done before. */
static int import_and_kill(const char *path, const char *tree, int64_t after_ns)
{
    pid_t child = fork();
    if (child == 0) {
        vrift_store *store;
        struct vrift_import_result result;
        _exit(vrift_store_open(path, NULL, &store) || vrift_import(store, tree, NULL, &result));
    }
    if (after_ns >= 0) {
        const struct timespec wait = {after_ns / 1000000000, after_ns % 1000000000};
        nanosleep(&wait, NULL);
        kill(child, SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    return status == 0;
}

static void killed_at_any_moment_an_import_leaves_a_sound_store(void **state)
{
    struct fixture *fixture = *state;
    char *path = storage_path(fixture->directory, "store");
    unsigned done = 0;
    fill_round(fixture->tree, 255);
    int64_t start = now_ns();
    assert_true(import_and_kill(path, fixture->tree, -1));
    int64_t whole = now_ns() - start;
    for (int round = 0; round < 60; round++) {
        fill_round(fixture->tree, round);
        done += (unsigned)import_and_kill(path, fixture->tree, whole * round / 120);
        vrift_store *store;
        struct vrift_store_stats stats;
        check_ok(vrift_store_open(path, NULL, &store));
        storage_assert_sound(store);
        check_ok(vrift_store_stats(store, &stats));
        assert_int_equal(stats.temporary_files, 0);
        vrift_store_close(store);
    }
    printf("# %u of 60 imports were done before they were killed\n", done);
    free(path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_path_that_is_no_directory_is_named),
        TEST(a_store_is_not_imported_into_itself),
        TEST(an_unreadable_file_is_named),
        TEST(a_file_that_changes_once_is_read_again),
        TEST(a_file_that_keeps_changing_is_refused),
        TEST(a_file_that_vanishes_is_named),
        TEST(the_callback_cancels_and_its_answer_is_returned),
        TEST(a_full_disk_leaves_the_store_as_it_was),
        TEST(killed_at_any_moment_an_import_leaves_a_sound_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
