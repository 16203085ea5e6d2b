/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The objects of the core and who guards what in them.
 *
 * Lifetimes: an open description holds its mount and dentry; a dentry holds its parent and its inode; a mount holds
 * its superblock, its root dentry and its mount point; an inode holds its superblock's memory. A
 * dentry does not hold its superblock: let the dentry go before the mount.
 *
 * "the dcache lock" is vrift_vfs.dcache.lock. What it guards is read under its read side and changed under its write
 * side. No memory is allocated and nothing is called under it.
 */
#ifndef VR_OBJECT_H
#define VR_OBJECT_H

#include "core/lockrank.h"
#include "platform/os.h"

#include <vrift/backend.h>
#include <vrift/error.h>
#include <vrift/vfs.h>

#include <stdatomic.h>
#include <stdbool.h>

/* Words of struct vrift_stat that are kept: all before `spare`. */
#define VR_ATTR_WORDS (offsetof(struct vrift_stat, spare) / 8)

#define VR_ATTR_LOCKS    64
#define VR_MOUNT_BUCKETS 256
#define VR_WATCH_FILTER  512

struct vr_dentry;
struct vr_inode;
struct vr_mount;
struct vr_watched;

struct vr_path {
    struct vr_mount *mount;
    struct vr_dentry *dentry;
};

/* A name within a path, with its hash; not NUL-terminated. */
struct vr_component {
    const char *name;
    uint32_t length;
    uint32_t hash;
};

#define VR_DENTRY_HASHED    1u  /* the cache finds it */
#define VR_DENTRY_COMPLETE  2u  /* a directory, and every name in it is hashed below it */
#define VR_DENTRY_ROOT      4u  /* of a superblock: never hashed, held by it */
#define VR_DENTRY_NAME_HEAP 8u  /* name is an allocation of its own */
#define VR_DENTRY_LISTED    16u /* in one of the clock's rings */

/* A name in a directory. refs counts the holders and the children; 0 means cached and unused. */
struct vr_dentry {
    struct vr_dentry *hash_next; /* dcache lock; after its death: the reap list */
    struct vr_dentry *parent;    /* dcache lock; itself for a root */
    struct vr_inode *inode;      /* dcache lock; NULL: the name does not exist */
    char *name;                  /* dcache lock */
    uint32_t hash;               /* dcache lock */
    uint16_t name_length;        /* dcache lock */
    uint16_t flags;              /* dcache lock; VR_DENTRY_... */
    uint32_t mounted;            /* dcache lock; mounts on it, in all namespaces */
    uint32_t positive;           /* dcache lock; hashed children that exist */
    uint32_t negative;           /* dcache lock; hashed children that do not */
    _Atomic uint32_t refs;       /* from 0 to 1 under the dcache lock, read side suffices */
    _Atomic uint64_t checked_ns; /* when the backend last said so; monotonic */
    vrift_sb *sb;
    struct vr_dentry *first_child;               /* dcache lock; hashed and dropped ones */
    struct vr_dentry *child_next, **child_prev;  /* dcache lock */
    struct vr_dentry *clock_next, *clock_before; /* dcache lock */
    _Atomic uint8_t used;                        /* since the clock's hand last passed */
    char inline_name[];
};

/* What vr_inode.mode holds above the 16 bits of st_mode: what a check must know without looking further. */
#define VR_MODE_IMMUTABLE   0x010000u
#define VR_MODE_APPEND      0x020000u
#define VR_MODE_NOATIME     0x040000u
#define VR_MODE_ACL         0x080000u /* may have an access ACL: mode, uid and gid alone do not decide */
#define VR_MODE_DEFAULT_ACL 0x100000u /* a directory that may have a default ACL */
#define VR_MODE_FILE_CAPS   0x200000u /* has security.capability, and the core is to take it away */

/* A file, directory, or whatever else a backend's key names. */
struct vr_inode {
    _Atomic uint32_t refs; /* from 0 it never rises again */
    _Atomic uint32_t mode; /* type, permissions and VR_MODE_..., for checks; the truth is in attr */
    _Atomic uint32_t uid;
    _Atomic uint32_t gid;
    vrift_sb *sb;
    _Atomic(char *) link;       /* text of a symlink once it was read; stays until death */
    _Atomic uint32_t attr_seq;  /* odd while attr is written; written under the attr lock */
    _Atomic uint32_t stale;     /* the backend said ESTALE: names that mean it are looked up anew */
    _Atomic uint32_t unlinked;  /* a directory that was removed: no name may be made in it; written under lock */
    _Atomic uint64_t attr_time; /* when attr was asked, monotonic; 0: unknown. Part of what attr_seq covers */
    _Atomic uint64_t attr[VR_ATTR_WORDS];
    _Atomic uint64_t attr_token; /* grows with each change; written under the attr lock */
    struct vrift_node node;
    struct vr_inode *hash_next; /* sb->inode_lock; after its death: the reap list */
    uint32_t key_hash;
    uint32_t tmpfile;  /* VRIFT_CREATE_TMPFILE and _UNLINKABLE as it was made; set once before it is seen */
    vr_os_rwlock lock; /* directory: its names. file: exclusive for write, truncate, setattr, link, unlink */
};

