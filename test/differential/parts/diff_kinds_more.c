/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* More kinds of steps: space and copies, locks, attributes by descriptor, inode flags, ACLs. */
#include "differential/parts/diff_kinds.h"

#define NULL_OFFSET UINT64_MAX

static void look_at_fds(struct diff_run *run, const struct diff_step *step, bool both)
{
    if (step->look)
        diff_look_at_fd(run, step->fd);
    if (step->look && both)
        diff_look_at_fd(run, step->fd2);
}

/* -- Space and copies ---------------------------------------------------------------------------------------------- */

static uint64_t some_place(struct diff_random *random)
{
    static const uint64_t places[] = {0, 1, 100, 4096, 5000, 8192, 12288, 20000, 65536};
    return diff_chance(random, 2) ? (uint64_t)-1 - diff_roll(random, 3) : DIFF_PICK(random, places);
}

void diff_choose_fallocate(struct diff_random *random, struct diff_step *step)
{
    /* Not the modes that tmpfs lacks and the memory backend has. */
    static const uint64_t modes[] = {0,
                                     0,
                                     VRIFT_FALLOC_KEEP_SIZE,
                                     VRIFT_FALLOC_PUNCH_HOLE | VRIFT_FALLOC_KEEP_SIZE,
                                     VRIFT_FALLOC_PUNCH_HOLE | VRIFT_FALLOC_KEEP_SIZE,
                                     VRIFT_FALLOC_PUNCH_HOLE};
    diff_choose_fd(random, step);
    step->a = DIFF_PICK(random, modes);
    step->b = some_place(random);
    step->c = some_place(random);
}

void diff_run_fallocate(struct diff_run *run, const struct diff_step *step)
{
    RESULT(fallocate, step->fd, step->a, (int64_t)step->b, (int64_t)step->c);
    look_at_fds(run, step, false);
}

void diff_choose_copy(struct diff_random *random, struct diff_step *step)
{
    static const uint64_t counts[] = {0, 1, 100, 4096, 10000};
    step->fd = diff_some_fd(random);
    step->fd2 = diff_some_fd(random);
    step->a = diff_chance(random, 40) ? NULL_OFFSET : some_place(random) % 100000;
    step->b = diff_chance(random, 40) ? NULL_OFFSET : some_place(random) % 100000;
    step->c = DIFF_PICK(random, counts);
}

static void log_offset(struct diff_run *run, int64_t offset)
{
    diff_log(run->log, "offset", DIFF_NUMBER, (uint64_t)offset, 0);
}

/* libvrift copies between file systems, which Linux does not: see docs/semantics.md. */
static bool on_two_systems(struct diff_run *run, const struct diff_step *step)
{
    struct diff_facts one, other;
    return run->calls->fstat(run->self, step->fd, &one) == 0 && run->calls->fstat(run->self, step->fd2, &other) == 0 &&
           one.dev != other.dev;
}

void diff_run_copy(struct diff_run *run, const struct diff_step *step)
{
    if (on_two_systems(run, step))
        return;
    int64_t in = (int64_t)step->a, out = (int64_t)step->b;
    RESULT(copy_file_range, step->fd, step->a == NULL_OFFSET ? NULL : &in, step->fd2,
           step->b == NULL_OFFSET ? NULL : &out, step->c);
    log_offset(run, in);
    log_offset(run, out);
    look_at_fds(run, step, true);
}

/* Within one file, onto what is still to be read: see docs/semantics.md. */
static bool overtakes_itself(struct diff_run *run, const struct diff_step *step)
{
    struct diff_facts from, to;
    if (CALL(fstat, step->fd, &from) < 0 || CALL(fstat, step->fd2, &to) < 0 || from.dev != to.dev ||
        from.ino != to.ino || (from.mode & VRIFT_S_IFMT) != VRIFT_S_IFREG)
        return false;
    int64_t in = step->a == NULL_OFFSET ? CALL(lseek, step->fd, 0, VRIFT_SEEK_CUR) : (int64_t)step->a;
    int64_t out = CALL(lseek, step->fd2, 0, VRIFT_SEEK_CUR), count = (int64_t)step->c;
    return in < out + count && out < in + count;
}

void diff_run_sendfile(struct diff_run *run, const struct diff_step *step)
{
    if (overtakes_itself(run, step))
        return;
    int64_t in = (int64_t)step->a;
    RESULT(sendfile, step->fd2, step->fd, step->a == NULL_OFFSET ? NULL : &in, step->c);
    log_offset(run, in);
    look_at_fds(run, step, true);
}

/* -- Locks --------------------------------------------------------------------------------------------------------- */

