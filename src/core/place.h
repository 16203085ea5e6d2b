/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Where tasks stand: root, current directory and umask, which tasks may share. */
#ifndef VR_PLACE_H
#define VR_PLACE_H

#include "core/object.h"

/* A place at a path, twice held by it; or one like a task's. NULL without memory. */
struct vr_place *vr_place_new(vrift_vfs *vfs, const struct vr_path *at, uint32_t umask);
struct vr_place *vr_place_copy(vrift_task *task);

/* A task's own, with one more reference. */
struct vr_place *vr_place_share(vrift_task *task);

/* Without locks. NULL is fine. */
void vr_place_unref(vrift_vfs *vfs, struct vr_place *place);

/* w: whoever stands exactly at `from`, which the caller holds, stands at `to` then. */
void vr_place_move_all(vrift_vfs *vfs, const struct vr_path *from, const struct vr_path *to);

#endif
