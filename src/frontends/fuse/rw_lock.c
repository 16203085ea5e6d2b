/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Locks. One that cannot be had at once is waited for by a thread of its own, so that those who could let it go are
 * still served; the kernel tells by INTERRUPT when the caller gives up.
 */
#include "fuse/rw_call.h"

#include <vrift/error.h>
#include <vrift/lock.h>
#include <vrift/task.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STACK_BYTES (256u << 10)

/* A request that waits. */
struct vr_rw_waiter {
    struct vr_rw_waiter *next; /* of server->waiters; server->lock */
    struct vr_rw_server *server;
    uint64_t unique;
    vrift_task *task;
    vrift_cancel *cancel;
    int32_t fd;
    uint64_t operation; /* of flock; 0: a record lock */
    struct vrift_lock lock;
};

static int32_t type_of(uint32_t linux_type)
{
    return linux_type == 0 ? VRIFT_F_RDLCK : linux_type == 1 ? VRIFT_F_WRLCK : VRIFT_F_UNLCK;
}

static struct vrift_lock lock_of(const struct fuse_lk_in *in)
{
    return (struct vrift_lock){.size = sizeof(struct vrift_lock),
                               .type = type_of(in->lk.type),
                               .whence = VRIFT_SEEK_SET,
                               .pid = (int32_t)in->lk.pid,
                               .start = (int64_t)in->lk.start,
                               .length = in->lk.end >= INT64_MAX ? 0 : (int64_t)(in->lk.end - in->lk.start + 1),
                               .owner = in->owner};
}

static uint64_t operation_of(const struct fuse_lk_in *in)
{
    static const uint64_t of_type[] = {VRIFT_LOCK_SH, VRIFT_LOCK_EX, VRIFT_LOCK_UN};
    return in->lk_flags & FUSE_LK_FLOCK ? of_type[type_of(in->lk.type)] : 0;
}

int64_t vr_rw_lock_get(struct vr_rw_call *call)
{
    const struct fuse_lk_in *in = vr_rw_call_body(call, sizeof(*in));
    struct fuse_lk_out *out = call->out;
    struct vrift_lock lock;
    int32_t result;
    if (!in)
        return -EINVAL;
    lock = lock_of(in);
    result = vrift_getlk(call->task, vr_rw_file_descriptor(in->fh), 0, &lock);
    if (result < 0)
        return vr_rw_call_errno(result);
    memset(out, 0, sizeof(*out));
    out->lk.type = (uint32_t)lock.type;
    if (lock.type != VRIFT_F_UNLCK) {
        out->lk.start = (uint64_t)lock.start;
        out->lk.end = lock.length ? (uint64_t)(lock.start + lock.length - 1) : INT64_MAX;
        out->lk.pid = (uint32_t)lock.pid;
    }
    return sizeof(*out);
}

/* -- Waiting -------------------------------------------------------------------------------------------------------- */

static void free_waiter(struct vr_rw_waiter *waiter)
{
    vrift_cancel_free(waiter->cancel);
    vrift_task_free(waiter->task);
    free(waiter);
}

static void *wait_for_lock(void *argument)
{
    struct vr_rw_waiter *waiter = argument, **at;
    struct vr_rw_server *server = waiter->server;
    const struct vrift_wait wait = {.size = sizeof(wait), .cancel = waiter->cancel};
    int32_t result = waiter->operation ? vrift_flock(waiter->task, waiter->fd, waiter->operation, &wait)
                                       : vrift_setlk(waiter->task, waiter->fd, VRIFT_SETLK_WAIT, &waiter->lock, &wait);
    (void)pthread_mutex_lock(&server->lock);
    /* The kernel would ask again after EINTR. */
    vr_fuse_session_reply(server->session, waiter->unique,
                          server->ending && result == -VRIFT_EINTR ? -ENOTCONN : (int32_t)vr_rw_call_errno(result));
    for (at = &server->waiters; *at != waiter; at = &(*at)->next)
        ;
    *at = waiter->next;
    (void)pthread_mutex_unlock(&server->lock);
    free_waiter(waiter);
    /* Nothing of the server's is touched after this. */
    (void)pthread_mutex_lock(&server->lock);
    if (--server->waiting == 0)
        (void)pthread_cond_broadcast(&server->waited);
    (void)pthread_mutex_unlock(&server->lock);
    return NULL;
}

