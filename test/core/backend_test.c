/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The core's side of the backend interface: what it makes of a consistency, of absent slots, of partial and of broken
 * answers. The backend under test is the memory one with slots replaced.
 */
#include "support/world.h"

#include "backends/mem/mem.h"

#include <string.h>

#define HERE VRIFT_AT_FDCWD
#define HOUR 3600000000000ULL

/* A memory file system seen twice: ours at /s as told, theirs at /t, through which "others" change it. */
struct pair {
    struct world *w;
    struct vr_memfs *fs;
    struct vrift_backend_ops ours, theirs;
};

static struct vrift_consistency told; /* what every aspect of ours answers */

static int32_t VRIFT_CALLBACK tell(void *self, uint32_t aspect, struct vrift_consistency *out)
{
    (void)self;
    (void)aspect;
    *out = told;
    return 0;
}

static void mount_ops(struct world *w, const struct vrift_backend_ops *ops, void *self, const char *path)
{
    vrift_sb *sb;
    check_ok(vrift_mkdirat(w->task, HERE, path, 0755));
    check_ok(vrift_sb_new(w->vfs, ops, self, &sb));
    check_ok(vrift_mount(w->task, HERE, path, sb, 0));
    vrift_sb_unref(sb);
}

static struct pair *pair_new(uint32_t model, uint64_t max_age_ns)
{
    static const struct vrift_mem_options options = {.size = sizeof options};
    struct pair *pair = test_calloc(1, sizeof *pair);
    pair->w = world_new(NULL);
    told = (struct vrift_consistency){.model = model, .max_age_ns = max_age_ns};
    check_ok(vr_memfs_new(NULL, &options, &pair->fs));
    pair->ours = pair->theirs = vr_memfs_ops;
    pair->ours.consistency = tell;
    pair->ours.destroy = NULL; /* theirs does it, being mounted first and let go last */
    mount_ops(pair->w, &pair->theirs, pair->fs, "/t");
    mount_ops(pair->w, &pair->ours, pair->fs, "/s");
    return pair;
}

static void pair_free(struct pair *pair)
{
    check_ok(vrift_umount(pair->w->task, HERE, "/s", 0));
    check_ok(vrift_umount(pair->w->task, HERE, "/t", 0));
    world_free(pair->w);
    test_free(pair);
}

static int32_t stat_of(struct pair *pair, const char *path, struct vrift_stat *out)
{
    return vrift_statat(pair->w->task, HERE, path, VRIFT_AT_SYMLINK_NOFOLLOW, out);
}

static void nothing_stale_is_answered_at_age_zero(uint32_t model)
{
    struct pair *pair = pair_new(model, 0);
    struct world *w = pair->w;
    struct vrift_stat st;
    char cwd[64];
    check_error(-VRIFT_ENOENT, stat_of(pair, "/s/f", &st));
    world_file(w, "/t/f", "one");
    check_ok(stat_of(pair, "/s/f", &st));
    assert_int_equal(st.size, 3);
    world_file(w, "/t/f", "longer");
    check_ok(stat_of(pair, "/s/f", &st));
    assert_int_equal(st.size, 6);
    check_ok(vrift_mkdirat(w->task, HERE, "/t/d", 0755));
    check_ok(vrift_chdir(w->task, "/s/d"));
    check_ok(vrift_statat(w->task, HERE, "../f", 0, &st));
    check_ok(vrift_statat(w->task, HERE, "/s/d/../d", 0, &st));
    check_ok(vrift_getcwd(w->task, cwd, sizeof cwd)); /* looked at anew it is still the same directory */
    assert_string_equal(cwd, "/s/d");
    check_ok(vrift_fchmodat(w->task, HERE, "/t/d", 0700, 0));
    check_ok(stat_of(pair, "/s/d", &st));
    assert_int_equal(st.mode & 07777, 0700);
    check_ok(vrift_unlinkat(w->task, HERE, "/t/f", 0));
    check_error(-VRIFT_ENOENT, stat_of(pair, "/s/f", &st));
    check_ok(vrift_mkdirat(w->task, HERE, "/t/f", 0755));
    check_ok(stat_of(pair, "/s/f", &st));
    assert_int_equal(st.mode & VRIFT_S_IFMT, VRIFT_S_IFDIR);
    check_ok(vrift_chdir(w->task, "/"));
    pair_free(pair);
}

