/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the measuring programs share: a clock, medians, and giving up. */
#ifndef VRIFT_BENCH_SUPPORT_H
#define VRIFT_BENCH_SUPPORT_H

#include <stddef.h>
#include <stdint.h>

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t bench_now(void);

/* Nanoseconds of CPU time of the calling thread: what others do on the machine is not in it. */
uint64_t bench_cpu(void);

/* The median of count numbers; sorts them. */
double bench_median(double *numbers, size_t count);

/* Ends the program with a line on stderr when a result of the library or the kernel is negative. */
int64_t bench_must(int64_t result, const char *what);

/* Memory, or the end of the program. */
void *bench_memory(size_t count, size_t size);

#endif
