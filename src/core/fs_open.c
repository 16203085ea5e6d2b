/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* openat and openat2, after do_filp_open() of Linux. */
#include "core/attr.h"
#include "core/copyin.h"
#include "core/dcache.h"
#include "core/description.h"
#include "core/dispatch.h"
#include "core/fdtable.h"
#include "core/fifo.h"
#include "core/inode.h"
#include "core/lookup.h"
#include "core/mnt.h"
#include "core/newname.h"
#include "core/perm.h"
#include "core/walk.h"
#include "core/watch.h"

#include <vrift/file.h>
#include <vrift/fs.h>
#include <vrift/task.h>

#define TMPFILE_BIT (VRIFT_O_TMPFILE & ~VRIFT_O_DIRECTORY)
#define PATH_FLAGS  (VRIFT_O_DIRECTORY | VRIFT_O_NOFOLLOW | VRIFT_O_PATH | VRIFT_O_CLOEXEC)
/* What an open description does not remember. */
#define NOT_KEPT (VRIFT_O_CREAT | VRIFT_O_EXCL | VRIFT_O_TRUNC | VRIFT_O_NOCTTY | VRIFT_O_CLOEXEC)
#define OPEN_FLAGS                                                                                                     \
    (VRIFT_O_ACCMODE | VRIFT_O_CREAT | VRIFT_O_EXCL | VRIFT_O_NOCTTY | VRIFT_O_TRUNC | VRIFT_O_APPEND |                \
     VRIFT_O_NONBLOCK | VRIFT_O_DSYNC | VRIFT_O_NOATIME | VRIFT_O_SYNC | VRIFT_O_TMPFILE | PATH_FLAGS)
#define RESOLVE_FLAGS                                                                                                  \
    (VRIFT_RESOLVE_NO_XDEV | VRIFT_RESOLVE_NO_MAGICLINKS | VRIFT_RESOLVE_NO_SYMLINKS | VRIFT_RESOLVE_BENEATH |         \
     VRIFT_RESOLVE_IN_ROOT | VRIFT_RESOLVE_CACHED)

/* One open as it goes. */
struct opening {
    vrift_task *task;
    vrift_file *file;
    uint64_t flags;
    uint32_t mode;
    uint32_t may; /* VR_MAY_... that the flags ask for */
    bool created;
    uint32_t truncated;         /* what watchers are told of a truncation */
    uint32_t dir_mode, dir_uid; /* with O_CREAT: of the directory that held the last name */
    struct vr_walk walk;
};

/* -- The flags ----------------------------------------------------------------------------------------------------- */

static int32_t check_how(const struct vrift_open_how *how)
{
    uint64_t flags = how->flags;
    if (flags & ~OPEN_FLAGS || how->resolve & ~RESOLVE_FLAGS)
        return -VRIFT_EINVAL;
    if (how->resolve & VRIFT_RESOLVE_BENEATH && how->resolve & VRIFT_RESOLVE_IN_ROOT)
        return -VRIFT_EINVAL;
    if (how->mode & ~07777u || (how->mode && !(flags & (VRIFT_O_CREAT | TMPFILE_BIT))))
        return -VRIFT_EINVAL;
    if (flags & VRIFT_O_CREAT && flags & VRIFT_O_DIRECTORY)
        return -VRIFT_EINVAL;
    if (flags & TMPFILE_BIT && (!(flags & VRIFT_O_DIRECTORY) || !(flags & VRIFT_O_ACCMODE)))
        return -VRIFT_EINVAL;
    if (flags & VRIFT_O_PATH && flags & ~PATH_FLAGS)
        return -VRIFT_EINVAL;
    if (how->resolve & VRIFT_RESOLVE_CACHED && flags & (VRIFT_O_CREAT | VRIFT_O_TRUNC | TMPFILE_BIT))
        return -VRIFT_EAGAIN;
    return 0;
}

static uint32_t may_of(uint64_t flags)
{
    static const uint32_t of_mode[4] = {VR_MAY_READ, VR_MAY_WRITE, VR_MAY_READ | VR_MAY_WRITE,
                                        VR_MAY_READ | VR_MAY_WRITE};
    if (flags & VRIFT_O_PATH)
        return 0;
    return of_mode[flags & VRIFT_O_ACCMODE] | (flags & VRIFT_O_TRUNC ? VR_MAY_WRITE : 0);
}

static uint32_t walk_flags_of(uint64_t flags)
{
    uint32_t walk = 0;
    if (!(flags & VRIFT_O_NOFOLLOW) && !(flags & VRIFT_O_CREAT && flags & VRIFT_O_EXCL))
        walk |= VR_WALK_FOLLOW;
    if (flags & VRIFT_O_DIRECTORY)
        walk |= VR_WALK_DIRECTORY;
    if (flags & VRIFT_O_CREAT)
        walk |= VR_WALK_PARENT | VR_WALK_ORDINARY;
    return walk;
}

