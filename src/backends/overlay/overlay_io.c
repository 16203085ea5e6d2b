/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Open files. One that was opened for reading in a lower layer goes over to the upper as soon as the file has been
 * copied up: each call checks, so that no reader is left with bytes of the past.
 */
#include "backends/overlay/overlay.h"

struct open_file {
    struct vr_overlay_node *node; /* owns a reference */
    uint64_t flags;
    vr_os_mutex lock;       /* guards the changes of lower, upper and append */
    _Atomic int32_t lower;  /* descriptor in the lower layer, -1 */
    _Atomic int32_t upper;  /* descriptor in the upper, -1 */
    _Atomic int32_t append; /* descriptor in the upper that appends, -1 until it is needed */
};

static uint64_t layer_flags(uint64_t flags)
{
    return flags & (VRIFT_O_ACCMODE | VRIFT_O_SYNC | VRIFT_O_NOATIME);
}

static void dispose(struct vr_overlay *overlay, struct open_file *file, int32_t *result)
{
    vrift_task *upper = vr_overlay_upper_task(overlay);
    int32_t closed = 0;
    if (file->append >= 0) {
        closed = vrift_close(upper, file->append);
        *result = *result ? *result : closed;
    }
    if (file->upper >= 0) {
        closed = vrift_close(upper, file->upper);
        *result = *result ? *result : closed;
    }
    if (file->lower >= 0) {
        vrift_close(overlay->layers[file->node->lower[0].layer].task, file->lower);
    }
    vr_os_mutex_destroy(&file->lock);
    vr_alloc_free(overlay->allocator, file);
}

static int32_t open_top(struct vr_overlay *overlay, struct open_file *file, uint64_t flags)
{
    struct vr_overlay_node *node = file->node;
    bool in_upper = node->upper >= 0;
    int32_t fd = in_upper ? vrift_reopen(vr_overlay_upper_task(overlay), node->upper, flags)
                          : vrift_reopen(overlay->layers[node->lower[0].layer].task, node->lower[0].fd, flags);
    if (fd < 0) {
        return fd;
    }
    if (in_upper) {
        file->upper = fd;
    } else {
        file->lower = fd;
    }
    return 0;
}

int32_t VRIFT_CALLBACK vr_overlay_io_open(void *self, const struct vrift_node *noden, uint64_t flags, void **out)
{
    struct vr_overlay *overlay = self;
    struct vr_overlay_node *node = vr_overlay_node_of(noden);
    if ((flags & VRIFT_O_ACCMODE) != VRIFT_O_RDONLY || flags & VRIFT_O_TRUNC) {
        int32_t result = vr_overlay_copyup(overlay, node, flags & VRIFT_O_TRUNC ? 0 : VR_OVERLAY_ALL_DATA);
        if (result < 0) {
            return result;
        }
    }
    struct open_file *file = vr_alloc_zero(overlay->allocator, 1, sizeof(*file));
    if (!file || vr_os_mutex_init(&file->lock) < 0) {
        vr_alloc_free(overlay->allocator, file);
        return -VRIFT_ENOMEM;
    }
    file->node = node;
    file->flags = flags;
    file->lower = file->upper = file->append = -1;
    int32_t result = open_top(overlay, file, layer_flags(flags) | (flags & VRIFT_O_TRUNC));
    if (result < 0) {
        dispose(overlay, file, &result);
        return result;
    }
    vr_overlay_node_ref(overlay, node);
    *out = file;
    return 0;
}

int32_t VRIFT_CALLBACK vr_overlay_io_release(void *self, const struct vrift_node *node, void *file)
{
    struct vr_overlay *overlay = self;
    int32_t result = 0;
    if (file) {
        dispose(overlay, file, &result);
        vr_overlay_node_unref(overlay, vr_overlay_node_of(node));
    }
    return result;
}

int32_t vr_overlay_io_descriptor(struct vr_overlay *overlay, void *open, vrift_task **task)
{
    struct open_file *file = open;
    struct vr_overlay_node *node = file->node;
    int32_t result = 0, upper = file->upper;
    if (upper < 0 && node->upper >= 0) {
        vr_os_mutex_lock(&file->lock);
        if (file->upper < 0) {
            result = open_top(overlay, file, layer_flags(file->flags));
        }
        vr_os_mutex_unlock(&file->lock);
        upper = file->upper;
    }
    if (upper >= 0 || result < 0) {
        *task = vr_overlay_upper_task(overlay);
        return result < 0 ? result : upper;
    }
    *task = overlay->layers[node->lower[0].layer].task;
    return file->lower;
}

static int32_t appending(struct vr_overlay *overlay, struct open_file *file)
{
    if (file->append < 0) {
        vr_os_mutex_lock(&file->lock);
        if (file->append < 0) {
            file->append = vrift_reopen(vr_overlay_upper_task(overlay), file->node->upper,
                                        layer_flags(file->flags) | VRIFT_O_APPEND);
        }
        vr_os_mutex_unlock(&file->lock);
    }
    return file->append;
}

int64_t VRIFT_CALLBACK vr_overlay_io_pread(void *self, const struct vrift_node *node, void *file, void *buf, size_t len,
                                           uint64_t offset)
{
    vrift_task *task;
    (void)node;
    int32_t fd = vr_overlay_io_descriptor(self, file, &task);
    return fd < 0 ? fd : vrift_pread(task, fd, buf, len, offset);
}

int64_t VRIFT_CALLBACK vr_overlay_io_pwrite(void *self, const struct vrift_node *node, void *filep, const void *buf,
                                            size_t len, uint64_t offset, uint64_t flags, uint64_t *end)
{
    struct vr_overlay *overlay = self;
    struct open_file *file = filep;
    vrift_task *task = vr_overlay_upper_task(overlay);
    (void)node;
    if (!(flags & VRIFT_O_APPEND)) {
        int64_t wrote = vrift_pwrite(task, file->upper, buf, len, offset);
        if (wrote >= 0) {
            *end = offset + (uint64_t)wrote;
        }
        return wrote;
    }
    int32_t fd = appending(overlay, file);
    int64_t wrote = fd < 0 ? fd : vrift_pwrite(task, fd, buf, len, offset);
    if (wrote >= 0) {
        struct vrift_stat stat;
        int32_t result = vrift_fstat(task, fd, &stat);
        *end = result == 0 ? stat.size : offset + (uint64_t)wrote;
    }
    return wrote;
}

int32_t VRIFT_CALLBACK vr_overlay_io_fsync(void *self, const struct vrift_node *noden, void *filep)
{
    struct vr_overlay *overlay = self;
    struct vr_overlay_node *node = vr_overlay_node_of(noden);
    struct open_file *file = filep;
    vrift_task *task = vr_overlay_upper_task(overlay);
    if (node->upper < 0) {
        return 0; /* a lower layer does not change */
    }
    if (file && file->upper >= 0) {
        return vrift_fsync(task, file->upper);
    }
    int32_t fd = vrift_reopen(task, node->upper, VRIFT_O_RDONLY);
    if (fd < 0) {
        return fd;
    }
    int32_t result = vrift_fsync(task, fd);
    vrift_close(task, fd);
    return result;
}

int64_t VRIFT_CALLBACK vr_overlay_io_seek(void *self, const struct vrift_node *node, void *file, uint64_t offset,
                                          int32_t whence)
{
    vrift_task *task;
    (void)node;
    int32_t fd = vr_overlay_io_descriptor(self, file, &task);
    return fd < 0 ? fd : vrift_lseek(task, fd, (int64_t)offset, whence);
}
