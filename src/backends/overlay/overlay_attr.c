/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Attributes of one inode: changes go to the upper; our own xattrs are hidden, and a stranger's like them escaped. */
#include "backends/overlay/overlay.h"

#include <stdio.h>

#define ESCAPE     "overlay." /* behind the prefix: the attribute of an overlay that lies on top of us */
#define XATTR_NAME 255u

/* A descriptor of a layer may be of what cannot be opened otherwise. */
#define BY_DESCRIPTOR (VRIFT_AT_EMPTY_PATH | VRIFT_AT_OPATH)

int32_t vr_overlay_attr_top(const struct vr_overlay *overlay, const struct vr_overlay_node *node, vrift_task **task)
{
    int32_t upper = node->upper;
    if (upper >= 0) {
        *task = vr_overlay_upper_task(overlay);
        return upper;
    }
    *task = overlay->layers[node->lower[0].layer].task;
    return node->lower[0].fd;
}

/* -- setattr ------------------------------------------------------------------------------------------------------ */

static int32_t set_length(vrift_task *task, int32_t fd, uint64_t length)
{
    int32_t file = vrift_reopen(task, fd, VRIFT_O_WRONLY);
    if (file < 0) {
        return file;
    }
    int32_t result = vrift_ftruncate(task, file, length);
    int32_t closed = vrift_close(task, file);
    return result < 0 ? result : closed;
}

static struct vrift_timespec time_to_set(const struct vrift_setattr *set, uint64_t bit, uint64_t now,
                                         struct vrift_timespec value)
{
    struct vrift_timespec omit = {0, VRIFT_UTIME_OMIT, 0}, present = {0, VRIFT_UTIME_NOW, 0};
    return set->mask & now ? present : set->mask & bit ? value : omit;
}

/* Size first, which may fail for want of space; times last, which all others move. */
static int32_t apply(struct vr_overlay *overlay, int32_t fd, const struct vrift_setattr *set)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    int32_t result = 0;
    if (set->mask & VRIFT_SET_SIZE) {
        result = set_length(task, fd, set->length);
    }
    if (result == 0 && (!set->mask || set->mask & (VRIFT_SET_UID | VRIFT_SET_GID))) { /* nobody's stamps it, too */
        uint32_t uid = set->mask & VRIFT_SET_UID ? set->uid : UINT32_MAX;
        uint32_t gid = set->mask & VRIFT_SET_GID ? set->gid : UINT32_MAX;
        result = vrift_fchownat(task, fd, "", uid, gid, VRIFT_AT_EMPTY_PATH);
    }
    if (result == 0 && set->mask & VRIFT_SET_MODE) {
        result = vrift_fchmodat(task, fd, "", set->mode & 07777, VRIFT_AT_EMPTY_PATH);
    }
    if (result == 0 && set->mask & (VRIFT_SET_ATIME | VRIFT_SET_MTIME | VRIFT_SET_ATIME_NOW | VRIFT_SET_MTIME_NOW)) {
        struct vrift_timespec times[2] = {
            time_to_set(set, VRIFT_SET_ATIME, VRIFT_SET_ATIME_NOW, set->atime),
            time_to_set(set, VRIFT_SET_MTIME, VRIFT_SET_MTIME_NOW, set->mtime),
        };
        result = vrift_utimensat(task, fd, "", times, VRIFT_AT_EMPTY_PATH);
    }
    return result;
}

int32_t VRIFT_CALLBACK vr_overlay_attr_set(void *self, const struct vrift_node *noden, void *file,
                                           const struct vrift_setattr *set, struct vrift_stat *out)
{
    struct vr_overlay *overlay = self;
    struct vr_overlay_node *node = vr_overlay_node_of(noden);
    (void)file;
    uint64_t limit = set->mask & VRIFT_SET_SIZE ? set->length : VR_OVERLAY_ALL_DATA;
    int32_t result = vr_overlay_copyup(overlay, node, limit);
    if (result == 0) {
        result = apply(overlay, node->upper, set);
    }
    if (result == 0 && set->mask & VRIFT_SET_FLAGS) {
        result = vr_overlay_flags_set(overlay, node, set->flags);
    }
    return result < 0 ? result : vr_overlay_lookup_stat(overlay, node, out);
}

int64_t VRIFT_CALLBACK vr_overlay_attr_readlink(void *self, const struct vrift_node *node, char *buf, size_t len)
{
    vrift_task *task;
    int32_t fd = vr_overlay_attr_top(self, vr_overlay_node_of(node), &task);
    return vrift_readlinkat(task, fd, "", buf, len);
}

/* -- xattrs ------------------------------------------------------------------------------------------------------- */

static bool is_own(const struct vr_overlay *overlay, const char *name)
{
    return !strncmp(name, overlay->prefix, overlay->prefix_length);
}

