/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * vrift_diff(): two indexes walked side by side, in the order of names within each directory, which is the order of
 * paths part by part. Directories with one digest are alike all the way down and are not entered.
 */
#include "store/snapshot.h"

#include "core/alloc.h"

#include <vrift/error.h>

/* Two directories, of which either may be absent, and how far each has been read. */
struct level {
    uint64_t a, a_end; /* entries left; equal: none */
    uint64_t b, b_end;
    size_t path_length; /* of the directory, with its slash */
};

struct diff {
    vrift_snapshot *a, *b;
    vrift_change_fn fn;
    void *payload;
    struct vr_str path;
    struct level *levels; /* a stack on the heap: a tree may be deeper than a thread's stack */
    size_t depth;
    size_t capacity;
};

static int32_t enter(struct diff *diff, const struct vr_index_entry *a, const struct vr_index_entry *b)
{
    if (diff->depth == diff->capacity) {
        size_t capacity = diff->capacity ? diff->capacity * 2 : 32;
        struct level *levels = vr_alloc_resize(NULL, diff->levels, capacity * sizeof *levels);
        if (!levels)
            return -VRIFT_ENOMEM;
        diff->levels = levels;
        diff->capacity = capacity;
    }
    struct level level = {0, 0, 0, 0, diff->path.length};
    if (a) {
        level.a = a->first_child;
        level.a_end = a->first_child + a->size;
    }
    if (b) {
        level.b = b->first_child;
        level.b_end = b->first_child + b->size;
    }
    diff->levels[diff->depth++] = level;
    return 0;
}

/* -- Comparing ---------------------------------------------------------------------------------------------------- */

static int same(const void *x, size_t x_length, const void *y, size_t y_length)
{
    return x_length == y_length && (x_length == 0 || memcmp(x, y, x_length) == 0);
}

static int same_digest(const struct vr_index_entry *a, const struct vr_index_entry *b)
{
    return same(a->digest, a->digest ? VR_DIGEST_SIZE : 0, b->digest, b->digest ? VR_DIGEST_SIZE : 0);
}

/* A directory's content is its children, which are compared for themselves. */
static int same_content(const struct vr_index_entry *a, const struct vr_index_entry *b)
{
    switch (a->type) {
    case VRIFT_DT_REG:
        return a->size == b->size && same_digest(a, b);
    case VRIFT_DT_LNK:
        return same(a->target, (size_t)a->size, b->target, (size_t)b->size);
    case VRIFT_DT_CHR:
    case VRIFT_DT_BLK:
        return a->rdev == b->rdev;
    default:
        return 1;
    }
}

static int same_attributes(const struct vr_index_entry *a, const struct vr_index_entry *b)
{
    return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid && a->mtime.sec == b->mtime.sec &&
           a->mtime.nsec == b->mtime.nsec && same(a->xattrs, a->xattrs_length, b->xattrs, b->xattrs_length);
}

/* -- Reporting ---------------------------------------------------------------------------------------------------- */

static int32_t report(struct diff *diff, uint32_t kind, uint64_t a, uint64_t b)
{
    struct vrift_change change = {.kind = kind, .path = diff->path.length ? diff->path.data : "."};
    int32_t error = 0;
    if (kind != VRIFT_CHANGE_ADDED)
        error = vrift_snapshot_stat(diff->a, a, &change.before);
    if (!error && kind != VRIFT_CHANGE_REMOVED)
        error = vrift_snapshot_stat(diff->b, b, &change.after);
    return error ? error : diff->fn(&change, diff->payload);
}

/* The path is that of the entry; what is below an added or removed directory is added or removed, too. */
static int32_t one_side(struct diff *diff, uint32_t kind, uint64_t entry, const struct vr_index_entry *found)
{
    int32_t result = report(diff, kind, entry, entry);
    if (!result && found->type == VRIFT_DT_DIR && found->size) {
        vr_str_append(&diff->path, "/", 1);
        result = kind == VRIFT_CHANGE_ADDED ? enter(diff, NULL, found) : enter(diff, found, NULL);
    }
    return result;
}

static int32_t both_sides(struct diff *diff, uint64_t a, const struct vr_index_entry *x, uint64_t b,
                          const struct vr_index_entry *y)
{
    int32_t result = 0;
    uint32_t kind = 0;
    if (x->type != y->type)
        kind = VRIFT_CHANGE_TYPE;
    else if (!same_content(x, y))
        kind = VRIFT_CHANGE_CONTENT;
    else if (!same_attributes(x, y))
        kind = VRIFT_CHANGE_ATTR;
    if (kind)
        result = report(diff, kind, a, b);
    const struct vr_index_entry *from = x->type == VRIFT_DT_DIR ? x : NULL;
    const struct vr_index_entry *to = y->type == VRIFT_DT_DIR ? y : NULL;
    if (result || (!from && !to) || (from && to && same_digest(from, to)))
        return result;
    if (diff->path.length)
        vr_str_append(&diff->path, "/", 1);
    return enter(diff, from, to);
}

/* Takes the next name of the innermost level, of one side or of both. */
static int32_t step(struct diff *diff)
{
    struct level *level = &diff->levels[diff->depth - 1];
    struct vr_index_entry x, y;
    int have_x = level->a < level->a_end, have_y = level->b < level->b_end, order = have_x ? -1 : 1;
    vr_str_truncate(&diff->path, level->path_length);
    if (!have_x && !have_y) {
        diff->depth--;
        return 0;
    }
    int32_t error = have_x ? vr_index_get(&diff->a->index, level->a, &x) : 0;
    if (!error && have_y)
        error = vr_index_get(&diff->b->index, level->b, &y);
    if (error)
        return error;
    if (have_x && have_y)
        order = vr_tree_compare(x.name, x.name_length, y.name, y.name_length);
    uint64_t a = level->a, b = level->b;
    level->a += order <= 0;
    level->b += order >= 0;
    error = order <= 0 ? vr_str_append(&diff->path, x.name, x.name_length)
                       : vr_str_append(&diff->path, y.name, y.name_length);
    if (error)
        return error;
    if (order == 0)
        return both_sides(diff, a, &x, b, &y);
    return order < 0 ? one_side(diff, VRIFT_CHANGE_REMOVED, a, &x) : one_side(diff, VRIFT_CHANGE_ADDED, b, &y);
}

int32_t vrift_diff(vrift_snapshot *a, vrift_snapshot *b, uint64_t flags, vrift_change_fn fn, void *payload)
{
    struct diff diff = {.a = a, .b = b, .fn = fn, .payload = payload};
    struct vr_index_entry x, y;
    if (!a || !b || !fn || flags)
        return -VRIFT_EINVAL;
    int32_t result = vr_index_get(&a->index, 0, &x);
    if (!result)
        result = vr_index_get(&b->index, 0, &y);
    if (!result)
        result = both_sides(&diff, 0, &x, 0, &y);
    while (!result && diff.depth)
        result = step(&diff);
    vr_str_dispose(&diff.path);
    vr_alloc_free(NULL, diff.levels);
    return result;
}
