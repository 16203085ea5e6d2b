/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls of a task's table of descriptors, after fs/file.c and fs/fcntl.c of Linux. */
#include "core/description.h"
#include "core/fdtable.h"
#include "core/perm.h"
#include "core/walk.h"

#include <vrift/file.h>
#include <vrift/task.h>

#define SETFL_FLAGS (VRIFT_O_APPEND | VRIFT_O_NONBLOCK | VRIFT_O_NOATIME)

int32_t vrift_close(vrift_task *task, int32_t fd)
{
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    int32_t error = vr_fdtable_remove(task->files, fd, &file);
    return error ? error : vr_fdtable_closed(task->files, file);
}

int32_t vrift_task_file(vrift_task *task, int32_t fd, vrift_file **out)
{
    return task && out ? vr_fdtable_get(task->files, fd, out) : -VRIFT_EINVAL;
}

/* The lowest free descriptor from `least` on. */
static int32_t install_from(vrift_task *task, vrift_file *file, int32_t least, bool cloexec)
{
    int32_t fd;
    int32_t error = vr_fdtable_reserve(task->vfs, task->files, least, &fd);
    if (error)
        return error;
    vr_fdtable_fill(task->files, fd, vrift_file_ref(file), cloexec);
    return fd;
}

int32_t vrift_task_install(vrift_task *task, vrift_file *file)
{
    return task && file && file->vfs == task->vfs ? install_from(task, file, 0, false) : -VRIFT_EINVAL;
}

int32_t vrift_dup(vrift_task *task, int32_t fd)
{
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    int32_t result = vr_fdtable_get(task->files, fd, &file);
    if (result)
        return result;
    result = install_from(task, file, 0, false);
    vrift_file_unref(file);
    return result;
}

int32_t vrift_dupfd(vrift_task *task, int32_t fd, int32_t least, uint64_t flags)
{
    vrift_file *file;
    if (!task || flags & ~VRIFT_O_CLOEXEC)
        return -VRIFT_EINVAL;
    int32_t result = vr_fdtable_get(task->files, fd, &file);
    if (result)
        return result;
    if (least < 0 || (uint32_t)least >= vrift_task_max_files(task))
        result = -VRIFT_EINVAL;
    else
        result = install_from(task, file, least, flags & VRIFT_O_CLOEXEC);
    vrift_file_unref(file);
    return result;
}

int32_t vrift_dup3(vrift_task *task, int32_t old_fd, int32_t new_fd, uint64_t flags)
{
    vrift_file *file, *before = NULL;
    if (!task || flags & ~VRIFT_O_CLOEXEC || old_fd == new_fd)
        return -VRIFT_EINVAL;
    int32_t error = vr_fdtable_get(task->files, old_fd, &file);
    if (error)
        return error;
    error = vr_fdtable_replace(task->vfs, task->files, new_fd, file, flags & VRIFT_O_CLOEXEC, &before);
    if (error) {
        vrift_file_unref(file);
        return error;
    }
    if (before)
        (void)vr_fdtable_closed(task->files, before);
    return new_fd;
}

int32_t vrift_close_range(vrift_task *task, uint32_t first, uint32_t last, uint64_t flags)
{
    if (!task || flags & ~VRIFT_CLOSE_RANGE_CLOEXEC || first > last)
        return -VRIFT_EINVAL;
    if (flags & VRIFT_CLOSE_RANGE_CLOEXEC) {
        vr_fdtable_mark_range(task->files, first, last);
        return 0;
    }
    vrift_file *file;
    while (vr_fdtable_remove_next(task->files, &first, last, false, &file))
        (void)vr_fdtable_closed(task->files, file);
    return 0;
}

int32_t vrift_close_on_exec(vrift_task *task)
{
    uint32_t first = 0;
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    while (vr_fdtable_remove_next(task->files, &first, UINT32_MAX, true, &file))
        (void)vr_fdtable_closed(task->files, file);
    return 0;
}

/* -- Flags --------------------------------------------------------------------------------------------------------- */

int32_t vrift_getfd(vrift_task *task, int32_t fd)
{
    return task ? vr_fdtable_cloexec(task->files, fd, NULL) : -VRIFT_EINVAL;
}

int32_t vrift_setfd(vrift_task *task, int32_t fd, uint64_t flags)
{
    const bool cloexec = flags & VRIFT_FD_CLOEXEC;
    if (!task)
        return -VRIFT_EINVAL;
    int32_t result = vr_fdtable_cloexec(task->files, fd, &cloexec);
    return result < 0 ? result : 0;
}

int64_t vrift_getfl(vrift_task *task, int32_t fd)
{
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    int64_t result = vr_fdtable_get(task->files, fd, &file);
    if (result)
        return result;
    result = (int64_t)file->flags;
    vrift_file_unref(file);
    return result;
}

/* As setfl() of Linux. */
static int32_t set_flags(vrift_task *task, vrift_file *file, uint64_t flags)
{
    struct vr_inode *inode = file->path.dentry->inode;
    uint64_t before = file->flags;
    if ((flags ^ before) & VRIFT_O_APPEND && vr_perm_is(inode, VR_MODE_APPEND))
        return -VRIFT_EPERM;
    if (flags & ~before & VRIFT_O_NOATIME) {
        vrift_cred *cred = vr_walk_cred(task);
        bool owner = vr_perm_owner(cred, inode);
        vrift_cred_unref(cred);
        if (!owner)
            return -VRIFT_EPERM;
    }
    while (!atomic_compare_exchange_weak(&file->flags, &before, (before & ~SETFL_FLAGS) | (flags & SETFL_FLAGS))) {
    }
    return 0;
}

int32_t vrift_setfl(vrift_task *task, int32_t fd, uint64_t flags)
{
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    int32_t error = vr_fdtable_get_open(task->files, fd, &file);
    if (error)
        return error;
    error = set_flags(task, file, flags);
    vrift_file_unref(file);
    return error;
}

/* -- The limit ----------------------------------------------------------------------------------------------------- */

uint32_t vrift_task_max_files(vrift_task *task)
{
    return task ? atomic_load_explicit(&task->files->limit, memory_order_relaxed) : 0;
}

int32_t vrift_task_set_max_files(vrift_task *task, uint32_t max_files)
{
    if (!task || max_files > VR_FDTABLE_MOST)
        return -VRIFT_EINVAL;
    atomic_store_explicit(&task->files->limit, max_files, memory_order_relaxed);
    return 0;
}
