/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A file system in memory with the semantics of tmpfs.
 *
 * Invariants:
 *  - A directory entry holds one reference to its inode, each node handed out one, each open file one. An inode is
 *    freed when the last goes; the whole file system frees what is left.
 *  - An inode number is never used twice, so a key needs no generation.
 *  - Bytes of a page beyond the file's size are zero.
 *
 * Lock order: `names` of the file system, then one inode's `lock`, then `book`. Never two inodes' locks at once.
 */
#ifndef VR_MEM_H
#define VR_MEM_H

#include "core/alloc.h"
#include "platform/os.h"

#include <vrift/backend.h>
#include <vrift/backends.h>
#include <vrift/error.h>

#include <stdatomic.h>

#define VR_MEM_PAGE       4096u /* bytes of a page, the unit of holes, of st_blocks and of the limit */
#define VR_MEM_FILE_MAX   0x7fffffffffffffffULL
#define VR_MEM_DIRENT     20u  /* what an entry adds to the size of its directory, as in tmpfs */
#define VR_MEM_SHORT_LINK 128u /* bytes with the NUL: the text of a longer symlink counts as a page, as in tmpfs */
#define VR_MEM_XATTR_MAX  65536u
#define VR_MEM_FL_KNOWN   (VRIFT_FL_IMMUTABLE | VRIFT_FL_APPEND | VRIFT_FL_NODUMP | VRIFT_FL_NOATIME)

/* -- memdata.c: the pages of a file ------------------------------------------------------------------------------- */

struct vr_memdata_block;

/*
 * Sparse contents: a tree of 64-way blocks whose leaves are pages; or, while the file is mapped, memory of the system's
 * that is shared with the mappings. Zeroed is empty. Guarded by the inode's lock.
 */
struct vr_memdata {
    void *root;      /* a page if height is 0, else a block; NULL while it is shared */
    unsigned height; /* levels of blocks */
    uint64_t pages;  /* that exist, as far as is known: vr_memdata_pages() */
    struct vr_memshared *shared;
};

/* Where pages come from and who counts them. */
struct vr_memdata_pool {
    const struct vrift_allocator *allocator;
    uint64_t max_pages;     /* 0: no limit */
    uint64_t most_pages;    /* that one call may allocate: the limit, or all the memory there is */
    _Atomic uint64_t pages; /* in use */
};

void vr_memdata_read(const struct vr_memdata *data, void *buf, size_t len, uint64_t offset);

/* Returns how much it wrote, which is less than len only when memory or the limit ran out (*error says which). */
size_t vr_memdata_write(struct vr_memdata_pool *pool, struct vr_memdata *data, const void *buf, size_t len,
                        uint64_t offset, int32_t *error);

/* The file's size changes: forgets all bytes at or after a smaller one. Fails only while the file is mapped. */
int32_t vr_memdata_resize(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t old, uint64_t size);
void vr_memdata_dispose(struct vr_memdata_pool *pool, struct vr_memdata *data);

/* Counts pages, or gives back none of them with -VRIFT_ENOSPC. */
int32_t vr_memdata_charge(struct vr_memdata_pool *pool, uint64_t pages);

/* The first offset at or after `offset` in a page that exists (data != 0) or does not; size if there is none. */
uint64_t vr_memdata_seek(const struct vr_memdata *data, uint64_t offset, uint64_t size, int want_data);

/* -- memspace.c: what fallocate does to pages. Ranges may be of any size; each works whole or not at all. ----------- */

int32_t vr_memspace_allocate(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length);
int32_t vr_memspace_punch(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length);
int32_t vr_memspace_zero(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length,
                         uint64_t size);
/* Of whole pages; size is that of the file before. */
int32_t vr_memspace_collapse(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length,
                             uint64_t size);
int32_t vr_memspace_insert(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length,
                           uint64_t size);

/* The first page at or after an index, or only those that were written; UINT64_MAX if there is none. */
uint64_t vr_memspace_next(const struct vr_memdata *data, uint64_t index, int written);

/* -- memshared.c: the bytes of a mapped file ----------------------------------------------------------------------- */

/*
 * A file is moved to memory that can be mapped by its first mapping, and back to pages after the last. Stores to
 * mappings take pages that nobody counts, so that with a limit all that they could take is counted in advance.
 */
struct vr_memmapping {
    struct vr_memmapping *next;
    void *address;
    struct vrift_map_range range;
    uint64_t sum; /* of a shared one to write: of its bytes when the inode last knew of all stores */
};
struct vr_memshared {
    int fd;
    uint64_t charged;              /* pages counted in the pool: what is in use and what mappings may take */
    struct vrift_timespec changed; /* when the memory was last changed, as far as the inode knows */
    int written;                   /* by calls, since the sums were taken: they tell nothing */
    struct vr_memmapping *mappings;
};

