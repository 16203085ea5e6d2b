/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The walk: from a path to a mount and a dentry.
 *
 * It reads the dentry cache without a lock, touching no reference counts, until it is done or the cache does not know
 * (core/walkpass.h). Then it takes references on where it stands and looks whether nothing changed since it began; if
 * something did it goes back to where it last held references, and after a few times keeps changes out. Where the cache
 * does not know it asks the backend, and goes on from where it stands. Only the end's references stay.
 */
#ifndef VR_WALK_H
#define VR_WALK_H

#include "core/object.h"

#define VR_WALK_FOLLOW    1u  /* the last component, if it is a symlink */
#define VR_WALK_DIRECTORY 2u  /* the end must be a directory */
#define VR_WALK_PARENT    4u  /* stop before the last component */
#define VR_WALK_ORDINARY  8u  /* with PARENT: only if that is a name, not `.`, `..` or nothing */
#define VR_WALK_EMPTY     16u /* "" means what dirfd has open */

#define VR_WALK_MAX_LINKS 40u

/*
 * Makes a call by path, and makes it again while the backend says that what a name meant a moment ago is gone: the
 * next walk looks such names up anew. Nobody but who holds a descriptor should see ESTALE.
 */
#define VR_WALK_TRIES 8
#define VR_WALK_RETRY(result, call)                                                                                    \
    for (int tries = 1; ((result) = (call)) == -VRIFT_ESTALE && tries < VR_WALK_TRIES; tries++)

enum vr_last { VR_LAST_NAME, VR_LAST_DOT, VR_LAST_DOTDOT, VR_LAST_ROOT };

/* References that a walk holds while it is outside a read section. */
struct vr_walk_held {
    struct vr_path path;
    struct vr_dentry *child;
};

struct vr_walk_text {
    const char *p, *end;
};

/* Where a walk stood when it last held references, or started. */
struct vr_walk_mark {
    bool set; /* false: at the start of everything */
    bool stepping, final, last_slash;
    enum vr_last last_type;
    struct vr_component last;
    const char *p, *end;
    const struct vr_inode *searched, *confirmed;
    uint32_t flags, hits, depth, followed, link_count;
};

struct vr_walk {
    vrift_task *task;
    uint32_t flags;   /* VR_WALK_... */
    uint64_t resolve; /* VRIFT_RESOLVE_... */
    int32_t dirfd;
    bool at_parent;  /* result: stopped before `last` */
    bool last_slash; /* result: slashes followed the last component */
    enum vr_last last_type;
    struct vr_path path; /* result, and where it stands meanwhile */
    struct vr_path root;
    vrift_cred *cred; /* whose permissions count; held once anything is */
    struct vr_walk_held held;
    struct vr_dentry *child; /* to step into next */
    vrift_file *dir_file;    /* held; behind dirfd */
    const char *p, *end;     /* what is left of the current text */
    uint64_t now;            /* 0 until the walk needs the time */
    uint32_t hits, misses;
    uint32_t depth;                  /* of texts */
    uint32_t followed;               /* symlinks so far */
    uint32_t link_count;             /* of links */
    uint64_t read_links;             /* bit n: reading links[n] is to be stamped */
    uint64_t doubtful_links;         /* likewise, if it turns out to be due */
    const struct vr_inode *searched; /* outside a read section it was found that this directory may be searched */
    /* Where names are not stable: this inode's permissions are as new as they must be, as a name led to it, or asked for. */
    const struct vr_inode *confirmed;
    uint64_t seq;   /* of the dentry cache when this pass began */
    uint32_t tries; /* passes that failed since the mark */
    bool started, final, stepping, anchored, peeked, locked;
    bool slow;                     /* the backend was asked */
    bool aged;                     /* it passed over what others may change, or over what is stamped when it is read */
    struct vr_inode *peeked_inode; /* whose attributes were peeked at, not held */
    uint32_t peeked_seq;           /* and its attr_seq */
    struct vrift_stat *peek;       /* wanted: the end's attributes, if the cache has them */
    /* From here on vr_walk_begin() clears nothing, or only what it names. */
    struct vr_component last;
    struct vr_walk_mark mark;
    struct vr_walk_text texts[VR_WALK_MAX_LINKS]; /* what is left of the paths around the symlink being followed */
    struct vr_walk_text marked_texts[VR_WALK_MAX_LINKS]; /* as they were at the mark */
    struct vr_inode *links[VR_WALK_MAX_LINKS + 1];       /* held, for their text */
};

/* Checks path and dirfd; to be ended with vr_walk_end(), also after an error. */
int32_t vr_walk_begin(struct vr_walk *walk, vrift_task *task, int32_t dirfd, const char *path, uint32_t flags,
                      uint64_t resolve);

/* Walks. On success walk->path is held until vr_walk_end(). */
int32_t vr_walk_run(struct vr_walk *walk);

/*
 * After a walk that stopped at a parent: goes on into `child`, which is what the last name means there and whose
 * reference is taken over. The end is then the child, or what it leads to, or the next parent behind a symlink.
 */
int32_t vr_walk_into(struct vr_walk *walk, struct vr_dentry *child);

/* Hands the result's references to the caller. */
void vr_walk_take(struct vr_walk *walk, struct vr_path *out);

void vr_walk_end(struct vr_walk *walk);

/* The whole of it, where only the path is wanted. */
int32_t vr_walk_path(vrift_task *task, int32_t dirfd, const char *path, uint32_t flags, struct vr_path *out);

/* Does the task have a capability? */
bool vr_walk_capable(vrift_task *task, uint64_t capability);

/* The task's credentials with a reference of the caller's own. */
vrift_cred *vr_walk_cred(vrift_task *task);

#endif
