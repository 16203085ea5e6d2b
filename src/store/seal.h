/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Seals: a blob, pack or index is published with an mtime of 1 s after the epoch. Whoever writes to it later, by a
 * shared inode or by accident, breaks the seal, for writing sets the time. A file whose seal is broken is read through
 * and compared with its digest before it is used; one whose seal holds is believed, and vrift_store_verify() is there
 * for what changes bytes without writing.
 */
#ifndef VR_SEAL_H
#define VR_SEAL_H

#include "store/digest.h"

#include <vrift/types.h>

/* Gives a finished file its final mode and time; by descriptor, or by name in a directory. */
int32_t vr_seal(int fd, uint32_t mode);
int32_t vr_seal_name(int dirfd, const char *name);

/* Whether a file with this mtime is as it was published. */
int vr_seal_holds(struct vrift_timespec mtime);

/* Whether an open file's seal holds, or its content has this digest all the same. 0; -VRIFT_EUCLEAN; an error. */
int32_t vr_seal_check(int fd, const struct vr_digest *digest);

#endif
