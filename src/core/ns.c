/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Namespaces, and the calls that change a mount tree. */
#include "core/alloc.h"
#include "core/dcache.h"
#include "core/inode.h"
#include "core/mnt.h"
#include "core/walk.h"

#include <assert.h>

static void lock_tree(vrift_ns *ns)
{
    vr_lockrank_take(VR_RANK_MOUNT);
    vr_os_mutex_lock(&ns->mutex);
}

static void unlock_tree(vrift_ns *ns)
{
    vr_os_mutex_unlock(&ns->mutex);
    vr_lockrank_give(VR_RANK_MOUNT);
}

int32_t vrift_ns_new(vrift_vfs *vfs, vrift_sb *root, uint64_t mount_flags, vrift_ns **out)
{
    if (!vfs || !root || !out || root->vfs != vfs || mount_flags & ~VR_MOUNT_FLAGS)
        return -VRIFT_EINVAL;
    vrift_ns *ns = vr_alloc_zero(vfs->allocator, 1, sizeof *ns);
    if (!ns)
        return -VRIFT_ENOMEM;
    int32_t error = vr_os_mutex_init(&ns->mutex);
    if (!error) {
        error = vr_mnt_new(root, root->root, mount_flags, &ns->root);
        if (error)
            vr_os_mutex_destroy(&ns->mutex);
    }
    if (error) {
        vr_alloc_free(vfs->allocator, ns);
        return error;
    }
    atomic_init(&ns->refs, 1);
    ns->vfs = vr_vfs_ref(vfs);
    vr_dcache_write_begin(vfs);
    vr_mnt_attach(ns->root, ns, NULL);
    vr_dcache_write_end(vfs);
    *out = ns;
    return 0;
}

vrift_ns *vrift_ns_ref(vrift_ns *ns)
{
    if (ns)
        atomic_fetch_add_explicit(&ns->refs, 1, memory_order_relaxed);
    return ns;
}

/* Takes out one mount without children, if there is one below top (NULL: any), and lets it go. */
static bool detach_one(vrift_ns *ns, const struct vr_mount *top)
{
    struct vr_path place = {NULL, NULL};
    vr_dcache_write_begin(ns->vfs);
    struct vr_mount *mount = ns->mounts;
    for (; mount; mount = mount->ns_next) {
        const struct vr_mount *above = mount;
        while (above && above != top)
            above = above->parent;
        if (!mount->children && above == top)
            break;
    }
    if (mount)
        vr_mnt_detach(mount, &place);
    vr_dcache_write_end(ns->vfs);
    if (!mount)
        return false;
    vr_path_unref(&place);
    vr_mnt_unref(mount);
    return true;
}

void vrift_ns_unref(vrift_ns *ns)
{
    if (!ns || atomic_fetch_sub_explicit(&ns->refs, 1, memory_order_acq_rel) != 1)
        return;
    while (detach_one(ns, NULL))
        ;
    vrift_vfs *vfs = ns->vfs;
    vr_os_mutex_destroy(&ns->mutex);
    vr_alloc_free(vfs->allocator, ns);
    vr_vfs_unref(vfs);
}

static int32_t check_admin(vrift_task *task, const char *path, uint64_t flags, uint64_t known)
{
    if (!task || !path || flags & ~known)
        return -VRIFT_EINVAL;
    return vr_walk_capable(task, VRIFT_CAP_SYS_ADMIN) ? 0 : -VRIFT_EPERM;
}

/*
 * Puts a mount where a walk ended. The place's inode is locked, so that nobody removes the name meanwhile. Takes the
 * mount's reference on success.
 */
static int32_t put_mount(vrift_task *task, struct vr_mount *mount, struct vr_path *at)
{
    vrift_vfs *vfs = task->vfs;
    struct vr_inode *inode = at->dentry->inode;
    enum vr_rank rank = VR_RANK_CHILD;
    int32_t error = 0;
    if (vr_is_dir(inode) != vr_is_dir(mount->root->inode))
        return -VRIFT_ENOTDIR;
    vr_inode_lock(inode, rank);
    lock_tree(task->ns);
    vr_dcache_write_begin(vfs);
    /* Somebody may have mounted on it since the walk. */
    struct vr_path top = *at;
    for (struct vr_mount *above; (above = vr_mnt_find(vfs, top.mount, top.dentry));) {
        top.mount = above;
        top.dentry = above->root;
    }
    if (top.mount->ns != task->ns)
        error = -VRIFT_EINVAL;
    else if (!vr_dcache_hashed(top.dentry))
        error = -VRIFT_ENOENT;
    else
        vr_mnt_attach(mount, task->ns, &top);
    vr_dcache_write_end(vfs);
    unlock_tree(task->ns);
    vr_inode_unlock(inode, rank);
    return error;
}

