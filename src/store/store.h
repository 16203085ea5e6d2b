/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* An open store: its directories, what it has found in them so far, and its share of descriptors. */
#ifndef VR_STORE_H
#define VR_STORE_H

#include "core/error.h"
#include "platform/os.h"
#include "store/digest.h"
#include "store/pack.h"
#include "store/temp.h"

#include <vrift/store.h>

#define VR_STORE_VERSION    1
#define VR_STORE_PACK_LIMIT 16384u
#define VR_STORE_OPEN_BLOBS 32 /* loose blobs kept open for reading */
#define VR_STORE_OPEN_PACKS 64 /* packs that keep a descriptor beside their mapping */
#define VR_STORE_FORMAT_MAX 4096u

/* A loose blob that stays open between reads. */
struct vr_store_open_blob {
    struct vr_digest digest;
    int fd;          /* -1: free */
    uint32_t users;  /* reads under way; not closed before 0 */
    uint64_t stamp;  /* of the last use */
    uint64_t length; /* bytes */
};

struct vrift_store {
    _Atomic uint32_t refs; /* the caller's, and one for each snapshot and workspace */
    char *path;
    int root; /* descriptors of the store's directories, open as long as the store */
    int objects;
    int packs;
    int snapshots;
    int index;
    int refs_dir;
    int tmp;
    uint32_t durability; /* VRIFT_DURABILITY_..., never DEFAULT */
    uint32_t pack_limit; /* blobs of at most this many bytes go to packs */

    /* Grows at its head, under packs_lock; read without a lock. Packs are closed with the store only. */
    _Atomic(struct vr_pack *) pack_list;
    uint32_t pack_count; /* packs_lock */
    vr_os_mutex packs_lock;

    struct vr_store_open_blob open_blobs[VR_STORE_OPEN_BLOBS]; /* blobs_lock */
    uint64_t open_stamp;                                       /* blobs_lock */
    vr_os_mutex blobs_lock;

    struct vr_temp scratch; /* for promoted blobs, refs, indexes; scratch_lock guards making it */
    uint32_t has_scratch;   /* scratch_lock */
    uint64_t scratch_count; /* scratch_lock: numbers the names given out */
    vr_os_mutex scratch_lock;
};

vrift_store *vr_store_ref(vrift_store *store);

/* Opens packs that appeared since the last look. 0, or the first error; what could be opened is used all the same. */
int32_t vr_store_scan_packs(vrift_store *store);

/* Finds a blob in the packs known so far; as vr_pack_find(). */
int32_t vr_store_find_packed(vrift_store *store, const struct vr_digest *digest, const struct vr_pack **pack,
                             struct vr_pack_place *place);

/* A fresh name in the store's own temporary directory, which *dirfd is. */
int32_t vr_store_scratch(vrift_store *store, int *dirfd, char name[VR_TEMP_NAME_SIZE]);

/* Writes a small file and renames it into place, by way of the temporary directory; syncs as durability says. */
int32_t vr_store_write_file(vrift_store *store, int dirfd, const char *name, const void *data, size_t length,
                            uint32_t mode);

/* The text of a file whose last line is "checksum HEX" of all before it, appended to what the caller began. */
int32_t vr_store_add_checksum(struct vr_str *text);

/* Checks that line and answers the length of what is before it. 0 or -VRIFT_EUCLEAN. */
int32_t vr_store_check_checksum(const char *text, size_t length, size_t *out);

/* Reads and checks the format file of a store directory; *pack_limit may be NULL. As vrift_store_open(). */
int32_t vr_store_read_format(int root, uint32_t *pack_limit, const char **reason);

#endif
