/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/walk.h"

#include "core/attr.h"
#include "core/dcache.h"
#include "core/dcachehot.h"
#include "core/fdtable.h"
#include "core/inode.h"
#include "core/lookup.h"
#include "core/mnt.h"
#include "core/perm.h"

#include <vrift/file.h>
#include <vrift/task.h>

#include <assert.h>
#include <string.h>

#define SCOPED (VRIFT_RESOLVE_BENEATH | VRIFT_RESOLVE_IN_ROOT)

/* What the cached pass asks of the slow one. */
#define NEED_LOOKUP 1
#define NEED_LINK   2
#define NEED_ACL    VR_PERM_ASK

/* -- The cached pass: everything here runs in a read section of the dentry cache --------------------------------------- */

static bool same_path(const struct vr_path *a, const struct vr_path *b)
{
    return a->dentry == b->dentry && a->mount == b->mount;
}

/* Over the mounts on a path to the topmost one's root. */
static int32_t cross_mounts(struct vr_walk *walk, struct vr_path *path)
{
    while (vr_dcache_mounted(path->dentry)) {
        struct vr_mount *mount = vr_mnt_find(walk->task->vfs, path->mount, path->dentry);
        if (!mount)
            break;
        if (walk->resolve & VRIFT_RESOLVE_NO_XDEV)
            return -VRIFT_EXDEV;
        path->mount = mount;
        path->dentry = mount->root;
    }
    return 0;
}

/* Is the path within the walk's root? A rename may have moved it out since the walk passed. */
static bool within_root(const struct vr_walk *walk, struct vr_path path)
{
    while (path.mount != walk->root.mount) {
        if (!path.mount->parent)
            return false;
        path = (struct vr_path){path.mount->parent, path.mount->point};
    }
    return vr_dcache_below(path.dentry, walk->root.dentry);
}

static int32_t step_up(struct vr_walk *walk)
{
    struct vr_path path = walk->path;
    for (;;) {
        if (same_path(&path, &walk->root)) {
            if (walk->resolve & VRIFT_RESOLVE_BENEATH)
                return -VRIFT_EXDEV;
            break;
        }
        if (path.dentry != path.mount->root) {
            path.dentry = path.dentry->parent;
            /* Moved out of what a bind mount shows, it has no parent there. */
            if (path.mount->part && !vr_dcache_below(path.dentry, path.mount->root))
                return -VRIFT_ENOENT;
            break;
        }
        if (!path.mount->parent)
            break;
        if (walk->resolve & VRIFT_RESOLVE_NO_XDEV)
            return -VRIFT_EXDEV;
        path = (struct vr_path){path.mount->parent, path.mount->point};
    }
    int32_t error = cross_mounts(walk, &path);
    if (!error && walk->resolve & SCOPED && !within_root(walk, path))
        error = -VRIFT_EXDEV;
    if (!error)
        walk->path = path;
    return error;
}

static int32_t jump_to_root(struct vr_walk *walk)
{
    if (walk->resolve & VRIFT_RESOLVE_BENEATH)
        return -VRIFT_EXDEV;
    if (walk->resolve & VRIFT_RESOLVE_NO_XDEV && walk->path.mount != walk->root.mount)
        return -VRIFT_EXDEV;
    walk->path = walk->root;
    return 0;
}

/* Goes on in the text of a symlink; what is left of the present text waits. */
static int32_t follow_link(struct vr_walk *walk, const struct vr_path *link)
{
    if (walk->followed >= VR_WALK_MAX_LINKS || walk->resolve & VRIFT_RESOLVE_NO_SYMLINKS ||
        vr_mnt_is(link->mount, VRIFT_MOUNT_NOSYMFOLLOW))
        return -VRIFT_ELOOP;
    struct vr_inode *inode = link->dentry->inode;
    const struct vr_inode_extra *extra = vr_inode_extra_of(inode);
    const char *text = extra ? atomic_load_explicit(&extra->text, memory_order_acquire) : NULL;
    if (!text)
        return NEED_LINK;
    walk->followed++;
    vr_inode_ref(inode);
    walk->links[walk->link_count++] = inode;
    if (!walk->final) {
        walk->texts[walk->depth].p = walk->p;
        walk->texts[walk->depth++].end = walk->end;
    }
    walk->p = text;
    walk->end = text + strlen(text);
    return *text == '/' ? jump_to_root(walk) : 0;
}

