/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The kernel in plain C: for machines without another one, and the reference the others are tested
 * against.
 */
#include "store/blake3_kernel.h"

/* The words each round takes from the block: row r + 1 is row r permuted as table 2 of the specification
 * says, so that the words themselves never move. */
static const uint8_t schedule[7][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8},
    {3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1}, {10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6},
    {12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4}, {9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7},
    {11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13},
};

static inline uint32_t load32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint32_t ror(uint32_t value, unsigned bits)
{
    return value >> bits | value << (32 - bits);
}

static inline void mix(uint32_t v[16], int a, int b, int c, int d, uint32_t x, uint32_t y)
{
    v[a] += v[b] + x;
    v[d] = ror(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = ror(v[b] ^ v[c], 12);
    v[a] += v[b] + y;
    v[d] = ror(v[d] ^ v[a], 8);
    v[c] += v[d];
    v[b] = ror(v[b] ^ v[c], 7);
}

static inline void mix_round(uint32_t v[16], const uint32_t m[16], const uint8_t s[16])
{
    mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
    mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
    mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
    mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);

    mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
    mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
    mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
    mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
}

static void compress_block(uint32_t cv[8], const uint8_t *block, uint32_t len, uint64_t counter, uint32_t flags)
{
    uint32_t m[16];
    uint32_t v[16] = {
        cv[0],
        cv[1],
        cv[2],
        cv[3],
        cv[4],
        cv[5],
        cv[6],
        cv[7],
        VR_BLAKE3_IV0,
        VR_BLAKE3_IV1,
        VR_BLAKE3_IV2,
        VR_BLAKE3_IV3,
        (uint32_t)counter,
        (uint32_t)(counter >> 32),
        len,
        flags,
    };

    for (int i = 0; i < 16; i++) {
        m[i] = load32(block + 4 * i);
    }

    /* One by one, so that the indices are constants and the state can live in registers. */
    mix_round(v, m, schedule[0]);
    mix_round(v, m, schedule[1]);
    mix_round(v, m, schedule[2]);
    mix_round(v, m, schedule[3]);
    mix_round(v, m, schedule[4]);
    mix_round(v, m, schedule[5]);
    mix_round(v, m, schedule[6]);

    for (int i = 0; i < 8; i++) {
        cv[i] = v[i] ^ v[i + 8];
    }
}

static void compress(uint32_t cv[8], const uint8_t *in, size_t blocks, uint32_t last_len, uint64_t counter,
                     struct vr_blake3_flags flags)
{
    for (size_t i = 0; i < blocks; i++) {
        uint32_t len = i + 1 == blocks ? last_len : VR_BLAKE3_BLOCK_LEN;

        compress_block(cv, in + i * VR_BLAKE3_BLOCK_LEN, len, counter, vr_blake3_block_flags(flags, i, blocks));
    }
}

static void hash_many(const struct vr_blake3_batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        vr_blake3_hash_one(b, i, compress);
    }
}

const struct vr_blake3_kernel vr_blake3_kernel_portable = {
    .name = "portable",
    .compress = compress,
    .hash_many = hash_many,
};
