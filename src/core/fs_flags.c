/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The flags of an inode, after fs/file_attr.c of Linux: FS_IOC_GETFLAGS and FS_IOC_SETFLAGS. */
#include "core/fdtable.h"
#include "core/inode.h"
#include "core/mnt.h"
#include "core/perm.h"
#include "core/walk.h"
#include "core/watch.h"

#include <vrift/file.h>
#include <vrift/fs.h>

#define AT_FLAGS  (VRIFT_AT_SYMLINK_NOFOLLOW | VRIFT_AT_EMPTY_PATH | VRIFT_AT_OPATH)
#define FL_KNOWN  (VRIFT_FL_IMMUTABLE | VRIFT_FL_APPEND | VRIFT_FL_NODUMP | VRIFT_FL_NOATIME)
#define FL_STRONG (VRIFT_FL_IMMUTABLE | VRIFT_FL_APPEND)

_Static_assert(VRIFT_ATTR_IMMUTABLE == VRIFT_FL_IMMUTABLE && VRIFT_ATTR_APPEND == VRIFT_FL_APPEND &&
                   VRIFT_ATTR_NODUMP == VRIFT_FL_NODUMP && VRIFT_ATTR_NOATIME == VRIFT_FL_NOATIME,
               "flags and attributes are the same bits");

/* Only files and directories have flags; of a backend without any it is said as the kernel does. */
static int32_t get(struct vr_inode *inode, uint64_t *out)
{
    struct vrift_stat attr;
    if (!vr_is_file(inode) && !vr_is_dir(inode))
        return -VRIFT_ENOTTY;
    int32_t error = vr_inode_getattr(inode, vr_inode_now(inode->sb), &attr);
    if (error)
        return error;
    if (!(attr.mask & VRIFT_STAT_FLAGS))
        return -VRIFT_ENOTTY;
    *out = attr.attributes & FL_KNOWN;
    return 0;
}

static int32_t set_locked(const vrift_cred *cred, struct vr_inode *inode, uint64_t flags)
{
    struct vrift_setattr set = {.size = sizeof set, .mask = VRIFT_SET_FLAGS, .flags = flags};
    uint64_t before;
    int32_t error = vr_perm_refresh(inode);
    if (!error)
        error = get(inode, &before);
    if (error)
        return error;
    if (!vr_perm_owner(cred, inode))
        return -VRIFT_EPERM;
    if ((flags ^ before) & FL_STRONG && !vr_perm_capable(cred, VRIFT_CAP_LINUX_IMMUTABLE))
        return -VRIFT_EPERM;
    return flags & ~FL_KNOWN ? -VRIFT_EOPNOTSUPP : vr_inode_setattr(inode, NULL, &set);
}

static int32_t set(const vrift_cred *cred, const struct vr_path *path, uint64_t flags)
{
    struct vr_inode *inode = path->dentry->inode;
    int32_t error = vr_mnt_want_write(path->mount);
    if (error)
        return error;
    vr_inode_lock(inode, VR_RANK_CHILD);
    error = set_locked(cred, inode, flags);
    if (!error)
        vr_watch_dentry(path->dentry, VRIFT_IN_ATTRIB);
    vr_inode_unlock(inode, VR_RANK_CHILD);
    vr_mnt_drop_write(path->mount);
    return error;
}

static int32_t begin(struct vr_walk *walk, vrift_task *task, int32_t dirfd, const char *path, uint64_t at_flags)
{
    uint32_t how = at_flags & VRIFT_AT_SYMLINK_NOFOLLOW ? 0 : VR_WALK_FOLLOW;
    if (at_flags & VRIFT_AT_EMPTY_PATH)
        how |= VR_WALK_EMPTY;
    int32_t error = vr_walk_begin(walk, task, dirfd, path, how, 0);
    if (!error && !*path && walk->dir_file && walk->dir_file->flags & VRIFT_O_PATH && !(at_flags & VRIFT_AT_OPATH))
        error = -VRIFT_EBADF;
    return error ? error : vr_walk_run(walk);
}

static int32_t getflags_once(vrift_task *task, int32_t dirfd, const char *path, uint64_t at_flags, uint64_t *out)
{
    struct vr_walk walk;
    int32_t error = begin(&walk, task, dirfd, path, at_flags);
    if (!error)
        error = get(walk.path.dentry->inode, out);
    vr_walk_end(&walk);
    return error;
}

int32_t vrift_getflags(vrift_task *task, int32_t dirfd, const char *path, uint64_t at_flags, uint64_t *out)
{
    if (!task || !path || !out || at_flags & ~AT_FLAGS)
        return -VRIFT_EINVAL;
    int32_t result;
    VR_WALK_RETRY(result, getflags_once(task, dirfd, path, at_flags, out));
    return result;
}

static int32_t setflags_once(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags, uint64_t at_flags)
{
    struct vr_walk walk;
    int32_t error = begin(&walk, task, dirfd, path, at_flags);
    if (!error)
        error = set(walk.cred, &walk.path, flags);
    vr_walk_end(&walk);
    return error;
}

int32_t vrift_setflags(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags, uint64_t at_flags)
{
    if (!task || !path || at_flags & ~AT_FLAGS)
        return -VRIFT_EINVAL;
    int32_t result;
    VR_WALK_RETRY(result, setflags_once(task, dirfd, path, flags, at_flags));
    return result;
}
