/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/dcache.h"

#include "core/alloc.h"
#include "core/dcachehot.h"
#include "core/inode.h"
#include "core/watch.h"

#include <assert.h>
#include <string.h>

#define FIRST_TABLE 9u /* log2 */

/* -- The lock ------------------------------------------------------------------------------------------------------ */

void vr_dcache_read_begin(vrift_vfs *vfs)
{
    vr_lockrank_take(VR_RANK_DCACHE);
    vr_os_mutex_lock(&vfs->dcache.lock);
}

void vr_dcache_read_end(vrift_vfs *vfs)
{
    uint64_t seq = atomic_load_explicit(&vfs->dcache.seq, memory_order_relaxed);
    if (seq & 1)
        atomic_store_explicit(&vfs->dcache.seq, seq + 1, memory_order_release);
    vr_os_mutex_unlock(&vfs->dcache.lock);
    vr_lockrank_give(VR_RANK_DCACHE);
}

/* Whatever is stored after this with release is seen only by who sees that seq is odd. */
void vr_dcache_changing(vrift_vfs *vfs)
{
    uint64_t seq = atomic_load_explicit(&vfs->dcache.seq, memory_order_relaxed);
    if (!(seq & 1))
        atomic_store_explicit(&vfs->dcache.seq, seq + 1, memory_order_seq_cst);
}

void vr_dcache_write_begin(vrift_vfs *vfs)
{
    vr_dcache_read_begin(vfs);
    vr_dcache_changing(vfs);
}

void vr_dcache_write_end(vrift_vfs *vfs)
{
    vr_dcache_read_end(vfs);
}

/* -- The whole ----------------------------------------------------------------------------------------------------- */

static void prepare_dentry(void *slot)
{
    struct vr_dentry *dentry = slot;
    atomic_init(&dentry->refs, VR_DENTRY_DEAD);
}

/* All pools, with what they hold. */
static int32_t init_pools(struct vr_dcache *cache)
{
    struct {
        struct vr_pool *pool;
        uint32_t size, alignment;
        void (*prepare)(void *);
    } pools[] = {
        {&cache->dentries[0], sizeof(struct vr_dentry), 64, prepare_dentry},
        {&cache->dentries[1], sizeof(struct vr_dentry), 64, prepare_dentry},
        {&cache->inodes, sizeof(struct vr_inode), 16, NULL},
        {&cache->extras, sizeof(struct vr_inode_extra), 16, NULL},
        {&cache->mount_pool, sizeof(struct vr_mount), 16, NULL},
        {&cache->places, sizeof(struct vr_place), 16, NULL},
        {&cache->long_names[0], sizeof(struct vr_longname) + 32, 8, NULL},
        {&cache->long_names[1], sizeof(struct vr_longname) + 64, 8, NULL},
        {&cache->long_names[2], sizeof(struct vr_longname) + 128, 8, NULL},
        {&cache->long_names[3], sizeof(struct vr_longname) + 256, 8, NULL},
    };
    size_t count = sizeof pools / sizeof pools[0];
    for (uint32_t i = 0; i < VR_CRED_POOLS; i++) {
        size_t size = sizeof(struct vrift_cred) + ((size_t)4 << 2 * i) * sizeof(uint32_t);
        int32_t error = vr_pool_init(&cache->creds[i], (uint32_t)size, 8, NULL, &cache->bytes);
        if (!error)
            continue;
        while (i-- > 0)
            vr_pool_dispose(&cache->creds[i], NULL);
        return error;
    }
    for (size_t i = 0; i < count; i++) {
        int32_t error = vr_pool_init(pools[i].pool, pools[i].size, pools[i].alignment, pools[i].prepare, &cache->bytes);
        if (!error)
            continue;
        while (i-- > 0)
            vr_pool_dispose(pools[i].pool, NULL);
        for (uint32_t j = 0; j < VR_CRED_POOLS; j++)
            vr_pool_dispose(&cache->creds[j], NULL);
        return error;
    }
    return 0;
}

