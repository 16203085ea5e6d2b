/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The inside of a session, for the files that make it up. */
#ifndef VR_INGESTSESSION_H
#define VR_INGESTSESSION_H

#include "store/digestset.h"
#include "store/ingest.h"
#include "store/links.h"
#include "store/pack.h"

/* A loose blob that waits in the temporary directory, under its digest's digits. */
struct vr_ingest_loose {
    struct vr_digest digest;
    uint64_t length;
};

/* An inode of the host with more than one name. */
struct vr_ingest_inode {
    uint64_t dev;
    uint64_t ino;
    struct vrift_stat seen;
    struct vr_digest digest; /* of the content that was read when it looked as seen */
    uint32_t has_digest;
    uint32_t next; /* in its bucket, number + 1; 0: none */
};

#define VR_INGEST_BUCKETS 4096u
#define VR_INGEST_NAME    32 /* of a file without a digest */

struct vr_ingest {
    vrift_store *store;
    struct vrift_error_detail *detail; /* lock */
    const char *base;                  /* of the paths in messages, or NULL */
    _Atomic int32_t error;             /* the first */
    uint32_t timeless;
    struct vr_temp temp;

    vr_os_mutex lock;
    struct vr_digestset handled;   /* lock: blobs that are stored or about to be */
    struct vr_digest *forsaken;    /* lock: of those, blobs that were not stored after all, and are nobody's now */
    size_t forsaken_count;         /* lock */
    struct vr_pack_writer writer;  /* lock */
    uint32_t writing;              /* lock: writer is in use */
    struct vr_pack *packs;         /* lock: finished ones, in the temporary directory */
    struct vr_ingest_loose *loose; /* lock */
    size_t loose_count;            /* lock */
    size_t loose_capacity;         /* lock */
    uint64_t unnamed;              /* lock: numbers files without a digest */
    uint64_t new_blobs;            /* lock */
    uint64_t stored_bytes;         /* lock */
    struct vr_links links;         /* lock */

    struct vr_ingest_inode *inodes; /* lock */
    uint32_t inode_count;           /* lock */
    uint32_t inode_capacity;        /* lock */
    uint32_t *buckets;              /* lock: VR_INGEST_BUCKETS numbers + 1 */

    vrift_progress_fn progress;
    void *payload;
    vr_os_mutex progress_lock; /* held while progress is called */
    _Atomic uint64_t files_done;
    _Atomic uint64_t bytes_done;
    _Atomic uint64_t next_report; /* monotonic time at which to call progress again */
};

/* Says that a blob is to be stored: 1 if the caller must do so, 0 if it is or will be, or an error. */
int32_t vr_ingest_claim(struct vr_ingest *ingest, const struct vr_digest *digest, uint64_t length);

/*
 * Gives a claimed blob up, removing what was written of it: the file turned out to have another content. It may be
 * claimed anew; if nobody does so who needs it, the session fails.
 */
int32_t vr_ingest_forsake(struct vr_ingest *ingest, const struct vr_digest *digest);

/* Stores a claimed blob of which all is in memory. */
int32_t vr_ingest_store(struct vr_ingest *ingest, const struct vr_digest *digest, const void *data, size_t length);

/* Makes the file in which a claimed large blob is to be written; a descriptor or an error. */
int32_t vr_ingest_create(struct vr_ingest *ingest, const struct vr_digest *digest);

/* The same for a blob whose digest is not known yet, and giving the file its name when it is claimed. */
int32_t vr_ingest_create_unnamed(struct vr_ingest *ingest, char name[VR_INGEST_NAME]);
int32_t vr_ingest_rename(struct vr_ingest *ingest, const char *name, const struct vr_digest *digest);

/* Seals and closes that file, and enters it among those to publish. */
int32_t vr_ingest_close(struct vr_ingest *ingest, const struct vr_digest *digest, int fd, uint64_t length);

/* Ends the pack being written. */
int32_t vr_ingest_end_pack(struct vr_ingest *ingest);

/* The first content digest read for a host inode that still looks as stat says: 1 and *out, or 0. */
int vr_ingest_known_inode(struct vr_ingest *ingest, const struct vrift_stat *stat, struct vr_digest *out);

/* Records a name of a host inode with several; digest NULL if it has no content. */
int32_t vr_ingest_add_inode(struct vr_ingest *ingest, const struct vrift_stat *stat, const struct vr_digest *digest,
                            const char *path);

void vr_ingest_free(struct vr_ingest *ingest);

#endif
