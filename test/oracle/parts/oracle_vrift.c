/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The questions' calls, asked of libvrift's public interface over the memory backend. */
#include "oracle/oracle.h"

#include "support/kernel.h"

struct vrift_side {
    vrift_vfs *vfs;
    vrift_task *task;
    vrift_mapping *mapping;
};

static vrift_task *task_of(void *self)
{
    return ((struct vrift_side *)self)->task;
}

static int64_t v_openat(void *self, int dirfd, const char *path, uint64_t flags, uint32_t mode)
{
    return vrift_openat(task_of(self), dirfd, path, flags, mode);
}

static int64_t v_openat2(void *self, int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct vrift_open_how how = {.size = sizeof how, .mode = (uint32_t)mode, .flags = flags, .resolve = resolve};
    return vrift_openat2(task_of(self), dirfd, path, &how);
}

static int64_t v_close(void *self, int fd)
{
    return vrift_close(task_of(self), fd);
}

static int64_t v_dup(void *self, int fd)
{
    return vrift_dup(task_of(self), fd);
}

static int64_t v_dup3(void *self, int fd, int to, uint64_t flags)
{
    return vrift_dup3(task_of(self), fd, to, flags);
}

static int64_t v_dupfd(void *self, int fd, int least, uint64_t flags)
{
    return vrift_dupfd(task_of(self), fd, least, flags);
}

static int64_t v_close_range(void *self, unsigned first, unsigned last, unsigned flags)
{
    return vrift_close_range(task_of(self), first, last, flags);
}

static int64_t v_getfd(void *self, int fd)
{
    return vrift_getfd(task_of(self), fd);
}

static int64_t v_setfd(void *self, int fd, uint64_t flags)
{
    return vrift_setfd(task_of(self), fd, flags);
}

static int64_t v_getfl(void *self, int fd)
{
    return vrift_getfl(task_of(self), fd);
}

static int64_t v_setfl(void *self, int fd, uint64_t flags)
{
    return vrift_setfl(task_of(self), fd, flags);
}

static int64_t v_max_files(void *self, uint32_t limit)
{
    return vrift_task_set_max_files(task_of(self), limit);
}

static int64_t v_flock(void *self, int fd, uint64_t operation)
{
    return vrift_flock(task_of(self), fd, operation, NULL);
}

static int64_t set_lock(vrift_task *task, int fd, uint64_t flags, int type)
{
    struct vrift_lock lock = {.size = sizeof lock, .type = type, .whence = VRIFT_SEEK_SET};
    return vrift_setlk(task, fd, flags, &lock, NULL);
}

static int64_t v_setlk(void *self, int fd, uint64_t flags, int type)
{
    return set_lock(task_of(self), fd, flags, type);
}

static int64_t v_lock_elsewhere(void *self, const char *path)
{
    vrift_task *child;
    check_ok(vrift_task_fork(task_of(self), &child));
    int64_t result = vrift_openat(child, AT, path, VRIFT_O_RDWR, 0);
    if (result >= 0)
        result = set_lock(child, (int)result, 0, VRIFT_F_WRLCK);
    vrift_task_free(child);
    return result;
}

static int64_t v_fchmod(void *self, int fd, uint32_t mode)
{
    return vrift_fchmod(task_of(self), fd, mode);
}

static int64_t v_fchown(void *self, int fd, uint32_t uid, uint32_t gid)
{
    return vrift_fchown(task_of(self), fd, uid, gid);
}

static int64_t v_sync(void *self, int fd, int how)
{
    vrift_task *task = task_of(self);
    return how == 0 ? vrift_fsync(task, fd) : how == 1 ? vrift_fdatasync(task, fd) : vrift_syncfs(task, fd);
}

static int64_t v_read(void *self, int fd, void *buf, size_t len)
{
    return vrift_read(task_of(self), fd, buf, len);
}

static int64_t v_write(void *self, int fd, const void *buf, size_t len)
{
    return vrift_write(task_of(self), fd, buf, len);
}

static int64_t v_pwrite(void *self, int fd, const void *buf, size_t len, uint64_t offset)
{
    return vrift_pwrite(task_of(self), fd, buf, len, offset);
}

static int64_t v_lseek(void *self, int fd, int64_t offset, int whence)
{
    return vrift_lseek(task_of(self), fd, offset, whence);
}

static int64_t v_ftruncate(void *self, int fd, uint64_t length)
{
    return vrift_ftruncate(task_of(self), fd, length);
}

static int64_t v_truncate(void *self, const char *path, uint64_t length)
{
    return vrift_truncate(task_of(self), path, length);
}

static int64_t v_fstat(void *self, int fd, struct vrift_stat *out)
{
    return vrift_fstat(task_of(self), fd, out);
}

static int64_t v_statat(void *self, int dirfd, const char *path, uint64_t flags, struct vrift_stat *out)
{
    return vrift_statat(task_of(self), dirfd, path, flags, out);
}

static int64_t v_statx(void *self, int dirfd, const char *path, uint64_t flags, uint64_t mask, struct vrift_stat *out)
{
    return vrift_statxat(task_of(self), dirfd, path, flags, mask, out);
}

