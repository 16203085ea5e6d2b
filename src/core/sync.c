/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls that bring what was written to stable storage: of a file, of a file system, of all that are mounted. */
#include "core/dispatch.h"
#include "core/fdtable.h"
#include "core/mnt.h"

#include <vrift/file.h>
#include <vrift/fs.h>

static int32_t sync_file(vrift_task *task, int32_t fd)
{
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    int32_t error = vr_fdtable_get_open(task->files, fd, &file);
    if (error)
        return error;
    uint32_t type = atomic_load_explicit(&file->path.dentry->inode->mode, memory_order_relaxed) & VRIFT_S_IFMT;
    if (type == VRIFT_S_IFREG || type == VRIFT_S_IFDIR)
        error = vr_dispatch_fsync(file->path.dentry->inode, file->handle);
    else
        error = -VRIFT_EINVAL;
    vrift_file_unref(file);
    return error;
}

int32_t vrift_fsync(vrift_task *task, int32_t fd)
{
    return sync_file(task, fd);
}

int32_t vrift_fdatasync(vrift_task *task, int32_t fd)
{
    return sync_file(task, fd);
}

int32_t vrift_sb_sync(vrift_sb *sb)
{
    return sb ? vr_dispatch_sync(sb) : -VRIFT_EINVAL;
}

int32_t vrift_syncfs(vrift_task *task, int32_t fd)
{
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    int32_t error = vr_fdtable_get_open(task->files, fd, &file);
    if (error)
        return error;
    error = vr_dispatch_sync(file->path.mount->sb);
    vrift_file_unref(file);
    return error;
}

/* The superblock of the mount with this place in the tree, held, unless one before it has the same; *more: is there one? */
static vrift_sb *superblock_at(vrift_task *task, uint64_t place, bool *more)
{
    struct vr_mount *top, *at;
    vr_mnt_tree_lock(task->vfs);
    top = at = task->ns->root;
    for (uint64_t i = 0; at && i < place; i++)
        at = vr_mnt_next(at, top);
    vrift_sb *sb = at ? at->sb : NULL;
    for (const struct vr_mount *before = top; sb && before != at; before = vr_mnt_next(before, top))
        if (before->sb == sb)
            sb = NULL;
    *more = at;
    vrift_sb_ref(sb);
    vr_mnt_tree_unlock(task->vfs);
    return sb;
}

int32_t vrift_sync(vrift_task *task)
{
    bool more = true;
    int32_t result = 0;
    if (!task)
        return -VRIFT_EINVAL;
    for (uint64_t place = 0; more; place++) {
        vrift_sb *sb = superblock_at(task, place, &more);
        int32_t error = sb ? vr_dispatch_sync(sb) : 0;
        if (!result)
            result = error;
        vrift_sb_unref(sb);
    }
    return result;
}
