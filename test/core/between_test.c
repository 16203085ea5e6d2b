/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What happens between two steps of a call, done there: the backend is the memory one, of which a slot makes another call
 * before or after it answers. Threads would find these moments once in years.
 */
#include "support/world.h"

#include "backends/mem/mem.h"

#include <stdbool.h>
#include <string.h>

#define HERE VRIFT_AT_FDCWD

struct tree {
    struct world *w;
    vrift_task *user; /* 1000, who may nothing but what he is given */
};

static struct {
    const char *slot; /* in this one, not counting so many calls of it before ... */
    uint32_t skip;
    void (*then)(struct tree *); /* ... this happens, once */
    struct tree *tree;
    bool lists_nothing_more;
} between;

static void happen(const char *slot)
{
    void (*then)(struct tree *) = between.then;
    if (!then || strcmp(slot, between.slot) != 0 || between.skip-- > 0)
        return;
    between.then = NULL;
    then(between.tree);
}

static void arrange(struct tree *tree, const char *slot, uint32_t skip, void (*then)(struct tree *))
{
    between.slot = slot;
    between.skip = skip;
    between.then = then;
    between.tree = tree;
}

static int32_t VRIFT_CALLBACK touch(void *self, const struct vrift_node *node, struct vrift_stat *out)
{
    int32_t result = vr_memnode_read(self, node, out);
    happen("touch");
    return result;
}

static int32_t VRIFT_CALLBACK revalidate(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                         const struct vrift_node *node, struct vrift_stat *out)
{
    (void)self, (void)dir, (void)name, (void)node, (void)out;
    happen("revalidate");
    return -VRIFT_EOPNOTSUPP;
}

static int64_t VRIFT_CALLBACK getxattr(void *self, const struct vrift_node *node, const char *name, void *buf,
                                       size_t len)
{
    happen("getxattr");
    return vr_memxattr_get(self, node, name, buf, len);
}

/* As of a backend that read the directory when the listing began. */
static int32_t VRIFT_CALLBACK readdir(void *self, const struct vrift_node *dir, uint64_t cookie, uint64_t mask,
                                      vrift_emit_fn emit, void *payload, uint32_t *end)
{
    *end = 1;
    return between.lists_nothing_more ? 0 : vr_memname_readdir(self, dir, cookie, mask, emit, payload, end);
}

