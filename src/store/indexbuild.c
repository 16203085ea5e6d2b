/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/indexbuild.h"

#include "core/alloc.h"
#include "store/bytes.h"
#include "store/indexformat.h"
#include "store/links.h"
#include "store/xattrs.h"

#include <vrift/error.h>

#define XATTRS_MAX ((size_t)1 << 26) /* bytes of one inode's list */

struct build {
    const struct vr_indexbuild_source *source;
    struct vr_snapobject *object;
    uint64_t limit; /* entries that the snapshot may have */
    uint64_t count;
    struct vr_str records;
    struct vr_str digests;
    struct vr_str strings;
    struct vr_str xattrs;
    uint32_t last_xattrs; /* where the last list starts: runs of files with equal lists share one */
};

/* -- Records ------------------------------------------------------------------------------------------------------ */

static uint32_t add_string(struct build *build, const char *bytes, size_t length)
{
    uint32_t at = (uint32_t)build->strings.length;
    vr_str_append(&build->strings, bytes, length);
    vr_str_append(&build->strings, "", 1);
    return at;
}

static uint32_t add_digest(struct build *build, const struct vr_digest *digest)
{
    uint32_t at = (uint32_t)(build->digests.length / VR_DIGEST_SIZE);
    vr_str_append(&build->digests, digest->bytes, VR_DIGEST_SIZE);
    return at;
}

static uint32_t add_list(struct build *build, const uint8_t *list, size_t length)
{
    struct vr_str *xattrs = &build->xattrs;
    if (build->last_xattrs != VR_INDEX_NONE && !xattrs->failed) {
        const uint8_t *last = (const uint8_t *)xattrs->data + build->last_xattrs;
        if (vr_bytes_get32(last) == length && memcmp(last + 4, list, length) == 0)
            return build->last_xattrs;
    }
    build->last_xattrs = (uint32_t)xattrs->length;
    vr_bytes_put32(xattrs, (uint32_t)length);
    vr_str_append(xattrs, list, length);
    return build->last_xattrs;
}

static int32_t add_xattrs(struct build *build, const struct vr_tree_entry *entry, uint32_t *out)
{
    struct vr_blob blob;
    *out = VR_INDEX_NONE;
    if (!entry->xattrs_apart) {
        if (entry->xattrs)
            *out = add_list(build, entry->xattrs, entry->xattrs_length);
        return 0;
    }
    int32_t error = build->source->load(build->source->self, &entry->xattrs_digest, XATTRS_MAX, &blob);
    if (error)
        return error;
    error = blob.length > VR_TREE_XATTR_INLINE ? vr_xattrs_check(blob.data, blob.length) : -VRIFT_EUCLEAN;
    if (!error)
        *out = add_list(build, blob.data, blob.length);
    vr_blob_release(&blob);
    return error;
}

static int32_t add_record(struct build *build, uint32_t parent, const struct vr_tree_entry *entry)
{
    uint8_t record[VR_INDEX_RECORD_SIZE] = {0};
    uint32_t number = (uint32_t)build->count, digest = VR_INDEX_NONE, xattrs, link = 0;
    uint64_t size = entry->size;
    if (build->count >= build->limit)
        return build->limit == VR_INDEX_NONE ? -VRIFT_EOVERFLOW : -VRIFT_EUCLEAN;
    int32_t error = add_xattrs(build, entry, &xattrs);
    if (error)
        return error;
    if (entry->type == VRIFT_DT_DIR || (entry->type == VRIFT_DT_REG && entry->size))
        digest = add_digest(build, &entry->digest);
    if (entry->type == VRIFT_DT_LNK) {
        link = add_string(build, entry->target, entry->target_length);
        size = entry->target_length;
    } else if (entry->type == VRIFT_DT_CHR || entry->type == VRIFT_DT_BLK) {
        size = entry->rdev;
    }
    vr_bytes_set32(record + RECORD_PARENT, parent);
    vr_bytes_set32(record + RECORD_NAME, add_string(build, entry->name, entry->name_length));
    vr_bytes_set16(record + RECORD_NAME_LENGTH, (uint16_t)entry->name_length);
    record[RECORD_TYPE] = (uint8_t)entry->type;
    vr_bytes_set32(record + RECORD_MODE, entry->mode);
    vr_bytes_set32(record + RECORD_UID, entry->uid);
    vr_bytes_set32(record + RECORD_GID, entry->gid);
    vr_bytes_set64(record + RECORD_SECONDS, (uint64_t)entry->mtime.sec);
    vr_bytes_set32(record + RECORD_NANOSECONDS, entry->mtime.nsec);
    vr_bytes_set32(record + RECORD_NLINK, entry->type == VRIFT_DT_DIR ? 2 : 1);
    vr_bytes_set64(record + RECORD_SIZE, size);
    vr_bytes_set32(record + RECORD_DIGEST, digest);
    vr_bytes_set32(record + RECORD_XATTRS, xattrs);
    vr_bytes_set32(record + RECORD_INODE, number);
    vr_bytes_set32(record + RECORD_LINK, link);
    vr_str_append(&build->records, record, sizeof record);
    build->count++;
    if (build->records.failed || build->strings.failed || build->digests.failed || build->xattrs.failed)
        return -VRIFT_ENOMEM;
    return build->strings.length < UINT32_MAX && build->xattrs.length < UINT32_MAX ? 0 : -VRIFT_EOVERFLOW;
}

