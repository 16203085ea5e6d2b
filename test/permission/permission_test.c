/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the random questions (permission_random_test) do not reach: options, limits, costs, memory, other processes. */
#include "support/world.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define HERE VRIFT_AT_FDCWD

static const char named_user[] = "\2\0\0\0"                   /* for uid 1000: r-x; others get nothing */
                                 "\1\0\7\0\377\377\377\377"   /* user:: */
                                 "\2\0\5\0\350\3\0\0"         /* user:1000: */
                                 "\4\0\0\0\377\377\377\377"   /* group:: */
                                 "\20\0\7\0\377\377\377\377"  /* mask:: */
                                 "\40\0\0\0\377\377\377\377"; /* other:: */
#define NAMED_USER named_user, sizeof named_user - 1

static int set_up(void **state)
{
    *state = world_new(NULL);
    return 0;
}

static int tear_down(void **state)
{
    world_free(*state);
    return 0;
}

static void become(struct world *w, uint32_t uid, uint64_t capabilities)
{
    struct vrift_cred_options options = {.size = sizeof options, .uid = uid, .gid = uid, .capabilities = capabilities};
    vrift_cred *cred;
    check_ok(vrift_cred_new(w->vfs, &options, &cred));
    check_ok(vrift_task_set_cred(w->task, cred));
    vrift_cred_unref(cred);
}

static void become_root(struct world *w)
{
    become(w, 0, VRIFT_CAP_ALL);
}

/* -- Protections --------------------------------------------------------------------------------------------------- */

/* An instance with a directory of this mode that has a file, a fifo and a symlink of uid 1000; asked by uid 1001. */
static struct world *planted(uint32_t protect, uint32_t mode)
{
    struct vrift_vfs_options options = {.size = sizeof options, .protect = protect};
    struct world *w = world_new(&options);
    world_file(w, "/target", "target");
    check_ok(vrift_fchmodat(w->task, HERE, "/target", 0666, 0));
    check_ok(vrift_mkdirat(w->task, HERE, "/tmp", 0777));
    become(w, 1000, 0);
    check_ok(vrift_openat(w->task, HERE, "/tmp/file", VRIFT_O_CREAT | VRIFT_O_RDWR, 0666));
    check_ok(vrift_mknodat(w->task, HERE, "/tmp/fifo", VRIFT_S_IFIFO | 0666, 0));
    check_ok(vrift_symlinkat(w->task, "/target", HERE, "/tmp/link"));
    check_ok(vrift_symlinkat(w->task, "..", HERE, "/tmp/up"));
    become_root(w);
    check_ok(vrift_fchownat(w->task, HERE, "/tmp", 0, 1001, 0));
    check_ok(vrift_fchmodat(w->task, HERE, "/tmp", mode, 0));
    become(w, 1001, 0);
    return w;
}

static int32_t open_in(struct world *w, const char *path, uint64_t flags)
{
    int32_t fd = vrift_openat(w->task, HERE, path, flags | VRIFT_O_NONBLOCK, 0666);
    if (fd >= 0)
        check_ok(vrift_close(w->task, fd));
    return fd < 0 ? fd : 0;
}

static void links_of_others_are_not_followed_in_a_sticky_shared_directory(void **state)
{
    (void)state;
    struct world *w = planted(VRIFT_PROTECT_SYMLINKS, 01777);
    check_error(-VRIFT_EACCES, open_in(w, "/tmp/link", VRIFT_O_RDONLY));
    check_error(-VRIFT_EACCES, open_in(w, "/tmp/up/", VRIFT_O_RDONLY));
    check_ok(open_in(w, "/tmp/up/target", VRIFT_O_RDONLY)); /* only at the end of a path */
    check_ok(open_in(w, "/tmp/link", VRIFT_O_PATH | VRIFT_O_NOFOLLOW));
    become(w, 1000, 0);
    check_ok(open_in(w, "/tmp/link", VRIFT_O_RDONLY));
    become_root(w);
    check_error(-VRIFT_EACCES, open_in(w, "/tmp/link", VRIFT_O_RDONLY)); /* capabilities do not help */
    check_ok(vrift_fchownat(w->task, HERE, "/tmp", 1000, 1000, 0));
    check_ok(open_in(w, "/tmp/link", VRIFT_O_RDONLY)); /* the directory is the link's owner's */
    world_free(w);
    w = planted(VRIFT_PROTECT_SYMLINKS, 01775);
    check_ok(open_in(w, "/tmp/link", VRIFT_O_RDONLY));
    world_free(w);
    w = planted(VRIFT_PROTECT_NOTHING, 01777);
    check_ok(open_in(w, "/tmp/link", VRIFT_O_RDONLY));
    world_free(w);
}

