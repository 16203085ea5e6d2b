/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls that read and change attributes by path. */
#include "core/atime.h"
#include "core/attr.h"
#include "core/dcache.h"
#include "core/dispatch.h"
#include "core/dpath.h"
#include "core/inode.h"
#include "core/memo.h"
#include "core/mnt.h"
#include "core/perm.h"
#include "core/walk.h"
#include "core/watch.h"

#include <vrift/file.h>
#include <vrift/fs.h>

#include <string.h>

/* The walk of an AT_... flags word; VRIFT_AT_SYMLINK_NOFOLLOW and _EMPTY_PATH are known. */
static int32_t begin(struct vr_walk *walk, vrift_task *task, int32_t dirfd, const char *path, uint64_t flags)
{
    uint32_t how = flags & VRIFT_AT_SYMLINK_NOFOLLOW ? 0 : VR_WALK_FOLLOW;
    if (flags & VRIFT_AT_EMPTY_PATH)
        how |= VR_WALK_EMPTY;
    return vr_walk_begin(walk, task, dirfd, path, how, 0);
}

#define AT_FLAGS (VRIFT_AT_SYMLINK_NOFOLLOW | VRIFT_AT_EMPTY_PATH)

int32_t vr_attr_stat(const struct vr_path *path, struct vrift_stat *out)
{
    struct vr_inode *inode = path->dentry->inode;
    struct vrift_stat attr;
    int32_t error = vr_inode_getattr(inode, vr_inode_now(inode->sb), &attr);
    if (error)
        return error;
    vr_attr_finish(path->mount, &attr);
    *out = attr;
    return 0;
}

static int32_t statat_once(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags, struct vrift_stat *out)
{
    if (!task || !path || !out || flags & ~AT_FLAGS)
        return -VRIFT_EINVAL;
    struct vr_memo_question question;
    bool asked = false;
    int32_t error = dirfd == VRIFT_AT_FDCWD ? vr_memo_find(task, path, flags, out, &question, &asked) : 1;
    if (error <= 0)
        return error;
    struct vr_walk walk;
    error = begin(&walk, task, dirfd, path, flags);
    if (!error) {
        walk.peek = out;
        error = vr_walk_run(&walk);
        vr_memo_note(task, &walk);
        if (asked && !walk.read_links) /* else the next one through a symlink is to be stamped, too */
            vr_memo_keep(&question, &walk, error, out);
    }
    if (!error && !walk.peeked)
        error = vr_attr_stat(&walk.path, out);
    vr_walk_end(&walk);
    return error;
}

int32_t vrift_statat(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags, struct vrift_stat *out)
{
    int32_t result;
    VR_WALK_RETRY(result, statat_once(task, dirfd, path, flags, out));
    return result;
}

static uint32_t permissions_of(const struct vr_inode *inode)
{
    return atomic_load_explicit(&inode->mode, memory_order_relaxed) & 07777;
}

/* -- Changing ------------------------------------------------------------------------------------------------------ */

/* Fills in what is to be changed, with the inode locked. */
typedef int32_t (*prepare_fn)(const vrift_cred *cred, struct vr_inode *inode, const void *wanted,
                              struct vrift_setattr *set);

/* The ACL goes first, since that may want memory: what fails changes nothing. */
static int32_t change_locked(struct vr_inode *inode, const struct vrift_setattr *set)
{
    uint32_t before = permissions_of(inode);
    int32_t error = set->mask & VRIFT_SET_MODE ? vr_acl_follow_mode(inode, set->mode) : 0;
    if (error)
        return error;
    error = vr_inode_setattr(inode, NULL, set);
    if (error && set->mask & VRIFT_SET_MODE)
        (void)vr_acl_follow_mode(inode, before);
    return error;
}

