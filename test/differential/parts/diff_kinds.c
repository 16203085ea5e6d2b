/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The kinds of steps: choosing their arguments and running them. */
#include "differential/parts/diff_kinds.h"

#define COUNT(array)        (sizeof(array) / sizeof(array)[0])
#define PICK(random, array) ((array)[diff_roll((random), COUNT(array))])

/* -- Words that many kinds need ------------------------------------------------------------------------------------ */

const char *diff_expand(const char *path, char *buf, size_t len)
{
    size_t used = 0;
    for (; *path && used + 257 < len; path++) {
        size_t length = *path == DIFF_LONGEST ? 255 : *path == DIFF_TOO_LONG ? 256 : 1;
        memset(buf + used, length == 1 ? *path : 'x', length);
        used += length;
    }
    buf[used] = '\0';
    return buf;
}

int64_t diff_result(struct diff_run *run, int64_t result)
{
    diff_log(run->log, "result", DIFF_RESULT, (uint64_t)result, 0);
    return result;
}

void diff_look(struct diff_run *run, const struct diff_step *step, bool changes)
{
    char buf[DIFF_EXPANDED];
    if (!step->look)
        return;
    const char *path = diff_expand(step->path, buf, sizeof buf);
    diff_look_at_path(run, step->fd, path);
    if (changes)
        diff_look_at_parent(run, step->fd, path);
}

static void look_at_second(struct diff_run *run, const struct diff_step *step)
{
    char buf[DIFF_EXPANDED];
    if (!step->look)
        return;
    const char *path = diff_expand(step->path2, buf, sizeof buf);
    diff_look_at_path(run, step->fd2, path);
    diff_look_at_parent(run, step->fd2, path);
}

static void look_at_fd(struct diff_run *run, const struct diff_step *step)
{
    if (step->look)
        diff_look_at_fd(run, step->fd);
}

#define CALL(name, ...)   run->calls->name(run->self, __VA_ARGS__)
#define RESULT(name, ...) diff_result(run, CALL(name, __VA_ARGS__))
#define PATH(step)        diff_expand((step)->path, (char[DIFF_EXPANDED]){0}, DIFF_EXPANDED)
#define PATH2(step)       diff_expand((step)->path2, (char[DIFF_EXPANDED]){0}, DIFF_EXPANDED)

void diff_choose_at(struct diff_random *random, struct diff_step *step)
{
    step->fd = diff_some_dirfd(random);
    diff_some_path(random, step->path);
}

static void choose_path(struct diff_random *random, struct diff_step *step)
{
    diff_some_path(random, step->path);
}

void diff_choose_fd(struct diff_random *random, struct diff_step *step)
{
    step->fd = diff_some_fd(random);
}

uint64_t diff_some_at_flags(struct diff_random *random)
{
    uint64_t flags = diff_chance(random, 35) ? VRIFT_AT_SYMLINK_NOFOLLOW : 0;
    if (diff_chance(random, 12))
        flags |= VRIFT_AT_EMPTY_PATH;
    return flags;
}

/* With AT_EMPTY_PATH an empty path is likely. */
static void empty_sometimes(struct diff_random *random, struct diff_step *step, uint64_t flags)
{
    if (flags & VRIFT_AT_EMPTY_PATH && diff_chance(random, 70)) {
        step->path[0] = '\0';
        if (step->fd == DIFF_HERE && diff_chance(random, 80))
            step->fd = diff_some_fd(random);
    }
}

/* -- Opening ------------------------------------------------------------------------------------------------------- */

static uint64_t some_open_flags(struct diff_random *random)
{
    static const uint64_t often[] = {VRIFT_O_CREAT,  VRIFT_O_EXCL,      VRIFT_O_TRUNC,
                                     VRIFT_O_APPEND, VRIFT_O_DIRECTORY, VRIFT_O_NOFOLLOW};
    static const uint64_t rarely[] = {VRIFT_O_PATH,  VRIFT_O_NOATIME, VRIFT_O_CLOEXEC, VRIFT_O_SYNC,
                                      VRIFT_O_DSYNC, VRIFT_O_NOCTTY,  VRIFT_O_TMPFILE};
    uint64_t flags = diff_roll(random, diff_chance(random, 3) ? 4 : 3) | VRIFT_O_NONBLOCK;
    if (diff_chance(random, 35))
        flags |= VRIFT_O_CREAT;
    for (size_t i = 0; i < COUNT(often); i++)
        flags |= diff_chance(random, 9) ? often[i] : 0;
    for (size_t i = 0; i < COUNT(rarely); i++)
        flags |= diff_chance(random, 4) ? rarely[i] : 0;
    if (diff_chance(random, 3))
        flags = VRIFT_O_TMPFILE | VRIFT_O_RDWR | (flags & VRIFT_O_EXCL);
    return flags;
}

