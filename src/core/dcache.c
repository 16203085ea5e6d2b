/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/dcache.h"

#include "core/alloc.h"
#include "core/dcachehot.h"
#include "core/inode.h"
#include "core/watch.h"

#include <assert.h>
#include <string.h>

#define FIRST_TABLE 1024u

/* -- The lock ------------------------------------------------------------------------------------------------------ */

void vr_dcache_read_begin(vrift_vfs *vfs)
{
    vr_lockrank_take(VR_RANK_DCACHE);
    vr_os_rwlock_read(&vfs->dcache.lock);
}

void vr_dcache_read_end(vrift_vfs *vfs)
{
    vr_os_rwlock_unlock(&vfs->dcache.lock);
    vr_lockrank_give(VR_RANK_DCACHE);
}

void vr_dcache_write_begin(vrift_vfs *vfs)
{
    vr_lockrank_take(VR_RANK_DCACHE);
    vr_os_rwlock_write(&vfs->dcache.lock);
}

void vr_dcache_write_end(vrift_vfs *vfs)
{
    vr_os_rwlock_unlock(&vfs->dcache.lock);
    vr_lockrank_give(VR_RANK_DCACHE);
}

int32_t vr_dcache_init(vrift_vfs *vfs)
{
    struct vr_dcache *cache = &vfs->dcache;
    cache->buckets = vr_alloc_zero(vfs->allocator, FIRST_TABLE, sizeof *cache->buckets);
    cache->mounts = vr_alloc_zero(vfs->allocator, VR_MOUNT_BUCKETS, sizeof *cache->mounts);
    cache->mask = FIRST_TABLE - 1;
    if (cache->buckets && cache->mounts && vr_os_rwlock_init(&cache->lock) == 0)
        return 0;
    vr_alloc_free(vfs->allocator, cache->buckets);
    vr_alloc_free(vfs->allocator, cache->mounts);
    return -VRIFT_ENOMEM;
}

void vr_dcache_dispose(vrift_vfs *vfs)
{
    struct vr_dcache *cache = &vfs->dcache;
    assert(atomic_load(&cache->dentries) == 0 && atomic_load(&cache->inodes) == 0);
    vr_alloc_free(vfs->allocator, cache->buckets);
    vr_alloc_free(vfs->allocator, cache->mounts);
    vr_os_rwlock_destroy(&cache->lock);
}

/* -- Names --------------------------------------------------------------------------------------------------------- */

void vr_dcache_name(const char *name, size_t length, struct vr_component *out)
{
    vr_dcache_component(name, name + length, out);
    assert(out->length == length);
}

/* -- Making and destroying ----------------------------------------------------------------------------------------- */

struct vr_dentry *vr_dcache_new(vrift_sb *sb, const struct vr_component *name)
{
    struct vr_dentry *dentry = vr_alloc(sb->vfs->allocator, sizeof *dentry + name->length + 1);
    if (!dentry)
        return NULL;
    memset(dentry, 0, sizeof *dentry);
    atomic_init(&dentry->refs, 1);
    dentry->sb = sb;
    dentry->parent = dentry;
    dentry->hash = name->hash;
    dentry->name = dentry->inline_name;
    dentry->name_length = (uint16_t)name->length;
    memcpy(dentry->inline_name, name->name, name->length);
    dentry->inline_name[name->length] = '\0';
    return dentry;
}

void vr_dcache_discard(struct vr_dentry *fresh)
{
    if (!fresh)
        return;
    assert(fresh->parent == fresh && !fresh->child_prev);
    vr_alloc_free(fresh->sb->vfs->allocator, fresh);
}

/* With an allowance for the name that stays the same over renames. */
static uint64_t charge_of(const struct vr_dentry *dentry)
{
    return sizeof *dentry + 32;
}

static void link_child(struct vr_dentry *parent, struct vr_dentry *child)
{
    child->parent = parent;
    child->child_next = parent->first_child;
    if (child->child_next)
        child->child_next->child_prev = &child->child_next;
    child->child_prev = &parent->first_child;
    parent->first_child = child;
    vr_dcache_ref(parent);
}

/* The parent keeps the reference; the caller drops it. */
static void unlink_child(struct vr_dentry *child)
{
    *child->child_prev = child->child_next;
    if (child->child_next)
        child->child_next->child_prev = child->child_prev;
    child->child_next = NULL;
    child->child_prev = NULL;
}

