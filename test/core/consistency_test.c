/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The declared consistency alone decides what is cached: for each model of names and each of attributes, things change
 * behind the core's back, and what it answers is exactly as stale as declared: never older, and where it may be stale,
 * really from the cache. The backend is the memory one, seen twice: ours at /s, which declares and tells what the row
 * says, and theirs at /t, through which others change it.
 */
#include "support/world.h"

#include "backends/mem/mem.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#define HERE  VRIFT_AT_FDCWD
#define HOUR  3600000000000ULL
#define SHORT 5000000ULL

/* -- The backend --------------------------------------------------------------------------------------------------- */

enum telling { NOTHING, WHEN_DRAINED, AT_ONCE };

/* What one aspect declares. */
struct model {
    const char *name;
    uint32_t model;
    uint64_t age;
    enum telling telling;
};

static const struct model models[] = {
    {"immutable", VRIFT_CONSISTENCY_IMMUTABLE, 0, NOTHING},
    {"exclusive", VRIFT_CONSISTENCY_EXCLUSIVE, 0, NOTHING},
    {"write-through", VRIFT_CONSISTENCY_EXCLUSIVE_WRITETHROUGH, 0, NOTHING},
    {"notify", VRIFT_CONSISTENCY_SHARED_NOTIFY, 0, WHEN_DRAINED},
    {"notify within an hour", VRIFT_CONSISTENCY_SHARED_NOTIFY, HOUR, WHEN_DRAINED},
    {"notify at once", VRIFT_CONSISTENCY_SHARED_NOTIFY, HOUR, AT_ONCE},
    {"notify without telling", VRIFT_CONSISTENCY_SHARED_NOTIFY, 0, NOTHING},
    {"revalidate", VRIFT_CONSISTENCY_SHARED_REVALIDATE, 0, NOTHING},
    {"revalidate within an hour", VRIFT_CONSISTENCY_SHARED_REVALIDATE, HOUR, NOTHING},
    {"revalidate shortly", VRIFT_CONSISTENCY_SHARED_REVALIDATE, SHORT, NOTHING},
    {"eventual", VRIFT_CONSISTENCY_EVENTUAL, 0, NOTHING},
    {"eventual within an hour", VRIFT_CONSISTENCY_EVENTUAL, HOUR, NOTHING},
};
#define MODELS (sizeof models / sizeof models[0])

/* What is heard and not yet told. */
struct heard {
    uint32_t mask;
    char name[16];
    struct vrift_key dir, node;
};

static struct {
    const struct model *names, *attrs, *listings;
    vrift_notice_fn receive;
    void *payload;
    struct heard heard[16];
    uint32_t count;
    uint64_t walks, getattrs, revalidates, drains;
} backend;

static int32_t VRIFT_CALLBACK consistency(void *self, uint32_t aspect, struct vrift_consistency *out)
{
    const struct model *model = aspect == VRIFT_ASPECT_NAMES        ? backend.names
                                : aspect == VRIFT_ASPECT_ATTRIBUTES ? backend.attrs
                                                                    : backend.listings;
    (void)self;
    *out = (struct vrift_consistency){.model = model->model, .max_age_ns = model->age};
    return 0;
}

static int32_t VRIFT_CALLBACK watch(void *self, vrift_notice_fn receive, void *payload)
{
    (void)self;
    backend.receive = receive;
    backend.payload = payload;
    return 0;
}

static void VRIFT_CALLBACK drain(void *self)
{
    (void)self;
    for (uint32_t i = 0; i < backend.count; i++) {
        const struct heard *heard = &backend.heard[i];
        struct vrift_notice notice = {.size = sizeof notice,
                                      .mask = heard->mask,
                                      .name = heard->name,
                                      .name_length = (uint32_t)strlen(heard->name),
                                      .dir = heard->dir.length ? &heard->dir : NULL,
                                      .node = heard->node.length ? &heard->node : NULL};
        backend.receive(&notice, backend.payload);
    }
    backend.count = 0;
}

static int32_t VRIFT_CALLBACK count_calls(const char *slot, void *payload)
{
    (void)payload;
    backend.walks += !strcmp(slot, "walk");
    backend.getattrs += !strcmp(slot, "getattr");
    backend.revalidates += !strcmp(slot, "revalidate");
    backend.drains += !strcmp(slot, "drain");
    return 0;
}

static uint64_t questions(void)
{
    return backend.walks + backend.getattrs + backend.revalidates;
}

