/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls on extended attributes, after fs/xattr.c of Linux. */
#include "core/alloc.h"
#include "core/dispatch.h"
#include "core/inode.h"
#include "core/mnt.h"
#include "core/perm.h"
#include "core/walk.h"
#include "core/watch.h"

#include <vrift/file.h>
#include <vrift/fs.h>

#include <string.h>

#define AT_FLAGS    (VRIFT_AT_SYMLINK_NOFOLLOW | VRIFT_AT_EMPTY_PATH)
#define NAME_LIMIT  255u
#define VALUE_LIMIT 65536u
#define LIST_LIMIT  65536u

static bool starts_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static int32_t check_name(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_LIMIT)
        return -VRIFT_ERANGE;
    static const char *const prefixes[] = {"user.", "trusted.", "security.", "system."};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strcmp(name, prefixes[i]) == 0)
            return -VRIFT_EINVAL;
    return 0;
}

/* Walks to what the attributes belong to. A descriptor named by an empty path must not be O_PATH. */
static int32_t begin(struct vr_walk *walk, vrift_task *task, int32_t dirfd, const char *path, uint64_t flags)
{
    uint32_t how = flags & VRIFT_AT_SYMLINK_NOFOLLOW ? 0 : VR_WALK_FOLLOW;
    if (flags & VRIFT_AT_EMPTY_PATH)
        how |= VR_WALK_EMPTY;
    int32_t error = vr_walk_begin(walk, task, dirfd, path, how, 0);
    if (!error && !*path && walk->dir_file && walk->dir_file->flags & VRIFT_O_PATH)
        error = -VRIFT_EBADF;
    return error ? error : vr_walk_run(walk);
}

static int32_t check_permission(const vrift_cred *cred, const struct vr_inode *inode, const char *name, bool writing)
{
    /* Everybody reads them. On Linux a security module or the file system checks who writes; here nobody else does. */
    if (starts_with(name, "security."))
        return !writing || vr_perm_capable(cred, VRIFT_CAP_SYS_ADMIN) ? 0 : -VRIFT_EPERM;
    if (starts_with(name, "system."))
        return !writing || vr_perm_owner(cred, inode) ? 0 : -VRIFT_EPERM;
    if (starts_with(name, "trusted.")) {
        if (vr_perm_capable(cred, VRIFT_CAP_SYS_ADMIN))
            return 0;
        return writing ? -VRIFT_EPERM : -VRIFT_ENODATA;
    }
    if (starts_with(name, "user.")) {
        uint32_t mode = atomic_load_explicit(&inode->mode, memory_order_relaxed);
        if (!vr_is_file(inode) && !vr_is_dir(inode))
            return writing ? -VRIFT_EPERM : -VRIFT_ENODATA;
        if (vr_is_dir(inode) && mode & VRIFT_S_ISVTX && writing && !vr_perm_owner(cred, inode))
            return -VRIFT_EPERM;
    }
    return vr_perm_check(cred, inode, writing ? VR_MAY_WRITE : VR_MAY_READ);
}

static int64_t getxattrat_once(vrift_task *task, int32_t dirfd, const char *path, const char *name, void *buf,
                               size_t len, uint64_t flags)
{
    if (!task || !path || !name || (!buf && len) || flags & ~AT_FLAGS)
        return -VRIFT_EINVAL;
    struct vr_walk walk;
    int64_t result = begin(&walk, task, dirfd, path, flags);
    if (!result)
        result = check_name(name);
    if (!result) {
        struct vr_inode *inode = walk.path.dentry->inode;
        result = check_permission(walk.cred, inode, name, false);
        if (!result)
            result = vr_dispatch_getxattr(inode, name, buf, len);
    }
    vr_walk_end(&walk);
    return result;
}

int64_t vrift_getxattrat(vrift_task *task, int32_t dirfd, const char *path, const char *name, void *buf, size_t len,
                         uint64_t flags)
{
    int64_t result;
    VR_WALK_RETRY(result, getxattrat_once(task, dirfd, path, name, buf, len, flags));
    return result;
}