static void ring_insert(struct vr_dcache *cache, struct vr_dentry *dentry)
{
    struct vr_dentry **hand = &cache->ring[!dentry->inode];
    if (*hand) {
        dentry->clock_next = *hand;
        dentry->clock_before = (*hand)->clock_before;
        dentry->clock_before->clock_next = dentry;
        (*hand)->clock_before = dentry;
    } else {
        dentry->clock_next = dentry->clock_before = dentry;
        *hand = dentry;
    }
    dentry->flags |= VR_DENTRY_LISTED;
}

static void ring_remove(struct vr_dcache *cache, struct vr_dentry *dentry)
{
    struct vr_dentry **hand = &cache->ring[!dentry->inode];
    if (*hand == dentry)
        *hand = dentry->clock_next == dentry ? NULL : dentry->clock_next;
    dentry->clock_next->clock_before = dentry->clock_before;
    dentry->clock_before->clock_next = dentry->clock_next;
    dentry->flags &= (uint16_t)~VR_DENTRY_LISTED;
}

/* Into the table and the ring. */
static void hash_insert(struct vr_dentry *dentry)
{
    struct vr_dcache *cache = &dentry->sb->vfs->dcache;
    struct vr_dentry **bucket = vr_dcache_bucket(cache, dentry->parent, dentry->hash);
    dentry->hash_next = *bucket;
    *bucket = dentry;
    dentry->flags |= VR_DENTRY_HASHED;
    ring_insert(cache, dentry);
    if (dentry->inode) {
        dentry->parent->positive++;
    } else {
        dentry->parent->negative++;
        atomic_fetch_add_explicit(&cache->negatives, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&cache->negative_bytes, charge_of(dentry), memory_order_relaxed);
    }
}

static void hash_remove(struct vr_dentry *dentry)
{
    struct vr_dcache *cache = &dentry->sb->vfs->dcache;
    struct vr_dentry **at = vr_dcache_bucket(cache, dentry->parent, dentry->hash);
    while (*at != dentry)
        at = &(*at)->hash_next;
    *at = dentry->hash_next;
    dentry->flags &= (uint16_t)~VR_DENTRY_HASHED;
    ring_remove(cache, dentry);
    if (dentry->inode) {
        dentry->parent->positive--;
    } else {
        dentry->parent->negative--;
        atomic_fetch_sub_explicit(&cache->negatives, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&cache->negative_bytes, charge_of(dentry), memory_order_relaxed);
    }
}

/* A child enters the books: dentries and bytes. */
static void count_in(struct vr_dentry *dentry)
{
    struct vr_dcache *cache = &dentry->sb->vfs->dcache;
    atomic_fetch_add_explicit(&cache->dentries, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&cache->bytes, charge_of(dentry), memory_order_relaxed);
}

/* Nobody holds it and nobody can find it. */
static void kill_dentry(struct vr_dentry *dentry, struct vr_reap *reap)
{
    while (dentry && atomic_load_explicit(&dentry->refs, memory_order_acquire) == 0 && !vr_dcache_hashed(dentry)) {
        assert(!dentry->first_child && !dentry->mounted);
        struct vr_dentry *parent = dentry->parent;
        unlink_child(dentry);
        dentry->hash_next = reap->dentries;
        reap->dentries = dentry;
        uint32_t left = atomic_fetch_sub_explicit(&parent->refs, 1, memory_order_acq_rel);
        dentry = left == 1 ? parent : NULL;
    }
}

void vr_dcache_unref_locked(struct vr_dentry *dentry, struct vr_reap *reap)
{
    if (dentry && atomic_fetch_sub_explicit(&dentry->refs, 1, memory_order_acq_rel) == 1)
        kill_dentry(dentry, reap);
}

void vr_dcache_unref(struct vr_dentry *dentry)
{
    if (!dentry)
        return;
    uint32_t refs = atomic_load_explicit(&dentry->refs, memory_order_relaxed);
    while (refs > 1)
        if (atomic_compare_exchange_weak_explicit(&dentry->refs, &refs, refs - 1, memory_order_release,
                                                  memory_order_relaxed))
            return;
    /* The read section keeps it from being evicted between the count's fall and the look at it. */
    vrift_vfs *vfs = dentry->sb->vfs;
    vr_dcache_read_begin(vfs);
    bool dead = atomic_fetch_sub_explicit(&dentry->refs, 1, memory_order_acq_rel) == 1 && !vr_dcache_hashed(dentry);
    vr_dcache_read_end(vfs);
    if (!dead)
        return;
    struct vr_reap reap = VR_REAP_INIT;
    vr_dcache_write_begin(vfs);
    kill_dentry(dentry, &reap);
    vr_dcache_write_end(vfs);
    vr_dcache_reap(vfs, &reap);
}

