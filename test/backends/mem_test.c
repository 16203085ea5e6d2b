/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The memory backend through its own slots, without the core above it. */
#include "backends/mem/mem.h"
#include "support/check.h"

#include <stdlib.h>
#include <string.h>

static const struct vrift_backend_ops *const ops = &vr_memfs_ops;

struct world {
    struct vr_memfs *fs;
    struct vrift_entry root;
};

static void make_world(struct world *world, uint64_t max_bytes, uint64_t max_inodes)
{
    struct vrift_mem_options options = {.size = sizeof options, .max_bytes = max_bytes, .max_inodes = max_inodes};
    check_ok(vr_memfs_new(NULL, &options, &world->fs));
    check_ok(ops->root(world->fs, &world->root));
}

static void free_world(struct world *world)
{
    ops->forget(world->fs, &world->root.node);
    ops->destroy(world->fs);
}

static struct vrift_name name_of(const char *text)
{
    return (struct vrift_name){.bytes = text, .length = (uint32_t)strlen(text)};
}

static int32_t make_in(struct world *world, const struct vrift_node *dir, const char *text, uint32_t mode,
                       struct vrift_entry *out)
{
    struct vrift_name name = name_of(text);
    struct vrift_create how = {.size = sizeof how, .mode = mode};
    return ops->create(world->fs, dir, &name, &how, out);
}

static int32_t make(struct world *world, const char *text, uint32_t mode, struct vrift_entry *out)
{
    return make_in(world, &world->root.node, text, mode, out);
}

static int32_t move(struct world *world, const char *from, const struct vrift_entry *node, const char *to,
                    const struct vrift_entry *victim, uint64_t flags)
{
    struct vrift_name old_name = name_of(from);
    struct vrift_name new_name = name_of(to);
    return ops->rename(world->fs, &world->root.node, &old_name, &node->node, &world->root.node, &new_name,
                       victim ? &victim->node : NULL, flags);
}

static int32_t lookup(struct world *world, const char *text, struct vrift_entry *out)
{
    struct vrift_name name = name_of(text);
    uint32_t done;
    return ops->walk(world->fs, &world->root.node, &name, 1, out, &done);
}

static int32_t remove_name(struct world *world, const char *text, const struct vrift_entry *node, uint64_t flags)
{
    struct vrift_name name = name_of(text);
    return ops->unlink(world->fs, &world->root.node, &name, &node->node, flags);
}

static void forget(struct world *world, const struct vrift_entry *entry)
{
    ops->forget(world->fs, &entry->node);
}

static uint64_t attribute(struct world *world, const struct vrift_entry *entry, char which)
{
    struct vrift_stat attr;
    check_ok(ops->getattr(world->fs, &entry->node, VRIFT_STAT_BASIC, &attr));
    return which == 'n' ? attr.nlink : which == 's' ? attr.size : attr.blocks;
}

static int64_t put(struct world *world, const struct vrift_entry *entry, const void *buf, size_t len, uint64_t offset)
{
    uint64_t end;
    return ops->pwrite(world->fs, &entry->node, NULL, buf, len, offset, 0, &end);
}

static int32_t resize(struct world *world, const struct vrift_entry *entry, uint64_t length)
{
    struct vrift_setattr set = {.size = sizeof set, .mask = VRIFT_SET_SIZE, .length = length};
    struct vrift_stat after;
    return ops->setattr(world->fs, &entry->node, NULL, &set, &after);
}

/* -- Data --------------------------------------------------------------------------------------------------------- */

