/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The detail record of vrift_error_detail(). An operation carries its own struct vrift_error_detail; only the public
 * call's outermost function publishes it to the thread, so worker threads never touch a record that is not theirs.
 */
#ifndef VR_ERROR_H
#define VR_ERROR_H

#include <vrift/error.h>

/*
 * Fills a record and returns `error` unchanged, so that a failing line reads `return vr_error_fill(...)`. operation,
 * path and reason may be NULL. A record that already tells of an error keeps its first one.
 */
int32_t vr_error_fill(struct vrift_error_detail *detail, int32_t error, const char *operation, const char *path,
                      const char *reason);

/* Makes a record the thread's own, to be read by vrift_error_detail(); NULL clears it. Returns detail->error or 0. */
int32_t vr_error_publish(const struct vrift_error_detail *detail);

#endif
