/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/fifo.h"

#include "core/alloc.h"
#include "core/atime.h"
#include "core/inode.h"
#include "core/wait.h"
#include "core/watch.h"

#include <vrift/watch.h>

#include <string.h>

#define CAPACITY 65536u /* bytes, as a pipe of Linux */
#define ATOMIC   4096u  /* PIPE_BUF: writes of no more do not come apart */

struct waiter {
    struct vr_sleeper sleeper;
    struct waiter *next; /* the pipe's lock */
};

struct vr_pipe {
    struct vr_pipe *next; /* the table's lock; in its bucket */
    struct vr_inode *inode;
    uint32_t users; /* the table's lock; descriptions, and opens that are under way */
    vr_os_mutex lock;
    uint32_t readers, writers;        /* lock; descriptions */
    uint32_t read_opens, write_opens; /* lock; grow with each open, so that one that was there and left is noticed */
    uint32_t start, used;             /* lock; of bytes */
    struct waiter *waiters;           /* lock */
    unsigned char bytes[CAPACITY];    /* lock */
};

/* -- The table ----------------------------------------------------------------------------------------------------- */

int32_t vr_fifo_init(vrift_vfs *vfs)
{
    return vr_os_mutex_init(&vfs->pipes.lock);
}

void vr_fifo_dispose(vrift_vfs *vfs)
{
    vr_os_mutex_destroy(&vfs->pipes.lock);
}

static void lock_table(vrift_vfs *vfs)
{
    vr_lockrank_take(VR_RANK_LEAF);
    vr_os_mutex_lock(&vfs->pipes.lock);
}

static void unlock_table(vrift_vfs *vfs)
{
    vr_os_mutex_unlock(&vfs->pipes.lock);
    vr_lockrank_give(VR_RANK_LEAF);
}

static struct vr_pipe **bucket_of(const struct vr_inode *inode)
{
    uint64_t hash = ((uint64_t)(uintptr_t)inode >> 6) * 0x9e3779b97f4a7c15ULL;
    return &inode->sb->vfs->pipes.buckets[hash >> 32 & (VR_PIPE_BUCKETS - 1)];
}

static void free_pipe(vrift_vfs *vfs, struct vr_pipe *pipe)
{
    vr_os_mutex_destroy(&pipe->lock);
    vr_alloc_free(vfs->allocator, pipe);
}

/* The pipe of an inode that the caller holds, with one more user. */
static int32_t get_pipe(struct vr_inode *inode, struct vr_pipe **out)
{
    vrift_vfs *vfs = inode->sb->vfs;
    struct vr_pipe *fresh = vr_alloc(vfs->allocator, sizeof *fresh);
    if (!fresh)
        return -VRIFT_ENOMEM;
    memset(fresh, 0, offsetof(struct vr_pipe, bytes));
    if (vr_os_mutex_init(&fresh->lock)) {
        vr_alloc_free(vfs->allocator, fresh);
        return -VRIFT_ENOMEM;
    }
    fresh->inode = inode;
    lock_table(vfs);
    struct vr_pipe **bucket = bucket_of(inode), *pipe = *bucket;
    while (pipe && pipe->inode != inode)
        pipe = pipe->next;
    if (!pipe) {
        fresh->next = *bucket;
        *bucket = pipe = fresh;
        fresh = NULL;
    }
    pipe->users++;
    unlock_table(vfs);
    if (fresh)
        free_pipe(vfs, fresh);
    *out = pipe;
    return 0;
}

static void put_pipe(vrift_vfs *vfs, struct vr_pipe *pipe)
{
    lock_table(vfs);
    bool last = --pipe->users == 0;
    struct vr_pipe **at = bucket_of(pipe->inode);
    while (last && *at != pipe)
        at = &(*at)->next;
    if (last)
        *at = pipe->next;
    unlock_table(vfs);
    if (last)
        free_pipe(vfs, pipe);
}

/* -- Waiting ------------------------------------------------------------------------------------------------------- */

static void lock_pipe(struct vr_pipe *pipe)
{
    vr_lockrank_take(VR_RANK_SLEEP);
    vr_os_mutex_lock(&pipe->lock);
}

static void unlock_pipe(struct vr_pipe *pipe)
{
    vr_os_mutex_unlock(&pipe->lock);
    vr_lockrank_give(VR_RANK_SLEEP);
}

