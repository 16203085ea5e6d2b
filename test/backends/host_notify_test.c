/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A directory of the host that others change by plain system calls: what is answered is never older than declared, with
 * and without VRIFT_HOST_NOTIFY; and with it, what nothing happened to is not asked for again.
 *
 *     host_notify_test --ops N --seed S      one long run of the random test
 */
#include "support/world.h"

#include <vrift/vrift.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HERE VRIFT_AT_FDCWD
#define HOUR 3600000000000ULL

static uint64_t ops_wanted = 3000, seed_wanted = 1, seeds = 3;

struct place {
    char *path;
    vrift_vfs *vfs;
    vrift_sb *sb;
    vrift_ns *ns;
    vrift_task *task;
    uint64_t questions, drains;
};

static int32_t VRIFT_CALLBACK count_calls(const char *slot, void *payload)
{
    struct place *p = payload;
    p->questions += !strcmp(slot, "walk") || !strcmp(slot, "getattr") || !strcmp(slot, "revalidate");
    p->drains += !strcmp(slot, "drain");
    return 0;
}

static struct place *place_on(char *path, uint64_t flags, uint64_t max_age_ns)
{
    struct place *p = test_calloc(1, sizeof *p);
    struct vrift_host_options options = {.size = sizeof options, .flags = flags, .max_age_ns = max_age_ns};
    p->path = path;
    check_ok(vrift_vfs_new(NULL, &p->vfs));
    check_ok(vrift_host_new(p->vfs, path, &options, &p->sb));
    check_ok(vrift_ns_new(p->vfs, p->sb, 0, &p->ns));
    check_ok(vrift_task_new(p->ns, NULL, NULL, &p->task));
    check_ok(vrift_vfs_set_fault(p->vfs, count_calls, p));
    return p;
}

static struct place *place_new(uint64_t flags, uint64_t max_age_ns)
{
    return place_on(temporary_directory(), flags, max_age_ns);
}

static void place_free(struct place *p)
{
    vrift_task_free(p->task);
    vrift_ns_unref(p->ns);
    vrift_sb_unref(p->sb);
    vrift_vfs_free(p->vfs);
    remove_temporary_directory(p->path);
    test_free(p);
}

/* The path on the host; valid until the fourth call from now. */
static const char *at(const struct place *p, const char *path)
{
    static char text[4][4200];
    static int next;
    char *out = text[next++ % 4];
    snprintf(out, sizeof text[0], "%s/%s", p->path, path);
    return out;
}

