/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/indexformat.h"

#include "platform/fileops.h"
#include "platform/os.h"
#include "store/bytes.h"
#include "store/tree.h"
#include "store/seal.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

const char vr_index_magic[6] = {'V', 'R', 'I', 'N', 'D', 'X'};

/* -- Attaching ---------------------------------------------------------------------------------------------------- */

static int fits(const struct vr_index *index, uint64_t offset, uint64_t count, uint64_t size)
{
    return offset >= VR_INDEX_HEADER_SIZE && offset <= index->size && count <= (index->size - offset) / size;
}

static int32_t check_sections(struct vr_index *index)
{
    const uint8_t *header = index->map;
    uint64_t records = vr_bytes_get64(header + HEADER_RECORDS), digests = vr_bytes_get64(header + HEADER_DIGESTS);
    uint64_t slots = vr_bytes_get64(header + HEADER_SLOTS), strings = vr_bytes_get64(header + HEADER_STRINGS);
    uint64_t xattrs = vr_bytes_get64(header + HEADER_XATTRS);
    uint32_t bits = vr_bytes_get32(header + HEADER_SLOT_BITS);
    index->entries = vr_bytes_get64(header + HEADER_ENTRIES);
    index->digest_count = vr_bytes_get64(header + HEADER_DIGEST_NUM);
    index->strings_length = vr_bytes_get64(header + HEADER_STRINGS_LEN);
    index->xattrs_length = vr_bytes_get64(header + HEADER_XATTRS_LEN);
    if (bits > 32 || index->entries == 0 || index->entries >= VR_INDEX_NONE ||
        index->size != vr_bytes_get64(header + HEADER_FILE_SIZE))
        return -VRIFT_EUCLEAN;
    index->slot_mask = (1ULL << bits) - 1;
    if (!fits(index, records, index->entries, VR_INDEX_RECORD_SIZE) ||
        !fits(index, digests, index->digest_count, VR_DIGEST_SIZE) || !fits(index, slots, index->slot_mask + 1, 4) ||
        !fits(index, strings, index->strings_length, 1) || !fits(index, xattrs, index->xattrs_length, 1))
        return -VRIFT_EUCLEAN;
    index->records = index->map + records;
    index->digests = index->map + digests;
    index->slots = index->map + slots;
    index->strings = (const char *)index->map + strings;
    index->xattrs = index->map + xattrs;
    return 0;
}

int32_t vr_index_attach(struct vr_index *index, const void *memory, size_t size)
{
    const uint8_t *header = memory;
    struct vr_digest sum;
    memset(index, 0, sizeof *index);
    if (size < VR_INDEX_HEADER_SIZE || memcmp(header, vr_index_magic, sizeof vr_index_magic) != 0)
        return -VRIFT_EUCLEAN;
    if (vr_bytes_get16(header + HEADER_VERSION) != VR_INDEX_VERSION)
        return -VRIFT_EOPNOTSUPP;
    vr_digest_of(header, HEADER_SUM, &sum);
    if (memcmp(sum.bytes, header + HEADER_SUM, VR_DIGEST_SIZE) != 0 ||
        vr_bytes_get32(header + HEADER_SIZE_FIELD) != VR_INDEX_HEADER_SIZE ||
        vr_bytes_get32(header + HEADER_RECORD_SIZE) != VR_INDEX_RECORD_SIZE ||
        (vr_bytes_get32(header + HEADER_FLAGS) & ~FLAG_TIMELESS))
        return -VRIFT_EUCLEAN;
    index->map = memory;
    index->size = size;
    index->timeless = vr_bytes_get32(header + HEADER_FLAGS) & FLAG_TIMELESS;
    memcpy(index->id.bytes, header + HEADER_ID, VR_DIGEST_SIZE);
    memcpy(index->tree.bytes, header + HEADER_TREE, VR_DIGEST_SIZE);
    index->files = vr_bytes_get64(header + HEADER_FILES);
    index->directories = vr_bytes_get64(header + HEADER_DIRECTORIES);
    index->symlinks = vr_bytes_get64(header + HEADER_SYMLINKS);
    index->specials = vr_bytes_get64(header + HEADER_SPECIALS);
    index->bytes = vr_bytes_get64(header + HEADER_BYTES);
    return check_sections(index);
}

