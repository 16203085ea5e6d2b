/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/ref.h"

#include "platform/fileops.h"
#include "store/snapshot.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_LENGTH 200u
#define FILE_MAX        4096u
#define FIRST_LINE      "vrift ref 1\nsnapshot "
#define PREFIX_MIN      4u
#define TRIES           8 /* against a removal of the same directory at the same time */

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

static int letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
}

int vr_ref_name_valid(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_MAX_LENGTH || name[length - 1] == '/')
        return 0;
    for (size_t i = 0; i < length; i++) {
        int starts = i == 0 || name[i - 1] == '/';
        if (starts ? name[i] == '.' || !letter(name[i]) : name[i] != '/' && !letter(name[i]))
            return 0;
    }
    return 1;
}

/* -- One ref ------------------------------------------------------------------------------------------------------ */

static int32_t parse(const char *text, size_t length, struct vr_digest *out)
{
    const size_t start = sizeof FIRST_LINE - 1;
    size_t body;
    int32_t error = vr_store_check_checksum(text, length, &body);
    if (error)
        return error;
    if (body != start + 65)
        return strncmp(text, "vrift ref ", 10) == 0 ? -VRIFT_EOPNOTSUPP : -VRIFT_EUCLEAN;
    if (memcmp(text, FIRST_LINE, start) != 0)
        return strncmp(text, "vrift ref ", 10) == 0 ? -VRIFT_EOPNOTSUPP : -VRIFT_EUCLEAN;
    return text[body - 1] == '\n' && vr_digest_unhex(text + start, out) == 0 ? 0 : -VRIFT_EUCLEAN;
}

int32_t vr_ref_read(vrift_store *store, const char *name, struct vr_digest *out)
{
    char *text;
    size_t length;
    int32_t error = vr_fileops_read_file(store->refs_dir, name, FILE_MAX, &text, &length);
    if (error == -VRIFT_EISDIR || error == -VRIFT_ENOTDIR)
        return -VRIFT_ENOENT;
    if (error)
        return error == -VRIFT_EFBIG ? -VRIFT_EUCLEAN : error;
    error = parse(text, length, out);
    free(text);
    return error;
}

int32_t vrift_ref_get(vrift_store *store, const char *name, struct vrift_digest *out)
{
    struct vr_digest digest;
    if (!store || !name || !out || !vr_ref_name_valid(name))
        return -VRIFT_EINVAL;
    int32_t error = vr_ref_read(store, name, &digest);
    if (!error)
        vr_digest_export(&digest, out);
    return error;
}

static int32_t make_parents(vrift_store *store, const char *name)
{
    char part[NAME_MAX_LENGTH + 1];
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        memcpy(part, name, (size_t)(slash - name));
        part[slash - name] = '\0';
        if (mkdirat(store->refs_dir, part, 0755) != 0 && errno != EEXIST)
            return host_error();
    }
    return 0;
}

static int32_t set(vrift_store *store, const char *name, const struct vr_digest *digest)
{
    struct vr_str text = VR_STR_INIT;
    char hex[VR_DIGEST_HEX];
    vr_digest_hex(digest, hex);
    vr_str_append_text(&text, FIRST_LINE);
    vr_str_append_text(&text, hex);
    vr_str_append_text(&text, "\n");
    int32_t error = vr_store_add_checksum(&text);
    for (int i = 0; !error && i < TRIES; i++) {
        error = make_parents(store, name);
        if (!error)
            error = vr_store_write_file(store, store->refs_dir, name, text.data, text.length, 0644);
        if (error != -VRIFT_ENOENT)
            break;
        error = i + 1 < TRIES ? 0 : error;
    }
    vr_str_dispose(&text);
    return error;
}

static const char *explain_set(int32_t error)
{
    switch (error) {
    case -VRIFT_ENOENT:
        return "there is no such snapshot";
    case -VRIFT_ENOTDIR:
    case -VRIFT_EEXIST:
        return "a part of the name is a ref";
    case -VRIFT_EISDIR:
        return "other refs have it as a part of their names";
    default:
        return NULL;
    }
}

int32_t vrift_ref_set(vrift_store *store, const char *name, const struct vrift_digest *snapshot)
{
    struct vr_digest digest;
    struct vr_snapobject object;
    struct vrift_error_detail detail = {0};
    char *bytes;
    if (!store || !name || vr_digest_import(snapshot, &digest))
        return -VRIFT_EINVAL;
    int32_t error = vr_ref_name_valid(name) ? 0 : -VRIFT_EINVAL;
    if (error) {
        vr_error_fill(&detail, error, "set ref", name, "a name has letters, digits, '.', '_', '-' and '/' only");
    } else {
        error = vr_snapshot_read(store, &digest, &object, &bytes);
        if (!error)
            free(bytes);
    }
    if (!error)
        error = set(store, name, &digest);
    if (error)
        vr_error_fill(&detail, error, "set ref", name, explain_set(error));
    vr_error_publish(&detail);
    return error;
}

/* Directories that become empty go with their last ref; rmdir itself refuses the others. */
static void remove_empty_parents(vrift_store *store, const char *name)
{
    char part[NAME_MAX_LENGTH + 1];
    snprintf(part, sizeof part, "%s", name);
    for (char *slash = strrchr(part, '/'); slash; slash = strrchr(part, '/')) {
        *slash = '\0';
        if (unlinkat(store->refs_dir, part, AT_REMOVEDIR) != 0)
            return;
    }
}

