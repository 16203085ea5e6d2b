/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Queues of events: bounded, joined where equal, read by whoever comes. */
#include "core/alloc.h"
#include "core/copyin.h"
#include "core/notify.h"
#include "core/sb.h"
#include "core/watch.h"

#include <string.h>

#define DEFAULT_MAX_EVENTS 16384u
#define BUCKETS            128u
#define ASK_EVERY_NS       10000000u
#define MOST_TELLING       8u

/* A superblock whose backend tells, and how many of the queue's watches are in it. */
struct telling {
    vrift_sb *sb; /* lives as long as it has watches */
    uint32_t watches;
};

struct vrift_watch_queue {
    vrift_vfs *vfs; /* held */
    uint32_t max_events;
    /* The watches' lock guards what follows. */
    uint32_t events;
    uint32_t cancels; /* reads that are to answer EINTR */
    int32_t last_wd;
    bool overflowed; /* `overflow` is queued */
    struct vr_event *first, **end, *tail;
    struct vr_event overflow;
    struct vr_watch *watches[BUCKETS]; /* by wd */
    struct telling telling[MOST_TELLING];
    uint32_t others_telling; /* watches in further such superblocks */
    vr_os_cond more;
};

vrift_vfs *vr_watchqueue_vfs(const vrift_watch_queue *queue)
{
    return queue->vfs;
}

/* Numbers are not used again until they run out, which is after two billion watches. */
int32_t vr_watchqueue_next_wd(vrift_watch_queue *queue)
{
    return queue->last_wd == INT32_MAX ? (queue->last_wd = 1) : ++queue->last_wd;
}

/* The counter of a superblock's watches; a free one if it has none; NULL if there is none for it. */
static struct telling *telling_of(vrift_watch_queue *queue, const vrift_sb *sb)
{
    struct telling *unused = NULL;
    for (uint32_t i = 0; i < MOST_TELLING; i++) {
        if (queue->telling[i].watches && queue->telling[i].sb == sb)
            return &queue->telling[i];
        if (!queue->telling[i].watches)
            unused = &queue->telling[i];
    }
    return unused;
}

void vr_watchqueue_enter(vrift_watch_queue *queue, struct vr_watch *watch)
{
    watch->queue = queue;
    watch->queue_next = queue->watches[(uint32_t)watch->wd % BUCKETS];
    queue->watches[(uint32_t)watch->wd % BUCKETS] = watch;
    vrift_sb *sb = watch->object->sb;
    if (!sb->notify)
        return;
    struct telling *telling = telling_of(queue, sb);
    watch->counted = telling != NULL;
    if (telling) {
        telling->sb = sb;
        telling->watches++;
    } else {
        queue->others_telling++;
    }
}

void vr_watchqueue_leave(struct vr_watch *watch)
{
    struct vr_watch **at = &watch->queue->watches[(uint32_t)watch->wd % BUCKETS];
    while (*at != watch)
        at = &(*at)->queue_next;
    *at = watch->queue_next;
    if (!watch->object->sb->notify)
        return;
    if (watch->counted)
        telling_of(watch->queue, watch->object->sb)->watches--;
    else
        watch->queue->others_telling--;
}

/* -- Events -------------------------------------------------------------------------------------------------------- */

static void append(vrift_watch_queue *queue, struct vr_event *event)
{
    event->next = NULL;
    *queue->end = event;
    queue->end = &event->next;
    queue->tail = event;
    queue->events++;
    vr_os_cond_signal(&queue->more);
}

/* As inotify: neither the cookie nor the inode tells two events of one name apart. */
static bool equal(const struct vr_event *a, const struct vr_event *b)
{
    return a->record.wd == b->record.wd && a->record.mask == b->record.mask &&
           (!a->whole || (a->record.ino == b->record.ino && a->record.parent == b->record.parent)) &&
           a->record.flags == b->record.flags && a->record.name_length == b->record.name_length &&
           memcmp(a + 1, b + 1, (size_t)a->record.name_length + 1) == 0 && !(a->record.mask & VRIFT_IN_IGNORED);
}

void vr_watchqueue_overflow(vrift_watch_queue *queue)
{
    if (queue->overflowed)
        return;
    queue->overflowed = true;
    append(queue, &queue->overflow);
}

struct vr_event *vr_watchqueue_put(vrift_watch_queue *queue, struct vr_event *event)
{
    if (queue->events >= queue->max_events) {
        vr_watchqueue_overflow(queue);
        return event;
    }
    if (queue->tail && queue->tail != &queue->overflow && equal(queue->tail, event))
        return event;
    append(queue, event);
    return NULL;
}

/* -- The calls ----------------------------------------------------------------------------------------------------- */

int32_t vrift_watch_new(vrift_vfs *vfs, const struct vrift_watch_options *options, vrift_watch_queue **out)
{
    struct vrift_watch_options own;
    if (!vfs || !out)
        return -VRIFT_EINVAL;
    int32_t error = VR_COPYIN(&own, options);
    if (error)
        return error;
    vrift_watch_queue *queue = vr_alloc_zero(vfs->allocator, 1, sizeof *queue);
    if (!queue || vr_os_cond_init(&queue->more)) {
        vr_alloc_free(vfs->allocator, queue);
        return -VRIFT_ENOMEM;
    }
    queue->vfs = vr_vfs_ref(vfs);
    queue->max_events = own.max_events ? own.max_events : DEFAULT_MAX_EVENTS;
    queue->end = &queue->first;
    queue->overflow.record = (struct vrift_watch_event){
        .record_length = sizeof(struct vrift_watch_event) + 8, .wd = -1, .mask = VRIFT_IN_Q_OVERFLOW};
    *out = queue;
    return 0;
}

