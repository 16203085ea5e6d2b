/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Episodes: running one, making a failing one small, and printing it as a test in C. */
#include "differential/parts/diff_kinds.h"

#include <ctype.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_TRIES 3000 /* runs that making one sequence small may take */
#define LOG_BYTES  (48u << 20)

static void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

struct diff_shared *diff_shared_new(void)
{
    struct diff_shared *shared = shared_memory(sizeof *shared);
    if (!shared)
        return NULL;
    shared->kernel = shared_memory(LOG_BYTES);
    shared->vrift = shared_memory(LOG_BYTES);
    if (!shared->kernel || !shared->vrift)
        return NULL;
    shared->kernel->capacity = shared->vrift->capacity =
        (LOG_BYTES - offsetof(struct diff_log, bytes)) / sizeof(uint64_t);
    return shared;
}

static void await(pid_t pid, struct diff_log *log)
{
    int status = 0;
    waitpid(pid, &status, 0);
    if (status)
        diff_log(log, "died", DIFF_DIED, WIFSIGNALED(status) ? (uint64_t)WTERMSIG(status) : (uint64_t)status >> 8, 0);
}

bool diff_episode(struct diff_shared *shared, struct diff_difference *difference)
{
    pid_t kernel = diff_kernel_start(shared), vrift = diff_vrift_start(shared);
    await(kernel, shared->kernel);
    await(vrift, shared->vrift);
    return diff_compare(shared->kernel, shared->vrift, difference);
}

/* -- Shrinking ----------------------------------------------------------------------------------------------------- */

static uint32_t tries;

static bool still_differs(struct diff_shared *shared, const struct diff_difference *first,
                          struct diff_difference *difference)
{
    struct diff_difference now;
    if (++tries > MOST_TRIES)
        return false;
    if (!diff_episode(shared, &now) || strcmp(now.what, first->what) != 0)
        return false;
    *difference = now;
    return true;
}

static void without(struct diff_shared *shared, const struct diff_step *all, uint32_t count, uint32_t at, uint32_t gone)
{
    memcpy(shared->steps, all, at * sizeof *all);
    memcpy(shared->steps + at, all + at + gone, (count - at - gone) * sizeof *all);
    shared->count = count - gone;
}

static bool simpler(struct diff_shared *shared, const struct diff_difference *first, struct diff_difference *difference,
                    struct diff_step *step, const struct diff_step *wanted)
{
    struct diff_step before = *step;
    if (memcmp(&before, wanted, sizeof before) == 0)
        return false;
    *step = *wanted;
    if (still_differs(shared, first, difference))
        return true;
    *step = before;
    return false;
}

/* Tries to make what is left of the steps plainer. */
static void plainer(struct diff_shared *shared, const struct diff_difference *first, struct diff_difference *difference)
{
    for (uint32_t i = 0; i < shared->count; i++) {
        struct diff_step *step = &shared->steps[i], wanted = *step;
        if (step->task != DIFF_OBSERVER) {
            wanted.task = 0;
            simpler(shared, first, difference, step, &wanted);
        }
        wanted = *step;
        wanted.look = 0;
        simpler(shared, first, difference, step, &wanted);
        wanted = *step;
        wanted.fd = step->fd >= 0 ? step->fd : DIFF_HERE;
        wanted.c = 0;
        simpler(shared, first, difference, step, &wanted);
        const char *slash = strrchr(step->path, '/');
        wanted = *step;
        if (slash && slash[1] && slash != step->path) {
            memset(wanted.path, 0, sizeof wanted.path);
            snprintf(wanted.path, sizeof wanted.path, "%s", slash + 1);
            simpler(shared, first, difference, step, &wanted);
        }
    }
}

void diff_shrink(struct diff_shared *shared, struct diff_difference *difference)
{
    struct diff_step *all = calloc(DIFF_MOST_STEPS, sizeof *all);
    struct diff_difference first = *difference;
    if (!all)
        return;
    if (difference->step + 1 < shared->count) {
        uint32_t count = shared->count;
        shared->count = difference->step + 1;
        if (!still_differs(shared, &first, difference))
            shared->count = count; /* it shows at the end only */
    }
    bool smaller = true;
    tries = 0;
    while (smaller && tries < MOST_TRIES) {
        smaller = false;
        for (uint32_t gone = (shared->count + 1) / 2; gone >= 1; gone /= 2) {
            for (uint32_t at = shared->count; at > 0 && gone < shared->count;) {
                uint32_t count = shared->count;
                at = at > gone ? at - gone : 0;
                if (at + gone > count)
                    continue;
                memcpy(all, shared->steps, count * sizeof *all);
                without(shared, all, count, at, gone);
                if (still_differs(shared, &first, difference)) {
                    smaller = true;
                } else {
                    memcpy(shared->steps, all, count * sizeof *all);
                    shared->count = count;
                }
            }
        }
        plainer(shared, &first, difference);
    }
    struct diff_difference last;
    if (diff_episode(shared, &last)) /* the logs are those of what is printed */
        *difference = last;
    free(all);
}

