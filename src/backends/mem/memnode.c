/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/mem/mem.h"

#include <assert.h>
#include <string.h>

/* Counts a new inode and numbers it. */
static int32_t enter(struct vr_memfs *fs, struct vr_memnode *node)
{
    int32_t error = 0;
    vr_os_mutex_lock(&fs->book);
    if (fs->max_inodes && fs->inodes >= fs->max_inodes) {
        error = -VRIFT_ENOSPC;
    } else {
        fs->inodes++;
        node->ino = ++fs->last_ino;
        node->all_next = fs->all;
        node->all_link = &fs->all;
        if (fs->all)
            fs->all->all_link = &node->all_next;
        fs->all = node;
    }
    vr_os_mutex_unlock(&fs->book);
    return error;
}

static void leave(struct vr_memfs *fs, struct vr_memnode *node)
{
    vr_os_mutex_lock(&fs->book);
    *node->all_link = node->all_next;
    if (node->all_next)
        node->all_next->all_link = node->all_link;
    fs->inodes--;
    vr_os_mutex_unlock(&fs->book);
}

static int64_t nanoseconds(const struct vrift_timespec *time)
{
    return time->sec * 1000000000 + time->nsec;
}

void vr_memnode_now(struct vr_memnode *node, struct vrift_timespec *out)
{
    struct vr_memfs *fs = node->fs;
    struct vrift_timespec time;
    vr_os_file_time(&time);
    int64_t now = nanoseconds(&time), latest = atomic_load_explicit(&fs->latest, memory_order_relaxed);
    if (now < latest)
        now = latest;
    if (atomic_load_explicit(&node->asked, memory_order_relaxed) && now <= nanoseconds(&node->ctime)) {
        vr_os_precise_time(&time);
        now = nanoseconds(&time);
        while (now > latest && !atomic_compare_exchange_weak(&fs->latest, &latest, now))
            ;
    }
    *out = (struct vrift_timespec){now / 1000000000, (uint32_t)(now % 1000000000), 0};
    atomic_store_explicit(&node->asked, 0, memory_order_relaxed);
}

static uint32_t inherited_flags(struct vr_memnode *dir)
{
    vr_os_rwlock_read(&dir->lock);
    uint32_t flags = dir->flags & (VRIFT_FL_NODUMP | VRIFT_FL_NOATIME);
    vr_os_rwlock_unlock(&dir->lock);
    return flags;
}

int32_t vr_memnode_new(struct vr_memfs *fs, struct vr_memnode *dir, const struct vrift_create *how,
                       struct vr_memnode **out)
{
    struct vr_memnode *node = vr_alloc_zero(fs->allocator, 1, sizeof *node);
    if (!node)
        return -VRIFT_ENOMEM;
    node->fs = fs;
    node->type = how->mode & VRIFT_S_IFMT;
    node->mode = how->mode & 07777;
    node->flags = dir ? inherited_flags(dir) : 0;
    node->uid = how->uid;
    node->gid = how->gid;
    node->rdev = node->type == VRIFT_S_IFCHR || node->type == VRIFT_S_IFBLK ? how->rdev : 0;
    atomic_init(&node->refs, 1);
    int32_t error = 0;
    if (node->type == VRIFT_S_IFLNK) {
        size_t length = strlen(how->target);
        node->target = vr_alloc_string(fs->allocator, how->target, length);
        if (!node->target)
            error = -VRIFT_ENOMEM;
        node->size = length;
        node->mode = 0777;
    }
    if (!error)
        error = vr_memxattr_born(fs->allocator, node, how);
    if (!error)
        error = vr_os_rwlock_init(&node->lock);
    if (error) {
        vr_memxattr_dispose(fs->allocator, node->xattrs);
        vr_alloc_free(fs->allocator, node->target);
        vr_alloc_free(fs->allocator, node);
        return error;
    }
    if (node->type == VRIFT_S_IFDIR)
        node->size = 2 * VR_MEM_DIRENT;
    vr_memnode_now(node, &node->btime);
    node->atime = node->mtime = node->ctime = node->btime;
    error = enter(fs, node);
    if (error) {
        vr_os_rwlock_destroy(&node->lock);
        vr_memxattr_dispose(fs->allocator, node->xattrs);
        vr_alloc_free(fs->allocator, node->target);
        vr_alloc_free(fs->allocator, node);
        return error;
    }
    *out = node;
    return 0;
}

