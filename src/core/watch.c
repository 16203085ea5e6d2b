/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Who watches what, and adding and ending watches, after fs/notify/ of Linux. */
#include "core/watch.h"

#include "core/alloc.h"
#include "core/dcache.h"
#include "core/inode.h"
#include "core/notify.h"
#include "core/perm.h"
#include "core/walk.h"

#include <assert.h>
#include <string.h>

#define FIRST_TABLE 64u

#define HOW_FLAGS                                                                                                      \
    (VRIFT_IN_ONLYDIR | VRIFT_IN_DONT_FOLLOW | VRIFT_IN_EXCL_UNLINK | VRIFT_IN_MASK_CREATE | VRIFT_IN_MASK_ADD |       \
     VRIFT_IN_ONESHOT)
/* What a note of these says does not matter as a directory: so inotify has it. */
#define OF_SELF (VRIFT_IN_DELETE_SELF | VRIFT_IN_MOVE_SELF)

/* -- The table ----------------------------------------------------------------------------------------------------- */

int32_t vr_watch_init(vrift_vfs *vfs)
{
    struct vr_watches *watches = &vfs->watches;
    watches->buckets = vr_alloc_zero(vfs->allocator, FIRST_TABLE, sizeof(struct vr_watched *));
    watches->mask = FIRST_TABLE - 1;
    if (!watches->buckets)
        return -VRIFT_ENOMEM;
    int32_t error = vr_os_mutex_init(&watches->lock);
    if (error)
        vr_alloc_free(vfs->allocator, watches->buckets);
    return error;
}

void vr_watch_dispose(vrift_vfs *vfs)
{
    assert(!vfs->watches.objects);
    vr_alloc_free(vfs->allocator, vfs->watches.buckets);
    vr_os_mutex_destroy(&vfs->watches.lock);
}

void vr_watch_lock(vrift_vfs *vfs)
{
    vr_lockrank_take(VR_RANK_LEAF);
    vr_os_mutex_lock(&vfs->watches.lock);
}

void vr_watch_unlock(vrift_vfs *vfs)
{
    vr_os_mutex_unlock(&vfs->watches.lock);
    vr_lockrank_give(VR_RANK_LEAF);
}

static uint32_t hash_of(const void *object)
{
    return (uint32_t)(((uint64_t)(uintptr_t)object >> 4) * 0x9e3779b97f4a7c15ULL >> 32);
}

/* Without the lock: false if nobody watches the object, true perhaps if somebody does. */
static bool may_be_watched(vrift_vfs *vfs, const void *object)
{
    return atomic_load_explicit(&vfs->watches.filter[hash_of(object) % VR_WATCH_FILTER], memory_order_relaxed) != 0;
}

static struct vr_watched **bucket_of(vrift_vfs *vfs, const void *object)
{
    return &vfs->watches.buckets[hash_of(object) & vfs->watches.mask];
}

static struct vr_watched *find(vrift_vfs *vfs, const void *object)
{
    struct vr_watched *watched = *bucket_of(vfs, object);
    while (watched && watched->object != object)
        watched = watched->next;
    return watched;
}

static void insert(vrift_vfs *vfs, struct vr_watched *watched)
{
    struct vr_watched **bucket = bucket_of(vfs, watched->object);
    watched->next = *bucket;
    *bucket = watched;
    vfs->watches.objects++;
    atomic_fetch_add_explicit(&vfs->watches.filter[hash_of(watched->object) % VR_WATCH_FILTER], 1,
                              memory_order_relaxed);
}

static void take_out(vrift_vfs *vfs, struct vr_watched *watched)
{
    struct vr_watched **at = bucket_of(vfs, watched->object);
    while (*at != watched)
        at = &(*at)->next;
    *at = watched->next;
    vfs->watches.objects--;
    atomic_fetch_sub_explicit(&vfs->watches.filter[hash_of(watched->object) % VR_WATCH_FILTER], 1,
                              memory_order_relaxed);
}

