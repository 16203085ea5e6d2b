/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/place.h"

#include "core/dcache.h"
#include "core/mnt.h"

static void enlist(vrift_vfs *vfs, struct vr_place *place)
{
    place->before = NULL;
    place->after = vfs->places;
    if (place->after)
        place->after->before = place;
    vfs->places = place;
}

static struct vr_place *make(vrift_vfs *vfs, uint32_t umask)
{
    struct vr_place *place = vr_pool_get(&vfs->dcache.places, vfs->allocator);
    if (!place)
        return NULL;
    atomic_store(&place->refs, 1);
    atomic_store(&place->umask, umask);
    return place;
}

/* r: for the first time. */
static void stand(vrift_vfs *vfs, struct vr_place *place, const struct vr_path *root, const struct vr_path *cwd)
{
    vr_path_ref(root);
    vr_path_ref(cwd);
    vr_spot_set(&place->root, root);
    vr_spot_set(&place->cwd, cwd);
    enlist(vfs, place);
}

struct vr_place *vr_place_new(vrift_vfs *vfs, const struct vr_path *at, uint32_t umask)
{
    struct vr_place *place = make(vfs, umask);
    if (!place)
        return NULL;
    vr_dcache_read_begin(vfs);
    stand(vfs, place, at, at);
    vr_dcache_read_end(vfs);
    return place;
}

struct vr_place *vr_place_share(vrift_task *task)
{
    vr_dcache_read_begin(task->vfs);
    struct vr_place *place = task->place;
    atomic_fetch_add_explicit(&place->refs, 1, memory_order_relaxed);
    vr_dcache_read_end(task->vfs);
    return place;
}

struct vr_place *vr_place_copy(vrift_task *task)
{
    vrift_vfs *vfs = task->vfs;
    struct vr_place *place = make(vfs, 0);
    if (!place)
        return NULL;
    vr_dcache_read_begin(vfs);
    const struct vr_place *from = task->place; /* another thread may make the task leave it */
    atomic_store(&place->umask, atomic_load(&from->umask));
    const struct vr_path root = vr_spot_get(&from->root), cwd = vr_spot_get(&from->cwd);
    stand(vfs, place, &root, &cwd);
    vr_dcache_read_end(vfs);
    return place;
}

void vr_place_unref(vrift_vfs *vfs, struct vr_place *place)
{
    if (!place || atomic_fetch_sub_explicit(&place->refs, 1, memory_order_acq_rel) != 1)
        return;
    vr_dcache_read_begin(vfs);
    *(place->before ? &place->before->after : &vfs->places) = place->after;
    if (place->after)
        place->after->before = place->before;
    vr_dcache_read_end(vfs);
    struct vr_path root = vr_spot_get(&place->root), cwd = vr_spot_get(&place->cwd);
    vr_path_unref(&cwd);
    vr_path_unref(&root);
    vr_pool_put(&vfs->dcache.places, place);
}

static void move(struct vr_spot *where, const struct vr_path *from, const struct vr_path *to)
{
    if (where->mount != from->mount || where->dentry != from->dentry)
        return;
    vr_path_ref(to);
    vr_spot_set(where, to);
    /* The caller holds `from`: neither count falls to nothing here. */
    atomic_fetch_sub_explicit(&from->dentry->refs, 1, memory_order_release);
    atomic_fetch_sub_explicit(&from->mount->refs, 1, memory_order_release);
}

void vr_place_move_all(vrift_vfs *vfs, const struct vr_path *from, const struct vr_path *to)
{
    for (struct vr_place *place = vfs->places; place; place = place->after) {
        move(&place->root, from, to);
        move(&place->cwd, from, to);
    }
}
