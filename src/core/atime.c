/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/atime.h"

#include "core/dispatch.h"
#include "core/inode.h"
#include "core/mnt.h"
#include "core/perm.h"

#define A_DAY (INT64_C(24) * 60 * 60)

/* Packed as vr_inode.times are, which makes them numbers that can be compared: two's complement, 34 and 30 bits. */
struct times {
    int64_t access, modification, change;
};

/* What is cached, if all of it lies in the inode itself. */
static bool cached_times(struct vr_inode *inode, struct times *out)
{
    uint32_t seq = atomic_load_explicit(&inode->attr_seq, memory_order_acquire);
    uint8_t forms = atomic_load_explicit(&inode->forms, memory_order_acquire);
    out->access = (int64_t)atomic_load_explicit(&inode->times[0], memory_order_acquire);
    out->modification = (int64_t)atomic_load_explicit(&inode->times[1], memory_order_acquire);
    out->change = (int64_t)atomic_load_explicit(&inode->times[2], memory_order_acquire);
    return !(seq & 1) && forms & VR_FORM_KNOWN && !(forms & VR_FORM_REST) && inode->sb->attrs_stable &&
           atomic_load_explicit(&inode->attr_seq, memory_order_relaxed) == seq;
}

static int64_t packed(const struct vrift_timespec *time)
{
    const int64_t limit = INT64_C(1) << 33;
    int64_t sec = time->sec < -limit ? -limit : time->sec >= limit ? limit - 1 : time->sec;
    return (int64_t)((uint64_t)sec << 30 | time->nsec);
}

/* As relatime_need_update() of Linux. */
static enum vr_atime is_old(struct vr_inode *inode, uint32_t how)
{
    struct times times;
    struct vrift_timespec now;
    if (!cached_times(inode, &times)) {
        struct vrift_stat attr;
        if (!(how & VR_ATIME_ASK) && !vr_inode_attr_get(inode, 0, &attr))
            return VR_ATIME_UNKNOWN;
        if (how & VR_ATIME_ASK && vr_inode_getattr(inode, vr_inode_now(inode->sb), &attr))
            return VR_ATIME_KEEP;
        times = (struct times){packed(&attr.atime), packed(&attr.mtime), packed(&attr.ctime)};
    }
    if (times.modification >= times.access || times.change >= times.access)
        return VR_ATIME_STAMP;
    if (!(how & VR_ATIME_DAY))
        return VR_ATIME_KEEP;
    vr_os_file_time(&now);
    return now.sec - (times.access - (times.access & ((1 << 30) - 1))) / (1 << 30) >= A_DAY ? VR_ATIME_STAMP
                                                                                            : VR_ATIME_KEEP;
}

enum vr_atime vr_atime_due(const struct vr_mount *mount, struct vr_inode *inode, uint32_t how)
{
    uint32_t flags = atomic_load_explicit(&mount->flags, memory_order_relaxed);
    if (flags & (VRIFT_MOUNT_NOATIME | VRIFT_MOUNT_RDONLY) || vr_perm_is(inode, VR_MODE_NOATIME) ||
        (flags & VRIFT_MOUNT_NODIRATIME && vr_is_dir(inode)) || inode->sb->read_only)
        return VR_ATIME_KEEP;
    return flags & VRIFT_MOUNT_RELATIME ? is_old(inode, how) : VR_ATIME_STAMP;
}

void vr_atime_stamp_old(struct vr_inode *inode)
{
    if (is_old(inode, VR_ATIME_ASK | VR_ATIME_DAY) == VR_ATIME_STAMP)
        vr_atime_stamp(inode);
}

void vr_atime_stamp(struct vr_inode *inode)
{
    struct vrift_stat attr;
    uint64_t token = vr_inode_attr_token(inode);
    if (vr_dispatch_touch(inode, &attr) == 0)
        vr_inode_attr_touched(inode, token, &attr);
}
