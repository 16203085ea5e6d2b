/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/check.h"

#include "platform/os.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct shared {
    vr_os_mutex mutex;
    vr_os_cond cond;
    vr_os_rwlock lock;
    int turns;    /* under mutex */
    int entered;  /* under mutex */
    uint64_t sum; /* under lock */
};

static void *take_turns(void *payload)
{
    struct shared *shared = payload;
    vr_os_mutex_lock(&shared->mutex);
    shared->entered++;
    vr_os_cond_broadcast(&shared->cond);
    while (!shared->turns)
        vr_os_cond_wait(&shared->cond, &shared->mutex);
    vr_os_mutex_unlock(&shared->mutex);
    for (int i = 0; i < 10000; i++) {
        vr_os_rwlock_write(&shared->lock);
        shared->sum++;
        vr_os_rwlock_unlock(&shared->lock);
    }
    return NULL;
}

static void threads_wait_and_exclude_each_other(void **state)
{
    (void)state;
    struct shared shared = {.turns = 0};
    vr_os_thread threads[4];
    check_ok(vr_os_mutex_init(&shared.mutex));
    check_ok(vr_os_cond_init(&shared.cond));
    check_ok(vr_os_rwlock_init(&shared.lock));
    for (int i = 0; i < 4; i++)
        check_ok(vr_os_thread_start(&threads[i], take_turns, &shared));
    vr_os_mutex_lock(&shared.mutex);
    while (shared.entered < 4)
        vr_os_cond_wait(&shared.cond, &shared.mutex);
    shared.turns = 1;
    vr_os_cond_broadcast(&shared.cond);
    vr_os_mutex_unlock(&shared.mutex);
    for (int i = 0; i < 4; i++)
        vr_os_thread_join(threads[i]);
    vr_os_rwlock_read(&shared.lock);
    assert_int_equal(shared.sum, 40000);
    vr_os_rwlock_unlock(&shared.lock);
    vr_os_rwlock_destroy(&shared.lock);
    vr_os_cond_destroy(&shared.cond);
    vr_os_mutex_destroy(&shared.mutex);
}

static void *read_mask(void *payload)
{
    pthread_sigmask(SIG_SETMASK, NULL, payload);
    return NULL;
}

static void a_thread_takes_no_signals_but_those_it_raises_itself(void **state)
{
    (void)state;
    vr_os_thread thread;
    sigset_t mask, before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    check_ok(vr_os_thread_start(&thread, read_mask, &mask));
    vr_os_thread_join(thread);
    assert_true(sigismember(&mask, SIGTERM));
    assert_true(sigismember(&mask, SIGCHLD));
    assert_false(sigismember(&mask, SIGSEGV));
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
}

static void clocks_go_forward_and_file_time_is_the_kernels(void **state)
{
    (void)state;
    uint64_t first = vr_os_monotonic_ns();
    assert_true(vr_os_monotonic_ns() >= first);
    struct vrift_timespec before, after;
    struct stat st;
    char *dir = temporary_directory(), path[4200];
    snprintf(path, sizeof path, "%s/file", dir);
    vr_os_file_time(&before);
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    assert_int_equal(stat(path, &st), 0);
    assert_true(before.sec < st.st_mtim.tv_sec ||
                (before.sec == st.st_mtim.tv_sec && before.nsec <= (uint64_t)st.st_mtim.tv_nsec));
    vr_os_file_time(&after);
    assert_true(after.sec >= before.sec);
    remove_temporary_directory(dir);
}

static void randomness_differs_and_the_boot_is_one(void **state)
{
    (void)state;
    uint8_t a[40], b[40], boot[16], again[16];
    check_ok(vr_os_random(a, sizeof a));
    check_ok(vr_os_random(b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
    vr_os_boot_id(boot);
    vr_os_boot_id(again);
    assert_memory_equal(boot, again, 16);
    assert_true(vr_os_processors() >= 1);
    if (access("/proc/sys/kernel/random/boot_id", R_OK) == 0) {
        static const uint8_t none[16];
        assert_memory_not_equal(boot, none, 16);
    }
}

static void a_mapping_shows_the_file_and_nothing_maps_nothing(void **state)
{
    (void)state;
    char *dir = temporary_directory(), path[4200];
    snprintf(path, sizeof path, "%s/file", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "mapped", 6), 6);
    const void *map = vr_os_map(fd, 6);
    assert_non_null(map);
    assert_memory_equal(map, "mapped", 6);
    vr_os_unmap(map, 6);
    assert_null(vr_os_map(fd, 0));
    assert_null(vr_os_map(-1, 6));
    close(fd);
    remove_temporary_directory(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_wait_and_exclude_each_other),
        cmocka_unit_test(a_thread_takes_no_signals_but_those_it_raises_itself),
        cmocka_unit_test(clocks_go_forward_and_file_time_is_the_kernels),
        cmocka_unit_test(randomness_differs_and_the_boot_is_one),
        cmocka_unit_test(a_mapping_shows_the_file_and_nothing_maps_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
