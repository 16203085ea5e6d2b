/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Callers: a task with the user, groups and capabilities of the process that made a request. Each thread of the server
 * has tasks of its own, so that an umask can be set for one request; the table of descriptors is common to all.
 */
#ifndef VR_FUSE_RW_CRED_H
#define VR_FUSE_RW_CRED_H

#include "fuse/rw_server.h"

/* The task that may do what the caller of a request may. Lives for this request. 0, or -VRIFT_E... */
int32_t vr_rw_cred_task(struct vr_rw_server *server, const struct vr_fuse_request *request, vrift_task **out);

/* For a session's end_thread. */
void vr_rw_cred_end_thread(void *payload, void *local);

#endif
