/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/packformat.h"

#include "core/alloc.h"
#include "platform/fileops.h"
#include "platform/os.h"
#include "store/bytes.h"
#include "store/compress.h"
#include "store/seal.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int32_t check_trailer(struct vr_pack *pack)
{
    const uint8_t *trailer = pack->map + pack->size - VR_PACK_TRAILER_SIZE;
    struct vr_digest sum;
    vr_digest_of(trailer, TRAILER_SUM, &sum);
    if (memcmp(trailer, vr_pack_trailer_magic, 8) != 0 || memcmp(trailer + TRAILER_SUM, sum.bytes, VR_DIGEST_SIZE) != 0)
        return -VRIFT_EUCLEAN;
    pack->table_offset = vr_bytes_get64(trailer + TRAILER_TABLE);
    pack->count = vr_bytes_get64(trailer + TRAILER_COUNT);
    uint64_t room = pack->size - VR_PACK_TRAILER_SIZE;
    if (pack->table_offset < VR_PACK_HEADER_SIZE || pack->table_offset > room ||
        room - pack->table_offset < VR_PACK_FANOUT_SIZE)
        return -VRIFT_EUCLEAN;
    uint64_t entries = room - pack->table_offset - VR_PACK_FANOUT_SIZE;
    if (pack->count > UINT32_MAX || entries != pack->count * VR_PACK_ENTRY_SIZE)
        return -VRIFT_EUCLEAN;
    pack->fanout = pack->map + pack->table_offset;
    pack->entries = pack->fanout + VR_PACK_FANOUT_SIZE;
    return 0;
}

static int32_t check_pack(struct vr_pack *pack)
{
    if (pack->size < VR_PACK_HEADER_SIZE + VR_PACK_FANOUT_SIZE + VR_PACK_TRAILER_SIZE)
        return -VRIFT_EUCLEAN;
    if (memcmp(pack->map, vr_pack_magic, 6) != 0)
        return -VRIFT_EUCLEAN;
    if (vr_bytes_get16(pack->map + 6) != VR_PACK_VERSION)
        return -VRIFT_EOPNOTSUPP;
    if (vr_bytes_get64(pack->map + 8) != 0)
        return -VRIFT_EUCLEAN;
    return check_trailer(pack);
}

static const char *verify_table(const struct vr_pack *pack)
{
    const uint8_t *trailer = pack->map + pack->size - VR_PACK_TRAILER_SIZE;
    struct vr_digest sum;
    char name[VR_DIGEST_HEX];
    vr_digest_of(pack->fanout, VR_PACK_FANOUT_SIZE + (size_t)pack->count * VR_PACK_ENTRY_SIZE, &sum);
    if (memcmp(sum.bytes, trailer + TRAILER_TABLE_SUM, VR_DIGEST_SIZE) != 0)
        return "the table does not match its checksum";
    vr_digest_hex(&sum, name);
    if (memcmp(name, pack->name, 64) != 0 || strcmp(pack->name + 64, ".pack") != 0)
        return "the name is not that of the table";
    uint32_t counts[256] = {0};
    for (uint64_t i = 0; i < pack->count; i++)
        counts[pack->entries[i * VR_PACK_ENTRY_SIZE]]++;
    uint32_t total = 0;
    for (unsigned i = 0; i < 256; i++) {
        total += counts[i];
        if (vr_bytes_get32(pack->fanout + (size_t)4 * i) != total)
            return "the fan-out does not match the table";
    }
    return NULL;
}

int32_t vr_pack_open(int dirfd, const char *name, struct vr_pack **out)
{
    struct vrift_stat stat;
    if (strlen(name) >= VR_PACK_NAME_SIZE)
        return -VRIFT_EINVAL;
    struct vr_pack *pack = vr_alloc_zero(NULL, 1, sizeof *pack);
    if (!pack)
        return -VRIFT_ENOMEM;
    snprintf(pack->name, sizeof pack->name, "%s", name);
    pack->fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int32_t error = pack->fd < 0 ? vrift_err_from_host_errno(errno) : vr_fileops_stat(pack->fd, "", &stat);
    if (!error) {
        pack->size = (size_t)stat.size;
        pack->map = vr_os_map(pack->fd, pack->size);
        error = pack->map ? check_pack(pack) : pack->size ? -VRIFT_ENOMEM : -VRIFT_EUCLEAN;
        pack->suspect = !vr_seal_holds(stat.mtime);
    }
    if (!error && pack->suspect && verify_table(pack))
        error = -VRIFT_EUCLEAN;
    if (error)
        vr_pack_close(pack);
    else
        *out = pack;
    return error;
}

void vr_pack_close(struct vr_pack *pack)
{
    if (!pack)
        return;
    if (pack->map)
        vr_os_unmap(pack->map, pack->size);
    if (pack->fd >= 0)
        close(pack->fd);
    vr_alloc_free(NULL, pack);
}

