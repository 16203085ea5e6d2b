/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/dispatch.h"

#include "core/inode.h"

#include <assert.h>
#include <string.h>

/* Counts a call and lets the fault injector answer in its place. */
static int32_t enter(vrift_sb *sb, const char *slot)
{
    assert(vr_lockrank_may_call_out());
    atomic_fetch_add_explicit(&sb->vfs->backend_calls, 1, memory_order_relaxed);
    return sb->vfs->fault ? sb->vfs->fault(slot, sb->vfs->fault_payload) : 0;
}

/* The node of an inode, for the time of a call. */
#define NODE(inode) vr_inode_node((inode), &(struct vrift_node){.handle = NULL})

#define ENTER(sb, slot)                                                                                                \
    do {                                                                                                               \
        int32_t injected = enter((sb), (slot));                                                                        \
        if (injected)                                                                                                  \
            return injected;                                                                                           \
    } while (0)

#ifndef NDEBUG
static bool name_is_plain(const struct vrift_name *name)
{
    return name->length >= 1 && name->length <= VRIFT_NAME_MAX && name->bytes[name->length] == '\0' &&
           !memchr(name->bytes, '/', name->length) && !memchr(name->bytes, '\0', name->length) &&
           strcmp(name->bytes, ".") != 0 && strcmp(name->bytes, "..") != 0;
}
#endif

/* The core relies on these two; a backend that lacks them is broken, and is told so rather than believed. */
static bool entry_is_sound(const struct vrift_entry *entry)
{
    return entry->node.key.length >= 1 && entry->node.key.length <= VRIFT_KEY_MAX && entry->attr.mask & VRIFT_STAT_TYPE;
}

static int32_t checked(vrift_sb *sb, const struct vrift_entry *entry)
{
    if (entry_is_sound(entry))
        return 0;
    vr_dispatch_forget(sb, &entry->node);
    return -VRIFT_EIO;
}

/* Remembers that the backend no longer finds what it once named; answers the result. */
static int64_t noted(struct vr_inode *inode, int64_t result)
{
    if (result == -VRIFT_ESTALE && inode)
        vr_inode_doubt(inode);
    return result;
}

int32_t vr_dispatch_root(vrift_sb *sb, struct vrift_entry *out)
{
    memset(out, 0, sizeof *out);
    ENTER(sb, "root");
    int32_t error = sb->ops.root(sb->self, out);
    return error ? error : checked(sb, out);
}

/* The fault injector is told of the void slots but cannot keep them from being called: that would only leak. */
void vr_dispatch_destroy(vrift_sb *sb)
{
    (void)enter(sb, "destroy");
    if (sb->ops.destroy)
        sb->ops.destroy(sb->self);
}

int32_t vr_dispatch_capability(vrift_sb *sb, uint32_t capability, struct vrift_capability *out)
{
    memset(out, 0, sizeof *out);
    ENTER(sb, "capability");
    int32_t error = sb->ops.capability ? sb->ops.capability(sb->self, capability, out) : -VRIFT_EINVAL;
    if (error != -VRIFT_EINVAL)
        return error;
    memset(out, 0, sizeof *out);
    out->error = -VRIFT_EOPNOTSUPP;
    return 0;
}

int32_t vr_dispatch_consistency(vrift_sb *sb, uint32_t aspect, struct vrift_consistency *out)
{
    memset(out, 0, sizeof *out);
    out->model = VRIFT_CONSISTENCY_EXCLUSIVE;
    ENTER(sb, "consistency");
    return sb->ops.consistency ? sb->ops.consistency(sb->self, aspect, out) : 0;
}

uint32_t vr_dispatch_depth(vrift_sb *sb)
{
    return sb->ops.depth ? sb->ops.depth(sb->self) : 0;
}

int32_t vr_dispatch_watch(vrift_sb *sb, vrift_notice_fn receive, void *payload)
{
    ENTER(sb, "watch");
    return sb->ops.watch ? sb->ops.watch(sb->self, receive, payload) : -VRIFT_EOPNOTSUPP;
}

/* A fault cannot keep it from being called: what is not told is never heard of. */
void vr_dispatch_drain(vrift_sb *sb)
{
    (void)enter(sb, "drain");
    if (sb->ops.drain)
        sb->ops.drain(sb->self);
}

int32_t vr_dispatch_sync(vrift_sb *sb)
{
    ENTER(sb, "sync");
    return sb->ops.sync ? sb->ops.sync(sb->self) : 0;
}

int32_t vr_dispatch_statfs(vrift_sb *sb, struct vrift_statfs *out)
{
    memset(out, 0, sizeof *out);
    ENTER(sb, "statfs");
    int32_t error = sb->ops.statfs ? sb->ops.statfs(sb->self, out) : 0;
    if (!error && !out->namelen)
        out->namelen = VRIFT_NAME_MAX;
    return error;
}

