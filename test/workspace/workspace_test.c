/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Workspaces against two oracles: the kernel's overlayfs on the same upper, and an import of the same tree. */
#include "workspace_support.h"

#include <sched.h>
#include <signal.h>
#include <time.h>

static struct place place;

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

/* -- The kernel as the oracle ------------------------------------------------------------------------------------- */

static bool own_mount_namespace(void)
{
    static int own;
    if (!own) {
        own = unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 ? 1 : -1;
    }
    return own > 0;
}

static int mount_workspace(vrift_workspace *workspace)
{
    struct vrift_workspace_info info;
    char options[16384];
    check_ok(vrift_workspace_info(workspace, &info));
    snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=off,index=off,metacopy=off%s",
             place.tree, info.upper, info.work, info.flags & VRIFT_WORKSPACE_USERXATTR ? ",userxattr" : "");
    return mount("overlay", place.m, "overlay", 0, options);
}

static void commit_after_kernel(const struct script *script)
{
    vrift_workspace *workspace;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    assert_int_equal(mount_workspace(workspace), 0);
    run_in(place.m, script->text);
    struct vrift_digest wanted = import_of(&place, place.m);
    assert_int_equal(umount(place.m), 0);
    char *status = status_text(workspace), *diff = diff_text(place.store, &place.base, &wanted);
    struct vrift_digest got = commit_of(workspace);
    print_message("# %s\n", script->name);
    assert_same_snapshot(&place, wanted, got);
    assert_string_equal(diff, status);
    free(status);
    status = status_text(workspace);
    assert_string_equal("", status);
    free(status);
    free(diff);
    vrift_workspace_close(workspace);
    check_ok(vrift_workspace_remove(place.store, "w"));
}

static void commit_of_what_the_kernel_wrote_is_the_import_of_its_mount(void **state)
{
    (void)state;
    if (geteuid() != 0 || !own_mount_namespace()) {
        skip_because("mounting an overlay needs root");
    }
    for (size_t i = 0; i < SCRIPTS; i++) {
        commit_after_kernel(&scripts[i]);
    }
}

static void a_second_commit_goes_on_from_the_first(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    struct vrift_workspace_info info;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    check_ok(vrift_workspace_info(workspace, &info));
    run_in(info.upper, "mkdir new; echo 1 >new/one");
    struct vrift_digest first = commit_of(workspace);
    check_ok(vrift_workspace_info(workspace, &info));
    assert_memory_equal(&info.base, &first, sizeof(first));
    run_in(info.upper, "mkdir new; echo 2 >new/two");
    struct vrift_digest second = commit_of(workspace);
    vrift_snapshot *snapshot;
    uint64_t entry;
    check_ok(vrift_snapshot_open(place.store, &second, &snapshot));
    check_ok(vrift_snapshot_walk(snapshot, "new/one", &entry));
    check_ok(vrift_snapshot_walk(snapshot, "new/two", &entry));
    check_ok(vrift_snapshot_walk(snapshot, "d/sub/deep/z", &entry));
    vrift_snapshot_unref(snapshot);
    vrift_workspace_close(workspace);
}

static void an_empty_workspace_commits_to_the_import_of_its_upper(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    struct vrift_workspace_info info;
    check_ok(vrift_workspace_create(place.store, "w", NULL, 0, &workspace));
    check_ok(vrift_workspace_info(workspace, &info));
    assert_int_equal(info.base.algorithm, VRIFT_DIGEST_NONE);
    run_in(info.upper, "cp -a ../../../../tree/. .");
    struct vrift_digest wanted = import_of(&place, info.upper);
    assert_same_snapshot(&place, wanted, commit_of(workspace));
    vrift_workspace_close(workspace);
}

static void redirected_entries_are_refused_rather_than_misread(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    struct vrift_workspace_info info;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    check_ok(vrift_workspace_info(workspace, &info));
    if (info.flags & VRIFT_WORKSPACE_USERXATTR) {
        run_in(info.upper, "mkdir d; setfattr -n user.overlay.redirect -v /e d");
    } else {
        run_in(info.upper, "mkdir d; setfattr -n trusted.overlay.redirect -v /e d");
    }
    check_error(-VRIFT_EOPNOTSUPP, vrift_workspace_commit(workspace, NULL, NULL));
    vrift_workspace_close(workspace);
}

