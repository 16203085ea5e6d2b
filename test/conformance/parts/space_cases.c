/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The space of files, copies and mappings. What a backend lacks must answer the error that it declares. */
#include "conformance/conformance.h"

#define PAGE       4096
#define READ_WRITE (VRIFT_PROT_READ | VRIFT_PROT_WRITE)
#define PUNCH      (VRIFT_FALLOC_PUNCH_HOLE | VRIFT_FALLOC_KEEP_SIZE)

static int32_t letters(struct world *world, const char *path, char letter, size_t length)
{
    char *bytes = malloc(length);
    int32_t fd = open_file(world->task, path, VRIFT_O_RDWR | VRIFT_O_CREAT | VRIFT_O_TRUNC);
    assert_non_null(bytes);
    memset(bytes, letter, length);
    assert_int_equal(vrift_write(world->task, fd, bytes, length), length);
    free(bytes);
    return fd;
}

static char byte_at(struct world *world, int32_t fd, uint64_t offset)
{
    char byte = '?';
    assert_int_equal(vrift_pread(world->task, fd, &byte, 1, offset), 1);
    return byte;
}

/* -- Space --------------------------------------------------------------------------------------------------------- */

static void punching_a_hole_zeroes_and_keeps_the_size(struct world *world)
{
    int32_t fd = letters(world, "/f", 'a', 300000);
    int32_t result = vrift_fallocate(world->task, fd, PUNCH, 5000, 200000);
    if (!lacks(world, VRIFT_CAPABILITY_SPARSE_FILES, result)) {
        check_ok(result);
        assert_int_equal(byte_at(world, fd, 4999), 'a');
        assert_int_equal(byte_at(world, fd, 5000), 0);
        assert_int_equal(byte_at(world, fd, 204999), 0);
        assert_int_equal(byte_at(world, fd, 205000), 'a');
        int64_t hole = check_ok(vrift_lseek(world->task, fd, 0, VRIFT_SEEK_HOLE));
        assert_in_range(hole, 4999, 100000);
    }
    assert_int_equal(stat_of(world->task, "/f").size, 300000);
    check_ok(vrift_close(world->task, fd));
}

static void allocating_makes_the_file_longer_unless_it_keeps_its_size(struct world *world)
{
    int32_t fd = letters(world, "/f", 'a', 10);
    struct vrift_stat old = stat_of(world->task, "/f");
    let_the_clock_tick();
    check_ok(vrift_fallocate(world->task, fd, VRIFT_FALLOC_KEEP_SIZE, 0, 100000));
    assert_int_equal(stat_of(world->task, "/f").size, 10);
    assert_true(stat_of(world->task, "/f").blocks >= 100000 / 512);
    check_ok(vrift_fallocate(world->task, fd, 0, 0, 100000));
    struct vrift_stat new = stat_of(world->task, "/f");
    assert_int_equal(new.size, 100000);
    assert_true(before(old.mtime, new.mtime));
    assert_int_equal(byte_at(world, fd, 9), 'a');
    assert_int_equal(byte_at(world, fd, 99999), 0);
    check_ok(vrift_close(world->task, fd));
}

static void space_is_changed_only_through_a_descriptor_for_writing(struct world *world)
{
    check_ok(vrift_close(world->task, letters(world, "/f", 'a', 10)));
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDONLY);
    check_error(-VRIFT_EBADF, vrift_fallocate(world->task, fd, 0, 0, 1));
    check_error(-VRIFT_EINVAL, vrift_fallocate(world->task, fd, 0, 0, 0));
    check_error(-VRIFT_EOPNOTSUPP, vrift_fallocate(world->task, fd, VRIFT_FALLOC_PUNCH_HOLE, 0, 1));
    check_ok(vrift_close(world->task, fd));
}