/* -- The two views ------------------------------------------------------------------------------------------------- */

struct pair {
    struct world *w;
    struct vr_memfs *fs;
    vrift_sb *sb; /* ours */
    struct vrift_backend_ops ours, theirs;
};

static vrift_sb *mount_ops(struct world *w, const struct vrift_backend_ops *ops, void *self, const char *path)
{
    vrift_sb *sb;
    check_ok(vrift_mkdirat(w->task, HERE, path, 0755));
    check_ok(vrift_sb_new(w->vfs, ops, self, &sb));
    check_ok(vrift_mount(w->task, HERE, path, sb, 0));
    vrift_sb_unref(sb); /* the mount holds it */
    return sb;
}

static struct pair *pair_new(const struct model *names, const struct model *attrs, const struct model *listings)
{
    static const struct vrift_mem_options options = {.size = sizeof options};
    struct pair *pair = test_calloc(1, sizeof *pair);
    pair->w = world_new(NULL);
    memset(&backend, 0, sizeof backend);
    backend.names = names;
    backend.attrs = attrs;
    backend.listings = listings;
    check_ok(vr_memfs_new(NULL, &options, &pair->fs));
    pair->ours = pair->theirs = vr_memfs_ops;
    pair->ours.consistency = consistency;
    pair->ours.destroy = NULL; /* theirs does it, being mounted first and let go last */
    if (names->telling != NOTHING || attrs->telling != NOTHING)
        pair->ours.watch = watch;
    if (names->telling == WHEN_DRAINED || attrs->telling == WHEN_DRAINED)
        pair->ours.drain = drain;
    mount_ops(pair->w, &pair->theirs, pair->fs, "/t");
    pair->sb = mount_ops(pair->w, &pair->ours, pair->fs, "/s");
    check_ok(vrift_mkdirat(pair->w->task, HERE, "/t/d", 0755));
    world_file(pair->w, "/t/d/f", "one");
    check_ok(vrift_vfs_set_fault(pair->w->vfs, count_calls, NULL));
    return pair;
}

static void pair_free(struct pair *pair)
{
    check_ok(vrift_vfs_set_fault(pair->w->vfs, NULL, NULL));
    check_ok(vrift_umount(pair->w->task, HERE, "/s", 0));
    check_ok(vrift_umount(pair->w->task, HERE, "/t", 0));
    world_free(pair->w);
    test_free(pair);
}

static struct vrift_key key_of(struct pair *pair, const char *path)
{
    struct vrift_stat st;
    struct vrift_key key = {.length = sizeof st.ino};
    check_ok(vrift_statat(pair->w->task, HERE, path, VRIFT_AT_SYMLINK_NOFOLLOW, &st));
    memcpy(key.bytes, &st.ino, sizeof st.ino);
    return key;
}

/* The backend hears of something in /t/d, or of /t/d itself; what name does not exist (any more) has no node. */
static void hear(struct pair *pair, uint32_t mask, const char *name)
{
    struct heard *heard = &backend.heard[backend.count];
    char path[64];
    struct vrift_stat st;
    if (!pair->ours.watch)
        return;
    backend.count++;
    memset(heard, 0, sizeof *heard);
    heard->mask = mask;
    heard->dir = key_of(pair, name ? "/t/d" : "/t");
    snprintf(heard->name, sizeof heard->name, "%s", name ? name : "d");
    snprintf(path, sizeof path, "/t/d/%s", name ? name : ".");
    if (vrift_statat(pair->w->task, HERE, path, VRIFT_AT_SYMLINK_NOFOLLOW, &st) == 0)
        heard->node = key_of(pair, path);
    if (!pair->ours.drain)
        drain(pair->fs);
}

static void hear_of_root(struct pair *pair)
{
    struct heard *heard = &backend.heard[backend.count];
    if (!pair->ours.watch)
        return;
    backend.count++;
    *heard = (struct heard){.mask = VRIFT_IN_ATTRIB, .node = key_of(pair, "/t")};
    if (!pair->ours.drain)
        drain(pair->fs);
}

static int32_t stat_ours(struct pair *pair, const char *path, struct vrift_stat *out)
{
    return vrift_statat(pair->w->task, HERE, path, VRIFT_AT_SYMLINK_NOFOLLOW, out);
}

/* Longer than a short age. */
static void let_age_pass(const struct model *a, const struct model *b)
{
    struct timespec time = {0, (long)SHORT + 1000000};
    if (a->age == SHORT || b->age == SHORT)
        nanosleep(&time, NULL);
}

