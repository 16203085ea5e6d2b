/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What only libvrift has to keep: what it had when memory runs out, what it holds while something is mapped, what lies
 * below an overlay, and what a backend lacks.
 */
#include "files/pages.h"

#include "backends/mem/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* -- An overlay ---------------------------------------------------------------------------------------------------- */

struct layers {
    vrift_sb *lower, *upper, *overlay;
};

/* At /o, with the layers at /lower, where a file f lies, and /u. */
static void stack(struct world *w, struct layers *layers)
{
    check_ok(vrift_mem_new(w->vfs, NULL, &layers->lower));
    check_ok(vrift_mem_new(w->vfs, NULL, &layers->upper));
    struct vrift_overlay_layer lower = {layers->lower, NULL}, upper = {layers->upper, "/upper"};
    struct vrift_overlay_options options = {
        .size = sizeof options, .lower_count = 1, .lower = &lower, .upper = &upper, .work = "/work"};
    check_ok(vrift_mkdirat(w->task, AT, "/lower", 0755));
    check_ok(vrift_mkdirat(w->task, AT, "/u", 0755));
    check_ok(vrift_mkdirat(w->task, AT, "/o", 0755));
    check_ok(vrift_mount(w->task, AT, "/lower", layers->lower, 0));
    check_ok(vrift_mount(w->task, AT, "/u", layers->upper, 0));
    check_ok(vrift_mkdirat(w->task, AT, "/u/upper", 0755));
    check_ok(vrift_mkdirat(w->task, AT, "/u/work", 0755));
    world_file(w, "/lower/f", "lower");
    check_ok(vrift_overlay_new(w->vfs, &options, &layers->overlay));
    check_ok(vrift_mount(w->task, AT, "/o", layers->overlay, 0));
}

static void unstack(struct layers *layers)
{
    vrift_sb_unref(layers->overlay);
    vrift_sb_unref(layers->lower);
    vrift_sb_unref(layers->upper);
}

/* -- When memory or a backend fails -------------------------------------------------------------------------------- */

struct attempt {
    const char *name;
    int64_t (*run)(struct world *w, int32_t fd, int32_t other);
};

static int64_t try_allocate(struct world *w, int32_t fd, int32_t other)
{
    (void)other;
    return vrift_fallocate(w->task, fd, 0, PAGE, 200 * PAGE);
}
static int64_t try_zero(struct world *w, int32_t fd, int32_t other)
{
    (void)other;
    return vrift_fallocate(w->task, fd, VRIFT_FALLOC_ZERO_RANGE, PAGE + 1, 70 * PAGE);
}
static int64_t try_punch(struct world *w, int32_t fd, int32_t other)
{
    (void)other;
    return vrift_fallocate(w->task, fd, VRIFT_FALLOC_PUNCH_HOLE | VRIFT_FALLOC_KEEP_SIZE, 1, PAGE * 3 / 2);
}
static int64_t try_collapse(struct world *w, int32_t fd, int32_t other)
{
    (void)other;
    return vrift_fallocate(w->task, fd, VRIFT_FALLOC_COLLAPSE_RANGE, 0, PAGE);
}
static int64_t try_insert(struct world *w, int32_t fd, int32_t other)
{
    (void)other;
    return vrift_fallocate(w->task, fd, VRIFT_FALLOC_INSERT_RANGE, PAGE, 5000 * PAGE);
}
static int64_t try_copy(struct world *w, int32_t fd, int32_t other)
{
    int64_t from = 0, to = 0;
    int64_t copied = vrift_copy_file_range(w->task, fd, &from, other, &to, PAGE, 0);
    return copied == PAGE ? 0 : copied < 0 ? copied : -VRIFT_EIO;
}
static int64_t try_send(struct world *w, int32_t fd, int32_t other)
{
    int64_t from = 0;
    int64_t sent = vrift_sendfile(w->task, other, fd, &from, PAGE);
    return sent == PAGE ? 0 : sent < 0 ? sent : -VRIFT_EIO;
}
static int64_t try_map(struct world *w, int32_t fd, int32_t other)
{
    vrift_mapping *mapping;
    (void)other;
    int64_t error = vrift_map(w->task, fd, 0, 3 * PAGE, READ_WRITE, VRIFT_MAP_SHARED, &mapping);
    if (!error)
        vrift_map_free(mapping);
    return error;
}

