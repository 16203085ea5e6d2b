/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* vrift_getdents: `.` and `..` are the core's, the rest the backend's. */
#include "core/attr.h"
#include "core/dcache.h"
#include "core/description.h"
#include "core/dispatch.h"
#include "core/fdtable.h"
#include "core/inode.h"

#include <vrift/file.h>

#include <string.h>

/* Cookies of the backend are shifted by the two that are ours. */
#define COOKIE_DOT    1u
#define COOKIE_DOTDOT 2u

/* The caller's buffer as it fills. */
struct filling {
    unsigned char *buf;
    size_t length, used;
    uint64_t position; /* after the last entry taken */
    uint64_t entries;
    bool full;   /* an entry did not fit */
    bool broken; /* the backend emitted what is no name */
};

static bool put(struct filling *filling, const char *name, size_t length, uint64_t ino, uint32_t type, uint64_t cookie)
{
    size_t size = (sizeof(struct vrift_dirent) + length + 1 + 7) & ~(size_t)7;
    if (size > filling->length - filling->used) {
        filling->full = true;
        return false;
    }
    struct vrift_dirent entry = {ino, cookie, (uint16_t)size, (uint16_t)length, type};
    unsigned char *at = filling->buf + filling->used;
    memset(at + size - 8, 0, 8);
    memcpy(at, &entry, sizeof entry);
    memcpy(at + sizeof entry, name, length);
    at[sizeof entry + length] = '\0';
    filling->used += size;
    filling->position = cookie;
    return true;
}

static int32_t VRIFT_CALLBACK take_entry(const struct vrift_dir_entry *entry, void *payload)
{
    struct filling *filling = payload;
    if (entry->name_length < 1 || entry->name_length > VRIFT_NAME_MAX || memchr(entry->name, '/', entry->name_length) ||
        memchr(entry->name, '\0', entry->name_length)) {
        filling->broken = true;
        return 1;
    }
    if (!put(filling, entry->name, entry->name_length, entry->ino, entry->type, entry->cookie + COOKIE_DOTDOT))
        return 1;
    filling->entries++;
    return 0;
}

static uint64_t ino_of(struct vr_inode *inode)
{
    struct vrift_stat st;
    return vr_inode_getattr(inode, vr_inode_now(inode->sb), &st) ? 0 : st.ino;
}

static uint64_t parent_ino(vrift_file *file)
{
    struct vr_dentry *dentry = file->path.dentry;
    vr_dcache_read_begin(file->vfs);
    struct vr_dentry *parent = dentry->parent;
    vr_dcache_ref(parent);
    vr_dcache_read_end(file->vfs);
    uint64_t ino = ino_of(parent->inode);
    vr_dcache_unref(parent);
    return ino;
}

/*
 * After a listing from start to end during which no name of the superblock changed: if as many names are cached as
 * were listed, they are all there is.
 */
static void learn_completeness(vrift_file *file, uint64_t listed)
{
    struct vr_dentry *dir = file->path.dentry;
    vrift_sb *sb = dir->sb;
    if (!sb->completes || listed == UINT64_MAX)
        return;
    vr_dcache_write_begin(sb->vfs);
    if (atomic_load(&sb->started) == file->listed_token && dir->positive == listed)
        dir->flags |= VR_DENTRY_COMPLETE;
    vr_dcache_write_end(sb->vfs);
}

/* With the position locked. */
static int64_t fill(vrift_file *file, struct filling *filling)
{
    struct vr_inode *inode = file->path.dentry->inode;
    vrift_sb *sb = inode->sb;
    if (atomic_load(&inode->unlinked))
        return 0;
    if (file->position == 0) {
        uint64_t finished = atomic_load(&sb->finished);
        file->listed_token = atomic_load(&sb->started);
        file->listed = file->listed_token == finished ? 0 : UINT64_MAX;
        if (!put(filling, ".", 1, ino_of(inode), VRIFT_DT_DIR, COOKIE_DOT))
            return -VRIFT_EINVAL;
    }
    if (filling->position == COOKIE_DOT)
        put(filling, "..", 2, parent_ino(file), VRIFT_DT_DIR, COOKIE_DOTDOT);
    uint32_t end = 0;
    int32_t error = 0;
    if (!filling->full)
        error = vr_dispatch_readdir(inode, filling->position - COOKIE_DOTDOT, take_entry, filling, &end);
    file->position = filling->position;
    if (file->listed != UINT64_MAX)
        file->listed += filling->entries;
    if (filling->used)
        return (int64_t)filling->used;
    if (error < 0)
        return error;
    if (filling->full || filling->broken)
        return filling->full ? -VRIFT_EINVAL : -VRIFT_EIO;
    learn_completeness(file, file->listed);
    return 0;
}

int64_t vrift_getdents(vrift_task *task, int32_t fd, void *buf, size_t len, uint64_t flags)
{
    vrift_file *file;
    if (!task || !buf || flags)
        return -VRIFT_EINVAL;
    int64_t result = vr_fdtable_get_open(task->files, fd, &file);
    if (result)
        return result;
    if (!vr_is_dir(file->path.dentry->inode)) {
        result = -VRIFT_ENOTDIR;
    } else {
        vr_description_lock(file);
        struct filling filling = {.buf = buf, .length = len, .position = file->position};
        result = fill(file, &filling);
        vr_description_unlock(file);
    }
    vrift_file_unref(file);
    return result;
}

const char *vrift_dirent_name(const struct vrift_dirent *entry)
{
    return (const char *)(entry + 1);
}
