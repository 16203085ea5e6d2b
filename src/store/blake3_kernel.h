/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What the tree (blake3.c) asks of a compression kernel (blake3_<kernel>.c). Only those files include it.
 */
#ifndef VR_BLAKE3_KERNEL_H
#define VR_BLAKE3_KERNEL_H

#include "store/blake3.h"

#include <string.h>

/* Domain flags of the specification, table 3. The keyed and derive-key modes would add theirs here and
 * pass them, with another key, through `all` of every call. */
enum {
    VR_BLAKE3_CHUNK_START = 1 << 0,
    VR_BLAKE3_CHUNK_END = 1 << 1,
    VR_BLAKE3_PARENT = 1 << 2,
    VR_BLAKE3_ROOT = 1 << 3
};

#define VR_BLAKE3_IV0 0x6A09E667U
#define VR_BLAKE3_IV1 0xBB67AE85U
#define VR_BLAKE3_IV2 0x3C6EF372U
#define VR_BLAKE3_IV3 0xA54FF53AU
#define VR_BLAKE3_IV4 0x510E527FU
#define VR_BLAKE3_IV5 0x9B05688CU
#define VR_BLAKE3_IV6 0x1F83D9ABU
#define VR_BLAKE3_IV7 0x5BE0CD19U

/* Flags of a run of blocks: on all of them, and additionally on the first and on the last one. */
struct vr_blake3_flags {
    uint32_t all;
    uint32_t first;
    uint32_t last;
};

/*
 * `count` inputs of `blocks` full blocks each, input i at in + i * stride; a stride of 0 hashes the same
 * bytes at successive counters. Chaining value i goes to out + 32 * i.
 *
 * `out` may overlap the inputs when blocks is 1, stride is 64 and out is at most 32 bytes after in: a
 * kernel reads the whole of a group of inputs before it writes the results of that group, and the results
 * of a group then end before the next group of inputs begins.
 */
struct vr_blake3_batch {
    const uint8_t *in;
    size_t stride;
    size_t blocks;
    size_t count;
    const uint32_t *key;
    uint64_t counter;
    /* 1 when input i has the counter `counter + i` (chunks), 0 when all have `counter` (parents). */
    uint32_t counter_step;
    struct vr_blake3_flags flags;
    uint8_t *out;
};

/* Takes `cv` through `blocks` blocks of one input. All are full, except that the last one, padded with
 * zeros, holds `last_len` bytes. */
typedef void vr_blake3_compress_fn(uint32_t cv[8], const uint8_t *in, size_t blocks, uint32_t last_len,
                                   uint64_t counter, struct vr_blake3_flags flags);

struct vr_blake3_kernel {
    const char *name;
    vr_blake3_compress_fn *compress;
    void (*hash_many)(const struct vr_blake3_batch *batch);
};

extern const struct vr_blake3_kernel vr_blake3_kernel_portable;
#if defined(__x86_64__)
extern const struct vr_blake3_kernel vr_blake3_kernel_sse41;
extern const struct vr_blake3_kernel vr_blake3_kernel_avx2;
extern const struct vr_blake3_kernel vr_blake3_kernel_avx512;

vr_blake3_compress_fn vr_blake3_compress_sse41;
#endif

static inline uint32_t vr_blake3_block_flags(struct vr_blake3_flags flags, size_t block, size_t blocks)
{
    return flags.all | (block == 0 ? flags.first : 0) | (block + 1 == blocks ? flags.last : 0);
}

static inline void vr_blake3_store_cv(uint8_t out[VR_BLAKE3_OUT_LEN], const uint32_t cv[8])
{
    for (int i = 0; i < 8; i++) {
        out[4 * i] = (uint8_t)cv[i];
        out[4 * i + 1] = (uint8_t)(cv[i] >> 8);
        out[4 * i + 2] = (uint8_t)(cv[i] >> 16);
        out[4 * i + 3] = (uint8_t)(cv[i] >> 24);
    }
}

/* Input i of a batch, alone. */
static inline void vr_blake3_hash_one(const struct vr_blake3_batch *b, size_t i, vr_blake3_compress_fn *compress)
{
    uint32_t cv[8];

    memcpy(cv, b->key, sizeof cv);
    compress(cv, b->in + i * b->stride, b->blocks, VR_BLAKE3_BLOCK_LEN, b->counter + (uint64_t)i * b->counter_step,
             b->flags);
    vr_blake3_store_cv(b->out + i * VR_BLAKE3_OUT_LEN, cv);
}

#endif
