/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Reading one file of the host: attributes, xattrs and content, all of one moment or an error. */
#include "store/ingestsession.h"

#include "core/alloc.h"
#include "platform/fileops.h"
#include "store/stream.h"
#include "store/xattrs.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

_Static_assert(VR_INGEST_BUFFER >= VR_STREAM_BUFFER, "the scratch serves for streaming");

/* One file being read. */
struct reading {
    struct vr_ingest *ingest;
    struct vr_ingest_scratch *scratch;
    int dirfd;
    const char *name;
    const char *path;
    int link;              /* record hard links */
    const char *operation; /* what failed */
};

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

void vr_ingest_scratch_dispose(struct vr_ingest_scratch *scratch)
{
    vr_alloc_free(NULL, scratch->buffer);
    scratch->buffer = NULL;
    vr_str_dispose(&scratch->target);
    vr_str_dispose(&scratch->xattrs);
}

/* -- Content ------------------------------------------------------------------------------------------------------ */

static int32_t tick(void *payload)
{
    return vr_ingest_progress(payload, 0, 0); /* so that a large file can be interrupted */
}

/* Hashes a whole file, and copies it to dst unless that is -1. */
static int32_t pass(struct reading *reading, int fd, uint64_t size, int dst, struct vr_digest *out)
{
    struct vr_stream stream = {fd, dst, size, reading->scratch->buffer, tick, reading->ingest, 0};
    int32_t error = vr_stream_pass(&stream, out);
    if (stream.writing)
        reading->operation = "write to store";
    return error;
}

static int32_t copy_large(struct reading *reading, int fd, uint64_t size, const struct vr_digest *digest)
{
    struct vr_digest copied;
    int dst = vr_ingest_create(reading->ingest, digest);
    if (dst < 0)
        return dst;
    int32_t error = ftruncate(dst, (off_t)size) == 0 ? 0 : host_error();
    if (!error)
        error = pass(reading, fd, size, dst, &copied);
    if (!error && !vr_digest_equal(&copied, digest))
        error = -VRIFT_ESTALE;
    if (!error)
        return vr_ingest_close(reading->ingest, digest, dst, size);
    close(dst);
    int32_t forsaken = error == -VRIFT_ESTALE ? vr_ingest_forsake(reading->ingest, digest) : 0;
    return forsaken ? forsaken : error; /* any other error ends the session */
}

/*
 * Too large for the buffer: hashed where it lies, and copied only if the store lacks it. What is stored is hashed
 * again as it is copied, so a change in between is found.
 */
static int32_t store_large(struct reading *reading, int fd, uint64_t size, struct vr_digest *out)
{
    int32_t error = pass(reading, fd, size, -1, out);
    if (error)
        return error;
    error = vr_ingest_claim(reading->ingest, out, size);
    return error == 1 ? copy_large(reading, fd, size, out) : error;
}

/* With holes there is more to hash than to copy, so it is copied at once, and thrown away if the store has it. */
static int32_t store_sparse(struct reading *reading, int fd, uint64_t size, struct vr_digest *out)
{
    char name[VR_INGEST_NAME];
    int dst = vr_ingest_create_unnamed(reading->ingest, name);
    if (dst < 0)
        return dst;
    int32_t error = ftruncate(dst, (off_t)size) == 0 ? 0 : host_error();
    if (!error)
        error = pass(reading, fd, size, dst, out);
    if (!error)
        error = vr_ingest_claim(reading->ingest, out, size);
    if (error == 1) {
        error = vr_ingest_rename(reading->ingest, name, out);
        if (!error)
            return vr_ingest_close(reading->ingest, out, dst, size);
    } else {
        unlinkat(reading->ingest->temp.fd, name, 0);
    }
    close(dst);
    return error;
}

static int32_t store_small(struct reading *reading, int fd, uint64_t size, struct vr_digest *out)
{
    uint8_t *buffer = reading->scratch->buffer;
    /* One byte more than it should have tells whether it grew. */
    int64_t got = vr_fileops_read_at(fd, buffer, (size_t)size + 1, 0);
    if (got < 0)
        return (int32_t)got;
    if ((uint64_t)got != size)
        return -VRIFT_ESTALE;
    vr_digest_of(buffer, (size_t)size, out);
    int32_t error = vr_ingest_claim(reading->ingest, out, size);
    return error == 1 ? vr_ingest_store(reading->ingest, out, buffer, (size_t)size) : error;
}

/* Fewer blocks than bytes is a hint only: compression and data kept in the inode look the same. */
static int has_holes(int fd, const struct vrift_stat *stat)
{
    if (stat->blocks * 512 >= stat->size)
        return 0;
    off_t hole = lseek(fd, 0, SEEK_HOLE);
    return hole >= 0 && (uint64_t)hole < stat->size;
}

static int32_t store_content(struct reading *reading, int fd, const struct vrift_stat *stat, struct vr_digest *out)
{
    if (!reading->scratch->buffer && !(reading->scratch->buffer = vr_alloc(NULL, VR_INGEST_BUFFER)))
        return -VRIFT_ENOMEM;
    if (has_holes(fd, stat))
        return store_sparse(reading, fd, stat->size, out);
    if (stat->size < VR_INGEST_BUFFER)
        return store_small(reading, fd, stat->size, out);
    return store_large(reading, fd, stat->size, out);
}

/* -- Entries ------------------------------------------------------------------------------------------------------ */

static void set_attributes(struct vr_tree_entry *entry, const struct vrift_stat *stat, int timeless)
{
    entry->type = vr_tree_mode_type(stat->mode);
    entry->mode = stat->mode & 07777;
    entry->uid = stat->uid;
    entry->gid = stat->gid;
    entry->mtime.sec = timeless ? VR_TREE_FIXED_SECONDS : stat->mtime.sec;
    entry->mtime.nsec = timeless ? 0 : stat->mtime.nsec;
    if (entry->type == VRIFT_DT_CHR || entry->type == VRIFT_DT_BLK)
        entry->rdev = stat->rdev;
}

