/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A workspace: a named, writable view of a snapshot, kept in the store. It is an overlay and nothing else: an upper
 * directory in the format of the kernel's overlayfs over an immutable snapshot, so that this library, a kernel
 * mount and
 * any number of processes can work on the same one.
 */
#ifndef VRIFT_WORKSPACE_H
#define VRIFT_WORKSPACE_H

#include <vrift/types.h>
#include <vrift/store.h>

struct vrift_workspace_info {
    const char *name;
    const char *upper; /* directories on the host */
    const char *work;
    struct vrift_digest base; /* algorithm VRIFT_DIGEST_NONE: an empty tree */
    uint64_t flags;           /* VRIFT_WORKSPACE_... */
    uint64_t spare[4];        /* zero */
};
#define VRIFT_WORKSPACE_USERXATTR 1ULL /* overlay attributes are in "user.", not "trusted." */

typedef int32_t(VRIFT_CALLBACK *vrift_workspace_fn)(const char *name, void *payload);

VRIFT_BEGIN_DECLS

/**
 * Makes a workspace.
 *
 * @param name 1 to 100 bytes of letters, digits, '.', '_', '-'; not starting with '.'
 * @param base the snapshot it starts from; NULL for an empty tree
 * @param flags 0
 * @param[out] out the workspace, open; may be NULL
 * @return 0; -VRIFT_EEXIST; -VRIFT_EINVAL for a bad name; -VRIFT_ENOENT without such a snapshot;
 * -VRIFT_EOPNOTSUPP if the
 * store's file system has no xattrs; vrift_error_detail() says more.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_workspace_create(vrift_store *store, const char *name, const struct vrift_digest *base,
                                         uint64_t flags, vrift_workspace **out);

/**
 * Opens a workspace. Any number of processes may.
 *
 * @param[out] out the workspace, to be closed with vrift_workspace_close()
 * @return 0; -VRIFT_ENOENT; -VRIFT_EUCLEAN for damage; vrift_error_detail() says more.
 * Thread safety: any thread. A workspace is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_workspace_open(vrift_store *store, const char *name, vrift_workspace **out);

/**
 * Closes a workspace.
 *
 * @param workspace may be NULL
 * Thread safety: any thread, once.
 * @since 0.1
 */
VRIFT_API void vrift_workspace_close(vrift_workspace *workspace);

/**
 * Lists the names of all workspaces of a store, in the order of their bytes.
 *
 * @param fn called for each
 * @return 0; what fn returned; -VRIFT_EIO.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_workspace_list(vrift_store *store, vrift_workspace_fn fn, void *payload);

/**
 * What a workspace is and where on the host its upper lies.
 *
 * @param[out] out strings live until the workspace is closed
 * @return 0 or -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_workspace_info(vrift_workspace *workspace, struct vrift_workspace_info *out);

/**
 * A file system of the workspace, in process: a writable overlay of its upper over its base.
 *
 * @param[out] out the superblock, with one reference for the caller
 * @return 0; -VRIFT_ENOMEM; what vrift_overlay_new() answers.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_workspace_sb(vrift_workspace *workspace, vrift_vfs *vfs, vrift_sb **out);

/**
 * Reports what the workspace changed, in the order of paths.
 *
 * @param flags 0
 * @param fn called for each change
 * @return 0; what fn returned; -VRIFT_EUCLEAN.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_workspace_status(vrift_workspace *workspace, uint64_t flags, vrift_change_fn fn, void *payload);

/**
 * Publishes the workspace's present state as a snapshot and makes that its base.
 *
 * Costs what changed, not the tree. The upper stays as it is until the new base is published; then it is emptied.
 *
 * @param options NULL for defaults; VRIFT_IMPORT_TIMELESS must fit the base
 * @param[out] out the snapshot, and what was added; the counts of files are of the changed ones
 * @return 0; as vrift_import(); -VRIFT_EBUSY while a vrift run uses it; vrift_error_detail() says more.
 * Thread safety: any thread; a writer at the same time may or may not be in the snapshot.
 * @since 0.1
 */
VRIFT_API int32_t vrift_workspace_commit(vrift_workspace *workspace, const struct vrift_import_options *options,
                                         struct vrift_import_result *out);

/**
 * Throws away what the workspace changed.
 *
 * @return 0; -VRIFT_EBUSY while a vrift run uses it; -VRIFT_EIO.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_workspace_discard(vrift_workspace *workspace);

/**
 * Throws away a workspace. Snapshots stay.
 *
 * @return 0; -VRIFT_ENOENT; -VRIFT_EBUSY while a vrift run uses it; -VRIFT_EIO.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_workspace_remove(vrift_store *store, const char *name);

/**
 * Marks a workspace as in use by a mount or command, until it is closed or the process dies.
 *
 * @return 0; -VRIFT_EBUSY if it is in use.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_workspace_lock(vrift_workspace *workspace);

/**
 * Restores the workspace's present state into a directory of the host, for commands that cannot see a mount.
 *
 * @param dest,options,out as vrift_checkout()
 * @return as vrift_checkout().
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_workspace_checkout(vrift_workspace *workspace, const char *dest,
                                           const struct vrift_checkout_options *options,
                                           struct vrift_checkout_result *out);

/**
 * Takes over into the workspace what a directory of the host holds: what differs is copied up, what is missing is
 * whited out.
 *
 * @param dir a tree that vrift_workspace_checkout() restored and a command changed
 * @param options NULL for defaults
 * @return 0; -VRIFT_ENOSPC; the errors of reading; vrift_error_detail() says more.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_workspace_ingest(vrift_workspace *workspace, const char *dir,
                                         const struct vrift_import_options *options);

VRIFT_END_DECLS

#endif
