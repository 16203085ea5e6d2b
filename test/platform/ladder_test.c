/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The copy ladder on each file system that can be had: what is copied, by which rung, and what is remembered. */
#include "support/check.h"
#include "support/disk.h"

#include "platform/fileops.h"
#include "platform/os.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

struct place {
    char *path;
    int dir;
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    place->path = temporary_directory();
    place->dir = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = place;
    return place->dir < 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    close(place->dir);
    remove_temporary_directory(place->path);
    free(place);
    return 0;
}

static int make_file(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        print_error("cannot make %s: %s\n", name, strerror(errno));
    assert_true(fd >= 0);
    return fd;
}

static uint8_t pattern(uint64_t at)
{
    return (uint8_t)(at * 2654435761u >> 13 | 1);
}

static void fill(int fd, uint64_t at, uint64_t length)
{
    static uint8_t buffer[65536];
    while (length) {
        size_t part = length < sizeof buffer ? (size_t)length : sizeof buffer;
        for (size_t i = 0; i < part; i++)
            buffer[i] = pattern(at + i);
        check_ok(vr_fileops_write_at(fd, buffer, part, at));
        at += part;
        length -= part;
    }
}

static void same_bytes(int a, uint64_t shift, int b, uint64_t length)
{
    static uint8_t left[65536], right[65536];
    for (uint64_t at = 0; at < length;) {
        size_t part = length - at < sizeof left ? (size_t)(length - at) : sizeof left;
        assert_int_equal(vr_fileops_read_at(a, left, part, at + shift), part);
        assert_int_equal(vr_fileops_read_at(b, right, part, at), part);
        assert_memory_equal(left, right, part);
        at += part;
    }
    struct stat st;
    assert_int_equal(fstat(b, &st), 0);
    assert_int_equal(st.st_size, length);
}

/* -- On the file system of $TMPDIR -------------------------------------------------------------------------------- */

static void errors_fall_into_their_classes(void **state)
{
    (void)state;
    static const struct {
        int32_t error;
        enum vr_fileops_class clone, link;
    } rows[] = {
        {0, VR_FILEOPS_OK, VR_FILEOPS_OK},
        {-VRIFT_EOPNOTSUPP, VR_FILEOPS_UNSUPPORTED_FS, VR_FILEOPS_UNSUPPORTED_FS},
        {-VRIFT_ENOTTY, VR_FILEOPS_UNSUPPORTED_FS, VR_FILEOPS_UNSUPPORTED_FS},
        {-VRIFT_ENOSYS, VR_FILEOPS_UNSUPPORTED_FS, VR_FILEOPS_UNSUPPORTED_FS},
        {-VRIFT_EXDEV, VR_FILEOPS_UNSUPPORTED_PAIR, VR_FILEOPS_UNSUPPORTED_PAIR},
        {-VRIFT_EINVAL, VR_FILEOPS_UNSUPPORTED_FILE, VR_FILEOPS_UNSUPPORTED_FILE},
        {-VRIFT_ETXTBSY, VR_FILEOPS_UNSUPPORTED_FILE, VR_FILEOPS_UNSUPPORTED_FILE},
        {-VRIFT_EAGAIN, VR_FILEOPS_UNSUPPORTED_FILE, VR_FILEOPS_UNSUPPORTED_FILE},
        {-VRIFT_EMLINK, VR_FILEOPS_UNSUPPORTED_FILE, VR_FILEOPS_UNSUPPORTED_FILE},
        {-VRIFT_EPERM, VR_FILEOPS_DENIED, VR_FILEOPS_UNSUPPORTED_FILE},
        {-VRIFT_EACCES, VR_FILEOPS_DENIED, VR_FILEOPS_DENIED},
        {-VRIFT_EIO, VR_FILEOPS_TERMINAL, VR_FILEOPS_TERMINAL},
        {-VRIFT_ENOSPC, VR_FILEOPS_TERMINAL, VR_FILEOPS_TERMINAL},
        {-VRIFT_EDQUOT, VR_FILEOPS_TERMINAL, VR_FILEOPS_TERMINAL},
        {-VRIFT_ENOMEM, VR_FILEOPS_TERMINAL, VR_FILEOPS_TERMINAL},
        {-VRIFT_EROFS, VR_FILEOPS_TERMINAL, VR_FILEOPS_TERMINAL},
        {-VRIFT_EBADF, VR_FILEOPS_TERMINAL, VR_FILEOPS_TERMINAL},
        {-VRIFT_EEXIST, VR_FILEOPS_UNSUPPORTED_FILE, VR_FILEOPS_TERMINAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(vr_fileops_classify_clone(rows[i].error), rows[i].clone);
        assert_int_equal(vr_fileops_classify_link(rows[i].error), rows[i].link);
    }
}

static void each_size_and_policy_gives_the_same_bytes(void **state)
{
    struct place *place = *state;
    static const uint64_t sizes[] = {0, 1, 4095, 4096, 32767, 32768, 262145, 3000001};
    static const uint32_t policies[] = {VRIFT_LINK_SMART, VRIFT_LINK_COPY};
    for (size_t p = 0; p < 2; p++) {
        struct vr_fileops_ladder ladder = {.link = policies[p]};
        struct vrift_rungs rungs;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            int src = make_file(place->dir, "src"), dst = make_file(place->dir, "dst");
            fill(src, 0, sizes[i]);
            check_ok(vr_fileops_copy(&ladder, src, 0, dst, sizes[i]));
            same_bytes(src, 0, dst, sizes[i]);
            close(src);
            close(dst);
            unlinkat(place->dir, "src", 0);
            unlinkat(place->dir, "dst", 0);
        }
        vr_fileops_rungs(&ladder, &rungs);
        assert_int_equal(rungs.clone + rungs.kernel_copy + rungs.copy, sizeof sizes / sizeof sizes[0]);
        if (policies[p] == VRIFT_LINK_COPY)
            assert_int_equal(rungs.copy, sizeof sizes / sizeof sizes[0]);
    }
}

