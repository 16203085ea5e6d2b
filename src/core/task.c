/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Tasks and credentials: who asks, and where that is. */
#include "core/alloc.h"
#include "core/copyin.h"
#include "core/dcache.h"
#include "core/dpath.h"
#include "core/fdtable.h"
#include "core/mnt.h"
#include "core/ns.h"
#include "core/perm.h"
#include "core/place.h"
#include "core/walk.h"

#include <vrift/file.h>
#include <vrift/task.h>

#include <stdlib.h>
#include <string.h>

#define DEFAULT_MAX_FILES 65536u
#define MOST_GROUPS       65536u

/* -- Credentials --------------------------------------------------------------------------------------------------- */

static int compare_groups(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static struct vr_pool *cred_pool(vrift_vfs *vfs, uint32_t groups)
{
    return &vfs->dcache.creds[groups <= 4 ? 0 : vr_os_log2(groups - 1) / 2];
}

/* A late walk may still read what the slot held before: it finds out. */
static void fill_cred(vrift_cred *cred, vrift_vfs *vfs, const struct vrift_cred_options *options,
                      const uint32_t *groups)
{
    cred->uid = options->uid;
    cred->gid = options->gid;
    cred->group_count = options->group_count;
    cred->capabilities = options->capabilities;
    for (uint32_t i = 0; i < options->group_count; i++)
        cred->groups[i] = groups[i];
    cred->id = atomic_fetch_add_explicit(&vfs->next_cred, 1, memory_order_relaxed);
    cred->vfs = vr_vfs_ref(vfs);
    atomic_store_explicit(&cred->refs, 1, memory_order_release);
}

int32_t vrift_cred_new(vrift_vfs *vfs, const struct vrift_cred_options *options, vrift_cred **out)
{
    struct vrift_cred_options own;
    if (!vfs || !out)
        return -VRIFT_EINVAL;
    int32_t error = VR_COPYIN(&own, options);
    if (error)
        return error;
    if (!options)
        own.capabilities = VRIFT_CAP_ALL;
    if (own.group_count > MOST_GROUPS || (own.group_count && !own.groups))
        return -VRIFT_EINVAL;
    uint32_t *groups = NULL;
    if (own.group_count) {
        groups = vr_alloc(vfs->allocator, own.group_count * sizeof *groups);
        if (!groups)
            return -VRIFT_ENOMEM;
        memcpy(groups, own.groups, own.group_count * sizeof *groups);
        qsort(groups, own.group_count, sizeof *groups, compare_groups);
    }
    vrift_cred *cred = vr_pool_get(cred_pool(vfs, own.group_count), vfs->allocator);
    if (cred)
        fill_cred(cred, vfs, &own, groups);
    vr_alloc_free(vfs->allocator, groups);
    if (!cred)
        return -VRIFT_ENOMEM;
    *out = cred;
    return 0;
}

vrift_cred *vrift_cred_ref(vrift_cred *cred)
{
    if (cred)
        atomic_fetch_add_explicit(&cred->refs, 1, memory_order_relaxed);
    return cred;
}

void vrift_cred_unref(vrift_cred *cred)
{
    if (!cred || atomic_fetch_sub_explicit(&cred->refs, 1, memory_order_acq_rel) != 1)
        return;
    vrift_vfs *vfs = cred->vfs;
    vr_pool_put(cred_pool(vfs, cred->group_count), cred);
    vr_vfs_unref(vfs);
}

/* -- Tasks --------------------------------------------------------------------------------------------------------- */

/* Takes over the references on all of them, of which place and files may be NULL for want of memory. */
static int32_t make_task(vrift_ns *ns, vrift_cred *cred, struct vr_place *place, struct vr_fdtable *files,
                         vrift_task **out)
{
    vrift_vfs *vfs = ns->vfs;
    vrift_task *task = place && files ? vr_alloc_zero(vfs->allocator, 1, sizeof *task) : NULL;
    if (!task) {
        vr_fdtable_unref(vfs, files);
        vr_place_unref(vfs, place);
        vrift_cred_unref(cred);
        vrift_ns_unref(ns);
        return -VRIFT_ENOMEM;
    }
    task->vfs = vr_vfs_ref(vfs);
    task->ns = ns;
    task->cred = cred;
    task->place = place;
    task->files = files;
    task->max_file_size = UINT64_MAX;
    vr_dcache_read_begin(vfs);
    task->after = vfs->tasks;
    if (task->after)
        task->after->before = task;
    vfs->tasks = task;
    vr_dcache_read_end(vfs);
    *out = task;
    return 0;
}

int32_t vrift_task_new(vrift_ns *ns, vrift_cred *cred, const struct vrift_task_options *options, vrift_task **out)
{
    struct vrift_task_options own;
    if (!ns || !out || (cred && cred->vfs != ns->vfs))
        return -VRIFT_EINVAL;
    int32_t error = vr_copyin(&own, sizeof own, offsetof(struct vrift_task_options, max_file_size), options);
    if (error)
        return error;
    if (own.reserved || own.max_files > VR_FDTABLE_MOST)
        return -VRIFT_EINVAL;
    if (cred)
        vrift_cred_ref(cred);
    else
        error = vrift_cred_new(ns->vfs, NULL, &cred);
    if (error)
        return error;
    struct vr_path root;
    vr_ns_root(ns, &root);
    vrift_task *task;
    error = make_task(vrift_ns_ref(ns), cred, vr_place_new(ns->vfs, &root, own.umask & 0777),
                      vr_fdtable_new(ns->vfs, own.max_files ? own.max_files : DEFAULT_MAX_FILES), &task);
    vr_path_unref(&root);
    if (error)
        return error;
    if (own.max_file_size)
        task->max_file_size = own.max_file_size;
    *out = task;
    return 0;
}

int32_t vrift_task_clone(vrift_task *task, uint64_t flags, vrift_task **out)
{
    if (!task || !out || flags & ~(VRIFT_CLONE_FILES | VRIFT_CLONE_FS))
        return -VRIFT_EINVAL;
    struct vr_place *place = flags & VRIFT_CLONE_FS ? vr_place_share(task) : vr_place_copy(task);
    struct vr_fdtable *files = task->files;
    if (flags & VRIFT_CLONE_FILES)
        atomic_fetch_add_explicit(&files->refs, 1, memory_order_relaxed);
    else
        files = vr_fdtable_copy(task->vfs, files);
    vrift_task *child;
    int32_t error = make_task(vrift_task_ns(task), vr_walk_cred(task), place, files, &child);
    if (error)
        return error;
    child->max_file_size = task->max_file_size;
    *out = child;
    return 0;
}

/*
 * Gives a task that nobody else knows yet credentials of its own, equal to those it has. As fork(2) does, and it shows:
 * the child may not linkat(2) by descriptor what its parent opened (see vrift_linkat()).
 */
static int32_t own_cred(vrift_task *task)
{
    vrift_vfs *vfs = task->vfs;
    vrift_cred *shared = task->cred;
    vrift_cred *own = vr_pool_get(cred_pool(vfs, shared->group_count), vfs->allocator);
    if (!own)
        return -VRIFT_ENOMEM;
    own->uid = shared->uid;
    own->gid = shared->gid;
    own->group_count = shared->group_count;
    own->capabilities = shared->capabilities;
    for (uint32_t i = 0; i < shared->group_count; i++)
        own->groups[i] = shared->groups[i];
    own->id = atomic_fetch_add_explicit(&vfs->next_cred, 1, memory_order_relaxed);
    own->vfs = vr_vfs_ref(vfs);
    atomic_store_explicit(&own->refs, 1, memory_order_release);
    task->cred = own;
    vrift_cred_unref(shared);
    return 0;
}

int32_t vrift_task_fork(vrift_task *task, vrift_task **out)
{
    vrift_task *child;
    int32_t error = vrift_task_clone(task, 0, &child);
    if (!error) {
        error = own_cred(child);
        if (error)
            vrift_task_free(child);
    }
    if (!error)
        *out = child;
    return error;
}

void vrift_task_free(vrift_task *task)
{
    if (!task)
        return;
    vrift_vfs *vfs = task->vfs;
    vr_dcache_read_begin(vfs);
    *(task->before ? &task->before->after : &vfs->tasks) = task->after;
    if (task->after)
        task->after->before = task->before;
    vfs->dcache.hits += task->hits;
    vfs->dcache.misses += task->misses;
    vr_dcache_read_end(vfs);
    vr_fdtable_unref(vfs, task->files);
    vr_place_unref(vfs, task->place);
    vrift_cred_unref(task->cred);
    vrift_ns_unref(task->ns);
    vr_alloc_free(vfs->allocator, task);
    vr_vfs_unref(vfs);
}

int32_t vrift_task_set_cred(vrift_task *task, vrift_cred *cred)
{
    if (!task || !cred || cred->vfs != task->vfs)
        return -VRIFT_EINVAL;
    vrift_cred_ref(cred);
    vr_dcache_write_begin(task->vfs);
    vrift_cred *before = task->cred;
    task->cred = cred;
    vr_dcache_write_end(task->vfs);
    vrift_cred_unref(before);
    return 0;
}

int32_t vrift_umask(vrift_task *task, uint32_t mask)
{
    return task ? (int32_t)atomic_exchange(&task->place->umask, mask & 0777) : -VRIFT_EINVAL;
}

/* -- Where it is --------------------------------------------------------------------------------------------------- */

/* Takes over the references of `to`. */
static void replace_path(vrift_task *task, bool root, const struct vr_path *to)
{
    vr_dcache_write_begin(task->vfs);
    struct vr_place *place = task->place; /* which it may just have left for another one */
    struct vr_spot *where = root ? &place->root : &place->cwd;
    struct vr_path before = vr_spot_get(where);
    vr_spot_set(where, to);
    vr_dcache_write_end(task->vfs);
    vr_path_unref(&before);
}

static int32_t may_enter(vrift_task *task, const struct vr_path *path)
{
    vrift_cred *cred = vr_walk_cred(task);
    int32_t error = vr_perm_check(cred, path->dentry->inode, VR_MAY_EXEC);
    vrift_cred_unref(cred);
    return error;
}

int32_t vrift_chdir(vrift_task *task, const char *path)
{
    struct vr_path to;
    int32_t error = vr_walk_path(task, VRIFT_AT_FDCWD, path, VR_WALK_FOLLOW | VR_WALK_DIRECTORY, &to);
    if (error)
        return error;
    error = may_enter(task, &to);
    if (error)
        vr_path_unref(&to);
    else
        replace_path(task, false, &to);
    return error;
}

int32_t vrift_fchdir(vrift_task *task, int32_t fd)
{
    vrift_file *file;
    if (!task)
        return -VRIFT_EINVAL;
    int32_t error = vr_fdtable_get(task->files, fd, &file);
    if (error)
        return error;
    error = vr_is_dir(file->path.dentry->inode) ? may_enter(task, &file->path) : -VRIFT_ENOTDIR;
    if (!error) {
        struct vr_path to = file->path;
        vr_path_ref(&to);
        replace_path(task, false, &to);
    }
    vrift_file_unref(file);
    return error;
}

int32_t vrift_chroot(vrift_task *task, const char *path)
{
    struct vr_path to;
    int32_t error = vr_walk_path(task, VRIFT_AT_FDCWD, path, VR_WALK_FOLLOW | VR_WALK_DIRECTORY, &to);
    if (error)
        return error;
    error = may_enter(task, &to);
    if (!error && !vr_walk_capable(task, VRIFT_CAP_SYS_CHROOT))
        error = -VRIFT_EPERM;
    if (error)
        vr_path_unref(&to);
    else
        replace_path(task, true, &to);
    return error;
}

int64_t vrift_getcwd(vrift_task *task, char *buf, size_t len)
{
    if (!task || (!buf && len))
        return -VRIFT_EINVAL;
    struct vr_path root, cwd;
    vr_dcache_read_begin(task->vfs);
    root = vr_spot_get(&task->place->root);
    cwd = vr_spot_get(&task->place->cwd);
    int64_t result = vr_dpath_write(&root, &cwd, true, buf, len);
    vr_dcache_read_end(task->vfs);
    return result;
}
