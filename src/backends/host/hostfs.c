/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int32_t VRIFT_CALLBACK root(void *self, struct vrift_entry *out)
{
    struct vr_hostfs *fs = self;
    struct vrift_stat attr;
    int32_t error = vr_fileops_stat(fs->root->fd->fd, "", &attr);
    if (error)
        return error;
    vr_os_mutex_lock(&fs->book);
    fs->root->refs++;
    vr_os_mutex_unlock(&fs->book);
    vr_hostnode_entry(fs, fs->root, &attr, out);
    return 0;
}

void VRIFT_CALLBACK vr_hostfs_destroy(void *self)
{
    struct vr_hostfs *fs = self;
    const struct vrift_allocator *allocator = fs->allocator;
    vr_hostnode_unref(fs, fs->root);
    vr_hostwatch_free(fs);
    vr_os_mutex_destroy(&fs->book);
    vr_os_rwlock_destroy(&fs->moving);
    vr_alloc_free(allocator, fs->buckets);
    vr_alloc_free(allocator, fs);
}

static int32_t VRIFT_CALLBACK consistency(void *self, uint32_t aspect, struct vrift_consistency *out)
{
    const struct vr_hostfs *fs = self;
    if (aspect >= VRIFT_ASPECT_COUNT)
        return -VRIFT_EINVAL;
    uint32_t model = VRIFT_CONSISTENCY_SHARED_REVALIDATE;
    if (fs->flags & VRIFT_HOST_EXCLUSIVE)
        model = VRIFT_CONSISTENCY_EXCLUSIVE_WRITETHROUGH;
    else if (fs->watch && (aspect == VRIFT_ASPECT_NAMES || aspect == VRIFT_ASPECT_LISTINGS))
        model = VRIFT_CONSISTENCY_SHARED_NOTIFY;
    *out = (struct vrift_consistency){.model = model, .max_age_ns = aspect == VRIFT_ASPECT_DATA ? 0 : fs->max_age_ns};
    return 0;
}

static int32_t VRIFT_CALLBACK statfs(void *self, struct vrift_statfs *out)
{
    const struct vr_hostfs *fs = self;
    struct statvfs st;
    if (fstatvfs(fs->root->fd->fd, &st) < 0)
        return vrift_err_from_host_errno(errno);
    *out = (struct vrift_statfs){.type = fs->type,
                                 .bsize = st.f_frsize,
                                 .blocks = st.f_blocks,
                                 .bfree = st.f_bfree,
                                 .bavail = st.f_bavail,
                                 .files = st.f_files,
                                 .ffree = st.f_ffree,
                                 .namelen = st.f_namemax};
    if ((st.f_flag & ST_RDONLY) || (fs->flags & VRIFT_HOST_READ_ONLY))
        out->flags |= VRIFT_MOUNT_RDONLY;
    return 0;
}

static int32_t VRIFT_CALLBACK sync_all(void *self)
{
    struct vr_hostfs *fs = self;
    int32_t fd = vr_hostfd_reopen(fs, fs->root, O_RDONLY);
    if (fd < 0)
        return fd;
    int32_t error = syncfs(fd) < 0 ? vrift_err_from_host_errno(errno) : 0;
    close(fd);
    return error;
}

#define SLOTS_THAT_READ                                                                                                \
    .size = sizeof(struct vrift_backend_ops), .name = "host", .root = root, .destroy = vr_hostfs_destroy,              \
    .capability = vr_hostprobe_capability, .consistency = consistency, .statfs = statfs, .walk = vr_hostname_walk,     \
    .forget = vr_hostnode_forget, .getattr = vr_hostattr_get, .readlink = vr_hostattr_readlink,                        \
    .readdir = vr_hostname_readdir, .open = vr_hostfile_open, .release = vr_hostfile_release,                          \
    .pread = vr_hostfile_pread, .seek = vr_hostfile_seek, .getxattr = vr_hostattr_getxattr,                            \
    .listxattr = vr_hostattr_listxattr, .revalidate = vr_hostname_revalidate, .watch = vr_hostwatch_start,             \
    .drain = vr_hostwatch_drain, .map = vr_hostspace_map, .map_sync = vr_hostspace_map_sync,                           \
    .unmap = vr_hostspace_unmap

const struct vrift_backend_ops vr_hostfs_read_only_ops = {
    SLOTS_THAT_READ,
};

const struct vrift_backend_ops vr_hostfs_ops = {
    SLOTS_THAT_READ,
    .sync = sync_all,
    .setattr = vr_hostattr_set,
    .create = vr_hostcreate,
    .link = vr_hostname_link,
    .unlink = vr_hostname_unlink,
    .rename = vr_hostname_rename,
    .pwrite = vr_hostfile_pwrite,
    .fsync = vr_hostfile_fsync,
    .setxattr = vr_hostattr_setxattr,
    .removexattr = vr_hostattr_removexattr,
    .fallocate = vr_hostspace_fallocate,
    .copy_range = vr_hostspace_copy,
};

/* Takes over fd. The file system holds the root by one reference, that of the node returned by intern. */
static int32_t set_root(struct vr_hostfs *fs, int fd)
{
    struct vrift_stat attr;
    struct vr_hostfd *hostfd;
    int32_t error = vr_hostfd_new(fs, fd, &hostfd);
    if (error)
        return error;
    error = vr_fileops_stat(fd, "", &attr);
    if (!error)
        error = vr_hostnode_intern(fs, NULL, NULL, &attr, &fs->root);
    if (error) {
        vr_hostfd_unref(fs, hostfd);
        return error;
    }
    fs->root->fd = hostfd;
    fs->root->pinned = 1;
    vr_hostprobe(fs, fd);
    return 0;
}

int32_t vr_hostfs_new(const struct vrift_allocator *allocator, const char *path,
                      const struct vrift_host_options *options, struct vr_hostfs **out)
{
    struct vr_hostfs *fs = vr_alloc_zero(allocator, 1, sizeof *fs);
    if (!fs)
        return -VRIFT_ENOMEM;
    fs->allocator = allocator;
    fs->flags = options->flags;
    fs->max_age_ns = options->max_age_ns;
    fs->beneath = options->flags & VRIFT_HOST_NO_OPENAT2 ? VR_FILEOPS_NO_OPENAT2 : 0;
    fs->bucket_count = VR_HOST_BUCKETS;
    fs->buckets = vr_alloc_zero(allocator, fs->bucket_count, sizeof(struct vr_hostnode *));
    if (!fs->buckets)
        goto out_of_memory;
    if (vr_os_mutex_init(&fs->book))
        goto out_of_memory;
    if (vr_os_rwlock_init(&fs->moving)) {
        vr_os_mutex_destroy(&fs->book);
        goto out_of_memory;
    }
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int32_t error = fd < 0 ? vrift_err_from_host_errno(errno) : set_root(fs, fd);
    if (!error && fs->flags & VRIFT_HOST_NOTIFY)
        error = vr_hostwatch_new(fs);
    if (error) {
        vr_hostfs_destroy(fs);
        return error;
    }
    *out = fs;
    return 0;
out_of_memory:
    vr_alloc_free(allocator, fs->buckets);
    vr_alloc_free(allocator, fs);
    return -VRIFT_ENOMEM;
}
