/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Copying a file of the host into an upper, with all that a snapshot keeps of it. */
#include "workspace/workspace_ingest.h"

#include "store/tree.h"
#include "store/xattrs.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

int32_t vr_workspace_place_xattrs(int from, const char *from_name, int to, const char *to_name)
{
    struct vr_str list = VR_STR_INIT;
    struct vr_xattrs_item item;
    size_t at = 0;
    int32_t result = vr_xattrs_read(from, from_name, &list);
    while (result == 0 && list.length && vr_xattrs_next((const uint8_t *)list.data, list.length, &at, &item)) {
        char *key = vr_alloc_string(NULL, item.name, item.name_length);
        result = key ? vr_fileops_xattr_set(to, to_name, key, item.value, item.value_length, 0) : -VRIFT_ENOMEM;
        vr_alloc_free(NULL, key);
    }
    vr_str_dispose(&list);
    return result;
}

int32_t vr_workspace_place_attributes(struct vr_workspace_intake *intake, int dir, const char *name,
                                      const struct vrift_stat *stat)
{
    int32_t result = vr_fileops_set_owner(dir, name, stat->uid, stat->gid);
    if (result == -VRIFT_EPERM && !intake->privileged) {
        result = 0;
    }
    if (result == 0 && (stat->mode & VRIFT_S_IFMT) != VRIFT_S_IFLNK) {
        result = vr_fileops_set_mode(dir, name, stat->mode & 07777);
    }
    return result ? result : vr_fileops_set_times(dir, name, &stat->atime, &stat->mtime);
}

static int32_t place_regular(struct vr_workspace_intake *intake, int from, const char *from_name, int to,
                             const char *to_name, const struct vrift_stat *stat)
{
    int source = openat(from, from_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (source < 0) {
        return host_error();
    }
    int target = openat(to, to_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    int32_t result = target < 0 ? host_error() : vr_fileops_copy(&intake->ladder, source, 0, target, stat->size);
    close(source);
    if (target >= 0 && close(target) < 0 && result == 0) {
        result = host_error();
    }
    return result;
}

static int32_t place_symlink(int from, const char *from_name, int to, const char *to_name)
{
    char target[VR_TREE_TARGET_MAX + 1];
    ssize_t length = readlinkat(from, from_name, target, sizeof(target));
    if (length < 0 || (size_t)length == sizeof(target)) {
        return length < 0 ? host_error() : -VRIFT_ENAMETOOLONG;
    }
    target[length] = '\0';
    return symlinkat(target, to, to_name) < 0 ? host_error() : 0;
}

/* Makes a copy of a host's file in the new upper. */
int32_t vr_workspace_place(struct vr_workspace_intake *intake, int from, const char *from_name, int to,
                           const char *to_name, const struct vrift_stat *stat)
{
    int32_t result;
    uint32_t type = stat->mode & VRIFT_S_IFMT;
    switch (type) {
    case VRIFT_S_IFREG:
        result = place_regular(intake, from, from_name, to, to_name, stat);
        break;
    case VRIFT_S_IFLNK:
        result = place_symlink(from, from_name, to, to_name);
        break;
    default:
        if (type == VRIFT_S_IFCHR && stat->rdev == 0) {
            return -VRIFT_EOPNOTSUPP; /* it would be a whiteout */
        }
        result =
            mknodat(to, to_name, type | 0600, makedev(VRIFT_DEV_MAJOR(stat->rdev), VRIFT_DEV_MINOR(stat->rdev))) < 0
                ? host_error()
                : 0;
        break;
    }
    if (result == 0 && type != VRIFT_S_IFLNK) {
        result = vr_workspace_place_xattrs(from, from_name, to, to_name);
    }
    return result ? result : vr_workspace_place_attributes(intake, to, to_name, stat);
}
