/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * An overlay whose upper is a directory of the host that is heard of: others change the upper by plain system calls, and
 * what the overlay answers is at once what another overlay answers that asks each time.
 *
 *     overlay_hear_test --ops N --seed S      one long run of the random test
 */
#include "support/check.h"

#include <vrift/vrift.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define HERE VRIFT_AT_FDCWD

static uint64_t ops_wanted = 3000, seed_wanted = 1, seeds = 3;

struct view {
    vrift_vfs *vfs;
    vrift_sb *lower, *upper, *overlay;
    vrift_ns *ns;
    vrift_task *task;
    uint64_t questions;
};

static char *place; /* with lower, upper, work */

static const char *at(const char *path)
{
    static char text[4][4300];
    static int next;
    char *out = text[next++ % 4];
    snprintf(out, sizeof text[0], "%s/%s", place, path);
    return out;
}

static int32_t VRIFT_CALLBACK count_calls(const char *slot, void *payload)
{
    struct view *view = payload;
    view->questions += !strcmp(slot, "walk") || !strcmp(slot, "revalidate");
    return 0;
}

static struct view *view_new(uint64_t flags)
{
    struct view *view = test_calloc(1, sizeof *view);
    struct vrift_host_options options = {.size = sizeof options, .flags = flags};
    check_ok(vrift_vfs_new(NULL, &view->vfs));
    check_ok(vrift_host_new(view->vfs, at("lower"), NULL, &view->lower));
    check_ok(vrift_host_new(view->vfs, place, &options, &view->upper));
    struct vrift_overlay_layer lower = {view->lower, NULL}, upper = {view->upper, "/upper"};
    struct vrift_overlay_options layers = {
        .size = sizeof layers, .lower_count = 1, .lower = &lower, .upper = &upper, .work = "/work"};
    check_ok(vrift_overlay_new(view->vfs, &layers, &view->overlay));
    check_ok(vrift_ns_new(view->vfs, view->overlay, 0, &view->ns));
    check_ok(vrift_task_new(view->ns, NULL, NULL, &view->task));
    check_ok(vrift_vfs_set_fault(view->vfs, count_calls, view));
    return view;
}

static void view_free(struct view *view)
{
    vrift_task_free(view->task);
    vrift_ns_unref(view->ns);
    vrift_sb_unref(view->overlay);
    vrift_sb_unref(view->upper);
    vrift_sb_unref(view->lower);
    vrift_vfs_free(view->vfs);
    test_free(view);
}

static void put(const char *path, const char *bytes)
{
    int fd = open(at(path), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, strlen(bytes)), strlen(bytes));
    close(fd);
}

static void begin(void)
{
    static const char *const dirs[] = {"lower", "upper", "work", "lower/a", "lower/a/b", "lower/d"};
    place = temporary_directory();
    for (size_t i = 0; i < sizeof dirs / sizeof dirs[0]; i++)
        check_ok(mkdir(at(dirs[i]), 0755));
    put("lower/a/f", "low");
    put("lower/a/b/f", "low");
    put("lower/d/f", "low");
    put("lower/f", "low");
}

static bool hears(struct view *view)
{
    struct vrift_consistency names;
    check_ok(vrift_sb_consistency(view->overlay, VRIFT_ASPECT_NAMES, &names));
    return names.model == VRIFT_CONSISTENCY_SHARED_NOTIFY;
}

#define need_hearing(view)                                                                                             \
    do {                                                                                                               \
        if (geteuid() != 0 || !hears(view)) {                                                                          \
            view_free(view);                                                                                           \
            remove_temporary_directory(place);                                                                         \
            skip_because("the host does not tell of changes here, or we are not root");                                \
        }                                                                                                              \
    } while (0)

static int32_t look(struct view *view, const char *path, struct vrift_stat *out)
{
    return vrift_statat(view->task, HERE, path, VRIFT_AT_SYMLINK_NOFOLLOW, out);
}

static void what_nothing_happened_to_is_not_asked_for_again(void **state)
{
    (void)state;
    begin();
    struct view *view = view_new(VRIFT_HOST_NOTIFY);
    struct vrift_stat st;
    need_hearing(view);
    check_ok(look(view, "/a/b/f", &st));
    check_error(-VRIFT_ENOENT, look(view, "/a/b/none", &st));
    check_error(-VRIFT_ENOENT, look(view, "/a/none", &st));
    uint64_t before = view->questions;
    for (int i = 0; i < 5; i++)
        check_error(-VRIFT_ENOENT, look(view, "/a/none", &st));
    assert_int_equal(view->questions, before);
    check_ok(mkdir(at("upper/a"), 0755));
    put("upper/a/none", "now");
    check_ok(look(view, "/a/none", &st));
    view_free(view);
    remove_temporary_directory(place);
}

