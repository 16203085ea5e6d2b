/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/mnt.h"

#include "core/alloc.h"
#include "core/dcache.h"

#include <assert.h>

int32_t vr_mnt_new(vrift_sb *sb, struct vr_dentry *root, uint64_t flags, struct vr_mount **out)
{
    struct vr_mount *mount = vr_alloc_zero(sb->vfs->allocator, 1, sizeof *mount);
    if (!mount)
        return -VRIFT_ENOMEM;
    atomic_init(&mount->refs, 1);
    atomic_init(&mount->flags, (uint32_t)flags);
    mount->sb = vrift_sb_ref(sb);
    vr_dcache_ref(root);
    mount->root = root;
    mount->id = atomic_fetch_add(&sb->vfs->next_mount, 1) + 1;
    *out = mount;
    return 0;
}

void vr_mnt_unref(struct vr_mount *mount)
{
    if (!mount || atomic_fetch_sub_explicit(&mount->refs, 1, memory_order_acq_rel) != 1)
        return;
    assert(!mount->ns && !mount->children);
    vrift_sb *sb = mount->sb;
    vr_dcache_unref(mount->root);
    vr_alloc_free(sb->vfs->allocator, mount);
    vrift_sb_unref(sb);
}

static struct vr_mount **bucket_of(vrift_vfs *vfs, const struct vr_mount *parent, const struct vr_dentry *point)
{
    uint64_t hash = ((uint64_t)(uintptr_t)parent ^ (uint64_t)(uintptr_t)point * 3) * 0x9e3779b97f4a7c15ULL;
    return &vfs->dcache.mounts[hash >> 32 & (VR_MOUNT_BUCKETS - 1)];
}

struct vr_mount *vr_mnt_find(vrift_vfs *vfs, const struct vr_mount *parent, const struct vr_dentry *point)
{
    struct vr_mount *mount = *bucket_of(vfs, parent, point);
    while (mount && (mount->parent != parent || mount->point != point))
        mount = mount->hash_next;
    return mount;
}

bool vr_mnt_any_in(const struct vr_path *dir)
{
    if (!dir->mount->children)
        return false;
    if (!dir->mount->ns)
        return true; /* taken out of its tree with what was on it: who knows */
    for (const struct vr_mount *mount = dir->mount->ns->mounts; mount; mount = mount->ns_next)
        if (mount->parent == dir->mount && mount->point->parent == dir->dentry && mount->point != dir->dentry)
            return true;
    return false;
}

void vr_mnt_attach(struct vr_mount *mount, vrift_ns *ns, const struct vr_path *at)
{
    mount->ns = ns;
    mount->ns_next = ns->mounts;
    ns->mounts = mount;
    if (!at)
        return;
    vr_path_ref(at);
    mount->parent = at->mount;
    mount->point = at->dentry;
    at->mount->children++;
    at->dentry->mounted++;
    struct vr_mount **bucket = bucket_of(mount->sb->vfs, mount->parent, mount->point);
    mount->hash_next = *bucket;
    *bucket = mount;
}

void vr_mnt_detach(struct vr_mount *mount, struct vr_path *place)
{
    assert(mount->ns);
    struct vr_mount **at = &mount->ns->mounts;
    while (*at != mount)
        at = &(*at)->ns_next;
    *at = mount->ns_next;
    mount->ns = NULL;
    place->mount = mount->parent;
    place->dentry = mount->point;
    if (!mount->parent)
        return;
    at = bucket_of(mount->sb->vfs, mount->parent, mount->point);
    while (*at != mount)
        at = &(*at)->hash_next;
    *at = mount->hash_next;
    mount->parent->children--;
    mount->point->mounted--;
    mount->parent = NULL;
    mount->point = NULL;
}

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
