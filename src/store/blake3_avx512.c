/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The kernel for AVX-512 (F, VL and DQ): sixteen inputs side by side, or eight in half vectors, which more of
 * the execution ports take; and four, two or one with their columns side by side.
 */
#include "store/blake3_kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "store/blake3_transpose8.h"

#define AVX512        __attribute__((target("avx512f,avx512vl,avx512dq")))
#define AVX512_INLINE static inline __attribute__((target("avx512f,avx512vl,avx512dq"), always_inline))

AVX512_INLINE __m128i load4(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

AVX512_INLINE __m256i load8(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

AVX512_INLINE __m512i load16(const void *p)
{
    return _mm512_loadu_si512(p);
}

/* A block of each of four inputs: quarter q of u[j] gets their words 4q + j. */
AVX512_INLINE void transpose_quarters(__m512i u[4], const uint8_t *const lane[4], size_t offset)
{
    __m512i a = load16(lane[0] + offset);
    __m512i b = load16(lane[1] + offset);
    __m512i c = load16(lane[2] + offset);
    __m512i d = load16(lane[3] + offset);
    __m512i ab01 = _mm512_unpacklo_epi32(a, b);
    __m512i ab23 = _mm512_unpackhi_epi32(a, b);
    __m512i cd01 = _mm512_unpacklo_epi32(c, d);
    __m512i cd23 = _mm512_unpackhi_epi32(c, d);

    u[0] = _mm512_unpacklo_epi64(ab01, cd01);
    u[1] = _mm512_unpackhi_epi64(ab01, cd01);
    u[2] = _mm512_unpacklo_epi64(ab23, cd23);
    u[3] = _mm512_unpackhi_epi64(ab23, cd23);
}

/* Words j, j + 4, j + 8 and j + 12 of all inputs, from the u[j] of the four groups of inputs. */
AVX512_INLINE void gather_quarters(__m512i *m, __m512i g0, __m512i g1, __m512i g2, __m512i g3)
{
    __m512i even01 = _mm512_shuffle_i32x4(g0, g1, 0x88);
    __m512i odd01 = _mm512_shuffle_i32x4(g0, g1, 0xDD);
    __m512i even23 = _mm512_shuffle_i32x4(g2, g3, 0x88);
    __m512i odd23 = _mm512_shuffle_i32x4(g2, g3, 0xDD);

    m[0] = _mm512_shuffle_i32x4(even01, even23, 0x88);
    m[4] = _mm512_shuffle_i32x4(odd01, odd23, 0x88);
    m[8] = _mm512_shuffle_i32x4(even01, even23, 0xDD);
    m[12] = _mm512_shuffle_i32x4(odd01, odd23, 0xDD);
}

AVX512_INLINE void load_blocks16(__m512i m[16], const uint8_t *const lane[16], size_t offset)
{
    __m512i u[16];

    transpose_quarters(u, lane, offset);
    transpose_quarters(u + 4, lane + 4, offset);
    transpose_quarters(u + 8, lane + 8, offset);
    transpose_quarters(u + 12, lane + 12, offset);
    gather_quarters(m, u[0], u[4], u[8], u[12]);
    gather_quarters(m + 1, u[1], u[5], u[9], u[13]);
    gather_quarters(m + 2, u[2], u[6], u[10], u[14]);
    gather_quarters(m + 3, u[3], u[7], u[11], u[15]);
}

AVX512_INLINE void store_cvs16(const __m512i h[8], uint8_t *out)
{
    __m256i half[8] = {
        _mm512_castsi512_si256(h[0]), _mm512_castsi512_si256(h[1]), _mm512_castsi512_si256(h[2]),
        _mm512_castsi512_si256(h[3]), _mm512_castsi512_si256(h[4]), _mm512_castsi512_si256(h[5]),
        _mm512_castsi512_si256(h[6]), _mm512_castsi512_si256(h[7]),
    };

    store_cvs8(half, out);
    half[0] = _mm512_extracti64x4_epi64(h[0], 1);
    half[1] = _mm512_extracti64x4_epi64(h[1], 1);
    half[2] = _mm512_extracti64x4_epi64(h[2], 1);
    half[3] = _mm512_extracti64x4_epi64(h[3], 1);
    half[4] = _mm512_extracti64x4_epi64(h[4], 1);
    half[5] = _mm512_extracti64x4_epi64(h[5], 1);
    half[6] = _mm512_extracti64x4_epi64(h[6], 1);
    half[7] = _mm512_extracti64x4_epi64(h[7], 1);
    store_cvs8(half, out + 8 * VR_BLAKE3_OUT_LEN);
}

#define HASH_LANES  hash8
#define TARGET      AVX512
#define LANES       8
#define VEC         __m256i
#define ADD         _mm256_add_epi32
#define XOR         _mm256_xor_si256
#define SET1(x)     _mm256_set1_epi32((int)(x))
#define LOAD        load8
#define ROR16(x)    _mm256_ror_epi32(x, 16)
#define ROR12(x)    _mm256_ror_epi32(x, 12)
#define ROR8(x)     _mm256_ror_epi32(x, 8)
#define ROR7(x)     _mm256_ror_epi32(x, 7)
#define LOAD_BLOCKS load_blocks8
#define STORE_CVS   store_cvs8
#include "store/blake3_lanes.h"

#define HASH_LANES  hash16
#define TARGET      AVX512
#define LANES       16
#define VEC         __m512i
#define ADD         _mm512_add_epi32
#define XOR         _mm512_xor_si512
#define SET1(x)     _mm512_set1_epi32((int)(x))
#define LOAD        load16
#define ROR16(x)    _mm512_ror_epi32(x, 16)
#define ROR12(x)    _mm512_ror_epi32(x, 12)
#define ROR8(x)     _mm512_ror_epi32(x, 8)
#define ROR7(x)     _mm512_ror_epi32(x, 7)
#define LOAD_BLOCKS load_blocks16
#define STORE_CVS   store_cvs16
#include "store/blake3_lanes.h"

#define HASH_ROWS                rows1
#define TARGET                   AVX512
#define WIDTH                    1
#define VEC                      __m128i
#define ADD                      _mm_add_epi32
#define XOR                      _mm_xor_si128
#define STORE(p, x)              _mm_storeu_si128((__m128i *)(p), x)
#define ROR16(x)                 _mm_ror_epi32(x, 16)
#define ROR12(x)                 _mm_ror_epi32(x, 12)
#define ROR8(x)                  _mm_ror_epi32(x, 8)
#define ROR7(x)                  _mm_ror_epi32(x, 7)
#define LOAD_PARTS(lane, offset) load4(lane[0] + (offset))
#define REPEAT(x)                (x)
#define COUNTERS(c, step)        ((void)(step), _mm_set_epi64x(0, (int64_t)(c)))
#define PICK(a, b, i, j, k, l)                                                                                         \
    _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), _MM_SHUFFLE(l, k, j, i)))
