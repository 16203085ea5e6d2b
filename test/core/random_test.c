/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The same random calls on a tmpfs of the running kernel and on a memory file system of ours, as root and as an
 * ordinary user, with a cache that is thrown away now and then. Every answer must be the same, and so must the trees.
 */
#include "support/world.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HERE      VRIFT_AT_FDCWD
#define TMPFS     0x01021994
#define STEPS     60000
#define USER      1000
#define OUTER     "o/o/base" /* so that `..` in a symlink stays inside */
#define MOST_OPEN 4

struct twins {
    struct world *w;
    vrift_cred *root, *user;
    int base;      /* the kernel's side */
    int32_t vbase; /* ours */
    uint64_t seed;
    int open_fd[MOST_OPEN]; /* opened on both sides at once; -1: none */
    int32_t open_vfd[MOST_OPEN];
    bool sticky; /* may be tried: the kernel does not treat such directories specially */
    uint64_t first_seed;
    int step, uid;
    char what[640];
};

static uint32_t roll(struct twins *t, uint32_t sides)
{
    t->seed = t->seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(t->seed >> 33) % sides;
}

static const char *some_name(struct twins *t)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "name-of-some-length", ".", ".."};
    return names[roll(t, roll(t, 8) ? 7 : 9)];
}

static void some_path(struct twins *t, char *buf)
{
    uint32_t depth = 1 + roll(t, 3);
    buf[0] = '\0';
    for (uint32_t i = 0; i < depth; i++) {
        const char *name = some_name(t);
        if (i == 0 && name[0] == '.' && name[1] == '.')
            name = "a"; /* not above the base */
        strcat(buf, name);
        if (i + 1 < depth || roll(t, 12) == 0)
            strcat(buf, roll(t, 20) ? "/" : "//");
    }
    /* "a/../.." would be above it as well. */
    if (strstr(buf, "../..") || strstr(buf, "./..") || strstr(buf, "..//.."))
        strcpy(buf, "b/../c");
}

/* The kernel's calls are made as the user; ours are told who asks, and their backend works as root. */
static void enter(const struct twins *t)
{
    setfsgid((gid_t)t->uid);
    setfsuid((uid_t)t->uid);
}

static int64_t leave(int64_t result)
{
    int error = errno;
    setfsuid(0);
    setfsgid(0);
    return result < 0 ? vrift_err_from_host_errno(error) : result;
}

#define KERNEL(call) (enter(t), leave(call))

static void same(struct twins *t, int64_t theirs, int64_t ours)
{
    if (theirs != ours)
        fail_msg("seed %llu, step %d, uid %d: %s: the kernel answers %s (%lld), we %s (%lld)",
                 (unsigned long long)t->first_seed, t->step, t->uid, t->what,
                 theirs < 0 ? vrift_err_name(theirs) : "ok", (long long)theirs, ours < 0 ? vrift_err_name(ours) : "ok",
                 (long long)ours);
}

#define SAY(...) snprintf(t->what, sizeof t->what, __VA_ARGS__)

static void compare_stat(struct twins *t, const char *path, int follow)
{
    struct stat theirs;
    struct vrift_stat ours;
    int64_t k = KERNEL(fstatat(t->base, path, &theirs, follow ? 0 : AT_SYMLINK_NOFOLLOW));
    int64_t v = vrift_statat(t->w->task, t->vbase, path, follow ? 0 : VRIFT_AT_SYMLINK_NOFOLLOW, &ours);
    SAY("stat %s", path);
    same(t, k, v);
    if (k)
        return;
    SAY("mode of %s", path);
    same(t, theirs.st_mode, ours.mode);
    SAY("links of %s", path);
    same(t, theirs.st_nlink, ours.nlink);
    SAY("owner of %s", path);
    same(t, theirs.st_uid, ours.uid);
    SAY("group of %s", path);
    same(t, theirs.st_gid, ours.gid);
    SAY("size of %s", path);
    if (!S_ISDIR(theirs.st_mode))
        same(t, theirs.st_size, ours.size);
}

