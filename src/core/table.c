/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/table.h"

#include "core/alloc.h"

#include <vrift/error.h>

static uint64_t shape_of(uint32_t buckets)
{
    uint64_t mask = ((uint64_t)2 << vr_os_log2(buckets - 1)) - 1;
    return mask << 32 | buckets;
}

int32_t vr_table_init(struct vr_table *table, uint32_t first, _Atomic uint64_t *charged,
                      const struct vrift_allocator *allocator)
{
    vr_bucket *segment = vr_alloc_zero(allocator, (size_t)1 << first, sizeof *segment);
    if (!segment)
        return -VRIFT_ENOMEM;
    table->first = first;
    table->charged = charged;
    atomic_init(&table->shape, shape_of(1u << first));
    atomic_init(&table->segments[0], segment);
    atomic_fetch_add_explicit(charged, sizeof *segment << first, memory_order_relaxed);
    return 0;
}

static uint64_t length_of(const struct vr_table *table, uint32_t segment)
{
    return segment ? (uint64_t)1 << (table->first - 2 + (segment - 1) / 4) : (uint64_t)1 << table->first;
}

void vr_table_dispose(struct vr_table *table, const struct vrift_allocator *allocator)
{
    for (uint32_t i = 0; i < VR_TABLE_SEGMENTS && atomic_load(&table->segments[i]); i++) {
        atomic_fetch_sub_explicit(table->charged, length_of(table, i) * sizeof(vr_bucket), memory_order_relaxed);
        vr_alloc_free(allocator, atomic_load(&table->segments[i]));
    }
}

/* The segment in which the next bucket lies. */
static uint32_t next_segment(const struct vr_table *table)
{
    uint32_t start;
    return vr_table_segment(table, vr_table_buckets(table), &start);
}

vr_bucket *vr_table_ahead(const struct vr_table *table, const struct vrift_allocator *allocator)
{
    uint32_t segment = next_segment(table);
    if (segment >= VR_TABLE_SEGMENTS || atomic_load_explicit(&table->segments[segment], memory_order_acquire))
        return NULL;
    return vr_alloc_zero(allocator, (size_t)length_of(table, segment), sizeof(vr_bucket));
}

static void split(struct vr_table *table, vr_table_hash_fn hash_of)
{
    uint32_t fresh = vr_table_buckets(table);
    uint32_t top = 1u << vr_os_log2(fresh);
    vr_bucket *to = vr_table_at(table, fresh);
    vr_bucket *at = vr_table_at(table, fresh - top);
    for (struct vr_link *link; (link = atomic_load_explicit(at, memory_order_relaxed));) {
        if (!(hash_of(link) & top)) {
            at = &link->next;
            continue;
        }
        struct vr_link *rest = atomic_load_explicit(&link->next, memory_order_relaxed);
        atomic_store_explicit(&link->next, atomic_load_explicit(to, memory_order_relaxed), memory_order_release);
        atomic_store_explicit(to, link, memory_order_release);
        atomic_store_explicit(at, rest, memory_order_release);
    }
    atomic_store_explicit(&table->shape, shape_of(fresh + 1), memory_order_release);
}

vr_bucket *vr_table_grow(struct vr_table *table, uint64_t entries, uint32_t load, uint32_t most,
                         vr_table_hash_fn hash_of, vr_bucket *ahead)
{
    while (most-- && entries > (uint64_t)vr_table_buckets(table) * load) {
        uint32_t segment = next_segment(table);
        if (segment >= VR_TABLE_SEGMENTS)
            break;
        if (!atomic_load_explicit(&table->segments[segment], memory_order_relaxed)) {
            if (!ahead)
                break;
            atomic_store_explicit(&table->segments[segment], ahead, memory_order_release);
            atomic_fetch_add_explicit(table->charged, length_of(table, segment) * sizeof *ahead, memory_order_relaxed);
            ahead = NULL;
        }
        split(table, hash_of);
    }
    return ahead;
}