static void a_part_of_a_file_is_copied_from_its_offset(void **state)
{
    struct place *place = *state;
    struct vr_fileops_ladder ladder = {.link = VRIFT_LINK_SMART}, clones = {.link = VRIFT_LINK_REFLINK};
    int src = make_file(place->dir, "src"), dst = make_file(place->dir, "dst"), small = make_file(place->dir, "small");
    fill(src, 0, 200000);
    check_ok(vr_fileops_copy(&ladder, src, 777, dst, 100000));
    same_bytes(src, 777, dst, 100000);
    check_ok(vr_fileops_copy(&ladder, src, 199990, small, 10));
    same_bytes(src, 199990, small, 10);
    check_error(-VRIFT_EOPNOTSUPP, vr_fileops_copy(&clones, src, 777, dst, 100000));
    close(small);
    close(dst);
    close(src);
}

static void a_source_that_is_too_short_or_no_file_is_refused(void **state)
{
    struct place *place = *state;
    struct vr_fileops_ladder ladder = {.link = VRIFT_LINK_SMART};
    int src = make_file(place->dir, "src"), dst = make_file(place->dir, "dst");
    fill(src, 0, 1000);
    check_error(-VRIFT_ESTALE, vr_fileops_copy(&ladder, src, 0, dst, 1001));
    check_error(-VRIFT_ESTALE, vr_fileops_copy(&ladder, src, 1, dst, 1000));
    check_error(-VRIFT_ESTALE, vr_fileops_copy(&ladder, src, UINT64_MAX, dst, 1000));
    int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    check_error(-VRIFT_EINVAL, vr_fileops_copy(&ladder, zero, 0, dst, 10));
    close(zero);
    close(src);
    close(dst);
}

static void holes_are_kept_where(int dir, uint32_t policy)
{
    struct vr_fileops_ladder ladder = {.link = policy};
    struct stat from, to;
    const uint64_t mebibyte = 1 << 20;
    int src = make_file(dir, "src"), dst = make_file(dir, "dst");
    fill(src, 2 * mebibyte, 100000);
    fill(src, 6 * mebibyte, 70000);
    assert_int_equal(ftruncate(src, 9 * mebibyte + 5), 0); /* and a hole at the end */
    check_ok(vr_fileops_copy(&ladder, src, 0, dst, 9 * mebibyte + 5));
    same_bytes(src, 0, dst, 9 * mebibyte + 5);
    assert_int_equal(fstat(src, &from), 0);
    assert_int_equal(fstat(dst, &to), 0);
    assert_true(to.st_blocks <= from.st_blocks + 64);
    assert_true(to.st_blocks < 2048);
    close(src);
    close(dst);
    unlinkat(dir, "src", 0);
    unlinkat(dir, "dst", 0);
}

