/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Making and opening stores, names for snapshots, and comparing them. */
#include "support/check.h"
#include "support/storage.h"

#include "store/store.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
    vrift_store_close(fixture->store);
    remove_temporary_directory(fixture->directory);
    free(fixture->tree);
    free(fixture);
    return 0;
}

static struct vrift_digest import_with(struct fixture *fixture, const char *name, const char *text)
{
    storage_write(fixture->tree, name, text, strlen(text));
    return storage_import(fixture->store, fixture->tree, 1, VRIFT_IMPORT_TIMELESS);
}

static void write_format(const char *store, const char *body)
{
    struct vr_str text = VR_STR_INIT;
    vr_str_append_text(&text, body);
    vr_store_add_checksum(&text);
    storage_write(store, "format", text.data, text.length);
    vr_str_dispose(&text);
}

/* -- Opening ------------------------------------------------------------------------------------------------------ */

static void what_is_not_a_store_is_refused_with_a_reason(void **state)
{
    struct fixture *fixture = *state;
    const struct vrift_store_options create = {sizeof create, 0, VRIFT_STORE_CREATE};
    struct vrift_error_detail detail;
    vrift_store *store = NULL;
    char *absent = storage_path(fixture->directory, "absent"), *file = storage_path(fixture->tree, "file");
    check_error(-VRIFT_ENOENT, vrift_store_open(absent, NULL, &store));
    check_error(-VRIFT_EINVAL, vrift_store_open(fixture->tree, NULL, &store));
    check_ok(vrift_error_detail(&detail));
    assert_string_equal(detail.path, fixture->tree);
    assert_true(strlen(detail.reason) > 0);
    storage_write(fixture->tree, "file", "x", 1);
    check_error(-VRIFT_EINVAL, vrift_store_open(fixture->tree, &create, &store));
    check_error(-VRIFT_ENOTDIR, vrift_store_open(file, &create, &store));
    check_error(-VRIFT_EINVAL, vrift_store_open("", NULL, &store));
    assert_null(store);
    assert_int_equal(access(absent, F_OK), -1);
    free(absent);
    free(file);
}

static void a_store_is_made_with_its_missing_parents_and_opened_again(void **state)
{
    struct fixture *fixture = *state;
    const struct vrift_store_options create = {sizeof create, 0, VRIFT_STORE_CREATE};
    char *path = storage_path(fixture->directory, "a/b/c");
    vrift_store *store, *again;
    check_ok(vrift_store_open(path, &create, &store));
    check_ok(vrift_store_open(path, &create, &again));
    assert_string_equal(vrift_store_path(again), path);
    vrift_store_close(again);
    vrift_store_close(store);
    vrift_store_close(NULL);
    free(path);
}

static void a_half_made_store_is_finished(void **state)
{
    struct fixture *fixture = *state;
    const struct vrift_store_options create = {sizeof create, 0, VRIFT_STORE_CREATE};
    char *path = storage_path(fixture->directory, "half"), *objects = storage_path(path, "objects");
    vrift_store *store;
    mkdir(path, 0755);
    mkdir(objects, 0755);
    check_ok(vrift_store_open(path, &create, &store));
    storage_assert_sound(store);
    vrift_store_close(store);
    free(objects);
    free(path);
}

static void a_store_of_a_newer_version_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char *path = storage_path(fixture->directory, "store");
    vrift_store *store;
    write_format(path, "vrift store\nversion 2\nwhatever comes\n");
    check_error(-VRIFT_EOPNOTSUPP, vrift_store_open(path, NULL, &store));
    write_format(path, "vrift store\nversion 1\ndigest sha256\npack-limit 16384\n");
    check_error(-VRIFT_EOPNOTSUPP, vrift_store_open(path, NULL, &store));
    write_format(path, "vrift store\nversion 1\ndigest blake3\npack-limit 16384\nmore\n");
    check_error(-VRIFT_EOPNOTSUPP, vrift_store_open(path, NULL, &store));
    free(path);
}

static void a_damaged_format_file_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char *path = storage_path(fixture->directory, "store");
    vrift_store *store;
    storage_write(path, "format", "vrift store\nversion 1\n", 22);
    check_error(-VRIFT_EUCLEAN, vrift_store_open(path, NULL, &store));
    storage_write(path, "format", "", 0);
    check_error(-VRIFT_EINVAL, vrift_store_open(path, NULL, &store));
    char *large = calloc(1, 100000);
    storage_write(path, "format", large, 100000);
    check_error(-VRIFT_EUCLEAN, vrift_store_open(path, NULL, &store));
    free(large);
    free(path);
}

