/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Little-endian numbers in stored formats: writing to a vr_str, and reading that never leaves its bounds. */
#ifndef VR_BYTES_H
#define VR_BYTES_H

#include "core/str.h"

#include <string.h>

static inline uint16_t vr_bytes_get16(const void *from)
{
    const uint8_t *b = from;
    return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t vr_bytes_get32(const void *from)
{
    const uint8_t *b = from;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static inline uint64_t vr_bytes_get64(const void *from)
{
    const uint8_t *b = from;
    return (uint64_t)vr_bytes_get32(b) | (uint64_t)vr_bytes_get32(b + 4) << 32;
}

static inline void vr_bytes_set16(void *to, uint16_t value)
{
    uint8_t *b = to;
    b[0] = (uint8_t)value;
    b[1] = (uint8_t)(value >> 8);
}

static inline void vr_bytes_set32(void *to, uint32_t value)
{
    uint8_t *b = to;
    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(value >> (8 * i));
}

static inline void vr_bytes_set64(void *to, uint64_t value)
{
    uint8_t *b = to;
    for (int i = 0; i < 8; i++)
        b[i] = (uint8_t)(value >> (8 * i));
}

/* A failed append sticks in str->failed, so a run of puts is checked once at its end. */
static inline void vr_bytes_put8(struct vr_str *str, uint8_t value)
{
    vr_str_append(str, &value, 1);
}

static inline void vr_bytes_put16(struct vr_str *str, uint16_t value)
{
    uint8_t b[2];
    vr_bytes_set16(b, value);
    vr_str_append(str, b, sizeof b);
}

static inline void vr_bytes_put32(struct vr_str *str, uint32_t value)
{
    uint8_t b[4];
    vr_bytes_set32(b, value);
    vr_str_append(str, b, sizeof b);
}

static inline void vr_bytes_put64(struct vr_str *str, uint64_t value)
{
    uint8_t b[8];
    vr_bytes_set64(b, value);
    vr_str_append(str, b, sizeof b);
}

/* Once a read does not fit, `bad` sticks and every later read answers 0 or NULL. */
struct vr_bytes {
    const uint8_t *at;
    size_t left;
    int bad;
};

static inline const uint8_t *vr_bytes_take(struct vr_bytes *in, uint64_t length)
{
    if (in->bad || length > in->left) {
        in->bad = 1;
        return NULL;
    }
    const uint8_t *at = in->at;
    in->at += length;
    in->left -= (size_t)length;
    return at;
}

static inline uint8_t vr_bytes_take8(struct vr_bytes *in)
{
    const uint8_t *at = vr_bytes_take(in, 1);
    return at ? *at : 0;
}

static inline uint16_t vr_bytes_take16(struct vr_bytes *in)
{
    const uint8_t *at = vr_bytes_take(in, 2);
    return at ? vr_bytes_get16(at) : 0;
}

static inline uint32_t vr_bytes_take32(struct vr_bytes *in)
{
    const uint8_t *at = vr_bytes_take(in, 4);
    return at ? vr_bytes_get32(at) : 0;
}

static inline uint64_t vr_bytes_take64(struct vr_bytes *in)
{
    const uint8_t *at = vr_bytes_take(in, 8);
    return at ? vr_bytes_get64(at) : 0;
}

#endif
