/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The objects of the core and who guards what in them.
 *
 * Lifetimes: an open description holds its mount and dentry; a dentry holds its parent and its inode; a mount holds
 * its superblock, its root dentry and its mount point; an inode holds its superblock's memory. A
 * dentry does not hold its superblock: let the dentry go before the mount.
 *
 * "the dcache lock" is vrift_vfs.dcache.lock, a mutex. What it guards is changed under it only. No memory is allocated
 * and nothing is called under it.
 *
 * Dentries, inodes and what hangs on them by an _Atomic pointer live in pools (core/pool.h), so that a walk may read
 * them without a lock. What such a reader looks at is _Atomic; vrift_vfs.dcache.seq tells it whether what it saw was
 * true. It never looks at a superblock, whose memory is not of that kind: what it needs of one is copied to the mount.
 */
#ifndef VR_OBJECT_H
#define VR_OBJECT_H

#include "core/lockrank.h"
#include "core/pool.h"
#include "core/table.h"
#include "core/wordlock.h"
#include "platform/os.h"

#include <vrift/backend.h>
#include <vrift/error.h>
#include <vrift/vfs.h>
#include <vrift/wait.h>

#include <stdatomic.h>
#include <stdbool.h>

#define VR_ATTR_LOCKS    64
#define VR_MOUNT_BUCKETS 256
#define VR_WATCH_FILTER  512

struct vr_dentry;
struct vr_inode;
struct vr_memo;
struct vr_mount;
struct vr_watched;
struct vr_notify;

struct vr_path {
    struct vr_mount *mount;
    struct vr_dentry *dentry;
};

/* A path that walks read without a lock. */
struct vr_spot {
    _Atomic(struct vr_mount *) mount;
    _Atomic(struct vr_dentry *) dentry;
};

static inline struct vr_path vr_spot_get(const struct vr_spot *spot)
{
    return (struct vr_path){atomic_load_explicit(&spot->mount, memory_order_acquire),
                            atomic_load_explicit(&spot->dentry, memory_order_acquire)};
}

static inline void vr_spot_set(struct vr_spot *spot, const struct vr_path *path)
{
    atomic_store_explicit(&spot->mount, path->mount, memory_order_release);
    atomic_store_explicit(&spot->dentry, path->dentry, memory_order_release);
}

/* A name within a path, with its hash; not NUL-terminated. */
struct vr_component {
    const char *name;
    uint32_t length;
    uint32_t hash;
    uint64_t words[2]; /* its first 16 bytes, zeroes behind its end */
};

#define VR_DENTRY_HASHED   1u  /* the cache finds it */
#define VR_DENTRY_COMPLETE 2u  /* a directory, and every name in it is hashed below it */
#define VR_DENTRY_ROOT     4u  /* of a superblock: never hashed, held by it */
#define VR_DENTRY_MOUNTED  8u  /* something is mounted on it, in some namespace */
#define VR_DENTRY_COUNTED  16u /* it is in the books of the cache */
#define VR_DENTRY_NEGATIVE 32u /* from the pool of those; it never gets an inode */

/* vr_dentry.refs of a slot that is no dentry at present. */
#define VR_DENTRY_DEAD 0x80000000u

/* The longest name that lies in the dentry itself. */
#define VR_DENTRY_INLINE 16u

/* A longer name, in words, zeroes behind its end. */
struct vr_longname {
    struct vr_link link;
    _Atomic uint64_t words[];
};

/* Slots of long names: of at most 32, 64, 128 and 256 bytes. */
#define VR_NAME_POOLS 4

/* Slots of credentials: with at most 4, 16, 64... groups. */
#define VR_CRED_POOLS 8

/*
 * A name in a directory. refs counts the holders and the children; 0 means cached and unused: it becomes dead, which
 * is done under the dcache lock only, or is held anew.
 */
