/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Paths, mounts, openat2, descriptors: corners that the comparison with the kernel does not reach. */
#include "support/world.h"

#include <stdlib.h>
#include <string.h>

#define HERE VRIFT_AT_FDCWD

static int setup(void **state)
{
    struct world *w = world_new(NULL);
    check_ok(vrift_mkdirat(w->task, HERE, "/a", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/a/b", 0755));
    world_file(w, "/a/f", "in a");
    world_file(w, "/a/b/g", "in b");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

static int32_t open_path(struct world *w, const char *path)
{
    return (int32_t)check_ok(vrift_openat(w->task, HERE, path, VRIFT_O_PATH, 0));
}

static int32_t resolve(struct world *w, int32_t dirfd, const char *path, uint64_t how_to)
{
    struct vrift_open_how how = {.size = sizeof how, .flags = VRIFT_O_PATH, .resolve = how_to};
    int32_t fd = vrift_openat2(w->task, dirfd, path, &how);
    if (fd >= 0)
        check_ok(vrift_close(w->task, fd));
    return fd < 0 ? fd : 0;
}

static void a_scoped_walk_stays_below_a_directory_that_moves(void **state)
{
    struct world *w = *state;
    int32_t a = open_path(w, "/a");
    check_ok(vrift_mkdirat(w->task, HERE, "/elsewhere", 0755));
    check_ok(resolve(w, a, "b/../f", VRIFT_RESOLVE_BENEATH));
    check_error(-VRIFT_EXDEV, resolve(w, a, "b/../..", VRIFT_RESOLVE_BENEATH));
    check_ok(vrift_renameat2(w->task, HERE, "/a", HERE, "/elsewhere/a", 0));
    check_ok(resolve(w, a, "b/../f", VRIFT_RESOLVE_BENEATH));
    check_ok(resolve(w, a, "../../b/../f", VRIFT_RESOLVE_IN_ROOT));
    check_ok(vrift_close(w->task, a));
}

static void links_to_the_root_are_held_in_scope(void **state)
{
    struct world *w = *state;
    int32_t a = open_path(w, "/a");
    check_ok(vrift_symlinkat(w->task, "/", HERE, "/a/root"));
    check_ok(vrift_symlinkat(w->task, "../../..", HERE, "/a/up"));
    check_error(-VRIFT_EXDEV, resolve(w, a, "root", VRIFT_RESOLVE_BENEATH));
    check_error(-VRIFT_EXDEV, resolve(w, a, "up", VRIFT_RESOLVE_BENEATH));
    check_ok(resolve(w, a, "root/b/g", VRIFT_RESOLVE_IN_ROOT));
    check_ok(resolve(w, a, "up/b/g", VRIFT_RESOLVE_IN_ROOT));
    check_error(-VRIFT_ENOENT, resolve(w, a, "root/a", VRIFT_RESOLVE_IN_ROOT));
    check_error(-VRIFT_ELOOP, resolve(w, a, "up/f", VRIFT_RESOLVE_NO_SYMLINKS));
    check_ok(vrift_close(w->task, a));
}

static void a_cached_walk_never_asks_the_backend(void **state)
{
    struct world *w = *state;
    check_ok(vrift_vfs_drop_caches(w->vfs));
    uint64_t before = world_backend_calls(w);
    check_error(-VRIFT_EAGAIN, resolve(w, HERE, "/a/b/g", VRIFT_RESOLVE_CACHED));
    assert_int_equal(world_backend_calls(w), before);
    world_stat(w, "/a/b/g");
    check_ok(resolve(w, HERE, "/a/b/g", VRIFT_RESOLVE_CACHED));
}

static void mounts_stack_and_come_off_in_turn(void **state)
{
    struct world *w = *state;
    vrift_sb *one, *two;
    check_ok(vrift_mem_new(w->vfs, NULL, &one));
    check_ok(vrift_mem_new(w->vfs, NULL, &two));
    check_ok(vrift_mount(w->task, HERE, "/a", one, 0));
    world_file(w, "/a/one", "1");
    check_ok(vrift_mount(w->task, HERE, "/a", two, 0));
    world_file(w, "/a/two", "2");
    assert_string_equal(world_list(w, "/a"), "two");
    check_ok(vrift_mkdirat(w->task, HERE, "/a/deep", 0755));
    check_ok(vrift_mount(w->task, HERE, "/a/deep", one, 0));
    world_expect(w, "/a/deep/one", "1");
    check_error(-VRIFT_EBUSY, vrift_umount(w->task, HERE, "/a", 0)); /* one lies in it */
    check_ok(vrift_umount(w->task, HERE, "/a", VRIFT_UMOUNT_DETACH));
    assert_string_equal(world_list(w, "/a"), "one");
    check_ok(vrift_umount(w->task, HERE, "/a", 0));
    assert_string_equal(world_list(w, "/a"), "b f");
    vrift_sb_unref(one);
    vrift_sb_unref(two);
}

static void a_file_can_be_bound_over_a_file_only(void **state)
{
    struct world *w = *state;
    check_error(-VRIFT_ENOTDIR, vrift_bind(w->task, HERE, "/a/f", HERE, "/a/b", 0));
    check_error(-VRIFT_ENOTDIR, vrift_bind(w->task, HERE, "/a/b", HERE, "/a/f", 0));
    check_ok(vrift_bind(w->task, HERE, "/a/b/g", HERE, "/a/f", 0));
    world_expect(w, "/a/f", "in b");
    check_error(-VRIFT_EBUSY, vrift_unlinkat(w->task, HERE, "/a/f", 0));
    check_ok(vrift_umount(w->task, HERE, "/a/f", 0));
    world_expect(w, "/a/f", "in a");
}

static void paths_are_written_across_mounts_and_roots(void **state)
{
    struct world *w = *state;
    char buf[256];
    check_ok(vrift_mkdirat(w->task, HERE, "/m", 0755));
    check_ok(vrift_bind(w->task, HERE, "/a/b", HERE, "/m", 0));
    check_ok(vrift_mkdirat(w->task, HERE, "/m/c", 0755));
    check_ok(vrift_realpath(w->task, HERE, "/m/./c/", buf, sizeof buf));
    assert_string_equal(buf, "/m/c");
    check_ok(vrift_realpath(w->task, HERE, "/a/b/c", buf, sizeof buf));
    assert_string_equal(buf, "/a/b/c");
    check_error(-VRIFT_ERANGE, vrift_realpath(w->task, HERE, "/a/b/c", buf, 6));
    assert_int_equal(check_ok(vrift_realpath(w->task, HERE, "/a/b/c", buf, 7)), 7);
    check_ok(vrift_realpath(w->task, HERE, "/", buf, sizeof buf));
    assert_string_equal(buf, "/");
    vrift_task *jailed;
    check_ok(vrift_task_fork(w->task, &jailed));
    check_ok(vrift_chroot(jailed, "/a"));
    check_ok(vrift_getcwd(jailed, buf, sizeof buf));
    assert_string_equal(buf, "(unreachable)/");
    check_ok(vrift_chdir(jailed, "/b"));
    check_ok(vrift_getcwd(jailed, buf, sizeof buf));
    assert_string_equal(buf, "/b");
    check_ok(vrift_chdir(jailed, "../../../.."));
    check_ok(vrift_getcwd(jailed, buf, sizeof buf));
    assert_string_equal(buf, "/");
    vrift_task_free(jailed);
    check_ok(vrift_umount(w->task, HERE, "/m", 0));
}

static void mount_flags_keep_what_they_forbid(void **state)
{
    struct world *w = *state;
    check_ok(vrift_mknodat(w->task, HERE, "/a/dev", VRIFT_S_IFCHR | 0666, VRIFT_MKDEV(1, 3)));
    check_ok(vrift_symlinkat(w->task, "f", HERE, "/a/link"));
    check_ok(vrift_fchmodat(w->task, HERE, "/a/f", 0755, 0));
    check_ok(vrift_mkdirat(w->task, HERE, "/m", 0755));
    check_ok(
        vrift_bind(w->task, HERE, "/a", HERE, "/m", VRIFT_MOUNT_NODEV | VRIFT_MOUNT_NOEXEC | VRIFT_MOUNT_NOSYMFOLLOW));
    check_error(-VRIFT_EACCES, vrift_openat(w->task, HERE, "/m/dev", VRIFT_O_RDONLY, 0));
    check_error(-VRIFT_ENXIO, vrift_openat(w->task, HERE, "/a/dev", VRIFT_O_RDONLY, 0));
    check_error(-VRIFT_EACCES, vrift_faccessat(w->task, HERE, "/m/f", 1, 0));
    check_ok(vrift_faccessat(w->task, HERE, "/a/f", 1, 0));
    check_error(-VRIFT_ELOOP, vrift_openat(w->task, HERE, "/m/link", VRIFT_O_RDONLY, 0));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/m/f", VRIFT_O_WRONLY, 0));
    check_error(-VRIFT_EBUSY, vrift_remount(w->task, HERE, "/m", VRIFT_MOUNT_RDONLY));
    check_ok(vrift_close(w->task, fd));
    check_ok(vrift_remount(w->task, HERE, "/m", VRIFT_MOUNT_RDONLY));
    check_error(-VRIFT_EROFS, vrift_openat(w->task, HERE, "/m/f", VRIFT_O_WRONLY, 0));
    check_error(-VRIFT_EINVAL, vrift_remount(w->task, HERE, "/m/b", 0));
    struct vrift_statfs fs;
    check_ok(vrift_statfs(w->task, HERE, "/m", &fs));
    assert_int_equal(fs.flags & VRIFT_MOUNT_RDONLY, VRIFT_MOUNT_RDONLY);
    check_ok(vrift_umount(w->task, HERE, "/m", 0));
}

static void only_an_administrator_mounts(void **state)
{
    struct world *w = *state;
    vrift_cred *user = world_cred(w, 1000, 1000);
    check_ok(vrift_task_set_cred(w->task, user));
    check_error(-VRIFT_EPERM, vrift_bind(w->task, HERE, "/a", HERE, "/a/b", 0));
    check_error(-VRIFT_EPERM, vrift_umount(w->task, HERE, "/", 0));
    check_error(-VRIFT_EPERM, vrift_chroot(w->task, "/a"));
    vrift_cred_unref(user);
}

static void a_description_outlives_everything_that_led_to_it(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    vrift_file *file;
    char buf[8];
    world_file(w, "/f", "kept");
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDONLY, 0));
    check_ok(vrift_task_file(w->task, fd, &file));
    vrift_task_free(w->task);
    vrift_ns_unref(w->ns);
    vrift_sb_unref(w->sb);
    vrift_vfs_free(w->vfs);
    assert_int_equal(vrift_file_pread(file, buf, sizeof buf, 0), 4);
    assert_memory_equal(buf, "kept", 4);
    assert_true(w->allocated > 0);
    vrift_file_unref(file);
    assert_int_equal(w->allocated, 0);
    free(w);
}

static void descriptors_are_the_lowest_free_up_to_the_limit(void **state)
{
    struct world *w = *state;
    struct vrift_task_options options = {.size = sizeof options, .max_files = 100};
    vrift_task *task;
    check_ok(vrift_task_new(w->ns, NULL, &options, &task));
    for (int32_t i = 0; i < 100; i++)
        assert_int_equal(vrift_openat(task, HERE, "/a/f", VRIFT_O_RDONLY, 0), i);
    check_error(-VRIFT_EMFILE, vrift_openat(task, HERE, "/a/f", VRIFT_O_RDONLY, 0));
    check_error(-VRIFT_EMFILE, vrift_dup(task, 5));
    check_error(-VRIFT_EBADF, vrift_dup3(task, 5, 100, 0));
    check_ok(vrift_close(task, 70));
    check_ok(vrift_close(task, 7));
    assert_int_equal(vrift_dup(task, 0), 7);
    assert_int_equal(vrift_dup(task, 0), 70);
    check_error(-VRIFT_EINVAL, vrift_dup3(task, 5, 5, 0));
    assert_int_equal(vrift_dup3(task, 5, 6, 0), 6);
    vrift_task_free(task);
}

static void the_instance_limits_open_descriptions(void **state)
{
    (void)state;
    struct vrift_vfs_options options = {.size = sizeof options, .max_files = 2};
    struct world *w = world_new(&options);
    world_file(w, "/f", "x");
    int32_t one = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDONLY, 0));
    check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDONLY, 0));
    check_error(-VRIFT_ENFILE, vrift_openat(w->task, HERE, "/f", VRIFT_O_RDONLY, 0));
    check_ok(vrift_dup(w->task, one));
    world_free(w);
}

