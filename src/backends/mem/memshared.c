/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/mem/mem.h"

#include <assert.h>

#define NOWHERE UINT64_MAX

static const uint8_t zeroes[VR_MEM_PAGE];

static uint64_t pages_of(uint64_t bytes)
{
    return bytes / VR_MEM_PAGE + (bytes % VR_MEM_PAGE != 0);
}

/* -- Counting ------------------------------------------------------------------------------------------------------ */

/* Pages from first to last that hold nothing. */
static uint64_t holes(const struct vr_memshared *shared, uint64_t first, uint64_t last)
{
    uint64_t count = 0;
    while (first <= last) {
        uint64_t data = vr_os_memory_seek(shared->fd, first * VR_MEM_PAGE, 1);
        if (data == NOWHERE || data / VR_MEM_PAGE > last)
            return count + (last - first + 1);
        count += data / VR_MEM_PAGE - first;
        uint64_t hole = vr_os_memory_seek(shared->fd, data, 0);
        if (hole == NOWHERE)
            break;
        first = pages_of(hole);
    }
    return count;
}

/* Likewise, without those that a mapping of the list has already counted. */
static uint64_t uncounted(const struct vr_memshared *shared, uint64_t first, uint64_t last,
                          const struct vr_memmapping *counted)
{
    for (; counted; counted = counted->next) {
        uint64_t from = counted->range.offset / VR_MEM_PAGE, to = from + counted->range.length / VR_MEM_PAGE - 1;
        if (to < first || from > last)
            continue;
        uint64_t count = from > first ? uncounted(shared, first, from - 1, counted->next) : 0;
        return count + (to < last ? uncounted(shared, to + 1, last, counted->next) : 0);
    }
    return holes(shared, first, last);
}

static uint64_t uncounted_of(const struct vr_memshared *shared, const struct vr_memmapping *mapping)
{
    uint64_t first = mapping->range.offset / VR_MEM_PAGE;
    return uncounted(shared, first, first + mapping->range.length / VR_MEM_PAGE - 1, mapping->next);
}

/* Counts what is in use and what mappings may still take, whatever was counted before. */
static void settle(struct vr_memdata_pool *pool, struct vr_memdata *data)
{
    struct vr_memshared *shared = data->shared;
    struct vrift_timespec when;
    uint64_t bytes;
    vr_os_memory_stat(shared->fd, &bytes, &when);
    uint64_t wanted = data->pages = pages_of(bytes);
    if (pool->max_pages)
        for (const struct vr_memmapping *mapping = shared->mappings; mapping; mapping = mapping->next)
            wanted += uncounted_of(shared, mapping);
    if (wanted > shared->charged)
        atomic_fetch_add(&pool->pages, wanted - shared->charged);
    else
        atomic_fetch_sub(&pool->pages, shared->charged - wanted);
    shared->charged = wanted;
}

/* After a change of our own, which the inode knows of. */
static void settle_changed(struct vr_memdata_pool *pool, struct vr_memdata *data)
{
    uint64_t bytes;
    settle(pool, data);
    vr_os_memory_stat(data->shared->fd, &bytes, &data->shared->changed);
    data->shared->written = 1;
}

/* Counts the pages that a change of bytes will take; settle() corrects it. */
static int32_t charge(struct vr_memdata_pool *pool, struct vr_memshared *shared, uint64_t offset, uint64_t length)
{
    if (!pool->max_pages)
        return 0;
    uint64_t need = uncounted(shared, offset / VR_MEM_PAGE, (offset + length - 1) / VR_MEM_PAGE, shared->mappings);
    int32_t error = vr_memdata_charge(pool, need);
    if (!error)
        shared->charged += need;
    return error;
}

int vr_memshared_look(const struct vr_memdata *data, uint64_t *pages, struct vrift_timespec *when)
{
    vr_os_memory_stat(data->shared->fd, pages, when);
    *pages = pages_of(*pages);
    const struct vrift_timespec *known = &data->shared->changed;
    return when->sec != known->sec || when->nsec != known->nsec;
}

static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * 0x9e3779b97f4a7c15ULL;
    return sum ^ (sum >> 29);
}

/* Not to be fooled by somebody who means to, but by nobody else. */
uint64_t vr_memshared_sum(const struct vr_memdata *data, const struct vrift_map_range *range)
{
    uint64_t page[VR_MEM_PAGE / sizeof(uint64_t)], sum = 0, end = range->offset + range->length;
    int fd = data->shared->fd;
    for (uint64_t at = vr_os_memory_seek(fd, range->offset, 1); at < end; at = vr_os_memory_seek(fd, at, 1)) {
        uint64_t any = 0, of_page = at;
        vr_os_memory_read(fd, page, sizeof page, at);
        for (size_t i = 0; i < sizeof page / sizeof *page; i++) {
            any |= page[i];
            of_page = mix(of_page, page[i]);
        }
        sum = any ? mix(sum, of_page) : sum;
        at += VR_MEM_PAGE;
    }
    return sum;
}

