/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls that change attributes of what a descriptor has open. */
#include "core/fdtable.h"

#include <vrift/file.h>
#include <vrift/fs.h>

/* Unlike an empty path, these do not take what was opened with O_PATH. */
static int32_t check_open(vrift_task *task, int32_t fd)
{
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    int32_t error = vr_fdtable_get_open(task->files, fd, &file);
    if (!error)
        vrift_file_unref(file);
    return error;
}

int32_t vrift_fchmod(vrift_task *task, int32_t fd, uint32_t mode)
{
    int32_t error = check_open(task, fd);
    return error ? error : vrift_fchmodat(task, fd, "", mode, VRIFT_AT_EMPTY_PATH);
}

int32_t vrift_fchown(vrift_task *task, int32_t fd, uint32_t uid, uint32_t gid)
{
    int32_t error = check_open(task, fd);
    return error ? error : vrift_fchownat(task, fd, "", uid, gid, VRIFT_AT_EMPTY_PATH);
}

int32_t vrift_futimens(vrift_task *task, int32_t fd, const struct vrift_timespec times[2])
{
    int32_t error = check_open(task, fd);
    return error ? error : vrift_utimensat(task, fd, "", times, VRIFT_AT_EMPTY_PATH);
}
