/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The play as libvrift gives it: each actor is a task. */
#include "locks/lockplay.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define HERE VRIFT_AT_FDCWD

struct actor {
    vrift_task *task;
    int32_t slots[PLAY_SLOTS];
    struct vrift_play *play;
    pthread_t thread;
    int busy; /* the thread is to be joined */
    struct play_command command;
    struct play_reply reply;
    _Atomic int replied;
};

struct vrift_play {
    vrift_vfs *vfs;
    vrift_cancel *cancel; /* ends the waits that are left over */
    struct actor actors[PLAY_ACTORS];
    int32_t watch[PLAY_FILES];
};

static const char *name_of(int file)
{
    static const char *const names[PLAY_FILES] = {"/a", "/b", "/c"};
    return names[file];
}

struct vrift_play *vrift_play_new(void)
{
    struct vrift_play *play = calloc(1, sizeof *play);
    struct actor *first;
    vrift_sb *sb;
    vrift_ns *ns;
    assert_non_null(play);
    first = &play->actors[0];
    check_ok(vrift_vfs_new(NULL, &play->vfs));
    check_ok(vrift_cancel_new(play->vfs, &play->cancel));
    check_ok(vrift_mem_new(play->vfs, NULL, &sb));
    check_ok(vrift_ns_new(play->vfs, sb, 0, &ns));
    check_ok(vrift_task_new(ns, NULL, NULL, &first->task));
    vrift_ns_unref(ns);
    vrift_sb_unref(sb);
    for (int i = 0; i < PLAY_SLOTS; i++)
        first->slots[i] = -1;
    for (int i = 0; i < PLAY_FILES; i++) {
        play->watch[i] =
            (int32_t)check_ok(vrift_openat(first->task, HERE, name_of(i), VRIFT_O_CREAT | VRIFT_O_RDWR, 0666));
        check_ok(vrift_write(first->task, play->watch[i], "0123456789", 10));
    }
    return play;
}

void vrift_play_free(struct vrift_play *play)
{
    vrift_cancel_fire(play->cancel);
    for (int i = 0; i < PLAY_ACTORS; i++)
        if (play->actors[i].busy)
            pthread_join(play->actors[i].thread, NULL);
    for (int i = 0; i < PLAY_ACTORS; i++)
        vrift_task_free(play->actors[i].task);
    vrift_cancel_free(play->cancel);
    vrift_vfs_free(play->vfs);
    free(play);
}

static struct play_lock from_vrift(const struct vrift_lock *lock)
{
    return (struct play_lock){lock->type, lock->whence, lock->type == VRIFT_F_UNLCK ? 0 : lock->pid, lock->start,
                              lock->length};
}

static void look(struct vrift_play *play, struct play_reply *reply)
{
    vrift_task *task = play->actors[0].task;
    for (int file = 0; file < PLAY_FILES; file++) {
        int32_t fd = play->watch[file];
        for (int at = 0; at < PLAY_RANGE + 2; at++) {
            struct vrift_lock lock = {.size = sizeof lock, .type = VRIFT_F_WRLCK, .start = at};
            lock.length = at == PLAY_RANGE + 1 ? 0 : 1;
            int32_t error = vrift_getlk(task, fd, 0, &lock);
            if (error)
                lock.type = error;
            reply->seen[file][at] = from_vrift(&lock);
        }
        int shared = vrift_flock(task, fd, VRIFT_LOCK_SH | VRIFT_LOCK_NB, NULL) == 0;
        int exclusive = vrift_flock(task, fd, VRIFT_LOCK_EX | VRIFT_LOCK_NB, NULL) == 0;
        check_ok(vrift_flock(task, fd, VRIFT_LOCK_UN, NULL));
        reply->flocks[file] = exclusive ? 2 : shared;
    }
}

static int64_t act_fork(struct vrift_play *play, struct actor *me, int other, uint64_t flags)
{
    struct actor *child = &play->actors[other];
    int32_t error = vrift_task_clone(me->task, flags, &child->task);
    memcpy(child->slots, me->slots, sizeof me->slots);
    return error;
}

