/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/mem/mem.h"

static struct vr_memdir_entry *find(struct vr_memfs *fs, struct vr_memnode *dir, const struct vrift_name *name)
{
    return vr_memdir_find(&dir->dir, vr_memdir_hash(fs->seed, name->bytes, name->length), name->bytes, name->length);
}

int32_t VRIFT_CALLBACK vr_memname_walk(void *self, const struct vrift_node *dir, const struct vrift_name *names,
                                       uint32_t count, struct vrift_entry *entries, uint32_t *done)
{
    struct vr_memfs *fs = self;
    struct vr_memnode *at = dir->handle;
    int32_t error = 0;
    *done = 0;
    vr_os_rwlock_read(&fs->names);
    while (*done < count && !error) {
        if (at->type != VRIFT_S_IFDIR) {
            error = *done == 0 ? -VRIFT_ENOTDIR : 0;
            break;
        }
        const struct vr_memdir_entry *entry = find(fs, at, &names[*done]);
        if (!entry) {
            error = -VRIFT_ENOENT;
        } else {
            at = entry->node;
            vr_memnode_entry(at, &entries[*done]);
            ++*done;
        }
    }
    vr_os_rwlock_unlock(&fs->names);
    return error;
}

/*
 * A listing with attributes touches an entry and an inode a name, wherever they lie in memory: they are asked for a few
 * names ahead, so that the waiting overlaps.
 */
#define AHEAD 8u

static void look_ahead(const struct vr_memdir *dir, uint32_t i)
{
    if (i + 2 * AHEAD < dir->slot_count)
        vr_os_prefetch(dir->slots[i + 2 * AHEAD].entry);
    const struct vr_memdir_entry *entry = i + AHEAD < dir->slot_count ? dir->slots[i + AHEAD].entry : NULL;
    if (!entry)
        return;
    for (size_t at = 0; at < sizeof *entry->node; at += 64)
        vr_os_prefetch((const unsigned char *)entry->node + at);
}

int32_t VRIFT_CALLBACK vr_memname_readdir(void *self, const struct vrift_node *dir, uint64_t cookie, uint64_t mask,
                                          vrift_emit_fn emit, void *payload, uint32_t *end)
{
    struct vr_memfs *fs = self;
    const struct vr_memnode *inode = dir->handle;
    if (inode->type != VRIFT_S_IFDIR)
        return -VRIFT_ENOTDIR;
    struct vrift_stat attr;
    uint32_t ended = 1;
    vr_os_rwlock_read(&fs->names);
    for (uint32_t i = vr_memdir_after(&inode->dir, cookie); i < inode->dir.slot_count; i++) {
        const struct vr_memdir_entry *entry = inode->dir.slots[i].entry;
        if (!entry)
            continue;
        struct vrift_dir_entry record = {.name = entry->name,
                                         .name_length = entry->length,
                                         .type = entry->node->type >> 12,
                                         .ino = entry->node->ino,
                                         .cookie = entry->cookie};
        if (mask) {
            look_ahead(&inode->dir, i);
            vr_memnode_stat(entry->node, &attr);
            record.attr = &attr;
        }
        if (emit(&record, payload)) {
            ended = 0;
            break;
        }
    }
    vr_os_rwlock_unlock(&fs->names);
    *end = ended;
    return 0;
}

/* Gives node one more name in dir; takes a reference for it. Called with `names` held for writing. */
static int32_t add_name(struct vr_memfs *fs, struct vr_memnode *dir, const struct vrift_name *name,
                        struct vr_memnode *node)
{
    uint32_t hash = vr_memdir_hash(fs->seed, name->bytes, name->length);
    if (!dir->parent)
        return -VRIFT_ENOENT;
    if (vr_memdir_find(&dir->dir, hash, name->bytes, name->length))
        return -VRIFT_EEXIST;
    int32_t error = vr_memdir_reserve(fs->allocator, &dir->dir);
    if (error)
        return error;
    struct vr_memdir_entry *entry = vr_memdir_entry_new(fs->allocator, hash, name->bytes, name->length, node);
    if (!entry)
        return -VRIFT_ENOMEM;
    vr_memnode_ref(node);
    vr_memdir_add(&dir->dir, entry);
    vr_memnode_resize_dir(dir, 1, 0);
    return 0;
}

