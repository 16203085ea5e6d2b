/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A request names its user and group; supplementary groups and capabilities are read from /proc at every request, since
 * they may change from one call to the next. Descriptors of /proc/TID/status are kept: reading one again is cheaper than
 * opening it, and it tells when the thread is no longer the one it was.
 */
#include "fuse/rw_cred.h"

#include <vrift/error.h>
#include <vrift/task.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT_PROCESSES 16
#define KEPT_CALLERS   16
#define MOST_GROUPS    1024

/* A thread that asked before. */
struct process {
    uint32_t pid; /* 0: none */
    int fd;       /* /proc/PID/status */
};

struct identity {
    uint32_t uid, gid;
    uint64_t capabilities;
    uint32_t group_count;
    uint32_t groups[MOST_GROUPS];
};

struct caller {
    vrift_task *task; /* NULL: none */
    uint32_t uid, gid;
    uint64_t capabilities;
    uint32_t group_count;
    uint32_t *groups;
};

struct local {
    struct process processes[KEPT_PROCESSES];
    struct caller callers[KEPT_CALLERS];
    uint32_t next_process, next_caller; /* to be replaced */
    struct stat own;                    /* our user namespace, which is for good */
    struct identity wanted;
    char text[32768]; /* of a status file */
};

/* -- What /proc says ------------------------------------------------------------------------------------------------ */

static void drop_process(struct process *process)
{
    if (process->pid)
        (void)close(process->fd);
    process->pid = 0;
}

static struct process *find_process(struct local *local, uint32_t pid)
{
    char path[64];
    struct process *process = NULL;
    for (uint32_t i = 0; i < KEPT_PROCESSES; i++)
        if (local->processes[i].pid == pid)
            return &local->processes[i];
    process = &local->processes[local->next_process++ % KEPT_PROCESSES];
    drop_process(process);
    (void)snprintf(path, sizeof(path), "/proc/%u/status", pid);
    process->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (process->fd < 0)
        return NULL;
    process->pid = pid;
    return process;
}

/* Its status, with a NUL, in local->text. */
static struct process *read_status(struct local *local, uint32_t pid)
{
    for (int32_t attempt = 0; attempt < 2; attempt++) {
        struct process *process = find_process(local, pid);
        ssize_t got = process ? pread(process->fd, local->text, sizeof(local->text) - 1, 0) : -1;
        if (got > 0) {
            local->text[got] = '\0';
            return process;
        }
        if (!process)
            return NULL;
        drop_process(process); /* it has ended; the number may be another's by now */
    }
    return NULL;
}

/*
 * Whether it lives in our user namespace, so that its capabilities mean something here. Asked each time: whoever makes
 * itself a namespace has all capabilities there and is the same thread and user as before.
 */
static int32_t is_ours(const struct local *local, uint32_t pid)
{
    char path[64];
    struct stat theirs;
    (void)snprintf(path, sizeof(path), "/proc/%u/ns/user", pid);
    return stat(path, &theirs) == 0 && theirs.st_ino == local->own.st_ino && theirs.st_dev == local->own.st_dev;
}

static uint64_t parse_capabilities(const char *text, const char *name)
{
    const char *found = strstr(text, name);
    return found ? strtoull(found + strlen(name), NULL, 16) & VRIFT_CAP_ALL : 0;
}

enum ids { REAL, EFFECTIVE, SAVED, OF_FILES };

/* Whether a line of four numbers has this one at a place. */
static int32_t has_id(const char *text, const char *name, enum ids which, uint32_t id)
{
    char *at = strstr(text, name);
    if (!at)
        return 0;
    at += strlen(name);
    for (int32_t i = 0; i < (int32_t)which; i++)
        (void)strtoul(at, &at, 10);
    return strtoul(at, NULL, 10) == id;
}

static int32_t has_ids(const char *text, enum ids which, const struct vr_fuse_request *request)
{
    return has_id(text, "\nUid:\t", which, request->uid) && has_id(text, "\nGid:\t", which, request->gid);
}

static void parse_groups(const char *text, struct identity *out)
{
    char *end;
    for (;;) {
        unsigned long group = strtoul(text, &end, 10);
        if (end == text || out->group_count == MOST_GROUPS)
            return;
        out->groups[out->group_count++] = (uint32_t)group;
        text = end + strspn(end, " ");
        if (*text == '\n')
            return;
    }
}

