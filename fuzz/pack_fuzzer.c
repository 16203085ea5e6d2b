/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A pack of any bytes: opening, finding and verifying stay within it, and what is wrong with it is found. */
#include "fuzz.h"

#include "store/blake3.h"
#include "store/pack.h"
#include "store/seal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t seed_size;
static uint8_t seed[8192];

/* A pack is opened by name and without following links, so it needs a directory; the verified name is the seed's. */
static char directory[] = "/tmp/vrift-fuzz-XXXXXX";
static char seed_name[VR_PACK_NAME_SIZE];
static int directory_fd = -1;

static void remove_directory(void)
{
    unlinkat(directory_fd, seed_name, 0);
    rmdir(directory);
}

unsigned long vr_fuzz_accepted;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vr_pack *pack = NULL;
    int fd = openat(directory_fd, seed_name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || vr_seal(fd, 0600))
        abort();
    if (vr_pack_open(directory_fd, seed_name, &pack) == 0) {
        vr_fuzz_accepted++;
        volatile uint8_t sum = 0;
        for (uint64_t at = 0; at < pack->count && at < 1000; at++) {
            struct vr_pack_place place;
            if (vr_pack_place(pack, at, &place) != 0)
                continue;
            for (uint32_t i = 0; i < place.stored; i++)
                sum ^= pack->map[place.offset + i];
            uint8_t *blob = malloc(place.length + 1u);
            if (blob)
                vr_pack_read(pack, &place, blob);
            free(blob);
        }
        struct vr_pack_place found;
        struct vr_digest digest;
        memset(&digest, 0, sizeof digest);
        vr_pack_find(pack, &digest, &found);
        const char *problem = vr_pack_verify(pack);
        int whole = size == seed_size && memcmp(data, seed, size) == 0;
        if (whole != (problem == NULL))
            abort(); /* a pack that differs from what was written passed for whole, or the other way round */
        vr_pack_close(pack);
    }
    close(fd);
    return 0;
}

size_t vr_fuzz_seed(uint32_t number, uint8_t *out, size_t capacity)
{
    struct vr_pack_writer writer;
    uint8_t blob[300];
    if (number)
        return 0;
    if (!mkdtemp(directory) || (directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 ||
        atexit(remove_directory))
        abort();
    int fd = memfd_create("pack", MFD_CLOEXEC);
    if (fd < 0 || vr_pack_writer_init(&writer, fd))
        abort();
    for (uint32_t i = 1; i < 12; i++) {
        struct vr_digest digest;
        memset(blob, (int)i, sizeof blob);
        memset(&digest, 0, sizeof digest);
        vr_blake3_hash(blob, i * 25, digest.bytes);
        if (vr_pack_writer_add(&writer, &digest, blob, i * 25, i % 2))
            abort();
    }
    if (vr_pack_writer_finish(&writer, seed_name))
        abort();
    vr_pack_writer_dispose(&writer);
    ssize_t got = pread(fd, seed, sizeof seed, 0);
    close(fd);
    if (got <= 0 || (size_t)got > capacity || (size_t)got == sizeof seed)
        abort();
    seed_size = (size_t)got;
    memcpy(out, seed, seed_size);
    return seed_size;
}
