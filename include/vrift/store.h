/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The content-addressed store: a directory that keeps trees of files, each content once. Formats: docs/formats.md.
 *
 *   vrift_store_open()  ->  vrift_import() a directory  ->  a digest that names the tree: a snapshot
 *                       ->  vrift_checkout() it elsewhere, or look inside (snapshot.h), or work on it (workspace.h)
 *
 * Any number of processes may use a store at once. What is published is never changed, only added to.
 */
#ifndef VRIFT_STORE_H
#define VRIFT_STORE_H

#include <vrift/types.h>

struct vrift_store_options {
    uint32_t size;       /* sizeof(struct vrift_store_options) */
    uint32_t durability; /* VRIFT_DURABILITY_...; default BATCH */
    uint64_t flags;      /* VRIFT_STORE_... */
};
#define VRIFT_STORE_CREATE 1ULL /* make the store if there is nothing at path, or an empty directory */

#define VRIFT_DURABILITY_DEFAULT 0
#define VRIFT_DURABILITY_NONE    1 /* never sync: a power cut may lose or tear what is recent */
#define VRIFT_DURABILITY_BATCH   2 /* write all, sync once, then publish the name */
#define VRIFT_DURABILITY_STRICT  3 /* sync every file */

/* How far a long operation is. */
struct vrift_progress {
    uint64_t files_done;
    uint64_t files_total; /* 0 while unknown */
    uint64_t bytes_done;
    uint64_t bytes_total; /* 0 while unknown */
};
/* Called now and then from one of the operation's threads; never from two at once. Other than 0: cancel. */
typedef int32_t(VRIFT_CALLBACK *vrift_progress_fn)(const struct vrift_progress *progress, void *payload);

struct vrift_import_options {
    uint32_t size;  /* sizeof(struct vrift_import_options) */
    uint32_t jobs;  /* threads; default: processors, at most 8 */
    uint64_t flags; /* VRIFT_IMPORT_... */
    vrift_progress_fn progress;
    void *payload;
};
#define VRIFT_IMPORT_TIMELESS 1ULL /* leave times out: trees of equal content get one id */

struct vrift_import_result {
    struct vrift_digest snapshot;
    uint64_t files;       /* regular files */
    uint64_t directories; /* the root included */
    uint64_t symlinks;
    uint64_t specials;     /* fifos, sockets, devices */
    uint64_t bytes;        /* of all regular files, holes included */
    uint64_t stored_bytes; /* that this import added to the store */
    uint64_t new_blobs;    /* contents that the store did not have */
    uint64_t spare[8];     /* zero */
};

/* How contents come to a destination: the rungs of the copy ladder. */
#define VRIFT_LINK_SMART    0 /* the best rung that keeps every attribute and shares nothing writable */
#define VRIFT_LINK_REFLINK  1 /* clone, or fail; contents that the store keeps in packs are written */
#define VRIFT_LINK_HARDLINK 2 /* share inodes: read-only files whose times are the store's; else as SMART */
#define VRIFT_LINK_COPY     3 /* read and write, so that no block is shared */

struct vrift_checkout_options {
    uint32_t size; /* sizeof(struct vrift_checkout_options) */
    uint32_t jobs; /* threads; default: processors, at most 8 */
    uint32_t link; /* VRIFT_LINK_... */
    uint32_t reserved;
    uint64_t flags; /* VRIFT_CHECKOUT_... */
    vrift_progress_fn progress;
    void *payload;
};
#define VRIFT_CHECKOUT_NO_OWNERS 1ULL /* do not try to restore owners (implied for the unprivileged) */

/* Which rung served how many files, and what stopped the better one. */
struct vrift_rungs {
    uint64_t hardlink;
    uint64_t clone;
    uint64_t kernel_copy;
    uint64_t copy;          /* read and write */
    int32_t hardlink_error; /* the last error that made a file fall from this rung, 0: none did */
    int32_t clone_error;
    int32_t kernel_copy_error;
    int32_t reserved;
};

struct vrift_checkout_result {
    uint64_t files;
    uint64_t directories;
    uint64_t symlinks;
    uint64_t specials;
    uint64_t bytes;
    uint64_t skipped_owners;   /* files whose owner could not be restored */
    uint64_t skipped_specials; /* devices that could not be made for want of privilege */
    struct vrift_rungs rungs;
    uint64_t spare[6]; /* zero */
};

