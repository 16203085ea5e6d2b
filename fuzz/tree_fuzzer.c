/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A tree node that is accepted has one encoding only: reading and writing it again gives the same bytes. */
#include "fuzz.h"

#include "store/tree.h"

#include <vrift/types.h>

#include <stdlib.h>
#include <string.h>

unsigned long vr_fuzz_accepted;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_tree_reader reader;
    struct vr_tree_entry entry;
    if (vr_tree_open(&reader, data, size))
        return 0;
    struct vr_tree tree;
    vr_tree_init(&tree, (int)reader.timeless);
    int32_t more;
    while ((more = vr_tree_next(&reader, &entry)) > 0)
        if (vr_tree_add(&tree, &entry))
            abort();
    if (more == 0) {
        vr_fuzz_accepted++;
        struct vr_str again = VR_STR_INIT;
        if (vr_tree_encode(&tree, &again) || again.length != size || memcmp(again.data, data, size) != 0)
            abort();
        vr_str_dispose(&again);
    }
    vr_tree_dispose(&tree);
    return 0;
}

size_t vr_fuzz_seed(uint32_t number, uint8_t *out, size_t capacity)
{
    static const uint32_t types[] = {VRIFT_DT_REG, VRIFT_DT_DIR, VRIFT_DT_LNK, VRIFT_DT_CHR, VRIFT_DT_FIFO};
    static const char names[] = "abcde";
    if (number > 1)
        return 0;
    struct vr_tree tree;
    struct vr_str encoding = VR_STR_INIT;
    vr_tree_init(&tree, number == 1);
    for (uint32_t i = 0; i < 5; i++) {
        struct vr_tree_entry entry = {.name = names + i, .name_length = 1, .type = types[i], .mode = 0644, .uid = i};
        entry.mtime.sec = -(int64_t)i;
        entry.mtime.nsec = i;
        if (types[i] == VRIFT_DT_REG || types[i] == VRIFT_DT_DIR)
            memset(&entry.digest, 7, sizeof entry.digest);
        entry.size = types[i] == VRIFT_DT_REG ? 1000 : 0;
        entry.target = types[i] == VRIFT_DT_LNK ? "target" : NULL;
        entry.target_length = types[i] == VRIFT_DT_LNK ? 6 : 0;
        entry.rdev = types[i] == VRIFT_DT_CHR ? VRIFT_MKDEV(1, 3) : 0;
        if (vr_tree_add(&tree, &entry))
            abort();
    }
    if (vr_tree_encode(&tree, &encoding) || encoding.length > capacity)
        abort();
    size_t size = encoding.length;
    memcpy(out, encoding.data, size);
    vr_str_dispose(&encoding);
    vr_tree_dispose(&tree);
    return size;
}
