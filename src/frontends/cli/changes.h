/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Prints the differences between two trees: for diff and for workspace status. */
#ifndef VR_CHANGES_H
#define VR_CHANGES_H

#include <stdbool.h>

#include <vrift/store.h>

#include "cli/cli.h"
#include "cli/json.h"

struct vr_changes {
    bool summary; /* count only */
    bool as_json;
    struct vr_json json;
    uint64_t count[6]; /* by VRIFT_CHANGE_... */
    uint64_t bytes_added, bytes_removed;
};

void vr_changes_begin(struct vr_changes *changes, const struct vr_arguments *arguments, bool summary);

/* A vrift_change_fn; its payload is the struct vr_changes. */
int32_t vr_changes_take(const struct vrift_change *change, void *payload);

void vr_changes_end(struct vr_changes *changes);

#endif
