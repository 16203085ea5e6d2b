/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/check.h"

#include "store/compress.h"

#include <string.h>

static void text_comes_back_smaller_and_whole(void **state)
{
    (void)state;
    char text[4096], packed[4096], back[4096];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = "include <vrift/types.h>\n"[i % 24];
    size_t size = vr_compress(packed, sizeof packed, text, sizeof text);
    assert_in_range(size, 1, sizeof text / 2);
    check_ok(vr_compress_expand(back, sizeof back, packed, size));
    assert_memory_equal(back, text, sizeof text);
}

static void noise_is_left_as_it_is(void **state)
{
    (void)state;
    unsigned char noise[512], packed[1024];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (unsigned char)((x = x * 1664525u + 1013904223u) >> 24);
    assert_int_equal(vr_compress(packed, sizeof packed, noise, sizeof noise), 0);
}

static void damage_and_wrong_lengths_are_refused(void **state)
{
    (void)state;
    char text[1000] = {0}, packed[1000], back[1000];
    size_t size = vr_compress(packed, sizeof packed, text, sizeof text);
    check_error(-VRIFT_EUCLEAN, vr_compress_expand(back, sizeof back - 1, packed, size));
    check_error(-VRIFT_EUCLEAN, vr_compress_expand(back, sizeof back, packed, size - 1));
    packed[0] ^= 1;
    check_error(-VRIFT_EUCLEAN, vr_compress_expand(back, sizeof back, packed, size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_comes_back_smaller_and_whole),
        cmocka_unit_test(noise_is_left_as_it_is),
        cmocka_unit_test(damage_and_wrong_lengths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