static bool is_current(struct vr_walk *walk, const struct vr_dentry *dentry)
{
    const vrift_sb *sb = vr_dcache_sb(dentry);
    if (dentry->inode && atomic_load_explicit(&dentry->inode->stale, memory_order_relaxed))
        return false;
    if (sb->names_stable)
        return true;
    if (!walk->now)
        walk->now = vr_os_monotonic_ns();
    return atomic_load_explicit(&dentry->checked_ns, memory_order_relaxed) + sb->names_age >= walk->now;
}

/* Parses the next component into walk->last and learns whether it is the last one of all. */
static void next_component(struct vr_walk *walk)
{
    const char *after = vr_dcache_component(walk->p, walk->end, &walk->last);
    const char *p = after;
    while (p < walk->end && *p == '/')
        p++;
    walk->last_type = VR_LAST_NAME;
    if (walk->last.name[0] == '.') {
        if (walk->last.length == 1)
            walk->last_type = VR_LAST_DOT;
        else if (walk->last.length == 2 && walk->last.name[1] == '.')
            walk->last_type = VR_LAST_DOTDOT;
    }
    walk->p = p;
    walk->final = p == walk->end && walk->depth == 0;
    walk->last_slash = p != after;
    if (p == walk->end && walk->depth) {
        walk->depth--;
        walk->p = walk->texts[walk->depth].p;
        walk->end = walk->texts[walk->depth].end;
    }
}

/* Into walk->child: 0 when the walk stands on it, or goes on in its text (*linked). */
static int32_t step_into(struct vr_walk *walk, bool *linked)
{
    struct vr_path path = {walk->path.mount, walk->child};
    *linked = false;
    int32_t error = cross_mounts(walk, &path);
    if (error)
        return error;
    struct vr_inode *inode = path.dentry->inode;
    if (!inode)
        return -VRIFT_ENOENT;
    if (vr_is_link(inode) && (!walk->final || walk->flags & VR_WALK_FOLLOW)) {
        *linked = true;
        error = walk->final ? vr_perm_follow(walk->cred, walk->path.dentry->inode, inode) : 0;
        return error ? error : follow_link(walk, &path);
    }
    walk->path = path;
    return 0;
}

/* Finds the dentry of walk->last, or says that the backend must be asked. */
static int32_t find_child(struct vr_walk *walk)
{
    if (walk->last.length > VRIFT_NAME_MAX)
        return -VRIFT_ENAMETOOLONG;
    struct vr_dentry *dir = walk->path.dentry;
    walk->child = vr_dcache_find(walk->task->vfs, dir, &walk->last);
    if (!walk->child) {
        if (!(dir->flags & VR_DENTRY_COMPLETE))
            return NEED_LOOKUP;
        walk->hits++;
        return -VRIFT_ENOENT;
    }
    if (!is_current(walk, walk->child))
        return NEED_LOOKUP;
    walk->hits++;
    return 0;
}

static int32_t finish(const struct vr_walk *walk)
{
    return walk->flags & VR_WALK_DIRECTORY && !vr_is_dir(walk->path.dentry->inode) ? -VRIFT_ENOTDIR : 0;
}

/* 0: done; positive: what is needed before it can go on; negative: an error. */
static int32_t cached_pass(struct vr_walk *walk)
{
    int32_t result;
    if (walk->stepping)
        goto step;
    for (;;) {
        while (walk->p < walk->end && *walk->p == '/')
            walk->p++;
        if (walk->p == walk->end && walk->depth) {
            walk->depth--;
            walk->p = walk->texts[walk->depth].p;
            walk->end = walk->texts[walk->depth].end;
            continue;
        }
        if (walk->p == walk->end) {
            walk->last_type = VR_LAST_ROOT;
            walk->last_slash = false;
            walk->at_parent = walk->flags & VR_WALK_PARENT && !(walk->flags & VR_WALK_ORDINARY);
            return finish(walk);
        }
        struct vr_inode *dir = walk->path.dentry->inode;
        if (!vr_is_dir(dir))
            return -VRIFT_ENOTDIR;
        result = walk->searched == dir ? 0 : vr_perm_search(walk->cred, dir);
        walk->searched = NULL;
        if (result)
            return result;
        next_component(walk);
        if (walk->final) {
            walk->at_parent =
                walk->flags & VR_WALK_PARENT && (walk->last_type == VR_LAST_NAME || !(walk->flags & VR_WALK_ORDINARY));
            if (walk->at_parent)
                return 0;
            if (walk->last_slash)
                walk->flags |= VR_WALK_FOLLOW | VR_WALK_DIRECTORY;
        }
        if (walk->last_type == VR_LAST_NAME) {
            result = find_child(walk);
            if (result)
                return result;
        step:
            walk->stepping = true;
            bool linked;
            result = step_into(walk, &linked);
            if (result)
                return result;
            walk->stepping = false;
            walk->child = NULL;
            if (linked)
                continue;
        } else if (walk->last_type == VR_LAST_DOTDOT) {
            result = step_up(walk);
            if (result)
                return result;
        }
        if (walk->final)
            return finish(walk);
    }
}

