/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Mount trees without a kernel to compare with: lists, limits, want of memory, bad arguments, threads. */
#include "support/world.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HERE VRIFT_AT_FDCWD

static void make_dirs(struct world *w, const char *const *paths)
{
    for (; *paths; paths++)
        check_ok(vrift_mkdirat(w->task, HERE, *paths, 0755));
}

static void mount_new(struct world *w, vrift_task *task, const char *path, const char *source)
{
    vrift_sb *sb;
    check_ok(vrift_mem_new(w->vfs, NULL, &sb));
    if (source)
        check_ok(vrift_sb_set_source(sb, source));
    check_ok(vrift_mount(task, HERE, path, sb, 0));
    vrift_sb_unref(sb);
}

static char *mountinfo(vrift_task *task)
{
    int64_t length = check_ok(vrift_mountinfo(task, NULL, 0));
    char *text = malloc((size_t)length + 1);
    assert_int_equal(vrift_mountinfo(task, text, (size_t)length + 1), length);
    return text;
}

/* -- Lists ----------------------------------------------------------------------------------------------------------- */

static void lines_are_those_of_mountinfo(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    make_dirs(w, (const char *const[]){"/a b", "/a b/t\tn", "/c", "/d", NULL});
    mount_new(w, w->task, "/a b", "so#ur ce\\");
    check_ok(vrift_mkdirat(w->task, HERE, "/a b/x\ny", 0755));
    check_ok(vrift_mount_propagation(w->task, HERE, "/a b", VRIFT_MOUNT_SHARED));
    check_ok(vrift_bind(w->task, HERE, "/a b/x\ny", HERE, "/c", VRIFT_MOUNT_NOSUID | VRIFT_MOUNT_NOATIME));
    check_ok(vrift_mount_propagation(w->task, HERE, "/c", VRIFT_MOUNT_SLAVE));
    check_ok(vrift_bind(w->task, HERE, "/c", HERE, "/d", VRIFT_MOUNT_RDONLY | VRIFT_MOUNT_STRICTATIME));
    check_ok(vrift_mount_propagation(w->task, HERE, "/d", VRIFT_MOUNT_UNBINDABLE));
    check_ok(vrift_unlinkat(w->task, HERE, "/a b/x\ny", VRIFT_AT_REMOVEDIR));
    char *text = mountinfo(w->task);
    assert_string_equal(text, "1 1 0:1 / / rw,relatime - mem mem rw\n"
                              "2 1 0:2 / /a\\040b rw,relatime shared:1 - mem so\\043ur\\040ce\\134 rw\n"
                              "3 1 0:2 /x\\012y//deleted /c rw,nosuid,noatime master:1 - mem so\\043ur\\040ce\\134 rw\n"
                              "4 1 0:2 /x\\012y//deleted /d ro,nosuid unbindable - mem so\\043ur\\040ce\\134 rw\n");
    check_error(-VRIFT_ERANGE, vrift_mountinfo(w->task, text, strlen(text)));
    free(text);
    /* From below a root only what is below it is seen, without what the root lies in. */
    check_ok(vrift_chroot(w->task, "/d"));
    text = mountinfo(w->task);
    assert_string_equal(text, "4 1 0:2 /x\\012y//deleted / ro,nosuid unbindable - mem so\\043ur\\040ce\\134 rw\n");
    free(text);
    world_free(w);
}

static int32_t VRIFT_CALLBACK stop_at_second(const struct vrift_mount_info *info, void *payload)
{
    uint64_t *last = payload;
    assert_int_equal(info->size, sizeof *info);
    assert_true(info->id > *last);
    *last = info->id;
    return info->id == 2 ? 77 : 0;
}

