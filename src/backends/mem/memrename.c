/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/mem/mem.h"

/* One rename, all of it under `names` held for writing. */
struct rename {
    struct vr_memnode *old_dir, *new_dir;
    struct vr_memdir_entry *source;
    struct vr_memdir_entry *target; /* NULL: the new name does not exist */
    struct vr_memdir_entry *fresh;  /* what becomes the target then */
    struct vr_memnode *whiteout;    /* what takes the source's place, or NULL */
};

static int is_dir(const struct vr_memdir_entry *entry)
{
    return entry->node->type == VRIFT_S_IFDIR;
}

static int32_t check(const struct rename *rename, const struct vrift_node *node, const struct vrift_node *victim,
                     uint64_t flags)
{
    if (!rename->source)
        return -VRIFT_ENOENT;
    if (rename->source->node != node->handle)
        return -VRIFT_ESTALE;
    if (!rename->new_dir->parent)
        return -VRIFT_ENOENT;
    if (!rename->target)
        return flags & VRIFT_RENAME_EXCHANGE ? -VRIFT_ENOENT : 0;
    if (flags & VRIFT_RENAME_NOREPLACE)
        return -VRIFT_EEXIST;
    if (victim && rename->target->node != victim->handle)
        return -VRIFT_ESTALE;
    if (flags & VRIFT_RENAME_EXCHANGE)
        return 0;
    if (is_dir(rename->source) != is_dir(rename->target))
        return is_dir(rename->target) ? -VRIFT_EISDIR : -VRIFT_ENOTDIR;
    return rename->target->node->dir.count ? -VRIFT_ENOTEMPTY : 0;
}

/* A directory's `..` counts as a link of its parent. */
static void move_dotdot(struct vr_memnode *node, struct vr_memnode *from, struct vr_memnode *to)
{
    if (node->type != VRIFT_S_IFDIR)
        return;
    node->parent = to;
    if (from == to)
        return;
    vr_memnode_add_link(from, -1);
    vr_memnode_add_link(to, 1);
}

static void exchange(struct rename *rename)
{
    struct vr_memnode *one = rename->source->node;
    struct vr_memnode *other = rename->target->node;
    rename->source->node = other;
    rename->target->node = one;
    move_dotdot(one, rename->old_dir, rename->new_dir);
    move_dotdot(other, rename->new_dir, rename->old_dir);
    vr_memnode_touch(one, 0);
    vr_memnode_touch(other, 0);
    vr_memnode_resize_dir(rename->old_dir, 0, 0);
    vr_memnode_resize_dir(rename->new_dir, 0, 0);
}

/*
 * A name that is replaced keeps its cookie, so that a scan that is under way reports it once. Returns the inode that
 * lost the name, with the reference of its entry, or NULL.
 */
static struct vr_memnode *move(struct rename *rename)
{
    struct vr_memnode *node = rename->source->node;
    struct vr_memnode *lost = NULL;
    if (rename->target) {
        lost = rename->target->node;
        rename->target->node = node;
        vr_memnode_add_link(lost, lost->type == VRIFT_S_IFDIR ? -2 : -1);
        if (lost->type == VRIFT_S_IFDIR) {
            lost->parent = NULL;
            vr_memnode_add_link(rename->new_dir, -1);
        }
    } else {
        rename->fresh->node = node;
        vr_memdir_add(&rename->new_dir->dir, rename->fresh);
        rename->fresh = NULL;
        vr_memnode_resize_dir(rename->new_dir, 1, 0);
    }
    move_dotdot(node, rename->old_dir, rename->new_dir);
    vr_memnode_touch(node, 0);
    if (rename->whiteout) {
        rename->source->node = vr_memnode_ref(rename->whiteout);
        vr_memnode_add_link(rename->whiteout, 1);
        rename->source = NULL;
        vr_memnode_resize_dir(rename->old_dir, 0, 0);
    } else {
        vr_memdir_remove(&rename->old_dir->dir, rename->source);
        vr_memnode_resize_dir(rename->old_dir, -1, 0);
    }
    if (rename->target)
        vr_memnode_resize_dir(rename->new_dir, 0, 0);
    return lost;
}

/* What a plain rename needs of memory, so that nothing fails once it has begun. */
static int32_t prepare(struct vr_memfs *fs, struct rename *rename, uint32_t hash, const struct vrift_name *name)
{
    if (rename->target)
        return 0;
    int32_t error = vr_memdir_reserve(fs->allocator, &rename->new_dir->dir);
    if (error)
        return error;
    rename->fresh = vr_memdir_entry_new(fs->allocator, hash, name->bytes, name->length, NULL);
    return rename->fresh ? 0 : -VRIFT_ENOMEM;
}

static int32_t make_whiteout(struct vr_memfs *fs, struct vr_memnode **out)
{
    struct vrift_create how = {.size = sizeof how, .mode = VRIFT_S_IFCHR};
    return vr_memnode_new(fs, NULL, &how, out);
}

int32_t VRIFT_CALLBACK vr_memrename(void *self, const struct vrift_node *old_dir, const struct vrift_name *old_name,
                                    const struct vrift_node *node, const struct vrift_node *new_dir,
                                    const struct vrift_name *new_name, const struct vrift_node *victim, uint64_t flags)
{
    struct vr_memfs *fs = self;
    struct rename rename = {.old_dir = old_dir->handle, .new_dir = new_dir->handle};
    struct vr_memnode *lost = NULL;
    if (flags & ~(VRIFT_RENAME_NOREPLACE | VRIFT_RENAME_EXCHANGE | VRIFT_RENAME_WHITEOUT))
        return -VRIFT_EINVAL;
    if ((flags & VRIFT_RENAME_EXCHANGE) && flags != VRIFT_RENAME_EXCHANGE)
        return -VRIFT_EINVAL;
    if (new_name->length > VRIFT_NAME_MAX)
        return -VRIFT_ENAMETOOLONG;
    if (flags & VRIFT_RENAME_WHITEOUT) {
        int32_t made = make_whiteout(fs, &rename.whiteout);
        if (made)
            return made;
    }
    uint32_t old_hash = vr_memdir_hash(fs->seed, old_name->bytes, old_name->length);
    uint32_t new_hash = vr_memdir_hash(fs->seed, new_name->bytes, new_name->length);
    vr_os_rwlock_write(&fs->names);
    rename.source = vr_memdir_find(&rename.old_dir->dir, old_hash, old_name->bytes, old_name->length);
    rename.target = vr_memdir_find(&rename.new_dir->dir, new_hash, new_name->bytes, new_name->length);
    int32_t error = check(&rename, node, victim, flags);
    int same = !error && rename.target && rename.target->node == rename.source->node;
    if (error || same) {
        rename.source = NULL;
    } else if (flags & VRIFT_RENAME_EXCHANGE) {
        exchange(&rename);
        rename.source = NULL;
    } else {
        error = prepare(fs, &rename, new_hash, new_name);
        if (!error)
            lost = move(&rename);
        else
            rename.source = NULL;
    }
    vr_os_rwlock_unlock(&fs->names);
    vr_alloc_free(fs->allocator, rename.source); /* the entry that was taken out */
    vr_alloc_free(fs->allocator, rename.fresh);
    if (lost)
        vr_memnode_unref(fs, lost);
    if (rename.whiteout)
        vr_memnode_unref(fs, rename.whiteout);
    return error;
}
