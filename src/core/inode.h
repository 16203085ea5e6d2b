/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The core's inodes: identity, locks and cached attributes. */
#ifndef VR_INODE_H
#define VR_INODE_H

#include "core/object.h"

/* An inode without a node yet, to be handed to vr_inode_install(); NULL without memory. */
struct vr_inode *vr_inode_new(vrift_sb *sb);

/* Frees one that was never installed. NULL is fine. */
void vr_inode_discard(struct vr_inode *fresh);

/*
 * Makes `fresh` the inode of a node that a slot handed out, and takes its attributes. If the node's key is known
 * already, answers the known inode with one more reference; `fresh` then holds the spare node and is to be
 * released with vr_inode_unref(). Otherwise answers fresh itself. Cannot fail.
 */
struct vr_inode *vr_inode_install(struct vr_inode *fresh, const struct vrift_entry *entry, uint64_t asked_ns);

static inline void vr_inode_ref(struct vr_inode *inode)
{
    atomic_fetch_add_explicit(&inode->refs, 1, memory_order_relaxed);
}

/* One more reference unless it is dying: for who found it without holding anything that holds it. */
bool vr_inode_ref_if_alive(struct vr_inode *inode);

/* The inode of a key, held, if it is known; NULL else. */
struct vr_inode *vr_inode_known(vrift_sb *sb, const struct vrift_key *key);

/* The hash of a key. */
uint32_t vr_inode_hash(const struct vrift_key *key);

/* With the last reference the node is given back to the backend: call without locks. NULL is fine. */
void vr_inode_unref(struct vr_inode *inode);

/* The node as the backend knows it; *space holds it. */
const struct vrift_node *vr_inode_node(const struct vr_inode *inode, struct vrift_node *space);

/* What only some inodes need: as it is, or NULL; and made if need be, NULL without memory. Call without leaf locks. */
static inline struct vr_inode_extra *vr_inode_extra_of(const struct vr_inode *inode)
{
    return atomic_load_explicit(&inode->extra, memory_order_acquire);
}
struct vr_inode_extra *vr_inode_extra(struct vr_inode *inode);

/* VRIFT_CREATE_TMPFILE and _UNLINKABLE of a file that was made without a name and has none yet. */
static inline uint32_t vr_inode_tmpfile(const struct vr_inode *inode)
{
    const struct vr_inode_extra *extra = vr_inode_extra_of(inode);
    return extra ? atomic_load_explicit(&extra->tmpfile, memory_order_relaxed) : 0;
}

/* The backend no longer finds it: names that mean it are looked up anew. */
void vr_inode_doubt(struct vr_inode *inode);

void vr_inode_lock(struct vr_inode *inode, enum vr_rank rank);
void vr_inode_unlock(struct vr_inode *inode, enum vr_rank rank);
void vr_inode_lock_shared(struct vr_inode *inode, enum vr_rank rank);

/* What vr_inode_attr_update() wants: taken before the backend is asked. */
static inline uint64_t vr_inode_attr_token(struct vr_inode *inode)
{
    return atomic_load_explicit(&inode->attr_seq, memory_order_acquire);
}

/* Attributes were read; kept unless they changed since the token was taken. */
void vr_inode_attr_fresh(struct vr_inode *inode, uint64_t token, const struct vrift_stat *attr, uint64_t asked_ns);

/* Attributes were changed by us to these; if another change came between, none are known. The inode is locked. */
void vr_inode_attr_update(struct vr_inode *inode, uint64_t token, const struct vrift_stat *attr);

/*
 * Likewise by a change of others than mode, owner and ACLs that is made without the inode's lock: those are what the
 * other change says.
 */
void vr_inode_attr_touched(struct vr_inode *inode, uint64_t token, const struct vrift_stat *attr);

/* Attributes changed in a way that only the backend knows. */
void vr_inode_attr_forget(struct vr_inode *inode);

/* The backend has neither of VR_MODE_... that were asked for after the token was taken: spares asking again. */
void vr_inode_lacks(struct vr_inode *inode, uint64_t token, uint32_t rights);

/* Somebody else may have changed its mode, owner or ACLs. */
void vr_inode_doubt_rights(struct vr_inode *inode);

/* It has them now: after vr_inode_attr_forget(), so that no older answer takes them away. */
void vr_inode_gained(struct vr_inode *inode, uint32_t rights);
/* Attributes as they lie in an inode, all of one moment. */
struct vr_attr_raw {
    uint64_t key, size, times[4];
    uint32_t mode, uid, gid;
    uint16_t nlink, version;
    uint8_t mask, forms;
    uint32_t seq;                   /* attr_seq */
    uint64_t extra[VR_EXTRA_WORDS]; /* where forms say so */
};

/*
 * Copies the attributes if they are known and not older than `age` at `now`, which may be 0 for VR_AGE_STABLE. Without
 * a lock or a reference too; whether it was the right inode is then for the caller to find out. False also when they
 * are being written.
 */
bool vr_inode_attr_load(struct vr_inode *inode, uint64_t now, uint64_t age, struct vr_attr_raw *out);
void vr_inode_attr_expand(const struct vr_attr_raw *raw, struct vrift_stat *out);

/* When the backend was asked for them, where attributes are not stable; 0: they are not known. */
uint64_t vr_inode_attr_asked(const struct vr_inode *inode);

/* Copies the attributes if they are known and not older than the superblock allows; now may be 0 if stable. */
bool vr_inode_attr_get(struct vr_inode *inode, uint64_t now, struct vrift_stat *out);

/* Its number, also while its attributes are not known; 0 if they never were. */
uint64_t vr_inode_ino(const struct vr_inode *inode);

/* Attributes from the cache or the backend; without locks, or under the inode's own. */
int32_t vr_inode_getattr(struct vr_inode *inode, uint64_t now, struct vrift_stat *out);

/* Attributes from the backend, to be kept. */
int32_t vr_inode_ask(struct vr_inode *inode, struct vrift_stat *out);

/* The text of a symlink, kept with the inode. */
int32_t vr_inode_readlink(struct vr_inode *inode, const char **out);

/* Monotonic now if the superblock needs to know ages, else 1. */
uint64_t vr_inode_now(const vrift_sb *sb);

/* Changes attributes and keeps the result. The inode is locked exclusively. */
int32_t vr_inode_setattr(struct vr_inode *inode, void *handle, const struct vrift_setattr *set);

/* Of inodeattr.c. The attributes of a fresh inode, with the extra that vr_inode_attr_wants_extra() asked for. */
bool vr_inode_attr_wants_extra(const struct vr_inode *inode, const struct vrift_stat *attr);

#endif
