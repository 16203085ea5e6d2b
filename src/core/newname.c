/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/newname.h"

#include "core/dispatch.h"
#include "core/inode.h"
#include "core/lookup.h"
#include "core/sb.h"
#include "core/watch.h"

/* What is allocated before the backend is asked, so that nothing can fail afterwards. */
static int32_t prepare(struct vr_dentry *dir, const struct vr_component *name, struct vr_inode **inode,
                       struct vr_dentry **dentry)
{
    *inode = vr_inode_new(vr_dcache_sb(dir));
    *dentry = vr_dcache_new(vr_dcache_sb(dir), name);
    if (*inode && *dentry)
        return 0;
    vr_inode_discard(*inode);
    vr_dcache_discard(vr_dcache_sb(dir)->vfs, *dentry);
    return -VRIFT_ENOMEM;
}

int32_t vr_newname_create(struct vr_dentry *dir, const struct vr_component *name, struct vrift_create *how,
                          struct vr_reap *reap, struct vr_dentry **out)
{
    vrift_sb *sb = vr_dcache_sb(dir);
    struct vr_inode *fresh;
    struct vr_dentry *dentry;
    struct vrift_entry entry;
    struct vr_lookup_name given;
    int32_t error = prepare(dir, name, &fresh, &dentry);
    if (error)
        return error;
    vr_lookup_name(&given, name);
    how->size = sizeof *how;
    vr_sb_change_begin(sb);
    uint64_t now = vr_inode_now(sb);
    error = vr_dispatch_create(dir->inode, &given.name, how, &entry);
    if (!error) {
        dentry->inode = vr_inode_install(fresh, &entry, now);
        if (dentry->inode != fresh)
            vr_dcache_reap_spare(reap, fresh);
        if (vr_is_dir(dentry->inode) && sb->completes)
            dentry->flags |= VR_DENTRY_COMPLETE;
    }
    vr_dcache_read_begin(sb->vfs);
    if (!error)
        *out = vr_dcache_add(dir, dentry, now, reap);
    else
        vr_dcache_doubt(dir, name, reap);
    vr_dcache_read_end(sb->vfs);
    vr_sb_change_end(sb);
    if (!error) {
        vr_inode_attr_forget(dir->inode);
        vr_watch_created(dir->inode, name, (*out)->inode);
        return 0;
    }
    vr_inode_discard(fresh);
    vr_dcache_discard(sb->vfs, dentry);
    return error;
}

int32_t vr_newname_create_unnamed(struct vr_dentry *dir, struct vrift_create *how, struct vr_dentry **out)
{
    struct vr_component name;
    struct vr_inode *fresh;
    struct vr_dentry *dentry;
    struct vrift_entry entry;
    vrift_sb *sb = vr_dcache_sb(dir);
    vr_dcache_name("#unnamed", 8, &name);
    int32_t error = prepare(dir, &name, &fresh, &dentry);
    if (error)
        return error;
    how->size = sizeof *how;
    uint64_t now = vr_inode_now(sb);
    struct vr_inode_extra *extra = vr_inode_extra(fresh);
    error = extra ? vr_dispatch_create(dir->inode, NULL, how, &entry) : -VRIFT_ENOMEM;
    if (error) {
        vr_inode_discard(fresh);
        vr_dcache_discard(sb->vfs, dentry);
        return error;
    }
    atomic_store(&extra->tmpfile, (uint32_t)how->flags);
    dentry->inode = vr_inode_install(fresh, &entry, now);
    if (dentry->inode != fresh)
        vr_inode_unref(fresh);
    vr_dcache_read_begin(sb->vfs);
    vr_dcache_attach(dir, dentry);
    vr_dcache_read_end(sb->vfs);
    *out = dentry;
    return 0;
}
