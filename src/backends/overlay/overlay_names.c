/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Making and removing entries. Whatever takes the place of something is made in work and moved onto it, so that no
 * moment shows what lies below; a whiteout is left where, and only where, a lower layer would show the name.
 */
#include "backends/overlay/overlay.h"

/* -- Whiteouts ---------------------------------------------------------------------------------------------------- */

int32_t vr_overlay_names_whiteout(struct vr_overlay *overlay, int32_t dir, const char *name)
{
    return vrift_mknodat(vr_overlay_upper_task(overlay), dir, name, VRIFT_S_IFCHR, 0);
}

struct cleaning {
    struct vr_overlay *overlay;
    int32_t dir;
};

static int32_t remove_one(const char *name, uint32_t length, uint32_t type, uint64_t ino, void *payload)
{
    struct cleaning *cleaning = payload;
    (void)length, (void)ino;
    if (type == VRIFT_DT_DIR) {
        return -VRIFT_ENOTEMPTY; /* only whiteouts may be here */
    }
    return vrift_unlinkat(vr_overlay_upper_task(cleaning->overlay), cleaning->dir, name, 0);
}

int32_t vr_overlay_names_clean(struct vr_overlay *overlay, const char *name)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    int32_t result = vrift_unlinkat(task, overlay->work, name, VRIFT_AT_REMOVEDIR);
    if (result != -VRIFT_ENOTEMPTY) {
        return result;
    }
    int32_t dir = vrift_openat(task, overlay->work, name, VRIFT_O_PATH | VRIFT_O_DIRECTORY | VRIFT_O_NOFOLLOW, 0);
    if (dir < 0) {
        return dir;
    }
    struct cleaning cleaning = {overlay, dir};
    result = vr_overlay_readdir_scan(overlay, VR_OVERLAY_UPPER, dir, remove_one, &cleaning);
    vrift_close(task, dir);
    return result < 0 ? result : vrift_unlinkat(task, overlay->work, name, VRIFT_AT_REMOVEDIR);
}

/* Replaces what the upper has under a name by a whiteout, in one step. */
static int32_t cover(struct vr_overlay *overlay, int32_t dir, const char *name, bool present, bool directory)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    char temporary[32];
    if (!present) {
        return vr_overlay_names_whiteout(overlay, dir, name);
    }
    vr_overlay_copyup_temporary(overlay, temporary);
    int32_t result = vr_overlay_names_whiteout(overlay, overlay->work, temporary);
    if (result < 0) {
        return result;
    }
    result = vrift_renameat2(task, overlay->work, temporary, dir, name, directory ? VRIFT_RENAME_EXCHANGE : 0);
    if (result < 0) {
        vrift_unlinkat(task, overlay->work, temporary, 0);
        return result;
    }
    if (directory) {
        vr_overlay_names_clean(overlay, temporary); /* what stays of it lies in work and harms nobody */
    }
    return 0;
}

/* Takes away what the upper has under a name that no lower layer shows. */
static int32_t uncover(struct vr_overlay *overlay, int32_t dir, const char *name, bool directory)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    char temporary[32];
    int32_t result = vrift_unlinkat(task, dir, name, directory ? VRIFT_AT_REMOVEDIR : 0);
    if (!directory || result != -VRIFT_ENOTEMPTY) {
        return result;
    }
    vr_overlay_copyup_temporary(overlay, temporary);
    result = vrift_renameat2(task, dir, name, overlay->work, temporary, VRIFT_RENAME_NOREPLACE);
    if (result == 0) {
        vr_overlay_names_clean(overlay, temporary);
    }
    return result;
}

/* -- Creation ----------------------------------------------------------------------------------------------------- */

static int32_t make(struct vr_overlay *overlay, int32_t dir, const char *name, const struct vrift_create *how)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    switch (how->mode & VRIFT_S_IFMT) {
    case VRIFT_S_IFDIR:
        return vrift_mkdirat(task, dir, name, how->mode & 07777);
    case VRIFT_S_IFLNK:
        return vrift_symlinkat(task, how->target, dir, name);
    default:
        return vrift_mknodat(task, dir, name, how->mode, how->rdev);
    }
}