/* -- Directories of the host -------------------------------------------------------------------------------------- */

static void ingest_round(vrift_workspace *workspace, const struct script *script)
{
    struct vrift_workspace_info info;
    check_ok(vrift_workspace_info(workspace, &info));
    struct vrift_digest base = info.base;
    run_in(place.other, script->text);
    struct vrift_digest wanted = import_of(&place, place.other);
    check_ok(vrift_workspace_ingest(workspace, place.other, NULL));
    char *status = status_text(workspace), *diff = diff_text(place.store, &base, &wanted);
    print_message("# %s\n", script->name);
    assert_string_equal(diff, status);
    free(status);
    free(diff);
    assert_same_snapshot(&place, wanted, commit_of(workspace));
}

static void ingest_takes_over_exactly_what_a_command_changed(void **state)
{
    (void)state;
    for (size_t i = 0; i < SCRIPTS; i++) {
        vrift_workspace *workspace;
        check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
        run_in(place.dir, "rm -rf other; cp -a tree other");
        if (geteuid() == 0 || (!strstr(scripts[i].text, "chown") && !strstr(scripts[i].text, "mknod"))) {
            ingest_round(workspace, &scripts[i]);
        }
        vrift_workspace_close(workspace);
        check_ok(vrift_workspace_remove(place.store, "w"));
    }
}

static void ingest_twice_ends_where_the_directory_ends(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    run_in(place.dir, "cp -a tree other; cd other; echo 1 >one; rm g; ln big b2");
    check_ok(vrift_workspace_ingest(workspace, place.other, NULL));
    run_in(place.other, "echo 2 >two; rm one; echo g >g; mv b2 d/b3");
    ingest_round(workspace, &(struct script){"twice", ":"});
    vrift_workspace_close(workspace);
}

static void an_unchanged_directory_leaves_the_upper_empty(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    struct vrift_workspace_info info;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    run_in(place.dir, "cp -a tree other");
    check_ok(vrift_workspace_ingest(workspace, place.other, NULL));
    check_ok(vrift_workspace_info(workspace, &info));
    run_in(info.upper, "[ -z \"$(ls -A)\" ]");
    assert_same_snapshot(&place, place.base, commit_of(workspace));
    vrift_workspace_close(workspace);
}

/* Two files that only their contents tell apart, in directories that change places: their own times do not tell. */
static void what_lies_in_a_renamed_directory_is_read_anew(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    run_in(place.dir, "mkdir -p twins/p/1/in twins/p/2/in; cd twins/p; echo one >1/in/file; echo two >2/in/file;"
                      "touch -d 2003-03-03 1/in/file 2/in/file");
    char tree[4096];
    snprintf(tree, sizeof(tree), "%s/twins", place.dir);
    for (uint64_t flags = 0; flags <= VRIFT_IMPORT_TIMELESS; flags += VRIFT_IMPORT_TIMELESS) {
        struct vrift_import_options options = {.size = sizeof(options), .flags = flags};
        struct vrift_import_result base, wanted;
        check_ok(vrift_import(place.store, tree, &options, &base));
        for (int round = 0; round < 2; round++) { /* the second restores from an upper */
            check_ok(vrift_workspace_create(place.store, "w", &base.snapshot, 0, &workspace));
            if (round) {
                run_in(place.dir, "rm -rf other; cp -a twins other; touch other/p/new");
                check_ok(vrift_workspace_ingest(workspace, place.other, NULL));
            }
            run_in(place.dir, "rm -rf other");
            check_ok(vrift_workspace_checkout(workspace, place.other, NULL, NULL));
            run_in(place.other, "mv p/1 t; mv p/2 p/1; mv t p/2");
            check_ok(vrift_import(place.store, place.other, &options, &wanted));
            check_ok(vrift_workspace_ingest(workspace, place.other, NULL));
            assert_same_snapshot(&place, wanted.snapshot, commit_of(workspace));
            vrift_workspace_close(workspace);
            check_ok(vrift_workspace_remove(place.store, "w"));
        }
    }
}

