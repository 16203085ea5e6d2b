/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The questions' calls, asked of the running kernel by plain system calls. */
#include "oracle/oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/openat2.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int64_t answer(int64_t result)
{
    return result < 0 ? vrift_err_from_host_errno(errno) : result;
}

static int64_t k_openat(void *self, int dirfd, const char *path, uint64_t flags, uint32_t mode)
{
    (void)self;
    return answer(syscall(SYS_openat, dirfd, path, (int)flags, mode));
}

/*
 * EAGAIN may only mean that something was renamed or mounted elsewhere on the machine meanwhile (openat2(2)). Where it is
 * the answer, it stays.
 */
static int64_t k_openat2(void *self, int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {flags, mode, resolve};
    int64_t result = -EAGAIN;
    (void)self;
    for (int i = 0; i < 50 && result == -EAGAIN; i++)
        result = answer(syscall(SYS_openat2, dirfd, path, &how, sizeof how));
    return result;
}

static int64_t k_close(void *self, int fd)
{
    (void)self;
    return answer(close(fd));
}

static int64_t k_dup(void *self, int fd)
{
    (void)self;
    return answer(dup(fd));
}

static int64_t k_dup3(void *self, int fd, int to, uint64_t flags)
{
    (void)self;
    return answer(dup3(fd, to, (int)flags));
}

static int64_t k_dupfd(void *self, int fd, int least, uint64_t flags)
{
    (void)self;
    return answer(fcntl(fd, flags & VRIFT_O_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, least));
}

static int64_t k_close_range(void *self, unsigned first, unsigned last, unsigned flags)
{
    (void)self;
    return answer(syscall(SYS_close_range, first, last, flags));
}

static int64_t k_getfd(void *self, int fd)
{
    (void)self;
    return answer(fcntl(fd, F_GETFD));
}

static int64_t k_setfd(void *self, int fd, uint64_t flags)
{
    (void)self;
    return answer(fcntl(fd, F_SETFD, (int)flags));
}

static int64_t k_getfl(void *self, int fd)
{
    (void)self;
    int64_t flags = answer(fcntl(fd, F_GETFL));
    return flags < 0 ? flags : flags & ~0100000; /* O_LARGEFILE, which the C library does not name here */
}

static int64_t k_setfl(void *self, int fd, uint64_t flags)
{
    (void)self;
    return answer(fcntl(fd, F_SETFL, (int)flags));
}

static int64_t k_max_files(void *self, uint32_t limit)
{
    struct rlimit both;
    (void)self;
    if (getrlimit(RLIMIT_NOFILE, &both) < 0)
        return answer(-1);
    both.rlim_cur = limit;
    return answer(setrlimit(RLIMIT_NOFILE, &both));
}

static int64_t k_flock(void *self, int fd, uint64_t operation)
{
    (void)self;
    return answer(flock(fd, (int)operation));
}

static int64_t k_setlk(void *self, int fd, uint64_t flags, int type)
{
    struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET};
    (void)self;
    return answer(fcntl(fd, flags & VRIFT_SETLK_OFD ? F_OFD_SETLK : F_SETLK, &lock));
}

static int64_t k_lock_elsewhere(void *self, const char *path)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        int fd = open(path, O_RDWR);
        _exit(k_setlk(self, fd, 0, F_WRLCK) < 0 ? errno : 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -VRIFT_EIO;
    errno = WEXITSTATUS(status);
    return errno ? answer(-1) : 0;
}

static int64_t k_fchmod(void *self, int fd, uint32_t mode)
{
    (void)self;
    return answer(fchmod(fd, mode));
}

static int64_t k_fchown(void *self, int fd, uint32_t uid, uint32_t gid)
{
    (void)self;
    return answer(fchown(fd, uid, gid));
}

static int64_t k_sync(void *self, int fd, int how)
{
    (void)self;
    return answer(how == 0 ? fsync(fd) : how == 1 ? fdatasync(fd) : syncfs(fd));
}

static int64_t k_read(void *self, int fd, void *buf, size_t len)
{
    (void)self;
    return answer(read(fd, buf, len));
}

static int64_t k_write(void *self, int fd, const void *buf, size_t len)
{
    (void)self;
    return answer(write(fd, buf, len));
}

static int64_t k_pwrite(void *self, int fd, const void *buf, size_t len, uint64_t offset)
{
    (void)self;
    return answer(pwrite(fd, buf, len, (off_t)offset));
}

static int64_t k_lseek(void *self, int fd, int64_t offset, int whence)
{
    (void)self;
    return answer(lseek(fd, offset, whence));
}

static int64_t k_ftruncate(void *self, int fd, uint64_t length)
{
    (void)self;
    return answer(ftruncate(fd, (off_t)length));
}

static int64_t k_truncate(void *self, const char *path, uint64_t length)
{
    (void)self;
    return answer(truncate(path, (off_t)length));
}

