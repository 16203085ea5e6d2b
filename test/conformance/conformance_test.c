/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Every case on every kind of backend that it is about: one check each, named "kind: sentence". */
#include "conformance/conformance.h"

#define MAX_CHECKS 2000

/* One check. Cases that only read share the world of their kind, which is as big as the fixture. */
struct check {
    const struct kind *kind;
    const struct test_case *test_case;
    struct world **shared; /* NULL: a world of its own */
    int contents;          /* of that */
};

static struct check checks[MAX_CHECKS];
static struct CMUnitTest tests[MAX_CHECKS];
static size_t check_count;
static struct world *shared_worlds[64];

static struct world *shared_world(const struct check *check)
{
    if (!*check->shared) {
        *check->shared = make_world(check->kind, BIG);
    }
    return *check->shared;
}

static void run(void **state)
{
    const struct check *check = *state;
    struct world *world = check->shared ? shared_world(check) : make_world(check->kind, check->contents);
    check->test_case->run(world);
    if (!check->shared)
        free_world(world);
}

static void add(const struct kind *kind, const struct test_case *cases, struct world **shared, int contents)
{
    for (; cases->name; cases++) {
        char *name = malloc(strlen(kind->name) + strlen(cases->name) + 3);
        if (!name || check_count == MAX_CHECKS)
            abort();
        sprintf(name, "%s: %s", kind->name, cases->name);
        checks[check_count] = (struct check){kind, cases, shared, contents};
        tests[check_count] = (struct CMUnitTest){name, run, NULL, NULL, &checks[check_count]};
        check_count++;
    }
}

static int free_shared(void **state)
{
    (void)state;
    for (size_t i = 0; i < kind_count; i++)
        if (shared_worlds[i])
            free_world(shared_worlds[i]);
    return 0;
}

int main(void)
{
    for (size_t i = 0; i < kind_count; i++) {
        const struct kind *kind = &kinds[i];
        add(kind, read_cases, &shared_worlds[i], BIG);
        add(kind, mapped_cases, &shared_worlds[i], BIG);
        add(kind, resolve_cases, &shared_worlds[i], BIG);
        if (!kind->make) {
            add(kind, refuse_cases, &shared_worlds[i], BIG);
            continue;
        }
        add(kind, data_cases, NULL, EMPTY);
        add(kind, space_cases, NULL, EMPTY);
        add(kind, name_cases, NULL, EMPTY);
        add(kind, rename_cases, NULL, EMPTY);
        add(kind, attribute_cases, NULL, EMPTY);
        add(kind, present_cases, NULL, SMALL);
        if (kind->make_small)
            add(kind, small_cases, NULL, NEARLY_FULL);
    }
    int failed = _cmocka_run_group_tests("conformance", tests, check_count, NULL, free_shared);
    for (size_t i = 0; i < check_count; i++)
        free((void *)(uintptr_t)tests[i].name);
    return failed;
}
