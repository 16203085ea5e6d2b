/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Forgetting on demand, for embedders who know of changes that no consistency provides for.
 *
 * Names that nothing uses are dropped, negative ones too; those in use are kept, and looked up anew when a walk comes to
 * them. An answer that is on its way meanwhile is not kept (sb->invalidated). No directory concerned is taken to be complete any more.
 */
#include "core/dcache.h"
#include "core/dcachehot.h"
#include "core/inode.h"
#include "core/mnt.h"
#include "core/walk.h"
#include "core/watch.h"

#include <vrift/fs.h>

#define WHAT    (VRIFT_INVALIDATE_NAMES | VRIFT_INVALIDATE_ATTRIBUTES | VRIFT_INVALIDATE_DATA)
#define SECTION 4096u /* slots looked at before the lock is given back */

/* What is to be forgotten. */
struct scope {
    vrift_sb *sb;
    const struct vr_dentry *dir; /* held; only what is in it, or below; NULL: everything */
    uint64_t flags;
};

/* In a write section, all of these. */

static bool concerns(const struct scope *scope, const struct vr_dentry *dentry)
{
    if (vr_dcache_sb(dentry) != scope->sb)
        return false;
    if (!scope->dir || dentry->parent == scope->dir)
        return true;
    return scope->flags & VRIFT_INVALIDATE_BELOW && vr_dcache_below(dentry, scope->dir);
}

static void forget_inode(struct vr_inode *inode, uint64_t flags)
{
    if (flags & VRIFT_INVALIDATE_NAMES)
        atomic_store_explicit(&inode->stale, 1, memory_order_release);
    if (flags & VRIFT_INVALIDATE_ATTRIBUTES) {
        vr_inode_attr_forget(inode);
        vr_inode_doubt_rights(inode);
    }
}

static void forget_dentry(struct vr_dentry *dentry, uint64_t flags, struct vr_reap *reap)
{
    struct vr_inode *inode = dentry->inode;
    if (flags & VRIFT_INVALIDATE_NAMES) {
        dentry->flags &= (uint16_t)~VR_DENTRY_COMPLETE;
        dentry->parent->flags &= (uint16_t)~VR_DENTRY_COMPLETE;
    }
    if (inode)
        forget_inode(inode, flags);
    bool idle = atomic_load_explicit(&dentry->refs, memory_order_acquire) == 0;
    /* Of several names each is to be looked up anew, not the first that a walk comes to: so the mark does not suffice. */
    bool alias = inode && !vr_is_dir(inode) && !vr_dcache_mounted(dentry) &&
                 atomic_load_explicit(&inode->nlink, memory_order_relaxed) != 1;
    if (flags & VRIFT_INVALIDATE_NAMES && (idle || !inode || alias))
        vr_dcache_drop(dentry, false, reap);
}

/* Looks through all names there are: this is for once in a while. */
static void forget_names(const struct scope *scope)
{
    vrift_vfs *vfs = scope->sb->vfs;
    for (int kind = 0; kind < 2; kind++) {
        struct vr_pool *pool = &vfs->dcache.dentries[kind];
        struct vr_cursor hand = {NULL, 0};
        uint64_t left = atomic_load_explicit(&pool->slots, memory_order_acquire);
        while (left) {
            struct vr_reap reap = VR_REAP_INIT;
            uint64_t steps = left < SECTION ? left : SECTION;
            left -= steps;
            vr_dcache_write_begin(vfs);
            while (steps--) {
                struct vr_dentry *dentry = vr_pool_turn(pool, &hand);
                if (!(atomic_load_explicit(&dentry->refs, memory_order_acquire) & VR_DENTRY_DEAD) &&
                    dentry->flags & VR_DENTRY_HASHED && concerns(scope, dentry))
                    forget_dentry(dentry, scope->flags, &reap);
            }
            vr_dcache_write_end(vfs);
            vr_dcache_reap(vfs, &reap);
        }
    }
}

/* -- Telling ------------------------------------------------------------------------------------------------------- */

static void tell(const struct scope *scope, struct vr_inode *inode)
{
    struct vr_watch_note note = {.sb = scope->sb, .inode = inode, .self = true, .flags = VRIFT_WATCH_BEHIND};
    if (!vr_watch_any(scope->sb->vfs))
        return;
    if (!inode || scope->flags & VRIFT_INVALIDATE_BELOW) {
        vr_watch_lost(scope->sb);
        return;
    }
    if (scope->flags & VRIFT_INVALIDATE_ATTRIBUTES)
        note.mask |= VRIFT_IN_ATTRIB;
    if (scope->flags & VRIFT_INVALIDATE_DATA || (scope->flags & VRIFT_INVALIDATE_NAMES && vr_is_dir(inode)))
        note.mask |= VRIFT_IN_MODIFY;
    if (vr_is_dir(inode))
        note.mask |= VRIFT_IN_ISDIR;
    if (note.mask & VRIFT_IN_ALL_EVENTS)
        vr_watch_tell(&note);
}

