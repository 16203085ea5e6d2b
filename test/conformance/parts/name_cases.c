/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Names come and go. */
#include "conformance/conformance.h"

#include <pthread.h>

static void check_missing(struct world *world, const char *path)
{
    struct vrift_stat attr;
    check_error_at(-VRIFT_ENOENT, vrift_statat(world->task, AT, path, VRIFT_AT_SYMLINK_NOFOLLOW, &attr), path, __FILE__,
                   __LINE__);
}

static void directories_are_made_and_removed(struct world *world)
{
    uint32_t links = stat_of(world->task, "/").nlink;
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0777));
    struct vrift_stat dir = stat_of(world->task, "/d");
    assert_int_equal(dir.mode, VRIFT_S_IFDIR | 0755);
    assert_true(dir.nlink == 2 || dir.nlink == 1);
    if (links > 1)
        assert_int_equal(stat_of(world->task, "/").nlink, links + 1);
    check_error(-VRIFT_EEXIST, vrift_mkdirat(world->task, AT, "/d", 0777));
    put(world->task, "/d/f", "x");
    check_error(-VRIFT_ENOTEMPTY, vrift_unlinkat(world->task, AT, "/d", VRIFT_AT_REMOVEDIR));
    check_error(-VRIFT_EISDIR, vrift_unlinkat(world->task, AT, "/d", 0));
    check_error(-VRIFT_ENOTDIR, vrift_unlinkat(world->task, AT, "/d/f", VRIFT_AT_REMOVEDIR));
    check_ok(vrift_unlinkat(world->task, AT, "/d/f", 0));
    check_ok(vrift_unlinkat(world->task, AT, "/d", VRIFT_AT_REMOVEDIR));
    check_missing(world, "/d");
    assert_int_equal(stat_of(world->task, "/").nlink, links);
    check_error(-VRIFT_ENOENT, vrift_unlinkat(world->task, AT, "/d", VRIFT_AT_REMOVEDIR));
}

static void a_removed_name_is_gone_and_can_be_made_anew(struct world *world)
{
    for (int round = 0; round < 20; round++) {
        check_missing(world, "/f");
        put(world->task, "/f", round % 2 ? "odd" : "even");
        check_text(world->task, "/f", round % 2 ? "odd" : "even");
        check_ok(vrift_unlinkat(world->task, AT, "/f", 0));
        check_error(-VRIFT_ENOENT, vrift_unlinkat(world->task, AT, "/f", 0));
        check_ok(vrift_mkdirat(world->task, AT, "/f", 0755));
        check_ok(vrift_unlinkat(world->task, AT, "/f", VRIFT_AT_REMOVEDIR));
    }
    assert_int_equal(count_entries(world->task, "/"), 0);
}

static void hard_links_share_one_inode(struct world *world)
{
    put(world->task, "/a", "x");
    int32_t result = vrift_linkat(world->task, AT, "/a", AT, "/b", 0);
    if (lacks(world, VRIFT_CAPABILITY_HARD_LINKS, result))
        return;
    check_ok(result);
    assert_int_equal(stat_of(world->task, "/a").ino, stat_of(world->task, "/b").ino);
    assert_int_equal(stat_of(world->task, "/a").nlink, 2);
    put(world->task, "/b", "through b");
    check_text(world->task, "/a", "through b");
    check_ok(vrift_fchmodat(world->task, AT, "/b", 0600, 0));
    assert_int_equal(stat_of(world->task, "/a").mode & 07777, 0600);
    check_ok(vrift_unlinkat(world->task, AT, "/a", 0));
    assert_int_equal(stat_of(world->task, "/b").nlink, 1);
    check_text(world->task, "/b", "through b");
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0755));
    check_error(-VRIFT_EPERM, vrift_linkat(world->task, AT, "/d", AT, "/e", 0));
    check_error(-VRIFT_EEXIST, vrift_linkat(world->task, AT, "/b", AT, "/d", 0));
    check_ok(vrift_linkat(world->task, AT, "/b", AT, "/d/c", 0));
    check_text(world->task, "/d/c", "through b");
}

