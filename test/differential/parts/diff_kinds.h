/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Words shared by the files that hold kinds of steps. */
#ifndef VR_DIFF_KINDS_H
#define VR_DIFF_KINDS_H

#include "differential/parts/diff_look.h"

#define DIFF_EXPANDED (DIFF_TEXT + 4 * 256)

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

/* diff_morekinds.c */
#define DIFF_CHOOSES(name) void diff_choose_##name(struct diff_random *random, struct diff_step *step)
#define DIFF_RUNS(name)    void diff_run_##name(struct diff_run *run, const struct diff_step *step)
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
