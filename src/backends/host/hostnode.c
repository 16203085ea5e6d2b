/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/host/host.h"

#include <string.h>

struct vr_hostid vr_hostnode_id(const struct vrift_stat *attr)
{
    return (struct vr_hostid){.dev = attr->dev,
                              .ino = attr->ino,
                              .birth_sec = attr->btime.sec,
                              .birth_nsec = attr->btime.nsec,
                              .type = attr->mode & VRIFT_S_IFMT};
}

static int same(const struct vr_hostid *a, const struct vr_hostid *b)
{
    return a->ino == b->ino && a->dev == b->dev && a->birth_sec == b->birth_sec && a->birth_nsec == b->birth_nsec &&
           a->type == b->type;
}

int vr_hostnode_is(const struct vr_hostnode *node, const struct vrift_stat *attr)
{
    struct vr_hostid id = vr_hostnode_id(attr);
    return same(&node->id, &id);
}

static uint64_t mix(uint64_t value)
{
    value ^= value >> 33;
    value *= 0xff51afd7ed558ccdULL;
    value ^= value >> 33;
    value *= 0xc4ceb9fe1a85ec53ULL;
    return value ^ (value >> 33);
}

/* -- The table. All under `book`. ---------------------------------------------------------------------------------- */

static struct vr_hostnode **bucket_of(struct vr_hostfs *fs, const struct vr_hostid *id)
{
    return &fs->buckets[mix(id->ino ^ mix(id->dev)) & (fs->bucket_count - 1)];
}

static struct vr_hostnode *find(struct vr_hostfs *fs, const struct vr_hostid *id)
{
    struct vr_hostnode *node = *bucket_of(fs, id);
    while (node && !same(&node->id, id))
        node = node->chain;
    return node;
}

static void insert(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    struct vr_hostnode **bucket = bucket_of(fs, &node->id);
    node->chain = *bucket;
    *bucket = node;
    fs->node_count++;
}

static void take_out(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    struct vr_hostnode **link = bucket_of(fs, &node->id);
    while (*link != node)
        link = &(*link)->chain;
    *link = node->chain;
    fs->node_count--;
}

/* Puts larger buckets in place of ours and answers ours, or the larger ones if somebody was faster. */
static struct vr_hostnode **rehash(struct vr_hostfs *fs, struct vr_hostnode **larger, uint32_t count)
{
    if (fs->bucket_count >= count)
        return larger;
    struct vr_hostnode **old = fs->buckets;
    uint32_t old_count = fs->bucket_count;
    fs->buckets = larger;
    fs->bucket_count = count;
    for (uint32_t i = 0; i < old_count; i++) {
        struct vr_hostnode *next;
        for (struct vr_hostnode *node = old[i]; node; node = next) {
            next = node->chain;
            struct vr_hostnode **bucket = bucket_of(fs, &node->id);
            node->chain = *bucket;
            *bucket = node;
        }
    }
    return old;
}

/* Longer chains are no error, so neither is a want of memory here. */
static void grow(struct vr_hostfs *fs)
{
    vr_os_mutex_lock(&fs->book);
    uint32_t count = fs->node_count > fs->bucket_count && fs->bucket_count < 1u << 24 ? fs->bucket_count * 2 : 0;
    vr_os_mutex_unlock(&fs->book);
    if (!count)
        return;
    struct vr_hostnode **larger = vr_alloc_zero(fs->allocator, count, sizeof *larger);
    if (!larger)
        return;
    vr_os_mutex_lock(&fs->book);
    struct vr_hostnode **unused = rehash(fs, larger, count);
    vr_os_mutex_unlock(&fs->book);
    vr_alloc_free(fs->allocator, unused);
}

/* -- Life ---------------------------------------------------------------------------------------------------------- */

static void dispose(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    vr_hostfd_unref(fs, node->fd);
    vr_hostfd_unref(fs, node->fresh);
    vr_alloc_free(fs->allocator, node->name);
    vr_alloc_free(fs->allocator, node);
}

void vr_hostnode_unref(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    while (node) {
        struct vr_hostnode *parent = NULL;
        vr_os_mutex_lock(&fs->book);
        int last = --node->refs == 0;
        if (last) {
            parent = node->parent;
            take_out(fs, node);
            vr_hostfd_unlist(fs, node);
        }
        vr_os_mutex_unlock(&fs->book);
        if (last) {
            vr_hostwatch_forget(fs, node);
            dispose(fs, node);
        }
        node = parent;
    }
}

int vr_hostnode_ref_if_alive(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    vr_os_mutex_lock(&fs->book);
    int alive = node->refs > 0;
    node->refs += (uint64_t)alive;
    vr_os_mutex_unlock(&fs->book);
    return alive;
}

