/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Questions 1 to 78: renaming, creating, removing. */
#include "oracle/oracle.h"

#define RENAME(number, question, from, to, flags)                                                                      \
    oracle_note(o, (number), (question), "%s", oracle_word(oracle_rename(o, (from), (to), (flags))))
#define OPEN(number, question, path, flags)                                                                            \
    oracle_note(o, (number), (question), "%s", oracle_word(oracle_open_close(o, (path), (flags), 0644)))
#define ASK(number, question, result) oracle_note(o, (number), (question), "%s", oracle_word(result))

static uint32_t type_of(struct oracle *o, const char *path)
{
    struct vrift_stat attr = {.mode = 0};
    o->calls->statat(o->self, AT, path, VRIFT_AT_SYMLINK_NOFOLLOW, &attr);
    return attr.mode & VRIFT_S_IFMT;
}

static int64_t link_names(struct oracle *o, const char *from, const char *to)
{
    return o->calls->linkat(o->self, AT, from, to, 0);
}

static int64_t symlink_to(struct oracle *o, const char *target, const char *path)
{
    return o->calls->symlinkat(o->self, target, path);
}

static void note_names(struct oracle *o, int number, const char *question, int64_t result)
{
    char names[100];
    int64_t fd = o->calls->openat(o->self, AT, ".", VRIFT_O_RDONLY, 0);
    oracle_names(o, (int)fd, names, sizeof names);
    o->calls->close(o->self, (int)fd);
    oracle_note(o, number, question, "('%s', [%s])", oracle_word(result), names);
}

static void hard_links_and_ancestors(struct oracle *o)
{
    oracle_fresh(o);
    oracle_touch(o, "a", "1");
    link_names(o, "a", "b");
    note_names(o, 1, "rename(a,b) a,b hard links of one inode: ret / names left", oracle_rename(o, "a", "b", 0));

    oracle_fresh(o);
    oracle_touch(o, "a", "");
    link_names(o, "a", "b");
    RENAME(2, "renameat2(a,b,NOREPLACE) hard links", "a", "b", VRIFT_RENAME_NOREPLACE);

    oracle_fresh(o);
    oracle_mkdir(o, "d");
    RENAME(3, "rename(d,d/x)", "d", "d/x", 0);
    oracle_mkdir(o, "d/e");
    oracle_touch(o, "d/e/f", "");
    RENAME(4, "rename(d/e/f,d) target is ancestor (file over ancestor dir)", "d/e/f", "d", 0);
    RENAME(5, "rename(d/e,d) dir over own ancestor", "d/e", "d", 0);
    RENAME(6, "renameat2(d/e,d,EXCHANGE)", "d/e", "d", VRIFT_RENAME_EXCHANGE);

    oracle_fresh(o);
    oracle_mkdir(o, "d");
    RENAME(7, "rename(d/.,x)", "d/.", "x", 0);
    RENAME(8, "rename(d,d/..)", "d", "d/..", 0);
    RENAME(9, "renameat2(d, \"d/.\", NOREPLACE)", "d", "d/.", VRIFT_RENAME_NOREPLACE);
    RENAME(10, "rename(d, \"/\")", "d", "/", 0);

    oracle_fresh(o);
    oracle_touch(o, "f", "");
    RENAME(11, "rename(f,\"g/\") file to nonexist with slash", "f", "g/", 0);
    RENAME(12, "rename(\"f/\",\"g\")", "f/", "g", 0);
    oracle_mkdir(o, "d");
    RENAME(13, "rename(d,\"g/\") dir to nonexist with slash", "d", "g/", 0);
}

