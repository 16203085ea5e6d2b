/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* vrift_getdents: `.` and `..` are the core's, the rest the backend's. */
#include "core/atime.h"
#include "core/attr.h"
#include "core/dcache.h"
#include "core/description.h"
#include "core/dispatch.h"
#include "core/fdtable.h"
#include "core/inode.h"
#include "core/mnt.h"
#include "core/perm.h"
#include "core/walk.h"
#include "core/watch.h"

#include <vrift/file.h>
#include <vrift/fs.h>
#include <vrift/task.h>

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
    bool full;      /* an entry did not fit */
    bool broken;    /* the backend emitted what is no name */
    bool stats;     /* attributes are wanted */
    bool trusted;   /* those that the backend hands over are the answer: nothing is mounted on a name in it */
    bool forbidden; /* the task may not search the directory */
    const struct vr_mount *mount;
};

/* In place of a mask, within this file: the attributes are still to be asked for. */
#define TO_ASK UINT64_MAX

static void put_stat(struct filling *filling, unsigned char *at, const struct vrift_stat *attr)
{
    struct vrift_stat own;
    if (attr && filling->trusted && !filling->forbidden) {
        memcpy(at, attr, sizeof own);
        uint64_t dev = filling->mount->sb->number, id = filling->mount->id, mask = attr->mask | VRIFT_STAT_MOUNT_ID;
        memcpy(at + offsetof(struct vrift_stat, dev), &dev, sizeof dev);
        memcpy(at + offsetof(struct vrift_stat, mount_id), &id, sizeof id);
        memcpy(at + offsetof(struct vrift_stat, mask), &mask, sizeof mask);
        return;
    }
    memset(&own, 0, sizeof own);
    own.mask = filling->forbidden ? 0 : TO_ASK;
    memcpy(at, &own, sizeof own);
}

static bool put(struct filling *filling, const char *name, size_t length, uint64_t ino, uint32_t type, uint64_t cookie,
                const struct vrift_stat *attr)
{
    size_t bare = (sizeof(struct vrift_dirent) + length + 1 + 7) & ~(size_t)7;
    size_t size = bare + (filling->stats ? sizeof(struct vrift_stat) : 0);
    if (size > filling->length - filling->used) {
        filling->full = true;
        return false;
    }
    struct vrift_dirent entry = {.ino = ino,
                                 .cookie = cookie,
                                 .record_length = (uint16_t)size,
                                 .name_length = (uint16_t)length,
                                 .type = (uint16_t)type,
                                 .stat_offset = filling->stats ? (uint16_t)bare : 0};
    unsigned char *at = filling->buf + filling->used;
    memset(at + bare - 8, 0, 8);
    memcpy(at, &entry, sizeof entry);
    memcpy(at + sizeof entry, name, length);
    at[sizeof entry + length] = '\0';
    if (filling->stats)
        put_stat(filling, at + bare, attr);
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
    if (!put(filling, entry->name, entry->name_length, entry->ino, entry->type, entry->cookie + COOKIE_DOTDOT,
             entry->attr))
        return 1;
    filling->entries++;
    return 0;
}

static int32_t ino_of(struct vr_inode *inode, uint64_t *ino)
{
    struct vrift_stat st;
    int32_t error = vr_inode_getattr(inode, vr_inode_now(inode->sb), &st);
    if (!error)
        *ino = st.ino;
    return error;
}

static int32_t parent_ino(vrift_file *file, uint64_t *ino)
{
    struct vr_dentry *dentry = file->path.dentry;
    vr_dcache_read_begin(file->vfs);
    struct vr_dentry *parent = dentry->parent;
    vr_dcache_ref(parent);
    vr_dcache_read_end(file->vfs);
    int32_t error = ino_of(parent->inode, ino);
    vr_dcache_unref(parent);
    return error;
}

/* Moves when a name of the superblock changes, and when somebody says that what is known of them may be wrong. */
static uint64_t listing_token(vrift_sb *sb)
{
    return atomic_load(&sb->started) + atomic_load(&sb->invalidated);
}

/*
 * After a listing from start to end during which no name of the superblock changed: if as many names are cached as
 * were listed, they are all there is.
 */
static void learn_completeness(vrift_file *file, uint64_t listed)
{
    struct vr_dentry *dir = file->path.dentry;
    vrift_sb *sb = vr_dcache_sb(dir);
    if (!sb->completes || listed == UINT64_MAX)
        return;
    vr_dcache_read_begin(sb->vfs);
    if (listing_token(sb) == file->listed_token && dir->positive == listed && !(dir->flags & VR_DENTRY_COMPLETE)) {
        vr_dcache_changing(sb->vfs); /* not else: a listing that teaches nothing disturbs no walk */
        dir->flags |= VR_DENTRY_COMPLETE;
    }
    vr_dcache_read_end(sb->vfs);
}

