/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Questions 79 to 118: walking, removed directories, nameless files, descriptors. */
#include "oracle/oracle.h"

#define ASK(number, question, result) oracle_note(o, (number), (question), "%s", oracle_word(result))

static int64_t open_at(struct oracle *o, const char *path, uint64_t flags)
{
    return o->calls->openat(o->self, AT, path, flags, 0644);
}

static int same_file(struct oracle *o, const char *a, const char *b)
{
    struct vrift_stat one = {.ino = 0};
    struct vrift_stat other = {.ino = 1};
    o->calls->statat(o->self, AT, a, 0, &one);
    o->calls->statat(o->self, AT, b, 0, &other);
    return one.ino == other.ino && one.dev == other.dev;
}

/*
 * Where something is renamed anywhere on the machine meanwhile, Linux walks again without resetting its count of symlinks,
 * and so now and then refuses a path with exactly as many as are allowed. It is asked until it is left in peace.
 */
static int64_t stat_with_most_links(struct oracle *o, const char *path)
{
    int64_t result = -VRIFT_ELOOP;
    for (int i = 0; i < 50 && result == -VRIFT_ELOOP; i++)
        result = oracle_stat(o, path);
    return result;
}

static void symlink_chains(struct oracle *o)
{
    oracle_fresh(o);
    oracle_mkdir(o, "a0");
    for (int i = 1; i < 42; i++) {
        char target[16];
        char name[16];
        snprintf(target, sizeof target, "a%d", i - 1);
        snprintf(name, sizeof name, "a%d", i);
        o->calls->symlinkat(o->self, target, name);
    }
    ASK(79, "40 symlink hops", stat_with_most_links(o, "a40"));
    ASK(80, "41 symlink hops", oracle_stat(o, "a41"));
    o->calls->symlinkat(o->self, "self", "self");
    ASK(81, "self loop", oracle_stat(o, "self"));
    ASK(82, "total counted over components a20/../a21 (41 total)", oracle_stat(o, "a20/../a21"));
    ASK(83, "a20/../a20 (40 total)", stat_with_most_links(o, "a20/../a20"));
    ASK(84, "symlink(\"\",x)", o->calls->symlinkat(o->self, "", "x"));
    o->calls->symlinkat(o->self, "/", "root");
    oracle_note(o, 85, "stat(\"root/..\") at / stays", "%s", oracle_truth(same_file(o, "root/..", "/")));

    oracle_fresh(o);
    oracle_mkdir(o, "d");
    oracle_mkdir(o, "d/e");
    o->calls->symlinkat(o->self, "d/e", "l");
    oracle_touch(o, "d/m", "");
    ASK(86, "stat(\"l/../m\") resolves via target parent (d/m), not lexical", oracle_stat(o, "l/../m"));
}

static void note_listing(struct oracle *o, int number, const char *question, int64_t fd)
{
    char names[100];
    oracle_names(o, (int)fd, names, sizeof names);
    oracle_note(o, number, question, "[%s]", names);
}

