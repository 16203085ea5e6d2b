/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Watches, beside what inotify says of them too (watch_kernel_test): queues, superblocks, ends, memory, threads. */
#include "support/world.h"

#include <vrift/watch.h>

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define HERE   VRIFT_AT_FDCWD
#define SECOND 1000000000LL

/* One event in words, such as "1 create d/ f"; all of a queue, with ", " between. Valid until the next call. */
static const char *heard(vrift_watch_queue *queue)
{
    static const char *const words[] = {"access",     "modify",   "attrib", "close-write", "close",       "open",
                                        "moved-from", "moved-to", "create", "delete",      "delete-self", "move-self"};
    static char text[1 << 16];
    static _Alignas(8) char buf[4096];
    size_t used = 0;
    text[0] = '\0';
    int64_t length;
    while ((length = vrift_watch_read(queue, buf, sizeof buf, 0)) > 0) {
        for (int64_t at = 0; at < length;) {
            const struct vrift_watch_event *event = (const void *)(buf + at);
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%d", used ? ", " : "", event->wd);
            for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
                if (event->mask & 1u << i)
                    used += (size_t)snprintf(text + used, sizeof text - used, " %s", words[i]);
            used += (size_t)snprintf(
                text + used, sizeof text - used, "%s%s%s%s%s", event->mask & VRIFT_IN_UNMOUNT ? " unmount" : "",
                event->mask & VRIFT_IN_Q_OVERFLOW ? " overflow" : "", event->mask & VRIFT_IN_IGNORED ? " ignored" : "",
                event->name_length ? " " : "", vrift_watch_event_name(event));
            at += event->record_length;
        }
    }
    assert_int_equal(length, -VRIFT_EAGAIN);
    return text;
}

static vrift_watch_queue *queue_new(struct world *w, uint32_t max_events)
{
    struct vrift_watch_options options = {.size = sizeof options, .max_events = max_events};
    vrift_watch_queue *queue;
    check_ok(vrift_watch_new(w->vfs, &options, &queue));
    return queue;
}

static int32_t watch(vrift_watch_queue *queue, struct world *w, const char *path, uint32_t mask)
{
    return (int32_t)check_ok(vrift_watch_add(queue, w->task, HERE, path, mask, 0));
}

static void a_directory_tells_of_its_entries_and_an_inode_of_itself(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_watch_queue *queue = queue_new(w, 0);
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    assert_int_equal(watch(queue, w, "/d", VRIFT_IN_ALL_EVENTS), 1);
    world_file(w, "/d/f", "x");
    assert_string_equal(heard(queue), "1 create f, 1 open f, 1 modify f, 1 close-write f");
    assert_int_equal(watch(queue, w, "/d/f", VRIFT_IN_ATTRIB | VRIFT_IN_DELETE_SELF), 2);
    check_ok(vrift_fchmodat(w->task, HERE, "/d/f", 0600, 0));
    assert_string_equal(heard(queue), "1 attrib f, 2 attrib");
    check_ok(vrift_unlinkat(w->task, HERE, "/d/f", 0));
    assert_string_equal(heard(queue), "2 attrib, 2 delete-self, 2 ignored, 1 delete f");
    check_error(-VRIFT_EINVAL, vrift_watch_remove(queue, 2));
    check_ok(vrift_watch_remove(queue, 1));
    assert_string_equal(heard(queue), "1 ignored");
    vrift_watch_free(queue);
    world_free(w);
}

static void records_say_which_inode_and_which_directory(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_watch_queue *queue = queue_new(w, 0);
    _Alignas(8) char buf[1024];
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    watch(queue, w, "/d", VRIFT_IN_MOVED_FROM);
    world_file(w, "/d/f", "x");
    struct vrift_stat dir = world_stat(w, "/d"), file = world_stat(w, "/d/f");
    check_ok(vrift_renameat2(w->task, HERE, "/d/f", HERE, "/g", 0));
    const struct vrift_watch_event *event = (const void *)buf;
    int64_t length = vrift_watch_read(queue, buf, sizeof buf, 0);
    assert_int_equal(length, event->record_length);
    assert_int_equal(event->dev, dir.dev);
    assert_int_equal(event->ino, file.ino);
    assert_int_equal(event->parent, dir.ino);
    assert_int_equal(event->flags, 0);
    assert_int_not_equal(event->cookie, 0);
    assert_string_equal(vrift_watch_event_name(event), "f");
    vrift_watch_free(queue);
    world_free(w);
}

