/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/pool.h"

#include "core/alloc.h"
#include "core/lockrank.h"

#include <vrift/error.h>

#include <assert.h>

/* Slabs start small, so that a small instance is small, and grow, so that a large one has few. */
#define FIRST_SLAB   4096u
#define LARGEST_SLAB 65536u

int32_t vr_pool_init(struct vr_pool *pool, uint32_t slot_size, uint32_t alignment, void (*prepare)(void *),
                     _Atomic uint64_t *charged)
{
    assert(alignment >= sizeof(void *) && alignment <= 64 && slot_size % sizeof(void *) == 0);
    pool->slot_size = slot_size;
    pool->alignment = alignment;
    pool->prepare = prepare;
    pool->charged = charged;
    return vr_os_mutex_init(&pool->lock);
}

void vr_pool_dispose(struct vr_pool *pool, const struct vrift_allocator *allocator)
{
    assert(pool->free_count == atomic_load(&pool->slots) && !pool->reserved);
    struct vr_slab *slab = atomic_load(&pool->slabs);
    while (slab) {
        struct vr_slab *next = atomic_load(&slab->next);
        vr_alloc_free(allocator, slab);
        slab = next;
    }
    vr_os_mutex_destroy(&pool->lock);
}

static void lock_pool(struct vr_pool *pool)
{
    vr_lockrank_take(VR_RANK_POOL);
    vr_os_mutex_lock(&pool->lock);
}

static void unlock_pool(struct vr_pool *pool)
{
    vr_os_mutex_unlock(&pool->lock);
    vr_lockrank_give(VR_RANK_POOL);
}

static struct vr_slab *make_slab(struct vr_pool *pool, const struct vrift_allocator *allocator)
{
    uint64_t size = atomic_load_explicit(&pool->slots, memory_order_relaxed) * pool->slot_size;
    size = size < FIRST_SLAB ? FIRST_SLAB : size > LARGEST_SLAB ? LARGEST_SLAB : size;
    uint64_t overhead = sizeof(struct vr_slab) + pool->alignment;
    uint32_t count = (uint32_t)((size - overhead) / pool->slot_size);
    if (pool->slot_size > size - overhead)
        count = 1;
    struct vr_slab *slab = vr_alloc_zero(allocator, 1, overhead + (size_t)count * pool->slot_size);
    if (!slab)
        return NULL;
    uintptr_t past = (uintptr_t)(slab + 1) % pool->alignment;
    slab->slots = (unsigned char *)(slab + 1) + (past ? pool->alignment - past : 0);
    slab->count = count;
    for (uint32_t i = 0; pool->prepare && i < count; i++)
        pool->prepare(slab->slots + (size_t)i * pool->slot_size);
    return slab;
}

static void add_slab(struct vr_pool *pool, struct vr_slab *slab)
{
    for (uint32_t i = slab->count; i-- > 0;) {
        struct vr_link *slot = (struct vr_link *)(void *)(slab->slots + (size_t)i * pool->slot_size);
        atomic_store_explicit(&slot->next, pool->free, memory_order_release);
        pool->free = slot;
    }
    pool->free_count += slab->count;
    if (pool->last)
        atomic_store_explicit(&pool->last->next, slab, memory_order_release);
    else
        atomic_store_explicit(&pool->slabs, slab, memory_order_release);
    pool->last = slab;
    /* Last: a hand that is to make so many turns finds slots to turn over. */
    atomic_fetch_add_explicit(&pool->slots, slab->count, memory_order_release);
}

static void *pop(struct vr_pool *pool)
{
    struct vr_link *slot = pool->free;
    pool->free = atomic_load_explicit(&slot->next, memory_order_relaxed);
    pool->free_count--;
    atomic_fetch_add_explicit(pool->charged, pool->slot_size, memory_order_relaxed);
    return slot;
}

/* With the pool locked, which is left for a while if a slab must be made: so many slots beyond those promised. */
static bool make_room(struct vr_pool *pool, const struct vrift_allocator *allocator, uint32_t count)
{
    while (pool->free_count < pool->reserved + count) {
        unlock_pool(pool);
        struct vr_slab *slab = make_slab(pool, allocator);
        lock_pool(pool);
        if (!slab)
            return pool->free_count >= pool->reserved + count;
        add_slab(pool, slab);
    }
    return true;
}

void *vr_pool_get(struct vr_pool *pool, const struct vrift_allocator *allocator)
{
    lock_pool(pool);
    void *slot = make_room(pool, allocator, 1) ? pop(pool) : NULL;
    unlock_pool(pool);
    return slot;
}

void *vr_pool_try(struct vr_pool *pool)
{
    lock_pool(pool);
    void *slot = pool->free_count > pool->reserved ? pop(pool) : NULL;
    unlock_pool(pool);
    return slot;
}

int32_t vr_pool_reserve(struct vr_pool *pool, const struct vrift_allocator *allocator)
{
    lock_pool(pool);
    bool room = make_room(pool, allocator, 1);
    pool->reserved += room;
    unlock_pool(pool);
    return room ? 0 : -VRIFT_ENOMEM;
}

void *vr_pool_take(struct vr_pool *pool)
{
    lock_pool(pool);
    assert(pool->reserved);
    pool->reserved--;
    void *slot = pop(pool);
    unlock_pool(pool);
    return slot;
}

void vr_pool_release(struct vr_pool *pool)
{
    lock_pool(pool);
    assert(pool->reserved);
    pool->reserved--;
    unlock_pool(pool);
}

void vr_pool_stock(struct vr_pool *pool, const struct vrift_allocator *allocator, uint32_t count)
{
    lock_pool(pool);
    make_room(pool, allocator, count);
    unlock_pool(pool);
}

void vr_pool_put(struct vr_pool *pool, void *slot)
{
    struct vr_link *link = slot;
    lock_pool(pool);
    atomic_store_explicit(&link->next, pool->free, memory_order_release);
    pool->free = link;
    pool->free_count++;
    unlock_pool(pool);
    atomic_fetch_sub_explicit(pool->charged, pool->slot_size, memory_order_relaxed);
}

void *vr_pool_turn(struct vr_pool *pool, struct vr_cursor *hand)
{
    if (!hand->slab || hand->index >= hand->slab->count) {
        struct vr_slab *next = hand->slab ? atomic_load_explicit(&hand->slab->next, memory_order_acquire) : NULL;
        hand->slab = next ? next : atomic_load_explicit(&pool->slabs, memory_order_acquire);
        hand->index = 0;
        if (!hand->slab)
            return NULL;
    }
    return hand->slab->slots + (size_t)hand->index++ * pool->slot_size;
}
