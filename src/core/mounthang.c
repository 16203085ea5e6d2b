/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls that hang mounts: mount, bind, move, pivot_root; in the order in which Linux finds fault. */
#include "core/mountwalk.h"
#include "core/place.h"
#include "core/propagate.h"

#include <assert.h>

/* -- What all have in common --------------------------------------------------------------------------------------- */

int32_t vr_mountwalk(vrift_task *task, int32_t dirfd, const char *path, uint32_t flags, struct vr_path *out)
{
    int32_t error = vr_walk_path(task, dirfd, path, flags, out);
    if (error || vr_walk_capable(task, VRIFT_CAP_SYS_ADMIN))
        return error;
    vr_path_unref(out);
    return -VRIFT_EPERM;
}

/* One call as it goes. */
struct hanging {
    vrift_task *task;
    vrift_sb *sb;        /* mount */
    struct vr_path from; /* bind, move: the source */
    uint64_t flags;
};

static bool is_own(const struct hanging *hanging, const struct vr_mount *mount)
{
    return mount->ns == hanging->task->ns;
}

/* A tree whose topmost root was removed is hung nowhere. */
static bool is_alive(vrift_vfs *vfs, struct vr_path root)
{
    vr_mnt_topmost(vfs, &root);
    return vr_dcache_hashed(root.dentry);
}

static bool fits(const struct vr_path *place, const struct vr_dentry *root)
{
    return vr_is_dir(place->dentry->inode) == vr_is_dir(root->inode);
}

/* -- mount --------------------------------------------------------------------------------------------------------- */

static int32_t try_mount(struct vr_mnttree *change, const struct vr_path *place, void *payload)
{
    struct hanging *hanging = payload;
    vrift_sb *sb = hanging->sb;
    if (!is_own(hanging, place->mount))
        return -VRIFT_EINVAL;
    if (place->mount->sb == sb && place->mount->root == sb->root && place->dentry == sb->root)
        return -VRIFT_EBUSY;
    if (!fits(place, sb->root))
        return -VRIFT_ENOTDIR;
    change->wanted = 1;
    int32_t error = vr_mnttree_room(change, place, 1, false);
    if (error)
        return error;
    if (change->blank_count < change->wanted)
        return VR_MNTTREE_MORE;
    struct vr_mount *mount = change->blanks;
    change->blanks = mount->next;
    change->blank_count--;
    mount->next = NULL;
    vr_mnt_fill(mount, sb, sb->root, hanging->flags);
    vr_mnttree_graft(change, mount, place);
    return 0;
}

int32_t vrift_mount(vrift_task *task, int32_t dirfd, const char *path, vrift_sb *sb, uint64_t flags)
{
    if (!sb || !task || !path || sb->vfs != task->vfs || flags & ~VR_MOUNT_FLAGS)
        return -VRIFT_EINVAL;
    struct hanging hanging = {.task = task, .sb = sb, .flags = vr_mnt_flags(flags)};
    struct vr_path at;
    int32_t error = vr_mountwalk(task, dirfd, path, VR_WALK_FOLLOW, &at);
    if (error)
        return error;
    error = vr_mnttree_run_at(task->vfs, &at, try_mount, &hanging);
    vr_path_unref(&at);
    return error;
}

/* -- bind and move ------------------------------------------------------------------------------------------------- */

/* The flags of a copy are those of what it is a copy of; what the call asks for comes on top. */
static void add_flags(struct vr_mount *copy, uint64_t flags)
{
    for (struct vr_mount *at = copy; at; at = vr_mnt_next(at, copy))
        atomic_store(&at->flags, (uint32_t)vr_mnt_flags_with(atomic_load(&at->flags), flags & VR_MOUNT_FLAGS));
}

