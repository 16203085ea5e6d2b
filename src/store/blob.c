/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/blob.h"

#include "core/alloc.h"
#include "platform/durable.h"
#include "platform/fileops.h"
#include "store/seal.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

void vr_blob_name(const struct vr_digest *digest, int executable, char out[VR_BLOB_NAME_SIZE])
{
    char hex[VR_DIGEST_HEX];
    vr_digest_hex(digest, hex);
    snprintf(out, VR_BLOB_NAME_SIZE, "%.2s/%s%s", hex, hex + 2, executable ? "-x" : "");
}

/* Whether a loose inode of the blob is there and whole; one that was written to is not, unless it is the same again. */
static int have_loose(vrift_store *store, const char *name, const struct vr_digest *digest, uint64_t length)
{
    struct stat stat;
    if (fstatat(store->objects, name, &stat, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(stat.st_mode) ||
        (uint64_t)stat.st_size != length)
        return 0;
    if (vr_seal_holds((struct vrift_timespec){stat.st_mtim.tv_sec, (uint32_t)stat.st_mtim.tv_nsec, 0}))
        return 1;
    int fd = openat(store->objects, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int whole = fd >= 0 && vr_seal_check(fd, digest) == 0;
    if (fd >= 0)
        close(fd);
    return whole;
}

int vr_blob_have(vrift_store *store, const struct vr_digest *digest, uint64_t length)
{
    const struct vr_pack *pack;
    struct vr_pack_place place;
    char name[VR_BLOB_NAME_SIZE];
    if (vr_store_find_packed(store, digest, &pack, &place) == 0)
        return place.length == length;
    vr_blob_name(digest, 0, name);
    return have_loose(store, name, digest, length);
}

/* -- Finding ------------------------------------------------------------------------------------------------------ */

/* A missing blob may be in a pack that another process added since; that is worth one look. */
static int32_t find_packed_anew(vrift_store *store, const struct vr_digest *digest, const struct vr_pack **pack,
                                struct vr_pack_place *place)
{
    int32_t scanned = vr_store_scan_packs(store);
    int32_t error = vr_store_find_packed(store, digest, pack, place);
    if (error != -VRIFT_ENOENT)
        return error;
    return scanned ? scanned : -VRIFT_EIO; /* it may be in a pack that could not be opened */
}

static int32_t open_loose(vrift_store *store, const struct vr_digest *digest, int *fd)
{
    char name[VR_BLOB_NAME_SIZE];
    vr_blob_name(digest, 0, name);
    int found = openat(store->objects, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (found < 0)
        return host_error();
    int32_t error = vr_seal_check(found, digest);
    if (error)
        close(found);
    else
        *fd = found;
    return error;
}

/* Answers either a pack and a place, or a loose file in *fd with *pack NULL. */
static int32_t find(vrift_store *store, const struct vr_digest *digest, const struct vr_pack **pack,
                    struct vr_pack_place *place, int *fd)
{
    int32_t error = vr_store_find_packed(store, digest, pack, place);
    if (error != -VRIFT_ENOENT)
        return error;
    *pack = NULL;
    error = open_loose(store, digest, fd);
    return error == -VRIFT_ENOENT ? find_packed_anew(store, digest, pack, place) : error;
}

static int32_t loose_length(int fd, uint64_t *out)
{
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return host_error();
    if (!S_ISREG(stat.st_mode))
        return -VRIFT_EUCLEAN;
    *out = (uint64_t)stat.st_size;
    return 0;
}

static int32_t read_whole(int fd, size_t length, struct vr_blob *out)
{
    out->data = out->owned = vr_alloc(NULL, length);
    out->length = length;
    if (!out->owned)
        return -VRIFT_ENOMEM;
    int64_t got = vr_fileops_read_at(fd, out->owned, length, 0);
    if (got == (int64_t)length)
        return 0;
    return got < 0 ? (int32_t)got : -VRIFT_EUCLEAN;
}

int32_t vr_blob_packed(const struct vr_pack *pack, const struct vr_pack_place *place, struct vr_blob *out)
{
    struct vr_blob blob = {pack->map + place->offset, place->length, NULL};
    if (place->encoding != VR_PACK_ENCODING_RAW) {
        blob.data = blob.owned = vr_alloc(NULL, blob.length);
        int32_t error = blob.owned ? vr_pack_read(pack, place, blob.owned) : -VRIFT_ENOMEM;
        if (error) {
            vr_blob_release(&blob);
            return error;
        }
    }
    *out = blob;
    return 0;
}

int32_t vr_blob_load(vrift_store *store, const struct vr_digest *digest, size_t max, struct vr_blob *out)
{
    const struct vr_pack *pack = NULL;
    struct vr_pack_place place;
    struct vr_blob blob = {NULL, 0, NULL};
    struct vr_digest sum;
    int fd = -1;
    uint64_t length = 0;
    int32_t error = find(store, digest, &pack, &place, &fd);
    if (error)
        return error;
    if (pack)
        length = place.length;
    else
        error = loose_length(fd, &length);
    if (!error && length > max)
        error = -VRIFT_EFBIG;
    if (!error)
        error = pack ? vr_blob_packed(pack, &place, &blob) : read_whole(fd, (size_t)length, &blob);
    if (!error) {
        vr_digest_of(blob.data, blob.length, &sum);
        error = vr_digest_equal(&sum, digest) ? 0 : -VRIFT_EUCLEAN;
    }
    if (fd >= 0)
        close(fd);
    if (error)
        vr_blob_release(&blob);
    else
        *out = blob;
    return error;
}

void vr_blob_release(struct vr_blob *blob)
{
    vr_alloc_free(NULL, blob->owned);
    blob->owned = NULL;
}

/* -- Reading ------------------------------------------------------------------------------------------------------ */

static int64_t read_packed(const struct vr_pack *pack, const struct vr_pack_place *place, uint64_t length, void *buf,
                           size_t len, uint64_t offset)
{
    if (place->length != length)
        return -VRIFT_EUCLEAN;
    if (offset >= length)
        return 0;
    uint64_t left = length - offset;
    if (len > left)
        len = (size_t)left;
    /* Compressed is only a file that has the content of a tree node: rare enough to expand it for each read. */
    struct vr_blob blob;
    int32_t error = vr_blob_packed(pack, place, &blob);
    if (error)
        return error;
    memcpy(buf, blob.data + offset, len);
    vr_blob_release(&blob);
    return (int64_t)len;
}

/* The slot that already has the blob, or else the one to reuse; NULL if all are in use. blobs_lock is held. */
static struct vr_store_open_blob *choose_slot(vrift_store *store, const struct vr_digest *digest)
{
    struct vr_store_open_blob *oldest = NULL;
    for (int i = 0; i < VR_STORE_OPEN_BLOBS; i++) {
        struct vr_store_open_blob *slot = &store->open_blobs[i];
        if (slot->fd >= 0 && vr_digest_equal(&slot->digest, digest))
            return slot;
        if (slot->users == 0 && (!oldest || slot->stamp < oldest->stamp))
            oldest = slot;
    }
    return oldest;
}

/* Takes hold of an open descriptor for a loose blob. *slot stays NULL when all slots are busy: then fd is private. */
static int32_t hold(vrift_store *store, const struct vr_digest *digest, struct vr_store_open_blob **slot, int *fd,
                    uint64_t *length)
{
    vr_os_mutex_lock(&store->blobs_lock);
    struct vr_store_open_blob *at = choose_slot(store, digest);
    int32_t error = 0;
    if (at && at->fd >= 0 && vr_digest_equal(&at->digest, digest)) {
        *fd = at->fd;
        *length = at->length;
    } else {
        error = open_loose(store, digest, fd);
        if (!error && (error = loose_length(*fd, length)))
            close(*fd);
        if (!error && at) {
            if (at->fd >= 0)
                close(at->fd);
            *at = (struct vr_store_open_blob){*digest, *fd, 0, 0, *length};
        }
    }
    if (!error && at) {
        at->users++;
        at->stamp = ++store->open_stamp;
    }
    vr_os_mutex_unlock(&store->blobs_lock);
    *slot = at;
    return error;
}

static void let_go(vrift_store *store, struct vr_store_open_blob *slot, int fd)
{
    if (!slot) {
        close(fd);
        return;
    }
    vr_os_mutex_lock(&store->blobs_lock);
    slot->users--;
    vr_os_mutex_unlock(&store->blobs_lock);
}

int64_t vr_blob_pread(vrift_store *store, const struct vr_digest *digest, uint64_t length, void *buf, size_t len,
                      uint64_t offset)
{
    const struct vr_pack *pack;
    struct vr_pack_place place;
    struct vr_store_open_blob *slot = NULL;
    int fd = -1;
    uint64_t stored = 0;
    int32_t error = vr_store_find_packed(store, digest, &pack, &place);
    if (error == 0)
        return read_packed(pack, &place, length, buf, len, offset);
    if (error != -VRIFT_ENOENT)
        return error;
    error = hold(store, digest, &slot, &fd, &stored);
    if (error == -VRIFT_ENOENT) {
        error = find_packed_anew(store, digest, &pack, &place);
        return error ? error : read_packed(pack, &place, length, buf, len, offset);
    }
    if (error)
        return error;
    int64_t got = stored == length ? vr_fileops_read_at(fd, buf, len, offset) : -VRIFT_EUCLEAN;
    let_go(store, slot, fd);
    return got;
}

int32_t vr_blob_open(vrift_store *store, const struct vr_digest *digest, uint64_t length, int32_t *fd, uint64_t *offset)
{
    const struct vr_pack *pack = NULL;
    struct vr_pack_place place;
    int found = -1;
    uint64_t stored = 0;
    int32_t error = find(store, digest, &pack, &place, &found);
    if (error)
        return error;
    if (pack && place.encoding != VR_PACK_ENCODING_RAW)
        return -VRIFT_EOPNOTSUPP;
    if (pack) {
        stored = place.length;
        found = pack->fd >= 0 ? fcntl(pack->fd, F_DUPFD_CLOEXEC, 3)
                              : openat(store->packs, pack->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        error = found < 0 ? host_error() : 0;
    } else {
        error = loose_length(found, &stored);
    }
    if (!error && stored != length)
        error = -VRIFT_EUCLEAN;
    if (error) {
        if (found >= 0)
            close(found);
        return error;
    }
    *fd = found;
    *offset = pack ? place.offset : 0;
    return 0;
}

int64_t vr_blob_seek(vrift_store *store, const struct vr_digest *digest, uint64_t length, uint64_t offset,
                     int32_t whence)
{
    int fd = -1;
    uint64_t start = 0;
    if (offset >= length)
        return -VRIFT_ENXIO;
    int64_t answer = whence == VRIFT_SEEK_DATA ? (int64_t)offset : (int64_t)length;
    int32_t error = vr_blob_open(store, digest, length, &fd, &start);
    if (error)
        return error == -VRIFT_EOPNOTSUPP ? answer : error; /* packed and compressed: no holes */
    if (start == 0) {                                       /* a file of its own; packed blobs have no holes */
        off_t at = lseek(fd, (off_t)offset, whence == VRIFT_SEEK_DATA ? SEEK_DATA : SEEK_HOLE);
        answer = at < 0 ? host_error() : (int64_t)at;
    }
    close(fd);
    return answer;
}

/* -- Loose inodes ------------------------------------------------------------------------------------------------- */

int32_t vr_blob_seal(vrift_store *store, int fd, int executable)
{
    int32_t error = vr_seal(fd, executable ? 0555 : 0444);
    if (error)
        return error;
    if (store->durability == VRIFT_DURABILITY_STRICT && fsync(fd) != 0)
        return host_error();
    return 0;
}

int32_t vr_blob_publish(vrift_store *store, int from, const char *name, const struct vr_digest *digest, int executable,
                        uint64_t length)
{
    char loose[VR_BLOB_NAME_SIZE];
    vr_blob_name(digest, executable, loose);
    int32_t error = vr_durable_rename_new(from, name, store->objects, loose);
    if (error != -VRIFT_EEXIST)
        return error;
    if (have_loose(store, loose, digest, length))
        return unlinkat(from, name, 0) == 0 ? 0 : host_error();
    return renameat(from, name, store->objects, loose) == 0 ? 0 : host_error();
}

static int32_t copy_blob(int src, uint64_t offset, int dst, uint64_t length)
{
    struct vr_fileops_ladder ladder = {0};
    return vr_fileops_copy(&ladder, src, offset, dst, length);
}

/* Makes a loose inode out of what the store has in another form. */
static int32_t promote(vrift_store *store, const struct vr_digest *digest, uint64_t length, int executable)
{
    char name[VR_TEMP_NAME_SIZE];
    int dirfd, src = -1, dst = -1;
    uint64_t offset = 0;
    int32_t error = vr_blob_open(store, digest, length, &src, &offset);
    if (error)
        return error;
    error = vr_store_scratch(store, &dirfd, name);
    if (!error) {
        dst = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        error = dst < 0 ? host_error() : copy_blob(src, offset, dst, length);
        if (!error)
            error = vr_blob_seal(store, dst, executable);
        if (dst >= 0)
            close(dst);
        if (!error)
            error = vr_blob_publish(store, dirfd, name, digest, executable, length);
        if (error && dst >= 0)
            unlinkat(dirfd, name, 0);
    }
    close(src);
    return error;
}

/*
 * The length is compared before linking: a promoted inode is not synced, and after a power cut file systems that
 * delay allocation leave it short. Such an inode is replaced.
 */
int32_t vr_blob_link(vrift_store *store, const struct vr_digest *digest, uint64_t length, int executable, int dirfd,
                     const char *name)
{
    char loose[VR_BLOB_NAME_SIZE];
    vr_blob_name(digest, executable, loose);
    if (!have_loose(store, loose, digest, length)) {
        int32_t error = promote(store, digest, length, executable);
        if (error)
            return error;
    }
    return linkat(store->objects, loose, dirfd, name, 0) == 0 ? 0 : host_error();
}
