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

#define VR_FUSE_SESSION_MAX_THREADS 64
#define VR_FUSE_SESSION_MAX_READ    (1u << 20)                        /* largest reply to READ and READDIR, bytes */
#define VR_FUSE_SESSION_REPLY       (VR_FUSE_SESSION_MAX_READ + 4096) /* room for a reply's body */

struct vr_fuse_request {
    uint32_t opcode;
    uint32_t uid, gid; /* of the caller */
    uint32_t pid;      /* the caller's thread; 0: none that we can see */
    uint64_t unique;   /* names the request */
    uint64_t node;     /* the inode that is asked about */
    const void *body;  /* what follows the header; aligned to 8 */
    size_t length;     /* of body, bytes */
    void **local;      /* NULL at first: the handler's own of this thread, let go by config->end_thread */
};

/* What a handler answers when the reply comes later, by vr_fuse_session_reply(). */
#define VR_FUSE_SESSION_LATER INT64_MIN

/*
 * Answers a request: writes the reply's body to out and returns its length, or returns a negative errno. Called from
 * several threads at once.
 */
typedef int64_t (*vr_fuse_session_fn)(void *payload, const struct vr_fuse_request *request, void *out, size_t room);

/* What a file system wants of its connection. */
struct vr_fuse_session_config {
    int32_t threads;    /* to start with */
    int32_t most;       /* more are started while all are busy; 0: never */
    uint32_t max_write; /* bytes, at most VR_FUSE_SESSION_MAX_READ */
    uint64_t wanted;    /* FUSE_... of INIT, taken where the kernel offers them */
    vr_fuse_session_fn handler;
    void (*without_reply)(void *payload, const struct vr_fuse_request *request); /* FORGET, INTERRUPT ...; NULL: none */
    void (*end_thread)(void *payload, void *local);                              /* may be NULL */
    void (*end_session)(void *payload); /* before the device is closed, when all threads have ended; may be NULL */
    void *payload;
};

/* What was wanted before there was a choice: a read-only file system that is opened without messages. */
extern const uint64_t vr_fuse_session_read_only;

struct vr_fuse_session {
    int device; /* owned: /dev/fuse, mounted */
    struct vr_fuse_session_config config;
    _Atomic uint64_t flags; /* agreed on */
    _Atomic uint32_t minor; /* of the protocol that the kernel speaks, which may be newer than ours */
    int ready;              /* eventfd, readable once the kernel and we have agreed */
    int ended; /* eventfd, readable once a thread has ended, because the file system is unmounted or broken */
    _Atomic int32_t running;  /* threads */
    _Atomic int32_t idle;     /* threads that wait for a request */
    _Atomic int32_t stopping; /* they are to end */
    pthread_mutex_t lock;     /* of threads */
    int32_t threads;
    pthread_t thread[VR_FUSE_SESSION_MAX_THREADS];
};

/*
 * Starts the threads on a device. Takes the device on success. 0, or a negative errno.
 * Signals should be blocked before, as the threads inherit the mask.
 */
int32_t vr_fuse_session_start(struct vr_fuse_session *session, int device, const struct vr_fuse_session_config *config);

/* Sends a reply that was left for later: an errno, negative, or 0. From any thread. */
void vr_fuse_session_reply(struct vr_fuse_session *session, uint64_t unique, int32_t error);

/*
 * Tells the kernel something unasked: FUSE_NOTIFY_... and its struct, in up to three pieces. 0, or a negative errno:
 * -ENOENT if the kernel knows nothing of what is named. Invalidating an entry or data takes locks of the kernel that
 * a request may hold, so no thread may do that on whom a request waits.
 */
int32_t vr_fuse_session_notify(struct vr_fuse_session *session, int32_t code, const void *body, size_t length,
                               const char *name);

/*
 * Ends the threads although the file system may still be in use. Takes SIGUSR1 meanwhile, which the threads must not
 * have blocked.
 */
void vr_fuse_session_stop(struct vr_fuse_session *session);

/* Waits until the file system is unmounted and all threads have ended, and lets the device go. */
void vr_fuse_session_join(struct vr_fuse_session *session);

#endif
