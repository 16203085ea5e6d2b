/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Whatever byte of whatever stored file is flipped, verifying finds it, and nothing that opens it crashes. */
#include "support/check.h"
#include "support/storage.h"

#include "store/blob.h"
#include "store/snapshot.h"

#include <vrift/workspace.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVERY_BYTE_UP_TO 700 /* of larger files a sample is flipped, the ends in full */
#define SAMPLES          60

struct fixture {
    char *directory;
    char *path; /* of the store */
    struct vrift_digest id;
    struct vrift_digest timeless;
};

static void fill_tree(const char *tree)
{
    char *large = malloc(30000), *path;
    for (int i = 0; i < 30000; i++)
        large[i] = (char)(i * 7);
    mkdir(tree, 0755);
    path = storage_path(tree, "sub");
    mkdir(path, 0700);
    storage_write(tree, "large", large, 30000);
    storage_write(tree, "small", "small", 5);
    storage_write(path, "empty", "", 0);
    free(path);
    char *link = storage_path(tree, "second name");
    path = storage_path(tree, "small");
    assert_int_equal(link == NULL || linkat(AT_FDCWD, path, AT_FDCWD, link, 0), 0);
    free(link);
    free(path);
    path = storage_path(tree, "symlink");
    assert_int_equal(symlink("small", path), 0);
    free(path);
    free(large);
}

static void make_executable_twin(vrift_store *store, const struct vrift_digest *id, const char *directory)
{
    vrift_snapshot *snapshot = storage_open(store, id);
    struct vrift_stat stat;
    struct vr_digest digest;
    uint64_t entry;
    check_ok(vrift_snapshot_walk(snapshot, "small", &entry));
    check_ok(vrift_snapshot_stat(snapshot, entry, &stat));
    memcpy(digest.bytes, stat.digest, sizeof digest.bytes);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check_ok(vr_blob_link(store, &digest, stat.size, 1, fd, "twin"));
    close(fd);
    vrift_snapshot_unref(snapshot);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    fixture->directory = temporary_directory();
    fixture->path = storage_path(fixture->directory, "store");
    char *tree = storage_path(fixture->directory, "tree");
    fill_tree(tree);
    vrift_store *store = storage_make(fixture->directory);
    fixture->id = storage_import(store, tree, 1, 0);
    fixture->timeless = storage_import(store, tree, 1, VRIFT_IMPORT_TIMELESS);
    check_ok(vrift_ref_set(store, "builds/main", &fixture->id));
    make_executable_twin(store, &fixture->id, fixture->directory);
    check_ok(vrift_workspace_create(store, "work", &fixture->id, 0, NULL));
    storage_assert_sound(store);
    vrift_store_close(store);
    free(tree);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    remove_temporary_directory(fixture->directory);
    free(fixture->path);
    free(fixture);
    return 0;
}

/* -- Stored files ------------------------------------------------------------------------------------------------- */

struct files {
    char *paths[64];
    size_t count;
};

static void find_files(const char *directory, struct files *files)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = storage_path(directory, entry->d_name);
        if (entry->d_type == DT_DIR) {
            find_files(path, files);
            free(path);
        } else {
            assert_true(files->count < 64);
            files->paths[files->count++] = path;
        }
    }
    closedir(dir);
}

static char *read_all(const char *path, size_t *length)
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &stat), 0);
    char *data = malloc((size_t)stat.st_size + 1);
    assert_int_equal(read(fd, data, (size_t)stat.st_size), stat.st_size);
    close(fd);
    *length = (size_t)stat.st_size;
    return data;
}

/* The modes of stored files forbid it, which root does not mind. */
static void overwrite(const char *path, const void *data, size_t length)
{
    struct stat stat;
    assert_int_equal(lstat(path, &stat), 0);
    assert_int_equal(chmod(path, 0644), 0);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, length), (ssize_t)length);
    assert_int_equal(fchmod(fd, stat.st_mode & 07777), 0);
    close(fd);
}

