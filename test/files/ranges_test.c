/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Random changes of two files' bytes and space, on a file system of the kernel and on libvrift: after each, the result,
 * sizes, positions, contents, and where data and holes are must be the same. Against a tmpfs with what tmpfs can, and
 * against XFS with what it can, but for the holes, which there depend on what was read.
 *
 *   ranges_test [--ops N] [--seed S]    N operations a pair (default 4000)
 */
#include "files/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE  4096u
#define MOST  (24u * PAGE) /* bytes of a file, about */
#define FILES 2

static uint64_t operations = 4000, first_seed = 1;

struct pair {
    const char *kind, *disk;
    bool all;   /* collapse, insert, zero */
    bool holes; /* compare them */
};

#define HELD (32u * PAGE) /* bytes of a mapping that stays */

struct held {
    char *address; /* NULL: not mapped */
    vrift_mapping *mapping;
};

struct run {
    const struct pair *pair;
    struct held held[2][FILES];
    struct side sides[2]; /* the kernel's, ours */
    int64_t fds[2][FILES];
    uint64_t random;
    char what[200]; /* the operation, for people */
};

static uint64_t below(struct run *run, uint64_t limit)
{
    return next_random(&run->random) % limit;
}

/* Often at a page, now and then a little beside it. */
static uint64_t place(struct run *run)
{
    uint64_t at = below(run, 20) * PAGE;
    switch (below(run, 4)) {
    case 0:
        return at + below(run, PAGE);
    case 1:
        return at + 1;
    case 2:
        return at ? at - 1 : at;
    default:
        return at;
    }
}

static uint64_t aligned(struct run *run)
{
    return below(run, 12) ? below(run, 16) * PAGE : place(run);
}

/* -- The operations: each fills in what both sides answered ------------------------------------------------------- */

static void do_write(struct run *run, int file, int64_t results[2])
{
    static char bytes[5 * PAGE];
    uint64_t at = place(run), length = 1 + below(run, below(run, 2) ? 100 : sizeof bytes);
    memset(bytes, 'a' + (int)below(run, 26), sizeof bytes);
    snprintf(run->what, sizeof run->what, "pwrite(%d, %llu, %llu)", file, (unsigned long long)length,
             (unsigned long long)at);
    for (int i = 0; i < 2; i++)
        results[i] = side_pwrite(&run->sides[i], run->fds[i][file], bytes, (size_t)length, at);
}

static void do_truncate(struct run *run, int file, int64_t results[2])
{
    uint64_t to = place(run);
    snprintf(run->what, sizeof run->what, "ftruncate(%d, %llu)", file, (unsigned long long)to);
    for (int i = 0; i < 2; i++)
        results[i] = side_ftruncate(&run->sides[i], run->fds[i][file], to);
}

static void do_fallocate(struct run *run, int file, int64_t results[2])
{
    static const uint64_t modes[] = {0, 1, 3, 3, 8, 16, 17, 32, 2, 9, 24, 4, 64};
    uint64_t mode = modes[below(run, run->pair->all ? sizeof modes / sizeof *modes - 1 : 4)];
    bool moves = mode == VRIFT_FALLOC_COLLAPSE_RANGE || mode == VRIFT_FALLOC_INSERT_RANGE;
    int64_t at = (int64_t)(moves ? aligned(run) : place(run));
    int64_t length = (int64_t)(moves ? aligned(run) : 1 + below(run, 6 * PAGE));
    if (below(run, 40) == 0)
        length = -length;
    snprintf(run->what, sizeof run->what, "fallocate(%d, %llx, %lld, %lld)", file, (unsigned long long)mode,
             (long long)at, (long long)length);
    for (int i = 0; i < 2; i++)
        results[i] = side_fallocate(&run->sides[i], run->fds[i][file], mode, at, length);
}

