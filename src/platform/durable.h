/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The seam for publishing files safely: no-replace rename, syncing a file system, locks that die with their process. */
#ifndef VR_DURABLE_H
#define VR_DURABLE_H

#include <vrift/types.h>

/* Renames unless the new name exists: then -VRIFT_EEXIST. Regular files on one file system. */
int32_t vr_durable_rename_new(int old_dir, const char *old_name, int new_dir, const char *new_name);

/* Brings the whole file system that fd lies on to stable storage. */
int32_t vr_durable_sync_fs(int fd);

/* Locks an open file or directory for its description alone, until that is closed; -VRIFT_EAGAIN if another has it. */
int32_t vr_durable_lock(int fd);

#endif