static int32_t change(const struct vr_path *path, const vrift_cred *cred, prepare_fn prepare, const void *wanted)
{
    struct vr_inode *inode = path->dentry->inode;
    struct vrift_setattr set = {.size = sizeof set};
    int32_t error = vr_mnt_want_write(path->mount);
    if (error)
        return error;
    vr_inode_lock(inode, VR_RANK_CHILD);
    error = vr_perm_refresh(inode);
    if (!error)
        error = prepare(cred, inode, wanted, &set);
    if (!error)
        error = change_locked(inode, &set);
    if (!error)
        vr_watch_dentry(path->dentry, vr_watch_of_setattr(&set));
    vr_inode_unlock(inode, VR_RANK_CHILD);
    vr_mnt_drop_write(path->mount);
    return error;
}

static int32_t change_at_once(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags, prepare_fn prepare,
                              const void *wanted)
{
    if (!task || !path || flags & ~AT_FLAGS)
        return -VRIFT_EINVAL;
    struct vr_walk walk;
    int32_t error = begin(&walk, task, dirfd, path, flags);
    if (!error)
        error = vr_walk_run(&walk);
    if (!error)
        error = change(&walk.path, walk.cred, prepare, wanted);
    vr_walk_end(&walk);
    return error;
}

static int32_t change_at(vrift_task *task, int32_t dirfd, const char *path, uint64_t flags, prepare_fn prepare,
                         const void *wanted)
{
    int32_t result;
    VR_WALK_RETRY(result, change_at_once(task, dirfd, path, flags, prepare, wanted));
    return result;
}

static int32_t prepare_mode(const vrift_cred *cred, struct vr_inode *inode, const void *wanted,
                            struct vrift_setattr *set)
{
    if (vr_perm_is(inode, VR_MODE_IMMUTABLE | VR_MODE_APPEND))
        return -VRIFT_EPERM;
    if (vr_is_link(inode))
        return -VRIFT_EOPNOTSUPP;
    if (!vr_perm_owner(cred, inode))
        return -VRIFT_EPERM;
    set->mask = VRIFT_SET_MODE;
    set->mode = *(const uint32_t *)wanted & 07777;
    set->mode &= ~vr_perm_setgid_lost(cred, atomic_load_explicit(&inode->gid, memory_order_relaxed));
    return 0;
}

int32_t vrift_fchmodat(vrift_task *task, int32_t dirfd, const char *path, uint32_t mode, uint64_t flags)
{
    return change_at(task, dirfd, path, flags, prepare_mode, &mode);
}

/* Where the backend is not asked to change what would have made it take capabilities away itself. */
static int32_t drop_unseen(struct vr_inode *inode)
{
    struct vrift_stat st;
    int32_t error = vr_inode_getattr(inode, vr_inode_now(inode->sb), &st);
    if (error || st.mask & VRIFT_STAT_RIGHTS)
        return error ? error : vr_attr_drop_capabilities(inode);
    if (vr_dispatch_getxattr(inode, "security.capability", NULL, 0) <= 0)
        return 0;
    error = vr_dispatch_removexattr(inode, "security.capability");
    if (!error)
        vr_inode_attr_forget(inode);
    return error == -VRIFT_ENODATA ? 0 : error;
}

struct owners {
    uint32_t uid, gid;
};