static void dispose_pools(vrift_vfs *vfs)
{
    struct vr_dcache *cache = &vfs->dcache;
    vr_pool_dispose(&cache->dentries[0], vfs->allocator);
    vr_pool_dispose(&cache->dentries[1], vfs->allocator);
    vr_pool_dispose(&cache->inodes, vfs->allocator);
    vr_pool_dispose(&cache->extras, vfs->allocator);
    vr_pool_dispose(&cache->mount_pool, vfs->allocator);
    vr_pool_dispose(&cache->places, vfs->allocator);
    for (int i = 0; i < VR_CRED_POOLS; i++)
        vr_pool_dispose(&cache->creds[i], vfs->allocator);
    for (int i = 0; i < VR_NAME_POOLS; i++)
        vr_pool_dispose(&cache->long_names[i], vfs->allocator);
}

int32_t vr_dcache_init(vrift_vfs *vfs)
{
    struct vr_dcache *cache = &vfs->dcache;
    int32_t error = vr_os_mutex_init(&cache->lock);
    if (error)
        return error;
    error = init_pools(cache);
    if (!error) {
        error = vr_table_init(&cache->table, FIRST_TABLE, &cache->bytes, vfs->allocator);
        if (error)
            dispose_pools(vfs);
    }
    if (error)
        vr_os_mutex_destroy(&cache->lock);
    return error;
}

void vr_dcache_dispose(vrift_vfs *vfs)
{
    struct vr_dcache *cache = &vfs->dcache;
    assert(atomic_load(&cache->count[0]) == 0 && atomic_load(&cache->count[1]) == 0);
    assert(atomic_load(&cache->live_inodes) == 0);
    vr_table_dispose(&cache->table, vfs->allocator);
    dispose_pools(vfs);
    vr_os_mutex_destroy(&cache->lock);
}

/* -- Names --------------------------------------------------------------------------------------------------------- */

void vr_dcache_name(const char *name, size_t length, struct vr_component *out)
{
    vr_dcache_component(name, name + length, out);
    assert(out->length == length);
}

static struct vr_pool *name_pool(vrift_vfs *vfs, uint32_t length)
{
    uint32_t class = length <= 32 ? 0 : vr_os_log2(length - 1) - 4;
    return &vfs->dcache.long_names[class];
}

static uint64_t word_at(const struct vr_component *name, uint32_t at)
{
    const unsigned char *bytes = (const unsigned char *)name->name + at;
    return name->length - at >= 8 ? vr_hot_load8(bytes) : vr_hot_load_tail(bytes, name->length - at);
}

bool vr_dcache_long_equal(const struct vr_longname *text, const struct vr_component *name)
{
    for (uint32_t at = 0; at < name->length; at += 8)
        if (atomic_load_explicit(&text->words[at / 8], memory_order_acquire) != word_at(name, at))
            return false;
    return true;
}

static void write_longname(struct vr_longname *text, const struct vr_component *name)
{
    for (uint32_t at = 0; at < name->length; at += 8)
        atomic_store_explicit(&text->words[at / 8], word_at(name, at), memory_order_release);
}

int32_t vr_dcache_longname(vrift_vfs *vfs, const struct vr_component *name, struct vr_longname **out)
{
    *out = NULL;
    if (name->length <= VR_DENTRY_INLINE)
        return 0;
    *out = vr_pool_get(name_pool(vfs, name->length), vfs->allocator);
    if (!*out)
        return -VRIFT_ENOMEM;
    write_longname(*out, name);
    return 0;
}

void vr_dcache_longname_free(vrift_vfs *vfs, struct vr_longname *name, uint32_t length)
{
    if (name)
        vr_pool_put(name_pool(vfs, length), name);
}

static struct vr_longname *longname_of(const struct vr_dentry *dentry)
{
    bool is_long = atomic_load_explicit(&dentry->name_length, memory_order_relaxed) > VR_DENTRY_INLINE;
    return is_long ? atomic_load_explicit(&dentry->long_name, memory_order_relaxed) : NULL;
}

/* The name and its hash, in the dentry or in `text`. */
static void set_name(struct vr_dentry *dentry, const struct vr_component *name, struct vr_longname *text)
{
    atomic_store_explicit(&dentry->hash, name->hash, memory_order_release);
    atomic_store_explicit(&dentry->name_length, (uint8_t)name->length, memory_order_release);
    if (text) {
        atomic_store_explicit(&dentry->long_name, text, memory_order_release);
    } else {
        atomic_store_explicit(&dentry->words[0], name->words[0], memory_order_release);
        atomic_store_explicit(&dentry->words[1], name->words[1], memory_order_release);
    }
}