void vr_dcache_reap_spare(struct vr_reap *reap, struct vr_inode *spare)
{
    spare->hash_next = reap->spares;
    reap->spares = spare;
}

void vr_dcache_reap(vrift_vfs *vfs, struct vr_reap *reap)
{
    vr_inode_unref(reap->inode);
    reap->inode = NULL;
    while (reap->spares) {
        struct vr_inode *spare = reap->spares;
        reap->spares = spare->hash_next;
        vr_inode_unref(spare);
    }
    while (reap->fresh) {
        struct vr_dentry *fresh = reap->fresh;
        struct vr_inode *inode = fresh->inode;
        reap->fresh = fresh->hash_next;
        vr_dcache_discard(fresh);
        vr_inode_unref(inode);
    }
    while (reap->dentries) {
        struct vr_dentry *dentry = reap->dentries;
        reap->dentries = dentry->hash_next;
        atomic_fetch_sub_explicit(&vfs->dcache.dentries, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&vfs->dcache.bytes, charge_of(dentry), memory_order_relaxed);
        if (dentry->flags & VR_DENTRY_NAME_HEAP)
            vr_alloc_free(vfs->allocator, dentry->name);
        struct vr_inode *inode = dentry->inode;
        vr_alloc_free(vfs->allocator, dentry);
        if (inode)
            vr_watch_unused(inode);
        vr_inode_unref(inode);
    }
}

/* -- Changing ------------------------------------------------------------------------------------------------------ */

/* Of all names cached, how many may be ones that do not exist: in one directory, and as a part of the budget. */
#define MOST_NEGATIVE_IN_DIR 8192u
#define NEGATIVE_PART        4u

/* Room for one more negative name in a full directory: another one goes, if one is soon found. */
static bool make_negative_room(struct vr_dentry *parent, struct vr_reap *reap)
{
    if (parent->negative < MOST_NEGATIVE_IN_DIR)
        return true;
    struct vr_dentry *dentry = parent->sb->vfs->dcache.ring[1];
    for (uint32_t i = 0; dentry && i < 64; i++, dentry = dentry->clock_next) {
        if (dentry->parent != parent || atomic_load_explicit(&dentry->refs, memory_order_acquire))
            continue;
        vr_dcache_drop(dentry, false, reap);
        return true;
    }
    return false;
}

struct vr_dentry *vr_dcache_add(struct vr_dentry *parent, struct vr_dentry *fresh, uint64_t checked_ns,
                                struct vr_reap *reap)
{
    struct vr_component name = {fresh->name, fresh->name_length, fresh->hash};
    struct vr_dentry *known = vr_dcache_find(fresh->sb->vfs, parent, &name);
    bool keep = true;
    if (known && known->inode == fresh->inode) {
        atomic_store_explicit(&known->checked_ns, checked_ns, memory_order_relaxed);
        vr_dcache_ref(known);
        keep = false;
    } else if (known) {
        vr_dcache_drop(known, !!known->inode, reap);
        known = NULL;
    }
    if (keep && !fresh->inode)
        keep = make_negative_room(parent, reap);
    count_in(fresh);
    link_child(parent, fresh);
    if (keep) {
        atomic_store_explicit(&fresh->checked_ns, checked_ns, memory_order_relaxed);
        hash_insert(fresh);
        return fresh;
    }
    vr_dcache_unref_locked(fresh, reap);
    return known;
}

void vr_dcache_attach(struct vr_dentry *parent, struct vr_dentry *fresh)
{
    count_in(fresh);
    link_child(parent, fresh);
}

void vr_dcache_drop(struct vr_dentry *dentry, bool gone, struct vr_reap *reap)
{
    if (!(dentry->flags & VR_DENTRY_HASHED))
        return;
    if (dentry->inode && !gone)
        dentry->parent->flags &= (uint16_t)~VR_DENTRY_COMPLETE;
    hash_remove(dentry);
    kill_dentry(dentry, reap);
}