static void creating_does_not_open_what_others_have_put_there(void **state)
{
    (void)state;
    static const struct {
        uint32_t protect, mode;
        int32_t file, fifo;
    } cases[] = {
        {VRIFT_PROTECT_NOTHING, 01777, 0, 0},
        {VRIFT_PROTECT_REGULAR, 01777, -VRIFT_EACCES, 0},
        {VRIFT_PROTECT_REGULAR, 01775, 0, 0},
        {VRIFT_PROTECT_REGULAR | VRIFT_PROTECT_REGULAR_GROUP, 01775, -VRIFT_EACCES, 0},
        {VRIFT_PROTECT_FIFOS, 01777, 0, -VRIFT_EACCES},
        {VRIFT_PROTECT_FIFOS, 01775, 0, 0},
        {VRIFT_PROTECT_FIFOS | VRIFT_PROTECT_FIFOS_GROUP, 01775, 0, -VRIFT_EACCES},
        {VRIFT_PROTECT_REGULAR | VRIFT_PROTECT_FIFOS, 0777, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world *w = planted(cases[i].protect, cases[i].mode);
        int32_t fifo = open_in(w, "/tmp/fifo", VRIFT_O_CREAT | VRIFT_O_RDWR);
        assert_int_equal(open_in(w, "/tmp/file", VRIFT_O_CREAT | VRIFT_O_RDWR), cases[i].file);
        assert_true((fifo == -VRIFT_EACCES) == (cases[i].fifo == -VRIFT_EACCES));
        check_ok(open_in(w, "/tmp/file", VRIFT_O_RDWR));
        world_free(w);
    }
}

static void who_may_not_write_a_file_links_it_only_where_that_is_not_protected(void **state)
{
    (void)state;
    struct world *w = planted(VRIFT_PROTECT_HARDLINKS, 0777);
    check_ok(vrift_linkat(w->task, HERE, "/tmp/file", HERE, "/tmp/b", 0));
    check_error(-VRIFT_EPERM, vrift_linkat(w->task, HERE, "/tmp/fifo", HERE, "/tmp/c", 0));
    world_free(w);
    w = planted(VRIFT_PROTECT_NOTHING, 0777);
    check_ok(vrift_linkat(w->task, HERE, "/tmp/fifo", HERE, "/tmp/c", 0));
    world_free(w);
}

static void unknown_protections_are_refused(void **state)
{
    (void)state;
    struct vrift_vfs_options options = {.size = sizeof options, .protect = 0x40};
    vrift_vfs *vfs;
    check_error(-VRIFT_EINVAL, vrift_vfs_new(&options, &vfs));
    options.protect = VRIFT_PROTECT_NOTHING | VRIFT_PROTECT_SYMLINKS;
    check_error(-VRIFT_EINVAL, vrift_vfs_new(&options, &vfs));
}

/* -- Limits -------------------------------------------------------------------------------------------------------- */

static void xattrs_have_the_limits_of_linux(void **state)
{
    struct world *w = *state;
    static char value[65537], name[300], list[70000];
    world_file(w, "/f", "");
    memset(name, 'n', sizeof name);
    memcpy(name, "user.", 5);
    name[256] = '\0';
    check_error(-VRIFT_ERANGE, vrift_setxattrat(w->task, HERE, "/f", name, "", 0, 0));
    check_error(-VRIFT_ERANGE, vrift_getxattrat(w->task, HERE, "/f", name, NULL, 0, 0));
    check_error(-VRIFT_ERANGE, vrift_removexattrat(w->task, HERE, "/missing", name, 0)); /* before it is looked for */
    check_error(-VRIFT_E2BIG, vrift_setxattrat(w->task, HERE, "/missing", "user.x", value, 65537, 0));
    check_ok(vrift_setxattrat(w->task, HERE, "/f", "user.x", value, 65536, 0));
    assert_int_equal(vrift_getxattrat(w->task, HERE, "/f", "user.x", NULL, 0, 0), 65536);
    assert_int_equal(vrift_getxattrat(w->task, HERE, "/f", "user.x", value, sizeof value, 0), 65536);
    check_error(-VRIFT_ERANGE, vrift_getxattrat(w->task, HERE, "/f", "user.x", value, 65535, 0));
    name[255] = '\0';
    for (int i = 0; i < 300; i++) {
        name[5] = (char)('A' + i / 20);
        name[6] = (char)('A' + i % 20);
        check_ok(vrift_setxattrat(w->task, HERE, "/f", name, "", 0, 0));
    }
    assert_int_equal(vrift_listxattrat(w->task, HERE, "/f", NULL, 0, 0), 300 * 256 + 7);
    check_error(-VRIFT_ERANGE, vrift_listxattrat(w->task, HERE, "/f", list, 1000, 0));
    check_error(-VRIFT_E2BIG, vrift_listxattrat(w->task, HERE, "/f", list, sizeof list, 0));
}

static void a_descriptor_of_a_place_has_no_xattrs_unless_the_caller_insists(void **state)
{
    struct world *w = *state;
    uint64_t flags;
    char buf[8];
    world_file(w, "/f", "");
    check_ok(vrift_setxattrat(w->task, HERE, "/f", "user.x", "y", 1, 0));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_PATH, 0));
    check_error(-VRIFT_EBADF, vrift_fgetxattr(w->task, fd, "user.x", buf, sizeof buf));
    check_error(-VRIFT_EBADF, vrift_fsetxattr(w->task, fd, "user.x", "z", 1, 0));
    check_error(-VRIFT_EBADF, vrift_flistxattr(w->task, fd, buf, sizeof buf));
    check_error(-VRIFT_EBADF, vrift_fremovexattr(w->task, fd, "user.x"));
    check_error(-VRIFT_EBADF, vrift_getxattrat(w->task, fd, "", "user.x", buf, 1, VRIFT_AT_EMPTY_PATH));
    check_error(-VRIFT_EBADF, vrift_getflags(w->task, fd, "", VRIFT_AT_EMPTY_PATH, &flags));
    check_error(-VRIFT_EBADF, vrift_fgetxattr(w->task, 99, "user.x", buf, sizeof buf));
    assert_int_equal(vrift_getxattrat(w->task, fd, "", "user.x", buf, sizeof buf, VRIFT_AT_EMPTY_PATH | VRIFT_AT_OPATH),
                     1);
    check_ok(vrift_getflags(w->task, fd, "", VRIFT_AT_EMPTY_PATH | VRIFT_AT_OPATH, &flags));
    check_ok(vrift_close(w->task, fd));
    fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDONLY, 0));
    check_ok(vrift_fsetxattr(w->task, fd, "user.x", "zz", 2, VRIFT_XATTR_REPLACE));
    assert_int_equal(vrift_fgetxattr(w->task, fd, "user.x", buf, sizeof buf), 2);
    assert_int_equal(vrift_flistxattr(w->task, fd, buf, sizeof buf), 7);
    check_ok(vrift_fremovexattr(w->task, fd, "user.x"));
    check_error(-VRIFT_ENODATA, vrift_fgetxattr(w->task, fd, "user.x", buf, sizeof buf));
    check_ok(vrift_close(w->task, fd));
}

