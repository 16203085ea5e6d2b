/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Concurrent histories: a few threads make a few calls each on a small tree at once. Some order of what the calls do, which
 * keeps each call between its beginning and its end, must explain all answers and the tree that is left. A call that walks
 * a path does several things, one after the other, as on Linux: it finds the directory, and then does its work there.
 *
 * The long form is `--ops HISTORIES --seed SEED`.
 */
#include "support/world.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define HERE        VRIFT_AT_FDCWD
#define THREADS_MAX 4
#define CALLS_MAX   4
#define NODES       32

static uint64_t histories = 5000, seed = 1;

/* -- What is done and answered ---------------------------------------------------------------------------------------- */

enum kind {
    CREATE,
    OPEN_CREATE,
    OPEN,
    UNLINK,
    RENAME,
    LINK,
    MKDIR,
    RMDIR,
    MOVE_DIR,
    STAT,
    STAT_DIR,
    LIST,
    WRITE,
    READ,
    KINDS
};

/* Directories: 0 is the root, 1 and 2 are d0 and d1 in it. Files f0 and f1 may be in each. */
struct call {
    uint32_t kind;
    uint32_t dir, file, other_dir, other_file;
    char content; /* WRITE: what; READ: what was read, 0: nothing */
    int64_t result;
    uint32_t nlink, size; /* STAT */
    uint32_t names;       /* LIST: bit i: name i of names[] */
    uint64_t begun, ended;
};

struct final_file {
    bool exists;
    char content;
    uint32_t nlink;
    uint64_t ino;
};

struct history {
    uint32_t threads, calls[THREADS_MAX];
    struct call call[THREADS_MAX][CALLS_MAX];
    bool dirs[2]; /* d0 and d1 are there in the end */
    struct final_file files[3][2];
};

static const char *const names[] = {"f0", "f1", "d0", "d1"};

/* -- The model --------------------------------------------------------------------------------------------------------- */

enum { NOTHING, FILE_NODE, DIR_NODE };

struct node {
    uint8_t type, nlink;
    char content;
    uint8_t entries[4]; /* by name; 0: none, as the root has none */
};

struct progress {
    uint8_t call, step;
    uint8_t one, two; /* nodes found on the way */
    uint8_t open;     /* node behind the descriptor */
};

struct model {
    struct node nodes[NODES];
    struct progress progress[THREADS_MAX];
    uint8_t next;
};

static uint8_t new_node(struct model *m, uint8_t type)
{
    assert_true(m->next < NODES);
    m->nodes[m->next] = (struct node){.type = type, .nlink = 1};
    return m->next++;
}

static void begin_model(struct model *m)
{
    memset(m, 0, sizeof *m);
    m->next = 1;
    m->nodes[0] = (struct node){.type = DIR_NODE, .nlink = 1};
    uint8_t d0 = new_node(m, DIR_NODE), f0 = new_node(m, FILE_NODE), f1 = new_node(m, FILE_NODE);
    m->nodes[0].entries[2] = d0;
    m->nodes[0].entries[0] = f0;
    m->nodes[d0].entries[1] = f1;
}

/* A step of a call: it goes on, or it ends with this result. */
#define GOES_ON 1000

static int64_t find_dir(const struct model *m, uint32_t dir, uint8_t *out)
{
    if (dir == 0) {
        *out = 0;
        return GOES_ON;
    }
    *out = m->nodes[0].entries[1 + dir];
    return *out ? GOES_ON : -VRIFT_ENOENT;
}

static bool is_dead(const struct node *dir)
{
    return !dir->nlink;
}

static bool is_empty(const struct node *dir)
{
    return !dir->entries[0] && !dir->entries[1];
}

static int64_t make_file(struct model *m, uint8_t dir, uint32_t file)
{
    if (is_dead(&m->nodes[dir]))
        return -VRIFT_ENOENT;
    if (m->nodes[dir].entries[file])
        return -VRIFT_EEXIST;
    m->nodes[dir].entries[file] = new_node(m, FILE_NODE);
    return 0;
}

static int64_t open_file(struct model *m, struct progress *p, uint8_t dir, const struct call *c)
{
    uint8_t node = m->nodes[dir].entries[c->file];
    if (!node && c->kind == OPEN_CREATE) {
        int64_t error = make_file(m, dir, c->file);
        if (error)
            return error;
        node = m->nodes[dir].entries[c->file];
    }
    if (!node)
        return -VRIFT_ENOENT;
    p->open = node;
    return 0;
}

static int64_t rename_file(struct model *m, uint8_t from, uint8_t to, const struct call *c)
{
    uint8_t node = m->nodes[from].entries[c->file], victim = m->nodes[to].entries[c->other_file];
    if (!node || is_dead(&m->nodes[to]))
        return -VRIFT_ENOENT;
    if (node == victim)
        return 0;
    if (victim)
        m->nodes[victim].nlink--;
    m->nodes[from].entries[c->file] = 0;
    m->nodes[to].entries[c->other_file] = node;
    return 0;
}

