/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/ingestsession.h"

#include "core/alloc.h"
#include "platform/fileops.h"
#include "store/blob.h"
#include "store/bytes.h"
#include "store/seal.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <stdio.h>
#include <unistd.h>

#define PACK_ROLL            ((uint64_t)1 << 30) /* bytes after which a session begins another pack */
#define PROGRESS_INTERVAL_NS 50000000u

/* -- The session -------------------------------------------------------------------------------------------------- */

static int32_t init(struct vr_ingest *ingest)
{
    int32_t error = vr_os_mutex_init(&ingest->lock);
    if (error)
        return error;
    error = vr_os_mutex_init(&ingest->progress_lock);
    if (!error) {
        error = vr_temp_begin(ingest->store->tmp, &ingest->temp);
        if (!error)
            return 0;
        vr_os_mutex_destroy(&ingest->progress_lock);
    }
    vr_os_mutex_destroy(&ingest->lock);
    return error;
}

int32_t vr_ingest_begin(vrift_store *store, const struct vrift_import_options *options, struct vr_ingest **out,
                        struct vrift_error_detail *detail)
{
    struct vr_ingest *ingest = vr_alloc_zero(NULL, 1, sizeof *ingest);
    if (!ingest)
        return -VRIFT_ENOMEM;
    vr_temp_reap(store->tmp);
    ingest->store = store;
    ingest->detail = detail;
    if (options) {
        ingest->timeless = (options->flags & VRIFT_IMPORT_TIMELESS) != 0;
        ingest->progress = options->progress;
        ingest->payload = options->payload;
    }
    ingest->buckets = vr_alloc_zero(NULL, VR_INGEST_BUCKETS, sizeof *ingest->buckets);
    int32_t error = ingest->buckets ? init(ingest) : -VRIFT_ENOMEM;
    if (error) {
        vr_alloc_free(NULL, ingest->buckets);
        vr_alloc_free(NULL, ingest);
        return vr_error_fill(detail, error, "write to store", store->path, NULL);
    }
    vr_store_ref(store);
    vr_store_scan_packs(store); /* a damaged pack is not used, and what it held is stored anew */
    *out = ingest;
    return 0;
}

void vr_ingest_free(struct vr_ingest *ingest)
{
    if (ingest->writing) {
        close(ingest->writer.fd);
        vr_pack_writer_dispose(&ingest->writer);
    }
    for (struct vr_pack *pack = ingest->packs, *next; pack; pack = next) {
        next = pack->next;
        vr_pack_close(pack);
    }
    vr_temp_end(&ingest->temp);
    vr_digestset_remove_all(&ingest->handled);
    vr_links_dispose(&ingest->links);
    vr_alloc_free(NULL, ingest->forsaken);
    vr_alloc_free(NULL, ingest->loose);
    vr_alloc_free(NULL, ingest->inodes);
    vr_alloc_free(NULL, ingest->buckets);
    vr_os_mutex_destroy(&ingest->progress_lock);
    vr_os_mutex_destroy(&ingest->lock);
    vrift_store_close(ingest->store);
    vr_alloc_free(NULL, ingest);
}

void vr_ingest_abort(struct vr_ingest *ingest)
{
    if (ingest)
        vr_ingest_free(ingest);
}

int vr_ingest_timeless(const struct vr_ingest *ingest)
{
    return (int)ingest->timeless;
}

int32_t vr_ingest_fail(struct vr_ingest *ingest, int32_t error, const char *operation, const char *path,
                       const char *reason)
{
    vr_os_mutex_lock(&ingest->lock);
    if (!ingest->error) {
        ingest->error = error;
        vr_error_fill(ingest->detail, error, operation, path, reason);
    }
    vr_os_mutex_unlock(&ingest->lock);
    return error;
}

void vr_ingest_name(struct vr_ingest *ingest, const char *base)
{
    ingest->base = base;
}

int32_t vr_ingest_fail_at(struct vr_ingest *ingest, int32_t error, const char *operation, const char *path,
                          const char *reason)
{
    struct vr_str text = VR_STR_INIT;
    if (ingest->base)
        vr_str_append_text(&text, ingest->base);
    if (path && *path) {
        if (text.length && text.data[text.length - 1] != '/')
            vr_str_append(&text, "/", 1);
        vr_str_append_text(&text, path);
    }
    vr_ingest_fail(ingest, error, operation, vr_str_text(&text), reason);
    vr_str_dispose(&text);
    return error;
}

static int32_t fail_store(struct vr_ingest *ingest, int32_t error)
{
    return vr_ingest_fail(ingest, error, "write to store", ingest->store->path, NULL);
}

int32_t vr_ingest_failed(struct vr_ingest *ingest)
{
    return ingest->error;
}

