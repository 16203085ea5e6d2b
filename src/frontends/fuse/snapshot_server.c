/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fuse/snapshot_server.h"
#include "fuse/fuse_protocol.h"

#include <vrift/error.h>
#include <vrift/snapshot.h>

#include <errno.h>
#include <string.h>

/* "." and ".." take the first two positions of a directory; the snapshot's cookies follow. */
#define DOT_COOKIES 2

static int64_t to_errno(int64_t result)
{
    return result < 0 ? -(int64_t)vrift_err_to_host_errno(result) : result;
}

/* The request's body as a struct of at least `size` bytes, or NULL. */
static const void *body_of(const struct vr_fuse_request *request, size_t size)
{
    return request->length >= size ? request->body : NULL;
}

/* The NUL-terminated name that starts `skip` bytes into the body, or NULL. Its length goes to *length. */
static const char *name_of(const struct vr_fuse_request *request, size_t skip, size_t *length)
{
    const char *name;
    if (request->length <= skip)
        return NULL;
    name = (const char *)request->body + skip;
    *length = strnlen(name, request->length - skip);
    return *length<request->length - skip && * length> 0 ? name : NULL;
}

/* The entry of a node, or -ESTALE. Node 0 wraps and is refused too. */
static int64_t entry_of(const struct vr_snapshot_server *server, uint64_t node)
{
    return node - 1 < server->entries ? (int64_t)(node - 1) : -ESTALE;
}

