/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/mem/mempage.h"

#include <assert.h>

/* -- Allocating ---------------------------------------------------------------------------------------------------- */

/* The place of a page in a tree that may be one page alone. */
static void **place_of(struct vr_memdata *data, uint64_t index)
{
    if (!data->height)
        return index || !data->root ? NULL : &data->root;
    void **place = vr_mempage_place(data, index);
    return place && *place ? place : NULL;
}

/*
 * Ends an allocation: frees the pages it made, or keeps them. A page that had been allocated before and not written is
 * data once it is allocated again; that is how tmpfs happens to do it, and lseek(2) shows it.
 */
static void settle(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t first, uint64_t end, int keep)
{
    for (uint64_t index = first; index < end; index++) {
        void **place = place_of(data, index);
        struct vr_mempage *page = place ? *place : NULL;
        if (page && keep) {
            page->zeroed = !page->fresh && !page->capacity;
            page->fresh = 0;
        }
        if (!page || keep || !page->fresh)
            continue;
        vr_alloc_free(pool->allocator, page);
        *place = NULL;
        atomic_fetch_sub(&pool->pages, 1);
        data->pages--;
    }
}

static int32_t make_unwritten(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t index)
{
    void **place = vr_mempage_make_place(pool->allocator, data, index);
    if (!place)
        return -VRIFT_ENOMEM;
    if (*place)
        return 0;
    int32_t error = vr_memdata_charge(pool, 1);
    if (error)
        return error;
    struct vr_mempage *page = vr_alloc(pool->allocator, sizeof *page);
    if (!page) {
        atomic_fetch_sub(&pool->pages, 1);
        return -VRIFT_ENOMEM;
    }
    *page = (struct vr_mempage){.fresh = 1};
    *place = page;
    data->pages++;
    return 0;
}

/* The space is counted now; memory for the bytes is taken when they are written. */
int32_t vr_memspace_allocate(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length)
{
    uint64_t first = offset / VR_MEM_PAGE, end = (offset + length - 1) / VR_MEM_PAGE + 1;
    int32_t error = 0;
    if (end - first > pool->most_pages)
        return -VRIFT_ENOSPC;
    if (data->shared)
        return vr_memshared_allocate(pool, data, offset, length);
    uint64_t index = first;
    while (index < end && !error)
        error = make_unwritten(pool, data, index++);
    settle(pool, data, first, index, !error);
    return error;
}

/* -- Clearing ------------------------------------------------------------------------------------------------------ */

/* Zeroes the parts of pages at both ends of a range; the whole pages within are [*first, *end). */
static void clear_edges(const struct vr_memdata *data, uint64_t offset, uint64_t length, uint64_t *first, uint64_t *end)
{
    uint64_t stop = offset + length;
    uint32_t head = (uint32_t)(offset % VR_MEM_PAGE), tail = (uint32_t)(stop % VR_MEM_PAGE);
    *first = offset / VR_MEM_PAGE + (head ? 1 : 0);
    *end = stop / VR_MEM_PAGE;
    if (*first > *end) {
        vr_mempage_clear(data, offset / VR_MEM_PAGE, head, tail);
        *end = *first;
        return;
    }
    if (head)
        vr_mempage_clear(data, offset / VR_MEM_PAGE, head, VR_MEM_PAGE);
    if (tail)
        vr_mempage_clear(data, *end, 0, tail);
}

int32_t vr_memspace_punch(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length)
{
    uint64_t first, end;
    if (data->shared) {
        vr_memshared_punch(pool, data, offset, length);
        return 0;
    }
    clear_edges(data, offset, length, &first, &end);
    if (first < end)
        vr_mempage_remove(pool, data, first, end - 1);
    return 0;
}

/* Whole pages become unwritten ones, as on file systems that can do this without writing. */
int32_t vr_memspace_zero(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length,
                         uint64_t size)
{
    uint64_t first, end;
    int32_t error = vr_memspace_allocate(pool, data, offset, length);
    if (error)
        return error;
    if (data->shared)
        return vr_memshared_zero(pool, data, offset, length, size);
    clear_edges(data, offset, length, &first, &end);
    for (uint64_t index = first; index < end; index++) {
        void **place = place_of(data, index);
        struct vr_mempage *page = *place;
        page->zeroed = 0;
        if (!page->capacity)
            continue;
        page->capacity = 0;
        page = vr_alloc_resize(pool->allocator, page, sizeof *page);
        if (page)
            *place = page; /* else it keeps memory that it does not need */
    }
    return 0;
}

/* -- Moving -------------------------------------------------------------------------------------------------------- */

/*
 * Hangs the pages from `first` on into a new tree, `by` further up or down, and those before it where they are; pages
 * from `dropped` to first are left out. Nothing has changed if memory runs out.
 */
static int32_t shift(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t dropped, uint64_t first,
                     uint64_t by, int up)
{
    struct vr_memdata moved = {0};
    for (uint64_t at = vr_memspace_next(data, 0, 0); at != UINT64_MAX; at = vr_memspace_next(data, at + 1, 0)) {
        if (at >= dropped && at < first)
            continue;
        uint64_t to = at < first ? at : up ? at + by : at - by;
        void **place = vr_mempage_make_place(pool->allocator, &moved, to);
        if (!place) {
            vr_mempage_free_blocks(pool->allocator, moved.root, moved.height);
            return -VRIFT_ENOMEM;
        }
        *place = *place_of(data, at);
    }
    for (uint64_t at = vr_memspace_next(data, dropped, 0); at < first; at = vr_memspace_next(data, at + 1, 0)) {
        vr_alloc_free(pool->allocator, *place_of(data, at));
        atomic_fetch_sub(&pool->pages, 1);
        data->pages--;
    }
    vr_mempage_free_blocks(pool->allocator, data->root, data->height);
    data->root = moved.root;
    data->height = moved.root ? moved.height : 0;
    return 0;
}

int32_t vr_memspace_collapse(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length,
                             uint64_t size)
{
    assert(offset % VR_MEM_PAGE == 0 && length % VR_MEM_PAGE == 0 && length < size && offset < size - length);
    if (data->shared)
        return vr_memshared_collapse(pool, data, offset, length, size);
    uint64_t first = offset / VR_MEM_PAGE, by = length / VR_MEM_PAGE;
    return shift(pool, data, first, first + by, by, 0);
}

int32_t vr_memspace_insert(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length,
                           uint64_t size)
{
    assert(offset % VR_MEM_PAGE == 0 && length % VR_MEM_PAGE == 0 && offset < size);
    if (data->shared)
        return vr_memshared_insert(pool, data, offset, length, size);
    uint64_t first = offset / VR_MEM_PAGE;
    return shift(pool, data, first, first, length / VR_MEM_PAGE, 1);
}
