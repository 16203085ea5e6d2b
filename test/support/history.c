/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/history.h"

#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#define NODES 32

/* -- The model --------------------------------------------------------------------------------------------------------- */

enum { NOTHING, FILE_NODE, DIR_NODE };

/*
 * How many links and bytes a file has may be seen a little before or after a name comes or goes, or the bytes do: on Linux
 * they are read without the locks under which both change. `told` is what who does not look himself is still told.
 */
struct node {
    uint8_t type, nlink, told_nlink, told_size;
    char content;
    uint8_t entries[4]; /* by name; 0: none, as the root has none */
};

struct progress {
    uint8_t call, step;
    uint8_t one, two;     /* nodes found on the way */
    uint8_t node, victim; /* what a name means that is being moved, made or removed */
    uint8_t open;         /* node behind the descriptor */
};

struct model {
    struct node nodes[NODES];
    struct progress progress[HISTORY_THREADS];
    uint8_t next;
};

static uint8_t new_node(struct model *m, uint8_t type)
{
    assert_true(m->next < NODES);
    m->nodes[m->next] = (struct node){.type = type, .nlink = 1, .told_nlink = 1};
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

/* A step of a call: it goes on, or it ends with this result; or what there is is not what it saw. */
#define GOES_ON 1000
#define DIFFERS 1001

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

static void tell(struct node *node)
{
    node->told_nlink = node->nlink;
    node->told_size = node->content ? 1 : 0;
}

/* Each of these three in two steps: the count of links changes, and then the names. */
static int64_t unlink_file(struct model *m, struct progress *p, bool begins, const struct call *c)
{
    uint8_t *entry = &m->nodes[p->one].entries[c->file];
    if (begins) {
        p->node = *entry;
        if (!p->node)
            return -VRIFT_ENOENT;
        m->nodes[p->node].nlink--;
        return GOES_ON;
    }
    if (*entry != p->node)
        return DIFFERS;
    *entry = 0;
    tell(&m->nodes[p->node]);
    return 0;
}

static int64_t rename_file(struct model *m, struct progress *p, bool begins, const struct call *c)
{
    uint8_t *from = &m->nodes[p->one].entries[c->file], *to = &m->nodes[p->two].entries[c->other_file];
    if (begins) {
        p->node = *from;
        p->victim = *to;
        if (!p->node || is_dead(&m->nodes[p->two]))
            return -VRIFT_ENOENT;
        if (p->node == p->victim)
            return 0;
        if (p->victim)
            m->nodes[p->victim].nlink--;
        return GOES_ON;
    }
    if (*from != p->node || *to != p->victim || is_dead(&m->nodes[p->two]))
        return DIFFERS;
    *from = 0;
    *to = p->node;
    if (p->victim)
        tell(&m->nodes[p->victim]);
    return 0;
}

static int64_t link_file(struct model *m, struct progress *p, bool begins, const struct call *c)
{
    uint8_t *to = &m->nodes[p->two].entries[c->other_file];
    if (is_dead(&m->nodes[p->two]))
        return begins ? -VRIFT_ENOENT : DIFFERS;
    if (*to)
        return begins ? -VRIFT_EEXIST : DIFFERS;
    if (begins) {
        if (!m->nodes[p->one].nlink)
            return -VRIFT_ENOENT;
        m->nodes[p->one].nlink++;
        return GOES_ON;
    }
    *to = p->one;
    tell(&m->nodes[p->one]);
    return 0;
}

static int64_t write_file(struct model *m, const struct progress *p, bool begins, const struct call *c)
{
    if (begins)
        m->nodes[p->open].content = c->content;
    else
        tell(&m->nodes[p->open]);
    return begins ? GOES_ON : 0;
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
    bool nlink = n->nlink == c->nlink || n->told_nlink == c->nlink;
    bool size = (n->content ? 1u : 0u) == c->size || n->told_size == c->size;
    return nlink && size ? 0 : DIFFERS;
}

static int64_t work(struct model *m, struct progress *p, bool begins, const struct call *c)
{
    switch (c->kind) {
    case CREATE:
        return make_file(m, p->one, c->file);
    case OPEN_CREATE:
    case OPEN:
        return open_file(m, p, p->one, c);
    case UNLINK:
        return unlink_file(m, p, begins, c);
    case RENAME:
        return rename_file(m, p, begins, c);
    case LINK:
        return link_file(m, p, begins, c);
    case STAT:
        return stat_node(m, p->one, c);
    case LIST:
        return list_dir(m, p->one, c);
    case WRITE:
        return write_file(m, p, begins, c);
    case READ:
        return m->nodes[p->open].content == c->content ? 0 : DIFFERS;
    default:
        return change_dir(m, c);
    }
}

/* The next thing that a call does: it walks, and then works. */
static int64_t take_step(struct model *m, struct progress *p, const struct call *c)
{
    uint8_t step = p->step++, walked = 1;
    if (c->kind == WRITE || c->kind == READ)
        return p->open ? work(m, p, step == 0, c) : -VRIFT_EBADF;
    if (c->kind == STAT_DIR)
        return find_dir(m, c->dir, &p->one) == GOES_ON ? 0 : -VRIFT_ENOENT;
    if (c->kind > LINK && c->kind != STAT && c->kind != LIST)
        return work(m, p, true, c);
    if (step == 0)
        return find_dir(m, c->dir, &p->one);
    if ((c->kind == LINK || c->kind == STAT) && step == walked++) {
        p->one = m->nodes[p->one].entries[c->file];
        return p->one ? GOES_ON : -VRIFT_ENOENT;
    }
    if ((c->kind == LINK || c->kind == RENAME) && step == walked++)
        return find_dir(m, c->other_dir, &p->two);
    return work(m, p, step == walked, c);
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

bool history_is_explained(const struct history *h)
{
    struct search s = {.history = h};
    struct model m;
    begin_model(&m);
    bool explained = explain(&s, &m);
    free(s.seen);
    return explained;
}
