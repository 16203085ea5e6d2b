/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls that take a descriptor: reading, writing, seeking. */
#include "core/atime.h"
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

#include <string.h>

#define MOST_BUFFERS 1024u
#define MOST_BYTES   VR_FILE_MOST_BYTES

/* -- Bytes --------------------------------------------------------------------------------------------------------- */

static int32_t check_buffers(const struct vrift_iovec *iov, uint32_t count)
{
    uint64_t total = 0;
    if (count > MOST_BUFFERS || (count && !iov))
        return -VRIFT_EINVAL;
    for (uint32_t i = 0; i < count; i++) {
        if (iov[i].length && !iov[i].base)
            return -VRIFT_EFAULT;
        if (iov[i].length > INT64_MAX - total)
            return -VRIFT_EINVAL;
        total += iov[i].length;
    }
    return 0;
}

int32_t vr_file_readable(const vrift_file *file)
{
    if (file->flags & VRIFT_O_PATH || !file->readable)
        return -VRIFT_EBADF;
    return vr_is_dir(file->path.dentry->inode) ? -VRIFT_EISDIR : 0;
}

int32_t vr_file_writable(const vrift_file *file)
{
    return file->flags & VRIFT_O_PATH || !file->writable ? -VRIFT_EBADF : 0;
}

static uint64_t sum_of(const struct vrift_iovec *iov, uint32_t count)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < count; i++)
        total += iov[i].length;
    return total;
}

int64_t vr_file_read(vrift_file *file, const struct vrift_iovec *iov, uint32_t count, uint64_t offset)
{
    uint64_t total = 0;
    if (offset > INT64_MAX - sum_of(iov, count))
        return -VRIFT_EINVAL;
    for (uint32_t i = 0; i < count && total < MOST_BYTES; i++) {
        size_t wanted = iov[i].length < MOST_BYTES - total ? iov[i].length : (size_t)(MOST_BYTES - total);
        if (!wanted)
            continue;
        int64_t got = vr_dispatch_pread(file->path.dentry->inode, file->handle, iov[i].base, wanted, offset + total);
        if (got < 0)
            return total ? (int64_t)total : got;
        total += (uint64_t)got;
        if ((size_t)got < wanted)
            break;
    }
    if (total)
        vr_watch_file(file->path.dentry, VRIFT_IN_ACCESS);
    if (count)
        vr_atime_file(file);
    return (int64_t)total;
}

int32_t vr_file_room(vrift_file *file, uint64_t offset, uint64_t limit, uint64_t *most)
{
    *most = MOST_BYTES;
    if (limit > INT64_MAX)
        return 0;
    if (file->flags & VRIFT_O_APPEND) {
        struct vrift_stat attr;
        struct vr_inode *inode = file->path.dentry->inode;
        int32_t error = vr_inode_getattr(inode, vr_inode_now(inode->sb), &attr);
        if (error)
            return error;
        offset = attr.size;
    }
    if (offset >= limit)
        return -VRIFT_EFBIG;
    if (*most > limit - offset)
        *most = limit - offset;
    return 0;
}

/* With the inode locked. *end tells where the last write ended. */
static int64_t write_locked(vrift_file *file, const vrift_cred *cred, const struct vrift_iovec *iov, uint32_t count,
                            uint64_t offset, uint64_t limit, uint64_t *end)
{
    struct vr_inode *inode = file->path.dentry->inode;
    uint64_t flags = file->flags & (VRIFT_O_APPEND | VRIFT_O_SYNC | VRIFT_O_DSYNC);
    uint64_t most;
    /* That a file cannot grow any more must show before the write takes its setuid bit away. */
    if (limit > INT64_MAX && flags & VRIFT_O_APPEND && vr_perm_killed_by_write(cred, inode))
        limit = INT64_MAX;
    int32_t error = vr_file_room(file, offset, limit, &most);
    if (!error)
        error = vr_attr_modified(cred, file->path.dentry, NULL);
    if (error)
        return error;
    uint64_t total = 0;
    for (uint32_t i = 0; i < count && total < most; i++) {
        size_t wanted = iov[i].length < most - total ? iov[i].length : (size_t)(most - total);
        if (!wanted)
            continue;
        uint64_t reached;
        int64_t put = vr_dispatch_pwrite(inode, file->handle, iov[i].base, wanted, offset + total, flags, &reached);
        if (put < 0)
            return total ? (int64_t)total : put;
        *end = reached; /* not of a write that failed: what was written before it counts */
        total += (uint64_t)put;
        if ((size_t)put < wanted)
            break;
    }
    return (int64_t)total;
}

