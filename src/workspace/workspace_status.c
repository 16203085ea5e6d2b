/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What a workspace changed: the upper walked beside the base. Costs what the upper holds, and what it hides. */
#include "workspace/workspace.h"

#include "platform/fileops.h"
#include "store/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NO_ENTRY UINT64_MAX
#define COMPARED                                                                                                       \
    (VRIFT_STAT_TYPE | VRIFT_STAT_MODE | VRIFT_STAT_UID | VRIFT_STAT_GID | VRIFT_STAT_MTIME | VRIFT_STAT_SIZE)

struct status {
    struct vr_workspace_base pair;
    vrift_snapshot *base; /* NULL: an empty tree */
    struct vr_workspace_comparison comparison;
    struct vr_str path;
    vrift_change_fn fn;
    void *payload;
};

/* A name on either side of a directory. */
struct name {
    char *bytes;
    uint32_t length;
    bool in_upper;
    uint64_t base; /* entry of the base, NO_ENTRY */
};

struct names {
    struct name *items;
    size_t count, capacity;
    vrift_snapshot *base; /* to look names up in `dir`, or NULL */
    uint64_t dir;
};

static int32_t add_name(struct names *names, const char *bytes, uint32_t length, bool in_upper, uint64_t base)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 32;
        struct name *items = vr_alloc_resize(NULL, names->items, capacity * sizeof(*items));
        if (!items) {
            return -VRIFT_ENOMEM;
        }
        names->items = items;
        names->capacity = capacity;
    }
    struct name *name = &names->items[names->count];
    *name = (struct name){vr_alloc_string(NULL, bytes, length), length, in_upper, base};
    return name->bytes ? (names->count++, 0) : -VRIFT_ENOMEM;
}

static void dispose_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++) {
        vr_alloc_free(NULL, names->items[i].bytes);
    }
    vr_alloc_free(NULL, names->items);
}

static int compare_names(const void *a, const void *b)
{
    const struct name *x = a, *y = b;
    return vr_tree_compare(x->bytes, x->length, y->bytes, y->length);
}

static int32_t take_upper(const struct vr_fileops_dirent *entry, void *payload)
{
    struct names *names = payload;
    uint64_t base = NO_ENTRY;
    if (names->base) {
        int32_t result = vrift_snapshot_lookup(names->base, names->dir, entry->name, entry->length, &base);
        if (result == -VRIFT_ENOENT) {
            base = NO_ENTRY;
        } else if (result < 0) {
            return result;
        }
    }
    return add_name(names, entry->name, entry->length, true, base);
}

static int32_t take_base(const struct vrift_snapshot_entry *entry, void *payload)
{
    struct names *names = payload;
    struct name key = {.bytes = vr_alloc_string(NULL, entry->name, entry->name_length), .length = entry->name_length};
    if (!key.bytes) {
        return -VRIFT_ENOMEM;
    }
    /* Only the upper's names, which were sorted before, can be equal. */
    bool known = names->dir && bsearch(&key, names->items, (size_t)names->dir, sizeof(key), compare_names);
    vr_alloc_free(NULL, key.bytes);
    return known ? 0 : add_name(names, entry->name, entry->name_length, false, entry->entry);
}

/* -- Reporting ---------------------------------------------------------------------------------------------------- */

static int32_t report(struct status *status, uint32_t kind, const struct vrift_stat *before,
                      const struct vrift_stat *after)
{
    struct vrift_change change = {.kind = kind, .path = status->path.length ? status->path.data : "."};
    if (before) {
        change.before = *before;
    }
    if (after) {
        change.after = *after;
    }
    return status->fn(&change, status->payload);
}

static size_t enter(struct status *status, const char *name, size_t length)
{
    size_t before = status->path.length;
    if (before) {
        vr_str_append(&status->path, "/", 1);
    }
    vr_str_append(&status->path, name, length);
    return before;
}

