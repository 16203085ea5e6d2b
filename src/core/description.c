/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/description.h"

#include "core/alloc.h"
#include "core/dispatch.h"
#include "core/fifo.h"
#include "core/inode.h"
#include "core/lock.h"
#include "core/mnt.h"
#include "core/watch.h"

#include <vrift/file.h>
#include <vrift/task.h>

int32_t vr_description_new(vrift_vfs *vfs, vrift_file **out)
{
    if (atomic_fetch_add_explicit(&vfs->open_files, 1, memory_order_relaxed) >= vfs->max_files) {
        atomic_fetch_sub_explicit(&vfs->open_files, 1, memory_order_relaxed);
        return -VRIFT_ENFILE;
    }
    vrift_file *file = vr_alloc_zero(vfs->allocator, 1, sizeof *file);
    if (!file || vr_os_mutex_init(&file->lock)) {
        vr_alloc_free(vfs->allocator, file);
        atomic_fetch_sub_explicit(&vfs->open_files, 1, memory_order_relaxed);
        return -VRIFT_ENOMEM;
    }
    atomic_init(&file->refs, 1);
    file->vfs = vr_vfs_ref(vfs);
    *out = file;
    return 0;
}

int32_t vr_description_put(vrift_file *file)
{
    if (!file || atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) != 1)
        return 0;
    vrift_vfs *vfs = file->vfs;
    int32_t error = 0;
    if (file->told)
        vr_watch_file(file->path.dentry, file->writable ? VRIFT_IN_CLOSE_WRITE : VRIFT_IN_CLOSE_NOWRITE);
    vr_lock_released(file);
    if (file->pipe)
        vr_fifo_release(file);
    if (file->opened) {
        error = vr_dispatch_release(file->path.dentry->inode, file->handle);
        /* What was written may have reached the backend only now. */
        if (file->writable)
            vr_inode_attr_forget(file->path.dentry->inode);
    }
    if (file->writable && !file->pipe)
        vr_mnt_drop_write(file->path.mount);
    vr_path_unref(&file->path);
    vrift_cred_unref(file->cred);
    vr_os_mutex_destroy(&file->lock);
    vr_alloc_free(vfs->allocator, file);
    atomic_fetch_sub_explicit(&vfs->open_files, 1, memory_order_relaxed);
    vr_vfs_unref(vfs);
    return error;
}

vrift_file *vrift_file_ref(vrift_file *file)
{
    if (file)
        atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
    return file;
}

void vrift_file_unref(vrift_file *file)
{
    (void)vr_description_put(file);
}

void vr_description_lock(vrift_file *file)
{
    vr_lockrank_take(vr_lockrank_key(file->path.mount->sb->depth, VR_RANK_POSITION));
    vr_os_mutex_lock(&file->lock);
}

void vr_description_unlock(vrift_file *file)
{
    vr_os_mutex_unlock(&file->lock);
    vr_lockrank_give(vr_lockrank_key(file->path.mount->sb->depth, VR_RANK_POSITION));
}
