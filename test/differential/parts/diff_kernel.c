/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls, as plain system calls of the running kernel. */
#include "differential/parts/diff_process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define EACCESS 0x200 /* AT_EACCESS of faccessat2 */

static int64_t answer(int64_t result)
{
    return result < 0 ? vrift_err_from_host_errno(errno) : result;
}

static int64_t k_openat(void *self, int dirfd, const char *path, uint64_t flags, uint32_t mode)
{
    (void)self;
    return answer(syscall(SYS_openat, dirfd, path, (int)flags, mode));
}

static int64_t k_openat2(void *self, int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {flags, mode, resolve};
    (void)self;
    int64_t result;
    /* Any rename or mount on the machine makes a walk in a scope give up: then again. */
    do
        result = answer(syscall(SYS_openat2, dirfd, path, &how, sizeof how));
    while (result == -VRIFT_EAGAIN && !(resolve & VRIFT_RESOLVE_CACHED));
    return result;
}

static int64_t k_close(void *self, int fd)
{
    (void)self;
    return answer(close(fd));
}

static int64_t k_dup(void *self, int fd)
{
    (void)self;
    return answer(dup(fd));
}

static int64_t k_dup3(void *self, int fd, int fd2, uint64_t flags)
{
    (void)self;
    return answer(dup3(fd, fd2, (int)flags));
}

static void to_iovec(const struct vrift_iovec *iov, uint32_t count, struct iovec *out)
{
    for (uint32_t i = 0; i < count; i++)
        out[i] = (struct iovec){iov[i].base, iov[i].length};
}

static int64_t k_read(void *self, int fd, void *buf, size_t len)
{
    (void)self;
    return answer(read(fd, buf, len));
}

static int64_t k_write(void *self, int fd, const void *buf, size_t len)
{
    (void)self;
    return answer(write(fd, buf, len));
}

static int64_t k_readv(void *self, int fd, const struct vrift_iovec *iov, uint32_t count)
{
    struct iovec own[4];
    (void)self;
    to_iovec(iov, count, own);
    return answer(readv(fd, own, (int)count));
}

static int64_t k_writev(void *self, int fd, const struct vrift_iovec *iov, uint32_t count)
{
    struct iovec own[4];
    (void)self;
    to_iovec(iov, count, own);
    return answer(writev(fd, own, (int)count));
}

static int64_t k_pread(void *self, int fd, void *buf, size_t len, uint64_t offset)
{
    (void)self;
    return answer(pread(fd, buf, len, (off_t)offset));
}

static int64_t k_pwrite(void *self, int fd, const void *buf, size_t len, uint64_t offset)
{
    (void)self;
    return answer(pwrite(fd, buf, len, (off_t)offset));
}

static int64_t k_lseek(void *self, int fd, int64_t offset, int whence)
{
    (void)self;
    return answer(lseek(fd, offset, whence));
}

static int64_t k_ftruncate(void *self, int fd, int64_t length)
{
    (void)self;
    return answer(ftruncate(fd, length));
}

static int64_t k_truncate(void *self, const char *path, int64_t length)
{
    (void)self;
    return answer(truncate(path, length));
}

static int64_t k_fsync(void *self, int fd)
{
    (void)self;
    return answer(fsync(fd));
}

static struct vrift_timespec time_of(const struct statx_timestamp *time)
{
    return (struct vrift_timespec){time->tv_sec, time->tv_nsec, 0};
}

static int64_t k_statat(void *self, int dirfd, const char *path, uint64_t flags, struct diff_facts *out)
{
    struct statx st;
    (void)self;
    int64_t result =
        answer(statx(dirfd, path, (int)flags, STATX_BASIC_STATS | STATX_BTIME | 0x4000 /* STATX_MNT_ID_UNIQUE */, &st));
    if (result < 0)
        return result;
    *out = (struct diff_facts){.dev = makedev(st.stx_dev_major, st.stx_dev_minor),
                               .ino = st.stx_ino,
                               .size = st.stx_size,
                               .blocks = st.stx_blocks,
                               .rdev = VRIFT_MKDEV(st.stx_rdev_major, st.stx_rdev_minor),
                               .mount_id = st.stx_mnt_id,
                               .mode = st.stx_mode,
                               .nlink = st.stx_nlink,
                               .uid = st.stx_uid,
                               .gid = st.stx_gid,
                               .atime = time_of(&st.stx_atime),
                               .mtime = time_of(&st.stx_mtime),
                               .ctime = time_of(&st.stx_ctime),
                               .btime = time_of(&st.stx_btime)};
    return 0;
}