static int32_t read_xattrs(struct reading *reading, int dirfd, const char *name, struct vr_tree_entry *out)
{
    struct vr_str *list = &reading->scratch->xattrs;
    vr_str_truncate(list, 0);
    int32_t error = vr_xattrs_read(dirfd, name, list);
    if (error) {
        reading->operation = "read xattrs of";
        return error;
    }
    if (list->length) {
        out->xattrs = (const uint8_t *)list->data;
        out->xattrs_length = list->length;
    }
    return 0;
}

static int changed(const struct vrift_stat *a, const struct vrift_stat *b)
{
    return a->size != b->size || a->mtime.sec != b->mtime.sec || a->mtime.nsec != b->mtime.nsec ||
           a->ctime.sec != b->ctime.sec || a->ctime.nsec != b->ctime.nsec;
}

static int32_t record_link(struct reading *reading, const struct vrift_stat *stat, const struct vr_digest *digest)
{
    if (!reading->link || stat->nlink < 2)
        return 0;
    return vr_ingest_add_inode(reading->ingest, stat, digest, reading->path);
}

static int32_t read_open_regular(struct reading *reading, int fd, struct vr_tree_entry *out)
{
    struct vrift_stat before, after;
    int32_t error = vr_fileops_stat(fd, "", &before);
    if (error)
        return error;
    if ((before.mode & VRIFT_S_IFMT) != VRIFT_S_IFREG)
        return -VRIFT_ESTALE;
    set_attributes(out, &before, (int)reading->ingest->timeless);
    out->size = before.size;
    int linked = reading->link && before.nlink > 1;
    if (before.size && !(linked && vr_ingest_known_inode(reading->ingest, &before, &out->digest)))
        error = store_content(reading, fd, &before, &out->digest);
    if (!error)
        error = read_xattrs(reading, fd, "", out);
    if (!error)
        error = vr_fileops_stat(fd, "", &after);
    if (!error && changed(&before, &after))
        error = -VRIFT_ESTALE;
    return error ? error : record_link(reading, &before, before.size ? &out->digest : NULL);
}

static int32_t read_regular(struct reading *reading, struct vr_tree_entry *out)
{
    /* Without blocking, for what was a regular file may have become a fifo. */
    int fd = openat(reading->dirfd, reading->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        reading->operation = "open";
        return errno == ELOOP || errno == ENXIO ? -VRIFT_ESTALE : host_error();
    }
    int32_t error = read_open_regular(reading, fd, out);
    close(fd);
    return error;
}

static int32_t read_symlink(struct reading *reading, const struct vrift_stat *stat, struct vr_tree_entry *out)
{
    struct vr_str *target = &reading->scratch->target;
    vr_str_truncate(target, 0);
    int32_t error = vr_str_reserve(target, VR_TREE_TARGET_MAX + 1);
    if (error)
        return error;
    ssize_t length = readlinkat(reading->dirfd, reading->name, target->data, VR_TREE_TARGET_MAX + 1);
    if (length < 0)
        return errno == EINVAL ? -VRIFT_ESTALE : host_error();
    if (length == 0 || (size_t)length > VR_TREE_TARGET_MAX)
        return -VRIFT_ENAMETOOLONG;
    out->target = target->data;
    out->target_length = (uint32_t)length;
    return record_link(reading, stat, NULL);
}

static int32_t read_any(struct reading *reading, uint32_t type, struct vr_tree_entry *out)
{
    struct vrift_stat stat;
    memset(out, 0, sizeof *out);
    reading->operation = "read";
    if (type == VRIFT_DT_REG)
        return read_regular(reading, out);
    int32_t error = vr_fileops_stat(reading->dirfd, reading->name, &stat);
    if (error)
        return error;
    if ((stat.mode & VRIFT_S_IFMT) == VRIFT_S_IFREG)
        return read_regular(reading, out);
    set_attributes(out, &stat, (int)reading->ingest->timeless);
    switch (out->type) {
    case VRIFT_DT_LNK:
        return read_symlink(reading, &stat, out); /* the kernel keeps no xattrs of the kept kinds for these */
    case VRIFT_DT_DIR:
        return read_xattrs(reading, reading->dirfd, reading->name, out);
    case 0:
        return -VRIFT_EOPNOTSUPP;
    default:
        error = read_xattrs(reading, reading->dirfd, reading->name, out);
        return error ? error : record_link(reading, &stat, NULL);
    }
}

static const char *explain(int32_t error)
{
    switch (error) {
    case -VRIFT_ESTALE:
        return "it changed while it was read";
    case -VRIFT_ENOENT:
        return "it vanished while the tree was read";
    case -VRIFT_EOPNOTSUPP:
        return "it is of a type that cannot be stored";
    default:
        return NULL;
    }
}

int32_t vr_ingest_file(struct vr_ingest *ingest, int dirfd, const char *name, uint32_t type, const char *path, int link,
                       struct vr_ingest_scratch *scratch, struct vr_tree_entry *out)
{
    struct reading reading = {ingest, scratch, dirfd, name, path, link && path, "read"};
    int32_t error = read_any(&reading, type, out);
    if (error == -VRIFT_ESTALE && !ingest->error)
        error = read_any(&reading, VRIFT_DT_UNKNOWN, out);
    if (error)
        return vr_ingest_fail_at(ingest, error, reading.operation, path, explain(error));
    uint64_t bytes = out->type == VRIFT_DT_REG ? out->size : 0;
    return vr_ingest_progress(ingest, 1, bytes);
}
