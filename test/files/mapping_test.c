/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What mappings show. Each case runs on a file system of the kernel's first, which proves that it asks for what Linux
 * does, and then on libvrift over each backend.
 */
#include "files/files.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE       4096
#define READ_WRITE (VRIFT_PROT_READ | VRIFT_PROT_WRITE)

static char *map(struct side *side, int64_t fd, uint64_t offset, uint64_t length, uint64_t prot, uint64_t flags)
{
    char *address = NULL;
    check_ok(side_map(side, fd, offset, length, prot, flags, &address));
    return address;
}

/* A new file of so many bytes of a letter, open to read and write. */
static int64_t letters(struct side *side, const char *path, char letter, size_t length)
{
    char *bytes = malloc(length + 1);
    memset(bytes, letter, length + 1);
    int64_t fd = check_ok(side_open(side, path, VRIFT_O_RDWR | VRIFT_O_CREAT | VRIFT_O_TRUNC));
    assert_int_equal(side_pwrite(side, fd, bytes, length, 0), length);
    free(bytes);
    return fd;
}

static char byte_at(struct side *side, int64_t fd, uint64_t offset)
{
    char byte = '?';
    assert_int_equal(side_pread(side, fd, &byte, 1, offset), 1);
    return byte;
}

static uint64_t size_of(struct side *side, int64_t fd)
{
    struct vrift_stat attr;
    check_ok(side_fstat(side, fd, &attr));
    return attr.size;
}

static struct vrift_timespec mtime_of(struct side *side, int64_t fd)
{
    struct vrift_stat attr;
    check_ok(side_fstat(side, fd, &attr));
    return attr.mtime;
}

static bool before(struct vrift_timespec a, struct vrift_timespec b)
{
    return a.sec < b.sec || (a.sec == b.sec && a.nsec < b.nsec);
}

static void let_the_clock_tick(void)
{
    const struct timespec pause = {0, 21000000};
    nanosleep(&pause, NULL);
}

static sigjmp_buf bus;

static void on_bus(int signal)
{
    (void)signal;
    siglongjmp(bus, 1);
}

/* Whether reading the byte raises SIGBUS. */
static bool is_beyond(const char *address)
{
    struct sigaction action = {.sa_handler = on_bus}, old;
    volatile bool raised = true;
    sigaction(SIGBUS, &action, &old);
    if (!sigsetjmp(bus, 1)) {
        (void)*(volatile const char *)address;
        raised = false;
    }
    sigaction(SIGBUS, &old, NULL);
    return raised;
}

/* -- Cases --------------------------------------------------------------------------------------------------------- */

static void stores_and_writes_see_each_other_at_once(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', 3 * PAGE);
    int64_t other = check_ok(side_open(side, "f", VRIFT_O_RDWR));
    char *shared = map(side, fd, PAGE, 2 * PAGE, READ_WRITE, VRIFT_MAP_SHARED);
    assert_int_equal(shared[0], 'a');
    assert_int_equal(side_pwrite(side, other, "bc", 2, PAGE + 1), 2);
    assert_memory_equal(shared, "abca", 4);
    shared[PAGE + 7] = 'd';
    assert_int_equal(byte_at(side, other, 2 * PAGE + 7), 'd');
    shared[2] = 'e';
    assert_int_equal(byte_at(side, fd, PAGE + 2), 'e');
    side_unmap(side, shared);
    assert_int_equal(byte_at(side, other, 2 * PAGE + 7), 'd');
    assert_int_equal(byte_at(side, other, PAGE + 1), 'b');
    check_ok(side_close(side, other));
    check_ok(side_close(side, fd));
}

static void stores_to_a_private_mapping_stay_in_it(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', 2 * PAGE);
    char *own = map(side, fd, 0, 2 * PAGE, READ_WRITE, VRIFT_MAP_PRIVATE);
    own[3] = 'x';
    assert_int_equal(byte_at(side, fd, 3), 'a');
    assert_int_equal(side_pwrite(side, fd, "b", 1, 4), 1);
    assert_int_equal(own[4], 'a'); /* its page is a copy by now */
    assert_int_equal(side_pwrite(side, fd, "c", 1, PAGE), 1);
    assert_int_equal(own[PAGE], 'c'); /* this one is the file's still */
    side_unmap(side, own);
    assert_int_equal(byte_at(side, fd, 3), 'a');
    check_ok(side_close(side, fd));
}

static void a_file_opened_to_read_can_be_mapped_privately_to_write(struct side *side)
{
    check_ok(side_close(side, letters(side, "f", 'a', 10)));
    int64_t fd = check_ok(side_open(side, "f", VRIFT_O_RDONLY));
    char *own = map(side, fd, 0, 10, READ_WRITE, VRIFT_MAP_PRIVATE);
    own[0] = 'b';
    assert_memory_equal(own, "baaaaaaaaa", 11);
    side_unmap(side, own);
    assert_int_equal(byte_at(side, fd, 0), 'a');
    check_ok(side_close(side, fd));
}

