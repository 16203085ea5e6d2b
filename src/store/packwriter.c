/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/packformat.h"

#include "core/alloc.h"
#include "platform/fileops.h"
#include "store/bytes.h"
#include "store/compress.h"

#include <vrift/error.h>

#include <stdio.h>
#include <stdlib.h>

#define BUFFER_SIZE (1u << 20)

const char vr_pack_magic[6] = {'V', 'R', 'P', 'A', 'C', 'K'};
const char vr_pack_trailer_magic[8] = {'V', 'R', 'P', 'A', 'C', 'K', 'I', 'X'};

/* digest, u32 stored length, u32 length, u32 encoding, u32 zero. */
void vr_pack_record_header(const struct vr_pack_place *place, uint8_t out[VR_PACK_RECORD_SIZE])
{
    memset(out, 0, VR_PACK_RECORD_SIZE);
    memcpy(out, place->digest.bytes, VR_DIGEST_SIZE);
    vr_bytes_set32(out + 32, place->stored);
    vr_bytes_set32(out + 36, place->length);
    vr_bytes_set32(out + 40, place->encoding);
}

static int32_t flush(struct vr_pack_writer *writer)
{
    struct vr_str *buffer = &writer->buffer;
    if (buffer->length == 0)
        return 0;
    int32_t error = vr_fileops_write_at(writer->fd, buffer->data, buffer->length, writer->offset - buffer->length);
    vr_str_truncate(buffer, 0);
    return error;
}

static int32_t append(struct vr_pack_writer *writer, const void *data, size_t length)
{
    int32_t error = vr_str_append(&writer->buffer, data, length);
    if (error)
        return error;
    writer->offset += length;
    return 0;
}

int32_t vr_pack_writer_init(struct vr_pack_writer *writer, int fd)
{
    uint8_t header[VR_PACK_HEADER_SIZE] = {0};
    memset(writer, 0, sizeof *writer);
    writer->fd = fd;
    memcpy(header, vr_pack_magic, sizeof vr_pack_magic);
    vr_bytes_set16(header + 6, VR_PACK_VERSION);
    int32_t error = vr_str_reserve(&writer->buffer, BUFFER_SIZE + (64u << 10));
    return error ? error : append(writer, header, sizeof header);
}

void vr_pack_writer_dispose(struct vr_pack_writer *writer)
{
    vr_str_dispose(&writer->buffer);
    vr_alloc_free(NULL, writer->places);
    writer->places = NULL;
    writer->count = writer->capacity = 0;
}

static int32_t reserve_place(struct vr_pack_writer *writer)
{
    if (writer->count < writer->capacity)
        return 0;
    size_t capacity = writer->capacity ? writer->capacity * 2 : 256;
    struct vr_pack_place *places = vr_alloc_resize(NULL, writer->places, capacity * sizeof *places);
    if (!places)
        return -VRIFT_ENOMEM;
    writer->places = places;
    writer->capacity = capacity;
    return 0;
}

int32_t vr_pack_writer_add(struct vr_pack_writer *writer, const struct vr_digest *digest, const void *data,
                           uint32_t length, int compress)
{
    uint8_t header[VR_PACK_RECORD_SIZE];
    struct vr_pack_place place = {*digest, writer->offset + VR_PACK_RECORD_SIZE, length, length, VR_PACK_ENCODING_RAW};
    void *frame = NULL;
    int32_t error = reserve_place(writer);
    if (error)
        return error;
    if (compress && length <= VR_PACK_EXPANDED_MAX && (frame = vr_alloc(NULL, length)) != NULL) {
        size_t size = vr_compress(frame, length, data, length);
        if (size) {
            place.stored = (uint32_t)size;
            place.encoding = VR_PACK_ENCODING_ZSTD;
            data = frame;
        }
    }
    vr_pack_record_header(&place, header);
    if (!error)
        error = append(writer, header, sizeof header);
    if (!error)
        error = append(writer, data, place.stored);
    vr_alloc_free(NULL, frame);
    if (!error && writer->buffer.length >= BUFFER_SIZE)
        error = flush(writer);
    if (!error)
        writer->places[writer->count++] = place;
    return error;
}

static int compare_places(const void *a, const void *b)
{
    return memcmp(((const struct vr_pack_place *)a)->digest.bytes, ((const struct vr_pack_place *)b)->digest.bytes,
                  VR_DIGEST_SIZE);
}

static void encode_table(const struct vr_pack_writer *writer, struct vr_str *out)
{
    size_t at = 0;
    for (unsigned first = 0; first < 256; first++) {
        while (at < writer->count && writer->places[at].digest.bytes[0] == first)
            at++;
        vr_bytes_put32(out, (uint32_t)at);
    }
    for (size_t i = 0; i < writer->count; i++) {
        const struct vr_pack_place *place = &writer->places[i];
        vr_str_append(out, place->digest.bytes, VR_DIGEST_SIZE);
        vr_bytes_put64(out, place->offset);
        vr_bytes_put32(out, place->stored);
        vr_bytes_put32(out, place->length);
        vr_bytes_put32(out, place->encoding);
        vr_bytes_put32(out, 0);
    }
}

static void make_trailer(const struct vr_pack_writer *writer, const struct vr_digest *table_sum,
                         uint8_t out[VR_PACK_TRAILER_SIZE])
{
    struct vr_digest sum;
    memset(out, 0, VR_PACK_TRAILER_SIZE);
    memcpy(out, vr_pack_trailer_magic, sizeof vr_pack_trailer_magic);
    vr_bytes_set64(out + TRAILER_TABLE, writer->offset);
    vr_bytes_set64(out + TRAILER_COUNT, writer->count);
    memcpy(out + TRAILER_TABLE_SUM, table_sum->bytes, VR_DIGEST_SIZE);
    vr_digest_of(out, TRAILER_SUM, &sum);
    memcpy(out + TRAILER_SUM, sum.bytes, VR_DIGEST_SIZE);
}

int32_t vr_pack_writer_finish(struct vr_pack_writer *writer, char name[VR_PACK_NAME_SIZE])
{
    struct vr_str table = VR_STR_INIT;
    uint8_t trailer[VR_PACK_TRAILER_SIZE];
    struct vr_digest table_sum;
    char hex[VR_DIGEST_HEX];
    int32_t error = flush(writer);
    if (writer->count)
        qsort(writer->places, writer->count, sizeof *writer->places, compare_places);
    encode_table(writer, &table);
    if (!error && table.failed)
        error = -VRIFT_ENOMEM;
    if (!error) {
        vr_digest_of(table.data, table.length, &table_sum);
        make_trailer(writer, &table_sum, trailer);
        error = append(writer, table.data, table.length);
    }
    if (!error)
        error = append(writer, trailer, sizeof trailer);
    if (!error)
        error = flush(writer);
    if (!error) {
        vr_digest_hex(&table_sum, hex);
        snprintf(name, VR_PACK_NAME_SIZE, "%s.pack", hex);
    }
    vr_str_dispose(&table);
    return error;
}
