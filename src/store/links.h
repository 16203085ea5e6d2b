/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The links object: which paths of a tree are one inode (docs/formats.md, "Links object"). It stands beside the tree,
 * so that a subtree's digest does not depend on how its files are linked.
 */
#ifndef VR_LINKS_H
#define VR_LINKS_H

#include "core/str.h"

#define VR_LINKS_VERSION 1

struct vr_links_name {
    uint64_t group; /* names with equal numbers are one inode */
    char *path;     /* relative to the root, without a leading '/' */
};

/* Names under collection; those whose group stays single are left out of the encoding. */
struct vr_links {
    struct vr_links_name *names;
    size_t count;
    size_t capacity;
};

void vr_links_dispose(struct vr_links *links);
int32_t vr_links_add(struct vr_links *links, uint64_t group, const char *path, size_t length);

/* Appends the encoding; nothing if there is no group of two. Reorders the names. 0 or -VRIFT_ENOMEM. */
int32_t vr_links_encode(struct vr_links *links, struct vr_str *out);

/* Called with each name in order; group counts from 0. */
typedef int32_t (*vr_links_fn)(uint32_t group, const char *path, size_t length, void *payload);

/* What fn returned; -VRIFT_EUCLEAN unless canonical; -VRIFT_EOPNOTSUPP for a newer version. */
int32_t vr_links_read(const void *bytes, size_t length, vr_links_fn fn, void *payload);

#endif
