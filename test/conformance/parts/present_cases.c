/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Changes of what was there before: in an overlay, each of these copies up or leaves a whiteout. */
#include "conformance/conformance.h"

#include <pthread.h>

static int32_t move(struct world *world, const char *from, const char *to, uint64_t flags)
{
    return vrift_renameat2(world->task, AT, from, AT, to, flags);
}

static void check_missing(struct world *world, const char *path)
{
    struct vrift_stat attr;
    check_error_at(-VRIFT_ENOENT, vrift_statat(world->task, AT, path, VRIFT_AT_SYMLINK_NOFOLLOW, &attr), path, __FILE__,
                   __LINE__);
}

struct wanted {
    const char *name;
    unsigned seen;
};

static int note_name(const struct vrift_dirent *entry, const char *name, void *payload)
{
    struct wanted *wanted = payload;
    (void)entry;
    if (!strcmp(name, wanted->name))
        wanted->seen++;
    return 0;
}

static unsigned listed(struct world *world, const char *dir, const char *name)
{
    struct wanted wanted = {name, 0};
    int32_t fd = open_file(world->task, dir, VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    list(world->task, fd, 4096, note_name, &wanted);
    check_ok(vrift_close(world->task, fd));
    return wanted.seen;
}

static void writing_into_a_file_keeps_the_rest(struct world *world)
{
    struct vrift_stat old = stat_of(world->task, "/hello");
    int32_t fd = open_file(world->task, "/hello", VRIFT_O_RDWR);
    assert_int_equal(vrift_pwrite(world->task, fd, "W", 1, 6), 1);
    check_ok(vrift_close(world->task, fd));
    check_text(world->task, "/hello", "hello World\n");
    struct vrift_stat new = stat_of(world->task, "/hello");
    assert_int_equal(new.mode, old.mode);
    assert_int_equal(new.uid, old.uid);
    assert_int_equal(new.nlink, 1);
    assert_int_equal(listed(world, "/", "hello"), 1);
}

static void appending_to_a_file_keeps_what_is_there(struct world *world)
{
    int32_t fd = open_file(world->task, "/hello", VRIFT_O_WRONLY | VRIFT_O_APPEND);
    assert_int_equal(vrift_write(world->task, fd, "more\n", 5), 5);
    check_ok(vrift_close(world->task, fd));
    check_text(world->task, "/hello", "hello world\nmore\n");
}

static void truncating_a_file_empties_it(struct world *world)
{
    check_ok(vrift_truncate(world->task, "/hello", 5));
    check_text(world->task, "/hello", "hello");
    put(world->task, "/exec", "");
    check_text(world->task, "/exec", "");
    assert_int_equal(stat_of(world->task, "/exec").mode, VRIFT_S_IFREG | 0755);
}

static void a_descriptor_for_reading_sees_what_is_written_later(struct world *world)
{
    char buf[32];
    int32_t reader = open_file(world->task, "/hello", VRIFT_O_RDONLY);
    assert_int_equal(vrift_pread(world->task, reader, buf, 5, 0), 5);
    int32_t writer = open_file(world->task, "/hello", VRIFT_O_WRONLY);
    assert_int_equal(vrift_pwrite(world->task, writer, "J", 1, 0), 1);
    assert_int_equal(vrift_pread(world->task, reader, buf, sizeof buf, 0), 12);
    assert_memory_equal(buf, "Jello world\n", 12);
    check_ok(vrift_close(world->task, reader));
    check_ok(vrift_close(world->task, writer));
}

static void one_byte_written_into_a_sparse_file_leaves_the_rest(struct world *world)
{
    char buf[16];
    char zeroes[16] = {0};
    int32_t fd = open_file(world->task, "/sparse", VRIFT_O_RDWR);
    assert_int_equal(vrift_pwrite(world->task, fd, "F", 1, SPARSE_FIRST), 1);
    assert_int_equal(vrift_pread(world->task, fd, buf, 5, SPARSE_FIRST), 5);
    assert_memory_equal(buf, "First", 5);
    assert_int_equal(vrift_pread(world->task, fd, buf, sizeof buf, 3 << 20), sizeof buf);
    assert_memory_equal(buf, zeroes, sizeof buf);
    assert_int_equal(vrift_pread(world->task, fd, buf, sizeof buf, SPARSE_SIZE - 4), 4);
    assert_memory_equal(buf, "last", 4);
    check_ok(vrift_close(world->task, fd));
    assert_int_equal(stat_of(world->task, "/sparse").size, SPARSE_SIZE);
}

static void attributes_change_and_contents_stay(struct world *world)
{
    const struct vrift_timespec times[2] = {{1, 2, 0}, {-3, 4, 0}};
    check_ok(vrift_fchmodat(world->task, AT, "/old", 0640, 0));
    struct vrift_stat attr = stat_of(world->task, "/old");
    assert_int_equal(attr.mode, VRIFT_S_IFREG | 0640);
    assert_memory_equal(&attr.mtime, &old_time, sizeof old_time);
    check_text(world->task, "/old", "old");
    check_ok(vrift_utimensat(world->task, AT, "/hello", times, 0));
    attr = stat_of(world->task, "/hello");
    assert_memory_equal(&attr.mtime, &times[1], sizeof attr.mtime);
    check_text(world->task, "/hello", "hello world\n");
    int32_t result = vrift_fchownat(world->task, AT, "/exec", 12, 34, 0);
    if (lacks(world, VRIFT_CAPABILITY_OWNERSHIP, result))
        return;
    check_ok(result);
    attr = stat_of(world->task, "/exec");
    assert_int_equal(attr.uid, 12);
    assert_int_equal(attr.gid, 34);
    check_text(world->task, "/exec", "#!/bin/sh\n");
}

static void attributes_of_a_directory_change_and_its_entries_stay(struct world *world)
{
    check_ok(vrift_fchmodat(world->task, AT, "/dir", 0711, 0));
    assert_int_equal(stat_of(world->task, "/dir").mode, VRIFT_S_IFDIR | 0711);
    check_text(world->task, "/dir/sub/file", "deep");
    assert_int_equal(listed(world, "/dir", "sub"), 1);
}

static void xattrs_survive_a_change_of_the_contents(struct world *world)
{
    char buf[16];
    if (!has(world, VRIFT_CAPABILITY_USER_XATTRS))
        return;
    int32_t fd = open_file(world->task, "/hello", VRIFT_O_WRONLY);
    assert_int_equal(vrift_write(world->task, fd, "J", 1), 1);
    check_ok(vrift_close(world->task, fd));
    assert_int_equal(vrift_getxattrat(world->task, AT, "/hello", "user.color", buf, sizeof buf, 0), 4);
    check_ok(vrift_setxattrat(world->task, AT, "/hello", "user.color", "red", 3, VRIFT_XATTR_REPLACE));
    check_ok(vrift_removexattrat(world->task, AT, "/hello", "user.empty", 0));
    assert_int_equal(vrift_listxattrat(world->task, AT, "/hello", buf, sizeof buf, 0), 11);
    check_ok(vrift_setxattrat(world->task, AT, "/dir", "user.kind", "changed", 7, 0));
    assert_int_equal(vrift_getxattrat(world->task, AT, "/dir", "user.kind", buf, sizeof buf, 0), 7);
}

static void a_removed_file_is_gone_and_can_be_made_anew(struct world *world)
{
    unsigned entries = count_entries(world->task, "/");
    check_ok(vrift_unlinkat(world->task, AT, "/hello", 0));
    check_missing(world, "/hello");
    assert_int_equal(listed(world, "/", "hello"), 0);
    assert_int_equal(count_entries(world->task, "/"), entries - 1);
    check_ok(vrift_vfs_drop_caches(world->vfs));
    check_missing(world, "/hello");
    int32_t fd = open_file(world->task, "/hello", VRIFT_O_CREAT | VRIFT_O_EXCL | VRIFT_O_WRONLY);
    check_ok(vrift_close(world->task, fd));
    check_text(world->task, "/hello", "");
    check_ok(vrift_unlinkat(world->task, AT, "/hello", 0));
    check_missing(world, "/hello");
    check_ok(vrift_mkdirat(world->task, AT, "/hello", 0755));
    assert_int_equal(count_entries(world->task, "/hello"), 0);
    check_ok(vrift_unlinkat(world->task, AT, "/hello", VRIFT_AT_REMOVEDIR));
    check_ok(vrift_symlinkat(world->task, "exec", AT, "/hello"));
    check_text(world->task, "/hello", "#!/bin/sh\n");
}

static void a_directory_made_where_one_was_removed_is_empty(struct world *world)
{
    check_error(-VRIFT_ENOTEMPTY, vrift_unlinkat(world->task, AT, "/dir", VRIFT_AT_REMOVEDIR));
    check_ok(vrift_unlinkat(world->task, AT, "/dir/sub/file", 0));
    check_ok(vrift_unlinkat(world->task, AT, "/dir/sub", VRIFT_AT_REMOVEDIR));
    check_ok(vrift_unlinkat(world->task, AT, "/dir", VRIFT_AT_REMOVEDIR));
    check_missing(world, "/dir");
    check_ok(vrift_mkdirat(world->task, AT, "/dir", 0755));
    assert_int_equal(count_entries(world->task, "/dir"), 0);
    check_missing(world, "/dir/sub");
    put(world->task, "/dir/new", "x");
    check_ok(vrift_vfs_drop_caches(world->vfs));
    assert_int_equal(count_entries(world->task, "/dir"), 1);
    check_text(world->task, "/dir/new", "x");
}

static void a_file_takes_a_new_name(struct world *world)
{
    unsigned entries = count_entries(world->task, "/");
    check_ok(move(world, "/hello", "/renamed", 0));
    check_missing(world, "/hello");
    check_text(world->task, "/renamed", "hello world\n");
    assert_int_equal(count_entries(world->task, "/"), entries);
    check_ok(move(world, "/renamed", "/dir/sub/inside", 0));
    check_text(world->task, "/dir/sub/inside", "hello world\n");
    check_ok(move(world, "/dir/sub/inside", "/hello", VRIFT_RENAME_NOREPLACE));
    check_text(world->task, "/hello", "hello world\n");
    assert_int_equal(count_entries(world->task, "/"), entries);
    assert_int_equal(count_entries(world->task, "/dir/sub"), 1);
}

static void a_file_is_replaced_by_another(struct world *world)
{
    unsigned entries = count_entries(world->task, "/");
    put(world->task, "/new", "new");
    check_ok(move(world, "/new", "/hello", 0));
    check_text(world->task, "/hello", "new");
    check_ok(move(world, "/exec", "/hello", 0));
    check_text(world->task, "/hello", "#!/bin/sh\n");
    check_missing(world, "/exec");
    assert_int_equal(count_entries(world->task, "/"), entries - 1);
}

static void two_names_are_exchanged(struct world *world)
{
    int32_t result = move(world, "/hello", "/exec", VRIFT_RENAME_EXCHANGE);
    if (lacks(world, VRIFT_CAPABILITY_RENAME_EXCHANGE, result))
        return;
    check_ok(result);
    check_text(world->task, "/hello", "#!/bin/sh\n");
    check_text(world->task, "/exec", "hello world\n");
    put(world->task, "/new", "new");
    check_ok(move(world, "/new", "/hello", VRIFT_RENAME_EXCHANGE));
    check_text(world->task, "/hello", "new");
    check_text(world->task, "/new", "#!/bin/sh\n");
}

static void a_directory_is_renamed_or_refused_as_declared(struct world *world)
{
    int32_t result = move(world, "/dir", "/moved", 0);
    if (lacks(world, VRIFT_CAPABILITY_DIRECTORY_RENAME, result)) {
        check_text(world->task, "/dir/sub/file", "deep");
        return;
    }
    check_ok(result);
    check_text(world->task, "/moved/sub/file", "deep");
    check_missing(world, "/dir");
}

static void a_symlink_is_renamed_and_removed_itself(struct world *world)
{
    check_ok(move(world, "/link", "/dir/link", 0));
    check_missing(world, "/link");
    assert_int_equal(stat_of(world->task, "/dir/link").mode & VRIFT_S_IFMT, VRIFT_S_IFLNK);
    check_ok(vrift_unlinkat(world->task, AT, "/dangling", 0));
    check_missing(world, "/dangling");
    check_text(world->task, "/hello", "hello world\n");
}

static void a_file_gets_one_more_name(struct world *world)
{
    int32_t result = vrift_linkat(world->task, AT, "/hello", AT, "/twin", 0);
    if (lacks(world, VRIFT_CAPABILITY_HARD_LINKS, result))
        return;
    check_ok(result);
    assert_int_equal(stat_of(world->task, "/hello").ino, stat_of(world->task, "/twin").ino);
    assert_int_equal(stat_of(world->task, "/twin").nlink, 2);
    int32_t fd = open_file(world->task, "/twin", VRIFT_O_WRONLY);
    assert_int_equal(vrift_write(world->task, fd, "J", 1), 1);
    check_ok(vrift_close(world->task, fd));
    check_text(world->task, "/hello", "Jello world\n");
    check_ok(vrift_unlinkat(world->task, AT, "/hello", 0));
    check_text(world->task, "/twin", "Jello world\n");
}

static void an_open_file_survives_its_removal(struct world *world)
{
    char buf[32];
    struct vrift_stat attr;
    int32_t fd = open_file(world->task, "/hello", VRIFT_O_RDWR);
    check_ok(vrift_unlinkat(world->task, AT, "/hello", 0));
    int64_t result = vrift_pread(world->task, fd, buf, sizeof buf, 0);
    if (!lacks(world, VRIFT_CAPABILITY_UNLINKED_OPEN, result)) {
        assert_int_equal(result, 12);
        assert_int_equal(vrift_pwrite(world->task, fd, "J", 1, 0), 1);
        assert_int_equal(vrift_pread(world->task, fd, buf, 5, 0), 5);
        assert_memory_equal(buf, "Jello", 5);
        check_ok(vrift_fstat(world->task, fd, &attr));
        assert_int_equal(attr.nlink, 0);
    }
    check_ok(vrift_close(world->task, fd));
}

static void the_inode_number_stays_when_a_file_changes(struct world *world)
{
    uint64_t file = stat_of(world->task, "/hello").ino;
    uint64_t dir = stat_of(world->task, "/dir").ino;
    int32_t fd = open_file(world->task, "/hello", VRIFT_O_RDWR);
    struct vrift_stat attr;
    assert_int_equal(vrift_write(world->task, fd, "J", 1), 1);
    check_ok(vrift_fstat(world->task, fd, &attr));
    assert_int_equal(attr.ino, file);
    check_ok(vrift_close(world->task, fd));
    check_ok(vrift_fchmodat(world->task, AT, "/dir", 0700, 0));
    assert_int_equal(stat_of(world->task, "/hello").ino, file);
    assert_int_equal(stat_of(world->task, "/dir").ino, dir);
}

static void new_names_join_a_directory_that_was_there(struct world *world)
{
    unsigned entries = count_entries(world->task, "/odd");
    put(world->task, "/odd/new", "x");
    check_ok(vrift_mkdirat(world->task, AT, "/odd/dir", 0755));
    put(world->task, "/odd/dir/deeper", "y");
    assert_int_equal(count_entries(world->task, "/odd"), entries + 2);
    assert_int_equal(listed(world, "/odd", "new"), 1);
    assert_int_equal(listed(world, "/odd", odd_names[0]), 1);
    check_ok(vrift_unlinkat(world->task, AT, "/odd/dir/deeper", 0));
    check_ok(vrift_unlinkat(world->task, AT, "/odd/dir", VRIFT_AT_REMOVEDIR));
    for (int i = 0; odd_names[i]; i++) {
        char path[300];
        snprintf(path, sizeof path, "/odd/%s", odd_names[i]);
        check_ok(vrift_unlinkat(world->task, AT, path, 0));
        assert_int_equal(count_entries(world->task, "/odd"), entries - (unsigned)i);
    }
    check_ok(vrift_unlinkat(world->task, AT, "/odd/new", 0));
    check_ok(vrift_unlinkat(world->task, AT, "/odd", VRIFT_AT_REMOVEDIR));
    check_missing(world, "/odd");
}

static void special_files_can_be_renamed_and_removed(struct world *world)
{
    if (!has(world, VRIFT_CAPABILITY_SPECIAL_FILES))
        return;
    check_ok(move(world, "/fifo", "/dir/fifo", 0));
    assert_int_equal(stat_of(world->task, "/dir/fifo").mode & VRIFT_S_IFMT, VRIFT_S_IFIFO);
    check_ok(vrift_fchmodat(world->task, AT, "/socket", 0700, 0));
    assert_int_equal(stat_of(world->task, "/socket").mode, VRIFT_S_IFSOCK | 0700);
    check_ok(vrift_unlinkat(world->task, AT, "/dir/fifo", 0));
    check_missing(world, "/dir/fifo");
}

struct writer {
    vrift_task *task;
    uint64_t offset;
    int wrong;
};

static void *write_one_byte(void *payload)
{
    struct writer *self = payload;
    int32_t fd = vrift_openat(self->task, AT, "/hello", VRIFT_O_RDWR, 0);
    self->wrong = fd < 0 || vrift_pwrite(self->task, fd, "#", 1, self->offset) != 1 || vrift_close(self->task, fd);
    return NULL;
}

static void four_threads_write_for_the_first_time_at_once(struct world *world)
{
    pthread_t threads[4];
    struct writer writers[4];
    for (int i = 0; i < 4; i++) {
        writers[i] = (struct writer){.offset = (uint64_t)i * 2};
        check_ok(vrift_task_fork(world->task, &writers[i].task));
        assert_int_equal(pthread_create(&threads[i], NULL, write_one_byte, &writers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        vrift_task_free(writers[i].task);
        assert_false(writers[i].wrong);
    }
    check_text(world->task, "/hello", "#e#l# #orld\n");
}

/* Above all in an overlay, where a copy-up leads to a file that another layer counts the changes of. */
static void the_first_change_of_all_makes_the_version_grow(struct world *world)
{
    struct vrift_stat file = stat_of(world->task, "/hello"), root = stat_of(world->task, "/");
    let_the_clock_tick();
    int32_t fd = open_file(world->task, "/hello", VRIFT_O_WRONLY | VRIFT_O_APPEND);
    assert_int_equal(vrift_write(world->task, fd, "more\n", 5), 5);
    check_ok(vrift_close(world->task, fd));
    struct vrift_stat once = stat_of(world->task, "/hello");
    assert_true(once.version > file.version);
    let_the_clock_tick();
    check_ok(vrift_fchmodat(world->task, AT, "/hello", 0400, 0));
    assert_true(stat_of(world->task, "/hello").version > once.version);
    check_ok(vrift_unlinkat(world->task, AT, "/hello", 0));
    assert_true(stat_of(world->task, "/").version > root.version);
}

const struct test_case present_cases[] = {
    {"the_first_change_of_all_makes_the_version_grow", the_first_change_of_all_makes_the_version_grow},
    {"writing_into_a_file_keeps_the_rest", writing_into_a_file_keeps_the_rest},
    {"appending_to_a_file_keeps_what_is_there", appending_to_a_file_keeps_what_is_there},
    {"truncating_a_file_empties_it", truncating_a_file_empties_it},
    {"a_descriptor_for_reading_sees_what_is_written_later", a_descriptor_for_reading_sees_what_is_written_later},
    {"one_byte_written_into_a_sparse_file_leaves_the_rest", one_byte_written_into_a_sparse_file_leaves_the_rest},
    {"attributes_change_and_contents_stay", attributes_change_and_contents_stay},
    {"attributes_of_a_directory_change_and_its_entries_stay", attributes_of_a_directory_change_and_its_entries_stay},
    {"xattrs_survive_a_change_of_the_contents", xattrs_survive_a_change_of_the_contents},
    {"a_removed_file_is_gone_and_can_be_made_anew", a_removed_file_is_gone_and_can_be_made_anew},
    {"a_directory_made_where_one_was_removed_is_empty", a_directory_made_where_one_was_removed_is_empty},
    {"a_file_takes_a_new_name", a_file_takes_a_new_name},
    {"a_file_is_replaced_by_another", a_file_is_replaced_by_another},
    {"two_names_are_exchanged", two_names_are_exchanged},
    {"a_directory_is_renamed_or_refused_as_declared", a_directory_is_renamed_or_refused_as_declared},
    {"a_symlink_is_renamed_and_removed_itself", a_symlink_is_renamed_and_removed_itself},
    {"a_file_gets_one_more_name", a_file_gets_one_more_name},
    {"an_open_file_survives_its_removal", an_open_file_survives_its_removal},
    {"the_inode_number_stays_when_a_file_changes", the_inode_number_stays_when_a_file_changes},
    {"new_names_join_a_directory_that_was_there", new_names_join_a_directory_that_was_there},
    {"special_files_can_be_renamed_and_removed", special_files_can_be_renamed_and_removed},
    {"four_threads_write_for_the_first_time_at_once", four_threads_write_for_the_first_time_at_once},
    {NULL, NULL},
};