/* What is not there says so, and what is there does it. */
static void taking_out_and_inserting_move_what_follows(struct world *world)
{
    int32_t fd = letters(world, "/f", 'a', 5 * PAGE);
    assert_int_equal(vrift_pwrite(world->task, fd, "b", 1, 4 * PAGE), 1);
    int32_t result = vrift_fallocate(world->task, fd, VRIFT_FALLOC_COLLAPSE_RANGE, PAGE, 2 * PAGE);
    if (result == -VRIFT_EOPNOTSUPP) {
        check_error(-VRIFT_EOPNOTSUPP, vrift_fallocate(world->task, fd, VRIFT_FALLOC_INSERT_RANGE, PAGE, PAGE));
        assert_int_equal(stat_of(world->task, "/f").size, 5 * PAGE);
    } else {
        check_ok(result);
        assert_int_equal(stat_of(world->task, "/f").size, 3 * PAGE);
        assert_int_equal(byte_at(world, fd, 2 * PAGE), 'b');
        check_ok(vrift_fallocate(world->task, fd, VRIFT_FALLOC_INSERT_RANGE, PAGE, PAGE));
        assert_int_equal(byte_at(world, fd, PAGE), 0);
        assert_int_equal(byte_at(world, fd, 3 * PAGE), 'b');
    }
    check_ok(vrift_close(world->task, fd));
}

/* -- Copies -------------------------------------------------------------------------------------------------------- */

static void blocks_are_shared_or_the_declared_error_is_answered(struct world *world)
{
    int32_t fd = letters(world, "/f", 'a', 65536), to = letters(world, "/g", 'b', 1);
    int64_t from = 0, at = 0;
    int64_t result = vrift_copy_file_range(world->task, fd, &from, to, &at, 65536, VRIFT_COPY_CLONE);
    if (lacks(world, VRIFT_CAPABILITY_CLONE, result)) {
        assert_int_equal(stat_of(world->task, "/g").size, 1);
        assert_int_equal(byte_at(world, to, 0), 'b');
        assert_int_equal(from, 0);
    } else {
        assert_int_equal(result, 65536);
        assert_int_equal(vrift_pwrite(world->task, to, "c", 1, 0), 1);
        assert_int_equal(byte_at(world, fd, 0), 'a');
        assert_int_equal(byte_at(world, to, 65535), 'a');
    }
    check_ok(vrift_close(world->task, fd));
    check_ok(vrift_close(world->task, to));
}

static void bytes_are_copied_whole(struct world *world)
{
    int32_t fd = letters(world, "/f", 'a', 200000), to = letters(world, "/g", 'b', 10);
    int64_t from = 1000, at = 5, copied = 0;
    assert_int_equal(vrift_pwrite(world->task, fd, "xyz", 3, 150000), 3);
    while (at < 5 + 199000)
        copied += check_ok(vrift_copy_file_range(world->task, fd, &from, to, &at, 300000, 0));
    assert_int_equal(copied, 199000);
    assert_int_equal(from, 200000);
    assert_int_equal(vrift_copy_file_range(world->task, fd, &from, to, &at, 1, 0), 0);
    assert_int_equal(stat_of(world->task, "/g").size, 199005);
    assert_int_equal(byte_at(world, to, 4), 'b');
    assert_int_equal(byte_at(world, to, 5), 'a');
    assert_int_equal(byte_at(world, to, 149006), 'y');
    from = 149999;
    check_ok(vrift_lseek(world->task, to, 0, VRIFT_SEEK_SET));
    assert_int_equal(vrift_sendfile(world->task, to, fd, &from, 5), 5);
    assert_int_equal(byte_at(world, to, 0), 'a');
    assert_int_equal(byte_at(world, to, 3), 'z');
    check_ok(vrift_close(world->task, fd));
    check_ok(vrift_close(world->task, to));
}

/* -- Mappings ------------------------------------------------------------------------------------------------------ */

static void stores_and_writes_see_each_other(struct world *world)
{
    vrift_mapping *mapping;
    int32_t fd = letters(world, "/f", 'a', 3 * PAGE);
    struct vrift_stat old = stat_of(world->task, "/f");
    int32_t result = vrift_map(world->task, fd, PAGE, 2 * PAGE, READ_WRITE, VRIFT_MAP_SHARED, &mapping);
    if (lacks(world, VRIFT_CAPABILITY_MMAP, result)) {
        check_ok(vrift_close(world->task, fd));
        return;
    }
    check_ok(result);
    char *bytes = vrift_map_address(mapping);
    assert_int_equal(vrift_map_length(mapping), 2 * PAGE);
    let_the_clock_tick();
    assert_int_equal(vrift_pwrite(world->task, fd, "b", 1, PAGE), 1);
    assert_memory_equal(bytes, "ba", 2);
    bytes[PAGE] = 'c';
    assert_int_equal(byte_at(world, fd, 2 * PAGE), 'c');
    check_ok(vrift_map_sync(mapping, 0, 2 * PAGE, VRIFT_MS_SYNC));
    assert_true(before(old.mtime, stat_of(world->task, "/f").mtime));
    check_ok(vrift_close(world->task, fd));
    check_ok(vrift_unlinkat(world->task, AT, "/f", 0));
    bytes[1] = 'd';
    assert_memory_equal(bytes, "bda", 3);
    vrift_map_free(mapping);
}

