/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/fdtable.h"

#include "core/alloc.h"
#include "core/description.h"
#include "core/lock.h"

#include <vrift/file.h>

#include <assert.h>
#include <string.h>

#define FIRST_SLOTS 32u

static void lock_table(struct vr_fdtable *table)
{
    vr_lockrank_take(VR_RANK_LEAF);
    vr_os_mutex_lock(&table->lock);
}

static void unlock_table(struct vr_fdtable *table)
{
    vr_os_mutex_unlock(&table->lock);
    vr_lockrank_give(VR_RANK_LEAF);
}

struct vr_fdtable *vr_fdtable_new(vrift_vfs *vfs, uint32_t limit)
{
    struct vr_fdtable *table = vr_alloc_zero(vfs->allocator, 1, sizeof *table);
    if (!table || vr_os_mutex_init(&table->lock)) {
        vr_alloc_free(vfs->allocator, table);
        return NULL;
    }
    atomic_init(&table->refs, 1);
    atomic_init(&table->holds, 1);
    table->limit = limit;
    /* Never 0 nor, as a process id, negative. */
    table->number = 1 + atomic_fetch_add_explicit(&vfs->next_table, 1, memory_order_relaxed) % 0x7fffffff;
    return table;
}

void vr_fdtable_hold(struct vr_fdtable *table)
{
    atomic_fetch_add_explicit(&table->holds, 1, memory_order_relaxed);
}

void vr_fdtable_let_go(vrift_vfs *vfs, struct vr_fdtable *table)
{
    if (atomic_fetch_sub_explicit(&table->holds, 1, memory_order_acq_rel) != 1)
        return;
    vr_os_mutex_destroy(&table->lock);
    vr_alloc_free(vfs->allocator, table);
}

void vr_fdtable_unref(vrift_vfs *vfs, struct vr_fdtable *table)
{
    if (!table || atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) != 1)
        return;
    uint32_t first = 0;
    vrift_file *file;
    while (vr_fdtable_remove_next(table, &first, UINT32_MAX, false, &file))
        (void)vr_fdtable_closed(table, file);
    lock_table(table);
    struct vr_slot *slots = table->slots;
    table->slots = NULL;
    table->count = 0;
    unlock_table(table);
    vr_alloc_free(vfs->allocator, slots);
    vr_fdtable_let_go(vfs, table);
}

int32_t vr_fdtable_get(struct vr_fdtable *table, int32_t fd, vrift_file **out)
{
    lock_table(table);
    vrift_file *file = fd >= 0 && (uint32_t)fd < table->count ? table->slots[fd].file : NULL;
    vrift_file_ref(file);
    unlock_table(table);
    if (!file)
        return -VRIFT_EBADF;
    *out = file;
    return 0;
}

int64_t vr_fdtable_next(struct vr_fdtable *table, uint64_t from)
{
    lock_table(table);
    uint64_t fd = from;
    while (fd < table->count && !table->slots[fd].file)
        fd++;
    bool found = fd < table->count;
    unlock_table(table);
    return found ? (int64_t)fd : -1;
}

bool vr_fdtable_holds(struct vr_fdtable *table, int32_t fd, const vrift_file *file)
{
    lock_table(table);
    bool holds = fd >= 0 && (uint32_t)fd < table->count && table->slots[fd].file == file;
    unlock_table(table);
    return holds;
}

int32_t vr_fdtable_closed(struct vr_fdtable *table, vrift_file *file)
{
    vr_lock_closed(table, file);
    return vr_description_put(file);
}

int32_t vr_fdtable_get_open(struct vr_fdtable *table, int32_t fd, vrift_file **out)
{
    vrift_file *file;
    int32_t error = vr_fdtable_get(table, fd, &file);
    if (error)
        return error;
    if (file->flags & VRIFT_O_PATH) {
        vrift_file_unref(file);
        return -VRIFT_EBADF;
    }
    *out = file;
    return 0;
}

/* Makes room for descriptors below `wanted`. Memory is taken without the lock, so another may have grown it. */
static int32_t grow(vrift_vfs *vfs, struct vr_fdtable *table, uint32_t wanted)
{
    uint32_t count = FIRST_SLOTS;
    while (count < wanted)
        count *= 2;
    struct vr_slot *slots = vr_alloc_zero(vfs->allocator, count, sizeof *slots);
    if (!slots)
        return -VRIFT_ENOMEM;
    lock_table(table);
    struct vr_slot *old = slots;
    if (table->count < count) {
        old = table->slots;
        if (table->count)
            memcpy(slots, old, table->count * sizeof *slots);
        table->slots = slots;
        table->count = count;
    }
    unlock_table(table);
    vr_alloc_free(vfs->allocator, old);
    return 0;
}

/* Under the lock: the lowest free one from `least` on, which may lie behind the table's end. */
static uint32_t lowest_free(struct vr_fdtable *table, uint32_t least)
{
    uint32_t i = least > table->first_free ? least : table->first_free;
    while (i < table->count && table->slots[i].taken)
        i++;
    if (least <= table->first_free)
        table->first_free = i;
    return i;
}

