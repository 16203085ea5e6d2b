/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fuse/rw_handle.h"

#include <stdlib.h>

void vr_rw_handle_add(struct vr_rw_server *server, struct vr_rw_handle *handle)
{
    (void)pthread_mutex_lock(&server->lock);
    handle->next = server->handles;
    handle->link = &server->handles;
    if (handle->next)
        handle->next->link = &handle->next;
    server->handles = handle;
    (void)pthread_mutex_unlock(&server->lock);
}

void vr_rw_handle_remove(struct vr_rw_server *server, struct vr_rw_handle *handle)
{
    (void)pthread_mutex_lock(&server->lock);
    *handle->link = handle->next;
    if (handle->next)
        handle->next->link = handle->link;
    (void)pthread_mutex_unlock(&server->lock);
}

void vr_rw_handle_dispose(struct vr_rw_server *server)
{
    while (server->handles) {
        struct vr_rw_handle *handle = server->handles;
        server->handles = handle->next;
        free(handle);
    }
}
