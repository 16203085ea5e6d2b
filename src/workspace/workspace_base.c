/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The base file, and the pair of directories it names. */
#include "workspace/workspace.h"

#include "platform/fileops.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BASE_FIRST "vrift workspace\n"
#define BASE_MAX   4096u

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

void vr_workspace_base_upper(uint64_t number, char out[VR_WORKSPACE_DIR_NAME])
{
    snprintf(out, VR_WORKSPACE_DIR_NAME, "upper-%" PRIu64, number);
}

void vr_workspace_base_work(uint64_t number, char out[VR_WORKSPACE_DIR_NAME])
{
    snprintf(out, VR_WORKSPACE_DIR_NAME, "work-%" PRIu64, number);
}

const char *vr_workspace_base_mark(const struct vr_workspace_base *base, const char *what, char out[64])
{
    snprintf(out, 64, "%s.overlay.%s", base->user ? "user" : "trusted", what);
    return out;
}

/* -- The file ----------------------------------------------------------------------------------------------------- */

static int32_t encode(const struct vr_workspace_base *base, struct vr_str *out)
{
    char hex[VR_DIGEST_HEX] = "empty", lines[256];
    if (!base->empty) {
        vr_digest_hex(&base->id, hex);
    }
    snprintf(lines, sizeof(lines), "version %d\nbase %s\nxattr %s\nupper %" PRIu64 "\n", VR_WORKSPACE_VERSION, hex,
             base->user ? "user" : "trusted", base->number);
    vr_str_append_text(out, BASE_FIRST);
    vr_str_append_text(out, lines);
    return vr_store_add_checksum(out);
}

/* What encodes to other bytes than those read is damaged or was written by somebody else. */
static int32_t same_bytes(const struct vr_workspace_base *base, const char *data, size_t length)
{
    struct vr_str text = VR_STR_INIT;
    int32_t result = encode(base, &text);
    if (result == 0 && (text.length != length || memcmp(text.data, data, length) != 0)) {
        result = -VRIFT_EUCLEAN;
    }
    vr_str_dispose(&text);
    return result;
}

static int32_t decode(const char *data, size_t length, struct vr_workspace_base *out)
{
    size_t body;
    unsigned version = 0;
    char hex[80] = "", space[16] = "";
    struct vr_workspace_base base = {0};
    if (strncmp(data, BASE_FIRST, sizeof(BASE_FIRST) - 1) != 0 || vr_store_check_checksum(data, length, &body) < 0 ||
        sscanf(data + sizeof(BASE_FIRST) - 1, "version %u\n", &version) != 1) {
        return -VRIFT_EUCLEAN;
    }
    if (version > VR_WORKSPACE_VERSION) {
        return -VRIFT_EOPNOTSUPP;
    }
    if (sscanf(data + sizeof(BASE_FIRST) - 1, "version %u\nbase %79[a-z0-9]\nxattr %15[a-z]\nupper %" SCNu64, &version,
               hex, space, &base.number) != 4) {
        return -VRIFT_EUCLEAN;
    }
    base.empty = strcmp(hex, "empty") == 0;
    base.user = strcmp(space, "user") == 0;
    if (!base.empty && vr_digest_unhex(hex, &base.id) < 0) {
        return -VRIFT_EUCLEAN;
    }
    *out = base;
    return same_bytes(&base, data, length);
}

int32_t vr_workspace_base_read(int dir, struct vr_workspace_base *out)
{
    char *data;
    size_t length;
    struct vr_workspace_base base;
    int32_t result = vr_fileops_read_file(dir, "base", BASE_MAX, &data, &length);
    if (result < 0) {
        return result == -VRIFT_EFBIG ? -VRIFT_EUCLEAN : result;
    }
    result = decode(data, length, &base);
    free(data);
    if (result == 0) {
        *out = base;
    }
    return result;
}

int32_t vr_workspace_base_write(vrift_store *store, int dir, const struct vr_workspace_base *base)
{
    struct vr_str text = VR_STR_INIT;
    int32_t result = encode(base, &text);
    if (result == 0) {
        result = vr_store_write_file(store, dir, "base", text.data, text.length, 0644);
    }
    vr_str_dispose(&text);
    return result;
}

/* -- The pair ----------------------------------------------------------------------------------------------------- */

