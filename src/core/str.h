/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A growable run of bytes that always ends in a NUL. A failed append leaves it as it was and sticks in `failed`. */
#ifndef VR_STR_H
#define VR_STR_H

#include <vrift/types.h>

struct vr_str {
    const struct vrift_allocator *allocator; /* NULL: the C library's */
    char *data;                              /* NULL until the first append */
    size_t length;                           /* without the NUL */
    size_t capacity;
    int failed; /* an append ran out of memory */
};

#define VR_STR_INIT                                                                                                    \
    {                                                                                                                  \
        NULL, NULL, 0, 0, 0                                                                                            \
    }

/* 0 or -VRIFT_ENOMEM, all three. */
int32_t vr_str_append(struct vr_str *str, const void *bytes, size_t length);
int32_t vr_str_append_text(struct vr_str *str, const char *text);
int32_t vr_str_reserve(struct vr_str *str, size_t more);

/* The text, "" if nothing was ever appended. */
const char *vr_str_text(const struct vr_str *str);

/* Cuts to length, which must not be more than there is. */
void vr_str_truncate(struct vr_str *str, size_t length);
void vr_str_dispose(struct vr_str *str);

#endif