static const struct attempt attempts[] = {
    {"allocate", try_allocate}, {"zero", try_zero}, {"punch", try_punch}, {"take out", try_collapse},
    {"insert", try_insert},     {"copy", try_copy}, {"send", try_send},   {"map", try_map},
};

static void file_of_three(struct world *w, int32_t *fd, int32_t *other)
{
    *fd = open_at(w, "f", VRIFT_O_RDWR | VRIFT_O_TRUNC);
    *other = open_at(w, "g", VRIFT_O_RDWR | VRIFT_O_TRUNC);
    write_pages(w, *fd, 'a', 0, 1);
    write_pages(w, *fd, 'b', 2, 1);
    write_pages(w, *fd, 'c', 70, 1);
}

static void expect_three(struct world *w, int32_t fd)
{
    struct vrift_stat st;
    check_ok(vrift_fstat(w->task, fd, &st));
    assert_int_equal(st.size, 71 * PAGE);
    assert_int_equal(st.blocks, 3 * PAGE / 512);
    assert_int_equal(byte_at(w, fd, PAGE - 1), 'a');
    assert_int_equal(byte_at(w, fd, PAGE), 0);
    assert_int_equal(byte_at(w, fd, 2 * PAGE), 'b');
    assert_int_equal(byte_at(w, fd, 70 * PAGE), 'c');
    assert_int_equal(vrift_lseek(w->task, fd, PAGE, VRIFT_SEEK_DATA), 2 * PAGE);
}

/* Lets memory run out at each allocation of a call in turn; how often it did. */
static unsigned run_out(struct world *w, const struct attempt *attempt)
{
    int32_t fd, other;
    unsigned failures = 0;
    for (uint64_t allowed = 0; allowed < 1000; allowed++) {
        file_of_three(w, &fd, &other);
        w->allocations_left = allowed;
        int64_t result = attempt->run(w, fd, other);
        w->allocations_left = UINT64_MAX;
        if (result == -VRIFT_ENOMEM)
            expect_three(w, fd);
        else
            check_ok_at(result, attempt->name, __FILE__, __LINE__);
        check_ok(vrift_close(w->task, fd));
        check_ok(vrift_close(w->task, other));
        if (result != -VRIFT_ENOMEM)
            return failures;
        failures++;
    }
    fail_msg("%s never works", attempt->name);
    return 0;
}

static void when_memory_runs_out_nothing_has_changed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        struct world *w = world_new(NULL);
        if (!run_out(w, &attempts[i]) && attempts[i].run != try_punch)
            fail_msg("%s allocates nothing", attempts[i].name);
        world_free(w);
    }
}

static void when_memory_runs_out_nothing_has_changed_through_an_overlay(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        struct world *w = world_new(NULL);
        struct layers layers;
        stack(w, &layers);
        check_ok(vrift_chdir(w->task, "/o"));
        run_out(w, &attempts[i]);
        check_ok(vrift_chdir(w->task, "/"));
        unstack(&layers);
        world_free(w);
    }
}

static void memory_that_is_missing_when_the_last_mapping_goes_is_done_without(void **state)
{
    (void)state;
    for (uint64_t allowed = 0; allowed < 8; allowed++) {
        struct world *w = world_new(NULL);
        int32_t fd, other;
        file_of_three(w, &fd, &other);
        vrift_mapping *mapping = map(w, fd, 3, READ_WRITE, VRIFT_MAP_SHARED);
        ((char *)vrift_map_address(mapping))[0] = 'A';
        w->allocations_left = allowed;
        vrift_map_free(mapping);
        w->allocations_left = UINT64_MAX;
        expect_three(w, fd);
        assert_int_equal(byte_at(w, fd, 0), 'A');
        mapping = map(w, fd, 3, READ_WRITE, VRIFT_MAP_SHARED);
        assert_int_equal(((char *)vrift_map_address(mapping))[0], 'A');
        vrift_map_free(mapping);
        check_ok(vrift_close(w->task, fd));
        check_ok(vrift_close(w->task, other));
        world_free(w);
    }
}