static void a_failed_ingest_leaves_the_workspace_as_it_was(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    struct vrift_workspace_info info;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    check_ok(vrift_workspace_info(workspace, &info));
    run_in(info.upper, "echo kept >kept");
    char *before = status_text(workspace);
    check_error(-VRIFT_ENOENT, vrift_workspace_ingest(workspace, place.other, NULL));
    if (geteuid() == 0) {
        run_in(place.dir, "cp -a tree other; mknod other/zz c 0 0"); /* could only be stored as a whiteout */
        check_error(-VRIFT_EOPNOTSUPP, vrift_workspace_ingest(workspace, place.other, NULL));
    }
    char *after = status_text(workspace);
    assert_string_equal(before, after);
    run_in(info.upper, "cd ..; [ \"$(ls -d upper-* work-* | wc -l)\" = 2 ]");
    free(before);
    free(after);
    vrift_workspace_close(workspace);
}

/* -- Life --------------------------------------------------------------------------------------------------------- */

static int32_t VRIFT_CALLBACK join(const char *name, void *payload)
{
    strcat(strcat(payload, name), " ");
    return 0;
}

static void names_are_checked_listed_in_order_and_removed(void **state)
{
    (void)state;
    char list[256] = "";
    vrift_workspace *workspace;
    const char *bad[] = {"", ".x", "a/b", "a b", "..", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        check_error(-VRIFT_EINVAL, vrift_workspace_create(place.store, bad[i], NULL, 0, NULL));
        check_error(-VRIFT_ENOENT, vrift_workspace_open(place.store, bad[i], &workspace));
    }
    check_ok(vrift_workspace_create(place.store, "b", &place.base, 0, NULL));
    check_ok(vrift_workspace_create(place.store, "a", NULL, 0, NULL));
    check_ok(vrift_workspace_create(place.store, "B.1", NULL, 0, NULL));
    check_error(-VRIFT_EEXIST, vrift_workspace_create(place.store, "a", NULL, 0, NULL));
    check_ok(vrift_workspace_list(place.store, join, list));
    assert_string_equal(list, "B.1 a b ");
    check_ok(vrift_workspace_remove(place.store, "a"));
    check_error(-VRIFT_ENOENT, vrift_workspace_remove(place.store, "a"));
    check_error(-VRIFT_ENOENT, vrift_workspace_open(place.store, "a", &workspace));
    struct vrift_digest absent = place.base;
    absent.bytes[0] ^= 1;
    check_error(-VRIFT_ENOENT, vrift_workspace_create(place.store, "c", &absent, 0, NULL));
    list[0] = '\0';
    check_ok(vrift_workspace_list(place.store, join, list));
    assert_string_equal(list, "B.1 b ");
}

static void the_root_starts_with_the_attributes_of_the_bases_root(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    char *status = status_text(workspace);
    assert_string_equal("", status);
    free(status);
    vrift_workspace_close(workspace);
}

static void a_locked_workspace_is_busy_for_all_but_its_holder(void **state)
{
    (void)state;
    vrift_workspace *holder, *other;
    struct vrift_import_result result;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &holder));
    check_ok(vrift_workspace_open(place.store, "w", &other));
    check_ok(vrift_workspace_lock(holder));
    check_error(-VRIFT_EBUSY, vrift_workspace_lock(other));
    check_error(-VRIFT_EBUSY, vrift_workspace_commit(other, NULL, &result));
    check_error(-VRIFT_EBUSY, vrift_workspace_discard(other));
    check_error(-VRIFT_EBUSY, vrift_workspace_remove(place.store, "w"));
    check_ok(vrift_workspace_commit(holder, NULL, &result));
    vrift_workspace_close(holder);
    check_ok(vrift_workspace_discard(other));
    vrift_workspace_close(other);
}