int64_t vr_file_write(vrift_file *file, const vrift_cred *cred, const struct vrift_iovec *iov, uint32_t count,
                      uint64_t offset, uint64_t limit, uint64_t *end)
{
    struct vr_inode *inode = file->path.dentry->inode;
    uint64_t total = sum_of(iov, count);
    if (!total)
        return 0;
    if (offset > INT64_MAX - total)
        return -VRIFT_EINVAL; /* not EFBIG: so says Linux, whether it appends or not */
    vr_inode_lock(inode, VR_RANK_CHILD);
    int64_t result = write_locked(file, cred, iov, count, offset, limit, end);
    vr_inode_attr_forget(inode);
    if (result > 0)
        vr_watch_file(file->path.dentry, VRIFT_IN_MODIFY);
    vr_inode_unlock(inode, VR_RANK_CHILD);
    return result;
}

/* As read(2) with `single`, which finds fault with a directory even where there is nothing to read; else as readv(2). */
static int64_t read_on(vrift_task *task, int32_t fd, const struct vrift_iovec *iov, uint32_t count, bool single)
{
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    int64_t result = vr_fdtable_get(task->files, fd, &file);
    if (result)
        return result;
    result = vr_file_readable(file);
    if (!result)
        result = check_buffers(iov, count);
    bool nothing = !single && (!result || result == -VRIFT_EISDIR) && !sum_of(iov, count);
    if (nothing) {
        result = 0;
    } else if (!result && file->pipe) {
        result = vr_fifo_read(task, file, iov, count);
    } else if (!result) {
        vr_description_lock(file);
        result = vr_file_read(file, iov, count, file->position);
        if (result > 0)
            file->position += (uint64_t)result;
        vr_description_unlock(file);
    }
    vrift_file_unref(file);
    return result;
}

int64_t vrift_readv(vrift_task *task, int32_t fd, const struct vrift_iovec *iov, uint32_t count)
{
    return read_on(task, fd, iov, count, false);
}

int64_t vrift_writev(vrift_task *task, int32_t fd, const struct vrift_iovec *iov, uint32_t count)
{
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    int64_t result = vr_fdtable_get(task->files, fd, &file);
    if (result)
        return result;
    result = vr_file_writable(file);
    if (!result)
        result = check_buffers(iov, count);
    if (!result && file->pipe) {
        result = vr_fifo_write(task, file, iov, count);
    } else if (!result) {
        vrift_cred *cred = vr_walk_cred(task);
        uint64_t end = 0;
        vr_description_lock(file);
        result = vr_file_write(file, cred, iov, count, file->position, task->max_file_size, &end);
        if (result > 0)
            file->position = file->flags & VRIFT_O_APPEND ? end : file->position + (uint64_t)result;
        vr_description_unlock(file);
        vrift_cred_unref(cred);
    }
    vrift_file_unref(file);
    return result;
}

int64_t vrift_read(vrift_task *task, int32_t fd, void *buf, size_t len)
{
    struct vrift_iovec iov = {buf, len};
    return read_on(task, fd, &iov, 1, true);
}

int64_t vrift_write(vrift_task *task, int32_t fd, const void *buf, size_t len)
{
    struct vrift_iovec iov = {NULL, len};
    memcpy(&iov.base, &buf, sizeof iov.base); /* only read from, though the struct cannot say so */
    return vrift_writev(task, fd, &iov, 1);
}

int64_t vrift_file_pread(vrift_file *file, void *buf, size_t len, uint64_t offset)
{
    struct vrift_iovec iov = {buf, len};
    if (!file || offset > INT64_MAX)
        return -VRIFT_EINVAL;
    int64_t error = file->pipe ? -VRIFT_ESPIPE : vr_file_readable(file);
    if (error == -VRIFT_EISDIR && len > INT64_MAX - offset)
        error = -VRIFT_EINVAL; /* which Linux finds before it asks the directory */
    if (!error)
        error = check_buffers(&iov, 1);
    return error ? error : vr_file_read(file, &iov, 1, offset);
}

static int64_t pwrite_as(vrift_file *file, const vrift_cred *cred, const void *buf, size_t len, uint64_t offset,
                         uint64_t limit)
{
    struct vrift_iovec iov = {NULL, len};
    uint64_t end;
    memcpy(&iov.base, &buf, sizeof iov.base);
    int64_t error = file->pipe ? -VRIFT_ESPIPE : vr_file_writable(file);
    if (!error)
        error = check_buffers(&iov, 1);
    return error ? error : vr_file_write(file, cred, &iov, 1, offset, limit, &end);
}

