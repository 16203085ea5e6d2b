/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/walkpass.h"

#include "core/atime.h"
#include "core/dcachehot.h"
#include "core/mnt.h"

#include <string.h>

#define SCOPED (VRIFT_RESOLVE_BENEATH | VRIFT_RESOLVE_IN_ROOT)

#define LOAD(field) atomic_load_explicit(&(field), memory_order_acquire)

/* For loops that could be endless in what changes: true now and then if it did. */
static inline bool is_lost(const struct vr_walk *walk, uint32_t *steps)
{
    return (++*steps & 15) == 0 && !vr_walkpass_valid(walk);
}

static bool same_path(const struct vr_path *a, const struct vr_path *b)
{
    return a->dentry == b->dentry && a->mount == b->mount;
}

/* Over the mounts on a path to the topmost one's root. */
static int32_t cross_mounts(struct vr_walk *walk, struct vr_path *path)
{
    uint32_t steps = 0;
    while (LOAD(path->dentry->flags) & VR_DENTRY_MOUNTED) {
        struct vr_mount *mount = vr_mnt_find_at(walk->task->vfs, path->mount, path->dentry, walk->seq);
        if (!mount)
            break;
        if (walk->resolve & VRIFT_RESOLVE_NO_XDEV)
            return -VRIFT_EXDEV;
        if (is_lost(walk, &steps))
            return VR_WALK_TORN;
        path->mount = mount;
        path->dentry = LOAD(mount->root);
    }
    return 0;
}

/* 1: the dentry is dir or below it; 0: it is not. */
static int32_t is_below(const struct vr_walk *walk, const struct vr_dentry *dentry, const struct vr_dentry *dir)
{
    uint32_t steps = 0;
    while (dentry != dir) {
        const struct vr_dentry *parent = LOAD(dentry->parent);
        if (parent == dentry || is_lost(walk, &steps))
            return 0;
        dentry = parent;
    }
    return 1;
}

/* The place of a mount; a mount of NULL if it has none. */
static struct vr_path place_of(const struct vr_mount *mount)
{
    struct vr_path place = {LOAD(mount->parent), LOAD(mount->point)};
    if (!place.dentry)
        place.mount = NULL;
    return place;
}

/* Is the path within the walk's root? A rename may have moved it out since the walk passed. */
static bool within_root(const struct vr_walk *walk, struct vr_path path)
{
    uint32_t steps = 0;
    while (path.mount != walk->root.mount) {
        path = place_of(path.mount);
        if (!path.mount || is_lost(walk, &steps))
            return false;
    }
    return is_below(walk, path.dentry, walk->root.dentry);
}

