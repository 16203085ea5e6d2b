/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Kinds of steps: the task itself, listings, extended attributes, mounts. */
#include "differential/parts/diff_kinds.h"

/* -- The task ------------------------------------------------------------------------------------------------------ */

void diff_run_chdir(struct diff_run *run, const struct diff_step *step)
{
    RESULT(chdir, PATH(step));
    if (step->look)
        diff_look_at_path(run, DIFF_HERE, ".");
}

void diff_run_fchdir(struct diff_run *run, const struct diff_step *step)
{
    RESULT(fchdir, step->fd);
    if (step->look)
        diff_look_at_path(run, DIFF_HERE, ".");
}

void diff_run_chroot(struct diff_run *run, const struct diff_step *step)
{
    RESULT(chroot, PATH(step));
    diff_look_at_path(run, DIFF_HERE, "/..");
}

void diff_choose_getcwd(struct diff_random *random, struct diff_step *step)
{
    step->a = diff_chance(random, 15) ? diff_roll(random, 6) : 2000;
}

void diff_run_getcwd(struct diff_run *run, const struct diff_step *step)
{
    int64_t got = RESULT(getcwd, diff_bytes, step->a);
    diff_log_bytes(run->log, "cwd", diff_bytes, got < 0 ? 0 : (size_t)got);
}

void diff_choose_umask(struct diff_random *random, struct diff_step *step)
{
    static const uint32_t masks[] = {0, 022, 077, 0777, 02, 07022};
    step->a = DIFF_PICK(random, masks);
}

void diff_run_umask(struct diff_run *run, const struct diff_step *step)
{
    RESULT(umask, (uint32_t)step->a);
}

void diff_choose_cred(struct diff_random *random, struct diff_step *step)
{
    step->a = diff_chance(random, 30) ? 0 : diff_roll(random, DIFF_CREDS);
}

void diff_run_cred(struct diff_run *run, const struct diff_step *step)
{
    RESULT(become, (uint32_t)step->a);
}

void diff_choose_fork(struct diff_random *random, struct diff_step *step)
{
    step->a = diff_roll(random, DIFF_TASKS);
    if (step->a == step->task)
        step->a = (step->a + 1) % DIFF_TASKS;
}

void diff_run_fork(struct diff_run *run, const struct diff_step *step)
{
    if (step->a == step->task)
        return;
    RESULT(fork, (uint32_t)step->a);
}

void diff_run_drop(struct diff_run *run, const struct diff_step *step)
{
    (void)step;
    diff_result(run, run->calls->drop_caches(run->self));
}

void diff_run_dump(struct diff_run *run, const struct diff_step *step)
{
    (void)step;
    diff_dump_tree(run);
}

/* -- Directories --------------------------------------------------------------------------------------------------- */

void diff_choose_getdents(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->a = diff_chance(random, 50) ? 32768 : diff_chance(random, 10) ? diff_roll(random, 20) : 600;
    step->b = diff_roll(random, 4); /* how much of the listing is read again, from the middle */
}

/* Lists all, in pieces; goes back once to where a piece ended. */
void diff_run_getdents(struct diff_run *run, const struct diff_step *step)
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
    diff_look_at_step_fd(run, step);
}

/* -- Extended attributes ------------------------------------------------------------------------------------------- */

const char *diff_xattr_name(uint64_t which)
{
    static const char *const names[] = {"user.a",  "user.b", "trusted.a", "security.a",       "user.",
                                        "other.a", "",       "user.c",    "trusted.overlay.x"};
    return names[which % DIFF_COUNT(names)];
}

void diff_choose_xattr(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_chance(random, 60) ? diff_roll(random, 2) : diff_roll(random, 9);
    step->b = diff_chance(random, 80) ? diff_roll(random, 20) : diff_roll(random, 4) ? 0 : 65537;
    step->c = diff_some_at_flags(random);
    diff_empty_sometimes(random, step, step->c);
}

void diff_choose_setxattr(struct diff_random *random, struct diff_step *step)
{
    diff_choose_xattr(random, step);
    step->c |= diff_chance(random, 15) ? VRIFT_XATTR_CREATE : diff_chance(random, 10) ? VRIFT_XATTR_REPLACE : 0;
}

