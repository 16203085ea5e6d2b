/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The space, copies and mappings of open files, by the layer that holds them. What changes a file was opened for
 * writing and so has been copied up. A mapping that was made before its file was copied up goes on showing the lower
 * layer's bytes, as on Linux.
 */
#include "backends/overlay/overlay.h"

#include <vrift/map.h>

int32_t VRIFT_CALLBACK vr_overlay_space_fallocate(void *self, const struct vrift_node *node, void *file, uint64_t mode,
                                                  uint64_t offset, uint64_t length)
{
    vrift_task *task;
    (void)node;
    int32_t fd = vr_overlay_io_descriptor(self, file, &task);
    return fd < 0 ? fd : vrift_fallocate(task, fd, mode, (int64_t)offset, (int64_t)length);
}

/* Both descriptors in one task: a lower file is lent to the upper's for the call. */
static int64_t copy_lent(vrift_task *from_task, int32_t from, vrift_task *task, int32_t to, int64_t *offsets,
                         uint64_t length, uint64_t flags)
{
    vrift_file *lent;
    int32_t result = vrift_task_file(from_task, from, &lent);
    if (result < 0) {
        return result;
    }
    result = vrift_task_install(task, lent);
    vrift_file_unref(lent);
    if (result < 0) {
        return result;
    }
    int64_t copied = vrift_copy_file_range(task, result, &offsets[0], to, &offsets[1], length, flags);
    vrift_close(task, result);
    return copied;
}

int64_t VRIFT_CALLBACK vr_overlay_space_copy(void *self, const struct vrift_node *from, void *from_file,
                                             uint64_t from_offset, const struct vrift_node *to, void *to_file,
                                             uint64_t to_offset, uint64_t length, uint64_t flags)
{
    vrift_task *from_task, *task;
    int64_t offsets[2] = {(int64_t)from_offset, (int64_t)to_offset};
    (void)from;
    (void)to;
    int32_t in = vr_overlay_io_descriptor(self, from_file, &from_task);
    int32_t out = vr_overlay_io_descriptor(self, to_file, &task);
    if (in < 0 || out < 0) {
        return in < 0 ? in : out;
    }
    int64_t copied = from_task == task ? vrift_copy_file_range(task, in, &offsets[0], out, &offsets[1], length, flags)
                                       : copy_lent(from_task, in, task, out, offsets, length, flags);
    /* Blocks are shared within one overlay, wherever its layers lie, or not at all. */
    return copied == -VRIFT_EXDEV ? -VRIFT_EOPNOTSUPP : copied;
}

int32_t VRIFT_CALLBACK vr_overlay_space_map(void *self, const struct vrift_node *node, void *file,
                                            const struct vrift_map_range *range, struct vrift_map_place *out)
{
    vrift_task *task;
    vrift_mapping *mapping;
    (void)node;
    int32_t fd = vr_overlay_io_descriptor(self, file, &task);
    if (fd < 0) {
        return fd;
    }
    int32_t result = vrift_map(task, fd, range->offset, range->length, range->prot, range->flags, &mapping);
    if (result == 0) {
        out->address = vrift_map_address(mapping);
        out->handle = mapping;
    }
    return result;
}

int32_t VRIFT_CALLBACK vr_overlay_space_map_sync(void *self, const struct vrift_node *node,
                                                 const struct vrift_map_place *mapping, uint64_t offset,
                                                 uint64_t length, uint64_t flags)
{
    (void)self;
    (void)node;
    return vrift_map_sync(mapping->handle, offset, length, flags);
}

void VRIFT_CALLBACK vr_overlay_space_unmap(void *self, const struct vrift_node *node,
                                           const struct vrift_map_place *mapping)
{
    (void)self;
    (void)node;
    vrift_map_free(mapping->handle);
}
