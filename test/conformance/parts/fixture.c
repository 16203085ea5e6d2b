/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The tree that the read cases read, and the small things that all cases need. */
#include "conformance/conformance.h"

#include <time.h>

#define NAME_OF_255                                                                                                    \
    "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"     \
    "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"     \
    "0123456789abcdefghijklmnopqrstuvwxyz..."

const char *const odd_names[] = {"a\nnewline", "\xff\xfe not UTF-8", " ",           "-rf",          "...",       "a\tb",
                                 "\x01",       "\"quoted\"",         "caf\xc3\xa9", "cafe\xcc\x81", NAME_OF_255, NULL};

const struct vrift_timespec old_time = {-1000000001, 123456789, 0};

static int can(const struct vrift_capability *caps, uint32_t capability)
{
    return caps[capability].effective != VRIFT_SUPPORT_NONE;
}

static void make_contents(vrift_task *task)
{
    put(task, "/hello", "hello world\n");
    put(task, "/empty", "");
    put(task, "/exec", "#!/bin/sh\n");
    check_ok(vrift_fchmodat(task, AT, "/exec", 0755, 0));
    put(task, "/private", "secret");
    check_ok(vrift_fchmodat(task, AT, "/private", 0600, 0));
    put(task, "/suid", "x");
    check_ok(vrift_fchmodat(task, AT, "/suid", 04755, 0));
    int32_t fd = open_file(task, "/sparse", VRIFT_O_RDWR | VRIFT_O_CREAT);
    assert_int_equal(vrift_pwrite(task, fd, "first", 5, SPARSE_FIRST), 5);
    assert_int_equal(vrift_pwrite(task, fd, "last", 4, SPARSE_SIZE - 4), 4);
    check_ok(vrift_close(task, fd));
    put(task, "/old", "old");
}

static void make_links(vrift_task *task, const struct vrift_capability *caps)
{
    check_ok(vrift_symlinkat(task, "hello", AT, "/link"));
    check_ok(vrift_symlinkat(task, "nowhere", AT, "/dangling"));
    check_ok(vrift_symlinkat(task, "loop", AT, "/loop"));
    check_ok(vrift_symlinkat(task, "/dir", AT, "/dirlink"));
    put(task, "/hard1", "two names");
    if (can(caps, VRIFT_CAPABILITY_HARD_LINKS))
        check_ok(vrift_linkat(task, AT, "/hard1", AT, "/hard2", 0));
    if (can(caps, VRIFT_CAPABILITY_SPECIAL_FILES)) {
        check_ok(vrift_mknodat(task, AT, "/fifo", VRIFT_S_IFIFO | 0622, 0));
        check_ok(vrift_mknodat(task, AT, "/socket", VRIFT_S_IFSOCK | 0755, 0));
    }
}

static void make_big(vrift_task *task)
{
    char path[64];
    check_ok(vrift_mkdirat(task, AT, "/big", 0755));
    for (int i = 0; i < BIG_COUNT; i++) {
        snprintf(path, sizeof path, "/big/e%d", i);
        put(task, path, "");
    }
}