static void bad_options_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char *path = storage_path(fixture->directory, "store");
    struct vrift_store_options options = {sizeof options, 0, 2};
    vrift_store *store;
    check_error(-VRIFT_EINVAL, vrift_store_open(path, &options, &store));
    options = (struct vrift_store_options){sizeof options, 4, 0};
    check_error(-VRIFT_EINVAL, vrift_store_open(path, &options, &store));
    options = (struct vrift_store_options){3, 0, 0};
    check_error(-VRIFT_EINVAL, vrift_store_open(path, &options, &store));
    check_error(-VRIFT_EINVAL, vrift_store_open(path, NULL, NULL));
    struct vrift_import_options import = {.size = sizeof import, .flags = 2};
    struct vrift_import_result result;
    check_error(-VRIFT_EINVAL, vrift_import(fixture->store, fixture->tree, &import, &result));
    check_error(-VRIFT_EINVAL, vrift_import(NULL, fixture->tree, NULL, &result));
    free(path);
}

static void every_durability_stores_the_same(void **state)
{
    struct fixture *fixture = *state;
    struct vrift_digest first = import_with(fixture, "a", "text");
    for (uint32_t durability = VRIFT_DURABILITY_NONE; durability <= VRIFT_DURABILITY_STRICT; durability++) {
        const struct vrift_store_options options = {sizeof options, durability, VRIFT_STORE_CREATE};
        char name[16];
        snprintf(name, sizeof name, "store-%u", durability);
        char *path = storage_path(fixture->directory, name);
        vrift_store *store;
        check_ok(vrift_store_open(path, &options, &store));
        struct vrift_digest id = storage_import(store, fixture->tree, 1, VRIFT_IMPORT_TIMELESS);
        assert_memory_equal(&id, &first, sizeof id);
        check_ok(vrift_ref_set(store, "x", &id));
        storage_assert_sound(store);
        vrift_store_close(store);
        free(path);
    }
}

/* -- Names -------------------------------------------------------------------------------------------------------- */

struct listed {
    char text[512];
};

static int32_t VRIFT_CALLBACK append_name(const struct vrift_ref *ref, void *payload)
{
    struct listed *listed = payload;
    size_t used = strlen(listed->text);
    snprintf(listed->text + used, sizeof listed->text - used, "%s%s ", ref->name,
             ref->snapshot.algorithm == VRIFT_DIGEST_NONE ? "!" : "");
    return 0;
}

static void refs_are_set_read_listed_and_removed(void **state)
{
    struct fixture *fixture = *state;
    struct vrift_digest one = import_with(fixture, "a", "1"), two = import_with(fixture, "a", "2"), got;
    struct listed listed = {""};
    check_ok(vrift_ref_set(fixture->store, "main", &one));
    check_ok(vrift_ref_set(fixture->store, "team/x.y-z_1", &one));
    check_ok(vrift_ref_set(fixture->store, "team/b", &two));
    check_ok(vrift_ref_set(fixture->store, "main", &two));
    check_ok(vrift_ref_get(fixture->store, "main", &got));
    assert_memory_equal(&got, &two, sizeof got);
    check_ok(vrift_ref_list(fixture->store, append_name, &listed));
    assert_string_equal(listed.text, "main team/b team/x.y-z_1 ");
    check_ok(vrift_ref_delete(fixture->store, "team/b"));
    check_error(-VRIFT_ENOENT, vrift_ref_delete(fixture->store, "team/b"));
    check_error(-VRIFT_ENOENT, vrift_ref_get(fixture->store, "team/b", &got));
    check_error(-VRIFT_ENOENT, vrift_ref_get(fixture->store, "team", &got));
    check_error(-VRIFT_ENOENT, vrift_ref_delete(fixture->store, "team"));
    check_ok(vrift_ref_delete(fixture->store, "team/x.y-z_1"));
    check_ok(vrift_ref_set(fixture->store, "team", &one)); /* the directory went with its last ref */
    storage_assert_sound(fixture->store);
}

