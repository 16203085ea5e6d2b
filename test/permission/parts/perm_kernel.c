/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The side of the running kernel. The process takes on the credentials of who asks, and afterwards its own again. */
#include "permission/perm_test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* <linux/fs.h> and <sys/mount.h> do not go together everywhere. */
#ifndef FS_IOC_GETFLAGS
#define FS_IOC_GETFLAGS _IOR('f', 1, long)
#define FS_IOC_SETFLAGS _IOW('f', 2, long)
#endif

static int64_t answer_of(int64_t result)
{
    return result < 0 ? vrift_err_from_host_errno(errno) : result;
}

/* -- Who asks ------------------------------------------------------------------------------------------------------ */

static int set_capabilities(uint64_t capabilities)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2];
    if (syscall(SYS_capget, &header, data) < 0)
        return -1;
    data[0].effective = (uint32_t)capabilities & data[0].permitted;
    data[1].effective = (uint32_t)(capabilities >> 32) & data[1].permitted;
    return (int)syscall(SYS_capset, &header, data);
}

static void become(const struct perm_who *who)
{
    if (set_capabilities(VRIFT_CAP_ALL) < 0 || syscall(SYS_setgroups, (size_t)who->group_count, who->groups) < 0 ||
        syscall(SYS_setresgid, -1, who->gid, -1) < 0 || syscall(SYS_setresuid, -1, who->uid, -1) < 0 ||
        set_capabilities(who->capabilities) < 0)
        _exit(9);
}

static void become_root(void)
{
    static const struct perm_who root = {.capabilities = VRIFT_CAP_ALL};
    become(&root);
}

/* -- The calls ----------------------------------------------------------------------------------------------------- */

static int64_t open_and_close(int64_t fd)
{
    int64_t result = answer_of(fd);
    if (fd >= 0)
        close((int)fd);
    return result < 0 ? result : 0;
}

static int64_t with_open(const struct perm_question *q)
{
    static const uint32_t read_only = O_RDONLY | O_NONBLOCK;
    bool by_read = q->call == PERM_FSETXATTR || q->call == PERM_SETFLAGS || q->call == PERM_GETFLAGS;
    int64_t result;
    unsigned flags = (unsigned)q->flags;
    int fd = openat(AT_FDCWD, q->path, (int)(by_read ? read_only : (uint32_t)q->flags | O_NONBLOCK));
    if (fd < 0)
        return answer_of(-1);
    switch (q->call) {
    case PERM_WRITE:
        result = write(fd, "w", 1);
        break;
    case PERM_FTRUNCATE:
        result = ftruncate(fd, (off_t)q->length);
        break;
    case PERM_FALLOCATE:
        result = syscall(SYS_fallocate, fd, (int)q->length, 0L, 4096L);
        break;
    case PERM_SETFL:
        result = fcntl(fd, F_SETFL, (int)q->length | O_NONBLOCK);
        break;
    case PERM_FSETXATTR:
        result = fsetxattr(fd, q->name, q->value, q->value_length, (int)q->flags);
        break;
    case PERM_SETFLAGS:
        result = ioctl(fd, FS_IOC_SETFLAGS, &flags);
        break;
    default:
        result = ioctl(fd, FS_IOC_GETFLAGS, &flags);
        result = result < 0 ? result : (int64_t)flags;
    }
    result = answer_of(result);
    close(fd);
    return result;
}

static int64_t name_tmpfile(const struct perm_question *q)
{
    int fd = openat(AT_FDCWD, q->path, O_TMPFILE | O_RDWR, q->mode & 07777);
    if (fd < 0)
        return answer_of(-1);
    int64_t result = answer_of(linkat(fd, "", AT_FDCWD, q->other, AT_EMPTY_PATH));
    close(fd);
    return result;
}

static int64_t change_times(const struct perm_question *q)
{
    static const struct timespec kinds[] = {{0, UTIME_NOW}, {0, UTIME_OMIT}, {1000, 5}};
    struct timespec times[2] = {kinds[q->mode % 3], kinds[q->mode / 3 % 3]};
    return utimensat(AT_FDCWD, q->path, q->mode == 9 ? NULL : times, 0);
}

static int64_t change_dir(const struct perm_side *side, const struct perm_question *q)
{
    int64_t result = answer_of(chdir(q->path));
    become_root();
    if (fchdir(side->root) < 0)
        _exit(8);
    return result;
}

static int64_t change_root(const struct perm_side *side, const struct perm_question *q)
{
    int64_t result = answer_of(chroot(q->path));
    become_root();
    if (fchdir(side->outside) < 0 || chroot(".") < 0 || fchdir(side->root) < 0)
        _exit(8);
    return result;
}