static uint8_t *record_at(struct build *build, uint64_t number)
{
    return (uint8_t *)build->records.data + number * VR_INDEX_RECORD_SIZE;
}

static int32_t add_children(struct build *build, uint32_t dir, const struct vr_blob *node)
{
    struct vr_tree_reader reader;
    struct vr_tree_entry entry;
    uint32_t first = (uint32_t)build->count, subdirs = 0;
    int32_t error = vr_tree_open(&reader, node->data, node->length);
    if (!error && reader.timeless != build->object->timeless)
        error = -VRIFT_EUCLEAN;
    while (!error && (error = vr_tree_next(&reader, &entry)) == 1) {
        subdirs += entry.type == VRIFT_DT_DIR;
        error = add_record(build, dir, &entry);
    }
    if (error)
        return error;
    uint64_t children = build->count - first;
    vr_bytes_set64(record_at(build, dir) + RECORD_SIZE, children);
    vr_bytes_set32(record_at(build, dir) + RECORD_LINK, children ? first : 0);
    vr_bytes_set32(record_at(build, dir) + RECORD_NLINK, 2 + subdirs);
    return 0;
}

/* The records themselves are the queue of the breadth-first walk. */
static int32_t add_all(struct build *build)
{
    int32_t error = add_record(build, 0, &build->object->root);
    for (uint64_t i = 0; !error && i < build->count; i++) {
        struct vr_blob node;
        struct vr_digest digest;
        if (record_at(build, i)[RECORD_TYPE] != VRIFT_DT_DIR)
            continue;
        uint32_t number = vr_bytes_get32(record_at(build, i) + RECORD_DIGEST);
        memcpy(digest.bytes, build->digests.data + (size_t)number * VR_DIGEST_SIZE, VR_DIGEST_SIZE);
        error = build->source->load(build->source->self, &digest, VR_INDEXBUILD_MAX_NODE, &node);
        if (error)
            break;
        error = add_children(build, (uint32_t)i, &node);
        vr_blob_release(&node);
    }
    return error;
}

/* -- The image ---------------------------------------------------------------------------------------------------- */

static uint64_t aligned(uint64_t offset)
{
    return (offset + 63) / 64 * 64;
}

static uint32_t slot_bits(uint64_t entries)
{
    uint32_t bits = 4;
    while ((1ULL << bits) < entries + entries / 2)
        bits++;
    return bits;
}

static void fill_slots(uint8_t *slots, uint64_t mask, const struct build *build)
{
    for (uint64_t i = 1; i < build->count; i++) {
        const uint8_t *record = (const uint8_t *)build->records.data + i * VR_INDEX_RECORD_SIZE;
        const char *name = build->strings.data + vr_bytes_get32(record + RECORD_NAME);
        uint64_t slot =
            vr_index_hash(vr_bytes_get32(record + RECORD_PARENT), name, vr_bytes_get16(record + RECORD_NAME_LENGTH));
        while (vr_bytes_get32(slots + (slot & mask) * 4))
            slot++;
        vr_bytes_set32(slots + (slot & mask) * 4, (uint32_t)i);
    }
}

static void copy_section(uint8_t *image, uint64_t at, const struct vr_str *from)
{
    if (from->length)
        memcpy(image + at, from->data, from->length);
}

