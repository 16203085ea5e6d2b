/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Open directories. A file handle is the address of a struct handle. */
#include "fuse/rw_call.h"
#include "fuse/rw_handle.h"

#include <vrift/error.h>
#include <vrift/file.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LISTING_ROOM 32768 /* bytes asked of the library at once */

struct handle {
    struct vr_rw_handle open;
    pthread_mutex_t lock; /* of what follows, and the position of open.fd */
    uint64_t position;    /* where open.fd stands */
    char listing[];       /* LISTING_ROOM bytes */
};

int64_t vr_rw_dir_open(struct vr_rw_call *call)
{
    const struct fuse_open_in *in = vr_rw_call_body(call, sizeof(*in));
    struct fuse_open_out *out = call->out;
    struct handle *handle;
    int32_t result;
    if (!in)
        return -EINVAL;
    handle = malloc(sizeof(*handle) + LISTING_ROOM);
    if (!handle)
        return -ENOMEM;
    result = handle->open.fd = vrift_reopen(call->task, call->node->fd, VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    if (result < 0) {
        free(handle);
        return vr_rw_call_errno(result);
    }
    (void)pthread_mutex_init(&handle->lock, NULL);
    handle->position = 0;
    vr_rw_handle_add(call->server, &handle->open);
    memset(out, 0, sizeof(*out));
    out->fh = (uint64_t)(uintptr_t)handle;
    out->open_flags = call->server->shared ? 0 : FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR;
    return sizeof(*out);
}

int64_t vr_rw_dir_release(struct vr_rw_call *call)
{
    const struct fuse_release_in *in = vr_rw_call_body(call, sizeof(*in));
    struct handle *handle;
    if (!in)
        return -EINVAL;
    handle = (struct handle *)(uintptr_t)in->fh;
    vr_rw_handle_remove(call->server, &handle->open);
    (void)vrift_close(call->server->base, handle->open.fd);
    (void)pthread_mutex_destroy(&handle->lock);
    free(handle);
    return 0;
}

int64_t vr_rw_dir_fsync(struct vr_rw_call *call)
{
    const struct fuse_fsync_in *in = vr_rw_call_body(call, sizeof(*in));
    return in ? vr_rw_call_errno(vrift_fsync(call->task, vr_rw_file_descriptor(in->fh))) : -EINVAL;
}

/* A reply being packed. */
struct packing {
    struct vr_rw_call *call;
    size_t used, room;
    int32_t plus; /* with attributes */
};

static int32_t is_dots(const char *name)
{
    return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

/* Packs one record; 0 if there is no room for it. */
static int32_t pack(struct packing *packing, const struct vrift_dirent *entry)
{
    const char *name = vrift_dirent_name(entry);
    const struct vrift_stat *stat = vrift_dirent_stat(entry);
    size_t head = packing->plus ? offsetof(struct fuse_direntplus, dirent) : 0;
    size_t size = FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + entry->name_length);
    char *at = (char *)packing->call->out + packing->used;
    struct fuse_dirent dirent = {
        .ino = entry->ino, .off = entry->cookie, .namelen = entry->name_length, .type = entry->type};
    if (size > packing->room - packing->used)
        return 0;
    memset(at, 0, size);
    /* A node of 0 tells the kernel to list the name only: the way to treat "." and "..", and what cannot be looked at. */
    if (packing->plus && stat && stat->mask && !is_dots(name)) {
        struct fuse_entry_out known;
        if (vr_rw_name_entry(packing->call, name, stat, &known) == 0)
            memcpy(at, &known, sizeof(known));
    }
    memcpy(at + head, &dirent, FUSE_NAME_OFFSET);
    memcpy(at + head + FUSE_NAME_OFFSET, name, entry->name_length);
    packing->used += size;
    return 1;
}

/* Packs what fits of a listing; 0 if there is more. Moves *position behind the last one packed. */
static int32_t pack_all(struct packing *packing, const char *listing, size_t length, uint64_t *position)
{
    for (size_t at = 0; at < length;) {
        const struct vrift_dirent *entry = (const struct vrift_dirent *)(const void *)(listing + at);
        if (!pack(packing, entry))
            return 0;
        *position = entry->cookie;
        at += entry->record_length;
    }
    return 1;
}

/* With the handle's lock held. */
static int64_t fill(struct packing *packing, struct handle *handle, uint64_t position)
{
    vrift_task *task = packing->call->task;
    int64_t got = 0;
    if (handle->position != position) {
        handle->position = UINT64_MAX;
        got = vrift_lseek(task, handle->open.fd, (int64_t)position, VRIFT_SEEK_SET);
    }
    while (got >= 0) {
        got = vrift_getdents(task, handle->open.fd, handle->listing, LISTING_ROOM,
                             packing->plus ? VRIFT_GETDENTS_STAT : 0);
        if (got <= 0)
            break;
        handle->position = UINT64_MAX; /* ahead of what is packed */
        if (!pack_all(packing, handle->listing, (size_t)got, &position))
            return (int64_t)packing->used;
        handle->position = position;
        if (packing->used > packing->room / 2)
            break;
    }
    return packing->used == 0 && got < 0 ? vr_rw_call_errno(got) : (int64_t)packing->used;
}

int64_t vr_rw_dir_read(struct vr_rw_call *call)
{
    const struct fuse_read_in *in = vr_rw_call_body(call, sizeof(*in));
    struct packing packing = {.call = call, .plus = call->request->opcode == FUSE_READDIRPLUS};
    struct handle *handle;
    int64_t result;
    if (!in)
        return -EINVAL;
    packing.room = in->size < call->room ? in->size : call->room;
    handle = (struct handle *)(uintptr_t)in->fh;
    (void)pthread_mutex_lock(&handle->lock);
    result = fill(&packing, handle, in->offset);
    (void)pthread_mutex_unlock(&handle->lock);
    return result;
}
