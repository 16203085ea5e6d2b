/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A union of directories in the on-disk format of the kernel's overlayfs.
 *
 * Layers are reached through the public interface only: each has a namespace and a privileged task of our own, and a
 * node keeps O_PATH descriptors of that task for each layer in which it exists. A node that no layer but a lower one
 * has ("low") is named for good by its parent and name, because such a node cannot be renamed without a copy-up and
 * its parents cannot be renamed at all. A node with an upper part is named by the upper's inode number, which stays
 * its own while we hold it open.
 *
 * Lock order: a node's `copying` (child before parent, upwards) -> `names` of directories (held by at most one
 * operation for more than one directory, and those the core has locked against each other) -> `listing_lock` ->
 * the table's lock (a leaf). Layers are called under all of them but the last.
 */
#ifndef VR_OVERLAY_H
#define VR_OVERLAY_H

#include <vrift/backend.h>
#include <vrift/backends.h>
#include <vrift/error.h>
#include <vrift/file.h>
#include <vrift/fs.h>
#include <vrift/task.h>
#include <vrift/vfs.h>
#include <vrift/watch.h>

#include "core/alloc.h"
#include "platform/os.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* The number by which statfs(2) knows overlayfs (include/uapi/linux/magic.h). */
#define VR_OVERLAY_MAGIC 0x794c7630
#define VR_OVERLAY_UPPER 0 /* the index of the upper in layers[]; a read-only overlay leaves it empty */

struct vr_overlay_layer {
    vrift_sb *sb;
    vrift_ns *ns;
    vrift_task *task;
    int32_t root;   /* descriptor of the layer's root directory */
    uint32_t group; /* layers of one superblock share it: it tells their inode numbers apart */
};

/* A descriptor in a layer. */
struct vr_overlay_part {
    uint32_t layer;
    int32_t fd;
};

struct vr_overlay_listing;

#define VR_OVERLAY_FLAGS_UNKNOWN UINT32_MAX

struct vr_overlay_node {
    uint64_t id;     /* its key: never used twice */
    uint64_t refs;   /* guarded by the table's lock: nodes handed out, children, open files */
    uint32_t type;   /* VRIFT_S_IF...; immutable */
    bool born_alias; /* a lower file with more than one name: a copy-up gives it the upper's inode number */

    _Atomic uint64_t ino;
    _Atomic int32_t upper;         /* descriptor in the upper, -1: none; set once, by a copy-up */
    _Atomic bool unlinked;         /* a low node whose name is gone; set under the parent's names lock */
    _Atomic uint32_t flags;        /* VRIFT_FL_IMMUTABLE and _APPEND of the upper part, or UNKNOWN */
    _Atomic bool opaque;           /* a directory that is known to bear the opaque attribute */
    uint64_t upper_ino;            /* guarded by the table's lock; valid once upper is set */
    uint32_t lower_count;          /* immutable, as lower[] */
    struct vr_overlay_part *lower; /* topmost first; a directory's merged ones, or a low file's one */

    struct vr_overlay_node *parent; /* of a node born low; owns a reference; immutable */
    char *name;                     /* likewise */
    uint32_t name_length;

    vr_os_mutex copying;      /* held over a copy-up of this node */
    vr_os_rwlock names;       /* of a directory: read to look up, written to change an entry */
    vr_os_mutex listing_lock; /* guards listing */
    struct vr_overlay_listing *listing;

    struct vr_overlay_node *next_low, *next_upper; /* chains of the table; guarded by its lock */
    bool in_low, in_upper;
};

/* An inode number that a file kept over its copy-up, for as long as this overlay lives. */
struct vr_overlay_kept {
    uint64_t upper_ino; /* 0: free slot, 1 with ino 0: deleted slot */
    uint64_t ino;
};

struct vr_overlay_table {
    vr_os_mutex lock; /* a leaf: guards all below, and the fields of nodes that say so */
    struct vr_overlay_node **low, **upper;
    size_t buckets; /* of each, a power of two */
    size_t count;
    struct vr_overlay_kept *kept;
    size_t kept_slots, kept_used;
    uint64_t next_id;
};

