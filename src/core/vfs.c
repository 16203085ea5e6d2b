/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/alloc.h"
#include "core/copyin.h"
#include "core/dcache.h"
#include "core/fifo.h"
#include "core/memo.h"
#include "core/lock.h"
#include "core/object.h"
#include "core/watch.h"

#include <string.h>

#define DEFAULT_CACHE_BYTES (64ULL << 20)
#define DEFAULT_MAX_FILES   1048576ULL
#define DEFAULT_PROTECTIONS (VRIFT_PROTECT_SYMLINKS | VRIFT_PROTECT_HARDLINKS)
#define PROTECTIONS                                                                                                    \
    (VRIFT_PROTECT_SYMLINKS | VRIFT_PROTECT_HARDLINKS | VRIFT_PROTECT_REGULAR | VRIFT_PROTECT_REGULAR_GROUP |          \
     VRIFT_PROTECT_FIFOS | VRIFT_PROTECT_FIFOS_GROUP)

static int32_t read_options(const struct vrift_vfs_options *options, struct vrift_vfs_options *out,
                            struct vrift_allocator *allocator)
{
    int32_t error = VR_COPYIN(out, options);
    if (error)
        return error;
    if (out->flags & ~VRIFT_VFS_NO_MEMO || out->protect & ~(PROTECTIONS | VRIFT_PROTECT_NOTHING))
        return -VRIFT_EINVAL;
    if (out->protect & VRIFT_PROTECT_NOTHING && out->protect & PROTECTIONS)
        return -VRIFT_EINVAL;
    if (!out->allocator)
        return 0;
    error = VR_COPYIN(allocator, out->allocator);
    if (error)
        return error;
    return allocator->malloc_fn && allocator->realloc_fn && allocator->free_fn ? 0 : -VRIFT_EINVAL;
}

static int32_t init_locks(vrift_vfs *vfs)
{
    for (int i = 0; i < VR_ATTR_LOCKS; i++) {
        int32_t error = vr_os_mutex_init(&vfs->attr_lock[i]);
        if (error) {
            while (i-- > 0)
                vr_os_mutex_destroy(&vfs->attr_lock[i]);
            return error;
        }
    }
    int32_t error = vr_wordlock_init(&vfs->rooms);
    if (!error) {
        error = vr_os_mutex_init(&vfs->tree_mutex);
        if (error)
            vr_wordlock_dispose(&vfs->rooms);
    }
    if (!error) {
        error = vr_lock_init(vfs);
        if (!error) {
            error = vr_fifo_init(vfs);
            if (error)
                vr_lock_dispose(vfs);
        }
        if (error) {
            vr_os_mutex_destroy(&vfs->tree_mutex);
            vr_wordlock_dispose(&vfs->rooms);
        }
    }
    for (int i = 0; error && i < VR_ATTR_LOCKS; i++)
        vr_os_mutex_destroy(&vfs->attr_lock[i]);
    return error;
}

static void dispose_locks(vrift_vfs *vfs)
{
    vr_fifo_dispose(vfs);
    vr_lock_dispose(vfs);
    vr_wordlock_dispose(&vfs->rooms);
    vr_os_mutex_destroy(&vfs->tree_mutex);
    for (int i = 0; i < VR_ATTR_LOCKS; i++)
        vr_os_mutex_destroy(&vfs->attr_lock[i]);
}

int32_t vrift_vfs_new(const struct vrift_vfs_options *options, vrift_vfs **out)
{
    struct vrift_vfs_options own;
    struct vrift_allocator allocator = {0};
    if (!out)
        return -VRIFT_EINVAL;
    int32_t error = read_options(options, &own, &allocator);
    if (error)
        return error;
    vrift_vfs *vfs = vr_alloc_zero(own.allocator ? &allocator : NULL, 1, sizeof *vfs);
    if (!vfs)
        return -VRIFT_ENOMEM;
    vfs->own_allocator = allocator;
    vfs->allocator = own.allocator ? &vfs->own_allocator : NULL;
    vfs->cache_budget = own.cache_bytes ? own.cache_bytes : DEFAULT_CACHE_BYTES;
    vfs->protect = own.protect ? own.protect & PROTECTIONS : DEFAULT_PROTECTIONS;
    vfs->max_files = own.max_files ? own.max_files : DEFAULT_MAX_FILES;
    vfs->without_memo = own.flags & VRIFT_VFS_NO_MEMO;
    atomic_init(&vfs->refs, 1);
    vr_memo_init(vfs);
    error = vr_dcache_init(vfs);
    if (!error) {
        error = init_locks(vfs);
        if (error)
            vr_dcache_dispose(vfs);
    }
    if (!error) {
        error = vr_watch_init(vfs);
        if (error) {
            dispose_locks(vfs);
            vr_dcache_dispose(vfs);
        }
    }
    if (error) {
        vr_alloc_free(own.allocator ? &allocator : NULL, vfs);
        return error;
    }
    *out = vfs;
    return 0;
}

const struct vrift_allocator *vr_alloc_of(const vrift_vfs *vfs)
{
    return vfs->allocator;
}

vrift_vfs *vr_vfs_ref(vrift_vfs *vfs)
{
    atomic_fetch_add_explicit(&vfs->refs, 1, memory_order_relaxed);
    return vfs;
}

void vr_vfs_unref(vrift_vfs *vfs)
{
    if (atomic_fetch_sub_explicit(&vfs->refs, 1, memory_order_acq_rel) != 1)
        return;
    vr_watch_dispose(vfs);
    vr_memo_dispose(vfs);
    vr_dcache_dispose(vfs);
    dispose_locks(vfs);
    struct vrift_allocator allocator = vfs->own_allocator;
    vr_alloc_free(vfs->allocator ? &allocator : NULL, vfs);
}

void vrift_vfs_free(vrift_vfs *vfs)
{
    if (vfs)
        vr_vfs_unref(vfs);
}

int32_t vrift_vfs_stats(vrift_vfs *vfs, struct vrift_vfs_stats *out)
{
    if (!vfs || !out)
        return -VRIFT_EINVAL;
    memset(out, 0, sizeof *out);
    out->negative = atomic_load(&vfs->dcache.count[1]);
    out->dentries = atomic_load(&vfs->dcache.count[0]) + out->negative;
    out->inodes = atomic_load(&vfs->dcache.live_inodes);
    out->cache_bytes = atomic_load(&vfs->dcache.bytes);
    vr_dcache_read_begin(vfs);
    out->hits = vfs->dcache.hits;
    out->misses = vfs->dcache.misses;
    for (const vrift_task *task = vfs->tasks; task; task = task->after) {
        out->hits += atomic_load_explicit(&task->hits, memory_order_relaxed);
        out->misses += atomic_load_explicit(&task->misses, memory_order_relaxed);
    }
    vr_dcache_read_end(vfs);
    out->evicted = atomic_load(&vfs->dcache.evicted);
    out->open_files = atomic_load(&vfs->open_files);
    out->backend_calls = atomic_load(&vfs->backend_calls);
    return 0;
}

int32_t vrift_vfs_drop_caches(vrift_vfs *vfs)
{
    if (!vfs)
        return -VRIFT_EINVAL;
    vr_dcache_drop_all(vfs);
    return 0;
}

int32_t vrift_vfs_set_fault(vrift_vfs *vfs, vrift_fault_fn fault, void *payload)
{
    if (!vfs)
        return -VRIFT_EINVAL;
    vfs->fault = fault;
    vfs->fault_payload = payload;
    return 0;
}

const struct vrift_allocator *vrift_vfs_allocator(vrift_vfs *vfs)
{
    return vfs ? vfs->allocator : NULL;
}
