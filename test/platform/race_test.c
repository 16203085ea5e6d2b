/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Somebody exchanges a directory with a symlink that leads outside, again and again, while we work in it. */
#include "support/check.h"

#include "platform/fileops.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char *path;
    int dir;
    pthread_t attacker;
    atomic_int stop;
    atomic_ulong exchanges;
};

static void *attack(void *payload)
{
    struct place *place = payload;
    while (!place->stop) {
        if (renameat2(place->dir, "tree/sub", place->dir, "link", RENAME_EXCHANGE) == 0)
            place->exchanges++;
    }
    return NULL;
}

static void put(int dir, const char *name)
{
    int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    place->path = temporary_directory();
    place->dir = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    mkdirat(place->dir, "outside", 0755);
    mkdirat(place->dir, "outside/below", 0755);
    put(place->dir, "outside/secret");
    put(place->dir, "outside/below/precious");
    mkdirat(place->dir, "tree", 0755);
    mkdirat(place->dir, "tree/sub", 0755);
    put(place->dir, "tree/sub/file");
    symlinkat("../outside", place->dir, "link");
    *state = place;
    return pthread_create(&place->attacker, NULL, attack, place);
}

static void end_attack(struct place *place)
{
    if (!place->stop) {
        place->stop = 1;
        pthread_join(place->attacker, NULL);
    }
}

static int tear_down(void **state)
{
    struct place *place = *state;
    end_attack(place);
    close(place->dir);
    remove_temporary_directory(place->path);
    free(place);
    return 0;
}

static void opening_beneath_finds_no_way_out(void **state)
{
    struct place *place = *state;
    int tree = openat(place->dir, "tree", O_PATH | O_DIRECTORY | O_CLOEXEC);
    unsigned inside = 0;
    for (int i = 0; i < 20000; i++) {
        uint32_t how = i % 2 ? VR_FILEOPS_NO_OPENAT2 : 0;
        int32_t fd = vr_fileops_open_beneath(tree, "sub/secret", O_RDONLY, 0, how);
        assert_true(fd < 0);
        fd = vr_fileops_open_beneath(tree, "sub/file", O_RDONLY, 0, how);
        if (fd >= 0) {
            inside++;
            close(fd);
        } else {
            /* EXDEV: the directory was moved out of the tree while openat2() was in it. */
            assert_true(fd == -VRIFT_ENOENT || fd == -VRIFT_ELOOP || fd == -VRIFT_ENOTDIR || fd == -VRIFT_EXDEV);
        }
    }
    close(tree);
    end_attack(place);
    assert_true(inside > 0 && place->exchanges > 0);
}

static void removal_spares_what_is_outside(void **state)
{
    struct place *place = *state;
    char name[64];
    for (int i = 0; i < 300; i++) {
        int32_t result = vr_fileops_remove_tree(place->dir, "tree");
        if (result != -VRIFT_ESTALE && result != -VRIFT_ENOTEMPTY && result != -VRIFT_ENOTDIR &&
            result != -VRIFT_EISDIR)
            check_ok(result);
        assert_int_equal(faccessat(place->dir, "outside/secret", F_OK, 0), 0);
        assert_int_equal(faccessat(place->dir, "outside/below/precious", F_OK, 0), 0);
        mkdirat(place->dir, "tree", 0755);
        mkdirat(place->dir, "tree/sub", 0755);
        for (int k = 0; k < 5; k++) {
            snprintf(name, sizeof name, "tree/sub/%d", k);
            int fd = openat(place->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
            if (fd >= 0)
                close(fd);
        }
    }
    end_attack(place);
    assert_true(place->exchanges > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opening_beneath_finds_no_way_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(removal_spares_what_is_outside, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
