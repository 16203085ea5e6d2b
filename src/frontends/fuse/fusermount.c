/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fuse/fusermount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "fusermount3"

/* In the child: stderr to the pipe, the socket where fusermount3 looks for it. */
static void exec_program(char *const *argv, int said, int channel)
{
    char text[16];
    (void)dup2(said, STDERR_FILENO);
    if (channel >= 0) {
        (void)fcntl(channel, F_SETFD, 0);
        (void)snprintf(text, sizeof(text), "%d", channel);
        (void)setenv("_FUSE_COMMFD", text, 1);
    }
    (void)execvp(PROGRAM, argv);
    _exit(errno == ENOENT ? 127 : 126);
}

/* Keeps the first line of what the program says, without its name. */
static void read_line(int fd, char *why, size_t room)
{
    static const char prefix[] = PROGRAM ": ";
    size_t used = 0;
    char text[512];
    ssize_t got;
    while (used < sizeof(text) - 1 && (got = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    text[strcspn(text, "\n")] = '\0';
    (void)snprintf(why, room, "%s", strncmp(text, prefix, sizeof(prefix) - 1) == 0 ? text + sizeof(prefix) - 1 : text);
}

static int32_t run_program(char *const *argv, int channel, char *why, size_t room)
{
    int said[2], status = 0;
    pid_t pid;
    why[0] = '\0';
    if (pipe2(said, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        exec_program(argv, said[1], channel);
    (void)close(said[1]);
    if (pid > 0) {
        read_line(said[0], why, room);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    (void)close(said[0]);
    if (pid < 0)
        return -EAGAIN;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOENT : -EPERM;
}

static int receive_device(int channel)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec iov = {&byte, 1};
    struct msghdr packet = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
    struct cmsghdr *header;
    int fd;
    if (recvmsg(channel, &packet, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) <= 0)
        return -EPROTO;
    header = CMSG_FIRSTHDR(&packet);
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
        header->cmsg_len != CMSG_LEN(sizeof(int)))
        return -EPROTO;
    memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

/* The options, with the source's commas escaped as fusermount3 wants it. To be freed. */
static char *make_options(const char *words, const char *source)
{
    static const char name[] = ",fsname=";
    char *options = malloc(strlen(words) + sizeof(name) + 2 * strlen(source));
    char *at;
    if (!options)
        return NULL;
    at = options + sprintf(options, "%s%s", words, name);
    for (; *source; source++) {
        if (*source == ',' || *source == '\\')
            *at++ = '\\';
        *at++ = *source;
    }
    *at = '\0';
    return options;
}

int vr_fusermount_mount(const char *path, const char *words, const char *source, char *why, size_t room)
{
    char *options = make_options(words, source);
    char *writable_path = strdup(path);
    char name[] = PROGRAM, dash_o[] = "-o", end[] = "--";
    char *argv[] = {name, dash_o, options, end, writable_path, NULL};
    int channel[2], result = -ENOMEM;
    if (options && writable_path) {
        result = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) < 0 ? -errno : 0;
        if (result == 0) {
            result = run_program(argv, channel[1], why, room);
            if (result == 0)
                result = receive_device(channel[0]);
            (void)close(channel[0]);
            (void)close(channel[1]);
        }
    }
    free(options);
    free(writable_path);
    return result;
}

int32_t vr_fusermount_umount(const char *path, int32_t lazily, char *why, size_t room)
{
    char *writable_path = strdup(path);
    char name[] = PROGRAM, flags[] = "-u", lazy_flags[] = "-uz", end[] = "--";
    char *argv[] = {name, lazily ? lazy_flags : flags, end, writable_path, NULL};
    int32_t result = writable_path ? run_program(argv, -1, why, room) : -ENOMEM;
    free(writable_path);
    return result;
}