static void a_hard_link_to_a_symlink_links_the_symlink_unless_told_to_follow(struct world *world)
{
    put(world->task, "/f", "x");
    int32_t result = vrift_symlinkat(world->task, "f", AT, "/l");
    if (lacks(world, VRIFT_CAPABILITY_SYMLINKS, result))
        return;
    result = vrift_linkat(world->task, AT, "/l", AT, "/m", 0);
    if (lacks(world, VRIFT_CAPABILITY_HARD_LINKS, result))
        return;
    check_ok(result);
    assert_int_equal(stat_of(world->task, "/m").mode & VRIFT_S_IFMT, VRIFT_S_IFLNK);
    check_ok(vrift_linkat(world->task, AT, "/l", AT, "/n", VRIFT_AT_SYMLINK_FOLLOW));
    assert_int_equal(stat_of(world->task, "/n").ino, stat_of(world->task, "/f").ino);
}

static void symlinks_keep_any_text(struct world *world)
{
    char text[4096];
    char buf[4200];
    int32_t result = vrift_symlinkat(world->task, "no such\nthing \xff", AT, "/l");
    if (lacks(world, VRIFT_CAPABILITY_SYMLINKS, result))
        return;
    check_ok(result);
    assert_int_equal(vrift_readlinkat(world->task, AT, "/l", buf, sizeof buf), 15);
    assert_memory_equal(buf, "no such\nthing \xff", 15);
    check_error(-VRIFT_EEXIST, vrift_symlinkat(world->task, "x", AT, "/l"));
    check_error(-VRIFT_ENOENT, vrift_symlinkat(world->task, "", AT, "/m"));
    memset(text, 'y', sizeof text);
    text[4095] = '\0';
    result = vrift_symlinkat(world->task, text, AT, "/long");
    if (result == 0) /* ext4 takes less than a block less one byte, which is this */
        assert_int_equal(vrift_readlinkat(world->task, AT, "/long", buf, sizeof buf), 4095);
    else
        check_error(-VRIFT_ENAMETOOLONG, result);
}

static void fifos_sockets_and_devices_are_names(struct world *world)
{
    int32_t result = vrift_mknodat(world->task, AT, "/p", VRIFT_S_IFIFO | 0644, 0);
    if (lacks(world, VRIFT_CAPABILITY_SPECIAL_FILES, result))
        return;
    check_ok(result);
    check_ok(vrift_mknodat(world->task, AT, "/s", VRIFT_S_IFSOCK | 0755, 0));
    assert_int_equal(stat_of(world->task, "/p").mode, VRIFT_S_IFIFO | 0644);
    assert_int_equal(stat_of(world->task, "/s").mode, VRIFT_S_IFSOCK | 0755);
    check_error(-VRIFT_EEXIST, vrift_mknodat(world->task, AT, "/p", VRIFT_S_IFIFO | 0644, 0));
    check_error(-VRIFT_ENXIO, vrift_openat(world->task, AT, "/s", VRIFT_O_RDWR, 0));
    check_ok(vrift_mknodat(world->task, AT, "/f", VRIFT_S_IFREG | 0640, 0));
    assert_int_equal(stat_of(world->task, "/f").mode, VRIFT_S_IFREG | 0640);
    result = vrift_mknodat(world->task, AT, "/c", VRIFT_S_IFCHR | 0600, VRIFT_MKDEV(1, 3));
    if (result == 0)
        assert_int_equal(stat_of(world->task, "/c").rdev, VRIFT_MKDEV(1, 3));
    else /* the host lets only the privileged */
        check_error(-VRIFT_EPERM, result);
    check_ok(vrift_unlinkat(world->task, AT, "/p", 0));
    check_missing(world, "/p");
}

