/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What the calls about a file's bytes answer, asked of a tmpfs of the kernel's and of libvrift: each answer is a line,
 * and the lines must be the same. Errors come in an order, so most questions are wrong in two ways.
 */
#include "files/files.h"

#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define R    VRIFT_O_RDONLY
#define W    VRIFT_O_WRONLY
#define RW   VRIFT_O_RDWR
#define C    VRIFT_O_CREAT

struct text {
    char data[65536];
    size_t length;
};

static void say(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    text->length += (size_t)vsnprintf(text->data + text->length, sizeof text->data - text->length, format, arguments);
    va_end(arguments);
}

static void answer(struct text *text, const char *question, int64_t result)
{
    if (result < 0)
        say(text, "%s: %s\n", question, vrift_err_name((int32_t)result));
    else
        say(text, "%s: %lld\n", question, (long long)result);
}

struct asking {
    struct side *side;
    struct text text;
};

#define ASK(result) answer(&asking->text, #result, (result))

static int64_t fresh(struct asking *asking, const char *path, size_t bytes)
{
    char *content = malloc(bytes + 1);
    memset(content, 'x', bytes + 1);
    side_unlink(asking->side, path);
    int64_t fd = check_ok(side_open(asking->side, path, RW | C));
    assert_int_equal(side_pwrite(asking->side, fd, content, bytes, 0), bytes);
    free(content);
    return fd;
}

static void about_fallocate(struct asking *asking)
{
    struct side *s = asking->side;
    static const uint64_t modes[] = {0,  1,  2,  3,  4,  5,  8,  9,   16,  17,  18,
                                     19, 24, 32, 33, 48, 64, 65, 128, 129, 256, 1 << 20};
    int64_t fd = fresh(asking, "f", 3 * PAGE), read_only = side_open(s, "f", R), path = side_open(s, "f", VRIFT_O_PATH);
    int64_t dir = side_open(s, ".", R | VRIFT_O_DIRECTORY), append = side_open(s, "f", W | VRIFT_O_APPEND);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        say(&asking->text, "mode %llx\n", (unsigned long long)modes[i]);
        if (modes[i] != 8 && modes[i] != 16 && modes[i] != 17 && modes[i] != 32) /* mem can do what tmpfs cannot */
            ASK(side_fallocate(s, fd, modes[i], 0, PAGE));
        ASK(side_fallocate(s, fd, modes[i], -1, PAGE));
        ASK(side_fallocate(s, fd, modes[i], 0, 0));
        ASK(side_fallocate(s, fd, modes[i], 0, -1));
        ASK(side_fallocate(s, fd, modes[i], INT64_MAX, 1));
        ASK(side_fallocate(s, fd, modes[i], INT64_MAX - PAGE + 1, PAGE));
        ASK(side_fallocate(s, read_only, modes[i], 0, PAGE));
        ASK(side_fallocate(s, read_only, modes[i], 0, 0));
        ASK(side_fallocate(s, dir, modes[i], 0, PAGE));
        ASK(side_fallocate(s, path, modes[i], 0, PAGE));
        ASK(side_fallocate(s, 999, modes[i], 0, 0));
    }
    ASK(side_fallocate(s, append, 0, 0, 5 * PAGE));
    ASK(side_fallocate(s, append, 3, 0, PAGE));
    ASK(side_fallocate(s, fd, 0, 0, (int64_t)1 << 50)); /* more than there is */
    struct vrift_stat attr;
    check_ok(side_fstat(s, fd, &attr));
    say(&asking->text, "size %llu blocks %llu\n", (unsigned long long)attr.size, (unsigned long long)attr.blocks);
    side_close(s, fd), side_close(s, read_only), side_close(s, path), side_close(s, dir), side_close(s, append);
}

static void copy(struct asking *asking, const char *question, int64_t in, int64_t from, int64_t out, int64_t to,
                 uint64_t count, uint64_t flags)
{
    answer(&asking->text, question, side_copy(asking->side, in, &from, out, &to, count, flags));
    say(&asking->text, "  %lld %lld\n", (long long)from, (long long)to);
}

