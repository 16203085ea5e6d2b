/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/digestset.h"

#include "core/alloc.h"
#include "store/bytes.h"

#include <vrift/error.h>

static const struct vr_digest free_slot;

/* A digest is as random as any hash of it. */
static struct vr_digest *find_slot(const struct vr_digestset *set, const struct vr_digest *digest)
{
    size_t at = (size_t)vr_bytes_get64(digest->bytes);
    for (;; at++) {
        struct vr_digest *slot = &set->slots[at & (set->capacity - 1)];
        if (vr_digest_equal(slot, &free_slot) || vr_digest_equal(slot, digest))
            return slot;
    }
}

static int32_t grow(struct vr_digestset *set)
{
    struct vr_digestset larger = {NULL, set->count, set->capacity ? set->capacity * 2 : 1024};
    larger.slots = vr_alloc_zero(NULL, larger.capacity, sizeof *larger.slots);
    if (!larger.slots)
        return -VRIFT_ENOMEM;
    for (size_t i = 0; i < set->capacity; i++)
        if (!vr_digest_equal(&set->slots[i], &free_slot))
            *find_slot(&larger, &set->slots[i]) = set->slots[i];
    vr_alloc_free(NULL, set->slots);
    *set = larger;
    return 0;
}

int32_t vr_digestset_add(struct vr_digestset *set, const struct vr_digest *digest)
{
    if (set->count >= set->capacity / 2) {
        int32_t error = grow(set);
        if (error)
            return error;
    }
    struct vr_digest *slot = find_slot(set, digest);
    if (vr_digest_equal(slot, digest))
        return 0;
    *slot = *digest;
    set->count++;
    return 1;
}

void vr_digestset_remove_all(struct vr_digestset *set)
{
    vr_alloc_free(NULL, set->slots);
    memset(set, 0, sizeof *set);
}
