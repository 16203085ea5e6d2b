/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fuse/mount_serve.h"
#include "fuse/fusermount.h"
#include "fuse/mountinfo.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_THREADS 2

struct mounted {
    const char *path;
    const struct vr_mount_options *options;
    const struct vr_mount_service *service;
    int64_t id; /* of the mount, so that nobody else's is unmounted */
    int32_t through_fusermount;
};

int32_t vr_mount_complain(const char *command, const char *path, const char *why, int32_t error)
{
    (void)fprintf(stderr, "vrift: %s: %s: %s%s%s\n", command, path, why, *why ? ": " : "", strerror(-error));
    return vrift_err_from_host_errno(-error);
}

/* -- Mounting and unmounting ------------------------------------------------------------------------------------ */

unsigned long vr_mount_kernel_flags(uint64_t flags)
{
    static const struct {
        uint64_t ours;
        unsigned long theirs;
    } table[] = {
        {VR_MOUNT_RDONLY, MS_RDONLY},
        {VR_MOUNT_NOEXEC, MS_NOEXEC},
        {VR_MOUNT_NOATIME, MS_NOATIME},
        {VR_MOUNT_NODIRATIME, MS_NODIRATIME},
        {VR_MOUNT_STRICTATIME, MS_STRICTATIME},
        {VR_MOUNT_RELATIME, MS_RELATIME},
        {VR_MOUNT_SYNC, MS_SYNCHRONOUS},
        {VR_MOUNT_DIRSYNC, MS_DIRSYNC},
        {VR_MOUNT_NOSYMFOLLOW, 256 /* MS_NOSYMFOLLOW */},
    };
    unsigned long result = (flags & VR_MOUNT_SUID ? 0 : MS_NOSUID) | (flags & VR_MOUNT_DEV ? 0 : MS_NODEV);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (flags & table[i].ours)
            result |= table[i].theirs;
    return result;
}

static const char *source_of(const struct mounted *self)
{
    return self->options->source ? self->options->source : "vrift";
}

static const char *subtype_of(const struct mounted *self)
{
    return self->options->subtype ? self->options->subtype : "vrift";
}

/* By mount(2). The device, or a negative errno. */
static int mount_directly(const struct mounted *self)
{
    uint64_t flags = self->options->flags;
    char type[128], options[128];
    int error, device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device < 0)
        return -errno;
    (void)snprintf(type, sizeof(type), "fuse.%s", subtype_of(self));
    (void)snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=%u,group_id=%u%s%s", device,
                   (unsigned)geteuid(), (unsigned)getegid(),
                   flags & VR_MOUNT_DEFAULT_PERMISSIONS ? ",default_permissions" : "",
                   flags & (VR_MOUNT_ALLOW_OTHER | VR_MOUNT_ROOT_FOR_ALL) ? ",allow_other" : "");
    if (mount(source_of(self), self->path, type, vr_mount_kernel_flags(flags), options) == 0)
        return device;
    error = errno;
    (void)close(device);
    return -error;
}

/* By fusermount3, which lets nobody but root ask for suid and dev. */
static int mount_by_helper(struct mounted *self, char *why, size_t room)
{
    uint64_t flags = self->options->flags;
    char words[192];
    (void)snprintf(words, sizeof(words), "%s,nosuid,nodev%s%s%s%s,subtype=%s", flags & VR_MOUNT_RDONLY ? "ro" : "rw",
                   flags & VR_MOUNT_NOEXEC ? ",noexec" : "", flags & VR_MOUNT_NOATIME ? ",noatime" : "",
                   flags & VR_MOUNT_DEFAULT_PERMISSIONS ? ",default_permissions" : "",
                   flags & VR_MOUNT_ALLOW_OTHER ? ",allow_other" : "", subtype_of(self));
    self->through_fusermount = 1;
    return vr_fusermount_mount(self->path, words, source_of(self), why, room);
}

