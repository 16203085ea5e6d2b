/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Mount trees: what is seen where, and by which namespace.
 *
 * All is as Linux does it, propagation included: mount(2), umount2(2), pivot_root(2), mount_setattr(2), mount_namespaces(7)
 * and Documentation/filesystems/sharedsubtree.rst say what follows from what. The calls differ in form: each does one thing,
 * takes a directory descriptor with each path, and mounts superblocks instead of making them. Each needs
 * VRIFT_CAP_SYS_ADMIN and changes the namespace of the task that it is called for.
 *
 * A call that fails has changed nothing, also when memory ran out in the middle of propagation.
 */
#ifndef VRIFT_MOUNT_H
#define VRIFT_MOUNT_H

#include <vrift/types.h>

#define VRIFT_MOUNT_REC 0x4000ULL /* also all mounts below */

/* Types of propagation, for vrift_mount_propagation() and vrift_mount_setattr(). */
#define VRIFT_MOUNT_UNBINDABLE 0x20000ULL
#define VRIFT_MOUNT_PRIVATE    0x40000ULL
#define VRIFT_MOUNT_SLAVE      0x80000ULL
#define VRIFT_MOUNT_SHARED     0x100000ULL

#define VRIFT_UMOUNT_FORCE    0x1ULL /* give up what is under way; no backend has anything to give up */
#define VRIFT_UMOUNT_DETACH   0x2ULL /* take it out of the tree now, let it go when the last user does */
#define VRIFT_UMOUNT_EXPIRE   0x4ULL /* mark it; umount only what was not used since it was marked */
#define VRIFT_UMOUNT_NOFOLLOW 0x8ULL /* do not follow the last symlink */

#define VRIFT_AT_RECURSIVE 0x8000ULL /* for vrift_mount_setattr() */

#define VRIFT_NS_SLAVE 1ULL /* shared mounts are received from, not sent to */

/* What vrift_mount_setattr() changes. */
struct vrift_mount_attr {
    uint32_t size; /* sizeof(struct vrift_mount_attr) */
    uint32_t reserved;
    uint64_t set;         /* VRIFT_MOUNT_... to raise; one of the three about access times replaces the others */
    uint64_t clear;       /* VRIFT_MOUNT_... to drop first */
    uint64_t propagation; /* VRIFT_MOUNT_SHARED, _SLAVE, _PRIVATE or _UNBINDABLE; 0: as it is */
};

/*
 * A mount as vrift_mount_list() shows it. The texts are NUL-terminated and live until the callback returns, or as long as
 * the caller's buffer.
 */
struct vrift_mount_info {
    uint32_t size; /* of the struct as it was filled: with spare room for what may come, it never changes */
    uint32_t reserved;
    uint64_t id;             /* as vrift_stat.mount_id */
    uint64_t parent;         /* its own id for a namespace's root */
    uint64_t dev;            /* as vrift_stat.dev */
    uint64_t flags;          /* VRIFT_MOUNT_... of the mount */
    uint64_t sb_flags;       /* VRIFT_MOUNT_RDONLY if its superblock cannot be written at all */
    uint64_t propagation;    /* VRIFT_MOUNT_SHARED, _SLAVE, both, _UNBINDABLE or _PRIVATE */
    uint64_t group;          /* of its peers; 0 if it is not shared */
    uint64_t master;         /* group of its master; 0 if it is no slave */
    uint64_t propagate_from; /* nearest group among its masters that can be seen below the task's root; 0 if none can */
    const char *root;   /* what is mounted: a path in the superblock, with "//deleted" behind it if it was removed */
    const char *point;  /* where: a path below the task's root */
    const char *type;   /* name of the backend's kind */
    const char *source; /* as vrift_sb_set_source() */
    uint64_t spare[6];  /* zero */
};

/* Called for each mount, without locks; a result other than 0 ends the list and is its result. */
typedef int32_t(VRIFT_CALLBACK *vrift_mount_fn)(const struct vrift_mount_info *info, void *payload);

VRIFT_BEGIN_DECLS

