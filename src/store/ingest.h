/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Storing a tree: one session for an import or a commit. Everything is collected in a temporary directory of the
 * store; vr_ingest_finish() publishes it, vr_ingest_abort() leaves the store as it was.
 *
 *   vr_ingest_begin()
 *   vr_ingest_file()   for each name: stores its content, answers its entry    \  from any number of threads,
 *   vr_ingest_tree()   for each directory, bottom up: stores its node           > and only for what is not known
 *   vr_ingest_link()   for names that share an inode, beyond those of files()  /  from a base
 *   vr_ingest_finish() with the entry of the root
 */
#ifndef VR_INGEST_H
#define VR_INGEST_H

#include "core/error.h"
#include "store/store.h"
#include "store/tree.h"

struct vr_ingest;

/* A thread's buffers. Zeroed before the first use. */
struct vr_ingest_scratch {
    uint8_t *buffer;      /* VR_INGEST_BUFFER bytes, NULL until needed */
    struct vr_str target; /* of the last symlink */
    struct vr_str xattrs; /* of the last file */
};
#define VR_INGEST_BUFFER ((size_t)4 << 20)

void vr_ingest_scratch_dispose(struct vr_ingest_scratch *scratch);

/* options may be NULL; jobs is not looked at. */
int32_t vr_ingest_begin(vrift_store *store, const struct vrift_import_options *options, struct vr_ingest **out,
                        struct vrift_error_detail *detail);

/* Frees the session and what it wrote. NULL is allowed. */
void vr_ingest_abort(struct vr_ingest *ingest);

/*
 * Reads name in dirfd: attributes, xattrs, and for a regular file or symlink the content, which is stored. The entry's
 * name stays empty; its pointers are the scratch's and live until that is used again. A directory's digest stays
 * zero. path (relative to the tree's root) is for messages, and records hard links when link is set. type is
 * VRIFT_DT_... as the directory said, or UNKNOWN. -VRIFT_ESTALE if it keeps changing. The detail is kept in the session.
 */
int32_t vr_ingest_file(struct vr_ingest *ingest, int dirfd, const char *name, uint32_t type, const char *path, int link,
                       struct vr_ingest_scratch *scratch, struct vr_tree_entry *out);

/* Stores bytes; length is not 0. */
int32_t vr_ingest_blob(struct vr_ingest *ingest, const void *data, size_t length, struct vr_digest *out);

/* Stores a directory's node, and its entries' long xattrs. The entries' contents are stored already. */
int32_t vr_ingest_tree(struct vr_ingest *ingest, struct vr_tree *tree, struct vr_digest *out);

/* Says that path is a name of an inode; group is any number below 2^63 that the caller gives to that inode. */
int32_t vr_ingest_link(struct vr_ingest *ingest, uint64_t group, const char *path);

/* Whether trees leave times out. */
int vr_ingest_timeless(const struct vr_ingest *ingest);

/*
 * Counts files (0: still at one) and bytes for progress. Other than 0: what the callback answered, which also ends the
 * session's other work.
 */
int32_t vr_ingest_progress(struct vr_ingest *ingest, uint64_t files, uint64_t bytes);

/* What the paths in messages are relative to; borrowed until the session ends. */
void vr_ingest_name(struct vr_ingest *ingest, const char *base);

/* Ends the session's other work with an error, of which the first is kept; path may be NULL. Returns error. */
int32_t vr_ingest_fail(struct vr_ingest *ingest, int32_t error, const char *operation, const char *path,
                       const char *reason);

/* The same, with a path relative to the base. */
int32_t vr_ingest_fail_at(struct vr_ingest *ingest, int32_t error, const char *operation, const char *path,
                          const char *reason);

/* The error that the session failed with, or 0; threads look before they start something new. */
int32_t vr_ingest_failed(struct vr_ingest *ingest);

/*
 * Makes the snapshot of a root directory's entry (its digest is that of its node), publishes everything, and frees
 * the session, whatever the result. The detail goes to the record given at the start.
 */
int32_t vr_ingest_finish(struct vr_ingest *ingest, const struct vr_tree_entry *root, struct vrift_import_result *out);

#endif
