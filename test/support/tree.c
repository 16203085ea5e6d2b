/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/tree.h"

#include "support/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
    if (!ok) {
        print_error("%s: %s\n", what, strerror(errno));
        fail();
    }
}

/* -- Making ------------------------------------------------------------------------------------------------------- */

static void put(int dir, const char *name, size_t size, mode_t mode, int64_t seconds, long nanoseconds)
{
    char block[4096];
    const struct timespec times[2] = {{seconds, nanoseconds}, {seconds, nanoseconds}};
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    must(fd >= 0, name);
    for (size_t at = 0; at < size; at += sizeof block) {
        size_t part = size - at < sizeof block ? size - at : sizeof block;
        for (size_t i = 0; i < part; i++)
            block[i] = (char)((at + i) * 31 + size + 7);
        must(write(fd, block, part) == (ssize_t)part, name);
    }
    must(fchmod(fd, mode) == 0, name);
    must(futimens(fd, times) == 0, name);
    close(fd);
}

static void put_sparse(int dir, const char *name, off_t size, off_t data)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    must(fd >= 0, name);
    must(pwrite(fd, "data in the middle", 18, data) == 18, name);
    must(ftruncate(fd, size) == 0, name);
    close(fd);
}

static int enter(int dir, const char *name)
{
    must(mkdirat(dir, name, 0755) == 0, name);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(fd >= 0, name);
    return fd;
}

static void put_deep(int dir)
{
    int at = enter(dir, "deep");
    for (int i = 0; i < 320; i++) {
        char name[64];
        snprintf(name, sizeof name, "directory number %d", i);
        int next = enter(at, name);
        put(at, "file", (size_t)i, 0644, i, i);
        if (i % 3 == 0)
            must(mkdirat(at, "a sibling", 0711) == 0, "mkdir");
        close(at);
        at = next;
    }
    put(at, "bottom", 100, 0444, -1, 5);
    close(at);
}

static void put_names(int dir)
{
    char longest[256];
    memset(longest, 'n', 255);
    longest[255] = '\0';
    int names = enter(dir, "names");
    put(names, longest, 3, 0644, 1, 1);
    put(names, "not \xff\xfe utf-8 \x80", 3, 0644, 1, 1);
    put(names, "new\nline", 3, 0644, 1, 1);
    put(names, " ", 3, 0644, 1, 1);
    put(names, "-rf", 3, 0644, 1, 1);
    put(names, "...", 3, 0644, 1, 1);
    put(names, "\\\"'$*?", 3, 0644, 1, 1);
    close(names);
}

static void put_files(int dir, unsigned without)
{
    static const size_t sizes[] = {1, 4095, 4096, 4097, 16383, 16384, 16385, 32767, 32768, 65537, 1000003};
    int files = enter(dir, "files");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        char name[32];
        snprintf(name, sizeof name, "%zu bytes", sizes[i]);
        put(files, name, sizes[i], 0644, 1700000000 + (int64_t)i, 123456789);
    }
    put(files, "empty", 0, 0600, 0, 0);
    put(files, "set-user-id", 10, 04755, 5, 0);
    put(files, "set-group-id, large", 50000, 02755, 5, 0);
    put(files, "no rights", 20, 0, 5, 0);
    put(files, "no rights, large", 40000, 0, 5, 0);
    put(files, "read-only", 20, 0444, 5, 0);
    put(files, "read-only, large", 40000, 0444, 5, 0);
    put(files, "program", 20, 0555, 5, 0);
    put(files, "program, large", 40000, 0755, 5, 0);
    put(files, "sticky", 20, 01644, 5, 0);
    put(files, "before 1970", 8, 0644, -86400 * 365, 999999999);
    put(files, "just before 1970", 8, 0644, -1, 1);
    put(files, "later than 2038", 8, 0644, 1ll << 32, 1);
    put_sparse(files, "sparse", 20 << 20, 5 << 20);
    if (!(without & TREE_NO_HUGE))
        put_sparse(files, "five gibibytes", (off_t)5 << 30, ((off_t)5 << 30) - 18);
    int fd = openat(files, "only a hole", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    must(fd >= 0 && ftruncate(fd, 3 << 20) == 0, "hole");
    close(fd);
    close(files);
}

