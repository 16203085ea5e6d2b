/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Two mountinfo texts are the same if numbers can be given other names so that they are. */
#include "mounts/mounts.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t id, parent, dev, shared, master, from;
    bool unbindable;
    const char *root, *point, *options, *source;
    struct entry *above; /* its parent, if that is listed */
};

struct listing {
    char *text;
    struct entry *entries;
    size_t count;
};

/* Which number of one side is which of the other. */
struct names {
    uint64_t (*pairs)[2];
    size_t count, room;
};

struct comparison {
    struct names ids, devs, groups, inodes;
};

static bool same_name(struct names *names, uint64_t one, uint64_t other)
{
    for (size_t i = 0; i < names->count; i++)
        if (names->pairs[i][0] == one || names->pairs[i][1] == other)
            return names->pairs[i][0] == one && names->pairs[i][1] == other;
    if (names->count == names->room)
        names->pairs = realloc(names->pairs, (names->room = names->room * 2 + 64) * sizeof *names->pairs);
    names->pairs[names->count][0] = one;
    names->pairs[names->count++][1] = other;
    return true;
}

static void parse_line(char *line, struct entry *out)
{
    char *rest = NULL;
    memset(out, 0, sizeof *out);
    out->id = strtoull(strtok_r(line, " ", &rest), NULL, 10);
    out->parent = strtoull(strtok_r(NULL, " ", &rest), NULL, 10);
    out->dev = strtoull(strchr(strtok_r(NULL, " ", &rest), ':') + 1, NULL, 10);
    out->root = strtok_r(NULL, " ", &rest);
    out->point = strtok_r(NULL, " ", &rest);
    out->options = strtok_r(NULL, " ", &rest);
    char *field;
    while ((field = strtok_r(NULL, " ", &rest)) && strcmp(field, "-") != 0) {
        if (sscanf(field, "shared:%lu", &out->shared) == 1 || sscanf(field, "master:%lu", &out->master) == 1 ||
            sscanf(field, "propagate_from:%lu", &out->from) == 1)
            continue;
        out->unbindable = strcmp(field, "unbindable") == 0;
    }
    strtok_r(NULL, " ", &rest);
    out->source = strtok_r(NULL, " ", &rest);
}

static size_t depth_of(const struct entry *entry)
{
    size_t depth = 0;
    while ((entry = entry->above))
        depth++;
    return depth;
}

/* By point, and what lies at one point from below to above. */
static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->point, y->point);
    if (order)
        return order;
    size_t dx = depth_of(x), dy = depth_of(y);
    if (dx != dy)
        return (dx > dy) - (dx < dy);
    order = strcmp(x->source, y->source);
    if (!order)
        order = strcmp(x->root, y->root);
    return order || !x->above || x->above == y->above ? order : compare_entries(x->above, y->above);
}

static void find_parents(struct listing *list)
{
    for (size_t i = 0; i < list->count; i++) {
        list->entries[i].above = NULL;
        for (size_t j = 0; j < list->count; j++)
            if (j != i && list->entries[j].id == list->entries[i].parent)
                list->entries[i].above = &list->entries[j];
    }
}

static void parse(const char *text, struct listing *out)
{
    out->text = strdup(text);
    out->count = 0;
    for (const char *p = text; *p; p++)
        out->count += *p == '\n';
    out->entries = calloc(out->count + 1, sizeof *out->entries);
    char *rest = NULL, *line = strtok_r(out->text, "\n", &rest);
    for (size_t i = 0; i < out->count && line; i++) {
        parse_line(line, &out->entries[i]);
        line = strtok_r(NULL, "\n", &rest);
    }
    find_parents(out);
    /* The order needs the parents, and moves them: sort a copy's index by it. */
    struct entry *sorted = malloc((out->count + 1) * sizeof *sorted);
    memcpy(sorted, out->entries, (out->count + 1) * sizeof *sorted);
    qsort(sorted, out->count, sizeof *sorted, compare_entries);
    free(out->entries);
    out->entries = sorted;
    find_parents(out);
}

