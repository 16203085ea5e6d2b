/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Questions from 203 on: beyond the list, the same way. */
#include "oracle/oracle.h"

#define ASK(number, question, result) oracle_note(o, (number), (question), "%s", oracle_word(result))

static void chmod_to(struct oracle *o, const char *path, uint32_t mode)
{
    o->calls->fchmodat(o->self, AT, path, mode, 0);
}

static void made_in_setgid_directory(struct oracle *o, int number, const char *question, uint32_t mode, uint32_t mask,
                                     uint32_t member)
{
    const uint32_t groups[1] = {2000};
    oracle_fresh(o);
    oracle_mkdir(o, "d");
    o->calls->chown(o->self, "d", 0, 2000);
    chmod_to(o, "d", 02777);
    o->calls->become(o->self, 1000, 1000, groups, member);
    o->calls->umask(o->self, mask);
    int64_t result = oracle_open_close(o, "d/f", VRIFT_O_CREAT | VRIFT_O_WRONLY, mode);
    oracle_note(o, number, question, "%s 0o%o", oracle_word(result), result < 0 ? 0 : oracle_mode(o, "d/f"));
}

static void setgid(struct oracle *o)
{
    made_in_setgid_directory(o, 203, "setgid dir, non-member asks 02775 with umask 077", 02775, 077, 0);
    made_in_setgid_directory(o, 204, "setgid dir, non-member asks 02765", 02765, 0, 0);
    made_in_setgid_directory(o, 205, "setgid dir, non-member asks 02666", 02666, 0, 0);
    made_in_setgid_directory(o, 206, "setgid dir, member asks 02775 with umask 022", 02775, 022, 1);
}

static void attributes(struct oracle *o)
{
    const uint32_t groups[1] = {2000};
    oracle_fresh(o);
    oracle_touch(o, "f", "");
    o->calls->chown(o->self, "f", 1000, 1000);
    oracle_as_user(o, 1000, 1000);
    ASK(207, "owner gives a file away", o->calls->chown(o->self, "f", 1001, 0xffffffff));
    ASK(208, "owner changes to a group he is not in", o->calls->chown(o->self, "f", 0xffffffff, 2000));
    o->calls->become(o->self, 1000, 1000, groups, 1);
    ASK(209, "owner changes to a group he is in", o->calls->chown(o->self, "f", 0xffffffff, 2000));
    oracle_as_user(o, 1000, 1000);
    chmod_to(o, "f", 02755);
    oracle_note(o, 210, "chmod 02755 by an owner outside the file's group", "0o%o", oracle_mode(o, "f"));
    oracle_as_user(o, 1001, 1001);
    ASK(211, "chmod by another user", o->calls->fchmodat(o->self, AT, "f", 0777, 0));
    ASK(212, "truncate by another user without write permission", o->calls->truncate(o->self, "f", 0));
    oracle_as_root(o);
    chmod_to(o, "f", 06777);
    o->calls->chown(o->self, "f", 5, 5);
    oracle_note(o, 213, "chown by root clears suid/sgid", "0o%o", oracle_mode(o, "f"));
    oracle_mkdir(o, "d");
    chmod_to(o, "d", 06777);
    o->calls->chown(o->self, "d", 5, 5);
    oracle_note(o, 214, "chown by root of a directory keeps suid/sgid", "0o%o", oracle_mode(o, "d"));
}

static void sticky(struct oracle *o)
{
    oracle_fresh(o);
    oracle_mkdir(o, "d");
    chmod_to(o, "d", 01777);
    oracle_as_user(o, 1000, 1000);
    oracle_touch(o, "d/mine", "");
    oracle_mkdir(o, "d/dir");
    oracle_as_user(o, 1001, 1001);
    oracle_touch(o, "d/other", "");
    ASK(215, "sticky: rename own file over another's", oracle_rename(o, "d/other", "d/mine", 0));
    ASK(216, "sticky: rmdir of another's directory", oracle_rmdir(o, "d/dir"));
    ASK(217, "sticky: exchange with another's", oracle_rename(o, "d/other", "d/mine", VRIFT_RENAME_EXCHANGE));
    ASK(218, "sticky: unlink own", oracle_unlink(o, "d/other"));
    oracle_as_root(o);
    o->calls->chown(o->self, "d", 1001, 1001);
    oracle_as_user(o, 1001, 1001);
    ASK(219, "sticky: the directory's owner removes another's", oracle_unlink(o, "d/mine"));
}