struct vr_dentry {
    struct vr_link link;                /* of its bucket, dcache lock; after its death: the reap list */
    _Atomic(struct vr_dentry *) parent; /* dcache lock; itself for a root and for what is not in the cache yet */
    _Atomic(struct vr_inode *) inode;   /* constant; NULL: the name does not exist */
    _Atomic uint32_t refs;              /* from 0 to 1 under the dcache lock, or by a walk that looks at seq then */
    _Atomic uint32_t hash;              /* dcache lock */
    _Atomic uint16_t flags;             /* dcache lock; VR_DENTRY_... */
    _Atomic uint8_t name_length;        /* dcache lock */
    _Atomic uint8_t used;               /* since the clock's hand last passed */
    uint32_t negative;                  /* dcache lock; hashed children that do not exist */
    union {
        _Atomic uint64_t checked_ns; /* where names are not stable: when the backend last said so; monotonic */
        _Atomic uint64_t positive;   /* where they are: hashed children that exist; dcache lock */
    };
    union {
        _Atomic uint64_t words[2];               /* dcache lock; the name, zeroes behind its end */
        _Atomic(struct vr_longname *) long_name; /* dcache lock; if name_length > VR_DENTRY_INLINE */
    };
};
_Static_assert(sizeof(void *) != 8 || sizeof(struct vr_dentry) == 64, "a dentry is one cache line");

/* What vr_inode.mode holds above the 16 bits of st_mode: what a check must know without looking further. */
#define VR_MODE_IMMUTABLE   0x010000u
#define VR_MODE_APPEND      0x020000u
#define VR_MODE_NOATIME     0x040000u
#define VR_MODE_ACL         0x080000u /* may have an access ACL: mode, uid and gid alone do not decide */
#define VR_MODE_DEFAULT_ACL 0x100000u /* a directory that may have a default ACL */
#define VR_MODE_FILE_CAPS   0x200000u /* has security.capability, and the core is to take it away */
#define VR_MODE_DOUBT       0x400000u /* somebody else may have changed mode, uid, gid and ACLs: the backend is to be asked */

/* vr_inode.forms: how attributes are kept that can mostly be derived. */
#define VR_FORM_BLOCKS     3u  /* of these two bits: */
#define VR_BLOCKS_EXTRA    0u  /*   blocks are in extra */
#define VR_BLOCKS_NONE     1u  /*   there are none */
#define VR_BLOCKS_SECTORS  2u  /*   as many as the size takes in units of 512 */
#define VR_BLOCKS_PAGES    3u  /*   and of 4096 */
#define VR_FORM_INO        12u /* of these two bits: */
#define VR_INO_EXTRA       0u  /*   the number is in extra */
#define VR_INO_KEY         4u  /*   it is the key */
#define VR_INO_KEY_PLUS    8u  /*   and one more */
#define VR_FORM_REST       16u /* rdev, version, attributes, nlink, blksize, digest and the seconds of times are in extra */
#define VR_FORM_KNOWN      32u  /* the attributes are known, though maybe old */
#define VR_FORM_INSTALLED  64u  /* it has a node; constant once it is seen */
#define VR_FORM_KEY_INLINE 128u /* the key is 8 bytes, of generation 0; constant likewise */

/*
 * A file, directory, or whatever else a backend's key names. Attributes are written under the attr lock, each word
 * with release, while attr_seq is odd. What few inodes need lies in `extra`: see struct vr_inode_extra.
 */
