/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What is written down about a file, and about the whole tree. */
#include "differential/parts/diff_look.h"

#define MOST_BYTES (256 * 1024) /* of a file that are read by the dump */
#define MOST_DEPTH 7
#define MOST_NAMES 300 /* that a dump looks at */

static void look_at_times(struct diff_log *log, const struct diff_facts *facts)
{
    const struct vrift_timespec *time = &facts->atime;
    diff_log(log, "atime", DIFF_TIME, (uint64_t)time->sec, time->nsec);
    time = &facts->mtime;
    diff_log(log, "mtime", DIFF_MOVED, (uint64_t)time->sec, time->nsec);
    time = &facts->ctime;
    diff_log(log, "ctime", DIFF_MOVED, (uint64_t)time->sec, time->nsec);
    time = &facts->btime;
    diff_log(log, "btime", DIFF_TIME, (uint64_t)time->sec, time->nsec);
}

void diff_look_at_stat(struct diff_run *run, int64_t result, const struct diff_facts *facts)
{
    struct diff_log *log = run->log;
    diff_log(log, "stat", DIFF_NUMBER, (uint64_t)result, 0);
    if (result < 0)
        return;
    diff_log(log, "inode", DIFF_INODE, facts->dev, facts->ino);
    diff_log(log, "mode", DIFF_NUMBER, facts->mode, 0);
    diff_log(log, "nlink", DIFF_NUMBER, facts->nlink, 0);
    diff_log(log, "uid", DIFF_NUMBER, facts->uid, 0);
    diff_log(log, "gid", DIFF_NUMBER, facts->gid, 0);
    diff_log(log, "size", DIFF_NUMBER, facts->size, 0);
    diff_log(log, "blocks", DIFF_NUMBER, facts->blocks, 0);
    diff_log(log, "rdev", DIFF_NUMBER, facts->rdev, 0);
    diff_log(log, "mount", DIFF_MOUNT, facts->mount_id, 0);
    look_at_times(log, facts);
}

void diff_look_at_path(struct diff_run *run, int fd, const char *path)
{
    struct diff_facts facts;
    diff_look_at_stat(run, run->calls->statat(run->self, fd, path, VRIFT_AT_SYMLINK_NOFOLLOW, &facts), &facts);
}

void diff_look_at_parent(struct diff_run *run, int fd, const char *path)
{
    char parent[DIFF_TEXT * 8];
    const char *slash = strrchr(path, '/');
    if (slash && !slash[1])
        return; /* what is before trailing slashes is not worth the trouble */
    if (!slash)
        snprintf(parent, sizeof parent, ".");
    else
        snprintf(parent, sizeof parent, "%.*s", (int)(slash - path) + 1, path);
    diff_look_at_path(run, fd, parent);
}

