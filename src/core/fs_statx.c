/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* vrift_statxat: attributes, with a word on how fresh they must be. */
#include "core/attr.h"
#include "core/inode.h"
#include "core/walk.h"

#include <vrift/fs.h>

#define STATX_FLAGS    (VRIFT_AT_SYMLINK_NOFOLLOW | VRIFT_AT_EMPTY_PATH | VRIFT_AT_NO_AUTOMOUNT | VRIFT_AT_STATX_SYNC_TYPE)
#define STATX_RESERVED 0x80000000ULL /* of the mask, as Linux refuses */

static int32_t ask(struct vr_inode *inode, uint64_t flags, struct vrift_stat *out)
{
    switch (flags & VRIFT_AT_STATX_SYNC_TYPE) {
    case VRIFT_AT_STATX_FORCE_SYNC:
        return vr_inode_ask(inode, out);
    case VRIFT_AT_STATX_DONT_SYNC:
        return vr_inode_getattr(inode, 0, out); /* at time 0 nothing is too old */
    default:
        return vr_inode_getattr(inode, vr_inode_now(inode->sb), out);
    }
}

static int32_t statx_once(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags, struct vrift_stat *out)
{
    struct vr_walk walk;
    struct vrift_stat attr;
    uint32_t how = flags & VRIFT_AT_SYMLINK_NOFOLLOW ? 0 : VR_WALK_FOLLOW;
    if (flags & VRIFT_AT_EMPTY_PATH)
        how |= VR_WALK_EMPTY;
    int32_t error = vr_walk_begin(&walk, task, dirfd, path, how, 0);
    if (!error)
        error = vr_walk_run(&walk);
    if (!error)
        error = ask(walk.path.dentry->inode, flags, &attr);
    if (!error) {
        vr_attr_finish(walk.path.mount, &attr);
        *out = attr;
    }
    vr_walk_end(&walk);
    return error;
}

int32_t vrift_statxat(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags, uint64_t mask,
                      struct vrift_stat *out)
{
    int32_t result;
    if (!task || !path || !out || flags & ~STATX_FLAGS || mask & STATX_RESERVED ||
        (flags & VRIFT_AT_STATX_SYNC_TYPE) == VRIFT_AT_STATX_SYNC_TYPE)
        return -VRIFT_EINVAL;
    VR_WALK_RETRY(result, statx_once(task, dirfd, path, flags, out));
    return result;
}
