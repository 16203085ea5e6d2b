/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <string.h>
#include <sys/stat.h>

#include <vrift/snapshot.h>
#include <vrift/store.h>

#include "cli/cli.h"
#include "cli/locate.h"
#include "cli/options.h"
#include "cli/report.h"
#include "fuse/mount.h"

enum { FOREGROUND, OPTS };
static const struct vr_option mount_options[] = {
    [FOREGROUND] = {"foreground", 'f', NULL, "serve in this process until it is unmounted"},
    [OPTS] = {"options", 'o', "OPTS", "mount options, with commas between; now only ro"},
    {NULL, 0, NULL, NULL},
};

static int check_options(const struct vr_arguments *arguments, const char *text)
{
    while (text && *text) {
        size_t length = strcspn(text, ",");
        if (length != 2 || memcmp(text, "ro", 2) != 0)
            return vr_report_usage(arguments, text, "unknown mount option");
        text += length + (text[length] == ',');
    }
    return 0;
}

/* The snapshot that SOURCE means, or NULL after having said that it means something of a later version. */
static const char *source_snapshot(const struct vr_arguments *arguments, const char *source, int *status)
{
    static const char *const later[] = {"mem:", "dir:", "ws:", "overlay:"};
    struct stat there;
    *status = 0;
    if (strncmp(source, "snap:", 5) == 0)
        return source + 5;
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        if (strncmp(source, later[i], strlen(later[i])) == 0) {
            *status = vr_report_not_built(arguments, later[i]);
            return NULL;
        }
    }
    if (strchr(source, '/') && stat(source, &there) == 0) {
        *status = vr_report_failure(arguments, source, "mounting a directory is not built yet");
        return NULL;
    }
    return source;
}

static int mount_command(const struct vr_arguments *arguments)
{
    struct vr_mount_options how = {
        .source = arguments->operands[0],
        .foreground = vr_options_value(arguments, FOREGROUND) != NULL,
    };
    vrift_store *store = NULL;
    vrift_snapshot *snapshot = NULL;
    int status = check_options(arguments, vr_options_value(arguments, OPTS));
    const char *snap = status ? NULL : source_snapshot(arguments, arguments->operands[0], &status);
    if (status == 0)
        status = vr_locate_store(arguments, false, &store);
    if (status == 0)
        status = vr_locate_snapshot(arguments, store, snap, &snapshot);
    if (status == 0 && vr_mount_snapshot(snapshot, arguments->operands[1], &how) < 0)
        status = VR_EXIT_FAILED; /* it has said why */
    vrift_snapshot_unref(snapshot);
    vrift_store_close(store);
    return status;
}

static int umount_command(const struct vr_arguments *arguments)
{
    return vr_mount_umount(arguments->operands[0]) < 0 ? VR_EXIT_FAILED : VR_EXIT_OK;
}

const struct vr_command vr_cmd_mount = {
    .name = "mount",
    .synopses = {"mount SOURCE MOUNTPOINT [-f] [-o OPTS]"},
    .summary = "mount a snapshot, read-only",
    .description = "Mounts the snapshot SOURCE, written as snap:SNAP or SNAP, on the directory MOUNTPOINT\n"
                   "through FUSE: as root, or with fusermount3. Mounting costs the same whatever the size\n"
                   "of the tree. A process in the background serves it until it is unmounted; with -f it\n"
                   "is this one.\n",
    .options = mount_options,
    .min_operands = 2,
    .max_operands = 2,
    .flags = VR_COMMAND_NO_JSON,
    .run = mount_command,
};

const struct vr_command vr_cmd_umount = {
    .name = "umount",
    .synopses = {"umount MOUNTPOINT"},
    .summary = "unmount what vrift mount mounted",
    .description = "Unmounts what vrift mount mounted on MOUNTPOINT, and nothing else.\n",
    .min_operands = 1,
    .max_operands = 1,
    .flags = VR_COMMAND_NO_JSON,
    .run = umount_command,
};