static int32_t make_image(struct build *build, uint8_t **out, size_t *size)
{
    uint32_t bits = slot_bits(build->count);
    uint64_t records = VR_INDEX_HEADER_SIZE;
    uint64_t slots = aligned(records + build->records.length);
    uint64_t digests = aligned(slots + (4ULL << bits));
    uint64_t strings = aligned(digests + build->digests.length);
    uint64_t xattrs = aligned(strings + build->strings.length);
    uint64_t end = aligned(xattrs + build->xattrs.length);
    uint8_t *image = vr_alloc_zero(NULL, 1, (size_t)end);
    if (!image)
        return -VRIFT_ENOMEM;
    memcpy(image, vr_index_magic, sizeof vr_index_magic);
    vr_bytes_set16(image + HEADER_VERSION, VR_INDEX_VERSION);
    vr_bytes_set32(image + HEADER_SIZE_FIELD, VR_INDEX_HEADER_SIZE);
    vr_bytes_set32(image + HEADER_RECORD_SIZE, VR_INDEX_RECORD_SIZE);
    memcpy(image + HEADER_TREE, build->object->root.digest.bytes, VR_DIGEST_SIZE);
    vr_bytes_set32(image + HEADER_FLAGS, build->object->timeless ? FLAG_TIMELESS : 0);
    vr_bytes_set32(image + HEADER_SLOT_BITS, bits);
    vr_bytes_set64(image + HEADER_ENTRIES, build->count);
    vr_bytes_set64(image + HEADER_RECORDS, records);
    vr_bytes_set64(image + HEADER_DIGESTS, digests);
    vr_bytes_set64(image + HEADER_DIGEST_NUM, build->digests.length / VR_DIGEST_SIZE);
    vr_bytes_set64(image + HEADER_SLOTS, slots);
    vr_bytes_set64(image + HEADER_STRINGS, strings);
    vr_bytes_set64(image + HEADER_STRINGS_LEN, build->strings.length);
    vr_bytes_set64(image + HEADER_XATTRS, xattrs);
    vr_bytes_set64(image + HEADER_XATTRS_LEN, build->xattrs.length);
    vr_bytes_set64(image + HEADER_FILE_SIZE, end);
    fill_slots(image + slots, (1ULL << bits) - 1, build);
    copy_section(image, records, &build->records);
    copy_section(image, digests, &build->digests);
    copy_section(image, strings, &build->strings);
    copy_section(image, xattrs, &build->xattrs);
    *out = image;
    *size = (size_t)end;
    return 0;
}

static void seal_header(uint8_t *image)
{
    struct vr_digest sum;
    vr_digest_of(image, HEADER_SUM, &sum);
    memcpy(image + HEADER_SUM, sum.bytes, VR_DIGEST_SIZE);
}

void vr_indexbuild_seal(uint8_t *image, size_t size, const struct vr_digest *id)
{
    struct vr_digest sum;
    memcpy(image + HEADER_ID, id->bytes, VR_DIGEST_SIZE);
    vr_digest_of(image + VR_INDEX_HEADER_SIZE, size - VR_INDEX_HEADER_SIZE, &sum);
    memcpy(image + HEADER_BODY_SUM, sum.bytes, VR_DIGEST_SIZE);
    seal_header(image);
}

/* -- Hard links --------------------------------------------------------------------------------------------------- */

struct linking {
    uint8_t *image;
    struct vr_index index; /* over the image */
    uint32_t group;        /* of the members below */
    uint32_t *members;
    size_t count;
    size_t capacity;
};

static int same_bytes(const void *a, size_t a_length, const void *b, size_t b_length)
{
    return a_length == b_length && (a_length == 0 || memcmp(a, b, a_length) == 0);
}

static int same_inode(const struct vr_index_entry *a, const struct vr_index_entry *b)
{
    return a->type == b->type && a->type != VRIFT_DT_DIR && a->mode == b->mode && a->uid == b->uid &&
           a->gid == b->gid && a->mtime.sec == b->mtime.sec && a->mtime.nsec == b->mtime.nsec && a->size == b->size &&
           a->rdev == b->rdev &&
           same_bytes(a->target, a->target ? (size_t)a->size : 0, b->target, b->target ? (size_t)b->size : 0) &&
           same_bytes(a->digest, a->digest ? VR_DIGEST_SIZE : 0, b->digest, b->digest ? VR_DIGEST_SIZE : 0) &&
           same_bytes(a->xattrs, a->xattrs_length, b->xattrs, b->xattrs_length);
}

static int32_t finish_group(struct linking *linking)
{
    struct vr_index_entry first, other;
    uint32_t lowest = VR_INDEX_NONE;
    if (linking->count == 0)
        return 0;
    for (size_t i = 0; i < linking->count; i++)
        if (linking->members[i] < lowest)
            lowest = linking->members[i];
    int32_t error = vr_index_get(&linking->index, lowest, &first);
    for (size_t i = 0; !error && i < linking->count; i++) {
        error = vr_index_get(&linking->index, linking->members[i], &other);
        if (!error && (!same_inode(&first, &other) || other.inode != linking->members[i] || (other.nlink != 1)))
            error = -VRIFT_EUCLEAN;
        if (error)
            break;
        uint8_t *record = linking->image + VR_INDEX_HEADER_SIZE + (size_t)linking->members[i] * VR_INDEX_RECORD_SIZE;
        vr_bytes_set32(record + RECORD_INODE, lowest);
        vr_bytes_set32(record + RECORD_NLINK, (uint32_t)linking->count);
    }
    linking->count = 0;
    return error;
}

