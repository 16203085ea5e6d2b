/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/str.h"

#include "core/alloc.h"

#include <vrift/error.h>

#include <assert.h>
#include <string.h>

int32_t vr_str_reserve(struct vr_str *str, size_t more)
{
    if (more > SIZE_MAX / 2 - str->length - 1) {
        str->failed = 1;
        return -VRIFT_ENOMEM;
    }
    size_t needed = str->length + more + 1;
    if (needed <= str->capacity)
        return 0;
    size_t capacity = str->capacity ? str->capacity : 64;
    while (capacity < needed)
        capacity *= 2;
    char *data = vr_alloc_resize(str->allocator, str->data, capacity);
    if (!data) {
        str->failed = 1;
        return -VRIFT_ENOMEM;
    }
    str->data = data;
    str->capacity = capacity;
    str->data[str->length] = '\0';
    return 0;
}

int32_t vr_str_append(struct vr_str *str, const void *bytes, size_t length)
{
    int32_t error = vr_str_reserve(str, length);
    if (error)
        return error;
    if (length)
        memcpy(str->data + str->length, bytes, length);
    str->length += length;
    str->data[str->length] = '\0';
    return 0;
}

int32_t vr_str_append_text(struct vr_str *str, const char *text)
{
    return vr_str_append(str, text, strlen(text));
}

const char *vr_str_text(const struct vr_str *str)
{
    return str->data ? str->data : "";
}

void vr_str_truncate(struct vr_str *str, size_t length)
{
    assert(length <= str->length);
    if (!str->data)
        return;
    str->length = length;
    str->data[length] = '\0';
}

void vr_str_dispose(struct vr_str *str)
{
    vr_alloc_free(str->allocator, str->data);
    str->data = NULL;
    str->length = str->capacity = 0;
    str->failed = 0;
}