static void a_mapping_outlives_close_and_unlink(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', PAGE);
    char *shared = map(side, fd, 0, PAGE, READ_WRITE, VRIFT_MAP_SHARED);
    check_ok(side_close(side, fd));
    shared[1] = 'b';
    fd = check_ok(side_open(side, "f", VRIFT_O_RDWR));
    assert_int_equal(byte_at(side, fd, 1), 'b');
    check_ok(side_unlink(side, "f"));
    shared[2] = 'c';
    assert_int_equal(byte_at(side, fd, 2), 'c');
    check_ok(side_close(side, fd));
    shared[3] = 'd';
    assert_memory_equal(shared, "abcda", 5);
    side_unmap(side, shared);
}

static void bytes_behind_the_end_are_zero_and_do_not_lengthen_the_file(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', PAGE + 100);
    char *shared = map(side, fd, 0, PAGE + 100, READ_WRITE, VRIFT_MAP_SHARED);
    for (int i = 100; i < PAGE; i++)
        assert_int_equal(shared[PAGE + i], 0);
    shared[PAGE + 99] = 'b';
    side_unmap(side, shared);
    assert_int_equal(size_of(side, fd), PAGE + 100);
    assert_int_equal(byte_at(side, fd, PAGE + 99), 'b');
    check_ok(side_close(side, fd));
}

static void a_mapping_sees_what_is_appended(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', 10);
    char *shared = map(side, fd, 0, 3 * PAGE, VRIFT_PROT_READ, VRIFT_MAP_SHARED);
    assert_true(is_beyond(shared + PAGE));
    assert_int_equal(side_pwrite(side, fd, "bcd", 3, 10), 3);
    assert_memory_equal(shared + 8, "aabcd", 6);
    assert_int_equal(side_pwrite(side, fd, "e", 1, 2 * PAGE - 1), 1);
    assert_int_equal(shared[2 * PAGE - 1], 'e');
    assert_int_equal(shared[PAGE], 0);
    assert_true(is_beyond(shared + 2 * PAGE));
    side_unmap(side, shared);
    check_ok(side_close(side, fd));
}

static void truncating_takes_pages_out_of_a_mapping(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', 3 * PAGE);
    char *shared = map(side, fd, 0, 3 * PAGE, READ_WRITE, VRIFT_MAP_SHARED);
    shared[2 * PAGE] = 'b';
    shared[200] = 'c';
    check_ok(side_ftruncate(side, fd, 100));
    assert_true(is_beyond(shared + PAGE));
    assert_true(is_beyond(shared + 2 * PAGE));
    assert_int_equal(shared[99], 'a');
    assert_int_equal(shared[100], 0);
    assert_int_equal(shared[200], 0);
    check_ok(side_ftruncate(side, fd, 3 * PAGE));
    assert_int_equal(shared[2 * PAGE], 0);
    assert_int_equal(byte_at(side, fd, 200), 0);
    shared[2 * PAGE] = 'd';
    assert_int_equal(byte_at(side, fd, 2 * PAGE), 'd');
    check_ok(side_ftruncate(side, fd, 0));
    assert_true(is_beyond(shared));
    side_unmap(side, shared);
    assert_int_equal(size_of(side, fd), 0);
    check_ok(side_close(side, fd));
}

static void a_mapping_of_holes_makes_them_data_where_it_is_stored_to(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', 1);
    check_ok(side_ftruncate(side, fd, 8 * PAGE));
    char *shared = map(side, fd, 0, 8 * PAGE, READ_WRITE, VRIFT_MAP_SHARED);
    shared[5 * PAGE] = 'b';
    assert_int_equal(side_lseek(side, fd, PAGE, VRIFT_SEEK_DATA), 5 * PAGE);
    assert_int_equal(side_lseek(side, fd, 5 * PAGE, VRIFT_SEEK_HOLE), 6 * PAGE);
    side_unmap(side, shared);
    assert_int_equal(side_lseek(side, fd, PAGE, VRIFT_SEEK_DATA), 5 * PAGE);
    assert_int_equal(byte_at(side, fd, 5 * PAGE), 'b');
    check_ok(side_close(side, fd));
}

