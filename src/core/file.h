/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Reading and writing of an open description, for all calls that move bytes. */
#ifndef VR_FILE_H
#define VR_FILE_H

#include "core/object.h"

#define VR_FILE_MOST_BYTES 0x7ffff000u /* in one call, as Linux */

/* 0; -VRIFT_EBADF if it was not opened for that; -VRIFT_EISDIR. */
int32_t vr_file_readable(const vrift_file *file);
int32_t vr_file_writable(const vrift_file *file);

/* Reads into buffers that were checked, without moving the position. Up to VR_FILE_MOST_BYTES. */
int64_t vr_file_read(vrift_file *file, const struct vrift_iovec *iov, uint32_t count, uint64_t offset);

/*
 * Writes as cred, who may make the file up to `limit` bytes long, without moving the position; *end tells where the
 * last write ended. Locks the inode for all buffers together.
 */
int64_t vr_file_write(vrift_file *file, const vrift_cred *cred, const struct vrift_iovec *iov, uint32_t count,
                      uint64_t offset, uint64_t limit, uint64_t *end);

/* How many bytes may be written at offset (or at the end, for a description that appends); -VRIFT_EFBIG: none. */
int32_t vr_file_room(vrift_file *file, uint64_t offset, uint64_t limit, uint64_t *most);

#endif
