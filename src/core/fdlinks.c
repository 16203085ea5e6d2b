/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A file system that shows the descriptors of a task as /proc/self/fd does: a directory with a symlink for each, named by
 * its number, that leads to what is open, whatever its names are by now.
 *
 * It does not keep the table open: when the last task that has it is gone, the directory is empty.
 */
#include "core/alloc.h"
#include "core/description.h"
#include "core/fdtable.h"
#include "core/walk.h"

#include <vrift/file.h>
#include <vrift/task.h>

#include <stdio.h>
#include <string.h>

#define MAGIC     0x9fa0 /* proc's */
#define LINK_SIZE 64     /* what proc says of the length of any link */

struct fdlinks {
    const struct vrift_allocator *allocator;
    struct vr_fdtable *table; /* its memory is held */
    vrift_vfs *vfs;
    uint32_t uid, gid;
};

static void set_key(struct vrift_node *node, uint64_t number)
{
    memset(node, 0, sizeof *node);
    for (int i = 0; i < 8; i++)
        node->key.bytes[i] = (uint8_t)(number >> 8 * i);
    node->key.length = 8;
}

/* 0: the directory; else a descriptor plus 1. */
static uint64_t number_of(const struct vrift_node *node)
{
    uint64_t number = 0;
    for (int i = 8; i-- > 0;)
        number = number << 8 | node->key.bytes[i];
    return number;
}

static void describe(const struct fdlinks *self, uint64_t number, const vrift_file *file, struct vrift_stat *out)
{
    memset(out, 0, sizeof *out);
    out->mask = VRIFT_STAT_BASIC;
    out->ino = number + 1;
    out->uid = self->uid;
    out->gid = self->gid;
    out->blksize = 1024;
    if (!number) {
        out->mode = VRIFT_S_IFDIR | 0500;
        out->nlink = 2;
        return;
    }
    out->mode = VRIFT_S_IFLNK | (file->readable ? 0500u : 0) | (file->writable ? 0300u : 0);
    out->nlink = 1;
    out->size = LINK_SIZE;
}

static int32_t VRIFT_CALLBACK root(void *self, struct vrift_entry *out)
{
    set_key(&out->node, 0);
    describe(self, 0, NULL, &out->attr);
    return 0;
}

static void VRIFT_CALLBACK destroy(void *selfp)
{
    struct fdlinks *self = selfp;
    vr_fdtable_let_go(self->vfs, self->table);
    vr_alloc_free(self->allocator, self);
}

/* Nothing of it may be kept: descriptors come and go. */
static int32_t VRIFT_CALLBACK consistency(void *self, uint32_t aspect, struct vrift_consistency *out)
{
    (void)self;
    (void)aspect;
    out->model = VRIFT_CONSISTENCY_SHARED_REVALIDATE;
    return 0;
}

static int32_t VRIFT_CALLBACK statfs(void *self, struct vrift_statfs *out)
{
    (void)self;
    out->type = MAGIC;
    out->bsize = 4096;
    return 0;
}

/* A number as it is printed, without a sign and without leading zeroes. */
static int32_t parse(const struct vrift_name *name)
{
    int64_t number = 0;
    if (name->length > 10 || (name->length > 1 && name->bytes[0] == '0'))
        return -1;
    for (uint32_t i = 0; i < name->length; i++) {
        if (name->bytes[i] < '0' || name->bytes[i] > '9')
            return -1;
        number = number * 10 + (name->bytes[i] - '0');
    }
    return number <= INT32_MAX ? (int32_t)number : -1;
}

static int32_t VRIFT_CALLBACK walk(void *selfp, const struct vrift_node *dir, const struct vrift_name *names,
                                   uint32_t count, struct vrift_entry *entries, uint32_t *done)
{
    struct fdlinks *self = selfp;
    vrift_file *file;
    (void)count;
    if (number_of(dir))
        return -VRIFT_ENOTDIR;
    int32_t fd = parse(&names[0]);
    if (fd < 0 || vr_fdtable_get(self->table, fd, &file))
        return -VRIFT_ENOENT;
    set_key(&entries[0].node, (uint64_t)fd + 1);
    describe(self, (uint64_t)fd + 1, file, &entries[0].attr);
    vrift_file_unref(file);
    *done = 1;
    return 0;
}