static void an_error_of_a_slot_surfaces_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const slots[] = {"fallocate", "map", "pread", "pwrite"};
    struct world *w = world_new(NULL);
    int32_t fd, other;
    file_of_three(w, &fd, &other);
    for (size_t i = 0; i < sizeof slots / sizeof *slots; i++) {
        for (size_t j = 0; j < sizeof attempts / sizeof *attempts; j++) {
            world_fault(w, slots[i], 0, -VRIFT_EIO);
            int64_t result = attempts[j].run(w, fd, other);
            uint32_t hits = w->fault_hits;
            world_fault(w, NULL, 0, 0);
            if (hits) {
                assert_int_equal(result, -VRIFT_EIO);
                expect_three(w, fd);
            } else {
                check_ok(vrift_close(w->task, fd));
                check_ok(vrift_close(w->task, other));
                file_of_three(w, &fd, &other);
            }
        }
    }
    vrift_mapping *mapping = map(w, fd, 3, READ_WRITE, VRIFT_MAP_SHARED);
    world_fault(w, "map_sync", 0, -VRIFT_EIO);
    check_error(-VRIFT_EIO, vrift_map_sync(mapping, 0, PAGE, VRIFT_MS_SYNC));
    world_fault(w, NULL, 0, 0);
    vrift_map_free(mapping);
    check_ok(vrift_close(w->task, fd));
    check_ok(vrift_close(w->task, other));
    world_free(w);
}

/* -- Who may, and what is held ------------------------------------------------------------------------------------- */

static void changing_bytes_clears_setuid_unless_the_task_may_keep_it(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_cred *user = world_cred(w, 1000, 1000);
    static const uint64_t modes[] = {0, 1, 3, 8, 16, 32};
    vrift_task *task;
    check_ok(vrift_task_new(w->ns, user, NULL, &task));
    int32_t other = open_at(w, "/g", VRIFT_O_RDWR);
    write_pages(w, other, 'g', 0, 1);
    for (size_t i = 0; i < sizeof modes / sizeof *modes + 2; i++) {
        int32_t own = open_at(w, "/f", VRIFT_O_RDWR);
        write_pages(w, own, 'f', 0, 4);
        check_ok(vrift_fchmodat(w->task, AT, "/f", 06777, 0));
        int32_t fd = (int32_t)check_ok(vrift_openat(task, AT, "/f", VRIFT_O_RDWR, 0));
        int32_t source = (int32_t)check_ok(vrift_openat(task, AT, "/g", VRIFT_O_RDONLY, 0));
        int64_t from = 0, to = 0;
        if (i < sizeof modes / sizeof *modes) {
            check_error(-VRIFT_EINVAL, vrift_fallocate(task, fd, modes[i], 0, 0));
            assert_int_equal(world_stat(w, "/f").mode & 07777, 06777);
            check_ok(vrift_fallocate(w->task, own, modes[i], PAGE, PAGE));
            assert_int_equal(world_stat(w, "/f").mode & 07777, 06777);
            check_ok(vrift_fallocate(task, fd, modes[i], PAGE, PAGE));
        } else if (i == sizeof modes / sizeof *modes) {
            assert_int_equal(vrift_copy_file_range(task, source, &from, fd, &to, 10, 0), 10);
        } else {
            assert_int_equal(vrift_sendfile(task, fd, source, &from, 10), 10);
        }
        assert_int_equal(world_stat(w, "/f").mode & 07777, 0777);
        check_ok(vrift_close(w->task, own));
        check_ok(vrift_close(task, fd));
        check_ok(vrift_close(task, source));
    }
    check_ok(vrift_close(w->task, other));
    vrift_task_free(task);
    vrift_cred_unref(user);
    world_free(w);
}

static void a_mount_is_busy_while_a_file_of_it_is_mapped(void **state)
{
    (void)state;
    struct world *w = limited(10);
    int32_t fd = open_at(w, "/m/f", VRIFT_O_RDWR);
    write_pages(w, fd, 'f', 0, 1);
    vrift_mapping *mapping = map(w, fd, 1, READ_WRITE, VRIFT_MAP_SHARED);
    check_ok(vrift_close(w->task, fd));
    check_error(-VRIFT_EBUSY, vrift_umount(w->task, AT, "/m", 0));
    vrift_map_free(mapping);
    check_ok(vrift_umount(w->task, AT, "/m", 0));
    world_free(w);
}

