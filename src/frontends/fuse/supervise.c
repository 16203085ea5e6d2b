/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fuse/supervise.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What goes over the channel: one packet each. Both ends are processes of one program, so this is no format. */
struct message {
    enum { FAILED, HAND_OVER, NO_PLACE, NO_EXEC, EXITED, SIGNAL } kind;
    int32_t value; /* negative errno, wait status or signal */
    char why[VR_SUPERVISE_WHY];
};

static void tell(int channel, int kind, int32_t value, const char *why)
{
    struct message message = {.kind = kind, .value = value};
    if (why)
        (void)snprintf(message.why, sizeof(message.why), "%s", why);
    while (send(channel, &message, sizeof(message), MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

int32_t vr_supervise_hand_over(int channel, int fd, int32_t value)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {{0}};
    struct message message = {.kind = HAND_OVER, .value = value};
    struct iovec iov = {&message, sizeof(message)};
    struct msghdr packet = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&packet);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(int));
    return sendmsg(channel, &packet, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Receives one packet, and its descriptor or -1. 0 when the other side is gone. */
static int32_t hear(int channel, struct message *message, int *fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {message, sizeof(*message)};
    struct msghdr packet = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
    struct cmsghdr *header;
    ssize_t got;
    *fd = -1;
    do
        got = recvmsg(channel, &packet, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof(*message))
        return 0;
    header = CMSG_FIRSTHDR(&packet);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(fd, CMSG_DATA(header), sizeof(int));
    return 1;
}

/* -- Ending what is left ---------------------------------------------------------------------------------------- */

/* The parent of a process, from /proc; 0 if it is gone or has ended and waits to be reaped. */
static pid_t parent_of(const char *pid)
{
    char path[64], text[512];
    const char *end;
    int parent = 0;
    char state = 'Z';
    size_t got;
    FILE *file;
    (void)snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    file = fopen(path, "re");
    if (!file)
        return 0;
    got = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[got] = '\0';
    end = strrchr(text, ')'); /* the command's name, which may hold anything, is in brackets */
    if (!end || sscanf(end + 1, " %c %d", &state, &parent) != 2 || state == 'Z')
        return 0;
    return parent;
}

static int32_t signal_children(pid_t spare, int signal)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    int32_t found = 0;
    if (!proc)
        return 0;
    while ((entry = readdir(proc))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || pid == spare || parent_of(entry->d_name) != getpid())
            continue;
        found++;
        (void)kill(pid, signal);
    }
    (void)closedir(proc);
    return found;
}

/* Reaps the children that have ended, but not `spare`. Whether any child is left. */
static int32_t reap_children(pid_t spare)
{
    siginfo_t info;
    for (;;) {
        memset(&info, 0, sizeof(info));
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
            return 0;
        if (info.si_pid == 0 || info.si_pid == spare)
            return 1;
        (void)waitpid(info.si_pid, NULL, 0);
    }
}

/* SIGTERM every 50 ms, after half a second SIGKILL; each round finds what the last one has orphaned. */
int32_t vr_supervise_end_children(pid_t spare)
{
    const struct timespec tick = {0, 5000000};
    int32_t ended = 0;
    for (int32_t round = 0; round < 2000 && reap_children(spare); round++) {
        if (round % 10 == 0) {
            int32_t found = signal_children(spare, round < 100 ? SIGTERM : SIGKILL);
            if (found == 0)
                break;
            if (round == 0)
                ended = found;
        }
        (void)nanosleep(&tick, NULL);
    }
    return ended;
}

/* -- The command ------------------------------------------------------------------------------------------------ */

