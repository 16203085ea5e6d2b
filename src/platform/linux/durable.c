/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "platform/durable.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

int32_t vr_durable_rename_new(int old_dir, const char *old_name, int new_dir, const char *new_name)
{
    if (renameat2(old_dir, old_name, new_dir, new_name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return vrift_err_from_host_errno(errno);
    if (linkat(old_dir, old_name, new_dir, new_name, 0) != 0)
        return vrift_err_from_host_errno(errno);
    return unlinkat(old_dir, old_name, 0) == 0 ? 0 : vrift_err_from_host_errno(errno);
}

int32_t vr_durable_sync_fs(int fd)
{
    return syncfs(fd) == 0 ? 0 : vrift_err_from_host_errno(errno);
}

int32_t vr_durable_lock(int fd)
{
    return flock(fd, LOCK_EX | LOCK_NB) == 0 ? 0 : vrift_err_from_host_errno(errno);
}