static void put(const struct place *p, const char *path, const char *bytes)
{
    int fd = open(at(p, path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
    close(fd);
}

static int32_t look(struct place *p, const char *path, struct vrift_stat *out)
{
    return vrift_statat(p->task, HERE, path, VRIFT_AT_SYMLINK_NOFOLLOW, out);
}

static bool notifies(struct place *p)
{
    struct vrift_consistency names;
    check_ok(vrift_sb_consistency(p->sb, VRIFT_ASPECT_NAMES, &names));
    return names.model == VRIFT_CONSISTENCY_SHARED_NOTIFY;
}

#define need_notify(p)                                                                                                 \
    do {                                                                                                               \
        if (!notifies(p)) {                                                                                            \
            place_free(p);                                                                                             \
            skip_because("the host does not tell of changes here");                                                    \
        }                                                                                                              \
    } while (0)

/* -- Exactly as stale as declared ---------------------------------------------------------------------------------- */

static void observe(uint64_t flags, uint64_t age, bool fresh)
{
    struct place *p = place_new(flags, age);
    struct vrift_stat st;
    check_ok(mkdir(at(p, "d"), 0755));
    put(p, "d/f", "one");
    check_ok(look(p, "/d/f", &st));
    check_error(-VRIFT_ENOENT, look(p, "/d/none", &st));
    put(p, "d/f", "longer");
    put(p, "d/none", "here");
    uint64_t before = p->questions;
    assert_int_equal(look(p, "/d/none", &st), fresh ? 0 : -VRIFT_ENOENT);
    check_ok(look(p, "/d/f", &st));
    assert_int_equal(st.size, fresh ? 6 : 3);
    if (!fresh)
        assert_int_equal(p->questions, before);
    char buf[8];
    int32_t fd = (int32_t)check_ok(vrift_openat(p->task, HERE, "/d/f", VRIFT_O_RDONLY, 0));
    assert_int_equal(vrift_read(p->task, fd, buf, sizeof buf), 6);
    check_ok(vrift_close(p->task, fd));
    check_ok(rename(at(p, "d/none"), at(p, "d/f")));
    uint64_t ino = st.ino;
    check_ok(look(p, "/d/f", &st));
    assert_int_equal(st.ino != ino, fresh);
    check_ok(unlink(at(p, "d/f")));
    assert_int_equal(look(p, "/d/f", &st), fresh ? -VRIFT_ENOENT : 0);
    place_free(p);
}

static void each_way_of_sharing_a_directory_is_as_stale_as_declared(void **state)
{
    (void)state;
    observe(0, 0, true);
    observe(0, HOUR, false);
    observe(VRIFT_HOST_NOTIFY, 0, true);
    observe(VRIFT_HOST_NOTIFY, HOUR, false);
    observe(VRIFT_HOST_EXCLUSIVE, 0, false);
}

static void a_short_age_is_kept_and_not_exceeded(void **state)
{
    (void)state;
    static const uint64_t flags[] = {0, VRIFT_HOST_NOTIFY};
    for (int i = 0; i < 2; i++) {
        struct place *p = place_new(flags[i], 20000000);
        struct timespec longer = {0, 21000000};
        struct vrift_stat st;
        for (int round = 0; round < 5; round++) {
            put(p, "f", "one");
            nanosleep(&longer, NULL);
            check_ok(look(p, "/f", &st));
            assert_int_equal(st.size, 3);
            check_ok(unlink(at(p, "f")));
            nanosleep(&longer, NULL);
            check_error(-VRIFT_ENOENT, look(p, "/f", &st));
        }
        place_free(p);
    }
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    char *path = temporary_directory();
    vrift_vfs *vfs;
    vrift_sb *sb;
    struct vrift_host_options options = {.size = sizeof options, .flags = VRIFT_HOST_EXCLUSIVE | VRIFT_HOST_NOTIFY};
    check_ok(vrift_vfs_new(NULL, &vfs));
    check_error(-VRIFT_EINVAL, vrift_host_new(vfs, path, &options, &sb));
    options.flags = VRIFT_HOST_EXCLUSIVE;
    options.max_age_ns = 1;
    check_error(-VRIFT_EINVAL, vrift_host_new(vfs, path, &options, &sb));
    options = (struct vrift_host_options){.size = sizeof options, .flags = VRIFT_HOST_NOTIFY};
    check_ok(vrift_host_new(vfs, "/proc", &options, &sb)); /* which tells nothing, and says so */
    struct vrift_consistency names;
    check_ok(vrift_sb_consistency(sb, VRIFT_ASPECT_NAMES, &names));
    assert_int_equal(names.model, VRIFT_CONSISTENCY_SHARED_REVALIDATE);
    vrift_sb_unref(sb);
    vrift_vfs_free(vfs);
    remove_temporary_directory(path);
}

static void what_nothing_happened_to_is_not_asked_for_again(void **state)
{
    (void)state;
    struct place *p = place_new(VRIFT_HOST_NOTIFY, 0);
    struct vrift_stat st;
    need_notify(p);
    check_ok(mkdir(at(p, "d"), 0755));
    check_ok(mkdir(at(p, "d/e"), 0755));
    put(p, "d/e/f", "x");
    check_ok(look(p, "/d/e/f", &st));
    check_error(-VRIFT_ENOENT, look(p, "/d/e/none", &st));
    uint64_t before = p->questions;
    for (int i = 0; i < 10; i++)
        check_error(-VRIFT_ENOENT, look(p, "/d/e/none", &st));
    assert_int_equal(p->questions, before);
    for (int i = 0; i < 10; i++)
        check_ok(look(p, "/d/e/f", &st));
    assert_int_equal(p->questions, before + 10); /* the file's attributes alone */
    put(p, "d/e/other", "x");
    check_error(-VRIFT_ENOENT, look(p, "/d/e/none", &st));
    assert_int_equal(p->questions, before + 10);
    place_free(p);
}

static void more_events_than_the_host_keeps_make_everything_doubtful(void **state)
{
    (void)state;
    struct place *p = place_new(VRIFT_HOST_NOTIFY, 0);
    struct vrift_stat st;
    need_notify(p);
    put(p, "a", "x");
    put(p, "b", "x");
    check_ok(look(p, "/a", &st));
    check_error(-VRIFT_ENOENT, look(p, "/last", &st));
    for (int i = 0; i < 20000; i++) /* two names in turn, so that nothing is joined */
        check_ok(chmod(at(p, i & 1 ? "a" : "b"), 0600 | (mode_t)(i & 077)));
    put(p, "last", "x");
    check_ok(unlink(at(p, "a")));
    check_ok(look(p, "/last", &st));
    check_error(-VRIFT_ENOENT, look(p, "/a", &st));
    place_free(p);
}

/* -- Watchers ------------------------------------------------------------------------------------------------------ */

/* The events of a queue: mask in hexadecimal, '*' if it happened behind, name. */
static const char *heard(vrift_watch_queue *queue)
{
    static char text[8192];
    static _Alignas(8) char buf[4096];
    size_t used = 0;
    int64_t length;
    text[0] = '\0';
    while ((length = vrift_watch_read(queue, buf, sizeof buf, 0)) > 0) {
        for (int64_t here = 0; here < length;) {
            const struct vrift_watch_event *event = (const void *)(buf + here);
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%x%s %s", used ? ", " : "", event->mask,
                                     event->flags & VRIFT_WATCH_BEHIND ? "*" : "", vrift_watch_event_name(event));
            here += event->record_length;
        }
    }
    return text;
}

static void watchers_hear_what_others_do_and_their_own_once(void **state)
{
    (void)state;
    struct place *p = place_new(VRIFT_HOST_NOTIFY, 0);
    struct vrift_stat st;
    vrift_watch_queue *queue, *whole;
    need_notify(p);
    check_ok(mkdir(at(p, "d"), 0755));
    put(p, "d/f", "x");
    check_ok(look(p, "/d/f", &st));
    check_ok(vrift_watch_new(p->vfs, NULL, &queue));
    check_ok(vrift_watch_new(p->vfs, NULL, &whole));
    uint32_t mask = VRIFT_IN_CREATE | VRIFT_IN_DELETE | VRIFT_IN_MOVED_FROM | VRIFT_IN_MOVED_TO | VRIFT_IN_MODIFY;
    check_ok(vrift_watch_add(queue, p->task, HERE, "/d", mask, 0));
    check_ok(vrift_watch_add(whole, p->task, HERE, "/", mask, VRIFT_WATCH_SUPERBLOCK));
    put(p, "d/g", "x");
    check_ok(rename(at(p, "d/g"), at(p, "d/h")));
    check_ok(unlink(at(p, "d/h")));
    assert_string_equal(heard(queue), "100* g, 2* g, 40* g, 80* h, 200* h");
    assert_string_equal(heard(whole), "100* g, 2* g, 40* g, 80* h, 200* h");
    int32_t fd = (int32_t)check_ok(vrift_openat(p->task, HERE, "/d/own", VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644));
    assert_int_equal(vrift_write(p->task, fd, "x", 1), 1);
    check_ok(vrift_close(p->task, fd));
    check_ok(vrift_unlinkat(p->task, HERE, "/d/own", 0));
    assert_string_equal(heard(queue), "100 own, 2 own, 200 own");
    assert_string_equal(heard(whole), "100 own, 2 own, 200 own");
    put(p, "d/own", "x"); /* now it is another's */
    assert_string_equal(heard(queue), "100* own, 2* own");
    vrift_watch_free(queue);
    vrift_watch_free(whole);
    place_free(p);
}

static void a_reader_that_waits_hears_of_what_others_do(void **state)
{
    (void)state;
    struct place *p = place_new(VRIFT_HOST_NOTIFY, HOUR);
    vrift_watch_queue *queue;
    static _Alignas(8) char buf[4096];
    struct vrift_stat st;
    need_notify(p);
    check_error(-VRIFT_ENOENT, look(p, "/x", &st));
    check_ok(vrift_watch_new(p->vfs, NULL, &queue));
    check_ok(vrift_watch_add(queue, p->task, HERE, "/", VRIFT_IN_CREATE, 0));
    pid_t child = fork();
    if (child == 0) {
        struct timespec soon = {0, 30000000};
        nanosleep(&soon, NULL);
        _exit(mkdir(at(p, "x"), 0755) != 0);
    }
    assert_true(vrift_watch_read(queue, buf, sizeof buf, 60000000000LL) > 0);
    assert_string_equal(vrift_watch_event_name((const void *)buf), "x");
    waitpid(child, NULL, 0);
    vrift_watch_free(queue);
    place_free(p);
}

/* -- Random changes ------------------------------------------------------------------------------------------------ */

static uint64_t random_state;

static uint32_t pick(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 20) % below;
}