/* Where the walk starts; its root is the task's, or where it starts if it may not leave that. */
static int32_t start(struct vr_walk *walk)
{
    vrift_task *task = walk->task;
    walk->started = true;
    walk->cred = task->cred;
    walk->root = task->place->root;
    bool absolute = walk->p < walk->end && *walk->p == '/';
    if (absolute && walk->resolve & VRIFT_RESOLVE_BENEATH)
        return -VRIFT_EXDEV;
    if (absolute && !(walk->resolve & VRIFT_RESOLVE_IN_ROOT))
        walk->path = task->place->root;
    else if (walk->dir_file)
        walk->path = walk->dir_file->path;
    else
        walk->path = task->place->cwd;
    if (walk->resolve & SCOPED)
        walk->root = walk->path;
    return 0;
}

static bool peek(struct vr_walk *walk)
{
    struct vr_inode *inode = walk->path.dentry->inode;
    const vrift_sb *sb = inode->sb;
    if (!sb->attrs_stable && !walk->now)
        walk->now = vr_os_monotonic_ns();
    if (!vr_inode_attr_get(inode, walk->now, walk->peek))
        return false;
    vr_attr_finish(walk->path.mount, walk->peek);
    return true;
}

/* -- References ---------------------------------------------------------------------------------------------------- */

/*
 * In a read section: holds where the walk stands, and answers what it held before, to be dropped outside. The
 * first time it also holds its root and credentials, which are still the task's then: nothing was left in between.
 */
static struct vr_walk_held hold(struct vr_walk *walk)
{
    struct vr_walk_held before = walk->held;
    walk->held.path = walk->path;
    walk->held.child = walk->child;
    vr_path_ref(&walk->path);
    if (walk->child)
        vr_dcache_ref(walk->child);
    if (!walk->anchored) {
        walk->anchored = true;
        vr_path_ref(&walk->root);
        vrift_cred_ref(walk->cred);
    }
    return before;
}

static inline void drop(struct vr_walk_held *held)
{
    if (!held->path.mount && !held->child)
        return;
    vr_dcache_unref(held->child);
    held->child = NULL;
    vr_path_unref(&held->path);
}

/* -- The slow pass: no lock is held -------------------------------------------------------------------------------- */

/* The names from walk->last on that the backend can resolve in one go. */
static uint32_t collect_names(const struct vr_walk *walk, struct vr_component names[VR_LOOKUP_BATCH])
{
    uint32_t count = 1;
    names[0] = walk->last;
    const char *p = walk->p;
    while (!walk->final && count < VR_LOOKUP_BATCH && p < walk->end) {
        p = vr_dcache_component(p, walk->end, &names[count]);
        const struct vr_component *name = &names[count];
        while (p < walk->end && *p == '/')
            p++;
        bool dots = name->name[0] == '.' && (name->length == 1 || (name->length == 2 && name->name[1] == '.'));
        bool left_to_caller = walk->flags & VR_WALK_PARENT && p == walk->end && walk->depth == 0;
        if (dots || name->length > VRIFT_NAME_MAX || left_to_caller)
            break;
        count++;
    }
    return count;
}

static int32_t slow_lookup(struct vr_walk *walk)
{
    struct vr_dentry *found = NULL;
    struct vr_component names[VR_LOOKUP_BATCH];
    walk->misses++;
    int32_t error;
    if (walk->child)
        error = vr_lookup_again(walk->path.dentry, walk->child, &walk->last, &found);
    else
        error = vr_lookup_names(walk->path.dentry, names, collect_names(walk, names), &found);
    vr_dcache_unref(walk->held.child);
    walk->child = walk->held.child = found;
    if (!error && !found)
        error = -VRIFT_ENOENT;
    walk->stepping = true;
    return error;
}

/* The symlink that the walk is about to follow is held as its child. */
static int32_t slow_link(struct vr_walk *walk)
{
    const char *text;
    return vr_inode_readlink(walk->child->inode, &text);
}

/* The directory that the walk stands on has an ACL, which lies with the backend. */
static int32_t slow_search(struct vr_walk *walk)
{
    struct vr_inode *dir = walk->path.dentry->inode;
    walk->searched = dir;
    return vr_perm_check(walk->cred, dir, VR_MAY_EXEC);
}

