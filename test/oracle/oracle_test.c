/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Asks the kernel and libvrift the same questions; one check a question, named by it. Needs root. */
#include "oracle/oracle.h"

#include <sys/wait.h>
#include <unistd.h>

static struct oracle kernel = {.calls = &oracle_kernel_calls};
static struct oracle ours = {.calls = &oracle_vrift_calls};
static int kernel_asked;

static int write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t n = write(fd, at, size);
        if (n <= 0)
            return -1;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

static size_t read_all(int fd, void *data, size_t size)
{
    char *at = data;
    size_t done = 0;
    ssize_t n;
    while (done < size && (n = read(fd, at + done, size - done)) > 0)
        done += (size_t)n;
    return done;
}

/* In a child, because it changes who and where the process is. Its mounts die with it. */
static void ask_kernel(void)
{
    int ends[2];
    int status = 0;
    if (pipe(ends) < 0)
        return;
    char *root = temporary_directory();
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        if (oracle_enter_kernel(root) < 0)
            _exit(3);
        oracle_ask_everything(&kernel);
        _exit(write_all(ends[1], kernel.answers, sizeof kernel.answers) < 0 ? 4 : 0);
    }
    close(ends[1]);
    size_t got = read_all(ends[0], kernel.answers, sizeof kernel.answers);
    close(ends[0]);
    kernel_asked = child > 0 && waitpid(child, &status, 0) == child && status == 0 && got == sizeof kernel.answers;
    remove_temporary_directory(root);
}

static void compare(void **state)
{
    const struct oracle_answer *wanted = *state;
    if (geteuid() != 0)
        skip_because("asking the kernel needs root, for mounts and for other users");
    assert_true(kernel_asked);
    const struct oracle_answer *got = &ours.answers[wanted - kernel.answers];
    assert_int_equal(got->number, wanted->number);
    assert_string_equal(got->question, wanted->question);
    if (strcmp(got->answer, wanted->answer) != 0)
        print_error("# %d %s\n#   the kernel: %s\n#   libvrift:   %s\n", wanted->number, wanted->question,
                    wanted->answer, got->answer);
    assert_string_equal(got->answer, wanted->answer);
}

/* Asking ours needs no root, and works or fails as a whole. */
static void every_question_can_be_asked_of_libvrift(void **state)
{
    (void)state;
    ours.self = oracle_vrift_new();
    ours.count = 0;
    oracle_ask_everything(&ours);
    oracle_vrift_free(ours.self);
}

static void report(size_t questions)
{
    int compared = 0;
    int further = 0;
    for (size_t i = 0; i < questions; i++) {
        compared += kernel.answers[i].number <= ORACLE_TOTAL;
        further += kernel.answers[i].number > ORACLE_TOTAL;
    }
    printf("# compared %d of %d, and %d more that the list does not have\n", compared, ORACLE_TOTAL, further);
}

/* A question that is not asked would be forgotten in silence. */
static void every_number_of_the_list_is_asked_once(void **state)
{
    (void)state;
    for (int number = 1; number <= ORACLE_TOTAL; number++) {
        int found = 0;
        for (size_t i = 0; i < ours.count; i++)
            found += ours.answers[i].number == number;
        assert_int_equal(found, 1);
    }
}

int main(void)
{
    static struct CMUnitTest tests[ORACLE_MAX + 2];
    size_t count = 0;
    size_t questions = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (geteuid() == 0)
        ask_kernel();
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(every_question_can_be_asked_of_libvrift);
    tests[count++] = (struct CMUnitTest)cmocka_unit_test(every_number_of_the_list_is_asked_once);
    while (questions < ORACLE_MAX && kernel.answers[questions].number) {
        struct oracle_answer *answer = &kernel.answers[questions++];
        tests[count++] = (struct CMUnitTest){answer->question, compare, NULL, NULL, answer};
    }
    if (!kernel_asked)
        tests[count++] = (struct CMUnitTest){"the kernel is asked", compare, NULL, NULL, &kernel.answers[0]};
    report(questions);
    return _cmocka_run_group_tests("oracle", tests, count, NULL, NULL);
}