/* -- Opening what exists ------------------------------------------------------------------------------------------- */

static int32_t may_open(struct opening *opening, const struct vr_path *path)
{
    struct vr_inode *inode = path->dentry->inode;
    uint32_t may = opening->created ? 0 : opening->may;
    switch (atomic_load_explicit(&inode->mode, memory_order_relaxed) & VRIFT_S_IFMT) {
    case VRIFT_S_IFLNK:
        return -VRIFT_ELOOP;
    case VRIFT_S_IFDIR:
        if (may & VR_MAY_WRITE)
            return -VRIFT_EISDIR;
        break;
    case VRIFT_S_IFBLK:
    case VRIFT_S_IFCHR:
        if (vr_mnt_is(path->mount, VRIFT_MOUNT_NODEV))
            return -VRIFT_EACCES;
        break;
    default:
        break;
    }
    int32_t error = vr_perm_check(opening->walk.cred, inode, may);
    uint64_t flags = opening->created ? opening->flags & ~VRIFT_O_TRUNC : opening->flags;
    return error ? error : vr_perm_open_flags(opening->walk.cred, inode, flags);
}

/* Truncates through the backend's open or, without one, its setattr; clears setuid as any truncate does. */
static int32_t open_truncating(struct opening *opening, struct vr_inode *inode, uint64_t flags)
{
    vrift_file *file = opening->file;
    vr_inode_lock(inode, VR_RANK_CHILD);
    struct vrift_setattr set = {.size = sizeof set};
    uint32_t killed = vr_perm_killed_by_write(opening->walk.cred, inode);
    if (killed) {
        set.mask = VRIFT_SET_MODE;
        set.mode = atomic_load_explicit(&inode->mode, memory_order_relaxed) & 07777 & ~killed;
    }
    if (!inode->sb->ops.open)
        set.mask |= VRIFT_SET_SIZE;
    int32_t error = vr_attr_drop_capabilities(inode);
    if (!error && set.mask)
        error = vr_inode_setattr(inode, NULL, &set);
    if (!error)
        error = vr_dispatch_open(inode, flags | VRIFT_O_TRUNC, &file->handle);
    if (!error)
        vr_inode_attr_forget(inode);
    vr_inode_unlock(inode, VR_RANK_CHILD);
    set.mask |= VRIFT_SET_SIZE;
    opening->truncated = vr_watch_of_setattr(&set);
    return error;
}

static int32_t open_file(struct opening *opening, struct vr_inode *inode, bool truncate)
{
    uint64_t flags = opening->flags & (VRIFT_O_ACCMODE | VRIFT_O_APPEND | VRIFT_O_SYNC | VRIFT_O_DSYNC);
    int32_t error =
        truncate ? open_truncating(opening, inode, flags) : vr_dispatch_open(inode, flags, &opening->file->handle);
    if (!error)
        opening->file->opened = 1;
    return error;
}

/* A fifo that is written to changes no file system: neither the mount nor the superblock is asked. */
static int32_t open_fifo(struct opening *opening)
{
    vrift_file *file = opening->file;
    uint64_t mode = opening->flags & VRIFT_O_ACCMODE;
    file->writable = mode == VRIFT_O_WRONLY || mode == VRIFT_O_RDWR;
    int32_t error = vr_fifo_open(opening->task, file);
    if (error)
        file->writable = 0;
    return error;
}

/*
 * Opens what the description's path holds. The write access of the mount is announced for as long as the description
 * lives if it is writable, and for the truncation if it is not.
 */
static int32_t open_path(struct opening *opening)
{
    vrift_file *file = opening->file;
    struct vr_path *path = &file->path;
    struct vr_inode *inode = path->dentry->inode;
    uint64_t flags = opening->flags;
    if (flags & VRIFT_O_PATH)
        return 0;
    if (flags & VRIFT_O_CREAT && !opening->created) {
        if (flags & VRIFT_O_EXCL)
            return -VRIFT_EEXIST;
        if (vr_is_dir(inode))
            return -VRIFT_EISDIR;
        int32_t planted = vr_perm_found(opening->walk.cred, opening->dir_mode, opening->dir_uid, inode);
        if (planted)
            return planted;
    }
    bool truncate = flags & VRIFT_O_TRUNC && !opening->created && vr_is_file(inode);
    int32_t error = truncate ? vr_mnt_want_write(path->mount) : 0;
    if (error)
        return error;
    error = may_open(opening, path);
    uint64_t mode = flags & VRIFT_O_ACCMODE;
    if (!error && vr_is_file(inode) && (mode == VRIFT_O_WRONLY || mode == VRIFT_O_RDWR)) {
        error = vr_mnt_want_write(path->mount);
        file->writable = !error;
    }
    file->readable = mode == VRIFT_O_RDONLY || mode == VRIFT_O_RDWR;
    if (!error && vr_is_file(inode))
        error = open_file(opening, inode, truncate);
    else if (!error && vr_is_fifo(inode))
        error = open_fifo(opening);
    else if (!error && !vr_is_dir(inode))
        error = -VRIFT_ENXIO; /* sockets, as on Linux, and devices: those are names only */
    if (truncate)
        vr_mnt_drop_write(path->mount);
    if (error)
        return error;
    file->told = 1;
    vr_watch_file(path->dentry, VRIFT_IN_OPEN);
    vr_watch_dentry(path->dentry, opening->truncated);
    return 0;
}

