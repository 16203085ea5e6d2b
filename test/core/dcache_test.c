/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the cache answers without asking a backend, what it must ask, and how it keeps its budget. */
#include "support/world.h"

#include "backends/mem/mem.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HERE VRIFT_AT_FDCWD

static int setup(void **state)
{
    *state = world_new(NULL);
    return 0;
}

static int teardown(void **state)
{
    world_free(*state);
    return 0;
}

static struct vrift_vfs_stats stats_of(struct world *w)
{
    struct vrift_vfs_stats stats;
    check_ok(vrift_vfs_stats(w->vfs, &stats));
    return stats;
}

/* How many slots a stat of path calls; the answer must be `wanted`. */
static uint64_t calls_of_stat(struct world *w, const char *path, int32_t wanted)
{
    struct vrift_stat st;
    uint64_t before = world_backend_calls(w);
    check_error(wanted, vrift_statat(w->task, HERE, path, 0, &st));
    return world_backend_calls(w) - before;
}

static void a_name_once_seen_costs_no_backend_call(void **state)
{
    struct world *w = *state;
    check_ok(vrift_mkdirat(w->task, HERE, "/a", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/a/b", 0755));
    world_file(w, "/a/b/f", "x");
    check_ok(vrift_vfs_drop_caches(w->vfs));
    assert_int_equal(calls_of_stat(w, "/a/b/f", 0), 1); /* one call for all three components */
    assert_int_equal(calls_of_stat(w, "/a/b/f", 0), 0);
    assert_int_equal(calls_of_stat(w, "/a/./b/../b/f", 0), 0);
}

static void a_missing_name_is_asked_for_once(void **state)
{
    struct world *w = *state;
    check_ok(vrift_mkdirat(w->task, HERE, "/a", 0755));
    world_file(w, "/a/other", "x");
    check_ok(vrift_vfs_drop_caches(w->vfs));
    assert_int_equal(calls_of_stat(w, "/a/missing", -VRIFT_ENOENT), 1);
    assert_int_equal(calls_of_stat(w, "/a/missing", -VRIFT_ENOENT), 0);
    assert_int_equal(stats_of(w).negative, 1);
    world_file(w, "/a/missing", "now there");
    assert_int_equal(calls_of_stat(w, "/a/missing", 0), 1); /* its attributes, which the write changed */
    check_ok(vrift_unlinkat(w->task, HERE, "/a/missing", 0));
    assert_int_equal(calls_of_stat(w, "/a/missing", -VRIFT_ENOENT), 0);
    assert_int_equal(calls_of_stat(w, "/nowhere/at/all", -VRIFT_ENOENT), 1);
    assert_int_equal(calls_of_stat(w, "/nowhere/else", -VRIFT_ENOENT), 0);
}

static void a_directory_made_here_is_known_completely(void **state)
{
    struct world *w = *state;
    check_ok(vrift_mkdirat(w->task, HERE, "/new", 0755));
    assert_int_equal(calls_of_stat(w, "/new/missing", -VRIFT_ENOENT), 0);
    world_file(w, "/new/f", "x");
    check_ok(vrift_renameat2(w->task, HERE, "/new/f", HERE, "/new/g", 0));
    assert_int_equal(calls_of_stat(w, "/new/f", -VRIFT_ENOENT), 0);
    check_ok(vrift_unlinkat(w->task, HERE, "/new/g", 0));
    assert_int_equal(calls_of_stat(w, "/new/g", -VRIFT_ENOENT), 0);
    assert_int_equal(stats_of(w).negative, 0);
}

static void a_directory_stops_being_complete_when_a_name_is_evicted(void **state)
{
    struct world *w = *state;
    check_ok(vrift_mkdirat(w->task, HERE, "/new", 0755));
    world_file(w, "/new/f", "x");
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/new", VRIFT_O_DIRECTORY, 0)); /* keeps the directory */
    check_ok(vrift_vfs_drop_caches(w->vfs));
    assert_int_equal(calls_of_stat(w, "/new/f", 0), 1);
    assert_int_equal(calls_of_stat(w, "/new/missing", -VRIFT_ENOENT), 1);
    check_ok(vrift_close(w->task, fd));
}

static void a_directory_listed_with_every_name_cached_is_complete(void **state)
{
    struct world *w = *state;
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    world_file(w, "/d/f", "x");
    world_file(w, "/d/g", "x");
    check_ok(vrift_vfs_drop_caches(w->vfs));
    assert_string_equal(world_list(w, "/d"), "f g");
    assert_int_equal(calls_of_stat(w, "/d/missing", -VRIFT_ENOENT), 1); /* nothing but names was seen */
    world_stat(w, "/d/f");
    world_stat(w, "/d/g");
    assert_string_equal(world_list(w, "/d"), "f g");
    assert_int_equal(calls_of_stat(w, "/d/another", -VRIFT_ENOENT), 0);
}

static void attributes_follow_every_change(void **state)
{
    struct world *w = *state;
    world_file(w, "/f", "12345");
    assert_int_equal(world_stat(w, "/f").size, 5);
    assert_int_equal(calls_of_stat(w, "/f", 0), 0);
    check_ok(vrift_truncate(w->task, "/f", 2));
    assert_int_equal(world_stat(w, "/f").size, 2);
    check_ok(vrift_fchmodat(w->task, HERE, "/f", 04711, 0));
    assert_int_equal(calls_of_stat(w, "/f", 0), 0); /* setattr answered them */
    assert_int_equal(world_stat(w, "/f").mode & 07777, 04711);
    check_ok(vrift_linkat(w->task, HERE, "/f", HERE, "/g", 0));
    assert_int_equal(world_stat(w, "/f").nlink, 2);
    check_ok(vrift_unlinkat(w->task, HERE, "/g", 0));
    assert_int_equal(world_stat(w, "/f").nlink, 1);
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    assert_int_equal(world_stat(w, "/").nlink, 3);
}

static void the_cache_keeps_its_budget_and_evicts_missing_names_first(void **state)
{
    (void)state;
    struct vrift_vfs_options options = {.size = sizeof options, .cache_bytes = 256 << 10};
    struct world *w = world_new(&options);
    char path[64];
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    for (int i = 0; i < 5000; i++) {
        snprintf(path, sizeof path, "/d/file-%d", i);
        check_ok(vrift_close(w->task, (int32_t)check_ok(vrift_openat(w->task, HERE, path, VRIFT_O_CREAT, 0644))));
        assert_true(stats_of(w).cache_bytes < (256 << 10) + 4096);
    }
    assert_true(stats_of(w).evicted > 3000);
    for (int i = 0; i < 5000; i++) {
        snprintf(path, sizeof path, "/d/missing-%d", i);
        calls_of_stat(w, path, -VRIFT_ENOENT);
    }
    struct vrift_vfs_stats stats = stats_of(w);
    assert_true(stats.cache_bytes < (256 << 10) + 4096);
    assert_true(stats.negative > 0);
    assert_true(stats.negative < stats.dentries / 2);
    for (int i = 0; i < 5000; i += 97) {
        snprintf(path, sizeof path, "/d/file-%d", i);
        world_stat(w, path);
    }
    world_free(w);
}

static void dropping_caches_leaves_only_what_is_used(void **state)
{
    struct world *w = *state;
    check_ok(vrift_mkdirat(w->task, HERE, "/a", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/a/b", 0755));
    world_file(w, "/a/b/f", "x");
    world_file(w, "/a/g", "x");
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/a/b/f", VRIFT_O_RDONLY, 0));
    check_ok(vrift_vfs_drop_caches(w->vfs));
    assert_int_equal(stats_of(w).dentries, 3);
    assert_int_equal(stats_of(w).inodes, 4); /* and the root */
    check_ok(vrift_close(w->task, fd));
    check_ok(vrift_vfs_drop_caches(w->vfs));
    assert_int_equal(stats_of(w).dentries, 0);
    world_expect(w, "/a/b/f", "x");
}

static void a_table_of_many_names_finds_each(void **state)
{
    struct world *w = *state;
    char path[64];
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    for (int i = 0; i < 20000; i++) {
        snprintf(path, sizeof path, "/d/%d", i);
        check_ok(vrift_mknodat(w->task, HERE, path, VRIFT_S_IFREG | 0600, 0));
    }
    uint64_t before = world_backend_calls(w);
    for (int i = 0; i < 20000; i++) {
        snprintf(path, sizeof path, "/d/%d", i);
        check_ok(vrift_faccessat(w->task, HERE, path, 4, 0));
    }
    assert_int_equal(world_backend_calls(w), before);
}

/* A directory of the host mounted at /h: others change it. */
static char *mount_host(struct world *w)
{
    vrift_sb *sb;
    char *directory = temporary_directory();
    check_ok(vrift_host_new(w->vfs, directory, NULL, &sb));
    check_ok(vrift_mkdirat(w->task, HERE, "/h", 0755));
    check_ok(vrift_mount(w->task, HERE, "/h", sb, 0));
    vrift_sb_unref(sb);
    return directory;
}

static void write_host(const char *directory, const char *name, const char *content)
{
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    close(fd);
}

static void what_others_change_is_seen_at_once(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    char from[4200], to[4200];
    char *directory = mount_host(w);
    check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, "/h/f", 0, &st));
    write_host(directory, "f", "one");
    assert_int_equal(world_stat(w, "/h/f").size, 3);
    write_host(directory, "f", "longer");
    assert_int_equal(world_stat(w, "/h/f").size, 6);
    uint64_t ino = world_stat(w, "/h/f").ino;
    write_host(directory, "g", "another file");
    snprintf(from, sizeof from, "%s/g", directory);
    snprintf(to, sizeof to, "%s/f", directory);
    assert_int_equal(rename(from, to), 0);
    assert_int_not_equal(world_stat(w, "/h/f").ino, ino);
    world_expect(w, "/h/f", "another file");
    assert_int_equal(unlink(to), 0);
    check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, "/h/f", 0, &st));
    check_ok(vrift_umount(w->task, HERE, "/h", 0));
    remove_temporary_directory(directory);
}

