/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Mounting, serving and unmounting, whatever it is that is served. */
#ifndef VR_FUSE_MOUNT_SERVE_H
#define VR_FUSE_MOUNT_SERVE_H

#include "fuse/fuse_session.h"
#include "fuse/mount.h"

/* What is served. */
struct vr_mount_service {
    /*
     * Called in the process that serves, before it mounts and while it has one thread: gets ready and says how to start
     * the session. 0, or -VRIFT_E... after a complaint.
     */
    int32_t (*start)(void *payload, struct vr_fuse_session *session, struct vr_fuse_session_config *out);
    void (*end)(void *payload); /* after it was unmounted, or could not be mounted; may be NULL */
    void *payload;
};

/* Mounts and serves, as vr_mount_tree(). */
int32_t vr_mount_serve(const struct vr_mount_service *service, const char *mountpoint,
                       const struct vr_mount_options *options);

/* Prints `vrift: COMMAND: PATH: WHY` and returns the error, a negative errno, as one of the library's. */
int32_t vr_mount_complain(const char *command, const char *path, const char *why, int32_t error);

/* The flags of mount(2). */
unsigned long vr_mount_kernel_flags(uint64_t flags);

#endif