struct vr_overlay {
    const struct vrift_allocator *allocator; /* the instance's, NULL: the C library's */
    struct vr_overlay_layer *layers;         /* [VR_OVERLAY_UPPER], then the lower ones, topmost first */
    uint32_t layer_count;
    bool has_upper;
    vrift_vfs *vfs;           /* that of the superblock, which holds it */
    bool hears;               /* the upper's superblock tells what others do to names there */
    bool deaf;                /* but of some it does not; only where `drain` runs */
    vrift_watch_queue *queue; /* of the upper's superblock; NULL until the core wants to be told */
    vrift_notice_fn receive;  /* the core's, as payload */
    void *payload;
    bool shared;          /* others may change the upper: do not trust what was cached */
    bool owners_optional; /* the upper cannot give files away: a failing chown is no error */
    /*
     * Added to the versions of what is in the upper, so that a copy-up counts as a change whatever the layers count in:
     * more than any version of a layer. 0 where too many overlays lie on each other for that: no versions.
     */
    uint64_t version_lift;
    int32_t work;       /* descriptor in the upper's task */
    const char *prefix; /* of our xattrs, with the dot at its end */
    size_t prefix_length;
    _Atomic uint64_t temporary; /* the next name in work */
    struct vr_overlay_table table;
    struct vr_overlay_node *root;
};

static inline struct vr_overlay_node *vr_overlay_node_of(const struct vrift_node *node)
{
    return node->handle;
}

static inline vrift_task *vr_overlay_upper_task(const struct vr_overlay *overlay)
{
    return overlay->layers[VR_OVERLAY_UPPER].task;
}

static inline bool vr_overlay_is_dir(const struct vr_overlay_node *node)
{
    return node->type == VRIFT_S_IFDIR;
}

static inline bool vr_overlay_is_whiteout(const struct vrift_stat *stat)
{
    return (stat->mode & VRIFT_S_IFMT) == VRIFT_S_IFCHR && stat->rdev == 0;
}

/* -- overlay_hear.c: what others do to the upper ------------------------------------------------------------------ */

int32_t VRIFT_CALLBACK vr_overlay_hear_start(void *self, vrift_notice_fn receive, void *payload);
void VRIFT_CALLBACK vr_overlay_hear_drain(void *self);

/* -- overlay_node.c: identity ------------------------------------------------------------------------------------ */

int32_t vr_overlay_node_table_init(struct vr_overlay *overlay);
void vr_overlay_node_table_dispose(struct vr_overlay *overlay);

/* The overlay's inode number of an inode of a layer. */
uint64_t vr_overlay_node_number(const struct vr_overlay *overlay, uint32_t layer, uint64_t ino);

/* The inode number that the overlay shows for an inode of the upper, by its number there. */
uint64_t vr_overlay_node_upper_number(struct vr_overlay *overlay, uint64_t upper_ino);

/* A reference to the node that is low under this name, or to the node of an upper inode; NULL if none is known. */
struct vr_overlay_node *vr_overlay_node_find_low(struct vr_overlay *overlay, const struct vr_overlay_node *parent,
                                                 const char *name, uint32_t length);
struct vr_overlay_node *vr_overlay_node_find_upper(struct vr_overlay *overlay, uint64_t upper_ino);

/*
 * Makes a node, or finds the one that another thread made meanwhile; with one reference. Takes the descriptors in any
 * case. upper is -1 for a low node, which needs parent and name.
 */
struct vr_overlay_birth {
    uint32_t type;
    uint64_t ino;
    int32_t upper;
    uint64_t upper_ino;
    const struct vr_overlay_part *lower;
    uint32_t lower_count;
    bool alias;
    bool opaque;
    struct vr_overlay_node *parent;
    const char *name;
    uint32_t name_length;
};
int32_t vr_overlay_node_make(struct vr_overlay *overlay, const struct vr_overlay_birth *birth,
                             struct vr_overlay_node **out);

void vr_overlay_node_ref(struct vr_overlay *overlay, struct vr_overlay_node *node);
void vr_overlay_node_unref(struct vr_overlay *overlay, struct vr_overlay_node *node);

/* A low node has lost its name: nobody shall find it again. */
void vr_overlay_node_lose_name(struct vr_overlay *overlay, struct vr_overlay_node *node);

/* A low node has got an upper part: takes the descriptor, unless another thread was faster (false). */
bool vr_overlay_node_rise(struct vr_overlay *overlay, struct vr_overlay_node *node, int32_t upper, uint64_t upper_ino);

void vr_overlay_node_key(const struct vr_overlay_node *node, struct vrift_node *out);

/* -- overlay_lookup.c: what a name means ------------------------------------------------------------------------- */

/* The node of a name in dir, whose names lock the caller holds, with one reference, and its attributes. */
int32_t vr_overlay_lookup(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name, uint32_t length,
                          struct vr_overlay_node **out, struct vrift_stat *attr);

/* The attributes of a node as the overlay shows them. */
int32_t vr_overlay_lookup_stat(struct vr_overlay *overlay, struct vr_overlay_node *node, struct vrift_stat *out);