#define ORDER(a, i, j, k, l) _mm_shuffle_epi32(a, _MM_SHUFFLE(l, k, j, i))
#define BLEND(a, b, mask)    _mm_blend_epi32(a, b, mask)
#define UNPACK               _mm_unpacklo_epi32
#include "store/blake3_rows.h"

#define HASH_ROWS   rows2
#define TARGET      AVX512
#define WIDTH       2
#define VEC         __m256i
#define ADD         _mm256_add_epi32
#define XOR         _mm256_xor_si256
#define STORE(p, x) _mm256_storeu_si256((__m256i *)(p), x)
#define ROR16(x)    _mm256_ror_epi32(x, 16)
#define ROR12(x)    _mm256_ror_epi32(x, 12)
#define ROR8(x)     _mm256_ror_epi32(x, 8)
#define ROR7(x)     _mm256_ror_epi32(x, 7)
#define LOAD_PARTS(lane, offset)                                                                                       \
    _mm256_loadu2_m128i((const __m128i *)(lane[1] + (offset)), (const __m128i *)(lane[0] + (offset)))
#define REPEAT(x)         _mm256_broadcastsi128_si256(x)
#define COUNTERS(c, step) _mm256_set_epi64x(0, (int64_t)((c) + (step)), 0, (int64_t)(c))
#define PICK(a, b, i, j, k, l)                                                                                         \
    _mm256_castps_si256(_mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), _MM_SHUFFLE(l, k, j, i)))
