/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The nodes that the kernel knows: one for each inode, whatever its names, found by inode number. A node's number is its
 * address; the kernel names none that it was not told of and none that it has forgotten.
 */
#ifndef VR_FUSE_RW_NODE_H
#define VR_FUSE_RW_NODE_H

#include "fuse/rw_server.h"

/*
 * Whether everybody may search a directory, so that the kernel need not ask who does; in the bits above, how often that
 * may have changed, so that what was found before a change is not kept after it.
 */
enum { VR_RW_SEARCH_UNKNOWN, VR_RW_SEARCH_ALL, VR_RW_SEARCH_SOME, VR_RW_SEARCH_MASK, VR_RW_SEARCH_CHANGE };

struct vr_rw_node {
    struct vr_rw_node *next; /* in its bucket; server->lock */
    uint64_t ino;            /* const */
    uint64_t lookups;        /* that the kernel will have to forget; server->lock */
    int32_t fd;              /* const: O_PATH, in the table that all tasks share */
    uint16_t type;           /* const: VRIFT_S_IFMT bits */
    uint8_t hashed;          /* is in its bucket; server->lock */
    _Atomic uint32_t search; /* of a directory: VR_RW_SEARCH_... */
};

/* The node of an inode of which these are the attributes, with one lookup more; NULL if the kernel knows none. */
struct vr_rw_node *vr_rw_node_find(struct vr_rw_server *server, vrift_task *task, const struct vrift_stat *stat);

/*
 * The node of what fd, O_PATH, has open, with one lookup more. Takes fd, also when it fails. 0, or -VRIFT_E...
 */
int32_t vr_rw_node_make(struct vr_rw_server *server, vrift_task *task, int32_t fd, const struct vrift_stat *stat,
                        struct vr_rw_node **out);

/* Takes lookups back; with the last one the node goes. */
void vr_rw_node_forget(struct vr_rw_server *server, uint64_t number, uint64_t lookups);

void vr_rw_node_dispose(struct vr_rw_server *server);

static inline struct vr_rw_node *vr_rw_node_of(const struct vr_rw_server *server, uint64_t number)
{
    return number == 1 ? server->root : (struct vr_rw_node *)(uintptr_t)number;
}

static inline uint64_t vr_rw_node_number(const struct vr_rw_server *server, const struct vr_rw_node *node)
{
    return node == server->root ? 1 : (uint64_t)(uintptr_t)node;
}

#endif