static int32_t prepare_owners(const vrift_cred *cred, struct vr_inode *inode, const void *wanted,
                              struct vrift_setattr *set)
{
    const struct owners *owners = wanted;
    uint32_t uid = atomic_load_explicit(&inode->uid, memory_order_relaxed);
    uint32_t gid = atomic_load_explicit(&inode->gid, memory_order_relaxed);
    bool may = vr_perm_capable(cred, VRIFT_CAP_CHOWN);
    if ((owners->uid & owners->gid) != UINT32_MAX && vr_perm_is(inode, VR_MODE_IMMUTABLE | VR_MODE_APPEND))
        return -VRIFT_EPERM;
    if (owners->uid != UINT32_MAX) {
        if (!may && (cred->uid != uid || owners->uid != uid))
            return -VRIFT_EPERM;
        set->mask |= VRIFT_SET_UID;
        set->uid = owners->uid;
    }
    if (owners->gid != UINT32_MAX) {
        if (!may && (cred->uid != uid || (owners->gid != gid && !vr_perm_in_group(cred, owners->gid))))
            return -VRIFT_EPERM;
        set->mask |= VRIFT_SET_GID;
        set->gid = owners->gid;
    }
    uint32_t killed = vr_perm_killed_by_chown(cred, inode);
    if (killed) {
        /* The bits go by a change of mode, which is the owner's even where nothing else changes. */
        if (!vr_perm_owner(cred, inode))
            return -VRIFT_EPERM;
        set->mask |= VRIFT_SET_MODE;
        set->mode = permissions_of(inode) & ~killed;
        set->mode &= ~vr_perm_setgid_lost(cred, owners->gid != UINT32_MAX ? owners->gid : gid);
    }
    if (vr_is_dir(inode))
        return 0;
    return set->mask & (VRIFT_SET_UID | VRIFT_SET_GID) ? vr_attr_drop_capabilities(inode) : drop_unseen(inode);
}

int32_t vrift_fchownat(vrift_task *task, int32_t dirfd, const char *path, uint32_t uid, uint32_t gid, uint64_t flags)
{
    struct owners owners = {uid, gid};
    return change_at(task, dirfd, path, flags, prepare_owners, &owners);
}

static bool time_is_valid(const struct vrift_timespec *time)
{
    return time->nsec < 1000000000u || time->nsec == VRIFT_UTIME_NOW || time->nsec == VRIFT_UTIME_OMIT;
}

static int32_t prepare_times(const vrift_cred *cred, struct vr_inode *inode, const void *wanted,
                             struct vrift_setattr *set)
{
    const struct vrift_timespec *times = wanted;
    static const struct vrift_timespec now[2] = {{0, VRIFT_UTIME_NOW, 0}, {0, VRIFT_UTIME_NOW, 0}};
    if (!times)
        times = now;
    if (!time_is_valid(&times[0]) || !time_is_valid(&times[1]))
        return -VRIFT_EINVAL;
    bool touch = times[0].nsec == VRIFT_UTIME_NOW && times[1].nsec == VRIFT_UTIME_NOW;
    if (vr_perm_is(inode, touch ? VR_MODE_IMMUTABLE : VR_MODE_IMMUTABLE | VR_MODE_APPEND))
        return -VRIFT_EPERM;
    if (!vr_perm_owner(cred, inode)) {
        if (!touch)
            return -VRIFT_EPERM;
        int32_t error = vr_perm_check(cred, inode, VR_MAY_WRITE);
        if (error)
            return error;
    }
    if (times[0].nsec != VRIFT_UTIME_OMIT) {
        set->mask |= VRIFT_SET_ATIME | (times[0].nsec == VRIFT_UTIME_NOW ? VRIFT_SET_ATIME_NOW : 0);
        set->atime = times[0];
    }
    if (times[1].nsec != VRIFT_UTIME_OMIT) {
        set->mask |= VRIFT_SET_MTIME | (times[1].nsec == VRIFT_UTIME_NOW ? VRIFT_SET_MTIME_NOW : 0);
        set->mtime = times[1];
    }
    return 0;
}

int32_t vrift_utimensat(vrift_task *task, int32_t dirfd, const char *path, const struct vrift_timespec times[2],
                        uint64_t flags)
{
    if (times && times[0].nsec == VRIFT_UTIME_OMIT && times[1].nsec == VRIFT_UTIME_OMIT)
        return task && path && !(flags & ~AT_FLAGS) ? 0 : -VRIFT_EINVAL;
    return change_at(task, dirfd, path, flags, prepare_times, times);
}

/* -- Size ---------------------------------------------------------------------------------------------------------- */