void vr_dcache_removed(struct vr_dentry *dentry, struct vr_reap *reap)
{
    if (!(dentry->flags & VR_DENTRY_HASHED))
        return;
    bool alone = atomic_load_explicit(&dentry->refs, memory_order_acquire) == 1;
    if (!alone || !dentry->sb->negatives || dentry->parent->flags & VR_DENTRY_COMPLETE ||
        !make_negative_room(dentry->parent, reap)) {
        vr_dcache_drop(dentry, true, reap);
        return;
    }
    hash_remove(dentry);
    assert(!reap->inode);
    reap->inode = dentry->inode;
    dentry->inode = NULL;
    dentry->flags &= (uint16_t)~VR_DENTRY_COMPLETE;
    hash_insert(dentry);
}

void vr_dcache_prune(struct vr_dentry *dir, struct vr_reap *reap)
{
    struct vr_dentry *next;
    for (struct vr_dentry *child = dir->first_child; child; child = next) {
        next = child->child_next;
        vr_dcache_drop(child, true, reap);
    }
}

static void rename_dentry(struct vr_dentry *dentry, char **name, const struct vr_component *as)
{
    char *old = dentry->flags & VR_DENTRY_NAME_HEAP ? dentry->name : NULL;
    dentry->name = *name;
    dentry->name_length = (uint16_t)as->length;
    dentry->hash = as->hash;
    dentry->flags |= VR_DENTRY_NAME_HEAP;
    *name = old;
}

static void change_parent(struct vr_dentry *dentry, struct vr_dentry *parent, struct vr_reap *reap)
{
    struct vr_dentry *old = dentry->parent;
    if (old == parent)
        return;
    unlink_child(dentry);
    link_child(parent, dentry);
    vr_dcache_unref_locked(old, reap);
}

void vr_dcache_move(struct vr_dentry *dentry, struct vr_dentry *parent, char **name, const struct vr_component *as,
                    struct vr_reap *reap)
{
    if (dentry->flags & VR_DENTRY_HASHED)
        hash_remove(dentry);
    rename_dentry(dentry, name, as);
    change_parent(dentry, parent, reap);
    hash_insert(dentry);
}

void vr_dcache_swap(struct vr_dentry *a, char **name_a, struct vr_dentry *b, char **name_b, struct vr_reap *reap)
{
    struct vr_dentry *parent_a = a->parent, *parent_b = b->parent;
    struct vr_component as_a = {*name_a, b->name_length, b->hash}, as_b = {*name_b, a->name_length, a->hash};
    if (a->flags & VR_DENTRY_HASHED)
        hash_remove(a);
    if (b->flags & VR_DENTRY_HASHED)
        hash_remove(b);
    rename_dentry(a, name_a, &as_a);
    rename_dentry(b, name_b, &as_b);
    vr_dcache_ref(parent_a);
    change_parent(a, parent_b, reap);
    change_parent(b, parent_a, reap);
    vr_dcache_unref_locked(parent_a, reap);
    hash_insert(a);
    hash_insert(b);
}

void vr_dcache_doubt(struct vr_dentry *dir, const struct vr_component *name, struct vr_reap *reap)
{
    dir->flags &= (uint16_t)~VR_DENTRY_COMPLETE;
    struct vr_dentry *dentry = vr_dcache_find(dir->sb->vfs, dir, name);
    if (dentry && !dentry->inode)
        vr_dcache_drop(dentry, false, reap);
}

bool vr_dcache_below(const struct vr_dentry *dentry, const struct vr_dentry *dir)
{
    while (dentry != dir) {
        if (dentry->parent == dentry)
            return false;
        dentry = dentry->parent;
    }
    return true;
}

/* -- The budget ---------------------------------------------------------------------------------------------------- */