static int64_t k_fstat(void *self, int fd, struct diff_facts *out)
{
    return k_statat(self, fd, "", AT_EMPTY_PATH, out);
}

static int64_t k_mkdirat(void *self, int dirfd, const char *path, uint32_t mode)
{
    (void)self;
    return answer(mkdirat(dirfd, path, mode));
}

static int64_t k_mknodat(void *self, int dirfd, const char *path, uint32_t mode, uint32_t maj, uint32_t min)
{
    (void)self;
    return answer(mknodat(dirfd, path, mode, makedev(maj, min)));
}

static int64_t k_unlinkat(void *self, int dirfd, const char *path, uint64_t flags)
{
    (void)self;
    return answer(unlinkat(dirfd, path, (int)flags));
}

static int64_t k_renameat2(void *self, int fd, const char *path, int fd2, const char *path2, uint64_t flags)
{
    (void)self;
    return answer(syscall(SYS_renameat2, fd, path, fd2, path2, (unsigned)flags));
}

static int64_t k_linkat(void *self, int fd, const char *path, int fd2, const char *path2, uint64_t flags)
{
    (void)self;
    return answer(linkat(fd, path, fd2, path2, (int)flags));
}

static int64_t k_symlinkat(void *self, const char *target, int dirfd, const char *path)
{
    (void)self;
    return answer(symlinkat(target, dirfd, path));
}

static int64_t k_readlinkat(void *self, int dirfd, const char *path, char *buf, size_t len)
{
    (void)self;
    return answer(readlinkat(dirfd, path, buf, len));
}

static int64_t k_fchmodat(void *self, int dirfd, const char *path, uint32_t mode, uint64_t flags)
{
    (void)self;
    return answer(syscall(452 /* fchmodat2 */, dirfd, path, mode, (unsigned)flags));
}

static int64_t k_fchownat(void *self, int dirfd, const char *path, uint32_t uid, uint32_t gid, uint64_t flags)
{
    (void)self;
    return answer(fchownat(dirfd, path, uid, gid, (int)flags));
}

static int64_t k_utimensat(void *self, int dirfd, const char *path, const struct vrift_timespec *times, uint64_t flags)
{
    (void)self;
    if (!times)
        return answer(syscall(SYS_utimensat, dirfd, path, NULL, (int)flags));
    struct timespec own[2] = {{times[0].sec, times[0].nsec}, {times[1].sec, times[1].nsec}};
    return answer(syscall(SYS_utimensat, dirfd, path, own, (int)flags));
}

static int64_t k_faccessat(void *self, int dirfd, const char *path, uint32_t mode, uint64_t flags)
{
    (void)self;
    return answer(syscall(439 /* faccessat2 */, dirfd, path, mode, (unsigned)flags | EACCESS));
}

static int64_t k_chdir(void *self, const char *path)
{
    (void)self;
    return answer(chdir(path));
}

static int64_t k_fchdir(void *self, int fd)
{
    (void)self;
    return answer(fchdir(fd));
}

static int64_t k_chroot(void *self, const char *path)
{
    (void)self;
    return answer(chroot(path));
}

static int64_t k_getcwd(void *self, char *buf, size_t len)
{
    (void)self;
    return answer(syscall(SYS_getcwd, buf, len));
}

static int64_t k_umask(void *self, uint32_t mask)
{
    (void)self;
    return umask(mask);
}

static int set_effective(uint64_t wanted)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    data[0].effective = (uint32_t)wanted & data[0].permitted;
    data[1].effective = (uint32_t)(wanted >> 32) & data[1].permitted;
    return (int)syscall(SYS_capset, &header, data);
}

/* The real user stays root, so that there is a way back; the kernel checks the effective ones. */
static int64_t k_become(void *self, uint32_t which)
{
    const struct diff_cred *cred = &diff_creds[which];
    (void)self;
    if (syscall(SYS_setresuid, -1, 0, -1) < 0 || set_effective(UINT64_MAX) < 0 ||
        syscall(SYS_setgroups, (size_t)cred->group_count, cred->groups) < 0 ||
        syscall(SYS_setresgid, -1, cred->gid, -1) < 0 || syscall(SYS_setresuid, -1, cred->uid, -1) < 0 ||
        set_effective(cred->capabilities) < 0)
        return answer(-1);
    return 0;
}

