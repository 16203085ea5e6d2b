/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t kernel(int64_t result)
{
    return result < 0 ? vrift_err_from_host_errno(errno) : result;
}

#define EITHER(side, ours, theirs) ((side)->task ? (int64_t)(ours) : kernel(theirs))

int64_t side_open(struct side *side, const char *path, uint64_t flags)
{
    return EITHER(side, vrift_openat(side->task, AT, path, flags, 0644), openat(side->dir, path, (int)flags, 0644));
}

int64_t side_close(struct side *side, int64_t fd)
{
    return EITHER(side, vrift_close(side->task, (int32_t)fd), close((int)fd));
}

int64_t side_pread(struct side *side, int64_t fd, void *buf, size_t len, uint64_t offset)
{
    return EITHER(side, vrift_pread(side->task, (int32_t)fd, buf, len, offset),
                  pread((int)fd, buf, len, (off_t)offset));
}

int64_t side_pwrite(struct side *side, int64_t fd, const void *buf, size_t len, uint64_t offset)
{
    return EITHER(side, vrift_pwrite(side->task, (int32_t)fd, buf, len, offset),
                  pwrite((int)fd, buf, len, (off_t)offset));
}

int64_t side_read(struct side *side, int64_t fd, void *buf, size_t len)
{
    return EITHER(side, vrift_read(side->task, (int32_t)fd, buf, len), read((int)fd, buf, len));
}

int64_t side_write(struct side *side, int64_t fd, const void *buf, size_t len)
{
    return EITHER(side, vrift_write(side->task, (int32_t)fd, buf, len), write((int)fd, buf, len));
}

int64_t side_lseek(struct side *side, int64_t fd, int64_t offset, int whence)
{
    return EITHER(side, vrift_lseek(side->task, (int32_t)fd, offset, whence), lseek((int)fd, offset, whence));
}

int64_t side_ftruncate(struct side *side, int64_t fd, uint64_t length)
{
    return EITHER(side, vrift_ftruncate(side->task, (int32_t)fd, length), ftruncate((int)fd, (off_t)length));
}

int64_t side_fallocate(struct side *side, int64_t fd, uint64_t mode, int64_t offset, int64_t length)
{
    return EITHER(side, vrift_fallocate(side->task, (int32_t)fd, mode, offset, length),
                  fallocate((int)fd, (int)mode, offset, length));
}

int64_t side_copy(struct side *side, int64_t in, int64_t *in_offset, int64_t out, int64_t *out_offset, uint64_t count,
                  uint64_t flags)
{
    off_t from = in_offset ? *in_offset : 0, to = out_offset ? *out_offset : 0;
    if (side->task)
        return vrift_copy_file_range(side->task, (int32_t)in, in_offset, (int32_t)out, out_offset, count, flags);
    int64_t result = kernel(copy_file_range((int)in, in_offset ? &from : NULL, (int)out, out_offset ? &to : NULL,
                                            (size_t)count, (unsigned)flags));
    if (in_offset)
        *in_offset = from;
    if (out_offset)
        *out_offset = to;
    return result;
}

int64_t side_sendfile(struct side *side, int64_t out, int64_t in, int64_t *offset, uint64_t count)
{
    off_t from = offset ? *offset : 0;
    if (side->task)
        return vrift_sendfile(side->task, (int32_t)out, (int32_t)in, offset, count);
    int64_t result = kernel(sendfile((int)out, (int)in, offset ? &from : NULL, (size_t)count));
    if (offset)
        *offset = from;
    return result;
}

int64_t side_fstat(struct side *side, int64_t fd, struct vrift_stat *out)
{
    struct stat st;
    if (side->task)
        return vrift_fstat(side->task, (int32_t)fd, out);
    int64_t result = kernel(fstat((int)fd, &st));
    if (result < 0)
        return result;
    *out = (struct vrift_stat){.size = (uint64_t)st.st_size,
                               .blocks = (uint64_t)st.st_blocks,
                               .mode = st.st_mode,
                               .mtime = {st.st_mtim.tv_sec, (uint32_t)st.st_mtim.tv_nsec, 0},
                               .ctime = {st.st_ctim.tv_sec, (uint32_t)st.st_ctim.tv_nsec, 0}};
    return 0;
}

int64_t side_mkfifo(struct side *side, const char *path)
{
    return EITHER(side, vrift_mknodat(side->task, AT, path, VRIFT_S_IFIFO | 0644, 0), mkfifoat(side->dir, path, 0644));
}

