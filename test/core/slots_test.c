/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the cache is built of: slots that keep their type, tables that grow by a bucket at a time, locks of one word. */
#include "core/alloc.h"
#include "core/pool.h"
#include "core/table.h"
#include "core/wordlock.h"
#include "support/check.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* -- Pools --------------------------------------------------------------------------------------------------------- */

struct item {
    struct vr_link link;
    uint64_t number;
    uint64_t prepared;
};

static void prepare(void *slot)
{
    ((struct item *)slot)->prepared = 42;
}

static uint64_t allocations_left = UINT64_MAX;

static void *VRIFT_CALLBACK limited_malloc(size_t size, void *payload)
{
    (void)payload;
    if (!allocations_left)
        return NULL;
    allocations_left--;
    return malloc(size);
}

static void *VRIFT_CALLBACK limited_realloc(void *pointer, size_t size, void *payload)
{
    (void)payload;
    return realloc(pointer, size);
}

static void VRIFT_CALLBACK limited_free(void *pointer, void *payload)
{
    (void)payload;
    free(pointer);
}

static const struct vrift_allocator limited = {
    .size = sizeof limited, .malloc_fn = limited_malloc, .realloc_fn = limited_realloc, .free_fn = limited_free};

static void a_slot_is_used_again_for_its_kind_only(void **state)
{
    (void)state;
    struct vr_pool pool = {0};
    _Atomic uint64_t charged = 0;
    struct item *items[1000];
    check_ok(vr_pool_init(&pool, sizeof(struct item), 8, prepare, &charged));
    for (size_t i = 0; i < 1000; i++) {
        items[i] = vr_pool_get(&pool, NULL);
        assert_non_null(items[i]);
        assert_int_equal(items[i]->prepared, 42);
        items[i]->number = i;
    }
    assert_int_equal(charged, 1000 * sizeof(struct item));
    uint64_t slots = pool.slots;
    for (size_t i = 0; i < 1000; i += 2)
        vr_pool_put(&pool, items[i]);
    for (size_t i = 1; i < 1000; i += 2)
        assert_int_equal(items[i]->number, i);
    for (size_t i = 0; i < 1000; i += 2)
        items[i] = vr_pool_get(&pool, NULL);
    assert_int_equal(pool.slots, slots); /* no more memory was wanted */
    struct vr_cursor hand = {NULL, 0};
    for (uint64_t i = 0; i < slots; i++)
        assert_int_equal(((struct item *)vr_pool_turn(&pool, &hand))->prepared, 42);
    for (size_t i = 0; i < 1000; i++)
        vr_pool_put(&pool, items[i]);
    assert_int_equal(charged, 0);
    vr_pool_dispose(&pool, NULL);
}

static void a_promised_slot_is_there_when_memory_has_run_out(void **state)
{
    (void)state;
    struct vr_pool pool = {0};
    _Atomic uint64_t charged = 0;
    struct item *items[500], *promised;
    size_t count = 0;
    allocations_left = 1;
    check_ok(vr_pool_init(&pool, sizeof(struct item), 8, NULL, &charged));
    check_ok(vr_pool_reserve(&pool, &limited));
    while ((items[count] = vr_pool_get(&pool, &limited)))
        count++;
    assert_true(count > 1);
    assert_null(vr_pool_try(&pool));
    check_error(-VRIFT_ENOMEM, vr_pool_reserve(&pool, &limited));
    promised = vr_pool_take(&pool);
    assert_non_null(promised);
    vr_pool_put(&pool, promised);
    check_ok(vr_pool_reserve(&pool, &limited));
    vr_pool_release(&pool);
    while (count)
        vr_pool_put(&pool, items[--count]);
    allocations_left = UINT64_MAX;
    vr_pool_dispose(&pool, &limited);
}

/* -- Tables -------------------------------------------------------------------------------------------------------- */

static uint32_t hash_of(const struct vr_link *link)
{
    return (uint32_t)(((const struct item *)(const void *)link)->number * 2654435761u);
}

static bool holds(struct vr_table *table, const struct item *item)
{
    const struct vr_link *link = atomic_load(vr_table_bucket(table, hash_of(&item->link)));
    while (link && link != &item->link)
        link = atomic_load(&link->next);
    return link;
}