int32_t vr_memshared_enter(struct vr_memdata_pool *pool, struct vr_memdata *data, struct vr_memmapping *mapping)
{
    int32_t error = charge(pool, data->shared, mapping->range.offset, mapping->range.length);
    if (error)
        return error;
    mapping->next = data->shared->mappings;
    data->shared->mappings = mapping;
    return 0;
}

void vr_memshared_leave(struct vr_memdata_pool *pool, struct vr_memdata *data, struct vr_memmapping *mapping)
{
    struct vr_memmapping **at = &data->shared->mappings;
    while (*at != mapping)
        at = &(*at)->next;
    *at = mapping->next;
    settle(pool, data);
}

/* -- Bytes --------------------------------------------------------------------------------------------------------- */

void vr_memshared_read(const struct vr_memdata *data, void *buf, size_t len, uint64_t offset)
{
    vr_os_memory_read(data->shared->fd, buf, len, offset);
}

/* Page by page where there is a limit, so that what fits is written. */
size_t vr_memshared_write(struct vr_memdata_pool *pool, struct vr_memdata *data, const void *buf, size_t len,
                          uint64_t offset, int32_t *error)
{
    struct vr_memshared *shared = data->shared;
    const uint8_t *in = buf;
    size_t written = 0;
    *error = 0;
    while (written < len) {
        size_t part = len - written, left = VR_MEM_PAGE - (size_t)(offset % VR_MEM_PAGE);
        if (pool->max_pages && part > left)
            part = left;
        *error = charge(pool, shared, offset, part);
        if (!*error)
            *error = vr_os_memory_write(shared->fd, in + written, part, offset);
        if (*error)
            break;
        written += part;
        offset += part;
    }
    settle_changed(pool, data);
    return written;
}

int32_t vr_memshared_resize(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t size)
{
    int32_t error = vr_os_memory_resize(data->shared->fd, size);
    settle_changed(pool, data);
    return error;
}

uint64_t vr_memshared_seek(const struct vr_memdata *data, uint64_t offset, uint64_t size, int want_data)
{
    uint64_t at = vr_os_memory_seek(data->shared->fd, offset, want_data);
    return at < size ? at : size;
}

int32_t vr_memshared_allocate(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length)
{
    int32_t error = charge(pool, data->shared, offset, length);
    if (!error)
        error = vr_os_memory_allocate(data->shared->fd, offset, length);
    settle_changed(pool, data);
    return error;
}

void vr_memshared_punch(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length)
{
    vr_os_memory_punch(data->shared->fd, offset, length);
    settle_changed(pool, data);
}

/* By writing: what was allocated before cannot fail, and giving pages back to take them again could. */
int32_t vr_memshared_zero(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length,
                          uint64_t size)
{
    int32_t error = vr_memshared_allocate(pool, data, offset, length);
    uint64_t end = offset + length < size ? offset + length : size;
    while (!error && offset < end) {
        size_t part = VR_MEM_PAGE - (size_t)(offset % VR_MEM_PAGE);
        if (part > end - offset)
            part = (size_t)(end - offset);
        error = vr_os_memory_write(data->shared->fd, zeroes, part, offset);
        offset += part;
    }
    settle_changed(pool, data);
    return error;
}

/* -- Moving, which the system's memory cannot do by itself --------------------------------------------------------- */

/* One page, or what there is of the last. Where there is nothing, nothing is left. */
static void move_page(const struct vr_memshared *shared, uint64_t from, uint64_t to, uint64_t end)
{
    uint8_t page[VR_MEM_PAGE];
    size_t part = end - from < VR_MEM_PAGE ? (size_t)(end - from) : VR_MEM_PAGE;
    if (vr_os_memory_seek(shared->fd, from, 1) >= from + part) {
        vr_os_memory_punch(shared->fd, to, VR_MEM_PAGE);
        return;
    }
    vr_os_memory_read(shared->fd, page, part, from);
    vr_os_memory_write(shared->fd, page, part, to); /* into memory that was allocated before: it cannot fail */
}

int32_t vr_memshared_collapse(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length,
                              uint64_t size)
{
    struct vr_memshared *shared = data->shared;
    int32_t error = vr_memshared_allocate(pool, data, offset, size - length - offset);
    if (error)
        return error;
    for (uint64_t at = offset + length; at < size; at += VR_MEM_PAGE)
        move_page(shared, at, at - length, size);
    error = vr_os_memory_resize(shared->fd, size - length);
    settle_changed(pool, data);
    return error;
}

