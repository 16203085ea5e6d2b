/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Blobs, wherever they lie: in a pack, or as a loose file objects/XX/YYYY (and YYYY-x, its executable twin, a separate
 * inode, so that no chmod ever reaches a shared one). A blob of no bytes does not exist; callers never ask for it.
 */
#ifndef VR_BLOB_H
#define VR_BLOB_H

#include "store/store.h"

#define VR_BLOB_NAME_SIZE 72 /* "XX/" and 62 digits, "-x", NUL */

/* The name of the loose file within store->objects, whether or not it exists. */
void vr_blob_name(const struct vr_digest *digest, int executable, char out[VR_BLOB_NAME_SIZE]);

/* Whether the store has the blob with this length; a loose file of another length, torn by a power cut, is no blob. */
int vr_blob_have(vrift_store *store, const struct vr_digest *digest, uint64_t length);

/* A whole small blob in memory. */
struct vr_blob {
    const uint8_t *data;
    size_t length;
    void *owned; /* NULL if data lies in a pack */
};

/* Reads and checks against the digest. 0; -VRIFT_EIO if it is missing; -VRIFT_EUCLEAN; -VRIFT_EFBIG over max. */
int32_t vr_blob_load(vrift_store *store, const struct vr_digest *digest, size_t max, struct vr_blob *out);
void vr_blob_release(struct vr_blob *blob);

/* The blob at a place in a pack, not checked against its digest. 0; -VRIFT_EUCLEAN; -VRIFT_ENOMEM. */
struct vr_pack;
struct vr_pack_place;
int32_t vr_blob_packed(const struct vr_pack *pack, const struct vr_pack_place *place, struct vr_blob *out);

/* As vrift_snapshot_pread() on a file of this content and length. */
int64_t vr_blob_pread(vrift_store *store, const struct vr_digest *digest, uint64_t length, void *buf, size_t len,
                      uint64_t offset);

/* As vrift_snapshot_open_blob(). */
int32_t vr_blob_open(vrift_store *store, const struct vr_digest *digest, uint64_t length, int32_t *fd,
                     uint64_t *offset);

/* As vrift_snapshot_seek(). */
int64_t vr_blob_seek(vrift_store *store, const struct vr_digest *digest, uint64_t length, uint64_t offset,
                     int32_t whence);

/*
 * Makes a hard link to the blob's inode (with executable set: to the 0555 one) under a new name. The inode is made
 * first if the blob is packed or has no executable twin yet. Its mode is 0444 or 0555, its mtime 1 s after the epoch,
 * its owner the store's. 0; -VRIFT_EEXIST; -VRIFT_EXDEV, -VRIFT_EMLINK, -VRIFT_EPERM as linkat(2); -VRIFT_EIO.
 */
int32_t vr_blob_link(vrift_store *store, const struct vr_digest *digest, uint64_t length, int executable, int dirfd,
                     const char *name);

/* Gives a finished file its final attributes: mode, mtime; syncs it if the store is strict. */
int32_t vr_blob_seal(vrift_store *store, int fd, int executable);

/* Moves a sealed file into place; if the blob is there already with this length, removes the file instead. */
int32_t vr_blob_publish(vrift_store *store, int from, const char *name, const struct vr_digest *digest, int executable,
                        uint64_t length);

#endif
