/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fuse/fuse_session.h"
#include "fuse/fuse_protocol.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Room for a request beside the data of a write: header, arguments, two names; a value of an attribute. */
#define REQUEST_ROOM 81920

struct worker {
    struct vr_fuse_session *session;
    size_t room; /* of request, bytes; the kernel refuses readers with less than 8 KiB */
    char *request;
    struct fuse_out_header *reply; /* and VR_FUSE_SESSION_REPLY bytes for its body */
    void *local;                   /* the handler's */
};

const uint64_t vr_fuse_session_read_only = FUSE_ASYNC_READ | FUSE_EXPORT_SUPPORT | FUSE_BIG_WRITES |
                                           FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO |
                                           FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |
                                           FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT | FUSE_EXPLICIT_INVAL_DATA;

/* Negotiates. The body of the reply goes to out; its length, or a negative errno. */
static int64_t answer_init(struct vr_fuse_session *session, const struct vr_fuse_request *request,
                           struct fuse_init_out *out)
{
    struct fuse_init_in in = {0};
    uint64_t flags;
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
    flags = in.flags | (in.flags & FUSE_INIT_EXT ? (uint64_t)in.flags2 << 32 : 0);
    flags &= session->config.wanted;
    atomic_store(&session->flags, flags);
    atomic_store(&session->minor, in.minor);
    out->max_readahead = in.max_readahead;
    out->flags = (uint32_t)flags | (flags >> 32 ? FUSE_INIT_EXT : 0);
    out->flags2 = (uint32_t)(flags >> 32);
    out->max_background = 64;
    out->congestion_threshold = 48;
    out->max_write = session->config.max_write;
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
        /* Else the request is done with, too: the caller did not wait (ENOENT), or the kernel could not take the reply. */
        return errno == ENODEV ? -1 : 0;
    }
    return 0;
}

static int serve(struct worker *worker, const struct fuse_in_header *header)
{
    struct vr_fuse_session *session = worker->session;
    struct vr_fuse_request request = {.opcode = header->opcode,
                                      .uid = header->uid,
                                      .gid = header->gid,
                                      .pid = header->pid,
                                      .unique = header->unique,
                                      .node = header->nodeid,
                                      .body = header + 1,
                                      .length = header->len - sizeof(*header),
                                      .local = &worker->local};
    void *body = worker->reply + 1;
    int64_t result;
    switch (header->opcode) {
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        if (session->config.without_reply)
            session->config.without_reply(session->config.payload, &request);
        return 0;
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
        result = session->config.handler(session->config.payload, &request, body, VR_FUSE_SESSION_REPLY);
    }
    return result == VR_FUSE_SESSION_LATER ? 0 : send_reply(worker, header->unique, result);
}

static int32_t start_thread(struct vr_fuse_session *session);

/* All threads are busy, so that nobody is left who reads: one more, unless there are many. */
static void grow(struct vr_fuse_session *session)
{
    (void)pthread_mutex_lock(&session->lock);
    if (session->threads < session->config.most && !atomic_load(&session->stopping))
        (void)start_thread(session);
    (void)pthread_mutex_unlock(&session->lock);
}

