/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The calls that take a descriptor. A descriptor is a number in a task's table; behind it stands an open file
 * description (vrift_file) with the position and the flags, which dup'ed descriptors and forked tasks share.
 */
#ifndef VRIFT_FILE_H
#define VRIFT_FILE_H

#include <vrift/types.h>

VRIFT_BEGIN_DECLS

/**
 * Opens anew what a descriptor has open, whatever its names are by now, as opening /proc/self/fd/N does on Linux. This
 * is how an O_PATH descriptor becomes one for I/O.
 *
 * @param fd any descriptor, O_PATH included
 * @param flags VRIFT_O_... without CREAT, EXCL and TMPFILE; permission is checked as by vrift_openat()
 * @return a new descriptor with a description of its own; -VRIFT_EBADF; -VRIFT_ELOOP for a symlink unless flags has
 * O_PATH; -VRIFT_EINVAL for a flag that makes files; else as vrift_openat().
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_reopen(vrift_task *task, int32_t fd, uint64_t flags);

/**
 * Closes a descriptor. The description goes with its last descriptor and reference.
 *
 * @return 0; -VRIFT_EBADF; what the backend answered to its flush. The descriptor is gone in any case.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_close(vrift_task *task, int32_t fd);

/**
 * Gives an open description a second descriptor, the lowest free one, as dup(2).
 *
 * @return the new descriptor; -VRIFT_EBADF; -VRIFT_EMFILE.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_dup(vrift_task *task, int32_t fd);

/**
 * Gives an open description the descriptor named, closing what was there, as dup3(2).
 *
 * @param flags 0 or VRIFT_O_CLOEXEC
 * @return new_fd; -VRIFT_EBADF; -VRIFT_EINVAL if the two are the same.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_dup3(vrift_task *task, int32_t old_fd, int32_t new_fd, uint64_t flags);

/**
 * Gives an open description the lowest free descriptor that is not less than another, as fcntl(2) with F_DUPFD or
 * F_DUPFD_CLOEXEC.
 *
 * @param least 0 or more, less than the task's limit
 * @param flags 0 or VRIFT_O_CLOEXEC
 * @return the new descriptor; -VRIFT_EBADF; -VRIFT_EINVAL; -VRIFT_EMFILE.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_dupfd(vrift_task *task, int32_t fd, int32_t least, uint64_t flags);

/**
 * Closes all descriptors of a range, or marks them to be closed on exec, as close_range(2). What the closing of a file
 * answers is lost.
 *
 * @param first,last the first and the last one; UINT32_MAX: all to the end
 * @param flags 0 or VRIFT_CLOSE_RANGE_CLOEXEC
 * @return 0; -VRIFT_EINVAL for another flag or an empty range.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_close_range(vrift_task *task, uint32_t first, uint32_t last, uint64_t flags);

/**
 * Closes all descriptors that are marked for it (VRIFT_O_CLOEXEC, VRIFT_FD_CLOEXEC), as execve(2) does. A task that
 * shares its table closes them for all that do: Linux gives it a table of its own first, which vrift_task_clone() makes.
 *
 * @return 0; -VRIFT_EINVAL.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_close_on_exec(vrift_task *task);

/**
 * The flags of a descriptor, as fcntl(2) with F_GETFD.
 *
 * @return 0 or VRIFT_FD_CLOEXEC; -VRIFT_EBADF.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_getfd(vrift_task *task, int32_t fd);

/**
 * Sets the flags of a descriptor, as fcntl(2) with F_SETFD.
 *
 * @param flags 0 or VRIFT_FD_CLOEXEC; other bits are ignored, as on Linux
 * @return 0; -VRIFT_EBADF.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_setfd(vrift_task *task, int32_t fd, uint64_t flags);

/**
 * The flags of an open file description, as fcntl(2) with F_GETFL: how it was opened, without what only mattered then.
 *
 * @return VRIFT_O_...; -VRIFT_EBADF. Linux adds O_LARGEFILE.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int64_t vrift_getfl(vrift_task *task, int32_t fd);

/**
 * Changes the flags of an open file description, as fcntl(2) with F_SETFL.
 *
 * @param flags VRIFT_O_APPEND, VRIFT_O_NONBLOCK and VRIFT_O_NOATIME are set or cleared; other bits are ignored, as on Linux
 * @return 0; -VRIFT_EBADF, also for O_PATH; -VRIFT_EPERM to change APPEND of an append-only file, or for NOATIME if the
 * task does not own the file.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_setfl(vrift_task *task, int32_t fd, uint64_t flags);

/**
 * Reads at the position and moves it, as read(2).
 *
 * @param[out] buf at least len bytes
 * @return bytes read, 0 at the end; -VRIFT_EBADF; -VRIFT_EISDIR; what the backend answers.
 * Thread safety: any thread; the description's position is locked for the call.
 * @since 0.1
 */