/* Somebody looks at the workspace all the time; whoever wants to lock it must not find it in use. */
static void opening_is_in_nobodys_way(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    pid_t child = fork();
    if (child == 0) {
        for (vrift_workspace *other;;) {
            if (vrift_workspace_open(place.store, "w", &other) == 0) {
                vrift_workspace_close(other);
            }
        }
    }
    usleep(20000);
    unsigned busy = 0;
    for (unsigned i = 0; i < 200; i++) {
        vrift_workspace *own;
        check_ok(vrift_workspace_open(place.store, "w", &own));
        busy += vrift_workspace_lock(own) == -VRIFT_EBUSY ? 1 : 0;
        vrift_workspace_close(own);
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    vrift_workspace_close(workspace);
    assert_int_equal(busy, 0);
}

static void discard_empties_the_upper_for_every_handle(void **state)
{
    (void)state;
    vrift_workspace *workspace, *other;
    struct vrift_workspace_info info;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    check_ok(vrift_workspace_open(place.store, "w", &other));
    check_ok(vrift_workspace_info(workspace, &info));
    run_in(info.upper, "mkdir -p a/b; echo c >a/b/c; mknod g c 0 0");
    check_ok(vrift_workspace_discard(workspace));
    char *status = status_text(other);
    assert_string_equal("", status);
    free(status);
    assert_same_snapshot(&place, place.base, commit_of(other));
    vrift_workspace_close(workspace);
    vrift_workspace_close(other);
}

/* A kernel mount leaves work/work with no permissions, and after a crash with something in it. */
static void what_a_kernel_mount_leaves_in_work_is_removed(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    struct vrift_workspace_info info;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    check_ok(vrift_workspace_info(workspace, &info));
    run_in(info.work, "mkdir -p work/x; echo y >work/x/y; chmod 000 work");
    check_ok(vrift_workspace_discard(workspace));
    check_ok(vrift_workspace_info(workspace, &info));
    run_in(info.work, "cd ..; [ \"$(ls -d work-* | wc -l)\" = 1 ]");
    vrift_workspace_close(workspace);
}

static void a_damaged_or_newer_base_file_is_refused(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, NULL));
    char path[4200];
    snprintf(path, sizeof(path), "%s/store/workspaces/w", place.dir);
    run_in(path, "cp base whole");
    struct stat stat_buffer;
    char file[4300];
    snprintf(file, sizeof(file), "%s/whole", path);
    assert_int_equal(stat(file, &stat_buffer), 0);
    for (off_t at = 0; at < stat_buffer.st_size; at += 7) {
        char script[256];
        snprintf(script, sizeof(script),
                 "cp whole base; python3 - <<'X'\nb=bytearray(open('base','rb').read()); b[%ld]^=1; "
                 "open('base','wb').write(b)\nX",
                 (long)at);
        run_in(path, script);
        check_error(-VRIFT_EUCLEAN, vrift_workspace_open(place.store, "w", &workspace));
    }
    run_in(path, "head -c 20 whole >base");
    check_error(-VRIFT_EUCLEAN, vrift_workspace_open(place.store, "w", &workspace));
    run_in(path, "rm base");
    check_error(-VRIFT_EUCLEAN, vrift_workspace_open(place.store, "w", &workspace));
    check_ok(vrift_workspace_remove(place.store, "w"));
}

static void strays_of_a_crash_are_removed_at_the_next_open(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    char path[4200];
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, NULL));
    snprintf(path, sizeof(path), "%s/store/workspaces/w", place.dir);
    run_in(path, "mkdir -p upper-1/x work-1/y upper-77; echo k >upper-0/kept");
    check_ok(vrift_workspace_open(place.store, "w", &workspace));
    run_in(path, "[ \"$(echo $(ls -d upper-* work-*))\" = 'upper-0 work-0' ]; [ -e upper-0/kept ]");
    vrift_workspace_close(workspace);
}

/* -- Death --------------------------------------------------------------------------------------------------------- */

