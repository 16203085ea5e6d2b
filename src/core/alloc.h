/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Memory through the embedder's allocator. NULL means the C library's. */
#ifndef VR_ALLOC_H
#define VR_ALLOC_H

#include <vrift/types.h>

/* Uninitialised memory, or NULL. */
void *vr_alloc(const struct vrift_allocator *allocator, size_t size);

/* Zeroed memory for count items, or NULL, also when count * size overflows. */
void *vr_alloc_zero(const struct vrift_allocator *allocator, size_t count, size_t size);

/* As realloc(); pointer may be NULL, size may not be 0. On failure the old memory stays. */
void *vr_alloc_resize(const struct vrift_allocator *allocator, void *pointer, size_t size);

/* A copy of length bytes with a NUL behind them, or NULL. */
char *vr_alloc_string(const struct vrift_allocator *allocator, const char *bytes, size_t length);

void vr_alloc_free(const struct vrift_allocator *allocator, void *pointer);

/* The allocator of an instance, for backends; it lives as long as the instance and its superblocks. (vfs.c) */
const struct vrift_allocator *vr_alloc_of(const vrift_vfs *vfs);

#endif
