/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Questions 119 to 123, on locks; and from 400 on what the list does not have of descriptors and their flags. */
#include "oracle/oracle.h"

#include <stdbool.h>

#define ASK(number, question, result) oracle_note(o, (number), (question), "%s", oracle_word(result))

static int open_at(struct oracle *o, const char *path, uint64_t flags)
{
    return (int)o->calls->openat(o->self, AT, path, flags, 0644);
}

void oracle_lock_questions(struct oracle *o)
{
    const struct oracle_calls *calls = o->calls;
    const uint64_t exclusive = VRIFT_LOCK_EX | VRIFT_LOCK_NB;
    oracle_fresh(o);
    oracle_touch(o, "f", "");
    int one = open_at(o, "f", VRIFT_O_RDWR), twin = (int)calls->dup(o->self, one),
        other = open_at(o, "f", VRIFT_O_RDWR);
    calls->flock(o->self, one, exclusive);
    int64_t by_twin = calls->flock(o->self, twin, exclusive);
    oracle_note(o, 119, "flock: dup ok, other open blocks", "('%s', '%s')", oracle_word(by_twin),
                oracle_word(calls->flock(o->self, other, exclusive)));
    calls->close(o->self, twin);
    ASK(120, "flock still held after closing dup", calls->flock(o->self, other, exclusive));
    calls->flock(o->self, one, VRIFT_LOCK_UN);
    calls->setlk(o->self, one, 0, VRIFT_F_WRLCK);
    oracle_open_close(o, "f", VRIFT_O_RDONLY, 0);
    ASK(121, "POSIX lock dropped by close() of ANY fd of inode", calls->lock_elsewhere(o->self, "f"));
    calls->setlk(o->self, one, VRIFT_SETLK_OFD, VRIFT_F_WRLCK);
    oracle_open_close(o, "f", VRIFT_O_RDONLY, 0);
    ASK(122, "OFD lock survives unrelated close (other proc gets)", calls->lock_elsewhere(o->self, "f"));
    ASK(123, "OFD same process other OFD conflicts", calls->setlk(o->self, other, VRIFT_SETLK_OFD, VRIFT_F_WRLCK));
    calls->close(o->self, one);
    calls->close(o->self, other);
}

/* -- Descriptors --------------------------------------------------------------------------------------------------- */

static void locks_of_odd_descriptors(struct oracle *o)
{
    const struct oracle_calls *calls = o->calls;
    oracle_fresh(o);
    oracle_touch(o, "f", "");
    int read_only = open_at(o, "f", VRIFT_O_RDONLY), neither = open_at(o, "f", VRIFT_O_ACCMODE);
    int path = open_at(o, "f", VRIFT_O_PATH), dir = open_at(o, ".", VRIFT_O_RDONLY);
    ASK(400, "F_SETLK WRLCK of a descriptor that reads", calls->setlk(o->self, read_only, 0, VRIFT_F_WRLCK));
    ASK(401, "F_SETLK RDLCK of a directory", calls->setlk(o->self, dir, 0, VRIFT_F_RDLCK));
    ASK(402, "F_SETLK of O_PATH", calls->setlk(o->self, path, 0, VRIFT_F_UNLCK));
    ASK(403, "F_SETLK of a bad type", calls->setlk(o->self, read_only, 0, 3));
    ASK(404, "flock of O_PATH", calls->flock(o->self, path, VRIFT_LOCK_SH));
    ASK(405, "flock of access mode 3", calls->flock(o->self, neither, VRIFT_LOCK_SH));
    ASK(406, "flock UN of access mode 3", calls->flock(o->self, neither, VRIFT_LOCK_UN));
    ASK(407, "flock EX of a directory", calls->flock(o->self, dir, VRIFT_LOCK_EX));
    ASK(408, "flock of a bad descriptor and operation", calls->flock(o->self, 900, 5 | 8));
    ASK(409, "flock of a bad descriptor", calls->flock(o->self, 900, VRIFT_LOCK_SH));
    calls->close(o->self, read_only);
    calls->close(o->self, neither);
    calls->close(o->self, path);
    calls->close(o->self, dir);
}

static void note_flags(struct oracle *o, int number, const char *question, int fd)
{
    int64_t flags = o->calls->getfl(o->self, fd);
    if (flags < 0)
        oracle_note(o, number, question, "%s", oracle_word(flags));
    else
        oracle_note(o, number, question, "0o%llo", (unsigned long long)flags);
}

