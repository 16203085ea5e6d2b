/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The kernel's overlayfs: the workspace's upper over a FUSE file system of the base, in a mount namespace of its own,
 * which an ordinary user gets through a user namespace. In order:
 *
 *   keeper      makes the namespace, mounts FUSE on the place, hands the device to the supervisor
 *   supervisor  starts a process that serves it
 *   keeper      makes the overlay over it, takes FUSE off the place again (the overlay holds it), mounts the overlay
 *
 * Nothing outside the namespace sees any of it, and with the last process of the namespace it is gone.
 */
#include "fuse/run_ways.h"
#include "fuse/fuse_session.h"
#include "fuse/mountcalls.h"
#include "fuse/snapshot_server.h"

#include <vrift/error.h>
#include <vrift/snapshot.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

#define SERVER_THREADS 2

struct overlay_run {
    struct vr_run *run;
    vrift_snapshot *base; /* NULL: an empty tree */
    uid_t uid;
    gid_t gid;
    int32_t in_user_ns;
};

static int32_t because(char why[VR_SUPERVISE_WHY], const char *what, const char *detail)
{
    int32_t error = -errno;
    (void)snprintf(why, VR_SUPERVISE_WHY, "overlay: %s%s%s%s", what, *detail ? " (" : "", detail, *detail ? ")" : "");
    return error;
}

/* -- The namespace ---------------------------------------------------------------------------------------------- */

static int32_t write_file(const char *path, const char *text)
{
    size_t length = strlen(text);
    ssize_t wrote;
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    wrote = write(fd, text, length);
    (void)close(fd);
    return wrote == (ssize_t)length ? 0 : -1;
}

/* In the user namespace the caller is who he was, and nobody else is anybody. */
static int32_t map_ids(const struct overlay_run *self)
{
    char map[64];
    if (write_file("/proc/self/setgroups", "deny") < 0 && errno != ENOENT)
        return -1;
    (void)snprintf(map, sizeof(map), "%u %u 1", (unsigned)self->uid, (unsigned)self->uid);
    if (write_file("/proc/self/uid_map", map) < 0)
        return -1;
    (void)snprintf(map, sizeof(map), "%u %u 1", (unsigned)self->gid, (unsigned)self->gid);
    return write_file("/proc/self/gid_map", map);
}

static int32_t make_namespace(struct overlay_run *self, char why[VR_SUPERVISE_WHY])
{
    self->uid = geteuid();
    self->gid = getegid();
    if (unshare(CLONE_NEWNS) < 0) {
        if (errno != EPERM)
            return because(why, "making a mount namespace", "");
        if (!(self->run->info.flags & VRIFT_WORKSPACE_USERXATTR))
            return because(why, "the workspace was made by root and needs root", "");
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
            return because(why, "making a user namespace", "");
        self->in_user_ns = 1;
        if (map_ids(self) < 0)
            return because(why, "mapping the user into a user namespace", "");
    }
    /* Slave: what is mounted outside meanwhile is seen, what is mounted here is not. */
    if (mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return because(why, "parting from the mounts outside", "");
    return 0;
}

/* -- The lower layer -------------------------------------------------------------------------------------------- */

/* In the supervisor's child. */
static void serve_main(struct overlay_run *self, int device, int32_t in_user_ns, pid_t parent)
{
    struct vr_snapshot_server server;
    struct vr_fuse_session_config config;
    struct vr_fuse_session session;
    int32_t result;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    result = vr_snapshot_server_init(&server, self->base);
    if (result == 0) {
        server.below_overlay = 1;
        server.one_owner = in_user_ns;
        server.uid = geteuid();
        server.gid = getegid();
        config = vr_snapshot_server_config(&server, SERVER_THREADS);
        result = vr_fuse_session_start(&session, device, &config);
    }
    if (result < 0) {
        vr_run_say("starting the snapshot's server", vrift_err_str(result));
        _exit(1);
    }
    vr_fuse_session_join(&session);
    _exit(0);
}

static pid_t serve(void *payload, int device, int32_t in_user_ns)
{
    struct overlay_run *self = payload;
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        serve_main(self, device, in_user_ns, parent);
    (void)close(device); /* the server's copy is the only one: with it, the connection ends */
    return pid > 0 ? pid : 0;
}

static int32_t mount_snapshot(struct overlay_run *self, int channel, char why[VR_SUPERVISE_WHY])
{
    char fd_text[16], uid_text[16], gid_text[16], detail[256];
    const struct vr_mount_option options[] = {
        {"source", "vrift"},           {"subtype", "vrift"},  {"fd", fd_text},
        {"rootmode", "40000"},         {"user_id", uid_text}, {"group_id", gid_text},
        {"default_permissions", NULL}, {"allow_other", NULL}, {NULL, NULL}};
    int32_t result;
    int mounted, device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (device < 0)
        return because(why, "opening /dev/fuse", "");
    (void)snprintf(fd_text, sizeof(fd_text), "%d", device);
    (void)snprintf(uid_text, sizeof(uid_text), "%u", (unsigned)self->uid);
    (void)snprintf(gid_text, sizeof(gid_text), "%u", (unsigned)self->gid);
    mounted = vr_mountcalls_make("fuse", options, VR_MOUNTCALLS_RDONLY, detail, sizeof(detail));
    result = mounted < 0 ? mounted : vr_mountcalls_attach(mounted, self->run->path);
    if (mounted >= 0)
        (void)close(mounted);
    if (result == 0)
        result = vr_supervise_hand_over(channel, device, self->in_user_ns);
    (void)close(device);
    errno = -result;
    return result < 0 ? because(why, "mounting FUSE", detail) : 0;
}

/* An empty tree is a tmpfs that nobody can write to. */
static int32_t mount_nothing(const struct overlay_run *self, char why[VR_SUPERVISE_WHY])
{
    if (mount("vrift", self->run->path, "tmpfs", MS_RDONLY, "size=4k,mode=755") < 0)
        return because(why, "mounting an empty tree", "");
    return 0;
}

/* -- The overlay ------------------------------------------------------------------------------------------------ */

/* A directory as a path that needs no escaping whatever its name is. The descriptor, to be closed after use. */
static int open_layer(const char *path, char text[32])
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    (void)snprintf(text, 32, "/proc/self/fd/%d", fd);
    return fd;
}

