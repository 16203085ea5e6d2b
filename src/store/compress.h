/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* zstd (RFC 8878) for what is packed: one frame a record, so that each can be read alone. */
#ifndef VR_COMPRESS_H
#define VR_COMPRESS_H

#include <vrift/types.h>

/*
 * Compresses into dst and returns the bytes used, or 0 if that does not save at least one part in eight: reading it
 * back must be worth it. Deterministic for one version of libzstd, never part of an identity.
 */
size_t vr_compress(void *dst, size_t capacity, const void *src, size_t length);

/* Fills dst with exactly `length` bytes; -VRIFT_EUCLEAN if src is not one frame of that content size. */
int32_t vr_compress_expand(void *dst, size_t length, const void *src, size_t src_length);

#endif
