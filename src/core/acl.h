/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * POSIX ACLs, after fs/posix_acl.c of Linux. They live in the backend as the extended attributes that Linux gives them,
 * in its format (include/uapi/linux/posix_acl_xattr.h: version 2, little-endian); the core reads and changes them there.
 */
#ifndef VR_ACL_H
#define VR_ACL_H

#include "core/object.h"

#define VR_ACL_ACCESS  "system.posix_acl_access"
#define VR_ACL_DEFAULT "system.posix_acl_default"

/* Is it the name of one of the two attributes? */
bool vr_acl_is_name(const char *name);

/* What the access ACL says to a task that is not the owner: 0, -VRIFT_EACCES, an error, or: it has none. */
#define VR_ACL_NONE 1
int32_t vr_acl_permission(const vrift_cred *cred, struct vr_inode *inode, uint32_t may);

/* As getxattr(2) of one of the two names. */
int64_t vr_acl_get(struct vr_inode *inode, const char *name, void *buf, size_t len);

/*
 * As setxattr(2) of one of the two names; value NULL as removexattr(2). Checks who may. The mode follows the access
 * ACL. The inode is locked exclusively.
 */
int32_t vr_acl_set(const vrift_cred *cred, struct vr_inode *inode, const char *name, const void *value, size_t len);

/* 0, or what is wrong with the bytes whatever file they are for: Linux says that before it looks at the file. */
int32_t vr_acl_check(const void *value, size_t len);

/*
 * The mode is about to become this: the access ACL, if there is one, goes first, since memory may run out for it. The
 * inode is locked exclusively.
 */
int32_t vr_acl_follow_mode(struct vr_inode *inode, uint32_t mode);

/* Memory that a vrift_create points into. */
struct vr_acl_birth {
    const struct vrift_allocator *allocator;
    uint8_t *memory;
};

/*
 * What a new inode in dir gets from its default ACL: how->mode is narrowed and the ACLs set, until
 * vr_acl_birth_end(). Without one, the umask is taken from the mode.
 */
int32_t vr_acl_birth(struct vr_inode *dir, uint32_t umask, struct vrift_create *how, struct vr_acl_birth *birth);
void vr_acl_birth_end(struct vr_acl_birth *birth);

#endif
