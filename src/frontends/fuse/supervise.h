/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Runs a command under two processes of ours: the caller, the supervisor; and its child, the keeper, which may first
 * prepare a place for the command (a mount namespace), starts it, and outlives it to clear up.
 *
 *   supervisor ──► keeper ──► command        (and what the keeper asked the supervisor to start: a server)
 *
 * Both are subreapers, so what the command leaves running comes back to the one that still lives, and is ended. If the
 * supervisor dies, the keeper ends the command and clears up; if the keeper dies, the supervisor does.
 */
#ifndef VR_FUSE_SUPERVISE_H
#define VR_FUSE_SUPERVISE_H

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

#define VR_SUPERVISE_WHY 400

struct vr_supervise_plan {
    char *const *argv;
    const char *directory; /* current directory of the command, absolute */
    const char *inside;    /* a directory below it to go to if it is there; NULL: none */
    const char *workspace; /* for VRIFT_WORKSPACE */
    int32_t verbose;
    void *payload;
    /*
     * In the keeper, before the command: makes its place ready. `channel` leads to the supervisor. 0, or a negative
     * errno with `why` saying what was tried. May be NULL.
     */
    int32_t (*prepare)(void *payload, int channel, char why[VR_SUPERVISE_WHY]);
    /*
     * In the supervisor, if prepare() hands over a descriptor: starts a process that serves it, whose pid it returns,
     * or 0. Takes the descriptor.
     */
    pid_t (*serve)(void *payload, int fd, int32_t value);
    /*
     * In the keeper, after the command and all it started have ended. `orphaned`: the supervisor is dead, so what
     * it would do afterwards falls to the keeper. May be NULL.
     */
    void (*clear)(void *payload, int32_t orphaned);
};

struct vr_supervise_outcome {
    int32_t prepared;           /* prepare() went well */
    int32_t unknown_command;    /* it is the command itself that could not be executed */
    int32_t error;              /* negative errno if it was not started */
    int32_t status;             /* as of waitpid(), if it was */
    char why[VR_SUPERVISE_WHY]; /* what was tried when `error` came about */
};

/* Runs it through. Signals are blocked meanwhile and SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 passed on. */
void vr_supervise(const struct vr_supervise_plan *plan, struct vr_supervise_outcome *out);

/* In prepare(): gives a descriptor and a number to the supervisor's serve(). 0, or a negative errno. */
int32_t vr_supervise_hand_over(int channel, int fd, int32_t value);

/* Sends signals to all children but `spare` until none is left, or for ten seconds. How many were found. */
int32_t vr_supervise_end_children(pid_t spare);

#endif
