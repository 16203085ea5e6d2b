/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Asks questions by chance, first of the kernel and then of libvrift, and compares. A difference is made as short as
 * leaving questions out allows, and printed. --ops N questions a backend, --seed S.
 */
#include "permission/perm_test.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/securebits.h>

#define FIRST 60 /* questions that make a tree */

static unsigned long wanted_questions = 25000;
static uint64_t seed = 1;

/* One tree's questions, some of which are left out. */
struct run {
    struct perm_side *kernel, *ours;
    struct perm_question questions[PERM_STEPS];
    bool out[PERM_STEPS];
    uint64_t mount_flags; /* of the tree once it is made */
    bool verbose;
    unsigned long seen[PERM_CALLS][4]; /* answers: ok, -VRIFT_EACCES, -VRIFT_EPERM, others */
    char dumps[2][PERM_DUMP];
};

/* -- What can be seen of a tree ------------------------------------------------------------------------------------ */

static size_t append(char *text, size_t used, const char *format, ...) __attribute__((format(printf, 3, 4)));
static size_t append(char *text, size_t used, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(text + used, PERM_DUMP - used, format, arguments);
    va_end(arguments);
    used += more > 0 ? (size_t)more : 0;
    assert_true(used < PERM_DUMP);
    return used;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts names that follow each other, each with its NUL. */
static void sort_names(char *list, size_t length)
{
    char copy[2048], *names[64];
    size_t count = 0;
    assert_true(length <= sizeof copy);
    memcpy(copy, list, length);
    for (size_t at = 0; at < length && count < 64; at += strlen(copy + at) + 1)
        names[count++] = copy + at;
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 0; i < count; i++) {
        memcpy(list, names[i], strlen(names[i]) + 1);
        list += strlen(names[i]) + 1;
    }
}

static size_t dump_xattrs(struct perm_side *side, const char *path, char *text, size_t used)
{
    char names[2048];
    uint8_t value[256];
    int64_t length = side->list(side, path, names, sizeof names);
    if (length < 0)
        return append(text, used, " list: %s", vrift_err_name(length));
    sort_names(names, (size_t)length);
    for (int64_t at = 0; at < length; at += (int64_t)strlen(names + at) + 1) {
        int64_t got = side->get(side, path, names + at, value, sizeof value);
        used = append(text, used, " %s=", names + at);
        if (got < 0)
            used = append(text, used, "%s", vrift_err_name(got));
        for (int64_t i = 0; i < got; i++)
            used = append(text, used, "%02x", value[i]);
    }
    return used;
}