static void choose_open(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = some_open_flags(random);
    step->b = diff_some_mode(random);
}

static void run_open(struct diff_run *run, const struct diff_step *step)
{
    int64_t fd = RESULT(openat, step->fd, PATH(step), step->a, (uint32_t)step->b);
    diff_look(run, step, step->a & VRIFT_O_CREAT);
    if (fd >= 0)
        diff_look_at_fd(run, (int)fd);
}

static void choose_openat2(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = some_open_flags(random);
    if (diff_chance(random, 90) && step->a & VRIFT_O_PATH)
        step->a &= VRIFT_O_PATH | VRIFT_O_DIRECTORY | VRIFT_O_NOFOLLOW | VRIFT_O_CLOEXEC;
    if (step->a & (VRIFT_O_CREAT | VRIFT_O_TMPFILE) || diff_chance(random, 3))
        step->b = diff_some_mode(random);
    for (uint64_t bit = VRIFT_RESOLVE_NO_XDEV; bit <= VRIFT_RESOLVE_CACHED; bit <<= 1)
        step->c |= diff_chance(random, bit == VRIFT_RESOLVE_CACHED ? 4 : 22) ? bit : 0;
    if (diff_chance(random, 70) && step->c & VRIFT_RESOLVE_BENEATH)
        step->c &= ~VRIFT_RESOLVE_IN_ROOT;
    if (diff_chance(random, 1))
        step->c |= 0x40;
}

static void run_openat2(struct diff_run *run, const struct diff_step *step)
{
    uint64_t resolve = step->c;
    /* On a relative path Linux lets no absolute symlink pass, crossing or not: see docs/semantics.md. */
    if (resolve & VRIFT_RESOLVE_NO_XDEV && step->path[0] != '/' && !(resolve & VRIFT_RESOLVE_IN_ROOT))
        resolve |= VRIFT_RESOLVE_BENEATH;
    int64_t fd = CALL(openat2, step->fd, PATH(step), step->a, step->b, resolve);
    if (step->c & VRIFT_RESOLVE_CACHED) {
        /* What a cache knows is each side's own business. */
        diff_log(run->log, "cached", DIFF_LENIENT, (uint64_t)fd, 0);
        if (fd >= 0)
            CALL(close, (int)fd);
        return;
    }
    diff_result(run, fd);
    diff_look(run, step, step->a & VRIFT_O_CREAT);
    if (fd >= 0)
        diff_look_at_fd(run, (int)fd);
}

static void run_close(struct diff_run *run, const struct diff_step *step)
{
    RESULT(close, step->fd);
}

static void run_dup(struct diff_run *run, const struct diff_step *step)
{
    RESULT(dup, step->fd);
    look_at_fd(run, step);
}

static void choose_dup3(struct diff_random *random, struct diff_step *step)
{
    step->fd = diff_some_fd(random);
    step->fd2 = diff_some_fd(random);
    step->a = diff_chance(random, 20) ? VRIFT_O_CLOEXEC : diff_chance(random, 5) ? VRIFT_O_APPEND : 0;
}

static void run_dup3(struct diff_run *run, const struct diff_step *step)
{
    RESULT(dup3, step->fd, step->fd2, step->a);
    look_at_fd(run, step);
}

/* -- Bytes --------------------------------------------------------------------------------------------------------- */

static uint64_t some_length(struct diff_random *random)
{
    static const uint32_t lengths[] = {0, 1, 7, 64, 100, 4095, 4096, 4097, 9000};
    return PICK(random, lengths);
}

static uint64_t some_offset(struct diff_random *random)
{
    static const uint64_t offsets[] = {0, 1, 10, 100, 4000, 4096, 5000, 8192, 20000, 70000};
    static const uint64_t odd[] = {UINT64_MAX, INT64_MAX, INT64_MAX - 5, (uint64_t)INT64_MIN, 1ULL << 40};
    return diff_chance(random, 2) ? PICK(random, odd) : PICK(random, offsets);
}

static void choose_io(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->a = some_length(random);
    step->b = some_offset(random);
    step->c = 'a' + diff_roll(random, 26);
}

#define MOST_IO 16384
static char io_buf[MOST_IO];

static void run_read(struct diff_run *run, const struct diff_step *step)
{
    int64_t got = RESULT(read, step->fd, io_buf, step->a);
    diff_log_bytes(run->log, "read", io_buf, got < 0 ? 0 : got > 256 ? 256 : (size_t)got);
    look_at_fd(run, step);
}

static void run_readv(struct diff_run *run, const struct diff_step *step)
{
    struct vrift_iovec iov[2] = {{io_buf, step->a / 3}, {io_buf + step->a / 3, step->a}};
    int64_t got = RESULT(readv, step->fd, iov, 2);
    diff_log_bytes(run->log, "read", io_buf, got < 0 ? 0 : got > 256 ? 256 : (size_t)got);
    look_at_fd(run, step);
}

