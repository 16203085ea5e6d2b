/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A set of digests in memory. Not locked. */
#ifndef VR_DIGESTSET_H
#define VR_DIGESTSET_H

#include "store/digest.h"

/* Zeroed is empty. A slot of zeroes is free: no content has that digest. */
struct vr_digestset {
    struct vr_digest *slots;
    size_t count;
    size_t capacity; /* a power of two, or 0 */
};

/* 1 if it was added, 0 if it was there, -VRIFT_ENOMEM. */
int32_t vr_digestset_add(struct vr_digestset *set, const struct vr_digest *digest);
void vr_digestset_remove_all(struct vr_digestset *set);

#endif
