/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Watches against the kernel's inotify: the same random operations on a tmpfs and on a memory file system, with the same
 * watches; after each few of them both queues are read and must say the same, in the same order, joined alike.
 *
 *     watch_kernel_test --ops N --seed S      one long run
 */
#include "support/check.h"
#include "support/world.h"

#include <vrift/watch.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define HERE    VRIFT_AT_FDCWD
#define HANDLES 5
#define MOST_WD 64
#define HISTORY 40

static uint64_t ops_wanted = 50000, seed_wanted = 1, seeds = 12;

/* One pair of worlds. */
struct pair {
    struct world *w;
    vrift_watch_queue *queue;
    int inotify;
    int kernel_fd[HANDLES];
    int32_t ours_fd[HANDLES];
    int32_t last_wd;
    uint32_t cookies[2][64]; /* kernel's and ours, that went together */
    uint32_t cookie_count;
    uint64_t random;
    char history[HISTORY][200];
    uint64_t step;
};

static uint32_t pick(struct pair *p, uint32_t below)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return (uint32_t)(p->random >> 20) % below;
}

static int64_t host(int64_t result)
{
    return result < 0 ? vrift_err_from_host_errno(errno) : result;
}

/* -- One operation on both ----------------------------------------------------------------------------------------- */

static const char *path_of(struct pair *p)
{
    static const char *const paths[] = {"a",   "b",       "d",     "e",     "d/a",   "d/b",   "d/e",   "d/e/a",
                                        "e/a", "d/e/b",   "e/d",   "e/d/a", "l",     "d/l",   "e/b",   "d/d",
                                        "d/c", "d/e/c/a", "d/e/c", "c",     "d/d/a", "d/d/b", "e/d/b", "."};
    return paths[pick(p, sizeof paths / sizeof paths[0])];
}

static uint32_t mask_of(struct pair *p)
{
    static const uint32_t hows[] = {0, 0, 0, IN_ONLYDIR, IN_DONT_FOLLOW, IN_EXCL_UNLINK, IN_MASK_ADD, IN_MASK_CREATE};
    uint32_t mask = pick(p, 3) ? IN_ALL_EVENTS : 1 + pick(p, IN_ALL_EVENTS);
    mask |= hows[pick(p, sizeof hows / sizeof hows[0])];
    return pick(p, 12) ? mask : mask | IN_ONESHOT;
}

static void note(struct pair *p, const char *format, ...);
static void note(struct pair *p, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(p->history[p->step % HISTORY], sizeof p->history[0], format, arguments);
    va_end(arguments);
}

static void differ(const struct pair *p, const char *what)
{
    print_error("%s\nafter:\n", what);
    for (uint64_t i = p->step < HISTORY ? 0 : p->step - HISTORY + 1; i <= p->step; i++)
        print_error("  %s\n", p->history[i % HISTORY]);
    fail();
}

static void agree(const struct pair *p, int64_t kernel, int64_t ours)
{
    char text[200];
    if (kernel == ours)
        return;
    snprintf(text, sizeof text, "the kernel answers %lld, ours %lld (%s)", (long long)kernel, (long long)ours,
             ours < 0 ? vrift_err_name((int32_t)ours) : "");
    differ(p, text);
}

static void open_one(struct pair *p, bool dir)
{
    static const int flags[] = {O_RDONLY,
                                O_WRONLY,
                                O_RDWR,
                                O_RDWR | O_CREAT,
                                O_WRONLY | O_CREAT | O_EXCL,
                                O_RDWR | O_TRUNC,
                                O_RDWR | O_CREAT | O_TRUNC,
                                O_WRONLY | O_APPEND,
                                O_PATH};
    uint32_t h = pick(p, HANDLES);
    if (p->kernel_fd[h] >= 0)
        return;
    int how = dir ? O_RDONLY | O_DIRECTORY : flags[pick(p, sizeof flags / sizeof flags[0])];
    const char *path = path_of(p);
    note(p, "h%u = open(%s, 0%o)", h, path, (unsigned)how);
    int64_t kernel = host(open(path, how | O_CLOEXEC | O_NONBLOCK, 0644));
    int64_t ours = vrift_openat(p->w->task, HERE, path, (uint64_t)how | O_NONBLOCK, 0644);
    agree(p, kernel < 0 ? kernel : 0, ours < 0 ? ours : 0);
    if (kernel < 0)
        return;
    p->kernel_fd[h] = (int)kernel;
    p->ours_fd[h] = (int32_t)ours;
}

