/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Attributes, and how long the kernel may remember what it is told.
 *
 * The kernel walks through names that it remembers without asking whether the caller may search the directory. So what
 * is in a directory that not everybody may search is never to be remembered; and when such a right is taken away, what
 * was remembered before is taken back (FUSE_NOTIFY_INC_EPOCH). Where others change files behind us nothing is remembered
 * at all. Attributes need no such care: whoever reached a file may know them.
 */
#include "fuse/rw_call.h"

#include <vrift/error.h>
#include <vrift/file.h>
#include <vrift/fs.h>

#include <errno.h>
#include <string.h>

#define ACCESS_ACL "system.posix_acl_access"

/* The device number as the kernel packs it into 32 bits. */
static uint32_t pack_rdev(uint64_t rdev)
{
    uint32_t major = VRIFT_DEV_MAJOR(rdev), minor = VRIFT_DEV_MINOR(rdev);
    return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

void vr_rw_attr_fill(const struct vrift_stat *stat, struct fuse_attr *out)
{
    memset(out, 0, sizeof(*out));
    out->ino = stat->ino;
    out->size = stat->size;
    out->blocks = stat->blocks;
    out->atime = (uint64_t)stat->atime.sec;
    out->atimensec = stat->atime.nsec;
    out->mtime = (uint64_t)stat->mtime.sec;
    out->mtimensec = stat->mtime.nsec;
    out->ctime = (uint64_t)stat->ctime.sec;
    out->ctimensec = stat->ctime.nsec;
    out->mode = stat->mode;
    out->nlink = stat->nlink;
    out->uid = stat->uid;
    out->gid = stat->gid;
    out->rdev = pack_rdev(stat->rdev);
    out->blksize = stat->blksize ? stat->blksize : 4096;
}

/* -- What may be remembered ----------------------------------------------------------------------------------------- */

static uint32_t attributes_valid(const struct vr_rw_call *call)
{
    return call->server->shared ? 0 : VR_FUSE_FOREVER;
}

/* Whether nobody can be kept from searching a directory: mode bits for all, and no list that takes some back. */
static uint32_t find_search(struct vr_rw_call *call, const struct vr_rw_node *dir)
{
    struct vrift_stat stat;
    int64_t length;
    if (vrift_fstat(call->task, dir->fd, &stat) < 0 || (stat.mode & 0111) != 0111)
        return VR_RW_SEARCH_SOME;
    length =
        vrift_getxattrat(call->server->base, dir->fd, "", ACCESS_ACL, NULL, 0, VRIFT_AT_EMPTY_PATH | VRIFT_AT_OPATH);
    return length == -VRIFT_ENODATA || length == -VRIFT_EOPNOTSUPP ? VR_RW_SEARCH_ALL : VR_RW_SEARCH_SOME;
}

uint32_t vr_rw_attr_names_valid(struct vr_rw_call *call, struct vr_rw_node *dir)
{
    uint32_t before, found;
    if (call->server->shared)
        return 0;
    if (call->server->default_permissions)
        return VR_FUSE_FOREVER;
    if (atomic_load(&call->server->session->minor) < VR_FUSE_INC_EPOCH_MINOR)
        return 0; /* there is no way to take it back */
    before = atomic_load(&dir->search);
    /* Who changes it now either sees what we keep, or makes us look again. */
    while ((before & VR_RW_SEARCH_MASK) == VR_RW_SEARCH_UNKNOWN) {
        found = find_search(call, dir);
        if (atomic_compare_exchange_strong(&dir->search, &before, before | found))
            before |= found;
    }
    return (before & VR_RW_SEARCH_MASK) == VR_RW_SEARCH_ALL ? VR_FUSE_FOREVER : 0;
}

/* The kernel knows when it asked: an answer that is still on its way is taken back too. */
void vr_rw_attr_permissions_changed(struct vr_rw_call *call, struct vr_rw_node *node)
{
    uint32_t before = atomic_load(&node->search), after;
    if (node->type != VRIFT_S_IFDIR)
        return;
    do
        after = (before & ~(uint32_t)VR_RW_SEARCH_MASK) + VR_RW_SEARCH_CHANGE;
    while (!atomic_compare_exchange_weak(&node->search, &before, after));
    if ((before & VR_RW_SEARCH_MASK) != VR_RW_SEARCH_ALL)
        return;
    if (find_search(call, node) == VR_RW_SEARCH_ALL &&
        atomic_compare_exchange_strong(&node->search, &after, after | VR_RW_SEARCH_ALL))
        return;
    (void)vr_fuse_session_notify(call->server->session, VR_FUSE_NOTIFY_INC_EPOCH, NULL, 0, NULL);
}

/* What the kernel keeps of a name it goes on keeping in the new directory, which not everybody may search. */
void vr_rw_attr_moved(struct vr_rw_call *call, struct vr_rw_node *from, struct vr_rw_node *to)
{
    if (vr_rw_attr_names_valid(call, from) != vr_rw_attr_names_valid(call, to))
        (void)vr_fuse_session_notify(call->server->session, VR_FUSE_NOTIFY_INC_EPOCH, NULL, 0, NULL);
}

/* A negative offset: attributes alone, which takes no lock of the kernel's. */
void vr_rw_attr_forget(struct vr_rw_call *call, const struct vr_rw_node *node)
{
    const struct fuse_notify_inval_inode_out what = {.ino = vr_rw_node_number(call->server, node), .off = -1};
    (void)vr_fuse_session_notify(call->server->session, FUSE_NOTIFY_INVAL_INODE, &what, sizeof(what), NULL);
}

int32_t vr_rw_attr_is_privileged(struct vr_rw_call *call, int32_t fd)
{
    struct vrift_stat stat;
    return vrift_fstat(call->task, fd, &stat) == 0 && (stat.mode & (VRIFT_S_ISUID | VRIFT_S_ISGID)) != 0;
}

void vr_rw_attr_fill_entry(struct vr_rw_call *call, const struct vr_rw_node *node, const struct vrift_stat *stat,
                           struct fuse_entry_out *out)
{
    memset(out, 0, sizeof(*out));
    out->nodeid = vr_rw_node_number(call->server, node);
    out->entry_valid = vr_rw_attr_names_valid(call, call->node);
    out->attr_valid = attributes_valid(call);
    vr_rw_attr_fill(stat, &out->attr);
}

/* -- Asking --------------------------------------------------------------------------------------------------------- */

/* Fills the reply to GETATTR and SETATTR. */
static int64_t reply_attributes(struct vr_rw_call *call)
{
    struct fuse_attr_out *out = call->out;
    struct vrift_stat stat;
    int32_t result = vrift_fstat(call->task, call->node->fd, &stat);
    if (result < 0)
        return vr_rw_call_errno(result);
    memset(out, 0, sizeof(*out));
    out->attr_valid = attributes_valid(call);
    vr_rw_attr_fill(&stat, &out->attr);
    return sizeof(*out);
}

int64_t vr_rw_attr_get(struct vr_rw_call *call)
{
    return reply_attributes(call);
}

static struct vr_fuse_time time_of(const struct vrift_timespec *time)
{
    return (struct vr_fuse_time){.sec = time->sec, .nsec = time->nsec};
}

int64_t vr_rw_attr_statx(struct vr_rw_call *call)
{
    struct vr_fuse_statx_out *out = call->out;
    struct vrift_stat stat;
    int32_t result = vrift_fstat(call->task, call->node->fd, &stat);
    if (result < 0)
        return vr_rw_call_errno(result);
    memset(out, 0, sizeof(*out));
    out->attr_valid = attributes_valid(call);
    out->mask = (uint32_t)(stat.mask & (VRIFT_STAT_BASIC | VRIFT_STAT_BTIME)); /* the numbers are Linux's */
    out->blksize = stat.blksize ? stat.blksize : 4096;
    out->nlink = stat.nlink;
    out->uid = stat.uid;
    out->gid = stat.gid;
    out->mode = (uint16_t)stat.mode;
    out->ino = stat.ino;
    out->size = stat.size;
    out->blocks = stat.blocks;
    out->atime = time_of(&stat.atime);
    out->btime = time_of(&stat.btime);
    out->ctime = time_of(&stat.ctime);
    out->mtime = time_of(&stat.mtime);
    out->rdev_major = VRIFT_DEV_MAJOR(stat.rdev);
    out->rdev_minor = VRIFT_DEV_MINOR(stat.rdev);
    return sizeof(*out);
}

int64_t vr_rw_attr_access(struct vr_rw_call *call)
{
    const struct fuse_access_in *in = vr_rw_call_body(call, sizeof(*in));
    if (!in)
        return -EINVAL;
    return vr_rw_call_errno(vrift_faccessat(call->task, call->node->fd, "", in->mask & 7, VRIFT_AT_EMPTY_PATH));
}

int64_t vr_rw_attr_statfs(struct vr_rw_call *call)
{
    struct fuse_statfs_out *out = call->out;
    struct vrift_statfs stat;
    int32_t result = vrift_statfs(call->task, call->node->fd, "", &stat);
    if (result < 0)
        return vr_rw_call_errno(result);
    memset(out, 0, sizeof(*out));
    out->st.blocks = stat.blocks;
    out->st.bfree = stat.bfree;
    out->st.bavail = stat.bavail;
    out->st.files = stat.files;
    out->st.ffree = stat.ffree;
    out->st.bsize = (uint32_t)stat.bsize;
    out->st.namelen = (uint32_t)stat.namelen;
    out->st.frsize = (uint32_t)stat.bsize;
    return sizeof(*out);
}

/* -- Setting -------------------------------------------------------------------------------------------------------- */

static int32_t set_owner(struct vr_rw_call *call, const struct fuse_setattr_in *in)
{
    int32_t result = vrift_fchownat(call->task, call->node->fd, "", in->valid & FATTR_UID ? in->uid : UINT32_MAX,
                                    in->valid & FATTR_GID ? in->gid : UINT32_MAX, VRIFT_AT_EMPTY_PATH);
    vr_rw_attr_permissions_changed(call, call->node);
    return result;
}

static int32_t set_mode(struct vr_rw_call *call, const struct fuse_setattr_in *in)
{
    int32_t result = vrift_fchmodat(call->task, call->node->fd, "", in->mode & 07777, VRIFT_AT_EMPTY_PATH);
    vr_rw_attr_permissions_changed(call, call->node);
    return result;
}

/* As ftruncate(2) with a descriptor, else as truncate(2). */
static int32_t set_size(struct vr_rw_call *call, const struct fuse_setattr_in *in)
{
    int32_t fd, result;
    if (in->valid & FATTR_FH)
        return vrift_ftruncate(call->task, vr_rw_file_descriptor(in->fh), in->size);
    fd = vrift_reopen(call->task, call->node->fd, VRIFT_O_WRONLY);
    if (fd < 0)
        return fd;
    result = vrift_ftruncate(call->task, fd, in->size);
    (void)vrift_close(call->task, fd);
    return result;
}

static struct vrift_timespec time_to_set(uint32_t valid, uint32_t set, uint32_t now, uint64_t sec, uint32_t nsec)
{
    if (!(valid & set))
        return (struct vrift_timespec){.nsec = VRIFT_UTIME_OMIT};
    if (valid & now)
        return (struct vrift_timespec){.nsec = VRIFT_UTIME_NOW};
    return (struct vrift_timespec){.sec = (int64_t)sec, .nsec = nsec};
}

static int32_t set_times(struct vr_rw_call *call, const struct fuse_setattr_in *in)
{
    const struct vrift_timespec times[2] = {
        time_to_set(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
        time_to_set(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec)};
    return vrift_utimensat(call->task, call->node->fd, "", times, VRIFT_AT_EMPTY_PATH);
}

/* A change of the size brings the time of modification with it, which the core sets by itself; FATTR_CTIME likewise. */
int64_t vr_rw_attr_set(struct vr_rw_call *call)
{
    const struct fuse_setattr_in *in = vr_rw_call_body(call, sizeof(*in));
    int32_t result = 0;
    if (!in)
        return -EINVAL;
    if (in->valid & (FATTR_UID | FATTR_GID))
        result = set_owner(call, in);
    if (result == 0 && in->valid & FATTR_MODE)
        result = set_mode(call, in);
    if (result == 0 && in->valid & FATTR_SIZE)
        result = set_size(call, in);
    else if (result == 0 && in->valid & (FATTR_ATIME | FATTR_MTIME))
        result = set_times(call, in);
    return result < 0 ? vr_rw_call_errno(result) : reply_attributes(call);
}