int32_t vr_attr_drop_capabilities(struct vr_inode *inode)
{
    if (!vr_perm_is(inode, VR_MODE_FILE_CAPS))
        return 0;
    int32_t error = vr_dispatch_removexattr(inode, "security.capability");
    if (error && error != -VRIFT_ENODATA)
        return error;
    vr_inode_attr_forget(inode);
    vr_inode_lacks(inode, vr_inode_attr_token(inode), VR_MODE_FILE_CAPS);
    return 0;
}

int32_t vr_attr_modified(const vrift_cred *cred, struct vr_dentry *dentry, void *handle)
{
    struct vr_inode *inode = dentry->inode;
    int32_t error = vr_attr_drop_capabilities(inode);
    uint32_t killed = vr_perm_killed_by_write(cred, inode);
    if (error || !killed)
        return error;
    struct vrift_setattr set = {.size = sizeof set, .mask = VRIFT_SET_MODE};
    set.mode = permissions_of(inode) & ~killed;
    error = vr_inode_setattr(inode, handle, &set);
    if (!error)
        vr_watch_dentry(dentry, vr_watch_of_setattr(&set));
    return error;
}

int32_t vr_attr_may_grow(struct vr_inode *inode, uint64_t length, uint64_t max)
{
    struct vrift_stat attr;
    if (length <= max)
        return 0;
    int32_t error = vr_inode_getattr(inode, vr_inode_now(inode->sb), &attr);
    return error || length <= attr.size ? error : -VRIFT_EFBIG;
}

/* Without `resize` the length stays and only what a write takes away goes. */
static int32_t truncate_locked(const vrift_cred *cred, struct vr_dentry *dentry, void *handle, uint64_t length,
                               bool resize)
{
    struct vr_inode *inode = dentry->inode;
    struct vrift_setattr set = {.size = sizeof set, .mask = resize ? VRIFT_SET_SIZE : 0, .length = length};
    uint32_t killed = vr_perm_killed_by_write(cred, inode);
    if (killed) {
        set.mask |= VRIFT_SET_MODE;
        set.mode = permissions_of(inode) & ~killed;
    }
    int32_t error = resize ? vr_attr_drop_capabilities(inode) : drop_unseen(inode);
    if (!error && set.mask)
        error = vr_inode_setattr(inode, handle, &set);
    if (!error)
        vr_watch_dentry(dentry, vr_watch_of_setattr(&set) | VRIFT_IN_MODIFY);
    return error;
}

int32_t vr_attr_truncate(const vrift_cred *cred, struct vr_dentry *dentry, void *handle, uint64_t length, uint64_t max)
{
    struct vr_inode *inode = dentry->inode;
    vr_inode_lock(inode, VR_RANK_CHILD);
    int32_t error = vr_attr_may_grow(inode, length, max);
    if (!error)
        error = truncate_locked(cred, dentry, handle, length, true);
    vr_inode_unlock(inode, VR_RANK_CHILD);
    return error;
}

/* By name, unlike by descriptor, a file that has the length already is not stamped, unless, on tmpfs, it has pages. */
static int32_t truncate_named(const vrift_cred *cred, struct vr_dentry *dentry, uint64_t length, uint64_t max)
{
    struct vr_inode *inode = dentry->inode;
    struct vrift_stat st;
    vr_inode_lock(inode, VR_RANK_CHILD);
    int32_t error = vr_attr_may_grow(inode, length, max);
    if (!error)
        error = vr_inode_getattr(inode, vr_inode_now(inode->sb), &st);
    if (!error)
        error = truncate_locked(cred, dentry, NULL, length, st.size != length || st.blocks);
    vr_inode_unlock(inode, VR_RANK_CHILD);
    return error;
}

