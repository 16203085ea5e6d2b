/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/host/host.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 4000u /* bytes of path in one call of the host, which takes 4095 */

int32_t vr_hostfd_new(struct vr_hostfs *fs, int fd, struct vr_hostfd **out)
{
    struct vr_hostfd *hostfd = vr_alloc(fs->allocator, sizeof *hostfd);
    if (!hostfd) {
        close(fd);
        return -VRIFT_ENOMEM;
    }
    atomic_init(&hostfd->refs, 1);
    hostfd->fd = fd;
    *out = hostfd;
    return 0;
}

struct vr_hostfd *vr_hostfd_ref(struct vr_hostfd *hostfd)
{
    atomic_fetch_add_explicit(&hostfd->refs, 1, memory_order_relaxed);
    return hostfd;
}

void vr_hostfd_unref(struct vr_hostfs *fs, struct vr_hostfd *hostfd)
{
    if (!hostfd || atomic_fetch_sub_explicit(&hostfd->refs, 1, memory_order_acq_rel) != 1)
        return;
    close(hostfd->fd);
    vr_alloc_free(fs->allocator, hostfd);
}

/* -- The list of cached descriptors. All under `book`. ------------------------------------------------------------- */

static void unlist(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    if (!node->listed)
        return;
    *(node->newer ? &node->newer->older : &fs->newest) = node->older;
    *(node->older ? &node->older->newer : &fs->oldest) = node->newer;
    node->newer = node->older = NULL;
    node->listed = 0;
    fs->listed--;
}

static void list(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    unlist(fs, node);
    node->older = fs->newest;
    *(fs->newest ? &fs->newest->newer : &fs->oldest) = node;
    fs->newest = node;
    node->listed = 1;
    fs->listed++;
}

void vr_hostfd_unlist(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    unlist(fs, node);
    if (node->fresh_slot)
        fs->fresh[node->fresh_slot - 1] = NULL;
    node->fresh_slot = 0;
}

/* Takes the descriptor of the least recently used directory out of the cache; NULL if the cache has no more than max. */
static struct vr_hostfd *evict_one(struct vr_hostfs *fs, uint32_t max)
{
    if (fs->listed <= max)
        return NULL;
    struct vr_hostnode *node = fs->oldest;
    struct vr_hostfd *fd = node->fd;
    unlist(fs, node);
    node->fd = NULL;
    return fd;
}

static void evict(struct vr_hostfs *fs, uint32_t max)
{
    struct vr_hostfd *victim;
    do {
        vr_os_mutex_lock(&fs->book);
        victim = evict_one(fs, max);
        vr_os_mutex_unlock(&fs->book);
        vr_hostfd_unref(fs, victim);
    } while (victim);
}

/* -- Opening by place ---------------------------------------------------------------------------------------------- */

/* A place to start from and the path from there. */
struct route {
    struct vr_hostfd *base; /* with a reference */
    char *path;
    size_t capacity;
};

/* Bytes that the path to node from the nearest open ancestor takes, with its NUL. Under `book`. */
static size_t measure(const struct vr_hostnode *node, const struct vr_hostnode **base)
{
    size_t need = 1;
    while (node->parent) {
        need += strlen(node->name) + 1;
        node = node->parent;
        if (node->fd)
            break;
    }
    *base = node->fd ? node : NULL;
    return need;
}

static void write_path(const struct vr_hostnode *node, char *path, size_t need)
{
    char *at = path + need - 1;
    *at = '\0';
    while (node->parent) {
        size_t length = strlen(node->name);
        if (*at)
            *--at = '/';
        at -= length;
        memcpy(at, node->name, length);
        node = node->parent;
        if (node->fd)
            break;
    }
    memmove(path, at, strlen(at) + 1);
}

static int32_t find_route(struct vr_hostfs *fs, const struct vr_hostnode *node, struct route *route)
{
    for (;;) {
        const struct vr_hostnode *base;
        vr_os_mutex_lock(&fs->book);
        size_t need = measure(node, &base);
        int fits = base && need <= route->capacity;
        if (fits) {
            write_path(node, route->path, need);
            route->base = vr_hostfd_ref(base->fd);
        }
        vr_os_mutex_unlock(&fs->book);
        if (fits)
            return 0;
        if (!base)
            return -VRIFT_ESTALE;
        char *path = vr_alloc_resize(fs->allocator, route->path, need + 256);
        if (!path)
            return -VRIFT_ENOMEM;
        route->path = path;
        route->capacity = need + 256;
    }
}