/* Only what a snapshot keeps: the rest is an accident of the host. */
static void reduce(struct vrift_stat *stat)
{
    struct vrift_stat kept = {
        .mask = COMPARED,
        .mode = stat->mode,
        .uid = stat->uid,
        .gid = stat->gid,
        .mtime = stat->mtime,
        .size = stat->size,
        .rdev = stat->rdev,
    };
    *stat = kept;
}

static int32_t removed(struct status *status, uint64_t entry);

static int32_t removed_child(const struct vrift_snapshot_entry *child, void *payload)
{
    struct status *status = payload;
    size_t before = enter(status, child->name, child->name_length);
    int32_t result = removed(status, child->entry);
    vr_str_truncate(&status->path, before);
    return result;
}

static int32_t removed(struct status *status, uint64_t entry)
{
    struct vrift_stat stat;
    int32_t result = vrift_snapshot_stat(status->base, entry, &stat);
    if (result == 0) {
        result = report(status, VRIFT_CHANGE_REMOVED, &stat, NULL);
    }
    if (result == 0 && (stat.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR) {
        result = vrift_snapshot_readdir(status->base, entry, 0, removed_child, status);
    }
    return result;
}

/* -- Comparing ---------------------------------------------------------------------------------------------------- */

/* Both sides have the entry with one type. */
static int32_t compare(struct status *status, int dir, const char *name, uint64_t base, const struct vrift_stat *before,
                       struct vrift_stat *after)
{
    int32_t content = vr_workspace_compare_content(&status->comparison, dir, name, base, before, after);
    int32_t attributes =
        content < 0 ? content : vr_workspace_compare_attributes(&status->comparison, dir, name, base, before, after);
    if (attributes < 0) {
        return attributes;
    }
    reduce(after);
    return !content      ? report(status, VRIFT_CHANGE_CONTENT, before, after)
           : !attributes ? report(status, VRIFT_CHANGE_ATTR, before, after)
                         : 0;
}

/* -- The walk ----------------------------------------------------------------------------------------------------- */

static int32_t walk(struct status *status, int dir, uint64_t base, bool hides);

/* 1: opaque, 0: not, or an error. */
static int32_t is_opaque(struct status *status, int fd)
{
    char key[64], value = 0;
    int64_t got = vr_fileops_xattr_get(fd, "", vr_workspace_base_mark(&status->pair, "opaque", key), &value, 1);
    return got == -VRIFT_ENODATA || got == -VRIFT_EOPNOTSUPP ? 0 : got < 0 ? (int32_t)got : value == 'y';
}

static int32_t walk_child(struct status *status, int dir, const char *name, uint64_t base, bool hides)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return vrift_err_from_host_errno(errno);
    }
    int32_t opaque = hides ? 1 : is_opaque(status, fd);
    int32_t result = opaque < 0 ? opaque : walk(status, fd, base, opaque > 0);
    close(fd);
    return result;
}

