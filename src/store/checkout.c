/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * vrift_checkout(): a snapshot becomes a directory of the host.
 *
 * What is checked on the way: the index against its checksum (a damaged one is built anew from the trees, which are
 * checked against their digests), contents of up to the store's pack limit against their digests while they are written,
 * larger ones for their length only, and in the end the counts of all that was made.
 */
#include "core/alloc.h"
#include "core/error.h"
#include "store/blob.h"
#include "store/restore.h"
#include "store/snapshot.h"
#include "store/tree.h"
#include "store/xattrs.h"

#include <vrift/store.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* One checkout. Constant while the crew works. */
struct checkout {
    vrift_store *store;
    const struct vr_index *index; /* the snapshot's, or rebuilt */
    struct vr_index rebuilt;
    uint8_t *image;    /* of rebuilt */
    uint32_t uid, gid; /* of the store's inodes */
    int privileged;
};

/* What is being made: an entry of the index. */
struct item {
    struct vr_restore *restore;
    const struct checkout *checkout;
    const struct vr_index_entry *entry;
    struct vrift_stat stat;
    struct vr_digest digest;
    int made; /* it was created, not linked to another name's inode */
};

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

/* -- Attributes --------------------------------------------------------------------------------------------------- */

static struct vrift_stat stat_of(const struct vr_index_entry *entry)
{
    return (struct vrift_stat){
        .size = entry->size,
        .rdev = entry->rdev,
        .mode = entry->mode | vr_tree_type_mode(entry->type),
        .nlink = entry->nlink,
        .uid = entry->uid,
        .gid = entry->gid,
        .atime = entry->mtime,
        .mtime = entry->mtime,
    };
}

static int64_t list_xattrs(const struct vr_restore_xattrs *from, char *buf, size_t len)
{
    return vr_xattrs_list(from->list_bytes, from->list_length, buf, len);
}

static int64_t get_xattr(const struct vr_restore_xattrs *from, const char *key, void *buf, size_t len)
{
    return vr_xattrs_get(from->list_bytes, from->list_length, key, buf, len);
}

static struct vr_restore_xattrs xattrs_of(const struct vr_index_entry *entry)
{
    return (struct vr_restore_xattrs){
        .list = list_xattrs, .get = get_xattr, .list_bytes = entry->xattrs, .list_length = entry->xattrs_length};
}

static struct vr_restore_xattrs xattrs_of_directory(struct vr_restore_dir *dir)
{
    const struct checkout *checkout = dir->restore->payload;
    struct vr_index_entry entry = {0};
    (void)vr_index_get(checkout->index, dir->entry, &entry); /* it was read before */
    return xattrs_of(&entry);
}

/* -- Contents ----------------------------------------------------------------------------------------------------- */

/* Whether the file may be the store's own inode, whose mode, owner and time cannot be changed. */
static int may_share(const struct item *item)
{
    const struct checkout *checkout = item->checkout;
    const struct vr_restore *restore = item->restore;
    const struct vrift_stat *stat = &item->stat;
    if (item->entry->xattrs || (stat->mode & (VRIFT_S_ISUID | VRIFT_S_ISGID | VRIFT_S_ISVTX)))
        return 0;
    int owner_fits = stat->uid == checkout->uid && stat->gid == checkout->gid;
    if (restore->ladder.link == VRIFT_LINK_HARDLINK)
        return owner_fits || !checkout->privileged || (restore->flags & VRIFT_CHECKOUT_NO_OWNERS);
    return restore->ladder.link == VRIFT_LINK_SMART && checkout->index->timeless && owner_fits &&
           ((stat->mode & 07777) == 0444 || (stat->mode & 07777) == 0555);
}

/* 0: linked; 1: to be copied; or an error. */
static int32_t try_share(const struct item *item, int dirfd, const char *name)
{
    struct vr_restore *restore = item->restore;
    struct vr_fileops_rung *rung = &restore->ladder.hardlink;
    if (!may_share(item)) {
        if (restore->ladder.link == VRIFT_LINK_HARDLINK)
            vr_fileops_rung_result(rung, 0, -VRIFT_EPERM, VR_FILEOPS_UNSUPPORTED_FILE);
        return 1;
    }
    if (vr_fileops_rung_never(rung, 0))
        return 1;
    int32_t result =
        vr_blob_link(item->checkout->store, &item->digest, item->stat.size, (item->stat.mode & 0111) != 0, dirfd, name);
    enum vr_fileops_class class = vr_fileops_classify_link(result);
    /* It is the store that cannot make the inode to share; if the destination is full as well, the copy will say so. */
    if (result == -VRIFT_EROFS || result == -VRIFT_ENOSPC || result == -VRIFT_EDQUOT)
        class = VR_FILEOPS_UNSUPPORTED_FS;
    vr_fileops_rung_result(rung, 0, result, class);
    if (!result && (item->stat.uid != item->checkout->uid || item->stat.gid != item->checkout->gid))
        restore->skipped_owners++;
    return class == VR_FILEOPS_OK || class == VR_FILEOPS_TERMINAL ? result : 1;
}