static void bad_ref_names_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bad[] = {"", "/a", "a/", "a//b", ".a", "a/.b", "..", "a b", "a\nb", "\xff", "a/..", "a:b"};
    struct vrift_digest id = import_with(fixture, "a", "1"), got;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_error(-VRIFT_EINVAL, vrift_ref_set(fixture->store, bad[i], &id));
        check_error(-VRIFT_EINVAL, vrift_ref_get(fixture->store, bad[i], &got));
    }
    char name[202];
    memset(name, 'n', 201);
    name[201] = '\0';
    check_error(-VRIFT_EINVAL, vrift_ref_set(fixture->store, name, &id));
    name[200] = '\0';
    check_ok(vrift_ref_set(fixture->store, name, &id));
}

static void refs_and_parts_of_names_do_not_mix(void **state)
{
    struct fixture *fixture = *state;
    struct vrift_digest id = import_with(fixture, "a", "1");
    check_ok(vrift_ref_set(fixture->store, "a/b", &id));
    check_error(-VRIFT_EISDIR, vrift_ref_set(fixture->store, "a", &id));
    check_error(-VRIFT_ENOTDIR, vrift_ref_set(fixture->store, "a/b/c", &id));
    struct vrift_digest other = id;
    other.bytes[0] ^= 1;
    check_error(-VRIFT_ENOENT, vrift_ref_set(fixture->store, "other", &other));
    storage_assert_sound(fixture->store);
}

static void a_damaged_ref_is_told_from_a_missing_one(void **state)
{
    struct fixture *fixture = *state;
    struct vrift_digest id = import_with(fixture, "a", "1"), got;
    struct listed listed = {""};
    char *refs = storage_path(fixture->directory, "store/refs");
    check_ok(vrift_ref_set(fixture->store, "good", &id));
    storage_write(refs, "bad", "vrift ref 1\n", 12);
    check_error(-VRIFT_EUCLEAN, vrift_ref_get(fixture->store, "bad", &got));
    check_error(-VRIFT_EUCLEAN, vrift_snapshot_resolve(fixture->store, "bad", &got));
    check_ok(vrift_ref_list(fixture->store, append_name, &listed));
    assert_string_equal(listed.text, "bad! good ");
    check_ok(vrift_ref_delete(fixture->store, "bad"));
    free(refs);
}

static void a_snapshot_is_found_by_id_ref_and_unique_prefix(void **state)
{
    struct fixture *fixture = *state;
    struct vrift_digest id = import_with(fixture, "a", "1"), got;
    char hex[65], prefix[65];
    vrift_digest_format(&id, hex);
    check_ok(vrift_ref_set(fixture->store, "name", &id));
    check_ok(vrift_snapshot_resolve(fixture->store, hex, &got));
    assert_memory_equal(&got, &id, sizeof id);
    check_ok(vrift_snapshot_resolve(fixture->store, "name", &got));
    for (size_t length = 1; length < 64; length++) {
        snprintf(prefix, sizeof prefix, "%.*s", (int)length, hex);
        if (length < 4)
            check_error(-VRIFT_ENOENT, vrift_snapshot_resolve(fixture->store, prefix, &got));
        else
            check_ok(vrift_snapshot_resolve(fixture->store, prefix, &got));
    }
    /* Another that begins alike makes the short prefix ambiguous, not the long one. */
    char *snapshots = storage_path(fixture->directory, "store/snapshots");
    snprintf(prefix, sizeof prefix, "%s", hex);
    prefix[10] = prefix[10] == '0' ? '1' : '0';
    storage_write(snapshots, prefix, "x", 1);
    prefix[10] = '\0';
    check_error(-VRIFT_EEXIST, vrift_snapshot_resolve(fixture->store, prefix, &got));
    snprintf(prefix, sizeof prefix, "%.11s", hex);
    check_ok(vrift_snapshot_resolve(fixture->store, prefix, &got));
    check_error(-VRIFT_ENOENT, vrift_snapshot_resolve(fixture->store, "nothing", &got));
    check_error(-VRIFT_ENOENT, vrift_snapshot_resolve(fixture->store, "", &got));
    check_error(-VRIFT_ENOENT, vrift_snapshot_resolve(fixture->store, "../format", &got));
    free(snapshots);
}

