/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * An instance of the file-system layer, its superblocks and its namespaces.
 *
 * The way in: make a vrift_vfs, make a superblock from a backend (backends.h, or your own through backend.h),
 * make a
 * namespace whose root it is, and a task (task.h) that looks into it. Nothing is global; two instances share
 * nothing.
 * An object keeps alive what it needs, so the order of freeing does not matter.
 */
#ifndef VRIFT_VFS_H
#define VRIFT_VFS_H

#include <vrift/types.h>
#include <vrift/backend.h>

struct vrift_vfs_options {
    uint32_t size; /* sizeof(struct vrift_vfs_options) */
    uint32_t reserved;
    uint64_t flags;                          /* none yet */
    uint64_t cache_bytes;                    /* budget for cached names and inodes; default 64 MiB */
    uint64_t max_files;                      /* open descriptions in the whole instance; default 1048576 */
    const struct vrift_allocator *allocator; /* copied; default malloc */
};

/* What the caches hold and did since the instance was made. */
struct vrift_vfs_stats {
    uint64_t dentries;      /* cached names, negative ones included */
    uint64_t negative;      /* names known not to exist */
    uint64_t inodes;        /* cached inodes */
    uint64_t cache_bytes;   /* bytes charged to the budget */
    uint64_t hits;          /* components answered from the cache */
    uint64_t misses;        /* components that asked a backend */
    uint64_t evicted;       /* names dropped to keep the budget */
    uint64_t open_files;    /* open file descriptions */
    uint64_t backend_calls; /* slots called */
    uint64_t spare[7];      /* zero */
};

/* Called before each call of a backend's slot; a result other than 0 is the slot's answer in its place. For tests. */
typedef int32_t(VRIFT_CALLBACK *vrift_fault_fn)(const char *slot, void *payload);

VRIFT_BEGIN_DECLS

/**
 * Makes an instance.
 *
 * @param options NULL for defaults
 * @param[out] out the instance, to be freed with vrift_vfs_free()
 * @return 0; -VRIFT_ENOMEM; -VRIFT_EINVAL or -VRIFT_E2BIG for bad options.
 * Thread safety: any thread. The instance is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_vfs_new(const struct vrift_vfs_options *options, vrift_vfs **out);

/**
 * Gives up the caller's hold on an instance. Superblocks, namespaces and tasks that still exist keep it alive.
 *
 * @param vfs may be NULL
 * Thread safety: any thread, once.
 * @since 0.1
 */
VRIFT_API void vrift_vfs_free(vrift_vfs *vfs);

/**
 * Reads the counters.
 *
 * @param[out] out the counters
 * @return 0 or -VRIFT_EINVAL.
 * Thread safety: any thread; the counters are each exact but not of one instant.
 * @since 0.1
 */
VRIFT_API int32_t vrift_vfs_stats(vrift_vfs *vfs, struct vrift_vfs_stats *out);

/**
 * The allocator of an instance, for backends that take their memory from where the embedder wants it taken.
 *
 * @param vfs the instance
 * @return the allocator, which lives as long as the instance; NULL if vfs is NULL or uses the C library's.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API const struct vrift_allocator *vrift_vfs_allocator(vrift_vfs *vfs);

/**
 * Forgets all cached names that nothing uses. What they stand for is untouched.
 *
 * @return 0 or -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_vfs_drop_caches(vrift_vfs *vfs);

/**
 * Sets a function that is asked before each backend call, to inject faults in tests.
 *
 * @param fault NULL to stop; called with no leaf lock held; must not call the library
 * @param payload handed to fault
 * @return 0 or -VRIFT_EINVAL.
 * Thread safety: not while another thread uses the instance.
 * @since 0.1
 */
VRIFT_API int32_t vrift_vfs_set_fault(vrift_vfs *vfs, vrift_fault_fn fault, void *payload);

