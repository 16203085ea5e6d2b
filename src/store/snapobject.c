/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/snapobject.h"

#include "store/bytes.h"

#include <vrift/error.h>

static const char magic[6] = {'V', 'R', 'S', 'N', 'A', 'P'};

#define FLAG_TIMELESS 1u
#define FLAG_LINKS    2u

int32_t vr_snapobject_encode(const struct vr_snapobject *object, struct vr_str *out)
{
    vr_str_append(out, magic, sizeof magic);
    vr_bytes_put16(out, VR_SNAPOBJECT_VERSION);
    vr_bytes_put32(out, (object->timeless ? FLAG_TIMELESS : 0) | (object->has_links ? FLAG_LINKS : 0));
    vr_bytes_put64(out, object->entries);
    vr_bytes_put64(out, object->files);
    vr_bytes_put64(out, object->directories);
    vr_bytes_put64(out, object->symlinks);
    vr_bytes_put64(out, object->specials);
    vr_bytes_put64(out, object->bytes);
    if (object->has_links)
        vr_str_append(out, object->links.bytes, VR_DIGEST_SIZE);
    return vr_tree_encode_entry(&object->root, (int)object->timeless, out);
}

int32_t vr_snapobject_decode(const void *bytes, size_t length, struct vr_snapobject *out)
{
    struct vr_bytes in = {bytes, length, 0};
    struct vr_snapobject object = {0};
    const uint8_t *start = vr_bytes_take(&in, sizeof magic);
    if (!start || memcmp(start, magic, sizeof magic) != 0)
        return -VRIFT_EUCLEAN;
    if (vr_bytes_take16(&in) != VR_SNAPOBJECT_VERSION)
        return in.bad ? -VRIFT_EUCLEAN : -VRIFT_EOPNOTSUPP;
    uint32_t flags = vr_bytes_take32(&in);
    object.timeless = flags & FLAG_TIMELESS;
    object.has_links = (flags & FLAG_LINKS) != 0;
    object.entries = vr_bytes_take64(&in);
    object.files = vr_bytes_take64(&in);
    object.directories = vr_bytes_take64(&in);
    object.symlinks = vr_bytes_take64(&in);
    object.specials = vr_bytes_take64(&in);
    object.bytes = vr_bytes_take64(&in);
    if (object.has_links) {
        const uint8_t *links = vr_bytes_take(&in, VR_DIGEST_SIZE);
        if (links)
            memcpy(object.links.bytes, links, VR_DIGEST_SIZE);
    }
    size_t used = 0;
    if (in.bad || flags > (FLAG_TIMELESS | FLAG_LINKS) ||
        vr_tree_decode_root(in.at, in.left, (int)object.timeless, &object.root, &used) || used != in.left)
        return -VRIFT_EUCLEAN;
    *out = object;
    return 0;
}
