/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Attributes but extended ones: stat, mode, owner, times; by name or by descriptor, O_PATH included. */
#include "platform/fileops.h"

#include "platform/linux/procfd.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452 /* Linux 6.6; the same number on every architecture */
#endif

/* What statx tells, by numbers that are also those of the flags. */
#define FLAGS_TOLD (VRIFT_ATTR_IMMUTABLE | VRIFT_ATTR_APPEND | VRIFT_ATTR_NODUMP)
_Static_assert(STATX_ATTR_IMMUTABLE == VRIFT_ATTR_IMMUTABLE && STATX_ATTR_APPEND == VRIFT_ATTR_APPEND &&
                   STATX_ATTR_NODUMP == VRIFT_ATTR_NODUMP,
               "the attributes are Linux's");

static struct vrift_timespec from_statx(struct statx_timestamp time)
{
    return (struct vrift_timespec){time.tv_sec, time.tv_nsec, 0};
}

static struct vrift_timespec from_timespec(struct timespec time)
{
    return (struct vrift_timespec){time.tv_sec, (uint32_t)time.tv_nsec, 0};
}

/* Before Linux 4.11, and under filters that do not know statx. */
static int32_t stat_old(int dirfd, const char *name, struct vrift_stat *out)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        return vrift_err_from_host_errno(errno);
    *out = (struct vrift_stat){
        .mask = VRIFT_STAT_BASIC,
        .dev = VRIFT_MKDEV(major(st.st_dev), minor(st.st_dev)),
        .ino = st.st_ino,
        .size = (uint64_t)st.st_size,
        .blocks = (uint64_t)st.st_blocks,
        .rdev = VRIFT_MKDEV(major(st.st_rdev), minor(st.st_rdev)),
        .mode = st.st_mode,
        .nlink = (uint32_t)st.st_nlink,
        .uid = st.st_uid,
        .gid = st.st_gid,
        .blksize = (uint32_t)st.st_blksize,
        .atime = from_timespec(st.st_atim),
        .mtime = from_timespec(st.st_mtim),
        .ctime = from_timespec(st.st_ctim),
    };
    return 0;
}

int32_t vr_fileops_stat(int dirfd, const char *name, struct vrift_stat *out)
{
    struct statx stx;
    if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME,
              &stx) < 0)
        return vr_procfd_missing_call() ? stat_old(dirfd, name, out) : vrift_err_from_host_errno(errno);
    _Static_assert(STATX_BASIC_STATS == VRIFT_STAT_BASIC && STATX_BTIME == VRIFT_STAT_BTIME, "the masks are Linux's");
    *out = (struct vrift_stat){
        .mask = stx.stx_mask & (VRIFT_STAT_BASIC | VRIFT_STAT_BTIME),
        .dev = VRIFT_MKDEV(stx.stx_dev_major, stx.stx_dev_minor),
        .ino = stx.stx_ino,
        .size = stx.stx_size,
        .blocks = stx.stx_blocks,
        .rdev = VRIFT_MKDEV(stx.stx_rdev_major, stx.stx_rdev_minor),
        .mode = stx.stx_mode,
        .nlink = stx.stx_nlink,
        .uid = stx.stx_uid,
        .gid = stx.stx_gid,
        .blksize = stx.stx_blksize,
        .atime = from_statx(stx.stx_atime),
        .mtime = from_statx(stx.stx_mtime),
        .ctime = from_statx(stx.stx_ctime),
    };
    if (stx.stx_mask & STATX_BTIME)
        out->btime = from_statx(stx.stx_btime);
    if ((stx.stx_attributes_mask & FLAGS_TOLD) == FLAGS_TOLD) {
        out->mask |= VRIFT_STAT_FLAGS;
        out->attributes = stx.stx_attributes & FLAGS_TOLD;
    }
    return 0;
}

int32_t vr_fileops_get_flags(int fd, uint64_t *flags)
{
    unsigned now;
    if (ioctl(fd, FS_IOC_GETFLAGS, &now) < 0)
        return vrift_err_from_host_errno(errno);
    *flags = now & FLAGS_TOLD;
    return 0;
}

int32_t vr_fileops_set_flags(int fd, uint64_t flags)
{
    unsigned now;
    _Static_assert(FS_IMMUTABLE_FL == VRIFT_FL_IMMUTABLE && FS_APPEND_FL == VRIFT_FL_APPEND &&
                       FS_NODUMP_FL == VRIFT_FL_NODUMP,
                   "the flags are Linux's");
    if (flags & ~FLAGS_TOLD)
        return -VRIFT_EOPNOTSUPP;
    if (ioctl(fd, FS_IOC_GETFLAGS, &now) < 0)
        return vrift_err_from_host_errno(errno);
    now = (now & ~(unsigned)FLAGS_TOLD) | (unsigned)flags;
    return ioctl(fd, FS_IOC_SETFLAGS, &now) < 0 ? vrift_err_from_host_errno(errno) : 0;
}

static int32_t set_mode_by_proc(int dirfd, const char *name, uint32_t mode)
{
    int fd = *name ? openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : dirfd;
    if (fd < 0)
        return vrift_err_from_host_errno(errno);
    int32_t result = chmod(vr_procfd(fd).path, mode) < 0 ? vr_procfd_error() : 0;
    if (fd != dirfd)
        close(fd);
    return result;
}

int32_t vr_fileops_set_mode(int dirfd, const char *name, uint32_t mode)
{
    mode &= 07777;
    if (!*name) {
        if (fchmod(dirfd, mode) == 0)
            return 0;
        if (errno != EBADF) /* which an O_PATH descriptor gives */
            return vrift_err_from_host_errno(errno);
    }
    if (syscall(SYS_fchmodat2, dirfd, name, mode, *name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH) == 0)
        return 0;
    return vr_procfd_missing_call() ? set_mode_by_proc(dirfd, name, mode) : vrift_err_from_host_errno(errno);
}

int32_t vr_fileops_set_owner(int dirfd, const char *name, uint32_t uid, uint32_t gid)
{
    if (fchownat(dirfd, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        return vrift_err_from_host_errno(errno);
    return 0;
}

/* Before Linux 5.8 utimensat() did not know AT_EMPTY_PATH. */
static int32_t set_times_old(int fd, const struct timespec times[2])
{
    if (futimens(fd, times) == 0)
        return 0;
    if (errno != EBADF)
        return vrift_err_from_host_errno(errno);
    return utimensat(AT_FDCWD, vr_procfd(fd).path, times, 0) < 0 ? vr_procfd_error() : 0;
}

static struct timespec to_timespec(const struct vrift_timespec *time)
{
    if (!time)
        return (struct timespec){0, UTIME_OMIT};
    return (struct timespec){(time_t)time->sec, (long)time->nsec};
}

int32_t vr_fileops_set_times(int dirfd, const char *name, const struct vrift_timespec *atime,
                             const struct vrift_timespec *mtime)
{
    _Static_assert(UTIME_NOW == VRIFT_UTIME_NOW && UTIME_OMIT == VRIFT_UTIME_OMIT, "the special times are Linux's");
    const struct timespec times[2] = {to_timespec(atime), to_timespec(mtime)};
    if (utimensat(dirfd, name, times, *name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH) == 0)
        return 0;
    if (!*name && errno == EINVAL)
        return set_times_old(dirfd, times);
    return vrift_err_from_host_errno(errno);
}
