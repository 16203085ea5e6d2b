/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A links object that is accepted has one encoding only. */
#include "fuzz.h"

#include "store/links.h"

#include <stdlib.h>
#include <string.h>

static int32_t collect(uint32_t group, const char *path, size_t length, void *payload)
{
    return vr_links_add(payload, group, path, length);
}

unsigned long vr_fuzz_accepted;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_links links = {NULL, 0, 0};
    if (vr_links_read(data, size, collect, &links) == 0) {
        vr_fuzz_accepted++;
        struct vr_str again = VR_STR_INIT;
        if (vr_links_encode(&links, &again) || again.length != size || memcmp(again.data, data, size) != 0)
            abort();
        vr_str_dispose(&again);
    }
    vr_links_dispose(&links);
    return 0;
}

size_t vr_fuzz_seed(uint32_t number, uint8_t *out, size_t capacity)
{
    static const char *const paths[] = {"a", "a/b", "b", "c/d", "z", "c/e"};
    if (number)
        return 0;
    struct vr_links links = {NULL, 0, 0};
    struct vr_str encoding = VR_STR_INIT;
    for (uint32_t i = 0; i < 6; i++)
        if (vr_links_add(&links, i % 2, paths[i], strlen(paths[i])))
            abort();
    if (vr_links_encode(&links, &encoding) || encoding.length > capacity)
        abort();
    size_t size = encoding.length;
    memcpy(out, encoding.data, size);
    vr_str_dispose(&encoding);
    vr_links_dispose(&links);
    return size;
}