static void a_table_finds_everything_at_every_size(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    struct vr_table table = {0};
    _Atomic uint64_t charged = 0;
    struct item *items = calloc(COUNT, sizeof *items);
    assert_non_null(items);
    check_ok(vr_table_init(&table, 2, &charged, NULL));
    for (size_t i = 0; i < COUNT; i++) {
        items[i].number = i;
        vr_bucket *bucket = vr_table_bucket(&table, hash_of(&items[i].link));
        atomic_store(&items[i].link.next, atomic_load(bucket));
        atomic_store(bucket, &items[i].link);
        vr_bucket *ahead = vr_table_ahead(&table, NULL);
        vr_alloc_free(NULL, vr_table_grow(&table, i + 1, 1, 4, hash_of, ahead));
        assert_true(vr_table_buckets(&table) >= i + 1);
        for (size_t j = i % 97; j <= i; j += 97)
            assert_true(holds(&table, &items[j]));
    }
    /* Segments are at most a quarter too long. */
    assert_true(charged <= sizeof(vr_bucket) * COUNT * 5 / 4 + 64);
    vr_table_dispose(&table, NULL);
    assert_int_equal(charged, 0);
    free(items);
}

static void a_table_without_memory_for_more_buckets_goes_on_with_what_it_has(void **state)
{
    (void)state;
    struct vr_table table = {0};
    _Atomic uint64_t charged = 0;
    struct item items[200];
    memset(items, 0, sizeof items);
    allocations_left = 1;
    check_ok(vr_table_init(&table, 3, &charged, &limited));
    for (size_t i = 0; i < 200; i++) {
        items[i].number = i;
        vr_bucket *bucket = vr_table_bucket(&table, hash_of(&items[i].link));
        atomic_store(&items[i].link.next, atomic_load(bucket));
        atomic_store(bucket, &items[i].link);
        assert_null(vr_table_grow(&table, i + 1, 1, 4, hash_of, vr_table_ahead(&table, &limited)));
    }
    assert_int_equal(vr_table_buckets(&table), 8);
    for (size_t i = 0; i < 200; i++)
        assert_true(holds(&table, &items[i]));
    allocations_left = UINT64_MAX;
    vr_table_dispose(&table, &limited);
}

/* -- Locks of one word --------------------------------------------------------------------------------------------- */

struct contest {
    struct vr_wordlock_rooms rooms;
    _Atomic uint32_t locks[3];
    uint64_t a, b;         /* locks[0]; always the same */
    _Atomic uint32_t torn; /* how often they were not */
};

static void *write_both(void *payload)
{
    struct contest *contest = payload;
    for (int i = 0; i < 20000; i++) {
        vr_wordlock_write(&contest->locks[0], &contest->rooms);
        contest->a++;
        vr_wordlock_write(&contest->locks[1 + i % 2], &contest->rooms); /* may wait in the same room */
        contest->b++;
        vr_wordlock_unlock(&contest->locks[1 + i % 2], &contest->rooms);
        vr_wordlock_unlock(&contest->locks[0], &contest->rooms);
    }
    return NULL;
}

static void *read_both(void *payload)
{
    struct contest *contest = payload;
    for (int i = 0; i < 20000; i++) {
        vr_wordlock_read(&contest->locks[0], &contest->rooms);
        vr_wordlock_read(&contest->locks[1], &contest->rooms);
        if (contest->a != contest->b)
            atomic_fetch_add(&contest->torn, 1);
        vr_wordlock_unlock(&contest->locks[1], &contest->rooms);
        vr_wordlock_unlock(&contest->locks[0], &contest->rooms);
    }
    return NULL;
}

static void a_lock_of_one_word_excludes_and_wakes(void **state)
{
    (void)state;
    struct contest contest;
    pthread_t threads[5];
    memset(&contest, 0, sizeof contest);
    check_ok(vr_wordlock_init(&contest.rooms));
    for (int i = 0; i < 5; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 3 ? write_both : read_both, &contest), 0);
    for (int i = 0; i < 5; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(contest.torn, 0);
    assert_int_equal(contest.a, 60000);
    assert_int_equal(contest.b, 60000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(contest.locks[i], 0);
    vr_wordlock_dispose(&contest.rooms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_is_used_again_for_its_kind_only),
        cmocka_unit_test(a_promised_slot_is_there_when_memory_has_run_out),
        cmocka_unit_test(a_table_finds_everything_at_every_size),
        cmocka_unit_test(a_table_without_memory_for_more_buckets_goes_on_with_what_it_has),
        cmocka_unit_test(a_lock_of_one_word_excludes_and_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
