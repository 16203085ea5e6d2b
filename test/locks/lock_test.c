/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Locks that are waited for: handing over, order, deadlock, timeout, cancelling; and whose they are. */
#include "core/lock.h"
#include "support/world.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define HERE      VRIFT_AT_FDCWD
#define A_WHILE   UINT64_C(30000000) /* ns: long enough for a bug to show, short enough for a test */
#define VERY_LONG UINT64_C(60000000000)

static int setup(void **state)
{
    struct world *w = world_new(NULL);
    world_file(w, "/f", "0123456789");
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

static int32_t open_f(vrift_task *task)
{
    return (int32_t)check_ok(vrift_openat(task, HERE, "/f", VRIFT_O_RDWR, 0));
}

static struct vrift_lock range(int32_t type, int64_t start, int64_t length)
{
    return (struct vrift_lock){.size = sizeof(struct vrift_lock), .type = type, .start = start, .length = length};
}

static int32_t set(vrift_task *task, int32_t fd, int32_t type, int64_t start, int64_t length)
{
    struct vrift_lock lock = range(type, start, length);
    return vrift_setlk(task, fd, 0, &lock, NULL);
}

/* How many wait for a lock of any file. */
static unsigned waiting(struct world *w)
{
    unsigned count = 0;
    for (int i = 0; i < VR_LOCK_SHARDS; i++) {
        struct vr_lock_shard *shard = &w->vfs->locks.shards[i];
        vr_os_mutex_lock(&shard->mutex);
        for (int j = 0; j < VR_LOCK_BUCKETS; j++)
            for (const struct vr_lockset *lockset = shard->buckets[j]; lockset; lockset = lockset->hash_next)
                for (const struct vr_lock_waiter *waiter = lockset->first; waiter; waiter = waiter->next)
                    count++;
        vr_os_mutex_unlock(&shard->mutex);
    }
    return count;
}

static void nap(void)
{
    const struct timespec time = {0, 200000};
    nanosleep(&time, NULL);
}

static void wait_until_waiting(struct world *w, unsigned count)
{
    while (waiting(w) != count)
        nap();
}

/* A call that waits, in a thread of its own. */
struct call {
    vrift_task *task;
    int32_t fd;
    uint64_t flock; /* an operation; 0: a record lock */
    uint64_t flags;
    struct vrift_lock lock;
    struct vrift_wait wait;
    _Atomic uint32_t *order; /* who came when */
    uint32_t place;
    pthread_t thread;
    int32_t result;
};

static void *run_call(void *payload)
{
    struct call *call = payload;
    call->result = call->flock
                       ? vrift_flock(call->task, call->fd, call->flock, &call->wait)
                       : vrift_setlk(call->task, call->fd, call->flags | VRIFT_SETLK_WAIT, &call->lock, &call->wait);
    if (call->order)
        call->place = atomic_fetch_add(call->order, 1);
    return NULL;
}

static void begin(struct call *call)
{
    call->wait.size = sizeof call->wait;
    if (!call->wait.timeout_ns)
        call->wait.timeout_ns = VERY_LONG; /* a bug shows as an error and does not hang the test */
    assert_int_equal(pthread_create(&call->thread, NULL, run_call, call), 0);
}

static int32_t end(struct call *call)
{
    assert_int_equal(pthread_join(call->thread, NULL), 0);
    return call->result;
}

/* -- Handing over -------------------------------------------------------------------------------------------------- */

static void an_unlock_hands_a_flock_over(void **state)
{
    struct world *w = *state;
    int32_t one = open_f(w->task), other = open_f(w->task);
    struct call call = {.task = w->task, .fd = other, .flock = VRIFT_LOCK_EX};
    check_ok(vrift_flock(w->task, one, VRIFT_LOCK_EX, NULL));
    begin(&call);
    wait_until_waiting(w, 1);
    check_ok(vrift_flock(w->task, one, VRIFT_LOCK_UN, NULL));
    /* It is the other's from this moment, whether its thread has run or not. */
    check_error(-VRIFT_EAGAIN, vrift_flock(w->task, one, VRIFT_LOCK_SH | VRIFT_LOCK_NB, NULL));
    check_ok(end(&call));
    check_ok(vrift_close(w->task, one));
    check_ok(vrift_close(w->task, other));
}

static void a_lock_may_be_lost_again_before_who_waited_for_it_wakes(void **state)
{
    struct world *w = *state;
    int32_t fd = open_f(w->task);
    for (int round = 0; round < 100; round++) {
        struct call call = {.task = w->task, .fd = fd, .lock = range(VRIFT_F_WRLCK, 0, 0)};
        struct vrift_lock drop = range(VRIFT_F_UNLCK, 0, 0);
        call.lock.owner = drop.owner = 7;
        check_ok(set(w->task, fd, VRIFT_F_WRLCK, 0, 0));
        begin(&call);
        wait_until_waiting(w, 1);
        check_ok(set(w->task, fd, VRIFT_F_UNLCK, 0, 0));
        check_ok(vrift_setlk(w->task, fd, 0, &drop, NULL)); /* the last lock of the file, mostly before it wakes */
        check_ok(end(&call));
        check_ok(set(w->task, fd, VRIFT_F_WRLCK, 0, 0)); /* nobody has it */
        check_ok(set(w->task, fd, VRIFT_F_UNLCK, 0, 0));
    }
    check_ok(vrift_close(w->task, fd));
}

static void the_last_close_hands_a_flock_over(void **state)
{
    struct world *w = *state;
    vrift_task *child;
    int32_t one = open_f(w->task), other = open_f(w->task);
    struct call call = {.task = w->task, .fd = other, .flock = VRIFT_LOCK_SH};
    check_ok(vrift_flock(w->task, one, VRIFT_LOCK_EX, NULL));
    int32_t twin = (int32_t)check_ok(vrift_dup(w->task, one));
    check_ok(vrift_task_fork(w->task, &child));
    begin(&call);
    wait_until_waiting(w, 1);
    check_ok(vrift_close(w->task, one));
    check_ok(vrift_close(w->task, twin));
    assert_int_equal(waiting(w), 1);
    vrift_task_free(child);
    check_ok(end(&call));
    check_ok(vrift_close(w->task, other));
}

static void any_close_and_the_end_of_a_task_hand_record_locks_over(void **state)
{
    struct world *w = *state;
    vrift_task *child;
    int32_t fd = open_f(w->task);
    for (int by_end = 0; by_end < 2; by_end++) {
        check_ok(vrift_task_fork(w->task, &child));
        struct call call = {.task = w->task, .fd = fd, .lock = range(VRIFT_F_WRLCK, 5, 1)};
        check_ok(set(child, fd, VRIFT_F_RDLCK, 0, 0));
        begin(&call);
        wait_until_waiting(w, 1);
        if (!by_end)
            check_ok(vrift_close(child, open_f(child)));
        vrift_task_free(child);
        check_ok(end(&call));
        check_ok(set(w->task, fd, VRIFT_F_UNLCK, 0, 0));
    }
    check_ok(vrift_close(w->task, fd));
}

static void a_downgrade_lets_readers_in(void **state)
{
    struct world *w = *state;
    vrift_task *child;
    int32_t fd = open_f(w->task);
    check_ok(vrift_task_fork(w->task, &child));
    struct call call = {.task = child, .fd = fd, .lock = range(VRIFT_F_RDLCK, 0, 0)};
    check_ok(set(w->task, fd, VRIFT_F_WRLCK, 0, 0));
    begin(&call);
    wait_until_waiting(w, 1);
    check_ok(set(w->task, fd, VRIFT_F_RDLCK, 0, 5));
    assert_int_equal(waiting(w), 1);
    check_ok(set(w->task, fd, VRIFT_F_RDLCK, 5, 0));
    check_ok(end(&call));
    vrift_task_free(child);
    check_ok(vrift_close(w->task, fd));
}

static void who_waits_is_served_in_the_order_of_asking(void **state)
{
    enum { CALLS = 6 };
    struct world *w = *state;
    _Atomic uint32_t order = 0;
    struct call calls[CALLS];
    int32_t fd = open_f(w->task);
    check_ok(vrift_flock(w->task, fd, VRIFT_LOCK_EX, NULL));
    for (unsigned i = 0; i < CALLS; i++) {
        calls[i] = (struct call){.task = w->task, .fd = open_f(w->task), .flock = VRIFT_LOCK_EX, .order = &order};
        begin(&calls[i]);
        wait_until_waiting(w, i + 1);
    }
    check_ok(vrift_close(w->task, fd));
    for (unsigned i = 0; i < CALLS; i++) {
        check_ok(end(&calls[i]));
        assert_int_equal(calls[i].place, i);
        check_ok(vrift_close(w->task, calls[i].fd));
    }
}

static void a_reader_comes_in_while_a_writer_waits_as_on_linux(void **state)
{
    struct world *w = *state;
    int32_t one = open_f(w->task), two = open_f(w->task), other = open_f(w->task);
    struct call call = {.task = w->task, .fd = other, .flock = VRIFT_LOCK_EX};
    check_ok(vrift_flock(w->task, one, VRIFT_LOCK_SH, NULL));
    begin(&call);
    wait_until_waiting(w, 1);
    check_ok(vrift_flock(w->task, two, VRIFT_LOCK_SH | VRIFT_LOCK_NB, NULL));
    check_ok(vrift_close(w->task, one));
    assert_int_equal(waiting(w), 1);
    check_ok(vrift_close(w->task, two));
    check_ok(end(&call));
    check_ok(vrift_close(w->task, other));
}

/* -- Giving up ----------------------------------------------------------------------------------------------------- */

static void waiting_ends_with_the_timeout(void **state)
{
    struct world *w = *state;
    int32_t one = open_f(w->task), other = open_f(w->task);
    const struct vrift_wait wait = {.size = sizeof wait, .timeout_ns = A_WHILE};
    struct vrift_lock lock = range(VRIFT_F_WRLCK, 3, 4);
    check_ok(vrift_flock(w->task, one, VRIFT_LOCK_EX, NULL));
    uint64_t start = vr_os_monotonic_ns();
    check_error(-VRIFT_ETIMEDOUT, vrift_flock(w->task, other, VRIFT_LOCK_SH, &wait));
    assert_true(vr_os_monotonic_ns() - start >= A_WHILE);
    check_ok(vrift_setlk(w->task, one, VRIFT_SETLK_OFD, &lock, NULL));
    check_error(-VRIFT_ETIMEDOUT, vrift_setlk(w->task, other, VRIFT_SETLK_OFD | VRIFT_SETLK_WAIT, &lock, &wait));
    assert_int_equal(waiting(w), 0);
    check_ok(vrift_close(w->task, one));
    check_ok(vrift_setlk(w->task, other, VRIFT_SETLK_OFD | VRIFT_SETLK_WAIT, &lock, &wait));
    check_ok(vrift_close(w->task, other));
}

static void a_cancel_ends_waiting_and_stays_on(void **state)
{
    struct world *w = *state;
    vrift_cancel *cancel;
    check_ok(vrift_cancel_new(w->vfs, &cancel));
    int32_t one = open_f(w->task), other = open_f(w->task), third = open_f(w->task);
    struct call call = {.task = w->task, .fd = other, .flock = VRIFT_LOCK_EX, .wait.cancel = cancel};
    struct call behind = {.task = w->task, .fd = third, .flock = VRIFT_LOCK_EX};
    check_ok(vrift_flock(w->task, one, VRIFT_LOCK_EX, NULL));
    begin(&call);
    wait_until_waiting(w, 1);
    begin(&behind);
    wait_until_waiting(w, 2);
    vrift_cancel_fire(cancel);
    check_error(-VRIFT_EINTR, end(&call));
    assert_int_equal(waiting(w), 1);
    check_error(-VRIFT_EINTR, vrift_flock(w->task, other, VRIFT_LOCK_EX, &call.wait));
    /* What does not have to wait is not kept from anything. */
    check_ok(vrift_close(w->task, one));
    check_ok(end(&behind));
    check_ok(vrift_close(w->task, third));
    check_ok(vrift_flock(w->task, other, VRIFT_LOCK_EX, &call.wait));
    vrift_cancel_clear(cancel);
    third = open_f(w->task);
    call.fd = third;
    begin(&call);
    wait_until_waiting(w, 1);
    check_ok(vrift_close(w->task, other));
    check_ok(end(&call));
    check_ok(vrift_close(w->task, third));
    vrift_cancel_free(cancel);
}

static void a_flock_that_could_not_be_converted_is_gone(void **state)
{
    struct world *w = *state;
    int32_t one = open_f(w->task), other = open_f(w->task);
    const struct vrift_wait wait = {.size = sizeof wait, .timeout_ns = A_WHILE};
    check_ok(vrift_flock(w->task, one, VRIFT_LOCK_SH, NULL));
    check_ok(vrift_flock(w->task, other, VRIFT_LOCK_SH, NULL));
    check_error(-VRIFT_ETIMEDOUT, vrift_flock(w->task, one, VRIFT_LOCK_EX, &wait));
    check_ok(vrift_flock(w->task, other, VRIFT_LOCK_EX | VRIFT_LOCK_NB, NULL));
    check_ok(vrift_close(w->task, one));
    check_ok(vrift_close(w->task, other));
}

static void a_lock_of_a_descriptor_closed_meanwhile_is_not_kept(void **state)
{
    struct world *w = *state;
    vrift_task *child;
    int32_t fd = open_f(w->task);
    check_ok(vrift_task_fork(w->task, &child));
    struct call call = {.task = child, .fd = fd, .lock = range(VRIFT_F_WRLCK, 0, 0)};
    check_ok(set(w->task, fd, VRIFT_F_WRLCK, 0, 0));
    begin(&call);
    wait_until_waiting(w, 1);
    check_ok(vrift_close(child, fd));
    check_ok(set(w->task, fd, VRIFT_F_UNLCK, 0, 0));
    check_error(-VRIFT_EBADF, end(&call));
    check_ok(set(w->task, fd, VRIFT_F_WRLCK, 0, 0));
    vrift_task_free(child);
    check_ok(vrift_close(w->task, fd));
}

/* -- Circles ------------------------------------------------------------------------------------------------------- */

static void a_circle_of_record_locks_is_refused(void **state)
{
    enum { TASKS = 4 };
    struct world *w = *state;
    vrift_task *tasks[TASKS];
    struct call calls[TASKS];
    int32_t fd = open_f(w->task);
    for (int i = 0; i < TASKS; i++) {
        check_ok(vrift_task_fork(w->task, &tasks[i]));
        check_ok(set(tasks[i], fd, VRIFT_F_WRLCK, i, 1));
    }
    for (int i = 0; i < TASKS - 1; i++) {
        calls[i] = (struct call){.task = tasks[i], .fd = fd, .lock = range(VRIFT_F_WRLCK, i + 1, 1)};
        begin(&calls[i]);
        wait_until_waiting(w, (unsigned)i + 1);
    }
    struct vrift_lock last = range(VRIFT_F_RDLCK, 0, 1);
    check_error(-VRIFT_EDEADLK, vrift_setlk(tasks[TASKS - 1], fd, VRIFT_SETLK_WAIT, &last, NULL));
    /* It has what it had, and lets it go: the others come one after the other. */
    check_ok(set(tasks[TASKS - 1], fd, VRIFT_F_UNLCK, 0, 0));
    for (int i = TASKS - 2; i >= 0; i--) {
        check_ok(end(&calls[i]));
        check_ok(set(tasks[i], fd, VRIFT_F_UNLCK, 0, 0));
    }
    for (int i = 0; i < TASKS; i++)
        vrift_task_free(tasks[i]);
    check_ok(vrift_close(w->task, fd));
}

/* It waits for one of two readers, the other of whom waits for it: seen once the first one is gone. */
static void a_circle_that_shows_later_ends_the_waiting(void **state)
{
    struct world *w = *state;
    vrift_task *one, *two;
    int32_t fd = open_f(w->task);
    check_ok(vrift_task_fork(w->task, &one));
    check_ok(vrift_task_fork(w->task, &two));
    check_ok(set(one, fd, VRIFT_F_RDLCK, 0, 1));
    check_ok(set(two, fd, VRIFT_F_RDLCK, 0, 1));
    check_ok(set(w->task, fd, VRIFT_F_WRLCK, 1, 1));
    struct call writer = {.task = w->task, .fd = fd, .lock = range(VRIFT_F_WRLCK, 0, 1)};
    struct call reader = {.task = two, .fd = fd, .lock = range(VRIFT_F_RDLCK, 1, 1)};
    begin(&writer);
    wait_until_waiting(w, 1);
    begin(&reader);
    wait_until_waiting(w, 2);
    check_ok(set(one, fd, VRIFT_F_UNLCK, 0, 0));
    check_error(-VRIFT_EDEADLK, end(&writer));
    assert_int_equal(waiting(w), 1);
    check_ok(set(w->task, fd, VRIFT_F_UNLCK, 0, 0));
    check_ok(end(&reader));
    vrift_task_free(one);
    vrift_task_free(two);
    check_ok(vrift_close(w->task, fd));
}

static void a_circle_of_descriptions_is_not_seen_as_on_linux(void **state)
{
    struct world *w = *state;
    int32_t one = open_f(w->task), other = open_f(w->task);
    struct vrift_lock first = range(VRIFT_F_WRLCK, 0, 1), second = range(VRIFT_F_WRLCK, 1, 1);
    check_ok(vrift_setlk(w->task, one, VRIFT_SETLK_OFD, &first, NULL));
    check_ok(vrift_setlk(w->task, other, VRIFT_SETLK_OFD, &second, NULL));
    struct call call = {.task = w->task, .fd = one, .flags = VRIFT_SETLK_OFD, .lock = second};
    const struct vrift_wait wait = {.size = sizeof wait, .timeout_ns = A_WHILE};
    begin(&call);
    wait_until_waiting(w, 1);
    check_error(-VRIFT_ETIMEDOUT, vrift_setlk(w->task, other, VRIFT_SETLK_OFD | VRIFT_SETLK_WAIT, &first, &wait));
    check_ok(vrift_close(w->task, other));
    check_ok(end(&call));
    check_ok(vrift_close(w->task, one));
}

/* -- Whose they are ------------------------------------------------------------------------------------------------ */

static void tasks_that_share_a_table_share_its_record_locks(void **state)
{
    struct world *w = *state;
    vrift_task *thread, *child;
    int32_t fd = open_f(w->task);
    check_ok(vrift_task_clone(w->task, VRIFT_CLONE_FILES, &thread));
    check_ok(vrift_task_fork(w->task, &child));
    check_ok(set(w->task, fd, VRIFT_F_WRLCK, 0, 0));
    check_ok(set(thread, fd, VRIFT_F_WRLCK, 0, 0));
    check_error(-VRIFT_EAGAIN, set(child, fd, VRIFT_F_RDLCK, 0, 0));
    check_ok(vrift_close(thread, open_f(thread)));
    check_ok(set(child, fd, VRIFT_F_RDLCK, 0, 0));
    struct vrift_lock lock = range(VRIFT_F_WRLCK, 0, 0), mine = range(VRIFT_F_WRLCK, 0, 0);
    check_ok(vrift_getlk(w->task, fd, 0, &lock));
    check_ok(vrift_getlk(child, fd, 0, &mine));
    assert_int_equal(lock.type, VRIFT_F_RDLCK);
    assert_int_equal(mine.type, VRIFT_F_UNLCK);
    assert_true(lock.pid > 0);
    vrift_task_free(thread);
    vrift_task_free(child);
    check_ok(vrift_close(w->task, fd));
}

static void an_owner_that_is_a_number_keeps_its_locks_until_the_description_goes(void **state)
{
    struct world *w = *state;
    int32_t fd = open_f(w->task), other = open_f(w->task);
    struct vrift_lock one = range(VRIFT_F_WRLCK, 0, 4), two = range(VRIFT_F_RDLCK, 2, 4);
    one.owner = 77;
    one.pid = 4711;
    two.owner = 78;
    check_ok(vrift_setlk(w->task, fd, 0, &one, NULL));
    check_error(-VRIFT_EAGAIN, vrift_setlk(w->task, fd, 0, &two, NULL));
    check_ok(vrift_close(w->task, open_f(w->task)));
    check_error(-VRIFT_EAGAIN, set(w->task, other, VRIFT_F_RDLCK, 0, 0));
    check_ok(vrift_getlk(w->task, other, 0, &two));
    assert_int_equal(two.type, VRIFT_F_WRLCK);
    assert_int_equal(two.pid, 4711);
    assert_int_equal(two.length, 4);
    check_ok(vrift_close(w->task, fd));
    check_ok(set(w->task, other, VRIFT_F_WRLCK, 0, 0));
    check_ok(vrift_close(w->task, other));
}

static void what_was_removed_is_still_locked(void **state)
{
    struct world *w = *state;
    int32_t one = open_f(w->task), other = open_f(w->task);
    check_ok(vrift_linkat(w->task, HERE, "/f", HERE, "/g", 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/f", 0));
    int32_t again = (int32_t)check_ok(vrift_openat(w->task, HERE, "/g", VRIFT_O_RDWR, 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/g", 0));
    check_ok(vrift_flock(w->task, one, VRIFT_LOCK_EX, NULL));
    check_error(-VRIFT_EAGAIN, vrift_flock(w->task, other, VRIFT_LOCK_EX | VRIFT_LOCK_NB, NULL));
    check_error(-VRIFT_EAGAIN, vrift_flock(w->task, again, VRIFT_LOCK_EX | VRIFT_LOCK_NB, NULL));
    world_file(w, "/f", "another");
    int32_t fresh = open_f(w->task);
    check_ok(vrift_flock(w->task, fresh, VRIFT_LOCK_EX | VRIFT_LOCK_NB, NULL));
    vrift_task *child;
    check_ok(vrift_task_fork(w->task, &child)); /* and the rest is closed with the tasks */
    vrift_task_free(child);
}

static void without_memory_nothing_is_locked_and_all_can_be_unlocked(void **state)
{
    struct world *w = *state;
    vrift_task *child;
    int32_t fd = open_f(w->task);
    check_ok(vrift_task_fork(w->task, &child));
    check_ok(set(w->task, fd, VRIFT_F_WRLCK, 0, 10));
    for (uint64_t left = 0; left < 3; left++) {
        w->allocations_left = left;
        check_error(-VRIFT_ENOLCK, set(w->task, fd, VRIFT_F_RDLCK, 2, 3));
        w->allocations_left = left < 2 ? left : 1;
        check_error(-VRIFT_ENOLCK, set(w->task, fd, VRIFT_F_UNLCK, 2, 3));
    }
    w->allocations_left = UINT64_MAX;
    struct vrift_lock lock = range(VRIFT_F_RDLCK, 3, 1);
    check_ok(vrift_getlk(child, fd, 0, &lock));
    assert_int_equal(lock.type, VRIFT_F_WRLCK);
    assert_int_equal(lock.length, 10);
    w->allocations_left = 0;
    check_ok(set(w->task, fd, VRIFT_F_UNLCK, 0, 0));
    w->allocations_left = UINT64_MAX;
    check_ok(set(child, fd, VRIFT_F_WRLCK, 0, 0));
    vrift_task_free(child);
    check_ok(vrift_close(w->task, fd));
}

/* -- All at once --------------------------------------------------------------------------------------------------- */

enum { THREADS = 4, CELLS = 4, ROUNDS = 1500 };

struct storm {
    struct world *world;
    vrift_cancel *cancel;
    _Atomic int writers[CELLS], readers[CELLS]; /* who believes to hold a byte, by record lock */
    _Atomic int flocked;
    _Atomic int wrong;
    _Atomic int running;
};

struct stormer {
    struct storm *storm;
    vrift_task *task;
    uint64_t random;
    pthread_t thread;
};

static uint32_t roll(struct stormer *me, uint32_t sides)
{
    me->random = me->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(me->random >> 33) % sides;
}

static void hold(struct storm *storm, int32_t type, int first, int last, int by)
{
    for (int i = first; i <= last; i++) {
        int others = 0;
        if (type == VRIFT_F_WRLCK)
            others = atomic_fetch_add(&storm->writers[i], by) + atomic_load(&storm->readers[i]);
        else
            others = atomic_load(&storm->writers[i]), atomic_fetch_add(&storm->readers[i], by);
        if (by > 0 && others)
            atomic_store(&storm->wrong, 1);
    }
}

static void lock_records(struct stormer *me, int32_t fd, const struct vrift_wait *wait)
{
    struct storm *storm = me->storm;
    int first = (int)roll(me, CELLS), last = first + (int)roll(me, (uint32_t)(CELLS - first));
    struct vrift_lock lock = range((int32_t)roll(me, 2), first, last - first + 1);
    int32_t result = vrift_setlk(me->task, fd, VRIFT_SETLK_WAIT, &lock, wait);
    if (result && result != -VRIFT_ETIMEDOUT && result != -VRIFT_EINTR && result != -VRIFT_EDEADLK)
        atomic_store(&storm->wrong, 2);
    if (result)
        return;
    hold(storm, lock.type, first, last, 1);
    sched_yield();
    hold(storm, lock.type, first, last, -1);
    lock.type = VRIFT_F_UNLCK;
    if (roll(me, 4))
        vrift_setlk(me->task, fd, 0, &lock, NULL);
    else
        vrift_close(me->task, open_f(me->task));
}

static void lock_whole(struct stormer *me, int32_t fd, const struct vrift_wait *wait)
{
    int32_t result = vrift_flock(me->task, fd, VRIFT_LOCK_EX, wait);
    if (result && result != -VRIFT_ETIMEDOUT && result != -VRIFT_EINTR)
        atomic_store(&me->storm->wrong, 3);
    if (result)
        return;
    if (atomic_fetch_add(&me->storm->flocked, 1))
        atomic_store(&me->storm->wrong, 4);
    sched_yield();
    atomic_fetch_sub(&me->storm->flocked, 1);
    vrift_flock(me->task, fd, VRIFT_LOCK_UN, NULL);
}

static void *run_storm(void *payload)
{
    struct stormer *me = payload;
    struct vrift_wait wait = {.size = sizeof wait, .cancel = me->storm->cancel};
    for (int round = 0; round < ROUNDS && !atomic_load(&me->storm->wrong); round++) {
        int32_t fd = open_f(me->task);
        wait.timeout_ns = roll(me, 3) ? VERY_LONG : 1 + roll(me, 200000);
        if (roll(me, 3))
            lock_records(me, fd, &wait);
        else
            lock_whole(me, fd, &wait);
        vrift_close(me->task, fd);
    }
    atomic_fetch_sub(&me->storm->running, 1);
    return NULL;
}

static void threads_never_hold_what_excludes_each_other(void **state)
{
    struct world *w = *state;
    static struct storm storm;
    struct stormer stormers[THREADS];
    storm.world = w;
    atomic_store(&storm.running, THREADS);
    check_ok(vrift_cancel_new(w->vfs, &storm.cancel));
    for (int i = 0; i < THREADS; i++) {
        stormers[i] = (struct stormer){.storm = &storm, .random = (uint64_t)i};
        check_ok(vrift_task_fork(w->task, &stormers[i].task));
        assert_int_equal(pthread_create(&stormers[i].thread, NULL, run_storm, &stormers[i]), 0);
    }
    while (atomic_load(&storm.running)) {
        nap();
        vrift_cancel_fire(storm.cancel);
        vrift_cancel_clear(storm.cancel);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(stormers[i].thread, NULL), 0);
        vrift_task_free(stormers[i].task);
    }
    vrift_cancel_free(storm.cancel);
    assert_int_equal(atomic_load(&storm.wrong), 0);
    assert_int_equal(waiting(w), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_unlock_hands_a_flock_over),
        TEST(a_lock_may_be_lost_again_before_who_waited_for_it_wakes),
        TEST(the_last_close_hands_a_flock_over),
        TEST(any_close_and_the_end_of_a_task_hand_record_locks_over),
        TEST(a_downgrade_lets_readers_in),
        TEST(who_waits_is_served_in_the_order_of_asking),
        TEST(a_reader_comes_in_while_a_writer_waits_as_on_linux),
        TEST(waiting_ends_with_the_timeout),
        TEST(a_cancel_ends_waiting_and_stays_on),
        TEST(a_flock_that_could_not_be_converted_is_gone),
        TEST(a_lock_of_a_descriptor_closed_meanwhile_is_not_kept),
        TEST(a_circle_of_record_locks_is_refused),
        TEST(a_circle_that_shows_later_ends_the_waiting),
        TEST(a_circle_of_descriptions_is_not_seen_as_on_linux),
        TEST(tasks_that_share_a_table_share_its_record_locks),
        TEST(an_owner_that_is_a_number_keeps_its_locks_until_the_description_goes),
        TEST(what_was_removed_is_still_locked),
        TEST(without_memory_nothing_is_locked_and_all_can_be_unlocked),
        TEST(threads_never_hold_what_excludes_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
