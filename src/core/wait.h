/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Waiting for another task, for as long as a struct vrift_wait says. */
#ifndef VR_WAIT_H
#define VR_WAIT_H

#include "core/object.h"

#include <vrift/wait.h>

/* One thread that waits, on its stack. */
struct vr_sleeper {
    vr_os_cond cond;
    vr_os_mutex *mutex;                /* what it sleeps under; rank VR_RANK_SLEEP */
    uint64_t deadline_ns;              /* 0: none */
    vrift_cancel *cancel;              /* may be NULL */
    struct vr_sleeper *next, **before; /* cancel->lock */
};

/* Without locks. `how` may be NULL; -VRIFT_EINVAL, -VRIFT_ENOMEM. Each that succeeded is to be ended. */
int32_t vr_sleeper_begin(struct vr_sleeper *sleeper, vr_os_mutex *mutex, const struct vrift_wait *how);

/* Under the mutex: sleeps until it is woken, perhaps for nothing. -VRIFT_EINTR, -VRIFT_ETIMEDOUT. */
int32_t vr_sleeper_sleep(struct vr_sleeper *sleeper);

/* Under the mutex. */
void vr_sleeper_wake(struct vr_sleeper *sleeper);

/* Without locks. */
void vr_sleeper_end(struct vr_sleeper *sleeper);

#endif
