/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Who may do what, asked at random of the running kernel (a tmpfs) and of libvrift: small trees of files and directories
 * with all kinds of owners, modes, ACLs and flags, asked by all kinds of users. After each question the answers and all
 * that can be seen of the trees must be equal.
 */
#ifndef VR_PERM_TEST_H
#define VR_PERM_TEST_H

#include "support/check.h"

#include <vrift/vrift.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PERM_GROUPS 3
#define PERM_PATH   24
#define PERM_VALUE  128
#define PERM_STEPS  220 /* questions asked of one tree */
#define PERM_DUMP   65536

/* Who asks. */
struct perm_who {
    uint32_t uid, gid, group_count;
    uint32_t groups[PERM_GROUPS];
    uint64_t capabilities;
};

enum perm_call {
    PERM_OPEN,
    PERM_WRITE,     /* open for writing and write a byte */
    PERM_FTRUNCATE, /* likewise, and set the size */
    PERM_FALLOCATE, /* likewise, and allocate or punch */
    PERM_TMPFILE,   /* a nameless file, and a name for it */
    PERM_MKDIR,
    PERM_MKNOD,
    PERM_SYMLINK,
    PERM_LINK,
    PERM_UNLINK,
    PERM_RMDIR,
    PERM_RENAME,
    PERM_CHMOD,
    PERM_CHOWN,
    PERM_UTIMES,
    PERM_TRUNCATE,
    PERM_ACCESS,
    PERM_CHDIR,
    PERM_CHROOT,
    PERM_SETXATTR,
    PERM_GETXATTR,
    PERM_REMOVEXATTR,
    PERM_LISTXATTR,
    PERM_FSETXATTR,
    PERM_SETFLAGS,
    PERM_GETFLAGS,
    PERM_SETFL, /* of the description */
    PERM_CALLS
};

struct perm_question {
    enum perm_call call;
    struct perm_who who;
    uint32_t umask;
    char path[PERM_PATH], other[PERM_PATH]; /* other: the new name, a symlink's text */
    uint64_t flags;                         /* of the call: VRIFT_O_..., _AT_..., _FL_..., _RENAME_..., _XATTR_... */
    uint32_t mode, uid, gid;
    uint64_t length;
    char name[40]; /* of an xattr */
    uint8_t value[PERM_VALUE];
    uint32_t value_length;
};

struct perm_answer {
    int64_t result; /* a descriptor counts as 0 */
    uint8_t bytes[4096];
    size_t length;
};

/* A side: an empty tree at first. */
struct perm_side {
    const char *name;
    bool beneath;   /* another file system's rules are in force below */
    bool layered;   /* directories are those of an overlay */
    bool imported;  /* a snapshot: what it does not keep is not asked about */
    bool mounting;  /* asked through the kernel, which is told of no flags */
    bool variant;   /* of this tree: an exclusive host; an overlay with nothing in its lower layer */
    uint64_t flags; /* VRIFT_FL_... that it keeps */
    void (*begin)(struct perm_side *side);
    void (*end)(struct perm_side *side);
    /* The first questions made the tree; now come those that count, through a mount with these VRIFT_MOUNT_... flags. */
    void (*settle)(struct perm_side *side, uint64_t mount_flags);
    void (*ask)(struct perm_side *side, const struct perm_question *question, struct perm_answer *answer);
    /* As root, not following; -VRIFT_ENOENT if there is none. */
    int32_t (*stat)(struct perm_side *side, const char *path, struct vrift_stat *out);
    int64_t (*list)(struct perm_side *side, const char *path, char *buf, size_t len);
    int64_t (*get)(struct perm_side *side, const char *path, const char *name, void *buf, size_t len);
    char directory[4096]; /* the kernel's and the host's: a tmpfs, of which each tree takes a new directory */
    unsigned trees;
    int root;     /* the kernel's */
    int server;   /* the process that serves a mount */
    int outside;  /* its process's own root */
    bool mounted; /* a second time, the kernel's */
    vrift_vfs *vfs;
    vrift_task *task, *watcher;
    vrift_ns *ns;
    vrift_sb *layers[2];
};

/* Beside the flags of a mount: its file system cannot be written. */
#define PERM_SEALED (1ULL << 63)

extern const struct perm_side perm_kernel, perm_mem, perm_host, perm_overlay, perm_snapshot, perm_mount;

/* As root, following; of the kernel's tree. */
int32_t perm_kernel_look(struct perm_side *side, const char *path, struct vrift_stat *out);

/* -- perm_question.c ----------------------------------------------------------------------------------------------- */

struct perm_random {
    uint64_t state;
};
uint32_t perm_below(struct perm_random *random, uint32_t n);

/* A question of the first phase, by the mighty, makes the tree; a later one is anybody's. */
void perm_make_question(struct perm_random *random, bool first, struct perm_question *out);
extern const char *const perm_call_names[PERM_CALLS];
void perm_print_question(const struct perm_question *question);

/* Every path that a question can name, parents first; NULL at the end. */
extern const char *const perm_paths[];

#endif
