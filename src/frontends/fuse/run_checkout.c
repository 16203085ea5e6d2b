/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Restore, run, take over: the way that needs nothing of the machine. The workspace changes only when the command has
 * ended by itself; whatever else happens, it stays as it was.
 */
#include "fuse/run_ways.h"

#include <vrift/error.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Removes all that is in a directory; takes the descriptor. 0, or a negative errno. */
static int32_t empty_directory(int fd)
{
    DIR *dir;
    struct dirent *entry;
    int32_t result = 0;
    (void)fchmod(fd, 0700); /* the command may have left it closed even to its owner */
    dir = fdopendir(fd);
    if (!dir) {
        (void)close(fd);
        return -errno;
    }
    while ((entry = readdir(dir))) {
        const char *name = entry->d_name;
        int32_t flags = 0;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (unlinkat(dirfd(dir), name, 0) == 0)
            continue;
        if (errno == EISDIR || errno == EPERM || errno == ENOTEMPTY) {
            int sub;
            (void)fchmodat(dirfd(dir), name, 0700, AT_SYMLINK_NOFOLLOW);
            sub = openat(dirfd(dir), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (sub >= 0) {
                int32_t inner = empty_directory(sub);
                result = inner < 0 ? inner : result;
                flags = AT_REMOVEDIR;
            }
        }
        if (unlinkat(dirfd(dir), name, flags) < 0)
            result = -errno;
    }
    (void)closedir(dir);
    return result;
}

static int32_t empty_place(const struct vr_run *run)
{
    int fd = open(run->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : empty_directory(fd);
}

/* If the supervisor is dead, nobody will take the changes over. */
static void clear(void *payload, int32_t orphaned)
{
    struct vr_run *run = payload;
    if (!orphaned)
        return;
    (void)empty_place(run);
    vr_run_unmake_place(run);
}

static int32_t take_over(struct vr_run *run, const struct vr_supervise_outcome *outcome)
{
    char text[512];
    int32_t result;
    if (WIFSIGNALED(outcome->status)) {
        (void)snprintf(text, sizeof(text), "signal %d killed the command; the workspace stays as it was",
                       WTERMSIG(outcome->status));
        vr_run_say(run->info.name, text);
        return 0;
    }
    result = vrift_workspace_ingest(run->workspace, run->path, NULL);
    if (result < 0) {
        (void)vr_run_say_error(run->info.name, result);
        (void)fprintf(stderr, "vrift: run: %s: the workspace stays as it was; this is the tree that the command left\n",
                      run->path);
    }
    return result;
}

int32_t vr_run_checkout(struct vr_run *run)
{
    struct vr_supervise_plan plan = {.argv = run->options->argv,
                                     .directory = run->path,
                                     .inside = run->inside,
                                     .workspace = run->info.name,
                                     .verbose = run->options->verbose,
                                     .payload = run,
                                     .clear = clear};
    struct vr_supervise_outcome outcome;
    int32_t result;
    if (run->own_place)
        (void)empty_place(run); /* a run that was killed may have left its tree */
    result = vrift_workspace_checkout(run->workspace, run->path, NULL, NULL);
    if (result == -VRIFT_ENOTEMPTY) {
        vr_run_say(run->path, "not empty; a workspace can only be restored to an empty or absent directory");
        return result;
    }
    if (result < 0)
        return vr_run_say_error(run->path, result);
    if (run->options->verbose > 0)
        vr_run_say("restored to", run->path);
    vr_supervise(&plan, &outcome);
    result = vr_run_conclude(run, &outcome);
    if (outcome.error == 0) {
        int32_t taken = take_over(run, &outcome);
        if (taken < 0)
            return taken;
    }
    (void)empty_place(run);
    return result;
}
