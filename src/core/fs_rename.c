/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* renameat2, after do_renameat2() and vfs_rename() of Linux. */
#include "core/acl.h"
#include "core/dcache.h"
#include "core/dcachehot.h"
#include "core/dispatch.h"
#include "core/inode.h"
#include "core/lookup.h"
#include "core/mnttree.h"
#include "core/perm.h"
#include "core/sb.h"
#include "core/walk.h"
#include "core/watch.h"

#include <vrift/fs.h>

#define RENAME_FLAGS (VRIFT_RENAME_NOREPLACE | VRIFT_RENAME_EXCHANGE | VRIFT_RENAME_WHITEOUT)

/* One rename as it goes. */
struct renaming {
    vrift_sb *sb;
    uint64_t flags;
    struct vr_walk *from, *to;
    const vrift_cred *cred;
    struct vr_dentry *old_dir, *new_dir; /* locked */
    struct vr_inode *first, *second;     /* the locked inodes; second may be NULL */
    bool across;                         /* the superblock's rename mutex is held */
    struct vr_dentry *old, *target;      /* held; target is NULL if the new name does not exist */
    struct vr_longname *name;            /* memory for the new name, then of the old one */
    uint32_t name_length;
    struct vr_reap reap;
};

/* -- Locks --------------------------------------------------------------------------------------------------------- */

/* Two directories: the ancestor first, else by address; the rename mutex keeps that from changing meanwhile. */
static void lock_directories(struct renaming *r)
{
    struct vr_inode *a = r->old_dir->inode, *b = r->new_dir->inode;
    r->across = r->old_dir != r->new_dir;
    if (r->across)
        vr_sb_rename_lock(r->sb);
    if (a != b) {
        vr_dcache_read_begin(r->sb->vfs);
        bool swap = vr_dcache_below(r->old_dir, r->new_dir) ||
                    (!vr_dcache_below(r->new_dir, r->old_dir) && (uintptr_t)b < (uintptr_t)a);
        vr_dcache_read_end(r->sb->vfs);
        r->first = swap ? b : a;
        r->second = swap ? a : b;
    } else {
        r->first = a;
        r->second = NULL;
    }
    vr_inode_lock(r->first, VR_RANK_DIR);
    if (r->second)
        vr_inode_lock(r->second, VR_RANK_DIR2);
}

static void unlock_directories(struct renaming *r)
{
    if (r->second)
        vr_inode_unlock(r->second, VR_RANK_DIR2);
    if (r->first)
        vr_inode_unlock(r->first, VR_RANK_DIR);
    if (r->across)
        vr_sb_rename_unlock(r->sb);
}

/* -- Checks -------------------------------------------------------------------------------------------------------- */

static int32_t find_both(struct renaming *r)
{
    int32_t error = vr_lookup_locked(r->old_dir, &r->from->last, &r->reap, &r->old);
    if (!error && !r->old)
        error = -VRIFT_ENOENT;
    if (!error)
        error = vr_lookup_locked(r->new_dir, &r->to->last, &r->reap, &r->target);
    if (error)
        return error;
    bool old_is_dir = vr_is_dir(r->old->inode);
    if (r->flags & VRIFT_RENAME_NOREPLACE && r->target)
        return -VRIFT_EEXIST;
    if (r->flags & VRIFT_RENAME_EXCHANGE) {
        if (!r->target)
            return -VRIFT_ENOENT;
        if (!vr_is_dir(r->target->inode) && r->to->last_slash)
            return -VRIFT_ENOTDIR;
    }
    if (!old_is_dir && (r->from->last_slash || (!(r->flags & VRIFT_RENAME_EXCHANGE) && r->to->last_slash)))
        return -VRIFT_ENOTDIR;
    vr_dcache_read_begin(r->sb->vfs);
    bool into_itself = vr_dcache_below(r->new_dir, r->old);
    bool onto_ancestor = r->target && vr_dcache_below(r->old_dir, r->target);
    vr_dcache_read_end(r->sb->vfs);
    if (into_itself)
        return -VRIFT_EINVAL;
    if (onto_ancestor)
        return r->flags & VRIFT_RENAME_EXCHANGE ? -VRIFT_EINVAL : -VRIFT_ENOTEMPTY;
    return 0;
}

