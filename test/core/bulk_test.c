/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Attributes of many names at once: listings that carry them, and batches of paths. */
#include "support/world.h"

#include <stdbool.h>
#include <string.h>

#define HERE VRIFT_AT_FDCWD

/* The attributes that a listing of a directory has for a name; false if the name is not there. */
static bool listed(vrift_task *task, const char *dir, const char *name, struct vrift_stat *out)
{
    _Alignas(8) static char buf[65536];
    bool found = false;
    int64_t got;
    int32_t fd = (int32_t)check_ok(vrift_openat(task, HERE, dir, VRIFT_O_DIRECTORY, 0));
    while ((got = check_ok(vrift_getdents(task, fd, buf, sizeof buf, VRIFT_GETDENTS_STAT))) > 0) {
        for (int64_t at = 0; at < got;) {
            const struct vrift_dirent *entry = (const void *)(buf + at);
            if (!strcmp(vrift_dirent_name(entry), name)) {
                *out = *vrift_dirent_stat(entry);
                found = true;
            }
            at += entry->record_length;
        }
    }
    check_ok(vrift_close(task, fd));
    return found;
}

static void a_listing_shows_the_root_of_what_is_mounted_on_a_name(void **state)
{
    struct world *w = *state;
    struct vrift_stat st, wanted;
    vrift_sb *other;
    check_ok(vrift_mem_new(w->vfs, NULL, &other));
    check_ok(vrift_mkdirat(w->task, HERE, "/m", 0700));
    check_ok(world_file(w, "/f", "text"));
    check_ok(vrift_mount(w->task, HERE, "/m", other, 0));
    vrift_sb_unref(other);
    wanted = world_stat(w, "/m");
    assert_true(listed(w->task, "/", "m", &st));
    assert_memory_equal(&st, &wanted, sizeof st);
    wanted = world_stat(w, "/f");
    assert_true(listed(w->task, "/", "f", &st));
    assert_memory_equal(&st, &wanted, sizeof st);
    assert_true(listed(w->task, "/m", "..", &st));
    wanted = world_stat(w, "/");
    assert_int_equal(st.dev, wanted.dev);
    check_ok(vrift_umount(w->task, HERE, "/m", 0));
}

static void who_may_not_search_a_directory_lists_it_without_attributes(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0744));
    check_ok(world_file(w, "/d/f", "text"));
    vrift_cred *cred = world_cred(w, 1000, 1000);
    check_ok(vrift_task_set_cred(w->task, cred));
    vrift_cred_unref(cred);
    assert_true(listed(w->task, "/d", "f", &st));
    assert_int_equal(st.mask, 0);
    assert_int_equal(st.size, 0);
}

static void a_plain_listing_has_no_attributes(void **state)
{
    struct world *w = *state;
    _Alignas(8) char buf[256];
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/", VRIFT_O_DIRECTORY, 0));
    check_ok(vrift_getdents(w->task, fd, buf, sizeof buf, 0));
    assert_null(vrift_dirent_stat((const void *)buf));
    check_error(-VRIFT_EINVAL, vrift_getdents(w->task, fd, buf, sizeof buf, 2));
    check_ok(vrift_close(w->task, fd));
}

static void a_batch_answers_each_path_as_one_stat_would(void **state)
{
    struct world *w = *state;
    static const char *const paths[] = {"/d/f", "/d/none", "d/./f", "/d/f/x", "", "/d"};
    struct vrift_stat out[6], one;
    int32_t results[6];
    memset(out, 0x55, sizeof out);
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    check_ok(world_file(w, "/d/f", "text"));
    assert_int_equal(vrift_statat_batch(w->task, HERE, paths, 6, 0, out, results), 3);
    for (int i = 0; i < 6; i++) {
        memset(&one, 0x55, sizeof one);
        assert_int_equal(results[i], vrift_statat(w->task, HERE, paths[i], 0, &one));
        assert_memory_equal(&out[i], &one, sizeof one);
    }
    assert_int_equal(vrift_statat_batch(w->task, HERE, NULL, 0, 0, NULL, NULL), 0);
    check_error(-VRIFT_EINVAL, vrift_statat_batch(w->task, HERE, paths, 6, 0x8000, out, results));
    check_error(-VRIFT_EINVAL, vrift_statat_batch(w->task, HERE, paths, 6, 0, out, NULL));
}

static int setup(void **state)
{
    *state = world_new(NULL);
    return 0;
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_listing_shows_the_root_of_what_is_mounted_on_a_name),
        TEST(who_may_not_search_a_directory_lists_it_without_attributes),
        TEST(a_plain_listing_has_no_attributes),
        TEST(a_batch_answers_each_path_as_one_stat_would),
    };
    return cmocka_run_group_tests_name("bulk", tests, NULL, NULL);
}
