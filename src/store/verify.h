/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The parts of vrift_store_verify(). */
#ifndef VR_VERIFY_H
#define VR_VERIFY_H

#include "store/crew.h"
#include "store/store.h"

struct vr_verify {
    struct vr_crew crew; /* reads blobs and packs; trees are checked when it is done */
    vrift_store *store;
    vrift_problem_fn problem;
    void *payload;
    vr_os_mutex lock;
    struct vrift_verify_result result; /* lock */
};

/* Reports one. Paths are relative to the store. What the callback answered, which also stops the crew. */
int32_t vr_verify_problem(struct vr_verify *verify, const char *directory, const char *name, const char *reason);

/* Each counts what it checks, and returns other than 0 only to stop. */
int32_t vr_verify_blobs(struct vr_verify *verify);     /* loose blobs and packs */
int32_t vr_verify_snapshots(struct vr_verify *verify); /* snapshots, trees, indexes */
int32_t vr_verify_refs(struct vr_verify *verify);

#endif