static void do_seek(struct run *run, int file, int64_t results[2])
{
    int64_t at = (int64_t)place(run);
    snprintf(run->what, sizeof run->what, "lseek(%d, %lld)", file, (long long)at);
    for (int i = 0; i < 2; i++)
        results[i] = side_lseek(&run->sides[i], run->fds[i][file], at, VRIFT_SEEK_SET);
}

/* All of it: where blocks are shared, a copy ends at whole ones and is to be gone on with. */
static int64_t copy_all(struct side *side, int64_t in, int64_t *from, int64_t out, int64_t *to, uint64_t count)
{
    int64_t total = 0, copied;
    do {
        copied = side_copy(side, in, from, out, to, count, 0);
        total += copied > 0 ? copied : 0;
        count -= copied > 0 ? (uint64_t)copied : 0;
    } while (copied > 0 && count > 0);
    return total ? total : copied;
}

static void do_copy(struct run *run, int file, int64_t results[2])
{
    int to = (int)below(run, FILES);
    int64_t offsets[2] = {(int64_t)place(run), (int64_t)place(run)}, left[2][2];
    uint64_t how = below(run, 4), count = below(run, 6 * PAGE);
    snprintf(run->what, sizeof run->what, "copy_file_range(%d, %s%lld, %d, %s%lld, %llu)", file, how & 1 ? "" : "*",
             (long long)offsets[0], to, how & 2 ? "" : "*", (long long)offsets[1], (unsigned long long)count);
    for (int i = 0; i < 2; i++) {
        memcpy(left[i], offsets, sizeof offsets);
        results[i] = copy_all(&run->sides[i], run->fds[i][file], how & 1 ? &left[i][0] : NULL, run->fds[i][to],
                              how & 2 ? &left[i][1] : NULL, count);
    }
    assert_memory_equal(left[0], left[1], sizeof left[0]);
}

/* From a file to the other one: to itself it copies what it has just written, as much as the kernel's pages say. */
static void do_send(struct run *run, int file, int64_t results[2])
{
    int64_t offset = (int64_t)place(run), left[2] = {offset, offset};
    uint64_t how = below(run, 2), count = below(run, 3 * PAGE);
    snprintf(run->what, sizeof run->what, "sendfile(%d, %d, %s%lld, %llu)", 1 - file, file, how ? "" : "*",
             (long long)offset, (unsigned long long)count);
    for (int i = 0; i < 2; i++)
        results[i] =
            side_sendfile(&run->sides[i], run->fds[i][1 - file], run->fds[i][file], how ? &left[i] : NULL, count);
    assert_int_equal(left[0], left[1]);
}

/* Maps what there is, stores a few bytes, reads some, and unmaps. */
static void do_map(struct run *run, int file, int64_t results[2])
{
    struct vrift_stat attr;
    check_ok(side_fstat(&run->sides[0], run->fds[0][file], &attr));
    uint64_t pages = (attr.size + PAGE - 1) / PAGE, first = pages ? below(run, pages) : 0;
    uint64_t at = attr.size ? below(run, attr.size - first * PAGE) : 0;
    uint64_t flags = below(run, 4) ? VRIFT_MAP_SHARED : VRIFT_MAP_PRIVATE;
    char letter = (char)('A' + below(run, 26));
    snprintf(run->what, sizeof run->what, "map(%d, %llu, %llu)[%llu]", file, (unsigned long long)first,
             (unsigned long long)flags, (unsigned long long)at);
    for (int i = 0; i < 2; i++) {
        char *map;
        results[i] = side_map(&run->sides[i], run->fds[i][file], first * PAGE,
                              attr.size > first * PAGE ? attr.size - first * PAGE : 1,
                              VRIFT_PROT_READ | VRIFT_PROT_WRITE, flags, &map);
        if (results[i] < 0)
            continue;
        if (attr.size) {
            results[i] = map[at / 2];
            map[at] = letter;
        }
        side_unmap(&run->sides[i], map);
    }
}