size_t vr_dcache_name_of(const struct vr_dentry *dentry, char buf[VRIFT_NAME_MAX])
{
    uint32_t length = dentry->name_length;
    const struct vr_longname *text = longname_of(dentry);
    for (uint32_t i = 0; i < length; i++) {
        uint64_t word = text ? atomic_load_explicit(&text->words[i / 8], memory_order_relaxed)
                             : atomic_load_explicit(&dentry->words[i / 8], memory_order_relaxed);
        buf[i] = (char)(word >> (i % 8 * 8) & 0xff);
    }
    return length;
}

/* A dentry's name as a component; bytes are for a long one. */
static void component_of(const struct vr_dentry *dentry, char bytes[VRIFT_NAME_MAX], struct vr_component *out)
{
    *out = (struct vr_component){NULL, dentry->name_length, dentry->hash, {dentry->words[0], dentry->words[1]}};
    if (out->length > VR_DENTRY_INLINE)
        vr_dcache_name(bytes, vr_dcache_name_of(dentry, bytes), out);
}

/* -- Making and destroying ----------------------------------------------------------------------------------------- */

/* A slot becomes a dentry again: nobody can find it, though a late reader may hold it for a moment. */
static void set_up(struct vr_dentry *dentry, const struct vr_component *name, struct vr_longname *text, uint16_t flags)
{
    atomic_store_explicit(&dentry->parent, dentry, memory_order_release);
    atomic_store_explicit(&dentry->inode, NULL, memory_order_release);
    atomic_store_explicit(&dentry->flags, flags, memory_order_release);
    atomic_store_explicit(&dentry->used, 0, memory_order_relaxed);
    atomic_store_explicit(&dentry->checked_ns, 0, memory_order_relaxed);
    dentry->negative = 0;
    set_name(dentry, name, text);
    atomic_store_explicit(&dentry->refs, 1, memory_order_release);
}

static struct vr_dentry *make(vrift_vfs *vfs, const struct vr_component *name, uint16_t flags)
{
    struct vr_longname *text;
    if (vr_dcache_longname(vfs, name, &text))
        return NULL;
    struct vr_dentry *dentry = vr_pool_get(&vfs->dcache.dentries[!!(flags & VR_DENTRY_NEGATIVE)], vfs->allocator);
    if (dentry)
        set_up(dentry, name, text, flags);
    else
        vr_dcache_longname_free(vfs, text, name->length);
    return dentry;
}

struct vr_dentry *vr_dcache_new(vrift_sb *sb, const struct vr_component *name)
{
    return make(sb->vfs, name, 0);
}

struct vr_dentry *vr_dcache_new_negative(vrift_sb *sb, const struct vr_component *name)
{
    return make(sb->vfs, name, VR_DENTRY_NEGATIVE);
}

/* Back to its pool; it is dead. */
static void free_dentry(vrift_vfs *vfs, struct vr_dentry *dentry)
{
    vr_dcache_longname_free(vfs, longname_of(dentry), dentry->name_length);
    vr_pool_put(&vfs->dcache.dentries[!!(dentry->flags & VR_DENTRY_NEGATIVE)], dentry);
}

void vr_dcache_discard(vrift_vfs *vfs, struct vr_dentry *fresh)
{
    if (!fresh)
        return;
    assert(fresh->parent == fresh && !(fresh->flags & VR_DENTRY_COUNTED));
    fresh->inode = NULL;
    struct vr_reap reap = VR_REAP_INIT;
    vr_dcache_read_begin(vfs);
    vr_dcache_unref_locked(fresh, &reap);
    vr_dcache_read_end(vfs);
    vr_dcache_reap(vfs, &reap);
}

static void set_parent(struct vr_dentry *dentry, struct vr_dentry *parent)
{
    atomic_store_explicit(&dentry->parent, parent, memory_order_release);
    vr_dcache_ref(parent);
}

static vr_bucket *bucket_of(struct vr_dcache *cache, const struct vr_dentry *dentry)
{
    return vr_table_bucket(&cache->table, vr_dcache_hash(dentry->parent, dentry->hash));
}

static void count_child(const struct vr_dentry *dentry, int by)
{
    struct vr_dentry *parent = dentry->parent;
    if (!dentry->inode)
        parent->negative += (uint32_t)by;
    else if (parent->inode->sb->names_stable)
        atomic_fetch_add_explicit(&parent->positive, (uint64_t)(int64_t)by, memory_order_relaxed);
}

