/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What went wrong, as one line on standard error: `vrift: WHAT: PATH: WHY`. Each answers the exit status. */
#ifndef VR_REPORT_H
#define VR_REPORT_H

#include "cli/cli.h"

/* Wrong usage: the argument that is wrong (NULL: none in particular), why, and the right usage. */
int vr_report_usage(const struct vr_arguments *arguments, const char *argument, const char *why);

/* A failure in words of our own. */
int vr_report_failure(const struct vr_arguments *arguments, const char *path, const char *why);

/*
 * A failed call of the library. Path and reason come from vrift_error_detail() where it tells of this very error, else
 * from `path` and the error's text. After an interrupt: says so and answers 128 + the signal.
 */
int vr_report_error(const struct vr_arguments *arguments, const char *path, int64_t error);

/* A failed call of the system, by errno. */
int vr_report_errno(const struct vr_arguments *arguments, const char *path, int number);

/* What a later version will do. */
int vr_report_not_built(const struct vr_arguments *arguments, const char *what);

/* A byte as people may see it: itself, or an escape for control characters and the backslash. Answers buf. */
const char *vr_report_escape(unsigned char byte, char buf[5]);

#endif
