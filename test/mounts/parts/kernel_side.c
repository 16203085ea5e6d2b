/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The kernel's side: each process is a real one, which does what it is told through a socket. All are children of the
 * test's, in namespaces below one of their own, so that nothing of it is to be seen outside and all goes with them.
 */
#include "mounts/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROC_FD 100
#define KEPT_FD 101

#define SYS_MOUNT_SETATTR 442

struct kernel_side {
    int ours[PROCESSES], theirs[PROCESSES];
    pid_t pids[PROCESSES];
    char directory[256];
};

struct request {
    uint32_t look;
    pid_t pid; /* SETNS */
    struct step step;
    char probes[PROBES][PATH_SIZE];
};

struct reply {
    int64_t result;
    struct view view;
    uint32_t length; /* of the mountinfo that follows */
};

static void put(int fd, const void *data, size_t size)
{
    for (const char *p = data; size;) {
        ssize_t done = write(fd, p, size);
        if (done <= 0)
            _exit(3);
        p += done;
        size -= (size_t)done;
    }
}

static bool get(int fd, void *data, size_t size)
{
    for (char *p = data; size;) {
        ssize_t done = read(fd, p, size);
        if (done <= 0)
            return false;
        p += done;
        size -= (size_t)done;
    }
    return true;
}

static int64_t answer(int64_t result)
{
    return result < 0 ? -errno : 0;
}

/* -- In the child -------------------------------------------------------------------------------------------------- */

static void populate(const char *path)
{
    static const char *const names[] = {"a", "b"};
    char name[PATH_SIZE + 8];
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s/%s", path, names[i]);
        if (mkdir(name, 0755))
            continue;
    }
    snprintf(name, sizeof name, "%s/f", path);
    int fd = open(name, O_CREAT | O_WRONLY, 0644);
    if (fd >= 0)
        close(fd);
}

static int64_t mount_new(const struct step *step)
{
    char source[16];
    snprintf(source, sizeof source, "t%u", step->number);
    if (mount(source, step->one, "tmpfs", step->flags, "mode=0755"))
        return -errno;
    populate(step->one);
    return 0;
}

static int64_t set_attributes(const struct step *step)
{
    static const struct {
        uint64_t flag, attr;
    } map[] = {{MS_RDONLY, MOUNT_ATTR_RDONLY},
               {MS_NOSUID, MOUNT_ATTR_NOSUID},
               {MS_NODEV, MOUNT_ATTR_NODEV},
               {MS_NOEXEC, MOUNT_ATTR_NOEXEC},
               {MS_NODIRATIME, MOUNT_ATTR_NODIRATIME},
               {MS_NOATIME, MOUNT_ATTR_NOATIME},
               {MS_STRICTATIME, MOUNT_ATTR_STRICTATIME}};
    struct mount_attr attr = {.propagation = step->type};
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++) {
        if (step->flags & map[i].flag)
            attr.attr_set |= map[i].attr;
        if (step->clear & map[i].flag)
            attr.attr_clr |= map[i].attr;
    }
    if (step->flags & (MS_NOATIME | MS_RELATIME | MS_STRICTATIME))
        attr.attr_clr |= MOUNT_ATTR__ATIME;
    return answer(syscall(SYS_MOUNT_SETATTR, AT_FDCWD, step->one, step->number ? AT_RECURSIVE : 0, &attr, sizeof attr));
}

static int64_t expire(const char *path)
{
    struct stat st;
    int64_t first = answer(umount2(path, MNT_EXPIRE)), second = answer(umount2(path, MNT_EXPIRE));
    /* Mounts anywhere else in the system make walks start again, which counts as use. */
    for (int i = 0; i < 20 && second == -EAGAIN; i++)
        second = answer(umount2(path, MNT_EXPIRE));
    if (stat(path, &st))
        st.st_mode = 0;
    return first * 1000 + second;
}

static int64_t enter(pid_t pid)
{
    char name[32];
    snprintf(name, sizeof name, "%d/ns/mnt", (int)pid);
    int fd = openat(PROC_FD, name, O_RDONLY);
    if (fd < 0)
        return -errno;
    int64_t result = answer(setns(fd, CLONE_NEWNS));
    close(fd);
    return result;
}

static int64_t keep_open(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return -errno;
    dup2(fd, KEPT_FD);
    close(fd);
    return 0;
}

static int64_t resolve(const struct step *step)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = step->flags};
    long fd = syscall(SYS_openat2, AT_FDCWD, step->one, &how, sizeof how);
    return fd < 0 ? -errno : close((int)fd);
}

static int64_t create(const char *path)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
    return fd < 0 ? -errno : close(fd);
}