/* What the upper has under a name. */
#define VR_OVERLAY_NOTHING  0
#define VR_OVERLAY_WHITEOUT 1
#define VR_OVERLAY_ENTRY    2
int32_t vr_overlay_lookup_upper(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name,
                                struct vrift_stat *out);

/* 1 if the lower layers of dir show the name, 0 if not. */
int32_t vr_overlay_lookup_lower(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name);

/* 1 if the xattr of name in dir says so, 0 if it is absent; `what` is "opaque", "metacopy" or "redirect". */
int32_t vr_overlay_lookup_mark(struct vr_overlay *overlay, uint32_t layer, int32_t dir, const char *name,
                               const char *what);

int32_t VRIFT_CALLBACK vr_overlay_lookup_root(void *self, struct vrift_entry *out);
int32_t VRIFT_CALLBACK vr_overlay_lookup_walk(void *self, const struct vrift_node *dir, const struct vrift_name *names,
                                              uint32_t count, struct vrift_entry *entries, uint32_t *done);
int32_t VRIFT_CALLBACK vr_overlay_lookup_revalidate(void *self, const struct vrift_node *dir,
                                                    const struct vrift_name *name, const struct vrift_node *node,
                                                    struct vrift_stat *out);
int32_t VRIFT_CALLBACK vr_overlay_lookup_getattr(void *self, const struct vrift_node *node, uint64_t mask,
                                                 struct vrift_stat *out);
void VRIFT_CALLBACK vr_overlay_lookup_forget(void *self, const struct vrift_node *node);

/* -- overlay_copyup.c: how a node comes to the upper -------------------------------------------------------------- */

/*
 * Makes sure that a node has an upper part, its parents first. Of a regular file at most `limit` bytes are copied (0
 * before a truncation). -VRIFT_EROFS without an upper. No names lock may be held.
 */
#define VR_OVERLAY_ALL_DATA UINT64_MAX
int32_t vr_overlay_copyup(struct vr_overlay *overlay, struct vr_overlay_node *node, uint64_t limit);

/* A name in work that nobody else uses. */
void vr_overlay_copyup_temporary(struct vr_overlay *overlay, char name[32]);

/* chown of what a descriptor of the upper stands for; a refusal counts only where owners can be kept. */
int32_t vr_overlay_copyup_own(struct vr_overlay *overlay, int32_t fd, const char *name, uint32_t uid, uint32_t gid);

/* Marks a directory of the upper as opaque; "." is fd itself. */
int32_t vr_overlay_copyup_set_opaque(struct vr_overlay *overlay, int32_t fd, const char *name);

/* -- overlay_names.c, overlay_rename.c: changing directories ------------------------------------------------------ */

int32_t VRIFT_CALLBACK vr_overlay_names_create(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                               const struct vrift_create *how, struct vrift_entry *out);
int32_t VRIFT_CALLBACK vr_overlay_names_link(void *self, const struct vrift_node *node, const struct vrift_node *dir,
                                             const struct vrift_name *name, struct vrift_stat *out);
int32_t VRIFT_CALLBACK vr_overlay_names_unlink(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                               const struct vrift_node *node, uint64_t flags);
int32_t VRIFT_CALLBACK vr_overlay_rename(void *self, const struct vrift_node *old_dir,
                                         const struct vrift_name *old_name, const struct vrift_node *node,
                                         const struct vrift_node *new_dir, const struct vrift_name *new_name,
                                         const struct vrift_node *victim, uint64_t flags);

/* Makes a whiteout in a directory of the upper. */
int32_t vr_overlay_names_whiteout(struct vr_overlay *overlay, int32_t dir, const char *name);

/* Removes a directory in work that holds nothing but whiteouts. */
int32_t vr_overlay_names_clean(struct vr_overlay *overlay, const char *name);

/* -- overlay_readdir.c: merged listings --------------------------------------------------------------------------- */

int32_t VRIFT_CALLBACK vr_overlay_readdir(void *self, const struct vrift_node *dir, uint64_t cookie, uint64_t mask,
                                          vrift_emit_fn emit, void *payload, uint32_t *end);

/* 0, or -VRIFT_ENOTEMPTY. The caller holds the directory's names lock. */
int32_t vr_overlay_readdir_empty(struct vr_overlay *overlay, struct vr_overlay_node *dir);

/* An entry came (or changed) or went; keeps a listing that exists in step. The caller holds the names lock. */
void vr_overlay_readdir_add(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name, uint32_t length,
                            uint32_t type, uint64_t ino);
void vr_overlay_readdir_drop(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name,
                             uint32_t length);
