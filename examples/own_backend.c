/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A file system of your own in one file: the squares of 0 to 99, each in a file named after its number. A backend says
 * what its names and bytes are; walking, permissions, descriptors and caching are the library's.
 *
 *   cc own_backend.c -o own_backend $(pkg-config --cflags --libs vrift) && ./own_backend
 */
#include <vrift/vrift.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOT 100u /* files are the nodes 0 to 99 */
static int text_of(const struct vrift_node *node, char text[16])
{
    return snprintf(text, 16, "%u\n", node->key.bytes[0] * node->key.bytes[0]);
}

static int32_t squares_getattr(void *self, const struct vrift_node *node, uint64_t mask, struct vrift_stat *out)
{
    char text[16];
    int root = node->key.bytes[0] == ROOT;
    (void)self, (void)mask;
    memset(out, 0, sizeof *out);
    out->mask = VRIFT_STAT_BASIC;
    out->ino = node->key.bytes[0] + 1u;
    out->mode = root ? VRIFT_S_IFDIR | 0555 : VRIFT_S_IFREG | 0444;
    out->nlink = root ? 2 : 1;
    out->size = root ? 0 : (uint64_t)text_of(node, text);
    return 0;
}

static int32_t answer(void *self, uint32_t number, struct vrift_entry *out)
{
    memset(&out->node, 0, sizeof out->node);
    out->node.key.bytes[0] = (uint8_t)number;
    out->node.key.length = 1;
    return squares_getattr(self, &out->node, VRIFT_STAT_BASIC, &out->attr);
}

static int32_t squares_root(void *self, struct vrift_entry *out)
{
    return answer(self, ROOT, out);
}

/* Only the root is a directory, so one name is all there ever is to resolve. */
static int32_t squares_walk(void *self, const struct vrift_node *dir, const struct vrift_name *names, uint32_t count,
                            struct vrift_entry *entries, uint32_t *done)
{
    char canonical[32];
    unsigned long number = strtoul(names[0].bytes, NULL, 10);
    (void)dir, (void)count;
    *done = 0;
    snprintf(canonical, sizeof canonical, "%lu", number);
    if (number >= ROOT || strcmp(canonical, names[0].bytes) != 0)
        return -VRIFT_ENOENT;
    *done = 1;
    return answer(self, (uint32_t)number, &entries[0]);
}

static int32_t squares_readdir(void *self, const struct vrift_node *dir, uint64_t cookie, uint64_t mask,
                               vrift_emit_fn emit, void *payload, uint32_t *end)
{
    char name[32];
    (void)self, (void)dir, (void)mask;
    for (; cookie < ROOT; cookie++) {
        struct vrift_dir_entry entry = {.name = name, .type = VRIFT_DT_REG, .ino = cookie + 1, .cookie = cookie + 1};
        entry.name_length = (uint32_t)snprintf(name, sizeof name, "%u", (unsigned)cookie);
        if (emit(&entry, payload))
            return 0;
    }
    *end = 1;
    return 0;
}

static int64_t squares_pread(void *self, const struct vrift_node *node, void *file, void *buf, size_t len, uint64_t at)
{
    char text[16];
    size_t size = (size_t)text_of(node, text);
    (void)self, (void)file;
    if (at >= size)
        return 0;
    len = len < size - at ? len : size - (size_t)at;
    memcpy(buf, text + at, len);
    return (int64_t)len;
}

int main(void)
{
    /* Absent slots have a meaning: this file system answers EROFS to whoever wants to change it. */
    static const struct vrift_backend_ops ops = {
        .size = sizeof ops,
        .name = "squares",
        .root = squares_root,
        .walk = squares_walk,
        .getattr = squares_getattr,
        .readdir = squares_readdir,
        .pread = squares_pread,
    };

    vrift_vfs *vfs = NULL;
    vrift_sb *sb = NULL;
    vrift_ns *ns = NULL;
    vrift_task *task = NULL;
    char text[16] = "";
    int status = 1;
    if (vrift_vfs_new(NULL, &vfs) == 0 && vrift_sb_new(vfs, &ops, NULL, &sb) == 0 &&
        vrift_ns_new(vfs, sb, 0, &ns) == 0 && vrift_task_new(ns, NULL, NULL, &task) == 0) {
        int32_t fd = vrift_openat(task, VRIFT_AT_FDCWD, "/12", VRIFT_O_RDONLY, 0);
        if (fd >= 0 && vrift_read(task, fd, text, sizeof text - 1) == 4)
            status = strcmp(text, "144\n") || vrift_openat(task, VRIFT_AT_FDCWD, "/100", 0, 0) != -VRIFT_ENOENT;
        printf("12 squared is %s", text);
    }
    vrift_task_free(task);
    vrift_ns_unref(ns);
    vrift_sb_unref(sb);
    vrift_vfs_free(vfs);
    return status;
}