static void run_pread(struct diff_run *run, const struct diff_step *step)
{
    int64_t got = RESULT(pread, step->fd, io_buf, step->a, step->b);
    diff_log_bytes(run->log, "read", io_buf, got < 0 ? 0 : got > 256 ? 256 : (size_t)got);
    look_at_fd(run, step);
}

static void run_write(struct diff_run *run, const struct diff_step *step)
{
    memset(io_buf, (int)step->c, step->a);
    RESULT(write, step->fd, io_buf, step->a);
    look_at_fd(run, step);
}

static void run_writev(struct diff_run *run, const struct diff_step *step)
{
    memset(io_buf, (int)step->c, step->a + step->a / 3);
    struct vrift_iovec iov[2] = {{io_buf, step->a / 3}, {io_buf, step->a}};
    RESULT(writev, step->fd, iov, 2);
    look_at_fd(run, step);
}

static void run_pwrite(struct diff_run *run, const struct diff_step *step)
{
    memset(io_buf, (int)step->c, step->a);
    RESULT(pwrite, step->fd, io_buf, step->a, step->b);
    look_at_fd(run, step);
}

static void choose_lseek(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->a = diff_chance(random, 20) ? (uint64_t) - (int64_t)diff_roll(random, 200) : some_offset(random);
    step->b = diff_roll(random, diff_chance(random, 5) ? 6 : 5);
}