void diff_run_setxattr(struct diff_run *run, const struct diff_step *step)
{
    static char value[65540];
    memset(value, 'v', step->b);
    RESULT(setxattr, step->fd, PATH(step), diff_xattr_name(step->a), value, step->b, step->c);
    diff_look(run, step, false);
}

void diff_run_getxattr(struct diff_run *run, const struct diff_step *step)
{
    int64_t got = RESULT(getxattr, step->fd, PATH(step), diff_xattr_name(step->a), diff_bytes,
                         step->b < DIFF_MOST_IO ? step->b : DIFF_MOST_IO, step->c);
    diff_log_bytes(run->log, "value", diff_bytes, got <= 0 || !step->b ? 0 : (size_t)got);
}

void diff_run_listxattr(struct diff_run *run, const struct diff_step *step)
{
    int64_t got =
        RESULT(listxattr, step->fd, PATH(step), diff_bytes, step->b < 65537 ? step->b : DIFF_MOST_IO, step->c);
    diff_look_at_xattrs(run, diff_bytes, step->b ? got : 0, NULL);
}

void diff_run_removexattr(struct diff_run *run, const struct diff_step *step)
{
    RESULT(removexattr, step->fd, PATH(step), diff_xattr_name(step->a), step->c);
    diff_look(run, step, false);
}

/* -- Mounts -------------------------------------------------------------------------------------------------------- */

void diff_choose_mount(struct diff_random *random, struct diff_step *step)
{
    diff_choose_path(random, step);
    step->a = diff_roll(random, DIFF_DISKS);
}

void diff_run_mount(struct diff_run *run, const struct diff_step *step)
{
    /* Where a walk starts may be covered: then the kernel's side could not tell what mount(2) would say. */
    if (strspn(step->path, "./") == strlen(step->path) && !strstr(step->path, ".."))
        return;
    RESULT(mount, PATH(step), (uint32_t)step->a, 0);
    diff_look(run, step, false);
}

void diff_choose_bind(struct diff_random *random, struct diff_step *step)
{
    diff_choose_path(random, step);
    diff_some_path(random, step->path2);
}

void diff_run_bind(struct diff_run *run, const struct diff_step *step)
{
    RESULT(bind, PATH(step), PATH2(step));
    diff_look_at_second(run, step);
}

/*
 * The task's root cannot be taken away, and the kernel would make it read-only instead. The root of all can be, lazily,
 * by who stands elsewhere; libvrift refuses, since nothing would be left to name.
 */
static bool is_root(struct diff_run *run, const char *path)
{
    struct diff_facts here, root;
    return CALL(statat, DIFF_HERE, path, 0, &here) == 0 &&
           (here.mount_id == run->root_mount ||
            (CALL(statat, DIFF_HERE, "/", 0, &root) == 0 && here.mount_id == root.mount_id));
}

void diff_choose_remount(struct diff_random *random, struct diff_step *step)
{
    static const uint64_t flags[] = {0,
                                     0,
                                     0,
                                     VRIFT_MOUNT_RDONLY,
                                     VRIFT_MOUNT_NODEV,
                                     VRIFT_MOUNT_NOEXEC,
                                     VRIFT_MOUNT_NOSYMFOLLOW,
                                     VRIFT_MOUNT_NOSUID | VRIFT_MOUNT_RDONLY};
    diff_choose_path(random, step);
    step->a = DIFF_PICK(random, flags);
}

void diff_run_remount(struct diff_run *run, const struct diff_step *step)
{
    if (is_root(run, PATH(step)))
        return;
    RESULT(remount, PATH(step), step->a);
    diff_look(run, step, false);
}

void diff_choose_umount(struct diff_random *random, struct diff_step *step)
{
    diff_choose_path(random, step);
    step->a = diff_chance(random, 40) ? VRIFT_UMOUNT_DETACH : 0;
}

void diff_run_umount(struct diff_run *run, const struct diff_step *step)
{
    if (is_root(run, PATH(step)))
        return;
    RESULT(umount, PATH(step), step->a);
    diff_look(run, step, false);
}

void diff_run_mount_move(struct diff_run *run, const struct diff_step *step)
{
    if (is_root(run, PATH(step)))
        return; /* the kernel's root here lies on another one, out of sight */
    RESULT(mount_move, PATH(step), PATH2(step));
    diff_look(run, step, false);
    diff_look_at_second(run, step);
}