const struct test_case space_cases[] = {
    {"punching_a_hole_zeroes_and_keeps_the_size", punching_a_hole_zeroes_and_keeps_the_size},
    {"allocating_makes_the_file_longer_unless_it_keeps_its_size",
     allocating_makes_the_file_longer_unless_it_keeps_its_size},
    {"space_is_changed_only_through_a_descriptor_for_writing", space_is_changed_only_through_a_descriptor_for_writing},
    {"taking_out_and_inserting_move_what_follows", taking_out_and_inserting_move_what_follows},
    {"blocks_are_shared_or_the_declared_error_is_answered", blocks_are_shared_or_the_declared_error_is_answered},
    {"bytes_are_copied_whole", bytes_are_copied_whole},
    {"stores_and_writes_see_each_other", stores_and_writes_see_each_other},
    {NULL, NULL},
};

/* -- What is there already ------------------------------------------------------------------------------------------ */

static void what_is_mapped_is_what_is_read(struct world *world)
{
    static const char *const names[] = {"/hello", "/exec", "/old", "/dir/sub/file", "/sparse", "/hard1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        uint64_t size = stat_of(world->task, names[i]).size;
        for (uint64_t flags = VRIFT_MAP_SHARED; flags <= VRIFT_MAP_PRIVATE; flags++) {
            vrift_mapping *mapping;
            int32_t fd = open_file(world->task, names[i], VRIFT_O_RDONLY);
            int32_t result = vrift_map(world->task, fd, 0, size, VRIFT_PROT_READ, flags, &mapping);
            if (lacks(world, VRIFT_CAPABILITY_MMAP, result)) {
                check_ok(vrift_close(world->task, fd));
                continue;
            }
            check_ok_at(result, names[i], __FILE__, __LINE__);
            char *bytes = malloc((size_t)size);
            assert_non_null(bytes);
            assert_int_equal(vrift_read(world->task, fd, bytes, (size_t)size), size);
            check_ok(vrift_close(world->task, fd));
            assert_memory_equal(vrift_map_address(mapping), bytes, (size_t)size);
            free(bytes);
            const char *map = vrift_map_address(mapping);
            for (uint64_t at = size; at < vrift_map_length(mapping); at++)
                assert_int_equal(map[at], 0);
            vrift_map_free(mapping);
        }
    }
}

static void a_part_can_be_mapped_and_changed_privately(struct world *world)
{
    vrift_mapping *mapping;
    int32_t fd = open_file(world->task, "/sparse", VRIFT_O_RDONLY);
    int32_t result = vrift_map(world->task, fd, SPARSE_FIRST, 5, READ_WRITE, VRIFT_MAP_PRIVATE, &mapping);
    if (!lacks(world, VRIFT_CAPABILITY_MMAP, result)) {
        check_ok(result);
        char *bytes = vrift_map_address(mapping);
        assert_memory_equal(bytes, "first", 6);
        bytes[0] = 'F';
        assert_int_equal(byte_at(world, fd, SPARSE_FIRST), 'f');
        vrift_map_free(mapping);
        check_error(-VRIFT_EACCES, vrift_map(world->task, fd, 0, 5, READ_WRITE, VRIFT_MAP_SHARED, &mapping));
    }
    check_ok(vrift_close(world->task, fd));
}

static void what_is_no_file_is_not_mapped(struct world *world)
{
    vrift_mapping *mapping;
    int32_t fd = open_file(world->task, "/dir", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    check_error(-VRIFT_ENODEV, vrift_map(world->task, fd, 0, PAGE, VRIFT_PROT_READ, VRIFT_MAP_SHARED, &mapping));
    check_ok(vrift_close(world->task, fd));
}

const struct test_case mapped_cases[] = {
    {"what_is_mapped_is_what_is_read", what_is_mapped_is_what_is_read},
    {"a_part_can_be_mapped_and_changed_privately", a_part_can_be_mapped_and_changed_privately},
    {"what_is_no_file_is_not_mapped", what_is_no_file_is_not_mapped},
    {NULL, NULL},
};
