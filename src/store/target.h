/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Where a tree or file is put: built under a temporary name beside its destination and renamed when whole. Only where
 * nothing can be made beside it, or it cannot be renamed over (a mount point, ".", a symlink to a directory), an
 * existing empty directory is filled in place.
 */
#ifndef VR_TARGET_H
#define VR_TARGET_H

#include "platform/fileops.h"

struct vr_target {
    int parent;                                /* directory that holds the destination; -1 only in place */
    int root;                                  /* the directory being filled; -1 if it is not one */
    int existed;                               /* the destination is an empty directory already */
    int in_place;                              /* and is filled as it is */
    int filling;                               /* that has begun: to be emptied unless published */
    uint32_t mode;                             /* it had before */
    char *name;                                /* of the destination in parent */
    char temporary[VR_FILEOPS_TEMPORARY_SIZE]; /* name in parent of what is built there */
    int made;                                  /* there is something under that name */
};

/* -VRIFT_ENOTEMPTY; -VRIFT_EEXIST if there is anything but a directory; the errors of a path. Changes nothing. */
int32_t vr_target_open(struct vr_target *target, const char *dest);

/* Makes the directory to be filled, mode 0700, without inherited ACLs or group, and opens it as target->root. */
int32_t vr_target_make_root(struct vr_target *target);

/*
 * Gives what was built its final name. For what is not a directory the caller made target->temporary in
 * target->parent. -VRIFT_EEXIST, -VRIFT_ENOTEMPTY if somebody else was faster.
 */
int32_t vr_target_publish(struct vr_target *target);

/* Closes all; what was built but not published is removed, and a directory filled in place is emptied. */
void vr_target_close(struct vr_target *target);

/* Whether the destination is or would be below the directory dir, or is dir. 1, 0 or an error. */
int32_t vr_target_inside(const struct vr_target *target, int dir);

#endif