static void a_shared_file_system_of_age_zero_answers_nothing_stale(void **state)
{
    (void)state;
    nothing_stale_is_answered_at_age_zero(VRIFT_CONSISTENCY_SHARED_REVALIDATE);
}

static void what_is_mounted_on_a_name_that_vanished_goes(void **state)
{
    (void)state;
    struct pair *pair = pair_new(VRIFT_CONSISTENCY_SHARED_REVALIDATE, 0);
    struct world *w = pair->w;
    struct vrift_stat st;
    vrift_sb *other;
    char cwd[64];
    check_ok(vrift_mem_new(w->vfs, NULL, &other));
    check_ok(vrift_mkdirat(w->task, HERE, "/t/d", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/t/d/e", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/t/kept", 0755));
    check_ok(vrift_mount(w->task, HERE, "/s/d/e", other, 0));
    check_ok(vrift_mount(w->task, HERE, "/s/kept", other, 0));
    check_ok(vrift_mkdirat(w->task, HERE, "/s/d/e/in", 0755));
    check_ok(vrift_chdir(w->task, "/s/d/e/in"));
    check_ok(vrift_unlinkat(w->task, HERE, "/t/d/e", VRIFT_AT_REMOVEDIR));
    check_ok(vrift_unlinkat(w->task, HERE, "/t/d", VRIFT_AT_REMOVEDIR));
    check_error(-VRIFT_ENOENT, stat_of(pair, "/s/d/e/in", &st));
    check_ok(stat_of(pair, "/s/kept/in", &st));
    check_ok(stat_of(pair, "../in", &st));
    check_ok(vrift_getcwd(w->task, cwd, sizeof cwd));
    assert_string_equal(cwd, "(unreachable)/in");
    check_ok(vrift_chdir(w->task, "/"));
    check_ok(vrift_umount(w->task, HERE, "/s/kept", 0));
    vrift_sb_unref(other);
    pair_free(pair);
}

static void an_eventual_file_system_of_age_zero_answers_nothing_stale(void **state)
{
    (void)state;
    nothing_stale_is_answered_at_age_zero(VRIFT_CONSISTENCY_EVENTUAL);
}

static void a_shared_file_system_may_be_stale_up_to_its_age(void **state)
{
    (void)state;
    struct pair *pair = pair_new(VRIFT_CONSISTENCY_SHARED_REVALIDATE, HOUR);
    struct world *w = pair->w;
    struct vrift_stat st;
    world_file(w, "/t/f", "one");
    check_ok(stat_of(pair, "/s/f", &st));
    check_error(-VRIFT_ENOENT, stat_of(pair, "/s/missing", &st));
    world_file(w, "/t/f", "longer");
    world_file(w, "/t/missing", "here");
    uint64_t before = world_backend_calls(w);
    check_ok(stat_of(pair, "/s/f", &st));
    assert_int_equal(st.size, 3);
    check_error(-VRIFT_ENOENT, stat_of(pair, "/s/missing", &st));
    assert_int_equal(world_backend_calls(w), before);
    check_error(-VRIFT_EEXIST, vrift_mkdirat(w->task, HERE, "/s/missing", 0755)); /* a change asks all the same */
    check_ok(vrift_vfs_drop_caches(w->vfs));
    check_ok(stat_of(pair, "/s/missing", &st));
    pair_free(pair);
}

