/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What checkout and clone share: directories under construction, attributes in the order that keeps them, hard links
 * within the tree, counting.
 *
 * A directory is a job of the crew. It is made and opened below its parent's descriptor, filled, and finished (owner,
 * xattrs, mode, times, close) when all its subdirectories have been opened: from then on nothing changes its times any
 * more, and its mode no longer matters to what is below, for that goes by descriptors alone. So a tree may be deeper
 * than any path, and descriptors are needed only for directories with subdirectories yet to open.
 */
#ifndef VR_RESTORE_H
#define VR_RESTORE_H

#include "core/str.h"
#include "store/crew.h"
#include "store/target.h"

/* Where an inode's extended attributes come from: as vrift_snapshot_listxattr() and _getxattr(). */
struct vr_restore_xattrs {
    int64_t (*list)(const struct vr_restore_xattrs *from, char *buf, size_t len);
    int64_t (*get)(const struct vr_restore_xattrs *from, const char *name, void *buf, size_t len);
    int fd; /* clone: name in fd */
    const char *name;
    const uint8_t *list_bytes; /* checkout: as in xattrs.h */
    size_t list_length;
};

struct vr_restore;

struct vr_restore_dir {
    struct vr_crew_job job; /* first */
    struct vr_restore *restore;
    struct vr_restore_dir *parent; /* kept alive for its path; NULL of the root */
    _Atomic uint32_t refs;         /* our own, and one of each child */
    _Atomic uint32_t unfinished;   /* our own filling, and each child yet to open; at 0 it is finished */
    int fd;                        /* -1 before it is opened and after it is finished */
    int source_fd;                 /* clone: the directory copied; -1 as fd */
    uint64_t entry;                /* checkout: its number */
    struct vrift_stat stat;        /* to restore */
    char name[];
};

/* One inode that has several names. Under the restore's links_lock. */
struct vr_restore_inode {
    uint64_t device, number; /* whatever names the inode at the source */
    uint32_t state;
};

struct vr_restore {
    struct vr_crew crew;
    struct vr_target target;
    struct vr_fileops_ladder ladder;
    struct vrift_error_detail detail;
    const char *operation; /* for messages: "checkout", "clone" */
    const char *dest;
    const char *source; /* clone: the path copied, for messages */
    uint64_t flags;     /* VRIFT_CHECKOUT_... */

    /* What a new file gets by itself. */
    uint32_t umask;
    uint32_t uid, gid;

    /* Opens a directory's source, while its parent's is open, and learns its attributes; may be NULL. */
    int32_t (*open_source)(struct vr_restore_dir *dir);
    /* Fills an opened directory. Both report their failures themselves. */
    int32_t (*fill)(struct vr_restore_dir *dir);
    /* Where the xattrs of a directory come from. */
    struct vr_restore_xattrs (*xattrs)(struct vr_restore_dir *dir);
    /* Has a last look at what was built, before it is published; may be NULL. Reports its failures itself. */
    int32_t (*check)(struct vr_restore *restore);
    void *payload;

    /*
     * Holds the first name of each inode with several, in the root under construction, until all are linked. While it
     * is there the tree is incomplete, in place too.
     */
    char staging_name[VR_FILEOPS_TEMPORARY_SIZE];
    int staging;
    vr_os_mutex links_lock;
    vr_os_cond links_cond;           /* an inode's state has changed */
    struct vr_restore_inode *inodes; /* links_lock; open addressing, a power of two */
    size_t inode_count, inode_slots; /* links_lock */

    _Atomic uint64_t files, directories, symlinks, specials, bytes, skipped_owners, skipped_specials;
};

/* Checks options and destination. On failure everything is cleaned up and detail holds the reason. */
int32_t vr_restore_init(struct vr_restore *restore, const char *operation, const char *dest,
                        const struct vrift_checkout_options *options);

/* Builds a whole tree, from the root's attributes and source, and publishes it. Afterwards only dispose() is left. */
int32_t vr_restore_tree(struct vr_restore *restore, struct vr_restore_dir *root);
void vr_restore_result(struct vr_restore *restore, struct vrift_checkout_result *out);

/* Removes what was not published; publishes the detail of a failure to the thread. Returns result. */
int32_t vr_restore_dispose(struct vr_restore *restore, int32_t result);

/* A directory below parent (NULL: the root), to be pushed by vr_restore_push(). NULL if out of memory. */
struct vr_restore_dir *vr_restore_dir_new(struct vr_restore *restore, struct vr_restore_dir *parent, const char *name,
                                          size_t length);
void vr_restore_push(struct vr_restore_dir *dir);

/*
 * Records a failure at name in dir (NULL: of the destination itself), stops the crew, returns the error; the second with
 * the path it has at the source. -VRIFT_ECANCELED is not recorded: it stands for a failure that another thread tells.
 */
int32_t vr_restore_fail(struct vr_restore *restore, const struct vr_restore_dir *dir, const char *name, int32_t error,
                        const char *reason);
int32_t vr_restore_fail_source(struct vr_restore *restore, const struct vr_restore_dir *dir, const char *name,
                               int32_t error, const char *reason);

/* -- One inode that is not a directory; failures are returned, not recorded ---------------------------------------- */

/* Creates an empty file for writing and returns its descriptor. */
int32_t vr_restore_create(int dirfd, const char *name, uint32_t mode);

/* Gives an open new file or directory its attributes; xattrs may be NULL. */
int32_t vr_restore_finish_file(struct vr_restore *restore, int fd, const struct vrift_stat *stat,
                               const struct vr_restore_xattrs *xattrs);
int32_t vr_restore_symlink(struct vr_restore *restore, int dirfd, const char *name, const char *target,
                           const struct vrift_stat *stat, const struct vr_restore_xattrs *xattrs);

/* 1 if it could not be made for want of privilege, which is counted. */
int32_t vr_restore_special(struct vr_restore *restore, int dirfd, const char *name, const struct vrift_stat *stat,
                           const struct vr_restore_xattrs *xattrs);

/*
 * Makes name in dir a link to the inode {device, number}, which make() creates when its first name comes: under the
 * given name in the given directory, with make()'s result 0, 1 (skipped, and so are its other names), or an error.
 */
typedef int32_t (*vr_restore_make)(void *payload, int dirfd, const char *name);
int32_t vr_restore_linked(struct vr_restore *restore, uint64_t device, uint64_t number, int dirfd, const char *name,
                          vr_restore_make make, void *payload);

#endif