/* Locked: something has changed that somebody may wait for. */
static void wake_all(struct vr_pipe *pipe)
{
    for (struct waiter *waiter = pipe->waiters; waiter; waiter = waiter->next)
        vr_sleeper_wake(&waiter->sleeper);
}

/* Asked under the lock: -VRIFT_EAGAIN if it has to wait, else a result. */
typedef int64_t (*try_fn)(struct vr_pipe *pipe, void *what);

/* Locked, with the waiter not in the list. */
static int64_t sleep_until(struct vr_pipe *pipe, struct waiter *waiter, try_fn try, void *what)
{
    int64_t result;
    waiter->next = pipe->waiters;
    pipe->waiters = waiter;
    while ((result = try(pipe, what)) == -VRIFT_EAGAIN) {
        result = vr_sleeper_sleep(&waiter->sleeper);
        if (result)
            break;
    }
    struct waiter **at = &pipe->waiters;
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    return result;
}

static int64_t try_or_wait(vrift_task *task, struct vr_pipe *pipe, bool may_wait, try_fn try, void *what)
{
    lock_pipe(pipe);
    int64_t result = try(pipe, what);
    unlock_pipe(pipe);
    if (result != -VRIFT_EAGAIN || !may_wait)
        return result;
    struct waiter waiter = {.next = NULL};
    struct vrift_wait wait = {.size = sizeof wait};
    wait.cancel = task ? atomic_load_explicit(&task->cancel, memory_order_acquire) : NULL;
    int32_t error = vr_sleeper_begin(&waiter.sleeper, &pipe->lock, &wait);
    if (error)
        return error;
    lock_pipe(pipe);
    result = sleep_until(pipe, &waiter, try, what);
    unlock_pipe(pipe);
    vr_sleeper_end(&waiter.sleeper);
    return result;
}

/* -- Opening and closing ------------------------------------------------------------------------------------------- */

struct partner {
    bool wants_writer;
    uint32_t opens; /* of the other kind, when it began to wait */
};

static int64_t try_partner(struct vr_pipe *pipe, void *what)
{
    const struct partner *partner = what;
    bool there = partner->wants_writer ? pipe->writers || pipe->write_opens != partner->opens
                                       : pipe->readers || pipe->read_opens != partner->opens;
    return there ? 0 : -VRIFT_EAGAIN;
}

/*
 * Counts the description in and answers whether it has to wait for the other end, which is decided here once and for all:
 * who was there at this moment may leave before anybody looks again. -VRIFT_ENXIO: the flags forbid to wait.
 */
static int32_t join(struct vr_pipe *pipe, const vrift_file *file, struct partner *partner)
{
    int32_t result = 0;
    lock_pipe(pipe);
    if (!(file->readable && file->writable))
        result = file->readable ? !pipe->writers : !pipe->readers;
    if (result && file->flags & VRIFT_O_NONBLOCK)
        result = file->readable ? 0 : -VRIFT_ENXIO;
    partner->wants_writer = file->readable;
    partner->opens = file->readable ? pipe->write_opens : pipe->read_opens;
    if (result >= 0) {
        pipe->readers += file->readable;
        pipe->read_opens += file->readable;
        pipe->writers += file->writable;
        pipe->write_opens += file->writable;
        wake_all(pipe);
    }
    unlock_pipe(pipe);
    return result;
}

static void leave(struct vr_pipe *pipe, const vrift_file *file)
{
    lock_pipe(pipe);
    pipe->readers -= file->readable;
    pipe->writers -= file->writable;
    wake_all(pipe);
    unlock_pipe(pipe);
}

int32_t vr_fifo_open(vrift_task *task, vrift_file *file)
{
    struct vr_pipe *pipe;
    struct partner partner;
    if (!file->readable && !file->writable)
        return -VRIFT_EINVAL;
    int32_t error = get_pipe(file->path.dentry->inode, &pipe);
    if (error)
        return error;
    int32_t waits = join(pipe, file, &partner);
    error = waits;
    if (waits > 0) {
        error = (int32_t)try_or_wait(task, pipe, true, try_partner, &partner);
        if (error)
            leave(pipe, file);
    }
    if (error) {
        put_pipe(file->vfs, pipe);
        return error;
    }
    file->pipe = pipe;
    return 0;
}