/* The sides know one mapping; this one is to be meant now. */
static char *turn_to(struct run *run, int side, int file)
{
    run->sides[side].mapping = run->held[side][file].mapping;
    run->sides[side].mapped = HELD;
    return run->held[side][file].address;
}

/* Maps all that a file may come to have, or ends that. */
static void do_hold(struct run *run, int file, int64_t results[2])
{
    bool is_held = run->held[0][file].address;
    snprintf(run->what, sizeof run->what, "%s(%d)", is_held ? "let go" : "hold", file);
    for (int i = 0; i < 2; i++) {
        struct held *held = &run->held[i][file];
        results[i] = 0;
        if (is_held) {
            side_unmap(&run->sides[i], turn_to(run, i, file));
            held->address = NULL;
        } else {
            results[i] = side_map(&run->sides[i], run->fds[i][file], 0, HELD, VRIFT_PROT_READ | VRIFT_PROT_WRITE,
                                  VRIFT_MAP_SHARED, &held->address);
            held->mapping = run->sides[i].mapping;
        }
    }
}

/* Looks at a byte of a mapping that stays, and stores one. */
static void do_store(struct run *run, int file, int64_t results[2])
{
    struct vrift_stat attr;
    check_ok(side_fstat(&run->sides[0], run->fds[0][file], &attr));
    uint64_t size = attr.size < HELD ? attr.size : HELD, at = size ? below(run, size) : 0;
    char letter = (char)('0' + below(run, 10));
    snprintf(run->what, sizeof run->what, "[%d][%llu] = %c", file, (unsigned long long)at, letter);
    for (int i = 0; i < 2; i++) {
        char *bytes = run->held[i][file].address;
        results[i] = bytes && size ? bytes[size - 1 - at] : 0;
        if (bytes && size)
            bytes[at] = letter;
    }
}

/* -- Comparing ----------------------------------------------------------------------------------------------------- */

static void compare_holes(struct run *run, int file, uint64_t size)
{
    int64_t position = side_lseek(&run->sides[0], run->fds[0][file], 0, VRIFT_SEEK_CUR);
    for (uint64_t at = 0; at < size + PAGE; at += PAGE) {
        for (int whence = VRIFT_SEEK_DATA; whence <= VRIFT_SEEK_HOLE; whence++) {
            int64_t theirs = side_lseek(&run->sides[0], run->fds[0][file], (int64_t)at + 1, whence);
            int64_t ours = side_lseek(&run->sides[1], run->fds[1][file], (int64_t)at + 1, whence);
            if (theirs != ours)
                print_error("# after %s: whence %d of file %d at %llu is %lld, the kernel says %lld\n", run->what,
                            whence, file, (unsigned long long)at + 1, (long long)ours, (long long)theirs);
            assert_int_equal(ours, theirs);
        }
    }
    for (int i = 0; i < 2; i++)
        side_lseek(&run->sides[i], run->fds[i][file], position, VRIFT_SEEK_SET);
}

static void compare_file(struct run *run, int file)
{
    static char bytes[2][4 * MOST];
    struct vrift_stat attr[2];
    int64_t got[2];
    for (int i = 0; i < 2; i++) {
        check_ok(side_fstat(&run->sides[i], run->fds[i][file], &attr[i]));
        got[i] = side_pread(&run->sides[i], run->fds[i][file], bytes[i], sizeof bytes[i], 0);
    }
    if (attr[0].size != attr[1].size || got[0] != got[1] || memcmp(bytes[0], bytes[1], (size_t)got[0]) != 0 ||
        (run->pair->holes && attr[0].blocks != attr[1].blocks))
        print_error("# after %s: file %d: size %llu, the kernel's %llu; blocks %llu, %llu\n", run->what, file,
                    (unsigned long long)attr[1].size, (unsigned long long)attr[0].size,
                    (unsigned long long)attr[1].blocks, (unsigned long long)attr[0].blocks);
    assert_int_equal(attr[1].size, attr[0].size);
    assert_int_equal(got[1], got[0]);
    assert_memory_equal(bytes[1], bytes[0], (size_t)got[0]);
    assert_int_equal(side_lseek(&run->sides[1], run->fds[1][file], 0, VRIFT_SEEK_CUR),
                     side_lseek(&run->sides[0], run->fds[0][file], 0, VRIFT_SEEK_CUR));
    if (run->pair->holes) {
        assert_int_equal(attr[1].blocks, attr[0].blocks);
        compare_holes(run, file, attr[0].size);
    }
}