static uint64_t microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Whatever moment a commit dies at, the workspace shows what it showed before it. */
static void commits_that_are_killed_lose_nothing(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    struct vrift_workspace_info info;
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    check_ok(vrift_workspace_info(workspace, &info));
    run_in(place.dir, "cp -a tree other; cd other; for i in $(seq 300); do echo $i >e/n$i; done; rm -r d; echo h >>hl");
    check_ok(vrift_workspace_ingest(workspace, place.other, NULL));
    struct vrift_digest wanted = import_of(&place, place.other);
    unsigned finished = 0, killed = 0;
    uint64_t started = microseconds();
    commit_of(workspace);
    uint64_t whole = microseconds() - started; /* the time that one takes here and now */
    vrift_workspace_close(workspace);
    check_ok(vrift_workspace_remove(place.store, "w"));
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    check_ok(vrift_workspace_ingest(workspace, place.other, NULL));
    vrift_workspace_close(workspace);
    for (unsigned i = 0; i < 60; i++) {
        pid_t child = fork();
        if (child == 0) {
            struct vrift_import_result result;
            vrift_workspace *own;
            int bad =
                vrift_workspace_open(place.store, "w", &own) < 0 || vrift_workspace_commit(own, NULL, &result) < 0;
            _exit(bad ? 1 : 0);
        }
        if (i % 20 != 10) { /* now and then one may live */
            usleep((unsigned)(whole * (i % 20) / 15));
            kill(child, SIGKILL);
        }
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        finished += WIFEXITED(status) ? 1 : 0;
        killed += WIFSIGNALED(status) ? 1 : 0;
        whole -= WIFEXITED(status) ? whole / 16 : 0; /* the machine has become faster */
        vrift_workspace *check;
        check_ok(vrift_workspace_open(place.store, "w", &check));
        check_ok(vrift_workspace_info(check, &info));
        bool committed = memcmp(&info.base, &wanted, sizeof(wanted)) == 0;
        assert_true(committed || memcmp(&info.base, &place.base, sizeof(wanted)) == 0);
        if (committed) { /* start over */
            char *text = status_text(check);
            assert_string_equal("", text);
            free(text);
            vrift_workspace_close(check);
            check_ok(vrift_workspace_remove(place.store, "w"));
            check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &check));
            check_ok(vrift_workspace_ingest(check, place.other, NULL));
        }
        vrift_workspace_close(check);
    }
    print_message("# %u killed, %u finished before\n", killed, finished);
    assert_true(killed > 10 && finished > 0);
    vrift_workspace *last;
    check_ok(vrift_workspace_open(place.store, "w", &last));
    assert_same_snapshot(&place, wanted, commit_of(last));
    vrift_workspace_close(last);
}

/* Whatever moment taking over or discarding dies at, the workspace shows the one state or the other. */
static void ingests_and_discards_that_are_killed_leave_one_of_two_states(void **state)
{
    (void)state;
    vrift_workspace *workspace;
    run_in(place.dir, "cp -a tree other; cd other; for i in $(seq 200); do echo $i >e/n$i; done; rm -r d; echo h >>hl");
    struct vrift_digest changed = import_of(&place, place.other);
    check_ok(vrift_workspace_create(place.store, "w", &place.base, 0, &workspace));
    char *full = diff_text(place.store, &place.base, &changed);
    unsigned killed = 0, seen[2] = {0};
    uint64_t started = microseconds();
    check_ok(vrift_workspace_ingest(workspace, place.other, NULL));
    uint64_t whole = microseconds() - started;
    for (unsigned i = 0; i < 60; i++) {
        pid_t child = fork();
        if (child == 0) {
            vrift_workspace *own;
            int32_t result = vrift_workspace_open(place.store, "w", &own);
            if (result == 0) {
                result = i % 2 ? vrift_workspace_discard(own) : vrift_workspace_ingest(own, place.other, NULL);
            }
            _exit(result < 0 ? 1 : 0);
        }
        if (i % 20 != 10) { /* now and then one may live */
            usleep((unsigned)(whole * (i / 2 % 20) / 12));
            kill(child, SIGKILL);
        }
        int status;
        waitpid(child, &status, 0);
        assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
        killed += WIFSIGNALED(status) ? 1 : 0;
        whole -= WIFEXITED(status) ? whole / 16 : 0;
        char *text = status_text(workspace);
        bool is_full = strcmp(text, full) == 0;
        if (!is_full) {
            assert_string_equal("", text);
        }
        seen[is_full]++;
        free(text);
    }
    print_message("# %u killed; %u times empty, %u times full\n", killed, seen[0], seen[1]);
    assert_true(killed > 10 && seen[0] && seen[1]);
    check_ok(vrift_workspace_ingest(workspace, place.other, NULL));
    assert_same_snapshot(&place, changed, commit_of(workspace));
    free(full);
    vrift_workspace_close(workspace);
}