int32_t vr_workspace_base_probe(int dir, bool *user)
{
    int32_t result = mknodat(dir, "probe-whiteout", S_IFCHR, 0) == 0 ? 0 : host_error();
    unlinkat(dir, "probe-whiteout", 0);
    if (result < 0 || mkdirat(dir, "probe", 0700) < 0) {
        return result == -VRIFT_EPERM ? -VRIFT_EOPNOTSUPP : result < 0 ? result : host_error();
    }
    *user = false;
    result = vr_fileops_xattr_set(dir, "probe", "trusted.overlay.opaque", "y", 1, 0);
    if (result < 0) {
        *user = true;
        result = vr_fileops_xattr_set(dir, "probe", "user.overlay.opaque", "y", 1, 0);
    }
    unlinkat(dir, "probe", AT_REMOVEDIR);
    return result == -VRIFT_EPERM ? -VRIFT_EOPNOTSUPP : result;
}

static int32_t copy_xattrs(vrift_snapshot *snapshot, int upper)
{
    int64_t length = vrift_snapshot_listxattr(snapshot, 0, NULL, 0);
    if (length <= 0) {
        return (int32_t)length;
    }
    char *names = vr_alloc(NULL, (size_t)length);
    int64_t result = names ? vrift_snapshot_listxattr(snapshot, 0, names, (size_t)length) : -VRIFT_ENOMEM;
    for (int64_t at = 0; result >= 0 && at < length; at += (int64_t)strlen(names + at) + 1) {
        int64_t size = vrift_snapshot_getxattr(snapshot, 0, names + at, NULL, 0);
        char *value = vr_alloc(NULL, size > 0 ? (size_t)size : 1);
        result = !value     ? -VRIFT_ENOMEM
                 : size < 0 ? size
                            : vrift_snapshot_getxattr(snapshot, 0, names + at, value, (size_t)size);
        if (result >= 0) {
            result = vr_fileops_xattr_set(upper, "", names + at, value, (size_t)size, 0);
            result = result == -VRIFT_EPERM && geteuid() != 0 ? 0 : result;
        }
        vr_alloc_free(NULL, value);
    }
    vr_alloc_free(NULL, names);
    return result < 0 ? (int32_t)result : 0;
}

/* An owner that this process may not give is left out; commit as the same user then finds its own everywhere. */
static int32_t set_attributes(int upper, const struct vrift_stat *stat)
{
    int32_t result = vr_fileops_set_owner(upper, "", stat->uid, stat->gid);
    if (result == -VRIFT_EPERM) {
        result = 0;
    }
    if (result == 0) {
        result = vr_fileops_set_mode(upper, "", stat->mode & 07777);
    }
    return result ? result : vr_fileops_set_times(upper, "", &stat->mtime, &stat->mtime);
}

static int32_t dress_root(vrift_store *store, const struct vr_workspace_base *base, int upper)
{
    struct vrift_digest id;
    vrift_snapshot *snapshot;
    struct vrift_stat stat;
    if (base->empty) {
        return vr_fileops_set_mode(upper, "", 0755);
    }
    vr_digest_export(&base->id, &id);
    int32_t result = vrift_snapshot_open(store, &id, &snapshot);
    if (result < 0) {
        return result;
    }
    result = vrift_snapshot_stat(snapshot, 0, &stat);
    if (result == 0) {
        result = copy_xattrs(snapshot, upper);
    }
    if (result == 0) {
        result = set_attributes(upper, &stat);
    }
    vrift_snapshot_unref(snapshot);
    return result;
}

int32_t vr_workspace_base_make_pair(vrift_store *store, int dir, const struct vr_workspace_base *base, int like)
{
    char upper[VR_WORKSPACE_DIR_NAME], work[VR_WORKSPACE_DIR_NAME];
    struct vrift_stat stat;
    vr_workspace_base_upper(base->number, upper);
    vr_workspace_base_work(base->number, work);
    /* What an interrupted attempt left bears the same number. */
    int32_t result = vr_fileops_remove_tree(dir, upper);
    if (result == 0) {
        result = vr_fileops_remove_tree(dir, work);
    }
    if (result == 0 && (mkdirat(dir, work, 0700) < 0 || mkdirat(dir, upper, 0700) < 0)) {
        result = host_error();
    }
    int fd = result < 0 ? -1 : openat(dir, upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return result < 0 ? result : host_error();
    }
    if (like < 0) {
        result = dress_root(store, base, fd);
    } else {
        result = vr_fileops_stat(like, "", &stat);
        result = result ? result : set_attributes(fd, &stat);
    }
    close(fd);
    return result;
}
