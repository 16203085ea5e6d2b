/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/mnt.h"

#include "core/dcache.h"

#include <assert.h>

void vr_mnt_tree_lock(vrift_vfs *vfs)
{
    vr_lockrank_take(VR_RANK_MOUNT);
    vr_os_mutex_lock(&vfs->tree_mutex);
}

void vr_mnt_tree_unlock(vrift_vfs *vfs)
{
    vr_os_mutex_unlock(&vfs->tree_mutex);
    vr_lockrank_give(VR_RANK_MOUNT);
}

/* -- Life ---------------------------------------------------------------------------------------------------------- */

struct vr_mount *vr_mnt_blank(vrift_vfs *vfs)
{
    struct vr_mount *blank = vr_pool_get(&vfs->dcache.mount_pool, vfs->allocator);
    if (!blank)
        return NULL;
    /* All but its refs, which a late reader may have a look at. */
    blank->parent = NULL;
    blank->point = NULL;
    blank->writers = blank->expiring = 0;
    blank->ns = NULL;
    blank->first_child = blank->last_child = blank->before = blank->after = NULL;
    blank->master = blank->first_slave = blank->slave_before = blank->slave_after = NULL;
    blank->twin = blank->received = blank->queue = blank->next = NULL;
    blank->group = 0;
    blank->unbindable = blank->mark = 0;
    return blank;
}

void vr_mnt_discard(vrift_vfs *vfs, struct vr_mount *blank)
{
    if (blank)
        vr_pool_put(&vfs->dcache.mount_pool, blank);
}

void vr_mnt_fill(struct vr_mount *blank, vrift_sb *sb, struct vr_dentry *root, uint64_t flags)
{
    blank->flags = (uint32_t)flags;
    blank->part = root != sb->root;
    blank->number = sb->number;
    blank->names_age = sb->names_stable ? VR_AGE_STABLE : sb->names_age;
    blank->attrs_age = sb->attrs_stable ? VR_AGE_STABLE : sb->attrs_age;
    blank->sb = vrift_sb_ref(sb);
    vr_dcache_ref(root);
    blank->root = root;
    blank->id = atomic_fetch_add(&sb->vfs->next_mount, 1) + 1;
    blank->peer_before = blank->peer_after = blank;
    atomic_store_explicit(&blank->refs, 1, memory_order_release);
}

int32_t vr_mnt_new(vrift_sb *sb, struct vr_dentry *root, uint64_t flags, struct vr_mount **out)
{
    struct vr_mount *mount = vr_mnt_blank(sb->vfs);
    if (!mount)
        return -VRIFT_ENOMEM;
    vr_mnt_fill(mount, sb, root, flags);
    *out = mount;
    return 0;
}

/* Nobody can find it any more. */
static void destroy(struct vr_mount *mount, struct vr_reap *reap)
{
    vrift_sb *sb = mount->sb;
    assert(!mount->ns && !mount->parent && mount->peer_after == mount && !mount->master && !mount->first_slave);
    vr_dcache_reap(sb->vfs, reap);
    vr_dcache_unref(mount->root);
    vr_mnt_discard(sb->vfs, mount);
    vrift_sb_unref(sb);
}

/*
 * The last reference is dropped in a write section: a walk that came from a mount left hanging below this one sees
 * either both or none. What hung there goes its own way: it is added to `orphans`, whose references are to be dropped.
 */
static void drop_last(struct vr_mount *mount, struct vr_mount **orphans)
{
    vrift_vfs *vfs = mount->sb->vfs;
    struct vr_reap reap = VR_REAP_INIT;
    vr_mnt_tree_lock(vfs);
    vr_dcache_write_begin(vfs);
    bool dead = atomic_fetch_sub_explicit(&mount->refs, 1, memory_order_acq_rel) == 1;
    while (dead && mount->first_child) {
        struct vr_mount *child = mount->first_child;
        vr_mnt_detach(child, &reap);
        child->next = *orphans;
        *orphans = child;
    }
    vr_dcache_write_end(vfs);
    vr_mnt_tree_unlock(vfs);
    if (dead)
        destroy(mount, &reap);
}