static int32_t step_up(struct vr_walk *walk)
{
    struct vr_path path = walk->path;
    uint32_t steps = 0;
    for (;;) {
        if (same_path(&path, &walk->root)) {
            if (walk->resolve & VRIFT_RESOLVE_BENEATH)
                return -VRIFT_EXDEV;
            break;
        }
        const struct vr_dentry *top = LOAD(path.mount->root);
        if (path.dentry != top) {
            path.dentry = LOAD(path.dentry->parent);
            /* Moved out of what a bind mount shows, it has no parent there. */
            if (LOAD(path.mount->part) && !is_below(walk, path.dentry, top))
                return -VRIFT_ENOENT;
            break;
        }
        struct vr_path above = place_of(path.mount);
        if (!above.mount)
            break;
        if (walk->resolve & VRIFT_RESOLVE_NO_XDEV)
            return -VRIFT_EXDEV;
        if (is_lost(walk, &steps))
            return VR_WALK_TORN;
        path = above;
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

static const char *text_of(const struct vr_inode *inode)
{
    const struct vr_inode_extra *extra = vr_inode_extra_of(inode);
    return extra ? LOAD(extra->text) : NULL;
}

/*
 * Goes on in the text of a symlink; what is left of the present text waits. The text is read only once the inode is
 * held and was still what the path meant.
 */
static int32_t follow_link(struct vr_walk *walk, const struct vr_mount *mount, struct vr_inode *inode)
{
    if (walk->followed >= VR_WALK_MAX_LINKS || walk->resolve & VRIFT_RESOLVE_NO_SYMLINKS ||
        vr_mnt_is(mount, VRIFT_MOUNT_NOSYMFOLLOW))
        return -VRIFT_ELOOP;
    if (!text_of(inode))
        return VR_WALK_NEED_LINK;
    if (!vr_inode_ref_if_alive(inode))
        return VR_WALK_TORN;
    walk->links[walk->link_count++] = inode;
    if (!vr_walkpass_valid(walk))
        return VR_WALK_TORN;
    enum vr_atime due = vr_atime_wanted(mount, inode, VR_ATIME_DAY);
    if (due == VR_ATIME_STAMP)
        walk->read_links |= 1ULL << (walk->link_count - 1);
    else if (due == VR_ATIME_UNKNOWN)
        walk->doubtful_links |= 1ULL << (walk->link_count - 1);
    if (vr_atime_may_be(mount, inode))
        walk->aged = true;
    walk->followed++;
    if (!walk->final) {
        walk->texts[walk->depth].p = walk->p;
        walk->texts[walk->depth++].end = walk->end;
    }
    walk->p = text_of(inode);
    walk->end = walk->p + strlen(walk->p);
    return *walk->p == '/' ? jump_to_root(walk) : 0;
}

/* Parses the next component into walk->last and learns whether it is the last one of all. */
static inline void next_component(struct vr_walk *walk)
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
static inline int32_t step_into(struct vr_walk *walk, bool *linked)
{
    struct vr_mount *mount = walk->path.mount;
    struct vr_dentry *dentry = walk->child;
    int32_t error;
    *linked = false;
    if (LOAD(dentry->flags) & VR_DENTRY_MOUNTED) {
        struct vr_path path = {mount, dentry};
        error = cross_mounts(walk, &path);
        if (error)
            return error;
        mount = path.mount;
        dentry = path.dentry;
    }
    struct vr_inode *inode = LOAD(dentry->inode);
    if (!inode)
        return -VRIFT_ENOENT;
    if (vr_is_link(inode) && (!walk->final || walk->flags & VR_WALK_FOLLOW)) {
        struct vr_inode *dir = LOAD(walk->path.dentry->inode);
        *linked = true;
        if (!dir)
            return VR_WALK_TORN;
        error = walk->final ? vr_perm_follow(walk->task->vfs, walk->cred, dir, inode) : 0;
        return error ? error : follow_link(walk, mount, inode);
    }
    walk->path.mount = mount;
    walk->path.dentry = dentry;
    return 0;
}

/* Of a name that is cached: is that new enough? */
static bool is_current(struct vr_walk *walk, const struct vr_dentry *dentry, uint64_t age)
{
    if (!walk->now)
        walk->now = vr_os_monotonic_ns();
    return LOAD(dentry->checked_ns) + age >= walk->now;
}

/*
 * Finds the dentry of walk->last, or says that the backend must be asked. That a directory is complete is looked at
 * before the name: if it was, and then the name was not there, then it did not exist in between.
 */
static inline int32_t find_child(struct vr_walk *walk)
{
    struct vr_dentry *dir = walk->path.dentry;
    if (walk->last.length > VRIFT_NAME_MAX) {
        const struct vr_inode *inode = LOAD(dir->inode);
        return inode && LOAD(inode->unlinked) ? -VRIFT_ENOENT : -VRIFT_ENAMETOOLONG;
    }
    uint64_t age = LOAD(walk->path.mount->names_age);
    if (age != VR_AGE_STABLE)
        walk->aged = true;
    bool complete = LOAD(dir->flags) & VR_DENTRY_COMPLETE;
    walk->child = vr_dcache_find_at(&walk->task->vfs->dcache, dir, &walk->last, walk->seq);
    if (!walk->child) {
        if (!complete)
            return VR_WALK_NEED_LOOKUP;
        walk->hits++;
        return -VRIFT_ENOENT;
    }
    const struct vr_inode *inode = LOAD(walk->child->inode);
    if ((inode && LOAD(inode->stale)) || (age != VR_AGE_STABLE && !is_current(walk, walk->child, age)))
        return VR_WALK_NEED_LOOKUP;
    walk->hits++;
    return 0;
}

/*
 * Where a walk starts, and the root of a mount, are reached without a name that could have been found too old: are the
 * permissions there to be asked for? Not if they do not matter.
 */
static inline bool is_doubtful(const struct vr_walk *walk, const struct vr_inode *inode)
{
    const uint64_t mighty = VRIFT_CAP_DAC_OVERRIDE | VRIFT_CAP_FOWNER;
    return LOAD(walk->path.mount->names_age) != VR_AGE_STABLE && inode != walk->confirmed &&
           (walk->cred->capabilities & mighty) != mighty;
}

static int32_t finish(const struct vr_walk *walk)
{
    const struct vr_inode *inode = LOAD(walk->path.dentry->inode);
    if (!inode)
        return VR_WALK_TORN;
    if (is_doubtful(walk, inode))
        return VR_WALK_NEED_FRESH;
    return walk->flags & VR_WALK_DIRECTORY && !vr_is_dir(inode) ? -VRIFT_ENOTDIR : 0;
}

/* The text is at its end: on in the one around it. False if that was the last. */
static inline bool pop_text(struct vr_walk *walk)
{
    if (!walk->depth)
        return false;
    walk->depth--;
    walk->p = walk->texts[walk->depth].p;
    walk->end = walk->texts[walk->depth].end;
    return true;
}

/* May the walk look for names where it stands? */
static inline int32_t may_search(struct vr_walk *walk)
{
    const struct vr_inode *dir = LOAD(walk->path.dentry->inode);
    if (!dir)
        return VR_WALK_TORN;
    if (!vr_is_dir(dir))
        return -VRIFT_ENOTDIR;
    if (is_doubtful(walk, dir))
        return VR_WALK_NEED_FRESH;
    int32_t result = walk->searched == dir ? 0 : vr_perm_search(walk->cred, dir);
    walk->searched = NULL;
    return result;
}

int32_t vr_walkpass_run(struct vr_walk *walk)
{
    int32_t result;
    if (walk->stepping)
        goto step;
    for (;;) {
        while (walk->p < walk->end && *walk->p == '/')
            walk->p++;
        if (walk->p == walk->end) {
            if (pop_text(walk))
                continue;
            walk->last_type = VR_LAST_ROOT;
            walk->last_slash = false;
            walk->at_parent = walk->flags & VR_WALK_PARENT && !(walk->flags & VR_WALK_ORDINARY);
            return finish(walk);
        }
        result = may_search(walk);
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
            if (!linked && walk->path.dentry == walk->child)
                walk->confirmed = LOAD(walk->child->inode);
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

bool vr_walkpass_peek(struct vr_walk *walk, struct vr_attr_raw *raw, uint64_t *dev, uint64_t *mount_id)
{
    struct vr_inode *inode = LOAD(walk->path.dentry->inode);
    struct vr_mount *mount = walk->path.mount;
    uint64_t age = LOAD(mount->attrs_age);
    if (age != VR_AGE_STABLE) {
        walk->aged = true;
        if (!walk->now)
            walk->now = vr_os_monotonic_ns();
    }
    *dev = LOAD(mount->number);
    *mount_id = LOAD(mount->id);
    vr_mnt_used(mount);
    if (!inode || !vr_inode_attr_load(inode, walk->now, age, raw))
        return false;
    walk->peeked_inode = inode;
    walk->peeked_seq = raw->seq;
    return true;
}
