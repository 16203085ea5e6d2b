/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * VRIFT_HOST_NOTIFY: the directories that names were looked up in are watched, and what the host says of them is told to
 * the core.
 *
 * Directories are watched for as long as they are nodes, up to half of what the user may watch in all; of one that cannot
 * be watched the core is told that nothing will be heard, and it asks each time, as it does without NOTIFY. What is not
 * heard of at all is what a file has beside names: its attributes may change through other names, mappings, or reads. So
 * only names are declared SHARED_NOTIFY, and directories' permissions go with them: they have one name, here or, for a
 * mount's root, none, which its own watch hears of.
 *
 * `watches_lock` guards the table of watches and comes before `book`. No slot is called and nothing is told under it.
 */
#include "backends/host/host.h"

#include <string.h>

#define FIRST_TABLE 256u

/* -- The table, under `watches_lock` ------------------------------------------------------------------------------- */

static uint32_t place_of(const struct vr_hostwatch *watch, int32_t wd)
{
    return (uint32_t)wd & (watch->bucket_count - 1);
}

static struct vr_hostnode *find(const struct vr_hostwatch *watch, int32_t wd)
{
    struct vr_hostnode *node = watch->buckets[place_of(watch, wd)];
    while (node && node->wd != wd)
        node = node->watch_chain;
    return node;
}

static void take_out(struct vr_hostwatch *watch, struct vr_hostnode *node)
{
    struct vr_hostnode **at = &watch->buckets[place_of(watch, node->wd)];
    while (*at != node)
        at = &(*at)->watch_chain;
    *at = node->watch_chain;
    node->wd = 0;
    watch->count--;
}

static void enter(struct vr_hostwatch *watch, struct vr_hostnode *node, int32_t wd)
{
    /* A node of this inode that is being forgotten may not have ended the watch yet: it is ours now. */
    struct vr_hostnode *before = find(watch, wd);
    if (before)
        take_out(watch, before);
    node->wd = wd;
    node->watch_chain = watch->buckets[place_of(watch, wd)];
    watch->buckets[place_of(watch, wd)] = node;
    watch->count++;
}

/* -- Telling ------------------------------------------------------------------------------------------------------- */

static void tell_deaf(struct vr_hostfs *fs, const struct vr_hostnode *dir)
{
    struct vrift_key key;
    vr_hostnode_key(dir, &key);
    struct vrift_notice notice = {.size = sizeof notice, .mask = VRIFT_IN_IGNORED, .dir = &key};
    fs->watch->receive(&notice, fs->watch->payload);
}

void vr_hostwatch_deaf_to(struct vr_hostfs *fs, const struct vr_hostnode *dir, const struct vrift_name *name)
{
    struct vrift_key key;
    vr_hostnode_key(dir, &key);
    struct vrift_notice notice = {
        .size = sizeof notice, .mask = VRIFT_IN_IGNORED, .name = name->bytes, .name_length = name->length, .dir = &key};
    fs->watch->receive(&notice, fs->watch->payload);
}

static void tell_lost(struct vr_hostfs *fs)
{
    struct vrift_notice notice = {.size = sizeof notice, .mask = VRIFT_IN_Q_OVERFLOW};
    fs->watch->receive(&notice, fs->watch->payload);
}

/* A directory said something of itself: that concerns its name too. */
static void tell_self(struct vr_hostfs *fs, struct vr_hostnode *node, struct vrift_notice *notice)
{
    char name[VRIFT_NAME_MAX + 1];
    struct vr_hostnode *parent;
    struct vrift_key key, above;
    vr_hostnode_key(node, &key);
    notice->node = &key;
    if (vr_hostnode_place(fs, node, &parent, name) == 0) {
        vr_hostnode_key(parent, &above);
        vr_hostnode_unref(fs, parent);
        notice->dir = &above;
        notice->name = name;
        notice->name_length = (uint32_t)strlen(name);
    }
    /* The name's own directory tells watchers; here only the permissions are meant. */
    if (notice->dir)
        notice->flags = VRIFT_NOTICE_QUIET;
    fs->watch->receive(notice, fs->watch->payload);
}

static void tell_name(struct vr_hostfs *fs, struct vr_hostnode *dir, const struct vr_dirwatch_event *event,
                      struct vrift_notice *notice)
{
    struct vrift_key above, key;
    struct vrift_stat attr;
    struct vr_hostfd *fd;
    char name[VRIFT_NAME_MAX + 1];
    vr_hostnode_key(dir, &above);
    notice->dir = &above;
    notice->name = event->name;
    notice->name_length = event->length;
    /* Whose attributes or bytes changed, for those who watch the inode: the name means it still, as a rule. */
    if (event->mask & (VRIFT_IN_ATTRIB | VRIFT_IN_MODIFY) && event->length <= VRIFT_NAME_MAX &&
        vr_hostfd_hold(fs, dir, &fd) == 0) {
        memcpy(name, event->name, event->length);
        name[event->length] = '\0';
        if (vr_fileops_stat(fd->fd, name, &attr) == 0) {
            struct vr_hostnode seen = {.id = vr_hostnode_id(&attr)};
            vr_hostnode_key(&seen, &key);
            notice->node = &key;
        }
        vr_hostfd_unref(fs, fd);
    }
    fs->watch->receive(notice, fs->watch->payload);
}

