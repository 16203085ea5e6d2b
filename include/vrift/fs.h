/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The calls that take a path: openat(2) and its family, with the kernel's names, shapes and errors. Each walks from the
 * task's root, its current directory or an open directory, checks permissions with the task's credentials by mode bits,
 * ACLs and flags, and crosses mounts. The errors of a walk are -VRIFT_ENOENT, -VRIFT_ENOTDIR, -VRIFT_EACCES, -VRIFT_ELOOP
 * (more than 40 symlinks), -VRIFT_ENAMETOOLONG, -VRIFT_EBADF (a bad dirfd), -VRIFT_ENOMEM and what the backend answers.
 * Whatever changes an inode that is immutable, or more of one that is append-only than Linux allows, answers -VRIFT_EPERM.
 *
 * VRIFT_XATTR_CREATE and VRIFT_XATTR_REPLACE share a flags word with VRIFT_AT_...; they do not overlap.
 */
#ifndef VRIFT_FS_H
#define VRIFT_FS_H

#include <vrift/types.h>

struct vrift_open_how {
    uint32_t size;    /* sizeof(struct vrift_open_how) */
    uint32_t mode;    /* permission bits; 0 unless VRIFT_O_CREAT or VRIFT_O_TMPFILE */
    uint64_t flags;   /* VRIFT_O_... */
    uint64_t resolve; /* VRIFT_RESOLVE_... */
};

VRIFT_BEGIN_DECLS

/**
 * Opens a file, as openat(2), and gives it the lowest free descriptor. A fifo is a pipe to the other tasks of the
 * instance that open it, and is waited for as on Linux; see vrift_task_set_cancel(). A device cannot be opened: -VRIFT_ENXIO.
 *
 * @param dirfd where a relative path starts: an open directory or VRIFT_AT_FDCWD
 * @param path the name
 * @param flags VRIFT_O_...; unknown bits are ignored, as openat(2) does
 * @param mode permission bits of a new file, before the umask; ignored unless one is made
 * @return a descriptor; -VRIFT_EMFILE, -VRIFT_ENFILE; what open(2) documents; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_openat(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags, uint32_t mode);

/**
 * Opens a file with control over the walk, as openat2(2).
 *
 * @param dirfd,path as vrift_openat()
 * @param how flags, mode and resolution; unknown bits are refused
 * @return a descriptor; -VRIFT_EXDEV where the walk would leave what RESOLVE_BENEATH or RESOLVE_NO_XDEV allow;
 * -VRIFT_ELOOP for a symlink under RESOLVE_NO_SYMLINKS; -VRIFT_EAGAIN under RESOLVE_CACHED when the cache cannot
 * answer; else as vrift_openat().
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_openat2(vrift_task *task, int32_t dirfd, const char *path, const struct vrift_open_how *how);

/**
 * Reads attributes, as statx(2) and fstatat(2).
 *
 * @param dirfd,path as vrift_openat()
 * @param flags VRIFT_AT_SYMLINK_NOFOLLOW, VRIFT_AT_EMPTY_PATH
 * @param[out] out the attributes; out->mask says which are valid
 * @return 0, or the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_statat(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags,
                               struct vrift_stat *out);

/**
 * Reads the attributes of many paths: what a build tool asks at its start. Each answer is that of vrift_statat().
 *
 * @param dirfd where relative paths start, for all of them
 * @param paths,count the paths
 * @param flags as vrift_statat()
 * @param[out] out count attributes; those of a path that has none are left as they were
 * @param[out] results for each path 0, or the error of vrift_statat()
 * @return how many of the paths were found; -VRIFT_EINVAL for bad flags or a missing array, and then nothing is written.
 * Thread safety: any thread; a task is internally locked. The answers are not of one instant.
 * @since 0.1
 */
VRIFT_API int64_t vrift_statat_batch(vrift_task *task, int32_t dirfd, const char *const *paths, uint32_t count,
                                     uint64_t flags, struct vrift_stat *out, int32_t *results);

