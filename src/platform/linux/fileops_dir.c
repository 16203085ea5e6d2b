/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Directories: reading them, opening beneath one, making a path. */
#include "platform/fileops.h"

#include <vrift/error.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Larger gains nothing, smaller costs up to five times as much an entry. On the heap: callers recurse. */
#define READDIR_BUFFER 65536

struct kernel_dirent { /* struct linux_dirent64 */
    uint64_t ino;
    int64_t next;
    uint16_t record_length;
    uint8_t type;
    char name[];
};

static int dot_or_dotdot(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int32_t report(const char *buffer, size_t length, vr_fileops_dirent_fn fn, void *payload)
{
    for (size_t at = 0; at < length;) {
        const struct kernel_dirent *found = (const struct kernel_dirent *)(const void *)(buffer + at);
        at += found->record_length;
        if (dot_or_dotdot(found->name))
            continue;
        _Static_assert(DT_DIR == VRIFT_DT_DIR && DT_SOCK == VRIFT_DT_SOCK, "entry types are Linux's");
        const struct vr_fileops_dirent entry = {found->name, (uint32_t)strlen(found->name), found->type, found->ino,
                                                (uint64_t)found->next};
        int32_t result = fn(&entry, payload);
        if (result)
            return result;
    }
    return 0;
}

int32_t vr_fileops_readdir(int fd, uint64_t cookie, vr_fileops_dirent_fn fn, void *payload)
{
    if (lseek(fd, (off_t)cookie, SEEK_SET) < 0)
        return errno == ESPIPE ? -VRIFT_ENOTDIR : vrift_err_from_host_errno(errno);
    char *buffer = malloc(READDIR_BUFFER);
    if (!buffer)
        return -VRIFT_ENOMEM;
    int32_t result = 0;
    while (!result) {
        long length = syscall(SYS_getdents64, fd, buffer, READDIR_BUFFER);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            result = vrift_err_from_host_errno(errno);
        if (length <= 0)
            break;
        result = report(buffer, (size_t)length, fn, payload);
    }
    free(buffer);
    return result;
}

/* -- Opening beneath ---------------------------------------------------------------------------------------------- */

static int has_dotdot(const char *path)
{
    for (const char *part = path; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (part[0] == '.' && part[1] == '.' && (part[2] == '/' || !part[2]))
            return 1;
    }
    return 0;
}

static int is_symlink(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0 && S_ISLNK(st.st_mode);
}

/* O_NOFOLLOW|O_DIRECTORY gives ENOTDIR for a symlink, where openat2() would say ELOOP. */
static int32_t step_error(int dir, const char *name)
{
    int saved = errno;
    return saved == ENOTDIR && is_symlink(dir, name) ? -VRIFT_ELOOP : vrift_err_from_host_errno(saved);
}

static int32_t open_last(int dir, const char *name, int flags, uint32_t mode)
{
    int fd = openat(dir, name, flags | O_NOFOLLOW | O_CLOEXEC, (mode_t)mode);
    if (fd < 0)
        return step_error(dir, name);
    if ((flags & O_PATH) && !(flags & O_NOFOLLOW) && is_symlink(fd, "")) {
        close(fd);
        return -VRIFT_ELOOP;
    }
    return fd;
}

/* One component at a time; never a symlink, never up. `path` is not empty, relative, without "..". */
static int32_t walk(int root, const char *path, int flags, uint32_t mode)
{
    char name[VRIFT_NAME_MAX + 1];
    int dir = root;
    int32_t result;
    for (;;) {
        size_t length = strcspn(path, "/");
        const char *next = path + length + strspn(path + length, "/");
        if (length > VRIFT_NAME_MAX) {
            result = -VRIFT_ENAMETOOLONG;
            break;
        }
        memcpy(name, path, length);
        name[length] = '\0';
        if (!*next) {
            int directory = path[length] == '/' ? O_DIRECTORY : 0;
            result = directory && (flags & O_CREAT) ? -VRIFT_EISDIR : open_last(dir, name, flags | directory, mode);
            break;
        }
        int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
            result = step_error(dir, name);
            break;
        }
        if (dir != root)
            close(dir);
        dir = fd;
        path = next;
    }
    if (dir != root)
        close(dir);
    return result;
}

int32_t vr_fileops_open_beneath(int root, const char *path, int flags, uint32_t mode, uint32_t how)
{
    if (*path == '/' || has_dotdot(path))
        return -VRIFT_EXDEV;
    if (!*path)
        path = ".";
    mode = flags & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY)) ? mode & 07777 : 0;
    const struct open_how open_how = {
        .flags = (uint64_t)(uint32_t)(flags | O_CLOEXEC),
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
    };
    if (!(how & VR_FILEOPS_NO_OPENAT2)) {
        long fd = syscall(SYS_openat2, root, path, &open_how, sizeof open_how);
        if (fd >= 0)
            return (int32_t)fd;
        /* EPERM may be a filter's; EAGAIN a rename elsewhere that openat2() could not rule out. */
        int too_long = errno == ENAMETOOLONG && strlen(path) >= VRIFT_PATH_MAX; /* for one call, not for a walk */
        if (errno != ENOSYS && errno != EPERM && errno != EAGAIN && !too_long)
            return vrift_err_from_host_errno(errno);
    }
    return walk(root, path, flags, mode);
}

/* -- Making a path ------------------------------------------------------------------------------------------------ */

static int32_t make_one(const char *path, uint32_t mode)
{
    struct stat st;
    if (mkdir(path, (mode_t)mode) == 0)
        return 0;
    int saved = errno;
    if (stat(path, &st) == 0) /* EEXIST, but also EROFS or EACCES where it is there already */
        return S_ISDIR(st.st_mode) ? 0 : -VRIFT_ENOTDIR;
    return vrift_err_from_host_errno(saved);
}

int32_t vr_fileops_make_path(const char *path, uint32_t mode)
{
    if (!*path)
        return -VRIFT_ENOENT;
    size_t length = strlen(path);
    char *copy = malloc(length + 1);
    if (!copy)
        return -VRIFT_ENOMEM;
    memcpy(copy, path, length + 1);
    int32_t result = make_one(path, mode);
    if (result == -VRIFT_ENOENT) {
        result = 0;
        for (char *slash = strchr(copy + 1, '/'); slash && !result; slash = strchr(slash + 1, '/')) {
            *slash = '\0';
            result = make_one(copy, mode | 0300);
            *slash = '/';
        }
        if (!result)
            result = make_one(copy, mode);
    }
    free(copy);
    return result;
}