void vrift_watch_free(vrift_watch_queue *queue)
{
    if (!queue)
        return;
    vrift_vfs *vfs = queue->vfs;
    struct vr_watch_ended ended = {NULL, NULL, NULL};
    vr_watch_lock(vfs);
    for (uint32_t i = 0; i < BUCKETS; i++)
        while (queue->watches[i])
            vr_watch_end(queue->watches[i], 0, true, &ended);
    vr_watch_unlock(vfs);
    vr_watch_free_ended(vfs, &ended);
    while (queue->first) {
        struct vr_event *event = queue->first;
        queue->first = event->next;
        if (event != &queue->overflow)
            vr_alloc_free(vfs->allocator, event);
    }
    vr_os_cond_destroy(&queue->more);
    vr_alloc_free(vfs->allocator, queue);
    vr_vfs_unref(vfs);
}

int32_t vrift_watch_remove(vrift_watch_queue *queue, int32_t wd)
{
    if (!queue)
        return -VRIFT_EINVAL;
    struct vr_watch_ended ended = {NULL, NULL, NULL};
    vr_watch_lock(queue->vfs);
    struct vr_watch *watch = queue->watches[(uint32_t)wd % BUCKETS];
    while (watch && watch->wd != wd)
        watch = watch->queue_next;
    if (watch)
        vr_watch_end(watch, 0, false, &ended);
    vr_watch_unlock(queue->vfs);
    vr_watch_free_ended(queue->vfs, &ended);
    return watch ? 0 : -VRIFT_EINVAL;
}

int32_t vrift_watch_cancel(vrift_watch_queue *queue)
{
    if (!queue)
        return -VRIFT_EINVAL;
    vr_watch_lock(queue->vfs);
    queue->cancels++;
    vr_os_cond_broadcast(&queue->more);
    vr_watch_unlock(queue->vfs);
    return 0;
}

/* With the watches locked, which it lets go meanwhile: asks backends what they have heard. False if there are none. */
static bool ask_backends(vrift_watch_queue *queue)
{
    vrift_sb *sbs[MOST_TELLING];
    uint32_t count = 0;
    bool others = queue->others_telling;
    for (uint32_t i = 0; i < MOST_TELLING; i++) {
        if (!queue->telling[i].watches)
            continue;
        sbs[count++] = queue->telling[i].sb;
        atomic_fetch_add_explicit(&queue->telling[i].sb->holds, 1, memory_order_relaxed);
    }
    if (!count && !others)
        return false;
    vr_watch_unlock(queue->vfs);
    for (uint32_t i = 0; i < count; i++) {
        vr_notify_drain(sbs[i]);
        vr_sb_let_go(sbs[i]);
    }
    if (others)
        vr_notify_drain_watched(queue->vfs);
    vr_watch_lock(queue->vfs);
    return true;
}

/*
 * With the watches locked: waits for an event. Backends that have to be asked what they have heard are asked now and then
 * meanwhile.
 */
static int32_t wait_for_event(vrift_watch_queue *queue, int64_t timeout_ns)
{
    uint64_t deadline = timeout_ns > 0 ? vr_os_monotonic_ns() + (uint64_t)timeout_ns : 0;
    bool asking = true;
    while (!queue->first) {
        if (asking) {
            asking = ask_backends(queue);
            if (queue->first)
                break;
        }
        if (queue->cancels) {
            queue->cancels--;
            return -VRIFT_EINTR;
        }
        uint64_t now = timeout_ns < 0 && !asking ? 0 : vr_os_monotonic_ns();
        if (timeout_ns >= 0 && now >= deadline)
            return -VRIFT_EAGAIN;
        if (asking && (timeout_ns < 0 || deadline - now > ASK_EVERY_NS))
            vr_os_cond_wait_until(&queue->more, &queue->vfs->watches.lock, now + ASK_EVERY_NS);
        else if (timeout_ns < 0)
            vr_os_cond_wait(&queue->more, &queue->vfs->watches.lock);
        else
            vr_os_cond_wait_until(&queue->more, &queue->vfs->watches.lock, deadline);
    }
    if (queue->cancels) {
        queue->cancels--;
        return -VRIFT_EINTR;
    }
    return 0;
}

/* With the watches locked: as many as fit. Those copied go to *done. */
static int64_t copy_events(vrift_watch_queue *queue, unsigned char *buf, size_t len, struct vr_watch_ended *done)
{
    size_t used = 0;
    while (queue->first && queue->first->record.record_length <= len - used) {
        struct vr_event *event = queue->first;
        size_t size = event->record.record_length;
        memset(buf + used + size - 8, 0, 8);
        memcpy(buf + used, &event->record, sizeof event->record);
        if (event->record.name_length)
            memcpy(buf + used + sizeof event->record, event + 1, event->record.name_length);
        used += size;
        queue->first = event->next;
        queue->events--;
        if (!queue->first) {
            queue->end = &queue->first;
            queue->tail = NULL;
        }
        if (event == &queue->overflow) {
            queue->overflowed = false;
        } else {
            event->next = done->events;
            done->events = event;
        }
    }
    return used ? (int64_t)used : -VRIFT_EINVAL;
}

int64_t vrift_watch_read(vrift_watch_queue *queue, void *buf, size_t len, int64_t timeout_ns)
{
    if (!queue || !buf)
        return -VRIFT_EINVAL;
    struct vr_watch_ended done = {NULL, NULL, NULL};
    vr_watch_lock(queue->vfs);
    int64_t result = wait_for_event(queue, timeout_ns);
    if (!result)
        result = copy_events(queue, buf, len, &done);
    vr_watch_unlock(queue->vfs);
    vr_watch_free_ended(queue->vfs, &done);
    return result;
}

const char *vrift_watch_event_name(const struct vrift_watch_event *event)
{
    return (const char *)(event + 1);
}