/**
 * Reads attributes, as statx(2), with a word on how fresh they must be.
 *
 * @param flags VRIFT_AT_SYMLINK_NOFOLLOW, VRIFT_AT_EMPTY_PATH, VRIFT_AT_NO_AUTOMOUNT (ignored); VRIFT_AT_STATX_FORCE_SYNC
 * to ask the backend whatever is cached, VRIFT_AT_STATX_DONT_SYNC to be content with what is cached, however old
 * @param mask VRIFT_STAT_... that are wanted: a hint, as on Linux; unknown bits are ignored
 * @param[out] out the attributes; out->mask says which are valid, more than were asked for if they cost nothing
 * @return 0; -VRIFT_EINVAL for both of _SYNC; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_statxat(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags, uint64_t mask,
                                struct vrift_stat *out);

/**
 * Makes a directory, as mkdirat(2).
 *
 * @param mode permission bits before the umask
 * @return 0; -VRIFT_EEXIST; -VRIFT_EACCES; -VRIFT_EROFS; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_mkdirat(vrift_task *task, int32_t dirfd, const char *path, uint32_t mode);

/**
 * Removes a name, as unlinkat(2).
 *
 * @param flags VRIFT_AT_REMOVEDIR to remove a directory
 * @return 0; -VRIFT_EISDIR, -VRIFT_ENOTDIR, -VRIFT_ENOTEMPTY, -VRIFT_EBUSY (a mount point), -VRIFT_EPERM (sticky),
 * -VRIFT_EACCES, -VRIFT_EROFS; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_unlinkat(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags);

/**
 * Renames, as renameat2(2).
 *
 * @param flags VRIFT_RENAME_...
 * @return 0; -VRIFT_EXDEV across mounts; -VRIFT_EINVAL into itself or for flags the backend lacks; the errors of
 * rename(2); the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_renameat2(vrift_task *task, int32_t old_dirfd, const char *old_path, int32_t new_dirfd,
                                  const char *new_path, uint64_t flags);

/**
 * Makes a hard link, as linkat(2).
 *
 * @param flags VRIFT_AT_SYMLINK_FOLLOW; VRIFT_AT_EMPTY_PATH to link what old_dirfd has open
 * @return 0; -VRIFT_EPERM for a directory; -VRIFT_EEXIST; -VRIFT_EXDEV; -VRIFT_EMLINK; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_linkat(vrift_task *task, int32_t old_dirfd, const char *old_path, int32_t new_dirfd,
                               const char *new_path, uint64_t flags);

/**
 * Makes a symbolic link, as symlinkat(2).
 *
 * @param target its text, 1 to 4095 bytes
 * @return 0; -VRIFT_EEXIST; -VRIFT_ENOENT for an empty target; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_symlinkat(vrift_task *task, const char *target, int32_t dirfd, const char *path);

/**
 * Reads a symbolic link, as readlinkat(2).
 *
 * @param[out] buf the text, without a NUL, cut off at len as the kernel does
 * @return bytes written; -VRIFT_EINVAL if it is not a symlink; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int64_t vrift_readlinkat(vrift_task *task, int32_t dirfd, const char *path, char *buf, size_t len);

/**
 * Makes a file, fifo, socket or device node, as mknodat(2).
 *
 * @param mode type and permission bits
 * @param rdev VRIFT_MKDEV() of a device
 * @return 0; -VRIFT_EPERM for a device without VRIFT_CAP_MKNOD; -VRIFT_EEXIST; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_mknodat(vrift_task *task, int32_t dirfd, const char *path, uint32_t mode, uint64_t rdev);

/**
 * Changes permission bits, as fchmodat2(2).
 *
 * @param flags VRIFT_AT_SYMLINK_NOFOLLOW, VRIFT_AT_EMPTY_PATH
 * @return 0; -VRIFT_EPERM if the task does not own it; -VRIFT_EOPNOTSUPP for a symlink; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_fchmodat(vrift_task *task, int32_t dirfd, const char *path, uint32_t mode, uint64_t flags);

/**
 * Changes owner and group, as fchownat(2).
 *
 * @param uid,gid 0xffffffff leaves one as it is
 * @param flags VRIFT_AT_SYMLINK_NOFOLLOW, VRIFT_AT_EMPTY_PATH
 * @return 0; -VRIFT_EPERM; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_fchownat(vrift_task *task, int32_t dirfd, const char *path, uint32_t uid, uint32_t gid,
                                 uint64_t flags);

/**
 * Sets access and modification time, as utimensat(2).
 *
 * @param times access and modification; VRIFT_UTIME_NOW, VRIFT_UTIME_OMIT; NULL for now
 * @param flags VRIFT_AT_SYMLINK_NOFOLLOW, VRIFT_AT_EMPTY_PATH
 * @return 0; -VRIFT_EPERM, -VRIFT_EACCES; -VRIFT_EINVAL for nanoseconds out of range; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_utimensat(vrift_task *task, int32_t dirfd, const char *path,
                                  const struct vrift_timespec times[2], uint64_t flags);

/**
 * Sets the size of a file by name, as truncate(2).
 *
 * @param length bytes
 * @return 0; -VRIFT_EISDIR; -VRIFT_EACCES; -VRIFT_EFBIG; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_truncate(vrift_task *task, const char *path, uint64_t length);

/**
 * Checks what the task's credentials may do, as faccessat(2) with AT_EACCESS.
 *
 * @param mode 4 read, 2 write, 1 execute, added up; 0 existence
 * @param flags VRIFT_AT_SYMLINK_NOFOLLOW, VRIFT_AT_EMPTY_PATH
 * @return 0; -VRIFT_EACCES; -VRIFT_EROFS; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_faccessat(vrift_task *task, int32_t dirfd, const char *path, uint32_t mode, uint64_t flags);

/**
 * Describes the file system a path lies on, as statfs(2).
 *
 * An empty path with an open dirfd asks as fstatfs(2).
 *
 * @param[out] out the description
 * @return 0; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_statfs(vrift_task *task, int32_t dirfd, const char *path, struct vrift_statfs *out);

/**
 * Resolves a path to one without symlinks, `.` and `..`, as realpath(3), from the task's root.
 *
 * @param[out] buf the path with its NUL
 * @return bytes written with the NUL; -VRIFT_ERANGE; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int64_t vrift_realpath(vrift_task *task, int32_t dirfd, const char *path, char *buf, size_t len);

/**
 * Reads an extended attribute, as lgetxattr(2) or getxattr(2).
 *
 * @param[out] buf the value; NULL with len 0 asks for its length
 * @param flags VRIFT_AT_SYMLINK_NOFOLLOW, VRIFT_AT_EMPTY_PATH, VRIFT_AT_OPATH (Linux has no such flag; a path below
 * /proc/self/fd serves there)
 * @return bytes; -VRIFT_ENODATA; -VRIFT_ERANGE if buf is too short; -VRIFT_EOPNOTSUPP; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int64_t vrift_getxattrat(vrift_task *task, int32_t dirfd, const char *path, const char *name, void *buf,
                                   size_t len, uint64_t flags);

/**
 * Sets an extended attribute, as setxattr(2). "user." needs write permission, "trusted." and "security."
 * VRIFT_CAP_SYS_ADMIN, "security.capability" VRIFT_CAP_SETFCAP. Of "system." there are the two POSIX ACLs, in the
 * kernel's format: "system.posix_acl_access" and, on directories, "system.posix_acl_default". They are the owner's to
 * set, and one that says no more than the mode becomes the mode.
 *
 * @param value at most 65536 bytes
 * @param flags as vrift_getxattrat(), and VRIFT_XATTR_CREATE, VRIFT_XATTR_REPLACE
 * @return 0; -VRIFT_EEXIST, -VRIFT_ENODATA; -VRIFT_E2BIG, -VRIFT_ERANGE; -VRIFT_EPERM, -VRIFT_EACCES, -VRIFT_EROFS;
 * -VRIFT_EINVAL for a malformed ACL or capability; -VRIFT_EOPNOTSUPP; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_setxattrat(vrift_task *task, int32_t dirfd, const char *path, const char *name,
                                   const void *value, size_t len, uint64_t flags);

/**
 * Lists the names of extended attributes, as listxattr(2).
 *
 * @param[out] buf the names, each with its NUL; NULL with len 0 asks for the length
 * @param flags as vrift_getxattrat()
 * @return bytes; -VRIFT_ERANGE if buf is too short; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int64_t vrift_listxattrat(vrift_task *task, int32_t dirfd, const char *path, char *buf, size_t len,
                                    uint64_t flags);

/**
 * Removes an extended attribute, as removexattr(2).
 *
 * @param flags as vrift_getxattrat()
 * @return 0; -VRIFT_ENODATA; -VRIFT_EPERM; -VRIFT_EOPNOTSUPP; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_removexattrat(vrift_task *task, int32_t dirfd, const char *path, const char *name,
                                      uint64_t flags);

/**
 * Reads the flags of a file or directory, as FS_IOC_GETFLAGS does. Linux does so by descriptor only; as file_getattr(2),
 * this takes a path, or a descriptor by an empty one.
 *
 * @param dirfd,path as vrift_openat()
 * @param at_flags VRIFT_AT_SYMLINK_NOFOLLOW, VRIFT_AT_EMPTY_PATH, VRIFT_AT_OPATH
 * @param[out] out VRIFT_FL_...
 * @return 0; -VRIFT_ENOTTY for other kinds of inodes and backends without flags; -VRIFT_EBADF for a descriptor of
 * VRIFT_O_PATH; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_getflags(vrift_task *task, int32_t dirfd, const char *path, uint64_t at_flags, uint64_t *out);

/**
 * Sets the flags of a file or directory, as FS_IOC_SETFLAGS does. VRIFT_FL_IMMUTABLE and VRIFT_FL_APPEND bind
 * everybody, but who has VRIFT_CAP_LINUX_IMMUTABLE may set and clear them.
 *
 * @param dirfd,path as vrift_openat()
 * @param flags VRIFT_FL_..., all of them
 * @param at_flags VRIFT_AT_SYMLINK_NOFOLLOW, VRIFT_AT_EMPTY_PATH, VRIFT_AT_OPATH
 * @return 0; -VRIFT_EPERM; -VRIFT_EOPNOTSUPP for a flag that the backend cannot keep; -VRIFT_EROFS; else as
 * vrift_getflags().
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_setflags(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags, uint64_t at_flags);

/**
 * Forgets what is cached of a file or directory, for a caller who knows that somebody changed it behind the mount although
 * the consistency that the backend declares does not provide for that. What is in use stays what it is, and its names are
 * looked up anew. Watchers hear of it as VRIFT_IN_ATTRIB and VRIFT_IN_MODIFY with VRIFT_WATCH_BEHIND or, with
 * VRIFT_INVALIDATE_BELOW, that events were lost.
 *
 * @param dirfd,path what was changed, a name that did not exist included; a symlink is not followed
 * @param flags VRIFT_INVALIDATE_NAMES (of a directory: also of the names in it), _ATTRIBUTES, _DATA, at least one of them;
 * _BELOW: of everything below too, at a cost that grows with all that is cached; VRIFT_AT_EMPTY_PATH
 * @return 0; -VRIFT_EINVAL; the errors of a walk.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_invalidate(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags);

/**
 * Brings all that was written to what is mounted in the task's namespace to stable storage, as sync(2).
 *
 * @return 0; the first error that a backend answered (Linux tells none).
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_sync(vrift_task *task);

VRIFT_END_DECLS

#endif