static void an_open_file_survives_its_last_name(struct world *world)
{
    char buf[16];
    struct vrift_stat attr;
    put(world->task, "/f", "hello");
    int32_t fd = open_file(world->task, "/f", VRIFT_O_RDWR);
    check_ok(vrift_unlinkat(world->task, AT, "/f", 0));
    int32_t result = vrift_fstat(world->task, fd, &attr);
    if (!lacks(world, VRIFT_CAPABILITY_UNLINKED_OPEN, result)) {
        check_ok(result);
        assert_int_equal(attr.nlink, 0);
        assert_int_equal(vrift_pwrite(world->task, fd, "J", 1, 0), 1);
        check_ok(vrift_ftruncate(world->task, fd, 4));
        assert_int_equal(vrift_pread(world->task, fd, buf, sizeof buf, 0), 4);
        assert_memory_equal(buf, "Jell", 4);
        put(world->task, "/f", "another");
        assert_int_equal(vrift_pread(world->task, fd, buf, sizeof buf, 0), 4);
        check_ok(vrift_fstat(world->task, fd, &attr));
        assert_true(attr.ino != stat_of(world->task, "/f").ino);
        check_error(-VRIFT_ENOENT, vrift_linkat(world->task, fd, "", AT, "/g", VRIFT_AT_EMPTY_PATH));
    }
    check_ok(vrift_close(world->task, fd));
}

static void what_only_a_path_descriptor_holds_survives_its_last_name(struct world *world)
{
    struct vrift_stat attr;
    put(world->task, "/f", "hello");
    int32_t fd = open_file(world->task, "/f", VRIFT_O_PATH);
    check_ok(vrift_unlinkat(world->task, AT, "/f", 0));
    int32_t result = vrift_fstat(world->task, fd, &attr);
    if (!lacks(world, VRIFT_CAPABILITY_UNLINKED_OPEN, result)) {
        check_ok(result);
        assert_int_equal(attr.nlink, 0);
        assert_int_equal(attr.size, 5);
    }
    check_ok(vrift_close(world->task, fd));
}

static void nothing_can_be_made_in_a_removed_directory(struct world *world)
{
    struct vrift_stat attr;
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0755));
    int32_t fd = open_file(world->task, "/d", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    check_ok(vrift_chdir(world->task, "/d"));
    check_ok(vrift_unlinkat(world->task, AT, "/d", VRIFT_AT_REMOVEDIR));
    check_error(-VRIFT_ENOENT, vrift_openat(world->task, AT, "x", VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644));
    check_error(-VRIFT_ENOENT, vrift_mkdirat(world->task, fd, "x", 0755));
    check_error(-VRIFT_ENOENT, vrift_symlinkat(world->task, "y", fd, "x"));
    check_ok(vrift_statat(world->task, AT, ".", 0, &attr));
    char path[64];
    check_error(-VRIFT_ENOENT, vrift_getcwd(world->task, path, sizeof path));
    check_ok(vrift_chdir(world->task, "/"));
    check_ok(vrift_close(world->task, fd));
}

static void names_of_any_bytes_are_made_and_removed(struct world *world)
{
    for (int i = 0; odd_names[i]; i++) {
        char path[300];
        snprintf(path, sizeof path, "/%s", odd_names[i]);
        put(world->task, path, odd_names[i]);
    }
    assert_int_equal(count_entries(world->task, "/"), 11);
    for (int i = 0; odd_names[i]; i++) {
        char path[300];
        snprintf(path, sizeof path, "/%s", odd_names[i]);
        check_text(world->task, path, odd_names[i]);
        check_ok(vrift_unlinkat(world->task, AT, path, 0));
    }
    assert_int_equal(count_entries(world->task, "/"), 0);
}

static void a_name_of_256_bytes_is_too_long(struct world *world)
{
    char path[258];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[257] = '\0';
    check_error(-VRIFT_ENAMETOOLONG, vrift_openat(world->task, AT, path, VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644));
    check_error(-VRIFT_ENAMETOOLONG, vrift_mkdirat(world->task, AT, path, 0755));
    path[256] = '\0';
    check_ok(vrift_mkdirat(world->task, AT, path, 0755));
}

static void names_that_differ_in_case_are_two(struct world *world)
{
    put(world->task, "/Name", "upper");
    put(world->task, "/name", "lower");
    if (!has(world, VRIFT_CAPABILITY_CASE_SENSITIVE))
        return;
    check_text(world->task, "/Name", "upper");
    check_text(world->task, "/name", "lower");
}