static void try_open(struct twins *t)
{
    static const int flags[] = {O_CREAT, O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW, O_DIRECTORY, O_PATH};
    char path[256];
    int how = (int)roll(t, 3);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
        if (roll(t, i == 0 ? 2 : 8) == 0)
            how |= flags[i];
    some_path(t, path);
    uint32_t mode = roll(t, 2) ? 0644 : 02775;
    int64_t k = KERNEL(openat(t->base, path, how, mode));
    int32_t v = vrift_openat(t->w->task, t->vbase, path, (uint64_t)how, mode);
    SAY("open %s flags %o mode %o", path, (unsigned)how, mode);
    same(t, k < 0 ? k : 0, v < 0 ? v : 0);
    if (k < 0)
        return;
    uint32_t slot = roll(t, MOST_OPEN);
    if (t->open_fd[slot] >= 0) {
        close(t->open_fd[slot]);
        check_ok(vrift_close(t->w->task, t->open_vfd[slot]));
    }
    t->open_fd[slot] = (int)k;
    t->open_vfd[slot] = v;
}

static void try_io(struct twins *t)
{
    uint32_t slot = roll(t, MOST_OPEN);
    int fd = t->open_fd[slot];
    int32_t vfd = t->open_vfd[slot];
    char theirs[64], ours[64];
    size_t length = roll(t, 40);
    if (fd < 0)
        return;
    struct stat st;
    struct vrift_stat vst;
    switch (roll(t, 6)) {
    case 0:
        memset(theirs, 'a' + (int)roll(t, 26), sizeof theirs);
        SAY("write %zu to %d", length, fd);
        same(t, KERNEL(write(fd, theirs, length)), vrift_write(t->w->task, vfd, theirs, length));
        break;
    case 1: {
        int64_t k = KERNEL(read(fd, theirs, length));
        SAY("read %zu of %d", length, fd);
        same(t, k, vrift_read(t->w->task, vfd, ours, length));
        if (k > 0)
            assert_memory_equal(theirs, ours, (size_t)k);
        break;
    }
    case 2: {
        int whence = (int)roll(t, 3);
        int64_t offset = (int64_t)roll(t, 60) - 10;
        /* Where a directory's positions are is each file system's own business. */
        if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
            break;
        SAY("lseek %lld from %d", (long long)offset, whence);
        same(t, KERNEL(lseek(fd, offset, whence)), vrift_lseek(t->w->task, vfd, offset, whence));
        break;
    }
    case 3: {
        uint32_t size = roll(t, 100);
        SAY("ftruncate to %u", size);
        same(t, KERNEL(ftruncate(fd, size)), vrift_ftruncate(t->w->task, vfd, size));
        break;
    }
    case 4: {
        uint32_t offset = roll(t, 100);
        memset(theirs, 'A' + (int)roll(t, 26), sizeof theirs);
        SAY("pwrite %zu at %u", length, offset);
        same(t, KERNEL(pwrite(fd, theirs, length, offset)), vrift_pwrite(t->w->task, vfd, theirs, length, offset));
        break;
    }
    default: {
        int64_t k = KERNEL(fstat(fd, &st));
        SAY("fstat");
        same(t, k, vrift_fstat(t->w->task, vfd, &vst));
        SAY("fstat mode");
        same(t, st.st_mode, vst.mode);
        SAY("fstat links");
        same(t, st.st_nlink, vst.nlink);
        break;
    }
    }
}

