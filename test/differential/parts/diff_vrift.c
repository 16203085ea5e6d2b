/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The calls, as calls of libvrift. */
#include "differential/differential.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAULT (-VRIFT_EIO) /* what a slot answers that is made to fail */

struct vrift_side {
    vrift_vfs *vfs;
    vrift_sb *disks[DIFF_DISKS];
    vrift_task *tasks[DIFF_PROCESSES];
    int64_t blocks; /* of memory in use */
    uint64_t left;  /* what still works before something fails; UINT64_MAX: nothing is to fail */
    uint64_t after; /* how much worked in the present try */
    bool failed;
    uint64_t again; /* calls made again */
};

struct vrift_self {
    struct vrift_side *side;
    uint32_t slot;
};

static vrift_task *task_of(void *self)
{
    const struct vrift_self *own = self;
    return own->side->tasks[own->slot];
}

/*
 * Where something is to go wrong, a call is made again and again, each time with one allocation, or one call of a slot,
 * more until it does. What failed must have changed nothing: the rest of the episode would tell. `clean` is false for
 * calls that a fault leaves half done, as it would on Linux.
 */
#define TRY(result, clean, call)                                                                                       \
    do {                                                                                                               \
        begin_try(self, (clean));                                                                                      \
        do                                                                                                             \
            (result) = (call);                                                                                         \
        while (fails_again(self, (result)));                                                                           \
    } while (0)
#define ANSWER_IF(clean, call)                                                                                         \
    do {                                                                                                               \
        int64_t answer;                                                                                                \
        TRY(answer, clean, call);                                                                                      \
        return answer;                                                                                                 \
    } while (0)
#define ANSWER(call) ANSWER_IF(true, call)

static void begin_try(void *self, bool clean)
{
    struct vrift_side *side = ((struct vrift_self *)self)->side;
    side->after = 0;
    side->left = diff_trouble == DIFF_NO_MEMORY || (diff_trouble == DIFF_FAULTS && clean) ? 0 : UINT64_MAX;
    side->failed = false;
}

static bool fails_again(void *self, int64_t result)
{
    struct vrift_side *side = ((struct vrift_self *)self)->side;
    bool failed = side->failed;
    side->left = UINT64_MAX;
    side->failed = false;
    if (!failed)
        return false;
    if (diff_trouble == DIFF_NO_MEMORY ? result != -VRIFT_ENOMEM && result != -VRIFT_ENOLCK : result != FAULT)
        return false;
    side->again++;
    side->left = ++side->after;
    return true;
}

static int64_t v_openat(void *self, int dirfd, const char *path, uint64_t flags, uint32_t mode)
{
    ANSWER_IF(!(flags & VRIFT_O_CREAT), vrift_openat(task_of(self), dirfd, path, flags, mode));
}

static int64_t v_openat2(void *self, int dirfd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct vrift_open_how how = {.size = sizeof how, .mode = (uint32_t)mode, .flags = flags, .resolve = resolve};
    ANSWER_IF(!(flags & VRIFT_O_CREAT), vrift_openat2(task_of(self), dirfd, path, &how));
}

static int64_t v_close(void *self, int fd)
{
    ANSWER_IF(false, vrift_close(task_of(self), fd));
}

static int64_t v_dup(void *self, int fd)
{
    ANSWER(vrift_dup(task_of(self), fd));
}

static int64_t v_dup3(void *self, int fd, int fd2, uint64_t flags)
{
    ANSWER_IF(false, vrift_dup3(task_of(self), fd, fd2, flags));
}

static int64_t v_read(void *self, int fd, void *buf, size_t len)
{
    return vrift_read(task_of(self), fd, buf, len);
}

static int64_t v_write(void *self, int fd, const void *buf, size_t len)
{
    return vrift_write(task_of(self), fd, buf, len);
}

static int64_t v_readv(void *self, int fd, const struct vrift_iovec *iov, uint32_t count)
{
    return vrift_readv(task_of(self), fd, iov, count);
}

