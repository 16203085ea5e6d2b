/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Building an index out of tree nodes. Counting the snapshot's files on the way, it also serves to make snapshots. */
#ifndef VR_INDEXBUILD_H
#define VR_INDEXBUILD_H

#include "store/blob.h"
#include "store/snapobject.h"

/* Where tree nodes and the links object come from; as vr_blob_load(). */
struct vr_indexbuild_source {
    int32_t (*load)(void *self, const struct vr_digest *digest, size_t max, struct vr_blob *out);
    void *self;
};

/* Longest tree node or links object. */
#define VR_INDEXBUILD_MAX_NODE ((size_t)1 << 31)

/*
 * Builds the index of a snapshot object in memory of vr_alloc(). With claimed 0 the object's counts are filled in,
 * else they must fit, and bound what a hostile tree can make us build. vr_indexbuild_seal() is still to come.
 * 0; -VRIFT_EUCLEAN; -VRIFT_EIO for a missing node; -VRIFT_EOPNOTSUPP; -VRIFT_EOVERFLOW for 2^32 entries; -VRIFT_ENOMEM.
 */
int32_t vr_indexbuild(const struct vr_indexbuild_source *source, struct vr_snapobject *object, int claimed,
                      uint8_t **image, size_t *size);

/* Enters the snapshot's id and the checksums. */
void vr_indexbuild_seal(uint8_t *image, size_t size, const struct vr_digest *id);

#endif
