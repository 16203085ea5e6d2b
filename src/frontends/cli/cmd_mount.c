/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    [OPTS] = {"options", 'o', "OPTS", "mount options, with commas between"},
    {NULL, 0, NULL, NULL},
};

static int mount_snapshot(const struct vr_arguments *arguments, const char *snap, const struct vr_mount_options *how)
{
    vrift_store *store = NULL;
    vrift_snapshot *snapshot = NULL;
    int status = vr_locate_store(arguments, false, &store);
    if (status == 0)
        status = vr_locate_snapshot(arguments, store, snap, &snapshot);
    if (status == 0 && vr_mount_snapshot(snapshot, arguments->operands[1], how) < 0)
        status = VR_EXIT_FAILED; /* it has said why */
    vrift_snapshot_unref(snapshot);
    vrift_store_close(store);
    return status;
}

static int mount_tree(const struct vr_arguments *arguments, struct vr_mount_tree *tree,
                      const struct vr_mount_options *how)
{
    int status = tree->kind == VR_MOUNT_WORKSPACE ? vr_locate_store(arguments, false, &tree->store) : 0;
    if (status == 0 && vr_mount_tree(tree, arguments->operands[1], how) < 0)
        status = VR_EXIT_FAILED; /* it has said why */
    vrift_store_close(tree->store);
    return status;
}

static int check_overlay(const struct vr_arguments *arguments, const struct vr_mount_tree *tree)
{
    if (!tree->lower)
        return vr_report_usage(arguments, "overlay:", "needs -o lowerdir=");
    if (!tree->upper != !tree->work)
        return vr_report_usage(arguments, "overlay:", "needs both of -o upperdir= and workdir=, or neither");
    return 0;
}

static const char *after(const char *text, const char *prefix)
{
    size_t length = strlen(prefix);
    return strncmp(text, prefix, length) == 0 ? text + length : NULL;
}

/* A word with a slash is a directory where there is one, and so are the dots; else it is a ref or an id. */
static int is_directory(const char *source)
{
    struct stat there;
    int path = strchr(source, '/') || strcmp(source, ".") == 0 || strcmp(source, "..") == 0;
    return path && stat(source, &there) == 0;
}

static int mount_source(const struct vr_arguments *arguments, struct vr_mount_tree *tree, struct vr_mount_options *how)
{
    const char *source = arguments->operands[0], *path;
    if (strcmp(source, "mem:") == 0) {
        tree->kind = VR_MOUNT_MEM;
        return mount_tree(arguments, tree, how);
    }
    if (strcmp(source, "overlay:") == 0) {
        int status = check_overlay(arguments, tree);
        tree->kind = VR_MOUNT_OVERLAY;
        if (!tree->upper)
            how->flags |= VR_MOUNT_RDONLY;
        return status ? status : mount_tree(arguments, tree, how);
    }
    if ((path = after(source, "dir:")) || (is_directory(source) && (path = source))) {
        tree->kind = VR_MOUNT_DIR;
        tree->path = path;
        return mount_tree(arguments, tree, how);
    }
    if ((path = after(source, "ws:"))) {
        tree->kind = VR_MOUNT_WORKSPACE;
        tree->path = path;
        return mount_tree(arguments, tree, how);
    }
    path = after(source, "snap:");
    return mount_snapshot(arguments, path ? path : source, how);
}

/* As tmpfs: everybody may make files in it, it belongs to who mounts it, and half of the machine's memory is its limit. */
static struct vr_mount_tree default_tree(void)
{
    uint64_t pages = (uint64_t)sysconf(_SC_PHYS_PAGES) / 2;
    return (struct vr_mount_tree){.mode = 01777,
                                  .uid = geteuid(),
                                  .gid = getegid(),
                                  .max_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE),
                                  .max_inodes = pages};
}

static int mount_command(const struct vr_arguments *arguments)
{
    struct vr_mount_options how = {.foreground = vr_options_value(arguments, FOREGROUND) != NULL};
    struct vr_mount_tree tree = default_tree();
    struct vr_arguments own = *arguments;
    const char *text = vr_options_value(arguments, OPTS), *bad;
    const char *wrong = vr_mount_options_parse(text ? text : "", &how, &tree, &bad);
    int status;
    if (wrong)
        status = vr_report_usage(arguments, bad, wrong);
    else if (how.flags & VR_MOUNT_REMOUNT)
        status = vr_mount_remount(arguments->operands[1], &how) < 0 ? VR_EXIT_FAILED : VR_EXIT_OK;
    else {
        if (!how.source)
            how.source = strdup(arguments->operands[0]);
        if (tree.store_path)
            own.store = tree.store_path;
        status = mount_source(&own, &tree, &how);
    }
    vr_mount_options_free(&how, &tree);
    return status;
}

static int umount_command(const struct vr_arguments *arguments)
{
    return vr_mount_umount(arguments->operands[0]) < 0 ? VR_EXIT_FAILED : VR_EXIT_OK;
}

const struct vr_command vr_cmd_mount = {
    .name = "mount",
    .synopses = {"mount SOURCE MOUNTPOINT [-f] [-o OPTS]"},
    .summary = "mount a snapshot, a workspace, a directory or memory",
    .description = "Mounts SOURCE on the directory MOUNTPOINT through FUSE: as root, or with fusermount3. A\n"
                   "process in the background serves it until it is unmounted; with -f it is this one.\n"
                   "SOURCE is one of\n"
                   "\n"
                   "  mem:          an empty file system in memory, which goes with the mount\n"
                   "  dir:PATH      a directory\n"
                   "  snap:SNAP     a snapshot, read-only\n"
                   "  ws:NAME       a workspace\n"
                   "  overlay:      directories on top of each other, named in the options\n"
                   "\n"
                   "or a PATH with a slash in it, or a SNAP. OPTS are those of mount(8): ro, suid, dev, noexec,\n"
                   "noatime, remount ..., where nosuid and nodev are the default; and\n"
                   "\n"
                   "  allow_other           users other than the one who mounts may use it\n"
                   "  default_permissions   the kernel checks mode bits and access lists besides us; dev with\n"
                   "                        allow_other implies it\n"
                   "  fsname=TEXT           shown as the source; subtype=TEXT: the type is fuse.TEXT\n"
                   "  uid=, gid=, mode=     of the root of mem:\n"
                   "  size=, nr_inodes=     limits of mem:; k, m, g and t are units\n"
                   "  exclusive             nobody else changes the directory, so the kernel may cache it\n"
                   "  lowerdir=A:B          layers of overlay:, topmost first\n"
                   "  upperdir=U,workdir=W  where changes go, in the format of the kernel's overlayfs\n"
                   "  userxattr             as of the kernel's overlayfs\n"
                   "\n"
                   "Installed as /sbin/mount.fuse.vrift, the program is a helper of mount(8), so that fstab\n"
                   "may say SOURCE MOUNTPOINT fuse.vrift OPTS.\n",
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
