/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What a limited file system and a limited task may use, and what counts. */
#include "files/pages.h"

#include <string.h>

static void space_that_was_allocated_is_counted_and_can_be_written_when_the_rest_is_full(void **state)
{
    (void)state;
    struct world *w = limited(10);
    int32_t fd = open_at(w, "/m/f", VRIFT_O_RDWR), other = open_at(w, "/m/g", VRIFT_O_RDWR);
    check_ok(vrift_fallocate(w->task, fd, 0, 0, 6 * PAGE));
    assert_int_equal(free_pages(w), 4);
    check_error(-VRIFT_ENOSPC, vrift_fallocate(w->task, other, 0, 0, 5 * PAGE));
    assert_int_equal(free_pages(w), 4); /* all or nothing */
    write_pages(w, other, 'g', 0, 4);
    char byte = 'x';
    check_error(-VRIFT_ENOSPC, vrift_pwrite(w->task, other, &byte, 1, 4 * PAGE));
    write_pages(w, fd, 'f', 0, 6);
    check_error(-VRIFT_ENOSPC, vrift_fallocate(w->task, fd, VRIFT_FALLOC_ZERO_RANGE, 5 * PAGE, 2 * PAGE));
    assert_int_equal(byte_at(w, fd, 5 * PAGE), 'f');
    check_ok(vrift_fallocate(w->task, fd, VRIFT_FALLOC_PUNCH_HOLE | VRIFT_FALLOC_KEEP_SIZE, PAGE, 2 * PAGE));
    assert_int_equal(free_pages(w), 2);
    check_ok(vrift_fallocate(w->task, fd, VRIFT_FALLOC_COLLAPSE_RANGE, 0, PAGE));
    assert_int_equal(free_pages(w), 3);
    check_ok(vrift_fallocate(w->task, fd, VRIFT_FALLOC_INSERT_RANGE, 0, 100 * PAGE));
    assert_int_equal(free_pages(w), 3);
    check_ok(vrift_ftruncate(w->task, fd, 0));
    assert_int_equal(free_pages(w), 6);
    check_ok(vrift_close(w->task, fd));
    check_ok(vrift_close(w->task, other));
    world_free(w);
}

static void more_than_there_is_is_refused_at_once(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    int32_t fd = open_at(w, "/f", VRIFT_O_RDWR);
    check_error(-VRIFT_ENOSPC, vrift_fallocate(w->task, fd, 0, 0, INT64_MAX / 2));
    check_error(-VRIFT_ENOSPC, vrift_fallocate(w->task, fd, VRIFT_FALLOC_ZERO_RANGE, 0, INT64_MAX / 2));
    check_ok(vrift_close(w->task, fd));
    world_free(w);
}

static void what_a_mapping_may_take_is_counted_in_advance(void **state)
{
    (void)state;
    struct world *w = limited(10);
    int32_t fd = open_at(w, "/m/f", VRIFT_O_RDWR), other = open_at(w, "/m/g", VRIFT_O_RDWR);
    vrift_mapping *refused;
    write_pages(w, fd, 'f', 0, 2);
    check_ok(vrift_ftruncate(w->task, fd, 6 * PAGE));
    assert_int_equal(free_pages(w), 8);
    vrift_mapping *mapping = map(w, fd, 6, READ_WRITE, VRIFT_MAP_SHARED);
    assert_int_equal(free_pages(w), 4); /* two pages and four holes */
    vrift_mapping *twin = map(w, fd, 5, READ_WRITE, VRIFT_MAP_SHARED);
    assert_int_equal(free_pages(w), 4); /* the same */
    write_pages(w, other, 'g', 0, 4);
    assert_int_equal(free_pages(w), 0);
    check_error(-VRIFT_ENOSPC, vrift_map(w->task, other, 0, 5 * PAGE, READ_WRITE, VRIFT_MAP_SHARED, &refused));
    write_pages(w, fd, 'h', 2, 1); /* one of those that are counted already */
    memset((char *)vrift_map_address(mapping) + 5 * PAGE, 'i', PAGE);
    vrift_map_free(mapping);
    assert_int_equal(free_pages(w), 0); /* four in use, and two that the twin may take */
    vrift_map_free(twin);
    assert_int_equal(free_pages(w), 2);
    assert_int_equal(byte_at(w, fd, 2 * PAGE), 'h');
    assert_int_equal(byte_at(w, fd, 5 * PAGE), 'i');
    assert_int_equal(byte_at(w, other, 3 * PAGE), 'g');
    check_ok(vrift_unlinkat(w->task, AT, "/m/f", 0));
    check_ok(vrift_close(w->task, fd));
    assert_int_equal(free_pages(w), 6);
    check_ok(vrift_close(w->task, other));
    world_free(w);
}