static int64_t v_mkdirat(void *self, int dirfd, const char *path, uint32_t mode)
{
    return vrift_mkdirat(task_of(self), dirfd, path, mode);
}

static int64_t v_mknodat(void *self, int dirfd, const char *path, uint32_t mode)
{
    return vrift_mknodat(task_of(self), dirfd, path, mode, 0);
}

static int64_t v_unlinkat(void *self, int dirfd, const char *path, uint64_t flags)
{
    return vrift_unlinkat(task_of(self), dirfd, path, flags);
}

static int64_t v_renameat2(void *self, const char *from, const char *to, uint64_t flags)
{
    return vrift_renameat2(task_of(self), AT, from, AT, to, flags);
}

static int64_t v_linkat(void *self, int dirfd, const char *from, const char *to, uint64_t flags)
{
    return vrift_linkat(task_of(self), dirfd, from, AT, to, flags);
}

static int64_t v_symlinkat(void *self, const char *target, const char *path)
{
    return vrift_symlinkat(task_of(self), target, AT, path);
}

static int64_t v_readlinkat(void *self, const char *path, char *buf, size_t len)
{
    return vrift_readlinkat(task_of(self), AT, path, buf, len);
}

static int64_t v_fchmodat(void *self, int dirfd, const char *path, uint32_t mode, uint64_t flags)
{
    return vrift_fchmodat(task_of(self), dirfd, path, mode, flags);
}

static int64_t v_chown(void *self, const char *path, uint32_t uid, uint32_t gid)
{
    return vrift_fchownat(task_of(self), AT, path, uid, gid, 0);
}

static int64_t v_chdir(void *self, const char *path)
{
    return vrift_chdir(task_of(self), path);
}

static int64_t v_fchdir(void *self, int fd)
{
    return vrift_fchdir(task_of(self), fd);
}

static int64_t v_getcwd(void *self, char *buf, size_t len)
{
    return vrift_getcwd(task_of(self), buf, len);
}

static int64_t v_umask(void *self, uint32_t mask)
{
    return vrift_umask(task_of(self), mask);
}

static int64_t v_getdents(void *self, int fd, size_t size, struct oracle_entry *entries, size_t max)
{
    static uint64_t buf[8192];
    size_t count = 0;
    int64_t got = vrift_getdents(task_of(self), fd, buf, size, 0);
    if (got < 0)
        return got;
    for (int64_t at = 0; at < got && count < max;) {
        const struct vrift_dirent *entry = (const void *)((const char *)buf + at);
        entries[count].ino = entry->ino;
        entries[count].cookie = entry->cookie;
        snprintf(entries[count].name, sizeof entries[count].name, "%s", vrift_dirent_name(entry));
        count++;
        at += entry->record_length;
    }
    return (int64_t)count;
}

static int64_t v_mount(void *self, const char *path)
{
    struct vrift_side *side = self;
    struct vrift_mem_options options = {.size = sizeof options, .root_mode = 0777};
    vrift_sb *sb;
    int32_t result = vrift_mem_new(side->vfs, &options, &sb);
    if (result)
        return result;
    result = vrift_mount(side->task, AT, path, sb, 0);
    vrift_sb_unref(sb);
    return result;
}

static int64_t v_bind(void *self, const char *from, const char *to)
{
    return vrift_bind(task_of(self), AT, from, AT, to, 0);
}

static int64_t v_make_read_only(void *self, const char *path)
{
    return vrift_remount(task_of(self), AT, path, VRIFT_MOUNT_RDONLY);
}

static int64_t v_remount(void *self, const char *path, uint64_t flags)
{
    return vrift_remount(task_of(self), AT, path, flags);
}

static int64_t v_utimes(void *self, const char *path, int64_t atime, int64_t mtime)
{
    const struct vrift_timespec times[2] = {{.sec = atime}, {.sec = mtime}};
    return vrift_utimensat(task_of(self), AT, path, times, VRIFT_AT_SYMLINK_NOFOLLOW);
}

static int64_t v_transfer(void *self, int in, int out, int how)
{
    vrift_task *task = task_of(self);
    vrift_mapping *mapping;
    if (how == 0)
        return vrift_sendfile(task, out, in, NULL, 3);
    if (how == 1)
        return vrift_copy_file_range(task, in, NULL, out, NULL, 3, 0);
    int64_t result = vrift_map(task, in, 0, 3, VRIFT_PROT_READ, VRIFT_MAP_SHARED, &mapping);
    if (!result)
        vrift_map_free(mapping);
    return result;
}

static int64_t v_umount(void *self, const char *path, uint64_t flags)
{
    return vrift_umount(task_of(self), AT, path, flags);
}

static int64_t v_become(void *self, uint32_t uid, uint32_t gid, const uint32_t *groups, uint32_t group_count)
{
    struct vrift_side *side = self;
    struct vrift_cred_options options = {.size = sizeof options,
                                         .uid = uid,
                                         .gid = gid,
                                         .group_count = group_count,
                                         .groups = groups,
                                         .capabilities = uid == 0 ? VRIFT_CAP_ALL : 0};
    vrift_cred *cred;
    int32_t result = vrift_cred_new(side->vfs, &options, &cred);
    if (result)
        return result;
    result = vrift_task_set_cred(side->task, cred);
    vrift_cred_unref(cred);
    return result;
}