static void status_flags(struct oracle *o)
{
    static const struct {
        uint64_t flags;
        const char *path, *name;
    } opened[] = {
        {VRIFT_O_RDONLY | VRIFT_O_CLOEXEC, "f", "F_GETFL O_CLOEXEC"},
        {VRIFT_O_ACCMODE, "f", "F_GETFL access mode 3"},
        {VRIFT_O_RDWR | VRIFT_O_CREAT | VRIFT_O_TRUNC | VRIFT_O_NOCTTY, "f", "F_GETFL O_CREAT|O_TRUNC|O_NOCTTY"},
        {VRIFT_O_RDWR | VRIFT_O_CREAT | VRIFT_O_EXCL, "new", "F_GETFL O_CREAT|O_EXCL"},
        {VRIFT_O_WRONLY | VRIFT_O_APPEND | VRIFT_O_NONBLOCK, "f", "F_GETFL O_APPEND|O_NONBLOCK"},
        {VRIFT_O_RDWR | VRIFT_O_DSYNC, "f", "F_GETFL O_DSYNC"},
        {VRIFT_O_RDWR | VRIFT_O_SYNC, "f", "F_GETFL O_SYNC"},
        {VRIFT_O_NOATIME | VRIFT_O_NOFOLLOW, "f", "F_GETFL O_NOATIME|O_NOFOLLOW"},
        {VRIFT_O_PATH | VRIFT_O_RDWR | VRIFT_O_CLOEXEC, "f", "F_GETFL O_PATH|O_RDWR"},
        {VRIFT_O_PATH | VRIFT_O_NOFOLLOW, "f", "F_GETFL O_PATH|O_NOFOLLOW"},
        {VRIFT_O_DIRECTORY, ".", "F_GETFL O_DIRECTORY"},
        {VRIFT_O_TMPFILE | VRIFT_O_RDWR | VRIFT_O_EXCL, ".", "F_GETFL O_TMPFILE|O_EXCL"},
        {VRIFT_O_PATH | VRIFT_O_DIRECTORY, ".", "F_GETFL O_PATH|O_DIRECTORY"}};
    static const uint64_t set[] = {VRIFT_O_APPEND, VRIFT_O_NONBLOCK | VRIFT_O_NOATIME, VRIFT_O_SYNC | VRIFT_O_DSYNC,
                                   VRIFT_O_WRONLY | VRIFT_O_CREAT | VRIFT_O_PATH | VRIFT_O_DIRECTORY, 0};
    oracle_fresh(o);
    oracle_touch(o, "f", "");
    for (size_t i = 0; i < sizeof opened / sizeof opened[0]; i++) {
        int fd = open_at(o, opened[i].path, opened[i].flags);
        note_flags(o, 410 + (int)i, opened[i].name, fd);
        o->calls->close(o->self, fd);
    }
    int fd = open_at(o, "f", VRIFT_O_RDWR), path = open_at(o, "f", VRIFT_O_PATH);
    for (size_t i = 0; i < sizeof set / sizeof set[0]; i++) {
        char question[40];
        snprintf(question, sizeof question, "F_GETFL after F_SETFL 0o%llo", (unsigned long long)set[i]);
        o->calls->setfl(o->self, fd, set[i]);
        note_flags(o, 425 + (int)i, question, fd);
    }
    ASK(430, "F_SETFL of O_PATH", o->calls->setfl(o->self, path, 0));
    o->calls->setfl(o->self, fd, VRIFT_O_APPEND);
    o->calls->write(o->self, fd, "abc", 3);
    o->calls->lseek(o->self, fd, 0, VRIFT_SEEK_SET);
    o->calls->write(o->self, fd, "d", 1);
    o->calls->setfl(o->self, fd, 0);
    o->calls->lseek(o->self, fd, 0, VRIFT_SEEK_SET);
    o->calls->write(o->self, fd, "e", 1);
    char text[16];
    oracle_text(o, "f", text, sizeof text);
    oracle_note(o, 431, "writes while O_APPEND is set and after it was cleared", "%s", text);
    oracle_as_user(o, 1000, 1000);
    ASK(432, "F_SETFL O_NOATIME of another's file", o->calls->setfl(o->self, fd, VRIFT_O_NOATIME));
    ASK(433, "F_SETFL O_NONBLOCK of another's file", o->calls->setfl(o->self, fd, VRIFT_O_NONBLOCK));
    oracle_as_root(o);
    o->calls->close(o->self, fd);
    o->calls->close(o->self, path);
}