VRIFT_API int64_t vrift_read(vrift_task *task, int32_t fd, void *buf, size_t len);

/**
 * Writes at the position and moves it, as write(2).
 *
 * @param buf at least len bytes
 * @return bytes written, possibly fewer than len; -VRIFT_EBADF; -VRIFT_ENOSPC, -VRIFT_EFBIG; what the backend
 * answers.
 * Thread safety: any thread; the description's position is locked for the call.
 * @since 0.1
 */
VRIFT_API int64_t vrift_write(vrift_task *task, int32_t fd, const void *buf, size_t len);

/**
 * Reads at an offset, as pread(2).
 *
 * @param[out] buf at least len bytes
 * @param offset bytes from the start
 * @return as vrift_read().
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int64_t vrift_pread(vrift_task *task, int32_t fd, void *buf, size_t len, uint64_t offset);

/**
 * Writes at an offset, as pwrite(2); with VRIFT_O_APPEND at the end all the same, as Linux does.
 *
 * @param offset bytes from the start
 * @return as vrift_write().
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int64_t vrift_pwrite(vrift_task *task, int32_t fd, const void *buf, size_t len, uint64_t offset);

/**
 * Reads into several buffers, as readv(2).
 *
 * @param iov,count at most 1024 buffers
 * @return bytes read in all; -VRIFT_EINVAL for too many; as vrift_read().
 * Thread safety: any thread; the description's position is locked for the call.
 * @since 0.1
 */
VRIFT_API int64_t vrift_readv(vrift_task *task, int32_t fd, const struct vrift_iovec *iov, uint32_t count);

/**
 * Writes from several buffers, as writev(2): no other write through the description comes between them.
 *
 * @param iov,count at most 1024 buffers
 * @return bytes written in all; -VRIFT_EINVAL for too many; as vrift_write().
 * Thread safety: any thread; the description's position is locked for the call.
 * @since 0.1
 */
VRIFT_API int64_t vrift_writev(vrift_task *task, int32_t fd, const struct vrift_iovec *iov, uint32_t count);

/**
 * Moves the position, as lseek(2). In a directory, to a cookie of vrift_getdents().
 *
 * @param whence VRIFT_SEEK_...
 * @return the new position; -VRIFT_EINVAL; -VRIFT_ENXIO past the data; -VRIFT_EBADF.
 * Thread safety: any thread; the description's position is locked for the call.
 * @since 0.1
 */
VRIFT_API int64_t vrift_lseek(vrift_task *task, int32_t fd, int64_t offset, int32_t whence);

