/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/snapshot.h"

#include "core/alloc.h"
#include "platform/fileops.h"
#include "store/blob.h"
#include "store/indexbuild.h"
#include "store/xattrs.h"

#include <vrift/error.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* -- Opening ------------------------------------------------------------------------------------------------------ */

int32_t vr_snapshot_read(vrift_store *store, const struct vr_digest *id, struct vr_snapobject *out, char **bytes)
{
    char name[VR_DIGEST_HEX], *data;
    size_t length;
    struct vr_digest sum;
    vr_digest_hex(id, name);
    int32_t error = vr_fileops_read_file(store->snapshots, name, VR_SNAPOBJECT_MAX, &data, &length);
    if (error)
        return error == -VRIFT_EFBIG ? -VRIFT_EUCLEAN : error;
    vr_digest_of(data, length, &sum);
    error = vr_digest_equal(&sum, id) ? vr_snapobject_decode(data, length, out) : -VRIFT_EUCLEAN;
    if (error)
        free(data);
    else
        *bytes = data;
    return error;
}

static int32_t load(void *self, const struct vr_digest *digest, size_t max, struct vr_blob *out)
{
    return vr_blob_load(self, digest, max, out);
}

int32_t vr_snapshot_build(vrift_store *store, const struct vr_digest *id, struct vr_snapobject *object, uint8_t **image,
                          size_t *size)
{
    const struct vr_indexbuild_source source = {load, store};
    vr_store_scan_packs(store);
    int32_t error = vr_indexbuild(&source, object, 1, image, size);
    if (!error)
        vr_indexbuild_seal(*image, *size, id);
    return error;
}

/* Builds the index, and keeps it in the store if that can be written; else it serves from memory. */
static int32_t rebuild(struct vrift_snapshot *snapshot, const struct vr_digest *id, const char *name,
                       struct vr_snapobject *object)
{
    uint8_t *image;
    size_t size;
    int32_t error = vr_snapshot_build(snapshot->store, id, object, &image, &size);
    if (error)
        return error;
    if (vr_store_write_file(snapshot->store, snapshot->store->index, name, image, size, 0444) == 0 &&
        vr_index_map(&snapshot->index, snapshot->store->index, name) == 0) {
        vr_alloc_free(NULL, image);
        return 0;
    }
    snapshot->image = image;
    return vr_index_attach(&snapshot->index, image, size);
}

static int index_fits(const struct vr_index *index, const struct vr_digest *id, const struct vr_snapobject *object)
{
    return vr_digest_equal(&index->id, id) && vr_digest_equal(&index->tree, &object->root.digest) &&
           index->timeless == object->timeless && index->entries == object->entries;
}

static int32_t open_index(struct vrift_snapshot *snapshot, const struct vr_digest *id, struct vr_snapobject *object)
{
    char name[VR_DIGEST_HEX];
    vr_digest_hex(id, name);
    int32_t error = vr_index_map(&snapshot->index, snapshot->store->index, name);
    if (!error && index_fits(&snapshot->index, id, object))
        return 0;
    if (!error)
        vr_index_unmap(&snapshot->index);
    return rebuild(snapshot, id, name, object);
}

static int32_t open_snapshot(vrift_store *store, const struct vr_digest *id, vrift_snapshot **out)
{
    struct vr_snapobject object;
    char *bytes;
    int32_t error = vr_snapshot_read(store, id, &object, &bytes);
    if (error)
        return error;
    vrift_snapshot *snapshot = vr_alloc_zero(NULL, 1, sizeof *snapshot);
    error = snapshot ? 0 : -VRIFT_ENOMEM;
    if (!error) {
        snapshot->refs = 1;
        snapshot->store = store;
        error = open_index(snapshot, id, &object);
    }
    free(bytes);
    if (error) {
        vr_alloc_free(NULL, snapshot);
        return error;
    }
    vr_store_ref(store);
    *out = snapshot;
    return 0;
}

static const char *explain(int32_t error)
{
    switch (error) {
    case -VRIFT_ENOENT:
        return "there is no such snapshot";
    case -VRIFT_EUCLEAN:
        return "the snapshot or one of its trees is damaged";
    case -VRIFT_EIO:
        return "a tree of the snapshot is missing";
    case -VRIFT_EOPNOTSUPP:
        return "the snapshot is of a newer version";
    default:
        return NULL;
    }
}

int32_t vrift_snapshot_open(vrift_store *store, const struct vrift_digest *id, vrift_snapshot **out)
{
    struct vr_digest digest;
    struct vrift_error_detail detail = {0};
    char name[VR_DIGEST_HEX];
    if (!store || !out || vr_digest_import(id, &digest))
        return -VRIFT_EINVAL;
    int32_t error = open_snapshot(store, &digest, out);
    if (error) {
        vr_digest_hex(&digest, name);
        vr_error_fill(&detail, error, "open snapshot", name, explain(error));
    }
    vr_error_publish(&detail);
    return error;
}

