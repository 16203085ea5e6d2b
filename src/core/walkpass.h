/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The part of a walk that reads the cache and nothing else: no lock, no reference, no store that others see.
 *
 * What it reads may change and even die under it, but stays memory of its type (core/pool.h). So it may see nonsense,
 * and must come to an end and do no harm on any; whether it saw nonsense is what walk->seq tells afterwards. It looks
 * at that itself only before it does what cannot be taken back, and in loops that nonsense could make endless.
 */
#ifndef VR_WALKPASS_H
#define VR_WALKPASS_H

#include "core/inode.h"
#include "core/perm.h"
#include "core/walk.h"

/* What the pass asks of the slow one. */
#define VR_WALK_NEED_LOOKUP 1 /* of walk->last, whose dentry is walk->child if it is only too old */
#define VR_WALK_NEED_LINK   2 /* the text of the symlink walk->child */
#define VR_WALK_NEED_ACL    VR_PERM_ASK
#define VR_WALK_NEED_FRESH  5 /* permissions of where it stands, to which no name has led that was looked at */
#define VR_WALK_TORN        4 /* it has seen that something changed: start again */

/* Is what was read since walk->seq was taken true? */
static inline bool vr_walkpass_valid(const struct vr_walk *walk)
{
    return atomic_load(&walk->task->vfs->dcache.seq) == walk->seq;
}

/* 0: walk->path is the end. Negative: an error. Positive: as above. */
int32_t vr_walkpass_run(struct vr_walk *walk);

/* The end's attributes, of which *dev and *mount_id are the core's; false if the cache does not know them. */
bool vr_walkpass_peek(struct vr_walk *walk, struct vr_attr_raw *raw, uint64_t *dev, uint64_t *mount_id);

#endif
