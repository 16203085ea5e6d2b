/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* fusermount3, through which those who may not mount(2) can mount FUSE. */
#ifndef VR_FUSE_FUSERMOUNT_H
#define VR_FUSE_FUSERMOUNT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Has a FUSE file system mounted, with options as for -o and a source to show. The device, or a negative errno with what fusermount3 said in `why`: -ENOENT if
 * there is no fusermount3.
 */
int vr_fusermount_mount(const char *path, const char *words, const char *source, char *why, size_t room);

/* Has it unmounted; `lazily`: as soon as nobody uses it. 0, or a negative errno as above. */
int32_t vr_fusermount_umount(const char *path, int32_t lazily, char *why, size_t room);

#endif
