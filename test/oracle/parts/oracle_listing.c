/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Questions 184 to 199: listings, mappings and extended attributes. */
#include "oracle/oracle.h"

#define ASK(number, question, result) oracle_note(o, (number), (question), "%s", oracle_word(result))

#define FILES 200

struct reading {
    struct oracle_entry first[FILES + 10];
    struct oracle_entry more[FILES + 10];
    char seen[FILES + 10][16];
    int seen_count;
};

static void see(struct reading *reading, const struct oracle_entry *entries, int64_t count)
{
    for (int64_t i = 0; i < count && reading->seen_count < FILES + 10; i++)
        snprintf(reading->seen[reading->seen_count++], 16, "%.15s", entries[i].name);
}

static int was_seen(const struct reading *reading, const char *name)
{
    int times = 0;
    for (int i = 0; i < reading->seen_count; i++)
        times += !strcmp(reading->seen[i], name);
    return times;
}

static int has_duplicates(const struct reading *reading)
{
    for (int i = 0; i < reading->seen_count; i++)
        if (was_seen(reading, reading->seen[i]) > 1)
            return 1;
    return 0;
}

void oracle_listing_questions(struct oracle *o)
{
    struct reading *reading = calloc(1, sizeof *reading);
    char victim[16] = "";
    assert_non_null(reading);
    oracle_fresh(o);
    for (int i = 0; i < FILES; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%03d", i);
        oracle_touch(o, name, "");
    }
    int fd = (int)o->calls->openat(o->self, AT, ".", VRIFT_O_RDONLY, 0);
    int64_t first = o->calls->getdents(o->self, fd, 1024, reading->first, FILES);
    see(reading, reading->first, first);
    for (int i = 0; i < FILES && !*victim; i++) {
        snprintf(victim, sizeof victim, "f%03d", i);
        if (was_seen(reading, victim))
            victim[0] = '\0';
    }
    oracle_unlink(o, victim);
    oracle_touch(o, "new1", "");
    int64_t got;
    while ((got = o->calls->getdents(o->self, fd, 1024, reading->more, FILES)) > 0)
        see(reading, reading->more, got);
    oracle_note(o, 184, "readdir in progress: unlinked-not-yet-seen returned? / dup names?", "(%s, %s)",
                oracle_truth(was_seen(reading, victim)), oracle_truth(has_duplicates(reading)));
    o->calls->lseek(o->self, fd, (int64_t)reading->first[5].cookie, VRIFT_SEEK_SET);
    got = o->calls->getdents(o->self, fd, 256, reading->more, FILES);
    oracle_note(o, 185, "seekdir to d_off cookie resumes after that entry", "%s",
                oracle_truth(got > 0 && first > 6 && !strcmp(reading->more[0].name, reading->first[6].name)));
    ASK(186, "getdents with 8-byte buffer", o->calls->getdents(o->self, fd, 8, reading->more, FILES));
    o->calls->lseek(o->self, fd, 0, VRIFT_SEEK_SET);
    reading->seen_count = 0;
    got = o->calls->getdents(o->self, fd, 1 << 16, reading->more, FILES + 10);
    see(reading, reading->more, got);
    oracle_note(o, 187, "lseek(dir,0) rereads (sees new1)", "%s", oracle_truth(was_seen(reading, "new1")));
    o->calls->close(o->self, fd);
    free(reading);
}

void oracle_mapping_questions(struct oracle *o)
{
    char text[3] = "";
    oracle_fresh(o);
    oracle_touch(o, "f", "");
    o->calls->truncate(o->self, "f", 4096);
    int fd = (int)o->calls->openat(o->self, AT, "f", VRIFT_O_RDWR, 0);
    int other = (int)o->calls->openat(o->self, AT, "f", VRIFT_O_RDWR, 0);
    char *map = o->calls->map(o->self, fd);
    assert_non_null(map);
    o->calls->pwrite(o->self, other, "Z", 1, 0);
    oracle_note(o, 188, "MAP_SHARED sees pwrite", "b'%c'", map[0]);
    map[1] = 'Y';
    o->calls->read(o->self, other, text, 2);
    oracle_note(o, 189, "read sees MAP_SHARED store w/o msync", "b'%s'", text);
    o->calls->unmap(o->self, map);
    o->calls->close(o->self, other);
    o->calls->close(o->self, fd);
}

static int64_t set(struct oracle *o, const char *path, const char *name, const char *value, uint64_t flags)
{
    return o->calls->setxattr(o->self, path, name, value, strlen(value), flags);
}

void oracle_xattr_questions(struct oracle *o)
{
    char name[300];
    char list[300];
    char *big = calloc(1, 65537);
    assert_non_null(big);
    oracle_fresh(o);
    oracle_touch(o, "f", "");
    o->calls->symlinkat(o->self, "f", "l");
    ASK(190, "user.* on symlink (l*setxattr)", set(o, "l", "user.a", "1", 0));
    int64_t first = set(o, "f", "user.a", "1", 0);
    int64_t second = set(o, "f", "user.a", "2", VRIFT_XATTR_CREATE);
    oracle_note(o, 191, "setxattr XATTR_CREATE existing", "('%s', '%s')", oracle_word(first), oracle_word(second));
    ASK(192, "XATTR_REPLACE missing", set(o, "f", "user.zz", "1", VRIFT_XATTR_REPLACE));
    ASK(193, "getxattr missing", o->calls->getxattr(o->self, "f", "user.q", list, sizeof list));
    ASK(194, "unknown namespace", set(o, "f", "foo.bar", "1", 0));
    ASK(195, "\"user.\" empty suffix", set(o, "f", "user.", "1", 0));
    memset(name, 'x', sizeof name);
    memcpy(name, "user.", 5);
    name[256] = '\0';
    ASK(196, "name len 256", set(o, "f", name, "1", 0));
    ASK(197, "value 65537", o->calls->setxattr(o->self, "f", "user.big", big, 65537, 0));
    set(o, "f", "trusted.t", "1", 0);
    oracle_as_user(o, 1000, 1000);
    int64_t length = o->calls->listxattr(o->self, "f", list, sizeof list - 1);
    list[length > 0 ? length : 0] = '\0';
    for (int64_t i = 0; i + 1 < length; i++)
        if (!list[i])
            list[i] = ' ';
    int64_t got = o->calls->getxattr(o->self, "f", "trusted.t", name, sizeof name);
    int64_t changed = set(o, "f", "trusted.t", "2", 0);
    oracle_as_root(o);
    oracle_note(o, 198, "trusted.* invisible/EPERM unprivileged", "([%s], '%s', '%s')", list, oracle_word(got),
                oracle_word(changed));
    o->calls->mknodat(o->self, AT, "ff", VRIFT_S_IFIFO | 0666);
    ASK(199, "user.* on fifo", set(o, "ff", "user.a", "1", 0));
    free(big);
}
