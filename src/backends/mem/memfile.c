/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/mem/mem.h"

int32_t VRIFT_CALLBACK vr_memfile_open(void *self, const struct vrift_node *node, uint64_t flags, void **file)
{
    struct vr_memnode *inode = node->handle;
    if (inode->type != VRIFT_S_IFREG)
        return inode->type == VRIFT_S_IFDIR ? -VRIFT_EISDIR : -VRIFT_ENXIO;
    if (flags & VRIFT_O_TRUNC) {
        struct vrift_setattr set = {.size = sizeof set, .mask = VRIFT_SET_SIZE};
        struct vrift_stat after;
        int32_t error = vr_memnode_setattr(self, node, NULL, &set, &after);
        if (error)
            return error;
    }
    *file = vr_memnode_ref(inode);
    return 0;
}

int32_t VRIFT_CALLBACK vr_memfile_release(void *self, const struct vrift_node *node, void *file)
{
    (void)node;
    vr_memnode_unref(self, file);
    return 0;
}

int64_t VRIFT_CALLBACK vr_memfile_pread(void *self, const struct vrift_node *node, void *file, void *buf, size_t len,
                                        uint64_t offset)
{
    struct vr_memnode *inode = node->handle;
    (void)self;
    (void)file;
    if (inode->type != VRIFT_S_IFREG)
        return -VRIFT_EINVAL;
    vr_os_rwlock_read(&inode->lock);
    if (offset >= inode->size)
        len = 0;
    else if (len > inode->size - offset)
        len = (size_t)(inode->size - offset);
    vr_memdata_read(&inode->data, buf, len, offset);
    vr_os_rwlock_unlock(&inode->lock);
    return (int64_t)len;
}

int64_t VRIFT_CALLBACK vr_memfile_pwrite(void *self, const struct vrift_node *node, void *file, const void *buf,
                                         size_t len, uint64_t offset, uint64_t flags, uint64_t *end)
{
    struct vr_memfs *fs = self;
    struct vr_memnode *inode = node->handle;
    int32_t error = 0;
    size_t written = 0;
    (void)file;
    if (inode->type != VRIFT_S_IFREG)
        return -VRIFT_EINVAL;
    vr_os_rwlock_write(&inode->lock);
    vr_memmap_notice(inode);
    if (flags & VRIFT_O_APPEND)
        offset = inode->size;
    if (len > 0 && offset >= VR_MEM_FILE_MAX) {
        error = -VRIFT_EFBIG;
    } else {
        if (len > VR_MEM_FILE_MAX - offset)
            len = (size_t)(VR_MEM_FILE_MAX - offset);
        written = vr_memdata_write(&fs->pool, &inode->data, buf, len, offset, &error);
    }
    if (written > 0) {
        if (offset + written > inode->size)
            inode->size = offset + written;
        vr_memnode_now(inode, &inode->ctime);
        inode->mtime = inode->ctime;
        inode->version++;
        error = 0;
    }
    vr_os_rwlock_unlock(&inode->lock);
    if (error)
        return error;
    *end = offset + written;
    return (int64_t)written;
}

/* -- Space --------------------------------------------------------------------------------------------------------- */

/* Takes out or inserts whole pages within the file; neither may reach its end. */
static int32_t move_pages(struct vr_memfs *fs, struct vr_memnode *inode, uint64_t mode, uint64_t offset,
                          uint64_t length)
{
    if (offset % VR_MEM_PAGE || length % VR_MEM_PAGE || offset >= inode->size)
        return -VRIFT_EINVAL;
    if (mode == VRIFT_FALLOC_INSERT_RANGE) {
        if (length > VR_MEM_FILE_MAX - inode->size)
            return -VRIFT_EFBIG;
        int32_t error = vr_memspace_insert(&fs->pool, &inode->data, offset, length, inode->size);
        inode->size += error ? 0 : length;
        return error;
    }
    if (offset + length >= inode->size)
        return -VRIFT_EINVAL;
    int32_t error = vr_memspace_collapse(&fs->pool, &inode->data, offset, length, inode->size);
    inode->size -= error ? 0 : length;
    return error;
}

/* The new size of a file that grows by being given space. */
static int32_t extend(struct vr_memfs *fs, struct vr_memnode *inode, uint64_t mode, uint64_t end)
{
    if (mode & VRIFT_FALLOC_KEEP_SIZE || end <= inode->size)
        return 0;
    int32_t error = vr_memdata_resize(&fs->pool, &inode->data, inode->size, end);
    inode->size = error ? inode->size : end;
    return error;
}

static int32_t fallocate_locked(struct vr_memfs *fs, struct vr_memnode *inode, uint64_t mode, uint64_t offset,
                                uint64_t length)
{
    int32_t error;
    switch (mode & ~VRIFT_FALLOC_KEEP_SIZE) {
    case 0:
        error = vr_memspace_allocate(&fs->pool, &inode->data, offset, length);
        return error ? error : extend(fs, inode, mode, offset + length);
    case VRIFT_FALLOC_PUNCH_HOLE:
        return vr_memspace_punch(&fs->pool, &inode->data, offset, length);
    case VRIFT_FALLOC_ZERO_RANGE:
        error = vr_memspace_zero(&fs->pool, &inode->data, offset, length, inode->size);
        return error ? error : extend(fs, inode, mode, offset + length);
    case VRIFT_FALLOC_COLLAPSE_RANGE:
    case VRIFT_FALLOC_INSERT_RANGE:
        return move_pages(fs, inode, mode, offset, length);
    default:
        return -VRIFT_EOPNOTSUPP;
    }
}

int32_t VRIFT_CALLBACK vr_memfile_fallocate(void *self, const struct vrift_node *node, void *file, uint64_t mode,
                                            uint64_t offset, uint64_t length)
{
    struct vr_memfs *fs = self;
    struct vr_memnode *inode = node->handle;
    (void)file;
    vr_os_rwlock_write(&inode->lock);
    vr_memmap_notice(inode);
    int32_t error = fallocate_locked(fs, inode, mode, offset, length);
    if (!error) {
        vr_memnode_now(inode, &inode->ctime);
        inode->mtime = inode->ctime;
        inode->version++;
    }
    vr_os_rwlock_unlock(&inode->lock);
    return error;
}

int64_t VRIFT_CALLBACK vr_memfile_seek(void *self, const struct vrift_node *node, void *file, uint64_t offset,
                                       int32_t whence)
{
    struct vr_memnode *inode = node->handle;
    int64_t result = -VRIFT_ENXIO;
    (void)self;
    (void)file;
    if (inode->type != VRIFT_S_IFREG || (whence != VRIFT_SEEK_DATA && whence != VRIFT_SEEK_HOLE))
        return -VRIFT_EINVAL;
    vr_os_rwlock_read(&inode->lock);
    if (offset < inode->size) {
        uint64_t at = vr_memdata_seek(&inode->data, offset, inode->size, whence == VRIFT_SEEK_DATA);
        if (whence == VRIFT_SEEK_HOLE || at < inode->size)
            result = (int64_t)at;
    }
    vr_os_rwlock_unlock(&inode->lock);
    return result;
}