static int64_t link_file(struct model *m, uint8_t node, uint8_t to, const struct call *c)
{
    if (is_dead(&m->nodes[to]))
        return -VRIFT_ENOENT;
    if (m->nodes[to].entries[c->other_file])
        return -VRIFT_EEXIST;
    if (!m->nodes[node].nlink)
        return -VRIFT_ENOENT;
    m->nodes[node].nlink++;
    m->nodes[to].entries[c->other_file] = node;
    return 0;
}

static int64_t change_dir(struct model *m, const struct call *c)
{
    uint8_t *entries = m->nodes[0].entries;
    uint8_t node = entries[1 + c->dir], other = entries[1 + c->other_dir];
    if (c->kind == MKDIR) {
        if (node)
            return -VRIFT_EEXIST;
        node = new_node(m, DIR_NODE);
        m->nodes[0].entries[1 + c->dir] = node;
        return 0;
    }
    if (!node)
        return -VRIFT_ENOENT;
    if (c->kind == RMDIR) {
        if (!is_empty(&m->nodes[node]))
            return -VRIFT_ENOTEMPTY;
        m->nodes[node].nlink = 0;
        entries[1 + c->dir] = 0;
        return 0;
    }
    if (other && !is_empty(&m->nodes[other]))
        return -VRIFT_ENOTEMPTY;
    if (other)
        m->nodes[other].nlink = 0;
    entries[1 + c->other_dir] = node;
    entries[1 + c->dir] = 0;
    return 0;
}

/* What a listing and a stat saw must be what there is. */
#define DIFFERS 1001

static int64_t list_dir(const struct model *m, uint8_t dir, const struct call *c)
{
    const struct node *node = &m->nodes[dir];
    uint32_t seen = 0;
    for (int i = 0; i < 4; i++)
        if (node->entries[i])
            seen |= 1u << i;
    if (is_dead(node) && c->result == -VRIFT_ENOENT)
        return c->result;
    return seen == c->names ? 0 : DIFFERS;
}

static int64_t stat_node(const struct model *m, uint8_t node, const struct call *c)
{
    const struct node *n = &m->nodes[node];
    return n->nlink == c->nlink && (n->content ? 1u : 0u) == c->size ? 0 : DIFFERS;
}

static int64_t work(struct model *m, struct progress *p, const struct call *c)
{
    switch (c->kind) {
    case CREATE:
        return make_file(m, p->one, c->file);
    case OPEN_CREATE:
    case OPEN:
        return open_file(m, p, p->one, c);
    case UNLINK: {
        uint8_t node = m->nodes[p->one].entries[c->file];
        if (!node)
            return -VRIFT_ENOENT;
        m->nodes[node].nlink--;
        m->nodes[p->one].entries[c->file] = 0;
        return 0;
    }
    case RENAME:
        return rename_file(m, p->one, p->two, c);
    case LINK:
        return link_file(m, p->one, p->two, c);
    case STAT:
        return stat_node(m, p->one, c);
    case LIST:
        return list_dir(m, p->one, c);
    case WRITE:
        m->nodes[p->open].content = c->content;
        return 0;
    case READ:
        return m->nodes[p->open].content == c->content ? 0 : DIFFERS;
    default:
        return change_dir(m, c);
    }
}

/* The next thing that a call does. */
static int64_t take_step(struct model *m, struct progress *p, const struct call *c)
{
    uint8_t step = p->step++;
    bool has_dir = c->kind <= LINK || c->kind == STAT || c->kind == LIST;
    if (c->kind == WRITE || c->kind == READ)
        return p->open ? work(m, p, c) : -VRIFT_EBADF;
    if (c->kind == STAT_DIR)
        return find_dir(m, c->dir, &p->one) == GOES_ON ? 0 : -VRIFT_ENOENT;
    if (has_dir && step == 0)
        return find_dir(m, c->dir, &p->one);
    if ((c->kind == LINK || c->kind == STAT) && step == 1) {
        p->one = m->nodes[p->one].entries[c->file];
        return p->one ? GOES_ON : -VRIFT_ENOENT;
    }
    if ((c->kind == LINK && step == 2) || (c->kind == RENAME && step == 1))
        return find_dir(m, c->other_dir, &p->two);
    return work(m, p, c);
}

/* -- The search -------------------------------------------------------------------------------------------------------- */

struct search {
    const struct history *history;
    uint64_t *seen; /* hashes of models, open addressing */
    size_t room, count;
};

static uint64_t hash_of(const struct model *m)
{
    uint64_t hash = 1469598103934665603ULL;
    const unsigned char *bytes = (const unsigned char *)m;
    for (size_t i = 0; i < sizeof *m; i++)
        hash = (hash ^ bytes[i]) * 1099511628211ULL;
    return hash | 1;
}