static int64_t fill(int result, const struct stat *st, struct vrift_stat *out)
{
    if (result < 0)
        return answer(result);
    *out = (struct vrift_stat){.dev = st->st_dev,
                               .ino = st->st_ino,
                               .size = (uint64_t)st->st_size,
                               .rdev = VRIFT_MKDEV(major(st->st_rdev), minor(st->st_rdev)),
                               .mode = st->st_mode,
                               .atime = {.sec = st->st_atim.tv_sec, .nsec = (uint32_t)st->st_atim.tv_nsec},
                               .mtime = {.sec = st->st_mtim.tv_sec, .nsec = (uint32_t)st->st_mtim.tv_nsec},
                               .nlink = (uint32_t)st->st_nlink,
                               .uid = st->st_uid,
                               .gid = st->st_gid};
    return 0;
}

static int64_t k_fstat(void *self, int fd, struct vrift_stat *out)
{
    struct stat st;
    (void)self;
    return fill(fstat(fd, &st), &st, out);
}

static int64_t k_statat(void *self, int dirfd, const char *path, uint64_t flags, struct vrift_stat *out)
{
    struct stat st;
    (void)self;
    return fill(fstatat(dirfd, path, &st, (int)flags), &st, out);
}

static int64_t k_statx(void *self, int dirfd, const char *path, uint64_t flags, uint64_t mask, struct vrift_stat *out)
{
    struct statx st;
    (void)self;
    if (statx(dirfd, path, (int)flags, (unsigned)mask, &st) < 0)
        return answer(-1);
    *out = (struct vrift_stat){.mask = st.stx_mask, .mount_id = st.stx_mnt_id, .btime = {.sec = st.stx_btime.tv_sec}};
    return 0;
}

static int64_t k_mkdirat(void *self, int dirfd, const char *path, uint32_t mode)
{
    (void)self;
    return answer(mkdirat(dirfd, path, mode));
}

static int64_t k_mknodat(void *self, int dirfd, const char *path, uint32_t mode)
{
    (void)self;
    return answer(mknodat(dirfd, path, mode, 0));
}

static int64_t k_unlinkat(void *self, int dirfd, const char *path, uint64_t flags)
{
    (void)self;
    return answer(unlinkat(dirfd, path, (int)flags));
}

static int64_t k_renameat2(void *self, const char *from, const char *to, uint64_t flags)
{
    (void)self;
    return answer(syscall(SYS_renameat2, AT, from, AT, to, (unsigned)flags));
}

static int64_t k_linkat(void *self, int dirfd, const char *from, const char *to, uint64_t flags)
{
    (void)self;
    return answer(linkat(dirfd, from, AT, to, (int)flags));
}

static int64_t k_symlinkat(void *self, const char *target, const char *path)
{
    (void)self;
    return answer(symlinkat(target, AT, path));
}

static int64_t k_readlinkat(void *self, const char *path, char *buf, size_t len)
{
    (void)self;
    return answer(readlinkat(AT, path, buf, len));
}

static int64_t k_fchmodat(void *self, int dirfd, const char *path, uint32_t mode, uint64_t flags)
{
    (void)self;
    if (!flags)
        return answer(syscall(SYS_fchmodat, dirfd, path, mode));
    return answer(syscall(452 /* fchmodat2 */, dirfd, path, mode, (unsigned)flags));
}

static int64_t k_chown(void *self, const char *path, uint32_t uid, uint32_t gid)
{
    (void)self;
    return answer(fchownat(AT, path, uid, gid, 0));
}

static int64_t k_chdir(void *self, const char *path)
{
    (void)self;
    return answer(chdir(path));
}

static int64_t k_fchdir(void *self, int fd)
{
    (void)self;
    return answer(fchdir(fd));
}

static int64_t k_getcwd(void *self, char *buf, size_t len)
{
    (void)self;
    return answer(syscall(SYS_getcwd, buf, len));
}

static int64_t k_umask(void *self, uint32_t mask)
{
    (void)self;
    return umask(mask);
}

static int64_t k_getdents(void *self, int fd, size_t size, struct oracle_entry *entries, size_t max)
{
    struct kernel_dirent {
        uint64_t ino;
        uint64_t next;
        uint16_t record_length;
        uint8_t type;
        char name[];
    };
    static uint64_t buf[8192];
    size_t count = 0;
    (void)self;
    long got = syscall(SYS_getdents64, fd, buf, size);
    if (got < 0)
        return answer(got);
    for (long at = 0; at < got && count < max;) {
        const struct kernel_dirent *entry = (const void *)((const char *)buf + at);
        entries[count].ino = entry->ino;
        entries[count].cookie = entry->next;
        snprintf(entries[count].name, sizeof entries[count].name, "%s", entry->name);
        count++;
        at += entry->record_length;
    }
    return (int64_t)count;
}

static int64_t k_mount(void *self, const char *path)
{
    (void)self;
    return answer(mount("tmpfs", path, "tmpfs", 0, "mode=0777"));
}

static int64_t k_bind(void *self, const char *from, const char *to)
{
    (void)self;
    return answer(mount(from, to, NULL, MS_BIND, NULL));
}

