/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Who may do what: mode bits, ACLs, flags and capabilities, as fs/namei.c and fs/attr.c of Linux decide.
 *
 * A check may have to ask the backend for an ACL, so it is made where the backend may be called. For the walk over
 * the cache there is vr_perm_search(), which says when it must be made outside. It is called without a lock and may be
 * given an inode or credentials that just became others: it reads only what is _Atomic in them, and no superblock.
 */
#ifndef VR_PERM_H
#define VR_PERM_H

#include "core/acl.h"
#include "core/object.h"

#define VR_MAY_EXEC  1u
#define VR_MAY_WRITE 2u
#define VR_MAY_READ  4u

static inline bool vr_perm_capable(const struct vrift_cred *cred, uint64_t capability)
{
    return cred->capabilities & capability;
}

/* Has it any of the VR_MODE_... bits? */
static inline bool vr_perm_is(const struct vr_inode *inode, uint32_t bits)
{
    return atomic_load_explicit(&inode->mode, memory_order_acquire) & bits;
}

bool vr_perm_in_group(const struct vrift_cred *cred, uint32_t gid);

/*
 * 0 or -VRIFT_EACCES; to write: -VRIFT_EROFS for what lies on a superblock that cannot be written, -VRIFT_EPERM for what
 * is immutable; or why the ACL could not be read.
 */
int32_t vr_perm_check(const struct vrift_cred *cred, struct vr_inode *inode, uint32_t may);

/* After vr_inode_doubt_rights(), before a check that is not vr_perm_check(): mode, uid and gid are what the backend says. */
int32_t vr_perm_refresh(struct vr_inode *inode);

/* May it look up names in a directory? As far as can be told without the backend, else VR_PERM_ASK. */
#define VR_PERM_ASK 3
int32_t vr_perm_search_cached(const struct vrift_cred *cred, const struct vr_inode *dir);

/* The walk asks at each component; on VR_PERM_ASK vr_perm_check(VR_MAY_EXEC) decides. */
static inline int32_t vr_perm_search(const struct vrift_cred *cred, const struct vr_inode *dir)
{
    if (cred->capabilities & (VRIFT_CAP_DAC_OVERRIDE | VRIFT_CAP_DAC_READ_SEARCH))
        return 0;
    return vr_perm_search_cached(cred, dir);
}

/* May names be made in it? */
static inline int32_t vr_perm_change_dir(const struct vrift_cred *cred, struct vr_inode *dir)
{
    return vr_perm_check(cred, dir, VR_MAY_WRITE | VR_MAY_EXEC);
}

/* May the name of victim in dir be removed, as far as its type does not forbid it (want_dir: by rmdir)? */
int32_t vr_perm_remove(const struct vrift_cred *cred, struct vr_inode *dir, const struct vr_inode *victim,
                       bool want_dir);

/* Owner, or as good as. */
bool vr_perm_owner(const struct vrift_cred *cred, const struct vr_inode *inode);

/*
 * May a file be opened with these VRIFT_O_... flags as far as VR_MODE_APPEND and O_NOATIME are concerned? -VRIFT_EPERM
 * if not.
 */
int32_t vr_perm_open_flags(const struct vrift_cred *cred, const struct vr_inode *inode, uint64_t flags);

/* May the xattrs of an inode be changed at all? -VRIFT_EPERM for the immutable and append-only. */
static inline int32_t vr_perm_xattrs(const struct vr_inode *inode)
{
    return vr_perm_is(inode, VR_MODE_IMMUTABLE | VR_MODE_APPEND) ? -VRIFT_EPERM : 0;
}

/*
 * What a new inode in dir gets: how->mode is what was asked for, with its type, and becomes what it is born with; owner,
 * group and ACLs are filled in. Until vr_acl_birth_end(birth), which is to be called in any case.
 */
int32_t vr_perm_inherit(const struct vrift_cred *cred, struct vr_inode *dir, uint32_t umask, struct vrift_create *how,
                        struct vr_acl_birth *birth);

/* The setgid bit if who is not in the group cannot give it, else 0. */
uint32_t vr_perm_setgid_lost(const struct vrift_cred *cred, uint32_t gid);

/* The setuid and setgid bits that a change of owner takes away. */
uint32_t vr_perm_killed_by_chown(const struct vrift_cred *cred, const struct vr_inode *inode);
/* Likewise a write or truncate by the task: none if it has VRIFT_CAP_FSETID. */
uint32_t vr_perm_killed_by_write(const struct vrift_cred *cred, const struct vr_inode *inode);

/* The protections of the instance (VRIFT_PROTECT_...): 0 or -VRIFT_EACCES, -VRIFT_EPERM. */
/* This one also without a lock; vfs is the inodes'. */
int32_t vr_perm_follow(const vrift_vfs *vfs, const struct vrift_cred *cred, const struct vr_inode *dir,
                       const struct vr_inode *link);
int32_t vr_perm_link(const struct vrift_cred *cred, struct vr_inode *inode);
/* O_CREAT found an inode in a directory of this mode and owner. */
int32_t vr_perm_found(const struct vrift_cred *cred, uint32_t dir_mode, uint32_t dir_uid, const struct vr_inode *inode);

#endif
