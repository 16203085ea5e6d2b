/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* vrift_clone_probe(): tries every rung of the ladder between two directories. */
#include <vrift/clone.h>

#include "core/error.h"
#include "platform/fileops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE (2 * VR_FILEOPS_CLONE_FROM)

/* A temporary file in an open directory. */
struct probe {
    int dir, fd;
    char name[VR_FILEOPS_TEMPORARY_SIZE];
};

static int32_t open_probe(struct probe *probe, const char *path)
{
    probe->fd = -1;
    probe->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int32_t result = probe->dir < 0 ? vrift_err_from_host_errno(errno) : vr_fileops_temporary_name(probe->name);
    if (!result) {
        probe->fd = openat(probe->dir, probe->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        result = probe->fd < 0 ? vrift_err_from_host_errno(errno) : 0;
    }
    return result;
}

static void close_probe(struct probe *probe)
{
    if (probe->fd >= 0) {
        close(probe->fd);
        unlinkat(probe->dir, probe->name, 0);
    }
    if (probe->dir >= 0)
        close(probe->dir);
}

static int32_t try_link(const struct probe *src, const struct probe *dest)
{
    struct vr_fileops_ladder ladder = {.link = VRIFT_LINK_HARDLINK};
    char name[VR_FILEOPS_TEMPORARY_SIZE];
    int32_t result = vr_fileops_temporary_name(name);
    if (!result)
        result = vr_fileops_link(&ladder, 0, src->dir, src->name, dest->dir, name);
    if (!result)
        unlinkat(dest->dir, name, 0);
    return result;
}

static int32_t try_kernel_copy(const struct probe *src, const struct probe *dest)
{
    struct stat st;
    if (ftruncate(dest->fd, 0) < 0 || fstat(src->fd, &st) < 0)
        return vrift_err_from_host_errno(errno);
    struct vr_fileops_ladder ladder = {.link = VRIFT_LINK_SMART};
    vr_fileops_rung_result(&ladder.clone, st.st_dev, -VRIFT_EOPNOTSUPP, VR_FILEOPS_UNSUPPORTED_FS);
    int32_t result = vr_fileops_copy(&ladder, src->fd, 0, dest->fd, SIZE);
    return result ? result : ladder.kernel_copy.files ? 0 : ladder.kernel_copy.last_error;
}

static int32_t try_all(const struct probe *src, const struct probe *dest, struct vrift_rungs *rungs)
{
    static const char block[SIZE];
    struct vr_fileops_ladder clones = {.link = VRIFT_LINK_REFLINK};
    int32_t result = vr_fileops_write_at(src->fd, block, sizeof block, 0);
    if (!result)
        result = vr_fileops_write_at(dest->fd, block, 1, 0); /* that plain copies work at all */
    if (!result && ftruncate(dest->fd, 0) < 0)
        result = vrift_err_from_host_errno(errno);
    if (result)
        return result;
    rungs->copy = 1;
    rungs->hardlink_error = try_link(src, dest);
    rungs->clone_error = vr_fileops_copy(&clones, src->fd, 0, dest->fd, SIZE);
    rungs->kernel_copy_error = try_kernel_copy(src, dest);
    rungs->hardlink = !rungs->hardlink_error;
    rungs->clone = !rungs->clone_error;
    rungs->kernel_copy = !rungs->kernel_copy_error;
    return 0;
}

int32_t vrift_clone_probe(const char *src_dir, const char *dest_dir, struct vrift_rungs *out)
{
    struct vrift_error_detail detail = {0};
    struct vrift_rungs rungs = {0};
    struct probe src, dest = {.dir = -1, .fd = -1};
    if (!src_dir || !dest_dir || !out)
        return -VRIFT_EINVAL;
    const char *path = src_dir;
    int32_t result = open_probe(&src, src_dir);
    if (!result) {
        path = dest_dir;
        result = open_probe(&dest, dest_dir);
    }
    if (!result)
        result = try_all(&src, &dest, &rungs);
    close_probe(&dest);
    close_probe(&src);
    vr_error_fill(&detail, result, "probe", path, NULL);
    vr_error_publish(result ? &detail : NULL);
    if (!result)
        *out = rungs;
    return result;
}
