/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/tree.h"

#include "core/alloc.h"
#include "store/bytes.h"
#include "store/xattrs.h"

#include <vrift/error.h>

#include <stdlib.h>

static const char magic[6] = {'V', 'R', 'T', 'R', 'E', 'E'};

#define FLAG_TIMELESS 1u
#define HEADER_SIZE   16u

/* In the fields byte of an entry. */
#define FIELD_XATTRS       1u
#define FIELD_XATTRS_APART 2u

uint32_t vr_tree_type_mode(uint32_t type)
{
    switch (type) {
    case VRIFT_DT_FIFO:
    case VRIFT_DT_CHR:
    case VRIFT_DT_DIR:
    case VRIFT_DT_BLK:
    case VRIFT_DT_REG:
    case VRIFT_DT_LNK:
    case VRIFT_DT_SOCK:
        return type << 12;
    default:
        return 0;
    }
}

uint32_t vr_tree_mode_type(uint32_t mode)
{
    uint32_t type = (mode & VRIFT_S_IFMT) >> 12;
    return vr_tree_type_mode(type) ? type : 0;
}

int vr_tree_compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

int vr_tree_name_valid(const char *name, size_t length)
{
    if (length == 0 || length > VRIFT_NAME_MAX)
        return 0;
    if (name[0] == '.' && (length == 1 || (length == 2 && name[1] == '.')))
        return 0;
    return !memchr(name, '/', length) && !memchr(name, '\0', length);
}

/* -- Building ----------------------------------------------------------------------------------------------------- */

void vr_tree_init(struct vr_tree *tree, int timeless)
{
    memset(tree, 0, sizeof *tree);
    tree->timeless = timeless != 0;
}

/* Pointers to const become free()'s; the entry owns what they point to. */
static void release(const void *owned)
{
    union {
        const void *from;
        void *to;
    } pointer = {owned};
    vr_alloc_free(NULL, pointer.to);
}

void vr_tree_dispose(struct vr_tree *tree)
{
    for (uint32_t i = 0; i < tree->count; i++) {
        release(tree->entries[i].name);
        release(tree->entries[i].target);
        release(tree->entries[i].xattrs);
    }
    vr_alloc_free(NULL, tree->entries);
    memset(tree, 0, sizeof *tree);
}

int32_t vr_tree_set(struct vr_tree *tree, uint32_t at, const struct vr_tree_entry *from)
{
    struct vr_tree_entry *to = &tree->entries[at];
    struct vr_tree_entry copy = *from;
    copy.name = to->name;
    copy.name_length = to->name_length;
    copy.target = NULL;
    copy.xattrs = NULL;
    if (from->target && !(copy.target = vr_alloc_string(NULL, from->target, from->target_length)))
        return -VRIFT_ENOMEM;
    if (from->xattrs) {
        copy.xattrs = (uint8_t *)vr_alloc_string(NULL, (const char *)from->xattrs, from->xattrs_length);
        if (!copy.xattrs) {
            release(copy.target);
            return -VRIFT_ENOMEM;
        }
    }
    release(to->target);
    release(to->xattrs);
    *to = copy;
    return 0;
}

int32_t vr_tree_add(struct vr_tree *tree, const struct vr_tree_entry *entry)
{
    if (tree->count == tree->capacity) {
        uint32_t capacity = tree->capacity ? tree->capacity * 2 : 16;
        struct vr_tree_entry *entries = vr_alloc_resize(NULL, tree->entries, capacity * sizeof *entries);
        if (!entries)
            return -VRIFT_ENOMEM;
        tree->entries = entries;
        tree->capacity = capacity;
    }
    struct vr_tree_entry *to = &tree->entries[tree->count];
    memset(to, 0, sizeof *to);
    to->name = vr_alloc_string(NULL, entry->name, entry->name_length);
    to->name_length = entry->name_length;
    if (!to->name)
        return -VRIFT_ENOMEM;
    int32_t error = vr_tree_set(tree, tree->count, entry);
    if (error)
        release(to->name);
    else
        tree->count++;
    return error;
}

static int compare_entries(const void *a, const void *b)
{
    const struct vr_tree_entry *x = a, *y = b;
    return vr_tree_compare(x->name, x->name_length, y->name, y->name_length);
}

int32_t vr_tree_sort(struct vr_tree *tree)
{
    if (tree->count)
        qsort(tree->entries, tree->count, sizeof *tree->entries, compare_entries);
    for (uint32_t i = 1; i < tree->count; i++)
        if (compare_entries(&tree->entries[i - 1], &tree->entries[i]) == 0)
            return -VRIFT_EEXIST;
    return 0;
}

