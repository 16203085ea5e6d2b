/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Random sequences of steps, in worlds that are made anew now and then; a failure is cut down to what it needs. */
#include "mounts/mounts.h"

#include <vrift/vrift.h>

#include <stdlib.h>
#include <string.h>

#define SEQUENCE 250
#define CROWD    40  /* mounts: from here on they are rather taken away */
#define TOO_MANY 400 /* mounts: the world ends */

struct recorded {
    struct step step;
    char probes[PROBES][PATH_SIZE];
};

struct random {
    uint64_t state;
    uint32_t next_number;
    bool unbindable; /* in every other world */
    bool alive[PROCESSES];
};

static uint32_t roll(struct random *r, uint32_t sides)
{
    r->state = r->state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(r->state >> 33) % sides;
}

/* -- Steps --------------------------------------------------------------------------------------------------------- */

static void roll_path(struct random *r, char *path)
{
    static const char *const parts[] = {"a", "a", "a", "b", "b", "l", "f", "c", "..", ".", "l"};
    uint32_t depth = roll(r, 4);
    path[0] = '\0';
    if (roll(r, 5))
        strcat(path, "/");
    else if (depth == 0)
        strcat(path, ".");
    for (uint32_t i = 0; i < depth; i++) {
        strcat(path, parts[roll(r, i + 1 < depth ? 6 : 11)]);
        if (i + 1 < depth)
            strcat(path, "/");
    }
}

static uint64_t roll_type(struct random *r)
{
    static const uint64_t types[] = {VRIFT_MOUNT_SHARED,  VRIFT_MOUNT_SHARED, VRIFT_MOUNT_SLAVE,
                                     VRIFT_MOUNT_PRIVATE, VRIFT_MOUNT_SLAVE,  VRIFT_MOUNT_UNBINDABLE};
    return types[roll(r, r->unbindable ? 6 : 5)];
}

static uint64_t roll_flags(struct random *r)
{
    static const uint64_t flags[] = {VRIFT_MOUNT_NOSUID,     VRIFT_MOUNT_NODEV,   VRIFT_MOUNT_NOEXEC,
                                     VRIFT_MOUNT_NODIRATIME, VRIFT_MOUNT_NOATIME, VRIFT_MOUNT_STRICTATIME};
    return roll(r, 2) ? flags[roll(r, 6)] : flags[roll(r, 3)] | flags[roll(r, 6)];
}

static uint32_t roll_process(struct random *r, bool alive)
{
    uint32_t start = roll(r, PROCESSES);
    for (uint32_t i = 0; i < PROCESSES; i++)
        if (r->alive[(start + i) % PROCESSES] == alive)
            return (start + i) % PROCESSES;
    return PROCESSES;
}

/* Which operations, and how many times in all. */
static const struct {
    uint32_t operation, weight;
} weights[] = {{OP_MOUNT, 16}, {OP_BIND, 20},   {OP_MOVE, 14},    {OP_PROPAGATE, 16}, {OP_REMOUNT, 2}, {OP_SETATTR, 2},
               {OP_UMOUNT, 9}, {OP_EXPIRE, 1},  {OP_PIVOT, 6},    {OP_CHROOT, 1},     {OP_CHDIR, 4},   {OP_UNSHARE, 3},
               {OP_FORK, 3},   {OP_EXIT, 1},    {OP_SETNS, 1},    {OP_MKDIR, 14},     {OP_RMDIR, 4},   {OP_UNLINK, 2},
               {OP_CREATE, 4}, {OP_RENAME, 4},  {OP_EXCHANGE, 2}, {OP_LINK, 1},       {OP_OPEN, 4},    {OP_CLOSE, 2},
               {OP_FCHDIR, 1}, {OP_SYMLINK, 4}, {OP_RESOLVE, 6}};

static uint32_t roll_operation(struct random *r, bool crowded)
{
    uint32_t all = 0;
    for (size_t i = 0; i < sizeof weights / sizeof weights[0]; i++)
        all += weights[i].weight;
    uint32_t left = roll(r, all);
    size_t i = 0;
    for (; left >= weights[i].weight; i++)
        left -= weights[i].weight;
    bool adds = weights[i].operation == OP_MOUNT || weights[i].operation == OP_BIND ||
                weights[i].operation == OP_UNSHARE || weights[i].operation == OP_MOVE;
    return crowded && adds ? OP_UMOUNT : weights[i].operation;
}

