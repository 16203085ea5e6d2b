/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* An instance with a memory file system at "/" and a task in it, for tests of the core. */
#ifndef VR_TEST_WORLD_H
#define VR_TEST_WORLD_H

#include "support/check.h"

#include <vrift/vrift.h>

struct world {
    vrift_vfs *vfs;
    vrift_sb *sb; /* of "/" */
    vrift_ns *ns;
    vrift_task *task;          /* uid 0, every capability */
    const char *fault_slot;    /* fail this slot ... */
    uint32_t fault_after;      /* ... after so many calls of it that succeed */
    int32_t fault_error;       /* ... with this; 0: none */
    uint32_t fault_hits;       /* how often it was injected */
    uint64_t allocations_left; /* before memory runs out; UINT64_MAX: never */
    int64_t allocated;         /* blocks alive */
};

struct world *world_new(const struct vrift_vfs_options *options);
void world_free(struct world *world); /* checks that all memory was given back */

/* Small words for what tests do all the time; a failure fails the test. */
int32_t world_file(struct world *world, const char *path, const char *content);
void world_expect(struct world *world, const char *path, const char *content);
struct vrift_stat world_stat(struct world *world, const char *path);
uint64_t world_backend_calls(struct world *world);
vrift_cred *world_cred(struct world *world, uint32_t uid, uint32_t gid);
/* Makes calls of a slot fail from the one after `after` on; 0 stops. */
void world_fault(struct world *world, const char *slot, uint32_t after, int32_t error);
/* The names in a directory without `.` and `..`, sorted, separated by spaces; valid until the next call. */
const char *world_list(struct world *world, const char *path);

#endif