static void try_attributes(struct twins *t)
{
    static const uint32_t modes[] = {0755, 0700, 0777, 0, 0555, 0711, 02775, 04755, 06777, 02666, 0644, 01777};
    char path[256];
    some_path(t, path);
    uint32_t mode = modes[roll(t, t->sticky ? 12 : 11)];
    uint32_t uid = roll(t, 3) ? (uint32_t)-1 : roll(t, 2) * USER, gid = roll(t, 3) ? (uint32_t)-1 : roll(t, 2) * USER;
    switch (roll(t, 4)) {
    case 0:
        SAY("chmod %s %o", path, mode);
        same(t, KERNEL(fchmodat(t->base, path, mode, 0)), vrift_fchmodat(t->w->task, t->vbase, path, mode, 0));
        break;
    case 1:
        SAY("chown %s %d %d", path, (int)uid, (int)gid);
        same(t, KERNEL(fchownat(t->base, path, uid, gid, AT_SYMLINK_NOFOLLOW)),
             vrift_fchownat(t->w->task, t->vbase, path, uid, gid, VRIFT_AT_SYMLINK_NOFOLLOW));
        break;
    case 2: {
        struct timespec times[2] = {{5, 6}, {0, roll(t, 2) ? UTIME_NOW : UTIME_OMIT}};
        if (roll(t, 2))
            times[0].tv_nsec = UTIME_NOW;
        struct vrift_timespec ours[2] = {{times[0].tv_sec, (uint32_t)times[0].tv_nsec, 0},
                                         {times[1].tv_sec, (uint32_t)times[1].tv_nsec, 0}};
        SAY("utimens %s", path);
        same(t, KERNEL(utimensat(t->base, path, times, 0)), vrift_utimensat(t->w->task, t->vbase, path, ours, 0));
        break;
    }
    default: {
        /* The C library's faccessat works the effective user out by itself: ask the kernel. */
        uint32_t want = roll(t, 8);
        SAY("access %s %u", path, want);
        same(t, KERNEL(syscall(SYS_faccessat2, t->base, path, want, AT_EACCESS)),
             vrift_faccessat(t->w->task, t->vbase, path, want, 0));
        break;
    }
    }
}

static void try_names(struct twins *t)
{
    static const char *const targets[] = {"a", "b/c", "../d", "c", "../../a", "e/", ".", "missing"};
    char one[256], two[256], text[256];
    some_path(t, one);
    some_path(t, two);
    vrift_task *task = t->w->task;
    switch (roll(t, 9)) {
    case 0:
    case 1:
        SAY("mkdir %s", one);
        same(t, KERNEL(mkdirat(t->base, one, 0777)), vrift_mkdirat(task, t->vbase, one, 0777));
        break;
    case 2:
        SAY("rmdir %s", one);
        same(t, KERNEL(unlinkat(t->base, one, AT_REMOVEDIR)), vrift_unlinkat(task, t->vbase, one, VRIFT_AT_REMOVEDIR));
        break;
    case 3:
        SAY("unlink %s", one);
        same(t, KERNEL(unlinkat(t->base, one, 0)), vrift_unlinkat(task, t->vbase, one, 0));
        break;
    case 4: {
        const char *target = targets[roll(t, 8)];
        SAY("symlink %s to %s", one, target);
        same(t, KERNEL(symlinkat(target, t->base, one)), vrift_symlinkat(task, target, t->vbase, one));
        break;
    }
    case 5: {
        int follow = roll(t, 2) ? AT_SYMLINK_FOLLOW : 0;
        SAY("link %s to %s", two, one);
        same(t, KERNEL(linkat(t->base, one, t->base, two, follow)),
             vrift_linkat(task, t->vbase, one, t->vbase, two, (uint64_t)follow));
        break;
    }
    case 6: {
        int64_t k = KERNEL(readlinkat(t->base, one, text, sizeof text));
        SAY("readlink %s", one);
        same(t, k, vrift_readlinkat(task, t->vbase, one, text, sizeof text));
        break;
    }
    default: {
        uint32_t flags = roll(t, 3) ? 0 : roll(t, 3);
        SAY("rename %s to %s flags %u", one, two, flags);
        same(t, KERNEL(syscall(SYS_renameat2, t->base, one, t->base, two, flags)),
             vrift_renameat2(task, t->vbase, one, t->vbase, two, flags));
        break;
    }
    }
}

/* From here on the calls are the user's or root's, on both sides. */
static void become(struct twins *t, bool user)
{
    t->uid = user ? USER : 0;
    check_ok(vrift_task_set_cred(t->w->task, user ? t->user : t->root));
}

static uint64_t count_kernel_entries(struct twins *t, const char *relative)
{
    uint64_t count = 0;
    DIR *dir = fdopendir(openat(t->base, relative, O_RDONLY | O_DIRECTORY));
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return count;
}