int32_t vr_dispatch_walk(vrift_sb *sb, const struct vrift_node *dir, const struct vrift_name *names, uint32_t count,
                         struct vrift_entry *entries, uint32_t *done)
{
    assert(count > 0);
    *done = 0;
    memset(entries, 0, count * sizeof *entries);
#ifndef NDEBUG
    for (uint32_t i = 0; i < count; i++)
        assert(name_is_plain(&names[i]));
#endif
    ENTER(sb, "walk");
    int32_t error = sb->ops.walk(sb->self, dir, names, count, entries, done);
    assert(*done <= count);
    for (uint32_t i = 0; i < *done; i++) {
        if (entry_is_sound(&entries[i]))
            continue;
        while (*done > i)
            vr_dispatch_forget(sb, &entries[--*done].node);
        return -VRIFT_EIO;
    }
    /* A backend that resolved nothing and gave no reason would send us round for ever. */
    return error || *done ? error : -VRIFT_EIO;
}

void vr_dispatch_forget(vrift_sb *sb, const struct vrift_node *node)
{
    (void)enter(sb, "forget");
    if (sb->ops.forget)
        sb->ops.forget(sb->self, node);
}

int32_t vr_dispatch_getattr_root(vrift_sb *sb, const struct vrift_node *node, struct vrift_stat *out)
{
    memset(out, 0, sizeof *out);
    ENTER(sb, "getattr");
    return sb->ops.getattr(sb->self, node, VRIFT_STAT_BASIC, out);
}

int32_t vr_dispatch_getattr(struct vr_inode *inode, uint64_t mask, struct vrift_stat *out)
{
    memset(out, 0, sizeof *out);
    ENTER(inode->sb, "getattr");
    return (int32_t)noted(inode, inode->sb->ops.getattr(inode->sb->self, NODE(inode), mask, out));
}

int32_t vr_dispatch_setattr(struct vr_inode *inode, void *file, const struct vrift_setattr *set, struct vrift_stat *out)
{
    memset(out, 0, sizeof *out);
    ENTER(inode->sb, "setattr");
    return (int32_t)noted(inode, inode->sb->ops.setattr
                                     ? inode->sb->ops.setattr(inode->sb->self, NODE(inode), file, set, out)
                                     : -VRIFT_EROFS);
}

int64_t vr_dispatch_readlink(struct vr_inode *inode, char *buf, size_t len)
{
    ENTER(inode->sb, "readlink");
    return noted(inode, inode->sb->ops.readlink ? inode->sb->ops.readlink(inode->sb->self, NODE(inode), buf, len)
                                                : -VRIFT_EINVAL);
}

int32_t vr_dispatch_touch(struct vr_inode *inode, struct vrift_stat *out)
{
    memset(out, 0, sizeof *out);
    ENTER(inode->sb, "touch");
    return (int32_t)noted(inode, inode->sb->ops.touch ? inode->sb->ops.touch(inode->sb->self, NODE(inode), out)
                                                      : -VRIFT_EOPNOTSUPP);
}

int32_t vr_dispatch_follow(struct vr_inode *inode, vrift_file **out)
{
    assert(vr_is_link(inode) && inode->sb->ops.follow);
    ENTER(inode->sb, "follow");
    return (int32_t)noted(inode, inode->sb->ops.follow(inode->sb->self, NODE(inode), out));
}

int32_t vr_dispatch_readdir(struct vr_inode *dir, uint64_t cookie, uint64_t mask, vrift_emit_fn emit, void *payload,
                            uint32_t *end)
{
    *end = 0;
    ENTER(dir->sb, "readdir");
    return (int32_t)noted(dir, dir->sb->ops.readdir(dir->sb->self, NODE(dir), cookie, mask, emit, payload, end));
}

int32_t vr_dispatch_create(struct vr_inode *dir, const struct vrift_name *name, const struct vrift_create *how,
                           struct vrift_entry *out)
{
    assert(how->flags & VRIFT_CREATE_TMPFILE ? !name : name_is_plain(name));
    memset(out, 0, sizeof *out);
    ENTER(dir->sb, "create");
    if (!dir->sb->ops.create)
        return -VRIFT_EROFS;
    int32_t error = dir->sb->ops.create(dir->sb->self, NODE(dir), name, how, out);
    return error ? (int32_t)noted(dir, error) : checked(dir->sb, out);
}

