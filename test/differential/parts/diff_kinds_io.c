/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Kinds of steps: opening, and bytes. */
#include "differential/parts/diff_kinds.h"

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
    for (size_t i = 0; i < DIFF_COUNT(often); i++)
        flags |= diff_chance(random, 9) ? often[i] : 0;
    for (size_t i = 0; i < DIFF_COUNT(rarely); i++)
        flags |= diff_chance(random, 4) ? rarely[i] : 0;
    if (diff_chance(random, 3))
        flags = VRIFT_O_TMPFILE | VRIFT_O_RDWR | (flags & VRIFT_O_EXCL);
    return flags;
}

void diff_choose_open(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = some_open_flags(random);
    step->b = diff_some_mode(random);
}

void diff_run_open(struct diff_run *run, const struct diff_step *step)
{
    int64_t fd = RESULT(openat, step->fd, PATH(step), step->a, (uint32_t)step->b);
    diff_look(run, step, step->a & VRIFT_O_CREAT);
    if (fd >= 0)
        diff_look_at_fd(run, (int)fd);
}

void diff_choose_openat2(struct diff_random *random, struct diff_step *step)
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

void diff_run_openat2(struct diff_run *run, const struct diff_step *step)
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
        /* Nor how far it came: the links on the way are read in any case. */
        fd = CALL(openat2, step->fd, PATH(step), VRIFT_O_PATH | (step->a & (VRIFT_O_NOFOLLOW | VRIFT_O_DIRECTORY)), 0,
                  resolve & ~VRIFT_RESOLVE_CACHED);
        if (fd >= 0)
            CALL(close, (int)fd);
        return;
    }
    diff_result(run, fd);
    diff_look(run, step, step->a & VRIFT_O_CREAT);
    if (fd >= 0)
        diff_look_at_fd(run, (int)fd);
}

void diff_run_close(struct diff_run *run, const struct diff_step *step)
{
    RESULT(close, step->fd);
}

void diff_run_dup(struct diff_run *run, const struct diff_step *step)
{
    RESULT(dup, step->fd);
    diff_look_at_step_fd(run, step);
}

void diff_choose_dup3(struct diff_random *random, struct diff_step *step)
{
    step->fd = diff_some_fd(random);
    step->fd2 = diff_some_fd(random);
    step->a = diff_chance(random, 20) ? VRIFT_O_CLOEXEC : diff_chance(random, 5) ? VRIFT_O_APPEND : 0;
}

void diff_run_dup3(struct diff_run *run, const struct diff_step *step)
{
    RESULT(dup3, step->fd, step->fd2, step->a);
    diff_look_at_step_fd(run, step);
}

/* -- Bytes --------------------------------------------------------------------------------------------------------- */

static uint64_t some_length(struct diff_random *random)
{
    static const uint32_t lengths[] = {0, 1, 7, 64, 100, 4095, 4096, 4097, 9000};
    return DIFF_PICK(random, lengths);
}

static uint64_t some_offset(struct diff_random *random)
{
    static const uint64_t offsets[] = {0, 1, 10, 100, 4000, 4096, 5000, 8192, 20000, 70000};
    static const uint64_t odd[] = {UINT64_MAX, INT64_MAX, INT64_MAX - 5, (uint64_t)INT64_MIN, 1ULL << 40};
    return diff_chance(random, 2) ? DIFF_PICK(random, odd) : DIFF_PICK(random, offsets);
}

void diff_choose_io(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->a = some_length(random);
    step->b = some_offset(random);
    step->c = 'a' + diff_roll(random, 26);
}

void diff_run_read(struct diff_run *run, const struct diff_step *step)
{
    int64_t got = RESULT(read, step->fd, diff_bytes, step->a);
    diff_log_bytes(run->log, "read", diff_bytes, got < 0 ? 0 : got > 256 ? 256 : (size_t)got);
    diff_look_at_step_fd(run, step);
}

void diff_run_readv(struct diff_run *run, const struct diff_step *step)
{
    struct vrift_iovec iov[2] = {{diff_bytes, step->a / 3}, {diff_bytes + step->a / 3, step->a}};
    int64_t got = RESULT(readv, step->fd, iov, 2);
    diff_log_bytes(run->log, "read", diff_bytes, got < 0 ? 0 : got > 256 ? 256 : (size_t)got);
    diff_look_at_step_fd(run, step);
}

void diff_run_pread(struct diff_run *run, const struct diff_step *step)
{
    int64_t got = RESULT(pread, step->fd, diff_bytes, step->a, step->b);
    diff_log_bytes(run->log, "read", diff_bytes, got < 0 ? 0 : got > 256 ? 256 : (size_t)got);
    diff_look_at_step_fd(run, step);
}

void diff_run_write(struct diff_run *run, const struct diff_step *step)
{
    memset(diff_bytes, (int)step->c, step->a);
    RESULT(write, step->fd, diff_bytes, step->a);
    diff_look_at_step_fd(run, step);
}

void diff_run_writev(struct diff_run *run, const struct diff_step *step)
{
    memset(diff_bytes, (int)step->c, step->a + step->a / 3);
    struct vrift_iovec iov[2] = {{diff_bytes, step->a / 3}, {diff_bytes, step->a}};
    RESULT(writev, step->fd, iov, 2);
    diff_look_at_step_fd(run, step);
}

void diff_run_pwrite(struct diff_run *run, const struct diff_step *step)
{
    memset(diff_bytes, (int)step->c, step->a);
    RESULT(pwrite, step->fd, diff_bytes, step->a, step->b);
    diff_look_at_step_fd(run, step);
}

void diff_choose_lseek(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->a = diff_chance(random, 20) ? (uint64_t) - (int64_t)diff_roll(random, 200) : some_offset(random);
    step->b = diff_roll(random, diff_chance(random, 5) ? 6 : 5);
}

void diff_run_lseek(struct diff_run *run, const struct diff_step *step)
{
    struct diff_facts facts;
    if (CALL(fstat, step->fd, &facts) == 0 && (facts.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR) {
        /* A directory's positions are the file system's own; its start is not. */
        RESULT(lseek, step->fd, 0, VRIFT_SEEK_SET);
        return;
    }
    RESULT(lseek, step->fd, (int64_t)step->a, (int)step->b);
}

void diff_choose_ftruncate(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->a = some_offset(random);
}

void diff_run_ftruncate(struct diff_run *run, const struct diff_step *step)
{
    RESULT(ftruncate, step->fd, (int64_t)step->a);
    diff_look_at_step_fd(run, step);
}

void diff_choose_truncate(struct diff_random *random, struct diff_step *step)
{
    diff_choose_path(random, step);
    step->a = some_offset(random);
}

void diff_run_truncate(struct diff_run *run, const struct diff_step *step)
{
    RESULT(truncate, PATH(step), (int64_t)step->a);
    diff_look(run, step, false);
}

void diff_run_fsync(struct diff_run *run, const struct diff_step *step)
{
    RESULT(fsync, step->fd);
}