static void removed_directories(struct oracle *o)
{
    char buf[256];
    struct vrift_stat attr = {.nlink = 99};
    oracle_fresh(o);
    oracle_mkdir(o, "d");
    o->calls->chdir(o->self, "d");
    oracle_rmdir(o, "../d");
    ASK(87, "rmdir(cwd) by other name ok; then getcwd", o->calls->getcwd(o->self, buf, sizeof buf));
    ASK(88, "stat(\".\") in removed cwd", oracle_stat(o, "."));
    ASK(89, "stat(\"..\") in removed cwd", oracle_stat(o, ".."));
    ASK(90, "creat in removed cwd", oracle_open_close(o, "x", VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644));
    ASK(91, "mkdir in removed cwd", oracle_mkdir(o, "x"));
    int64_t fd = open_at(o, ".", VRIFT_O_RDONLY);
    note_listing(o, 92, "readdir \".\" in removed cwd", fd);
    o->calls->close(o->self, (int)fd);
    o->calls->statat(o->self, AT, ".", 0, &attr);
    oracle_note(o, 93, "nlink of removed cwd", "%u", attr.nlink);

    oracle_fresh(o);
    oracle_mkdir(o, "d");
    fd = open_at(o, "d", VRIFT_O_RDONLY);
    oracle_rmdir(o, "d");
    note_listing(o, 94, "getdents on fd of removed dir", fd);
    ASK(95, "openat(fd,\".\")", o->calls->statat(o->self, (int)fd, ".", 0, &attr));
    ASK(96, "openat(fd,\"x\",O_CREAT)", o->calls->openat(o->self, (int)fd, "x", VRIFT_O_CREAT | VRIFT_O_WRONLY, 0600));
    o->calls->close(o->self, (int)fd);

    oracle_fresh(o);
    oracle_mkdir(o, "a");
    oracle_mkdir(o, "a/b");
    fd = open_at(o, "a/b", VRIFT_O_RDONLY);
    oracle_mkdir(o, "z");
    oracle_rename(o, "a/b", "z/b", 0);
    oracle_touch(o, "z/mark", "");
    ASK(97, "dirfd survives rename; \"..\" is new parent", o->calls->statat(o->self, (int)fd, "../mark", 0, &attr));
    o->calls->close(o->self, (int)fd);
}

void oracle_walk_questions(struct oracle *o)
{
    symlink_chains(o);
    removed_directories(o);
}

static int64_t link_fd(struct oracle *o, int64_t fd, const char *name)
{
    return o->calls->linkat(o->self, (int)fd, "", name, VRIFT_AT_EMPTY_PATH);
}

void oracle_nameless_questions(struct oracle *o)
{
    struct vrift_stat attr = {.nlink = 99};
    oracle_fresh(o);
    oracle_touch(o, "f", "hello");
    int64_t fd = open_at(o, "f", VRIFT_O_RDWR);
    oracle_unlink(o, "f");
    o->calls->write(o->self, (int)fd, "J", 1);
    o->calls->fstat(o->self, (int)fd, &attr);
    oracle_note(o, 98, "unlinked-open: nlink,size", "(%u, %llu)", attr.nlink, (unsigned long long)attr.size);
    ASK(99, "link(\"/proc/self/fd/N\",g) after unlink", link_fd(o, fd, "g"));
    o->calls->close(o->self, (int)fd);

    fd = o->calls->openat(o->self, AT, ".", VRIFT_O_TMPFILE | VRIFT_O_RDWR, 0600);
    attr.nlink = 99;
    o->calls->fstat(o->self, (int)fd, &attr);
    oracle_note(o, 100, "O_TMPFILE nlink", "%u", attr.nlink);
    ASK(101, "linkat O_TMPFILE", link_fd(o, fd, "tmpl"));
    ASK(102, "linkat second time (now nlink 1)", link_fd(o, fd, "tmpl2"));
    o->calls->close(o->self, (int)fd);
    fd = o->calls->openat(o->self, AT, ".", VRIFT_O_TMPFILE | VRIFT_O_EXCL | VRIFT_O_RDWR, 0600);
    ASK(103, "linkat O_TMPFILE|O_EXCL", link_fd(o, fd, "tmpx"));
    o->calls->close(o->self, (int)fd);
    ASK(104, "O_TMPFILE|O_RDONLY", oracle_open_close(o, ".", VRIFT_O_TMPFILE, 0600));
    oracle_touch(o, "g2", "");
    ASK(105, "O_TMPFILE on file", oracle_open_close(o, "g2", VRIFT_O_TMPFILE | VRIFT_O_RDWR, 0600));
}

