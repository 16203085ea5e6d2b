/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The canonical list of an inode's extended attributes:
 * u32 count, then for each, sorted by name: u16 name length, name, u32 value length, value.
 */
#ifndef VR_XATTRS_H
#define VR_XATTRS_H

#include "core/str.h"

struct vr_xattrs_item {
    const char *name; /* borrowed from the list, not NUL-terminated */
    uint32_t name_length;
    const uint8_t *value;
    uint32_t value_length;
};

/* 0, or -VRIFT_EUCLEAN unless it is canonical and holds at least one attribute. */
int32_t vr_xattrs_check(const uint8_t *list, size_t length);

/* Walks a checked list: *at starts at 0; 1 and an item, or 0 at the end. Also safe on an unchecked one. */
int vr_xattrs_next(const uint8_t *list, size_t length, size_t *at, struct vr_xattrs_item *out);

/* As vrift_snapshot_getxattr() and vrift_snapshot_listxattr(); a NULL list is empty. */
int64_t vr_xattrs_get(const uint8_t *list, size_t length, const char *name, void *buf, size_t size);
int64_t vr_xattrs_list(const uint8_t *list, size_t length, char *buf, size_t size);

/* Whether the store keeps an attribute of this name. */
int vr_xattrs_kept(const char *name);

/* Appends the list of what the host's file has and the store keeps to out; nothing if there is none. */
int32_t vr_xattrs_read(int dirfd, const char *name, struct vr_str *out);

#endif