static const char *difference_of(struct comparison *all, const struct entry *k, const struct entry *v)
{
    if (strcmp(k->point, v->point) != 0)
        return "point";
    if (strcmp(k->root, v->root) != 0)
        return "root";
    if (strcmp(k->options, v->options) != 0)
        return "options";
    if (strcmp(k->source, v->source) != 0)
        return "source";
    if (k->unbindable != v->unbindable)
        return "unbindable";
    if (!same_name(&all->ids, k->id, v->id) || !same_name(&all->ids, k->parent, v->parent))
        return "place in the tree";
    if (!same_name(&all->devs, k->dev, v->dev))
        return "device";
    if (!k->shared != !v->shared || (k->shared && !same_name(&all->groups, k->shared, v->shared)))
        return "peer group";
    if (!k->master != !v->master || (k->master && !same_name(&all->groups, k->master, v->master)))
        return "master";
    if (!k->from != !v->from || (k->from && !same_name(&all->groups, k->from, v->from)))
        return "propagate_from";
    return NULL;
}

static bool same_mounts(struct comparison *all, const struct view *k, const struct view *v)
{
    struct listing kernel, ours;
    parse(k->mountinfo, &kernel);
    parse(v->mountinfo, &ours);
    bool same = kernel.count == ours.count;
    if (!same)
        printf("# %zu mounts in the kernel, %zu here\n", kernel.count, ours.count);
    for (size_t i = 0; i < kernel.count && i < ours.count; i++) {
        const char *what = difference_of(all, &kernel.entries[i], &ours.entries[i]);
        if (!what)
            continue;
        printf("# the mount at %s (%s) differs in its %s\n", kernel.entries[i].point, kernel.entries[i].source, what);
        same = false;
        break;
    }
    free(kernel.entries);
    free(kernel.text);
    free(ours.entries);
    free(ours.text);
    return same;
}

static bool same_probe(struct comparison *all, const struct probe *k, const struct probe *v)
{
    if (k->result != v->result)
        return false;
    if (k->result)
        return true;
    return same_name(&all->devs, k->dev, v->dev) && same_name(&all->ids, k->mount, v->mount) &&
           same_name(&all->inodes, k->dev << 32 | k->ino, v->dev << 32 | v->ino);
}

static bool same_view(struct comparison *all, const struct view *k, const struct view *v, char (*probes)[PATH_SIZE])
{
    bool same = same_mounts(all, k, v);
    if (strcmp(k->cwd, v->cwd) != 0) {
        printf("# the current directory is %s in the kernel, %s here\n", k->cwd, v->cwd);
        same = false;
    }
    for (int i = 0; i < PROBES; i++) {
        if (same_probe(all, &k->probes[i], &v->probes[i]))
            continue;
        printf("# %s is (%ld, mount %lu, %lu:%lu) in the kernel, (%ld, mount %lu, %lu:%lu) here\n", probes[i],
               (long)k->probes[i].result, k->probes[i].mount, k->probes[i].dev, k->probes[i].ino,
               (long)v->probes[i].result, v->probes[i].mount, v->probes[i].dev, v->probes[i].ino);
        same = false;
    }
    if (!same)
        printf("# the kernel:\n%s# here:\n%s", k->mountinfo, v->mountinfo);
    return same;
}

bool same_views(struct side *kernel, struct side *ours, const bool *alive, char (*probes)[PATH_SIZE])
{
    struct comparison all;
    memset(&all, 0, sizeof all);
    bool same = true;
    for (uint32_t i = 0; i < PROCESSES; i++) {
        struct view k, v;
        if (!alive[i])
            continue;
        kernel->look(kernel->self, i, probes, &k);
        ours->look(ours->self, i, probes, &v);
        if (!same_view(&all, &k, &v, probes)) {
            printf("# as process %u sees it\n", i);
            same = false;
        }
        free(k.mountinfo);
        free(v.mountinfo);
    }
    free(all.ids.pairs);
    free(all.devs.pairs);
    free(all.groups.pairs);
    free(all.inodes.pairs);
    return same;
}
