/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Packs: many small blobs in one immutable file (docs/formats.md, "Pack"). A reader maps the whole file; every access
 * is checked against the mapping. The contents of records are not verified here: callers that parse them compare
 * digests, and vrift_store_verify() compares all.
 */
#ifndef VR_PACK_H
#define VR_PACK_H

#include "core/str.h"
#include "store/digest.h"

#define VR_PACK_VERSION       1
#define VR_PACK_HEADER_SIZE   16u
#define VR_PACK_RECORD_SIZE   48u /* of what stands before a blob's bytes */
#define VR_PACK_FANOUT_SIZE   1024u
#define VR_PACK_ENTRY_SIZE    56u /* of the table */
#define VR_PACK_TRAILER_SIZE  128u
#define VR_PACK_NAME_SIZE     70 /* 64 digits, ".pack", NUL */
#define VR_PACK_ENCODING_RAW  0u
#define VR_PACK_ENCODING_ZSTD 1u          /* one zstd frame; of tree nodes and the like, which nobody maps or links */
#define VR_PACK_EXPANDED_MAX  (16u << 20) /* bytes of a blob that is stored compressed */

/* Immutable after opening. */
struct vr_pack {
    struct vr_pack *next; /* the store's list, newest first */
    const uint8_t *map;
    size_t size;
    int fd; /* -1: closed again */
    const uint8_t *fanout;
    const uint8_t *entries;
    uint64_t table_offset;
    uint64_t count;
    int suspect; /* its seal is broken: each record is compared with its digest when it is found */
    char name[VR_PACK_NAME_SIZE];
};

/* Where a blob lies in a pack. */
struct vr_pack_place {
    struct vr_digest digest;
    uint64_t offset; /* of its bytes in the file */
    uint32_t stored; /* bytes in the file */
    uint32_t length; /* bytes of the blob */
    uint32_t encoding;
};

/* 0; -VRIFT_ENOENT; -VRIFT_EUCLEAN; -VRIFT_EOPNOTSUPP for a newer version; -VRIFT_ENOMEM. */
int32_t vr_pack_open(int dirfd, const char *name, struct vr_pack **out);
void vr_pack_close(struct vr_pack *pack);

/* 0; -VRIFT_ENOENT; -VRIFT_EUCLEAN if the entry points outside the records; -VRIFT_EOPNOTSUPP for its encoding. */
int32_t vr_pack_find(const struct vr_pack *pack, const struct vr_digest *digest, struct vr_pack_place *out);

/* The place of the at'th blob in the order of digests; as vr_pack_find(). */
int32_t vr_pack_place(const struct vr_pack *pack, uint64_t at, struct vr_pack_place *out);

/* Fills out with the blob's place->length bytes. 0 or -VRIFT_EUCLEAN. */
int32_t vr_pack_read(const struct vr_pack *pack, const struct vr_pack_place *place, void *out);

/* Checks every byte. Answers NULL if all is well, else what is wrong. */
const char *vr_pack_verify(const struct vr_pack *pack);

/* A pack under construction, in a file that is not published yet. Not locked. */
struct vr_pack_writer {
    int fd;
    uint64_t offset; /* where the next byte goes, the buffer included */
    struct vr_str buffer;
    struct vr_pack_place *places;
    size_t count;
    size_t capacity;
};

/* Starts a pack in an empty file; the descriptor stays the caller's. */
int32_t vr_pack_writer_init(struct vr_pack_writer *writer, int fd);
void vr_pack_writer_dispose(struct vr_pack_writer *writer);

/* Adds a blob that is not in the pack yet, compressed if that is asked for and saves something. */
int32_t vr_pack_writer_add(struct vr_pack_writer *writer, const struct vr_digest *digest, const void *data,
                           uint32_t length, int compress);

/* Writes what is left, the table and the trailer, and answers the name under which to publish it. */
int32_t vr_pack_writer_finish(struct vr_pack_writer *writer, char name[VR_PACK_NAME_SIZE]);

#endif
