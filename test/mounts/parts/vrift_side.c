/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Our side: the processes are tasks. */
#include "mounts/mounts.h"

#include "support/world.h"

#include <stdlib.h>
#include <string.h>

#define HERE VRIFT_AT_FDCWD

struct vrift_side {
    struct world *world; /* its file system is the root that nobody sees */
    vrift_task *tasks[PROCESSES];
    int32_t kept[PROCESSES];
};

static void populate(vrift_task *task, const char *path)
{
    static const char *const names[] = {"a", "b"};
    char name[PATH_SIZE + 8];
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s/%s", path, names[i]);
        vrift_mkdirat(task, HERE, name, 0755);
    }
    snprintf(name, sizeof name, "%s/f", path);
    int32_t fd = vrift_openat(task, HERE, name, VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644);
    if (fd >= 0)
        vrift_close(task, fd);
}

static int64_t mount_new(struct vrift_side *v, vrift_task *task, const char *path, const char *source, uint64_t flags)
{
    vrift_sb *sb;
    int64_t result = vrift_mem_new(v->world->vfs, NULL, &sb);
    if (!result) {
        check_ok(vrift_sb_set_source(sb, source));
        result = vrift_mount(task, HERE, path, sb, flags);
        vrift_sb_unref(sb);
    }
    if (!result)
        populate(task, path);
    return result;
}

static int64_t set_attributes(vrift_task *task, const struct step *step)
{
    struct vrift_mount_attr attr = {
        .size = sizeof attr, .set = step->flags, .clear = step->clear, .propagation = step->type};
    return vrift_mount_setattr(task, HERE, step->one, step->number ? VRIFT_AT_RECURSIVE : 0, &attr);
}

static int64_t expire(vrift_task *task, const char *path)
{
    struct vrift_stat st;
    int64_t first = vrift_umount(task, HERE, path, VRIFT_UMOUNT_EXPIRE);
    int64_t second = vrift_umount(task, HERE, path, VRIFT_UMOUNT_EXPIRE);
    vrift_statat(task, HERE, path, 0, &st);
    return first * 1000 + second;
}

static int64_t keep_open(struct vrift_side *v, const struct step *s)
{
    vrift_task *task = v->tasks[s->process];
    int32_t fd = vrift_openat(task, HERE, s->one, VRIFT_O_RDONLY, 0);
    if (fd < 0)
        return fd;
    if (v->kept[s->process] >= 0)
        vrift_close(task, v->kept[s->process]);
    v->kept[s->process] = fd;
    return 0;
}

static int64_t close_kept(struct vrift_side *v, uint32_t process)
{
    if (v->kept[process] < 0)
        return -VRIFT_EBADF;
    int64_t result = vrift_close(v->tasks[process], v->kept[process]);
    v->kept[process] = -1;
    return result;
}

static int64_t resolve(vrift_task *task, const struct step *step)
{
    struct vrift_open_how how = {.size = sizeof how, .flags = VRIFT_O_PATH, .resolve = step->flags};
    int32_t fd = vrift_openat2(task, HERE, step->one, &how);
    return fd < 0 ? fd : vrift_close(task, fd);
}

static int64_t create(vrift_task *task, const char *path)
{
    int32_t fd = vrift_openat(task, HERE, path, VRIFT_O_CREAT | VRIFT_O_EXCL | VRIFT_O_WRONLY, 0644);
    return fd < 0 ? fd : vrift_close(task, fd);
}

static int64_t enter(struct vrift_side *v, const struct step *s)
{
    vrift_ns *ns = vrift_task_ns(v->tasks[s->other]);
    int64_t result = vrift_task_set_ns(v->tasks[s->process], ns);
    vrift_ns_unref(ns);
    return result;
}

static int64_t vrift_run(void *self, const struct step *s)
{
    struct vrift_side *v = self;
    vrift_task *task = v->tasks[s->process];
    char source[16];
    switch (s->operation) {
    case OP_MOUNT:
        snprintf(source, sizeof source, "t%u", s->number);
        return mount_new(v, task, s->one, source, s->flags);
    case OP_BIND:
        return vrift_bind(task, HERE, s->one, HERE, s->two, s->flags);
    case OP_MOVE:
        return vrift_mount_move(task, HERE, s->one, HERE, s->two, 0);
    case OP_PROPAGATE:
        return vrift_mount_propagation(task, HERE, s->one, s->type);
    case OP_REMOUNT:
        return vrift_remount(task, HERE, s->one, s->flags);
    case OP_SETATTR:
        return set_attributes(task, s);
    case OP_UMOUNT:
        return vrift_umount(task, HERE, s->one, s->flags);
    case OP_EXPIRE:
        return expire(task, s->one);
    case OP_PIVOT:
        return vrift_pivot_root(task, s->one, s->two);
    case OP_CHROOT:
        return vrift_chroot(task, s->one);
    case OP_CHDIR:
        return vrift_chdir(task, s->one);
    case OP_UNSHARE:
        return vrift_task_unshare_ns(task, 0);
    case OP_FORK:
        v->kept[s->other] = v->kept[s->process];
        return vrift_task_fork(task, &v->tasks[s->other]);
    case OP_EXIT:
        vrift_task_free(task);
        v->tasks[s->process] = NULL;
        return 0;
    case OP_SETNS:
        return enter(v, s);
    case OP_MKDIR:
        return vrift_mkdirat(task, HERE, s->one, 0755);
    case OP_RMDIR:
        return vrift_unlinkat(task, HERE, s->one, VRIFT_AT_REMOVEDIR);
    case OP_UNLINK:
        return vrift_unlinkat(task, HERE, s->one, 0);
    case OP_CREATE:
        return create(task, s->one);
    case OP_RENAME:
        return vrift_renameat2(task, HERE, s->one, HERE, s->two, 0);
    case OP_EXCHANGE:
        return vrift_renameat2(task, HERE, s->one, HERE, s->two, VRIFT_RENAME_EXCHANGE);
    case OP_LINK:
        return vrift_linkat(task, HERE, s->one, HERE, s->two, 0);
    case OP_OPEN:
        return keep_open(v, s);
    case OP_CLOSE:
        return close_kept(v, s->process);
    case OP_SYMLINK:
        return vrift_symlinkat(task, s->one, HERE, s->two);
    case OP_RESOLVE:
        return resolve(task, s);
    case OP_FCHDIR:
        return v->kept[s->process] < 0 ? -VRIFT_EBADF : vrift_fchdir(task, v->kept[s->process]);
    default:
        return -VRIFT_ENOSYS;
    }
}