static int64_t perform(const struct request *request)
{
    const struct step *s = &request->step;
    switch (s->operation) {
    case OP_MOUNT:
        return mount_new(s);
    case OP_BIND:
        return answer(mount(s->one, s->two, NULL, MS_BIND | s->flags, NULL));
    case OP_MOVE:
        return answer(mount(s->one, s->two, NULL, MS_MOVE, NULL));
    case OP_PROPAGATE:
        return answer(mount("", s->one, NULL, s->type, NULL));
    case OP_REMOUNT:
        return answer(mount("", s->one, NULL, MS_REMOUNT | MS_BIND | s->flags, NULL));
    case OP_SETATTR:
        return set_attributes(s);
    case OP_UMOUNT:
        return answer(umount2(s->one, (int)s->flags));
    case OP_EXPIRE:
        return expire(s->one);
    case OP_PIVOT:
        return answer(syscall(SYS_pivot_root, s->one, s->two));
    case OP_CHROOT:
        return answer(chroot(s->one));
    case OP_CHDIR:
        return answer(chdir(s->one));
    case OP_UNSHARE:
        return answer(unshare(CLONE_NEWNS));
    case OP_SETNS:
        return enter(request->pid);
    case OP_MKDIR:
        return answer(mkdir(s->one, 0755));
    case OP_RMDIR:
        return answer(rmdir(s->one));
    case OP_UNLINK:
        return answer(unlink(s->one));
    case OP_CREATE:
        return create(s->one);
    case OP_RENAME:
        return answer(syscall(SYS_renameat2, AT_FDCWD, s->one, AT_FDCWD, s->two, 0));
    case OP_EXCHANGE:
        return answer(syscall(SYS_renameat2, AT_FDCWD, s->one, AT_FDCWD, s->two, 2));
    case OP_LINK:
        return answer(link(s->one, s->two));
    case OP_OPEN:
        return keep_open(s->one);
    case OP_CLOSE:
        return answer(close(KEPT_FD));
    case OP_SYMLINK:
        return answer(symlink(s->one, s->two));
    case OP_RESOLVE:
        return resolve(s);
    case OP_FCHDIR:
        return answer(fchdir(KEPT_FD));
    default:
        return -ENOSYS;
    }
}

static void look_around(const struct request *request, struct view *out)
{
    long length = syscall(SYS_getcwd, out->cwd, sizeof out->cwd);
    if (length < 0)
        snprintf(out->cwd, sizeof out->cwd, "error %d", errno);
    for (int i = 0; i < PROBES; i++) {
        struct statx st;
        struct probe *probe = &out->probes[i];
        memset(probe, 0, sizeof *probe);
        probe->result =
            answer(statx(AT_FDCWD, request->probes[i], AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS | STATX_MNT_ID, &st));
        if (probe->result)
            continue;
        probe->dev = st.stx_dev_minor;
        probe->ino = st.stx_ino;
        probe->mount = st.stx_mnt_id;
    }
}

static char *read_mountinfo(uint32_t *length)
{
    size_t room = 1 << 16, used = 0;
    char *text = malloc(room);
    int fd = openat(PROC_FD, "thread-self/mountinfo", O_RDONLY);
    ssize_t got;
    while (fd >= 0 && (got = read(fd, text + used, room - used)) > 0) {
        used += (size_t)got;
        if (used == room)
            text = realloc(text, room *= 2);
    }
    if (fd < 0)
        used = (size_t)snprintf(text, room, "no mountinfo: %d\n", errno);
    else
        close(fd);
    *length = (uint32_t)used;
    return text;
}

static void serve(struct kernel_side *k, uint32_t me)
{
    struct request request;
    while (get(k->theirs[me], &request, sizeof request)) {
        struct reply reply;
        char *text = NULL;
        memset(&reply, 0, sizeof reply);
        if (request.look) {
            look_around(&request, &reply.view);
            text = read_mountinfo(&reply.length);
        } else if (request.step.operation == OP_FORK) {
            pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
            if (pid == 0) {
                me = request.step.other;
                continue;
            }
            reply.result = pid;
        } else if (request.step.operation == OP_EXIT) {
            _exit(0);
        } else {
            reply.result = perform(&request);
        }
        put(k->theirs[me], &reply, sizeof reply);
        if (text)
            put(k->theirs[me], text, reply.length);
        free(text);
    }
    _exit(0);
}

static bool enter_world(const char *directory)
{
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
        return false;
    int proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (proc < 0 || dup2(proc, PROC_FD) < 0 || close(proc) || mount("base", directory, "tmpfs", 0, "mode=0755") ||
        chdir(directory))
        return false;
    /* Not to be had below a changed root. */
    if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
        return false;
    populate("/");
    populate("/a");
    populate("/b");
    return true;
}

