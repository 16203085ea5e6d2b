/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Locks of files: who has which range of an inode, and who waits for one.
 *
 * An inode that somebody has locked or wants to has a lockset, found by the inode's address in a table of the instance
 * that is cut into shards with a mutex each. The lockset holds the inode. Whoever lets a lock go hands it over: it
 * goes through those that wait, first come first served, and sets the locks of all that nothing excludes any more.
 *
 * "s" at a function: the shard's mutex is held.
 */
#ifndef VR_LOCK_H
#define VR_LOCK_H

#include "core/wait.h"

enum vr_lock_kind {
    VR_LOCK_TABLE,  /* a POSIX lock: owner is a struct vr_fdtable */
    VR_LOCK_NUMBER, /* a POSIX lock: owner is a number that the caller gave */
    VR_LOCK_FILE,   /* an OFD lock or, in the list of its own, a flock: owner is a vrift_file */
};

struct vr_lock_owner {
    enum vr_lock_kind kind;
    uint64_t id; /* an address or a number; nothing is held */
};

/* A range that is locked, from start to end inclusive. */
struct vr_lock {
    struct vr_lock *next;
    struct vr_lock_owner owner;
    const vrift_file *file; /* through which it was set */
    int64_t start, end;
    int32_t type; /* VRIFT_F_RDLCK, VRIFT_F_WRLCK */
    int32_t pid;
};

enum vr_lock_list { VR_LOCK_RECORDS, VR_LOCK_FLOCKS, VR_LOCK_LISTS };

/* What is to be set or, with VRIFT_F_UNLCK, dropped. */
struct vr_lock_request {
    enum vr_lock_list list;
    struct vr_lock want;
    struct vr_lock *spare; /* what setting it takes from, two at least, and adds what it frees to */
};

/* One who waits, on the waiting thread's stack. */
struct vr_lock_waiter {
    struct vr_lock_request *request;
    struct vr_sleeper sleeper;
    bool done;                                       /* s: out of the queue, `result` says how it went */
    int32_t result;                                  /* s */
    struct vr_lock_waiter *next;                     /* s */
    struct vr_lock_owner blocker;                    /* s, and the graph lock to write: who is in the way */
    bool tied;                                       /* graph lock: in the graph */
    struct vr_lock_waiter *tied_next, **tied_before; /* graph lock */
};

struct vr_lockset {
    struct vr_lockset *hash_next;         /* s */
    struct vr_inode *inode;               /* held */
    struct vr_lock *lists[VR_LOCK_LISTS]; /* s; the locks of one owner are neighbours, by start */
    struct vr_lock_waiter *first, **last; /* s; in the order of asking */
};

/* -- lockset.c: the lists, without locks of ours ------------------------------------------------------------------- */

static inline bool vr_lockset_same(const struct vr_lock_owner *a, const struct vr_lock_owner *b)
{
    return a->kind == b->kind && a->id == b->id;
}

/* Does a lock keep another from being set? */
bool vr_lockset_excludes(const struct vr_lock *lock, const struct vr_lock *want);

/* What keeps a lock from being set, or NULL. */
struct vr_lock *vr_lockset_conflict(const struct vr_lockset *set, enum vr_lock_list list, const struct vr_lock *want);

/* The first lock of want's owner itself that overlaps it, or NULL. */
struct vr_lock *vr_lockset_own(const struct vr_lockset *set, enum vr_lock_list list, const struct vr_lock *want);

/* Sets or drops it, whatever is in the way. Two spares are needed, none to drop everything. */
void vr_lockset_apply(struct vr_lockset *set, struct vr_lock_request *request);

/* Takes out all locks of an owner (NULL: of anybody) that were set through a file (NULL: any) to *out. */
void vr_lockset_strip(struct vr_lockset *set, const struct vr_lock_owner *owner, const vrift_file *file,
                      struct vr_lock **out);

/* -- lock.c -------------------------------------------------------------------------------------------------------- */

int32_t vr_lock_init(vrift_vfs *vfs);
void vr_lock_dispose(vrift_vfs *vfs);

/* Sets or drops a lock of an inode; `may_wait`: for as long as `how` says. */
int32_t vr_lock_set(struct vr_inode *inode, enum vr_lock_list list, const struct vr_lock *want, bool may_wait,
                    const struct vrift_wait *how);

/* The record lock that is in the way of *lock, or VRIFT_F_UNLCK as its type. */
void vr_lock_test(struct vr_inode *inode, struct vr_lock *lock);

/* A table lets a descriptor of a file go: its POSIX locks of the inode go, as locks_remove_posix() of Linux. */
void vr_lock_closed(struct vr_fdtable *table, vrift_file *file);

/* The last reference of a description is gone, and with it all that was locked through it. */
void vr_lock_released(vrift_file *file);

#endif