static void about_copying(struct asking *asking)
{
    struct side *s = asking->side;
    int64_t f = fresh(asking, "f", 100), g = fresh(asking, "g", 10);
    int64_t read_only = side_open(s, "f", R), write_only = side_open(s, "g", W), path = side_open(s, "f", VRIFT_O_PATH);
    int64_t dir = side_open(s, ".", R | VRIFT_O_DIRECTORY), append = side_open(s, "g", W | VRIFT_O_APPEND);
    copy(asking, "plain", f, 0, g, 0, 50, 0);
    copy(asking, "past the end", f, 100, g, 0, 50, 0);
    copy(asking, "further past the end", f, 1000, g, 0, 50, 0);
    copy(asking, "to the end", f, 90, g, 5, 50, 0);
    copy(asking, "beyond the end of the target", f, 0, g, 5000, 10, 0);
    copy(asking, "nothing", f, 0, g, 0, 0, 0);
    copy(asking, "nothing from a bad place", f, -1, g, 0, 0, 0);
    copy(asking, "from a bad place", f, -1, g, 0, 10, 0);
    copy(asking, "from a worse place", f, -100, g, 0, 10, 0);
    copy(asking, "to a bad place", f, 0, g, -1, 10, 0);
    copy(asking, "to a worse place", f, 0, g, -100, 10, 0);
    copy(asking, "to the last place", f, 0, g, INT64_MAX, 10, 0);
    copy(asking, "to the last place but one", f, 0, g, INT64_MAX - 1, 10, 0);
    copy(asking, "from the last place", f, INT64_MAX, g, 0, 10, 0);
    copy(asking, "as much as can be", f, 0, g, 0, UINT64_MAX, 0);
    copy(asking, "as much as can be from 1", f, 1, g, 0, UINT64_MAX, 0);
    copy(asking, "too much in all", f, 0, g, 0, INT64_MAX, 0);
    copy(asking, "overlapping", f, 0, f, 50, 51, 0);
    copy(asking, "overlapping after the end", f, 50, f, 100, 1000, 0);
    copy(asking, "side by side", f, 0, f, 50, 50, 0);
    copy(asking, "overlapping by another descriptor", read_only, 0, f, 1, 2, 0);
    copy(asking, "unknown flags", f, 0, g, 0, 10, 1 << 10);
    copy(asking, "unknown flags of a bad descriptor", 999, 0, g, 0, 10, 1 << 10);
    copy(asking, "from one that only writes", write_only, 0, f, 0, 10, 0);
    copy(asking, "to one that only reads", g, 0, read_only, 0, 10, 0);
    copy(asking, "to one that appends", f, 0, append, 0, 10, 0);
    copy(asking, "from a directory", dir, 0, g, 0, 10, 0);
    copy(asking, "to a directory", f, 0, dir, 0, 10, 0);
    copy(asking, "from a path", path, 0, g, 0, 10, 0);
    copy(asking, "to nothing", f, 0, 999, 0, 10, 0);
    side_lseek(s, f, 20, VRIFT_SEEK_SET), side_lseek(s, g, 3, VRIFT_SEEK_SET);
    ASK(side_copy(s, f, NULL, g, NULL, 30, 0));
    ASK(side_lseek(s, f, 0, VRIFT_SEEK_CUR));
    ASK(side_lseek(s, g, 0, VRIFT_SEEK_CUR));
    ASK(side_copy(s, f, NULL, f, NULL, 30, 0));
    side_close(s, f), side_close(s, g), side_close(s, read_only), side_close(s, write_only), side_close(s, path);
    side_close(s, dir), side_close(s, append);
}

static void send(struct asking *asking, const char *question, int64_t out, int64_t in, int64_t from, uint64_t count)
{
    answer(&asking->text, question, side_sendfile(asking->side, out, in, &from, count));
    say(&asking->text, "  %lld, %lld\n", (long long)from, (long long)side_lseek(asking->side, out, 0, VRIFT_SEEK_CUR));
}