static int64_t v_writev(void *self, int fd, const struct vrift_iovec *iov, uint32_t count)
{
    return vrift_writev(task_of(self), fd, iov, count);
}

static int64_t v_pread(void *self, int fd, void *buf, size_t len, uint64_t offset)
{
    ANSWER(vrift_pread(task_of(self), fd, buf, len, offset));
}

static int64_t v_pwrite(void *self, int fd, const void *buf, size_t len, uint64_t offset)
{
    return vrift_pwrite(task_of(self), fd, buf, len, offset);
}

static int64_t v_lseek(void *self, int fd, int64_t offset, int whence)
{
    ANSWER(vrift_lseek(task_of(self), fd, offset, whence));
}

static int64_t v_ftruncate(void *self, int fd, int64_t length)
{
    ANSWER(vrift_ftruncate(task_of(self), fd, (uint64_t)length));
}

static int64_t v_truncate(void *self, const char *path, int64_t length)
{
    ANSWER(vrift_truncate(task_of(self), path, (uint64_t)length));
}

static int64_t v_fsync(void *self, int fd)
{
    ANSWER(vrift_fsync(task_of(self), fd));
}

static int64_t fill(int64_t result, const struct vrift_stat *st, struct diff_facts *out)
{
    if (result < 0)
        return result;
    *out = (struct diff_facts){.dev = st->dev,
                               .ino = st->ino,
                               .size = st->size,
                               .blocks = st->blocks,
                               .rdev = st->rdev,
                               .mount_id = st->mount_id,
                               .mode = st->mode,
                               .nlink = st->nlink,
                               .uid = st->uid,
                               .gid = st->gid,
                               .atime = st->atime,
                               .mtime = st->mtime,
                               .ctime = st->ctime,
                               .btime = st->btime};
    return 0;
}

static int64_t v_statat(void *self, int dirfd, const char *path, uint64_t flags, struct diff_facts *out)
{
    struct vrift_stat st;
    int64_t result;
    TRY(result, true, vrift_statat(task_of(self), dirfd, path, flags, &st));
    return fill(result, &st, out);
}

static int64_t v_fstat(void *self, int fd, struct diff_facts *out)
{
    struct vrift_stat st;
    int64_t result;
    TRY(result, true, vrift_fstat(task_of(self), fd, &st));
    return fill(result, &st, out);
}

static int64_t v_mkdirat(void *self, int dirfd, const char *path, uint32_t mode)
{
    ANSWER(vrift_mkdirat(task_of(self), dirfd, path, mode));
}

static int64_t v_mknodat(void *self, int dirfd, const char *path, uint32_t mode, uint32_t maj, uint32_t min)
{
    ANSWER(vrift_mknodat(task_of(self), dirfd, path, mode, VRIFT_MKDEV(maj, min)));
}

static int64_t v_unlinkat(void *self, int dirfd, const char *path, uint64_t flags)
{
    ANSWER(vrift_unlinkat(task_of(self), dirfd, path, flags));
}

static int64_t v_renameat2(void *self, int fd, const char *path, int fd2, const char *path2, uint64_t flags)
{
    /* What a whiteout lacks when memory runs out only after the rename is no error of it: see docs/semantics.md. */
    if (flags & VRIFT_RENAME_WHITEOUT)
        return vrift_renameat2(task_of(self), fd, path, fd2, path2, flags);
    ANSWER(vrift_renameat2(task_of(self), fd, path, fd2, path2, flags));
}

static int64_t v_linkat(void *self, int fd, const char *path, int fd2, const char *path2, uint64_t flags)
{
    ANSWER(vrift_linkat(task_of(self), fd, path, fd2, path2, flags));
}

static int64_t v_symlinkat(void *self, const char *target, int dirfd, const char *path)
{
    ANSWER(vrift_symlinkat(task_of(self), target, dirfd, path));
}

