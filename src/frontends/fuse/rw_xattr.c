/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Extended attributes, access lists among them: where the kernel does not obey them itself, it hands them through. */
#include "fuse/rw_call.h"

#include <vrift/error.h>
#include <vrift/fs.h>

#include <errno.h>
#include <string.h>

#define BY_NODE (VRIFT_AT_EMPTY_PATH | VRIFT_AT_OPATH)

/* Both calls ask with size 0 for the length, which is answered in a struct. */
static int64_t sized_reply(struct vr_rw_call *call, int64_t result, uint32_t asked)
{
    struct fuse_getxattr_out *out = call->out;
    if (result < 0)
        return vr_rw_call_errno(result);
    if (asked)
        return result;
    memset(out, 0, sizeof(*out));
    out->size = (uint32_t)result;
    return sizeof(*out);
}

int64_t vr_rw_xattr_get(struct vr_rw_call *call)
{
    const struct fuse_getxattr_in *in = vr_rw_call_body(call, sizeof(*in));
    const char *name = vr_rw_call_text(call, sizeof(*in));
    size_t room;
    if (!in || !name)
        return -EINVAL;
    room = in->size < call->room ? in->size : call->room;
    return sized_reply(
        call, vrift_getxattrat(call->task, call->node->fd, "", name, in->size ? call->out : NULL, room, BY_NODE),
        in->size);
}

int64_t vr_rw_xattr_list(struct vr_rw_call *call)
{
    const struct fuse_getxattr_in *in = vr_rw_call_body(call, sizeof(*in));
    size_t room;
    if (!in)
        return -EINVAL;
    room = in->size < call->room ? in->size : call->room;
    return sized_reply(
        call, vrift_listxattrat(call->task, call->node->fd, "", in->size ? call->out : NULL, room, BY_NODE), in->size);
}

/* An access list changes the mode too, which the kernel does not know. */
static void changed(struct vr_rw_call *call, const char *name)
{
    if (strncmp(name, "system.posix_acl_", 17) != 0)
        return;
    vr_rw_attr_permissions_changed(call, call->node);
    vr_rw_attr_forget(call, call->node);
}

int64_t vr_rw_xattr_set(struct vr_rw_call *call)
{
    int32_t extended = (atomic_load(&call->server->session->flags) & FUSE_SETXATTR_EXT) != 0;
    size_t size = extended ? sizeof(struct fuse_setxattr_in) : FUSE_COMPAT_SETXATTR_IN_SIZE;
    const struct fuse_setxattr_in *in = vr_rw_call_body(call, size);
    const char *name = vr_rw_call_text(call, size);
    size_t before;
    int32_t result;
    if (!in || !name)
        return -EINVAL;
    before = size + strlen(name) + 1;
    if (call->request->length - before < in->size)
        return -EINVAL;
    result = vrift_setxattrat(call->task, call->node->fd, "", name, (const char *)call->request->body + before,
                              in->size, BY_NODE | (in->flags & (VRIFT_XATTR_CREATE | VRIFT_XATTR_REPLACE)));
    if (result == 0)
        changed(call, name);
    return vr_rw_call_errno(result);
}

int64_t vr_rw_xattr_remove(struct vr_rw_call *call)
{
    const char *name = vr_rw_call_text(call, 0);
    int32_t result;
    if (!name)
        return -EINVAL;
    result = vrift_removexattrat(call->task, call->node->fd, "", name, BY_NODE);
    if (result == 0)
        changed(call, name);
    return vr_rw_call_errno(result);
}