/* Into the table: from the last store on, readers find it. */
static void hash_insert(struct vr_dcache *cache, struct vr_dentry *dentry)
{
    vr_bucket *bucket = bucket_of(cache, dentry);
    struct vr_link *first = atomic_load_explicit(bucket, memory_order_relaxed);
    atomic_store_explicit(&dentry->link.next, first, memory_order_release);
    dentry->flags |= VR_DENTRY_HASHED;
    count_child(dentry, 1);
    atomic_store_explicit(bucket, &dentry->link, memory_order_release);
    if (dentry->inode)
        atomic_fetch_add(&cache->inserts, 1);
}

/* Readers that stand on it go on from it where it led. */
static void hash_remove(struct vr_dcache *cache, struct vr_dentry *dentry)
{
    vr_bucket *at = bucket_of(cache, dentry);
    struct vr_link *link;
    while ((link = atomic_load_explicit(at, memory_order_relaxed)) != &dentry->link)
        at = &link->next;
    atomic_store_explicit(at, atomic_load_explicit(&link->next, memory_order_relaxed), memory_order_release);
    dentry->flags &= (uint16_t)~VR_DENTRY_HASHED;
    count_child(dentry, -1);
}

/* A child enters the books. */
static void count_in(struct vr_dcache *cache, struct vr_dentry *dentry)
{
    dentry->flags |= VR_DENTRY_COUNTED;
    atomic_fetch_add_explicit(&cache->count[!dentry->inode], 1, memory_order_relaxed);
}

void vr_dcache_kill(struct vr_dentry *dentry, struct vr_reap *reap)
{
    while (!vr_dcache_hashed(dentry)) {
        uint32_t none = 0;
        if (!atomic_compare_exchange_strong(&dentry->refs, &none, VR_DENTRY_DEAD))
            return;
        assert(!vr_dcache_mounted(dentry));
        struct vr_dentry *parent = dentry->parent;
        atomic_store_explicit(&dentry->link.next, reap->dentries ? &reap->dentries->link : NULL, memory_order_release);
        reap->dentries = dentry;
        if (parent == dentry || atomic_fetch_sub(&parent->refs, 1) != 1)
            return;
        dentry = parent;
    }
}

void vr_dcache_unref_locked(struct vr_dentry *dentry, struct vr_reap *reap)
{
    if (dentry && atomic_fetch_sub(&dentry->refs, 1) == 1)
        vr_dcache_kill(dentry, reap);
}

/*
 * Whoever takes a dentry out of the table moves seq before and looks at refs after; here refs falls before and seq is
 * looked at after. So one of the two sees that the dentry is to die. By then it may be dead, and even another one: which
 * one it is does not matter, as nobody who is neither held nor found may stay.
 */
void vr_dcache_unref_of(vrift_vfs *vfs, struct vr_dentry *dentry)
{
    uint32_t refs = atomic_load_explicit(&dentry->refs, memory_order_relaxed);
    while (refs > 1)
        if (atomic_compare_exchange_weak_explicit(&dentry->refs, &refs, refs - 1, memory_order_release,
                                                  memory_order_relaxed))
            return;
    uint64_t seq = atomic_load(&vfs->dcache.seq);
    bool found = vr_dcache_hashed(dentry);
    if (atomic_fetch_sub(&dentry->refs, 1) != 1 || (found && !(seq & 1) && atomic_load(&vfs->dcache.seq) == seq))
        return;
    struct vr_reap reap = VR_REAP_INIT;
    vr_dcache_read_begin(vfs);
    vr_dcache_kill(dentry, &reap);
    vr_dcache_read_end(vfs);
    vr_dcache_reap(vfs, &reap);
}

void vr_dcache_unref(struct vr_dentry *dentry)
{
    if (dentry)
        vr_dcache_unref_of(vr_dcache_sb(dentry)->vfs, dentry);
}

void vr_dcache_reap_spare(struct vr_reap *reap, struct vr_inode *spare)
{
    atomic_store_explicit(&spare->link.next, reap->spares ? &reap->spares->link : NULL, memory_order_relaxed);
    reap->spares = spare;
}

static struct vr_dentry *next_dead(const struct vr_dentry *dentry)
{
    return vr_dcache_of(atomic_load_explicit(&dentry->link.next, memory_order_relaxed));
}

