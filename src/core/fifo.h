/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Fifos: pipes between the tasks of an instance that open the same inode, whatever file system it lies on.
 *
 * A pipe exists while somebody has its fifo open or waits to. It is found by the inode's address in a table of the
 * instance; those who have it open hold the inode.
 */
#ifndef VR_FIFO_H
#define VR_FIFO_H

#include "core/object.h"

/* Opens file, whose path is a fifo and whose flags, readable and writable are set, as fifo_open() of Linux. */
int32_t vr_fifo_open(vrift_task *task, vrift_file *file);

/* The last reference of a description with a pipe is gone. */
void vr_fifo_release(vrift_file *file);

/* task may be NULL: then waiting cannot be cancelled. */
int64_t vr_fifo_read(vrift_task *task, vrift_file *file, const struct vrift_iovec *iov, uint32_t count);
int64_t vr_fifo_write(vrift_task *task, vrift_file *file, const struct vrift_iovec *iov, uint32_t count);

int32_t vr_fifo_init(vrift_vfs *vfs);
void vr_fifo_dispose(vrift_vfs *vfs);

#endif
