/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/mem/mempage.h"

#include <assert.h>
#include <string.h>

#define FANOUT_BITS VR_MEMPAGE_FANOUT_BITS
#define FANOUT      VR_MEMPAGE_FANOUT

static unsigned slot_of(uint64_t index, unsigned level)
{
    return (unsigned)(index >> (FANOUT_BITS * (level - 1))) & (FANOUT - 1);
}

/* -- The tree ------------------------------------------------------------------------------------------------------ */

void **vr_mempage_place(const struct vr_memdata *data, uint64_t index)
{
    if (!data->root || !vr_mempage_fits(index, data->height))
        return NULL;
    struct vr_memdata_block *at = data->root;
    void **place = NULL;
    for (unsigned level = data->height; level > 0; level--) {
        if (!at)
            return NULL;
        place = &at->child[slot_of(index, level)];
        at = *place;
    }
    return place;
}

static struct vr_mempage *find_page(const struct vr_memdata *data, uint64_t index)
{
    if (!data->height)
        return index ? NULL : data->root;
    void **place = vr_mempage_place(data, index);
    return place ? *place : NULL;
}

void **vr_mempage_make_place(const struct vrift_allocator *allocator, struct vr_memdata *data, uint64_t index)
{
    if (!data->root) {
        while (!vr_mempage_fits(index, data->height))
            data->height++;
    }
    while (!vr_mempage_fits(index, data->height)) {
        struct vr_memdata_block *above = vr_alloc_zero(allocator, 1, sizeof *above);
        if (!above)
            return NULL;
        above->child[0] = data->root;
        data->root = above;
        data->height++;
    }
    void **place = &data->root;
    for (unsigned level = data->height; level > 0; level--) {
        if (!*place) {
            *place = vr_alloc_zero(allocator, 1, sizeof(struct vr_memdata_block));
            if (!*place)
                return NULL;
        }
        place = &((struct vr_memdata_block *)*place)->child[slot_of(index, level)];
    }
    return place;
}

/* The first page at or after index `from` below a place of the tree, counted from there; UINT64_MAX if none. */
static uint64_t next_page(const void *at, unsigned level, uint64_t from, int written)
{
    if (level == 0)
        return from == 0 && (!written || vr_mempage_is_data(at)) ? 0 : UINT64_MAX;
    const struct vr_memdata_block *block = at;
    unsigned shift = FANOUT_BITS * (level - 1);
    uint64_t first = from >> shift;
    for (uint64_t i = first; i < FANOUT; i++) {
        if (!block->child[i])
            continue;
        uint64_t found = next_page(block->child[i], level - 1, i == first ? from - (first << shift) : 0, written);
        if (found != UINT64_MAX)
            return (i << shift) + found;
    }
    return UINT64_MAX;
}

uint64_t vr_memspace_next(const struct vr_memdata *data, uint64_t index, int written)
{
    if (!data->root || !vr_mempage_fits(index, data->height))
        return UINT64_MAX;
    return next_page(data->root, data->height, index, written);
}

/* Frees the pages from index first to last below a place of the tree; answers whether nothing is left there. */
static int prune(struct vr_memdata_pool *pool, struct vr_memdata *data, void *at, unsigned level, uint64_t first,
                 uint64_t last)
{
    if (level == 0) {
        if (first > 0)
            return 0;
        vr_alloc_free(pool->allocator, at);
        atomic_fetch_sub(&pool->pages, 1);
        data->pages--;
        return 1;
    }
    struct vr_memdata_block *block = at;
    unsigned shift = FANOUT_BITS * (level - 1);
    uint64_t from = first >> shift, to = last >> shift;
    int left = 0;
    for (uint64_t i = 0; i < FANOUT; i++) {
        if (!block->child[i])
            continue;
        int outside = i < from || i > to;
        if (!outside && prune(pool, data, block->child[i], level - 1, i == from ? first - (from << shift) : 0,
                              i == to ? last - (to << shift) : UINT64_MAX))
            block->child[i] = NULL;
        else
            left = 1;
    }
    if (!left)
        vr_alloc_free(pool->allocator, block);
    return !left;
}

void vr_mempage_remove(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t first, uint64_t last)
{
    if (first > last || !data->root || !vr_mempage_fits(first, data->height))
        return;
    if (prune(pool, data, data->root, data->height, first, last)) {
        data->root = NULL;
        data->height = 0;
    }
}

void vr_mempage_clear(const struct vr_memdata *data, uint64_t index, uint32_t from, uint32_t to)
{
    struct vr_mempage *page = find_page(data, index);
    if (page && to > page->capacity)
        to = page->capacity;
    if (page && from < to)
        memset(page->bytes + from, 0, to - from);
}

void vr_mempage_free_blocks(const struct vrift_allocator *allocator, void *at, unsigned level)
{
    struct vr_memdata_block *block = at;
    if (!at || level == 0)
        return;
    for (unsigned i = 0; i < FANOUT; i++)
        vr_mempage_free_blocks(allocator, block->child[i], level - 1);
    vr_alloc_free(allocator, block);
}

