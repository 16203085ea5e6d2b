/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Concurrent histories: a few threads make a few calls each on a small tree at once, and some order of the calls must explain
 * all answers and the tree that is left (support/history.h).
 *
 * The long form is `--ops HISTORIES --seed SEED`.
 */
#include "support/history.h"
#include "support/world.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HERE VRIFT_AT_FDCWD

static const char *const names[] = {"f0", "f1", "d0", "d1"};

static uint64_t histories = 5000, seed = 1;

/* -- Making history ---------------------------------------------------------------------------------------------------- */

struct runner {
    vrift_task *task;
    struct history *history;
    uint32_t thread;
    uint64_t seed;
};

static _Atomic uint64_t clock_now;
static _Atomic uint32_t waiting;

static uint32_t roll(uint64_t *state, uint32_t sides)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(*state >> 33) % sides;
}

/* Before a backend is called others may run. */
static int32_t VRIFT_CALLBACK let_others_run(const char *slot, void *payload)
{
    static _Atomic uint64_t state = 1;
    uint64_t now = atomic_fetch_add(&state, 0x9e3779b97f4a7c15ULL);
    (void)slot;
    (void)payload;
    if ((now >> 33) % 3 == 0)
        sched_yield();
    return 0;
}

static void path_of(uint32_t dir, uint32_t file, char *out)
{
    snprintf(out, 16, "%s%s/%s", dir ? "/" : "", dir ? names[1 + dir] : "", names[file]);
}

static void run_stat(vrift_task *task, struct call *c, const char *path)
{
    struct vrift_stat st;
    c->result = vrift_statat(task, HERE, path, 0, &st);
    c->nlink = c->result ? 0 : st.nlink;
    c->size = c->result ? 0 : (uint32_t)st.size;
}

static void run_list(vrift_task *task, struct call *c)
{
    _Alignas(8) char buf[1024];
    char path[8] = "/";
    if (c->dir)
        strcat(path, names[1 + c->dir]);
    int32_t fd = vrift_openat(task, HERE, path, VRIFT_O_RDONLY | VRIFT_O_DIRECTORY, 0);
    c->result = fd < 0 ? fd : vrift_getdents(task, fd, buf, sizeof buf, 0);
    for (int64_t at = 0; at < c->result;) {
        const struct vrift_dirent *entry = (const struct vrift_dirent *)(const void *)(buf + at);
        for (int i = 0; i < 4; i++)
            if (strcmp(vrift_dirent_name(entry), names[i]) == 0)
                c->names |= 1u << i;
        at += entry->record_length;
    }
    if (c->result > 0)
        c->result = 0;
    if (fd >= 0)
        vrift_close(task, fd);
}

static void run_open(vrift_task *task, struct call *c, const char *path, int32_t *open)
{
    uint64_t flags = VRIFT_O_RDWR | (c->kind == OPEN_CREATE ? VRIFT_O_CREAT : 0);
    int32_t fd = vrift_openat(task, HERE, path, flags, 0644);
    c->result = fd < 0 ? fd : 0;
    if (fd < 0)
        return;
    if (*open >= 0)
        vrift_close(task, *open);
    *open = fd;
}

static void run_call(vrift_task *task, struct call *c, int32_t *open)
{
    char one[16], two[16], dir[8], other[8], buf[8];
    path_of(c->dir, c->file, one);
    path_of(c->other_dir, c->other_file, two);
    snprintf(dir, sizeof dir, "/%s", c->dir ? names[1 + c->dir] : "");
    snprintf(other, sizeof other, "/%s", c->other_dir ? names[1 + c->other_dir] : "");
    int32_t fd;
    switch (c->kind) {
    case CREATE:
        fd = vrift_openat(task, HERE, one, VRIFT_O_CREAT | VRIFT_O_EXCL | VRIFT_O_WRONLY, 0644);
        c->result = fd < 0 ? fd : vrift_close(task, fd);
        break;
    case OPEN_CREATE:
    case OPEN:
        run_open(task, c, one, open);
        break;
    case UNLINK:
        c->result = vrift_unlinkat(task, HERE, one, 0);
        break;
    case RENAME:
        c->result = vrift_renameat2(task, HERE, one, HERE, two, 0);
        break;
    case LINK:
        c->result = vrift_linkat(task, HERE, one, HERE, two, 0);
        break;
    case MKDIR:
        c->result = vrift_mkdirat(task, HERE, dir, 0755);
        break;
    case RMDIR:
        c->result = vrift_unlinkat(task, HERE, dir, VRIFT_AT_REMOVEDIR);
        break;
    case MOVE_DIR:
        c->result = vrift_renameat2(task, HERE, dir, HERE, other, 0);
        break;
    case STAT:
        run_stat(task, c, one);
        break;
    case STAT_DIR:
        run_stat(task, c, dir);
        break;
    case LIST:
        run_list(task, c);
        break;
    case WRITE:
        c->result = *open < 0 ? -VRIFT_EBADF : vrift_pwrite(task, *open, &c->content, 1, 0);
        c->result = c->result == 1 ? 0 : c->result;
        break;
    default:
        c->result = *open < 0 ? -VRIFT_EBADF : vrift_pread(task, *open, buf, sizeof buf, 0);
        c->content = c->result == 1 ? buf[0] : 0;
        c->result = c->result == 1 ? 0 : c->result;
        break;
    }
}

