/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* vrift_clone_tree() and vrift_clone_probe(): the copy ladder outside any store. */
#include <vrift/clone.h>

#include "core/error.h"
#include "store/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

static const char unreadable[] = "the source cannot be read";
static const char changed[] = "the source changed while it was copied";

/* -- Reading the source ------------------------------------------------------------------------------------------- */

static int64_t list_xattrs(const struct vr_restore_xattrs *from, char *buf, size_t len)
{
    return vr_fileops_xattr_list(from->fd, from->name, buf, len);
}

static int64_t get_xattr(const struct vr_restore_xattrs *from, const char *key, void *buf, size_t len)
{
    return vr_fileops_xattr_get(from->fd, from->name, key, buf, len);
}

static struct vr_restore_xattrs xattrs_of(int fd, const char *name)
{
    return (struct vr_restore_xattrs){.list = list_xattrs, .get = get_xattr, .fd = fd, .name = name};
}

static struct vr_restore_xattrs xattrs_of_directory(struct vr_restore_dir *dir)
{
    return xattrs_of(dir->source_fd, "");
}

/* Without moving its atime where we may; never waiting for a fifo that has taken the file's place. */
static int open_source(int dirfd, const char *name, int flags)
{
    flags |= O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    int fd = openat(dirfd, name, flags | O_NOATIME);
    return fd < 0 && errno == EPERM ? openat(dirfd, name, flags) : fd;
}

static int same_time(const struct vrift_timespec *a, const struct vrift_timespec *b)
{
    return a->sec == b->sec && a->nsec == b->nsec;
}

static int32_t check_unchanged(int fd, const struct vrift_stat *before)
{
    struct vrift_stat after;
    int32_t result = vr_fileops_stat(fd, "", &after);
    if (!result && (after.size != before->size || !same_time(&after.mtime, &before->mtime)))
        result = -VRIFT_ESTALE;
    return result;
}

/* -- One inode ---------------------------------------------------------------------------------------------------- */

/* What is being copied: name in dirfd at the source, fd if it is a regular file. */
struct original {
    struct vr_restore *restore;
    int dirfd;
    const char *name;
    int fd;
    struct vrift_stat stat;
};

static int32_t make_file(void *payload, int dirfd, const char *name)
{
    struct original *original = payload;
    struct vr_restore *restore = original->restore;
    struct vr_restore_xattrs xattrs = xattrs_of(original->fd, "");
    int32_t fd = vr_restore_create(dirfd, name, original->stat.mode);
    if (fd < 0)
        return fd;
    if (restore->target.root < 0) /* it stands alone, in a directory that may hand down ACLs */
        (void)vr_fileops_xattr_remove(fd, "", "system.posix_acl_access");
    int32_t result = vr_fileops_copy(&restore->ladder, original->fd, 0, fd, original->stat.size);
    if (!result)
        result = check_unchanged(original->fd, &original->stat);
    if (!result)
        result = vr_restore_finish_file(restore, fd, &original->stat, &xattrs);
    if (close(fd) < 0 && !result && errno != EINTR)
        result = host_error();
    if (!result) {
        restore->files++;
        restore->bytes += original->stat.size;
    }
    return result;
}

static int32_t make_symlink(struct original *original, int dirfd, const char *name)
{
    char target[VRIFT_PATH_MAX];
    struct vr_restore_xattrs xattrs = xattrs_of(original->dirfd, original->name);
    ssize_t length = readlinkat(original->dirfd, original->name, target, sizeof target - 1);
    if (length < 0)
        return host_error();
    target[length] = '\0';
    return vr_restore_symlink(original->restore, dirfd, name, target, &original->stat, &xattrs);
}

static int32_t make_other(void *payload, int dirfd, const char *name)
{
    struct original *original = payload;
    struct vr_restore_xattrs xattrs = xattrs_of(original->dirfd, original->name);
    if ((original->stat.mode & VRIFT_S_IFMT) == VRIFT_S_IFLNK)
        return make_symlink(original, dirfd, name);
    return vr_restore_special(original->restore, dirfd, name, &original->stat, &xattrs);
}

/* With VRIFT_LINK_HARDLINK: 0 linked, 1 to be copied, or an error. */
static int32_t try_link(struct original *original, int dirfd, const char *name)
{
    struct vr_restore *restore = original->restore;
    if (restore->ladder.link != VRIFT_LINK_HARDLINK)
        return 1;
    int32_t result =
        vr_fileops_link(&restore->ladder, original->stat.dev, original->dirfd, original->name, dirfd, name);
    if (!result) {
        restore->files++;
        restore->bytes += original->stat.size;
        return 0;
    }
    return vr_fileops_classify_link(result) == VR_FILEOPS_TERMINAL ? result : 1;
}

/* Copies what original says to name in dirfd; within a tree, keeps the links among its names. */
static int32_t copy_inode(struct original *original, int dirfd, const char *name, int within_tree)
{
    int is_file = (original->stat.mode & VRIFT_S_IFMT) == VRIFT_S_IFREG;
    int32_t result = is_file ? try_link(original, dirfd, name) : 1;
    if (result != 1)
        return result;
    if (is_file) {
        original->fd = open_source(original->dirfd, original->name, 0);
        if (original->fd < 0)
            return host_error();
        result = vr_fileops_stat(original->fd, "", &original->stat);
        if (!result && (original->stat.mode & VRIFT_S_IFMT) != VRIFT_S_IFREG)
            result = -VRIFT_ESTALE;
        if (result < 0) {
            close(original->fd);
            return result;
        }
    }
    vr_restore_make make = is_file ? make_file : make_other;
    if (within_tree && original->stat.nlink > 1)
        result =
            vr_restore_linked(original->restore, original->stat.dev, original->stat.ino, dirfd, name, make, original);
    else
        result = make(original, dirfd, name);
    if (is_file)
        close(original->fd);
    return result;
}