static void space_of_a_mapped_file_is_counted_as_that_of_any(void **state)
{
    (void)state;
    struct world *w = limited(10);
    int32_t fd = open_at(w, "/m/f", VRIFT_O_RDWR);
    write_pages(w, fd, 'f', 0, 3);
    vrift_mapping *mapping = map(w, fd, 3, READ_WRITE, VRIFT_MAP_SHARED);
    assert_int_equal(free_pages(w), 7);
    check_ok(vrift_fallocate(w->task, fd, 0, 0, 9 * PAGE));
    assert_int_equal(free_pages(w), 1);
    check_error(-VRIFT_ENOSPC, vrift_fallocate(w->task, fd, 0, 0, 11 * PAGE));
    char bytes[3 * PAGE] = "";
    assert_int_equal(vrift_pwrite(w->task, fd, bytes, sizeof bytes, 9 * PAGE), PAGE);
    check_ok(vrift_ftruncate(w->task, fd, PAGE));
    assert_int_equal(free_pages(w), 7); /* one in use, and two that the mapping had and may take again */
    vrift_map_free(mapping);
    assert_int_equal(free_pages(w), 9);
    check_ok(vrift_close(w->task, fd));
    world_free(w);
}

static void a_task_makes_no_file_larger_than_it_may(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct vrift_task_options options = {.size = sizeof options, .max_file_size = 100};
    vrift_task *task, *child;
    char bytes[200] = "";
    struct vrift_iovec parts[2] = {{bytes, 60}, {bytes, 60}};
    world_file(w, "/f", "");
    world_file(w, "/big", "");
    check_ok(vrift_truncate(w->task, "/big", 1000));
    check_ok(vrift_task_new(w->ns, NULL, &options, &task));
    int32_t fd = (int32_t)check_ok(vrift_openat(task, AT, "/f", VRIFT_O_RDWR, 0));
    assert_int_equal(vrift_writev(task, fd, parts, 2), 100);
    check_error(-VRIFT_EFBIG, vrift_write(task, fd, bytes, 1));
    assert_int_equal(vrift_write(task, fd, bytes, 0), 0);
    assert_int_equal(vrift_pwrite(task, fd, bytes, 200, 50), 50);
    check_error(-VRIFT_EFBIG, vrift_pwrite(task, fd, bytes, 1, 100));
    check_error(-VRIFT_EFBIG, vrift_ftruncate(task, fd, 101));
    check_error(-VRIFT_EFBIG, vrift_truncate(task, "/f", 101));
    check_error(-VRIFT_EFBIG, vrift_fallocate(task, fd, 0, 0, 101));
    check_ok(vrift_truncate(task, "/big", 900)); /* smaller is no growth */
    int32_t append = (int32_t)check_ok(vrift_openat(task, AT, "/f", VRIFT_O_WRONLY | VRIFT_O_APPEND, 0));
    check_error(-VRIFT_EFBIG, vrift_pwrite(task, append, bytes, 1, 0));
    int32_t big = (int32_t)check_ok(vrift_openat(task, AT, "/big", VRIFT_O_RDWR, 0));
    check_error(-VRIFT_EFBIG, vrift_pwrite(task, big, bytes, 1, 500)); /* not even within, as on Linux */
    int64_t from = 0, to = 90;
    assert_int_equal(vrift_copy_file_range(task, big, &from, fd, &to, 50, 0), 10);
    check_error(-VRIFT_EFBIG, vrift_copy_file_range(task, big, &from, fd, &to, 50, 0));
    check_ok(vrift_task_fork(task, &child));
    check_error(-VRIFT_EFBIG, vrift_truncate(child, "/f", 101));
    vrift_task_free(child);
    vrift_task_free(task);
    assert_int_equal(world_stat(w, "/f").size, 100);
    check_ok(vrift_truncate(w->task, "/f", 101));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(space_that_was_allocated_is_counted_and_can_be_written_when_the_rest_is_full),
        cmocka_unit_test(more_than_there_is_is_refused_at_once),
        cmocka_unit_test(what_a_mapping_may_take_is_counted_in_advance),
        cmocka_unit_test(space_of_a_mapped_file_is_counted_as_that_of_any),
        cmocka_unit_test(a_task_makes_no_file_larger_than_it_may),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