static void a_directory_that_others_replace_is_another_directory(void **state)
{
    struct world *w = *state;
    char path[4200], moved[4300];
    char *directory = mount_host(w);
    check_ok(vrift_mkdirat(w->task, HERE, "/h/d", 0755));
    world_file(w, "/h/d/f", "old");
    check_ok(vrift_chdir(w->task, "/h/d"));
    snprintf(path, sizeof path, "%s/d", directory);
    snprintf(moved, sizeof moved, "%s/moved", directory);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_string_equal(world_list(w, "/h/d"), "");
    world_expect(w, "f", "old"); /* the current directory is the one that moved */
    world_expect(w, "/h/moved/f", "old");
    check_ok(vrift_chdir(w->task, "/"));
    check_ok(vrift_umount(w->task, HERE, "/h", 0));
    remove_temporary_directory(directory);
}

/* -- Names that have several spellings ------------------------------------------------------------------------------ */

static int32_t VRIFT_CALLBACK folding_capability(void *self, uint32_t capability, struct vrift_capability *out)
{
    int32_t error = vr_memfs_ops.capability(self, capability, out);
    if (capability == VRIFT_CAPABILITY_CASE_SENSITIVE)
        *out = (struct vrift_capability){.error = -VRIFT_EOPNOTSUPP};
    return error;
}

