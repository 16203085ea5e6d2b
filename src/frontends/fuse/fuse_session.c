/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fuse/fuse_session.h"
#include "fuse/fuse_protocol.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/*
 * Room for a request. Nothing is ever written to a read-only file system, so the longest are names; but the kernel
 * refuses readers with less than 8 KiB.
 */
#define REQUEST_ROOM 65536

struct worker {
    struct vr_fuse_session *session;
    char *request;                 /* REQUEST_ROOM bytes */
    struct fuse_out_header *reply; /* and VR_FUSE_SESSION_REPLY bytes for its body */
};

/* What we accept of what the kernel offers. */
static const uint32_t wanted = FUSE_ASYNC_READ | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS |
                               FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS |
                               FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT |
                               FUSE_EXPLICIT_INVAL_DATA;

/* Negotiates. The body of the reply goes to out; its length, or a negative errno. */
static int64_t answer_init(const struct vr_fuse_session *session, const struct vr_fuse_request *request,
                           struct fuse_init_out *out)
{
    struct fuse_init_in in = {0};
    /* Before 7.36 the struct was shorter. */
    if (request->length < offsetof(struct fuse_init_in, flags2))
        return -EPROTO;
    memcpy(&in, request->body, request->length < sizeof(in) ? request->length : sizeof(in));
    memset(out, 0, sizeof(*out));
    out->major = FUSE_KERNEL_VERSION;
    out->minor = in.minor < VR_FUSE_SPOKEN_MINOR ? in.minor : VR_FUSE_SPOKEN_MINOR;
    if (in.major > FUSE_KERNEL_VERSION)
        return sizeof(*out); /* the kernel asks again with our version */
    if (in.major < FUSE_KERNEL_VERSION || in.minor < VR_FUSE_OLDEST_MINOR)
        return -EPROTO;
    out->max_readahead = in.max_readahead;
    out->flags = in.flags & (wanted | (session->has_acls ? FUSE_POSIX_ACL : 0));
    out->max_background = 64;
    out->congestion_threshold = 48;
    out->max_write = 4096;
    out->time_gran = 1;
    out->max_pages = VR_FUSE_SESSION_MAX_READ / 4096;
    return sizeof(*out);
}

/* Sends what is in worker->reply. 0, or -1 when the connection is gone. */
static int send_reply(struct worker *worker, uint64_t unique, int64_t result)
{
    struct fuse_out_header *reply = worker->reply;
    reply->unique = unique;
    reply->error = result < 0 ? (int32_t)result : 0;
    reply->len = (uint32_t)sizeof(*reply) + (result > 0 ? (uint32_t)result : 0);
    while (write(worker->session->device, reply, reply->len) < 0) {
        if (errno == EINTR || errno == EAGAIN)
            continue;
        if (errno == ENOENT)
            return 0; /* the caller was interrupted and did not wait */
        return -1;
    }
    return 0;
}

static int serve(struct worker *worker, const struct fuse_in_header *header)
{
    struct vr_fuse_session *session = worker->session;
    struct vr_fuse_request request = {.opcode = header->opcode,
                                      .pid = header->pid,
                                      .node = header->nodeid,
                                      .body = header + 1,
                                      .length = header->len - sizeof(*header)};
    void *body = worker->reply + 1;
    int64_t result;
    switch (header->opcode) {
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        return 0; /* have no reply; nodes are stateless and no request takes long */
    case FUSE_INIT:
        result = answer_init(session, &request, body);
        if (send_reply(worker, header->unique, result) < 0)
            return -1;
        (void)eventfd_write(session->ready, 1);
        return result < 0 ? -1 : 0;
    case FUSE_DESTROY:
        result = 0;
        break;
    default:
        result = session->handler(session->payload, &request, body, VR_FUSE_SESSION_REPLY);
    }
    return send_reply(worker, header->unique, result);
}

/* Reads and serves until the connection ends. */
static void loop(struct worker *worker)
{
    for (;;) {
        const struct fuse_in_header *header = (const struct fuse_in_header *)(void *)worker->request;
        ssize_t got = read(worker->session->device, worker->request, REQUEST_ROOM);
        if (atomic_load(&worker->session->stopping))
            return;
        if (got < 0) {
            if (errno == EINTR || errno == EAGAIN || errno == ENOENT)
                continue; /* ENOENT: the request was taken back while it was being read */
            return;       /* ENODEV: unmounted */
        }
        if ((size_t)got < sizeof(*header) || header->len != (size_t)got)
            return;
        if (serve(worker, header) < 0)
            return;
    }
}

static void *thread_main(void *argument)
{
    struct worker *worker = argument;
    struct vr_fuse_session *session = worker->session;
    loop(worker);
    free(worker->request);
    free(worker->reply);
    free(worker);
    (void)atomic_fetch_sub(&session->running, 1);
    (void)eventfd_write(session->ended, 1);
    return NULL;
}

static int32_t start_thread(struct vr_fuse_session *session)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    int error = ENOMEM;
    if (!worker)
        return -ENOMEM;
    worker->session = session;
    (void)atomic_fetch_add(&session->running, 1);
    worker->request = aligned_alloc(4096, REQUEST_ROOM);
    worker->reply = aligned_alloc(4096, (sizeof(*worker->reply) + VR_FUSE_SESSION_REPLY + 4095) / 4096 * 4096);
    if (worker->request && worker->reply)
        error = pthread_create(&session->thread[session->threads], NULL, thread_main, worker);
    if (error) {
        free(worker->request);
        free(worker->reply);
        free(worker);
        (void)atomic_fetch_sub(&session->running, 1);
        return -error;
    }
    session->threads++;
    return 0;
}

int32_t vr_fuse_session_start(struct vr_fuse_session *session, int device, int32_t threads, int32_t has_acls,
                              vr_fuse_session_fn handler, void *payload)
{
    int32_t error = 0;
    memset(session, 0, sizeof(*session));
    session->device = device;
    session->has_acls = has_acls;
    session->handler = handler;
    session->payload = payload;
    session->ready = eventfd(0, EFD_CLOEXEC);
    session->ended = eventfd(0, EFD_CLOEXEC);
    if (session->ready < 0 || session->ended < 0)
        error = -errno;
    if (threads > VR_FUSE_SESSION_MAX_THREADS)
        threads = VR_FUSE_SESSION_MAX_THREADS;
    while (!error && session->threads < threads)
        error = start_thread(session);
    if (session->threads > 0)
        return 0; /* fewer than asked for will do */
    if (session->ready >= 0)
        (void)close(session->ready);
    if (session->ended >= 0)
        (void)close(session->ended);
    return error;
}

static void do_nothing(int signal)
{
    (void)signal;
}

/* A signal makes read() return; it is sent again to who was just about to read. */
void vr_fuse_session_stop(struct vr_fuse_session *session)
{
    const struct sigaction nothing = {.sa_handler = do_nothing};
    const struct timespec tick = {0, 1000000};
    struct sigaction before;
    atomic_store(&session->stopping, 1);
    (void)sigaction(SIGUSR1, &nothing, &before);
    while (atomic_load(&session->running) > 0) {
        for (int32_t i = 0; i < session->threads; i++)
            (void)pthread_kill(session->thread[i], SIGUSR1);
        (void)nanosleep(&tick, NULL);
    }
    (void)sigaction(SIGUSR1, &before, NULL);
}

void vr_fuse_session_join(struct vr_fuse_session *session)
{
    for (int32_t i = 0; i < session->threads; i++)
        (void)pthread_join(session->thread[i], NULL);
    (void)close(session->device);
    (void)close(session->ready);
    (void)close(session->ended);
}
