/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fuse/run_ways.h"

#include <vrift/error.h>
#include <vrift/store.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void vr_run_say(const char *what, const char *why)
{
    (void)fprintf(stderr, "vrift: run: %s: %s\n", what, why);
}

int32_t vr_run_say_error(const char *what, int32_t error)
{
    struct vrift_error_detail detail;
    char why[sizeof(detail.path) + sizeof(detail.reason) + 64];
    if (vrift_error_detail(&detail) != 0 || detail.error != error) {
        vr_run_say(what, vrift_err_str(error));
        return error;
    }
    if (strcmp(detail.path, what) == 0)
        detail.path[0] = '\0';
    (void)snprintf(why, sizeof(why), "%s%s%s", detail.path, detail.path[0] ? ": " : "",
                   detail.reason[0] ? detail.reason : vrift_err_str(error));
    vr_run_say(what, why);
    return error;
}

int32_t vr_run_parse_via(const char *text, enum vr_run_via *out)
{
    static const char *const names[] = {[VR_RUN_AUTO] = "auto",
                                        [VR_RUN_OVERLAY] = "overlay",
                                        [VR_RUN_CHECKOUT] = "checkout",
                                        [VR_RUN_FUSE] = "fuse",
                                        [VR_RUN_PRELOAD] = "preload"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum vr_run_via)i;
            return 0;
        }
    return -VRIFT_EINVAL;
}

/* -- The place -------------------------------------------------------------------------------------------------- */

