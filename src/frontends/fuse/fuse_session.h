/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A FUSE connection: the device, the negotiation and threads that read requests, hand them to a handler and write
 * its replies. What the requests mean is the handler's business (snapshot_server.h).
 */
#ifndef VR_FUSE_SESSION_H
#define VR_FUSE_SESSION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define VR_FUSE_SESSION_MAX_THREADS 16
#define VR_FUSE_SESSION_MAX_READ    (1u << 20)                        /* largest reply to READ and READDIR, bytes */
#define VR_FUSE_SESSION_REPLY       (VR_FUSE_SESSION_MAX_READ + 4096) /* room for a reply's body */

struct vr_fuse_request {
    uint32_t opcode;
    uint32_t pid;
    uint64_t node;    /* the inode that is asked about */
    const void *body; /* what follows the header; aligned to 8 */
    size_t length;    /* of body, bytes */
};

/*
 * Answers a request: writes the reply's body to out and returns its length, or returns a negative errno. Called from
 * several threads at once. Requests that have no reply (FORGET ...) do not come here.
 */
typedef int64_t (*vr_fuse_session_fn)(void *payload, const struct vr_fuse_request *request, void *out, size_t room);

struct vr_fuse_session {
    int device; /* owned: /dev/fuse, mounted */
    vr_fuse_session_fn handler;
    void *payload;
    int32_t has_acls; /* the kernel is to ask for access lists and obey them */
    int ready;        /* eventfd, readable once the kernel and we have agreed */
    int ended;        /* eventfd, readable once a thread has ended, because the file system is unmounted or broken */
    _Atomic int32_t running;  /* threads */
    _Atomic int32_t stopping; /* they are to end */
    int32_t threads;
    pthread_t thread[VR_FUSE_SESSION_MAX_THREADS];
};

/*
 * Starts the threads on a device. Takes the device on success. 0, or a negative errno.
 * Signals should be blocked before, as the threads inherit the mask.
 */
int32_t vr_fuse_session_start(struct vr_fuse_session *session, int device, int32_t threads, int32_t has_acls,
                              vr_fuse_session_fn handler, void *payload);

/*
 * Ends the threads although the file system may still be in use. Takes SIGUSR1 meanwhile, which the threads must not
 * have blocked.
 */
void vr_fuse_session_stop(struct vr_fuse_session *session);

/* Waits until the file system is unmounted and all threads have ended, and lets the device go. */
void vr_fuse_session_join(struct vr_fuse_session *session);

#endif