/* -- Making what does not ------------------------------------------------------------------------------------------ */

static int32_t inherit(struct opening *opening, struct vr_inode *dir, struct vrift_create *how,
                       struct vr_acl_birth *birth)
{
    *how = (struct vrift_create){.mode = VRIFT_S_IFREG | (opening->mode & 07777)};
    return vr_perm_inherit(opening->walk.cred, dir, atomic_load(&opening->task->place->umask), how, birth);
}

/* What the last name means, or a new file; held in *out. */
static int32_t find_or_create(struct opening *opening, struct vr_dentry **out)
{
    struct vr_walk *walk = &opening->walk;
    struct vr_dentry *dir = walk->path.dentry;
    struct vr_mount *mount = walk->path.mount;
    struct vr_reap reap = VR_REAP_INIT;
    int32_t read_only = vr_mnt_want_write(mount);
    vr_inode_lock(dir->inode, VR_RANK_DIR);
    int32_t error = vr_lookup_locked(dir, &walk->last, &reap, out);
    if (!error && !*out) {
        error = read_only ? read_only : vr_perm_change_dir(walk->cred, dir->inode);
        if (!error) {
            struct vrift_create how;
            struct vr_acl_birth birth;
            error = inherit(opening, dir->inode, &how, &birth);
            if (!error)
                error = vr_newname_create(dir, &walk->last, &how, &reap, out);
            vr_acl_birth_end(&birth);
            opening->created = !error;
        }
    }
    vr_inode_unlock(dir->inode, VR_RANK_DIR);
    if (!read_only)
        vr_mnt_drop_write(mount);
    vr_dcache_reap(vr_dcache_sb(dir)->vfs, &reap);
    vr_dcache_balance(vr_dcache_sb(dir)->vfs, vr_dcache_sb(dir)->depth);
    return error;
}

static int32_t walk_creating(struct opening *opening)
{
    struct vr_walk *walk = &opening->walk;
    int32_t error = vr_walk_run(walk);
    while (!error && walk->at_parent) {
        struct vr_dentry *child;
        if (walk->last_slash)
            return -VRIFT_EISDIR;
        const struct vr_inode *dir = walk->path.dentry->inode;
        opening->dir_mode = atomic_load_explicit(&dir->mode, memory_order_relaxed);
        opening->dir_uid = atomic_load_explicit(&dir->uid, memory_order_relaxed);
        error = find_or_create(opening, &child);
        if (error)
            return error;
        if (opening->created) {
            opening->file->path = (struct vr_path){walk->path.mount, child};
            vr_mnt_ref(walk->path.mount);
            return 0;
        }
        error = vr_walk_into(walk, child);
    }
    if (!error)
        vr_walk_take(walk, &opening->file->path);
    return error;
}

static int32_t walk_unnamed(struct opening *opening)
{
    struct vr_walk *walk = &opening->walk;
    int32_t error = vr_walk_run(walk);
    if (error)
        return error;
    struct vr_mount *mount = walk->path.mount;
    struct vr_dentry *dir = walk->path.dentry;
    error = vr_mnt_want_write(mount);
    if (error)
        return error;
    error = vr_perm_change_dir(walk->cred, dir->inode);
    struct vr_dentry *child = NULL;
    if (!error) {
        struct vrift_create how;
        struct vr_acl_birth birth;
        error = inherit(opening, dir->inode, &how, &birth);
        how.flags = VRIFT_CREATE_TMPFILE | (opening->flags & VRIFT_O_EXCL ? VRIFT_CREATE_UNLINKABLE : 0);
        if (!error)
            error = vr_newname_create_unnamed(dir, &how, &child);
        vr_acl_birth_end(&birth);
    }
    if (!error) {
        opening->created = true;
        opening->file->path = (struct vr_path){mount, child};
        vr_mnt_ref(mount);
    }
    vr_mnt_drop_write(mount);
    return error;
}