static uint8_t *put_entry(uint8_t *at, uint32_t tag, uint32_t rights, uint32_t id)
{
    const uint32_t words[2] = {tag | rights << 16, id};
    for (int i = 0; i < 8; i++)
        *at++ = (uint8_t)(words[i / 4] >> 8 * (i % 4));
    return at;
}

static void an_acl_may_be_as_long_as_a_value(void **state)
{
    struct world *w = *state;
    enum { MOST = (65536 - 4) / 8, NAMED = MOST - 4 };
    uint8_t *acl = calloc(1, 65536), *got = calloc(1, 65536), *at = acl + 4;
    acl[0] = 2;
    at = put_entry(at, 0x01, 7, UINT32_MAX);
    for (uint32_t i = 0; i < NAMED; i++)
        at = put_entry(at, 0x02, i % 8, 1000 + i);
    at = put_entry(at, 0x04, 0, UINT32_MAX);
    at = put_entry(at, 0x10, 7, UINT32_MAX);
    at = put_entry(at, 0x20, 0, UINT32_MAX);
    world_file(w, "/f", "");
    check_ok(vrift_setxattrat(w->task, HERE, "/f", "system.posix_acl_access", acl, (size_t)(at - acl), 0));
    assert_int_equal(vrift_getxattrat(w->task, HERE, "/f", "system.posix_acl_access", got, 65536, 0), at - acl);
    assert_memory_equal(acl, got, (size_t)(at - acl));
    check_error(-VRIFT_ERANGE, vrift_getxattrat(w->task, HERE, "/f", "system.posix_acl_access", got, 100, 0));
    for (uint32_t i = NAMED - 8; i < NAMED; i++) {
        become(w, 1000 + i, 0);
        for (uint32_t may = 1; may < 8; may++)
            check_error((may & ~(i % 8)) == 0 ? 0 : -VRIFT_EACCES, vrift_faccessat(w->task, HERE, "/f", may, 0));
    }
    become(w, 999, 0);
    w->allocations_left = 0;
    check_error(-VRIFT_ENOMEM, vrift_faccessat(w->task, HERE, "/f", 4, 0));
    w->allocations_left = UINT64_MAX;
    check_error(-VRIFT_EACCES, vrift_faccessat(w->task, HERE, "/f", 4, 0));
    become_root(w);
    free(acl);
    free(got);
}