static int32_t check_permissions(const struct renaming *r)
{
    struct vr_inode *inode = r->old->inode;
    bool is_dir = vr_is_dir(inode);
    bool exchange = r->flags & VRIFT_RENAME_EXCHANGE;
    int32_t error = vr_perm_remove(r->cred, r->old_dir->inode, inode, is_dir);
    if (error)
        return error;
    if (!r->target)
        error = vr_perm_change_dir(r->cred, r->new_dir->inode);
    else
        error = vr_perm_remove(r->cred, r->new_dir->inode, r->target->inode,
                               exchange ? vr_is_dir(r->target->inode) : is_dir);
    /* A directory that gets another parent is written to: its `..` changes. */
    if (!error && r->across && is_dir)
        error = vr_perm_check(r->cred, inode, VR_MAY_WRITE);
    if (!error && r->across && exchange && vr_is_dir(r->target->inode))
        error = vr_perm_check(r->cred, r->target->inode, VR_MAY_WRITE);
    return error;
}

/* -- Doing it ------------------------------------------------------------------------------------------------------ */

/* w: the dentry cache follows what the backend did. */
static void move_dentries(struct renaming *r)
{
    vr_dcache_drop_double(r->old_dir, &r->from->last, r->old, &r->reap);
    if (r->flags & VRIFT_RENAME_EXCHANGE) {
        vr_dcache_drop_double(r->new_dir, &r->to->last, r->target, &r->reap);
        vr_dcache_swap(r->old, r->target, &r->reap);
        return;
    }
    if (r->target && vr_is_dir(r->target->inode)) {
        atomic_store(&r->target->inode->unlinked, 1);
        vr_dcache_prune(r->target, &r->reap);
    }
    vr_dcache_drop_double(r->new_dir, &r->to->last, r->old, &r->reap);
    vr_dcache_move(r->old, r->new_dir, &r->to->last, &r->name, &r->name_length, &r->reap);
    if (r->flags & VRIFT_RENAME_WHITEOUT)
        r->old_dir->flags &= (uint16_t)~VR_DENTRY_COMPLETE;
}

static void tell_watchers(const struct renaming *r, struct vr_inode *target)
{
    bool exchange = r->flags & VRIFT_RENAME_EXCHANGE;
    struct vr_inode *from = r->old_dir->inode, *to = r->new_dir->inode;
    vr_watch_moved(from, &r->from->last, r->old->inode, to, &r->to->last, exchange ? NULL : target);
    if (exchange)
        vr_watch_moved(to, &r->to->last, target, from, &r->from->last, NULL);
}

/* Before the names change places: who finds them so must not be told of a link too many. */
static void forget_attributes(struct renaming *r, struct vr_inode *victim)
{
    vr_inode_attr_forget(r->old_dir->inode);
    vr_inode_attr_forget(r->new_dir->inode);
    vr_inode_attr_forget(r->old->inode);
    if (victim)
        vr_inode_attr_forget(victim);
}

static int32_t call_backend(struct renaming *r)
{
    struct vr_lookup_name old_name, new_name;
    struct vr_inode *victim = r->target ? r->target->inode : NULL;
    vr_lookup_name(&old_name, &r->from->last);
    vr_lookup_name(&new_name, &r->to->last);
    vr_sb_change_begin(r->sb);
    int32_t error = vr_dispatch_rename(r->old_dir->inode, &old_name.name, r->old->inode, r->new_dir->inode,
                                       &new_name.name, victim, r->flags);
    if (!error)
        forget_attributes(r, victim);
    vr_dcache_write_begin(r->sb->vfs);
    if (!error) {
        move_dentries(r);
    } else {
        vr_dcache_doubt(r->old_dir, &r->from->last, &r->reap);
        vr_dcache_doubt(r->new_dir, &r->to->last, &r->reap);
    }
    vr_dcache_write_end(r->sb->vfs);
    vr_sb_change_end(r->sb);
    if (!error)
        tell_watchers(r, victim);
    return error;
}

/* Owner, group and ACL of a new whiteout, as of any node that is made there; its permissions are none. */
static void adopt(const struct renaming *r, struct vr_inode *whiteout)
{
    struct vrift_create how = {.mode = VRIFT_S_IFCHR};
    struct vr_acl_birth birth;
    if (vr_perm_inherit(r->cred, r->old_dir->inode, 0, &how, &birth))
        return;
    struct vrift_setattr set = {
        .size = sizeof set, .mask = VRIFT_SET_UID | VRIFT_SET_GID, .uid = how.uid, .gid = how.gid};
    if (atomic_load_explicit(&whiteout->uid, memory_order_relaxed) != set.uid ||
        atomic_load_explicit(&whiteout->gid, memory_order_relaxed) != set.gid)
        vr_inode_setattr(whiteout, NULL, &set);
    if (how.acl && !vr_dispatch_setxattr(whiteout, VR_ACL_ACCESS, how.acl, how.acl_size, 0)) {
        vr_inode_attr_forget(whiteout);
        vr_inode_gained(whiteout, VR_MODE_ACL);
    }
    vr_acl_birth_end(&birth);
}

