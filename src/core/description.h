/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Open file descriptions: what dup'ed descriptors and forked tasks share. */
#ifndef VR_DESCRIPTION_H
#define VR_DESCRIPTION_H

#include "core/object.h"

/* One that has nothing open yet; -VRIFT_ENFILE, -VRIFT_ENOMEM. */
int32_t vr_description_new(vrift_vfs *vfs, vrift_file **out);

/* Drops a reference; with the last one answers what the backend says to its release. NULL is fine. */
int32_t vr_description_put(vrift_file *file);

void vr_description_lock(vrift_file *file);
void vr_description_unlock(vrift_file *file);

#endif
