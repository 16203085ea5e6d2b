/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* vrift_store_verify(): the order of things, the format file, refs, and what does not belong. */
#include "store/verify.h"

#include "core/copyin.h"
#include "platform/fileops.h"
#include "store/ref.h"

#include <vrift/error.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int32_t vr_verify_problem(struct vr_verify *verify, const char *directory, const char *name, const char *reason)
{
    struct vr_str path = VR_STR_INIT;
    int32_t answer = 0;
    vr_str_append_text(&path, directory);
    if (path.length)
        vr_str_append_text(&path, "/");
    vr_str_append_text(&path, name);
    const struct vrift_problem problem = {vr_str_text(&path), reason};
    vr_os_mutex_lock(&verify->lock);
    verify->result.problems++;
    if (verify->problem && !vr_crew_stopped(&verify->crew))
        answer = verify->problem(&problem, verify->payload);
    vr_os_mutex_unlock(&verify->lock);
    if (answer)
        vr_crew_fail(&verify->crew, answer, "verify", problem.path, "stopped");
    vr_str_dispose(&path);
    return answer;
}

static int32_t verify_format(struct vr_verify *verify)
{
    const char *reason;
    int32_t error = vr_store_read_format(verify->store->root, NULL, &reason);
    return error ? vr_verify_problem(verify, "", "format", reason ? reason : vrift_err_str(error)) : 0;
}

static int32_t verify_top(struct vr_verify *verify)
{
    static const char *const known[] = {"format", "index",     "objects", "packs",
                                        "refs",   "snapshots", "tmp",     "workspaces"};
    struct vr_namelist names = {0};
    int32_t error = vr_namelist_read(&names, verify->store->root);
    for (size_t i = 0; !error && i < names.count; i++) {
        int found = 0;
        for (size_t j = 0; j < sizeof known / sizeof known[0]; j++)
            found |= strcmp(names.names[i], known[j]) == 0;
        if (!found)
            error = vr_verify_problem(verify, "", names.names[i], "it does not belong in a store");
    }
    vr_namelist_dispose(&names);
    return error;
}

static int32_t verify_ref(struct vr_verify *verify, const char *name)
{
    struct vr_digest digest;
    char hex[VR_DIGEST_HEX];
    struct vrift_stat stat;
    if (!vr_ref_name_valid(name))
        return vr_verify_problem(verify, "refs", name, "its name is not one of a ref");
    int32_t error = vr_ref_read(verify->store, name, &digest);
    if (error == -VRIFT_ENOENT)
        return 0; /* deleted meanwhile */
    verify->result.refs++;
    if (error == -VRIFT_EOPNOTSUPP)
        return vr_verify_problem(verify, "refs", name, "it is of a newer version");
    if (error)
        return vr_verify_problem(verify, "refs", name, "it is damaged");
    vr_digest_hex(&digest, hex);
    error = vr_fileops_stat(verify->store->snapshots, hex, &stat);
    return error ? vr_verify_problem(verify, "refs", name, "its snapshot is not there") : 0;
}

int32_t vr_verify_refs(struct vr_verify *verify)
{
    struct vr_namelist names = {0};
    int32_t error = vr_ref_names(verify->store, 1, &names);
    for (size_t i = 0; !error && i < names.count; i++)
        error = verify_ref(verify, names.names[i]);
    vr_namelist_dispose(&names);
    return error;
}

/* -- Workspaces --------------------------------------------------------------------------------------------------- */

#define BASE_FIRST "vrift workspace\n"
#define BASE_MAX   4096u

/* Of a workspace only its base file is the store's business: it names a snapshot. NULL, or what is wrong. */
static const char *check_base(vrift_store *store, const char *text, size_t length)
{
    struct vr_digest digest;
    struct vrift_stat stat;
    char name[VR_DIGEST_HEX];
    size_t body;
    if (vr_store_check_checksum(text, length, &body) || strncmp(text, BASE_FIRST, sizeof BASE_FIRST - 1) != 0)
        return "it is damaged";
    const char *line = strstr(text, "\nbase ");
    if (!line || strncmp(line + 6, "empty\n", 6) == 0)
        return line ? NULL : "it names no snapshot";
    if ((size_t)(text + length - line) < 6 + 64 || vr_digest_unhex(line + 6, &digest))
        return "it names no snapshot";
    vr_digest_hex(&digest, name);
    return vr_fileops_stat(store->snapshots, name, &stat) ? "its snapshot is not there" : NULL;
}

static int32_t verify_workspace(struct vr_verify *verify, int dirfd, const char *name)
{
    struct vr_str path = VR_STR_INIT;
    char *text;
    size_t length;
    vr_str_append_text(&path, name);
    int32_t error = vr_str_append_text(&path, "/base");
    if (!error)
        error = vr_fileops_read_file(dirfd, path.data, BASE_MAX, &text, &length);
    if (error == -VRIFT_ENOENT || error == -VRIFT_ENOTDIR) {
        error = 0; /* being made or removed */
    } else if (error) {
        error = vr_verify_problem(verify, "workspaces", vr_str_text(&path), "it cannot be read");
    } else {
        const char *reason = check_base(verify->store, text, length);
        error = reason ? vr_verify_problem(verify, "workspaces", path.data, reason) : 0;
        free(text);
    }
    vr_str_dispose(&path);
    return error;
}

static int32_t verify_workspaces(struct vr_verify *verify)
{
    struct vr_namelist names = {0};
    int fd = openat(verify->store->root, "workspaces", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return vr_verify_problem(verify, "", "workspaces", "it cannot be opened");
    int32_t error = vr_namelist_read(&names, fd);
    for (size_t i = 0; !error && i < names.count; i++)
        error = verify_workspace(verify, fd, names.names[i]);
    vr_namelist_dispose(&names);
    close(fd);
    return error;
}

static int32_t verify_all(struct vr_verify *verify)
{
    vr_store_scan_packs(verify->store);
    int32_t error = verify_format(verify);
    if (!error)
        error = verify_top(verify);
    if (!error)
        error = vr_verify_blobs(verify);
    if (!error)
        error = vr_verify_snapshots(verify);
    if (!error)
        error = vr_verify_refs(verify);
    if (!error)
        error = verify_workspaces(verify);
    return error;
}

int32_t vrift_store_verify(vrift_store *store, const struct vrift_verify_options *options,
                           struct vrift_verify_result *out)
{
    struct vrift_verify_options ours;
    struct vrift_error_detail detail = {0};
    int32_t error = VR_COPYIN(&ours, options);
    if (error)
        return error;
    if (!store || !out || ours.flags)
        return -VRIFT_EINVAL;
    struct vr_verify verify = {.store = store, .problem = ours.problem, .payload = ours.payload};
    error = vr_crew_init(&verify.crew, ours.jobs, &detail);
    if (error)
        return error;
    verify.crew.progress = ours.progress;
    verify.crew.payload = ours.payload;
    error = vr_os_mutex_init(&verify.lock);
    if (!error) {
        error = verify_all(&verify);
        vr_os_mutex_destroy(&verify.lock);
    }
    vr_crew_dispose(&verify.crew);
    if (error)
        vr_error_fill(&detail, error, "verify", store->path, NULL);
    else
        *out = verify.result;
    vr_error_publish(&detail);
    return error;
}