void diff_choose_flock(struct diff_random *random, struct diff_step *step)
{
    static const uint64_t operations[] = {
        VRIFT_LOCK_SH, VRIFT_LOCK_EX, VRIFT_LOCK_EX, VRIFT_LOCK_UN, 0, VRIFT_LOCK_SH | VRIFT_LOCK_EX};
    diff_choose_fd(random, step);
    step->a = operations[diff_roll(random, diff_chance(random, 5) ? 6 : 4)] | VRIFT_LOCK_NB;
}

void diff_run_flock(struct diff_run *run, const struct diff_step *step)
{
    RESULT(flock, step->fd, step->a);
}

void diff_choose_lock(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->fd2 = (int16_t)diff_roll(random, diff_chance(random, 3) ? 4 : 3); /* whence */
    step->a = (diff_chance(random, 2) ? 3 : diff_roll(random, 3)) | (diff_chance(random, 40) ? 16 : 0);
    step->b = (uint64_t)((int64_t)diff_roll(random, 12) - (diff_chance(random, 10) ? 6 : 0));
    step->c = (uint64_t)((int64_t)diff_roll(random, 8) - (diff_chance(random, 10) ? 4 : 0));
}

/* A directory's position is each file system's own. */
static struct diff_lock lock_of(struct diff_run *run, const struct diff_step *step)
{
    struct diff_facts facts;
    if (step->fd2 == VRIFT_SEEK_CUR && run->calls->fstat(run->self, step->fd, &facts) == 0 &&
        (facts.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR)
        return (struct diff_lock){(int32_t)(step->a & 15), VRIFT_SEEK_SET, (int64_t)step->b, (int64_t)step->c};
    return (struct diff_lock){(int32_t)(step->a & 15), step->fd2, (int64_t)step->b, (int64_t)step->c};
}

void diff_run_setlk(struct diff_run *run, const struct diff_step *step)
{
    struct diff_lock lock = lock_of(run, step);
    RESULT(setlk, step->fd, step->a & 16, &lock);
}

void diff_run_getlk(struct diff_run *run, const struct diff_step *step)
{
    struct diff_lock lock = lock_of(run, step);
    if (RESULT(getlk, step->fd, step->a & 16, &lock) < 0)
        return;
    diff_log(run->log, "lock type", DIFF_NUMBER, (uint64_t)lock.type, 0);
    if (lock.type == VRIFT_F_UNLCK)
        return;
    diff_log(run->log, "lock whence", DIFF_NUMBER, (uint64_t)lock.whence, 0);
    diff_log(run->log, "lock start", DIFF_NUMBER, (uint64_t)lock.start, 0);
    diff_log(run->log, "lock length", DIFF_NUMBER, (uint64_t)lock.length, 0);
}

/* -- Attributes by descriptor -------------------------------------------------------------------------------------- */

void diff_choose_fxattr(struct diff_random *random, struct diff_step *step)
{
    diff_choose_fd(random, step);
    step->a = diff_chance(random, 60) ? diff_roll(random, 2) : diff_roll(random, 9);
    step->b = diff_chance(random, 80) ? diff_roll(random, 20) : 0;
    step->c = diff_chance(random, 15) ? VRIFT_XATTR_CREATE : diff_chance(random, 10) ? VRIFT_XATTR_REPLACE : 0;
}

void diff_run_fsetxattr(struct diff_run *run, const struct diff_step *step)
{
    char value[32];
    memset(value, 'f', sizeof value);
    RESULT(fsetxattr, step->fd, diff_xattr_name(step->a), value, step->b, step->c);
    look_at_fds(run, step, false);
}

void diff_run_fgetxattr(struct diff_run *run, const struct diff_step *step)
{
    char value[32];
    int64_t got = RESULT(fgetxattr, step->fd, diff_xattr_name(step->a), value, step->b);
    diff_log_bytes(run->log, "value", value, got <= 0 || !step->b ? 0 : (size_t)got);
}

void diff_run_flistxattr(struct diff_run *run, const struct diff_step *step)
{
    char list[1024];
    int64_t got = RESULT(flistxattr, step->fd, list, step->b ? sizeof list : 0);
    diff_look_at_xattrs(run, list, step->b ? got : 0, NULL);
}

void diff_run_fremovexattr(struct diff_run *run, const struct diff_step *step)
{
    RESULT(fremovexattr, step->fd, diff_xattr_name(step->a));
    look_at_fds(run, step, false);
}

/* -- Flags of inodes ----------------------------------------------------------------------------------------------- */

void diff_choose_setflags(struct diff_random *random, struct diff_step *step)
{
    static const uint64_t flags[] = {0,
                                     0,
                                     0,
                                     0,
                                     VRIFT_FL_NODUMP,
                                     VRIFT_FL_NOATIME,
                                     VRIFT_FL_APPEND,
                                     VRIFT_FL_IMMUTABLE,
                                     VRIFT_FL_APPEND | VRIFT_FL_IMMUTABLE};
    diff_choose_fd(random, step);
    step->a = DIFF_PICK(random, flags);
}

void diff_run_setflags(struct diff_run *run, const struct diff_step *step)
{
    /* A host does not keep the one, and takes no setuid bit away from a file with the others: see docs/semantics.md. */
    if (diff_backend == DIFF_HOST && step->a & (VRIFT_FL_NOATIME | VRIFT_FL_IMMUTABLE | VRIFT_FL_APPEND))
        return;
    RESULT(setflags, step->fd, step->a);
    look_at_fds(run, step, false);
}

void diff_run_getflags(struct diff_run *run, const struct diff_step *step)
{
    uint64_t flags = 0;
    if (RESULT(getflags, step->fd, &flags) >= 0)
        diff_log(run->log, "flags", DIFF_NUMBER, flags, 0);
}

/* -- Access control lists ------------------------------------------------------------------------------------------ */

struct acl_entry {
    uint16_t tag, perm;
    uint32_t id;
};
#define ACL_USER_OBJ  1
#define ACL_USER      2
#define ACL_GROUP_OBJ 4
#define ACL_GROUP     8
#define ACL_MASK      16
#define ACL_OTHER     32
#define NOBODY        UINT32_MAX

struct acl {
    uint32_t version;
    struct acl_entry entries[8];
};

/* A list from a number: its entries' permissions and whom it names; rarely one that is none. Returns its size. */
static size_t make_acl(uint64_t seed, struct acl *acl)
{
    static const uint32_t ids[] = {1000, 1001, 100, 0};
    size_t count = 0;
    uint16_t perm = (uint16_t)(seed & 7);
    acl->version = 2;
    acl->entries[count++] = (struct acl_entry){ACL_USER_OBJ, seed >> 3 & 7, NOBODY};
    if (seed & 1 << 6)
        acl->entries[count++] = (struct acl_entry){ACL_USER, perm, ids[seed >> 7 & 3]};
    acl->entries[count++] = (struct acl_entry){ACL_GROUP_OBJ, seed >> 9 & 7, NOBODY};
    if (seed & 1 << 12)
        acl->entries[count++] = (struct acl_entry){ACL_GROUP, seed >> 13 & 7, ids[seed >> 16 & 3]};
    if (seed & (1 << 6 | 1 << 12) || seed & 1 << 18)
        acl->entries[count++] = (struct acl_entry){ACL_MASK, seed >> 19 & 7, NOBODY};
    acl->entries[count++] = (struct acl_entry){ACL_OTHER, seed >> 22 & 7, NOBODY};
    if ((seed >> 25 & 63) == 0)
        acl->entries[0].tag = ACL_OTHER;
    return sizeof acl->version + count * sizeof acl->entries[0];
}

static const char *acl_name(uint64_t which)
{
    return which & 1 ? "system.posix_acl_default" : "system.posix_acl_access";
}

void diff_choose_acl(struct diff_random *random, struct diff_step *step)
{
    diff_choose_at(random, step);
    step->a = diff_roll(random, 2);
    step->b = ((uint64_t)diff_roll(random, 1u << 31)) | 7 << 3;
    step->c = diff_chance(random, 20) ? VRIFT_AT_SYMLINK_NOFOLLOW : 0;
}

void diff_run_setacl(struct diff_run *run, const struct diff_step *step)
{
    struct acl acl;
    size_t size = make_acl(step->b, &acl);
    RESULT(setxattr, step->fd, PATH(step), acl_name(step->a), &acl, size, step->c);
    diff_look(run, step, false);
}

void diff_run_getacl(struct diff_run *run, const struct diff_step *step)
{
    struct acl acl;
    int64_t got = RESULT(getxattr, step->fd, PATH(step), acl_name(step->a), &acl, sizeof acl, step->c);
    diff_log_bytes(run->log, "acl", &acl, got < 0 ? 0 : (size_t)got);
}

void diff_run_removeacl(struct diff_run *run, const struct diff_step *step)
{
    if (diff_backend == DIFF_OVERLAY)
        return; /* whether that stamps is for the layer to say */
    RESULT(removexattr, step->fd, PATH(step), acl_name(step->a), step->c);
    diff_look(run, step, false);
}
