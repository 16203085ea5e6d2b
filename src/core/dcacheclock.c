/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Which dentries go when the budget is spent: leaves that nobody holds, in the order of a clock whose hands turn over the
 * slabs of the two pools. Negative names go first.
 */
#include "core/alloc.h"
#include "core/dcache.h"
#include "core/dcachehot.h"
#include "core/inode.h"

#include <assert.h>

/* Of all names cached, how many may be ones that do not exist: in one directory, and as a part of the budget. */
#define MOST_NEGATIVE_IN_DIR 8192u
#define NEGATIVE_PART        4u
/* A part that they keep, so that what is in use of them is not driven out by names that nobody asks for any more. */
#define NEGATIVE_FLOOR 32u

/* So many negative names are looked through at once for the children of a removed directory. */
#define FEW_SLOTS 1024u

/* The table is grown by so many buckets at a time, as readers are disturbed each time. */
#define SPLITS 64u

/* Is the dentry at the hand one that the clock may take? */
static bool is_idle(const struct vr_dentry *dentry)
{
    return atomic_load_explicit(&dentry->refs, memory_order_acquire) == 0;
}

static bool is_orphan(const struct vr_dentry *dentry)
{
    return !vr_dcache_hashed(dentry->parent);
}

bool vr_dcacheclock_negative_room(struct vr_dentry *parent, struct vr_reap *reap)
{
    if (parent->negative < MOST_NEGATIVE_IN_DIR)
        return true;
    struct vr_dcache *cache = &parent->inode->sb->vfs->dcache;
    struct vr_cursor hand = cache->hand[1];
    for (uint32_t i = 0; i < 64; i++) {
        struct vr_dentry *dentry = vr_pool_turn(&cache->dentries[1], &hand);
        if (!dentry)
            return false;
        if (!is_idle(dentry) || dentry->parent != parent)
            continue;
        vr_dcache_drop(dentry, false, reap);
        return true;
    }
    return false;
}

/* Turns a hand past at most `steps` slots and drops at most `most` idle dentries. Returns how many. */
static uint32_t sweep(vrift_vfs *vfs, int kind, uint32_t depth, bool spare_used, uint64_t steps, uint32_t most,
                      struct vr_reap *reap)
{
    struct vr_dcache *cache = &vfs->dcache;
    uint32_t dropped = 0;
    while (steps-- && dropped < most) {
        struct vr_dentry *dentry = vr_pool_turn(&cache->dentries[kind], &cache->hand[kind]);
        if (!dentry)
            break;
        if (!is_idle(dentry))
            continue;
        if (!vr_dcache_hashed(dentry)) {
            vr_dcache_kill(dentry, reap);
            continue;
        }
        if (vr_dcache_sb(dentry)->depth > depth)
            continue;
        if (spare_used && !is_orphan(dentry) && atomic_exchange_explicit(&dentry->used, 0, memory_order_relaxed))
            continue;
        vr_dcache_drop(dentry, false, reap);
        dropped++;
    }
    atomic_fetch_add_explicit(&cache->evicted, dropped, memory_order_relaxed);
    return dropped;
}

/* -- Removed directories ------------------------------------------------------------------------------------------- */

static void drop_orphans(vrift_vfs *vfs, uint64_t steps, struct vr_reap *reap)
{
    struct vr_dcache *cache = &vfs->dcache;
    while (steps--) {
        struct vr_dentry *dentry = vr_pool_turn(&cache->dentries[1], &cache->hand[1]);
        if (!dentry)
            break;
        if (is_idle(dentry) && is_orphan(dentry))
            vr_dcache_drop(dentry, true, reap);
    }
}

/*
 * Names that a removed directory was asked for hold it, and it holds its inode. There is no list of them: if there are
 * few negative names, all are looked through; otherwise the hand does so, over the balancing of the next calls.
 */
void vr_dcache_prune(struct vr_dentry *dir, struct vr_reap *reap)
{
    vrift_vfs *vfs = dir->inode->sb->vfs;
    struct vr_dcache *cache = &vfs->dcache;
    uint64_t slots = atomic_load_explicit(&cache->dentries[1].slots, memory_order_relaxed);
    if (!dir->negative)
        return;
    if (slots > FEW_SLOTS) {
        cache->doomed = slots;
        return;
    }
    while (slots--) {
        struct vr_dentry *dentry = vr_pool_turn(&cache->dentries[1], &cache->hand[1]);
        if (is_idle(dentry) && dentry->parent == dir)
            vr_dcache_drop(dentry, true, reap);
    }
}

/* -- The budget ---------------------------------------------------------------------------------------------------- */

static uint32_t hash_of(const struct vr_link *link)
{
    const struct vr_dentry *dentry = (const struct vr_dentry *)(const void *)link;
    return vr_dcache_hash(dentry->parent, dentry->hash);
}

static uint64_t count_of(vrift_vfs *vfs)
{
    return atomic_load_explicit(&vfs->dcache.count[0], memory_order_relaxed) +
           atomic_load_explicit(&vfs->dcache.count[1], memory_order_relaxed);
}

