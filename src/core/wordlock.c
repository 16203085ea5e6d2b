/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/wordlock.h"

#include <assert.h>

#define WRITER  0x80000000u
#define WAITERS 0x40000000u /* somebody waits in the room; who unlocks wakes all there */
#define READERS 0x3fffffffu

int32_t vr_wordlock_init(struct vr_wordlock_rooms *rooms)
{
    int32_t error = 0;
    int ready = 0;
    while (!error && ready < VR_WORDLOCK_ROOMS) {
        error = vr_os_mutex_init(&rooms->room[ready].mutex);
        if (error)
            break;
        error = vr_os_cond_init(&rooms->room[ready].changed);
        if (error)
            vr_os_mutex_destroy(&rooms->room[ready].mutex);
        else
            ready++;
    }
    while (error && ready-- > 0) {
        vr_os_cond_destroy(&rooms->room[ready].changed);
        vr_os_mutex_destroy(&rooms->room[ready].mutex);
    }
    return error;
}

void vr_wordlock_dispose(struct vr_wordlock_rooms *rooms)
{
    for (int i = 0; i < VR_WORDLOCK_ROOMS; i++) {
        vr_os_cond_destroy(&rooms->room[i].changed);
        vr_os_mutex_destroy(&rooms->room[i].mutex);
    }
}

static uint32_t room_of(const _Atomic uint32_t *lock)
{
    return (uint32_t)(((uintptr_t)lock >> 4) * 0x9e3779b97f4a7c15ULL >> 32) % VR_WORDLOCK_ROOMS;
}

/* Tries once to take the lock; *seen is what stood in the way. */
static int try_lock(_Atomic uint32_t *lock, uint32_t busy, uint32_t taken, uint32_t *seen)
{
    *seen = atomic_load_explicit(lock, memory_order_relaxed);
    while (!(*seen & busy)) {
        assert(taken == WRITER || (*seen & READERS) < READERS);
        if (atomic_compare_exchange_weak_explicit(lock, seen, *seen + taken, memory_order_acquire,
                                                  memory_order_relaxed))
            return 1;
    }
    return 0;
}

/* The mark is made and looked at with the room locked: a wake-up cannot slip in between. */
static void take(_Atomic uint32_t *lock, uint32_t busy, uint32_t taken, struct vr_wordlock_rooms *rooms)
{
    uint32_t seen;
    if (try_lock(lock, busy, taken, &seen))
        return;
    uint32_t room = room_of(lock);
    vr_os_mutex_lock(&rooms->room[room].mutex);
    while (!try_lock(lock, busy, taken, &seen)) {
        if (atomic_compare_exchange_strong_explicit(lock, &seen, seen | WAITERS, memory_order_relaxed,
                                                    memory_order_relaxed))
            vr_os_cond_wait(&rooms->room[room].changed, &rooms->room[room].mutex);
    }
    vr_os_mutex_unlock(&rooms->room[room].mutex);
}

void vr_wordlock_write(_Atomic uint32_t *lock, struct vr_wordlock_rooms *rooms)
{
    take(lock, WRITER | READERS, WRITER, rooms);
}

void vr_wordlock_read(_Atomic uint32_t *lock, struct vr_wordlock_rooms *rooms)
{
    /* Not past who waits already, or readers that follow each other would keep a writer out for good. */
    take(lock, WRITER | WAITERS, 1, rooms);
}

void vr_wordlock_unlock(_Atomic uint32_t *lock, struct vr_wordlock_rooms *rooms)
{
    uint32_t seen = atomic_load_explicit(lock, memory_order_relaxed), left;
    do {
        assert(seen & (WRITER | READERS));
        left = seen & WRITER ? seen & ~WRITER : seen - 1;
        if (!(left & READERS))
            left = 0; /* with the mark of those who wait, who all look again */
    } while (!atomic_compare_exchange_weak_explicit(lock, &seen, left, memory_order_release, memory_order_relaxed));
    if (!(seen & WAITERS) || left)
        return;
    uint32_t room = room_of(lock);
    vr_os_mutex_lock(&rooms->room[room].mutex);
    vr_os_cond_broadcast(&rooms->room[room].changed);
    vr_os_mutex_unlock(&rooms->room[room].mutex);
}
