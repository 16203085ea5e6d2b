/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/check.h"

#include "core/lockrank.h"

#ifdef NDEBUG

static void an_inversion_is_detected(void **state)
{
    (void)state;
    skip_because("the checker of lock ranks is in debug builds only");
}

static void a_stacked_file_system_locks_before_its_layers(void **state)
{
    (void)state;
    skip_because("the checker of lock ranks is in debug builds only");
}

#else

static void an_inversion_is_detected(void **state)
{
    (void)state;
    uint32_t dir = vr_lockrank_key(0, VR_RANK_DIR);
    assert_false(vr_lockrank_inverts(dir));
    vr_lockrank_take(dir);
    assert_true(vr_lockrank_inverts(dir));
    assert_true(vr_lockrank_inverts(vr_lockrank_key(0, VR_RANK_RENAME)));
    assert_false(vr_lockrank_inverts(vr_lockrank_key(0, VR_RANK_CHILD)));
    assert_true(vr_lockrank_may_call_out());
    vr_lockrank_take(VR_RANK_DCACHE);
    assert_false(vr_lockrank_may_call_out());
    assert_true(vr_lockrank_inverts(VR_RANK_MOUNT));
    assert_true(vr_lockrank_inverts(vr_lockrank_key(0, VR_RANK_CHILD)));
    vr_lockrank_give(dir); /* in any order */
    assert_true(vr_lockrank_inverts(dir));
    vr_lockrank_give(VR_RANK_DCACHE);
    assert_false(vr_lockrank_inverts(vr_lockrank_key(0, VR_RANK_POSITION)));
}

static void a_stacked_file_system_locks_before_its_layers(void **state)
{
    (void)state;
    uint32_t overlay = vr_lockrank_key(1, VR_RANK_CHILD2), layer = vr_lockrank_key(0, VR_RANK_POSITION);
    vr_lockrank_take(overlay);
    assert_false(vr_lockrank_inverts(layer));
    vr_lockrank_take(layer);
    assert_true(vr_lockrank_inverts(overlay));
    assert_true(vr_lockrank_inverts(vr_lockrank_key(2, VR_RANK_DIR)));
    vr_lockrank_give(layer);
    vr_lockrank_give(overlay);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_inversion_is_detected),
        cmocka_unit_test(a_stacked_file_system_locks_before_its_layers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