void vr_memshared_read(const struct vr_memdata *data, void *buf, size_t len, uint64_t offset);
size_t vr_memshared_write(struct vr_memdata_pool *pool, struct vr_memdata *data, const void *buf, size_t len,
                          uint64_t offset, int32_t *error);
int32_t vr_memshared_resize(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t size);
uint64_t vr_memshared_seek(const struct vr_memdata *data, uint64_t offset, uint64_t size, int want_data);
int32_t vr_memshared_allocate(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length);
void vr_memshared_punch(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length);
int32_t vr_memshared_zero(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length,
                          uint64_t size);
int32_t vr_memshared_collapse(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length,
                              uint64_t size);
int32_t vr_memshared_insert(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t offset, uint64_t length,
                            uint64_t size);

/* Moves the bytes there, and back (which may fail for want of memory and then changes nothing). */
int32_t vr_memshared_begin(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t size);
void vr_memshared_end(struct vr_memdata_pool *pool, struct vr_memdata *data, uint64_t size);
void vr_memshared_dispose(struct vr_memdata_pool *pool, struct vr_memdata *data);

/* Counts what a mapping may take and takes it into the list; -VRIFT_ENOSPC. And the end of that. */
int32_t vr_memshared_enter(struct vr_memdata_pool *pool, struct vr_memdata *data, struct vr_memmapping *mapping);
void vr_memshared_leave(struct vr_memdata_pool *pool, struct vr_memdata *data, struct vr_memmapping *mapping);

/* A sum of the bytes in a range of the file, in which zeroes count as little as holes. */
uint64_t vr_memshared_sum(const struct vr_memdata *data, const struct vrift_map_range *range);

/* Pages in use; and whether stores to mappings changed bytes since the inode last knew, and when. */
int vr_memshared_look(const struct vr_memdata *data, uint64_t *pages, struct vrift_timespec *when);

/* -- memdir.c: the entries of a directory ------------------------------------------------------------------------- */

struct vr_memnode;

struct vr_memdir_entry {
    struct vr_memdir_entry *next; /* in the hash chain */
    struct vr_memnode *node;      /* owns a reference */
    uint64_t cookie;              /* fixed for the life of the entry */
    uint32_t hash;
    uint32_t length;
    char name[]; /* with a NUL */
};

/* Entries in the order of their cookies, which only grow, and by name. Guarded by the file system's `names`. */
struct vr_memdir {
    struct vr_memdir_entry **buckets; /* NULL while empty */
    uint32_t bucket_count;            /* a power of two */
    uint32_t count;                   /* entries */
    struct vr_memdir_slot *slots;     /* by cookie; an entry that went leaves an empty slot until the next sweep */
    uint32_t slot_count;
    uint32_t slot_capacity;
    uint64_t last_cookie;
};

struct vr_memdir_slot {
    uint64_t cookie;
    struct vr_memdir_entry *entry; /* NULL: gone */
};

uint32_t vr_memdir_hash(uint64_t seed, const char *name, uint32_t length);
struct vr_memdir_entry *vr_memdir_find(const struct vr_memdir *dir, uint32_t hash, const char *name, uint32_t length);

/* Makes an entry that is in no directory yet; takes over the caller's reference to node on success. */
struct vr_memdir_entry *vr_memdir_entry_new(const struct vrift_allocator *allocator, uint32_t hash, const char *name,
                                            uint32_t length, struct vr_memnode *node);

/* Makes room for one entry more, so that the next add cannot fail; 0 or -VRIFT_ENOMEM. */
int32_t vr_memdir_reserve(const struct vrift_allocator *allocator, struct vr_memdir *dir);
void vr_memdir_add(struct vr_memdir *dir, struct vr_memdir_entry *entry);

/* Takes the entry out; it and its reference become the caller's. */
void vr_memdir_remove(struct vr_memdir *dir, struct vr_memdir_entry *entry);

/* The index of the first slot whose cookie is greater. */
uint32_t vr_memdir_after(const struct vr_memdir *dir, uint64_t cookie);
void vr_memdir_dispose(const struct vrift_allocator *allocator, struct vr_memdir *dir);

/* -- memnode.c: inodes -------------------------------------------------------------------------------------------- */

struct vr_memxattr {
    struct vr_memxattr *next;
    char *name;
    void *value;
    size_t length;
};