static void names(struct oracle *o)
{
    oracle_fresh(o);
    oracle_mkdir(o, "d");
    oracle_touch(o, "f", "");
    ASK(220, "rename(missing, missing)", oracle_rename(o, "no", "no2", 0));
    ASK(221, "rename(f, \"d/\") file onto directory with slash", oracle_rename(o, "f", "d/", 0));
    ASK(222, "rename(\"\", x)", oracle_rename(o, "", "x", 0));
    ASK(223, "rename(f, f)", oracle_rename(o, "f", "f", 0));
    ASK(224, "renameat2(f, f, NOREPLACE)", oracle_rename(o, "f", "f", VRIFT_RENAME_NOREPLACE));
    ASK(225, "renameat2(f, f, EXCHANGE)", oracle_rename(o, "f", "f", VRIFT_RENAME_EXCHANGE));
    ASK(226, "renameat2 EXCHANGE|WHITEOUT", oracle_rename(o, "f", "d", VRIFT_RENAME_EXCHANGE | VRIFT_RENAME_WHITEOUT));
    ASK(227, "rename(\"..\", x)", oracle_rename(o, "..", "x", 0));
    ASK(228, "rename(\"/\", x)", oracle_rename(o, "/", "x", 0));
    ASK(229, "mkdir(\"/\")", oracle_mkdir(o, "/"));
    ASK(230, "mkdir(\"..\")", oracle_mkdir(o, ".."));
    ASK(231, "mkdir(\"\")", oracle_mkdir(o, ""));
    ASK(232, "unlink(\"/\")", oracle_unlink(o, "/"));
    ASK(233, "unlink(\"\")", oracle_unlink(o, ""));
    ASK(234, "rmdir(\"d//\")", oracle_rmdir(o, "d//"));
    ASK(235, "open(\"/\", O_CREAT)", oracle_open_close(o, "/", VRIFT_O_CREAT, 0644));
    ASK(236, "open(\".\", O_CREAT|O_EXCL)", oracle_open_close(o, ".", VRIFT_O_CREAT | VRIFT_O_EXCL, 0644));
    ASK(237, "open(f, O_DIRECTORY)", oracle_open_close(o, "f", VRIFT_O_DIRECTORY, 0));
    ASK(238, "open(f/.)", oracle_open_close(o, "f/.", VRIFT_O_RDONLY, 0));
    ASK(239, "open(f/..)", oracle_open_close(o, "f/..", VRIFT_O_RDONLY, 0));
    ASK(240, "link(missing, x)", o->calls->linkat(o->self, AT, "no", "x", 0));
    ASK(241, "link(f, f)", o->calls->linkat(o->self, AT, "f", "f", 0));
    ASK(242, "chdir(f)", o->calls->chdir(o->self, "f"));
    ASK(243, "mknod of a directory", o->calls->mknodat(o->self, AT, "x", VRIFT_S_IFDIR | 0755));
    ASK(244, "mknod without a type makes a file", o->calls->mknodat(o->self, AT, "x", 0644));
    ASK(245, "open(O_PATH|O_CREAT) of a missing name", oracle_open_close(o, "y", VRIFT_O_PATH | VRIFT_O_CREAT, 0644));
    ASK(246, "open(O_PATH|O_TRUNC) of a file", oracle_open_close(o, "f", VRIFT_O_PATH | VRIFT_O_TRUNC, 0));
    ASK(247, "open of a socket",
        (o->calls->mknodat(o->self, AT, "s", VRIFT_S_IFSOCK | 0644), oracle_open_close(o, "s", VRIFT_O_RDONLY, 0)));
}

