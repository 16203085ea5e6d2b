/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The order in which one thread may take locks, checked at every acquisition in debug builds.
 *
 * A thread only ever takes a lock whose key is higher than every key it holds. The locks of a superblock are keyed
 * by how deeply it is stacked first and by rank second, so that all the locks of an overlay come before those of its
 * layers. The locks of the whole instance come last; under them no backend, allocator or callback is called.
 */
#ifndef VR_LOCKRANK_H
#define VR_LOCKRANK_H

#include <vrift/types.h>

#include <stdbool.h>

enum vr_rank {
    /* per superblock */
    VR_RANK_POSITION = 1, /* the position of an open file description */
    VR_RANK_RENAME,       /* of directories from one parent to another */
    VR_RANK_DIR,          /* a directory whose names change; the ancestor of two */
    VR_RANK_DIR2,         /* the second directory of a rename */
    VR_RANK_CHILD,  /* an inode whose name goes or comes: victim of unlink, source of link, file that is written */
    VR_RANK_CHILD2, /* the second such of a rename */
    VR_RANK_NOTIFY, /* a backend telling what it has heard */
    /* per instance */
    VR_RANK_MOUNT = 0x10000, /* the shape of a mount tree */
    VR_RANK_DCACHE,          /* names, mount table, where tasks stand */
    VR_RANK_CANCEL,          /* who waits with a cancel */
    VR_RANK_SLEEP,           /* what callers wait under: lock lists */
    VR_RANK_LEAF,            /* whatever is taken last */
    VR_RANK_POOL,            /* free slots; under any lock, and nothing under it */
};

/* The deepest stack of superblocks; a deeper one is refused. */
#define VR_LOCKRANK_MAX_DEPTH 100u

static inline uint32_t vr_lockrank_key(uint32_t depth, enum vr_rank rank)
{
    return rank >= VR_RANK_MOUNT ? (uint32_t)rank : (VR_LOCKRANK_MAX_DEPTH - depth) * 16 + (uint32_t)rank;
}

#ifndef NDEBUG
/* Note that the thread takes, or gave back, a lock. Taking asserts the order. */
void vr_lockrank_take(uint32_t key);
void vr_lockrank_give(uint32_t key);
/* Would taking this key break the order? For tests of the checker. */
bool vr_lockrank_inverts(uint32_t key);
/* May the thread call out (a backend, the allocator, a callback)? Not under a lock of the whole instance. */
bool vr_lockrank_may_call_out(void);
#else
#define vr_lockrank_take(key)      ((void)(key))
#define vr_lockrank_give(key)      ((void)(key))
#define vr_lockrank_may_call_out() true
#endif

#endif
