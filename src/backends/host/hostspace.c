/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What else the host does with the bytes of an open file: its space, copies, mappings. */
#include "backends/host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

int32_t VRIFT_CALLBACK vr_hostspace_fallocate(void *self, const struct vrift_node *node, void *file, uint64_t mode,
                                              uint64_t offset, uint64_t length)
{
    const struct vr_hostfile *opened = file;
    int result;
    (void)self;
    (void)node;
    if (!opened)
        return -VRIFT_EINVAL;
    do {
        result = fallocate(opened->fd->fd, (int)mode, (off_t)offset, (off_t)length);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? vrift_err_from_host_errno(errno) : 0;
}

int32_t vr_hostspace_clone(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t length)
{
    struct file_clone_range range = {
        .src_fd = from, .src_offset = from_offset, .src_length = length, .dest_offset = to_offset};
    if (ioctl(to, FICLONERANGE, &range) == 0)
        return 0;
    return errno == ENOTTY || errno == ENOSYS ? -VRIFT_EOPNOTSUPP : vrift_err_from_host_errno(errno);
}

/* What one file system of the host, or an old kernel, cannot copy by itself is copied through a buffer. */
int64_t VRIFT_CALLBACK vr_hostspace_copy(void *self, const struct vrift_node *from, void *from_file,
                                         uint64_t from_offset, const struct vrift_node *to, void *to_file,
                                         uint64_t to_offset, uint64_t length, uint64_t flags)
{
    const struct vr_hostfile *source = from_file, *target = to_file;
    off_t in = (off_t)from_offset, out = (off_t)to_offset;
    ssize_t copied;
    (void)self;
    (void)from;
    (void)to;
    if (!source || !target)
        return -VRIFT_EOPNOTSUPP;
    if (flags & VRIFT_COPY_CLONE) {
        int32_t error = vr_hostspace_clone(source->fd->fd, from_offset, target->fd->fd, to_offset, length);
        return error ? error : (int64_t)length;
    }
    do {
        copied = copy_file_range(source->fd->fd, &in, target->fd->fd, &out, (size_t)length, 0);
    } while (copied < 0 && errno == EINTR);
    if (copied >= 0)
        return copied;
    if (errno == ENOSYS || errno == EXDEV || errno == EINVAL)
        return -VRIFT_EOPNOTSUPP;
    return vrift_err_from_host_errno(errno);
}

/* Of the host's own pages, so that all processes of the host see the same. */
int32_t VRIFT_CALLBACK vr_hostspace_map(void *self, const struct vrift_node *node, void *file,
                                        const struct vrift_map_range *range, struct vrift_map_place *out)
{
    const struct vr_hostfile *opened = file;
    (void)self;
    (void)node;
    return opened ? vr_os_map_range(opened->fd->fd, range, &out->address) : -VRIFT_ENODEV;
}

int32_t VRIFT_CALLBACK vr_hostspace_map_sync(void *self, const struct vrift_node *node,
                                             const struct vrift_map_place *mapping, uint64_t offset, uint64_t length,
                                             uint64_t flags)
{
    (void)self;
    (void)node;
    return vr_os_map_sync((uint8_t *)mapping->address + offset, (size_t)length, flags);
}

void VRIFT_CALLBACK vr_hostspace_unmap(void *self, const struct vrift_node *node, const struct vrift_map_place *mapping)
{
    (void)self;
    (void)node;
    vr_os_unmap(mapping->address, (size_t)mapping->range.length);
}
