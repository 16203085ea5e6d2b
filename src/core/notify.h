/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * SHARED_NOTIFY: what backends tell of changes that others make, and what that leaves of the cache.
 *
 * A cached answer has the time at which the backend was asked. What is told makes everything doubtful that was asked
 * before: a name (by directory and name), the attributes of an inode, or all. The times of doubt lie in tables by hash,
 * so telling costs the same whatever is cached, no answer that is on its way can slip through between asking and
 * keeping, and two things that meet in a slot are only asked once more often than need be.
 *
 * Before an answer older than max_age_ns is vouched for, the backend is made to tell what it has heard ("drained"); an
 * answer that is not doubtful then is as good as one given at that moment.
 */
#ifndef VR_NOTIFY_H
#define VR_NOTIFY_H

#include "core/object.h"

struct vrift_notice;

#define VR_NOTIFY_NAMES 4096u
#define VR_NOTIFY_NODES 1024u
#define VR_NOTIFY_OWN   512u

/* All times are monotonic nanoseconds, 0: never. */
struct vr_notify {
    vr_os_mutex drain_lock;                       /* rank VR_RANK_NOTIFY */
    _Atomic uint64_t drained;                     /* when the backend was last asked what it had heard */
    _Atomic uint64_t drained_before;              /* and the time before */
    _Atomic uint64_t doubt_all;                   /* what was asked before is doubtful */
    _Atomic uint64_t names[VR_NOTIFY_NAMES];      /* likewise of a name, by directory and name */
    _Atomic uint64_t attributes[VR_NOTIFY_NODES]; /* likewise of attributes, by inode */
    _Atomic uint8_t deaf[VR_NOTIFY_NODES];        /* nothing is heard of the names in it, or of its attributes */
    _Atomic uint32_t any_deaf;
    /* What the core itself told watchers lately, so that they do not hear its echo: a hash, and when. */
    _Atomic uint64_t own[VR_NOTIFY_OWN], own_time[VR_NOTIFY_OWN];
};

/* Prepares a superblock whose backend is to tell; does nothing for others. Before `root` is asked. */
int32_t vr_notify_start(vrift_sb *sb);
void vr_notify_stop(vrift_sb *sb); /* nobody uses the superblock any more */
void vr_notify_free(vrift_sb *sb); /* the backend is gone */

/*
 * Is what is cached of a name in dir still true, by what the backend has told up to `now` (less the age allowed)? Then
 * it counts as asked at that time. Without locks; both are held.
 */
bool vr_notify_vouches(struct vr_dentry *dir, struct vr_dentry *dentry, uint64_t now);

/* Likewise of an inode's attributes, which are copied. Without locks, or under the inode's own. */
bool vr_notify_attributes(struct vr_inode *inode, uint64_t now, struct vrift_stat *out);

/* Makes a backend tell what it has heard until now. Without locks of the superblock and of the instance. */
void vr_notify_drain(vrift_sb *sb);

/* Makes those backends tell that somebody watches; answers whether there is one. Without locks. */
bool vr_notify_drain_watched(vrift_vfs *vfs);

/* Watchers have just heard of this from the core. */
void vr_notify_own(vrift_sb *sb, const struct vr_inode *dir, const char *name, uint32_t length, uint32_t mask);

#endif
