/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The end of a session. Until here all lies in the temporary directory. What has other things depend on it is
 * published first and the snapshot last, so that whoever finds a snapshot finds all it needs, also after a crash.
 */
#include "store/ingestsession.h"

#include "core/alloc.h"
#include "platform/durable.h"
#include "platform/fileops.h"
#include "store/blob.h"
#include "store/index.h"
#include "store/indexbuild.h"
#include "store/snapobject.h"
#include "store/seal.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

/* -- Loading what is not published yet ---------------------------------------------------------------------------- */

static int32_t load_pending(struct vr_ingest *ingest, const struct vr_digest *digest, size_t max, struct vr_blob *out)
{
    char name[VR_DIGEST_HEX], *data;
    size_t length;
    vr_digest_hex(digest, name);
    int32_t error = vr_fileops_read_file(ingest->temp.fd, name, max, &data, &length);
    if (error)
        return error;
    out->owned = vr_alloc(NULL, length); /* read_file's memory is the C library's */
    if (out->owned)
        memcpy(out->owned, data, length);
    out->data = out->owned;
    out->length = length;
    free(data);
    return out->owned ? 0 : -VRIFT_ENOMEM;
}

static int32_t load(void *self, const struct vr_digest *digest, size_t max, struct vr_blob *out)
{
    struct vr_ingest *ingest = self;
    struct vr_pack_place place;
    for (const struct vr_pack *pack = ingest->packs; pack; pack = pack->next)
        if (vr_pack_find(pack, digest, &place) == 0)
            return vr_blob_packed(pack, &place, out);
    int32_t error = load_pending(ingest, digest, max, out);
    return error == -VRIFT_ENOENT ? vr_blob_load(ingest->store, digest, max, out) : error;
}

/* -- Putting it together ------------------------------------------------------------------------------------------ */

struct publication {
    struct vr_ingest *ingest;
    struct vr_snapobject object;
    struct vr_str bytes; /* of the snapshot object */
    struct vr_digest id;
    char name[VR_DIGEST_HEX]; /* of the snapshot */
    uint8_t *image;           /* of the index */
    size_t image_size;
};

static int32_t store_links(struct publication *publication)
{
    struct vr_ingest *ingest = publication->ingest;
    struct vr_str text = VR_STR_INIT;
    int32_t error = vr_links_encode(&ingest->links, &text);
    if (!error && text.length) {
        publication->object.has_links = 1;
        error = vr_ingest_blob(ingest, text.data, text.length, &publication->object.links);
    }
    vr_str_dispose(&text);
    return error;
}

static int32_t store_root_xattrs(struct publication *publication)
{
    const struct vr_tree_entry *root = &publication->object.root;
    struct vr_digest ignored;
    if (root->xattrs_length <= VR_TREE_XATTR_INLINE)
        return 0;
    return vr_ingest_blob(publication->ingest, root->xattrs, root->xattrs_length, &ignored);
}

/* The builder does not look into lists that are too long to stand in an entry; it wants their digest. */
static void set_root_xattrs_apart(struct vr_tree_entry *root)
{
    if (root->xattrs_length <= VR_TREE_XATTR_INLINE)
        return;
    vr_digest_of(root->xattrs, root->xattrs_length, &root->xattrs_digest);
    root->xattrs_apart = 1;
    root->xattrs = NULL;
    root->xattrs_length = 0;
}

/* A file that relied on another's content being stored, which then was not. */
static int32_t check_forsaken(const struct publication *publication)
{
    struct vr_ingest *ingest = publication->ingest;
    struct vr_index index;
    if (!ingest->forsaken_count)
        return 0;
    int32_t error = vr_index_attach(&index, publication->image, publication->image_size);
    for (uint64_t i = 0; !error && i < index.digest_count; i++)
        for (size_t k = 0; k < ingest->forsaken_count; k++)
            if (memcmp(index.digests + i * VR_DIGEST_SIZE, ingest->forsaken[k].bytes, VR_DIGEST_SIZE) == 0)
                return vr_ingest_fail(ingest, -VRIFT_ESTALE, "import", ingest->base, "it changed while it was read");
    return error;
}

static int32_t make_snapshot(struct publication *publication, const struct vr_tree_entry *root)
{
    struct vr_snapobject *object = &publication->object;
    object->timeless = publication->ingest->timeless;
    object->root = *root;
    object->root.type = VRIFT_DT_DIR;
    object->root.name = "";
    object->root.name_length = 0;
    int32_t error = store_root_xattrs(publication);
    set_root_xattrs_apart(&object->root);
    if (!error)
        error = store_links(publication);
    if (!error)
        error = vr_ingest_end_pack(publication->ingest);
    if (error)
        return error;
    const struct vr_indexbuild_source source = {load, publication->ingest};
    error = vr_indexbuild(&source, object, 0, &publication->image, &publication->image_size);
    if (!error)
        error = vr_snapobject_encode(object, &publication->bytes);
    if (error)
        return error;
    vr_digest_of(publication->bytes.data, publication->bytes.length, &publication->id);
    vr_digest_hex(&publication->id, publication->name);
    vr_indexbuild_seal(publication->image, publication->image_size, &publication->id);
    return check_forsaken(publication);
}

