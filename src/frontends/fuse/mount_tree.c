/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A tree that can be changed, as a file system: memory, a directory, a workspace, an overlay. */
#include "fuse/mount_serve.h"
#include "fuse/mountcalls.h"
#include "fuse/rw_server.h"

#include <vrift/backends.h>
#include <vrift/error.h>
#include <vrift/vfs.h>
#include <vrift/workspace.h>

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define THREADS     2
#define MOST_LAYERS 500
#define CACHE_BYTES (256ull << 20)

struct tree_service {
    const struct vr_mount_tree *tree;
    const struct vr_mount_options *options;
    const char *mountpoint; /* absolute */
    char *path;             /* of a directory, absolute */
    vrift_workspace *workspace;
    vrift_vfs *vfs;
    vrift_sb *sb;
    vrift_ns *ns;
    struct vr_rw_server server;
};

static int32_t complain(const char *what, int32_t result)
{
    struct vrift_error_detail detail;
    const char *why = "";
    if (vrift_error_detail(&detail) == 0 && detail.error == result && detail.reason[0])
        why = detail.reason;
    return vr_mount_complain("mount", what, why, -vrift_err_to_host_errno(result));
}

/* -- The superblocks ------------------------------------------------------------------------------------------------ */

static int32_t make_mem(struct tree_service *self)
{
    const struct vr_mount_tree *tree = self->tree;
    const struct vrift_mem_options options = {.size = sizeof(options),
                                              .root_mode = tree->mode,
                                              .root_uid = tree->uid,
                                              .root_gid = tree->gid,
                                              .max_bytes = tree->max_bytes,
                                              .max_inodes = tree->max_inodes};
    int32_t result = vrift_mem_new(self->vfs, &options, &self->sb);
    return result < 0 ? complain("mem:", result) : 0;
}

/*
 * A directory of the host, seen without what is mounted below it: were our own mount among that, we would wait for
 * ourselves.
 */
static int32_t make_host(struct tree_service *self, const char *path, uint64_t flags, vrift_sb **out)
{
    const struct vrift_host_options options = {.size = sizeof(options), .flags = flags};
    char view[64];
    int32_t result;
    int fd = vr_mountcalls_clone(path);
    (void)snprintf(view, sizeof(view), "/proc/self/fd/%d", fd);
    result = vrift_host_new(self->vfs, fd < 0 ? path : view, &options, out);
    if (fd >= 0)
        (void)close(fd);
    return result < 0 ? complain(path, result) : 0;
}

/* Whether the mount point lies below a directory. */
static int32_t is_below(const struct tree_service *self, const char *path)
{
    size_t length = strlen(path);
    return strncmp(self->mountpoint, path, length) == 0 && (length == 1 || self->mountpoint[length] == '/');
}

/* Who may not have such a view may not mount below what is shown. */
static int32_t check_apart(const struct tree_service *self, const char *path)
{
    int fd = vr_mountcalls_clone(path);
    if (fd >= 0)
        (void)close(fd);
    else if (is_below(self, path))
        return vr_mount_complain("mount", self->mountpoint, "lies in what is to be mounted, which needs root", fd);
    return 0;
}

static int32_t make_dir(struct tree_service *self)
{
    int32_t result = check_apart(self, self->path);
    return result < 0 ? result
                      : make_host(self, self->path,
                                  (self->tree->exclusive ? VRIFT_HOST_EXCLUSIVE : 0) |
                                      (self->options->flags & VR_MOUNT_RDONLY ? VRIFT_HOST_READ_ONLY : 0),
                                  &self->sb);
}

static int32_t is_in_storage(const struct tree_service *self, const struct vrift_workspace_info *info)
{
    const char *const places[] = {info->upper, info->work};
    int32_t inside = 0;
    for (size_t i = 0; i < 2; i++) {
        char *real = realpath(places[i], NULL);
        inside |= real && (is_below(self, real) || strcmp(self->mountpoint, real) == 0);
        free(real);
    }
    return inside;
}