/**
 * Mounts a superblock on a file or directory, as mount(2). What is mounted there already is covered.
 *
 * @param task whose namespace; needs VRIFT_CAP_SYS_ADMIN
 * @param dirfd,path the mount point; the last symlink is followed
 * @param sb what to mount; the mount takes a reference of its own
 * @param flags VRIFT_MOUNT_... of the new mount
 * @return 0; -VRIFT_EPERM; -VRIFT_ENOTDIR if one is a directory and the other is not; -VRIFT_EBUSY if the same superblock's
 * root is mounted there already; -VRIFT_ENOENT if the place was removed or taken out of its tree; -VRIFT_EINVAL if sb belongs
 * to another instance or the place to another namespace; -VRIFT_ENOSPC for more than 100000 mounts; -VRIFT_ENOMEM; the
 * errors of a walk.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_mount(vrift_task *task, int32_t dirfd, const char *path, vrift_sb *sb, uint64_t flags);

/**
 * Makes a file or directory visible at a second place, as mount(2) with MS_BIND.
 *
 * @param old_dirfd,old_path what to show
 * @param new_dirfd,new_path where; walked first
 * @param flags VRIFT_MOUNT_REC: with the mounts below it, but for unbindable ones; and VRIFT_MOUNT_... that the copies get
 * on top of the flags of what they are copies of, which Linux leaves to a remount
 * @return as vrift_mount(); also -VRIFT_EINVAL if old_path lies on an unbindable mount or in another namespace, and
 * -VRIFT_ENOENT if it was removed.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_bind(vrift_task *task, int32_t old_dirfd, const char *old_path, int32_t new_dirfd,
                             const char *new_path, uint64_t flags);

/**
 * Moves a mount with all that is below it, as mount(2) with MS_MOVE.
 *
 * @param old_dirfd,old_path the root of the mount
 * @param new_dirfd,new_path where to; walked first
 * @param flags none yet
 * @return 0; -VRIFT_EINVAL if old_path is not the root of a mount, is a namespace's root, lies on a shared mount, or holds an
 * unbindable mount while the new place is shared, if either place is of another namespace, or if one is a directory and the
 * other is not; -VRIFT_ELOOP into itself; -VRIFT_EPERM; -VRIFT_ENOENT; -VRIFT_ENOSPC; -VRIFT_ENOMEM; the errors of a walk.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_mount_move(vrift_task *task, int32_t old_dirfd, const char *old_path, int32_t new_dirfd,
                                   const char *new_path, uint64_t flags);

/**
 * Replaces the flags of a mount, as mount(2) with MS_REMOUNT|MS_BIND.
 *
 * @param dirfd,path the root of the mount
 * @param flags VRIFT_MOUNT_..., all of them; those about access times stay as they are if none is named
 * @return 0; -VRIFT_EINVAL if path is not the root of a mount; -VRIFT_EBUSY to VRIFT_MOUNT_RDONLY while a file is
 * open for writing through it; -VRIFT_EPERM; the errors of a walk.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_remount(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags);

/**
 * Changes some flags of a mount, or of all below it as well, and how it propagates, as mount_setattr(2). All or nothing.
 *
 * @param flags VRIFT_AT_RECURSIVE, VRIFT_AT_SYMLINK_NOFOLLOW, VRIFT_AT_EMPTY_PATH
 * @param attr what to change; unlike mount_setattr(2) it needs no mask to be cleared to change how access times are kept
 * @return as vrift_remount(), and -VRIFT_E2BIG.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_mount_setattr(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags,
                                      const struct vrift_mount_attr *attr);

/**
 * Changes how a mount propagates, as mount(2) with MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE.
 *
 * @param dirfd,path the root of the mount, which may be of another namespace
 * @param type one of VRIFT_MOUNT_SHARED, _SLAVE, _PRIVATE and _UNBINDABLE, with VRIFT_MOUNT_REC for all below it as well
 * @return 0; -VRIFT_EINVAL for another type, or if path is not the root of a mount; -VRIFT_EPERM; the errors of a walk.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_mount_propagation(vrift_task *task, int32_t dirfd, const char *path, uint64_t type);

/**
 * Takes away the topmost mount at a path, and what propagation takes with it, as umount2(2).
 *
 * @param dirfd,path the root of the mount
 * @param flags VRIFT_UMOUNT_...
 * @return 0; -VRIFT_EBUSY while a file is open, a directory is current or a mount lies in it, or in a mount that would go
 * with it, and for the task's root, which Linux makes read-only instead; -VRIFT_EINVAL if path is not the root of a mount or
 * is the namespace's root; -VRIFT_EAGAIN if VRIFT_UMOUNT_EXPIRE has only now marked it; -VRIFT_EPERM; the errors of a walk.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_umount(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags);

/**
 * Makes a mount the root and puts the old root below it, as pivot_root(2). All tasks whose root or current directory was the
 * old root stand in the new one then.
 *
 * @param new_root a directory that is the root of a mount, below the task's root
 * @param put_old a directory at or below new_root
 * @return 0; -VRIFT_EBUSY if either is on the mount that is the root now; -VRIFT_EINVAL if new_root or the task's root is not
 * the root of a mount or is a namespace's root, if put_old is not below new_root, or if put_old, or what the two are mounted
 * on, is shared; -VRIFT_ENOTDIR; -VRIFT_EPERM; -VRIFT_ENOENT; the errors of a walk.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_pivot_root(vrift_task *task, const char *new_root, const char *put_old);

/**
 * Makes a namespace with a copy of each mount of another one. Copies of shared mounts are their peers.
 *
 * @param flags VRIFT_NS_SLAVE: they are their slaves
 * @param[out] out the new namespace, with one reference for the caller
 * @return 0; -VRIFT_EINVAL; -VRIFT_ENOMEM.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_ns_clone(vrift_ns *ns, uint64_t flags, vrift_ns **out);

/**
 * Gives a task a namespace of its own, a copy of the one it is in, as unshare(2) with CLONE_NEWNS: its root and current
 * directory become the same places in it. A task that shares where it stands does not any more.
 *
 * @param flags as vrift_ns_clone()
 * @return 0; -VRIFT_EPERM; -VRIFT_EINVAL; -VRIFT_ENOMEM.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_task_unshare_ns(vrift_task *task, uint64_t flags);

/**
 * Puts a task into a namespace, as setns(2): its root and current directory become the topmost root there.
 *
 * @param ns the task takes a reference of its own
 * @return 0; -VRIFT_EPERM without VRIFT_CAP_SYS_ADMIN and VRIFT_CAP_SYS_CHROOT; -VRIFT_EINVAL if it shares where it stands,
 * or for a namespace of another instance.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_task_set_ns(vrift_task *task, vrift_ns *ns);

/**
 * The namespace that a task is in.
 *
 * @param task may be NULL
 * @return the namespace, with one reference for the caller; NULL for NULL.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API vrift_ns *vrift_task_ns(vrift_task *task);

/**
 * Lists the mounts of a task's namespace that are at or below its root, in the order in which they were made.
 *
 * @param fn called for each of them as they were at one instant, after it, without locks
 * @param payload handed to fn
 * @return 0; what fn answered; -VRIFT_ENOMEM; -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_mount_list(vrift_task *task, vrift_mount_fn fn, void *payload);

/**
 * Describes one mount of a task's namespace, as statmount(2).
 *
 * @param id as vrift_stat.mount_id
 * @param[out] out the mount, whose texts lie in buf
 * @param[out] buf room for the texts
 * @param len bytes in buf
 * @return 0; -VRIFT_ENOENT if there is none, or none below the task's root; -VRIFT_ERANGE if buf is too short; -VRIFT_ENOMEM;
 * -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_mount_stat(vrift_task *task, uint64_t id, struct vrift_mount_info *out, char *buf, size_t len);

/**
 * Writes the lines of a task's /proc/self/mountinfo, see proc_pid_mountinfo(5).
 *
 * @param[out] buf the text with its NUL
 * @param len bytes in buf; 0 asks for the length
 * @return the length without the NUL; -VRIFT_ERANGE if buf is too short; -VRIFT_ENOMEM; -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int64_t vrift_mountinfo(vrift_task *task, char *buf, size_t len);

VRIFT_END_DECLS

#endif