static int32_t put_dots(vrift_file *file, struct filling *filling)
{
    uint64_t ino;
    int32_t error = 0;
    if (filling->position == 0) {
        error = ino_of(file->path.dentry->inode, &ino);
        if (!error)
            put(filling, ".", 1, ino, VRIFT_DT_DIR, COOKIE_DOT, NULL);
    }
    if (filling->position == COOKIE_DOT) {
        error = parent_ino(file, &ino);
        if (!error)
            put(filling, "..", 2, ino, VRIFT_DT_DIR, COOKIE_DOTDOT, NULL);
    }
    return error;
}

/* With the position locked. */
static int64_t fill(vrift_file *file, struct filling *filling)
{
    struct vr_inode *inode = file->path.dentry->inode;
    vrift_sb *sb = inode->sb;
    if (atomic_load(&inode->unlinked))
        return -VRIFT_ENOENT; /* which readdir(3) takes for the end */
    if (file->position == 0) {
        uint64_t finished = atomic_load(&sb->finished);
        file->listed_token = listing_token(sb);
        file->listed = atomic_load(&sb->started) == finished ? 0 : UINT64_MAX;
    }
    uint32_t end = 0;
    int32_t error = put_dots(file, filling);
    /* Whose name is on its way out or in is listed as the cache will show it: nobody sees a list and then the name. */
    vr_inode_lock_shared(inode, VR_RANK_DIR);
    if (!error && atomic_load(&inode->unlinked))
        error = -VRIFT_ENOENT;
    else if (!error && !filling->full)
        error = vr_dispatch_readdir(inode, filling->position - COOKIE_DOTDOT, filling->stats ? VRIFT_STAT_ALL : 0,
                                    take_entry, filling, &end);
    vr_inode_unlock(inode, VR_RANK_DIR);
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

/* What the names of a directory mean is asked one by one where the backend had no answer at hand, or not the last word. */
static int32_t stat_name(vrift_task *task, vrift_file *dir, const char *name, struct vrift_stat *out)
{
    struct vr_walk walk;
    int32_t error = vr_walk_begin(&walk, task, VRIFT_AT_FDCWD, name, 0, 0);
    walk.dir_file = vrift_file_ref(dir);
    if (!error)
        error = vr_walk_run(&walk);
    if (!error)
        error = vr_attr_stat(&walk.path, out);
    vr_walk_end(&walk);
    return error;
}

static void ask_stats(vrift_task *task, vrift_file *dir, const struct filling *filling)
{
    for (size_t at = 0; at < filling->used;) {
        struct vrift_dirent entry;
        struct vrift_stat st;
        unsigned char *record = filling->buf + at;
        memcpy(&entry, record, sizeof entry);
        memcpy(&st.mask, record + entry.stat_offset, sizeof st.mask);
        if (st.mask == TO_ASK) {
            if (stat_name(task, dir, (const char *)record + sizeof entry, &st))
                memset(&st, 0, sizeof st);
            memcpy(record + entry.stat_offset, &st, sizeof st);
        }
        at += entry.record_length;
    }
}

/* With the position locked: who asks, and whether a mount may hide what the backend knows. */
static void prepare_stats(vrift_task *task, vrift_file *file, struct filling *filling)
{
    vrift_cred *cred = vr_walk_cred(task);
    filling->stats = true;
    filling->forbidden = vr_perm_search(cred, file->path.dentry->inode) != 0;
    vrift_cred_unref(cred);
    vr_dcache_read_begin(file->vfs);
    filling->trusted = !vr_mnt_any_in(&file->path);
    vr_dcache_read_end(file->vfs);
}

int64_t vrift_getdents(vrift_task *task, int32_t fd, void *buf, size_t len, uint64_t flags)
{
    vrift_file *file;
    if (!task || !buf || flags & ~VRIFT_GETDENTS_STAT)
        return -VRIFT_EINVAL;
    int64_t result = vr_fdtable_get_open(task->files, fd, &file);
    if (result)
        return result;
    if (!vr_is_dir(file->path.dentry->inode)) {
        result = -VRIFT_ENOTDIR;
    } else {
        vr_description_lock(file);
        struct filling filling = {.buf = buf, .length = len, .position = file->position, .mount = file->path.mount};
        if (flags & VRIFT_GETDENTS_STAT)
            prepare_stats(task, file, &filling);
        result = fill(file, &filling);
        if (!atomic_load(&file->path.dentry->inode->unlinked))
            vr_watch_file(file->path.dentry, VRIFT_IN_ACCESS);
        if (result > 0 && filling.stats)
            ask_stats(task, file, &filling);
        vr_description_unlock(file);
        if (!atomic_load(&file->path.dentry->inode->unlinked))
            vr_atime_file(file);
    }
    vrift_file_unref(file);
    return result;
}

const char *vrift_dirent_name(const struct vrift_dirent *entry)
{
    return (const char *)(entry + 1);
}

const struct vrift_stat *vrift_dirent_stat(const struct vrift_dirent *entry)
{
    const void *at = (const unsigned char *)entry + entry->stat_offset;
    return entry->stat_offset ? at : NULL;
}
