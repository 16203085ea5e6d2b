/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The FUSE kernel protocol: <linux/fuse.h>, and under names of our own what the headers of Debian 12 (protocol 7.38)
 * lack, so that newer headers do not clash.
 */
#ifndef VR_FUSE_PROTOCOL_H
#define VR_FUSE_PROTOCOL_H

#include <linux/fuse.h>

#define VR_FUSE_TMPFILE            51 /* opcode, since 7.37 */
#define VR_FUSE_STATX              52 /* opcode, since 7.39 */
#define VR_FUSE_COPY_FILE_RANGE_64 53 /* opcode, since 7.45 */

#define VR_FUSE_NOTIFY_INC_EPOCH 8 /* notification without a body, since 7.44: all entries are to be asked for anew */
#define VR_FUSE_INC_EPOCH_MINOR  44
#define VR_FUSE_FMODE_EXEC       0x20 /* in the flags of OPEN: it is opened for exec; the kernel's __FMODE_EXEC */

/* FUSE_STATX. */
struct vr_fuse_statx_in {
    uint32_t getattr_flags, reserved;
    uint64_t fh;
    uint32_t sx_flags, sx_mask;
};

struct vr_fuse_time {
    int64_t sec;
    uint32_t nsec;
    int32_t reserved;
};

struct vr_fuse_statx_out {
    uint64_t attr_valid;
    uint32_t attr_valid_nsec, flags;
    uint64_t spare[2];
    uint32_t mask, blksize; /* from here on as struct statx of statx(2) */
    uint64_t attributes;
    uint32_t nlink, uid, gid;
    uint16_t mode, spare0;
    uint64_t ino, size, blocks, attributes_mask;
    struct vr_fuse_time atime, btime, ctime, mtime;
    uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
    uint64_t spare2[14];
};

/* The oldest kernel protocol that is served: 7.31, Linux 5.4, where zero-message opens are for directories too. */
#define VR_FUSE_OLDEST_MINOR 31

/* The protocol whose structs this server fills. */
#define VR_FUSE_SPOKEN_MINOR 38

/*
 * How long an answer is valid, seconds. The kernel adds it to its clock as a signed number; this is 68 years.
 */
#define VR_FUSE_FOREVER 0x7fffffffu

#endif