/* The last that died is the first in the list, but who watches hears of them in the order of their deaths. */
static void tell_of_dead(struct vr_reap *reap)
{
    struct vr_dentry *reversed = NULL, *next;
    for (struct vr_dentry *dentry = reap->dentries; dentry; dentry = next) {
        next = next_dead(dentry);
        atomic_store_explicit(&dentry->link.next, reversed ? &reversed->link : NULL, memory_order_release);
        reversed = dentry;
    }
    reap->dentries = reversed;
    for (struct vr_dentry *dentry = reversed; dentry; dentry = next_dead(dentry))
        if (dentry->inode)
            vr_watch_unused(dentry->inode);
}

void vr_dcache_reap(vrift_vfs *vfs, struct vr_reap *reap)
{
    if (vr_watch_any(vfs))
        tell_of_dead(reap);
    while (reap->spares) {
        struct vr_inode *spare = reap->spares;
        reap->spares = (struct vr_inode *)(void *)atomic_load_explicit(&spare->link.next, memory_order_relaxed);
        vr_inode_unref(spare);
    }
    while (reap->dentries) {
        struct vr_dentry *dentry = reap->dentries;
        reap->dentries = next_dead(dentry);
        struct vr_inode *inode = dentry->inode;
        if (dentry->flags & VR_DENTRY_COUNTED)
            atomic_fetch_sub_explicit(&vfs->dcache.count[!inode], 1, memory_order_relaxed);
        free_dentry(vfs, dentry);
        vr_inode_unref(inode);
    }
}

/* -- Changing ------------------------------------------------------------------------------------------------------ */

static vrift_vfs *vfs_of(const struct vr_dentry *dentry)
{
    return vr_dcache_sb(dentry)->vfs;
}

struct vr_dentry *vr_dcache_add(struct vr_dentry *parent, struct vr_dentry *fresh, uint64_t checked_ns,
                                struct vr_reap *reap)
{
    vrift_sb *sb = parent->inode->sb;
    struct vr_dcache *cache = &sb->vfs->dcache;
    char bytes[VRIFT_NAME_MAX];
    struct vr_component name;
    component_of(fresh, bytes, &name);
    struct vr_dentry *known = vr_dcache_find(sb->vfs, parent, &name);
    bool keep = true;
    if (known && known->inode == fresh->inode) {
        if (!sb->names_stable)
            atomic_store_explicit(&known->checked_ns, checked_ns, memory_order_relaxed);
        vr_dcache_ref(known);
        keep = false;
    } else if (known) {
        vr_dcache_drop(known, !!known->inode, reap);
        known = NULL;
    }
    if (keep && !fresh->inode)
        keep = !parent->inode->unlinked && vr_dcacheclock_negative_room(parent, reap);
    count_in(cache, fresh);
    set_parent(fresh, parent);
    if (!keep) {
        vr_dcache_unref_locked(fresh, reap);
        return known;
    }
    if (!sb->names_stable)
        atomic_store_explicit(&fresh->checked_ns, checked_ns, memory_order_relaxed);
    hash_insert(cache, fresh);
    return fresh;
}

void vr_dcache_attach(struct vr_dentry *parent, struct vr_dentry *fresh)
{
    count_in(&vfs_of(parent)->dcache, fresh);
    set_parent(fresh, parent);
}

void vr_dcache_drop(struct vr_dentry *dentry, bool gone, struct vr_reap *reap)
{
    if (!(dentry->flags & VR_DENTRY_HASHED))
        return;
    vrift_vfs *vfs = vfs_of(dentry);
    vr_dcache_changing(vfs);
    if (dentry->inode && !gone)
        dentry->parent->flags &= (uint16_t)~VR_DENTRY_COMPLETE;
    hash_remove(&vfs->dcache, dentry);
    vr_dcache_kill(dentry, reap);
}

/* A negative dentry of another's name, if that costs no memory; the lock is held. */
static struct vr_dentry *try_negative(vrift_vfs *vfs, const struct vr_component *name)
{
    struct vr_longname *text = NULL;
    if (name->length > VR_DENTRY_INLINE) {
        text = vr_pool_try(name_pool(vfs, name->length));
        if (!text)
            return NULL;
        write_longname(text, name);
    }
    struct vr_dentry *dentry = vr_pool_try(&vfs->dcache.dentries[1]);
    if (dentry)
        set_up(dentry, name, text, VR_DENTRY_NEGATIVE);
    else
        vr_dcache_longname_free(vfs, text, name->length);
    return dentry;
}