/**
 * Sets the size of an open file, as ftruncate(2).
 *
 * @param length bytes
 * @return 0; -VRIFT_EINVAL if it is not open for writing or not a regular file; -VRIFT_EBADF for O_PATH; -VRIFT_EFBIG
 * beyond what the task or the file system allows.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_ftruncate(vrift_task *task, int32_t fd, uint64_t length);

/**
 * Brings what was written to stable storage, as fsync(2).
 *
 * @return 0; -VRIFT_EBADF; -VRIFT_EIO; what the backend answers.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_fsync(vrift_task *task, int32_t fd);

/**
 * Brings what was written to stable storage, without attributes that reading it again does not need, as fdatasync(2). No
 * backend makes less of it than of vrift_fsync().
 *
 * @return as vrift_fsync().
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_fdatasync(vrift_task *task, int32_t fd);

/**
 * Brings all that was written to the file system of what is open to stable storage, as syncfs(2).
 *
 * @return 0; -VRIFT_EBADF, also for O_PATH; -VRIFT_EIO; what the backend answers.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_syncfs(vrift_task *task, int32_t fd);

/**
 * Changes permission bits of what is open, as fchmod(2).
 *
 * @return 0; -VRIFT_EBADF, also for O_PATH (vrift_fchmodat() with VRIFT_AT_EMPTY_PATH takes that); as vrift_fchmodat().
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_fchmod(vrift_task *task, int32_t fd, uint32_t mode);

/**
 * Changes owner and group of what is open, as fchown(2).
 *
 * @param uid,gid 0xffffffff leaves one as it is
 * @return 0; -VRIFT_EBADF, also for O_PATH; as vrift_fchownat().
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_fchown(vrift_task *task, int32_t fd, uint32_t uid, uint32_t gid);

/**
 * Sets access and modification time of what is open, as futimens(3).
 *
 * @param times as vrift_utimensat()
 * @return 0; -VRIFT_EBADF, also for O_PATH; as vrift_utimensat().
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_futimens(vrift_task *task, int32_t fd, const struct vrift_timespec times[2]);

/**
 * Reads the attributes of what is open, as fstat(2).
 *
 * @param[out] out the attributes
 * @return 0; -VRIFT_EBADF.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_fstat(vrift_task *task, int32_t fd, struct vrift_stat *out);

/**
 * Reads an extended attribute of what is open, as fgetxattr(2).
 *
 * @param[out] buf the value; NULL with len 0 asks for its length
 * @return bytes; -VRIFT_EBADF, also for a descriptor of VRIFT_O_PATH; else as vrift_getxattrat() (fs.h).
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int64_t vrift_fgetxattr(vrift_task *task, int32_t fd, const char *name, void *buf, size_t len);

/**
 * Sets an extended attribute of what is open, as fsetxattr(2). The descriptor need not be open for writing.
 *
 * @param value at most 65536 bytes
 * @param flags VRIFT_XATTR_CREATE, VRIFT_XATTR_REPLACE
 * @return 0; -VRIFT_EBADF, also for a descriptor of VRIFT_O_PATH; else as vrift_setxattrat() (fs.h).
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_fsetxattr(vrift_task *task, int32_t fd, const char *name, const void *value, size_t len,
                                  uint64_t flags);

/**
 * Lists the extended attributes of what is open, as flistxattr(2).
 *
 * @param[out] buf the names, each with its NUL; NULL with len 0 asks for the length
 * @return bytes; -VRIFT_EBADF, also for a descriptor of VRIFT_O_PATH; else as vrift_listxattrat() (fs.h).
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int64_t vrift_flistxattr(vrift_task *task, int32_t fd, char *buf, size_t len);

/**
 * Removes an extended attribute of what is open, as fremovexattr(2).
 *
 * @return 0; -VRIFT_EBADF, also for a descriptor of VRIFT_O_PATH; else as vrift_removexattrat() (fs.h).
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_fremovexattr(vrift_task *task, int32_t fd, const char *name);

/**
 * Reads entries of an open directory, as getdents64(2). `.` and `..` come first.
 *
 * An entry removed or added during the scan is returned once or not at all; none is returned twice.
 *
 * @param[out] buf records of struct vrift_dirent, aligned to 8 bytes
 * @param len bytes in buf
 * With VRIFT_GETDENTS_STAT each record carries the attributes that vrift_statat() with VRIFT_AT_SYMLINK_NOFOLLOW
 * answers for its name, for the cost of a copy where the file system has them at hand. Their mask is 0 where it answers
 * an error: the name is gone already, or the task may list the directory but not search it. Those of `.` and `..` are
 * the ones of the directories that the names mean.
 *
 * @param flags 0 or VRIFT_GETDENTS_STAT
 * @return bytes filled, 0 at the end; -VRIFT_EINVAL if not one entry fits; -VRIFT_ENOENT of a removed directory;
 * -VRIFT_ENOTDIR; -VRIFT_EBADF.
 * Thread safety: any thread; the description's position is locked for the call.
 * @since 0.1
 */
VRIFT_API int64_t vrift_getdents(vrift_task *task, int32_t fd, void *buf, size_t len, uint64_t flags);

