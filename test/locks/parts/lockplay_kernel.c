/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The play as the kernel gives it: each actor is a process that is told what to do through a pipe. */
#include "locks/lockplay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_BIRTHS 100000

/* Shared by all processes. */
struct births {
    pid_t living[PLAY_ACTORS];
    int count; /* of who ever lived: locks of a shared table outlive who set them */
    struct {
        pid_t pid;
        int actor;
    } all[MOST_BIRTHS];
};

struct kernel_play {
    int commands[PLAY_ACTORS][2];
    int replies[PLAY_ACTORS][2];
    pid_t first;
    struct births *births;
};

/* One actor's own. */
struct acting {
    struct kernel_play *play;
    int actor;
    int slots[PLAY_SLOTS];
    int watch[PLAY_FILES]; /* the first one's */
};

static int64_t answer(int64_t result)
{
    return result < 0 ? vrift_err_from_host_errno(errno) : result;
}

static const char *name_of(int file)
{
    static const char *const names[PLAY_FILES] = {"a", "b", "c"};
    return names[file];
}

static struct flock to_kernel(int type, int whence, int64_t start, int64_t length, int pid)
{
    struct flock lock = {.l_type = (short)type, .l_whence = (short)whence, .l_start = start, .l_len = length};
    lock.l_pid = pid;
    return lock;
}

static int actor_of(struct kernel_play *play, pid_t pid)
{
    for (int i = play->births->count; pid > 0 && i-- > 0;)
        if (play->births->all[i].pid == pid)
            return play->births->all[i].actor + 1;
    return (int)pid;
}

static struct play_lock from_kernel(struct kernel_play *play, const struct flock *lock)
{
    return (struct play_lock){lock->l_type, lock->l_whence, lock->l_type == F_UNLCK ? 0 : actor_of(play, lock->l_pid),
                              lock->l_start, lock->l_len};
}

static void look(struct acting *me, struct play_reply *reply)
{
    for (int file = 0; file < PLAY_FILES; file++) {
        for (int at = 0; at < PLAY_RANGE + 2; at++) {
            struct flock lock = to_kernel(F_WRLCK, SEEK_SET, at, at == PLAY_RANGE + 1 ? 0 : 1, 0);
            if (fcntl(me->watch[file], F_GETLK, &lock) < 0)
                lock.l_type = (short)-errno;
            reply->seen[file][at] = from_kernel(me->play, &lock);
        }
        int shared = flock(me->watch[file], LOCK_SH | LOCK_NB) == 0;
        int exclusive = flock(me->watch[file], LOCK_EX | LOCK_NB) == 0;
        flock(me->watch[file], LOCK_UN);
        reply->flocks[file] = exclusive ? 2 : shared;
    }
}

static int64_t act_fork(struct acting *me, int other, int share)
{
    pid_t child = share ? (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL) : fork();
    if (child == 0) {
        me->actor = other;
        return 0; /* it goes on with its own pipe, and its parent replies */
    }
    struct births *births = me->play->births;
    if (child < 0 || births->count == MOST_BIRTHS)
        return child < 0 ? answer(-1) : -VRIFT_ENOSPC;
    births->living[other] = child;
    births->all[births->count].pid = child;
    births->all[births->count++].actor = other;
    return 0;
}

/* What the play has opened: in a shared table, more than is in its slots. */
static void close_all(struct acting *me)
{
    for (int fd = 3; fd < 256; fd++) {
        int keep = 0;
        for (int i = 0; i < PLAY_ACTORS; i++)
            keep |= fd == me->play->commands[i][0] || fd == me->play->replies[i][1];
        for (int i = 0; i < PLAY_FILES; i++)
            keep |= fd == me->watch[i];
        if (!keep)
            close(fd);
    }
}

static int64_t act(struct acting *me, const struct play_command *c, struct play_reply *reply)
{
    struct flock lock = to_kernel(c->type, c->whence, c->start, c->length, c->pid);
    int fd = me->slots[c->slot];
    int ofd = (c->flags & VRIFT_SETLK_OFD) != 0;
    int64_t result = 0;
    switch (c->op) {
    case PLAY_OPEN:
        if (fd >= 0)
            close(fd);
        me->slots[c->slot] = open(name_of(c->file), (int)c->flags);
        return answer(me->slots[c->slot] < 0 ? -1 : 0);
    case PLAY_CLOSE:
        me->slots[c->slot] = -1;
        return answer(close(fd));
    case PLAY_DUP:
        if (me->slots[c->other] >= 0)
            close(me->slots[c->other]);
        me->slots[c->other] = dup(fd);
        return answer(me->slots[c->other] < 0 ? -1 : 0);
    case PLAY_FORK:
    case PLAY_CLONE:
        return act_fork(me, c->other, c->op == PLAY_CLONE);
    case PLAY_QUIT:
        if (!c->flags)
            close_all(me);
        me->play->births->living[me->actor] = 0;
        return 0;
    case PLAY_SEEK:
        return answer(lseek(fd, c->start, SEEK_SET));
    case PLAY_FLOCK:
        return answer(flock(fd, (int)c->flags));
    case PLAY_SETLK:
        if (c->flags & VRIFT_SETLK_WAIT)
            return answer(fcntl(fd, ofd ? F_OFD_SETLKW : F_SETLKW, &lock));
        return answer(fcntl(fd, ofd ? F_OFD_SETLK : F_SETLK, &lock));
    case PLAY_GETLK:
        result = answer(fcntl(fd, ofd ? F_OFD_GETLK : F_GETLK, &lock));
        if (!result)
            reply->lock = from_kernel(me->play, &lock);
        return result;
    case PLAY_LOOK:
        look(me, reply);
        return 0;
    }
    return -VRIFT_EINVAL;
}

