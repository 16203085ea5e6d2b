/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Between bytes in memory and words in lanes for eight inputs: shared by the AVX2 and AVX-512 kernels.
 * x86-64 only.
 */
#ifndef VR_BLAKE3_TRANSPOSE8_H
#define VR_BLAKE3_TRANSPOSE8_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define TRANSPOSE8_INLINE static inline __attribute__((target("avx2"), always_inline))

/* In place: row i, column j becomes row j, column i. */
TRANSPOSE8_INLINE void transpose8(__m256i r[8])
{
    /* Named after the rows (letters a to h are rows 0 to 7) and the columns they hold of each half. */
    __m256i ab01 = _mm256_unpacklo_epi32(r[0], r[1]);
    __m256i ab23 = _mm256_unpackhi_epi32(r[0], r[1]);
    __m256i cd01 = _mm256_unpacklo_epi32(r[2], r[3]);
    __m256i cd23 = _mm256_unpackhi_epi32(r[2], r[3]);
    __m256i ef01 = _mm256_unpacklo_epi32(r[4], r[5]);
    __m256i ef23 = _mm256_unpackhi_epi32(r[4], r[5]);
    __m256i gh01 = _mm256_unpacklo_epi32(r[6], r[7]);
    __m256i gh23 = _mm256_unpackhi_epi32(r[6], r[7]);

    __m256i ad0 = _mm256_unpacklo_epi64(ab01, cd01);
    __m256i ad1 = _mm256_unpackhi_epi64(ab01, cd01);
    __m256i ad2 = _mm256_unpacklo_epi64(ab23, cd23);
    __m256i ad3 = _mm256_unpackhi_epi64(ab23, cd23);
    __m256i eh0 = _mm256_unpacklo_epi64(ef01, gh01);
    __m256i eh1 = _mm256_unpackhi_epi64(ef01, gh01);
    __m256i eh2 = _mm256_unpacklo_epi64(ef23, gh23);
    __m256i eh3 = _mm256_unpackhi_epi64(ef23, gh23);

    r[0] = _mm256_permute2x128_si256(ad0, eh0, 0x20);
    r[1] = _mm256_permute2x128_si256(ad1, eh1, 0x20);
    r[2] = _mm256_permute2x128_si256(ad2, eh2, 0x20);
    r[3] = _mm256_permute2x128_si256(ad3, eh3, 0x20);
    r[4] = _mm256_permute2x128_si256(ad0, eh0, 0x31);
    r[5] = _mm256_permute2x128_si256(ad1, eh1, 0x31);
    r[6] = _mm256_permute2x128_si256(ad2, eh2, 0x31);
    r[7] = _mm256_permute2x128_si256(ad3, eh3, 0x31);
}

TRANSPOSE8_INLINE void load_rows8(__m256i r[8], const uint8_t *const lane[8], size_t offset)
{
    r[0] = _mm256_loadu_si256((const __m256i *)(lane[0] + offset));
    r[1] = _mm256_loadu_si256((const __m256i *)(lane[1] + offset));
    r[2] = _mm256_loadu_si256((const __m256i *)(lane[2] + offset));
    r[3] = _mm256_loadu_si256((const __m256i *)(lane[3] + offset));
    r[4] = _mm256_loadu_si256((const __m256i *)(lane[4] + offset));
    r[5] = _mm256_loadu_si256((const __m256i *)(lane[5] + offset));
    r[6] = _mm256_loadu_si256((const __m256i *)(lane[6] + offset));
    r[7] = _mm256_loadu_si256((const __m256i *)(lane[7] + offset));
    transpose8(r);
}

TRANSPOSE8_INLINE void load_blocks8(__m256i m[16], const uint8_t *const lane[8], size_t offset)
{
    load_rows8(m, lane, offset);
    load_rows8(m + 8, lane, offset + 32);
}

TRANSPOSE8_INLINE void store_cvs8(__m256i h[8], uint8_t *out)
{
    transpose8(h);
    _mm256_storeu_si256((__m256i *)out, h[0]);
    _mm256_storeu_si256((__m256i *)(out + 32), h[1]);
    _mm256_storeu_si256((__m256i *)(out + 64), h[2]);
    _mm256_storeu_si256((__m256i *)(out + 96), h[3]);
    _mm256_storeu_si256((__m256i *)(out + 128), h[4]);
    _mm256_storeu_si256((__m256i *)(out + 160), h[5]);
    _mm256_storeu_si256((__m256i *)(out + 192), h[6]);
    _mm256_storeu_si256((__m256i *)(out + 224), h[7]);
}

#undef TRANSPOSE8_INLINE

#endif