static int64_t set_lock(struct vrift_play *play, struct actor *me, const struct play_command *c)
{
    const struct vrift_wait wait = {.size = sizeof wait, .cancel = play->cancel};
    struct vrift_lock lock = {.size = sizeof lock, .type = c->type, .whence = c->whence, .pid = c->pid};
    lock.start = c->start;
    lock.length = c->length;
    if (!(c->flags & VRIFT_SETLK_OFD))
        lock.pid = c->actor + 1;
    return vrift_setlk(me->task, me->slots[c->slot], c->flags, &lock, &wait);
}

static int64_t get_lock(struct actor *me, const struct play_command *c, struct play_reply *reply)
{
    struct vrift_lock lock = {.size = sizeof lock, .type = c->type, .whence = c->whence, .pid = c->pid};
    lock.start = c->start;
    lock.length = c->length;
    int64_t result = vrift_getlk(me->task, me->slots[c->slot], c->flags, &lock);
    if (!result)
        reply->lock = from_vrift(&lock);
    return result;
}

static int64_t act(struct vrift_play *play, const struct play_command *c, struct play_reply *reply)
{
    struct actor *me = &play->actors[c->actor];
    const struct vrift_wait wait = {.size = sizeof wait, .cancel = play->cancel};
    int32_t fd = me->slots[c->slot];
    switch (c->op) {
    case PLAY_OPEN:
        if (fd >= 0)
            vrift_close(me->task, fd); /* which another may have done */
        me->slots[c->slot] = vrift_openat(me->task, HERE, name_of(c->file), c->flags, 0);
        return me->slots[c->slot] < 0 ? me->slots[c->slot] : 0;
    case PLAY_CLOSE:
        me->slots[c->slot] = -1;
        return vrift_close(me->task, fd);
    case PLAY_DUP:
        if (me->slots[c->other] >= 0)
            vrift_close(me->task, me->slots[c->other]);
        me->slots[c->other] = vrift_dup(me->task, fd);
        return me->slots[c->other] < 0 ? me->slots[c->other] : 0;
    case PLAY_FORK:
        return act_fork(play, me, c->other, 0);
    case PLAY_CLONE:
        return act_fork(play, me, c->other, VRIFT_CLONE_FILES);
    case PLAY_QUIT:
        vrift_task_free(me->task);
        me->task = NULL;
        return 0;
    case PLAY_SEEK:
        return vrift_lseek(me->task, fd, c->start, VRIFT_SEEK_SET);
    case PLAY_FLOCK:
        return vrift_flock(me->task, fd, c->flags, &wait);
    case PLAY_SETLK:
        return set_lock(play, me, c);
    case PLAY_GETLK:
        return get_lock(me, c, reply);
    case PLAY_LOOK:
        look(play, reply);
        return 0;
    }
    return -VRIFT_EINVAL;
}

void vrift_play_do(struct vrift_play *play, const struct play_command *command, struct play_reply *reply)
{
    memset(reply, 0, sizeof *reply);
    reply->result = act(play, command, reply);
}

static void *run(void *payload)
{
    struct actor *me = payload;
    vrift_play_do(me->play, &me->command, &me->reply);
    atomic_store(&me->replied, 1);
    return NULL;
}

void vrift_play_send(struct vrift_play *play, const struct play_command *command)
{
    struct actor *me = &play->actors[command->actor];
    me->play = play;
    me->command = *command;
    atomic_store(&me->replied, 0);
    me->busy = 1;
    assert_int_equal(pthread_create(&me->thread, NULL, run, me), 0);
}

int vrift_play_replied(struct vrift_play *play, int actor, struct play_reply *reply)
{
    struct actor *me = &play->actors[actor];
    if (!me->busy || !atomic_load(&me->replied))
        return 0;
    pthread_join(me->thread, NULL);
    me->busy = 0;
    *reply = me->reply;
    return 1;
}
