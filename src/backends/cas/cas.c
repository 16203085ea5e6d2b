/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The cas backend: a snapshot as an immutable file system. A node's key is the number of its inode's first entry, so
 * hard links are one inode; nothing is allocated for a node, and nothing is forgotten. All slots that would change
 * something are left out.
 */
#include "platform/os.h"

#include <vrift/backends.h>
#include <vrift/error.h>
#include <vrift/snapshot.h>
#include <vrift/vfs.h>

#include <string.h>

/* "VRCS" */
#define MAGIC 0x53435256ULL

/* The backend's object is the snapshot itself. */
static uint64_t entry_of(const struct vrift_node *node)
{
    uint64_t entry = 0;
    memcpy(&entry, node->key.bytes, sizeof entry);
    return entry;
}

static int32_t fill_entry(vrift_snapshot *snapshot, uint64_t entry, struct vrift_entry *out)
{
    struct vrift_entry filled;
    uint64_t inode;
    memset(&filled, 0, sizeof filled);
    int32_t error = vrift_snapshot_inode(snapshot, entry, &inode);
    if (!error)
        error = vrift_snapshot_stat(snapshot, inode, &filled.attr);
    if (error)
        return error;
    memcpy(filled.node.key.bytes, &inode, sizeof inode);
    filled.node.key.length = sizeof inode;
    *out = filled;
    return 0;
}

static int32_t VRIFT_CALLBACK root(void *self, struct vrift_entry *out)
{
    return fill_entry(self, 0, out);
}

static void VRIFT_CALLBACK destroy(void *self)
{
    vrift_snapshot_unref(self);
}

/* -- What it can do ----------------------------------------------------------------------------------------------- */

/* What a tree can hold is native, though nothing can be made in it: CREATE says that. */
static int32_t VRIFT_CALLBACK capability(void *self, uint32_t capability, struct vrift_capability *out)
{
    struct vrift_capability answer = {VRIFT_SUPPORT_NATIVE, VRIFT_SUPPORT_NATIVE, VRIFT_SOURCE_DECLARED, 0};
    (void)self;
    switch (capability) {
    case VRIFT_CAPABILITY_HARD_LINKS:
    case VRIFT_CAPABILITY_SYMLINKS:
    case VRIFT_CAPABILITY_SPECIAL_FILES:
    case VRIFT_CAPABILITY_UNIX_PERMISSIONS:
    case VRIFT_CAPABILITY_OWNERSHIP:
    case VRIFT_CAPABILITY_USER_XATTRS:
    case VRIFT_CAPABILITY_ACLS:
    case VRIFT_CAPABILITY_SPARSE_FILES:
    case VRIFT_CAPABILITY_MMAP:
    case VRIFT_CAPABILITY_STABLE_INODES:
    case VRIFT_CAPABILITY_CASE_SENSITIVE:
    case VRIFT_CAPABILITY_DIGEST:
        *out = answer;
        return 0;
    case VRIFT_CAPABILITY_TRUSTED_XATTRS:
    case VRIFT_CAPABILITY_LOCKS:
        answer.error = -VRIFT_EOPNOTSUPP;
        break;
    default:
        if (capability == 0 || capability >= VRIFT_CAPABILITY_COUNT)
            return -VRIFT_EINVAL;
        answer.error = -VRIFT_EROFS;
    }
    answer.service = answer.effective = VRIFT_SUPPORT_NONE;
    *out = answer;
    return 0;
}

static int32_t VRIFT_CALLBACK consistency(void *self, uint32_t aspect, struct vrift_consistency *out)
{
    (void)self;
    if (aspect >= VRIFT_ASPECT_COUNT)
        return -VRIFT_EINVAL;
    *out = (struct vrift_consistency){.model = VRIFT_CONSISTENCY_IMMUTABLE};
    return 0;
}