static void close_one(struct pair *p, uint32_t h)
{
    if (p->kernel_fd[h] < 0)
        return;
    note(p, "close(h%u)", h);
    agree(p, host(close(p->kernel_fd[h])), vrift_close(p->w->task, p->ours_fd[h]));
    p->kernel_fd[h] = -1;
}

static void use_file(struct pair *p)
{
    char buf[8192] = "some bytes";
    char own[8192];
    uint32_t h = pick(p, HANDLES);
    int kernel = p->kernel_fd[h];
    int32_t ours = p->ours_fd[h];
    vrift_task *task = p->w->task;
    if (kernel < 0)
        return;
    switch (pick(p, 11)) {
    case 8:
        note(p, "fallocate(h%u)", h);
        agree(p, host(fallocate(kernel, 0, 1, 5)), vrift_fallocate(task, ours, 0, 1, 5));
        break;
    case 9: {
        uint32_t to = pick(p, HANDLES);
        loff_t from_at = 0, to_at = 4096;
        int64_t from = 0, at = 4096;
        if (p->kernel_fd[to] < 0)
            break;
        note(p, "copy_file_range(h%u, h%u)", h, to);
        agree(p, host(copy_file_range(kernel, &from_at, p->kernel_fd[to], &to_at, 4, 0)),
              vrift_copy_file_range(task, ours, &from, p->ours_fd[to], &at, 4, 0));
        break;
    }
    case 10: {
        uint32_t to = pick(p, HANDLES);
        struct stat a, b;
        /* Within one file what is sent may be what was just written, or not. */
        if (p->kernel_fd[to] < 0 || fstat(kernel, &a) || fstat(p->kernel_fd[to], &b) || a.st_ino == b.st_ino)
            break;
        note(p, "sendfile(h%u, h%u)", to, h);
        agree(p, host(sendfile(p->kernel_fd[to], kernel, NULL, 3)),
              vrift_sendfile(task, p->ours_fd[to], ours, NULL, 3));
        break;
    }
    case 0:
        note(p, "read(h%u)", h);
        agree(p, host(read(kernel, buf, 5)), vrift_read(task, ours, own, 5));
        break;
    case 1:
        note(p, "pread(h%u)", h);
        agree(p, host(pread(kernel, buf, 5, 1)), vrift_pread(task, ours, own, 5, 1));
        break;
    case 2:
        note(p, "write(h%u)", h);
        agree(p, host(write(kernel, buf, 7)), vrift_write(task, ours, buf, 7));
        break;
    case 3:
        note(p, "pwrite(h%u)", h);
        agree(p, host(pwrite(kernel, buf, 3, 2)), vrift_pwrite(task, ours, buf, 3, 2));
        break;
    case 4:
        note(p, "ftruncate(h%u)", h);
        agree(p, host(ftruncate(kernel, 4)), vrift_ftruncate(task, ours, 4));
        break;
    case 5: {
        note(p, "getdents(h%u)", h);
        int64_t listed = host(syscall(SYS_getdents64, kernel, buf, sizeof buf));
        int64_t mine = vrift_getdents(task, ours, own, sizeof own, 0);
        agree(p, listed > 0 ? 0 : listed, mine > 0 ? 0 : mine); /* what came since the opening may be listed or not */
        break;
    }
    case 6:
        note(p, "write(h%u, 0 bytes)", h);
        agree(p, host(write(kernel, buf, 0)), vrift_write(task, ours, buf, 0));
        break;
    default:
        close_one(p, h);
    }
}

static void change_attributes(struct pair *p)
{
    const char *path = path_of(p);
    vrift_task *task = p->w->task;
    uint32_t mode = pick(p, 2) ? 0644 | (pick(p, 4) << 10) : 0755;
    switch (pick(p, 7)) {
    case 0:
        note(p, "chmod(%s, 0%o)", path, mode);
        agree(p, host(fchmodat(AT_FDCWD, path, mode, 0)), vrift_fchmodat(task, HERE, path, mode, 0));
        break;
    case 1:
        note(p, "chown(%s)", path);
        agree(p, host(fchownat(AT_FDCWD, path, 3, (gid_t)-1, AT_SYMLINK_NOFOLLOW)),
              vrift_fchownat(task, HERE, path, 3, UINT32_MAX, VRIFT_AT_SYMLINK_NOFOLLOW));
        break;
    case 2:
        note(p, "chown(%s) to nobody in particular", path);
        agree(p, host(fchownat(AT_FDCWD, path, (uid_t)-1, (gid_t)-1, 0)),
              vrift_fchownat(task, HERE, path, UINT32_MAX, UINT32_MAX, 0));
        break;
    case 3: {
        static const long how[] = {UTIME_NOW, UTIME_OMIT, 1};
        long a = how[pick(p, 3)], m = how[pick(p, 3)];
        struct timespec times[2] = {{1, a}, {2, m}};
        struct vrift_timespec mine[2] = {{1, (uint32_t)a, 0}, {2, (uint32_t)m, 0}};
        note(p, "utimens(%s, %lx, %lx)", path, (unsigned long)a, (unsigned long)m);
        agree(p, host(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW)),
              vrift_utimensat(task, HERE, path, mine, VRIFT_AT_SYMLINK_NOFOLLOW));
        break;
    }
    case 4:
        note(p, "truncate(%s)", path);
        agree(p, host(truncate(path, 6)), vrift_truncate(task, path, 6));
        break;
    case 5:
        note(p, "setxattr(%s)", path);
        agree(p, host(setxattr(path, "trusted.x", "v", 1, 0)),
              vrift_setxattrat(task, HERE, path, "trusted.x", "v", 1, 0));
        break;
    default:
        note(p, "removexattr(%s)", path);
        agree(p, host(removexattr(path, "trusted.x")), vrift_removexattrat(task, HERE, path, "trusted.x", 0));
    }
}

