/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Who may do what: mode bits and capabilities, as fs/namei.c and fs/attr.c of Linux decide. */
#ifndef VR_PERM_H
#define VR_PERM_H

#include "core/object.h"

#define VR_MAY_EXEC  1u
#define VR_MAY_WRITE 2u
#define VR_MAY_READ  4u

static inline bool vr_perm_capable(const struct vrift_cred *cred, uint64_t capability)
{
    return cred->capabilities & capability;
}

bool vr_perm_in_group(const struct vrift_cred *cred, uint32_t gid);

/* 0 or -VRIFT_EACCES; -VRIFT_EROFS to write what lies on a superblock that cannot be written. */
int32_t vr_perm_check(const struct vrift_cred *cred, const struct vr_inode *inode, uint32_t may);

/* May it look up names in a directory? The walk asks at each component. */
static inline int32_t vr_perm_search(const struct vrift_cred *cred, const struct vr_inode *dir)
{
    if (cred->capabilities & (VRIFT_CAP_DAC_OVERRIDE | VRIFT_CAP_DAC_READ_SEARCH))
        return 0;
    return vr_perm_check(cred, dir, VR_MAY_EXEC);
}

static inline int32_t vr_perm_change_dir(const struct vrift_cred *cred, const struct vr_inode *dir)
{
    return vr_perm_check(cred, dir, VR_MAY_WRITE | VR_MAY_EXEC);
}

/* Owner, or as good as. */
bool vr_perm_owner(const struct vrift_cred *cred, const struct vr_inode *inode);

/* May the name of victim in dir be removed? -VRIFT_EPERM in a sticky directory of somebody else. */
int32_t vr_perm_sticky(const struct vrift_cred *cred, const struct vr_inode *dir, const struct vr_inode *victim);

/* What a new inode in dir gets, from the mode asked for (with its type): group, setgid and umask applied. */
void vr_perm_inherit(const struct vrift_cred *cred, const struct vr_inode *dir, uint32_t umask, uint32_t *mode,
                     uint32_t *gid);

/* The setuid and setgid bits that a change of owner takes away. */
uint32_t vr_perm_killed_by_chown(const struct vrift_cred *cred, const struct vr_inode *inode);
/* Likewise a write or truncate by the task: none if it has VRIFT_CAP_FSETID. */
uint32_t vr_perm_killed_by_write(const struct vrift_cred *cred, const struct vr_inode *inode);

#endif
