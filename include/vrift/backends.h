/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The file systems that come with libvrift. Each constructor answers a superblock with one reference. */
#ifndef VRIFT_BACKENDS_H
#define VRIFT_BACKENDS_H

#include <vrift/types.h>

struct vrift_mem_options {
    uint32_t size;      /* sizeof(struct vrift_mem_options) */
    uint32_t root_mode; /* permission bits of the root; default 0755 */
    uint32_t root_uid;
    uint32_t root_gid;
    uint64_t max_bytes;  /* of data; 0: no limit. A write beyond it gets -VRIFT_ENOSPC */
    uint64_t max_inodes; /* 0: no limit */
};

struct vrift_host_options {
    uint32_t size; /* sizeof(struct vrift_host_options) */
    uint32_t reserved;
    uint64_t flags;      /* VRIFT_HOST_... */
    uint64_t max_age_ns; /* how stale names and attributes may be, ns; not with VRIFT_HOST_EXCLUSIVE */
};
#define VRIFT_HOST_READ_ONLY   1ULL  /* refuse to change anything, whatever the mount says */
#define VRIFT_HOST_NO_OPENAT2  2ULL  /* use the walk that needs no openat2(2); for tests */
#define VRIFT_HOST_EXCLUSIVE   4ULL  /* nobody else changes the directory: names and attributes may be cached */
#define VRIFT_HOST_KEEP_OWNERS 8ULL  /* fail rather than create files as the process's own user */
#define VRIFT_HOST_NOTIFY      16ULL /* hear of what others do to names, where the host can tell */

/* One layer of an overlay: a directory of a superblock. */
struct vrift_overlay_layer {
    vrift_sb *sb;     /* the overlay takes a reference of its own */
    const char *path; /* copied; the layer's root within sb, NULL for "/" */
};

struct vrift_overlay_options {
    uint32_t size; /* sizeof(struct vrift_overlay_options) */
    uint32_t lower_count;
    const struct vrift_overlay_layer *lower; /* topmost first */
    const struct vrift_overlay_layer *upper; /* NULL: the overlay is read-only */
    const char *work;                        /* copied; an empty directory of the upper's sb, on its file system */
    uint64_t flags;                          /* VRIFT_OVERLAY_... */
};
#define VRIFT_OVERLAY_USERXATTR 1ULL /* "user.overlay." in place of "trusted.overlay.", as the kernel's userxattr */

VRIFT_BEGIN_DECLS

/**
 * A file system in memory with the semantics of tmpfs.
 *
 * @param options NULL for defaults
 * @param[out] out the superblock
 * @return 0; -VRIFT_ENOMEM; -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_mem_new(vrift_vfs *vfs, const struct vrift_mem_options *options, vrift_sb **out);

/**
 * A directory of the host, confined: no symlink, `..` or mount race leads out of it. Others may change it at any
 * time (SHARED_REVALIDATE), unless VRIFT_HOST_EXCLUSIVE says that they do not.
 *
 * With VRIFT_HOST_NOTIFY names, and that there are none, are kept until the host says by inotify(7) that something
 * happened to them (SHARED_NOTIFY): it is asked for that, by one system call, before an answer older than max_age_ns is
 * given. So a walk costs one system call in place of one a component, and one more if it ends at a file: what a file is
 * beside its names can change unheard, hence attributes remain SHARED_REVALIDATE. It takes one inotify instance, and for
 * each directory that names were looked up in a watch, up to half of what fs.inotify.max_user_watches allows; in others,
 * on file systems that do not tell everything (only ext2 to ext4, XFS, Btrfs, F2FS and tmpfs do), and without /proc, it
 * is as without the flag, which vrift_sb_consistency() tells. Do not use it on both sides of a fork(2).
 *
 * An inode's version (vrift_stat.version) is its ctime in nanoseconds, since what the kernel counts changes with stays in
 * the kernel: two changes within one tick of the host's clock show as one, unless somebody looked in between and the
 * kernel is 6.13 or newer (ext4, XFS, Btrfs, tmpfs); and it goes back if somebody sets the clock back.
 *
 * @param path the directory on the host
 * @param options NULL for defaults
 * @param[out] out the superblock
 * @return 0; -VRIFT_ENOENT, -VRIFT_ENOTDIR, -VRIFT_EACCES for path; -VRIFT_ENOMEM.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_host_new(vrift_vfs *vfs, const char *path, const struct vrift_host_options *options,
                                 vrift_sb **out);

/**
 * A snapshot of a store, read-only and immutable.
 *
 * @param snapshot the superblock takes a reference of its own
 * @param[out] out the superblock
 * @return 0; -VRIFT_ENOMEM; -VRIFT_EINVAL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_cas_new(vrift_vfs *vfs, vrift_snapshot *snapshot, vrift_sb **out);

/**
 * A union of directories after the kernel's overlayfs (Documentation/filesystems/overlayfs.rst), in its on-disk
 * format: whiteouts are character devices 0:0, an opaque directory has the xattr overlay.opaque=y, a change copies
 * the file up. Renaming a directory that has a lower part answers -VRIFT_EXDEV, as the kernel without redirect_dir.
 *
 * As the kernel without index, copying up one name of a lower file with several breaks that link. Unlike the kernel,
 * other files keep their inode number over a copy-up as long as the superblock lives, and a file that was removed while
 * open has a link count of 0. An entry whose content or place another layer keeps (overlay.metacopy, overlay.redirect)
 * answers -VRIFT_EOPNOTSUPP.
 *
 * Others may change the upper where its superblock is shared; what they do to directories that have a lower part (moving
 * one, making it opaque) is seen only once the overlay has forgotten it. Over an upper with VRIFT_HOST_NOTIFY names are
 * SHARED_NOTIFY here too.
 *
 * @param options layers; NULL is refused
 * @param[out] out the superblock
 * @return 0; -VRIFT_EINVAL without a layer or when upper comes without work; -VRIFT_EOPNOTSUPP if the upper cannot
 * hold whiteouts or xattrs; the errors of a walk to a layer; -VRIFT_ENOMEM.
 * Thread safety: any thread. Layers may be used otherwise as the kernel allows: lower ones must not change.
 * @since 0.1
 */
VRIFT_API int32_t vrift_overlay_new(vrift_vfs *vfs, const struct vrift_overlay_options *options, vrift_sb **out);

VRIFT_END_DECLS

#endif
