/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The part of the dentry cache that the walk runs through at each component, to be inlined there: hashing a name and
 * finding its dentry.
 *
 * A name is hashed eight bytes at a time while its end is looked for. A word's bytes from the first slash on are
 * cleared, so the same name gives the same hash wherever in a path it stands.
 */
#ifndef VR_DCACHEHOT_H
#define VR_DCACHEHOT_H

#include "core/object.h"

#include <string.h>

#define VR_HOT_ONES  0x0101010101010101ULL
#define VR_HOT_HIGHS 0x8080808080808080ULL
#define VR_HOT_SLASH (VR_HOT_ONES * '/')

static inline uint64_t vr_hot_load4(const unsigned char *b)
{
    return (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24;
}

static inline uint64_t vr_hot_load8(const unsigned char *b)
{
    return (uint64_t)b[0] | (uint64_t)b[1] << 8 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 24 | (uint64_t)b[4] << 32 |
           (uint64_t)b[5] << 40 | (uint64_t)b[6] << 48 | (uint64_t)b[7] << 56;
}

/* The `left` < 8 bytes at b, and zeroes. */
static inline uint64_t vr_hot_load_tail(const unsigned char *b, size_t left)
{
    uint64_t word = 0;
    unsigned shift = 0;
    if (left & 4) {
        word = vr_hot_load4(b);
        b += 4;
        shift = 32;
    }
    if (left & 2) {
        word |= ((uint64_t)b[0] | (uint64_t)b[1] << 8) << shift;
        b += 2;
        shift += 16;
    }
    if (left & 1)
        word |= (uint64_t)b[0] << shift;
    return word;
}

static inline uint64_t vr_hot_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
    return hash ^ hash >> 29;
}

/* The word at p, of which `left` bytes count, cut off before the first slash; returns how many bytes of it are left. */
static inline uint32_t vr_hot_cut(const char *p, size_t left, uint64_t *out)
{
    const unsigned char *b = (const unsigned char *)p;
    uint64_t word = left >= 8 ? vr_hot_load8(b) : vr_hot_load_tail(b, left);
    uint64_t other = word ^ VR_HOT_SLASH;
    uint64_t slashes = (other - VR_HOT_ONES) & ~other & VR_HOT_HIGHS;
    *out = word;
    if (!slashes)
        return left >= 8 ? 8 : (uint32_t)left;
    uint64_t before = ((slashes & (0 - slashes)) >> 7) - 1; /* ones in all bytes before the first slash */
    *out = word & before;
    return (uint32_t)((before & VR_HOT_ONES) * VR_HOT_ONES >> 56);
}

/* The component at p, which is not at end nor at a slash; returns what follows it. */
static inline const char *vr_dcache_component(const char *p, const char *end, struct vr_component *out)
{
    const char *start = p;
    uint64_t word, second = 0;
    uint32_t taken = vr_hot_cut(p, (size_t)(end - p), &word);
    uint64_t hash = vr_hot_mix(0, word);
    out->words[0] = word;
    p += taken;
    if (taken == 8 && p < end && *p != '/') {
        taken = vr_hot_cut(p, (size_t)(end - p), &second);
        hash = vr_hot_mix(hash, second);
        p += taken;
        while (taken == 8 && p < end && *p != '/') {
            taken = vr_hot_cut(p, (size_t)(end - p), &word);
            hash = vr_hot_mix(hash, word);
            p += taken;
        }
    }
    out->words[1] = second;
    out->name = start;
    out->length = (uint32_t)(p - start);
    out->hash = (uint32_t)(hash ^ hash >> 32);
    return p;
}

/* Where in the table a name of a directory is. */
static inline uint32_t vr_dcache_hash(const struct vr_dentry *parent, uint32_t hash)
{
    /* Before the product: names that differ in few bits of the hash are far apart after it. */
    return (uint32_t)((((uint64_t)(uintptr_t)parent >> 6) ^ hash) * 0x9e3779b97f4a7c15ULL >> 32);
}

static inline struct vr_dentry *vr_dcache_of(struct vr_link *link)
{
    return (struct vr_dentry *)(void *)link;
}

/* Is a name longer than VR_DENTRY_INLINE the dentry's? The pointer is good, as seq was looked at since it was read. */
bool vr_dcache_long_equal(const struct vr_longname *name, const struct vr_component *component);

/*
 * The dentry of a name, or NULL. Without a lock, seq is what the count was when the reader began; NULL then means
 * nothing if it moved, and no more does what is found: look at it before anything is believed. With the dcache lock,
 * seq is what it is. Every few steps seq is looked at, as a chain that is taken apart may lead anywhere.
 */
static inline struct vr_dentry *vr_dcache_find_at(struct vr_dcache *cache, const struct vr_dentry *parent,
                                                  const struct vr_component *name, uint64_t seq)
{
    vr_bucket *at = vr_table_bucket(&cache->table, vr_dcache_hash(parent, name->hash));
    uint32_t steps = 0;
    for (struct vr_link *link; (link = atomic_load_explicit(at, memory_order_acquire)); at = &link->next) {
        struct vr_dentry *dentry = vr_dcache_of(link);
        if ((++steps & 15) == 0 && atomic_load_explicit(&cache->seq, memory_order_relaxed) != seq)
            return NULL;
        if (atomic_load_explicit(&dentry->hash, memory_order_acquire) != name->hash ||
            atomic_load_explicit(&dentry->parent, memory_order_acquire) != parent ||
            atomic_load_explicit(&dentry->name_length, memory_order_acquire) != name->length)
            continue;
        if (name->length <= VR_DENTRY_INLINE) {
            if (atomic_load_explicit(&dentry->words[0], memory_order_acquire) != name->words[0] ||
                atomic_load_explicit(&dentry->words[1], memory_order_acquire) != name->words[1])
                continue;
        } else {
            const struct vr_longname *text = atomic_load_explicit(&dentry->long_name, memory_order_acquire);
            if (atomic_load_explicit(&cache->seq, memory_order_relaxed) != seq)
                return NULL;
            if (!vr_dcache_long_equal(text, name))
                continue;
        }
        if (!atomic_load_explicit(&dentry->used, memory_order_relaxed))
            atomic_store_explicit(&dentry->used, 1, memory_order_relaxed);
        return dentry;
    }
    return NULL;
}

/* r: the dentry of a name, or NULL. */
static inline struct vr_dentry *vr_dcache_find(vrift_vfs *vfs, const struct vr_dentry *parent,
                                               const struct vr_component *name)
{
    return vr_dcache_find_at(&vfs->dcache, parent, name, atomic_load_explicit(&vfs->dcache.seq, memory_order_relaxed));
}

#endif