static int64_t k_make_read_only(void *self, const char *path)
{
    (void)self;
    return answer(mount("", path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
}

static int64_t k_remount(void *self, const char *path, uint64_t flags)
{
    (void)self;
    return answer(mount("", path, NULL, MS_REMOUNT | MS_BIND | flags, NULL));
}

static int64_t k_utimes(void *self, const char *path, int64_t atime, int64_t mtime)
{
    struct timespec times[2] = {{.tv_sec = atime}, {.tv_sec = mtime}};
    (void)self;
    return answer(utimensat(AT, path, times, AT_SYMLINK_NOFOLLOW));
}

static int64_t k_transfer(void *self, int in, int out, int how)
{
    (void)self;
    if (how == 0)
        return answer(sendfile(out, in, NULL, 3));
    if (how == 1)
        return answer(copy_file_range(in, NULL, out, NULL, 3, 0));
    void *mapped = mmap(NULL, 3, PROT_READ, MAP_SHARED, in, 0);
    return mapped == MAP_FAILED ? answer(-1) : answer(munmap(mapped, 3));
}

static int64_t k_umount(void *self, const char *path, uint64_t flags)
{
    (void)self;
    return answer(umount2(path, (int)flags));
}

/* Only what the kernel checks: the effective ids and with them the effective capabilities. */
static int64_t k_become(void *self, uint32_t uid, uint32_t gid, const uint32_t *groups, uint32_t group_count)
{
    (void)self;
    if (syscall(SYS_setresuid, -1, 0, -1) < 0 || syscall(SYS_setgroups, (size_t)group_count, groups) < 0 ||
        syscall(SYS_setresgid, -1, gid, -1) < 0 || syscall(SYS_setresuid, -1, uid, -1) < 0)
        return answer(-1);
    return 0;
}

static int64_t k_setxattr(void *self, const char *path, const char *name, const void *value, size_t len, uint64_t flags)
{
    (void)self;
    return answer(lsetxattr(path, name, value, len, (int)flags));
}

static int64_t k_getxattr(void *self, const char *path, const char *name, void *buf, size_t len)
{
    (void)self;
    return answer(lgetxattr(path, name, buf, len));
}

static int64_t k_listxattr(void *self, const char *path, char *buf, size_t len)
{
    (void)self;
    return answer(llistxattr(path, buf, len));
}

static int64_t k_fgetxattr(void *self, int fd, const char *name, void *buf, size_t len)
{
    (void)self;
    return answer(fgetxattr(fd, name, buf, len));
}

static void *k_map(void *self, int fd)
{
    (void)self;
    void *address = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return address == MAP_FAILED ? NULL : address;
}

static void k_unmap(void *self, void *address)
{
    (void)self;
    munmap(address, 4096);
}

const struct oracle_calls oracle_kernel_calls = {
    .name = "the kernel",
    .openat = k_openat,
    .openat2 = k_openat2,
    .close = k_close,
    .dup = k_dup,
    .dup3 = k_dup3,
    .dupfd = k_dupfd,
    .close_range = k_close_range,
    .getfd = k_getfd,
    .setfd = k_setfd,
    .getfl = k_getfl,
    .setfl = k_setfl,
    .max_files = k_max_files,
    .flock = k_flock,
    .setlk = k_setlk,
    .lock_elsewhere = k_lock_elsewhere,
    .fchmod = k_fchmod,
    .fchown = k_fchown,
    .sync = k_sync,
    .read = k_read,
    .write = k_write,
    .pwrite = k_pwrite,
    .lseek = k_lseek,
    .ftruncate = k_ftruncate,
    .truncate = k_truncate,
    .fstat = k_fstat,
    .statat = k_statat,
    .statx = k_statx,
    .mkdirat = k_mkdirat,
    .mknodat = k_mknodat,
    .unlinkat = k_unlinkat,
    .renameat2 = k_renameat2,
    .linkat = k_linkat,
    .symlinkat = k_symlinkat,
    .readlinkat = k_readlinkat,
    .fchmodat = k_fchmodat,
    .chown = k_chown,
    .chdir = k_chdir,
    .fchdir = k_fchdir,
    .getcwd = k_getcwd,
    .umask = k_umask,
    .getdents = k_getdents,
    .mount = k_mount,
    .bind = k_bind,
    .make_read_only = k_make_read_only,
    .remount = k_remount,
    .utimes = k_utimes,
    .transfer = k_transfer,
    .umount = k_umount,
    .become = k_become,
    .setxattr = k_setxattr,
    .getxattr = k_getxattr,
    .listxattr = k_listxattr,
    .fgetxattr = k_fgetxattr,
    .map = k_map,
    .unmap = k_unmap,
};

int oracle_enter_kernel(const char *root)
{
    signal(SIGPIPE, SIG_IGN);
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", root, "tmpfs", 0, "mode=0755") < 0)
        return -1;
    int below = open(root, O_PATH | O_DIRECTORY);
    if (below < 0 || fchdir(below) < 0 || chroot(".") < 0 || chdir("/") < 0)
        return -1;
    close(below);
    if (mkdir("/proc", 0755) < 0 || mount("proc", "/proc", "proc", 0, NULL) < 0)
        return -1;
    return mkdir("/base", 0755) < 0 || mount("tmpfs", "/base", "tmpfs", 0, "mode=0777") < 0 ? -1 : 0;
}