struct vr_inode {
    struct vr_link link;                    /* sb->inode_lock; after its death: the reap list */
    vrift_sb *sb;                           /* constant */
    void *handle;                           /* constant; the backend's */
    _Atomic(struct vr_inode_extra *) extra; /* NULL until something needs it, then constant */
    _Atomic uint64_t key;                   /* constant; of 8 bytes, otherwise the hash of the one in extra */
    _Atomic uint64_t size;                  /* attr_seq, as all to `forms` */
    _Atomic uint64_t times[4];              /* access, modification, change, birth: seconds << 30 | nanoseconds */
    _Atomic uint32_t refs;                  /* from 0 it never rises again */
    _Atomic uint32_t lock;     /* a wordlock. directory: its names. file: exclusive for write, truncate, setattr... */
    _Atomic uint32_t attr_seq; /* odd while attributes are written; grows with each change */
    _Atomic uint32_t mode;     /* type, permissions and VR_MODE_... */
    _Atomic uint32_t uid;
    _Atomic uint32_t gid;
    _Atomic uint16_t nlink;
    _Atomic uint16_t version;
    _Atomic uint8_t mask;     /* VRIFT_STAT_... beyond BASIC, which is always known if anything is, from BTIME on */
    _Atomic uint8_t forms;    /* VR_FORM_... */
    _Atomic uint8_t stale;    /* the backend said ESTALE: names that mean it are looked up anew */
    _Atomic uint8_t unlinked; /* a directory that was removed: no name may be made in it; written under lock */
};
_Static_assert(sizeof(void *) != 8 || sizeof(struct vr_inode) == 112, "an inode is slim; what is rare goes to extra");

enum vr_extra_word {
    VR_EXTRA_INO,
    VR_EXTRA_BLOCKS,
    VR_EXTRA_RDEV,
    VR_EXTRA_VERSION,
    VR_EXTRA_ATTRIBUTES,
    VR_EXTRA_NLINK_BLKSIZE, /* nlink << 32 | blksize */
    VR_EXTRA_ALGORITHM,
    VR_EXTRA_DIGEST,                        /* four of them */
    VR_EXTRA_SECONDS = VR_EXTRA_DIGEST + 4, /* four of them, in the order of vr_inode.times */
    VR_EXTRA_WORDS = VR_EXTRA_SECONDS + 4
};

/*
 * What only some inodes need. vr_inode_extra() makes it, zeroed; it lives as long as its inode. To keep a new rare thing
 * of inodes, add a field here that is good when zero, say who guards it, and let free_extra() of inode.c free what it
 * points to. Walks without a lock read only what is _Atomic.
 */
struct vr_inode_extra {
    struct vr_link link;        /* the pool's */
    _Atomic uint64_t attr_time; /* attr_seq; where attributes are not stable: when they were asked, monotonic */
    _Atomic uint64_t attr[VR_EXTRA_WORDS]; /* attr_seq; as VR_FORM_... say */
    _Atomic(char *) text;                  /* of a symlink once it was read; stays */
    struct vrift_key key;                  /* constant; of an inode without VR_FORM_KEY_INLINE */
    _Atomic uint32_t
        tmpfile;             /* inode lock; VRIFT_CREATE_TMPFILE and _UNLINKABLE as it was made, 0 once it has a name */
    _Atomic uint32_t mapped; /* shared mappings to write: while there are any, its attributes are not kept */
};

/*
 * A superblock at a place in a namespace. A mount in a namespace is held once for being there; one that hangs below a
 * mount that was taken out of its namespace is held by that one. Children do not hold their parents.
 */
