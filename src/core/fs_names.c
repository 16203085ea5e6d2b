/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls that make and remove names: mkdirat, mknodat, symlinkat, linkat, unlinkat. */
#include "core/dcache.h"
#include "core/dispatch.h"
#include "core/inode.h"
#include "core/lookup.h"
#include "core/mnttree.h"
#include "core/newname.h"
#include "core/perm.h"
#include "core/sb.h"
#include "core/walk.h"
#include "core/watch.h"

#include <vrift/fs.h>
#include <vrift/task.h>

#include <string.h>

/* A name about to be made: its directory is locked, and it does not exist. */
struct place {
    struct vr_walk walk;
    struct vr_dentry *dir;
    bool locked, writing;
    struct vr_reap reap;
};

static void end_place(struct place *place)
{
    if (place->locked)
        vr_inode_unlock(place->dir->inode, VR_RANK_DIR);
    if (place->writing)
        vr_mnt_drop_write(place->walk.path.mount);
    if (place->dir) {
        vrift_sb *sb = vr_dcache_sb(place->dir);
        vr_dcache_reap(sb->vfs, &place->reap);
        vr_dcache_balance(sb->vfs, sb->depth);
    }
    vr_walk_end(&place->walk);
}

/* Walks to where a name is to be made and locks its directory. In the order in which Linux finds fault. */
static int32_t begin_place(struct place *place, vrift_task *task, int32_t dirfd, const char *path, bool is_dir)
{
    struct vr_walk *walk = &place->walk;
    place->dir = NULL;
    place->locked = place->writing = false;
    place->reap = (struct vr_reap)VR_REAP_INIT;
    int32_t error = vr_walk_begin(walk, task, dirfd, path, VR_WALK_PARENT, 0);
    if (!error)
        error = vr_walk_run(walk);
    if (error)
        return error;
    if (walk->last_type != VR_LAST_NAME)
        return -VRIFT_EEXIST;
    place->dir = walk->path.dentry;
    int32_t read_only = vr_mnt_want_write(walk->path.mount);
    place->writing = !read_only;
    vr_inode_lock(place->dir->inode, VR_RANK_DIR);
    place->locked = true;
    struct vr_dentry *there;
    error = vr_lookup_locked(place->dir, &walk->last, &place->reap, &there);
    if (error)
        return error;
    if (there) {
        vr_dcache_read_begin(task->vfs);
        vr_dcache_unref_locked(there, &place->reap);
        vr_dcache_read_end(task->vfs);
        return -VRIFT_EEXIST;
    }
    return walk->last_slash && !is_dir ? -VRIFT_ENOENT : read_only;
}

/* Drops what was made: the caller wanted the name only. */
static void drop_made(struct place *place, struct vr_dentry *made)
{
    vr_inode_unlock(place->dir->inode, VR_RANK_DIR);
    place->locked = false;
    vr_dcache_unref(made);
}

