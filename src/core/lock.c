/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Setting, waiting for and dropping locks of inodes. */
#include "core/lock.h"

#include "core/alloc.h"
#include "core/inode.h"

#include <vrift/lock.h>

#include <assert.h>
#include <string.h>

#define MOST_STEPS 10 /* of the search for a circle, as MAX_DEADLK_ITERATIONS of Linux */

/* -- The table ----------------------------------------------------------------------------------------------------- */

static uint64_t hash_of(const struct vr_inode *inode)
{
    return ((uint64_t)(uintptr_t)inode >> 6) * 0x9e3779b97f4a7c15ULL >> 32;
}

static struct vr_lock_shard *shard_of(const struct vr_inode *inode)
{
    return &inode->sb->vfs->locks.shards[hash_of(inode) % VR_LOCK_SHARDS];
}

static void lock_shard(struct vr_lock_shard *shard)
{
    vr_lockrank_take(VR_RANK_SLEEP);
    vr_os_mutex_lock(&shard->mutex);
}

static void unlock_shard(struct vr_lock_shard *shard)
{
    vr_os_mutex_unlock(&shard->mutex);
    vr_lockrank_give(VR_RANK_SLEEP);
}

/* s: where the lockset of an inode is, or would be. */
static struct vr_lockset **find(struct vr_lock_shard *shard, const struct vr_inode *inode)
{
    struct vr_lockset **at = &shard->buckets[hash_of(inode) / VR_LOCK_SHARDS % VR_LOCK_BUCKETS];
    while (*at && (*at)->inode != inode)
        at = &(*at)->hash_next;
    return at;
}

/* s: takes a lockset out if nobody needs it any more; to be freed with free_set(). */
static struct vr_lockset *retire(struct vr_lock_shard *shard, struct vr_lockset *set)
{
    if (set->first || set->lists[VR_LOCK_RECORDS] || set->lists[VR_LOCK_FLOCKS])
        return NULL;
    *find(shard, set->inode) = set->hash_next;
    return set;
}

static void free_set(vrift_vfs *vfs, struct vr_lockset *set)
{
    if (!set)
        return;
    vr_inode_unref(set->inode);
    vr_alloc_free(vfs->allocator, set);
}

static void free_locks(vrift_vfs *vfs, struct vr_lock *lock)
{
    while (lock) {
        struct vr_lock *next = lock->next;
        vr_alloc_free(vfs->allocator, lock);
        lock = next;
    }
}

int32_t vr_lock_init(vrift_vfs *vfs)
{
    struct vr_locktable *table = &vfs->locks;
    int32_t error = vr_os_mutex_init(&table->graph_lock);
    if (error)
        return error;
    for (int i = 0; i < VR_LOCK_SHARDS; i++) {
        error = vr_os_mutex_init(&table->shards[i].mutex);
        if (!error)
            continue;
        while (i-- > 0)
            vr_os_mutex_destroy(&table->shards[i].mutex);
        vr_os_mutex_destroy(&table->graph_lock);
        return error;
    }
    return 0;
}

void vr_lock_dispose(vrift_vfs *vfs)
{
    for (int i = 0; i < VR_LOCK_SHARDS; i++)
        vr_os_mutex_destroy(&vfs->locks.shards[i].mutex);
    vr_os_mutex_destroy(&vfs->locks.graph_lock);
}

/* -- Circles ------------------------------------------------------------------------------------------------------- */
/*
 * Who waits for a POSIX lock is tied to the owner that is in its way. An owner that would come to wait for itself over
 * others is told so. OFD locks have no owner that could be said to wait, so as on Linux they are not watched.
 */

static bool is_posix(const struct vr_lock *lock)
{
    return lock->owner.kind != VR_LOCK_FILE;
}

/* Under the graph lock. */
static void untie(struct vr_lock_waiter *waiter)
{
    if (!waiter->tied)
        return;
    *waiter->tied_before = waiter->tied_next;
    if (waiter->tied_next)
        waiter->tied_next->tied_before = waiter->tied_before;
    waiter->tied = false;
}

/* Under the graph lock: does `blocker`, over others, wait for `owner`? */
static bool waits_for(const struct vr_locktable *table, struct vr_lock_owner blocker, const struct vr_lock_owner *owner)
{
    for (int steps = 0; steps <= MOST_STEPS; steps++) {
        const struct vr_lock_waiter *waiter = table->tied;
        while (waiter && !vr_lockset_same(&waiter->request->want.owner, &blocker))
            waiter = waiter->tied_next;
        if (!waiter)
            return false;
        blocker = waiter->blocker;
        if (vr_lockset_same(&blocker, owner))
            return true;
    }
    return false;
}

