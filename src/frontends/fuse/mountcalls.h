/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Linux's system calls for making mounts by descriptor (since 5.2). They need no escaping of paths, and a file system
 * can be made complete before anything sees it.
 */
#ifndef VR_FUSE_MOUNTCALLS_H
#define VR_FUSE_MOUNTCALLS_H

#include <stddef.h>
#include <stdint.h>

/* One option of a file system; value NULL: a flag; an empty key: none. An array of them ends with key NULL. */
struct vr_mount_option {
    const char *key;
    const char *value;
};

/*
 * Makes a file system that is mounted nowhere yet.
 *
 * A descriptor that vr_mountcalls_attach() takes, or a negative errno; then `why`, of `room` bytes, holds what the
 * kernel said about it, perhaps nothing.
 */
int vr_mountcalls_make(const char *type, const struct vr_mount_option *options, uint64_t attributes, char *why,
                       size_t room);

/* For `attributes` above. */
#define VR_MOUNTCALLS_RDONLY 1u
#define VR_MOUNTCALLS_NOSUID 2u
#define VR_MOUNTCALLS_NODEV  4u

/*
 * A private view of a directory, in which nothing is mounted below it: O_PATH on a mount that is nowhere else. A
 * negative errno: -EPERM for those who may not mount.
 */
int vr_mountcalls_clone(const char *path);

/* Mounts it on a directory. 0, or a negative errno. */
int vr_mountcalls_attach(int mount_fd, const char *path);

#endif
