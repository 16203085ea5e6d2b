/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Making names, for the calls that do. */
#ifndef VR_NEWNAME_H
#define VR_NEWNAME_H

#include "core/dcache.h"

/*
 * Makes what `how` says under a name that dir, whose inode is locked exclusively, does not have. The new dentry is
 * *out, held. Nothing is changed on failure.
 */
int32_t vr_newname_create(struct vr_dentry *dir, const struct vr_component *name, struct vrift_create *how,
                          struct vr_reap *reap, struct vr_dentry **out);

/* An inode without a name (how->flags has VRIFT_CREATE_TMPFILE). Nothing is locked. */
int32_t vr_newname_create_unnamed(struct vr_dentry *dir, struct vrift_create *how, struct vr_dentry **out);

#endif
