/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Random calls by several tasks, made on a tmpfs of the running kernel and on libvrift, and what both answered.
 *
 * A *step* is one call of one task with all its arguments. An *episode* is a list of steps on a fresh tree. Each side
 * runs the whole episode by itself and writes down what it saw in a *log* of tokens; the logs are compared afterwards.
 * So neither side waits for the other, and whatever is found is found again from the steps alone.
 */
#ifndef VR_DIFFERENTIAL_H
#define VR_DIFFERENTIAL_H

#include "support/check.h"

#include <vrift/vrift.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DIFF_TASKS      5
#define DIFF_OBSERVER   DIFF_TASKS /* a task that only looks: root, never moves */
#define DIFF_PROCESSES  (DIFF_TASKS + 1)
#define DIFF_MOST_STEPS 1200
#define DIFF_TEXT       48
#define DIFF_FILES      12 /* descriptors a task may have */
#define DIFF_DISKS      3  /* file systems that steps may mount */
#define DIFF_CREDS      8
#define DIFF_HERE       VRIFT_AT_FDCWD

/* -- Steps -------------------------------------------------------------------------------------------------------- */

/* In a path, these stand for a name of 255 and one of 256 bytes. */
#define DIFF_LONGEST  '%'
#define DIFF_TOO_LONG '@'

struct diff_step {
    uint8_t task;
    uint8_t kind; /* index into diff_kinds */
    uint8_t look; /* what it touched is looked at afterwards */
    int16_t fd, fd2;
    char path[DIFF_TEXT], path2[DIFF_TEXT];
    uint64_t a, b, c; /* what they mean is the kind's business */
};

struct diff_random {
    uint64_t state;
};

struct diff_run;

/* One kind of step: how often it comes, how its arguments are chosen, how it runs, and how it looks in C. */
struct diff_kind {
    const char *name;
    uint32_t weight;
    void (*choose)(struct diff_random *random, struct diff_step *step);
    void (*run)(struct diff_run *run, const struct diff_step *step);
    const char *text; /* see diff_print_step() */
};

extern const struct diff_kind diff_kinds[];
extern const uint32_t diff_kind_count;
uint32_t diff_kind_named(const char *name);

/* -- Choosing ----------------------------------------------------------------------------------------------------- */

uint32_t diff_roll(struct diff_random *random, uint32_t sides);
bool diff_chance(struct diff_random *random, uint32_t percent);
int16_t diff_some_fd(struct diff_random *random);
int16_t diff_some_dirfd(struct diff_random *random);
void diff_some_path(struct diff_random *random, char *path);
uint32_t diff_some_mode(struct diff_random *random);

/* Fills steps with an episode of at most `count` steps, dumps of the tree included; returns how many. */
uint32_t diff_generate(uint64_t seed, struct diff_step *steps, uint32_t count);

/* -- Credentials -------------------------------------------------------------------------------------------------- */

struct diff_cred {
    uint32_t uid, gid, group_count;
    uint32_t groups[2];
    uint64_t capabilities;
};
extern const struct diff_cred diff_creds[DIFF_CREDS];
extern const uint8_t diff_first_cred[DIFF_PROCESSES];

/* -- The log ------------------------------------------------------------------------------------------------------ */

enum diff_token_kind {
    DIFF_STEP,    /* value: index of the step that follows */
    DIFF_RESULT,  /* value: what a call answered */
    DIFF_LENIENT, /* a result where -EAGAIN of either side means nothing */
    DIFF_NUMBER,  /* must be equal */
    DIFF_INODE,   /* value, extra: device, number; one to one between the sides */
    DIFF_MOUNT,   /* value: id of a mount; one to one */
    DIFF_TIME,    /* value, extra: seconds, nanoseconds; equal if set by a call, else later than the test's start */
    DIFF_MOVED,   /* likewise, and whether it moved since last seen must be the same */
    DIFF_BYTES,   /* value: how many; they follow */
    DIFF_DIED,    /* this side ended early; value: why */
};

struct diff_token {
    const char *what;
    uint64_t kind, value, extra;
};

struct diff_log {
    size_t used, capacity;
    uint32_t full;
    uint64_t bytes[];
};

void diff_log_reset(struct diff_log *log);
void diff_log(struct diff_log *log, const char *what, enum diff_token_kind kind, uint64_t value, uint64_t extra);
void diff_log_bytes(struct diff_log *log, const char *what, const void *bytes, size_t length);

/* Goes through a log: the token at *at, which moves on; NULL at the end. */
const struct diff_token *diff_log_next(const struct diff_log *log, size_t *at);

/* -- A side ------------------------------------------------------------------------------------------------------- */

struct diff_facts {
    uint64_t dev, ino, size, blocks, rdev, mount_id;
    uint32_t mode, nlink, uid, gid;
    struct vrift_timespec atime, mtime, ctime, btime;
};

