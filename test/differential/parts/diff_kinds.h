/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Words shared by the files that hold kinds of steps. */
#ifndef VR_DIFF_KINDS_H
#define VR_DIFF_KINDS_H

#include "differential/parts/diff_look.h"

#define DIFF_EXPANDED            (DIFF_TEXT + 4 * 256)
#define DIFF_MOST_IO             16384 /* bytes that one step moves */
#define DIFF_COUNT(array)        (sizeof(array) / sizeof(array)[0])
#define DIFF_PICK(random, array) ((array)[diff_roll((random), DIFF_COUNT(array))])

/* Within a run function: a call of the side; likewise, and its answer is written down; the step's paths. */
#define CALL(name, ...)   run->calls->name(run->self, __VA_ARGS__)
#define RESULT(name, ...) diff_result(run, CALL(name, __VA_ARGS__))
#define PATH(step)        diff_expand((step)->path, (char[DIFF_EXPANDED]){0}, DIFF_EXPANDED)
#define PATH2(step)       diff_expand((step)->path2, (char[DIFF_EXPANDED]){0}, DIFF_EXPANDED)

/* Puts the long names in; the result is buf. */
const char *diff_expand(const char *path, char *buf, size_t len);

/* Writes down what a call answered, and answers it. */
int64_t diff_result(struct diff_run *run, int64_t result);

/* Looks at the step's path, and at its parent if a name came or went. */
void diff_look(struct diff_run *run, const struct diff_step *step, bool changes);

void diff_choose_at(struct diff_random *random, struct diff_step *step);
void diff_choose_fd(struct diff_random *random, struct diff_step *step);
uint64_t diff_some_at_flags(struct diff_random *random);
const char *diff_xattr_name(uint64_t which);

void diff_look_at_second(struct diff_run *run, const struct diff_step *step);
void diff_look_at_step_fd(struct diff_run *run, const struct diff_step *step);
void diff_empty_sometimes(struct diff_random *random, struct diff_step *step, uint64_t flags);

/* A buffer for all. */
extern char diff_bytes[DIFF_MOST_IO];

/* The kinds, by the files that hold them. */
#define DIFF_CHOOSES(name) void diff_choose_##name(struct diff_random *random, struct diff_step *step)
#define DIFF_RUNS(name)    void diff_run_##name(struct diff_run *run, const struct diff_step *step)
DIFF_CHOOSES(access);
DIFF_CHOOSES(bind);
DIFF_CHOOSES(chmod);
DIFF_CHOOSES(chown);
DIFF_CHOOSES(cred);
DIFF_CHOOSES(dup3);
DIFF_CHOOSES(fork);
DIFF_CHOOSES(ftruncate);
DIFF_CHOOSES(getcwd);
DIFF_CHOOSES(getdents);
DIFF_CHOOSES(io);
DIFF_CHOOSES(link);
DIFF_CHOOSES(lseek);
DIFF_CHOOSES(mkdir);
DIFF_CHOOSES(mknod);
DIFF_CHOOSES(mount);
DIFF_CHOOSES(open);
DIFF_CHOOSES(openat2);
DIFF_CHOOSES(path);
DIFF_CHOOSES(readlink);
DIFF_CHOOSES(remount);
DIFF_CHOOSES(rename);
DIFF_CHOOSES(rmdir);
DIFF_CHOOSES(setxattr);
DIFF_CHOOSES(stat);
DIFF_CHOOSES(statfs);
DIFF_CHOOSES(truncate);
DIFF_CHOOSES(two);
DIFF_CHOOSES(umask);
DIFF_CHOOSES(umount);
DIFF_CHOOSES(unlink);
DIFF_CHOOSES(utimens);
DIFF_CHOOSES(xattr);
DIFF_RUNS(access);
DIFF_RUNS(bind);
DIFF_RUNS(chdir);
DIFF_RUNS(chmod);
DIFF_RUNS(chown);
DIFF_RUNS(chroot);
DIFF_RUNS(close);
DIFF_RUNS(cred);
DIFF_RUNS(drop);
DIFF_RUNS(dump);
DIFF_RUNS(dup);
DIFF_RUNS(dup3);
DIFF_RUNS(fchdir);
DIFF_RUNS(fork);
DIFF_RUNS(fstat);
DIFF_RUNS(fsync);
DIFF_RUNS(ftruncate);
DIFF_RUNS(getcwd);
DIFF_RUNS(getdents);
DIFF_RUNS(getxattr);
DIFF_RUNS(link);
DIFF_RUNS(listxattr);
DIFF_RUNS(lseek);
DIFF_RUNS(mkdir);
DIFF_RUNS(mknod);
DIFF_RUNS(mount);
DIFF_RUNS(mount_move);
DIFF_RUNS(open);
DIFF_RUNS(openat2);
DIFF_RUNS(pread);
DIFF_RUNS(pwrite);
DIFF_RUNS(read);
DIFF_RUNS(readlink);
DIFF_RUNS(readv);
DIFF_RUNS(remount);
DIFF_RUNS(removexattr);
DIFF_RUNS(rename);
DIFF_RUNS(setxattr);
DIFF_RUNS(stat);
DIFF_RUNS(statfs);
DIFF_RUNS(symlink);
DIFF_RUNS(truncate);
DIFF_RUNS(umask);
DIFF_RUNS(umount);
DIFF_RUNS(unlink);
DIFF_RUNS(utimens);
DIFF_RUNS(write);
DIFF_RUNS(writev);
DIFF_CHOOSES(dupfd);
DIFF_RUNS(dupfd);
DIFF_CHOOSES(close_range);
DIFF_RUNS(close_range);
DIFF_RUNS(getfd);
DIFF_CHOOSES(setfd);
DIFF_RUNS(setfd);
DIFF_RUNS(getfl);
DIFF_CHOOSES(setfl);
DIFF_RUNS(setfl);
DIFF_CHOOSES(fchmod);
DIFF_RUNS(fchmod);
DIFF_CHOOSES(fchown);
DIFF_RUNS(fchown);
DIFF_CHOOSES(futimens);
DIFF_RUNS(futimens);
DIFF_RUNS(fdatasync);
DIFF_CHOOSES(fallocate);
DIFF_RUNS(fallocate);
DIFF_CHOOSES(copy);
DIFF_RUNS(copy);
DIFF_RUNS(sendfile);
DIFF_CHOOSES(flock);
DIFF_RUNS(flock);
DIFF_CHOOSES(lock);
DIFF_RUNS(setlk);
DIFF_RUNS(getlk);
DIFF_CHOOSES(fxattr);
DIFF_RUNS(fsetxattr);
DIFF_RUNS(fgetxattr);
DIFF_RUNS(flistxattr);
DIFF_RUNS(fremovexattr);
DIFF_CHOOSES(setflags);
DIFF_RUNS(setflags);
DIFF_RUNS(getflags);
DIFF_CHOOSES(acl);
DIFF_RUNS(setacl);
DIFF_RUNS(getacl);
DIFF_RUNS(removeacl);

#endif
