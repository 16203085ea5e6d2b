/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Kinds of steps: names and attributes. */
#include "differential/parts/diff_kinds.h"

/* -- Names --------------------------------------------------------------------------------------------------------- */

void diff_choose_mkdir(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_some_mode(random);
}

void diff_run_mkdir(struct diff_run *run, const struct diff_step *step)
{
    RESULT(mkdirat, step->fd, PATH(step), (uint32_t)step->a);
    diff_look(run, step, true);
}

void diff_choose_mknod(struct diff_random *random, struct diff_step *step)
{
    static const uint32_t types[] = {0,
                                     VRIFT_S_IFREG,
                                     VRIFT_S_IFIFO,
                                     VRIFT_S_IFIFO,
                                     VRIFT_S_IFSOCK,
                                     VRIFT_S_IFCHR,
                                     VRIFT_S_IFBLK,
                                     VRIFT_S_IFDIR,
                                     VRIFT_S_IFLNK};
    diff_choose_at(random, step);
    step->a = DIFF_PICK(random, types) | diff_some_mode(random);
    step->b = diff_chance(random, 40) ? 0 : 240; /* a number for experiments: nothing answers to it */
    step->c = step->b ? 77 : 0;
}

void diff_run_mknod(struct diff_run *run, const struct diff_step *step)
{
    if (diff_backend == DIFF_OVERLAY && !step->b && (step->a & VRIFT_S_IFMT) == VRIFT_S_IFCHR)
        return; /* likewise */
    RESULT(mknodat, step->fd, PATH(step), (uint32_t)step->a, (uint32_t)step->b, (uint32_t)step->c);
    diff_look(run, step, true);
}

void diff_choose_unlink(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_chance(random, 5) ? VRIFT_AT_REMOVEDIR : diff_chance(random, 2) ? VRIFT_AT_SYMLINK_FOLLOW : 0;
}

void diff_choose_rmdir(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = VRIFT_AT_REMOVEDIR;
}

void diff_run_unlink(struct diff_run *run, const struct diff_step *step)
{
    RESULT(unlinkat, step->fd, PATH(step), step->a);
    diff_look(run, step, true);
}

void diff_choose_two(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->fd2 = diff_some_dirfd(random);
    diff_some_path(random, step->path2);
}

void diff_choose_rename(struct diff_random *random, struct diff_step *step)
{
    static const uint64_t flags[] = {VRIFT_RENAME_NOREPLACE,
                                     VRIFT_RENAME_EXCHANGE,
                                     VRIFT_RENAME_EXCHANGE,
                                     VRIFT_RENAME_WHITEOUT,
                                     VRIFT_RENAME_WHITEOUT | VRIFT_RENAME_NOREPLACE,
                                     VRIFT_RENAME_WHITEOUT | VRIFT_RENAME_EXCHANGE,
                                     8};
    diff_choose_two(random, step);
    step->a = diff_chance(random, 35) ? DIFF_PICK(random, flags) : 0;
}

void diff_run_rename(struct diff_run *run, const struct diff_step *step)
{
    if (diff_backend == DIFF_OVERLAY && step->a & VRIFT_RENAME_WHITEOUT)
        return; /* which overlays keep for themselves, here and in the kernel */
    RESULT(renameat2, step->fd, PATH(step), step->fd2, PATH2(step), step->a);
    diff_look(run, step, true);
    diff_look_at_second(run, step);
}

void diff_choose_link(struct diff_random *random, struct diff_step *step)
{
    diff_choose_two(random, step);
    step->a = diff_chance(random, 30) ? VRIFT_AT_SYMLINK_FOLLOW : 0;
    step->a |= diff_chance(random, 15) ? VRIFT_AT_EMPTY_PATH : 0;
    diff_empty_sometimes(random, step, step->a);
}

void diff_run_link(struct diff_run *run, const struct diff_step *step)
{
    RESULT(linkat, step->fd, PATH(step), step->fd2, PATH2(step), step->a);
    diff_look(run, step, false);
    diff_look_at_second(run, step);
}

void diff_run_symlink(struct diff_run *run, const struct diff_step *step)
{
    RESULT(symlinkat, PATH2(step), step->fd, PATH(step));
    diff_look(run, step, true);
}

