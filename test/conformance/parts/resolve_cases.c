/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* How openat2 may be told to walk: each flag over each backend. What Linux says was asked by test/oracle. */
#include "conformance/conformance.h"

static int32_t resolve(struct world *world, int32_t dirfd, const char *path, uint64_t how)
{
    struct vrift_open_how own = {.size = sizeof own, .flags = VRIFT_O_PATH, .resolve = how};
    int32_t fd = vrift_openat2(world->task, dirfd, path, &own);
    if (fd < 0)
        return fd;
    check_ok(vrift_close(world->task, fd));
    return 0;
}

static void nothing_beneath_a_directory_leads_out_of_it(struct world *world)
{
    const uint64_t beneath = VRIFT_RESOLVE_BENEATH;
    int32_t dir = open_file(world->task, "/dir", VRIFT_O_PATH | VRIFT_O_DIRECTORY);
    check_ok(resolve(world, dir, "sub/file", beneath));
    check_ok(resolve(world, dir, "sub/../sub/./file", beneath));
    check_ok(resolve(world, dir, ".", beneath));
    check_error(-VRIFT_EXDEV, resolve(world, dir, "..", beneath));
    check_error(-VRIFT_EXDEV, resolve(world, dir, "sub/../../hello", beneath));
    check_error(-VRIFT_EXDEV, resolve(world, dir, "/hello", beneath));
    check_error(-VRIFT_ENOENT, resolve(world, dir, "missing", beneath));
    check_ok(resolve(world, AT, "link", beneath));
    check_error(-VRIFT_EXDEV, resolve(world, AT, "dirlink/sub", beneath)); /* an absolute one */
    check_ok(vrift_close(world->task, dir));
}

static void a_directory_may_stand_for_the_root(struct world *world)
{
    const uint64_t in_root = VRIFT_RESOLVE_IN_ROOT;
    int32_t dir = open_file(world->task, "/dir", VRIFT_O_PATH | VRIFT_O_DIRECTORY);
    check_ok(resolve(world, dir, "/sub/file", in_root));
    check_ok(resolve(world, dir, "../../sub/../../sub/file", in_root));
    check_error(-VRIFT_ENOENT, resolve(world, dir, "/hello", in_root));
    check_ok(resolve(world, AT, "dirlink/sub/file", in_root));
    check_ok(vrift_close(world->task, dir));
}

static void symlinks_may_be_refused(struct world *world)
{
    const uint64_t none = VRIFT_RESOLVE_NO_SYMLINKS;
    struct vrift_open_how how = {.size = sizeof how, .flags = VRIFT_O_PATH | VRIFT_O_NOFOLLOW, .resolve = none};
    check_ok(resolve(world, AT, "/dir/sub/file", none));
    check_error(-VRIFT_ELOOP, resolve(world, AT, "/link", none));
    check_error(-VRIFT_ELOOP, resolve(world, AT, "/dirlink/sub", none));
    check_error(-VRIFT_ELOOP, resolve(world, AT, "/dangling", none));
    check_ok(vrift_close(world->task, (int32_t)check_ok(vrift_openat2(world->task, AT, "/link", &how))));
    check_ok(resolve(world, AT, "/link", VRIFT_RESOLVE_NO_MAGICLINKS)); /* which it is not */
    check_error(-VRIFT_ELOOP, resolve(world, AT, "/loop", 0));
}

static void mounts_may_be_refused(struct world *world)
{
    vrift_sb *other;
    check_ok(vrift_mem_new(world->vfs, NULL, &other));
    check_ok(vrift_mount(world->task, AT, "/nothing", other, 0));
    check_error(-VRIFT_EXDEV, resolve(world, AT, "/nothing", VRIFT_RESOLVE_NO_XDEV));
    check_ok(resolve(world, AT, "/dir/sub", VRIFT_RESOLVE_NO_XDEV));
    check_ok(resolve(world, AT, "/dirlink/sub", VRIFT_RESOLVE_NO_XDEV));
    int32_t inside = open_file(world->task, "/nothing", VRIFT_O_PATH);
    check_error(-VRIFT_EXDEV, resolve(world, inside, "..", VRIFT_RESOLVE_NO_XDEV));
    check_ok(resolve(world, inside, "/hello", VRIFT_RESOLVE_NO_XDEV)); /* where it begins is no crossing */
    check_ok(vrift_close(world->task, inside));
    check_ok(vrift_umount(world->task, AT, "/nothing", 0));
    vrift_sb_unref(other);
}

/* What is cached is answered where that may be trusted, and what is not never asks the backend. */
static void only_the_cache_may_be_asked(struct world *world)
{
    struct vrift_vfs_stats before, after;
    struct vrift_consistency names;
    check_ok(vrift_sb_consistency(world->sb, VRIFT_ASPECT_NAMES, &names));
    check_ok(vrift_vfs_drop_caches(world->vfs));
    check_ok(vrift_vfs_stats(world->vfs, &before));
    check_error(-VRIFT_EAGAIN, resolve(world, AT, "/dir/sub/file", VRIFT_RESOLVE_CACHED));
    check_ok(vrift_vfs_stats(world->vfs, &after));
    assert_int_equal(after.backend_calls, before.backend_calls);
    check_ok(resolve(world, AT, "/dir/sub/file", 0));
    int32_t result = resolve(world, AT, "/dir/sub/file", VRIFT_RESOLVE_CACHED);
    if (names.model > VRIFT_CONSISTENCY_EXCLUSIVE_WRITETHROUGH) /* it may have to be asked, if only what it has heard */
        assert_true(result == 0 || result == -VRIFT_EAGAIN);
    else
        check_ok(result);
    struct vrift_open_how how = {.size = sizeof how, .flags = VRIFT_O_CREAT | VRIFT_O_RDWR, .mode = 0600};
    how.resolve = VRIFT_RESOLVE_CACHED;
    check_error(-VRIFT_EAGAIN, vrift_openat2(world->task, AT, "/hello", &how));
}

const struct test_case resolve_cases[] = {
    {"nothing_beneath_a_directory_leads_out_of_it", nothing_beneath_a_directory_leads_out_of_it},
    {"a_directory_may_stand_for_the_root", a_directory_may_stand_for_the_root},
    {"symlinks_may_be_refused", symlinks_may_be_refused},
    {"mounts_may_be_refused", mounts_may_be_refused},
    {"only_the_cache_may_be_asked", only_the_cache_may_be_asked},
    {NULL, NULL},
};
