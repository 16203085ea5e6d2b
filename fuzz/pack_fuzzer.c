/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A pack of any bytes: opening, finding and verifying stay within it, and what is wrong with it is found. */
#include "fuzz.h"

#include "store/blake3.h"
#include "store/pack.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t seed_size;
static uint8_t seed[8192];

static void name_of(int fd, char name[64])
{
    snprintf(name, 64, "/proc/self/fd/%d", fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[64];
    struct vr_pack *pack = NULL;
    int fd = memfd_create("pack", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    name_of(fd, name);
    if (vr_pack_open(AT_FDCWD, name, &pack) == 0) {
        volatile uint8_t sum = 0;
        for (uint64_t at = 0; at < pack->count && at < 1000; at++) {
            struct vr_pack_place place;
            if (vr_pack_place(pack, at, &place) == 0)
                for (uint32_t i = 0; i < place.stored; i++)
                    sum ^= pack->map[place.offset + i];
        }
        struct vr_pack_place found;
        struct vr_digest digest;
        memset(&digest, 0, sizeof digest);
        vr_pack_find(pack, &digest, &found);
        if (vr_pack_verify(pack) == NULL && (size != seed_size || memcmp(data, seed, size) != 0))
            abort(); /* a pack that differs from what was written passed for whole */
        vr_pack_close(pack);
    }
    close(fd);
    return 0;
}

size_t vr_fuzz_seed(uint32_t number, uint8_t *out, size_t capacity)
{
    struct vr_pack_writer writer;
    char name[VR_PACK_NAME_SIZE];
    uint8_t blob[300];
    if (number)
        return 0;
    int fd = memfd_create("pack", MFD_CLOEXEC);
    if (fd < 0 || vr_pack_writer_init(&writer, fd))
        abort();
    for (uint32_t i = 1; i < 12; i++) {
        struct vr_digest digest;
        memset(blob, (int)i, sizeof blob);
        memset(&digest, 0, sizeof digest);
        vr_blake3_hash(blob, i * 25, digest.bytes);
        if (vr_pack_writer_add(&writer, &digest, blob, i * 25))
            abort();
    }
    if (vr_pack_writer_finish(&writer, name))
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