/* -- The calls ----------------------------------------------------------------------------------------------------- */

static int32_t walk_and_open(struct opening *opening, int32_t dirfd, const char *path, uint64_t resolve)
{
    struct vr_walk *walk = &opening->walk;
    int32_t error = vr_walk_begin(walk, opening->task, dirfd, path, walk_flags_of(opening->flags), resolve);
    if (error) {
        ;
    } else if (opening->flags & VRIFT_O_CREAT) {
        error = walk_creating(opening);
    } else if (opening->flags & TMPFILE_BIT) {
        error = walk_unnamed(opening);
    } else {
        error = vr_walk_run(walk);
        if (!error)
            vr_walk_take(walk, &opening->file->path);
    }
    if (!error) {
        opening->file->flags = opening->flags & ~NOT_KEPT;
        opening->file->cred = vrift_cred_ref(walk->cred);
        error = open_path(opening);
    }
    vr_walk_end(walk);
    return error;
}

static int32_t open_how(vrift_task *task, int32_t dirfd, const char *path, const struct vrift_open_how *how)
{
    struct opening opening;
    opening.task = task;
    opening.flags = how->flags;
    opening.mode = how->mode;
    opening.may = may_of(how->flags);
    opening.created = false;
    opening.truncated = 0;
    opening.dir_mode = opening.dir_uid = 0;
    int32_t fd;
    int32_t error = vr_fdtable_reserve(task->vfs, task->files, 0, &fd);
    if (error)
        return error;
    error = vr_description_new(task->vfs, &opening.file);
    if (!error) {
        error = walk_and_open(&opening, dirfd, path, how->resolve);
        if (error)
            vrift_file_unref(opening.file);
    }
    if (error) {
        vr_fdtable_cancel(task->files, fd);
        return error;
    }
    vr_fdtable_fill(task->files, fd, opening.file, how->flags & VRIFT_O_CLOEXEC);
    return fd;
}

int32_t vrift_openat(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags, uint32_t mode)
{
    if (!task || !path)
        return -VRIFT_EINVAL;
    flags &= OPEN_FLAGS;
    if (flags & VRIFT_O_PATH)
        flags &= PATH_FLAGS;
    struct vrift_open_how how = {.size = sizeof how, .flags = flags};
    if (flags & (VRIFT_O_CREAT | TMPFILE_BIT))
        how.mode = mode & 07777;
    int32_t result = check_how(&how);
    if (!result)
        VR_WALK_RETRY(result, open_how(task, dirfd, path, &how));
    return result;
}

int32_t vrift_openat2(vrift_task *task, int32_t dirfd, const char *path, const struct vrift_open_how *how)
{
    struct vrift_open_how own;
    if (!task || !path || !how)
        return -VRIFT_EINVAL;
    int32_t result = VR_COPYIN(&own, how);
    if (!result)
        result = check_how(&own);
    if (!result)
        VR_WALK_RETRY(result, open_how(task, dirfd, path, &own));
    return result;
}

/* -- Opening anew -------------------------------------------------------------------------------------------------- */

static int32_t open_again(vrift_task *task, const vrift_file *from, uint64_t flags, vrift_file *file)
{
    struct opening opening = {.task = task, .file = file, .flags = flags, .may = may_of(flags)};
    opening.walk.cred = file->cred = vr_walk_cred(task);
    file->path = from->path;
    vr_path_ref(&file->path);
    file->flags = flags & ~NOT_KEPT;
    if (flags & VRIFT_O_DIRECTORY && !vr_is_dir(file->path.dentry->inode))
        return -VRIFT_ENOTDIR;
    return open_path(&opening);
}

int32_t vrift_reopen(vrift_task *task, int32_t fd, uint64_t flags)
{
    vrift_file *from, *file;
    int32_t fresh;
    if (!task || flags & (VRIFT_O_CREAT | VRIFT_O_EXCL | TMPFILE_BIT))
        return -VRIFT_EINVAL;
    flags &= flags & VRIFT_O_PATH ? PATH_FLAGS : OPEN_FLAGS;
    int32_t error = vr_fdtable_get(task->files, fd, &from);
    if (error)
        return error;
    error = vr_fdtable_reserve(task->vfs, task->files, 0, &fresh);
    if (error) {
        vrift_file_unref(from);
        return error;
    }
    error = vr_description_new(task->vfs, &file);
    if (!error) {
        error = open_again(task, from, flags, file);
        if (error)
            vrift_file_unref(file);
    }
    vrift_file_unref(from);
    if (error) {
        vr_fdtable_cancel(task->files, fresh);
        return error;
    }
    vr_fdtable_fill(task->files, fresh, file, flags & VRIFT_O_CLOEXEC);
    return fresh;
}
