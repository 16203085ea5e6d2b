/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Access times: stamped by the core where the backend has the `touch` slot, by the rules of touch_atime() of Linux; left
 * to the backend where it has not.
 */
#ifndef VR_ATIME_H
#define VR_ATIME_H

#include "core/object.h"

#define VR_ATIME_ASK 1u /* the backend, if the attributes are not known */
#define VR_ATIME_DAY 2u /* whether the last stamp is a day old, which costs a look at the clock */

/* What reading an inode does to its access time. */
enum vr_atime {
    VR_ATIME_KEEP,
    VR_ATIME_STAMP,
    VR_ATIME_UNKNOWN, /* its times are not known, and may not be asked for; then it is for vr_atime_stamp_old() */
};

/* Whether reading an inode through a mount is to be stamped, as far as the flags let it find out. */
enum vr_atime vr_atime_due(const struct vr_mount *mount, struct vr_inode *inode, uint32_t flags);

/* Kept where the backend sees to it. */
static inline enum vr_atime vr_atime_wanted(const struct vr_mount *mount, struct vr_inode *inode, uint32_t flags)
{
    return inode->sb->ops.touch ? vr_atime_due(mount, inode, flags) : VR_ATIME_KEEP;
}

/* May it ever be, as things are? */
static inline bool vr_atime_may_be(const struct vr_mount *mount, const struct vr_inode *inode)
{
    return inode->sb->ops.touch && !inode->sb->read_only &&
           !(atomic_load_explicit(&mount->flags, memory_order_relaxed) & (VRIFT_MOUNT_NOATIME | VRIFT_MOUNT_RDONLY));
}

/* Without locks that a backend call must not have: stamps it. */
void vr_atime_stamp(struct vr_inode *inode);
/* Likewise, if by now it is known to be due by the rule of VRIFT_MOUNT_RELATIME. */
void vr_atime_stamp_old(struct vr_inode *inode);

/* What a path leads to was read. */
static inline void vr_atime_touch(const struct vr_path *path, uint32_t flags)
{
    struct vr_inode *inode = path->dentry->inode;
    if (vr_atime_wanted(path->mount, inode, flags) == VR_ATIME_STAMP)
        vr_atime_stamp(inode);
}

/* An open file was read. One that is read all the time need not look at the clock each time. */
static inline void vr_atime_file(vrift_file *file)
{
    if (file->flags & VRIFT_O_NOATIME)
        return;
    uint32_t reads = atomic_load_explicit(&file->reads, memory_order_relaxed);
    atomic_store_explicit(&file->reads, reads + 1, memory_order_relaxed);
    vr_atime_touch(&file->path, VR_ATIME_ASK | (reads % 64 ? 0 : VR_ATIME_DAY));
}

#endif