/* Doubles the table when it is full; without memory the chains grow longer. */
static void grow(vrift_vfs *vfs)
{
    struct vr_watches *watches = &vfs->watches;
    vr_watch_lock(vfs);
    uint32_t mask = watches->mask;
    bool full = watches->objects > mask && mask < 1u << 24;
    vr_watch_unlock(vfs);
    if (!full)
        return;
    struct vr_watched **table = vr_alloc_zero(vfs->allocator, (size_t)mask * 2 + 2, sizeof(struct vr_watched *));
    if (!table)
        return;
    struct vr_watched **old = table;
    vr_watch_lock(vfs);
    if (watches->mask == mask) {
        old = watches->buckets;
        watches->buckets = table;
        watches->mask = mask * 2 + 1;
        for (uint32_t i = 0; i <= mask; i++) {
            while (old[i]) {
                struct vr_watched *watched = old[i];
                struct vr_watched **bucket = bucket_of(vfs, watched->object);
                old[i] = watched->next;
                watched->next = *bucket;
                *bucket = watched;
            }
        }
    }
    vr_watch_unlock(vfs);
    vr_alloc_free(vfs->allocator, old);
}

/* -- Events -------------------------------------------------------------------------------------------------------- */

struct vr_event *vr_watch_event_new(const vrift_vfs *vfs, const char *name, uint32_t length)
{
    struct vr_event *event = vr_alloc(vfs->allocator, sizeof *event + length + 1);
    if (!event)
        return NULL;
    event->next = NULL;
    event->whole = false;
    memset(&event->record, 0, sizeof event->record);
    event->record.record_length = (uint32_t)((sizeof event->record + length + 1 + 7) & ~(size_t)7);
    event->record.name_length = length;
    char *copy = (char *)(event + 1);
    if (length)
        memcpy(copy, name, length);
    copy[length] = '\0';
    return event;
}

void vr_watch_free_ended(vrift_vfs *vfs, struct vr_watch_ended *ended)
{
    while (ended->events) {
        struct vr_event *event = ended->events;
        ended->events = event->next;
        vr_alloc_free(vfs->allocator, event);
    }
    while (ended->watches) {
        struct vr_watch *watch = ended->watches;
        ended->watches = watch->queue_next;
        vr_alloc_free(vfs->allocator, watch->last);
        vr_alloc_free(vfs->allocator, watch->ignored);
        vr_alloc_free(vfs->allocator, watch);
    }
    while (ended->objects) {
        struct vr_watched *watched = ended->objects;
        ended->objects = watched->next;
        vr_inode_unref(watched->inode);
        vr_alloc_free(vfs->allocator, watched);
    }
}

static void put(vrift_watch_queue *queue, struct vr_event *event, struct vr_watch_ended *ended)
{
    struct vr_event *lost = vr_watchqueue_put(queue, event);
    if (!lost)
        return;
    lost->next = ended->events;
    ended->events = lost;
}

static void say_last(struct vr_watch *watch, struct vr_event **event, uint32_t mask, struct vr_watch_ended *ended)
{
    const struct vr_watched *watched = watch->object;
    struct vrift_watch_event *record = &(*event)->record;
    record->wd = watch->wd;
    record->mask = mask;
    record->dev = watched->sb->number;
    record->ino = watched->inode ? vr_inode_ino(watched->inode) : 0;
    put(watch->queue, *event, ended);
    *event = NULL;
}

void vr_watch_end(struct vr_watch *watch, uint32_t last, bool silent, struct vr_watch_ended *ended)
{
    struct vr_watched *watched = watch->object;
    vrift_vfs *vfs = watched->sb->vfs;
    if (last && (watch->mask & last || last == VRIFT_IN_UNMOUNT))
        say_last(watch, &watch->last, last, ended);
    if (!silent)
        say_last(watch, &watch->ignored, VRIFT_IN_IGNORED, ended);
    struct vr_watch **at = &watched->watches;
    while (*at != watch)
        at = &(*at)->next;
    *at = watch->next;
    vr_watchqueue_leave(watch);
    watch->queue_next = ended->watches;
    ended->watches = watch;
    atomic_fetch_sub_explicit(&vfs->watches.count, 1, memory_order_relaxed);
    watched->sb->watchers--;
    if (watched->watches)
        return;
    take_out(vfs, watched);
    watched->next = ended->objects;
    ended->objects = watched;
}

static void end_all(struct vr_watched *watched, uint32_t last, struct vr_watch_ended *ended)
{
    bool more = true;
    while (more) {
        more = watched->watches->next; /* with the last one goes the object */
        vr_watch_end(watched->watches, last, false, ended);
    }
}