int32_t vrift_ref_delete(vrift_store *store, const char *name)
{
    if (!store || !name || !vr_ref_name_valid(name))
        return -VRIFT_EINVAL;
    if (unlinkat(store->refs_dir, name, 0) != 0)
        return errno == EISDIR || errno == ENOTDIR || errno == EPERM ? -VRIFT_ENOENT : host_error();
    remove_empty_parents(store, name);
    return 0;
}

/* -- All refs ----------------------------------------------------------------------------------------------------- */

/* An open directory below refs/ whose path is the prefix, with a slash behind unless it is empty. */
static int32_t add_names(int fd, const char *prefix, int all, struct vr_namelist *out)
{
    struct vr_namelist found = {0};
    int32_t error = vr_namelist_read(&found, fd);
    for (size_t i = 0; !error && i < found.count; i++) {
        struct vr_str path = VR_STR_INIT;
        vr_str_append_text(&path, prefix);
        error = vr_str_append_text(&path, found.names[i]);
        int valid = !error && vr_ref_name_valid(path.data);
        int child = valid ? openat(fd, found.names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
        if (child >= 0) { /* names are short, so this is not deep */
            error = vr_str_append_text(&path, "/");
            if (!error)
                error = add_names(child, path.data, all, out);
            close(child);
        } else if (valid || (all && !error)) {
            error = vr_namelist_add(out, path.data, path.length);
        }
        vr_str_dispose(&path);
    }
    vr_namelist_dispose(&found);
    return error;
}

int32_t vr_ref_names(vrift_store *store, int all, struct vr_namelist *out)
{
    int32_t error = add_names(store->refs_dir, "", all, out);
    vr_namelist_sort(out);
    return error;
}

int32_t vrift_ref_list(vrift_store *store, vrift_ref_fn fn, void *payload)
{
    struct vr_namelist names = {0};
    if (!store || !fn)
        return -VRIFT_EINVAL;
    int32_t result = vr_ref_names(store, 0, &names);
    for (size_t i = 0; !result && i < names.count; i++) {
        struct vrift_ref ref = {.name = names.names[i]};
        struct vr_digest digest;
        int32_t error = vr_ref_read(store, ref.name, &digest);
        if (error == -VRIFT_ENOENT)
            continue; /* deleted meanwhile */
        if (!error)
            vr_digest_export(&digest, &ref.snapshot);
        result = fn(&ref, payload);
    }
    vr_namelist_dispose(&names);
    return result;
}

/* -- Snapshots by name -------------------------------------------------------------------------------------------- */

static int snapshot_name(const char *name, struct vr_digest *out)
{
    return strlen(name) == 64 && vr_digest_unhex(name, out) == 0;
}

int32_t vrift_snapshot_list(vrift_store *store, vrift_ref_fn fn, void *payload)
{
    struct vr_namelist names = {0};
    struct vr_digest digest;
    if (!store || !fn)
        return -VRIFT_EINVAL;
    int32_t result = vr_namelist_read(&names, store->snapshots);
    for (size_t i = 0; !result && i < names.count; i++) {
        struct vrift_ref ref = {.name = NULL};
        if (!snapshot_name(names.names[i], &digest))
            continue;
        vr_digest_export(&digest, &ref.snapshot);
        result = fn(&ref, payload);
    }
    vr_namelist_dispose(&names);
    return result;
}

static int32_t find_prefix(vrift_store *store, const char *text, struct vr_digest *out)
{
    struct vr_namelist names = {0};
    struct vr_digest digest;
    size_t length = strlen(text), matches = 0;
    int32_t error = vr_namelist_read(&names, store->snapshots);
    for (size_t i = 0; !error && i < names.count; i++)
        if (strncmp(names.names[i], text, length) == 0 && snapshot_name(names.names[i], &digest)) {
            *out = digest;
            matches++;
        }
    vr_namelist_dispose(&names);
    if (error)
        return error;
    return matches == 1 ? 0 : matches ? -VRIFT_EEXIST : -VRIFT_ENOENT;
}

static int32_t resolve(vrift_store *store, const char *text, struct vr_digest *out, const char **reason)
{
    struct vrift_stat stat;
    *reason = "there is no such snapshot or ref";
    if (snapshot_name(text, out))
        return vr_fileops_stat(store->snapshots, text, &stat);
    int32_t error = vr_ref_name_valid(text) ? vr_ref_read(store, text, out) : -VRIFT_ENOENT;
    if (error != -VRIFT_ENOENT) {
        *reason = error == -VRIFT_EUCLEAN ? "the ref is damaged" : NULL;
        return error;
    }
    size_t length = strlen(text);
    if (length < PREFIX_MIN || length >= 64 || strspn(text, "0123456789abcdef") != length)
        return -VRIFT_ENOENT;
    error = find_prefix(store, text, out);
    if (error == -VRIFT_EEXIST)
        *reason = "more than one snapshot begins so";
    return error;
}

int32_t vrift_snapshot_resolve(vrift_store *store, const char *text, struct vrift_digest *out)
{
    struct vr_digest digest;
    struct vrift_error_detail detail = {0};
    const char *reason;
    if (!store || !text || !out)
        return -VRIFT_EINVAL;
    int32_t error = resolve(store, text, &digest, &reason);
    if (error)
        vr_error_fill(&detail, error, "find snapshot", text, reason);
    else
        vr_digest_export(&digest, out);
    vr_error_publish(&detail);
    return error;
}