static int64_t v_readlinkat(void *self, int dirfd, const char *path, char *buf, size_t len)
{
    ANSWER(vrift_readlinkat(task_of(self), dirfd, path, buf, len));
}

static int64_t v_fchmodat(void *self, int dirfd, const char *path, uint32_t mode, uint64_t flags)
{
    ANSWER(vrift_fchmodat(task_of(self), dirfd, path, mode, flags));
}

static int64_t v_fchownat(void *self, int dirfd, const char *path, uint32_t uid, uint32_t gid, uint64_t flags)
{
    ANSWER(vrift_fchownat(task_of(self), dirfd, path, uid, gid, flags));
}

static int64_t v_utimensat(void *self, int dirfd, const char *path, const struct vrift_timespec *times, uint64_t flags)
{
    ANSWER(vrift_utimensat(task_of(self), dirfd, path, times, flags));
}

static int64_t v_faccessat(void *self, int dirfd, const char *path, uint32_t mode, uint64_t flags)
{
    ANSWER(vrift_faccessat(task_of(self), dirfd, path, mode, flags));
}

static int64_t v_chdir(void *self, const char *path)
{
    ANSWER(vrift_chdir(task_of(self), path));
}

static int64_t v_fchdir(void *self, int fd)
{
    ANSWER(vrift_fchdir(task_of(self), fd));
}

static int64_t v_chroot(void *self, const char *path)
{
    ANSWER(vrift_chroot(task_of(self), path));
}

static int64_t v_getcwd(void *self, char *buf, size_t len)
{
    ANSWER(vrift_getcwd(task_of(self), buf, len));
}

static int64_t v_umask(void *self, uint32_t mask)
{
    return vrift_umask(task_of(self), mask);
}

static int32_t new_cred(vrift_vfs *vfs, uint32_t which, vrift_cred **out)
{
    const struct diff_cred *from = &diff_creds[which];
    struct vrift_cred_options options = {.size = sizeof options,
                                         .uid = from->uid,
                                         .gid = from->gid,
                                         .group_count = from->group_count,
                                         .groups = from->groups,
                                         .capabilities = from->capabilities & VRIFT_CAP_ALL};
    return vrift_cred_new(vfs, &options, out);
}

/* New ones each time, as the kernel makes: whose a descriptor is depends on it. */
static int64_t v_become(void *self, uint32_t which)
{
    vrift_cred *cred;
    int32_t error = new_cred(((struct vrift_self *)self)->side->vfs, which, &cred);
    if (error)
        return error;
    error = vrift_task_set_cred(task_of(self), cred);
    vrift_cred_unref(cred);
    return error;
}

static int64_t v_getdents(void *self, int fd, size_t size, struct diff_listing *listing)
{
    static uint64_t buf[8192];
    int64_t got;
    TRY(got, true, vrift_getdents(task_of(self), fd, buf, size, 0));
    if (got < 0)
        return got;
    uint32_t before = listing->count;
    for (int64_t at = 0; at < got && listing->count < DIFF_MOST_ENTRIES;) {
        const struct vrift_dirent *from = (const void *)((const char *)buf + at);
        struct diff_entry *to = &listing->entries[listing->count++];
        to->ino = from->ino;
        to->cookie = from->cookie;
        to->type = from->type;
        snprintf(to->name, sizeof to->name, "%s", vrift_dirent_name(from));
        at += from->record_length;
    }
    return listing->count - before;
}

static int64_t v_statfs(void *self, int dirfd, const char *path, struct vrift_statfs *out)
{
    ANSWER(vrift_statfs(task_of(self), dirfd, path, out));
}

static int64_t v_setxattr(void *self, int dirfd, const char *path, const char *name, const void *value, size_t len,
                          uint64_t flags)
{
    ANSWER(vrift_setxattrat(task_of(self), dirfd, path, name, value, len, flags));
}

static int64_t v_getxattr(void *self, int dirfd, const char *path, const char *name, void *buf, size_t len,
                          uint64_t flags)
{
    ANSWER(vrift_getxattrat(task_of(self), dirfd, path, name, buf, len, flags));
}