/* Must an answer be of now, as long after a change as let_age_pass() waits? Else it must be the old one. */
static bool is_fresh(const struct model *model)
{
    if (model->model <= VRIFT_CONSISTENCY_EXCLUSIVE_WRITETHROUGH)
        return false;
    return model->telling == AT_ONCE || model->age <= SHORT;
}

/* -- Names and attributes, each model with each -------------------------------------------------------------------- */

/* Says which row it was that failed. */
#define row_equal(value, wanted)                                                                                       \
    do {                                                                                                               \
        int64_t is_ = (int64_t)(value), be_ = (int64_t)(wanted);                                                       \
        if (is_ != be_)                                                                                                \
            fail_msg("names %s, attributes %s: %s is %lld, not %lld", backend.names->name, backend.attrs->name,        \
                     #value, (long long)is_, (long long)be_);                                                          \
    } while (0)

static void observe(struct pair *pair)
{
    bool names = is_fresh(backend.names), attrs = is_fresh(backend.attrs);
    struct world *w = pair->w;
    struct vrift_stat st;
    check_ok(stat_ours(pair, "/s/d/f", &st));
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/none", &st));
    int32_t fd = (int32_t)check_ok(vrift_openat(w->task, HERE, "/s/d/f", VRIFT_O_RDONLY, 0));

    world_file(w, "/t/d/f", "longer");
    hear(pair, VRIFT_IN_MODIFY, "f");
    world_file(w, "/t/d/none", "here");
    hear(pair, VRIFT_IN_CREATE, "none");
    let_age_pass(backend.names, backend.attrs);

    uint64_t before = questions();
    check_ok(vrift_fstat(w->task, fd, &st)); /* attributes alone */
    row_equal(st.size, attrs ? 6 : 3);
    if (!attrs)
        row_equal(questions(), before);
    before = questions();
    int32_t error = stat_ours(pair, "/s/d/none", &st);
    row_equal(error, names ? 0 : -VRIFT_ENOENT);
    if (!names)
        row_equal(questions(), before);
    check_ok(stat_ours(pair, "/s/d/f", &st)); /* both */
    if (attrs)
        row_equal(st.size, 6);
    if (!attrs && !names)
        row_equal(st.size, 3);

    char buf[8];
    row_equal(vrift_pread(w->task, fd, buf, sizeof buf, 0), 6); /* no bytes are kept by the core */
    check_ok(vrift_close(w->task, fd));

    check_ok(vrift_unlinkat(w->task, HERE, "/t/d/f", 0));
    hear(pair, VRIFT_IN_DELETE, "f");
    let_age_pass(backend.names, backend.attrs);
    error = stat_ours(pair, "/s/d/f", &st);
    if (names)
        check_error(-VRIFT_ENOENT, error);
    else if (!attrs) /* else the file is asked for its attributes, and that it is gone shows */
        check_ok(error);
}

static void each_model_of_names_with_each_of_attributes_is_as_stale_as_declared(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODELS; i++) {
        for (size_t k = 0; k < MODELS; k++) {
            /* One that is never asked cannot tell when it is asked. */
            if (models[i].telling != models[k].telling && models[i].telling != NOTHING && models[k].telling != NOTHING)
                continue;
            /* There is one slot, so who declares notification tells. */
            if ((models[i].telling == NOTHING && models[i].model == VRIFT_CONSISTENCY_SHARED_NOTIFY) !=
                    (models[k].telling == NOTHING && models[k].model == VRIFT_CONSISTENCY_SHARED_NOTIFY) &&
                (models[i].telling != NOTHING || models[k].telling != NOTHING))
                continue;
            struct pair *pair = pair_new(&models[i], &models[k], &models[i]);
            observe(pair);
            pair_free(pair);
        }
    }
}

/* -- What notification spares -------------------------------------------------------------------------------------- */

static const struct model *const notify = &models[3], *const at_once = &models[5], *const revalidate = &models[7],
                                 *const exclusive = &models[1], *const an_hour = &models[8];

