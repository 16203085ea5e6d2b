/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/perm.h"

static uint32_t mode_of(const struct vr_inode *inode)
{
    return atomic_load_explicit(&inode->mode, memory_order_relaxed);
}

static uint32_t uid_of(const struct vr_inode *inode)
{
    return atomic_load_explicit(&inode->uid, memory_order_relaxed);
}

static uint32_t gid_of(const struct vr_inode *inode)
{
    return atomic_load_explicit(&inode->gid, memory_order_relaxed);
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

int32_t vr_perm_check(const struct vrift_cred *cred, const struct vr_inode *inode, uint32_t may)
{
    uint32_t mode = mode_of(inode);
    uint32_t granted = mode;
    if (may & VR_MAY_WRITE && inode->sb->read_only && (vr_is_file(inode) || vr_is_dir(inode) || vr_is_link(inode)))
        return -VRIFT_EROFS;
    if (cred->uid == uid_of(inode))
        granted >>= 6;
    else if (vr_perm_in_group(cred, gid_of(inode)))
        granted >>= 3;
    if ((may & ~granted & 7) == 0)
        return 0;
    if (vr_is_dir(inode)) {
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

bool vr_perm_owner(const struct vrift_cred *cred, const struct vr_inode *inode)
{
    return cred->uid == uid_of(inode) || vr_perm_capable(cred, VRIFT_CAP_FOWNER);
}

int32_t vr_perm_sticky(const struct vrift_cred *cred, const struct vr_inode *dir, const struct vr_inode *victim)
{
    if (!(mode_of(dir) & VRIFT_S_ISVTX) || cred->uid == uid_of(victim) || cred->uid == uid_of(dir) ||
        vr_perm_capable(cred, VRIFT_CAP_FOWNER))
        return 0;
    return -VRIFT_EPERM;
}

static bool group_or_capable(const struct vrift_cred *cred, uint32_t gid)
{
    return vr_perm_in_group(cred, gid) || vr_perm_capable(cred, VRIFT_CAP_FSETID);
}

void vr_perm_inherit(const struct vrift_cred *cred, const struct vr_inode *dir, uint32_t umask, uint32_t *mode,
                     uint32_t *gid)
{
    uint32_t wanted = *mode;
    bool is_dir = (wanted & VRIFT_S_IFMT) == VRIFT_S_IFDIR;
    *gid = cred->gid;
    if (mode_of(dir) & VRIFT_S_ISGID) {
        *gid = gid_of(dir);
        if (is_dir)
            wanted |= VRIFT_S_ISGID;
        else if ((wanted & (VRIFT_S_ISGID | 010)) == (VRIFT_S_ISGID | 010) && !group_or_capable(cred, *gid))
            wanted &= ~(uint32_t)VRIFT_S_ISGID; /* judged before the umask takes group-x away */
    }
    if ((wanted & VRIFT_S_IFMT) != VRIFT_S_IFLNK)
        wanted &= ~(umask & 0777);
    *mode = wanted;
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
