/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the measuring programs share. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <vrift/error.h>

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

uint64_t bench_now(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t bench_cpu(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double bench_median(double *numbers, size_t count)
{
    qsort(numbers, count, sizeof(*numbers), compare);
    return count % 2 ? numbers[count / 2] : (numbers[count / 2 - 1] + numbers[count / 2]) / 2;
}

int64_t bench_must(int64_t result, const char *what)
{
    if (result < 0) {
        fprintf(stderr, "%s: %s\n", what, vrift_err_name((int32_t)result));
        exit(1);
    }
    return result;
}

void *bench_memory(size_t count, size_t size)
{
    void *memory = calloc(count, size);

    if (!memory)
        bench_must(-VRIFT_ENOMEM, "memory");
    return memory;
}