/*
 * A superblock at a place in a namespace. A mount in a namespace is held once for being there; one that hangs below a
 * mount that was taken out of its namespace is held by that one. Children do not hold their parents.
 */
struct vr_mount {
    _Atomic uint32_t refs;      /* the tree's one, users */
    _Atomic uint32_t flags;     /* VRIFT_MOUNT_... */
    _Atomic uint32_t writers;   /* who may write through it now */
    _Atomic uint32_t expiring;  /* VRIFT_UMOUNT_EXPIRE was asked and nobody has used it since */
    vrift_ns *ns;               /* dcache lock; NULL once it is out of the tree */
    struct vr_mount *parent;    /* dcache lock; NULL for a namespace's root and a detached one */
    struct vr_dentry *point;    /* dcache lock; held */
    struct vr_mount *hash_next; /* dcache lock */
    vrift_sb *sb;               /* held */
    struct vr_dentry *root;     /* held */
    uint64_t id;
    /* What walks do not look at. Changed in a write section that is also under the tree mutex: either suffices to read. */
    struct vr_mount *first_child, *last_child;
    struct vr_mount *before, *after; /* siblings */
    /* Propagation; tree mutex. See core/propagate.h. */
    struct vr_mount *peer_before, *peer_after; /* a ring with itself */
    struct vr_mount *master;                   /* whose events it receives */
    struct vr_mount *first_slave;
    struct vr_mount *slave_before, *slave_after;
    uint64_t group; /* peers have the same; 0: not shared */
    uint32_t unbindable;
    /* Scratch of one change; tree mutex. */
    uint32_t mark;
    struct vr_mount *twin;     /* its latest copy */
    struct vr_mount *received; /* what is being hung on it */
    struct vr_mount *queue, *next;
};

struct vr_dcache {
    vr_os_rwlock lock;
    struct vr_dentry **buckets;      /* lock */
    uint32_t mask;                   /* lock */
    struct vr_dentry *ring[2];       /* lock; the clock's hands: 0 existing, 1 negative names */
    struct vr_mount **mounts;        /* lock; by parent and point */
    _Atomic uint64_t dentries;       /* written under the lock's write side */
    _Atomic uint64_t negatives;      /* likewise */
    _Atomic uint64_t bytes;          /* charged: dentries, inodes, link texts */
    _Atomic uint64_t negative_bytes; /* written under the lock's write side */
    _Atomic uint64_t hits, misses, evicted, inodes;
};

/* Who watches what; see core/watch.h. */
struct vr_watches {
    vr_os_mutex lock;                         /* rank VR_RANK_LEAF */
    struct vr_watched **buckets;              /* lock; by object */
    uint32_t mask;                            /* lock */
    uint32_t objects;                         /* lock */
    _Atomic uint32_t count;                   /* of watches; written under lock */
    _Atomic uint32_t cookie;                  /* the last one given to a rename */
    _Atomic uint32_t filter[VR_WATCH_FILTER]; /* watched objects by hash; written under lock */
};

struct vrift_vfs {
    _Atomic uint32_t refs;
    struct vrift_allocator own_allocator;
    const struct vrift_allocator *allocator; /* NULL: the C library's */
    uint64_t cache_budget;
    uint64_t max_files;
    uint32_t protect;     /* VRIFT_PROTECT_... */
    vrift_fault_fn fault; /* changed only while no other thread uses the instance */
    void *fault_payload;
    _Atomic uint64_t next_sb, next_mount;
    _Atomic uint64_t open_files, backend_calls;
    vr_os_mutex attr_lock[VR_ATTR_LOCKS]; /* by inode */
    vr_os_mutex tree_mutex;               /* one change of the mount trees at a time, propagation crosses them */
    uint64_t next_group;                  /* tree mutex; of peers */
    struct vr_place *places;              /* dcache lock; all of them */
    struct vr_dcache dcache;
    struct vr_watches watches;
};

