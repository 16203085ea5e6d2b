/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/mnttree.h"

#include "core/inode.h"
#include "core/propagate.h"

#include <assert.h>

/* -- The frame of a change ----------------------------------------------------------------------------------------- */

void vr_mnttree_begin(struct vr_mnttree *change)
{
    vr_mnt_tree_lock(change->vfs);
    vr_dcache_write_begin(change->vfs);
}

void vr_mnttree_end(struct vr_mnttree *change)
{
    vr_dcache_write_end(change->vfs);
    vr_mnt_tree_unlock(change->vfs);
}

int32_t vr_mnttree_reserve(struct vr_mnttree *change)
{
    while (change->blank_count < change->wanted) {
        struct vr_mount *blank = vr_mnt_blank(change->vfs);
        if (!blank)
            return -VRIFT_ENOMEM;
        blank->next = change->blanks;
        change->blanks = blank;
        change->blank_count++;
    }
    return 0;
}

void vr_mnttree_dispose(struct vr_mnttree *change)
{
    while (change->blanks) {
        struct vr_mount *blank = change->blanks;
        change->blanks = blank->next;
        vr_mnt_discard(change->vfs, blank);
    }
    change->blank_count = 0;
    vr_dcache_reap(change->vfs, &change->reap);
    while (change->dead) {
        struct vr_mount *mount = change->dead;
        change->dead = mount->next;
        vr_mnt_unref(mount);
    }
}

int32_t vr_mnttree_run(vrift_vfs *vfs, vr_mnttree_attempt attempt, void *payload)
{
    struct vr_mnttree change = {.vfs = vfs};
    int32_t result;
    do {
        vr_mnttree_begin(&change);
        change.wanted = 0;
        result = attempt(&change, payload);
        vr_mnttree_end(&change);
        if (result == VR_MNTTREE_MORE && vr_mnttree_reserve(&change))
            result = -VRIFT_ENOMEM;
    } while (result == VR_MNTTREE_MORE);
    vr_mnttree_dispose(&change);
    return result;
}

static int32_t try_at(struct vr_mnttree *change, const struct vr_path *at, const struct vr_path *place,
                      vr_mnttree_attempt_at attempt, void *payload)
{
    struct vr_path now = *at;
    vr_mnt_topmost(change->vfs, &now);
    if (now.mount != place->mount || now.dentry != place->dentry)
        return VR_MNTTREE_AGAIN;
    if (!at->mount->ns || !vr_dcache_hashed(place->dentry))
        return -VRIFT_ENOENT;
    change->wanted = 0;
    return attempt(change, place, payload);
}

int32_t vr_mnttree_run_at(vrift_vfs *vfs, const struct vr_path *at, vr_mnttree_attempt_at attempt, void *payload)
{
    struct vr_mnttree change = {.vfs = vfs};
    int32_t result;
    do {
        struct vr_path place = *at;
        vr_dcache_read_begin(vfs);
        vr_mnt_topmost(vfs, &place);
        vr_path_ref(&place);
        vr_dcache_read_end(vfs);
        struct vr_inode *inode = place.dentry->inode;
        vr_inode_lock(inode, VR_RANK_CHILD);
        vr_mnttree_begin(&change);
        result = try_at(&change, at, &place, attempt, payload);
        vr_mnttree_end(&change);
        vr_inode_unlock(inode, VR_RANK_CHILD);
        vr_path_unref(&place);
        if (result == VR_MNTTREE_MORE && vr_mnttree_reserve(&change))
            result = -VRIFT_ENOMEM;
    } while (result > 0);
    vr_mnttree_dispose(&change);
    return result;
}

/* -- Copies -------------------------------------------------------------------------------------------------------- */

/*
 * Does the copy of a tree have a copy of this mount, which is not the tree's root? Asked in the order of vr_mnt_next(); what
 * is left out has no twin, and neither has what is below it.
 */
static bool is_copied(const struct vr_mount *mount, const struct vr_mount *from, const struct vr_dentry *root,
                      uint32_t how)
{
    if (!(how & VR_COPY_UNBINDABLE) && mount->unbindable)
        return false;
    return mount->parent == from ? vr_dcache_below(mount->point, root) : mount->parent->twin != NULL;
}

