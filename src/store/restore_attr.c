/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Attributes of restored inodes. The order is owner, xattrs, mode, times: a change of owner clears set-id bits and
 * capabilities, and every other change moves the times (of ctime we have no say).
 */
#include "store/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SET_ID (VRIFT_S_ISUID | VRIFT_S_ISGID)

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

/* Sets the owner if it is not right already. Whoever may not is not stopped, but loses the set-id bits. */
static int32_t restore_owner(struct vr_restore *restore, int fd, const char *name, const struct vrift_stat *stat,
                             uint32_t *mode)
{
    if (stat->uid == restore->uid && stat->gid == restore->gid)
        return 0;
    int32_t error = -VRIFT_EPERM;
    if (!(restore->flags & VRIFT_CHECKOUT_NO_OWNERS))
        error = vr_fileops_set_owner(fd, name, stat->uid, stat->gid);
    if (!error)
        return 0;
    if (error != -VRIFT_EPERM && error != -VRIFT_EINVAL) /* EINVAL: no such id in our user namespace */
        return error;
    restore->skipped_owners++;
    *mode &= ~(uint32_t)SET_ID;
    return 0;
}

/* What only privilege or a security module may set is left out where it may not. */
static int may_be_left_out(const char *key, int32_t error)
{
    if (error != -VRIFT_EPERM && error != -VRIFT_EOPNOTSUPP && error != -VRIFT_EACCES)
        return 0;
    return strncmp(key, "security.", 9) == 0 || strncmp(key, "trusted.", 8) == 0;
}

static int32_t restore_xattr(int fd, const char *name, const char *key, const struct vr_restore_xattrs *from)
{
    char small[256], *value = small;
    int64_t length = from->get(from, key, small, sizeof small);
    if (length == -VRIFT_ERANGE) {
        value = malloc(65536);
        if (!value)
            return -VRIFT_ENOMEM;
        length = from->get(from, key, value, 65536);
    }
    int32_t result = length < 0 ? (int32_t)length : vr_fileops_xattr_set(fd, name, key, value, (size_t)length, 0);
    if (result == -VRIFT_EACCES && vr_fileops_set_mode(fd, name, 0600) == 0) /* read-only; its mode comes later */
        result = vr_fileops_xattr_set(fd, name, key, value, (size_t)length, 0);
    if (value != small)
        free(value);
    return may_be_left_out(key, result) ? 0 : result;
}

/* Returns how many bytes of names there were, or an error. */
static int64_t restore_xattrs(int fd, const char *name, const struct vr_restore_xattrs *from)
{
    char small[1024], *keys = small;
    int64_t length = from->list(from, small, sizeof small);
    if (length == 0 || length == -VRIFT_EOPNOTSUPP)
        return 0;
    if (length == -VRIFT_ERANGE) {
        keys = malloc(65536);
        if (!keys)
            return -VRIFT_ENOMEM;
        length = from->list(from, keys, 65536);
    }
    int32_t result = length < 0 ? (int32_t)length : 0;
    for (int64_t at = 0; at < length && !result; at += (int64_t)strlen(keys + at) + 1)
        result = restore_xattr(fd, name, keys + at, from);
    if (keys != small)
        free(keys);
    return result ? result : length;
}

int32_t vr_restore_create(int dirfd, const char *name, uint32_t mode)
{
    /* Nobody else sees it under construction: the root is closed to others until it is published. */
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)(mode & 0777));
    return fd < 0 ? host_error() : fd;
}

int32_t vr_restore_finish_file(struct vr_restore *restore, int fd, const struct vrift_stat *stat,
                               const struct vr_restore_xattrs *xattrs)
{
    uint32_t mode = stat->mode & 07777;
    int is_file = (stat->mode & VRIFT_S_IFMT) == VRIFT_S_IFREG;
    int32_t result = restore_owner(restore, fd, "", stat, &mode);
    int64_t keys = result || !xattrs ? 0 : restore_xattrs(fd, "", xattrs);
    if (keys < 0)
        result = (int32_t)keys;
    /* A new file has its mode from creation, but for set-id bits, what the umask took, and what an ACL changed. */
    if (!result && (!is_file || (mode & (07000 | restore->umask)) || keys))
        result = fchmod(fd, (mode_t)mode) < 0 ? host_error() : 0;
    const struct timespec times[2] = {{(time_t)stat->atime.sec, (long)stat->atime.nsec},
                                      {(time_t)stat->mtime.sec, (long)stat->mtime.nsec}};
    if (!result && futimens(fd, times) < 0)
        result = host_error();
    return result;
}

/* Attributes of what has no descriptor, but a name. */
static int32_t finish_name(struct vr_restore *restore, int dirfd, const char *name, const struct vrift_stat *stat,
                           const struct vr_restore_xattrs *xattrs)
{
    uint32_t mode = stat->mode & 07777;
    int32_t result = restore_owner(restore, dirfd, name, stat, &mode);
    int64_t keys = result || !xattrs ? 0 : restore_xattrs(dirfd, name, xattrs);
    if (keys < 0)
        result = (int32_t)keys;
    if (!result && (stat->mode & VRIFT_S_IFMT) != VRIFT_S_IFLNK)
        result = vr_fileops_set_mode(dirfd, name, mode);
    return result ? result : vr_fileops_set_times(dirfd, name, &stat->atime, &stat->mtime);
}

int32_t vr_restore_symlink(struct vr_restore *restore, int dirfd, const char *name, const char *target,
                           const struct vrift_stat *stat, const struct vr_restore_xattrs *xattrs)
{
    if (symlinkat(target, dirfd, name) < 0)
        return host_error();
    restore->symlinks++;
    return finish_name(restore, dirfd, name, stat, xattrs);
}

int32_t vr_restore_special(struct vr_restore *restore, int dirfd, const char *name, const struct vrift_stat *stat,
                           const struct vr_restore_xattrs *xattrs)
{
    dev_t device = makedev(VRIFT_DEV_MAJOR(stat->rdev), VRIFT_DEV_MINOR(stat->rdev));
    uint32_t type = stat->mode & VRIFT_S_IFMT;
    if (mknodat(dirfd, name, (mode_t)(type | 0600), device) < 0) {
        if (errno != EPERM || (type != VRIFT_S_IFCHR && type != VRIFT_S_IFBLK))
            return host_error();
        restore->skipped_specials++;
        return 1;
    }
    restore->specials++;
    return finish_name(restore, dirfd, name, stat, xattrs);
}
