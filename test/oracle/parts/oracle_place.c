/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* From 540 on: where a task stands that its directory was moved or removed under, and listing what changes or is gone. */
#include "oracle/oracle.h"

#define ASK(number, question, result) oracle_note(o, (number), (question), "%s", oracle_word(result))

static int open_at(struct oracle *o, int dirfd, const char *path, uint64_t flags)
{
    return (int)o->calls->openat(o->self, dirfd, path, flags, 0644);
}

static void note_cwd(struct oracle *o, int number, const char *question)
{
    char text[200];
    int64_t length = o->calls->getcwd(o->self, text, sizeof text);
    if (length < 0)
        oracle_note(o, number, question, "%s", oracle_word(length));
    else
        oracle_note(o, number, question, "%s (%lld)", text, (long long)length);
}

static void all_from_a_removed_one(struct oracle *o)
{
    const struct oracle_calls *calls = o->calls;
    oracle_fresh(o);
    oracle_mkdir(o, "p");
    oracle_mkdir(o, "p/d");
    oracle_touch(o, "f", "");
    calls->chdir(o->self, "p/d");
    note_cwd(o, 540, "getcwd");
    oracle_rmdir(o, "/base/p/d");
    note_cwd(o, 541, "getcwd of a removed directory");
    ASK(542, "open(\".\") there", oracle_open_close(o, ".", VRIFT_O_RDONLY, 0));
    ASK(543, "open(\".\", O_DIRECTORY|O_PATH) there", oracle_open_close(o, ".", VRIFT_O_PATH | VRIFT_O_DIRECTORY, 0));
    ASK(544, "O_TMPFILE there", oracle_open_close(o, ".", VRIFT_O_TMPFILE | VRIFT_O_RDWR, 0600));
    ASK(545, "symlink there", calls->symlinkat(o->self, "x", "y"));
    ASK(546, "mknod there", calls->mknodat(o->self, AT, "y", VRIFT_S_IFIFO | 0600));
    ASK(547, "link to there", calls->linkat(o->self, AT, "/base/f", "y", 0));
    ASK(548, "rename to there", oracle_rename(o, "/base/f", "y", 0));
    ASK(549, "rename of a missing name there", oracle_rename(o, "x", "y", 0));
    ASK(550, "unlink there", oracle_unlink(o, "x"));
    ASK(551, "rmdir of what is gone, by its parent", oracle_rmdir(o, "../d"));
    ASK(552, "rmdir(\".\") there", oracle_rmdir(o, "."));
    ASK(553, "chdir(\".\") there", calls->chdir(o->self, "."));
    oracle_rmdir(o, "/base/p");
    ASK(554, "stat(\"..\") when the parent is gone, too", oracle_stat(o, ".."));
    ASK(555, "stat(\"../..\") then", oracle_stat(o, "../.."));
    ASK(556, "stat(\"../../f\") then", oracle_stat(o, "../../f"));
    ASK(557, "chdir(\"..\") then", calls->chdir(o->self, ".."));
    note_cwd(o, 558, "getcwd then");
    ASK(559, "chdir(\"..\") again", calls->chdir(o->self, ".."));
    note_cwd(o, 560, "getcwd at last");
}

static void moved(struct oracle *o)
{
    const struct oracle_calls *calls = o->calls;
    char small[8];
    oracle_fresh(o);
    oracle_mkdir(o, "src");
    oracle_mkdir(o, "src/in");
    oracle_mkdir(o, "src/in/deep");
    oracle_mkdir(o, "view");
    oracle_mkdir(o, "other");
    calls->chdir(o->self, "src/in/deep");
    oracle_rename(o, "/base/src/in", "/base/other/moved", 0);
    note_cwd(o, 561, "getcwd after a rename above it");
    ASK(562, "getcwd into too little", calls->getcwd(o->self, small, sizeof small));
    ASK(563, "getcwd into nothing", calls->getcwd(o->self, small, 0));
    oracle_rename(o, "/base/other/moved", "/base/src/in", 0);
    calls->bind(o->self, "/base/src", "/base/view");
    calls->chdir(o->self, "/base/view/in/deep");
    note_cwd(o, 564, "getcwd within a bind mount");
    oracle_rename(o, "/base/src/in", "/base/other/in", 0);
    note_cwd(o, 565, "getcwd after it was moved out of what the mount shows");
    ASK(566, "stat(\"..\") there", oracle_stat(o, ".."));
    ASK(567, "stat(\".\") there", oracle_stat(o, "."));
    ASK(568, "creating there", oracle_open_close(o, "x", VRIFT_O_CREAT | VRIFT_O_RDWR, 0600));
    calls->chdir(o->self, "..");
    ASK(569, "stat(\"..\") of the directory that was moved", oracle_stat(o, ".."));
    calls->chdir(o->self, "/base/view");
    calls->umount(o->self, "/base/view", VRIFT_UMOUNT_DETACH);
    note_cwd(o, 570, "getcwd in a mount that was detached");
    ASK(571, "stat(\"..\") there", oracle_stat(o, ".."));
    ASK(572, "creating there", oracle_open_close(o, "y", VRIFT_O_CREAT | VRIFT_O_RDWR, 0600));
    ASK(573, "and seen in the file system", oracle_stat(o, "/base/src/y"));
    calls->chdir(o->self, "/base");
}

