/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "cli/locate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <vrift/backends.h>
#include <vrift/error.h>
#include <vrift/fs.h>
#include <vrift/snapshot.h>
#include <vrift/store.h>
#include <vrift/task.h>
#include <vrift/vfs.h>

#include "cli/report.h"

/* Writes the store's directory; *is_default tells that nobody named it. -VRIFT_ENOENT if there is no place for one. */
static int32_t store_path(const struct vr_arguments *arguments, char *buf, size_t size, bool *is_default)
{
    const char *named = arguments->store, *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    int length;
    if (!named || !*named)
        named = getenv("VRIFT_STORE");
    *is_default = !named || !*named;
    if (!*is_default)
        length = snprintf(buf, size, "%s", named);
    else if (cache && cache[0] == '/') /* a relative one is to be ignored, says the XDG specification */
        length = snprintf(buf, size, "%s/vrift", cache);
    else if (home && home[0] == '/')
        length = snprintf(buf, size, "%s/.cache/vrift", home);
    else
        return -VRIFT_ENOENT;
    return length < 0 || (size_t)length >= size ? -VRIFT_ENAMETOOLONG : 0;
}

bool vr_locate_store_path(const struct vr_arguments *arguments, char *buf, size_t size)
{
    bool is_default;
    return store_path(arguments, buf, size, &is_default) == 0;
}

/* Makes the directories above the default store: people have no ~/.cache before the first program that needs it. */
static int make_parents(const struct vr_arguments *arguments, char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int result = mkdir(path, 0700);
        int number = errno;
        if (result < 0 && number != EEXIST) {
            vr_report_errno(arguments, path, number);
            *slash = '/';
            return VR_EXIT_FAILED;
        }
        *slash = '/';
    }
    return 0;
}

int vr_locate_store(const struct vr_arguments *arguments, bool create, vrift_store **out)
{
    char path[VRIFT_PATH_MAX];
    bool is_default;
    int32_t result = store_path(arguments, path, sizeof path, &is_default);
    if (result == -VRIFT_ENOENT)
        return vr_report_failure(arguments, NULL,
                                 "no place for the store: none of --store, VRIFT_STORE, "
                                 "XDG_CACHE_HOME and HOME is set");
    if (result < 0)
        return vr_report_error(arguments, "the store", result);
    if (create && is_default && make_parents(arguments, path))
        return VR_EXIT_FAILED;
    struct vrift_store_options options = {.size = sizeof options, .flags = create ? VRIFT_STORE_CREATE : 0};
    result = vrift_store_open(path, &options, out);
    struct stat there;
    if (result == -VRIFT_ENOENT && !create && stat(path, &there) < 0)
        return vr_report_failure(arguments, path, "there is no store yet; vrift import makes one");
    if (result < 0)
        return vr_report_error(arguments, path, result);
    return 0;
}

int vr_locate_digest(const struct vr_arguments *arguments, vrift_store *store, const char *text,
                     struct vrift_digest *out)
{
    int32_t result = vrift_snapshot_resolve(store, text, out);
    if (result == -VRIFT_ENOENT)
        return vr_report_failure(arguments, text, "no such snapshot");
    if (result == -VRIFT_EEXIST)
        return vr_report_failure(arguments, text, "ambiguous: more than one snapshot starts so");
    return result < 0 ? vr_report_error(arguments, text, result) : 0;
}

/* The rule of vrift_ref_set(), for when there may be no store to ask yet. */
int vr_locate_check_ref(const struct vr_arguments *arguments, const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/";
    if (!name)
        return 0;
    size_t length = strlen(name);
    bool good = length > 0 && length <= 200 && strspn(name, allowed) == length && name[length - 1] != '/';
    for (size_t i = 0; good && i < length; i++)
        if ((i == 0 || name[i - 1] == '/') && (name[i] == '.' || name[i] == '/'))
            good = false;
    return good ? 0 : vr_report_usage(arguments, name, "not a name for a ref");
}

int vr_locate_snapshot(const struct vr_arguments *arguments, vrift_store *store, const char *text, vrift_snapshot **out)
{
    struct vrift_digest id;
    int status = vr_locate_digest(arguments, store, text, &id);
    if (status)
        return status;
    int32_t result = vrift_snapshot_open(store, &id, out);
    return result < 0 ? vr_report_error(arguments, text, result) : 0;
}

