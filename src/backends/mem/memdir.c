/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/mem/mem.h"

#include <assert.h>
#include <string.h>

uint32_t vr_memdir_hash(uint64_t seed, const char *name, uint32_t length)
{
    uint64_t hash = seed ^ ((uint64_t)length * 0x9e3779b97f4a7c15ULL);
    while (length > 0) {
        uint64_t word = 0;
        uint32_t part = length < 8 ? length : 8;
        memcpy(&word, name, part);
        hash = (hash ^ word) * 0xff51afd7ed558ccdULL;
        hash ^= hash >> 32;
        name += part;
        length -= part;
    }
    hash *= 0xc4ceb9fe1a85ec53ULL;
    return (uint32_t)(hash ^ (hash >> 32));
}

struct vr_memdir_entry *vr_memdir_find(const struct vr_memdir *dir, uint32_t hash, const char *name, uint32_t length)
{
    if (!dir->bucket_count)
        return NULL;
    struct vr_memdir_entry *entry = dir->buckets[hash & (dir->bucket_count - 1)];
    while (entry && !(entry->hash == hash && entry->length == length && memcmp(entry->name, name, length) == 0))
        entry = entry->next;
    return entry;
}

struct vr_memdir_entry *vr_memdir_entry_new(const struct vrift_allocator *allocator, uint32_t hash, const char *name,
                                            uint32_t length, struct vr_memnode *node)
{
    struct vr_memdir_entry *entry = vr_alloc(allocator, sizeof *entry + length + 1);
    if (!entry)
        return NULL;
    *entry = (struct vr_memdir_entry){.node = node, .hash = hash, .length = length};
    memcpy(entry->name, name, length);
    entry->name[length] = '\0';
    return entry;
}

static int32_t grow_buckets(const struct vrift_allocator *allocator, struct vr_memdir *dir)
{
    uint32_t wanted = dir->bucket_count ? dir->bucket_count * 2 : 8;
    struct vr_memdir_entry **buckets = vr_alloc_zero(allocator, wanted, sizeof *buckets);
    if (!buckets)
        return -VRIFT_ENOMEM;
    for (uint32_t i = 0; i < dir->bucket_count; i++) {
        struct vr_memdir_entry *next;
        for (struct vr_memdir_entry *entry = dir->buckets[i]; entry; entry = next) {
            next = entry->next;
            entry->next = buckets[entry->hash & (wanted - 1)];
            buckets[entry->hash & (wanted - 1)] = entry;
        }
    }
    vr_alloc_free(allocator, dir->buckets);
    dir->buckets = buckets;
    dir->bucket_count = wanted;
    return 0;
}

static void sweep_slots(struct vr_memdir *dir)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < dir->slot_count; i++)
        if (dir->slots[i].entry)
            dir->slots[kept++] = dir->slots[i];
    dir->slot_count = kept;
}

int32_t vr_memdir_reserve(const struct vrift_allocator *allocator, struct vr_memdir *dir)
{
    if (dir->count >= dir->bucket_count && dir->bucket_count < 1u << 30) {
        int32_t error = grow_buckets(allocator, dir);
        if (error)
            return error;
    }
    if (dir->slot_count < dir->slot_capacity)
        return 0;
    if (dir->slot_count - dir->count > dir->count / 2) {
        sweep_slots(dir);
        return 0;
    }
    if (dir->slot_capacity > UINT32_MAX / 2)
        return -VRIFT_ENOSPC;
    uint32_t capacity = dir->slot_capacity ? dir->slot_capacity * 2 : 8;
    struct vr_memdir_slot *slots = vr_alloc_resize(allocator, dir->slots, capacity * sizeof *slots);
    if (!slots)
        return -VRIFT_ENOMEM;
    dir->slots = slots;
    dir->slot_capacity = capacity;
    return 0;
}

void vr_memdir_add(struct vr_memdir *dir, struct vr_memdir_entry *entry)
{
    assert(dir->slot_count < dir->slot_capacity && dir->bucket_count);
    entry->cookie = ++dir->last_cookie;
    dir->slots[dir->slot_count++] = (struct vr_memdir_slot){entry->cookie, entry};
    struct vr_memdir_entry **bucket = &dir->buckets[entry->hash & (dir->bucket_count - 1)];
    entry->next = *bucket;
    *bucket = entry;
    dir->count++;
}

void vr_memdir_remove(struct vr_memdir *dir, struct vr_memdir_entry *entry)
{
    struct vr_memdir_entry **link = &dir->buckets[entry->hash & (dir->bucket_count - 1)];
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    entry->next = NULL;
    uint32_t index = vr_memdir_after(dir, entry->cookie - 1);
    assert(dir->slots[index].entry == entry);
    dir->slots[index].entry = NULL;
    dir->count--;
    while (dir->slot_count > 0 && !dir->slots[dir->slot_count - 1].entry)
        dir->slot_count--;
}

uint32_t vr_memdir_after(const struct vr_memdir *dir, uint64_t cookie)
{
    uint32_t low = 0;
    uint32_t high = dir->slot_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (dir->slots[middle].cookie > cookie)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void vr_memdir_dispose(const struct vrift_allocator *allocator, struct vr_memdir *dir)
{
    for (uint32_t i = 0; i < dir->slot_count; i++)
        vr_alloc_free(allocator, dir->slots[i].entry);
    vr_alloc_free(allocator, dir->slots);
    vr_alloc_free(allocator, dir->buckets);
    memset(dir, 0, sizeof *dir);
}