/* Small contents come out of memory, and are hashed on the way. */
static int32_t write_small(const struct item *item, int fd)
{
    struct vr_blob blob;
    size_t length = (size_t)item->stat.size;
    int32_t result = vr_blob_load(item->checkout->store, &item->digest, length, &blob);
    if (result == -VRIFT_EFBIG)
        return -VRIFT_EUCLEAN;
    if (result)
        return result;
    result = blob.length == length ? vr_fileops_write_at(fd, blob.data, length, 0) : -VRIFT_EUCLEAN;
    vr_blob_release(&blob);
    if (!result)
        item->restore->ladder.copies++;
    return result;
}

static int32_t copy_large(const struct item *item, int fd)
{
    int32_t src;
    uint64_t offset;
    int32_t result = vr_blob_open(item->checkout->store, &item->digest, item->stat.size, &src, &offset);
    if (result)
        return result;
    result = vr_fileops_copy(&item->restore->ladder, src, offset, fd, item->stat.size);
    close(src);
    return result == -VRIFT_ESTALE ? -VRIFT_EUCLEAN : result;
}

static int32_t write_content(const struct item *item, int fd)
{
    if (item->stat.size == 0)
        return 0;
    return item->stat.size <= item->checkout->store->pack_limit ? write_small(item, fd) : copy_large(item, fd);
}

static int32_t make_file(void *payload, int dirfd, const char *name)
{
    struct item *item = payload;
    struct vr_restore_xattrs xattrs = xattrs_of(item->entry);
    int32_t result = item->stat.size ? try_share(item, dirfd, name) : 1;
    if (result < 0)
        return result;
    if (result) {
        int32_t fd = vr_restore_create(dirfd, name, item->stat.mode);
        if (fd < 0)
            return fd;
        result = write_content(item, fd);
        if (!result)
            result = vr_restore_finish_file(item->restore, fd, &item->stat, item->entry->xattrs ? &xattrs : NULL);
        if (close(fd) < 0 && !result && errno != EINTR)
            result = host_error();
    }
    if (result)
        return result;
    item->made = 1;
    item->restore->files++;
    item->restore->bytes += item->stat.size;
    return 0;
}

static int32_t make_other(void *payload, int dirfd, const char *name)
{
    struct item *item = payload;
    struct vr_restore_xattrs xattrs = xattrs_of(item->entry), *given = item->entry->xattrs ? &xattrs : NULL;
    char target[VR_TREE_TARGET_MAX + 1];
    if (item->entry->type != VRIFT_DT_LNK)
        return vr_restore_special(item->restore, dirfd, name, &item->stat, given);
    if (item->entry->size > VR_TREE_TARGET_MAX)
        return -VRIFT_EUCLEAN;
    memcpy(target, item->entry->target, item->entry->size);
    target[item->entry->size] = '\0';
    return vr_restore_symlink(item->restore, dirfd, name, target, &item->stat, given);
}

/* -- Directories -------------------------------------------------------------------------------------------------- */

static const char *reason_of(const struct vr_index_entry *entry, int32_t error)
{
    if (error == -VRIFT_EUCLEAN)
        return "its stored content is damaged";
    if (error == -VRIFT_EIO && entry->type == VRIFT_DT_REG)
        return "its stored content is missing or cannot be read";
    return NULL;
}

static int32_t restore_directory(struct vr_restore_dir *dir, uint64_t number, const struct vr_index_entry *entry,
                                 const char *name)
{
    struct vr_restore_dir *child = vr_restore_dir_new(dir->restore, dir, name, entry->name_length);
    if (!child)
        return vr_restore_fail(dir->restore, dir, name, -VRIFT_ENOMEM, NULL);
    child->entry = number;
    child->stat = stat_of(entry);
    vr_restore_push(child);
    return 0;
}

static int32_t restore_inode(struct vr_restore_dir *dir, const struct vr_index_entry *entry, const char *name)
{
    struct vr_restore *restore = dir->restore;
    struct item item = {.restore = restore, .checkout = restore->payload, .entry = entry, .stat = stat_of(entry)};
    vr_restore_make make = entry->type == VRIFT_DT_REG ? make_file : make_other;
    int32_t result = 0;
    if (entry->type == VRIFT_DT_REG && entry->size) {
        if (entry->digest)
            memcpy(item.digest.bytes, entry->digest, VR_DIGEST_SIZE);
        else
            result = -VRIFT_EUCLEAN;
    }
    if (!result && entry->nlink > 1)
        result = vr_restore_linked(restore, 0, entry->inode, dir->fd, name, make, &item);
    else if (!result)
        result = make(&item, dir->fd, name);
    if (result < 0)
        return vr_restore_fail(restore, dir, name, result, reason_of(entry, result));
    vr_crew_count(&restore->crew, 1, item.made ? entry->size : 0);
    return 0;
}

