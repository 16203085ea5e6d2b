/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The seam to the host's files: what a VFS needs of them, not POSIX once more. Descriptors are the host's. Results are
 * 0 or -VRIFT_E...; every descriptor made here is close-on-exec.
 */
#ifndef VR_FILEOPS_H
#define VR_FILEOPS_H

#include <vrift/store.h>
#include <vrift/types.h>

/* -- Attributes --------------------------------------------------------------------------------------------------- */

/* statx() of name in dirfd, not following; with name "" of dirfd itself. dev is the host's st_dev as VRIFT_MKDEV. */
int32_t vr_fileops_stat(int dirfd, const char *name, struct vrift_stat *out);

/* Each by descriptor (O_PATH suffices where Linux allows it) or by name in dirfd, never following a symlink. */
int32_t vr_fileops_set_mode(int dirfd, const char *name, uint32_t mode);
int32_t vr_fileops_set_owner(int dirfd, const char *name, uint32_t uid, uint32_t gid);
int32_t vr_fileops_set_times(int dirfd, const char *name, const struct vrift_timespec *atime,
                             const struct vrift_timespec *mtime); /* nsec may be VRIFT_UTIME_NOW, _OMIT */

/* Extended attributes of name in dirfd (or of dirfd with ""), never following; of symlinks and special files too. */
int64_t vr_fileops_xattr_list(int dirfd, const char *name, char *buf, size_t len);
int64_t vr_fileops_xattr_get(int dirfd, const char *name, const char *key, void *buf, size_t len);
int32_t vr_fileops_xattr_set(int dirfd, const char *name, const char *key, const void *value, size_t len,
                             uint64_t flags);
int32_t vr_fileops_xattr_remove(int dirfd, const char *name, const char *key);

/* -- Directories -------------------------------------------------------------------------------------------------- */

struct vr_fileops_dirent {
    const char *name; /* borrowed for the call; neither "." nor ".." */
    uint32_t length;
    uint32_t type; /* VRIFT_DT_... */
    uint64_t ino;
    uint64_t cookie;
};
typedef int32_t (*vr_fileops_dirent_fn)(const struct vr_fileops_dirent *entry, void *payload);

/* Reports all entries after cookie (0: from the start) of an open, readable directory; what fn returned, or 0. */
int32_t vr_fileops_readdir(int fd, uint64_t cookie, vr_fileops_dirent_fn fn, void *payload);

/* Opens a path below root that never leaves it: openat2(RESOLVE_BENEATH|NO_MAGICLINKS|NO_SYMLINKS) or a walk. */
#define VR_FILEOPS_NO_OPENAT2 1u
int32_t vr_fileops_open_beneath(int root, const char *path, int flags, uint32_t mode, uint32_t how);

/* Removes name in dirfd and all below it; missing is success. Does not cross mounts, does not follow symlinks. */
int32_t vr_fileops_remove_tree(int dirfd, const char *name);

/* Makes a directory and its missing parents. */
int32_t vr_fileops_make_path(const char *path, uint32_t mode);

/* -- Whole small files -------------------------------------------------------------------------------------------- */

/* Reads all of a file of at most max bytes into fresh memory of the C library, with a NUL behind; -VRIFT_EFBIG. */
int32_t vr_fileops_read_file(int dirfd, const char *name, size_t max, char **data, size_t *length);

/* Writes a file under a temporary name and renames it to name; syncs the file first if sync is set. */
int32_t vr_fileops_write_file(int dirfd, const char *name, const void *data, size_t length, uint32_t mode, int sync);

/* pread and pwrite that go on after short counts and EINTR; reading past the end returns what there is. */
int64_t vr_fileops_read_at(int fd, void *buf, size_t len, uint64_t offset);
int32_t vr_fileops_write_at(int fd, const void *buf, size_t len, uint64_t offset);

/* -- The copy ladder ---------------------------------------------------------------------------------------------- */

/* What an error of a rung means. */
enum vr_fileops_class {
    VR_FILEOPS_OK,
    VR_FILEOPS_UNSUPPORTED_FS,   /* remember for the destination's mount */
    VR_FILEOPS_UNSUPPORTED_PAIR, /* remember for this pair of mounts */
    VR_FILEOPS_UNSUPPORTED_FILE, /* this file only; remember nothing */
    VR_FILEOPS_DENIED,           /* next rung; surfaces if the copy fails too */
    VR_FILEOPS_TERMINAL,         /* stop: no space, I/O error */
};
enum vr_fileops_class vr_fileops_classify_clone(int32_t error);
enum vr_fileops_class vr_fileops_classify_link(int32_t error);

/* What one operation learned about its pair of places. Zeroed at the start; one an operation, never a process. */
struct vr_fileops_ladder {
    uint32_t link;        /* VRIFT_LINK_... wanted */
    _Atomic int no_clone; /* the error that rules cloning out, 0: not ruled out */
    _Atomic int no_kernel_copy;
    _Atomic int no_hardlink;
    _Atomic uint64_t hardlinks, clones, kernel_copies, copies; /* files served by each rung */
    _Atomic int last_hardlink_error, last_clone_error, last_kernel_copy_error;
};

/*
 * Copies `size` bytes at src_offset of src to the start of the empty file dst, by the best rung that the ladder allows;
 * holes of src stay holes when src_offset is 0. Does not touch attributes. -VRIFT_ESTALE if src is shorter.
 */
int32_t vr_fileops_copy(struct vr_fileops_ladder *ladder, int src, uint64_t src_offset, int dst, uint64_t size);

void vr_fileops_rungs(const struct vr_fileops_ladder *ladder, struct vrift_rungs *out);

#endif