/**
 * The name of a directory record.
 *
 * @param entry a record filled by vrift_getdents()
 * @return the name, inside the record.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API const char *vrift_dirent_name(const struct vrift_dirent *entry);

/**
 * The attributes in a directory record.
 *
 * @param entry a record filled by vrift_getdents()
 * @return the attributes, inside the record; NULL without VRIFT_GETDENTS_STAT. A mask of 0 says that they could not be
 * had.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API const struct vrift_stat *vrift_dirent_stat(const struct vrift_dirent *entry);

/**
 * Takes a reference to the description behind a descriptor.
 *
 * @param[out] out the description, to be dropped with vrift_file_unref()
 * @return 0; -VRIFT_EBADF.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_task_file(vrift_task *task, int32_t fd, vrift_file **out);

/**
 * Puts a description into a task's table at the lowest free descriptor.
 *
 * @param file the table takes a reference of its own
 * @return the descriptor; -VRIFT_EMFILE.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_task_install(vrift_task *task, vrift_file *file);

/**
 * Changes the space of a file, as fallocate(2): takes blocks for a range, punches a hole, zeroes, takes out or inserts.
 * What a backend lacks it refuses; the memory backend takes out, inserts and zeroes, which tmpfs does not.
 *
 * @param mode 0 to allocate, or VRIFT_FALLOC_... in the combinations of Linux
 * @param offset,length bytes; whole pages where bytes are taken out or inserted
 * @return 0; -VRIFT_EBADF unless it is open for writing; -VRIFT_EINVAL for a range that is negative, empty or not one
 * that the mode takes; -VRIFT_EOPNOTSUPP; -VRIFT_ENODEV, -VRIFT_ESPIPE for what is not a file; -VRIFT_EFBIG;
 * -VRIFT_ENOSPC; -VRIFT_EPERM for another mode than allocating on a file that may only be appended to.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_fallocate(vrift_task *task, int32_t fd, uint64_t mode, int64_t offset, int64_t length);

/**
 * Copies bytes from one file to another, as copy_file_range(2), by the backend where both files are its own and it can
 * (on the host by copy_file_range(2), which shares blocks where the file system does), else through a buffer.
 * Unlike Linux it copies between superblocks, too.
 *
 * @param in_offset,out_offset where to read and write, and on return where the copy ended; NULL: at the descriptor's
 * position, which moves
 * @param count bytes
 * @param flags 0 or VRIFT_COPY_CLONE
 * @return bytes copied, possibly fewer than count, 0 at the end; -VRIFT_EBADF unless one is open for reading and the
 * other for writing and not for appending; -VRIFT_EISDIR; -VRIFT_EINVAL for what is not a file, unknown flags, or two
 * ranges of one file that overlap; -VRIFT_EOVERFLOW; -VRIFT_EFBIG; -VRIFT_ENOSPC; with CLONE -VRIFT_EOPNOTSUPP where
 * blocks cannot be shared, -VRIFT_EXDEV between superblocks.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int64_t vrift_copy_file_range(vrift_task *task, int32_t in_fd, int64_t *in_offset, int32_t out_fd,
                                        int64_t *out_offset, uint64_t count, uint64_t flags);

/**
 * Copies bytes from a file to the position of another descriptor, or into a fifo, as sendfile(2).
 *
 * @param offset where to read, and on return where the copy ended; NULL: at in_fd's position, which moves
 * @param count bytes
 * @return bytes copied, possibly fewer than count, 0 at the end; -VRIFT_EBADF; -VRIFT_EINVAL if in_fd is not a file,
 * out_fd appends, or a range is none; as vrift_write().
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int64_t vrift_sendfile(vrift_task *task, int32_t out_fd, int32_t in_fd, int64_t *offset, uint64_t count);

/* Takes bytes that vrift_splice() read, borrowed for the call; how many it took, or a negative error to stop. */
typedef int64_t(VRIFT_CALLBACK *vrift_splice_fn)(const void *bytes, size_t length, void *payload);

/**
 * Hands the bytes of a file, or what there is in a fifo, to a function, piece by piece and in order, as splice(2) hands them to a pipe: the caller
 * needs no buffer. The function is called without locks; one that takes less than it is given ends the transfer.
 *
 * @param offset where to read, and on return where the transfer ended; NULL: at the position, which moves
 * @param count bytes at most
 * @param take,payload what takes them
 * @return bytes that were taken, 0 at the end; -VRIFT_ESPIPE for an offset in a fifo; what take answered if that was an error and nothing was taken before;
 * as vrift_pread().
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int64_t vrift_splice(vrift_task *task, int32_t fd, int64_t *offset, uint64_t count, vrift_splice_fn take,
                               void *payload);

/**
 * Takes a reference.
 *
 * @param file may be NULL
 * @return file.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API vrift_file *vrift_file_ref(vrift_file *file);

/**
 * Drops a reference.
 *
 * @param file may be NULL
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API void vrift_file_unref(vrift_file *file);

/**
 * Reads at an offset of a description.
 *
 * @param[out] buf at least len bytes
 * @return as vrift_pread().
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int64_t vrift_file_pread(vrift_file *file, void *buf, size_t len, uint64_t offset);

/**
 * Writes at an offset of a description.
 *
 * @param offset bytes from the start
 * @return as vrift_pwrite().
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int64_t vrift_file_pwrite(vrift_file *file, const void *buf, size_t len, uint64_t offset);

/**
 * Reads the attributes of what a description has open.
 *
 * @param[out] out the attributes
 * @return 0; -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_file_stat(vrift_file *file, struct vrift_stat *out);

VRIFT_END_DECLS

#endif
