/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What is written is what is read. */
#include "conformance/conformance.h"

#include <pthread.h>

static void a_new_file_is_empty_and_has_the_mode_asked_for_less_the_umask(struct world *world)
{
    int32_t fd = (int32_t)check_ok(vrift_openat(world->task, AT, "/f", VRIFT_O_RDWR | VRIFT_O_CREAT, 0666));
    struct vrift_stat attr;
    check_ok(vrift_fstat(world->task, fd, &attr));
    assert_int_equal(attr.size, 0);
    assert_int_equal(attr.nlink, 1);
    assert_int_equal(attr.mode, VRIFT_S_IFREG | 0644);
    check_ok(vrift_close(world->task, fd));
    check_ok(vrift_umask(world->task, 0));
    fd = (int32_t)check_ok(vrift_openat(world->task, AT, "/g", VRIFT_O_WRONLY | VRIFT_O_CREAT, 0777));
    check_ok(vrift_close(world->task, fd));
    assert_int_equal(stat_of(world->task, "/g").mode, VRIFT_S_IFREG | 0777);
}

static void exclusive_creation_refuses_a_name_that_exists(struct world *world)
{
    put(world->task, "/f", "x");
    check_error(-VRIFT_EEXIST,
                vrift_openat(world->task, AT, "/f", VRIFT_O_CREAT | VRIFT_O_EXCL | VRIFT_O_WRONLY, 0644));
    check_text(world->task, "/f", "x");
}

static void what_is_written_is_read_back(struct world *world)
{
    char buf[32];
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDWR | VRIFT_O_CREAT);
    assert_int_equal(vrift_write(world->task, fd, "hello", 5), 5);
    assert_int_equal(vrift_write(world->task, fd, " world", 6), 6);
    assert_int_equal(vrift_lseek(world->task, fd, 0, VRIFT_SEEK_SET), 0);
    assert_int_equal(vrift_read(world->task, fd, buf, sizeof buf), 11);
    assert_memory_equal(buf, "hello world", 11);
    check_ok(vrift_close(world->task, fd));
    check_text(world->task, "/f", "hello world");
    assert_int_equal(stat_of(world->task, "/f").size, 11);
}

static void a_second_descriptor_sees_a_write_at_once(struct world *world)
{
    char buf[8];
    int32_t a = open_file(world->task, "/f", VRIFT_O_RDWR | VRIFT_O_CREAT);
    int32_t b = open_file(world->task, "/f", VRIFT_O_RDONLY);
    struct vrift_stat attr;
    assert_int_equal(vrift_write(world->task, a, "abc", 3), 3);
    assert_int_equal(vrift_read(world->task, b, buf, sizeof buf), 3);
    check_ok(vrift_fstat(world->task, b, &attr));
    assert_int_equal(attr.size, 3);
    assert_int_equal(stat_of(world->task, "/f").size, 3);
    check_ok(vrift_close(world->task, a));
    check_ok(vrift_close(world->task, b));
}

static void writing_in_the_middle_changes_only_that(struct world *world)
{
    put(world->task, "/f", "0123456789");
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDWR);
    int64_t result = vrift_pwrite(world->task, fd, "abc", 3, 4);
    if (!lacks(world, VRIFT_CAPABILITY_RANDOM_WRITE, result)) {
        assert_int_equal(result, 3);
        check_text(world->task, "/f", "0123abc789");
    }
    check_ok(vrift_close(world->task, fd));
}

static void writing_beyond_the_end_leaves_zeroes_between(struct world *world)
{
    char buf[64];
    char zeroes[64] = {0};
    put(world->task, "/f", "abc");
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDWR);
    assert_int_equal(vrift_pwrite(world->task, fd, "end", 3, 40), 3);
    assert_int_equal(vrift_pread(world->task, fd, buf, sizeof buf, 0), 43);
    assert_memory_equal(buf, "abc", 3);
    assert_memory_equal(buf + 3, zeroes, 37);
    assert_memory_equal(buf + 40, "end", 3);
    check_ok(vrift_close(world->task, fd));
}

