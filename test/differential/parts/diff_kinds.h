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

#endif
