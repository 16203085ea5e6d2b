/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* How the pages of a file hang together; for memdata.c and memspace.c alone. */
#ifndef VR_MEMPAGE_H
#define VR_MEMPAGE_H

#include "backends/mem/mem.h"

#define VR_MEMPAGE_FANOUT_BITS 6u
#define VR_MEMPAGE_FANOUT      (1u << VR_MEMPAGE_FANOUT_BITS)

struct vr_memdata_block {
    void *child[VR_MEMPAGE_FANOUT]; /* blocks, or pages on the lowest level */
};

/* A page holds only as many bytes as were ever written to it, so that a small file stays small. */
struct vr_mempage {
    uint32_t capacity; /* at most VR_MEM_PAGE; what lies beyond reads as zeroes */
    uint16_t fresh;    /* made by the allocation that is going on */
    uint16_t zeroed;   /* without capacity: counts as written all the same */
    uint8_t bytes[];
};

/* Data, in the sense of lseek(2); else it is only allocated. */
static inline int vr_mempage_is_data(const struct vr_mempage *page)
{
    return page->capacity || page->zeroed;
}

/* Whether a tree of this height can hold the page. Eleven levels hold every index of 64 bits. */
static inline int vr_mempage_fits(uint64_t index, unsigned height)
{
    return height * VR_MEMPAGE_FANOUT_BITS >= 64 || index >> (height * VR_MEMPAGE_FANOUT_BITS) == 0;
}

/* Where the page hangs; NULL if the tree does not reach there. */
void **vr_mempage_place(const struct vr_memdata *data, uint64_t index);

/* Likewise, with the blocks above it made; NULL without memory. */
void **vr_mempage_make_place(const struct vrift_allocator *allocator, struct vr_memdata *data, uint64_t index);

/* Frees the pages from first to last. */
void vr_mempage_remove(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t first, uint64_t last);

/* Zeroes bytes within one page, if it exists. */
void vr_mempage_clear(const struct vr_memdata *data, uint64_t index, uint32_t from, uint32_t to);

/* Frees the blocks of a tree, not its pages. */
void vr_mempage_free_blocks(const struct vrift_allocator *allocator, void *at, unsigned level);

#endif
