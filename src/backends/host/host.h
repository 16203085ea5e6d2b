/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A directory of the host, confined.
 *
 * Every call of the host's takes a descriptor of ours and one name without '/', or the descriptor alone, and follows no
 * symlink; paths of more names go through vr_fileops_open_beneath(). So nothing that happens to the tree at the same
 * time can lead a call outside it.
 *
 * Invariants:
 *  - There is one vr_hostnode for an inode of the host (by id) while anything holds it.
 *  - A node knows one place where it was seen (parent and name), unless it is the root or `nameless`. A descriptor
 *    that was opened there is used only after its id was compared with the node's.
 *  - The root's descriptor lives as long as the file system.
 *
 * Lock order: `moving`, then the watches' lock, then `book`. No call of the host, the allocator or the core under `book`.
 */
#ifndef VR_HOST_H
#define VR_HOST_H

#include "core/alloc.h"
#include "platform/dirwatch.h"
#include "platform/fileops.h"
#include "platform/os.h"

#include <vrift/backend.h>
#include <vrift/backends.h>
#include <vrift/error.h>

#include <stdatomic.h>

#define VR_HOST_BUCKETS 1024u /* at the start; doubled as nodes come */
#define VR_HOST_FRESH   16u
#define VR_HOST_FDS     256u /* kept open: directories, and files that lost one of several names */

/* What tells an inode from all others: the time of birth, where the host has it, from those that had its number. */
struct vr_hostid {
    uint64_t dev;
    uint64_t ino;
    int64_t birth_sec;
    uint32_t birth_nsec;
    uint32_t type; /* VRIFT_S_IF... */
};

/* A descriptor that several hold. */
struct vr_hostfd {
    _Atomic uint32_t refs;
    int fd;
};

struct vr_hostnode {
    struct vr_hostid id; /* fixed */
    uint32_t type;       /* VRIFT_S_IF..., fixed */
    /* Guarded by `book`, all that follows: */
    struct vr_hostnode *chain;
    uint64_t refs;                     /* nodes handed out, children that know it as their parent */
    struct vr_hostnode *parent;        /* owns a reference; NULL for the root and for what is nameless */
    char *name;                        /* in parent */
    struct vr_hostfd *fd;              /* an O_PATH descriptor, or a file's; NULL if none is kept */
    int pinned;                        /* fd must stay: it is the only way to the inode */
    struct vr_hostfd *fresh;           /* read and write, of the call that made the file, for its first open */
    uint32_t fresh_slot;               /* in the file system's list of those, plus one; 0: in none */
    uint32_t open_files;               /* the first of which lends its descriptor as fd */
    struct vr_hostnode *newer, *older; /* in the list of cached descriptors, while fd is in it */
    int listed;
    /* Guarded by the watches' lock: */
    _Atomic int32_t
        wd; /* of a directory, by which the host watches it; 0: not yet, VR_HOST_DEAF: it cannot be watched */
    struct vr_hostnode *watch_chain;
};
#define VR_HOST_DEAF (-1)

/* What VRIFT_HOST_NOTIFY needs. */
struct vr_hostwatch {
    struct vr_dirwatch host;
    vrift_notice_fn receive; /* fixed, as payload: the core's */
    void *payload;
    uint64_t limit;               /* of directories */
    vr_os_mutex lock;             /* guards what follows, and the nodes' wd */
    struct vr_hostnode **buckets; /* by wd */
    uint32_t bucket_count;
    uint32_t count;
};