static void one_mount_is_described_by_its_number(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct vrift_mount_info info;
    struct vrift_statfs fs;
    char buf[64];
    make_dirs(w, (const char *const[]){"/a", "/b", NULL});
    mount_new(w, w->task, "/a", "here");
    check_ok(vrift_mount_propagation(w->task, HERE, "/a", VRIFT_MOUNT_SHARED));
    check_ok(vrift_bind(w->task, HERE, "/a", HERE, "/b", VRIFT_MOUNT_NODEV | VRIFT_MOUNT_NODIRATIME));
    check_ok(vrift_mount_stat(w->task, world_stat(w, "/b").mount_id, &info, buf, sizeof buf));
    assert_string_equal(info.point, "/b");
    assert_string_equal(info.root, "/");
    assert_string_equal(info.type, "mem");
    assert_string_equal(info.source, "here");
    assert_int_equal(info.parent, world_stat(w, "/").mount_id);
    assert_int_equal(info.dev, world_stat(w, "/b").dev);
    assert_int_equal(info.propagation, VRIFT_MOUNT_SHARED);
    assert_int_equal(info.flags, VRIFT_MOUNT_NODEV | VRIFT_MOUNT_NODIRATIME | VRIFT_MOUNT_RELATIME);
    check_ok(vrift_statfs(w->task, HERE, "/b", &fs));
    assert_int_equal(fs.flags, VRIFT_MOUNT_NODEV | VRIFT_MOUNT_NODIRATIME | VRIFT_MOUNT_RELATIME);
    check_error(-VRIFT_ERANGE, vrift_mount_stat(w->task, info.id, &info, buf, 4));
    check_error(-VRIFT_ENOENT, vrift_mount_stat(w->task, 999, &info, buf, sizeof buf));
    uint64_t last = 0;
    check_error(77, vrift_mount_list(w->task, stop_at_second, &last));
    world_free(w);
}

/* -- Arguments --------------------------------------------------------------------------------------------------------- */

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    struct world *w = world_new(NULL), *other = world_new(NULL);
    struct vrift_mount_attr attr = {.size = sizeof attr, .set = VRIFT_MOUNT_NOATIME | VRIFT_MOUNT_RELATIME};
    vrift_ns *ns;
    make_dirs(w, (const char *const[]){"/a", "/b", NULL});
    mount_new(w, w->task, "/a", NULL);
    check_error(-VRIFT_EINVAL, vrift_mount(w->task, HERE, "/b", w->sb, VRIFT_MOUNT_REC));
    check_error(-VRIFT_EINVAL, vrift_bind(w->task, HERE, "/a", HERE, "/b", VRIFT_MOUNT_SHARED));
    check_error(-VRIFT_EINVAL, vrift_mount_move(w->task, HERE, "/a", HERE, "/b", 1));
    check_error(-VRIFT_EINVAL, vrift_mount_propagation(w->task, HERE, "/a", VRIFT_MOUNT_SHARED | VRIFT_MOUNT_SLAVE));
    check_error(-VRIFT_EINVAL, vrift_mount_propagation(w->task, HERE, "/a", 0));
    check_error(-VRIFT_EINVAL, vrift_mount_setattr(w->task, HERE, "/a", 0, &attr));
    attr.set = 0;
    attr.propagation = VRIFT_MOUNT_SHARED | VRIFT_MOUNT_PRIVATE;
    check_error(-VRIFT_EINVAL, vrift_mount_setattr(w->task, HERE, "/a", 0, &attr));
    check_error(-VRIFT_EINVAL, vrift_umount(w->task, HERE, "/a", 0x10));
    check_error(-VRIFT_EINVAL, vrift_umount(w->task, HERE, "/a", VRIFT_UMOUNT_EXPIRE | VRIFT_UMOUNT_DETACH));
    check_error(-VRIFT_EINVAL, vrift_umount(w->task, HERE, "/a", VRIFT_UMOUNT_EXPIRE | VRIFT_UMOUNT_FORCE));
    check_error(-VRIFT_EINVAL, vrift_pivot_root(w->task, NULL, "/a"));
    check_error(-VRIFT_EINVAL, vrift_pivot_root(w->task, "/a", "/a")); /* the root is a namespace's own */
    check_error(-VRIFT_EINVAL, vrift_ns_clone(w->ns, 2, &ns));
    check_error(-VRIFT_EINVAL, vrift_task_unshare_ns(w->task, 2));
    check_error(-VRIFT_EINVAL, vrift_task_set_ns(w->task, other->ns));
    check_error(-VRIFT_EINVAL, vrift_mount_list(w->task, NULL, NULL));
    assert_null(vrift_task_ns(NULL));
    /* The same file system is not mounted on its own root. */
    check_error(-VRIFT_EBUSY, vrift_mount(w->task, HERE, "/", w->sb, 0));
    check_ok(vrift_mount(w->task, HERE, "/b", w->sb, 0));
    check_error(-VRIFT_EBUSY, vrift_mount(w->task, HERE, "/b", w->sb, 0));
    world_free(other);
    world_free(w);
}

