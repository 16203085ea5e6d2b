/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Questions 124 to 145: special mode bits and permissions, most of them asked as somebody else. */
#include "oracle/oracle.h"

#define ASK(number, question, result) oracle_note(o, (number), (question), "%s", oracle_word(result))

static void chmod_to(struct oracle *o, const char *path, uint32_t mode)
{
    o->calls->fchmodat(o->self, AT, path, mode, 0);
}

static int64_t write_one(struct oracle *o)
{
    int64_t fd = o->calls->openat(o->self, AT, "f", VRIFT_O_WRONLY, 0);
    int64_t result = fd < 0 ? fd : o->calls->write(o->self, (int)fd, "x", 1);
    if (fd >= 0)
        o->calls->close(o->self, (int)fd);
    return result;
}

static void sticky(struct oracle *o)
{
    oracle_fresh(o);
    chmod_to(o, ".", 01777);
    oracle_touch(o, "f", "");
    oracle_as_user(o, 1000, 1000);
    int64_t unlinked = oracle_unlink(o, "f");
    int64_t renamed = oracle_rename(o, "f", "g", 0);
    oracle_as_root(o);
    oracle_note(o, 124, "sticky dir: other user unlink/rename", "('%s', '%s')", oracle_word(unlinked),
                oracle_word(renamed));
    chmod_to(o, ".", 0777);
    oracle_as_user(o, 1000, 1000);
    ASK(125, "no sticky: non-owner may unlink root-owned file", oracle_unlink(o, "f"));
}

static void setgid_directory(struct oracle *o)
{
    struct vrift_stat s = {.mode = 0};
    struct vrift_stat f = {.mode = 0};
    oracle_fresh(o);
    oracle_mkdir(o, "d");
    o->calls->chown(o->self, "d", 0, 2000);
    chmod_to(o, "d", 02777);
    oracle_as_user(o, 1000, 1000);
    oracle_mkdir(o, "d/s");
    oracle_open_close(o, "d/f", VRIFT_O_CREAT | VRIFT_O_WRONLY, 02775);
    o->calls->umask(o->self, 0);
    oracle_open_close(o, "d/f2", VRIFT_O_CREAT | VRIFT_O_WRONLY, 02775);
    o->calls->umask(o->self, 022);
    o->calls->statat(o->self, AT, "d/s", 0, &s);
    o->calls->statat(o->self, AT, "d/f", 0, &f);
    oracle_note(o, 126, "setgid dir: subdir inherits S_ISGID+gid; file gid; S_ISGID stripped if not in group",
                "('0o%o', %u, '0o%o', %u, '0o%o')", s.mode & 07777, s.gid, f.mode & 07777, f.gid,
                oracle_mode(o, "d/f2"));
}

static void clearing_of_bits(struct oracle *o)
{
    oracle_fresh(o);
    oracle_touch(o, "f", "");
    o->calls->chown(o->self, "f", 1000, 1000);
    chmod_to(o, "f", 06755);
    oracle_as_user(o, 1000, 1000);
    o->calls->chown(o->self, "f", 1000, 1000);
    oracle_note(o, 127, "chown by owner clears suid/sgid", "0o%o", oracle_mode(o, "f"));
    oracle_as_root(o);
    chmod_to(o, "f", 06777);
    oracle_as_user(o, 1001, 1001);
    write_one(o);
    oracle_note(o, 128, "write by non-owner clears suid/sgid", "0o%o", oracle_mode(o, "f"));
    oracle_as_root(o);
    chmod_to(o, "f", 06777);
    oracle_as_user(o, 1001, 1001);
    o->calls->truncate(o->self, "f", 0);
    oracle_note(o, 129, "truncate by non-owner clears suid", "0o%o", oracle_mode(o, "f"));
    oracle_as_root(o);
    chmod_to(o, "f", 02666);
    oracle_as_user(o, 1001, 1001);
    write_one(o);
    oracle_note(o, 130, "sgid without group-x kept on write (mandatory-lock style)", "0o%o", oracle_mode(o, "f"));
}

