/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Removing a tree. A stack in memory instead of recursion, so that depth is bounded by memory alone; only the deepest
 * KEPT_OPEN directories stay open, and what was closed is opened again through ".." and must then be the same inode,
 * so that nobody who moves directories about meanwhile can lead us elsewhere.
 */
#include "platform/fileops.h"

#include "core/str.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEPT_OPEN 64

struct frame {
    char *name; /* in the parent; the root frame's is borrowed */
    int fd;     /* -1 while closed */
    dev_t dev;
    ino_t ino;
    struct vr_str pending; /* names of subdirectories yet to remove, each with its NUL */
    int removed;           /* something was, in this pass: another pass may find less */
};

struct removal {
    int dirfd;
    struct frame *frames;
    size_t depth, capacity;
};

static struct frame *top(struct removal *removal)
{
    return &removal->frames[removal->depth - 1];
}

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

/* -- Entering and leaving ----------------------------------------------------------------------------------------- */

static int open_directory(int parent, const char *name)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    const struct open_how how = {.flags = flags, .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS};
    long fd = syscall(SYS_openat2, parent, name, &how, sizeof how);
    if (fd < 0 && errno == EXDEV)
        errno = EBUSY; /* as rmdir() of a mount point says */
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM && errno != EAGAIN))
        return (int)fd;
    return openat(parent, name, flags);
}

static int32_t open_granting(int parent, const char *name)
{
    int fd = open_directory(parent, name);
    if (fd < 0 && errno == EACCES && vr_fileops_set_mode(parent, name, 0700) == 0)
        fd = open_directory(parent, name);
    return fd < 0 ? host_error() : fd;
}

static int32_t push(struct removal *removal, int parent, char *name)
{
    if (removal->depth == removal->capacity) {
        size_t capacity = removal->capacity ? removal->capacity * 2 : 16;
        struct frame *frames = realloc(removal->frames, capacity * sizeof *frames);
        if (!frames)
            return -VRIFT_ENOMEM;
        removal->frames = frames;
        removal->capacity = capacity;
    }
    struct stat st;
    int32_t fd = open_granting(parent, name);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0) {
        close(fd);
        return host_error();
    }
    if (removal->depth >= KEPT_OPEN && removal->frames[removal->depth - KEPT_OPEN].fd >= 0) {
        struct frame *far = &removal->frames[removal->depth - KEPT_OPEN];
        close(far->fd);
        far->fd = -1;
    }
    removal->frames[removal->depth++] = (struct frame){
        .name = name, .fd = fd, .dev = st.st_dev, .ino = st.st_ino, .pending = VR_STR_INIT, .removed = 1};
    return 0;
}

/* Opens the frame below the top again, if it was closed; the top is still open. */
static int32_t reopen_parent(struct removal *removal)
{
    if (removal->depth < 2 || removal->frames[removal->depth - 2].fd >= 0)
        return 0;
    struct frame *parent = &removal->frames[removal->depth - 2];
    struct stat st;
    int fd = openat(top(removal)->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return host_error();
    if (fstat(fd, &st) < 0 || st.st_dev != parent->dev || st.st_ino != parent->ino) {
        close(fd);
        return -VRIFT_ESTALE;
    }
    parent->fd = fd;
    return 0;
}

static void drop_top(struct removal *removal)
{
    struct frame *frame = top(removal);
    if (frame->fd >= 0)
        close(frame->fd);
    vr_str_dispose(&frame->pending);
    if (removal->depth > 1)
        free(frame->name);
    removal->depth--;
}

/* -- One directory ------------------------------------------------------------------------------------------------ */

static int unlink_granting(int dir, const char *name, int flags)
{
    if (unlinkat(dir, name, flags) == 0)
        return 0;
    if (errno != EACCES || vr_fileops_set_mode(dir, "", 0700) < 0)
        return -1;
    return unlinkat(dir, name, flags);
}

static int32_t remove_entry(const struct vr_fileops_dirent *entry, void *payload)
{
    struct frame *frame = payload;
    if (entry->type != VRIFT_DT_DIR) {
        if (unlink_granting(frame->fd, entry->name, 0) == 0) {
            frame->removed = 1;
            return 0;
        }
        if (errno == ENOENT)
            return 0;
        if (errno != EISDIR && !(errno == EPERM && entry->type == VRIFT_DT_UNKNOWN))
            return host_error();
    }
    return vr_str_append(&frame->pending, entry->name, entry->length + 1);
}

/* Takes the last pending name out; a fresh string, or NULL if out of memory. */
static char *take_pending(struct frame *frame)
{
    size_t end = frame->pending.length - 1; /* of the last name's NUL */
    size_t start = end;
    while (start && frame->pending.data[start - 1])
        start--;
    char *name = strdup(frame->pending.data + start);
    if (name)
        vr_str_truncate(&frame->pending, start);
    return name;
}

static int32_t enter_pending(struct removal *removal)
{
    int dir = top(removal)->fd; /* push() may move the frame */
    char *name = take_pending(top(removal));
    if (!name)
        return -VRIFT_ENOMEM;
    int32_t result = push(removal, dir, name);
    if (!result)
        return 0; /* NOLINT(clang-analyzer-unix.Malloc): push() took the name */
    if (result == -VRIFT_ENOTDIR || result == -VRIFT_ELOOP) /* someone put another thing in its place */
        result = unlink_granting(dir, name, 0) < 0 && errno != ENOENT ? host_error() : 0;
    free(name);
    return result == -VRIFT_ENOENT ? 0 : result;
}

/* Removes the top, which looked empty; a new pass if it is not and the last pass found something to remove. */
static int32_t leave(struct removal *removal)
{
    struct frame *frame = top(removal);
    int32_t result = reopen_parent(removal);
    if (result)
        return result;
    int parent = removal->depth > 1 ? removal->frames[removal->depth - 2].fd : removal->dirfd;
    if (unlink_granting(parent, frame->name, AT_REMOVEDIR) == 0 || errno == ENOENT) {
        drop_top(removal);
        if (removal->depth)
            top(removal)->removed = 1;
        return 0;
    }
    if (errno != ENOTEMPTY && errno != EEXIST)
        return host_error();
    if (!frame->removed)
        return -VRIFT_ENOTEMPTY;
    frame->removed = 0;
    return vr_fileops_readdir(frame->fd, 0, remove_entry, frame);
}

static int32_t remove_directory(struct removal *removal, char *name)
{
    int32_t result = push(removal, removal->dirfd, name);
    while (!result && removal->depth)
        result = top(removal)->pending.length ? enter_pending(removal) : leave(removal);
    while (removal->depth)
        drop_top(removal);
    free(removal->frames);
    return result;
}

int32_t vr_fileops_remove_tree(int dirfd, const char *name)
{
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return host_error();
    struct removal removal = {.dirfd = dirfd};
    char *own = strdup(name);
    if (!own)
        return -VRIFT_ENOMEM;
    int32_t result = remove_directory(&removal, own);
    free(own);
    return result == -VRIFT_ENOENT ? 0 : result;
}
