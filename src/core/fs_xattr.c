/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls on extended attributes, after fs/xattr.c and security/commoncap.c of Linux. */
#include "core/alloc.h"
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

#define AT_FLAGS    (VRIFT_AT_SYMLINK_NOFOLLOW | VRIFT_AT_EMPTY_PATH | VRIFT_AT_OPATH)
#define SET_FLAGS   (VRIFT_XATTR_CREATE | VRIFT_XATTR_REPLACE)
#define NAME_LIMIT  255u
#define VALUE_LIMIT 65536u
#define LIST_LIMIT  65536u

/* -- Names --------------------------------------------------------------------------------------------------------- */

static bool starts_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static int32_t check_length(const char *name)
{
    size_t length = strnlen(name, NAME_LIMIT + 1);
    return length == 0 || length > NAME_LIMIT ? -VRIFT_ERANGE : 0;
}

static int32_t check_permission(const vrift_cred *cred, struct vr_inode *inode, const char *name, bool writing)
{
    int32_t error = writing ? vr_perm_xattrs(inode) : 0;
    if (error || starts_with(name, "security.") || starts_with(name, "system."))
        return error;
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

/* Whether there can be such a name, which Linux asks after who may. "system." is for the two ACLs alone. */
static int32_t check_name(const char *name)
{
    static const char *const prefixes[] = {"user.", "trusted.", "security."};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strcmp(name, prefixes[i]) == 0)
            return -VRIFT_EINVAL;
    return starts_with(name, "system.") ? -VRIFT_EOPNOTSUPP : 0;
}

/* -- File capabilities --------------------------------------------------------------------------------------------- */
/*
 * security.capability holds a revision and bit sets (include/uapi/linux/capability.h). Revision 2 is the whole machine's;
 * 3 adds the uid that is root to who gave it, and says the same as 2 where that is 0.
 */

#define CAPS_NAME      "security.capability"
#define CAPS_2_SIZE    20u
#define CAPS_3_SIZE    24u
#define CAPS_EFFECTIVE 1u

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t caps_revision(const uint8_t *value, int64_t length)
{
    if (length == CAPS_2_SIZE && value[3] == 2)
        return 2;
    return length == CAPS_3_SIZE && value[3] == 3 ? 3 : 0;
}

static int32_t check_caps(const vrift_cred *cred, const void *value, size_t len)
{
    if (!caps_revision(value, (int64_t)len))
        return -VRIFT_EINVAL;
    return vr_perm_capable(cred, VRIFT_CAP_SETFCAP) ? 0 : -VRIFT_EPERM;
}

static int64_t get_caps(struct vr_inode *inode, void *buf, size_t len)
{
    uint8_t value[CAPS_3_SIZE];
    int64_t length = vr_dispatch_getxattr(inode, CAPS_NAME, value, sizeof value);
    if (length == -VRIFT_ERANGE)
        return -VRIFT_EINVAL;
    if (length < 0)
        return length;
    uint32_t revision = caps_revision(value, length);
    if (!revision)
        return -VRIFT_EINVAL;
    if (revision == 3 && get32(value + CAPS_2_SIZE) == 0) {
        value[0] &= CAPS_EFFECTIVE;
        value[1] = value[2] = 0;
        value[3] = 2;
        length = CAPS_2_SIZE;
    }
    if (len && (size_t)length > len)
        return -VRIFT_ERANGE;
    if (len)
        memcpy(buf, value, (size_t)length);
    return length;
}

/* -- One inode ----------------------------------------------------------------------------------------------------- */

static int64_t get(const vrift_cred *cred, struct vr_inode *inode, const char *name, void *buf, size_t len)
{
    if (vr_acl_is_name(name))
        return vr_acl_get(inode, name, buf, len);
    int64_t result = check_permission(cred, inode, name, false);
    if (!result && strcmp(name, CAPS_NAME) == 0)
        return get_caps(inode, buf, len);
    if (!result)
        result = check_name(name);
    if (!result)
        result = vr_dispatch_getxattr(inode, name, buf, len < VALUE_LIMIT ? len : VALUE_LIMIT);
    return result == -VRIFT_ERANGE && len >= VALUE_LIMIT ? -VRIFT_E2BIG : result;
}

/* value NULL with remove: takes the attribute away. */
struct change {
    const char *name;
    const void *value;
    size_t len;
    uint64_t flags;
    bool removing;
};

/* What a security module decides on Linux; there is none here but the one for capabilities. */
static int32_t check_security(const vrift_cred *cred, const struct change *change)
{
    if (!starts_with(change->name, "security."))
        return 0;
    if (strcmp(change->name, CAPS_NAME) == 0)
        return !change->removing || vr_perm_capable(cred, VRIFT_CAP_SETFCAP) ? 0 : -VRIFT_EPERM;
    return vr_perm_capable(cred, VRIFT_CAP_SYS_ADMIN) ? 0 : -VRIFT_EPERM;
}