/* What lies in work inherits nothing from the directory it is meant for. */
static int32_t set_acls(struct vr_overlay *overlay, int32_t fd, const char *name, const struct vrift_create *how)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    uint64_t flags = *name ? VRIFT_AT_SYMLINK_NOFOLLOW : VRIFT_AT_EMPTY_PATH;
    int32_t result = 0;
    if (how->acl) {
        result = vrift_setxattrat(task, fd, name, "system.posix_acl_access", how->acl, how->acl_size, flags);
    }
    if (result == 0 && how->default_acl) {
        result = vrift_setxattrat(task, fd, name, "system.posix_acl_default", how->default_acl, how->default_acl_size,
                                  flags);
    }
    return result;
}

/* Gives what was made its owner, and its mode again, which a change of owner may have cut. */
static int32_t finish(struct vr_overlay *overlay, int32_t dir, const char *name, const struct vrift_create *how)
{
    int32_t result = vr_overlay_copyup_own(overlay, dir, name, how->uid, how->gid);
    if (result == 0 && (how->mode & VRIFT_S_IFMT) != VRIFT_S_IFLNK) {
        result = vrift_fchmodat(vr_overlay_upper_task(overlay), dir, name, how->mode & 07777, 0);
    }
    return result < 0 ? result : set_acls(overlay, dir, name, how);
}

/* Makes it in work and moves it into place, over the whiteout if there is one. */
static int32_t create_in_work(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name,
                              const struct vrift_create *how, bool over_whiteout)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    bool directory = (how->mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR;
    char temporary[32];
    vr_overlay_copyup_temporary(overlay, temporary);
    int32_t result = make(overlay, overlay->work, temporary, how);
    if (result < 0) {
        return result;
    }
    result = finish(overlay, overlay->work, temporary, how);
    if (result == 0 && directory && over_whiteout) {
        result = vr_overlay_copyup_set_opaque(overlay, overlay->work, temporary);
    }
    if (result == 0) {
        uint64_t flags = !over_whiteout ? VRIFT_RENAME_NOREPLACE : directory ? VRIFT_RENAME_EXCHANGE : 0;
        result = vrift_renameat2(task, overlay->work, temporary, dir->upper, name, flags);
    }
    if (result == 0 && over_whiteout && directory) {
        vrift_unlinkat(task, overlay->work, temporary, 0); /* the whiteout that changed places with it */
    } else if (result < 0) {
        vrift_unlinkat(task, overlay->work, temporary, directory ? VRIFT_AT_REMOVEDIR : 0);
    }
    return result;
}

/* The state of a free name: NOTHING or WHITEOUT; -VRIFT_EEXIST if it is not free. */
static int32_t free_name(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name)
{
    struct vrift_stat stat;
    int32_t state = vr_overlay_lookup_upper(overlay, dir, name, &stat);
    if (state == VR_OVERLAY_NOTHING) {
        int32_t below = vr_overlay_lookup_lower(overlay, dir, name);
        return below > 0 ? -VRIFT_EEXIST : below;
    }
    return state == VR_OVERLAY_ENTRY ? -VRIFT_EEXIST : state;
}

static void enter(struct vr_overlay *overlay, struct vr_overlay_node *dir, const struct vrift_name *name,
                  const struct vr_overlay_node *node)
{
    vr_overlay_readdir_add(overlay, dir, name->bytes, name->length, node->type, node->ino);
}

