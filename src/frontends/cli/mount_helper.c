/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "cli/mount_helper.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

/* Of mount(8). */
#define MOUNT_USAGE  1
#define MOUNT_FAILED 32

bool vr_mount_helper_called(const char *name)
{
    const char *slash = name ? strrchr(name, '/') : NULL;
    return name && strncmp(slash ? slash + 1 : name, "mount.", 6) == 0;
}

int vr_mount_helper_arguments(int argc, char **argv, char **out)
{
    static char mount_word[] = "mount", dash_o[] = "-o", none[] = "rw";
    char *options = none;
    int letter, fake = 0;
    while ((letter = getopt(argc, argv, "sfnvN:o:t:")) != -1) {
        if (letter == '?')
            return -MOUNT_USAGE;
        if (letter == 'o')
            options = optarg;
        if (letter == 'f')
            fake = 1;
    }
    if (argc - optind != 2) {
        (void)fprintf(stderr, "usage: %s SOURCE MOUNTPOINT [-sfnv] [-o OPTIONS]\n", argv[0]);
        return -MOUNT_USAGE;
    }
    out[0] = mount_word;
    out[1] = dash_o;
    out[2] = options;
    out[3] = argv[optind];
    out[4] = argv[optind + 1];
    out[5] = NULL;
    return fake;
}

int vr_mount_helper_status(int status)
{
    return status == VR_EXIT_OK ? 0 : status == VR_EXIT_USAGE ? MOUNT_USAGE : MOUNT_FAILED;
}