static int32_t VRIFT_CALLBACK confirm(void *self, const struct vrift_node *dir, const struct vrift_name *name,
                                      const struct vrift_node *node, struct vrift_stat *out)
{
    struct vrift_entry entry;
    uint32_t done;
    int32_t error = vr_memfs_ops.walk(self, dir, name, 1, &entry, &done);
    if (error)
        return error == -VRIFT_ENOENT ? -VRIFT_ESTALE : error;
    int same = memcmp(&entry.node.key, &node->key, sizeof node->key) == 0;
    *out = entry.attr;
    vr_memfs_ops.forget(self, &entry.node);
    return same ? 0 : -VRIFT_ESTALE;
}

static void a_revalidate_slot_is_asked_in_place_of_a_walk(void **state)
{
    (void)state;
    struct pair *pair = pair_new(VRIFT_CONSISTENCY_SHARED_REVALIDATE, 0);
    struct world *w = pair->w;
    struct vrift_stat st;
    check_ok(vrift_umount(w->task, HERE, "/s", 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/s", VRIFT_AT_REMOVEDIR));
    pair->ours.revalidate = confirm;
    mount_ops(w, &pair->ours, pair->fs, "/s");
    world_file(w, "/t/f", "one");
    check_ok(stat_of(pair, "/s/f", &st));
    world_fault(w, "walk", 0, -VRIFT_EIO);
    check_ok(stat_of(pair, "/s/f", &st));
    world_fault(w, NULL, 0, 0);
    uint64_t ino = st.ino;
    world_file(w, "/t/g", "another");
    check_ok(vrift_renameat2(w->task, HERE, "/t/g", HERE, "/t/f", 0));
    check_ok(stat_of(pair, "/s/f", &st));
    assert_int_not_equal(st.ino, ino);
    pair_free(pair);
}

static int stale_answers; /* how many more times getattr finds nothing */

static int32_t VRIFT_CALLBACK getattr_or_stale(void *self, const struct vrift_node *node, uint64_t mask,
                                               struct vrift_stat *out)
{
    if (stale_answers > 0) {
        stale_answers--;
        return -VRIFT_ESTALE;
    }
    return vr_memfs_ops.getattr(self, node, mask, out);
}

static void what_a_backend_no_longer_finds_is_looked_up_anew(void **state)
{
    (void)state;
    struct pair *pair = pair_new(VRIFT_CONSISTENCY_SHARED_REVALIDATE, HOUR);
    struct world *w = pair->w;
    struct vrift_stat st;
    check_ok(vrift_umount(w->task, HERE, "/s", 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/s", VRIFT_AT_REMOVEDIR));
    pair->ours.getattr = getattr_or_stale;
    mount_ops(w, &pair->ours, pair->fs, "/s");
    world_file(w, "/s/f", "one");
    check_ok(vrift_unlinkat(w->task, HERE, "/t/f", 0));
    world_file(w, "/t/f", "another");
    stale_answers = 1; /* the write made ours forget the attributes; the name is still cached, and wrong */
    check_ok(stat_of(pair, "/s/f", &st));
    assert_int_equal(st.size, 7);
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/s/f", VRIFT_O_RDWR, 0));
    assert_int_equal(vrift_write(w->task, fd, "x", 1), 1);
    stale_answers = 1000;
    check_error(-VRIFT_ESTALE, vrift_fstat(w->task, fd, &st)); /* a descriptor means one file for good */
    stale_answers = 0;
    check_ok(vrift_close(w->task, fd));
    pair_free(pair);
}

static void an_immutable_file_system_is_asked_once(void **state)
{
    (void)state;
    struct pair *pair = pair_new(VRIFT_CONSISTENCY_IMMUTABLE, 0);
    struct vrift_stat st;
    world_file(pair->w, "/t/f", "one");
    check_ok(stat_of(pair, "/s/f", &st));
    check_error(-VRIFT_ENOENT, stat_of(pair, "/s/g", &st));
    uint64_t before = world_backend_calls(pair->w);
    check_ok(stat_of(pair, "/s/f", &st));
    check_error(-VRIFT_ENOENT, stat_of(pair, "/s/g", &st));
    assert_int_equal(world_backend_calls(pair->w), before);
    pair_free(pair);
}

/* -- Partial and broken answers ------------------------------------------------------------------------------------ */

static int32_t VRIFT_CALLBACK walk_one_at_a_time(void *self, const struct vrift_node *dir,
                                                 const struct vrift_name *names, uint32_t count,
                                                 struct vrift_entry *entries, uint32_t *done)
{
    (void)count;
    return vr_memfs_ops.walk(self, dir, names, 1, entries, done);
}

static int32_t VRIFT_CALLBACK walk_says_little(void *self, const struct vrift_node *dir, const struct vrift_name *names,
                                               uint32_t count, struct vrift_entry *entries, uint32_t *done)
{
    int32_t error = vr_memfs_ops.walk(self, dir, names, count, entries, done);
    for (uint32_t i = 0; i < *done; i++)
        entries[i].attr.mask = VRIFT_STAT_TYPE;
    return error;
}

static int32_t VRIFT_CALLBACK walk_without_a_key(void *self, const struct vrift_node *dir,
                                                 const struct vrift_name *names, uint32_t count,
                                                 struct vrift_entry *entries, uint32_t *done)
{
    int32_t error = vr_memfs_ops.walk(self, dir, names, count, entries, done);
    if (*done)
        entries[*done - 1].node.key.length = 99;
    return error;
}

static int32_t VRIFT_CALLBACK walk_nowhere(void *self, const struct vrift_node *dir, const struct vrift_name *names,
                                           uint32_t count, struct vrift_entry *entries, uint32_t *done)
{
    (void)self;
    (void)dir;
    (void)names;
    (void)count;
    (void)entries;
    *done = 0;
    return 0;
}

static int32_t VRIFT_CALLBACK list_what_is_no_name(void *self, const struct vrift_node *dir, uint64_t cookie,
                                                   uint64_t mask, vrift_emit_fn emit, void *payload, uint32_t *end)
{
    (void)self;
    (void)dir;
    (void)mask;
    struct vrift_dir_entry entry = {.name = "../etc", .name_length = 6, .cookie = cookie + 1};
    if (cookie == 0)
        emit(&entry, payload);
    *end = 1;
    return 0;
}

/* A memory file system with /s/d/e/f made through unchanged slots, then mounted again with `ops`. */
static struct world *with_ops(const struct vrift_backend_ops *ops)
{
    static const struct vrift_mem_options options = {.size = sizeof options};
    struct world *w = world_new(NULL);
    struct vr_memfs *fs;
    struct vrift_backend_ops plain = vr_memfs_ops;
    check_ok(vr_memfs_new(NULL, &options, &fs));
    plain.destroy = NULL;
    mount_ops(w, &plain, fs, "/s");
    check_ok(vrift_mkdirat(w->task, HERE, "/s/d", 0755));
    check_ok(vrift_mkdirat(w->task, HERE, "/s/d/e", 0755));
    world_file(w, "/s/d/e/f", "x");
    check_ok(vrift_symlinkat(w->task, "f", HERE, "/s/d/e/l"));
    check_ok(vrift_umount(w->task, HERE, "/s", 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/s", VRIFT_AT_REMOVEDIR));
    mount_ops(w, ops, fs, "/s");
    return w;
}

static void a_walk_that_answers_less_than_asked_is_gone_on_with(void **state)
{
    (void)state;
    struct vrift_backend_ops ops = vr_memfs_ops;
    ops.walk = walk_one_at_a_time;
    struct world *w = with_ops(&ops);
    world_expect(w, "/s/d/e/l", "x");
    world_free(w);
    ops.walk = walk_says_little;
    w = with_ops(&ops);
    assert_int_equal(world_stat(w, "/s/d/e/f").size, 1);
    assert_int_equal(world_stat(w, "/s/d").mode & 07777, 0755);
    world_free(w);
}

static void a_broken_answer_is_an_io_error(void **state)
{
    (void)state;
    struct vrift_stat st;
    struct vrift_backend_ops ops = vr_memfs_ops;
    ops.walk = walk_without_a_key;
    ops.readdir = list_what_is_no_name;
    /* The key is what mem forgets by, but its handle is whole. */
    struct world *w = with_ops(&ops);
    check_error(-VRIFT_EIO, vrift_statat(w->task, HERE, "/s/d", 0, &st));
    _Alignas(8) char buf[256];
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/s", VRIFT_O_DIRECTORY, 0));
    check_ok(vrift_getdents(w->task, fd, buf, sizeof buf, 0)); /* `.` and `..` */
    check_error(-VRIFT_EIO, vrift_getdents(w->task, fd, buf, sizeof buf, 0));
    check_ok(vrift_close(w->task, fd));
    world_free(w);
    ops.walk = walk_nowhere;
    w = with_ops(&ops);
    check_error(-VRIFT_EIO, vrift_statat(w->task, HERE, "/s/d", 0, &st));
    world_free(w);
}

/* -- The table ----------------------------------------------------------------------------------------------------- */

static void an_absent_slot_has_its_documented_answer(void **state)
{
    (void)state;
    struct vrift_backend_ops ops = {.size = sizeof ops,
                                    .name = "bare",
                                    .root = vr_memfs_ops.root,
                                    .destroy = vr_memfs_ops.destroy,
                                    .walk = vr_memfs_ops.walk,
                                    .forget = vr_memfs_ops.forget,
                                    .getattr = vr_memfs_ops.getattr,
                                    .readdir = vr_memfs_ops.readdir};
    struct world *w = with_ops(&ops);
    char buf[8];
    struct vrift_statfs fs;
    vrift_task *t = w->task;
    check_error(-VRIFT_EROFS, vrift_mkdirat(t, HERE, "/s/new", 0755));
    check_error(-VRIFT_EEXIST, vrift_mkdirat(t, HERE, "/s/d", 0755));
    check_error(-VRIFT_EROFS, vrift_unlinkat(t, HERE, "/s/missing", 0));
    check_error(-VRIFT_EROFS, vrift_renameat2(t, HERE, "/s/d", HERE, "/s/x", 0));
    check_error(-VRIFT_EROFS, vrift_fchmodat(t, HERE, "/s/d", 0700, 0));
    check_error(-VRIFT_EROFS, vrift_openat(t, HERE, "/s/d/e/f", VRIFT_O_WRONLY, 0));
    check_error(-VRIFT_EROFS, vrift_faccessat(t, HERE, "/s/d/e/f", 2, 0));
    check_error(-VRIFT_EINVAL, vrift_readlinkat(t, HERE, "/s/d/e/l", buf, sizeof buf));
    check_error(-VRIFT_EOPNOTSUPP, vrift_getxattrat(t, HERE, "/s/d/e/f", "user.a", buf, sizeof buf, 0));
    check_error(-VRIFT_EOPNOTSUPP, vrift_listxattrat(t, HERE, "/s/d/e/f", buf, sizeof buf, 0));
    int32_t fd = (int32_t)check_ok(vrift_openat(t, HERE, "/s/d/e/f", VRIFT_O_RDONLY, 0));
    check_error(-VRIFT_EINVAL, vrift_read(t, fd, buf, sizeof buf));
    check_ok(vrift_fsync(t, fd));
    assert_int_equal(vrift_lseek(t, fd, 0, VRIFT_SEEK_DATA), 0);
    assert_int_equal(vrift_lseek(t, fd, 0, VRIFT_SEEK_HOLE), 1);
    check_error(-VRIFT_ENXIO, vrift_lseek(t, fd, 1, VRIFT_SEEK_DATA));
    check_ok(vrift_close(t, fd));
    check_ok(vrift_statfs(t, HERE, "/s", &fs));
    assert_int_equal(fs.namelen, 255);
    assert_int_equal(fs.flags & VRIFT_MOUNT_RDONLY, VRIFT_MOUNT_RDONLY);
    world_free(w);
}

static void a_capability_nobody_spoke_of_is_absent(void **state)
{
    (void)state;
    struct vrift_backend_ops ops = vr_memfs_ops;
    struct vrift_capability capability;
    struct vrift_consistency consistency;
    vrift_sb *sb;
    ops.capability = NULL;
    ops.consistency = NULL;
    struct world *w = world_new(NULL);
    struct vr_memfs *fs;
    static const struct vrift_mem_options options = {.size = sizeof options};
    check_ok(vr_memfs_new(NULL, &options, &fs));
    check_ok(vrift_sb_new(w->vfs, &ops, fs, &sb));
    check_ok(vrift_sb_capability(sb, VRIFT_CAPABILITY_HARD_LINKS, &capability));
    assert_int_equal(capability.effective, VRIFT_SUPPORT_NONE);
    assert_int_equal(capability.error, -VRIFT_EOPNOTSUPP);
    check_error(-VRIFT_EINVAL, vrift_sb_capability(sb, VRIFT_CAPABILITY_COUNT, &capability));
    check_ok(vrift_sb_consistency(sb, VRIFT_ASPECT_DATA, &consistency));
    assert_int_equal(consistency.model, VRIFT_CONSISTENCY_EXCLUSIVE);
    check_error(-VRIFT_EINVAL, vrift_sb_consistency(sb, VRIFT_ASPECT_COUNT, &consistency));
    vrift_sb_unref(sb);
    world_free(w);
}

static uint32_t VRIFT_CALLBACK too_deep(void *self)
{
    (void)self;
    return 101;
}

static void an_unfit_table_is_refused_and_self_stays_the_callers(void **state)
{
    (void)state;
    struct world *w = world_new(NULL);
    struct {
        struct vrift_backend_ops known;
        void (*later)(void);
    } newer = {vr_memfs_ops, NULL};
    struct vrift_backend_ops ops = vr_memfs_ops;
    static const struct vrift_mem_options options = {.size = sizeof options};
    struct vr_memfs *fs;
    vrift_sb *sb;
    check_ok(vr_memfs_new(NULL, &options, &fs));
    ops.readdir = NULL;
    check_error(-VRIFT_EINVAL, vrift_sb_new(w->vfs, &ops, fs, &sb));
    ops = vr_memfs_ops;
    ops.size = 4;
    check_error(-VRIFT_EINVAL, vrift_sb_new(w->vfs, &ops, fs, &sb));
    ops = vr_memfs_ops;
    ops.depth = too_deep;
    check_error(-VRIFT_ELOOP, vrift_sb_new(w->vfs, &ops, fs, &sb));
    newer.known.size = sizeof newer;
    memset(&newer.later, 1, sizeof newer.later);
    check_error(-VRIFT_E2BIG, vrift_sb_new(w->vfs, &newer.known, fs, &sb));
    told = (struct vrift_consistency){.model = 77};
    ops = vr_memfs_ops;
    ops.consistency = tell;
    check_error(-VRIFT_EINVAL, vrift_sb_new(w->vfs, &ops, fs, &sb));
    memset(&newer.later, 0, sizeof newer.later);
    check_ok(vrift_sb_new(w->vfs, &newer.known, fs, &sb));
    vrift_sb_unref(sb);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shared_file_system_of_age_zero_answers_nothing_stale),
        cmocka_unit_test(what_is_mounted_on_a_name_that_vanished_goes),
        cmocka_unit_test(an_eventual_file_system_of_age_zero_answers_nothing_stale),
        cmocka_unit_test(a_shared_file_system_may_be_stale_up_to_its_age),
        cmocka_unit_test(a_revalidate_slot_is_asked_in_place_of_a_walk),
        cmocka_unit_test(what_a_backend_no_longer_finds_is_looked_up_anew),
        cmocka_unit_test(an_immutable_file_system_is_asked_once),
        cmocka_unit_test(a_walk_that_answers_less_than_asked_is_gone_on_with),
        cmocka_unit_test(a_broken_answer_is_an_io_error),
        cmocka_unit_test(an_absent_slot_has_its_documented_answer),
        cmocka_unit_test(a_capability_nobody_spoke_of_is_absent),
        cmocka_unit_test(an_unfit_table_is_refused_and_self_stays_the_callers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
