/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The life of a workspace: made, opened, locked, emptied, removed. */
#include "workspace/workspace.h"

#include "platform/durable.h"
#include "platform/fileops.h"
#include "store/temp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

static bool name_valid(const char *name)
{
    size_t length = name ? strlen(name) : 0;
    if (length == 0 || length > VR_WORKSPACE_NAME_MAX || name[0] == '.') {
        return false;
    }
    return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length;
}

static int open_all(vrift_store *store)
{
    return openat(store->root, "workspaces", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* -- A handle ----------------------------------------------------------------------------------------------------- */

/* The path of an entry of the workspace's directory; kept until the handle is closed. */
static char *keep_path(vrift_workspace *workspace, const char *entry)
{
    const char *store = vrift_store_path(workspace->store);
    size_t size = strlen(store) + strlen(workspace->name) + strlen(entry) + sizeof("/workspaces//");
    struct vr_workspace_text *text = vr_alloc(NULL, sizeof(*text));
    char *path = vr_alloc(NULL, size);
    if (!text || !path) {
        vr_alloc_free(NULL, text);
        vr_alloc_free(NULL, path);
        return NULL;
    }
    snprintf(path, size, "%s/workspaces/%s/%s", store, workspace->name, entry);
    text->text = path;
    text->next = workspace->texts;
    workspace->texts = text;
    return path;
}

static int32_t set_base(vrift_workspace *workspace, const struct vr_workspace_base *base)
{
    char name[VR_WORKSPACE_DIR_NAME];
    if (workspace->upper && workspace->base.number == base->number) {
        workspace->base = *base;
        return 0;
    }
    vr_workspace_base_upper(base->number, name);
    char *upper = keep_path(workspace, name);
    vr_workspace_base_work(base->number, name);
    char *work = keep_path(workspace, name);
    if (!upper || !work) {
        return -VRIFT_ENOMEM;
    }
    workspace->base = *base;
    workspace->upper = upper;
    workspace->work = work;
    return 0;
}

int32_t vr_workspace_reload(vrift_workspace *workspace)
{
    struct vr_workspace_base base;
    int32_t result = vr_workspace_base_read(workspace->dir, &base);
    return result ? result : set_base(workspace, &base);
}

static void dispose(vrift_workspace *workspace)
{
    if (workspace->dir >= 0) {
        close(workspace->dir);
    }
    if (workspace->lock >= 0) {
        close(workspace->lock);
    }
    for (struct vr_workspace_text *text = workspace->texts, *next; text; text = next) {
        next = text->next;
        vr_alloc_free(NULL, text->text);
        vr_alloc_free(NULL, text);
    }
    vrift_store_close(workspace->store);
    vr_os_mutex_destroy(&workspace->mutex);
    vr_alloc_free(NULL, workspace->name);
    vr_alloc_free(NULL, workspace);
}

static vrift_workspace *allocate(vrift_store *store, const char *name)
{
    vrift_workspace *workspace = vr_alloc_zero(NULL, 1, sizeof(*workspace));
    if (!workspace) {
        return NULL;
    }
    workspace->name = vr_alloc_string(NULL, name, strlen(name));
    if (!workspace->name || vr_os_mutex_init(&workspace->mutex) < 0) {
        vr_alloc_free(NULL, workspace->name);
        vr_alloc_free(NULL, workspace);
        return NULL;
    }
    workspace->store = vr_store_ref(store);
    workspace->dir = workspace->lock = -1;
    return workspace;
}

struct strays {
    vrift_workspace *workspace;
    char upper[VR_WORKSPACE_DIR_NAME], work[VR_WORKSPACE_DIR_NAME];
};

static bool is_stray(const struct strays *strays, const char *name)
{
    bool pair = strncmp(name, "upper-", 6) == 0 || strncmp(name, "work-", 5) == 0;
    return pair && strcmp(name, strays->upper) != 0 && strcmp(name, strays->work) != 0;
}

static int32_t find_stray(const struct vr_fileops_dirent *entry, void *payload)
{
    return is_stray(payload, entry->name) ? 1 : 0;
}

static int32_t remove_stray(const struct vr_fileops_dirent *entry, void *payload)
{
    struct strays *strays = payload;
    if (is_stray(strays, entry->name)) {
        vr_fileops_remove_tree(strays->workspace->dir, entry->name);
    }
    return 0;
}

static struct strays strays_of(vrift_workspace *workspace)
{
    struct strays strays = {.workspace = workspace};
    vr_workspace_base_upper(workspace->base.number, strays.upper);
    vr_workspace_base_work(workspace->base.number, strays.work);
    return strays;
}

static bool has_strays(vrift_workspace *workspace)
{
    struct strays strays = strays_of(workspace);
    return vr_fileops_readdir(workspace->dir, 0, find_stray, &strays) == 1;
}

void vr_workspace_sweep(vrift_workspace *workspace)
{
    struct strays strays = strays_of(workspace);
    vr_fileops_readdir(workspace->dir, 0, remove_stray, &strays);
}

static int32_t open_dir(vrift_store *store, const char *name)
{
    int all = open_all(store);
    if (all < 0) {
        return errno == ENOENT ? -VRIFT_ENOENT : host_error();
    }
    int dir = openat(all, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int32_t result = dir < 0 ? host_error() : dir;
    close(all);
    return result == -VRIFT_ENOTDIR || result == -VRIFT_ELOOP ? -VRIFT_EUCLEAN : result;
}

static int32_t open_workspace(vrift_store *store, const char *name, vrift_workspace **out,
                              struct vrift_error_detail *detail)
{
    struct vr_workspace_hold hold;
    vrift_workspace *workspace = allocate(store, name);
    if (!workspace) {
        return vr_error_fill(detail, -VRIFT_ENOMEM, "open workspace", name, NULL);
    }
    int32_t result = workspace->dir = open_dir(store, name);
    if (result >= 0) {
        result = vr_workspace_reload(workspace);
        result = result == -VRIFT_ENOENT ? -VRIFT_EUCLEAN : result;
    }
    if (result < 0) {
        dispose(workspace);
        return vr_error_fill(detail, result, "open workspace", name,
                             result == -VRIFT_ENOENT       ? "there is no such workspace"
                             : result == -VRIFT_EUCLEAN    ? "its base file is damaged"
                             : result == -VRIFT_EOPNOTSUPP ? "it is of a newer version"
                                                           : NULL);
    }
    /* Who only looks on must not be in the way of who wants the lock. */
    if (has_strays(workspace) && vr_workspace_hold(workspace, &hold) == 0) {
        vr_workspace_sweep(workspace);
        vr_workspace_release(&hold);
    }
    *out = workspace;
    return 0;
}

int32_t vrift_workspace_open(vrift_store *store, const char *name, vrift_workspace **out)
{
    struct vrift_error_detail detail = {0};
    if (!store || !out) {
        return -VRIFT_EINVAL;
    }
    if (!name_valid(name)) {
        return -VRIFT_ENOENT;
    }
    open_workspace(store, name, out, &detail);
    return vr_error_publish(&detail);
}

void vrift_workspace_close(vrift_workspace *workspace)
{
    if (workspace) {
        dispose(workspace);
    }
}

int32_t vrift_workspace_info(vrift_workspace *workspace, struct vrift_workspace_info *out)
{
    if (!workspace || !out) {
        return -VRIFT_EINVAL;
    }
    vr_os_mutex_lock(&workspace->mutex);
    int32_t result = vr_workspace_reload(workspace);
    struct vrift_workspace_info info = {
        .name = workspace->name,
        .upper = workspace->upper,
        .work = workspace->work,
        .flags = workspace->base.user ? VRIFT_WORKSPACE_USERXATTR : 0,
    };
    if (!workspace->base.empty) {
        vr_digest_export(&workspace->base.id, &info.base);
    }
    vr_os_mutex_unlock(&workspace->mutex);
    if (result == 0) {
        *out = info;
    }
    return result;
}

/* -- Locks -------------------------------------------------------------------------------------------------------- */

static int32_t take_lock(vrift_workspace *workspace)
{
    int fd = openat(workspace->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return host_error();
    }
    int32_t result = vr_durable_lock(fd);
    if (result < 0) {
        close(fd);
        return result == -VRIFT_EAGAIN ? -VRIFT_EBUSY : result;
    }
    return fd;
}

int32_t vr_workspace_hold(vrift_workspace *workspace, struct vr_workspace_hold *hold)
{
    hold->fd = -1;
    if (workspace->lock >= 0) {
        return 0;
    }
    int32_t fd = take_lock(workspace);
    if (fd < 0) {
        return fd;
    }
    hold->fd = fd;
    /* Who had the lock before may have replaced the base. */
    int32_t result = vr_workspace_reload(workspace);
    if (result < 0) {
        vr_workspace_release(hold);
    }
    return result;
}

void vr_workspace_release(struct vr_workspace_hold *hold)
{
    if (hold->fd >= 0) {
        close(hold->fd);
        hold->fd = -1;
    }
}

int32_t vrift_workspace_lock(vrift_workspace *workspace)
{
    if (!workspace) {
        return -VRIFT_EINVAL;
    }
    vr_os_mutex_lock(&workspace->mutex);
    int32_t result = workspace->lock >= 0 ? -VRIFT_EBUSY : take_lock(workspace);
    if (result >= 0) {
        workspace->lock = result;
        result = vr_workspace_reload(workspace);
    }
    vr_os_mutex_unlock(&workspace->mutex);
    return result;
}

/* -- The pair of directories -------------------------------------------------------------------------------------- */

int32_t vr_workspace_replace(vrift_workspace *workspace, const struct vr_workspace_base *base)
{
    int32_t result = vr_workspace_base_write(workspace->store, workspace->dir, base);
    if (result == 0) {
        result = set_base(workspace, base);
    }
    if (result == 0) {
        vr_workspace_sweep(workspace);
    }
    return result;
}

int32_t vr_workspace_open_upper(vrift_workspace *workspace)
{
    char name[VR_WORKSPACE_DIR_NAME];
    vr_workspace_base_upper(workspace->base.number, name);
    int fd = openat(workspace->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? (errno == ENOENT ? -VRIFT_EUCLEAN : host_error()) : fd;
}

static int32_t discard(vrift_workspace *workspace)
{
    struct vr_workspace_hold hold;
    int32_t result = vr_workspace_hold(workspace, &hold);
    if (result < 0) {
        return result;
    }
    struct vr_workspace_base base = workspace->base;
    base.number++;
    result = vr_workspace_base_make_pair(workspace->store, workspace->dir, &base, -1);
    if (result == 0) {
        result = vr_workspace_replace(workspace, &base);
    }
    vr_workspace_release(&hold);
    return result;
}

int32_t vrift_workspace_discard(vrift_workspace *workspace)
{
    if (!workspace) {
        return -VRIFT_EINVAL;
    }
    vr_os_mutex_lock(&workspace->mutex);
    int32_t result = discard(workspace);
    vr_os_mutex_unlock(&workspace->mutex);
    return result;
}

/* -- Creation and removal ----------------------------------------------------------------------------------------- */

/* Makes the whole workspace in a temporary directory of the store. */
static int32_t furnish(vrift_store *store, int dir, struct vr_workspace_base *base, struct vrift_error_detail *detail)
{
    int32_t result = vr_workspace_base_probe(dir, &base->user);
    if (result < 0) {
        return vr_error_fill(detail, result, "create workspace", vrift_store_path(store),
                             result == -VRIFT_EOPNOTSUPP
                                 ? "the file system of the store has no extended attributes or no whiteouts"
                                 : NULL);
    }
    result = vr_workspace_base_make_pair(store, dir, base, -1);
    if (result == 0) {
        result = vr_workspace_base_write(store, dir, base);
    }
    return result < 0 ? vr_error_fill(detail, result, "create workspace", vrift_store_path(store), NULL) : 0;
}

static int32_t build(vrift_store *store, int all, const char *name, struct vr_workspace_base *base,
                     struct vrift_error_detail *detail)
{
    struct vr_temp temp;
    int32_t result = vr_temp_begin(store->tmp, &temp);
    if (result < 0) {
        return vr_error_fill(detail, result, "create workspace", name, NULL);
    }
    int dir = mkdirat(temp.fd, "new", 0700) == 0 ? openat(temp.fd, "new", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    result = dir < 0 ? vr_error_fill(detail, host_error(), "create workspace", name, NULL)
                     : furnish(store, dir, base, detail);
    /* A workspace that exists is never empty, so that a rename cannot replace it. */
    if (result == 0 && renameat(temp.fd, "new", all, name) < 0) {
        bool exists = errno == ENOTEMPTY || errno == EEXIST;
        result = vr_error_fill(detail, exists ? -VRIFT_EEXIST : host_error(), "create workspace", name,
                               exists ? "there is one of this name" : NULL);
    }
    if (dir >= 0) {
        close(dir);
    }
    vr_temp_end(&temp);
    return result;
}

static int32_t create(vrift_store *store, const char *name, const struct vrift_digest *id,
                      struct vrift_error_detail *detail)
{
    struct vr_workspace_base base = {.empty = !id};
    struct vrift_stat stat;
    if (id) {
        vrift_snapshot *snapshot;
        int32_t result = vr_digest_import(id, &base.id);
        result = result ? result : vrift_snapshot_open(store, id, &snapshot);
        if (result < 0) {
            return vr_error_fill(detail, result, "create workspace", name, "its snapshot cannot be opened");
        }
        vrift_snapshot_unref(snapshot);
    }
    if (mkdirat(store->root, "workspaces", 0755) < 0 && errno != EEXIST) {
        return vr_error_fill(detail, host_error(), "create workspace", name, NULL);
    }
    int all = open_all(store);
    if (all < 0) {
        return vr_error_fill(detail, host_error(), "create workspace", name, NULL);
    }
    int32_t result = vr_fileops_stat(all, name, &stat);
    if (result == 0) {
        result = vr_error_fill(detail, -VRIFT_EEXIST, "create workspace", name, "there is one of this name");
    } else if (result == -VRIFT_ENOENT) {
        result = build(store, all, name, &base, detail);
    } else {
        result = vr_error_fill(detail, result, "create workspace", name, NULL);
    }
    close(all);
    return result;
}

int32_t vrift_workspace_create(vrift_store *store, const char *name, const struct vrift_digest *base, uint64_t flags,
                               vrift_workspace **out)
{
    struct vrift_error_detail detail = {0};
    if (!store || flags || !name_valid(name)) {
        return -VRIFT_EINVAL;
    }
    if (create(store, name, base, &detail) == 0 && out) {
        open_workspace(store, name, out, &detail);
    }
    return vr_error_publish(&detail);
}

static int32_t remove_workspace(vrift_store *store, vrift_workspace *workspace)
{
    struct vr_temp temp;
    int32_t lock = take_lock(workspace);
    if (lock < 0) {
        return lock;
    }
    int32_t result = vr_temp_begin(store->tmp, &temp);
    if (result == 0) {
        int all = open_all(store);
        result = all >= 0 && renameat(all, workspace->name, temp.fd, "old") == 0 ? 0 : host_error();
        if (all >= 0) {
            close(all);
        }
        vr_temp_end(&temp);
    }
    close(lock);
    return result;
}

/* A damaged one can be removed too: only its lock is looked at. */
int32_t vrift_workspace_remove(vrift_store *store, const char *name)
{
    if (!store || !name) {
        return -VRIFT_EINVAL;
    }
    if (!name_valid(name)) {
        return -VRIFT_ENOENT;
    }
    vrift_workspace *workspace = allocate(store, name);
    if (!workspace) {
        return -VRIFT_ENOMEM;
    }
    int32_t result = workspace->dir = open_dir(store, name);
    if (result >= 0) {
        result = remove_workspace(store, workspace);
    }
    dispose(workspace);
    return result;
}

/* -- The list ----------------------------------------------------------------------------------------------------- */

struct names {
    char **items;
    size_t count, capacity;
};

static int32_t collect(const struct vr_fileops_dirent *entry, void *payload)
{
    struct names *names = payload;
    if (!name_valid(entry->name)) {
        return 0;
    }
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 16;
        char **items = vr_alloc_resize(NULL, names->items, capacity * sizeof(*items));
        if (!items) {
            return -VRIFT_ENOMEM;
        }
        names->items = items;
        names->capacity = capacity;
    }
    names->items[names->count] = vr_alloc_string(NULL, entry->name, entry->length);
    return names->items[names->count++] ? 0 : -VRIFT_ENOMEM;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int32_t vrift_workspace_list(vrift_store *store, vrift_workspace_fn fn, void *payload)
{
    struct names names = {0};
    if (!store || !fn) {
        return -VRIFT_EINVAL;
    }
    int all = open_all(store);
    if (all < 0) {
        return errno == ENOENT ? 0 : host_error();
    }
    int32_t result = vr_fileops_readdir(all, 0, collect, &names);
    close(all);
    if (names.count) {
        qsort(names.items, names.count, sizeof(*names.items), compare_names);
    }
    for (size_t i = 0; result == 0 && i < names.count; i++) {
        result = fn(names.items[i], payload);
    }
    for (size_t i = 0; i < names.count; i++) {
        vr_alloc_free(NULL, names.items[i]);
    }
    vr_alloc_free(NULL, names.items);
    return result;
}
