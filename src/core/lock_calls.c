/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls of lock.h, after fs/locks.c of Linux. */
#include "core/attr.h"
#include "core/copyin.h"
#include "core/description.h"
#include "core/fdtable.h"
#include "core/lock.h"

#include <vrift/file.h>
#include <vrift/lock.h>

#define LOCK_MAND   32u /* Linux has dropped these locks and ignores the request, bad descriptors included */
#define SETLK_FLAGS (VRIFT_SETLK_OFD | VRIFT_SETLK_WAIT)

static int32_t flock_type(uint64_t operation, int32_t *type)
{
    switch (operation & ~VRIFT_LOCK_NB) {
    case VRIFT_LOCK_SH:
        *type = VRIFT_F_RDLCK;
        return 0;
    case VRIFT_LOCK_EX:
        *type = VRIFT_F_WRLCK;
        return 0;
    case VRIFT_LOCK_UN:
        *type = VRIFT_F_UNLCK;
        return 0;
    default:
        return -VRIFT_EINVAL;
    }
}

int32_t vrift_flock(vrift_task *task, int32_t fd, uint64_t operation, const struct vrift_wait *wait)
{
    struct vr_lock want = {.start = 0, .end = INT64_MAX};
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    if (operation & LOCK_MAND)
        return 0;
    int32_t error = flock_type(operation, &want.type);
    if (error)
        return error;
    error = vr_fdtable_get_open(task->files, fd, &file);
    if (error)
        return error;
    if (want.type != VRIFT_F_UNLCK && !file->readable && !file->writable) {
        error = -VRIFT_EBADF;
    } else {
        want.owner = (struct vr_lock_owner){VR_LOCK_FILE, (uintptr_t)file};
        want.file = file;
        atomic_store_explicit(&file->locked, 1, memory_order_release);
        error = vr_lock_set(file->path.dentry->inode, VR_LOCK_FLOCKS, &want, !(operation & VRIFT_LOCK_NB), wait);
    }
    vrift_file_unref(file);
    return error;
}

/* -- Record locks -------------------------------------------------------------------------------------------------- */

static int32_t base_of(vrift_file *file, int32_t whence, int64_t *base)
{
    struct vrift_stat st;
    int32_t error = 0;
    switch (whence) {
    case VRIFT_SEEK_SET:
        *base = 0;
        break;
    case VRIFT_SEEK_CUR:
        vr_description_lock(file);
        *base = (int64_t)file->position;
        vr_description_unlock(file);
        break;
    case VRIFT_SEEK_END:
        error = vr_attr_stat(&file->path, &st);
        *base = error ? 0 : (int64_t)st.size;
        break;
    default:
        error = -VRIFT_EINVAL;
    }
    return error;
}

/* As flock_to_posix_lock() of Linux, in its order. */
static int32_t range_of(vrift_file *file, const struct vrift_lock *lock, struct vr_lock *out)
{
    int64_t base;
    int32_t error = base_of(file, lock->whence, &base);
    if (error)
        return error;
    if (lock->start > INT64_MAX - base)
        return -VRIFT_EOVERFLOW;
    out->start = base + lock->start;
    if (out->start < 0)
        return -VRIFT_EINVAL;
    out->end = INT64_MAX;
    if (lock->length > 0) {
        if (lock->length - 1 > INT64_MAX - out->start)
            return -VRIFT_EOVERFLOW;
        out->end = out->start + (lock->length - 1);
    } else if (lock->length < 0) {
        if (out->start + lock->length < 0)
            return -VRIFT_EINVAL;
        out->end = out->start - 1;
        out->start += lock->length;
    }
    out->type = lock->type;
    return lock->type < VRIFT_F_RDLCK || lock->type > VRIFT_F_UNLCK ? -VRIFT_EINVAL : 0;
}

static void own(struct vr_lock *lock, vrift_task *task, vrift_file *file, uint64_t flags, const struct vrift_lock *how)
{
    lock->file = file;
    lock->pid = how->pid ? how->pid : (int32_t)task->files->number;
    if (flags & VRIFT_SETLK_OFD)
        lock->owner = (struct vr_lock_owner){VR_LOCK_FILE, (uintptr_t)file};
    else if (how->owner)
        lock->owner = (struct vr_lock_owner){VR_LOCK_NUMBER, how->owner};
    else
        lock->owner = (struct vr_lock_owner){VR_LOCK_TABLE, (uintptr_t)task->files};
}