static void what_nothing_was_told_of_is_not_asked_again(void **state)
{
    (void)state;
    const struct model *told[] = {notify, at_once};
    for (size_t i = 0; i < 2; i++) {
        struct pair *pair = pair_new(told[i], told[i], told[i]);
        struct vrift_stat st;
        check_ok(stat_ours(pair, "/s/d/f", &st));
        check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/none", &st));
        world_file(pair->w, "/t/d/other", "x");
        hear(pair, VRIFT_IN_CREATE, "other");
        uint64_t before = questions(), drained = backend.drains;
        for (int round = 0; round < 5; round++) {
            check_ok(stat_ours(pair, "/s/d", &st));
            check_ok(stat_ours(pair, "/s/d/f", &st));
            check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/none", &st));
        }
        /* The directory's own attributes were touched by the new name, and are asked for once. */
        assert_in_range(questions() - before, 0, 1);
        if (told[i] == notify)
            assert_in_range(backend.drains - drained, 15, 30); /* once or twice a walk: names, and attributes */
        pair_free(pair);
    }
}

static void files_are_asked_for_what_only_names_are_told_of(void **state)
{
    (void)state;
    struct pair *pair = pair_new(notify, revalidate, notify);
    struct vrift_stat st;
    check_ok(stat_ours(pair, "/s/d/f", &st));
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/none", &st));
    uint64_t before = questions();
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/none", &st));
    assert_int_equal(questions(), before);
    check_ok(stat_ours(pair, "/s/d/f", &st)); /* its mode could have changed through another name */
    assert_int_equal(questions(), before + 1);
    vrift_cred *nobody = world_cred(pair->w, 1000, 1000);
    vrift_task *task;
    check_ok(vrift_task_new(pair->w->ns, nobody, NULL, &task));
    check_ok(vrift_faccessat(task, HERE, "/s/d/f", 4, 0));
    check_ok(vrift_fchmodat(pair->w->task, HERE, "/t/d/f", 0600, 0)); /* which nobody tells */
    check_error(-VRIFT_EACCES, vrift_faccessat(task, HERE, "/s/d/f", 4, 0));
    vrift_task_free(task);
    vrift_cred_unref(nobody);
    pair_free(pair);
}

static void a_directory_that_nothing_is_heard_of_is_asked_each_time(void **state)
{
    (void)state;
    struct pair *pair = pair_new(notify, notify, notify);
    struct vrift_stat st;
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/none", &st));
    backend.heard[0] = (struct heard){.mask = VRIFT_IN_IGNORED, .dir = key_of(pair, "/t/d")};
    backend.count = 1;
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/none", &st));
    world_file(pair->w, "/t/d/none", "here"); /* which nobody tells */
    check_ok(stat_ours(pair, "/s/d/none", &st));
    check_ok(vrift_unlinkat(pair->w->task, HERE, "/t/d/none", 0));
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/none", &st));
    pair_free(pair);
}

static void watchers_of_a_superblock_are_told_where_nothing_is_heard(void **state)
{
    (void)state;
    struct pair *pair = pair_new(notify, notify, notify);
    static _Alignas(8) char buf[1024];
    const struct vrift_watch_event *event = (const void *)buf;
    struct vrift_stat st;
    vrift_watch_queue *early, *late;
    check_ok(vrift_watch_new(pair->w->vfs, NULL, &early));
    check_ok(vrift_watch_new(pair->w->vfs, NULL, &late));
    check_ok(vrift_watch_add(early, pair->w->task, HERE, "/s", VRIFT_IN_CREATE, VRIFT_WATCH_SUPERBLOCK));
    check_ok(stat_ours(pair, "/s/d", &st));
    backend.heard[0] = (struct heard){.mask = VRIFT_IN_IGNORED, .dir = key_of(pair, "/t/d")};
    backend.count = 1;
    assert_true(vrift_watch_read(early, buf, sizeof buf, 0) > 0); /* it makes the backend tell */
    assert_int_equal(event->mask, VRIFT_IN_DEAF | VRIFT_IN_ISDIR);
    assert_int_equal(event->ino, st.ino);
    check_ok(vrift_watch_add(late, pair->w->task, HERE, "/s", VRIFT_IN_CREATE, VRIFT_WATCH_SUPERBLOCK));
    assert_true(vrift_watch_read(late, buf, sizeof buf, 0) > 0);
    assert_int_equal(event->mask, VRIFT_IN_DEAF | VRIFT_IN_ISDIR);
    assert_int_equal(event->ino, 0);
    vrift_watch_free(early);
    vrift_watch_free(late);
    pair_free(pair);
}