static void about_sending(struct asking *asking)
{
    struct side *s = asking->side;
    int64_t f = fresh(asking, "f", 100), g = fresh(asking, "g", 10);
    int64_t read_only = side_open(s, "f", R), write_only = side_open(s, "g", W), path = side_open(s, "f", VRIFT_O_PATH);
    int64_t dir = side_open(s, ".", R | VRIFT_O_DIRECTORY), append = side_open(s, "g", W | VRIFT_O_APPEND);
    send(asking, "plain", g, f, 0, 50);
    send(asking, "at the end", g, f, 100, 50);
    send(asking, "to the end", g, f, 80, 50);
    send(asking, "from a bad place", g, f, -1, 50);
    send(asking, "from a bad place nothing", g, f, -1, 0);
    send(asking, "from the last place", g, f, INT64_MAX, 1);
    send(asking, "from the last place but one", g, f, INT64_MAX - 1, 1);
    send(asking, "as much as can be", g, f, 0, UINT64_MAX);
    send(asking, "very much", g, f, 0, INT64_MAX);
    send(asking, "very much from 1", g, f, 1, INT64_MAX);
    send(asking, "from one that only writes", f, write_only, 0, 10);
    send(asking, "to one that only reads", read_only, g, 0, 10);
    send(asking, "to one that appends", append, f, 0, 10);
    send(asking, "to one that appends nothing", append, f, 0, 0);
    send(asking, "from a directory", g, dir, 0, 10);
    send(asking, "to a directory", dir, f, 0, 10);
    send(asking, "from a path", g, path, 0, 10);
    send(asking, "to a path", path, f, 0, 10);
    send(asking, "from nothing", g, 999, 0, 10);
    send(asking, "to nothing", 999, f, 0, 10);
    side_lseek(s, f, 90, VRIFT_SEEK_SET);
    ASK(side_sendfile(s, g, f, NULL, 30));
    ASK(side_lseek(s, f, 0, VRIFT_SEEK_CUR));
    side_lseek(s, g, INT64_MAX, VRIFT_SEEK_SET);
    send(asking, "to the last place", g, f, 0, 10);
    side_close(s, f), side_close(s, g), side_close(s, read_only), side_close(s, write_only), side_close(s, path);
    side_close(s, dir), side_close(s, append);
}

static void about_fifos(struct asking *asking)
{
    static char bytes[200000];
    struct side *s = asking->side;
    int64_t f = fresh(asking, "f", sizeof bytes), from = 0;
    check_ok(side_mkfifo(s, "p"));
    int64_t both = check_ok(side_open(s, "p", RW)), reader = check_ok(side_open(s, "p", R));
    int64_t eager = check_ok(side_open(s, "p", W | VRIFT_O_NONBLOCK));
    int64_t append = check_ok(side_open(s, "p", W | VRIFT_O_APPEND));
    int64_t dir = side_open(s, ".", R | VRIFT_O_DIRECTORY);
    send(asking, "to a fifo", both, f, 0, 100);
    ASK(side_read(s, reader, bytes, sizeof bytes));
    ASK(side_sendfile(s, both, f, NULL, 100));
    ASK(side_lseek(s, f, 0, VRIFT_SEEK_CUR));
    ASK(side_read(s, reader, bytes, sizeof bytes));
    send(asking, "to a fifo more than it holds", eager, f, 0, 150000);
    send(asking, "to a full fifo", eager, f, 0, 10);
    ASK(side_read(s, reader, bytes, sizeof bytes));
    send(asking, "to a fifo that appends", append, f, 5, 10);
    ASK(side_read(s, reader, bytes, sizeof bytes));
    send(asking, "to a fifo that is only read", reader, f, 0, 10);
    send(asking, "to a fifo from the end", both, f, sizeof bytes, 10);
    send(asking, "to a fifo from a bad place", both, f, -1, 10);
    send(asking, "to a fifo from a directory", both, dir, 0, 10);
    ASK(side_write(s, both, "abc", 3));
    ASK(side_sendfile(s, f, both, NULL, 10));
    ASK(side_sendfile(s, f, both, &from, 10));
    ASK(side_sendfile(s, f, both, NULL, 0));
    ASK(side_sendfile(s, eager, both, NULL, 10));
    ASK(side_copy(s, both, NULL, f, NULL, 10, 0));
    ASK(side_copy(s, f, NULL, both, NULL, 10, 0));
    ASK(side_copy(s, f, NULL, reader, NULL, 10, 0));
    ASK(side_copy(s, dir, NULL, both, NULL, 10, 0));
    ASK(side_copy(s, both, NULL, dir, NULL, 10, 0));
    ASK(side_fallocate(s, both, 0, 0, 10));
    ASK(side_fallocate(s, reader, 0, 0, 10));
    ASK(side_fallocate(s, both, 0, INT64_MAX, 10));
    char *address;
    ASK(side_map(s, both, 0, PAGE, VRIFT_PROT_READ, VRIFT_MAP_SHARED, &address));
    ASK(side_map(s, eager, 0, PAGE, VRIFT_PROT_READ, VRIFT_MAP_SHARED, &address));
    ASK(side_lseek(s, both, 0, VRIFT_SEEK_DATA));
    ASK(side_ftruncate(s, both, 0));
    side_close(s, f), side_close(s, both), side_close(s, reader), side_close(s, eager), side_close(s, append);
    side_close(s, dir);
}