static void put_specials(int dir, unsigned without)
{
    const struct timespec times[2] = {{-7, 8}, {-7, 8}};
    int specials = enter(dir, "specials");
    must(mkfifoat(specials, "fifo", 0640) == 0, "fifo");
    must(mknodat(specials, "socket", S_IFSOCK | 0750, 0) == 0, "socket");
    if (!(without & TREE_NO_DEVICES)) {
        must(mknodat(specials, "null", S_IFCHR | 0666, makedev(1, 3)) == 0, "null");
        must(mknodat(specials, "block", S_IFBLK | 0660, makedev(7, 300)) == 0, "block");
    }
    must(symlinkat("nowhere/at/all", specials, "dangling") == 0, "symlink");
    must(symlinkat("loop", specials, "loop") == 0, "symlink");
    must(symlinkat("..", specials, "up") == 0, "symlink");
    must(symlinkat("with \xff bytes\n", specials, "odd") == 0, "symlink");
    must(utimensat(specials, "dangling", times, AT_SYMLINK_NOFOLLOW) == 0, "utimens");
    must(utimensat(specials, "fifo", times, AT_SYMLINK_NOFOLLOW) == 0, "utimens");
    close(specials);
}

static void put_links(int dir)
{
    int links = enter(dir, "links"), other = enter(dir, "other links");
    put(links, "first", 100, 0644, 3, 3);
    must(linkat(links, "first", links, "second", 0) == 0, "link");
    must(linkat(links, "first", other, "third", 0) == 0, "link");
    put(links, "large", 100000, 0755, 3, 3);
    must(linkat(links, "large", other, "large", 0) == 0, "link");
    put(links, "empty", 0, 0644, 3, 3);
    must(linkat(links, "empty", other, "also empty", 0) == 0, "link");
    put(links, "equal but apart", 100, 0644, 3, 3);
    must(symlinkat("first", links, "symlink") == 0, "symlink");
    must(linkat(links, "symlink", other, "same symlink", 0) == 0, "link");
    must(mkfifoat(links, "fifo", 0600) == 0, "fifo");
    must(linkat(links, "fifo", other, "same fifo", 0) == 0, "link");
    close(links);
    close(other);
}

static void put_xattrs(int dir)
{
    static char large[3000];
    memset(large, 'v', sizeof large);
    int at = enter(dir, "xattrs");
    put(at, "file", 10, 0644, 9, 9);
    put(at, "read-only", 40000, 0444, 9, 9);
    put(at, "empty value", 0, 0644, 9, 9);
    int file = openat(at, "file", O_RDONLY | O_CLOEXEC), only = openat(at, "read-only", O_RDONLY | O_CLOEXEC);
    int empty = openat(at, "empty value", O_RDONLY | O_CLOEXEC);
    must(fsetxattr(file, "user.one",
                   "1\0"
                   "2",
                   3, 0) == 0,
         "xattr");
    must(fsetxattr(file, "user.two", large, sizeof large, 0) == 0, "xattr");
    must(fsetxattr(empty, "user.empty", "", 0, 0) == 0, "xattr");
    must(fsetxattr(at, "user.of a directory", "yes", 3, 0) == 0, "xattr");
    must(getuid() != 0 || fsetxattr(only, "user.only", "x", 1, 0) == 0, "xattr");
    close(file);
    close(only);
    close(empty);
    close(at);
}

static void put_directories(int dir)
{
    const struct timespec times[2] = {{-1000, 1}, {-1000, 1}};
    int at = enter(dir, "directories");
    static const struct {
        const char *name;
        mode_t mode;
    } rows[] = {{"empty", 0755}, {"read-only", 0555}, {"none", 0}, {"sticky", 01777}, {"group", 02770}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int inner = enter(at, rows[i].name);
        if (i) {
            put(inner, "file", i, 0644, 1, 1);
            int below = enter(inner, "below");
            put(below, "file", i, 0644, 1, 1);
            must(futimens(below, times) == 0, "utimens");
            close(below);
        }
        must(futimens(inner, times) == 0, "utimens");
        must(getuid() != 0 && !rows[i].mode ? 1 : fchmod(inner, rows[i].mode) == 0, "chmod");
        close(inner);
    }
    must(futimens(at, times) == 0, "utimens");
    close(at);
}