static int64_t k_getdents(void *self, int fd, size_t size, struct diff_listing *listing)
{
    struct kernel_dirent {
        uint64_t ino;
        uint64_t next;
        uint16_t record_length;
        uint8_t type;
        char name[];
    };
    static uint64_t buf[8192];
    (void)self;
    long got = syscall(SYS_getdents64, fd, buf, size);
    if (got < 0)
        return answer(got);
    uint32_t before = listing->count;
    for (long at = 0; at < got && listing->count < DIFF_MOST_ENTRIES;) {
        const struct kernel_dirent *from = (const void *)((const char *)buf + at);
        struct diff_entry *to = &listing->entries[listing->count++];
        to->ino = from->ino;
        to->cookie = from->next;
        to->type = from->type;
        snprintf(to->name, sizeof to->name, "%s", from->name);
        at += from->record_length;
    }
    return listing->count - before;
}

static int64_t k_statfs(void *self, int dirfd, const char *path, struct vrift_statfs *out)
{
    struct statfs st;
    (void)self;
    int64_t result = answer(dirfd == DIFF_HERE ? statfs(path, &st) : fstatfs(dirfd, &st));
    if (result < 0)
        return result;
    *out = (struct vrift_statfs){.type = (uint64_t)st.f_type, .namelen = (uint64_t)st.f_namelen};
    out->bsize = (uint64_t)st.f_bsize;
    out->flags =
        (uint64_t)st.f_flags & (VRIFT_MOUNT_RDONLY | VRIFT_MOUNT_NOSUID | VRIFT_MOUNT_NODEV | VRIFT_MOUNT_NOEXEC);
    if (st.f_flags & 0x2000 /* ST_NOSYMFOLLOW */)
        out->flags |= VRIFT_MOUNT_NOSYMFOLLOW;
    if (st.f_flags & 0x1000 /* ST_RELATIME */)
        out->flags |= VRIFT_MOUNT_RELATIME;
    return 0;
}

struct xattr_args {
    _Alignas(8) uint64_t value;
    uint32_t size;
    uint32_t flags;
};

#define AT_BITS (VRIFT_AT_SYMLINK_NOFOLLOW | VRIFT_AT_EMPTY_PATH)

static int64_t k_setxattr(void *self, int dirfd, const char *path, const char *name, const void *value, size_t len,
                          uint64_t flags)
{
    struct xattr_args args = {(uintptr_t)value, (uint32_t)len, (uint32_t)(flags & ~AT_BITS)};
    (void)self;
    return answer(syscall(463 /* setxattrat */, dirfd, path, (unsigned)(flags & AT_BITS), name, &args, sizeof args));
}

static int64_t k_getxattr(void *self, int dirfd, const char *path, const char *name, void *buf, size_t len,
                          uint64_t flags)
{
    struct xattr_args args = {(uintptr_t)buf, (uint32_t)len, 0};
    (void)self;
    return answer(syscall(464 /* getxattrat */, dirfd, path, (unsigned)flags, name, &args, sizeof args));
}

static int64_t k_listxattr(void *self, int dirfd, const char *path, char *buf, size_t len, uint64_t flags)
{
    (void)self;
    return answer(syscall(465 /* listxattrat */, dirfd, path, (unsigned)flags, buf, len));
}

static int64_t k_removexattr(void *self, int dirfd, const char *path, const char *name, uint64_t flags)
{
    (void)self;
    return answer(syscall(466 /* removexattrat */, dirfd, path, (unsigned)flags, name));
}

static int64_t k_fallocate(void *self, int fd, uint64_t mode, int64_t offset, int64_t length)
{
    (void)self;
    return answer(fallocate(fd, (int)mode, offset, length));
}

static int64_t k_copy_file_range(void *self, int fd, int64_t *offset, int fd2, int64_t *offset2, uint64_t count)
{
    (void)self;
    return answer(copy_file_range(fd, offset, fd2, offset2, count, 0));
}

static int64_t k_sendfile(void *self, int to, int from, int64_t *offset, uint64_t count)
{
    (void)self;
    return answer(sendfile(to, from, offset, count));
}

static int64_t k_flock(void *self, int fd, uint64_t operation)
{
    (void)self;
    return answer(flock(fd, (int)operation));
}

static struct flock to_flock(const struct diff_lock *lock)
{
    return (struct flock){
        .l_type = (short)lock->type, .l_whence = (short)lock->whence, .l_start = lock->start, .l_len = lock->length};
}

static int64_t k_setlk(void *self, int fd, bool ofd, const struct diff_lock *lock)
{
    struct flock own = to_flock(lock);
    (void)self;
    return answer(fcntl(fd, ofd ? F_OFD_SETLK : F_SETLK, &own));
}