static void a_superblock_tells_of_everything_in_it_once(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_watch_queue *queue = queue_new(w, 0);
    vrift_sb *other;
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/m", 0755));
    check_ok(vrift_mem_new(w->vfs, NULL, &other));
    check_ok(vrift_mount(w->task, HERE, "/m", other, 0));
    vrift_sb_unref(other);
    check_ok(vrift_watch_add(queue, w->task, HERE, "/m", VRIFT_IN_ALL_EVENTS, VRIFT_WATCH_SUPERBLOCK));
    world_file(w, "/d/f", "x"); /* in another superblock */
    assert_string_equal(heard(queue), "");
    check_ok(vrift_mkdirat(w->task, HERE, "/m/a", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/m/a/b", 0755));
    world_file(w, "/m/a/b/f", "x");
    check_ok(vrift_fchmodat(w->task, HERE, "/m", 0700, 0)); /* the root has no name */
    check_ok(vrift_renameat2(w->task, HERE, "/m/a/b/f", HERE, "/m/g", 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/m/g", 0));
    assert_string_equal(heard(queue), "1 create a, 1 create b, 1 create f, 1 open f, 1 modify f, 1 close-write f, "
                                      "1 attrib, 1 moved-from f, 1 moved-to g, 1 attrib, 1 delete g");
    check_ok(vrift_umount(w->task, HERE, "/m", 0));
    assert_string_equal(heard(queue), "1 unmount, 1 ignored");
    vrift_watch_free(queue);
    world_free(w);
}

static void a_watch_keeps_neither_a_mount_nor_an_instance(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_watch_queue *queue = queue_new(w, 0);
    vrift_sb *other;
    check_ok(vrift_mkdirat(w->task, HERE, "/m", 0755));
    check_ok(vrift_mem_new(w->vfs, NULL, &other));
    check_ok(vrift_mount(w->task, HERE, "/m", other, 0));
    vrift_sb_unref(other);
    world_file(w, "/m/f", "x");
    watch(queue, w, "/m/f", VRIFT_IN_MODIFY);
    watch(queue, w, "/m", VRIFT_IN_MODIFY);
    check_ok(vrift_umount(w->task, HERE, "/m", 0));
    const char *said = heard(queue);
    assert_true(strcmp(said, "1 unmount, 1 ignored, 2 unmount, 2 ignored") == 0 ||
                strcmp(said, "2 unmount, 2 ignored, 1 unmount, 1 ignored") == 0);
    watch(queue, w, "/m", VRIFT_IN_CREATE);
    vrift_watch_free(queue); /* with a watch and an event in it */
    world_free(w);
}

static void a_full_queue_says_that_events_were_lost(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_watch_queue *queue = queue_new(w, 3);
    watch(queue, w, "/", VRIFT_IN_CREATE);
    for (char name[] = "/a"; name[1] < 'h'; name[1]++)
        check_ok(vrift_mkdirat(w->task, HERE, name, 0755));
    assert_string_equal(heard(queue), "1 create a, 1 create b, 1 create c, -1 overflow");
    check_ok(vrift_mkdirat(w->task, HERE, "/z", 0755));
    assert_string_equal(heard(queue), "1 create z");
    vrift_watch_free(queue);
    world_free(w);
}

static void events_that_memory_is_lacking_for_show_as_an_overflow(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_watch_queue *queue = queue_new(w, 0);
    world_file(w, "/f", "x");
    watch(queue, w, "/", VRIFT_IN_ATTRIB);
    w->allocations_left = 0;
    check_ok(vrift_fchmodat(w->task, HERE, "/f", 0600, 0));
    w->allocations_left = UINT64_MAX;
    assert_string_equal(heard(queue), "-1 overflow");
    for (uint64_t left = 0;; left++) {
        w->allocations_left = left;
        int32_t wd = vrift_watch_add(queue, w->task, HERE, "/f", VRIFT_IN_ATTRIB, 0);
        w->allocations_left = UINT64_MAX;
        if (wd > 0)
            break;
        assert_int_equal(wd, -VRIFT_ENOMEM);
        check_ok(vrift_fchmodat(w->task, HERE, "/f", 0600, 0));
        assert_string_equal(heard(queue), "1 attrib f");
    }
    vrift_watch_free(queue);
    world_free(w);
}

static void what_does_not_fit_is_not_read(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_watch_queue *queue = queue_new(w, 0);
    _Alignas(8) char buf[1024];
    watch(queue, w, "/", VRIFT_IN_CREATE);
    check_ok(vrift_mkdirat(w->task, HERE, "/a", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/a-name-that-is-longer-than-the-other", 0755));
    check_error(-VRIFT_EINVAL, vrift_watch_read(queue, buf, sizeof(struct vrift_watch_event), 0));
    int64_t one = sizeof(struct vrift_watch_event) + 8;
    assert_int_equal(vrift_watch_read(queue, buf, sizeof(struct vrift_watch_event) + 40, 0), one);
    assert_string_equal(heard(queue), "1 create a-name-that-is-longer-than-the-other");
    vrift_watch_free(queue);
    world_free(w);
}

static void bad_watches_are_refused(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct world *stranger = world_new(NULL);
    vrift_watch_queue *queue = queue_new(w, 0);
    vrift_cred *nobody = world_cred(w, 1000, 1000);
    uint32_t all = VRIFT_IN_ALL_EVENTS;
    world_file(w, "/f", "x");
    check_error(-VRIFT_EINVAL, vrift_watch_add(queue, stranger->task, HERE, "/", all, 0));
    check_error(-VRIFT_EINVAL, vrift_watch_add(queue, w->task, HERE, "/", VRIFT_IN_ONLYDIR, 0));
    check_error(-VRIFT_EINVAL, vrift_watch_add(queue, w->task, HERE, "/", all | 0x00010000, 0));
    check_error(-VRIFT_EINVAL,
                vrift_watch_add(queue, w->task, HERE, "/", all | VRIFT_IN_MASK_ADD | VRIFT_IN_MASK_CREATE, 0));
    check_error(-VRIFT_EINVAL, vrift_watch_add(queue, w->task, HERE, "/", all, 1));
    check_error(-VRIFT_ENOTDIR, vrift_watch_add(queue, w->task, HERE, "/f", all | VRIFT_IN_ONLYDIR, 0));
    check_error(-VRIFT_ENOENT, vrift_watch_add(queue, w->task, HERE, "/missing", all, 0));
    check_ok(vrift_fchmodat(w->task, HERE, "/f", 0200, 0));
    vrift_task_set_cred(w->task, nobody);
    check_error(-VRIFT_EACCES, vrift_watch_add(queue, w->task, HERE, "/f", all, 0));
    check_error(-VRIFT_EPERM, vrift_watch_add(queue, w->task, HERE, "/", all, VRIFT_WATCH_SUPERBLOCK));
    vrift_cred_unref(nobody);
    vrift_watch_free(queue);
    world_free(stranger);
    world_free(w);
}

static void an_unnamed_file_ends_with_its_last_use(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_watch_queue *queue = queue_new(w, 0);
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/", VRIFT_O_TMPFILE | VRIFT_O_RDWR, 0600));
    check_ok(vrift_watch_add(queue, w->task, fd, "", VRIFT_IN_DELETE_SELF, VRIFT_AT_EMPTY_PATH));
    check_ok(vrift_close(w->task, fd));
    assert_string_equal(heard(queue), "1 delete-self, 1 ignored");
    vrift_watch_free(queue);
    world_free(w);
}

static void a_removed_file_that_is_open_ends_with_its_last_use(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_watch_queue *queue = queue_new(w, 0);
    world_file(w, "/f", "x");
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    int32_t file = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDONLY, 0));
    int32_t dir = (int32_t)check_ok(vrift_openat(w->task, HERE, "/d", VRIFT_O_DIRECTORY, 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/f", 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/d", VRIFT_AT_REMOVEDIR));
    check_ok(vrift_watch_add(queue, w->task, file, "", VRIFT_IN_DELETE_SELF, VRIFT_AT_EMPTY_PATH));
    check_ok(vrift_watch_add(queue, w->task, dir, "", VRIFT_IN_DELETE_SELF, VRIFT_AT_EMPTY_PATH));
    assert_string_equal(heard(queue), "");
    check_ok(vrift_close(w->task, file));
    assert_string_equal(heard(queue), "1 delete-self, 1 ignored");
    check_ok(vrift_close(w->task, dir));
    assert_string_equal(heard(queue), "2 delete-self, 2 ignored");
    vrift_watch_free(queue);
    world_free(w);
}

/* -- Waiting ------------------------------------------------------------------------------------------------------- */

struct reader {
    vrift_watch_queue *queue;
    int64_t timeout, result;
    _Alignas(8) char buf[1024];
};

static void *read_one(void *payload)
{
    struct reader *reader = payload;
    reader->result = vrift_watch_read(reader->queue, reader->buf, sizeof reader->buf, reader->timeout);
    return NULL;
}

static void a_reader_waits_for_an_event_a_deadline_or_a_cancellation(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_watch_queue *queue = queue_new(w, 0);
    struct reader reader = {.queue = queue, .timeout = -1};
    pthread_t thread;
    watch(queue, w, "/", VRIFT_IN_CREATE);
    assert_int_equal(pthread_create(&thread, NULL, read_one, &reader), 0);
    check_ok(vrift_mkdirat(w->task, HERE, "/a", 0755));
    pthread_join(thread, NULL);
    assert_true(reader.result > 0);
    assert_int_equal(pthread_create(&thread, NULL, read_one, &reader), 0);
    check_ok(vrift_watch_cancel(queue));
    pthread_join(thread, NULL);
    check_error(-VRIFT_EINTR, reader.result);
    reader.timeout = SECOND / 100;
    read_one(&reader);
    check_error(-VRIFT_EAGAIN, reader.result);
    vrift_watch_free(queue);
    world_free(w);
}

/* -- Threads ------------------------------------------------------------------------------------------------------- */

#define ROUNDS 300

struct storm {
    struct world *w;
    vrift_watch_queue *queue;
    char dir[4];
};

static void *make_and_remove(void *payload)
{
    struct storm *storm = payload;
    vrift_task *task;
    char name[32], other[32];
    check_ok(vrift_task_new(storm->w->ns, NULL, NULL, &task));
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof name, "%s/f%d", storm->dir, i % 5);
        snprintf(other, sizeof other, "%s/g", storm->dir);
        int32_t fd = vrift_openat(task, HERE, name, VRIFT_O_CREAT | VRIFT_O_RDWR, 0600);
        vrift_watch_add(storm->queue, task, HERE, name, VRIFT_IN_ALL_EVENTS, 0);
        vrift_write(task, fd, "x", 1);
        vrift_renameat2(task, HERE, name, HERE, other, 0);
        vrift_unlinkat(task, HERE, other, 0);
        vrift_close(task, fd);
    }
    vrift_task_free(task);
    return NULL;
}

/* Each directory's events come in the order of the operations in it, whatever goes on elsewhere. */
static void each_name_comes_before_it_goes_under_a_storm(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_watch_queue *queue = queue_new(w, 1u << 20), *own = queue_new(w, 1u << 20);
    struct storm storms[2] = {{w, own, "/a"}, {w, own, "/b"}};
    pthread_t threads[2];
    static _Alignas(8) char buf[1 << 16];
    uint32_t created[3] = {0}, moved[3] = {0}, deleted[3] = {0};
    for (int i = 0; i < 2; i++) {
        check_ok(vrift_mkdirat(w->task, HERE, storms[i].dir, 0755));
        watch(queue, w, storms[i].dir, VRIFT_IN_CREATE | VRIFT_IN_MOVED_TO | VRIFT_IN_DELETE);
        assert_int_equal(pthread_create(&threads[i], NULL, make_and_remove, &storms[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    int64_t length;
    while ((length = vrift_watch_read(queue, buf, sizeof buf, 0)) > 0) {
        for (int64_t at = 0; at < length;) {
            const struct vrift_watch_event *event = (const void *)(buf + at);
            assert_in_range(event->wd, 1, 2);
            created[event->wd] += !!(event->mask & VRIFT_IN_CREATE);
            moved[event->wd] += !!(event->mask & VRIFT_IN_MOVED_TO);
            deleted[event->wd] += !!(event->mask & VRIFT_IN_DELETE);
            assert_true(created[event->wd] >= moved[event->wd] && moved[event->wd] >= deleted[event->wd]);
            assert_true(created[event->wd] - deleted[event->wd] <= 1);
            at += event->record_length;
        }
    }
    for (int wd = 1; wd <= 2; wd++)
        assert_true(created[wd] == ROUNDS && moved[wd] == ROUNDS && deleted[wd] == ROUNDS);
    vrift_watch_free(own);
    vrift_watch_free(queue);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_tells_of_its_entries_and_an_inode_of_itself),
        cmocka_unit_test(records_say_which_inode_and_which_directory),
        cmocka_unit_test(a_superblock_tells_of_everything_in_it_once),
        cmocka_unit_test(a_watch_keeps_neither_a_mount_nor_an_instance),
        cmocka_unit_test(a_full_queue_says_that_events_were_lost),
        cmocka_unit_test(events_that_memory_is_lacking_for_show_as_an_overflow),
        cmocka_unit_test(what_does_not_fit_is_not_read),
        cmocka_unit_test(bad_watches_are_refused),
        cmocka_unit_test(an_unnamed_file_ends_with_its_last_use),
        cmocka_unit_test(a_removed_file_that_is_open_ends_with_its_last_use),
        cmocka_unit_test(a_reader_waits_for_an_event_a_deadline_or_a_cancellation),
        cmocka_unit_test(each_name_comes_before_it_goes_under_a_storm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