static int64_t v_listxattr(void *self, int dirfd, const char *path, char *buf, size_t len, uint64_t flags)
{
    ANSWER(vrift_listxattrat(task_of(self), dirfd, path, buf, len, flags));
}

static int64_t v_removexattr(void *self, int dirfd, const char *path, const char *name, uint64_t flags)
{
    ANSWER(vrift_removexattrat(task_of(self), dirfd, path, name, flags));
}

static int64_t v_fallocate(void *self, int fd, uint64_t mode, int64_t offset, int64_t length)
{
    ANSWER(vrift_fallocate(task_of(self), fd, mode, offset, length));
}

static int64_t v_copy_file_range(void *self, int fd, int64_t *offset, int fd2, int64_t *offset2, uint64_t count)
{
    return vrift_copy_file_range(task_of(self), fd, offset, fd2, offset2, count, 0);
}

static int64_t v_sendfile(void *self, int to, int from, int64_t *offset, uint64_t count)
{
    return vrift_sendfile(task_of(self), to, from, offset, count);
}

static int64_t v_flock(void *self, int fd, uint64_t operation)
{
    ANSWER(vrift_flock(task_of(self), fd, operation, NULL));
}

static int64_t v_setlk(void *self, int fd, bool ofd, const struct diff_lock *lock)
{
    struct vrift_lock own = {
        .size = sizeof own, .type = lock->type, .whence = lock->whence, .start = lock->start, .length = lock->length};
    ANSWER(vrift_setlk(task_of(self), fd, ofd ? VRIFT_SETLK_OFD : 0, &own, NULL));
}

static int64_t v_getlk(void *self, int fd, bool ofd, struct diff_lock *lock)
{
    struct vrift_lock own = {
        .size = sizeof own, .type = lock->type, .whence = lock->whence, .start = lock->start, .length = lock->length};
    int32_t result = vrift_getlk(task_of(self), fd, ofd ? VRIFT_SETLK_OFD : 0, &own);
    *lock = (struct diff_lock){own.type, own.whence, own.start, own.length};
    return result;
}

static int64_t v_fsetxattr(void *self, int fd, const char *name, const void *value, size_t len, uint64_t flags)
{
    ANSWER(vrift_fsetxattr(task_of(self), fd, name, value, len, flags));
}

static int64_t v_fgetxattr(void *self, int fd, const char *name, void *buf, size_t len)
{
    ANSWER(vrift_fgetxattr(task_of(self), fd, name, buf, len));
}

static int64_t v_flistxattr(void *self, int fd, char *buf, size_t len)
{
    ANSWER(vrift_flistxattr(task_of(self), fd, buf, len));
}

static int64_t v_fremovexattr(void *self, int fd, const char *name)
{
    ANSWER(vrift_fremovexattr(task_of(self), fd, name));
}

static int64_t v_setflags(void *self, int fd, uint64_t flags)
{
    ANSWER(vrift_setflags(task_of(self), fd, "", flags, VRIFT_AT_EMPTY_PATH));
}

static int64_t v_getflags(void *self, int fd, uint64_t *flags)
{
    ANSWER(vrift_getflags(task_of(self), fd, "", VRIFT_AT_EMPTY_PATH, flags));
}

static int64_t v_dupfd(void *self, int fd, int least, uint64_t flags)
{
    ANSWER(vrift_dupfd(task_of(self), fd, least, flags));
}

static int64_t v_close_range(void *self, uint32_t first, uint32_t last, uint64_t flags)
{
    ANSWER_IF(false, vrift_close_range(task_of(self), first, last, flags));
}

static int64_t v_getfd(void *self, int fd)
{
    ANSWER(vrift_getfd(task_of(self), fd));
}

static int64_t v_setfd(void *self, int fd, uint64_t flags)
{
    ANSWER(vrift_setfd(task_of(self), fd, flags));
}

static int64_t v_getfl(void *self, int fd)
{
    ANSWER(vrift_getfl(task_of(self), fd));
}