void diff_look_at_fd(struct diff_run *run, int fd)
{
    struct diff_facts facts;
    int64_t result = run->calls->fstat(run->self, fd, &facts);
    diff_look_at_stat(run, result, &facts);
    if (result < 0)
        return;
    int64_t position = run->calls->lseek(run->self, fd, 0, VRIFT_SEEK_CUR);
    if ((facts.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR && position > 0)
        position = 0; /* where a directory's positions are is each file system's own business */
    diff_log(run->log, "position", DIFF_NUMBER, (uint64_t)position, 0);
}

/* -- Listings ------------------------------------------------------------------------------------------------------ */

static int by_name(const void *left, const void *right)
{
    return strcmp(((const struct diff_entry *)left)->name, ((const struct diff_entry *)right)->name);
}

void diff_look_at_listing(struct diff_run *run, uint64_t dev, struct diff_listing *listing)
{
    qsort(listing->entries, listing->count, sizeof listing->entries[0], by_name);
    diff_log(run->log, "entries", DIFF_NUMBER, listing->count, 0);
    for (uint32_t i = 0; i < listing->count; i++) {
        const struct diff_entry *entry = &listing->entries[i];
        diff_log_bytes(run->log, "entry", entry->name, strlen(entry->name));
        diff_log(run->log, "type of entry", DIFF_NUMBER, entry->type, 0);
        diff_log(run->log, "inode of entry", DIFF_INODE, dev, entry->ino);
    }
}

static int by_text(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

void diff_look_at_xattrs(struct diff_run *run, const char *list, int64_t length, const char *path)
{
    const char *names[64];
    char value[256];
    size_t count = 0;
    for (int64_t at = 0; at < length && count < 64; at += (int64_t)strlen(list + at) + 1)
        names[count++] = list + at;
    qsort(names, count, sizeof names[0], by_text);
    for (size_t i = 0; i < count; i++) {
        diff_log_bytes(run->log, "xattr", names[i], strlen(names[i]));
        if (!path)
            continue;
        int64_t got =
            run->calls->getxattr(run->self, DIFF_HERE, path, names[i], value, sizeof value, VRIFT_AT_SYMLINK_NOFOLLOW);
        diff_log(run->log, "length", DIFF_NUMBER, (uint64_t)got, 0);
        diff_log_bytes(run->log, "value", value, got > 0 ? (size_t)got : 0);
    }
}

/* -- The whole tree ------------------------------------------------------------------------------------------------ */

struct dump {
    struct diff_run *run;
    uint32_t names;
    char path[1024];
};

static void dump_file(struct dump *dump)
{
    static char bytes[MOST_BYTES];
    struct diff_run *run = dump->run;
    int64_t fd = run->calls->openat(run->self, DIFF_HERE, dump->path, VRIFT_O_RDONLY | VRIFT_O_NOATIME, 0);
    if (fd < 0) {
        diff_log(run->log, "open", DIFF_NUMBER, (uint64_t)fd, 0);
        return;
    }
    int64_t got = run->calls->pread(run->self, (int)fd, bytes, sizeof bytes, 0);
    uint64_t hash = 14695981039346656037ULL;
    for (int64_t i = 0; i < got; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211ULL;
    diff_log(run->log, "length", DIFF_NUMBER, (uint64_t)got, 0);
    diff_log(run->log, "hash of content", DIFF_NUMBER, hash, 0);
    diff_log_bytes(run->log, "content", bytes, got < 0 ? 0 : got > 64 ? 64 : (size_t)got);
    run->calls->close(run->self, (int)fd);
}

static void dump_xattrs(struct dump *dump)
{
    struct diff_run *run = dump->run;
    char list[4096];
    int64_t got = run->calls->listxattr(run->self, DIFF_HERE, dump->path, list, sizeof list, VRIFT_AT_SYMLINK_NOFOLLOW);
    diff_log(run->log, "xattrs", DIFF_NUMBER, (uint64_t)got, 0);
    diff_look_at_xattrs(run, list, got, dump->path);
}

static void dump_any(struct dump *dump, int depth);

static void dump_directory(struct dump *dump, uint64_t dev, int depth)
{
    struct diff_run *run = dump->run;
    struct diff_listing *listing = calloc(1, sizeof *listing);
    int64_t fd =
        run->calls->openat(run->self, DIFF_HERE, dump->path, VRIFT_O_RDONLY | VRIFT_O_DIRECTORY | VRIFT_O_NOATIME, 0);
    if (fd < 0)
        diff_log(run->log, "open", DIFF_NUMBER, (uint64_t)fd, 0);
    if (fd < 0 || !listing)
        return;
    while (run->calls->getdents(run->self, (int)fd, 32768, listing) > 0)
        ;
    run->calls->close(run->self, (int)fd);
    diff_look_at_listing(run, dev, listing);
    size_t end = strlen(dump->path);
    for (uint32_t i = 0; i < listing->count && depth < MOST_DEPTH; i++) {
        const char *name = listing->entries[i].name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || end + strlen(name) + 2 > sizeof dump->path)
            continue;
        snprintf(dump->path + end, sizeof dump->path - end, "%s%s", end > 1 ? "/" : "", name);
        dump_any(dump, depth + 1);
        dump->path[end] = '\0';
    }
    free(listing);
}

static void dump_any(struct dump *dump, int depth)
{
    struct diff_run *run = dump->run;
    struct diff_facts facts;
    char text[4096];
    if (dump->names++ > MOST_NAMES)
        return;
    diff_log_bytes(run->log, "path", dump->path, strlen(dump->path));
    int64_t result = run->calls->statat(run->self, DIFF_HERE, dump->path, VRIFT_AT_SYMLINK_NOFOLLOW, &facts);
    diff_look_at_stat(run, result, &facts);
    if (result < 0)
        return;
    dump_xattrs(dump);
    switch (facts.mode & VRIFT_S_IFMT) {
    case VRIFT_S_IFDIR:
        dump_directory(dump, facts.dev, depth);
        break;
    case VRIFT_S_IFREG:
        dump_file(dump);
        break;
    case VRIFT_S_IFLNK:
        result = run->calls->readlinkat(run->self, DIFF_HERE, dump->path, text, sizeof text);
        diff_log_bytes(run->log, "target", text, result < 0 ? 0 : (size_t)result);
        break;
    default:
        break;
    }
}

void diff_dump_tree(struct diff_run *run)
{
    struct dump dump = {.run = run, .path = "/"};
    dump_any(&dump, 0);
}
