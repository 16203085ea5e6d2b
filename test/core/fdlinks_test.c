/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The descriptors of a task as a directory of magic links; what Linux says of them is asked by test/oracle. */
#include "support/world.h"

#include <stdio.h>
#include <string.h>

#define HERE VRIFT_AT_FDCWD

static int setup(void **state)
{
    struct world *w = world_new(NULL);
    world_file(w, "/f", "hello");
    check_ok(vrift_mkdirat(w->task, HERE, "/fd", 0755));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

static void mount_descriptors(struct world *w, vrift_task *of)
{
    vrift_sb *sb;
    check_ok(vrift_fd_new(of, &sb));
    check_ok(vrift_mount(w->task, HERE, "/fd", sb, 0));
    vrift_sb_unref(sb);
}

static void the_list_follows_the_table(void **state)
{
    struct world *w = *state;
    mount_descriptors(w, w->task);
    assert_string_equal(world_list(w, "/fd"), "0"); /* the listing itself */
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDONLY, 0));
    check_ok(vrift_dupfd(w->task, fd, 12, 0));
    assert_string_equal(world_list(w, "/fd"), "0 1 12");
    check_ok(vrift_close(w->task, 12));
    check_error(-VRIFT_ENOENT, vrift_openat(w->task, HERE, "/fd/12", VRIFT_O_RDONLY, 0));
    world_expect(w, "/fd/0", "hello");
    check_ok(vrift_close(w->task, fd));
    check_error(-VRIFT_ENOENT, vrift_openat(w->task, HERE, "/fd/0", VRIFT_O_RDONLY, 0));
}

static void a_link_leads_to_what_has_lost_its_name(void **state)
{
    struct world *w = *state;
    char path[64];
    mount_descriptors(w, w->task);
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_PATH, 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/f", 0));
    world_file(w, "/f", "another");
    snprintf(path, sizeof path, "/fd/%d", fd);
    world_expect(w, path, "hello");
    char text[64];
    int64_t length = check_ok(vrift_readlinkat(w->task, HERE, path, text, sizeof text));
    assert_int_equal(length, strlen("/f (deleted)"));
    assert_memory_equal(text, "/f (deleted)", (size_t)length);
    assert_int_equal(check_ok(vrift_readlinkat(w->task, HERE, path, text, 2)), 2);
    check_ok(vrift_close(w->task, fd));
}

/* One mount, one task with descriptors that lead to the mount itself: nothing holds anything in a circle. */
static void descriptors_of_the_list_itself_do_not_keep_it(void **state)
{
    struct world *w = *state;
    mount_descriptors(w, w->task);
    int32_t dir = (int32_t)check_ok(vrift_openat(w->task, HERE, "/fd", VRIFT_O_RDONLY, 0));
    check_ok(vrift_openat(w->task, dir, "0", VRIFT_O_PATH, 0));
    check_ok(vrift_openat(w->task, dir, "1", VRIFT_O_PATH | VRIFT_O_NOFOLLOW, 0));
    check_ok(vrift_chdir(w->task, "/fd/0"));
    assert_string_equal(world_list(w, "."), "0 1 2 3");
}

static void when_the_tasks_are_gone_it_is_empty(void **state)
{
    struct world *w = *state;
    vrift_task *child, *thread;
    check_ok(vrift_task_fork(w->task, &child));
    check_ok(vrift_task_clone(child, VRIFT_CLONE_FILES, &thread));
    check_ok(vrift_openat(child, HERE, "/f", VRIFT_O_RDONLY, 0));
    mount_descriptors(w, child);
    vrift_task_free(child);
    world_expect(w, "/fd/0", "hello");
    vrift_task_free(thread);
    assert_string_equal(world_list(w, "/fd"), "");
    check_error(-VRIFT_ENOENT, vrift_openat(w->task, HERE, "/fd/0", VRIFT_O_RDONLY, 0));
}

static void links_in_a_circle_of_directories_do_not_end_in_a_loop(void **state)
{
    struct world *w = *state;
    char path[400] = "";
    mount_descriptors(w, w->task);
    int32_t dir = (int32_t)check_ok(vrift_openat(w->task, HERE, "/fd", VRIFT_O_RDONLY, 0));
    for (int i = 0; i < 40; i++)
        snprintf(path + strlen(path), sizeof path - strlen(path), "%d/", dir);
    check_ok(vrift_close(w->task, (int32_t)check_ok(vrift_openat(w->task, dir, path, VRIFT_O_PATH, 0))));
    snprintf(path + strlen(path), sizeof path - strlen(path), "%d/", dir);
    check_error(-VRIFT_ELOOP, vrift_openat(w->task, dir, path, VRIFT_O_PATH, 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_list_follows_the_table),
        TEST(a_link_leads_to_what_has_lost_its_name),
        TEST(descriptors_of_the_list_itself_do_not_keep_it),
        TEST(when_the_tasks_are_gone_it_is_empty),
        TEST(links_in_a_circle_of_directories_do_not_end_in_a_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
