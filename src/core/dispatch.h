/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The only caller of a backend's slots. Each function is one slot: it counts, asks the fault injector, asserts what
 * the core promises the backend, answers for a slot that is absent, and calls.
 */
#ifndef VR_DISPATCH_H
#define VR_DISPATCH_H

#include "core/object.h"

int32_t vr_dispatch_root(vrift_sb *sb, struct vrift_entry *out);
void vr_dispatch_destroy(vrift_sb *sb);
int32_t vr_dispatch_capability(vrift_sb *sb, uint32_t capability, struct vrift_capability *out);
int32_t vr_dispatch_consistency(vrift_sb *sb, uint32_t aspect, struct vrift_consistency *out);
uint32_t vr_dispatch_depth(vrift_sb *sb);
/* -VRIFT_EOPNOTSUPP without the slot. */
int32_t vr_dispatch_watch(vrift_sb *sb, vrift_notice_fn receive, void *payload);
void vr_dispatch_drain(vrift_sb *sb);
int32_t vr_dispatch_sync(vrift_sb *sb);
int32_t vr_dispatch_statfs(vrift_sb *sb, struct vrift_statfs *out);
int32_t vr_dispatch_walk(vrift_sb *sb, const struct vrift_node *dir, const struct vrift_name *names, uint32_t count,
                         struct vrift_entry *entries, uint32_t *done);
void vr_dispatch_forget(vrift_sb *sb, const struct vrift_node *node);
/* Of a root whose inode is not made yet. */
int32_t vr_dispatch_getattr_root(vrift_sb *sb, const struct vrift_node *node, struct vrift_stat *out);
int32_t vr_dispatch_getattr(struct vr_inode *inode, uint64_t mask, struct vrift_stat *out);
int32_t vr_dispatch_setattr(struct vr_inode *inode, void *file, const struct vrift_setattr *set,
                            struct vrift_stat *out);
int64_t vr_dispatch_readlink(struct vr_inode *inode, char *buf, size_t len);
int32_t vr_dispatch_touch(struct vr_inode *inode, struct vrift_stat *out);
int32_t vr_dispatch_follow(struct vr_inode *inode, vrift_file **out);
int32_t vr_dispatch_readdir(struct vr_inode *dir, uint64_t cookie, uint64_t mask, vrift_emit_fn emit, void *payload,
                            uint32_t *end);
int32_t vr_dispatch_create(struct vr_inode *dir, const struct vrift_name *name, const struct vrift_create *how,
                           struct vrift_entry *out);
int32_t vr_dispatch_link(struct vr_inode *inode, struct vr_inode *dir, const struct vrift_name *name,
                         struct vrift_stat *out);
int32_t vr_dispatch_unlink(struct vr_inode *dir, const struct vrift_name *name, struct vr_inode *inode, uint64_t flags);
int32_t vr_dispatch_rename(struct vr_inode *old_dir, const struct vrift_name *old_name, struct vr_inode *inode,
                           struct vr_inode *new_dir, const struct vrift_name *new_name, struct vr_inode *victim,
                           uint64_t flags);
int32_t vr_dispatch_open(struct vr_inode *inode, uint64_t flags, void **file);
int32_t vr_dispatch_release(struct vr_inode *inode, void *file);
int64_t vr_dispatch_pread(struct vr_inode *inode, void *file, void *buf, size_t len, uint64_t offset);
int64_t vr_dispatch_pwrite(struct vr_inode *inode, void *file, const void *buf, size_t len, uint64_t offset,
                           uint64_t flags, uint64_t *end);
int32_t vr_dispatch_fsync(struct vr_inode *inode, void *file);
int64_t vr_dispatch_seek(struct vr_inode *inode, void *file, uint64_t offset, int32_t whence);
int64_t vr_dispatch_getxattr(struct vr_inode *inode, const char *name, void *buf, size_t len);
int32_t vr_dispatch_setxattr(struct vr_inode *inode, const char *name, const void *value, size_t len, uint64_t flags);
int64_t vr_dispatch_listxattr(struct vr_inode *inode, char *buf, size_t len);
int32_t vr_dispatch_removexattr(struct vr_inode *inode, const char *name);
/* -VRIFT_EOPNOTSUPP without the slot: look up anew. */
int32_t vr_dispatch_revalidate(struct vr_inode *dir, const struct vrift_name *name, struct vr_inode *inode,
                               struct vrift_stat *out);
int32_t vr_dispatch_fallocate(struct vr_inode *inode, void *file, uint64_t mode, uint64_t offset, uint64_t length);
/* -VRIFT_EOPNOTSUPP without the slot: copy through a buffer. */
int64_t vr_dispatch_copy_range(struct vr_inode *from, void *from_file, uint64_t from_offset, struct vr_inode *to,
                               void *to_file, uint64_t to_offset, uint64_t length, uint64_t flags);
int32_t vr_dispatch_map(struct vr_inode *inode, void *file, const struct vrift_map_range *range,
                        struct vrift_map_place *out);
int32_t vr_dispatch_map_sync(struct vr_inode *inode, const struct vrift_map_place *mapping, uint64_t offset,
                             uint64_t length, uint64_t flags);
void vr_dispatch_unmap(struct vr_inode *inode, const struct vrift_map_place *mapping);

#endif
