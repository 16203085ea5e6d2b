/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/stream.h"

#include "platform/fileops.h"
#include "store/blake3.h"

#include <vrift/error.h>

#include <errno.h>
#include <unistd.h>

static int32_t pass_data(struct vr_stream *stream, uint64_t from, uint64_t to, struct vr_blake3 *hash)
{
    while (from < to) {
        size_t want = to - from < VR_STREAM_BUFFER ? (size_t)(to - from) : VR_STREAM_BUFFER;
        int64_t got = vr_fileops_read_at(stream->fd, stream->buffer, want, from);
        if (got < 0)
            return (int32_t)got;
        if ((size_t)got != want)
            return -VRIFT_ESTALE;
        vr_blake3_update(hash, stream->buffer, want);
        int32_t error = stream->dst >= 0 ? vr_fileops_write_at(stream->dst, stream->buffer, want, from) : 0;
        stream->writing = error != 0;
        if (!error && stream->tick)
            error = stream->tick(stream->payload);
        if (error)
            return error;
        from += want;
    }
    return 0;
}

static uint64_t seek_to(int fd, uint64_t from, int whence, uint64_t size)
{
    off_t at = lseek(fd, (off_t)from, whence);
    if (at < 0)
        return errno == ENXIO || whence == SEEK_HOLE ? size : from; /* unknown: all is data */
    return (uint64_t)at < size ? (uint64_t)at : size;
}

int32_t vr_stream_pass(struct vr_stream *stream, struct vr_digest *out)
{
    struct vr_blake3 hash;
    int32_t error = 0;
    vr_blake3_init(&hash);
    for (uint64_t at = 0; !error && at < stream->size;) {
        uint64_t data = seek_to(stream->fd, at, SEEK_DATA, stream->size);
        uint64_t end = data < stream->size ? seek_to(stream->fd, data, SEEK_HOLE, stream->size) : stream->size;
        if (data > at)
            vr_blake3_update_zeros(&hash, data - at);
        error = pass_data(stream, data, end, &hash);
        at = end;
    }
    if (!error)
        vr_blake3_final(&hash, out->bytes);
    return error;
}