static int32_t get(struct fdlinks *self, const struct vrift_node *node, vrift_file **out)
{
    return vr_fdtable_get(self->table, (int32_t)(number_of(node) - 1), out) ? -VRIFT_ENOENT : 0;
}

static int32_t VRIFT_CALLBACK getattr(void *selfp, const struct vrift_node *node, uint64_t mask, struct vrift_stat *out)
{
    struct fdlinks *self = selfp;
    vrift_file *file = NULL;
    (void)mask;
    int32_t error = number_of(node) ? get(self, node, &file) : 0;
    if (error)
        return error;
    describe(self, number_of(node), file, out);
    vrift_file_unref(file);
    return 0;
}

static int32_t VRIFT_CALLBACK readdir(void *selfp, const struct vrift_node *dir, uint64_t cookie, uint64_t mask,
                                      vrift_emit_fn emit, void *payload, uint32_t *end)
{
    struct fdlinks *self = selfp;
    (void)dir;
    (void)mask;
    for (int64_t fd; (fd = vr_fdtable_next(self->table, cookie)) >= 0; cookie = (uint64_t)fd + 1) {
        char name[16];
        struct vrift_dir_entry entry = {.name = name, .type = VRIFT_DT_LNK, .ino = (uint64_t)fd + 2};
        entry.name_length = (uint32_t)snprintf(name, sizeof name, "%lld", (long long)fd);
        entry.cookie = (uint64_t)fd + 1;
        if (emit(&entry, payload))
            return 0;
    }
    *end = 1;
    return 0;
}

static int32_t VRIFT_CALLBACK follow(void *selfp, const struct vrift_node *node, vrift_file **out)
{
    return get(selfp, node, out);
}

/* What proc says to those who would change it. */
static int32_t VRIFT_CALLBACK create(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                     const struct vrift_create *how, struct vrift_entry *out)
{
    (void)self, (void)dir, (void)name, (void)how, (void)out;
    return -VRIFT_ENOENT;
}

static int32_t VRIFT_CALLBACK unlink_name(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                          const struct vrift_node *node, uint64_t flags)
{
    (void)self, (void)dir, (void)name, (void)node, (void)flags;
    return -VRIFT_EPERM;
}

static int32_t VRIFT_CALLBACK rename_name(void *self, const struct vrift_node *old_dir,
                                          const struct vrift_name *old_name, const struct vrift_node *node,
                                          const struct vrift_node *new_dir, const struct vrift_name *new_name,
                                          const struct vrift_node *victim, uint64_t flags)
{
    (void)self, (void)old_dir, (void)old_name, (void)node, (void)new_dir, (void)new_name, (void)victim, (void)flags;
    return -VRIFT_EPERM;
}

static int32_t VRIFT_CALLBACK setattr(void *self, const struct vrift_node *node, void *file,
                                      const struct vrift_setattr *set, struct vrift_stat *out)
{
    (void)self, (void)node, (void)file, (void)set, (void)out;
    return -VRIFT_EPERM;
}

static const struct vrift_backend_ops ops = {
    .size = sizeof ops,
    .name = "fd",
    .root = root,
    .destroy = destroy,
    .consistency = consistency,
    .statfs = statfs,
    .walk = walk,
    .getattr = getattr,
    .readdir = readdir,
    .create = create,
    .unlink = unlink_name,
    .rename = rename_name,
    .setattr = setattr,
    .follow = follow,
};

int32_t vrift_fd_new(vrift_task *task, vrift_sb **out)
{
    if (!task || !out)
        return -VRIFT_EINVAL;
    struct fdlinks *self = vr_alloc_zero(task->vfs->allocator, 1, sizeof *self);
    if (!self)
        return -VRIFT_ENOMEM;
    vrift_cred *cred = vr_walk_cred(task);
    self->uid = cred->uid;
    self->gid = cred->gid;
    vrift_cred_unref(cred);
    self->allocator = task->vfs->allocator;
    self->vfs = task->vfs;
    self->table = task->files;
    vr_fdtable_hold(self->table);
    int32_t error = vrift_sb_new(task->vfs, &ops, self, out);
    if (error)
        destroy(self);
    return error;
}
