/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/xattrs.h"

#include "core/alloc.h"
#include "platform/fileops.h"
#include "store/bytes.h"

#include <vrift/error.h>

#include <stdlib.h>

int vr_xattrs_next(const uint8_t *list, size_t length, size_t *at, struct vr_xattrs_item *out)
{
    size_t start = *at ? *at : 4;
    if (!list || start >= length)
        return 0;
    struct vr_bytes in = {list + start, length - start, 0};
    out->name_length = vr_bytes_take16(&in);
    out->name = (const char *)vr_bytes_take(&in, out->name_length);
    out->value_length = vr_bytes_take32(&in);
    out->value = vr_bytes_take(&in, out->value_length);
    if (in.bad)
        return 0;
    *at = length - in.left;
    return 1;
}

static int compare_names(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

int32_t vr_xattrs_check(const uint8_t *list, size_t length)
{
    struct vr_xattrs_item item, last = {0};
    size_t at = 0;
    uint32_t count = 0;
    while (vr_xattrs_next(list, length, &at, &item)) {
        if (item.name_length == 0 || item.name_length > 255 || memchr(item.name, 0, item.name_length))
            return -VRIFT_EUCLEAN;
        if (count && compare_names(last.name, last.name_length, item.name, item.name_length) >= 0)
            return -VRIFT_EUCLEAN;
        last = item;
        count++;
    }
    return count && at == length && count == vr_bytes_get32(list) ? 0 : -VRIFT_EUCLEAN;
}

int64_t vr_xattrs_get(const uint8_t *list, size_t length, const char *name, void *buf, size_t size)
{
    struct vr_xattrs_item item;
    size_t at = 0, name_length = strlen(name);
    while (vr_xattrs_next(list, length, &at, &item)) {
        if (item.name_length != name_length || memcmp(item.name, name, name_length) != 0)
            continue;
        if (size == 0)
            return item.value_length;
        if (size < item.value_length)
            return -VRIFT_ERANGE;
        if (item.value_length)
            memcpy(buf, item.value, item.value_length);
        return item.value_length;
    }
    return -VRIFT_ENODATA;
}

int64_t vr_xattrs_list(const uint8_t *list, size_t length, char *buf, size_t size)
{
    struct vr_xattrs_item item;
    size_t at = 0, used = 0;
    while (vr_xattrs_next(list, length, &at, &item)) {
        if (size) {
            if (size - used <= item.name_length)
                return -VRIFT_ERANGE;
            memcpy(buf + used, item.name, item.name_length);
            buf[used + item.name_length] = '\0';
        }
        used += item.name_length + 1;
    }
    return (int64_t)used;
}

/*
 * What belongs to the file rather than to the machine: user attributes, ACLs and capabilities. An overlay's own
 * marks describe layers, and security labels the policy of one machine, so neither is part of a tree.
 */
int vr_xattrs_kept(const char *name)
{
    if (strncmp(name, "user.", 5) == 0)
        return strncmp(name, "user.overlay.", 13) != 0;
    return strcmp(name, "security.capability") == 0 || strcmp(name, "system.posix_acl_access") == 0 ||
           strcmp(name, "system.posix_acl_default") == 0;
}

/* A size that was asked for first may have grown when the bytes are fetched; then it is asked again. */
#define TRIES 4

static int64_t fetch(int dirfd, const char *name, const char *key, char **out)
{
    for (int i = 0; i < TRIES; i++) {
        int64_t size =
            key ? vr_fileops_xattr_get(dirfd, name, key, NULL, 0) : vr_fileops_xattr_list(dirfd, name, NULL, 0);
        if (size < 0)
            return size;
        char *data = vr_alloc(NULL, (size_t)size + 1);
        if (!data)
            return -VRIFT_ENOMEM;
        int64_t got = 0;
        if (size)
            got = key ? vr_fileops_xattr_get(dirfd, name, key, data, (size_t)size)
                      : vr_fileops_xattr_list(dirfd, name, data, (size_t)size);
        if (got >= 0) {
            data[got] = '\0';
            *out = data;
            return got;
        }
        vr_alloc_free(NULL, data);
        if (got != -VRIFT_ERANGE)
            return got;
    }
    return -VRIFT_ESTALE;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Points into the host's list of names at those that are kept, sorted; *out is to be freed. */
static int32_t kept_names(char *names, int64_t length, char ***out, uint32_t *count)
{
    uint32_t room = 0;
    for (int64_t i = 0; i < length; i += (int64_t)strlen(names + i) + 1)
        room++;
    char **kept = vr_alloc_zero(NULL, room + 1, sizeof *kept);
    if (!kept)
        return -VRIFT_ENOMEM;
    *count = 0;
    for (int64_t i = 0; i < length; i += (int64_t)strlen(names + i) + 1)
        if (vr_xattrs_kept(names + i))
            kept[(*count)++] = names + i;
    qsort(kept, *count, sizeof *kept, compare_texts);
    *out = kept;
    return 0;
}

static int32_t append_values(int dirfd, const char *name, char **keys, uint32_t count, struct vr_str *out)
{
    size_t start = out->length;
    uint32_t written = 0;
    vr_bytes_put32(out, 0);
    for (uint32_t i = 0; i < count; i++) {
        char *value = NULL;
        int64_t size = fetch(dirfd, name, keys[i], &value);
        if (size == -VRIFT_ENODATA)
            continue; /* removed meanwhile */
        if (size < 0)
            return (int32_t)size;
        vr_bytes_put16(out, (uint16_t)strlen(keys[i]));
        vr_str_append_text(out, keys[i]);
        vr_bytes_put32(out, (uint32_t)size);
        vr_str_append(out, value, (size_t)size);
        vr_alloc_free(NULL, value);
        written++;
    }
    if (out->failed)
        return -VRIFT_ENOMEM;
    if (written)
        vr_bytes_set32(out->data + start, written);
    else
        vr_str_truncate(out, start);
    return 0;
}

int32_t vr_xattrs_read(int dirfd, const char *name, struct vr_str *out)
{
    char *names = NULL;
    char **keys = NULL;
    uint32_t count = 0;
    int64_t length = vr_fileops_xattr_list(dirfd, name, NULL, 0);
    if (length == 0 || length == -VRIFT_EOPNOTSUPP)
        return 0;
    length = fetch(dirfd, name, NULL, &names);
    if (length < 0)
        return (int32_t)length;
    int32_t error = kept_names(names, length, &keys, &count);
    if (!error && count)
        error = append_values(dirfd, name, keys, count, out);
    vr_alloc_free(NULL, keys);
    vr_alloc_free(NULL, names);
    return error;
}