/* Until it is told to quit, or the play is over. */
static void be_actor(struct acting *me)
{
    struct play_command command;
    int before = me->actor;
    /* Who waits for a lock does not hear that the play is over. */
    alarm(60);
    while (read(me->play->commands[me->actor][0], &command, sizeof command) == (ssize_t)sizeof command) {
        struct play_reply reply;
        memset(&reply, 0, sizeof reply);
        before = me->actor;
        alarm(60);
        reply.result = act(me, &command, &reply);
        if (me->actor != before)
            continue;
        if (write(me->play->replies[me->actor][1], &reply, sizeof reply) != (ssize_t)sizeof reply)
            _exit(1);
        if (command.op == PLAY_QUIT)
            _exit(0);
    }
    _exit(0);
}

static void be_first(struct kernel_play *play, const char *directory)
{
    struct acting me = {.play = play};
    for (int i = 0; i < PLAY_ACTORS; i++) {
        close(play->commands[i][1]);
        close(play->replies[i][0]);
    }
    signal(SIGCHLD, SIG_IGN);
    if (chdir(directory) < 0)
        _exit(1);
    play->births->living[0] = getpid();
    for (int i = 0; i < PLAY_SLOTS; i++)
        me.slots[i] = -1;
    for (int i = 0; i < PLAY_FILES; i++) {
        me.watch[i] = open(name_of(i), O_CREAT | O_RDWR, 0666);
        if (write(me.watch[i], "0123456789", 10) != 10)
            _exit(1);
    }
    be_actor(&me);
}

static struct kernel_play *current;

struct kernel_play *kernel_play_new(const char *directory)
{
    struct kernel_play *play = calloc(1, sizeof *play);
    assert_non_null(play);
    play->births =
        mmap(NULL, sizeof *play->births, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert_true(play->births != MAP_FAILED);
    for (int i = 0; i < PLAY_ACTORS; i++)
        if (pipe(play->commands[i]) < 0 || pipe(play->replies[i]) < 0)
            fail();
    play->first = fork();
    assert_true(play->first >= 0);
    if (play->first == 0)
        be_first(play, directory);
    for (int i = 0; i < PLAY_ACTORS; i++) {
        close(play->commands[i][0]);
        close(play->replies[i][1]);
    }
    current = play;
    return play;
}

void kernel_play_send(struct kernel_play *play, const struct play_command *command)
{
    assert_int_equal(write(play->commands[command->actor][1], command, sizeof *command), sizeof *command);
}

int kernel_play_replied(struct kernel_play *play, int actor, int milliseconds, struct play_reply *reply)
{
    struct pollfd wait = {.fd = play->replies[actor][0], .events = POLLIN};
    if (poll(&wait, 1, milliseconds) <= 0)
        return 0;
    size_t done = 0;
    while (done < sizeof *reply) {
        ssize_t got = read(play->replies[actor][0], (char *)reply + done, sizeof *reply - done);
        assert_true(got > 0);
        done += (size_t)got;
    }
    return 1;
}

int kernel_tells_of_own_locks(const char *directory)
{
    struct flock lock = to_kernel(F_UNLCK, SEEK_SET, 0, 0, 0);
    int fd = open(directory, O_RDONLY);
    int told = fcntl(fd, F_OFD_GETLK, &lock) == 0;
    close(fd);
    return told;
}

void kernel_play_free(void)
{
    struct kernel_play *play = current;
    if (!play)
        return;
    current = NULL;
    /* Some may wait for locks that nobody will ever drop. */
    for (int i = PLAY_ACTORS; i-- > 0;)
        if (play->births->living[i] > 0)
            kill(play->births->living[i], SIGKILL);
    for (int i = 0; i < PLAY_ACTORS; i++) {
        close(play->commands[i][1]);
        close(play->replies[i][0]);
    }
    waitpid(play->first, NULL, 0);
    munmap(play->births, sizeof *play->births);
    free(play);
}
