/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What is mounted where, from /proc/self/mountinfo. */
#ifndef VR_FUSE_MOUNTINFO_H
#define VR_FUSE_MOUNTINFO_H

#include <stdint.h>

struct vr_mountinfo {
    int64_t id; /* of the mount; not used again while it is mounted */
    char type[64];
};

/* The topmost mount on a path, absolute and without symlinks. 0, -ENOENT if it is no mount point, or another errno. */
int32_t vr_mountinfo_find(const char *path, struct vr_mountinfo *out);

#endif