/* Finds what is there in small letters by any letters. */
static int32_t VRIFT_CALLBACK folding_walk(void *self, const struct vrift_node *dir, const struct vrift_name *names,
                                           uint32_t count, struct vrift_entry *entries, uint32_t *done)
{
    char bytes[VRIFT_NAME_MAX + 1];
    struct vrift_name name = {bytes, names->length, names->hash};
    for (uint32_t i = 0; i <= names->length; i++)
        bytes[i] = (char)(names->bytes[i] >= 'A' && names->bytes[i] <= 'Z' ? names->bytes[i] | 0x20 : names->bytes[i]);
    return vr_memname_walk(self, dir, &name, count ? 1 : 0, entries, done);
}

static void what_happens_to_a_name_happens_to_its_other_spellings(void **state)
{
    static const struct vrift_mem_options options = {.size = sizeof options};
    struct world *w = *state;
    struct vrift_backend_ops ops = vr_memfs_ops;
    struct vr_memfs *fs;
    struct vrift_stat st;
    vrift_sb *sb;
    ops.capability = folding_capability;
    ops.walk = folding_walk;
    check_ok(vr_memfs_new(NULL, &options, &fs));
    check_ok(vrift_sb_new(w->vfs, &ops, fs, &sb));
    check_ok(vrift_mkdirat(w->task, HERE, "/m", 0755));
    check_ok(vrift_mount(w->task, HERE, "/m", sb, 0));
    vrift_sb_unref(sb);
    check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, "/m/NAME", 0, &st));
    world_file(w, "/m/name", "x");
    check_ok(vrift_statat(w->task, HERE, "/m/NAME", 0, &st));
    check_ok(vrift_unlinkat(w->task, HERE, "/m/name", 0));
    check_error(-VRIFT_ENOENT, vrift_statat(w->task, HERE, "/m/NAME", 0, &st));
    check_ok(vrift_umount(w->task, HERE, "/m", 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name_once_seen_costs_no_backend_call),
        TEST(a_missing_name_is_asked_for_once),
        TEST(a_directory_made_here_is_known_completely),
        TEST(a_directory_stops_being_complete_when_a_name_is_evicted),
        TEST(a_directory_listed_with_every_name_cached_is_complete),
        TEST(attributes_follow_every_change),
        cmocka_unit_test(the_cache_keeps_its_budget_and_evicts_missing_names_first),
        TEST(dropping_caches_leaves_only_what_is_used),
        TEST(a_table_of_many_names_finds_each),
        TEST(what_others_change_is_seen_at_once),
        TEST(a_directory_that_others_replace_is_another_directory),
        TEST(what_happens_to_a_name_happens_to_its_other_spellings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
