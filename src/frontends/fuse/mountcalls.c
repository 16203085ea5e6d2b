/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fuse/mountcalls.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From <linux/mount.h>, which cannot be included beside <sys/mount.h> everywhere. */
#define OPEN_CLOEXEC      1u
#define CONFIG_SET_FLAG   0u
#define CONFIG_SET_STRING 1u
#define CONFIG_CREATE     6u
#define MOVE_EMPTY_PATH   4u
#define TREE_CLONE        1u

/* Copies the kernel's last complaint: "e overlay: ..." without the severity. */
static void read_log(int fs_fd, char *why, size_t room)
{
    char line[512];
    ssize_t got;
    while ((got = read(fs_fd, line, sizeof(line) - 1)) > 0) {
        line[got] = '\0';
        if (line[0] != 'e' || got < 3)
            continue;
        line[strcspn(line, "\n")] = '\0';
        strncpy(why, line + 2, room - 1);
        why[room - 1] = '\0';
    }
}

static int configure(int fs_fd, const struct vr_mount_option *options)
{
    for (; options->key; options++)
        if (options->key[0] && syscall(SYS_fsconfig, fs_fd, options->value ? CONFIG_SET_STRING : CONFIG_SET_FLAG,
                                       options->key, options->value, 0) < 0)
            return -errno;
    return syscall(SYS_fsconfig, fs_fd, CONFIG_CREATE, NULL, NULL, 0) < 0 ? -errno : 0;
}

int vr_mountcalls_make(const char *type, const struct vr_mount_option *options, uint64_t attributes, char *why,
                       size_t room)
{
    int result, fs_fd = (int)syscall(SYS_fsopen, type, OPEN_CLOEXEC);
    why[0] = '\0';
    if (fs_fd < 0)
        return -errno;
    result = configure(fs_fd, options);
    if (result == 0) {
        result = (int)syscall(SYS_fsmount, fs_fd, OPEN_CLOEXEC, (unsigned)attributes);
        if (result < 0)
            result = -errno;
    }
    if (result < 0)
        read_log(fs_fd, why, room);
    (void)close(fs_fd);
    return result;
}

int vr_mountcalls_attach(int mount_fd, const char *path)
{
    return syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, path, MOVE_EMPTY_PATH) < 0 ? -errno : 0;
}

int vr_mountcalls_clone(const char *path)
{
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, TREE_CLONE | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}