/* What the upper has takes the place of another type, or of nothing. */
static int32_t appeared(struct status *status, int dir, const char *name, uint64_t base,
                        const struct vrift_stat *before, struct vrift_stat *after)
{
    bool directory = (after->mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR;
    reduce(after);
    int32_t result = report(status, before ? VRIFT_CHANGE_TYPE : VRIFT_CHANGE_ADDED, before, after);
    if (result == 0 && before && (before->mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR) {
        result = vrift_snapshot_readdir(status->base, base, 0, removed_child, status);
    }
    return result == 0 && directory ? walk_child(status, dir, name, NO_ENTRY, true) : result;
}

static int32_t visit_upper(struct status *status, int dir, const struct name *name, bool hides)
{
    struct vrift_stat before, after;
    int32_t result = vr_fileops_stat(dir, name->bytes, &after);
    if (result < 0) {
        return result;
    }
    if ((after.mode & VRIFT_S_IFMT) == VRIFT_S_IFCHR && after.rdev == 0) {
        return name->base == NO_ENTRY ? 0 : removed(status, name->base);
    }
    if (name->base == NO_ENTRY) {
        return appeared(status, dir, name->bytes, NO_ENTRY, NULL, &after);
    }
    result = vrift_snapshot_stat(status->base, name->base, &before);
    if (result < 0) {
        return result;
    }
    if ((before.mode ^ after.mode) & VRIFT_S_IFMT) {
        return appeared(status, dir, name->bytes, name->base, &before, &after);
    }
    bool directory = (after.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR;
    result = compare(status, dir, name->bytes, name->base, &before, &after);
    return result == 0 && directory ? walk_child(status, dir, name->bytes, name->base, hides) : result;
}

/* base is the directory that was here, NO_ENTRY if none; hides says that the upper shows nothing of it. */
static int32_t walk(struct status *status, int dir, uint64_t base, bool hides)
{
    struct names names = {.base = base == NO_ENTRY ? NULL : status->base, .dir = base};
    int32_t result = vr_fileops_readdir(dir, 0, take_upper, &names);
    if (names.count) {
        qsort(names.items, names.count, sizeof(*names.items), compare_names);
    }
    if (result == 0 && hides && base != NO_ENTRY) {
        names.dir = names.count;
        result = vrift_snapshot_readdir(status->base, base, 0, take_base, &names);
        if (names.count) {
            qsort(names.items, names.count, sizeof(*names.items), compare_names);
        }
    }
    for (size_t i = 0; result == 0 && i < names.count; i++) {
        size_t before = enter(status, names.items[i].bytes, names.items[i].length);
        result = status->path.failed       ? -VRIFT_ENOMEM
                 : names.items[i].in_upper ? visit_upper(status, dir, &names.items[i], hides)
                                           : removed(status, names.items[i].base);
        vr_str_truncate(&status->path, before);
    }
    dispose_names(&names);
    return result;
}

static int32_t compare_root(struct status *status, int dir)
{
    struct vrift_stat before, after;
    if (!status->base) {
        return 0; /* an empty tree has no root whose attributes could have changed */
    }
    int32_t result = vrift_snapshot_stat(status->base, 0, &before);
    if (result == 0) {
        result = vr_fileops_stat(dir, "", &after);
    }
    return result ? result : compare(status, dir, "", 0, &before, &after);
}

/* Opens both sides; the upper's descriptor, or an error. */
static int32_t open_sides(struct status *status, vrift_workspace *workspace)
{
    struct vrift_snapshot_info info;
    struct vrift_digest id;
    int32_t result = vr_workspace_reload(workspace);
    status->pair = workspace->base;
    if (result == 0 && !workspace->base.empty) {
        vr_digest_export(&workspace->base.id, &id);
        result = vrift_snapshot_open(workspace->store, &id, &status->base);
        if (result == 0) {
            status->comparison.base = status->base;
            result = vrift_snapshot_info(status->base, &info);
            status->comparison.timeless = result == 0 && info.flags & VRIFT_SNAPSHOT_TIMELESS;
        }
    }
    return result < 0 ? result : vr_workspace_open_upper(workspace);
}

int32_t vrift_workspace_status(vrift_workspace *workspace, uint64_t flags, vrift_change_fn fn, void *payload)
{
    struct status status = {.fn = fn, .payload = payload};
    if (!workspace || !fn || flags) {
        return -VRIFT_EINVAL;
    }
    vr_os_mutex_lock(&workspace->mutex);
    int32_t dir = open_sides(&status, workspace), result = dir;
    vr_os_mutex_unlock(&workspace->mutex); /* fn may use the workspace */
    if (dir >= 0) {
        result = compare_root(&status, dir);
        if (result == 0) {
            result = walk(&status, dir, status.base ? 0 : NO_ENTRY, false);
        }
        close(dir);
    }
    vrift_snapshot_unref(status.base);
    vr_str_dispose(&status.path);
    vr_workspace_compare_dispose(&status.comparison);
    return result;
}
