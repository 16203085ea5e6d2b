/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A growing list of names, to be sorted: what a directory of the store holds. */
#ifndef VR_NAMELIST_H
#define VR_NAMELIST_H

#include <vrift/types.h>

struct vr_namelist {
    char **names;
    size_t count;
    size_t capacity;
};

int32_t vr_namelist_add(struct vr_namelist *names, const char *name, size_t length);
void vr_namelist_sort(struct vr_namelist *names);
void vr_namelist_dispose(struct vr_namelist *names);

/* Adds the names in an open directory, sorted. */
int32_t vr_namelist_read(struct vr_namelist *names, int fd);

#endif