/* The name in the layer: "trusted.overlay.x" of a caller is "trusted.overlay.overlay.x" there. */
static int32_t escape(const struct vr_overlay *overlay, const char *name, char out[XATTR_NAME + 1])
{
    size_t length = strlen(name), more = strlen(ESCAPE);
    bool own = is_own(overlay, name);
    if (length + (own ? more : 0) > XATTR_NAME) {
        return -VRIFT_ERANGE;
    }
    if (own) {
        snprintf(out, XATTR_NAME + 1, "%s" ESCAPE "%s", overlay->prefix, name + overlay->prefix_length);
    } else {
        snprintf(out, XATTR_NAME + 1, "%s", name);
    }
    return 0;
}

int64_t VRIFT_CALLBACK vr_overlay_attr_getxattr(void *self, const struct vrift_node *node, const char *name, void *buf,
                                                size_t len)
{
    vrift_task *task;
    char key[XATTR_NAME + 1];
    int32_t result = escape(self, name, key);
    if (result < 0) {
        return result;
    }
    int32_t fd = vr_overlay_attr_top(self, vr_overlay_node_of(node), &task);
    return vrift_getxattrat(task, fd, "", key, buf, len, BY_DESCRIPTOR);
}

int32_t VRIFT_CALLBACK vr_overlay_attr_setxattr(void *self, const struct vrift_node *noden, const char *name,
                                                const void *value, size_t len, uint64_t flags)
{
    struct vr_overlay *overlay = self;
    struct vr_overlay_node *node = vr_overlay_node_of(noden);
    char key[XATTR_NAME + 1];
    int32_t result = escape(overlay, name, key);
    if (result == 0) {
        result = vr_overlay_copyup(overlay, node, VR_OVERLAY_ALL_DATA);
    }
    if (result < 0) {
        return result;
    }
    return vrift_setxattrat(vr_overlay_upper_task(overlay), node->upper, "", key, value, len, flags | BY_DESCRIPTOR);
}

/* Removing what is not there must not copy up. */
int32_t VRIFT_CALLBACK vr_overlay_attr_removexattr(void *self, const struct vrift_node *noden, const char *name)
{
    struct vr_overlay *overlay = self;
    struct vr_overlay_node *node = vr_overlay_node_of(noden);
    char key[XATTR_NAME + 1];
    int64_t there = vr_overlay_attr_getxattr(self, noden, name, NULL, 0);
    int32_t result = there < 0 ? (int32_t)there : escape(overlay, name, key);
    if (result == 0) {
        result = vr_overlay_copyup(overlay, node, VR_OVERLAY_ALL_DATA);
    }
    if (result < 0) {
        return result;
    }
    return vrift_removexattrat(vr_overlay_upper_task(overlay), node->upper, "", key, BY_DESCRIPTOR);
}

/* Drops our names from a list and unescapes strangers'; the new length. */
static size_t filter(const struct vr_overlay *overlay, char *names, size_t length)
{
    size_t kept = 0, more = strlen(ESCAPE);
    for (size_t at = 0, next; at < length; at = next) {
        size_t size = strlen(names + at) + 1, prefix = overlay->prefix_length;
        next = at + size;
        if (!is_own(overlay, names + at)) {
            memmove(names + kept, names + at, size);
            kept += size;
        } else if (!strncmp(names + at + prefix, ESCAPE, more)) {
            memmove(names + kept, names + at, prefix);
            memmove(names + kept + prefix, names + at + prefix + more, size - prefix - more);
            kept += size - more;
        }
    }
    return kept;
}

static int64_t list(struct vr_overlay *overlay, vrift_task *task, int32_t fd, char *buf, size_t len)
{
    int64_t length = vrift_listxattrat(task, fd, "", NULL, 0, BY_DESCRIPTOR);
    if (length <= 0) {
        return length;
    }
    char *names = vr_alloc(overlay->allocator, (size_t)length + 1);
    if (!names) {
        return -VRIFT_ENOMEM;
    }
    int64_t result = vrift_listxattrat(task, fd, "", names, (size_t)length, BY_DESCRIPTOR);
    if (result > 0) {
        names[result] = 0;
        size_t kept = filter(overlay, names, (size_t)result);
        result = len && kept > len ? -VRIFT_ERANGE : (int64_t)kept;
        if (len && result > 0) {
            memcpy(buf, names, kept);
        }
    }
    vr_alloc_free(overlay->allocator, names);
    return result;
}

int64_t VRIFT_CALLBACK vr_overlay_attr_listxattr(void *self, const struct vrift_node *node, char *buf, size_t len)
{
    vrift_task *task;
    int32_t fd = vr_overlay_attr_top(self, vr_overlay_node_of(node), &task);
    return list(self, task, fd, buf, len);
}