int32_t vr_ingest_progress(struct vr_ingest *ingest, uint64_t files, uint64_t bytes)
{
    ingest->files_done += files;
    ingest->bytes_done += bytes;
    if (!ingest->progress || vr_os_monotonic_ns() < ingest->next_report)
        return 0;
    int32_t answer = 0;
    vr_os_mutex_lock(&ingest->progress_lock);
    uint64_t now = vr_os_monotonic_ns();
    if (now >= ingest->next_report && !ingest->error) {
        struct vrift_progress progress = {ingest->files_done, 0, ingest->bytes_done, 0};
        ingest->next_report = now + PROGRESS_INTERVAL_NS;
        answer = ingest->progress(&progress, ingest->payload);
    }
    vr_os_mutex_unlock(&ingest->progress_lock);
    return answer ? vr_ingest_fail(ingest, answer, "import", NULL, "cancelled") : 0;
}

/* -- Blobs -------------------------------------------------------------------------------------------------------- */

/* Whether the blob was forsaken; then it no longer is. The lock is held. */
static int take_forsaken(struct vr_ingest *ingest, const struct vr_digest *digest)
{
    for (size_t i = 0; i < ingest->forsaken_count; i++)
        if (vr_digest_equal(&ingest->forsaken[i], digest)) {
            ingest->forsaken[i] = ingest->forsaken[--ingest->forsaken_count];
            return 1;
        }
    return 0;
}

int32_t vr_ingest_claim(struct vr_ingest *ingest, const struct vr_digest *digest, uint64_t length)
{
    vr_os_mutex_lock(&ingest->lock);
    int32_t added = vr_digestset_add(&ingest->handled, digest);
    if (added == 0)
        added = take_forsaken(ingest, digest);
    vr_os_mutex_unlock(&ingest->lock);
    if (added < 0)
        return fail_store(ingest, added);
    return added && !vr_blob_have(ingest->store, digest, length);
}

int32_t vr_ingest_forsake(struct vr_ingest *ingest, const struct vr_digest *digest)
{
    char name[VR_DIGEST_HEX];
    int32_t error = 0;
    vr_digest_hex(digest, name);
    vr_os_mutex_lock(&ingest->lock);
    struct vr_digest *forsaken =
        vr_alloc_resize(NULL, ingest->forsaken, (ingest->forsaken_count + 1) * sizeof *forsaken);
    if (forsaken) {
        ingest->forsaken = forsaken;
        forsaken[ingest->forsaken_count++] = *digest;
    }
    if (!forsaken)
        error = -VRIFT_ENOMEM;
    else if (unlinkat(ingest->temp.fd, name, 0) != 0)
        error = vrift_err_from_host_errno(errno);
    vr_os_mutex_unlock(&ingest->lock);
    return error ? fail_store(ingest, error) : 0;
}