vrift_snapshot *vrift_snapshot_ref(vrift_snapshot *snapshot)
{
    if (snapshot)
        snapshot->refs++;
    return snapshot;
}

void vrift_snapshot_unref(vrift_snapshot *snapshot)
{
    if (!snapshot || --snapshot->refs)
        return;
    vr_index_unmap(&snapshot->index);
    vr_alloc_free(NULL, snapshot->image);
    vrift_store_close(snapshot->store);
    vr_alloc_free(NULL, snapshot);
}

int32_t vrift_snapshot_info(vrift_snapshot *snapshot, struct vrift_snapshot_info *out)
{
    if (!snapshot || !out)
        return -VRIFT_EINVAL;
    const struct vr_index *index = &snapshot->index;
    struct vrift_snapshot_info info = {0};
    vr_digest_export(&index->id, &info.id);
    vr_digest_export(&index->tree, &info.tree);
    info.flags = (index->timeless ? VRIFT_SNAPSHOT_TIMELESS : 0) | (index->xattrs_length ? VRIFT_SNAPSHOT_XATTRS : 0);
    info.entries = index->entries;
    info.files = index->files;
    info.directories = index->directories;
    info.symlinks = index->symlinks;
    info.specials = index->specials;
    info.bytes = index->bytes;
    *out = info;
    return 0;
}

/* -- Names -------------------------------------------------------------------------------------------------------- */

int32_t vrift_snapshot_lookup(vrift_snapshot *snapshot, uint64_t dir, const char *name, size_t length, uint64_t *out)
{
    if (!snapshot || !name || !out)
        return -VRIFT_EINVAL;
    return vr_index_lookup(&snapshot->index, dir, name, length, out);
}

int32_t vrift_snapshot_walk(vrift_snapshot *snapshot, const char *path, uint64_t *out)
{
    if (!snapshot || !path || !out)
        return -VRIFT_EINVAL;
    return vr_index_walk(&snapshot->index, path, strlen(path), out);
}

int32_t vrift_snapshot_parent(vrift_snapshot *snapshot, uint64_t entry, uint64_t *out)
{
    struct vr_index_entry found;
    if (!snapshot || !out)
        return -VRIFT_EINVAL;
    int32_t error = vr_index_get(&snapshot->index, entry, &found);
    if (!error)
        *out = found.parent;
    return error;
}

int32_t vrift_snapshot_inode(vrift_snapshot *snapshot, uint64_t entry, uint64_t *out)
{
    struct vr_index_entry found;
    if (!snapshot || !out)
        return -VRIFT_EINVAL;
    int32_t error = vr_index_get(&snapshot->index, entry, &found);
    if (!error)
        *out = found.inode;
    return error;
}

int32_t vrift_snapshot_readdir(vrift_snapshot *snapshot, uint64_t dir, uint64_t cookie, vrift_snapshot_entry_fn fn,
                               void *payload)
{
    struct vr_index_entry found;
    if (!snapshot || !fn)
        return -VRIFT_EINVAL;
    int32_t result = vr_index_get(&snapshot->index, dir, &found);
    if (!result && found.type != VRIFT_DT_DIR)
        result = -VRIFT_ENOTDIR;
    uint64_t first = found.first_child, count = found.size;
    for (uint64_t i = cookie; !result && i < count; i++) { /* a cookie counts the entries before it */
        struct vrift_snapshot_entry entry = {.entry = first + i, .cookie = i + 1};
        result = vr_index_get(&snapshot->index, first + i, &found);
        if (result)
            break;
        entry.name = found.name;
        entry.name_length = found.name_length;
        entry.type = found.type;
        result = fn(&entry, payload);
    }
    return result;
}

/* -- Attributes --------------------------------------------------------------------------------------------------- */

static void fill_stat(const struct vr_index_entry *entry, struct vrift_stat *out)
{
    out->mask = VRIFT_STAT_BASIC;
    out->ino = (uint64_t)entry->inode + 1;
    out->mode = vr_tree_type_mode(entry->type) | entry->mode;
    out->nlink = entry->nlink;
    out->uid = entry->uid;
    out->gid = entry->gid;
    out->size = entry->size;
    out->rdev = entry->rdev;
    out->blksize = 4096;
    out->atime = out->mtime = out->ctime = entry->mtime;
    if (entry->type == VRIFT_DT_REG)
        out->blocks = (entry->size + 511) / 512;
    if (entry->digest) {
        out->mask |= VRIFT_STAT_DIGEST;
        out->digest_algorithm = VRIFT_DIGEST_BLAKE3;
        memcpy(out->digest, entry->digest, VR_DIGEST_SIZE);
    }
}