/*
 * A volatile overlay leaves a mark, and the kernel refuses a work directory that has one, as the machine may have
 * crashed since. What a crash leaves of an upper is what it leaves of any directory: the mark has nothing to say to us.
 */
static void remove_volatile_mark(int work)
{
    (void)unlinkat(work, "work/incompat/volatile/dirty", 0);
    (void)unlinkat(work, "work/incompat/volatile", AT_REMOVEDIR);
    (void)unlinkat(work, "work/incompat", AT_REMOVEDIR);
}

/*
 * Makes the overlay of the workspace over what is mounted on its place. A detached mount, or a negative errno.
 *
 * Volatile: else the kernel would sync each file that it copies up, and at the end the whole file system of the upper,
 * with all that others have written there. What is to outlive a power cut is committed, which syncs.
 */
static int make_overlay(const struct vr_run *run, int32_t is_volatile, char *detail, size_t room)
{
    char lower[32], upper[32], work[32];
    int fds[3] = {open_layer(run->path, lower), open_layer(run->upper, upper), open_layer(run->work, work)};
    int32_t user = (run->info.flags & VRIFT_WORKSPACE_USERXATTR) != 0;
    /* xino gives all files one device number, so that tools which stay on one file system (tar, du) see all of it. */
    const struct vr_mount_option options[] = {{"source", "vrift"},
                                              {"lowerdir", lower},
                                              {"upperdir", upper},
                                              {"workdir", work},
                                              {"index", "off"},
                                              {"metacopy", "off"},
                                              {"redirect_dir", "nofollow"},
                                              {"xino", "on"},
                                              {is_volatile ? "volatile" : "", NULL},
                                              {user ? "userxattr" : "", NULL},
                                              {NULL, NULL}};
    int mounted = -errno;
    detail[0] = '\0';
    if (fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0) {
        remove_volatile_mark(fds[2]);
        mounted = vr_mountcalls_make("overlay", options, 0, detail, room);
    }
    for (size_t i = 0; i < 3; i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    return mounted;
}

static int32_t mount_overlay(const struct overlay_run *self, char why[VR_SUPERVISE_WHY])
{
    char detail[256];
    int mounted = make_overlay(self->run, 1, detail, sizeof(detail));
    int32_t result;
    if (mounted == -EINVAL) /* before Linux 5.10 */
        mounted = make_overlay(self->run, 0, detail, sizeof(detail));
    errno = -mounted;
    if (mounted < 0)
        return because(why, "mounting the overlay", detail);
    (void)umount2(self->run->path, MNT_DETACH);
    result = vr_mountcalls_attach(mounted, self->run->path);
    (void)close(mounted);
    errno = -result;
    return result < 0 ? because(why, "attaching the overlay", "") : 0;
}

static int32_t prepare(void *payload, int channel, char why[VR_SUPERVISE_WHY])
{
    struct overlay_run *self = payload;
    const struct vr_run_options *options = self->run->options;
    int32_t result;
    if (chdir("/") < 0)
        return because(why, "entering /", "");
    result = make_namespace(self, why);
    if (result == 0)
        result = self->base ? mount_snapshot(self, channel, why) : mount_nothing(self, why);
    if (result == 0)
        result = mount_overlay(self, why);
    if (result == 0 && (options->verbose > 0 || (options->via == VR_RUN_AUTO && options->verbose == 0)))
        (void)fprintf(stderr, "vrift: run: via overlay\n");
    return result;
}

/* The overlay is unmounted here and now, so that the next run finds its upper free. */
static void clear(void *payload, int32_t orphaned)
{
    struct overlay_run *self = payload;
    int work;
    if (umount2(self->run->path, 0) < 0)
        (void)umount2(self->run->path, MNT_DETACH);
    work = open(self->run->work, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (work >= 0) {
        remove_volatile_mark(work);
        (void)close(work);
    }
    if (orphaned)
        vr_run_unmake_place(self->run);
}

void vr_run_overlay(struct vr_run *run, struct vr_supervise_outcome *outcome)
{
    struct overlay_run self = {.run = run};
    struct vr_supervise_plan plan = {.argv = run->options->argv,
                                     .directory = run->path,
                                     .inside = run->inside,
                                     .workspace = run->info.name,
                                     .verbose = run->options->verbose,
                                     .payload = &self,
                                     .prepare = prepare,
                                     .serve = serve,
                                     .clear = clear};
    int32_t result = 0;
    if (run->info.base.algorithm != VRIFT_DIGEST_NONE)
        result = vrift_snapshot_open(run->store, &run->info.base, &self.base);
    if (result < 0) {
        memset(outcome, 0, sizeof(*outcome));
        outcome->error = -vrift_err_to_host_errno(result);
        (void)snprintf(outcome->why, sizeof(outcome->why), "overlay: opening the base snapshot");
        return;
    }
    vr_supervise(&plan, outcome);
    vrift_snapshot_unref(self.base);
}