static void kinds_and_flags(struct oracle *o)
{
    oracle_fresh(o);
    oracle_touch(o, "f", "");
    oracle_mkdir(o, "d");
    oracle_mkdir(o, "e");
    oracle_touch(o, "e/x", "");
    RENAME(14, "rename(file,dir)", "f", "d", 0);
    RENAME(15, "rename(dir,file)", "d", "f", 0);
    RENAME(16, "rename(d,e) e non-empty", "d", "e", 0);
    oracle_mkdir(o, "z");
    RENAME(17, "rename(d, emptydir) replaces", "d", "z", 0);
    RENAME(18, "renameat2 EXCHANGE with missing target", "f", "nope", VRIFT_RENAME_EXCHANGE);
    RENAME(19, "renameat2 EXCHANGE file<->nonempty dir", "f", "e", VRIFT_RENAME_EXCHANGE);
    RENAME(20, "renameat2 NOREPLACE|EXCHANGE", "f", "e", VRIFT_RENAME_NOREPLACE | VRIFT_RENAME_EXCHANGE);
    RENAME(21, "renameat2 flags=8", "f", "e", 8);

    oracle_fresh(o);
    oracle_touch(o, "f", "");
    symlink_to(o, "f", "l");
    oracle_rename(o, "l", "m", 0);
    oracle_note(o, 22, "rename(symlink) moves link itself", "%s", oracle_truth(type_of(o, "m") == VRIFT_S_IFLNK));
    oracle_touch(o, "g", "");
    symlink_to(o, "nowhere", "dang");
    oracle_rename(o, "g", "dang", 0);
    oracle_note(o, 23, "rename onto dangling symlink replaces link", "%s",
                oracle_truth(type_of(o, "dang") == VRIFT_S_IFREG));

    oracle_fresh(o);
    oracle_touch(o, "f", "");
    oracle_rename(o, "f", "g", VRIFT_RENAME_WHITEOUT);
    struct vrift_stat attr = {.mode = 0};
    o->calls->statat(o->self, AT, "f", VRIFT_AT_SYMLINK_NOFOLLOW, &attr);
    oracle_note(o, 24, "renameat2 WHITEOUT leaves chr 0:0 at source", "(%s, %u, %u)",
                oracle_truth((attr.mode & VRIFT_S_IFMT) == VRIFT_S_IFCHR), VRIFT_DEV_MAJOR(attr.rdev),
                VRIFT_DEV_MINOR(attr.rdev));
}

void oracle_rename_questions(struct oracle *o)
{
    hard_links_and_ancestors(o);
    kinds_and_flags(o);
}

static void through_symlinks(struct oracle *o)
{
    oracle_fresh(o);
    symlink_to(o, "tgt", "l");
    OPEN(25, "open(l,O_CREAT) dangling symlink", "l", VRIFT_O_CREAT | VRIFT_O_WRONLY);
    oracle_note(o, 26, "  -> target created", "%s", oracle_truth(oracle_stat(o, "tgt") == 0));

    oracle_fresh(o);
    symlink_to(o, "tgt", "l");
    OPEN(27, "open(l,O_CREAT|O_EXCL) dangling symlink", "l", VRIFT_O_CREAT | VRIFT_O_EXCL | VRIFT_O_WRONLY);
    OPEN(28, "open(l,O_CREAT|O_NOFOLLOW) dangling", "l", VRIFT_O_CREAT | VRIFT_O_NOFOLLOW | VRIFT_O_WRONLY);
    ASK(29, "mkdir(l) dangling", oracle_mkdir(o, "l"));
    ASK(30, "mkdir(\"l/\") dangling symlink + slash", oracle_mkdir(o, "l/"));
    OPEN(31, "open(\"l/\",O_CREAT)", "l/", VRIFT_O_CREAT | VRIFT_O_WRONLY);
    symlink_to(o, "missing/x", "l2");
    OPEN(32, "open(l2 -> missing/x, O_CREAT)", "l2", VRIFT_O_CREAT | VRIFT_O_WRONLY);

    oracle_fresh(o);
    oracle_mkdir(o, "d");
    symlink_to(o, "d", "l");
    OPEN(33, "open(l,O_NOFOLLOW)", "l", VRIFT_O_NOFOLLOW);
    OPEN(34, "open(\"l/\",O_NOFOLLOW)", "l/", VRIFT_O_NOFOLLOW);
    OPEN(35, "open(l,O_NOFOLLOW|O_DIRECTORY)", "l", VRIFT_O_NOFOLLOW | VRIFT_O_DIRECTORY);
    OPEN(36, "open(l,O_PATH|O_NOFOLLOW)", "l", VRIFT_O_PATH | VRIFT_O_NOFOLLOW);
    oracle_note(o, 37, "lstat(\"l/\") is dir", "%s", oracle_truth(type_of(o, "l/") == VRIFT_S_IFDIR));
    ASK(38, "rmdir(l)", oracle_rmdir(o, "l"));
    ASK(39, "rmdir(\"l/\")", oracle_rmdir(o, "l/"));
    ASK(40, "unlink(\"l/\")", oracle_unlink(o, "l/"));
    RENAME(41, "rename(\"l/\",\"x\")", "l/", "x", 0);
}