void vr_overlay_readdir_dispose(struct vr_overlay *overlay, struct vr_overlay_node *dir);

/* Calls fn for each name that a directory of a layer holds; `fd` may be O_PATH. */
typedef int32_t (*vr_overlay_scan_fn)(const char *name, uint32_t length, uint32_t type, uint64_t ino, void *payload);
int32_t vr_overlay_readdir_scan(const struct vr_overlay *overlay, uint32_t layer, int32_t fd, vr_overlay_scan_fn fn,
                                void *payload);

/* -- overlay_io.c, overlay_space.c, overlay_attr.c: one file ----------------------------------------------------------------------- */

int32_t VRIFT_CALLBACK vr_overlay_io_open(void *self, const struct vrift_node *node, uint64_t flags, void **file);
int32_t VRIFT_CALLBACK vr_overlay_io_release(void *self, const struct vrift_node *node, void *file);
int64_t VRIFT_CALLBACK vr_overlay_io_pread(void *self, const struct vrift_node *node, void *file, void *buf, size_t len,
                                           uint64_t offset);
int64_t VRIFT_CALLBACK vr_overlay_io_pwrite(void *self, const struct vrift_node *node, void *file, const void *buf,
                                            size_t len, uint64_t offset, uint64_t flags, uint64_t *end);
int32_t VRIFT_CALLBACK vr_overlay_io_fsync(void *self, const struct vrift_node *node, void *file);
int64_t VRIFT_CALLBACK vr_overlay_io_seek(void *self, const struct vrift_node *node, void *file, uint64_t offset,
                                          int32_t whence);

/* The descriptor of an open file's layer of now, and the task that has it. */
int32_t vr_overlay_io_descriptor(struct vr_overlay *overlay, void *open, vrift_task **task);

int32_t VRIFT_CALLBACK vr_overlay_space_fallocate(void *self, const struct vrift_node *node, void *file, uint64_t mode,
                                                  uint64_t offset, uint64_t length);
int64_t VRIFT_CALLBACK vr_overlay_space_copy(void *self, const struct vrift_node *from, void *from_file,
                                             uint64_t from_offset, const struct vrift_node *to, void *to_file,
                                             uint64_t to_offset, uint64_t length, uint64_t flags);
int32_t VRIFT_CALLBACK vr_overlay_space_map(void *self, const struct vrift_node *node, void *file,
                                            const struct vrift_map_range *range, struct vrift_map_place *out);
int32_t VRIFT_CALLBACK vr_overlay_space_map_sync(void *self, const struct vrift_node *node,
                                                 const struct vrift_map_place *mapping, uint64_t offset,
                                                 uint64_t length, uint64_t flags);
void VRIFT_CALLBACK vr_overlay_space_unmap(void *self, const struct vrift_node *node,
                                           const struct vrift_map_place *mapping);

int32_t VRIFT_CALLBACK vr_overlay_attr_set(void *self, const struct vrift_node *node, void *file,
                                           const struct vrift_setattr *set, struct vrift_stat *out);
int64_t VRIFT_CALLBACK vr_overlay_attr_readlink(void *self, const struct vrift_node *node, char *buf, size_t len);
int64_t VRIFT_CALLBACK vr_overlay_attr_getxattr(void *self, const struct vrift_node *node, const char *name, void *buf,
                                                size_t len);
int32_t VRIFT_CALLBACK vr_overlay_attr_setxattr(void *self, const struct vrift_node *node, const char *name,
                                                const void *value, size_t len, uint64_t flags);
int64_t VRIFT_CALLBACK vr_overlay_attr_listxattr(void *self, const struct vrift_node *node, char *buf, size_t len);
int32_t VRIFT_CALLBACK vr_overlay_attr_removexattr(void *self, const struct vrift_node *node, const char *name);

/* -- overlay_flags.c ---------------------------------------------------------------------------------------------- */

/* Adds to a layer's attributes what the overlay keeps. */
void vr_overlay_flags_show(struct vr_overlay *overlay, struct vr_overlay_node *node, struct vrift_stat *stat);

/* Sets VRIFT_FL_... of a node that has an upper part. */
int32_t vr_overlay_flags_set(struct vr_overlay *overlay, struct vr_overlay_node *node, uint64_t flags);

/* Gives a copy, by a descriptor of the upper, the flags of what it was made from. */
int32_t vr_overlay_flags_copy(struct vr_overlay *overlay, const struct vrift_stat *from, int32_t to);

/* The descriptor that stands for a node now, and the task it belongs to. */
int32_t vr_overlay_attr_top(const struct vr_overlay *overlay, const struct vr_overlay_node *node, vrift_task **task);

#endif
