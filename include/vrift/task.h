/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Who asks. A task is what the kernel keeps of a process for its file-system calls: a namespace, a root and a
 * current
 * directory, an umask, credentials, a table of descriptors. It is always named, never thread-local; threads may
 * share
 * one. Credentials are immutable: to change who a task is, give it others.
 */
#ifndef VRIFT_TASK_H
#define VRIFT_TASK_H

#include <vrift/types.h>

struct vrift_cred_options {
    uint32_t size; /* sizeof(struct vrift_cred_options) */
    uint32_t uid;
    uint32_t gid;
    uint32_t group_count;   /* of groups */
    const uint32_t *groups; /* supplementary groups; copied */
    uint64_t capabilities;  /* VRIFT_CAP_... */
};

struct vrift_task_options {
    uint32_t size;      /* sizeof(struct vrift_task_options) */
    uint32_t umask;     /* permission bits that new files do not get; default 0 */
    uint32_t max_files; /* descriptors, as RLIMIT_NOFILE; default 65536 */
    uint32_t reserved;
    uint64_t max_file_size; /* bytes, as RLIMIT_FSIZE: -VRIFT_EFBIG, and no signal, beyond; default: no limit */
};

/* What vrift_task_clone() lets two tasks share; the numbers are Linux's. */
#define VRIFT_CLONE_FS    0x0200ULL /* root, current directory and umask */
#define VRIFT_CLONE_FILES 0x0400ULL /* the table of descriptors */

VRIFT_BEGIN_DECLS

/**
 * Makes credentials.
 *
 * @param options NULL for uid 0 with every capability
 * @param[out] out the credentials, with one reference for the caller
 * @return 0; -VRIFT_ENOMEM; -VRIFT_EINVAL for more than 65536 groups.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_cred_new(vrift_vfs *vfs, const struct vrift_cred_options *options, vrift_cred **out);

/**
 * Takes a reference.
 *
 * @param cred may be NULL
 * @return cred.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API vrift_cred *vrift_cred_ref(vrift_cred *cred);

/**
 * Drops a reference.
 *
 * @param cred may be NULL
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API void vrift_cred_unref(vrift_cred *cred);

/**
 * Makes a task whose root and current directory are the namespace's root.
 *
 * @param ns the task takes a reference of its own
 * @param cred likewise; NULL for uid 0 with every capability
 * @param options NULL for defaults
 * @param[out] out the task, to be freed with vrift_task_free()
 * @return 0; -VRIFT_ENOMEM; -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_task_new(vrift_ns *ns, vrift_cred *cred, const struct vrift_task_options *options,
                                 vrift_task **out);

/**
 * Makes a task like another, as fork(2): the same namespace, root, current directory, umask and credentials, and
 * its own table holding the same open file descriptions.
 *
 * @param[out] out the new task
 * @return 0; -VRIFT_ENOMEM; -VRIFT_EINVAL.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_task_fork(vrift_task *task, vrift_task **out);

/**
 * Makes a task like another, as clone(2): what the flags name is shared with it from now on, all else is as
 * vrift_task_fork() makes it. Credentials are never shared: vrift_task_set_cred() changes those of one task, so that
 * many users can work on one table of descriptors. POSIX record locks belong to the table.
 *
 * @param flags VRIFT_CLONE_FS, VRIFT_CLONE_FILES
 * @param[out] out the new task, to be freed with vrift_task_free()
 * @return 0; -VRIFT_ENOMEM; -VRIFT_EINVAL for another flag.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_task_clone(vrift_task *task, uint64_t flags, vrift_task **out);

/**
 * Frees a task, and closes the descriptors of its table unless another task shares it.
 *
 * @param task may be NULL
 * Thread safety: no other thread may use the task.
 * @since 0.1
 */
VRIFT_API void vrift_task_free(vrift_task *task);

/**
 * Gives a task other credentials. What is open stays open.
 *
 * @param cred the task takes a reference of its own
 * @return 0 or -VRIFT_EINVAL.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_task_set_cred(vrift_task *task, vrift_cred *cred);

/**
 * How many descriptors a task's table may hold: every one is less than this, as RLIMIT_NOFILE.
 *
 * @return the limit; 0 for NULL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API uint32_t vrift_task_max_files(vrift_task *task);

/**
 * Changes that limit, for all tasks that share the table. What is open stays open.
 *
 * @param max_files at most 1073741824
 * @return 0; -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_task_set_max_files(vrift_task *task, uint32_t max_files);

/**
 * Sets the umask and returns the one before, as umask(2).
 *
 * @param mask permission bits; others are ignored
 * @return the former umask, or -VRIFT_EINVAL.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_umask(vrift_task *task, uint32_t mask);

/**
 * Makes a directory the current one, as chdir(2).
 *
 * @param path a directory the task may search
 * @return 0; -VRIFT_ENOTDIR; -VRIFT_EACCES; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_chdir(vrift_task *task, const char *path);

/**
 * Makes an open directory the current one, as fchdir(2).
 *
 * @param fd an open directory; O_PATH suffices
 * @return 0; -VRIFT_EBADF; -VRIFT_ENOTDIR; -VRIFT_EACCES.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_fchdir(vrift_task *task, int32_t fd);

/**
 * Makes a directory the task's root, as chroot(2). The current directory stays.
 *
 * @param path a directory; needs VRIFT_CAP_SYS_CHROOT
 * @return 0; -VRIFT_EPERM; -VRIFT_ENOTDIR; the errors of a walk.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_chroot(vrift_task *task, const char *path);

/**
 * Writes the path of the current directory from the task's root, as getcwd(2).
 *
 * @param[out] buf the path with its NUL
 * @param len bytes in buf
 * @return bytes written with the NUL; -VRIFT_ERANGE if buf is too short; -VRIFT_ENOENT if the directory was
 * removed. A directory outside the task's root is shown as "(unreachable)/...".
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int64_t vrift_getcwd(vrift_task *task, char *buf, size_t len);

VRIFT_END_DECLS

#endif
