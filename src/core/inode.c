/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/inode.h"

#include "core/alloc.h"
#include "core/dispatch.h"
#include "core/sb.h"

#include <assert.h>
#include <string.h>

/* Inodes a bucket of the table: it is not on any fast path. */
#define LOAD   3u
#define SPLITS 8u

/* -- Life ---------------------------------------------------------------------------------------------------------- */

struct vr_inode *vr_inode_new(vrift_sb *sb)
{
    struct vr_dcache *cache = &sb->vfs->dcache;
    struct vr_inode *inode = vr_pool_get(&cache->inodes, sb->vfs->allocator);
    /* Whether the node has a long key turns out when nothing may fail any more. */
    if (!inode || vr_pool_reserve(&cache->extras, sb->vfs->allocator)) {
        if (inode)
            vr_pool_put(&cache->inodes, inode);
        return NULL;
    }
    inode->sb = sb;
    inode->handle = NULL;
    atomic_store_explicit(&inode->extra, NULL, memory_order_release);
    atomic_store_explicit(&inode->forms, 0, memory_order_release);
    atomic_store_explicit(&inode->mode, 0, memory_order_release);
    atomic_store_explicit(&inode->attr_seq, 0, memory_order_release);
    atomic_store_explicit(&inode->stale, 0, memory_order_release);
    atomic_store_explicit(&inode->unlinked, 0, memory_order_release);
    assert(!atomic_load(&inode->lock));
    atomic_store_explicit(&inode->refs, 1, memory_order_release);
    return inode;
}

static bool is_installed(const struct vr_inode *inode)
{
    return atomic_load_explicit(&inode->forms, memory_order_relaxed) & VR_FORM_INSTALLED;
}

void vr_inode_discard(struct vr_inode *fresh)
{
    assert(!fresh || !is_installed(fresh));
    vr_inode_unref(fresh);
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
    return hash ^ hash >> 32;
}

static bool is_short(const struct vrift_key *key)
{
    return key->length == sizeof(uint64_t) && !key->generation;
}

/* vr_inode.key: a short key itself, or the hash of a long one. */
static uint64_t key_word(const struct vrift_key *key)
{
    uint64_t word;
    if (is_short(key)) {
        memcpy(&word, key->bytes, sizeof word);
        return word;
    }
    uint64_t hash = mix(key->generation, key->length);
    for (uint32_t i = 0; i < key->length; i += 8) {
        word = 0;
        memcpy(&word, key->bytes + i, key->length - i < 8 ? key->length - i : 8);
        hash = mix(hash, word);
    }
    return hash;
}

static uint32_t hash_word(uint64_t word)
{
    return (uint32_t)(mix(0, word) >> 16);
}

uint32_t vr_inode_hash(const struct vrift_key *key)
{
    return hash_word(key_word(key));
}

const struct vrift_node *vr_inode_node(const struct vr_inode *inode, struct vrift_node *space)
{
    memset(space, 0, sizeof *space);
    space->handle = inode->handle;
    if (atomic_load_explicit(&inode->forms, memory_order_relaxed) & VR_FORM_KEY_INLINE) {
        uint64_t key = atomic_load_explicit(&inode->key, memory_order_relaxed);
        memcpy(space->key.bytes, &key, sizeof key);
        space->key.length = sizeof key;
    } else {
        space->key = vr_inode_extra_of(inode)->key;
    }
    return space;
}

static uint32_t hash_of(const struct vr_link *link)
{
    const struct vr_inode *inode = (const struct vr_inode *)(const void *)link;
    return hash_word(atomic_load_explicit(&inode->key, memory_order_relaxed));
}

/* A failure only makes chains longer. */
static void grow_table(vrift_sb *sb)
{
    struct vr_table *table = &sb->inodes;
    uint64_t buckets = vr_table_buckets(table);
    if (atomic_load_explicit(&sb->inode_count, memory_order_relaxed) < buckets * LOAD + SPLITS)
        return;
    vr_bucket *ahead = vr_table_ahead(table, sb->vfs->allocator);
    vr_sb_inode_lock(sb);
    ahead = vr_table_grow(table, atomic_load_explicit(&sb->inode_count, memory_order_relaxed), LOAD, SPLITS, hash_of,
                          ahead);
    vr_sb_inode_unlock(sb);
    vr_alloc_free(sb->vfs->allocator, ahead);
}

bool vr_inode_ref_if_alive(struct vr_inode *inode)
{
    uint32_t refs = atomic_load_explicit(&inode->refs, memory_order_relaxed);
    while (refs)
        if (atomic_compare_exchange_weak(&inode->refs, &refs, refs + 1))
            return true;
    return false;
}

/* An extra slot, good when zero. */
static void set_up_extra(struct vr_inode_extra *extra)
{
    atomic_store_explicit(&extra->attr_time, 0, memory_order_release);
    for (int i = 0; i < VR_EXTRA_WORDS; i++)
        atomic_store_explicit(&extra->attr[i], 0, memory_order_release);
    atomic_store_explicit(&extra->text, NULL, memory_order_release);
    memset(&extra->key, 0, sizeof extra->key);
    atomic_store_explicit(&extra->tmpfile, 0, memory_order_release);
}

