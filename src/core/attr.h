/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Attributes of what is held, for the calls that take a descriptor. */
#ifndef VR_ATTR_H
#define VR_ATTR_H

#include "core/object.h"

/* Adds what the backend does not know. */
static inline void vr_attr_finish(const struct vr_mount *mount, struct vrift_stat *out)
{
    out->dev = mount->sb->number;
    out->mount_id = mount->id;
    out->mask |= VRIFT_STAT_MOUNT_ID;
}

int32_t vr_attr_stat(const struct vr_path *path, struct vrift_stat *out);

/*
 * What a change of a file's bytes or owner takes away besides setuid and setgid: its capabilities. The inode is locked
 * exclusively.
 */
int32_t vr_attr_drop_capabilities(struct vr_inode *inode);

/*
 * Sets a file's size with the inode locked, and takes away what a truncate does. -VRIFT_EFBIG if it would grow beyond max
 * bytes.
 */
int32_t vr_attr_truncate(const vrift_cred *cred, struct vr_dentry *dentry, void *handle, uint64_t length, uint64_t max);

/* Takes away setuid, setgid and file capabilities where a change of a file's bytes does. The inode is locked exclusively. */
int32_t vr_attr_modified(const vrift_cred *cred, struct vr_dentry *dentry, void *handle);

/* -VRIFT_EFBIG if the file would grow to more than max bytes. The inode is locked exclusively. */
int32_t vr_attr_may_grow(struct vr_inode *inode, uint64_t length, uint64_t max);

#endif
