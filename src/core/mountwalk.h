/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* How the mount calls come to their places. */
#ifndef VR_MOUNTWALK_H
#define VR_MOUNTWALK_H

#include "core/mnttree.h"
#include "core/walk.h"

/* Walks, and then asks whether the task may change mounts: a path that leads nowhere comes first. */
int32_t vr_mountwalk(vrift_task *task, int32_t dirfd, const char *path, uint32_t flags, struct vr_path *out);

#endif
