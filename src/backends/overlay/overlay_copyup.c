/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Copy-up: whole in work first, with everything that the overlay shows of it, then moved to its name in one step. A
 * crash leaves the old state or the new one, and at worst a file in work.
 */
#include "backends/overlay/overlay.h"

#include <stdio.h>

#define COPY_BYTES     (128u * 1024)
#define XATTR_MAX      65536u
#define PERMISSIONS    07777u
#define UPPER_AT_EMPTY VRIFT_AT_EMPTY_PATH

void vr_overlay_copyup_temporary(struct vr_overlay *overlay, char name[32])
{
    snprintf(name, 32, "#%016llx", (unsigned long long)atomic_fetch_add(&overlay->temporary, 1));
}

int32_t vr_overlay_copyup_own(struct vr_overlay *overlay, int32_t fd, const char *name, uint32_t uid, uint32_t gid)
{
    uint64_t flags = *name ? VRIFT_AT_SYMLINK_NOFOLLOW : UPPER_AT_EMPTY;
    int32_t result = vrift_fchownat(vr_overlay_upper_task(overlay), fd, name, uid, gid, flags);
    return overlay->owners_optional && (result == -VRIFT_EPERM || result == -VRIFT_EOPNOTSUPP) ? 0 : result;
}

int32_t vr_overlay_copyup_set_opaque(struct vr_overlay *overlay, int32_t fd, const char *name)
{
    char key[64];
    snprintf(key, sizeof(key), "%sopaque", overlay->prefix);
    return vrift_setxattrat(vr_overlay_upper_task(overlay), fd, name, key, "y", 1, VRIFT_AT_SYMLINK_NOFOLLOW);
}

/* -- Data --------------------------------------------------------------------------------------------------------- */

static int32_t copy_range(vrift_task *from_task, int32_t from, vrift_task *to_task, int32_t to, uint64_t at,
                          uint64_t end, void *buffer)
{
    while (at < end) {
        size_t want = end - at < COPY_BYTES ? (size_t)(end - at) : COPY_BYTES;
        int64_t got = vrift_pread(from_task, from, buffer, want, at);
        if (got <= 0) {
            return got < 0 ? (int32_t)got : -VRIFT_EIO; /* a lower file must not shrink */
        }
        for (int64_t put = 0; put < got;) {
            int64_t wrote =
                vrift_pwrite(to_task, to, (const char *)buffer + put, (size_t)(got - put), at + (uint64_t)put);
            if (wrote <= 0) {
                return wrote < 0 ? (int32_t)wrote : -VRIFT_EIO;
            }
            put += wrote;
        }
        at += (uint64_t)got;
    }
    return 0;
}

/* Copies the data and leaves the holes; a layer that cannot tell them apart is copied whole. */
static int32_t copy_data(vrift_task *from_task, int32_t from, vrift_task *to_task, int32_t to, uint64_t size,
                         void *buffer)
{
    int32_t result = vrift_ftruncate(to_task, to, size);
    for (uint64_t at = 0; result == 0 && at < size;) {
        int64_t start = vrift_lseek(from_task, from, (int64_t)at, VRIFT_SEEK_DATA);
        if (start == -VRIFT_ENXIO) {
            return 0;
        }
        int64_t end = start < 0 ? start : vrift_lseek(from_task, from, start, VRIFT_SEEK_HOLE);
        if (start < 0 || end <= start) {
            start = (int64_t)at;
            end = (int64_t)size;
        }
        uint64_t stop = (uint64_t)end < size ? (uint64_t)end : size;
        result = copy_range(from_task, from, to_task, to, (uint64_t)start, stop, buffer);
        at = (uint64_t)end;
    }
    return result;
}

static int32_t copy_file(struct vr_overlay *overlay, struct vr_overlay_node *node, const struct vrift_stat *stat,
                         int32_t upper, uint64_t limit)
{
    vrift_task *from_task = overlay->layers[node->lower[0].layer].task, *to_task = vr_overlay_upper_task(overlay);
    uint64_t size = stat->size < limit ? stat->size : limit;
    if (size == 0) {
        return 0;
    }
    int32_t from = vrift_reopen(from_task, node->lower[0].fd, VRIFT_O_RDONLY);
    if (from < 0) {
        return from;
    }
    int32_t result = -VRIFT_ENOMEM, to = vrift_reopen(to_task, upper, VRIFT_O_WRONLY);
    void *buffer = vr_alloc(overlay->allocator, COPY_BYTES);
    if (to < 0) {
        result = to;
    } else if (buffer) {
        result = copy_data(from_task, from, to_task, to, size, buffer);
    }
    vr_alloc_free(overlay->allocator, buffer);
    vrift_close(from_task, from);
    if (to >= 0) {
        int32_t closed = vrift_close(to_task, to);
        result = result < 0 ? result : closed;
    }
    return result;
}

/* -- Attributes --------------------------------------------------------------------------------------------------- */