static void punching_a_hole_shows_in_a_mapping(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', 4 * PAGE);
    char *shared = map(side, fd, 0, 4 * PAGE, READ_WRITE, VRIFT_MAP_SHARED);
    check_ok(side_fallocate(side, fd, VRIFT_FALLOC_PUNCH_HOLE | VRIFT_FALLOC_KEEP_SIZE, PAGE + 10, 2 * PAGE));
    assert_int_equal(shared[PAGE + 9], 'a');
    assert_int_equal(shared[PAGE + 10], 0);
    assert_int_equal(shared[2 * PAGE], 0);
    assert_int_equal(shared[3 * PAGE + 9], 0);
    assert_int_equal(shared[3 * PAGE + 10], 'a');
    shared[2 * PAGE] = 'b';
    assert_int_equal(byte_at(side, fd, 2 * PAGE), 'b');
    side_unmap(side, shared);
    check_ok(side_close(side, fd));
}

/* Not on tmpfs. */
static void taking_out_and_inserting_shows_in_a_mapping(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', PAGE);
    assert_int_equal(side_pwrite(side, fd, "b", 1, PAGE), 1);
    assert_int_equal(side_pwrite(side, fd, "cde", 3, 4 * PAGE), 3);
    char *shared = map(side, fd, 0, 8 * PAGE, READ_WRITE, VRIFT_MAP_SHARED);
    check_ok(side_fallocate(side, fd, VRIFT_FALLOC_COLLAPSE_RANGE, PAGE, 2 * PAGE));
    assert_int_equal(size_of(side, fd), 2 * PAGE + 3);
    assert_int_equal(shared[0], 'a');
    assert_int_equal(shared[PAGE], 0);
    assert_memory_equal(shared + 2 * PAGE, "cde", 4);
    assert_true(is_beyond(shared + 3 * PAGE));
    check_ok(side_fallocate(side, fd, VRIFT_FALLOC_INSERT_RANGE, 0, 3 * PAGE));
    assert_int_equal(size_of(side, fd), 5 * PAGE + 3);
    assert_int_equal(shared[0], 0);
    assert_int_equal(shared[3 * PAGE], 'a');
    assert_memory_equal(shared + 5 * PAGE, "cde", 4);
    check_ok(side_fallocate(side, fd, VRIFT_FALLOC_ZERO_RANGE, 3 * PAGE + 1, 2 * PAGE + 1));
    assert_int_equal(shared[3 * PAGE], 'a');
    assert_int_equal(shared[3 * PAGE + 1], 0);
    assert_memory_equal(shared + 5 * PAGE, "\0\0e", 4);
    side_unmap(side, shared);
    assert_int_equal(byte_at(side, fd, 3 * PAGE), 'a');
    assert_int_equal(byte_at(side, fd, 5 * PAGE + 2), 'e');
    check_ok(side_close(side, fd));
}

static void a_store_changes_the_times(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', 2 * PAGE);
    struct vrift_timespec old = mtime_of(side, fd);
    char *shared = map(side, fd, 0, 2 * PAGE, READ_WRITE, VRIFT_MAP_SHARED);
    let_the_clock_tick();
    assert_int_equal(shared[0], 'a');
    check_ok(side_sync(side, shared, 0, 2 * PAGE, VRIFT_MS_SYNC));
    assert_false(before(old, mtime_of(side, fd))); /* it was only looked at */
    shared[0] = 'b';
    check_ok(side_sync(side, shared, 0, 2 * PAGE, VRIFT_MS_SYNC));
    struct vrift_timespec stored = mtime_of(side, fd);
    assert_true(before(old, stored));
    let_the_clock_tick();
    side_unmap(side, shared);
    assert_false(before(stored, mtime_of(side, fd)));
    check_ok(side_close(side, fd));
}

static void a_store_to_a_page_that_was_read_changes_the_times(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', 2 * PAGE);
    char *shared = map(side, fd, 0, 2 * PAGE, READ_WRITE, VRIFT_MAP_SHARED);
    struct vrift_timespec old = mtime_of(side, fd);
    let_the_clock_tick();
    shared[1] = shared[0] == 'a' && shared[PAGE] == 'a' ? 'b' : 'c';
    side_unmap(side, shared);
    assert_true(before(old, mtime_of(side, fd)));
    check_ok(side_close(side, fd));
}

static void stat_tells_of_a_store_at_once(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', 1);
    check_ok(side_ftruncate(side, fd, 2 * PAGE));
    struct vrift_stat old, new;
    char *shared = map(side, fd, 0, 2 * PAGE, READ_WRITE, VRIFT_MAP_SHARED);
    check_ok(side_fstat(side, fd, &old));
    let_the_clock_tick();
    shared[PAGE] = 'b';
    check_ok(side_fstat(side, fd, &new));
    assert_true(before(old.mtime, new.mtime));
    assert_int_equal(new.blocks, old.blocks + PAGE / 512);
    side_unmap(side, shared);
    check_ok(side_close(side, fd));
}