uint64_t vr_mnttree_count(struct vr_mount *from, const struct vr_dentry *root, uint32_t how)
{
    uint64_t count = 1;
    if (!(how & VR_COPY_RECURSIVE))
        return count;
    for (struct vr_mount *at = from; (at = vr_mnt_next(at, from));) {
        bool copied = is_copied(at, from, root, how);
        at->twin = copied ? at : NULL;
        count += copied;
    }
    return count;
}

static struct vr_mount *copy_one(struct vr_mnttree *change, struct vr_mount *of, struct vr_dentry *root, uint32_t how)
{
    struct vr_mount *copy = change->blanks;
    assert(copy);
    change->blanks = copy->next;
    change->blank_count--;
    copy->next = NULL;
    vr_mnt_fill(copy, of->sb, root, atomic_load(&of->flags));
    vr_propagate_copy(copy, of, how & VR_COPY_SLAVE);
    of->twin = copy;
    return copy;
}

struct vr_mount *vr_mnttree_copy(struct vr_mnttree *change, struct vr_mount *from, struct vr_dentry *root, uint32_t how)
{
    struct vr_mount *top = copy_one(change, from, root, how);
    if (!(how & VR_COPY_RECURSIVE))
        return top;
    for (struct vr_mount *at = from; (at = vr_mnt_next(at, from));) {
        if (is_copied(at, from, root, how))
            vr_mnt_attach(copy_one(change, at, at->root, how), at->parent->twin, at->point);
        else
            at->twin = NULL;
    }
    return top;
}

/* -- Hanging ------------------------------------------------------------------------------------------------------- */

/* Is the place to be seen on a receiver? */
static bool shows(const struct vr_mount *receiver, const struct vr_path *place)
{
    return vr_dcache_below(place->dentry, receiver->root);
}

static bool takes(vrift_ns *ns, uint64_t count)
{
    if (ns->count + ns->more + count > VR_MNTTREE_MOST)
        return false;
    ns->more += (uint32_t)count;
    return true;
}

int32_t vr_mnttree_room(struct vr_mnttree *change, const struct vr_path *place, uint64_t count, bool moving)
{
    struct vr_mount *receivers = place->mount->group ? vr_propagate_receivers(place->mount) : NULL;
    place->mount->ns->more = 0;
    for (struct vr_mount *at = receivers; at; at = at->queue)
        at->ns->more = 0;
    bool fits = moving || takes(place->mount->ns, count);
    for (struct vr_mount *at = receivers; at && fits; at = at->queue) {
        if (!shows(at, place))
            continue;
        fits = takes(at->ns, count);
        change->wanted += count;
    }
    return fits ? 0 : -VRIFT_ENOSPC;
}

/* Hangs one tree. What was there already comes to lie on top of it. */
static void hang(struct vr_mnttree *change, struct vr_mount *tree, struct vr_mount *parent, struct vr_dentry *point)
{
    struct vr_mount *there = vr_mnt_find(change->vfs, parent, point);
    if (!tree->ns)
        for (struct vr_mount *at = tree; at; at = vr_mnt_next(at, tree))
            vr_mnt_enter(at, parent->ns);
    struct vr_path top = {tree, tree->root};
    vr_mnt_topmost(change->vfs, &top);
    if (there)
        vr_mnt_detach(there, &change->reap);
    vr_mnt_attach(tree, parent, point);
    if (there)
        vr_mnt_attach(there, top.mount, top.dentry);
}

/* A copy for each receiver that shows the place. */
static void copy_to_receivers(struct vr_mnttree *change, struct vr_mount *receivers, const struct vr_path *place)
{
    for (struct vr_mount *at = receivers; at; at = at->queue) {
        if (!shows(at, place))
            continue;
        bool peer;
        struct vr_mount *near = vr_propagate_nearest(at, &peer);
        struct vr_mount *copy =
            vr_mnttree_copy(change, near, near->root, VR_COPY_RECURSIVE | (peer ? 0 : VR_COPY_SLAVE));
        for (struct vr_mount *made = at->mark ? copy : NULL; made; made = vr_mnt_next(made, copy))
            vr_propagate_share(made);
        at->received = copy;
    }
}