static const char *const paths[] = {"a",     "b",   "d",       "e",     "d/a", "d/b",   "d/e", "d/e/a",
                                    "e/a",   "e/d", "e/d/a",   "d/e/b", "d/d", "d/d/a", "e/b", "e/d/b",
                                    "d/c/a", "d/c", "d/d/b/a", "d/d/b", "c",   "c/a",   "c/b", "c/b/a"};
#define PATHS (sizeof paths / sizeof paths[0])

/* By others, or now and then by ourselves. What fails, fails. */
static void change(struct place *p)
{
    const char *path = paths[pick(PATHS)], *other = paths[pick(PATHS)];
    char ours[300], our_other[300];
    snprintf(ours, sizeof ours, "/%s", path);
    snprintf(our_other, sizeof our_other, "/%s", other);
    mode_t mode = pick(3) ? 0755 : pick(2) ? 0711 : 0700;
    bool own = pick(5) == 0;
    int fd;
    switch (pick(9)) {
    case 0:
    case 1:
        (void)(own ? vrift_mkdirat(p->task, HERE, ours, 0755) : mkdir(at(p, path), 0755));
        break;
    case 2:
        if (own) {
            vrift_mknodat(p->task, HERE, ours, VRIFT_S_IFREG | 0644, 0);
            break;
        }
        fd = open(at(p, path), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd >= 0 && write(fd, "bytes", pick(5)) >= 0)
            close(fd);
        break;
    case 3:
        (void)(own ? vrift_unlinkat(p->task, HERE, ours, 0) : unlink(at(p, path)));
        break;
    case 4:
        (void)(own ? vrift_unlinkat(p->task, HERE, ours, VRIFT_AT_REMOVEDIR) : rmdir(at(p, path)));
        break;
    case 5:
        (void)(own ? vrift_fchmodat(p->task, HERE, ours, mode, 0) : chmod(at(p, path), mode));
        break;
    case 6:
        if (link(at(p, path), at(p, other)))
            (void)0;
        break;
    default:
        if (own)
            vrift_renameat2(p->task, HERE, ours, HERE, our_other, 0);
        else
            renameat2(AT_FDCWD, at(p, path), AT_FDCWD, at(p, other), pick(4) ? 0 : RENAME_EXCHANGE);
    }
}

