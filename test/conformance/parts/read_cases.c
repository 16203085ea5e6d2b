/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "conformance/conformance.h"

#include <pthread.h>

static void a_file_reads_back_its_bytes(struct world *world)
{
    struct vrift_stat attr = stat_of(world->task, "/hello");
    check_text(world->task, "/hello", "hello world\n");
    assert_int_equal(attr.size, 12);
    assert_int_equal(attr.mode & VRIFT_S_IFMT, VRIFT_S_IFREG);
    assert_true((attr.mask & VRIFT_STAT_BASIC) == VRIFT_STAT_BASIC);
}

static void reading_stops_at_the_end(struct world *world)
{
    char buf[64];
    int32_t fd = open_file(world->task, "/hello", VRIFT_O_RDONLY);
    assert_int_equal(vrift_read(world->task, fd, buf, 6), 6);
    assert_int_equal(vrift_read(world->task, fd, buf, sizeof buf), 6);
    assert_memory_equal(buf, "world\n", 6);
    assert_int_equal(vrift_read(world->task, fd, buf, sizeof buf), 0);
    assert_int_equal(vrift_pread(world->task, fd, buf, sizeof buf, 1 << 30), 0);
    assert_int_equal(vrift_pread(world->task, fd, buf, 5, 6), 5);
    assert_memory_equal(buf, "world", 5);
    check_ok(vrift_close(world->task, fd));
}

static void an_empty_file_reads_as_nothing(struct world *world)
{
    check_text(world->task, "/empty", "");
    assert_int_equal(stat_of(world->task, "/empty").size, 0);
}

static void two_opens_have_positions_of_their_own(struct world *world)
{
    char byte;
    int32_t a = open_file(world->task, "/hello", VRIFT_O_RDONLY);
    int32_t b = open_file(world->task, "/hello", VRIFT_O_RDONLY);
    assert_int_equal(vrift_lseek(world->task, a, 4, VRIFT_SEEK_SET), 4);
    assert_int_equal(vrift_read(world->task, b, &byte, 1), 1);
    assert_int_equal(byte, 'h');
    assert_int_equal(vrift_read(world->task, a, &byte, 1), 1);
    assert_int_equal(byte, 'o');
    assert_int_equal(vrift_lseek(world->task, a, 0, VRIFT_SEEK_END), 12);
    check_ok(vrift_close(world->task, a));
    check_ok(vrift_close(world->task, b));
}

static void a_sparse_file_has_its_size_its_data_and_zeroes_between(struct world *world)
{
    char buf[4096];
    char zeroes[4096] = {0};
    int32_t fd = open_file(world->task, "/sparse", VRIFT_O_RDONLY);
    assert_int_equal(stat_of(world->task, "/sparse").size, SPARSE_SIZE);
    assert_int_equal(vrift_pread(world->task, fd, buf, 5, SPARSE_FIRST), 5);
    assert_memory_equal(buf, "first", 5);
    assert_int_equal(vrift_pread(world->task, fd, buf, sizeof buf, SPARSE_SIZE - 4), 4);
    assert_memory_equal(buf, "last", 4);
    assert_int_equal(vrift_pread(world->task, fd, buf, sizeof buf, 3 << 20), sizeof buf);
    assert_memory_equal(buf, zeroes, sizeof buf);
    assert_int_equal(vrift_pread(world->task, fd, buf, sizeof buf, SPARSE_FIRST - 4096), sizeof buf);
    assert_memory_equal(buf, zeroes, sizeof buf);
    check_ok(vrift_close(world->task, fd));
}

static void holes_are_found_where_there_are_any(struct world *world)
{
    int32_t fd = open_file(world->task, "/sparse", VRIFT_O_RDONLY);
    int64_t data = vrift_lseek(world->task, fd, 0, VRIFT_SEEK_DATA);
    int64_t hole = vrift_lseek(world->task, fd, (int64_t)SPARSE_FIRST, VRIFT_SEEK_HOLE);
    if (has(world, VRIFT_CAPABILITY_SPARSE_FILES)) {
        assert_in_range(data, 1, SPARSE_FIRST);
        assert_in_range(hole, SPARSE_FIRST + 1, SPARSE_SIZE - 1);
    } else { /* all of the file is data, as documented */
        assert_int_equal(data, 0);
        assert_int_equal(hole, SPARSE_SIZE);
    }
    check_error(-VRIFT_ENXIO, vrift_lseek(world->task, fd, (int64_t)SPARSE_SIZE, VRIFT_SEEK_DATA));
    check_error(-VRIFT_ENXIO, vrift_lseek(world->task, fd, (int64_t)SPARSE_SIZE, VRIFT_SEEK_HOLE));
    check_ok(vrift_close(world->task, fd));
}

