/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/host/host.h"

#include "core/copyin.h"

#include <vrift/vfs.h>

#define KNOWN_FLAGS                                                                                                    \
    (VRIFT_HOST_READ_ONLY | VRIFT_HOST_NO_OPENAT2 | VRIFT_HOST_EXCLUSIVE | VRIFT_HOST_KEEP_OWNERS | VRIFT_HOST_NOTIFY)

int32_t vrift_host_new(vrift_vfs *vfs, const char *path, const struct vrift_host_options *options, vrift_sb **out)
{
    struct vrift_host_options own;
    struct vr_hostfs *fs;
    if (!vfs || !path || !out)
        return -VRIFT_EINVAL;
    int32_t error = VR_COPYIN(&own, options);
    if (!error && (own.reserved || own.flags & ~KNOWN_FLAGS ||
                   (own.flags & VRIFT_HOST_EXCLUSIVE && (own.flags & VRIFT_HOST_NOTIFY || own.max_age_ns))))
        error = -VRIFT_EINVAL;
    if (!error)
        error = vr_hostfs_new(vr_alloc_of(vfs), path, &own, &fs);
    if (error)
        return error;
    const struct vrift_backend_ops *ops = own.flags & VRIFT_HOST_READ_ONLY ? &vr_hostfs_read_only_ops : &vr_hostfs_ops;
    error = vrift_sb_new(vfs, ops, fs, out);
    if (error)
        vr_hostfs_destroy(fs);
    return error;
}
