/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Hard links of a directory that is taken over: only when all are known is it clear which are as in the base. */
#include "workspace/workspace_ingest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

int32_t vr_workspace_links_defer(struct vr_workspace_intake *intake, const struct vrift_stat *stat, uint64_t base_inode,
                                 bool same)
{
    if (intake->linked_count == intake->linked_capacity) {
        size_t capacity = intake->linked_capacity ? intake->linked_capacity * 2 : 32;
        struct vr_workspace_linked *linked = vr_alloc_resize(NULL, intake->linked, capacity * sizeof(*linked));
        if (!linked) {
            return -VRIFT_ENOMEM;
        }
        intake->linked = linked;
        intake->linked_capacity = capacity;
    }
    struct vr_workspace_linked *fresh = &intake->linked[intake->linked_count];
    *fresh = (struct vr_workspace_linked){
        .path = vr_alloc_string(NULL, intake->path.data, intake->path.length),
        .dev = stat->dev,
        .ino = stat->ino,
        .base_inode = base_inode,
        .order = intake->linked_count,
        .same = same,
    };
    return fresh->path ? (intake->linked_count++, 0) : -VRIFT_ENOMEM;
}

static int compare_linked(const void *a, const void *b)
{
    const struct vr_workspace_linked *x = a, *y = b;
    if (x->dev != y->dev) {
        return x->dev < y->dev ? -1 : 1;
    }
    if (x->ino != y->ino) {
        return x->ino < y->ino ? -1 : 1;
    }
    return x->order < y->order ? -1 : x->order > y->order;
}

/* Opens the directory of a path below root, answering the last part of the path. */
static int open_parent(int root, const char *path, const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash ? slash + 1 : path;
    char *parent = vr_alloc_string(NULL, slash ? path : ".", slash ? (size_t)(slash - path) : 1);
    int fd = parent ? vr_fileops_open_beneath(root, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0) : -VRIFT_ENOMEM;
    vr_alloc_free(NULL, parent);
    return fd;
}

/* Makes the directories of a path that the new upper lacks; those above are there or merge with the base's. */
static int open_made_parent(struct vr_workspace_intake *intake, const char *path, const char **name)
{
    for (size_t i = 1; path[i]; i++) {
        if (path[i] != '/') {
            continue;
        }
        char *prefix = vr_alloc_string(NULL, path, i);
        const char *last;
        int dir = prefix ? open_parent(intake->upper, prefix, &last) : -VRIFT_ENOMEM;
        int32_t result = dir < 0 ? dir : 0;
        if (dir >= 0 && mkdirat(dir, last, 0700) == 0) {
            result = vr_workspace_ingest_made(intake, prefix, i);
        } else if (dir >= 0 && errno != EEXIST) {
            result = host_error();
        }
        if (dir >= 0) {
            close(dir);
        }
        vr_alloc_free(NULL, prefix);
        if (result < 0) {
            return result;
        }
    }
    return open_parent(intake->upper, path, name);
}

static int32_t place_first(struct vr_workspace_intake *intake, const struct vr_workspace_linked *linked)
{
    const char *name;
    struct vrift_stat stat;
    int from = open_parent(intake->host, linked->path, &name);
    int32_t result = from < 0 ? from : vr_fileops_stat(from, name, &stat);
    int to = result < 0 ? result : open_made_parent(intake, linked->path, &name);
    if (to >= 0) {
        result = vr_workspace_place(intake, from, name, to, name, &stat);
        close(to);
    } else {
        result = to;
    }
    if (from >= 0) {
        close(from);
    }
    return result;
}

static int32_t link_to_first(struct vr_workspace_intake *intake, const struct vr_workspace_linked *first,
                             const struct vr_workspace_linked *linked)
{
    const char *old_name, *name;
    int to = open_made_parent(intake, linked->path, &name);
    int from = to < 0 ? to : open_parent(intake->upper, first->path, &old_name);
    int32_t result = from < 0 ? from : linkat(from, old_name, to, name, 0) == 0 ? 0 : host_error();
    if (from >= 0) {
        close(from);
    }
    if (to >= 0) {
        close(to);
    }
    return result;
}

static bool claimed(const struct vr_workspace_intake *intake, uint64_t base_inode)
{
    return intake->claimed[base_inode / 8] >> (base_inode % 8) & 1;
}

/* Whether a group's names are linked as in the base, so that nothing need be done. */
static bool group_as_before(const struct vr_workspace_intake *intake, size_t from, size_t to)
{
    const struct vr_workspace_linked *linked = intake->linked;
    bool one = true;
    for (size_t i = from; i < to; i++) {
        if (!linked[i].same) {
            return false;
        }
        one = one && linked[i].base_inode == linked[from].base_inode;
    }
    /* Restored timeless files may share the store's inodes without being links of each other. */
    if (!one) {
        return intake->comparison.timeless;
    }
    return !claimed(intake, linked[from].base_inode);
}

int32_t vr_workspace_links_settle(struct vr_workspace_intake *intake)
{
    struct vr_workspace_linked *linked = intake->linked;
    struct vrift_snapshot_info info = {0};
    if (!intake->linked_count) {
        return 0;
    }
    if (intake->comparison.base && vrift_snapshot_info(intake->comparison.base, &info) < 0) {
        return vr_workspace_ingest_fail(intake, -VRIFT_EUCLEAN, NULL);
    }
    intake->claimed = vr_alloc_zero(NULL, (size_t)(info.entries / 8) + 1, 1);
    if (!intake->claimed) {
        return vr_workspace_ingest_fail(intake, -VRIFT_ENOMEM, NULL);
    }
    qsort(linked, intake->linked_count, sizeof(*linked), compare_linked);
    for (size_t i = 0, next; i < intake->linked_count; i = next) {
        for (next = i + 1; next < intake->linked_count; next++) {
            if (linked[next].dev != linked[i].dev || linked[next].ino != linked[i].ino) {
                break;
            }
        }
        if (group_as_before(intake, i, next)) {
            intake->claimed[linked[i].base_inode / 8] |= (uint8_t)(1u << (linked[i].base_inode % 8));
            continue;
        }
        vr_str_truncate(&intake->path, 0);
        vr_str_append_text(&intake->path, linked[i].path);
        int32_t result = place_first(intake, &linked[i]);
        for (size_t k = i + 1; result == 0 && k < next; k++) {
            result = link_to_first(intake, &linked[i], &linked[k]);
        }
        if (result < 0) {
            return vr_workspace_ingest_fail(intake, result, NULL);
        }
    }
    vr_str_truncate(&intake->path, 0);
    return 0;
}