/* The errors that mean that the place is not what it was. */
static int32_t stale_if_moved(int32_t error)
{
    switch (error) {
    case -VRIFT_ENOENT:
    case -VRIFT_ENOTDIR:
    case -VRIFT_ELOOP:
    case -VRIFT_EXDEV:
        return -VRIFT_ESTALE;
    default:
        return error;
    }
}

static int32_t open_in_chunks(struct vr_hostfs *fs, int base, char *path, int flags)
{
    int at = base;
    int32_t fd;
    for (;;) {
        size_t length = strlen(path);
        if (length <= CHUNK) {
            fd = vr_fileops_open_beneath(at, path, flags | O_CLOEXEC, 0, fs->beneath);
            break;
        }
        char *cut = path + CHUNK;
        while (*cut != '/')
            cut--;
        *cut = '\0';
        fd = vr_fileops_open_beneath(at, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0, fs->beneath);
        if (at != base)
            close(at);
        if (fd < 0)
            return stale_if_moved(fd);
        at = fd;
        path = cut + 1;
    }
    if (at != base)
        close(at);
    return fd < 0 ? stale_if_moved(fd) : fd;
}

/* Opens the node by its place and makes sure that it is the node. Called with `moving` held for reading. */
static int32_t open_by_place(struct vr_hostfs *fs, const struct vr_hostnode *node, int flags)
{
    struct route route = {NULL, NULL, 0};
    struct vrift_stat attr;
    int32_t fd = find_route(fs, node, &route);
    if (!fd) {
        fd = open_in_chunks(fs, route.base->fd, route.path, flags);
        vr_hostfd_unref(fs, route.base);
    }
    vr_alloc_free(fs->allocator, route.path);
    if (fd < 0)
        return fd;
    int32_t error = vr_fileops_stat(fd, "", &attr);
    if (!error && !vr_hostnode_is(node, &attr))
        error = -VRIFT_ESTALE;
    if (!error)
        return fd;
    close(fd);
    return error;
}

static int32_t open_with_room(struct vr_hostfs *fs, const struct vr_hostnode *node, int flags)
{
    vr_os_rwlock_read(&fs->moving);
    int32_t fd = open_by_place(fs, node, flags);
    if (fd == -VRIFT_EMFILE || fd == -VRIFT_ENFILE) {
        evict(fs, VR_HOST_FDS / 8);
        fd = open_by_place(fs, node, flags);
    }
    vr_os_rwlock_unlock(&fs->moving);
    return fd;
}

/* -- What others call ---------------------------------------------------------------------------------------------- */

static struct vr_hostfd *kept(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    vr_os_mutex_lock(&fs->book);
    struct vr_hostfd *fd = node->fd ? vr_hostfd_ref(node->fd) : NULL;
    if (node->listed && fs->newest != node)
        list(fs, node);
    vr_os_mutex_unlock(&fs->book);
    return fd;
}

/* Offers a descriptor to a node that may have got one meanwhile; answers the one to use, with a reference. */
static struct vr_hostfd *keep(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostfd *fd, int pin)
{
    struct vr_hostfd *unused = NULL;
    vr_os_mutex_lock(&fs->book);
    if (node->fd) {
        unused = fd;
        fd = node->fd;
    } else {
        node->fd = fd;
    }
    if (pin) {
        node->pinned = 1;
        unlist(fs, node);
    } else if (!node->pinned && !node->open_files && node != fs->root) {
        list(fs, node);
    }
    vr_hostfd_ref(fd);
    struct vr_hostfd *victim = evict_one(fs, VR_HOST_FDS);
    vr_os_mutex_unlock(&fs->book);
    vr_hostfd_unref(fs, unused);
    vr_hostfd_unref(fs, victim);
    return fd;
}

static int32_t open_node(struct vr_hostfs *fs, struct vr_hostnode *node, int pin, struct vr_hostfd **out)
{
    int is_dir = node->type == VRIFT_S_IFDIR;
    struct vr_hostfd *hostfd;
    int32_t fd = open_with_room(fs, node, O_PATH | O_NOFOLLOW | (is_dir ? O_DIRECTORY : 0));
    if (fd < 0)
        return fd;
    int32_t error = vr_hostfd_new(fs, fd, &hostfd);
    if (error)
        return error;
    *out = is_dir || pin ? keep(fs, node, hostfd, pin) : hostfd;
    return 0;
}