void vr_watch_unmount(vrift_sb *sb)
{
    vrift_vfs *vfs = sb->vfs;
    if (!vr_watch_any(vfs))
        return;
    struct vr_watch_ended ended = {NULL, NULL, NULL};
    vr_watch_lock(vfs);
    for (uint32_t i = 0; i <= vfs->watches.mask; i++) {
        struct vr_watched *next;
        for (struct vr_watched *watched = vfs->watches.buckets[i]; watched; watched = next) {
            next = watched->next;
            if (watched->sb == sb)
                end_all(watched, VRIFT_IN_UNMOUNT, &ended);
        }
    }
    vr_watch_unlock(vfs);
    vr_watch_free_ended(vfs, &ended);
}

void vr_watch_lost(vrift_sb *sb)
{
    vrift_vfs *vfs = sb->vfs;
    if (!vr_watch_any(vfs))
        return;
    vr_watch_lock(vfs);
    for (uint32_t i = 0; i <= vfs->watches.mask; i++)
        for (struct vr_watched *watched = vfs->watches.buckets[i]; watched; watched = watched->next)
            for (struct vr_watch *watch = watched->sb == sb ? watched->watches : NULL; watch; watch = watch->next)
                vr_watchqueue_overflow(watch->queue);
    vr_watch_unlock(vfs);
}

/* -- Telling ------------------------------------------------------------------------------------------------------- */

/* How an object's watches hear a note. */
enum as { AS_PARENT, AS_SUPERBLOCK, AS_SELF };

static const void *listener(const struct vr_watch_note *note, enum as as)
{
    if (as == AS_PARENT)
        return note->dir && note->name ? note->dir : NULL;
    if (as == AS_SUPERBLOCK)
        return note->mask & OF_SELF ? NULL : note->sb;
    return note->self ? note->inode : NULL;
}

static bool hears(const struct vr_watch *watch, const struct vr_watch_note *note)
{
    return (watch->mask & note->mask & VRIFT_IN_ALL_EVENTS || note->mask & VRIFT_IN_DEAF) &&
           !(note->unlinked && watch->mask & VRIFT_IN_EXCL_UNLINK && watch->object->inode);
}

/* The watches of whom a note concerns; answers how many hear it. */
static uint32_t count_listeners(const struct vr_watch_note *note)
{
    vrift_vfs *vfs = note->sb->vfs;
    uint32_t count = 0;
    for (enum as as = AS_PARENT; as <= AS_SELF; as++) {
        const void *object = listener(note, as);
        if (!object || !may_be_watched(vfs, object))
            continue;
        const struct vr_watched *watched = find(vfs, object);
        for (const struct vr_watch *watch = watched ? watched->watches : NULL; watch; watch = watch->next)
            count += hears(watch, note);
    }
    return count;
}

static void fill(struct vr_event *event, const struct vr_watch *watch, const struct vr_watch_note *note, bool named)
{
    struct vrift_watch_event *record = &event->record;
    record->wd = watch->wd;
    record->mask = note->mask;
    record->cookie = note->cookie;
    record->dev = note->sb->number;
    record->ino = note->inode ? vr_inode_ino(note->inode) : 0;
    record->flags = note->flags;
    event->whole = !watch->object->inode;
    if (named) {
        record->parent = note->dir ? vr_inode_ino(note->dir) : 0;
    } else {
        record->record_length = (uint32_t)((sizeof *record + 1 + 7) & ~(size_t)7);
        record->name_length = 0;
        *(char *)(event + 1) = '\0';
    }
}

/* To one object's watches; events come from the list. */
static void deliver_to(const struct vr_watch_note *note, enum as as, struct vr_event **events,
                       struct vr_watch_ended *ended)
{
    const void *object = listener(note, as);
    const struct vr_watched *watched = object ? find(note->sb->vfs, object) : NULL;
    struct vr_watch *next;
    for (struct vr_watch *watch = watched ? watched->watches : NULL; watch; watch = next) {
        next = watch->next;
        if (!hears(watch, note))
            continue;
        struct vr_event *event = *events;
        if (event) {
            *events = event->next;
            event->next = NULL;
            fill(event, watch, note, note->name && as != AS_SELF);
            put(watch->queue, event, ended);
        } else {
            vr_watchqueue_overflow(watch->queue);
        }
        if (watch->mask & VRIFT_IN_ONESHOT)
            vr_watch_end(watch, 0, false, ended);
    }
}