/* Uses everything that can be used; what it answers may be an error, but must be an answer. */
static void use(const struct fixture *fixture, vrift_store *store)
{
    const struct vrift_digest *ids[] = {&fixture->id, &fixture->timeless};
    for (int i = 0; i < 2; i++) {
        vrift_snapshot *snapshot;
        if (vrift_snapshot_open(store, ids[i], &snapshot))
            continue;
        struct vrift_snapshot_info info;
        check_ok(vrift_snapshot_info(snapshot, &info));
        for (uint64_t entry = 0; entry < info.entries; entry++) {
            struct vrift_stat stat;
            char text[64];
            uint64_t found;
            vrift_snapshot_stat(snapshot, entry, &stat);
            vrift_snapshot_pread(snapshot, entry, text, sizeof text, 0);
            vrift_snapshot_readlink(snapshot, entry, text, sizeof text);
            vrift_snapshot_listxattr(snapshot, entry, text, sizeof text);
            vrift_snapshot_lookup(snapshot, entry, "small", 5, &found);
        }
        vrift_snapshot_unref(snapshot);
    }
}

static int32_t open_store(const struct fixture *fixture, vrift_store **out)
{
    const struct vrift_store_options options = {sizeof options, VRIFT_DURABILITY_NONE, 0};
    return vrift_store_open(fixture->path, &options, out);
}

static void expect_found(const struct fixture *fixture, const char *path, const char *what, size_t at)
{
    vrift_store *store;
    int32_t error = open_store(fixture, &store);
    if (error) {
        assert_true(strstr(path, "/format") != NULL);
        return;
    }
    uint64_t problems = storage_problems(store);
    if (problems == 0)
        print_error("%s %zu of %s is not found\n", what, at, path);
    assert_true(problems > 0);
    use(fixture, store);
    vrift_store_close(store);
}

static void flip(const struct fixture *fixture, const char *path, char *data, size_t length, size_t at)
{
    char bit = (char)(1 << (at % 8));
    char *twin = malloc(length);
    memcpy(twin, data, length);
    twin[at] = (char)(twin[at] ^ bit);
    overwrite(path, twin, length);
    expect_found(fixture, path, "byte", at);
    free(twin);
    overwrite(path, data, length); /* an index that was found damaged may have been built anew */
}

static void a_flipped_byte_anywhere_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct files files = {.count = 0};
    find_files(fixture->path, &files);
    /* format, ref, loose blob and twin, 2 packs, 2 snapshots, 2 indexes, the base of a workspace */
    assert_true(files.count >= 11);
    for (size_t i = 0; i < files.count; i++) {
        size_t length;
        char *data = read_all(files.paths[i], &length);
        size_t step = length <= EVERY_BYTE_UP_TO ? 1 : length / SAMPLES;
        for (size_t at = 0; at < length; at += step)
            flip(fixture, files.paths[i], data, length, at);
        flip(fixture, files.paths[i], data, length, length - 1);
        free(data);
        free(files.paths[i]);
    }
    vrift_store *store;
    check_ok(open_store(fixture, &store));
    storage_assert_sound(store);
    vrift_store_close(store);
}

static void a_truncated_file_is_found_at_any_length(void **state)
{
    struct fixture *fixture = *state;
    struct files files = {.count = 0};
    find_files(fixture->path, &files);
    for (size_t i = 0; i < files.count; i++) {
        size_t length;
        char *data = read_all(files.paths[i], &length);
        size_t step = length <= 20 ? 1 : length / 20;
        for (size_t at = 0; at < length; at += step) {
            overwrite(files.paths[i], data, at);
            expect_found(fixture, files.paths[i], "length", at);
            overwrite(files.paths[i], data, length);
        }
        free(data);
        free(files.paths[i]);
    }
}

static void a_missing_file_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct files files = {.count = 0};
    find_files(fixture->path, &files);
    for (size_t i = 0; i < files.count; i++) {
        size_t length;
        char *path = files.paths[i], *data = read_all(path, &length);
        /* An index is built anew, a ref is not missed, and a twin and what was promoted are extra copies. */
        int wanted = strstr(path, "/packs/") || strstr(path, "/snapshots/") || strstr(path, "/format");
        if (wanted) {
            char *aside = storage_path(fixture->directory, "aside");
            assert_int_equal(rename(path, aside), 0);
            expect_found(fixture, path, "absence", 0);
            assert_int_equal(rename(aside, path), 0);
            free(aside);
        }
        free(data);
        free(path);
    }
}

