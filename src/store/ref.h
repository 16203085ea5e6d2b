/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Refs: names for snapshots, each a small text file with a checksum (docs/formats.md, "Ref"). */
#ifndef VR_REF_H
#define VR_REF_H

#include "store/namelist.h"
#include "store/store.h"

/* Whether a text may be the name of a ref. */
int vr_ref_name_valid(const char *name);

/* Reads a ref whose name is valid; as vrift_ref_get(). */
int32_t vr_ref_read(vrift_store *store, const char *name, struct vr_digest *out);

/* Adds the names of all refs, sorted; files that could not be refs are left out unless all is set. */
int32_t vr_ref_names(vrift_store *store, int all, struct vr_namelist *out);

#endif