/* Rather where a mount is than anywhere, with so many chances in ten. */
static void roll_point(struct random *r, struct side *ours, uint32_t process, uint32_t chances, char *path)
{
    if (roll(r, 10) >= chances)
        return;
    for (int i = 0; i < 3; i++) {
        vrift_side_mount_point(ours, process, roll(r, 1000), path);
        if (strcmp(path, "/") != 0)
            return;
    }
}

static void roll_step(struct random *r, struct side *ours, bool crowded, struct recorded *out)
{
    struct step *s = &out->step;
    memset(out, 0, sizeof *out);
    s->operation = roll_operation(r, crowded);
    s->process = roll_process(r, true);
    roll_path(r, s->one);
    roll_path(r, s->two);
    switch (s->operation) {
    case OP_MOUNT:
        s->number = ++r->next_number;
        roll_point(r, ours, s->process, 2, s->one);
        s->flags = roll(r, 4) ? 0 : roll_flags(r);
        break;
    case OP_BIND:
        s->flags = roll(r, 2) ? VRIFT_MOUNT_REC : 0;
        roll_point(r, ours, s->process, 4, s->one);
        roll_point(r, ours, s->process, 2, s->two);
        break;
    case OP_MOVE:
        roll_point(r, ours, s->process, 8, s->one);
        roll_point(r, ours, s->process, 2, s->two);
        break;
    case OP_EXPIRE:
        roll_point(r, ours, s->process, 6, s->one);
        break;
    case OP_PROPAGATE:
        s->type = roll_type(r) | (roll(r, 3) ? 0 : VRIFT_MOUNT_REC);
        roll_point(r, ours, s->process, 8, s->one);
        break;
    case OP_REMOUNT:
        s->flags = roll_flags(r) | (roll(r, 3) ? 0 : VRIFT_MOUNT_RDONLY);
        roll_point(r, ours, s->process, 8, s->one);
        break;
    case OP_SETATTR:
        s->flags = roll(r, 2) ? roll_flags(r) : VRIFT_MOUNT_RDONLY;
        if ((s->flags & VRIFT_MOUNT_ATIME) == VRIFT_MOUNT_ATIME)
            s->flags &= ~VRIFT_MOUNT_ATIME;
        s->clear = roll(r, 2) ? VRIFT_MOUNT_RDONLY | VRIFT_MOUNT_NOSUID : 0;
        s->type = roll(r, 2) ? roll_type(r) : 0;
        s->number = roll(r, 2);
        roll_point(r, ours, s->process, 8, s->one);
        break;
    case OP_UMOUNT:
        s->flags = (roll(r, 2) ? 0 : VRIFT_UMOUNT_DETACH) | (roll(r, 8) ? 0 : VRIFT_UMOUNT_NOFOLLOW) |
                   (roll(r, 8) ? 0 : VRIFT_UMOUNT_FORCE);
        roll_point(r, ours, s->process, 6, s->one);
        if (strcmp(s->one, "/") == 0 && roll(r, 8))
            strcpy(s->one, "/a");
        if (crowded)
            s->flags = VRIFT_UMOUNT_DETACH;
        break;
    case OP_PIVOT:
        roll_point(r, ours, s->process, 8, s->one);
        if (roll(r, 2))
            snprintf(s->two, sizeof s->two, "%.40s/%s", s->one, roll(r, 2) ? "a" : "b");
        break;
    case OP_OPEN:
    case OP_CHDIR:
        roll_point(r, ours, s->process, 4, s->one);
        break;
    case OP_SYMLINK:
        snprintf(s->two, sizeof s->two, "%sl", roll(r, 2) ? "/" : "/a/");
        break;
    case OP_RESOLVE:
        s->flags = 1u << roll(r, 5);
        break;
    case OP_RMDIR:
    case OP_UNLINK:
    case OP_RENAME:
    case OP_EXCHANGE:
        /* Of names, those are of interest that somebody has mounted something on. */
        roll_point(r, ours, roll_process(r, true), 5, s->one);
        roll_point(r, ours, roll_process(r, true), 5, s->two);
        break;
    case OP_FORK:
        s->other = roll_process(r, false);
        if (s->other == PROCESSES)
            s->operation = OP_UNSHARE;
        break;
    case OP_EXIT:
        if (r->alive[0] + r->alive[1] + r->alive[2] == 1)
            s->operation = OP_CLOSE;
        break;
    case OP_SETNS:
        s->other = roll_process(r, true);
        break;
    default:
        break;
    }
    for (int i = 0; i < PROBES; i++)
        roll_path(r, out->probes[i]);
}

/* -- Running ------------------------------------------------------------------------------------------------------- */

struct worlds {
    struct side kernel, ours;
    bool alive[PROCESSES];
    bool keeps_unbindable;
    bool has_unbindable;
};

