/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* umount, after do_umount() of Linux. */
#include "core/mountwalk.h"
#include "core/propagate.h"

#define UMOUNT_FLAGS (VRIFT_UMOUNT_FORCE | VRIFT_UMOUNT_DETACH | VRIFT_UMOUNT_EXPIRE | VRIFT_UMOUNT_NOFOLLOW)

struct unmounting {
    vrift_task *task;
    struct vr_path at;
    uint64_t flags;
};

/* Only the tree and our walk hold it, and nothing is mounted in it. */
static bool is_idle(const struct vr_mount *mount)
{
    return !mount->first_child && atomic_load(&mount->refs) <= 2;
}

/* The first time only marks it. */
static int32_t expire(struct vr_mount *mount, bool is_root, uint64_t flags)
{
    if (is_root || flags & (VRIFT_UMOUNT_DETACH | VRIFT_UMOUNT_FORCE))
        return -VRIFT_EINVAL;
    if (!is_idle(mount))
        return -VRIFT_EBUSY;
    return atomic_exchange(&mount->expiring, 1) ? 0 : -VRIFT_EAGAIN;
}

static int32_t try_umount(struct vr_mnttree *change, void *payload)
{
    const struct unmounting *unmounting = payload;
    const vrift_task *task = unmounting->task;
    struct vr_mount *mount = unmounting->at.mount;
    uint64_t flags = unmounting->flags;
    bool is_root = mount == task->place->root.mount;
    if (unmounting->at.dentry != mount->root || mount->ns != task->ns)
        return -VRIFT_EINVAL;
    int32_t error = flags & VRIFT_UMOUNT_EXPIRE ? expire(mount, is_root, flags) : 0;
    if (error)
        return error;
    /* Linux makes the superblock read-only instead; ours have no such state. */
    if (is_root && !(flags & VRIFT_UMOUNT_DETACH))
        return -VRIFT_EBUSY;
    if (!mount->parent)
        return -VRIFT_EINVAL;
    if (!(flags & VRIFT_UMOUNT_DETACH) && (!is_idle(mount) || vr_propagate_busy(mount)))
        return -VRIFT_EBUSY;
    vr_mnttree_umount(change, mount, VR_UMOUNT_PROPAGATE);
    return 0;
}

/* "/" and "." mean what is mounted over them here. */
static void go_up(vrift_vfs *vfs, struct vr_path *path)
{
    struct vr_path below = *path;
    vr_dcache_read_begin(vfs);
    vr_mnt_topmost(vfs, path);
    vr_path_ref(path);
    vr_dcache_read_end(vfs);
    vr_dcache_unref(below.dentry);
    vr_mnt_unref_quietly(below.mount);
}

int32_t vrift_umount(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags)
{
    if (!task || !path || flags & ~UMOUNT_FLAGS)
        return -VRIFT_EINVAL;
    struct unmounting unmounting = {.task = task, .flags = flags};
    uint32_t how = flags & VRIFT_UMOUNT_NOFOLLOW ? 0 : VR_WALK_FOLLOW;
    int32_t error = vr_mountwalk(task, dirfd, path, how, &unmounting.at);
    if (error)
        return error;
    go_up(task->vfs, &unmounting.at);
    error = vr_mnttree_run(task->vfs, try_umount, &unmounting);
    vr_dcache_unref(unmounting.at.dentry);
    vr_mnt_unref_quietly(unmounting.at.mount);
    return error;
}