/* One difference between two trees. */
struct vrift_change {
    uint32_t kind; /* VRIFT_CHANGE_... */
    uint32_t reserved;
    const char *path;         /* relative to the root, borrowed for the call; "." is the root itself */
    struct vrift_stat before; /* mask 0 if added */
    struct vrift_stat after;  /* mask 0 if removed */
};
#define VRIFT_CHANGE_ADDED   1u
#define VRIFT_CHANGE_REMOVED 2u
#define VRIFT_CHANGE_CONTENT 3u /* data or symlink text, perhaps attributes too */
#define VRIFT_CHANGE_ATTR    4u /* only mode, owner, times or xattrs */
#define VRIFT_CHANGE_TYPE    5u
typedef int32_t(VRIFT_CALLBACK *vrift_change_fn)(const struct vrift_change *change, void *payload);

struct vrift_ref {
    const char *name; /* borrowed for the call */
    struct vrift_digest snapshot;
};
typedef int32_t(VRIFT_CALLBACK *vrift_ref_fn)(const struct vrift_ref *ref, void *payload);

/* One thing wrong with a store. */
struct vrift_problem {
    const char *path;   /* of the stored file, relative to the store; borrowed for the call */
    const char *reason; /* borrowed for the call */
};
typedef int32_t(VRIFT_CALLBACK *vrift_problem_fn)(const struct vrift_problem *problem, void *payload);

struct vrift_verify_options {
    uint32_t size; /* sizeof(struct vrift_verify_options) */
    uint32_t jobs;
    uint64_t flags;           /* none yet */
    vrift_problem_fn problem; /* called for each */
    vrift_progress_fn progress;
    void *payload; /* for both */
};

struct vrift_verify_result {
    uint64_t problems;
    uint64_t blobs;
    uint64_t packs;
    uint64_t trees;
    uint64_t snapshots;
    uint64_t indexes;
    uint64_t refs;
    uint64_t bytes;    /* read */
    uint64_t spare[8]; /* zero */
};

struct vrift_store_stats {
    uint64_t loose_blobs;
    uint64_t loose_bytes; /* disk space of loose blobs */
    uint64_t packs;
    uint64_t packed_blobs;
    uint64_t pack_bytes;
    uint64_t snapshots;
    uint64_t index_bytes;
    uint64_t refs;
    uint64_t workspaces;
    uint64_t temporary_files; /* left by interrupted operations */
    uint64_t spare[6];        /* zero */
};

VRIFT_BEGIN_DECLS

/**
 * Opens a store.
 *
 * @param path its directory
 * @param options NULL for defaults
 * @param[out] out the store, to be closed with vrift_store_close()
 * @return 0; -VRIFT_ENOENT; -VRIFT_EINVAL if it is not a store; -VRIFT_EOPNOTSUPP if it is of a newer version;
 * -VRIFT_EUCLEAN if its format file is damaged; -VRIFT_EACCES; vrift_error_detail() says more.
 * Thread safety: any thread. A store is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_store_open(const char *path, const struct vrift_store_options *options, vrift_store **out);

/**
 * Closes a store. Snapshots and workspaces that are open keep it alive.
 *
 * @param store may be NULL
 * Thread safety: any thread, once.
 * @since 0.1
 */
VRIFT_API void vrift_store_close(vrift_store *store);