int vr_locate_place(const struct vr_arguments *arguments, const char *text, struct vr_place *out)
{
    char name[512];
    const char *colon = strchr(text, ':');
    size_t length = colon ? (size_t)(colon - text) : strlen(text);
    memset(out, 0, sizeof *out);
    if (length == 0)
        return vr_report_usage(arguments, text, "names no snapshot");
    if (length >= sizeof name)
        return vr_report_failure(arguments, text, "no such snapshot");
    memcpy(name, text, length);
    name[length] = '\0';
    out->path = colon ? colon + 1 : "";

    int status = vr_locate_store(arguments, false, &out->store);
    if (status == 0)
        status = vr_locate_snapshot(arguments, out->store, name, &out->snapshot);
    if (status)
        vr_locate_close(out);
    return status;
}

void vr_locate_close(struct vr_place *place)
{
    vrift_snapshot_unref(place->snapshot);
    vrift_store_close(place->store);
    memset(place, 0, sizeof *place);
}

/* A task over a superblock; takes the superblock's and the instance's references. */
static int32_t make_task(vrift_vfs *vfs, vrift_sb *sb, vrift_task **out)
{
    vrift_ns *ns = NULL;
    int32_t result = vrift_ns_new(vfs, sb, VRIFT_MOUNT_RDONLY, &ns);
    if (result == 0)
        result = vrift_task_new(ns, NULL, NULL, out);
    vrift_ns_unref(ns);
    return result;
}

int vr_locate_task(const struct vr_arguments *arguments, vrift_snapshot *snapshot, vrift_task **out)
{
    vrift_vfs *vfs = NULL;
    vrift_sb *sb = NULL;
    int32_t result = vrift_vfs_new(NULL, &vfs);
    if (result == 0)
        result = vrift_cas_new(vfs, snapshot, &sb);
    if (result == 0)
        result = make_task(vfs, sb, out);
    vrift_sb_unref(sb);
    vrift_vfs_free(vfs);
    return result < 0 ? vr_report_error(arguments, "the snapshot", result) : 0;
}

/* Writes to buf the path without symlinks and dots that `path` means; the last part only if a '/' follows it. */
static int64_t real_path(vrift_task *task, const char *path, char *buf, size_t size)
{
    size_t length = strlen(path);
    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;
    if (length == 0 || *last == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
        return vrift_realpath(task, VRIFT_AT_FDCWD, length ? path : "/", buf, size);

    char parent[VRIFT_PATH_MAX] = "/";
    if ((size_t)(last - path) >= sizeof parent)
        return -VRIFT_ENAMETOOLONG;
    if (last > path) {
        memcpy(parent, path, (size_t)(last - path));
        parent[last - path] = '\0';
    }
    int64_t used = vrift_realpath(task, VRIFT_AT_FDCWD, parent, buf, size);
    if (used < 0)
        return used;
    int added = snprintf(buf + used - 1, size - (size_t)used + 1, "/%s", last);
    return (size_t)added > size - (size_t)used ? -VRIFT_ENAMETOOLONG : used + added;
}

int vr_locate_entry(const struct vr_arguments *arguments, const struct vr_place *place, uint64_t *out)
{
    size_t length = strlen(place->path);
    int64_t result = vrift_snapshot_walk(place->snapshot, place->path, out);
    bool plain = length == 0 || place->path[length - 1] != '/';
    if (result == 0 && plain)
        return 0;
    if (result == -VRIFT_ENOENT)
        return vr_report_error(arguments, place->path, result);

    /* A symlink or `..` is in the way, or a slash at the end asks for a directory: the VFS knows how. */
    vrift_task *task = NULL;
    char path[2 * VRIFT_PATH_MAX];
    int status = vr_locate_task(arguments, place->snapshot, &task);
    if (status)
        return status;
    result = real_path(task, place->path, path, sizeof path);
    vrift_task_free(task);
    if (result >= 0)
        result = vrift_snapshot_walk(place->snapshot, path, out);
    return result < 0 ? vr_report_error(arguments, place->path, result) : 0;
}