/* Turns a ring's hand past at most `steps` dentries and drops at most `most` unused ones. Returns how many. */
static uint32_t sweep(vrift_vfs *vfs, int ring, uint32_t depth, bool spare_used, uint64_t steps, uint32_t most,
                      struct vr_reap *reap)
{
    struct vr_dcache *cache = &vfs->dcache;
    uint32_t dropped = 0;
    while (cache->ring[ring] && steps-- && dropped < most) {
        struct vr_dentry *dentry = cache->ring[ring];
        cache->ring[ring] = dentry->clock_next;
        if (atomic_load_explicit(&dentry->refs, memory_order_acquire) || dentry->sb->depth > depth)
            continue;
        if (spare_used && atomic_exchange_explicit(&dentry->used, 0, memory_order_relaxed))
            continue;
        vr_dcache_drop(dentry, false, reap);
        dropped++;
    }
    atomic_fetch_add_explicit(&cache->evicted, dropped, memory_order_relaxed);
    return dropped;
}

static void grow_table(vrift_vfs *vfs)
{
    struct vr_dcache *cache = &vfs->dcache;
    uint64_t count = atomic_load_explicit(&cache->dentries, memory_order_relaxed);
    vr_dcache_read_begin(vfs);
    uint32_t mask = cache->mask;
    vr_dcache_read_end(vfs);
    if (count <= mask || mask > (1u << 28))
        return;
    uint32_t wanted = mask * 2 + 1;
    struct vr_dentry **table = vr_alloc_zero(vfs->allocator, (size_t)wanted + 1, sizeof *table);
    if (!table)
        return; /* longer chains, nothing worse */
    struct vr_dentry **old = table;
    vr_dcache_write_begin(vfs);
    if (cache->mask == mask) {
        old = cache->buckets;
        cache->buckets = table;
        cache->mask = wanted;
        for (uint32_t i = 0; i <= mask; i++) {
            while (old[i]) {
                struct vr_dentry *dentry = old[i];
                old[i] = dentry->hash_next;
                struct vr_dentry **bucket = vr_dcache_bucket(cache, dentry->parent, dentry->hash);
                dentry->hash_next = *bucket;
                *bucket = dentry;
            }
        }
    }
    vr_dcache_write_end(vfs);
    vr_alloc_free(vfs->allocator, old);
}

static bool over_budget(vrift_vfs *vfs)
{
    return atomic_load_explicit(&vfs->dcache.bytes, memory_order_relaxed) > vfs->cache_budget;
}

static bool over_negative_part(vrift_vfs *vfs)
{
    return atomic_load_explicit(&vfs->dcache.negative_bytes, memory_order_relaxed) > vfs->cache_budget / NEGATIVE_PART;
}

void vr_dcache_balance(vrift_vfs *vfs, uint32_t depth)
{
    struct vr_dcache *cache = &vfs->dcache;
    if ((atomic_load_explicit(&cache->dentries, memory_order_relaxed) & 63) == 0)
        grow_table(vfs);
    for (int round = 0; round < 4 && (over_budget(vfs) || over_negative_part(vfs)); round++) {
        struct vr_reap reap = VR_REAP_INIT;
        vr_dcache_write_begin(vfs);
        if (!sweep(vfs, 1, depth, round < 2, 256, 16, &reap) && over_budget(vfs))
            sweep(vfs, 0, depth, round < 2, 256, 16, &reap);
        vr_dcache_write_end(vfs);
        vr_dcache_reap(vfs, &reap);
    }
}

void vr_dcache_drop_all(vrift_vfs *vfs)
{
    uint32_t dropped;
    do {
        struct vr_reap reap = VR_REAP_INIT;
        uint64_t steps = atomic_load_explicit(&vfs->dcache.dentries, memory_order_relaxed) + 1;
        vr_dcache_write_begin(vfs);
        dropped = sweep(vfs, 1, UINT32_MAX, false, steps, 4096, &reap);
        dropped += sweep(vfs, 0, UINT32_MAX, false, steps, 4096, &reap);
        vr_dcache_write_end(vfs);
        vr_dcache_reap(vfs, &reap);
    } while (dropped);
}

void vr_dcache_shrink_sb(vrift_sb *sb)
{
    bool more = true;
    while (more) {
        struct vr_reap reap = VR_REAP_INIT;
        vr_dcache_write_begin(sb->vfs);
        for (int i = 0; i < 4096 && sb->root->first_child; i++) {
            struct vr_dentry *dentry = sb->root->first_child;
            while (dentry->first_child)
                dentry = dentry->first_child;
            vr_dcache_drop(dentry, false, &reap);
        }
        more = sb->root->first_child;
        vr_dcache_write_end(sb->vfs);
        vr_dcache_reap(sb->vfs, &reap);
    }
}
