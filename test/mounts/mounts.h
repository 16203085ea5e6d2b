/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * One sequence of calls that change mount trees, run by several processes on the running kernel and by as many tasks on
 * libvrift; results, mount trees and what paths lead to are compared after each.
 *
 * Both sides start with one process in a namespace of its own, whose root is a memory file system over a root that nobody
 * sees, with directories a and b two levels deep and files f. Where a step mounts a new file system it gets a, b and f as well.
 */
#ifndef VR_TEST_MOUNTS_H
#define VR_TEST_MOUNTS_H

#include "support/check.h"

#include <stdbool.h>

#define PROCESSES 3
#define PATH_SIZE 64
#define PROBES    4

enum operation {
    OP_MOUNT,
    OP_BIND,
    OP_MOVE,
    OP_PROPAGATE,
    OP_REMOUNT,
    OP_SETATTR,
    OP_UMOUNT,
    OP_EXPIRE, /* asks twice, then uses it */
    OP_PIVOT,
    OP_CHROOT,
    OP_CHDIR,
    OP_UNSHARE,
    OP_FORK,
    OP_EXIT,
    OP_SETNS,
    OP_MKDIR,
    OP_RMDIR,
    OP_UNLINK,
    OP_CREATE,
    OP_RENAME,
    OP_EXCHANGE,
    OP_LINK,
    OP_OPEN,  /* keeps a descriptor */
    OP_CLOSE, /* closes it */
    OP_FCHDIR,
    OP_SYMLINK, /* one: the text */
    OP_RESOLVE, /* openat2 with flags VRIFT_RESOLVE_... */
    OP_COUNT
};

/* Numbers are Linux's and libvrift's: VRIFT_MOUNT_..., VRIFT_UMOUNT_.... */
struct step {
    uint32_t operation;
    uint32_t process;
    uint32_t other;  /* FORK: the new one; SETNS: whose namespace */
    uint32_t number; /* MOUNT: of the file system */
    uint64_t flags;
    uint64_t clear; /* SETATTR */
    uint64_t type;  /* SETATTR, PROPAGATE */
    char one[PATH_SIZE], two[PATH_SIZE];
};

struct probe {
    int64_t result;
    uint64_t dev, ino, mount;
};

/* What a process sees; mountinfo is the caller's to free. */
struct view {
    char *mountinfo;
    char cwd[512];
    struct probe probes[PROBES];
};

struct side {
    const char *name;
    int64_t (*run)(void *self, const struct step *step);
    void (*look)(void *self, uint32_t process, char (*paths)[PATH_SIZE], struct view *out);
    void (*end)(void *self);
    void *self;
};

/* False, with the reason printed, where the kernel cannot be asked. */
bool kernel_side_begin(struct side *side);
void vrift_side_begin(struct side *side);

/* Whether the sides are the same after a step, as far as processes that live see it; prints what is not. */
bool same_views(struct side *kernel, struct side *ours, const bool *alive, char (*probes)[PATH_SIZE]);

/* Is a umount one that Linux answers by making the root read-only? */
bool vrift_side_is_root(struct side *ours, uint32_t process, const char *path);
/* Would a process that enters the namespace of this one stand in the root that nobody is to see? */
bool vrift_side_is_bare(struct side *ours, uint32_t process);
/* The place of one of the mounts that a process sees, a different one for each `pick`. */
void vrift_side_mount_point(struct side *ours, uint32_t process, uint32_t pick, char path[PATH_SIZE]);
/* How many mounts there are in all namespaces that live. */
uint32_t vrift_side_count(struct side *ours, const bool *alive);

void print_step(const struct step *step);

/* Random sequences; steps in all. */
void run_random(uint64_t steps, uint64_t seed);
/* A text of steps, see parts/script.c. */
void run_script(const char *name, const char *text);
bool kernel_is_there(void);
/* Linux 6.17 and 6.18 forget in a copy of a namespace what was unbindable; those before and after do not. */
bool kernel_keeps_unbindable(void);

#endif