void vr_dcache_removed(struct vr_dentry *dentry, struct vr_reap *reap)
{
    if (!(dentry->flags & VR_DENTRY_HASHED))
        return;
    vrift_sb *sb = vr_dcache_sb(dentry);
    struct vr_dentry *parent = dentry->parent, *negative = NULL;
    if (sb->negatives && !(parent->flags & VR_DENTRY_COMPLETE)) {
        char bytes[VRIFT_NAME_MAX];
        struct vr_component name;
        component_of(dentry, bytes, &name);
        negative = try_negative(sb->vfs, &name);
    }
    uint64_t checked_ns = sb->names_stable ? 0 : atomic_load_explicit(&dentry->checked_ns, memory_order_relaxed);
    vr_dcache_ref(parent);
    vr_dcache_drop(dentry, true, reap);
    if (negative)
        vr_dcache_unref_locked(vr_dcache_add(parent, negative, checked_ns, reap), reap);
    vr_dcache_unref_locked(parent, reap);
}

void vr_dcache_drop_double(struct vr_dentry *dir, const struct vr_component *name, const struct vr_dentry *dentry,
                           struct vr_reap *reap)
{
    struct vr_dentry *there = vr_dcache_find(vfs_of(dir), dir, name);
    if (there && there != dentry)
        vr_dcache_drop(there, true, reap);
}

static void rename_dentry(struct vr_dentry *dentry, const struct vr_component *as, struct vr_longname **text,
                          uint32_t *length)
{
    struct vr_longname *old = longname_of(dentry);
    *length = dentry->name_length;
    set_name(dentry, as, *text);
    *text = old;
}

static void change_parent(struct vr_dentry *dentry, struct vr_dentry *parent, struct vr_reap *reap)
{
    struct vr_dentry *old = dentry->parent;
    if (old == parent)
        return;
    set_parent(dentry, parent);
    vr_dcache_unref_locked(old, reap);
}

void vr_dcache_move(struct vr_dentry *dentry, struct vr_dentry *parent, const struct vr_component *as,
                    struct vr_longname **text, uint32_t *length, struct vr_reap *reap)
{
    struct vr_dcache *cache = &vfs_of(dentry)->dcache;
    vr_dcache_changing(vfs_of(dentry));
    if (dentry->flags & VR_DENTRY_HASHED)
        hash_remove(cache, dentry);
    rename_dentry(dentry, as, text, length);
    change_parent(dentry, parent, reap);
    hash_insert(cache, dentry);
}

/* Two names change places: what lies inline, or the memory of a long one. */
static void swap_names(struct vr_dentry *a, struct vr_dentry *b)
{
    struct vr_longname *text_a = longname_of(a), *text_b = longname_of(b);
    struct vr_component as_a = {NULL, b->name_length, b->hash, {b->words[0], b->words[1]}};
    struct vr_component as_b = {NULL, a->name_length, a->hash, {a->words[0], a->words[1]}};
    set_name(a, &as_a, text_b);
    set_name(b, &as_b, text_a);
}

void vr_dcache_swap(struct vr_dentry *a, struct vr_dentry *b, struct vr_reap *reap)
{
    struct vr_dcache *cache = &vfs_of(a)->dcache;
    struct vr_dentry *parent_a = a->parent, *parent_b = b->parent;
    vr_dcache_changing(vfs_of(a));
    if (a->flags & VR_DENTRY_HASHED)
        hash_remove(cache, a);
    if (b->flags & VR_DENTRY_HASHED)
        hash_remove(cache, b);
    swap_names(a, b);
    vr_dcache_ref(parent_a);
    change_parent(a, parent_b, reap);
    change_parent(b, parent_a, reap);
    vr_dcache_unref_locked(parent_a, reap);
    hash_insert(cache, a);
    hash_insert(cache, b);
}

void vr_dcache_doubt(struct vr_dentry *dir, const struct vr_component *name, struct vr_reap *reap)
{
    vrift_vfs *vfs = vfs_of(dir);
    vr_dcache_changing(vfs);
    dir->flags &= (uint16_t)~VR_DENTRY_COMPLETE;
    struct vr_dentry *dentry = vr_dcache_find(vfs, dir, name);
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
