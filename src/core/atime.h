/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Access times: stamped by the core where the backend has the `touch` slot, by the rules of touch_atime() of Linux; left
 * to the backend where it has not.
 */
#ifndef VR_ATIME_H
#define VR_ATIME_H

#include "core/object.h"

/* Whether reading an inode through a mount is to be stamped; the rest of vr_atime_wanted(). */
bool vr_atime_due(const struct vr_mount *mount, struct vr_inode *inode, bool may_ask);

/*
 * Is reading it to be stamped? False at once where the backend sees to it. Without may_ask, as in a read section, it is
 * stamped once too often where its attributes are not known.
 */
static inline bool vr_atime_wanted(const struct vr_mount *mount, struct vr_inode *inode, bool may_ask)
{
    return inode->sb->ops.touch && vr_atime_due(mount, inode, may_ask);
}

/* May it ever be, as things are? */
static inline bool vr_atime_may_be(const struct vr_mount *mount, const struct vr_inode *inode)
{
    return inode->sb->ops.touch && !inode->sb->read_only &&
           !(atomic_load_explicit(&mount->flags, memory_order_relaxed) & (VRIFT_MOUNT_NOATIME | VRIFT_MOUNT_RDONLY));
}

/* Without locks that a backend call must not have: stamps it. */
void vr_atime_stamp(struct vr_inode *inode);

/* What a path leads to was read. */
static inline void vr_atime_touch(const struct vr_path *path)
{
    struct vr_inode *inode = path->dentry->inode;
    if (vr_atime_wanted(path->mount, inode, true))
        vr_atime_stamp(inode);
}

/* An open file was read. */
static inline void vr_atime_file(const vrift_file *file)
{
    if (!(file->flags & VRIFT_O_NOATIME))
        vr_atime_touch(&file->path);
}

#endif