/* Reads and serves until the connection ends. */
static void loop(struct worker *worker)
{
    struct vr_fuse_session *session = worker->session;
    for (;;) {
        const struct fuse_in_header *header = (const struct fuse_in_header *)(void *)worker->request;
        ssize_t got;
        (void)atomic_fetch_add(&session->idle, 1);
        got = read(session->device, worker->request, worker->room);
        if (atomic_fetch_sub(&session->idle, 1) == 1 && got > 0 && session->config.most > 0)
            grow(session);
        if (atomic_load(&session->stopping))
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
    if (session->config.end_thread)
        session->config.end_thread(session->config.payload, worker->local);
    free(worker->request);
    free(worker->reply);
    free(worker);
    (void)atomic_fetch_sub(&session->running, 1);
    (void)eventfd_write(session->ended, 1);
    return NULL;
}

/* With session->lock held, or before there are threads. */
static int32_t start_thread(struct vr_fuse_session *session)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    int error = ENOMEM;
    if (!worker)
        return -ENOMEM;
    worker->session = session;
    worker->room = (REQUEST_ROOM + session->config.max_write + 4095) / 4096 * 4096;
    (void)atomic_fetch_add(&session->running, 1);
    worker->request = aligned_alloc(4096, worker->room);
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

int32_t vr_fuse_session_start(struct vr_fuse_session *session, int device, const struct vr_fuse_session_config *config)
{
    int32_t started, error = 0;
    memset(session, 0, sizeof(*session));
    session->device = device;
    session->config = *config;
    session->ready = eventfd(0, EFD_CLOEXEC);
    session->ended = eventfd(0, EFD_CLOEXEC);
    if (session->ready < 0 || session->ended < 0)
        error = -errno;
    if (session->config.threads > VR_FUSE_SESSION_MAX_THREADS)
        session->config.threads = VR_FUSE_SESSION_MAX_THREADS;
    if (session->config.most > VR_FUSE_SESSION_MAX_THREADS)
        session->config.most = VR_FUSE_SESSION_MAX_THREADS;
    (void)pthread_mutex_init(&session->lock, NULL);
    (void)pthread_mutex_lock(&session->lock);
    while (!error && session->threads < session->config.threads)
        error = start_thread(session);
    started = session->threads;
    (void)pthread_mutex_unlock(&session->lock);
    if (started > 0)
        return 0; /* fewer than asked for will do */
    (void)pthread_mutex_destroy(&session->lock);
    if (session->ready >= 0)
        (void)close(session->ready);
    if (session->ended >= 0)
        (void)close(session->ended);
    return error;
}

void vr_fuse_session_reply(struct vr_fuse_session *session, uint64_t unique, int32_t error)
{
    const struct fuse_out_header header = {.len = sizeof(header), .error = error, .unique = unique};
    while (write(session->device, &header, sizeof(header)) < 0 && (errno == EINTR || errno == EAGAIN))
        ;
}

int32_t vr_fuse_session_notify(struct vr_fuse_session *session, int32_t code, const void *body, size_t length,
                               const char *name)
{
    size_t name_length = name ? strlen(name) + 1 : 0;
    struct fuse_out_header header = {.len = (uint32_t)(sizeof(header) + length + name_length), .error = code};
    struct iovec pieces[3] = {{&header, sizeof(header)}};
    int count = 1;
    if (length)
        pieces[count++] = (struct iovec){(void *)(uintptr_t)body, length};
    if (name)
        pieces[count++] = (struct iovec){(void *)(uintptr_t)name, name_length};
    while (writev(session->device, pieces, count) < 0)
        if (errno != EINTR && errno != EAGAIN)
            return -errno;
    return 0;
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
        (void)pthread_mutex_lock(&session->lock);
        for (int32_t i = 0; i < session->threads; i++)
            (void)pthread_kill(session->thread[i], SIGUSR1);
        (void)pthread_mutex_unlock(&session->lock);
        (void)nanosleep(&tick, NULL);
    }
    (void)sigaction(SIGUSR1, &before, NULL);
}

void vr_fuse_session_join(struct vr_fuse_session *session)
{
    for (int32_t i = 0;; i++) {
        (void)pthread_mutex_lock(&session->lock);
        int32_t more = i < session->threads;
        (void)pthread_mutex_unlock(&session->lock);
        if (!more)
            break;
        (void)pthread_join(session->thread[i], NULL);
    }
    if (session->config.end_session)
        session->config.end_session(session->config.payload);
    (void)pthread_mutex_destroy(&session->lock);
    (void)close(session->device);
    (void)close(session->ready);
    (void)close(session->ended);
}