/* Both sides have the same names with the same attributes. */
static void compare_trees(struct twins *t, const char *path, int depth)
{
    char *list = strdup(world_list(t->w, path));
    char child[1024], relative[1024];
    char *rest = NULL;
    uint64_t count = 0;
    for (char *name = strtok_r(list, " ", &rest); name; name = strtok_r(NULL, " ", &rest), count++) {
        snprintf(child, sizeof child, "%s/%s", path, name);
        snprintf(relative, sizeof relative, "%s", child + strlen("/s/" OUTER "/"));
        compare_stat(t, relative, 0);
        if ((world_stat(t->w, child).mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR && depth < 20)
            compare_trees(t, child, depth + 1);
    }
    free(list);
    SAY("names in %s", path);
    same(t, (int64_t)count_kernel_entries(t, path[strlen("/s/" OUTER)] ? path + strlen("/s/" OUTER "/") : "."),
         (int64_t)count);
}

static void end_twins(struct twins *t, char *directory)
{
    for (int i = 0; i < MOST_OPEN; i++) {
        if (t->open_fd[i] < 0)
            continue;
        close(t->open_fd[i]);
        check_ok(vrift_close(t->w->task, t->open_vfd[i]));
    }
    close(t->base);
    check_ok(vrift_close(t->w->task, t->vbase));
    vrift_cred_unref(t->root);
    vrift_cred_unref(t->user);
    world_free(t->w);
    remove_temporary_directory(directory);
}

static int setting(const char *name)
{
    char path[128], digit = '0';
    snprintf(path, sizeof path, "/proc/sys/fs/%s", name);
    int fd = open(path, O_RDONLY);
    if (fd >= 0 && read(fd, &digit, 1) != 1)
        digit = '0';
    if (fd >= 0)
        close(fd);
    return digit - '0';
}

/*
 * What stands against the kernel: a memory file system; a directory of the host, on a tmpfs as well; an overlay of
 * which everything is in the upper layer, where it must not differ from a plain file system.
 */
enum subject { MEMORY, HOST_SHARED, HOST_EXCLUSIVE, OVERLAY };

static vrift_sb *new_overlay(struct world *w)
{
    vrift_sb *lower, *upper, *overlay;
    check_ok(vrift_mem_new(w->vfs, NULL, &lower));
    check_ok(vrift_mem_new(w->vfs, NULL, &upper));
    check_ok(vrift_mount(w->task, HERE, "/s", upper, 0));
    check_ok(vrift_mkdirat(w->task, HERE, "/s/upper", 0777));
    check_ok(vrift_mkdirat(w->task, HERE, "/s/work", 0777));
    check_ok(vrift_umount(w->task, HERE, "/s", 0));
    struct vrift_overlay_layer low = {lower, NULL}, up = {upper, "/upper"};
    struct vrift_overlay_options options = {
        .size = sizeof options, .lower_count = 1, .lower = &low, .upper = &up, .work = "/work"};
    check_ok(vrift_overlay_new(w->vfs, &options, &overlay));
    vrift_sb_unref(lower);
    vrift_sb_unref(upper);
    return overlay;
}

/* Puts the subject at /s. Returns the directory behind it, or NULL. */
static char *mount_subject(struct world *w, enum subject subject)
{
    struct vrift_host_options options = {.size = sizeof options};
    char path[] = "/dev/shm/vrift-random-XXXXXX";
    vrift_sb *sb;
    check_ok(vrift_mkdirat(w->task, HERE, "/s", 0777));
    if (subject == MEMORY) {
        check_ok(vrift_mem_new(w->vfs, NULL, &sb));
    } else if (subject == OVERLAY) {
        sb = new_overlay(w);
    } else {
        assert_non_null(mkdtemp(path));
        if (subject == HOST_EXCLUSIVE)
            options.flags = VRIFT_HOST_EXCLUSIVE;
        check_ok(vrift_host_new(w->vfs, path, &options, &sb));
    }
    check_ok(vrift_mount(w->task, HERE, "/s", sb, 0));
    vrift_sb_unref(sb);
    return subject == HOST_SHARED || subject == HOST_EXCLUSIVE ? strdup(path) : NULL;
}

static void run(uint64_t seed, uint64_t cache_bytes, enum subject subject)
{
    struct statfs fs;
    if (geteuid() != 0)
        skip_because("calls as another user need root");
    if (statfs("/dev/shm", &fs) || fs.f_type != TMPFS)
        skip_because("/dev/shm is no tmpfs to compare with");
    if (!setting("protected_hardlinks"))
        skip_because("fs.protected_hardlinks is off, and ours is on");
    struct vrift_vfs_options options = {.size = sizeof options, .cache_bytes = cache_bytes};
    struct twins *t = calloc(1, sizeof *t);
    t->w = world_new(&options);
    t->seed = t->first_seed = seed;
    t->sticky = !setting("protected_symlinks") && !setting("protected_regular");
    setgroups(0, NULL);
    umask(0);
    char *behind = mount_subject(t->w, subject);
    char directory[] = "/dev/shm/vrift-random-XXXXXX";
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chmod(directory, 0755), 0);
    int top = open(directory, O_RDONLY | O_DIRECTORY);
    static const char *const dirs[] = {"o", "o/o", OUTER};
    for (int i = 0; i < 3; i++) {
        char ours[64];
        snprintf(ours, sizeof ours, "/s/%s", dirs[i]);
        assert_int_equal(mkdirat(top, dirs[i], 0777), 0);
        check_ok(vrift_mkdirat(t->w->task, HERE, ours, 0777));
    }
    t->base = openat(top, OUTER, O_RDONLY | O_DIRECTORY);
    t->vbase = (int32_t)check_ok(vrift_openat(t->w->task, HERE, "/s/" OUTER, VRIFT_O_DIRECTORY, 0));
    close(top);
    t->user = world_cred(t->w, USER, USER);
    check_ok(vrift_cred_new(t->w->vfs, NULL, &t->root));
    for (int i = 0; i < MOST_OPEN; i++)
        t->open_fd[i] = -1;
    for (int i = 0; i < STEPS; i++) {
        t->step = i;
        if (roll(t, 10) == 0)
            become(t, roll(t, 2));
        if (roll(t, 500) == 0)
            check_ok(vrift_vfs_drop_caches(t->w->vfs));
        switch (roll(t, 8)) {
        case 0:
        case 1:
            try_open(t);
            break;
        case 2:
            try_io(t);
            break;
        case 3:
            try_attributes(t);
            break;
        case 4: {
            char path[256];
            some_path(t, path);
            compare_stat(t, path, (int)roll(t, 2));
            break;
        }
        default:
            try_names(t);
            break;
        }
        if (i % 5000 == 0) {
            become(t, false);
            compare_trees(t, "/s/" OUTER, 0);
        }
    }
    become(t, false);
    end_twins(t, strdup(directory));
    remove_temporary_directory(behind);
    free(t);
}