static int32_t create_locked(struct vr_overlay *overlay, struct vr_overlay_node *dir, const struct vrift_name *name,
                             const struct vrift_create *how, struct vrift_entry *out)
{
    struct vr_overlay_node *node;
    int32_t result, state = free_name(overlay, dir, name->bytes);
    if (state < 0) {
        return state;
    }
    bool in_place = (how->uid == 0 && how->gid == 0) || overlay->owners_optional;
    if (state == VR_OVERLAY_NOTHING && in_place) {
        result = make(overlay, dir->upper, name->bytes, how); /* it is born with its final owner */
    } else {
        result = create_in_work(overlay, dir, name->bytes, how, state == VR_OVERLAY_WHITEOUT);
    }
    if (result == 0) {
        result = vr_overlay_lookup(overlay, dir, name->bytes, name->length, &node, &out->attr);
    }
    if (result == 0) {
        vr_overlay_node_key(node, &out->node);
        enter(overlay, dir, name, node);
    }
    return result;
}

static int32_t bear_nameless(struct vr_overlay *overlay, int32_t fd, struct vrift_entry *out)
{
    struct vr_overlay_node *node;
    struct vrift_stat stat;
    int32_t result = vrift_statat(vr_overlay_upper_task(overlay), fd, "", VRIFT_AT_EMPTY_PATH, &stat);
    if (result < 0) {
        vrift_close(vr_overlay_upper_task(overlay), fd);
        return result;
    }
    struct vr_overlay_birth birth = {
        .type = VRIFT_S_IFREG,
        .upper = fd,
        .upper_ino = stat.ino,
        .ino = vr_overlay_node_number(overlay, VR_OVERLAY_UPPER, stat.ino),
    };
    result = vr_overlay_node_make(overlay, &birth, &node);
    if (result < 0) {
        return result;
    }
    result = vr_overlay_lookup_stat(overlay, node, &out->attr);
    if (result < 0) {
        vr_overlay_node_unref(overlay, node);
        return result;
    }
    vr_overlay_node_key(node, &out->node);
    return 0;
}

/* A file without a name: the upper's own where it has such, so that it can be linked later. */
static int32_t create_nameless(struct vr_overlay *overlay, const struct vrift_create *how, struct vrift_entry *out)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    uint64_t flags = VRIFT_O_TMPFILE | VRIFT_O_RDWR | (how->flags & VRIFT_CREATE_UNLINKABLE ? VRIFT_O_EXCL : 0);
    int32_t file = vrift_openat(task, overlay->work, ".", flags, how->mode & 07777);
    if (file < 0) {
        return file;
    }
    int32_t result = vr_overlay_copyup_own(overlay, file, "", how->uid, how->gid);
    if (result == 0) {
        result = vrift_fchmodat(task, file, "", how->mode & 07777, VRIFT_AT_EMPTY_PATH);
    }
    if (result == 0) {
        result = set_acls(overlay, file, "", how);
    }
    int32_t fd = result < 0 ? result : vrift_reopen(task, file, VRIFT_O_PATH);
    vrift_close(task, file);
    return fd < 0 ? fd : bear_nameless(overlay, fd, out);
}

int32_t VRIFT_CALLBACK vr_overlay_names_create(void *self, const struct vrift_node *dirn, const struct vrift_name *name,
                                               const struct vrift_create *how, struct vrift_entry *out)
{
    struct vr_overlay *overlay = self;
    struct vr_overlay_node *dir = vr_overlay_node_of(dirn);
    if ((how->mode & VRIFT_S_IFMT) == VRIFT_S_IFCHR && how->rdev == 0) {
        return -VRIFT_EPERM; /* it would be a whiteout */
    }
    if (how->flags & VRIFT_CREATE_TMPFILE) {
        return create_nameless(overlay, how, out);
    }
    int32_t result = vr_overlay_copyup(overlay, dir, VR_OVERLAY_ALL_DATA);
    if (result < 0) {
        return result;
    }
    vr_os_rwlock_write(&dir->names);
    result = create_locked(overlay, dir, name, how, out);
    vr_os_rwlock_unlock(&dir->names);
    return result;
}

/* -- Link --------------------------------------------------------------------------------------------------------- */