int32_t vr_index_map(struct vr_index *index, int dirfd, const char *name)
{
    struct vrift_stat stat;
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return vrift_err_from_host_errno(errno);
    int32_t error = vr_fileops_stat(fd, "", &stat);
    const void *map = error ? NULL : vr_os_map(fd, (size_t)stat.size);
    close(fd);
    if (!map)
        return error ? error : stat.size ? -VRIFT_ENOMEM : -VRIFT_EUCLEAN;
    error = vr_index_attach(index, map, (size_t)stat.size);
    if (!error && !vr_seal_holds(stat.mtime))
        error = vr_index_check_body(index);
    index->mapped = !error;
    if (error)
        vr_os_unmap(map, (size_t)stat.size);
    return error;
}

void vr_index_unmap(struct vr_index *index)
{
    if (index->mapped)
        vr_os_unmap(index->map, index->size);
    index->map = NULL;
    index->mapped = 0;
}

int32_t vr_index_check_body(const struct vr_index *index)
{
    struct vr_digest sum;
    vr_digest_of(index->map + VR_INDEX_HEADER_SIZE, index->size - VR_INDEX_HEADER_SIZE, &sum);
    return memcmp(sum.bytes, index->map + HEADER_BODY_SUM, VR_DIGEST_SIZE) == 0 ? 0 : -VRIFT_EUCLEAN;
}

/* -- Records ------------------------------------------------------------------------------------------------------ */

static int string_fits(const struct vr_index *index, uint32_t offset, uint64_t length)
{
    return offset < index->strings_length && length < index->strings_length - offset &&
           index->strings[offset + length] == '\0';
}

static int32_t decode_link(const struct vr_index *index, uint64_t entry, uint32_t link, struct vr_index_entry *out)
{
    switch (out->type) {
    case VRIFT_DT_DIR:
        if (out->size && (link <= entry || link >= index->entries || out->size > index->entries - link))
            return -VRIFT_EUCLEAN;
        out->first_child = link;
        return 0;
    case VRIFT_DT_LNK:
        if (!string_fits(index, link, out->size))
            return -VRIFT_EUCLEAN;
        out->target = index->strings + link;
        return 0;
    case VRIFT_DT_CHR:
    case VRIFT_DT_BLK:
        out->rdev = out->size;
        out->size = 0;
        return 0;
    default:
        return vr_tree_type_mode(out->type) ? 0 : -VRIFT_EUCLEAN;
    }
}

static int32_t decode_xattrs(const struct vr_index *index, uint32_t offset, struct vr_index_entry *out)
{
    if (offset == VR_INDEX_NONE)
        return 0;
    if (offset > index->xattrs_length || index->xattrs_length - offset < 4)
        return -VRIFT_EUCLEAN;
    out->xattrs_length = vr_bytes_get32(index->xattrs + offset);
    out->xattrs = index->xattrs + offset + 4;
    return out->xattrs_length <= index->xattrs_length - offset - 4 ? 0 : -VRIFT_EUCLEAN;
}

int32_t vr_index_get(const struct vr_index *index, uint64_t entry, struct vr_index_entry *out)
{
    if (entry >= index->entries)
        return -VRIFT_EINVAL;
    const uint8_t *record = index->records + entry * VR_INDEX_RECORD_SIZE;
    uint32_t name = vr_bytes_get32(record + RECORD_NAME);
    uint32_t digest = vr_bytes_get32(record + RECORD_DIGEST);
    memset(out, 0, sizeof *out);
    out->parent = vr_bytes_get32(record + RECORD_PARENT);
    out->name_length = vr_bytes_get16(record + RECORD_NAME_LENGTH);
    out->type = record[RECORD_TYPE];
    out->mode = vr_bytes_get32(record + RECORD_MODE);
    out->uid = vr_bytes_get32(record + RECORD_UID);
    out->gid = vr_bytes_get32(record + RECORD_GID);
    out->mtime.sec = (int64_t)vr_bytes_get64(record + RECORD_SECONDS);
    out->mtime.nsec = vr_bytes_get32(record + RECORD_NANOSECONDS);
    out->nlink = vr_bytes_get32(record + RECORD_NLINK);
    out->size = vr_bytes_get64(record + RECORD_SIZE);
    out->inode = vr_bytes_get32(record + RECORD_INODE);
    if (!string_fits(index, name, out->name_length) || out->inode > entry ||
        (entry ? out->parent >= entry : out->parent != 0))
        return -VRIFT_EUCLEAN;
    out->name = index->strings + name;
    if (digest != VR_INDEX_NONE) {
        if (digest >= index->digest_count)
            return -VRIFT_EUCLEAN;
        out->digest = index->digests + (size_t)digest * VR_DIGEST_SIZE;
    }
    int32_t error = decode_link(index, entry, vr_bytes_get32(record + RECORD_LINK), out);
    return error ? error : decode_xattrs(index, vr_bytes_get32(record + RECORD_XATTRS), out);
}

