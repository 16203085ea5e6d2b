/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Calls that move bytes from a descriptor without the caller's buffer: copy_file_range(2), sendfile(2), and to a
 * function. As on Linux, the position that a transfer starts at is read once and set at its end: two transfers on one
 * description at a time go wrong in the same way.
 */
#include "core/atime.h"
#include "core/alloc.h"
#include "core/attr.h"
#include "core/description.h"
#include "core/dispatch.h"
#include "core/fdtable.h"
#include "core/fifo.h"
#include "core/file.h"
#include "core/inode.h"
#include "core/perm.h"
#include "core/walk.h"
#include "core/watch.h"

#include <vrift/file.h>
#include <vrift/task.h>

#define CHUNK 65536u

struct transfer {
    vrift_task *task;
    vrift_cred *cred; /* held */
    vrift_file *in;   /* held */
    vrift_file *out;  /* held; NULL: a function takes the bytes */
    uint64_t from, to;
};

static void end(struct transfer *transfer)
{
    vrift_cred_unref(transfer->cred);
    vrift_file_unref(transfer->in);
    vrift_file_unref(transfer->out);
}

static int64_t position_of(vrift_file *file)
{
    vr_description_lock(file);
    uint64_t position = file->position;
    vr_description_unlock(file);
    return (int64_t)position;
}

static bool is_fifo(const vrift_file *file)
{
    return vr_is_fifo(file->path.dentry->inode);
}

/* Leaves where a transfer ended: in the caller's offset or in the description. A fifo has no position. */
static void leave(vrift_file *file, int64_t *offset, uint64_t position)
{
    if (is_fifo(file))
        return;
    if (offset) {
        *offset = (int64_t)position;
        return;
    }
    vr_description_lock(file);
    file->position = position;
    vr_description_unlock(file);
}

/* -- Through a buffer ---------------------------------------------------------------------------------------------- */

/* Takes bytes; how many it took, or an error. */
typedef int64_t (*take_fn)(struct transfer *transfer, void *bytes, size_t length, uint64_t done, void *payload);

static int64_t write_chunk(struct transfer *transfer, void *bytes, size_t length, uint64_t done, void *payload)
{
    struct vrift_iovec iov = {bytes, length};
    uint64_t reached;
    (void)payload;
    if (is_fifo(transfer->out))
        return vr_fifo_write(transfer->task, transfer->out, &iov, 1);
    return vr_file_write(transfer->out, transfer->cred, &iov, 1, transfer->to + done, transfer->task->max_file_size,
                         &reached);
}

static int64_t read_chunk(struct transfer *transfer, void *buffer, size_t wanted, uint64_t done)
{
    struct vrift_iovec iov = {buffer, wanted};
    if (is_fifo(transfer->in))
        return vr_fifo_read(transfer->task, transfer->in, &iov, 1);
    return vr_file_read(transfer->in, &iov, 1, transfer->from + done);
}

static int64_t pump(struct transfer *transfer, uint64_t count, void *buffer, take_fn take, void *payload)
{
    uint64_t done = 0;
    while (done < count) {
        size_t wanted = count - done < CHUNK ? (size_t)(count - done) : CHUNK;
        int64_t got = read_chunk(transfer, buffer, wanted, done);
        int64_t taken = got > 0 ? take(transfer, buffer, (size_t)got, done, payload) : got;
        if (taken < 0 && !done)
            return taken;
        if (taken > 0)
            done += (uint64_t)taken;
        if (got <= 0 || taken < got)
            break; /* at the end, which may have moved by what was written, or no more is taken */
        if (is_fifo(transfer->in))
            break; /* there might be a wait for more */
    }
    return (int64_t)done;
}

static int64_t through_buffer(struct transfer *transfer, uint64_t count, take_fn take, void *payload)
{
    void *buffer = vr_alloc(transfer->task->vfs->allocator, count < CHUNK ? (size_t)count : CHUNK);
    if (!buffer)
        return -VRIFT_ENOMEM;
    int64_t result = pump(transfer, count, buffer, take, payload);
    vr_alloc_free(transfer->task->vfs->allocator, buffer);
    return result;
}

/* -- copy_file_range(2) -------------------------------------------------------------------------------------------- */

