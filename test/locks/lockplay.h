/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A play with locks that is given twice: by processes of the kernel and by tasks of libvrift. Actors open, close, lock
 * and fork as they are told; a script of commands, and what each was answered.
 */
#ifndef VR_TEST_LOCKPLAY_H
#define VR_TEST_LOCKPLAY_H

#include "support/check.h"

#include <vrift/vrift.h>

#define PLAY_ACTORS 6 /* the first one only looks */
#define PLAY_FILES  3
#define PLAY_SLOTS  5
#define PLAY_RANGE  24 /* most locks lie below */

enum play_op {
    PLAY_OPEN,  /* file into slot, with flags */
    PLAY_CLOSE, /* slot */
    PLAY_DUP,   /* slot into other */
    PLAY_FORK,  /* into actor `other` */
    PLAY_CLONE, /* likewise, sharing the descriptors */
    PLAY_QUIT,  /* flags: 1 if others share its descriptors */
    PLAY_SEEK,  /* slot to start */
    PLAY_FLOCK, /* slot, flags */
    PLAY_SETLK, /* slot; flags: VRIFT_SETLK_... */
    PLAY_GETLK, /* likewise */
    PLAY_LOOK,  /* at all locks of all files */
};

struct play_command {
    enum play_op op;
    int actor, slot, other, file;
    uint64_t flags;
    int type, whence, pid;
    int64_t start, length;
};

struct play_lock {
    int type, whence, pid; /* pid: of an actor, its number plus 1 */
    int64_t start, length;
};

struct play_reply {
    int64_t result;
    struct play_lock lock;
    struct play_lock seen[PLAY_FILES][PLAY_RANGE + 2];
    int flocks[PLAY_FILES]; /* what nobody excludes: 0 nothing, 1 a shared one, 2 an exclusive one */
};

/* Starts the kernel's actors in an empty directory; only the first exists. One play at a time. */
struct kernel_play *kernel_play_new(const char *directory);
/* Sends a command; the reply comes when the call returns. */
void kernel_play_send(struct kernel_play *play, const struct play_command *command);
/* Has an actor's reply come within so many milliseconds? */
int kernel_play_replied(struct kernel_play *play, int actor, int milliseconds, struct play_reply *reply);
/* Does F_OFD_GETLK tell of the description's own locks (F_UNLCK, since 6.4)? Told by the file that is asked about. */
int kernel_tells_of_own_locks(const char *directory);
/* Ends the one there is, also after a failure. */
void kernel_play_free(void);

struct vrift_play *vrift_play_new(void);
void vrift_play_do(struct vrift_play *play, const struct play_command *command, struct play_reply *reply);
/* Likewise in a thread, for a command that may wait. */
void vrift_play_send(struct vrift_play *play, const struct play_command *command);
int vrift_play_replied(struct vrift_play *play, int actor, struct play_reply *reply);
void vrift_play_free(struct vrift_play *play);

#endif