static void creating_through_a_dangling_symlink_makes_its_target(struct world *world)
{
    if (lacks(world, VRIFT_CAPABILITY_SYMLINKS, vrift_symlinkat(world->task, "target", AT, "/l")))
        return;
    put(world->task, "/l", "x");
    check_text(world->task, "/target", "x");
    assert_int_equal(stat_of(world->task, "/l").mode & VRIFT_S_IFMT, VRIFT_S_IFLNK);
}

static void a_nameless_file_can_get_a_name(struct world *world)
{
    struct vrift_stat attr;
    int32_t fd = vrift_openat(world->task, AT, "/", VRIFT_O_TMPFILE | VRIFT_O_RDWR, 0600);
    if (lacks(world, VRIFT_CAPABILITY_TMPFILE, fd))
        return;
    check_ok(fd);
    check_ok(vrift_fstat(world->task, fd, &attr));
    assert_int_equal(attr.nlink, 0);
    assert_int_equal(count_entries(world->task, "/"), 0);
    assert_int_equal(vrift_write(world->task, fd, "text", 4), 4);
    check_ok(vrift_linkat(world->task, fd, "", AT, "/f", VRIFT_AT_EMPTY_PATH));
    check_ok(vrift_close(world->task, fd));
    check_text(world->task, "/f", "text");
    assert_int_equal(stat_of(world->task, "/f").nlink, 1);
    fd = (int32_t)check_ok(vrift_openat(world->task, AT, "/", VRIFT_O_TMPFILE | VRIFT_O_EXCL | VRIFT_O_RDWR, 0600));
    check_error(-VRIFT_ENOENT, vrift_linkat(world->task, fd, "", AT, "/g", VRIFT_AT_EMPTY_PATH));
    check_ok(vrift_close(world->task, fd));
}

/* -- Big directories ----------------------------------------------------------------------------------------------- */

#define MANY 2000

struct changing {
    struct world *world;
    unsigned seen[MANY];
    unsigned added[MANY];
    int step;
};

static int note_and_change(const struct vrift_dirent *entry, const char *name, void *payload)
{
    struct changing *changing = payload;
    int index;
    (void)entry;
    if (sscanf(name, "e%d", &index) == 1)
        changing->seen[index]++;
    else if (sscanf(name, "new%d", &index) == 1)
        changing->added[index]++;
    return 0;
}

/* Odd entries go one after another, new ones come, between reads of the listing. */
static void change_some(struct changing *changing)
{
    for (int k = 0; k < 5; k++) {
        char path[64];
        int victim = (changing->step * 5 + k) * 601 % MANY;
        if (victim % 2) {
            snprintf(path, sizeof path, "/d/e%d", victim);
            vrift_unlinkat(changing->world->task, AT, path, 0);
        } else if (changing->step < MANY / 8) {
            snprintf(path, sizeof path, "/d/new%d", changing->step);
            put(changing->world->task, path, "");
        }
    }
    changing->step++;
}

static void what_stays_is_listed_once_while_others_come_and_go(struct world *world)
{
    struct changing *changing = calloc(1, sizeof *changing);
    uint64_t buf[64];
    changing->world = world;
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0755));
    for (int i = 0; i < MANY; i++) {
        char path[64];
        snprintf(path, sizeof path, "/d/e%d", i);
        put(world->task, path, "");
    }
    int32_t fd = open_file(world->task, "/d", VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    int64_t got;
    while ((got = check_ok(vrift_getdents(world->task, fd, buf, sizeof buf, 0))) > 0) {
        for (int64_t at = 0; at < got;) {
            const struct vrift_dirent *entry = (const void *)((const char *)buf + at);
            note_and_change(entry, vrift_dirent_name(entry), changing);
            at += entry->record_length;
        }
        change_some(changing);
    }
    check_ok(vrift_close(world->task, fd));
    assert_true(changing->step > 100);
    for (int i = 0; i < MANY; i++) {
        assert_in_range(changing->seen[i], i % 2 ? 0 : 1, 1);
        assert_in_range(changing->added[i], 0, 1);
    }
    free(changing);
}