static int32_t try_bind(struct vr_mnttree *change, const struct vr_path *place, void *payload)
{
    struct hanging *hanging = payload;
    struct vr_mount *from = hanging->from.mount;
    struct vr_dentry *root = hanging->from.dentry;
    uint32_t how = hanging->flags & VRIFT_MOUNT_REC ? VR_COPY_RECURSIVE : 0;
    if (!is_own(hanging, place->mount) || from->unbindable || !is_own(hanging, from))
        return -VRIFT_EINVAL;
    if (!fits(place, root))
        return -VRIFT_ENOTDIR;
    if (how ? !is_alive(change->vfs, hanging->from) : !vr_dcache_hashed(root))
        return -VRIFT_ENOENT;
    uint64_t count = vr_mnttree_count(from, root, how);
    change->wanted = count;
    int32_t error = vr_mnttree_room(change, place, count, false);
    if (error)
        return error;
    if (change->blank_count < change->wanted)
        return VR_MNTTREE_MORE;
    struct vr_mount *copy = vr_mnttree_copy(change, from, root, how);
    add_flags(copy, hanging->flags);
    vr_mnttree_graft(change, copy, place);
    return 0;
}

static bool holds_unbindable(struct vr_mount *top)
{
    struct vr_mount *at = top;
    while (at && !at->unbindable)
        at = vr_mnt_next(at, top);
    return at;
}

static int32_t check_move(struct vr_mnttree *change, const struct vr_path *place, const struct hanging *hanging)
{
    struct vr_mount *mount = hanging->from.mount;
    if (!is_own(hanging, mount) || !mount->parent || mount->parent->group || !is_own(hanging, place->mount))
        return -VRIFT_EINVAL;
    if (place->mount->group && holds_unbindable(mount))
        return -VRIFT_EINVAL;
    if (vr_mnt_is_below(place->mount, mount))
        return -VRIFT_ELOOP;
    return is_alive(change->vfs, hanging->from) ? 0 : -VRIFT_ENOENT;
}

static int32_t try_move(struct vr_mnttree *change, const struct vr_path *place, void *payload)
{
    struct hanging *hanging = payload;
    struct vr_mount *mount = hanging->from.mount;
    int32_t error = check_move(change, place, hanging);
    if (error)
        return error;
    error = vr_mnttree_room(change, place, vr_mnttree_count(mount, mount->root, VR_COPY_RECURSIVE), true);
    if (error)
        return error;
    if (change->blank_count < change->wanted)
        return VR_MNTTREE_MORE;
    vr_mnttree_graft(change, mount, place);
    return 0;
}

/* What a move asks before it looks at the place as it is by now. */
static bool is_movable(const struct vr_path *from, const struct vr_path *at)
{
    return from->dentry == from->mount->root && fits(at, from->dentry);
}

/* Walks to the target, then to the source, and runs the attempt. */
static int32_t hang_from(vrift_task *task, int32_t old_dirfd, const char *old_path, int32_t new_dirfd,
                         const char *new_path, uint64_t flags, vr_mnttree_attempt_at attempt)
{
    struct hanging hanging = {.task = task, .flags = flags};
    struct vr_path at;
    int32_t error = vr_mountwalk(task, new_dirfd, new_path, VR_WALK_FOLLOW, &at);
    if (error)
        return error;
    /* mount(2) finds a source that is named "" before it walks there. */
    error = *old_path ? vr_walk_path(task, old_dirfd, old_path, VR_WALK_FOLLOW, &hanging.from) : -VRIFT_EINVAL;
    if (!error) {
        error = attempt == try_move && !is_movable(&hanging.from, &at)
                    ? -VRIFT_EINVAL
                    : vr_mnttree_run_at(task->vfs, &at, attempt, &hanging);
        vr_path_unref(&hanging.from);
    }
    vr_path_unref(&at);
    return error;
}

int32_t vrift_bind(vrift_task *task, int32_t old_dirfd, const char *old_path, int32_t new_dirfd, const char *new_path,
                   uint64_t flags)
{
    if (!task || !old_path || !new_path || flags & ~(VR_MOUNT_FLAGS | VRIFT_MOUNT_REC))
        return -VRIFT_EINVAL;
    return hang_from(task, old_dirfd, old_path, new_dirfd, new_path, flags, try_bind);
}

int32_t vrift_mount_move(vrift_task *task, int32_t old_dirfd, const char *old_path, int32_t new_dirfd,
                         const char *new_path, uint64_t flags)
{
    if (!task || !old_path || !new_path || flags)
        return -VRIFT_EINVAL;
    return hang_from(task, old_dirfd, old_path, new_dirfd, new_path, 0, try_move);
}