static void free_extra(vrift_vfs *vfs, struct vr_inode_extra *extra)
{
    char *text = atomic_load_explicit(&extra->text, memory_order_relaxed);
    if (text)
        atomic_fetch_sub_explicit(&vfs->dcache.bytes, strlen(text) + 1, memory_order_relaxed);
    vr_alloc_free(vfs->allocator, text);
    vr_pool_put(&vfs->dcache.extras, extra);
}

struct vr_inode_extra *vr_inode_extra(struct vr_inode *inode)
{
    struct vr_inode_extra *extra = vr_inode_extra_of(inode);
    if (extra)
        return extra;
    vrift_vfs *vfs = inode->sb->vfs;
    struct vr_inode_extra *fresh = vr_pool_get(&vfs->dcache.extras, vfs->allocator);
    if (!fresh)
        return NULL;
    set_up_extra(fresh);
    if (atomic_compare_exchange_strong_explicit(&inode->extra, &extra, fresh, memory_order_acq_rel,
                                                memory_order_acquire))
        return fresh;
    vr_pool_put(&vfs->dcache.extras, fresh);
    return extra;
}

/* Key and handle of a fresh inode. The promised extra is taken, or given back. */
static void set_node(struct vr_inode *fresh, const struct vrift_entry *entry)
{
    struct vr_pool *extras = &fresh->sb->vfs->dcache.extras;
    const struct vrift_key *key = &entry->node.key;
    uint8_t forms = VR_FORM_INSTALLED;
    bool is_inline = is_short(key);
    if (is_inline)
        forms |= VR_FORM_KEY_INLINE;
    fresh->handle = entry->node.handle;
    atomic_store_explicit(&fresh->key, key_word(key), memory_order_release);
    atomic_store_explicit(&fresh->forms, forms, memory_order_release);
    if (!vr_inode_extra_of(fresh) && (!is_inline || vr_inode_attr_wants_extra(fresh, &entry->attr))) {
        struct vr_inode_extra *extra = vr_pool_take(extras);
        set_up_extra(extra);
        atomic_store_explicit(&fresh->extra, extra, memory_order_release);
    } else {
        vr_pool_release(extras);
    }
    if (!is_inline)
        vr_inode_extra_of(fresh)->key = *key;
}

static bool has_key(struct vr_inode *inode, const struct vrift_key *key, uint64_t word)
{
    if (atomic_load_explicit(&inode->key, memory_order_relaxed) != word)
        return false;
    bool is_inline = atomic_load_explicit(&inode->forms, memory_order_relaxed) & VR_FORM_KEY_INLINE;
    if (is_inline || is_short(key))
        return is_inline && is_short(key);
    const struct vrift_key *own = &vr_inode_extra_of(inode)->key;
    return own->length == key->length && own->generation == key->generation &&
           memcmp(own->bytes, key->bytes, key->length) == 0;
}

struct vr_inode *vr_inode_install(struct vr_inode *fresh, const struct vrift_entry *entry, uint64_t asked_ns)
{
    vrift_sb *sb = fresh->sb;
    assert(entry->node.key.length >= 1 && entry->node.key.length <= VRIFT_KEY_MAX);
    assert(entry->attr.mask & VRIFT_STAT_TYPE);
    grow_table(sb);
    set_node(fresh, entry);
    /* Before anybody can find it, so that a walk never sees an inode without a type. */
    vr_inode_attr_fresh(fresh, 0, &entry->attr, asked_ns);
    atomic_fetch_add_explicit(&sb->holds, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&sb->vfs->dcache.live_inodes, 1, memory_order_relaxed);

    uint64_t word = atomic_load_explicit(&fresh->key, memory_order_relaxed);
    vr_sb_inode_lock(sb);
    vr_bucket *bucket = vr_table_bucket(&sb->inodes, hash_word(word));
    struct vr_link *first = atomic_load_explicit(bucket, memory_order_relaxed);
    struct vr_inode *known = NULL;
    for (struct vr_link *link = first; link; link = atomic_load_explicit(&link->next, memory_order_relaxed)) {
        known = (struct vr_inode *)(void *)link;
        if (has_key(known, &entry->node.key, word) && vr_inode_ref_if_alive(known))
            break;
        known = NULL;
    }
    if (!known) {
        atomic_store_explicit(&fresh->link.next, first, memory_order_relaxed);
        atomic_store_explicit(bucket, &fresh->link, memory_order_relaxed);
        atomic_fetch_add_explicit(&sb->inode_count, 1, memory_order_relaxed);
    }
    vr_sb_inode_unlock(sb);
    return known ? known : fresh;
}

