/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/ns.h"

#include "core/alloc.h"
#include "core/mnttree.h"
#include "core/place.h"
#include "core/walk.h"

static vrift_ns *make_ns(vrift_vfs *vfs)
{
    vrift_ns *ns = vr_alloc_zero(vfs->allocator, 1, sizeof *ns);
    if (!ns)
        return NULL;
    atomic_init(&ns->refs, 1);
    ns->vfs = vr_vfs_ref(vfs);
    return ns;
}

static void free_ns(vrift_ns *ns)
{
    vrift_vfs *vfs = ns->vfs;
    vr_alloc_free(vfs->allocator, ns);
    vr_vfs_unref(vfs);
}

int32_t vrift_ns_new(vrift_vfs *vfs, vrift_sb *root, uint64_t mount_flags, vrift_ns **out)
{
    if (!vfs || !root || !out || root->vfs != vfs || mount_flags & ~VR_MOUNT_FLAGS)
        return -VRIFT_EINVAL;
    vrift_ns *ns = make_ns(vfs);
    if (!ns)
        return -VRIFT_ENOMEM;
    int32_t error = vr_mnt_new(root, root->root, vr_mnt_flags(mount_flags), &ns->root);
    if (error) {
        free_ns(ns);
        return error;
    }
    struct vr_mnttree change = {.vfs = vfs};
    vr_mnttree_begin(&change);
    vr_mnt_enter(ns->root, ns);
    vr_mnttree_end(&change);
    *out = ns;
    return 0;
}

vrift_ns *vrift_ns_ref(vrift_ns *ns)
{
    if (ns)
        atomic_fetch_add_explicit(&ns->refs, 1, memory_order_relaxed);
    return ns;
}

static int32_t try_empty(struct vr_mnttree *change, void *payload)
{
    vr_mnttree_umount(change, payload, 0);
    return 0;
}

void vrift_ns_unref(vrift_ns *ns)
{
    if (!ns || atomic_fetch_sub_explicit(&ns->refs, 1, memory_order_acq_rel) != 1)
        return;
    vr_mnttree_run(ns->vfs, try_empty, ns->root);
    free_ns(ns);
}

void vr_ns_root(vrift_ns *ns, struct vr_path *out)
{
    vr_dcache_read_begin(ns->vfs);
    *out = (struct vr_path){ns->root, ns->root->root};
    vr_mnt_topmost(ns->vfs, out);
    vr_path_ref(out);
    vr_dcache_read_end(ns->vfs);
}

/* -- Copies -------------------------------------------------------------------------------------------------------- */

struct cloning {
    vrift_ns *from, *to;
    uint64_t flags;
    vrift_task *task;       /* that moves to the copy, or NULL */
    struct vr_place *fresh; /* where the task stands from now on, or NULL: as it is */
    struct vr_path left[2]; /* where it stood; the dentries are NULL, as it stands on them still */
};

/* w: from a mount to its copy in the other namespace, if it has one. */
static void follow(const struct cloning *cloning, struct vr_spot *where, struct vr_path *left)
{
    struct vr_mount *mount = where->mount;
    if (mount->ns != cloning->from)
        return;
    left->mount = mount;
    vr_mnt_ref(mount->twin);
    where->mount = mount->twin;
}

static int32_t try_clone(struct vr_mnttree *change, void *payload)
{
    struct cloning *cloning = payload;
    if (cloning->task)
        cloning->from = cloning->task->ns;
    if (cloning->task && !cloning->fresh && atomic_load(&cloning->task->place->refs) != 1)
        return VR_MNTTREE_AGAIN; /* another thread has made a task that shares where it stands */
    struct vr_mount *root = cloning->from->root;
    uint32_t how = VR_COPY_RECURSIVE | VR_COPY_UNBINDABLE;
    if (cloning->flags & VRIFT_NS_SLAVE)
        how |= VR_COPY_SLAVE;
    change->wanted = vr_mnttree_count(root, root->root, how);
    if (change->blank_count < change->wanted)
        return VR_MNTTREE_MORE;
    struct vr_mount *copy = vr_mnttree_copy(change, root, root->root, how);
    for (struct vr_mount *at = copy; at; at = vr_mnt_next(at, copy))
        vr_mnt_enter(at, cloning->to);
    cloning->to->root = copy;
    if (!cloning->task)
        return 0;
    struct vr_place *place = cloning->fresh ? cloning->fresh : cloning->task->place;
    follow(cloning, &place->root, &cloning->left[0]);
    follow(cloning, &place->cwd, &cloning->left[1]);
    cloning->fresh = cloning->task->place;
    cloning->task->place = place;
    cloning->task->ns = vrift_ns_ref(cloning->to);
    return 0;
}