static int32_t make_workspace(struct tree_service *self)
{
    struct vrift_workspace_info info;
    int32_t result = vrift_workspace_open(self->tree->store, self->tree->path, &self->workspace);
    if (result == 0)
        result = vrift_workspace_lock(self->workspace);
    if (result == -VRIFT_EBUSY)
        return vr_mount_complain("mount", self->tree->path, "another command uses this workspace", -EBUSY);
    if (result == 0)
        result = vrift_workspace_info(self->workspace, &info);
    if (result == 0 && is_in_storage(self, &info))
        return vr_mount_complain("mount", self->mountpoint, "lies inside the workspace's own storage", -EINVAL);
    if (result == 0)
        result = vrift_workspace_sb(self->workspace, self->vfs, &self->sb);
    return result < 0 ? complain(self->tree->path, result) : 0;
}

/* -- Overlays ------------------------------------------------------------------------------------------------------- */

/* How much of two absolute paths is the same directory above both. */
static size_t common_parent(const char *a, const char *b)
{
    size_t i = 0, last = 0;
    for (; a[i] && a[i] == b[i]; i++)
        if (a[i] == '/')
            last = i;
    return last;
}

/* Upper and work must be of one superblock: that of the directory above both. */
static int32_t make_upper(struct tree_service *self, struct vrift_overlay_options *options,
                          struct vrift_overlay_layer *upper)
{
    size_t length = common_parent(self->tree->upper, self->tree->work);
    char *above = length ? strndup(self->tree->upper, length) : strdup("/");
    int32_t result = check_apart(self, self->tree->upper);
    if (result == 0)
        result = above ? make_host(self, above, self->tree->exclusive ? VRIFT_HOST_EXCLUSIVE : 0, &upper->sb)
                       : complain("overlay:", -VRIFT_ENOMEM);
    free(above);
    upper->path = self->tree->upper + length;
    options->work = self->tree->work + length;
    options->upper = upper;
    return result;
}

/* The next of the directories of lowerdir=, with its colons unescaped; moves *list behind it. To be freed. */
static char *next_layer(const char **list)
{
    char *path = malloc(strlen(*list) + 1);
    size_t length = 0;
    const char *at = *list;
    for (; path && *at && *at != ':'; at++) {
        if (at[0] == '\\' && at[1])
            at++;
        path[length++] = *at;
    }
    if (path)
        path[length] = '\0';
    *list = at + (*at == ':');
    return path;
}

static int32_t make_lower(struct tree_service *self, struct vrift_overlay_layer *lower, uint32_t *count)
{
    const char *list = self->tree->lower;
    int32_t result = 0;
    while (result == 0 && *list) {
        char *path = next_layer(&list);
        if (!path || *count == MOST_LAYERS)
            result = complain(path ? path : "overlay:", path ? -VRIFT_EINVAL : -VRIFT_ENOMEM);
        else if ((result = check_apart(self, path)) == 0)
            result = make_host(self, path, VRIFT_HOST_READ_ONLY | VRIFT_HOST_EXCLUSIVE, &lower[*count].sb);
        if (result == 0)
            (*count)++;
        free(path);
    }
    return result;
}

static int32_t make_overlay(struct tree_service *self)
{
    struct vrift_overlay_layer *lower = calloc(MOST_LAYERS, sizeof(*lower)), upper = {0};
    struct vrift_overlay_options options = {
        .size = sizeof(options), .lower = lower, .flags = self->tree->user_xattrs ? VRIFT_OVERLAY_USERXATTR : 0};
    int32_t result = lower ? make_lower(self, lower, &options.lower_count) : complain("overlay:", -VRIFT_ENOMEM);
    if (result == 0 && self->tree->upper)
        result = make_upper(self, &options, &upper);
    if (result == 0) {
        result = vrift_overlay_new(self->vfs, &options, &self->sb);
        if (result < 0)
            result = complain("overlay:", result);
    }
    for (uint32_t i = 0; i < options.lower_count; i++)
        vrift_sb_unref(lower[i].sb);
    vrift_sb_unref(upper.sb);
    free(lower);
    return result;
}

/* -- Serving -------------------------------------------------------------------------------------------------------- */

static void end(void *payload)
{
    struct tree_service *self = payload;
    vr_rw_server_dispose(&self->server);
    vrift_ns_unref(self->ns);
    vrift_sb_unref(self->sb);
    vrift_vfs_free(self->vfs);
    vrift_workspace_close(self->workspace);
}

