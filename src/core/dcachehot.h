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

/* The component at p, which is not at end nor at a slash; returns what follows it. */
static inline const char *vr_dcache_component(const char *p, const char *end, struct vr_component *out)
{
    const char *start = p;
    uint64_t hash = 0;
    for (;;) {
        size_t left = (size_t)(end - p);
        const unsigned char *b = (const unsigned char *)p;
        uint64_t word = left >= 8 ? vr_hot_load8(b) : vr_hot_load_tail(b, left);
        uint64_t other = word ^ VR_HOT_SLASH;
        uint64_t slashes = (other - VR_HOT_ONES) & ~other & VR_HOT_HIGHS;
        if (slashes) {
            uint64_t before = ((slashes & (0 - slashes)) >> 7) - 1; /* ones in all bytes before the first slash */
            if (before)
                hash = vr_hot_mix(hash, word & before);
            p += (before & VR_HOT_ONES) * VR_HOT_ONES >> 56;
            break;
        }
        if (left)
            hash = vr_hot_mix(hash, word);
        p += left < 8 ? left : 8;
        if (left <= 8)
            break;
    }
    out->name = start;
    out->length = (uint32_t)(p - start);
    out->hash = (uint32_t)(hash ^ hash >> 32);
    return p;
}

static inline struct vr_dentry **vr_dcache_bucket(const struct vr_dcache *cache, const struct vr_dentry *parent,
                                                  uint32_t hash)
{
    uint64_t at = ((uint64_t)(uintptr_t)parent >> 4) * 0x9e3779b97f4a7c15ULL;
    return &cache->buckets[((uint32_t)(at >> 32) ^ hash) & cache->mask];
}

/* In a read section: the dentry of a name, or NULL. */
static inline struct vr_dentry *vr_dcache_find(vrift_vfs *vfs, const struct vr_dentry *parent,
                                               const struct vr_component *name)
{
    struct vr_dentry *dentry = *vr_dcache_bucket(&vfs->dcache, parent, name->hash);
    for (; dentry; dentry = dentry->hash_next) {
        if (dentry->hash != name->hash || dentry->parent != parent || dentry->name_length != name->length ||
            memcmp(dentry->name, name->name, name->length) != 0)
            continue;
        if (!atomic_load_explicit(&dentry->used, memory_order_relaxed))
            atomic_store_explicit(&dentry->used, 1, memory_order_relaxed);
        return dentry;
    }
    return NULL;
}

#endif