static void nothing_is_executed_from_a_noexec_mount(void **state)
{
    (void)state;
    struct world *w = limited(10);
    vrift_mapping *mapping;
    int32_t fd = open_at(w, "/m/f", VRIFT_O_RDWR);
    write_pages(w, fd, 'f', 0, 1);
    check_ok(vrift_map(w->task, fd, 0, PAGE, VRIFT_PROT_EXEC | VRIFT_PROT_READ, VRIFT_MAP_PRIVATE, &mapping));
    vrift_map_free(mapping);
    check_ok(vrift_remount(w->task, AT, "/m", VRIFT_MOUNT_NOEXEC));
    check_error(-VRIFT_EPERM, vrift_map(w->task, fd, 0, PAGE, VRIFT_PROT_EXEC, VRIFT_MAP_PRIVATE, &mapping));
    check_ok(vrift_close(w->task, fd));
    world_free(w);
}

/* -- A function that takes bytes ----------------------------------------------------------------------------------- */

struct taken {
    char bytes[200000];
    size_t length, most;
    int64_t error;
};

static int64_t VRIFT_CALLBACK take(const void *bytes, size_t length, void *payload)
{
    struct taken *taken = payload;
    if (taken->error)
        return taken->error;
    if (length > taken->most)
        length = taken->most;
    memcpy(taken->bytes + taken->length, bytes, length);
    taken->length += length;
    return (int64_t)length;
}

static void a_function_takes_what_is_read_in_order(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct taken *taken = calloc(1, sizeof *taken);
    int32_t fd = open_at(w, "/f", VRIFT_O_RDWR);
    for (char i = 0; i < 40; i++)
        write_pages(w, fd, (char)('a' + i % 26), (uint64_t)i, 1);
    taken->most = SIZE_MAX;
    assert_int_equal(vrift_splice(w->task, fd, NULL, 1 << 20, take, taken), 40 * PAGE);
    for (int i = 0; i < 40 * PAGE; i++)
        assert_int_equal(taken->bytes[i], 'a' + i / PAGE % 26);
    assert_int_equal(vrift_lseek(w->task, fd, 0, VRIFT_SEEK_CUR), 40 * PAGE);
    assert_int_equal(vrift_splice(w->task, fd, NULL, 1, take, taken), 0);
    int64_t at = PAGE - 1;
    taken->length = 0;
    assert_int_equal(vrift_splice(w->task, fd, &at, 2, take, taken), 2);
    assert_memory_equal(taken->bytes, "ab", 2);
    assert_int_equal(at, PAGE + 1);
    taken->most = 100; /* of the first piece */
    assert_int_equal(vrift_splice(w->task, fd, &at, PAGE, take, taken), 100);
    assert_int_equal(at, PAGE + 101);
    taken->error = -VRIFT_EPIPE;
    check_error(-VRIFT_EPIPE, vrift_splice(w->task, fd, &at, PAGE, take, taken));
    assert_int_equal(at, PAGE + 101);
    at = -1;
    check_error(-VRIFT_EINVAL, vrift_splice(w->task, fd, &at, PAGE, take, taken));
    check_error(-VRIFT_EBADF, vrift_splice(w->task, 99, &at, PAGE, take, taken));
    check_ok(vrift_close(w->task, fd));
    fd = (int32_t)check_ok(vrift_openat(w->task, AT, "/", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY, 0));
    check_error(-VRIFT_EISDIR, vrift_splice(w->task, fd, NULL, PAGE, take, taken));
    check_ok(vrift_close(w->task, fd));
    free(taken);
    world_free(w);
}

static void a_function_takes_what_is_in_a_fifo(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct taken *taken = calloc(1, sizeof *taken);
    int64_t at = 0;
    check_ok(vrift_mknodat(w->task, AT, "/p", VRIFT_S_IFIFO | 0644, 0));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, AT, "/p", VRIFT_O_RDWR | VRIFT_O_NONBLOCK, 0));
    taken->most = SIZE_MAX;
    assert_int_equal(vrift_write(w->task, fd, "abc", 3), 3);
    check_error(-VRIFT_ESPIPE, vrift_splice(w->task, fd, &at, 100, take, taken));
    assert_int_equal(vrift_splice(w->task, fd, NULL, 100, take, taken), 3);
    assert_memory_equal(taken->bytes, "abc", 3);
    check_error(-VRIFT_EAGAIN, vrift_splice(w->task, fd, NULL, 100, take, taken));
    check_ok(vrift_close(w->task, fd));
    free(taken);
    world_free(w);
}