void diff_choose_readlink(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_chance(random, 20) ? diff_roll(random, 4) : 1000;
    if (diff_chance(random, 10))
        step->path[0] = '\0';
}

void diff_run_readlink(struct diff_run *run, const struct diff_step *step)
{
    int64_t got = RESULT(readlinkat, step->fd, PATH(step), diff_bytes, step->a);
    diff_log_bytes(run->log, "target", diff_bytes, got < 0 ? 0 : (size_t)got);
}

/* -- Attributes ---------------------------------------------------------------------------------------------------- */

void diff_choose_stat(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_some_at_flags(random);
    diff_empty_sometimes(random, step, step->a);
}

void diff_run_stat(struct diff_run *run, const struct diff_step *step)
{
    struct diff_facts facts;
    int64_t result = RESULT(statat, step->fd, PATH(step), step->a, &facts);
    diff_look_at_stat(run, result, &facts);
}

void diff_run_fstat(struct diff_run *run, const struct diff_step *step)
{
    struct diff_facts facts;
    int64_t result = RESULT(fstat, step->fd, &facts);
    diff_look_at_stat(run, result, &facts);
}

void diff_choose_chmod(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_some_mode(random);
    step->b = diff_chance(random, 20) ? diff_some_at_flags(random) : 0;
    diff_empty_sometimes(random, step, step->b);
}

void diff_run_chmod(struct diff_run *run, const struct diff_step *step)
{
    RESULT(fchmodat, step->fd, PATH(step), (uint32_t)step->a, step->b);
    diff_look(run, step, false);
}

void diff_choose_chown(struct diff_random *random, struct diff_step *step)
{
    static const uint32_t ids[] = {UINT32_MAX, UINT32_MAX, 0, 1000, 1001, 100, 101, 1002};
    diff_choose_at(random, step);
    step->a = DIFF_PICK(random, ids);
    step->b = DIFF_PICK(random, ids);
    step->c = diff_some_at_flags(random);
    diff_empty_sometimes(random, step, step->c);
}

void diff_run_chown(struct diff_run *run, const struct diff_step *step)
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

void diff_choose_utimens(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_roll(random, DIFF_COUNT(some_times) - !diff_chance(random, 5));
    step->b = diff_roll(random, DIFF_COUNT(some_times) - !diff_chance(random, 5));
    if (diff_chance(random, 15))
        step->a = step->b = DIFF_COUNT(some_times); /* NULL */
    else if (diff_chance(random, 10))
        step->a = step->b = 5; /* both now */
    step->c = diff_some_at_flags(random);
    diff_empty_sometimes(random, step, step->c);
}

void diff_run_utimens(struct diff_run *run, const struct diff_step *step)
{
    struct vrift_timespec times[2];
    if (step->a < DIFF_COUNT(some_times)) {
        times[0] = some_times[step->a];
        times[1] = some_times[step->b];
    }
    RESULT(utimensat, step->fd, PATH(step), step->a < DIFF_COUNT(some_times) ? times : NULL, step->c);
    diff_look(run, step, false);
}

void diff_choose_access(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_roll(random, diff_chance(random, 3) ? 9 : 8);
    step->b = diff_some_at_flags(random);
    diff_empty_sometimes(random, step, step->b);
}

void diff_run_access(struct diff_run *run, const struct diff_step *step)
{
    RESULT(faccessat, step->fd, PATH(step), (uint32_t)step->a, step->b);
}

void diff_choose_statfs(struct diff_random *random, struct diff_step *step)
{
    diff_some_path(random, step->path);
    if (diff_chance(random, 30)) {
        step->fd = diff_some_fd(random);
        step->path[0] = '\0';
    }
}

void diff_run_statfs(struct diff_run *run, const struct diff_step *step)
{
    struct vrift_statfs st;
    if (RESULT(statfs, step->fd, PATH(step), &st) < 0)
        return;
    if (diff_backend != DIFF_OVERLAY)
        diff_log(run->log, "type", DIFF_NUMBER, st.type, 0);
    diff_log(run->log, "bsize", DIFF_NUMBER, st.bsize, 0);
    diff_log(run->log, "namelen", DIFF_NUMBER, st.namelen, 0);
    diff_log(run->log, "flags", DIFF_NUMBER, st.flags, 0);
}