static void who_may_not_change_mounts_hears_so_after_the_walk(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct vrift_mount_attr attr = {.size = sizeof attr, .set = VRIFT_MOUNT_RDONLY};
    make_dirs(w, (const char *const[]){"/a", "/b", NULL});
    mount_new(w, w->task, "/a", NULL);
    vrift_cred *user = world_cred(w, 1000, 1000);
    check_ok(vrift_task_set_cred(w->task, user));
    vrift_cred_unref(user);
    check_error(-VRIFT_EPERM, vrift_mount(w->task, HERE, "/b", w->sb, 0));
    check_error(-VRIFT_ENOENT, vrift_mount(w->task, HERE, "/x", w->sb, 0));
    check_error(-VRIFT_EPERM, vrift_bind(w->task, HERE, "/x", HERE, "/b", 0));
    check_error(-VRIFT_EPERM, vrift_mount_move(w->task, HERE, "/a", HERE, "/b", 0));
    check_error(-VRIFT_EPERM, vrift_remount(w->task, HERE, "/a", 0));
    check_error(-VRIFT_EPERM, vrift_mount_setattr(w->task, HERE, "/x", 0, &attr));
    check_error(-VRIFT_EPERM, vrift_mount_propagation(w->task, HERE, "/a", VRIFT_MOUNT_SHARED));
    check_error(-VRIFT_EPERM, vrift_umount(w->task, HERE, "/a", 0));
    check_error(-VRIFT_EPERM, vrift_pivot_root(w->task, "/a", "/a"));
    check_error(-VRIFT_EPERM, vrift_task_unshare_ns(w->task, 0));
    check_error(-VRIFT_EPERM, vrift_task_set_ns(w->task, w->ns));
    world_free(w);
}

/* -- Uses -------------------------------------------------------------------------------------------------------------- */

static void only_what_nobody_uses_expires(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct vrift_stat st;
    make_dirs(w, (const char *const[]){"/a", NULL});
    mount_new(w, w->task, "/a", NULL);
    world_file(w, "/a/f", "f");
    check_error(-VRIFT_EINVAL, vrift_umount(w->task, HERE, "/", VRIFT_UMOUNT_EXPIRE));
    check_error(-VRIFT_EAGAIN, vrift_umount(w->task, HERE, "/a", VRIFT_UMOUNT_EXPIRE));
    check_ok(vrift_statat(w->task, HERE, "/a/f", 0, &st));
    check_error(-VRIFT_EAGAIN, vrift_umount(w->task, HERE, "/a", VRIFT_UMOUNT_EXPIRE));
    world_expect(w, "/a/f", "f");
    check_error(-VRIFT_EAGAIN, vrift_umount(w->task, HERE, "/a", VRIFT_UMOUNT_EXPIRE));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/a/f", VRIFT_O_RDONLY, 0));
    check_error(-VRIFT_EBUSY, vrift_umount(w->task, HERE, "/a", VRIFT_UMOUNT_EXPIRE));
    check_ok(vrift_close(w->task, fd));
    check_error(-VRIFT_EAGAIN, vrift_umount(w->task, HERE, "/a", VRIFT_UMOUNT_EXPIRE));
    check_ok(vrift_umount(w->task, HERE, "/a", VRIFT_UMOUNT_EXPIRE));
    check_error(-VRIFT_EINVAL, vrift_umount(w->task, HERE, "/a", VRIFT_UMOUNT_EXPIRE));
    world_free(w);
}

static void all_below_becomes_read_only_or_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct vrift_mount_attr attr = {.size = sizeof attr, .set = VRIFT_MOUNT_RDONLY, .propagation = VRIFT_MOUNT_SHARED};
    make_dirs(w, (const char *const[]){"/a", NULL});
    mount_new(w, w->task, "/a", NULL);
    make_dirs(w, (const char *const[]){"/a/b", NULL});
    mount_new(w, w->task, "/a/b", NULL);
    char *before = mountinfo(w->task);
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/a/b/f", VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644));
    check_error(-VRIFT_EBUSY, vrift_mount_setattr(w->task, HERE, "/a", VRIFT_AT_RECURSIVE, &attr));
    char *after = mountinfo(w->task);
    assert_string_equal(after, before);
    check_ok(vrift_mkdirat(w->task, HERE, "/a/c", 0755));
    check_ok(vrift_close(w->task, fd));
    check_ok(vrift_mount_setattr(w->task, HERE, "/a", VRIFT_AT_RECURSIVE, &attr));
    check_error(-VRIFT_EROFS, vrift_mkdirat(w->task, HERE, "/a/b/c", 0755));
    free(before);
    free(after);
    world_free(w);
}