static void watchers_of_the_overlay_hear_what_others_do_in_its_upper(void **state)
{
    (void)state;
    static _Alignas(8) char buf[4096];
    const struct vrift_watch_event *event = (const void *)buf;
    begin();
    struct view *view = view_new(VRIFT_HOST_NOTIFY);
    vrift_watch_queue *queue;
    struct vrift_stat st;
    need_hearing(view);
    check_error(-VRIFT_ENOENT, look(view, "/x", &st));
    check_ok(vrift_watch_new(view->vfs, NULL, &queue));
    check_ok(vrift_watch_add(queue, view->task, HERE, "/", VRIFT_IN_CREATE | VRIFT_IN_MOVED_TO, 0));
    put("upper/x", "new");
    assert_true(vrift_watch_read(queue, buf, sizeof buf, 0) > 0);
    assert_int_equal(event->mask, VRIFT_IN_CREATE);
    assert_int_equal(event->flags, VRIFT_WATCH_BEHIND);
    assert_string_equal(vrift_watch_event_name(event), "x");
    check_ok(vrift_fchmodat(view->task, HERE, "/f", 0600, 0)); /* a copy-up is nobody's business */
    check_error(-VRIFT_EAGAIN, vrift_watch_read(queue, buf, sizeof buf, 0));
    check_ok(vrift_mkdirat(view->task, HERE, "/own", 0755));
    assert_true(vrift_watch_read(queue, buf, sizeof buf, 0) > 0);
    assert_int_equal(event->flags, 0);
    check_error(-VRIFT_EAGAIN, vrift_watch_read(queue, buf, sizeof buf, 0));
    vrift_watch_free(queue);
    view_free(view);
    remove_temporary_directory(place);
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

static const char *const paths[] = {"a", "a/b", "a/f", "a/b/f", "d", "d/f", "f", "e", "e/f", "a/c", "a/b/c", "d/a"};
#define PATHS (sizeof paths / sizeof paths[0])

static char change_text[300];

/*
 * In the upper, by others. What fails, fails. A directory that is merged is not moved nor made opaque: an overlay that
 * knows it, heard of or not, goes on with what it was made of, which overlayfs(5) calls undefined.
 */
static void change(void)
{
    const char *path = paths[pick(PATHS)], *other = paths[pick(PATHS)];
    char up[300], up_other[300];
    uint32_t what = pick(8);
    struct stat st;
    int fd;
    snprintf(up, sizeof up, "upper/%s", path);
    snprintf(up_other, sizeof up_other, "upper/%s", other);
    snprintf(change_text, sizeof change_text, "%u %s %s", what, path, other);
    switch (what) {
    case 0:
    case 1:
        (void)!mkdir(at(up), 0755);
        break;
    case 2:
        fd = open(at(up), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd >= 0 && write(fd, "bytes", 1 + pick(4)) > 0)
            close(fd);
        break;
    case 3:
        (void)!mknod(at(up), S_IFCHR, makedev(0, 0)); /* a whiteout */
        break;
    case 4:
        (void)!unlink(at(up));
        break;
    case 5:
        (void)!rmdir(at(up));
        break;
    case 6:
        (void)!chmod(at(up), pick(2) ? 0755 : 0700);
        break;
    default:
        if (lstat(at(up), &st) == 0 && !S_ISDIR(st.st_mode))
            (void)!rename(at(up), at(up_other));
    }
}

static void compare(struct view *view, struct view *now, uint64_t step)
{
    for (int i = 0; i < 3; i++) {
        char path[300];
        struct vrift_stat heard, fresh;
        snprintf(path, sizeof path, "/%s", paths[pick(PATHS)]);
        int32_t wanted = look(now, path, &fresh), got = look(view, path, &heard);
        if (got != wanted || (!got && (heard.mode != fresh.mode || heard.size != fresh.size)))
            fail_msg("step %llu: after %s: %s is %s, not %s", (unsigned long long)step, change_text, path,
                     got ? vrift_err_name(got) : "there", wanted ? vrift_err_name(wanted) : "there or otherwise");
    }
}

static void random_changes_of_the_upper_are_seen_at_once(void **state)
{
    (void)state;
    for (uint64_t seed = seed_wanted; seed < seed_wanted + seeds; seed++) {
        begin();
        struct view *view = view_new(VRIFT_HOST_NOTIFY);
        need_hearing(view);
        struct view *asking = view_new(0);
        random_state = seed * 0x9e3779b97f4a7c15ULL + 1;
        for (uint64_t step = 0; step < ops_wanted; step++) {
            change();
            compare(view, asking, step);
        }
        view_free(asking);
        view_free(view);
        remove_temporary_directory(place);
    }
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
        cmocka_unit_test(what_nothing_happened_to_is_not_asked_for_again),
        cmocka_unit_test(watchers_of_the_overlay_hear_what_others_do_in_its_upper),
        cmocka_unit_test(random_changes_of_the_upper_are_seen_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
