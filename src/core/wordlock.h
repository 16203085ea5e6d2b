/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A reader-writer lock in one word, 0 when free. Who must wait does so in one of a few rooms that the locks of an
 * instance share; a room's mutex is held for moments only and nothing else is taken under it, so that sharing a room
 * orders no locks. While somebody waits, readers that come wait too: so nobody may take a lock twice to read.
 */
#ifndef VR_WORDLOCK_H
#define VR_WORDLOCK_H

#include "platform/os.h"

#include <stdatomic.h>

#define VR_WORDLOCK_ROOMS 16

struct vr_wordlock_rooms {
    struct {
        vr_os_mutex mutex;
        vr_os_cond changed;
    } room[VR_WORDLOCK_ROOMS];
};

int32_t vr_wordlock_init(struct vr_wordlock_rooms *rooms);
void vr_wordlock_dispose(struct vr_wordlock_rooms *rooms);

void vr_wordlock_write(_Atomic uint32_t *lock, struct vr_wordlock_rooms *rooms);
void vr_wordlock_read(_Atomic uint32_t *lock, struct vr_wordlock_rooms *rooms);
void vr_wordlock_unlock(_Atomic uint32_t *lock, struct vr_wordlock_rooms *rooms);

#endif
