/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Verifying structure: each snapshot against its name, its trees by building its index anew, its files' blobs by
 * looking for them, and its stored index by comparing it with the one just built: an index has exactly one form.
 */
#include "store/verify.h"

#include "core/alloc.h"
#include "platform/fileops.h"
#include "store/blob.h"
#include "store/digestset.h"
#include "store/namelist.h"
#include "store/snapshot.h"

#include <vrift/error.h>

#include <stdio.h>
#include <stdlib.h>

struct snapshots {
    struct vr_verify *verify;
    struct vr_digestset seen; /* contents and trees that were looked for */
};

static const char *explain(int32_t error)
{
    switch (error) {
    case -VRIFT_EIO:
        return "one of its trees is missing";
    case -VRIFT_EUCLEAN:
        return "it or one of its trees is damaged";
    case -VRIFT_EOPNOTSUPP:
        return "it or one of its trees is of a newer version";
    default:
        return vrift_err_str(error);
    }
}

/* -- Files' contents ---------------------------------------------------------------------------------------------- */

static int32_t entry_path(const struct vr_index *index, uint64_t entry, struct vr_str *out)
{
    struct vr_index_entry found;
    struct vr_str up = VR_STR_INIT;
    int32_t error = 0;
    while (!error && entry) {
        error = vr_index_get(index, entry, &found);
        if (error)
            break;
        vr_str_truncate(&up, 0);
        vr_str_append_text(&up, "/");
        vr_str_append(&up, found.name, found.name_length);
        vr_str_append_text(&up, vr_str_text(out));
        vr_str_truncate(out, 0);
        error = vr_str_append_text(out, vr_str_text(&up));
        entry = found.parent;
    }
    vr_str_dispose(&up);
    return error;
}

static int32_t report_missing(struct snapshots *work, const char *name, const struct vr_index *index, uint64_t entry)
{
    struct vr_str path = VR_STR_INIT, reason = VR_STR_INIT;
    entry_path(index, entry, &path);
    vr_str_append_text(&reason, "the content of a file is missing: ");
    vr_str_append_text(&reason, vr_str_text(&path));
    int32_t answer = vr_verify_problem(work->verify, "snapshots", name, vr_str_text(&reason));
    vr_str_dispose(&reason);
    vr_str_dispose(&path);
    return answer;
}

static int32_t check_entry(struct snapshots *work, const char *name, const struct vr_index *index, uint64_t entry)
{
    struct vr_index_entry found;
    struct vr_digest digest;
    int32_t error = vr_index_get(index, entry, &found);
    if (error || !found.digest)
        return error;
    memcpy(digest.bytes, found.digest, VR_DIGEST_SIZE);
    int32_t added = vr_digestset_add(&work->seen, &digest);
    if (added <= 0)
        return added;
    if (found.type == VRIFT_DT_DIR) {
        work->verify->result.trees++;
        return 0;
    }
    return vr_blob_have(work->verify->store, &digest, found.size) ? 0 : report_missing(work, name, index, entry);
}

/* -- Indexes ------------------------------------------------------------------------------------------------------ */

/* There need not be one. */
static int32_t check_index(struct snapshots *work, const char *name, const uint8_t *image, size_t size)
{
    struct vr_index stored;
    int32_t error = vr_index_map(&stored, work->verify->store->index, name);
    if (error == -VRIFT_ENOENT)
        return 0;
    work->verify->result.indexes++;
    if (error == -VRIFT_EOPNOTSUPP)
        return vr_verify_problem(work->verify, "index", name, "it is of a newer version");
    if (error)
        return vr_verify_problem(work->verify, "index", name, "it is damaged");
    int same = stored.size == size && memcmp(stored.map, image, size) == 0;
    int32_t body = vr_index_check_body(&stored);
    vr_index_unmap(&stored);
    if (same)
        return 0;
    return vr_verify_problem(work->verify, "index", name,
                             body ? "it is damaged" : "it does not agree with the snapshot's trees");
}

/* -- Snapshots ---------------------------------------------------------------------------------------------------- */

static int32_t check_built(struct snapshots *work, const char *name, const uint8_t *image, size_t size)
{
    struct vr_index index;
    int32_t error = vr_index_attach(&index, image, size);
    for (uint64_t i = 0; !error && i < index.entries; i++)
        error = check_entry(work, name, &index, i);
    return error ? error : check_index(work, name, image, size);
}

static int32_t check_snapshot(struct snapshots *work, const char *name)
{
    struct vr_digest id;
    struct vr_snapobject object;
    char *bytes;
    uint8_t *image;
    size_t size;
    if (strlen(name) != 64 || vr_digest_unhex(name, &id))
        return vr_verify_problem(work->verify, "snapshots", name, "its name is not one of a snapshot");
    work->verify->result.snapshots++;
    int32_t error = vr_snapshot_read(work->verify->store, &id, &object, &bytes);
    if (error)
        return vr_verify_problem(work->verify, "snapshots", name,
                                 error == -VRIFT_EUCLEAN ? "it is damaged" : explain(error));
    error = vr_snapshot_build(work->verify->store, &id, &object, &image, &size);
    free(bytes);
    if (error == -VRIFT_ENOMEM)
        return error;
    if (error)
        return vr_verify_problem(work->verify, "snapshots", name, explain(error));
    error = check_built(work, name, image, size);
    vr_alloc_free(NULL, image);
    return error;
}

static int32_t check_strays(struct vr_verify *verify)
{
    struct vr_namelist names = {0};
    struct vrift_stat stat;
    int32_t error = vr_namelist_read(&names, verify->store->index);
    for (size_t i = 0; !error && i < names.count; i++)
        if (vr_fileops_stat(verify->store->snapshots, names.names[i], &stat))
            error = vr_verify_problem(verify, "index", names.names[i], "its snapshot is not there");
    vr_namelist_dispose(&names);
    return error;
}

int32_t vr_verify_snapshots(struct vr_verify *verify)
{
    struct snapshots work = {.verify = verify};
    struct vr_namelist names = {0};
    int32_t error = vr_namelist_read(&names, verify->store->snapshots);
    for (size_t i = 0; !error && i < names.count; i++) {
        error = check_snapshot(&work, names.names[i]);
        if (!error)
            vr_crew_count(&verify->crew, 1, 0);
        if (!error && vr_crew_stopped(&verify->crew))
            error = verify->crew.result;
    }
    vr_namelist_dispose(&names);
    vr_digestset_remove_all(&work.seen);
    return error ? error : check_strays(verify);
}