/* What the host says, asked as nobody in a child would be slow: the modes on the way are looked at instead. */
static int32_t host_answer(struct place *p, const char *path, bool privileged, struct stat *out)
{
    if (!privileged) {
        char way[300];
        size_t length = strlen(path);
        for (size_t i = 0; i < length; i++) {
            if (path[i] != '/')
                continue;
            memcpy(way, path, i);
            way[i] = '\0';
            struct stat st;
            if (stat(at(p, way), &st))
                return vrift_err_from_host_errno(errno);
            if (!S_ISDIR(st.st_mode))
                return -VRIFT_ENOTDIR;
            if (!(st.st_mode & 01))
                return -VRIFT_EACCES;
        }
    }
    return lstat(at(p, path), out) ? vrift_err_from_host_errno(errno) : 0;
}

static void compare(struct place *p, vrift_task *task, bool privileged, uint64_t step)
{
    const char *path = paths[pick(PATHS)];
    char ours[300];
    struct stat host;
    struct vrift_stat st;
    snprintf(ours, sizeof ours, "/%s", path);
    int32_t wanted = host_answer(p, path, privileged, &host);
    int32_t got = vrift_statat(task, HERE, ours, VRIFT_AT_SYMLINK_NOFOLLOW, &st);
    if (got != wanted)
        fail_msg("step %llu: %s %s: the host says %s, ours %s", (unsigned long long)step, path,
                 privileged ? "" : "as nobody", wanted ? vrift_err_name(wanted) : "ok",
                 got ? vrift_err_name(got) : "ok");
    if (!got && (st.ino != host.st_ino || st.mode != host.st_mode || st.size != (uint64_t)host.st_size ||
                 st.nlink != host.st_nlink))
        fail_msg("step %llu: %s: attributes differ", (unsigned long long)step, path);
}

