/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Mount trees, held against the running kernel: random sequences by several processes, and cases with names. The long form is
 * `--ops N --seed S`.
 */
#include "mounts/mounts.h"

#include <stdlib.h>
#include <string.h>

static uint64_t ops = 3000, seed = 1;

static void random_changes_of_mount_trees_are_as_in_the_kernel(void **state)
{
    (void)state;
    if (!kernel_is_there())
        skip_because("the kernel cannot be asked: that takes root, a root to pivot from, and Linux 6.17");
    run_random(ops, seed);
    printf("# %llu steps with seed %llu, no difference\n", (unsigned long long)ops, (unsigned long long)seed);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_changes_of_mount_trees_are_as_in_the_kernel),
    };
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--ops") == 0)
            ops = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
