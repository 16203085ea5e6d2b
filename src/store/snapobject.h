/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The snapshot object: what a snapshot's id is the digest of (docs/formats.md, "Snapshot object"). */
#ifndef VR_SNAPOBJECT_H
#define VR_SNAPOBJECT_H

#include "store/tree.h"

#define VR_SNAPOBJECT_VERSION 1
#define VR_SNAPOBJECT_MAX     8192u /* bytes; the root's entry with inline xattrs fits with room to spare */

struct vr_snapobject {
    uint32_t timeless;
    uint32_t has_links;
    struct vr_digest links; /* of the links object */
    uint64_t entries;       /* names, the root included */
    uint64_t files;         /* regular, a hard-linked one once */
    uint64_t directories;   /* the root included */
    uint64_t symlinks;
    uint64_t specials;
    uint64_t bytes;            /* of all regular files, a hard-linked one once */
    struct vr_tree_entry root; /* without a name */
};

int32_t vr_snapobject_encode(const struct vr_snapobject *object, struct vr_str *out);

/* 0; -VRIFT_EUCLEAN unless canonical; -VRIFT_EOPNOTSUPP for a newer version. The root borrows from the bytes. */
int32_t vr_snapobject_decode(const void *bytes, size_t length, struct vr_snapobject *out);

#endif