static void a_copy_may_be_a_slave(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_task *slave;
    vrift_ns *ns;
    make_dirs(w, (const char *const[]){"/a", "/b", NULL});
    check_ok(vrift_mount_propagation(w->task, HERE, "/", VRIFT_MOUNT_SHARED));
    check_ok(vrift_ns_clone(w->ns, VRIFT_NS_SLAVE, &ns));
    check_ok(vrift_task_new(ns, NULL, NULL, &slave));
    vrift_ns_unref(ns);
    mount_new(w, w->task, "/a", "above");
    mount_new(w, slave, "/b", "below");
    char *text = mountinfo(slave);
    assert_non_null(strstr(text, " /a rw,relatime master:"));
    assert_non_null(strstr(text, "below"));
    free(text);
    text = mountinfo(w->task);
    assert_null(strstr(text, "below"));
    free(text);
    /* A task that shares where it stands goes its own way with a namespace of its own. */
    vrift_task *fellow;
    check_ok(vrift_task_clone(w->task, VRIFT_CLONE_FS, &fellow));
    check_error(-VRIFT_EINVAL, vrift_task_set_ns(fellow, ns = vrift_task_ns(slave)));
    vrift_ns_unref(ns);
    check_ok(vrift_task_unshare_ns(fellow, VRIFT_NS_SLAVE));
    check_ok(vrift_chdir(fellow, "/a"));
    char cwd[16];
    check_ok(vrift_getcwd(w->task, cwd, sizeof cwd));
    assert_string_equal(cwd, "/");
    vrift_task_free(fellow);
    vrift_task_free(slave);
    world_free(w);
}

/* -- Limits ------------------------------------------------------------------------------------------------------------ */

static int32_t VRIFT_CALLBACK count_one(const struct vrift_mount_info *info, void *payload)
{
    (void)info;
    ++*(uint32_t *)payload;
    return 0;
}

static void a_namespace_holds_a_hundred_thousand_mounts(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    char path[64];
    int32_t result = 0;
    uint32_t before = 0, after = 0;
    make_dirs(w, (const char *const[]){"/a", NULL});
    for (int i = 0; i < 20 && !result; i++) {
        snprintf(path, sizeof path, "/a/%d", i);
        check_ok(vrift_mkdirat(w->task, HERE, path, 0755));
        before = 0;
        check_ok(vrift_mount_list(w->task, count_one, &before));
        result = vrift_bind(w->task, HERE, "/", HERE, path, VRIFT_MOUNT_REC);
    }
    check_error(-VRIFT_ENOSPC, result);
    check_ok(vrift_mount_list(w->task, count_one, &after));
    assert_int_equal(after, before);
    assert_true(after > 50000 && after <= 100000);
    world_free(w);
}

/* Memory runs out at each allocation in turn, in calls that propagate; what fails has changed nothing. */
static int32_t bind_all(struct world *w)
{
    return vrift_bind(w->task, HERE, "/t", HERE, "/p0/x", VRIFT_MOUNT_REC);
}
static int32_t move_all(struct world *w)
{
    return vrift_mount_move(w->task, HERE, "/t", HERE, "/p0/x", 0);
}
static int32_t mount_all(struct world *w)
{
    return vrift_mount(w->task, HERE, "/p0/x", w->sb, 0);
}
static int32_t unshare_all(struct world *w)
{
    return vrift_task_unshare_ns(w->task, 0);
}
static int32_t umount_all(struct world *w)
{
    return vrift_umount(w->task, HERE, "/p0", VRIFT_UMOUNT_DETACH);
}

static struct world *receivers(void)
{
    struct world *w = world_new(NULL);
    make_dirs(w, (const char *const[]){"/p0", "/p1", "/p2", "/p3", "/t", NULL});
    mount_new(w, w->task, "/p0", NULL);
    make_dirs(w, (const char *const[]){"/p0/x", NULL});
    check_ok(vrift_mount_propagation(w->task, HERE, "/p0", VRIFT_MOUNT_SHARED));
    check_ok(vrift_bind(w->task, HERE, "/p0", HERE, "/p1", 0));
    check_ok(vrift_bind(w->task, HERE, "/p0", HERE, "/p2", 0));
    check_ok(vrift_mount_propagation(w->task, HERE, "/p2", VRIFT_MOUNT_SLAVE));
    check_ok(vrift_mount_propagation(w->task, HERE, "/p2", VRIFT_MOUNT_SHARED));
    check_ok(vrift_bind(w->task, HERE, "/p2", HERE, "/p3", 0));
    mount_new(w, w->task, "/t", NULL);
    make_dirs(w, (const char *const[]){"/t/u", NULL});
    mount_new(w, w->task, "/t/u", NULL);
    return w;
}