static void change_names(struct pair *p)
{
    const char *path = path_of(p), *other = path_of(p);
    vrift_task *task = p->w->task;
    switch (pick(p, 10)) {
    case 0:
    case 1:
        note(p, "mkdir(%s)", path);
        agree(p, host(mkdir(path, 0755)), vrift_mkdirat(task, HERE, path, 0755));
        break;
    case 2:
        note(p, "mknod(%s)", path);
        agree(p, host(mknod(path, S_IFREG | 0644, 0)), vrift_mknodat(task, HERE, path, VRIFT_S_IFREG | 0644, 0));
        break;
    case 3:
        note(p, "symlink(%s -> %s)", path, other);
        agree(p, host(symlink(other, path)), vrift_symlinkat(task, other, HERE, path));
        break;
    case 4:
        note(p, "link(%s, %s)", path, other);
        agree(p, host(link(path, other)), vrift_linkat(task, HERE, path, HERE, other, 0));
        break;
    case 5:
        note(p, "unlink(%s)", path);
        agree(p, host(unlink(path)), vrift_unlinkat(task, HERE, path, 0));
        break;
    case 6:
        note(p, "rmdir(%s)", path);
        agree(p, host(rmdir(path)), vrift_unlinkat(task, HERE, path, VRIFT_AT_REMOVEDIR));
        break;
    default: {
        static const uint32_t flags[] = {0, 0, 0, RENAME_EXCHANGE, RENAME_NOREPLACE};
        uint32_t how = flags[pick(p, sizeof flags / sizeof flags[0])];
        note(p, "rename(%s, %s, %u)", path, other, how);
        agree(p, host(renameat2(AT_FDCWD, path, AT_FDCWD, other, how)),
              vrift_renameat2(task, HERE, path, HERE, other, how));
    }
    }
}

static void change_watches(struct pair *p)
{
    if (pick(p, 5) == 0 && p->last_wd) {
        int32_t wd = 1 + (int32_t)pick(p, (uint32_t)p->last_wd);
        note(p, "remove watch %d", wd);
        agree(p, host(inotify_rm_watch(p->inotify, wd)), vrift_watch_remove(p->queue, wd));
        return;
    }
    const char *path = path_of(p);
    uint32_t mask = mask_of(p);
    note(p, "watch(%s, %x)", path, mask);
    int64_t kernel = host(inotify_add_watch(p->inotify, path, mask));
    int64_t ours = vrift_watch_add(p->queue, p->w->task, HERE, path, mask, 0);
    agree(p, kernel, ours);
    if (kernel > p->last_wd)
        p->last_wd = (int32_t)kernel;
}

/* -- What both queues say ------------------------------------------------------------------------------------------ */

struct said {
    int32_t wd;
    uint32_t mask, cookie;
    char name[256];
};

static size_t kernel_says(const struct pair *p, struct said *said, size_t most)
{
    static _Alignas(8) char buf[1 << 16];
    size_t count = 0;
    ssize_t length;
    while ((length = read(p->inotify, buf, sizeof buf)) > 0) {
        for (ssize_t at = 0; at < length && count < most;) {
            const struct inotify_event *event = (const void *)(buf + at);
            said[count] = (struct said){.wd = event->wd, .mask = event->mask, .cookie = event->cookie};
            if (event->len)
                snprintf(said[count].name, sizeof said[count].name, "%s", event->name);
            count++;
            at += (ssize_t)sizeof *event + event->len;
        }
    }
    return count;
}