/* How many entries one call answers, or its error. */
static void note_dents(struct oracle *o, int number, const char *question, int fd, size_t size)
{
    struct oracle_entry entries[16];
    int64_t got = o->calls->getdents(o->self, fd, size, entries, 16);
    if (got < 0)
        oracle_note(o, number, question, "%s", oracle_word(got));
    else
        oracle_note(o, number, question, "%lld", (long long)got);
}

static void listing_what_is_gone(struct oracle *o)
{
    const struct oracle_calls *calls = o->calls;
    oracle_fresh(o);
    oracle_mkdir(o, "d");
    int fd = open_at(o, AT, "d", VRIFT_O_RDONLY), twin = open_at(o, AT, "d", VRIFT_O_RDONLY);
    note_dents(o, 580, "getdents of an empty directory", fd, 1024);
    note_dents(o, 581, "getdents at its end", fd, 1024);
    oracle_rmdir(o, "d");
    note_dents(o, 582, "getdents at the end of a removed directory", fd, 1024);
    note_dents(o, 583, "getdents of a removed directory", twin, 1024);
    note_dents(o, 584, "getdents of a removed directory into too little", twin, 4);
    ASK(585, "lseek(0) of a removed directory", calls->lseek(o->self, fd, 0, VRIFT_SEEK_SET));
    note_dents(o, 586, "getdents after that", fd, 1024);
    ASK(587, "openat below a removed directory", open_at(o, fd, "x", VRIFT_O_RDONLY));
    ASK(588, "creating below a removed directory", open_at(o, fd, "x", VRIFT_O_CREAT | VRIFT_O_RDWR));
    calls->close(o->self, fd);
    calls->close(o->self, twin);
    fd = open_at(o, AT, ".", VRIFT_O_RDONLY);
    ASK(589, "lseek of a directory to -1", calls->lseek(o->self, fd, -1, VRIFT_SEEK_SET));
    ASK(590, "lseek of a directory by a bad whence", calls->lseek(o->self, fd, 0, 9));
    oracle_note(o, 591, "lseek of a directory by 0 from where it is", "%lld",
                (long long)calls->lseek(o->self, fd, 0, VRIFT_SEEK_CUR));
    note_dents(o, 594, "getdents of a file", open_at(o, AT, "f", VRIFT_O_CREAT | VRIFT_O_RDWR), 1024);
    calls->close(o->self, fd);
}

static void statx_questions(struct oracle *o)
{
    const struct oracle_calls *calls = o->calls;
    const uint64_t mask = VRIFT_STAT_BASIC | VRIFT_STAT_BTIME | VRIFT_STAT_MOUNT_ID;
    struct vrift_stat f = {.mask = 0}, d = {.mask = 0}, m = {.mask = 0};
    oracle_fresh(o);
    open_at(o, AT, "f", VRIFT_O_CREAT | VRIFT_O_RDWR);
    oracle_mkdir(o, "d");
    oracle_mkdir(o, "m");
    calls->bind(o->self, "d", "m");
    int fd = open_at(o, AT, "f", VRIFT_O_PATH);
    ASK(660, "statx with both ways to sync", calls->statx(o->self, AT, "f", VRIFT_AT_STATX_SYNC_TYPE, mask, &f));
    ASK(661, "statx with the reserved bit of the mask", calls->statx(o->self, AT, "f", 0, 0x80000000, &f));
    ASK(662, "statx with AT_REMOVEDIR", calls->statx(o->self, AT, "f", VRIFT_AT_REMOVEDIR, mask, &f));
    ASK(663, "statx with AT_SYMLINK_FOLLOW", calls->statx(o->self, AT, "f", VRIFT_AT_SYMLINK_FOLLOW, mask, &f));
    ASK(664, "statx with AT_NO_AUTOMOUNT", calls->statx(o->self, AT, "f", VRIFT_AT_NO_AUTOMOUNT, mask, &f));
    ASK(665, "statx of an empty path", calls->statx(o->self, fd, "", 0, mask, &f));
    ASK(666, "statx of a descriptor of O_PATH", calls->statx(o->self, fd, "", VRIFT_AT_EMPTY_PATH, mask, &f));
    ASK(667, "statx of the current directory", calls->statx(o->self, AT, "", VRIFT_AT_EMPTY_PATH, mask, &d));
    ASK(668, "statx of a missing name", calls->statx(o->self, AT, "no", 0, mask, &m));
    ASK(669, "statx of a mount", calls->statx(o->self, AT, "m", VRIFT_AT_STATX_FORCE_SYNC, mask, &m));
    oracle_note(o, 670, "what of the mask is valid", "0x%llx 0x%llx", (unsigned long long)(f.mask & mask),
                (unsigned long long)(m.mask & mask));
    oracle_note(o, 671, "a file has its directory's mount, and a bind another", "%s %s",
                oracle_truth(f.mount_id == d.mount_id), oracle_truth(m.mount_id == d.mount_id));
    oracle_note(o, 672, "it was born", "%s", oracle_truth(f.btime.sec > 1000000000));
    calls->close(o->self, fd);
}

void oracle_place_questions(struct oracle *o)
{
    statx_questions(o);
    all_from_a_removed_one(o);
    moved(o);
    listing_what_is_gone(o);
}