static int32_t link_locked(struct vr_overlay *overlay, struct vr_overlay_node *node, struct vr_overlay_node *dir,
                           const char *name)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    char temporary[32];
    int32_t state = free_name(overlay, dir, name);
    if (state != VR_OVERLAY_WHITEOUT) {
        return state < 0 ? state : vrift_linkat(task, node->upper, "", dir->upper, name, VRIFT_AT_EMPTY_PATH);
    }
    vr_overlay_copyup_temporary(overlay, temporary);
    int32_t result = vrift_linkat(task, node->upper, "", overlay->work, temporary, VRIFT_AT_EMPTY_PATH);
    if (result == 0) {
        result = vrift_renameat2(task, overlay->work, temporary, dir->upper, name, 0);
        if (result < 0) {
            vrift_unlinkat(task, overlay->work, temporary, 0);
        }
    }
    return result;
}

int32_t VRIFT_CALLBACK vr_overlay_names_link(void *self, const struct vrift_node *noden, const struct vrift_node *dirn,
                                             const struct vrift_name *name, struct vrift_stat *out)
{
    struct vr_overlay *overlay = self;
    struct vr_overlay_node *node = vr_overlay_node_of(noden), *dir = vr_overlay_node_of(dirn);
    int32_t result = vr_overlay_copyup(overlay, node, VR_OVERLAY_ALL_DATA);
    if (result == 0) {
        result = vr_overlay_copyup(overlay, dir, VR_OVERLAY_ALL_DATA);
    }
    if (result < 0) {
        return result;
    }
    vr_os_rwlock_write(&dir->names);
    result = link_locked(overlay, node, dir, name->bytes);
    if (result == 0) {
        enter(overlay, dir, name, node);
        result = vr_overlay_lookup_stat(overlay, node, out);
    }
    vr_os_rwlock_unlock(&dir->names);
    return result;
}

/* -- Removal ------------------------------------------------------------------------------------------------------ */

static int32_t remove_locked(struct vr_overlay *overlay, struct vr_overlay_node *dir, const struct vrift_name *name,
                             struct vr_overlay_node *node)
{
    struct vrift_stat stat;
    bool directory = vr_overlay_is_dir(node);
    int32_t state = vr_overlay_lookup_upper(overlay, dir, name->bytes, &stat);
    int32_t below = state < 0 ? state : vr_overlay_lookup_lower(overlay, dir, name->bytes);
    if (below < 0) {
        return below;
    }
    if (state == VR_OVERLAY_WHITEOUT || (state == VR_OVERLAY_NOTHING && !below)) {
        return -VRIFT_ENOENT;
    }
    int32_t result = below ? cover(overlay, dir->upper, name->bytes, state == VR_OVERLAY_ENTRY, directory)
                           : uncover(overlay, dir->upper, name->bytes, directory);
    if (result == 0) {
        vr_overlay_node_lose_name(overlay, node);
        vr_overlay_readdir_drop(overlay, dir, name->bytes, name->length);
    }
    return result;
}

int32_t VRIFT_CALLBACK vr_overlay_names_unlink(void *self, const struct vrift_node *dirn, const struct vrift_name *name,
                                               const struct vrift_node *noden, uint64_t flags)
{
    struct vr_overlay *overlay = self;
    struct vr_overlay_node *dir = vr_overlay_node_of(dirn), *node = vr_overlay_node_of(noden);
    bool directory = vr_overlay_is_dir(node);
    if (directory != !!(flags & VRIFT_AT_REMOVEDIR)) {
        return directory ? -VRIFT_EISDIR : -VRIFT_ENOTDIR;
    }
    int32_t result = vr_overlay_copyup(overlay, dir, VR_OVERLAY_ALL_DATA);
    if (result < 0) {
        return result;
    }
    vr_os_rwlock_write(&dir->names);
    if (directory) {
        vr_os_rwlock_write(&node->names);
        result = vr_overlay_readdir_empty(overlay, node);
    }
    if (result == 0) {
        result = remove_locked(overlay, dir, name, node);
    }
    if (directory) {
        vr_os_rwlock_unlock(&node->names);
    }
    vr_os_rwlock_unlock(&dir->names);
    return result;
}
