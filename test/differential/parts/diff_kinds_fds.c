/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Kinds of steps: what is done to descriptors and by them. */
#include "differential/parts/diff_kinds.h"

void diff_choose_dupfd(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->fd2 = diff_some_fd(random);
    step->a = diff_chance(random, 30) ? VRIFT_O_CLOEXEC : 0;
}

void diff_run_dupfd(struct diff_run *run, const struct diff_step *step)
{
    RESULT(dupfd, step->fd, step->fd2, step->a);
}

void diff_choose_close_range(struct diff_random *random, struct diff_step *step)
{
    step->a = diff_roll(random, DIFF_FILES + 1);
    step->b = step->a + diff_roll(random, 4); /* not to the end: there the file systems wait that are to be mounted */
    if (diff_chance(random, 5))
        step->a++;
    step->c = diff_chance(random, 30) ? 4 : diff_chance(random, 5) ? 16 : 0; /* 4: CLOSE_RANGE_CLOEXEC */
}

void diff_run_close_range(struct diff_run *run, const struct diff_step *step)
{
    RESULT(close_range, (uint32_t)step->a, (uint32_t)step->b, step->c);
}

void diff_run_getfd(struct diff_run *run, const struct diff_step *step)
{
    RESULT(getfd, step->fd);
}

void diff_choose_setfd(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->a = diff_roll(random, 2);
}

void diff_run_setfd(struct diff_run *run, const struct diff_step *step)
{
    RESULT(setfd, step->fd, step->a);
}

void diff_run_getfl(struct diff_run *run, const struct diff_step *step)
{
    RESULT(getfl, step->fd);
}

/* O_NONBLOCK stays: nothing may wait. */
void diff_choose_setfl(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->a = VRIFT_O_NONBLOCK | (diff_chance(random, 40) ? VRIFT_O_APPEND : 0) |
              (diff_chance(random, 20) ? VRIFT_O_NOATIME : 0) | (diff_chance(random, 10) ? VRIFT_O_TRUNC : 0);
}

void diff_run_setfl(struct diff_run *run, const struct diff_step *step)
{
    if (RESULT(setfl, step->fd, step->a) >= 0)
        RESULT(getfl, step->fd);
}

void diff_choose_fchmod(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->a = diff_some_mode(random);
}

void diff_run_fchmod(struct diff_run *run, const struct diff_step *step)
{
    RESULT(fchmod, step->fd, (uint32_t)step->a);
    diff_look_at_step_fd(run, step);
}

void diff_choose_fchown(struct diff_random *random, struct diff_step *step)
{
    static const uint32_t ids[] = {UINT32_MAX, UINT32_MAX, 0, 1000, 1001, 100, 101, 1002};
    diff_choose_fd(random, step);
    step->a = DIFF_PICK(random, ids);
    step->b = DIFF_PICK(random, ids);
}

void diff_run_fchown(struct diff_run *run, const struct diff_step *step)
{
    RESULT(fchown, step->fd, (uint32_t)step->a, (uint32_t)step->b);
    diff_look_at_step_fd(run, step);
}

void diff_choose_futimens(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->a = diff_roll(random, 600);
    step->b = diff_chance(random, 20) ? VRIFT_UTIME_NOW : diff_chance(random, 20) ? VRIFT_UTIME_OMIT : 7;
}

void diff_run_futimens(struct diff_run *run, const struct diff_step *step)
{
    struct vrift_timespec times[2] = {{(int64_t)step->a, (uint32_t)step->b, 0}, {(int64_t)step->a / 2, 9, 0}};
    RESULT(futimens, step->fd, step->a < 60 ? NULL : times);
    diff_look_at_step_fd(run, step);
}

void diff_run_fdatasync(struct diff_run *run, const struct diff_step *step)
{
    RESULT(fdatasync, step->fd);
}