/* -- In the test --------------------------------------------------------------------------------------------------- */

static void ask(struct kernel_side *k, uint32_t process, const struct request *request, struct reply *reply)
{
    memset(reply, 0, sizeof *reply);
    put(k->ours[process], request, sizeof *request);
    if (!get(k->ours[process], reply, sizeof *reply))
        fail_msg("process %u of the kernel's side has died", process);
    reply->view.mountinfo = malloc(reply->length + 1);
    if (reply->length && !get(k->ours[process], reply->view.mountinfo, reply->length))
        fail_msg("process %u of the kernel's side has died", process);
    reply->view.mountinfo[reply->length] = '\0';
}

static int64_t kernel_run(void *self, const struct step *step)
{
    struct kernel_side *k = self;
    struct request request = {.step = *step};
    struct reply reply;
    if (step->operation == OP_EXIT) {
        put(k->ours[step->process], &request, sizeof request);
        waitpid(k->pids[step->process], NULL, 0);
        k->pids[step->process] = 0;
        return 0;
    }
    if (step->operation == OP_SETNS)
        request.pid = k->pids[step->other];
    ask(k, step->process, &request, &reply);
    free(reply.view.mountinfo);
    if (step->operation != OP_FORK)
        return reply.result;
    k->pids[step->other] = (pid_t)reply.result;
    return reply.result > 0 ? 0 : reply.result;
}

static void kernel_look(void *self, uint32_t process, char (*paths)[PATH_SIZE], struct view *out)
{
    struct request request = {.look = 1};
    struct reply reply;
    memcpy(request.probes, paths, sizeof request.probes);
    ask(self, process, &request, &reply);
    *out = reply.view;
}

static void kernel_end(void *self)
{
    struct kernel_side *k = self;
    for (int i = 0; i < PROCESSES; i++) {
        close(k->ours[i]);
        close(k->theirs[i]);
    }
    for (int i = 0; i < PROCESSES; i++) {
        if (!k->pids[i])
            continue;
        kill(k->pids[i], SIGKILL);
        waitpid(k->pids[i], NULL, 0);
    }
    rmdir(k->directory);
    free(k);
}

static bool make_directory(char *out, size_t size)
{
    const char *where = getenv("TMPDIR");
    snprintf(out, size, "%s/vrift-mounts-XXXXXX", where && *where ? where : "/tmp");
    return mkdtemp(out);
}

/* What a umount takes along and some errors are others before 6.17, which wrote propagation anew. */
static bool is_new_enough(void)
{
    struct utsname name;
    unsigned major = 0, minor = 0;
    return !uname(&name) && sscanf(name.release, "%u.%u", &major, &minor) == 2 && major * 1000 + minor >= 6017;
}

bool kernel_is_there(void)
{
    char directory[256];
    int status = 1;
    if (geteuid() != 0 || !is_new_enough() || !make_directory(directory, sizeof directory))
        return false;
    pid_t pid = fork();
    if (pid == 0)
        _exit(!enter_world(directory));
    waitpid(pid, &status, 0);
    rmdir(directory);
    return status == 0;
}

/* Exits with 0 if a mount that is unbindable is so in a copy of its namespace. */
static void ask_about_unbindable(void)
{
    char line[1024];
    int kept = 1;
    if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("vrift-u", "/tmp", "tmpfs", 0, NULL) || mount("", "/tmp", NULL, MS_UNBINDABLE, NULL) ||
        unshare(CLONE_NEWNS))
        _exit(1);
    FILE *file = fopen("/proc/self/mountinfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (strstr(line, "vrift-u") && strstr(line, "unbindable"))
            kept = 0;
    _exit(kept);
}

bool kernel_keeps_unbindable(void)
{
    pid_t pid = fork();
    if (pid == 0)
        ask_about_unbindable();
    int status = 1;
    waitpid(pid, &status, 0);
    return status == 0;
}

bool kernel_side_begin(struct side *side)
{
    struct kernel_side *k = calloc(1, sizeof *k);
    if (!make_directory(k->directory, sizeof k->directory))
        return false;
    for (int i = 0; i < PROCESSES; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
            return false;
        k->ours[i] = pair[0];
        k->theirs[i] = pair[1];
    }
    k->pids[0] = fork();
    if (k->pids[0] == 0) {
        for (int i = 0; i < PROCESSES; i++)
            close(k->ours[i]);
        if (enter_world(k->directory))
            serve(k, 0);
        _exit(2);
    }
    *side = (struct side){.name = "the kernel", .run = kernel_run, .look = kernel_look, .end = kernel_end, .self = k};
    return true;
}
