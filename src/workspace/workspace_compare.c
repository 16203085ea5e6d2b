/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Whether a file of the host is what the base has under an entry. */
#include "workspace/workspace.h"

#include "platform/fileops.h"
#include "store/blake3.h"
#include "store/tree.h"
#include "store/xattrs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 << 10)

void vr_workspace_compare_dispose(struct vr_workspace_comparison *comparison)
{
    vr_alloc_free(NULL, comparison->buffer);
}

static int32_t same_digest(struct vr_workspace_comparison *comparison, int dir, const char *name,
                           const struct vrift_stat *before)
{
    struct vr_blake3 hash;
    uint8_t digest[VR_BLAKE3_OUT_LEN];
    if (!comparison->buffer && !(comparison->buffer = vr_alloc(NULL, READ_BYTES))) {
        return -VRIFT_ENOMEM;
    }
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return vrift_err_from_host_errno(errno);
    }
    vr_blake3_init(&hash);
    int64_t got = 0;
    for (uint64_t at = 0; (got = vr_fileops_read_at(fd, comparison->buffer, READ_BYTES, at)) > 0; at += (uint64_t)got) {
        vr_blake3_update(&hash, comparison->buffer, (size_t)got);
    }
    close(fd);
    vr_blake3_final(&hash, digest);
    return got < 0 ? (int32_t)got : memcmp(digest, before->digest, sizeof(digest)) == 0;
}

static int32_t same_target(struct vr_workspace_comparison *comparison, int dir, const char *name, uint64_t base)
{
    char ours[VR_TREE_TARGET_MAX + 1], theirs[VR_TREE_TARGET_MAX + 1];
    ssize_t length = readlinkat(dir, name, ours, sizeof(ours));
    int64_t other = vrift_snapshot_readlink(comparison->base, base, theirs, sizeof(theirs));
    if (length < 0 || other < 0) {
        return length < 0 ? vrift_err_from_host_errno(errno) : (int32_t)other;
    }
    return length == other && memcmp(ours, theirs, (size_t)length) == 0;
}

int32_t vr_workspace_compare_content(struct vr_workspace_comparison *comparison, int dir, const char *name,
                                     uint64_t base, const struct vrift_stat *before, const struct vrift_stat *after)
{
    switch (after->mode & VRIFT_S_IFMT) {
    case VRIFT_S_IFREG:
        return before->size == after->size && (after->size == 0 || same_digest(comparison, dir, name, before));
    case VRIFT_S_IFLNK:
        return same_target(comparison, dir, name, base);
    case VRIFT_S_IFCHR:
    case VRIFT_S_IFBLK:
        return before->rdev == after->rdev;
    default:
        return 1;
    }
}

static int32_t same_xattr(struct vr_workspace_comparison *comparison, uint64_t base, const struct vr_xattrs_item *item)
{
    char *name = vr_alloc_string(NULL, item->name, item->name_length);
    uint8_t *value = vr_alloc(NULL, item->value_length + (size_t)1);
    int64_t length = name && value
                         ? vrift_snapshot_getxattr(comparison->base, base, name, value, item->value_length + (size_t)1)
                         : -VRIFT_ENOMEM;
    bool same = length == (int64_t)item->value_length && memcmp(value, item->value, item->value_length) == 0;
    vr_alloc_free(NULL, name);
    vr_alloc_free(NULL, value);
    return length == -VRIFT_ENOMEM ? -VRIFT_ENOMEM : same;
}

static int32_t same_xattrs(struct vr_workspace_comparison *comparison, int dir, const char *name, uint64_t base)
{
    struct vr_str list = VR_STR_INIT;
    struct vr_xattrs_item item;
    size_t at = 0, names = 0;
    int64_t base_names = vrift_snapshot_listxattr(comparison->base, base, NULL, 0);
    int32_t result = base_names < 0 ? (int32_t)base_names : vr_xattrs_read(dir, name, &list);
    result = result < 0 ? result : 1;
    while (result > 0 && list.length && vr_xattrs_next((const uint8_t *)list.data, list.length, &at, &item)) {
        names += item.name_length + (size_t)1;
        result = same_xattr(comparison, base, &item);
    }
    vr_str_dispose(&list);
    return result > 0 ? names == (size_t)base_names : result;
}

int32_t vr_workspace_compare_attributes(struct vr_workspace_comparison *comparison, int dir, const char *name,
                                        uint64_t base, const struct vrift_stat *before, const struct vrift_stat *after)
{
    bool same =
        (before->mode & 07777) == (after->mode & 07777) && before->uid == after->uid && before->gid == after->gid;
    if (!comparison->timeless) {
        same = same && before->mtime.sec == after->mtime.sec && before->mtime.nsec == after->mtime.nsec;
    }
    return same ? same_xattrs(comparison, dir, name, base) : 0;
}