struct vr_inode *vr_inode_known(vrift_sb *sb, const struct vrift_key *key)
{
    uint64_t word = key_word(key);
    vr_sb_inode_lock(sb);
    struct vr_link *link = atomic_load_explicit(vr_table_bucket(&sb->inodes, hash_word(word)), memory_order_relaxed);
    struct vr_inode *known = NULL;
    for (; link && !known; link = atomic_load_explicit(&link->next, memory_order_relaxed)) {
        struct vr_inode *inode = (struct vr_inode *)(void *)link;
        if (has_key(inode, key, word) && vr_inode_ref_if_alive(inode))
            known = inode;
    }
    vr_sb_inode_unlock(sb);
    return known;
}

/* Takes an inode out of the table; the spare of vr_inode_install() is not in it. */
static void unhash(struct vr_inode *inode)
{
    vrift_sb *sb = inode->sb;
    uint32_t hash = hash_of(&inode->link);
    vr_sb_inode_lock(sb);
    vr_bucket *at = vr_table_bucket(&sb->inodes, hash);
    struct vr_link *link;
    while ((link = atomic_load_explicit(at, memory_order_relaxed)) && link != &inode->link)
        at = &link->next;
    if (link) {
        atomic_store_explicit(at, atomic_load_explicit(&link->next, memory_order_relaxed), memory_order_relaxed);
        atomic_fetch_sub_explicit(&sb->inode_count, 1, memory_order_relaxed);
    }
    vr_sb_inode_unlock(sb);
}

void vr_inode_unref(struct vr_inode *inode)
{
    if (!inode || atomic_fetch_sub_explicit(&inode->refs, 1, memory_order_acq_rel) != 1)
        return;
    vrift_sb *sb = inode->sb;
    vrift_vfs *vfs = sb->vfs;
    struct vr_inode_extra *extra = vr_inode_extra_of(inode);
    bool installed = is_installed(inode);
    if (installed) {
        struct vrift_node node;
        unhash(inode);
        vr_dispatch_forget(sb, vr_inode_node(inode, &node));
    } else {
        vr_pool_release(&vfs->dcache.extras);
    }
    if (extra)
        free_extra(vfs, extra);
    vr_pool_put(&vfs->dcache.inodes, inode);
    if (!installed)
        return;
    atomic_fetch_sub_explicit(&vfs->dcache.live_inodes, 1, memory_order_relaxed);
    vr_sb_let_go(sb);
}

void vr_inode_doubt(struct vr_inode *inode)
{
    atomic_store_explicit(&inode->stale, 1, memory_order_release);
    atomic_fetch_add(&inode->sb->vfs->dcache.rights, 1); /* remembered paths may lead through it */
}

/* -- Locks --------------------------------------------------------------------------------------------------------- */

void vr_inode_lock(struct vr_inode *inode, enum vr_rank rank)
{
    vr_lockrank_take(vr_lockrank_key(inode->sb->depth, rank));
    vr_wordlock_write(&inode->lock, &inode->sb->vfs->rooms);
}

void vr_inode_lock_shared(struct vr_inode *inode, enum vr_rank rank)
{
    vr_lockrank_take(vr_lockrank_key(inode->sb->depth, rank));
    vr_wordlock_read(&inode->lock, &inode->sb->vfs->rooms);
}

void vr_inode_unlock(struct vr_inode *inode, enum vr_rank rank)
{
    vr_wordlock_unlock(&inode->lock, &inode->sb->vfs->rooms);
    vr_lockrank_give(vr_lockrank_key(inode->sb->depth, rank));
}

/* -- The text of a symlink ----------------------------------------------------------------------------------------- */

int32_t vr_inode_readlink(struct vr_inode *inode, const char **out)
{
    const struct vrift_allocator *allocator = inode->sb->vfs->allocator;
    struct vr_inode_extra *extra = vr_inode_extra(inode);
    if (!extra)
        return -VRIFT_ENOMEM;
    char *known = atomic_load_explicit(&extra->text, memory_order_acquire);
    if (known) {
        *out = known;
        return 0;
    }
    char text[VRIFT_PATH_MAX];
    int64_t length = vr_dispatch_readlink(inode, text, sizeof text);
    if (length < 0)
        return (int32_t)length;
    if (length == 0)
        return -VRIFT_ENOENT;
    if (length >= (int64_t)sizeof text)
        return -VRIFT_ENAMETOOLONG;
    if (memchr(text, '\0', (size_t)length))
        return -VRIFT_EIO;
    char *copy = vr_alloc_string(allocator, text, (size_t)length);
    if (!copy)
        return -VRIFT_ENOMEM;
    if (atomic_compare_exchange_strong_explicit(&extra->text, &known, copy, memory_order_acq_rel,
                                                memory_order_acquire)) {
        atomic_fetch_add_explicit(&inode->sb->vfs->dcache.bytes, (uint64_t)length + 1, memory_order_relaxed);
        known = copy;
    } else {
        vr_alloc_free(allocator, copy);
    }
    *out = known;
    return 0;
}