/* Our own marks stay behind; those that an overlay on top of us wrote through us ("overlay.overlay.") come along. */
static bool is_private(const struct vr_overlay *overlay, const char *name)
{
    return !strncmp(name, overlay->prefix, overlay->prefix_length) &&
           strncmp(name + overlay->prefix_length, "overlay.", 8) != 0;
}

static bool may_be_lost(const struct vr_overlay *overlay, const char *name, int32_t error)
{
    if (error == -VRIFT_EOPNOTSUPP) {
        return strncmp(name, "security.", 9) != 0 && strncmp(name, "system.posix_acl", 16) != 0;
    }
    return error == -VRIFT_EPERM && overlay->owners_optional && strncmp(name, "user.", 5) != 0;
}

/* A file by the directory and name it lies under: only so can the xattrs of a symlink or fifo be reached. */
struct place {
    vrift_task *task;
    int32_t dir;
    const char *name;
};

static int32_t copy_xattr(struct vr_overlay *overlay, const struct place *from, const struct place *to, const char *key,
                          void *value)
{
    int64_t length =
        vrift_getxattrat(from->task, from->dir, from->name, key, value, XATTR_MAX, VRIFT_AT_SYMLINK_NOFOLLOW);
    if (length < 0) {
        return length == -VRIFT_ENODATA ? 0 : (int32_t)length;
    }
    int32_t result =
        vrift_setxattrat(to->task, to->dir, to->name, key, value, (size_t)length, VRIFT_AT_SYMLINK_NOFOLLOW);
    return result < 0 && may_be_lost(overlay, key, result) ? 0 : result;
}

static int32_t copy_xattrs(struct vr_overlay *overlay, const struct place *from, const struct place *to)
{
    int64_t length = vrift_listxattrat(from->task, from->dir, from->name, NULL, 0, VRIFT_AT_SYMLINK_NOFOLLOW);
    if (length <= 0) {
        return length == -VRIFT_EOPNOTSUPP ? 0 : (int32_t)length;
    }
    char *names = vr_alloc(overlay->allocator, (size_t)length + XATTR_MAX);
    if (!names) {
        return -VRIFT_ENOMEM;
    }
    int64_t got =
        vrift_listxattrat(from->task, from->dir, from->name, names, (size_t)length, VRIFT_AT_SYMLINK_NOFOLLOW);
    int32_t result = got < 0 ? (int32_t)got : 0;
    for (int64_t at = 0; result == 0 && at < got; at += (int64_t)strlen(names + at) + 1) {
        if (!is_private(overlay, names + at)) {
            result = copy_xattr(overlay, from, to, names + at, names + length);
        }
    }
    vr_alloc_free(overlay->allocator, names);
    return result;
}

/* Where a low node lies in its layer: its parent was found there too. */
static struct place place_of(const struct vr_overlay *overlay, const struct vr_overlay_node *node)
{
    uint32_t layer = node->lower[0].layer, i = 0;
    while (node->parent->lower[i].layer != layer) {
        i++;
    }
    return (struct place){overlay->layers[layer].task, node->parent->lower[i].fd, node->name};
}

/* Owner before mode, which a change of owner would cut; times last. */
static int32_t copy_attributes(struct vr_overlay *overlay, struct vr_overlay_node *node, const struct vrift_stat *stat,
                               int32_t to, const char *temporary)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    struct place from = place_of(overlay, node), work = {task, overlay->work, temporary};
    struct vrift_timespec times[2] = {stat->atime, stat->mtime};
    int32_t result = vr_overlay_copyup_own(overlay, to, "", stat->uid, stat->gid);
    if (result == 0) {
        result = copy_xattrs(overlay, &from, &work);
    }
    if (result == 0 && node->type != VRIFT_S_IFLNK) {
        result = vrift_fchmodat(task, to, "", stat->mode & PERMISSIONS, UPPER_AT_EMPTY);
    }
    if (result == 0) {
        result = vr_overlay_flags_copy(overlay, stat, to);
    }
    return result ? result : vrift_utimensat(task, to, "", times, UPPER_AT_EMPTY);
}

/* -- The whole ---------------------------------------------------------------------------------------------------- */

static int32_t make_empty(struct vr_overlay *overlay, struct vr_overlay_node *node, const struct vrift_stat *stat,
                          const char *name)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    const struct vr_overlay_part *part = &node->lower[0];
    char target[VRIFT_PATH_MAX];
    int64_t length;
    switch (node->type) {
    case VRIFT_S_IFDIR:
        return vrift_mkdirat(task, overlay->work, name, 0700);
    case VRIFT_S_IFLNK:
        length = vrift_readlinkat(overlay->layers[part->layer].task, part->fd, "", target, sizeof(target) - 1);
        if (length < 0) {
            return (int32_t)length;
        }
        target[length] = 0;
        return vrift_symlinkat(task, target, overlay->work, name);
    default:
        return vrift_mknodat(task, overlay->work, name, node->type | 0600, stat->rdev);
    }
}

