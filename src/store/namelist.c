/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/namelist.h"

#include "core/alloc.h"
#include "platform/fileops.h"

#include <vrift/error.h>

#include <stdlib.h>
#include <string.h>

int32_t vr_namelist_add(struct vr_namelist *names, const char *name, size_t length)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity ? names->capacity * 2 : 64;
        char **larger = vr_alloc_resize(NULL, names->names, capacity * sizeof *larger);
        if (!larger)
            return -VRIFT_ENOMEM;
        names->names = larger;
        names->capacity = capacity;
    }
    char *copy = vr_alloc_string(NULL, name, length);
    if (!copy)
        return -VRIFT_ENOMEM;
    names->names[names->count++] = copy;
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void vr_namelist_sort(struct vr_namelist *names)
{
    if (names->count)
        qsort(names->names, names->count, sizeof *names->names, compare);
}

void vr_namelist_dispose(struct vr_namelist *names)
{
    for (size_t i = 0; i < names->count; i++)
        vr_alloc_free(NULL, names->names[i]);
    vr_alloc_free(NULL, names->names);
    memset(names, 0, sizeof *names);
}

static int32_t add_entry(const struct vr_fileops_dirent *entry, void *payload)
{
    return vr_namelist_add(payload, entry->name, entry->length);
}

int32_t vr_namelist_read(struct vr_namelist *names, int fd)
{
    int32_t error = vr_fileops_readdir(fd, 0, add_entry, names);
    vr_namelist_sort(names);
    return error;
}