static int32_t truncate_once(vrift_task *task, const char *path, uint64_t length)
{
    if (!task || !path || length > INT64_MAX)
        return -VRIFT_EINVAL;
    struct vr_walk walk;
    int32_t error = begin(&walk, task, VRIFT_AT_FDCWD, path, 0);
    if (!error)
        error = vr_walk_run(&walk);
    if (!error) {
        struct vr_inode *inode = walk.path.dentry->inode;
        if (!vr_is_file(inode))
            error = vr_is_dir(inode) ? -VRIFT_EISDIR : -VRIFT_EINVAL;
        if (!error)
            error = vr_perm_check(walk.cred, inode, VR_MAY_WRITE);
        if (!error)
            error = vr_mnt_want_write(walk.path.mount);
        if (!error) {
            if (vr_perm_is(inode, VR_MODE_APPEND))
                error = -VRIFT_EPERM;
            if (!error)
                error = truncate_named(walk.cred, walk.path.dentry, length, task->max_file_size);
            vr_mnt_drop_write(walk.path.mount);
        }
    }
    vr_walk_end(&walk);
    return error;
}

int32_t vrift_truncate(vrift_task *task, const char *path, uint64_t length)
{
    int32_t result;
    VR_WALK_RETRY(result, truncate_once(task, path, length));
    return result;
}

/* -- Asking -------------------------------------------------------------------------------------------------------- */

static int32_t check_access(const struct vr_walk *walk, uint32_t mode)
{
    struct vr_inode *inode = walk->path.dentry->inode;
    uint32_t type = atomic_load_explicit(&inode->mode, memory_order_relaxed) & VRIFT_S_IFMT;
    bool writes_bytes = type == VRIFT_S_IFREG || type == VRIFT_S_IFDIR || type == VRIFT_S_IFLNK;
    if (mode & VR_MAY_EXEC && type == VRIFT_S_IFREG && vr_mnt_is(walk->path.mount, VRIFT_MOUNT_NOEXEC))
        return -VRIFT_EACCES;
    int32_t error = vr_perm_check(walk->cred, inode, mode);
    if (!error && mode & VR_MAY_WRITE && writes_bytes && vr_mnt_is_read_only(walk->path.mount))
        error = -VRIFT_EROFS;
    return error;
}

static int32_t faccessat_once(vrift_task *task, int32_t dirfd, const char *path, uint32_t mode, uint64_t flags)
{
    if (!task || !path || mode & ~7u || flags & ~AT_FLAGS)
        return -VRIFT_EINVAL;
    struct vr_walk walk;
    int32_t error = begin(&walk, task, dirfd, path, flags);
    if (!error)
        error = vr_walk_run(&walk);
    if (!error)
        error = check_access(&walk, mode);
    vr_walk_end(&walk);
    return error;
}

int32_t vrift_faccessat(vrift_task *task, int32_t dirfd, const char *path, uint32_t mode, uint64_t flags)
{
    int32_t result;
    VR_WALK_RETRY(result, faccessat_once(task, dirfd, path, mode, flags));
    return result;
}

static int32_t statfs_once(vrift_task *task, int32_t dirfd, const char *path, struct vrift_statfs *out)
{
    if (!task || !path || !out)
        return -VRIFT_EINVAL;
    struct vr_walk walk;
    int32_t error = begin(&walk, task, dirfd, path, dirfd == VRIFT_AT_FDCWD ? 0 : VRIFT_AT_EMPTY_PATH);
    if (!error)
        error = vr_walk_run(&walk);
    if (!error) {
        struct vrift_statfs answer;
        error = vr_dispatch_statfs(walk.path.mount->sb, &answer);
        if (!error) {
            answer.flags |= atomic_load(&walk.path.mount->flags);
            if (walk.path.mount->sb->read_only)
                answer.flags |= VRIFT_MOUNT_RDONLY;
            answer.fsid = walk.path.mount->sb->number;
            *out = answer;
        }
    }
    vr_walk_end(&walk);
    return error;
}