/* A whiteout belongs to who renamed. The rename is done, so what goes wrong here is not its error. */
static void give_whiteout(struct renaming *r)
{
    struct vr_dentry *whiteout = NULL;
    if (vr_lookup_locked(r->old_dir, &r->from->last, &r->reap, &whiteout) || !whiteout)
        return;
    vr_inode_lock(whiteout->inode, VR_RANK_CHILD);
    adopt(r, whiteout->inode);
    vr_inode_unlock(whiteout->inode, VR_RANK_CHILD);
    vr_dcache_write_begin(r->sb->vfs);
    vr_dcache_unref_locked(whiteout, &r->reap);
    vr_dcache_write_end(r->sb->vfs);
}

/* With the directories locked. */
static int32_t rename_locked(struct renaming *r)
{
    int32_t error = find_both(r);
    if (error)
        return error;
    if (r->target && r->target->inode == r->old->inode)
        return 0;
    error = check_permissions(r);
    if (!error) {
        r->name_length = r->to->last.length;
        error = vr_dcache_longname(r->sb->vfs, &r->to->last, &r->name);
    }
    if (error)
        return error;
    struct vr_inode *victim = r->target ? r->target->inode : NULL;
    if (victim)
        vr_inode_lock(victim, VR_RANK_CHILD);
    const vrift_task *task = r->from->task;
    bool busy = vr_mnttree_is_local_point(task, r->old) || (r->target && vr_mnttree_is_local_point(task, r->target));
    error = busy ? -VRIFT_EBUSY : call_backend(r);
    if (victim)
        vr_inode_unlock(victim, VR_RANK_CHILD);
    if (!error && r->flags & VRIFT_RENAME_WHITEOUT)
        give_whiteout(r);
    return error;
}

static int32_t rename_between(struct vr_walk *from, struct vr_walk *to, uint64_t flags)
{
    if (from->path.mount != to->path.mount)
        return -VRIFT_EXDEV;
    if (from->last_type != VR_LAST_NAME)
        return -VRIFT_EBUSY;
    if (to->last_type != VR_LAST_NAME)
        return flags & VRIFT_RENAME_NOREPLACE ? -VRIFT_EEXIST : -VRIFT_EBUSY;
    int32_t error = vr_mnt_want_write(from->path.mount);
    if (error)
        return error;
    struct renaming r = {.sb = from->path.mount->sb,
                         .flags = flags,
                         .from = from,
                         .to = to,
                         .cred = from->cred,
                         .old_dir = from->path.dentry,
                         .new_dir = to->path.dentry};
    lock_directories(&r);
    error = rename_locked(&r);
    unlock_directories(&r);
    vr_dcache_reap(r.sb->vfs, &r.reap);
    if (!error && r.target && r.target->inode != r.old->inode && !(flags & VRIFT_RENAME_EXCHANGE))
        vr_mnttree_abandon(r.target);
    vr_dcache_unref(r.old);
    vr_dcache_unref(r.target);
    vr_dcache_longname_free(r.sb->vfs, r.name, r.name_length);
    vr_mnt_drop_write(from->path.mount);
    return error;
}

static int32_t renameat2_once(vrift_task *task, int32_t old_dirfd, const char *old_path, int32_t new_dirfd,
                              const char *new_path, uint64_t flags)
{
    if (!task || !old_path || !new_path || flags & ~RENAME_FLAGS)
        return -VRIFT_EINVAL;
    if (flags & VRIFT_RENAME_EXCHANGE && flags & (VRIFT_RENAME_NOREPLACE | VRIFT_RENAME_WHITEOUT))
        return -VRIFT_EINVAL;
    struct vr_walk from, to;
    int32_t error = vr_walk_begin(&from, task, old_dirfd, old_path, VR_WALK_PARENT, 0);
    if (!error)
        error = vr_walk_run(&from);
    if (!error) {
        error = vr_walk_begin(&to, task, new_dirfd, new_path, VR_WALK_PARENT, 0);
        if (!error)
            error = vr_walk_run(&to);
        if (!error)
            error = rename_between(&from, &to, flags);
        vr_walk_end(&to);
    }
    vr_walk_end(&from);
    return error;
}

int32_t vrift_renameat2(vrift_task *task, int32_t old_dirfd, const char *old_path, int32_t new_dirfd,
                        const char *new_path, uint64_t flags)
{
    int32_t result;
    VR_WALK_RETRY(result, renameat2_once(task, old_dirfd, old_path, new_dirfd, new_path, flags));
    return result;
}
