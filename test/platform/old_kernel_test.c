/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Other tests once more under a filter that answers ENOSYS, or EPERM as old container run times do, to what came to
 * Linux after 4.9: so each fallback is run, although the machine is newer.
 */
#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[4096]; /* of the test programs */

static const unsigned newer[] = {
#ifdef SYS_statx
    SYS_statx,
#endif
#ifdef SYS_openat2
    SYS_openat2,
#endif
    452,         463, 464, 465, 466, /* fchmodat2, setxattrat, getxattrat, listxattrat, removexattrat */
};

/* Makes the calls fail from here on, in all that this process executes. */
static int forget_newer_calls(unsigned error)
{
    enum { COUNT = sizeof newer / sizeof newer[0] };
    struct sock_filter filter[2 * COUNT + 2];
    unsigned at = 0;
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0); /* the call's number */
    for (unsigned i = 0; i < COUNT; i++) {
        filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, newer[i], 0, 1);
        filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error);
    }
    filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = {(unsigned short)at, filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0;
}

static void runs_without_newer_calls(const char *test, unsigned error)
{
    char program[4200], line[4096], *output = temporary_directory(), log[4200];
    int status;
    snprintf(program, sizeof program, "%s/%s", directory, test);
    snprintf(log, sizeof log, "%s/log", output);
    pid_t child = fork();
    if (child == 0) {
        int fd = open(log, O_WRONLY | O_CREAT, 0600);
        dup2(fd, 1);
        dup2(fd, 2);
        if (forget_newer_calls(error))
            _exit(77);
        execl(program, program, (char *)NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    if (status) {
        FILE *file = fopen(log, "re");
        while (file && fgets(line, sizeof line, file))
            print_error("%s", line);
        if (file)
            fclose(file);
    }
    remove_temporary_directory(output);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip_because("no filter may be set here");
    assert_int_equal(status, 0);
}

static void files_and_directories_work_without_newer_calls(void **state)
{
    (void)state;
    runs_without_newer_calls("fileops_test", ENOSYS);
}

static void files_and_directories_work_where_newer_calls_are_forbidden(void **state)
{
    (void)state;
    runs_without_newer_calls("fileops_test", EPERM);
}

static void a_tree_is_cloned_without_newer_calls(void **state)
{
    (void)state;
    runs_without_newer_calls("clone_test", ENOSYS);
}

int main(int count, char **arguments)
{
    (void)count;
    char path[4096];
    snprintf(path, sizeof path, "%s", arguments[0]);
    snprintf(directory, sizeof directory, "%s", dirname(path));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_and_directories_work_without_newer_calls),
        cmocka_unit_test(files_and_directories_work_where_newer_calls_are_forbidden),
        cmocka_unit_test(a_tree_is_cloned_without_newer_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