static int32_t check_name(const struct vrift_name *name)
{
    return name->length > VRIFT_NAME_MAX ? -VRIFT_ENAMETOOLONG : 0;
}

static int32_t create_named(struct vr_memfs *fs, struct vr_memnode *parent, const struct vrift_name *name,
                            struct vr_memnode *node)
{
    int is_dir = node->type == VRIFT_S_IFDIR;
    vr_os_rwlock_write(&fs->names);
    int32_t error = add_name(fs, parent, name, node);
    if (!error) {
        node->nlink = is_dir ? 2 : 1;
        if (is_dir) {
            node->parent = parent;
            vr_memnode_add_link(parent, 1);
        }
    }
    vr_os_rwlock_unlock(&fs->names);
    return error;
}

int32_t VRIFT_CALLBACK vr_memname_create(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                         const struct vrift_create *how, struct vrift_entry *out)
{
    struct vr_memfs *fs = self;
    struct vr_memnode *node;
    int32_t error = name ? check_name(name) : 0;
    if (error)
        return error;
    if ((how->mode & VRIFT_S_IFMT) == VRIFT_S_IFLNK && !how->target)
        return -VRIFT_EINVAL;
    error = vr_memnode_new(fs, dir->handle, how, &node);
    if (error)
        return error;
    if (how->flags & VRIFT_CREATE_TMPFILE)
        node->linkable = !(how->flags & VRIFT_CREATE_UNLINKABLE);
    else
        error = create_named(fs, dir->handle, name, node);
    if (!error)
        vr_memnode_entry(node, out);
    vr_memnode_unref(fs, node);
    return error;
}

int32_t VRIFT_CALLBACK vr_memname_link(void *self, const struct vrift_node *node, const struct vrift_node *dir,
                                       const struct vrift_name *name, struct vrift_stat *out)
{
    struct vr_memfs *fs = self;
    struct vr_memnode *inode = node->handle;
    if (inode->type == VRIFT_S_IFDIR)
        return -VRIFT_EPERM;
    int32_t error = check_name(name);
    if (error)
        return error;
    vr_os_rwlock_write(&fs->names);
    /* nlink changes only under `names`, so reading it needs no more. */
    if (inode->nlink == 0 && !inode->linkable)
        error = -VRIFT_ENOENT;
    else if (inode->nlink == UINT32_MAX)
        error = -VRIFT_EMLINK;
    else
        error = add_name(fs, dir->handle, name, inode);
    if (!error) {
        inode->linkable = 0; /* what had a name and lost it stays nameless, as on Linux */
        vr_memnode_add_link(inode, 1);
    }
    vr_os_rwlock_unlock(&fs->names);
    if (!error)
        vr_memnode_stat(inode, out);
    return error;
}

static int32_t check_unlink(const struct vr_memdir_entry *entry, const struct vrift_node *node, int want_dir)
{
    if (!entry)
        return -VRIFT_ENOENT;
    if (node && entry->node != node->handle)
        return -VRIFT_ESTALE;
    int is_dir = entry->node->type == VRIFT_S_IFDIR;
    if (is_dir != want_dir)
        return is_dir ? -VRIFT_EISDIR : -VRIFT_ENOTDIR;
    return is_dir && entry->node->dir.count ? -VRIFT_ENOTEMPTY : 0;
}

int32_t VRIFT_CALLBACK vr_memname_unlink(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                         const struct vrift_node *node, uint64_t flags)
{
    struct vr_memfs *fs = self;
    struct vr_memnode *parent = dir->handle;
    int want_dir = (flags & VRIFT_AT_REMOVEDIR) != 0;
    vr_os_rwlock_write(&fs->names);
    struct vr_memdir_entry *entry = find(fs, parent, name);
    int32_t error = check_unlink(entry, node, want_dir);
    if (!error) {
        vr_memdir_remove(&parent->dir, entry);
        vr_memnode_resize_dir(parent, -1, want_dir ? -1 : 0);
        vr_memnode_add_link(entry->node, want_dir ? -2 : -1);
        if (want_dir)
            entry->node->parent = NULL;
    }
    vr_os_rwlock_unlock(&fs->names);
    if (error)
        return error;
    vr_memnode_unref(fs, entry->node);
    vr_alloc_free(fs->allocator, entry);
    return 0;
}
