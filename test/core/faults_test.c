/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Whatever fails below the core surfaces as it is and leaves the tree and the books as they were. */
#include "support/world.h"

#include <stdlib.h>
#include <string.h>

#define HERE VRIFT_AT_FDCWD

/* The calls that are made to fail; each finds the tree of make_tree(). */
static int64_t do_mkdir(struct world *w)
{
    return vrift_mkdirat(w->task, HERE, "/d/new-directory", 0755);
}
static int64_t do_create(struct world *w)
{
    int32_t fd = vrift_openat(w->task, HERE, "/d/new-file", VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644);
    return fd < 0 ? fd : vrift_close(w->task, fd);
}
static int64_t do_symlink(struct world *w)
{
    return vrift_symlinkat(w->task, "target", HERE, "/d/new-link");
}
static int64_t do_link(struct world *w)
{
    return vrift_linkat(w->task, HERE, "/d/f", HERE, "/e/linked", 0);
}
static int64_t do_unlink(struct world *w)
{
    return vrift_unlinkat(w->task, HERE, "/d/f", 0);
}
static int64_t do_rmdir(struct world *w)
{
    return vrift_unlinkat(w->task, HERE, "/d/empty", VRIFT_AT_REMOVEDIR);
}
static int64_t do_rename(struct world *w)
{
    return vrift_renameat2(w->task, HERE, "/d/f", HERE, "/e/moved", 0);
}
static int64_t do_rename_over(struct world *w)
{
    return vrift_renameat2(w->task, HERE, "/d/f", HERE, "/d/g", 0);
}
static int64_t do_exchange(struct world *w)
{
    return vrift_renameat2(w->task, HERE, "/d/empty", HERE, "/e/h", VRIFT_RENAME_EXCHANGE);
}
static int64_t do_read(struct world *w)
{
    char buf[8];
    int32_t fd = vrift_openat(w->task, HERE, "/d/f", VRIFT_O_RDONLY, 0);
    if (fd < 0)
        return fd;
    int64_t got = vrift_read(w->task, fd, buf, sizeof buf);
    int32_t closed = vrift_close(w->task, fd);
    return got < 0 ? got : closed;
}
static int64_t do_write_nothing_new(struct world *w)
{
    int32_t fd = vrift_openat(w->task, HERE, "/d/f", VRIFT_O_WRONLY, 0);
    if (fd < 0)
        return fd;
    int64_t put = vrift_write(w->task, fd, "f", 1);
    int32_t synced = vrift_fsync(w->task, fd);
    int32_t closed = vrift_close(w->task, fd);
    return put < 0 ? put : synced ? synced : closed;
}
static int64_t do_chmod(struct world *w)
{
    return vrift_fchmodat(w->task, HERE, "/d/g", 0600, 0);
}
static int64_t do_readlink(struct world *w)
{
    char buf[64];
    return vrift_readlinkat(w->task, HERE, "/d/l", buf, sizeof buf);
}
static int64_t do_stat(struct world *w)
{
    struct vrift_stat st;
    return vrift_statat(w->task, HERE, "/d/l", 0, &st);
}
static int64_t do_list(struct world *w)
{
    _Alignas(8) char buf[4096];
    int32_t fd = vrift_openat(w->task, HERE, "/d", VRIFT_O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    int64_t got = vrift_getdents(w->task, fd, buf, sizeof buf, 0);
    if (got > 0)
        got = vrift_getdents(w->task, fd, buf, sizeof buf, 0);
    int32_t closed = vrift_close(w->task, fd);
    return got < 0 ? got : closed;
}
static int64_t do_unnamed(struct world *w)
{
    int32_t fd = vrift_openat(w->task, HERE, "/d", VRIFT_O_TMPFILE | VRIFT_O_RDWR, 0600);
    if (fd < 0)
        return fd;
    int32_t linked = vrift_linkat(w->task, fd, "", HERE, "/e/named", VRIFT_AT_EMPTY_PATH);
    int32_t closed = vrift_close(w->task, fd);
    return linked ? linked : closed;
}
static int64_t do_xattr(struct world *w)
{
    return vrift_setxattrat(w->task, HERE, "/d/g", "user.a", "b", 1, 0);
}
static int64_t do_statfs(struct world *w)
{
    struct vrift_statfs st;
    return vrift_statfs(w->task, HERE, "/d", &st);
}
static int64_t do_mount(struct world *w)
{
    vrift_sb *other;
    int64_t error = vrift_mem_new(w->vfs, NULL, &other);
    if (error)
        return error;
    error = vrift_mount(w->task, HERE, "/e", other, 0);
    if (!error)
        error = vrift_umount(w->task, HERE, "/e", VRIFT_UMOUNT_DETACH);
    vrift_sb_unref(other);
    return error;
}
static int64_t do_fork(struct world *w)
{
    vrift_task *child;
    int64_t error = vrift_task_fork(w->task, &child);
    if (!error)
        vrift_task_free(child);
    return error;
}

typedef int64_t (*action_fn)(struct world *world);

static const struct action {
    const char *name;
    action_fn run;
    const char *slot; /* whose failure must leave the tree as it was */
} actions[] = {
    {"mkdir", do_mkdir, "create"},
    {"create", do_create, "create"},
    {"symlink", do_symlink, "create"},
    {"link", do_link, "link"},
    {"unlink", do_unlink, "unlink"},
    {"rmdir", do_rmdir, "unlink"},
    {"rename", do_rename, "rename"},
    {"rename over", do_rename_over, "rename"},
    {"exchange", do_exchange, "rename"},
    {"read, open fails", do_read, "open"},
    {"read, pread fails", do_read, "pread"},
    {"read, release fails", do_read, "release"},
    {"read, walk fails", do_read, "walk"},
    {"write", do_write_nothing_new, "pwrite"},
    {"fsync", do_write_nothing_new, "fsync"},
    {"chmod", do_chmod, "setattr"},
    {"readlink", do_readlink, "readlink"},
    {"stat through a symlink", do_stat, "readlink"},
    {"stat, walk fails", do_stat, "walk"},
    {"list", do_list, "readdir"},
    {"unnamed", do_unnamed, "create"},
    {"unnamed, link fails", do_unnamed, "link"},
    {"xattr", do_xattr, "setxattr"},
    {"statfs", do_statfs, "statfs"},
    {"mount", do_mount, "root"},
};

static void make_tree(struct world *w)
{
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/e", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/d/empty", 0755));
    world_file(w, "/d/f", "f");
    world_file(w, "/d/g", "g");
    world_file(w, "/e/h", "h");
    check_ok(vrift_symlinkat(w->task, "f", HERE, "/d/l"));
}

