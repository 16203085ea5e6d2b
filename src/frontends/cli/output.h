/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Standard output, buffered, with its first error kept, so that a full disk or a closed pipe is never overlooked. */
#ifndef VR_OUTPUT_H
#define VR_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void vr_output_bytes(const void *bytes, size_t length);
void vr_output_text(const char *text);
void vr_output_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A name or path: as it is in a pipe, control characters as \n, \t, \xHH (and \ as \\) on a terminal. */
void vr_output_name(const char *name);

/* Writes out what is buffered. Answers 0, or the errno of the first write that ever failed. */
int vr_output_flush(void);

/* The errno of the first write that failed, 0: none did. Long listings stop on it. */
int vr_output_error(void);

/* Writes `bytes` as "1.5 MiB" into buf and answers buf. */
const char *vr_output_size(uint64_t bytes, char buf[32]);

#endif
