/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Answers the FUSE requests of a read-only file system from a snapshot.
 *
 * A node is the entry of an inode + 1, so the root is 1, hard links are one node, and there is nothing to remember
 * or to forget. All answers are valid for ever, negative ones too. Files and directories are opened without a message.
 */
#ifndef VR_FUSE_SNAPSHOT_SERVER_H
#define VR_FUSE_SNAPSHOT_SERVER_H

#include "fuse/fuse_session.h"

#include <vrift/types.h>

struct vr_snapshot_server {
    vrift_snapshot *snapshot; /* borrowed */
    uint64_t entries;         /* of the snapshot */
    int32_t one_owner;        /* show everything as owned by uid and gid: those that a user namespace can name */
    uint32_t uid, gid;
    int32_t below_overlay;  /* an overlay is mounted on top: keep attributes from it that would steer it */
    int32_t without_xattrs; /* the snapshot has none: tell the kernel not to ask again */
};

/* Sets a server up with the defaults. 0, or -VRIFT_E... */
int32_t vr_snapshot_server_init(struct vr_snapshot_server *server, vrift_snapshot *snapshot);

/* How to start a session that the server, which must outlive it, answers. */
struct vr_fuse_session_config vr_snapshot_server_config(struct vr_snapshot_server *server, int32_t threads);

#endif