struct vr_memnode {
    struct vr_memfs *fs;          /* fixed */
    uint64_t ino;                 /* fixed */
    uint32_t type;                /* VRIFT_S_IF..., fixed */
    _Atomic uint64_t refs;        /* see the invariants */
    struct vr_memnode *all_next;  /* guarded by `book`, both */
    struct vr_memnode **all_link; /* what points here */
    uint64_t rdev;                /* fixed */
    char *target;                 /* of a symlink; fixed */
    struct vrift_timespec btime;  /* fixed */
    struct vr_memdir dir;         /* guarded by `names` */
    struct vr_memnode *parent;    /* of a directory, NULL once it is removed; guarded by `names` */
    int linkable;                 /* a nameless file that may still get a name; guarded by `names` */
    vr_os_rwlock lock;            /* guards all that follows */
    uint32_t mode;                /* permission bits */
    uint32_t flags;               /* VRIFT_FL_... */
    uint32_t uid, gid;            /* owner */
    uint32_t nlink;               /* written with `names` held for writing, too */
    uint64_t size;                /* bytes */
    uint64_t version;             /* grows with each change */
    struct vrift_timespec atime, mtime, ctime;
    _Atomic uint32_t asked; /* somebody saw ctime since it was set: the next one must differ */
    struct vr_memxattr *xattrs;
    struct vr_memdata data;
};

struct vr_memfs {
    const struct vrift_allocator *allocator;
    struct vr_memdata_pool pool;
    uint64_t max_inodes; /* 0: no limit */
    uint64_t seed;       /* of the hash of names; random, so that nobody can choose names that collide */
    vr_os_rwlock names;  /* guards every directory's entries and parent, and the changes of nlink */
    vr_os_mutex book;    /* guards what follows */
    struct vr_memnode *all;
    uint64_t inodes;
    uint64_t last_ino;
    struct vr_memnode *root; /* fixed; owns a reference */
    _Atomic int64_t latest;  /* precise stamp handed out, ns since 1970: no later one may be earlier */
};

/* A new inode with one reference, that of the caller, and nlink 0; times are now; flags are those dir hands down. NULL in *out never on success. */
int32_t vr_memnode_new(struct vr_memfs *fs, struct vr_memnode *dir, const struct vrift_create *how,
                       struct vr_memnode **out);
struct vr_memnode *vr_memnode_ref(struct vr_memnode *node);
void vr_memnode_unref(struct vr_memfs *fs, struct vr_memnode *node);
void vr_memnode_free(struct vr_memfs *fs, struct vr_memnode *node);

/* Fills a node and attributes, taking a reference for the node. */
void vr_memnode_entry(struct vr_memnode *node, struct vrift_entry *out);
void vr_memnode_stat(struct vr_memnode *node, struct vrift_stat *out);

/*
 * The time of a change, to be stored as ctime. It differs from the ctime that anybody has seen, as with the kernel's
 * multigrain timestamps, so that a change is never overlooked. Called with the lock held for writing.
 */
void vr_memnode_now(struct vr_memnode *node, struct vrift_timespec *out);

/* Stamps mtime and ctime (or ctime alone) with now and counts a change. The lock is taken. */
void vr_memnode_touch(struct vr_memnode *node, int mtime);

/* Tells a directory that its entries changed in number by `entries` and its link count by `links`. Stamps it. */
void vr_memnode_resize_dir(struct vr_memnode *dir, int32_t entries, int32_t links);

/* Adds to the link count and stamps ctime. */
void vr_memnode_add_link(struct vr_memnode *node, int32_t difference);

int32_t VRIFT_CALLBACK vr_memnode_getattr(void *self, const struct vrift_node *node, uint64_t mask,
                                          struct vrift_stat *out);
int32_t VRIFT_CALLBACK vr_memnode_read(void *self, const struct vrift_node *node, struct vrift_stat *out);
int32_t VRIFT_CALLBACK vr_memnode_setattr(void *self, const struct vrift_node *node, void *file,
                                          const struct vrift_setattr *set, struct vrift_stat *out);
int64_t VRIFT_CALLBACK vr_memnode_readlink(void *self, const struct vrift_node *node, char *buf, size_t len);
void VRIFT_CALLBACK vr_memnode_forget(void *self, const struct vrift_node *node);

/* -- memname.c: what happens to names ------------------------------------------------------------------------------ */

int32_t VRIFT_CALLBACK vr_memname_walk(void *self, const struct vrift_node *dir, const struct vrift_name *names,
                                       uint32_t count, struct vrift_entry *entries, uint32_t *done);
