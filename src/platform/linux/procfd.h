/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What an O_PATH descriptor cannot do itself, its path below /proc/self/fd can. */
#ifndef VR_PROCFD_H
#define VR_PROCFD_H

#include <vrift/error.h>

#include <errno.h>
#include <stdio.h>

struct vr_procfd {
    char path[32];
};

static inline struct vr_procfd vr_procfd(int fd)
{
    struct vr_procfd proc;
    snprintf(proc.path, sizeof proc.path, "/proc/self/fd/%d", fd);
    return proc;
}

/* errno as our error; of a call on such a path, where ENOENT can only mean that there is no /proc. */
static inline int32_t vr_procfd_error(void)
{
    return errno == ENOENT ? -VRIFT_EOPNOTSUPP : vrift_err_from_host_errno(errno);
}

/* Newer calls are missing on older kernels; old seccomp filters answer EPERM for what they do not know. */
static inline int vr_procfd_missing_call(void)
{
    return errno == ENOSYS || errno == EPERM;
}

#endif