static void map(struct asking *asking, const char *question, int64_t fd, uint64_t offset, uint64_t length,
                uint64_t prot, uint64_t flags)
{
    char *address = NULL;
    int64_t result = side_map(asking->side, fd, offset, length, prot, flags, &address);
    answer(&asking->text, question, result);
    if (!result)
        side_unmap(asking->side, address);
}

static void about_mapping(struct asking *asking)
{
    struct side *s = asking->side;
    int64_t f = fresh(asking, "f", 2 * PAGE), read_only = side_open(s, "f", R), write_only = side_open(s, "f", W);
    int64_t path = side_open(s, "f", VRIFT_O_PATH), dir = side_open(s, ".", R | VRIFT_O_DIRECTORY),
            empty = fresh(asking, "e", 0);
    static const uint64_t kinds[] = {0, VRIFT_MAP_SHARED, VRIFT_MAP_PRIVATE};
    for (uint64_t prot = 0; prot < 8; prot++) {
        for (size_t i = 0; i < 3; i++) {
            say(&asking->text, "prot %llu kind %zu\n", (unsigned long long)prot, i);
            map(asking, "read and write", f, 0, PAGE, prot, kinds[i]);
            map(asking, "read", read_only, 0, PAGE, prot, kinds[i]);
            map(asking, "write", write_only, 0, PAGE, prot, kinds[i]);
            map(asking, "directory", dir, 0, PAGE, prot, kinds[i]);
            map(asking, "path", path, 0, PAGE, prot, kinds[i]);
            map(asking, "no descriptor", 999, 0, PAGE, prot, kinds[i]);
            map(asking, "no length", f, 0, 0, prot, kinds[i]);
            map(asking, "no length of no descriptor", 999, 0, 0, prot, kinds[i]);
            map(asking, "beside a page", f, 1, PAGE, prot, kinds[i]);
            map(asking, "beside a page of no descriptor", 999, 1, PAGE, prot, kinds[i]);
            map(asking, "an empty file", empty, 0, PAGE, prot, kinds[i]);
            map(asking, "beyond the end", f, 100 * PAGE, 10, prot, kinds[i]);
            map(asking, "the last page", f, INT64_MAX - PAGE + 1, PAGE, prot, kinds[i]);
            map(asking, "beyond the last page", f, INT64_MAX - PAGE + 1, 2 * PAGE, prot, kinds[i]);
            map(asking, "too long", f, 0, UINT64_MAX, prot, kinds[i]);
            map(asking, "too long by far", f, 0, (uint64_t)1 << 62, prot, kinds[i]);
            map(asking, "longer than memory", f, 0, (uint64_t)1 << 50, prot, kinds[i]);
        }
    }
    side_close(s, f), side_close(s, read_only), side_close(s, write_only), side_close(s, path), side_close(s, dir);
    side_close(s, empty);
}

