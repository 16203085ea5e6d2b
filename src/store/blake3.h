/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * BLAKE3-256, hash mode. Private to the library.
 *
 * A hasher is plain memory of the caller: nothing is allocated, nothing has to be released, and a copy
 * of the struct is an independent hasher that goes on from the same place.
 */
#ifndef VR_BLAKE3_H
#define VR_BLAKE3_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    VR_BLAKE3_OUT_LEN = 32,
    VR_BLAKE3_BLOCK_LEN = 64,
    VR_BLAKE3_CHUNK_LEN = 1024,

    /* 2^64 bytes are 2^54 chunks, whose subtrees have the levels 0 to 54; one more slot lets a pair be
     * stored at any level (see `held`). */
    VR_BLAKE3_LEVELS = 56
};

struct vr_blake3_kernel;

/* The fields are for blake3.c only. */
struct vr_blake3 {
    const struct vr_blake3_kernel *kernel;

    /* Whole chunks already folded into `cv`. */
    uint64_t chunks;

    /* Bytes waiting in `tail`. */
    size_t tail_len;

    /* The two halves of the tree so far lie unmerged: they may turn out to be the children of the root. */
    bool held;

    /* Slot L, counted in 32 bytes, is the chaining value of the complete subtree of 2^L chunks which
     * corresponds to bit L of `chunks`; slots of clear bits are garbage. */
    uint8_t cv[VR_BLAKE3_LEVELS * VR_BLAKE3_OUT_LEN];

    uint8_t tail[VR_BLAKE3_CHUNK_LEN];
};

void vr_blake3_init(struct vr_blake3 *h);
void vr_blake3_update(struct vr_blake3 *h, const void *data, size_t len);

/* Same as an update with `count` zero bytes, without memory to hold them: the holes of sparse files. */
void vr_blake3_update_zeros(struct vr_blake3 *h, uint64_t count);

/* Leaves the hasher as it is: more may be added afterwards. */
void vr_blake3_final(const struct vr_blake3 *h, uint8_t out[VR_BLAKE3_OUT_LEN]);

void vr_blake3_hash(const void *data, size_t len, uint8_t out[VR_BLAKE3_OUT_LEN]);

/* Name of the kernel in use on this CPU: "portable", "sse4.1", "avx2" or "avx512". */
const char *vr_blake3_kernel(void);

/* For tests: the same as vr_blake3_init and vr_blake3_hash with a kernel of a given name. They return 0,
 * or -1 when the name is unknown or this CPU (or this build) lacks what the kernel needs. */
int vr_blake3_init_with(struct vr_blake3 *h, const char *kernel);
int vr_blake3_hash_with(const char *kernel, const void *data, size_t len, uint8_t out[VR_BLAKE3_OUT_LEN]);

#endif