static int64_t k_getlk(void *self, int fd, bool ofd, struct diff_lock *lock)
{
    struct flock own = to_flock(lock);
    (void)self;
    int64_t result = answer(fcntl(fd, ofd ? F_OFD_GETLK : F_GETLK, &own));
    *lock = (struct diff_lock){own.l_type, own.l_whence, own.l_start, own.l_len};
    return result;
}

static int64_t k_fsetxattr(void *self, int fd, const char *name, const void *value, size_t len, uint64_t flags)
{
    (void)self;
    return answer(fsetxattr(fd, name, value, len, (int)flags));
}

static int64_t k_fgetxattr(void *self, int fd, const char *name, void *buf, size_t len)
{
    (void)self;
    return answer(fgetxattr(fd, name, buf, len));
}

static int64_t k_flistxattr(void *self, int fd, char *buf, size_t len)
{
    (void)self;
    return answer(flistxattr(fd, buf, len));
}

static int64_t k_fremovexattr(void *self, int fd, const char *name)
{
    (void)self;
    return answer(fremovexattr(fd, name));
}

static int64_t k_setflags(void *self, int fd, uint64_t flags)
{
    int own = (int)flags;
    (void)self;
    return answer(ioctl(fd, FS_IOC_SETFLAGS, &own));
}

static int64_t k_getflags(void *self, int fd, uint64_t *flags)
{
    int own = 0;
    (void)self;
    int64_t result = answer(ioctl(fd, FS_IOC_GETFLAGS, &own));
    *flags = (uint64_t)(unsigned)own;
    return result;
}

static int64_t k_dupfd(void *self, int fd, int least, uint64_t flags)
{
    (void)self;
    return answer(fcntl(fd, flags ? F_DUPFD_CLOEXEC : F_DUPFD, least));
}

static int64_t k_close_range(void *self, uint32_t first, uint32_t last, uint64_t flags)
{
    (void)self;
    return answer(syscall(436 /* close_range */, first, last, (unsigned)flags));
}

static int64_t k_getfd(void *self, int fd)
{
    (void)self;
    return answer(fcntl(fd, F_GETFD));
}

static int64_t k_setfd(void *self, int fd, uint64_t flags)
{
    (void)self;
    return answer(fcntl(fd, F_SETFD, (int)flags));
}

static int64_t k_getfl(void *self, int fd)
{
    (void)self;
    int64_t result = answer(fcntl(fd, F_GETFL));
    return result < 0 ? result : result & ~0100000; /* O_LARGEFILE, which libvrift does not know */
}

static int64_t k_setfl(void *self, int fd, uint64_t flags)
{
    (void)self;
    return answer(fcntl(fd, F_SETFL, (int)flags));
}

static int64_t k_fchmod(void *self, int fd, uint32_t mode)
{
    (void)self;
    return answer(fchmod(fd, mode));
}

static int64_t k_fchown(void *self, int fd, uint32_t uid, uint32_t gid)
{
    (void)self;
    return answer(fchown(fd, uid, gid));
}

static int64_t k_futimens(void *self, int fd, const struct vrift_timespec *times)
{
    (void)self;
    struct timespec own[2] = {{0}};
    for (int i = 0; times && i < 2; i++)
        own[i] = (struct timespec){times[i].sec, times[i].nsec};
    return answer(syscall(SYS_utimensat, fd, NULL, times ? own : NULL, 0));
}

static int64_t k_fdatasync(void *self, int fd)
{
    (void)self;
    return answer(fdatasync(fd));
}

static int64_t k_mount_move(void *self, const char *from, const char *to)
{
    (void)self;
    return answer(mount(from, to, NULL, MS_MOVE, NULL));
}

static unsigned long mount_flags(uint64_t flags)
{
    unsigned long own = flags & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC);
    return flags & VRIFT_MOUNT_NOSYMFOLLOW ? own | 256 /* MS_NOSYMFOLLOW */ : own;
}

static void limit_files(rlim_t limit)
{
    struct rlimit own;
    getrlimit(RLIMIT_NOFILE, &own);
    own.rlim_cur = limit;
    setrlimit(RLIMIT_NOFILE, &own);
}

/* What mount(2) refuses and move_mount(2), which stands for it here, does not. */
static bool is_mounted_there(const char *path, int disk)
{
    struct statx there, root;
    return statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &there) == 0 &&
           statx(disk, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &root) == 0 &&
           there.stx_attributes & STATX_ATTR_MOUNT_ROOT && there.stx_dev_major == root.stx_dev_major &&
           there.stx_dev_minor == root.stx_dev_minor;
}

