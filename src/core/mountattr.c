/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls that change what mounts are: their flags and their propagation. */
#include "core/copyin.h"
#include "core/mountwalk.h"
#include "core/propagate.h"

#define ATIME_FLAGS (VRIFT_MOUNT_ATIME | VRIFT_MOUNT_NODIRATIME)
#define TYPES       (VRIFT_MOUNT_SHARED | VRIFT_MOUNT_SLAVE | VRIFT_MOUNT_PRIVATE | VRIFT_MOUNT_UNBINDABLE)
#define AT_FLAGS    (VRIFT_AT_RECURSIVE | VRIFT_AT_SYMLINK_NOFOLLOW | VRIFT_AT_EMPTY_PATH)

/* One change as it goes. */
struct changing {
    vrift_task *task;
    struct vr_path at;
    bool recursive;
    bool whole;    /* `set` is all flags there shall be */
    bool anywhere; /* mounts of other namespaces may be changed */
    uint64_t set, clear, propagation;
};

static bool is_one(uint64_t flags)
{
    return flags && !(flags & (flags - 1));
}

static uint32_t wanted_flags(const struct changing *changing, uint64_t now)
{
    uint64_t set = changing->set;
    if (changing->whole)
        return (uint32_t)(set & ATIME_FLAGS ? vr_mnt_flags(set) : set | (now & ATIME_FLAGS));
    uint64_t kept = now & ~changing->clear;
    if (now & ~kept & VRIFT_MOUNT_NOATIME)
        kept |= VRIFT_MOUNT_RELATIME;
    return (uint32_t)vr_mnt_flags_with(kept, set);
}

static struct vr_mount *next_of(const struct changing *changing, const struct vr_mount *mount)
{
    return changing->recursive ? vr_mnt_next(mount, changing->at.mount) : NULL;
}

/* Sets the flags of one mount and keeps the old ones. -VRIFT_EBUSY if somebody writes through what becomes read-only. */
static int32_t set_flags(const struct changing *changing, struct vr_mount *mount)
{
    uint32_t before = atomic_load(&mount->flags);
    mount->mark = before;
    atomic_store(&mount->flags, wanted_flags(changing, before));
    bool becomes_read_only =
        !(before & VRIFT_MOUNT_RDONLY) && vr_mnt_is(mount, VRIFT_MOUNT_RDONLY) && !mount->sb->read_only;
    return becomes_read_only && atomic_load(&mount->writers) ? -VRIFT_EBUSY : 0;
}

static int32_t try_change(struct vr_mnttree *change, void *payload)
{
    const struct changing *changing = payload;
    struct vr_mount *top = changing->at.mount, *at = top;
    (void)change;
    if (changing->at.dentry != top->root || !top->ns || (!changing->anywhere && top->ns != changing->task->ns))
        return -VRIFT_EINVAL;
    int32_t error = 0;
    bool flags = changing->whole || changing->set || changing->clear;
    while (flags && at && !error) {
        error = set_flags(changing, at);
        at = next_of(changing, at);
    }
    for (struct vr_mount *done = top; flags && done != at; done = next_of(changing, done)) {
        if (error)
            atomic_store(&done->flags, done->mark);
        done->mark = 0;
    }
    if (error || !changing->propagation)
        return error;
    for (at = top; at; at = next_of(changing, at))
        vr_propagate_change(at, changing->propagation);
    return 0;
}

static int32_t change_at(struct changing *changing, int32_t dirfd, const char *path, uint32_t how)
{
    int32_t error = vr_mountwalk(changing->task, dirfd, path, how, &changing->at);
    if (error)
        return error;
    error = vr_mnttree_run(changing->task->vfs, try_change, changing);
    vr_path_unref(&changing->at);
    return error;
}

int32_t vrift_remount(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags)
{
    if (!task || !path || flags & ~VR_MOUNT_FLAGS)
        return -VRIFT_EINVAL;
    struct changing changing = {.task = task, .whole = true, .set = flags};
    return change_at(&changing, dirfd, path, VR_WALK_FOLLOW);
}

int32_t vrift_mount_propagation(vrift_task *task, int32_t dirfd, const char *path, uint64_t type)
{
    uint64_t propagation = type & ~VRIFT_MOUNT_REC;
    if (!task || !path || propagation & ~TYPES || !is_one(propagation))
        return -VRIFT_EINVAL;
    struct changing changing = {
        .task = task, .anywhere = true, .recursive = type & VRIFT_MOUNT_REC, .propagation = propagation};
    return change_at(&changing, dirfd, path, VR_WALK_FOLLOW);
}

int32_t vrift_mount_setattr(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags,
                            const struct vrift_mount_attr *attr)
{
    struct vrift_mount_attr own;
    if (!task || !path || flags & ~AT_FLAGS)
        return -VRIFT_EINVAL;
    int32_t error = VR_COPYIN(&own, attr);
    if (error)
        return error;
    uint64_t atime = own.set & VRIFT_MOUNT_ATIME;
    if (own.reserved || (own.set | own.clear) & ~VR_MOUNT_FLAGS || (atime && !is_one(atime)) ||
        own.propagation & ~TYPES || (own.propagation && !is_one(own.propagation)))
        return -VRIFT_EINVAL;
    /* Unlike the others this one asks who calls before it walks, and does not walk for nothing. */
    if (!vr_walk_capable(task, VRIFT_CAP_SYS_ADMIN))
        return -VRIFT_EPERM;
    if (!own.set && !own.clear && !own.propagation)
        return 0;
    struct changing changing = {.task = task,
                                .recursive = flags & VRIFT_AT_RECURSIVE,
                                .set = own.set,
                                .clear = own.clear,
                                .propagation = own.propagation};
    uint32_t how = flags & VRIFT_AT_SYMLINK_NOFOLLOW ? 0 : VR_WALK_FOLLOW;
    return change_at(&changing, dirfd, path, how | (flags & VRIFT_AT_EMPTY_PATH ? VR_WALK_EMPTY : 0));
}