static int32_t make_once(vrift_task *task, int32_t dirfd, const char *path, const struct vrift_create *wanted,
                         uint64_t capability)
{
    struct vrift_create how = *wanted;
    struct place place;
    struct vr_dentry *made;
    bool is_dir = (how.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR;
    int32_t error = begin_place(&place, task, dirfd, path, is_dir);
    if (!error)
        error = vr_perm_change_dir(place.walk.cred, place.dir->inode);
    if (!error && capability && !vr_perm_capable(place.walk.cred, capability))
        error = -VRIFT_EPERM;
    if (!error) {
        struct vr_acl_birth birth;
        error = vr_perm_inherit(place.walk.cred, place.dir->inode, atomic_load(&task->place->umask), &how, &birth);
        if (!error)
            error = vr_newname_create(place.dir, &place.walk.last, &how, &place.reap, &made);
        vr_acl_birth_end(&birth);
    }
    if (!error)
        drop_made(&place, made);
    end_place(&place);
    return error;
}

static int32_t make(vrift_task *task, int32_t dirfd, const char *path, const struct vrift_create *how,
                    uint64_t capability)
{
    int32_t result;
    VR_WALK_RETRY(result, make_once(task, dirfd, path, how, capability));
    return result;
}

int32_t vrift_mkdirat(vrift_task *task, int32_t dirfd, const char *path, uint32_t mode)
{
    struct vrift_create how = {.mode = VRIFT_S_IFDIR | (mode & (0777 | VRIFT_S_ISVTX))};
    return task && path ? make(task, dirfd, path, &how, 0) : -VRIFT_EINVAL;
}

int32_t vrift_symlinkat(vrift_task *task, const char *target, int32_t dirfd, const char *path)
{
    struct vrift_create how = {.mode = VRIFT_S_IFLNK | 0777, .target = target};
    if (!task || !target || !path)
        return -VRIFT_EINVAL;
    if (!*target)
        return -VRIFT_ENOENT;
    if (!memchr(target, '\0', VRIFT_PATH_MAX))
        return -VRIFT_ENAMETOOLONG;
    return make(task, dirfd, path, &how, 0);
}

int32_t vrift_mknodat(vrift_task *task, int32_t dirfd, const char *path, uint32_t mode, uint64_t rdev)
{
    struct vrift_create how = {.mode = mode & (VRIFT_S_IFMT | 07777)};
    uint64_t capability = 0;
    if (!task || !path)
        return -VRIFT_EINVAL;
    switch (mode & VRIFT_S_IFMT) {
    case 0:
        how.mode |= VRIFT_S_IFREG;
        break;
    case VRIFT_S_IFREG:
    case VRIFT_S_IFIFO:
    case VRIFT_S_IFSOCK:
        break;
    case VRIFT_S_IFCHR:
    case VRIFT_S_IFBLK:
        how.rdev = rdev;
        /* A whiteout is anybody's. */
        if ((mode & VRIFT_S_IFMT) != VRIFT_S_IFCHR || rdev)
            capability = VRIFT_CAP_MKNOD;
        break;
    case VRIFT_S_IFDIR:
        return -VRIFT_EPERM;
    default:
        return -VRIFT_EINVAL;
    }
    return make(task, dirfd, path, &how, capability);
}

/* -- link ---------------------------------------------------------------------------------------------------------- */

/* The inode is locked: only an unnamed file may come back from no links at all. */
static int32_t may_gain_name(struct vr_inode *inode)
{
    struct vrift_stat st;
    if (vr_inode_tmpfile(inode) & VRIFT_CREATE_UNLINKABLE)
        return -VRIFT_ENOENT;
    int32_t error = vr_inode_getattr(inode, vr_inode_now(inode->sb), &st);
    if (error)
        return error;
    return st.nlink || vr_inode_tmpfile(inode) ? 0 : -VRIFT_ENOENT;
}

static int32_t give_name(struct place *place, struct vr_inode *inode, struct vr_dentry **made)
{
    vrift_sb *sb = inode->sb;
    struct vr_lookup_name given;
    struct vrift_stat st;
    int32_t error = may_gain_name(inode);
    if (error)
        return error;
    struct vr_dentry *fresh = vr_dcache_new(sb, &place->walk.last);
    if (!fresh)
        return -VRIFT_ENOMEM;
    vr_lookup_name(&given, &place->walk.last);
    vr_sb_change_begin(sb);
    uint64_t token = vr_inode_attr_token(inode);
    error = vr_dispatch_link(inode, place->dir->inode, &given.name, &st);
    if (!error) {
        struct vr_inode_extra *extra = vr_inode_extra_of(inode);
        if (extra)
            atomic_store(&extra->tmpfile, 0);
        vr_inode_attr_update(inode, token, &st);
        vr_inode_ref(inode);
        fresh->inode = inode;
    }
    vr_dcache_read_begin(sb->vfs);
    if (!error)
        *made = vr_dcache_add(place->dir, fresh, vr_inode_now(sb), &place->reap);
    else
        vr_dcache_doubt(place->dir, &place->walk.last, &place->reap);
    vr_dcache_read_end(sb->vfs);
    vr_sb_change_end(sb);
    if (error)
        vr_dcache_discard(sb->vfs, fresh);
    else
        vr_inode_attr_forget(place->dir->inode);
    if (!error)
        vr_watch_linked(place->dir->inode, &place->walk.last, inode);
    return error;
}

static int32_t link_to(vrift_task *task, const struct vr_path *old, int32_t dirfd, const char *path)
{
    struct place place;
    struct vr_inode *inode = old->dentry->inode;
    struct vr_dentry *made;
    int32_t error = begin_place(&place, task, dirfd, path, false);
    if (!error && old->mount != place.walk.path.mount)
        error = -VRIFT_EXDEV;
    if (!error)
        error = vr_perm_link(place.walk.cred, inode);
    if (!error)
        error = vr_perm_change_dir(place.walk.cred, place.dir->inode);
    if (!error && (vr_is_dir(inode) || vr_perm_is(inode, VR_MODE_IMMUTABLE | VR_MODE_APPEND)))
        error = -VRIFT_EPERM;
    if (!error) {
        vr_inode_lock(inode, VR_RANK_CHILD);
        error = give_name(&place, inode, &made);
        vr_inode_unlock(inode, VR_RANK_CHILD);
    }
    if (!error)
        drop_made(&place, made);
    end_place(&place);
    return error;
}

/*
 * Who was handed a descriptor may not give its file a name, unless he could have opened it himself. With AT_EMPTY_PATH
 * Linux asks that whether the path is empty or not.
 */
static bool may_start_from(vrift_task *task, const vrift_file *file)
{
    vrift_cred *cred = vr_walk_cred(task);
    bool may = file->cred == cred || vr_perm_capable(cred, VRIFT_CAP_DAC_READ_SEARCH);
    vrift_cred_unref(cred);
    return may;
}

static int32_t linkat_once(vrift_task *task, int32_t old_dirfd, const char *old_path, int32_t new_dirfd,
                           const char *new_path, uint64_t flags)
{
    if (!task || !old_path || !new_path || flags & ~(VRIFT_AT_SYMLINK_FOLLOW | VRIFT_AT_EMPTY_PATH))
        return -VRIFT_EINVAL;
    struct vr_walk walk;
    uint32_t how = flags & VRIFT_AT_SYMLINK_FOLLOW ? VR_WALK_FOLLOW : 0;
    if (flags & VRIFT_AT_EMPTY_PATH)
        how |= VR_WALK_EMPTY;
    int32_t error = vr_walk_begin(&walk, task, old_dirfd, old_path, how, 0);
    if (!error && flags & VRIFT_AT_EMPTY_PATH && walk.dir_file && !may_start_from(task, walk.dir_file))
        error = -VRIFT_ENOENT;
    if (!error)
        error = vr_walk_run(&walk);
    if (!error)
        error = link_to(task, &walk.path, new_dirfd, new_path);
    vr_walk_end(&walk);
    return error;
}

int32_t vrift_linkat(vrift_task *task, int32_t old_dirfd, const char *old_path, int32_t new_dirfd, const char *new_path,
                     uint64_t flags)
{
    int32_t result;
    VR_WALK_RETRY(result, linkat_once(task, old_dirfd, old_path, new_dirfd, new_path, flags));
    return result;
}

/* -- unlink -------------------------------------------------------------------------------------------------------- */

/* Directory and victim are locked. */
static int32_t remove_name(struct vr_dentry *dir, struct vr_dentry *victim, const struct vr_component *name,
                           uint64_t flags, struct vr_reap *reap)
{
    vrift_sb *sb = vr_dcache_sb(dir);
    struct vr_inode *inode = victim->inode;
    struct vr_lookup_name given;
    bool in_use = false;
    vr_lookup_name(&given, name);
    vr_sb_change_begin(sb);
    int32_t error = vr_dispatch_unlink(dir->inode, &given.name, inode, flags);
    /* Before the name goes: who finds it gone must not be told of a link too many. */
    if (!error) {
        vr_inode_attr_forget(dir->inode);
        vr_inode_attr_forget(inode);
    }
    vr_dcache_write_begin(sb->vfs);
    if (!error) {
        if (flags & VRIFT_AT_REMOVEDIR) {
            atomic_store(&inode->unlinked, 1);
            vr_dcache_prune(victim, reap);
        }
        in_use = atomic_load_explicit(&victim->refs, memory_order_acquire) > 1;
        vr_inode_ref(inode); /* it may leave the dentry before the caller is done with it */
        vr_dcache_drop_double(dir, name, victim, reap);
        vr_dcache_removed(victim, reap);
    } else {
        vr_dcache_doubt(dir, name, reap);
    }
    vr_dcache_write_end(sb->vfs);
    vr_sb_change_end(sb);
    if (!error)
        vr_watch_removed(dir->inode, name, inode, in_use);
    return error;
}

static int32_t unlink_last(struct place *place, uint64_t flags, struct vr_dentry *victim)
{
    struct vr_walk *walk = &place->walk;
    struct vr_inode *inode = victim->inode;
    bool want_dir = flags & VRIFT_AT_REMOVEDIR;
    if (!want_dir && walk->last_slash)
        return vr_is_dir(inode) ? -VRIFT_EISDIR : -VRIFT_ENOTDIR;
    int32_t error = vr_perm_remove(walk->cred, place->dir->inode, inode, want_dir);
    if (error)
        return error;
    vr_inode_lock(inode, VR_RANK_CHILD);
    /* What other namespaces have mounted on it goes with it. */
    if (vr_mnttree_is_local_point(walk->task, victim))
        error = -VRIFT_EBUSY;
    else
        error = remove_name(place->dir, victim, &walk->last, flags, &place->reap);
    vr_inode_unlock(inode, VR_RANK_CHILD);
    if (!error) {
        vr_inode_unlock(place->dir->inode, VR_RANK_DIR);
        place->locked = false;
        vr_inode_unref(inode);
    }
    return error;
}

static int32_t check_last(enum vr_last type, uint64_t flags)
{
    if (type == VR_LAST_NAME)
        return 0;
    if (!(flags & VRIFT_AT_REMOVEDIR))
        return -VRIFT_EISDIR;
    return type == VR_LAST_DOT ? -VRIFT_EINVAL : type == VR_LAST_DOTDOT ? -VRIFT_ENOTEMPTY : -VRIFT_EBUSY;
}

static int32_t unlinkat_once(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags)
{
    if (!task || !path || flags & ~VRIFT_AT_REMOVEDIR)
        return -VRIFT_EINVAL;
    struct place place = {.dir = NULL};
    struct vr_walk *walk = &place.walk;
    struct vr_dentry *victim = NULL;
    int32_t error = vr_walk_begin(walk, task, dirfd, path, VR_WALK_PARENT, 0);
    if (!error)
        error = vr_walk_run(walk);
    if (!error)
        error = check_last(walk->last_type, flags);
    if (!error) {
        error = vr_mnt_want_write(walk->path.mount);
        place.writing = !error;
    }
    if (!error) {
        place.dir = walk->path.dentry;
        vr_inode_lock(place.dir->inode, VR_RANK_DIR);
        place.locked = true;
        error = vr_lookup_locked(place.dir, &walk->last, &place.reap, &victim);
        if (!error)
            error = victim ? unlink_last(&place, flags, victim) : -VRIFT_ENOENT;
    }
    if (place.locked) {
        vr_inode_unlock(place.dir->inode, VR_RANK_DIR);
        place.locked = false;
    }
    if (!error)
        vr_mnttree_abandon(victim);
    vr_dcache_unref(victim);
    end_place(&place);
    return error;
}

int32_t vrift_unlinkat(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags)
{
    int32_t result;
    VR_WALK_RETRY(result, unlinkat_once(task, dirfd, path, flags));
    return result;
}
