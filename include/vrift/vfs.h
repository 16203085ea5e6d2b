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
    uint32_t size;                           /* sizeof(struct vrift_vfs_options) */
    uint32_t protect;                        /* VRIFT_PROTECT_...; default _SYMLINKS and _HARDLINKS */
    uint64_t flags;                          /* VRIFT_VFS_... */
    uint64_t cache_bytes;                    /* budget for cached names and inodes; default 64 MiB */
    uint64_t max_files;                      /* open descriptions in the whole instance; default 1048576 */
    const struct vrift_allocator *allocator; /* copied; default malloc */
};

/* Flags of an instance. */
#define VRIFT_VFS_NO_MEMO                                                                                              \
    1ULL /* walk each path, and do not remember whole ones with their answers: to measure, to test */

/*
 * What the files of sticky, shared directories such as /tmp are protected from, as Linux's fs.protected_... settings say.
 * The default is that of the Debian kernel.
 */
#define VRIFT_PROTECT_SYMLINKS      0x01u       /* others' symlinks there are not followed */
#define VRIFT_PROTECT_HARDLINKS     0x02u       /* anywhere: nobody links a file that he could not read and write */
#define VRIFT_PROTECT_REGULAR       0x04u       /* O_CREAT does not open others' files if everybody may write there */
#define VRIFT_PROTECT_REGULAR_GROUP 0x08u       /* likewise if the group may: with _REGULAR, fs.protected_regular = 2 */
#define VRIFT_PROTECT_FIFOS         0x10u       /* as _REGULAR, for fifos */
#define VRIFT_PROTECT_FIFOS_GROUP   0x20u       /* as _REGULAR_GROUP, for fifos */
#define VRIFT_PROTECT_NOTHING       0x80000000u /* alone: none of these */

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
 * Forgets all cached names of one superblock that nothing uses. What they stand for is untouched.
 *
 * @return 0 or -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_sb_drop_caches(vrift_sb *sb);

/**
 * Takes nothing that is known of a superblock to be true any more, whatever its consistency says: what is in use is looked
 * up anew when a walk comes to it, the rest is forgotten. Watchers are told that events were lost. The cost grows with
 * all that is cached.
 *
 * @param flags VRIFT_INVALIDATE_NAMES, _ATTRIBUTES, _DATA: what others may have changed
 * @return 0 or -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_sb_invalidate(vrift_sb *sb, uint64_t flags);

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
 * Makes a superblock that shows the descriptors of a task as /proc/self/fd does: a directory with a magic link for each,
 * to be mounted where the task's programs look for it. Opening one opens anew what is open, as vrift_reopen() does.
 *
 * It belongs to the task's credentials of now, and follows the table of descriptors that the task has: when the last
 * task with that table is freed, the directory is empty. VRIFT_RESOLVE_NO_MAGICLINKS refuses to follow its links.
 *
 * @param[out] out the superblock, with one reference for the caller
 * @return 0; -VRIFT_ENOMEM; -VRIFT_EINVAL.
 * Thread safety: any thread; a task is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_fd_new(vrift_task *task, vrift_sb **out);

/**
 * Brings all that was written to a superblock to stable storage, as syncfs(2).
 *
 * @return 0; -VRIFT_EINVAL; what the backend answers.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_sb_sync(vrift_sb *sb);

/**
 * Says where a superblock's bytes come from, for people who list mounts: the source in vrift_mount_list().
 *
 * @param source copied; NULL: the backend's name again
 * @return 0; -VRIFT_EINVAL; -VRIFT_ENOMEM.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_sb_set_source(vrift_sb *sb, const char *source);

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

VRIFT_END_DECLS

#include <vrift/mount.h>

#endif