/* Whether `path` is `dir` or lies below it; both absolute and without symlinks. */
static int32_t is_within(const char *path, const char *dir)
{
    size_t length = strlen(dir);
    if (strcmp(dir, "/") == 0)
        return 1;
    return strncmp(path, dir, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* Makes the directories of `path`, absolute, that are missing. How many at its end were, or a negative errno. */
static int32_t make_directories(char *path)
{
    size_t length = strlen(path);
    int32_t made = 0;
    for (size_t i = 1; i <= length; i++) {
        char end = path[i];
        int32_t error;
        if ((end != '/' && end != '\0') || path[i - 1] == '/')
            continue;
        path[i] = '\0';
        error = mkdir(path, 0777) < 0 ? errno : 0;
        if (error && access(path, F_OK) == 0)
            error = EEXIST;
        path[i] = end;
        if (error && error != EEXIST)
            return -error;
        made = error ? 0 : made + 1;
    }
    return made;
}

void vr_run_unmake_place(const struct vr_run *run)
{
    char *path = run->path ? strdup(run->path) : NULL;
    for (int32_t i = run->own_place ? 1 : run->made; path && i > 0; i--) {
        if (rmdir(path) < 0)
            break;
        *strrchr(path, '/') = '\0';
    }
    free(path);
}

/* The workspace's own directory: beside its upper, so that it is the same at each run, whichever way it goes. */
static char *own_place(const struct vr_run *run)
{
    size_t length = (size_t)(strrchr(run->upper, '/') - run->upper);
    char *path = malloc(length + sizeof("/tree"));
    if (path)
        (void)sprintf(path, "%.*s/tree", (int)length, run->upper);
    return path;
}

static int32_t find_inside(struct vr_run *run)
{
    char *cwd = getcwd(NULL, 0);
    if (!cwd)
        return 0; /* the caller's directory is gone: it is inside nothing */
    if (is_within(cwd, run->path) && strlen(cwd) > strlen(run->path)) {
        run->inside = strdup(cwd + strlen(run->path) + 1);
        if (!run->inside) {
            free(cwd);
            return -VRIFT_ENOMEM;
        }
    }
    free(cwd);
    return 0;
}

static int32_t refuse_place(const struct vr_run *run)
{
    struct stat stat_buffer;
    if (stat(run->path, &stat_buffer) < 0)
        return vrift_err_from_host_errno(errno);
    if (!S_ISDIR(stat_buffer.st_mode))
        return -VRIFT_ENOTDIR;
    if (strcmp(run->path, "/") == 0) {
        vr_run_say("/", "a workspace cannot take the place of the root");
        return -VRIFT_EINVAL;
    }
    if (is_within(run->path, run->upper) || is_within(run->path, run->work)) {
        vr_run_say(run->path, "lies inside the workspace's own storage");
        return -VRIFT_EINVAL;
    }
    return 0;
}

/* Where the workspace is to be seen, absolute. */
static char *wanted_place(const struct vr_run *run)
{
    const char *at = run->options->at;
    char *cwd, *path;
    if (!at)
        return own_place(run);
    cwd = at[0] == '/' ? strdup("") : getcwd(NULL, 0);
    path = cwd ? malloc(strlen(cwd) + strlen(at) + 2) : NULL;
    if (path)
        (void)sprintf(path, "%s%s%s", cwd, at[0] == '/' ? "" : "/", at);
    free(cwd);
    return path;
}

/* Finds or makes the directory where the command sees the workspace. */
static int32_t make_place(struct vr_run *run)
{
    char *wanted = wanted_place(run);
    int32_t result = -ENOMEM;
    run->own_place = !run->options->at;
    if (wanted) {
        result = make_directories(wanted);
        run->made = result > 0 ? result : 0;
        run->path = result < 0 ? NULL : realpath(wanted, NULL);
    }
    if (!run->path) {
        result = result < 0 ? result : -errno;
        vr_run_say(wanted ? wanted : run->info.name, strerror(-result));
        free(wanted);
        return vrift_err_from_host_errno(-result);
    }
    free(wanted);
    result = refuse_place(run);
    if (result == -VRIFT_ENOTDIR)
        vr_run_say(run->path, "not a directory");
    return result < 0 ? result : find_inside(run);
}

/* -- The run ---------------------------------------------------------------------------------------------------- */

int32_t vr_run_conclude(const struct vr_run *run, const struct vr_supervise_outcome *outcome)
{
    if (outcome->unknown_command) {
        vr_run_say(run->options->argv[0], outcome->error == -ENOENT ? "command not found" : strerror(-outcome->error));
        return outcome->error == -ENOENT ? 127 : 126;
    }
    if (outcome->error == -ECHILD) {
        vr_run_say(run->info.name, outcome->why);
        return -VRIFT_ECHILD;
    }
    if (outcome->error) {
        vr_run_say(outcome->why, strerror(-outcome->error));
        return vrift_err_from_host_errno(-outcome->error);
    }
    return WIFSIGNALED(outcome->status) ? 128 + WTERMSIG(outcome->status) : WEXITSTATUS(outcome->status);
}

static int32_t choose_way(struct vr_run *run)
{
    struct vr_supervise_outcome outcome;
    if (run->options->via == VR_RUN_CHECKOUT)
        return vr_run_checkout(run);
    vr_run_overlay(run, &outcome);
    if (outcome.prepared || run->options->via == VR_RUN_OVERLAY)
        return vr_run_conclude(run, &outcome);
    if (run->options->verbose >= 0)
        (void)fprintf(stderr, "vrift: run: via checkout: no overlay here (%s: %s)\n", outcome.why,
                      strerror(-outcome.error));
    return vr_run_checkout(run);
}

static int32_t open_workspace(struct vr_run *run)
{
    const char *name = run->options->workspace;
    int32_t result = vrift_workspace_open(run->store, name, &run->workspace);
    if (result < 0)
        return vr_run_say_error(name, result);
    result = vrift_workspace_lock(run->workspace);
    if (result == -VRIFT_EBUSY) {
        vr_run_say(name, "another command runs in this workspace");
        return result;
    }
    if (result == 0)
        result = vrift_workspace_info(run->workspace, &run->info);
    if (result < 0)
        return vr_run_say_error(name, result);
    run->upper = realpath(run->info.upper, NULL);
    run->work = realpath(run->info.work, NULL);
    if (!run->upper || !run->work) {
        vr_run_say(run->upper ? run->info.work : run->info.upper, strerror(errno));
        return vrift_err_from_host_errno(errno);
    }
    return 0;
}

int32_t vr_run_command(vrift_store *store, const struct vr_run_options *options)
{
    struct vr_run run = {.store = store, .options = options};
    int32_t result;
    if (options->via == VR_RUN_FUSE || options->via == VR_RUN_PRELOAD) {
        vr_run_say(options->via == VR_RUN_FUSE ? "--via=fuse" : "--via=preload", "not built yet");
        return -VRIFT_EOPNOTSUPP;
    }
    result = open_workspace(&run);
    if (result == 0)
        result = make_place(&run);
    if (result == 0)
        result = choose_way(&run);
    vr_run_unmake_place(&run);
    free(run.upper);
    free(run.work);
    free(run.path);
    free(run.inside);
    vrift_workspace_close(run.workspace);
    return result;
}