static void a_symlink_has_its_text_and_is_followed(struct world *world)
{
    char buf[16];
    struct vrift_stat link = stat_of(world->task, "/link");
    struct vrift_stat target;
    assert_int_equal(link.mode & VRIFT_S_IFMT, VRIFT_S_IFLNK);
    assert_int_equal(link.size, 5);
    assert_int_equal(vrift_readlinkat(world->task, AT, "/link", buf, sizeof buf), 5);
    assert_memory_equal(buf, "hello", 5);
    assert_int_equal(vrift_readlinkat(world->task, AT, "/link", buf, 3), 3);
    check_ok(vrift_statat(world->task, AT, "/link", 0, &target));
    assert_int_equal(target.ino, stat_of(world->task, "/hello").ino);
    check_text(world->task, "/link", "hello world\n");
    check_text(world->task, "/dirlink/sub/file", "deep");
    check_error(-VRIFT_EINVAL, vrift_readlinkat(world->task, AT, "/hello", buf, sizeof buf));
}

static void symlinks_that_lead_nowhere_say_so(struct world *world)
{
    struct vrift_stat attr;
    check_error(-VRIFT_ENOENT, vrift_statat(world->task, AT, "/dangling", 0, &attr));
    check_error(-VRIFT_ELOOP, vrift_statat(world->task, AT, "/loop", 0, &attr));
    check_error(-VRIFT_ELOOP, vrift_openat(world->task, AT, "/link", VRIFT_O_NOFOLLOW, 0));
}

static void two_hard_links_are_one_inode(struct world *world)
{
    struct vrift_stat one = stat_of(world->task, "/hard1");
    struct vrift_stat other;
    if (!holds(world, VRIFT_CAPABILITY_HARD_LINKS)) {
        check_error(-VRIFT_ENOENT, vrift_statat(world->task, AT, "/hard2", 0, &other));
        return;
    }
    other = stat_of(world->task, "/hard2");
    assert_int_equal(one.ino, other.ino);
    assert_int_equal(one.nlink, 2);
    assert_int_equal(other.nlink, 2);
    check_text(world->task, "/hard2", "two names");
}

static void directories_count_their_links(struct world *world)
{
    struct vrift_stat dir = stat_of(world->task, "/dir");
    assert_int_equal(dir.mode, VRIFT_S_IFDIR | 0755);
    assert_true(dir.nlink == 3 || dir.nlink == 1); /* 1: the file system does not count, as btrfs and overlays */
    assert_int_equal(stat_of(world->task, "/dir/sub").mode, VRIFT_S_IFDIR | 0750);
}

struct scan {
    unsigned seen[BIG_COUNT];
    unsigned others, dots;
    uint64_t stop_after; /* entries; 0: never */
    uint64_t cookie;
    char last[64];
};

static int note_big(const struct vrift_dirent *entry, const char *name, void *payload)
{
    struct scan *scan = payload;
    int index;
    if (!strcmp(name, ".") || !strcmp(name, "..")) {
        scan->dots++;
    } else if (sscanf(name, "e%d", &index) == 1 && index >= 0 && index < BIG_COUNT) {
        scan->seen[index]++;
        assert_int_equal(entry->type, VRIFT_DT_REG);
    } else {
        scan->others++;
    }
    scan->cookie = entry->cookie;
    snprintf(scan->last, sizeof scan->last, "%s", name);
    return scan->stop_after && --scan->stop_after == 0;
}

static void check_all_seen_once(const struct scan *scan)
{
    for (int i = 0; i < BIG_COUNT; i++)
        assert_int_equal(scan->seen[i], 1);
    assert_int_equal(scan->others, 0);
    assert_int_equal(scan->dots, 2);
}