/* -- The whole ----------------------------------------------------------------------------------------------------- */

int32_t vr_walk_begin(struct vr_walk *walk, vrift_task *task, int32_t dirfd, const char *path, uint32_t flags,
                      uint64_t resolve)
{
    memset(walk, 0, offsetof(struct vr_walk, texts));
    walk->task = task;
    walk->flags = flags;
    walk->resolve = resolve;
    walk->dirfd = dirfd;
    const char *nul = memchr(path, '\0', VRIFT_PATH_MAX);
    if (!nul)
        return -VRIFT_ENAMETOOLONG;
    walk->p = path;
    walk->end = nul;
    if (path == nul && !(flags & VR_WALK_EMPTY))
        return -VRIFT_ENOENT;
    if (dirfd == VRIFT_AT_FDCWD || (*path == '/' && !(resolve & SCOPED)))
        return 0;
    return vr_fdtable_get(task->files, dirfd, &walk->dir_file);
}

int32_t vr_walk_run(struct vr_walk *walk)
{
    vrift_vfs *vfs = walk->task->vfs;
    struct vr_walk_held before = {{NULL, NULL}, NULL};
    vr_dcache_read_begin(vfs);
    int32_t result = walk->started ? 0 : start(walk);
    while (!result) {
        result = cached_pass(walk);
        if (result <= 0)
            break;
        if (walk->resolve & VRIFT_RESOLVE_CACHED) {
            result = -VRIFT_EAGAIN;
            break;
        }
        before = hold(walk);
        vr_dcache_read_end(vfs);
        drop(&before);
        if (result == NEED_LOOKUP)
            result = slow_lookup(walk);
        else
            result = result == NEED_LINK ? slow_link(walk) : slow_search(walk);
        if (result)
            goto out;
        vr_dcache_read_begin(vfs);
    }
    if (!result) {
        walk->peeked = walk->peek && peek(walk);
        if (!walk->peeked)
            before = hold(walk);
    }
    vr_dcache_read_end(vfs);
    drop(&before);
out:
    if (walk->hits)
        atomic_fetch_add_explicit(&vfs->dcache.hits, walk->hits, memory_order_relaxed);
    if (walk->misses)
        atomic_fetch_add_explicit(&vfs->dcache.misses, walk->misses, memory_order_relaxed);
    walk->hits = walk->misses = 0;
    return result;
}

int32_t vr_walk_into(struct vr_walk *walk, struct vr_dentry *child)
{
    assert(walk->at_parent && !walk->held.child);
    walk->child = walk->held.child = child;
    walk->stepping = true;
    walk->at_parent = false;
    return vr_walk_run(walk);
}

void vr_walk_take(struct vr_walk *walk, struct vr_path *out)
{
    *out = walk->held.path;
    walk->held.path = (struct vr_path){NULL, NULL};
}

void vr_walk_end(struct vr_walk *walk)
{
    drop(&walk->held);
    for (uint32_t i = 0; i < walk->link_count; i++)
        vr_inode_unref(walk->links[i]);
    if (walk->anchored) {
        vr_path_unref(&walk->root);
        vrift_cred_unref(walk->cred);
    }
    vrift_file_unref(walk->dir_file);
}

static int32_t vr_walk_path_once(vrift_task *task, int32_t dirfd, const char *path, uint32_t flags, struct vr_path *out)
{
    struct vr_walk walk;
    if (!task || !path)
        return -VRIFT_EINVAL;
    int32_t error = vr_walk_begin(&walk, task, dirfd, path, flags, 0);
    if (!error)
        error = vr_walk_run(&walk);
    if (!error)
        vr_walk_take(&walk, out);
    vr_walk_end(&walk);
    return error;
}

int32_t vr_walk_path(vrift_task *task, int32_t dirfd, const char *path, uint32_t flags, struct vr_path *out)
{
    int32_t result;
    VR_WALK_RETRY(result, vr_walk_path_once(task, dirfd, path, flags, out));
    return result;
}

bool vr_walk_capable(vrift_task *task, uint64_t capability)
{
    vr_dcache_read_begin(task->vfs);
    bool capable = vr_perm_capable(task->cred, capability);
    vr_dcache_read_end(task->vfs);
    return capable;
}

vrift_cred *vr_walk_cred(vrift_task *task)
{
    vr_dcache_read_begin(task->vfs);
    vrift_cred *cred = vrift_cred_ref(task->cred);
    vr_dcache_read_end(task->vfs);
    return cred;
}