static void *run_thread(void *payload)
{
    struct runner *r = payload;
    int32_t open = -1;
    atomic_fetch_sub(&waiting, 1);
    while (atomic_load(&waiting))
        sched_yield();
    for (uint32_t i = 0; i < r->history->calls[r->thread]; i++) {
        struct call *c = &r->history->call[r->thread][i];
        c->begun = atomic_fetch_add(&clock_now, 1);
        run_call(r->task, c, &open);
        c->ended = atomic_fetch_add(&clock_now, 1);
        if (roll(&r->seed, 4) == 0)
            sched_yield();
    }
    return NULL;
}

static void roll_history(uint64_t *state, struct history *h)
{
    memset(h, 0, sizeof *h);
    h->threads = 2 + roll(state, HISTORY_THREADS - 1);
    for (uint32_t i = 0; i < h->threads; i++) {
        h->calls[i] = 2 + roll(state, HISTORY_CALLS - 1);
        for (uint32_t j = 0; j < h->calls[i]; j++) {
            struct call *c = &h->call[i][j];
            c->kind = roll(state, KINDS);
            bool is_dir = c->kind == MKDIR || c->kind == RMDIR || c->kind == MOVE_DIR || c->kind == STAT_DIR;
            c->dir = is_dir ? 1 + roll(state, 2) : roll(state, 3);
            c->other_dir = is_dir ? 3 - c->dir : roll(state, 3);
            c->file = roll(state, 2);
            c->other_file = roll(state, 2);
            c->content = c->kind == WRITE ? (char)('A' + i * HISTORY_CALLS + j) : 0;
        }
    }
}

static void look_at_end(struct world *w, struct history *h)
{
    for (uint32_t dir = 0; dir < 3; dir++) {
        char path[16];
        struct vrift_stat st;
        snprintf(path, sizeof path, "/%s", dir ? names[1 + dir] : "");
        if (dir)
            h->dirs[dir - 1] = vrift_statat(w->task, HERE, path, 0, &st) == 0;
        for (uint32_t file = 0; file < 2; file++) {
            struct final_file *out = &h->files[dir][file];
            path_of(dir, file, path);
            out->exists = vrift_statat(w->task, HERE, path, 0, &st) == 0;
            if (!out->exists)
                continue;
            out->nlink = st.nlink;
            out->ino = st.ino;
            int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, path, VRIFT_O_RDONLY, 0));
            check_ok(vrift_read(w->task, fd, &out->content, 1));
            check_ok(vrift_close(w->task, fd));
        }
    }
}

static void run_history(struct history *h, uint64_t *state)
{
    struct vrift_vfs_options options = {.size = sizeof options, .cache_bytes = roll(state, 2) ? 1 : 0};
    struct world *w = world_new(&options);
    struct runner runners[HISTORY_THREADS];
    pthread_t threads[HISTORY_THREADS];
    world_file(w, "/f0", "");
    check_ok(vrift_mkdirat(w->task, HERE, "/d0", 0755));
    world_file(w, "/d0/f1", "");
    check_ok(vrift_vfs_set_fault(w->vfs, let_others_run, NULL));
    atomic_store(&waiting, h->threads);
    for (uint32_t i = 0; i < h->threads; i++) {
        runners[i] = (struct runner){.history = h, .thread = i, .seed = *state + i};
        check_ok(vrift_task_fork(w->task, &runners[i].task));
        assert_int_equal(pthread_create(&threads[i], NULL, run_thread, &runners[i]), 0);
    }
    for (uint32_t i = 0; i < h->threads; i++)
        pthread_join(threads[i], NULL);
    for (uint32_t i = 0; i < h->threads; i++)
        vrift_task_free(runners[i].task);
    look_at_end(w, h);
    world_free(w);
}

