/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Temporary directories in a store's tmp/: each belongs to one operation, which holds a lock on it that dies with the
 * process. What nobody holds is garbage of a process that was killed, and is removed by the next who looks.
 */
#ifndef VR_TEMP_H
#define VR_TEMP_H

#include <vrift/types.h>

#define VR_TEMP_NAME_SIZE 72

struct vr_temp {
    int parent; /* of the store's tmp/, borrowed */
    int fd;     /* of the directory */
    char name[VR_TEMP_NAME_SIZE];
};

/* Makes and locks a directory below the directory parent. */
int32_t vr_temp_begin(int parent, struct vr_temp *temp);

/* Removes it with all that is in it. */
void vr_temp_end(struct vr_temp *temp);

/* Removes what dead processes left; errors are ignored, as in a store that may only be read. */
void vr_temp_reap(int parent);

/* Counts what is in the directories that nobody holds. */
int32_t vr_temp_count(int parent, uint64_t *out);

#endif