static void expect_tree(struct world *w)
{
    assert_string_equal(world_list(w, "/"), "d e");
    assert_string_equal(world_list(w, "/d"), "empty f g l");
    assert_string_equal(world_list(w, "/e"), "h");
    world_expect(w, "/d/f", "f");
    world_expect(w, "/d/g", "g");
    world_expect(w, "/d/l", "f");
    assert_int_equal(world_stat(w, "/d/f").nlink, 1);
    assert_int_equal(world_stat(w, "/d").nlink, 3);
    assert_int_equal(world_stat(w, "/d/g").mode & 07777, 0644);
}

static uint64_t open_files(struct world *w)
{
    struct vrift_vfs_stats stats;
    check_ok(vrift_vfs_stats(w->vfs, &stats));
    return stats.open_files;
}

/* Once with everything cached, once with nothing. */
static void a_failing_slot_surfaces_and_leaves_the_tree_as_it_was(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        struct world *w = world_new(NULL);
        make_tree(w);
        check_ok(vrift_vfs_drop_caches(w->vfs));
        world_fault(w, actions[i].slot, 0, -VRIFT_EDQUOT);
        int64_t result = actions[i].run(w);
        uint32_t hits = w->fault_hits;
        world_fault(w, NULL, 0, 0);
        if (result != -VRIFT_EDQUOT || hits == 0)
            fail_msg("%s: %s failed %u times and the call answered %lld", actions[i].name, actions[i].slot, hits,
                     (long long)result);
        expect_tree(w);
        assert_int_equal(open_files(w), 0);
        assert_true(actions[i].run(w) >= 0);
        world_free(w);
    }
}

/* Memory runs out at each allocation in turn; a call that fails changed nothing, and in the end it succeeds. */
static void running_out_of_memory_anywhere_is_an_error_and_nothing_else(void **state)
{
    (void)state;
    static const struct action more = {"fork", do_fork, NULL};
    size_t count = sizeof actions / sizeof actions[0];
    for (size_t i = 0; i <= count; i++) {
        const struct action *action = i < count ? &actions[i] : &more;
        int64_t result = -VRIFT_ENOMEM;
        for (uint64_t after = 0; result < 0; after++) {
            struct world *w = world_new(NULL);
            make_tree(w);
            check_ok(vrift_vfs_drop_caches(w->vfs));
            w->allocations_left = after;
            result = action->run(w);
            w->allocations_left = UINT64_MAX;
            if (result < 0 && result != -VRIFT_ENOMEM && result != -VRIFT_ENOSPC)
                fail_msg("%s answered %s after %llu allocations", action->name, vrift_err_name(result),
                         (unsigned long long)after);
            if (result < 0 && action->run != do_create && action->run != do_mount)
                expect_tree(w);
            assert_int_equal(open_files(w), 0);
            world_free(w);
            assert_true(after < 200);
        }
    }
}

static void making_an_instance_without_memory_fails_cleanly(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_vfs *vfs;
    vrift_sb *sb;
    vrift_ns *ns;
    vrift_cred *cred;
    struct vrift_vfs_options options = {.size = 8};
    check_error(-VRIFT_EINVAL, vrift_vfs_new(&options, &vfs));
    w->allocations_left = 0;
    check_error(-VRIFT_ENOMEM, vrift_mem_new(w->vfs, NULL, &sb));
    check_error(-VRIFT_ENOMEM, vrift_ns_new(w->vfs, w->sb, 0, &ns));
    /* A slot that another one left needs no memory, but a list of groups does. */
    uint32_t groups[] = {1, 2};
    struct vrift_cred_options with_groups = {.size = sizeof with_groups, .group_count = 2, .groups = groups};
    check_error(-VRIFT_ENOMEM, vrift_cred_new(w->vfs, &with_groups, &cred));
    w->allocations_left = UINT64_MAX;
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_slot_surfaces_and_leaves_the_tree_as_it_was),
        cmocka_unit_test(running_out_of_memory_anywhere_is_an_error_and_nothing_else),
        cmocka_unit_test(making_an_instance_without_memory_fails_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
