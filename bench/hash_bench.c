/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * How fast the store's hash is on one thread, on data in the processor's cache.
 *
 *   hash_bench SIZE     hashes messages of SIZE bytes for 50 ms of CPU time; prints a JSON object
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/blake3.h"
#include "support.h"

int main(int argc, char **argv)
{
    long size = argc == 2 ? atol(argv[1]) : 0;
    uint8_t out[VR_BLAKE3_OUT_LEN];

    if (size < 1) {
        fprintf(stderr, "usage: hash_bench SIZE\n");
        return 2;
    }
    uint8_t *data = bench_memory((size_t)size, 1);
    for (long i = 0; i < size; i++)
        data[i] = (uint8_t)(i * 31 + (i >> 8));
    uint64_t start = bench_cpu(), now = start, hashed = 0;
    while (now - start < 50000000) {
        for (long i = 0; i <= (256 << 10) / size; i++) {
            vr_blake3_hash(data, (size_t)size, out);
            data[0] ^= out[0]; /* no two messages are the same */
            hashed += (uint64_t)size;
        }
        now = bench_cpu();
    }
    printf("{\"kind\": \"BLAKE3 (%s)\", \"gb_per_s\": %.4f}\n", vr_blake3_kernel(),
           (double)hashed / (double)(now - start));
    free(data);
    return 0;
}