#define ORDER(a, i, j, k, l) _mm256_shuffle_epi32(a, _MM_SHUFFLE(l, k, j, i))
#define BLEND(a, b, mask)    _mm256_blend_epi32(a, b, (mask)*0x11)
#define UNPACK               _mm256_unpacklo_epi32
#include "store/blake3_rows.h"

AVX512_INLINE __m512i load_parts4(const uint8_t *const lane[4], size_t offset)
{
    __m512i all = _mm512_castsi128_si512(load4(lane[0] + offset));

    all = _mm512_inserti32x4(all, load4(lane[1] + offset), 1);
    all = _mm512_inserti32x4(all, load4(lane[2] + offset), 2);
    return _mm512_inserti32x4(all, load4(lane[3] + offset), 3);
}

#define HASH_ROWS   rows4
#define TARGET      AVX512
#define WIDTH       4
#define VEC         __m512i
#define ADD         _mm512_add_epi32
#define XOR         _mm512_xor_si512
#define STORE(p, x) _mm512_storeu_si512(p, x)
#define ROR16(x)    _mm512_ror_epi32(x, 16)
#define ROR12(x)    _mm512_ror_epi32(x, 12)
#define ROR8(x)     _mm512_ror_epi32(x, 8)
#define ROR7(x)     _mm512_ror_epi32(x, 7)
#define LOAD_PARTS  load_parts4
#define REPEAT(x)   _mm512_broadcast_i32x4(x)
#define COUNTERS(c, step)                                                                                              \
    _mm512_set_epi64(0, (int64_t)((c) + 3 * (step)), 0, (int64_t)((c) + 2 * (step)), 0, (int64_t)((c) + (step)), 0,    \
                     (int64_t)(c))
#define PICK(a, b, i, j, k, l)                                                                                         \
    _mm512_castps_si512(_mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), _MM_SHUFFLE(l, k, j, i)))
#define ORDER(a, i, j, k, l) _mm512_shuffle_epi32(a, (_MM_PERM_ENUM)_MM_SHUFFLE(l, k, j, i))
#define BLEND(a, b, mask)    _mm512_mask_blend_epi32((__mmask16)((mask)*0x1111), a, b)
#define UNPACK               _mm512_unpacklo_epi32
#include "store/blake3_rows.h"

AVX512 static void compress(uint32_t cv[8], const uint8_t *in, size_t blocks, uint32_t last_len, uint64_t counter,
                            struct vr_blake3_flags flags)
{
    rows1(cv, 1, in, 0, blocks, last_len, counter, 0, flags);
}

/* n is 2 to 4. */
AVX512 static void hash_few(const struct vr_blake3_batch *b, size_t from, size_t n)
{
    const uint8_t *in = b->in + from * b->stride;
    uint64_t counter = b->counter + (uint64_t)from * b->counter_step;
    uint32_t cv[4 * 8];

    for (size_t i = 0; i < 4; i++) {
        memcpy(cv + 8 * i, b->key, VR_BLAKE3_OUT_LEN);
    }
    if (n == 2) {
        rows2(cv, n, in, b->stride, b->blocks, VR_BLAKE3_BLOCK_LEN, counter, b->counter_step, b->flags);
    } else {
        rows4(cv, n, in, b->stride, b->blocks, VR_BLAKE3_BLOCK_LEN, counter, b->counter_step, b->flags);
    }
    memcpy(b->out + from * VR_BLAKE3_OUT_LEN, cv, n * VR_BLAKE3_OUT_LEN);
}

static void hash_many(const struct vr_blake3_batch *b)
{
    size_t n;

    for (size_t done = 0; done < b->count; done += n) {
        n = b->count - done < 16 ? b->count - done : 16;
        if (n > 8) {
            hash16(b, done, n);
        } else if (n > 4) {
            hash8(b, done, n);
        } else if (n > 1) {
            hash_few(b, done, n);
        } else {
            vr_blake3_hash_one(b, done, compress);
        }
    }
}

const struct vr_blake3_kernel vr_blake3_kernel_avx512 = {
    .name = "avx512",
    .compress = compress,
    .hash_many = hash_many,
};

#endif
