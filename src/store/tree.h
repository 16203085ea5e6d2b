/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Tree nodes: the canonical form of one directory (docs/formats.md, "Tree node"). One directory has exactly one
 * encoding, so equal directories have equal digests. A directory's own attributes are in its parent's node.
 */
#ifndef VR_TREE_H
#define VR_TREE_H

#include "core/str.h"
#include "store/digest.h"

#define VR_TREE_VERSION      1
#define VR_TREE_XATTR_INLINE 1024u /* a longer list of xattrs is a blob of its own */
#define VR_TREE_TARGET_MAX   4095u

/* In timeless trees every time reads as this, which is also that of loose blobs: one inode can serve all. */
#define VR_TREE_FIXED_SECONDS 1

struct vr_tree_entry {
    const char *name; /* not NUL-terminated when it comes from a reader */
    uint32_t name_length;
    uint32_t type; /* VRIFT_DT_... */
    uint32_t mode; /* permission bits, 07777 */
    uint32_t uid;
    uint32_t gid;
    struct vrift_timespec mtime;
    uint64_t size;           /* of a regular file */
    uint64_t rdev;           /* of a device */
    struct vr_digest digest; /* of a regular file's content unless size is 0; of a directory's tree node */
    const char *target;      /* of a symlink */
    uint32_t target_length;
    uint32_t xattrs_apart; /* 1: the list is the blob xattrs_digest, and xattrs is NULL */
    const uint8_t *xattrs; /* the list (xattrs.h), NULL if there is none */
    size_t xattrs_length;
    struct vr_digest xattrs_digest;
};

/* A directory under construction. Owns copies of everything its entries point to. */
struct vr_tree {
    struct vr_tree_entry *entries;
    uint32_t count;
    uint32_t capacity;
    uint32_t timeless; /* leave times out */
};

void vr_tree_init(struct vr_tree *tree, int timeless);
void vr_tree_dispose(struct vr_tree *tree);

/* Adds a copy. 0 or -VRIFT_ENOMEM. */
int32_t vr_tree_add(struct vr_tree *tree, const struct vr_tree_entry *entry);

/*
 * Gives an entry made by vr_tree_add() all but the name from `from`, copying what it points to. 0 or -VRIFT_ENOMEM.
 * Different entries may be set by different threads.
 */
int32_t vr_tree_set(struct vr_tree *tree, uint32_t at, const struct vr_tree_entry *from);

/* Sorts by name. -VRIFT_EEXIST if two entries have one name. */
int32_t vr_tree_sort(struct vr_tree *tree);

/* Finds a name in a sorted tree; NULL if it is not there. */
struct vr_tree_entry *vr_tree_find(struct vr_tree *tree, const char *name, size_t length);

/* Sorts, and appends the encoding to out. -VRIFT_EINVAL for a name or type that cannot be, -VRIFT_EEXIST. */
int32_t vr_tree_encode(struct vr_tree *tree, struct vr_str *out);

/* Appends the encoding of one entry; with no name, it is the root in a snapshot object. */
int32_t vr_tree_encode_entry(const struct vr_tree_entry *entry, int timeless, struct vr_str *out);

/* Reads an encoding. What entries point to is borrowed from the bytes. */
struct vr_tree_reader {
    const uint8_t *at;
    size_t left;
    uint32_t remaining;
    uint32_t timeless;
    const char *last_name;
    uint32_t last_length;
};

/* 0; -VRIFT_EUCLEAN; -VRIFT_EOPNOTSUPP for a newer version. */
int32_t vr_tree_open(struct vr_tree_reader *reader, const void *bytes, size_t length);

/* 1 and an entry; 0 at the end, all bytes being used up; -VRIFT_EUCLEAN for anything that is not canonical. */
int32_t vr_tree_next(struct vr_tree_reader *reader, struct vr_tree_entry *out);

/* Reads one entry without a name, as vr_tree_encode_entry() made it; *used is its length. 0 or -VRIFT_EUCLEAN. */
int32_t vr_tree_decode_root(const void *bytes, size_t length, int timeless, struct vr_tree_entry *out, size_t *used);

/* The order of names: by bytes, a prefix first. */
int vr_tree_compare(const char *a, size_t a_length, const char *b, size_t b_length);

/* Whether bytes may be the name of an entry: 1 to 255, neither "." nor "..", without '/' and NUL. */
int vr_tree_name_valid(const char *name, size_t length);

/* The type bits of st_mode for a VRIFT_DT_..., and back; 0 for what cannot be stored. */
uint32_t vr_tree_type_mode(uint32_t type);
uint32_t vr_tree_mode_type(uint32_t mode);

#endif