void tree_make_unusual(const char *path, unsigned without)
{
    const struct timespec times[2] = {{1234567, 7654321}, {1234567, 7654321}};
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(dir >= 0, path);
    put_names(dir);
    put_files(dir, without);
    put_specials(dir, without);
    put_links(dir);
    if (!(without & TREE_NO_XATTRS))
        put_xattrs(dir);
    put_directories(dir);
    put_deep(dir);
    must(fchmod(dir, 0751) == 0, path);
    must(futimens(dir, times) == 0, path);
    close(dir);
}

void tree_make_owners(const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), at = enter(dir, "owners");
    put(at, "file", 10, 0644, 1, 1);
    put(at, "set-id", 10, 06755, 1, 1);
    put(at, "large", 50000, 0444, 1, 1);
    must(symlinkat("x", at, "link") == 0, "symlink");
    must(mkfifoat(at, "fifo", 0600) == 0, "fifo");
    static const char *const names[] = {"file", "set-id", "large", "link", "fifo"};
    for (unsigned i = 0; i < 5; i++)
        must(fchownat(at, names[i], 1000 + i, 4000000000u - i, AT_SYMLINK_NOFOLLOW) == 0, names[i]);
    must(fchmodat(at, "set-id", 06755, 0) == 0, "chmod");
    put(at, "only the user", 10, 0644, 1, 1);
    put(at, "only the group", 10, 0644, 1, 1);
    must(fchownat(at, "only the user", 5, (gid_t)-1, 0) == 0, "chown");
    must(fchownat(at, "only the group", (uid_t)-1, 5, 0) == 0, "chown");
    must(fchown(at, 7, 8) == 0, "chown");
    close(at);
    close(dir);
}

/* -- Describing --------------------------------------------------------------------------------------------------- */

struct text {
    char *data;
    size_t length, capacity;
};

static void say(struct text *text, const char *bytes)
{
    size_t more = strlen(bytes);
    if (text->length + more + 1 > text->capacity) {
        text->capacity = (text->length + more + 1) * 2;
        text->data = realloc(text->data, text->capacity);
    }
    memcpy(text->data + text->length, bytes, more + 1);
    text->length += more;
}

static void say_name(struct text *text, const char *name)
{
    for (; *name; name++) {
        char escaped[8];
        snprintf(escaped, sizeof escaped, *name > ' ' && *name < 127 ? "%c" : "\\%02x", (unsigned char)*name);
        say(text, escaped);
    }
}

/* Inodes with several names, in the order in which they were first met. */
struct inodes {
    struct {
        dev_t dev;
        ino_t ino;
    } known[1024];
    unsigned count;
};

static unsigned number_of(struct inodes *inodes, const struct stat *st)
{
    for (unsigned i = 0; i < inodes->count; i++)
        if (inodes->known[i].dev == st->st_dev && inodes->known[i].ino == st->st_ino)
            return i;
    if (inodes->count < 1024) {
        inodes->known[inodes->count].dev = st->st_dev;
        inodes->known[inodes->count].ino = st->st_ino;
        inodes->count++;
    }
    return inodes->count - 1;
}

/* Of the bytes that are not 0, each with its place: holes and written zeroes count the same. */
static uint64_t content_of(int fd, off_t size)
{
    static unsigned char block[65536];
    uint64_t hash = 14695981039346656037u;
    for (off_t at = 0; at < size;) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0)
            break;
        ssize_t n = pread(fd, block, sizeof block, data);
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            if (block[i])
                hash = ((hash ^ block[i]) * 1099511628211u) ^ (uint64_t)(data + i);
        at = data + n;
    }
    return hash;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names of a directory. */
static char **names_of(int dir, size_t *count)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    char **names = NULL;
    struct dirent *entry;
    *count = 0;
    must(stream != NULL, "opendir");
    while ((entry = readdir(stream))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        names = realloc(names, (*count + 1) * sizeof *names);
        names[(*count)++] = strdup(entry->d_name);
    }
    closedir(stream);
    if (names)
        qsort(names, *count, sizeof *names, compare_names);
    return names;
}

static void say_xattrs(struct text *text, const char *path)
{
    char keys[8192], value[8192], **sorted = NULL;
    size_t count = 0;
    ssize_t length = llistxattr(path, keys, sizeof keys);
    for (ssize_t at = 0; at < length; at += (ssize_t)strlen(keys + at) + 1) {
        sorted = realloc(sorted, (count + 1) * sizeof *sorted);
        sorted[count++] = keys + at;
    }
    if (sorted)
        qsort(sorted, count, sizeof *sorted, compare_names);
    for (size_t i = 0; i < count; i++) {
        char number[64];
        uint64_t hash = 1;
        ssize_t size = lgetxattr(path, sorted[i], value, sizeof value);
        for (ssize_t k = 0; k < size; k++)
            hash = hash * 31 + (unsigned char)value[k];
        say(text, " ");
        say_name(text, sorted[i]);
        snprintf(number, sizeof number, "=%zd:%llx", size, (unsigned long long)hash);
        say(text, number);
    }
    free(sorted);
}