/* How often a call was refused for want of memory before it succeeded, with so many other mounts around. */
static int refusals(int32_t (*call)(struct world *), int others)
{
    int32_t result = -VRIFT_ENOMEM;
    int refused = 0;
    struct world *w = receivers();
    for (int i = 0; i < others; i++)
        check_ok(vrift_bind(w->task, HERE, "/t", HERE, "/p3/x", 0));
    char *before = mountinfo(w->task);
    for (uint64_t left = 0; result; left++) {
        w->allocations_left = left;
        result = call(w);
        w->allocations_left = UINT64_MAX;
        if (!result)
            break;
        check_error(-VRIFT_ENOMEM, result);
        char *now = mountinfo(w->task);
        assert_string_equal(now, before);
        free(now);
        assert_true(++refused < 100);
    }
    free(before);
    world_free(w);
    return refused;
}

/* Mounts are allocated by the dozen: with others around, each call meets the end of a dozen at each of its mounts. */
static void without_memory_no_part_of_a_propagation_happens(void **state)
{
    (void)state;
    static int32_t (*const calls[])(struct world *) = {bind_all, move_all, mount_all, unshare_all, umount_all};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        int refused = 0;
        for (int others = 0; others < 40; others++)
            refused += refusals(calls[i], others);
        assert_true(calls[i] == umount_all ? refused == 0 : refused > 1);
    }
}

/* -- Threads ------------------------------------------------------------------------------------------------------------- */

#define THREADS 4

struct storm {
    struct world *world;
    _Atomic int stop;
    _Atomic uint64_t steps;
    _Atomic int32_t unexpected;
};

struct stormer {
    struct storm *storm;
    uint64_t seed;
};

static uint32_t roll(struct stormer *s, uint32_t sides)
{
    s->seed = s->seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(s->seed >> 33) % sides;
}

static void expect_usual(struct storm *storm, int32_t result)
{
    static const int32_t usual[] = {-VRIFT_ENOENT, -VRIFT_EINVAL, -VRIFT_EBUSY,  -VRIFT_ELOOP,    -VRIFT_ENOTDIR,
                                    -VRIFT_EEXIST, -VRIFT_EXDEV,  -VRIFT_EAGAIN, -VRIFT_ENOTEMPTY};
    int32_t none = 0;
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        if (result == usual[i])
            return;
    if (result < 0)
        atomic_compare_exchange_strong(&storm->unexpected, &none, result);
}

static void storm_mount(struct stormer *s, vrift_task *task, const char *path)
{
    vrift_sb *sb;
    int32_t result = vrift_mem_new(s->storm->world->vfs, NULL, &sb);
    if (!result) {
        result = vrift_mount(task, HERE, path, sb, 0);
        vrift_sb_unref(sb);
    }
    expect_usual(s->storm, result);
    char name[80];
    snprintf(name, sizeof name, "%s/%c", path, 'a' + (char)roll(s, 3));
    expect_usual(s->storm, vrift_mkdirat(task, HERE, name, 0755));
}

static void storm_walk(struct stormer *s, vrift_task *task, const char *path)
{
    struct vrift_stat st;
    char text[512], below[80];
    snprintf(below, sizeof below, "%s/../a/../../b/..", path);
    expect_usual(s->storm, vrift_statat(task, HERE, below, 0, &st));
    expect_usual(s->storm, vrift_statat(task, HERE, path, 0, &st));
    int64_t length = vrift_realpath(task, HERE, path, text, sizeof text);
    expect_usual(s->storm, length < 0 ? (int32_t)length : 0);
    length = vrift_getcwd(task, text, sizeof text);
    expect_usual(s->storm, length < 0 ? (int32_t)length : 0);
}

static int32_t VRIFT_CALLBACK look_at(const struct vrift_mount_info *info, void *payload)
{
    (void)payload;
    return info->point[0] != '/';
}