int32_t vr_dispatch_link(struct vr_inode *inode, struct vr_inode *dir, const struct vrift_name *name,
                         struct vrift_stat *out)
{
    assert(name_is_plain(name) && inode->sb == dir->sb && !vr_is_dir(inode));
    memset(out, 0, sizeof *out);
    ENTER(dir->sb, "link");
    int32_t error =
        dir->sb->ops.link ? dir->sb->ops.link(dir->sb->self, NODE(inode), NODE(dir), name, out) : -VRIFT_EPERM;
    noted(dir, error);
    return (int32_t)noted(inode, error);
}

int32_t vr_dispatch_unlink(struct vr_inode *dir, const struct vrift_name *name, struct vr_inode *inode, uint64_t flags)
{
    assert(name_is_plain(name) && vr_is_dir(inode) == !!(flags & VRIFT_AT_REMOVEDIR));
    ENTER(dir->sb, "unlink");
    int32_t error =
        dir->sb->ops.unlink ? dir->sb->ops.unlink(dir->sb->self, NODE(dir), name, NODE(inode), flags) : -VRIFT_EROFS;
    noted(dir, error);
    return (int32_t)noted(inode, error);
}

int32_t vr_dispatch_rename(struct vr_inode *old_dir, const struct vrift_name *old_name, struct vr_inode *inode,
                           struct vr_inode *new_dir, const struct vrift_name *new_name, struct vr_inode *victim,
                           uint64_t flags)
{
    assert(name_is_plain(old_name) && name_is_plain(new_name) && old_dir->sb == new_dir->sb);
    ENTER(old_dir->sb, "rename");
    const struct vrift_backend_ops *ops = &old_dir->sb->ops;
    int32_t error = ops->rename ? ops->rename(old_dir->sb->self, NODE(old_dir), old_name, NODE(inode), NODE(new_dir),
                                              new_name, victim ? NODE(victim) : NULL, flags)
                                : -VRIFT_EROFS;
    noted(old_dir, error);
    noted(new_dir, error);
    noted(victim, error);
    return (int32_t)noted(inode, error);
}

int32_t vr_dispatch_open(struct vr_inode *inode, uint64_t flags, void **file)
{
    assert(vr_is_file(inode));
    *file = NULL;
    ENTER(inode->sb, "open");
    return (int32_t)noted(inode,
                          inode->sb->ops.open ? inode->sb->ops.open(inode->sb->self, NODE(inode), flags, file) : 0);
}

/* As with forget, an injected fault is the answer but does not keep the slot from being called. */
int32_t vr_dispatch_release(struct vr_inode *inode, void *file)
{
    int32_t injected = enter(inode->sb, "release");
    int32_t error = inode->sb->ops.release ? inode->sb->ops.release(inode->sb->self, NODE(inode), file) : 0;
    return injected ? injected : error;
}

int64_t vr_dispatch_pread(struct vr_inode *inode, void *file, void *buf, size_t len, uint64_t offset)
{
    ENTER(inode->sb, "pread");
    return noted(inode, inode->sb->ops.pread
                            ? inode->sb->ops.pread(inode->sb->self, NODE(inode), file, buf, len, offset)
                            : -VRIFT_EINVAL);
}

int64_t vr_dispatch_pwrite(struct vr_inode *inode, void *file, const void *buf, size_t len, uint64_t offset,
                           uint64_t flags, uint64_t *end)
{
    *end = 0;
    ENTER(inode->sb, "pwrite");
    return noted(inode, inode->sb->ops.pwrite
                            ? inode->sb->ops.pwrite(inode->sb->self, NODE(inode), file, buf, len, offset, flags, end)
                            : -VRIFT_EROFS);
}

int32_t vr_dispatch_fsync(struct vr_inode *inode, void *file)
{
    ENTER(inode->sb, "fsync");
    return (int32_t)noted(inode, inode->sb->ops.fsync ? inode->sb->ops.fsync(inode->sb->self, NODE(inode), file) : 0);
}

/* Without the slot all of the file is data, with one hole at its end. */
int64_t vr_dispatch_seek(struct vr_inode *inode, void *file, uint64_t offset, int32_t whence)
{
    assert(whence == VRIFT_SEEK_DATA || whence == VRIFT_SEEK_HOLE);
    if (inode->sb->ops.seek) {
        ENTER(inode->sb, "seek");
        return inode->sb->ops.seek(inode->sb->self, NODE(inode), file, offset, whence);
    }
    struct vrift_stat st;
    int32_t error = vr_dispatch_getattr(inode, VRIFT_STAT_SIZE, &st);
    if (error)
        return error;
    if (offset >= st.size)
        return -VRIFT_ENXIO;
    return (int64_t)(whence == VRIFT_SEEK_DATA ? offset : st.size);
}