static void an_overflow_makes_everything_doubtful_once(void **state)
{
    (void)state;
    struct pair *pair = pair_new(notify, notify, notify);
    struct vrift_stat st;
    check_ok(stat_ours(pair, "/s/d/f", &st));
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/none", &st));
    world_file(pair->w, "/t/d/f", "longer");
    world_file(pair->w, "/t/d/none", "here");
    backend.heard[0] = (struct heard){.mask = VRIFT_IN_Q_OVERFLOW};
    backend.count = 1;
    check_ok(stat_ours(pair, "/s/d/f", &st));
    assert_int_equal(st.size, 6);
    check_ok(stat_ours(pair, "/s/d/none", &st));
    uint64_t before = questions();
    check_ok(stat_ours(pair, "/s/d/f", &st));
    check_ok(stat_ours(pair, "/s/d/none", &st));
    assert_int_equal(questions(), before);
    pair_free(pair);
}

/* -- Permissions belong to names ----------------------------------------------------------------------------------- */

static void permissions_on_the_way_are_as_stale_as_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODELS; i++) {
        struct pair *pair = pair_new(&models[i], models[i].telling == NOTHING ? an_hour : &models[i], &models[i]);
        struct world *w = pair->w;
        struct vrift_stat st;
        vrift_cred *nobody = world_cred(w, 1000, 1000);
        vrift_task *task;
        check_ok(vrift_task_new(w->ns, nobody, NULL, &task));
        check_ok(vrift_statat(task, HERE, "/s/d/f", 0, &st));
        check_ok(vrift_chdir(task, "/s/d"));
        check_ok(vrift_fchmodat(w->task, HERE, "/t/d", 0700, 0));
        hear(pair, VRIFT_IN_ATTRIB | VRIFT_IN_ISDIR, NULL);
        let_age_pass(&models[i], &models[i]);
        int32_t error = vrift_statat(task, HERE, "/s/d/f", 0, &st);
        row_equal(error, is_fresh(&models[i]) ? -VRIFT_EACCES : 0);
        error = vrift_statat(task, HERE, "f", 0, &st);
        row_equal(error, is_fresh(&models[i]) ? -VRIFT_EACCES : 0);
        error = vrift_faccessat(task, HERE, ".", 4, 0);
        row_equal(error, is_fresh(&models[i]) ? -VRIFT_EACCES : 0);
        check_ok(vrift_chdir(task, "/"));
        check_ok(vrift_fchmodat(w->task, HERE, "/t/d", 0755, 0));
        hear(pair, VRIFT_IN_ATTRIB | VRIFT_IN_ISDIR, NULL);
        check_ok(vrift_fchmodat(w->task, HERE, "/t", 0700, 0));
        hear_of_root(pair);
        let_age_pass(&models[i], &models[i]);
        error = vrift_statat(task, HERE, "/s/d/f", 0, &st);
        row_equal(error, is_fresh(&models[i]) ? -VRIFT_EACCES : 0);
        vrift_task_free(task);
        vrift_cred_unref(nobody);
        pair_free(pair);
    }
}

/* -- Forgetting on demand ------------------------------------------------------------------------------------------ */

/* An exclusive file system that was changed all the same, with a file open, a current directory and a mount in it. */
static struct pair *betrayed(void)
{
    struct pair *pair = pair_new(exclusive, exclusive, exclusive);
    struct vrift_stat st;
    check_ok(vrift_mkdirat(pair->w->task, HERE, "/t/d/e", 0755));
    world_file(pair->w, "/t/d/e/f", "one");
    check_ok(stat_ours(pair, "/s/d/e/f", &st));
    check_ok(stat_ours(pair, "/s/d/f", &st));
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/none", &st));
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/e/none", &st));
    world_list(pair->w, "/s/d");
    world_list(pair->w, "/s/d/e");
    world_file(pair->w, "/t/d/f", "longer");
    world_file(pair->w, "/t/d/none", "here");
    world_file(pair->w, "/t/d/new", "here");
    world_file(pair->w, "/t/d/e/none", "here");
    check_ok(vrift_unlinkat(pair->w->task, HERE, "/t/d/e/f", 0));
    check_ok(stat_ours(pair, "/s/d/f", &st));
    assert_int_equal(st.size, 3);
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/none", &st));
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/new", &st));
    return pair;
}