/* -- Flags and what was opened before ------------------------------------------------------------------------------ */

/* As the kernel answers on a tmpfs. */
static void flags_bind_who_opened_the_file_before_only_here_and_there(void **state)
{
    struct world *w = *state;
    int64_t from = 0, to = 0;
    vrift_mapping *map;
    world_file(w, "/f", "some text");
    world_file(w, "/g", "more text");
    int32_t f = (int32_t)check_ok(vrift_openat(w->task, HERE, "/f", VRIFT_O_RDWR, 0));
    int32_t g = (int32_t)check_ok(vrift_openat(w->task, HERE, "/g", VRIFT_O_RDWR, 0));
    check_ok(vrift_setflags(w->task, HERE, "/f", VRIFT_FL_IMMUTABLE, 0));
    assert_int_equal(vrift_pwrite(w->task, f, "S", 1, 0), 1);
    check_ok(vrift_ftruncate(w->task, f, 5));
    check_error(-VRIFT_EPERM, vrift_copy_file_range(w->task, g, &from, f, &to, 4, 0));
    check_error(-VRIFT_EPERM, vrift_fallocate(w->task, f, 0, 0, 10));
    check_ok(vrift_setflags(w->task, HERE, "/f", VRIFT_FL_APPEND, 0));
    assert_int_equal(vrift_pwrite(w->task, f, "s", 1, 0), 1);
    check_error(-VRIFT_EPERM, vrift_ftruncate(w->task, f, 4));
    assert_int_equal(vrift_copy_file_range(w->task, g, &from, f, &to, 4, 0), 4);
    check_ok(vrift_fallocate(w->task, f, 0, 0, 10));
    check_error(-VRIFT_EPERM, vrift_fallocate(w->task, f, VRIFT_FALLOC_PUNCH_HOLE | VRIFT_FALLOC_KEEP_SIZE, 0, 10));
    check_error(-VRIFT_EACCES, vrift_map(w->task, f, 0, 4, VRIFT_PROT_READ, VRIFT_MAP_SHARED, &map));
    check_error(-VRIFT_EPERM, open_in(w, "/f", VRIFT_O_WRONLY));
    check_ok(vrift_close(w->task, f));
    check_ok(vrift_close(w->task, g));
}

/* -- Costs and memory ---------------------------------------------------------------------------------------------- */

static uint64_t calls_of_a_stat(struct world *w, const char *path)
{
    struct vrift_stat st;
    check_ok(vrift_statat(w->task, HERE, path, 0, &st));
    uint64_t before = world_backend_calls(w);
    check_ok(vrift_statat(w->task, HERE, path, 0, &st));
    return world_backend_calls(w) - before;
}

static void directories_without_acls_are_searched_without_the_backend(void **state)
{
    struct world *w = *state;
    check_ok(vrift_mkdirat(w->task, HERE, "/a", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/a/b", 0755));
    world_file(w, "/a/b/f", "");
    become(w, 1000, 0);
    assert_int_equal(calls_of_a_stat(w, "/a/b/f"), 0);
    become_root(w);
    check_ok(vrift_setxattrat(w->task, HERE, "/a", "system.posix_acl_access", NAMED_USER, 0));
    assert_int_equal(calls_of_a_stat(w, "/a/b/f"), 0); /* the owner and the mighty need not ask */
    become(w, 1000, 0);
    assert_int_equal(calls_of_a_stat(w, "/a/b/f"), 1);
    become(w, 1001, 0);
    check_error(-VRIFT_EACCES, vrift_chdir(w->task, "/a/b"));
    become_root(w);
    check_ok(vrift_removexattrat(w->task, HERE, "/a", "system.posix_acl_access", 0));
    check_ok(vrift_fchmodat(w->task, HERE, "/a", 0755, 0));
    become(w, 1000, 0);
    assert_int_equal(calls_of_a_stat(w, "/a/b/f"), 0);
}

static void without_memory_nothing_is_made_in_a_directory_with_a_default_acl(void **state)
{
    struct world *w = *state;
    struct vrift_stat st;
    char acl[sizeof named_user];
    int made = 0;
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0755));
    check_ok(vrift_setxattrat(w->task, HERE, "/d", "system.posix_acl_default", NAMED_USER, 0));
    for (uint64_t left = 0; !made; left++) {
        assert_true(left < 100);
        w->allocations_left = left;
        int32_t result = vrift_mkdirat(w->task, HERE, "/d/sub", 0777);
        w->allocations_left = UINT64_MAX;
        made = !result;
        if (result)
            check_error(-VRIFT_ENOMEM, result);
        assert_int_equal(vrift_statat(w->task, HERE, "/d/sub", 0, &st), made ? 0 : -VRIFT_ENOENT);
        assert_string_equal(world_list(w, "/d"), made ? "sub" : "");
    }
    assert_int_equal(vrift_getxattrat(w->task, HERE, "/d/sub", "system.posix_acl_default", acl, sizeof acl, 0),
                     sizeof named_user - 1);
    assert_int_equal(vrift_getxattrat(w->task, HERE, "/d/sub", "system.posix_acl_access", acl, sizeof acl, 0),
                     sizeof named_user - 1);
}