static void storm_step(struct stormer *s, vrift_task *task)
{
    static const char *const paths[] = {"/a", "/b", "/a/a", "/a/b", "/b/a", "/b/b", "/a/a/a", "/c", ".", "a"};
    static const uint64_t types[] = {VRIFT_MOUNT_SHARED, VRIFT_MOUNT_SLAVE, VRIFT_MOUNT_PRIVATE, VRIFT_MOUNT_SHARED};
    const char *one = paths[roll(s, 10)], *two = paths[roll(s, 10)];
    struct storm *storm = s->storm;
    uint32_t count = 0;
    if (vrift_mount_list(task, count_one, &count) || count > 200) {
        expect_usual(storm, vrift_umount(task, HERE, one, VRIFT_UMOUNT_DETACH));
        return;
    }
    switch (roll(s, 14)) {
    case 0:
    case 1:
        storm_mount(s, task, one);
        break;
    case 2:
        expect_usual(storm, vrift_bind(task, HERE, one, HERE, two, roll(s, 4) ? 0 : VRIFT_MOUNT_REC));
        break;
    case 3:
        expect_usual(storm, vrift_mount_move(task, HERE, one, HERE, two, 0));
        break;
    case 4:
        expect_usual(storm, vrift_mount_propagation(task, HERE, one, types[roll(s, 4)]));
        break;
    case 5:
    case 6:
        expect_usual(storm, vrift_umount(task, HERE, one, roll(s, 2) ? VRIFT_UMOUNT_DETACH : 0));
        break;
    case 7:
        if (roll(s, 8) == 0)
            expect_usual(storm, vrift_task_unshare_ns(task, 0));
        break;
    case 8:
        expect_usual(storm, vrift_unlinkat(task, HERE, one, VRIFT_AT_REMOVEDIR));
        expect_usual(storm, vrift_mkdirat(task, HERE, one, 0755));
        break;
    case 9:
        expect_usual(storm, vrift_renameat2(task, HERE, one, HERE, two, 0));
        break;
    case 10:
        expect_usual(storm, vrift_chdir(task, one));
        break;
    case 11:
        if (vrift_mount_list(task, look_at, NULL))
            expect_usual(storm, -VRIFT_EIO);
        break;
    default:
        storm_walk(s, task, one);
        break;
    }
    atomic_fetch_add(&storm->steps, 1);
}

static void *run_storm(void *payload)
{
    struct stormer *s = payload;
    vrift_task *task;
    if (vrift_task_fork(s->storm->world->task, &task)) {
        atomic_store(&s->storm->unexpected, -VRIFT_ENOMEM);
        return NULL;
    }
    while (!atomic_load(&s->storm->stop))
        storm_step(s, task);
    vrift_task_free(task);
    return NULL;
}

static void a_storm_of_mounts_leaves_nothing_behind(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct storm storm = {.world = w};
    pthread_t threads[THREADS];
    struct stormer stormers[THREADS];
    make_dirs(w, (const char *const[]){"/a", "/b", "/c", "/a/a", "/a/b", "/b/a", "/b/b", NULL});
    mount_new(w, w->task, "/a", NULL);
    make_dirs(w, (const char *const[]){"/a/a", "/a/b", NULL});
    check_ok(vrift_mount_propagation(w->task, HERE, "/a", VRIFT_MOUNT_SHARED));
    for (int i = 0; i < THREADS; i++) {
        stormers[i] = (struct stormer){&storm, (uint64_t)i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, run_storm, &stormers[i]), 0);
    }
    struct timespec time = {3, 0};
    nanosleep(&time, NULL);
    atomic_store(&storm.stop, 1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    print_message("# %llu steps\n", (unsigned long long)atomic_load(&storm.steps));
    check_error(0, atomic_load(&storm.unexpected));
    assert_true(atomic_load(&storm.steps) > 100);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_those_of_mountinfo),
        cmocka_unit_test(one_mount_is_described_by_its_number),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(who_may_not_change_mounts_hears_so_after_the_walk),
        cmocka_unit_test(only_what_nobody_uses_expires),
        cmocka_unit_test(all_below_becomes_read_only_or_nothing),
        cmocka_unit_test(a_copy_may_be_a_slave),
        cmocka_unit_test(a_namespace_holds_a_hundred_thousand_mounts),
        cmocka_unit_test(without_memory_no_part_of_a_propagation_happens),
        cmocka_unit_test(a_storm_of_mounts_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
