/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Names: finding, making, moving and removing them. */
#include "fuse/rw_call.h"

#include <vrift/error.h>
#include <vrift/file.h>
#include <vrift/fs.h>
#include <vrift/task.h>

#include <errno.h>
#include <string.h>

int64_t vr_rw_name_entry(struct vr_rw_call *call, const char *name, const struct vrift_stat *known,
                         struct fuse_entry_out *out)
{
    struct vr_rw_server *server = call->server;
    struct vr_rw_node *node;
    struct vrift_stat stat;
    int32_t fd, result = 0;
    if (known)
        stat = *known;
    else
        result = vrift_statat(call->task, call->node->fd, name, VRIFT_AT_SYMLINK_NOFOLLOW, &stat);
    if (result < 0)
        return vr_rw_call_errno(result);
    node = vr_rw_node_find(server, call->task, &stat);
    if (!node) {
        /* Between the two calls the name may have come to mean another file: what is opened counts. */
        fd = vrift_openat(call->task, call->node->fd, name, VRIFT_O_PATH | VRIFT_O_NOFOLLOW, 0);
        result = fd < 0 ? fd : vrift_fstat(call->task, fd, &stat);
        if (result < 0) {
            if (fd >= 0)
                (void)vrift_close(call->task, fd);
            return vr_rw_call_errno(result);
        }
        result = vr_rw_node_make(server, call->task, fd, &stat, &node);
        if (result < 0)
            return vr_rw_call_errno(result);
    }
    vr_rw_attr_fill_entry(call, node, &stat, out);
    return 0;
}

int64_t vr_rw_name_entry_of_fd(struct vr_rw_call *call, int32_t fd, struct fuse_entry_out *out)
{
    struct vr_rw_node *node;
    struct vrift_stat stat;
    int32_t path, result = vrift_fstat(call->task, fd, &stat);
    if (result < 0)
        return vr_rw_call_errno(result);
    node = vr_rw_node_find(call->server, call->task, &stat);
    if (!node) {
        path = vrift_reopen(call->task, fd, VRIFT_O_PATH);
        result = path < 0 ? path : vr_rw_node_make(call->server, call->task, path, &stat, &node);
        if (result < 0)
            return vr_rw_call_errno(result);
    }
    vr_rw_attr_fill_entry(call, node, &stat, out);
    return 0;
}

static int64_t reply_entry(struct vr_rw_call *call, const char *name)
{
    int64_t result = vr_rw_name_entry(call, name, NULL, call->out);
    return result < 0 ? result : (int64_t)sizeof(struct fuse_entry_out);
}

int64_t vr_rw_name_lookup(struct vr_rw_call *call)
{
    const char *name = vr_rw_call_text(call, 0);
    struct fuse_entry_out *out = call->out;
    int64_t result;
    if (!name)
        return -EINVAL;
    result = reply_entry(call, name);
    if (result != -ENOENT)
        return result;
    /* Node 0 with a validity: there is no such name. */
    memset(out, 0, sizeof(*out));
    out->entry_valid = vr_rw_attr_names_valid(call, call->node);
    return out->entry_valid ? (int64_t)sizeof(*out) : -ENOENT;
}

/* -- Making --------------------------------------------------------------------------------------------------------- */

static uint64_t unpack_rdev(uint32_t rdev)
{
    return VRIFT_MKDEV((rdev >> 8) & 0xfff, (rdev & 0xff) | ((rdev >> 12) & 0xfff00));
}

int64_t vr_rw_name_mknod(struct vr_rw_call *call)
{
    const struct fuse_mknod_in *in = vr_rw_call_body(call, sizeof(*in));
    const char *name = vr_rw_call_text(call, sizeof(*in));
    int32_t result;
    if (!in || !name)
        return -EINVAL;
    (void)vrift_umask(call->task, in->umask);
    result = vrift_mknodat(call->task, call->node->fd, name, in->mode, unpack_rdev(in->rdev));
    return result < 0 ? vr_rw_call_errno(result) : reply_entry(call, name);
}