static void run_lseek(struct diff_run *run, const struct diff_step *step)
{
    struct diff_facts facts;
    if (CALL(fstat, step->fd, &facts) == 0 && (facts.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR) {
        /* A directory's positions are the file system's own; its start is not. */
        RESULT(lseek, step->fd, 0, VRIFT_SEEK_SET);
        return;
    }
    RESULT(lseek, step->fd, (int64_t)step->a, (int)step->b);
}

static void choose_ftruncate(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->a = some_offset(random);
}

static void run_ftruncate(struct diff_run *run, const struct diff_step *step)
{
    RESULT(ftruncate, step->fd, (int64_t)step->a);
    look_at_fd(run, step);
}

static void choose_truncate(struct diff_random *random, struct diff_step *step)
{
    choose_path(random, step);
    step->a = some_offset(random);
}

static void run_truncate(struct diff_run *run, const struct diff_step *step)
{
    RESULT(truncate, PATH(step), (int64_t)step->a);
    diff_look(run, step, false);
}

static void run_fsync(struct diff_run *run, const struct diff_step *step)
{
    RESULT(fsync, step->fd);
}

/* -- Names --------------------------------------------------------------------------------------------------------- */

static void choose_mkdir(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_some_mode(random);
}

static void run_mkdir(struct diff_run *run, const struct diff_step *step)
{
    RESULT(mkdirat, step->fd, PATH(step), (uint32_t)step->a);
    diff_look(run, step, true);
}

static void choose_mknod(struct diff_random *random, struct diff_step *step)
{
    static const uint32_t types[] = {
        0, VRIFT_S_IFREG, VRIFT_S_IFREG, VRIFT_S_IFSOCK, VRIFT_S_IFCHR, VRIFT_S_IFBLK, VRIFT_S_IFDIR, VRIFT_S_IFLNK};
    diff_choose_at(random, step);
    step->a = PICK(random, types) | diff_some_mode(random);
    step->b = diff_chance(random, 40) ? 0 : 240; /* a number for experiments: nothing answers to it */
    step->c = step->b ? 77 : 0;
}

static void run_mknod(struct diff_run *run, const struct diff_step *step)
{
    RESULT(mknodat, step->fd, PATH(step), (uint32_t)step->a, (uint32_t)step->b, (uint32_t)step->c);
    diff_look(run, step, true);
}

static void choose_unlink(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_chance(random, 5) ? VRIFT_AT_REMOVEDIR : diff_chance(random, 2) ? VRIFT_AT_SYMLINK_FOLLOW : 0;
}

static void choose_rmdir(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = VRIFT_AT_REMOVEDIR;
}

static void run_unlink(struct diff_run *run, const struct diff_step *step)
{
    RESULT(unlinkat, step->fd, PATH(step), step->a);
    diff_look(run, step, true);
}

static void choose_two(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->fd2 = diff_some_dirfd(random);
    diff_some_path(random, step->path2);
}

static void choose_rename(struct diff_random *random, struct diff_step *step)
{
    static const uint64_t flags[] = {VRIFT_RENAME_NOREPLACE,
                                     VRIFT_RENAME_EXCHANGE,
                                     VRIFT_RENAME_EXCHANGE,
                                     VRIFT_RENAME_WHITEOUT,
                                     VRIFT_RENAME_WHITEOUT | VRIFT_RENAME_NOREPLACE,
                                     VRIFT_RENAME_WHITEOUT | VRIFT_RENAME_EXCHANGE,
                                     8};
    choose_two(random, step);
    step->a = diff_chance(random, 35) ? PICK(random, flags) : 0;
}

static void run_rename(struct diff_run *run, const struct diff_step *step)
{
    RESULT(renameat2, step->fd, PATH(step), step->fd2, PATH2(step), step->a);
    diff_look(run, step, true);
    look_at_second(run, step);
}

static void choose_link(struct diff_random *random, struct diff_step *step)
{
    choose_two(random, step);
    step->a = diff_chance(random, 30) ? VRIFT_AT_SYMLINK_FOLLOW : 0;
    step->a |= diff_chance(random, 15) ? VRIFT_AT_EMPTY_PATH : 0;
    empty_sometimes(random, step, step->a);
}

static void run_link(struct diff_run *run, const struct diff_step *step)
{
    RESULT(linkat, step->fd, PATH(step), step->fd2, PATH2(step), step->a);
    diff_look(run, step, false);
    look_at_second(run, step);
}

static void run_symlink(struct diff_run *run, const struct diff_step *step)
{
    RESULT(symlinkat, PATH2(step), step->fd, PATH(step));
    diff_look(run, step, true);
}

static void choose_readlink(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_chance(random, 20) ? diff_roll(random, 4) : 1000;
    if (diff_chance(random, 10))
        step->path[0] = '\0';
}

static void run_readlink(struct diff_run *run, const struct diff_step *step)
{
    int64_t got = RESULT(readlinkat, step->fd, PATH(step), io_buf, step->a);
    diff_log_bytes(run->log, "target", io_buf, got < 0 ? 0 : (size_t)got);
}

/* -- Attributes ---------------------------------------------------------------------------------------------------- */

static void choose_stat(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_some_at_flags(random);
    empty_sometimes(random, step, step->a);
}

static void run_stat(struct diff_run *run, const struct diff_step *step)
{
    struct diff_facts facts;
    int64_t result = RESULT(statat, step->fd, PATH(step), step->a, &facts);
    diff_look_at_stat(run, result, &facts);
}

static void run_fstat(struct diff_run *run, const struct diff_step *step)
{
    struct diff_facts facts;
    int64_t result = RESULT(fstat, step->fd, &facts);
    diff_look_at_stat(run, result, &facts);
}

static void choose_chmod(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_some_mode(random);
    step->b = diff_chance(random, 20) ? diff_some_at_flags(random) : 0;
    empty_sometimes(random, step, step->b);
}

static void run_chmod(struct diff_run *run, const struct diff_step *step)
{
    RESULT(fchmodat, step->fd, PATH(step), (uint32_t)step->a, step->b);
    diff_look(run, step, false);
}

static void choose_chown(struct diff_random *random, struct diff_step *step)
{
    static const uint32_t ids[] = {UINT32_MAX, UINT32_MAX, 0, 1000, 1001, 100, 101, 1002};
    diff_choose_at(random, step);
    step->a = PICK(random, ids);
    step->b = PICK(random, ids);
    step->c = diff_some_at_flags(random);
    empty_sometimes(random, step, step->c);
}

static void run_chown(struct diff_run *run, const struct diff_step *step)
{
    RESULT(fchownat, step->fd, PATH(step), (uint32_t)step->a, (uint32_t)step->b, step->c);
    diff_look(run, step, false);
}

static const struct vrift_timespec some_times[] = {{100, 0, 0},
                                                   {200, 5, 0},
                                                   {300, 999999999, 0},
                                                   {-1, 500000000, 0},
                                                   {5000000000, 1, 0},
                                                   {0, VRIFT_UTIME_NOW, 0},
                                                   {0, VRIFT_UTIME_OMIT, 0},
                                                   {0, 0, 0},
                                                   {100, 1000000000, 0}};

static void choose_utimens(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_roll(random, COUNT(some_times) - !diff_chance(random, 5));
    step->b = diff_roll(random, COUNT(some_times) - !diff_chance(random, 5));
    if (diff_chance(random, 15))
        step->a = step->b = COUNT(some_times); /* NULL */
    else if (diff_chance(random, 10))
        step->a = step->b = 5; /* both now */
    step->c = diff_some_at_flags(random);
    empty_sometimes(random, step, step->c);
}

static void run_utimens(struct diff_run *run, const struct diff_step *step)
{
    struct vrift_timespec times[2];
    if (step->a < COUNT(some_times)) {
        times[0] = some_times[step->a];
        times[1] = some_times[step->b];
    }
    RESULT(utimensat, step->fd, PATH(step), step->a < COUNT(some_times) ? times : NULL, step->c);
    diff_look(run, step, false);
}

static void choose_access(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_roll(random, diff_chance(random, 3) ? 9 : 8);
    step->b = diff_some_at_flags(random);
    empty_sometimes(random, step, step->b);
}

static void run_access(struct diff_run *run, const struct diff_step *step)
{
    RESULT(faccessat, step->fd, PATH(step), (uint32_t)step->a, step->b);
}

static void choose_statfs(struct diff_random *random, struct diff_step *step)
{
    diff_some_path(random, step->path);
    if (diff_chance(random, 30)) {
        step->fd = diff_some_fd(random);
        step->path[0] = '\0';
    }
}

static void run_statfs(struct diff_run *run, const struct diff_step *step)
{
    struct vrift_statfs st;
    if (RESULT(statfs, step->fd, PATH(step), &st) < 0)
        return;
    diff_log(run->log, "type", DIFF_NUMBER, st.type, 0);
    diff_log(run->log, "bsize", DIFF_NUMBER, st.bsize, 0);
    diff_log(run->log, "namelen", DIFF_NUMBER, st.namelen, 0);
    diff_log(run->log, "flags", DIFF_NUMBER, st.flags, 0);
}

/* -- The task ------------------------------------------------------------------------------------------------------ */

static void run_chdir(struct diff_run *run, const struct diff_step *step)
{
    RESULT(chdir, PATH(step));
    if (step->look)
        diff_look_at_path(run, DIFF_HERE, ".");
}

static void run_fchdir(struct diff_run *run, const struct diff_step *step)
{
    RESULT(fchdir, step->fd);
    if (step->look)
        diff_look_at_path(run, DIFF_HERE, ".");
}

static void run_chroot(struct diff_run *run, const struct diff_step *step)
{
    RESULT(chroot, PATH(step));
    diff_look_at_path(run, DIFF_HERE, "/..");
}

static void choose_getcwd(struct diff_random *random, struct diff_step *step)
{
    step->a = diff_chance(random, 15) ? diff_roll(random, 6) : 2000;
}

static void run_getcwd(struct diff_run *run, const struct diff_step *step)
{
    int64_t got = RESULT(getcwd, io_buf, step->a);
    diff_log_bytes(run->log, "cwd", io_buf, got < 0 ? 0 : (size_t)got);
}

static void choose_umask(struct diff_random *random, struct diff_step *step)
{
    static const uint32_t masks[] = {0, 022, 077, 0777, 02, 07022};
    step->a = PICK(random, masks);
}

static void run_umask(struct diff_run *run, const struct diff_step *step)
{
    RESULT(umask, (uint32_t)step->a);
}

static void choose_cred(struct diff_random *random, struct diff_step *step)
{
    step->a = diff_chance(random, 30) ? 0 : diff_roll(random, DIFF_CREDS);
}

static void run_cred(struct diff_run *run, const struct diff_step *step)
{
    RESULT(become, (uint32_t)step->a);
}

static void choose_fork(struct diff_random *random, struct diff_step *step)
{
    step->a = diff_roll(random, DIFF_TASKS);
    if (step->a == step->task)
        step->a = (step->a + 1) % DIFF_TASKS;
}

static void run_fork(struct diff_run *run, const struct diff_step *step)
{
    if (step->a == step->task)
        return;
    RESULT(fork, (uint32_t)step->a);
}

static void run_drop(struct diff_run *run, const struct diff_step *step)
{
    (void)step;
    diff_result(run, run->calls->drop_caches(run->self));
}

static void run_dump(struct diff_run *run, const struct diff_step *step)
{
    (void)step;
    diff_dump_tree(run);
}

/* -- Directories --------------------------------------------------------------------------------------------------- */

static void choose_getdents(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->a = diff_chance(random, 50) ? 32768 : diff_chance(random, 10) ? diff_roll(random, 20) : 600;
    step->b = diff_roll(random, 4); /* how much of the listing is read again, from the middle */
}

/* Lists all, in pieces; goes back once to where a piece ended. */
static void run_getdents(struct diff_run *run, const struct diff_step *step)
{
    static struct diff_listing listing;
    struct diff_facts facts;
    int64_t got;
    listing.count = 0;
    if (CALL(fstat, step->fd, &facts) < 0)
        facts.dev = 0;
    CALL(lseek, step->fd, 0, VRIFT_SEEK_SET);
    do
        got = CALL(getdents, step->fd, step->a, &listing);
    while (got > 0 && listing.count < DIFF_MOST_ENTRIES);
    diff_result(run, got);
    if (got < 0)
        return;
    uint32_t half = listing.count / 2;
    if (step->b == 0 && half) {
        CALL(lseek, step->fd, (int64_t)listing.entries[half - 1].cookie, VRIFT_SEEK_SET);
        listing.count = half;
        while (CALL(getdents, step->fd, step->a, &listing) > 0)
            ;
    }
    diff_look_at_listing(run, facts.dev, &listing);
    look_at_fd(run, step);
}

/* -- Extended attributes ------------------------------------------------------------------------------------------- */

const char *diff_xattr_name(uint64_t which)
{
    static const char *const names[] = {"user.a",  "user.b", "trusted.a", "security.a",       "user.",
                                        "other.a", "",       "user.c",    "trusted.overlay.x"};
    return names[which % COUNT(names)];
}

static void choose_xattr(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_chance(random, 60) ? diff_roll(random, 2) : diff_roll(random, 9);
    step->b = diff_chance(random, 80) ? diff_roll(random, 20) : diff_roll(random, 4) ? 0 : 65537;
    step->c = diff_some_at_flags(random);
    empty_sometimes(random, step, step->c);
}

static void choose_setxattr(struct diff_random *random, struct diff_step *step)
{
    choose_xattr(random, step);
    step->c |= diff_chance(random, 15) ? VRIFT_XATTR_CREATE : diff_chance(random, 10) ? VRIFT_XATTR_REPLACE : 0;
}

static void run_setxattr(struct diff_run *run, const struct diff_step *step)
{
    static char value[65540];
    memset(value, 'v', step->b);
    RESULT(setxattr, step->fd, PATH(step), diff_xattr_name(step->a), value, step->b, step->c);
    diff_look(run, step, false);
}

static void run_getxattr(struct diff_run *run, const struct diff_step *step)
{
    int64_t got = RESULT(getxattr, step->fd, PATH(step), diff_xattr_name(step->a), io_buf,
                         step->b < MOST_IO ? step->b : MOST_IO, step->c);
    diff_log_bytes(run->log, "value", io_buf, got <= 0 || !step->b ? 0 : (size_t)got);
}

static void run_listxattr(struct diff_run *run, const struct diff_step *step)
{
    int64_t got = RESULT(listxattr, step->fd, PATH(step), io_buf, step->b < 65537 ? step->b : MOST_IO, step->c);
    diff_look_at_xattrs(run, io_buf, step->b ? got : 0, NULL);
}

static void run_removexattr(struct diff_run *run, const struct diff_step *step)
{
    RESULT(removexattr, step->fd, PATH(step), diff_xattr_name(step->a), step->c);
    diff_look(run, step, false);
}

/* -- Mounts -------------------------------------------------------------------------------------------------------- */

/* The kernel looks the place up before it asks for the privilege, libvrift does not yet. */
static void result_of_mounting(struct diff_run *run, int64_t result)
{
    diff_log(run->log, "result", DIFF_PRIVILEGED, (uint64_t)result, 0);
}

static void choose_mount(struct diff_random *random, struct diff_step *step)
{
    choose_path(random, step);
    step->a = diff_roll(random, DIFF_DISKS);
}

static void run_mount(struct diff_run *run, const struct diff_step *step)
{
    result_of_mounting(run, CALL(mount, PATH(step), (uint32_t)step->a, 0));
    diff_look(run, step, false);
}

static void choose_bind(struct diff_random *random, struct diff_step *step)
{
    choose_path(random, step);
    diff_some_path(random, step->path2);
}

static void run_bind(struct diff_run *run, const struct diff_step *step)
{
    result_of_mounting(run, CALL(bind, PATH(step), PATH2(step)));
    look_at_second(run, step);
}

/* The root of all cannot be taken away, and the kernel would make it read-only instead. */
static bool is_root(struct diff_run *run, const char *path)
{
    struct diff_facts here, root;
    return CALL(statat, DIFF_HERE, path, 0, &here) == 0 && CALL(statat, DIFF_HERE, "/", 0, &root) == 0 &&
           here.mount_id == root.mount_id;
}

static void choose_remount(struct diff_random *random, struct diff_step *step)
{
    static const uint64_t flags[] = {0,
                                     0,
                                     0,
                                     VRIFT_MOUNT_RDONLY,
                                     VRIFT_MOUNT_NODEV,
                                     VRIFT_MOUNT_NOEXEC,
                                     VRIFT_MOUNT_NOSYMFOLLOW,
                                     VRIFT_MOUNT_NOSUID | VRIFT_MOUNT_RDONLY};
    choose_path(random, step);
    step->a = PICK(random, flags);
}

static void run_remount(struct diff_run *run, const struct diff_step *step)
{
    if (is_root(run, PATH(step)))
        return;
    result_of_mounting(run, CALL(remount, PATH(step), step->a));
    diff_look(run, step, false);
}

static void choose_umount(struct diff_random *random, struct diff_step *step)
{
    choose_path(random, step);
    step->a = diff_chance(random, 40) ? VRIFT_UMOUNT_DETACH : 0;
}

static void run_umount(struct diff_run *run, const struct diff_step *step)
{
    if (is_root(run, PATH(step)))
        return;
    result_of_mounting(run, CALL(umount, PATH(step), step->a));
    diff_look(run, step, false);
}

static void run_mount_move(struct diff_run *run, const struct diff_step *step)
{
    result_of_mounting(run, CALL(mount_move, PATH(step), PATH2(step)));
    diff_look(run, step, false);
    look_at_second(run, step);
}

/* -- The table ----------------------------------------------------------------------------------------------------- */

const struct diff_kind diff_kinds[] = {
    {"open", 100, choose_open, run_open, "vrift_openat(T, @d, @p, @o, @n)"},
    {"openat2", 40, choose_openat2, run_openat2,
     "vrift_openat2(T, @d, @p, &(struct vrift_open_how){sizeof(struct vrift_open_how), @n, @o, @x})"},
    {"close", 40, diff_choose_fd, run_close, "vrift_close(T, @f)"},
    {"dup", 10, diff_choose_fd, run_dup, "vrift_dup(T, @f)"},
    {"dup3", 10, choose_dup3, run_dup3, "vrift_dup3(T, @f, @g, @o)"},
    {"read", 20, choose_io, run_read, "vrift_read(T, @f, buf, @a)"},
    {"readv", 5, choose_io, run_readv, "vrift_readv(T, @f, iov /* @a / 3, @a */, 2)"},
    {"pread", 15, choose_io, run_pread, "vrift_pread(T, @f, buf, @a, @b)"},
    {"write", 30, choose_io, run_write, "vrift_write(T, @f, buf, @a)"},
    {"writev", 5, choose_io, run_writev, "vrift_writev(T, @f, iov /* @a / 3, @a */, 2)"},
    {"pwrite", 20, choose_io, run_pwrite, "vrift_pwrite(T, @f, buf, @a, @b)"},
    {"lseek", 20, choose_lseek, run_lseek, "vrift_lseek(T, @f, @a, @b)"},
    {"ftruncate", 15, choose_ftruncate, run_ftruncate, "vrift_ftruncate(T, @f, @a)"},
    {"truncate", 15, choose_truncate, run_truncate, "vrift_truncate(T, @p, @a)"},
    {"fsync", 2, diff_choose_fd, run_fsync, "vrift_fsync(T, @f)"},
    {"mkdir", 50, choose_mkdir, run_mkdir, "vrift_mkdirat(T, @d, @p, @o)"},
    {"mknod", 20, choose_mknod, run_mknod, "vrift_mknodat(T, @d, @p, @o, VRIFT_MKDEV(@b, @c))"},
    {"unlink", 35, choose_unlink, run_unlink, "vrift_unlinkat(T, @d, @p, @x1)"},
    {"rmdir", 25, choose_rmdir, run_unlink, "vrift_unlinkat(T, @d, @p, VRIFT_AT_REMOVEDIR)"},
    {"rename", 80, choose_rename, run_rename, "vrift_renameat2(T, @d, @p, @e, @q, @a)"},
    {"link", 35, choose_link, run_link, "vrift_linkat(T, @d, @p, @e, @q, @x1)"},
    {"symlink", 35, choose_two, run_symlink, "vrift_symlinkat(T, @q, @d, @p)"},
    {"readlink", 15, choose_readlink, run_readlink, "vrift_readlinkat(T, @d, @p, buf, @a)"},
    {"stat", 40, choose_stat, run_stat, "vrift_statat(T, @d, @p, @x1, &st)"},
    {"fstat", 15, diff_choose_fd, run_fstat, "vrift_fstat(T, @f, &st)"},
    {"chmod", 35, choose_chmod, run_chmod, "vrift_fchmodat(T, @d, @p, @o, @x2)"},
    {"chown", 35, choose_chown, run_chown, "vrift_fchownat(T, @d, @p, (uint32_t)@a, (uint32_t)@b, @x)"},
    {"utimens", 25, choose_utimens, run_utimens, "vrift_utimensat(T, @d, @p, times /* @a, @b */, @x)"},
    {"access", 25, choose_access, run_access, "vrift_faccessat(T, @d, @p, @a, @x2)"},
    {"statfs", 8, choose_statfs, run_statfs, "vrift_statfs(T, @d, @p, &sf)"},
    {"chdir", 25, choose_path, run_chdir, "vrift_chdir(T, @p)"},
    {"fchdir", 8, diff_choose_fd, run_fchdir, "vrift_fchdir(T, @f)"},
    {"chroot", 4, choose_path, run_chroot, "vrift_chroot(T, @p)"},
    {"getcwd", 10, choose_getcwd, run_getcwd, "vrift_getcwd(T, buf, @a)"},
    {"umask", 8, choose_umask, run_umask, "vrift_umask(T, @o)"},
    {"cred", 15, choose_cred, run_cred, "vrift_task_set_cred(T, cred[@a])"},
    {"getdents", 20, choose_getdents, run_getdents, "vrift_getdents(T, @f, buf, @a, 0)"},
    {"setxattr", 20, choose_setxattr, run_setxattr, "vrift_setxattrat(T, @d, @p, \"@v\", value, @b, @x)"},
    {"getxattr", 12, choose_xattr, run_getxattr, "vrift_getxattrat(T, @d, @p, \"@v\", buf, @b, @x)"},
    {"listxattr", 10, choose_xattr, run_listxattr, "vrift_listxattrat(T, @d, @p, buf, @b, @x)"},
    {"removexattr", 10, choose_xattr, run_removexattr, "vrift_removexattrat(T, @d, @p, \"@v\", @x)"},
    {"mount", 6, choose_mount, run_mount, "vrift_mount(T, VRIFT_AT_FDCWD, @p, disk[@a], 0)"},
    {"bind", 8, choose_bind, run_bind, "vrift_bind(T, VRIFT_AT_FDCWD, @p, VRIFT_AT_FDCWD, @q, 0)"},
    {"remount", 5, choose_remount, run_remount, "vrift_remount(T, VRIFT_AT_FDCWD, @p, @x1)"},
    {"umount", 12, choose_umount, run_umount, "vrift_umount(T, VRIFT_AT_FDCWD, @p, @x1)"},
    {"mount_move", 4, choose_bind, run_mount_move, "vrift_mount_move(T, VRIFT_AT_FDCWD, @p, VRIFT_AT_FDCWD, @q, 0)"},
    {"fallocate", 12, diff_choose_fallocate, diff_run_fallocate, "vrift_fallocate(T, @f, @a, @b, @c)"},
    {"copy_file_range", 10, diff_choose_copy, diff_run_copy,
     "vrift_copy_file_range(T, @f, &in /* @a */, @g, &out /* @b */, @c, 0)"},
    {"sendfile", 6, diff_choose_copy, diff_run_sendfile, "vrift_sendfile(T, @g, @f, &in /* @a */, @c)"},
    {"flock", 15, diff_choose_flock, diff_run_flock, "vrift_flock(T, @f, @a, NULL)"},
    {"setlk", 25, diff_choose_lock, diff_run_setlk, "vrift_setlk(T, @f, 0, lock /* @a, @g, @b, @c */, NULL)"},
    {"getlk", 15, diff_choose_lock, diff_run_getlk, "vrift_getlk(T, @f, 0, lock /* @a, @g, @b, @c */)"},
    {"fsetxattr", 8, diff_choose_fxattr, diff_run_fsetxattr, "vrift_fsetxattr(T, @f, \"@v\", value, @b, @c)"},
    {"fgetxattr", 6, diff_choose_fxattr, diff_run_fgetxattr, "vrift_fgetxattr(T, @f, \"@v\", buf, @b)"},
    {"flistxattr", 4, diff_choose_fxattr, diff_run_flistxattr, "vrift_flistxattr(T, @f, buf, @b)"},
    {"fremovexattr", 4, diff_choose_fxattr, diff_run_fremovexattr, "vrift_fremovexattr(T, @f, \"@v\")"},
    {"setflags", 8, diff_choose_setflags, diff_run_setflags, "vrift_setflags(T, @f, \"\", @x1, VRIFT_AT_EMPTY_PATH)"},
    {"getflags", 6, diff_choose_setflags, diff_run_getflags,
     "vrift_getflags(T, @f, \"\", VRIFT_AT_EMPTY_PATH, &flags)"},
    {"setacl", 14, diff_choose_acl, diff_run_setacl, "vrift_setxattrat(T, @d, @p, acl /* @a, @b */, @x)"},
    {"getacl", 6, diff_choose_acl, diff_run_getacl, "vrift_getxattrat(T, @d, @p, acl /* @a */, @x)"},
    {"removeacl", 5, diff_choose_acl, diff_run_removeacl, "vrift_removexattrat(T, @d, @p, acl /* @a */, @x)"},
    {"fork", 4, choose_fork, run_fork, "fork_into(T, @a)"},
    {"drop_caches", 4, NULL, run_drop, "vrift_vfs_drop_caches(vfs)"},
    {"dump", 0, NULL, run_dump, "dump(T)"},
};
const uint32_t diff_kind_count = COUNT(diff_kinds);

uint32_t diff_kind_named(const char *name)
{
    uint32_t kind = 0;
    while (strcmp(diff_kinds[kind].name, name) != 0)
        kind++;
    return kind;
}

void diff_run_step(struct diff_run *run, const struct diff_step *steps, uint32_t index)
{
    diff_log(run->log, diff_kinds[steps[index].kind].name, DIFF_STEP, index, 0);
    diff_kinds[steps[index].kind].run(run, &steps[index]);
}
