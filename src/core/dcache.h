/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The dentry cache: which name means which inode.
 *
 * Readers without a lock (core/walk.c) note vr_dcache.seq, which must be even, follow pointers, and believe what they
 * saw only if seq is still the same. It is odd in a write section, and in a read section from the moment something is
 * taken out there. Adding a name does not move it: a reader finds the name or does not, and either was true while it
 * looked. For that it is enough that a dentry is whole before its bucket points to it; that a directory becomes complete
 * in a write section only, so that who saw the flag and then found no name knows that none had been there; and that a
 * negative name goes out in the section in which the positive one comes in.
 *
 * "r" at a function: the read section is held (or the write section); "w": the write section. Both exclude each other
 * and themselves; what they guard is guarded by either.
 */
#ifndef VR_DCACHE_H
#define VR_DCACHE_H

#include "core/object.h"

/* What died under the lock, to be let go without one. */
struct vr_reap {
    struct vr_dentry *dentries; /* by link */
    struct vr_inode *spares;    /* by link: never in the inode table */
};
#define VR_REAP_INIT                                                                                                   \
    {                                                                                                                  \
        NULL, NULL                                                                                                     \
    }

int32_t vr_dcache_init(vrift_vfs *vfs);
void vr_dcache_dispose(vrift_vfs *vfs);

void vr_dcache_read_begin(vrift_vfs *vfs);
void vr_dcache_read_end(vrift_vfs *vfs);
void vr_dcache_write_begin(vrift_vfs *vfs);
void vr_dcache_write_end(vrift_vfs *vfs);

/* r: something that a reader could have passed is about to change; until the section ends, seq is odd. */
void vr_dcache_changing(vrift_vfs *vfs);

/* A whole name as a component. Looking names up is in core/dcachehot.h. */
void vr_dcache_name(const char *name, size_t length, struct vr_component *out);

/* A dentry that is not in the cache yet, for an inode, and with one reference; NULL without memory. */
struct vr_dentry *vr_dcache_new(vrift_sb *sb, const struct vr_component *name);

/* Likewise of a name that does not exist. */
struct vr_dentry *vr_dcache_new_negative(vrift_sb *sb, const struct vr_component *name);

/* Frees one that was never added; does not touch its inode. NULL is fine. */
void vr_dcache_discard(vrift_vfs *vfs, struct vr_dentry *fresh);

/* r, or whoever holds it or its parent: where a dentry belongs. */
static inline vrift_sb *vr_dcache_sb(const struct vr_dentry *dentry)
{
    const struct vr_inode *inode = dentry->inode;
    return inode ? inode->sb : dentry->parent->inode->sb;
}

/* r: is anything mounted on it, in any namespace? */
static inline bool vr_dcache_mounted(const struct vr_dentry *dentry)
{
    return dentry->flags & VR_DENTRY_MOUNTED;
}

/* r: the name into buf, without a NUL; returns its length. */
size_t vr_dcache_name_of(const struct vr_dentry *dentry, char buf[VRIFT_NAME_MAX]);

/* Memory for a name that is about to become a dentry's; *out is NULL if it needs none. 0 or -VRIFT_ENOMEM. */
int32_t vr_dcache_longname(vrift_vfs *vfs, const struct vr_component *name, struct vr_longname **out);
void vr_dcache_longname_free(vrift_vfs *vfs, struct vr_longname *name, uint32_t length);

/*
 * r: puts a fresh dentry, whose inode is set, under its parent and answers it. If the name is there with the same
 * inode, that one gets the reference and is answered, and fresh is reaped; what is there with another is dropped.
 * NULL for a negative one that the directory has no room for; fresh is reaped then.
 */
struct vr_dentry *vr_dcache_add(struct vr_dentry *parent, struct vr_dentry *fresh, uint64_t checked_ns,
                                struct vr_reap *reap);

