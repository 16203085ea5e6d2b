/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Stored files that were written to after they were published. */
#include "support/check.h"
#include "support/storage.h"

#include <vrift/vrift.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE 100000

struct scene {
    char *directory, *tree, *dest;
    vrift_store *store;
    struct vrift_digest id;
};

static void set_up(struct scene *scene)
{
    static char large[LARGE];
    scene->directory = temporary_directory();
    scene->tree = storage_path(scene->directory, "tree");
    scene->dest = storage_path(scene->directory, "dest");
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)(i * 7);
    assert_int_equal(mkdir(scene->tree, 0755), 0);
    storage_write(scene->tree, "large", large, sizeof large);
    storage_write(scene->tree, "small", "small", 5);
    scene->store = storage_make(scene->directory);
    scene->id = storage_import(scene->store, scene->tree, 1, 0);
}

static void tear_down(struct scene *scene)
{
    vrift_store_close(scene->store);
    free(scene->tree);
    free(scene->dest);
    remove_temporary_directory(scene->directory);
}

/* Opens the store anew, as another process would find it. */
static void reopen(struct scene *scene)
{
    char *path = storage_path(scene->directory, "store");
    vrift_store_close(scene->store);
    check_ok(vrift_store_open(path, NULL, &scene->store));
    free(path);
}

static char found[4096];

static int note_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)at;
    if (type != FTW_F)
        return 0;
    snprintf(found, sizeof found, "%s", path);
    return 1;
}

/* The only file below DIRECTORY/store/WHERE, however deep. */
static void only_file(const struct scene *scene, const char *where, char path[4096])
{
    char start[4096];
    snprintf(start, sizeof start, "%s/store/%s", scene->directory, where);
    assert_int_equal(nftw(start, note_file, 8, FTW_PHYS), 1);
    memcpy(path, found, sizeof found);
}

static void flip(const char *path, off_t at)
{
    char byte;
    chmod(path, 0644);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && pread(fd, &byte, 1, at) == 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    chmod(path, 0444);
}

static int64_t read_named(vrift_snapshot *snapshot, const char *name)
{
    char buf[16];
    uint64_t entry;
    check_ok(vrift_snapshot_walk(snapshot, name, &entry));
    return vrift_snapshot_pread(snapshot, entry, buf, sizeof buf, 0);
}

static void a_large_blob_that_was_written_to_is_refused_and_healed_by_an_import(void **state)
{
    (void)state;
    static const uint32_t links[] = {VRIFT_LINK_SMART, VRIFT_LINK_COPY, VRIFT_LINK_HARDLINK};
    struct scene scene;
    char path[4096];
    set_up(&scene);
    only_file(&scene, "objects", path);
    flip(path, LARGE / 2);
    reopen(&scene);
    vrift_snapshot *snapshot = storage_open(scene.store, &scene.id);
    check_error(-VRIFT_EUCLEAN, read_named(snapshot, "large"));
    assert_int_equal(read_named(snapshot, "small"), 5);
    for (int i = 0; i < 3; i++) {
        struct vrift_checkout_options options = {.size = sizeof options, .link = links[i]};
        check_error(-VRIFT_EUCLEAN, vrift_checkout(snapshot, scene.dest, &options, NULL));
        assert_int_not_equal(access(scene.dest, F_OK), 0);
    }
    storage_import(scene.store, scene.tree, 1, 0);
    check_ok(vrift_checkout(snapshot, scene.dest, NULL, NULL));
    storage_assert_sound(scene.store);
    vrift_snapshot_unref(snapshot);
    tear_down(&scene);
}

static void a_file_that_was_only_touched_is_read_as_before(void **state)
{
    (void)state;
    struct scene scene;
    char path[4096];
    set_up(&scene);
    only_file(&scene, "objects", path);
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
    only_file(&scene, "packs", path);
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
    only_file(&scene, "index", path);
    assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
    reopen(&scene);
    vrift_snapshot *snapshot = storage_open(scene.store, &scene.id);
    storage_assert_matches(snapshot, scene.tree);
    struct vrift_checkout_options options = {.size = sizeof options, .link = VRIFT_LINK_HARDLINK};
    check_ok(vrift_checkout(snapshot, scene.dest, &options, NULL));
    vrift_snapshot_unref(snapshot);
    tear_down(&scene);
}

/* Whatever byte of the pack it is: the small file reads right or not at all, and an import brings it back. */
static void no_byte_of_a_pack_changes_what_is_read(void **state)
{
    (void)state;
    struct scene scene;
    char path[4096], text[16];
    struct stat st;
    uint64_t entry;
    unsigned refused = 0;
    set_up(&scene);
    only_file(&scene, "packs", path);
    assert_int_equal(stat(path, &st), 0);
    for (off_t at = 0; at < st.st_size; at += 3) {
        flip(path, at);
        reopen(&scene);
        vrift_snapshot *snapshot = storage_open(scene.store, &scene.id);
        check_ok(vrift_snapshot_walk(snapshot, "small", &entry));
        int64_t got = vrift_snapshot_pread(snapshot, entry, text, sizeof text, 0);
        if (got < 0)
            refused++;
        else
            assert_true(got == 5 && memcmp(text, "small", 5) == 0);
        vrift_snapshot_unref(snapshot);
        flip(path, at);
    }
    assert_in_range(refused, 10, (unsigned)st.st_size);
    flip(path, st.st_size / 2);
    reopen(&scene);
    storage_import(scene.store, scene.tree, 1, 0);
    storage_assert_sound(scene.store);
    tear_down(&scene);
}

static void an_index_that_was_written_to_is_made_anew(void **state)
{
    (void)state;
    struct scene scene;
    char path[4096];
    struct stat st;
    set_up(&scene);
    only_file(&scene, "index", path);
    assert_int_equal(stat(path, &st), 0);
    for (off_t at = 0; at < st.st_size; at += 61) {
        flip(path, at);
        reopen(&scene);
        vrift_snapshot *snapshot = storage_open(scene.store, &scene.id);
        storage_assert_matches(snapshot, scene.tree);
        vrift_snapshot_unref(snapshot);
        storage_assert_sound(scene.store);
    }
    tear_down(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_blob_that_was_written_to_is_refused_and_healed_by_an_import),
        cmocka_unit_test(a_file_that_was_only_touched_is_read_as_before),
        cmocka_unit_test(no_byte_of_a_pack_changes_what_is_read),
        cmocka_unit_test(an_index_that_was_written_to_is_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
