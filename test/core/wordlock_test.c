/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The reader-writer lock in one word: who waits gets it, and nobody else meanwhile. */
#include "support/check.h"

#include "core/wordlock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define WAITERS 0x40000000u

struct party {
    struct vr_wordlock_rooms rooms;
    _Atomic uint32_t lock;
    _Atomic uint32_t inside, wrong, done;
};

static void pause_for(long ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void *write_once(void *payload)
{
    struct party *party = payload;
    vr_wordlock_write(&party->lock, &party->rooms);
    vr_wordlock_unlock(&party->lock, &party->rooms);
    atomic_fetch_add(&party->done, 1);
    return NULL;
}

static void *read_once(void *payload)
{
    struct party *party = payload;
    vr_wordlock_read(&party->lock, &party->rooms);
    vr_wordlock_unlock(&party->lock, &party->rooms);
    atomic_fetch_add(&party->done, 1);
    return NULL;
}

static void a_reader_does_not_go_past_a_writer_that_waits(void **state)
{
    static struct party party;
    pthread_t writer, reader;
    (void)state;
    check_ok(vr_wordlock_init(&party.rooms));
    vr_wordlock_read(&party.lock, &party.rooms);
    assert_int_equal(pthread_create(&writer, NULL, write_once, &party), 0);
    while (!(atomic_load(&party.lock) & WAITERS))
        pause_for(1);
    assert_int_equal(pthread_create(&reader, NULL, read_once, &party), 0);
    pause_for(100);
    assert_int_equal(atomic_load(&party.done), 0);
    vr_wordlock_unlock(&party.lock, &party.rooms);
    pthread_join(writer, NULL);
    pthread_join(reader, NULL);
    assert_int_equal(atomic_load(&party.lock), 0);
    vr_wordlock_dispose(&party.rooms);
}

#define ROUNDS 5000

static void *write_often(void *payload)
{
    struct party *party = payload;
    for (int i = 0; i < ROUNDS; i++) {
        vr_wordlock_write(&party->lock, &party->rooms);
        if (atomic_exchange(&party->inside, 1))
            atomic_store(&party->wrong, 1);
        atomic_store(&party->inside, 0);
        vr_wordlock_unlock(&party->lock, &party->rooms);
    }
    atomic_fetch_add(&party->done, 1);
    return NULL;
}

/* Until the writers are done: they must be, though there is always somebody reading. */
static void *read_on(void *payload)
{
    struct party *party = payload;
    while (atomic_load(&party->done) < 2) {
        vr_wordlock_read(&party->lock, &party->rooms);
        if (atomic_load(&party->inside))
            atomic_store(&party->wrong, 1);
        vr_wordlock_unlock(&party->lock, &party->rooms);
    }
    return NULL;
}

static void writers_get_their_turn_among_readers_that_never_stop(void **state)
{
    static struct party party;
    pthread_t threads[5];
    (void)state;
    check_ok(vr_wordlock_init(&party.rooms));
    for (int i = 0; i < 5; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? write_often : read_on, &party), 0);
    for (int i = 0; i < 5; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&party.wrong), 0);
    assert_int_equal(atomic_load(&party.lock), 0);
    vr_wordlock_dispose(&party.rooms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reader_does_not_go_past_a_writer_that_waits),
        cmocka_unit_test(writers_get_their_turn_among_readers_that_never_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