static void begin_worlds(struct worlds *w)
{
    assert_true(kernel_side_begin(&w->kernel));
    vrift_side_begin(&w->ours);
    memset(w->alive, 0, sizeof w->alive);
    w->has_unbindable = false;
    w->alive[0] = true;
    w->keeps_unbindable = kernel_keeps_unbindable();
}

static void end_worlds(struct worlds *w)
{
    w->kernel.end(w->kernel.self);
    w->ours.end(w->ours.self);
}

/* Linux makes the root read-only where it is asked to take it away, which is not compared. */
static bool is_left_out(struct worlds *w, const struct step *s)
{
    if (!w->alive[s->process] || (s->operation == OP_FORK && w->alive[s->other]) ||
        (s->operation == OP_SETNS && (!w->alive[s->other] || vrift_side_is_bare(&w->ours, s->other))))
        return true;
    if (s->operation == OP_UNSHARE && !w->keeps_unbindable && w->has_unbindable)
        return true;
    /* Here absolute symlinks differ on purpose, see docs/semantics.md. */
    if (s->operation == OP_RESOLVE && s->flags & VRIFT_RESOLVE_NO_XDEV && s->one[0] != '/')
        return true;
    bool umounts = s->operation == OP_EXPIRE || (s->operation == OP_UMOUNT && !(s->flags & VRIFT_UMOUNT_DETACH));
    return umounts && vrift_side_is_root(&w->ours, s->process, s->one);
}

static bool run_one(struct worlds *w, struct recorded *r)
{
    if (is_left_out(w, &r->step))
        return true;
    int64_t theirs = w->kernel.run(w->kernel.self, &r->step);
    int64_t ours = w->ours.run(w->ours.self, &r->step);
    w->has_unbindable |= r->step.type & VRIFT_MOUNT_UNBINDABLE;
    if (r->step.operation == OP_FORK)
        w->alive[r->step.other] = true;
    if (r->step.operation == OP_EXIT)
        w->alive[r->step.process] = false;
    if (theirs != ours)
        printf("# the kernel answers %lld, libvrift %lld\n", (long long)theirs, (long long)ours);
    return theirs == ours && same_views(&w->kernel, &w->ours, w->alive, r->probes);
}

/* The index of the step after which the sides differ, or count. */
static size_t run_all(struct recorded *steps, size_t count)
{
    struct worlds w;
    size_t i = 0;
    begin_worlds(&w);
    while (i < count && run_one(&w, &steps[i]))
        i++;
    end_worlds(&w);
    return i;
}

/* Leaves out whatever the failure does not need. */
static size_t shrink(struct recorded *steps, size_t count)
{
    struct recorded *fewer = malloc(count * sizeof *fewer);
    for (size_t piece = count / 2; piece; piece /= 2) {
        for (size_t at = 0; at + piece <= count;) {
            memcpy(fewer, steps, at * sizeof *steps);
            memcpy(fewer + at, steps + at + piece, (count - at - piece) * sizeof *steps);
            size_t failed = run_all(fewer, count - piece);
            if (failed == count - piece) {
                at += piece;
                continue;
            }
            count = failed + 1;
            memcpy(steps, fewer, count * sizeof *steps);
        }
    }
    free(fewer);
    return count;
}

static void report(struct recorded *steps, size_t count)
{
    printf("# the sides differ; leaving out what does not matter ...\n");
    fflush(stdout);
    count = shrink(steps, count);
    run_all(steps, count);
    printf("# the steps:\n");
    for (size_t i = 0; i < count; i++)
        print_step(&steps[i].step);
    fail_msg("the kernel and libvrift differ after %zu steps", count);
}

void run_random(uint64_t steps, uint64_t seed)
{
    struct random r = {.state = seed};
    struct recorded *sequence = calloc(SEQUENCE, sizeof *sequence);
    uint64_t done = 0;
    while (done < steps) {
        struct worlds w;
        begin_worlds(&w);
        r.unbindable = !r.unbindable;
        for (size_t i = 0; i < SEQUENCE && done < steps; i++, done++) {
            memcpy(r.alive, w.alive, sizeof r.alive);
            uint32_t mounts = vrift_side_count(&w.ours, w.alive);
            if (mounts > TOO_MANY)
                break;
            roll_step(&r, &w.ours, mounts > CROWD, &sequence[i]);
            if (run_one(&w, &sequence[i]))
                continue;
            end_worlds(&w);
            report(sequence, i + 1);
        }
        end_worlds(&w);
    }
    free(sequence);
}
