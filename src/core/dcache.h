/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The dentry cache: which name means which inode. Its lock is one reader-writer lock an instance; the functions that
 * begin and end a read section are the only place that a lock-free reader would replace.
 *
 * "r" at a function: the read section is held (or the write section); "w": the write section.
 */
#ifndef VR_DCACHE_H
#define VR_DCACHE_H

#include "core/object.h"

/* What died under the lock, to be let go without one. */
struct vr_reap {
    struct vr_dentry *dentries; /* by hash_next */
    struct vr_dentry *fresh;    /* by hash_next: never added */
    struct vr_inode *spares;    /* by hash_next: never in the inode table */
    struct vr_inode *inode;     /* of a name that turned negative */
};
#define VR_REAP_INIT                                                                                                   \
    {                                                                                                                  \
        NULL, NULL, NULL, NULL                                                                                         \
    }

int32_t vr_dcache_init(vrift_vfs *vfs);
void vr_dcache_dispose(vrift_vfs *vfs);

void vr_dcache_read_begin(vrift_vfs *vfs);
void vr_dcache_read_end(vrift_vfs *vfs);
void vr_dcache_write_begin(vrift_vfs *vfs);
void vr_dcache_write_end(vrift_vfs *vfs);

/* A whole name as a component. Looking names up is in core/dcachehot.h. */
void vr_dcache_name(const char *name, size_t length, struct vr_component *out);

/* A dentry that is not in the cache yet, negative and with one reference; NULL without memory. */
struct vr_dentry *vr_dcache_new(vrift_sb *sb, const struct vr_component *name);

/* Frees one that was never added; does not touch its inode. NULL is fine. */
void vr_dcache_discard(struct vr_dentry *fresh);

/*
 * w: puts a fresh dentry, whose inode is set, under its parent and answers it. If the name is there with the same
 * inode, that one gets the reference and is answered, and fresh is reaped; what is there with another is dropped.
 * NULL for a negative one that the directory has no room for; fresh is reaped then.
 */
struct vr_dentry *vr_dcache_add(struct vr_dentry *parent, struct vr_dentry *fresh, uint64_t checked_ns,
                                struct vr_reap *reap);

/* w: makes fresh a child without a name in the cache (an unnamed file). */
void vr_dcache_attach(struct vr_dentry *parent, struct vr_dentry *fresh);

/* w: takes a name out of the cache; whoever holds it keeps it. `gone`: it was removed, not merely forgotten. */
void vr_dcache_drop(struct vr_dentry *dentry, bool gone, struct vr_reap *reap);

/* w: the name was removed: turns it negative if only the caller holds it and that may be kept, else drops it. */
void vr_dcache_removed(struct vr_dentry *dentry, struct vr_reap *reap);

/* w: drops all children of a directory that was removed. */
void vr_dcache_prune(struct vr_dentry *dir, struct vr_reap *reap);

/*
 * w: gives a dentry another parent and name. *name is an allocation that holds as->name and a NUL; it is taken, and
 * what takes its place is to be freed by the caller (NULL: nothing). The new name must not be in the cache.
 */
void vr_dcache_move(struct vr_dentry *dentry, struct vr_dentry *parent, char **name, const struct vr_component *as,
                    struct vr_reap *reap);

/* w: two dentries change places; each name as in vr_dcache_move(), name_a being what a is called afterwards. */
void vr_dcache_swap(struct vr_dentry *a, char **name_a, struct vr_dentry *b, char **name_b, struct vr_reap *reap);

/* w: something doubtful happened to a directory's names: it is no longer complete, and `name`, if negative, goes. */
void vr_dcache_doubt(struct vr_dentry *dir, const struct vr_component *name, struct vr_reap *reap);

/* r: one more reference. */
static inline void vr_dcache_ref(struct vr_dentry *dentry)
{
    atomic_fetch_add_explicit(&dentry->refs, 1, memory_order_relaxed);
}

/* One less; without locks. NULL is fine. */
void vr_dcache_unref(struct vr_dentry *dentry);

/* w: one less. */
void vr_dcache_unref_locked(struct vr_dentry *dentry, struct vr_reap *reap);

/* Adds an inode that vr_inode_install() answered another one for. */
void vr_dcache_reap_spare(struct vr_reap *reap, struct vr_inode *spare);

/* Lets go what died; without locks of the superblocks it came from. */
void vr_dcache_reap(vrift_vfs *vfs, struct vr_reap *reap);

/* r: is `dentry` dir or below it? */
bool vr_dcache_below(const struct vr_dentry *dentry, const struct vr_dentry *dir);

/* A superblock nobody uses any more: lets all its dentries go but the root. */
void vr_dcache_shrink_sb(vrift_sb *sb);

/* Makes room if the budget is exceeded, sparing superblocks stacked deeper than depth; grows the table. */
void vr_dcache_balance(vrift_vfs *vfs, uint32_t depth);

/* Drops everything unused. */
void vr_dcache_drop_all(vrift_vfs *vfs);

static inline bool vr_dcache_hashed(const struct vr_dentry *dentry)
{
    return dentry->flags & (VR_DENTRY_HASHED | VR_DENTRY_ROOT);
}

#endif