static int32_t add_link(uint32_t group, const char *path, size_t length, void *payload)
{
    struct linking *linking = payload;
    uint64_t entry;
    int32_t error = group == linking->group ? 0 : finish_group(linking);
    linking->group = group;
    if (!error)
        error = vr_index_walk(&linking->index, path, length, &entry);
    if (error)
        return -VRIFT_EUCLEAN;
    if (linking->count == linking->capacity) {
        size_t capacity = linking->capacity ? linking->capacity * 2 : 16;
        uint32_t *members = vr_alloc_resize(NULL, linking->members, capacity * sizeof *members);
        if (!members)
            return -VRIFT_ENOMEM;
        linking->members = members;
        linking->capacity = capacity;
    }
    linking->members[linking->count++] = (uint32_t)entry;
    return 0;
}

static int32_t apply_links(struct build *build, uint8_t *image, size_t size)
{
    struct vr_blob blob;
    struct linking linking = {.image = image};
    if (!build->object->has_links)
        return 0;
    seal_header(image); /* else it could not be attached */
    int32_t error = vr_index_attach(&linking.index, image, size);
    if (!error)
        error = build->source->load(build->source->self, &build->object->links, VR_INDEXBUILD_MAX_NODE, &blob);
    if (error)
        return error;
    error = vr_links_read(blob.data, blob.length, add_link, &linking);
    if (!error)
        error = finish_group(&linking);
    vr_alloc_free(NULL, linking.members);
    vr_blob_release(&blob);
    return error;
}

/* -- Counts ------------------------------------------------------------------------------------------------------- */

static void count_inodes(const uint8_t *image, uint64_t entries, struct vr_snapobject *out)
{
    out->entries = entries;
    out->files = out->directories = out->symlinks = out->specials = out->bytes = 0;
    for (uint64_t i = 0; i < entries; i++) {
        const uint8_t *record = image + VR_INDEX_HEADER_SIZE + i * VR_INDEX_RECORD_SIZE;
        if (vr_bytes_get32(record + RECORD_INODE) != i)
            continue;
        switch (record[RECORD_TYPE]) {
        case VRIFT_DT_REG:
            out->files++;
            out->bytes += vr_bytes_get64(record + RECORD_SIZE);
            break;
        case VRIFT_DT_DIR:
            out->directories++;
            break;
        case VRIFT_DT_LNK:
            out->symlinks++;
            break;
        default:
            out->specials++;
        }
    }
}

static int32_t settle_counts(struct build *build, uint8_t *image, int claimed)
{
    struct vr_snapobject counted = *build->object;
    const struct vr_snapobject *object = build->object;
    count_inodes(image, build->count, &counted);
    if (claimed && (counted.entries != object->entries || counted.files != object->files ||
                    counted.directories != object->directories || counted.symlinks != object->symlinks ||
                    counted.specials != object->specials || counted.bytes != object->bytes))
        return -VRIFT_EUCLEAN;
    *build->object = counted;
    vr_bytes_set64(image + HEADER_FILES, counted.files);
    vr_bytes_set64(image + HEADER_DIRECTORIES, counted.directories);
    vr_bytes_set64(image + HEADER_SYMLINKS, counted.symlinks);
    vr_bytes_set64(image + HEADER_SPECIALS, counted.specials);
    vr_bytes_set64(image + HEADER_BYTES, counted.bytes);
    return 0;
}

int32_t vr_indexbuild(const struct vr_indexbuild_source *source, struct vr_snapobject *object, int claimed,
                      uint8_t **image, size_t *size)
{
    struct build build = {.source = source, .object = object, .limit = VR_INDEX_NONE, .last_xattrs = VR_INDEX_NONE};
    uint8_t *made = NULL;
    if (claimed && object->entries < build.limit)
        build.limit = object->entries;
    int32_t error = add_all(&build);
    if (!error)
        error = make_image(&build, &made, size);
    if (!error)
        error = apply_links(&build, made, *size);
    if (!error)
        error = settle_counts(&build, made, claimed);
    vr_str_dispose(&build.records);
    vr_str_dispose(&build.digests);
    vr_str_dispose(&build.strings);
    vr_str_dispose(&build.xattrs);
    if (error)
        vr_alloc_free(NULL, made);
    else
        *image = made;
    return error;
}
