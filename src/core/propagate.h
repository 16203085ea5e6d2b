/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Which mounts hear of what is mounted on which, after Documentation/filesystems/sharedsubtree.rst of Linux.
 *
 * Shared mounts with the same group are peers, linked in a ring: what is mounted on one is mounted on all, and
 * likewise taken away. A slave has a master, which is a shared mount: it receives what the master's peers receive and
 * sends nothing back, but may be shared itself, among slaves of the same master. All peers have the same master.
 * A private mount is neither. An unbindable one is private and cannot be copied either.
 *
 * All functions run under the tree mutex; none allocates or fails.
 */
#ifndef VR_PROPAGATE_H
#define VR_PROPAGATE_H

#include "core/object.h"

/* Gives a mount a group of its own, if it has none. */
void vr_propagate_share(struct vr_mount *mount);

/* VRIFT_MOUNT_SHARED, _SLAVE, _PRIVATE or _UNBINDABLE. */
void vr_propagate_change(struct vr_mount *mount, uint64_t type);

/* Puts a fresh copy into relation to what it is a copy of: a peer or fellow slave of it, or a slave if that is shared. */
void vr_propagate_copy(struct vr_mount *copy, struct vr_mount *of, bool slave);

/* All that receives events from a mount, without itself, masters before slaves: a list by `queue`. */
struct vr_mount *vr_propagate_receivers(struct vr_mount *from);

/*
 * For a receiver on which something is being mounted: what its nearest peer or master has `received`.
 * *peer: it was made for a peer of the receiver.
 */
struct vr_mount *vr_propagate_nearest(const struct vr_mount *receiver, bool *peer);

/* r as well: the group of the nearest master that has a member in the slave's namespace below root; 0 if none has. */
uint64_t vr_propagate_dominating(const struct vr_mount *slave, const struct vr_path *root);

/*
 * r as well. Extends a set of mounts to be taken away by what propagation takes with them. The set is linked by `next` and
 * marked VR_MARK_GOING, and holds all descendants of its elements; so it does afterwards, but for mounts over the
 * root of what goes, which are to be moved to where the lowest of these was.
 */
void vr_propagate_umount(struct vr_mount **set);

/* Would a umount of a mount without children be refused because a mount that goes with it is in use? r as well. */
bool vr_propagate_busy(const struct vr_mount *mount);

#define VR_MARK_GOING     1u
#define VR_MARK_CANDIDATE 2u

#endif
