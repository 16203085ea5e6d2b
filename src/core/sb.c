/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/sb.h"

#include "core/alloc.h"
#include "core/copyin.h"
#include "core/dcache.h"
#include "core/dispatch.h"
#include "core/inode.h"
#include "core/mnt.h"
#include "core/notify.h"
#include "core/watch.h"

#include <string.h>

#define FIRST_TABLE 6u /* log2 */

void vr_sb_inode_lock(vrift_sb *sb)
{
    vr_lockrank_take(VR_RANK_LEAF);
    vr_os_mutex_lock(&sb->inode_lock);
}

void vr_sb_inode_unlock(vrift_sb *sb)
{
    vr_os_mutex_unlock(&sb->inode_lock);
    vr_lockrank_give(VR_RANK_LEAF);
}

void vr_sb_rename_lock(vrift_sb *sb)
{
    vr_lockrank_take(vr_lockrank_key(sb->depth, VR_RANK_RENAME));
    vr_os_mutex_lock(&sb->rename_mutex);
}

void vr_sb_rename_unlock(vrift_sb *sb)
{
    vr_os_mutex_unlock(&sb->rename_mutex);
    vr_lockrank_give(vr_lockrank_key(sb->depth, VR_RANK_RENAME));
}

static void free_memory(vrift_sb *sb)
{
    vrift_vfs *vfs = sb->vfs;
    vr_notify_free(sb);
    vr_os_mutex_destroy(&sb->rename_mutex);
    vr_os_mutex_destroy(&sb->inode_lock);
    vr_table_dispose(&sb->inodes, vfs->allocator);
    vr_alloc_free(vfs->allocator, sb->source);
    vr_alloc_free(vfs->allocator, sb);
    vr_vfs_unref(vfs);
}

void vr_sb_let_go(vrift_sb *sb)
{
    if (atomic_fetch_sub_explicit(&sb->holds, 1, memory_order_acq_rel) != 1)
        return;
    vr_dispatch_destroy(sb);
    free_memory(sb);
}

/* The table with a NULL for each slot that an older backend does not know. */
static int32_t copy_ops(const struct vrift_backend_ops *ops, struct vrift_backend_ops *out)
{
    int32_t error = vr_copyin(out, sizeof *out, offsetof(struct vrift_backend_ops, root) + sizeof ops->root, ops);
    if (error)
        return error;
    return ops && out->root && out->walk && out->getattr && out->readdir ? 0 : -VRIFT_EINVAL;
}

/* How long we may keep an answer. */
static uint64_t own_age(const struct vrift_consistency *aspect)
{
    uint64_t age = aspect->flags & VRIFT_CONSISTENCY_SPENT ? 0 : aspect->max_age_ns;
    return age < UINT64_MAX / 4 ? age : UINT64_MAX / 4;
}

/* Where names in several spellings mean one entry: what happens to it by one name is not known of the others. */
static bool folds_names(vrift_sb *sb)
{
    struct vrift_capability answer;
    return sb->ops.capability && !vr_dispatch_capability(sb, VRIFT_CAPABILITY_CASE_SENSITIVE, &answer) &&
           answer.effective == VRIFT_SUPPORT_NONE;
}

static int32_t ask_consistency(vrift_sb *sb)
{
    for (uint32_t aspect = 0; aspect < VRIFT_ASPECT_COUNT; aspect++) {
        int32_t error = vr_dispatch_consistency(sb, aspect, &sb->consistency[aspect]);
        if (error)
            return error;
        uint32_t model = sb->consistency[aspect].model;
        if (model < VRIFT_CONSISTENCY_IMMUTABLE || model > VRIFT_CONSISTENCY_EVENTUAL ||
            sb->consistency[aspect].flags & ~VRIFT_CONSISTENCY_SPENT)
            return -VRIFT_EINVAL;
    }
    const struct vrift_consistency *names = &sb->consistency[VRIFT_ASPECT_NAMES];
    const struct vrift_consistency *attrs = &sb->consistency[VRIFT_ASPECT_ATTRIBUTES];
    sb->names_stable = names->model <= VRIFT_CONSISTENCY_EXCLUSIVE_WRITETHROUGH && !folds_names(sb);
    sb->attrs_stable = attrs->model <= VRIFT_CONSISTENCY_EXCLUSIVE_WRITETHROUGH;
    sb->names_age = own_age(names);
    sb->attrs_age = own_age(attrs);
    sb->negatives = sb->names_stable || sb->names_age;
    sb->completes =
        sb->names_stable && sb->consistency[VRIFT_ASPECT_LISTINGS].model <= VRIFT_CONSISTENCY_EXCLUSIVE_WRITETHROUGH;
    return 0;
}

static int32_t make_root(vrift_sb *sb)
{
    static const struct vr_component slash = {"/", 1, 0, {'/', 0}};
    struct vrift_entry entry;
    struct vr_inode *inode = vr_inode_new(sb);
    struct vr_dentry *root = vr_dcache_new(sb, &slash);
    int32_t error = inode && root ? vr_dispatch_root(sb, &entry) : -VRIFT_ENOMEM;
    if (!error && (entry.attr.mask & VRIFT_STAT_BASIC) != VRIFT_STAT_BASIC) {
        struct vrift_stat attr;
        error = vr_dispatch_getattr_root(sb, &entry.node, &attr);
        if (error)
            vr_dispatch_forget(sb, &entry.node);
        else
            entry.attr = attr;
    }
    if (!error) {
        inode = vr_inode_install(inode, &entry, vr_inode_now(sb));
        root->inode = inode;
        root->flags = VR_DENTRY_ROOT;
        sb->root = root;
        return 0;
    }
    vr_inode_discard(inode);
    vr_dcache_discard(sb->vfs, root);
    return error;
}

