/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/store.h"

#include "core/alloc.h"
#include "core/copyin.h"
#include "platform/durable.h"
#include "platform/fileops.h"
#include "store/bytes.h"
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

/* -- Small files with a checksum ---------------------------------------------------------------------------------- */

#define CHECKSUM_WORD   "checksum "
#define CHECKSUM_LENGTH (sizeof CHECKSUM_WORD - 1 + 64 + 1)

int32_t vr_store_add_checksum(struct vr_str *text)
{
    struct vr_digest sum;
    char hex[VR_DIGEST_HEX];
    vr_digest_of(vr_str_text(text), text->length, &sum);
    vr_digest_hex(&sum, hex);
    vr_str_append_text(text, CHECKSUM_WORD);
    vr_str_append_text(text, hex);
    vr_str_append_text(text, "\n");
    return text->failed ? -VRIFT_ENOMEM : 0;
}

int32_t vr_store_check_checksum(const char *text, size_t length, size_t *out)
{
    struct vr_digest sum;
    char line[CHECKSUM_LENGTH + 1], hex[VR_DIGEST_HEX];
    if (length < CHECKSUM_LENGTH)
        return -VRIFT_EUCLEAN;
    vr_digest_of(text, length - CHECKSUM_LENGTH, &sum);
    vr_digest_hex(&sum, hex);
    snprintf(line, sizeof line, CHECKSUM_WORD "%s\n", hex);
    if (memcmp(line, text + length - CHECKSUM_LENGTH, CHECKSUM_LENGTH) != 0)
        return -VRIFT_EUCLEAN;
    *out = length - CHECKSUM_LENGTH;
    return 0;
}

/* -- The format file ---------------------------------------------------------------------------------------------- */

#define FORMAT_FIRST "vrift store\n"

/*
 * The first line and the checksum are the same in every version, so that a newer store can be told from a damaged
 * one. Everything between is version 1's, word for word but for the number.
 */
static int32_t parse_format(const char *text, size_t length, uint32_t *pack_limit, const char **reason)
{
    size_t body;
    unsigned version = 0;
    unsigned long limit = 0;
    char expected[256];
    *reason = "its format file is damaged";
    if (strncmp(text, FORMAT_FIRST, sizeof FORMAT_FIRST - 1) != 0) {
        *reason = "it is not a store: its format file begins otherwise";
        return -VRIFT_EINVAL;
    }
    int32_t error = vr_store_check_checksum(text, length, &body);
    if (error)
        return error;
    const char *line = text + sizeof FORMAT_FIRST - 1;
    if (sscanf(line, "version %u\n", &version) != 1 || version == 0)
        return -VRIFT_EUCLEAN;
    if (version > VR_STORE_VERSION) {
        *reason = "it is a store of a newer version";
        return -VRIFT_EOPNOTSUPP;
    }
    const char *number = strstr(line, "pack-limit ");
    limit = number ? strtoul(number + 11, NULL, 10) : 0;
    snprintf(expected, sizeof expected, FORMAT_FIRST "version 1\ndigest blake3\npack-limit %lu\n", limit);
    if (strlen(expected) != body || memcmp(expected, text, body) != 0 || limit > (1u << 20)) {
        *reason = "its format file asks for what this version does not know";
        return -VRIFT_EOPNOTSUPP;
    }
    if (pack_limit)
        *pack_limit = (uint32_t)limit;
    return 0;
}

int32_t vr_store_read_format(int root, uint32_t *pack_limit, const char **reason)
{
    char *text = NULL;
    size_t length = 0;
    int32_t error = vr_fileops_read_file(root, "format", VR_STORE_FORMAT_MAX, &text, &length);
    *reason = NULL;
    if (error == -VRIFT_ENOENT) {
        *reason = "it is not a store: it has no format file";
        error = -VRIFT_EINVAL;
    } else if (error == -VRIFT_EFBIG) {
        *reason = "its format file is damaged";
        error = -VRIFT_EUCLEAN;
    } else if (!error) {
        error = parse_format(text, length, pack_limit, reason);
    }
    free(text);
    return error;
}

