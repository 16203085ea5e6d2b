/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* -- Looking up ---------------------------------------------------------------------------------------------------- */

static int32_t look_up(struct vr_hostfs *fs, struct vr_hostnode *dir, const struct vrift_name *name,
                       struct vrift_stat *attr, struct vr_hostnode **out)
{
    struct vr_hostfd *fd;
    if (dir->type != VRIFT_S_IFDIR)
        return -VRIFT_ENOTDIR;
    int32_t error = vr_hostfd_hold(fs, dir, &fd);
    if (error)
        return error;
    vr_hostwatch_cover(fs, dir, fd->fd);
    error = vr_fileops_stat(fd->fd, name->bytes, attr);
    if (!error && fs->watch && (attr->mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR &&
        vr_dirwatch_is_mount(fd->fd, name->bytes))
        vr_hostwatch_deaf_to(fs, dir, name);
    vr_hostfd_unref(fs, fd);
    return error ? error : vr_hostnode_intern(fs, dir, name, attr, out);
}

int32_t VRIFT_CALLBACK vr_hostname_walk(void *self, const struct vrift_node *dir, const struct vrift_name *names,
                                        uint32_t count, struct vrift_entry *entries, uint32_t *done)
{
    struct vr_hostnode *at = dir->handle;
    *done = 0;
    while (*done < count) {
        struct vrift_stat attr;
        if (*done > 0 && at->type != VRIFT_S_IFDIR)
            return 0;
        int32_t error = look_up(self, at, &names[*done], &attr, &at);
        if (error)
            return error;
        vr_hostnode_entry(self, at, &attr, &entries[*done]);
        ++*done;
    }
    return 0;
}

int32_t VRIFT_CALLBACK vr_hostname_revalidate(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                              const struct vrift_node *node, struct vrift_stat *out)
{
    struct vr_hostnode *found = node->handle;
    struct vr_hostfd *fd;
    struct vrift_stat attr;
    int32_t error = vr_hostfd_hold(self, dir->handle, &fd);
    if (error)
        return error;
    error = vr_fileops_stat(fd->fd, name->bytes, &attr);
    vr_hostfd_unref(self, fd);
    if (error == -VRIFT_ENOENT || (!error && !vr_hostnode_is(found, &attr)))
        return -VRIFT_ESTALE;
    if (!error)
        error = vr_hostnode_moved(self, found, dir->handle, name);
    if (error)
        return error;
    vr_hostnode_publish(self, &attr);
    *out = attr;
    return 0;
}

/* -- Listing ------------------------------------------------------------------------------------------------------- */

/*
 * The host's positions go up to 2^63 (ext4: a hash of the name), ours to 2^62. A large one loses its two lowest bits;
 * going on there may repeat an entry whose hash agrees in the other 61 bits, as likely as ext4's own collisions.
 */
#define LARGE (1ULL << 61)

static uint64_t cookie_of(uint64_t position)
{
    return position < LARGE ? position : LARGE + (position >> 2);
}

static uint64_t position_of(uint64_t cookie)
{
    return cookie < LARGE ? cookie : (cookie - LARGE) << 2;
}

struct listing {
    int fd;
    vrift_emit_fn emit;
    void *payload;
    int stopped;
};

static uint32_t type_by_stat(int dirfd, const char *name)
{
    struct vrift_stat attr;
    return vr_fileops_stat(dirfd, name, &attr) ? VRIFT_DT_UNKNOWN : (attr.mode & VRIFT_S_IFMT) >> 12;
}

static int32_t pass_on(const struct vr_fileops_dirent *entry, void *payload)
{
    struct listing *listing = payload;
    struct vrift_dir_entry record = {.name = entry->name,
                                     .name_length = entry->length,
                                     .type = entry->type == VRIFT_DT_UNKNOWN ? type_by_stat(listing->fd, entry->name)
                                                                             : entry->type,
                                     .ino = entry->ino,
                                     .cookie = cookie_of(entry->cookie)};
    listing->stopped = listing->emit(&record, listing->payload) != 0;
    return listing->stopped;
}

int32_t VRIFT_CALLBACK vr_hostname_readdir(void *self, const struct vrift_node *dir, uint64_t cookie, uint64_t mask,
                                           vrift_emit_fn emit, void *payload, uint32_t *end)
{
    const struct vr_hostnode *node = dir->handle;
    (void)mask; /* a system call an entry: no cheaper here than where they are wanted */
    if (node->type != VRIFT_S_IFDIR)
        return -VRIFT_ENOTDIR;
    int32_t fd = vr_hostfd_reopen(self, dir->handle, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;
    struct listing listing = {fd, emit, payload, 0};
    int32_t error = vr_fileops_readdir(fd, position_of(cookie), pass_on, &listing);
    close(fd);
    if (!listing.stopped && error && error != -VRIFT_ENOENT) /* which a directory answers that was removed */
        return error;
    *end = !listing.stopped;
    return 0;
}

/* -- Changing ------------------------------------------------------------------------------------------------------ */

/* 0 if name in the directory still means the node, which more names may lead to (*shared). */
static int32_t check_meaning(int dirfd, const struct vrift_name *name, const struct vr_hostnode *node, int *shared)
{
    struct vrift_stat attr;
    int32_t error = vr_fileops_stat(dirfd, name->bytes, &attr);
    if (error)
        return error;
    *shared = node->type != VRIFT_S_IFDIR && attr.nlink > 1;
    return vr_hostnode_is(node, &attr) ? 0 : -VRIFT_ESTALE;
}

static int32_t link_by_descriptor(int fd, int dirfd, const char *name)
{
    if (linkat(fd, "", dirfd, name, AT_EMPTY_PATH) == 0)
        return 0;
    if (errno != ENOENT && errno != EPERM) /* which older kernels answer to the unprivileged */
        return vrift_err_from_host_errno(errno);
    int32_t first = vrift_err_from_host_errno(errno);
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, dirfd, name, AT_SYMLINK_FOLLOW) < 0 ? first : 0;
}

int32_t VRIFT_CALLBACK vr_hostname_link(void *self, const struct vrift_node *node, const struct vrift_node *dir,
                                        const struct vrift_name *name, struct vrift_stat *out)
{
    struct vr_hostfd *fd;
    struct vr_hostfd *to;
    struct vrift_stat attr;
    int32_t error = vr_hostfd_hold(self, node->handle, &fd);
    if (error)
        return error;
    error = vr_hostfd_hold(self, dir->handle, &to);
    if (!error) {
        error = link_by_descriptor(fd->fd, to->fd, name->bytes);
        vr_hostfd_unref(self, to);
    }
    if (!error)
        error = vr_fileops_stat(fd->fd, "", &attr);
    vr_hostfd_unref(self, fd);
    if (error)
        return error;
    (void)vr_hostnode_moved(self, node->handle, dir->handle, name); /* without memory, it keeps the place it had */
    vr_hostnode_publish(self, &attr);
    *out = attr;
    return 0;
}

int32_t VRIFT_CALLBACK vr_hostname_unlink(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                          const struct vrift_node *node, uint64_t flags)
{
    struct vr_hostfs *fs = self;
    struct vr_hostfd *fd;
    int shared;
    int32_t error = vr_hostfd_hold(fs, dir->handle, &fd);
    if (error)
        return error;
    error = check_meaning(fd->fd, name, node->handle, &shared);
    if (!error)
        error = vr_hostfd_pin(fs, node->handle);
    if (!error) {
        vr_os_rwlock_write(&fs->moving);
        int unix_flags = flags & VRIFT_AT_REMOVEDIR ? AT_REMOVEDIR : 0;
        if (unlinkat(fd->fd, name->bytes, unix_flags) < 0)
            error = vrift_err_from_host_errno(errno);
        else
            vr_hostnode_lost(fs, node->handle, dir->handle, name);
        vr_os_rwlock_unlock(&fs->moving);
        if (error)
            vr_hostnode_unpin(fs, node->handle);
        else if (shared)
            vr_hostfd_relax(fs, node->handle);
    }
    vr_hostfd_unref(fs, fd);
    return error;
}

/* What a rename is about, as the slots give it. */
struct rename {
    const struct vrift_node *old_dir, *node, *new_dir, *victim;
    const struct vrift_name *old_name, *new_name;
    uint64_t flags;
};

static int32_t rename_on_host(struct vr_hostfs *fs, const struct rename *rename, int from, int to)
{
    _Static_assert(RENAME_NOREPLACE == VRIFT_RENAME_NOREPLACE && RENAME_EXCHANGE == VRIFT_RENAME_EXCHANGE &&
                       RENAME_WHITEOUT == VRIFT_RENAME_WHITEOUT,
                   "the flags are Linux's");
    struct vr_hostnode *node = rename->node->handle;
    struct vr_hostnode *victim = rename->victim ? rename->victim->handle : NULL;
    int32_t error = 0;
    vr_os_rwlock_write(&fs->moving);
    if (renameat2(from, rename->old_name->bytes, to, rename->new_name->bytes, (unsigned)rename->flags) < 0) {
        error = vrift_err_from_host_errno(errno);
        /* So says XFS of a directory that is not empty: POSIX allows it, but one answer is better than two. */
        if (error == -VRIFT_EEXIST && victim && !(rename->flags & VRIFT_RENAME_NOREPLACE))
            error = -VRIFT_ENOTEMPTY;
    } else if (victim != node) { /* else both names stay */
        if (victim && !(rename->flags & VRIFT_RENAME_EXCHANGE))
            vr_hostnode_lost(fs, victim, rename->new_dir->handle, rename->new_name);
        /* Without memory a node keeps a place that is no longer its own, which shows as ESTALE: it is looked up anew. */
        (void)vr_hostnode_moved(fs, node, rename->new_dir->handle, rename->new_name);
        if (victim && (rename->flags & VRIFT_RENAME_EXCHANGE))
            (void)vr_hostnode_moved(fs, victim, rename->old_dir->handle, rename->old_name);
    }
    vr_os_rwlock_unlock(&fs->moving);
    return error;
}

static int32_t check_and_rename(struct vr_hostfs *fs, const struct rename *rename, int from, int to)
{
    struct vr_hostnode *victim = rename->victim ? rename->victim->handle : NULL;
    int shared;
    int32_t error = check_meaning(from, rename->old_name, rename->node->handle, &shared);
    if (!error && victim)
        error = check_meaning(to, rename->new_name, victim, &shared);
    if (error)
        return error;
    if (!victim || (rename->flags & VRIFT_RENAME_EXCHANGE))
        return rename_on_host(fs, rename, from, to);
    error = vr_hostfd_pin(fs, victim);
    if (error)
        return error;
    error = rename_on_host(fs, rename, from, to);
    vr_hostnode_unpin(fs, victim);
    if (!error && shared)
        vr_hostfd_relax(fs, victim);
    return error;
}

int32_t VRIFT_CALLBACK vr_hostname_rename(void *self, const struct vrift_node *old_dir,
                                          const struct vrift_name *old_name, const struct vrift_node *node,
                                          const struct vrift_node *new_dir, const struct vrift_name *new_name,
                                          const struct vrift_node *victim, uint64_t flags)
{
    struct vr_hostfs *fs = self;
    const struct rename rename = {old_dir, node, new_dir, victim, old_name, new_name, flags};
    struct vr_hostfd *from;
    struct vr_hostfd *to;
    if (flags & ~(VRIFT_RENAME_NOREPLACE | VRIFT_RENAME_EXCHANGE | VRIFT_RENAME_WHITEOUT))
        return -VRIFT_EINVAL;
    int32_t error = vr_hostfd_hold(fs, old_dir->handle, &from);
    if (error)
        return error;
    error = vr_hostfd_hold(fs, new_dir->handle, &to);
    if (!error) {
        error = check_and_rename(fs, &rename, from->fd, to->fd);
        vr_hostfd_unref(fs, to);
    }
    vr_hostfd_unref(fs, from);
    return error;
}