void vr_fifo_release(vrift_file *file)
{
    leave(file->pipe, file);
    put_pipe(file->vfs, file->pipe);
}

/* -- Bytes --------------------------------------------------------------------------------------------------------- */

/* What is to be read or written, and how far that is. */
struct bytes {
    const struct vrift_iovec *iov;
    uint32_t count, index;
    size_t offset; /* within iov[index] */
    uint64_t left;
};

static struct bytes bytes_of(const struct vrift_iovec *iov, uint32_t count)
{
    struct bytes bytes = {.iov = iov, .count = count};
    for (uint32_t i = 0; i < count; i++)
        bytes.left += iov[i].length;
    return bytes;
}

/* Locked: copies at most `most` bytes between the pipe and the buffers, at `at` in the ring. */
static uint32_t copy(struct vr_pipe *pipe, struct bytes *bytes, uint32_t at, uint32_t most, bool reading)
{
    uint32_t done = 0;
    while (done < most && bytes->left) {
        const struct vrift_iovec *iov = &bytes->iov[bytes->index];
        uint32_t here = (at + done) % CAPACITY, part = CAPACITY - here;
        if (part > most - done)
            part = most - done;
        if (part > iov->length - bytes->offset)
            part = (uint32_t)(iov->length - bytes->offset);
        if (part && reading)
            memcpy((char *)iov->base + bytes->offset, pipe->bytes + here, part);
        else if (part)
            memcpy(pipe->bytes + here, (const char *)iov->base + bytes->offset, part);
        done += part;
        bytes->left -= part;
        bytes->offset += part;
        if (bytes->offset == iov->length) {
            bytes->index++;
            bytes->offset = 0;
        }
    }
    return done;
}

static int64_t try_read(struct vr_pipe *pipe, void *what)
{
    struct bytes *bytes = what;
    if (!pipe->used)
        return pipe->writers ? -VRIFT_EAGAIN : 0;
    uint32_t got = copy(pipe, bytes, pipe->start, pipe->used, true);
    pipe->start = (pipe->start + got) % CAPACITY;
    pipe->used -= got;
    wake_all(pipe);
    return got;
}

static int64_t try_write(struct vr_pipe *pipe, void *what)
{
    struct bytes *bytes = what;
    uint32_t room = CAPACITY - pipe->used;
    if (!pipe->readers)
        return -VRIFT_EPIPE;
    if (!room || (bytes->left <= ATOMIC && bytes->left > room))
        return -VRIFT_EAGAIN;
    uint32_t put = copy(pipe, bytes, pipe->start + pipe->used, room, false);
    pipe->used += put;
    wake_all(pipe);
    return put;
}

int64_t vr_fifo_read(vrift_task *task, vrift_file *file, const struct vrift_iovec *iov, uint32_t count)
{
    struct bytes bytes = bytes_of(iov, count);
    if (!bytes.left)
        return 0;
    int64_t result = try_or_wait(task, file->pipe, !(file->flags & VRIFT_O_NONBLOCK), try_read, &bytes);
    if (result > 0) {
        vr_watch_file(file->path.dentry, VRIFT_IN_ACCESS);
        vr_atime_file(file);
    }
    return result;
}

static void stamp(vrift_file *file)
{
    struct vr_inode *inode = file->path.dentry->inode;
    const struct vrift_setattr set = {.size = sizeof set, .mask = VRIFT_SET_MTIME | VRIFT_SET_MTIME_NOW};
    vr_watch_file(file->path.dentry, VRIFT_IN_MODIFY);
    if (inode->sb->read_only)
        return;
    vr_inode_lock(inode, VR_RANK_CHILD);
    (void)vr_inode_setattr(inode, NULL, &set);
    vr_inode_unlock(inode, VR_RANK_CHILD);
}

int64_t vr_fifo_write(vrift_task *task, vrift_file *file, const struct vrift_iovec *iov, uint32_t count)
{
    struct bytes bytes = bytes_of(iov, count);
    int64_t total = 0, result = 0;
    bool may_wait = !(file->flags & VRIFT_O_NONBLOCK);
    while (bytes.left && result >= 0) {
        result = try_or_wait(task, file->pipe, may_wait, try_write, &bytes);
        if (result > 0)
            total += result;
    }
    if (total)
        stamp(file);
    return total ? total : result;
}