int32_t vr_memshared_insert(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length,
                            uint64_t size)
{
    struct vr_memshared *shared = data->shared;
    uint64_t last = (size - 1) / VR_MEM_PAGE * VR_MEM_PAGE;
    int32_t error = vr_memshared_allocate(pool, data, offset + length, size - offset);
    if (!error)
        error = vr_os_memory_resize(shared->fd, size + length);
    if (error) {
        vr_memshared_resize(pool, data, size); /* gives back what was allocated behind the end */
        return error;
    }
    for (uint64_t at = last;; at -= VR_MEM_PAGE) {
        move_page(shared, at, at + length, size);
        if (at == offset)
            break;
    }
    vr_os_memory_punch(shared->fd, offset, length);
    settle_changed(pool, data);
    return 0;
}

/* -- There and back ------------------------------------------------------------------------------------------------ */

/* Copies the pages of a tree; those that were never written are only allocated. */
static int32_t copy_out(const struct vr_memdata *data, int fd, uint64_t size)
{
    uint8_t page[VR_MEM_PAGE];
    int32_t error = vr_os_memory_resize(fd, size);
    for (uint64_t at = 0; !error && (at = vr_memspace_next(data, at, 0)) != NOWHERE; at++) {
        uint64_t offset = at * VR_MEM_PAGE;
        int is_data = vr_memspace_next(data, at, 1) == at;
        if (offset >= size || !is_data) {
            error = vr_os_memory_allocate(fd, offset, VR_MEM_PAGE);
            if (!error && is_data) /* behind the end: only allocating it again makes it data there */
                error = vr_os_memory_allocate(fd, offset, VR_MEM_PAGE);
            continue;
        }
        size_t part = size - offset < VR_MEM_PAGE ? (size_t)(size - offset) : VR_MEM_PAGE;
        vr_memdata_read(data, page, part, offset);
        error = vr_os_memory_write(fd, page, part, offset);
    }
    return error;
}

int32_t vr_memshared_begin(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t size)
{
    struct vr_memdata_pool uncounted_pool = {.allocator = pool->allocator};
    struct vr_memshared *shared = vr_alloc_zero(pool->allocator, 1, sizeof *shared);
    if (!shared)
        return -VRIFT_ENOMEM;
    shared->fd = vr_os_memory_new();
    int32_t error = shared->fd < 0 ? shared->fd : copy_out(data, shared->fd, size);
    if (error) {
        if (shared->fd >= 0)
            vr_os_memory_close(shared->fd);
        vr_alloc_free(pool->allocator, shared);
        return error;
    }
    shared->charged = data->pages;
    vr_memdata_dispose(&uncounted_pool, data); /* the pages stay counted */
    data->shared = shared;
    settle_changed(pool, data);
    return 0;
}

static int32_t copy_in(struct vr_memdata_pool *pool, const struct vr_memshared *shared, struct vr_memdata *data,
                       uint64_t size)
{
    uint8_t page[VR_MEM_PAGE];
    int32_t error = 0;
    uint64_t at = 0;
    while (!error && at < size && (at = vr_os_memory_seek(shared->fd, at, 1)) < size) {
        uint64_t end = vr_os_memory_seek(shared->fd, at, 0);
        for (; !error && at < end && at < size; at += VR_MEM_PAGE) {
            size_t part = size - at < VR_MEM_PAGE ? (size_t)(size - at) : VR_MEM_PAGE;
            vr_os_memory_read(shared->fd, page, part, at);
            vr_memdata_write(pool, data, page, part, at, &error);
        }
    }
    return error;
}

/* What was allocated and never written cannot be told from a hole, so such a file stays where it is. */
void vr_memshared_end(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t size)
{
    struct vr_memdata_pool uncounted_pool = {.allocator = pool->allocator};
    struct vr_memshared *shared = data->shared;
    struct vr_memdata copy = {0};
    assert(!shared->mappings);
    int32_t error = copy_in(&uncounted_pool, shared, &copy, size);
    if (error || copy.pages != data->pages) {
        vr_memdata_dispose(&uncounted_pool, &copy);
        return;
    }
    copy.pages = data->pages;
    vr_os_memory_close(shared->fd);
    vr_alloc_free(pool->allocator, shared);
    *data = copy;
}

void vr_memshared_dispose(struct vr_memdata_pool *pool, struct vr_memdata *data)
{
    vr_os_memory_close(data->shared->fd);
    atomic_fetch_sub(&pool->pages, data->shared->charged);
    vr_alloc_free(pool->allocator, data->shared);
    data->shared = NULL;
    data->pages = 0;
}
