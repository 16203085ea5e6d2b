/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/place.h"

#include "support/check.h"
#include "support/tree.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

void place_open_store(struct place *place)
{
    const struct vrift_store_options options = {
        .size = sizeof options, .durability = VRIFT_DURABILITY_NONE, .flags = VRIFT_STORE_CREATE};
    check_ok(vrift_store_open(place->store_path, &options, &place->store));
}

int place_set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    place->path = temporary_directory();
    snprintf(place->src, sizeof place->src, "%s/src", place->path);
    snprintf(place->dest, sizeof place->dest, "%s/dest", place->path);
    snprintf(place->store_path, sizeof place->store_path, "%s/store", place->path);
    place_open_store(place);
    *state = place;
    return mkdir(place->src, 0755);
}

int place_tear_down(void **state)
{
    struct place *place = *state;
    vrift_store_close(place->store);
    remove_temporary_directory(place->path);
    free(place);
    return 0;
}

unsigned place_without(const char *path)
{
    unsigned flags = setxattr(path, "user.probe", "", 0, 0) < 0 ? TREE_NO_XATTRS : 0;
    removexattr(path, "user.probe");
    return flags | TREE_NO_HUGE | (getuid() ? TREE_NO_DEVICES : 0);
}

void place_put(const char *dir, const char *name, const char *text, mode_t mode)
{
    char path[8500];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

void place_put_large(const char *dir, const char *name, char letter, mode_t mode)
{
    static char text[100001];
    memset(text, letter, sizeof text - 1);
    place_put(dir, name, text, mode);
}

vrift_snapshot *place_import(struct place *place, uint64_t flags)
{
    const struct vrift_import_options options = {.size = sizeof options, .flags = flags};
    struct vrift_import_result result;
    vrift_snapshot *snapshot;
    check_ok(vrift_import(place->store, place->src, &options, &result));
    check_ok(vrift_snapshot_open(place->store, &result.snapshot, &snapshot));
    return snapshot;
}

struct vrift_checkout_options place_options(uint32_t link)
{
    return (struct vrift_checkout_options){.size = sizeof(struct vrift_checkout_options), .link = link};
}

struct stat place_stat(const char *dir, const char *name)
{
    char path[8500];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(lstat(path, &st), 0);
    return st;
}
