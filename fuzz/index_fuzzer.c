/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * An index of any bytes, its checksums made right again: every number in it is hostile, and every access stays within
 * the mapping. Also without mending, where the header's checksum must notice what was changed in the header.
 */
#include "fuzz.h"

#include "core/alloc.h"
#include "store/index.h"
#include "store/indexbuild.h"

#include <stdlib.h>
#include <string.h>

static uint8_t seed[65536];
static size_t seed_size;

static void look_everywhere(const struct vr_index *index)
{
    volatile uint8_t sum = 0;
    for (uint64_t at = 0; at < index->entries && at < 200; at++) {
        struct vr_index_entry entry;
        uint64_t found;
        if (vr_index_get(index, at, &entry))
            continue;
        for (uint32_t i = 0; i < entry.name_length; i++)
            sum ^= (uint8_t)entry.name[i];
        for (size_t i = 0; i < entry.xattrs_length; i++)
            sum ^= entry.xattrs[i];
        if (entry.digest)
            sum ^= entry.digest[31];
        if (entry.type == VRIFT_DT_LNK)
            for (uint64_t i = 0; i < entry.size; i++)
                sum ^= (uint8_t)entry.target[i];
        vr_index_lookup(index, at, "b", 1, &found);
        vr_index_lookup(index, entry.parent, entry.name, entry.name_length, &found);
    }
    uint64_t found;
    vr_index_walk(index, "d/b", 3, &found);
}

unsigned long vr_fuzz_accepted;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_index index;
    if (vr_index_attach(&index, data, size) == 0) {
        vr_fuzz_accepted++;
        if (size < VR_INDEX_HEADER_SIZE || (memcmp(data, seed, VR_INDEX_HEADER_SIZE) != 0 && seed_size))
            abort();
        look_everywhere(&index);
        if (vr_index_check_body(&index) == 0 && (size != seed_size || memcmp(data, seed, size) != 0))
            abort();
    }
    if (size < VR_INDEX_HEADER_SIZE)
        return 0;
    uint8_t *mended = malloc(size);
    if (!mended)
        abort();
    memcpy(mended, data, size);
    vr_indexbuild_seal(mended, size, &(struct vr_digest){{0}});
    if (vr_index_attach(&index, mended, size) == 0)
        look_everywhere(&index);
    free(mended);
    return 0;
}

/* Two directory nodes: the root's and that of its directory "d". */
static struct vr_str nodes[2];
static struct vr_digest node_digests[2];

static int32_t load_node(void *self, const struct vr_digest *digest, size_t max, struct vr_blob *out)
{
    (void)self, (void)max;
    for (int i = 0; i < 2; i++)
        if (memcmp(digest, &node_digests[i], sizeof *digest) == 0) {
            *out = (struct vr_blob){(const uint8_t *)nodes[i].data, nodes[i].length, NULL};
            return 0;
        }
    return -VRIFT_EIO;
}

static void make_node(int which, const char *const *names, const uint32_t *types, uint32_t count)
{
    struct vr_tree tree;
    vr_tree_init(&tree, 0);
    for (uint32_t i = 0; i < count; i++) {
        struct vr_tree_entry entry = {.name = names[i], .name_length = (uint32_t)strlen(names[i]), .type = types[i]};
        entry.mode = 0755;
        entry.size = types[i] == VRIFT_DT_REG ? 10 + i : 0;
        if (types[i] == VRIFT_DT_REG)
            memset(&entry.digest, (int)i + 1, sizeof entry.digest);
        else if (types[i] == VRIFT_DT_DIR)
            entry.digest = node_digests[1];
        else
            entry.target = "a/target", entry.target_length = 8;
        if (vr_tree_add(&tree, &entry))
            abort();
    }
    if (vr_tree_encode(&tree, &nodes[which]))
        abort();
    vr_digest_of(nodes[which].data, nodes[which].length, &node_digests[which]);
    vr_tree_dispose(&tree);
}

size_t vr_fuzz_seed(uint32_t number, uint8_t *out, size_t capacity)
{
    static const char *const inner[] = {"a", "b", "link"}, *const outer[] = {"d", "file", "other"};
    static const uint32_t inner_types[] = {VRIFT_DT_REG, VRIFT_DT_REG, VRIFT_DT_LNK};
    static const uint32_t outer_types[] = {VRIFT_DT_DIR, VRIFT_DT_REG, VRIFT_DT_REG};
    if (number)
        return 0;
    make_node(1, inner, inner_types, 3);
    make_node(0, outer, outer_types, 3);
    struct vr_snapobject object = {.root = {.type = VRIFT_DT_DIR, .mode = 0755, .digest = node_digests[0]}};
    struct vr_indexbuild_source source = {load_node, NULL};
    uint8_t *image = NULL;
    size_t size = 0;
    if (vr_indexbuild(&source, &object, 0, &image, &size) || size > capacity || size > sizeof seed)
        abort();
    vr_indexbuild_seal(image, size, &node_digests[0]);
    memcpy(out, image, size);
    memcpy(seed, image, size);
    seed_size = size;
    vr_alloc_free(NULL, image);
    vr_str_dispose(&nodes[0]);
    vr_str_dispose(&nodes[1]);
    return size;
}