int32_t vr_hostfd_hold(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostfd **out)
{
    struct vr_hostfd *fd = kept(fs, node);
    if (!fd)
        return open_node(fs, node, 0, out);
    *out = fd;
    return 0;
}

int32_t vr_hostfd_reopen(struct vr_hostfs *fs, struct vr_hostnode *node, int flags)
{
    flags |= O_CLOEXEC | O_NOCTTY;
    struct vr_hostfd *hostfd = kept(fs, node);
    int32_t fd;
    if (!hostfd)
        return open_with_room(fs, node, flags | O_NOFOLLOW | O_NONBLOCK);
    if (node->type == VRIFT_S_IFDIR) {
        fd = openat(hostfd->fd, ".", flags | O_DIRECTORY);
    } else {
        char path[32];
        snprintf(path, sizeof path, "/proc/self/fd/%d", hostfd->fd);
        fd = open(path, flags);
    }
    int32_t error = fd < 0 ? vrift_err_from_host_errno(errno) : 0;
    vr_hostfd_unref(fs, hostfd);
    if (error == -VRIFT_ENOENT && node->type != VRIFT_S_IFDIR) /* there is no /proc */
        return open_with_room(fs, node, flags | O_NOFOLLOW | O_NONBLOCK);
    return error ? error : fd;
}

int32_t vr_hostfd_pin(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    struct vr_hostfd *fd = NULL;
    vr_os_mutex_lock(&fs->book);
    int done = node->fd != NULL;
    if (done) {
        node->pinned = 1;
        unlist(fs, node);
    }
    vr_os_mutex_unlock(&fs->book);
    if (done)
        return 0;
    int32_t error = open_node(fs, node, 1, &fd);
    if (!error)
        vr_hostfd_unref(fs, fd);
    return error;
}

void vr_hostfd_relax(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    struct vr_hostfd *victim = NULL;
    vr_os_mutex_lock(&fs->book);
    if (node->pinned && !node->parent && !node->open_files) {
        node->pinned = 0;
        list(fs, node);
        victim = evict_one(fs, VR_HOST_FDS);
    }
    vr_os_mutex_unlock(&fs->book);
    vr_hostfd_unref(fs, victim);
}

void vr_hostfd_lend(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostfd *hostfd)
{
    vr_os_mutex_lock(&fs->book);
    node->open_files++;
    unlist(fs, node);
    if (!node->fd)
        node->fd = vr_hostfd_ref(hostfd);
    vr_os_mutex_unlock(&fs->book);
}

/* A descriptor open for writing would keep the file from being executed, so it goes unless it is the last way there. */
void vr_hostfd_reclaim(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostfd *hostfd)
{
    struct vr_hostfd *lent = NULL;
    vr_os_mutex_lock(&fs->book);
    assert(node->open_files > 0);
    node->open_files--;
    if (!node->pinned && !node->open_files && node->fd && node->fd != hostfd && !node->parent) {
        list(fs, node); /* what vr_hostfd_relax() left */
    } else if ((node->fd == hostfd || !node->open_files) && !node->pinned) {
        lent = node->fd;
        node->fd = NULL;
    }
    vr_os_mutex_unlock(&fs->book);
    vr_hostfd_unref(fs, lent);
}

/* Under `book`. */
static struct vr_hostfd *take_fresh(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    struct vr_hostfd *fd = node->fresh;
    node->fresh = NULL;
    if (node->fresh_slot)
        fs->fresh[node->fresh_slot - 1] = NULL;
    node->fresh_slot = 0;
    return fd;
}

void vr_hostfd_leave(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostfd *hostfd)
{
    struct vr_hostfd *oldest = NULL;
    vr_os_mutex_lock(&fs->book);
    struct vr_hostfd *own = take_fresh(fs, node);
    uint32_t slot = fs->next_fresh++ % VR_HOST_FRESH;
    if (fs->fresh[slot])
        oldest = take_fresh(fs, fs->fresh[slot]);
    fs->fresh[slot] = node;
    node->fresh_slot = slot + 1;
    node->fresh = hostfd;
    vr_os_mutex_unlock(&fs->book);
    vr_hostfd_unref(fs, own);
    vr_hostfd_unref(fs, oldest);
}

struct vr_hostfd *vr_hostfd_take(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    vr_os_mutex_lock(&fs->book);
    struct vr_hostfd *fd = take_fresh(fs, node);
    vr_os_mutex_unlock(&fs->book);
    return fd;
}
