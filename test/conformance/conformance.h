/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * One suite for every backend. A *kind* makes superblocks of one backend; a *case* is a sentence about the public
 * interface. What a backend declares it cannot do must be refused with the error it declares: lacks() checks that.
 *
 * Cases read a tree made beforehand (on every kind), change an empty one or what was there before (on kinds that can be
 * written), or try to change it (on those that cannot).
 */
#ifndef VR_CONFORMANCE_H
#define VR_CONFORMANCE_H

#include "support/check.h"

#include <vrift/vrift.h>

#include <stdlib.h>
#include <string.h>

#define AT VRIFT_AT_FDCWD

struct world;

struct kind {
    const char *name;
    /* Makes world->sb, empty; NULL for a kind that cannot be written. world->vfs is there. */
    void (*make)(struct world *world);
    /* Makes world->sb, holding the fixture of this size (SMALL, BIG); NULL: it is empty and the fixture made in it. */
    void (*make_full)(struct world *world, int size);
    /* Likewise with room for 64 KiB and a little; NULL if that cannot be had. */
    void (*make_small)(struct world *world);
};

struct world {
    const struct kind *kind;
    vrift_vfs *vfs;
    vrift_sb *sb;
    vrift_ns *ns;
    vrift_task *task;
    struct vrift_capability caps[VRIFT_CAPABILITY_COUNT];
    char *directory; /* on the host, where the backend needs one */
    vrift_store *store;
    vrift_snapshot *snapshot;
    vrift_sb *layers[2]; /* of an overlay: lower, upper */
};

/* What a world holds at first. */
enum { EMPTY, NEARLY_FULL, SMALL, BIG };

struct test_case {
    const char *name;
    void (*run)(struct world *world);
};

extern const struct kind kinds[];
extern const size_t kind_count;
extern const struct test_case space_cases[], mapped_cases[];
extern const struct test_case read_cases[], resolve_cases[], data_cases[], name_cases[], rename_cases[],
    attribute_cases[], present_cases[], refuse_cases[], small_cases[]; /* each ends with a NULL name */

struct world *make_world(const struct kind *kind, int contents);
void free_world(struct world *world);

/* What the read cases read. */
#define BIG_COUNT 2000
#define DEEP      300
void make_fixture(vrift_task *task, const struct vrift_capability *caps, int size); /* SMALL: not big, not deep */
extern const char *const odd_names[];                                               /* ends with NULL */
#define SPARSE_SIZE  ((uint64_t)5 << 20)
#define SPARSE_FIRST ((uint64_t)1 << 20)
extern const struct vrift_timespec old_time;

int has(const struct world *world, uint32_t capability);

/* Whether the fixture could have it: the kind has it, or would if it could be written. */
int holds(const struct world *world, uint32_t capability);

/* Whether the backend lacks the capability; then result must be the error it declared. */
int lacks_at(const struct world *world, uint32_t capability, int64_t result, const char *expression, const char *file,
             int line);
#define lacks(world, capability, result) lacks_at((world), (capability), (int64_t)(result), #result, __FILE__, __LINE__)

/* Small things that every case needs; they fail the case if they do not work. */
void put(vrift_task *task, const char *path, const char *text);
void check_text_at(vrift_task *task, const char *path, const char *wanted, const char *file, int line);
#define check_text(task, path, wanted) check_text_at((task), (path), (wanted), __FILE__, __LINE__)
struct vrift_stat stat_of(vrift_task *task, const char *path); /* not following */
int32_t open_file(vrift_task *task, const char *path, uint64_t flags);
int before(struct vrift_timespec a, struct vrift_timespec b);
void let_the_clock_tick(void); /* until the clock that stamps files has moved */

/* One call of vrift_getdents() after another with a buffer of this size; what fn returned other than 0, or 0. */
typedef int (*dirent_fn)(const struct vrift_dirent *entry, const char *name, void *payload);
int list(vrift_task *task, int32_t fd, size_t size, dirent_fn fn, void *payload);
unsigned count_entries(vrift_task *task, const char *path); /* without "." and ".." */

#endif
