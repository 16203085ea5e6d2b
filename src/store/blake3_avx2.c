/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The kernel for AVX2: eight inputs side by side, or two with their columns side by side. A single one goes
 * to the SSE4.1 code.
 */
#include "store/blake3_kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include "store/blake3_transpose8.h"

#define AVX2        __attribute__((target("avx2")))
#define AVX2_INLINE static inline __attribute__((target("avx2"), always_inline))

AVX2_INLINE __m256i load(const void *p)
{
    return _mm256_loadu_si256((const __m256i *)p);
}

AVX2_INLINE void store(void *p, __m256i x)
{
    _mm256_storeu_si256((__m256i *)p, x);
}

AVX2_INLINE __m256i ror16(__m256i x)
{
    return _mm256_shuffle_epi8(
        x, _mm256_broadcastsi128_si256(_mm_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2)));
}

AVX2_INLINE __m256i ror12(__m256i x)
{
    return _mm256_or_si256(_mm256_srli_epi32(x, 12), _mm256_slli_epi32(x, 20));
}

AVX2_INLINE __m256i ror8(__m256i x)
{
    return _mm256_shuffle_epi8(
        x, _mm256_broadcastsi128_si256(_mm_set_epi8(12, 15, 14, 13, 8, 11, 10, 9, 4, 7, 6, 5, 0, 3, 2, 1)));
}

AVX2_INLINE __m256i ror7(__m256i x)
{
    return _mm256_or_si256(_mm256_srli_epi32(x, 7), _mm256_slli_epi32(x, 25));
}

#define HASH_LANES  hash8
#define TARGET      AVX2
#define LANES       8
#define VEC         __m256i
#define ADD         _mm256_add_epi32
#define XOR         _mm256_xor_si256
#define SET1(x)     _mm256_set1_epi32((int)(x))
#define LOAD        load
#define ROR16       ror16
#define ROR12       ror12
#define ROR8        ror8
#define ROR7        ror7
#define LOAD_BLOCKS load_blocks8
#define STORE_CVS   store_cvs8
#include "store/blake3_lanes.h"

#define HASH_ROWS rows2
#define TARGET    AVX2
#define WIDTH     2
#define VEC       __m256i
#define ADD       _mm256_add_epi32
#define XOR       _mm256_xor_si256
#define STORE     store
#define ROR16     ror16
#define ROR12     ror12
#define ROR8      ror8
#define ROR7      ror7
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

static void hash_pair(const struct vr_blake3_batch *b, size_t from)
{
    uint32_t cv[2 * 8];

    memcpy(cv, b->key, 32);
    memcpy(cv + 8, b->key, 32);
    rows2(cv, 2, b->in + from * b->stride, b->stride, b->blocks, VR_BLAKE3_BLOCK_LEN,
          b->counter + (uint64_t)from * b->counter_step, b->counter_step, b->flags);
    memcpy(b->out + from * VR_BLAKE3_OUT_LEN, cv, sizeof cv);
}

static void hash_many(const struct vr_blake3_batch *b)
{
    size_t done = 0;

    while (b->count - done > 2) {
        size_t n = b->count - done < 8 ? b->count - done : 8;

        hash8(b, done, n);
        done += n;
    }
    if (b->count - done == 2) {
        hash_pair(b, done);
    } else if (b->count - done == 1) {
        vr_blake3_hash_one(b, done, vr_blake3_compress_sse41);
    }
}

const struct vr_blake3_kernel vr_blake3_kernel_avx2 = {
    .name = "avx2",
    .compress = vr_blake3_compress_sse41,
    .hash_many = hash_many,
};

#endif