/* Descriptors from 20 on are free on both sides. */
static void table(struct oracle *o)
{
    const struct oracle_calls *calls = o->calls;
    oracle_fresh(o);
    oracle_touch(o, "f", "");
    int fd = open_at(o, "f", VRIFT_O_RDWR | VRIFT_O_CLOEXEC);
    oracle_note(o, 440, "F_GETFD of O_CLOEXEC", "%lld", (long long)calls->getfd(o->self, fd));
    oracle_note(o, 441, "F_DUPFD 20", "%lld", (long long)calls->dupfd(o->self, fd, 20, 0));
    oracle_note(o, 442, "F_DUPFD 20 again", "%lld", (long long)calls->dupfd(o->self, fd, 20, VRIFT_O_CLOEXEC));
    oracle_note(o, 443, "F_GETFD of a dup, and of one with CLOEXEC", "(%lld, %lld)",
                (long long)calls->getfd(o->self, 20), (long long)calls->getfd(o->self, 21));
    calls->setfd(o->self, fd, 6);
    oracle_note(o, 444, "F_GETFD after F_SETFD 6", "%lld", (long long)calls->getfd(o->self, fd));
    ASK(445, "F_SETFD of a closed one", calls->setfd(o->self, 30, 1));
    oracle_note(o, 446, "dup3(fd, 30, O_CLOEXEC)", "%lld", (long long)calls->dup3(o->self, fd, 30, VRIFT_O_CLOEXEC));
    oracle_note(o, 447, "F_GETFD of it", "%lld", (long long)calls->getfd(o->self, 30));
    ASK(448, "dup3(fd, fd)", calls->dup3(o->self, fd, fd, 0));
    ASK(449, "dup3 with O_APPEND", calls->dup3(o->self, fd, 31, VRIFT_O_APPEND));
    ASK(450, "dup3(closed, closed)", calls->dup3(o->self, 50, 50, 0));
    ASK(451, "dup3(closed, 31)", calls->dup3(o->self, 50, 31, 0));
    ASK(452, "dup3(fd, -1)", calls->dup3(o->self, fd, -1, 0));
    ASK(453, "F_DUPFD -1", calls->dupfd(o->self, fd, -1, 0));
    ASK(454, "F_DUPFD of a closed one", calls->dupfd(o->self, 50, 0, 0));
    ASK(455, "close_range(21, 20)", calls->close_range(o->self, 21, 20, 0));
    ASK(456, "close_range with an unknown flag", calls->close_range(o->self, 20, 21, 8));
    ASK(457, "close_range(20, 29, CLOEXEC)", calls->close_range(o->self, 20, 29, 4));
    oracle_note(o, 458, "F_GETFD of them and of one behind", "(%lld, %lld, %s)", (long long)calls->getfd(o->self, 20),
                (long long)calls->getfd(o->self, 21), oracle_word(calls->getfd(o->self, 22)));
    ASK(459, "close_range(21, max)", calls->close_range(o->self, 21, UINT32_MAX, 0));
    oracle_note(o, 460, "what is left of 20, 21, 30", "(%s, %s, %s)", oracle_word(calls->getfd(o->self, 20)),
                oracle_word(calls->getfd(o->self, 21)), oracle_word(calls->getfd(o->self, 30)));
    calls->max_files(o->self, 20);
    ASK(461, "a descriptor above the limit is read", calls->getfd(o->self, 20));
    ASK(462, "F_DUPFD 20 at a limit of 20", calls->dupfd(o->self, fd, 20, 0));
    ASK(463, "dup3(fd, 20) at a limit of 20", calls->dup3(o->self, fd, 20, 0));
    bool ours[20] = {false};
    int last = 0;
    int64_t result;
    while ((result = calls->dup(o->self, fd)) >= 0 && result < 20)
        ours[last = (int)result] = true;
    oracle_note(o, 464, "dup up to the limit", "(%d, %s)", last, oracle_word(result));
    ASK(465, "open at the limit", oracle_open_close(o, "f", VRIFT_O_RDONLY, 0));
    ASK(466, "open of a missing name at the limit", oracle_open_close(o, "none", VRIFT_O_RDONLY, 0));
    ASK(467, "F_DUPFD 0 at a limit of 0", (calls->max_files(o->self, 0), calls->dupfd(o->self, fd, 0, 0)));
    calls->max_files(o->self, 1000);
    calls->close_range(o->self, 20, UINT32_MAX, 0);
    calls->close(o->self, fd);
    for (int i = 0; i < 20; i++)
        if (ours[i])
            calls->close(o->self, i);
}