static int32_t VRIFT_CALLBACK statfs(void *self, struct vrift_statfs *out)
{
    struct vrift_snapshot_info info;
    int32_t error = vrift_snapshot_info(self, &info);
    if (error)
        return error;
    memset(out, 0, sizeof *out);
    out->type = MAGIC;
    out->bsize = 4096;
    out->blocks = info.bytes / 4096 + (info.bytes % 4096 != 0);
    out->files = info.files + info.directories + info.symlinks + info.specials;
    out->namelen = VRIFT_NAME_MAX;
    out->flags = VRIFT_MOUNT_RDONLY;
    return 0;
}

/* -- Names -------------------------------------------------------------------------------------------------------- */

static int32_t VRIFT_CALLBACK walk(void *self, const struct vrift_node *dir, const struct vrift_name *names,
                                   uint32_t count, struct vrift_entry *entries, uint32_t *done)
{
    uint64_t at = entry_of(dir);
    *done = 0;
    while (*done < count) {
        const struct vrift_name *name = &names[*done];
        int32_t error = vrift_snapshot_lookup(self, at, name->bytes, name->length, &at);
        if (!error)
            error = fill_entry(self, at, &entries[*done]);
        if (error)
            return error;
        uint32_t mode = entries[(*done)++].attr.mode;
        if ((mode & VRIFT_S_IFMT) != VRIFT_S_IFDIR)
            return 0;
    }
    return 0;
}

struct listing {
    vrift_snapshot *snapshot;
    vrift_emit_fn emit;
    void *payload;
    uint64_t mask;
    uint32_t stopped;
};

static int32_t VRIFT_CALLBACK emit_entry(const struct vrift_snapshot_entry *found, void *payload)
{
    struct listing *listing = payload;
    uint64_t inode;
    int32_t error = vrift_snapshot_inode(listing->snapshot, found->entry, &inode);
    if (error)
        return error;
    struct vrift_stat attr;
    if (listing->mask)
        error = vrift_snapshot_stat(listing->snapshot, inode, &attr);
    if (error)
        return error;
    const struct vrift_dir_entry entry = {.name = found->name,
                                          .name_length = found->name_length,
                                          .type = found->type,
                                          .ino = inode + 1,
                                          .cookie = found->cookie,
                                          .attr = listing->mask ? &attr : NULL};
    if (listing->emit(&entry, listing->payload) == 0)
        return 0;
    listing->stopped = 1;
    return 1;
}

static int32_t VRIFT_CALLBACK readdir(void *self, const struct vrift_node *dir, uint64_t cookie, uint64_t mask,
                                      vrift_emit_fn emit, void *payload, uint32_t *end)
{
    struct listing listing = {self, emit, payload, mask, 0};
    int32_t result = vrift_snapshot_readdir(self, entry_of(dir), cookie, emit_entry, &listing);
    if (result && !listing.stopped)
        return result;
    *end = !listing.stopped;
    return 0;
}

static int64_t VRIFT_CALLBACK readlink(void *self, const struct vrift_node *node, char *buf, size_t len)
{
    return vrift_snapshot_readlink(self, entry_of(node), buf, len);
}

/* -- Attributes and content --------------------------------------------------------------------------------------- */

static int32_t VRIFT_CALLBACK getattr(void *self, const struct vrift_node *node, uint64_t mask, struct vrift_stat *out)
{
    (void)mask;
    return vrift_snapshot_stat(self, entry_of(node), out);
}

static int64_t VRIFT_CALLBACK pread(void *self, const struct vrift_node *node, void *file, void *buf, size_t len,
                                    uint64_t offset)
{
    (void)file;
    return vrift_snapshot_pread(self, entry_of(node), buf, len, offset);
}

static int64_t VRIFT_CALLBACK seek(void *self, const struct vrift_node *node, void *file, uint64_t offset,
                                   int32_t whence)
{
    (void)file;
    return vrift_snapshot_seek(self, entry_of(node), offset, whence);
}

/* A tree holds any name, but for one that no file system of Linux knows the answer is not "no such attribute". */
static int has_known_namespace(const char *name)
{
    static const char *const prefixes[] = {"user.", "trusted.", "security.", "system."};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return 1;
    return 0;
}