struct vr_tree_entry *vr_tree_find(struct vr_tree *tree, const char *name, size_t length)
{
    uint32_t low = 0, high = tree->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct vr_tree_entry *entry = &tree->entries[middle];
        int order = vr_tree_compare(name, length, entry->name, entry->name_length);
        if (order == 0)
            return entry;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* -- Encoding ----------------------------------------------------------------------------------------------------- */

static int32_t encode_payload(const struct vr_tree_entry *entry, struct vr_str *out)
{
    switch (entry->type) {
    case VRIFT_DT_REG:
        vr_bytes_put64(out, entry->size);
        if (entry->size)
            vr_str_append(out, entry->digest.bytes, VR_DIGEST_SIZE);
        return 0;
    case VRIFT_DT_DIR:
        vr_str_append(out, entry->digest.bytes, VR_DIGEST_SIZE);
        return 0;
    case VRIFT_DT_LNK:
        if (entry->target_length == 0 || entry->target_length > VR_TREE_TARGET_MAX)
            return -VRIFT_EINVAL;
        vr_bytes_put16(out, (uint16_t)entry->target_length);
        vr_str_append(out, entry->target, entry->target_length);
        return 0;
    case VRIFT_DT_CHR:
    case VRIFT_DT_BLK:
        vr_bytes_put64(out, entry->rdev);
        return 0;
    case VRIFT_DT_FIFO:
    case VRIFT_DT_SOCK:
        return 0;
    default:
        return -VRIFT_EINVAL;
    }
}

int32_t vr_tree_encode_entry(const struct vr_tree_entry *entry, int timeless, struct vr_str *out)
{
    int apart = entry->xattrs_apart || entry->xattrs_length > VR_TREE_XATTR_INLINE;
    int have = apart || entry->xattrs_length;
    vr_bytes_put8(out, (uint8_t)entry->type);
    vr_bytes_put8(out, (uint8_t)(apart ? FIELD_XATTRS_APART : have ? FIELD_XATTRS : 0));
    vr_bytes_put16(out, (uint16_t)entry->name_length);
    vr_bytes_put32(out, entry->mode & 07777);
    vr_bytes_put32(out, entry->uid);
    vr_bytes_put32(out, entry->gid);
    if (!timeless) {
        vr_bytes_put64(out, (uint64_t)entry->mtime.sec);
        vr_bytes_put32(out, entry->mtime.nsec);
    }
    vr_str_append(out, entry->name, entry->name_length);
    int32_t error = encode_payload(entry, out);
    if (error)
        return error;
    if (apart) {
        struct vr_digest digest = entry->xattrs_digest;
        if (!entry->xattrs_apart)
            vr_digest_of(entry->xattrs, entry->xattrs_length, &digest);
        vr_str_append(out, digest.bytes, VR_DIGEST_SIZE);
    } else if (have) {
        vr_bytes_put32(out, (uint32_t)entry->xattrs_length);
        vr_str_append(out, entry->xattrs, entry->xattrs_length);
    }
    return out->failed ? -VRIFT_ENOMEM : 0;
}

int32_t vr_tree_encode(struct vr_tree *tree, struct vr_str *out)
{
    int32_t error = vr_tree_sort(tree);
    vr_str_append(out, magic, sizeof magic);
    vr_bytes_put16(out, VR_TREE_VERSION);
    vr_bytes_put32(out, tree->timeless ? FLAG_TIMELESS : 0);
    vr_bytes_put32(out, tree->count);
    for (uint32_t i = 0; !error && i < tree->count; i++) {
        if (vr_tree_name_valid(tree->entries[i].name, tree->entries[i].name_length))
            error = vr_tree_encode_entry(&tree->entries[i], (int)tree->timeless, out);
        else
            error = -VRIFT_EINVAL;
    }
    return error ? error : out->failed ? -VRIFT_ENOMEM : 0;
}

/* -- Reading ------------------------------------------------------------------------------------------------------ */

static void take_digest(struct vr_bytes *in, struct vr_digest *out)
{
    const uint8_t *bytes = vr_bytes_take(in, VR_DIGEST_SIZE);
    if (bytes)
        memcpy(out->bytes, bytes, VR_DIGEST_SIZE);
}

static int decode_payload(struct vr_bytes *in, struct vr_tree_entry *out)
{
    switch (out->type) {
    case VRIFT_DT_REG:
        out->size = vr_bytes_take64(in);
        if (out->size)
            take_digest(in, &out->digest);
        return out->size <= INT64_MAX;
    case VRIFT_DT_DIR:
        take_digest(in, &out->digest);
        return 1;
    case VRIFT_DT_LNK:
        out->target_length = vr_bytes_take16(in);
        out->target = (const char *)vr_bytes_take(in, out->target_length);
        return out->target && out->target_length && out->target_length <= VR_TREE_TARGET_MAX &&
               !memchr(out->target, '\0', out->target_length);
    case VRIFT_DT_CHR:
    case VRIFT_DT_BLK:
        out->rdev = vr_bytes_take64(in);
        return 1;
    case VRIFT_DT_FIFO:
    case VRIFT_DT_SOCK:
        return 1;
    default:
        return 0;
    }
}

static int decode_xattrs(struct vr_bytes *in, uint32_t fields, struct vr_tree_entry *out)
{
    if (fields & FIELD_XATTRS_APART) {
        out->xattrs_apart = 1;
        take_digest(in, &out->xattrs_digest);
    } else if (fields & FIELD_XATTRS) {
        out->xattrs_length = vr_bytes_take32(in);
        out->xattrs = vr_bytes_take(in, out->xattrs_length);
        return out->xattrs && out->xattrs_length <= VR_TREE_XATTR_INLINE &&
               vr_xattrs_check(out->xattrs, out->xattrs_length) == 0;
    }
    return 1;
}

static int decode_entry(struct vr_bytes *in, int timeless, struct vr_tree_entry *out)
{
    memset(out, 0, sizeof *out);
    out->type = vr_bytes_take8(in);
    uint32_t fields = vr_bytes_take8(in);
    out->name_length = vr_bytes_take16(in);
    out->mode = vr_bytes_take32(in);
    out->uid = vr_bytes_take32(in);
    out->gid = vr_bytes_take32(in);
    out->mtime.sec = VR_TREE_FIXED_SECONDS;
    if (!timeless) {
        out->mtime.sec = (int64_t)vr_bytes_take64(in);
        out->mtime.nsec = vr_bytes_take32(in);
    }
    out->name = (const char *)vr_bytes_take(in, out->name_length);
    return !in->bad && fields < 3 && out->mode <= 07777 && out->mtime.nsec < 1000000000 && decode_payload(in, out) &&
           decode_xattrs(in, fields, out) && !in->bad;
}

int32_t vr_tree_open(struct vr_tree_reader *reader, const void *bytes, size_t length)
{
    const uint8_t *header = bytes;
    memset(reader, 0, sizeof *reader);
    if (length < HEADER_SIZE || memcmp(header, magic, sizeof magic) != 0)
        return -VRIFT_EUCLEAN;
    if (vr_bytes_get16(header + 6) != VR_TREE_VERSION)
        return -VRIFT_EOPNOTSUPP;
    if (vr_bytes_get32(header + 8) & ~FLAG_TIMELESS)
        return -VRIFT_EUCLEAN;
    reader->timeless = vr_bytes_get32(header + 8) & FLAG_TIMELESS;
    reader->remaining = vr_bytes_get32(header + 12);
    reader->at = header + HEADER_SIZE;
    reader->left = length - HEADER_SIZE;
    return 0;
}

int32_t vr_tree_next(struct vr_tree_reader *reader, struct vr_tree_entry *out)
{
    if (reader->remaining == 0)
        return reader->left ? -VRIFT_EUCLEAN : 0;
    struct vr_bytes in = {reader->at, reader->left, 0};
    if (!decode_entry(&in, (int)reader->timeless, out) || !vr_tree_name_valid(out->name, out->name_length))
        return -VRIFT_EUCLEAN;
    if (reader->last_name && vr_tree_compare(reader->last_name, reader->last_length, out->name, out->name_length) >= 0)
        return -VRIFT_EUCLEAN;
    reader->last_name = out->name;
    reader->last_length = out->name_length;
    reader->at = in.at;
    reader->left = in.left;
    reader->remaining--;
    return 1;
}

int32_t vr_tree_decode_root(const void *bytes, size_t length, int timeless, struct vr_tree_entry *out, size_t *used)
{
    struct vr_bytes in = {bytes, length, 0};
    struct vr_tree_entry entry;
    if (!decode_entry(&in, timeless, &entry) || entry.name_length || entry.type != VRIFT_DT_DIR)
        return -VRIFT_EUCLEAN;
    *out = entry;
    *used = length - in.left;
    return 0;
}
