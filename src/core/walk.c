/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/walk.h"

#include "core/atime.h"
#include "core/attr.h"
#include "core/dcache.h"
#include "core/dcachehot.h"
#include "core/dispatch.h"
#include "core/fdtable.h"
#include "core/inode.h"
#include "core/lookup.h"
#include "core/mnt.h"
#include "core/notify.h"
#include "core/perm.h"
#include "core/walkpass.h"

#include <vrift/file.h>
#include <vrift/task.h>

#include <assert.h>
#include <string.h>

#define SCOPED (VRIFT_RESOLVE_BENEATH | VRIFT_RESOLVE_IN_ROOT)

/* So often a walk starts again because something changed before it keeps changes out. */
#define FREE_TRIES 3u

/* -- Start, and start again ------------------------------------------------------------------------------------------ */

/* Where the walk starts; its root is the task's, or where it starts if it may not leave that. */
static int32_t start(struct vr_walk *walk)
{
    vrift_task *task = walk->task;
    const struct vr_place *place = atomic_load_explicit(&task->place, memory_order_acquire);
    walk->started = true;
    walk->cred = atomic_load_explicit(&task->cred, memory_order_acquire);
    walk->root = vr_spot_get(&place->root);
    bool absolute = walk->p < walk->end && *walk->p == '/';
    if (absolute && walk->resolve & VRIFT_RESOLVE_BENEATH)
        return -VRIFT_EXDEV;
    if (absolute && !(walk->resolve & VRIFT_RESOLVE_IN_ROOT))
        walk->path = walk->root;
    else if (walk->dir_file && walk->p < walk->end && !vr_is_dir(walk->dir_file->path.dentry->inode))
        return -VRIFT_ENOTDIR;
    else if (walk->dir_file)
        walk->path = walk->dir_file->path;
    else
        walk->path = vr_spot_get(&place->cwd);
    if (walk->resolve & SCOPED)
        walk->root = walk->path;
    return walk->path.mount && walk->path.dentry && walk->root.mount && walk->root.dentry ? 0 : VR_WALK_TORN;
}

/* The start of everything. */
static void set_first_mark(struct vr_walk *walk)
{
    struct vr_walk_mark *mark = &walk->mark;
    mark->set = mark->stepping = false;
    mark->p = walk->p;
    mark->end = walk->end;
    mark->searched = mark->confirmed = NULL;
    mark->flags = walk->flags;
    mark->hits = mark->depth = mark->followed = mark->link_count = 0;
}

/* What is held now is where the walk starts again from, should the next pass fail. */
static void set_mark(struct vr_walk *walk)
{
    struct vr_walk_mark *mark = &walk->mark;
    mark->set = true;
    mark->stepping = walk->stepping;
    mark->final = walk->final;
    mark->last_slash = walk->last_slash;
    mark->last_type = walk->last_type;
    mark->last = walk->last;
    mark->flags = walk->flags;
    mark->p = walk->p;
    mark->end = walk->end;
    mark->hits = walk->hits;
    mark->depth = walk->depth;
    mark->followed = walk->followed;
    mark->link_count = walk->link_count;
    mark->searched = walk->searched;
    mark->confirmed = walk->confirmed;
    if (walk->depth)
        memcpy(walk->marked_texts, walk->texts, walk->depth * sizeof walk->texts[0]);
}

/* Outside of a section. */
static void rewind_to_mark(struct vr_walk *walk)
{
    const struct vr_walk_mark *mark = &walk->mark;
    while (walk->link_count > mark->link_count)
        vr_inode_unref(walk->links[--walk->link_count]);
    walk->read_links &= (1ULL << walk->link_count) - 1;
    walk->doubtful_links &= (1ULL << walk->link_count) - 1;
    walk->at_parent = false;
    walk->flags = mark->flags;
    walk->p = mark->p;
    walk->end = mark->end;
    walk->hits = mark->hits;
    walk->depth = mark->depth;
    walk->followed = mark->followed;
    walk->searched = mark->searched;
    walk->confirmed = mark->confirmed;
    walk->stepping = mark->stepping;
    walk->path = walk->held.path;
    walk->child = walk->held.child;
    walk->started = mark->set;
    if (!mark->set)
        return;
    walk->final = mark->final;
    walk->last_slash = mark->last_slash;
    walk->last_type = mark->last_type;
    walk->last = mark->last;
    if (mark->depth)
        memcpy(walk->texts, walk->marked_texts, mark->depth * sizeof walk->texts[0]);
}

/* Without a lock; or with the dcache lock if something is changing just now, or changed too often. */
static inline void enter(struct vr_walk *walk)
{
    vrift_vfs *vfs = walk->task->vfs;
    walk->seq = atomic_load_explicit(&vfs->dcache.seq, memory_order_acquire);
    walk->locked = walk->seq & 1 || walk->tries > FREE_TRIES;
    if (!walk->locked)
        return;
    vr_dcache_read_begin(vfs);
    walk->seq = atomic_load_explicit(&vfs->dcache.seq, memory_order_relaxed);
}