/* /s is it, and /t what others see of it. */
static int setup(void **state)
{
    static const struct vrift_mem_options options = {.size = sizeof options};
    struct tree *tree = test_calloc(1, sizeof *tree);
    struct vrift_backend_ops ours = vr_memfs_ops, theirs = vr_memfs_ops;
    struct vr_memfs *fs;
    vrift_sb *sb;
    memset(&between, 0, sizeof between);
    struct world *w = tree->w = world_new(NULL);
    check_ok(vr_memfs_new(NULL, &options, &fs));
    ours.touch = touch;
    ours.revalidate = revalidate;
    ours.getxattr = getxattr;
    ours.readdir = readdir;
    ours.destroy = NULL; /* theirs does it, being mounted first and let go last */
    check_ok(vrift_mkdirat(w->task, HERE, "/t", 0755));
    check_ok(vrift_sb_new(w->vfs, &theirs, fs, &sb));
    check_ok(vrift_mount(w->task, HERE, "/t", sb, 0));
    vrift_sb_unref(sb);
    check_ok(vrift_mkdirat(w->task, HERE, "/s", 0755));
    check_ok(vrift_sb_new(w->vfs, &ours, fs, &sb));
    check_ok(vrift_mount(w->task, HERE, "/s", sb, VRIFT_MOUNT_STRICTATIME));
    vrift_sb_unref(sb);
    check_ok(vrift_mkdirat(w->task, HERE, "/s/d", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/s/e", 0777));
    check_ok(vrift_fchmodat(w->task, HERE, "/s/e", 0777, 0));
    world_file(w, "/s/d/x", "x");
    vrift_cred *cred = world_cred(w, 1000, 1000);
    check_ok(vrift_task_new(w->ns, cred, NULL, &tree->user));
    vrift_cred_unref(cred);
    *state = tree;
    return 0;
}

static int teardown(void **state)
{
    struct tree *tree = *state;
    vrift_task_free(tree->user);
    check_ok(vrift_umount(tree->w->task, HERE, "/s", 0));
    check_ok(vrift_umount(tree->w->task, HERE, "/t", 0));
    world_free(tree->w);
    test_free(tree);
    return 0;
}

static int32_t stat_of(vrift_task *task, const char *path)
{
    struct vrift_stat st;
    return vrift_statat(task, HERE, path, 0, &st);
}

static int32_t open_at(struct tree *tree, const char *path)
{
    return (int32_t)check_ok(vrift_openat(tree->w->task, HERE, path, VRIFT_O_RDONLY, 0));
}

static int64_t list(struct tree *tree, int32_t fd)
{
    uint64_t buffer[512];
    return vrift_getdents(tree->w->task, fd, buffer, sizeof buffer, 0);
}

/* -- Attributes ---------------------------------------------------------------------------------------------------- */

static void close_directory(struct tree *tree)
{
    check_ok(vrift_fchmodat(tree->w->task, HERE, "/s/d", 0700, 0));
}

static void a_stamp_under_way_does_not_undo_a_change_of_mode(void **state)
{
    struct tree *tree = *state;
    int32_t fd = open_at(tree, "/s/d");
    check_ok(stat_of(tree->user, "/s/d/x"));
    arrange(tree, "touch", 0, close_directory);
    assert_true(list(tree, fd) > 0);
    assert_null(between.then);
    check_error(-VRIFT_EACCES, stat_of(tree->user, "/s/d/x"));
    check_ok(vrift_close(tree->w->task, fd));
    assert_int_equal(world_stat(tree->w, "/s/d").mode & 0777, 0700);
}

/* -- Names --------------------------------------------------------------------------------------------------------- */

static void move_away(struct tree *tree)
{
    check_ok(vrift_renameat2(tree->w->task, HERE, "/s/d/x", HERE, "/s/e/x", 0));
}

static void a_name_that_was_moved_while_it_was_looked_up_anew_stays(void **state)
{
    struct tree *tree = *state;
    int32_t fd = open_at(tree, "/s/d/x"); /* so that it is looked up anew, not forgotten */
    check_ok(vrift_invalidate(tree->w->task, HERE, "/s/d/x", VRIFT_INVALIDATE_NAMES));
    arrange(tree, "revalidate", 0, move_away);
    check_error(-VRIFT_ENOENT, stat_of(tree->w->task, "/s/d/x"));
    assert_null(between.then);
    check_ok(stat_of(tree->w->task, "/s/e/x"));
    check_ok(vrift_close(tree->w->task, fd));
}

/* The user may change names in /s/d by its ACL, which is asked for as he walks there, and when its lock is held. */
static void prepare_forgetting(struct tree *tree)
{
    static const uint8_t acl[] = {2, 0,    0,    0,    1,    0,    7,  0, 0xff, 0xff, 0xff, 0xff, 2,    0,   7,
                                  0, 0xe8, 3,    0,    0,    4,    0,  5, 0,    0xff, 0xff, 0xff, 0xff, 16,  0,
                                  7, 0,    0xff, 0xff, 0xff, 0xff, 32, 0, 5,    0,    0xff, 0xff, 0xff, 0xff};
    check_ok(vrift_setxattrat(tree->w->task, HERE, "/s/d", "system.posix_acl_access", acl, sizeof acl, 0));
    check_ok(vrift_linkat(tree->w->task, HERE, "/s/d/x", HERE, "/s/d/y", 0));
}

static void forget_and_look_up(struct tree *tree)
{
    check_ok(vrift_invalidate(tree->w->task, HERE, "/s/d", VRIFT_INVALIDATE_NAMES));
    check_ok(stat_of(tree->w->task, "/s/d/x"));
}

static void a_name_that_is_looked_up_anew_while_it_is_removed_goes(void **state)
{
    struct tree *tree = *state;
    prepare_forgetting(tree);
    arrange(tree, "getxattr", 1, forget_and_look_up);
    check_ok(vrift_unlinkat(tree->user, HERE, "/s/d/x", 0));
    assert_null(between.then);
    check_error(-VRIFT_ENOENT, stat_of(tree->w->task, "/s/d/x"));
    check_ok(stat_of(tree->w->task, "/s/d/y"));
}

static void a_name_that_is_looked_up_anew_while_it_is_renamed_goes(void **state)
{
    struct tree *tree = *state;
    prepare_forgetting(tree);
    arrange(tree, "getxattr", 1, forget_and_look_up);
    check_ok(vrift_renameat2(tree->user, HERE, "/s/d/x", HERE, "/s/e/x", 0));
    assert_null(between.then);
    check_error(-VRIFT_ENOENT, stat_of(tree->w->task, "/s/d/x"));
    check_ok(stat_of(tree->w->task, "/s/e/x"));
}

static void names_that_are_looked_up_anew_while_they_are_exchanged_are_so(void **state)
{
    struct tree *tree = *state;
    prepare_forgetting(tree);
    world_file(tree->w, "/s/e/z", "zz");
    check_ok(vrift_fchownat(tree->w->task, HERE, "/s/e/z", 1000, 1000, 0));
    arrange(tree, "getxattr", 1, forget_and_look_up);
    check_ok(vrift_renameat2(tree->user, HERE, "/s/d/x", HERE, "/s/e/z", VRIFT_RENAME_EXCHANGE));
    assert_null(between.then);
    assert_int_equal(world_stat(tree->w, "/s/d/x").size, 2);
    check_ok(vrift_renameat2(tree->w->task, HERE, "/s/d/x", HERE, "/s/d/z", 0));
    check_error(-VRIFT_ENOENT, stat_of(tree->w->task, "/s/d/x"));
}

static void a_listing_that_began_before_names_were_doubted_proves_nothing(void **state)
{
    struct tree *tree = *state;
    int32_t held = open_at(tree, "/s/d/x"), fd = open_at(tree, "/s/d");
    assert_true(list(tree, fd) > 0);
    world_file(tree->w, "/t/d/new", "");
    check_ok(vrift_invalidate(tree->w->task, HERE, "/s/d", VRIFT_INVALIDATE_NAMES));
    between.lists_nothing_more = true;
    assert_int_equal(list(tree, fd), 0);
    between.lists_nothing_more = false;
    check_ok(stat_of(tree->w->task, "/s/d/new"));
    check_ok(vrift_close(tree->w->task, fd));
    check_ok(vrift_close(tree->w->task, held));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stamp_under_way_does_not_undo_a_change_of_mode),
        TEST(a_name_that_was_moved_while_it_was_looked_up_anew_stays),
        TEST(a_name_that_is_looked_up_anew_while_it_is_removed_goes),
        TEST(a_name_that_is_looked_up_anew_while_it_is_renamed_goes),
        TEST(names_that_are_looked_up_anew_while_they_are_exchanged_are_so),
        TEST(a_listing_that_began_before_names_were_doubted_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