static void random_changes_behind_are_seen_at_once(void **state)
{
    (void)state;
    static const uint64_t flags[] = {VRIFT_HOST_NOTIFY, 0};
    for (uint64_t seed = seed_wanted; seed < seed_wanted + seeds; seed++) {
        for (int i = 0; i < 2; i++) {
            struct place *p = place_new(flags[i], 0);
            struct vrift_cred_options options = {.size = sizeof options, .uid = 12345, .gid = 12345};
            vrift_cred *nobody;
            vrift_task *task;
            random_state = seed * 0x9e3779b97f4a7c15ULL + 1;
            if (geteuid() != 0)
                skip_because("only root can tell what others may do");
            check_ok(chmod(p->path, 0755));
            check_ok(vrift_cred_new(p->vfs, &options, &nobody));
            check_ok(vrift_task_new(p->ns, nobody, NULL, &task));
            for (uint64_t step = 0; step < ops_wanted; step++) {
                change(p);
                compare(p, p->task, true, step);
                compare(p, task, false, step);
            }
            vrift_task_free(task);
            vrift_cred_unref(nobody);
            place_free(p);
        }
    }
}

/* -- Threads ------------------------------------------------------------------------------------------------------- */

#define MADE 1500

/* Who makes and removes files says how far he is, afterwards; who looks knows so what must be there and what not. */
struct race {
    struct place *p;
    _Atomic uint32_t made, removed;
    _Atomic bool wrong;
};

static void *make_and_remove(void *payload)
{
    struct race *race = payload;
    char path[4300];
    for (uint32_t i = 1; i <= MADE; i++) {
        snprintf(path, sizeof path, "%s/d/f%u", race->p->path, i);
        close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
        atomic_store(&race->made, i);
        if (i <= 8)
            continue;
        snprintf(path, sizeof path, "%s/d/f%u", race->p->path, i - 8);
        unlink(path);
        atomic_store(&race->removed, i - 8);
    }
    return NULL;
}

static void *look_on(void *payload)
{
    struct race *race = payload;
    vrift_task *task;
    char path[64];
    struct vrift_stat st;
    if (vrift_task_new(race->p->ns, NULL, NULL, &task))
        return NULL;
    for (uint32_t made = 0; made < MADE && !race->wrong;) {
        made = atomic_load(&race->made);
        uint32_t gone = atomic_load(&race->removed);
        snprintf(path, sizeof path, "/d/f%u", gone);
        if (gone && vrift_statat(task, HERE, path, 0, &st) != -VRIFT_ENOENT)
            race->wrong = true;
        snprintf(path, sizeof path, "/d/f%u", made);
        if (made && vrift_statat(task, HERE, path, 0, &st) != 0 && atomic_load(&race->removed) < made &&
            atomic_load(&race->made) < made + 8)
            race->wrong = true;
        snprintf(path, sizeof path, "/d/f%u", made + 2); /* so that it is cached that there is none */
        (void)vrift_statat(task, HERE, path, 0, &st);
    }
    vrift_task_free(task);
    return NULL;
}

