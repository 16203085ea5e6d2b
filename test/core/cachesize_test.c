/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What the cache costs: how large its entries are, how many bytes of memory one takes in all, and how well it keeps to its
 * budget. The names come from a backend that keeps nothing, so that all memory is the core's.
 *
 *   --files N     how many files the sweep passes over (150000)
 */
#include "core/object.h"
#include "support/world.h"

#include <stdlib.h>
#include <string.h>

#define HERE     VRIFT_AT_FDCWD
#define FAN      1000u /* files a directory */
#define MIB      ((uint64_t)1 << 20)
#define MOST     192u /* bytes an entry: name, inode and tables */
#define IN_TESTS 150000u

static uint64_t files = IN_TESTS;

/* -- An allocator that counts bytes -------------------------------------------------------------------------------- */

static uint64_t allocated;

struct block {
    _Alignas(16) uint64_t size;
};

static void *VRIFT_CALLBACK count_malloc(size_t size, void *payload)
{
    struct block *block = malloc(sizeof *block + size);
    (void)payload;
    if (!block)
        return NULL;
    block->size = size;
    allocated += size;
    return block + 1;
}

static void VRIFT_CALLBACK count_free(void *pointer, void *payload)
{
    (void)payload;
    if (!pointer)
        return;
    struct block *block = (struct block *)pointer - 1;
    allocated -= block->size;
    free(block);
}

static void *VRIFT_CALLBACK count_realloc(void *pointer, size_t size, void *payload)
{
    void *fresh = count_malloc(size, payload);
    if (fresh && pointer) {
        uint64_t before = ((struct block *)pointer - 1)->size;
        memcpy(fresh, pointer, before < size ? before : size);
        count_free(pointer, payload);
    }
    return fresh;
}

/* -- A backend of numbers: directories d0, d1... in the root, files f0, f1... in each ---------------------------------- */

static void describe(uint64_t number, bool is_dir, struct vrift_stat *out)
{
    memset(out, 0, sizeof *out);
    out->mask = VRIFT_STAT_BASIC | VRIFT_STAT_BTIME | VRIFT_STAT_VERSION;
    out->ino = number;
    out->size = number % 100000;
    out->blocks = (out->size / 4096 + (out->size % 4096 != 0)) * 8;
    out->mode = is_dir ? VRIFT_S_IFDIR | 0755 : VRIFT_S_IFREG | 0644;
    out->nlink = 1;
    out->version = 3;
    out->blksize = 4096;
    out->atime.sec = out->mtime.sec = out->ctime.sec = out->btime.sec = 1700000000 + (int64_t)number;
    out->mtime.nsec = 123456789;
}

static bool is_directory(uint64_t number)
{
    return number < 1000000;
}

static void enter(uint64_t number, struct vrift_entry *out)
{
    memset(out, 0, sizeof *out);
    memcpy(out->node.key.bytes, &number, sizeof number);
    out->node.key.length = sizeof number;
    describe(number, is_directory(number), &out->attr);
}

static int32_t VRIFT_CALLBACK number_root(void *self, struct vrift_entry *out)
{
    (void)self;
    enter(1, out);
    return 0;
}

static int32_t VRIFT_CALLBACK number_walk(void *self, const struct vrift_node *dir, const struct vrift_name *names,
                                          uint32_t count, struct vrift_entry *entries, uint32_t *done)
{
    uint64_t at;
    (void)self;
    memcpy(&at, dir->key.bytes, sizeof at);
    for (*done = 0; *done < count; ++*done) {
        const char *name = names[*done].bytes;
        char kind = at == 1 ? 'd' : 'f';
        if (!is_directory(at))
            return -VRIFT_ENOTDIR;
        if (*name != kind)
            return -VRIFT_ENOENT;
        uint64_t number = strtoull(name + 1, NULL, 10);
        at = at == 1 ? number + 2 : 1000000 + (at - 2) * FAN + number;
        enter(at, &entries[*done]);
    }
    return 0;
}

static int32_t VRIFT_CALLBACK number_getattr(void *self, const struct vrift_node *node, uint64_t mask,
                                             struct vrift_stat *out)
{
    uint64_t number;
    (void)self;
    (void)mask;
    memcpy(&number, node->key.bytes, sizeof number);
    describe(number, is_directory(number), out);
    return 0;
}

static int32_t VRIFT_CALLBACK number_readdir(void *self, const struct vrift_node *dir, uint64_t cookie, uint64_t mask,
                                             vrift_emit_fn emit, void *payload, uint32_t *end)
{
    (void)self, (void)dir, (void)cookie, (void)mask, (void)emit, (void)payload;
    *end = 1;
    return 0;
}

/* -- The tests ----------------------------------------------------------------------------------------------------- */

struct ground {
    vrift_vfs *vfs;
    vrift_task *task;
};

static struct ground stand(uint64_t cache_bytes)
{
    static const struct vrift_allocator counting = {
        .size = sizeof counting, .malloc_fn = count_malloc, .realloc_fn = count_realloc, .free_fn = count_free};
    static const struct vrift_backend_ops ops = {.size = sizeof ops,
                                                 .root = number_root,
                                                 .walk = number_walk,
                                                 .getattr = number_getattr,
                                                 .readdir = number_readdir};
    struct vrift_vfs_options options = {.size = sizeof options, .cache_bytes = cache_bytes, .allocator = &counting};
    struct ground ground;
    vrift_sb *sb;
    vrift_ns *ns;
    check_ok(vrift_vfs_new(&options, &ground.vfs));
    check_ok(vrift_sb_new(ground.vfs, &ops, NULL, &sb));
    check_ok(vrift_ns_new(ground.vfs, sb, 0, &ns));
    check_ok(vrift_task_new(ns, NULL, NULL, &ground.task));
    vrift_sb_unref(sb);
    vrift_ns_unref(ns);
    return ground;
}

