/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/digest.h"

#include "store/blake3.h"

#include <vrift/error.h>
#include <vrift/store.h>

void vr_digest_of(const void *data, size_t length, struct vr_digest *out)
{
    vr_blake3_hash(data, length, out->bytes);
}

static void format_hex(const uint8_t bytes[VR_DIGEST_SIZE], char out[VR_DIGEST_HEX])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < VR_DIGEST_SIZE; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[64] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

void vr_digest_hex(const struct vr_digest *digest, char out[VR_DIGEST_HEX])
{
    format_hex(digest->bytes, out);
}

int32_t vr_digest_unhex(const char *text, struct vr_digest *out)
{
    struct vr_digest digest;
    for (size_t i = 0; i < VR_DIGEST_SIZE; i++) {
        int high = hex_value(text[2 * i]);
        int low = high < 0 ? -1 : hex_value(text[2 * i + 1]);
        if (low < 0)
            return -VRIFT_EINVAL;
        digest.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *out = digest;
    return 0;
}

void vr_digest_export(const struct vr_digest *digest, struct vrift_digest *out)
{
    out->algorithm = VRIFT_DIGEST_BLAKE3;
    memcpy(out->bytes, digest->bytes, VR_DIGEST_SIZE);
}

int32_t vr_digest_import(const struct vrift_digest *digest, struct vr_digest *out)
{
    if (!digest || digest->algorithm != VRIFT_DIGEST_BLAKE3)
        return -VRIFT_EINVAL;
    memcpy(out->bytes, digest->bytes, VR_DIGEST_SIZE);
    return 0;
}

int32_t vrift_digest_format(const struct vrift_digest *digest, char buf[65])
{
    if (!digest || !buf || digest->algorithm == VRIFT_DIGEST_NONE)
        return -VRIFT_EINVAL;
    format_hex(digest->bytes, buf);
    return 0;
}

int32_t vrift_digest_parse(const char *text, struct vrift_digest *out)
{
    struct vr_digest digest;
    if (!text || !out || vr_digest_unhex(text, &digest) || text[64])
        return -VRIFT_EINVAL;
    vr_digest_export(&digest, out);
    return 0;
}