static int32_t begin_pack(struct vr_ingest *ingest)
{
    int fd = openat(ingest->temp.fd, "pack", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return vrift_err_from_host_errno(errno);
    int32_t error = vr_pack_writer_init(&ingest->writer, fd);
    if (error)
        close(fd);
    else
        ingest->writing = 1;
    return error;
}

static int32_t seal_pack(struct vr_ingest *ingest, char name[VR_PACK_NAME_SIZE])
{
    struct vr_pack_writer *writer = &ingest->writer;
    int32_t error = vr_pack_writer_finish(writer, name);
    if (!error && ingest->store->durability == VRIFT_DURABILITY_STRICT && fsync(writer->fd) != 0)
        error = vrift_err_from_host_errno(errno);
    if (!error)
        error = vr_seal(writer->fd, 0444);
    if (!error && (renameat(ingest->temp.fd, "pack", ingest->temp.fd, name) != 0))
        error = vrift_err_from_host_errno(errno);
    ingest->stored_bytes += writer->offset;
    close(writer->fd);
    vr_pack_writer_dispose(writer);
    ingest->writing = 0;
    return error;
}

/* The lock is held, or no other thread is left. */
int32_t vr_ingest_end_pack(struct vr_ingest *ingest)
{
    char name[VR_PACK_NAME_SIZE];
    struct vr_pack *pack = NULL;
    if (!ingest->writing)
        return 0;
    int32_t error = seal_pack(ingest, name);
    if (!error)
        error = vr_pack_open(ingest->temp.fd, name, &pack);
    if (!error) {
        pack->next = ingest->packs;
        ingest->packs = pack;
    }
    return error;
}

static int32_t add_to_pack(struct vr_ingest *ingest, const struct vr_digest *digest, const void *data, size_t length,
                           int compress)
{
    int32_t error = 0;
    vr_os_mutex_lock(&ingest->lock);
    if (ingest->writing && ingest->writer.offset > PACK_ROLL)
        error = vr_ingest_end_pack(ingest);
    if (!error && !ingest->writing)
        error = begin_pack(ingest);
    if (!error)
        error = vr_pack_writer_add(&ingest->writer, digest, data, (uint32_t)length, compress);
    if (!error)
        ingest->new_blobs++;
    vr_os_mutex_unlock(&ingest->lock);
    return error ? fail_store(ingest, error) : 0;
}

static int32_t create(struct vr_ingest *ingest, const char *name)
{
    int fd = openat(ingest->temp.fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : fail_store(ingest, vrift_err_from_host_errno(errno));
}

int32_t vr_ingest_create(struct vr_ingest *ingest, const struct vr_digest *digest)
{
    char name[VR_DIGEST_HEX];
    vr_digest_hex(digest, name);
    return create(ingest, name);
}

int32_t vr_ingest_create_unnamed(struct vr_ingest *ingest, char name[VR_INGEST_NAME])
{
    vr_os_mutex_lock(&ingest->lock);
    snprintf(name, VR_INGEST_NAME, "u%llu", (unsigned long long)ingest->unnamed++);
    vr_os_mutex_unlock(&ingest->lock);
    return create(ingest, name);
}

int32_t vr_ingest_rename(struct vr_ingest *ingest, const char *name, const struct vr_digest *digest)
{
    char to[VR_DIGEST_HEX];
    vr_digest_hex(digest, to);
    if (renameat(ingest->temp.fd, name, ingest->temp.fd, to) == 0)
        return 0;
    return fail_store(ingest, vrift_err_from_host_errno(errno));
}

static int32_t enter_loose(struct vr_ingest *ingest, const struct vr_digest *digest, uint64_t length, uint64_t disk)
{
    if (ingest->loose_count == ingest->loose_capacity) {
        size_t capacity = ingest->loose_capacity ? ingest->loose_capacity * 2 : 64;
        struct vr_ingest_loose *loose = vr_alloc_resize(NULL, ingest->loose, capacity * sizeof *loose);
        if (!loose)
            return -VRIFT_ENOMEM;
        ingest->loose = loose;
        ingest->loose_capacity = capacity;
    }
    ingest->loose[ingest->loose_count++] = (struct vr_ingest_loose){*digest, length};
    ingest->new_blobs++;
    ingest->stored_bytes += disk;
    return 0;
}

int32_t vr_ingest_close(struct vr_ingest *ingest, const struct vr_digest *digest, int fd, uint64_t length)
{
    struct vrift_stat stat = {0};
    int32_t error = vr_blob_seal(ingest->store, fd, 0);
    if (!error)
        error = vr_fileops_stat(fd, "", &stat);
    close(fd);
    /* Until it is written back a file may have no blocks yet; it will have as many as it needs. */
    uint64_t disk = stat.blocks && stat.blocks * 512 < length ? stat.blocks * 512 : length;
    vr_os_mutex_lock(&ingest->lock);
    if (!error)
        error = enter_loose(ingest, digest, length, disk);
    vr_os_mutex_unlock(&ingest->lock);
    return error ? fail_store(ingest, error) : 0;
}

static int32_t store_blob(struct vr_ingest *ingest, const struct vr_digest *digest, const void *data, size_t length,
                          int compress)
{
    if (length <= ingest->store->pack_limit)
        return add_to_pack(ingest, digest, data, length, compress);
    int fd = vr_ingest_create(ingest, digest);
    if (fd < 0)
        return fd;
    int32_t error = vr_fileops_write_at(fd, data, length, 0);
    if (error) {
        close(fd);
        return fail_store(ingest, error);
    }
    return vr_ingest_close(ingest, digest, fd, length);
}

/* As it is: who opens a file's content wants to map it. */
int32_t vr_ingest_store(struct vr_ingest *ingest, const struct vr_digest *digest, const void *data, size_t length)
{
    return store_blob(ingest, digest, data, length, 0);
}

int32_t vr_ingest_blob(struct vr_ingest *ingest, const void *data, size_t length, struct vr_digest *out)
{
    struct vr_digest digest;
    vr_digest_of(data, length, &digest);
    int32_t error = vr_ingest_claim(ingest, &digest, length);
    if (error == 1)
        error = store_blob(ingest, &digest, data, length, 1);
    if (!error)
        *out = digest;
    return error;
}

int32_t vr_ingest_tree(struct vr_ingest *ingest, struct vr_tree *tree, struct vr_digest *out)
{
    struct vr_str node = VR_STR_INIT;
    struct vr_digest ignored;
    int32_t error = 0;
    tree->timeless = ingest->timeless;
    for (uint32_t i = 0; !error && i < tree->count; i++)
        if (tree->entries[i].xattrs_length > VR_TREE_XATTR_INLINE)
            error = vr_ingest_blob(ingest, tree->entries[i].xattrs, tree->entries[i].xattrs_length, &ignored);
    if (!error) {
        error = vr_tree_encode(tree, &node);
        if (error)
            vr_ingest_fail(ingest, error, "encode", NULL, "a directory cannot be stored");
    }
    if (!error)
        error = vr_ingest_blob(ingest, node.data, node.length, out);
    vr_str_dispose(&node);
    return error;
}

/* -- Hard links --------------------------------------------------------------------------------------------------- */

/* Groups of callers and groups of host inodes must not meet. */
#define CALLERS_GROUP ((uint64_t)1 << 63)

int32_t vr_ingest_link(struct vr_ingest *ingest, uint64_t group, const char *path)
{
    vr_os_mutex_lock(&ingest->lock);
    int32_t error = vr_links_add(&ingest->links, group | CALLERS_GROUP, path, strlen(path));
    vr_os_mutex_unlock(&ingest->lock);
    return error ? fail_store(ingest, error) : 0;
}

static uint32_t *bucket_of(struct vr_ingest *ingest, const struct vrift_stat *stat)
{
    uint64_t mixed = (stat->ino ^ stat->dev << 40) * 0x9e3779b97f4a7c15ULL;
    return &ingest->buckets[mixed >> 52];
}
_Static_assert(VR_INGEST_BUCKETS == 1u << 12, "a bucket is the top 12 bits of the mix");

static struct vr_ingest_inode *find_inode(struct vr_ingest *ingest, const struct vrift_stat *stat)
{
    for (uint32_t at = *bucket_of(ingest, stat); at; at = ingest->inodes[at - 1].next)
        if (ingest->inodes[at - 1].ino == stat->ino && ingest->inodes[at - 1].dev == stat->dev)
            return &ingest->inodes[at - 1];
    return NULL;
}

static struct vr_ingest_inode *new_inode(struct vr_ingest *ingest, const struct vrift_stat *stat)
{
    if (ingest->inode_count == ingest->inode_capacity) {
        uint32_t capacity = ingest->inode_capacity ? ingest->inode_capacity * 2 : 64;
        struct vr_ingest_inode *inodes = vr_alloc_resize(NULL, ingest->inodes, capacity * sizeof *inodes);
        if (!inodes)
            return NULL;
        ingest->inodes = inodes;
        ingest->inode_capacity = capacity;
    }
    uint32_t *bucket = bucket_of(ingest, stat);
    struct vr_ingest_inode *inode = &ingest->inodes[ingest->inode_count++];
    *inode = (struct vr_ingest_inode){.dev = stat->dev, .ino = stat->ino, .seen = *stat, .next = *bucket};
    *bucket = ingest->inode_count;
    return inode;
}

static int looks_the_same(const struct vrift_stat *a, const struct vrift_stat *b)
{
    return a->size == b->size && a->mtime.sec == b->mtime.sec && a->mtime.nsec == b->mtime.nsec &&
           a->ctime.sec == b->ctime.sec && a->ctime.nsec == b->ctime.nsec;
}

int vr_ingest_known_inode(struct vr_ingest *ingest, const struct vrift_stat *stat, struct vr_digest *out)
{
    int known = 0;
    vr_os_mutex_lock(&ingest->lock);
    const struct vr_ingest_inode *inode = find_inode(ingest, stat);
    if (inode && inode->has_digest && looks_the_same(&inode->seen, stat)) {
        *out = inode->digest;
        known = 1;
    }
    vr_os_mutex_unlock(&ingest->lock);
    return known;
}

int32_t vr_ingest_add_inode(struct vr_ingest *ingest, const struct vrift_stat *stat, const struct vr_digest *digest,
                            const char *path)
{
    int32_t error = -VRIFT_ENOMEM;
    vr_os_mutex_lock(&ingest->lock);
    struct vr_ingest_inode *inode = find_inode(ingest, stat);
    if (!inode)
        inode = new_inode(ingest, stat);
    if (inode) {
        if (digest && !inode->has_digest) {
            inode->digest = *digest;
            inode->has_digest = 1;
        }
        /* Only if it did not change since its first name was read; otherwise the names differ. */
        error = looks_the_same(&inode->seen, stat) ? 0 : -VRIFT_ESTALE;
    }
    if (!error)
        error = vr_links_add(&ingest->links, (uint64_t)(inode - ingest->inodes), path, strlen(path));
    vr_os_mutex_unlock(&ingest->lock);
    return error;
}
