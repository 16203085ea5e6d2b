/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The FUSE kernel protocol: <linux/fuse.h>, and under names of our own what the headers of Debian 12 (protocol 7.38)
 * lack, so that newer headers do not clash.
 */
#ifndef VR_FUSE_PROTOCOL_H
#define VR_FUSE_PROTOCOL_H

#include <linux/fuse.h>

#define VR_FUSE_STATX              52 /* opcode, since 7.39 */
#define VR_FUSE_COPY_FILE_RANGE_64 53 /* opcode, since 7.45 */

/* The oldest kernel protocol that is served: 7.31, Linux 5.4, where zero-message opens are for directories too. */
#define VR_FUSE_OLDEST_MINOR 31

/* The protocol whose structs this server fills. */
#define VR_FUSE_SPOKEN_MINOR 38

/*
 * How long an answer is valid, seconds. The kernel adds it to its clock as a signed number; this is 68 years.
 */
#define VR_FUSE_FOREVER 0x7fffffffu

#endif
