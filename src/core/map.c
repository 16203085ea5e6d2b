/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Mappings: what mmap(2) checks, and the object that holds the file open for as long as it is mapped. */
#include "core/atime.h"
#include "core/alloc.h"
#include "core/dispatch.h"
#include "core/fdtable.h"
#include "core/inode.h"
#include "core/mnt.h"
#include "core/perm.h"

#include <vrift/file.h>
#include <vrift/map.h>

/* What no process can map: refused before what is wrong with the flags, as by mmap(2). */
#define LONGEST (1ULL << 47)

struct vrift_mapping {
    vrift_file *file; /* held */
    struct vrift_map_place mapping;
};

static bool is_written(const struct vrift_map_range *range)
{
    return range->flags == VRIFT_MAP_SHARED && range->prot & VRIFT_PROT_WRITE;
}

/* The order of do_mmap(), so that the same error wins. */
static int32_t check_range(struct vrift_map_range *range)
{
    uint64_t page = vr_os_page_size();
    if (!range->length)
        return -VRIFT_EINVAL;
    if (range->length > LONGEST)
        return -VRIFT_ENOMEM;
    range->length = (range->length + page - 1) & ~(page - 1);
    return range->offset > INT64_MAX || range->length > INT64_MAX - range->offset ? -VRIFT_EOVERFLOW : 0;
}

static int32_t check_file(const vrift_file *file, const struct vrift_map_range *range)
{
    const struct vr_inode *inode = file->path.dentry->inode;
    if (range->flags != VRIFT_MAP_SHARED && range->flags != VRIFT_MAP_PRIVATE)
        return -VRIFT_EINVAL;
    if (is_written(range) && !file->writable)
        return -VRIFT_EACCES;
    if (range->flags == VRIFT_MAP_SHARED && file->writable && vr_perm_is(inode, VR_MODE_APPEND))
        return -VRIFT_EACCES;
    if (!file->readable)
        return -VRIFT_EACCES;
    if (range->prot & VRIFT_PROT_EXEC && vr_mnt_is(file->path.mount, VRIFT_MOUNT_NOEXEC))
        return -VRIFT_EPERM;
    return vr_is_file(inode) ? 0 : -VRIFT_ENODEV;
}

/* Nobody hears of stores, so attributes are asked anew while there may be any. 0 or -VRIFT_ENOMEM. */
static int32_t announce(struct vr_inode *inode, const struct vrift_map_range *range)
{
    struct vr_inode_extra *extra = is_written(range) ? vr_inode_extra(inode) : NULL;
    if (!extra)
        return is_written(range) ? -VRIFT_ENOMEM : 0;
    atomic_fetch_add_explicit(&extra->mapped, 1, memory_order_relaxed);
    vr_inode_attr_forget(inode);
    return 0;
}

static void withdraw(struct vr_inode *inode, const struct vrift_map_range *range)
{
    if (is_written(range))
        atomic_fetch_sub_explicit(&vr_inode_extra_of(inode)->mapped, 1, memory_order_relaxed);
    vr_inode_attr_forget(inode); /* also of a private one: pages of memory that were only looked at may be in use now */
}

static int32_t map_file(vrift_file *file, const struct vrift_map_range *range, vrift_mapping **out)
{
    const struct vrift_allocator *allocator = file->vfs->allocator;
    vrift_mapping *map = vr_alloc_zero(allocator, 1, sizeof *map);
    if (!map)
        return -VRIFT_ENOMEM;
    struct vr_inode *inode = file->path.dentry->inode;
    int32_t error = announce(inode, range);
    if (!error) {
        error = vr_dispatch_map(inode, file->handle, range, &map->mapping);
        if (error)
            withdraw(inode, range);
    }
    if (error) {
        vr_alloc_free(allocator, map);
        return error;
    }
    map->file = vrift_file_ref(file);
    *out = map;
    return 0;
}

int32_t vrift_map(vrift_task *task, int32_t fd, uint64_t offset, uint64_t length, uint64_t prot, uint64_t flags,
                  vrift_mapping **out)
{
    struct vrift_map_range range = {offset, length, prot, flags};
    vrift_file *file;
    if (!task || !out || offset % vr_os_page_size() || prot & ~(VRIFT_PROT_READ | VRIFT_PROT_WRITE | VRIFT_PROT_EXEC))
        return -VRIFT_EINVAL;
    int32_t error = vr_fdtable_get_open(task->files, fd, &file);
    if (error)
        return error;
    error = check_range(&range);
    if (!error)
        error = check_file(file, &range);
    if (!error)
        error = map_file(file, &range, out);
    if (!error)
        vr_atime_file(file);
    vrift_file_unref(file);
    return error;
}

void *vrift_map_address(const vrift_mapping *map)
{
    return map ? map->mapping.address : NULL;
}

uint64_t vrift_map_length(const vrift_mapping *map)
{
    return map ? map->mapping.range.length : 0;
}

int32_t vrift_map_sync(vrift_mapping *map, uint64_t offset, uint64_t length, uint64_t flags)
{
    if (!map || flags & ~(VRIFT_MS_SYNC | VRIFT_MS_ASYNC | VRIFT_MS_INVALIDATE))
        return -VRIFT_EINVAL;
    uint64_t page = vr_os_page_size(), all = map->mapping.range.length;
    if (offset % page || (flags & VRIFT_MS_SYNC && flags & VRIFT_MS_ASYNC))
        return -VRIFT_EINVAL;
    if (length > all || offset > all - length)
        return -VRIFT_ENOMEM;
    if (!length || !is_written(&map->mapping.range))
        return 0;
    length = (length + page - 1) & ~(page - 1);
    struct vr_inode *inode = map->file->path.dentry->inode;
    int32_t error = vr_dispatch_map_sync(inode, &map->mapping, offset, length, flags);
    vr_inode_attr_forget(inode);
    return error;
}

void vrift_map_free(vrift_mapping *map)
{
    if (!map)
        return;
    vrift_file *file = map->file;
    struct vr_inode *inode = file->path.dentry->inode;
    vr_dispatch_unmap(inode, &map->mapping);
    withdraw(inode, &map->mapping.range);
    vr_alloc_free(file->vfs->allocator, map);
    vrift_file_unref(file);
}