static int block_signals(const int *signals, sigset_t *old)
{
    sigset_t set;
    sigemptyset(&set);
    for (; *signals; signals++)
        sigaddset(&set, *signals);
    (void)sigprocmask(SIG_BLOCK, &set, old);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Why the command could not be started. */
struct refusal {
    int32_t kind; /* of message */
    int32_t error;
};

/*
 * execvp() answers EACCES if it may not look into some directory of $PATH. That is a command that cannot be executed
 * only if there is one.
 */
static int is_in_path(const char *name)
{
    const char *path = getenv("PATH");
    char candidate[4096];
    while (path && *path) {
        size_t length = strcspn(path, ":");
        (void)snprintf(candidate, sizeof(candidate), "%.*s/%s", (int)length, path, name);
        if (length && access(candidate, F_OK) == 0)
            return 1;
        path += length + (path[length] == ':');
    }
    return 0;
}

/* In the child: becomes the command, or says through the pipe why not. */
static void become_command(const struct vr_supervise_plan *plan, const sigset_t *mask, pid_t keeper, int report)
{
    struct refusal refusal = {.kind = NO_PLACE};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper)
        _exit(126);
    (void)sigprocmask(SIG_SETMASK, mask, NULL);
    if (setenv("VRIFT_WORKSPACE", plan->workspace, 1) == 0 && chdir(plan->directory) == 0) {
        if (plan->inside && chdir(plan->inside) < 0)
            (void)!chdir(plan->directory);
        refusal.kind = NO_EXEC;
        (void)execvp(plan->argv[0], plan->argv);
    }
    refusal.error = -errno;
    if (refusal.error == -EACCES && refusal.kind == NO_EXEC && !strchr(plan->argv[0], '/') &&
        !is_in_path(plan->argv[0]))
        refusal.error = -ENOENT;
    (void)!write(report, &refusal, sizeof(refusal));
    _exit(127);
}

