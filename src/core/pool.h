/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Slots of one size and one type. Their memory goes back to the allocator only with the instance, and a slot that was
 * given back is only ever handed out as the same type again. So whoever follows a pointer without a lock finds, if not
 * the object it looked for, at least one of the same type, and learns from a sequence count that it was too late.
 *
 * A slot starts with a struct vr_link. While it is free the pool chains it by that; while it is used its owner may.
 */
#ifndef VR_POOL_H
#define VR_POOL_H

#include "platform/os.h"

#include <stdatomic.h>
#include <stdbool.h>

struct vr_link {
    _Atomic(struct vr_link *) next;
};

struct vr_slab {
    _Atomic(struct vr_slab *) next;
    unsigned char *slots;
    uint32_t count;
};

struct vr_pool {
    vr_os_mutex lock;
    uint32_t slot_size;
    uint32_t alignment;        /* of slots, at most 64 */
    void (*prepare)(void *);   /* of a zeroed slot that was never used; NULL: nothing to do */
    _Atomic uint64_t *charged; /* grows by slot_size with each slot in use */
    struct vr_link *free;      /* lock */
    uint64_t free_count;       /* lock */
    uint64_t reserved;         /* lock; free slots that are promised, at most free_count */
    _Atomic uint64_t slots;    /* written under lock; free and used ones */
    _Atomic(struct vr_slab *) slabs;
    struct vr_slab *last; /* lock */
};

/* 0 or -VRIFT_ENOMEM. No slab is allocated before the first slot is wanted. */
int32_t vr_pool_init(struct vr_pool *pool, uint32_t slot_size, uint32_t alignment, void (*prepare)(void *),
                     _Atomic uint64_t *charged);
void vr_pool_dispose(struct vr_pool *pool, const struct vrift_allocator *allocator);

/* A slot with the contents that its last user left, or NULL without memory. Call without locks of the instance. */
void *vr_pool_get(struct vr_pool *pool, const struct vrift_allocator *allocator);

/* Only one that needs no memory; not one that is promised. NULL: none. */
void *vr_pool_try(struct vr_pool *pool);

/* Promises a slot: vr_pool_take() cannot fail then. 0 or -VRIFT_ENOMEM. */
int32_t vr_pool_reserve(struct vr_pool *pool, const struct vrift_allocator *allocator);
void *vr_pool_take(struct vr_pool *pool);
void vr_pool_release(struct vr_pool *pool);

/* Makes room for at least `count` slots that vr_pool_try() finds; a failure shows there. */
void vr_pool_stock(struct vr_pool *pool, const struct vrift_allocator *allocator, uint32_t count);

void vr_pool_put(struct vr_pool *pool, void *slot);

/* A hand that goes round all slots, used or not. */
struct vr_cursor {
    struct vr_slab *slab;
    uint32_t index;
};

/* The slot under the hand, which moves on; NULL if the pool has none at all. */
void *vr_pool_turn(struct vr_pool *pool, struct vr_cursor *hand);

#endif