int64_t vrift_file_pwrite(vrift_file *file, const void *buf, size_t len, uint64_t offset)
{
    if (!file || offset > INT64_MAX)
        return -VRIFT_EINVAL;
    return pwrite_as(file, file->cred, buf, len, offset, UINT64_MAX);
}

int64_t vrift_pread(vrift_task *task, int32_t fd, void *buf, size_t len, uint64_t offset)
{
    vrift_file *file;
    if (!task || offset > INT64_MAX)
        return -VRIFT_EINVAL;
    int64_t result = vr_fdtable_get(task->files, fd, &file);
    if (result)
        return result;
    result = vrift_file_pread(file, buf, len, offset);
    vrift_file_unref(file);
    return result;
}

int64_t vrift_pwrite(vrift_task *task, int32_t fd, const void *buf, size_t len, uint64_t offset)
{
    vrift_file *file;
    if (!task || offset > INT64_MAX)
        return -VRIFT_EINVAL;
    int64_t result = vr_fdtable_get(task->files, fd, &file);
    if (result)
        return result;
    vrift_cred *cred = vr_walk_cred(task);
    result = pwrite_as(file, cred, buf, len, offset, task->max_file_size);
    vrift_cred_unref(cred);
    vrift_file_unref(file);
    return result;
}

/* -- Position and size --------------------------------------------------------------------------------------------- */

/* With the position locked: where a seek leads. */
static int64_t seek_target(vrift_file *file, int64_t offset, int32_t whence)
{
    struct vr_inode *inode = file->path.dentry->inode;
    int64_t base = 0;
    if (file->pipe)
        return whence < VRIFT_SEEK_SET || whence > VRIFT_SEEK_HOLE ? -VRIFT_EINVAL : -VRIFT_ESPIPE;
    if (whence == VRIFT_SEEK_DATA || whence == VRIFT_SEEK_HOLE) {
        if (!vr_is_file(inode))
            return -VRIFT_EINVAL;
        return offset < 0 ? -VRIFT_ENXIO : vr_dispatch_seek(inode, file->handle, (uint64_t)offset, whence);
    }
    if (whence == VRIFT_SEEK_CUR) {
        base = (int64_t)file->position;
    } else if (whence == VRIFT_SEEK_END) {
        struct vrift_stat st;
        if (vr_is_dir(inode))
            return -VRIFT_EINVAL;
        int32_t error = vr_attr_stat(&file->path, &st);
        if (error)
            return error;
        base = (int64_t)st.size;
    } else if (whence != VRIFT_SEEK_SET) {
        return -VRIFT_EINVAL;
    }
    if (offset > 0 && base > INT64_MAX - offset)
        return -VRIFT_EINVAL;
    return base + offset < 0 ? -VRIFT_EINVAL : base + offset;
}

int64_t vrift_lseek(vrift_task *task, int32_t fd, int64_t offset, int32_t whence)
{
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    int64_t result = vr_fdtable_get_open(task->files, fd, &file);
    if (result)
        return result;
    vr_description_lock(file);
    result = seek_target(file, offset, whence);
    if (result >= 0 && (uint64_t)result != file->position) {
        file->position = (uint64_t)result;
        file->listed = UINT64_MAX;
    }
    vr_description_unlock(file);
    vrift_file_unref(file);
    return result;
}

int32_t vrift_ftruncate(vrift_task *task, int32_t fd, uint64_t length)
{
    vrift_file *file;
    if (!task || length > INT64_MAX)
        return -VRIFT_EINVAL;
    int32_t error = vr_fdtable_get_open(task->files, fd, &file);
    if (error)
        return error;
    if (!file->writable || !vr_is_file(file->path.dentry->inode)) {
        error = -VRIFT_EINVAL;
    } else if (vr_perm_is(file->path.dentry->inode, VR_MODE_APPEND)) {
        error = -VRIFT_EPERM;
    } else {
        vrift_cred *cred = vr_walk_cred(task);
        error = vr_attr_truncate(cred, file->path.dentry, file->handle, length, task->max_file_size);
        vrift_cred_unref(cred);
    }
    vrift_file_unref(file);
    return error;
}

int32_t vrift_file_stat(vrift_file *file, struct vrift_stat *out)
{
    return file && out ? vr_attr_stat(&file->path, out) : -VRIFT_EINVAL;
}

int32_t vrift_fstat(vrift_task *task, int32_t fd, struct vrift_stat *out)
{
    vrift_file *file;
    if (!task || !out)
        return -VRIFT_EINVAL;
    int32_t error = vr_fdtable_get(task->files, fd, &file);
    if (error)
        return error;
    error = vr_attr_stat(&file->path, out);
    vrift_file_unref(file);
    return error;
}