struct vr_mount {
    struct vr_link link;               /* dcache lock; of its bucket */
    _Atomic(struct vr_mount *) parent; /* dcache lock; NULL for a namespace's root and a detached one */
    _Atomic(struct vr_dentry *) point; /* dcache lock; held */
    _Atomic(struct vr_dentry *) root;  /* constant; held */
    _Atomic uint32_t refs;             /* the tree's one, users; from 0 it never rises again */
    _Atomic uint32_t flags;            /* VRIFT_MOUNT_... */
    _Atomic uint32_t writers;          /* who may write through it now */
    _Atomic uint32_t expiring;         /* VRIFT_UMOUNT_EXPIRE was asked and nobody has used it since */
    _Atomic uint64_t id;               /* constant */
    _Atomic uint64_t number;           /* constant; of the superblock */
    _Atomic uint64_t names_age;        /* constant; of the superblock, VR_AGE_STABLE: any age is good */
    _Atomic uint64_t attrs_age;        /* likewise */
    _Atomic uint32_t part;             /* constant; root is not the superblock's */
    /* What walks do not look at. */
    vrift_sb *sb; /* constant; held */
    vrift_ns *ns; /* dcache lock; NULL once it is out of the tree */
    /* Changed in a write section that is also under the tree mutex: either suffices to read. */
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
#define VR_AGE_STABLE UINT64_MAX

struct vr_dcache {
    /* What walks read. seq is odd while something changes that one could have passed. */
    _Atomic uint64_t seq;               /* written under lock */
    _Atomic uint64_t rights;            /* changes of who may search directories or follow symlinks */
    _Atomic(struct vr_memo *) memo;     /* core/memo.h; once it is made, constant */
    uint64_t memo_entries;              /* constant; 0: the budget is too small for one */
    struct vr_table table;              /* lock; dentries by parent and name */
    vr_bucket mounts[VR_MOUNT_BUCKETS]; /* lock; by point */
    char apart[64];                     /* what follows is written often */
    _Atomic uint64_t inserts;           /* names that came */
    vr_os_mutex lock;
    struct vr_cursor hand[2];   /* lock; the clock's: over existing and negative names */
    _Atomic uint64_t doomed;    /* lock; slots of negative names to look at for children of removed directories */
    struct vr_pool dentries[2]; /* that exist, and negative ones */
    struct vr_pool inodes, extras, mount_pool, places, long_names[VR_NAME_POOLS], creds[VR_CRED_POOLS];
    _Atomic uint64_t count[2]; /* written under lock; dentries of either kind */
    _Atomic uint64_t bytes;    /* of slots in use, tables and link texts */
    _Atomic uint64_t evicted, live_inodes;
    uint64_t hits, misses; /* lock; of tasks that are gone */
};

/* Who watches what; see core/watch.h. */
struct vr_watches {
    vr_os_mutex lock;                         /* rank VR_RANK_LEAF */
    struct vr_watched **buckets;              /* lock; by object */
    uint32_t mask;                            /* lock */
    uint32_t objects;                         /* lock */
    vrift_sb *notifying;                      /* lock; superblocks whose backends tell of changes, by notify_next */
    _Atomic uint32_t count;                   /* of watches; written under lock */
    _Atomic uint32_t cookie;                  /* the last one given to a rename */
    _Atomic uint32_t filter[VR_WATCH_FILTER]; /* watched objects by hash; written under lock */
};

#define VR_LOCK_SHARDS  16
#define VR_LOCK_BUCKETS 16

struct vr_lockset;
struct vr_lock_waiter;

/* Locks of files, by inode; see lock.h. */
struct vr_lock_shard {
    vr_os_mutex mutex;                           /* rank VR_RANK_SLEEP */
    struct vr_lockset *buckets[VR_LOCK_BUCKETS]; /* mutex */
};

#define VR_PIPE_BUCKETS 16

struct vr_pipe;

/* Fifos that are open, by inode; see fifo.h. */
struct vr_pipetable {
    vr_os_mutex lock;                         /* a leaf */
    struct vr_pipe *buckets[VR_PIPE_BUCKETS]; /* lock */
};

struct vr_locktable {
    struct vr_lock_shard shards[VR_LOCK_SHARDS];
    vr_os_mutex graph_lock;      /* a leaf */
    struct vr_lock_waiter *tied; /* graph_lock; who waits for whom */
};

struct vrift_vfs {
    _Atomic uint32_t refs;
    struct vrift_allocator own_allocator;
    const struct vrift_allocator *allocator; /* NULL: the C library's */
    uint64_t cache_budget;
    uint64_t max_files;
    bool without_memo;    /* constant: no task is ever calm */
    uint32_t protect;     /* VRIFT_PROTECT_... */
    vrift_fault_fn fault; /* changed only while no other thread uses the instance */
    void *fault_payload;
    _Atomic uint64_t next_sb, next_mount, next_cred;
    _Atomic uint64_t open_files, backend_calls;
    vr_os_mutex attr_lock[VR_ATTR_LOCKS]; /* by inode */
    struct vr_wordlock_rooms rooms;       /* where who waits for an inode's lock does so */
    vr_os_mutex tree_mutex;               /* one change of the mount trees at a time, propagation crosses them */
    uint64_t next_group;                  /* tree mutex; of peers */
    struct vr_place *places;              /* dcache lock; all of them */
    struct vrift_task *tasks;             /* dcache lock; all of them */
    _Atomic uint32_t next_table;
    struct vr_locktable locks;
    struct vr_pipetable pipes;
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
    bool read_only;           /* the backend cannot change anything */
    bool acls;                /* the backend keeps ACLs */
    bool names_stable;        /* nobody else changes names: a cached one is always good */
    bool negatives;           /* that a name does not exist may be kept */
    bool completes;           /* a directory may be known completely */
    bool attrs_stable;        /* nobody else changes attributes */
    uint64_t names_age;       /* ns, where names are not stable */
    uint64_t attrs_age;       /* ns, where attributes are not stable */
    bool names_told;          /* the backend tells what others do to names: see core/notify.h */
    bool attrs_told;          /* likewise to attributes */
    struct vr_notify *notify; /* constant; NULL if it tells nothing */
    vrift_sb *notify_next;    /* the watches' lock */
    uint32_t watchers;        /* the watches' lock; watches in it */
    struct vr_dentry *root;
    _Atomic uint32_t points;       /* mounts on its names; written under the dcache lock */
    char *source;                  /* tree mutex; what mountinfo calls it, NULL: the backend's name */
    vr_os_mutex rename_mutex;      /* directories do not change parents while it is held */
    _Atomic uint64_t started;      /* changes of names begun and ended: equal when none is in flight. A look-up */
    _Atomic uint64_t finished;     /* that saw one begin asks again under the directory's lock */
    _Atomic uint64_t invalidated;  /* calls of vrift_invalidate() and the like */
    _Atomic uint64_t attr_changes; /* where attributes are not stable: changes of them by us */
    vr_os_mutex inode_lock;
    struct vr_table inodes;       /* inode_lock; by key */
    _Atomic uint64_t inode_count; /* written under inode_lock */
};

struct vrift_ns {
    _Atomic uint32_t refs;
    vrift_vfs *vfs;        /* held */
    struct vr_mount *root; /* constant; all mounts of the namespace are below it */
    uint32_t count;        /* tree mutex; of mounts */
    uint32_t more;         /* tree mutex; scratch: mounts that the change under way adds */
};

/* Constant but for refs while it lives. Walks without a lock read the _Atomic. */
struct vrift_cred {
    struct vr_link link;   /* the pool's */
    _Atomic uint32_t refs; /* from 0 it never rises again */
    _Atomic uint32_t uid;
    _Atomic uint32_t gid;
    _Atomic uint32_t group_count;
    _Atomic uint64_t capabilities;
    _Atomic uint64_t id;       /* no other ones of the instance ever have it */
    vrift_vfs *vfs;            /* held */
    _Atomic uint32_t groups[]; /* ascending */
};

/* One descriptor. */
struct vr_slot {
    vrift_file *file; /* NULL: free or reserved */
    uint8_t taken;
    uint8_t cloexec;
};

struct vr_fdtable {
    _Atomic uint32_t refs;   /* tasks that share it */
    _Atomic uint32_t holds;  /* of its memory: one for refs > 0, and who may look at it later */
    _Atomic uint32_t locked; /* it has set POSIX locks, and may still hold some */
    uint32_t number;         /* of the table; stands for a process id where locks are told */
    vr_os_mutex lock;
    struct vr_slot *slots; /* lock */
    uint32_t count;        /* lock */
    uint32_t first_free;   /* lock; no slot below it is free */
    _Atomic uint32_t limit;
};

/* Where tasks stand; cloned tasks may share it. */
struct vr_place {
    struct vr_link link; /* the pool's */
    _Atomic uint32_t refs;
    _Atomic uint32_t umask;
    struct vr_spot root;             /* dcache lock; held */
    struct vr_spot cwd;              /* dcache lock; held */
    struct vr_place *before, *after; /* dcache lock; in vrift_vfs.places */
};

struct vrift_task {
    vrift_vfs *vfs;                   /* held */
    vrift_ns *ns;                     /* dcache lock, changed under the tree mutex too; held */
    _Atomic(struct vr_place *) place; /* dcache lock; held; another one only when it leaves a shared one */
    struct vr_fdtable *files;         /* held; constant */
    _Atomic(vrift_cred *) cred;       /* dcache lock; held */
    unsigned char apart[64];          /* nothing that other threads read lies on a line with what each walk writes */
    _Atomic uint64_t hits, misses;    /* of its walks; written by load and store, so that threads share no line */
    _Atomic uint64_t calm_seq;        /* likewise: vr_dcache.seq as its last walk saw it */
    _Atomic uint32_t calm;            /* and how many walks in a row saw that */
    unsigned char apart_too[64];
    struct vrift_task *before, *after; /* dcache lock; in vrift_vfs.tasks */
    uint64_t max_file_size;            /* bytes a write may reach; constant */
    _Atomic(vrift_cancel *) cancel;    /* ends waits that have none of their own; borrowed */
};

struct vrift_file {
    _Atomic uint32_t refs;
    _Atomic uint32_t locked; /* locks were set through it */
    _Atomic uint32_t reads;  /* how often; some may be lost */
    uint32_t readable : 1;
    uint32_t writable : 1;  /* the mount counts it as a writer */
    uint32_t opened : 1;    /* the backend's open has succeeded: release it */
    uint32_t told : 1;      /* watchers were told of the opening: tell them of the closing */
    _Atomic uint64_t flags; /* VRIFT_O_..., as vrift_getfl() tells them */
    vrift_vfs *vfs;
    struct vr_path path;   /* held */
    vrift_cred *cred;      /* held; who opened it */
    void *handle;          /* the backend's */
    struct vr_pipe *pipe;  /* of a fifo */
    vr_os_mutex lock;      /* rank VR_RANK_POSITION */
    uint64_t position;     /* lock; a directory's: 0, 1 past ".", 2 past "..", a backend's cookie plus 2 */
    uint64_t listed;       /* lock; entries seen since position 0, UINT64_MAX once it was moved */
    uint64_t listed_token; /* lock; the superblock's `started` and `invalidated`, added up, when the listing began */
};

static inline bool vr_is_dir(const struct vr_inode *inode)
{
    return (atomic_load_explicit(&inode->mode, memory_order_acquire) & VRIFT_S_IFMT) == VRIFT_S_IFDIR;
}

static inline bool vr_is_link(const struct vr_inode *inode)
{
    return (atomic_load_explicit(&inode->mode, memory_order_acquire) & VRIFT_S_IFMT) == VRIFT_S_IFLNK;
}

static inline bool vr_is_fifo(const struct vr_inode *inode)
{
    return (atomic_load_explicit(&inode->mode, memory_order_acquire) & VRIFT_S_IFMT) == VRIFT_S_IFIFO;
}

static inline bool vr_is_file(const struct vr_inode *inode)
{
    return (atomic_load_explicit(&inode->mode, memory_order_acquire) & VRIFT_S_IFMT) == VRIFT_S_IFREG;
}

/* vfs.c */
vrift_vfs *vr_vfs_ref(vrift_vfs *vfs);
void vr_vfs_unref(vrift_vfs *vfs);

#endif
