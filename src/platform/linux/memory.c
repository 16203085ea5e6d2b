/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Memory that can be mapped, as a memfd: a file on a tmpfs of the kernel's own, so that it has holes and times. */
#include "platform/os.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What runs out is memory, whatever the kernel calls it. */
static int32_t memory_error(void)
{
    return errno == ENOSPC || errno == EFBIG ? -VRIFT_ENOMEM : vrift_err_from_host_errno(errno);
}

/* Since Linux 6.3 a machine may refuse files in memory that do not renounce being executed. Mapping them is no matter. */
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

int32_t vr_os_memory_new(void)
{
    int fd = memfd_create("vrift", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("vrift", MFD_CLOEXEC);
    return fd < 0 ? vrift_err_from_host_errno(errno) : fd;
}

void vr_os_memory_close(int fd)
{
    close(fd);
}

int32_t vr_os_memory_resize(int fd, uint64_t size)
{
    return ftruncate(fd, (off_t)size) < 0 ? memory_error() : 0;
}

void vr_os_memory_read(int fd, void *buf, size_t len, uint64_t offset)
{
    uint8_t *to = buf;
    while (len > 0) {
        ssize_t got = pread(fd, to, len, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        to += got;
        offset += (uint64_t)got;
        len -= (size_t)got;
    }
    memset(to, 0, len);
}

int32_t vr_os_memory_write(int fd, const void *buf, size_t len, uint64_t offset)
{
    const uint8_t *from = buf;
    while (len > 0) {
        ssize_t put = pwrite(fd, from, len, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? memory_error() : -VRIFT_ENOMEM;
        from += put;
        offset += (uint64_t)put;
        len -= (size_t)put;
    }
    return 0;
}

int32_t vr_os_memory_allocate(int fd, uint64_t offset, uint64_t len)
{
    int result;
    do {
        result = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len);
    } while (result < 0 && errno == EINTR);
    return result < 0 ? memory_error() : 0;
}

void vr_os_memory_punch(int fd, uint64_t offset, uint64_t len)
{
    while (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)len) < 0 && errno == EINTR)
        ;
}

uint64_t vr_os_memory_seek(int fd, uint64_t offset, int want_data)
{
    off_t at = lseek(fd, (off_t)offset, want_data ? SEEK_DATA : SEEK_HOLE);
    return at < 0 ? UINT64_MAX : (uint64_t)at;
}

void vr_os_memory_stat(int fd, uint64_t *bytes, struct vrift_timespec *mtime)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        memset(&st, 0, sizeof st);
    *bytes = (uint64_t)st.st_blocks * 512;
    *mtime = (struct vrift_timespec){st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec, 0};
}
