/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * How long a call may wait, and how another thread ends its waiting. The calls that wait for a lock take a struct
 * vrift_wait; without one they wait for as long as it takes. What waits for the other end of a fifo asks the task.
 *
 * A cancel is a switch that a thread gives to the calls it makes and another thread turns on, at any time: a call that
 * waits then, or would begin to, answers -VRIFT_EINTR, and so do all later ones until the switch is turned off. That
 * there is no moment at which turning it on is lost is what a server needs that is told of interrupted requests.
 */
#ifndef VRIFT_WAIT_H
#define VRIFT_WAIT_H

#include <vrift/types.h>

typedef struct vrift_cancel vrift_cancel; /* ends the waiting of calls from another thread */

struct vrift_wait {
    uint32_t size; /* sizeof(struct vrift_wait) */
    uint32_t reserved;
    uint64_t timeout_ns;  /* how long at most, nanoseconds; 0: for ever. Ends with -VRIFT_ETIMEDOUT */
    vrift_cancel *cancel; /* borrowed; may be NULL */
};

VRIFT_BEGIN_DECLS

/**
 * Makes a cancel that is off.
 *
 * @param[out] out the cancel, to be freed with vrift_cancel_free()
 * @return 0; -VRIFT_ENOMEM; -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_cancel_new(vrift_vfs *vfs, vrift_cancel **out);

/**
 * Turns a cancel on: calls that wait with it answer -VRIFT_EINTR, now and from now on. What a call was granted before
 * stays granted.
 *
 * @param cancel may be NULL
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API void vrift_cancel_fire(vrift_cancel *cancel);

/**
 * Turns a cancel off again, to be used anew.
 *
 * @param cancel may be NULL
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API void vrift_cancel_clear(vrift_cancel *cancel);

/**
 * Gives a task a cancel for the waits of calls that take none: of vrift_openat() of a fifo for its other end, and of
 * reading and writing it.
 *
 * @param cancel borrowed until another one is set or the task is freed; NULL: none
 * @return 0; -VRIFT_EINVAL.
 * Thread safety: any thread; what waits already keeps the one it began with.
 * @since 0.1
 */
VRIFT_API int32_t vrift_task_set_cancel(vrift_task *task, vrift_cancel *cancel);

/**
 * Frees a cancel.
 *
 * @param cancel may be NULL; no call waits with it
 * Thread safety: no other thread may use the cancel.
 * @since 0.1
 */
VRIFT_API void vrift_cancel_free(vrift_cancel *cancel);

VRIFT_END_DECLS

#endif
