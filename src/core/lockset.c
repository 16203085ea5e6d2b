/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Lists of locked ranges, after posix_lock_inode() and flock_lock_inode() of Linux. */
#include "core/lock.h"

#include <vrift/lock.h>

#include <assert.h>

static bool overlaps(const struct vr_lock *a, const struct vr_lock *b)
{
    return a->start <= b->end && b->start <= a->end;
}

bool vr_lockset_excludes(const struct vr_lock *lock, const struct vr_lock *want)
{
    return !vr_lockset_same(&lock->owner, &want->owner) && overlaps(lock, want) &&
           (lock->type == VRIFT_F_WRLCK || want->type == VRIFT_F_WRLCK);
}

struct vr_lock *vr_lockset_conflict(const struct vr_lockset *set, enum vr_lock_list list, const struct vr_lock *want)
{
    for (struct vr_lock *lock = set->lists[list]; lock; lock = lock->next)
        if (vr_lockset_excludes(lock, want))
            return lock;
    return NULL;
}

struct vr_lock *vr_lockset_own(const struct vr_lockset *set, enum vr_lock_list list, const struct vr_lock *want)
{
    for (struct vr_lock *lock = set->lists[list]; lock; lock = lock->next)
        if (vr_lockset_same(&lock->owner, &want->owner) && overlaps(lock, want))
            return lock;
    return NULL;
}

static struct vr_lock *take_spare(struct vr_lock_request *request)
{
    struct vr_lock *spare = request->spare;
    assert(spare);
    request->spare = spare->next;
    return spare;
}

static void unlink_lock(struct vr_lock **at, struct vr_lock_request *request)
{
    struct vr_lock *lock = *at;
    *at = lock->next;
    lock->next = request->spare;
    request->spare = lock;
}

/* Cuts from the lock at *at what `want` covers of it; answers where to go on, NULL when the rest lies behind. */
static struct vr_lock **cut(struct vr_lock **at, const struct vr_lock *want, struct vr_lock_request *request)
{
    struct vr_lock *lock = *at;
    if (lock->start < want->start) {
        if (lock->end > want->end) {
            struct vr_lock *right = take_spare(request);
            *right = *lock;
            right->start = want->end + 1;
            lock->next = right;
        }
        lock->end = want->start - 1;
        return &lock->next;
    }
    if (lock->end > want->end) {
        lock->start = want->end + 1;
        return NULL;
    }
    unlink_lock(at, request);
    return at;
}

void vr_lockset_apply(struct vr_lockset *set, struct vr_lock_request *request)
{
    struct vr_lock want = request->want; /* grows by what it is joined with */
    bool named = false; /* by the process of the first lock that it is joined with, unless it replaced another before */
    struct vr_lock **at = &set->lists[request->list];
    while (*at && !vr_lockset_same(&(*at)->owner, &want.owner))
        at = &(*at)->next;
    while (*at && vr_lockset_same(&(*at)->owner, &want.owner)) {
        struct vr_lock *lock = *at;
        bool joins = lock->type == want.type; /* neighbours, too */
        if (lock->end < want.start && !(joins && lock->end == want.start - 1)) {
            at = &lock->next;
        } else if (lock->start > want.end && !(joins && lock->start - 1 == want.end)) {
            break;
        } else if (joins) {
            want.pid = named ? want.pid : lock->pid;
            named = true;
            want.start = lock->start < want.start ? lock->start : want.start;
            want.end = lock->end > want.end ? lock->end : want.end;
            unlink_lock(at, request);
        } else {
            struct vr_lock **next = cut(at, &want, request);
            if (!next)
                break;
            named = named || next == at;
            at = next;
        }
    }
    if (want.type == VRIFT_F_UNLCK)
        return;
    struct vr_lock *lock = take_spare(request);
    *lock = want;
    lock->next = *at;
    *at = lock;
}

void vr_lockset_strip(struct vr_lockset *set, const struct vr_lock_owner *owner, const vrift_file *file,
                      struct vr_lock **out)
{
    for (int list = 0; list < VR_LOCK_LISTS; list++) {
        for (struct vr_lock **at = &set->lists[list]; *at;) {
            struct vr_lock *lock = *at;
            if ((owner && !vr_lockset_same(&lock->owner, owner)) || (file && lock->file != file)) {
                at = &lock->next;
                continue;
            }
            *at = lock->next;
            lock->next = *out;
            *out = lock;
        }
    }
}