static void bytes_are_copied_between_file_systems(void **state)
{
    (void)state;
    struct world *w = limited(10);
    int32_t fd = open_at(w, "/f", VRIFT_O_RDWR), other = open_at(w, "/m/g", VRIFT_O_RDWR);
    write_pages(w, fd, 'f', 0, 12);
    int64_t from = 0, to = PAGE;
    check_error(-VRIFT_EXDEV, vrift_copy_file_range(w->task, fd, &from, other, &to, PAGE, VRIFT_COPY_CLONE));
    assert_int_equal(vrift_copy_file_range(w->task, fd, &from, other, &to, 12 * PAGE, 0),
                     10 * PAGE); /* all that fits */
    assert_int_equal(to, 11 * PAGE);
    assert_int_equal(byte_at(w, other, 0), 0);
    assert_int_equal(byte_at(w, other, PAGE), 'f');
    check_error(-VRIFT_ENOSPC, vrift_copy_file_range(w->task, fd, &from, other, &to, PAGE, 0));
    check_ok(vrift_close(w->task, fd));
    check_ok(vrift_close(w->task, other));
    world_free(w);
}

/* -- Overlays ------------------------------------------------------------------------------------------------------ */

static void a_mapping_made_before_a_copy_up_shows_the_lower_bytes(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct layers layers;
    stack(w, &layers);
    int32_t reader = (int32_t)check_ok(vrift_openat(w->task, AT, "/o/f", VRIFT_O_RDONLY, 0));
    vrift_mapping *old = map(w, reader, 1, VRIFT_PROT_READ, VRIFT_MAP_SHARED);
    int32_t writer = (int32_t)check_ok(vrift_openat(w->task, AT, "/o/f", VRIFT_O_RDWR, 0));
    vrift_mapping *shared = map(w, writer, 1, READ_WRITE, VRIFT_MAP_SHARED);
    memcpy(vrift_map_address(shared), "UPPER", 5);
    assert_memory_equal(vrift_map_address(old), "lower", 5);
    assert_int_equal(byte_at(w, reader, 0), 'U'); /* the descriptor follows */
    vrift_mapping *new = map(w, reader, 1, VRIFT_PROT_READ, VRIFT_MAP_SHARED);
    assert_memory_equal(vrift_map_address(new), "UPPER", 5);
    vrift_map_free(shared);
    vrift_map_free(old);
    vrift_map_free(new);
    world_expect(w, "/o/f", "UPPER");
    world_expect(w, "/u/upper/f", "UPPER");
    world_expect(w, "/lower/f", "lower");
    check_ok(vrift_close(w->task, reader));
    check_ok(vrift_close(w->task, writer));
    unstack(&layers);
    world_free(w);
}

/* -- A backend that lacks all of it -------------------------------------------------------------------------------- */

static void what_a_backend_lacks_has_its_error_and_copies_work_all_the_same(void **state)
{
    (void)state;
    static const struct vrift_mem_options options = {.size = sizeof options};
    struct world *w = world_new(NULL);
    struct vrift_backend_ops ops = vr_memfs_ops;
    struct vr_memfs *fs;
    vrift_sb *sb;
    vrift_mapping *mapping;
    ops.capability = NULL;
    ops.fallocate = NULL;
    ops.copy_range = NULL;
    ops.map = NULL;
    ops.seek = NULL;
    check_ok(vr_memfs_new(NULL, &options, &fs));
    check_ok(vrift_sb_new(w->vfs, &ops, fs, &sb));
    check_ok(vrift_mkdirat(w->task, AT, "/m", 0755));
    check_ok(vrift_mount(w->task, AT, "/m", sb, 0));
    vrift_sb_unref(sb);
    int32_t fd = open_at(w, "/m/f", VRIFT_O_RDWR), other = open_at(w, "/m/g", VRIFT_O_RDWR);
    int64_t from = 0, to = 0;
    write_pages(w, fd, 'a', 0, 2);
    check_error(-VRIFT_EOPNOTSUPP, vrift_fallocate(w->task, fd, 0, 0, PAGE));
    check_error(-VRIFT_EINVAL, vrift_fallocate(w->task, fd, 0, 0, 0));
    check_error(-VRIFT_ENODEV, vrift_map(w->task, fd, 0, PAGE, READ_WRITE, VRIFT_MAP_SHARED, &mapping));
    check_error(-VRIFT_EOPNOTSUPP, vrift_copy_file_range(w->task, fd, &from, other, &to, PAGE, VRIFT_COPY_CLONE));
    assert_int_equal(vrift_copy_file_range(w->task, fd, &from, other, &to, PAGE, 0), PAGE);
    assert_int_equal(byte_at(w, other, PAGE - 1), 'a');
    assert_int_equal(vrift_lseek(w->task, fd, 1, VRIFT_SEEK_HOLE), 2 * PAGE);
    check_ok(vrift_close(w->task, fd));
    check_ok(vrift_close(w->task, other));
    world_free(w);
}