struct vrift_sb {
    _Atomic uint32_t refs;  /* the embedder's and the mounts' */
    _Atomic uint32_t holds; /* one for refs > 0 and one an inode: the last destroys the backend */
    vrift_vfs *vfs;         /* held */
    struct vrift_backend_ops ops;
    void *self;
    uint64_t number;
    uint32_t depth;
    struct vrift_consistency consistency[VRIFT_ASPECT_COUNT];
    bool read_only;     /* the backend cannot change anything */
    bool acls;          /* the backend keeps ACLs */
    bool names_stable;  /* nobody else changes names: a cached one is always good */
    bool negatives;     /* that a name does not exist may be kept */
    bool completes;     /* a directory may be known completely */
    bool attrs_stable;  /* nobody else changes attributes */
    uint64_t names_age; /* ns, where names are not stable */
    uint64_t attrs_age; /* ns, where attributes are not stable */
    struct vr_dentry *root;
    char *source;              /* tree mutex; what mountinfo calls it, NULL: the backend's name */
    vr_os_mutex rename_mutex;  /* directories do not change parents while it is held */
    _Atomic uint64_t started;  /* changes of names begun and ended: equal when none is in flight. A look-up */
    _Atomic uint64_t finished; /* that saw one begin asks again under the directory's lock */
    vr_os_mutex inode_lock;
    struct vr_inode **inodes;     /* inode_lock */
    _Atomic uint32_t inode_mask;  /* written under inode_lock */
    _Atomic uint32_t inode_count; /* written under inode_lock */
};

struct vrift_ns {
    _Atomic uint32_t refs;
    vrift_vfs *vfs;        /* held */
    struct vr_mount *root; /* constant; all mounts of the namespace are below it */
    uint32_t count;        /* tree mutex; of mounts */
    uint32_t more;         /* tree mutex; scratch: mounts that the change under way adds */
};

struct vrift_cred {
    _Atomic uint32_t refs;
    uint32_t uid;
    uint32_t gid;
    uint32_t group_count;
    uint64_t capabilities;
    vrift_vfs *vfs;    /* held */
    uint32_t groups[]; /* ascending */
};

/* One descriptor. */
struct vr_slot {
    vrift_file *file; /* NULL: free or reserved */
    uint8_t taken;
    uint8_t cloexec;
};

struct vr_fdtable {
    _Atomic uint32_t refs; /* tasks that share it */
    vr_os_mutex lock;
    struct vr_slot *slots; /* lock */
    uint32_t count;        /* lock */
    uint32_t first_free;   /* lock; no slot below it is free */
    uint32_t limit;
};

/* Where tasks stand; cloned tasks may share it. */
struct vr_place {
    _Atomic uint32_t refs;
    _Atomic uint32_t umask;
    struct vr_path root;             /* dcache lock; held */
    struct vr_path cwd;              /* dcache lock; held */
    struct vr_place *before, *after; /* dcache lock; in vrift_vfs.places */
};

struct vrift_task {
    vrift_vfs *vfs;           /* held */
    vrift_ns *ns;             /* dcache lock, changed under the tree mutex too; held */
    struct vr_place *place;   /* dcache lock; held; another one only when it leaves a shared one */
    struct vr_fdtable *files; /* held; constant */
    vrift_cred *cred;         /* dcache lock; held */
    uint64_t max_file_size;   /* bytes a write may reach; constant */
};

struct vrift_file {
    _Atomic uint32_t refs;
    uint32_t readable : 1;
    uint32_t writable : 1; /* the mount counts it as a writer */
    uint32_t opened : 1;   /* the backend's open has succeeded: release it */
    uint32_t told : 1;     /* watchers were told of the opening: tell them of the closing */
    uint64_t flags;        /* VRIFT_O_... */
    vrift_vfs *vfs;
    struct vr_path path;   /* held */
    vrift_cred *cred;      /* held; who opened it */
    void *handle;          /* the backend's */
    vr_os_mutex lock;      /* rank VR_RANK_POSITION */
    uint64_t position;     /* lock; a directory's: 0, 1 past ".", 2 past "..", a backend's cookie plus 2 */
    uint64_t listed;       /* lock; entries seen since position 0, UINT64_MAX once it was moved */
    uint64_t listed_token; /* lock; the superblock's `started` when the listing began */
};

static inline bool vr_is_dir(const struct vr_inode *inode)
{
    return (atomic_load_explicit(&inode->mode, memory_order_relaxed) & VRIFT_S_IFMT) == VRIFT_S_IFDIR;
}

static inline bool vr_is_link(const struct vr_inode *inode)
{
    return (atomic_load_explicit(&inode->mode, memory_order_relaxed) & VRIFT_S_IFMT) == VRIFT_S_IFLNK;
}

static inline bool vr_is_file(const struct vr_inode *inode)
{
    return (atomic_load_explicit(&inode->mode, memory_order_relaxed) & VRIFT_S_IFMT) == VRIFT_S_IFREG;
}

/* vfs.c */
vrift_vfs *vr_vfs_ref(vrift_vfs *vfs);
void vr_vfs_unref(vrift_vfs *vfs);

#endif
