/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the ways of running a command in a workspace share: the run itself, and the place where the command sees it. */
#ifndef VR_FUSE_RUN_WAYS_H
#define VR_FUSE_RUN_WAYS_H

#include "fuse/run.h"
#include "fuse/supervise.h"

#include <vrift/workspace.h>

struct vr_run {
    vrift_store *store;
    vrift_workspace *workspace;
    struct vrift_workspace_info info;
    const struct vr_run_options *options;
    char *upper;       /* owned: info.upper and info.work, absolute and without symlinks */
    char *work;        /* owned */
    char *path;        /* owned: where the command sees the workspace, absolute, without symlinks */
    char *inside;      /* owned: the caller's directory relative to path; NULL if it is not below it */
    int32_t made;      /* so many directories at the end of path did not exist before */
    int32_t own_place; /* path is the workspace's own private directory */
};

/* Prints `vrift: run: WHAT: WHY`. */
void vr_run_say(const char *what, const char *why);

/* The same for a library error, with what vrift_error_detail() knows. Returns the error. */
int32_t vr_run_say_error(const char *what, int32_t error);

/* Removes again the directories that were made for the place, where they are empty. */
void vr_run_unmake_place(const struct vr_run *run);

/* The command's exit status, or what went wrong, said on stderr. */
int32_t vr_run_conclude(const struct vr_run *run, const struct vr_supervise_outcome *outcome);

/* Runs the command under the kernel's overlayfs. If outcome->prepared is 0 it was not started. */
void vr_run_overlay(struct vr_run *run, struct vr_supervise_outcome *outcome);

/* Runs the command in a restored tree and takes over what it changed. As vr_run_command(). */
int32_t vr_run_checkout(struct vr_run *run);

#endif