/* The device, or an error after a complaint. */
static int mount_somehow(struct mounted *self)
{
    struct vr_mountinfo info;
    char why[512] = "";
    int device = mount_directly(self);
    if (device == -EPERM || device == -EACCES) {
        int direct = device;
        device = mount_by_helper(self, why, sizeof(why));
        if (device == -ENOENT)
            return vr_mount_complain("mount", self->path, "mounting without privilege needs fusermount3", direct);
    }
    if (device < 0)
        return vr_mount_complain("mount", self->path, why, device);
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
    int null;
    if (*notify < 0)
        return;
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
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

/* Serving a directory takes a descriptor for each file in use. */
static void allow_many_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int32_t serve_session(struct mounted *self, struct vr_fuse_session *session,
                             const struct vr_fuse_session_config *config, int signals, int notify)
{
    int device = mount_somehow(self);
    int32_t result = device < 0 ? device : vr_fuse_session_start(session, device, config);
    if (device >= 0 && result < 0) {
        unmount(self);
        (void)close(device);
        result = vr_mount_complain("mount", self->path, "starting the server", result);
    }
    if (result == 0) {
        wait_for_end(session, self, signals, notify);
        vr_fuse_session_join(session);
    }
    return result;
}

static int32_t serve(struct mounted *self, int notify)
{
    const struct vr_mount_service *service = self->service;
    struct vr_fuse_session_config config;
    struct vr_fuse_session session;
    sigset_t ending, mask;
    int32_t result;
    int signals;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &ending, &mask);
    signals = signalfd(-1, &ending, SFD_CLOEXEC);
    if (signals < 0)
        return vr_mount_complain("mount", self->path, "", -errno);
    allow_many_files();
    result = service->start(service->payload, &session, &config);
    if (result == 0) {
        if (self->options->threads > 0)
            config.threads = self->options->threads;
        result = serve_session(self, &session, &config, signals, notify);
        if (service->end)
            service->end(service->payload);
    }
    (void)close(signals);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    return result;
}

/* Serves in a child that has no terminal, and waits until the mount can be used. */
static int32_t serve_in_background(struct mounted *self)
{
    int ready[2];
    char byte;
    pid_t pid;
    int32_t up;
    if (pipe2(ready, O_CLOEXEC) < 0)
        return vr_mount_complain("mount", self->path, "", -errno);
    (void)fflush(NULL);
    pid = fork();
    if (pid < 0)
        return vr_mount_complain("mount", self->path, "", -errno);
    if (pid == 0) {
        (void)close(ready[0]);
        (void)setsid();
        (void)!chdir("/");
        _exit(serve(self, ready[1]) < 0 ? 1 : 0);
    }
    (void)close(ready[1]);
    up = read(ready[0], &byte, 1) == 1;
    (void)close(ready[0]);
    if (up)
        return 0;
    (void)waitpid(pid, NULL, 0);
    return -VRIFT_EIO; /* the child has said why */
}

int32_t vr_mount_serve(const struct vr_mount_service *service, const char *mountpoint,
                       const struct vr_mount_options *options)
{
    struct mounted self = {.options = options, .service = service, .id = -1};
    struct stat stat_buffer;
    char *path = realpath(mountpoint, NULL);
    int32_t result;
    if (!path || stat(path, &stat_buffer) < 0)
        result = vr_mount_complain("mount", mountpoint, "", -errno);
    else if (!S_ISDIR(stat_buffer.st_mode))
        result = vr_mount_complain("mount", mountpoint, "", -ENOTDIR);
    else {
        self.path = path;
        result = options->foreground ? serve(&self, -1) : serve_in_background(&self);
    }
    free(path);
    return result;
}

/* -- Remounting -------------------------------------------------------------------------------------------------- */

int32_t vr_mount_remount(const char *mountpoint, const struct vr_mount_options *options)
{
    if (mount("vrift", mountpoint, "fuse", MS_REMOUNT | vr_mount_kernel_flags(options->flags), NULL) < 0)
        return vr_mount_complain("mount", mountpoint, "remounting", -errno);
    return 0;
}
