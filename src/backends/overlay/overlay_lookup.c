/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What a name means: the upper's entry, or the first of the lower layers', merged where they are directories. */
#include "backends/overlay/overlay.h"

/* What the layers have under one name, topmost first; owns its descriptors until a node takes them. */
struct found {
    int32_t upper; /* -1: none */
    struct vrift_stat top, lower_top;
    struct vr_overlay_part *lower; /* room for all of the directory's */
    uint32_t lower_count;
    bool stop; /* nothing below counts */
    bool opaque;
    bool unreadable; /* nobody may say whether it is opaque, which matters if something lies below */
};

int32_t vr_overlay_lookup_mark(struct vr_overlay *overlay, uint32_t layer, int32_t dir, const char *name,
                               const char *what)
{
    char key[64], value;
    memcpy(key, overlay->prefix, overlay->prefix_length);
    memcpy(key + overlay->prefix_length, what, strlen(what) + 1);
    int64_t got = vrift_getxattrat(overlay->layers[layer].task, dir, name, key, &value, 1, VRIFT_AT_SYMLINK_NOFOLLOW);
    switch (got) {
    case -VRIFT_ENODATA:
    case -VRIFT_EOPNOTSUPP:
    case -VRIFT_EPERM: /* user.* of what is neither a file nor a directory */
        return 0;
    case -VRIFT_ERANGE: /* longer than a mark of one letter: redirect, metacopy with a digest */
        return strcmp(what, "opaque") != 0;
    default:
        /* "x" only says that there may be whiteouts in the form of xattrs. */
        return got < 0 ? (int32_t)got : strcmp(what, "opaque") != 0 || (got == 1 && value == 'y');
    }
}

/*
 * An entry whose data or place another layer keeps (metacopy, redirect) is refused rather than shown wrongly. In the
 * lowest layer both marks would lead nowhere and are not looked for.
 */
static int32_t check_marks(struct vr_overlay *overlay, uint32_t layer, int32_t dir, const char *name, uint32_t mode)
{
    uint32_t type = mode & VRIFT_S_IFMT;
    if (layer + 1 == overlay->layer_count || (type != VRIFT_S_IFREG && type != VRIFT_S_IFDIR)) {
        return 0;
    }
    int32_t marked = vr_overlay_lookup_mark(overlay, layer, dir, name, type == VRIFT_S_IFREG ? "metacopy" : "redirect");
    /* The unprivileged cannot read "user." of what has mode 0; and where that is used, the kernel makes neither mark. */
    if (marked == -VRIFT_EACCES) {
        return 0;
    }
    return marked > 0 ? -VRIFT_EOPNOTSUPP : marked;
}

/* Opens a name in a layer's directory and reads its attributes; the descriptor, or an error. */
static int32_t open_part(struct vr_overlay *overlay, uint32_t layer, int32_t dir, const char *name,
                         struct vrift_stat *stat)
{
    vrift_task *task = overlay->layers[layer].task;
    int32_t fd = vrift_openat(task, dir, name, VRIFT_O_PATH | VRIFT_O_NOFOLLOW, 0);
    if (fd < 0) {
        return fd;
    }
    int32_t result = vrift_statat(task, fd, "", VRIFT_AT_EMPTY_PATH, stat);
    if (result == 0 && !vr_overlay_is_whiteout(stat)) {
        result = check_marks(overlay, layer, dir, name, stat->mode);
    }
    if (result < 0) {
        vrift_close(task, fd);
        return result;
    }
    return fd;
}

static void close_found(struct vr_overlay *overlay, struct found *found)
{
    if (found->upper >= 0) {
        vrift_close(vr_overlay_upper_task(overlay), found->upper);
    }
    for (uint32_t i = 0; i < found->lower_count; i++) {
        vrift_close(overlay->layers[found->lower[i].layer].task, found->lower[i].fd);
    }
}

static int32_t find_in_upper(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name,
                             struct found *found)
{
    int32_t upper = dir->upper;
    if (upper < 0) {
        return 0;
    }
    int32_t fd = open_part(overlay, VR_OVERLAY_UPPER, upper, name, &found->top);
    if (fd == -VRIFT_ENOENT) {
        return 0;
    }
    if (fd < 0) {
        return fd;
    }
    found->upper = fd;
    if ((found->top.mode & VRIFT_S_IFMT) != VRIFT_S_IFDIR) {
        found->stop = true;
        return vr_overlay_is_whiteout(&found->top) ? -VRIFT_ENOENT : 0;
    }
    if (dir->lower_count == 0) {
        found->stop = true;
        return 0;
    }
    int32_t opaque = vr_overlay_lookup_mark(overlay, VR_OVERLAY_UPPER, fd, ".", "opaque");
    found->unreadable = opaque == -VRIFT_EACCES;
    found->stop = found->opaque = opaque > 0;
    return opaque < 0 && !found->unreadable ? opaque : 0;
}