static int32_t check_copy_files(const struct transfer *transfer)
{
    const struct vr_inode *from = transfer->in->path.dentry->inode, *to = transfer->out->path.dentry->inode;
    if (vr_is_dir(from) || vr_is_dir(to))
        return -VRIFT_EISDIR;
    if (!vr_is_file(from) || !vr_is_file(to))
        return -VRIFT_EINVAL;
    if (!transfer->in->readable || !transfer->out->writable || transfer->out->flags & VRIFT_O_APPEND)
        return -VRIFT_EBADF;
    return 0;
}

/* generic_copy_file_checks() and rw_verify_area() of Linux, in their order. Shortens *count to what there is. */
static int32_t check_copy(const struct transfer *transfer, int64_t from, int64_t to, uint64_t *count)
{
    struct vr_inode *source = transfer->in->path.dentry->inode;
    struct vrift_stat attr;
    uint64_t first = (uint64_t)from, target = (uint64_t)to, most;
    if (vr_perm_is(transfer->out->path.dentry->inode, VR_MODE_IMMUTABLE))
        return -VRIFT_EPERM;
    if (first + *count < first || target + *count < target)
        return -VRIFT_EOVERFLOW;
    int32_t error = vr_inode_getattr(source, vr_inode_now(source->sb), &attr);
    if (error)
        return error;
    if (from >= 0 && first >= attr.size)
        *count = 0;
    else if (*count > attr.size - first)
        *count = attr.size - first;
    if (*count && to == INT64_MAX)
        return -VRIFT_EFBIG;
    if (*count && to >= 0) {
        error = vr_file_room(transfer->out, target, transfer->task->max_file_size, &most);
        if (error)
            return error;
        if (*count > most)
            *count = most;
        if (*count > INT64_MAX - target)
            *count = INT64_MAX - target;
    }
    if (source == transfer->out->path.dentry->inode && target + *count > first && target < first + *count)
        return -VRIFT_EINVAL;
    return from < 0 || to < 0 ? -VRIFT_EINVAL : 0;
}

/* By the backend, if both files are its own and it can. */
static int64_t copy_below(struct transfer *transfer, uint64_t count, uint64_t flags)
{
    struct vr_inode *from = transfer->in->path.dentry->inode, *to = transfer->out->path.dentry->inode;
    if (from->sb != to->sb)
        return flags & VRIFT_COPY_CLONE ? -VRIFT_EXDEV : -VRIFT_EOPNOTSUPP;
    if (!to->sb->ops.copy_range)
        return -VRIFT_EOPNOTSUPP;
    vr_inode_lock(to, VR_RANK_CHILD);
    int64_t result = vr_attr_modified(transfer->cred, transfer->out->path.dentry, NULL);
    if (!result)
        result = vr_dispatch_copy_range(from, transfer->in->handle, transfer->from, to, transfer->out->handle,
                                        transfer->to, count, flags);
    vr_inode_attr_forget(to);
    if (result > 0)
        vr_watch_file(transfer->out->path.dentry, VRIFT_IN_MODIFY);
    vr_inode_unlock(to, VR_RANK_CHILD);
    if (result > 0) {
        vr_watch_file(transfer->in->path.dentry, VRIFT_IN_ACCESS);
        vr_atime_file(transfer->in);
    }
    return result;
}

static int64_t copy(struct transfer *transfer, int64_t *off_in, int64_t *off_out, uint64_t count, uint64_t flags)
{
    if (flags & ~VRIFT_COPY_CLONE)
        return -VRIFT_EINVAL;
    int64_t error = check_copy_files(transfer);
    if (error)
        return error;
    int64_t from = off_in ? *off_in : position_of(transfer->in);
    int64_t to = off_out ? *off_out : position_of(transfer->out);
    error = check_copy(transfer, from, to, &count);
    if (error || !count)
        return error;
    transfer->from = (uint64_t)from;
    transfer->to = (uint64_t)to;
    int64_t result = copy_below(transfer, count, flags);
    if (result == -VRIFT_EOPNOTSUPP && !(flags & VRIFT_COPY_CLONE))
        result = through_buffer(transfer, count, write_chunk, NULL);
    if (result > 0) {
        leave(transfer->in, off_in, transfer->from + (uint64_t)result);
        leave(transfer->out, off_out, transfer->to + (uint64_t)result);
    }
    return result;
}

static int32_t begin(struct transfer *transfer, vrift_task *task, int32_t in)
{
    *transfer = (struct transfer){.task = task};
    int32_t error = vr_fdtable_get_open(task->files, in, &transfer->in);
    if (!error)
        transfer->cred = vr_walk_cred(task);
    return error;
}