/* r: makes fresh a child without a name in the cache (an unnamed file). */
void vr_dcache_attach(struct vr_dentry *parent, struct vr_dentry *fresh);

/* w: takes a name out of the cache; whoever holds it keeps it. `gone`: it was removed, not merely forgotten. */
void vr_dcache_drop(struct vr_dentry *dentry, bool gone, struct vr_reap *reap);

/* w: the name was removed: drops it, and puts a negative one in its place if that may be kept. */
void vr_dcache_removed(struct vr_dentry *dentry, struct vr_reap *reap);

/*
 * w: a name is removed or renamed, and `dentry` is what it meant when its directory was locked. If that was forgotten
 * since, and the name looked up anew, it is another dentry's: that one goes.
 */
void vr_dcache_drop_double(struct vr_dentry *dir, const struct vr_component *name, const struct vr_dentry *dentry,
                           struct vr_reap *reap);

/* w: a directory was removed: its children, which hold it, are dropped, at once if that is cheap. */
void vr_dcache_prune(struct vr_dentry *dir, struct vr_reap *reap);

/*
 * w: gives a dentry another parent and name. *text is what vr_dcache_longname() made of the name; it is taken, and
 * what takes its place, of *length bytes, is to be freed by the caller. The new name must not be in the cache.
 */
void vr_dcache_move(struct vr_dentry *dentry, struct vr_dentry *parent, const struct vr_component *as,
                    struct vr_longname **text, uint32_t *length, struct vr_reap *reap);

/* w: two dentries change places, and names with them. */
void vr_dcache_swap(struct vr_dentry *a, struct vr_dentry *b, struct vr_reap *reap);

/* w: something doubtful happened to a directory's names: it is no longer complete, and `name`, if negative, goes. */
void vr_dcache_doubt(struct vr_dentry *dir, const struct vr_component *name, struct vr_reap *reap);

/* r: one more reference. */
static inline void vr_dcache_ref(struct vr_dentry *dentry)
{
    atomic_fetch_add_explicit(&dentry->refs, 1, memory_order_relaxed);
}

/* One less; without locks. NULL is fine. */
void vr_dcache_unref(struct vr_dentry *dentry);

/* Likewise of what may be another dentry by now than the one that was meant. */
void vr_dcache_unref_of(vrift_vfs *vfs, struct vr_dentry *dentry);

/* r: one less. */
void vr_dcache_unref_locked(struct vr_dentry *dentry, struct vr_reap *reap);

/* Adds an inode that vr_inode_install() answered another one for. */
void vr_dcache_reap_spare(struct vr_reap *reap, struct vr_inode *spare);

/* Lets go what died; without locks of the superblocks it came from. */
void vr_dcache_reap(vrift_vfs *vfs, struct vr_reap *reap);

/* r: is `dentry` dir or below it? */
bool vr_dcache_below(const struct vr_dentry *dentry, const struct vr_dentry *dir);

/* A superblock nobody uses any more: lets all its dentries go, at last the root. */
void vr_dcache_shrink_sb(vrift_sb *sb);

/* Makes room if the budget is exceeded, sparing superblocks stacked deeper than depth; grows the table. */
void vr_dcache_balance(vrift_vfs *vfs, uint32_t depth);

/* Drops everything unused of a superblock. */
void vr_dcache_drop_sb(vrift_sb *sb);

/* Drops everything unused. */
void vr_dcache_drop_all(vrift_vfs *vfs);

static inline bool vr_dcache_hashed(const struct vr_dentry *dentry)
{
    return dentry->flags & (VR_DENTRY_HASHED | VR_DENTRY_ROOT);
}

/* Of dcacheclock.c. r: room for one more negative name in a directory? Another one goes, if one is soon found. */
bool vr_dcacheclock_negative_room(struct vr_dentry *parent, struct vr_reap *reap);
/* r: lets go a dentry that nobody holds and nobody can find. */
void vr_dcache_kill(struct vr_dentry *dentry, struct vr_reap *reap);

#endif