int32_t vrift_statfs(vrift_task *task, int32_t dirfd, const char *path, struct vrift_statfs *out)
{
    int32_t result;
    VR_WALK_RETRY(result, statfs_once(task, dirfd, path, out));
    return result;
}

/* The path of what a magic link leads to, as seen from the root of who reads it; as d_path() of Linux. */
static int64_t read_magic_link(const struct vr_walk *walk, struct vr_inode *link, char *buf, size_t len)
{
    static const char deleted[] = " (deleted)", unreachable[] = "(unreachable)";
    char text[VRIFT_PATH_MAX + sizeof deleted];
    vrift_file *file;
    int64_t result = vr_dispatch_follow(link, &file);
    if (result)
        return result;
    vr_dcache_read_begin(file->vfs);
    result = vr_dpath_write(&walk->root, &file->path, false, text, VRIFT_PATH_MAX);
    bool gone = !vr_dcache_hashed(file->path.dentry);
    vr_dcache_read_end(file->vfs);
    vrift_file_unref(file);
    if (result < 0)
        return result == -VRIFT_ERANGE ? -VRIFT_ENAMETOOLONG : result;
    if (gone)
        memcpy(text + result - 1, deleted, sizeof deleted);
    const char *start = text;
    if (strncmp(start, unreachable, sizeof unreachable - 1) == 0)
        start += sizeof unreachable - 1;
    size_t length = strnlen(start, len);
    memcpy(buf, start, length);
    return (int64_t)length;
}

static int64_t readlinkat_once(vrift_task *task, int32_t dirfd, const char *path, char *buf, size_t len)
{
    if (!task || !path || !buf || !len)
        return -VRIFT_EINVAL;
    struct vr_walk walk;
    /* An empty path means the symlink that dirfd has open, as on Linux. */
    int64_t result = vr_walk_begin(&walk, task, dirfd, path, dirfd == VRIFT_AT_FDCWD ? 0 : VR_WALK_EMPTY, 0);
    if (!result)
        result = vr_walk_run(&walk);
    if (!result) {
        struct vr_inode *inode = walk.path.dentry->inode;
        const char *text = NULL;
        if (vr_is_link(inode) && inode->sb->ops.follow) {
            result = read_magic_link(&walk, inode, buf, len);
            vr_walk_end(&walk);
            return result;
        }
        if (vr_is_link(inode))
            result = vr_inode_readlink(inode, &text);
        else
            result = *path ? -VRIFT_EINVAL : -VRIFT_ENOENT;
        if (!result) {
            size_t length = strnlen(text, len);
            memcpy(buf, text, length);
            result = (int64_t)length;
            vr_atime_touch(&walk.path, VR_ATIME_ASK | VR_ATIME_DAY);
        }
    }
    vr_walk_end(&walk);
    return result;
}

int64_t vrift_readlinkat(vrift_task *task, int32_t dirfd, const char *path, char *buf, size_t len)
{
    int64_t result;
    VR_WALK_RETRY(result, readlinkat_once(task, dirfd, path, buf, len));
    return result;
}

static int64_t realpath_once(vrift_task *task, int32_t dirfd, const char *path, char *buf, size_t len)
{
    if (!task || !path || (!buf && len))
        return -VRIFT_EINVAL;
    struct vr_walk walk;
    int64_t result = begin(&walk, task, dirfd, path, 0);
    if (!result)
        result = vr_walk_run(&walk);
    if (!result) {
        vr_dcache_read_begin(task->vfs);
        result = vr_dpath_write(&walk.root, &walk.path, false, buf, len);
        vr_dcache_read_end(task->vfs);
    }
    vr_walk_end(&walk);
    return result;
}

int64_t vrift_realpath(vrift_task *task, int32_t dirfd, const char *path, char *buf, size_t len)
{
    int64_t result;
    VR_WALK_RETRY(result, realpath_once(task, dirfd, path, buf, len));
    return result;
}