static void a_damaged_index_is_built_anew_when_the_snapshot_is_opened(void **state)
{
    struct fixture *fixture = *state;
    char hex[65], *name = NULL;
    vrift_store *store;
    size_t length;
    vrift_digest_format(&fixture->id, hex);
    char *directory = storage_path(fixture->path, "index");
    name = storage_path(directory, hex);
    char *data = read_all(name, &length);
    check_ok(open_store(fixture, &store));
    for (size_t cut = 0; cut < length; cut += length / 10) {
        overwrite(name, data, cut);
        vrift_snapshot *snapshot = storage_open(store, &fixture->id);
        uint64_t entry;
        check_ok(vrift_snapshot_walk(snapshot, "sub/empty", &entry));
        vrift_snapshot_unref(snapshot);
        storage_assert_sound(store);
    }
    assert_int_equal(unlink(name), 0);
    vrift_snapshot *snapshot = storage_open(store, &fixture->id);
    vrift_snapshot_unref(snapshot);
    size_t rebuilt_length;
    char *rebuilt = read_all(name, &rebuilt_length);
    assert_int_equal(rebuilt_length, length);
    assert_memory_equal(rebuilt, data, length);
    vrift_store_close(store);
    free(rebuilt);
    free(data);
    free(name);
    free(directory);
}

static void a_foreign_file_in_a_store_is_reported(void **state)
{
    struct fixture *fixture = *state;
    const char *const places[] = {"", "objects", "objects/00", "packs", "snapshots", "index"};
    vrift_store *store;
    check_ok(open_store(fixture, &store));
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char *place = storage_path(fixture->path, places[i]), *stray = storage_path(place, "stray");
        storage_write(place, "stray", "x", 1);
        assert_int_equal(storage_problems(store), 1);
        assert_int_equal(unlink(stray), 0);
        free(stray);
        free(place);
    }
    storage_assert_sound(store);
    vrift_store_close(store);
}

static void a_changed_mode_of_a_shared_inode_is_reported(void **state)
{
    struct fixture *fixture = *state;
    char *twin = storage_path(fixture->directory, "twin");
    vrift_store *store;
    check_ok(open_store(fixture, &store));
    assert_int_equal(chmod(twin, 0755), 0);
    assert_int_equal(storage_problems(store), 1);
    assert_int_equal(chmod(twin, 0555), 0);
    storage_assert_sound(store);
    vrift_store_close(store);
    free(twin);
}

static int32_t VRIFT_CALLBACK stop_at_once(const struct vrift_problem *problem, void *payload)
{
    (void)problem;
    ++*(int *)payload;
    return 42;
}

static void a_callback_stops_verifying(void **state)
{
    struct fixture *fixture = *state;
    int calls = 0;
    const struct vrift_verify_options options = {.size = sizeof options, .problem = stop_at_once, .payload = &calls};
    struct vrift_verify_result result;
    vrift_store *store;
    check_ok(open_store(fixture, &store));
    storage_write(fixture->path, "stray", "x", 1);
    char *objects = storage_path(fixture->path, "objects");
    storage_write(objects, "stray", "x", 1);
    assert_int_equal(vrift_store_verify(store, &options, &result), 42);
    assert_int_equal(calls, 1);
    vrift_store_close(store);
    free(objects);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_flipped_byte_anywhere_is_found),
        TEST(a_truncated_file_is_found_at_any_length),
        TEST(a_missing_file_is_found),
        TEST(a_damaged_index_is_built_anew_when_the_snapshot_is_opened),
        TEST(a_foreign_file_in_a_store_is_reported),
        TEST(a_changed_mode_of_a_shared_inode_is_reported),
        TEST(a_callback_stops_verifying),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