static void holes_stay_holes(void **state)
{
    struct place *place = *state;
    holes_are_kept_where(place->dir, VRIFT_LINK_SMART);
    holes_are_kept_where(place->dir, VRIFT_LINK_COPY);
}

static void five_sparse_gibibytes_are_copied_in_no_time(void **state)
{
    struct place *place = *state;
    struct vr_fileops_ladder ladder = {.link = VRIFT_LINK_COPY};
    const uint64_t size = 5ull << 30;
    uint8_t buf[3];
    struct stat st;
    int src = make_file(place->dir, "src"), dst = make_file(place->dir, "dst");
    fill(src, size - 3, 3);
    uint64_t before = vr_os_monotonic_ns();
    check_ok(vr_fileops_copy(&ladder, src, 0, dst, size));
    assert_true(vr_os_monotonic_ns() - before < 2000000000u);
    assert_int_equal(fstat(dst, &st), 0);
    assert_int_equal(st.st_size, size);
    assert_true(st.st_blocks < 2048);
    assert_int_equal(vr_fileops_read_at(dst, buf, 3, size - 3), 3);
    assert_int_equal(buf[2], pattern(size - 1));
    close(src);
    close(dst);
}

static volatile sig_atomic_t interrupts;

static void count_interrupt(int signal_number)
{
    (void)signal_number;
    interrupts++;
}

static void interrupting_signals_do_no_harm(void **state)
{
    struct place *place = *state;
    static const uint32_t policies[] = {VRIFT_LINK_SMART, VRIFT_LINK_COPY};
    const uint64_t size = 24 << 20;
    struct sigaction action, before;
    struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    memset(&action, 0, sizeof action);
    action.sa_handler = count_interrupt; /* and no SA_RESTART */
    int src = make_file(place->dir, "src");
    fill(src, 0, size);
    sigaction(SIGALRM, &action, &before);
    for (size_t p = 0; p < 2; p++) {
        struct vr_fileops_ladder ladder = {.link = policies[p]};
        int dst = make_file(place->dir, "dst");
        setitimer(ITIMER_REAL, &often, NULL);
        int32_t result = vr_fileops_copy(&ladder, src, 0, dst, size);
        setitimer(ITIMER_REAL, &never, NULL);
        check_ok(result);
        same_bytes(src, 0, dst, size);
        close(dst);
        unlinkat(place->dir, "dst", 0);
    }
    sigaction(SIGALRM, &before, NULL);
    assert_true(interrupts > 0);
    close(src);
}

static void links_are_made_and_refusals_told(void **state)
{
    struct place *place = *state;
    struct vr_fileops_ladder ladder = {.link = VRIFT_LINK_HARDLINK};
    struct vrift_rungs rungs;
    close(make_file(place->dir, "a"));
    check_ok(vr_fileops_link(&ladder, 1, place->dir, "a", place->dir, "b"));
    check_error(-VRIFT_EEXIST, vr_fileops_link(&ladder, 1, place->dir, "a", place->dir, "b"));
    check_error(-VRIFT_ENOENT, vr_fileops_link(&ladder, 1, place->dir, "none", place->dir, "c"));
    vr_fileops_rungs(&ladder, &rungs);
    assert_int_equal(rungs.hardlink, 1);
    assert_int_equal(rungs.hardlink_error, 0);
}

/* -- On file systems of our own ----------------------------------------------------------------------------------- */

