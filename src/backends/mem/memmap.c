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

static int is_written(const struct vrift_map_range *range)
{
    return range->flags == VRIFT_MAP_SHARED && range->prot & VRIFT_PROT_WRITE;
}

/*
 * The system notices the first store to a page, unless the page was read before (or one beside it). So the bytes are
 * compared, too; but not where calls have changed them meanwhile, which have left their time.
 */
void vr_memmap_notice_all(struct vr_memnode *node)
{
    struct vr_memshared *shared = node->data.shared;
    struct vrift_timespec when;
    uint64_t pages;
    int stored = 0;
    if (!shared)
        return;
    int noticed = vr_memshared_look(&node->data, &pages, &when);
    vr_memmap_notice(node);
    for (struct vr_memmapping *mapping = shared->mappings; mapping; mapping = mapping->next) {
        if (!is_written(&mapping->range))
            continue;
        uint64_t sum = vr_memshared_sum(&node->data, &mapping->range);
        stored |= sum != mapping->sum;
        mapping->sum = sum;
    }
    if (stored && !noticed && !shared->written) {
        vr_os_file_time(&node->mtime);
        node->ctime = node->mtime;
    }
    node->version += stored ? 1 : 0;
    shared->written = 0;
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
    vr_memmap_notice_all(inode); /* so that the sums of all mappings are of now */
    error = vr_memshared_enter(&fs->pool, &inode->data, mapping);
    if (!error) {
        error = vr_os_map_range(inode->data.shared->fd, &mapping->range, &mapping->address);
        if (error)
            vr_memshared_leave(&fs->pool, &inode->data, mapping);
        else if (is_written(&mapping->range))
            mapping->sum = vr_memshared_sum(&inode->data, &mapping->range);
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
    vr_memmap_notice_all(inode);
    vr_os_rwlock_unlock(&inode->lock);
    return 0;
}

void VRIFT_CALLBACK vr_memmap_unmap(void *self, const struct vrift_node *node, const struct vrift_map_place *mapping)
{
    struct vr_memfs *fs = self;
    struct vr_memnode *inode = node->handle;
    vr_os_unmap(mapping->address, (size_t)mapping->range.length);
    vr_os_rwlock_write(&inode->lock);
    vr_memmap_notice_all(inode);
    vr_memshared_leave(&fs->pool, &inode->data, mapping->handle);
    if (!inode->data.shared->mappings)
        vr_memshared_end(&fs->pool, &inode->data, inode->size);
    vr_os_rwlock_unlock(&inode->lock);
    vr_alloc_free(fs->allocator, mapping->handle);
}
