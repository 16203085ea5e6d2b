/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/lockrank.h"

#include <assert.h>

#ifndef NDEBUG

/* More than one thread ever holds: eight for each of a hundred stacked superblocks, and the instance's. */
#define MOST_HELD 1024

static _Thread_local uint32_t held[MOST_HELD];
static _Thread_local uint32_t held_count;

bool vr_lockrank_inverts(uint32_t key)
{
    for (uint32_t i = 0; i < held_count; i++)
        if (held[i] >= key)
            return true;
    return false;
}

void vr_lockrank_take(uint32_t key)
{
    assert(!vr_lockrank_inverts(key) && "locks are taken out of order");
    assert(held_count < MOST_HELD);
    held[held_count++] = key;
}

void vr_lockrank_give(uint32_t key)
{
    for (uint32_t i = held_count; i-- > 0;) {
        if (held[i] != key)
            continue;
        held[i] = held[--held_count];
        return;
    }
    assert(0 && "a lock is given back that is not held");
}

bool vr_lockrank_may_call_out(void)
{
    for (uint32_t i = 0; i < held_count; i++)
        if (held[i] >= VR_RANK_MOUNT)
            return false;
    return true;
}

#else
typedef int vr_lockrank_not_in_release;
#endif