/* With the lock held: whether the kernel has already said that the caller gave up. */
static int32_t was_interrupted(const struct vr_rw_server *server, uint64_t unique)
{
    for (size_t i = 0; i < sizeof(server->interrupted) / sizeof(server->interrupted[0]); i++)
        if (server->interrupted[i] == unique)
            return 1;
    return 0;
}

/* Takes the waiter on success. */
static int32_t start_waiting(struct vr_rw_server *server, struct vr_rw_waiter *waiter)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int error;
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)pthread_mutex_lock(&server->lock);
    error = server->ending || was_interrupted(server, waiter->unique) ? EINTR : 0;
    if (!error)
        error = pthread_create(&thread, &attributes, wait_for_lock, waiter);
    if (!error) {
        waiter->next = server->waiters;
        server->waiters = waiter;
        server->waiting++;
    }
    (void)pthread_mutex_unlock(&server->lock);
    (void)pthread_attr_destroy(&attributes);
    return -error;
}

static int64_t wait_apart(struct vr_rw_call *call, const struct fuse_lk_in *in)
{
    struct vr_rw_waiter *waiter = calloc(1, sizeof(*waiter));
    int32_t result;
    if (!waiter)
        return -ENOMEM;
    waiter->server = call->server;
    waiter->unique = call->request->unique;
    waiter->fd = vr_rw_file_descriptor(in->fh);
    waiter->operation = operation_of(in);
    waiter->lock = lock_of(in);
    result = vrift_cancel_new(call->server->vfs, &waiter->cancel);
    if (result == 0)
        result = vrift_task_clone(call->server->base, VRIFT_CLONE_FILES, &waiter->task);
    result = result < 0 ? (int32_t)vr_rw_call_errno(result) : start_waiting(call->server, waiter);
    if (result == 0)
        return VR_FUSE_SESSION_LATER;
    free_waiter(waiter);
    return result;
}

int64_t vr_rw_lock_set(struct vr_rw_call *call)
{
    const struct fuse_lk_in *in = vr_rw_call_body(call, sizeof(*in));
    uint64_t operation;
    int32_t result;
    if (!in)
        return -EINVAL;
    operation = operation_of(in);
    if (operation) {
        result = vrift_flock(call->task, vr_rw_file_descriptor(in->fh), operation | VRIFT_LOCK_NB, NULL);
    } else {
        const struct vrift_lock lock = lock_of(in);
        result = vrift_setlk(call->task, vr_rw_file_descriptor(in->fh), 0, &lock, NULL);
    }
    if (result == -VRIFT_EAGAIN && call->request->opcode == FUSE_SETLKW)
        return wait_apart(call, in);
    return vr_rw_call_errno(result);
}

/* A descriptor is closed: the process loses its record locks of the file. */
int64_t vr_rw_lock_flush(struct vr_rw_call *call)
{
    const struct fuse_flush_in *in = vr_rw_call_body(call, sizeof(*in));
    struct vrift_lock all = {.size = sizeof(all), .type = VRIFT_F_UNLCK, .whence = VRIFT_SEEK_SET};
    if (!in)
        return -EINVAL;
    all.owner = in->lock_owner;
    if (all.owner)
        (void)vrift_setlk(call->task, vr_rw_file_descriptor(in->fh), 0, &all, NULL);
    return 0;
}

/* An interrupt may overtake the request that it is about, so the last ones are kept. */
void vr_rw_lock_interrupt(struct vr_rw_server *server, uint64_t unique)
{
    struct vr_rw_waiter *waiter;
    (void)pthread_mutex_lock(&server->lock);
    for (waiter = server->waiters; waiter && waiter->unique != unique; waiter = waiter->next)
        ;
    if (waiter)
        vrift_cancel_fire(waiter->cancel);
    else
        server
            ->interrupted[server->next_interrupted++ % (sizeof(server->interrupted) / sizeof(server->interrupted[0]))] =
            unique;
    (void)pthread_mutex_unlock(&server->lock);
}

void vr_rw_lock_end(struct vr_rw_server *server)
{
    (void)pthread_mutex_lock(&server->lock);
    server->ending = 1;
    for (struct vr_rw_waiter *waiter = server->waiters; waiter; waiter = waiter->next)
        vrift_cancel_fire(waiter->cancel);
    while (server->waiting)
        (void)pthread_cond_wait(&server->waited, &server->lock);
    (void)pthread_mutex_unlock(&server->lock);
}