/* The table has one bucket a name, and lags behind by a few. */
static void grow_table(vrift_vfs *vfs)
{
    struct vr_table *table = &vfs->dcache.table;
    if (count_of(vfs) < (uint64_t)vr_table_buckets(table) + SPLITS)
        return;
    vr_bucket *ahead = vr_table_ahead(table, vfs->allocator);
    vr_dcache_write_begin(vfs);
    ahead = vr_table_grow(table, count_of(vfs), 1, SPLITS, hash_of, ahead);
    vr_dcache_write_end(vfs);
    vr_alloc_free(vfs->allocator, ahead);
}

static bool over_budget(vrift_vfs *vfs)
{
    return atomic_load_explicit(&vfs->dcache.bytes, memory_order_relaxed) > vfs->cache_budget;
}

/* Do negative names take more than that part of the budget? */
static bool negatives_over(vrift_vfs *vfs, uint64_t part)
{
    return atomic_load_explicit(&vfs->dcache.count[1], memory_order_relaxed) * sizeof(struct vr_dentry) >
           vfs->cache_budget / part;
}

/* Slots for what is turned negative under the lock, where no memory may be asked for. */
static void stock_negatives(vrift_vfs *vfs)
{
    struct vr_dcache *cache = &vfs->dcache;
    if (atomic_load_explicit(&cache->count[1], memory_order_relaxed) + 8 >
        atomic_load_explicit(&cache->dentries[1].slots, memory_order_relaxed))
        vr_pool_stock(&cache->dentries[1], vfs->allocator, 8);
}

void vr_dcache_balance(vrift_vfs *vfs, uint32_t depth)
{
    grow_table(vfs);
    stock_negatives(vfs);
    for (int round = 0; round < 4 && (over_budget(vfs) || negatives_over(vfs, NEGATIVE_PART)); round++) {
        struct vr_reap reap = VR_REAP_INIT;
        vr_dcache_write_begin(vfs);
        uint32_t dropped = 0;
        if (negatives_over(vfs, NEGATIVE_FLOOR))
            dropped = sweep(vfs, 1, depth, round < 2, 256, 16, &reap);
        if (!dropped && over_budget(vfs))
            sweep(vfs, 0, depth, round < 2, 256, 16, &reap);
        vr_dcache_write_end(vfs);
        vr_dcache_reap(vfs, &reap);
    }
    if (!atomic_load_explicit(&vfs->dcache.doomed, memory_order_relaxed))
        return;
    struct vr_reap reap = VR_REAP_INIT;
    vr_dcache_write_begin(vfs);
    uint64_t steps = vfs->dcache.doomed < 512 ? vfs->dcache.doomed : 512;
    vfs->dcache.doomed -= steps;
    drop_orphans(vfs, steps, &reap);
    vr_dcache_write_end(vfs);
    vr_dcache_reap(vfs, &reap);
}

/* A leaf, and what of the directories above it is a leaf then. sb: only of this superblock. */
static uint32_t drop_upwards(struct vr_dentry *dentry, const vrift_sb *sb, struct vr_reap *reap)
{
    uint32_t dropped = 0;
    while (is_idle(dentry) && dentry->flags & VR_DENTRY_HASHED && (!sb || vr_dcache_sb(dentry) == sb)) {
        struct vr_dentry *parent = dentry->parent;
        vr_dcache_drop(dentry, false, reap);
        dropped++;
        dentry = parent; /* dead by now, or idle, or in use */
    }
    return dropped;
}

/* All idle ones, or those of a superblock, in sections of a bounded length. Returns how many. */
static uint64_t drop_kind(vrift_vfs *vfs, int kind, const vrift_sb *sb)
{
    struct vr_pool *pool = &vfs->dcache.dentries[kind];
    struct vr_cursor hand = {NULL, 0};
    uint64_t left = atomic_load_explicit(&pool->slots, memory_order_acquire), dropped = 0;
    while (left) {
        struct vr_reap reap = VR_REAP_INIT;
        uint64_t steps = left < 4096 ? left : 4096;
        left -= steps;
        vr_dcache_write_begin(vfs);
        while (steps--)
            dropped += drop_upwards(vr_pool_turn(pool, &hand), sb, &reap);
        vr_dcache_write_end(vfs);
        vr_dcache_reap(vfs, &reap);
    }
    return dropped;
}

void vr_dcache_drop_all(vrift_vfs *vfs)
{
    uint64_t dropped;
    do {
        dropped = drop_kind(vfs, 1, NULL) + drop_kind(vfs, 0, NULL);
        atomic_fetch_add_explicit(&vfs->dcache.evicted, dropped, memory_order_relaxed);
    } while (dropped);
}

void vr_dcache_drop_sb(vrift_sb *sb)
{
    while (drop_kind(sb->vfs, 1, sb) + drop_kind(sb->vfs, 0, sb))
        ;
}

void vr_dcache_shrink_sb(vrift_sb *sb)
{
    vrift_vfs *vfs = sb->vfs;
    struct vr_dentry *root = sb->root;
    if (atomic_load(&root->refs) > 1)
        vr_dcache_drop_sb(sb);
    vr_dcache_write_begin(vfs);
    root->flags &= (uint16_t)~VR_DENTRY_ROOT;
    vr_dcache_write_end(vfs);
    vr_dcache_unref(root);
}