static size_t ours_says(const struct pair *p, struct said *said, size_t most)
{
    static _Alignas(8) char buf[1 << 16];
    size_t count = 0;
    int64_t length;
    while ((length = vrift_watch_read(p->queue, buf, sizeof buf, 0)) > 0) {
        for (int64_t at = 0; at < length && count < most;) {
            const struct vrift_watch_event *event = (const void *)(buf + at);
            said[count] = (struct said){.wd = event->wd, .mask = event->mask, .cookie = event->cookie};
            snprintf(said[count].name, sizeof said[count].name, "%s", vrift_watch_event_name(event));
            count++;
            at += event->record_length;
        }
    }
    assert_int_equal(length, -VRIFT_EAGAIN);
    return count;
}

/* A cookie of one side goes with one of the other. */
static bool same_cookie(struct pair *p, uint32_t kernel, uint32_t ours)
{
    if (!kernel || !ours)
        return kernel == ours;
    for (uint32_t i = 0; i < p->cookie_count && i < 64; i++)
        if (p->cookies[0][i] == kernel || p->cookies[1][i] == ours)
            return p->cookies[0][i] == kernel && p->cookies[1][i] == ours;
    p->cookies[0][p->cookie_count % 64] = kernel;
    p->cookies[1][p->cookie_count++ % 64] = ours;
    return true;
}

static void show(const char *who, const struct said *said, size_t count)
{
    for (size_t i = 0; i < count; i++)
        print_error("%s: wd %d mask %x cookie %u '%s'\n", who, said[i].wd, said[i].mask, said[i].cookie, said[i].name);
}

static void compare(struct pair *p)
{
    static struct said kernel[4096], ours[4096];
    size_t kernel_count = kernel_says(p, kernel, 4096), ours_count = ours_says(p, ours, 4096);
    bool same = kernel_count == ours_count;
    for (size_t i = 0; same && i < kernel_count; i++)
        same = kernel[i].wd == ours[i].wd && kernel[i].mask == ours[i].mask &&
               same_cookie(p, kernel[i].cookie, ours[i].cookie) && strcmp(kernel[i].name, ours[i].name) == 0;
    if (same)
        return;
    show("kernel", kernel, kernel_count);
    show("ours  ", ours, ours_count);
    differ(p, "the events differ");
}

static void step(struct pair *p)
{
    uint32_t what = pick(p, 20);
    note(p, "nothing");
    if (what < 2)
        change_watches(p);
    else if (what < 6)
        open_one(p, what == 5);
    else if (what < 11)
        use_file(p);
    else if (what < 14)
        change_attributes(p);
    else
        change_names(p);
    if (pick(p, 3) == 0)
        compare(p);
    p->step++;
}

static void run(uint64_t seed, uint64_t ops)
{
    struct pair *p = test_calloc(1, sizeof *p);
    p->w = world_new(NULL);
    p->random = seed * 0x9e3779b97f4a7c15ULL + 1;
    p->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    assert_true(p->inotify >= 0);
    check_ok(vrift_watch_new(p->w->vfs, NULL, &p->queue));
    for (int h = 0; h < HANDLES; h++)
        p->kernel_fd[h] = -1;
    while (p->step < ops)
        step(p);
    compare(p);
    for (uint32_t h = 0; h < HANDLES; h++)
        close_one(p, h);
    compare(p);
    vrift_watch_free(p->queue);
    close(p->inotify);
    world_free(p->w);
    test_free(p);
}

/* In a mount namespace of its own, on a fresh tmpfs; 77: that is not to be had. */
static int in_child(const char *place, uint64_t seed, uint64_t ops)
{
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("none", place, "tmpfs", 0, "mode=0755") < 0 || chdir(place) < 0)
            _exit(77);
        umask(0);
        run(seed, ops);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void random_operations_tell_watchers_what_inotify_tells(void **state)
{
    (void)state;
    char *place = temporary_directory();
    int result = 0;
    for (uint64_t seed = seed_wanted; seed < seed_wanted + seeds && !result; seed++) {
        result = in_child(place, seed, ops_wanted);
        if (result && result != 77)
            print_error("seed %llu\n", (unsigned long long)seed);
    }
    remove_temporary_directory(place);
    if (result == 77)
        skip_because("no mount namespace with a tmpfs to ask inotify in");
    assert_int_equal(result, 0);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 0);
        if (strcmp(argv[i], "--ops") == 0)
            ops_wanted = value;
        if (strcmp(argv[i], "--seed") == 0) {
            seed_wanted = value;
            seeds = 1;
        }
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_operations_tell_watchers_what_inotify_tells)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
