/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/atime.h"

#include "core/dispatch.h"
#include "core/inode.h"
#include "core/mnt.h"
#include "core/perm.h"

#define A_DAY (INT64_C(24) * 60 * 60)

/* Packed as vr_inode.times are. */
struct times {
    uint64_t access, modification, change;
};

/* What is cached, if all of it lies in the inode itself. */
static bool cached_times(struct vr_inode *inode, struct times *out)
{
    uint32_t seq = atomic_load_explicit(&inode->attr_seq, memory_order_acquire);
    uint8_t forms = atomic_load_explicit(&inode->forms, memory_order_acquire);
    out->access = atomic_load_explicit(&inode->times[0], memory_order_acquire);
    out->modification = atomic_load_explicit(&inode->times[1], memory_order_acquire);
    out->change = atomic_load_explicit(&inode->times[2], memory_order_acquire);
    return !(seq & 1) && forms & VR_FORM_KNOWN && !(forms & VR_FORM_REST) && inode->sb->attrs_stable &&
           atomic_load_explicit(&inode->attr_seq, memory_order_relaxed) == seq;
}

static uint64_t packed(const struct vrift_timespec *time)
{
    return time->sec < 0 ? 0 : (uint64_t)time->sec << 30 | time->nsec;
}

/* As relatime_need_update() of Linux. */
static bool is_old(struct vr_inode *inode, uint32_t how)
{
    struct times times;
    struct vrift_timespec now;
    if (!cached_times(inode, &times)) {
        struct vrift_stat attr;
        if (!(how & VR_ATIME_ASK) && !vr_inode_attr_get(inode, 0, &attr))
            return true; /* it was changed, which most likely is later than it was read */
        if (how & VR_ATIME_ASK && vr_inode_getattr(inode, vr_inode_now(inode->sb), &attr))
            return false;
        times = (struct times){packed(&attr.atime), packed(&attr.mtime), packed(&attr.ctime)};
    }
    if (times.modification >= times.access || times.change >= times.access)
        return true;
    if (!(how & VR_ATIME_DAY))
        return false;
    vr_os_file_time(&now);
    return now.sec - (int64_t)(times.access >> 30) >= A_DAY;
}

bool vr_atime_due(const struct vr_mount *mount, struct vr_inode *inode, uint32_t how)
{
    uint32_t flags = atomic_load_explicit(&mount->flags, memory_order_relaxed);
    if (flags & (VRIFT_MOUNT_NOATIME | VRIFT_MOUNT_RDONLY) || vr_perm_is(inode, VR_MODE_NOATIME) ||
        (flags & VRIFT_MOUNT_NODIRATIME && vr_is_dir(inode)) || inode->sb->read_only)
        return false;
    return !(flags & VRIFT_MOUNT_RELATIME) || is_old(inode, how);
}

void vr_atime_stamp(struct vr_inode *inode)
{
    struct vrift_stat attr;
    uint64_t token = vr_inode_attr_token(inode);
    if (vr_dispatch_touch(inode, &attr) == 0)
        vr_inode_attr_update(inode, token, &attr);
}