static int32_t start(void *payload, struct vr_fuse_session *session, struct vr_fuse_session_config *out)
{
    static int32_t (*const makers[])(struct tree_service *) = {[VR_MOUNT_MEM] = make_mem,
                                                               [VR_MOUNT_DIR] = make_dir,
                                                               [VR_MOUNT_WORKSPACE] = make_workspace,
                                                               [VR_MOUNT_OVERLAY] = make_overlay};
    struct tree_service *self = payload;
    const struct vrift_vfs_options vfs_options = {
        .size = sizeof(vfs_options), .cache_bytes = CACHE_BYTES, .max_files = 1u << 30};
    int32_t result = vrift_vfs_new(&vfs_options, &self->vfs);
    (void)umask(0); /* each caller has one of his own */
    if (result < 0)
        return complain("mem:", result);
    result = makers[self->tree->kind](self);
    if (result == 0) {
        /* Whether it is read-only is the kernel's business, so that it can be remounted. */
        result = vrift_ns_new(self->vfs, self->sb, 0, &self->ns);
        if (result == 0)
            result = vr_rw_server_init(&self->server, self->vfs, self->ns, self->sb, session);
        if (result < 0)
            result = complain("the root", result);
    }
    if (result < 0) {
        vrift_ns_unref(self->ns);
        vrift_sb_unref(self->sb);
        vrift_vfs_free(self->vfs);
        vrift_workspace_close(self->workspace);
        return result;
    }
    self->server.default_permissions = (self->options->flags & VR_MOUNT_DEFAULT_PERMISSIONS) != 0;
    *out = vr_rw_server_config(&self->server, THREADS);
    return 0;
}

/* The other way round; `list` has the room. */
static void append_layer(char *list, const char *path)
{
    char *at = list + strlen(list);
    if (at != list)
        *at++ = ':';
    for (; *path; path++) {
        if (*path == ':' || *path == '\\')
            *at++ = '\\';
        *at++ = *path;
    }
    *at = '\0';
}

/* The path without symlinks of each of the directories of lowerdir=. */
static int32_t resolve_lower(char **list)
{
    const char *rest = *list;
    size_t room = 1;
    char *all = calloc(1, 1);
    while (all && *rest) {
        char *path = next_layer(&rest), *real = path ? realpath(path, NULL) : NULL, *more;
        if (path && !real) {
            int32_t result = vr_mount_complain("mount", path, "", -errno);
            free(path);
            free(all);
            return result;
        }
        room += real ? 2 * strlen(real) + 1 : 0;
        more = real ? realloc(all, room) : NULL;
        if (more)
            append_layer(more, real);
        else
            free(all);
        all = more;
        free(path);
        free(real);
    }
    if (!all)
        return complain("overlay:", -VRIFT_ENOMEM);
    free(*list);
    *list = all;
    return 0;
}

/* The server's current directory is another, so paths are made absolute before. *path may be NULL. */
static int32_t resolve(char **path)
{
    char *real = *path ? realpath(*path, NULL) : NULL;
    if (!*path)
        return 0;
    if (!real)
        return vr_mount_complain("mount", *path, "", -errno);
    free(*path);
    *path = real;
    return 0;
}

static int32_t resolve_all(struct tree_service *self, struct vr_mount_tree *tree)
{
    int32_t result = 0;
    if (tree->kind == VR_MOUNT_DIR) {
        self->path = strdup(tree->path);
        result = self->path ? resolve(&self->path) : complain("dir:", -VRIFT_ENOMEM);
    }
    if (tree->kind == VR_MOUNT_OVERLAY) {
        result = resolve_lower(&tree->lower);
        if (result == 0)
            result = resolve(&tree->upper);
        if (result == 0)
            result = resolve(&tree->work);
    }
    return result;
}

int32_t vr_mount_tree(struct vr_mount_tree *tree, const char *mountpoint, const struct vr_mount_options *options)
{
    struct tree_service self = {.tree = tree, .options = options};
    const struct vr_mount_service service = {.start = start, .end = end, .payload = &self};
    char *real = realpath(mountpoint, NULL);
    int32_t result = real ? resolve_all(&self, tree) : vr_mount_complain("mount", mountpoint, "", -errno);
    self.mountpoint = real;
    if (result == 0)
        result = vr_mount_serve(&service, mountpoint, options);
    free(self.path);
    free(real);
    return result;
}
