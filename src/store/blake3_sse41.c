/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The kernel for SSE4.1: four inputs side by side, and one input with the four columns (then the four
 * diagonals) of its state side by side.
 */
#include "store/blake3_kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define SSE41        __attribute__((target("sse4.1")))
#define SSE41_INLINE static inline __attribute__((target("sse4.1"), always_inline))

SSE41_INLINE __m128i load(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

SSE41_INLINE void store(void *p, __m128i x)
{
    _mm_storeu_si128((__m128i *)p, x);
}

SSE41_INLINE __m128i ror16(__m128i x)
{
    return _mm_shuffle_epi8(x, _mm_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2));
}

SSE41_INLINE __m128i ror12(__m128i x)
{
    return _mm_or_si128(_mm_srli_epi32(x, 12), _mm_slli_epi32(x, 20));
}

SSE41_INLINE __m128i ror8(__m128i x)
{
    return _mm_shuffle_epi8(x, _mm_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1));
}

SSE41_INLINE __m128i ror7(__m128i x)
{
    return _mm_or_si128(_mm_srli_epi32(x, 7), _mm_slli_epi32(x, 25));
}

#define HASH_ROWS                rows1
#define TARGET                   SSE41
#define WIDTH                    1
#define VEC                      __m128i
#define ADD                      _mm_add_epi32
#define XOR                      _mm_xor_si128
#define STORE                    store
#define ROR16                    ror16
#define ROR12                    ror12
#define ROR8                     ror8
#define ROR7                     ror7
#define LOAD_PARTS(lane, offset) load(lane[0] + (offset))
#define REPEAT(x)                (x)
#define COUNTERS(c, step)        ((void)(step), _mm_set_epi64x(0, (int64_t)(c)))
#define PICK(a, b, i, j, k, l)                                                                                         \
    _mm_castps_si128(_mm_shuffle_ps(_mm_castsi128_ps(a), _mm_castsi128_ps(b), _MM_SHUFFLE(l, k, j, i)))
#define ORDER(a, i, j, k, l) _mm_shuffle_epi32(a, _MM_SHUFFLE(l, k, j, i))
/* Its mask has two bits for each word. */
#define BLEND(a, b, mask) _mm_blend_epi16(a, b, ((mask)&4) * 12 | ((mask)&8) * 24)
#define UNPACK            _mm_unpacklo_epi32
#include "store/blake3_rows.h"

SSE41 void vr_blake3_compress_sse41(uint32_t cv[8], const uint8_t *in, size_t blocks, uint32_t last_len,
                                    uint64_t counter, struct vr_blake3_flags flags)
{
    rows1(cv, 1, in, 0, blocks, last_len, counter, 0, flags);
}

SSE41_INLINE void transpose4(__m128i *t, __m128i a, __m128i b, __m128i c, __m128i d)
{
    __m128i ab0 = _mm_unpacklo_epi32(a, b);
    __m128i ab1 = _mm_unpackhi_epi32(a, b);
    __m128i cd0 = _mm_unpacklo_epi32(c, d);
    __m128i cd1 = _mm_unpackhi_epi32(c, d);

    t[0] = _mm_unpacklo_epi64(ab0, cd0);
    t[1] = _mm_unpackhi_epi64(ab0, cd0);
    t[2] = _mm_unpacklo_epi64(ab1, cd1);
    t[3] = _mm_unpackhi_epi64(ab1, cd1);
}

SSE41_INLINE void load_blocks(__m128i m[16], const uint8_t *const lane[4], size_t offset)
{
    for (size_t q = 0; q < 4; q++, offset += 16) {
        transpose4(m + 4 * q, load(lane[0] + offset), load(lane[1] + offset), load(lane[2] + offset),
                   load(lane[3] + offset));
    }
}

SSE41_INLINE void store_cvs(const __m128i h[8], uint8_t *out)
{
    __m128i left[4];
    __m128i right[4];

    transpose4(left, h[0], h[1], h[2], h[3]);
    transpose4(right, h[4], h[5], h[6], h[7]);
    store(out, left[0]);
    store(out + 16, right[0]);
    store(out + 32, left[1]);
    store(out + 48, right[1]);
    store(out + 64, left[2]);
    store(out + 80, right[2]);
    store(out + 96, left[3]);
    store(out + 112, right[3]);
}

#define HASH_LANES  hash4
#define TARGET      SSE41
#define LANES       4
#define VEC         __m128i
#define ADD         _mm_add_epi32
#define XOR         _mm_xor_si128
#define SET1(x)     _mm_set1_epi32((int)(x))
#define LOAD        load
#define ROR16       ror16
#define ROR12       ror12
#define ROR8        ror8
#define ROR7        ror7
#define LOAD_BLOCKS load_blocks
#define STORE_CVS   store_cvs
#include "store/blake3_lanes.h"

static void hash_many(const struct vr_blake3_batch *b)
{
    size_t done = 0;

    while (b->count - done > 1) {
        size_t n = b->count - done < 4 ? b->count - done : 4;

        hash4(b, done, n);
        done += n;
    }
    if (done < b->count) {
        vr_blake3_hash_one(b, done, vr_blake3_compress_sse41);
    }
}

const struct vr_blake3_kernel vr_blake3_kernel_sse41 = {
    .name = "sse4.1",
    .compress = vr_blake3_compress_sse41,
    .hash_many = hash_many,
};

#endif