static void make_directories(vrift_task *task)
{
    check_ok(vrift_mkdirat(task, AT, "/dir", 0755));
    check_ok(vrift_mkdirat(task, AT, "/dir/sub", 0750));
    put(task, "/dir/sub/file", "deep");
    check_ok(vrift_mkdirat(task, AT, "/nothing", 0700));
    check_ok(vrift_mkdirat(task, AT, "/odd", 0755));
    int32_t dir = open_file(task, "/odd", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    for (int i = 0; odd_names[i]; i++) {
        int32_t fd = (int32_t)check_ok(
            vrift_openat(task, dir, odd_names[i], VRIFT_O_WRONLY | VRIFT_O_CREAT | VRIFT_O_EXCL, 0644));
        check_ok(vrift_write(task, fd, odd_names[i], strlen(odd_names[i])));
        check_ok(vrift_close(task, fd));
    }
    check_ok(vrift_close(task, dir));
}

static void make_deep(vrift_task *task)
{
    int32_t at = open_file(task, "/", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    for (int i = 0; i < DEEP; i++) {
        check_ok(vrift_mkdirat(task, at, "n", 0755));
        int32_t next = (int32_t)check_ok(vrift_openat(task, at, "n", VRIFT_O_PATH | VRIFT_O_DIRECTORY, 0));
        check_ok(vrift_close(task, at));
        at = next;
    }
    int32_t fd = (int32_t)check_ok(vrift_openat(task, at, "bottom", VRIFT_O_WRONLY | VRIFT_O_CREAT, 0644));
    check_ok(vrift_close(task, fd));
    check_ok(vrift_close(task, at));
}

void make_fixture(vrift_task *task, const struct vrift_capability *caps, int size)
{
    make_contents(task);
    make_links(task, caps);
    make_directories(task);
    if (size == BIG) {
        make_big(task);
        make_deep(task);
    }
    if (can(caps, VRIFT_CAPABILITY_USER_XATTRS)) {
        check_ok(vrift_setxattrat(task, AT, "/hello", "user.color", "blue", 4, 0));
        check_ok(vrift_setxattrat(task, AT, "/hello", "user.empty", "", 0, 0));
        check_ok(vrift_setxattrat(task, AT, "/dir", "user.kind", "directory", 9, 0));
    }
    const struct vrift_timespec times[2] = {{1, 2, 0}, old_time};
    check_ok(vrift_utimensat(task, AT, "/old", times, 0));
}

/* -- Small things -------------------------------------------------------------------------------------------------- */

int32_t open_file(vrift_task *task, const char *path, uint64_t flags)
{
    return (int32_t)check_ok_at(vrift_openat(task, AT, path, flags, 0644), path, __FILE__, __LINE__);
}

void put(vrift_task *task, const char *path, const char *text)
{
    int32_t fd = open_file(task, path, VRIFT_O_WRONLY | VRIFT_O_CREAT | VRIFT_O_TRUNC);
    size_t length = strlen(text);
    if (length)
        assert_int_equal(vrift_write(task, fd, text, length), length);
    check_ok(vrift_close(task, fd));
}

void check_text_at(vrift_task *task, const char *path, const char *wanted, const char *file, int line)
{
    char buf[4096];
    size_t length = strlen(wanted);
    int32_t fd = (int32_t)check_ok_at(vrift_openat(task, AT, path, VRIFT_O_RDONLY, 0), path, file, line);
    int64_t got = check_ok_at(vrift_read(task, fd, buf, sizeof buf), path, file, line);
    if ((size_t)got != length || memcmp(buf, wanted, length) != 0) {
        print_error("%s reads \"%.*s\", wanted \"%s\"\n", path, (int)got, buf, wanted);
        _fail(file, line);
    }
    check_ok(vrift_close(task, fd));
}

struct vrift_stat stat_of(vrift_task *task, const char *path)
{
    struct vrift_stat attr;
    check_ok_at(vrift_statat(task, AT, path, VRIFT_AT_SYMLINK_NOFOLLOW, &attr), path, __FILE__, __LINE__);
    return attr;
}

int before(struct vrift_timespec a, struct vrift_timespec b)
{
    return a.sec < b.sec || (a.sec == b.sec && a.nsec < b.nsec);
}

void let_the_clock_tick(void)
{
    /* The coarse clock moves every 10 ms at the slowest. */
    const struct timespec pause = {0, 21000000};
    nanosleep(&pause, NULL);
}

int list(vrift_task *task, int32_t fd, size_t size, dirent_fn fn, void *payload)
{
    uint64_t *buf = malloc(size);
    int result = 0;
    assert_non_null(buf);
    while (!result) {
        int64_t got = check_ok(vrift_getdents(task, fd, buf, size, 0));
        if (got == 0)
            break;
        for (int64_t at = 0; at < got && !result;) {
            const struct vrift_dirent *entry = (const void *)((const char *)buf + at);
            assert_int_equal(entry->record_length % 8, 0);
            assert_int_equal(strlen(vrift_dirent_name(entry)), entry->name_length);
            result = fn(entry, vrift_dirent_name(entry), payload);
            at += entry->record_length;
        }
    }
    free(buf);
    return result;
}

static int count_one(const struct vrift_dirent *entry, const char *name, void *payload)
{
    (void)entry;
    *(unsigned *)payload += strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
    return 0;
}

unsigned count_entries(vrift_task *task, const char *path)
{
    unsigned count = 0;
    int32_t fd = open_file(task, path, VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    list(task, fd, 4096, count_one, &count);
    check_ok(vrift_close(task, fd));
    return count;
}