static void moving_directories(struct oracle *o)
{
    oracle_fresh(o);
    oracle_mkdir(o, "d");
    oracle_mkdir(o, "d/s");
    chmod_to(o, "d", 0777);
    o->calls->chown(o->self, "d/s", 0, 0);
    chmod_to(o, "d/s", 0755);
    oracle_mkdir(o, "o");
    chmod_to(o, "o", 0777);
    oracle_as_user(o, 1000, 1000);
    ASK(131, "rename dir to other parent needs write on dir itself (..)", oracle_rename(o, "d/s", "o/s", 0));
    ASK(132, "rename same parent does not", oracle_rename(o, "d/s", "d/t", 0));
}

static void classes(struct oracle *o)
{
    oracle_fresh(o);
    oracle_touch(o, "f", "");
    chmod_to(o, "f", 0);
    o->calls->chown(o->self, "f", 1000, 1000);
    oracle_as_user(o, 1000, 1000);
    ASK(133, "open owner 0000 by owner", oracle_open_close(o, "f", VRIFT_O_RDONLY, 0));
    oracle_as_root(o);
    chmod_to(o, "f", 0070);
    oracle_as_user(o, 1000, 1000);
    ASK(134, "owner class only: group bits do not rescue owner", oracle_open_close(o, "f", VRIFT_O_RDONLY, 0));
    ASK(135, "open(O_CREAT,0444,O_RDWR) new file ok", oracle_open_close(o, "nn", VRIFT_O_CREAT | VRIFT_O_RDWR, 0444));
    ASK(136, "  second time", oracle_open_close(o, "nn", VRIFT_O_CREAT | VRIFT_O_RDWR, 0444));
}

static void unwritable_directory(struct oracle *o)
{
    char names[100];
    oracle_as_root(o);
    oracle_mkdir(o, "x");
    oracle_touch(o, "x/f", "");
    chmod_to(o, "x", 0600);
    o->calls->chown(o->self, "x", 1000, 1000);
    oracle_as_user(o, 1000, 1000);
    int64_t fd = o->calls->openat(o->self, AT, "x", VRIFT_O_RDONLY, 0);
    oracle_names(o, (int)fd, names, sizeof names);
    o->calls->close(o->self, (int)fd);
    oracle_note(o, 137, "dir r--: listdir ok, stat child", "([%s], '%s')", names, oracle_word(oracle_stat(o, "x/f")));
    ASK(138, "ENOENT vs EACCES: search denied wins", oracle_stat(o, "x/nope"));
    oracle_as_root(o);
    chmod_to(o, "x", 0555);
    oracle_as_user(o, 1000, 1000);
    ASK(139, "O_CREAT|O_EXCL existing in unwritable dir",
        oracle_open_close(o, "x/f", VRIFT_O_CREAT | VRIFT_O_EXCL, 0644));
    ASK(140, "mkdir existing in unwritable dir", oracle_mkdir(o, "x/f"));
    ASK(141, "O_CREAT existing in unwritable dir", oracle_open_close(o, "x/f", VRIFT_O_CREAT, 0644));
    ASK(142, "unlink missing in unwritable dir", oracle_unlink(o, "x/none"));
    ASK(143, "rename(missing) in unwritable", oracle_rename(o, "x/none", "x/q", 0));
    oracle_as_root(o);
    oracle_mkdir(o, "x/dd");
    oracle_as_user(o, 1000, 1000);
    ASK(144, "unlink(dir) in unwritable", oracle_unlink(o, "x/dd"));
}

void oracle_permission_questions(struct oracle *o)
{
    sticky(o);
    setgid_directory(o);
    clearing_of_bits(o);
    moving_directories(o);
    classes(o);
    unwritable_directory(o);
    oracle_fresh(o);
    o->calls->umask(o->self, 077);
    oracle_mkdir(o, "d");
    oracle_note(o, 145, "umask mkdir", "0o%o", oracle_mode(o, "d"));
}