static void clone_on(const char *kind)
{
    struct disk disk;
    struct vrift_rungs rungs;
    disk_insert(&disk, kind, 400);
    if (disk.missing)
        skip_because("%s: %s", kind, disk.missing);
    int dir = open(disk.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct vr_fileops_ladder smart = {.link = VRIFT_LINK_SMART}, copy = {.link = VRIFT_LINK_COPY},
                             reflink = {.link = VRIFT_LINK_REFLINK};
    int src = make_file(dir, "src"), a = make_file(dir, "a"), b = make_file(dir, "b"), c = make_file(dir, "c"),
        d = make_file(dir, "d");
    fill(src, 0, 1000003);
    check_ok(vr_fileops_copy(&smart, src, 0, a, 1000003));
    check_ok(vr_fileops_copy(&copy, src, 0, b, 1000003));
    check_ok(vr_fileops_copy(&reflink, src, 0, c, 1000003));
    check_ok(vr_fileops_copy(&smart, src, 0, d, 1000));
    same_bytes(src, 0, a, 1000003);
    same_bytes(src, 0, b, 1000003);
    same_bytes(src, 0, c, 1000003);
    same_bytes(src, 0, d, 1000);
    vr_fileops_rungs(&smart, &rungs);
    assert_int_equal(rungs.clone, 1);
    assert_int_equal(rungs.copy, 1);
    assert_int_equal(rungs.clone_error, 0);
    vr_fileops_rungs(&copy, &rungs);
    assert_int_equal(rungs.copy, 1);
    vr_fileops_rungs(&reflink, &rungs);
    assert_int_equal(rungs.clone, 1);
    close(src);
    close(a);
    close(b);
    close(c);
    close(d);
    unlinkat(dir, "src", 0);
    holes_are_kept_where(dir, VRIFT_LINK_SMART);
    holes_are_kept_where(dir, VRIFT_LINK_COPY);
    holes_are_kept_where(dir, VRIFT_LINK_REFLINK);
    close(dir);
    disk_eject(&disk);
}

static void xfs_clones(void **state)
{
    (void)state;
    clone_on("xfs");
}

static void btrfs_clones(void **state)
{
    (void)state;
    clone_on("btrfs");
}

static void no_clone_on(const char *kind)
{
    struct disk disk;
    struct vrift_rungs rungs;
    disk_insert(&disk, kind, 64);
    if (disk.missing)
        skip_because("%s: %s", kind, disk.missing);
    int dir = open(disk.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct vr_fileops_ladder smart = {.link = VRIFT_LINK_SMART}, reflink = {.link = VRIFT_LINK_REFLINK};
    int src = make_file(dir, "src"), a = make_file(dir, "a"), b = make_file(dir, "b");
    fill(src, 0, 100000);
    check_ok(vr_fileops_copy(&smart, src, 0, a, 100000));
    same_bytes(src, 0, a, 100000);
    vr_fileops_rungs(&smart, &rungs);
    assert_int_equal(rungs.clone, 0);
    assert_int_equal(rungs.clone_error, -VRIFT_EOPNOTSUPP);
    assert_int_equal(smart.clone.never, -VRIFT_EOPNOTSUPP);
    check_error(-VRIFT_EOPNOTSUPP, vr_fileops_copy(&reflink, src, 0, b, 100000));
    check_error(-VRIFT_EOPNOTSUPP, vr_fileops_copy(&reflink, src, 0, b, 100000)); /* remembered */
    unlinkat(dir, "src", 0);
    holes_are_kept_where(dir, VRIFT_LINK_SMART);
    close(src);
    close(a);
    close(b);
    close(dir);
    disk_eject(&disk);
}

static void tmpfs_does_not_clone_and_says_so(void **state)
{
    (void)state;
    no_clone_on("tmpfs");
}

static void ext4_does_not_clone_and_says_so(void **state)
{
    (void)state;
    no_clone_on("ext4");
}

static void another_file_system_is_remembered_as_a_pair_only(void **state)
{
    struct place *place = *state;
    struct disk disk;
    disk_insert(&disk, "xfs", 400);
    if (disk.missing)
        skip_because("xfs: %s", disk.missing);
    struct vr_fileops_ladder ladder = {.link = VRIFT_LINK_HARDLINK};
    int dir = open(disk.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int outside = make_file(place->dir, "outside"), inside = make_file(dir, "inside");
    int a = make_file(dir, "a"), b = make_file(dir, "b");
    fill(outside, 0, 100000);
    fill(inside, 0, 100000);
    check_error(-VRIFT_EXDEV, vr_fileops_link(&ladder, 1, place->dir, "outside", dir, "x"));
    check_error(-VRIFT_EXDEV, vr_fileops_link(&ladder, 1, dir, "inside", dir, "x")); /* not even tried */
    check_ok(vr_fileops_link(&ladder, 2, dir, "inside", dir, "x"));
    check_ok(vr_fileops_copy(&ladder, outside, 0, a, 100000));
    assert_int_equal(ladder.clone.never, -VRIFT_EXDEV);
    check_ok(vr_fileops_copy(&ladder, inside, 0, b, 100000)); /* of another source, so it is tried */
    assert_int_equal(ladder.clone.files, 1);
    same_bytes(outside, 0, a, 100000);
    close(outside);
    close(inside);
    close(a);
    close(b);
    close(dir);
    disk_eject(&disk);
}

static void what_stops_one_file_is_not_remembered(void **state)
{
    (void)state;
    struct disk disk;
    disk_insert(&disk, "btrfs", 400);
    if (disk.missing)
        skip_because("btrfs: %s", disk.missing);
    char command[8300];
    struct vr_fileops_ladder ladder = {.link = VRIFT_LINK_SMART};
    int dir = open(disk.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(command, sizeof command, "touch '%s/nocow' && chattr +C '%s/nocow'", disk.path, disk.path);
    assert_int_equal(system(command), 0);
    int nocow = openat(dir, "nocow", O_RDWR | O_CLOEXEC), plain = make_file(dir, "plain");
    int a = make_file(dir, "a"), b = make_file(dir, "b");
    fill(nocow, 0, 100000);
    fill(plain, 0, 100000);
    check_ok(vr_fileops_copy(&ladder, nocow, 0, a, 100000)); /* EINVAL from the clone */
    same_bytes(nocow, 0, a, 100000);
    assert_int_equal(ladder.clone.last_error, -VRIFT_EINVAL);
    assert_int_equal(ladder.clone.never, 0);
    check_ok(vr_fileops_copy(&ladder, plain, 0, b, 100000));
    assert_int_equal(ladder.clone.files, 1);
    close(nocow);
    close(plain);
    close(a);
    close(b);
    close(dir);
    disk_eject(&disk);
}

static void a_full_disk_is_told_and_not_tried_again_another_way(void **state)
{
    struct place *place = *state;
    static const uint32_t policies[] = {VRIFT_LINK_SMART, VRIFT_LINK_COPY};
    struct disk disk;
    disk_insert(&disk, "tmpfs", 1);
    if (disk.missing)
        skip_because("tmpfs: %s", disk.missing);
    int dir = open(disk.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int src = make_file(place->dir, "src");
    fill(src, 0, 3 << 20);
    for (size_t p = 0; p < 2; p++) {
        struct vr_fileops_ladder ladder = {.link = policies[p]};
        int dst = make_file(dir, "dst");
        check_error(-VRIFT_ENOSPC, vr_fileops_copy(&ladder, src, 0, dst, 3 << 20));
        close(dst);
        unlinkat(dir, "dst", 0);
    }
    close(src);
    close(dir);
    disk_eject(&disk);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(errors_fall_into_their_classes),
        TEST(each_size_and_policy_gives_the_same_bytes),
        TEST(a_part_of_a_file_is_copied_from_its_offset),
        TEST(a_source_that_is_too_short_or_no_file_is_refused),
        TEST(holes_stay_holes),
        TEST(five_sparse_gibibytes_are_copied_in_no_time),
        TEST(interrupting_signals_do_no_harm),
        TEST(links_are_made_and_refusals_told),
        TEST(xfs_clones),
        TEST(btrfs_clones),
        TEST(tmpfs_does_not_clone_and_says_so),
        TEST(ext4_does_not_clone_and_says_so),
        TEST(another_file_system_is_remembered_as_a_pair_only),
        TEST(what_stops_one_file_is_not_remembered),
        TEST(a_full_disk_is_told_and_not_tried_again_another_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
