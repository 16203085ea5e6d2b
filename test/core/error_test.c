/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/check.h"

#include "core/copyin.h"
#include "core/error.h"

#include <errno.h>
#include <string.h>

static void names_and_texts_are_found_for_either_sign(void **state)
{
    (void)state;
    assert_string_equal(vrift_err_name(-VRIFT_ENOENT), "ENOENT");
    assert_string_equal(vrift_err_name(VRIFT_ENOENT), "ENOENT");
    assert_string_equal(vrift_err_name(-99999), "EUNKNOWN");
    assert_string_equal(vrift_err_str(-VRIFT_ENOENT), "no such file or directory");
}

static void host_numbers_translate_both_ways(void **state)
{
    (void)state;
    assert_int_equal(vrift_err_to_host_errno(-VRIFT_EXDEV), EXDEV);
    assert_int_equal(vrift_err_from_host_errno(EXDEV), -VRIFT_EXDEV);
    assert_int_equal(vrift_err_from_host_errno(99999), -VRIFT_EIO);
}

static void a_detail_keeps_its_first_error_and_the_end_of_a_long_path(void **state)
{
    (void)state;
    struct vrift_error_detail detail = {0}, got;
    char path[5000];
    memset(path, 'x', sizeof path - 1);
    memcpy(path + sizeof path - 5, "/end", 5);
    check_error(-VRIFT_EIO, vr_error_fill(&detail, -VRIFT_EIO, "read", path, "broken"));
    vr_error_fill(&detail, -VRIFT_ENOENT, "open", "other", NULL);
    vr_error_publish(&detail);
    check_ok(vrift_error_detail(&got));
    assert_int_equal(got.error, -VRIFT_EIO);
    assert_string_equal(got.operation, "read");
    assert_memory_equal(got.path, "...", 3);
    assert_string_equal(got.path + strlen(got.path) - 4, "/end");
    check_error(-VRIFT_EINVAL, vrift_error_detail(NULL));
}

struct grown {
    uint32_t size;
    uint32_t a;
    uint64_t b;
};

static void a_sized_struct_follows_the_rule_of_openat2(void **state)
{
    (void)state;
    struct grown ours;
    struct {
        struct grown known;
        uint64_t tail;
    } newer = {{sizeof newer, 7, 8}, 0};
    struct grown older = {8, 7, 99};

    check_ok(vr_copyin(&ours, sizeof ours, 8, NULL));
    assert_true(ours.a == 0 && ours.b == 0 && ours.size == sizeof ours);
    check_ok(vr_copyin(&ours, sizeof ours, 8, &older));
    assert_true(ours.a == 7 && ours.b == 0);
    check_ok(vr_copyin(&ours, sizeof ours, 8, &newer));
    assert_true(ours.a == 7 && ours.b == 8);
    newer.tail = 1;
    check_error(-VRIFT_E2BIG, vr_copyin(&ours, sizeof ours, 8, &newer));
    older.size = 0;
    check_error(-VRIFT_EINVAL, vr_copyin(&ours, sizeof ours, 8, &older));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_texts_are_found_for_either_sign),
        cmocka_unit_test(host_numbers_translate_both_ways),
        cmocka_unit_test(a_detail_keeps_its_first_error_and_the_end_of_a_long_path),
        cmocka_unit_test(a_sized_struct_follows_the_rule_of_openat2),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