static int64_t read_xattr(const struct perm_question *q, struct perm_answer *a)
{
    ssize_t got = q->call == PERM_LISTXATTR ? llistxattr(q->path, (char *)a->bytes, q->length)
                                            : lgetxattr(q->path, q->name, a->bytes, q->length);
    a->length = got > 0 && q->length ? (size_t)got : 0;
    return answer_of(got);
}

static int64_t call(const struct perm_side *side, const struct perm_question *q, struct perm_answer *a)
{
    switch (q->call) {
    case PERM_OPEN:
        return open_and_close(openat(AT_FDCWD, q->path, (int)q->flags | O_NONBLOCK, q->mode & 07777));
    case PERM_TMPFILE:
        return name_tmpfile(q);
    case PERM_MKDIR:
        return answer_of(mkdirat(AT_FDCWD, q->path, q->mode));
    case PERM_MKNOD:
        return answer_of(mknodat(AT_FDCWD, q->path, q->mode, makedev(1, 3)));
    case PERM_SYMLINK:
        return answer_of(symlinkat(q->other, AT_FDCWD, q->path));
    case PERM_LINK:
        return answer_of(linkat(AT_FDCWD, q->path, AT_FDCWD, q->other, (int)q->flags));
    case PERM_UNLINK:
        return answer_of(unlinkat(AT_FDCWD, q->path, 0));
    case PERM_RMDIR:
        return answer_of(unlinkat(AT_FDCWD, q->path, AT_REMOVEDIR));
    case PERM_RENAME:
        return answer_of(syscall(SYS_renameat2, AT_FDCWD, q->path, AT_FDCWD, q->other, (unsigned)q->flags));
    case PERM_CHMOD:
        return answer_of(syscall(SYS_fchmodat, AT_FDCWD, q->path, q->mode & 07777));
    case PERM_CHOWN:
        return answer_of(fchownat(AT_FDCWD, q->path, q->uid, q->gid, (int)q->flags));
    case PERM_UTIMES:
        return answer_of(change_times(q));
    case PERM_TRUNCATE:
        return answer_of(truncate(q->path, (off_t)q->length));
    case PERM_ACCESS:
        return answer_of(syscall(439 /* faccessat2 */, AT_FDCWD, q->path, (int)q->mode, AT_EACCESS));
    case PERM_CHDIR:
        return change_dir(side, q);
    case PERM_CHROOT:
        return change_root(side, q);
    case PERM_SETXATTR:
        return answer_of(lsetxattr(q->path, q->name, q->value, q->value_length, (int)q->flags));
    case PERM_REMOVEXATTR:
        return answer_of(lremovexattr(q->path, q->name));
    case PERM_GETXATTR:
    case PERM_LISTXATTR:
        return read_xattr(q, a);
    default:
        return with_open(q);
    }
}

/* Two sides may be the kernel's. */
static void enter(const struct perm_side *side)
{
    if (fchdir(side->root) < 0)
        _exit(5);
}

static void ask(struct perm_side *side, const struct perm_question *q, struct perm_answer *a)
{
    a->length = 0;
    enter(side);
    become(&q->who);
    umask(q->umask);
    a->result = call(side, q, a);
    become_root();
}

/* -- The tree ------------------------------------------------------------------------------------------------------ */

static void begin(struct perm_side *side)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%u", side->directory, side->trees++);
    umask(0);
    if (!side->outside)
        side->outside = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (mkdir(path, 0777) < 0 || mount("tmpfs", path, "tmpfs", 0, "mode=0777") < 0)
        _exit(7);
    side->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (side->root < 0 || fchdir(side->root) < 0)
        _exit(7);
}

/* Mounts the tree on itself. */
static void settle(struct perm_side *side, uint64_t mount_flags)
{
    static const struct {
        uint64_t ours;
        unsigned long theirs;
    } all[] = {{VRIFT_MOUNT_RDONLY, MS_RDONLY},
               {VRIFT_MOUNT_NOEXEC, MS_NOEXEC},
               {VRIFT_MOUNT_NODEV, MS_NODEV},
               {VRIFT_MOUNT_NOSUID, MS_NOSUID},
               {VRIFT_MOUNT_NOSYMFOLLOW, 256 /* MS_NOSYMFOLLOW */}};
    char path[4200];
    unsigned long flags = MS_REMOUNT | MS_BIND;
    if (!mount_flags)
        return;
    if (mount_flags & PERM_SEALED)
        flags = MS_REMOUNT | MS_RDONLY;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        flags |= mount_flags & all[i].ours ? all[i].theirs : 0;
    snprintf(path, sizeof path, "%s/%u", side->directory, side->trees - 1);
    close(side->root);
    side->mounted = !(mount_flags & PERM_SEALED);
    if ((side->mounted && mount(path, path, NULL, MS_BIND, NULL) < 0) || mount("", path, NULL, flags, NULL) < 0)
        _exit(6);
    side->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (side->root < 0 || fchdir(side->root) < 0)
        _exit(6);
}

