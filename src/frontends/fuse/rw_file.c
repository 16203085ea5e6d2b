/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Open files. A file handle is the address of a struct handle. */
#include "fuse/rw_call.h"
#include "fuse/rw_handle.h"

#include <vrift/error.h>
#include <vrift/file.h>
#include <vrift/fs.h>
#include <vrift/task.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/*
 * The caller can switch O_APPEND on and off, and what the kernel writes back from its cache goes where it belongs
 * whatever the caller's flags are. So a handle may need a second description, made when it is first needed.
 */
struct handle {
    struct vr_rw_handle open;
    uint64_t flags;        /* const: VRIFT_O_... that open.fd was opened with */
    _Atomic int32_t other; /* like open.fd with the other choice of O_APPEND, and written through alone; -1: none yet */
};

/* In the order of the kernel's own numbers on this machine. */
static const struct {
    uint32_t linux_flag;
    uint64_t flag;
} open_flags[] = {
    {O_WRONLY, VRIFT_O_WRONLY},     {O_RDWR, VRIFT_O_RDWR},   {O_TRUNC, VRIFT_O_TRUNC},     {O_APPEND, VRIFT_O_APPEND},
    {O_NONBLOCK, VRIFT_O_NONBLOCK}, {O_DSYNC, VRIFT_O_DSYNC}, {O_NOATIME, VRIFT_O_NOATIME}, {O_EXCL, VRIFT_O_EXCL},
};

static uint64_t flags_of(uint32_t linux_flags)
{
    uint64_t flags = (linux_flags & O_SYNC) == O_SYNC ? VRIFT_O_SYNC : 0;
    for (size_t i = 0; i < sizeof(open_flags) / sizeof(open_flags[0]); i++)
        if (linux_flags & open_flags[i].linux_flag)
            flags |= open_flags[i].flag;
    return flags;
}

/* Of either kind of handle. */
int32_t vr_rw_file_descriptor(uint64_t fh)
{
    return ((const struct vr_rw_handle *)(uintptr_t)fh)->fd;
}

static struct handle *new_handle(uint64_t flags)
{
    struct handle *handle = calloc(1, sizeof(*handle));
    if (!handle)
        return NULL;
    handle->flags = flags;
    atomic_init(&handle->other, -1);
    return handle;
}

static void reply_open(const struct vr_rw_call *call, struct handle *handle, struct fuse_open_out *out)
{
    vr_rw_handle_add(call->server, &handle->open);
    memset(out, 0, sizeof(*out));
    out->fh = (uint64_t)(uintptr_t)handle;
    out->open_flags = call->server->shared ? 0 : FOPEN_KEEP_CACHE;
}

/* A program is read by the kernel: who may execute it need not be allowed to read it. */
static int32_t open_program(struct vr_rw_call *call)
{
    int32_t result = vrift_faccessat(call->task, call->node->fd, "", 1, VRIFT_AT_EMPTY_PATH);
    return result < 0 ? result : vrift_reopen(call->server->base, call->node->fd, VRIFT_O_RDONLY);
}

int64_t vr_rw_file_open(struct vr_rw_call *call)
{
    const struct fuse_open_in *in = vr_rw_call_body(call, sizeof(*in));
    struct handle *handle;
    int32_t privileged;
    if (!in)
        return -EINVAL;
    handle = new_handle(flags_of(in->flags) & ~VRIFT_O_EXCL);
    if (!handle)
        return -ENOMEM;
    privileged = in->flags & O_TRUNC && vr_rw_attr_is_privileged(call, call->node->fd);
    handle->open.fd =
        in->flags & VR_FUSE_FMODE_EXEC ? open_program(call) : vrift_reopen(call->task, call->node->fd, handle->flags);
    if (privileged)
        vr_rw_attr_forget(call, call->node);
    if (handle->open.fd < 0) {
        int32_t result = handle->open.fd;
        free(handle);
        return vr_rw_call_errno(result);
    }
    reply_open(call, handle, call->out);
    return sizeof(struct fuse_open_out);
}

/* CREATE and TMPFILE: a file that is made and opened. */
int64_t vr_rw_file_create(struct vr_rw_call *call)
{
    const struct fuse_create_in *in = vr_rw_call_body(call, sizeof(*in));
    int32_t unnamed = call->request->opcode == VR_FUSE_TMPFILE;
    const char *name = unnamed ? "." : vr_rw_call_text(call, sizeof(*in));
    struct fuse_entry_out *entry = call->out;
    struct handle *handle;
    int64_t result;
    if (!in || !name)
        return -EINVAL;
    handle = new_handle(flags_of(in->flags));
    if (!handle)
        return -ENOMEM;
    (void)vrift_umask(call->task, in->umask);
    handle->open.fd =
        vrift_openat(call->task, call->node->fd, name,
                     handle->flags | (unnamed ? VRIFT_O_TMPFILE : VRIFT_O_CREAT | VRIFT_O_NOFOLLOW), in->mode & 07777);
    result =
        handle->open.fd < 0 ? vr_rw_call_errno(handle->open.fd) : vr_rw_name_entry_of_fd(call, handle->open.fd, entry);
    if (result < 0) {
        if (handle->open.fd >= 0)
            (void)vrift_close(call->task, handle->open.fd);
        free(handle);
        return result;
    }
    reply_open(call, handle, (struct fuse_open_out *)(entry + 1));
    return sizeof(*entry) + sizeof(struct fuse_open_out);
}

