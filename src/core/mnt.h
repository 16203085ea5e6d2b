/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Mounts: a superblock's tree, or a part of it, at a place in a namespace. "r" and "w" as in dcache.h. */
#ifndef VR_MNT_H
#define VR_MNT_H

#include "core/object.h"

struct vr_reap;

#define VR_MOUNT_FLAGS                                                                                                 \
    (VRIFT_MOUNT_RDONLY | VRIFT_MOUNT_NOSUID | VRIFT_MOUNT_NODEV | VRIFT_MOUNT_NOEXEC | VRIFT_MOUNT_NOSYMFOLLOW)

/* A mount that is nowhere yet, with one reference. Takes references of its own on sb and root. */
int32_t vr_mnt_new(vrift_sb *sb, struct vr_dentry *root, uint64_t flags, struct vr_mount **out);

static inline void vr_mnt_ref(struct vr_mount *mount)
{
    atomic_fetch_add_explicit(&mount->refs, 1, memory_order_relaxed);
}

/* With the last reference root and superblock are let go; call without locks. NULL is fine. */
void vr_mnt_unref(struct vr_mount *mount);

/* r: what is mounted there, or NULL. */
struct vr_mount *vr_mnt_find(vrift_vfs *vfs, const struct vr_mount *parent, const struct vr_dentry *point);

/* r: is anything mounted on a name directly in a directory, as seen through its mount? */
bool vr_mnt_any_in(const struct vr_path *dir);

/* w: puts a mount into a namespace; at == NULL: as its root. The namespace takes over the caller's reference. */
void vr_mnt_attach(struct vr_mount *mount, vrift_ns *ns, const struct vr_path *at);

/*
 * w: takes a mount without children out of its namespace. The namespace's reference, and what was held of its
 * place, are the caller's to drop (in `place`, which may be empty).
 */
void vr_mnt_detach(struct vr_mount *mount, struct vr_path *place);

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
    return atomic_load_explicit(&mount->flags, memory_order_relaxed) & flag;
}

#endif
