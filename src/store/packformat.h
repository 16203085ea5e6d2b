/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Where things lie in a pack, for its reader and its writer. */
#ifndef VR_PACKFORMAT_H
#define VR_PACKFORMAT_H

#include "store/pack.h"

/* In an entry of the table. */
#define ENTRY_OFFSET   32
#define ENTRY_STORED   40
#define ENTRY_LENGTH   44
#define ENTRY_ENCODING 48

/* In the trailer. Bytes 24 to 31 and 64 to 95 are zero. */
#define TRAILER_TABLE     8
#define TRAILER_COUNT     16
#define TRAILER_TABLE_SUM 32
#define TRAILER_SUM       96

extern const char vr_pack_magic[6];
extern const char vr_pack_trailer_magic[8];

void vr_pack_record_header(const struct vr_pack_place *place, uint8_t out[VR_PACK_RECORD_SIZE]);

#endif
