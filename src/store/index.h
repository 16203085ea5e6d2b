/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The flat index of a snapshot (docs/formats.md, "Index"): every entry as a fixed record, breadth first, a directory's
 * children side by side in the order of their names. It is derived from the trees, so a damaged one is built anew.
 * Mapped as it is; nothing in it is believed: every number is checked against the mapping when it is used.
 */
#ifndef VR_INDEX_H
#define VR_INDEX_H

#include "store/digest.h"

#include <vrift/types.h>

#define VR_INDEX_VERSION     1
#define VR_INDEX_HEADER_SIZE 512u
#define VR_INDEX_RECORD_SIZE 64u
#define VR_INDEX_NONE        UINT32_MAX

/* The mapping, and where its parts lie. Immutable. */
struct vr_index {
    const uint8_t *map;
    size_t size;
    int mapped; /* 0: the memory is somebody else's */
    const uint8_t *records;
    const uint8_t *digests;
    const uint8_t *slots;
    const char *strings;
    const uint8_t *xattrs;
    uint64_t entries;
    uint64_t digest_count;
    uint64_t slot_mask; /* slots - 1, a power of two */
    uint64_t strings_length;
    uint64_t xattrs_length;
    uint64_t files, directories, symlinks, specials, bytes; /* of the snapshot */
    uint32_t timeless;
    struct vr_digest id;   /* of the snapshot */
    struct vr_digest tree; /* of the root's tree node */
};

/* One record, decoded. */
struct vr_index_entry {
    uint32_t parent;
    uint32_t type; /* VRIFT_DT_... */
    const char *name;
    uint32_t name_length;
    uint32_t mode; /* permission bits */
    uint32_t uid;
    uint32_t gid;
    struct vrift_timespec mtime;
    uint32_t nlink;
    uint32_t inode;        /* the first entry of the inode */
    uint64_t size;         /* regular: bytes; directory: entries; symlink: length of the text */
    uint64_t rdev;         /* of a device */
    uint32_t first_child;  /* of a directory */
    const char *target;    /* of a symlink */
    const uint8_t *digest; /* NULL: none */
    const uint8_t *xattrs; /* the list, NULL: none */
    size_t xattrs_length;
};

/* Takes memory as an index after checking its header; 0, -VRIFT_EUCLEAN or -VRIFT_EOPNOTSUPP. The body is not read. */
int32_t vr_index_attach(struct vr_index *index, const void *memory, size_t size);

/* Maps a file. 0; -VRIFT_ENOENT; as vr_index_attach(). */
int32_t vr_index_map(struct vr_index *index, int dirfd, const char *name);
void vr_index_unmap(struct vr_index *index);

/* Compares the body with its checksum. 0 or -VRIFT_EUCLEAN. */
int32_t vr_index_check_body(const struct vr_index *index);

/* 0; -VRIFT_EINVAL if there is no such entry; -VRIFT_EUCLEAN. */
int32_t vr_index_get(const struct vr_index *index, uint64_t entry, struct vr_index_entry *out);

/* 0; -VRIFT_ENOENT; -VRIFT_ENOTDIR; -VRIFT_EINVAL; -VRIFT_EUCLEAN. */
int32_t vr_index_lookup(const struct vr_index *index, uint64_t dir, const char *name, size_t length, uint64_t *out);

/* From the root, the parts of a path separated by '/'; as vrift_snapshot_walk(). */
int32_t vr_index_walk(const struct vr_index *index, const char *path, size_t length, uint64_t *out);

/* The slot where the search for a name starts, before masking. */
uint64_t vr_index_hash(uint32_t parent, const char *name, size_t length);

#endif