static void creating(struct oracle *o)
{
    oracle_fresh(o);
    oracle_mkdir(o, "d");
    oracle_touch(o, "f", "");
    OPEN(42, "open(d,O_CREAT)", "d", VRIFT_O_CREAT);
    OPEN(43, "open(d,O_CREAT|O_EXCL)", "d", VRIFT_O_CREAT | VRIFT_O_EXCL);
    OPEN(44, "open(d,O_CREAT|O_DIRECTORY)", "d", VRIFT_O_CREAT | VRIFT_O_DIRECTORY);
    OPEN(45, "open(d,O_WRONLY)", "d", VRIFT_O_WRONLY);
    OPEN(46, "open(d,O_RDONLY|O_TRUNC)", "d", VRIFT_O_TRUNC);
    OPEN(47, "open(\"f/\",O_RDONLY)", "f/", VRIFT_O_RDONLY);
    OPEN(48, "open(\"new/\",O_CREAT)", "new/", VRIFT_O_CREAT | VRIFT_O_WRONLY);
    OPEN(49, "open(\"f/x\",O_CREAT)", "f/x", VRIFT_O_CREAT | VRIFT_O_WRONLY);
    ASK(50, "mkdir(\"f/x\")", oracle_mkdir(o, "f/x"));
    ASK(51, "mkdir(\"f/\")", oracle_mkdir(o, "f/"));
    ASK(52, "mkdir(\"new/\")", oracle_mkdir(o, "new/"));
    ASK(53, "mkdir(\"d/.\")", oracle_mkdir(o, "d/."));
    ASK(54, "mkdir(\"nd/.\")", oracle_mkdir(o, "nd/."));
    ASK(55, "symlink(x,\"new2/\")", symlink_to(o, "x", "new2/"));
    ASK(56, "mknod fifo \"new3/\"", o->calls->mknodat(o->self, AT, "new3/", VRIFT_S_IFIFO | 0666));
    ASK(57, "link(f,\"new4/\")", link_names(o, "f", "new4/"));
    ASK(58, "link(d,x)", link_names(o, "d", "x"));
    ASK(59, "stat(\"\")", oracle_stat(o, ""));
    OPEN(60, "open(f, O_RDONLY|O_TRUNC) allowed", "f", VRIFT_O_TRUNC);
}

static void removing(struct oracle *o)
{
    char buf[16];
    ASK(61, "unlink(d)", oracle_unlink(o, "d"));
    ASK(62, "unlink(\"d/\")", oracle_unlink(o, "d/"));
    ASK(63, "unlink(\"f/\")", oracle_unlink(o, "f/"));
    ASK(64, "unlink(\"d/.\")", oracle_unlink(o, "d/."));
    ASK(65, "unlink(\"d/..\")", oracle_unlink(o, "d/.."));
    ASK(66, "rmdir(f)", oracle_rmdir(o, "f"));
    ASK(67, "rmdir(\"d/.\")", oracle_rmdir(o, "d/."));
    ASK(68, "rmdir(\"d/..\")", oracle_rmdir(o, "d/.."));
    ASK(69, "rmdir(\"/\")", oracle_rmdir(o, "/"));
    ASK(70, "truncate(d)", o->calls->truncate(o->self, "d", 0));
    ASK(71, "readlink(f)", o->calls->readlinkat(o->self, "f", buf, sizeof buf));
}

static void lengths(struct oracle *o)
{
    char path[4200];
    memset(path, 'x', sizeof path);
    path[256] = '\0';
    ASK(72, "unlink(256-char name)", oracle_unlink(o, path));
    path[255] = '\0';
    ASK(73, "stat 255-char name", oracle_stat(o, path));
    for (int i = 0; i < 2048; i++)
        memcpy(path + (size_t)i * 2, "./", 2);
    path[4096] = '\0';
    ASK(74, "stat path of 4096 bytes (\"./\" * 2048)", oracle_stat(o, path));
    path[4094] = 'f';
    path[4095] = '\0';
    ASK(75, "stat path of 4095 bytes", oracle_stat(o, path));
    memset(path, 'x', 300);
    memcpy(path, "f/", 2);
    path[258] = '\0';
    ASK(76, "stat(\"f/\"+256x): ENOTDIR before ENAMETOOLONG?", oracle_stat(o, path));
    memset(path, 'x', 300);
    memcpy(path, "missing/", 8);
    path[264] = '\0';
    ASK(77, "stat(\"missing/\"+256x)", oracle_stat(o, path));
    memset(path, 'x', 300);
    path[256] = '\0';
    OPEN(78, "open(O_CREAT,256x)", path, VRIFT_O_CREAT | VRIFT_O_WRONLY);
}

void oracle_create_questions(struct oracle *o)
{
    through_symlinks(o);
    creating(o);
    removing(o);
    lengths(o);
}