int64_t vr_dispatch_getxattr(struct vr_inode *inode, const char *name, void *buf, size_t len)
{
    ENTER(inode->sb, "getxattr");
    return noted(inode, inode->sb->ops.getxattr ? inode->sb->ops.getxattr(inode->sb->self, NODE(inode), name, buf, len)
                                                : -VRIFT_EOPNOTSUPP);
}

int32_t vr_dispatch_setxattr(struct vr_inode *inode, const char *name, const void *value, size_t len, uint64_t flags)
{
    ENTER(inode->sb, "setxattr");
    return (int32_t)noted(inode, inode->sb->ops.setxattr
                                     ? inode->sb->ops.setxattr(inode->sb->self, NODE(inode), name, value, len, flags)
                                     : -VRIFT_EOPNOTSUPP);
}

int64_t vr_dispatch_listxattr(struct vr_inode *inode, char *buf, size_t len)
{
    ENTER(inode->sb, "listxattr");
    return noted(inode, inode->sb->ops.listxattr ? inode->sb->ops.listxattr(inode->sb->self, NODE(inode), buf, len)
                                                 : -VRIFT_EOPNOTSUPP);
}

int32_t vr_dispatch_removexattr(struct vr_inode *inode, const char *name)
{
    ENTER(inode->sb, "removexattr");
    return (int32_t)noted(inode, inode->sb->ops.removexattr
                                     ? inode->sb->ops.removexattr(inode->sb->self, NODE(inode), name)
                                     : -VRIFT_EOPNOTSUPP);
}

int32_t vr_dispatch_revalidate(struct vr_inode *dir, const struct vrift_name *name, struct vr_inode *inode,
                               struct vrift_stat *out)
{
    memset(out, 0, sizeof *out);
    if (!dir->sb->ops.revalidate)
        return -VRIFT_EOPNOTSUPP;
    ENTER(dir->sb, "revalidate");
    return dir->sb->ops.revalidate(dir->sb->self, NODE(dir), name, NODE(inode), out);
}

int32_t vr_dispatch_fallocate(struct vr_inode *inode, void *file, uint64_t mode, uint64_t offset, uint64_t length)
{
    assert(vr_is_file(inode) && length && offset <= INT64_MAX && length <= INT64_MAX - offset);
    ENTER(inode->sb, "fallocate");
    const struct vrift_backend_ops *ops = &inode->sb->ops;
    return (int32_t)noted(inode, ops->fallocate
                                     ? ops->fallocate(inode->sb->self, NODE(inode), file, mode, offset, length)
                                     : -VRIFT_EOPNOTSUPP);
}

int64_t vr_dispatch_copy_range(struct vr_inode *from, void *from_file, uint64_t from_offset, struct vr_inode *to,
                               void *to_file, uint64_t to_offset, uint64_t length, uint64_t flags)
{
    assert(from->sb == to->sb && vr_is_file(from) && vr_is_file(to) && length);
    const struct vrift_backend_ops *ops = &to->sb->ops;
    if (!ops->copy_range)
        return -VRIFT_EOPNOTSUPP;
    ENTER(to->sb, "copy_range");
    int64_t result =
        ops->copy_range(to->sb->self, NODE(from), from_file, from_offset, NODE(to), to_file, to_offset, length, flags);
    assert(result <= 0 || (uint64_t)result <= length);
    noted(from, result);
    return noted(to, result);
}

int32_t vr_dispatch_map(struct vr_inode *inode, void *file, const struct vrift_map_range *range,
                        struct vrift_map_place *out)
{
    assert(vr_is_file(inode) && range->length);
    memset(out, 0, sizeof *out);
    ENTER(inode->sb, "map");
    const struct vrift_backend_ops *ops = &inode->sb->ops;
    int32_t error = ops->map ? ops->map(inode->sb->self, NODE(inode), file, range, out) : -VRIFT_ENODEV;
    out->range = *range;
    return (int32_t)noted(inode, error);
}

int32_t vr_dispatch_map_sync(struct vr_inode *inode, const struct vrift_map_place *mapping, uint64_t offset,
                             uint64_t length, uint64_t flags)
{
    assert(offset <= mapping->range.length && length <= mapping->range.length - offset);
    ENTER(inode->sb, "map_sync");
    const struct vrift_backend_ops *ops = &inode->sb->ops;
    return ops->map_sync ? ops->map_sync(inode->sb->self, NODE(inode), mapping, offset, length, flags) : 0;
}

/* As with forget, an injected fault does not keep the slot from being called. */
void vr_dispatch_unmap(struct vr_inode *inode, const struct vrift_map_place *mapping)
{
    (void)enter(inode->sb, "unmap");
    if (inode->sb->ops.unmap)
        inode->sb->ops.unmap(inode->sb->self, NODE(inode), mapping);
}