struct vr_hostfs {
    const struct vrift_allocator *allocator;
    uint64_t flags; /* VRIFT_HOST_... */
    uint64_t max_age_ns;
    struct vr_hostwatch *watch; /* fixed; NULL: others are not heard, but asked */
    uint32_t beneath;           /* VR_FILEOPS_NO_OPENAT2 or 0 */
    struct vr_hostnode *root;
    int can_chown; /* these are probed at the start and fixed */
    int can_tmpfile;
    int has_user_xattrs;
    int has_trusted_xattrs;
    int has_acls;
    int has_flags;
    int has_holes;
    int can_clone;
    uint64_t type;       /* the host's magic number of the file system */
    vr_os_rwlock moving; /* written while names move, read while one is followed from a node's place */
    vr_os_mutex book;    /* guards what follows, and the nodes */
    struct vr_hostnode **buckets;
    uint32_t bucket_count;
    uint32_t node_count;
    struct vr_hostnode *newest, *oldest; /* cached descriptors by last use */
    uint32_t listed;
    struct vr_hostnode *fresh[VR_HOST_FRESH]; /* the last files made, while their descriptor waits for the first open */
    uint32_t next_fresh;
};

/* -- hostfd.c ------------------------------------------------------------------------------------------------------ */

/* Takes over fd (closed if there is no memory). */
int32_t vr_hostfd_new(struct vr_hostfs *fs, int fd, struct vr_hostfd **out);
struct vr_hostfd *vr_hostfd_ref(struct vr_hostfd *hostfd);
void vr_hostfd_unref(struct vr_hostfs *fs, struct vr_hostfd *hostfd);

/*
 * A descriptor of the inode, O_PATH at least, with a reference for the caller. -VRIFT_ESTALE if what has its place on
 * the host is another inode by now.
 */
int32_t vr_hostfd_hold(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostfd **out);

/* Opens the inode anew for I/O with open(2)'s flags; the caller's to close. As vr_hostfd_hold(). */
int32_t vr_hostfd_reopen(struct vr_hostfs *fs, struct vr_hostnode *node, int flags);

/* Makes sure that the inode stays reachable when its name goes. */
int32_t vr_hostfd_pin(struct vr_hostfs *fs, struct vr_hostnode *node);

/*
 * The name is gone, but others lead to the inode: its descriptor is cached rather than pinned, as there may be any
 * number of such. Once it is evicted, the node is stale until somebody looks one of the others up.
 */
void vr_hostfd_relax(struct vr_hostfs *fs, struct vr_hostnode *node);

/* Takes the node out of the cache of descriptors. Under `book`. */
void vr_hostfd_unlist(struct vr_hostfs *fs, struct vr_hostnode *node);

/*
 * Leaves the descriptor of the call that made the file to its first open, which comes next as a rule; takes it over. If
 * many files come without an open, the oldest are closed. And takes it back, NULL if there is none.
 */
void vr_hostfd_leave(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostfd *hostfd);
struct vr_hostfd *vr_hostfd_take(struct vr_hostfs *fs, struct vr_hostnode *node);

/* Lends a file's descriptor to its node, which is then open once more; and the end of that. */
void vr_hostfd_lend(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostfd *hostfd);
void vr_hostfd_reclaim(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostfd *hostfd);

/* -- hostnode.c ---------------------------------------------------------------------------------------------------- */

struct vr_hostid vr_hostnode_id(const struct vrift_stat *attr);

/* The node of what attr describes, seen as `name` in parent (or nameless: parent NULL), with a reference. */
int32_t vr_hostnode_intern(struct vr_hostfs *fs, struct vr_hostnode *parent, const struct vrift_name *name,
                           const struct vrift_stat *attr, struct vr_hostnode **out);
void vr_hostnode_unref(struct vr_hostfs *fs, struct vr_hostnode *node);

/* What the node is now known as; parent with a reference. -VRIFT_ESTALE if it has no place. */
int32_t vr_hostnode_place(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostnode **parent,
                          char name[VRIFT_NAME_MAX + 1]);

/* Tells the node that it has this place now; that it has it no longer. */
int32_t vr_hostnode_moved(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostnode *parent,
                          const struct vrift_name *name);
void vr_hostnode_lost(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostnode *parent,
                      const struct vrift_name *name);

/* Lets go of what vr_hostfd_pin() keeps, unless the node lost its place. */
void vr_hostnode_unpin(struct vr_hostfs *fs, struct vr_hostnode *node);