int64_t vr_rw_file_release(struct vr_rw_call *call)
{
    const struct fuse_release_in *in = vr_rw_call_body(call, sizeof(*in));
    struct handle *handle;
    int32_t other;
    if (!in)
        return -EINVAL;
    handle = (struct handle *)(uintptr_t)in->fh;
    other = atomic_load(&handle->other);
    vr_rw_handle_remove(call->server, &handle->open);
    (void)vrift_close(call->server->base, handle->open.fd);
    if (other >= 0)
        (void)vrift_close(call->server->base, other);
    free(handle);
    return 0;
}

/* -- Reading and writing -------------------------------------------------------------------------------------------- */

int64_t vr_rw_file_read(struct vr_rw_call *call)
{
    const struct fuse_read_in *in = vr_rw_call_body(call, sizeof(*in));
    size_t done = 0, want;
    if (!in)
        return -EINVAL;
    want = in->size < call->room ? in->size : call->room;
    while (done < want) {
        int64_t got = vrift_pread(call->task, vr_rw_file_descriptor(in->fh), (char *)call->out + done, want - done,
                                  in->offset + done);
        if (got < 0 && done == 0)
            return vr_rw_call_errno(got);
        if (got <= 0)
            break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

/* The description that appends or does not, as the caller's flags now say. Its number, or -VRIFT_E... */
static int32_t writable(struct vr_rw_call *call, struct handle *handle, uint64_t append)
{
    int32_t fd, none = -1;
    if ((handle->flags & VRIFT_O_APPEND) == append && handle->flags & (VRIFT_O_WRONLY | VRIFT_O_RDWR))
        return handle->open.fd;
    fd = atomic_load(&handle->other);
    if (fd >= 0)
        return fd;
    fd = vrift_reopen(call->server->base, call->node->fd,
                      VRIFT_O_WRONLY | append | (handle->flags & (VRIFT_O_SYNC | VRIFT_O_DSYNC)));
    if (fd >= 0 && !atomic_compare_exchange_strong(&handle->other, &none, fd)) {
        (void)vrift_close(call->server->base, fd);
        fd = none;
    }
    return fd;
}

static int64_t write_all(vrift_task *task, int32_t fd, const struct fuse_write_in *in, const char *data)
{
    size_t done = 0;
    while (done < in->size) {
        int64_t wrote = vrift_pwrite(task, fd, data + done, in->size - done, in->offset + done);
        if (wrote < 0 && done == 0)
            return wrote;
        if (wrote <= 0)
            break;
        done += (size_t)wrote;
    }
    return (int64_t)done;
}

int64_t vr_rw_file_write(struct vr_rw_call *call)
{
    const struct fuse_write_in *in = vr_rw_call_body(call, sizeof(*in));
    struct fuse_write_out *out = call->out;
    int32_t from_cache, fd, privileged;
    int64_t wrote;
    if (!in || call->request->length - sizeof(*in) < in->size)
        return -EINVAL;
    from_cache = (in->write_flags & FUSE_WRITE_CACHE) != 0;
    fd = writable(call, (struct handle *)(uintptr_t)in->fh, !from_cache && in->flags & O_APPEND ? VRIFT_O_APPEND : 0);
    if (fd < 0)
        return vr_rw_call_errno(fd);
    privileged = in->write_flags & FUSE_WRITE_KILL_SUIDGID && vr_rw_attr_is_privileged(call, fd);
    /* Whoever wrote to the kernel's cache is long gone; the kernel has seen to set-user-ID bits then. */
    wrote = write_all(from_cache ? call->server->base : call->task, fd, in, (const char *)(in + 1));
    if (wrote < 0)
        return vr_rw_call_errno(wrote);
    if (privileged)
        vr_rw_attr_forget(call, call->node);
    memset(out, 0, sizeof(*out));
    out->size = (uint32_t)wrote;
    return sizeof(*out);
}

int64_t vr_rw_file_fsync(struct vr_rw_call *call)
{
    const struct fuse_fsync_in *in = vr_rw_call_body(call, sizeof(*in));
    return in ? vr_rw_call_errno(vrift_fsync(call->task, vr_rw_file_descriptor(in->fh))) : -EINVAL;
}

int64_t vr_rw_file_seek(struct vr_rw_call *call)
{
    const struct fuse_lseek_in *in = vr_rw_call_body(call, sizeof(*in));
    struct fuse_lseek_out *out = call->out;
    int64_t result;
    if (!in || (in->whence != VRIFT_SEEK_DATA && in->whence != VRIFT_SEEK_HOLE))
        return -EINVAL;
    result = vrift_lseek(call->task, vr_rw_file_descriptor(in->fh), (int64_t)in->offset, (int32_t)in->whence);
    if (result < 0)
        return vr_rw_call_errno(result);
    out->offset = (uint64_t)result;
    return sizeof(*out);
}