/* -- pivot_root ---------------------------------------------------------------------------------------------------- */

struct pivoting {
    vrift_task *task;
    struct vr_path new_root;
    struct vr_path root; /* of the task as the call began */
};

/* Can a path be reached by walking down from root? */
static bool is_reachable(struct vr_path path, const struct vr_path *root)
{
    while (path.mount != root->mount && path.mount->parent)
        path = (struct vr_path){path.mount->parent, path.mount->point};
    return path.mount == root->mount && vr_dcache_below(path.dentry, root->dentry);
}

static bool is_shared(const struct vr_mount *mount)
{
    return mount && mount->group;
}

static int32_t check_pivot(const struct pivoting *pivoting, const struct vr_path *place)
{
    const struct vr_mount *root = pivoting->root.mount, *fresh = pivoting->new_root.mount;
    const struct vr_mount *root_parent = root->parent ? root->parent : root;
    const struct vr_mount *fresh_parent = fresh->parent ? fresh->parent : fresh;
    vrift_ns *ns = pivoting->task->ns;
    if (is_shared(place->mount) || is_shared(fresh_parent) || is_shared(root_parent))
        return -VRIFT_EINVAL;
    if (root->ns != ns || fresh->ns != ns)
        return -VRIFT_EINVAL;
    if (!vr_dcache_hashed(pivoting->new_root.dentry))
        return -VRIFT_ENOENT;
    if (fresh == root || place->mount == root)
        return -VRIFT_EBUSY;
    if (pivoting->root.dentry != root->root || !root->parent)
        return -VRIFT_EINVAL;
    if (pivoting->new_root.dentry != fresh->root || !fresh->parent)
        return -VRIFT_EINVAL;
    if (!is_reachable(*place, &pivoting->new_root) || !is_reachable(pivoting->new_root, &pivoting->root))
        return -VRIFT_EINVAL;
    return 0;
}

static int32_t try_pivot(struct vr_mnttree *change, const struct vr_path *place, void *payload)
{
    struct pivoting *pivoting = payload;
    int32_t error = check_pivot(pivoting, place);
    if (error)
        return error;
    struct vr_mount *root = pivoting->root.mount, *fresh = pivoting->new_root.mount;
    struct vr_mount *parent = root->parent;
    struct vr_dentry *point = root->point;
    /* The point stays held by the old root until the new one hangs there. */
    vr_mnt_detach(fresh, &change->reap);
    vr_dcache_ref(point);
    vr_mnt_detach(root, &change->reap);
    vr_mnt_attach(fresh, parent, point);
    vr_dcache_unref_locked(point, &change->reap);
    vr_mnt_attach(root, place->mount, place->dentry);
    vr_place_move_all(change->vfs, &pivoting->root, &pivoting->new_root);
    return 0;
}

static int32_t pivot_to(struct pivoting *pivoting, const char *put_old)
{
    vrift_task *task = pivoting->task;
    struct vr_path at;
    int32_t error = vr_walk_path(task, VRIFT_AT_FDCWD, put_old, VR_WALK_FOLLOW | VR_WALK_DIRECTORY, &at);
    if (error)
        return error;
    vr_dcache_read_begin(task->vfs);
    pivoting->root = vr_spot_get(&task->place->root);
    vr_path_ref(&pivoting->root);
    vr_dcache_read_end(task->vfs);
    error = vr_mnttree_run_at(task->vfs, &at, try_pivot, pivoting);
    vr_path_unref(&pivoting->root);
    vr_path_unref(&at);
    return error;
}

int32_t vrift_pivot_root(vrift_task *task, const char *new_root, const char *put_old)
{
    if (!task || !new_root || !put_old)
        return -VRIFT_EINVAL;
    if (!vr_walk_capable(task, VRIFT_CAP_SYS_ADMIN))
        return -VRIFT_EPERM;
    struct pivoting pivoting = {.task = task};
    int32_t error =
        vr_walk_path(task, VRIFT_AT_FDCWD, new_root, VR_WALK_FOLLOW | VR_WALK_DIRECTORY, &pivoting.new_root);
    if (error)
        return error;
    error = pivot_to(&pivoting, put_old);
    vr_path_unref(&pivoting.new_root);
    return error;
}
