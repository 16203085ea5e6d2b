/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fuse/mount.h"
#include "fuse/fuse_session.h"
#include "fuse/fusermount.h"
#include "fuse/mountinfo.h"
#include "fuse/snapshot_server.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_THREADS 2
#define FILE_SYSTEM     "fuse.vrift" /* as it shows in mountinfo, however it was mounted */

struct mounted {
    const char *path;
    const char *source;
    int64_t id; /* of the mount, so that nobody else's is unmounted */
    int32_t through_fusermount;
};

/* Prints `vrift: COMMAND: PATH: WHY` and returns the error, a negative errno, as one of the library's. */
static int32_t complain(const char *command, const char *path, const char *why, int32_t error)
{
    (void)fprintf(stderr, "vrift: %s: %s: %s%s%s\n", command, path, why, *why ? ": " : "", strerror(-error));
    return vrift_err_from_host_errno(-error);
}

/* -- Mounting and unmounting ------------------------------------------------------------------------------------ */

/* By mount(2). The device, or a negative errno. */
static int mount_directly(const char *path, const char *source)
{
    char options[128];
    int error, device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device < 0)
        return -errno;
    (void)snprintf(options, sizeof(options),
                   "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,allow_other", device,
                   (unsigned)geteuid(), (unsigned)getegid());
    if (mount(source, path, FILE_SYSTEM, MS_RDONLY | MS_NOSUID | MS_NODEV, options) == 0)
        return device;
    error = errno;
    (void)close(device);
    return -error;
}

/* The device, or an error after a complaint. */
static int mount_somehow(struct mounted *self)
{
    struct vr_mountinfo info;
    char why[512] = "";
    int device = mount_directly(self->path, self->source);
    if (device == -EPERM || device == -EACCES) {
        int direct = device;
        device = vr_fusermount_mount(self->path, self->source, why, sizeof(why));
        self->through_fusermount = 1;
        if (device == -ENOENT)
            return complain("mount", self->path, "mounting without privilege needs fusermount3", direct);
    }
    if (device < 0)
        return complain("mount", self->path, why, device);
    self->id = vr_mountinfo_find(self->path, &info) == 0 ? info.id : -1;
    return device;
}

/* Takes our mount away, from those who still use it too. */
static void unmount(const struct mounted *self)
{
    struct vr_mountinfo info;
    char why[512];
    if (vr_mountinfo_find(self->path, &info) < 0 || info.id != self->id)
        return;
    if (self->through_fusermount) {
        if (vr_fusermount_umount(self->path, 0, why, sizeof(why)) < 0)
            (void)vr_fusermount_umount(self->path, 1, why, sizeof(why));
    } else if (umount2(self->path, UMOUNT_NOFOLLOW) < 0) {
        (void)umount2(self->path, UMOUNT_NOFOLLOW | MNT_DETACH);
    }
}

/* -- Serving ---------------------------------------------------------------------------------------------------- */

/* The mount can be used: lets the waiting parent go, and its terminal. */
static void announce(int *notify)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (*notify < 0)
        return;
    (void)!write(*notify, "", 1);
    (void)close(*notify);
    *notify = -1;
    if (null < 0)
        return;
    for (int fd = 0; fd <= 2; fd++)
        (void)dup2(null, fd);
    (void)close(null);
}

/* Until it is unmounted, by a signal to us or by others. */
static void wait_for_end(struct vr_fuse_session *session, const struct mounted *self, int signals, int notify)
{
    struct pollfd polled[3] = {{.fd = session->ended, .events = POLLIN},
                               {.fd = signals, .events = POLLIN},
                               {.fd = session->ready, .events = POLLIN}};
    while (!(polled[0].revents & POLLIN)) {
        struct signalfd_siginfo info;
        if (poll(polled, 3, -1) < 0)
            continue;
        if (polled[2].revents & POLLIN) {
            polled[2].fd = -1;
            announce(&notify);
        }
        if (polled[1].revents & POLLIN && read(signals, &info, sizeof(info)) > 0) {
            unmount(self);
            vr_fuse_session_stop(session); /* who still has something open there gets errors from now on */
        }
    }
    if (notify >= 0)
        (void)close(notify);
}