static void step(struct run *run)
{
    typedef void (*operation)(struct run *, int, int64_t[2]);
    static const operation all[] = {do_write, do_write,     do_write,     do_truncate, do_fallocate,
                                    do_seek,  do_fallocate, do_fallocate, do_copy,     do_copy,
                                    do_send,  do_map,       do_hold,      do_store,    do_store};
    int file = (int)below(run, FILES);
    int64_t results[2];
    all[below(run, sizeof all / sizeof *all)](run, file, results);
    if (results[0] != results[1])
        print_error("# %s: %s, the kernel says %s (%lld, %lld)\n", run->what, vrift_err_name((int32_t)results[1]),
                    vrift_err_name((int32_t)results[0]), (long long)results[1], (long long)results[0]);
    assert_int_equal(results[1], results[0]);
    for (int i = 0; i < FILES; i++)
        compare_file(run, i);
    struct vrift_stat attr;
    check_ok(side_fstat(&run->sides[0], run->fds[0][file], &attr));
    for (int i = 0; attr.size > MOST && i < 2; i++)
        check_ok(side_ftruncate(&run->sides[i], run->fds[i][file], PAGE * 3 + 5));
}

static void run_pair(void **state)
{
    const struct pair *pair = *state;
    struct disk disk;
    struct ours ours;
    char path[5000];
    disk_insert(&disk, pair->disk, strcmp(pair->disk, "xfs") == 0 ? 320 : 64);
    if (disk.missing)
        skip_because("%s: %s", pair->disk, disk.missing);
    snprintf(path, sizeof path, "%s/ours", disk.path);
    assert_int_equal(mkdir(path, 0755), 0);
    ours_begin(&ours, pair->kind, path);
    struct run run = {.pair = pair, .sides = {{.dir = open(disk.path, O_RDONLY | O_DIRECTORY)}, ours.side}};
    run.random = first_seed;
    static const char *const names[FILES] = {"a", "b"};
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < FILES; j++)
            run.fds[i][j] = check_ok(side_open(&run.sides[i], names[j], VRIFT_O_RDWR | VRIFT_O_CREAT));
    for (uint64_t i = 0; i < operations; i++)
        step(&run);
    for (int j = 0; j < FILES; j++) {
        int64_t results[2];
        if (run.held[0][j].address)
            do_hold(&run, j, results);
    }
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < FILES; j++)
            check_ok(side_close(&run.sides[i], run.fds[i][j]));
    close(run.sides[0].dir);
    ours_end(&ours);
    disk_eject(&disk);
}

static const struct pair pairs[] = {
    {"mem", "tmpfs", false, true}, {"host", "tmpfs", false, true}, {"overlay", "tmpfs", false, true},
    {"mem", "xfs", true, false},   {"host", "xfs", true, false},   {"overlay", "xfs", true, false},
    {"mem", "ext4", true, false},
};

int main(int argc, char **argv)
{
    enum { COUNT = sizeof pairs / sizeof *pairs };
    static char names[COUNT][100];
    struct CMUnitTest tests[COUNT];
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--ops") == 0)
            operations = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            first_seed = strtoull(argv[i + 1], NULL, 10);
    }
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "random changes do the same on %s as on the kernel's %s", pairs[i].kind,
                 pairs[i].disk);
        tests[i] = (struct CMUnitTest){names[i], run_pair, NULL, NULL, (void *)(uintptr_t)&pairs[i]};
    }
    return _cmocka_run_group_tests("ranges", tests, COUNT, NULL, NULL);
}
