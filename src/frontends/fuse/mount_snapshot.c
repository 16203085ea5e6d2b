/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A snapshot as a read-only file system, by the server that is made for them. */
#include "fuse/mount_serve.h"
#include "fuse/snapshot_server.h"

#include <vrift/error.h>

#define THREADS 2

struct snapshot_service {
    vrift_snapshot *snapshot;
    const char *mountpoint;
    struct vr_snapshot_server server;
};

static int32_t start(void *payload, struct vr_fuse_session *session, struct vr_fuse_session_config *out)
{
    struct snapshot_service *self = payload;
    int32_t result = vr_snapshot_server_init(&self->server, self->snapshot);
    (void)session;
    if (result < 0)
        return vr_mount_complain("mount", self->mountpoint, "", -vrift_err_to_host_errno(result));
    *out = vr_snapshot_server_config(&self->server, THREADS);
    return 0;
}

/* The server trusts the kernel with permissions, so they are its business, and everybody may come. */
int32_t vr_mount_snapshot(vrift_snapshot *snapshot, const char *mountpoint, const struct vr_mount_options *options)
{
    struct snapshot_service self = {.snapshot = snapshot, .mountpoint = mountpoint};
    const struct vr_mount_service service = {.start = start, .payload = &self};
    struct vr_mount_options own = *options;
    own.flags |= VR_MOUNT_RDONLY | VR_MOUNT_DEFAULT_PERMISSIONS | VR_MOUNT_ROOT_FOR_ALL;
    return vr_mount_serve(&service, mountpoint, &own);
}
