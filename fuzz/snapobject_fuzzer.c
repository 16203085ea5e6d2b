/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A snapshot object that is accepted has one encoding only. */
#include "fuzz.h"

#include "store/snapobject.h"

#include <stdlib.h>
#include <string.h>

unsigned long vr_fuzz_accepted;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_snapobject object;
    if (vr_snapobject_decode(data, size, &object))
        return 0;
    vr_fuzz_accepted++;
    struct vr_str again = VR_STR_INIT;
    if (vr_snapobject_encode(&object, &again) || again.length != size || memcmp(again.data, data, size) != 0)
        abort();
    vr_str_dispose(&again);
    return 0;
}

size_t vr_fuzz_seed(uint32_t number, uint8_t *out, size_t capacity)
{
    if (number > 1)
        return 0;
    struct vr_snapobject object = {
        .timeless = number, .entries = 3, .files = 1, .directories = 1, .symlinks = 1, .bytes = 9};
    object.has_links = number;
    if (number)
        memset(&object.links, 3, sizeof object.links);
    object.root.type = VRIFT_DT_DIR;
    object.root.mode = 0755;
    object.root.mtime.sec = number ? VR_TREE_FIXED_SECONDS : 1234567890;
    memset(&object.root.digest, 7, sizeof object.root.digest);
    struct vr_str encoding = VR_STR_INIT;
    if (vr_snapobject_encode(&object, &encoding) || encoding.length > capacity)
        abort();
    size_t size = encoding.length;
    memcpy(out, encoding.data, size);
    vr_str_dispose(&encoding);
    return size;
}
