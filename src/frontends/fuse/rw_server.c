/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fuse/rw_server.h"
#include "fuse/rw_call.h"
#include "fuse/rw_handle.h"
#include "fuse/rw_cred.h"

#include <vrift/backend.h>
#include <vrift/error.h>
#include <vrift/file.h>
#include <vrift/fs.h>
#include <vrift/task.h>
#include <vrift/vfs.h>

#include <errno.h>
#include <string.h>

#define MOST_THREADS 32

int64_t vr_rw_call_errno(int64_t result)
{
    return result < 0 ? -(int64_t)vrift_err_to_host_errno(result) : result;
}

const void *vr_rw_call_body(const struct vr_rw_call *call, size_t size)
{
    return call->request->length >= size ? call->request->body : NULL;
}

const char *vr_rw_call_text(const struct vr_rw_call *call, size_t skip)
{
    const char *text = (const char *)call->request->body + skip;
    if (call->request->length <= skip || !memchr(text, 0, call->request->length - skip))
        return NULL;
    return text;
}

/* -- Dispatch ------------------------------------------------------------------------------------------------------- */

static int64_t (*const answers[])(struct vr_rw_call *) = {
    [FUSE_LOOKUP] = vr_rw_name_lookup,
    [FUSE_GETATTR] = vr_rw_attr_get,
    [FUSE_SETATTR] = vr_rw_attr_set,
    [FUSE_READLINK] = vr_rw_name_readlink,
    [FUSE_SYMLINK] = vr_rw_name_symlink,
    [FUSE_MKNOD] = vr_rw_name_mknod,
    [FUSE_MKDIR] = vr_rw_name_mkdir,
    [FUSE_UNLINK] = vr_rw_name_unlink,
    [FUSE_RMDIR] = vr_rw_name_unlink,
    [FUSE_RENAME] = vr_rw_name_rename,
    [FUSE_RENAME2] = vr_rw_name_rename,
    [FUSE_LINK] = vr_rw_name_link,
    [FUSE_OPEN] = vr_rw_file_open,
    [FUSE_CREATE] = vr_rw_file_create,
    [VR_FUSE_TMPFILE] = vr_rw_file_create,
    [FUSE_READ] = vr_rw_file_read,
    [FUSE_WRITE] = vr_rw_file_write,
    [FUSE_RELEASE] = vr_rw_file_release,
    [FUSE_FSYNC] = vr_rw_file_fsync,
    [FUSE_LSEEK] = vr_rw_file_seek,
    [FUSE_OPENDIR] = vr_rw_dir_open,
    [FUSE_READDIR] = vr_rw_dir_read,
    [FUSE_READDIRPLUS] = vr_rw_dir_read,
    [FUSE_RELEASEDIR] = vr_rw_dir_release,
    [FUSE_FSYNCDIR] = vr_rw_dir_fsync,
    [FUSE_ACCESS] = vr_rw_attr_access,
    [FUSE_STATFS] = vr_rw_attr_statfs,
    [FUSE_GETXATTR] = vr_rw_xattr_get,
    [FUSE_LISTXATTR] = vr_rw_xattr_list,
    [FUSE_SETXATTR] = vr_rw_xattr_set,
    [FUSE_REMOVEXATTR] = vr_rw_xattr_remove,
    [VR_FUSE_STATX] = vr_rw_attr_statx,
    [FUSE_FALLOCATE] = vr_rw_space_allocate,
    [FUSE_COPY_FILE_RANGE] = vr_rw_space_copy,
    [VR_FUSE_COPY_FILE_RANGE_64] = vr_rw_space_copy,
    [FUSE_IOCTL] = vr_rw_space_ioctl,
    [FUSE_GETLK] = vr_rw_lock_get,
    [FUSE_SETLK] = vr_rw_lock_set,
    [FUSE_SETLKW] = vr_rw_lock_set,
    [FUSE_FLUSH] = vr_rw_lock_flush,
};

/* What only needs what was opened before, whoever asks. */
static int32_t is_anybodys(uint32_t opcode)
{
    switch (opcode) {
    case FUSE_GETATTR:
    case VR_FUSE_STATX:
    case FUSE_READLINK:
    case FUSE_READ:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
    case FUSE_STATFS:
    case FUSE_GETLK:
    case FUSE_SETLK:
    case FUSE_SETLKW:
    case FUSE_FLUSH:
        return 1;
    default:
        return 0;
    }
}