void VRIFT_CALLBACK vr_hostnode_forget(void *self, const struct vrift_node *node)
{
    vr_hostnode_unref(self, node->handle);
}

/* -- Places -------------------------------------------------------------------------------------------------------- */

/* Whether dir is node or lies below it, as far as we know; then node cannot lie in dir. Under `book`. */
static int is_below(const struct vr_hostnode *dir, const struct vr_hostnode *node)
{
    while (dir && dir != node)
        dir = dir->parent;
    return dir != NULL;
}

static int is_at(const struct vr_hostnode *node, const struct vr_hostnode *parent, const char *name)
{
    return node->parent == parent && node->name && strcmp(node->name, name) == 0;
}

/* What a change of place leaves to be freed outside `book`. */
struct leftover {
    struct vr_hostnode *parent;
    struct vr_hostfd *fd;
    char *name;
};

/* Under `book`. The node has a place again, so its descriptor need not stay. */
static void unpin(struct vr_hostnode *node, struct leftover *leftover)
{
    if (!node->pinned)
        return;
    node->pinned = 0;
    if (node->open_files)
        return;
    leftover->fd = node->fd;
    node->fd = NULL;
}

/* Under `book`. Takes over *name. A bind mount of a directory within itself cannot be shown: -VRIFT_ELOOP. */
static int32_t set_place(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostnode *parent, char **name,
                         struct leftover *leftover)
{
    if (node == fs->root)
        return -VRIFT_ELOOP;
    if (node->type == VRIFT_S_IFDIR && is_below(parent, node))
        return -VRIFT_ELOOP;
    leftover->parent = node->parent;
    leftover->name = node->name;
    parent->refs++;
    node->parent = parent;
    node->name = *name;
    *name = NULL;
    unpin(node, leftover);
    return 0;
}

static void clean_up(struct vr_hostfs *fs, struct leftover *leftover)
{
    vr_hostfd_unref(fs, leftover->fd);
    vr_alloc_free(fs->allocator, leftover->name);
    vr_hostnode_unref(fs, leftover->parent);
}

int32_t vr_hostnode_moved(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostnode *parent,
                          const struct vrift_name *name)
{
    struct leftover leftover = {NULL, NULL, NULL};
    vr_os_mutex_lock(&fs->book);
    int done = is_at(node, parent, name->bytes);
    vr_os_mutex_unlock(&fs->book);
    if (done)
        return 0;
    char *copy = vr_alloc_string(fs->allocator, name->bytes, name->length);
    if (!copy)
        return -VRIFT_ENOMEM;
    vr_os_mutex_lock(&fs->book);
    int32_t error = set_place(fs, node, parent, &copy, &leftover);
    vr_os_mutex_unlock(&fs->book);
    vr_alloc_free(fs->allocator, copy);
    clean_up(fs, &leftover);
    return error;
}

void vr_hostnode_lost(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostnode *parent,
                      const struct vrift_name *name)
{
    struct leftover leftover = {NULL, NULL, NULL};
    vr_os_mutex_lock(&fs->book);
    if (is_at(node, parent, name->bytes)) {
        leftover.parent = node->parent;
        leftover.name = node->name;
        node->parent = NULL;
        node->name = NULL;
    } else if (node->parent) {
        unpin(node, &leftover); /* another name leads there */
    }
    vr_os_mutex_unlock(&fs->book);
    clean_up(fs, &leftover);
}

void vr_hostnode_unpin(struct vr_hostfs *fs, struct vr_hostnode *node)
{
    struct leftover leftover = {NULL, NULL, NULL};
    vr_os_mutex_lock(&fs->book);
    if (node->parent)
        unpin(node, &leftover);
    vr_os_mutex_unlock(&fs->book);
    clean_up(fs, &leftover);
}

int32_t vr_hostnode_place(struct vr_hostfs *fs, struct vr_hostnode *node, struct vr_hostnode **parent,
                          char name[VRIFT_NAME_MAX + 1])
{
    int32_t error = -VRIFT_ESTALE;
    vr_os_mutex_lock(&fs->book);
    if (node->parent) {
        node->parent->refs++;
        *parent = node->parent;
        memcpy(name, node->name, strlen(node->name) + 1);
        error = 0;
    }
    vr_os_mutex_unlock(&fs->book);
    return error;
}

/* A node that is in no table yet. */
static struct vr_hostnode *make(struct vr_hostfs *fs, const struct vrift_stat *attr)
{
    struct vr_hostnode *node = vr_alloc_zero(fs->allocator, 1, sizeof *node);
    if (!node)
        return NULL;
    node->id = vr_hostnode_id(attr);
    node->type = node->id.type;
    return node;
}