void vr_mnttree_graft(struct vr_mnttree *change, struct vr_mount *tree, const struct vr_path *place)
{
    struct vr_mount *dest = place->mount, *receivers = NULL;
    if (dest->group) {
        /* Whether copies are shared follows from what the receivers are now, of which some may be in the tree. */
        receivers = vr_propagate_receivers(dest);
        for (struct vr_mount *at = receivers; at; at = at->queue)
            at->mark = at->group != 0;
        for (struct vr_mount *at = tree; at; at = vr_mnt_next(at, tree))
            vr_propagate_share(at);
        dest->received = tree;
        copy_to_receivers(change, receivers, place);
        dest->received = NULL;
    }
    if (tree->parent)
        vr_mnt_detach(tree, &change->reap);
    hang(change, tree, dest, place->dentry);
    for (struct vr_mount *at = receivers; at; at = at->queue) {
        if (at->received)
            hang(change, at->received, at, place->dentry);
        at->received = NULL;
        at->mark = 0;
    }
}

/* -- Taking away --------------------------------------------------------------------------------------------------- */

/* What covers the root of a mount that goes, and stays, slides down to where the lowest of those that go was. */
static void slide_down(struct vr_mnttree *change, struct vr_mount *over)
{
    struct vr_mount *below = over->parent;
    while (below->parent->mark == VR_MARK_GOING)
        below = below->parent;
    struct vr_mount *parent = below->parent;
    struct vr_dentry *point = below->point;
    vr_mnt_detach(over, &change->reap);
    /* For a moment two mounts are at one place; the lower one goes before the section ends. */
    vr_mnt_attach(over, parent, point);
}

static void bury(struct vr_mnttree *change, struct vr_mount *mount)
{
    mount->next = change->dead;
    change->dead = mount;
}

void vr_mnttree_umount(struct vr_mnttree *change, struct vr_mount *top, uint32_t how)
{
    struct vr_mount *set = NULL, **end = &set;
    for (struct vr_mount *at = top; at; at = vr_mnt_next(at, top)) {
        at->mark = VR_MARK_GOING;
        at->next = NULL;
        *end = at;
        end = &at->next;
    }
    if (how & VR_UMOUNT_PROPAGATE)
        vr_propagate_umount(&set);
    for (struct vr_mount *at = set; at; at = at->next) {
        struct vr_mount *over = vr_mnt_over(change->vfs, at);
        if (over && !over->mark)
            slide_down(change, over);
    }
    for (struct vr_mount *at = set; at; at = at->next) {
        vr_propagate_change(at, VRIFT_MOUNT_PRIVATE);
        vr_mnt_leave(at);
    }
    for (struct vr_mount *at = set, *next; at; at = next) {
        next = at->next;
        bool stays_connected = how & VR_UMOUNT_CONNECTED && at != top;
        if (!stays_connected) {
            if (at->parent)
                vr_mnt_detach(at, &change->reap);
            bury(change, at);
        }
        at->mark = 0;
    }
}

/* -- Mount points that lose their name ----------------------------------------------------------------------------- */

static void abandon(struct vr_mnttree *change, struct vr_mount *mount)
{
    if (mount->ns) {
        vr_mnttree_umount(change, mount, VR_UMOUNT_CONNECTED);
    } else {
        vr_mnt_detach(mount, &change->reap);
        bury(change, mount);
    }
}

static int32_t try_abandon(struct vr_mnttree *change, void *payload)
{
    for (struct vr_mount *mount; (mount = vr_mnt_on(change->vfs, payload));)
        abandon(change, mount);
    return 0;
}

static int32_t try_abandon_below(struct vr_mnttree *change, void *payload)
{
    for (struct vr_mount *mount; (mount = vr_mnt_in(change->vfs, payload));)
        abandon(change, mount);
    return 0;
}

void vr_mnttree_abandon(struct vr_dentry *dentry)
{
    /* Seen without a lock: the name went in a write section, and since then nothing is mounted on it. */
    if (vr_dcache_mounted(dentry))
        vr_mnttree_run(vr_dcache_sb(dentry)->vfs, try_abandon, dentry);
}

void vr_mnttree_abandon_below(struct vr_dentry *top)
{
    vrift_sb *sb = vr_dcache_sb(top);
    if (atomic_load(&sb->points))
        vr_mnttree_run(sb->vfs, try_abandon_below, top);
}

bool vr_mnttree_is_local_point(const vrift_task *task, const struct vr_dentry *dentry)
{
    /* Seen without a lock: what is mounted on it meanwhile might as well have been a moment later. */
    if (!vr_dcache_mounted(dentry))
        return false;
    vr_mnt_tree_lock(task->vfs);
    struct vr_mount *root = task->ns->root, *at = root;
    while (at && at->point != dentry)
        at = vr_mnt_next(at, root);
    vr_mnt_tree_unlock(task->vfs);
    return at;
}
