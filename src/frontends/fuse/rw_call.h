/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* One request as it is answered, and who answers what. Each answers the length of the reply or a negative errno. */
#ifndef VR_FUSE_RW_CALL_H
#define VR_FUSE_RW_CALL_H

#include "fuse/fuse_protocol.h"
#include "fuse/rw_node.h"

struct vr_rw_call {
    struct vr_rw_server *server;
    const struct vr_fuse_request *request;
    vrift_task *task; /* of the caller */
    struct vr_rw_node *node;
    void *out; /* the reply's body */
    size_t room;
};

/* A result of the library as the kernel wants it. */
int64_t vr_rw_call_errno(int64_t result);

/* The request's body as a struct of at least `size` bytes, or NULL. */
const void *vr_rw_call_body(const struct vr_rw_call *call, size_t size);

/* The NUL-terminated text `skip` bytes into the body, or NULL. */
const char *vr_rw_call_text(const struct vr_rw_call *call, size_t skip);

/* -- rw_attr.c: attributes, and what the kernel may remember -------------------------------------------------------- */

void vr_rw_attr_fill(const struct vrift_stat *stat, struct fuse_attr *out);

/* Fills an entry's reply; the lookup was counted. */
void vr_rw_attr_fill_entry(struct vr_rw_call *call, const struct vr_rw_node *node, const struct vrift_stat *stat,
                           struct fuse_entry_out *out);

/* How long, in seconds, what is said about names in a directory is valid. */
uint32_t vr_rw_attr_names_valid(struct vr_rw_call *call, struct vr_rw_node *dir);

/* What decides who may search a directory is about to change, and has changed: takes back what was remembered. */
void vr_rw_attr_permissions_changed(struct vr_rw_call *call, struct vr_rw_node *node);

/* A name was moved from one directory to another. */
void vr_rw_attr_moved(struct vr_rw_call *call, struct vr_rw_node *from, struct vr_rw_node *to);

/* Attributes of a node changed in a way that the kernel does not know of. */
void vr_rw_attr_forget(struct vr_rw_call *call, const struct vr_rw_node *node);

/* Whether an open file has bits that a change of its contents takes away, which the kernel would not hear of. */
int32_t vr_rw_attr_is_privileged(struct vr_rw_call *call, int32_t fd);

int64_t vr_rw_attr_get(struct vr_rw_call *call);
int64_t vr_rw_attr_statx(struct vr_rw_call *call);
int64_t vr_rw_attr_set(struct vr_rw_call *call);
int64_t vr_rw_attr_access(struct vr_rw_call *call);
int64_t vr_rw_attr_statfs(struct vr_rw_call *call);

/* -- rw_name.c ------------------------------------------------------------------------------------------------------ */

/* Fills the entry of a name in call->node, with one lookup more. 0, or a negative errno. */
int64_t vr_rw_name_entry(struct vr_rw_call *call, const char *name, const struct vrift_stat *known,
                         struct fuse_entry_out *out);

/* Likewise of what an open descriptor has open. */
int64_t vr_rw_name_entry_of_fd(struct vr_rw_call *call, int32_t fd, struct fuse_entry_out *out);

int64_t vr_rw_name_lookup(struct vr_rw_call *call);
int64_t vr_rw_name_mknod(struct vr_rw_call *call);
int64_t vr_rw_name_mkdir(struct vr_rw_call *call);
int64_t vr_rw_name_symlink(struct vr_rw_call *call);
int64_t vr_rw_name_link(struct vr_rw_call *call);
int64_t vr_rw_name_unlink(struct vr_rw_call *call);
int64_t vr_rw_name_rename(struct vr_rw_call *call);
int64_t vr_rw_name_readlink(struct vr_rw_call *call);

/* -- rw_file.c, rw_dir.c: what is open ------------------------------------------------------------------------------ */

int64_t vr_rw_file_open(struct vr_rw_call *call);
int64_t vr_rw_file_create(struct vr_rw_call *call);
int64_t vr_rw_file_read(struct vr_rw_call *call);
int64_t vr_rw_file_write(struct vr_rw_call *call);
int64_t vr_rw_file_release(struct vr_rw_call *call);
int64_t vr_rw_file_fsync(struct vr_rw_call *call);
int64_t vr_rw_file_seek(struct vr_rw_call *call);

/* The descriptor of an open file or directory. */
int32_t vr_rw_file_descriptor(uint64_t fh);

int64_t vr_rw_dir_open(struct vr_rw_call *call);
int64_t vr_rw_dir_read(struct vr_rw_call *call);
int64_t vr_rw_dir_release(struct vr_rw_call *call);
int64_t vr_rw_dir_fsync(struct vr_rw_call *call);

/* -- rw_space.c ----------------------------------------------------------------------------------------------------- */

int64_t vr_rw_space_allocate(struct vr_rw_call *call);
int64_t vr_rw_space_copy(struct vr_rw_call *call);
int64_t vr_rw_space_ioctl(struct vr_rw_call *call);

/* -- rw_lock.c ------------------------------------------------------------------------------------------------------ */

int64_t vr_rw_lock_get(struct vr_rw_call *call);
int64_t vr_rw_lock_set(struct vr_rw_call *call);
int64_t vr_rw_lock_flush(struct vr_rw_call *call);

/* The caller of a request has given up. */
void vr_rw_lock_interrupt(struct vr_rw_server *server, uint64_t unique);

/* Sends all who wait away, and returns when they have gone. */
void vr_rw_lock_end(struct vr_rw_server *server);

/* -- rw_xattr.c ----------------------------------------------------------------------------------------------------- */

int64_t vr_rw_xattr_get(struct vr_rw_call *call);
int64_t vr_rw_xattr_list(struct vr_rw_call *call);
int64_t vr_rw_xattr_set(struct vr_rw_call *call);
int64_t vr_rw_xattr_remove(struct vr_rw_call *call);

#endif
