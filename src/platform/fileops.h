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

/* Each of name in dirfd, never following a symlink, or with name "" of dirfd itself (O_PATH suffices). */
int32_t vr_fileops_set_mode(int dirfd, const char *name, uint32_t mode);
int32_t vr_fileops_set_owner(int dirfd, const char *name, uint32_t uid, uint32_t gid);
int32_t vr_fileops_set_times(int dirfd, const char *name, const struct vrift_timespec *atime,
                             const struct vrift_timespec *mtime); /* nsec may be VRIFT_UTIME_NOW, _OMIT; NULL: omit */

/* Sets VRIFT_FL_... but NOATIME, which fileops_stat() cannot tell, of a descriptor that is open for reading. */
int32_t vr_fileops_set_flags(int fd, uint64_t flags);
int32_t vr_fileops_get_flags(int fd, uint64_t *flags);

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

/*
 * Reports all entries after cookie (0: from the start) of an open, readable directory; what fn returned, or 0. Moves
 * the descriptor's position, so two threads may not share it. fn may remove what it is told of.
 */
int32_t vr_fileops_readdir(int fd, uint64_t cookie, vr_fileops_dirent_fn fn, void *payload);

/*
 * Opens a path below root that never leaves it: openat2(RESOLVE_BENEATH|NO_MAGICLINKS|NO_SYMLINKS) or a walk. Returns
 * the descriptor. -VRIFT_EXDEV for an absolute path and for any "..", -VRIFT_ELOOP for a symlink anywhere (but the last
 * one with O_PATH|O_NOFOLLOW). An empty path opens root anew.
 */
#define VR_FILEOPS_NO_OPENAT2 1u /* walk, for kernels before 5.6 and for tests */
int32_t vr_fileops_open_beneath(int root, const char *path, int flags, uint32_t mode, uint32_t how);

/*
 * Removes name in dirfd and all below it, of any depth; missing is success. Follows no symlinks; -VRIFT_EBUSY at a
 * mount. Gives itself the rights to directories of ours that lack them. While others change the tree it may give up
 * with -VRIFT_ESTALE, -VRIFT_ENOTEMPTY, -VRIFT_ENOTDIR or -VRIFT_EISDIR, having touched nothing outside.
 */
int32_t vr_fileops_remove_tree(int dirfd, const char *name);

/* Makes a directory and its missing parents; one that exists is success, -VRIFT_ENOTDIR for anything else. */
int32_t vr_fileops_make_path(const char *path, uint32_t mode);

/* -- Whole small files -------------------------------------------------------------------------------------------- */

/*
 * Reads all of a regular file of at most max bytes into fresh memory of the C library, with a NUL behind.
 * -VRIFT_EFBIG if it is larger, -VRIFT_ELOOP for a symlink, -VRIFT_EISDIR, -VRIFT_EINVAL for what is not a file.
 */
int32_t vr_fileops_read_file(int dirfd, const char *name, size_t max, char **data, size_t *length);

/* A name for a temporary neighbour, never made twice. What crashes leave behind starts with it. */
#define VR_FILEOPS_TEMPORARY      ".vrift-"
#define VR_FILEOPS_TEMPORARY_SIZE (sizeof VR_FILEOPS_TEMPORARY + 16)
int32_t vr_fileops_temporary_name(char name[VR_FILEOPS_TEMPORARY_SIZE]);

/*
 * Writes a file under a temporary name beside it and renames it to name, which may hold slashes. Its mode is exactly
 * mode. With sync set, file and directory are on disk afterwards.
 */
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

/* One rung: what was learned of it, and what it did. Several threads may use one at a time. */
struct vr_fileops_rung {
    _Atomic int32_t never;      /* the error that rules it out for files of `source`; 0: none does */
    _Atomic uint64_t source;    /* device of those files */
    _Atomic int32_t last_error; /* that made any file fall from it */
    _Atomic uint64_t files;     /* that it served */
};

/*
 * What one operation learned, for one destination mount. Zeroed at the start; one an operation, never a process.
 * VRIFT_LINK_COPY never shares blocks, so it reads and writes: a kernel copy may clone.
 */
struct vr_fileops_ladder {
    uint32_t link; /* VRIFT_LINK_... wanted */
    struct vr_fileops_rung hardlink, clone, kernel_copy;
    _Atomic uint64_t copies; /* files served by read and write, in part or whole */
};

/* The error that rules a rung out for files of source (a device number, or any other name of where they are), or 0. */
int32_t vr_fileops_rung_never(const struct vr_fileops_rung *rung, uint64_t source);

/* Tells a rung what came of a file of source. */
void vr_fileops_rung_result(struct vr_fileops_rung *rung, uint64_t source, int32_t error, enum vr_fileops_class class);

/* From this size on a clone or kernel copy beats read and write. */
#define VR_FILEOPS_CLONE_FROM 32768u

/*
 * Copies `size` bytes at src_offset of the regular file src to the start of the empty file dst, by the best rung that
 * the ladder allows; holes of src stay holes when src_offset is 0. Does not touch attributes; src's position may move.
 * -VRIFT_ESTALE if src is shorter. With VRIFT_LINK_REFLINK: a clone, or the error that stops it.
 */
int32_t vr_fileops_copy(struct vr_fileops_ladder *ladder, int src, uint64_t src_offset, int dst, uint64_t size);

/*
 * The rung above: a hard link, unless it is ruled out for files of source. Returns 0 or the error;
 * vr_fileops_classify_link() tells whether to go on to vr_fileops_copy().
 */
int32_t vr_fileops_link(struct vr_fileops_ladder *ladder, uint64_t source, int from_dir, const char *from, int to_dir,
                        const char *to);

void vr_fileops_rungs(const struct vr_fileops_ladder *ladder, struct vrift_rungs *out);

#endif
