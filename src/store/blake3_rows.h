/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Body of a kernel that hashes WIDTH inputs with the four columns of each state side by side: a vector has
 * a row of one input in each of its 128-bit parts. For few inputs this is faster than an input per lane,
 * as it leaves no lane idle. It has no include guard: a kernel includes it once for each width it has,
 * after it defined
 *
 *   HASH_ROWS            the name of the function to define
 *   TARGET               its attributes
 *   WIDTH, VEC           inputs (128-bit parts) of a vector, and the vector type
 *   ADD, XOR, STORE      32-bit words; memory unaligned
 *   ROR16, ROR12, ROR8, ROR7
 *   LOAD_PARTS(lane, offset)       part i = the 16 bytes at lane[i] + offset
 *   REPEAT(x)                      a 128-bit vector in all parts
 *   COUNTERS(c, step)              part i = the 64-bit c + i * step, then 64 zero bits
 *   and, within each part, with constants i to l and mask:
 *   PICK(a, b, i, j, k, l)         words a[i] a[j] b[k] b[l]
 *   ORDER(a, i, j, k, l)           words a[i] a[j] a[k] a[l]
 *   BLEND(a, b, mask)              words of b where the bit of the mask is set, otherwise of a
 *   UNPACK(a, b)                   words a[0] b[0] a[1] b[1]
 *
 * All of them are undefined again at its end.
 */

/* Half of the mixing of four columns; the other half differs in the rotations. */
#define HALF(m, ror_d, ror_b)                                                                                          \
    do {                                                                                                               \
        r0 = ADD(ADD(r0, m), r1);                                                                                      \
        r3 = ror_d(XOR(r3, r0));                                                                                       \
        r2 = ADD(r2, r3);                                                                                              \
        r1 = ror_b(XOR(r1, r2));                                                                                       \
    } while (0)

/* Row r1 is the last to be ready, so it is the others that turn to make the diagonals into columns: column
 * j then holds diagonal j - 1, and z and w have their words turned likewise. */
#define ROUND()                                                                                                        \
    do {                                                                                                               \
        HALF(x, ROR16, ROR12);                                                                                         \
        HALF(y, ROR8, ROR7);                                                                                           \
        r0 = ORDER(r0, 3, 0, 1, 2);                                                                                    \
        r2 = ORDER(r2, 1, 2, 3, 0);                                                                                    \
        r3 = ORDER(r3, 2, 3, 0, 1);                                                                                    \
        HALF(z, ROR16, ROR12);                                                                                         \
        HALF(w, ROR8, ROR7);                                                                                           \
        r0 = ORDER(r0, 1, 2, 3, 0);                                                                                    \
        r2 = ORDER(r2, 3, 0, 1, 2);                                                                                    \
        r3 = ORDER(r3, 2, 3, 0, 1);                                                                                    \
    } while (0)

/* The permutation of the words between rounds, table 2 of the specification. The order of the words is 0 2
 * 4 6 in x, 1 3 5 7 in y, 14 8 10 12 in z and 15 9 11 13 in w. */
#define PERMUTE()                                                                                                      \
    do {                                                                                                               \
        VEC nx = ORDER(PICK(x, y, 1, 2, 1, 3), 0, 2, 3, 1);                                                            \
        VEC ny = ORDER(PICK(x, BLEND(z, w, 8), 3, 0, 2, 3), 0, 2, 1, 3);                                               \
        VEC nz = ORDER(BLEND(UNPACK(w, y), z, 8), 0, 1, 3, 2);                                                         \
        VEC nw = PICK(BLEND(z, w, 4), BLEND(z, y, 4), 1, 2, 2, 0);                                                     \
                                                                                                                       \
        x = nx;                                                                                                        \
        y = ny;                                                                                                        \
        z = nz;                                                                                                        \
        w = nw;                                                                                                        \
    } while (0)

/*
 * Takes n chaining values, 1 to WIDTH and 8 words each, through `blocks` blocks of the inputs at
 * in + i * stride, with the counters counter + i * step. The memory behind cv has room for WIDTH of them.
 */
TARGET static inline void HASH_ROWS(uint32_t *cv, size_t n, const uint8_t *in, size_t stride, size_t blocks,
                                    uint32_t last_len, uint64_t counter, uint32_t step, struct vr_blake3_flags flags)
{
    const __m128i iv = _mm_set_epi32((int)VR_BLAKE3_IV3, (int)VR_BLAKE3_IV2, (int)VR_BLAKE3_IV1, (int)VR_BLAKE3_IV0);
    const VEC counters = COUNTERS(counter, (uint64_t)step);
    const uint8_t *lane[WIDTH];
    const uint8_t *start[WIDTH];
    uint32_t upper[4 * WIDTH];
    uint32_t lower[4 * WIDTH];
    VEC h0;
    VEC h1;

    for (size_t i = 0; i < WIDTH; i++) {
        /* Idle parts repeat the last input; their results are of no interest. */
        size_t k = i < n ? i : n - 1;

        lane[i] = in + k * stride;
        start[i] = (const uint8_t *)(cv + 8 * k);
    }
    h0 = LOAD_PARTS(start, 0);
    h1 = LOAD_PARTS(start, 16);

    for (size_t block = 0; block < blocks; block++) {
        const size_t offset = block * VR_BLAKE3_BLOCK_LEN;
        const uint32_t len = block + 1 == blocks ? last_len : VR_BLAKE3_BLOCK_LEN;
        const uint32_t f = vr_blake3_block_flags(flags, block, blocks);
        VEC r0 = h0;
        VEC r1 = h1;
        VEC r2 = REPEAT(iv);
        VEC r3 = XOR(counters, REPEAT(_mm_set_epi32((int)f, (int)len, 0, 0)));
        VEC m0 = LOAD_PARTS(lane, offset);
        VEC m1 = LOAD_PARTS(lane, offset + 16);
        VEC m2 = LOAD_PARTS(lane, offset + 32);
        VEC m3 = LOAD_PARTS(lane, offset + 48);
        VEC x = PICK(m0, m1, 0, 2, 0, 2);
        VEC y = PICK(m0, m1, 1, 3, 1, 3);
        VEC z = ORDER(PICK(m2, m3, 0, 2, 0, 2), 3, 0, 1, 2);
        VEC w = ORDER(PICK(m2, m3, 1, 3, 1, 3), 3, 0, 1, 2);

        ROUND();
        PERMUTE();
        ROUND();
        PERMUTE();
        ROUND();
        PERMUTE();
        ROUND();
        PERMUTE();
        ROUND();
        PERMUTE();
        ROUND();
        PERMUTE();
        ROUND();

        h0 = XOR(r0, r2);
        h1 = XOR(r1, r3);
    }

    STORE(upper, h0);
    STORE(lower, h1);
    for (size_t i = 0; i < WIDTH; i++) {
        memcpy(cv + 8 * i, upper + 4 * i, 16);
        memcpy(cv + 8 * i + 4, lower + 4 * i, 16);
    }
}

#undef HALF
#undef ROUND
#undef PERMUTE
#undef HASH_ROWS
#undef TARGET
#undef WIDTH
#undef VEC
#undef ADD
#undef XOR
#undef STORE
#undef ROR16
#undef ROR12
#undef ROR8
#undef ROR7
#undef LOAD_PARTS
#undef REPEAT
#undef COUNTERS
#undef PICK
#undef ORDER
#undef BLEND
#undef UNPACK
