/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/mem/mem.h"

#include "core/copyin.h"

#include <vrift/vfs.h>

int32_t vrift_mem_new(vrift_vfs *vfs, const struct vrift_mem_options *options, vrift_sb **out)
{
    struct vrift_mem_options own;
    struct vr_memfs *fs;
    if (!vfs || !out)
        return -VRIFT_EINVAL;
    int32_t error = VR_COPYIN(&own, options);
    if (!error)
        error = vr_memfs_new(vr_alloc_of(vfs), &own, &fs);
    if (error)
        return error;
    error = vrift_sb_new(vfs, &vr_memfs_ops, fs, out);
    if (error)
        vr_memfs_destroy(fs);
    return error;
}
