/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Extended attributes. Linux 6.13 has calls that take a directory and a name; before it, a descriptor's path below
 * /proc serves what a plain descriptor cannot: symlinks, special files, files that may not be read.
 */
#include "platform/fileops.h"

#include "platform/linux/procfd.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The same numbers on every architecture but alpha. */
#define NR_SETXATTRAT    463
#define NR_GETXATTRAT    464
#define NR_LISTXATTRAT   465
#define NR_REMOVEXATTRAT 466

struct xattr_arguments { /* the kernel's struct xattr_args */
    uint64_t value;
    uint32_t size;
    uint32_t flags;
};

/* Longest value and list that Linux knows; keeps a size within the 32 bits above. */
#define LIMIT 65536u

static int at_flags(const char *name)
{
    return *name ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;
}

static uint32_t clamp(size_t len)
{
    return len > LIMIT ? LIMIT : (uint32_t)len;
}

/* Whether the failed call leaves /proc to try: it is missing, or does not take an O_PATH descriptor. */
static int use_proc(const char *name)
{
    return vr_procfd_missing_call() || (errno == EBADF && !*name);
}

/* A descriptor of name for use below /proc: dirfd itself for "". */
static int proc_target(int dirfd, const char *name)
{
    return *name ? openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : dirfd;
}

static int64_t finish(int dirfd, int fd, ssize_t result)
{
    int64_t answer = result < 0 ? vr_procfd_error() : result;
    if (fd != dirfd)
        close(fd);
    return answer;
}

int64_t vr_fileops_xattr_list(int dirfd, const char *name, char *buf, size_t len)
{
    long n = syscall(NR_LISTXATTRAT, dirfd, name, at_flags(name), buf, (size_t)clamp(len));
    if (n >= 0)
        return n;
    if (!use_proc(name))
        return vrift_err_from_host_errno(errno);
    int fd = proc_target(dirfd, name);
    if (fd < 0)
        return vrift_err_from_host_errno(errno);
    return finish(dirfd, fd, listxattr(vr_procfd(fd).path, buf, clamp(len)));
}

int64_t vr_fileops_xattr_get(int dirfd, const char *name, const char *key, void *buf, size_t len)
{
    struct xattr_arguments arguments = {(uint64_t)(uintptr_t)buf, clamp(len), 0};
    long n = syscall(NR_GETXATTRAT, dirfd, name, at_flags(name), key, &arguments, sizeof arguments);
    if (n >= 0)
        return n;
    if (!use_proc(name))
        return vrift_err_from_host_errno(errno);
    int fd = proc_target(dirfd, name);
    if (fd < 0)
        return vrift_err_from_host_errno(errno);
    return finish(dirfd, fd, getxattr(vr_procfd(fd).path, key, buf, clamp(len)));
}

int32_t vr_fileops_xattr_set(int dirfd, const char *name, const char *key, const void *value, size_t len,
                             uint64_t flags)
{
    _Static_assert(XATTR_CREATE == VRIFT_XATTR_CREATE && XATTR_REPLACE == VRIFT_XATTR_REPLACE, "flags are Linux's");
    if (len > LIMIT)
        return -VRIFT_E2BIG;
    if (flags & ~(VRIFT_XATTR_CREATE | VRIFT_XATTR_REPLACE))
        return -VRIFT_EINVAL;
    struct xattr_arguments arguments = {(uint64_t)(uintptr_t)value, (uint32_t)len, (uint32_t)flags};
    if (syscall(NR_SETXATTRAT, dirfd, name, at_flags(name), key, &arguments, sizeof arguments) == 0)
        return 0;
    if (!use_proc(name))
        return vrift_err_from_host_errno(errno);
    int fd = proc_target(dirfd, name);
    if (fd < 0)
        return vrift_err_from_host_errno(errno);
    return (int32_t)finish(dirfd, fd, setxattr(vr_procfd(fd).path, key, value, len, (int)flags));
}

int32_t vr_fileops_xattr_remove(int dirfd, const char *name, const char *key)
{
    if (syscall(NR_REMOVEXATTRAT, dirfd, name, at_flags(name), key) == 0)
        return 0;
    if (!use_proc(name))
        return vrift_err_from_host_errno(errno);
    int fd = proc_target(dirfd, name);
    if (fd < 0)
        return vrift_err_from_host_errno(errno);
    return (int32_t)finish(dirfd, fd, removexattr(vr_procfd(fd).path, key));
}
