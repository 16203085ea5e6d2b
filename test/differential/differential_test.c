/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The random differential test. Without arguments: a bounded number of calls, as a test. Otherwise
 *
 *     differential_test --ops N [--seed S | --seed A-B] [--jobs J] [--episode E] [--keep-going] [--no-memory | --faults]
 *                       [--backend mem | host | overlay]
 *
 * which prints one line a seed and, for a difference, a small sequence of calls that shows it.
 */
#include "differential/differential.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EPISODE 500 /* steps on one tree */

struct campaign {
    uint64_t ops, first, last, episode;
    uint32_t jobs;
    bool one_episode, keep_going, show;
};

enum diff_trouble diff_trouble;
enum diff_backend diff_backend;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void report(struct diff_shared *shared, struct diff_difference *difference, uint64_t seed, uint64_t episode)
{
    printf("# seed %llu, episode %llu, step %u: %s\n", (unsigned long long)seed, (unsigned long long)episode,
           difference->step, difference->text);
    fflush(stdout);
    diff_shrink(shared, difference);
    diff_print(shared, difference);
}

/* Answers the number of episodes that differ. */
static uint32_t run_seed(struct diff_shared *shared, const struct campaign *campaign, uint64_t seed)
{
    double start = now();
    uint64_t ops = 0, episode = campaign->one_episode ? campaign->episode : 0;
    uint32_t differences = 0;
    for (; ops < campaign->ops; episode++) {
        struct diff_difference difference;
        shared->count = diff_generate(seed * 1000003 + episode, shared->steps, EPISODE);
        ops += shared->count;
        if (diff_episode(shared, &difference)) {
            report(shared, &difference, seed, episode);
            differences++;
            if (!campaign->keep_going)
                break;
        }
        if (campaign->one_episode)
            break;
    }
    printf("# compared %llu calls of seed %llu in %.1f s, of which %llu were made to fail first: %u differences\n",
           (unsigned long long)ops, (unsigned long long)seed, now() - start,
           (unsigned long long)atomic_exchange(&shared->tried_again, 0), differences);
    fflush(stdout);
    return differences;
}

/* One process of its own: 0 no difference, 1 some, 77 not possible here, 78 the kernel is too old. */
static int run_job(const struct campaign *campaign, uint32_t job)
{
    diff_read_protections();
    if (!diff_enter_nowhere())
        return 77;
    if (!diff_kernel_knows_all())
        return 78;
    struct diff_shared *shared = diff_shared_new();
    uint32_t differences = 0;
    if (!shared)
        return 1;
    for (uint64_t seed = campaign->first + job; seed <= campaign->last; seed += campaign->jobs)
        differences += run_seed(shared, campaign, seed);
    return differences ? 1 : 0;
}

static int run_campaign(const struct campaign *campaign)
{
    int worst = 0;
    fflush(NULL);
    for (uint32_t job = 0; job < campaign->jobs; job++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(run_job(campaign, job));
    }
    int status;
    while (wait(&status) > 0) {
        int result = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
        worst = result > worst ? result : worst;
    }
    return worst;
}

static void random_calls_of_several_tasks_agree_with_the_kernel(void **state)
{
    struct campaign campaign = {.ops = 25000, .first = 1, .last = 2, .jobs = 2};
    (void)state;
    if (geteuid() != 0)
        skip_because("needs root");
    int result = run_campaign(&campaign);
    if (result == 77)
        skip_because("no mount namespace may be made here");
    if (result == 78)
        skip_because("the kernel lacks calls that are to be compared: it is older than Linux 6.15");
    assert_int_equal(result, 0);
}

static void with(enum diff_trouble trouble)
{
    struct campaign campaign = {.ops = 5000, .first = 1, .last = 2, .jobs = 2};
    if (geteuid() != 0)
        skip_because("needs root");
    diff_trouble = trouble;
    int result = run_campaign(&campaign);
    diff_trouble = DIFF_NO_TROUBLE;
    if (result == 77)
        skip_because("no mount namespace may be made here");
    if (result == 78)
        skip_because("the kernel lacks calls that are to be compared: it is older than Linux 6.15");
    assert_int_equal(result, 0);
}

static void calls_that_run_out_of_memory_change_nothing(void **state)
{
    (void)state;
    with(DIFF_NO_MEMORY);
}

static void calls_whose_backend_fails_change_nothing(void **state)
{
    (void)state;
    with(DIFF_FAULTS);
}

static void a_host_directory_agrees_with_the_kernel(void **state)
{
    (void)state;
    diff_backend = DIFF_HOST;
    with(DIFF_NO_TROUBLE);
    diff_backend = DIFF_MEM;
}

static void an_overlay_agrees_with_the_kernel(void **state)
{
    (void)state;
    diff_backend = DIFF_OVERLAY;
    with(DIFF_NO_TROUBLE);
    diff_backend = DIFF_MEM;
}

static bool read_arguments(int argc, char **argv, struct campaign *campaign)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        char *end = NULL;
        if (strcmp(argv[i], "--keep-going") == 0) {
            campaign->keep_going = true;
            continue;
        }
        if (strcmp(argv[i], "--no-memory") == 0 || strcmp(argv[i], "--faults") == 0) {
            diff_trouble = argv[i][2] == 'n' ? DIFF_NO_MEMORY : DIFF_FAULTS;
            continue;
        }
        if (strcmp(argv[i], "--backend") == 0) {
            diff_backend = strcmp(value, "host") == 0      ? DIFF_HOST
                           : strcmp(value, "overlay") == 0 ? DIFF_OVERLAY
                                                           : DIFF_MEM;
            i++;
            continue;
        }
        uint64_t number = strtoull(value, &end, 10);
        if (strcmp(argv[i], "--ops") == 0)
            campaign->ops = number;
        else if (strcmp(argv[i], "--seed") == 0)
            campaign->first = number, campaign->last = *end == '-' ? strtoull(end + 1, &end, 10) : number;
        else if (strcmp(argv[i], "--jobs") == 0)
            campaign->jobs = (uint32_t)number;
        else if (strcmp(argv[i], "--episode") == 0)
            campaign->episode = number, campaign->one_episode = true;
        else
            return false;
        if (!*value || !end || *end)
            return false;
        i++;
    }
    return campaign->jobs > 0;
}

int main(int argc, char **argv)
{
    struct campaign campaign = {.ops = 1000000, .first = 1, .last = 1, .jobs = 1};
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_calls_of_several_tasks_agree_with_the_kernel),
                                       cmocka_unit_test(calls_that_run_out_of_memory_change_nothing),
                                       cmocka_unit_test(calls_whose_backend_fails_change_nothing),
                                       cmocka_unit_test(a_host_directory_agrees_with_the_kernel),
                                       cmocka_unit_test(an_overlay_agrees_with_the_kernel)};
    if (argc < 2)
        return cmocka_run_group_tests(tests, NULL, NULL);
    if (!read_arguments(argc, argv, &campaign)) {
        fprintf(stderr,
                "usage: %s [--ops N] [--seed S | --seed A-B] [--jobs J] [--episode E] [--keep-going] [--no-memory | "
                "--faults]\n",
                argv[0]);
        return 2;
    }
    return run_campaign(&campaign);
}
