/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Looking inside a snapshot without restoring it. An entry is a number from 0 (the root) to the count of
 * entries - 1;
 * each name of a hard-linked file is an entry of its own. Numbers are stable for a snapshot as long as it is
 * open and
 * are the same in every process of one store.
 */
#ifndef VRIFT_SNAPSHOT_H
#define VRIFT_SNAPSHOT_H

#include <vrift/types.h>

struct vrift_snapshot_info {
    struct vrift_digest id;
    struct vrift_digest tree; /* of the root directory */
    uint64_t flags;           /* VRIFT_SNAPSHOT_... */
    uint64_t entries;         /* names, the root included */
    uint64_t files;           /* regular, a hard-linked one once */
    uint64_t directories;     /* the root included */
    uint64_t symlinks;
    uint64_t specials;
    uint64_t bytes;    /* of all regular files */
    uint64_t spare[8]; /* zero */
};
#define VRIFT_SNAPSHOT_TIMELESS 1ULL /* times were left out: every mtime is 1 s after the epoch */
#define VRIFT_SNAPSHOT_XATTRS   2ULL /* some entry has extended attributes */

struct vrift_snapshot_entry {
    const char *name; /* borrowed for the call; NUL-terminated */
    uint32_t name_length;
    uint32_t type;   /* VRIFT_DT_... */
    uint64_t entry;  /* its number */
    uint64_t cookie; /* to go on after it */
};
typedef int32_t(VRIFT_CALLBACK *vrift_snapshot_entry_fn)(const struct vrift_snapshot_entry *entry, void *payload);

VRIFT_BEGIN_DECLS

/**
 * Opens a snapshot. Its flat index is mapped, and built first if the store does not have it.
 *
 * @param[out] out the snapshot, with one reference for the caller
 * @return 0; -VRIFT_ENOENT; -VRIFT_EUCLEAN for damage; vrift_error_detail() says more.
 * Thread safety: any thread. A snapshot is immutable.
 * @since 0.1
 */
VRIFT_API int32_t vrift_snapshot_open(vrift_store *store, const struct vrift_digest *id, vrift_snapshot **out);

/**
 * Takes a reference.
 *
 * @param snapshot may be NULL
 * @return snapshot.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API vrift_snapshot *vrift_snapshot_ref(vrift_snapshot *snapshot);

/**
 * Drops a reference.
 *
 * @param snapshot may be NULL
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API void vrift_snapshot_unref(vrift_snapshot *snapshot);

/**
 * What a snapshot is.
 *
 * @param[out] out its id, policy and counts
 * @return 0 or -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_snapshot_info(vrift_snapshot *snapshot, struct vrift_snapshot_info *out);

/**
 * Looks up a name in a directory.
 *
 * @param dir an entry that is a directory
 * @param name,length its bytes
 * @param[out] out the entry
 * @return 0; -VRIFT_ENOENT; -VRIFT_ENOTDIR; -VRIFT_EINVAL if there is no entry dir; -VRIFT_EUCLEAN.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_snapshot_lookup(vrift_snapshot *snapshot, uint64_t dir, const char *name, size_t length,
                                        uint64_t *out);

/**
 * Looks up a path from the root, without following symlinks.
 *
 * @param path parts separated by '/'; empty, '.' and '/' are the root; '..' is refused
 * @param[out] out the entry
 * @return 0; -VRIFT_ENOENT; -VRIFT_ENOTDIR; -VRIFT_EINVAL for '..'.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_snapshot_walk(vrift_snapshot *snapshot, const char *path, uint64_t *out);

/**
 * The directory that holds an entry; the root's is the root.
 *
 * @param[out] out the directory
 * @return 0 or -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_snapshot_parent(vrift_snapshot *snapshot, uint64_t entry, uint64_t *out);

/**
 * The entry that stands for an inode: for hard links the same for each name, else the entry itself.
 *
 * @param[out] out the entry, the first of the inode's names
 * @return 0 or -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_snapshot_inode(vrift_snapshot *snapshot, uint64_t entry, uint64_t *out);

/**
 * The attributes of an entry. ino is the inode's entry + 1, so the root's is 1; ctime and atime are mtime's.
 *
 * @param[out] out the attributes, the content's digest included
 * @return 0; -VRIFT_EINVAL; -VRIFT_EUCLEAN.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_snapshot_stat(vrift_snapshot *snapshot, uint64_t entry, struct vrift_stat *out);

/**
 * Reports the entries of a directory after a cookie, in the order of their names' bytes.
 *
 * @param cookie 0, or that of the last entry taken
 * @param fn called for each; other than 0: stop, the entry was not taken
 * @return 0; what fn returned; -VRIFT_ENOTDIR; -VRIFT_EINVAL; -VRIFT_EUCLEAN.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_snapshot_readdir(vrift_snapshot *snapshot, uint64_t dir, uint64_t cookie,
                                         vrift_snapshot_entry_fn fn, void *payload);

/**
 * Reads the text of a symlink, without a NUL, cut off at len.
 *
 * @param[out] buf the text
 * @return bytes written; -VRIFT_EINVAL if it is not a symlink; -VRIFT_EUCLEAN.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int64_t vrift_snapshot_readlink(vrift_snapshot *snapshot, uint64_t entry, char *buf, size_t len);

/**
 * Reads from a regular file. The length is checked against the stored blob, and its digest if it was written to since
 * it was published; vrift_store_verify() also finds what changed without being written.
 *
 * @param[out] buf at least len bytes
 * @return bytes read, 0 at the end; -VRIFT_EISDIR; -VRIFT_EINVAL; -VRIFT_EIO if the blob is gone;
 * -VRIFT_EUCLEAN if it
 * is damaged.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int64_t vrift_snapshot_pread(vrift_snapshot *snapshot, uint64_t entry, void *buf, size_t len,
                                       uint64_t offset);

/**
 * Opens the stored content of a regular file on the host, for those who can use a descriptor (mapping, sendfile).
 *
 * @param[out] host_fd a read-only descriptor of the host, to be closed by the caller
 * @param[out] offset where in it the content starts, bytes
 * @return 0; -VRIFT_ENODATA for an empty file, which has no blob; -VRIFT_EOPNOTSUPP if it is stored compressed; as
 * vrift_snapshot_pread().
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_snapshot_open_blob(vrift_snapshot *snapshot, uint64_t entry, int32_t *host_fd,
                                           uint64_t *offset);

/**
 * Finds where data or a hole starts in a regular file, as lseek(2).
 *
 * @param whence VRIFT_SEEK_DATA or VRIFT_SEEK_HOLE
 * @return the offset; -VRIFT_ENXIO past the data; as vrift_snapshot_pread().
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int64_t vrift_snapshot_seek(vrift_snapshot *snapshot, uint64_t entry, uint64_t offset, int32_t whence);

/**
 * Reads an extended attribute.
 *
 * @param[out] buf the value; NULL with len 0 asks for its length
 * @return bytes; -VRIFT_ENODATA; -VRIFT_ERANGE; -VRIFT_EUCLEAN.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int64_t vrift_snapshot_getxattr(vrift_snapshot *snapshot, uint64_t entry, const char *name, void *buf,
                                          size_t len);

/**
 * Lists the names of extended attributes, each with its NUL.
 *
 * @param[out] buf the names; NULL with len 0 asks for the length
 * @return bytes; -VRIFT_ERANGE; -VRIFT_EUCLEAN.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int64_t vrift_snapshot_listxattr(vrift_snapshot *snapshot, uint64_t entry, char *buf, size_t len);

VRIFT_END_DECLS

#endif