int64_t side_chmod(struct side *side, const char *path, uint32_t mode)
{
    return EITHER(side, vrift_fchmodat(side->task, AT, path, mode, 0), fchmodat(side->dir, path, mode, 0));
}

int64_t side_set_mtime(struct side *side, const char *path, int64_t sec)
{
    const struct vrift_timespec ours[2] = {{0, VRIFT_UTIME_OMIT, 0}, {sec, 0, 0}};
    const struct timespec theirs[2] = {{0, UTIME_OMIT}, {sec, 0}};
    return EITHER(side, vrift_utimensat(side->task, AT, path, ours, 0), utimensat(side->dir, path, theirs, 0));
}

int64_t side_unlink(struct side *side, const char *path)
{
    return EITHER(side, vrift_unlinkat(side->task, AT, path, 0), unlinkat(side->dir, path, 0));
}

/* -- Mappings ------------------------------------------------------------------------------------------------------ */

int64_t side_map(struct side *side, int64_t fd, uint64_t offset, uint64_t length, uint64_t prot, uint64_t flags,
                 char **address)
{
    if (side->task) {
        int32_t result = vrift_map(side->task, (int32_t)fd, offset, length, prot, flags, &side->mapping);
        if (result == 0)
            *address = vrift_map_address(side->mapping);
        return result;
    }
    void *at = mmap(NULL, (size_t)length, (int)prot, (int)flags, (int)fd, (off_t)offset);
    if (at == MAP_FAILED)
        return kernel(-1);
    side->mapped = (size_t)length;
    *address = at;
    return 0;
}

int64_t side_sync(struct side *side, char *address, uint64_t offset, uint64_t length, uint64_t flags)
{
    return EITHER(side, vrift_map_sync(side->mapping, offset, length, flags),
                  msync(address + offset, (size_t)length, (int)flags));
}

void side_unmap(struct side *side, char *address)
{
    if (side->task)
        vrift_map_free(side->mapping);
    else
        munmap(address, side->mapped);
}

/* -- Ours ---------------------------------------------------------------------------------------------------------- */

static void make_directory(vrift_vfs *vfs, vrift_sb *sb, const char *path)
{
    vrift_ns *ns;
    vrift_task *task;
    check_ok(vrift_ns_new(vfs, sb, 0, &ns));
    check_ok(vrift_task_new(ns, NULL, NULL, &task));
    check_ok(vrift_mkdirat(task, AT, path, 0755));
    vrift_task_free(task);
    vrift_ns_unref(ns);
}

/* Over memory, so that what differs is the overlay's. */
static void make_overlay(struct ours *ours)
{
    check_ok(vrift_mem_new(ours->vfs, NULL, &ours->layers[0]));
    check_ok(vrift_mem_new(ours->vfs, NULL, &ours->layers[1]));
    make_directory(ours->vfs, ours->layers[1], "/upper");
    make_directory(ours->vfs, ours->layers[1], "/work");
    struct vrift_overlay_layer lower = {ours->layers[0], NULL}, upper = {ours->layers[1], "/upper"};
    struct vrift_overlay_options options = {
        .size = sizeof options, .lower_count = 1, .lower = &lower, .upper = &upper, .work = "/work"};
    check_ok(vrift_overlay_new(ours->vfs, &options, &ours->sb));
}

void ours_begin(struct ours *ours, const char *kind, const char *directory)
{
    struct vrift_host_options host = {.size = sizeof host};
    memset(ours, 0, sizeof *ours);
    check_ok(vrift_vfs_new(NULL, &ours->vfs));
    if (strcmp(kind, "mem") == 0)
        check_ok(vrift_mem_new(ours->vfs, NULL, &ours->sb));
    else if (strcmp(kind, "host") == 0)
        check_ok(vrift_host_new(ours->vfs, directory, &host, &ours->sb));
    else
        make_overlay(ours);
    check_ok(vrift_ns_new(ours->vfs, ours->sb, 0, &ours->ns));
    check_ok(vrift_task_new(ours->ns, NULL, NULL, &ours->side.task));
}

void ours_end(struct ours *ours)
{
    struct vrift_vfs_stats stats;
    vrift_task_free(ours->side.task);
    vrift_ns_unref(ours->ns);
    vrift_sb_unref(ours->sb);
    vrift_sb_unref(ours->layers[0]);
    vrift_sb_unref(ours->layers[1]);
    check_ok(vrift_vfs_stats(ours->vfs, &stats));
    vrift_vfs_free(ours->vfs);
    assert_int_equal(stats.open_files, 0);
}

uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15ULL;
    uint64_t mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    return mixed ^ (mixed >> 31);
}
