/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "platform/dirwatch.h"

#include "platform/linux/procfd.h"

#include <vrift/error.h>
#include <vrift/watch.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef BTRFS_SUPER_MAGIC
#define BTRFS_SUPER_MAGIC 0x9123683e
#endif
#ifndef F2FS_SUPER_MAGIC
#define F2FS_SUPER_MAGIC 0xf2f52010
#endif

#define MOST_ROUNDS 512 /* times 60 events of the longest names are more than a queue holds by default */

#define WANTED                                                                                                         \
    (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_MODIFY | IN_DELETE_SELF | IN_MOVE_SELF)

_Static_assert(IN_MODIFY == VRIFT_IN_MODIFY && IN_MOVE_SELF == VRIFT_IN_MOVE_SELF && IN_ISDIR == VRIFT_IN_ISDIR,
               "the numbers are Linux's");

int32_t vr_dirwatch_open(struct vr_dirwatch *out)
{
    int events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (events < 0)
        return -VRIFT_EOPNOTSUPP;
    int mounts = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    if (mounts < 0) {
        close(events);
        return -VRIFT_EOPNOTSUPP;
    }
    *out = (struct vr_dirwatch){events, mounts};
    return 0;
}

void vr_dirwatch_close(struct vr_dirwatch *watch)
{
    close(watch->events);
    close(watch->mounts);
}

int vr_dirwatch_hears(uint64_t type)
{
    switch (type) {
    case EXT4_SUPER_MAGIC: /* and ext2, ext3 */
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case F2FS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case RAMFS_MAGIC:
        return 1;
    default:
        return 0;
    }
}

uint64_t vr_dirwatch_limit(void)
{
    char text[32] = "";
    int fd = open("/proc/sys/fs/inotify/max_user_watches", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 8192; /* of old the default */
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 ? strtoull(text, NULL, 10) : 8192;
}

int32_t vr_dirwatch_add(struct vr_dirwatch *watch, int dirfd)
{
    int wd = inotify_add_watch(watch->events, vr_procfd(dirfd).path, WANTED | IN_ONLYDIR | IN_EXCL_UNLINK);
    return wd < 0 ? vrift_err_from_host_errno(errno) : wd;
}

void vr_dirwatch_remove(struct vr_dirwatch *watch, int32_t wd)
{
    inotify_rm_watch(watch->events, wd);
}

int vr_dirwatch_is_mount(int dirfd, const char *name)
{
    struct statx stx;
    if (statx(dirfd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &stx) < 0)
        return 1;
    return !(stx.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) || stx.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

static void pass_on(const struct inotify_event *event, vr_dirwatch_fn fn, void *payload)
{
    struct vr_dirwatch_event out = {.wd = event->wd,
                                    .mask = event->mask & (VRIFT_IN_ALL_EVENTS | VRIFT_IN_ISDIR),
                                    .cookie = event->cookie,
                                    .name = event->name};
    if (event->mask & (IN_Q_OVERFLOW | IN_UNMOUNT))
        out.flags |= VR_DIRWATCH_LOST;
    if (event->mask & IN_IGNORED)
        out.flags |= VR_DIRWATCH_CLOSED;
    if (event->len)
        out.length = (uint32_t)strnlen(event->name, event->len);
    fn(&out, payload);
}

void vr_dirwatch_read(struct vr_dirwatch *watch, vr_dirwatch_fn fn, void *payload)
{
    _Alignas(struct inotify_event) char buf[16384];
    const struct vr_dirwatch_event lost = {.wd = -1, .flags = VR_DIRWATCH_LOST};
    struct pollfd fds[2] = {{watch->events, POLLIN, 0}, {watch->mounts, POLLPRI, 0}};
    if (poll(fds, 2, 0) == 0)
        return;
    if (fds[1].revents)
        fn(&lost, payload);
    /* Who keeps on causing events does not keep us: what may be left of what was queued when we came counts as lost. */
    for (int rounds = 0; rounds <= MOST_ROUNDS; rounds++) {
        ssize_t length = read(watch->events, buf, sizeof buf);
        if (length <= 0)
            break;
        if (rounds == MOST_ROUNDS)
            fn(&lost, payload);
        for (ssize_t at = 0; at < length;) {
            const void *here = buf + at;
            const struct inotify_event *event = here;
            pass_on(event, fn, payload);
            at += (ssize_t)(sizeof *event + event->len);
        }
    }
}