static int32_t check_mode(const vrift_file *file, int32_t type)
{
    if (type == VRIFT_F_RDLCK)
        return file->readable ? 0 : -VRIFT_EBADF;
    return type == VRIFT_F_UNLCK || file->writable ? 0 : -VRIFT_EBADF;
}

static int32_t set_record(vrift_task *task, int32_t fd, vrift_file *file, uint64_t flags, const struct vrift_lock *how,
                          const struct vrift_wait *wait)
{
    struct vr_lock want = {.next = NULL};
    struct vr_inode *inode = file->path.dentry->inode;
    int32_t error = range_of(file, how, &want);
    if (!error)
        error = check_mode(file, want.type);
    if (!error && flags & VRIFT_SETLK_OFD && (how->pid || how->owner))
        error = -VRIFT_EINVAL;
    if (error)
        return error;
    own(&want, task, file, flags, how);
    atomic_store_explicit(&file->locked, 1, memory_order_release);
    if (want.owner.kind == VR_LOCK_TABLE)
        atomic_store_explicit(&task->files->locked, 1, memory_order_release);
    error = vr_lock_set(inode, VR_LOCK_RECORDS, &want, flags & VRIFT_SETLK_WAIT, wait);
    if (error || want.type == VRIFT_F_UNLCK || want.owner.kind != VR_LOCK_TABLE)
        return error;
    /* Another thread may have closed the descriptor before the lock was there for it to drop. */
    if (vr_fdtable_holds(task->files, fd, file))
        return 0;
    want.type = VRIFT_F_UNLCK;
    error = vr_lock_set(inode, VR_LOCK_RECORDS, &want, false, NULL);
    return error ? error : -VRIFT_EBADF;
}

int32_t vrift_setlk(vrift_task *task, int32_t fd, uint64_t flags, const struct vrift_lock *lock,
                    const struct vrift_wait *wait)
{
    struct vrift_lock how;
    vrift_file *file;
    if (!task || !lock || flags & ~SETLK_FLAGS)
        return -VRIFT_EINVAL;
    int32_t error = VR_COPYIN(&how, lock);
    if (error)
        return error;
    error = vr_fdtable_get_open(task->files, fd, &file);
    if (error)
        return error;
    error = set_record(task, fd, file, flags, &how, wait);
    vrift_file_unref(file);
    return error;
}

static int32_t test_record(vrift_task *task, vrift_file *file, uint64_t flags, struct vrift_lock *lock)
{
    struct vr_lock want = {.next = NULL};
    if (!(flags & VRIFT_SETLK_OFD) && lock->type != VRIFT_F_RDLCK && lock->type != VRIFT_F_WRLCK)
        return -VRIFT_EINVAL;
    int32_t error = range_of(file, lock, &want);
    if (!error && flags & VRIFT_SETLK_OFD && (lock->pid || lock->owner))
        error = -VRIFT_EINVAL;
    if (error)
        return error;
    own(&want, task, file, flags, lock);
    vr_lock_test(file->path.dentry->inode, &want);
    lock->type = want.type;
    if (want.type == VRIFT_F_UNLCK)
        return 0;
    lock->whence = VRIFT_SEEK_SET;
    lock->pid = want.owner.kind == VR_LOCK_FILE ? -1 : want.pid;
    lock->start = want.start;
    lock->length = want.end == INT64_MAX ? 0 : want.end - want.start + 1;
    return 0;
}

int32_t vrift_getlk(vrift_task *task, int32_t fd, uint64_t flags, struct vrift_lock *lock)
{
    struct vrift_lock own;
    vrift_file *file;
    if (!task || !lock || flags & ~VRIFT_SETLK_OFD)
        return -VRIFT_EINVAL;
    int32_t error = VR_COPYIN(&own, lock);
    if (error)
        return error;
    error = vr_fdtable_get_open(task->files, fd, &file);
    if (error)
        return error;
    error = test_record(task, file, flags, &own);
    vrift_file_unref(file);
    if (error)
        return error;
    own.size = lock->size;
    *lock = own;
    return 0;
}
