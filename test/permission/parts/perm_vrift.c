/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The side of libvrift, over its three backends that can be written to. */
#include "permission/perm_test.h"

#include "support/kernel.h"

#include <sys/stat.h>

#define AT VRIFT_AT_FDCWD

/* -- The calls ----------------------------------------------------------------------------------------------------- */

static int64_t open_and_close(vrift_task *task, int32_t fd)
{
    if (fd >= 0)
        vrift_close(task, fd);
    return fd < 0 ? fd : 0;
}

static int64_t with_open(vrift_task *task, const struct perm_question *q)
{
    bool by_read = q->call == PERM_FSETXATTR || q->call == PERM_SETFLAGS || q->call == PERM_GETFLAGS;
    uint64_t flags = by_read ? VRIFT_O_RDONLY : q->flags;
    int64_t result;
    int32_t fd = vrift_openat(task, AT, q->path, flags | VRIFT_O_NONBLOCK, 0);
    if (fd < 0)
        return fd;
    switch (q->call) {
    case PERM_WRITE:
        result = vrift_write(task, fd, "w", 1);
        break;
    case PERM_FTRUNCATE:
        result = vrift_ftruncate(task, fd, q->length);
        break;
    case PERM_FALLOCATE:
        result = vrift_fallocate(task, fd, q->length, 0, 4096);
        break;
    case PERM_SETFL:
        result = vrift_setfl(task, fd, q->length | VRIFT_O_NONBLOCK);
        break;
    case PERM_FSETXATTR:
        result = vrift_fsetxattr(task, fd, q->name, q->value, q->value_length, q->flags);
        break;
    case PERM_SETFLAGS:
        result = vrift_setflags(task, fd, "", q->flags, VRIFT_AT_EMPTY_PATH);
        break;
    default:
        result = vrift_getflags(task, fd, "", VRIFT_AT_EMPTY_PATH, &flags);
        result = result < 0 ? result : (int64_t)flags;
    }
    vrift_close(task, fd);
    return result;
}

static int64_t name_tmpfile(vrift_task *task, const struct perm_question *q)
{
    int32_t fd = vrift_openat(task, AT, q->path, VRIFT_O_TMPFILE | VRIFT_O_RDWR, q->mode & 07777);
    if (fd < 0)
        return fd;
    int64_t result = vrift_linkat(task, fd, "", AT, q->other, VRIFT_AT_EMPTY_PATH);
    vrift_close(task, fd);
    return result;
}

static int64_t change_times(vrift_task *task, const struct perm_question *q)
{
    static const struct vrift_timespec kinds[] = {{0, VRIFT_UTIME_NOW, 0}, {0, VRIFT_UTIME_OMIT, 0}, {1000, 5, 0}};
    struct vrift_timespec times[2] = {kinds[q->mode % 3], kinds[q->mode / 3 % 3]};
    return vrift_utimensat(task, AT, q->path, q->mode == 9 ? NULL : times, 0);
}

static int64_t change_root(vrift_task *task, const struct perm_question *q)
{
    vrift_task *other;
    check_ok(vrift_task_fork(task, &other));
    int64_t result = vrift_chroot(other, q->path);
    vrift_task_free(other);
    return result;
}

static int64_t read_xattr(vrift_task *task, const struct perm_question *q, struct perm_answer *a)
{
    int64_t got = q->call == PERM_LISTXATTR
                      ? vrift_listxattrat(task, AT, q->path, (char *)a->bytes, q->length, VRIFT_AT_SYMLINK_NOFOLLOW)
                      : vrift_getxattrat(task, AT, q->path, q->name, a->bytes, q->length, VRIFT_AT_SYMLINK_NOFOLLOW);
    a->length = got > 0 && q->length ? (size_t)got : 0;
    return got;
}

static int64_t call(vrift_task *task, const struct perm_question *q, struct perm_answer *a)
{
    switch (q->call) {
    case PERM_OPEN:
        return open_and_close(task, vrift_openat(task, AT, q->path, q->flags | VRIFT_O_NONBLOCK, q->mode));
    case PERM_TMPFILE:
        return name_tmpfile(task, q);
    case PERM_MKDIR:
        return vrift_mkdirat(task, AT, q->path, q->mode);
    case PERM_MKNOD:
        return vrift_mknodat(task, AT, q->path, q->mode, VRIFT_MKDEV(1, 3));
    case PERM_SYMLINK:
        return vrift_symlinkat(task, q->other, AT, q->path);
    case PERM_LINK:
        return vrift_linkat(task, AT, q->path, AT, q->other, q->flags);
    case PERM_UNLINK:
        return vrift_unlinkat(task, AT, q->path, 0);
    case PERM_RMDIR:
        return vrift_unlinkat(task, AT, q->path, VRIFT_AT_REMOVEDIR);
    case PERM_RENAME:
        return vrift_renameat2(task, AT, q->path, AT, q->other, q->flags);
    case PERM_CHMOD:
        return vrift_fchmodat(task, AT, q->path, q->mode & 07777, 0);
    case PERM_CHOWN:
        return vrift_fchownat(task, AT, q->path, q->uid, q->gid, q->flags);
    case PERM_UTIMES:
        return change_times(task, q);
    case PERM_TRUNCATE:
        return vrift_truncate(task, q->path, q->length);
    case PERM_ACCESS:
        return vrift_faccessat(task, AT, q->path, q->mode, 0);
    case PERM_CHDIR:
        return vrift_chdir(task, q->path);
    case PERM_CHROOT:
        return change_root(task, q);
    case PERM_SETXATTR:
        return vrift_setxattrat(task, AT, q->path, q->name, q->value, q->value_length,
                                q->flags | VRIFT_AT_SYMLINK_NOFOLLOW);
    case PERM_REMOVEXATTR:
        return vrift_removexattrat(task, AT, q->path, q->name, VRIFT_AT_SYMLINK_NOFOLLOW);
    case PERM_GETXATTR:
    case PERM_LISTXATTR:
        return read_xattr(task, q, a);
    default:
        return with_open(task, q);
    }
}