/* value NULL with remove: takes the attribute away. */
static int32_t change_once(vrift_task *task, int32_t dirfd, const char *path, const char *name, bool removing,
                           const void *value, size_t len, uint64_t flags)
{
    struct vr_walk walk;
    int32_t error = begin(&walk, task, dirfd, path, flags & AT_FLAGS);
    if (!error) {
        struct vr_inode *inode = walk.path.dentry->inode;
        struct vr_mount *mount = walk.path.mount;
        error = vr_mnt_want_write(mount);
        if (!error) {
            vr_inode_lock(inode, VR_RANK_CHILD);
            error = check_permission(walk.cred, inode, name, true);
            if (!error && removing)
                error = vr_dispatch_removexattr(inode, name);
            else if (!error)
                error = vr_dispatch_setxattr(inode, name, value, len, flags & ~AT_FLAGS);
            if (!error) {
                vr_inode_attr_forget(inode);
                vr_watch_dentry(walk.path.dentry, VRIFT_IN_ATTRIB);
            }
            vr_inode_unlock(inode, VR_RANK_CHILD);
            vr_mnt_drop_write(mount);
        }
    }
    vr_walk_end(&walk);
    return error;
}

static int32_t change(vrift_task *task, int32_t dirfd, const char *path, const char *name, bool removing,
                      const void *value, size_t len, uint64_t flags)
{
    int32_t result;
    VR_WALK_RETRY(result, change_once(task, dirfd, path, name, removing, value, len, flags));
    return result;
}

int32_t vrift_setxattrat(vrift_task *task, int32_t dirfd, const char *path, const char *name, const void *value,
                         size_t len, uint64_t flags)
{
    if (!task || !path || !name || (!value && len) || flags & ~(AT_FLAGS | VRIFT_XATTR_CREATE | VRIFT_XATTR_REPLACE))
        return -VRIFT_EINVAL;
    int32_t error = check_name(name);
    if (!error && len > VALUE_LIMIT)
        error = -VRIFT_E2BIG;
    return error ? error : change(task, dirfd, path, name, false, value, len, flags);
}

int32_t vrift_removexattrat(vrift_task *task, int32_t dirfd, const char *path, const char *name, uint64_t flags)
{
    if (!task || !path || !name || flags & ~AT_FLAGS)
        return -VRIFT_EINVAL;
    int32_t error = check_name(name);
    return error ? error : change(task, dirfd, path, name, true, NULL, 0, flags);
}

/* Takes the trusted names out of a list, in place. */
static size_t hide_trusted(char *list, size_t length)
{
    size_t kept = 0;
    for (size_t at = 0; at < length;) {
        const char *nul = memchr(list + at, '\0', length - at);
        size_t size = nul ? (size_t)(nul - (list + at)) + 1 : length - at;
        if (!starts_with(list + at, "trusted.")) {
            memmove(list + kept, list + at, size);
            kept += size;
        }
        at += size;
    }
    return kept;
}

static int64_t list_visible(struct vr_inode *inode, char *buf, size_t len)
{
    const struct vrift_allocator *allocator = inode->sb->vfs->allocator;
    char *list = vr_alloc(allocator, LIST_LIMIT);
    if (!list)
        return -VRIFT_ENOMEM;
    int64_t result = vr_dispatch_listxattr(inode, list, LIST_LIMIT);
    if (result > 0) {
        size_t length = hide_trusted(list, (size_t)result);
        result = (int64_t)length;
        if (len && length > len)
            result = -VRIFT_ERANGE;
        else if (len)
            memcpy(buf, list, length);
    }
    vr_alloc_free(allocator, list);
    return result;
}

static int64_t listxattrat_once(vrift_task *task, int32_t dirfd, const char *path, char *buf, size_t len,
                                uint64_t flags)
{
    if (!task || !path || (!buf && len) || flags & ~AT_FLAGS)
        return -VRIFT_EINVAL;
    struct vr_walk walk;
    int64_t result = begin(&walk, task, dirfd, path, flags);
    if (!result) {
        struct vr_inode *inode = walk.path.dentry->inode;
        result = vr_perm_capable(walk.cred, VRIFT_CAP_SYS_ADMIN) ? vr_dispatch_listxattr(inode, buf, len)
                                                                 : list_visible(inode, buf, len);
    }
    vr_walk_end(&walk);
    return result;
}

int64_t vrift_listxattrat(vrift_task *task, int32_t dirfd, const char *path, char *buf, size_t len, uint64_t flags)
{
    int64_t result;
    VR_WALK_RETRY(result, listxattrat_once(task, dirfd, path, buf, len, flags));
    return result;
}