/* Asks the host, by descriptor or by place. */
int32_t vr_hostnode_stat(struct vr_hostfs *fs, struct vr_hostnode *node, struct vrift_stat *out);

/* Whether attr is of this inode. */
int vr_hostnode_is(const struct vr_hostnode *node, const struct vrift_stat *attr);

/* Turns the host's numbers into the superblock's. */
void vr_hostnode_publish(struct vr_hostfs *fs, struct vrift_stat *attr);

/* Takes over the caller's reference to node. attr is the host's. */
void vr_hostnode_entry(struct vr_hostfs *fs, struct vr_hostnode *node, const struct vrift_stat *attr,
                       struct vrift_entry *out);
/* The key by which the core knows a node. */
void vr_hostnode_key(const struct vr_hostnode *node, struct vrift_key *out);
/* One more reference, unless the node is being forgotten. */
int vr_hostnode_ref_if_alive(struct vr_hostfs *fs, struct vr_hostnode *node);
void VRIFT_CALLBACK vr_hostnode_forget(void *self, const struct vrift_node *node);

/* -- hostattr.c ---------------------------------------------------------------------------------------------------- */

int32_t VRIFT_CALLBACK vr_hostattr_get(void *self, const struct vrift_node *node, uint64_t mask,
                                       struct vrift_stat *out);
int32_t VRIFT_CALLBACK vr_hostattr_set(void *self, const struct vrift_node *node, void *file,
                                       const struct vrift_setattr *set, struct vrift_stat *out);
int64_t VRIFT_CALLBACK vr_hostattr_readlink(void *self, const struct vrift_node *node, char *buf, size_t len);
int64_t VRIFT_CALLBACK vr_hostattr_getxattr(void *self, const struct vrift_node *node, const char *name, void *buf,
                                            size_t len);
int32_t VRIFT_CALLBACK vr_hostattr_setxattr(void *self, const struct vrift_node *node, const char *name,
                                            const void *value, size_t len, uint64_t flags);
int64_t VRIFT_CALLBACK vr_hostattr_listxattr(void *self, const struct vrift_node *node, char *buf, size_t len);
int32_t VRIFT_CALLBACK vr_hostattr_removexattr(void *self, const struct vrift_node *node, const char *name);

/* -- hostname.c, hostcreate.c -------------------------------------------------------------------------------------- */

int32_t VRIFT_CALLBACK vr_hostname_walk(void *self, const struct vrift_node *dir, const struct vrift_name *names,
                                        uint32_t count, struct vrift_entry *entries, uint32_t *done);
int32_t VRIFT_CALLBACK vr_hostname_revalidate(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                              const struct vrift_node *node, struct vrift_stat *out);
int32_t VRIFT_CALLBACK vr_hostname_readdir(void *self, const struct vrift_node *dir, uint64_t cookie, uint64_t mask,
                                           vrift_emit_fn emit, void *payload, uint32_t *end);
int32_t VRIFT_CALLBACK vr_hostname_link(void *self, const struct vrift_node *node, const struct vrift_node *dir,
                                        const struct vrift_name *name, struct vrift_stat *out);
int32_t VRIFT_CALLBACK vr_hostname_unlink(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                          const struct vrift_node *node, uint64_t flags);
int32_t VRIFT_CALLBACK vr_hostname_rename(void *self, const struct vrift_node *old_dir,
                                          const struct vrift_name *old_name, const struct vrift_node *node,
                                          const struct vrift_node *new_dir, const struct vrift_name *new_name,
                                          const struct vrift_node *victim, uint64_t flags);
int32_t VRIFT_CALLBACK vr_hostcreate(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                     const struct vrift_create *how, struct vrift_entry *out);

/* -- hostfile.c ---------------------------------------------------------------------------------------------------- */

struct vr_hostfile {
    struct vr_hostfd *fd;
    vr_os_mutex position; /* guards the descriptor's position, which appending and seeking move */
};