static int32_t init_memory(vrift_vfs *vfs, vrift_sb *sb)
{
    int32_t error = vr_table_init(&sb->inodes, FIRST_TABLE, &vfs->dcache.bytes, vfs->allocator);
    if (error)
        return error;
    error = vr_os_mutex_init(&sb->inode_lock);
    if (!error) {
        error = vr_os_mutex_init(&sb->rename_mutex);
        if (error)
            vr_os_mutex_destroy(&sb->inode_lock);
    }
    if (error)
        vr_table_dispose(&sb->inodes, vfs->allocator);
    return error;
}

/* Without a slot that writes, or because the backend says so, as an overlay without an upper does. */
static bool is_read_only(vrift_sb *sb)
{
    const struct vrift_backend_ops *ops = &sb->ops;
    struct vrift_capability create;
    if (!ops->create && !ops->link && !ops->unlink && !ops->rename && !ops->setattr && !ops->pwrite)
        return true;
    return !vr_dispatch_capability(sb, VRIFT_CAPABILITY_CREATE, &create) && create.effective == VRIFT_SUPPORT_NONE &&
           create.error == -VRIFT_EROFS;
}

static bool keeps_acls(vrift_sb *sb)
{
    struct vrift_capability acls;
    return !vr_dispatch_capability(sb, VRIFT_CAPABILITY_ACLS, &acls) && acls.effective != VRIFT_SUPPORT_NONE;
}

int32_t vrift_sb_new(vrift_vfs *vfs, const struct vrift_backend_ops *ops, void *self, vrift_sb **out)
{
    struct vrift_backend_ops own;
    if (!vfs || !ops || !out)
        return -VRIFT_EINVAL;
    int32_t error = copy_ops(ops, &own);
    if (error)
        return error;
    vrift_sb *sb = vr_alloc_zero(vfs->allocator, 1, sizeof *sb);
    if (!sb)
        return -VRIFT_ENOMEM;
    sb->ops = own;
    sb->self = self;
    error = init_memory(vfs, sb);
    if (error) {
        vr_alloc_free(vfs->allocator, sb);
        return error;
    }
    sb->vfs = vr_vfs_ref(vfs);
    sb->number = atomic_fetch_add(&vfs->next_sb, 1) + 1;
    sb->depth = vr_dispatch_depth(sb);
    sb->read_only = is_read_only(sb);
    sb->acls = keeps_acls(sb);
    atomic_init(&sb->refs, 1);
    atomic_init(&sb->holds, 1);
    error = sb->depth > VR_LOCKRANK_MAX_DEPTH ? -VRIFT_ELOOP : ask_consistency(sb);
    if (!error)
        error = vr_notify_start(sb);
    if (!error)
        error = make_root(sb);
    if (error) {
        vr_notify_stop(sb);
        free_memory(sb);
        return error;
    }
    *out = sb;
    return 0;
}

vrift_sb *vrift_sb_ref(vrift_sb *sb)
{
    if (sb)
        atomic_fetch_add_explicit(&sb->refs, 1, memory_order_relaxed);
    return sb;
}

void vrift_sb_unref(vrift_sb *sb)
{
    if (!sb || atomic_fetch_sub_explicit(&sb->refs, 1, memory_order_acq_rel) != 1)
        return;
    vr_watch_unmount(sb);
    vr_notify_stop(sb);
    vr_dcache_shrink_sb(sb);
    vr_sb_let_go(sb);
}

int32_t vrift_sb_capability(vrift_sb *sb, uint32_t capability, struct vrift_capability *out)
{
    if (!sb || !out || capability < 1 || capability >= VRIFT_CAPABILITY_COUNT)
        return -VRIFT_EINVAL;
    struct vrift_capability answer;
    int32_t error = vr_dispatch_capability(sb, capability, &answer);
    if (error)
        return error;
    if (capability == VRIFT_CAPABILITY_LOCKS) {
        /* The core's own, whatever is below; see lock.h. */
        answer.effective = VRIFT_SUPPORT_EMULATED;
        answer.error = 0;
    }
    *out = answer;
    return 0;
}

int32_t vrift_sb_consistency(vrift_sb *sb, uint32_t aspect, struct vrift_consistency *out)
{
    if (!sb || !out || aspect >= VRIFT_ASPECT_COUNT)
        return -VRIFT_EINVAL;
    *out = sb->consistency[aspect];
    return 0;
}

int32_t vrift_sb_set_source(vrift_sb *sb, const char *source)
{
    if (!sb)
        return -VRIFT_EINVAL;
    char *copy = source ? vr_alloc_string(sb->vfs->allocator, source, strlen(source)) : NULL;
    if (source && !copy)
        return -VRIFT_ENOMEM;
    vr_mnt_tree_lock(sb->vfs);
    char *before = sb->source;
    sb->source = copy;
    vr_mnt_tree_unlock(sb->vfs);
    vr_alloc_free(sb->vfs->allocator, before);
    return 0;
}

uint32_t vrift_sb_depth(vrift_sb *sb)
{
    return sb ? sb->depth : 0;
}
