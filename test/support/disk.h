/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * File systems for a test: images in a temporary directory, mounted in a mount namespace of this process's own, so that
 * nothing stays mounted however the test ends.
 */
#ifndef VR_TEST_DISK_H
#define VR_TEST_DISK_H

struct disk {
    char *base; /* temporary directory with the image; NULL if there is no disk */
    char path[4096];
    const char *missing; /* why there is none */
};

/* "xfs" (with reflink), "btrfs", "ext4", or "tmpfs" of so many MiB. disk_eject() also after a failure. */
void disk_insert(struct disk *disk, const char *kind, unsigned mebibytes);
void disk_eject(struct disk *disk);

#endif