static void one_file_is_forgotten(void **state)
{
    (void)state;
    struct pair *pair = betrayed();
    struct vrift_stat st;
    check_ok(vrift_invalidate(pair->w->task, HERE, "/s/d/f", VRIFT_INVALIDATE_ATTRIBUTES));
    check_ok(stat_ours(pair, "/s/d/f", &st));
    assert_int_equal(st.size, 6);
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/none", &st)); /* that was not asked for */
    check_ok(vrift_invalidate(pair->w->task, HERE, "/s/d/none", VRIFT_INVALIDATE_NAMES));
    check_ok(stat_ours(pair, "/s/d/none", &st));
    check_ok(vrift_invalidate(pair->w->task, HERE, "/s/d/e/f", VRIFT_INVALIDATE_NAMES));
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/e/f", &st));
    pair_free(pair);
}

static void a_directory_is_forgotten_with_its_names_or_with_all_below(void **state)
{
    (void)state;
    struct pair *pair = betrayed();
    struct vrift_stat st;
    check_ok(vrift_invalidate(pair->w->task, HERE, "/s/d", VRIFT_INVALIDATE_NAMES));
    check_ok(stat_ours(pair, "/s/d/none", &st));
    check_ok(stat_ours(pair, "/s/d/new", &st));
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/e/none", &st));
    check_ok(stat_ours(pair, "/s/d/e/f", &st));
    check_ok(vrift_invalidate(pair->w->task, HERE, "/s", VRIFT_INVALIDATE_NAMES | VRIFT_INVALIDATE_BELOW));
    check_ok(stat_ours(pair, "/s/d/e/none", &st));
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/e/f", &st));
    pair_free(pair);
}

static void what_is_in_use_is_kept_and_looked_up_anew(void **state)
{
    (void)state;
    struct pair *pair = betrayed();
    struct world *w = pair->w;
    struct vrift_stat st;
    char buf[64];
    int32_t gone = (int32_t)check_ok(vrift_openat(w->task, HERE, "/s/d/e/f", VRIFT_O_PATH, 0));
    int32_t kept = (int32_t)check_ok(vrift_openat(w->task, HERE, "/s/d/f", VRIFT_O_RDONLY, 0));
    check_ok(vrift_chdir(w->task, "/s/d/e"));
    check_ok(vrift_sb_invalidate(pair->sb, VRIFT_INVALIDATE_NAMES | VRIFT_INVALIDATE_ATTRIBUTES));
    check_ok(stat_ours(pair, "none", &st));
    check_error(-VRIFT_ENOENT, stat_ours(pair, "f", &st));
    check_ok(vrift_getcwd(w->task, buf, sizeof buf));
    assert_string_equal(buf, "/s/d/e");
    check_ok(vrift_fstat(w->task, kept, &st));
    assert_int_equal(st.size, 6);
    check_ok(stat_ours(pair, "/s/d/f", &st));
    assert_int_equal(vrift_pread(w->task, kept, buf, sizeof buf, 0), 6);
    check_ok(vrift_close(w->task, gone));
    check_ok(vrift_close(w->task, kept));
    uint64_t before = questions();
    check_ok(stat_ours(pair, "/s/d/f", &st)); /* and kept again */
    assert_int_equal(questions(), before);
    check_ok(vrift_chdir(w->task, "/"));
    pair_free(pair);
}

static void each_name_of_a_file_in_use_is_looked_up_anew(void **state)
{
    (void)state;
    struct pair *pair = pair_new(exclusive, exclusive, exclusive);
    struct world *w = pair->w;
    struct vrift_stat st;
    check_ok(vrift_linkat(w->task, HERE, "/t/d/f", HERE, "/t/d/g", 0));
    int32_t f = (int32_t)check_ok(vrift_openat(w->task, HERE, "/s/d/f", VRIFT_O_RDONLY, 0));
    int32_t g = (int32_t)check_ok(vrift_openat(w->task, HERE, "/s/d/g", VRIFT_O_RDONLY, 0));
    check_ok(vrift_unlinkat(w->task, HERE, "/t/d/g", 0));
    check_ok(vrift_invalidate(w->task, HERE, "/s/d", VRIFT_INVALIDATE_NAMES));
    check_ok(stat_ours(pair, "/s/d/f", &st));
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/g", &st));
    check_ok(vrift_close(w->task, f));
    check_ok(vrift_close(w->task, g));
    pair_free(pair);
}

