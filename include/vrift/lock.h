/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Locks of files, as flock(2) and fcntl(2) of Linux know them. They advise: nothing but another lock is kept out.
 *
 * - flock locks a whole file for an open file description. Dup'ed and inherited descriptors share it; it ends with
 *   the last of them. To convert one is to let it go first.
 * - POSIX record locks belong to a table of descriptors (a process, where tasks are processes): a forked task has none
 *   of them, and closing any descriptor of the file drops them all. They alone are watched for deadlocks.
 * - OFD locks are record locks that belong to an open file description. Both kinds of record locks exclude each other;
 *   flock and record locks do not see each other.
 *
 * Locks are the core's and work on every file system, between the tasks of one vrift_vfs. They are not passed on: other
 * processes that lock the same file of a host directory are neither seen nor kept out.
 *
 * Who waits is served in the order of asking, and the lock is handed over by who lets it go. As on Linux, a request
 * that nothing held excludes does not queue up behind others, so that readers can keep a writer waiting.
 */
#ifndef VRIFT_LOCK_H
#define VRIFT_LOCK_H

#include <vrift/wait.h>

/* Operations of vrift_flock(). */
#define VRIFT_LOCK_SH 1ULL
#define VRIFT_LOCK_EX 2ULL
#define VRIFT_LOCK_NB 4ULL /* do not wait */
#define VRIFT_LOCK_UN 8ULL

/* Types of record locks. */
#define VRIFT_F_RDLCK 0
#define VRIFT_F_WRLCK 1
#define VRIFT_F_UNLCK 2

/* Flags of vrift_setlk() and vrift_getlk(). */
#define VRIFT_SETLK_OFD  1ULL /* for the open file description: F_OFD_SETLK, F_OFD_GETLK */
#define VRIFT_SETLK_WAIT 2ULL /* F_SETLKW; not of vrift_getlk() */

/* A record lock, as struct flock. */
struct vrift_lock {
    uint32_t size;  /* sizeof(struct vrift_lock) */
    int32_t type;   /* VRIFT_F_... */
    int32_t whence; /* what start counts from: VRIFT_SEEK_SET, _CUR, _END */
    int32_t pid; /* in: what others are told of who holds it, 0: the number of the table; 0 for OFD. out: that; -1 for
                       an OFD lock */
    int64_t start;
    int64_t length; /* bytes; 0: to the end of all files; negative: the bytes before start */
    /*
     * For a server that speaks for processes of its own: who owns a POSIX lock, in place of the task's table. Such locks
     * are not dropped at vrift_close() but with the open file description through which they were set. 0: the table.
     */
    uint64_t owner;
};

VRIFT_BEGIN_DECLS

/**
 * Locks or unlocks a file, as flock(2).
 *
 * @param operation VRIFT_LOCK_SH, _EX or _UN, and _NB
 * @param wait NULL to wait for ever
 * @return 0; -VRIFT_EAGAIN if it would have to wait and may not, or cannot ever; -VRIFT_EBADF, also for O_PATH;
 * -VRIFT_EINVAL for another operation; -VRIFT_ENOLCK without memory; -VRIFT_EINTR and -VRIFT_ETIMEDOUT by `wait`. A lock
 * that was to be converted is gone after any of the latter.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_flock(vrift_task *task, int32_t fd, uint64_t operation, const struct vrift_wait *wait);

/**
 * Sets or drops a record lock, as fcntl(2) with F_SETLK, F_SETLKW, F_OFD_SETLK or F_OFD_SETLKW.
 *
 * @param flags VRIFT_SETLK_...
 * @param lock what is to be locked
 * @param wait with VRIFT_SETLK_WAIT; NULL to wait for ever
 * @return 0; -VRIFT_EAGAIN if another holds it; -VRIFT_EDEADLK if waiting would go round in a circle; -VRIFT_EBADF, also
 * for O_PATH, a read lock without reading and a write lock without writing; -VRIFT_EINVAL, -VRIFT_EOVERFLOW for a bad
 * range; -VRIFT_ENOLCK without memory; -VRIFT_EINTR and -VRIFT_ETIMEDOUT by `wait`.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_setlk(vrift_task *task, int32_t fd, uint64_t flags, const struct vrift_lock *lock,
                              const struct vrift_wait *wait);

/**
 * Asks what keeps a record lock from being set, as fcntl(2) with F_GETLK or F_OFD_GETLK.
 *
 * @param flags 0 or VRIFT_SETLK_OFD
 * @param[in,out] lock what would be locked; overwritten with a lock that is in the way, or only its type with
 * VRIFT_F_UNLCK if none is
 * @return 0; -VRIFT_EBADF; -VRIFT_EINVAL, -VRIFT_EOVERFLOW for a bad range or type.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_getlk(vrift_task *task, int32_t fd, uint64_t flags, struct vrift_lock *lock);

VRIFT_END_DECLS

#endif
