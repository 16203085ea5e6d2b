/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Digests within the store: 32 bytes of BLAKE3, the algorithm being that of the store. */
#ifndef VR_DIGEST_H
#define VR_DIGEST_H

#include <vrift/types.h>

#include <string.h>

#define VR_DIGEST_SIZE 32u
#define VR_DIGEST_HEX  65 /* 64 digits and a NUL */

struct vr_digest {
    uint8_t bytes[VR_DIGEST_SIZE];
};

static inline int vr_digest_equal(const struct vr_digest *a, const struct vr_digest *b)
{
    return memcmp(a->bytes, b->bytes, VR_DIGEST_SIZE) == 0;
}

void vr_digest_of(const void *data, size_t length, struct vr_digest *out);
void vr_digest_hex(const struct vr_digest *digest, char out[VR_DIGEST_HEX]);

/* Reads exactly 64 lower-case digits; 0 or -VRIFT_EINVAL. What follows them is not looked at. */
int32_t vr_digest_unhex(const char *text, struct vr_digest *out);

void vr_digest_export(const struct vr_digest *digest, struct vrift_digest *out);

/* 0, or -VRIFT_EINVAL if it is NULL or not BLAKE3. */
int32_t vr_digest_import(const struct vrift_digest *digest, struct vr_digest *out);

#endif
