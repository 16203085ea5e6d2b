/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A growing list of names, to be sorted: what a directory of the store holds. */
#ifndef VR_NAMES_H
#define VR_NAMES_H

#include <vrift/types.h>

struct vr_names {
    char **names;
    size_t count;
    size_t capacity;
};

int32_t vr_names_add(struct vr_names *names, const char *name, size_t length);
void vr_names_sort(struct vr_names *names);
void vr_names_dispose(struct vr_names *names);

/* Adds the names in an open directory, sorted. */
int32_t vr_names_read(struct vr_names *names, int fd);

#endif