/* -- An ordinary user --------------------------------------------------------------------------------------------- */

static const struct CMUnitTest user_tests[] = {
    cmocka_unit_test_setup_teardown(a_second_commit_goes_on_from_the_first, begin, end),
    cmocka_unit_test_setup_teardown(ingest_takes_over_exactly_what_a_command_changed, begin, end),
    cmocka_unit_test_setup_teardown(ingest_twice_ends_where_the_directory_ends, begin, end),
    cmocka_unit_test_setup_teardown(an_unchanged_directory_leaves_the_upper_empty, begin, end),
    cmocka_unit_test_setup_teardown(discard_empties_the_upper_for_every_handle, begin, end),
    cmocka_unit_test_setup_teardown(what_a_kernel_mount_leaves_in_work_is_removed, begin, end),
};

static void an_ordinary_user_has_workspaces_too(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        skip_because("the tests run as an ordinary user anyway");
    }
    char *dir = temporary_directory();
    assert_int_equal(chmod(dir, 0777), 0);
    pid_t child = fork();
    if (child == 0) {
        if (setgid(65534) < 0 || setuid(65534) < 0 || setenv("TMPDIR", dir, 1) < 0) {
            _exit(100);
        }
        dup2(2, 1); /* one program, one TAP stream */
        _exit(cmocka_run_group_tests(user_tests, NULL, NULL));
    }
    int status;
    waitpid(child, &status, 0);
    remove_temporary_directory(dir);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_checked_listed_in_order_and_removed, begin, end),
        cmocka_unit_test_setup_teardown(the_root_starts_with_the_attributes_of_the_bases_root, begin, end),
        cmocka_unit_test_setup_teardown(commit_of_what_the_kernel_wrote_is_the_import_of_its_mount, begin, end),
        cmocka_unit_test_setup_teardown(a_second_commit_goes_on_from_the_first, begin, end),
        cmocka_unit_test_setup_teardown(an_empty_workspace_commits_to_the_import_of_its_upper, begin, end),
        cmocka_unit_test_setup_teardown(redirected_entries_are_refused_rather_than_misread, begin, end),
        cmocka_unit_test_setup_teardown(ingest_takes_over_exactly_what_a_command_changed, begin, end),
        cmocka_unit_test_setup_teardown(ingest_twice_ends_where_the_directory_ends, begin, end),
        cmocka_unit_test_setup_teardown(an_unchanged_directory_leaves_the_upper_empty, begin, end),
        cmocka_unit_test_setup_teardown(what_lies_in_a_renamed_directory_is_read_anew, begin, end),
        cmocka_unit_test_setup_teardown(a_failed_ingest_leaves_the_workspace_as_it_was, begin, end),
        cmocka_unit_test_setup_teardown(a_locked_workspace_is_busy_for_all_but_its_holder, begin, end),
        cmocka_unit_test_setup_teardown(opening_is_in_nobodys_way, begin, end),
        cmocka_unit_test_setup_teardown(discard_empties_the_upper_for_every_handle, begin, end),
        cmocka_unit_test_setup_teardown(what_a_kernel_mount_leaves_in_work_is_removed, begin, end),
        cmocka_unit_test_setup_teardown(a_damaged_or_newer_base_file_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(strays_of_a_crash_are_removed_at_the_next_open, begin, end),
        cmocka_unit_test_setup_teardown(commits_that_are_killed_lose_nothing, begin, end),
        cmocka_unit_test_setup_teardown(ingests_and_discards_that_are_killed_leave_one_of_two_states, begin, end),
        cmocka_unit_test(an_ordinary_user_has_workspaces_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
