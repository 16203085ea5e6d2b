/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Runs a fuzzer without libFuzzer: the seeds, then mutations of them, the same for the same --seed.
 *
 *   NAME_fuzzer [--runs N] [--seed S] [FILE...]
 *
 * A fuzzer is one file with LLVMFuzzerTestOneInput(), so that it can also be linked with -fsanitize=fuzzer, and
 * vr_fuzz_seed(), which makes well-formed inputs: mutations of these get deeper than noise does.
 */
#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INPUT 65536u

static uint64_t random_state;

static uint32_t random_below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) % bound);
}

/* One of: flip a bit, set a byte to an odd value, overwrite a number, cut, double a piece. */
static size_t mutate(uint8_t *data, size_t size)
{
    static const uint64_t odd[] = {0,         1, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, 0xffffffff, 0x8000000000000000,
                                   UINT64_MAX};
    if (!size)
        return 0;
    uint32_t at = random_below((uint32_t)size);
    switch (random_below(5)) {
    case 0:
        data[at] ^= (uint8_t)(1u << random_below(8));
        break;
    case 1:
        data[at] = (uint8_t)random_below(256);
        break;
    case 2: {
        uint64_t value = odd[random_below(sizeof odd / sizeof odd[0])] + random_below(3) - 1;
        size_t width = (size_t)1 << random_below(4);
        memcpy(data + at, &value, width < size - at ? width : size - at);
        break;
    }
    case 3:
        return at;
    default: {
        size_t length = random_below(64) + 1;
        if (length > size - at)
            length = size - at;
        if (size + length > MAX_INPUT)
            break;
        memmove(data + at + length, data + at, size - at);
        return size + length;
    }
    }
    return size;
}

static void run_mutations(const uint8_t *seed, size_t seed_size, unsigned long runs)
{
    uint8_t *data = malloc(MAX_INPUT);
    if (!data)
        abort();
    for (unsigned long i = 0; i < runs; i++) {
        size_t size = seed_size < MAX_INPUT ? seed_size : MAX_INPUT;
        memcpy(data, seed, size);
        for (uint32_t changes = random_below(6) + 1; changes; changes--)
            size = mutate(data, size);
        /* Memory of exactly the right size, so that a sanitizer sees a read past its end. */
        uint8_t *exact = malloc(size ? size : 1);
        if (!exact)
            abort();
        memcpy(exact, data, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
    free(data);
}

static int run_file(const char *path, unsigned long runs)
{
    uint8_t *data = malloc(MAX_INPUT);
    FILE *file = fopen(path, "rb");
    if (!data || !file) {
        fprintf(stderr, "cannot read %s\n", path);
        free(data);
        return 1;
    }
    size_t size = fread(data, 1, MAX_INPUT, file);
    fclose(file);
    LLVMFuzzerTestOneInput(data, size);
    run_mutations(data, size, runs);
    free(data);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned long runs = 20000;
    int at = 1, status = 0;
    random_state = 88172645463325252u;
    for (; at + 1 < argc && argv[at][0] == '-'; at += 2) {
        if (strcmp(argv[at], "--runs") == 0)
            runs = strtoul(argv[at + 1], NULL, 10);
        else if (strcmp(argv[at], "--seed") == 0)
            random_state ^= strtoull(argv[at + 1], NULL, 10) * 0x9e3779b97f4a7c15u;
        else
            return 2;
    }
    uint8_t *seed = malloc(MAX_INPUT);
    if (!seed)
        return 1;
    uint32_t seeds = 0;
    size_t size;
    for (; (size = vr_fuzz_seed(seeds, seed, MAX_INPUT)) != 0; seeds++) {
        unsigned long before = vr_fuzz_accepted;
        LLVMFuzzerTestOneInput(seed, size);
        if (vr_fuzz_accepted == before) {
            fprintf(stderr, "seed %u was refused\n", (unsigned)seeds);
            status = 1;
        }
        run_mutations(seed, size, runs);
    }
    free(seed);
    for (; at < argc; at++)
        status |= run_file(argv[at], runs);
    printf("%u seeds, %lu mutations of each\n", (unsigned)seeds, runs);
    return status | !seeds;
}