struct vr_memnode *vr_memnode_ref(struct vr_memnode *node)
{
    atomic_fetch_add_explicit(&node->refs, 1, memory_order_relaxed);
    return node;
}

void vr_memnode_free(struct vr_memfs *fs, struct vr_memnode *node)
{
    leave(fs, node);
    vr_memdata_dispose(&fs->pool, &node->data);
    vr_memdir_dispose(fs->allocator, &node->dir);
    vr_memxattr_dispose(fs->allocator, node->xattrs);
    vr_alloc_free(fs->allocator, node->target);
    vr_os_rwlock_destroy(&node->lock);
    vr_alloc_free(fs->allocator, node);
}

void vr_memnode_unref(struct vr_memfs *fs, struct vr_memnode *node)
{
    if (atomic_fetch_sub_explicit(&node->refs, 1, memory_order_acq_rel) == 1)
        vr_memnode_free(fs, node);
}

void vr_memnode_stat(struct vr_memnode *node, struct vrift_stat *out)
{
    memset(out, 0, sizeof *out);
    vr_os_rwlock_read(&node->lock);
    if (!atomic_load_explicit(&node->asked, memory_order_relaxed))
        atomic_store_explicit(&node->asked, 1, memory_order_relaxed);
    out->mask = VRIFT_STAT_BASIC | VRIFT_STAT_BTIME | VRIFT_STAT_VERSION | VRIFT_STAT_FLAGS | VRIFT_STAT_RIGHTS;
    out->attributes = node->flags | vr_memxattr_rights(node);
    out->ino = node->ino;
    out->size = node->size;
    out->blocks = node->data.pages * (VR_MEM_PAGE / 512);
    if (node->target && node->size >= VR_MEM_SHORT_LINK)
        out->blocks = VR_MEM_PAGE / 512;
    out->rdev = node->rdev;
    out->version = node->version;
    out->mode = node->type | node->mode;
    out->nlink = node->nlink;
    out->uid = node->uid;
    out->gid = node->gid;
    out->blksize = VR_MEM_PAGE;
    out->atime = node->atime;
    out->mtime = node->mtime;
    out->ctime = node->ctime;
    out->btime = node->btime;
    if (node->data.shared) {
        uint64_t pages;
        struct vrift_timespec when;
        if (vr_memshared_look(&node->data, &pages, &when)) {
            out->mtime = out->ctime = when;
            out->version++;
        }
        out->blocks = pages * (VR_MEM_PAGE / 512);
    }
    vr_os_rwlock_unlock(&node->lock);
}

void vr_memnode_entry(struct vr_memnode *node, struct vrift_entry *out)
{
    struct vrift_entry entry = {.node = {.key = {.length = sizeof node->ino}, .handle = vr_memnode_ref(node)}};
    memcpy(entry.node.key.bytes, &node->ino, sizeof node->ino);
    vr_memnode_stat(node, &entry.attr);
    *out = entry;
}

void vr_memnode_touch(struct vr_memnode *node, int mtime)
{
    struct vrift_timespec now;
    vr_os_rwlock_write(&node->lock);
    vr_memnode_now(node, &now);
    node->ctime = now;
    if (mtime)
        node->mtime = now;
    node->version++;
    vr_os_rwlock_unlock(&node->lock);
}

void vr_memnode_resize_dir(struct vr_memnode *dir, int32_t entries, int32_t links)
{
    struct vrift_timespec now;
    vr_os_rwlock_write(&dir->lock);
    vr_memnode_now(dir, &now);
    dir->size += (uint64_t)((int64_t)entries * VR_MEM_DIRENT);
    dir->nlink += (uint32_t)links;
    dir->mtime = dir->ctime = now;
    dir->version++;
    vr_os_rwlock_unlock(&dir->lock);
}