static int32_t change_locked(const vrift_cred *cred, struct vr_inode *inode, const struct change *change)
{
    if (vr_acl_is_name(change->name))
        return vr_acl_set(cred, inode, change->name, change->removing ? NULL : change->value, change->len);
    int32_t error = check_permission(cred, inode, change->name, true);
    if (!error)
        error = check_security(cred, change);
    if (!error)
        error = check_name(change->name);
    if (!error && change->removing)
        error = vr_dispatch_removexattr(inode, change->name);
    else if (!error)
        error = vr_dispatch_setxattr(inode, change->name, change->value, change->len, change->flags);
    if (!error)
        vr_inode_attr_forget(inode);
    return error;
}

/* What is wrong with the bytes is found before who may, as on Linux. */
static int32_t check_value(const vrift_cred *cred, const struct change *change)
{
    if (change->removing)
        return 0;
    if (vr_acl_is_name(change->name))
        return vr_acl_check(change->value, change->len);
    return change->len && strcmp(change->name, CAPS_NAME) == 0 ? check_caps(cred, change->value, change->len) : 0;
}

static int32_t apply(const vrift_cred *cred, const struct vr_path *path, const struct change *change)
{
    struct vr_inode *inode = path->dentry->inode;
    int32_t error = vr_mnt_want_write(path->mount);
    if (error)
        return error;
    error = check_value(cred, change);
    if (!error) {
        vr_inode_lock(inode, VR_RANK_CHILD);
        error = vr_perm_refresh(inode);
        if (!error)
            error = change_locked(cred, inode, change);
        if (!error && strcmp(change->name, CAPS_NAME) == 0) {
            struct vrift_stat now; /* for the bit that says whether a write must take it away */
            (void)vr_inode_getattr(inode, vr_inode_now(inode->sb), &now);
        }
        if (!error)
            vr_watch_dentry(path->dentry, VRIFT_IN_ATTRIB);
        vr_inode_unlock(inode, VR_RANK_CHILD);
    }
    vr_mnt_drop_write(path->mount);
    return error;
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

static int64_t list(const vrift_cred *cred, struct vr_inode *inode, char *buf, size_t len)
{
    int64_t result = vr_perm_capable(cred, VRIFT_CAP_SYS_ADMIN)
                         ? vr_dispatch_listxattr(inode, buf, len < LIST_LIMIT ? len : LIST_LIMIT)
                         : list_visible(inode, buf, len);
    return result == -VRIFT_ERANGE && len >= LIST_LIMIT ? -VRIFT_E2BIG : result;
}

/* -- By path ------------------------------------------------------------------------------------------------------- */

/* Walks to what the attributes belong to. A descriptor named by an empty path must not be O_PATH, unless the caller may. */
static int32_t begin(struct vr_walk *walk, vrift_task *task, int32_t dirfd, const char *path, uint64_t flags)
{
    uint32_t how = flags & VRIFT_AT_SYMLINK_NOFOLLOW ? 0 : VR_WALK_FOLLOW;
    if (flags & VRIFT_AT_EMPTY_PATH)
        how |= VR_WALK_EMPTY;
    int32_t error = vr_walk_begin(walk, task, dirfd, path, how, 0);
    if (!error && !*path && walk->dir_file && walk->dir_file->flags & VRIFT_O_PATH && !(flags & VRIFT_AT_OPATH))
        error = -VRIFT_EBADF;
    return error ? error : vr_walk_run(walk);
}

/* An empty path that means the current directory: of the four calls, the kernel lets it pass in two. */
static bool is_here(int32_t dirfd, const char *path, uint64_t flags)
{
    return dirfd == VRIFT_AT_FDCWD && !*path && flags & VRIFT_AT_EMPTY_PATH;
}

static int64_t getxattrat_once(vrift_task *task, int32_t dirfd, const char *path, const char *name, void *buf,
                               size_t len, uint64_t flags)
{
    struct vr_walk walk;
    int64_t result = begin(&walk, task, dirfd, path, flags);
    if (!result)
        result = get(walk.cred, walk.path.dentry->inode, name, buf, len);
    vr_walk_end(&walk);
    return result;
}

int64_t vrift_getxattrat(vrift_task *task, int32_t dirfd, const char *path, const char *name, void *buf, size_t len,
                         uint64_t flags)
{
    if (!task || !path || !name || (!buf && len) || flags & ~AT_FLAGS)
        return -VRIFT_EINVAL;
    int64_t result = check_length(name);
    if (!result)
        VR_WALK_RETRY(result, getxattrat_once(task, dirfd, path, name, buf, len, flags));
    return result;
}

static int32_t change_once(vrift_task *task, int32_t dirfd, const char *path, const struct change *change,
                           uint64_t flags)
{
    struct vr_walk walk;
    int32_t error = begin(&walk, task, dirfd, path, flags);
    if (!error)
        error = apply(walk.cred, &walk.path, change);
    vr_walk_end(&walk);
    return error;
}

static int32_t check_change(const struct change *change)
{
    if (change->flags & ~SET_FLAGS || (!change->value && change->len))
        return -VRIFT_EINVAL;
    int32_t error = check_length(change->name);
    return !error && change->len > VALUE_LIMIT ? -VRIFT_E2BIG : error;
}

int32_t vrift_setxattrat(vrift_task *task, int32_t dirfd, const char *path, const char *name, const void *value,
                         size_t len, uint64_t flags)
{
    struct change change = {name, value, len, flags & ~AT_FLAGS, false};
    if (!task || !path || !name)
        return -VRIFT_EINVAL;
    int32_t result = check_change(&change);
    if (!result)
        VR_WALK_RETRY(result, change_once(task, dirfd, path, &change, flags & AT_FLAGS));
    return result;
}

int32_t vrift_removexattrat(vrift_task *task, int32_t dirfd, const char *path, const char *name, uint64_t flags)
{
    struct change change = {.name = name, .removing = true};
    if (!task || !path || !name || flags & ~AT_FLAGS)
        return -VRIFT_EINVAL;
    int32_t result = check_change(&change);
    if (!result && is_here(dirfd, path, flags))
        result = -VRIFT_EBADF;
    if (!result)
        VR_WALK_RETRY(result, change_once(task, dirfd, path, &change, flags));
    return result;
}

static int64_t listxattrat_once(vrift_task *task, int32_t dirfd, const char *path, char *buf, size_t len,
                                uint64_t flags)
{
    struct vr_walk walk;
    int64_t result = begin(&walk, task, dirfd, path, flags);
    if (!result)
        result = list(walk.cred, walk.path.dentry->inode, buf, len);
    vr_walk_end(&walk);
    return result;
}

int64_t vrift_listxattrat(vrift_task *task, int32_t dirfd, const char *path, char *buf, size_t len, uint64_t flags)
{
    if (!task || !path || (!buf && len) || flags & ~AT_FLAGS)
        return -VRIFT_EINVAL;
    if (is_here(dirfd, path, flags))
        return -VRIFT_EBADF;
    int64_t result;
    VR_WALK_RETRY(result, listxattrat_once(task, dirfd, path, buf, len, flags));
    return result;
}

/* -- By descriptor ------------------------------------------------------------------------------------------------- */

struct held {
    vrift_file *file;
    vrift_cred *cred;
};

static int32_t hold(vrift_task *task, int32_t fd, struct held *held)
{
    int32_t error = vr_fdtable_get_open(task->files, fd, &held->file);
    if (!error)
        held->cred = vr_walk_cred(task);
    return error;
}

static void let_go(struct held *held)
{
    vrift_cred_unref(held->cred);
    vrift_file_unref(held->file);
}

int64_t vrift_fgetxattr(vrift_task *task, int32_t fd, const char *name, void *buf, size_t len)
{
    struct held held;
    if (!task || !name || (!buf && len))
        return -VRIFT_EINVAL;
    int64_t result = check_length(name);
    if (!result)
        result = hold(task, fd, &held);
    if (result)
        return result;
    result = get(held.cred, held.file->path.dentry->inode, name, buf, len);
    let_go(&held);
    return result;
}

static int32_t change_open(vrift_task *task, int32_t fd, const struct change *change)
{
    struct held held;
    int32_t error = check_change(change);
    if (!error)
        error = hold(task, fd, &held);
    if (error)
        return error;
    error = apply(held.cred, &held.file->path, change);
    let_go(&held);
    return error;
}

int32_t vrift_fsetxattr(vrift_task *task, int32_t fd, const char *name, const void *value, size_t len, uint64_t flags)
{
    struct change change = {name, value, len, flags, false};
    return task && name ? change_open(task, fd, &change) : -VRIFT_EINVAL;
}

int32_t vrift_fremovexattr(vrift_task *task, int32_t fd, const char *name)
{
    struct change change = {.name = name, .removing = true};
    return task && name ? change_open(task, fd, &change) : -VRIFT_EINVAL;
}

int64_t vrift_flistxattr(vrift_task *task, int32_t fd, char *buf, size_t len)
{
    struct held held;
    if (!task || (!buf && len))
        return -VRIFT_EINVAL;
    int64_t result = hold(task, fd, &held);
    if (result)
        return result;
    result = list(held.cred, held.file->path.dentry->inode, buf, len);
    let_go(&held);
    return result;
}