int32_t vrift_mount(vrift_task *task, int32_t dirfd, const char *path, vrift_sb *sb, uint64_t flags)
{
    if (!sb || !task || sb->vfs != task->vfs)
        return -VRIFT_EINVAL;
    int32_t error = check_admin(task, path, flags, VR_MOUNT_FLAGS);
    if (error)
        return error;
    struct vr_path at;
    error = vr_walk_path(task, dirfd, path, VR_WALK_FOLLOW, &at);
    if (error)
        return error;
    struct vr_mount *mount;
    error = vr_mnt_new(sb, sb->root, flags, &mount);
    if (!error) {
        error = put_mount(task, mount, &at);
        if (error)
            vr_mnt_unref(mount);
    }
    vr_path_unref(&at);
    return error;
}

int32_t vrift_bind(vrift_task *task, int32_t old_dirfd, const char *old_path, int32_t new_dirfd, const char *new_path,
                   uint64_t flags)
{
    int32_t error = check_admin(task, new_path, flags, VR_MOUNT_FLAGS);
    if (error)
        return error;
    struct vr_path from, at;
    error = vr_walk_path(task, old_dirfd, old_path, VR_WALK_FOLLOW, &from);
    if (error)
        return error;
    error = vr_walk_path(task, new_dirfd, new_path, VR_WALK_FOLLOW, &at);
    if (error) {
        vr_path_unref(&from);
        return error;
    }
    struct vr_mount *mount;
    error = vr_mnt_new(from.mount->sb, from.dentry, flags, &mount);
    if (!error) {
        error = put_mount(task, mount, &at);
        if (error)
            vr_mnt_unref(mount);
    }
    vr_path_unref(&at);
    vr_path_unref(&from);
    return error;
}

/* The root of a mount of the task's own tree, not of one that was taken out or belongs to another namespace? */
static bool is_own_mount(vrift_task *task, const struct vr_path *at)
{
    vr_dcache_read_begin(task->vfs);
    bool own = at->dentry == at->mount->root && at->mount->ns == task->ns;
    vr_dcache_read_end(task->vfs);
    return own;
}

int32_t vrift_remount(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags)
{
    int32_t error = check_admin(task, path, flags, VR_MOUNT_FLAGS);
    if (error)
        return error;
    struct vr_path at;
    error = vr_walk_path(task, dirfd, path, VR_WALK_FOLLOW, &at);
    if (error)
        return error;
    struct vr_mount *mount = at.mount;
    if (!is_own_mount(task, &at)) {
        error = -VRIFT_EINVAL;
    } else {
        lock_tree(task->ns);
        uint32_t before = atomic_load(&mount->flags);
        atomic_store(&mount->flags, (uint32_t)flags);
        if (flags & VRIFT_MOUNT_RDONLY && !(before & VRIFT_MOUNT_RDONLY) && atomic_load(&mount->writers)) {
            atomic_store(&mount->flags, before);
            error = -VRIFT_EBUSY;
        }
        unlock_tree(task->ns);
    }
    vr_path_unref(&at);
    return error;
}

/* The mount at `at` out of the tree if nobody but the tree and our walk uses it. */
static int32_t detach_idle(vrift_task *task, const struct vr_path *at, struct vr_path *place)
{
    struct vr_mount *mount = at->mount;
    int32_t error = 0;
    lock_tree(task->ns);
    vr_dcache_write_begin(task->vfs);
    if (at->dentry != mount->root || mount->ns != task->ns)
        error = -VRIFT_EINVAL;
    else if (!mount->parent || mount->children || atomic_load(&mount->refs) > 2)
        error = -VRIFT_EBUSY;
    else
        vr_mnt_detach(mount, place);
    vr_dcache_write_end(task->vfs);
    unlock_tree(task->ns);
    return error;
}

int32_t vrift_umount(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags)
{
    int32_t error = check_admin(task, path, flags, VRIFT_UMOUNT_DETACH);
    if (error)
        return error;
    struct vr_path at, place = {NULL, NULL};
    error = vr_walk_path(task, dirfd, path, VR_WALK_FOLLOW, &at);
    if (error)
        return error;
    struct vr_mount *mount = at.mount;
    if (!(flags & VRIFT_UMOUNT_DETACH)) {
        error = detach_idle(task, &at, &place);
        if (!error) {
            vr_path_unref(&place);
            vr_mnt_unref(mount);
        }
    } else if (!is_own_mount(task, &at) || mount == task->ns->root) {
        error = -VRIFT_EINVAL;
    } else {
        while (detach_one(task->ns, mount))
            ;
    }
    vr_path_unref(&at);
    return error;
}
