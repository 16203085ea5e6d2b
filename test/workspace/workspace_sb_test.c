/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A workspace changed in process, and one restored to a directory, changed there and taken over. */
#include "workspace_support.h"

#include <vrift/fs.h>
#include <vrift/file.h>
#include <vrift/task.h>
#include <vrift/vfs.h>

#include <fcntl.h>
#include <sched.h>

#define AT VRIFT_AT_FDCWD

static struct place place;

struct inside {
    vrift_workspace *workspace;
    vrift_vfs *vfs;
    vrift_task *task;
};

static int begin(void **state)
{
    (void)state;
    make_place(&place);
    return 0;
}

static int end(void **state)
{
    (void)state;
    umount2(place.m, MNT_DETACH);
    drop_place(&place);
    return 0;
}

static void enter(struct inside *inside, const struct vrift_digest *base)
{
    vrift_sb *sb;
    vrift_ns *ns;
    struct vrift_task_options options = {.size = sizeof(options), .umask = 022};
    check_ok(vrift_workspace_create(place.store, "w", base, 0, &inside->workspace));
    check_ok(vrift_vfs_new(NULL, &inside->vfs));
    check_ok(vrift_workspace_sb(inside->workspace, inside->vfs, &sb));
    check_ok(vrift_ns_new(inside->vfs, sb, 0, &ns));
    check_ok(vrift_task_new(ns, NULL, &options, &inside->task));
    vrift_ns_unref(ns);
    vrift_sb_unref(sb);
}

static void leave(struct inside *inside)
{
    vrift_task_free(inside->task);
    vrift_vfs_free(inside->vfs);
    vrift_workspace_close(inside->workspace);
}

static void put(struct inside *inside, const char *path, uint64_t flags, const char *text)
{
    int32_t fd = (int32_t)check_ok(vrift_openat(inside->task, AT, path, VRIFT_O_WRONLY | flags, 0644));
    assert_int_equal(check_ok(vrift_write(inside->task, fd, text, strlen(text))), strlen(text));
    check_ok(vrift_close(inside->task, fd));
}

/* One change of each kind. */
static void change(struct inside *inside)
{
    vrift_task *task = inside->task;
    struct vrift_timespec times[2] = {{1000000000, 1, 0}, {1234567890, 987654321, 0}};
    put(inside, "/d/new", VRIFT_O_CREAT, "new");
    put(inside, "/d/x", VRIFT_O_APPEND, "more");
    put(inside, "/hl", VRIFT_O_TRUNC, "broken");
    check_ok(vrift_unlinkat(task, AT, "/g", 0));
    check_ok(vrift_unlinkat(task, AT, "/empty", VRIFT_AT_REMOVEDIR));
    check_ok(vrift_mkdirat(task, AT, "/empty", 0700));
    put(inside, "/empty/in", VRIFT_O_CREAT, "in");
    check_ok(vrift_fchmodat(task, AT, "/e", 0750, 0));
    check_ok(vrift_renameat2(task, AT, "/big", AT, "/d/sub/big", 0));
    check_ok(vrift_renameat2(task, AT, "/zero", AT, "/e/p", VRIFT_RENAME_EXCHANGE));
    check_ok(vrift_linkat(task, AT, "/d/sub/big", AT, "/again", 0));
    check_ok(vrift_symlinkat(task, "elsewhere", AT, "/d/link"));
    check_ok(vrift_unlinkat(task, AT, "/s", 0));
    check_ok(vrift_mknodat(task, AT, "/s", VRIFT_S_IFIFO | 0644, 0));
    check_ok(vrift_setxattrat(task, AT, "/old", "user.new", "v", 1, 0));
    check_ok(vrift_utimensat(task, AT, "/old", times, 0));
    check_ok(vrift_utimensat(task, AT, "/d/sub/deep", times, 0));
    check_error(-VRIFT_EXDEV, vrift_renameat2(task, AT, "/d", AT, "/d2", 0));
}

static void changes_made_in_process_are_committed(void **state)
{
    (void)state;
    struct inside inside;
    enter(&inside, &place.base);
    change(&inside);
    /* The state, restored elsewhere, is the tree that a commit must give. */
    check_ok(vrift_workspace_checkout(inside.workspace, place.other, NULL, NULL));
    run_in(place.other,
           "[ \"$(cat d/new)$(cat d/x)$(cat hl)\" = $'newx\\nmorebroken' ]; [ ! -e g ]; [ \"$(cat f)\" = lower ];"
           "[ \"$(stat -c %a e)\" = 750 ]; [ again -ef d/sub/big ]; [ f -ef d/hl2 ]; [ ! f -ef hl ];"
           "[ \"$(readlink d/link)\" = elsewhere ]; [ -p s ]; [ \"$(ls empty)\" = in ];"
           "[ \"$(stat -c %.9Y old)\" = 1234567890.987654321 ]; [ \"$(getfattr -n user.new --only-values old)\" = v ]");
    struct vrift_digest wanted = import_of(&place, place.other);
    char *status = status_text(inside.workspace), *diff = diff_text(place.store, &place.base, &wanted);
    assert_string_equal(diff, status);
    free(status);
    free(diff);
    assert_same_snapshot(&place, wanted, commit_of(inside.workspace));
    leave(&inside);
}

