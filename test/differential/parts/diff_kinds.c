/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The kinds of steps: what they share, and the table of all. */
#include "differential/parts/diff_kinds.h"

char diff_bytes[DIFF_MOST_IO];

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

void diff_look_at_second(struct diff_run *run, const struct diff_step *step)
{
    char buf[DIFF_EXPANDED];
    if (!step->look)
        return;
    const char *path = diff_expand(step->path2, buf, sizeof buf);
    diff_look_at_path(run, step->fd2, path);
    diff_look_at_parent(run, step->fd2, path);
}

void diff_look_at_step_fd(struct diff_run *run, const struct diff_step *step)
{
    if (step->look)
        diff_look_at_fd(run, step->fd);
}

void diff_choose_at(struct diff_random *random, struct diff_step *step)
{
    step->fd = diff_some_dirfd(random);
    diff_some_path(random, step->path);
}

void diff_choose_path(struct diff_random *random, struct diff_step *step)
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
void diff_empty_sometimes(struct diff_random *random, struct diff_step *step, uint64_t flags)
{
    if (flags & VRIFT_AT_EMPTY_PATH && diff_chance(random, 70)) {
        step->path[0] = '\0';
        if (step->fd == DIFF_HERE && diff_chance(random, 80))
            step->fd = diff_some_fd(random);
    }
}

/* -- The table ----------------------------------------------------------------------------------------------------- */

