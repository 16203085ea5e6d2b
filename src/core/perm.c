/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/perm.h"

#include "core/inode.h"

static uint32_t mode_of(const struct vr_inode *inode)
{
    return atomic_load_explicit(&inode->mode, memory_order_acquire);
}

static uint32_t uid_of(const struct vr_inode *inode)
{
    return atomic_load_explicit(&inode->uid, memory_order_acquire);
}

static uint32_t gid_of(const struct vr_inode *inode)
{
    return atomic_load_explicit(&inode->gid, memory_order_acquire);
}

bool vr_perm_in_group(const struct vrift_cred *cred, uint32_t gid)
{
    if (gid == cred->gid)
        return true;
    uint32_t low = 0, high = cred->group_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (cred->groups[middle] == gid)
            return true;
        if (cred->groups[middle] < gid)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* What the capabilities grant where the mode or an ACL does not. */
static int32_t by_capability(const struct vrift_cred *cred, uint32_t mode, uint32_t may)
{
    if ((mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR) {
        if (!(may & VR_MAY_WRITE) && vr_perm_capable(cred, VRIFT_CAP_DAC_READ_SEARCH))
            return 0;
        return vr_perm_capable(cred, VRIFT_CAP_DAC_OVERRIDE) ? 0 : -VRIFT_EACCES;
    }
    if (may == VR_MAY_READ && vr_perm_capable(cred, VRIFT_CAP_DAC_READ_SEARCH))
        return 0;
    /* Even the mighty execute only what somebody may execute. */
    if ((!(may & VR_MAY_EXEC) || mode & 0111) && vr_perm_capable(cred, VRIFT_CAP_DAC_OVERRIDE))
        return 0;
    return -VRIFT_EACCES;
}

/* 0, -VRIFT_EACCES, or VR_PERM_ASK where the ACL has the word: never to the owner, nor if the group has no rights. */
static int32_t by_mode(const struct vrift_cred *cred, const struct vr_inode *inode, uint32_t mode, uint32_t may)
{
    uint32_t granted = mode;
    if (mode & VR_MODE_DOUBT)
        return VR_PERM_ASK;
    if (cred->uid == uid_of(inode))
        granted >>= 6;
    else if (mode & VR_MODE_ACL && mode & 070)
        return VR_PERM_ASK;
    else if (vr_perm_in_group(cred, gid_of(inode)))
        granted >>= 3;
    return may & ~granted & 7 ? -VRIFT_EACCES : 0;
}

/* Group and others, where the inode turns out to have no ACL. */
static int32_t by_class(const struct vrift_cred *cred, const struct vr_inode *inode, uint32_t mode, uint32_t may)
{
    return by_mode(cred, inode, mode & ~VR_MODE_ACL, may);
}

int32_t vr_perm_refresh(struct vr_inode *inode)
{
    struct vrift_stat st;
    return vr_perm_is(inode, VR_MODE_DOUBT) ? vr_inode_getattr(inode, vr_inode_now(inode->sb), &st) : 0;
}

int32_t vr_perm_check(const struct vrift_cred *cred, struct vr_inode *inode, uint32_t may)
{
    int32_t error = vr_perm_refresh(inode);
    if (error)
        return error;
    uint32_t mode = mode_of(inode) & ~VR_MODE_DOUBT; /* of one that changes just now any answer is good */
    if (may & VR_MAY_WRITE) {
        if (inode->sb->read_only && (vr_is_file(inode) || vr_is_dir(inode) || vr_is_link(inode)))
            return -VRIFT_EROFS;
        if (mode & VR_MODE_IMMUTABLE)
            return -VRIFT_EPERM;
    }
    int32_t result = by_mode(cred, inode, mode, may);
    if (result == VR_PERM_ASK) {
        result = vr_acl_permission(cred, inode, may);
        if (result == VR_ACL_NONE)
            result = by_class(cred, inode, mode, may);
    }
    return result == -VRIFT_EACCES ? by_capability(cred, mode, may) : result;
}

int32_t vr_perm_search_cached(const struct vrift_cred *cred, const struct vr_inode *dir)
{
    int32_t result = by_mode(cred, dir, mode_of(dir), VR_MAY_EXEC);
    return result == -VRIFT_EACCES ? by_capability(cred, mode_of(dir), VR_MAY_EXEC) : result;
}

bool vr_perm_owner(const struct vrift_cred *cred, const struct vr_inode *inode)
{
    return cred->uid == uid_of(inode) || vr_perm_capable(cred, VRIFT_CAP_FOWNER);
}

static bool is_sticky(const struct vrift_cred *cred, const struct vr_inode *dir, const struct vr_inode *victim)
{
    return mode_of(dir) & VRIFT_S_ISVTX && cred->uid != uid_of(victim) && cred->uid != uid_of(dir) &&
           !vr_perm_capable(cred, VRIFT_CAP_FOWNER);
}

int32_t vr_perm_remove(const struct vrift_cred *cred, struct vr_inode *dir, const struct vr_inode *victim,
                       bool want_dir)
{
    int32_t error = vr_perm_change_dir(cred, dir);
    if (error)
        return error;
    if (vr_perm_is(dir, VR_MODE_APPEND) || is_sticky(cred, dir, victim) ||
        vr_perm_is(victim, VR_MODE_APPEND | VR_MODE_IMMUTABLE))
        return -VRIFT_EPERM;
    if (want_dir)
        return vr_is_dir(victim) ? 0 : -VRIFT_ENOTDIR;
    return vr_is_dir(victim) ? -VRIFT_EISDIR : 0;
}

int32_t vr_perm_open_flags(const struct vrift_cred *cred, const struct vr_inode *inode, uint64_t flags)
{
    if (vr_perm_is(inode, VR_MODE_APPEND)) {
        if (flags & VRIFT_O_ACCMODE && !(flags & VRIFT_O_APPEND))
            return -VRIFT_EPERM;
        if (flags & VRIFT_O_TRUNC)
            return -VRIFT_EPERM;
    }
    return flags & VRIFT_O_NOATIME && !vr_perm_owner(cred, inode) ? -VRIFT_EPERM : 0;
}

static bool group_or_capable(const struct vrift_cred *cred, uint32_t gid)
{
    return vr_perm_in_group(cred, gid) || vr_perm_capable(cred, VRIFT_CAP_FSETID);
}

uint32_t vr_perm_setgid_lost(const struct vrift_cred *cred, uint32_t gid)
{
    return group_or_capable(cred, gid) ? 0 : VRIFT_S_ISGID;
}

int32_t vr_perm_inherit(const struct vrift_cred *cred, struct vr_inode *dir, uint32_t umask, struct vrift_create *how,
                        struct vr_acl_birth *birth)
{
    how->uid = cred->uid;
    how->gid = cred->gid;
    if (mode_of(dir) & VRIFT_S_ISGID) {
        how->gid = gid_of(dir);
        if ((how->mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR)
            how->mode |= VRIFT_S_ISGID;
        else if ((how->mode & (VRIFT_S_ISGID | 010)) == (VRIFT_S_ISGID | 010))
            how->mode &= ~vr_perm_setgid_lost(cred, how->gid); /* judged before the umask takes group-x away */
    }
    return vr_acl_birth(dir, umask, how, birth);
}

static uint32_t killed_setgid(const struct vrift_cred *cred, const struct vr_inode *inode)
{
    uint32_t mode = mode_of(inode);
    if (!(mode & VRIFT_S_ISGID))
        return 0;
    return mode & 010 || !group_or_capable(cred, gid_of(inode)) ? VRIFT_S_ISGID : 0;
}

uint32_t vr_perm_killed_by_chown(const struct vrift_cred *cred, const struct vr_inode *inode)
{
    if (vr_is_dir(inode))
        return 0;
    return (mode_of(inode) & VRIFT_S_ISUID) | killed_setgid(cred, inode);
}

uint32_t vr_perm_killed_by_write(const struct vrift_cred *cred, const struct vr_inode *inode)
{
    if (!(mode_of(inode) & (VRIFT_S_ISUID | VRIFT_S_ISGID)) || vr_perm_capable(cred, VRIFT_CAP_FSETID) ||
        !vr_is_file(inode))
        return 0;
    return (mode_of(inode) & VRIFT_S_ISUID) | killed_setgid(cred, inode);
}

/* -- Protections --------------------------------------------------------------------------------------------------- */

static bool protects(const struct vr_inode *inode, uint32_t what)
{
    return inode->sb->vfs->protect & what;
}

int32_t vr_perm_follow(const vrift_vfs *vfs, const struct vrift_cred *cred, const struct vr_inode *dir,
                       const struct vr_inode *link)
{
    uint32_t shared = VRIFT_S_ISVTX | 02;
    if (!(vfs->protect & VRIFT_PROTECT_SYMLINKS) || cred->uid == uid_of(link) || (mode_of(dir) & shared) != shared ||
        uid_of(dir) == uid_of(link))
        return 0;
    return -VRIFT_EACCES;
}

/* Nobody links what he could not read and write. */
int32_t vr_perm_link(const struct vrift_cred *cred, struct vr_inode *inode)
{
    uint32_t mode = mode_of(inode);
    if (!protects(inode, VRIFT_PROTECT_HARDLINKS) || vr_perm_owner(cred, inode))
        return 0;
    if (!vr_is_file(inode) || mode & VRIFT_S_ISUID || (mode & (VRIFT_S_ISGID | 010)) == (VRIFT_S_ISGID | 010) ||
        vr_perm_check(cred, inode, VR_MAY_READ | VR_MAY_WRITE))
        return -VRIFT_EPERM;
    return 0;
}

/*
 * In a sticky directory that others may write to, O_CREAT does not open what a third party put there. Regular files
 * and fifos are excepted unless the instance protects them.
 */
int32_t vr_perm_found(const struct vrift_cred *cred, uint32_t dir_mode, uint32_t dir_uid, const struct vr_inode *inode)
{
    uint32_t type = mode_of(inode) & VRIFT_S_IFMT, group = 0;
    if (!(dir_mode & VRIFT_S_ISVTX) || uid_of(inode) == dir_uid || uid_of(inode) == cred->uid)
        return 0;
    if (type == VRIFT_S_IFREG) {
        if (!protects(inode, VRIFT_PROTECT_REGULAR | VRIFT_PROTECT_REGULAR_GROUP))
            return 0;
        group = VRIFT_PROTECT_REGULAR_GROUP;
    } else if (type == VRIFT_S_IFIFO) {
        if (!protects(inode, VRIFT_PROTECT_FIFOS | VRIFT_PROTECT_FIFOS_GROUP))
            return 0;
        group = VRIFT_PROTECT_FIFOS_GROUP;
    }
    return dir_mode & 02 || (dir_mode & 020 && protects(inode, group)) ? -VRIFT_EACCES : 0;
}
