/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/links.h"

#include "core/alloc.h"
#include "store/bytes.h"

#include <vrift/error.h>

#include <stdlib.h>

static const char magic[6] = {'V', 'R', 'L', 'I', 'N', 'K'};

void vr_links_dispose(struct vr_links *links)
{
    for (size_t i = 0; i < links->count; i++)
        vr_alloc_free(NULL, links->names[i].path);
    vr_alloc_free(NULL, links->names);
    memset(links, 0, sizeof *links);
}

int32_t vr_links_add(struct vr_links *links, uint64_t group, const char *path, size_t length)
{
    if (links->count == links->capacity) {
        size_t capacity = links->capacity ? links->capacity * 2 : 32;
        struct vr_links_name *names = vr_alloc_resize(NULL, links->names, capacity * sizeof *names);
        if (!names)
            return -VRIFT_ENOMEM;
        links->names = names;
        links->capacity = capacity;
    }
    char *copy = vr_alloc_string(NULL, path, length);
    if (!copy)
        return -VRIFT_ENOMEM;
    links->names[links->count++] = (struct vr_links_name){group, copy};
    return 0;
}

static int compare_in_group(const void *a, const void *b)
{
    const struct vr_links_name *x = a, *y = b;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return strcmp(x->path, y->path);
}

struct group {
    const struct vr_links_name *first;
    size_t count;
};

static int compare_groups(const void *a, const void *b)
{
    return strcmp(((const struct group *)a)->first->path, ((const struct group *)b)->first->path);
}

static size_t find_groups(const struct vr_links *links, struct group *groups)
{
    size_t count = 0;
    for (size_t i = 0, end; i < links->count; i = end) {
        for (end = i + 1; end < links->count && links->names[end].group == links->names[i].group;)
            end++;
        if (end - i > 1)
            groups[count++] = (struct group){&links->names[i], end - i};
    }
    return count;
}

int32_t vr_links_encode(struct vr_links *links, struct vr_str *out)
{
    if (links->count < 2)
        return 0;
    struct group *groups = vr_alloc_zero(NULL, links->count, sizeof *groups);
    if (!groups)
        return -VRIFT_ENOMEM;
    qsort(links->names, links->count, sizeof *links->names, compare_in_group);
    size_t count = find_groups(links, groups);
    if (count) {
        qsort(groups, count, sizeof *groups, compare_groups);
        vr_str_append(out, magic, sizeof magic);
        vr_bytes_put16(out, VR_LINKS_VERSION);
        vr_bytes_put32(out, (uint32_t)count);
    }
    for (size_t i = 0; i < count; i++) {
        vr_bytes_put32(out, (uint32_t)groups[i].count);
        for (size_t j = 0; j < groups[i].count; j++) {
            const char *path = groups[i].first[j].path;
            vr_bytes_put32(out, (uint32_t)strlen(path));
            vr_str_append_text(out, path);
        }
    }
    vr_alloc_free(NULL, groups);
    return out->failed ? -VRIFT_ENOMEM : 0;
}

static int path_order(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

struct path {
    const char *bytes;
    size_t length;
};

static int32_t read_group(struct vr_bytes *in, uint32_t number, struct path *first, vr_links_fn fn, void *payload)
{
    uint32_t members = vr_bytes_take32(in);
    if (members < 2)
        return -VRIFT_EUCLEAN;
    struct path last = {NULL, 0};
    for (uint32_t i = 0; i < members; i++) {
        struct path path;
        path.length = vr_bytes_take32(in);
        path.bytes = (const char *)vr_bytes_take(in, path.length);
        if (!path.bytes || path.length == 0 || memchr(path.bytes, '\0', path.length))
            return -VRIFT_EUCLEAN;
        if (last.bytes && path_order(last.bytes, last.length, path.bytes, path.length) >= 0)
            return -VRIFT_EUCLEAN;
        if (i == 0)
            *first = path;
        last = path;
        int32_t result = fn(number, path.bytes, path.length, payload);
        if (result)
            return result;
    }
    return 0;
}

int32_t vr_links_read(const void *bytes, size_t length, vr_links_fn fn, void *payload)
{
    struct vr_bytes in = {bytes, length, 0};
    const uint8_t *start = vr_bytes_take(&in, sizeof magic);
    if (!start || memcmp(start, magic, sizeof magic) != 0)
        return -VRIFT_EUCLEAN;
    if (vr_bytes_take16(&in) != VR_LINKS_VERSION)
        return in.bad ? -VRIFT_EUCLEAN : -VRIFT_EOPNOTSUPP;
    uint32_t groups = vr_bytes_take32(&in);
    struct path last = {NULL, 0}, first = {NULL, 0};
    if (groups == 0)
        return -VRIFT_EUCLEAN;
    for (uint32_t i = 0; i < groups; i++) {
        int32_t error = read_group(&in, i, &first, fn, payload);
        if (error)
            return error;
        if (last.bytes && path_order(last.bytes, last.length, first.bytes, first.length) >= 0)
            return -VRIFT_EUCLEAN;
        last = first;
    }
    return in.left ? -VRIFT_EUCLEAN : 0;
}