/* -- Directories -------------------------------------------------------------------------------------------------- */

static int32_t open_source_directory(struct vr_restore_dir *dir)
{
    if (dir->source_fd < 0) /* the root's is open already */
        dir->source_fd = open_source(dir->parent->source_fd, dir->name, O_DIRECTORY);
    int32_t result = dir->source_fd < 0 ? host_error() : vr_fileops_stat(dir->source_fd, "", &dir->stat);
    return result ? vr_restore_fail_source(dir->restore, dir, NULL, result, unreadable) : 0;
}

static int32_t copy_entry(const struct vr_fileops_dirent *entry, void *payload)
{
    struct vr_restore_dir *dir = payload;
    struct vr_restore *restore = dir->restore;
    if (vr_crew_stopped(&restore->crew))
        return -VRIFT_ECANCELED;
    struct original original = {.restore = restore, .dirfd = dir->source_fd, .name = entry->name, .fd = -1};
    if (entry->type != VRIFT_DT_DIR) {
        int32_t result = vr_fileops_stat(dir->source_fd, entry->name, &original.stat);
        if (result)
            return vr_restore_fail_source(restore, dir, entry->name, result, unreadable);
    }
    if (entry->type == VRIFT_DT_DIR || (original.stat.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR) {
        struct vr_restore_dir *child = vr_restore_dir_new(restore, dir, entry->name, entry->length);
        if (!child)
            return vr_restore_fail(restore, dir, entry->name, -VRIFT_ENOMEM, NULL);
        vr_restore_push(child);
        return 0;
    }
    int32_t result = copy_inode(&original, dir->fd, entry->name, 1);
    if (result < 0) {
        return result == -VRIFT_ESTALE ? vr_restore_fail_source(restore, dir, entry->name, result, changed)
                                       : vr_restore_fail(restore, dir, entry->name, result, NULL);
    }
    vr_crew_count(&restore->crew, 1, original.stat.size);
    return 0;
}

static int32_t fill_directory(struct vr_restore_dir *dir)
{
    int32_t result = vr_fileops_readdir(dir->source_fd, 0, copy_entry, dir);
    if (result)
        vr_restore_fail_source(dir->restore, dir, NULL, result, unreadable);
    return result;
}

/* -- The calls ---------------------------------------------------------------------------------------------------- */

static int32_t clone_directory(struct vr_restore *restore, int source)
{
    int32_t inside = vr_target_inside(&restore->target, source);
    struct vr_restore_dir *root = inside == 0 ? vr_restore_dir_new(restore, NULL, "", 0) : NULL;
    if (!root) {
        close(source);
        return vr_restore_fail(restore, NULL, NULL, inside ? inside < 0 ? inside : -VRIFT_EINVAL : -VRIFT_ENOMEM,
                               inside > 0 ? "the destination is inside the source" : NULL);
    }
    root->source_fd = source;
    restore->open_source = open_source_directory;
    restore->fill = fill_directory;
    restore->xattrs = xattrs_of_directory;
    return vr_restore_tree(restore, root);
}

/* One file, symlink or special: under a temporary name beside the destination, then renamed. */
static int32_t clone_single(struct vr_restore *restore, struct original *original)
{
    struct vr_target *target = &restore->target;
    if (target->in_place)
        return vr_restore_fail(restore, NULL, NULL, -VRIFT_EEXIST, "a directory is there that cannot be replaced");
    restore->umask = 0777; /* unknown; so set everything */
    restore->uid = restore->gid = UINT32_MAX;
    target->made = 1;
    int32_t result = copy_inode(original, target->parent, target->temporary, 0);
    if (result == 1)
        return vr_restore_fail(restore, NULL, NULL, -VRIFT_EPERM, "only root may make devices");
    if (result)
        return vr_restore_fail(restore, NULL, NULL, result, result == -VRIFT_ESTALE ? changed : NULL);
    vr_crew_count(&restore->crew, 1, original->stat.size);
    if (restore->crew.result)
        return restore->crew.result;
    result = vr_target_publish(target);
    return result ? vr_restore_fail(restore, NULL, NULL, result, NULL) : 0;
}

int32_t vrift_clone_tree(const char *src, const char *dest, const struct vrift_checkout_options *options,
                         struct vrift_checkout_result *out)
{
    struct vr_restore restore;
    if (!src || !dest)
        return -VRIFT_EINVAL;
    int32_t result = vr_restore_init(&restore, "clone", dest, options);
    if (result)
        return result;
    restore.source = src;
    struct original original = {.restore = &restore, .dirfd = AT_FDCWD, .name = src, .fd = -1};
    result = *src ? vr_fileops_stat(AT_FDCWD, src, &original.stat) : -VRIFT_ENOENT;
    int source = -1;
    if (!result && (original.stat.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR) {
        source = open_source(AT_FDCWD, src, O_DIRECTORY);
        result = source < 0 ? host_error() : 0;
    }
    if (result)
        vr_restore_fail_source(&restore, NULL, NULL, result, unreadable);
    else
        result = source >= 0 ? clone_directory(&restore, source) : clone_single(&restore, &original);
    if (!result && out)
        vr_restore_result(&restore, out);
    return vr_restore_dispose(&restore, result);
}
