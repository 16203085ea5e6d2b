/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Fifos that are waited for; what Linux answers where nobody waits is asked by test/oracle. */
#include "support/world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HERE VRIFT_AT_FDCWD
#define BIG  (1u << 20)

static int setup(void **state)
{
    struct world *w = world_new(NULL);
    check_ok(vrift_mknodat(w->task, HERE, "/p", VRIFT_S_IFIFO | 0644, 0));
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

static void nap(void)
{
    const struct timespec time = {0, 3000000};
    nanosleep(&time, NULL);
}

/* A call in a thread of its own, with a task of its own that shares the descriptors. */
struct call {
    vrift_task *task;
    uint64_t open; /* flags to open /p with, if fd is -1 */
    int32_t fd;
    char *buf;
    size_t length;
    bool writes;
    vrift_cancel *cancel;
    pthread_t thread;
    int64_t result;
    _Atomic int done;
};

static void *run(void *payload)
{
    struct call *call = payload;
    if (call->fd < 0)
        call->result = vrift_openat(call->task, HERE, "/p", call->open, 0);
    else if (call->writes)
        call->result = vrift_write(call->task, call->fd, call->buf, call->length);
    else
        call->result = vrift_read(call->task, call->fd, call->buf, call->length);
    atomic_store(&call->done, 1);
    return NULL;
}

static void begin(struct world *w, struct call *call)
{
    check_ok(vrift_task_clone(w->task, VRIFT_CLONE_FILES, &call->task));
    check_ok(vrift_task_set_cancel(call->task, call->cancel));
    assert_int_equal(pthread_create(&call->thread, NULL, run, call), 0);
}

/* It waits, as far as a look after a moment can tell. */
static void check_waits(struct call *call)
{
    nap();
    assert_int_equal(atomic_load(&call->done), 0);
}

static int64_t end(struct call *call)
{
    assert_int_equal(pthread_join(call->thread, NULL), 0);
    vrift_task_free(call->task);
    return call->result;
}

static int32_t open_now(struct world *w, uint64_t flags)
{
    return (int32_t)check_ok(vrift_openat(w->task, HERE, "/p", flags | VRIFT_O_NONBLOCK, 0));
}

static void opening_waits_for_the_other_end(void **state)
{
    struct world *w = *state;
    for (int writes = 0; writes < 2; writes++) {
        struct call one = {.fd = -1, .open = writes ? VRIFT_O_WRONLY : VRIFT_O_RDONLY};
        struct call other = {.fd = -1, .open = writes ? VRIFT_O_RDONLY : VRIFT_O_WRONLY};
        begin(w, &one);
        check_waits(&one);
        begin(w, &other);
        check_ok(vrift_close(w->task, (int32_t)check_ok(end(&one))));
        check_ok(vrift_close(w->task, (int32_t)check_ok(end(&other))));
    }
}

static void a_partner_that_came_and_went_counts(void **state)
{
    struct world *w = *state;
    struct call writer = {.fd = -1, .open = VRIFT_O_WRONLY};
    char byte;
    begin(w, &writer);
    check_waits(&writer);
    /* A reader that meets no writer yet reads an end, one that does would have to wait. */
    for (int64_t got = 0; got != -VRIFT_EAGAIN;) {
        int32_t in = open_now(w, VRIFT_O_RDONLY);
        got = vrift_read(w->task, in, &byte, 1);
        check_ok(vrift_close(w->task, in));
    }
    int32_t fd = (int32_t)check_ok(end(&writer));
    check_error(-VRIFT_EPIPE, vrift_write(w->task, fd, "x", 1));
    check_ok(vrift_close(w->task, fd));
}

static void opening_for_both_waits_for_nobody(void **state)
{
    struct world *w = *state;
    char buf[8];
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/p", VRIFT_O_RDWR, 0));
    assert_int_equal(check_ok(vrift_write(w->task, fd, "abc", 3)), 3);
    assert_int_equal(check_ok(vrift_read(w->task, fd, buf, sizeof buf)), 3);
    check_ok(vrift_close(w->task, fd));
}

static void reading_waits_for_bytes_or_the_last_writer_to_go(void **state)
{
    struct world *w = *state;
    char buf[8] = "";
    int32_t in = open_now(w, VRIFT_O_RDONLY), out = open_now(w, VRIFT_O_WRONLY);
    check_ok(vrift_setfl(w->task, in, 0));
    struct call reader = {.fd = in, .buf = buf, .length = sizeof buf};
    begin(w, &reader);
    check_waits(&reader);
    check_ok(vrift_write(w->task, out, "hi", 2));
    assert_int_equal(end(&reader), 2);
    assert_memory_equal(buf, "hi", 2);
    int32_t twin = (int32_t)check_ok(vrift_dup(w->task, out));
    atomic_store(&reader.done, 0);
    begin(w, &reader);
    check_ok(vrift_close(w->task, out));
    check_waits(&reader);
    check_ok(vrift_close(w->task, twin));
    assert_int_equal(end(&reader), 0);
    check_ok(vrift_close(w->task, in));
}

static void writing_waits_for_room_or_the_last_reader_to_go(void **state)
{
    struct world *w = *state;
    char *buf = calloc(1, BIG);
    int32_t in = open_now(w, VRIFT_O_RDONLY), out = open_now(w, VRIFT_O_WRONLY);
    check_ok(vrift_setfl(w->task, out, 0));
    struct call writer = {.fd = out, .buf = buf, .length = BIG, .writes = true};
    begin(w, &writer);
    check_waits(&writer);
    while (vrift_read(w->task, in, buf, 10) == -VRIFT_EAGAIN)
        nap();
    check_waits(&writer);
    check_ok(vrift_close(w->task, in));
    int64_t put = end(&writer);
    assert_true(put >= 10 && put <= 65536 + 10); /* what went in counts */
    check_error(-VRIFT_EPIPE, vrift_write(w->task, out, "x", 1));
    check_ok(vrift_close(w->task, out));
    free(buf);
}

static void a_cancel_ends_every_wait(void **state)
{
    struct world *w = *state;
    char byte;
    vrift_cancel *cancel;
    check_ok(vrift_cancel_new(w->vfs, &cancel));
    struct call opener = {.fd = -1, .open = VRIFT_O_RDONLY, .cancel = cancel};
    begin(w, &opener);
    check_waits(&opener);
    vrift_cancel_fire(cancel);
    check_error(-VRIFT_EINTR, end(&opener));
    check_error(-VRIFT_ENXIO, vrift_openat(w->task, HERE, "/p", VRIFT_O_WRONLY | VRIFT_O_NONBLOCK, 0));
    vrift_cancel_clear(cancel);
    int32_t both = (int32_t)check_ok(vrift_openat(w->task, HERE, "/p", VRIFT_O_RDWR, 0));
    struct call reader = {.fd = both, .buf = &byte, .length = 1, .cancel = cancel};
    begin(w, &reader);
    check_waits(&reader);
    vrift_cancel_fire(cancel);
    check_error(-VRIFT_EINTR, end(&reader));
    check_ok(vrift_close(w->task, both));
    vrift_cancel_free(cancel);
}

static void what_comes_out_is_what_went_in(void **state)
{
    struct world *w = *state;
    char *sent = malloc(BIG), *got = malloc(BIG);
    size_t done = 0;
    for (uint32_t i = 0; i < BIG; i++)
        sent[i] = (char)(i * 2654435761u >> 24);
    int32_t in = open_now(w, VRIFT_O_RDONLY), out = open_now(w, VRIFT_O_WRONLY);
    check_ok(vrift_setfl(w->task, in, 0));
    check_ok(vrift_setfl(w->task, out, 0));
    struct call writer = {.fd = out, .buf = sent, .length = BIG, .writes = true};
    begin(w, &writer);
    for (size_t part = 1; done < BIG; part = part * 7 % 30011) {
        struct vrift_iovec iov[2] = {{got + done, part / 2}, {got + done + part / 2, part - part / 2}};
        if (done + part > BIG)
            iov[0].length = 0, iov[1] = (struct vrift_iovec){got + done, BIG - done};
        done += (size_t)check_ok(vrift_readv(w->task, in, iov, 2));
    }
    assert_int_equal(end(&writer), BIG);
    assert_memory_equal(sent, got, BIG);
    check_ok(vrift_close(w->task, in));
    check_ok(vrift_close(w->task, out));
    free(sent);
    free(got);
}

enum { WRITERS = 3, LINES = 300, LINE = 3000 };

struct writer {
    vrift_task *task;
    int32_t fd;
    char letter;
    pthread_t thread;
};

static void *write_lines(void *payload)
{
    struct writer *writer = payload;
    char line[LINE];
    memset(line, writer->letter, sizeof line);
    for (int i = 0; i < LINES; i++)
        if (vrift_write(writer->task, writer->fd, line, sizeof line) != LINE)
            return payload;
    return NULL;
}

static void small_writes_do_not_come_apart(void **state)
{
    struct world *w = *state;
    struct writer writers[WRITERS];
    char line[LINE];
    int32_t in = open_now(w, VRIFT_O_RDONLY), out = open_now(w, VRIFT_O_WRONLY);
    check_ok(vrift_setfl(w->task, in, 0));
    check_ok(vrift_setfl(w->task, out, 0));
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.fd = out, .letter = (char)('a' + i)};
        check_ok(vrift_task_clone(w->task, VRIFT_CLONE_FILES, &writers[i].task));
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_lines, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS * LINES; i++) {
        for (int64_t got = 0; got < LINE;)
            got += check_ok(vrift_read(w->task, in, line + got, (size_t)(LINE - got)));
        for (int at = 1; at < LINE; at++)
            assert_int_equal(line[at], line[0]);
    }
    for (int i = 0; i < WRITERS; i++) {
        void *failed;
        assert_int_equal(pthread_join(writers[i].thread, &failed), 0);
        assert_null(failed);
        vrift_task_free(writers[i].task);
    }
    check_ok(vrift_close(w->task, in));
    check_ok(vrift_close(w->task, out));
}

static void without_memory_it_is_not_opened(void **state)
{
    struct world *w = *state;
    int32_t result = -VRIFT_ENOMEM;
    for (uint64_t left = 0; result == -VRIFT_ENOMEM && left < 100; left++) {
        w->allocations_left = left;
        result = vrift_openat(w->task, HERE, "/p", VRIFT_O_RDWR, 0);
    }
    w->allocations_left = UINT64_MAX;
    check_ok(vrift_close(w->task, (int32_t)check_ok(result)));
    check_error(-VRIFT_ENXIO, vrift_openat(w->task, HERE, "/p", VRIFT_O_WRONLY | VRIFT_O_NONBLOCK, 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opening_waits_for_the_other_end),
        TEST(a_partner_that_came_and_went_counts),
        TEST(opening_for_both_waits_for_nobody),
        TEST(reading_waits_for_bytes_or_the_last_writer_to_go),
        TEST(writing_waits_for_room_or_the_last_reader_to_go),
        TEST(a_cancel_ends_every_wait),
        TEST(what_comes_out_is_what_went_in),
        TEST(small_writes_do_not_come_apart),
        TEST(without_memory_it_is_not_opened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
