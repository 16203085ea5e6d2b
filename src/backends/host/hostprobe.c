/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/host/host.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

/* File systems whose rename flags, hard links and inode numbers are known; of others only what can be probed. */
#define EXT4  0xef53u
#define XFS   0x58465342u
#define BTRFS 0x9123683eu
#define TMPFS 0x01021994u
#define F2FS  0xf2f52010u
#define OVL   0x794c7630u
#define MSDOS 0x4d44u
#define EXFAT 0x2011bab0u

static int is_known(const struct vr_hostfs *fs)
{
    return fs->type == EXT4 || fs->type == XFS || fs->type == BTRFS || fs->type == TMPFS || fs->type == F2FS ||
           fs->type == OVL;
}

static int is_fat(const struct vr_hostfs *fs)
{
    return fs->type == MSDOS || fs->type == EXFAT;
}

/* Setting what does not exist with REPLACE changes nothing, but the checks before that tell what is allowed. */
static int has_xattrs(int fd, const char *name)
{
    return vr_fileops_xattr_set(fd, "", name, "", 0, VRIFT_XATTR_REPLACE) == -VRIFT_ENODATA;
}

static int has_acls(int fd)
{
    int64_t size = vr_fileops_xattr_get(fd, "", "system.posix_acl_access", NULL, 0);
    return size >= 0 || size == -VRIFT_ENODATA;
}

/* A range within one file is enough: what cannot share within a file cannot share at all. */
static int can_clone(int fd)
{
    return ftruncate(fd, 1 << 20) == 0 && vr_hostspace_clone(fd, 0, fd, 1 << 19, 1 << 18) == 0;
}

/* Told by statx and by what sets them. */
static int has_flags(int root)
{
    struct vrift_stat st;
    uint64_t flags;
    if (vr_fileops_stat(root, "", &st) || !(st.mask & VRIFT_STAT_FLAGS))
        return 0;
    int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int32_t error = fd < 0 ? 0 : vr_fileops_get_flags(fd, &flags); /* what may not be read is believed */
    if (fd >= 0)
        close(fd);
    return !error;
}

static void probe_by_file(struct vr_hostfs *fs, int fd)
{
    fs->can_tmpfile = 1;
    fs->can_chown = fchown(fd, 1, 1) == 0;
    fs->has_holes = ftruncate(fd, 1 << 20) == 0 && lseek(fd, 0, SEEK_DATA) < 0 && errno == ENXIO;
    fs->can_clone = can_clone(fd);
    close(fd);
}