static void what_was_cut_off_reads_as_zeroes_when_the_file_grows_again(struct world *world)
{
    char buf[16];
    char zeroes[16] = {0};
    put(world->task, "/f", "0123456789abcdef");
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDWR);
    int32_t result = vrift_ftruncate(world->task, fd, 4);
    if (!lacks(world, VRIFT_CAPABILITY_TRUNCATE, result)) {
        check_ok(result);
        assert_int_equal(stat_of(world->task, "/f").size, 4);
        check_ok(vrift_ftruncate(world->task, fd, 16));
        assert_int_equal(vrift_pread(world->task, fd, buf, sizeof buf, 0), 16);
        assert_memory_equal(buf, "0123", 4);
        assert_memory_equal(buf + 4, zeroes, 12);
    }
    check_ok(vrift_close(world->task, fd));
}

static void truncating_by_name_and_on_open_empties(struct world *world)
{
    put(world->task, "/f", "0123456789");
    check_ok(vrift_truncate(world->task, "/f", 3));
    check_text(world->task, "/f", "012");
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDONLY | VRIFT_O_TRUNC);
    check_ok(vrift_close(world->task, fd));
    check_text(world->task, "/f", "");
    check_error(-VRIFT_EISDIR, vrift_truncate(world->task, "/", 0));
    put(world->task, "/f", "x");
    fd = open_file(world->task, "/f", VRIFT_O_RDONLY);
    check_error(-VRIFT_EINVAL, vrift_ftruncate(world->task, fd, 0));
    check_ok(vrift_close(world->task, fd));
}

static void appending_ignores_position_and_offset(struct world *world)
{
    put(world->task, "/f", "abc");
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDWR | VRIFT_O_APPEND);
    int32_t other = open_file(world->task, "/f", VRIFT_O_WRONLY | VRIFT_O_APPEND);
    check_ok(vrift_lseek(world->task, fd, 0, VRIFT_SEEK_SET));
    assert_int_equal(vrift_write(world->task, fd, "d", 1), 1);
    assert_int_equal(vrift_write(world->task, other, "e", 1), 1);
    assert_int_equal(vrift_pwrite(world->task, fd, "f", 1, 0), 1);
    assert_int_equal(vrift_write(world->task, fd, "g", 1), 1);
    assert_int_equal(vrift_lseek(world->task, fd, 0, VRIFT_SEEK_CUR), 7);
    check_text(world->task, "/f", "abcdefg");
    check_ok(vrift_close(world->task, fd));
    check_ok(vrift_close(world->task, other));
}

static void descriptors_do_only_what_they_were_opened_for(struct world *world)
{
    char byte;
    put(world->task, "/f", "x");
    int32_t r = open_file(world->task, "/f", VRIFT_O_RDONLY);
    int32_t w = open_file(world->task, "/f", VRIFT_O_WRONLY);
    int32_t p = open_file(world->task, "/f", VRIFT_O_PATH);
    struct vrift_stat attr;
    check_error(-VRIFT_EBADF, vrift_write(world->task, r, "y", 1));
    check_error(-VRIFT_EBADF, vrift_read(world->task, w, &byte, 1));
    check_error(-VRIFT_EBADF, vrift_read(world->task, p, &byte, 1));
    check_ok(vrift_fstat(world->task, p, &attr));
    check_ok(vrift_close(world->task, r));
    check_ok(vrift_close(world->task, w));
    check_ok(vrift_close(world->task, p));
    check_error(-VRIFT_EBADF, vrift_read(world->task, r, &byte, 1));
}

static void vectors_are_read_and_written_in_order(struct world *world)
{
    char one[] = "one", two[] = "twotwo", three[] = "3";
    char a[4], b[6];
    struct vrift_iovec out[3] = {{one, 3}, {two, 6}, {three, 1}};
    struct vrift_iovec in[2] = {{a, sizeof a}, {b, sizeof b}};
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDWR | VRIFT_O_CREAT);
    assert_int_equal(vrift_writev(world->task, fd, out, 3), 10);
    assert_int_equal(vrift_lseek(world->task, fd, 0, VRIFT_SEEK_SET), 0);
    assert_int_equal(vrift_readv(world->task, fd, in, 2), 10);
    assert_memory_equal(a, "onet", 4);
    assert_memory_equal(b, "wotwo3", 6);
    check_ok(vrift_close(world->task, fd));
}