static void a_listing_names_every_entry_once_whatever_the_buffer(struct world *world)
{
    static const size_t sizes[] = {64, 1000, 65536};
    for (int i = 0; i < 3; i++) {
        struct scan *scan = calloc(1, sizeof *scan);
        int32_t fd = open_file(world->task, "/big", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
        list(world->task, fd, sizes[i], note_big, scan);
        check_all_seen_once(scan);
        char small[8];
        check_ok(vrift_lseek(world->task, fd, 0, VRIFT_SEEK_SET));
        check_error(-VRIFT_EINVAL, vrift_getdents(world->task, fd, small, sizeof small, 0));
        check_ok(vrift_close(world->task, fd));
        free(scan);
    }
}

static void a_listing_goes_on_from_any_cookie(struct world *world)
{
    for (unsigned stop = 1; stop < BIG_COUNT; stop += 397) {
        struct scan *scan = calloc(1, sizeof *scan);
        int32_t fd = open_file(world->task, "/big", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
        scan->stop_after = stop;
        list(world->task, fd, 4096, note_big, scan);
        check_ok(vrift_lseek(world->task, fd, (int64_t)scan->cookie, VRIFT_SEEK_SET));
        list(world->task, fd, 4096, note_big, scan);
        check_all_seen_once(scan);
        /* And from the same place in another descriptor. */
        check_ok(vrift_close(world->task, fd));
        free(scan);
    }
}

static void a_listing_can_be_read_again_from_the_start(struct world *world)
{
    struct scan *scan = calloc(1, sizeof *scan);
    int32_t fd = open_file(world->task, "/big", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    scan->stop_after = 100;
    list(world->task, fd, 4096, note_big, scan);
    memset(scan, 0, sizeof *scan);
    check_ok(vrift_lseek(world->task, fd, 0, VRIFT_SEEK_SET));
    list(world->task, fd, 4096, note_big, scan);
    check_all_seen_once(scan);
    check_ok(vrift_close(world->task, fd));
    free(scan);
}

static int compare_with_stat(const struct vrift_dirent *entry, const char *name, void *payload)
{
    struct world *world = payload;
    char path[300];
    if (!strcmp(name, ".") || !strcmp(name, ".."))
        return 0;
    snprintf(path, sizeof path, "/%s", name);
    struct vrift_stat attr = stat_of(world->task, path);
    assert_int_equal(entry->ino, attr.ino);
    assert_int_equal(entry->type, (attr.mode & VRIFT_S_IFMT) >> 12);
    return 0;
}

static void a_listing_agrees_with_stat(struct world *world)
{
    int32_t fd = open_file(world->task, "/", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    list(world->task, fd, 4096, compare_with_stat, world);
    check_ok(vrift_close(world->task, fd));
    assert_int_equal(count_entries(world->task, "/nothing"), 0);
}

/* Each entry of "/" with its attributes, in buffers that hold few of them. */
static void a_listing_with_attributes_says_what_stat_says(struct world *world)
{
    _Alignas(8) char buf[1500];
    int64_t got;
    unsigned seen = 0;
    int32_t fd = open_file(world->task, "/", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    while ((got = check_ok(vrift_getdents(world->task, fd, buf, sizeof buf, VRIFT_GETDENTS_STAT))) > 0) {
        for (int64_t at = 0; at < got;) {
            const struct vrift_dirent *entry = (const void *)(buf + at);
            const struct vrift_stat *listed = vrift_dirent_stat(entry);
            assert_non_null(listed);
            struct vrift_stat attr;
            check_ok(vrift_statat(world->task, fd, vrift_dirent_name(entry), VRIFT_AT_SYMLINK_NOFOLLOW, &attr));
            assert_memory_equal(listed, &attr, sizeof attr);
            at += entry->record_length;
            seen++;
        }
    }
    assert_int_equal(seen, count_entries(world->task, "/") + 2);
    check_ok(vrift_close(world->task, fd));
}

static int note_odd(const struct vrift_dirent *entry, const char *name, void *payload)
{
    unsigned *seen = payload;
    (void)entry;
    for (int i = 0; odd_names[i]; i++)
        if (!strcmp(name, odd_names[i]))
            seen[i]++;
    return 0;
}

static void names_of_any_bytes_are_found_and_listed(struct world *world)
{
    unsigned seen[32] = {0};
    int32_t dir = open_file(world->task, "/odd", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    list(world->task, dir, 4096, note_odd, seen);
    for (int i = 0; odd_names[i]; i++) {
        char buf[300];
        assert_int_equal(seen[i], 1);
        int32_t fd = (int32_t)check_ok(vrift_openat(world->task, dir, odd_names[i], VRIFT_O_RDONLY, 0));
        assert_int_equal(vrift_read(world->task, fd, buf, sizeof buf), strlen(odd_names[i]));
        assert_memory_equal(buf, odd_names[i], strlen(odd_names[i]));
        check_ok(vrift_close(world->task, fd));
    }
    check_ok(vrift_close(world->task, dir));
}

static void times_before_1970_keep_their_nanoseconds(struct world *world)
{
    struct vrift_stat attr = stat_of(world->task, "/old");
    if (!holds(world, VRIFT_CAPABILITY_SET_TIMES))
        return;
    assert_int_equal(attr.mtime.sec, old_time.sec);
    assert_int_equal(attr.mtime.nsec, old_time.nsec);
}

static void modes_are_kept_to_the_last_bit(struct world *world)
{
    assert_int_equal(stat_of(world->task, "/hello").mode, VRIFT_S_IFREG | 0644);
    assert_int_equal(stat_of(world->task, "/exec").mode, VRIFT_S_IFREG | 0755);
    assert_int_equal(stat_of(world->task, "/private").mode, VRIFT_S_IFREG | 0600);
    assert_int_equal(stat_of(world->task, "/suid").mode, VRIFT_S_IFREG | 04755);
    assert_int_equal(stat_of(world->task, "/nothing").mode, VRIFT_S_IFDIR | 0700);
}

static void xattrs_are_read_and_listed(struct world *world)
{
    char buf[256];
    vrift_task *task = world->task;
    int64_t got = vrift_getxattrat(task, AT, "/hello", "user.color", buf, sizeof buf, 0);
    if (!holds(world, VRIFT_CAPABILITY_USER_XATTRS)) {
        check_error(world->caps[VRIFT_CAPABILITY_USER_XATTRS].error, got);
        return;
    }
    assert_int_equal(got, 4);
    assert_memory_equal(buf, "blue", 4);
    assert_int_equal(vrift_getxattrat(task, AT, "/hello", "user.color", NULL, 0, 0), 4);
    assert_int_equal(vrift_getxattrat(task, AT, "/hello", "user.empty", buf, sizeof buf, 0), 0);
    check_error(-VRIFT_ERANGE, vrift_getxattrat(task, AT, "/hello", "user.color", buf, 3, 0));
    check_error(-VRIFT_ENODATA, vrift_getxattrat(task, AT, "/hello", "user.none", buf, sizeof buf, 0));
    check_error(-VRIFT_ENODATA, vrift_getxattrat(task, AT, "/empty", "user.color", buf, sizeof buf, 0));
    check_error(-VRIFT_EOPNOTSUPP, vrift_getxattrat(task, AT, "/hello", "nonsense.name", buf, sizeof buf, 0));
    int64_t length = check_ok(vrift_listxattrat(task, AT, "/hello", NULL, 0, 0));
    got = check_ok(vrift_listxattrat(task, AT, "/hello", buf, sizeof buf, 0));
    assert_int_equal(got, length);
    int color = 0, empty = 0;
    for (int64_t at = 0; at < got; at += (int64_t)strlen(buf + at) + 1) {
        color += !strcmp(buf + at, "user.color");
        empty += !strcmp(buf + at, "user.empty");
    }
    assert_int_equal(color, 1);
    assert_int_equal(empty, 1);
    check_error(-VRIFT_ERANGE, vrift_listxattrat(task, AT, "/hello", buf, 1, 0));
    assert_int_equal(vrift_getxattrat(task, AT, "/dirlink", "user.kind", buf, sizeof buf, 0), 9);
}

static void special_files_keep_their_kind(struct world *world)
{
    struct vrift_stat attr;
    if (!holds(world, VRIFT_CAPABILITY_SPECIAL_FILES)) {
        check_error(-VRIFT_ENOENT, vrift_statat(world->task, AT, "/fifo", 0, &attr));
        return;
    }
    /* 0622 & ~umask 022 where the fixture was made with one */
    assert_int_equal(stat_of(world->task, "/fifo").mode & VRIFT_S_IFMT, VRIFT_S_IFIFO);
    assert_int_equal(stat_of(world->task, "/socket").mode & VRIFT_S_IFMT, VRIFT_S_IFSOCK);
    check_error(-VRIFT_ENXIO, vrift_openat(world->task, AT, "/socket", VRIFT_O_RDONLY, 0));
}

static void a_bad_path_gets_the_right_error(struct world *world)
{
    struct vrift_stat attr;
    char name[260];
    memset(name, 'x', sizeof name);
    name[0] = '/';
    name[257] = '\0';
    check_error(-VRIFT_ENOENT, vrift_statat(world->task, AT, "/missing", 0, &attr));
    check_error(-VRIFT_ENOENT, vrift_statat(world->task, AT, "/missing", 0, &attr)); /* now from the cache */
    check_error(-VRIFT_ENOENT, vrift_statat(world->task, AT, "/dir/missing/x", 0, &attr));
    check_error(-VRIFT_ENOTDIR, vrift_statat(world->task, AT, "/hello/x", 0, &attr));
    check_error(-VRIFT_ENOTDIR, vrift_statat(world->task, AT, "/hello/", 0, &attr));
    check_error(-VRIFT_ENAMETOOLONG, vrift_statat(world->task, AT, name, 0, &attr));
    name[256] = '\0';
    check_error(-VRIFT_ENOENT, vrift_statat(world->task, AT, name, 0, &attr));
    check_error(-VRIFT_ENOENT, vrift_statat(world->task, AT, "", 0, &attr));
    check_error(-VRIFT_EISDIR, vrift_openat(world->task, AT, "/dir", VRIFT_O_WRONLY, 0));
    check_error(-VRIFT_ENOTDIR, vrift_openat(world->task, AT, "/hello", VRIFT_O_DIRECTORY, 0));
}

static void a_directory_is_not_read_as_a_file(struct world *world)
{
    char buf[16];
    int32_t fd = open_file(world->task, "/dir", VRIFT_O_RDONLY);
    check_error(-VRIFT_EISDIR, vrift_read(world->task, fd, buf, sizeof buf));
    check_ok(vrift_close(world->task, fd));
    fd = open_file(world->task, "/hello", VRIFT_O_RDONLY);
    check_error(-VRIFT_ENOTDIR, vrift_getdents(world->task, fd, buf, sizeof buf, 0));
    check_error(-VRIFT_EBADF, vrift_write(world->task, fd, "x", 1));
    check_ok(vrift_close(world->task, fd));
}

static void fstat_and_stat_agree(struct world *world)
{
    struct vrift_stat by_path = stat_of(world->task, "/hello");
    struct vrift_stat by_fd;
    int32_t fd = open_file(world->task, "/hello", VRIFT_O_RDONLY);
    check_ok(vrift_fstat(world->task, fd, &by_fd));
    by_fd.atime = by_path.atime;
    assert_memory_equal(&by_fd, &by_path, sizeof by_fd);
    check_ok(vrift_close(world->task, fd));
}

static void inode_numbers_differ_and_stay(struct world *world)
{
    uint64_t hello = stat_of(world->task, "/hello").ino;
    assert_true(hello != stat_of(world->task, "/exec").ino);
    assert_true(hello != stat_of(world->task, "/dir").ino);
    check_ok(vrift_vfs_drop_caches(world->vfs));
    if (has(world, VRIFT_CAPABILITY_STABLE_INODES))
        assert_int_equal(stat_of(world->task, "/hello").ino, hello);
}

static void a_deep_tree_can_be_walked(struct world *world)
{
    char path[DEEP * 2 + 16];
    struct vrift_stat attr;
    for (int i = 0; i < DEEP; i++)
        memcpy(path + i * 2, "/n", 2);
    strcpy(path + (size_t)DEEP * 2, "/bottom");
    for (int round = 0; round < 2; round++) {
        check_ok(vrift_statat(world->task, AT, path, 0, &attr));
        assert_int_equal(attr.mode & VRIFT_S_IFMT, VRIFT_S_IFREG);
        check_ok(vrift_vfs_drop_caches(world->vfs));
    }
    int32_t fd = open_file(world->task, path, VRIFT_O_RDONLY);
    check_ok(vrift_close(world->task, fd));
}

static void dot_dot_leads_back_and_stays_at_the_root(struct world *world)
{
    struct vrift_stat root = stat_of(world->task, "/");
    assert_int_equal(stat_of(world->task, "/dir/sub/../..").ino, root.ino);
    assert_int_equal(stat_of(world->task, "/../../..").ino, root.ino);
    assert_int_equal(stat_of(world->task, "/dirlink/../hello").ino, stat_of(world->task, "/hello").ino);
}

static void the_file_system_describes_itself(struct world *world)
{
    struct vrift_statfs fs;
    check_ok(vrift_statfs(world->task, AT, "/hello", &fs));
    assert_int_equal(fs.namelen, 255);
    assert_true(fs.bfree <= fs.blocks && fs.bavail <= fs.blocks && fs.ffree <= fs.files);
}

static void every_capability_has_an_answer(struct world *world)
{
    struct vrift_capability answer;
    struct vrift_consistency consistency;
    for (uint32_t i = 1; i < VRIFT_CAPABILITY_COUNT; i++) {
        check_ok(vrift_sb_capability(world->sb, i, &answer));
        assert_in_range(answer.effective, VRIFT_SUPPORT_NONE, VRIFT_SUPPORT_NATIVE);
        assert_in_range(answer.source, VRIFT_SOURCE_DECLARED, VRIFT_SOURCE_RACE_PROBED);
        assert_true(answer.effective != VRIFT_SUPPORT_NONE || answer.error < 0);
        assert_non_null(vrift_capability_name(i));
    }
    check_error(-VRIFT_EINVAL, vrift_sb_capability(world->sb, VRIFT_CAPABILITY_COUNT, &answer));
    for (uint32_t i = 0; i < VRIFT_ASPECT_COUNT; i++) {
        check_ok(vrift_sb_consistency(world->sb, i, &consistency));
        assert_non_null(vrift_consistency_name(consistency.model));
    }
    check_error(-VRIFT_EINVAL, vrift_sb_consistency(world->sb, VRIFT_ASPECT_COUNT, &consistency));
}

/* The core's, so each backend has them; a reader may lock whole files for itself, but not ranges. */
static void files_are_locked(struct world *world)
{
    struct vrift_capability answer;
    struct vrift_lock read = {.size = sizeof read, .type = VRIFT_F_RDLCK}, write = {.size = sizeof write};
    write.type = VRIFT_F_WRLCK;
    check_ok(vrift_sb_capability(world->sb, VRIFT_CAPABILITY_LOCKS, &answer));
    assert_int_equal(answer.effective, VRIFT_SUPPORT_EMULATED);
    int32_t one = open_file(world->task, "/hello", VRIFT_O_RDONLY);
    int32_t other = open_file(world->task, "/hello", VRIFT_O_RDONLY);
    check_ok(vrift_flock(world->task, one, VRIFT_LOCK_EX, NULL));
    check_error(-VRIFT_EAGAIN, vrift_flock(world->task, other, VRIFT_LOCK_SH | VRIFT_LOCK_NB, NULL));
    check_ok(vrift_setlk(world->task, one, 0, &read, NULL));
    check_error(-VRIFT_EBADF, vrift_setlk(world->task, one, 0, &write, NULL));
    check_ok(vrift_getlk(world->task, other, VRIFT_SETLK_OFD, &write));
    assert_int_equal(write.type, VRIFT_F_RDLCK);
    check_ok(vrift_close(world->task, one));
    check_ok(vrift_flock(world->task, other, VRIFT_LOCK_EX | VRIFT_LOCK_NB, NULL));
    check_ok(vrift_close(world->task, other));
}

static void *read_around(void *payload)
{
    vrift_task *task = payload;
    for (int i = 0; i < 200; i++) {
        char path[64];
        char buf[16];
        struct vrift_stat attr;
        snprintf(path, sizeof path, "/big/e%d", i * 37 % BIG_COUNT);
        if (vrift_statat(task, AT, path, 0, &attr) || attr.size)
            return payload;
        if (vrift_statat(task, AT, "/big/missing", 0, &attr) != -VRIFT_ENOENT)
            return payload;
        int32_t fd = vrift_openat(task, AT, "/dirlink/sub/file", VRIFT_O_RDONLY, 0);
        if (fd < 0 || vrift_read(task, fd, buf, sizeof buf) != 4 || memcmp(buf, "deep", 4) != 0)
            return payload;
        vrift_close(task, fd);
    }
    return NULL;
}

static void four_threads_read_at_once(struct world *world)
{
    pthread_t threads[4];
    vrift_task *tasks[4];
    check_ok(vrift_vfs_drop_caches(world->vfs));
    for (int i = 0; i < 4; i++) {
        check_ok(vrift_task_fork(world->task, &tasks[i]));
        assert_int_equal(pthread_create(&threads[i], NULL, read_around, tasks[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        void *wrong = tasks[i];
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        vrift_task_free(tasks[i]);
        assert_null(wrong);
    }
}

const struct test_case read_cases[] = {
    {"a_file_reads_back_its_bytes", a_file_reads_back_its_bytes},
    {"reading_stops_at_the_end", reading_stops_at_the_end},
    {"an_empty_file_reads_as_nothing", an_empty_file_reads_as_nothing},
    {"two_opens_have_positions_of_their_own", two_opens_have_positions_of_their_own},
    {"a_sparse_file_has_its_size_its_data_and_zeroes_between", a_sparse_file_has_its_size_its_data_and_zeroes_between},
    {"holes_are_found_where_there_are_any", holes_are_found_where_there_are_any},
    {"a_symlink_has_its_text_and_is_followed", a_symlink_has_its_text_and_is_followed},
    {"symlinks_that_lead_nowhere_say_so", symlinks_that_lead_nowhere_say_so},
    {"two_hard_links_are_one_inode", two_hard_links_are_one_inode},
    {"directories_count_their_links", directories_count_their_links},
    {"a_listing_names_every_entry_once_whatever_the_buffer", a_listing_names_every_entry_once_whatever_the_buffer},
    {"a_listing_goes_on_from_any_cookie", a_listing_goes_on_from_any_cookie},
    {"a_listing_can_be_read_again_from_the_start", a_listing_can_be_read_again_from_the_start},
    {"a_listing_agrees_with_stat", a_listing_agrees_with_stat},
    {"a_listing_with_attributes_says_what_stat_says", a_listing_with_attributes_says_what_stat_says},
    {"names_of_any_bytes_are_found_and_listed", names_of_any_bytes_are_found_and_listed},
    {"times_before_1970_keep_their_nanoseconds", times_before_1970_keep_their_nanoseconds},
    {"modes_are_kept_to_the_last_bit", modes_are_kept_to_the_last_bit},
    {"xattrs_are_read_and_listed", xattrs_are_read_and_listed},
    {"special_files_keep_their_kind", special_files_keep_their_kind},
    {"a_bad_path_gets_the_right_error", a_bad_path_gets_the_right_error},
    {"a_directory_is_not_read_as_a_file", a_directory_is_not_read_as_a_file},
    {"fstat_and_stat_agree", fstat_and_stat_agree},
    {"inode_numbers_differ_and_stay", inode_numbers_differ_and_stay},
    {"a_deep_tree_can_be_walked", a_deep_tree_can_be_walked},
    {"dot_dot_leads_back_and_stays_at_the_root", dot_dot_leads_back_and_stays_at_the_root},
    {"the_file_system_describes_itself", the_file_system_describes_itself},
    {"files_are_locked", files_are_locked},
    {"every_capability_has_an_answer", every_capability_has_an_answer},
    {"four_threads_read_at_once", four_threads_read_at_once},
    {NULL, NULL},
};
