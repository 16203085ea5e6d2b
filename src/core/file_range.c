/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The space of a file: what fallocate(2) checks before a file system sees it, in the order of vfs_fallocate(). */
#include "core/attr.h"
#include "core/dispatch.h"
#include "core/fdtable.h"
#include "core/file.h"
#include "core/inode.h"
#include "core/perm.h"
#include "core/walk.h"
#include "core/watch.h"

#include <vrift/file.h>
#include <vrift/task.h>

#define KINDS                                                                                                          \
    (VRIFT_FALLOC_PUNCH_HOLE | VRIFT_FALLOC_COLLAPSE_RANGE | VRIFT_FALLOC_ZERO_RANGE | VRIFT_FALLOC_INSERT_RANGE |     \
     VRIFT_FALLOC_UNSHARE_RANGE | VRIFT_FALLOC_WRITE_ZEROES)

/* One kind at a time; a hole is punched only with KEEP_SIZE, and what moves the end of the file cannot have it. */
static int32_t check_mode(uint64_t mode)
{
    if (mode & ~(KINDS | VRIFT_FALLOC_KEEP_SIZE))
        return -VRIFT_EOPNOTSUPP;
    switch (mode & KINDS) {
    case 0:
    case VRIFT_FALLOC_ZERO_RANGE:
    case VRIFT_FALLOC_UNSHARE_RANGE:
        return 0;
    case VRIFT_FALLOC_PUNCH_HOLE:
        return mode & VRIFT_FALLOC_KEEP_SIZE ? 0 : -VRIFT_EOPNOTSUPP;
    case VRIFT_FALLOC_COLLAPSE_RANGE:
    case VRIFT_FALLOC_INSERT_RANGE:
    case VRIFT_FALLOC_WRITE_ZEROES:
        return mode & VRIFT_FALLOC_KEEP_SIZE ? -VRIFT_EOPNOTSUPP : 0;
    default:
        return -VRIFT_EOPNOTSUPP;
    }
}

static int32_t check_type(const struct vr_inode *inode)
{
    switch (atomic_load_explicit(&inode->mode, memory_order_relaxed) & VRIFT_S_IFMT) {
    case VRIFT_S_IFREG:
        return 0;
    case VRIFT_S_IFIFO:
        return -VRIFT_ESPIPE;
    case VRIFT_S_IFDIR:
        return -VRIFT_EISDIR;
    default:
        return -VRIFT_ENODEV;
    }
}

/* What only grows may be given space, what is immutable nothing. */
static int32_t check_flags(const struct vr_inode *inode, uint64_t mode)
{
    if (mode & ~VRIFT_FALLOC_KEEP_SIZE && vr_perm_is(inode, VR_MODE_APPEND))
        return -VRIFT_EPERM;
    return vr_perm_is(inode, VR_MODE_IMMUTABLE) ? -VRIFT_EPERM : 0;
}

static int32_t check(const vrift_file *file, uint64_t mode, int64_t offset, int64_t length)
{
    if (offset < 0 || length <= 0)
        return -VRIFT_EINVAL;
    int32_t error = check_mode(mode);
    if (!error)
        error = vr_file_writable(file);
    if (!error)
        error = check_flags(file->path.dentry->inode, mode);
    if (!error)
        error = check_type(file->path.dentry->inode);
    return !error && length > INT64_MAX - offset ? -VRIFT_EFBIG : error;
}

/* What grows by allocating obeys the task's limit, also where only space behind the end is asked for, as on tmpfs. */
static int32_t fallocate_locked(const vrift_task *task, const vrift_cred *cred, vrift_file *file, uint64_t mode,
                                uint64_t offset, uint64_t length)
{
    struct vr_inode *inode = file->path.dentry->inode;
    int32_t error = 0;
    if (!(mode & KINDS) || mode == VRIFT_FALLOC_ZERO_RANGE)
        error = vr_attr_may_grow(inode, offset + length, task->max_file_size);
    if (!error)
        error = vr_dispatch_fallocate(inode, file->handle, mode, offset, length);
    if (!error)
        error = vr_attr_modified(cred, file->path.dentry, NULL);
    vr_inode_attr_forget(inode);
    if (!error)
        vr_watch_file(file->path.dentry, VRIFT_IN_MODIFY);
    return error;
}

int32_t vrift_fallocate(vrift_task *task, int32_t fd, uint64_t mode, int64_t offset, int64_t length)
{
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    int32_t error = vr_fdtable_get_open(task->files, fd, &file);
    if (error)
        return error;
    error = check(file, mode, offset, length);
    if (!error) {
        vrift_cred *cred = vr_walk_cred(task);
        struct vr_inode *inode = file->path.dentry->inode;
        vr_inode_lock(inode, VR_RANK_CHILD);
        error = fallocate_locked(task, cred, file, mode, (uint64_t)offset, (uint64_t)length);
        vr_inode_unlock(inode, VR_RANK_CHILD);
        vrift_cred_unref(cred);
    }
    vrift_file_unref(file);
    return error;
}