static void hear(const struct vr_dirwatch_event *event, void *payload)
{
    struct vr_hostfs *fs = payload;
    if (event->flags & VR_DIRWATCH_LOST) {
        tell_lost(fs);
        return;
    }
    vr_os_mutex_lock(&fs->watch->lock);
    struct vr_hostnode *node = find(fs->watch, event->wd);
    if (node && !vr_hostnode_ref_if_alive(fs, node))
        node = NULL;
    if (node && event->flags & VR_DIRWATCH_CLOSED) {
        take_out(fs->watch, node);
        node->wd = VR_HOST_DEAF;
    }
    vr_os_mutex_unlock(&fs->watch->lock);
    if (!node)
        return; /* forgotten meanwhile, and with it all that was known */
    struct vrift_notice notice = {.size = sizeof notice, .mask = event->mask, .cookie = event->cookie};
    if (event->flags & VR_DIRWATCH_CLOSED)
        tell_deaf(fs, node);
    else if (event->length)
        tell_name(fs, node, event, &notice);
    else
        tell_self(fs, node, &notice);
    vr_hostnode_unref(fs, node);
}

/* -- Watching ------------------------------------------------------------------------------------------------------ */

/* Makes room in the table; without memory the directory is not watched. */
static int32_t grow(struct vr_hostfs *fs)
{
    struct vr_hostwatch *watch = fs->watch;
    if (watch->count < watch->bucket_count)
        return 0;
    uint32_t count = watch->bucket_count * 2;
    struct vr_hostnode **larger = vr_alloc_zero(fs->allocator, count, sizeof(struct vr_hostnode *));
    if (!larger)
        return -VRIFT_ENOMEM;
    for (uint32_t i = 0; i < watch->bucket_count; i++) {
        struct vr_hostnode *next;
        for (struct vr_hostnode *node = watch->buckets[i]; node; node = next) {
            next = node->watch_chain;
            node->watch_chain = larger[(uint32_t)node->wd & (count - 1)];
            larger[(uint32_t)node->wd & (count - 1)] = node;
        }
    }
    vr_alloc_free(fs->allocator, watch->buckets);
    watch->buckets = larger;
    watch->bucket_count = count;
    return 0;
}

void vr_hostwatch_cover(struct vr_hostfs *fs, struct vr_hostnode *dir, int fd)
{
    struct vr_hostwatch *watch = fs->watch;
    if (!watch || atomic_load_explicit(&dir->wd, memory_order_acquire))
        return;
    vr_os_mutex_lock(&watch->lock);
    int deaf = 0;
    if (!dir->wd) {
        /* Of another file system that is mounted here, who knows whether the host hears of everything. */
        int32_t wd = watch->count >= watch->limit || dir->id.dev != fs->root->id.dev ? -VRIFT_ENOSPC : grow(fs);
        if (!wd)
            wd = vr_dirwatch_add(&watch->host, fd);
        if (wd > 0)
            enter(watch, dir, wd);
        else
            dir->wd = VR_HOST_DEAF;
        deaf = wd <= 0;
    }
    vr_os_mutex_unlock(&watch->lock);
    if (deaf)
        tell_deaf(fs, dir);
}

void vr_hostwatch_forget(struct vr_hostfs *fs, struct vr_hostnode *dir)
{
    struct vr_hostwatch *watch = fs->watch;
    if (!watch || atomic_load_explicit(&dir->wd, memory_order_acquire) <= 0)
        return;
    vr_os_mutex_lock(&watch->lock);
    int32_t wd = dir->wd;
    if (wd > 0) {
        take_out(watch, dir);
        vr_dirwatch_remove(&watch->host, wd);
    }
    vr_os_mutex_unlock(&watch->lock);
}

/* -- The slots ----------------------------------------------------------------------------------------------------- */

int32_t VRIFT_CALLBACK vr_hostwatch_start(void *self, vrift_notice_fn receive, void *payload)
{
    struct vr_hostfs *fs = self;
    if (!fs->watch)
        return -VRIFT_EOPNOTSUPP;
    fs->watch->receive = receive;
    fs->watch->payload = payload;
    return 0;
}

void VRIFT_CALLBACK vr_hostwatch_drain(void *self)
{
    struct vr_hostfs *fs = self;
    vr_dirwatch_read(&fs->watch->host, hear, fs);
}

/* -- Life ---------------------------------------------------------------------------------------------------------- */

int32_t vr_hostwatch_new(struct vr_hostfs *fs)
{
    if (!vr_dirwatch_hears(fs->type))
        return 0; /* then it is asked, as without NOTIFY */
    struct vr_hostwatch *watch = vr_alloc_zero(fs->allocator, 1, sizeof *watch);
    if (!watch)
        return -VRIFT_ENOMEM;
    watch->bucket_count = FIRST_TABLE;
    watch->buckets = vr_alloc_zero(fs->allocator, FIRST_TABLE, sizeof(struct vr_hostnode *));
    watch->limit = vr_dirwatch_limit() / 2;
    int32_t error = watch->buckets ? vr_os_mutex_init(&watch->lock) : -VRIFT_ENOMEM;
    if (!error) {
        error = vr_dirwatch_open(&watch->host);
        if (!error) {
            fs->watch = watch;
            return 0;
        }
        vr_os_mutex_destroy(&watch->lock);
    }
    vr_alloc_free(fs->allocator, watch->buckets);
    vr_alloc_free(fs->allocator, watch);
    return error == -VRIFT_EOPNOTSUPP ? 0 : error;
}

void vr_hostwatch_free(struct vr_hostfs *fs)
{
    struct vr_hostwatch *watch = fs->watch;
    if (!watch)
        return;
    vr_dirwatch_close(&watch->host);
    vr_os_mutex_destroy(&watch->lock);
    vr_alloc_free(fs->allocator, watch->buckets);
    vr_alloc_free(fs->allocator, watch);
}
