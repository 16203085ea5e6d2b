/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/mem/mem.h"

void vr_memmap_notice(struct vr_memnode *node)
{
    uint64_t pages;
    struct vrift_timespec when;
    if (!node->data.shared || !vr_memshared_look(&node->data, &pages, &when))
        return;
    node->data.shared->changed = when;
    node->mtime = node->ctime = when;
    node->version++;
}

/* With the lock held. The bytes move at the first mapping. */
static int32_t map_locked(struct vr_memfs *fs, struct vr_memnode *inode, struct vr_memmapping *mapping)
{
    int32_t error = 0;
    int first = !inode->data.shared;
    if (first)
        error = vr_memshared_begin(&fs->pool, &inode->data, inode->size);
    if (error)
        return error;
    error = vr_memshared_enter(&fs->pool, &inode->data, mapping);
    if (!error) {
        error = vr_os_map_range(inode->data.shared->fd, &mapping->range, &mapping->address);
        if (error)
            vr_memshared_leave(&fs->pool, &inode->data, mapping);
    }
    if (error && first)
        vr_memshared_end(&fs->pool, &inode->data, inode->size);
    return error;
}

int32_t VRIFT_CALLBACK vr_memmap(void *self, const struct vrift_node *node, void *file,
                                 const struct vrift_map_range *range, struct vrift_map_place *out)
{
    struct vr_memfs *fs = self;
    struct vr_memnode *inode = node->handle;
    (void)file;
    struct vr_memmapping *mapping = vr_alloc_zero(fs->allocator, 1, sizeof *mapping);
    if (!mapping)
        return -VRIFT_ENOMEM;
    mapping->range = *range;
    vr_os_rwlock_write(&inode->lock);
    int32_t error = map_locked(fs, inode, mapping);
    vr_os_rwlock_unlock(&inode->lock);
    if (error) {
        vr_alloc_free(fs->allocator, mapping);
        return error;
    }
    out->address = mapping->address;
    out->handle = mapping;
    return 0;
}

/* The pages stay in memory, so only the times and the counts are to be brought up to date. */
int32_t VRIFT_CALLBACK vr_memmap_sync(void *self, const struct vrift_node *node, const struct vrift_map_place *mapping,
                                      uint64_t offset, uint64_t length, uint64_t flags)
{
    struct vr_memnode *inode = node->handle;
    (void)self;
    (void)flags;
    vr_os_map_watch((uint8_t *)mapping->address + offset, (size_t)length);
    vr_os_rwlock_write(&inode->lock);
    vr_memmap_notice(inode);
    vr_os_rwlock_unlock(&inode->lock);
    return 0;
}

void VRIFT_CALLBACK vr_memmap_unmap(void *self, const struct vrift_node *node, const struct vrift_map_place *mapping)
{
    struct vr_memfs *fs = self;
    struct vr_memnode *inode = node->handle;
    vr_os_unmap(mapping->address, (size_t)mapping->range.length);
    vr_os_rwlock_write(&inode->lock);
    vr_memmap_notice(inode);
    vr_memshared_leave(&fs->pool, &inode->data, mapping->handle);
    if (!inode->data.shared->mappings)
        vr_memshared_end(&fs->pool, &inode->data, inode->size);
    vr_os_rwlock_unlock(&inode->lock);
    vr_alloc_free(fs->allocator, mapping->handle);
}
