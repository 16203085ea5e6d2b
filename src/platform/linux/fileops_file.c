/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Whole small files, and reads and writes that are not cut short. */
#include "platform/fileops.h"

#include "platform/os.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int64_t vr_fileops_read_at(int fd, void *buf, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vrift_err_from_host_errno(errno);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

int32_t vr_fileops_write_at(int fd, const void *buf, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(fd, (const char *)buf + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return vrift_err_from_host_errno(errno);
        if (n == 0)
            return -VRIFT_EIO;
        done += (size_t)n;
    }
    return 0;
}

/* Reads to the end, not to the size: files below /proc have none. */
static int32_t read_all(int fd, size_t expected, size_t max, char **data, size_t *length)
{
    size_t capacity = (expected < max ? expected : max) + 2; /* one for the NUL, one to see the end */
    size_t done = 0;
    char *buf = malloc(capacity);
    for (;;) {
        if (!buf)
            return -VRIFT_ENOMEM;
        int64_t n = vr_fileops_read_at(fd, buf + done, capacity - 1 - done, done);
        if (n < 0 || done + (size_t)n > max) {
            free(buf);
            return n < 0 ? (int32_t)n : -VRIFT_EFBIG;
        }
        done += (size_t)n;
        if (done < capacity - 1)
            break;
        capacity = capacity > max / 2 ? max + 2 : capacity * 2;
        char *larger = realloc(buf, capacity);
        if (!larger)
            free(buf);
        buf = larger;
    }
    buf[done] = '\0';
    *data = buf;
    *length = done;
    return 0;
}

int32_t vr_fileops_read_file(int dirfd, const char *name, size_t max, char **data, size_t *length)
{
    /* O_NONBLOCK: a fifo in place of the file must not hang us. */
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return vrift_err_from_host_errno(errno);
    struct stat st;
    int32_t result;
    if (fstat(fd, &st) < 0)
        result = vrift_err_from_host_errno(errno);
    else if (!S_ISREG(st.st_mode))
        result = S_ISDIR(st.st_mode) ? -VRIFT_EISDIR : -VRIFT_EINVAL;
    else if (st.st_size > 0 && (uint64_t)st.st_size > max)
        result = -VRIFT_EFBIG;
    else
        result = read_all(fd, (size_t)st.st_size, max, data, length);
    close(fd);
    return result;
}

/* Writes the directory part of name into dir (at least "."), for the file's temporary must be its neighbour. */
static int32_t split_directory(const char *name, char *dir, size_t size)
{
    const char *slash = strrchr(name, '/');
    size_t length = slash ? (size_t)(slash - name) + (slash == name) : 0;
    if (length >= size)
        return -VRIFT_ENAMETOOLONG;
    memcpy(dir, name, length);
    snprintf(dir + length, size - length, "%s", length ? "" : ".");
    return 0;
}

static int32_t fill(int fd, const void *data, size_t length, uint32_t mode, int sync)
{
    int32_t result = vr_fileops_write_at(fd, data, length, 0);
    if (!result && fchmod(fd, mode) < 0) /* exactly, whatever the umask */
        result = vrift_err_from_host_errno(errno);
    if (!result && sync && fsync(fd) < 0)
        result = vrift_err_from_host_errno(errno);
    if (close(fd) < 0 && !result && errno != EINTR)
        result = vrift_err_from_host_errno(errno);
    return result;
}

static int32_t sync_directory(int dirfd, const char *dir)
{
    int fd = openat(dirfd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return vrift_err_from_host_errno(errno);
    int32_t result = fsync(fd) < 0 && errno != EINVAL ? vrift_err_from_host_errno(errno) : 0;
    close(fd);
    return result;
}

int32_t vr_fileops_temporary_name(char name[VR_FILEOPS_TEMPORARY_SIZE])
{
    uint64_t random;
    int32_t result = vr_os_random(&random, sizeof random);
    if (!result)
        snprintf(name, VR_FILEOPS_TEMPORARY_SIZE, VR_FILEOPS_TEMPORARY "%016llx", (unsigned long long)random);
    return result;
}

int32_t vr_fileops_write_file(int dirfd, const char *name, const void *data, size_t length, uint32_t mode, int sync)
{
    char dir[VRIFT_PATH_MAX], unique[VR_FILEOPS_TEMPORARY_SIZE], temporary[VRIFT_PATH_MAX + sizeof unique];
    int32_t result = split_directory(name, dir, sizeof dir);
    if (!result)
        result = vr_fileops_temporary_name(unique);
    if (result)
        return result;
    snprintf(temporary, sizeof temporary, "%s/%s", dir, unique);
    int fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, (mode_t)(mode & 0700) | 0200);
    if (fd < 0)
        return vrift_err_from_host_errno(errno);
    result = fill(fd, data, length, mode & 07777, sync);
    if (!result && renameat(dirfd, temporary, dirfd, name) < 0)
        result = vrift_err_from_host_errno(errno);
    if (result)
        unlinkat(dirfd, temporary, 0);
    else if (sync)
        result = sync_directory(dirfd, dir);
    return result;
}
