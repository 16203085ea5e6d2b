/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The copy ladder: clone, kernel copy, plain copy; and hard links. Each rung's error is classified, and only what is
 * true of a whole file system or a pair of them is remembered, for the one source it was learned of.
 */
#include "platform/fileops.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PLAIN_BUFFER 262144u
#define KERNEL_CHUNK (1u << 30) /* a wrapper of the C library once corrupted ranges beyond 2 GiB */

/* -- What errors mean --------------------------------------------------------------------------------------------- */

enum vr_fileops_class vr_fileops_classify_clone(int32_t error)
{
    switch (-error) {
    case 0:
        return VR_FILEOPS_OK;
    case VRIFT_EOPNOTSUPP:
    case VRIFT_ENOTTY:
    case VRIFT_ENOSYS:
        return VR_FILEOPS_UNSUPPORTED_FS;
    case VRIFT_EXDEV:
        return VR_FILEOPS_UNSUPPORTED_PAIR;
    case VRIFT_EPERM:
    case VRIFT_EACCES:
        return VR_FILEOPS_DENIED;
    case VRIFT_EIO:
    case VRIFT_ENOSPC:
    case VRIFT_EDQUOT:
    case VRIFT_ENOMEM:
    case VRIFT_EROFS:
    case VRIFT_EBADF: /* these three can only be a mistake of ours, which another rung would hide */
    case VRIFT_EISDIR:
    case VRIFT_EFAULT:
        return VR_FILEOPS_TERMINAL;
    default: /* EINVAL, ETXTBSY, EAGAIN; and what odd file systems make up (ENOENT and EFBIG were seen) */
        return VR_FILEOPS_UNSUPPORTED_FILE;
    }
}

enum vr_fileops_class vr_fileops_classify_link(int32_t error)
{
    switch (-error) {
    case VRIFT_EPERM: /* immutable, or not ours under protected_hardlinks: about this file */
    case VRIFT_EMLINK:
        return VR_FILEOPS_UNSUPPORTED_FILE;
    case VRIFT_EEXIST: /* what to do then is the caller's to say */
    case VRIFT_ENOENT:
        return VR_FILEOPS_TERMINAL;
    default:
        return vr_fileops_classify_clone(error);
    }
}

int32_t vr_fileops_rung_never(const struct vr_fileops_rung *rung, uint64_t source)
{
    return rung->never && rung->source == source ? rung->never : 0;
}

/* The source goes first: who sees `never` set must find whose it is. */
void vr_fileops_rung_result(struct vr_fileops_rung *rung, uint64_t source, int32_t error, enum vr_fileops_class class)
{
    if (class == VR_FILEOPS_OK) {
        rung->files++;
        return;
    }
    if (class == VR_FILEOPS_TERMINAL)
        return;
    rung->last_error = error;
    if (class == VR_FILEOPS_UNSUPPORTED_FS || class == VR_FILEOPS_UNSUPPORTED_PAIR) {
        rung->source = source;
        rung->never = error;
    }
}

void vr_fileops_rungs(const struct vr_fileops_ladder *ladder, struct vrift_rungs *out)
{
    *out = (struct vrift_rungs){
        .hardlink = ladder->hardlink.files,
        .clone = ladder->clone.files,
        .kernel_copy = ladder->kernel_copy.files,
        .copy = ladder->copies,
        .hardlink_error = ladder->hardlink.last_error,
        .clone_error = ladder->clone.last_error,
        .kernel_copy_error = ladder->kernel_copy.last_error,
    };
}

/* -- Hard links --------------------------------------------------------------------------------------------------- */

int32_t vr_fileops_link(struct vr_fileops_ladder *ladder, uint64_t source, int from_dir, const char *from, int to_dir,
                        const char *to)
{
    int32_t error = vr_fileops_rung_never(&ladder->hardlink, source);
    if (error)
        return error;
    error = linkat(from_dir, from, to_dir, to, 0) < 0 ? vrift_err_from_host_errno(errno) : 0;
    vr_fileops_rung_result(&ladder->hardlink, source, error, vr_fileops_classify_link(error));
    return error;
}

/* -- Copies ------------------------------------------------------------------------------------------------------- */

struct copy {
    struct vr_fileops_ladder *ladder;
    int src, dst;
    uint64_t source;  /* whose files these are, for what the ladder remembers */
    uint64_t shift;   /* position in src - position in dst */
    int kernel;       /* copy_file_range() may be tried */
    int fell;         /* some of the data went by read and write */
    char *buffer;     /* made at first need */
    size_t allocated; /* bytes of buffer */
};

static int32_t clone_file(int src, int dst)
{
    while (ioctl(dst, FICLONE, src) < 0)
        if (errno != EINTR)
            return vrift_err_from_host_errno(errno);
    return 0;
}

/* Whole files only. 0: done, 1: try the next rung, or an error. */
static int32_t try_clone(struct copy *copy, uint64_t src_size, uint64_t size)
{
    struct vr_fileops_rung *rung = &copy->ladder->clone;
    int must = copy->ladder->link == VRIFT_LINK_REFLINK;
    if (copy->shift)
        return must ? -VRIFT_EOPNOTSUPP : 1;
    int32_t error = vr_fileops_rung_never(rung, copy->source);
    if (error)
        return must ? error : 1;
    error = clone_file(copy->src, copy->dst);
    if (error) {
        enum vr_fileops_class class = vr_fileops_classify_clone(error);
        vr_fileops_rung_result(rung, copy->source, error, class);
        return must || class == VR_FILEOPS_TERMINAL ? error : 1;
    }
    if (src_size > size && ftruncate(copy->dst, (off_t)size) < 0)
        return vrift_err_from_host_errno(errno);
    rung->files++;
    return 0;
}