static int32_t fill_directory(struct vr_restore_dir *dir)
{
    const struct checkout *checkout = dir->restore->payload;
    struct vr_index_entry own, entry;
    int32_t result = vr_index_get(checkout->index, dir->entry, &own);
    for (uint64_t i = 0; i < own.size && !result; i++) {
        char name[VRIFT_NAME_MAX + 1];
        uint64_t number = own.first_child + i;
        if (vr_crew_stopped(&dir->restore->crew))
            return -VRIFT_ECANCELED;
        result = vr_index_get(checkout->index, number, &entry);
        if (!result && (entry.parent != dir->entry || !vr_tree_name_valid(entry.name, entry.name_length)))
            result = -VRIFT_EUCLEAN;
        if (result)
            return vr_restore_fail(dir->restore, dir, NULL, result, "the snapshot's index is damaged");
        memcpy(name, entry.name, entry.name_length);
        name[entry.name_length] = '\0';
        result = entry.type == VRIFT_DT_DIR ? restore_directory(dir, number, &entry, name)
                                            : restore_inode(dir, &entry, name);
    }
    return result;
}

/* -- The whole ---------------------------------------------------------------------------------------------------- */

/* Nothing on disk is believed: an index whose bytes are not as they were written is built anew, in memory. */
static int32_t take_index(struct checkout *checkout, vrift_snapshot *snapshot)
{
    struct vr_snapobject object;
    char *bytes;
    size_t size;
    checkout->index = &snapshot->index;
    if (vr_index_check_body(checkout->index) == 0)
        return 0;
    int32_t result = vr_snapshot_read(checkout->store, &snapshot->index.id, &object, &bytes);
    if (result)
        return result;
    result = vr_snapshot_build(checkout->store, &snapshot->index.id, &object, &checkout->image, &size);
    if (!result)
        result = vr_index_attach(&checkout->rebuilt, checkout->image, size);
    free(bytes);
    checkout->index = &checkout->rebuilt;
    return result;
}

static int32_t check_counts(struct vr_restore *restore)
{
    const struct vr_index *index = ((const struct checkout *)restore->payload)->index;
    if (restore->files == index->files && restore->directories == index->directories &&
        restore->symlinks == index->symlinks && restore->specials + restore->skipped_specials == index->specials &&
        restore->bytes == index->bytes)
        return 0;
    return vr_restore_fail(restore, NULL, NULL, -VRIFT_EUCLEAN, "not all of the snapshot was found in its index");
}

static int32_t run(struct vr_restore *restore, struct checkout *checkout, vrift_snapshot *snapshot)
{
    struct stat st;
    struct vr_index_entry entry;
    int32_t result = take_index(checkout, snapshot);
    if (!result && fstat(checkout->store->objects, &st) < 0)
        result = host_error();
    if (!result)
        result = vr_index_get(checkout->index, 0, &entry);
    if (!result && entry.type != VRIFT_DT_DIR)
        result = -VRIFT_EUCLEAN;
    if (result)
        return vr_restore_fail(restore, NULL, NULL, result, "the snapshot is damaged");
    checkout->uid = st.st_uid;
    checkout->gid = st.st_gid;
    checkout->privileged = geteuid() == 0;
    restore->payload = checkout;
    restore->fill = fill_directory;
    restore->xattrs = xattrs_of_directory;
    restore->check = check_counts;
    restore->crew.files_total = checkout->index->entries - checkout->index->directories;
    restore->crew.bytes_total = checkout->index->bytes;
    struct vr_restore_dir *root = vr_restore_dir_new(restore, NULL, "", 0);
    if (!root)
        return -VRIFT_ENOMEM;
    root->stat = stat_of(&entry);
    return vr_restore_tree(restore, root);
}

int32_t vrift_checkout(vrift_snapshot *snapshot, const char *dest, const struct vrift_checkout_options *options,
                       struct vrift_checkout_result *out)
{
    struct vr_restore restore;
    if (!snapshot || !dest)
        return -VRIFT_EINVAL;
    struct checkout checkout = {.store = snapshot->store};
    int32_t result = vr_restore_init(&restore, "checkout", dest, options);
    if (result)
        return result;
    result = run(&restore, &checkout, snapshot);
    if (!result && out)
        vr_restore_result(&restore, out);
    vr_alloc_free(NULL, checkout.image);
    return vr_restore_dispose(&restore, result);
}
