/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/temp.h"

#include "platform/durable.h"
#include "platform/fileops.h"
#include "platform/os.h"
#include "store/bytes.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRIES 16

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

/*
 * Between mkdir and lock another process may take the directory for garbage. Then the lock fails, or is one on a
 * directory that is already removed; either way a new name is tried.
 */
static int32_t try_begin(int parent, struct vr_temp *temp)
{
    uint8_t random[8];
    int32_t error = vr_os_random(random, sizeof random);
    if (error)
        return error;
    snprintf(temp->name, sizeof temp->name, "%ld-%016llx", (long)getpid(), (unsigned long long)vr_bytes_get64(random));
    if (mkdirat(parent, temp->name, 0700) != 0)
        return errno == EEXIST ? -VRIFT_EAGAIN : host_error();
    temp->fd = openat(parent, temp->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (temp->fd < 0)
        return errno == ENOENT ? -VRIFT_EAGAIN : host_error();
    struct vrift_stat stat;
    error = vr_durable_lock(temp->fd);
    if (!error)
        error = vr_fileops_stat(temp->fd, "", &stat);
    if (!error && stat.nlink == 0)
        error = -VRIFT_EAGAIN;
    if (error)
        close(temp->fd);
    return error;
}

int32_t vr_temp_begin(int parent, struct vr_temp *temp)
{
    int32_t error = -VRIFT_EAGAIN;
    temp->parent = parent;
    for (int i = 0; error == -VRIFT_EAGAIN && i < TRIES; i++)
        error = try_begin(parent, temp);
    return error;
}

void vr_temp_end(struct vr_temp *temp)
{
    vr_fileops_remove_tree(temp->parent, temp->name);
    close(temp->fd);
    temp->fd = -1;
}

struct scan {
    int parent;
    int remove;
    uint64_t count;
};

static int32_t count_one(const struct vr_fileops_dirent *entry, void *payload)
{
    (void)entry;
    ++*(uint64_t *)payload;
    return 0;
}

static int32_t visit(const struct vr_fileops_dirent *entry, void *payload)
{
    struct scan *scan = payload;
    int fd = openat(scan->parent, entry->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        scan->count++;
        if (scan->remove && errno == ENOTDIR)
            unlinkat(scan->parent, entry->name, 0);
        return 0;
    }
    if (vr_durable_lock(fd) == 0) {
        vr_fileops_readdir(fd, 0, count_one, &scan->count);
        if (scan->remove)
            vr_fileops_remove_tree(scan->parent, entry->name);
    }
    close(fd);
    return 0;
}

void vr_temp_reap(int parent)
{
    struct scan scan = {parent, 1, 0};
    vr_fileops_readdir(parent, 0, visit, &scan);
}

int32_t vr_temp_count(int parent, uint64_t *out)
{
    struct scan scan = {parent, 0, 0};
    int32_t error = vr_fileops_readdir(parent, 0, visit, &scan);
    if (!error)
        *out = scan.count;
    return error;
}