/* Makes the copy in work; its descriptor, or an error. */
static int32_t build(struct vr_overlay *overlay, struct vr_overlay_node *node, uint64_t limit, const char *name)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    struct vrift_stat stat;
    int32_t result =
        vrift_statat(overlay->layers[node->lower[0].layer].task, node->lower[0].fd, "", VRIFT_AT_EMPTY_PATH, &stat);
    if (result == 0) {
        result = make_empty(overlay, node, &stat, name);
    }
    if (result < 0) {
        return result;
    }
    int32_t fd = vrift_openat(task, overlay->work, name, VRIFT_O_PATH | VRIFT_O_NOFOLLOW, 0);
    if (fd < 0) {
        return fd;
    }
    if (node->type == VRIFT_S_IFREG) {
        result = copy_file(overlay, node, &stat, fd, limit);
    }
    if (result == 0) {
        result = copy_attributes(overlay, node, &stat, fd, name);
    }
    if (result < 0) {
        vrift_close(task, fd);
        return result;
    }
    return fd;
}

/* Moves the copy to its name and leaves the directory's times as they were: nothing has changed for who looks. */
static int32_t publish(struct vr_overlay *overlay, struct vr_overlay_node *node, const char *temporary)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    struct vrift_stat before;
    int32_t dir = node->parent->upper;
    int32_t result = vrift_statat(task, dir, "", VRIFT_AT_EMPTY_PATH, &before);
    if (result == 0) {
        result = vrift_renameat2(task, overlay->work, temporary, dir, node->name, VRIFT_RENAME_NOREPLACE);
    }
    if (result == 0) {
        struct vrift_timespec times[2] = {before.atime, before.mtime};
        vrift_utimensat(task, dir, "", times, UPPER_AT_EMPTY);
    }
    return result;
}

static int32_t discard(struct vr_overlay *overlay, struct vr_overlay_node *node, const char *temporary)
{
    return vrift_unlinkat(vr_overlay_upper_task(overlay), overlay->work, temporary,
                          vr_overlay_is_dir(node) ? VRIFT_AT_REMOVEDIR : 0);
}

/* Another process was faster: a directory is taken as it is, of anything else our copy would be a second one. */
static int32_t take_over(struct vr_overlay *overlay, struct vr_overlay_node *node, int32_t *fd)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    if (!vr_overlay_is_dir(node)) {
        return -VRIFT_ESTALE;
    }
    int32_t theirs =
        vrift_openat(task, node->parent->upper, node->name, VRIFT_O_PATH | VRIFT_O_NOFOLLOW | VRIFT_O_DIRECTORY, 0);
    if (theirs < 0) {
        return theirs == -VRIFT_ENOTDIR ? -VRIFT_ESTALE : theirs;
    }
    vrift_close(task, *fd);
    *fd = theirs;
    return 0;
}

/* Under the parent's names lock: the copy becomes the node's upper part. Takes the descriptor if it does. */
static int32_t settle(struct vr_overlay *overlay, struct vr_overlay_node *node, const char *temporary, int32_t *fd)
{
    struct vrift_stat stat;
    bool orphan = node->unlinked;
    if (node->upper >= 0) { /* a look-up found another process' copy */
        return discard(overlay, node, temporary);
    }
    int32_t result = orphan ? discard(overlay, node, temporary) : publish(overlay, node, temporary);
    if (result < 0) {
        discard(overlay, node, temporary);
        result = result == -VRIFT_EEXIST && !orphan ? take_over(overlay, node, fd) : result;
    }
    if (result == 0) {
        result = vrift_statat(vr_overlay_upper_task(overlay), *fd, "", VRIFT_AT_EMPTY_PATH, &stat);
    }
    if (result < 0) {
        return result;
    }
    vr_overlay_node_rise(overlay, node, *fd, stat.ino);
    *fd = -1;
    if (node->born_alias && !orphan) {
        vr_overlay_readdir_add(overlay, node->parent, node->name, node->name_length, node->type, node->ino);
    }
    return 0;
}

/* Under node->copying. */
static int32_t copy_up(struct vr_overlay *overlay, struct vr_overlay_node *node, uint64_t limit)
{
    char temporary[32];
    int32_t result = vr_overlay_copyup(overlay, node->parent, VR_OVERLAY_ALL_DATA);
    if (result < 0) {
        return result;
    }
    vr_overlay_copyup_temporary(overlay, temporary);
    int32_t fd = build(overlay, node, limit, temporary);
    if (fd < 0) {
        discard(overlay, node, temporary);
        return fd;
    }
    vr_os_rwlock_write(&node->parent->names);
    result = settle(overlay, node, temporary, &fd);
    vr_os_rwlock_unlock(&node->parent->names);
    if (fd >= 0) {
        vrift_close(vr_overlay_upper_task(overlay), fd);
    }
    return result;
}

int32_t vr_overlay_copyup(struct vr_overlay *overlay, struct vr_overlay_node *node, uint64_t limit)
{
    if (!overlay->has_upper) {
        return -VRIFT_EROFS;
    }
    if (node->upper >= 0) {
        return 0;
    }
    vr_os_mutex_lock(&node->copying);
    int32_t result = node->upper >= 0 ? 0 : copy_up(overlay, node, limit);
    vr_os_mutex_unlock(&node->copying);
    return result;
}