static void vrift_look(void *self, uint32_t process, char (*paths)[PATH_SIZE], struct view *out)
{
    struct vrift_side *v = self;
    vrift_task *task = v->tasks[process];
    int64_t length = check_ok(vrift_mountinfo(task, NULL, 0));
    out->mountinfo = malloc((size_t)length + 1);
    assert_int_equal(vrift_mountinfo(task, out->mountinfo, (size_t)length + 1), length);
    int64_t cwd = vrift_getcwd(task, out->cwd, sizeof out->cwd);
    if (cwd < 0)
        snprintf(out->cwd, sizeof out->cwd, "error %d", (int)-cwd);
    for (int i = 0; i < PROBES; i++) {
        struct vrift_stat st;
        struct probe *probe = &out->probes[i];
        memset(probe, 0, sizeof *probe);
        probe->result = vrift_statat(task, HERE, paths[i], VRIFT_AT_SYMLINK_NOFOLLOW, &st);
        if (probe->result)
            continue;
        probe->dev = st.dev;
        probe->ino = st.ino;
        probe->mount = st.mount_id;
    }
}

static void vrift_end(void *self)
{
    struct vrift_side *v = self;
    for (int i = 0; i < PROCESSES; i++)
        vrift_task_free(v->tasks[i]);
    world_free(v->world);
    free(v);
}

bool vrift_side_is_root(struct side *ours, uint32_t process, const char *path)
{
    struct vrift_side *v = ours->self;
    vrift_task *task = v->tasks[process];
    struct vrift_stat root, st;
    struct vrift_mount_info info;
    char texts[4096];
    if (vrift_statat(task, HERE, "/", 0, &root) || vrift_statat(task, HERE, path, 0, &st))
        return false;
    /* What lies below the root, out of sight, may have it on top. */
    return root.mount_id == st.mount_id || vrift_mount_stat(task, st.mount_id, &info, texts, sizeof texts);
}

static int32_t VRIFT_CALLBACK find_hidden(const struct vrift_mount_info *info, void *payload)
{
    (void)payload;
    return strcmp(info->source, "mem") == 0;
}

bool vrift_side_is_bare(struct side *ours, uint32_t process)
{
    struct vrift_side *v = ours->self;
    vrift_task *guest;
    vrift_ns *ns = vrift_task_ns(v->tasks[process]);
    check_ok(vrift_task_new(ns, NULL, NULL, &guest));
    bool bare = vrift_mount_list(guest, find_hidden, NULL);
    vrift_task_free(guest);
    vrift_ns_unref(ns);
    return bare;
}

struct picking {
    uint32_t left;
    char *path;
};

static int32_t VRIFT_CALLBACK pick_one(const struct vrift_mount_info *info, void *payload)
{
    struct picking *picking = payload;
    if (picking->left--)
        return 0;
    snprintf(picking->path, PATH_SIZE, "%s", info->point);
    return 1;
}

void vrift_side_mount_point(struct side *ours, uint32_t process, uint32_t pick, char path[PATH_SIZE])
{
    bool alive[PROCESSES] = {false};
    alive[process] = true;
    uint32_t count = vrift_side_count(ours, alive);
    struct vrift_side *v = ours->self;
    struct picking picking = {count ? pick % count : 0, path};
    strcpy(path, "/");
    check_error(count ? 1 : 0, vrift_mount_list(v->tasks[process], pick_one, &picking));
}

static int32_t VRIFT_CALLBACK count_one(const struct vrift_mount_info *info, void *payload)
{
    (void)info;
    ++*(uint32_t *)payload;
    return 0;
}

uint32_t vrift_side_count(struct side *ours, const bool *alive)
{
    struct vrift_side *v = ours->self;
    uint32_t count = 0;
    for (int i = 0; i < PROCESSES; i++)
        if (alive[i])
            check_ok(vrift_mount_list(v->tasks[i], count_one, &count));
    return count;
}

void vrift_side_begin(struct side *side)
{
    struct vrift_side *v = calloc(1, sizeof *v);
    v->world = world_new(NULL);
    for (int i = 0; i < PROCESSES; i++)
        v->kept[i] = -1;
    check_ok(mount_new(v, v->world->task, "/", "base", 0));
    check_ok(vrift_task_new(v->world->ns, NULL, NULL, &v->tasks[0]));
    /* Nobody but the tasks shall keep the first namespace. */
    vrift_task_free(v->world->task);
    vrift_ns_unref(v->world->ns);
    v->world->task = NULL;
    v->world->ns = NULL;
    populate(v->tasks[0], "/");
    populate(v->tasks[0], "/a");
    populate(v->tasks[0], "/b");
    *side = (struct side){.name = "libvrift", .run = vrift_run, .look = vrift_look, .end = vrift_end, .self = v};
}