/* s: notes who is in the way of a waiter; -VRIFT_EDEADLK if that one will not let go before the waiter does. */
static int32_t tie(vrift_vfs *vfs, struct vr_lock_waiter *waiter, const struct vr_lock *blocker)
{
    struct vr_locktable *table = &vfs->locks;
    int32_t error = 0;
    if (waiter->request->list != VR_LOCK_RECORDS)
        return 0;
    vr_lockrank_take(VR_RANK_LEAF);
    vr_os_mutex_lock(&table->graph_lock);
    untie(waiter);
    waiter->blocker = blocker->owner;
    if (is_posix(&waiter->request->want) && waits_for(table, blocker->owner, &waiter->request->want.owner)) {
        error = -VRIFT_EDEADLK;
    } else if (is_posix(blocker)) {
        waiter->tied = true;
        waiter->tied_next = table->tied;
        waiter->tied_before = &table->tied;
        if (waiter->tied_next)
            waiter->tied_next->tied_before = &waiter->tied_next;
        table->tied = waiter;
    }
    vr_os_mutex_unlock(&table->graph_lock);
    vr_lockrank_give(VR_RANK_LEAF);
    return error;
}

static void cut_tie(vrift_vfs *vfs, struct vr_lock_waiter *waiter)
{
    vr_lockrank_take(VR_RANK_LEAF);
    vr_os_mutex_lock(&vfs->locks.graph_lock);
    untie(waiter);
    vr_os_mutex_unlock(&vfs->locks.graph_lock);
    vr_lockrank_give(VR_RANK_LEAF);
}

/* -- Queues -------------------------------------------------------------------------------------------------------- */

/* s */
static void enqueue(struct vr_lockset *set, struct vr_lock_waiter *waiter)
{
    if (!set->first)
        set->last = &set->first;
    waiter->next = NULL;
    *set->last = waiter;
    set->last = &waiter->next;
}

/* s: with the place that points to it. */
static void dequeue(struct vr_lockset *set, struct vr_lock_waiter **at)
{
    struct vr_lock_waiter *waiter = *at;
    *at = waiter->next;
    if (!waiter->next)
        set->last = at;
}

/* s: is who was in a waiter's way in it still? As on Linux it looks for circles only when it has to wait for another. */
static bool still_blocks(const struct vr_lockset *set, const struct vr_lock_waiter *waiter)
{
    const struct vr_lock *want = &waiter->request->want;
    for (const struct vr_lock *lock = set->lists[waiter->request->list]; lock; lock = lock->next)
        if (vr_lockset_same(&lock->owner, &waiter->blocker) && vr_lockset_excludes(lock, want))
            return true;
    return false;
}

/* s: ends the waiting of all whose lock can be set now, or that would wait in a circle; true if one was set. */
static bool serve_once(vrift_vfs *vfs, struct vr_lockset *set)
{
    bool served = false;
    for (struct vr_lock_waiter **at = &set->first; *at;) {
        struct vr_lock_waiter *waiter = *at;
        const struct vr_lock *blocker = vr_lockset_conflict(set, waiter->request->list, &waiter->request->want);
        int32_t result = blocker && !still_blocks(set, waiter) ? tie(vfs, waiter, blocker) : 0;
        if (blocker && !result) {
            at = &waiter->next;
            continue;
        }
        if (!blocker) {
            vr_lockset_apply(set, waiter->request);
            served = true;
        }
        /* Before anybody looks for circles again: who has its lock does not wait. */
        cut_tie(vfs, waiter);
        dequeue(set, at);
        waiter->result = result;
        waiter->done = true;
        vr_sleeper_wake(&waiter->sleeper);
    }
    return served;
}

/* s: a lock that is set may be a weaker one in place of its owner's stronger, so look again. */
static void serve(vrift_vfs *vfs, struct vr_lockset *set)
{
    while (set->first && serve_once(vfs, set)) {
    }
}

/* s: sleeps until it is served or gives up. */
static int32_t sleep_in_queue(vrift_vfs *vfs, struct vr_lockset *set, struct vr_lock_waiter *waiter)
{
    while (!waiter->done) {
        int32_t error = vr_sleeper_sleep(&waiter->sleeper);
        if (!error || waiter->done)
            continue;
        struct vr_lock_waiter **at = &set->first;
        while (*at != waiter)
            at = &(*at)->next;
        dequeue(set, at);
        cut_tie(vfs, waiter);
        return error;
    }
    return waiter->result;
}

/* -- Setting ------------------------------------------------------------------------------------------------------- */

/* s: sets it at once or answers what is in the way. */
static const struct vr_lock *try(struct vr_lockset *set, struct vr_lock_request *request)
{
    const struct vr_lock *own = vr_lockset_own(set, request->list, &request->want);
    if (request->list == VR_LOCK_FLOCKS && own && own->type != request->want.type) {
        /* Another flock is first let go. Nobody comes in between here, but it is gone if the new one is refused. */
        int32_t type = request->want.type;
        request->want.type = VRIFT_F_UNLCK;
        vr_lockset_apply(set, request);
        request->want.type = type;
    }
    const struct vr_lock *blocker = NULL;
    if (request->want.type != VRIFT_F_UNLCK)
        blocker = vr_lockset_conflict(set, request->list, &request->want);
    if (!blocker)
        vr_lockset_apply(set, request);
    return blocker;
}