void vr_watch_tell(const struct vr_watch_note *note)
{
    vrift_vfs *vfs = note->sb->vfs;
    bool concerned = false;
    if (note->sb->notify && note->dir && note->name && !(note->flags & VRIFT_WATCH_BEHIND))
        vr_notify_own(note->sb, note->dir, note->name, note->length, note->mask);
    for (enum as as = AS_PARENT; as <= AS_SELF; as++) {
        const void *object = listener(note, as);
        concerned = concerned || (object && may_be_watched(vfs, object));
    }
    if (!concerned)
        return;
    vr_watch_lock(vfs);
    uint32_t count = count_listeners(note);
    vr_watch_unlock(vfs);
    if (!count)
        return;
    struct vr_event *events = NULL;
    while (count--) {
        struct vr_event *event = vr_watch_event_new(vfs, note->name, note->name ? note->length : 0);
        if (!event)
            break;
        event->next = events;
        events = event;
    }
    struct vr_watch_ended ended = {NULL, NULL, NULL};
    vr_watch_lock(vfs);
    for (enum as as = AS_PARENT; as <= AS_SELF; as++)
        deliver_to(note, as, &events, &ended);
    vr_watch_unlock(vfs);
    vr_watch_free_ended(vfs, &ended);
    ended.events = events;
    vr_watch_free_ended(vfs, &ended);
}

void vr_watch_deaf(vrift_sb *sb, struct vr_inode *dir)
{
    struct vr_watch_note note = {
        .sb = sb, .inode = dir, .mask = VRIFT_IN_DEAF | VRIFT_IN_ISDIR, .flags = VRIFT_WATCH_BEHIND};
    vr_watch_tell(&note);
}

/* Ends the watches of an inode that no name leads to. */
static void end_nameless(struct vr_inode *inode, bool nameless, bool in_use)
{
    vrift_vfs *vfs = inode->sb->vfs;
    struct vr_watch_ended ended = {NULL, NULL, NULL};
    vr_watch_lock(vfs);
    struct vr_watched *watched = find(vfs, inode);
    if (watched) {
        watched->nameless = watched->nameless || nameless || vr_inode_tmpfile(inode);
        if (watched->nameless && !in_use)
            end_all(watched, VRIFT_IN_DELETE_SELF, &ended);
    }
    vr_watch_unlock(vfs);
    vr_watch_free_ended(vfs, &ended);
}

void vr_watch_unused_now(struct vr_inode *inode)
{
    if (may_be_watched(inode->sb->vfs, inode))
        end_nameless(inode, false, false);
}

void vr_watch_nameless(struct vr_inode *inode, bool in_use)
{
    struct vrift_stat st;
    if (!may_be_watched(inode->sb->vfs, inode))
        return;
    if (vr_is_dir(inode) || (!vr_inode_getattr(inode, vr_inode_now(inode->sb), &st) && !st.nlink))
        end_nameless(inode, true, in_use);
}

/* -- Adding and removing ------------------------------------------------------------------------------------------- */

/* All that a watch may need, allocated before the lock is taken. */
struct adding {
    struct vr_watch *watch;
    struct vr_watched *watched;
};

static void discard(vrift_vfs *vfs, struct adding *adding)
{
    if (adding->watch) {
        vr_alloc_free(vfs->allocator, adding->watch->last);
        vr_alloc_free(vfs->allocator, adding->watch->ignored);
    }
    vr_alloc_free(vfs->allocator, adding->watch);
    vr_alloc_free(vfs->allocator, adding->watched);
}

static int32_t prepare(vrift_vfs *vfs, struct adding *adding)
{
    adding->watched = vr_alloc_zero(vfs->allocator, 1, sizeof *adding->watched);
    adding->watch = vr_alloc_zero(vfs->allocator, 1, sizeof *adding->watch);
    if (!adding->watched || !adding->watch)
        return -VRIFT_ENOMEM;
    adding->watch->last = vr_watch_event_new(vfs, NULL, 0);
    adding->watch->ignored = vr_watch_event_new(vfs, NULL, 0);
    return adding->watch->last && adding->watch->ignored ? 0 : -VRIFT_ENOMEM;
}