static void nobody_sees_what_was_otherwise_before_he_asked(void **state)
{
    (void)state;
    static const uint64_t flags[] = {VRIFT_HOST_NOTIFY, 0};
    for (int i = 0; i < 2; i++) {
        struct race race = {.p = place_new(flags[i], 0)};
        pthread_t threads[3];
        check_ok(vrift_vfs_set_fault(race.p->vfs, NULL, NULL)); /* it counts without a lock */
        check_ok(mkdir(at(race.p, "d"), 0755));
        assert_int_equal(pthread_create(&threads[0], NULL, look_on, &race), 0);
        assert_int_equal(pthread_create(&threads[1], NULL, look_on, &race), 0);
        assert_int_equal(pthread_create(&threads[2], NULL, make_and_remove, &race), 0);
        for (int t = 0; t < 3; t++)
            pthread_join(threads[t], NULL);
        assert_false(race.wrong);
        place_free(race.p);
    }
}

/* -- Memory -------------------------------------------------------------------------------------------------------- */

static int32_t look_in(struct world *w, const char *path)
{
    struct vrift_stat st;
    return vrift_statat(w->task, HERE, path, VRIFT_AT_SYMLINK_NOFOLLOW, &st);
}

/* Some calls with so much memory: what is answered is true, or that there is no memory. */
static void change_and_look(struct world *w, const char *path, uint64_t left)
{
    char name[4300], ours[64];
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s/d%d", path, i);
        check_ok(mkdir(name, 0755));
        snprintf(name, sizeof name, "%s/d%d/f", path, i);
        snprintf(ours, sizeof ours, "/h/d%d/f", i);
        w->allocations_left = left;
        int32_t first = look_in(w, ours);
        w->allocations_left = UINT64_MAX;
        int fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        assert_true(fd >= 0);
        close(fd);
        w->allocations_left = left;
        int32_t second = look_in(w, ours);
        w->allocations_left = UINT64_MAX;
        check_ok(look_in(w, ours));
        check_ok(unlink(name));
        w->allocations_left = left;
        int32_t third = look_in(w, ours);
        w->allocations_left = UINT64_MAX;
        check_error(-VRIFT_ENOENT, look_in(w, ours));
        assert_true(first == -VRIFT_ENOENT || first == -VRIFT_ENOMEM);
        assert_true(second == 0 || second == -VRIFT_ENOMEM);
        assert_true(third == -VRIFT_ENOENT || third == -VRIFT_ENOMEM);
        snprintf(name, sizeof name, "%s/d%d", path, i);
        check_ok(rmdir(name));
    }
}

static void without_memory_nothing_stale_is_answered(void **state)
{
    (void)state;
    char *path = temporary_directory();
    struct vrift_host_options options = {.size = sizeof options, .flags = VRIFT_HOST_NOTIFY};
    int made = 0;
    for (uint64_t left = 0; left < 40; left++) {
        struct world *w = world_new(NULL);
        vrift_sb *sb;
        check_ok(vrift_mkdirat(w->task, HERE, "/h", 0755));
        w->allocations_left = left;
        int32_t error = vrift_host_new(w->vfs, path, &options, &sb);
        w->allocations_left = UINT64_MAX;
        if (error) {
            check_error(-VRIFT_ENOMEM, error);
            check_ok(vrift_host_new(w->vfs, path, &options, &sb));
        } else {
            made++;
        }
        check_ok(vrift_mount(w->task, HERE, "/h", sb, 0));
        vrift_sb_unref(sb);
        change_and_look(w, path, left);
        world_free(w); /* which counts what was not given back */
    }
    assert_in_range(made, 1, 39);
    remove_temporary_directory(path);
}

/* -- Limits and mounts --------------------------------------------------------------------------------------------- */

