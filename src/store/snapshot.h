/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* An open snapshot. */
#ifndef VR_SNAPSHOT_H
#define VR_SNAPSHOT_H

#include "store/index.h"
#include "store/snapobject.h"
#include "store/store.h"

#include <vrift/snapshot.h>

/* Immutable after opening. */
struct vrift_snapshot {
    _Atomic uint32_t refs;
    vrift_store *store; /* holds a reference */
    struct vr_index index;
    void *image; /* the index if it could not be written, NULL if it is mapped */
};

/* Reads and checks a snapshot object; what its root borrows lies in *bytes, to be freed with free(). */
int32_t vr_snapshot_read(vrift_store *store, const struct vr_digest *id, struct vr_snapobject *out, char **bytes);

/* Builds the index of a snapshot object in memory. */
int32_t vr_snapshot_build(vrift_store *store, const struct vr_digest *id, struct vr_snapobject *object, uint8_t **image,
                          size_t *size);

#endif