static void by_descriptor(struct oracle *o)
{
    const struct oracle_calls *calls = o->calls;
    static const char *const names[] = {"fsync", "fdatasync", "syncfs"};
    char question[60];
    oracle_fresh(o);
    oracle_touch(o, "f", "");
    int fd = open_at(o, "f", VRIFT_O_RDONLY), path = open_at(o, "f", VRIFT_O_PATH),
        dir = open_at(o, ".", VRIFT_O_RDONLY);
    ASK(470, "fchmod of a descriptor that reads", calls->fchmod(o->self, fd, 0751));
    oracle_note(o, 471, "the mode then", "0o%o", oracle_mode(o, "f"));
    ASK(472, "fchown of O_PATH", calls->fchown(o->self, path, 0, 0));
    ASK(473, "fchown of a descriptor that reads", calls->fchown(o->self, fd, 1, 1));
    ASK(474, "fchmod of a directory", calls->fchmod(o->self, dir, 0777));
    ASK(475, "fchmod of a bad descriptor", calls->fchmod(o->self, 900, 0777));
    for (int how = 0; how < 3; how++) {
        snprintf(question, sizeof question, "%s of a file, a directory, O_PATH, a bad descriptor", names[how]);
        oracle_note(o, 476 + how, question, "(%s, %s, %s, %s)", oracle_word(calls->sync(o->self, fd, how)),
                    oracle_word(calls->sync(o->self, dir, how)), oracle_word(calls->sync(o->self, path, how)),
                    oracle_word(calls->sync(o->self, 900, how)));
    }
    calls->close(o->self, fd);
    calls->close(o->self, path);
    calls->close(o->self, dir);
}

/* -- Magic links --------------------------------------------------------------------------------------------------- */

static const char *fd_path(int fd, const char *rest)
{
    static char text[80];
    snprintf(text, sizeof text, "/proc/self/fd/%d%s", fd, rest);
    return text;
}

static void note_link(struct oracle *o, int number, const char *question, int fd)
{
    char text[80];
    int64_t length = o->calls->readlinkat(o->self, fd_path(fd, ""), text, sizeof text - 1);
    text[length < 0 ? 0 : length] = '\0';
    oracle_note(o, number, question, "%s", length < 0 ? oracle_word(length) : text);
}

static int64_t resolve(struct oracle *o, int dirfd, const char *path, uint64_t flags, uint64_t how)
{
    int64_t fd = o->calls->openat2(o->self, dirfd, path, flags, 0, how);
    if (fd >= 0)
        o->calls->close(o->self, (int)fd);
    return fd;
}

static void links_of(struct oracle *o, int fd, int dir)
{
    const struct oracle_calls *calls = o->calls;
    struct vrift_stat st = {.mode = 0};
    note_link(o, 480, "readlink of a file's", fd);
    note_link(o, 481, "readlink of a directory's", dir);
    calls->statat(o->self, AT, fd_path(fd, ""), VRIFT_AT_SYMLINK_NOFOLLOW, &st);
    oracle_note(o, 482, "lstat of it", "0o%o %llu", st.mode, (unsigned long long)st.size);
    calls->statat(o->self, AT, fd_path(fd, ""), 0, &st);
    oracle_note(o, 483, "stat of it", "0o%o %llu", st.mode, (unsigned long long)st.size);
    ASK(484, "open of it with O_NOFOLLOW", oracle_open_close(o, fd_path(fd, ""), VRIFT_O_NOFOLLOW, 0));
    ASK(485, "open of it with O_CREAT|O_RDWR", oracle_open_close(o, fd_path(fd, ""), VRIFT_O_CREAT | VRIFT_O_RDWR, 0));
    ASK(486, "open of it with O_EXCL",
        oracle_open_close(o, fd_path(fd, ""), VRIFT_O_CREAT | VRIFT_O_EXCL | VRIFT_O_RDWR, 0));
    ASK(487, "open of it with O_DIRECTORY", oracle_open_close(o, fd_path(fd, ""), VRIFT_O_DIRECTORY, 0));
    ASK(488, "open of N/x below a file", oracle_open_close(o, fd_path(fd, "/x"), VRIFT_O_RDONLY, 0));
    ASK(489, "open of N/f below a directory", oracle_open_close(o, fd_path(dir, "/f"), VRIFT_O_RDONLY, 0));
    ASK(490, "open of N/", oracle_open_close(o, fd_path(dir, "/"), VRIFT_O_RDONLY | VRIFT_O_NOFOLLOW, 0));
    ASK(491, "creating below N/..", oracle_open_close(o, fd_path(dir, "/../new"), VRIFT_O_CREAT | VRIFT_O_RDWR, 0644));
    ASK(492, "stat of what was created", oracle_stat(o, "/base/new"));
    ASK(493, "open of a closed one", oracle_open_close(o, fd_path(900, ""), VRIFT_O_RDONLY, 0));
    ASK(494, "open of a name that is no number", oracle_open_close(o, "/proc/self/fd/x", VRIFT_O_RDONLY, 0));
    ASK(495, "open of a number with a zero in front", oracle_open_close(o, "/proc/self/fd/00", VRIFT_O_RDONLY, 0));
    ASK(496, "unlink of one", oracle_unlink(o, fd_path(fd, "")));
    ASK(497, "creating among them", oracle_open_close(o, "/proc/self/fd/900", VRIFT_O_CREAT | VRIFT_O_RDWR, 0600));
}

