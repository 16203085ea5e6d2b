/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Calls about freshness and durability: statx with its flags, fsync and its relatives, closing on exec. */
#include "support/world.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HERE VRIFT_AT_FDCWD

static int setup(void **state)
{
    *state = world_new(NULL);
    return 0;
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

static void statx_asks_the_backend_only_when_it_must(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    world_file(w, "/f", "hello");
    const uint64_t mask = VRIFT_STAT_BASIC | VRIFT_STAT_BTIME | VRIFT_STAT_MOUNT_ID;
    check_ok(vrift_statxat(w->task, HERE, "/f", 0, mask, &st));
    assert_int_equal(st.mask & mask, mask);
    uint64_t calls = world_backend_calls(w);
    check_ok(vrift_statxat(w->task, HERE, "/f", VRIFT_AT_STATX_DONT_SYNC, mask, &st));
    check_ok(vrift_statxat(w->task, HERE, "/f", VRIFT_AT_SYMLINK_NOFOLLOW | VRIFT_AT_NO_AUTOMOUNT, mask, &st));
    assert_int_equal(world_backend_calls(w), calls);
    check_ok(vrift_statxat(w->task, HERE, "/f", VRIFT_AT_STATX_FORCE_SYNC, mask, &st));
    assert_int_equal(world_backend_calls(w), calls + 1);
    assert_int_equal(st.size, 5);
    assert_int_equal(st.mount_id, world_stat(w, "/").mount_id);
    check_error(-VRIFT_EINVAL, vrift_statxat(w->task, HERE, "/f", VRIFT_AT_STATX_SYNC_TYPE, mask, &st));
    check_error(-VRIFT_EINVAL, vrift_statxat(w->task, HERE, "/f", 0, 0x80000000, &st));
    check_error(-VRIFT_EINVAL, vrift_statxat(w->task, HERE, "/f", VRIFT_AT_REMOVEDIR, mask, &st));
    check_error(-VRIFT_ENOENT, vrift_statxat(w->task, HERE, "", 0, mask, &st));
    check_ok(vrift_statxat(w->task, HERE, "", VRIFT_AT_EMPTY_PATH, 0, &st));
}

static void statx_of_a_shared_file_system_is_as_fresh_as_was_asked(void **state)
{
    struct world *w = *state;
    char path[4200];
    char *directory = temporary_directory();
    struct vrift_stat st;
    vrift_sb *host;
    snprintf(path, sizeof path, "%s/f", directory);
    int fd = open(path, O_CREAT | O_RDWR, 0644);
    assert_true(fd >= 0);
    check_ok(vrift_host_new(w->vfs, directory, NULL, &host));
    check_ok(vrift_mkdirat(w->task, HERE, "/m", 0755));
    check_ok(vrift_mount(w->task, HERE, "/m", host, 0));
    check_ok(vrift_statxat(w->task, HERE, "/m/f", 0, VRIFT_STAT_SIZE, &st));
    assert_int_equal(st.size, 0);
    assert_int_equal(write(fd, "abc", 3), 3);
    check_ok(vrift_statxat(w->task, HERE, "/m/f", VRIFT_AT_STATX_DONT_SYNC, VRIFT_STAT_SIZE, &st));
    assert_true(st.size == 0 || st.size == 3);
    check_ok(vrift_statxat(w->task, HERE, "/m/f", VRIFT_AT_STATX_FORCE_SYNC, VRIFT_STAT_SIZE, &st));
    assert_int_equal(st.size, 3);
    check_ok(vrift_sync(w->task));
    check_ok(vrift_umount(w->task, HERE, "/m", VRIFT_UMOUNT_DETACH));
    vrift_sb_unref(host);
    close(fd);
    unlink(path);
    remove_temporary_directory(directory);
}

static void what_a_backend_says_to_syncing_is_told(void **state)
{
    struct world *w = *state;
    world_file(w, "/f", "hello");
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDONLY, 0));
    int32_t path = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_PATH, 0));
    check_ok(vrift_sync(w->task));
    world_fault(w, "sync", 0, -VRIFT_EIO);
    check_error(-VRIFT_EIO, vrift_syncfs(w->task, fd));
    check_error(-VRIFT_EIO, vrift_sync(w->task));
    check_error(-VRIFT_EIO, vrift_sb_sync(w->sb));
    assert_int_equal(w->fault_hits, 3);
    check_error(-VRIFT_EBADF, vrift_syncfs(w->task, path));
    check_ok(vrift_fdatasync(w->task, fd));
    world_fault(w, "fsync", 0, -VRIFT_EIO);
    check_error(-VRIFT_EIO, vrift_fsync(w->task, fd));
    check_error(-VRIFT_EIO, vrift_fdatasync(w->task, fd));
    world_fault(w, NULL, 0, 0);
    check_ok(vrift_close(w->task, fd));
    check_ok(vrift_close(w->task, path));
}

static void a_file_system_mounted_twice_is_synced_once(void **state)
{
    struct world *w = *state;
    check_ok(vrift_mkdirat(w->task, HERE, "/m", 0755));
    check_ok(vrift_bind(w->task, HERE, "/", HERE, "/m", 0));
    uint64_t calls = world_backend_calls(w);
    check_ok(vrift_sync(w->task));
    assert_int_equal(world_backend_calls(w), calls + 1);
    check_ok(vrift_umount(w->task, HERE, "/m", 0));
}

static void exec_closes_what_is_marked_and_drops_its_locks(void **state)
{
    struct world *w = *state;
    vrift_task *child;
    world_file(w, "/f", "hello");
    int32_t kept = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDWR, 0));
    int32_t marked = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDWR | VRIFT_O_CLOEXEC, 0));
    struct vrift_lock lock = {.size = sizeof lock, .type = VRIFT_F_WRLCK};
    check_ok(vrift_task_fork(w->task, &child));
    check_ok(vrift_setlk(child, kept, 0, &lock, NULL));
    check_error(-VRIFT_EAGAIN, vrift_setlk(w->task, kept, 0, &lock, NULL));
    check_ok(vrift_close_on_exec(child));
    check_ok(vrift_getfd(child, kept));
    check_error(-VRIFT_EBADF, vrift_getfd(child, marked));
    assert_int_equal(vrift_getfd(w->task, marked), VRIFT_FD_CLOEXEC);
    check_ok(vrift_setlk(w->task, kept, 0, &lock, NULL)); /* as on Linux: any close of the file drops them */
    vrift_task_free(child);
    check_ok(vrift_close_range(w->task, 0, UINT32_MAX, 0));
    check_error(-VRIFT_EBADF, vrift_getfd(w->task, kept));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(statx_asks_the_backend_only_when_it_must),
        TEST(statx_of_a_shared_file_system_is_as_fresh_as_was_asked),
        TEST(what_a_backend_says_to_syncing_is_told),
        TEST(a_file_system_mounted_twice_is_synced_once),
        TEST(exec_closes_what_is_marked_and_drops_its_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