int32_t VRIFT_CALLBACK vr_memname_readdir(void *self, const struct vrift_node *dir, uint64_t cookie, uint64_t mask,
                                          vrift_emit_fn emit, void *payload, uint32_t *end);
int32_t VRIFT_CALLBACK vr_memname_create(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                         const struct vrift_create *how, struct vrift_entry *out);
int32_t VRIFT_CALLBACK vr_memname_link(void *self, const struct vrift_node *node, const struct vrift_node *dir,
                                       const struct vrift_name *name, struct vrift_stat *out);
int32_t VRIFT_CALLBACK vr_memname_unlink(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                         const struct vrift_node *node, uint64_t flags);

/* memrename.c */
int32_t VRIFT_CALLBACK vr_memrename(void *self, const struct vrift_node *old_dir, const struct vrift_name *old_name,
                                    const struct vrift_node *node, const struct vrift_node *new_dir,
                                    const struct vrift_name *new_name, const struct vrift_node *victim, uint64_t flags);

/* -- memfile.c: reading and writing -------------------------------------------------------------------------------- */

int32_t VRIFT_CALLBACK vr_memfile_open(void *self, const struct vrift_node *node, uint64_t flags, void **file);
int32_t VRIFT_CALLBACK vr_memfile_release(void *self, const struct vrift_node *node, void *file);
int64_t VRIFT_CALLBACK vr_memfile_pread(void *self, const struct vrift_node *node, void *file, void *buf, size_t len,
                                        uint64_t offset);
int64_t VRIFT_CALLBACK vr_memfile_pwrite(void *self, const struct vrift_node *node, void *file, const void *buf,
                                         size_t len, uint64_t offset, uint64_t flags, uint64_t *end);
int64_t VRIFT_CALLBACK vr_memfile_seek(void *self, const struct vrift_node *node, void *file, uint64_t offset,
                                       int32_t whence);

int32_t VRIFT_CALLBACK vr_memfile_fallocate(void *self, const struct vrift_node *node, void *file, uint64_t mode,
                                            uint64_t offset, uint64_t length);

/* -- memmap.c ------------------------------------------------------------------------------------------------------ */

int32_t VRIFT_CALLBACK vr_memmap(void *self, const struct vrift_node *node, void *file,
                                 const struct vrift_map_range *range, struct vrift_map_place *out);
int32_t VRIFT_CALLBACK vr_memmap_sync(void *self, const struct vrift_node *node, const struct vrift_map_place *mapping,
                                      uint64_t offset, uint64_t length, uint64_t flags);
void VRIFT_CALLBACK vr_memmap_unmap(void *self, const struct vrift_node *node, const struct vrift_map_place *mapping);

/* Takes over the time of stores to mappings, before the inode changes in another way. With the lock held. */
void vr_memmap_notice(struct vr_memnode *node);

/* Likewise, and looks at the bytes of mappings for stores that the system did not notice. */
void vr_memmap_notice_all(struct vr_memnode *node);

/* -- memxattr.c ---------------------------------------------------------------------------------------------------- */

int64_t VRIFT_CALLBACK vr_memxattr_get(void *self, const struct vrift_node *node, const char *name, void *buf,
                                       size_t len);
int32_t VRIFT_CALLBACK vr_memxattr_set(void *self, const struct vrift_node *node, const char *name, const void *value,
                                       size_t len, uint64_t flags);
int64_t VRIFT_CALLBACK vr_memxattr_list(void *self, const struct vrift_node *node, char *buf, size_t len);
int32_t VRIFT_CALLBACK vr_memxattr_remove(void *self, const struct vrift_node *node, const char *name);
/* The VRIFT_ATTR_... that the xattrs are the reason of. Called with the lock held. */
uint64_t vr_memxattr_rights(const struct vr_memnode *node);

/* Puts the ACLs of a create on a new inode; 0 or -VRIFT_ENOMEM. */
int32_t vr_memxattr_born(const struct vrift_allocator *allocator, struct vr_memnode *node,
                         const struct vrift_create *how);
void vr_memxattr_dispose(const struct vrift_allocator *allocator, struct vr_memxattr *list);

/* -- memfs.c: the whole -------------------------------------------------------------------------------------------- */

extern const struct vrift_backend_ops vr_memfs_ops;

/* Makes the object that vr_memfs_ops works on; options are already copied in. 0 or -VRIFT_ENOMEM. */
int32_t vr_memfs_new(const struct vrift_allocator *allocator, const struct vrift_mem_options *options,
                     struct vr_memfs **out);
void VRIFT_CALLBACK vr_memfs_destroy(void *self);

#endif
