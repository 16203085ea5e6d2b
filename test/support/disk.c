/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/disk.h"

#include "support/check.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int make_image(const char *kind, const char *image, unsigned mebibytes)
{
    int fd = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    int failed = ftruncate(fd, (off_t)mebibytes << 20);
    close(fd);
    const char *options = strcmp(kind, "xfs") == 0    ? "xfs -q -m reflink=1"
                          : strcmp(kind, "ext4") == 0 ? "ext4 -q -b 4096"
                                                      : kind;
    char command[4300];
    snprintf(command, sizeof command, "mkfs.%s '%s' >/dev/null 2>&1", options, image);
    return failed ? failed : system(command);
}

void disk_insert(struct disk *disk, const char *kind, unsigned mebibytes)
{
    char image[4200], options[64];
    memset(disk, 0, sizeof *disk);
    if (getuid() != 0) {
        disk->missing = "mounting needs root";
        return;
    }
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        disk->missing = "no mount namespace of its own is allowed here";
        return;
    }
    disk->base = temporary_directory();
    snprintf(disk->path, sizeof disk->path, "%s/mnt", disk->base);
    snprintf(image, sizeof image, "%s/image", disk->base);
    snprintf(options, sizeof options, "size=%um", mebibytes);
    mkdir(disk->path, 0755);
    int failed;
    if (strcmp(kind, "tmpfs") == 0) {
        failed = mount("tmpfs", disk->path, "tmpfs", 0, options);
        disk->missing = failed ? "tmpfs cannot be mounted" : NULL;
    } else {
        failed = make_image(kind, image, mebibytes);
        disk->missing = failed ? "mkfs is missing or failed" : NULL;
        char command[8500];
        snprintf(command, sizeof command, "mount -o loop '%s' '%s' 2>/dev/null", image, disk->path);
        if (!failed && system(command) != 0)
            disk->missing = "the image cannot be mounted";
    }
    if (disk->missing) {
        remove_temporary_directory(disk->base);
        disk->base = NULL;
    }
}

void disk_eject(struct disk *disk)
{
    if (!disk->base)
        return;
    if (umount(disk->path) < 0)
        umount2(disk->path, MNT_DETACH);
    remove_temporary_directory(disk->base);
    disk->base = NULL;
}
