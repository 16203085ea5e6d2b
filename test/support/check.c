/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
/*
 * Which of two directories is locked first follows from the tree, which changes; and a rename between directories, under
 * the file system's rename mutex, locks what is replaced after both. ThreadSanitizer sees the order of the locks
 * alone, not the mutex above them. The core's own checker of ranks knows the rule and checks it in debug builds.
 */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "deadlock:vr_inode_lock\n";
}
#endif

int64_t check_ok_at(int64_t result, const char *expression, const char *file, int line)
{
    if (result < 0) {
        print_error("%s answered %s\n", expression, vrift_err_name(result));
        _fail(file, line);
    }
    return result;
}

void check_error_at(int64_t wanted, int64_t result, const char *expression, const char *file, int line)
{
    if (result != wanted) {
        print_error("%s answered %s (%lld), wanted %s\n", expression, result < 0 ? vrift_err_name(result) : "success",
                    (long long)result, vrift_err_name(wanted));
        _fail(file, line);
    }
}

char *temporary_directory(void)
{
    const char *base = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/vrift-test-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(path)) {
        print_error("mkdtemp %s failed\n", path);
        fail();
    }
    return strdup(path);
}

void remove_temporary_directory(char *path)
{
    if (!path)
        return;
    pid_t child = fork();
    if (child == 0) {
        execlp("rm", "rm", "-rf", "--", path, (char *)NULL);
        _exit(127);
    }
    waitpid(child, NULL, 0);
    free(path);
}