static void dump(struct perm_side *side, const struct perm_side *ours, char *text)
{
    const uint64_t shown = ours->mounting ? 0 : VRIFT_ATTR_IMMUTABLE | VRIFT_ATTR_APPEND | VRIFT_ATTR_NODUMP;
    size_t used = 0;
    text[0] = '\0';
    for (const char *const *path = perm_paths; *path; path++) {
        struct vrift_stat st;
        int32_t error = side->stat(side, *path, &st);
        if (error == -VRIFT_ENOENT || error == -VRIFT_ENOTDIR || error == -VRIFT_ELOOP)
            continue;
        if (error) {
            used = append(text, used, "%s: %s\n", *path, vrift_err_name(error));
            continue;
        }
        bool is_dir = (st.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR;
        used = append(text, used, "%-6s %06o %u:%u", *path, st.mode, st.uid, st.gid);
        if (!is_dir)
            used = append(text, used, " size %llu", (unsigned long long)st.size);
        if (!ours->layered)
            used = append(text, used, " links %u", st.nlink);
        used = append(text, used, " flags %llx", (unsigned long long)(st.attributes & shown));
        used = dump_xattrs(side, *path, text, used);
        used = append(text, used, "\n");
    }
}

static void print_difference(const char *a, const char *b)
{
    while (*a || *b) {
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        if (n != m || memcmp(a, b, n) != 0)
            print_error("  kernel: %.*s\n  ours:   %.*s\n", (int)n, a, (int)m, b);
        a += n + (a[n] == '\n');
        b += m + (b[m] == '\n');
    }
}

/* -- One run ------------------------------------------------------------------------------------------------------- */

/*
 * What a fifo, socket or device does once it may be opened is another question: with it only the permission to open is
 * compared.
 */
static bool opens(const struct perm_question *q)
{
    return q->call <= PERM_FALLOCATE || q->call >= PERM_FSETXATTR;
}

static bool is_special(struct perm_side *kernel, const char *path)
{
    struct vrift_stat st;
    if (perm_kernel_look(kernel, path, &st))
        return false;
    uint32_t type = st.mode & VRIFT_S_IFMT;
    return type != VRIFT_S_IFREG && type != VRIFT_S_IFDIR;
}

static bool may_differ(struct perm_side *kernel, const struct perm_question *q, int64_t theirs, int64_t ours)
{
    return opens(q) && is_special(kernel, q->path) && (theirs >= 0 || theirs == -VRIFT_ENXIO) &&
           (ours >= 0 || ours == -VRIFT_ENXIO);
}

/*
 * Setuid and capabilities cannot be taken from what only grows, or does not change at all, by a change of mode or
 * attribute, and a host knows no other way.
 */
static bool is_stuck(struct perm_side *kernel, const struct perm_question *q)
{
    struct vrift_stat st;
    if (perm_kernel_look(kernel, q->path, &st) || !(st.attributes & (VRIFT_ATTR_APPEND | VRIFT_ATTR_IMMUTABLE)))
        return false;
    if (q->call == PERM_CHOWN)
        return (q->uid & q->gid) == UINT32_MAX;
    return q->call >= PERM_WRITE && q->call <= PERM_FALLOCATE && st.mode & (VRIFT_S_ISUID | VRIFT_S_ISGID);
}

/* Of what is neither file nor directory a snapshot keeps no attributes. */
static bool is_odd(struct perm_side *kernel, const char *path)
{
    struct vrift_stat st;
    if (kernel->stat(kernel, path, &st))
        return false;
    uint32_t type = st.mode & VRIFT_S_IFMT;
    return type != VRIFT_S_IFREG && type != VRIFT_S_IFDIR;
}

/* Asks one question of both; whether they agree. */
static bool ask_both(struct run *run, uint32_t step)
{
    static struct perm_answer theirs, ours;
    const struct perm_question *q = &run->questions[step];
    if (opens(q) && (q->call != PERM_OPEN || run->ours->mounting) && is_special(run->kernel, q->path))
        return true;
    if (run->ours->beneath && is_stuck(run->kernel, q))
        return true;
    if (run->ours->imported && q->call == PERM_SETXATTR && is_odd(run->kernel, q->path))
        return true;
    run->kernel->ask(run->kernel, q, &theirs);
    run->ours->ask(run->ours, q, &ours);
    if (run->ours->imported && q->call == PERM_LISTXATTR) { /* in an order of its own */
        sort_names((char *)theirs.bytes, theirs.length);
        sort_names((char *)ours.bytes, ours.length);
    }
    bool same = theirs.result == ours.result && theirs.length == ours.length &&
                memcmp(theirs.bytes, ours.bytes, ours.length) == 0;
    if (!same)
        same = may_differ(run->kernel, q, theirs.result, ours.result);
    if (run->ours->mounting && theirs.result < 0 && ours.result < 0)
        same = true; /* which error wins is decided by both, the kernel and the server */
    run->seen[q->call][theirs.result >= 0               ? 0
                       : theirs.result == -VRIFT_EACCES ? 1
                       : theirs.result == -VRIFT_EPERM  ? 2
                                                        : 3]++;
    bool equal = true;
    if (!same || theirs.result >= 0 || ours.result >= 0 || step % 16 == 0) {
        dump(run->kernel, run->ours, run->dumps[0]);
        dump(run->ours, run->ours, run->dumps[1]);
        equal = strcmp(run->dumps[0], run->dumps[1]) == 0;
    }
    if (!run->verbose)
        return same && equal;
    perm_print_question(q);
    print_error("  kernel: %s", theirs.result < 0 ? vrift_err_name(theirs.result) : "ok");
    print_error("  %s: %s\n", run->ours->name, ours.result < 0 ? vrift_err_name(ours.result) : "ok");
    if (theirs.result >= 0 && theirs.result != ours.result)
        print_error("  kernel: %lld  ours: %lld\n", (long long)theirs.result, (long long)ours.result);
    if (!equal)
        print_difference(run->dumps[0], run->dumps[1]);
    else if (!same)
        print_error("%s", run->dumps[0]);
    return same && equal;
}

/* The step at which they differ, or PERM_STEPS. */
static uint32_t ask_all(struct run *run, uint32_t steps)
{
    uint32_t step = 0;
    run->kernel->begin(run->kernel);
    run->ours->begin(run->ours);
    for (; step < steps; step++) {
        if (step == FIRST) {
            run->kernel->settle(run->kernel, run->mount_flags);
            run->ours->settle(run->ours, run->mount_flags);
        }
        if (!run->out[step] && !ask_both(run, step))
            break;
    }
    run->kernel->end(run->kernel);
    run->ours->end(run->ours);
    return step < steps ? step : PERM_STEPS;
}

/* Leaves out all questions that the difference does not need. */
static void shrink(struct run *run, uint32_t failed)
{
    for (uint32_t width = 16; width > 0; width /= 2) {
        for (uint32_t from = 0; from < failed; from += width) {
            bool before[PERM_STEPS];
            memcpy(before, run->out, sizeof before);
            for (uint32_t i = from; i < from + width && i < failed; i++)
                run->out[i] = true;
            if (ask_all(run, failed + 1) != failed)
                memcpy(run->out, before, sizeof before);
        }
    }
    print_error("the shortest way to a difference between the kernel and %s, variant %d, mount flags %#llx:\n",
                run->ours->name, run->ours->variant, (unsigned long long)run->mount_flags);
    run->verbose = true;
    ask_all(run, failed + 1);
    run->verbose = false;
}

/* Is it about what a snapshot keeps? Of attributes that is what belongs to the file rather than to the machine. */
static bool is_kept(const struct perm_question *q)
{
    switch (q->call) {
    case PERM_SETFLAGS:
    case PERM_GETFLAGS:
        return false;
    case PERM_SETXATTR:
    case PERM_FSETXATTR:
        return strncmp(q->name, "trusted.", 8) != 0 && strcmp(q->name, "security.x") != 0;
    default:
        return true;
    }
}

/*
 * The kernel does not tell a mount's server that the current directory is searched, of a change of owner or the removal of
 * a default ACL that change nothing, nor of what becomes of a description.
 */
static bool reaches_server(const struct perm_question *q)
{
    if (strcmp(q->path, ".") == 0 || strcmp(q->other, ".") == 0 || q->call == PERM_SETFL)
        return false;
    if (strcmp(q->name, "system.posix_acl_default") == 0 && q->call != PERM_GETXATTR && q->value_length <= 4)
        return false;
    return q->call != PERM_CHOWN || (q->uid & q->gid) != UINT32_MAX;
}

/* With capabilities on a file the kernel takes them away itself, by a call that looks like the caller's own. */
static bool gives_capabilities(const struct perm_question *q)
{
    return (q->call == PERM_SETXATTR || q->call == PERM_FSETXATTR) && strcmp(q->name, "security.capability") == 0;
}

static bool is_left_out(const struct run *run, const struct perm_question *q)
{
    /* An overlay does not rename directories that have a lower part, nor keeps hard links over a copy-up. */
    if (run->ours->layered && !run->ours->imported && !run->ours->variant &&
        (q->call == PERM_RENAME || q->call == PERM_LINK))
        return true;
    if (run->ours->imported && !is_kept(q))
        return true;
    if (run->ours->mounting && (!reaches_server(q) || gives_capabilities(q)))
        return true;
    /* Capabilities that nobody can read cannot be copied up, by the kernel's overlay neither. */
    if (run->ours->layered && strcmp(q->name, "security.capability") == 0 && q->value_length == 0)
        return q->call == PERM_SETXATTR || q->call == PERM_FSETXATTR;
    return false;
}

static uint64_t make_mount_flags(struct perm_random *random)
{
    static const uint64_t all[] = {VRIFT_MOUNT_RDONLY, VRIFT_MOUNT_NOEXEC, VRIFT_MOUNT_NODEV, VRIFT_MOUNT_NOSUID,
                                   VRIFT_MOUNT_NOSYMFOLLOW};
    uint64_t flags = 0;
    if (perm_below(random, 4) == 0)
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            flags |= perm_below(random, 2) ? all[i] : 0;
    return flags;
}

static void report(const struct run *run)
{
    printf("# %s, the kernel's answers (ok, EACCES, EPERM, others):", run->ours->name);
    for (int call = 0; call < PERM_CALLS; call++)
        printf("%s %s %lu %lu %lu %lu", call ? ";" : "", perm_call_names[call], run->seen[call][0], run->seen[call][1],
               run->seen[call][2], run->seen[call][3]);
    printf("\n");
    fflush(stdout);
}

static int run_trees(struct perm_side *kernel, struct perm_side *ours)
{
    struct run *run = calloc(1, sizeof *run);
    struct perm_random random = {seed};
    run->kernel = kernel;
    run->ours = ours;
    /* A mount is as slow as a process that starts for each tree. */
    unsigned long wanted = ours->mounting ? wanted_questions / 10 : wanted_questions;
    for (unsigned long asked = 0; asked < wanted; asked += PERM_STEPS) {
        uint64_t state = random.state;
        memset(run->out, 0, sizeof run->out);
        ours->variant = perm_below(&random, 2);
        run->mount_flags = ours->imported ? PERM_SEALED : ours->mounting ? 0 : make_mount_flags(&random);
        for (uint32_t i = 0; i < PERM_STEPS; i++) {
            perm_make_question(&random, i < FIRST, &run->questions[i]);
            if (run->questions[i].call == PERM_SETFLAGS)
                run->questions[i].flags &= ours->flags;
            run->out[i] = is_left_out(run, &run->questions[i]);
        }
        uint32_t failed = ask_all(run, PERM_STEPS);
        if (failed < PERM_STEPS) {
            print_error("%s differs at question %u of the tree with --seed %llu\n", ours->name, failed,
                        (unsigned long long)state);
            shrink(run, failed);
            free(run);
            return 1;
        }
    }
    report(run);
    free(run);
    return 0;
}

/* -- The process that asks ----------------------------------------------------------------------------------------- */

/* Two file systems nobody else sees, and capabilities that do not go with uid 0. */
static int enter(const char *top, struct perm_side *kernel, struct perm_side *ours)
{
    snprintf(kernel->directory, sizeof kernel->directory, "%s/kernel", top);
    snprintf(ours->directory, sizeof ours->directory, "%s/host", top);
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", top, "tmpfs", 0, "mode=0755") < 0)
        return -1;
    if (mkdir(kernel->directory, 0755) < 0 || mkdir(ours->directory, 0755) < 0)
        return -1;
    return prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
}

static void compare_with(const struct perm_side *which)
{
    if (geteuid() != 0)
        skip_because("asking the kernel needs root, for mounts and for other users");
    char *top = temporary_directory();
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct perm_side kernel = perm_kernel, ours = *which;
        if (enter(top, &kernel, &ours) < 0)
            _exit(77);
        _exit(run_trees(&kernel, &ours));
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    remove_temporary_directory(top);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip_because("no mount namespace of its own, or no say over capabilities: %s", strerror(errno));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 76)
        skip_because("nothing can be mounted through FUSE here, or the tool was not built");
    assert_int_equal(status, 0);
}

static void a_memory_file_system_answers_as_the_kernel(void **state)
{
    (void)state;
    compare_with(&perm_mem);
}

static void a_host_directory_answers_as_the_kernel(void **state)
{
    (void)state;
    compare_with(&perm_host);
}

static void an_overlay_answers_as_the_kernel(void **state)
{
    (void)state;
    compare_with(&perm_overlay);
}

static void a_snapshot_answers_as_the_kernel_with_a_file_system_that_cannot_be_written(void **state)
{
    (void)state;
    compare_with(&perm_snapshot);
}

static void a_mount_answers_as_the_kernel(void **state)
{
    (void)state;
    compare_with(&perm_mount);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_memory_file_system_answers_as_the_kernel),
        cmocka_unit_test(a_host_directory_answers_as_the_kernel),
        cmocka_unit_test(an_overlay_answers_as_the_kernel),
        cmocka_unit_test(a_mount_answers_as_the_kernel),
        cmocka_unit_test(a_snapshot_answers_as_the_kernel_with_a_file_system_that_cannot_be_written),
    };
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--ops") == 0)
            wanted_questions = strtoul(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--only") == 0)
            cmocka_set_test_filter(argv[i + 1]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
