/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Answers the FUSE requests of a read-write file system from a namespace, through the public API alone.
 *
 * Who asks is a task of its own (rw_cred.h); what is asked about is a node (rw_node.h): an inode, held by an O_PATH
 * descriptor in a table that all tasks share. The core checks permissions, not the kernel; what the kernel may remember
 * without asking is decided in rw_attr.c.
 */
#ifndef VR_FUSE_RW_SERVER_H
#define VR_FUSE_RW_SERVER_H

#include "fuse/fuse_session.h"

#include <vrift/types.h>

struct vr_rw_handle;
struct vr_rw_node;
struct vr_rw_waiter;

struct vr_rw_server {
    vrift_vfs *vfs;   /* borrowed */
    vrift_task *base; /* holds the table of descriptors; may do everything */
    struct vr_fuse_session *session;
    struct vr_rw_node *root;
    int32_t shared;              /* others change it behind us: the kernel may remember nothing */
    int32_t default_permissions; /* the kernel checks the mode bits of cached names, and access lists */
    pthread_mutex_t lock;        /* of what follows */
    struct vr_rw_node **buckets; /* nodes by inode number */
    size_t bucket_count;         /* a power of two */
    size_t node_count;
    struct vr_rw_handle *handles; /* all that are open */
    struct vr_rw_waiter *waiters; /* for locks */
    size_t waiting;               /* threads of theirs, which outlive them for a moment */
    pthread_cond_t waited;        /* one of those has gone */
    int32_t ending;               /* nobody may begin to wait */
    uint64_t interrupted[64];     /* requests that nothing was known of when their interrupts came */
    uint32_t next_interrupted;
};

/*
 * Sets a server up over the root of a namespace. The session is the one that will be started with
 * vr_rw_server_config(). 0, or -VRIFT_E...
 */
int32_t vr_rw_server_init(struct vr_rw_server *server, vrift_vfs *vfs, vrift_ns *ns, vrift_sb *sb,
                          struct vr_fuse_session *session);

/* After the session has ended. */
void vr_rw_server_dispose(struct vr_rw_server *server);

/* How to start the session. */
struct vr_fuse_session_config vr_rw_server_config(struct vr_rw_server *server, int32_t threads);

#endif
