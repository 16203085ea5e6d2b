/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A hash table that grows by one bucket at a time (linear hashing, Litwin 1980): with n buckets in use, a hash is
 * cut to the bits of the next power of two, and to one bit less if that bucket is not in use yet. Bucket n comes into
 * use by splitting the one it was a part of. Buckets lie in segments that never move, four of a length and then four of
 * twice that: nothing is copied, and a reader without a lock may always follow what it finds.
 */
#ifndef VR_TABLE_H
#define VR_TABLE_H

#include "core/pool.h"

#define VR_TABLE_SEGMENTS 96

typedef _Atomic(struct vr_link *) vr_bucket;
typedef uint32_t (*vr_table_hash_fn)(const struct vr_link *link);

struct vr_table {
    _Atomic uint64_t shape; /* buckets in use, and above 32 bits of that the mask of a hash */
    uint32_t first;         /* log2 of the first segment's length, at least 2 */
    _Atomic(vr_bucket *) segments[VR_TABLE_SEGMENTS];
    _Atomic uint64_t *charged;
};

int32_t vr_table_init(struct vr_table *table, uint32_t first, _Atomic uint64_t *charged,
                      const struct vrift_allocator *allocator);
void vr_table_dispose(struct vr_table *table, const struct vrift_allocator *allocator);

/* The segment of a bucket, and where it starts: all before the first doubling is in segment 0. */
static inline uint32_t vr_table_segment(const struct vr_table *table, uint32_t index, uint32_t *start)
{
    *start = 0;
    if (!(index >> table->first))
        return 0;
    uint32_t top = vr_os_log2(index);
    uint32_t quarter = index >> (top - 2);
    *start = quarter << (top - 2);
    return 1 + (top - table->first) * 4 + (quarter & 3);
}

static inline vr_bucket *vr_table_at(const struct vr_table *table, uint32_t index)
{
    uint32_t start;
    uint32_t segment = vr_table_segment(table, index, &start);
    return atomic_load_explicit(&table->segments[segment], memory_order_acquire) + (index - start);
}

static inline uint32_t vr_table_buckets(const struct vr_table *table)
{
    return (uint32_t)atomic_load_explicit(&table->shape, memory_order_acquire);
}

static inline vr_bucket *vr_table_bucket(const struct vr_table *table, uint32_t hash)
{
    uint64_t shape = atomic_load_explicit(&table->shape, memory_order_acquire);
    uint32_t mask = (uint32_t)(shape >> 32);
    uint32_t index = hash & mask;
    return vr_table_at(table, index < (uint32_t)shape ? index : index & mask >> 1);
}

/*
 * Growing is done in two steps, as no memory may be allocated under the lock that guards the table. Before the lock:
 * the segment that will be wanted next, or NULL. Under it: splits at most so many buckets while there are more entries
 * than buckets times `load`. Returns what of `ahead` was not used, for the caller to free.
 */
vr_bucket *vr_table_ahead(const struct vr_table *table, const struct vrift_allocator *allocator);
vr_bucket *vr_table_grow(struct vr_table *table, uint64_t entries, uint32_t load, uint32_t most,
                         vr_table_hash_fn hash_of, vr_bucket *ahead);

#endif
