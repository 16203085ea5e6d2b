/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/seal.h"

#include "core/alloc.h"
#include "platform/fileops.h"
#include "store/stream.h"
#include "store/tree.h"

#include <vrift/error.h>

static const struct vrift_timespec sealed = {VR_TREE_FIXED_SECONDS, 0, 0};

int32_t vr_seal_name(int dirfd, const char *name)
{
    return vr_fileops_set_times(dirfd, name, &sealed, &sealed);
}

int32_t vr_seal(int fd, uint32_t mode)
{
    int32_t error = vr_fileops_set_mode(fd, "", mode);
    return error ? error : vr_seal_name(fd, "");
}

int vr_seal_holds(struct vrift_timespec mtime)
{
    return mtime.sec == sealed.sec && mtime.nsec == sealed.nsec;
}

static int32_t compare(int fd, uint64_t size, const struct vr_digest *digest)
{
    struct vr_digest sum;
    uint8_t *buffer = vr_alloc(NULL, VR_STREAM_BUFFER);
    if (!buffer)
        return -VRIFT_ENOMEM;
    struct vr_stream stream = {fd, -1, size, buffer, NULL, NULL, 0};
    int32_t error = vr_stream_pass(&stream, &sum);
    vr_alloc_free(NULL, buffer);
    if (error)
        return error == -VRIFT_ESTALE ? -VRIFT_EUCLEAN : error;
    return vr_digest_equal(&sum, digest) ? 0 : -VRIFT_EUCLEAN;
}

int32_t vr_seal_check(int fd, const struct vr_digest *digest)
{
    struct vrift_stat stat;
    int32_t error = vr_fileops_stat(fd, "", &stat);
    if (error || vr_seal_holds(stat.mtime))
        return error;
    return (stat.mode & VRIFT_S_IFMT) == VRIFT_S_IFREG ? compare(fd, stat.size, digest) : -VRIFT_EUCLEAN;
}