/* The place as the table says, within bounds. */
static int32_t read_place(const struct vr_pack *pack, uint64_t at, struct vr_pack_place *out)
{
    const uint8_t *entry = pack->entries + at * VR_PACK_ENTRY_SIZE;
    memcpy(out->digest.bytes, entry, VR_DIGEST_SIZE);
    out->offset = vr_bytes_get64(entry + ENTRY_OFFSET);
    out->stored = vr_bytes_get32(entry + ENTRY_STORED);
    out->length = vr_bytes_get32(entry + ENTRY_LENGTH);
    out->encoding = vr_bytes_get32(entry + ENTRY_ENCODING);
    if (out->encoding > VR_PACK_ENCODING_ZSTD)
        return -VRIFT_EOPNOTSUPP;
    int fits = out->encoding == VR_PACK_ENCODING_RAW ? out->stored == out->length
                                                     : out->stored < out->length && out->length <= VR_PACK_EXPANDED_MAX;
    if (!fits || out->offset < VR_PACK_HEADER_SIZE + VR_PACK_RECORD_SIZE || out->offset > pack->table_offset ||
        out->stored > pack->table_offset - out->offset)
        return -VRIFT_EUCLEAN;
    return 0;
}

int32_t vr_pack_read(const struct vr_pack *pack, const struct vr_pack_place *place, void *out)
{
    const uint8_t *stored = pack->map + place->offset;
    if (place->encoding == VR_PACK_ENCODING_ZSTD)
        return vr_compress_expand(out, place->length, stored, place->stored);
    memcpy(out, stored, place->length);
    return 0;
}

static const char *verify_record(const struct vr_pack *pack, const struct vr_pack_place *place)
{
    uint8_t header[VR_PACK_RECORD_SIZE];
    struct vr_digest sum;
    vr_pack_record_header(place, header);
    if (memcmp(header, pack->map + place->offset - VR_PACK_RECORD_SIZE, sizeof header) != 0)
        return "a record's header does not match the table";
    if (place->encoding == VR_PACK_ENCODING_RAW) {
        vr_digest_of(pack->map + place->offset, place->length, &sum);
    } else {
        uint8_t *blob = vr_alloc(NULL, place->length);
        int32_t error = blob ? vr_pack_read(pack, place, blob) : -VRIFT_ENOMEM;
        if (!error)
            vr_digest_of(blob, place->length, &sum);
        vr_alloc_free(NULL, blob);
        if (error)
            return error == -VRIFT_ENOMEM ? "out of memory" : "a compressed blob cannot be expanded";
    }
    return vr_digest_equal(&sum, &place->digest) ? NULL : "a blob does not match its digest";
}

int32_t vr_pack_place(const struct vr_pack *pack, uint64_t at, struct vr_pack_place *out)
{
    int32_t error = read_place(pack, at, out);
    return !error && pack->suspect && verify_record(pack, out) ? -VRIFT_EUCLEAN : error;
}

int32_t vr_pack_find(const struct vr_pack *pack, const struct vr_digest *digest, struct vr_pack_place *out)
{
    unsigned first = digest->bytes[0];
    uint64_t low = first ? vr_bytes_get32(pack->fanout + (size_t)4 * (first - 1)) : 0;
    uint64_t high = vr_bytes_get32(pack->fanout + (size_t)4 * first);
    if (low > high || high > pack->count)
        return -VRIFT_EUCLEAN;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int order = memcmp(digest->bytes, pack->entries + middle * VR_PACK_ENTRY_SIZE, VR_DIGEST_SIZE);
        if (order == 0)
            return vr_pack_place(pack, middle, out);
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return -VRIFT_ENOENT;
}

/* -- Verifying ---------------------------------------------------------------------------------------------------- */

/*
 * The records must fill the file from header to table without a gap, so that no byte goes unchecked. With each
 * record's header equal to its table entry and no overlap, it suffices that their lengths add up.
 */
const char *vr_pack_verify(const struct vr_pack *pack)
{
    const char *problem = verify_table(pack);
    uint64_t total = VR_PACK_HEADER_SIZE;
    struct vr_pack_place place, last = {0};
    for (uint64_t i = 0; !problem && i < pack->count; i++) {
        int32_t error = read_place(pack, i, &place);
        if (error)
            return error == -VRIFT_EOPNOTSUPP ? "a blob has an unknown encoding"
                                              : "the table points outside the records";
        if (i && memcmp(last.digest.bytes, place.digest.bytes, VR_DIGEST_SIZE) >= 0)
            return "the table is not sorted";
        problem = verify_record(pack, &place);
        total += (uint64_t)VR_PACK_RECORD_SIZE + place.stored;
        last = place;
    }
    if (!problem && total != pack->table_offset)
        problem = "the records do not fill the pack";
    return problem;
}