static void print_history(const struct history *h)
{
    static const char *const kinds[] = {"create", "open(O_CREAT)", "open", "unlink",   "rename", "link",  "mkdir",
                                        "rmdir",  "rename dir",    "stat", "stat dir", "list",   "write", "read"};
    for (uint32_t i = 0; i < h->threads; i++) {
        for (uint32_t j = 0; j < h->calls[i]; j++) {
            const struct call *c = &h->call[i][j];
            char one[16], two[16];
            path_of(c->dir, c->file, one);
            path_of(c->other_dir, c->other_file, two);
            printf("# thread %u, %3llu to %3llu: %s %s %s = %s", i, (unsigned long long)c->begun,
                   (unsigned long long)c->ended, kinds[c->kind], one, two, c->result ? vrift_err_name(c->result) : "0");
            printf(" (nlink %u, size %u, names %x, content %c)\n", c->nlink, c->size, c->names,
                   c->content ? c->content : '-');
        }
    }
    for (int i = 0; i < 6; i++) {
        const struct final_file *file = &h->files[i / 2][i % 2];
        if (file->exists)
            printf("# left: %s/%s: inode %llu, nlink %u, content %c\n", i / 2 ? names[1 + i / 2] : "", names[i % 2],
                   (unsigned long long)file->ino, file->nlink, file->content ? file->content : '-');
    }
    printf("# left: d0 %d, d1 %d\n", h->dirs[0], h->dirs[1]);
}

/* -- The tests --------------------------------------------------------------------------------------------------------- */

static void some_order_explains_each_history(void **state)
{
    (void)state;
    uint64_t random = seed, overlapping = 0;
    for (uint64_t i = 0; i < histories; i++) {
        struct history h;
        roll_history(&random, &h);
        run_history(&h, &random);
        for (uint32_t t = 1; t < h.threads; t++)
            overlapping += h.call[t][0].begun < h.call[0][h.calls[0] - 1].ended &&
                           h.call[0][0].begun < h.call[t][h.calls[t] - 1].ended;
        if (history_is_explained(&h))
            continue;
        print_history(&h);
        fail_msg("no order explains history %llu of seed %llu", (unsigned long long)i, (unsigned long long)seed);
    }
    printf("# %llu histories, %llu overlaps of threads\n", (unsigned long long)histories,
           (unsigned long long)overlapping);
}

/* The search can say no: answers that only a wrong order gives are not explained. */
static void a_history_that_cannot_be_is_refused(void **state)
{
    (void)state;
    struct history h = {.threads = 2, .calls = {1, 1}, .dirs = {true, false}};
    h.files[0][0] = (struct final_file){.exists = true, .nlink = 1, .ino = 1};
    h.files[0][1] = (struct final_file){.exists = true, .nlink = 1, .ino = 2};
    h.files[1][1] = (struct final_file){.exists = true, .nlink = 1, .ino = 3};
    h.call[0][0] = (struct call){.kind = CREATE, .file = 1, .begun = 0, .ended = 1};
    h.call[1][0] = (struct call){.kind = STAT, .file = 1, .result = -VRIFT_ENOENT, .begun = 2, .ended = 3};
    assert_false(history_is_explained(&h)); /* it was made before */
    h.call[1][0].begun = 0;
    assert_true(history_is_explained(&h));
    h.files[0][1].ino = 1;
    assert_false(history_is_explained(&h)); /* nobody linked it */
    h.files[0][1].ino = 2;
    h.files[0][1].content = 'A';
    assert_false(history_is_explained(&h)); /* nobody wrote to it */
    h.files[0][1].content = 0;
    h.call[1][0] = (struct call){.kind = LIST, .names = 4, .begun = 0, .ended = 3};
    assert_false(history_is_explained(&h)); /* f0 was there all the time */
    h.call[1][0].names = 1 | 4;
    assert_true(history_is_explained(&h));
    h.call[1][0] = (struct call){.kind = CREATE, .file = 1, .begun = 0, .ended = 3};
    assert_false(history_is_explained(&h)); /* only one of them can have made it */
    h.call[1][0].result = -VRIFT_EEXIST;
    assert_true(history_is_explained(&h));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_history_that_cannot_be_is_refused),
        cmocka_unit_test(some_order_explains_each_history),
    };
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--ops") == 0)
            histories = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