int64_t vrift_copy_file_range(vrift_task *task, int32_t in_fd, int64_t *in_offset, int32_t out_fd, int64_t *out_offset,
                              uint64_t count, uint64_t flags)
{
    struct transfer transfer;
    if (!task)
        return -VRIFT_EINVAL;
    int64_t result = begin(&transfer, task, in_fd);
    if (result)
        return result;
    result = vr_fdtable_get_open(task->files, out_fd, &transfer.out);
    if (!result)
        result = copy(&transfer, in_offset, out_offset, count, flags);
    end(&transfer);
    return result;
}

/* -- sendfile(2) --------------------------------------------------------------------------------------------------- */

static bool is_valid_area(int64_t position, uint64_t count)
{
    return position >= 0 && (uint64_t)position + count <= INT64_MAX;
}

static int32_t check_send(const struct transfer *transfer, int64_t from, int64_t to, uint64_t *count)
{
    if (!is_valid_area(from, *count))
        return -VRIFT_EINVAL;
    if (*count > VR_FILE_MOST_BYTES)
        *count = VR_FILE_MOST_BYTES;
    int32_t error = vr_file_writable(transfer->out);
    if (error)
        return error;
    if (is_fifo(transfer->out))
        return 0;
    return transfer->out->flags & VRIFT_O_APPEND || !is_valid_area(to, *count) ? -VRIFT_EINVAL : 0;
}

static int64_t send(struct transfer *transfer, int32_t out_fd, int64_t *offset, uint64_t count)
{
    if (!transfer->in->readable)
        return -VRIFT_EBADF;
    if (offset && is_fifo(transfer->in))
        return -VRIFT_ESPIPE;
    int64_t error = vr_fdtable_get_open(transfer->task->files, out_fd, &transfer->out);
    if (error)
        return error;
    int64_t from = offset ? *offset : position_of(transfer->in);
    int64_t to = position_of(transfer->out);
    error = check_send(transfer, from, to, &count);
    if (error)
        return error;
    bool is_file = vr_is_file(transfer->in->path.dentry->inode);
    if (is_fifo(transfer->in) && !is_fifo(transfer->out))
        return -VRIFT_EINVAL;
    if (!count || !is_file) {
        vr_atime_file(transfer->in); /* nothing is read, and yet it counts */
        return count ? -VRIFT_EINVAL : 0;
    }
    transfer->from = (uint64_t)from;
    transfer->to = (uint64_t)to;
    int64_t result = through_buffer(transfer, count, write_chunk, NULL);
    if (result > 0) {
        leave(transfer->in, offset, transfer->from + (uint64_t)result);
        leave(transfer->out, NULL, transfer->to + (uint64_t)result);
    }
    return result;
}

int64_t vrift_sendfile(vrift_task *task, int32_t out_fd, int32_t in_fd, int64_t *offset, uint64_t count)
{
    struct transfer transfer;
    if (!task)
        return -VRIFT_EINVAL;
    int64_t result = begin(&transfer, task, in_fd);
    if (result)
        return result;
    result = send(&transfer, out_fd, offset, count);
    end(&transfer);
    return result;
}

/* -- To a function ------------------------------------------------------------------------------------------------- */

struct taker {
    vrift_splice_fn take;
    void *payload;
};

static int64_t call_taker(struct transfer *transfer, void *bytes, size_t length, uint64_t done, void *payload)
{
    const struct taker *taker = payload;
    (void)transfer;
    (void)done;
    int64_t taken = taker->take(bytes, length, taker->payload);
    return taken > (int64_t)length ? -VRIFT_EINVAL : taken;
}

int64_t vrift_splice(vrift_task *task, int32_t fd, int64_t *offset, uint64_t count, vrift_splice_fn take, void *payload)
{
    struct taker taker = {take, payload};
    struct transfer transfer;
    if (!task || !take || count > INT64_MAX)
        return -VRIFT_EINVAL;
    int64_t result = begin(&transfer, task, fd);
    if (result)
        return result;
    result = offset && is_fifo(transfer.in) ? -VRIFT_ESPIPE : vr_file_readable(transfer.in);
    int64_t from = offset ? *offset : position_of(transfer.in);
    if (!result && !is_valid_area(from, count))
        result = -VRIFT_EINVAL;
    if (!result && count) {
        transfer.from = (uint64_t)from;
        result = through_buffer(&transfer, count, call_taker, &taker);
        if (result > 0)
            leave(transfer.in, offset, transfer.from + (uint64_t)result);
    }
    end(&transfer);
    return result;
}