static void digests_are_written_and_read_back(void **state)
{
    (void)state;
    struct vrift_digest digest, none = {0};
    char hex[65];
    const char *text = "00ff0123456789abcdef00112233445566778899aabbccddeeff001122334455";
    check_ok(vrift_digest_parse(text, &digest));
    assert_int_equal(digest.algorithm, VRIFT_DIGEST_BLAKE3);
    check_ok(vrift_digest_format(&digest, hex));
    assert_string_equal(hex, text);
    check_error(-VRIFT_EINVAL, vrift_digest_parse("00", &digest));
    check_error(-VRIFT_EINVAL,
                vrift_digest_parse("0gff0123456789abcdef00112233445566778899aabbccddeeff001122334455", &digest));
    check_error(-VRIFT_EINVAL,
                vrift_digest_parse("00ff0123456789abcdef00112233445566778899aabbccddeeff0011223344550", &digest));
    check_error(-VRIFT_EINVAL, vrift_digest_format(&none, hex));
}

/* -- Differences -------------------------------------------------------------------------------------------------- */

static int32_t VRIFT_CALLBACK append_change(const struct vrift_change *change, void *payload)
{
    static const char *const kinds[] = {"?", "added", "removed", "content", "attr", "type"};
    struct listed *listed = payload;
    size_t used = strlen(listed->text);
    assert_int_equal(change->before.mask == 0, change->kind == VRIFT_CHANGE_ADDED);
    assert_int_equal(change->after.mask == 0, change->kind == VRIFT_CHANGE_REMOVED);
    snprintf(listed->text + used, sizeof listed->text - used, "%s %s\n", kinds[change->kind], change->path);
    return 0;
}

static void differences_are_reported_in_the_order_of_paths(void **state)
{
    struct fixture *fixture = *state;
    struct listed listed = {""};
    char *work = fixture->tree;
    char command[4096];
    snprintf(command, sizeof command,
             "cd '%s' && mkdir gone same turned && echo 1 >gone/x && echo 1 >same/y && echo 1 >turned/z && echo 1 >a "
             "&& echo 1 >b && ln -s 1 link && echo 1 >becomes-link",
             work);
    assert_int_equal(system(command), 0);
    struct vrift_digest one = storage_import(fixture->store, work, 1, VRIFT_IMPORT_TIMELESS);
    snprintf(command, sizeof command,
             "cd '%s' && rm -r gone turned becomes-link && mkdir new && echo 1 >new/n && echo 1 >turned && echo 2 >a "
             "&& chmod 600 b && ln -sf 2 link && ln -s a becomes-link && chmod 700 .",
             work);
    assert_int_equal(system(command), 0);
    struct vrift_digest two = storage_import(fixture->store, work, 1, VRIFT_IMPORT_TIMELESS);
    vrift_snapshot *before = storage_open(fixture->store, &one), *after = storage_open(fixture->store, &two);
    check_ok(vrift_diff(before, after, 0, append_change, &listed));
    assert_string_equal(listed.text, "attr .\ncontent a\nattr b\ntype becomes-link\nremoved gone\nremoved gone/x\n"
                                     "content link\nadded new\nadded new/n\ntype turned\nremoved turned/z\n");
    listed.text[0] = '\0';
    check_ok(vrift_diff(after, after, 0, append_change, &listed));
    assert_string_equal(listed.text, "");
    check_error(-VRIFT_EINVAL, vrift_diff(before, after, 1, append_change, &listed));
    vrift_snapshot_unref(before);
    vrift_snapshot_unref(after);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_not_a_store_is_refused_with_a_reason),
        TEST(a_store_is_made_with_its_missing_parents_and_opened_again),
        TEST(a_half_made_store_is_finished),
        TEST(a_store_of_a_newer_version_is_refused),
        TEST(a_damaged_format_file_is_refused),
        TEST(bad_options_are_refused),
        TEST(every_durability_stores_the_same),
        TEST(refs_are_set_read_listed_and_removed),
        TEST(bad_ref_names_are_refused),
        TEST(refs_and_parts_of_names_do_not_mix),
        TEST(a_damaged_ref_is_told_from_a_missing_one),
        TEST(a_snapshot_is_found_by_id_ref_and_unique_prefix),
        cmocka_unit_test(digests_are_written_and_read_back),
        TEST(differences_are_reported_in_the_order_of_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