static void without_memory_an_acl_is_not_set(void **state)
{
    struct world *w = *state;
    char acl[sizeof named_user];
    int set = 0;
    world_file(w, "/f", "");
    for (uint64_t left = 0; !set; left++) {
        assert_true(left < 100);
        w->allocations_left = left;
        int32_t result = vrift_setxattrat(w->task, HERE, "/f", "system.posix_acl_access", NAMED_USER, 0);
        w->allocations_left = UINT64_MAX;
        set = !result;
        if (set)
            continue;
        check_error(-VRIFT_ENOMEM, result);
        assert_int_equal(world_stat(w, "/f").mode & 0777, 0644);
        check_error(-VRIFT_ENODATA,
                    vrift_getxattrat(w->task, HERE, "/f", "system.posix_acl_access", acl, sizeof acl, 0));
    }
    assert_int_equal(world_stat(w, "/f").mode & 0777, 0770);
}

static void without_memory_a_change_of_mode_leaves_mode_and_acl_in_step(void **state)
{
    struct world *w = *state;
    char before[sizeof named_user], after[sizeof named_user];
    int changed = 0;
    world_file(w, "/f", "");
    check_ok(vrift_setxattrat(w->task, HERE, "/f", "system.posix_acl_access", NAMED_USER, 0));
    check_ok(vrift_getxattrat(w->task, HERE, "/f", "system.posix_acl_access", before, sizeof before, 0));
    for (uint64_t left = 0; !changed; left++) {
        assert_true(left < 100);
        w->allocations_left = left;
        int32_t result = vrift_fchmodat(w->task, HERE, "/f", 0600, 0);
        w->allocations_left = UINT64_MAX;
        changed = !result;
        if (result)
            check_error(-VRIFT_ENOMEM, result);
        assert_int_equal(world_stat(w, "/f").mode & 0777, changed ? 0600 : 0770);
        check_ok(vrift_getxattrat(w->task, HERE, "/f", "system.posix_acl_access", after, sizeof after, 0));
        assert_int_equal(memcmp(before, after, sizeof named_user - 1) == 0, !changed);
    }
}

static void a_backend_that_fails_to_tell_the_acl_grants_nothing(void **state)
{
    struct world *w = *state;
    check_ok(vrift_mkdirat(w->task, HERE, "/a", 0755));
    world_file(w, "/a/f", "");
    check_ok(vrift_setxattrat(w->task, HERE, "/a", "system.posix_acl_access", NAMED_USER, 0));
    become(w, 1000, 0);
    check_ok(vrift_faccessat(w->task, HERE, "/a/f", 0, 0));
    world_fault(w, "getxattr", 0, -VRIFT_EIO);
    check_error(-VRIFT_EIO, vrift_faccessat(w->task, HERE, "/a/f", 0, 0));
    check_error(-VRIFT_EIO, vrift_chdir(w->task, "/a"));
    world_fault(w, "getxattr", 0, 0);
    check_ok(vrift_chdir(w->task, "/a"));
    check_ok(vrift_chdir(w->task, "/"));
}

/* -- Many at once -------------------------------------------------------------------------------------------------- */

struct asker {
    struct world *world;
    uint32_t uid;
    int32_t wanted;
    unsigned wrong;
    _Atomic int *stop;
};

static void *ask_all_the_time(void *payload)
{
    struct asker *asker = payload;
    struct vrift_cred_options options = {.size = sizeof options, .uid = asker->uid, .gid = asker->uid};
    vrift_cred *cred;
    vrift_task *task;
    if (vrift_cred_new(asker->world->vfs, &options, &cred) || vrift_task_new(asker->world->ns, cred, NULL, &task))
        return NULL;
    while (!atomic_load(asker->stop))
        asker->wrong += vrift_faccessat(task, HERE, "/d/f", 0, 0) != asker->wanted;
    vrift_task_free(task);
    vrift_cred_unref(cred);
    return NULL;
}