static void random_calls_answer_as_the_kernel_does(void **state)
{
    (void)state;
    run(1, 0, MEMORY);
}

static void random_calls_under_constant_eviction_answer_as_the_kernel_does(void **state)
{
    (void)state;
    run(2, 1, MEMORY);
}

static void random_calls_on_a_shared_host_directory_answer_as_the_kernel_does(void **state)
{
    (void)state;
    run(3, 0, HOST_SHARED);
}

static void random_calls_on_an_exclusive_host_directory_answer_as_the_kernel_does(void **state)
{
    (void)state;
    run(4, 0, HOST_EXCLUSIVE);
}

static void random_calls_on_the_upper_layer_of_an_overlay_answer_as_the_kernel_does(void **state)
{
    (void)state;
    run(5, 0, OVERLAY);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        for (uint64_t seed = strtoull(argv[1], NULL, 10); seed < strtoull(argv[2], NULL, 10); seed++)
            run(seed, seed % 2, argc > 3 ? (enum subject)atoi(argv[3]) : MEMORY);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_calls_answer_as_the_kernel_does),
        cmocka_unit_test(random_calls_under_constant_eviction_answer_as_the_kernel_does),
        cmocka_unit_test(random_calls_on_a_shared_host_directory_answer_as_the_kernel_does),
        cmocka_unit_test(random_calls_on_an_exclusive_host_directory_answer_as_the_kernel_does),
        cmocka_unit_test(random_calls_on_the_upper_layer_of_an_overlay_answer_as_the_kernel_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