static void writes_through_several_buffers_land_in_one_piece(void **state)
{
    struct world *w = *state;
    char one[] = "one ", two[] = "two";
    struct vrift_iovec iov[3] = {{one, 4}, {NULL, 0}, {two, 3}};
    int32_t fd =
        (int32_t)check_ok(vrift_openat(w->task, HERE, "/v", VRIFT_O_CREAT | VRIFT_O_RDWR | VRIFT_O_APPEND, 0644));
    assert_int_equal(vrift_writev(w->task, fd, iov, 3), 7);
    assert_int_equal(vrift_lseek(w->task, fd, 0, VRIFT_SEEK_CUR), 7);
    check_ok(vrift_lseek(w->task, fd, 0, VRIFT_SEEK_SET));
    memset(one, 0, sizeof one);
    memset(two, 0, sizeof two);
    assert_int_equal(vrift_readv(w->task, fd, iov, 3), 7);
    assert_string_equal(two, "two");
    check_error(-VRIFT_EINVAL, vrift_readv(w->task, fd, iov, 1025));
    check_error(-VRIFT_EINVAL, vrift_lseek(w->task, fd, -1, VRIFT_SEEK_SET));
    check_error(-VRIFT_ENXIO, vrift_lseek(w->task, fd, 8, VRIFT_SEEK_DATA));
    assert_int_equal(vrift_lseek(w->task, fd, 0, VRIFT_SEEK_HOLE), 7);
    check_ok(vrift_close(w->task, fd));
}

