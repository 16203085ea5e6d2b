/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Finds what the words of a command line mean: the store, a snapshot, a path in it. */
#ifndef VR_LOCATE_H
#define VR_LOCATE_H

#include <vrift/types.h>

#include "cli/cli.h"

/* All answer 0 or an exit status after having reported what is wrong. */

/* Opens the store. Only commands that write make one where none is. To be closed by the caller. */
int vr_locate_store(const struct vr_arguments *arguments, bool create, vrift_store **out);

/* Writes the store's directory, whether it exists or not; false, and nothing said, if there is no place for one. */
bool vr_locate_store_path(const struct vr_arguments *arguments, char *buf, size_t size);

/* Resolves an id, a unique prefix or a ref. */
int vr_locate_digest(const struct vr_arguments *arguments, vrift_store *store, const char *text,
                     struct vrift_digest *out);

/* Refuses a name that no ref may have, before any work is done for it. NULL is fine. */
int vr_locate_check_ref(const struct vr_arguments *arguments, const char *name);

/* Resolves and opens a snapshot. To be dropped with vrift_snapshot_unref(). */
int vr_locate_snapshot(const struct vr_arguments *arguments, vrift_store *store, const char *text,
                       vrift_snapshot **out);

/* SNAP[:PATH] taken apart and opened. */
struct vr_place {
    vrift_store *store;
    vrift_snapshot *snapshot;
    const char *path; /* inside the argument; "" is the root */
};

/* Splits at the first ':', which no id and no ref contains. To be released with vr_locate_close(). */
int vr_locate_place(const struct vr_arguments *arguments, const char *text, struct vr_place *out);
void vr_locate_close(struct vr_place *place);

/*
 * A task that sees the snapshot as its root, with everything allowed; for what follows symlinks. To be freed with
 * vrift_task_free().
 */
int vr_locate_task(const struct vr_arguments *arguments, vrift_snapshot *snapshot, vrift_task **out);

/* The entry that a place's path names. Symlinks on the way are followed, the last one only before a '/'. */
int vr_locate_entry(const struct vr_arguments *arguments, const struct vr_place *place, uint64_t *out);

#endif
