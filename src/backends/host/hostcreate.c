/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Making things, with the mode and owner asked for whatever the process's umask and the host's ACLs say. */
#include "backends/host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Makes the thing under its name. A regular file comes back open in *fd, which is -1 else. */
static int32_t make(int dirfd, const char *name, const struct vrift_create *how, int *fd)
{
    int result;
    mode_t mode = how->mode & 07777;
    *fd = -1;
    switch (how->mode & VRIFT_S_IFMT) {
    case VRIFT_S_IFREG:
        result = *fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, mode);
        break;
    case VRIFT_S_IFDIR:
        result = mkdirat(dirfd, name, mode);
        break;
    case VRIFT_S_IFLNK:
        if (!how->target)
            return -VRIFT_EINVAL;
        result = symlinkat(how->target, dirfd, name);
        break;
    default:
        result = mknodat(dirfd, name, how->mode, makedev(VRIFT_DEV_MAJOR(how->rdev), VRIFT_DEV_MINOR(how->rdev)));
    }
    return result < 0 ? vrift_err_from_host_errno(errno) : 0;
}

/* Whether attr can be what we have just made, and not what somebody put in its place to make us change it. */
static int is_ours(const struct vrift_create *how, const struct vrift_stat *attr)
{
    if ((attr->mode & VRIFT_S_IFMT) != (how->mode & VRIFT_S_IFMT))
        return 0;
    return (attr->mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR || attr->nlink <= 1;
}

/* The host has handed down the same default ACL, unless it was changed between the core's look at it and now. */
static int32_t set_acls(int fd, const struct vrift_create *how)
{
    int32_t error = 0;
    if (how->acl)
        error = vr_fileops_xattr_set(fd, "", "system.posix_acl_access", how->acl, how->acl_size, 0);
    if (!error && how->default_acl)
        error = vr_fileops_xattr_set(fd, "", "system.posix_acl_default", how->default_acl, how->default_acl_size, 0);
    return error;
}

/* Gives a fresh inode the owner and mode asked for. attr is what it has, and afterwards too. */
static int32_t adjust(struct vr_hostfs *fs, int fd, const struct vrift_create *how, struct vrift_stat *attr)
{
    int is_link = (how->mode & VRIFT_S_IFMT) == VRIFT_S_IFLNK;
    int changed = 0;
    if (attr->uid != how->uid || attr->gid != how->gid) {
        int32_t error = vr_fileops_set_owner(fd, "", how->uid, how->gid);
        if (error && (error != -VRIFT_EPERM || fs->flags & VRIFT_HOST_KEEP_OWNERS))
            return error;
        changed = !error;
    }
    if (!is_link && (changed || ((attr->mode ^ how->mode) & 07777))) {
        int32_t error = vr_fileops_set_mode(fd, "", how->mode & 07777);
        if (error)
            return error;
        changed = 1;
    }
    int32_t error = set_acls(fd, how);
    if (error)
        return error;
    return changed || how->acl ? vr_fileops_stat(fd, "", attr) : 0;
}

static int32_t adjust_by_name(struct vr_hostfs *fs, int dirfd, const char *name, const struct vrift_create *how,
                              struct vrift_stat *attr)
{
    int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return vrift_err_from_host_errno(errno);
    int32_t error = vr_fileops_stat(fd, "", attr);
    if (!error)
        error = is_ours(how, attr) ? adjust(fs, fd, how, attr) : -VRIFT_ESTALE;
    close(fd);
    return error;
}

static int32_t adjust_by_descriptor(struct vr_hostfs *fs, int fd, const struct vrift_create *how,
                                    struct vrift_stat *attr)
{
    int32_t error = vr_fileops_stat(fd, "", attr);
    return error ? error : adjust(fs, fd, how, attr);
}

static int32_t create_named(struct vr_hostfs *fs, struct vr_hostnode *dir, const struct vrift_name *name,
                            const struct vrift_create *how, struct vrift_entry *out)
{
    struct vr_hostfd *parent;
    struct vr_hostnode *node;
    struct vrift_stat attr;
    int fd;
    int32_t error = vr_hostfd_hold(fs, dir, &parent);
    if (error)
        return error;
    error = make(parent->fd, name->bytes, how, &fd);
    if (error) {
        vr_hostfd_unref(fs, parent);
        return error;
    }
    error = fd < 0 ? adjust_by_name(fs, parent->fd, name->bytes, how, &attr) : adjust_by_descriptor(fs, fd, how, &attr);
    if (!error)
        error = vr_hostnode_intern(fs, dir, name, &attr, &node);
    if (error && error != -VRIFT_ESTALE)
        unlinkat(parent->fd, name->bytes, (how->mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR ? AT_REMOVEDIR : 0);
    vr_hostfd_unref(fs, parent);
    if (error && fd >= 0)
        close(fd);
    if (error)
        return error;
    struct vr_hostfd *hostfd;
    if (fd >= 0 && !vr_hostfd_new(fs, fd, &hostfd)) /* without memory, the first open goes by name */
        vr_hostfd_leave(fs, node, hostfd);
    vr_hostnode_entry(fs, node, &attr, out);
    return 0;
}

static int32_t create_nameless(struct vr_hostfs *fs, struct vr_hostnode *dir, const struct vrift_create *how,
                               struct vrift_entry *out)
{
    int flags = O_TMPFILE | O_RDWR | O_CLOEXEC | (how->flags & VRIFT_CREATE_UNLINKABLE ? O_EXCL : 0);
    struct vr_hostfd *parent;
    struct vr_hostfd *hostfd;
    struct vr_hostnode *node;
    struct vrift_stat attr;
    int32_t error = vr_hostfd_hold(fs, dir, &parent);
    if (error)
        return error;
    int fd = openat(parent->fd, ".", flags, (mode_t)(how->mode & 07777));
    error = fd < 0 ? vrift_err_from_host_errno(errno) : 0;
    vr_hostfd_unref(fs, parent);
    if (error)
        return error == -VRIFT_EISDIR ? -VRIFT_EOPNOTSUPP : error; /* as file systems answer that know no O_TMPFILE */
    error = vr_hostfd_new(fs, fd, &hostfd);
    if (error)
        return error;
    error = adjust_by_descriptor(fs, fd, how, &attr);
    if (!error)
        error = vr_hostnode_intern(fs, NULL, NULL, &attr, &node);
    if (error) {
        vr_hostfd_unref(fs, hostfd);
        return error;
    }
    vr_os_mutex_lock(&fs->book);
    node->fd = hostfd;
    node->pinned = 1;
    vr_os_mutex_unlock(&fs->book);
    vr_hostfd_leave(fs, node, vr_hostfd_ref(hostfd));
    vr_hostnode_entry(fs, node, &attr, out);
    return 0;
}

int32_t VRIFT_CALLBACK vr_hostcreate(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                     const struct vrift_create *how, struct vrift_entry *out)
{
    if (how->flags & VRIFT_CREATE_TMPFILE)
        return create_nameless(self, dir->handle, how, out);
    return create_named(self, dir->handle, name, how, out);
}