static void descriptors(struct oracle *o)
{
    char buf[16];
    struct vrift_stat attr;
    oracle_fresh(o);
    oracle_touch(o, "f", "0123456789");
    int fd = (int)o->calls->openat(o->self, AT, "f", VRIFT_O_RDWR, 0);
    oracle_note(o, 248, "lseek(-1, SEEK_SET)", "%s", oracle_word(o->calls->lseek(o->self, fd, -1, VRIFT_SEEK_SET)));
    oracle_note(o, 249, "lseek(-20, SEEK_END)", "%s", oracle_word(o->calls->lseek(o->self, fd, -20, VRIFT_SEEK_END)));
    oracle_note(o, 250, "lseek(5, SEEK_END)", "%lld", (long long)o->calls->lseek(o->self, fd, 5, VRIFT_SEEK_END));
    ASK(251, "read past the end", o->calls->read(o->self, fd, buf, sizeof buf));
    ASK(252, "lseek with a bad whence", o->calls->lseek(o->self, fd, 0, 99));
    oracle_note(o, 253, "SEEK_DATA at 3", "%lld", (long long)o->calls->lseek(o->self, fd, 3, VRIFT_SEEK_DATA));
    oracle_note(o, 254, "SEEK_HOLE at 3", "%lld", (long long)o->calls->lseek(o->self, fd, 3, VRIFT_SEEK_HOLE));
    ASK(255, "SEEK_DATA at the end", o->calls->lseek(o->self, fd, 10, VRIFT_SEEK_DATA));
    ASK(256, "SEEK_HOLE past the end", o->calls->lseek(o->self, fd, 11, VRIFT_SEEK_HOLE));
    ASK(257, "statat(fd of a file, \"x\")", o->calls->statat(o->self, fd, "x", 0, &attr));
    ASK(258, "statat(fd, \"\", AT_EMPTY_PATH)", o->calls->statat(o->self, fd, "", VRIFT_AT_EMPTY_PATH, &attr));
    ASK(259, "statat(fd, \"\")", o->calls->statat(o->self, fd, "", 0, &attr));
    ASK(260, "statat(bad fd, relative)", o->calls->statat(o->self, 900, "x", 0, &attr));
    ASK(261, "statat(bad fd, absolute)", o->calls->statat(o->self, 900, "/", 0, &attr));
    ASK(262, "pwrite at an enormous offset", o->calls->pwrite(o->self, fd, "x", 1, INT64_MAX));
    ASK(263, "ftruncate to an enormous length", o->calls->ftruncate(o->self, fd, (uint64_t)INT64_MAX + 1));
    ASK(268, "pwrite of the last byte there can be", o->calls->pwrite(o->self, fd, "x", 1, INT64_MAX - 1));
    o->calls->ftruncate(o->self, fd, 10);
    o->calls->lseek(o->self, fd, INT64_MAX, VRIFT_SEEK_SET);
    ASK(269, "read at the largest position", o->calls->read(o->self, fd, buf, 1));
    ASK(270, "write at the largest position", o->calls->write(o->self, fd, "x", 1));
    ASK(271, "write of nothing at the largest position", o->calls->write(o->self, fd, "", 0));
    o->calls->close(o->self, fd);
    ASK(264, "close twice", o->calls->close(o->self, fd));
    fd = (int)o->calls->openat(o->self, AT, ".", VRIFT_O_RDONLY, 0);
    ASK(265, "write to a directory", o->calls->write(o->self, fd, "x", 1));
    ASK(266, "read from a directory", o->calls->read(o->self, fd, buf, sizeof buf));
    ASK(267, "ftruncate of a directory", o->calls->ftruncate(o->self, fd, 0));
    o->calls->close(o->self, fd);
}

void oracle_further_questions(struct oracle *o)
{
    setgid(o);
    attributes(o);
    sticky(o);
    names(o);
    descriptors(o);
}