static int32_t plain_copy(struct copy *copy, uint64_t at, uint64_t end)
{
    if (at < end && !copy->buffer) {
        copy->allocated = end - at < PLAIN_BUFFER ? (size_t)(end - at) : PLAIN_BUFFER;
        copy->buffer = malloc(copy->allocated);
        if (!copy->buffer)
            return -VRIFT_ENOMEM;
    }
    copy->fell = 1;
    while (at < end) {
        size_t want = end - at < copy->allocated ? (size_t)(end - at) : copy->allocated;
        int64_t got = vr_fileops_read_at(copy->src, copy->buffer, want, at + copy->shift);
        if (got < 0)
            return (int32_t)got;
        if (got == 0)
            return -VRIFT_ESTALE;
        int32_t result = vr_fileops_write_at(copy->dst, copy->buffer, (size_t)got, at);
        if (result)
            return result;
        at += (uint64_t)got;
    }
    return 0;
}

/* Advances *at as far as the kernel copies; what is left is for plain_copy(). An error only if it is terminal. */
static int32_t kernel_copy(struct copy *copy, uint64_t *at, uint64_t end)
{
    struct vr_fileops_rung *rung = &copy->ladder->kernel_copy;
    while (*at < end) {
        loff_t from = (loff_t)(*at + copy->shift), to = (loff_t)*at;
        size_t want = end - *at < KERNEL_CHUNK ? (size_t)(end - *at) : KERNEL_CHUNK;
        long n = syscall(SYS_copy_file_range, copy->src, &from, copy->dst, &to, want, 0u);
        if (n < 0 && errno == EINTR)
            continue;
        if (n > 0) {
            *at += (uint64_t)n;
            continue;
        }
        /* Older kernels answer 0 where they cannot copy; a source that is too short answers 0 too and is found later. */
        copy->kernel = 0;
        int32_t error = n < 0 ? vrift_err_from_host_errno(errno) : -VRIFT_EOPNOTSUPP;
        enum vr_fileops_class class = n < 0 ? vr_fileops_classify_clone(error) : VR_FILEOPS_UNSUPPORTED_FILE;
        vr_fileops_rung_result(rung, copy->source, error, class);
        return class == VR_FILEOPS_TERMINAL ? error : 0;
    }
    return 0;
}

/* Copies [at, end) of dst. */
static int32_t copy_range(struct copy *copy, uint64_t at, uint64_t end)
{
    int32_t result = copy->kernel ? kernel_copy(copy, &at, end) : 0;
    if (!result && at < end)
        result = plain_copy(copy, at, end);
    return result;
}

/* Copies data only and leaves holes. Bounded by size, whatever happens to the source meanwhile. */
static int32_t copy_sparse(struct copy *copy, uint64_t size)
{
    for (uint64_t at = 0; at < size;) {
        off_t data = lseek(copy->src, (off_t)at, SEEK_DATA);
        if (data < 0 && errno == ENXIO)
            break; /* a hole to the end */
        if (data < 0)
            return errno == EINVAL ? copy_range(copy, at, size) : vrift_err_from_host_errno(errno);
        if ((uint64_t)data >= size)
            break;
        off_t hole = lseek(copy->src, data, SEEK_HOLE);
        if (hole <= data)
            return hole < 0 && errno != ENXIO ? vrift_err_from_host_errno(errno) : -VRIFT_ESTALE;
        uint64_t end = (uint64_t)hole < size ? (uint64_t)hole : size;
        int32_t result = copy_range(copy, (uint64_t)data, end);
        if (result)
            return result;
        at = end;
    }
    return ftruncate(copy->dst, (off_t)size) < 0 ? vrift_err_from_host_errno(errno) : 0;
}

static int32_t run(struct copy *copy, const struct stat *st, uint64_t size)
{
    uint32_t link = copy->ladder->link;
    uint64_t offset = copy->shift;
    if (link == VRIFT_LINK_REFLINK || (link != VRIFT_LINK_COPY && size >= VR_FILEOPS_CLONE_FROM)) {
        int32_t result = try_clone(copy, (uint64_t)st->st_size, size);
        if (result <= 0)
            return result;
    }
    copy->kernel = link != VRIFT_LINK_COPY && size >= VR_FILEOPS_CLONE_FROM &&
                   !vr_fileops_rung_never(&copy->ladder->kernel_copy, copy->source);
    int sparse = !offset && (uint64_t)st->st_blocks * 512 < (uint64_t)st->st_size;
    int32_t result = sparse ? copy_sparse(copy, size) : copy_range(copy, 0, size);
    if (result)
        return result;
    if (copy->fell || !size || !copy->kernel)
        copy->ladder->copies++;
    else
        copy->ladder->kernel_copy.files++;
    return 0;
}

int32_t vr_fileops_copy(struct vr_fileops_ladder *ladder, int src, uint64_t src_offset, int dst, uint64_t size)
{
    struct stat st;
    if (fstat(src, &st) < 0)
        return vrift_err_from_host_errno(errno);
    if (!S_ISREG(st.st_mode)) /* a device's driver would get the ioctl */
        return -VRIFT_EINVAL;
    if (size > (uint64_t)st.st_size || src_offset > (uint64_t)st.st_size - size)
        return -VRIFT_ESTALE;
    if (!size) {
        ladder->copies++;
        return 0;
    }
    struct copy copy = {.ladder = ladder, .src = src, .dst = dst, .source = st.st_dev, .shift = src_offset};
    int32_t result = run(&copy, &st, size);
    free(copy.buffer);
    return result;
}