static void leave(struct ground *ground)
{
    vrift_task_free(ground->task);
    vrift_vfs_free(ground->vfs);
    assert_int_equal(allocated, 0);
}

static void look(struct ground *ground, uint64_t number, const char *prefix)
{
    struct vrift_stat st;
    char path[64];
    snprintf(path, sizeof path, "/d%llu/%s%llu", (unsigned long long)(number / FAN), prefix,
             (unsigned long long)(number % FAN));
    int32_t result = vrift_statat(ground->task, HERE, path, 0, &st);
    if (*prefix == 'f') {
        check_ok(result);
        assert_int_equal(st.ino, 1000000 + number);
        assert_int_equal(st.mtime.sec, 1700000000 + 1000000 + (int64_t)number);
        assert_int_equal(st.size, (1000000 + number) % 100000);
    } else {
        check_error(-VRIFT_ENOENT, result);
    }
}

static struct vrift_vfs_stats stats_of(struct ground *ground)
{
    struct vrift_vfs_stats stats;
    check_ok(vrift_vfs_stats(ground->vfs, &stats));
    return stats;
}

static void entries_have_the_sizes_that_the_design_promises(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct vr_dentry), 64);
    assert_true(sizeof(struct vr_inode) <= 120);
}

static void a_cached_file_costs_at_most_192_bytes(void **state)
{
    (void)state;
    struct ground ground = stand(1024 * MIB);
    uint64_t before = allocated;
    double worst = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        look(&ground, i, "f");
        if (i < 60000 || i % 100)
            continue;
        double now = (double)(allocated - before) / (double)stats_of(&ground).dentries;
        worst = now > worst ? now : worst;
    }
    uint64_t entries = stats_of(&ground).dentries;
    assert_int_equal(entries, 100100);
    double each = (double)(allocated - before) / (double)entries;
    print_message("# %.1f bytes an entry, %.1f where tables had just grown\n", each, worst);
    assert_true(each <= MOST && worst <= MOST);
    /* What the cache says of itself is what it takes, but for what it has in store. */
    assert_true(stats_of(&ground).cache_bytes <= allocated);
    assert_true((double)stats_of(&ground).cache_bytes > 0.95 * (double)(allocated - before));
    leave(&ground);
}

static void a_sweep_keeps_to_the_budget_and_uses_slots_again(void **state)
{
    (void)state;
    uint64_t budget = files * 64; /* a third of what they would take */
    struct ground ground = stand(budget);
    uint64_t least = UINT64_MAX, most = 0, memory = 0;
    for (uint64_t i = 0; i < 2 * files; i++) {
        look(&ground, i % files, "f");
        if (i < files * 3 / 4 || i % 100)
            continue;
        uint64_t bytes = stats_of(&ground).cache_bytes;
        least = bytes < least ? bytes : least;
        most = bytes > most ? bytes : most;
        if (i == files)
            memory = allocated;
    }
    print_message("# %.1f to %.1f %% of the budget, memory %.1f %%\n", 100.0 * (double)least / (double)budget,
                  100.0 * (double)most / (double)budget, 100.0 * (double)allocated / (double)budget);
    assert_true((double)least > 0.9 * (double)budget && (double)most < 1.1 * (double)budget);
    assert_true((double)allocated < 1.15 * (double)budget + 65536);
    assert_true((double)allocated <= 1.01 * (double)memory + 65536); /* the second round found slots */
    leave(&ground);
}

static void missing_names_take_a_part_of_the_budget_only(void **state)
{
    (void)state;
    uint64_t budget = 4 * MIB;
    struct ground ground = stand(budget);
    for (uint64_t i = 0; i < 8000; i++)
        look(&ground, i, "f");
    uint64_t files_cached = stats_of(&ground).inodes;
    for (uint64_t i = 0; i < 60000; i++) {
        look(&ground, i, "missing-");
        if (i % 100 == 0)
            assert_true(stats_of(&ground).negative * 64 < budget / 3);
    }
    assert_true(stats_of(&ground).inodes >= files_cached); /* they did not drive out what exists */
    assert_true(stats_of(&ground).cache_bytes < budget / 10 * 11);
    /* One directory never has more than a part of them. */
    for (uint64_t i = 0; i < 20000; i++) {
        char path[64];
        struct vrift_stat st;
        snprintf(path, sizeof path, "/d0/no-%u", (unsigned)i);
        check_error(-VRIFT_ENOENT, vrift_statat(ground.task, HERE, path, 0, &st));
    }
    assert_true(stats_of(&ground).cache_bytes < budget / 10 * 11);
    leave(&ground);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2)
        if (strcmp(argv[i], "--files") == 0)
            files = strtoull(argv[i + 1], NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_have_the_sizes_that_the_design_promises),
        cmocka_unit_test(a_cached_file_costs_at_most_192_bytes),
        cmocka_unit_test(a_sweep_keeps_to_the_budget_and_uses_slots_again),
        cmocka_unit_test(missing_names_take_a_part_of_the_budget_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
