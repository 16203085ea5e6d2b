/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Body of a kernel that hashes LANES inputs side by side, one per 32-bit lane of a vector. It has no
 * include guard: a kernel includes it once for each width it has, after it defined
 *
 *   HASH_LANES          the name of the function to define
 *   TARGET              its attributes
 *   LANES, VEC          the width and the vector type
 *   ADD, XOR, SET1      lane-wise operations, and a word copied to all lanes
 *   LOAD                a vector from LANES words, unaligned
 *   ROR16, ROR12, ROR8, ROR7
 *   LOAD_BLOCKS(m, lane, offset)   m[w] = word w of the block at lane[i] + offset, lane i in lane i
 *   STORE_CVS(h, out)              the reverse for the 8 words of the chaining values
 *
 * All of them are undefined again at its end.
 *
 * The state is indexed by constants only and no loop runs over it, so that it is kept in registers.
 */

#define MIX(a, b, c, d, x, y)                                                                                          \
    do {                                                                                                               \
        v[a] = ADD(ADD(v[a], m[x]), v[b]);                                                                             \
        v[d] = ROR16(XOR(v[d], v[a]));                                                                                 \
        v[c] = ADD(v[c], v[d]);                                                                                        \
        v[b] = ROR12(XOR(v[b], v[c]));                                                                                 \
        v[a] = ADD(ADD(v[a], m[y]), v[b]);                                                                             \
        v[d] = ROR8(XOR(v[d], v[a]));                                                                                  \
        v[c] = ADD(v[c], v[d]);                                                                                        \
        v[b] = ROR7(XOR(v[b], v[c]));                                                                                  \
    } while (0)

#define ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)                                    \
    do {                                                                                                               \
        MIX(0, 4, 8, 12, s0, s1);                                                                                      \
        MIX(1, 5, 9, 13, s2, s3);                                                                                      \
        MIX(2, 6, 10, 14, s4, s5);                                                                                     \
        MIX(3, 7, 11, 15, s6, s7);                                                                                     \
        MIX(0, 5, 10, 15, s8, s9);                                                                                     \
        MIX(1, 6, 11, 12, s10, s11);                                                                                   \
        MIX(2, 7, 8, 13, s12, s13);                                                                                    \
        MIX(3, 4, 9, 14, s14, s15);                                                                                    \
    } while (0)

/* The inputs `from` to `from + n - 1` of the batch, n being 1 to LANES. */
TARGET static void HASH_LANES(const struct vr_blake3_batch *b, size_t from, size_t n)
{
    const uint8_t *lane[LANES];
    uint32_t low[LANES];
    uint32_t high[LANES];
    uint8_t few[LANES * VR_BLAKE3_OUT_LEN];
    uint8_t *const out = b->out + from * VR_BLAKE3_OUT_LEN;
    uint8_t *const to = n == LANES ? out : few;
    VEC h[8];
    VEC v[16];
    VEC m[16];

    for (size_t i = 0; i < LANES; i++) {
        /* Idle lanes repeat the last input; their results are dropped. */
        size_t k = from + (i < n ? i : n - 1);
        uint64_t counter = b->counter + (uint64_t)k * b->counter_step;

        lane[i] = b->in + k * b->stride;
        low[i] = (uint32_t)counter;
        high[i] = (uint32_t)(counter >> 32);
    }

    h[0] = SET1(b->key[0]);
    h[1] = SET1(b->key[1]);
    h[2] = SET1(b->key[2]);
    h[3] = SET1(b->key[3]);
    h[4] = SET1(b->key[4]);
    h[5] = SET1(b->key[5]);
    h[6] = SET1(b->key[6]);
    h[7] = SET1(b->key[7]);

    for (size_t block = 0; block < b->blocks; block++) {
        LOAD_BLOCKS(m, lane, block * VR_BLAKE3_BLOCK_LEN);

        v[0] = h[0];
        v[1] = h[1];
        v[2] = h[2];
        v[3] = h[3];
        v[4] = h[4];
        v[5] = h[5];
        v[6] = h[6];
        v[7] = h[7];
        v[8] = SET1(VR_BLAKE3_IV0);
        v[9] = SET1(VR_BLAKE3_IV1);
        v[10] = SET1(VR_BLAKE3_IV2);
        v[11] = SET1(VR_BLAKE3_IV3);
        v[12] = LOAD(low);
        v[13] = LOAD(high);
        v[14] = SET1(VR_BLAKE3_BLOCK_LEN);
        v[15] = SET1(vr_blake3_block_flags(b->flags, block, b->blocks));

        ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        ROUND(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8);
        ROUND(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1);
        ROUND(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6);
        ROUND(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4);
        ROUND(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7);
        ROUND(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13);

        h[0] = XOR(v[0], v[8]);
        h[1] = XOR(v[1], v[9]);
        h[2] = XOR(v[2], v[10]);
        h[3] = XOR(v[3], v[11]);
        h[4] = XOR(v[4], v[12]);
        h[5] = XOR(v[5], v[13]);
        h[6] = XOR(v[6], v[14]);
        h[7] = XOR(v[7], v[15]);
    }

    STORE_CVS(h, to);
    if (to != out) {
        memcpy(out, few, n * VR_BLAKE3_OUT_LEN);
    }
}

#undef ROUND
#undef MIX
#undef HASH_LANES
#undef TARGET
#undef LANES
#undef VEC
#undef ADD
#undef XOR
#undef SET1
#undef LOAD
#undef ROR16
#undef ROR12
#undef ROR8
#undef ROR7
#undef LOAD_BLOCKS
#undef STORE_CVS