static int64_t v_setfl(void *self, int fd, uint64_t flags)
{
    ANSWER(vrift_setfl(task_of(self), fd, flags));
}

static int64_t v_fchmod(void *self, int fd, uint32_t mode)
{
    ANSWER(vrift_fchmod(task_of(self), fd, mode));
}

static int64_t v_fchown(void *self, int fd, uint32_t uid, uint32_t gid)
{
    ANSWER(vrift_fchown(task_of(self), fd, uid, gid));
}

static int64_t v_futimens(void *self, int fd, const struct vrift_timespec *times)
{
    ANSWER(vrift_futimens(task_of(self), fd, times));
}

static int64_t v_fdatasync(void *self, int fd)
{
    ANSWER(vrift_fdatasync(task_of(self), fd));
}

static int64_t v_mount_move(void *self, const char *from, const char *to)
{
    ANSWER(vrift_mount_move(task_of(self), DIFF_HERE, from, DIFF_HERE, to, 0));
}

static int64_t v_mount(void *self, const char *path, uint32_t disk, uint64_t flags)
{
    ANSWER(vrift_mount(task_of(self), DIFF_HERE, path, ((struct vrift_self *)self)->side->disks[disk], flags));
}

static int64_t v_bind(void *self, const char *from, const char *to)
{
    ANSWER(vrift_bind(task_of(self), DIFF_HERE, from, DIFF_HERE, to, 0));
}

static int64_t v_remount(void *self, const char *path, uint64_t flags)
{
    ANSWER(vrift_remount(task_of(self), DIFF_HERE, path, flags));
}

static int64_t v_umount(void *self, const char *path, uint64_t flags)
{
    ANSWER(vrift_umount(task_of(self), DIFF_HERE, path, flags));
}

static int64_t v_fork(void *self, uint32_t slot)
{
    struct vrift_side *side = ((struct vrift_self *)self)->side;
    vrift_task_free(side->tasks[slot]);
    side->tasks[slot] = NULL;
    ANSWER(vrift_task_fork(task_of(self), &side->tasks[slot]));
}

static int64_t v_drop_caches(void *self)
{
    ANSWER(vrift_vfs_drop_caches(((struct vrift_self *)self)->side->vfs));
}

const struct diff_calls diff_vrift_calls = {
    .name = "libvrift",
    .openat = v_openat,
    .openat2 = v_openat2,
    .close = v_close,
    .dup = v_dup,
    .dup3 = v_dup3,
    .read = v_read,
    .write = v_write,
    .readv = v_readv,
    .writev = v_writev,
    .pread = v_pread,
    .pwrite = v_pwrite,
    .lseek = v_lseek,
    .ftruncate = v_ftruncate,
    .truncate = v_truncate,
    .fsync = v_fsync,
    .statat = v_statat,
    .fstat = v_fstat,
    .mkdirat = v_mkdirat,
    .mknodat = v_mknodat,
    .unlinkat = v_unlinkat,
    .renameat2 = v_renameat2,
    .linkat = v_linkat,
    .symlinkat = v_symlinkat,
    .readlinkat = v_readlinkat,
    .fchmodat = v_fchmodat,
    .fchownat = v_fchownat,
    .utimensat = v_utimensat,
    .faccessat = v_faccessat,
    .chdir = v_chdir,
    .fchdir = v_fchdir,
    .chroot = v_chroot,
    .getcwd = v_getcwd,
    .umask = v_umask,
    .become = v_become,
    .getdents = v_getdents,
    .statfs = v_statfs,
    .setxattr = v_setxattr,
    .getxattr = v_getxattr,
    .listxattr = v_listxattr,
    .removexattr = v_removexattr,
    .fallocate = v_fallocate,
    .copy_file_range = v_copy_file_range,
    .sendfile = v_sendfile,
    .flock = v_flock,
    .setlk = v_setlk,
    .getlk = v_getlk,
    .fsetxattr = v_fsetxattr,
    .fgetxattr = v_fgetxattr,
    .flistxattr = v_flistxattr,
    .fremovexattr = v_fremovexattr,
    .setflags = v_setflags,
    .getflags = v_getflags,
    .dupfd = v_dupfd,
    .close_range = v_close_range,
    .getfd = v_getfd,
    .setfd = v_setfd,
    .getfl = v_getfl,
    .setfl = v_setfl,
    .fchmod = v_fchmod,
    .fchown = v_fchown,
    .futimens = v_futimens,
    .fdatasync = v_fdatasync,
    .mount_move = v_mount_move,
    .mount = v_mount,
    .bind = v_bind,
    .remount = v_remount,
    .umount = v_umount,
    .fork = v_fork,
    .drop_caches = v_drop_caches,
};