int32_t vrift_snapshot_stat(vrift_snapshot *snapshot, uint64_t entry, struct vrift_stat *out)
{
    struct vr_index_entry found;
    if (!snapshot || !out)
        return -VRIFT_EINVAL;
    int32_t error = vr_index_get(&snapshot->index, entry, &found);
    if (error)
        return error;
    memset(out, 0, sizeof *out);
    fill_stat(&found, out);
    if (found.type == VRIFT_DT_REG && !found.digest) { /* the content of an empty file has a digest, too */
        struct vr_digest empty;
        vr_digest_of("", 0, &empty);
        out->mask |= VRIFT_STAT_DIGEST;
        out->digest_algorithm = VRIFT_DIGEST_BLAKE3;
        memcpy(out->digest, empty.bytes, VR_DIGEST_SIZE);
    }
    return 0;
}

int64_t vrift_snapshot_readlink(vrift_snapshot *snapshot, uint64_t entry, char *buf, size_t len)
{
    struct vr_index_entry found;
    if (!snapshot || (!buf && len))
        return -VRIFT_EINVAL;
    int32_t error = vr_index_get(&snapshot->index, entry, &found);
    if (error)
        return error;
    if (found.type != VRIFT_DT_LNK)
        return -VRIFT_EINVAL;
    if (len > found.size)
        len = (size_t)found.size;
    if (len)
        memcpy(buf, found.target, len);
    return (int64_t)len;
}

int64_t vrift_snapshot_getxattr(vrift_snapshot *snapshot, uint64_t entry, const char *name, void *buf, size_t len)
{
    struct vr_index_entry found;
    if (!snapshot || !name || (!buf && len))
        return -VRIFT_EINVAL;
    int32_t error = vr_index_get(&snapshot->index, entry, &found);
    return error ? error : vr_xattrs_get(found.xattrs, found.xattrs_length, name, buf, len);
}

int64_t vrift_snapshot_listxattr(vrift_snapshot *snapshot, uint64_t entry, char *buf, size_t len)
{
    struct vr_index_entry found;
    if (!snapshot || (!buf && len))
        return -VRIFT_EINVAL;
    int32_t error = vr_index_get(&snapshot->index, entry, &found);
    return error ? error : vr_xattrs_list(found.xattrs, found.xattrs_length, buf, len);
}

/* -- Content ------------------------------------------------------------------------------------------------------ */

static int32_t get_content(vrift_snapshot *snapshot, uint64_t entry, struct vr_index_entry *found,
                           struct vr_digest *digest)
{
    if (!snapshot)
        return -VRIFT_EINVAL;
    int32_t error = vr_index_get(&snapshot->index, entry, found);
    if (error)
        return error;
    if (found->type == VRIFT_DT_DIR)
        return -VRIFT_EISDIR;
    if (found->type != VRIFT_DT_REG)
        return -VRIFT_EINVAL;
    if (found->digest)
        memcpy(digest->bytes, found->digest, VR_DIGEST_SIZE);
    return found->size && !found->digest ? -VRIFT_EUCLEAN : 0;
}

int64_t vrift_snapshot_pread(vrift_snapshot *snapshot, uint64_t entry, void *buf, size_t len, uint64_t offset)
{
    struct vr_index_entry found;
    struct vr_digest digest;
    int32_t error = get_content(snapshot, entry, &found, &digest);
    if (error)
        return error;
    if (!buf && len)
        return -VRIFT_EINVAL;
    if (len == 0 || offset >= found.size)
        return 0;
    if (len > INT64_MAX)
        len = INT64_MAX;
    return vr_blob_pread(snapshot->store, &digest, found.size, buf, len, offset);
}

int32_t vrift_snapshot_open_blob(vrift_snapshot *snapshot, uint64_t entry, int32_t *host_fd, uint64_t *offset)
{
    struct vr_index_entry found;
    struct vr_digest digest;
    int32_t error = get_content(snapshot, entry, &found, &digest);
    if (error)
        return error;
    if (!host_fd || !offset)
        return -VRIFT_EINVAL;
    if (found.size == 0)
        return -VRIFT_ENODATA;
    return vr_blob_open(snapshot->store, &digest, found.size, host_fd, offset);
}

int64_t vrift_snapshot_seek(vrift_snapshot *snapshot, uint64_t entry, uint64_t offset, int32_t whence)
{
    struct vr_index_entry found;
    struct vr_digest digest;
    int32_t error = get_content(snapshot, entry, &found, &digest);
    if (error)
        return error;
    if (whence != VRIFT_SEEK_DATA && whence != VRIFT_SEEK_HOLE)
        return -VRIFT_EINVAL;
    if (offset >= found.size)
        return -VRIFT_ENXIO;
    return vr_blob_seek(snapshot->store, &digest, found.size, offset, whence);
}