/* With the watches locked: the watch of a queue on an object changed, or a new one. Its wd. */
static int32_t put_watch(vrift_watch_queue *queue, vrift_sb *sb, struct vr_inode *inode, uint32_t mask,
                         struct adding *adding)
{
    const void *object = inode ? (const void *)inode : (const void *)sb;
    struct vr_watched *watched = find(sb->vfs, object);
    struct vr_watch *watch = watched ? watched->watches : NULL;
    while (watch && watch->queue != queue)
        watch = watch->next;
    if (watch) {
        if (mask & VRIFT_IN_MASK_CREATE)
            return -VRIFT_EEXIST;
        watch->mask = mask & VRIFT_IN_MASK_ADD ? watch->mask | mask : mask;
        return watch->wd;
    }
    if (!watched) {
        watched = adding->watched;
        adding->watched = NULL;
        watched->object = object;
        watched->sb = sb;
        watched->inode = inode;
        if (inode)
            vr_inode_ref(inode);
        insert(sb->vfs, watched);
    }
    watch = adding->watch;
    adding->watch = NULL;
    watch->mask = mask;
    watch->object = watched;
    watch->wd = vr_watchqueue_next_wd(queue);
    struct vr_watch **last = &watched->watches;
    while (*last)
        last = &(*last)->next;
    *last = watch;
    vr_watchqueue_enter(queue, watch);
    atomic_fetch_add_explicit(&sb->vfs->watches.count, 1, memory_order_relaxed);
    sb->watchers++;
    return watch->wd;
}

/* Once it is watched: if what somebody has open has lost its last name already, the watch ends with its last use. */
static void look_for_names(struct vr_inode *inode)
{
    bool may_be_nameless = vr_is_dir(inode) ? atomic_load(&inode->unlinked) : !vr_inode_tmpfile(inode);
    if (may_be_nameless)
        vr_watch_nameless(inode, true);
}

static int32_t add_once(vrift_watch_queue *queue, vrift_task *task, int32_t dirfd, const char *path, uint32_t mask,
                        uint64_t flags)
{
    struct vr_walk walk;
    uint32_t how = mask & VRIFT_IN_DONT_FOLLOW ? 0 : VR_WALK_FOLLOW;
    how |= (mask & VRIFT_IN_ONLYDIR ? VR_WALK_DIRECTORY : 0) | (flags & VRIFT_AT_EMPTY_PATH ? VR_WALK_EMPTY : 0);
    bool whole = flags & VRIFT_WATCH_SUPERBLOCK;
    struct adding adding = {NULL, NULL};
    int32_t result = vr_walk_begin(&walk, task, dirfd, path, how, 0);
    if (!result)
        result = vr_walk_run(&walk);
    if (!result && whole)
        result = vr_perm_capable(walk.cred, VRIFT_CAP_SYS_ADMIN) ? 0 : -VRIFT_EPERM;
    else if (!result)
        result = vr_perm_check(walk.cred, walk.path.dentry->inode, VR_MAY_READ);
    if (!result)
        result = prepare(task->vfs, &adding);
    if (!result) {
        vr_watch_lock(task->vfs);
        result =
            put_watch(queue, vr_dcache_sb(walk.path.dentry), whole ? NULL : walk.path.dentry->inode, mask, &adding);
        vr_watch_unlock(task->vfs);
        grow(task->vfs);
        vrift_sb *sb = vr_dcache_sb(walk.path.dentry);
        if (result > 0 && !whole)
            look_for_names(walk.path.dentry->inode);
        if (result > 0 && whole && sb->notify && atomic_load(&sb->notify->any_deaf))
            vr_watch_deaf(sb, NULL);
    }
    discard(task->vfs, &adding);
    vr_walk_end(&walk);
    return result;
}

int32_t vrift_watch_add(vrift_watch_queue *queue, vrift_task *task, int32_t dirfd, const char *path, uint32_t mask,
                        uint64_t flags)
{
    int32_t result;
    if (!queue || !task || !path || vr_watchqueue_vfs(queue) != task->vfs)
        return -VRIFT_EINVAL;
    if (flags & ~(VRIFT_WATCH_SUPERBLOCK | VRIFT_AT_EMPTY_PATH) || mask & ~(VRIFT_IN_ALL_EVENTS | HOW_FLAGS) ||
        !(mask & VRIFT_IN_ALL_EVENTS) || (mask & VRIFT_IN_MASK_ADD && mask & VRIFT_IN_MASK_CREATE))
        return -VRIFT_EINVAL;
    VR_WALK_RETRY(result, add_once(queue, task, dirfd, path, mask, flags));
    return result;
}