/**
 * Makes a superblock from a backend.
 *
 * @param ops the backend's table, which must live as long as the superblock
 * @param self the backend's own object; taken on success: ops->destroy is called for it when the superblock dies
 * @param[out] out the superblock, with one reference for the caller
 * @return 0; -VRIFT_EINVAL if the table lacks a slot that may not be NULL; -VRIFT_E2BIG if it has a slot that this
 * library does not know; what ops->root answered; -VRIFT_ENOMEM.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_sb_new(vrift_vfs *vfs, const struct vrift_backend_ops *ops, void *self, vrift_sb **out);

/**
 * Takes a reference.
 *
 * @param sb may be NULL
 * @return sb.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API vrift_sb *vrift_sb_ref(vrift_sb *sb);

/**
 * Drops a reference; with the last one, and no mount left, the backend is destroyed.
 *
 * @param sb may be NULL
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API void vrift_sb_unref(vrift_sb *sb);

/**
 * Asks what a superblock's backend can do.
 *
 * @param capability VRIFT_CAPABILITY_... (backend.h)
 * @param[out] out the answer
 * @return 0; -VRIFT_EINVAL for a capability that this library does not know.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_sb_capability(vrift_sb *sb, uint32_t capability, struct vrift_capability *out);

/**
 * Asks how stale a superblock's answers may be.
 *
 * @param aspect VRIFT_ASPECT_... (backend.h)
 * @param[out] out the answer
 * @return 0; -VRIFT_EINVAL for an aspect that this library does not know.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_sb_consistency(vrift_sb *sb, uint32_t aspect, struct vrift_consistency *out);

/**
 * How many superblocks lie on top of each other below this one: 0 for one that keeps its own bytes, one more than its
 * deepest layer for one built on others. A backend over other superblocks answers ops->depth with it.
 *
 * @param sb may be NULL
 * @return the depth; 0 for NULL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API uint32_t vrift_sb_depth(vrift_sb *sb);

/**
 * Makes a namespace: a tree of mounts with one mount, its root.
 *
 * @param root the superblock at "/"; the namespace takes a reference of its own
 * @param mount_flags VRIFT_MOUNT_... of the root mount
 * @param[out] out the namespace, with one reference for the caller
 * @return 0; -VRIFT_EINVAL if root belongs to another instance or a flag is unknown; -VRIFT_ENOMEM.
 * Thread safety: any thread. A namespace is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_ns_new(vrift_vfs *vfs, vrift_sb *root, uint64_t mount_flags, vrift_ns **out);

/**
 * Takes a reference.
 *
 * @param ns may be NULL
 * @return ns.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API vrift_ns *vrift_ns_ref(vrift_ns *ns);

/**
 * Drops a reference; with the last one all its mounts go.
 *
 * @param ns may be NULL
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API void vrift_ns_unref(vrift_ns *ns);

/**
 * Mounts a superblock on a file or directory, as mount(2).
 *
 * @param task whose namespace; needs VRIFT_CAP_SYS_ADMIN
 * @param dirfd,path the mount point; the last symlink is followed
 * @param sb what to mount; the mount takes a reference of its own
 * @param flags VRIFT_MOUNT_...
 * @return 0; -VRIFT_EPERM; -VRIFT_ENOTDIR if one is a directory and the other is not; -VRIFT_EINVAL if sb
 * belongs to
 * another instance; the errors of a walk.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_mount(vrift_task *task, int32_t dirfd, const char *path, vrift_sb *sb, uint64_t flags);

/**
 * Makes a file or directory visible at a second place, as mount(2) with MS_BIND. Mounts below it do not come along.
 *
 * @param old_dirfd,old_path what to show
 * @param new_dirfd,new_path where
 * @param flags VRIFT_MOUNT_... of the new mount
 * @return as vrift_mount().
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_bind(vrift_task *task, int32_t old_dirfd, const char *old_path, int32_t new_dirfd,
                             const char *new_path, uint64_t flags);

/**
 * Replaces the flags of a mount, as mount(2) with MS_REMOUNT|MS_BIND.
 *
 * @param dirfd,path the root of the mount
 * @param flags VRIFT_MOUNT_..., all of them
 * @return 0; -VRIFT_EINVAL if path is not the root of a mount; -VRIFT_EBUSY to VRIFT_MOUNT_RDONLY while a file is
 * open for writing through it; -VRIFT_EPERM; the errors of a walk.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_remount(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags);

/**
 * Takes away the topmost mount at a path, as umount2(2).
 *
 * @param dirfd,path the root of the mount
 * @param flags 0, or VRIFT_UMOUNT_DETACH: take it out of the tree now, let it go when the last user does
 * @return 0; -VRIFT_EBUSY while a file is open, a directory is current or a mount lies in it; -VRIFT_EINVAL if path
 * is not the root of a mount; -VRIFT_EPERM; the errors of a walk.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_umount(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags);

VRIFT_END_DECLS

#endif