static bool drop_one_of_many(struct vr_mount *mount)
{
    uint32_t refs = atomic_load_explicit(&mount->refs, memory_order_relaxed);
    while (refs > 1)
        if (atomic_compare_exchange_weak_explicit(&mount->refs, &refs, refs - 1, memory_order_release,
                                                  memory_order_relaxed))
            return true;
    return false;
}

void vr_mnt_unref_quietly(struct vr_mount *mount)
{
    struct vr_mount *orphans = NULL;
    while (mount) {
        if (!drop_one_of_many(mount))
            drop_last(mount, &orphans);
        mount = orphans;
        if (mount)
            orphans = mount->next;
    }
}

void vr_mnt_unref(struct vr_mount *mount)
{
    if (!mount)
        return;
    vr_mnt_used(mount);
    vr_mnt_unref_quietly(mount);
}

/* -- Finding ------------------------------------------------------------------------------------------------------- */

/* All mounts on a dentry are in one bucket. */
static vr_bucket *bucket_of(vrift_vfs *vfs, const struct vr_dentry *point)
{
    uint64_t hash = ((uint64_t)(uintptr_t)point >> 6) * 0x9e3779b97f4a7c15ULL;
    return &vfs->dcache.mounts[hash >> 32 & (VR_MOUNT_BUCKETS - 1)];
}

/* parent NULL: whatever is mounted on point. */
static struct vr_mount *find(vrift_vfs *vfs, const struct vr_mount *parent, const struct vr_dentry *point, uint64_t seq)
{
    vr_bucket *at = bucket_of(vfs, point);
    uint32_t steps = 0;
    for (struct vr_link *link; (link = atomic_load_explicit(at, memory_order_acquire)); at = &link->next) {
        struct vr_mount *mount = (struct vr_mount *)(void *)link;
        if ((++steps & 15) == 0 && atomic_load_explicit(&vfs->dcache.seq, memory_order_relaxed) != seq)
            return NULL;
        if (atomic_load_explicit(&mount->point, memory_order_acquire) == point &&
            (!parent || atomic_load_explicit(&mount->parent, memory_order_acquire) == parent))
            return mount;
    }
    return NULL;
}

struct vr_mount *vr_mnt_find_at(vrift_vfs *vfs, const struct vr_mount *parent, const struct vr_dentry *point,
                                uint64_t seq)
{
    return find(vfs, parent, point, seq);
}

struct vr_mount *vr_mnt_find(vrift_vfs *vfs, const struct vr_mount *parent, const struct vr_dentry *point)
{
    return find(vfs, parent, point, atomic_load_explicit(&vfs->dcache.seq, memory_order_relaxed));
}

struct vr_mount *vr_mnt_on(vrift_vfs *vfs, const struct vr_dentry *point)
{
    return find(vfs, NULL, point, atomic_load_explicit(&vfs->dcache.seq, memory_order_relaxed));
}

struct vr_mount *vr_mnt_in(vrift_vfs *vfs, const struct vr_dentry *top)
{
    for (uint32_t i = 0; i < VR_MOUNT_BUCKETS; i++) {
        struct vr_link *link = atomic_load_explicit(&vfs->dcache.mounts[i], memory_order_relaxed);
        for (; link; link = atomic_load_explicit(&link->next, memory_order_relaxed)) {
            struct vr_mount *mount = (struct vr_mount *)(void *)link;
            if (vr_dcache_below(mount->point, top))
                return mount;
        }
    }
    return NULL;
}

void vr_mnt_topmost(vrift_vfs *vfs, struct vr_path *path)
{
    for (struct vr_mount *above; (above = vr_mnt_find(vfs, path->mount, path->dentry));)
        *path = (struct vr_path){above, above->root};
}

bool vr_mnt_any_in(const struct vr_path *dir)
{
    for (const struct vr_mount *mount = dir->mount->first_child; mount; mount = mount->after)
        if (mount->point->parent == dir->dentry && mount->point != dir->dentry)
            return true;
    return false;
}

