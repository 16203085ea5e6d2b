/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/storage.h"

#include "support/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

char *storage_path(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = malloc(size);
    assert_non_null(path);
    snprintf(path, size, "%s/%s", directory, name);
    return path;
}

void storage_write(const char *directory, const char *name, const void *data, size_t length)
{
    char *path = storage_path(directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, length), (ssize_t)length);
    close(fd);
    free(path);
}

vrift_store *storage_make(const char *directory)
{
    const struct vrift_store_options options = {sizeof options, VRIFT_DURABILITY_NONE, VRIFT_STORE_CREATE};
    char *path = storage_path(directory, "store");
    vrift_store *store = NULL;
    check_ok(vrift_store_open(path, &options, &store));
    free(path);
    return store;
}

struct vrift_digest storage_import(vrift_store *store, const char *tree, uint32_t jobs, uint64_t flags)
{
    const struct vrift_import_options options = {.size = sizeof options, .jobs = jobs, .flags = flags};
    struct vrift_import_result result;
    int32_t error = vrift_import(store, tree, &options, &result);
    if (error) {
        struct vrift_error_detail detail;
        vrift_error_detail(&detail);
        print_error("import of %s: %s %s: %s\n", tree, detail.operation, detail.path, detail.reason);
    }
    check_ok(error);
    return result.snapshot;
}

vrift_snapshot *storage_open(vrift_store *store, const struct vrift_digest *id)
{
    vrift_snapshot *snapshot = NULL;
    check_ok(vrift_snapshot_open(store, id, &snapshot));
    return snapshot;
}

static int32_t VRIFT_CALLBACK print_problem(const struct vrift_problem *problem, void *payload)
{
    if (payload)
        print_error("%s: %s\n", problem->path, problem->reason);
    return 0;
}

static uint64_t verify(vrift_store *store, void *payload)
{
    const struct vrift_verify_options options = {.size = sizeof options, .problem = print_problem, .payload = payload};
    struct vrift_verify_result result;
    check_ok(vrift_store_verify(store, &options, &result));
    return result.problems;
}

uint64_t storage_problems(vrift_store *store)
{
    return verify(store, NULL);
}

void storage_assert_sound(vrift_store *store)
{
    assert_int_equal(verify(store, store), 0);
}

/* -- Comparing ---------------------------------------------------------------------------------------------------- */

struct host_name {
    char *name;
};

struct listing {
    struct host_name *names;
    size_t count;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct host_name *)a)->name, ((const struct host_name *)b)->name);
}

static struct listing list_host(int fd)
{
    struct listing listing = {NULL, 0};
    DIR *dir = fdopendir(dup(fd));
    struct dirent *entry;
    assert_non_null(dir);
    rewinddir(dir);
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        listing.names = realloc(listing.names, (listing.count + 1) * sizeof *listing.names);
        assert_non_null(listing.names);
        listing.names[listing.count++].name = strdup(entry->d_name);
    }
    closedir(dir);
    if (listing.count)
        qsort(listing.names, listing.count, sizeof *listing.names, compare_names);
    return listing;
}

static void compare_symlink(vrift_snapshot *snapshot, uint64_t entry, int dirfd, const char *name)
{
    char ours[5000], theirs[5000];
    ssize_t length = readlinkat(dirfd, name, theirs, sizeof theirs);
    assert_int_equal(check_ok(vrift_snapshot_readlink(snapshot, entry, ours, sizeof ours)), length);
    assert_memory_equal(ours, theirs, length);
}

static void compare_range(vrift_snapshot *snapshot, uint64_t entry, int fd, uint64_t from, uint64_t to)
{
    static char ours[1 << 16], theirs[1 << 16];
    while (from < to) {
        size_t want = to - from < sizeof ours ? (size_t)(to - from) : sizeof ours;
        assert_int_equal(check_ok(vrift_snapshot_pread(snapshot, entry, ours, want, from)), want);
        assert_int_equal(pread(fd, theirs, want, (off_t)from), want);
        assert_memory_equal(ours, theirs, want);
        from += want;
    }
}

/* Data is compared byte by byte; a hole of the host's must read as zeroes at its ends. */
static void compare_content(vrift_snapshot *snapshot, uint64_t entry, int dirfd, const char *name, uint64_t size)
{
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    assert_true(fd >= 0);
    for (uint64_t at = 0; at < size;) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA), end;
        if (data < 0)
            data = (off_t)size;
        end = (uint64_t)data < size ? lseek(fd, data, SEEK_HOLE) : data;
        if ((uint64_t)data > at) {
            compare_range(snapshot, entry, fd, at, at + 1);
            compare_range(snapshot, entry, fd, (uint64_t)data - 1, (uint64_t)data);
        }
        compare_range(snapshot, entry, fd, (uint64_t)data, (uint64_t)end);
        at = (uint64_t)end;
    }
    char beyond;
    assert_int_equal(vrift_snapshot_pread(snapshot, entry, &beyond, 1, size), 0);
    close(fd);
}