#define MODEL_SIZE (300u * 1024)

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void random_writes_and_truncates_match_a_flat_model(void **state)
{
    struct world world;
    struct vrift_entry file;
    uint8_t *model = calloc(1, MODEL_SIZE);
    uint8_t *got = malloc(MODEL_SIZE);
    uint8_t *chunk = malloc(MODEL_SIZE);
    uint64_t size = 0;
    uint32_t random = 12345;
    (void)state;
    assert_non_null(model);
    assert_non_null(got);
    assert_non_null(chunk);
    make_world(&world, 0, 0);
    check_ok(make(&world, "f", VRIFT_S_IFREG | 0644, &file));
    for (int round = 0; round < 3000; round++) {
        uint32_t offset = next_random(&random) % MODEL_SIZE;
        uint32_t length = next_random(&random) % (round % 3 ? 100 : 20000);
        if (length > MODEL_SIZE - offset)
            length = MODEL_SIZE - offset;
        if (next_random(&random) % 5 == 0) {
            check_ok(resize(&world, &file, offset));
            if (offset < size)
                memset(model + offset, 0, (size_t)size - offset);
            size = offset;
        } else {
            memset(chunk, round + 1, length);
            assert_int_equal(put(&world, &file, chunk, length, offset), length);
            memset(model + offset, (uint8_t)(round + 1), length);
            if (length && offset + length > size)
                size = offset + length;
        }
        assert_int_equal(attribute(&world, &file, 's'), size);
        memset(got, 0xee, MODEL_SIZE);
        assert_int_equal(ops->pread(world.fs, &file.node, NULL, got, MODEL_SIZE, 0), size);
        assert_memory_equal(got, model, size);
    }
    check_ok(resize(&world, &file, 0));
    assert_int_equal(attribute(&world, &file, 'b'), 0);
    assert_int_equal(world.fs->pool.pages, 0);
    forget(&world, &file);
    free_world(&world);
    free(model);
    free(got);
    free(chunk);
}

