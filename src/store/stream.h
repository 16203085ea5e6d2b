/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Hashing a file of any size, holes without reading them, and copying it on the way. */
#ifndef VR_STREAM_H
#define VR_STREAM_H

#include "store/digest.h"

struct vr_stream {
    int fd;
    int dst;         /* copy data there, -1: only hash; holes are left out, so it must be empty or of that size */
    uint64_t size;   /* bytes */
    uint8_t *buffer; /* VR_STREAM_BUFFER bytes */
    int32_t (*tick)(void *payload); /* called between pieces, may be NULL; other than 0 ends it */
    void *payload;
    int writing; /* out: the error is one of writing */
};
#define VR_STREAM_BUFFER ((size_t)1 << 20)

/* 0 and the digest; -VRIFT_ESTALE if the file is shorter; what tick answered; the errors of reading and writing. */
int32_t vr_stream_pass(struct vr_stream *stream, struct vr_digest *out);

#endif
