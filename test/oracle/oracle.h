/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The Linux kernel as the oracle: one set of questions, asked through a table of calls, once of the running kernel (a
 * tmpfs in a mount namespace of its own) and once of libvrift (the memory backend). The answers must be equal.
 *
 * The questions have the numbers 1 to 199 of the list they come from; what that list does not have is numbered from
 * 200 on.
 */
#ifndef VR_ORACLE_H
#define VR_ORACLE_H

#include "support/check.h"

#include <vrift/vrift.h>

#include <stdlib.h>
#include <string.h>

#define AT                VRIFT_AT_FDCWD
#define ORACLE_TOTAL      199
#define ORACLE_MAX        600
#define ORACLE_ANSWER_MAX 200

struct oracle_entry {
    char name[256];
    uint64_t ino;
    uint64_t cookie;
};

/*
 * The calls, in the kernel's terms and with the kernel's numbers, which are libvrift's too. Results are >= 0 or a
 * negative error. There is a root file system, a second one at /base, and one caller, root at first.
 */
struct oracle_calls {
    const char *name;
    int64_t (*openat)(void *self, int dirfd, const char *path, uint64_t flags, uint32_t mode);
    int64_t (*openat2)(void *self, int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve);
    int64_t (*close)(void *self, int fd);
    int64_t (*dup)(void *self, int fd);
    int64_t (*dup3)(void *self, int fd, int to, uint64_t flags);
    int64_t (*dupfd)(void *self, int fd, int least, uint64_t flags);
    int64_t (*close_range)(void *self, unsigned first, unsigned last, unsigned flags);
    int64_t (*getfd)(void *self, int fd);
    int64_t (*setfd)(void *self, int fd, uint64_t flags);
    int64_t (*getfl)(void *self, int fd);
    int64_t (*setfl)(void *self, int fd, uint64_t flags);
    int64_t (*max_files)(void *self, uint32_t limit);
    int64_t (*flock)(void *self, int fd, uint64_t operation);
    int64_t (*setlk)(void *self, int fd, uint64_t flags, int type); /* all of the file, at once; VRIFT_SETLK_OFD */
    int64_t (*lock_elsewhere)(void *self, const char *path);        /* a POSIX write lock, by another process */
    int64_t (*read)(void *self, int fd, void *buf, size_t len);
    int64_t (*write)(void *self, int fd, const void *buf, size_t len);
    int64_t (*pwrite)(void *self, int fd, const void *buf, size_t len, uint64_t offset);
    int64_t (*lseek)(void *self, int fd, int64_t offset, int whence);
    int64_t (*ftruncate)(void *self, int fd, uint64_t length);
    int64_t (*truncate)(void *self, const char *path, uint64_t length);
    int64_t (*fstat)(void *self, int fd, struct vrift_stat *out);
    int64_t (*statat)(void *self, int dirfd, const char *path, uint64_t flags, struct vrift_stat *out);
    int64_t (*statx)(void *self, int dirfd, const char *path, uint64_t flags, uint64_t mask, struct vrift_stat *out);
    int64_t (*mkdirat)(void *self, int dirfd, const char *path, uint32_t mode);
    int64_t (*mknodat)(void *self, int dirfd, const char *path, uint32_t mode);
    int64_t (*unlinkat)(void *self, int dirfd, const char *path, uint64_t flags);
    int64_t (*renameat2)(void *self, const char *from, const char *to, uint64_t flags);
    int64_t (*linkat)(void *self, int dirfd, const char *from, const char *to, uint64_t flags);
    int64_t (*symlinkat)(void *self, const char *target, const char *path);
    int64_t (*readlinkat)(void *self, const char *path, char *buf, size_t len);
    int64_t (*fchmodat)(void *self, int dirfd, const char *path, uint32_t mode, uint64_t flags);
    int64_t (*fchmod)(void *self, int fd, uint32_t mode);
    int64_t (*fchown)(void *self, int fd, uint32_t uid, uint32_t gid);
    int64_t (*sync)(void *self, int fd, int how); /* 0 fsync, 1 fdatasync, 2 syncfs */
    int64_t (*chown)(void *self, const char *path, uint32_t uid, uint32_t gid);
    int64_t (*chdir)(void *self, const char *path);
    int64_t (*fchdir)(void *self, int fd);
    int64_t (*getcwd)(void *self, char *buf, size_t len);
    int64_t (*umask)(void *self, uint32_t mask);
    /* One call of getdents; how many entries it filled. */
    int64_t (*getdents)(void *self, int fd, size_t size, struct oracle_entry *entries, size_t max);
    int64_t (*mount)(void *self, const char *path); /* a new, empty file system, root's mode 0777 */
    int64_t (*bind)(void *self, const char *from, const char *to);
    int64_t (*make_read_only)(void *self, const char *path);
    int64_t (*remount)(void *self, const char *path, uint64_t flags);
    int64_t (*utimes)(void *self, const char *path, int64_t atime, int64_t mtime); /* of a symlink itself */
    int64_t (*transfer)(void *self, int in, int out, int how); /* 3 bytes: 0 sendfile, 1 copy_file_range, 2 map `in` */
    int64_t (*umount)(void *self, const char *path, uint64_t flags);
    int64_t (*become)(void *self, uint32_t uid, uint32_t gid, const uint32_t *groups, uint32_t group_count);
    int64_t (*setxattr)(void *self, const char *path, const char *name, const void *value, size_t len, uint64_t flags);
    int64_t (*getxattr)(void *self, const char *path, const char *name, void *buf, size_t len);
    int64_t (*listxattr)(void *self, const char *path, char *buf, size_t len);
    int64_t (*fgetxattr)(void *self, int fd, const char *name, void *buf, size_t len);
    /* A shared mapping to read and write of one page; NULL if it fails. */
    void *(*map)(void *self, int fd);
    void (*unmap)(void *self, void *address);
};