/* -- Printing ------------------------------------------------------------------------------------------------------ */

struct text {
    char *buf;
    size_t len, used;
};

static void put(struct text *text, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    if (text->used < text->len)
        text->used += (size_t)vsnprintf(text->buf + text->used, text->len - text->used, format, list);
    va_end(list);
}

static void put_fd(struct text *text, int fd)
{
    if (fd == DIFF_HERE)
        put(text, "VRIFT_AT_FDCWD");
    else
        put(text, "%d", fd);
}

static void put_path(struct text *text, const char *path)
{
    const char *odd = strpbrk(path, "%@");
    if (!odd)
        put(text, "\"%s\"", path);
    else
        put(text, "\"%.*s\" NAME_OF_%d \"%s\"", (int)(odd - path), path, *odd == DIFF_LONGEST ? 255 : 256, odd + 1);
}

static void put_number(struct text *text, uint64_t number)
{
    if (number > INT64_MAX)
        put(text, "-%llu", (unsigned long long)(0 - number));
    else
        put(text, "%llu", (unsigned long long)number);
}

/* @d, @e: descriptors where paths start; @p, @q: paths; @f, @g: descriptors; @a, @b, @c: the numbers; @o, @n: the first
 * and second in octal; @x, @x1, @x2: third, first, second in hexadecimal; @v: a name of an attribute. */
void diff_print_step(const struct diff_step *step, char *buf, size_t len)
{
    struct text text = {buf, len, 0};
    for (const char *c = diff_kinds[step->kind].text; *c; c++) {
        if (*c == 'T' && c[1] != '_' && (c[1] == ',' || c[1] == ')') && c[-1] == '(') {
            put(&text, "t[%u]", step->task);
            continue;
        }
        if (*c != '@') {
            put(&text, "%c", *c);
            continue;
        }
        switch (*++c) {
        case 'd':
            put_fd(&text, step->fd);
            break;
        case 'e':
            put_fd(&text, step->fd2);
            break;
        case 'f':
            put(&text, "%d", step->fd);
            break;
        case 'g':
            put(&text, "%d", step->fd2);
            break;
        case 'p':
            put_path(&text, step->path);
            break;
        case 'q':
            put_path(&text, step->path2);
            break;
        case 'o':
            put(&text, "0%llo", (unsigned long long)step->a);
            break;
        case 'n':
            put(&text, "0%llo", (unsigned long long)step->b);
            break;
        case 'v':
            put(&text, "%s", diff_xattr_name(step->a));
            break;
        case 'x': {
            uint64_t number = c[1] == '1' ? step->a : c[1] == '2' ? step->b : step->c;
            c += c[1] == '1' || c[1] == '2';
            put(&text, "%#llx", (unsigned long long)number);
            break;
        }
        default:
            put_number(&text, *c == 'a' ? step->a : *c == 'b' ? step->b : step->c);
        }
    }
}

/* What the kernel answered to a step, from its log. */
static bool kernel_said(const struct diff_log *log, uint32_t step, int64_t *answer)
{
    const struct diff_token *token;
    bool inside = false;
    for (size_t at = 0; (token = diff_log_next(log, &at));) {
        if (token->kind == DIFF_STEP)
            inside = token->value == step;
        else if (inside && (token->kind == DIFF_RESULT || token->kind == DIFF_LENIENT)) {
            *answer = (int64_t)token->value;
            return true;
        }
    }
    return false;
}

void diff_print(const struct diff_shared *shared, const struct diff_difference *difference)
{
    printf("# %s: %s\n", diff_kinds[shared->steps[difference->step].kind].name, difference->text);
    printf("# tasks start as cred");
    for (int i = 0; i < DIFF_TASKS; i++)
        printf(" %d", diff_first_cred[i]);
    printf(" (uid:gid)");
    for (int i = 0; i < DIFF_CREDS; i++)
        printf(" %d=%u:%u%s", i, diff_creds[i].uid, diff_creds[i].gid, diff_creds[i].capabilities ? "+caps" : "");
    printf("\nstatic void a_small_sequence_agrees_with_the_kernel(void **state)\n{\n");
    for (uint32_t i = 0; i < shared->count; i++) {
        char call[400];
        int64_t answer = 0;
        diff_print_step(&shared->steps[i], call, sizeof call);
        bool said = kernel_said(shared->kernel, i, &answer);
        if (said && answer < 0)
            printf("    check_error(-VRIFT_%s, %s);", vrift_err_name(answer), call);
        else if (said && answer > 0)
            printf("    assert_int_equal(%lld, %s);", (long long)answer, call);
        else
            printf("    check_ok(%s);", call);
        printf("%s\n", shared->steps[i].look ? " /* looked at */" : "");
    }
    printf("    /* %s */\n}\n", difference->text);
    fflush(stdout);
}
