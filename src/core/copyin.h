/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The one place that knows openat2's rule for structs that grow (kernel: Documentation/process/adding-syscalls.rst). */
#ifndef VR_COPYIN_H
#define VR_COPYIN_H

#include <vrift/types.h>

/*
 * Copies a caller's sized struct to ours of `known` bytes, whose first version had `first` bytes. NULL gives all
 * zeroes. -VRIFT_EINVAL below the first version, -VRIFT_E2BIG for a tail that is not zero. ours->size becomes known.
 */
int32_t vr_copyin(void *ours, size_t known, size_t first, const void *theirs);

/* For a struct type all of whose fields are in the first version. */
#define VR_COPYIN(ours, theirs) vr_copyin((ours), sizeof *(ours), sizeof *(ours), (theirs))

#endif