/* -- Looking up --------------------------------------------------------------------------------------------------- */

uint64_t vr_index_hash(uint32_t parent, const char *name, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325ULL ^ (parent * 0x9e3779b97f4a7c15ULL);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3ULL;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93ULL;
    return hash ^ hash >> 32;
}

/* -1, 0 or 1 as the name is before, equal to or after the child's; -2 for damage. */
static int compare_child(const struct vr_index *index, uint64_t child, const char *name, size_t length)
{
    const uint8_t *record = index->records + child * VR_INDEX_RECORD_SIZE;
    uint32_t offset = vr_bytes_get32(record + RECORD_NAME);
    uint32_t child_length = vr_bytes_get16(record + RECORD_NAME_LENGTH);
    if (!string_fits(index, offset, child_length))
        return -2;
    int order = vr_tree_compare(name, length, index->strings + offset, child_length);
    return (order > 0) - (order < 0);
}

static int32_t search_children(const struct vr_index *index, uint64_t first, uint64_t count, const char *name,
                               size_t length, uint64_t *out)
{
    uint64_t low = first, high = first + count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int order = compare_child(index, middle, name, length);
        if (order == -2)
            return -VRIFT_EUCLEAN;
        if (order == 0) {
            *out = middle;
            return 0;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -VRIFT_ENOENT;
}

int32_t vr_index_lookup(const struct vr_index *index, uint64_t dir, const char *name, size_t length, uint64_t *out)
{
    if (dir >= index->entries)
        return -VRIFT_EINVAL;
    const uint8_t *record = index->records + dir * VR_INDEX_RECORD_SIZE;
    if (record[RECORD_TYPE] != VRIFT_DT_DIR)
        return -VRIFT_ENOTDIR;
    uint64_t first = vr_bytes_get32(record + RECORD_LINK), count = vr_bytes_get64(record + RECORD_SIZE);
    if (count == 0)
        return -VRIFT_ENOENT;
    if (first <= dir || first >= index->entries || count > index->entries - first)
        return -VRIFT_EUCLEAN;
    uint64_t slot = vr_index_hash((uint32_t)dir, name, length);
    for (uint32_t i = 0; i < PROBE_LIMIT; i++, slot++) {
        uint64_t entry = vr_bytes_get32(index->slots + (slot & index->slot_mask) * 4);
        if (entry == 0)
            return -VRIFT_ENOENT;
        if (entry < first || entry - first >= count)
            continue; /* another directory's */
        int order = compare_child(index, entry, name, length);
        if (order == -2)
            return -VRIFT_EUCLEAN;
        if (order == 0) {
            *out = entry;
            return 0;
        }
    }
    return search_children(index, first, count, name, length, out);
}

int32_t vr_index_walk(const struct vr_index *index, const char *path, size_t length, uint64_t *out)
{
    uint64_t entry = 0;
    for (size_t at = 0, end; at <= length; at = end + 1) {
        for (end = at; end < length && path[end] != '/';)
            end++;
        size_t part = end - at;
        if (part == 2 && path[at] == '.' && path[at + 1] == '.')
            return -VRIFT_EINVAL;
        int stay = part == 0 || (part == 1 && path[at] == '.');
        if (stay && index->records[entry * VR_INDEX_RECORD_SIZE + RECORD_TYPE] != VRIFT_DT_DIR)
            return -VRIFT_ENOTDIR;
        int32_t error = stay ? 0 : vr_index_lookup(index, entry, path + at, part, &entry);
        if (error)
            return error;
    }
    *out = entry;
    return 0;
}