static void a_sparse_file_of_five_gigabytes_costs_nothing(void **state)
{
    struct world world;
    struct vrift_entry file;
    char byte = 0;
    (void)state;
    make_world(&world, 0, 0);
    check_ok(make(&world, "f", VRIFT_S_IFREG | 0644, &file));
    check_ok(resize(&world, &file, 5ULL << 30));
    assert_int_equal(attribute(&world, &file, 'b'), 0);
    assert_int_equal(put(&world, &file, "x", 1, (5ULL << 30) - 1), 1);
    assert_int_equal(attribute(&world, &file, 'b'), 8);
    assert_int_equal(ops->pread(world.fs, &file.node, NULL, &byte, 1, (5ULL << 30) - 1), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(ops->pread(world.fs, &file.node, NULL, &byte, 1, 12345), 1);
    assert_int_equal(byte, 0);
    forget(&world, &file);
    free_world(&world);
}

static void data_and_holes_are_found(void **state)
{
    struct world world;
    struct vrift_entry file;
    (void)state;
    make_world(&world, 0, 0);
    check_ok(make(&world, "f", VRIFT_S_IFREG | 0644, &file));
    assert_int_equal(ops->seek(world.fs, &file.node, NULL, 0, VRIFT_SEEK_HOLE), -VRIFT_ENXIO);
    assert_int_equal(put(&world, &file, "x", 1, 1 << 20), 1);
    assert_int_equal(put(&world, &file, "x", 1, 3 << 20), 1);
    check_ok(resize(&world, &file, 4 << 20));
    assert_int_equal(ops->seek(world.fs, &file.node, NULL, 0, VRIFT_SEEK_DATA), 1 << 20);
    assert_int_equal(ops->seek(world.fs, &file.node, NULL, (1 << 20) + 5, VRIFT_SEEK_DATA), (1 << 20) + 5);
    assert_int_equal(ops->seek(world.fs, &file.node, NULL, (1 << 20) + 5, VRIFT_SEEK_HOLE), (1 << 20) + 4096);
    assert_int_equal(ops->seek(world.fs, &file.node, NULL, (1 << 20) + 4096, VRIFT_SEEK_DATA), 3 << 20);
    assert_int_equal(ops->seek(world.fs, &file.node, NULL, (3 << 20) + 4096, VRIFT_SEEK_DATA), -VRIFT_ENXIO);
    assert_int_equal(ops->seek(world.fs, &file.node, NULL, (3 << 20) + 4096, VRIFT_SEEK_HOLE), (3 << 20) + 4096);
    assert_int_equal(ops->seek(world.fs, &file.node, NULL, 4 << 20, VRIFT_SEEK_HOLE), -VRIFT_ENXIO);
    forget(&world, &file);
    free_world(&world);
}

static void the_last_byte_of_the_largest_file_can_be_written(void **state)
{
    struct world world;
    struct vrift_entry file;
    char byte = 0;
    (void)state;
    make_world(&world, 0, 0);
    check_ok(make(&world, "f", VRIFT_S_IFREG | 0644, &file));
    assert_int_equal(put(&world, &file, "xy", 2, VR_MEM_FILE_MAX - 1), 1);
    assert_int_equal(put(&world, &file, "y", 1, VR_MEM_FILE_MAX), -VRIFT_EFBIG);
    assert_int_equal(ops->pread(world.fs, &file.node, NULL, &byte, 1, VR_MEM_FILE_MAX - 1), 1);
    assert_int_equal(byte, 'x');
    assert_int_equal(attribute(&world, &file, 's'), VR_MEM_FILE_MAX);
    forget(&world, &file);
    free_world(&world);
}

static void the_limit_of_bytes_gives_a_short_write_then_enospc(void **state)
{
    struct world world;
    struct vrift_entry file;
    char buf[3 * 4096] = {1};
    (void)state;
    make_world(&world, 2 * 4096, 0);
    check_ok(make(&world, "f", VRIFT_S_IFREG | 0644, &file));
    assert_int_equal(put(&world, &file, buf, sizeof buf, 0), 2 * 4096);
    assert_int_equal(put(&world, &file, buf, 1, 2 * 4096), -VRIFT_ENOSPC);
    assert_int_equal(put(&world, &file, buf, 100, 10), 100);
    check_ok(resize(&world, &file, 4096));
    assert_int_equal(put(&world, &file, buf, 1, 50 * 4096), 1);
    forget(&world, &file);
    free_world(&world);
}

static void the_limit_of_inodes_gives_enospc_until_one_goes(void **state)
{
    struct world world;
    struct vrift_entry a, b;
    (void)state;
    make_world(&world, 0, 2);
    check_ok(make(&world, "a", VRIFT_S_IFREG | 0644, &a));
    assert_int_equal(make(&world, "b", VRIFT_S_IFREG | 0644, &b), -VRIFT_ENOSPC);
    check_ok(remove_name(&world, "a", &a, 0));
    assert_int_equal(make(&world, "b", VRIFT_S_IFREG | 0644, &b), -VRIFT_ENOSPC);
    forget(&world, &a);
    check_ok(make(&world, "b", VRIFT_S_IFREG | 0644, &b));
    forget(&world, &b);
    free_world(&world);
}

/* -- Names -------------------------------------------------------------------------------------------------------- */

struct scan {
    unsigned seen[4000];
    uint64_t cookie;
    unsigned budget;
};

static int32_t VRIFT_CALLBACK note(const struct vrift_dir_entry *entry, void *payload)
{
    struct scan *scan = payload;
    if (scan->budget == 0)
        return 1;
    scan->budget--;
    assert_true(entry->cookie > scan->cookie);
    scan->cookie = entry->cookie;
    if (entry->name[0] == 'e')
        scan->seen[atoi(entry->name + 1)]++;
    return 0;
}

static void an_entry_that_stays_is_reported_once_whatever_comes_and_goes(void **state)
{
    struct world world;
    static struct vrift_entry entries[4000];
    struct scan *scan = calloc(1, sizeof *scan);
    char text[32], other[32];
    uint32_t end = 0;
    (void)state;
    assert_non_null(scan);
    make_world(&world, 0, 0);
    for (int i = 0; i < 4000; i++) {
        snprintf(text, sizeof text, "e%d", i);
        check_ok(make(&world, text, VRIFT_S_IFREG | 0644, &entries[i]));
    }
    /* Even ones stay; 4n+1 go during the scan; 4n+3 are moved to other names; even ones are replaced now and then. */
    for (int step = 0; !end; step++) {
        scan->budget = 7;
        check_ok(ops->readdir(world.fs, &world.root.node, scan->cookie, 0, note, scan, &end));
        for (int k = 0; k < 4; k++) {
            int i = (step * 4 + k) * 1201 % 4000;
            snprintf(text, sizeof text, "e%d", i);
            struct vrift_entry extra;
            if (i % 4 == 1 && !remove_name(&world, text, &entries[i], 0)) {
                snprintf(other, sizeof other, "new%d", step);
                if (!make(&world, other, VRIFT_S_IFREG | 0644, &extra))
                    forget(&world, &extra);
            } else if (i % 4 == 3) {
                int target = i - 1;
                snprintf(other, sizeof other, "e%d", target);
                if (!move(&world, text, &entries[i], other, NULL, 0)) {
                    forget(&world, &entries[target]);
                    check_ok(lookup(&world, other, &entries[target]));
                }
            }
        }
    }
    for (int i = 0; i < 4000; i += 2)
        assert_int_equal(scan->seen[i], 1);
    for (int i = 1; i < 4000; i += 2)
        assert_in_range(scan->seen[i], 0, 1);
    for (int i = 0; i < 4000; i++)
        forget(&world, &entries[i]);
    free_world(&world);
    free(scan);
}

static void link_counts_of_directories_follow_renames(void **state)
{
    struct world world;
    struct vrift_entry a, b, c, f;
    struct vrift_name name = name_of("c");
    struct vrift_name f_name = name_of("f");
    (void)state;
    make_world(&world, 0, 0);
    check_ok(make(&world, "a", VRIFT_S_IFDIR | 0755, &a));
    check_ok(make(&world, "b", VRIFT_S_IFDIR | 0755, &b));
    check_ok(make_in(&world, &a.node, "c", VRIFT_S_IFDIR | 0755, &c));
    check_ok(make_in(&world, &b.node, "f", VRIFT_S_IFREG | 0755, &f));
    assert_int_equal(attribute(&world, &world.root, 'n'), 4);
    assert_int_equal(attribute(&world, &a, 'n'), 3);
    check_ok(ops->rename(world.fs, &a.node, &name, &c.node, &b.node, &name, NULL, 0));
    assert_int_equal(attribute(&world, &a, 'n'), 2);
    assert_int_equal(attribute(&world, &b, 'n'), 3);
    assert_int_equal(move(&world, "a", &a, "b", &b, 0), -VRIFT_ENOTEMPTY);
    check_ok(ops->rename(world.fs, &b.node, &name, &c.node, &world.root.node, &f_name, NULL, 0));
    check_ok(
        ops->rename(world.fs, &b.node, &f_name, &f.node, &world.root.node, &f_name, &c.node, VRIFT_RENAME_EXCHANGE));
    assert_int_equal(attribute(&world, &b, 'n'), 3);
    assert_int_equal(attribute(&world, &world.root, 'n'), 4);
    check_ok(ops->unlink(world.fs, &b.node, &f_name, &c.node, VRIFT_AT_REMOVEDIR));
    assert_int_equal(attribute(&world, &c, 'n'), 0);
    check_ok(move(&world, "a", &a, "b", &b, 0));
    assert_int_equal(attribute(&world, &world.root, 'n'), 3);
    assert_int_equal(attribute(&world, &b, 'n'), 0);
    assert_int_equal(make_in(&world, &b.node, "x", VRIFT_S_IFREG, &f), -VRIFT_ENOENT);
    forget(&world, &a);
    forget(&world, &b);
    forget(&world, &c);
    forget(&world, &f);
    free_world(&world);
}

static void a_whiteout_takes_the_place_of_what_moved(void **state)
{
    struct world world;
    struct vrift_entry f, white;
    (void)state;
    make_world(&world, 0, 0);
    check_ok(make(&world, "f", VRIFT_S_IFREG | 0644, &f));
    check_ok(move(&world, "f", &f, "g", NULL, VRIFT_RENAME_WHITEOUT));
    check_ok(lookup(&world, "f", &white));
    assert_int_equal(white.attr.mode & VRIFT_S_IFMT, VRIFT_S_IFCHR);
    assert_int_equal(white.attr.rdev, 0);
    assert_int_equal(white.attr.nlink, 1);
    assert_int_equal(attribute(&world, &world.root, 's'), 4 * VR_MEM_DIRENT);
    forget(&world, &white);
    forget(&world, &f);
    free_world(&world);
}

static void an_inode_lives_until_it_is_forgotten(void **state)
{
    struct world world;
    struct vrift_entry f;
    void *file = NULL;
    char buf[8];
    (void)state;
    make_world(&world, 0, 0);
    check_ok(make(&world, "f", VRIFT_S_IFREG | 0644, &f));
    check_ok(ops->open(world.fs, &f.node, VRIFT_O_RDWR, &file));
    assert_int_equal(put(&world, &f, "hello", 5, 0), 5);
    check_ok(remove_name(&world, "f", &f, 0));
    assert_int_equal(attribute(&world, &f, 'n'), 0);
    assert_int_equal(ops->pread(world.fs, &f.node, file, buf, sizeof buf, 0), 5);
    assert_memory_equal(buf, "hello", 5);
    struct vrift_name name = name_of("g");
    struct vrift_stat after;
    check_error(-VRIFT_ENOENT, ops->link(world.fs, &f.node, &world.root.node, &name, &after));
    assert_int_equal(world.fs->inodes, 2);
    check_ok(ops->release(world.fs, &f.node, file));
    forget(&world, &f);
    assert_int_equal(world.fs->inodes, 1);
    free_world(&world);
}

static void a_nameless_file_gets_one_name_unless_forbidden(void **state)
{
    struct world world;
    struct vrift_entry f;
    struct vrift_name name = name_of("g");
    struct vrift_stat after;
    struct vrift_create how = {.size = sizeof how, .mode = VRIFT_S_IFREG | 0600, .flags = VRIFT_CREATE_TMPFILE};
    (void)state;
    make_world(&world, 0, 0);
    check_ok(ops->create(world.fs, &world.root.node, NULL, &how, &f));
    assert_int_equal(f.attr.nlink, 0);
    check_ok(ops->link(world.fs, &f.node, &world.root.node, &name, &after));
    assert_int_equal(after.nlink, 1);
    forget(&world, &f);
    how.flags |= VRIFT_CREATE_UNLINKABLE;
    check_ok(ops->create(world.fs, &world.root.node, NULL, &how, &f));
    name = name_of("h");
    check_error(-VRIFT_ENOENT, ops->link(world.fs, &f.node, &world.root.node, &name, &after));
    forget(&world, &f);
    free_world(&world);
}

static void a_walk_resolves_as_far_as_it_can(void **state)
{
    struct world world;
    struct vrift_entry a, b, got[3];
    struct vrift_name names[3] = {name_of("a"), name_of("b"), name_of("c")};
    uint32_t done = 99;
    (void)state;
    make_world(&world, 0, 0);
    check_ok(make(&world, "a", VRIFT_S_IFDIR | 0755, &a));
    check_error(-VRIFT_ENOENT, ops->walk(world.fs, &world.root.node, names, 3, got, &done));
    assert_int_equal(done, 1);
    forget(&world, &got[0]);
    check_ok(make_in(&world, &a.node, "b", VRIFT_S_IFREG | 0644, &b));
    check_ok(ops->walk(world.fs, &world.root.node, names, 3, got, &done));
    assert_int_equal(done, 2);
    assert_memory_equal(&got[1].node, &b.node, sizeof b.node);
    forget(&world, &got[0]);
    forget(&world, &got[1]);
    forget(&world, &a);
    forget(&world, &b);
    free_world(&world);
}

/* -- Memory runs out ---------------------------------------------------------------------------------------------- */

struct meter {
    int64_t left; /* allocations that still work */
    int64_t live;
};

static void *VRIFT_CALLBACK metered_malloc(size_t size, void *payload)
{
    struct meter *meter = payload;
    if (meter->left-- <= 0)
        return NULL;
    meter->live++;
    return malloc(size);
}

static void *VRIFT_CALLBACK metered_realloc(void *pointer, size_t size, void *payload)
{
    struct meter *meter = payload;
    if (meter->left-- <= 0)
        return NULL;
    meter->live += !pointer;
    return realloc(pointer, size);
}

static void VRIFT_CALLBACK metered_free(void *pointer, void *payload)
{
    struct meter *meter = payload;
    meter->live -= pointer != NULL;
    free(pointer);
}

static int32_t exercise(struct vr_memfs *fs)
{
    struct vrift_entry root, dir, file;
    struct vrift_name d = name_of("d"), f = name_of("f"), g = name_of("g");
    struct vrift_create how = {.size = sizeof how, .mode = VRIFT_S_IFDIR | 0755};
    struct vrift_stat after;
    uint64_t end;
    int32_t error = ops->root(fs, &root);
    if (error)
        return error;
    error = ops->create(fs, &root.node, &d, &how, &dir);
    if (error)
        goto out_root;
    how.mode = VRIFT_S_IFREG | 0644;
    error = ops->create(fs, &dir.node, &f, &how, &file);
    if (error)
        goto out_dir;
    int64_t written = ops->pwrite(fs, &file.node, NULL, "hello", 5, 123456789, 0, &end);
    error = written < 0 ? (int32_t)written : ops->link(fs, &file.node, &root.node, &g, &after);
    if (!error)
        error = ops->setxattr(fs, &file.node, "user.a", "1", 1, 0);
    if (!error)
        error = ops->rename(fs, &dir.node, &f, &file.node, &root.node, &f, NULL, VRIFT_RENAME_WHITEOUT);
    ops->forget(fs, &file.node);
out_dir:
    ops->forget(fs, &dir.node);
out_root:
    ops->forget(fs, &root.node);
    return error;
}

static void every_failed_allocation_answers_enomem_and_leaks_nothing(void **state)
{
    struct meter meter = {0, 0};
    struct vrift_allocator allocator = {sizeof allocator, 0, &meter, metered_malloc, metered_realloc, metered_free};
    int finished = 0;
    (void)state;
    for (int64_t budget = 0; !finished; budget++) {
        struct vrift_mem_options options = {.size = sizeof options};
        struct vr_memfs *fs;
        meter.left = budget;
        int32_t error = vr_memfs_new(&allocator, &options, &fs);
        if (!error) {
            error = exercise(fs);
            ops->destroy(fs);
        }
        assert_int_equal(meter.live, 0);
        finished = error == 0;
        if (error)
            assert_int_equal(error, -VRIFT_ENOMEM);
        assert_true(budget < 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_writes_and_truncates_match_a_flat_model),
        cmocka_unit_test(a_sparse_file_of_five_gigabytes_costs_nothing),
        cmocka_unit_test(data_and_holes_are_found),
        cmocka_unit_test(the_last_byte_of_the_largest_file_can_be_written),
        cmocka_unit_test(the_limit_of_bytes_gives_a_short_write_then_enospc),
        cmocka_unit_test(the_limit_of_inodes_gives_enospc_until_one_goes),
        cmocka_unit_test(an_entry_that_stays_is_reported_once_whatever_comes_and_goes),
        cmocka_unit_test(link_counts_of_directories_follow_renames),
        cmocka_unit_test(a_whiteout_takes_the_place_of_what_moved),
        cmocka_unit_test(an_inode_lives_until_it_is_forgotten),
        cmocka_unit_test(a_nameless_file_gets_one_name_unless_forbidden),
        cmocka_unit_test(a_walk_resolves_as_far_as_it_can),
        cmocka_unit_test(every_failed_allocation_answers_enomem_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