void vr_hostprobe(struct vr_hostfs *fs, int root)
{
    struct statfs st;
    if (fstatfs(root, &st) == 0)
        fs->type = (uint32_t)st.f_type;
    fs->has_user_xattrs = has_xattrs(root, "user.vrift.probe");
    fs->has_trusted_xattrs = has_xattrs(root, "trusted.vrift.probe");
    fs->has_acls = has_acls(root);
    fs->has_flags = has_flags(root);
    fs->can_chown = geteuid() == 0;
    fs->has_holes = is_known(fs);
    int fd = fs->flags & VRIFT_HOST_READ_ONLY ? -1 : openat(root, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        probe_by_file(fs, fd);
}

static void answer(struct vrift_capability *out, int has, int probed, int32_t error)
{
    out->service = out->effective = has ? VRIFT_SUPPORT_NATIVE : VRIFT_SUPPORT_NONE;
    out->source = probed ? VRIFT_SOURCE_PROBED : VRIFT_SOURCE_DECLARED;
    out->error = has ? 0 : error;
}

static void answer_one(const struct vr_hostfs *fs, uint32_t capability, struct vrift_capability *out)
{
    switch (capability) {
    case VRIFT_CAPABILITY_RENAME_EXCHANGE:
    case VRIFT_CAPABILITY_RENAME_NOREPLACE:
        answer(out, is_known(fs), 0, -VRIFT_EINVAL);
        break;
    case VRIFT_CAPABILITY_RENAME_WHITEOUT:
        answer(out, is_known(fs) && fs->type != OVL, 0, -VRIFT_EINVAL);
        break;
    case VRIFT_CAPABILITY_HARD_LINKS:
    case VRIFT_CAPABILITY_SYMLINKS:
    case VRIFT_CAPABILITY_SPECIAL_FILES:
    case VRIFT_CAPABILITY_UNIX_PERMISSIONS:
        answer(out, !is_fat(fs), 0, -VRIFT_EPERM);
        break;
    case VRIFT_CAPABILITY_STABLE_INODES:
    case VRIFT_CAPABILITY_CASE_SENSITIVE:
        answer(out, !is_fat(fs), 0, -VRIFT_EOPNOTSUPP);
        break;
    case VRIFT_CAPABILITY_OWNERSHIP:
        answer(out, fs->can_chown, 1, -VRIFT_EPERM);
        break;
    case VRIFT_CAPABILITY_USER_XATTRS:
        answer(out, fs->has_user_xattrs, 1, -VRIFT_EOPNOTSUPP);
        break;
    case VRIFT_CAPABILITY_TRUSTED_XATTRS:
        answer(out, fs->has_trusted_xattrs, 1, -VRIFT_EPERM);
        break;
    case VRIFT_CAPABILITY_ACLS:
        answer(out, fs->has_acls, 1, -VRIFT_EOPNOTSUPP);
        break;
    case VRIFT_CAPABILITY_FLAGS:
        answer(out, fs->has_flags, 1, -VRIFT_ENOTTY);
        break;
    case VRIFT_CAPABILITY_SPARSE_FILES:
        answer(out, fs->has_holes, 1, -VRIFT_EOPNOTSUPP);
        break;
    case VRIFT_CAPABILITY_TMPFILE:
        answer(out, fs->can_tmpfile, 1, -VRIFT_EOPNOTSUPP);
        break;
    case VRIFT_CAPABILITY_LOCKS:
    case VRIFT_CAPABILITY_DIGEST:
        answer(out, 0, 0, -VRIFT_EOPNOTSUPP);
        break;
    case VRIFT_CAPABILITY_CLONE:
        answer(out, fs->can_clone, 1, -VRIFT_EOPNOTSUPP);
        break;
    default:
        answer(out, 1, 0, 0);
    }
}

/* What is a change, in contrast to what the file system can hold. */
static int is_change(uint32_t capability)
{
    switch (capability) {
    case VRIFT_CAPABILITY_CREATE:
    case VRIFT_CAPABILITY_RANDOM_WRITE:
    case VRIFT_CAPABILITY_APPEND:
    case VRIFT_CAPABILITY_TRUNCATE:
    case VRIFT_CAPABILITY_SET_TIMES:
    case VRIFT_CAPABILITY_TMPFILE:
    case VRIFT_CAPABILITY_CLONE:
    case VRIFT_CAPABILITY_ATOMIC_RENAME:
    case VRIFT_CAPABILITY_RENAME_EXCHANGE:
    case VRIFT_CAPABILITY_RENAME_NOREPLACE:
    case VRIFT_CAPABILITY_RENAME_WHITEOUT:
    case VRIFT_CAPABILITY_DIRECTORY_RENAME:
        return 1;
    default:
        return 0;
    }
}

int32_t VRIFT_CALLBACK vr_hostprobe_capability(void *self, uint32_t capability, struct vrift_capability *out)
{
    const struct vr_hostfs *fs = self;
    if (capability == 0 || capability >= VRIFT_CAPABILITY_COUNT)
        return -VRIFT_EINVAL;
    answer_one(fs, capability, out);
    if ((fs->flags & VRIFT_HOST_READ_ONLY) && is_change(capability)) {
        out->effective = VRIFT_SUPPORT_NONE;
        out->source = VRIFT_SOURCE_CONFIGURED;
        out->error = -VRIFT_EROFS;
    }
    return 0;
}