/* Starts the command. Its pid, or 0 with *refusal filled. */
static pid_t start_command(const struct vr_supervise_plan *plan, const sigset_t *mask, struct refusal *refusal)
{
    int report[2];
    pid_t pid, keeper = getpid();
    refusal->kind = NO_PLACE;
    refusal->error = 0;
    if (pipe2(report, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
        refusal->error = -errno;
        return 0;
    }
    if (pid == 0)
        become_command(plan, mask, keeper, report[1]);
    (void)close(report[1]);
    if (read(report[0], refusal, sizeof(*refusal)) == (ssize_t)sizeof(*refusal))
        (void)waitpid(pid, NULL, 0);
    (void)close(report[0]);
    return refusal->error ? 0 : pid;
}

/* -- The keeper ------------------------------------------------------------------------------------------------- */

/* Waits until the command has ended, or the supervisor. 1 with its status, or 0. */
static int32_t keep(pid_t command, int channel, int signals, int32_t *status)
{
    for (;;) {
        struct pollfd polled[2] = {{.fd = channel, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
        struct signalfd_siginfo info;
        struct message message;
        pid_t pid;
        int fd, ended;
        (void)poll(polled, 2, -1);
        while (read(signals, &info, sizeof(info)) > 0)
            ;
        while ((pid = waitpid(-1, &ended, WNOHANG)) > 0)
            if (pid == command) {
                *status = ended;
                return 1;
            }
        if (!polled[0].revents)
            continue;
        if (!hear(channel, &message, &fd))
            return 0;
        if (message.kind == SIGNAL)
            (void)kill(command, message.value);
    }
}

/* Whatever is the matter, all that runs under the keeper is ended and its place cleared before it says so. */
static void keeper_main(const struct vr_supervise_plan *plan, int channel, const sigset_t *mask)
{
    static const int chld[] = {SIGCHLD, 0};
    struct message last = {.kind = FAILED};
    struct refusal refusal;
    pid_t command;
    int32_t left, orphaned = 0;
    int signals = block_signals(chld, NULL);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (signals < 0)
        last.value = -errno;
    if (last.value == 0 && plan->prepare)
        last.value = plan->prepare(plan->payload, channel, last.why);
    if (last.value == 0) {
        command = start_command(plan, mask, &refusal);
        last.kind = command ? EXITED : refusal.kind;
        last.value = refusal.error;
        if (command && !keep(command, channel, signals, &last.value))
            orphaned = 1;
        left = vr_supervise_end_children(0);
        if (left > 0 && plan->verbose > 0)
            (void)fprintf(stderr, "vrift: run: ended %d processes that the command left running\n", (int)left);
        if (plan->clear)
            plan->clear(plan->payload, orphaned);
    }
    tell(channel, last.kind, last.value, last.why);
    _exit(0);
}

/* -- The supervisor --------------------------------------------------------------------------------------------- */

struct supervision {
    const struct vr_supervise_plan *plan;
    struct vr_supervise_outcome *out;
    int channel;
    int signals;
    pid_t keeper;
    pid_t server;
    int32_t ended; /* the keeper has said how it ended */
};

static void take_message(struct supervision *self, const struct message *message, int fd)
{
    switch (message->kind) {
    case HAND_OVER:
        if (fd >= 0 && self->plan->serve)
            self->server = self->plan->serve(self->plan->payload, fd, message->value);
        else if (fd >= 0)
            (void)close(fd);
        return;
    case FAILED:
        self->out->error = message->value;
        memcpy(self->out->why, message->why, sizeof(self->out->why));
        self->out->why[sizeof(self->out->why) - 1] = '\0';
        break;
    case NO_PLACE:
        self->out->prepared = 1;
        self->out->error = message->value;
        (void)snprintf(self->out->why, sizeof(self->out->why), "entering %s", self->plan->directory);
        break;
    case NO_EXEC:
        self->out->prepared = 1;
        self->out->unknown_command = 1;
        self->out->error = message->value;
        break;
    case EXITED:
        self->out->prepared = 1;
        self->out->error = 0;
        self->out->status = message->value;
        break;
    case SIGNAL:
        return;
    }
    self->ended = 1;
}

/*
 * A signal that the terminal sent has reached the command already, as it is in the same process group; one that was
 * sent to us alone is passed on.
 */
static void take_signals(struct supervision *self)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;
    while (read(self->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
        if (info.ssi_signo != SIGCHLD && info.ssi_code <= 0)
            tell(self->channel, SIGNAL, (int32_t)info.ssi_signo, NULL);
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == self->keeper)
            self->keeper = 0;
        if (pid == self->server && self->server > 0) {
            self->server = 0;
            if (!self->ended && WIFSIGNALED(status)) /* else it has been unmounted, as it should */
                (void)fprintf(stderr, "vrift: run: signal %d killed the snapshot's server\n", WTERMSIG(status));
        }
    }
}

static void supervise(struct supervision *self)
{
    while (!self->ended) {
        struct pollfd polled[2] = {{.fd = self->channel, .events = POLLIN}, {.fd = self->signals, .events = POLLIN}};
        struct message message;
        int fd;
        (void)poll(polled, 2, -1);
        if (polled[1].revents)
            take_signals(self);
        if (!polled[0].revents)
            continue;
        if (!hear(self->channel, &message, &fd))
            return;
        take_message(self, &message, fd);
    }
}

/* The keeper has ended or will: no process of the run may be left, the server last. */
static void clear_up(struct supervision *self)
{
    if (self->keeper > 0)
        (void)waitpid(self->keeper, NULL, 0);
    if (!self->ended) /* else the keeper has */
        (void)vr_supervise_end_children(self->server);
    if (self->server > 0) {
        (void)kill(self->server, SIGKILL);
        (void)waitpid(self->server, NULL, 0);
    }
}

void vr_supervise(const struct vr_supervise_plan *plan, struct vr_supervise_outcome *out)
{
    static const int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCHLD, 0};
    struct supervision self = {.plan = plan, .out = out, .channel = -1};
    sigset_t mask;
    int channel[2];
    memset(out, 0, sizeof(*out));
    out->error = -ECHILD;
    (void)snprintf(out->why, sizeof(out->why), "the process that keeps the command was killed");
    (void)signal(SIGCHLD, SIG_DFL); /* whoever ignores it, as our caller may have, is not told of a child's end */
    self.signals = block_signals(passed_on, &mask);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (self.signals >= 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) == 0) {
        (void)fflush(NULL);
        self.channel = channel[0];
        self.keeper = fork();
        if (self.keeper == 0) {
            (void)close(channel[0]);
            (void)close(self.signals);
            keeper_main(plan, channel[1], &mask);
        }
        (void)close(channel[1]);
        if (self.keeper > 0) {
            supervise(&self);
            clear_up(&self);
        }
        (void)close(channel[0]);
    }
    if (self.signals >= 0)
        (void)close(self.signals);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
}
