/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What each operation tells, in which order, after include/linux/fsnotify.h. */
#include "core/dcache.h"
#include "core/inode.h"
#include "core/watch.h"

#include <string.h>

static uint32_t dir_bit(const struct vr_inode *inode)
{
    return vr_is_dir(inode) ? VRIFT_IN_ISDIR : 0;
}

/* A name in a directory came or went. */
static void tell_name(struct vr_inode *dir, const struct vr_component *name, struct vr_inode *inode, uint32_t mask,
                      uint32_t cookie)
{
    struct vr_watch_note note = {.sb = dir->sb,
                                 .dir = dir,
                                 .name = name->name,
                                 .length = name->length,
                                 .inode = inode,
                                 .mask = mask | dir_bit(inode),
                                 .cookie = cookie};
    vr_watch_tell(&note);
}

/* Something happened to an inode that no name is to blame for. */
static void tell_inode(struct vr_inode *inode, uint32_t mask)
{
    struct vr_watch_note note = {.sb = inode->sb, .inode = inode, .mask = mask, .self = true};
    vr_watch_tell(&note);
}

void vr_watch_created_now(struct vr_inode *dir, const struct vr_component *name, struct vr_inode *inode)
{
    tell_name(dir, name, inode, VRIFT_IN_CREATE, 0);
}

void vr_watch_linked_now(struct vr_inode *dir, const struct vr_component *name, struct vr_inode *inode)
{
    tell_inode(inode, VRIFT_IN_ATTRIB);
    tell_name(dir, name, inode, VRIFT_IN_CREATE, 0);
}

void vr_watch_removed_now(struct vr_inode *dir, const struct vr_component *name, struct vr_inode *inode, bool in_use)
{
    if (!vr_is_dir(inode))
        tell_inode(inode, VRIFT_IN_ATTRIB); /* the link count */
    vr_watch_nameless(inode, in_use);
    tell_name(dir, name, inode, VRIFT_IN_DELETE, 0);
}

void vr_watch_moved_now(struct vr_inode *old_dir, const struct vr_component *old_name, struct vr_inode *inode,
                        struct vr_inode *new_dir, const struct vr_component *new_name, struct vr_inode *victim)
{
    uint32_t cookie = atomic_fetch_add_explicit(&old_dir->sb->vfs->watches.cookie, 1, memory_order_relaxed) + 1;
    if (!cookie) /* 0 means none */
        cookie = atomic_fetch_add_explicit(&old_dir->sb->vfs->watches.cookie, 1, memory_order_relaxed) + 1;
    tell_name(old_dir, old_name, inode, VRIFT_IN_MOVED_FROM, cookie);
    tell_name(new_dir, new_name, inode, VRIFT_IN_MOVED_TO, cookie);
    if (victim) {
        tell_inode(victim, VRIFT_IN_ATTRIB | dir_bit(victim));
        vr_watch_nameless(victim, true);
    }
    tell_inode(inode, VRIFT_IN_MOVE_SELF);
}

/* The name is copied and the directory held, since a rename may come along. */
void vr_watch_file_now(struct vr_dentry *dentry, uint32_t mask, bool by_file)
{
    vrift_vfs *vfs = vr_dcache_sb(dentry)->vfs;
    char name[VRIFT_NAME_MAX + 1];
    struct vr_watch_note note = {.sb = vr_dcache_sb(dentry), .mask = mask, .self = true};
    vr_dcache_read_begin(vfs);
    note.inode = dentry->inode;
    if (dentry->parent != dentry) {
        note.dir = dentry->parent->inode;
        note.name = name;
        note.length = (uint32_t)vr_dcache_name_of(dentry, name);
        vr_inode_ref(note.dir);
    }
    note.unlinked = by_file && !vr_dcache_hashed(dentry);
    vr_dcache_read_end(vfs);
    if (note.inode) {
        note.mask |= dir_bit(note.inode);
        vr_watch_tell(&note);
    }
    vr_inode_unref(note.dir);
}

uint32_t vr_watch_of_setattr(const struct vrift_setattr *set)
{
    uint64_t times = set->mask & (VRIFT_SET_ATIME | VRIFT_SET_MTIME);
    uint32_t mask = 0;
    if (set->mask & (VRIFT_SET_UID | VRIFT_SET_GID | VRIFT_SET_MODE))
        mask |= VRIFT_IN_ATTRIB;
    if (set->mask & VRIFT_SET_SIZE)
        mask |= VRIFT_IN_MODIFY;
    if (times == (VRIFT_SET_ATIME | VRIFT_SET_MTIME))
        mask |= VRIFT_IN_ATTRIB; /* as by utimes() */
    else if (times == VRIFT_SET_ATIME)
        mask |= VRIFT_IN_ACCESS;
    else if (times == VRIFT_SET_MTIME)
        mask |= VRIFT_IN_MODIFY;
    return mask;
}
