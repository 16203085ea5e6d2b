/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A file system that is nearly full: 64 KiB of data, twenty inodes. */
#include "conformance/conformance.h"

static void a_full_file_system_writes_what_fits_then_says_so(struct world *world)
{
    char block[4096] = {1};
    uint64_t total = 0;
    int64_t result;
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDWR | VRIFT_O_CREAT);
    while ((result = vrift_write(world->task, fd, block, sizeof block)) > 0 && total < (1 << 20))
        total += (uint64_t)result;
    check_error(-VRIFT_ENOSPC, result);
    assert_in_range(total, 4096, 64 * 1024);
    assert_int_equal(stat_of(world->task, "/f").size, total);
    assert_int_equal(vrift_pwrite(world->task, fd, "x", 1, 0), 1); /* what is there can be written over */
    check_ok(vrift_close(world->task, fd));
    check_ok(vrift_unlinkat(world->task, AT, "/f", 0));
    put(world->task, "/g", "there is room again");
    check_text(world->task, "/g", "there is room again");
}

static void a_hole_costs_nothing_until_it_is_filled(struct world *world)
{
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDWR | VRIFT_O_CREAT);
    check_ok(vrift_ftruncate(world->task, fd, 1 << 30));
    assert_int_equal(vrift_pwrite(world->task, fd, "x", 1, 1 << 29), 1);
    check_ok(vrift_close(world->task, fd));
}

static void names_run_out_and_come_back(struct world *world)
{
    char path[32];
    int made = 0;
    int32_t result = 0;
    while (made < 100) {
        snprintf(path, sizeof path, "/d%d", made);
        result = vrift_mkdirat(world->task, AT, path, 0755);
        if (result)
            break;
        made++;
    }
    check_error(-VRIFT_ENOSPC, result);
    assert_true(made > 0);
    check_error(-VRIFT_ENOSPC, vrift_openat(world->task, AT, "/f", VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644));
    check_ok(vrift_unlinkat(world->task, AT, "/d0", VRIFT_AT_REMOVEDIR));
    check_ok(vrift_mkdirat(world->task, AT, "/again", 0755));
    assert_int_equal(count_entries(world->task, "/"), made);
}

static void the_counts_of_blocks_and_inodes_follow(struct world *world)
{
    struct vrift_statfs old, new;
    char block[8192] = {1};
    check_ok(vrift_statfs(world->task, AT, "/", &old));
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDWR | VRIFT_O_CREAT);
    assert_int_equal(vrift_write(world->task, fd, block, sizeof block), sizeof block);
    check_ok(vrift_close(world->task, fd));
    check_ok(vrift_statfs(world->task, AT, "/", &new));
    assert_true(new.bfree < old.bfree);
    assert_true(new.ffree < old.ffree);
}

const struct test_case small_cases[] = {
    {"a_full_file_system_writes_what_fits_then_says_so", a_full_file_system_writes_what_fits_then_says_so},
    {"a_hole_costs_nothing_until_it_is_filled", a_hole_costs_nothing_until_it_is_filled},
    {"names_run_out_and_come_back", names_run_out_and_come_back},
    {"the_counts_of_blocks_and_inodes_follow", the_counts_of_blocks_and_inodes_follow},
    {NULL, NULL},
};
