/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* vrift_store_stats(): counting what lies in a store's directories. */
#include "store/namelist.h"
#include "store/ref.h"
#include "store/store.h"

#include "platform/fileops.h"

#include <vrift/error.h>

#include <fcntl.h>
#include <unistd.h>

/* Counts the regular files in a directory and adds up what they take on disk. */
struct count {
    int fd;
    uint64_t files;
    uint64_t bytes;
    uint64_t directories;
};

static int32_t count_entry(const struct vr_fileops_dirent *entry, void *payload)
{
    struct count *count = payload;
    struct vrift_stat stat;
    int32_t error = vr_fileops_stat(count->fd, entry->name, &stat);
    if (error)
        return error == -VRIFT_ENOENT ? 0 : error;
    if ((stat.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR) {
        count->directories++;
    } else {
        count->files++;
        count->bytes += stat.blocks * 512;
    }
    return 0;
}

static int32_t count_directory(int parent, const char *name, struct count *count)
{
    count->fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (count->fd < 0)
        return -VRIFT_EIO;
    int32_t error = vr_fileops_readdir(count->fd, 0, count_entry, count);
    close(count->fd);
    return error;
}

static int32_t count_objects(vrift_store *store, struct count *total)
{
    static const char digits[] = "0123456789abcdef";
    int32_t error = 0;
    for (unsigned i = 0; !error && i < 256; i++) {
        const char name[3] = {digits[i >> 4], digits[i & 15], '\0'};
        error = count_directory(store->objects, name, total);
    }
    return error;
}

static int32_t count_refs(vrift_store *store, uint64_t *out)
{
    struct vr_namelist names = {0};
    int32_t error = vr_ref_names(store, 0, &names);
    *out = names.count;
    vr_namelist_dispose(&names);
    return error;
}

int32_t vrift_store_stats(vrift_store *store, struct vrift_store_stats *out)
{
    struct vrift_store_stats stats = {0};
    struct count loose = {0}, packs = {0}, snapshots = {0}, indexes = {0}, workspaces = {0};
    if (!store || !out)
        return -VRIFT_EINVAL;
    int32_t error = count_objects(store, &loose);
    if (!error)
        error = count_directory(store->root, "packs", &packs);
    if (!error)
        error = count_directory(store->root, "snapshots", &snapshots);
    if (!error)
        error = count_directory(store->root, "index", &indexes);
    if (!error)
        error = count_directory(store->root, "workspaces", &workspaces);
    if (!error)
        error = count_refs(store, &stats.refs);
    if (!error)
        error = vr_temp_count(store->tmp, &stats.temporary_files);
    if (error)
        return error;
    vr_store_scan_packs(store);
    for (const struct vr_pack *pack = store->pack_list; pack; pack = pack->next)
        stats.packed_blobs += pack->count;
    stats.loose_blobs = loose.files;
    stats.loose_bytes = loose.bytes;
    stats.packs = packs.files;
    stats.pack_bytes = packs.bytes;
    stats.snapshots = snapshots.files;
    stats.index_bytes = indexes.bytes;
    stats.workspaces = workspaces.directories;
    *out = stats;
    return 0;
}
