/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Hearing of what happens in directories of the host: inotify on Linux. What happens to names of a directory, and to
 * what they mean, is queued by the kernel before the call that does it returns; so who reads the queue until it is empty
 * knows of everything that was done before. Mounts tell nothing there and are heard of separately.
 *
 * It does not hear: stores through mappings, reads, changes through a name in another directory, and changes that another
 * machine makes on a network file system.
 */
#ifndef VR_DIRWATCH_H
#define VR_DIRWATCH_H

#include <vrift/types.h>

#define VR_DIRWATCH_LOST   1u /* events were lost, or a mount came or went: anything may have changed */
#define VR_DIRWATCH_CLOSED 2u /* the watch `wd` has ended */

struct vr_dirwatch {
    int events; /* descriptors */
    int mounts;
};

struct vr_dirwatch_event {
    int32_t wd;
    uint32_t flags;  /* VR_DIRWATCH_... */
    uint32_t mask;   /* VRIFT_IN_... */
    uint32_t cookie; /* joins MOVED_FROM and MOVED_TO */
    uint32_t length; /* of name, 0: the directory itself */
    const char *name;
};

typedef void (*vr_dirwatch_fn)(const struct vr_dirwatch_event *event, void *payload);

/* 0, or -VRIFT_EOPNOTSUPP where the host has no such thing. */
int32_t vr_dirwatch_open(struct vr_dirwatch *out);
void vr_dirwatch_close(struct vr_dirwatch *watch);

/* Does the host hear of everything on a file system of this kind (statfs's magic number)? */
int vr_dirwatch_hears(uint64_t type);

/* How many directories this user may watch in all. */
uint64_t vr_dirwatch_limit(void);

/* Watches an open directory (O_PATH suffices). The watch's number, the same for a directory watched already; or an error. */
int32_t vr_dirwatch_add(struct vr_dirwatch *watch, int dirfd);
void vr_dirwatch_remove(struct vr_dirwatch *watch, int32_t wd);

/* Is the directory by this name the root of a mount, or may it be? What happens to that is not heard in dirfd. */
int vr_dirwatch_is_mount(int dirfd, const char *name);

/* Calls fn for all that has happened until now. One thread at a time. */
void vr_dirwatch_read(struct vr_dirwatch *watch, vr_dirwatch_fn fn, void *payload);

#endif