struct diff_entry {
    uint64_t ino, cookie;
    uint32_t type;
    char name[256];
};

struct diff_lock {
    int32_t type, whence;
    int64_t start, length;
};

#define DIFF_MOST_ENTRIES 256
struct diff_listing {
    uint32_t count;
    struct diff_entry entries[DIFF_MOST_ENTRIES];
};

/* Every call answers >= 0 or -VRIFT_E...; self is the side's task. */
struct diff_calls {
    const char *name;
    int64_t (*openat)(void *self, int dirfd, const char *path, uint64_t flags, uint32_t mode);
    int64_t (*openat2)(void *self, int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
    int64_t (*close)(void *self, int fd);
    int64_t (*dup)(void *self, int fd);
    int64_t (*dup3)(void *self, int fd, int fd2, uint64_t flags);
    int64_t (*read)(void *self, int fd, void *buf, size_t len);
    int64_t (*write)(void *self, int fd, const void *buf, size_t len);
    int64_t (*readv)(void *self, int fd, const struct vrift_iovec *iov, uint32_t count);
    int64_t (*writev)(void *self, int fd, const struct vrift_iovec *iov, uint32_t count);
    int64_t (*pread)(void *self, int fd, void *buf, size_t len, uint64_t offset);
    int64_t (*pwrite)(void *self, int fd, const void *buf, size_t len, uint64_t offset);
    int64_t (*lseek)(void *self, int fd, int64_t offset, int whence);
    int64_t (*ftruncate)(void *self, int fd, int64_t length);
    int64_t (*truncate)(void *self, const char *path, int64_t length);
    int64_t (*fsync)(void *self, int fd);
    int64_t (*statat)(void *self, int dirfd, const char *path, uint64_t flags, struct diff_facts *out);
    int64_t (*fstat)(void *self, int fd, struct diff_facts *out);
    int64_t (*mkdirat)(void *self, int dirfd, const char *path, uint32_t mode);
    int64_t (*mknodat)(void *self, int dirfd, const char *path, uint32_t mode, uint32_t major, uint32_t minor);
    int64_t (*unlinkat)(void *self, int dirfd, const char *path, uint64_t flags);
    int64_t (*renameat2)(void *self, int fd, const char *path, int fd2, const char *path2, uint64_t flags);
    int64_t (*linkat)(void *self, int fd, const char *path, int fd2, const char *path2, uint64_t flags);
    int64_t (*symlinkat)(void *self, const char *target, int dirfd, const char *path);
    int64_t (*readlinkat)(void *self, int dirfd, const char *path, char *buf, size_t len);
    int64_t (*fchmodat)(void *self, int dirfd, const char *path, uint32_t mode, uint64_t flags);
    int64_t (*fchownat)(void *self, int dirfd, const char *path, uint32_t uid, uint32_t gid, uint64_t flags);
    int64_t (*utimensat)(void *self, int dirfd, const char *path, const struct vrift_timespec *times, uint64_t flags);
    int64_t (*faccessat)(void *self, int dirfd, const char *path, uint32_t mode, uint64_t flags);
    int64_t (*chdir)(void *self, const char *path);
    int64_t (*fchdir)(void *self, int fd);
    int64_t (*chroot)(void *self, const char *path);
    int64_t (*getcwd)(void *self, char *buf, size_t len);
    int64_t (*umask)(void *self, uint32_t mask);
    int64_t (*become)(void *self, uint32_t cred);
    int64_t (*getdents)(void *self, int fd, size_t size, struct diff_listing *listing);
    int64_t (*statfs)(void *self, int dirfd, const char *path, struct vrift_statfs *out);
    int64_t (*setxattr)(void *self, int dirfd, const char *path, const char *name, const void *value, size_t len,
                        uint64_t flags);
    int64_t (*getxattr)(void *self, int dirfd, const char *path, const char *name, void *buf, size_t len,
                        uint64_t flags);
    int64_t (*listxattr)(void *self, int dirfd, const char *path, char *buf, size_t len, uint64_t flags);
    int64_t (*removexattr)(void *self, int dirfd, const char *path, const char *name, uint64_t flags);
    int64_t (*fallocate)(void *self, int fd, uint64_t mode, int64_t offset, int64_t length);
    int64_t (*copy_file_range)(void *self, int fd, int64_t *offset, int fd2, int64_t *offset2, uint64_t count);
    int64_t (*sendfile)(void *self, int to, int from, int64_t *offset, uint64_t count);
    int64_t (*flock)(void *self, int fd, uint64_t operation);
    int64_t (*setlk)(void *self, int fd, bool ofd, const struct diff_lock *lock);
    int64_t (*getlk)(void *self, int fd, bool ofd, struct diff_lock *lock);
    int64_t (*fsetxattr)(void *self, int fd, const char *name, const void *value, size_t len, uint64_t flags);
    int64_t (*fgetxattr)(void *self, int fd, const char *name, void *buf, size_t len);
    int64_t (*flistxattr)(void *self, int fd, char *buf, size_t len);
    int64_t (*fremovexattr)(void *self, int fd, const char *name);
    int64_t (*setflags)(void *self, int fd, uint64_t flags);
    int64_t (*getflags)(void *self, int fd, uint64_t *flags);
    int64_t (*dupfd)(void *self, int fd, int least, uint64_t flags);
    int64_t (*close_range)(void *self, uint32_t first, uint32_t last, uint64_t flags);
    int64_t (*getfd)(void *self, int fd);
    int64_t (*setfd)(void *self, int fd, uint64_t flags);
    int64_t (*getfl)(void *self, int fd);
    int64_t (*setfl)(void *self, int fd, uint64_t flags);
    int64_t (*fchmod)(void *self, int fd, uint32_t mode);
    int64_t (*fchown)(void *self, int fd, uint32_t uid, uint32_t gid);
    int64_t (*futimens)(void *self, int fd, const struct vrift_timespec *times);
    int64_t (*fdatasync)(void *self, int fd);
    int64_t (*mount_move)(void *self, const char *from, const char *to);
    int64_t (*mount)(void *self, const char *path, uint32_t disk, uint64_t flags);
    int64_t (*bind)(void *self, const char *from, const char *to);
    int64_t (*remount)(void *self, const char *path, uint64_t flags);
    int64_t (*umount)(void *self, const char *path, uint64_t flags);
    int64_t (*fork)(void *self, uint32_t slot); /* the copy takes over the slot; who had it is gone */
    int64_t (*drop_caches)(void *self);         /* which makes no difference */
};

extern const struct diff_calls diff_kernel_calls, diff_vrift_calls;

/* A task of one side while it runs steps. */
struct diff_run {
    const struct diff_calls *calls;
    void *self;
    struct diff_log *log;
    uint64_t root_mount; /* of the whole tree */
};

/* To be called before the first step. */
void diff_run_begin(struct diff_run *run);
void diff_run_step(struct diff_run *run, const struct diff_step *steps, uint32_t index);
void diff_look_at_stat(struct diff_run *run, int64_t result, const struct diff_facts *facts);
void diff_dump_tree(struct diff_run *run);

/* -- Episodes ----------------------------------------------------------------------------------------------------- */

/* In memory that all processes share. */
struct diff_shared {
    uint32_t count; /* steps of the episode */
    struct diff_step steps[DIFF_MOST_STEPS];
    _Atomic uint32_t next;                       /* step whose turn it is */
    _Atomic uint32_t wake[DIFF_PROCESSES];       /* futexes */
    _Atomic uint32_t generation[DIFF_PROCESSES]; /* whose process is out of date ends itself */
    _Atomic int32_t pid[DIFF_PROCESSES];
    _Atomic uint64_t tried_again; /* calls that failed because they had to */
    struct diff_log *kernel, *vrift;
};

struct diff_shared *diff_shared_new(void);

/* Leaves the machine's file systems behind for a mount namespace with an empty tmpfs; false if not allowed. */
bool diff_enter_nowhere(void);

/* Each runs the episode in processes of its own; to be called after diff_enter_nowhere(). */
int diff_kernel_start(struct diff_shared *shared);
int diff_vrift_start(struct diff_shared *shared);

struct diff_difference {
    uint32_t step;
    char what[32];
    char text[600];
};

/* Runs the episode in shared->steps on both sides; true if they differ. */
bool diff_episode(struct diff_shared *shared, struct diff_difference *difference);
bool diff_compare(const struct diff_log *kernel, const struct diff_log *vrift, struct diff_difference *difference);

/* Removes steps as long as the difference remains. */
void diff_shrink(struct diff_shared *shared, struct diff_difference *difference);

/* Prints the episode as a test in C. */
void diff_print(const struct diff_shared *shared, const struct diff_difference *difference);
void diff_print_step(const struct diff_step *step, char *buf, size_t len);

/* What goes wrong on libvrift's side, in each call that can be made again. */
enum diff_trouble {
    DIFF_NO_TROUBLE,
    DIFF_NO_MEMORY, /* one allocation after the other */
    DIFF_FAULTS,    /* one call of a backend's slot after the other */
};
extern enum diff_trouble diff_trouble;

/* What libvrift's file systems are. */
enum diff_backend {
    DIFF_MEM,
    DIFF_HOST,    /* a directory of a tmpfs */
    DIFF_OVERLAY, /* memory over memory */
};
extern enum diff_backend diff_backend;

/* VRIFT_PROTECT_... as the running kernel is set; to be read before diff_enter_nowhere(). */
extern uint32_t diff_protections;
void diff_read_protections(void);

/* Does the running kernel know all the calls that are compared? */
bool diff_kernel_knows_all(void);

/* What the running kernel can do. */
bool diff_has_fine_times(void);

#endif