/* The device number as the kernel packs it into 32 bits. */
static uint32_t pack_rdev(uint64_t rdev)
{
    uint32_t major = VRIFT_DEV_MAJOR(rdev), minor = VRIFT_DEV_MINOR(rdev);
    return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

static void fill_attr(const struct vr_snapshot_server *server, const struct vrift_stat *stat, struct fuse_attr *attr)
{
    memset(attr, 0, sizeof(*attr));
    attr->ino = stat->ino;
    attr->size = stat->size;
    attr->blocks = stat->blocks;
    attr->atime = (uint64_t)stat->atime.sec;
    attr->atimensec = stat->atime.nsec;
    attr->mtime = (uint64_t)stat->mtime.sec;
    attr->mtimensec = stat->mtime.nsec;
    attr->ctime = (uint64_t)stat->ctime.sec;
    attr->ctimensec = stat->ctime.nsec;
    attr->mode = stat->mode;
    attr->nlink = stat->nlink;
    attr->uid = server->one_owner ? server->uid : stat->uid;
    attr->gid = server->one_owner ? server->gid : stat->gid;
    attr->rdev = pack_rdev(stat->rdev);
    attr->blksize = stat->blksize ? stat->blksize : 4096;
}

/* Fills what the kernel learns about a name that leads to an entry. 0, or a negative errno. */
static int64_t fill_entry(const struct vr_snapshot_server *server, uint64_t entry, struct fuse_entry_out *out)
{
    struct vrift_stat stat;
    uint64_t inode;
    int32_t result = vrift_snapshot_inode(server->snapshot, entry, &inode);
    if (result == 0)
        result = vrift_snapshot_stat(server->snapshot, inode, &stat);
    if (result < 0)
        return to_errno(result);
    memset(out, 0, sizeof(*out));
    out->nodeid = inode + 1;
    out->entry_valid = VR_FUSE_FOREVER;
    out->attr_valid = VR_FUSE_FOREVER;
    fill_attr(server, &stat, &out->attr);
    return 0;
}

/* "." and ".." are asked for by file handles that outlived the kernel's cache. */
static int32_t find(const struct vr_snapshot_server *server, uint64_t dir, const char *name, size_t length,
                    uint64_t *out)
{
    if (length == 1 && name[0] == '.') {
        *out = dir;
        return 0;
    }
    if (length == 2 && name[0] == '.' && name[1] == '.')
        return vrift_snapshot_parent(server->snapshot, dir, out);
    return vrift_snapshot_lookup(server->snapshot, dir, name, length, out);
}

static int64_t lookup(const struct vr_snapshot_server *server, uint64_t dir, const struct vr_fuse_request *request,
                      struct fuse_entry_out *out)
{
    size_t length;
    uint64_t entry;
    int64_t result;
    const char *name = name_of(request, 0, &length);
    if (!name)
        return -EINVAL;
    if (length > VRIFT_NAME_MAX)
        return -ENAMETOOLONG;
    result = find(server, dir, name, length, &entry);
    if (result == -VRIFT_ENOENT) {
        /* Node 0 with a validity: there is no such name, and never will be. */
        memset(out, 0, sizeof(*out));
        out->entry_valid = VR_FUSE_FOREVER;
        return sizeof(*out);
    }
    result = result < 0 ? to_errno(result) : fill_entry(server, entry, out);
    return result < 0 ? result : (int64_t)sizeof(*out);
}

static int64_t getattr(const struct vr_snapshot_server *server, uint64_t entry, struct fuse_attr_out *out)
{
    struct vrift_stat stat;
    int32_t result = vrift_snapshot_stat(server->snapshot, entry, &stat);
    if (result < 0)
        return to_errno(result);
    memset(out, 0, sizeof(*out));
    out->attr_valid = VR_FUSE_FOREVER;
    fill_attr(server, &stat, &out->attr);
    return sizeof(*out);
}

static int64_t read_file(const struct vr_snapshot_server *server, uint64_t entry, const struct vr_fuse_request *request,
                         char *out, size_t room)
{
    const struct fuse_read_in *in = body_of(request, sizeof(*in));
    size_t done = 0, want;
    if (!in)
        return -EINVAL;
    want = in->size < room ? in->size : room;
    while (done < want) {
        int64_t got = vrift_snapshot_pread(server->snapshot, entry, out + done, want - done, in->offset + done);
        if (got < 0)
            return to_errno(got);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (int64_t)done;
}

/* A directory listing being packed into a reply. */
struct listing {
    const struct vr_snapshot_server *server;
    char *out;
    size_t used;
    size_t room;
    int32_t plus; /* with attributes */
    int64_t error;
};

/* Packs one record. Other than 0: it did not fit, or listing->error says why. */
static int32_t add_record(struct listing *listing, const char *name, size_t length, uint32_t type, uint64_t entry,
                          uint64_t inode, uint64_t next)
{
    size_t head = listing->plus ? offsetof(struct fuse_direntplus, dirent) : 0;
    size_t size = FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + length);
    char *at = listing->out + listing->used;
    struct fuse_dirent dirent = {.ino = inode + 1, .off = next, .namelen = (uint32_t)length, .type = type};
    if (size > listing->room - listing->used)
        return 1;
    memset(at, 0, size);
    /* A node of 0 tells the kernel to list the name only: the way to treat "." and "..". */
    if (listing->plus && next > DOT_COOKIES) {
        struct fuse_entry_out known;
        listing->error = fill_entry(listing->server, entry, &known);
        if (listing->error < 0)
            return 1;
        memcpy(at, &known, sizeof(known));
    }
    memcpy(at + head, &dirent, FUSE_NAME_OFFSET);
    memcpy(at + head + FUSE_NAME_OFFSET, name, length);
    listing->used += size;
    return 0;
}

static int32_t VRIFT_CALLBACK add_entry(const struct vrift_snapshot_entry *entry, void *payload)
{
    struct listing *listing = payload;
    uint64_t inode;
    int32_t result = vrift_snapshot_inode(listing->server->snapshot, entry->entry, &inode);
    if (result < 0) {
        listing->error = to_errno(result);
        return 1;
    }
    return add_record(listing, entry->name, entry->name_length, entry->type, entry->entry, inode,
                      entry->cookie + DOT_COOKIES);
}

static int64_t read_directory(const struct vr_snapshot_server *server, uint64_t dir,
                              const struct vr_fuse_request *request, char *out, size_t room)
{
    const struct fuse_read_in *in = body_of(request, sizeof(*in));
    struct listing listing = {.server = server, .out = out, .plus = request->opcode == FUSE_READDIRPLUS};
    uint64_t parent, position;
    int32_t result;
    if (!in)
        return -EINVAL;
    listing.room = in->size < room ? in->size : room;
    position = in->offset;
    result = vrift_snapshot_parent(server->snapshot, dir, &parent);
    if (result == 0 && position == 0)
        result = add_record(&listing, ".", 1, VRIFT_DT_DIR, dir, dir, 1);
    if (result == 0 && position <= 1)
        result = add_record(&listing, "..", 2, VRIFT_DT_DIR, parent, parent, 2);
    if (result == 0)
        result = vrift_snapshot_readdir(server->snapshot, dir, position > DOT_COOKIES ? position - DOT_COOKIES : 0,
                                        add_entry, &listing);
    if (result < 0)
        return to_errno(result);
    if (listing.error < 0 && listing.used == 0)
        return listing.error;
    return (int64_t)listing.used;
}

/*
 * Attributes that are not shown: what an overlay on top would obey, as a snapshot may hold anything; and where all
 * belongs to one owner, the access lists of others, whom the user namespace cannot name.
 */
static int32_t is_hidden(const struct vr_snapshot_server *server, const char *name)
{
    if (server->below_overlay &&
        (strncmp(name, "trusted.overlay.", 16) == 0 || strncmp(name, "user.overlay.", 13) == 0))
        return 1;
    return server->one_owner && strncmp(name, "system.posix_acl_", 17) == 0;
}

/* Both calls ask with size 0 for the length, which is answered in a struct. */
static int64_t sized_reply(int64_t result, uint32_t asked, void *out)
{
    struct fuse_getxattr_out length = {0};
    if (result < 0)
        return to_errno(result);
    if (asked)
        return result;
    length.size = (uint32_t)result;
    memcpy(out, &length, sizeof(length));
    return sizeof(length);
}

static int64_t get_xattr(const struct vr_snapshot_server *server, uint64_t entry, const struct vr_fuse_request *request,
                         void *out, size_t room)
{
    const struct fuse_getxattr_in *in = body_of(request, sizeof(*in));
    size_t length;
    const char *name = name_of(request, sizeof(*in), &length);
    if (server->without_xattrs)
        return -ENOSYS;
    if (!in || !name)
        return -EINVAL;
    if (is_hidden(server, name))
        return -ENODATA;
    room = in->size < room ? in->size : room;
    return sized_reply(vrift_snapshot_getxattr(server->snapshot, entry, name, in->size ? out : NULL, room), in->size,
                       out);
}

static int64_t list_xattrs(const struct vr_snapshot_server *server, uint64_t entry,
                           const struct vr_fuse_request *request, void *out, size_t room)
{
    const struct fuse_getxattr_in *in = body_of(request, sizeof(*in));
    if (server->without_xattrs)
        return -ENOSYS;
    if (!in)
        return -EINVAL;
    room = in->size < room ? in->size : room;
    return sized_reply(vrift_snapshot_listxattr(server->snapshot, entry, in->size ? out : NULL, room), in->size, out);
}

static int64_t seek(const struct vr_snapshot_server *server, uint64_t entry, const struct vr_fuse_request *request,
                    struct fuse_lseek_out *out)
{
    const struct fuse_lseek_in *in = body_of(request, sizeof(*in));
    int64_t result;
    if (!in)
        return -EINVAL;
    if (in->whence != VRIFT_SEEK_DATA && in->whence != VRIFT_SEEK_HOLE)
        return -EINVAL;
    result = vrift_snapshot_seek(server->snapshot, entry, in->offset, (int32_t)in->whence);
    if (result < 0)
        return to_errno(result);
    memset(out, 0, sizeof(*out));
    out->offset = (uint64_t)result;
    return sizeof(*out);
}

static int64_t statfs_of(const struct vr_snapshot_server *server, struct fuse_statfs_out *out)
{
    struct vrift_snapshot_info info;
    int32_t result = vrift_snapshot_info(server->snapshot, &info);
    if (result < 0)
        return to_errno(result);
    memset(out, 0, sizeof(*out));
    out->st.bsize = 4096;
    out->st.frsize = 4096;
    out->st.blocks = info.bytes / 4096 + (info.bytes % 4096 != 0);
    out->st.files = info.files + info.directories + info.symlinks + info.specials;
    out->st.namelen = VRIFT_NAME_MAX;
    return sizeof(*out);
}

/*
 * What is answered with ENOSYS is not sent again by the kernel: it then opens and closes without a message and checks
 * permissions itself.
 */
static int64_t handle(void *payload, const struct vr_fuse_request *request, void *out, size_t room)
{
    const struct vr_snapshot_server *server = payload;
    int64_t entry = entry_of(server, request->node);
    if (request->opcode == FUSE_STATFS)
        return statfs_of(server, out);
    if (entry < 0)
        return entry;
    switch (request->opcode) {
    case FUSE_LOOKUP:
        return lookup(server, (uint64_t)entry, request, out);
    case FUSE_GETATTR:
        return getattr(server, (uint64_t)entry, out);
    case FUSE_READLINK:
        return to_errno(vrift_snapshot_readlink(server->snapshot, (uint64_t)entry, out, room < 4095 ? room : 4095));
    case FUSE_READ:
        return read_file(server, (uint64_t)entry, request, out, room);
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
        return read_directory(server, (uint64_t)entry, request, out, room);
    case FUSE_GETXATTR:
        return get_xattr(server, (uint64_t)entry, request, out, room);
    case FUSE_LISTXATTR:
        return list_xattrs(server, (uint64_t)entry, request, out, room);
    case FUSE_LSEEK:
        return seek(server, (uint64_t)entry, request, out);
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
        return 0;
    case FUSE_SETATTR:
    case FUSE_SYMLINK:
    case FUSE_MKNOD:
    case FUSE_MKDIR:
    case FUSE_UNLINK:
    case FUSE_RMDIR:
    case FUSE_RENAME:
    case FUSE_RENAME2:
    case FUSE_LINK:
    case FUSE_WRITE:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_CREATE:
    case FUSE_FALLOCATE:
        return -EROFS;
    case FUSE_IOCTL:
        return -ENOTTY;
    default: /* OPEN, OPENDIR, ACCESS, FLUSH, FSYNC, STATX ... */
        return -ENOSYS;
    }
}

int32_t vr_snapshot_server_init(struct vr_snapshot_server *server, vrift_snapshot *snapshot)
{
    struct vrift_snapshot_info info;
    int32_t result = vrift_snapshot_info(snapshot, &info);
    if (result < 0)
        return result;
    memset(server, 0, sizeof(*server));
    server->snapshot = snapshot;
    server->entries = info.entries;
    server->without_xattrs = !(info.flags & VRIFT_SNAPSHOT_XATTRS);
    return 0;
}

/* The kernel is to ask for access lists and obey them where there can be any. */
struct vr_fuse_session_config vr_snapshot_server_config(struct vr_snapshot_server *server, int32_t threads)
{
    return (struct vr_fuse_session_config){
        .threads = threads,
        .max_write = 4096,
        .wanted = vr_fuse_session_read_only | (server->without_xattrs ? 0 : FUSE_POSIX_ACL),
        .handler = handle,
        .payload = server,
    };
}