static void bad_arguments_are_refused(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    check_error(-VRIFT_EINVAL, vrift_statat(NULL, HERE, "/", 0, &st));
    check_error(-VRIFT_EINVAL, vrift_statat(w->task, HERE, NULL, 0, &st));
    check_error(-VRIFT_EINVAL, vrift_statat(w->task, HERE, "/", 1ULL << 40, &st));
    check_error(-VRIFT_EBADF, vrift_statat(w->task, 77, "a", 0, &st));
    check_ok(vrift_statat(w->task, 77, "/a", 0, &st));
    check_error(-VRIFT_ENOTDIR, vrift_statat(w->task, HERE, "/a/f/..", 0, &st));
    check_error(-VRIFT_EINVAL, vrift_mount(w->task, HERE, "/a", NULL, 0));
    check_error(-VRIFT_EINVAL, vrift_umount(w->task, HERE, "/a", 0x10));
    vrift_task_free(NULL);
    vrift_file_unref(NULL);
    vrift_sb_unref(NULL);
    vrift_ns_unref(NULL);
    vrift_vfs_free(NULL);
    vrift_cred_unref(NULL);
}

static void names_have_words_for_people(void **state)
{
    (void)state;
    for (uint32_t i = 1; i < VRIFT_CAPABILITY_COUNT; i++)
        assert_non_null(vrift_capability_name(i));
    assert_null(vrift_capability_name(VRIFT_CAPABILITY_COUNT));
    assert_null(vrift_capability_name(0));
    assert_string_equal(vrift_capability_name(VRIFT_CAPABILITY_HARD_LINKS), "hard-links");
    assert_string_equal(vrift_consistency_name(VRIFT_CONSISTENCY_EVENTUAL), "eventual");
    assert_null(vrift_consistency_name(7));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_scoped_walk_stays_below_a_directory_that_moves),
        TEST(links_to_the_root_are_held_in_scope),
        TEST(a_cached_walk_never_asks_the_backend),
        TEST(mounts_stack_and_come_off_in_turn),
        TEST(a_file_can_be_bound_over_a_file_only),
        TEST(paths_are_written_across_mounts_and_roots),
        TEST(mount_flags_keep_what_they_forbid),
        TEST(only_an_administrator_mounts),
        cmocka_unit_test(a_description_outlives_everything_that_led_to_it),
        TEST(descriptors_are_the_lowest_free_up_to_the_limit),
        cmocka_unit_test(the_instance_limits_open_descriptions),
        TEST(writes_through_several_buffers_land_in_one_piece),
        TEST(bad_arguments_are_refused),
        cmocka_unit_test(names_have_words_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
