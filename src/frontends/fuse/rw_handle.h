/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What the kernel has open. A file handle of the protocol is the address of one; those of files and of directories start
 * with it. The kernel releases each, unless the server ends while files are in use: then what is left goes with it.
 */
#ifndef VR_FUSE_RW_HANDLE_H
#define VR_FUSE_RW_HANDLE_H

#include "fuse/rw_server.h"

struct vr_rw_handle {
    int32_t fd; /* const once the kernel knows it */
    /* Under the server's lock: where it is among all of them. */
    struct vr_rw_handle *next, **link;
};

/* Enters one that was made with malloc(); it stays the caller's to free until the server ends. */
void vr_rw_handle_add(struct vr_rw_server *server, struct vr_rw_handle *handle);
void vr_rw_handle_remove(struct vr_rw_server *server, struct vr_rw_handle *handle);

/* Frees what is left; their descriptors go with the table. */
void vr_rw_handle_dispose(struct vr_rw_server *server);

#endif
