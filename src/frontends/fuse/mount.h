/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* `vrift mount` and `vrift umount`: a snapshot as a read-only file system. Linux. */
#ifndef VR_FUSE_MOUNT_H
#define VR_FUSE_MOUNT_H

#include <vrift/types.h>

struct vr_mount_options {
    const char *source; /* shown as the mount's source; NULL: "vrift" */
    int32_t foreground; /* other than 0: serve in this process until it is unmounted */
    int32_t threads;    /* of the server; 0: 2 */
};

/*
 * Mounts a snapshot, as root by mount(2), else through fusermount3.
 *
 * Without `foreground` a child process serves it, and this returns when the mount can be used. SIGINT, SIGTERM and
 * SIGHUP unmount; `vrift umount`, umount(8) and fusermount3 -u end the server.
 *
 * Returns 0, or -VRIFT_E... after one line on stderr, `vrift: mount: PATH: WHY`. Call it from a process with one thread.
 */
int32_t vr_mount_snapshot(vrift_snapshot *snapshot, const char *mountpoint, const struct vr_mount_options *options);

/*
 * Unmounts what vr_mount_snapshot() mounted, and nothing else.
 *
 * Returns 0, or -VRIFT_E... after one line on stderr, `vrift: umount: PATH: WHY`.
 */
int32_t vr_mount_umount(const char *mountpoint);

#endif
