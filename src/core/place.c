/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/place.h"

#include "core/alloc.h"
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

struct vr_place *vr_place_new(vrift_vfs *vfs, const struct vr_path *at, uint32_t umask)
{
    struct vr_place *place = vr_alloc_zero(vfs->allocator, 1, sizeof *place);
    if (!place)
        return NULL;
    atomic_init(&place->refs, 1);
    atomic_init(&place->umask, umask);
    vr_dcache_write_begin(vfs);
    place->root = place->cwd = *at;
    vr_path_ref(&place->root);
    vr_path_ref(&place->cwd);
    enlist(vfs, place);
    vr_dcache_write_end(vfs);
    return place;
}

struct vr_place *vr_place_copy(vrift_vfs *vfs, struct vr_place *from)
{
    struct vr_place *place = vr_alloc_zero(vfs->allocator, 1, sizeof *place);
    if (!place)
        return NULL;
    atomic_init(&place->refs, 1);
    atomic_init(&place->umask, atomic_load(&from->umask));
    vr_dcache_write_begin(vfs);
    place->root = from->root;
    place->cwd = from->cwd;
    vr_path_ref(&place->root);
    vr_path_ref(&place->cwd);
    enlist(vfs, place);
    vr_dcache_write_end(vfs);
    return place;
}

void vr_place_unref(vrift_vfs *vfs, struct vr_place *place)
{
    if (!place || atomic_fetch_sub_explicit(&place->refs, 1, memory_order_acq_rel) != 1)
        return;
    vr_dcache_write_begin(vfs);
    *(place->before ? &place->before->after : &vfs->places) = place->after;
    if (place->after)
        place->after->before = place->before;
    vr_dcache_write_end(vfs);
    vr_path_unref(&place->cwd);
    vr_path_unref(&place->root);
    vr_alloc_free(vfs->allocator, place);
}

static void move(struct vr_path *where, const struct vr_path *from, const struct vr_path *to)
{
    if (where->mount != from->mount || where->dentry != from->dentry)
        return;
    vr_path_ref(to);
    *where = *to;
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