static void ask(struct perm_side *side, const struct perm_question *q, struct perm_answer *a)
{
    struct vrift_cred_options options = {.size = sizeof options,
                                         .uid = q->who.uid,
                                         .gid = q->who.gid,
                                         .group_count = q->who.group_count,
                                         .groups = q->who.groups,
                                         .capabilities = q->who.capabilities};
    vrift_cred *cred;
    check_ok(vrift_cred_new(side->vfs, &options, &cred));
    check_ok(vrift_task_set_cred(side->task, cred));
    vrift_cred_unref(cred);
    check_ok(vrift_umask(side->task, q->umask));
    a->length = 0;
    a->result = call(side->task, q, a);
    if (q->call == PERM_CHDIR) { /* and back, as root */
        check_ok(vrift_cred_new(side->vfs, NULL, &cred));
        check_ok(vrift_task_set_cred(side->task, cred));
        vrift_cred_unref(cred);
        check_ok(vrift_chdir(side->task, "/"));
    }
}

/* -- The tree ------------------------------------------------------------------------------------------------------ */

/* Takes over the reference. */
static void look_into(struct perm_side *side, vrift_sb *sb)
{
    check_ok(vrift_ns_new(side->vfs, sb, 0, &side->ns));
    check_ok(vrift_task_new(side->ns, NULL, NULL, &side->task));
    check_ok(vrift_task_new(side->ns, NULL, NULL, &side->watcher));
    vrift_sb_unref(sb);
}

static void look_away(struct perm_side *side)
{
    vrift_task_free(side->task);
    vrift_task_free(side->watcher);
    vrift_ns_unref(side->ns);
}

static void begin_vfs(struct perm_side *side)
{
    const struct vrift_vfs_options options = {.size = sizeof options, .protect = kernel_protection()};
    check_ok(vrift_vfs_new(&options, &side->vfs));
}

static vrift_sb *new_mem(struct perm_side *side)
{
    vrift_sb *sb;
    const struct vrift_mem_options options = {.size = sizeof options, .root_mode = 0777};
    check_ok(vrift_mem_new(side->vfs, &options, &sb));
    return sb;
}

static void begin_mem(struct perm_side *side)
{
    begin_vfs(side);
    look_into(side, new_mem(side));
}

static void begin_host(struct perm_side *side)
{
    char path[4200];
    vrift_sb *sb;
    struct vrift_host_options options = {.size = sizeof options, .flags = side->variant ? VRIFT_HOST_EXCLUSIVE : 0};
    begin_vfs(side);
    snprintf(path, sizeof path, "%s/%u", side->directory, side->trees++);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chmod(path, 0777), 0);
    check_ok(vrift_host_new(side->vfs, path, &options, &sb));
    look_into(side, sb);
}

/* Gives the upper's root, which is the overlay's, what the lower's has: as whoever makes a workspace does. */
static void copy_root(vrift_task *from, vrift_task *to)
{
    struct vrift_stat st;
    char names[1024], value[PERM_VALUE];
    check_ok(vrift_statat(from, AT, "/", 0, &st));
    check_ok(vrift_fchownat(to, AT, "/u", st.uid, st.gid, 0));
    int64_t length = check_ok(vrift_listxattrat(from, AT, "/", names, sizeof names, 0));
    for (int64_t at = 0; at < length; at += (int64_t)strlen(names + at) + 1) {
        int64_t size = check_ok(vrift_getxattrat(from, AT, "/", names + at, value, sizeof value, 0));
        check_ok(vrift_setxattrat(to, AT, "/u", names + at, value, (size_t)size, 0));
    }
    check_ok(vrift_fchmodat(to, AT, "/u", st.mode & 07777, 0));
}

static void settle(struct perm_side *side, uint64_t mount_flags)
{
    if (mount_flags)
        check_ok(vrift_remount(side->watcher, AT, "/", mount_flags));
}