static void describe_one(struct text *text, struct inodes *inodes, int dir, const char *name, const struct stat *st,
                         unsigned ignore)
{
    char line[512], target[4096];
    snprintf(line, sizeof line, " mode %o size %lld rdev %llx", st->st_mode,
             S_ISDIR(st->st_mode) ? 0ll : (long long)st->st_size, (unsigned long long)st->st_rdev);
    say(text, line);
    if (!(ignore & TREE_IGNORE_OWNERS)) {
        snprintf(line, sizeof line, " owner %u:%u", st->st_uid, st->st_gid);
        say(text, line);
    }
    if (!(ignore & TREE_IGNORE_TIMES)) {
        snprintf(line, sizeof line, " mtime %lld.%09ld", (long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
        say(text, line);
    }
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1) {
        snprintf(line, sizeof line, " links %u inode #%u", (unsigned)st->st_nlink, number_of(inodes, st));
        say(text, line);
    }
    if (S_ISREG(st->st_mode)) {
        int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        must(fd >= 0, name);
        int sparse = st->st_blocks * 512 < st->st_size / 2;
        snprintf(line, sizeof line, "%s content %llx", sparse ? " sparse" : "",
                 (unsigned long long)content_of(fd, st->st_size));
        say(text, line);
        close(fd);
    }
    if (S_ISLNK(st->st_mode)) {
        ssize_t length = readlinkat(dir, name, target, sizeof target - 1);
        must(length >= 0, name);
        target[length] = '\0';
        say(text, " -> ");
        say_name(text, target);
    }
    int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    must(fd >= 0, name);
    snprintf(line, sizeof line, "/proc/self/fd/%d", dir);
    size_t at = strlen(line);
    snprintf(line + at, sizeof line - at, "/%s", name);
    say_xattrs(text, line);
    close(fd);
    say(text, "\n");
}

static void describe(struct text *text, struct inodes *inodes, int dir, const char *name, char *path, unsigned ignore)
{
    struct stat st;
    must(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0, name);
    say(text, path);
    describe_one(text, inodes, dir, name, &st, ignore);
    if (!S_ISDIR(st.st_mode))
        return;
    size_t count, length = strlen(path);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    must(fd >= 0 || getuid() != 0, name);
    if (fd < 0) {
        say(text, "    (closed to us)\n");
        return;
    }
    char **names = names_of(fd, &count);
    for (size_t i = 0; i < count; i++) {
        struct text shown = {NULL, 0, 0};
        say(&shown, path);
        say(&shown, "/");
        say_name(&shown, names[i]);
        if (length > 3000) /* deep below, names suffice: the tree is compared level by level */
            memmove(shown.data, shown.data + shown.length - 1000, 1001);
        describe(text, inodes, fd, names[i], shown.data, ignore);
        free(shown.data);
        free(names[i]);
    }
    free(names);
    close(fd);
}

char *tree_describe(const char *path, unsigned ignore)
{
    struct text text = {NULL, 0, 0};
    static struct inodes inodes;
    char root[] = ".";
    inodes.count = 0;
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(dir >= 0, path);
    describe(&text, &inodes, dir, ".", root, ignore);
    close(dir);
    return text.data;
}

void tree_assert_same(const char *a, const char *b, unsigned ignore)
{
    char *left = tree_describe(a, ignore), *right = tree_describe(b, ignore);
    size_t line = 0;
    if (strcmp(left, right) != 0) {
        for (size_t i = 0; left[i] && left[i] == right[i]; i++)
            if (left[i] == '\n')
                line = i + 1;
        print_error("the trees differ:\n- %.*s\n+ %.*s\n", (int)strcspn(left + line, "\n"), left + line,
                    (int)strcspn(right + line, "\n"), right + line);
        fail();
    }
    free(left);
    free(right);
}

int tree_count_names(const char *path)
{
    size_t count;
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -1;
    char **names = names_of(dir, &count);
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
    close(dir);
    return (int)count;
}