static void times_that_were_set_after_a_store_stay(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', PAGE);
    char *shared = map(side, fd, 0, PAGE, READ_WRITE, VRIFT_MAP_SHARED);
    if (shared[0] == 'a')
        shared[0] = 'b';
    check_ok(side_set_mtime(side, "f", 1000));
    assert_int_equal(mtime_of(side, fd).sec, 1000);
    side_unmap(side, shared);
    assert_int_equal(mtime_of(side, fd).sec, 1000);
    check_ok(side_close(side, fd));
}

static void copies_read_what_was_stored(struct side *side)
{
    int64_t fd = letters(side, "f", 'a', PAGE), to = letters(side, "g", 'z', 1), from = 0, offset = 0;
    char *shared = map(side, fd, 0, PAGE, READ_WRITE, VRIFT_MAP_SHARED);
    shared[5] = 'b';
    assert_int_equal(side_copy(side, fd, &from, to, &offset, PAGE, 0), PAGE);
    assert_int_equal(byte_at(side, to, 5), 'b');
    from = 5, offset = 0;
    assert_int_equal(side_copy(side, to, &from, fd, &offset, 1, 0), 1);
    assert_int_equal(shared[0], 'b');
    shared[6] = 'c';
    from = 0;
    check_ok(side_lseek(side, to, 0, VRIFT_SEEK_SET));
    assert_int_equal(side_sendfile(side, to, fd, &from, 10), 10);
    assert_int_equal(byte_at(side, to, 6), 'c');
    side_unmap(side, shared);
    check_ok(side_close(side, fd));
    check_ok(side_close(side, to));
}

/* -- On all -------------------------------------------------------------------------------------------------------- */

struct test_case {
    const char *name;
    void (*run)(struct side *side);
    const char *disk; /* that the kernel needs for it */
};

#define CASE(name, disk)                                                                                               \
    {                                                                                                                  \
#name, name, disk                                                                                              \
    }
static const struct test_case cases[] = {
    CASE(stores_and_writes_see_each_other_at_once, "tmpfs"),
    CASE(stores_to_a_private_mapping_stay_in_it, "tmpfs"),
    CASE(a_file_opened_to_read_can_be_mapped_privately_to_write, "tmpfs"),
    CASE(a_mapping_outlives_close_and_unlink, "tmpfs"),
    CASE(bytes_behind_the_end_are_zero_and_do_not_lengthen_the_file, "tmpfs"),
    CASE(a_mapping_sees_what_is_appended, "tmpfs"),
    CASE(truncating_takes_pages_out_of_a_mapping, "tmpfs"),
    CASE(a_mapping_of_holes_makes_them_data_where_it_is_stored_to, "tmpfs"),
    CASE(punching_a_hole_shows_in_a_mapping, "tmpfs"),
    CASE(taking_out_and_inserting_shows_in_a_mapping, "ext4"),
    CASE(a_store_changes_the_times, "ext4"), /* tmpfs notices less */
    CASE(a_store_to_a_page_that_was_read_changes_the_times, "ext4"),
    CASE(stat_tells_of_a_store_at_once, "tmpfs"),
    CASE(times_that_were_set_after_a_store_stay, "tmpfs"),
    CASE(copies_read_what_was_stored, "tmpfs"),
};
#define CASES (sizeof cases / sizeof *cases)

static const char *const kinds[] = {"the kernel", "mem", "host", "overlay"};
#define KINDS (sizeof kinds / sizeof *kinds)

struct check {
    const char *kind;
    const struct test_case *test_case;
};

static void run(void **state)
{
    const struct check *check = *state;
    struct disk disk;
    struct ours ours;
    bool kernel = check->kind == kinds[0];
    disk_insert(&disk, check->test_case->disk, 64);
    if (disk.missing && (kernel || strcmp(check->kind, "host") == 0))
        skip_because("%s: %s", check->test_case->disk, disk.missing);
    if (kernel) {
        struct side side = {.dir = open(disk.path, O_RDONLY | O_DIRECTORY)};
        check->test_case->run(&side);
        close(side.dir);
    } else {
        ours_begin(&ours, check->kind, disk.path);
        check->test_case->run(&ours.side);
        ours_end(&ours);
    }
    disk_eject(&disk);
}

int main(void)
{
    static struct check checks[CASES * KINDS];
    static char names[CASES * KINDS][120];
    struct CMUnitTest tests[CASES * KINDS];
    for (size_t i = 0; i < CASES * KINDS; i++) {
        checks[i] = (struct check){kinds[i % KINDS], &cases[i / KINDS]};
        snprintf(names[i], sizeof names[i], "%s: %s", checks[i].kind, checks[i].test_case->name);
        tests[i] = (struct CMUnitTest){names[i], run, NULL, NULL, &checks[i]};
    }
    return _cmocka_run_group_tests("mapping", tests, CASES * KINDS, NULL, NULL);
}
