/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* `vrift mount` and `vrift umount`. Linux. */
#ifndef VR_FUSE_MOUNT_H
#define VR_FUSE_MOUNT_H

#include <vrift/types.h>

/* What -o says about a mount, whatever is mounted. */
struct vr_mount_options {
    char *source;       /* shown as the mount's source; NULL: "vrift" */
    char *subtype;      /* the type is shown as fuse.SUBTYPE; NULL: "vrift" */
    uint64_t flags;     /* VR_MOUNT_... */
    int32_t foreground; /* serve in this process until it is unmounted */
    int32_t threads;    /* of the server; 0: 2 */
};
#define VR_MOUNT_RDONLY              0x0001ULL
#define VR_MOUNT_SUID                0x0002ULL /* obey set-user-ID bits */
#define VR_MOUNT_DEV                 0x0004ULL /* open device nodes */
#define VR_MOUNT_NOEXEC              0x0008ULL
#define VR_MOUNT_NOATIME             0x0010ULL
#define VR_MOUNT_NODIRATIME          0x0020ULL
#define VR_MOUNT_STRICTATIME         0x0040ULL
#define VR_MOUNT_RELATIME            0x0080ULL
#define VR_MOUNT_SYNC                0x0100ULL
#define VR_MOUNT_DIRSYNC             0x0200ULL
#define VR_MOUNT_NOSYMFOLLOW         0x0400ULL
#define VR_MOUNT_ALLOW_OTHER         0x1000ULL /* users other than the one who mounts may use it */
#define VR_MOUNT_DEFAULT_PERMISSIONS 0x2000ULL /* the kernel checks the mode bits */
#define VR_MOUNT_ROOT_FOR_ALL        0x8000ULL /* if root mounts it: VR_MOUNT_ALLOW_OTHER */
#define VR_MOUNT_REMOUNT             0x4000ULL /* change the flags of what is mounted */

/* What is mounted read-write. */
enum vr_mount_kind { VR_MOUNT_MEM, VR_MOUNT_DIR, VR_MOUNT_WORKSPACE, VR_MOUNT_OVERLAY };

struct vr_mount_tree {
    enum vr_mount_kind kind;
    const char *path;   /* of a directory, or the name of a workspace */
    char *store_path;   /* of the store; NULL: where it usually is */
    vrift_store *store; /* of a workspace; borrowed */
    char *lower;        /* of an overlay: directories with colons between, topmost first; \: is a colon */
    char *upper, *work; /* NULL: it is read-only */
    uint64_t max_bytes; /* of a file system in memory, as vrift_mem_options; 0: no limit */
    uint64_t max_inodes;
    uint32_t uid, gid, mode; /* of its root */
    int32_t exclusive;       /* nobody else changes the directory */
    int32_t user_xattrs;     /* an overlay keeps its own in "user." */
};

/*
 * Reads a list of options, separated by commas, into both structs, on top of what is there. \, is a comma in a value.
 *
 * NULL, or what is wrong with the option to which *bad is set: a constant string. The strings are to be freed with
 * vr_mount_options_free().
 */
const char *vr_mount_options_parse(const char *text, struct vr_mount_options *options, struct vr_mount_tree *tree,
                                   const char **bad);
void vr_mount_options_free(struct vr_mount_options *options, struct vr_mount_tree *tree);

/*
 * Mounts a snapshot read-only, or a tree read-write: as root by mount(2), else through fusermount3.
 *
 * Without `foreground` a child process serves it, and this returns when the mount can be used. SIGINT, SIGTERM and
 * SIGHUP unmount; `vrift umount`, umount(8) and fusermount3 -u end the server.
 *
 * Returns 0, or -VRIFT_E... after one line on stderr, `vrift: mount: PATH: WHY`. Call it from a process with one thread.
 * The paths in `tree` are made absolute.
 */
int32_t vr_mount_snapshot(vrift_snapshot *snapshot, const char *mountpoint, const struct vr_mount_options *options);
int32_t vr_mount_tree(struct vr_mount_tree *tree, const char *mountpoint, const struct vr_mount_options *options);

/* Changes the flags of a mount, as root. Returns as the others. */
int32_t vr_mount_remount(const char *mountpoint, const struct vr_mount_options *options);

/*
 * Unmounts what was mounted so, and nothing else.
 *
 * Returns 0, or -VRIFT_E... after one line on stderr, `vrift: umount: PATH: WHY`.
 */
int32_t vr_mount_umount(const char *mountpoint);

#endif