static void magic_links(struct oracle *o)
{
    const struct oracle_calls *calls = o->calls;
    oracle_fresh(o);
    oracle_touch(o, "f", "abc");
    oracle_mkdir(o, "d");
    oracle_touch(o, "d/f", "");
    int fd = open_at(o, "f", VRIFT_O_RDONLY), dir = open_at(o, "d", VRIFT_O_RDONLY);
    int numbers = (int)calls->openat(o->self, AT, "/proc/self/fd", VRIFT_O_PATH, 0);
    links_of(o, fd, dir);
    char name[20], beyond[20];
    snprintf(name, sizeof name, "%d", fd);
    snprintf(beyond, sizeof beyond, "%d", numbers);
    ASK(500, "RESOLVE_NO_SYMLINKS", resolve(o, numbers, name, 0, VRIFT_RESOLVE_NO_SYMLINKS));
    ASK(501, "RESOLVE_NO_MAGICLINKS", resolve(o, numbers, name, 0, VRIFT_RESOLVE_NO_MAGICLINKS));
    ASK(502, "RESOLVE_BENEATH", resolve(o, numbers, name, 0, VRIFT_RESOLVE_BENEATH));
    ASK(503, "RESOLVE_IN_ROOT", resolve(o, numbers, name, 0, VRIFT_RESOLVE_IN_ROOT));
    ASK(504, "RESOLVE_NO_XDEV", resolve(o, numbers, name, 0, VRIFT_RESOLVE_NO_XDEV));
    ASK(505, "RESOLVE_NO_XDEV to a place on the same mount",
        resolve(o, numbers, beyond, VRIFT_O_PATH, VRIFT_RESOLVE_NO_XDEV));
    ASK(506, "RESOLVE_CACHED", resolve(o, numbers, name, 0, VRIFT_RESOLVE_CACHED));
    ASK(507, "NO_MAGICLINKS of the link itself",
        resolve(o, numbers, name, VRIFT_O_PATH | VRIFT_O_NOFOLLOW, VRIFT_RESOLVE_NO_MAGICLINKS));
    calls->unlinkat(o->self, AT, "f", 0);
    note_link(o, 508, "readlink of what was removed", fd);
    ASK(509, "open of what was removed", oracle_open_close(o, fd_path(fd, ""), VRIFT_O_RDWR, 0));
    ASK(510, "link of what was removed", calls->linkat(o->self, AT, fd_path(fd, ""), "again", VRIFT_AT_SYMLINK_FOLLOW));
    oracle_rename(o, "d", "e", 0);
    note_link(o, 511, "readlink of what was renamed", dir);
    ASK(512, "chdir through it", calls->chdir(o->self, fd_path(dir, "")));
    ASK(513, "stat of a name there", oracle_stat(o, "f"));
    calls->chdir(o->self, "/base");
    int nameless = open_at(o, ".", VRIFT_O_TMPFILE | VRIFT_O_RDWR);
    ASK(514, "link of a nameless file",
        calls->linkat(o->self, AT, fd_path(nameless, ""), "named", VRIFT_AT_SYMLINK_FOLLOW));
    int path = open_at(o, "named", VRIFT_O_PATH);
    struct vrift_stat st = {.mode = 0};
    calls->statat(o->self, AT, fd_path(path, ""), VRIFT_AT_SYMLINK_NOFOLLOW, &st);
    oracle_note(o, 515, "lstat of an O_PATH descriptor's", "0o%o", st.mode);
    ASK(516, "open of it for writing", oracle_open_close(o, fd_path(path, ""), VRIFT_O_WRONLY, 0));
    oracle_as_user(o, 1000, 1000);
    ASK(517, "open of it for writing as another", oracle_open_close(o, fd_path(path, ""), VRIFT_O_WRONLY, 0));
    oracle_as_root(o);
    calls->close(o->self, nameless);
    calls->close(o->self, path);
    calls->close(o->self, fd);
    calls->close(o->self, dir);
    calls->close(o->self, numbers);
}

void oracle_descriptor_questions(struct oracle *o)
{
    magic_links(o);
    locks_of_odd_descriptors(o);
    status_flags(o);
    table(o);
    by_descriptor(o);
}