void vr_memnode_add_link(struct vr_memnode *node, int32_t difference)
{
    struct vrift_timespec now;
    vr_os_rwlock_write(&node->lock);
    vr_memnode_now(node, &now);
    assert(difference >= 0 || node->nlink >= (uint32_t)-difference);
    node->nlink += (uint32_t)difference;
    node->ctime = now;
    node->version++;
    vr_os_rwlock_unlock(&node->lock);
}

int32_t VRIFT_CALLBACK vr_memnode_getattr(void *self, const struct vrift_node *node, uint64_t mask,
                                          struct vrift_stat *out)
{
    (void)self;
    (void)mask;
    vr_memnode_stat(node->handle, out);
    return 0;
}

int32_t VRIFT_CALLBACK vr_memnode_read(void *self, const struct vrift_node *node, struct vrift_stat *out)
{
    struct vr_memnode *inode = node->handle;
    struct vrift_timespec now;
    (void)self;
    vr_os_file_time(&now);
    vr_os_rwlock_write(&inode->lock);
    inode->atime = now;
    vr_os_rwlock_unlock(&inode->lock);
    vr_memnode_stat(inode, out);
    return 0;
}

int32_t VRIFT_CALLBACK vr_memnode_setattr(void *self, const struct vrift_node *node, void *file,
                                          const struct vrift_setattr *set, struct vrift_stat *out)
{
    struct vr_memfs *fs = self;
    struct vr_memnode *inode = node->handle;
    (void)file;
    if (set->mask & VRIFT_SET_SIZE) {
        if (inode->type != VRIFT_S_IFREG)
            return inode->type == VRIFT_S_IFDIR ? -VRIFT_EISDIR : -VRIFT_EINVAL;
        if (set->length > VR_MEM_FILE_MAX)
            return -VRIFT_EFBIG;
    }
    if (set->mask & VRIFT_SET_FLAGS && set->flags & ~VR_MEM_FL_KNOWN)
        return -VRIFT_EOPNOTSUPP;
    struct vrift_timespec now;
    vr_os_rwlock_write(&inode->lock);
    if (set->mask & VRIFT_SET_MTIME)
        vr_memmap_notice_all(inode);
    vr_memmap_notice(inode);
    if (set->mask & VRIFT_SET_SIZE) {
        int32_t error = vr_memdata_resize(&fs->pool, &inode->data, inode->size, set->length);
        if (error) {
            vr_os_rwlock_unlock(&inode->lock);
            return error;
        }
        inode->size = set->length;
    }
    vr_memnode_now(inode, &now);
    if (set->mask & VRIFT_SET_SIZE)
        inode->mtime = now;
    if (set->mask & VRIFT_SET_MODE)
        inode->mode = set->mode & 07777;
    if (set->mask & VRIFT_SET_UID)
        inode->uid = set->uid;
    if (set->mask & VRIFT_SET_GID)
        inode->gid = set->gid;
    if (set->mask & VRIFT_SET_FLAGS)
        inode->flags = (uint32_t)set->flags;
    if (set->mask & VRIFT_SET_ATIME)
        inode->atime = set->mask & VRIFT_SET_ATIME_NOW ? now : set->atime;
    if (set->mask & VRIFT_SET_MTIME)
        inode->mtime = set->mask & VRIFT_SET_MTIME_NOW ? now : set->mtime;
    inode->ctime = now;
    inode->version++;
    vr_os_rwlock_unlock(&inode->lock);
    vr_memnode_stat(inode, out);
    return 0;
}

int64_t VRIFT_CALLBACK vr_memnode_readlink(void *self, const struct vrift_node *node, char *buf, size_t len)
{
    const struct vr_memnode *inode = node->handle;
    (void)self;
    if (inode->type != VRIFT_S_IFLNK)
        return -VRIFT_EINVAL;
    size_t length = strlen(inode->target);
    if (length > len)
        length = len;
    memcpy(buf, inode->target, length);
    return (int64_t)length;
}

void VRIFT_CALLBACK vr_memnode_forget(void *self, const struct vrift_node *node)
{
    vr_memnode_unref(self, node->handle);
}
