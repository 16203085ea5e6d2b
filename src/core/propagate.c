/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/propagate.h"

#include "core/dcache.h"
#include "core/mnt.h"

#include <assert.h>

/* -- Relations ----------------------------------------------------------------------------------------------------- */

static bool has_peers(const struct vr_mount *mount)
{
    return mount->peer_after != mount;
}

static void leave_ring(struct vr_mount *mount)
{
    mount->peer_before->peer_after = mount->peer_after;
    mount->peer_after->peer_before = mount->peer_before;
    mount->peer_before = mount->peer_after = mount;
}

static void join_ring(struct vr_mount *mount, struct vr_mount *peer)
{
    mount->group = peer->group;
    mount->peer_before = peer;
    mount->peer_after = peer->peer_after;
    peer->peer_after->peer_before = mount;
    peer->peer_after = mount;
}

static void leave_master(struct vr_mount *slave)
{
    if (!slave->master)
        return;
    *(slave->slave_before ? &slave->slave_before->slave_after : &slave->master->first_slave) = slave->slave_after;
    if (slave->slave_after)
        slave->slave_after->slave_before = slave->slave_before;
    slave->slave_before = slave->slave_after = NULL;
    slave->master = NULL;
}

static void follow_master(struct vr_mount *slave, struct vr_mount *master)
{
    slave->master = master;
    slave->slave_before = NULL;
    slave->slave_after = master->first_slave;
    if (slave->slave_after)
        slave->slave_after->slave_before = slave;
    master->first_slave = slave;
}

void vr_propagate_share(struct vr_mount *mount)
{
    mount->unbindable = 0;
    if (!mount->group)
        mount->group = ++mount->sb->vfs->next_group;
}

/* Out of its group. Whom it sent events hears them from a peer from now on, else from its master, else not at all. */
static struct vr_mount *leave_group(struct vr_mount *mount)
{
    struct vr_mount *heir = has_peers(mount) ? mount->peer_after : mount->master;
    leave_ring(mount);
    mount->group = 0;
    while (mount->first_slave) {
        struct vr_mount *slave = mount->first_slave;
        leave_master(slave);
        if (heir)
            follow_master(slave, heir);
    }
    return heir;
}

void vr_propagate_change(struct vr_mount *mount, uint64_t type)
{
    if (type == VRIFT_MOUNT_SHARED) {
        vr_propagate_share(mount);
        return;
    }
    struct vr_mount *master = mount->group ? leave_group(mount) : mount->master;
    leave_master(mount);
    if (type != VRIFT_MOUNT_SLAVE)
        mount->unbindable = type == VRIFT_MOUNT_UNBINDABLE;
    else if (master)
        follow_master(mount, master);
}

void vr_propagate_copy(struct vr_mount *copy, struct vr_mount *of, bool slave)
{
    copy->unbindable = of->unbindable;
    if (of->group && slave) {
        follow_master(copy, of);
        return;
    }
    if (of->group)
        join_ring(copy, of);
    if (of->master)
        follow_master(copy, of->master);
}

/* -- Who receives -------------------------------------------------------------------------------------------------- */

/* Mounts that are in no namespace are copies under way. */
static void enqueue(struct vr_mount *mount, struct vr_mount ***end)
{
    if (!mount->ns)
        return;
    mount->queue = NULL;
    **end = mount;
    *end = &mount->queue;
}

struct vr_mount *vr_propagate_receivers(struct vr_mount *from)
{
    struct vr_mount *first = NULL, **end = &first;
    for (struct vr_mount *peer = from->peer_after; peer != from; peer = peer->peer_after)
        enqueue(peer, &end);
    for (struct vr_mount *slave = from->first_slave; slave; slave = slave->slave_after)
        enqueue(slave, &end);
    /* A slave's peers are slaves of the same master: this meets each mount once. */
    for (struct vr_mount *at = first; at; at = at->queue)
        for (struct vr_mount *slave = at->first_slave; slave; slave = slave->slave_after)
            enqueue(slave, &end);
    return first;
}