/* The file systems wait as detached mounts behind descriptors that no step reaches. */
static int64_t k_mount(void *self, const char *path, uint32_t disk, uint64_t flags)
{
    (void)self;
    (void)flags;
    limit_files(1000);
    int tree =
        (int)syscall(428 /* open_tree */, DIFF_FIRST_DISK + (int)disk, "", AT_EMPTY_PATH | 1 /* OPEN_TREE_CLONE */);
    struct statx there;
    int64_t result = answer(tree);
    if (result == -VRIFT_EPERM && statx(AT_FDCWD, path, 0, STATX_TYPE, &there) < 0)
        result = answer(-1); /* mount(2) walks first */
    if (tree >= 0 && is_mounted_there(path, DIFF_FIRST_DISK + (int)disk)) {
        result = -VRIFT_EBUSY;
        close(tree);
    } else if (tree >= 0) {
        result = answer(syscall(429 /* move_mount */, tree, "", AT_FDCWD, path,
                                4 /* MOVE_MOUNT_F_EMPTY_PATH */ | 0x10 /* MOVE_MOUNT_T_SYMLINKS */));
        if (result == -VRIFT_EINVAL && statx(AT_FDCWD, path, 0, STATX_TYPE, &there) == 0 && !S_ISDIR(there.stx_mode))
            result = -VRIFT_ENOTDIR; /* as mount(2) puts it */
        close(tree);
    }
    limit_files(DIFF_FILES);
    return result;
}

static int64_t k_bind(void *self, const char *from, const char *to)
{
    (void)self;
    return answer(mount(from, to, NULL, MS_BIND, NULL));
}

static int64_t k_remount(void *self, const char *path, uint64_t flags)
{
    (void)self;
    return answer(mount("", path, NULL, MS_REMOUNT | MS_BIND | mount_flags(flags), NULL));
}

static int64_t k_umount(void *self, const char *path, uint64_t flags)
{
    (void)self;
    return answer(umount2(path, (int)flags));
}

static int64_t k_fork(void *self, uint32_t slot)
{
    limit_files(1000);
    int64_t result = diff_process_fork(self, slot);
    limit_files(DIFF_FILES);
    return result;
}

static int64_t k_drop_caches(void *self)
{
    (void)self;
    return 0;
}

const struct diff_calls diff_kernel_calls = {
    .name = "the kernel",
    .openat = k_openat,
    .openat2 = k_openat2,
    .close = k_close,
    .dup = k_dup,
    .dup3 = k_dup3,
    .read = k_read,
    .write = k_write,
    .readv = k_readv,
    .writev = k_writev,
    .pread = k_pread,
    .pwrite = k_pwrite,
    .lseek = k_lseek,
    .ftruncate = k_ftruncate,
    .truncate = k_truncate,
    .fsync = k_fsync,
    .statat = k_statat,
    .fstat = k_fstat,
    .mkdirat = k_mkdirat,
    .mknodat = k_mknodat,
    .unlinkat = k_unlinkat,
    .renameat2 = k_renameat2,
    .linkat = k_linkat,
    .symlinkat = k_symlinkat,
    .readlinkat = k_readlinkat,
    .fchmodat = k_fchmodat,
    .fchownat = k_fchownat,
    .utimensat = k_utimensat,
    .faccessat = k_faccessat,
    .chdir = k_chdir,
    .fchdir = k_fchdir,
    .chroot = k_chroot,
    .getcwd = k_getcwd,
    .umask = k_umask,
    .become = k_become,
    .getdents = k_getdents,
    .statfs = k_statfs,
    .setxattr = k_setxattr,
    .getxattr = k_getxattr,
    .listxattr = k_listxattr,
    .removexattr = k_removexattr,
    .fallocate = k_fallocate,
    .copy_file_range = k_copy_file_range,
    .sendfile = k_sendfile,
    .flock = k_flock,
    .setlk = k_setlk,
    .getlk = k_getlk,
    .fsetxattr = k_fsetxattr,
    .fgetxattr = k_fgetxattr,
    .flistxattr = k_flistxattr,
    .fremovexattr = k_fremovexattr,
    .setflags = k_setflags,
    .getflags = k_getflags,
    .dupfd = k_dupfd,
    .close_range = k_close_range,
    .getfd = k_getfd,
    .setfd = k_setfd,
    .getfl = k_getfl,
    .setfl = k_setfl,
    .fchmod = k_fchmod,
    .fchown = k_fchown,
    .futimens = k_futimens,
    .fdatasync = k_fdatasync,
    .mount_move = k_mount_move,
    .mount = k_mount,
    .bind = k_bind,
    .remount = k_remount,
    .umount = k_umount,
    .fork = k_fork,
    .drop_caches = k_drop_caches,
};