static void dropping_the_caches_of_a_superblock_spares_others(void **state)
{
    (void)state;
    struct pair *pair = betrayed();
    struct vrift_stat st;
    check_ok(stat_ours(pair, "/t/d/f", &st));
    check_ok(vrift_sb_drop_caches(pair->sb));
    uint64_t before = questions();
    check_ok(stat_ours(pair, "/t/d/f", &st));
    assert_int_equal(questions(), before);
    check_ok(stat_ours(pair, "/s/d/f", &st));
    assert_true(questions() > before);
    check_error(-VRIFT_EINVAL, vrift_sb_drop_caches(NULL));
    check_error(-VRIFT_EINVAL, vrift_sb_invalidate(pair->sb, 0));
    check_error(-VRIFT_EINVAL, vrift_sb_invalidate(pair->sb, VRIFT_INVALIDATE_BELOW));
    check_error(-VRIFT_EINVAL, vrift_invalidate(pair->w->task, HERE, "/s", VRIFT_INVALIDATE_BELOW));
    check_error(-VRIFT_ENOTDIR, vrift_invalidate(pair->w->task, HERE, "/s/d/f/x", VRIFT_INVALIDATE_NAMES));
    pair_free(pair);
}

static void watchers_hear_of_what_is_invalidated(void **state)
{
    (void)state;
    struct pair *pair = betrayed();
    vrift_watch_queue *queue;
    static _Alignas(8) char buf[1024];
    const struct vrift_watch_event *event = (const void *)buf;
    check_ok(vrift_watch_new(pair->w->vfs, NULL, &queue));
    check_ok(vrift_watch_add(queue, pair->w->task, HERE, "/s/d", VRIFT_IN_ALL_EVENTS, VRIFT_WATCH_SUPERBLOCK));
    check_ok(vrift_invalidate(pair->w->task, HERE, "/s/d/f", VRIFT_INVALIDATE_DATA));
    assert_true(vrift_watch_read(queue, buf, sizeof buf, 0) > 0);
    assert_int_equal(event->mask, VRIFT_IN_MODIFY);
    assert_int_equal(event->flags, VRIFT_WATCH_BEHIND);
    check_ok(vrift_invalidate(pair->w->task, HERE, "/s/d/none", VRIFT_INVALIDATE_NAMES));
    assert_true(vrift_watch_read(queue, buf, sizeof buf, 0) > 0);
    assert_string_equal(vrift_watch_event_name(event), "none");
    check_ok(vrift_invalidate(pair->w->task, HERE, "/s", VRIFT_INVALIDATE_NAMES | VRIFT_INVALIDATE_BELOW));
    assert_true(vrift_watch_read(queue, buf, sizeof buf, 0) > 0);
    assert_int_equal(event->mask, VRIFT_IN_Q_OVERFLOW);
    vrift_watch_free(queue);
    pair_free(pair);
}

/* -- Answers that are on their way --------------------------------------------------------------------------------- */

static void (*meanwhile)(struct pair *pair); /* once, when the next walk has its answer and has not yet returned */
static struct pair *meanwhile_pair;

static int32_t VRIFT_CALLBACK walk_and(void *self, const struct vrift_node *dir, const struct vrift_name *names,
                                       uint32_t count, struct vrift_entry *entries, uint32_t *done)
{
    int32_t error = vr_memfs_ops.walk(self, dir, names, count, entries, done);
    void (*now)(struct pair *) = meanwhile;
    meanwhile = NULL;
    if (now)
        now(meanwhile_pair);
    return error;
}

static struct pair *slow_pair(const struct model *model)
{
    struct pair *pair = pair_new(model, model, model);
    check_ok(vrift_umount(pair->w->task, HERE, "/s", 0));
    check_ok(vrift_unlinkat(pair->w->task, HERE, "/s", VRIFT_AT_REMOVEDIR));
    pair->ours.walk = walk_and;
    pair->sb = mount_ops(pair->w, &pair->ours, pair->fs, "/s");
    meanwhile_pair = pair;
    return pair;
}

static void make_none_and_invalidate(struct pair *pair)
{
    world_file(pair->w, "/t/d/none", "here");
    check_ok(vrift_sb_invalidate(pair->sb, VRIFT_INVALIDATE_NAMES));
}

static void remove_f_and_tell(struct pair *pair)
{
    check_ok(vrift_unlinkat(pair->w->task, HERE, "/t/d/f", 0));
    hear(pair, VRIFT_IN_DELETE, "f");
    drain(pair->fs);
}

static void change_mode(struct pair *pair)
{
    check_ok(vrift_fchmodat(pair->w->task, HERE, "/s/d/again", 0600, 0));
}