static void end(struct perm_side *side)
{
    char path[4200];
    close(side->root);
    snprintf(path, sizeof path, "%s/%u", side->directory, side->trees - 1);
    if (chdir("/") < 0 || (side->mounted && umount2(path, MNT_DETACH) < 0) || umount2(path, MNT_DETACH) < 0)
        _exit(6);
    side->mounted = false;
}

static int32_t look(const char *path, int flags, struct vrift_stat *out)
{
    struct statx st;
    if (statx(AT_FDCWD, path, flags, STATX_BASIC_STATS, &st) < 0)
        return vrift_err_from_host_errno(errno);
    *out = (struct vrift_stat){.mode = st.stx_mode,
                               .uid = st.stx_uid,
                               .gid = st.stx_gid,
                               .nlink = st.stx_nlink,
                               .size = st.stx_size,
                               .attributes = st.stx_attributes};
    return 0;
}

int32_t perm_kernel_look(struct perm_side *side, const char *path, struct vrift_stat *out)
{
    enter(side);
    return look(path, 0, out);
}

static int32_t stat_one(struct perm_side *side, const char *path, struct vrift_stat *out)
{
    enter(side);
    return look(path, AT_SYMLINK_NOFOLLOW, out);
}

static int64_t list_one(struct perm_side *side, const char *path, char *buf, size_t len)
{
    enter(side);
    return answer_of(llistxattr(path, buf, len));
}

static int64_t get_one(struct perm_side *side, const char *path, const char *name, void *buf, size_t len)
{
    enter(side);
    return answer_of(lgetxattr(path, name, buf, len));
}

/* -- The kernel again, on a mount of ours --------------------------------------------------------------------------- */

/* Beside the program of this test, which lies in test/. */
static void find_tool(char tool[4200])
{
    ssize_t length = readlink("/proc/self/exe", tool, 4096);
    tool[length > 0 ? length : 0] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(tool, '/');
        if (slash)
            *slash = '\0';
    }
    strcat(tool, "/bin/vrift");
}

static void serve(const char *path)
{
    char tool[4200];
    find_tool(tool);
    execl(tool, tool, "mount", "mem:", path, "-f", "-o", "allow_other,suid", (char *)NULL);
    _exit(127);
}

static void begin_mount(struct perm_side *side)
{
    char path[4200];
    struct stat before, now;
    snprintf(path, sizeof path, "%s/%u", side->directory, side->trees++);
    umask(0);
    if (mkdir(path, 0777) < 0 || stat(path, &before) < 0)
        _exit(7);
    fflush(NULL);
    side->server = fork();
    if (side->server == 0)
        serve(path);
    for (int i = 0;; i++) {
        if (stat(path, &now) == 0 && now.st_dev != before.st_dev)
            break;
        if (i == 1000 || waitpid(side->server, NULL, WNOHANG) == side->server)
            _exit(76);
        usleep(10000);
    }
    side->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (!side->outside)
        side->outside = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (side->root < 0 || fchdir(side->root) < 0 || fchmod(side->root, 0777) < 0)
        _exit(7);
}

static void end_mount(struct perm_side *side)
{
    char path[4200];
    close(side->root);
    snprintf(path, sizeof path, "%s/%u", side->directory, side->trees - 1);
    if (chdir("/") < 0 || umount2(path, MNT_DETACH) < 0)
        _exit(6);
    kill(side->server, SIGTERM);
    waitpid(side->server, NULL, 0);
}

static void settle_mount(struct perm_side *side, uint64_t mount_flags)
{
    (void)side;
    (void)mount_flags;
}

const struct perm_side perm_mount = {.name = "mount",
                                     .mounting = true,
                                     .flags = ~VRIFT_FL_NOATIME,
                                     .begin = begin_mount,
                                     .settle = settle_mount,
                                     .end = end_mount,
                                     .ask = ask,
                                     .stat = stat_one,
                                     .list = list_one,
                                     .get = get_one};

const struct perm_side perm_kernel = {.name = "the kernel",
                                      .begin = begin,
                                      .settle = settle,
                                      .end = end,
                                      .ask = ask,
                                      .stat = stat_one,
                                      .list = list_one,
                                      .get = get_one};
