/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/compress.h"

#include <vrift/error.h>

#include <zstd.h>

/* Packed records are small and read often: the fastest level takes most of what there is to gain. */
#define LEVEL 1

size_t vr_compress(void *dst, size_t capacity, const void *src, size_t length)
{
    size_t worth = length - length / 8;
    if (capacity > worth)
        capacity = worth;
    size_t size = ZSTD_compress(dst, capacity, src, length, LEVEL);
    return ZSTD_isError(size) ? 0 : size;
}

int32_t vr_compress_expand(void *dst, size_t length, const void *src, size_t src_length)
{
    if (ZSTD_getFrameContentSize(src, src_length) != length ||
        ZSTD_findFrameCompressedSize(src, src_length) != src_length)
        return -VRIFT_EUCLEAN;
    return ZSTD_decompress(dst, length, src, src_length) == length ? 0 : -VRIFT_EUCLEAN;
}
