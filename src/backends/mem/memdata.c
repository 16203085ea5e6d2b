/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/mem/mem.h"

#include <assert.h>
#include <string.h>

#define FANOUT_BITS 6u
#define FANOUT      (1u << FANOUT_BITS)

struct vr_memdata_block {
    void *child[FANOUT]; /* blocks, or pages on the lowest level */
};

/* A page holds only as many bytes as were ever written to it, so that a small file stays small. */
struct page {
    uint32_t capacity; /* at most VR_MEM_PAGE; what lies beyond reads as zeroes */
    uint8_t bytes[];
};

static unsigned slot_of(uint64_t index, unsigned level)
{
    return (unsigned)(index >> (FANOUT_BITS * (level - 1))) & (FANOUT - 1);
}

/* Whether a tree of this height can hold the page. Eleven levels hold every index of 64 bits. */
static int fits(uint64_t index, unsigned height)
{
    return height * FANOUT_BITS >= 64 || index >> (height * FANOUT_BITS) == 0;
}

static struct page *find_page(const struct vr_memdata *data, uint64_t index)
{
    if (!data->root || !fits(index, data->height))
        return NULL;
    void *at = data->root;
    for (unsigned level = data->height; level > 0 && at; level--)
        at = ((struct vr_memdata_block *)at)->child[slot_of(index, level)];
    return at;
}

void vr_memdata_read(const struct vr_memdata *data, void *buf, size_t len, uint64_t offset)
{
    uint8_t *out = buf;
    while (len > 0) {
        uint32_t start = (uint32_t)(offset % VR_MEM_PAGE);
        size_t part = VR_MEM_PAGE - start;
        if (part > len)
            part = len;
        const struct page *page = find_page(data, offset / VR_MEM_PAGE);
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

/* The place in the tree where the page belongs, with the blocks above it made; NULL without memory. */
static void **make_place(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t index)
{
    if (!data->root) {
        while (!fits(index, data->height))
            data->height++;
    }
    while (!fits(index, data->height)) {
        struct vr_memdata_block *above = vr_alloc_zero(pool->allocator, 1, sizeof *above);
        if (!above)
            return NULL;
        above->child[0] = data->root;
        data->root = above;
        data->height++;
    }
    void **place = &data->root;
    for (unsigned level = data->height; level > 0; level--) {
        if (!*place) {
            *place = vr_alloc_zero(pool->allocator, 1, sizeof(struct vr_memdata_block));
            if (!*place)
                return NULL;
        }
        place = &((struct vr_memdata_block *)*place)->child[slot_of(index, level)];
    }
    return place;
}

static int32_t charge(struct vr_memdata_pool *pool)
{
    uint64_t before = atomic_fetch_add(&pool->pages, 1);
    if (pool->max_pages && before >= pool->max_pages) {
        atomic_fetch_sub(&pool->pages, 1);
        return -VRIFT_ENOSPC;
    }
    return 0;
}

/* The page with room for `wanted` bytes. */
static int32_t make_page(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t index, uint32_t wanted,
                         struct page **out)
{
    void **place = make_place(pool, data, index);
    if (!place)
        return -VRIFT_ENOMEM;
    struct page *page = *place;
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
        int32_t error = charge(pool);
        if (error)
            return error;
    }
    struct page *grown = vr_alloc_resize(pool->allocator, page, sizeof *page + capacity);
    if (!grown) {
        if (!page)
            atomic_fetch_sub(&pool->pages, 1);
        return -VRIFT_ENOMEM;
    }
    memset(grown->bytes + old, 0, capacity - old);
    grown->capacity = capacity;
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
    while (written < len) {
        uint32_t start = (uint32_t)(offset % VR_MEM_PAGE);
        size_t part = VR_MEM_PAGE - start;
        if (part > len - written)
            part = len - written;
        struct page *page;
        *error = make_page(pool, data, offset / VR_MEM_PAGE, start + (uint32_t)part, &page);
        if (*error)
            break;
        memcpy(page->bytes + start, in + written, part);
        written += part;
        offset += part;
    }
    return written;
}

/* Frees the pages from index `first` on below a place of the tree; answers whether nothing is left there. */
static int prune(struct vr_memdata_pool *pool, struct vr_memdata *data, void *at, unsigned level, uint64_t first)
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
    uint64_t from = first >> shift;
    int left = 0;
    for (unsigned i = 0; i < FANOUT; i++) {
        if (!block->child[i])
            continue;
        uint64_t inner = 0;
        if (i < from) {
            left = 1;
            continue;
        }
        if (i == from)
            inner = first - (from << shift);
        if (prune(pool, data, block->child[i], level - 1, inner))
            block->child[i] = NULL;
        else
            left = 1;
    }
    if (!left)
        vr_alloc_free(pool->allocator, block);
    return !left;
}

void vr_memdata_truncate(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t size)
{
    if (!data->root)
        return;
    uint32_t tail = (uint32_t)(size % VR_MEM_PAGE);
    if (tail) {
        struct page *page = find_page(data, size / VR_MEM_PAGE);
        if (page && page->capacity > tail)
            memset(page->bytes + tail, 0, page->capacity - tail);
    }
    uint64_t first = size / VR_MEM_PAGE + (tail ? 1 : 0);
    if (!fits(first, data->height))
        return;
    if (prune(pool, data, data->root, data->height, first)) {
        data->root = NULL;
        data->height = 0;
    }
}

/* The first page at or after index `from` below a place of the tree, counted from there; UINT64_MAX if none. */
static uint64_t next_page(const void *at, unsigned level, uint64_t from)
{
    if (level == 0)
        return from == 0 ? 0 : UINT64_MAX;
    const struct vr_memdata_block *block = at;
    unsigned shift = FANOUT_BITS * (level - 1);
    uint64_t first = from >> shift;
    for (uint64_t i = first; i < FANOUT; i++) {
        if (!block->child[i])
            continue;
        uint64_t found = next_page(block->child[i], level - 1, i == first ? from - (first << shift) : 0);
        if (found != UINT64_MAX)
            return (i << shift) + found;
    }
    return UINT64_MAX;
}

uint64_t vr_memdata_seek(const struct vr_memdata *data, uint64_t offset, uint64_t size, int want_data)
{
    uint64_t index = offset / VR_MEM_PAGE;
    if (want_data) {
        uint64_t found = UINT64_MAX;
        if (data->root && fits(index, data->height))
            found = next_page(data->root, data->height, index);
        if (found == UINT64_MAX || found >= (size + VR_MEM_PAGE - 1) / VR_MEM_PAGE)
            return size;
        return found == index ? offset : found * VR_MEM_PAGE;
    }
    uint64_t at = index;
    while (at * VR_MEM_PAGE < size && find_page(data, at))
        at++;
    if (at == index)
        return offset;
    return at * VR_MEM_PAGE < size ? at * VR_MEM_PAGE : size;
}