/* Looks into an overlay instead of the lower layer. */
static void put_overlay(struct perm_side *side)
{
    struct vrift_overlay_layer lower = {side->layers[0], NULL}, upper = {side->layers[1], "/u"};
    struct vrift_overlay_options options = {
        .size = sizeof options, .lower_count = 1, .lower = &lower, .upper = &upper, .work = "/w"};
    vrift_sb *sb;
    vrift_ns *ns;
    vrift_task *maker;
    uint64_t flags;
    check_ok(vrift_ns_new(side->vfs, side->layers[1], 0, &ns));
    check_ok(vrift_task_new(ns, NULL, NULL, &maker));
    check_ok(vrift_mkdirat(maker, AT, "/u", 0755));
    check_ok(vrift_mkdirat(maker, AT, "/w", 0755));
    copy_root(side->watcher, maker);
    check_ok(vrift_getflags(side->watcher, AT, "/", 0, &flags));
    vrift_task_free(maker);
    vrift_ns_unref(ns);
    look_away(side);
    check_ok(vrift_overlay_new(side->vfs, &options, &sb));
    look_into(side, sb);
    check_ok(vrift_setflags(side->watcher, AT, "/", flags, 0));
}

/* The first questions fill what becomes the lower layer, or all of them the upper. */
static void begin_overlay(struct perm_side *side)
{
    begin_vfs(side);
    side->layers[0] = new_mem(side);
    side->layers[1] = new_mem(side);
    look_into(side, vrift_sb_ref(side->layers[0]));
    if (side->variant)
        put_overlay(side);
}

static void settle_overlay(struct perm_side *side, uint64_t mount_flags)
{
    if (!side->variant)
        put_overlay(side);
    settle(side, mount_flags);
}

/* What the first questions made below the host's directory is imported. */
static void settle_snapshot(struct perm_side *side, uint64_t mount_flags)
{
    struct vrift_store_options options = {
        .size = sizeof options, .durability = VRIFT_DURABILITY_NONE, .flags = VRIFT_STORE_CREATE};
    struct vrift_import_options import = {.size = sizeof import, .jobs = 1};
    struct vrift_import_result result;
    char path[4200], store_path[4200];
    vrift_store *store;
    vrift_snapshot *snapshot;
    vrift_sb *sb;
    (void)mount_flags;
    snprintf(path, sizeof path, "%s/%u", side->directory, side->trees - 1);
    snprintf(store_path, sizeof store_path, "%s/store", side->directory);
    check_ok(vrift_store_open(store_path, &options, &store));
    check_ok(vrift_import(store, path, &import, &result));
    check_ok(vrift_snapshot_open(store, &result.snapshot, &snapshot));
    vrift_store_close(store);
    look_away(side);
    check_ok(vrift_cas_new(side->vfs, snapshot, &sb));
    vrift_snapshot_unref(snapshot);
    look_into(side, sb);
}

static void end(struct perm_side *side)
{
    look_away(side);
    vrift_sb_unref(side->layers[0]);
    vrift_sb_unref(side->layers[1]);
    side->layers[0] = side->layers[1] = NULL;
    vrift_vfs_free(side->vfs);
}

static int32_t stat_one(struct perm_side *side, const char *path, struct vrift_stat *out)
{
    return vrift_statat(side->watcher, AT, path, VRIFT_AT_SYMLINK_NOFOLLOW, out);
}

static int64_t list_one(struct perm_side *side, const char *path, char *buf, size_t len)
{
    return vrift_listxattrat(side->watcher, AT, path, buf, len, VRIFT_AT_SYMLINK_NOFOLLOW);
}

static int64_t get_one(struct perm_side *side, const char *path, const char *name, void *buf, size_t len)
{
    return vrift_getxattrat(side->watcher, AT, path, name, buf, len, VRIFT_AT_SYMLINK_NOFOLLOW);
}

#define SIDE .end = end, .ask = ask, .stat = stat_one, .list = list_one, .get = get_one

const struct perm_side perm_mem = {.name = "mem", .flags = UINT64_MAX, .begin = begin_mem, .settle = settle, SIDE};
const struct perm_side perm_host = {.name = "host",

                                    .beneath = true,
                                    .flags = ~VRIFT_FL_NOATIME,
                                    .begin = begin_host,
                                    .settle = settle,
                                    SIDE};
const struct perm_side perm_overlay = {.name = "overlay",

                                       .layered = true,
                                       .flags = VRIFT_FL_IMMUTABLE | VRIFT_FL_APPEND,
                                       .begin = begin_overlay,
                                       .settle = settle_overlay,
                                       SIDE};
const struct perm_side perm_snapshot = {.name = "snapshot",

                                        .beneath = true,
                                        .layered = true,
                                        .imported = true,
                                        .begin = begin_host,
                                        .settle = settle_snapshot,
                                        SIDE};