static bool is_new(struct search *s, uint64_t hash)
{
    if (s->count * 2 >= s->room) {
        struct search grown = {.history = s->history, .room = s->room ? s->room * 2 : 1024};
        grown.seen = calloc(grown.room, sizeof *grown.seen);
        for (size_t i = 0; i < s->room; i++)
            if (s->seen[i])
                is_new(&grown, s->seen[i]);
        free(s->seen);
        *s = grown;
    }
    size_t at = hash & (s->room - 1);
    while (s->seen[at] && s->seen[at] != hash)
        at = (at + 1) & (s->room - 1);
    if (s->seen[at])
        return false;
    s->seen[at] = hash;
    s->count++;
    return true;
}

static bool same_files(const struct history *h, const struct model *m)
{
    uint8_t nodes[3][2] = {{0}};
    for (uint32_t dir = 0; dir < 3; dir++) {
        uint8_t node = 0;
        bool there = find_dir(m, dir, &node) == GOES_ON;
        if (dir && there != h->dirs[dir - 1])
            return false;
        for (int i = 0; i < 2; i++) {
            const struct final_file *file = &h->files[dir][i];
            nodes[dir][i] = there ? m->nodes[node].entries[i] : 0;
            const struct node *n = &m->nodes[nodes[dir][i]];
            if (file->exists != !!nodes[dir][i])
                return false;
            if (file->exists && (file->nlink != n->nlink || file->content != n->content))
                return false;
        }
    }
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < i; j++)
            if (h->files[i / 2][i % 2].exists && h->files[j / 2][j % 2].exists &&
                (h->files[i / 2][i % 2].ino == h->files[j / 2][j % 2].ino) !=
                    (nodes[i / 2][i % 2] == nodes[j / 2][j % 2]))
                return false;
    return true;
}

/* May a thread's next call do something now? Not before all that ended before it began. */
static bool may_run(const struct search *s, const struct model *m, uint32_t thread)
{
    const struct history *h = s->history;
    uint64_t begun = h->call[thread][m->progress[thread].call].begun;
    for (uint32_t i = 0; i < h->threads; i++)
        if (m->progress[i].call < h->calls[i] && h->call[i][m->progress[i].call].ended < begun)
            return false;
    return true;
}

static bool explain(struct search *s, const struct model *m)
{
    const struct history *h = s->history;
    bool done = true;
    for (uint32_t i = 0; i < h->threads; i++)
        done = done && m->progress[i].call == h->calls[i];
    if (done)
        return same_files(h, m);
    if (!is_new(s, hash_of(m)))
        return false;
    for (uint32_t i = 0; i < h->threads; i++) {
        if (m->progress[i].call == h->calls[i] || !may_run(s, m, i))
            continue;
        struct model next = *m;
        struct progress *p = &next.progress[i];
        const struct call *c = &h->call[i][p->call];
        int64_t result = take_step(&next, p, c);
        if (result != GOES_ON) {
            if (result != c->result)
                continue;
            *p = (struct progress){.call = (uint8_t)(p->call + 1), .open = p->open};
        }
        if (explain(s, &next))
            return true;
    }
    return false;
}

static bool is_explained(const struct history *h)
{
    struct search s = {.history = h};
    struct model m;
    begin_model(&m);
    bool explained = explain(&s, &m);
    free(s.seen);
    return explained;
}

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
    h->threads = 2 + roll(state, THREADS_MAX - 1);
    for (uint32_t i = 0; i < h->threads; i++) {
        h->calls[i] = 2 + roll(state, CALLS_MAX - 1);
        for (uint32_t j = 0; j < h->calls[i]; j++) {
            struct call *c = &h->call[i][j];
            c->kind = roll(state, KINDS);
            bool is_dir = c->kind == MKDIR || c->kind == RMDIR || c->kind == MOVE_DIR || c->kind == STAT_DIR;
            c->dir = is_dir ? 1 + roll(state, 2) : roll(state, 3);
            c->other_dir = is_dir ? 3 - c->dir : roll(state, 3);
            c->file = roll(state, 2);
            c->other_file = roll(state, 2);
            c->content = c->kind == WRITE ? (char)('A' + i * CALLS_MAX + j) : 0;
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
    struct runner runners[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
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
        if (is_explained(&h))
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
    assert_false(is_explained(&h)); /* it was made before */
    h.call[1][0].begun = 0;
    assert_true(is_explained(&h));
    h.files[0][1].ino = 1;
    assert_false(is_explained(&h)); /* nobody linked it */
    h.files[0][1].ino = 2;
    h.files[0][1].content = 'A';
    assert_false(is_explained(&h)); /* nobody wrote to it */
    h.files[0][1].content = 0;
    h.call[1][0] = (struct call){.kind = LIST, .names = 4, .begun = 0, .ended = 3};
    assert_false(is_explained(&h)); /* f0 was there all the time */
    h.call[1][0].names = 1 | 4;
    assert_true(is_explained(&h));
    h.call[1][0] = (struct call){.kind = CREATE, .file = 1, .begun = 0, .ended = 3};
    assert_false(is_explained(&h)); /* only one of them can have made it */
    h.call[1][0].result = -VRIFT_EEXIST;
    assert_true(is_explained(&h));
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