static int32_t find_in_lower(struct vr_overlay *overlay, const struct vr_overlay_part *part, const char *name,
                             struct found *found)
{
    struct vrift_stat stat;
    int32_t fd = open_part(overlay, part->layer, part->fd, name, &stat);
    if (fd == -VRIFT_ENOENT) {
        return 0;
    }
    if (fd < 0) {
        return fd;
    }
    bool directory = (stat.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR;
    bool first = found->upper < 0 && found->lower_count == 0;
    if (!directory) {
        found->stop = true;
        if (vr_overlay_is_whiteout(&stat) || !first) { /* a directory hides a file below it */
            vrift_close(overlay->layers[part->layer].task, fd);
            return 0;
        }
    }
    if (found->lower_count == 0) {
        found->lower_top = stat;
    }
    if (first) {
        found->top = stat;
    }
    found->lower[found->lower_count].layer = part->layer;
    found->lower[found->lower_count++].fd = fd;
    if (directory && part->layer + 1 < overlay->layer_count) {
        int32_t opaque = vr_overlay_lookup_mark(overlay, part->layer, fd, ".", "opaque");
        if (opaque < 0) {
            return opaque;
        }
        found->stop = found->stop || opaque;
    }
    return 0;
}

/* An upper directory over one that we know as low: another process copied it up. It is the same directory. */
static int32_t adopt(struct vr_overlay *overlay, struct vr_overlay_node *low, struct found *found)
{
    if (vr_overlay_node_rise(overlay, low, found->upper, found->top.ino)) {
        found->upper = -1;
    }
    close_found(overlay, found);
    return 0;
}

static int32_t bear(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name, uint32_t length,
                    struct found *found, struct vr_overlay_node **out)
{
    bool directory = (found->top.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR;
    if (found->upper >= 0 && directory && found->lower_count) {
        struct vr_overlay_node *low = vr_overlay_node_find_low(overlay, dir, name, length);
        if (low && vr_overlay_is_dir(low) && low->lower_count == found->lower_count) {
            *out = low;
            return adopt(overlay, low, found);
        }
        vr_overlay_node_unref(overlay, low);
    }
    struct vr_overlay_birth birth = {
        .type = found->top.mode & VRIFT_S_IFMT,
        .upper = found->upper,
        .upper_ino = found->top.ino,
        .lower = found->lower,
        .lower_count = found->lower_count,
        .alias = found->upper < 0 && !directory && found->top.nlink > 1,
        .opaque = found->opaque,
        .parent = dir,
        .name = name,
        .name_length = length,
    };
    if (found->lower_count) {
        birth.ino = vr_overlay_node_number(overlay, found->lower[0].layer, found->lower_top.ino);
    } else {
        birth.ino = vr_overlay_node_upper_number(overlay, found->top.ino);
    }
    return vr_overlay_node_make(overlay, &birth, out);
}

static int32_t find(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name, uint32_t length,
                    struct found *found, struct vr_overlay_node **out)
{
    int32_t result = find_in_upper(overlay, dir, name, found);
    if (result == 0 && found->upper < 0) {
        *out = vr_overlay_node_find_low(overlay, dir, name, length);
        if (*out) {
            return 0;
        }
    }
    for (uint32_t i = 0; result == 0 && !found->stop && i < dir->lower_count; i++) {
        result = find_in_lower(overlay, &dir->lower[i], name, found);
    }
    if (result == 0 && found->upper < 0 && found->lower_count == 0) {
        result = -VRIFT_ENOENT;
    }
    if (result == 0 && found->unreadable && found->lower_count) {
        result = -VRIFT_EACCES;
    }
    if (result < 0) {
        close_found(overlay, found);
        return result;
    }
    return bear(overlay, dir, name, length, found, out);
}

int32_t vr_overlay_lookup(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name, uint32_t length,
                          struct vr_overlay_node **out, struct vrift_stat *attr)
{
    struct found found = {.upper = -1};
    struct vr_overlay_part few[4];
    struct vr_overlay_node *node = NULL;
    found.lower = few;
    if (dir->lower_count > 4) {
        found.lower = vr_alloc_zero(overlay->allocator, dir->lower_count, sizeof(*found.lower));
        if (!found.lower) {
            return -VRIFT_ENOMEM;
        }
    }
    int32_t result = find(overlay, dir, name, length, &found, &node);
    if (found.lower != few) {
        vr_alloc_free(overlay->allocator, found.lower);
    }
    if (result < 0) {
        return result;
    }
    result = vr_overlay_lookup_stat(overlay, node, attr);
    if (result < 0) {
        vr_overlay_node_unref(overlay, node);
        return result;
    }
    *out = node;
    return 0;
}

int32_t vr_overlay_lookup_stat(struct vr_overlay *overlay, struct vr_overlay_node *node, struct vrift_stat *out)
{
    vrift_task *task;
    struct vrift_stat stat;
    int32_t fd = vr_overlay_attr_top(overlay, node, &task);
    int32_t result = vrift_statat(task, fd, "", VRIFT_AT_EMPTY_PATH, &stat);
    if (result < 0) {
        return result;
    }
    bool low = node->upper < 0;
    stat.ino = node->ino;
    stat.dev = 0;
    stat.mount_id = 0;
    stat.mask = (stat.mask | VRIFT_STAT_INO) & ~VRIFT_STAT_MOUNT_ID;
    if (!overlay->version_lift) {
        stat.version = 0;
        stat.mask &= ~VRIFT_STAT_VERSION;
    } else if (!low) {
        stat.version += overlay->version_lift;
    }
    vr_overlay_flags_show(overlay, node, &stat);
    if (vr_overlay_is_dir(node) && node->lower_count + !low > 1) {
        stat.nlink = 1; /* nobody counts the subdirectories of a union; 1 tells find(1) so */
    } else if (low && node->unlinked && stat.nlink) {
        stat.nlink--; /* the layer does not know that we whited it out */
        stat.version++;
    }
    *out = stat;
    return 0;
}

int32_t vr_overlay_lookup_upper(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name,
                                struct vrift_stat *out)
{
    int32_t upper = dir->upper;
    if (upper < 0) {
        return VR_OVERLAY_NOTHING;
    }
    int32_t result = vrift_statat(vr_overlay_upper_task(overlay), upper, name, VRIFT_AT_SYMLINK_NOFOLLOW, out);
    if (result == -VRIFT_ENOENT) {
        return VR_OVERLAY_NOTHING;
    }
    if (result < 0) {
        return result;
    }
    return vr_overlay_is_whiteout(out) ? VR_OVERLAY_WHITEOUT : VR_OVERLAY_ENTRY;
}

int32_t vr_overlay_lookup_lower(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name)
{
    struct vrift_stat stat;
    for (uint32_t i = 0; i < dir->lower_count; i++) {
        const struct vr_overlay_part *part = &dir->lower[i];
        int32_t result =
            vrift_statat(overlay->layers[part->layer].task, part->fd, name, VRIFT_AT_SYMLINK_NOFOLLOW, &stat);
        if (result == 0) {
            return !vr_overlay_is_whiteout(&stat);
        }
        if (result != -VRIFT_ENOENT) {
            return result;
        }
    }
    return 0;
}

/* -- Slots -------------------------------------------------------------------------------------------------------- */

int32_t VRIFT_CALLBACK vr_overlay_lookup_root(void *self, struct vrift_entry *out)
{
    struct vr_overlay *overlay = self;
    int32_t result = vr_overlay_lookup_stat(overlay, overlay->root, &out->attr);
    if (result < 0) {
        return result;
    }
    vr_overlay_node_ref(overlay, overlay->root);
    vr_overlay_node_key(overlay->root, &out->node);
    return 0;
}

int32_t VRIFT_CALLBACK vr_overlay_lookup_walk(void *self, const struct vrift_node *dir, const struct vrift_name *names,
                                              uint32_t count, struct vrift_entry *entries, uint32_t *done)
{
    struct vr_overlay *overlay = self;
    struct vr_overlay_node *at = vr_overlay_node_of(dir), *next;
    for (*done = 0; *done < count && vr_overlay_is_dir(at); at = next) {
        const struct vrift_name *name = &names[*done];
        struct vrift_entry *entry = &entries[*done];
        vr_os_rwlock_read(&at->names);
        int32_t result = vr_overlay_lookup(overlay, at, name->bytes, name->length, &next, &entry->attr);
        vr_os_rwlock_unlock(&at->names);
        if (result < 0) {
            return result;
        }
        vr_overlay_node_key(next, &entry->node);
        (*done)++;
    }
    return 0;
}

int32_t VRIFT_CALLBACK vr_overlay_lookup_revalidate(void *self, const struct vrift_node *dir,
                                                    const struct vrift_name *name, const struct vrift_node *node,
                                                    struct vrift_stat *out)
{
    struct vr_overlay *overlay = self;
    struct vr_overlay_node *parent = vr_overlay_node_of(dir), *wanted = vr_overlay_node_of(node), *now;
    vr_os_rwlock_read(&parent->names);
    int32_t result = vr_overlay_lookup(overlay, parent, name->bytes, name->length, &now, out);
    vr_os_rwlock_unlock(&parent->names);
    if (result < 0) {
        return result == -VRIFT_ENOENT ? -VRIFT_ESTALE : result;
    }
    bool same = now == wanted;
    vr_overlay_node_unref(overlay, now);
    return same ? 0 : -VRIFT_ESTALE;
}

int32_t VRIFT_CALLBACK vr_overlay_lookup_getattr(void *self, const struct vrift_node *node, uint64_t mask,
                                                 struct vrift_stat *out)
{
    (void)mask;
    return vr_overlay_lookup_stat(self, vr_overlay_node_of(node), out);
}

void VRIFT_CALLBACK vr_overlay_lookup_forget(void *self, const struct vrift_node *node)
{
    vr_overlay_node_unref(self, vr_overlay_node_of(node));
}
