/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/target.h"

#include "core/alloc.h"
#include "platform/durable.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

/* -- Looking at the destination ----------------------------------------------------------------------------------- */

static int32_t found_entry(const struct vr_fileops_dirent *entry, void *payload)
{
    (void)entry;
    (void)payload;
    return -VRIFT_ENOTEMPTY;
}

/* Opens the existing destination; it must be an empty directory. */
static int32_t open_existing(const char *dest, int *fd)
{
    int dir = open(dest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOTDIR ? -VRIFT_EEXIST : host_error();
    int32_t result = vr_fileops_readdir(dir, 0, found_entry, NULL);
    if (result) {
        close(dir);
        return result;
    }
    *fd = dir;
    return 0;
}

/* Splits dest into an open parent and a name. Leaves parent -1 if the last part is "." or "..", or there is none. */
static int32_t split(struct vr_target *target, const char *dest)
{
    size_t end = strlen(dest);
    while (end && dest[end - 1] == '/')
        end--;
    size_t start = end;
    while (start && dest[start - 1] != '/')
        start--;
    size_t length = end - start;
    if (!length || (dest[start] == '.' && (length == 1 || (length == 2 && dest[start + 1] == '.'))))
        return 0;
    char *parent = start ? vr_alloc_string(NULL, dest, start) : vr_alloc_string(NULL, ".", 1);
    target->name = vr_alloc_string(NULL, dest + start, length);
    int32_t result = parent && target->name ? 0 : -VRIFT_ENOMEM;
    if (!result) {
        target->parent = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
        result = target->parent < 0 ? host_error() : 0;
    }
    vr_alloc_free(NULL, parent);
    return result;
}

/* A directory that rename() cannot replace: reached through a symlink, or something is mounted on it. */
static int cannot_be_replaced(const struct vr_target *target)
{
    struct statx parent, dest;
    const int flags = AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH;
    if (target->parent < 0 || statx(target->parent, "", flags, STATX_MNT_ID, &parent) < 0 ||
        statx(target->parent, target->name, flags, STATX_TYPE | STATX_MNT_ID, &dest) < 0)
        return 1;
    if (!S_ISDIR(dest.stx_mode) || parent.stx_dev_major != dest.stx_dev_major ||
        parent.stx_dev_minor != dest.stx_dev_minor)
        return 1;
    return (parent.stx_mask & dest.stx_mask & STATX_MNT_ID) && parent.stx_mnt_id != dest.stx_mnt_id;
}

int32_t vr_target_open(struct vr_target *target, const char *dest)
{
    *target = (struct vr_target){.parent = -1, .root = -1};
    if (!*dest)
        return -VRIFT_ENOENT;
    int32_t result = split(target, dest);
    if (!result)
        result = vr_fileops_temporary_name(target->temporary);
    if (!result) {
        struct stat st;
        int fd = -1;
        result = open_existing(dest, &fd);
        if (!result) {
            target->existed = 1;
            target->in_place = cannot_be_replaced(target);
            if (target->in_place)
                target->root = fd;
            else
                close(fd);
        } else if (result == -VRIFT_ENOENT && target->parent >= 0) {
            /* Nothing at all, or a symlink that leads nowhere? */
            result = fstatat(target->parent, target->name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? -VRIFT_EEXIST : 0;
        }
    }
    if (result)
        vr_target_close(target);
    return result;
}

int32_t vr_target_inside(const struct vr_target *target, int dir)
{
    struct stat wanted, st, last = {.st_ino = 0};
    int at = openat(target->parent >= 0 ? target->parent : target->root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (at < 0 || fstat(dir, &wanted) < 0)
        return host_error();
    if (target->parent >= 0 && fstatat(target->parent, target->name, &st, 0) == 0 && st.st_dev == wanted.st_dev &&
        st.st_ino == wanted.st_ino) {
        close(at);
        return 1;
    }
    for (;;) {
        int32_t result = fstat(at, &st) < 0 ? host_error() : 0;
        int same = !result && st.st_dev == wanted.st_dev && st.st_ino == wanted.st_ino;
        int top = !result && st.st_dev == last.st_dev && st.st_ino == last.st_ino;
        int up = result || same || top ? -1 : openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (up < 0 && !result && !same && !top)
            result = host_error();
        close(at);
        if (up < 0)
            return result ? result : same;
        last = st;
        at = up;
    }
}

/* -- Building and publishing -------------------------------------------------------------------------------------- */

/* What a parent's default ACL or set-group-id bit handed down must not go on to what is restored. */
static int32_t forget_inheritance(int dir, uint32_t *mode)
{
    struct stat st;
    int32_t result = vr_fileops_xattr_remove(dir, "", "system.posix_acl_default");
    if (!result || result == -VRIFT_ENODATA || result == -VRIFT_EOPNOTSUPP)
        result = vr_fileops_xattr_remove(dir, "", "system.posix_acl_access");
    if (result && result != -VRIFT_ENODATA && result != -VRIFT_EOPNOTSUPP)
        return result;
    if (fstat(dir, &st) < 0)
        return host_error();
    if (st.st_gid != getegid() && (st.st_mode & S_ISGID))
        (void)vr_fileops_set_owner(dir, "", UINT32_MAX, getegid()); /* as good as it can be had */
    *mode = st.st_mode & 07777;
    return vr_fileops_set_mode(dir, "", 0700);
}

/*
 * Of several that found the directory empty one may fill it: the others' failure would remove what that one made. The
 * lock goes with the descriptor; a file system without locks leaves only the second look.
 */
static int32_t claim_in_place(int root)
{
    int32_t result = vr_durable_lock(root);
    return result == -VRIFT_EAGAIN ? -VRIFT_ENOTEMPTY : vr_fileops_readdir(root, 0, found_entry, NULL);
}

int32_t vr_target_make_root(struct vr_target *target)
{
    if (!target->in_place) {
        if (mkdirat(target->parent, target->temporary, 0700) < 0) {
            if (!target->existed || (errno != EACCES && errno != EPERM && errno != EROFS))
                return host_error();
            target->in_place = 1;
            target->root = openat(target->parent, target->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        } else {
            target->made = 1;
            target->root = openat(target->parent, target->temporary, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        }
    }
    if (target->root < 0)
        return host_error();
    int32_t result = target->in_place ? claim_in_place(target->root) : 0;
    if (result)
        return result;
    target->filling = target->in_place;
    return forget_inheritance(target->root, &target->mode);
}

/* renameat2(RENAME_NOREPLACE) where the file system knows it. */
static int32_t rename_to_nothing(struct vr_target *target, int is_directory)
{
    if (renameat2(target->parent, target->temporary, target->parent, target->name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return host_error();
    if (!is_directory) { /* link() never replaces either */
        if (linkat(target->parent, target->temporary, target->parent, target->name, 0) == 0)
            return unlinkat(target->parent, target->temporary, 0) < 0 ? host_error() : 0;
        if (errno == EEXIST)
            return -VRIFT_EEXIST;
    }
    /* rename() of a directory replaces at most an empty one. */
    return renameat(target->parent, target->temporary, target->parent, target->name) < 0 ? host_error() : 0;
}

int32_t vr_target_publish(struct vr_target *target)
{
    if (target->in_place) {
        target->filling = 0;
        return 0;
    }
    int is_directory = target->root >= 0;
    if (target->existed && !is_directory && unlinkat(target->parent, target->name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return host_error();
    int32_t result;
    if (target->existed && is_directory) /* only a directory that is still empty gives way */
        result = renameat(target->parent, target->temporary, target->parent, target->name) < 0 ? host_error() : 0;
    else
        result = rename_to_nothing(target, is_directory);
    if (!result)
        target->made = 0;
    return result;
}

static int32_t remove_one(const struct vr_fileops_dirent *entry, void *payload)
{
    const struct vr_target *target = payload;
    return vr_fileops_remove_tree(target->root, entry->name);
}

void vr_target_close(struct vr_target *target)
{
    if (target->filling) {
        (void)vr_fileops_readdir(target->root, 0, remove_one, target);
        (void)vr_fileops_set_mode(target->root, "", target->mode);
    }
    if (target->made)
        (void)vr_fileops_remove_tree(target->parent, target->temporary);
    if (target->root >= 0)
        close(target->root);
    if (target->parent >= 0)
        close(target->parent);
    vr_alloc_free(NULL, target->name);
    *target = (struct vr_target){.parent = -1, .root = -1};
}
