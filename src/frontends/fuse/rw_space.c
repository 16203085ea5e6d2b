/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What is done to open files beside reading and writing: their space, copies, flags. */
#include "fuse/rw_call.h"

#include <vrift/error.h>
#include <vrift/file.h>
#include <vrift/fs.h>

#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#define MOST_COPIED 0x7ffff000u /* what the older request can answer; as a system call */

int64_t vr_rw_space_allocate(struct vr_rw_call *call)
{
    const struct fuse_fallocate_in *in = vr_rw_call_body(call, sizeof(*in));
    int32_t fd, privileged, result;
    if (!in)
        return -EINVAL;
    fd = vr_rw_file_descriptor(in->fh);
    privileged = vr_rw_attr_is_privileged(call, fd);
    result = vrift_fallocate(call->task, fd, in->mode, (int64_t)in->offset, (int64_t)in->length);
    if (privileged)
        vr_rw_attr_forget(call, call->node);
    return vr_rw_call_errno(result);
}

int64_t vr_rw_space_copy(struct vr_rw_call *call)
{
    const struct fuse_copy_file_range_in *in = vr_rw_call_body(call, sizeof(*in));
    int64_t from, to, copied;
    int32_t privileged;
    if (!in)
        return -EINVAL;
    from = (int64_t)in->off_in;
    to = (int64_t)in->off_out;
    privileged = vr_rw_attr_is_privileged(call, vr_rw_file_descriptor(in->fh_out));
    copied =
        vrift_copy_file_range(call->task, vr_rw_file_descriptor(in->fh_in), &from, vr_rw_file_descriptor(in->fh_out),
                              &to, in->len < MOST_COPIED ? in->len : MOST_COPIED, 0);
    if (privileged)
        vr_rw_attr_forget(call, vr_rw_node_of(call->server, in->nodeid_out));
    if (copied < 0)
        return vr_rw_call_errno(copied);
    if (call->request->opcode == VR_FUSE_COPY_FILE_RANGE_64) {
        const uint64_t answer = (uint64_t)copied;
        memcpy(call->out, &answer, sizeof(answer));
    } else {
        const struct fuse_write_out answer = {.size = (uint32_t)copied};
        memcpy(call->out, &answer, sizeof(answer));
    }
    return 8; /* either */
}

/* -- Flags: lsattr and chattr --------------------------------------------------------------------------------------- */

/* The two ways of the kernel to name them. */
static const struct {
    uint64_t flag;  /* VRIFT_FL_..., with Linux's numbers */
    uint32_t xflag; /* of struct fsxattr */
} xflags[] = {
    {VRIFT_FL_IMMUTABLE, FS_XFLAG_IMMUTABLE},
    {VRIFT_FL_APPEND, FS_XFLAG_APPEND},
    {VRIFT_FL_NODUMP, FS_XFLAG_NODUMP},
    {VRIFT_FL_NOATIME, FS_XFLAG_NOATIME},
};

static uint32_t to_xflags(uint64_t flags)
{
    uint32_t result = 0;
    for (size_t i = 0; i < sizeof(xflags) / sizeof(xflags[0]); i++)
        result |= flags & xflags[i].flag ? xflags[i].xflag : 0;
    return result;
}

static uint64_t from_xflags(uint32_t wanted)
{
    uint64_t result = 0;
    for (size_t i = 0; i < sizeof(xflags) / sizeof(xflags[0]); i++)
        result |= wanted & xflags[i].xflag ? xflags[i].flag : 0;
    return result;
}

static int64_t get_flags(struct vr_rw_call *call, const struct fuse_ioctl_in *in)
{
    struct fuse_ioctl_out *out = call->out;
    struct fsxattr extended = {0};
    uint64_t flags = 0;
    uint32_t word;
    int32_t result = vrift_getflags(call->task, vr_rw_file_descriptor(in->fh), "", VRIFT_AT_EMPTY_PATH, &flags);
    if (result < 0)
        return vr_rw_call_errno(result);
    memset(out, 0, sizeof(*out));
    if (in->cmd == (uint32_t)FS_IOC_GETFLAGS) {
        word = (uint32_t)flags;
        memcpy(out + 1, &word, sizeof(word));
        return sizeof(*out) + sizeof(word);
    }
    extended.fsx_xflags = to_xflags(flags);
    memcpy(out + 1, &extended, sizeof(extended));
    return sizeof(*out) + sizeof(extended);
}

static int64_t set_flags(struct vr_rw_call *call, const struct fuse_ioctl_in *in)
{
    struct fuse_ioctl_out *out = call->out;
    struct fsxattr extended;
    uint32_t word;
    uint64_t flags;
    int32_t result;
    if (in->cmd == (uint32_t)FS_IOC_SETFLAGS) {
        memcpy(&word, in + 1, sizeof(word));
        flags = word;
    } else {
        memcpy(&extended, in + 1, sizeof(extended));
        flags = from_xflags(extended.fsx_xflags);
    }
    result = vrift_setflags(call->task, vr_rw_file_descriptor(in->fh), "", flags, VRIFT_AT_EMPTY_PATH);
    if (result < 0)
        return vr_rw_call_errno(result);
    vr_rw_attr_forget(call, call->node);
    memset(out, 0, sizeof(*out));
    return sizeof(*out);
}

int64_t vr_rw_space_ioctl(struct vr_rw_call *call)
{
    const struct fuse_ioctl_in *in = vr_rw_call_body(call, sizeof(*in));
    size_t given;
    if (!in)
        return -EINVAL;
    given = call->request->length - sizeof(*in);
    if ((in->cmd == (uint32_t)FS_IOC_GETFLAGS && in->out_size >= sizeof(uint32_t)) ||
        (in->cmd == (uint32_t)FS_IOC_FSGETXATTR && in->out_size >= sizeof(struct fsxattr)))
        return get_flags(call, in);
    if ((in->cmd == (uint32_t)FS_IOC_SETFLAGS && given >= sizeof(uint32_t)) ||
        (in->cmd == (uint32_t)FS_IOC_FSSETXATTR && given >= sizeof(struct fsxattr)))
        return set_flags(call, in);
    return -ENOTTY;
}
