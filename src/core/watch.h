/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Watches, the core's side: who has to hear of what, and the queues.
 *
 * Each operation tells of itself after it has succeeded, with the locks that order it against others still held. While
 * nothing is watched in the instance that costs one relaxed load, while something is, one more for each inode.
 *
 * One lock (vfs->watches.lock, a leaf) guards watches and queues. No memory is allocated and nothing is freed under
 * it: telling counts first who listens, allocates, and then delivers; what a watch says last is allocated with it.
 */
#ifndef VR_WATCH_H
#define VR_WATCH_H

#include "core/dcache.h"

#include <vrift/watch.h>

/* An event in a queue. The name follows the record. */
struct vr_event {
    struct vr_event *next;
    bool whole; /* for the watch of a superblock: not joined with one about another inode */
    struct vrift_watch_event record;
};

/* That a queue listens to an object. */
struct vr_watch {
    struct vr_watch *next;       /* on the same object; the watches' lock, as all of it */
    struct vr_watch *queue_next; /* in the queue's bucket; after its end: the list of what is to be freed */
    vrift_watch_queue *queue;
    struct vr_watched *object;
    struct vr_event *last; /* for DELETE_SELF or UNMOUNT; NULL once queued */
    struct vr_event *ignored;
    int32_t wd;
    uint32_t mask; /* VRIFT_IN_..., with how to watch */
    bool counted;  /* of a backend that tells: its queue has a counter of its own for that */
};

/* An object with at least one watch. */
struct vr_watched {
    struct vr_watched *next; /* in its bucket */
    const void *object;      /* the inode or the superblock */
    vrift_sb *sb;
    struct vr_inode *inode; /* held; NULL: a superblock, which is not held: its end ends the watch */
    struct vr_watch *watches;
    bool nameless; /* its last name is gone: with a dentry that somebody still uses it ends */
};

/* What one operation tells. */
struct vr_watch_note {
    vrift_sb *sb;
    struct vr_inode *dir; /* whose watches hear it under the name; NULL: none */
    const char *name;     /* NULL: no name is known */
    uint32_t length;
    struct vr_inode *inode; /* what it is about; NULL: not known */
    uint32_t mask;
    uint32_t cookie;
    bool self;     /* the inode's own watches hear it too */
    bool unlinked; /* who excludes what was unlinked does not hear it */
    uint32_t flags;
};

int32_t vr_watch_init(vrift_vfs *vfs);
void vr_watch_dispose(vrift_vfs *vfs);

/* Does anybody watch anything? */
static inline bool vr_watch_any(const vrift_vfs *vfs)
{
    return atomic_load_explicit(&vfs->watches.count, memory_order_relaxed) != 0;
}

/* A name of an inode is gone. If it was the last, the watches end: now, or when the dentry dies that somebody uses. */
void vr_watch_nameless(struct vr_inode *inode, bool in_use);

/* Delivers a note; -VRIFT_ENOMEM shows to the listeners as an overflow. */
void vr_watch_tell(const struct vr_watch_note *note);

void vr_watch_created_now(struct vr_inode *dir, const struct vr_component *name, struct vr_inode *inode);
void vr_watch_linked_now(struct vr_inode *dir, const struct vr_component *name, struct vr_inode *inode);
void vr_watch_removed_now(struct vr_inode *dir, const struct vr_component *name, struct vr_inode *inode, bool in_use);
void vr_watch_moved_now(struct vr_inode *old_dir, const struct vr_component *old_name, struct vr_inode *inode,
                        struct vr_inode *new_dir, const struct vr_component *new_name, struct vr_inode *victim);
void vr_watch_file_now(struct vr_dentry *dentry, uint32_t mask, bool by_file);
void vr_watch_unused_now(struct vr_inode *inode);

/* A name was made. The directory is locked. */
static inline void vr_watch_created(struct vr_inode *dir, const struct vr_component *name, struct vr_inode *inode)
{
    if (vr_watch_any(dir->sb->vfs))
        vr_watch_created_now(dir, name, inode);
}