/* -- Threads ------------------------------------------------------------------------------------------------------- */

struct worker {
    struct world *world;
    int number;
    int wrong;
};

/* Each has a page of its own in one file, and changes it in all ways while the file moves there and back. */
static void *work(void *payload)
{
    struct worker *self = payload;
    struct world *w = self->world;
    uint64_t at = (uint64_t)self->number * PAGE;
    int32_t fd = vrift_openat(w->task, AT, "/f", VRIFT_O_RDWR, 0);
    for (int i = 0; i < 300 && !self->wrong; i++) {
        char letter = (char)('a' + i % 26), got = 0;
        vrift_mapping *mapping = NULL;
        if (i % 3 == 0) {
            self->wrong = vrift_map(w->task, fd, at, PAGE, READ_WRITE, VRIFT_MAP_SHARED, &mapping) != 0;
            if (!self->wrong)
                *(char *)vrift_map_address(mapping) = letter;
        } else {
            self->wrong = vrift_pwrite(w->task, fd, &letter, 1, at) != 1;
        }
        if (!self->wrong)
            self->wrong = vrift_pread(w->task, fd, &got, 1, at) != 1 || got != letter;
        vrift_map_free(mapping);
        if (!self->wrong)
            self->wrong = vrift_pread(w->task, fd, &got, 1, at) != 1 || got != letter;
    }
    vrift_close(w->task, fd);
    return NULL;
}

static void threads_map_and_write_one_file_and_lose_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct worker workers[4];
    pthread_t threads[4];
    int32_t fd = open_at(w, "/f", VRIFT_O_RDWR);
    write_pages(w, fd, 'z', 0, 5);
    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){w, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].wrong, 0);
        assert_int_equal(byte_at(w, fd, (uint64_t)i * PAGE), 'a' + 299 % 26);
        assert_int_equal(byte_at(w, fd, (uint64_t)i * PAGE + 1), 'z');
    }
    check_ok(vrift_close(w->task, fd));
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(when_memory_runs_out_nothing_has_changed),
        cmocka_unit_test(when_memory_runs_out_nothing_has_changed_through_an_overlay),
        cmocka_unit_test(memory_that_is_missing_when_the_last_mapping_goes_is_done_without),
        cmocka_unit_test(an_error_of_a_slot_surfaces_and_changes_nothing),
        cmocka_unit_test(changing_bytes_clears_setuid_unless_the_task_may_keep_it),
        cmocka_unit_test(a_mount_is_busy_while_a_file_of_it_is_mapped),
        cmocka_unit_test(nothing_is_executed_from_a_noexec_mount),
        cmocka_unit_test(a_function_takes_what_is_read_in_order),
        cmocka_unit_test(a_function_takes_what_is_in_a_fifo),
        cmocka_unit_test(bytes_are_copied_between_file_systems),
        cmocka_unit_test(a_mapping_made_before_a_copy_up_shows_the_lower_bytes),
        cmocka_unit_test(what_a_backend_lacks_has_its_error_and_copies_work_all_the_same),
        cmocka_unit_test(threads_map_and_write_one_file_and_lose_nothing),
    };
    return cmocka_run_group_tests_name("space", tests, NULL, NULL);
}
