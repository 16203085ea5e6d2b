/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/mem/mem.h"

#include <string.h>

#define TMPFS_MAGIC 0x01021994u

static int32_t VRIFT_CALLBACK root(void *self, struct vrift_entry *out)
{
    struct vr_memfs *fs = self;
    vr_memnode_entry(fs->root, out);
    return 0;
}

void VRIFT_CALLBACK vr_memfs_destroy(void *self)
{
    struct vr_memfs *fs = self;
    const struct vrift_allocator *allocator = fs->allocator;
    while (fs->all)
        vr_memnode_free(fs, fs->all);
    vr_os_mutex_destroy(&fs->book);
    vr_os_rwlock_destroy(&fs->names);
    vr_alloc_free(allocator, fs);
}

static int32_t VRIFT_CALLBACK capability(void *self, uint32_t capability, struct vrift_capability *out)
{
    struct vrift_capability native = {VRIFT_SUPPORT_NATIVE, VRIFT_SUPPORT_NATIVE, VRIFT_SOURCE_DECLARED, 0};
    struct vrift_capability none = {VRIFT_SUPPORT_NONE, VRIFT_SUPPORT_NONE, VRIFT_SOURCE_DECLARED, -VRIFT_EOPNOTSUPP};
    (void)self;
    if (capability == 0 || capability >= VRIFT_CAPABILITY_COUNT)
        return -VRIFT_EINVAL;
    switch (capability) {
    case VRIFT_CAPABILITY_LOCKS:
    case VRIFT_CAPABILITY_CLONE:
    case VRIFT_CAPABILITY_DIGEST:
        *out = none;
        break;
    default:
        *out = native;
    }
    return 0;
}

static int32_t VRIFT_CALLBACK consistency(void *self, uint32_t aspect, struct vrift_consistency *out)
{
    (void)self;
    if (aspect >= VRIFT_ASPECT_COUNT)
        return -VRIFT_EINVAL;
    *out = (struct vrift_consistency){.model = VRIFT_CONSISTENCY_EXCLUSIVE};
    return 0;
}

static int32_t VRIFT_CALLBACK statfs(void *self, struct vrift_statfs *out)
{
    struct vr_memfs *fs = self;
    memset(out, 0, sizeof *out);
    out->type = TMPFS_MAGIC;
    out->bsize = VR_MEM_PAGE;
    out->namelen = VRIFT_NAME_MAX;
    if (fs->pool.max_pages) {
        uint64_t used = atomic_load(&fs->pool.pages);
        out->blocks = fs->pool.max_pages;
        out->bfree = out->bavail = used < out->blocks ? out->blocks - used : 0;
    }
    vr_os_mutex_lock(&fs->book);
    if (fs->max_inodes) {
        out->files = fs->max_inodes;
        out->ffree = fs->max_inodes - fs->inodes;
    }
    vr_os_mutex_unlock(&fs->book);
    return 0;
}

const struct vrift_backend_ops vr_memfs_ops = {
    .size = sizeof(struct vrift_backend_ops),
    .name = "mem",
    .root = root,
    .destroy = vr_memfs_destroy,
    .capability = capability,
    .consistency = consistency,
    .statfs = statfs,
    .walk = vr_memname_walk,
    .forget = vr_memnode_forget,
    .getattr = vr_memnode_getattr,
    .setattr = vr_memnode_setattr,
    .touch = vr_memnode_read,
    .readlink = vr_memnode_readlink,
    .readdir = vr_memname_readdir,
    .create = vr_memname_create,
    .link = vr_memname_link,
    .unlink = vr_memname_unlink,
    .rename = vr_memrename,
    .open = vr_memfile_open,
    .release = vr_memfile_release,
    .pread = vr_memfile_pread,
    .pwrite = vr_memfile_pwrite,
    .seek = vr_memfile_seek,
    .getxattr = vr_memxattr_get,
    .setxattr = vr_memxattr_set,
    .listxattr = vr_memxattr_list,
    .removexattr = vr_memxattr_remove,
    .fallocate = vr_memfile_fallocate,
    .map = vr_memmap,
    .map_sync = vr_memmap_sync,
    .unmap = vr_memmap_unmap,
};

static int32_t make_root(struct vr_memfs *fs, const struct vrift_mem_options *options)
{
    struct vrift_create how = {.size = sizeof how,
                               .mode = VRIFT_S_IFDIR | (options->root_mode ? options->root_mode & 07777 : 0755),
                               .uid = options->root_uid,
                               .gid = options->root_gid};
    int32_t error = vr_memnode_new(fs, NULL, &how, &fs->root);
    if (error)
        return error;
    fs->root->nlink = 2;
    fs->root->parent = fs->root;
    return 0;
}

int32_t vr_memfs_new(const struct vrift_allocator *allocator, const struct vrift_mem_options *options,
                     struct vr_memfs **out)
{
    struct vr_memfs *fs = vr_alloc_zero(allocator, 1, sizeof *fs);
    if (!fs)
        return -VRIFT_ENOMEM;
    fs->allocator = allocator;
    fs->pool.allocator = allocator;
    fs->pool.max_pages = options->max_bytes ? (options->max_bytes + VR_MEM_PAGE - 1) / VR_MEM_PAGE : 0;
    fs->pool.most_pages = fs->pool.max_pages ? fs->pool.max_pages : vr_os_memory_pages();
    fs->max_inodes = options->max_inodes;
    int32_t error = vr_os_random(&fs->seed, sizeof fs->seed);
    if (!error)
        error = vr_os_rwlock_init(&fs->names);
    if (error) {
        vr_alloc_free(allocator, fs);
        return error;
    }
    error = vr_os_mutex_init(&fs->book);
    if (error) {
        vr_os_rwlock_destroy(&fs->names);
        vr_alloc_free(allocator, fs);
        return error;
    }
    error = make_root(fs, options);
    if (error) {
        vr_memfs_destroy(fs);
        return error;
    }
    *out = fs;
    return 0;
}