/* -- Bytes --------------------------------------------------------------------------------------------------------- */

void vr_memdata_read(const struct vr_memdata *data, void *buf, size_t len, uint64_t offset)
{
    if (data->shared) {
        vr_memshared_read(data, buf, len, offset);
        return;
    }
    uint8_t *out = buf;
    while (len > 0) {
        uint32_t start = (uint32_t)(offset % VR_MEM_PAGE);
        size_t part = VR_MEM_PAGE - start;
        if (part > len)
            part = len;
        const struct vr_mempage *page = find_page(data, offset / VR_MEM_PAGE);
        size_t held = page && page->capacity > start ? page->capacity - start : 0;
        if (held > part)
            held = part;
        if (held)
            memcpy(out, page->bytes + start, held);
        memset(out + held, 0, part - held);
        out += part;
        offset += part;
        len -= part;
    }
}

int32_t vr_memdata_charge(struct vr_memdata_pool *pool, uint64_t pages)
{
    uint64_t before = atomic_fetch_add(&pool->pages, pages);
    if (pool->max_pages && pages && (before >= pool->max_pages || pages > pool->max_pages - before)) {
        atomic_fetch_sub(&pool->pages, pages);
        return -VRIFT_ENOSPC;
    }
    return 0;
}

/* The page with room for `wanted` bytes. */
static int32_t make_page(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t index, uint32_t wanted,
                         struct vr_mempage **out)
{
    void **place = vr_mempage_make_place(pool->allocator, data, index);
    if (!place)
        return -VRIFT_ENOMEM;
    struct vr_mempage *page = *place;
    uint32_t old = page ? page->capacity : 0;
    if (page && old >= wanted) {
        *out = page;
        return 0;
    }
    uint32_t capacity = old ? old * 2 : 64;
    while (capacity < wanted)
        capacity *= 2;
    if (capacity > VR_MEM_PAGE)
        capacity = VR_MEM_PAGE;
    if (!page) {
        int32_t error = vr_memdata_charge(pool, 1);
        if (error)
            return error;
    }
    struct vr_mempage *grown = vr_alloc_resize(pool->allocator, page, sizeof *page + capacity);
    if (!grown) {
        if (!page)
            atomic_fetch_sub(&pool->pages, 1);
        return -VRIFT_ENOMEM;
    }
    memset(grown->bytes + old, 0, capacity - old);
    grown->capacity = capacity;
    grown->fresh = grown->zeroed = 0;
    if (!page)
        data->pages++;
    *place = grown;
    *out = grown;
    return 0;
}

size_t vr_memdata_write(struct vr_memdata_pool *pool, struct vr_memdata *data, const void *buf, size_t len,
                        uint64_t offset, int32_t *error)
{
    const uint8_t *in = buf;
    size_t written = 0;
    *error = 0;
    if (data->shared)
        return vr_memshared_write(pool, data, buf, len, offset, error);
    while (written < len) {
        uint32_t start = (uint32_t)(offset % VR_MEM_PAGE);
        size_t part = VR_MEM_PAGE - start;
        if (part > len - written)
            part = len - written;
        struct vr_mempage *page;
        *error = make_page(pool, data, offset / VR_MEM_PAGE, start + (uint32_t)part, &page);
        if (*error)
            break;
        memcpy(page->bytes + start, in + written, part);
        written += part;
        offset += part;
    }
    return written;
}

int32_t vr_memdata_resize(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t old, uint64_t size)
{
    if (data->shared)
        return vr_memshared_resize(pool, data, size);
    if (size > old)
        return 0; /* what was allocated behind the end stays */
    uint32_t tail = (uint32_t)(size % VR_MEM_PAGE);
    if (tail)
        vr_mempage_clear(data, size / VR_MEM_PAGE, tail, VR_MEM_PAGE);
    vr_mempage_remove(pool, data, size / VR_MEM_PAGE + (tail ? 1 : 0), UINT64_MAX);
    return 0;
}

void vr_memdata_dispose(struct vr_memdata_pool *pool, struct vr_memdata *data)
{
    if (data->shared)
        vr_memshared_dispose(pool, data);
    vr_mempage_remove(pool, data, 0, UINT64_MAX);
}

uint64_t vr_memdata_seek(const struct vr_memdata *data, uint64_t offset, uint64_t size, int want_data)
{
    uint64_t index = offset / VR_MEM_PAGE;
    if (data->shared)
        return vr_memshared_seek(data, offset, size, want_data);
    if (want_data) {
        uint64_t found = vr_memspace_next(data, index, 1);
        if (found == UINT64_MAX || found >= (size + VR_MEM_PAGE - 1) / VR_MEM_PAGE)
            return size;
        return found == index ? offset : found * VR_MEM_PAGE;
    }
    uint64_t at = index;
    const struct vr_mempage *page;
    while (at * VR_MEM_PAGE < size && (page = find_page(data, at)) && vr_mempage_is_data(page))
        at++;
    if (at == index)
        return offset;
    return at * VR_MEM_PAGE < size ? at * VR_MEM_PAGE : size;
}