static void about_syncing(struct asking *asking)
{
    struct side *s = asking->side;
    int64_t f = fresh(asking, "f", 2 * PAGE);
    char *address;
    check_ok(side_map(s, f, 0, 2 * PAGE, VRIFT_PROT_READ | VRIFT_PROT_WRITE, VRIFT_MAP_SHARED, &address));
    for (uint64_t flags = 0; flags < 9; flags++) {
        say(&asking->text, "flags %llu\n", (unsigned long long)flags);
        ASK(side_sync(s, address, 0, 2 * PAGE, flags));
        ASK(side_sync(s, address, PAGE, 1, flags));
        ASK(side_sync(s, address, 0, 0, flags));
        ASK(side_sync(s, address, 1, 1, flags));
    }
    side_unmap(s, address);
    side_close(s, f);
}

/* -- Asking both ---------------------------------------------------------------------------------------------------- */

struct question {
    const char *kind;
    const char *what;
    void (*ask)(struct asking *);
};

static void expect_same(const char *ours, const char *theirs)
{
    while (*ours && *theirs) {
        int a = (int)strcspn(ours, "\n"), b = (int)strcspn(theirs, "\n");
        if (a != b || strncmp(ours, theirs, (size_t)a) != 0)
            print_error("# libvrift:   %.*s\n# the kernel: %.*s\n", a, ours, b, theirs);
        ours += a + 1;
        theirs += b + 1;
    }
}

static void ask_both(void **state)
{
    const struct question *question = *state;
    struct disk disk;
    struct ours ours;
    char path[5000];
    disk_insert(&disk, "tmpfs", 64);
    if (disk.missing)
        skip_because("tmpfs: %s", disk.missing);
    snprintf(path, sizeof path, "%s/ours", disk.path);
    assert_int_equal(mkdir(path, 0755), 0);
    ours_begin(&ours, question->kind, path);
    struct side kernel = {.dir = open(disk.path, O_RDONLY | O_DIRECTORY)};
    struct asking *asked[2] = {calloc(1, sizeof *asked[0]), calloc(1, sizeof *asked[1])};
    asked[0]->side = &kernel;
    asked[1]->side = &ours.side;
    for (int i = 0; i < 2; i++)
        question->ask(asked[i]);
    expect_same(asked[1]->text.data, asked[0]->text.data);
    assert_true(asked[0]->text.length > 100);
    assert_string_equal(asked[1]->text.data, asked[0]->text.data);
    free(asked[0]);
    free(asked[1]);
    close(kernel.dir);
    ours_end(&ours);
    disk_eject(&disk);
}

int main(void)
{
    static const struct question about[] = {
        {"", "fallocate answers", about_fallocate}, {"", "copy_file_range answers", about_copying},
        {"", "sendfile answers", about_sending},    {"", "of fifos they all answer", about_fifos},
        {"", "mmap answers", about_mapping},        {"", "msync answers", about_syncing}};
    static const char *const kinds[] = {"mem", "host", "overlay"};
    enum { ABOUT = sizeof about / sizeof *about, KINDS = sizeof kinds / sizeof *kinds, COUNT = ABOUT * KINDS };
    static struct question questions[COUNT];
    static char names[COUNT][100];
    struct CMUnitTest tests[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        questions[i] = about[i / KINDS];
        questions[i].kind = kinds[i % KINDS];
        snprintf(names[i], sizeof names[i], "%s: %s as the kernel", questions[i].kind, questions[i].what);
        tests[i] = (struct CMUnitTest){names[i], ask_both, NULL, NULL, &questions[i]};
    }
    return _cmocka_run_group_tests("calls", tests, COUNT, NULL, NULL);
}