struct vr_mount *vr_mnt_next(const struct vr_mount *mount, const struct vr_mount *top)
{
    if (mount->first_child)
        return mount->first_child;
    for (; mount != top; mount = mount->parent)
        if (mount->after)
            return mount->after;
    return NULL;
}

bool vr_mnt_is_below(const struct vr_mount *mount, const struct vr_mount *top)
{
    while (mount && mount != top)
        mount = mount->parent;
    return mount;
}

/* -- Linking ------------------------------------------------------------------------------------------------------- */

void vr_mnt_attach(struct vr_mount *mount, struct vr_mount *parent, struct vr_dentry *point)
{
    assert(!mount->parent && !mount->point);
    vr_dcache_ref(point);
    point->flags |= VR_DENTRY_MOUNTED;
    vr_dcache_sb(point)->points++;
    mount->parent = parent;
    mount->point = point;
    mount->before = parent->last_child;
    mount->after = NULL;
    *(mount->before ? &mount->before->after : &parent->first_child) = mount;
    parent->last_child = mount;
    vr_bucket *bucket = bucket_of(mount->sb->vfs, point);
    atomic_store_explicit(&mount->link.next, atomic_load_explicit(bucket, memory_order_relaxed), memory_order_release);
    atomic_store_explicit(bucket, &mount->link, memory_order_release);
}

void vr_mnt_detach(struct vr_mount *mount, struct vr_reap *reap)
{
    struct vr_mount *parent = mount->parent;
    struct vr_dentry *point = mount->point;
    vr_bucket *at = bucket_of(mount->sb->vfs, point);
    struct vr_link *link;
    while ((link = atomic_load_explicit(at, memory_order_relaxed)) != &mount->link)
        at = &link->next;
    atomic_store_explicit(at, atomic_load_explicit(&link->next, memory_order_relaxed), memory_order_release);
    *(mount->before ? &mount->before->after : &parent->first_child) = mount->after;
    *(mount->after ? &mount->after->before : &parent->last_child) = mount->before;
    mount->before = mount->after = NULL;
    mount->parent = NULL;
    mount->point = NULL;
    vr_dcache_sb(point)->points--;
    if (!vr_mnt_on(mount->sb->vfs, point))
        point->flags &= (uint16_t)~VR_DENTRY_MOUNTED;
    vr_dcache_unref_locked(point, reap);
}

void vr_mnt_enter(struct vr_mount *mount, vrift_ns *ns)
{
    assert(!mount->ns);
    mount->ns = ns;
    ns->count++;
}

void vr_mnt_leave(struct vr_mount *mount)
{
    if (!mount->ns)
        return;
    mount->ns->count--;
    mount->ns = NULL;
}

/* -- Paths and writers --------------------------------------------------------------------------------------------- */

void vr_path_ref(const struct vr_path *path)
{
    vr_mnt_ref(path->mount);
    vr_dcache_ref(path->dentry);
}

void vr_path_unref(struct vr_path *path)
{
    vr_dcache_unref(path->dentry);
    vr_mnt_unref(path->mount);
    path->dentry = NULL;
    path->mount = NULL;
}

bool vr_mnt_is_read_only(const struct vr_mount *mount)
{
    return atomic_load(&mount->flags) & VRIFT_MOUNT_RDONLY || mount->sb->read_only;
}

/*
 * A writer counts itself before it looks at the flag, a remount sets the flag before it looks at the count: one of
 * the two sees the other.
 */
int32_t vr_mnt_want_write(struct vr_mount *mount)
{
    atomic_fetch_add(&mount->writers, 1);
    if (!vr_mnt_is_read_only(mount))
        return 0;
    atomic_fetch_sub(&mount->writers, 1);
    return -VRIFT_EROFS;
}

void vr_mnt_drop_write(struct vr_mount *mount)
{
    atomic_fetch_sub(&mount->writers, 1);
}