static int64_t VRIFT_CALLBACK getxattr(void *self, const struct vrift_node *node, const char *name, void *buf,
                                       size_t len)
{
    int64_t result = vrift_snapshot_getxattr(self, entry_of(node), name, buf, len);
    return result == -VRIFT_ENODATA && !has_known_namespace(name) ? -VRIFT_EOPNOTSUPP : result;
}

static int64_t VRIFT_CALLBACK listxattr(void *self, const struct vrift_node *node, char *buf, size_t len)
{
    return vrift_snapshot_listxattr(self, entry_of(node), buf, len);
}

/* -- Mappings ----------------------------------------------------------------------------------------------------- */

/* What is to be mapped of a file of this size, in memory of its own that has the file's end. */
static int32_t copy_content(vrift_snapshot *snapshot, uint64_t entry, uint64_t size,
                            const struct vrift_map_range *range, int32_t *fd)
{
    uint8_t buf[16384];
    int32_t memory = vr_os_memory_new();
    int32_t error = memory < 0 ? memory : vr_os_memory_resize(memory, size);
    uint64_t end = range->length < size - range->offset ? range->offset + range->length : size;
    for (uint64_t at = range->offset; !error && at < end;) {
        size_t part = end - at < sizeof buf ? (size_t)(end - at) : sizeof buf;
        int64_t got = vrift_snapshot_pread(snapshot, entry, buf, part, at);
        if (got <= 0)
            error = got < 0 ? (int32_t)got : -VRIFT_EIO;
        else
            error = vr_os_memory_write(memory, buf, (size_t)got, at);
        at += got > 0 ? (uint64_t)got : 0;
    }
    if (error && memory >= 0)
        vr_os_memory_close(memory);
    *fd = memory;
    return error;
}

/* A blob that is a file of its own is mapped as it lies in the store; another one is copied. */
static int32_t VRIFT_CALLBACK map(void *self, const struct vrift_node *node, void *file,
                                  const struct vrift_map_range *range, struct vrift_map_place *out)
{
    uint64_t entry = entry_of(node), start = 0;
    struct vrift_stat attr;
    int32_t fd = -1;
    (void)file;
    int32_t error = vrift_snapshot_open_blob(self, entry, &fd, &start);
    if (!error && start != 0) {
        vr_os_memory_close(fd);
        error = -VRIFT_EOPNOTSUPP;
    }
    if (error == -VRIFT_EOPNOTSUPP || error == -VRIFT_ENODATA) {
        error = vrift_snapshot_stat(self, entry, &attr);
        if (!error && range->offset >= attr.size)
            attr.size = range->offset; /* nothing to copy: all of it lies beyond the end */
        if (!error)
            error = copy_content(self, entry, attr.size, range, &fd);
    }
    if (error)
        return error;
    error = vr_os_map_range(fd, range, &out->address);
    vr_os_memory_close(fd);
    return error;
}

static void VRIFT_CALLBACK unmap(void *self, const struct vrift_node *node, const struct vrift_map_place *mapping)
{
    (void)self;
    (void)node;
    vr_os_unmap(mapping->address, (size_t)mapping->range.length);
}

static const struct vrift_backend_ops ops = {
    .size = sizeof ops,
    .name = "cas",
    .root = root,
    .destroy = destroy,
    .capability = capability,
    .consistency = consistency,
    .statfs = statfs,
    .walk = walk,
    .getattr = getattr,
    .readlink = readlink,
    .readdir = readdir,
    .pread = pread,
    .seek = seek,
    .getxattr = getxattr,
    .listxattr = listxattr,
    .map = map,
    .unmap = unmap,
};

int32_t vrift_cas_new(vrift_vfs *vfs, vrift_snapshot *snapshot, vrift_sb **out)
{
    if (!vfs || !snapshot || !out)
        return -VRIFT_EINVAL;
    int32_t error = vrift_sb_new(vfs, &ops, vrift_snapshot_ref(snapshot), out);
    if (error)
        vrift_snapshot_unref(snapshot);
    return error;
}