struct oracle_answer {
    int number;
    char question[160];
    char answer[ORACLE_ANSWER_MAX];
};

struct oracle {
    const struct oracle_calls *calls;
    void *self;
    struct oracle_answer answers[ORACLE_MAX];
    size_t count;
};

void oracle_ask_everything(struct oracle *oracle);

/* The groups of questions, in the order of their numbers. */
void oracle_rename_questions(struct oracle *o);
void oracle_create_questions(struct oracle *o);
void oracle_walk_questions(struct oracle *o);
void oracle_nameless_questions(struct oracle *o);
void oracle_description_questions(struct oracle *o);
void oracle_lock_questions(struct oracle *o);
void oracle_permission_questions(struct oracle *o);
void oracle_mount_questions(struct oracle *o);
void oracle_listing_questions(struct oracle *o);
void oracle_mapping_questions(struct oracle *o);
void oracle_xattr_questions(struct oracle *o);
void oracle_further_questions(struct oracle *o);
void oracle_descriptor_questions(struct oracle *o);
void oracle_time_questions(struct oracle *o);
void oracle_place_questions(struct oracle *o);
void oracle_fifo_questions(struct oracle *o);

/* Notes an answer. */
void oracle_note(struct oracle *o, int number, const char *question, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* "ok" or the name of the error. */
const char *oracle_word(int64_t result);

/* "True" or "False". */
const char *oracle_truth(int value);

/* An empty file system at /base, current; root asks, the umask is 022. */
void oracle_fresh(struct oracle *o);
void oracle_as_user(struct oracle *o, uint32_t uid, uint32_t gid);
void oracle_as_root(struct oracle *o);

/* Short forms. */
void oracle_touch(struct oracle *o, const char *path, const char *text);
int64_t oracle_open_close(struct oracle *o, const char *path, uint64_t flags, uint32_t mode);
int64_t oracle_stat(struct oracle *o, const char *path);
uint32_t oracle_mode(struct oracle *o, const char *path);
int64_t oracle_rename(struct oracle *o, const char *from, const char *to, uint64_t flags);
int64_t oracle_mkdir(struct oracle *o, const char *path);
int64_t oracle_unlink(struct oracle *o, const char *path);
int64_t oracle_rmdir(struct oracle *o, const char *path);
/* The names in a directory, sorted, as "a b"; or the error's name. An end where the directory was removed. */
void oracle_names(struct oracle *o, int fd, char *out, size_t size);
int64_t oracle_text(struct oracle *o, const char *path, char *out, size_t size);

extern const struct oracle_calls oracle_kernel_calls, oracle_vrift_calls;

/*
 * Enters a mount namespace of its own with the two file systems, over an empty directory; the process is of no other
 * use afterwards. 0 or -1.
 */
int oracle_enter_kernel(const char *root);

void *oracle_vrift_new(void);
void oracle_vrift_free(void *self);

#endif
