/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* `vrift run`: a command that sees a workspace as an ordinary directory. Linux. */
#ifndef VR_FUSE_RUN_H
#define VR_FUSE_RUN_H

#include <vrift/types.h>

enum vr_run_via {
    VR_RUN_AUTO,     /* overlay where it can be had, else checkout; which one is said on stderr */
    VR_RUN_OVERLAY,  /* the kernel's overlayfs over a FUSE server of the base, in a private mount namespace */
    VR_RUN_CHECKOUT, /* restore, run, take over what changed */
    VR_RUN_FUSE,     /* refused: not built yet */
    VR_RUN_PRELOAD   /* refused: not built yet */
};

struct vr_run_options {
    const char *workspace; /* its name */
    const char *at;        /* where the command sees it; NULL: a private directory, the same one at each run */
    enum vr_run_via via;
    int32_t verbose;   /* < 0: say nothing but errors; > 0: also each step of preparing */
    char *const *argv; /* the command, ending in NULL; argv[0] is searched for in $PATH */
};

/* The way that a text after --via= names: 0, or -VRIFT_EINVAL. */
int32_t vr_run_parse_via(const char *text, enum vr_run_via *out);

/*
 * Runs a command in a workspace and waits for it. The workspace is locked meanwhile; what the command leaves running
 * is ended with it; nothing stays mounted, whoever is killed at whatever moment.
 *
 * The command's current directory is the workspace's, or the one of the same relative path if the caller's lies
 * inside `at`. It gets the caller's environment and VRIFT_WORKSPACE=NAME, standard streams, terminal and signals.
 *
 * Returns the command's exit status, 128 + n if signal n killed it, 127 if there is no such command, 126 if it cannot
 * be executed; negative, -VRIFT_E..., if it was not run or its changes could not be taken over. Whatever is not the
 * command's own status has been said on stderr in one line, `vrift: run: WHAT: WHY`.
 * Call it from a process with one thread.
 */
int32_t vr_run_command(vrift_store *store, const struct vr_run_options *options);

#endif
