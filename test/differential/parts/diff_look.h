/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#ifndef VR_DIFF_LOOK_H
#define VR_DIFF_LOOK_H

#include "differential/differential.h"

/* Each writes down what it sees; paths are taken from fd without following the last link. */
void diff_look_at_path(struct diff_run *run, int fd, const char *path);
void diff_look_at_parent(struct diff_run *run, int fd, const char *path);
void diff_look_at_fd(struct diff_run *run, int fd);
void diff_look_at_listing(struct diff_run *run, uint64_t dev, struct diff_listing *listing);
void diff_look_at_xattrs(struct diff_run *run, const char *list, int64_t length, const char *path);

#endif