/* What is answered with ENOSYS is not sent again by the kernel, which does then as without it. */
static int64_t handle(void *payload, const struct vr_fuse_request *request, void *out, size_t room)
{
    struct vr_rw_server *server = payload;
    struct vr_rw_call call = {.server = server, .request = request, .out = out, .room = room};
    int32_t result;
    if (request->opcode >= sizeof(answers) / sizeof(answers[0]) || !answers[request->opcode])
        return -ENOSYS;
    call.node = vr_rw_node_of(server, request->node);
    call.task = server->base;
    if (!is_anybodys(request->opcode)) {
        result = vr_rw_cred_task(server, request, &call.task);
        if (result < 0)
            return vr_rw_call_errno(result);
    }
    return answers[request->opcode](&call);
}

static void without_reply(void *payload, const struct vr_fuse_request *request)
{
    struct vr_rw_server *server = payload;
    if (request->opcode == FUSE_FORGET && request->length >= sizeof(struct fuse_forget_in)) {
        vr_rw_node_forget(server, request->node, ((const struct fuse_forget_in *)request->body)->nlookup);
    } else if (request->opcode == FUSE_BATCH_FORGET && request->length >= sizeof(struct fuse_batch_forget_in)) {
        const struct fuse_batch_forget_in *in = request->body;
        const struct fuse_forget_one *one = (const struct fuse_forget_one *)(in + 1);
        size_t count = (request->length - sizeof(*in)) / sizeof(*one);
        for (size_t i = 0; i < count && i < in->count; i++)
            vr_rw_node_forget(server, one[i].nodeid, one[i].nlookup);
    } else if (request->opcode == FUSE_INTERRUPT && request->length >= sizeof(struct fuse_interrupt_in)) {
        vr_rw_lock_interrupt(server, ((const struct fuse_interrupt_in *)request->body)->unique);
    }
}

static void end_waiting(void *payload)
{
    vr_rw_lock_end(payload);
}

/* -- Setting up ----------------------------------------------------------------------------------------------------- */

/* Others may change what an instance over shared storage shows. */
static int32_t is_shared(vrift_sb *sb)
{
    for (uint32_t aspect = 0; aspect < VRIFT_ASPECT_COUNT; aspect++) {
        struct vrift_consistency consistency;
        if (vrift_sb_consistency(sb, aspect, &consistency) < 0 ||
            consistency.model > VRIFT_CONSISTENCY_EXCLUSIVE_WRITETHROUGH)
            return 1;
    }
    return 0;
}

static int32_t make_root(struct vr_rw_server *server)
{
    struct vrift_stat stat;
    int32_t fd = vrift_openat(server->base, VRIFT_AT_FDCWD, "/", VRIFT_O_PATH | VRIFT_O_DIRECTORY, 0);
    int32_t result = fd < 0 ? fd : vrift_fstat(server->base, fd, &stat);
    return result < 0 ? result : vr_rw_node_make(server, server->base, fd, &stat, &server->root);
}

int32_t vr_rw_server_init(struct vr_rw_server *server, vrift_vfs *vfs, vrift_ns *ns, vrift_sb *sb,
                          struct vr_fuse_session *session)
{
    /* A descriptor for each node that the kernel knows: as many as it can hold. */
    const struct vrift_task_options options = {.size = sizeof(options), .max_files = 1u << 30};
    int32_t result;
    memset(server, 0, sizeof(*server));
    server->vfs = vfs;
    server->session = session;
    server->shared = is_shared(sb);
    (void)pthread_mutex_init(&server->lock, NULL);
    (void)pthread_cond_init(&server->waited, NULL);
    result = vrift_task_new(ns, NULL, &options, &server->base);
    if (result == 0)
        result = make_root(server);
    if (result < 0)
        vr_rw_server_dispose(server);
    return result;
}

void vr_rw_server_dispose(struct vr_rw_server *server)
{
    vr_rw_handle_dispose(server);
    vr_rw_node_dispose(server);
    vrift_task_free(server->base);
    (void)pthread_cond_destroy(&server->waited);
    (void)pthread_mutex_destroy(&server->lock);
}

struct vr_fuse_session_config vr_rw_server_config(struct vr_rw_server *server, int32_t threads)
{
    return (struct vr_fuse_session_config){
        .threads = threads,
        .most = MOST_THREADS,
        .max_write = VR_FUSE_SESSION_MAX_READ,
        .wanted = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_DO_READDIRPLUS |
                  FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS |
                  FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_HAS_IOCTL_DIR | FUSE_POSIX_LOCKS |
                  FUSE_FLOCK_LOCKS | (server->shared ? FUSE_AUTO_INVAL_DATA : FUSE_EXPLICIT_INVAL_DATA) |
                  (server->default_permissions ? FUSE_POSIX_ACL : 0),
        .handler = handle,
        .without_reply = without_reply,
        .end_thread = vr_rw_cred_end_thread,
        .end_session = end_waiting,
        .payload = server,
    };
}