/* s */
static int32_t set_in(vrift_vfs *vfs, struct vr_lockset *set, struct vr_lock_request *request,
                      struct vr_lock_waiter *waiter)
{
    const struct vr_lock *blocker = try(set, request);
    if (!blocker) {
        serve(vfs, set);
        return 0;
    }
    int32_t error = waiter ? tie(vfs, waiter, blocker) : -VRIFT_EAGAIN;
    if (!error)
        enqueue(set, waiter);
    serve(vfs, set); /* of a flock that was let go */
    return error ? error : sleep_in_queue(vfs, set, waiter);
}

/* What setting may need, so that none is taken under the mutex. */
static int32_t prepare(vrift_vfs *vfs, struct vr_lock_request *request, struct vr_lockset **fresh)
{
    const struct vr_lock *want = &request->want;
    if (want->type == VRIFT_F_UNLCK && want->start == 0 && want->end == INT64_MAX)
        return 0;
    for (int i = 0; i < 2; i++) {
        struct vr_lock *spare = vr_alloc_zero(vfs->allocator, 1, sizeof *spare);
        if (!spare)
            return -VRIFT_ENOLCK;
        spare->next = request->spare;
        request->spare = spare;
    }
    if (want->type == VRIFT_F_UNLCK)
        return 0;
    *fresh = vr_alloc_zero(vfs->allocator, 1, sizeof **fresh);
    return *fresh ? 0 : -VRIFT_ENOLCK;
}

static int32_t set_prepared(struct vr_inode *inode, struct vr_lock_request *request, struct vr_lock_waiter *waiter,
                            struct vr_lockset **fresh)
{
    vrift_vfs *vfs = inode->sb->vfs;
    struct vr_lock_shard *shard = shard_of(inode);
    int32_t error = 0;
    struct vr_lockset *retired = NULL;
    lock_shard(shard);
    struct vr_lockset **at = find(shard, inode);
    if (!*at && *fresh) {
        (*fresh)->inode = inode;
        vr_inode_ref(inode);
        *at = *fresh;
        *fresh = NULL;
    }
    struct vr_lockset *set = *at;
    if (set) {
        error = set_in(vfs, set, request, waiter);
        /* Who slept may have been given the lock and lost it again before he woke, and the lockset with it. */
        set = *find(shard, inode);
        retired = set ? retire(shard, set) : NULL;
    }
    unlock_shard(shard);
    free_set(vfs, retired);
    return error;
}

int32_t vr_lock_set(struct vr_inode *inode, enum vr_lock_list list, const struct vr_lock *want, bool may_wait,
                    const struct vrift_wait *how)
{
    vrift_vfs *vfs = inode->sb->vfs;
    struct vr_lock_request request = {.list = list, .want = *want};
    struct vr_lock_waiter waiter = {.request = &request};
    struct vr_lockset *fresh = NULL;
    int32_t error = may_wait ? vr_sleeper_begin(&waiter.sleeper, &shard_of(inode)->mutex, how) : 0;
    if (error)
        return error == -VRIFT_ENOMEM ? -VRIFT_ENOLCK : error;
    error = prepare(vfs, &request, &fresh);
    if (!error)
        error = set_prepared(inode, &request, may_wait ? &waiter : NULL, &fresh);
    if (may_wait)
        vr_sleeper_end(&waiter.sleeper);
    free_locks(vfs, request.spare);
    vr_alloc_free(vfs->allocator, fresh);
    return error;
}

void vr_lock_test(struct vr_inode *inode, struct vr_lock *lock)
{
    struct vr_lock_shard *shard = shard_of(inode);
    lock_shard(shard);
    const struct vr_lockset *set = *find(shard, inode);
    const struct vr_lock *found = NULL;
    if (set)
        found = lock->type == VRIFT_F_UNLCK ? vr_lockset_own(set, VR_LOCK_RECORDS, lock)
                                            : vr_lockset_conflict(set, VR_LOCK_RECORDS, lock);
    if (found)
        *lock = *found;
    else
        lock->type = VRIFT_F_UNLCK;
    unlock_shard(shard);
}

/* -- Dropping ------------------------------------------------------------------------------------------------------ */

static void strip(struct vr_inode *inode, const struct vr_lock_owner *owner, const vrift_file *file)
{
    vrift_vfs *vfs = inode->sb->vfs;
    struct vr_lock_shard *shard = shard_of(inode);
    struct vr_lock *freed = NULL;
    struct vr_lockset *retired = NULL;
    lock_shard(shard);
    struct vr_lockset *set = *find(shard, inode);
    if (set) {
        vr_lockset_strip(set, owner, file, &freed);
        serve(vfs, set);
        retired = retire(shard, set);
    }
    unlock_shard(shard);
    free_locks(vfs, freed);
    free_set(vfs, retired);
}

void vr_lock_closed(struct vr_fdtable *table, vrift_file *file)
{
    if (!atomic_load_explicit(&table->locked, memory_order_acquire) || file->flags & VRIFT_O_PATH)
        return;
    const struct vr_lock_owner owner = {VR_LOCK_TABLE, (uintptr_t)table};
    strip(file->path.dentry->inode, &owner, NULL);
}

void vr_lock_released(vrift_file *file)
{
    if (atomic_load_explicit(&file->locked, memory_order_acquire))
        strip(file->path.dentry->inode, NULL, file);
}