const struct diff_kind diff_kinds[] = {
    {"open", 100, diff_choose_open, diff_run_open, "vrift_openat(T, @d, @p, @o, @n)"},
    {"openat2", 40, diff_choose_openat2, diff_run_openat2,
     "vrift_openat2(T, @d, @p, &(struct vrift_open_how){sizeof(struct vrift_open_how), @n, @o, @x})"},
    {"close", 40, diff_choose_fd, diff_run_close, "vrift_close(T, @f)"},
    {"dup", 10, diff_choose_fd, diff_run_dup, "vrift_dup(T, @f)"},
    {"dup3", 10, diff_choose_dup3, diff_run_dup3, "vrift_dup3(T, @f, @g, @o)"},
    {"read", 20, diff_choose_io, diff_run_read, "vrift_read(T, @f, buf, @a)"},
    {"readv", 5, diff_choose_io, diff_run_readv, "vrift_readv(T, @f, iov /* @a / 3, @a */, 2)"},
    {"pread", 15, diff_choose_io, diff_run_pread, "vrift_pread(T, @f, buf, @a, @b)"},
    {"write", 30, diff_choose_io, diff_run_write, "vrift_write(T, @f, buf, @a)"},
    {"writev", 5, diff_choose_io, diff_run_writev, "vrift_writev(T, @f, iov /* @a / 3, @a */, 2)"},
    {"pwrite", 20, diff_choose_io, diff_run_pwrite, "vrift_pwrite(T, @f, buf, @a, @b)"},
    {"lseek", 20, diff_choose_lseek, diff_run_lseek, "vrift_lseek(T, @f, @a, @b)"},
    {"ftruncate", 15, diff_choose_ftruncate, diff_run_ftruncate, "vrift_ftruncate(T, @f, @a)"},
    {"truncate", 15, diff_choose_truncate, diff_run_truncate, "vrift_truncate(T, @p, @a)"},
    {"fsync", 2, diff_choose_fd, diff_run_fsync, "vrift_fsync(T, @f)"},
    {"mkdir", 50, diff_choose_mkdir, diff_run_mkdir, "vrift_mkdirat(T, @d, @p, @o)"},
    {"mknod", 20, diff_choose_mknod, diff_run_mknod, "vrift_mknodat(T, @d, @p, @o, VRIFT_MKDEV(@b, @c))"},
    {"unlink", 35, diff_choose_unlink, diff_run_unlink, "vrift_unlinkat(T, @d, @p, @x1)"},
    {"rmdir", 25, diff_choose_rmdir, diff_run_unlink, "vrift_unlinkat(T, @d, @p, VRIFT_AT_REMOVEDIR)"},
    {"rename", 80, diff_choose_rename, diff_run_rename, "vrift_renameat2(T, @d, @p, @e, @q, @a)"},
    {"link", 35, diff_choose_link, diff_run_link, "vrift_linkat(T, @d, @p, @e, @q, @x1)"},
    {"symlink", 35, diff_choose_two, diff_run_symlink, "vrift_symlinkat(T, @q, @d, @p)"},
    {"readlink", 15, diff_choose_readlink, diff_run_readlink, "vrift_readlinkat(T, @d, @p, buf, @a)"},
    {"stat", 40, diff_choose_stat, diff_run_stat, "vrift_statat(T, @d, @p, @x1, &st)"},
    {"fstat", 15, diff_choose_fd, diff_run_fstat, "vrift_fstat(T, @f, &st)"},
    {"chmod", 35, diff_choose_chmod, diff_run_chmod, "vrift_fchmodat(T, @d, @p, @o, @x2)"},
    {"chown", 35, diff_choose_chown, diff_run_chown, "vrift_fchownat(T, @d, @p, (uint32_t)@a, (uint32_t)@b, @x)"},
    {"utimens", 25, diff_choose_utimens, diff_run_utimens, "vrift_utimensat(T, @d, @p, times /* @a, @b */, @x)"},
    {"access", 25, diff_choose_access, diff_run_access, "vrift_faccessat(T, @d, @p, @a, @x2)"},
    {"statfs", 8, diff_choose_statfs, diff_run_statfs, "vrift_statfs(T, @d, @p, &sf)"},
    {"chdir", 25, diff_choose_path, diff_run_chdir, "vrift_chdir(T, @p)"},
    {"fchdir", 8, diff_choose_fd, diff_run_fchdir, "vrift_fchdir(T, @f)"},
    {"chroot", 4, diff_choose_path, diff_run_chroot, "vrift_chroot(T, @p)"},
    {"getcwd", 10, diff_choose_getcwd, diff_run_getcwd, "vrift_getcwd(T, buf, @a)"},
    {"umask", 8, diff_choose_umask, diff_run_umask, "vrift_umask(T, @o)"},
    {"cred", 15, diff_choose_cred, diff_run_cred, "vrift_task_set_cred(T, cred[@a])"},
    {"getdents", 20, diff_choose_getdents, diff_run_getdents, "vrift_getdents(T, @f, buf, @a, 0)"},
    {"setxattr", 20, diff_choose_setxattr, diff_run_setxattr, "vrift_setxattrat(T, @d, @p, \"@v\", value, @b, @x)"},
    {"getxattr", 12, diff_choose_xattr, diff_run_getxattr, "vrift_getxattrat(T, @d, @p, \"@v\", buf, @b, @x)"},
    {"listxattr", 10, diff_choose_xattr, diff_run_listxattr, "vrift_listxattrat(T, @d, @p, buf, @b, @x)"},
    {"removexattr", 10, diff_choose_xattr, diff_run_removexattr, "vrift_removexattrat(T, @d, @p, \"@v\", @x)"},
    {"mount", 6, diff_choose_mount, diff_run_mount, "vrift_mount(T, VRIFT_AT_FDCWD, @p, disk[@a], 0)"},
    {"bind", 8, diff_choose_bind, diff_run_bind, "vrift_bind(T, VRIFT_AT_FDCWD, @p, VRIFT_AT_FDCWD, @q, 0)"},
    {"remount", 5, diff_choose_remount, diff_run_remount, "vrift_remount(T, VRIFT_AT_FDCWD, @p, @x1)"},
    {"umount", 12, diff_choose_umount, diff_run_umount, "vrift_umount(T, VRIFT_AT_FDCWD, @p, @x1)"},
    {"mount_move", 4, diff_choose_bind, diff_run_mount_move,
     "vrift_mount_move(T, VRIFT_AT_FDCWD, @p, VRIFT_AT_FDCWD, @q, 0)"},
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
    {"dupfd", 6, diff_choose_dupfd, diff_run_dupfd, "vrift_dupfd(T, @f, @g, @o)"},
    {"close_range", 3, diff_choose_close_range, diff_run_close_range, "vrift_close_range(T, @a, @b, @c)"},
    {"getfd", 3, diff_choose_fd, diff_run_getfd, "vrift_getfd(T, @f)"},
    {"setfd", 3, diff_choose_setfd, diff_run_setfd, "vrift_setfd(T, @f, @a)"},
    {"getfl", 4, diff_choose_fd, diff_run_getfl, "vrift_getfl(T, @f)"},
    {"setfl", 6, diff_choose_setfl, diff_run_setfl, "vrift_setfl(T, @f, @o)"},
    {"fchmod", 8, diff_choose_fchmod, diff_run_fchmod, "vrift_fchmod(T, @f, @o)"},
    {"fchown", 8, diff_choose_fchown, diff_run_fchown, "vrift_fchown(T, @f, (uint32_t)@a, (uint32_t)@b)"},
    {"futimens", 6, diff_choose_futimens, diff_run_futimens, "vrift_futimens(T, @f, times /* @a, @b */)"},
    {"fdatasync", 1, diff_choose_fd, diff_run_fdatasync, "vrift_fdatasync(T, @f)"},
    {"fork", 4, diff_choose_fork, diff_run_fork, "fork_into(T, @a)"},
    {"drop_caches", 4, NULL, diff_run_drop, "vrift_vfs_drop_caches(vfs)"},
    {"dump", 0, NULL, diff_run_dump, "dump(T)"},
};
const uint32_t diff_kind_count = DIFF_COUNT(diff_kinds);

uint32_t diff_kind_named(const char *name)
{
    uint32_t kind = 0;
    while (strcmp(diff_kinds[kind].name, name) != 0)
        kind++;
    return kind;
}

void diff_run_begin(struct diff_run *run)
{
    struct diff_facts facts = {0};
    run->calls->statat(run->self, DIFF_HERE, "/", 0, &facts);
    run->root_mount = facts.mount_id;
}

void diff_run_step(struct diff_run *run, const struct diff_step *steps, uint32_t index)
{
    diff_log(run->log, diff_kinds[steps[index].kind].name, DIFF_STEP, index, 0);
    diff_kinds[steps[index].kind].run(run, &steps[index]);
}
