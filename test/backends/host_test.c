/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The host backend through its own slots: what others do to the directory at the same time. */
#include "backends/host/host.h"
#include "support/check.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct vrift_backend_ops *const ops = &vr_hostfs_ops;

struct world {
    struct vr_hostfs *fs;
    struct vrift_entry root;
    char *path;
    int dir; /* the same directory, for the others */
};

static void make_world(struct world *world, uint64_t flags)
{
    struct vrift_host_options options = {.size = sizeof options, .flags = flags};
    world->path = temporary_directory();
    world->dir = open(world->path, O_RDONLY | O_DIRECTORY);
    assert_true(world->dir >= 0);
    check_ok(vr_hostfs_new(NULL, world->path, &options, &world->fs));
    check_ok(ops->root(world->fs, &world->root));
}

static void free_world(struct world *world)
{
    ops->forget(world->fs, &world->root.node);
    assert_int_equal(world->fs->node_count, 1); /* every node was given back */
    ops->destroy(world->fs);
    close(world->dir);
    remove_temporary_directory(world->path);
}

static struct vrift_name name_of(const char *text)
{
    return (struct vrift_name){.bytes = text, .length = (uint32_t)strlen(text)};
}

static int32_t look_up(struct world *world, const struct vrift_entry *dir, const char *text, struct vrift_entry *out)
{
    struct vrift_name name = name_of(text);
    uint32_t done;
    return ops->walk(world->fs, &dir->node, &name, 1, out, &done);
}

static void forget(struct world *world, const struct vrift_entry *entry)
{
    ops->forget(world->fs, &entry->node);
}