static int32_t serve(vrift_snapshot *snapshot, struct mounted *self, int32_t threads, int notify)
{
    struct vr_snapshot_server server;
    struct vr_fuse_session session;
    sigset_t ending, mask;
    int32_t result;
    int signals, device;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &ending, &mask);
    signals = signalfd(-1, &ending, SFD_CLOEXEC);
    result = vr_snapshot_server_init(&server, snapshot);
    if (signals < 0 || result < 0)
        return complain("mount", self->path, "", signals < 0 ? -errno : -vrift_err_to_host_errno(result));
    device = mount_somehow(self);
    result = device < 0 ? device
                        : vr_fuse_session_start(&session, device, threads, !server.without_xattrs,
                                                vr_snapshot_server_handle, &server);
    if (device >= 0 && result < 0) {
        unmount(self);
        (void)close(device);
        result = complain("mount", self->path, "starting the server", result);
    }
    if (result == 0) {
        wait_for_end(&session, self, signals, notify);
        vr_fuse_session_join(&session);
    }
    (void)close(signals);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    return result;
}

/* Serves in a child that has no terminal, and waits until the mount can be used. */
static int32_t serve_in_background(vrift_snapshot *snapshot, struct mounted *self, int32_t threads)
{
    int ready[2];
    char byte;
    pid_t pid;
    int32_t up;
    if (pipe2(ready, O_CLOEXEC) < 0)
        return complain("mount", self->path, "", -errno);
    (void)fflush(NULL);
    pid = fork();
    if (pid < 0)
        return complain("mount", self->path, "", -errno);
    if (pid == 0) {
        (void)close(ready[0]);
        (void)setsid();
        (void)!chdir("/");
        _exit(serve(snapshot, self, threads, ready[1]) < 0 ? 1 : 0);
    }
    (void)close(ready[1]);
    up = read(ready[0], &byte, 1) == 1;
    (void)close(ready[0]);
    if (up)
        return 0;
    (void)waitpid(pid, NULL, 0);
    return -VRIFT_EIO; /* the child has said why */
}

int32_t vr_mount_snapshot(vrift_snapshot *snapshot, const char *mountpoint, const struct vr_mount_options *options)
{
    struct mounted self = {.source = options->source ? options->source : "vrift", .id = -1};
    int32_t threads = options->threads > 0 ? options->threads : DEFAULT_THREADS;
    struct stat stat_buffer;
    char *path = realpath(mountpoint, NULL);
    int32_t result;
    if (!path || stat(path, &stat_buffer) < 0)
        result = complain("mount", mountpoint, "", -errno);
    else if (!S_ISDIR(stat_buffer.st_mode))
        result = complain("mount", mountpoint, "", -ENOTDIR);
    else {
        self.path = path;
        result =
            options->foreground ? serve(snapshot, &self, threads, -1) : serve_in_background(snapshot, &self, threads);
    }
    free(path);
    return result;
}

/* -- vrift umount ------------------------------------------------------------------------------------------------ */

/* realpath(), also for a mount whose server is dead, so that only its parent can be looked at. To be freed. */
static char *resolve(const char *path)
{
    char *real = realpath(path, NULL);
    char *copy, *slash, *parent, *joined = NULL;
    if (real || errno != ENOTCONN)
        return real;
    copy = strdup(path);
    if (!copy)
        return NULL;
    for (size_t length = strlen(copy); length > 1 && copy[length - 1] == '/'; length--)
        copy[length - 1] = '\0';
    slash = strrchr(copy, '/');
    if (slash)
        *slash = '\0';
    parent = realpath(!slash ? "." : slash == copy ? "/" : copy, NULL);
    if (parent)
        joined = malloc(strlen(parent) + strlen(path) + 2);
    if (joined)
        (void)sprintf(joined, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, slash ? slash + 1 : copy);
    free(parent);
    free(copy);
    return joined;
}

static int32_t umount_found(const char *path)
{
    struct vr_mountinfo info;
    char why[512] = "";
    int32_t result = vr_mountinfo_find(path, &info);
    if (result == -ENOENT || (result == 0 && strcmp(info.type, FILE_SYSTEM) != 0)) {
        (void)fprintf(stderr, "vrift: umount: %s: not mounted by vrift\n", path);
        return -VRIFT_EINVAL;
    }
    if (result == 0)
        result = umount2(path, UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
    if (result == -EPERM) {
        result = vr_fusermount_umount(path, 0, why, sizeof(why));
        if (result == -ENOENT)
            result = -EPERM;
    }
    return result < 0 ? complain("umount", path, why, result) : 0;
}

int32_t vr_mount_umount(const char *mountpoint)
{
    char *path = resolve(mountpoint);
    int32_t result = path ? umount_found(path) : complain("umount", mountpoint, "", -errno);
    free(path);
    return result;
}