static void compare_xattrs(vrift_snapshot *snapshot, uint64_t entry, int dirfd, const char *name)
{
    char path[64], list[65536], ours[65536], theirs[65536];
    int fd = openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    assert_true(fd >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t length = listxattr(path, list, sizeof list);
    int64_t kept = 0;
    for (ssize_t at = 0; at < length; at += (ssize_t)strlen(list + at) + 1) {
        if (strncmp(list + at, "user.", 5) != 0)
            continue;
        ssize_t size = getxattr(path, list + at, theirs, sizeof theirs);
        assert_int_equal(check_ok(vrift_snapshot_getxattr(snapshot, entry, list + at, ours, sizeof ours)), size);
        assert_memory_equal(ours, theirs, size);
        kept += (int64_t)strlen(list + at) + 1;
    }
    assert_int_equal(check_ok(vrift_snapshot_listxattr(snapshot, entry, NULL, 0)), kept);
    close(fd);
}

static void compare_attributes(const struct vrift_stat *ours, const struct stat *theirs, int timeless)
{
    assert_int_equal(ours->mode, theirs->st_mode);
    assert_int_equal(ours->uid, theirs->st_uid);
    assert_int_equal(ours->gid, theirs->st_gid);
    assert_int_equal(ours->mtime.sec, timeless ? 1 : theirs->st_mtim.tv_sec);
    assert_int_equal(ours->mtime.nsec, timeless ? 0 : theirs->st_mtim.tv_nsec);
    if (!S_ISDIR(theirs->st_mode)) {
        assert_int_equal(ours->size, theirs->st_size);
        assert_int_equal(ours->nlink, theirs->st_nlink);
    }
    if (S_ISCHR(theirs->st_mode) || S_ISBLK(theirs->st_mode))
        assert_int_equal(ours->rdev, VRIFT_MKDEV(major(theirs->st_rdev), minor(theirs->st_rdev)));
}

struct comparison {
    vrift_snapshot *snapshot;
    int timeless;
    /* The first name met of each inode with several, on both sides. */
    struct {
        ino_t theirs;
        uint64_t ours;
    } inodes[256];
    size_t inode_count;
};

static void compare_inode(struct comparison *comparison, uint64_t entry, const struct stat *theirs)
{
    uint64_t inode;
    check_ok(vrift_snapshot_inode(comparison->snapshot, entry, &inode));
    if (theirs->st_nlink < 2 || S_ISDIR(theirs->st_mode)) {
        assert_int_equal(inode, entry);
        return;
    }
    for (size_t i = 0; i < comparison->inode_count; i++) {
        assert_int_equal(comparison->inodes[i].theirs == theirs->st_ino, comparison->inodes[i].ours == inode);
        if (comparison->inodes[i].ours == inode)
            return;
    }
    assert_true(comparison->inode_count < 256);
    comparison->inodes[comparison->inode_count].theirs = theirs->st_ino;
    comparison->inodes[comparison->inode_count++].ours = inode;
}

static void compare_directory(struct comparison *comparison, uint64_t entry, int fd);

static void compare_entry(struct comparison *comparison, uint64_t entry, int dirfd, const char *name)
{
    struct stat theirs;
    struct vrift_stat ours;
    assert_int_equal(fstatat(dirfd, name, &theirs, AT_SYMLINK_NOFOLLOW), 0);
    check_ok(vrift_snapshot_stat(comparison->snapshot, entry, &ours));
    compare_attributes(&ours, &theirs, comparison->timeless);
    compare_inode(comparison, entry, &theirs);
    compare_xattrs(comparison->snapshot, entry, dirfd, name);
    if (S_ISREG(theirs.st_mode))
        compare_content(comparison->snapshot, entry, dirfd, name, (uint64_t)theirs.st_size);
    if (S_ISLNK(theirs.st_mode))
        compare_symlink(comparison->snapshot, entry, dirfd, name);
    if (S_ISDIR(theirs.st_mode)) {
        int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        assert_true(fd >= 0);
        compare_directory(comparison, entry, fd);
        close(fd);
    }
}

struct expected {
    struct listing listing;
    size_t at;
    uint64_t first;
};

static int32_t VRIFT_CALLBACK expect_name(const struct vrift_snapshot_entry *entry, void *payload)
{
    struct expected *expected = payload;
    assert_true(expected->at < expected->listing.count);
    assert_string_equal(entry->name, expected->listing.names[expected->at].name);
    assert_int_equal(entry->name_length, strlen(entry->name));
    if (expected->at == 0)
        expected->first = entry->entry;
    assert_int_equal(entry->entry, expected->first + expected->at);
    expected->at++;
    return 0;
}

static void compare_directory(struct comparison *comparison, uint64_t entry, int fd)
{
    struct expected expected = {list_host(fd), 0, 0};
    check_ok(vrift_snapshot_readdir(comparison->snapshot, entry, 0, expect_name, &expected));
    assert_int_equal(expected.at, expected.listing.count);
    for (size_t i = 0; i < expected.listing.count; i++) {
        char *name = expected.listing.names[i].name;
        uint64_t found, parent;
        check_ok(vrift_snapshot_lookup(comparison->snapshot, entry, name, strlen(name), &found));
        assert_int_equal(found, expected.first + i);
        check_ok(vrift_snapshot_parent(comparison->snapshot, found, &parent));
        assert_int_equal(parent, entry);
        compare_entry(comparison, found, fd, name);
        free(name);
    }
    free(expected.listing.names);
}

void storage_assert_matches(vrift_snapshot *snapshot, const char *tree)
{
    struct comparison comparison = {.snapshot = snapshot};
    struct vrift_snapshot_info info;
    check_ok(vrift_snapshot_info(snapshot, &info));
    comparison.timeless = (info.flags & VRIFT_SNAPSHOT_TIMELESS) != 0;
    int fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    compare_entry(&comparison, 0, fd, ".");
    close(fd);
}