static void a_big_directory_can_be_emptied(struct world *world)
{
    char path[64];
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0755));
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, "/d/e%d", i);
        put(world->task, path, "");
    }
    assert_int_equal(count_entries(world->task, "/d"), MANY);
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, "/d/e%d", i);
        check_ok(vrift_unlinkat(world->task, AT, path, 0));
    }
    assert_int_equal(count_entries(world->task, "/d"), 0);
    check_ok(vrift_unlinkat(world->task, AT, "/d", VRIFT_AT_REMOVEDIR));
}

struct maker {
    vrift_task *task;
    int number;
    int wrong;
};

static void *make_many(void *payload)
{
    struct maker *self = payload;
    for (int i = 0; i < 150 && !self->wrong; i++) {
        char own[64], shared[64];
        snprintf(own, sizeof own, "/d/own-%d-%d", self->number, i);
        snprintf(shared, sizeof shared, "/d/shared-%d", i);
        int32_t fd = vrift_openat(self->task, AT, own, VRIFT_O_CREAT | VRIFT_O_EXCL | VRIFT_O_WRONLY, 0644);
        if (fd < 0 || vrift_close(self->task, fd))
            self->wrong = 1;
        fd = vrift_openat(self->task, AT, shared, VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644);
        if (fd < 0 || vrift_close(self->task, fd))
            self->wrong = 1;
        if (i % 3 == 0 && vrift_unlinkat(self->task, AT, own, 0))
            self->wrong = 1;
    }
    return NULL;
}

static void four_threads_make_names_in_one_directory(struct world *world)
{
    pthread_t threads[4];
    struct maker makers[4];
    check_ok(vrift_mkdirat(world->task, AT, "/d", 0755));
    for (int i = 0; i < 4; i++) {
        makers[i] = (struct maker){.number = i};
        check_ok(vrift_task_fork(world->task, &makers[i].task));
        assert_int_equal(pthread_create(&threads[i], NULL, make_many, &makers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        vrift_task_free(makers[i].task);
        assert_false(makers[i].wrong);
    }
    assert_int_equal(count_entries(world->task, "/d"), 150 + 4 * 100);
}

const struct test_case name_cases[] = {
    {"directories_are_made_and_removed", directories_are_made_and_removed},
    {"a_removed_name_is_gone_and_can_be_made_anew", a_removed_name_is_gone_and_can_be_made_anew},
    {"hard_links_share_one_inode", hard_links_share_one_inode},
    {"a_hard_link_to_a_symlink_links_the_symlink_unless_told_to_follow",
     a_hard_link_to_a_symlink_links_the_symlink_unless_told_to_follow},
    {"symlinks_keep_any_text", symlinks_keep_any_text},
    {"fifos_sockets_and_devices_are_names", fifos_sockets_and_devices_are_names},
    {"an_open_file_survives_its_last_name", an_open_file_survives_its_last_name},
    {"what_only_a_path_descriptor_holds_survives_its_last_name",
     what_only_a_path_descriptor_holds_survives_its_last_name},
    {"nothing_can_be_made_in_a_removed_directory", nothing_can_be_made_in_a_removed_directory},
    {"names_of_any_bytes_are_made_and_removed", names_of_any_bytes_are_made_and_removed},
    {"a_name_of_256_bytes_is_too_long", a_name_of_256_bytes_is_too_long},
    {"names_that_differ_in_case_are_two", names_that_differ_in_case_are_two},
    {"creating_through_a_dangling_symlink_makes_its_target", creating_through_a_dangling_symlink_makes_its_target},
    {"a_nameless_file_can_get_a_name", a_nameless_file_can_get_a_name},
    {"what_stays_is_listed_once_while_others_come_and_go", what_stays_is_listed_once_while_others_come_and_go},
    {"a_big_directory_can_be_emptied", a_big_directory_can_be_emptied},
    {"four_threads_make_names_in_one_directory", four_threads_make_names_in_one_directory},
    {NULL, NULL},
};
