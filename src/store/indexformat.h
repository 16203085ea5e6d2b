/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Where things lie in an index, for its reader and its builder. */
#ifndef VR_INDEXFORMAT_H
#define VR_INDEXFORMAT_H

#include "store/index.h"

/* In the header. Bytes between HEADER_END and HEADER_BODY_SUM are zero. */
#define HEADER_VERSION     6
#define HEADER_SIZE_FIELD  8
#define HEADER_RECORD_SIZE 12
#define HEADER_ID          16
#define HEADER_TREE        48
#define HEADER_FLAGS       80
#define HEADER_SLOT_BITS   84
#define HEADER_ENTRIES     88
#define HEADER_FILES       96
#define HEADER_DIRECTORIES 104
#define HEADER_SYMLINKS    112
#define HEADER_SPECIALS    120
#define HEADER_BYTES       128
#define HEADER_RECORDS     136
#define HEADER_DIGESTS     144
#define HEADER_DIGEST_NUM  152
#define HEADER_SLOTS       160
#define HEADER_STRINGS     168
#define HEADER_STRINGS_LEN 176
#define HEADER_XATTRS      184
#define HEADER_XATTRS_LEN  192
#define HEADER_FILE_SIZE   200
#define HEADER_END         208
#define HEADER_BODY_SUM    448
#define HEADER_SUM         480

#define FLAG_TIMELESS 1u

/* In a record. Byte 11 is zero. */
#define RECORD_PARENT      0
#define RECORD_NAME        4
#define RECORD_NAME_LENGTH 8
#define RECORD_TYPE        10
#define RECORD_MODE        12
#define RECORD_UID         16
#define RECORD_GID         20
#define RECORD_SECONDS     24
#define RECORD_NANOSECONDS 32
#define RECORD_NLINK       36
#define RECORD_SIZE        40 /* of a device: rdev */
#define RECORD_DIGEST      48
#define RECORD_XATTRS      52
#define RECORD_INODE       56
#define RECORD_LINK        60 /* first child, or where the symlink's text starts */

/* A search that meets this many full slots goes on as a binary search among the directory's children. */
#define PROBE_LIMIT 64u

extern const char vr_index_magic[6];

#endif