/* -- The world of an episode -------------------------------------------------------------------------------------- */

/* Counts down; true when it is time to fail, once. */
static bool must_fail(struct vrift_side *side)
{
    if (side->left == UINT64_MAX)
        return false;
    if (side->left-- > 0)
        return false;
    side->left = UINT64_MAX;
    side->failed = true;
    return true;
}

static void *VRIFT_CALLBACK count_malloc(size_t size, void *payload)
{
    struct vrift_side *side = payload;
    if (diff_trouble == DIFF_NO_MEMORY && must_fail(side))
        return NULL;
    void *block = malloc(size);
    side->blocks += block ? 1 : 0;
    return block;
}

static void *VRIFT_CALLBACK count_realloc(void *pointer, size_t size, void *payload)
{
    struct vrift_side *side = payload;
    if (diff_trouble == DIFF_NO_MEMORY && must_fail(side))
        return NULL;
    void *block = realloc(pointer, size);
    side->blocks += block && !pointer ? 1 : 0;
    return block;
}

static void VRIFT_CALLBACK count_free(void *pointer, void *payload)
{
    struct vrift_side *side = payload;
    side->blocks -= pointer ? 1 : 0;
    free(pointer);
}

static int32_t VRIFT_CALLBACK inject(const char *slot, void *payload)
{
    (void)slot;
    return must_fail(payload) ? FAULT : 0;
}

/* Directories of their own on a tmpfs each, in a mount namespace of this process. */
static int32_t new_host(vrift_vfs *vfs, int number, vrift_sb **out)
{
    char path[32];
    snprintf(path, sizeof path, "/place/%d", number);
    if (mkdir(path, 0777) < 0 || mount("tmpfs", path, "tmpfs", 0, "mode=0777") < 0)
        return vrift_err_from_host_errno(errno);
    return vrift_host_new(vfs, path, NULL, out);
}

static int32_t enter_place(void)
{
    umask(0);
    mkdir("/proc", 0555);
    return unshare(CLONE_NEWNS) < 0 || mount("tmpfs", "/place", "tmpfs", 0, "mode=0755") < 0 ||
                   mount("proc", "/proc", "proc", 0, NULL) < 0
               ? vrift_err_from_host_errno(errno)
               : 0;
}

static int32_t new_mem(vrift_vfs *vfs, vrift_sb **out)
{
    struct vrift_mem_options memory = {.size = sizeof memory, .root_mode = 0777};
    return vrift_mem_new(vfs, &memory, out);
}

/* An empty lower layer, and an upper one with its work directory. */
static int32_t new_overlay(vrift_vfs *vfs, vrift_sb **out)
{
    vrift_sb *lower = NULL, *upper = NULL;
    vrift_ns *ns = NULL;
    vrift_task *task = NULL;
    int32_t error = new_mem(vfs, &lower);
    if (!error)
        error = new_mem(vfs, &upper);
    if (!error)
        error = vrift_ns_new(vfs, upper, 0, &ns);
    if (!error)
        error = vrift_task_new(ns, NULL, NULL, &task);
    if (!error)
        error = vrift_mkdirat(task, DIFF_HERE, "/upper", 0777);
    if (!error)
        error = vrift_mkdirat(task, DIFF_HERE, "/work", 0777);
    if (!error) {
        struct vrift_overlay_layer below = {lower, "/"}, above = {upper, "/upper"};
        struct vrift_overlay_options options = {
            .size = sizeof options, .lower_count = 1, .lower = &below, .upper = &above, .work = "/work"};
        error = vrift_overlay_new(vfs, &options, out);
    }
    vrift_task_free(task);
    vrift_ns_unref(ns);
    vrift_sb_unref(upper);
    vrift_sb_unref(lower);
    return error;
}