struct vr_mount *vr_propagate_nearest(const struct vr_mount *receiver, bool *peer)
{
    *peer = true;
    for (const struct vr_mount *at = receiver; at; at = at->master) {
        const struct vr_mount *other = at;
        do {
            if (other->received)
                return other->received;
            other = other->peer_before;
        } while (other != at);
        *peer = false;
    }
    return NULL;
}

uint64_t vr_propagate_dominating(const struct vr_mount *slave, const struct vr_path *root)
{
    for (struct vr_mount *master = slave->master; master; master = master->master) {
        struct vr_mount *peer = master;
        do {
            struct vr_path at = {peer, peer->root};
            while (peer->ns == slave->ns && at.mount != root->mount && at.mount->parent)
                at = (struct vr_path){at.mount->parent, at.mount->point};
            if (peer->ns == slave->ns && at.mount == root->mount && vr_dcache_below(at.dentry, root->dentry))
                return peer->group;
            peer = peer->peer_after;
        } while (peer != master);
    }
    return 0;
}

/* -- What goes with a mount ---------------------------------------------------------------------------------------- */

/*
 * The rules are those of Documentation/filesystems/propagate_umount.txt: of the mounts that are at the same place as one
 * that goes, on a mount that hears of it, those go below whose root nothing remains.
 */
static struct vr_mount *find_candidates(struct vr_mount *set)
{
    struct vr_mount *candidates = NULL;
    for (struct vr_mount *going = set; going; going = going->next) {
        if (!going->parent)
            continue;
        struct vr_mount *at = vr_propagate_receivers(going->parent);
        for (; at; at = at->queue) {
            struct vr_mount *child = vr_mnt_find(at->sb->vfs, at, going->point);
            if (!child || child->mark)
                continue;
            child->mark = VR_MARK_CANDIDATE;
            child->next = candidates;
            candidates = child;
        }
    }
    return candidates;
}

/* Something over `mount` stays. Whatever it is mounted on stays as well, unless it only covers the root of that. */
static void keep_ancestors(struct vr_mount *mount)
{
    for (struct vr_mount *parent = mount->parent; parent && parent->mark == VR_MARK_CANDIDATE; parent = mount->parent) {
        if (mount->point != parent->root)
            parent->mark = 0;
        mount = parent;
    }
}

static void keep_if_used(struct vr_mount *candidate)
{
    bool stays_over = false, stays_inside = false;
    for (const struct vr_mount *child = candidate->first_child; child; child = child->after) {
        if (child->mark)
            continue;
        stays_over = true;
        stays_inside |= child->point != candidate->root;
    }
    if (stays_over)
        keep_ancestors(candidate);
    if (stays_inside)
        candidate->mark = 0;
}

void vr_propagate_umount(struct vr_mount **set)
{
    struct vr_mount *candidates = find_candidates(*set);
    bool changed = true;
    while (changed) {
        changed = false;
        for (struct vr_mount *at = candidates; at; at = at->next) {
            if (at->mark != VR_MARK_CANDIDATE)
                continue;
            keep_if_used(at);
            changed |= !at->mark;
        }
    }
    while (candidates) {
        struct vr_mount *at = candidates;
        candidates = at->next;
        if (!at->mark)
            continue;
        at->mark = VR_MARK_GOING;
        at->next = *set;
        *set = at;
    }
}

bool vr_propagate_busy(const struct vr_mount *mount)
{
    struct vr_mount *at = vr_propagate_receivers(mount->parent);
    for (; at; at = at->queue) {
        const struct vr_mount *child = vr_mnt_find(at->sb->vfs, at, mount->point);
        if (!child)
            continue;
        /* One that covers it all would not keep it; anything else would, and then it does not go. */
        const struct vr_mount *over = child->first_child;
        if (over && (over->after || over->point != child->root))
            continue;
        if (atomic_load(&child->refs) > 1)
            return true;
    }
    return false;
}
