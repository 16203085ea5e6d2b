/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The program as a helper of mount(8), under the name mount.fuse.vrift:
 *
 *   mount.fuse.vrift SOURCE MOUNTPOINT [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]
 */
#ifndef VR_MOUNT_HELPER_H
#define VR_MOUNT_HELPER_H

#include <stdbool.h>

/* Whether the program was called by a helper's name. */
bool vr_mount_helper_called(const char *name);

/*
 * Turns a helper's arguments into those of `vrift mount`, in out, which has room for 6. Answers 0, or 1 where there is
 * nothing to do (-f), or mount(8)'s status for wrong usage, negative, after a complaint.
 */
int vr_mount_helper_arguments(int argc, char **argv, char **out);

/* The exit status of mount(8) for one of ours. */
int vr_mount_helper_status(int status);

#endif