static void while_an_acl_comes_and_goes_nobody_slips_in_and_the_owner_is_not_kept_out(void **state)
{
    struct world *w = *state;
    _Atomic int stop = 0;
    struct asker askers[2] = {{w, 1001, -VRIFT_EACCES, 0, &stop}, {w, 1002, 0, 0, &stop}};
    pthread_t threads[2];
    check_ok(vrift_mkdirat(w->task, HERE, "/d", 0750));
    world_file(w, "/d/f", "");
    check_ok(vrift_fchownat(w->task, HERE, "/d", 1002, 0, 0));
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_all_the_time, &askers[i]), 0);
    for (int i = 0; i < 2000; i++) {
        check_ok(vrift_setxattrat(w->task, HERE, "/d", "system.posix_acl_access", NAMED_USER, 0));
        check_ok(vrift_fchmodat(w->task, HERE, "/d", i % 2 ? 0700 : 0770, 0));
        check_ok(vrift_removexattrat(w->task, HERE, "/d", "system.posix_acl_access", 0));
    }
    atomic_store(&stop, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(askers[0].wrong, 0);
    assert_int_equal(askers[1].wrong, 0);
}

/* -- The host ------------------------------------------------------------------------------------------------------ */

/* Puts a host directory into the place of the world's root; its task looks there. */
static char *host_world(struct world *w, uint64_t flags)
{
    char *path = temporary_directory();
    struct vrift_host_options options = {.size = sizeof options, .flags = flags};
    vrift_sb *sb;
    check_ok(vrift_mkdirat(w->task, HERE, "/host", 0755));
    assert_int_equal(chmod(path, 0755), 0);
    check_ok(vrift_host_new(w->vfs, path, &options, &sb));
    check_ok(vrift_mount(w->task, HERE, "/host", sb, 0));
    vrift_sb_unref(sb);
    return path;
}

static void another_processes_acl_counts_at_once_unless_there_is_none(void **state)
{
    struct world *w = *state;
    if (geteuid() != 0)
        skip_because("needs root, to give away files");
    char *path = host_world(w, 0);
    char file[4200];
    snprintf(file, sizeof file, "%s/f", path);
    world_file(w, "/host/f", "");
    check_ok(vrift_fchmodat(w->task, HERE, "/host/f", 0640, 0));
    if (setxattr(file, "system.posix_acl_access", NAMED_USER, 0) < 0) {
        check_ok(vrift_umount(w->task, HERE, "/host", 0));
        remove_temporary_directory(path);
        skip_because("%s lies on a file system without ACLs", path);
    }
    become(w, 1000, 0);
    check_ok(vrift_faccessat(w->task, HERE, "/host/f", 4, 0));
    check_error(-VRIFT_EACCES, vrift_faccessat(w->task, HERE, "/host/f", 2, 0));
    assert_int_equal(removexattr(file, "system.posix_acl_access"), 0);
    assert_int_equal(chmod(file, 0640), 0);
    check_error(-VRIFT_EACCES, vrift_faccessat(w->task, HERE, "/host/f", 4, 0));
    become_root(w);
    check_ok(vrift_umount(w->task, HERE, "/host", 0));
    remove_temporary_directory(path);
}

static void an_exclusive_host_is_asked_for_an_acl_once(void **state)
{
    struct world *w = *state;
    char *path = host_world(w, VRIFT_HOST_EXCLUSIVE);
    check_ok(vrift_mkdirat(w->task, HERE, "/host/d", 0755));
    world_file(w, "/host/d/f", "");
    become(w, 1000000, 0);
    assert_int_equal(calls_of_a_stat(w, "/host/d/f"), 0);
    become_root(w);
    check_ok(vrift_umount(w->task, HERE, "/host", 0));
    remove_temporary_directory(path);
}

/* -- A snapshot ---------------------------------------------------------------------------------------------------- */