static int32_t new_sb(vrift_vfs *vfs, int number, vrift_sb **out)
{
    switch (diff_backend) {
    case DIFF_HOST:
        return new_host(vfs, number, out);
    case DIFF_OVERLAY:
        return new_overlay(vfs, out);
    default:
        return new_mem(vfs, out);
    }
}

static int32_t begin(struct vrift_side *side)
{
    struct vrift_allocator allocator = {.size = sizeof allocator,
                                        .payload = side,
                                        .malloc_fn = count_malloc,
                                        .realloc_fn = count_realloc,
                                        .free_fn = count_free};
    struct vrift_vfs_options options = {.size = sizeof options, .protect = diff_protections, .allocator = &allocator};
    struct vrift_task_options limits = {.size = sizeof limits, .max_files = DIFF_FILES};
    vrift_sb *root;
    vrift_ns *ns;
    side->left = UINT64_MAX;
    int32_t error = diff_backend == DIFF_HOST ? enter_place() : 0;
    if (!error)
        error = vrift_vfs_new(&options, &side->vfs);
    for (int i = 0; i < DIFF_DISKS && !error; i++)
        error = new_sb(side->vfs, i, &side->disks[i]);
    if (!error)
        error = new_sb(side->vfs, DIFF_DISKS, &root);
    if (!error)
        error = vrift_ns_new(side->vfs, root, 0, &ns);
    for (uint32_t i = 0; i < DIFF_PROCESSES && !error; i++) {
        vrift_cred *cred;
        error = new_cred(side->vfs, diff_first_cred[i], &cred);
        if (!error) {
            error = vrift_task_new(ns, cred, &limits, &side->tasks[i]);
            vrift_cred_unref(cred);
        }
    }
    if (!error) {
        vrift_ns_unref(ns);
        vrift_sb_unref(root);
    }
    return error;
}

static void end(struct vrift_side *side)
{
    for (uint32_t i = 0; i < DIFF_PROCESSES; i++)
        vrift_task_free(side->tasks[i]);
    for (int i = 0; i < DIFF_DISKS; i++)
        vrift_sb_unref(side->disks[i]);
    vrift_vfs_free(side->vfs);
}

static int run_vrift(struct diff_shared *shared)
{
    struct vrift_side side = {0};
    struct vrift_self selves[DIFF_PROCESSES];
    struct diff_run runs[DIFF_PROCESSES];
    alarm(60);
    int32_t error = begin(&side);
    if (error)
        return 2;
    for (uint32_t i = 0; i < DIFF_PROCESSES; i++) {
        selves[i] = (struct vrift_self){&side, i};
        runs[i] = (struct diff_run){&diff_vrift_calls, &selves[i], shared->vrift, 0};
        diff_run_begin(&runs[i]);
    }
    if (diff_trouble == DIFF_FAULTS)
        vrift_vfs_set_fault(side.vfs, inject, &side);
    for (uint32_t i = 0; i < shared->count; i++)
        diff_run_step(&runs[shared->steps[i].task], shared->steps, i);
    end(&side);
    atomic_fetch_add(&shared->tried_again, side.again);
    return side.blocks ? 5 : 0;
}

int diff_vrift_start(struct diff_shared *shared)
{
    diff_log_reset(shared->vrift);
    pid_t pid = fork();
    if (pid == 0)
        _exit(run_vrift(shared));
    return pid;
}