int32_t vr_hostnode_intern(struct vr_hostfs *fs, struct vr_hostnode *parent, const struct vrift_name *name,
                           const struct vrift_stat *attr, struct vr_hostnode **out)
{
    struct vr_hostid id = vr_hostnode_id(attr);
    struct vr_hostnode *made = NULL;
    vr_os_mutex_lock(&fs->book);
    struct vr_hostnode *node = find(fs, &id);
    if (!node) {
        vr_os_mutex_unlock(&fs->book);
        made = make(fs, attr);
        if (!made)
            return -VRIFT_ENOMEM;
        vr_os_mutex_lock(&fs->book);
        node = find(fs, &id);
        if (!node) {
            node = made;
            made = NULL;
            insert(fs, node);
        }
    }
    node->refs++;
    vr_os_mutex_unlock(&fs->book);
    if (made)
        dispose(fs, made);
    else
        grow(fs);
    int32_t error = parent ? vr_hostnode_moved(fs, node, parent, name) : 0;
    if (error) {
        vr_hostnode_unref(fs, node);
        return error;
    }
    *out = node;
    return 0;
}

/* -- Attributes ---------------------------------------------------------------------------------------------------- */

static int32_t stat_by_place(struct vr_hostfs *fs, struct vr_hostnode *node, struct vrift_stat *out)
{
    char name[VRIFT_NAME_MAX + 1];
    struct vr_hostnode *parent;
    struct vr_hostfd *dir;
    int32_t error = vr_hostnode_place(fs, node, &parent, name);
    if (error)
        return error;
    error = vr_hostfd_hold(fs, parent, &dir);
    vr_hostnode_unref(fs, parent);
    if (error)
        return error;
    error = vr_fileops_stat(dir->fd, name, out);
    vr_hostfd_unref(fs, dir);
    if (error == -VRIFT_ENOENT || (!error && !vr_hostnode_is(node, out)))
        return -VRIFT_ESTALE;
    return error;
}

int32_t vr_hostnode_stat(struct vr_hostfs *fs, struct vr_hostnode *node, struct vrift_stat *out)
{
    vr_os_mutex_lock(&fs->book);
    struct vr_hostfd *fd = node->fd ? vr_hostfd_ref(node->fd) : NULL;
    vr_os_mutex_unlock(&fs->book);
    if (fd) {
        int32_t error = vr_fileops_stat(fd->fd, "", out);
        vr_hostfd_unref(fs, fd);
        return error;
    }
    int32_t error = stat_by_place(fs, node, out);
    if (error != -VRIFT_ESTALE)
        return error;
    /* Perhaps a rename of ours came between the place and the host: once more, with renames shut out. */
    error = vr_hostfd_hold(fs, node, &fd);
    if (error)
        return error;
    error = vr_fileops_stat(fd->fd, "", out);
    vr_hostfd_unref(fs, fd);
    return error;
}

void vr_hostnode_publish(struct vr_hostfs *fs, struct vrift_stat *attr)
{
    /* A file system of the host mounted below ours has numbers of its own, which must not collide with ours. */
    if (attr->dev != fs->root->id.dev)
        attr->ino ^= mix(attr->dev) | 1ULL << 63;
    attr->dev = 0;
    /*
     * What the kernel counts changes with it keeps to itself, but each change moves ctime: as far as the host's clock is
     * fine enough to tell two changes apart, which since Linux 6.13 it is where somebody looked in between. Bounded, so
     * that an overlay can go on from there.
     */
    uint64_t version = (uint64_t)attr->ctime.sec * 1000000000u + attr->ctime.nsec;
    if (attr->mask & VRIFT_STAT_CTIME && attr->ctime.sec >= 0 && version < 1ULL << 62) {
        attr->version = version;
        attr->mask |= VRIFT_STAT_VERSION;
    }
}

void vr_hostnode_key(const struct vr_hostnode *node, struct vrift_key *out)
{
    *out = (struct vrift_key){.length = VRIFT_KEY_MAX};
    uint8_t *key = out->bytes;
    memcpy(key, &node->id.dev, 8);
    memcpy(key + 8, &node->id.ino, 8);
    memcpy(key + 16, &node->id.birth_sec, 8);
    memcpy(key + 24, &node->id.birth_nsec, 4);
    memcpy(key + 28, &node->id.type, 4);
}

void vr_hostnode_entry(struct vr_hostfs *fs, struct vr_hostnode *node, const struct vrift_stat *attr,
                       struct vrift_entry *out)
{
    struct vrift_entry entry = {.attr = *attr};
    entry.node.handle = node;
    vr_hostnode_key(node, &entry.node.key);
    vr_hostnode_publish(fs, &entry.attr);
    *out = entry;
}
