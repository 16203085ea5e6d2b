/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/alloc.h"

#include <stdlib.h>
#include <string.h>

void *vr_alloc(const struct vrift_allocator *allocator, size_t size)
{
    if (size == 0)
        size = 1;
    return allocator ? allocator->malloc_fn(size, allocator->payload) : malloc(size);
}

void *vr_alloc_zero(const struct vrift_allocator *allocator, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size)
        return NULL;
    void *pointer = vr_alloc(allocator, count * size);
    if (pointer)
        memset(pointer, 0, count * size);
    return pointer;
}

void *vr_alloc_resize(const struct vrift_allocator *allocator, void *pointer, size_t size)
{
    return allocator ? allocator->realloc_fn(pointer, size, allocator->payload) : realloc(pointer, size);
}

char *vr_alloc_string(const struct vrift_allocator *allocator, const char *bytes, size_t length)
{
    char *copy = vr_alloc(allocator, length + 1);
    if (copy) {
        memcpy(copy, bytes, length);
        copy[length] = '\0';
    }
    return copy;
}

void vr_alloc_free(const struct vrift_allocator *allocator, void *pointer)
{
    if (!pointer)
        return;
    if (allocator)
        allocator->free_fn(pointer, allocator->payload);
    else
        free(pointer);
}
