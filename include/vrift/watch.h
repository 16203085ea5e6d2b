/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Watches: hearing of what happens to files, shaped after inotify(7), with its numbers and its rules.
 *
 * A queue collects events of what it watches; vrift_watch_read() takes them out. A watch is on an inode, not on a
 * name: it goes along when the inode is renamed. A watch on a directory also hears of what happens to the entries in
 * it, under their names. What one operation causes is queued before the call that caused it returns, in the order of
 * the operations. Two equal events with nothing in between are one.
 *
 * A watch with VRIFT_WATCH_SUPERBLOCK hears of everything in a whole superblock, wherever it is mounted, at no cost for
 * each directory: it is how a cache above this one, such as a kernel's above a FUSE server, learns what to forget. Its
 * events say by `parent` and `ino` what they are about, and VRIFT_IN_DEAF where there is nothing to be heard.
 *
 * Where others change a file system behind the mount, a backend that declares SHARED_NOTIFY tells of it, and its
 * watchers hear what it tells, marked with VRIFT_WATCH_BEHIND. Nobody hears of what is changed behind other backends.
 */
#ifndef VRIFT_WATCH_H
#define VRIFT_WATCH_H

#include <vrift/types.h>

typedef struct vrift_watch_queue vrift_watch_queue; /* events that wait for a reader, and what is watched for them */

/* What is wished for in a mask, and what an event says. */
#define VRIFT_IN_ACCESS        0x00000001u /* bytes or entries were read */
#define VRIFT_IN_MODIFY        0x00000002u /* bytes were written, or the size set */
#define VRIFT_IN_ATTRIB        0x00000004u /* mode, owner, times, link count or an xattr */
#define VRIFT_IN_CLOSE_WRITE   0x00000008u /* what was open for writing was closed */
#define VRIFT_IN_CLOSE_NOWRITE 0x00000010u /* what was open otherwise was closed */
#define VRIFT_IN_OPEN          0x00000020u
#define VRIFT_IN_MOVED_FROM    0x00000040u /* a name left the directory; the MOVED_TO of it has the same cookie */
#define VRIFT_IN_MOVED_TO      0x00000080u /* a name came into the directory by a rename */
#define VRIFT_IN_CREATE        0x00000100u /* a name was made in the directory */
#define VRIFT_IN_DELETE        0x00000200u /* a name in the directory was removed */
#define VRIFT_IN_DELETE_SELF   0x00000400u /* the last name is gone, and nobody uses the inode any more */
#define VRIFT_IN_MOVE_SELF     0x00000800u /* the inode was renamed */
#define VRIFT_IN_ALL_EVENTS    0x00000fffu

/* What only events say; they come whatever the mask. */
#define VRIFT_IN_UNMOUNT    0x00002000u /* the superblock is gone */
#define VRIFT_IN_Q_OVERFLOW 0x00004000u /* events were lost; wd is -1 */
#define VRIFT_IN_IGNORED    0x00008000u /* the watch has ended; the last event of its wd */
#define VRIFT_IN_DEAF       0x00100000u /* to a superblock's watches: of names in `ino` (0: in some) nothing is heard */
#define VRIFT_IN_ISDIR      0x40000000u /* it is about a directory */

/* How to watch; in the mask of vrift_watch_add(). */
#define VRIFT_IN_ONLYDIR     0x01000000u /* -VRIFT_ENOTDIR for anything but a directory */
#define VRIFT_IN_DONT_FOLLOW 0x02000000u /* the symlink itself */
#define VRIFT_IN_EXCL_UNLINK 0x04000000u /* nothing of entries that were removed and are still open */
#define VRIFT_IN_MASK_CREATE 0x10000000u /* -VRIFT_EEXIST if the queue watches it already */
#define VRIFT_IN_MASK_ADD    0x20000000u /* add to the mask of a watch that exists, in place of replacing it */
#define VRIFT_IN_ONESHOT     0x80000000u /* one event, then end */

/* Flags of vrift_watch_add(), beside VRIFT_AT_EMPTY_PATH. */
#define VRIFT_WATCH_SUPERBLOCK 0x10000ULL /* all of the superblock that the path leads into */

/* In `flags` of an event. */
#define VRIFT_WATCH_BEHIND 1u /* others did it behind the mount, or vrift_invalidate() said that they may have */

