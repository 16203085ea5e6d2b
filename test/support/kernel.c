/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/kernel.h"

#include <vrift/vfs.h>

#include <stdio.h>

static int setting(const char *name)
{
    char path[64];
    int value = -1;
    snprintf(path, sizeof path, "/proc/sys/fs/protected_%s", name);
    FILE *file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%d", &value) != 1)
            value = -1;
        fclose(file);
    }
    return value;
}

uint32_t kernel_protection(void)
{
    static const struct {
        const char *name;
        uint32_t from_1, from_2;
    } all[] = {{"symlinks", VRIFT_PROTECT_SYMLINKS, 0},
               {"hardlinks", VRIFT_PROTECT_HARDLINKS, 0},
               {"regular", VRIFT_PROTECT_REGULAR, VRIFT_PROTECT_REGULAR_GROUP},
               {"fifos", VRIFT_PROTECT_FIFOS, VRIFT_PROTECT_FIFOS_GROUP}};
    uint32_t protection = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int value = setting(all[i].name);
        if (value < 0)
            return 0;
        protection |= (value >= 1 ? all[i].from_1 : 0) | (value >= 2 ? all[i].from_2 : 0);
    }
    return protection ? protection : VRIFT_PROTECT_NOTHING;
}