static void what_is_invalidated_while_it_is_asked_for_is_not_kept(void **state)
{
    (void)state;
    struct pair *pair = slow_pair(exclusive);
    struct vrift_stat st;
    check_ok(stat_ours(pair, "/s/d", &st));
    meanwhile = make_none_and_invalidate;
    (void)stat_ours(pair, "/s/d/none", &st); /* either is true of some moment of the call */
    check_ok(stat_ours(pair, "/s/d/none", &st));
    pair_free(pair);
}

static void what_is_told_while_it_is_asked_for_is_doubtful(void **state)
{
    (void)state;
    struct pair *pair = slow_pair(notify);
    struct vrift_stat st;
    check_ok(stat_ours(pair, "/s/d", &st));
    meanwhile = remove_f_and_tell;
    (void)stat_ours(pair, "/s/d/f", &st);
    check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/f", &st));
    pair_free(pair);
}

static void an_answer_from_before_our_own_change_does_not_hide_it(void **state)
{
    (void)state;
    struct pair *pair = slow_pair(an_hour);
    struct vrift_stat st;
    check_ok(stat_ours(pair, "/s/d/f", &st));
    check_ok(vrift_linkat(pair->w->task, HERE, "/s/d/f", HERE, "/s/d/again", 0));
    check_ok(vrift_vfs_drop_caches(pair->w->vfs));
    check_ok(stat_ours(pair, "/s/d/again", &st));
    meanwhile = change_mode; /* through the other name */
    check_ok(stat_ours(pair, "/s/d/f", &st));
    check_ok(stat_ours(pair, "/s/d/again", &st));
    assert_int_equal(st.mode & 07777, 0600);
    check_ok(stat_ours(pair, "/s/d/f", &st));
    assert_int_equal(st.mode & 07777, 0600);
    pair_free(pair);
}

/* -- Complete directories ------------------------------------------------------------------------------------------ */

static void directories_are_complete_where_nobody_else_changes_names_and_listings(void **state)
{
    (void)state;
    for (size_t i = 0; i < MODELS; i++) {
        for (size_t k = 0; k < MODELS; k++) {
            if (models[i].telling != NOTHING || models[k].telling != NOTHING)
                continue;
            struct pair *pair = pair_new(&models[i], exclusive, &models[k]);
            struct vrift_stat st;
            check_ok(stat_ours(pair, "/s/d/f", &st));
            assert_string_equal(world_list(pair->w, "/s/d"), "f");
            uint64_t before = questions();
            check_error(-VRIFT_ENOENT, stat_ours(pair, "/s/d/never-asked-for", &st));
            bool complete = models[i].model <= VRIFT_CONSISTENCY_EXCLUSIVE_WRITETHROUGH &&
                            models[k].model <= VRIFT_CONSISTENCY_EXCLUSIVE_WRITETHROUGH;
            assert_int_equal(questions() == before, complete);
            world_file(pair->w, "/t/d/g", "x");
            assert_string_equal(world_list(pair->w, "/s/d"), "f g"); /* listings themselves are never kept */
            pair_free(pair);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_model_of_names_with_each_of_attributes_is_as_stale_as_declared),
        cmocka_unit_test(what_nothing_was_told_of_is_not_asked_again),
        cmocka_unit_test(files_are_asked_for_what_only_names_are_told_of),
        cmocka_unit_test(a_directory_that_nothing_is_heard_of_is_asked_each_time),
        cmocka_unit_test(watchers_of_a_superblock_are_told_where_nothing_is_heard),
        cmocka_unit_test(an_overflow_makes_everything_doubtful_once),
        cmocka_unit_test(permissions_on_the_way_are_as_stale_as_names),
        cmocka_unit_test(one_file_is_forgotten),
        cmocka_unit_test(a_directory_is_forgotten_with_its_names_or_with_all_below),
        cmocka_unit_test(what_is_in_use_is_kept_and_looked_up_anew),
        cmocka_unit_test(each_name_of_a_file_in_use_is_looked_up_anew),
        cmocka_unit_test(dropping_the_caches_of_a_superblock_spares_others),
        cmocka_unit_test(watchers_hear_of_what_is_invalidated),
        cmocka_unit_test(what_is_invalidated_while_it_is_asked_for_is_not_kept),
        cmocka_unit_test(what_is_told_while_it_is_asked_for_is_doubtful),
        cmocka_unit_test(an_answer_from_before_our_own_change_does_not_hide_it),
        cmocka_unit_test(directories_are_complete_where_nobody_else_changes_names_and_listings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
