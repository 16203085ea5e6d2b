/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Every combination of the flags of open, on every kind of name, by root and by another, through openat and openat2:
 * what the kernel answers and what libvrift answers, what was made or emptied by it, and which flags the description
 * has, must be the same. Needs root.
 */
#include "oracle/oracle.h"

#include <sys/wait.h>
#include <unistd.h>

static const char *const names[] = {"f",  "mine", "d",   "lf",    "ld",  "dang", "none",  "f/",
                                    "d/", "ld/",  "lf/", "none/", "d/.", "sock", "dang/", "fifo"};
static const uint64_t bits[] = {VRIFT_O_CREAT,
                                VRIFT_O_EXCL,
                                VRIFT_O_TRUNC,
                                VRIFT_O_DIRECTORY,
                                VRIFT_O_NOFOLLOW,
                                VRIFT_O_PATH,
                                VRIFT_O_TMPFILE & ~VRIFT_O_DIRECTORY,
                                VRIFT_O_NOATIME,
                                VRIFT_O_APPEND};

#define NAMES   (sizeof names / sizeof names[0])
#define BITS    (sizeof bits / sizeof bits[0])
#define COMBOS  ((size_t)4 << BITS)
#define WAYS    4 /* openat, openat2; by root, by another */
#define ANSWERS (NAMES * COMBOS * WAYS)

struct answer {
    int32_t result; /* 0 or an error */
    uint32_t done;  /* what the open did */
    int64_t flags;  /* of the description */
};
#define DID_EMPTY  1u
#define DID_MAKE   2u
#define DID_TARGET 4u

static struct answer kernels[ANSWERS], ours[ANSWERS];
static int kernel_asked;

static uint64_t flags_of(size_t combo)
{
    uint64_t flags = combo & 3;
    for (size_t i = 0; i < BITS; i++)
        if (combo >> (i + 2) & 1)
            flags |= bits[i];
    return flags;
}

static void prepare(struct oracle *o)
{
    const struct oracle_calls *calls = o->calls;
    oracle_fresh(o);
    oracle_touch(o, "f", "x");
    oracle_touch(o, "mine", "x");
    calls->chown(o->self, "mine", 1000, 1000);
    oracle_mkdir(o, "d");
    calls->symlinkat(o->self, "f", "lf");
    calls->symlinkat(o->self, "d", "ld");
    calls->symlinkat(o->self, "target", "dang");
    calls->mknodat(o->self, AT, "sock", VRIFT_S_IFSOCK | 0666);
    calls->mknodat(o->self, AT, "fifo", VRIFT_S_IFIFO | 0644);
}

static int was_made(struct oracle *o, const char *name)
{
    if (oracle_stat(o, name) < 0)
        return 0;
    oracle_unlink(o, name);
    return 1;
}

static int was_emptied(struct oracle *o, const char *name)
{
    struct vrift_stat st = {.size = 1};
    if (o->calls->statat(o->self, AT, name, 0, &st) < 0 || st.size)
        return 0;
    oracle_touch(o, name, "x");
    return 1;
}

static struct answer ask(struct oracle *o, const char *name, uint64_t flags, int way)
{
    struct answer answer = {0, 0, 0};
    if (strcmp(name, "fifo") == 0 && !(flags & VRIFT_O_PATH))
        flags |= VRIFT_O_NONBLOCK; /* it would wait */
    uint32_t mode = flags & (VRIFT_O_CREAT | (VRIFT_O_TMPFILE & ~VRIFT_O_DIRECTORY)) ? 0640 : 0;
    if (way & 2)
        oracle_as_user(o, 1000, 1000);
    int64_t fd = way & 1 ? o->calls->openat2(o->self, AT, name, flags, mode, 0)
                         : o->calls->openat(o->self, AT, name, flags, mode);
    if (fd < 0) {
        answer.result = (int32_t)fd;
    } else {
        answer.flags = o->calls->getfl(o->self, (int)fd);
        o->calls->close(o->self, (int)fd);
    }
    if (way & 2)
        oracle_as_root(o);
    answer.done = (was_emptied(o, "f") || was_emptied(o, "mine") ? DID_EMPTY : 0) |
                  (was_made(o, "none") ? DID_MAKE : 0) | (was_made(o, "target") ? DID_TARGET : 0);
    return answer;
}

static void ask_all(struct oracle *o, struct answer *answers)
{
    prepare(o);
    for (int way = 0; way < WAYS; way++)
        for (size_t name = 0; name < NAMES; name++)
            for (size_t combo = 0; combo < COMBOS; combo++)
                *answers++ = ask(o, names[name], flags_of(combo), way);
}

static void ask_kernel(void)
{
    static struct oracle kernel = {.calls = &oracle_kernel_calls};
    int ends[2], status = 0;
    if (pipe(ends) < 0)
        return;
    char *root = temporary_directory();
    pid_t child = fork();
    if (child == 0) {
        FILE *out = fdopen(ends[1], "w");
        if (!out || oracle_enter_kernel(root) < 0)
            _exit(3);
        ask_all(&kernel, kernels);
        _exit(fwrite(kernels, sizeof kernels, 1, out) == 1 && fflush(out) == 0 ? 0 : 4);
    }
    close(ends[1]);
    FILE *in = fdopen(ends[0], "r");
    size_t got = in ? fread(kernels, sizeof kernels, 1, in) : 0;
    kernel_asked = got == 1 && child > 0 && waitpid(child, &status, 0) == child && status == 0;
    if (in)
        fclose(in);
    remove_temporary_directory(root);
}

static void print_answer(const char *who, const struct answer *answer)
{
    print_error("#   %s: %s, did %u, flags 0o%llo\n", who, answer->result ? vrift_err_name(answer->result) : "ok",
                answer->done, (unsigned long long)answer->flags);
}

static void every_open_is_answered_as_by_the_kernel(void **state)
{
    static struct oracle mine = {.calls = &oracle_vrift_calls};
    size_t wrong = 0;
    (void)state;
    if (geteuid() != 0)
        skip_because("asking the kernel needs root, for mounts and for other users");
    ask_kernel();
    assert_true(kernel_asked);
    mine.self = oracle_vrift_new();
    ask_all(&mine, ours);
    oracle_vrift_free(mine.self);
    for (size_t i = 0; i < ANSWERS; i++) {
        if (!memcmp(&kernels[i], &ours[i], sizeof ours[i]) || wrong++ >= 20)
            continue;
        print_error("# %s(\"%s\", 0o%llo) by uid %d\n", i / NAMES / COMBOS & 1 ? "openat2" : "openat",
                    names[i / COMBOS % NAMES], (unsigned long long)flags_of(i % COMBOS),
                    i / NAMES / COMBOS & 2 ? 1000 : 0);
        print_answer("the kernel", &kernels[i]);
        print_answer("libvrift", &ours[i]);
    }
    size_t opened = 0, emptied = 0, made = 0;
    for (size_t i = 0; i < ANSWERS; i++) {
        opened += !ours[i].result;
        emptied += ours[i].done & DID_EMPTY;
        made += !!(ours[i].done & (DID_MAKE | DID_TARGET));
    }
    printf("# %zu opens, of which %zu opened, %zu emptied and %zu made a file: %zu differences\n", ANSWERS, opened,
           emptied, made, wrong);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_open_is_answered_as_by_the_kernel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
