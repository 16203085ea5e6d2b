/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Mounts: a superblock's tree, or a part of it, at a place in a namespace. "r" and "w" as in dcache.h; "t": the tree
 * mutex is held. How mounts are linked changes under "t" and "w" together, so that either suffices to look.
 */
#ifndef VR_MNT_H
#define VR_MNT_H

#include "core/object.h"

#include <vrift/mount.h>

struct vr_reap;

/* The flags that a mount can have, after vr_mnt_flags(). */
#define VR_MOUNT_FLAGS                                                                                                 \
    (VRIFT_MOUNT_RDONLY | VRIFT_MOUNT_NOSUID | VRIFT_MOUNT_NODEV | VRIFT_MOUNT_NOEXEC | VRIFT_MOUNT_NOSYMFOLLOW |      \
     VRIFT_MOUNT_ATIME | VRIFT_MOUNT_NODIRATIME)

/* As Linux: reading stamps are relative unless something else is asked for; strict ones are no flag at all. */
static inline uint64_t vr_mnt_flags(uint64_t asked)
{
    if (asked & VRIFT_MOUNT_STRICTATIME)
        return asked & ~VRIFT_MOUNT_ATIME;
    return asked & VRIFT_MOUNT_NOATIME ? asked & ~VRIFT_MOUNT_RELATIME : asked | VRIFT_MOUNT_RELATIME;
}

/* What flags become when others are raised: a way to keep access times replaces the one before. */
static inline uint64_t vr_mnt_flags_with(uint64_t now, uint64_t set)
{
    if (set & VRIFT_MOUNT_ATIME)
        return (now & ~VRIFT_MOUNT_ATIME) | vr_mnt_flags(set);
    return now | set;
}

/* A mount that is nowhere yet, with one reference. Takes references of its own on sb and root. */
int32_t vr_mnt_new(vrift_sb *sb, struct vr_dentry *root, uint64_t flags, struct vr_mount **out);

/* The same in two steps, so that nothing is allocated within a change: memory, and what makes a mount of it. */
struct vr_mount *vr_mnt_blank(vrift_vfs *vfs);
void vr_mnt_discard(vrift_vfs *vfs, struct vr_mount *blank);
void vr_mnt_fill(struct vr_mount *blank, vrift_sb *sb, struct vr_dentry *root, uint64_t flags);

static inline void vr_mnt_ref(struct vr_mount *mount)
{
    atomic_fetch_add_explicit(&mount->refs, 1, memory_order_relaxed);
}

/* With the last reference root and superblock are let go; call without locks. NULL is fine. */
void vr_mnt_unref(struct vr_mount *mount);

/* The same for who only looked whether the mount may expire. */
void vr_mnt_unref_quietly(struct vr_mount *mount);

/* Somebody used the mount: it does not expire. */
static inline void vr_mnt_used(struct vr_mount *mount)
{
    if (atomic_load_explicit(&mount->expiring, memory_order_relaxed))
        atomic_store_explicit(&mount->expiring, 0, memory_order_relaxed);
}

void vr_mnt_tree_lock(vrift_vfs *vfs);
void vr_mnt_tree_unlock(vrift_vfs *vfs);

/* r: what is mounted there, or NULL. */
struct vr_mount *vr_mnt_find(vrift_vfs *vfs, const struct vr_mount *parent, const struct vr_dentry *point);

/* Likewise without the lock, as vr_dcache_find_at(). */
struct vr_mount *vr_mnt_find_at(vrift_vfs *vfs, const struct vr_mount *parent, const struct vr_dentry *point,
                                uint64_t seq);

/* r: any mount on a dentry, in whatever namespace or none; NULL if there is none. */
struct vr_mount *vr_mnt_on(vrift_vfs *vfs, const struct vr_dentry *point);

/* w: likewise, on a dentry or anything below it. Looks at all mounts. */
struct vr_mount *vr_mnt_in(vrift_vfs *vfs, const struct vr_dentry *top);

/* r: over all that is mounted on a place, to the root of the topmost mount. */
void vr_mnt_topmost(vrift_vfs *vfs, struct vr_path *path);

/* r: what is mounted on the root of a mount, or NULL. */
static inline struct vr_mount *vr_mnt_over(vrift_vfs *vfs, const struct vr_mount *mount)
{
    return vr_mnt_find(vfs, mount, mount->root);
}

/* r: is anything mounted on a name directly in a directory, as seen through its mount? */
bool vr_mnt_any_in(const struct vr_path *dir);

/* t or r: the next mount of a tree, parents first and children in the order of their coming; NULL: no more. */
struct vr_mount *vr_mnt_next(const struct vr_mount *mount, const struct vr_mount *top);

/* t or r: is mount the same as top, or below it? */
bool vr_mnt_is_below(const struct vr_mount *mount, const struct vr_mount *top);

/* t and w: hangs a mount below another; it holds the place's dentry. */
void vr_mnt_attach(struct vr_mount *mount, struct vr_mount *parent, struct vr_dentry *point);

/* t and w: undoes that. */
void vr_mnt_detach(struct vr_mount *mount, struct vr_reap *reap);

/* t and w: into a namespace, which takes over the caller's reference; and out of it, if it is in one. */
void vr_mnt_enter(struct vr_mount *mount, vrift_ns *ns);
void vr_mnt_leave(struct vr_mount *mount);

/* r: a path with a reference on both. */
void vr_path_ref(const struct vr_path *path);
/* Drops both, the dentry first, and clears the path; empty is fine. */
void vr_path_unref(struct vr_path *path);

/* Announces a writer, and ends it. -VRIFT_EROFS on a read-only mount or superblock. */
int32_t vr_mnt_want_write(struct vr_mount *mount);
void vr_mnt_drop_write(struct vr_mount *mount);

/* By its flags or by its backend. */
bool vr_mnt_is_read_only(const struct vr_mount *mount);

static inline bool vr_mnt_is(const struct vr_mount *mount, uint64_t flag)
{
    return atomic_load_explicit(&mount->flags, memory_order_acquire) & flag;
}

#endif