static void duplicates_share_the_position(struct world *world)
{
    put(world->task, "/f", "0123456789");
    char byte;
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDONLY);
    int32_t twin = (int32_t)check_ok(vrift_dup(world->task, fd));
    assert_int_equal(vrift_lseek(world->task, fd, 7, VRIFT_SEEK_SET), 7);
    assert_int_equal(vrift_read(world->task, twin, &byte, 1), 1);
    assert_int_equal(byte, '7');
    check_ok(vrift_close(world->task, fd));
    assert_int_equal(vrift_read(world->task, twin, &byte, 1), 1);
    assert_int_equal(byte, '8');
    check_ok(vrift_close(world->task, twin));
}

#define MODEL (200u * 1024)

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void random_writes_and_truncates_match_a_model(struct world *world)
{
    uint8_t *model = calloc(1, MODEL);
    uint8_t *got = malloc(MODEL);
    uint8_t *chunk = malloc(MODEL);
    uint32_t random = 4711;
    uint64_t size = 0;
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDWR | VRIFT_O_CREAT);
    for (int round = 0; round < 300; round++) {
        uint32_t offset = next_random(&random) % MODEL;
        uint32_t length = next_random(&random) % (round % 3 ? 200 : 30000);
        if (length > MODEL - offset)
            length = MODEL - offset;
        if (next_random(&random) % 5 == 0) {
            check_ok(vrift_ftruncate(world->task, fd, offset));
            if (offset < size)
                memset(model + offset, 0, (size_t)size - offset);
            size = offset;
        } else if (length) {
            memset(chunk, round + 1, length);
            assert_int_equal(vrift_pwrite(world->task, fd, chunk, length, offset), length);
            memset(model + offset, (uint8_t)(round + 1), length);
            size = offset + length > size ? offset + length : size;
        }
        assert_int_equal(stat_of(world->task, "/f").size, size);
        assert_int_equal(vrift_pread(world->task, fd, got, MODEL, 0), size);
        assert_memory_equal(got, model, size);
    }
    check_ok(vrift_close(world->task, fd));
    free(model);
    free(got);
    free(chunk);
}

static void holes_and_data_are_told_apart(struct world *world)
{
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDWR | VRIFT_O_CREAT);
    assert_int_equal(vrift_pwrite(world->task, fd, "x", 1, 1 << 20), 1);
    check_ok(vrift_ftruncate(world->task, fd, 4 << 20));
    int64_t data = check_ok(vrift_lseek(world->task, fd, 0, VRIFT_SEEK_DATA));
    int64_t hole = check_ok(vrift_lseek(world->task, fd, 1 << 20, VRIFT_SEEK_HOLE));
    if (has(world, VRIFT_CAPABILITY_SPARSE_FILES)) {
        assert_in_range(data, 1, 1 << 20);
        assert_in_range(hole, (1 << 20) + 1, 2 << 20);
        check_error(-VRIFT_ENXIO, vrift_lseek(world->task, fd, 3 << 20, VRIFT_SEEK_DATA));
    } else {
        assert_int_equal(data, 0);
        assert_int_equal(hole, 4 << 20);
    }
    check_ok(vrift_close(world->task, fd));
}

static void a_file_of_five_gigabytes_can_be_written_at_its_end(struct world *world)
{
    char byte = 0;
    uint64_t end = (uint64_t)5 << 30;
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDWR | VRIFT_O_CREAT);
    assert_int_equal(vrift_pwrite(world->task, fd, "z", 1, end - 1), 1);
    assert_int_equal(stat_of(world->task, "/f").size, end);
    assert_int_equal(vrift_pread(world->task, fd, &byte, 1, end - 1), 1);
    assert_int_equal(byte, 'z');
    assert_int_equal(vrift_lseek(world->task, fd, 0, VRIFT_SEEK_END), end);
    if (has(world, VRIFT_CAPABILITY_SPARSE_FILES))
        assert_true(stat_of(world->task, "/f").blocks < 1000);
    check_ok(vrift_close(world->task, fd));
}

static void a_write_stamps_mtime_and_ctime(struct world *world)
{
    put(world->task, "/f", "x");
    struct vrift_stat old = stat_of(world->task, "/f");
    let_the_clock_tick();
    int32_t fd = open_file(world->task, "/f", VRIFT_O_WRONLY);
    assert_int_equal(vrift_write(world->task, fd, "y", 1), 1);
    check_ok(vrift_close(world->task, fd));
    struct vrift_stat new = stat_of(world->task, "/f");
    assert_true(before(old.mtime, new.mtime));
    assert_true(before(old.ctime, new.ctime));
    let_the_clock_tick();
    check_text(world->task, "/f", "y");
    assert_false(before(new.mtime, stat_of(world->task, "/f").mtime));
}

