/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#define WHOLE_MAX 0x7ffff000u /* bytes that Linux takes in one call */

/* The descriptor of the call that made the file, if it has not been used yet and was opened as now wanted. */
static struct vr_hostfd *take_fresh(struct vr_hostfs *fs, struct vr_hostnode *node, uint64_t flags)
{
    struct vr_hostfd *fd = vr_hostfd_take(fs, node);
    if (!fd || !(flags & (VRIFT_O_SYNC | VRIFT_O_DSYNC)))
        return fd;
    vr_hostfd_unref(fs, fd);
    return NULL;
}

static int32_t open_now(struct vr_hostfs *fs, struct vr_hostnode *node, uint64_t flags, struct vr_hostfd **out)
{
    int host_flags = (int)(flags & VRIFT_O_ACCMODE);
    if (flags & VRIFT_O_DSYNC)
        host_flags |= (flags & VRIFT_O_SYNC) == VRIFT_O_SYNC ? O_SYNC : O_DSYNC;
    int32_t fd = vr_hostfd_reopen(fs, node, host_flags);
    if (fd == -VRIFT_EPERM && flags & VRIFT_O_APPEND) /* a file that only grows is opened in no other way */
        fd = vr_hostfd_reopen(fs, node, host_flags | O_APPEND);
    return fd < 0 ? fd : vr_hostfd_new(fs, fd, out);
}

int32_t VRIFT_CALLBACK vr_hostfile_open(void *self, const struct vrift_node *node, uint64_t flags, void **file)
{
    struct vr_hostfs *fs = self;
    struct vr_hostnode *inode = node->handle;
    if (inode->type != VRIFT_S_IFREG)
        return inode->type == VRIFT_S_IFDIR ? -VRIFT_EISDIR : -VRIFT_ENXIO;
    if ((fs->flags & VRIFT_HOST_READ_ONLY) && (flags & (VRIFT_O_ACCMODE | VRIFT_O_TRUNC)))
        return -VRIFT_EROFS;
    struct vr_hostfile *opened = vr_alloc(fs->allocator, sizeof *opened);
    if (!opened)
        return -VRIFT_ENOMEM;
    int32_t error = vr_os_mutex_init(&opened->position);
    if (error) {
        vr_alloc_free(fs->allocator, opened);
        return error;
    }
    opened->fd = take_fresh(fs, inode, flags);
    if (!opened->fd)
        error = open_now(fs, inode, flags, &opened->fd);
    /* Truncated only now that it is known to be the inode meant. */
    if (!error && (flags & VRIFT_O_TRUNC)) {
        struct vrift_setattr set = {.size = sizeof set, .mask = VRIFT_SET_SIZE};
        struct vrift_stat after;
        error = vr_hostattr_set(self, node, opened, &set, &after);
        if (error)
            vr_hostfd_unref(fs, opened->fd);
    }
    if (error) {
        vr_os_mutex_destroy(&opened->position);
        vr_alloc_free(fs->allocator, opened);
        return error;
    }
    vr_hostfd_lend(fs, inode, opened->fd);
    *file = opened;
    return 0;
}

int32_t VRIFT_CALLBACK vr_hostfile_release(void *self, const struct vrift_node *node, void *file)
{
    struct vr_hostfs *fs = self;
    struct vr_hostfile *opened = file;
    vr_hostfd_reclaim(fs, node->handle, opened->fd);
    vr_hostfd_unref(fs, opened->fd);
    vr_os_mutex_destroy(&opened->position);
    vr_alloc_free(fs->allocator, opened);
    return 0;
}

int64_t VRIFT_CALLBACK vr_hostfile_pread(void *self, const struct vrift_node *node, void *file, void *buf, size_t len,
                                         uint64_t offset)
{
    const struct vr_hostfile *opened = file;
    (void)self;
    (void)node;
    if (!opened)
        return -VRIFT_EINVAL;
    if (offset > INT64_MAX)
        return 0;
    if (len > INT64_MAX - offset)
        len = (size_t)(INT64_MAX - offset);
    return vr_fileops_read_at(opened->fd->fd, buf, len, offset);
}

static int64_t write_at(int fd, const char *buf, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(fd, buf + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && !done)
            return vrift_err_from_host_errno(errno);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

/* At the end, in one step against everybody who writes; and where that was. */
static int64_t append(struct vr_hostfile *file, const void *buf, size_t len, uint64_t *end)
{
    union {
        const void *from;
        void *base;
    } bytes = {.from = buf};
    struct iovec iov = {bytes.base, len > WHOLE_MAX ? WHOLE_MAX : len};
    int fd = file->fd->fd;
    int64_t result;
    vr_os_mutex_lock(&file->position);
    do {
        result = pwritev2(fd, &iov, 1, -1, RWF_APPEND);
    } while (result < 0 && errno == EINTR);
    if (result < 0) {
        result = vrift_err_from_host_errno(errno);
    } else {
        off_t position = lseek(fd, 0, SEEK_CUR);
        if (position < 0)
            result = vrift_err_from_host_errno(errno);
        else
            *end = (uint64_t)position;
    }
    vr_os_mutex_unlock(&file->position);
    return result;
}

int64_t VRIFT_CALLBACK vr_hostfile_pwrite(void *self, const struct vrift_node *node, void *file, const void *buf,
                                          size_t len, uint64_t offset, uint64_t flags, uint64_t *end)
{
    struct vr_hostfile *opened = file;
    (void)self;
    (void)node;
    if (!opened)
        return -VRIFT_EINVAL;
    if (flags & VRIFT_O_APPEND)
        return append(opened, buf, len, end);
    if (len > 0 && offset >= INT64_MAX)
        return -VRIFT_EFBIG;
    if (len > INT64_MAX - offset)
        len = (size_t)(INT64_MAX - offset);
    int64_t written = write_at(opened->fd->fd, buf, len, offset);
    if (written >= 0)
        *end = offset + (uint64_t)written;
    return written;
}

int64_t VRIFT_CALLBACK vr_hostfile_seek(void *self, const struct vrift_node *node, void *file, uint64_t offset,
                                        int32_t whence)
{
    struct vr_hostfile *opened = file;
    (void)self;
    (void)node;
    if (!opened || (whence != VRIFT_SEEK_DATA && whence != VRIFT_SEEK_HOLE))
        return -VRIFT_EINVAL;
    if (offset > INT64_MAX)
        return -VRIFT_ENXIO;
    vr_os_mutex_lock(&opened->position);
    int64_t result = lseek(opened->fd->fd, (off_t)offset, whence == VRIFT_SEEK_DATA ? SEEK_DATA : SEEK_HOLE);
    if (result < 0)
        result = vrift_err_from_host_errno(errno);
    vr_os_mutex_unlock(&opened->position);
    return result;
}

int32_t VRIFT_CALLBACK vr_hostfile_fsync(void *self, const struct vrift_node *node, void *file)
{
    const struct vr_hostnode *inode = node->handle;
    const struct vr_hostfile *opened = file;
    if (opened)
        return fsync(opened->fd->fd) < 0 ? vrift_err_from_host_errno(errno) : 0;
    if (inode->type != VRIFT_S_IFDIR && inode->type != VRIFT_S_IFREG)
        return 0;
    int32_t fd = vr_hostfd_reopen(self, node->handle, O_RDONLY);
    if (fd < 0)
        return fd;
    int32_t error = fsync(fd) < 0 ? vrift_err_from_host_errno(errno) : 0;
    close(fd);
    return error;
}
