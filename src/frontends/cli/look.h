/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Attributes in the form people read. */
#ifndef VR_LOOK_H
#define VR_LOOK_H

#include <stdint.h>

#include <vrift/store.h>
#include <vrift/types.h>

/* "file", "directory", "symlink", "fifo", "socket", "character device", "block device". */
const char *vr_look_type(uint32_t mode);

/* The ten characters of ls -l. Answers buf. */
const char *vr_look_mode(uint32_t mode, char buf[11]);

/* "2026-11-20 10:39:05.123456789" in UTC, or seconds where the year does not fit. Answers buf. */
const char *vr_look_time(const struct vrift_timespec *time, char buf[64]);

/* "12 cloned, 3 copied (clone: operation not supported)". Answers buf. */
const char *vr_look_rungs(const struct vrift_rungs *rungs, char buf[512]);

#endif
