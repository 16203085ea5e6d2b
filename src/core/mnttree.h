/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Changes of mount trees: a part of a tree is copied, hung somewhere, taken away, and all that propagation says follows.
 *
 * A change runs as a whole under the tree mutex and in one write section of the dentry cache, so that no walk sees a
 * half of it. It cannot fail for want of memory there: what it needs is counted first, and if not enough blank mounts are
 * at hand the section is left, they are allocated, and the change starts anew.
 */
#ifndef VR_MNTTREE_H
#define VR_MNTTREE_H

#include "core/dcache.h"
#include "core/mnt.h"

/* As fs.mount-max of Linux: more are not hung into one namespace. */
#define VR_MNTTREE_MOST 100000u

/* What an attempt answers, besides 0 and errors. */
#define VR_MNTTREE_MORE  1 /* change->wanted blank mounts are needed */
#define VR_MNTTREE_AGAIN 2 /* the place has changed meanwhile */

struct vr_mnttree {
    vrift_vfs *vfs;
    struct vr_mount *blanks; /* by next */
    uint64_t blank_count;
    uint64_t wanted;
    struct vr_reap reap;
    struct vr_mount *dead; /* by next: to be let go */
};

/* Takes the locks, and gives them back. */
void vr_mnttree_begin(struct vr_mnttree *change);
void vr_mnttree_end(struct vr_mnttree *change);

/* Without locks: allocates what is wanted; and lets go what is left when all is done. */
int32_t vr_mnttree_reserve(struct vr_mnttree *change);
void vr_mnttree_dispose(struct vr_mnttree *change);

/* Runs an attempt between begin and end, with more blanks as long as it asks for them; and disposes. */
typedef int32_t (*vr_mnttree_attempt)(struct vr_mnttree *change, void *payload);
int32_t vr_mnttree_run(vrift_vfs *vfs, vr_mnttree_attempt attempt, void *payload);

/*
 * The same where something is to be mounted on `at`: the attempt gets the topmost place there, whose inode is locked so
 * that nobody removes its name. -VRIFT_ENOENT if that was removed or is in no namespace any more.
 */
typedef int32_t (*vr_mnttree_attempt_at)(struct vr_mnttree *change, const struct vr_path *place, void *payload);
int32_t vr_mnttree_run_at(vrift_vfs *vfs, const struct vr_path *at, vr_mnttree_attempt_at attempt, void *payload);

#define VR_COPY_RECURSIVE  1u
#define VR_COPY_UNBINDABLE 2u /* also what may not be bound */
#define VR_COPY_SLAVE      4u /* slaves of what is shared, not peers */

/* All below run between begin and end. */

/* How many mounts a copy would have. */
uint64_t vr_mnttree_count(struct vr_mount *from, const struct vr_dentry *root, uint32_t how);

/* Copies a mount as seen from root, out of the blanks. The `twin` of each original is its copy. */
struct vr_mount *vr_mnttree_copy(struct vr_mnttree *change, struct vr_mount *from, struct vr_dentry *root,
                                 uint32_t how);

/*
 * May a tree of `count` mounts be hung on a place, all its copies included? Adds the copies to change->wanted.
 * -VRIFT_ENOSPC. `moving`: it is in the namespace already.
 */
int32_t vr_mnttree_room(struct vr_mnttree *change, const struct vr_path *place, uint64_t count, bool moving);

/* Hangs a tree, and copies of it wherever propagation says so. The namespace takes over the trees' references. */
void vr_mnttree_graft(struct vr_mnttree *change, struct vr_mount *tree, const struct vr_path *place);

#define VR_UMOUNT_PROPAGATE 1u
#define VR_UMOUNT_CONNECTED 2u /* leave what is below hanging together */

/* Takes a mount with all that is below it out of its namespace. */
void vr_mnttree_umount(struct vr_mnttree *change, struct vr_mount *top, uint32_t how);

/* The name of a dentry was removed: takes away what is mounted on it, in whatever namespace. Without locks. */
void vr_mnttree_abandon(struct vr_dentry *dentry);

/* The same for a name that was found to be gone, or something else, by itself: also of what is mounted below it. */
void vr_mnttree_abandon_below(struct vr_dentry *top);

/* Is something mounted on a dentry, however it is reached, in the namespace of a task? Locks of inodes may be held. */
bool vr_mnttree_is_local_point(const vrift_task *task, const struct vr_dentry *dentry);

#endif