static void o_path(struct oracle *o)
{
    char byte;
    struct vrift_stat attr;
    struct oracle_entry entry;
    oracle_fresh(o);
    oracle_touch(o, "f", "abc");
    int64_t fd = open_at(o, "f", VRIFT_O_PATH);
    ASK(106, "O_PATH read", o->calls->read(o->self, (int)fd, &byte, 1));
    ASK(107, "O_PATH fchmod", o->calls->fchmod(o->self, (int)fd, 0600));
    ASK(108, "O_PATH fstat", o->calls->fstat(o->self, (int)fd, &attr));
    ASK(109, "O_PATH fchdir on file", o->calls->fchdir(o->self, (int)fd));
    ASK(110, "O_PATH ftruncate", o->calls->ftruncate(o->self, (int)fd, 0));
    int64_t dir = open_at(o, ".", VRIFT_O_PATH);
    ASK(111, "O_PATH getdents", o->calls->getdents(o->self, (int)dir, 1024, &entry, 1));
    ASK(112, "O_PATH fgetxattr", o->calls->fgetxattr(o->self, (int)fd, "user.a", NULL, 0));
    o->calls->close(o->self, (int)dir);
    ASK(200, "O_PATH fchmodat2(fd, \"\", AT_EMPTY_PATH)",
        o->calls->fchmodat(o->self, (int)fd, "", 0600, VRIFT_AT_EMPTY_PATH));
    ASK(201, "O_PATH write", o->calls->write(o->self, (int)fd, "x", 1));
    ASK(202, "O_PATH lseek", o->calls->lseek(o->self, (int)fd, 0, VRIFT_SEEK_SET));
    o->calls->close(o->self, (int)fd);
}

static void note_text(struct oracle *o, int number, const char *question)
{
    char text[64];
    oracle_text(o, "f", text, sizeof text);
    oracle_note(o, number, question, "%s", text);
}

void oracle_description_questions(struct oracle *o)
{
    struct vrift_stat attr = {.size = 0};
    o_path(o);
    oracle_fresh(o);
    oracle_touch(o, "f", "abc");
    int64_t fd = open_at(o, "f", VRIFT_O_RDWR | VRIFT_O_APPEND);
    o->calls->lseek(o->self, (int)fd, 0, VRIFT_SEEK_SET);
    o->calls->write(o->self, (int)fd, "Z", 1);
    note_text(o, 113, "O_APPEND write ignores lseek: content");
    o->calls->pwrite(o->self, (int)fd, "Q", 1, 0);
    note_text(o, 114, "pwrite(off 0) on O_APPEND appends (Linux bug-compat)");
    o->calls->ftruncate(o->self, (int)fd, 0);
    o->calls->write(o->self, (int)fd, "n", 1);
    note_text(o, 115, "truncate then append lands at 0");
    o->calls->close(o->self, (int)fd);
    fd = open_at(o, "f", VRIFT_O_RDWR);
    o->calls->write(o->self, (int)fd, "0123456789", 10);
    o->calls->truncate(o->self, "f", 0);
    o->calls->write(o->self, (int)fd, "x", 1);
    o->calls->statat(o->self, AT, "f", 0, &attr);
    oracle_note(o, 116, "non-append write after truncate leaves hole: size", "%llu", (unsigned long long)attr.size);
    o->calls->close(o->self, (int)fd);
    fd = open_at(o, "f", VRIFT_O_RDONLY);
    ASK(117, "ftruncate on O_RDONLY fd", o->calls->ftruncate(o->self, (int)fd, 0));
    o->calls->close(o->self, (int)fd);

    oracle_fresh(o);
    int64_t one = open_at(o, "f", VRIFT_O_CREAT | VRIFT_O_RDWR);
    int64_t twin = o->calls->dup(o->self, (int)one);
    int64_t other = open_at(o, "f", VRIFT_O_RDWR);
    o->calls->write(o->self, (int)one, "abcd", 4);
    oracle_note(o, 118, "dup shares offset / open does not", "(%lld, %lld)",
                (long long)o->calls->lseek(o->self, (int)twin, 0, VRIFT_SEEK_CUR),
                (long long)o->calls->lseek(o->self, (int)other, 0, VRIFT_SEEK_CUR));
    o->calls->close(o->self, (int)one);
    o->calls->close(o->self, (int)twin);
    o->calls->close(o->self, (int)other);
}