int64_t vr_rw_name_mkdir(struct vr_rw_call *call)
{
    const struct fuse_mkdir_in *in = vr_rw_call_body(call, sizeof(*in));
    const char *name = vr_rw_call_text(call, sizeof(*in));
    int32_t result;
    if (!in || !name)
        return -EINVAL;
    (void)vrift_umask(call->task, in->umask);
    result = vrift_mkdirat(call->task, call->node->fd, name, in->mode & 07777);
    return result < 0 ? vr_rw_call_errno(result) : reply_entry(call, name);
}

int64_t vr_rw_name_symlink(struct vr_rw_call *call)
{
    const char *name = vr_rw_call_text(call, 0);
    const char *target = name ? vr_rw_call_text(call, strlen(name) + 1) : NULL;
    int32_t result;
    if (!target)
        return -EINVAL;
    result = vrift_symlinkat(call->task, target, call->node->fd, name);
    return result < 0 ? vr_rw_call_errno(result) : reply_entry(call, name);
}

/*
 * What another's descriptor has open may be linked by few, as on Linux; but the caller came by a name, or by a descriptor
 * that the kernel knows to be his. So he gets one of his own.
 */
static int32_t link_node(struct vr_rw_call *call, const struct vr_rw_node *node, const char *name)
{
    int32_t result, fd = vrift_reopen(call->task, node->fd, VRIFT_O_PATH);
    if (fd < 0)
        return fd;
    result = vrift_linkat(call->task, fd, "", call->node->fd, name, VRIFT_AT_EMPTY_PATH);
    (void)vrift_close(call->task, fd);
    return result;
}

int64_t vr_rw_name_link(struct vr_rw_call *call)
{
    const struct fuse_link_in *in = vr_rw_call_body(call, sizeof(*in));
    const char *name = vr_rw_call_text(call, sizeof(*in));
    int32_t result;
    if (!in || !name)
        return -EINVAL;
    result = link_node(call, vr_rw_node_of(call->server, in->oldnodeid), name);
    return result < 0 ? vr_rw_call_errno(result) : reply_entry(call, name);
}

/* -- Removing and moving -------------------------------------------------------------------------------------------- */

int64_t vr_rw_name_unlink(struct vr_rw_call *call)
{
    const char *name = vr_rw_call_text(call, 0);
    uint64_t flags = call->request->opcode == FUSE_RMDIR ? VRIFT_AT_REMOVEDIR : 0;
    return name ? vr_rw_call_errno(vrift_unlinkat(call->task, call->node->fd, name, flags)) : -EINVAL;
}

int64_t vr_rw_name_rename(struct vr_rw_call *call)
{
    int32_t extended = call->request->opcode == FUSE_RENAME2;
    size_t size = extended ? sizeof(struct fuse_rename2_in) : sizeof(struct fuse_rename_in);
    const struct fuse_rename2_in *in = vr_rw_call_body(call, size);
    const char *old_name = vr_rw_call_text(call, size);
    const char *new_name = old_name ? vr_rw_call_text(call, size + strlen(old_name) + 1) : NULL;
    if (!in || !new_name)
        return -EINVAL;
    struct vr_rw_node *to = vr_rw_node_of(call->server, in->newdir);
    int32_t result = vrift_renameat2(call->task, call->node->fd, old_name, to->fd, new_name, extended ? in->flags : 0);
    if (result == 0)
        vr_rw_attr_moved(call, call->node, to);
    return vr_rw_call_errno(result);
}

int64_t vr_rw_name_readlink(struct vr_rw_call *call)
{
    size_t room = call->room < VRIFT_PATH_MAX - 1 ? call->room : VRIFT_PATH_MAX - 1;
    return vr_rw_call_errno(vrift_readlinkat(call->task, call->node->fd, "", call->out, room));
}
