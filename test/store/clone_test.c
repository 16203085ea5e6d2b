/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "support/check.h"
#include "support/disk.h"
#include "support/tree.h"

#include <vrift/clone.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct place {
    char *path;
    char src[4200], dest[4200];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    place->path = temporary_directory();
    snprintf(place->src, sizeof place->src, "%s/src", place->path);
    snprintf(place->dest, sizeof place->dest, "%s/dest", place->path);
    *state = place;
    return mkdir(place->src, 0755);
}

static int tear_down(void **state)
{
    struct place *place = *state;
    remove_temporary_directory(place->path);
    free(place);
    return 0;
}

static unsigned without(const char *path)
{
    unsigned flags = setxattr(path, "user.probe", "", 0, 0) < 0 ? TREE_NO_XATTRS : 0;
    removexattr(path, "user.probe");
    return flags | (getuid() ? TREE_NO_DEVICES : 0);
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[8500];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static struct vrift_checkout_options options_for(uint32_t link)
{
    return (struct vrift_checkout_options){.size = sizeof(struct vrift_checkout_options), .link = link};
}

static void an_unusual_tree_comes_out_the_same_whatever_the_threads(void **state)
{
    struct place *place = *state;
    tree_make_unusual(place->src, without(place->src));
    if (getuid() == 0)
        tree_make_owners(place->src);
    static const uint32_t jobs[] = {1, 0, 7};
    for (size_t i = 0; i < 3; i++) {
        struct vrift_checkout_options options = options_for(i == 1 ? VRIFT_LINK_COPY : VRIFT_LINK_SMART);
        struct vrift_checkout_result result;
        char dest[4300];
        snprintf(dest, sizeof dest, "%s%zu", place->dest, i);
        options.jobs = jobs[i];
        mode_t before = umask(i == 1 ? 077 : 022);
        check_ok(vrift_clone_tree(place->src, dest, &options, &result));
        umask(before);
        tree_assert_same(place->src, dest, 0);
        assert_true(result.files > 340 && result.directories > 400 && result.symlinks >= 5);
        assert_int_equal(result.skipped_owners, 0);
        assert_int_equal(result.skipped_specials, 0);
        assert_int_equal(result.files, result.rungs.clone + result.rungs.kernel_copy + result.rungs.copy);
    }
    assert_int_equal(tree_count_names(place->path), 4); /* no temporary left */
}

static void hard_links_share_the_inodes_of_files(void **state)
{
    struct place *place = *state;
    struct vrift_checkout_options options = options_for(VRIFT_LINK_HARDLINK);
    struct vrift_checkout_result result;
    struct stat a, b;
    char path[8500];
    put(place->src, "file", "text");
    snprintf(path, sizeof path, "%s/sub", place->src);
    mkdir(path, 0555);
    check_ok(vrift_clone_tree(place->src, place->dest, &options, &result));
    assert_int_equal(result.rungs.hardlink, 1);
    assert_int_equal(result.bytes, 4);
    snprintf(path, sizeof path, "%s/file", place->src);
    assert_int_equal(stat(path, &a), 0);
    snprintf(path, sizeof path, "%s/file", place->dest);
    assert_int_equal(stat(path, &b), 0);
    assert_int_equal(a.st_ino, b.st_ino);
    snprintf(path, sizeof path, "%s/sub", place->dest);
    assert_int_equal(stat(path, &b), 0);
    assert_int_equal(b.st_mode & 0777, 0555);
}

static void single_files_symlinks_and_fifos_are_cloned(void **state)
{
    struct place *place = *state;
    char path[8500], target[16] = "";
    struct stat st;
    put(place->src, "file", "text");
    snprintf(path, sizeof path, "%s/file", place->src);
    assert_int_equal(chmod(path, 04751), 0);
    check_ok(vrift_clone_tree(path, place->dest, NULL, NULL));
    assert_int_equal(stat(place->dest, &st), 0);
    assert_int_equal(st.st_mode & 07777, 04751);
    assert_int_equal(st.st_size, 4);
    check_error(-VRIFT_EEXIST, vrift_clone_tree(path, place->dest, NULL, NULL));
    unlink(place->dest);
    mkdir(place->dest, 0755); /* an empty directory counts as absent */
    check_ok(vrift_clone_tree(path, place->dest, NULL, NULL));
    assert_int_equal(stat(place->dest, &st), 0);
    assert_true(S_ISREG(st.st_mode));
    unlink(place->dest);
    snprintf(path, sizeof path, "%s/link", place->src);
    symlink("nowhere", path);
    check_ok(vrift_clone_tree(path, place->dest, NULL, NULL));
    assert_int_equal(readlink(place->dest, target, sizeof target), 7);
    assert_string_equal(target, "nowhere");
    unlink(place->dest);
    snprintf(path, sizeof path, "%s/fifo", place->src);
    mkfifo(path, 0600);
    check_ok(vrift_clone_tree(path, place->dest, NULL, NULL));
    assert_int_equal(lstat(place->dest, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(tree_count_names(place->path), 2);
}

static void a_destination_in_use_or_inside_the_source_is_refused(void **state)
{
    struct place *place = *state;
    char path[8500];
    struct vrift_error_detail detail;
    put(place->src, "file", "text");
    mkdir(place->dest, 0755);
    put(place->dest, "file", "precious");
    check_error(-VRIFT_ENOTEMPTY, vrift_clone_tree(place->src, place->dest, NULL, NULL));
    check_ok(vrift_error_detail(&detail));
    assert_string_equal(detail.path, place->dest);
    snprintf(path, sizeof path, "%s/file", place->dest);
    check_error(-VRIFT_EEXIST, vrift_clone_tree(place->src, path, NULL, NULL));
    snprintf(path, sizeof path, "%s/inner", place->src);
    check_error(-VRIFT_EINVAL, vrift_clone_tree(place->src, path, NULL, NULL));
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/inner/x/", place->src);
    check_error(-VRIFT_EINVAL, vrift_clone_tree(place->src, path, NULL, NULL));
    snprintf(path, sizeof path, "%s/link", place->path);
    symlink("nowhere", path);
    check_error(-VRIFT_EEXIST, vrift_clone_tree(place->src, path, NULL, NULL));
    snprintf(path, sizeof path, "%s/no/such", place->path);
    check_error(-VRIFT_ENOENT, vrift_clone_tree(place->src, path, NULL, NULL));
    snprintf(path, sizeof path, "%s/free", place->path);
    check_error(-VRIFT_ENOENT, vrift_clone_tree("/no/such", path, NULL, NULL));
    check_error(-VRIFT_EINVAL, vrift_clone_tree(NULL, path, NULL, NULL));
    assert_int_equal(tree_count_names(place->dest), 1);
    assert_int_equal(tree_count_names(place->path), 3);
}

static void bad_options_are_refused(void **state)
{
    struct place *place = *state;
    struct vrift_checkout_options options = options_for(4);
    check_error(-VRIFT_EINVAL, vrift_clone_tree(place->src, place->dest, &options, NULL));
    options = options_for(0);
    options.flags = 2;
    check_error(-VRIFT_EINVAL, vrift_clone_tree(place->src, place->dest, &options, NULL));
    options = options_for(0);
    options.size = 4;
    check_error(-VRIFT_EINVAL, vrift_clone_tree(place->src, place->dest, &options, NULL));
    assert_int_equal(tree_count_names(place->path), 1);
}

static void an_empty_directory_reached_through_a_symlink_is_filled_in_place(void **state)
{
    struct place *place = *state;
    char real[4300];
    struct stat before, after;
    snprintf(real, sizeof real, "%s/real", place->path);
    mkdir(real, 0755);
    symlink("real", place->dest);
    put(place->src, "file", "text");
    assert_int_equal(stat(real, &before), 0);
    check_ok(vrift_clone_tree(place->src, place->dest, NULL, NULL));
    assert_int_equal(stat(real, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    tree_assert_same(place->src, real, 0);
}

static void an_own_directory_in_a_parent_of_others_is_filled_in_place(void **state)
{
    struct place *place = *state;
    struct stat before, after;
    if (getuid() != 0)
        skip_because("needs root to be two users");
    put(place->src, "file", "text");
    mkdir(place->dest, 0700);
    assert_int_equal(chown(place->dest, 65534, 65534), 0);
    assert_int_equal(chmod(place->path, 0755), 0);
    assert_int_equal(stat(place->dest, &before), 0);
    assert_int_equal(setegid(65534), 0);
    assert_int_equal(seteuid(65534), 0);
    int32_t status = vrift_clone_tree(place->src, place->dest, NULL, NULL);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
    check_ok(status);
    assert_int_equal(stat(place->dest, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    tree_assert_same(place->src, place->dest, TREE_IGNORE_OWNERS);
}

struct cancel {
    int calls, at;
};

static int32_t cancel_at(const struct vrift_progress *progress, void *payload)
{
    struct cancel *cancel = payload;
    assert_true(progress->files_done <= 1000);
    return ++cancel->calls == cancel->at ? 4711 : 0;
}

static void cancelling_leaves_nothing_and_comes_back_verbatim(void **state)
{
    struct place *place = *state;
    struct cancel cancel = {0, 1};
    struct vrift_checkout_options options = options_for(0);
    options.progress = cancel_at;
    options.payload = &cancel;
    tree_make_unusual(place->src, TREE_NO_XATTRS | TREE_NO_DEVICES);
    assert_int_equal(vrift_clone_tree(place->src, place->dest, &options, NULL), 4711);
    assert_int_equal(tree_count_names(place->path), 1);
    mkdir(place->dest, 0755);
    cancel = (struct cancel){0, 1};
    assert_int_equal(vrift_clone_tree(place->src, place->dest, &options, NULL), 4711);
    assert_int_equal(tree_count_names(place->dest), 0);
    assert_int_equal(tree_count_names(place->path), 2);
    cancel = (struct cancel){0, 0};
    check_ok(vrift_clone_tree(place->src, place->dest, &options, NULL));
    assert_true(cancel.calls >= 1);
}

static void a_full_disk_leaves_no_destination(void **state)
{
    struct place *place = *state;
    struct disk disk;
    struct vrift_error_detail detail;
    char dest[4200], inner[4300];
    disk_insert(&disk, "tmpfs", 1);
    if (disk.missing)
        skip_because("tmpfs: %s", disk.missing);
    tree_make_unusual(place->src, TREE_NO_XATTRS);
    snprintf(dest, sizeof dest, "%s/dest", disk.path);
    check_error(-VRIFT_ENOSPC, vrift_clone_tree(place->src, dest, NULL, NULL));
    check_ok(vrift_error_detail(&detail));
    assert_int_equal(detail.error, -VRIFT_ENOSPC);
    assert_true(strncmp(detail.path, dest, strlen(dest)) == 0 || strncmp(detail.path, "...", 3) == 0);
    assert_int_equal(tree_count_names(disk.path), 0);
    check_error(-VRIFT_ENOSPC, vrift_clone_tree(place->src, disk.path, NULL, NULL)); /* a mount point: in place */
    assert_int_equal(tree_count_names(disk.path), 0);
    snprintf(inner, sizeof inner, "%s/links", place->src);
    check_ok(vrift_clone_tree(inner, disk.path, NULL, NULL));
    assert_true(tree_count_names(disk.path) > 3);
    disk_eject(&disk);
}

static void inherited_acls_and_groups_do_not_leak_into_the_copy(void **state)
{
    struct place *place = *state;
    char command[9000], dest[4300];
    snprintf(command, sizeof command,
             "mkdir '%s/parent' && chmod 2777 '%s/parent' && setfacl -d -m u:1234:rwx '%s/parent'", place->path,
             place->path, place->path);
    put(place->src, "file", "text");
    if (system(command) != 0)
        skip_because("no ACLs here");
    if (getuid() == 0) {
        snprintf(command, sizeof command, "chgrp 4321 '%s/parent'", place->path);
        assert_int_equal(system(command), 0);
    }
    snprintf(dest, sizeof dest, "%s/parent/dest", place->path);
    check_ok(vrift_clone_tree(place->src, dest, NULL, NULL));
    tree_assert_same(place->src, dest, 0);
    snprintf(dest, sizeof dest, "%s/parent/file", place->path);
    snprintf(command, sizeof command, "%s/file", place->src);
    check_ok(vrift_clone_tree(command, dest, NULL, NULL));
    assert_int_equal(listxattr(dest, NULL, 0), 0);
}

struct meddler {
    char path[4300];
    atomic_int stop;
};

static void *meddle(void *payload)
{
    struct meddler *meddler = payload;
    struct timespec times[2] = {{0, UTIME_OMIT}, {0, 0}};
    while (!meddler->stop) {
        times[1].tv_nsec++;
        utimensat(AT_FDCWD, meddler->path, times, 0);
    }
    return NULL;
}

static void a_file_that_changes_while_it_is_copied_is_told_of(void **state)
{
    struct place *place = *state;
    struct meddler meddler = {.stop = 0};
    struct vrift_checkout_options options = options_for(VRIFT_LINK_COPY);
    struct vrift_error_detail detail;
    pthread_t thread;
    int32_t result = 0;
    snprintf(meddler.path, sizeof meddler.path, "%s/file", place->src);
    put(place->src, "file", "");
    assert_int_equal(truncate(meddler.path, 1 << 20), 0);
    int fd = open(meddler.path, O_WRONLY | O_CLOEXEC);
    for (int i = 0; i < 256; i++) /* no holes, so that the copy takes its time */
        assert_int_equal(pwrite(fd, &i, sizeof i, i * 4096), sizeof i);
    close(fd);
    assert_int_equal(pthread_create(&thread, NULL, meddle, &meddler), 0);
    for (int i = 0; i < 2000 && result != -VRIFT_ESTALE; i++) {
        result = vrift_clone_tree(place->src, place->dest, &options, NULL);
        char command[4300];
        snprintf(command, sizeof command, "rm -rf '%s'", place->dest);
        if (!result)
            assert_int_equal(system(command), 0);
    }
    check_ok(vrift_error_detail(&detail));
    meddler.stop = 1;
    pthread_join(thread, NULL);
    check_error(-VRIFT_ESTALE, result);
    assert_string_equal(detail.path, meddler.path);
    assert_string_equal(detail.reason, "the source changed while it was copied");
    assert_int_equal(tree_count_names(place->path), 1);
}

static void without_privilege_owners_are_counted_and_set_id_bits_dropped(void **state)
{
    struct place *place = *state;
    struct vrift_checkout_result result;
    struct stat st;
    char path[4300];
    if (getuid() != 0)
        skip_because("needs root to give files away");
    put(place->src, "mine", "x");
    put(place->src, "set-id", "x");
    snprintf(path, sizeof path, "%s/set-id", place->src);
    assert_int_equal(chmod(path, 04755), 0);
    snprintf(path, sizeof path, "%s/mine", place->src);
    assert_int_equal(chown(path, 65534, 65534), 0);
    assert_int_equal(chmod(path, 04711), 0);
    assert_int_equal(chmod(place->path, 0777), 0);
    assert_int_equal(setegid(65534), 0);
    assert_int_equal(seteuid(65534), 0);
    int32_t status = vrift_clone_tree(place->src, place->dest, NULL, &result);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
    check_ok(status);
    assert_int_equal(result.skipped_owners, 2); /* set-id, and the root */
    snprintf(path, sizeof path, "%s/set-id", place->dest);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    snprintf(path, sizeof path, "%s/mine", place->dest);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 04711);
}

static void clones_are_taken_where_the_file_system_has_them(void **state)
{
    struct place *place = *state;
    struct disk disk;
    struct vrift_checkout_options options = options_for(VRIFT_LINK_SMART);
    struct vrift_checkout_result result;
    struct vrift_rungs rungs;
    char src[4200], dest[4200];
    check_ok(vrift_clone_probe(place->path, place->path, &rungs));
    assert_int_equal(rungs.copy, 1);
    assert_int_equal(rungs.hardlink, 1);
    disk_insert(&disk, "xfs", 400);
    if (disk.missing)
        skip_because("xfs: %s", disk.missing);
    snprintf(src, sizeof src, "%s/src", disk.path);
    snprintf(dest, sizeof dest, "%s/dest", disk.path);
    mkdir(src, 0755);
    tree_make_unusual(src, 0);
    check_ok(vrift_clone_tree(src, dest, &options, &result));
    tree_assert_same(src, dest, 0);
    assert_true(result.rungs.clone > 5);
    options.link = VRIFT_LINK_REFLINK;
    snprintf(dest, sizeof dest, "%s/dest2", disk.path);
    check_ok(vrift_clone_tree(src, dest, &options, &result));
    tree_assert_same(src, dest, 0);
    check_error(-VRIFT_EXDEV, vrift_clone_tree(src, place->dest, &options, &result));
    assert_int_equal(tree_count_names(place->path), 1);
    check_ok(vrift_clone_probe(disk.path, disk.path, &rungs));
    assert_true(rungs.hardlink == 1 && rungs.clone == 1 && rungs.kernel_copy == 1 && rungs.copy == 1);
    check_ok(vrift_clone_probe(disk.path, place->path, &rungs));
    assert_int_equal(rungs.clone, 0);
    assert_int_equal(rungs.clone_error, -VRIFT_EXDEV);
    assert_int_equal(rungs.hardlink_error, -VRIFT_EXDEV);
    assert_int_equal(tree_count_names(disk.path), 3);
    check_error(-VRIFT_ENOENT, vrift_clone_probe("/no/such", place->path, &rungs));
    disk_eject(&disk);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_unusual_tree_comes_out_the_same_whatever_the_threads),
        TEST(hard_links_share_the_inodes_of_files),
        TEST(single_files_symlinks_and_fifos_are_cloned),
        TEST(a_destination_in_use_or_inside_the_source_is_refused),
        TEST(bad_options_are_refused),
        TEST(an_empty_directory_reached_through_a_symlink_is_filled_in_place),
        TEST(an_own_directory_in_a_parent_of_others_is_filled_in_place),
        TEST(cancelling_leaves_nothing_and_comes_back_verbatim),
        TEST(a_full_disk_leaves_no_destination),
        TEST(inherited_acls_and_groups_do_not_leak_into_the_copy),
        TEST(a_file_that_changes_while_it_is_copied_is_told_of),
        TEST(without_privilege_owners_are_counted_and_set_id_bits_dropped),
        TEST(clones_are_taken_where_the_file_system_has_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
