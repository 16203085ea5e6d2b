/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int32_t VRIFT_CALLBACK vr_hostattr_get(void *self, const struct vrift_node *node, uint64_t mask, struct vrift_stat *out)
{
    struct vrift_stat attr;
    (void)mask;
    int32_t error = vr_hostnode_stat(self, node->handle, &attr);
    if (error)
        return error;
    vr_hostnode_publish(self, &attr);
    *out = attr;
    return 0;
}

static int32_t set_size(struct vr_hostfs *fs, struct vr_hostnode *node, const struct vr_hostfile *file, uint64_t length)
{
    if (length > INT64_MAX)
        return -VRIFT_EFBIG;
    if (file && ftruncate(file->fd->fd, (off_t)length) == 0)
        return 0;
    if (file && errno != EINVAL && errno != EBADF) /* which mean that it is open for reading only */
        return vrift_err_from_host_errno(errno);
    if (node->type != VRIFT_S_IFREG)
        return node->type == VRIFT_S_IFDIR ? -VRIFT_EISDIR : -VRIFT_EINVAL;
    int32_t fd = vr_hostfd_reopen(fs, node, O_WRONLY);
    if (fd < 0)
        return fd;
    int32_t error = ftruncate(fd, (off_t)length) < 0 ? vrift_err_from_host_errno(errno) : 0;
    close(fd);
    return error;
}

static int32_t set_flags(struct vr_hostfs *fs, struct vr_hostnode *node, uint64_t flags)
{
    int32_t fd = vr_hostfd_reopen(fs, node, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return fd;
    int32_t error = vr_fileops_set_flags(fd, flags);
    close(fd);
    return error;
}

static struct vrift_timespec time_to_set(const struct vrift_setattr *set, uint64_t which, uint64_t now,
                                         const struct vrift_timespec *time)
{
    if (!(set->mask & which))
        return (struct vrift_timespec){0, VRIFT_UTIME_OMIT, 0};
    if (set->mask & now)
        return (struct vrift_timespec){0, VRIFT_UTIME_NOW, 0};
    return *time;
}

/* Size first, for it is most likely to fail; mode after owner, which clears bits of it. */
static int32_t apply(struct vr_hostfs *fs, struct vr_hostnode *node, const struct vr_hostfile *file, int fd,
                     const struct vrift_setattr *set)
{
    int32_t error = 0;
    if (set->mask & VRIFT_SET_SIZE)
        error = set_size(fs, node, file, set->length);
    if (!error && (set->mask & VRIFT_SET_FLAGS))
        error = set_flags(fs, node, set->flags);
    if (!error && (!set->mask || set->mask & (VRIFT_SET_UID | VRIFT_SET_GID))) /* to nobody's stamps it, too */
        error = vr_fileops_set_owner(fd, "", set->mask & VRIFT_SET_UID ? set->uid : UINT32_MAX,
                                     set->mask & VRIFT_SET_GID ? set->gid : UINT32_MAX);
    if (!error && (set->mask & VRIFT_SET_MODE))
        error = vr_fileops_set_mode(fd, "", set->mode & 07777);
    if (!error && (set->mask & (VRIFT_SET_ATIME | VRIFT_SET_MTIME))) {
        struct vrift_timespec atime = time_to_set(set, VRIFT_SET_ATIME, VRIFT_SET_ATIME_NOW, &set->atime);
        struct vrift_timespec mtime = time_to_set(set, VRIFT_SET_MTIME, VRIFT_SET_MTIME_NOW, &set->mtime);
        error = vr_fileops_set_times(fd, "", &atime, &mtime);
    }
    return error;
}

int32_t VRIFT_CALLBACK vr_hostattr_set(void *self, const struct vrift_node *node, void *file,
                                       const struct vrift_setattr *set, struct vrift_stat *out)
{
    struct vr_hostfs *fs = self;
    struct vr_hostfd *fd;
    struct vrift_stat attr;
    int32_t error = vr_hostfd_hold(fs, node->handle, &fd);
    if (error)
        return error;
    error = apply(fs, node->handle, file, fd->fd, set);
    if (!error)
        error = vr_fileops_stat(fd->fd, "", &attr);
    vr_hostfd_unref(fs, fd);
    if (error)
        return error;
    vr_hostnode_publish(fs, &attr);
    *out = attr;
    return 0;
}

int64_t VRIFT_CALLBACK vr_hostattr_readlink(void *self, const struct vrift_node *node, char *buf, size_t len)
{
    const struct vr_hostnode *link = node->handle;
    struct vr_hostfd *fd;
    if (link->type != VRIFT_S_IFLNK)
        return -VRIFT_EINVAL;
    int32_t error = vr_hostfd_hold(self, node->handle, &fd);
    if (error)
        return error;
    ssize_t length = readlinkat(fd->fd, "", buf, len);
    int64_t result = length < 0 ? vrift_err_from_host_errno(errno) : (int64_t)length;
    vr_hostfd_unref(self, fd);
    return result;
}

int64_t VRIFT_CALLBACK vr_hostattr_getxattr(void *self, const struct vrift_node *node, const char *name, void *buf,
                                            size_t len)
{
    struct vr_hostfd *fd;
    int64_t result = vr_hostfd_hold(self, node->handle, &fd);
    if (result)
        return result;
    result = vr_fileops_xattr_get(fd->fd, "", name, buf, len);
    vr_hostfd_unref(self, fd);
    return result;
}

int32_t VRIFT_CALLBACK vr_hostattr_setxattr(void *self, const struct vrift_node *node, const char *name,
                                            const void *value, size_t len, uint64_t flags)
{
    struct vr_hostfd *fd;
    int32_t error = vr_hostfd_hold(self, node->handle, &fd);
    if (error)
        return error;
    error = vr_fileops_xattr_set(fd->fd, "", name, value, len, flags);
    vr_hostfd_unref(self, fd);
    return error;
}

int64_t VRIFT_CALLBACK vr_hostattr_listxattr(void *self, const struct vrift_node *node, char *buf, size_t len)
{
    struct vr_hostfd *fd;
    int64_t result = vr_hostfd_hold(self, node->handle, &fd);
    if (result)
        return result;
    result = vr_fileops_xattr_list(fd->fd, "", buf, len);
    vr_hostfd_unref(self, fd);
    return result;
}

int32_t VRIFT_CALLBACK vr_hostattr_removexattr(void *self, const struct vrift_node *node, const char *name)
{
    struct vr_hostfd *fd;
    int32_t error = vr_hostfd_hold(self, node->handle, &fd);
    if (error)
        return error;
    error = vr_fileops_xattr_remove(fd->fd, "", name);
    vr_hostfd_unref(self, fd);
    return error;
}
