/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * How long it takes to open a store and a snapshot, and to look the first path up in it, by the snapshot's size.
 * Everything is closed between the rounds; the file cache is warm.
 *
 *   open_bench STORE ROUNDS {ENTRIES ID PATH}...     prints a JSON array
 */
#include <stdio.h>
#include <stdlib.h>

#include <vrift/vrift.h>

#include "support.h"

struct times {
    double *store, *open, *lookup;
};

static void measure(const char *path, const char *id, const char *name, struct times *times, size_t round)
{
    struct vrift_digest digest;
    struct vrift_stat stat;
    vrift_store *store;
    vrift_snapshot *snapshot;
    uint64_t entry;

    bench_must(vrift_digest_parse(id, &digest), id);
    uint64_t start = bench_now();
    bench_must(vrift_store_open(path, NULL, &store), path);
    uint64_t opened_store = bench_now();
    bench_must(vrift_snapshot_open(store, &digest, &snapshot), id);
    uint64_t opened = bench_now();
    bench_must(vrift_snapshot_walk(snapshot, name, &entry), name);
    bench_must(vrift_snapshot_stat(snapshot, entry, &stat), name);
    uint64_t looked_up = bench_now();

    times->store[round] = (double)(opened_store - start) / 1000;
    times->open[round] = (double)(opened - opened_store) / 1000;
    times->lookup[round] = (double)(looked_up - opened) / 1000;
    vrift_snapshot_unref(snapshot);
    vrift_store_close(store);
}

int main(int argc, char **argv)
{
    if (argc < 6 || argc % 3 != 0 || atoi(argv[2]) < 1) {
        fprintf(stderr, "usage: open_bench STORE ROUNDS {ENTRIES ID PATH}...\n");
        return 2;
    }
    size_t rounds = (size_t)atoi(argv[2]), count = (size_t)(argc - 3) / 3;
    struct times *times = bench_memory(count, sizeof(*times));
    for (size_t i = 0; i < count; i++) {
        times[i].store = bench_memory(rounds, sizeof(double));
        times[i].open = bench_memory(rounds, sizeof(double));
        times[i].lookup = bench_memory(rounds, sizeof(double));
        measure(argv[1], argv[4 + 3 * i], argv[5 + 3 * i], &times[i], 0);
    }
    for (size_t round = 0; round < rounds; round++)
        for (size_t i = 0; i < count; i++)
            measure(argv[1], argv[4 + 3 * i], argv[5 + 3 * i], &times[i], round);
    printf("[\n");
    for (size_t i = 0; i < count; i++) {
        printf("{\"entries\": %s, \"store_us\": %.1f, \"open_us\": %.1f, \"lookup_us\": %.1f}%s\n", argv[3 + 3 * i],
               bench_median(times[i].store, rounds), bench_median(times[i].open, rounds),
               bench_median(times[i].lookup, rounds), i + 1 < count ? "," : "");
        free(times[i].store);
        free(times[i].open);
        free(times[i].lookup);
    }
    printf("]\n");
    free(times);
    return 0;
}