static inline void leave(struct vr_walk *walk)
{
    if (walk->locked)
        vr_dcache_read_end(walk->task->vfs);
}

/* -- References ---------------------------------------------------------------------------------------------------- */

static bool ref_unless_zero(_Atomic uint32_t *refs)
{
    uint32_t seen = atomic_load_explicit(refs, memory_order_relaxed);
    while (seen)
        if (atomic_compare_exchange_weak(refs, &seen, seen + 1))
            return true;
    return false;
}

static bool ref_dentry(struct vr_dentry *dentry)
{
    uint32_t seen = atomic_load_explicit(&dentry->refs, memory_order_relaxed);
    while (seen != VR_DENTRY_DEAD)
        if (atomic_compare_exchange_weak(&dentry->refs, &seen, seen + 1))
            return true;
    return false;
}

/* Takes both or none. */
static bool ref_path(const struct vr_path *path)
{
    if (!ref_unless_zero(&path->mount->refs))
        return false;
    if (ref_dentry(path->dentry))
        return true;
    vr_mnt_unref_quietly(path->mount);
    return false;
}

static void unref_path(vrift_vfs *vfs, const struct vr_path *path)
{
    vr_dcache_unref_of(vfs, path->dentry);
    vr_mnt_unref_quietly(path->mount);
}

/* The walk's root and credentials, which are still the task's, as nothing was left since it started. */
static bool anchor(struct vr_walk *walk)
{
    if (walk->anchored)
        return true;
    if (!ref_unless_zero(&walk->cred->refs))
        return false;
    if (ref_path(&walk->root))
        return true;
    vrift_cred_unref(walk->cred);
    return false;
}

/*
 * Holds where the walk stands, and only then finds out whether it stands on what the path means. If so, true, and *before
 * is what it held before, to be dropped outside. The references of a walk that was mistaken may be on anything: they go
 * at once, which is why none can be refused with the lock held.
 */
static bool hold(struct vr_walk *walk, struct vr_walk_held *before)
{
    vrift_vfs *vfs = walk->task->vfs;
    bool was_anchored = walk->anchored;
    if (!anchor(walk))
        return false;
    bool path = ref_path(&walk->path);
    bool child = path && walk->child && ref_dentry(walk->child);
    if (path && (child || !walk->child) && vr_walkpass_valid(walk)) {
        *before = walk->held;
        walk->held.path = walk->path;
        walk->held.child = walk->child;
        walk->anchored = true;
        return true;
    }
    assert(!walk->locked);
    if (child)
        vr_dcache_unref_of(vfs, walk->child);
    if (path)
        unref_path(vfs, &walk->path);
    if (!was_anchored) {
        unref_path(vfs, &walk->root);
        vrift_cred_unref(walk->cred);
    }
    return false;
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
        error = vr_lookup_again(walk->path.dentry, walk->child, &walk->last, walk->now, &found);
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

/* Likewise a magic link, which has no text but leads somewhere: as nd_jump_link() of Linux. */
static int32_t slow_jump(struct vr_walk *walk)
{
    vrift_file *file;
    if (walk->resolve & VRIFT_RESOLVE_NO_MAGICLINKS)
        return -VRIFT_ELOOP;
    int32_t error = vr_dispatch_follow(walk->child->inode, &file);
    if (error)
        return error;
    if (walk->resolve & SCOPED || (walk->resolve & VRIFT_RESOLVE_NO_XDEV && file->path.mount != walk->path.mount))
        error = -VRIFT_EXDEV;
    if (!error) {
        struct vr_walk_held before = walk->held;
        walk->followed++;
        walk->path = walk->held.path = file->path;
        walk->child = walk->held.child = NULL;
        walk->stepping = false;
        vr_path_ref(&walk->path);
        drop(&before);
    }
    vrift_file_unref(file);
    return error;
}

/* The directory that the walk stands on has an ACL, which lies with the backend. */
static int32_t slow_search(struct vr_walk *walk)
{
    struct vr_inode *dir = walk->path.dentry->inode;
    walk->searched = dir;
    return vr_perm_check(walk->cred, dir, VR_MAY_EXEC);
}

/* The attributes are kept, and with them the permissions; where they cannot be had, those known must do. */
static int32_t slow_fresh(struct vr_walk *walk)
{
    struct vr_inode *inode = walk->path.dentry->inode;
    const vrift_sb *sb = inode->sb;
    struct vr_attr_raw raw;
    struct vrift_stat st;
    uint64_t now = walk->now ? walk->now : vr_os_monotonic_ns();
    walk->confirmed = inode;
    if (!sb->attrs_stable && !vr_inode_attr_load(inode, now, sb->names_age, &raw) &&
        !vr_notify_attributes(inode, now, &st))
        (void)vr_inode_ask(inode, &st);
    return 0;
}

/* -- The whole ----------------------------------------------------------------------------------------------------- */

int32_t vr_walk_begin(struct vr_walk *walk, vrift_task *task, int32_t dirfd, const char *path, uint32_t flags,
                      uint64_t resolve)
{
    vr_os_clear(walk, offsetof(struct vr_walk, last));
    walk->task = task;
    walk->flags = flags;
    walk->resolve = resolve;
    walk->dirfd = dirfd;
    const char *nul = memchr(path, '\0', VRIFT_PATH_MAX);
    if (!nul)
        return -VRIFT_ENAMETOOLONG;
    walk->p = path;
    walk->end = nul;
    set_first_mark(walk);
    if (path == nul && !(flags & VR_WALK_EMPTY))
        return -VRIFT_ENOENT;
    if (*path == '/' && resolve & VRIFT_RESOLVE_BENEATH)
        return -VRIFT_EXDEV;
    if (dirfd == VRIFT_AT_FDCWD || (*path == '/' && !(resolve & SCOPED)))
        return 0;
    return vr_fdtable_get(task->files, dirfd, &walk->dir_file);
}

/* One pass over the cache. False: what it saw was not true, and nothing is changed. */
static inline bool pass(struct vr_walk *walk, struct vr_walk_held *before, int32_t *result)
{
    struct vr_attr_raw raw;
    uint64_t dev, mount_id;
    *result = walk->started ? 0 : start(walk);
    if (!*result)
        *result = vr_walkpass_run(walk);
    if (*result > 0 && *result != VR_WALK_TORN && walk->resolve & VRIFT_RESOLVE_CACHED)
        *result = -VRIFT_EAGAIN;
    if (*result < 0)
        return vr_walkpass_valid(walk);
    if (*result == VR_WALK_TORN)
        return false;
    if (*result || !walk->peek || walk->read_links | walk->doubtful_links ||
        !vr_walkpass_peek(walk, &raw, &dev, &mount_id))
        return hold(walk, before);
    if (!vr_walkpass_valid(walk))
        return false;
    vr_inode_attr_expand(&raw, walk->peek);
    walk->peek->dev = dev;
    walk->peek->mount_id = mount_id;
    walk->peek->mask |= VRIFT_STAT_MOUNT_ID;
    walk->peeked = true;
    return true;
}

static int32_t slow_pass(struct vr_walk *walk, int32_t need)
{
    switch (need) {
    case VR_WALK_NEED_LOOKUP:
        return slow_lookup(walk);
    case VR_WALK_NEED_LINK:
        return walk->child->inode->sb->ops.follow ? slow_jump(walk) : slow_link(walk);
    case VR_WALK_NEED_FRESH:
        return slow_fresh(walk);
    default:
        return slow_search(walk);
    }
}

/* No other thread's line is written to; of threads that share a task, one may lose what another counts. */
static inline void count(_Atomic uint64_t *counter, uint32_t *by)
{
    if (*by)
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + *by, memory_order_relaxed);
    *by = 0;
}

