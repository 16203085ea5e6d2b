/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/wait.h"

#include "core/alloc.h"
#include "core/copyin.h"

struct vrift_cancel {
    vrift_vfs *vfs; /* held */
    _Atomic uint32_t fired;
    vr_os_mutex lock;            /* rank VR_RANK_CANCEL */
    struct vr_sleeper *sleepers; /* lock */
};

int32_t vrift_cancel_new(vrift_vfs *vfs, vrift_cancel **out)
{
    if (!vfs || !out)
        return -VRIFT_EINVAL;
    vrift_cancel *cancel = vr_alloc_zero(vfs->allocator, 1, sizeof *cancel);
    if (!cancel || vr_os_mutex_init(&cancel->lock)) {
        vr_alloc_free(vfs->allocator, cancel);
        return -VRIFT_ENOMEM;
    }
    cancel->vfs = vr_vfs_ref(vfs);
    *out = cancel;
    return 0;
}

static void lock_cancel(vrift_cancel *cancel)
{
    vr_lockrank_take(VR_RANK_CANCEL);
    vr_os_mutex_lock(&cancel->lock);
}

static void unlock_cancel(vrift_cancel *cancel)
{
    vr_os_mutex_unlock(&cancel->lock);
    vr_lockrank_give(VR_RANK_CANCEL);
}

void vrift_cancel_fire(vrift_cancel *cancel)
{
    if (!cancel)
        return;
    lock_cancel(cancel);
    atomic_store(&cancel->fired, 1);
    /* A sleeper looks at `fired` under its mutex before it sleeps, so taking that here keeps the signal from coming
       in between. */
    for (struct vr_sleeper *sleeper = cancel->sleepers; sleeper; sleeper = sleeper->next) {
        vr_lockrank_take(VR_RANK_SLEEP);
        vr_os_mutex_lock(sleeper->mutex);
        vr_os_cond_signal(&sleeper->cond);
        vr_os_mutex_unlock(sleeper->mutex);
        vr_lockrank_give(VR_RANK_SLEEP);
    }
    unlock_cancel(cancel);
}

void vrift_cancel_clear(vrift_cancel *cancel)
{
    if (cancel)
        atomic_store(&cancel->fired, 0);
}

int32_t vrift_task_set_cancel(vrift_task *task, vrift_cancel *cancel)
{
    if (!task || (cancel && cancel->vfs != task->vfs))
        return -VRIFT_EINVAL;
    atomic_store_explicit(&task->cancel, cancel, memory_order_release);
    return 0;
}

void vrift_cancel_free(vrift_cancel *cancel)
{
    if (!cancel)
        return;
    vrift_vfs *vfs = cancel->vfs;
    vr_os_mutex_destroy(&cancel->lock);
    vr_alloc_free(vfs->allocator, cancel);
    vr_vfs_unref(vfs);
}

/* -- Sleepers ------------------------------------------------------------------------------------------------------ */

static uint64_t deadline_of(uint64_t timeout_ns)
{
    if (!timeout_ns)
        return 0;
    uint64_t now = vr_os_monotonic_ns();
    return timeout_ns > (uint64_t)INT64_MAX - now ? 0 : now + timeout_ns;
}

int32_t vr_sleeper_begin(struct vr_sleeper *sleeper, vr_os_mutex *mutex, const struct vrift_wait *how)
{
    struct vrift_wait own;
    int32_t error = VR_COPYIN(&own, how);
    if (error)
        return error;
    if (own.reserved)
        return -VRIFT_EINVAL;
    *sleeper = (struct vr_sleeper){.mutex = mutex, .deadline_ns = deadline_of(own.timeout_ns), .cancel = own.cancel};
    error = vr_os_cond_init(&sleeper->cond);
    if (error || !sleeper->cancel)
        return error;
    lock_cancel(sleeper->cancel);
    sleeper->next = sleeper->cancel->sleepers;
    sleeper->before = &sleeper->cancel->sleepers;
    if (sleeper->next)
        sleeper->next->before = &sleeper->next;
    sleeper->cancel->sleepers = sleeper;
    unlock_cancel(sleeper->cancel);
    return 0;
}

int32_t vr_sleeper_sleep(struct vr_sleeper *sleeper)
{
    if (sleeper->cancel && atomic_load(&sleeper->cancel->fired))
        return -VRIFT_EINTR;
    if (!sleeper->deadline_ns) {
        vr_os_cond_wait(&sleeper->cond, sleeper->mutex);
        return 0;
    }
    if (vr_os_monotonic_ns() >= sleeper->deadline_ns)
        return -VRIFT_ETIMEDOUT;
    vr_os_cond_wait_until(&sleeper->cond, sleeper->mutex, sleeper->deadline_ns);
    return 0;
}

void vr_sleeper_wake(struct vr_sleeper *sleeper)
{
    vr_os_cond_signal(&sleeper->cond);
}

void vr_sleeper_end(struct vr_sleeper *sleeper)
{
    if (sleeper->cancel) {
        lock_cancel(sleeper->cancel);
        *sleeper->before = sleeper->next;
        if (sleeper->next)
            sleeper->next->before = sleeper->before;
        unlock_cancel(sleeper->cancel);
    }
    vr_os_cond_destroy(&sleeper->cond);
}
