/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* `vrift umount`. */
#include "fuse/fusermount.h"
#include "fuse/mount_serve.h"
#include "fuse/mountinfo.h"

#include <vrift/error.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

/* What was mounted as another type (-o subtype=...) cannot be told from what others have mounted: umount(8) is for that. */
static int32_t is_ours(const struct vr_mountinfo *info)
{
    return strcmp(info->type, "fuse.vrift") == 0;
}

/* realpath(), also for a mount whose server is dead, so that only its parent can be looked at. To be freed. */
static char *resolve(const char *path)
{
    char *real = realpath(path, NULL);
    char *copy, *slash, *parent, *joined = NULL;
    if (real || errno != ENOTCONN)
        return real;
    copy = strdup(path);
    if (!copy)
        return NULL;
    for (size_t length = strlen(copy); length > 1 && copy[length - 1] == '/'; length--)
        copy[length - 1] = '\0';
    slash = strrchr(copy, '/');
    if (slash)
        *slash = '\0';
    parent = realpath(!slash ? "." : slash == copy ? "/" : copy, NULL);
    if (parent)
        joined = malloc(strlen(parent) + strlen(path) + 2);
    if (joined)
        (void)sprintf(joined, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, slash ? slash + 1 : copy);
    free(parent);
    free(copy);
    return joined;
}

static int32_t umount_found(const char *path)
{
    struct vr_mountinfo info;
    char why[512] = "";
    int32_t result = vr_mountinfo_find(path, &info);
    if (result == -ENOENT || (result == 0 && !is_ours(&info))) {
        (void)fprintf(stderr, "vrift: umount: %s: not mounted by vrift\n", path);
        return -VRIFT_EINVAL;
    }
    if (result == 0)
        result = umount2(path, UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
    if (result == -EPERM) {
        result = vr_fusermount_umount(path, 0, why, sizeof(why));
        if (result == -ENOENT)
            result = -EPERM;
    }
    return result < 0 ? vr_mount_complain("umount", path, why, result) : 0;
}

int32_t vr_mount_umount(const char *mountpoint)
{
    char *path = resolve(mountpoint);
    int32_t result = path ? umount_found(path) : vr_mount_complain("umount", mountpoint, "", -errno);
    free(path);
    return result;
}