/* In a child with namespaces of its own; the child's result. 77: they are not to be had. */
static int in_child(int (*run)(void), int flags)
{
    pid_t child = fork();
    if (child == 0) {
        if (unshare(flags) < 0 || (flags & CLONE_NEWNS && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0))
            _exit(77);
        _exit(run());
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* A new user namespace has limits of its own, all as high as can be: only those may be lowered, never the machine's. */
static bool lower_own_limit(const char *to)
{
    char before[16] = "";
    int fd = open("/proc/sys/user/max_inotify_watches", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool own = read(fd, before, sizeof before - 1) > 0 && strcmp(before, "2147483647\n") == 0;
    own = own && pwrite(fd, to, strlen(to), 0) == (ssize_t)strlen(to);
    close(fd);
    return own;
}

static int watch_no_more_than_three(void)
{
    if (!lower_own_limit("3\n"))
        return 77;
    struct place *p = place_new(VRIFT_HOST_NOTIFY, 0);
    struct vrift_stat st;
    char path[64];
    if (!notifies(p))
        return 77;
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "d%d", i);
        check_ok(mkdir(at(p, path), 0755));
    }
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++) {
            snprintf(path, sizeof path, "/d%d/f", i);
            check_error(-VRIFT_ENOENT, look(p, path, &st));
            put(p, path, "x");
            check_ok(look(p, path, &st));
            check_ok(unlink(at(p, path)));
            check_error(-VRIFT_ENOENT, look(p, path, &st));
        }
    }
    uint64_t before = p->questions;
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "/d%d/f", i);
        check_error(-VRIFT_ENOENT, look(p, path, &st));
    }
    assert_in_range(p->questions - before, 6, 8); /* the root and two of them are watched */
    place_free(p);
    return 0;
}

static void where_no_more_can_be_watched_the_host_is_asked(void **state)
{
    (void)state;
    int result = in_child(watch_no_more_than_three, CLONE_NEWUSER);
    if (result == 77)
        skip_because("no user namespace with a limit of its own");
    assert_int_equal(result, 0);
}

static int mount_behind(void)
{
    struct place *p = place_new(VRIFT_HOST_NOTIFY, 0);
    struct vrift_stat st;
    if (!notifies(p))
        return 77;
    check_ok(mkdir(at(p, "m"), 0755));
    put(p, "m/f", "below");
    check_ok(look(p, "/m/f", &st));
    check_error(-VRIFT_ENOENT, look(p, "/m/g", &st));
    if (mount("none", at(p, "m"), "tmpfs", 0, NULL) < 0)
        return 77;
    check_error(-VRIFT_ENOENT, look(p, "/m/f", &st));
    put(p, "m/g", "above");
    check_ok(look(p, "/m/g", &st));
    check_ok(unlink(at(p, "m/g")));
    check_error(-VRIFT_ENOENT, look(p, "/m/g", &st));
    check_ok(umount2(at(p, "m"), MNT_DETACH));
    check_ok(look(p, "/m/f", &st));
    check_error(-VRIFT_ENOENT, look(p, "/m/g", &st));
    place_free(p);
    return 0;
}

static void what_is_mounted_behind_is_seen_at_once(void **state)
{
    (void)state;
    int result = in_child(mount_behind, CLONE_NEWNS);
    if (result == 77)
        skip_because("no mount namespace");
    assert_int_equal(result, 0);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 0);
        if (strcmp(argv[i], "--ops") == 0)
            ops_wanted = value;
        if (strcmp(argv[i], "--seed") == 0) {
            seed_wanted = value;
            seeds = 1;
        }
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_of_sharing_a_directory_is_as_stale_as_declared),
        cmocka_unit_test(a_short_age_is_kept_and_not_exceeded),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(what_nothing_happened_to_is_not_asked_for_again),
        cmocka_unit_test(more_events_than_the_host_keeps_make_everything_doubtful),
        cmocka_unit_test(watchers_hear_what_others_do_and_their_own_once),
        cmocka_unit_test(a_reader_that_waits_hears_of_what_others_do),
        cmocka_unit_test(random_changes_behind_are_seen_at_once),
        cmocka_unit_test(nobody_sees_what_was_otherwise_before_he_asked),
        cmocka_unit_test(without_memory_nothing_stale_is_answered),
        cmocka_unit_test(where_no_more_can_be_watched_the_host_is_asked),
        cmocka_unit_test(what_is_mounted_behind_is_seen_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