/* A name that may come to be. */
static void tell_name(struct vr_inode *dir, const struct vr_component *name)
{
    struct vr_watch_note note = {.sb = dir->sb,
                                 .dir = dir,
                                 .name = name->name,
                                 .length = name->length,
                                 .mask = VRIFT_IN_ATTRIB,
                                 .flags = VRIFT_WATCH_BEHIND};
    if (vr_watch_any(dir->sb->vfs))
        vr_watch_tell(&note);
}

/* -- The calls ----------------------------------------------------------------------------------------------------- */

static void forget_path(const struct vr_path *path, uint64_t flags)
{
    struct vr_dentry *dentry = path->dentry;
    struct vr_inode *inode = dentry->inode;
    struct scope scope = {inode->sb, dentry, flags};
    atomic_fetch_add(&inode->sb->invalidated, 1);
    vr_dcache_write_begin(inode->sb->vfs);
    if (flags & VRIFT_INVALIDATE_NAMES)
        dentry->flags &= (uint16_t)~VR_DENTRY_COMPLETE;
    forget_inode(inode, flags);
    vr_dcache_write_end(inode->sb->vfs);
    if (vr_is_dir(inode) && flags & (VRIFT_INVALIDATE_NAMES | VRIFT_INVALIDATE_BELOW))
        forget_names(&scope);
    tell(&scope, inode);
}

/* A name that does not exist, as far as is known. */
static int32_t forget_missing(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags)
{
    struct vr_walk walk;
    int32_t error = vr_walk_begin(&walk, task, dirfd, path, VR_WALK_PARENT, 0);
    if (!error)
        error = vr_walk_run(&walk);
    if (!error && walk.last_type != VR_LAST_NAME)
        error = -VRIFT_ENOENT;
    if (!error && flags & VRIFT_INVALIDATE_NAMES && walk.last.length <= VRIFT_NAME_MAX) {
        struct vr_reap reap = VR_REAP_INIT;
        atomic_fetch_add(&walk.path.dentry->inode->sb->invalidated, 1);
        vr_dcache_write_begin(task->vfs);
        vr_dcache_doubt(walk.path.dentry, &walk.last, &reap);
        vr_dcache_write_end(task->vfs);
        vr_dcache_reap(task->vfs, &reap);
        tell_name(walk.path.dentry->inode, &walk.last);
    }
    vr_walk_end(&walk);
    return error;
}

int32_t vrift_invalidate(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags)
{
    struct vr_path at;
    int32_t error;
    if (!task || !path || flags & ~(WHAT | VRIFT_INVALIDATE_BELOW | VRIFT_AT_EMPTY_PATH) || !(flags & WHAT))
        return -VRIFT_EINVAL;
    error = vr_walk_path(task, dirfd, path, flags & VRIFT_AT_EMPTY_PATH ? VR_WALK_EMPTY : 0, &at);
    if (error == -VRIFT_ENOENT && *path)
        return forget_missing(task, dirfd, path, flags);
    if (error)
        return error;
    forget_path(&at, flags);
    vr_path_unref(&at);
    return 0;
}

int32_t vrift_sb_invalidate(vrift_sb *sb, uint64_t flags)
{
    if (!sb || flags & ~WHAT || !(flags & WHAT))
        return -VRIFT_EINVAL;
    struct scope scope = {sb, NULL, flags};
    atomic_fetch_add(&sb->invalidated, 1);
    vr_dcache_write_begin(sb->vfs);
    if (flags & VRIFT_INVALIDATE_NAMES)
        sb->root->flags &= (uint16_t)~VR_DENTRY_COMPLETE;
    forget_inode(sb->root->inode, flags & ~VRIFT_INVALIDATE_NAMES);
    vr_dcache_write_end(sb->vfs);
    forget_names(&scope);
    tell(&scope, NULL);
    return 0;
}

int32_t vrift_sb_drop_caches(vrift_sb *sb)
{
    if (!sb)
        return -VRIFT_EINVAL;
    vr_dcache_drop_sb(sb);
    return 0;
}