/* Before the caller does anything with what was found: that may be one of the links. */
static void stamp_links(struct vr_walk *walk)
{
    for (uint32_t i = 0; i < walk->link_count; i++) {
        if (walk->read_links >> i & 1)
            vr_atime_stamp(walk->links[i]);
        else if (walk->doubtful_links >> i & 1)
            vr_atime_stamp_old(walk->links[i]);
    }
    walk->read_links = walk->doubtful_links = 0;
}

int32_t vr_walk_run(struct vr_walk *walk)
{
    int32_t result;
    for (;;) {
        struct vr_walk_held before = {{NULL, NULL}, NULL};
        enter(walk);
        bool good = pass(walk, &before, &result);
        leave(walk);
        if (!good) {
            walk->tries++;
            rewind_to_mark(walk);
            continue;
        }
        drop(&before);
        if (result <= 0)
            break;
        walk->slow = true;
        result = slow_pass(walk, result);
        if (result)
            break;
        walk->tries = 0;
        set_mark(walk);
    }
    if (walk->read_links | walk->doubtful_links)
        stamp_links(walk);
    count(&walk->task->hits, &walk->hits);
    count(&walk->task->misses, &walk->misses);
    return result;
}

int32_t vr_walk_into(struct vr_walk *walk, struct vr_dentry *child)
{
    assert(walk->at_parent && !walk->held.child);
    walk->child = walk->held.child = child;
    walk->stepping = true;
    walk->at_parent = false;
    walk->tries = 0;
    set_mark(walk);
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

/* The task's credentials, held: it had them at one moment of the call. */
vrift_cred *vr_walk_cred(vrift_task *task)
{
    vrift_vfs *vfs = task->vfs;
    uint64_t seq = atomic_load_explicit(&vfs->dcache.seq, memory_order_acquire);
    vrift_cred *cred = atomic_load_explicit(&task->cred, memory_order_acquire);
    if (!(seq & 1) && ref_unless_zero(&cred->refs)) {
        if (atomic_load(&vfs->dcache.seq) == seq)
            return cred;
        vrift_cred_unref(cred);
    }
    vr_dcache_read_begin(vfs);
    cred = vrift_cred_ref(task->cred);
    vr_dcache_read_end(vfs);
    return cred;
}

bool vr_walk_capable(vrift_task *task, uint64_t capability)
{
    vrift_cred *cred = vr_walk_cred(task);
    bool capable = vr_perm_capable(cred, capability);
    vrift_cred_unref(cred);
    return capable;
}