static void a_snapshot_keeps_acls_as_they_were_imported(void **state)
{
    struct world *w = *state;
    char *path = temporary_directory();
    char file[4200], store_path[4200];
    struct vrift_store_options options = {
        .size = sizeof options, .durability = VRIFT_DURABILITY_NONE, .flags = VRIFT_STORE_CREATE};
    struct vrift_import_options import = {.size = sizeof import};
    struct vrift_import_result result;
    vrift_store *store;
    vrift_snapshot *snapshot;
    vrift_sb *sb;
    if (geteuid() != 0)
        skip_because("needs root, to give away files");
    snprintf(file, sizeof file, "%s/tree", path);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_int_equal(chmod(file, 0755), 0);
    snprintf(file, sizeof file, "%s/tree/f", path);
    snprintf(store_path, sizeof store_path, "%s/store", path);
    assert_int_equal(close(creat(file, 0600)), 0);
    bool kept = setxattr(file, "system.posix_acl_access", NAMED_USER, 0) == 0;
    check_ok(vrift_store_open(store_path, &options, &store));
    snprintf(file, sizeof file, "%s/tree", path);
    check_ok(vrift_import(store, file, &import, &result));
    check_ok(vrift_snapshot_open(store, &result.snapshot, &snapshot));
    check_ok(vrift_cas_new(w->vfs, snapshot, &sb));
    check_ok(vrift_mkdirat(w->task, HERE, "/snap", 0755));
    check_ok(vrift_mount(w->task, HERE, "/snap", sb, VRIFT_MOUNT_RDONLY));
    become(w, 1000, 0);
    check_error(kept ? 0 : -VRIFT_EACCES, vrift_faccessat(w->task, HERE, "/snap/f", 4, 0));
    become(w, 1001, 0);
    check_error(-VRIFT_EACCES, vrift_faccessat(w->task, HERE, "/snap/f", 4, 0));
    become_root(w);
    check_ok(vrift_umount(w->task, HERE, "/snap", 0));
    vrift_sb_unref(sb);
    vrift_snapshot_unref(snapshot);
    vrift_store_close(store);
    remove_temporary_directory(path);
    if (!kept)
        skip_because("no ACLs on the file system of temporary files");
}

static void an_exclusive_host_is_asked_again_when_told_that_it_was_changed(void **state)
{
    struct world *w = *state;
    char *path = host_world(w, VRIFT_HOST_EXCLUSIVE);
    char file[4200];
    if (geteuid() != 0)
        skip_because("needs root, to give away files");
    world_file(w, "/host/f", "");
    snprintf(file, sizeof file, "%s/f", path);
    become(w, 1000, 0);
    check_ok(vrift_faccessat(w->task, HERE, "/host/f", 4, 0));
    check_error(-VRIFT_EACCES, vrift_faccessat(w->task, HERE, "/host/f", 1, 0));
    bool kept = setxattr(file, "system.posix_acl_access", NAMED_USER, 0) == 0;
    become_root(w);
    check_ok(vrift_invalidate(w->task, HERE, "/host/f", VRIFT_INVALIDATE_ATTRIBUTES));
    become(w, 1000, 0);
    int32_t named = vrift_faccessat(w->task, HERE, "/host/f", 1, 0);
    become(w, 1001, 0);
    int32_t other = vrift_faccessat(w->task, HERE, "/host/f", 4, 0);
    become_root(w);
    assert_int_equal(chmod(file, 0), 0);
    check_ok(vrift_invalidate(w->task, HERE, "/host/f", VRIFT_INVALIDATE_ATTRIBUTES));
    become(w, 1000, 0);
    check_error(-VRIFT_EACCES, vrift_faccessat(w->task, HERE, "/host/f", 4, 0));
    become_root(w);
    assert_int_equal(chown(file, 1000, 1000), 0);
    check_ok(vrift_invalidate(w->task, HERE, "/host/f", VRIFT_INVALIDATE_ATTRIBUTES));
    become(w, 1000, 0);
    check_ok(vrift_fchmodat(w->task, HERE, "/host/f", 0400, 0));
    check_ok(vrift_faccessat(w->task, HERE, "/host/f", 4, 0));
    become_root(w);
    check_ok(vrift_umount(w->task, HERE, "/host", 0));
    remove_temporary_directory(path);
    if (!kept)
        skip_because("no ACLs on the file system of temporary files");
    check_ok(named);
    check_error(-VRIFT_EACCES, other);
}

static void what_else_the_host_notes_of_a_file_stays(void **state)
{
    struct world *w = *state;
    char *path = host_world(w, 0);
    uint64_t flags;
    unsigned before = 0, after = 0;
    char file[4200];
    world_file(w, "/host/f", "");
    snprintf(file, sizeof file, "%s/f", path);
    int fd = open(file, O_RDONLY);
    int told = ioctl(fd, FS_IOC_GETFLAGS, &before);
    int32_t result = vrift_setflags(w->task, HERE, "/host/f", VRIFT_FL_NODUMP, 0);
    int told_again = ioctl(fd, FS_IOC_GETFLAGS, &after);
    close(fd);
    int32_t got = vrift_getflags(w->task, HERE, "/host/f", 0, &flags);
    check_ok(vrift_umount(w->task, HERE, "/host", 0));
    remove_temporary_directory(path);
    if (told < 0)
        skip_because("the host's file system has no flags");
    check_ok(result);
    check_ok(got);
    assert_int_equal(told_again, 0);
    assert_int_equal(flags, VRIFT_FL_NODUMP);
    assert_int_equal(after, before | VRIFT_FL_NODUMP); /* extents and the like of ext4 */
}