/**
 * The directory of a store.
 *
 * @return the path as it was opened; lives as long as the store.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API const char *vrift_store_path(vrift_store *store);

/**
 * Stores a directory tree and publishes a snapshot of it.
 *
 * The snapshot's id depends on the tree alone: names, contents, modes, owners, times, xattrs, links.
 *
 * @param dir the tree's root on the host
 * @param options NULL for defaults
 * @param[out] out what was stored
 * @return 0; the errors of reading; -VRIFT_ESTALE if a file changed while it was read; -VRIFT_ENOSPC; what progress
 * returned; vrift_error_detail() says more. After an error nothing is published.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_import(vrift_store *store, const char *dir, const struct vrift_import_options *options,
                               struct vrift_import_result *out);

/**
 * Restores a snapshot into a directory.
 *
 * It is built beside dest and moved there when complete, so that a dest that exists is whole. Only where that cannot
 * be (a mount point, a symlink to a directory, a parent that may not be written) an empty dest is filled in place: it
 * holds a directory named ".vrift-..." until it is complete, and is emptied again after an error. A process that is
 * killed leaves such a directory behind, beside dest or in it.
 *
 * VRIFT_LINK_HARDLINK shares what has no xattrs, no set-id or sticky bit, and (for the privileged, unless NO_OWNERS is
 * set) the store's owner; the rest is restored as with VRIFT_LINK_SMART, which itself shares only files of timeless
 * snapshots whose mode is 0444 or 0555 and whose owner is the store's.
 *
 * The counts of what was made are compared with the snapshot's. The index is compared with its checksum, and contents
 * small enough for packs with their digests. Larger and shared ones are compared if they were written to since they were
 * published, which their time tells; else only their length is: vrift_store_verify() reads everything.
 * Nothing is synced: what a power cut leaves of a fresh dest is the host file system's affair.
 *
 * @param dest must be absent or an empty directory
 * @param options NULL for defaults
 * @param[out] out what was restored; may be NULL
 * @return 0; -VRIFT_ENOTEMPTY; -VRIFT_EEXIST if dest is not a directory; -VRIFT_EUCLEAN for damage in the store;
 * -VRIFT_ENOSPC; what progress returned; vrift_error_detail() says more.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_checkout(vrift_snapshot *snapshot, const char *dest,
                                 const struct vrift_checkout_options *options, struct vrift_checkout_result *out);

/**
 * Finds the snapshot that a text means: an id of 64 hex digits, a unique prefix of at least 4, or a ref.
 *
 * @param[out] out the snapshot's id
 * @return 0; -VRIFT_ENOENT if nothing fits; -VRIFT_EEXIST if more than one fits;
 * -VRIFT_EUCLEAN for a damaged ref; vrift_error_detail() says more.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_snapshot_resolve(vrift_store *store, const char *text, struct vrift_digest *out);

/**
 * Lists all snapshots, as refs without names, in the order of their ids.
 *
 * @param fn called for each; name is NULL
 * @return 0; what fn returned; -VRIFT_EIO.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_snapshot_list(vrift_store *store, vrift_ref_fn fn, void *payload);

/**
 * Reports what differs between two snapshots, in the order of paths. Equal subtrees are not entered.
 *
 * @param a,b before and after, of one store
 * @param flags 0
 * @param fn called for each change
 * @return 0; what fn returned; -VRIFT_EUCLEAN for damage.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_diff(vrift_snapshot *a, vrift_snapshot *b, uint64_t flags, vrift_change_fn fn, void *payload);

/**
 * Makes a name stand for a snapshot, replacing what it stood for.
 *
 * @param name 1 to 200 bytes of letters, digits, '.', '_', '-', '/'; no part of it empty or starting with '.'
 * @param snapshot must be in the store
 * @return 0; -VRIFT_EINVAL for a bad name; -VRIFT_ENOENT without such a snapshot; -VRIFT_ENOTDIR, -VRIFT_EISDIR
 * if a part of
 * the name is a ref; vrift_error_detail() says more.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_ref_set(vrift_store *store, const char *name, const struct vrift_digest *snapshot);

/**
 * Reads a name.
 *
 * @param[out] out the snapshot it stands for
 * @return 0; -VRIFT_ENOENT; -VRIFT_EUCLEAN for a damaged ref.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_ref_get(vrift_store *store, const char *name, struct vrift_digest *out);

/**
 * Removes a name. The snapshot stays.
 *
 * @return 0; -VRIFT_ENOENT; -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_ref_delete(vrift_store *store, const char *name);

/**
 * Lists all names in the order of their bytes.
 *
 * @param fn called for each; a damaged one has digest algorithm VRIFT_DIGEST_NONE
 * @return 0; what fn returned; -VRIFT_EIO.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_ref_list(vrift_store *store, vrift_ref_fn fn, void *payload);

/**
 * Reads everything in a store and checks it.
 *
 * @param options NULL for defaults
 * @param[out] out what was checked
 * @return 0 if it could be read through, whatever was found; what a callback returned; -VRIFT_EIO.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_store_verify(vrift_store *store, const struct vrift_verify_options *options,
                                     struct vrift_verify_result *out);

/**
 * Counts what is in a store.
 *
 * @param[out] out the counts
 * @return 0; -VRIFT_EIO.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_store_stats(vrift_store *store, struct vrift_store_stats *out);

/**
 * Writes a digest as 64 lower-case hex digits and a NUL.
 *
 * @param[out] buf 65 bytes
 * @return 0 or -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_digest_format(const struct vrift_digest *digest, char buf[65]);

/**
 * Reads a digest of 64 hex digits as BLAKE3.
 *
 * @param text exactly 64 digits
 * @param[out] out the digest
 * @return 0 or -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_digest_parse(const char *text, struct vrift_digest *out);

VRIFT_END_DECLS

#endif