static int32_t write_sealed(struct publication *publication, const char *name, const void *data, size_t length)
{
    const struct vr_ingest *ingest = publication->ingest;
    int32_t error = vr_fileops_write_file(ingest->temp.fd, name, data, length, 0444,
                                          ingest->store->durability == VRIFT_DURABILITY_STRICT);
    return error ? error : vr_seal_name(ingest->temp.fd, name);
}

/* -- Publishing --------------------------------------------------------------------------------------------------- */

static int32_t publish_blobs(struct vr_ingest *ingest)
{
    char name[VR_DIGEST_HEX];
    int32_t error = 0;
    for (size_t i = 0; !error && i < ingest->loose_count; i++) {
        const struct vr_ingest_loose *loose = &ingest->loose[i];
        vr_digest_hex(&loose->digest, name);
        error = vr_blob_publish(ingest->store, ingest->temp.fd, name, &loose->digest, 0, loose->length);
    }
    for (const struct vr_pack *pack = ingest->packs; !error && pack; pack = pack->next) {
        error = vr_durable_rename_new(ingest->temp.fd, pack->name, ingest->store->packs, pack->name);
        if (error == -VRIFT_EEXIST) /* the name says what is in it, but not that it is whole */
            error = renameat(ingest->temp.fd, pack->name, ingest->store->packs, pack->name) == 0 ? 0 : host_error();
    }
    return error;
}

static int same_snapshot(const struct publication *publication)
{
    char *there = NULL;
    size_t length = 0;
    int snapshots = publication->ingest->store->snapshots;
    if (vr_fileops_read_file(snapshots, publication->name, VR_SNAPOBJECT_MAX, &there, &length))
        return 0;
    int same = length == publication->bytes.length && memcmp(there, publication->bytes.data, length) == 0;
    free(there);
    return same;
}

/* A snapshot that is there already is the same, unless it was damaged; then ours takes its place. */
static int32_t publish_snapshot(struct publication *publication)
{
    struct vr_ingest *ingest = publication->ingest;
    int snapshots = ingest->store->snapshots;
    int32_t error = vr_durable_rename_new(ingest->temp.fd, "snapshot", snapshots, publication->name);
    if (error != -VRIFT_EEXIST)
        return error;
    if (same_snapshot(publication))
        return 0;
    return renameat(ingest->temp.fd, "snapshot", snapshots, publication->name) == 0 ? 0 : host_error();
}

/* A tree that is stored already, whose import has nothing to write and hence nothing to wait for. */
static int is_published(const struct publication *publication)
{
    struct vrift_stat stat;
    const struct vr_ingest *ingest = publication->ingest;
    return ingest->new_blobs == 0 && same_snapshot(publication) &&
           vr_fileops_stat(ingest->store->index, publication->name, &stat) == 0 && stat.size == publication->image_size;
}

static int32_t publish(struct publication *publication)
{
    struct vr_ingest *ingest = publication->ingest;
    vrift_store *store = ingest->store;
    int32_t error = write_sealed(publication, "snapshot", publication->bytes.data, publication->bytes.length);
    if (!error)
        error = write_sealed(publication, "index", publication->image, publication->image_size);
    if (!error && store->durability == VRIFT_DURABILITY_BATCH)
        error = vr_durable_sync_fs(store->root);
    if (!error)
        error = publish_blobs(ingest);
    if (!error && renameat(ingest->temp.fd, "index", store->index, publication->name) != 0)
        error = host_error();
    if (!error)
        error = publish_snapshot(publication);
    if (!error && store->durability == VRIFT_DURABILITY_STRICT)
        error = vr_durable_sync_fs(store->root);
    return error;
}

static void report(const struct publication *publication, struct vrift_import_result *out)
{
    const struct vr_snapobject *object = &publication->object;
    memset(out, 0, sizeof *out);
    vr_digest_export(&publication->id, &out->snapshot);
    out->files = object->files;
    out->directories = object->directories;
    out->symlinks = object->symlinks;
    out->specials = object->specials;
    out->bytes = object->bytes;
    out->stored_bytes = publication->ingest->stored_bytes;
    out->new_blobs = publication->ingest->new_blobs;
}

int32_t vr_ingest_finish(struct vr_ingest *ingest, const struct vr_tree_entry *root, struct vrift_import_result *out)
{
    struct publication publication = {.ingest = ingest};
    int32_t error = ingest->error;
    if (!error)
        error = make_snapshot(&publication, root);
    if (!error && !is_published(&publication))
        error = publish(&publication);
    if (error)
        vr_ingest_fail(ingest, error, "write to store", ingest->store->path, NULL);
    else
        report(&publication, out);
    vr_str_dispose(&publication.bytes);
    vr_alloc_free(NULL, publication.image);
    vr_ingest_free(ingest);
    return error;
}