/* -- An overlay ---------------------------------------------------------------------------------------------------- */

static void an_overlay_keeps_flags_as_the_kernels_does(void **state)
{
    struct world *w = *state;
    struct vrift_overlay_layer lower, upper;
    struct vrift_overlay_options options = {
        .size = sizeof options, .lower_count = 1, .lower = &lower, .upper = &upper, .work = "/work"};
    vrift_sb *sb;
    uint64_t flags;
    char letters[8];
    check_ok(vrift_mkdirat(w->task, HERE, "/lower", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/upper", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/work", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/merged", 0755));
    world_file(w, "/lower/log", "1");
    world_file(w, "/lower/f", "1");
    check_ok(vrift_setflags(w->task, HERE, "/lower/log", VRIFT_FL_APPEND, 0));
    lower = (struct vrift_overlay_layer){w->sb, "/lower"};
    upper = (struct vrift_overlay_layer){w->sb, "/upper"};
    check_ok(vrift_overlay_new(w->vfs, &options, &sb));
    check_ok(vrift_mount(w->task, HERE, "/merged", sb, 0));
    vrift_sb_unref(sb);
    check_error(-VRIFT_EPERM, open_in(w, "/merged/log", VRIFT_O_WRONLY)); /* as the layer says */
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/merged/log", VRIFT_O_WRONLY | VRIFT_O_APPEND, 0));
    assert_int_equal(vrift_write(w->task, fd, "2", 1), 1);
    check_ok(vrift_close(w->task, fd));
    check_error(-VRIFT_EPERM, open_in(w, "/merged/log", VRIFT_O_WRONLY)); /* the copy still only grows */
    check_ok(vrift_getflags(w->task, HERE, "/merged/log", 0, &flags));
    assert_int_equal(flags, VRIFT_FL_APPEND);
    assert_int_equal(
        vrift_getxattrat(w->task, HERE, "/upper/log", "trusted.overlay.protattr", letters, sizeof letters, 0), 1);
    assert_int_equal(letters[0], 'a');
    check_ok(vrift_setflags(w->task, HERE, "/merged/f", VRIFT_FL_IMMUTABLE | VRIFT_FL_APPEND, 0));
    check_error(-VRIFT_EPERM, vrift_unlinkat(w->task, HERE, "/merged/f", 0));
    assert_int_equal(
        vrift_getxattrat(w->task, HERE, "/upper/f", "trusted.overlay.protattr", letters, sizeof letters, 0), 2);
    assert_memory_equal(letters, "ai", 2);
    check_ok(vrift_setflags(w->task, HERE, "/merged/f", 0, 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/merged/f", 0));
    check_ok(vrift_umount(w->task, HERE, "/merged", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_of_others_are_not_followed_in_a_sticky_shared_directory),
        cmocka_unit_test(creating_does_not_open_what_others_have_put_there),
        cmocka_unit_test(who_may_not_write_a_file_links_it_only_where_that_is_not_protected),
        cmocka_unit_test(unknown_protections_are_refused),
        cmocka_unit_test_setup_teardown(xattrs_have_the_limits_of_linux, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_acl_may_be_as_long_as_a_value, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_descriptor_of_a_place_has_no_xattrs_unless_the_caller_insists, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(flags_bind_who_opened_the_file_before_only_here_and_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(directories_without_acls_are_searched_without_the_backend, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_memory_nothing_is_made_in_a_directory_with_a_default_acl, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_memory_an_acl_is_not_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_memory_a_change_of_mode_leaves_mode_and_acl_in_step, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_backend_that_fails_to_tell_the_acl_grants_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(while_an_acl_comes_and_goes_nobody_slips_in_and_the_owner_is_not_kept_out,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_processes_acl_counts_at_once_unless_there_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_exclusive_host_is_asked_for_an_acl_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_exclusive_host_is_asked_again_when_told_that_it_was_changed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_else_the_host_notes_of_a_file_stays, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_snapshot_keeps_acls_as_they_were_imported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_overlay_keeps_flags_as_the_kernels_does, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