/*
 * Whoever cannot be looked at, because the thread has gone or lives where we do not see it, has the user and the group
 * of the request and nothing else; user 0 then is taken for root. So is a thread that has other ids than the request:
 * the kernel acts for somebody else there, or the number means another where /proc is not of our PID namespace.
 * access(2) asks for the real ids, and without the capabilities that effective ones bring.
 */
static void identify(struct local *local, const struct vr_fuse_request *request, struct identity *out)
{
    struct process *process = request->pid ? read_status(local, request->pid) : NULL;
    const char *groups, *capabilities = "\nCapEff:\t";
    out->uid = request->uid;
    out->gid = request->gid;
    out->group_count = 0;
    out->capabilities = 0;
    if (process && !has_ids(local->text, OF_FILES, request)) {
        capabilities = request->uid == 0 ? "\nCapPrm:\t" : NULL;
        if (!has_ids(local->text, REAL, request))
            process = NULL;
    }
    if (!process) {
        out->capabilities = request->uid == 0 ? VRIFT_CAP_ALL : 0;
        return;
    }
    groups = strstr(local->text, "\nGroups:\t");
    if (groups && groups[9] != '\n')
        parse_groups(groups + 9, out);
    if (capabilities)
        out->capabilities = parse_capabilities(local->text, capabilities);
    if (out->capabilities && !is_ours(local, request->pid))
        out->capabilities = 0;
}

/* -- Tasks ---------------------------------------------------------------------------------------------------------- */

static void drop_caller(struct caller *caller)
{
    vrift_task_free(caller->task);
    free(caller->groups);
    memset(caller, 0, sizeof(*caller));
}

static int32_t is_caller(const struct caller *caller, const struct identity *wanted)
{
    return caller->task && caller->uid == wanted->uid && caller->gid == wanted->gid &&
           caller->capabilities == wanted->capabilities && caller->group_count == wanted->group_count &&
           (wanted->group_count == 0 ||
            memcmp(caller->groups, wanted->groups, wanted->group_count * sizeof(uint32_t)) == 0);
}

static int32_t make_caller(struct vr_rw_server *server, const struct identity *wanted, struct caller *out)
{
    struct vrift_cred_options options = {.size = sizeof(options),
                                         .uid = wanted->uid,
                                         .gid = wanted->gid,
                                         .group_count = wanted->group_count,
                                         .groups = wanted->groups,
                                         .capabilities = wanted->capabilities};
    vrift_cred *cred = NULL;
    size_t length = wanted->group_count * sizeof(uint32_t);
    int32_t result = vrift_cred_new(server->vfs, &options, &cred);
    if (result == 0)
        result = vrift_task_clone(server->base, VRIFT_CLONE_FILES, &out->task);
    if (result == 0)
        result = vrift_task_set_cred(out->task, cred);
    vrift_cred_unref(cred);
    if (result == 0 && length) {
        out->groups = malloc(length);
        if (out->groups)
            memcpy(out->groups, wanted->groups, length);
        else
            result = -VRIFT_ENOMEM;
    }
    if (result < 0) {
        drop_caller(out);
        return result;
    }
    out->uid = wanted->uid;
    out->gid = wanted->gid;
    out->capabilities = wanted->capabilities;
    out->group_count = wanted->group_count;
    return 0;
}

int32_t vr_rw_cred_task(struct vr_rw_server *server, const struct vr_fuse_request *request, vrift_task **out)
{
    struct local *local = *request->local;
    struct caller *caller;
    int32_t result;
    if (!local) {
        local = calloc(1, sizeof(*local));
        if (!local)
            return -VRIFT_ENOMEM;
        (void)stat("/proc/self/ns/user", &local->own); /* else nobody's capabilities count */
        *request->local = local;
    }
    identify(local, request, &local->wanted);
    for (uint32_t i = 0; i < KEPT_CALLERS; i++) {
        if (is_caller(&local->callers[i], &local->wanted)) {
            *out = local->callers[i].task;
            return 0;
        }
    }
    caller = &local->callers[local->next_caller++ % KEPT_CALLERS];
    drop_caller(caller);
    result = make_caller(server, &local->wanted, caller);
    if (result == 0)
        *out = caller->task;
    return result;
}

void vr_rw_cred_end_thread(void *payload, void *local_pointer)
{
    struct local *local = local_pointer;
    (void)payload;
    if (!local)
        return;
    for (uint32_t i = 0; i < KEPT_PROCESSES; i++)
        drop_process(&local->processes[i]);
    for (uint32_t i = 0; i < KEPT_CALLERS; i++)
        drop_caller(&local->callers[i]);
    free(local);
}