int32_t VRIFT_CALLBACK vr_hostfile_open(void *self, const struct vrift_node *node, uint64_t flags, void **file);
int32_t VRIFT_CALLBACK vr_hostfile_release(void *self, const struct vrift_node *node, void *file);
int64_t VRIFT_CALLBACK vr_hostfile_pread(void *self, const struct vrift_node *node, void *file, void *buf, size_t len,
                                         uint64_t offset);
int64_t VRIFT_CALLBACK vr_hostfile_pwrite(void *self, const struct vrift_node *node, void *file, const void *buf,
                                          size_t len, uint64_t offset, uint64_t flags, uint64_t *end);
int64_t VRIFT_CALLBACK vr_hostfile_seek(void *self, const struct vrift_node *node, void *file, uint64_t offset,
                                        int32_t whence);
int32_t VRIFT_CALLBACK vr_hostfile_fsync(void *self, const struct vrift_node *node, void *file);

/* -- hostwatch.c --------------------------------------------------------------------------------------------------- */

/* Starts watching if the host's file system can be; 0 also if not. After the probe. */
int32_t vr_hostwatch_new(struct vr_hostfs *fs);
void vr_hostwatch_free(struct vr_hostfs *fs);

/* Sees to it that the core is told of what happens to names in dir, or that it will not be, before one is looked up. */
void vr_hostwatch_cover(struct vr_hostfs *fs, struct vr_hostnode *dir, int fd);

/* Of a name in dir that may come to mean another directory's permissions unheard: a mount lies there. */
void vr_hostwatch_deaf_to(struct vr_hostfs *fs, const struct vr_hostnode *dir, const struct vrift_name *name);

/* The node is being forgotten. */
void vr_hostwatch_forget(struct vr_hostfs *fs, struct vr_hostnode *dir);

int32_t VRIFT_CALLBACK vr_hostwatch_start(void *self, vrift_notice_fn receive, void *payload);
void VRIFT_CALLBACK vr_hostwatch_drain(void *self);

/* -- hostspace.c --------------------------------------------------------------------------------------------------- */

int32_t VRIFT_CALLBACK vr_hostspace_fallocate(void *self, const struct vrift_node *node, void *file, uint64_t mode,
                                              uint64_t offset, uint64_t length);
int64_t VRIFT_CALLBACK vr_hostspace_copy(void *self, const struct vrift_node *from, void *from_file,
                                         uint64_t from_offset, const struct vrift_node *to, void *to_file,
                                         uint64_t to_offset, uint64_t length, uint64_t flags);
int32_t VRIFT_CALLBACK vr_hostspace_map(void *self, const struct vrift_node *node, void *file,
                                        const struct vrift_map_range *range, struct vrift_map_place *out);
int32_t VRIFT_CALLBACK vr_hostspace_map_sync(void *self, const struct vrift_node *node,
                                             const struct vrift_map_place *mapping, uint64_t offset, uint64_t length,
                                             uint64_t flags);
void VRIFT_CALLBACK vr_hostspace_unmap(void *self, const struct vrift_node *node,
                                       const struct vrift_map_place *mapping);

/* Makes two files of the host share blocks; -VRIFT_EOPNOTSUPP where that cannot be. */
int32_t vr_hostspace_clone(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t length);

/* -- hostfs.c ------------------------------------------------------------------------------------------------------ */

extern const struct vrift_backend_ops vr_hostfs_ops;
extern const struct vrift_backend_ops vr_hostfs_read_only_ops;

/* Makes the object that the tables work on; options are already copied in. */
int32_t vr_hostfs_new(const struct vrift_allocator *allocator, const char *path,
                      const struct vrift_host_options *options, struct vr_hostfs **out);
void VRIFT_CALLBACK vr_hostfs_destroy(void *self);

/* hostprobe.c: what the host's file system can do. Leaves no trace on it. */
void vr_hostprobe(struct vr_hostfs *fs, int root);
int32_t VRIFT_CALLBACK vr_hostprobe_capability(void *self, uint32_t capability, struct vrift_capability *out);

#endif