static void put_file(int dir, const char *name, const char *text)
{
    int fd = openat(dir, name, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* Drops every descriptor that the backend keeps open, so that the next use goes by path. */
static void drop_descriptors(struct world *world)
{
    while (world->fs->listed > 0) {
        struct vr_hostnode *node = world->fs->oldest;
        vr_hostfd_unlist(world->fs, node);
        vr_hostfd_unref(world->fs, node->fd);
        node->fd = NULL;
    }
}

/* -- A hostile host ------------------------------------------------------------------------------------------------ */

struct attack {
    int dir;
    _Atomic int stop;
    uint64_t swaps;
};

static void *swap_for_ever(void *payload)
{
    struct attack *attack = payload;
    while (!atomic_load(&attack->stop)) {
        if (renameat2(attack->dir, "d", attack->dir, "s", RENAME_EXCHANGE) == 0)
            attack->swaps++;
    }
    return NULL;
}

/* "d" is a directory with a file "inside"; "s" a symlink to a directory outside, whose file of that name is a trap. */
static void race(uint64_t flags, int by_path)
{
    struct world world;
    struct attack attack = {0};
    char *outside = temporary_directory();
    int out_dir = open(outside, O_RDONLY | O_DIRECTORY);
    pthread_t thread;
    unsigned right = 0;
    unsigned refused = 0;
    make_world(&world, flags);
    assert_int_equal(mkdirat(world.dir, "d", 0755), 0);
    assert_int_equal(symlinkat(outside, world.dir, "s"), 0);
    int d = openat(world.dir, "d", O_RDONLY | O_DIRECTORY);
    put_file(d, "inside", "right");
    close(d);
    put_file(out_dir, "inside", "TRAP!");
    attack.dir = world.dir;
    assert_int_equal(pthread_create(&thread, NULL, swap_for_ever, &attack), 0);
    /* Until both outcomes were seen often enough; on a busy machine the two threads take turns slowly. */
    for (int round = 0; round < 4000 || ((right < 20 || refused < 20) && round < 400000); round++) {
        struct vrift_name names[2] = {name_of("d"), name_of("inside")};
        struct vrift_entry found[2];
        uint32_t done = 0;
        void *file;
        char buf[5];
        if (by_path)
            drop_descriptors(&world);
        int32_t error = ops->walk(world.fs, &world.root.node, names, 2, found, &done);
        if (!error && done == 2) {
            if (by_path)
                drop_descriptors(&world);
            error = ops->open(world.fs, &found[1].node, VRIFT_O_RDWR, &file);
            if (!error) {
                assert_int_equal(ops->pread(world.fs, &found[1].node, file, buf, sizeof buf, 0), 5);
                assert_memory_equal(buf, "right", 5);
                ops->release(world.fs, &found[1].node, file);
                right++;
            }
        }
        if (error || done < 2)
            refused++;
        while (done > 0)
            forget(&world, &found[--done]);
    }
    atomic_store(&attack.stop, 1);
    pthread_join(thread, NULL);
    printf("# %llu swaps, %u opened inside, %u refused, 0 outside\n", (unsigned long long)attack.swaps, right, refused);
    assert_true(right > 0);
    assert_true(refused > 0);
    free_world(&world);
    close(out_dir);
    remove_temporary_directory(outside);
}

static void a_directory_swapped_for_a_symlink_never_leads_outside(void **state)
{
    (void)state;
    race(0, 0);
}

static void nor_when_every_descriptor_is_opened_anew_by_path(void **state)
{
    (void)state;
    race(0, 1);
}

static void nor_without_openat2(void **state)
{
    (void)state;
    race(VRIFT_HOST_NO_OPENAT2, 1);
}

static void a_symlink_in_place_of_a_known_directory_is_stale(void **state)
{
    struct world world;
    struct vrift_entry d, f;
    void *file;
    char *outside = temporary_directory();
    (void)state;
    make_world(&world, 0);
    assert_int_equal(mkdirat(world.dir, "d", 0755), 0);
    int dir = openat(world.dir, "d", O_RDONLY | O_DIRECTORY);
    put_file(dir, "f", "in");
    check_ok(look_up(&world, &world.root, "d", &d));
    check_ok(look_up(&world, &d, "f", &f));
    assert_int_equal(renameat(world.dir, "d", world.dir, "elsewhere"), 0);
    assert_int_equal(symlinkat(outside, world.dir, "d"), 0);
    drop_descriptors(&world);
    check_error(-VRIFT_ESTALE, ops->open(world.fs, &f.node, VRIFT_O_RDONLY, &file));
    struct vrift_stat attr;
    check_error(-VRIFT_ESTALE, ops->getattr(world.fs, &d.node, VRIFT_STAT_BASIC, &attr));
    struct vrift_name name = name_of("d");
    check_error(-VRIFT_ESTALE, ops->revalidate(world.fs, &world.root.node, &name, &d.node, &attr));
    close(dir);
    forget(&world, &d);
    forget(&world, &f);
    free_world(&world);
    remove_temporary_directory(outside);
}

/* -- Identity ------------------------------------------------------------------------------------------------------ */

static void a_file_in_place_of_another_has_another_key_and_the_old_node_is_stale(void **state)
{
    struct world world;
    struct vrift_entry old, new;
    struct vrift_stat attr;
    (void)state;
    make_world(&world, 0);
    put_file(world.dir, "f", "old");
    check_ok(look_up(&world, &world.root, "f", &old));
    put_file(world.dir, "g", "new");
    assert_int_equal(renameat(world.dir, "g", world.dir, "f"), 0);
    check_error(-VRIFT_ESTALE, ops->getattr(world.fs, &old.node, VRIFT_STAT_BASIC, &attr));
    check_ok(look_up(&world, &world.root, "f", &new));
    assert_memory_not_equal(&old.node.key, &new.node.key, sizeof old.node.key);
    forget(&world, &old);
    forget(&world, &new);
    free_world(&world);
}

static void two_names_of_one_inode_are_one_node(void **state)
{
    struct world world;
    struct vrift_entry a, b;
    struct vrift_stat attr;
    struct vrift_name name = name_of("b");
    (void)state;
    make_world(&world, 0);
    put_file(world.dir, "a", "1");
    assert_int_equal(linkat(world.dir, "a", world.dir, "b", 0), 0);
    check_ok(look_up(&world, &world.root, "a", &a));
    check_ok(look_up(&world, &world.root, "b", &b));
    assert_ptr_equal(a.node.handle, b.node.handle);
    check_ok(ops->unlink(world.fs, &world.root.node, &name, &b.node, 0));
    check_ok(ops->getattr(world.fs, &a.node, VRIFT_STAT_BASIC, &attr)); /* though its last known name is gone */
    assert_int_equal(attr.nlink, 1);
    check_ok(look_up(&world, &world.root, "a", &b));
    check_ok(ops->getattr(world.fs, &a.node, VRIFT_STAT_BASIC, &attr));
    forget(&world, &a);
    forget(&world, &b);
    forget(&world, &b);
    free_world(&world);
}

static void an_unlinked_inode_stays_usable_until_forgotten(void **state)
{
    struct world world;
    struct vrift_entry f;
    struct vrift_stat attr;
    struct vrift_name name = name_of("f");
    void *file;
    char buf[8];
    (void)state;
    make_world(&world, 0);
    put_file(world.dir, "f", "hello");
    check_ok(look_up(&world, &world.root, "f", &f));
    check_ok(ops->unlink(world.fs, &world.root.node, &name, &f.node, 0));
    check_ok(ops->getattr(world.fs, &f.node, VRIFT_STAT_BASIC, &attr));
    assert_int_equal(attr.nlink, 0);
    check_ok(ops->open(world.fs, &f.node, VRIFT_O_RDWR, &file));
    assert_int_equal(ops->pread(world.fs, &f.node, file, buf, sizeof buf, 0), 5);
    check_ok(ops->release(world.fs, &f.node, file));
    forget(&world, &f);
    free_world(&world);
}

static void no_descriptor_for_writing_is_left_after_release(void **state)
{
    struct world world;
    struct vrift_entry f;
    struct vrift_name name = name_of("f");
    struct vrift_create how = {.size = sizeof how, .mode = VRIFT_S_IFREG | 0755};
    void *file;
    (void)state;
    how.uid = geteuid();
    how.gid = getegid();
    make_world(&world, 0);
    check_ok(ops->create(world.fs, &world.root.node, &name, &how, &f));
    check_ok(ops->open(world.fs, &f.node, VRIFT_O_RDWR, &file));
    check_ok(ops->release(world.fs, &f.node, file));
    struct vr_hostnode *node = f.node.handle;
    assert_null(node->fd);
    assert_null(node->fresh);
    forget(&world, &f);
    free_world(&world);
}

static void many_files_made_and_never_opened_keep_few_descriptors(void **state)
{
    struct world world;
    static struct vrift_entry files[200];
    struct vrift_create how = {.size = sizeof how, .mode = VRIFT_S_IFREG | 0644};
    unsigned waiting = 0;
    (void)state;
    how.uid = geteuid();
    how.gid = getegid();
    make_world(&world, 0);
    for (int i = 0; i < 200; i++) {
        char text[16];
        snprintf(text, sizeof text, "f%d", i);
        struct vrift_name name = name_of(text);
        check_ok(ops->create(world.fs, &world.root.node, &name, &how, &files[i]));
    }
    for (int i = 0; i < 200; i++)
        waiting += ((struct vr_hostnode *)files[i].node.handle)->fresh != NULL;
    assert_int_equal(waiting, VR_HOST_FRESH);
    for (int i = 0; i < 200; i++)
        forget(&world, &files[i]);
    free_world(&world);
}

static void a_tree_of_more_directories_than_descriptors_works(void **state)
{
    struct world world;
    static struct vrift_entry dirs[VR_HOST_FDS * 2];
    struct vrift_stat attr;
    (void)state;
    make_world(&world, 0);
    for (unsigned i = 0; i < VR_HOST_FDS * 2; i++) {
        char text[16];
        snprintf(text, sizeof text, "d%u", i);
        assert_int_equal(mkdirat(world.dir, text, 0755), 0);
        check_ok(look_up(&world, &world.root, text, &dirs[i]));
        struct vrift_entry none;
        check_error(-VRIFT_ENOENT, look_up(&world, &dirs[i], "x", &none));
    }
    assert_int_equal(world.fs->listed, VR_HOST_FDS);
    for (unsigned i = 0; i < VR_HOST_FDS * 2; i++) {
        check_ok(ops->getattr(world.fs, &dirs[i].node, VRIFT_STAT_BASIC, &attr));
        forget(&world, &dirs[i]);
    }
    free_world(&world);
}

static void a_path_longer_than_the_host_takes_is_opened_in_pieces(void **state)
{
    struct world world;
    struct vrift_entry at;
    struct vrift_stat attr;
    char text[201];
    struct vrift_name name = {.bytes = text, .length = 200};
    struct vrift_create how = {.size = sizeof how, .mode = VRIFT_S_IFDIR | 0755};
    static struct vrift_entry chain[60];
    (void)state;
    how.uid = geteuid();
    how.gid = getegid();
    memset(text, 'x', 200);
    text[200] = '\0';
    make_world(&world, 0);
    at = world.root;
    for (int i = 0; i < 60; i++) {
        check_ok(ops->create(world.fs, &at.node, &name, &how, &chain[i]));
        at = chain[i];
    }
    drop_descriptors(&world);
    check_ok(ops->getattr(world.fs, &at.node, VRIFT_STAT_BASIC, &attr));
    assert_int_equal(attr.mode, VRIFT_S_IFDIR | 0755);
    drop_descriptors(&world);
    struct vrift_entry none;
    check_error(-VRIFT_ENOENT, look_up(&world, &at, "x", &none));
    for (int i = 59; i >= 0; i--)
        forget(&world, &chain[i]);
    free_world(&world);
}

static void the_umask_of_the_process_does_not_matter(void **state)
{
    struct world world;
    struct vrift_entry made;
    struct vrift_name d = name_of("d"), f = name_of("f"), p = name_of("p");
    struct vrift_create how = {.size = sizeof how, .mode = VRIFT_S_IFDIR | 0777};
    (void)state;
    how.uid = geteuid();
    how.gid = getegid();
    make_world(&world, 0);
    mode_t old = umask(077);
    check_ok(ops->create(world.fs, &world.root.node, &d, &how, &made));
    assert_int_equal(made.attr.mode & 07777, 0777);
    forget(&world, &made);
    how.mode = VRIFT_S_IFREG | 06666;
    check_ok(ops->create(world.fs, &world.root.node, &f, &how, &made));
    assert_int_equal(made.attr.mode & 07777, 06666);
    forget(&world, &made);
    how.mode = VRIFT_S_IFIFO | 0622;
    check_ok(ops->create(world.fs, &world.root.node, &p, &how, &made));
    assert_int_equal(made.attr.mode & 07777, 0622);
    forget(&world, &made);
    umask(old);
    free_world(&world);
}

static void appending_reports_where_it_ended(void **state)
{
    struct world world;
    struct vrift_entry f;
    void *one;
    void *other;
    uint64_t end = 0;
    (void)state;
    make_world(&world, 0);
    put_file(world.dir, "f", "abc");
    check_ok(look_up(&world, &world.root, "f", &f));
    check_ok(ops->open(world.fs, &f.node, VRIFT_O_RDWR, &one));
    check_ok(ops->open(world.fs, &f.node, VRIFT_O_RDWR, &other));
    assert_int_equal(ops->pwrite(world.fs, &f.node, one, "de", 2, 0, VRIFT_O_APPEND, &end), 2);
    assert_int_equal(end, 5);
    assert_int_equal(ops->pwrite(world.fs, &f.node, other, "f", 1, 0, VRIFT_O_APPEND, &end), 1);
    assert_int_equal(end, 6);
    assert_int_equal(ops->pwrite(world.fs, &f.node, other, "X", 1, 0, 0, &end), 1);
    assert_int_equal(end, 1);
    check_ok(ops->release(world.fs, &f.node, one));
    check_ok(ops->release(world.fs, &f.node, other));
    forget(&world, &f);
    free_world(&world);
}

static void files_that_lose_one_of_two_names_keep_few_descriptors(void **state)
{
    struct world world;
    static struct vrift_entry files[VR_HOST_FDS * 2];
    struct vrift_entry again;
    struct vrift_stat attr;
    unsigned open = 0;
    (void)state;
    make_world(&world, 0);
    for (unsigned i = 0; i < VR_HOST_FDS * 2; i++) {
        char one[16], other[16];
        snprintf(one, sizeof one, "a%u", i);
        snprintf(other, sizeof other, "b%u", i);
        put_file(world.dir, one, "x");
        assert_int_equal(linkat(world.dir, one, world.dir, other, 0), 0);
        check_ok(look_up(&world, &world.root, other, &again));
        forget(&world, &again);
        check_ok(look_up(&world, &world.root, one, &files[i]));
        struct vrift_name name = name_of(one);
        check_ok(ops->unlink(world.fs, &world.root.node, &name, &files[i].node, 0));
        check_ok(ops->getattr(world.fs, &files[i].node, VRIFT_STAT_BASIC, &attr));
        assert_int_equal(attr.nlink, 1);
    }
    for (unsigned i = 0; i < VR_HOST_FDS * 2; i++)
        open += ((struct vr_hostnode *)files[i].node.handle)->fd != NULL;
    assert_in_range(open, 1, VR_HOST_FDS);
    check_error(-VRIFT_ESTALE, ops->getattr(world.fs, &files[0].node, VRIFT_STAT_BASIC, &attr));
    check_ok(look_up(&world, &world.root, "b0", &again));
    check_ok(ops->getattr(world.fs, &files[0].node, VRIFT_STAT_BASIC, &attr));
    forget(&world, &again);
    for (unsigned i = 0; i < VR_HOST_FDS * 2; i++)
        forget(&world, &files[i]);
    free_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_directory_swapped_for_a_symlink_never_leads_outside),
        cmocka_unit_test(nor_when_every_descriptor_is_opened_anew_by_path),
        cmocka_unit_test(nor_without_openat2),
        cmocka_unit_test(a_symlink_in_place_of_a_known_directory_is_stale),
        cmocka_unit_test(a_file_in_place_of_another_has_another_key_and_the_old_node_is_stale),
        cmocka_unit_test(two_names_of_one_inode_are_one_node),
        cmocka_unit_test(an_unlinked_inode_stays_usable_until_forgotten),
        cmocka_unit_test(no_descriptor_for_writing_is_left_after_release),
        cmocka_unit_test(many_files_made_and_never_opened_keep_few_descriptors),
        cmocka_unit_test(files_that_lose_one_of_two_names_keep_few_descriptors),
        cmocka_unit_test(a_tree_of_more_directories_than_descriptors_works),
        cmocka_unit_test(a_path_longer_than_the_host_takes_is_opened_in_pieces),
        cmocka_unit_test(the_umask_of_the_process_does_not_matter),
        cmocka_unit_test(appending_reports_where_it_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