int32_t vrift_ns_clone(vrift_ns *ns, uint64_t flags, vrift_ns **out)
{
    if (!ns || !out || flags & ~VRIFT_NS_SLAVE)
        return -VRIFT_EINVAL;
    struct cloning cloning = {.from = ns, .flags = flags, .to = make_ns(ns->vfs)};
    int32_t error = cloning.to ? vr_mnttree_run(ns->vfs, try_clone, &cloning) : -VRIFT_ENOMEM;
    if (!error)
        *out = cloning.to;
    else if (cloning.to)
        free_ns(cloning.to);
    return error;
}

int32_t vrift_task_unshare_ns(vrift_task *task, uint64_t flags)
{
    if (!task || flags & ~VRIFT_NS_SLAVE)
        return -VRIFT_EINVAL;
    if (!vr_walk_capable(task, VRIFT_CAP_SYS_ADMIN))
        return -VRIFT_EPERM;
    struct cloning cloning = {.task = task, .flags = flags, .to = make_ns(task->vfs)};
    int32_t error = cloning.to ? VR_MNTTREE_AGAIN : -VRIFT_ENOMEM;
    while (error == VR_MNTTREE_AGAIN) {
        bool alone = atomic_load(&task->place->refs) == 1;
        cloning.fresh = alone ? NULL : vr_place_copy(task);
        error = alone || cloning.fresh ? vr_mnttree_run(task->vfs, try_clone, &cloning) : -VRIFT_ENOMEM;
        if (alone)
            cloning.fresh = NULL;
    }
    vr_mnt_unref(cloning.left[0].mount);
    vr_mnt_unref(cloning.left[1].mount);
    vr_place_unref(task->vfs, cloning.fresh);
    if (!error) {
        vrift_ns_unref(cloning.from);
        vrift_ns_unref(cloning.to);
    } else if (cloning.to) {
        free_ns(cloning.to);
    }
    return error;
}

/* -- Entering ------------------------------------------------------------------------------------------------------ */

struct entering {
    vrift_task *task;
    vrift_ns *ns; /* before and after: the one to be let go */
    struct vr_path root, left[2];
};

static int32_t try_enter(struct vr_mnttree *change, void *payload)
{
    struct entering *entering = payload;
    vrift_task *task = entering->task;
    struct vr_place *place = task->place;
    if (atomic_load(&place->refs) != 1)
        return -VRIFT_EINVAL;
    entering->root = (struct vr_path){entering->ns->root, entering->ns->root->root};
    vr_mnt_topmost(change->vfs, &entering->root);
    entering->left[0] = vr_spot_get(&place->root);
    entering->left[1] = vr_spot_get(&place->cwd);
    vr_spot_set(&place->root, &entering->root);
    vr_spot_set(&place->cwd, &entering->root);
    vr_path_ref(&entering->root);
    vr_path_ref(&entering->root);
    vrift_ns *before = task->ns;
    task->ns = entering->ns;
    entering->ns = before;
    return 0;
}

int32_t vrift_task_set_ns(vrift_task *task, vrift_ns *ns)
{
    if (!task || !ns || ns->vfs != task->vfs)
        return -VRIFT_EINVAL;
    if (!vr_walk_capable(task, VRIFT_CAP_SYS_ADMIN) || !vr_walk_capable(task, VRIFT_CAP_SYS_CHROOT))
        return -VRIFT_EPERM;
    struct entering entering = {.task = task, .ns = vrift_ns_ref(ns)};
    int32_t error = vr_mnttree_run(task->vfs, try_enter, &entering);
    vr_path_unref(&entering.left[0]);
    vr_path_unref(&entering.left[1]);
    vrift_ns_unref(entering.ns);
    return error;
}

vrift_ns *vrift_task_ns(vrift_task *task)
{
    if (!task)
        return NULL;
    vr_dcache_read_begin(task->vfs);
    vrift_ns *ns = vrift_ns_ref(task->ns);
    vr_dcache_read_end(task->vfs);
    return ns;
}