static void what_is_open_can_be_brought_to_stable_storage(struct world *world)
{
    int32_t fd = open_file(world->task, "/f", VRIFT_O_WRONLY | VRIFT_O_CREAT);
    assert_int_equal(vrift_write(world->task, fd, "x", 1), 1);
    check_ok(vrift_fsync(world->task, fd));
    check_ok(vrift_close(world->task, fd));
    fd = open_file(world->task, "/", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    check_ok(vrift_fsync(world->task, fd));
    check_ok(vrift_close(world->task, fd));
}

struct appender {
    vrift_task *task;
    char letter;
    int wrong;
};

#define APPENDS 200

static void *append_lines(void *payload)
{
    struct appender *self = payload;
    char line[16];
    memset(line, self->letter, sizeof line);
    line[15] = '\n';
    int32_t fd = vrift_openat(self->task, AT, "/f", VRIFT_O_WRONLY | VRIFT_O_APPEND, 0);
    for (int i = 0; i < APPENDS && !self->wrong; i++)
        self->wrong = fd < 0 || vrift_write(self->task, fd, line, sizeof line) != sizeof line;
    vrift_close(self->task, fd);
    return NULL;
}

static void four_threads_append_and_nothing_is_lost_or_torn(struct world *world)
{
    pthread_t threads[4];
    struct appender appenders[4];
    unsigned lines[4] = {0};
    char line[16];
    put(world->task, "/f", "");
    for (int i = 0; i < 4; i++) {
        appenders[i] = (struct appender){.letter = (char)('a' + i)};
        check_ok(vrift_task_fork(world->task, &appenders[i].task));
        assert_int_equal(pthread_create(&threads[i], NULL, append_lines, &appenders[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        vrift_task_free(appenders[i].task);
        assert_false(appenders[i].wrong);
    }
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDONLY);
    while (vrift_read(world->task, fd, line, sizeof line) == sizeof line) {
        for (int i = 1; i < 15; i++)
            assert_int_equal(line[i], line[0]);
        assert_in_range(line[0], 'a', 'd');
        lines[line[0] - 'a']++;
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(lines[i], APPENDS);
    check_ok(vrift_close(world->task, fd));
}

const struct test_case data_cases[] = {
    {"a_new_file_is_empty_and_has_the_mode_asked_for_less_the_umask",
     a_new_file_is_empty_and_has_the_mode_asked_for_less_the_umask},
    {"exclusive_creation_refuses_a_name_that_exists", exclusive_creation_refuses_a_name_that_exists},
    {"what_is_written_is_read_back", what_is_written_is_read_back},
    {"a_second_descriptor_sees_a_write_at_once", a_second_descriptor_sees_a_write_at_once},
    {"writing_in_the_middle_changes_only_that", writing_in_the_middle_changes_only_that},
    {"writing_beyond_the_end_leaves_zeroes_between", writing_beyond_the_end_leaves_zeroes_between},
    {"what_was_cut_off_reads_as_zeroes_when_the_file_grows_again",
     what_was_cut_off_reads_as_zeroes_when_the_file_grows_again},
    {"truncating_by_name_and_on_open_empties", truncating_by_name_and_on_open_empties},
    {"appending_ignores_position_and_offset", appending_ignores_position_and_offset},
    {"descriptors_do_only_what_they_were_opened_for", descriptors_do_only_what_they_were_opened_for},
    {"vectors_are_read_and_written_in_order", vectors_are_read_and_written_in_order},
    {"duplicates_share_the_position", duplicates_share_the_position},
    {"random_writes_and_truncates_match_a_model", random_writes_and_truncates_match_a_model},
    {"holes_and_data_are_told_apart", holes_and_data_are_told_apart},
    {"a_file_of_five_gigabytes_can_be_written_at_its_end", a_file_of_five_gigabytes_can_be_written_at_its_end},
    {"a_write_stamps_mtime_and_ctime", a_write_stamps_mtime_and_ctime},
    {"what_is_open_can_be_brought_to_stable_storage", what_is_open_can_be_brought_to_stable_storage},
    {"four_threads_append_and_nothing_is_lost_or_torn", four_threads_append_and_nothing_is_lost_or_torn},
    {NULL, NULL},
};