int32_t vr_fdtable_reserve(vrift_vfs *vfs, struct vr_fdtable *table, int32_t least, int32_t *out)
{
    for (;;) {
        lock_table(table);
        uint32_t fd = lowest_free(table, (uint32_t)least);
        bool allowed = fd < atomic_load_explicit(&table->limit, memory_order_relaxed);
        bool taken = allowed && fd < table->count;
        if (taken)
            table->slots[fd].taken = 1;
        unlock_table(table);
        if (taken) {
            *out = (int32_t)fd;
            return 0;
        }
        if (!allowed)
            return -VRIFT_EMFILE;
        int32_t error = grow(vfs, table, fd + 1);
        if (error)
            return error;
    }
}

void vr_fdtable_fill(struct vr_fdtable *table, int32_t fd, vrift_file *file, bool cloexec)
{
    lock_table(table);
    assert(table->slots[fd].taken && !table->slots[fd].file);
    table->slots[fd].file = file;
    table->slots[fd].cloexec = cloexec;
    unlock_table(table);
}

/* Under the lock. */
static void release_slot(struct vr_fdtable *table, uint32_t fd)
{
    memset(&table->slots[fd], 0, sizeof table->slots[fd]);
    if (fd < table->first_free)
        table->first_free = fd;
}

void vr_fdtable_cancel(struct vr_fdtable *table, int32_t fd)
{
    lock_table(table);
    assert(table->slots[fd].taken && !table->slots[fd].file);
    release_slot(table, (uint32_t)fd);
    unlock_table(table);
}

int32_t vr_fdtable_remove(struct vr_fdtable *table, int32_t fd, vrift_file **out)
{
    lock_table(table);
    vrift_file *file = fd >= 0 && (uint32_t)fd < table->count ? table->slots[fd].file : NULL;
    if (file)
        release_slot(table, (uint32_t)fd);
    unlock_table(table);
    if (!file)
        return -VRIFT_EBADF;
    *out = file;
    return 0;
}

bool vr_fdtable_remove_next(struct vr_fdtable *table, uint32_t *first, uint32_t last, bool marked, vrift_file **out)
{
    vrift_file *file = NULL;
    lock_table(table);
    while (!file && *first <= last && *first < table->count) {
        const struct vr_slot *slot = &table->slots[*first];
        if (slot->file && (!marked || slot->cloexec)) {
            file = slot->file;
            release_slot(table, *first);
        }
        ++*first;
    }
    unlock_table(table);
    *out = file;
    return file;
}

void vr_fdtable_mark_range(struct vr_fdtable *table, uint32_t first, uint32_t last)
{
    lock_table(table);
    for (uint32_t i = first; i <= last && i < table->count; i++)
        if (table->slots[i].file)
            table->slots[i].cloexec = 1;
    unlock_table(table);
}

int32_t vr_fdtable_cloexec(struct vr_fdtable *table, int32_t fd, const bool *set)
{
    int32_t result = -VRIFT_EBADF;
    lock_table(table);
    if (fd >= 0 && (uint32_t)fd < table->count && table->slots[fd].file) {
        result = table->slots[fd].cloexec;
        if (set)
            table->slots[fd].cloexec = *set;
    }
    unlock_table(table);
    return result;
}

int32_t vr_fdtable_replace(vrift_vfs *vfs, struct vr_fdtable *table, int32_t fd, vrift_file *file, bool cloexec,
                           vrift_file **before)
{
    if (fd < 0 || (uint32_t)fd >= atomic_load_explicit(&table->limit, memory_order_relaxed))
        return -VRIFT_EBADF;
    int32_t error = grow(vfs, table, (uint32_t)fd + 1);
    if (error)
        return error;
    lock_table(table);
    struct vr_slot *slot = &table->slots[fd];
    /* Another thread is about to open into it: as Linux. */
    if (slot->taken && !slot->file) {
        error = -VRIFT_EBUSY;
    } else {
        *before = slot->file;
        *slot = (struct vr_slot){file, 1, cloexec};
    }
    unlock_table(table);
    return error;
}

/* Under the lock of `from`: takes a reference on all that it holds. */
static void copy_slots(const struct vr_fdtable *from, struct vr_fdtable *to)
{
    for (uint32_t i = 0; i < from->count; i++) {
        if (!from->slots[i].file)
            continue;
        to->slots[i] = from->slots[i];
        vrift_file_ref(to->slots[i].file);
    }
}

struct vr_fdtable *vr_fdtable_copy(vrift_vfs *vfs, struct vr_fdtable *from)
{
    struct vr_fdtable *to = vr_fdtable_new(vfs, 0);
    for (bool done = !to; !done;) {
        lock_table(from);
        uint32_t count = from->count;
        atomic_store_explicit(&to->limit, atomic_load_explicit(&from->limit, memory_order_relaxed),
                              memory_order_relaxed);
        done = count <= to->count;
        if (done)
            copy_slots(from, to);
        unlock_table(from);
        if (!done && grow(vfs, to, count)) {
            vr_fdtable_unref(vfs, to);
            return NULL;
        }
    }
    return to;
}
