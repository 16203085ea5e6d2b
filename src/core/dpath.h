/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* From a mount and a dentry back to a path. */
#ifndef VR_DPATH_H
#define VR_DPATH_H

#include "core/object.h"

/*
 * In a read section of the dentry cache: writes the path of `path` as seen from root, with its NUL, and answers the
 * bytes written. A path outside root begins with "(unreachable)". -VRIFT_ERANGE; -VRIFT_ENOENT if it was removed and
 * must_exist.
 */
int64_t vr_dpath_write(const struct vr_path *root, const struct vr_path *path, bool must_exist, char *buf, size_t len);

/* Likewise the path of a dentry within its superblock, with "//deleted" behind it if it was removed. -VRIFT_ERANGE. */
int64_t vr_dpath_in_sb(const struct vr_dentry *dentry, char *buf, size_t len);

#endif