/* An inode got one more name. The directory is locked. */
static inline void vr_watch_linked(struct vr_inode *dir, const struct vr_component *name, struct vr_inode *inode)
{
    if (vr_watch_any(dir->sb->vfs))
        vr_watch_linked_now(dir, name, inode);
}

/* A name was removed. The directory is locked. in_use: somebody holds its dentry, beside the caller. */
static inline void vr_watch_removed(struct vr_inode *dir, const struct vr_component *name, struct vr_inode *inode,
                                    bool in_use)
{
    if (vr_watch_any(dir->sb->vfs))
        vr_watch_removed_now(dir, name, inode, in_use);
}

/* A name was renamed, over `victim` if that is not NULL. Both directories are locked. */
static inline void vr_watch_moved(struct vr_inode *old_dir, const struct vr_component *old_name, struct vr_inode *inode,
                                  struct vr_inode *new_dir, const struct vr_component *new_name,
                                  struct vr_inode *victim)
{
    if (vr_watch_any(old_dir->sb->vfs))
        vr_watch_moved_now(old_dir, old_name, inode, new_dir, new_name, victim);
}

/* Something happened to what the dentry names: to it, and to its directory under its name. */
static inline void vr_watch_dentry(struct vr_dentry *dentry, uint32_t mask)
{
    if (mask && vr_watch_any(vr_dcache_sb(dentry)->vfs))
        vr_watch_file_now(dentry, mask, false);
}

/* Likewise through an open file, to which VRIFT_IN_EXCL_UNLINK applies. */
static inline void vr_watch_file(struct vr_dentry *dentry, uint32_t mask)
{
    if (vr_watch_any(vr_dcache_sb(dentry)->vfs))
        vr_watch_file_now(dentry, mask, true);
}

/* A dentry of the inode has died: if no name leads to the inode any more, so do its watches, as on Linux. */
static inline void vr_watch_unused(struct vr_inode *inode)
{
    if (vr_watch_any(inode->sb->vfs))
        vr_watch_unused_now(inode);
}

/* What fsnotify_change() of Linux tells of a setattr. */
uint32_t vr_watch_of_setattr(const struct vrift_setattr *set);

/* Says to the watches of a superblock that nothing is heard of the names in a directory; NULL: in some. */
void vr_watch_deaf(vrift_sb *sb, struct vr_inode *dir);

/* Says to whoever watches something in a superblock that events were lost. */
void vr_watch_lost(vrift_sb *sb);

/* Ends the watches of a superblock that nobody uses any more. */
void vr_watch_unmount(vrift_sb *sb);

/* -- Between watch.c and watchqueue.c, with the watches locked ----------------------------------------------------- */

/* What is to be freed once the lock is given back. */
struct vr_watch_ended {
    struct vr_event *events;
    struct vr_watch *watches; /* by queue_next */
    struct vr_watched *objects;
};

void vr_watch_lock(vrift_vfs *vfs);
void vr_watch_unlock(vrift_vfs *vfs);
void vr_watch_free_ended(vrift_vfs *vfs, struct vr_watch_ended *ended);

/* Ends a watch, saying `last` (0: nothing) if it listens to that, and IGNORED unless its queue is being freed. */
void vr_watch_end(struct vr_watch *watch, uint32_t last, bool silent, struct vr_watch_ended *ended);

/* Queues an event, or joins it with the last one, or loses it: then it is answered, to be freed. */
struct vr_event *vr_watchqueue_put(vrift_watch_queue *queue, struct vr_event *event);
/* Says that an event was lost. */
void vr_watchqueue_overflow(vrift_watch_queue *queue);
void vr_watchqueue_enter(vrift_watch_queue *queue, struct vr_watch *watch);
void vr_watchqueue_leave(struct vr_watch *watch);
vrift_vfs *vr_watchqueue_vfs(const vrift_watch_queue *queue);
int32_t vr_watchqueue_next_wd(vrift_watch_queue *queue);

struct vr_event *vr_watch_event_new(const vrift_vfs *vfs, const char *name, uint32_t length);

#endif