static void the_kernel_shows_what_was_changed_in_process(void **state)
{
    (void)state;
    struct vrift_workspace_info info;
    char options[16384];
    struct inside inside;
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        skip_because("mounting an overlay needs root");
    }
    enter(&inside, &place.base);
    change(&inside);
    check_ok(vrift_workspace_info(inside.workspace, &info));
    snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=off,index=off,metacopy=off",
             place.tree, info.upper, info.work);
    assert_int_equal(mount("overlay", place.m, "overlay", 0, options), 0);
    struct vrift_digest wanted = import_of(&place, place.m);
    assert_int_equal(umount(place.m), 0);
    assert_same_snapshot(&place, wanted, commit_of(inside.workspace));
    leave(&inside);
}

static void an_empty_workspace_can_be_filled_in_process(void **state)
{
    (void)state;
    struct inside inside;
    enter(&inside, NULL);
    check_ok(vrift_mkdirat(inside.task, AT, "/d", 0755));
    put(&inside, "/d/f", VRIFT_O_CREAT, "text");
    struct vrift_digest id = commit_of(inside.workspace);
    vrift_snapshot *snapshot;
    uint64_t entry;
    char text[8];
    check_ok(vrift_snapshot_open(place.store, &id, &snapshot));
    check_ok(vrift_snapshot_walk(snapshot, "d/f", &entry));
    assert_int_equal(vrift_snapshot_pread(snapshot, entry, text, sizeof(text), 0), 4);
    assert_memory_equal(text, "text", 4);
    vrift_snapshot_unref(snapshot);
    leave(&inside);
}

/* As `vrift run --via=checkout` does it: files that the command left alone are not read again. */
static void a_restored_tree_is_taken_over_again(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCRIPTS; i++) {
        vrift_workspace *workspace;
        struct vrift_workspace_info info;
        if (geteuid() != 0 && (strstr(scripts[i].text, "chown") || strstr(scripts[i].text, "mknod"))) {
            continue;
        }
        check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
        check_ok(vrift_workspace_info(workspace, &info));
        run_in(info.upper, "mkdir e; echo before >e/before; touch -d 2003-03-03 e; touch -d 2004-04-04 .");
        check_ok(vrift_workspace_checkout(workspace, place.other, NULL, NULL));
        run_in(place.other, "[ -e e/before ]; sleep 0.02");
        run_in(place.other, scripts[i].text);
        struct vrift_digest wanted = import_of(&place, place.other);
        check_ok(vrift_workspace_ingest(workspace, place.other, NULL));
        print_message("# %s\n", scripts[i].name);
        char *status = status_text(workspace), *diff = diff_text(place.store, &place.base, &wanted);
        assert_string_equal(diff, status);
        free(status);
        free(diff);
        assert_same_snapshot(&place, wanted, commit_of(workspace));
        vrift_workspace_close(workspace);
        check_ok(vrift_workspace_remove(place.store, "w"));
        run_in(place.dir, "rm -rf other");
    }
}

/* A program that hides its write: the same size and time, and the same inode. */
static void a_write_that_puts_the_time_back_is_noticed(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    check_ok(vrift_workspace_checkout(workspace, place.other, NULL, NULL));
    run_in(place.other, "touch -r g ../stamp; printf 'G\\n' >g; touch -r ../stamp g");
    check_ok(vrift_workspace_ingest(workspace, place.other, NULL));
    char *status = status_text(workspace);
    assert_string_equal(status, "C g\n");
    free(status);
    vrift_workspace_close(workspace);
}

static void restored_without_owners_as_an_ordinary_user(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip_because("the tests run as an ordinary user anyway");
    }
    pid_t child = fork();
    if (child == 0) {
        static const struct CMUnitTest tests[] = {
            cmocka_unit_test_setup_teardown(changes_made_in_process_are_committed, begin, end),
            cmocka_unit_test_setup_teardown(a_restored_tree_is_taken_over_again, begin, end),
            cmocka_unit_test_setup_teardown(a_write_that_puts_the_time_back_is_noticed, begin, end),
        };
        char dir[] = "/tmp/vrift-test-XXXXXX";
        dup2(2, 1);
        if (!mkdtemp(dir) || chmod(dir, 0777) < 0 || setenv("TMPDIR", dir, 1) < 0) {
            _exit(100);
        }
        pid_t user = fork();
        if (user == 0) {
            _exit(setgid(65534) < 0 || setuid(65534) < 0 ? 101 : cmocka_run_group_tests(tests, NULL, NULL));
        }
        int status;
        waitpid(user, &status, 0);
        rmdir(dir);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 102);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(changes_made_in_process_are_committed, begin, end),
        cmocka_unit_test_setup_teardown(the_kernel_shows_what_was_changed_in_process, begin, end),
        cmocka_unit_test_setup_teardown(an_empty_workspace_can_be_filled_in_process, begin, end),
        cmocka_unit_test_setup_teardown(a_restored_tree_is_taken_over_again, begin, end),
        cmocka_unit_test_setup_teardown(a_write_that_puts_the_time_back_is_noticed, begin, end),
        cmocka_unit_test(restored_without_owners_as_an_ordinary_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