static int64_t v_setxattr(void *self, const char *path, const char *name, const void *value, size_t len, uint64_t flags)
{
    return vrift_setxattrat(task_of(self), AT, path, name, value, len, flags | VRIFT_AT_SYMLINK_NOFOLLOW);
}

static int64_t v_getxattr(void *self, const char *path, const char *name, void *buf, size_t len)
{
    return vrift_getxattrat(task_of(self), AT, path, name, buf, len, VRIFT_AT_SYMLINK_NOFOLLOW);
}

static int64_t v_listxattr(void *self, const char *path, char *buf, size_t len)
{
    return vrift_listxattrat(task_of(self), AT, path, buf, len, VRIFT_AT_SYMLINK_NOFOLLOW);
}

static int64_t v_fgetxattr(void *self, int fd, const char *name, void *buf, size_t len)
{
    struct vrift_side *side = self;
    return vrift_fgetxattr(side->task, fd, name, buf, len);
}

static void *v_map(void *self, int fd)
{
    struct vrift_side *side = self;
    if (vrift_map(side->task, fd, 0, 4096, VRIFT_PROT_READ | VRIFT_PROT_WRITE, VRIFT_MAP_SHARED, &side->mapping) < 0)
        return NULL;
    return vrift_map_address(side->mapping);
}

static void v_unmap(void *self, void *address)
{
    struct vrift_side *side = self;
    (void)address;
    vrift_map_free(side->mapping);
}

const struct oracle_calls oracle_vrift_calls = {
    .name = "libvrift",
    .openat = v_openat,
    .openat2 = v_openat2,
    .close = v_close,
    .dup = v_dup,
    .dup3 = v_dup3,
    .dupfd = v_dupfd,
    .close_range = v_close_range,
    .getfd = v_getfd,
    .setfd = v_setfd,
    .getfl = v_getfl,
    .setfl = v_setfl,
    .max_files = v_max_files,
    .flock = v_flock,
    .setlk = v_setlk,
    .lock_elsewhere = v_lock_elsewhere,
    .fchmod = v_fchmod,
    .fchown = v_fchown,
    .sync = v_sync,
    .read = v_read,
    .write = v_write,
    .pwrite = v_pwrite,
    .lseek = v_lseek,
    .ftruncate = v_ftruncate,
    .truncate = v_truncate,
    .fstat = v_fstat,
    .statat = v_statat,
    .statx = v_statx,
    .mkdirat = v_mkdirat,
    .mknodat = v_mknodat,
    .unlinkat = v_unlinkat,
    .renameat2 = v_renameat2,
    .linkat = v_linkat,
    .symlinkat = v_symlinkat,
    .readlinkat = v_readlinkat,
    .fchmodat = v_fchmodat,
    .chown = v_chown,
    .chdir = v_chdir,
    .fchdir = v_fchdir,
    .getcwd = v_getcwd,
    .umask = v_umask,
    .getdents = v_getdents,
    .mount = v_mount,
    .bind = v_bind,
    .make_read_only = v_make_read_only,
    .remount = v_remount,
    .utimes = v_utimes,
    .transfer = v_transfer,
    .umount = v_umount,
    .become = v_become,
    .setxattr = v_setxattr,
    .getxattr = v_getxattr,
    .listxattr = v_listxattr,
    .fgetxattr = v_fgetxattr,
    .map = v_map,
    .unmap = v_unmap,
};

void *oracle_vrift_new(void)
{
    struct vrift_side *side = calloc(1, sizeof *side);
    struct vrift_mem_options options = {.size = sizeof options, .root_mode = 0755};
    vrift_sb *sb;
    vrift_ns *ns;
    assert_non_null(side);
    const struct vrift_vfs_options set_alike = {.size = sizeof set_alike, .protect = kernel_protection()};
    check_ok(vrift_vfs_new(&set_alike, &side->vfs));
    check_ok(vrift_mem_new(side->vfs, &options, &sb));
    check_ok(vrift_ns_new(side->vfs, sb, 0, &ns));
    check_ok(vrift_task_new(ns, NULL, NULL, &side->task));
    vrift_ns_unref(ns);
    vrift_sb_unref(sb);
    check_ok(vrift_mkdirat(side->task, AT, "/proc", 0755));
    check_ok(vrift_mkdirat(side->task, AT, "/proc/self", 0755));
    check_ok(vrift_mkdirat(side->task, AT, "/proc/self/fd", 0755));
    check_ok(vrift_fd_new(side->task, &sb));
    check_ok(vrift_mount(side->task, AT, "/proc/self/fd", sb, 0));
    vrift_sb_unref(sb);
    check_ok(vrift_mkdirat(side->task, AT, "/base", 0755));
    check_ok(v_mount(side, "/base"));
    return side;
}

void oracle_vrift_free(void *self)
{
    struct vrift_side *side = self;
    vrift_task_free(side->task);
    vrift_vfs_free(side->vfs);
    free(side);
}