/* One record of vrift_watch_read(). The name follows the struct, NUL-terminated; vrift_watch_event_name() finds it. */
struct vrift_watch_event {
    uint32_t record_length; /* bytes to the next record */
    int32_t wd;             /* of the watch that heard it; -1: overflow */
    uint32_t mask;          /* VRIFT_IN_... */
    uint32_t cookie;        /* joins MOVED_FROM and MOVED_TO; else 0 */
    uint64_t dev;           /* number of the superblock, as vrift_stat.dev; 0: overflow */
    uint64_t ino;           /* inode number of what it is about; 0 where it is not known */
    uint64_t parent;        /* inode number of the directory that has the name; 0 without a name */
    uint32_t name_length;   /* without the NUL; 0: no name, it is about the watched inode itself */
    uint32_t flags;         /* VRIFT_WATCH_BEHIND or 0 */
};

struct vrift_watch_options {
    uint32_t size;       /* sizeof(struct vrift_watch_options) */
    uint32_t max_events; /* more waiting than this are lost, and VRIFT_IN_Q_OVERFLOW says so; default 16384 */
};

VRIFT_BEGIN_DECLS

/**
 * Makes a queue that watches nothing yet.
 *
 * @param options NULL for defaults
 * @param[out] out the queue, to be freed with vrift_watch_free()
 * @return 0; -VRIFT_ENOMEM; -VRIFT_EINVAL or -VRIFT_E2BIG for bad options.
 * Thread safety: any thread. A queue is internally locked.
 * @since 0.1
 */
VRIFT_API int32_t vrift_watch_new(vrift_vfs *vfs, const struct vrift_watch_options *options, vrift_watch_queue **out);

/**
 * Frees a queue with its watches and the events in it.
 *
 * @param queue may be NULL
 * Thread safety: once, and not while another thread uses it.
 * @since 0.1
 */
VRIFT_API void vrift_watch_free(vrift_watch_queue *queue);

/**
 * Watches an inode, as inotify_add_watch(2), or a superblock. If the queue watches it already, the mask is replaced, or
 * added to under VRIFT_IN_MASK_ADD.
 *
 * A watch of a superblock hears each event once, with the name where there is one; of DELETE_SELF, MOVE_SELF and
 * IN_EXCL_UNLINK it knows nothing. A watch keeps neither a file nor a mount alive: when the last name and the last use
 * of an inode go, DELETE_SELF and IGNORED are its last events; when a superblock goes, UNMOUNT and IGNORED.
 *
 * @param task who asks; needs to be allowed to read the inode, or VRIFT_CAP_SYS_ADMIN for a superblock
 * @param dirfd,path what to watch
 * @param mask VRIFT_IN_..., at least one event
 * @param flags VRIFT_WATCH_SUPERBLOCK, VRIFT_AT_EMPTY_PATH
 * @return the watch's descriptor, > 0 and not used again by this queue; -VRIFT_EINVAL for a mask without events or
 * with both _MASK_ADD and _MASK_CREATE, or if task belongs to another instance; -VRIFT_EEXIST, -VRIFT_ENOTDIR as
 * the mask says; -VRIFT_EACCES; -VRIFT_EPERM; -VRIFT_ENOMEM; the errors of a walk.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_watch_add(vrift_watch_queue *queue, vrift_task *task, int32_t dirfd, const char *path,
                                  uint32_t mask, uint64_t flags);

/**
 * Ends a watch; VRIFT_IN_IGNORED is queued.
 *
 * @param wd from vrift_watch_add()
 * @return 0; -VRIFT_EINVAL if the queue has no such watch.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_watch_remove(vrift_watch_queue *queue, int32_t wd);

/**
 * Takes events out of a queue, as many as fit, waiting for the first.
 *
 * @param[out] buf receives struct vrift_watch_event records, each with its name; aligned to 8 bytes
 * @param len bytes in buf; 320 are enough for any one event
 * @param timeout_ns how long to wait, ns; 0: not at all, negative: as long as it takes
 * @return bytes written, > 0; -VRIFT_EAGAIN if there was no event in time; -VRIFT_EINTR after vrift_watch_cancel();
 * -VRIFT_EINVAL if the first event does not fit.
 * Thread safety: any thread; several may read, and each event is read once.
 * @since 0.1
 */
VRIFT_API int64_t vrift_watch_read(vrift_watch_queue *queue, void *buf, size_t len, int64_t timeout_ns);

/**
 * Makes one vrift_watch_read(), waiting now or called next, answer -VRIFT_EINTR.
 *
 * @return 0 or -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_watch_cancel(vrift_watch_queue *queue);

/**
 * The name in an event.
 *
 * @param event borrowed, within the buffer of vrift_watch_read()
 * @return the name, "" if it has none; lives as long as the buffer.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API const char *vrift_watch_event_name(const struct vrift_watch_event *event);

VRIFT_END_DECLS

#endif