/* -- Making a store ----------------------------------------------------------------------------------------------- */

static const char *const directories[] = {"objects", "packs", "snapshots", "index", "refs", "workspaces", "tmp"};
#define DIRECTORIES (sizeof directories / sizeof directories[0])

/* Only what a store has: then it is empty, or another process is making it, or one was killed while doing so. */
static int32_t refuse_foreign(const struct vr_fileops_dirent *entry, void *payload)
{
    (void)payload;
    for (size_t i = 0; i < DIRECTORIES; i++)
        if (strcmp(entry->name, directories[i]) == 0)
            return 0;
    return strcmp(entry->name, "format") == 0 ? 0 : -VRIFT_ENOTEMPTY;
}

static int32_t make_directory(int dirfd, const char *name)
{
    return mkdirat(dirfd, name, 0755) == 0 || errno == EEXIST ? 0 : host_error();
}

static int32_t make_directories(int root)
{
    int32_t error = 0;
    for (size_t i = 0; !error && i < DIRECTORIES; i++)
        error = make_directory(root, directories[i]);
    for (unsigned i = 0; !error && i < 256; i++) {
        char name[16];
        snprintf(name, sizeof name, "objects/%02x", i);
        error = make_directory(root, name);
    }
    return error;
}

static int32_t write_format(int root)
{
    struct vr_str text = VR_STR_INIT;
    char limit[48];
    snprintf(limit, sizeof limit, "pack-limit %u\n", VR_STORE_PACK_LIMIT);
    vr_str_append_text(&text, FORMAT_FIRST "version 1\ndigest blake3\n");
    vr_str_append_text(&text, limit);
    struct vr_temp temp;
    int tmp = -1;
    int32_t error = vr_store_add_checksum(&text);
    if (!error && (tmp = openat(root, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        error = host_error();
    if (!error)
        error = vr_temp_begin(tmp, &temp);
    if (!error) {
        error = vr_fileops_write_file(temp.fd, "format", text.data, text.length, 0644, 1);
        if (!error)
            error = vr_durable_rename_new(temp.fd, "format", root, "format");
        vr_temp_end(&temp);
    }
    if (tmp >= 0)
        close(tmp);
    vr_str_dispose(&text);
    return error == -VRIFT_EEXIST ? 0 : error;
}

static int32_t make_store(int root)
{
    struct vrift_stat stat;
    int32_t error = vr_fileops_stat(root, "format", &stat);
    if (error != -VRIFT_ENOENT)
        return error;
    error = vr_fileops_readdir(root, 0, refuse_foreign, NULL);
    if (!error)
        error = make_directories(root);
    return error ? error : write_format(root);
}

/* -- Opening ------------------------------------------------------------------------------------------------------ */

static int32_t open_root(vrift_store *store, int create, struct vrift_error_detail *detail)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    const char *reason = NULL;
    store->root = open(store->path, flags);
    if (store->root < 0 && errno == ENOENT && create) {
        int32_t error = vr_fileops_make_path(store->path, 0755);
        if (error)
            return vr_error_fill(detail, error, "create store", store->path, NULL);
        store->root = open(store->path, flags);
    }
    if (store->root < 0)
        return vr_error_fill(detail, host_error(), "open store", store->path,
                             errno == ENOENT ? "there is no such directory" : NULL);
    int32_t error = create ? make_store(store->root) : 0;
    if (error == -VRIFT_ENOTEMPTY)
        return vr_error_fill(detail, -VRIFT_EINVAL, "create store", store->path, "it is neither a store nor empty");
    if (error)
        return vr_error_fill(detail, error, "create store", store->path, NULL);
    error = vr_store_read_format(store->root, &store->pack_limit, &reason);
    return error ? vr_error_fill(detail, error, "open store", store->path, reason) : 0;
}

static int32_t open_directories(vrift_store *store, struct vrift_error_detail *detail)
{
    int *const fds[] = {&store->objects,  &store->packs, &store->snapshots, &store->index,
                        &store->refs_dir, NULL,          &store->tmp};
    _Static_assert(sizeof fds / sizeof fds[0] == DIRECTORIES, "one descriptor a directory");
    for (size_t i = 0; i < DIRECTORIES; i++) {
        if (!fds[i])
            continue;
        *fds[i] = openat(store->root, directories[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (*fds[i] < 0) {
            int32_t error = errno == ENOENT || errno == ENOTDIR ? -VRIFT_EUCLEAN : host_error();
            char reason[64];
            snprintf(reason, sizeof reason, "its directory %s cannot be opened", directories[i]);
            return vr_error_fill(detail, error, "open store", store->path, reason);
        }
    }
    return 0;
}

static int32_t init_locks(vrift_store *store)
{
    int32_t error = vr_os_mutex_init(&store->packs_lock);
    if (error)
        return error;
    error = vr_os_mutex_init(&store->blobs_lock);
    if (error) {
        vr_os_mutex_destroy(&store->packs_lock);
        return error;
    }
    error = vr_os_mutex_init(&store->scratch_lock);
    if (error) {
        vr_os_mutex_destroy(&store->blobs_lock);
        vr_os_mutex_destroy(&store->packs_lock);
    }
    return error;
}

static vrift_store *allocate(const char *path)
{
    vrift_store *store = vr_alloc_zero(NULL, 1, sizeof *store);
    if (!store)
        return NULL;
    store->path = vr_alloc_string(NULL, path, strlen(path));
    if (!store->path || init_locks(store)) {
        vr_alloc_free(NULL, store->path);
        vr_alloc_free(NULL, store);
        return NULL;
    }
    store->refs = 1;
    store->root = store->objects = store->packs = store->snapshots = store->index = store->refs_dir = store->tmp = -1;
    for (int i = 0; i < VR_STORE_OPEN_BLOBS; i++)
        store->open_blobs[i].fd = -1;
    return store;
}

int32_t vrift_store_open(const char *path, const struct vrift_store_options *options, vrift_store **out)
{
    struct vrift_store_options ours;
    struct vrift_error_detail detail = {0};
    int32_t error = VR_COPYIN(&ours, options);
    if (error)
        return error;
    if (!path || !*path || !out || (ours.flags & ~VRIFT_STORE_CREATE) || ours.durability > VRIFT_DURABILITY_STRICT)
        return -VRIFT_EINVAL;
    vrift_store *store = allocate(path);
    if (!store)
        return -VRIFT_ENOMEM;
    store->durability = ours.durability ? ours.durability : VRIFT_DURABILITY_BATCH;
    error = open_root(store, (ours.flags & VRIFT_STORE_CREATE) != 0, &detail);
    if (!error)
        error = open_directories(store, &detail);
    if (!error)
        vr_temp_reap(store->tmp);
    vr_error_publish(&detail);
    if (error)
        vrift_store_close(store);
    else
        *out = store;
    return error;
}

vrift_store *vr_store_ref(vrift_store *store)
{
    store->refs++;
    return store;
}

static void destroy(vrift_store *store)
{
    const int fds[] = {store->root,  store->objects,  store->packs, store->snapshots,
                       store->index, store->refs_dir, store->tmp};
    if (store->has_scratch)
        vr_temp_end(&store->scratch);
    for (int i = 0; i < VR_STORE_OPEN_BLOBS; i++)
        if (store->open_blobs[i].fd >= 0)
            close(store->open_blobs[i].fd);
    for (struct vr_pack *pack = store->pack_list, *next; pack; pack = next) {
        next = pack->next;
        vr_pack_close(pack);
    }
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    vr_os_mutex_destroy(&store->packs_lock);
    vr_os_mutex_destroy(&store->blobs_lock);
    vr_os_mutex_destroy(&store->scratch_lock);
    vr_alloc_free(NULL, store->path);
    vr_alloc_free(NULL, store);
}

void vrift_store_close(vrift_store *store)
{
    if (store && --store->refs == 0)
        destroy(store);
}

const char *vrift_store_path(vrift_store *store)
{
    return store ? store->path : NULL;
}

/* -- Packs -------------------------------------------------------------------------------------------------------- */

struct pack_scan {
    vrift_store *store;
    int32_t error; /* the first */
};

static int32_t scan_pack(const struct vr_fileops_dirent *entry, void *payload)
{
    struct pack_scan *scan = payload;
    if (entry->length != 69 || strcmp(entry->name + 64, ".pack") != 0)
        return 0;
    for (struct vr_pack *known = scan->store->pack_list; known; known = known->next)
        if (strcmp(known->name, entry->name) == 0)
            return 0;
    struct vr_pack *pack;
    int32_t error = vr_pack_open(scan->store->packs, entry->name, &pack);
    if (error) {
        if (!scan->error)
            scan->error = error;
        return 0;
    }
    /* A store may have more packs than a process may have descriptors. */
    if (scan->store->pack_count++ >= VR_STORE_OPEN_PACKS) {
        close(pack->fd);
        pack->fd = -1;
    }
    pack->next = scan->store->pack_list;
    scan->store->pack_list = pack;
    return 0;
}

int32_t vr_store_scan_packs(vrift_store *store)
{
    struct pack_scan scan = {store, 0};
    vr_os_mutex_lock(&store->packs_lock);
    int32_t error = vr_fileops_readdir(store->packs, 0, scan_pack, &scan);
    vr_os_mutex_unlock(&store->packs_lock);
    return error ? error : scan.error;
}

int32_t vr_store_find_packed(vrift_store *store, const struct vr_digest *digest, const struct vr_pack **pack,
                             struct vr_pack_place *place)
{
    int32_t worst = -VRIFT_ENOENT;
    for (const struct vr_pack *at = store->pack_list; at; at = at->next) {
        int32_t error = vr_pack_find(at, digest, place);
        if (error == 0) {
            *pack = at;
            return 0;
        }
        if (error != -VRIFT_ENOENT)
            worst = error;
    }
    return worst;
}

/* -- Temporary names ---------------------------------------------------------------------------------------------- */

int32_t vr_store_scratch(vrift_store *store, int *dirfd, char name[VR_TEMP_NAME_SIZE])
{
    int32_t error = 0;
    vr_os_mutex_lock(&store->scratch_lock);
    if (!store->has_scratch) {
        error = vr_temp_begin(store->tmp, &store->scratch);
        store->has_scratch = !error;
    }
    if (!error) {
        *dirfd = store->scratch.fd;
        snprintf(name, VR_TEMP_NAME_SIZE, "s%llu", (unsigned long long)store->scratch_count++);
    }
    vr_os_mutex_unlock(&store->scratch_lock);
    return error;
}

int32_t vr_store_write_file(vrift_store *store, int dirfd, const char *name, const void *data, size_t length,
                            uint32_t mode)
{
    char scratch[VR_TEMP_NAME_SIZE];
    int from;
    int32_t error = vr_store_scratch(store, &from, scratch);
    if (!error)
        error = vr_fileops_write_file(from, scratch, data, length, mode, store->durability != VRIFT_DURABILITY_NONE);
    if (!error && mode == 0444)
        error = vr_seal_name(from, scratch);
    if (error)
        return error;
    if (renameat(from, scratch, dirfd, name) != 0) {
        error = host_error();
        unlinkat(from, scratch, 0);
    } else if (store->durability == VRIFT_DURABILITY_STRICT && fsync(dirfd) != 0) {
        error = host_error();
    }
    return error;
}
