/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* From 520 on: what stamps access times, by the flags of the mount and by how they stand to the last change. */
#include "oracle/oracle.h"

#include <time.h>

#define LONG_AGO 1000
#define CHANGED  500

/* One thing done; its time is looked at afterwards. */
struct reading {
    const char *name, *path;
    void (*run)(struct oracle *o, const char *path);
};

static int open_at(struct oracle *o, const char *path, uint64_t flags)
{
    return (int)o->calls->openat(o->self, AT, path, flags, 0644);
}

static void read_with(struct oracle *o, const char *path, uint64_t flags, int64_t offset, size_t length)
{
    char buf[8];
    int fd = open_at(o, path, flags);
    o->calls->lseek(o->self, fd, offset, VRIFT_SEEK_SET);
    o->calls->read(o->self, fd, buf, length);
    o->calls->close(o->self, fd);
}

static void read_some(struct oracle *o, const char *path)
{
    read_with(o, path, VRIFT_O_RDONLY, 0, 3);
}

static void read_nothing(struct oracle *o, const char *path)
{
    read_with(o, path, VRIFT_O_RDWR, 0, 0);
}

static void read_at_the_end(struct oracle *o, const char *path)
{
    read_with(o, path, VRIFT_O_RDONLY, 100, 3);
}

static void read_noatime(struct oracle *o, const char *path)
{
    read_with(o, path, VRIFT_O_RDONLY | VRIFT_O_NOATIME, 0, 3);
}

static void only_open(struct oracle *o, const char *path)
{
    oracle_open_close(o, path, VRIFT_O_RDONLY, 0);
}

static void look_at(struct oracle *o, const char *path)
{
    char deeper[20];
    snprintf(deeper, sizeof deeper, "%s/x", path);
    oracle_stat(o, path);
    oracle_stat(o, deeper);
}

static void read_link(struct oracle *o, const char *path)
{
    char buf[8];
    o->calls->readlinkat(o->self, path, buf, sizeof buf);
}

static void list_with(struct oracle *o, const char *path, size_t size)
{
    struct oracle_entry entries[8];
    int fd = open_at(o, path, VRIFT_O_RDONLY);
    o->calls->getdents(o->self, fd, size, entries, 8);
    o->calls->close(o->self, fd);
}

static void list(struct oracle *o, const char *path)
{
    list_with(o, path, 1024);
}

static void list_too_little(struct oracle *o, const char *path)
{
    list_with(o, path, 8);
}

static void write_some(struct oracle *o, const char *path)
{
    int fd = open_at(o, path, VRIFT_O_WRONLY);
    o->calls->write(o->self, fd, "z", 1);
    o->calls->close(o->self, fd);
}

static void transfer(struct oracle *o, const char *path, int how)
{
    int in = open_at(o, path, VRIFT_O_RDONLY), out = open_at(o, "g", VRIFT_O_WRONLY);
    o->calls->transfer(o->self, in, out, how);
    o->calls->close(o->self, in);
    o->calls->close(o->self, out);
}

static void send(struct oracle *o, const char *path)
{
    transfer(o, path, 0);
}

static void copy(struct oracle *o, const char *path)
{
    transfer(o, path, 1);
}

static void map(struct oracle *o, const char *path)
{
    transfer(o, path, 2);
}

static const struct reading readings[] = {{"read", "f", read_some},
                                          {"read of nothing", "f", read_nothing},
                                          {"read at the end", "f", read_at_the_end},
                                          {"read with O_NOATIME", "f", read_noatime},
                                          {"open", "f", only_open},
                                          {"stat", "f", look_at},
                                          {"write", "f", write_some},
                                          {"sendfile", "f", send},
                                          {"copy_file_range", "f", copy},
                                          {"mmap", "f", map},
                                          {"getdents", "d", list},
                                          {"getdents into too little", "d", list_too_little},
                                          {"lookup in it", "d", look_at},
                                          {"readlink", "l", read_link},
                                          {"open through it", "l", only_open},
                                          {"lookup through it", "ld", look_at}};

#define READINGS (sizeof readings / sizeof readings[0])

/* A letter a reading: does it stamp? */
static void note_stamps(struct oracle *o, int number, const char *name, uint64_t flags, int64_t atime)
{
    char question[100], answer[READINGS + 1] = "";
    o->calls->remount(o->self, "/base", flags & ~VRIFT_MOUNT_RDONLY);
    for (size_t i = 0; i < READINGS; i++) {
        struct vrift_stat before = {.size = 0}, after = {.size = 0};
        const char *path = readings[i].path;
        o->calls->utimes(o->self, path, atime, CHANGED);
        if (flags & VRIFT_MOUNT_RDONLY)
            o->calls->remount(o->self, "/base", flags);
        o->calls->statat(o->self, AT, path, VRIFT_AT_SYMLINK_NOFOLLOW, &before);
        readings[i].run(o, path);
        o->calls->statat(o->self, AT, path, VRIFT_AT_SYMLINK_NOFOLLOW, &after);
        answer[i] = before.atime.sec == after.atime.sec ? '-' : 'S';
        if (flags & VRIFT_MOUNT_RDONLY)
            o->calls->remount(o->self, "/base", flags & ~VRIFT_MOUNT_RDONLY);
    }
    snprintf(question, sizeof question, "what stamps an access time that is %s: %s",
             atime == LONG_AGO ? "old" : "later", name);
    oracle_note(o, number, question, "%s", answer);
}

void oracle_time_questions(struct oracle *o)
{
    static const struct {
        const char *name;
        uint64_t flags;
    } mounts[] = {{"relatime", VRIFT_MOUNT_RELATIME},
                  {"strictatime", VRIFT_MOUNT_STRICTATIME},
                  {"noatime", VRIFT_MOUNT_NOATIME},
                  {"nodiratime", VRIFT_MOUNT_NODIRATIME | VRIFT_MOUNT_RELATIME},
                  {"strictatime, read-only", VRIFT_MOUNT_STRICTATIME | VRIFT_MOUNT_RDONLY}};
    const int64_t later = (int64_t)time(NULL) + 1000;
    oracle_fresh(o);
    oracle_touch(o, "f", "abcdef");
    oracle_touch(o, "g", "");
    oracle_mkdir(o, "d");
    oracle_touch(o, "d/x", "");
    o->calls->symlinkat(o->self, "f", "l");
    o->calls->symlinkat(o->self, "d", "ld");
    for (int i = 0; i < (int)(sizeof mounts / sizeof mounts[0]); i++) {
        note_stamps(o, 520 + 2 * i, mounts[i].name, mounts[i].flags, LONG_AGO);
        note_stamps(o, 521 + 2 * i, mounts[i].name, mounts[i].flags, later);
    }
    o->calls->utimes(o->self, "f", LONG_AGO, CHANGED);
    o->calls->remount(o->self, "/base", VRIFT_MOUNT_STRICTATIME);
    struct vrift_stat before = {.size = 0}, after = {.size = 0};
    o->calls->statat(o->self, AT, "f", 0, &before);
    read_some(o, "f");
    o->calls->statat(o->self, AT, "f", 0, &after);
    oracle_note(o, 530, "what else a stamp changes", "%s %s", before.mtime.sec == after.mtime.sec ? "-" : "mtime",
                before.ctime.sec == after.ctime.sec && before.ctime.nsec == after.ctime.nsec ? "-" : "ctime");
}
