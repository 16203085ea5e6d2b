/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What Documentation/filesystems/sharedsubtree.rst, pivot_root(2), umount(2) and mount_namespaces(7) say, case by case: what is
 * expected is written here, and held against the kernel as well where that can be asked.
 */
#include "mounts/mounts.h"

#include <string.h>

/* -- The tables of sharedsubtree.rst ---------------------------------------------------------------------------------- */

/* Makes /a the root of a mount of some type, whose parent is private. */
static const char *const sources[][2] = {
    {"shared", "0 mount /a\n0 make,shared /a\n"},
    {"private", "0 mount /a\n"},
    {"slave", "0 mkdir /m\n0 mount /m\n0 make,shared /m\n0 bind /m /a\n0 make,slave /a\n"},
    {"shared slave", "0 mkdir /m\n0 mount /m\n0 make,shared /m\n0 bind /m /a\n0 make,slave /a\n0 make,shared /a\n"},
    {"unbindable", "0 mount /a\n0 make,unbindable /a\n"},
};

/* Makes /b a mount, of which /q shows what it sends to its peers and /s to its slaves. */
static const char shared_destination[] = "0 mkdir /q\n0 mkdir /s\n0 mount /b\n0 make,shared /b\n0 bind /b /q\n"
                                         "0 bind /b /s\n0 make,slave /s\n";
static const char private_destination[] = "0 mount /b\n";

struct row {
    const char *source;
    const char *at_shared, *at_private; /* what becomes of it there; "EINVAL": it is refused */
};

static void run_rows(const char *operation, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const char *setup = NULL;
        for (size_t j = 0; j < sizeof sources / sizeof sources[0]; j++)
            if (strcmp(sources[j][0], rows[i].source) == 0)
                setup = sources[j][1];
        for (int shared = 0; shared < 2; shared++) {
            char script[1024], name[64];
            const char *becomes = shared ? rows[i].at_shared : rows[i].at_private;
            bool refused = strcmp(becomes, "EINVAL") == 0;
            snprintf(name, sizeof name, "%s of %s to %s", operation, rows[i].source, shared ? "shared" : "private");
            int used =
                snprintf(script, sizeof script, "%s%s0 %s /a /b/a%s\n", setup,
                         shared ? shared_destination : private_destination, operation, refused ? " = EINVAL" : "");
            if (!refused)
                used += snprintf(script + used, sizeof script - (size_t)used, "0 tags /b/a = %s\n", becomes);
            if (!refused && shared)
                snprintf(script + used, sizeof script - (size_t)used, "0 tags /q/a = %s\n0 tags /s/a = slave\n",
                         becomes);
            run_script(name, script);
        }
    }
}

static void a_bind_becomes_what_the_table_says(void **state)
{
    (void)state;
    static const struct row rows[] = {{"shared", "shared", "shared"},
                                      {"private", "shared", "private"},
                                      {"slave", "shared slave", "slave"},
                                      {"shared slave", "shared slave", "shared slave"},
                                      {"unbindable", "EINVAL", "EINVAL"}};
    run_rows("bind", rows, 5);
    run_rows("bind,rec", rows, 5);
}

static void a_move_becomes_what_the_table_says(void **state)
{
    (void)state;
    static const struct row rows[] = {{"shared", "shared", "shared"},
                                      {"private", "shared", "private"},
                                      {"slave", "shared slave", "slave"},
                                      {"shared slave", "shared slave", "shared slave"},
                                      {"unbindable", "EINVAL", "unbindable"}};
    run_rows("move", rows, 5);
}

static void a_new_mount_is_as_shared_as_its_place(void **state)
{
    (void)state;
    run_script("on private", "0 mount /b\n0 mount /b/a\n0 tags /b/a = private");
    run_script("on shared", "0 mkdir /q\n0 mount /b\n0 make,shared /b\n0 bind /b /q\n0 mount /b/a\n"
                            "0 tags /b/a = shared\n0 tags /q/a = shared");
    run_script("on a slave", "0 mkdir /q\n0 mount /b\n0 make,shared /b\n0 bind /b /q\n0 make,slave /q\n0 mount /q/a\n"
                             "0 tags /q/a = private\n0 tags /b/a = none");
}

static void types_change_as_the_table_says(void **state)
{
    (void)state;
    static const char *const rows[][5] = {
        /* from, and after make-shared, -slave, -private, -unbindable */
        {"shared", "shared", "private", "private", "unbindable"},
        {"slave", "shared slave", "slave", "private", "unbindable"},
        {"shared slave", "shared slave", "slave", "private", "unbindable"},
        {"private", "shared", "private", "private", "unbindable"},
        {"unbindable", "shared", "unbindable", "private", "unbindable"},
    };
    static const char *const changes[] = {"shared", "slave", "private", "unbindable"};
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 4; j++) {
            char script[512], name[64];
            snprintf(name, sizeof name, "make-%s of %s", changes[j], rows[i][0]);
            snprintf(script, sizeof script, "%s0 make,%s /a\n0 tags /a = %s\n", sources[i][1], changes[j],
                     rows[i][j + 1]);
            for (int k = 0; k < 5; k++)
                if (strcmp(sources[k][0], rows[i][0]) == 0)
                    snprintf(script, sizeof script, "%s0 make,%s /a\n0 tags /a = %s\n", sources[k][1], changes[j],
                             rows[i][j + 1]);
            run_script(name, script);
        }
    }
    run_script("a shared one with peers becomes their slave",
               "0 mount /a\n0 make,shared /a\n0 bind /a /b\n0 make,slave /a\n0 tags /a = slave\n0 mount /b/a\n"
               "0 tags /a/a = slave\n");
}

static void a_recursive_change_is_for_all_below(void **state)
{
    (void)state;
    run_script("rshared",
               "0 mount /a\n0 mount /a/a\n0 mount /a/a/b\n0 make,rec,shared /a\n0 tags /a/a/b = shared\n"
               "0 tags /a/a = shared\n0 make,rec,private /a/a\n0 tags /a = shared\n0 tags /a/a/b = private\n");
}

static void a_recursive_bind_leaves_out_what_is_unbindable(void **state)
{
    (void)state;
    run_script("pruned", "0 mount /a\n0 mount /a/a\n0 mount /a/a/a\n0 mount /a/b\n0 make,unbindable /a/a\n"
                         "0 bind,rec /a /b\n0 tags /b/b = private\n0 tags /b/a = none\n0 tags /b/a/a = none\n");
    run_script("not recursive", "0 mount /a\n0 mount /a/a\n0 bind /a /b\n0 tags /b/a = none\n");
    run_script("a part", "0 mount /a/a\n0 mount /a/a/a\n0 mount /a/b\n0 bind,rec /a/a /b\n0 tags /b/a = private\n");
    run_script("onto itself again and again",
               "0 mount /a\n0 make,shared /a\n0 bind,rec / /b\n0 bind,rec / /a/a\n0 bind,rec / /b/a/b\n");
}

static void a_slave_receives_and_does_not_send(void **state)
{
    (void)state;
    run_script("chain",
               "0 mkdir /c\n0 mkdir /d\n0 mount /a\n0 make,shared /a\n0 bind /a /b\n0 make,slave /b\n0 make,shared /b\n"
               "0 bind /b /c\n0 make,slave /c\n0 mount /a/a\n0 tags /b/a = shared slave\n0 tags /c/a = slave\n"
               "0 mount /b/b\n0 tags /a/b = none\n0 tags /c/b = slave\n0 umount /a/a\n0 tags /c/a = none\n"
               "0 make,private /b\n0 mount /a/b\n0 tags /c/b = slave\n");
}

static void a_umount_takes_along_what_propagation_made(void **state)
{
    (void)state;
    static const char three[] =
        "0 mkdir /c\n0 mount /a\n0 make,shared /a\n0 bind /a /b\n0 bind /a /c\n0 make,slave /c\n"
        "0 mount /a/a\n";
    char script[1024];
    snprintf(script, sizeof script, "%s0 umount /b/a\n0 tags /a/a = none\n0 tags /c/a = none\n", three);
    run_script("from a peer", script);
    snprintf(script, sizeof script, "%s0 umount /c/a\n0 tags /a/a = shared\n0 tags /b/a = shared\n", three);
    run_script("from a slave", script);
    snprintf(script, sizeof script, "%s0 mount /c/a/a\n0 umount /a/a\n0 tags /c/a = private\n0 tags /b/a = none\n",
             three);
    run_script("but not where something is mounted inside", script);
    snprintf(script, sizeof script,
             "%s0 mount /c/a\n0 umount /a/a\n0 tags /c/a = private\n0 umount /c/a\n0 tags /c/a = none\n", three);
    run_script("and what covers it slides down", script);
    snprintf(script, sizeof script, "%s0 open /c/a\n0 umount /a/a = EBUSY\n0 close\n0 umount /a/a\n", three);
    run_script("unless one of them is in use", script);
    snprintf(script, sizeof script, "%s0 cd /c/a\n0 umount,lazy /a/a\n0 tags /c/a = none\n", three);
    run_script("lazily in any case", script);
    snprintf(script, sizeof script,
             "%s0 mount /a/a/a\n0 umount /a/a = EBUSY\n0 umount,lazy /a/a\n0 tags /b/a/a = none\n", three);
    run_script("with all below", script);
    snprintf(script, sizeof script,
             "%s0 open /c/a\n0 mount /c/a\n0 umount /a/a = EBUSY\n0 close\n0 umount /a/a\n0 tags /c/a = private\n",
             three);
    run_script("unless one that is covered is in use", script);
    snprintf(script, sizeof script, "%s0 mount /c/a/a\n0 open /c/a\n0 umount /a/a\n0 tags /c/a/a = private\n", three);
    run_script("what stays may be in use", script);
}

static void what_propagates_to_a_covered_place_goes_below(void **state)
{
    (void)state;
    run_script("tucked",
               "0 mount /a\n0 make,shared /a\n0 bind /a /b\n0 make,slave /b\n0 mount /b/a\n0 mount /a/a\n"
               "0 umount /b/a\n0 tags /b/a = slave\n0 umount /b/a\n0 tags /b/a = none\n0 tags /a/a = shared\n");
}

/* -- Namespaces ------------------------------------------------------------------------------------------------------ */

static void a_copied_namespace_has_peers_of_what_is_shared(void **state)
{
    (void)state;
    run_script("peers",
               "0 mount /a\n0 make,shared /a\n0 mount /b\n0 fork 1\n1 unshare\n0 mount /a/a\n1 tags /a/a = shared\n"
               "1 mount /a/b\n0 tags /a/b = shared\n1 mount /b/a\n0 tags /b/a = none\n1 make,slave /a\n0 umount /a/a\n"
               "1 tags /a/a = none\n1 umount /a/b\n0 tags /a/b = shared\n");
    run_script("slaves",
               "0 mkdir /c\n0 mount /a\n0 make,shared /a\n0 bind /a /b\n0 make,slave /b\n0 fork 1\n1 unshare\n"
               "1 tags /b = slave\n1 make,private /a\n0 mount /a/a\n1 tags /a/a = none\n1 tags /b/a = slave\n");
    run_script("where they stand",
               "0 mount /a\n0 cd /a/a\n0 fork 1\n1 unshare\n1 cd ..\n1 cd ..\n1 mount /b\n0 umount /a = EBUSY\n"
               "0 cd /\n0 umount /a\n1 cd /a/b\n1 exit\n");
    run_script("a namespace goes with its last process", "0 mount /a\n0 make,shared /a\n0 fork 1\n1 unshare\n1 cd "
                                                         "/a/a\n0 mount /a/b\n1 bind /a /b\n1 exit\n0 umount /a/b\n");
    run_script(
        "entered",
        "0 fork 1\n1 unshare\n1 mount /a\n0 setns 1\n0 tags /a = private\n0 cd /a/a\n0 mount /b\n1 tags /b = private\n"
        "1 fork 2\n2 unshare\n2 chroot /a\n2 setns 0\n2 tags /a = private\n");
}

static void the_group_that_events_come_from_is_named_where_it_is_seen(void **state)
{
    (void)state;
    /* The comparison looks at propagate_from, the master of /c/x being out of sight below its root. */
    run_script("propagate_from",
               "0 mkdir /c\n0 mkdir /c/x\n0 mkdir /c/y\n0 mount /a\n0 make,shared /a\n0 bind /a /c/y\n0 bind /a /b\n"
               "0 make,slave /b\n0 make,shared /b\n0 bind /b /c/x\n0 make,slave /c/x\n0 fork 1\n1 chroot /c\n"
               "1 cd /\n1 tags /x = slave\n1 tags /y = shared\n");
}

/* -- Moving and pivoting ------------------------------------------------------------------------------------------------ */

static void moves_are_refused_as_by_the_kernel(void **state)
{
    (void)state;
    run_script("not a root", "0 mount /a\n0 move /a/a /b = EINVAL\n0 move /b /a/a = EINVAL\n");
    run_script("a shared parent",
               "0 mount /a\n0 make,shared /a\n0 mount /a/a\n0 move /a/a /b = EINVAL\n0 make,private /a\n"
               "0 move /a/a /b\n0 tags /b = shared\n");
    run_script("into itself",
               "0 mount /a\n0 mount /a/a\n0 move /a /a/b = ELOOP\n0 move /a /a/a/b = ELOOP\n0 move /a /a = ELOOP\n");
    run_script("a file",
               "0 mount /a\n0 bind /f /b/f\n0 move /b/f /a/f\n0 tags /a/f = private\n0 move /a/f /b = EINVAL\n"
               "0 move /a /b/f = EINVAL\n");
    run_script(
        "something unbindable below",
        "0 mount /a\n0 mount /a/a\n0 make,unbindable /a/a\n0 mount /b\n0 make,shared /b\n0 move /a /b/a = EINVAL\n"
        "0 make,private /b\n0 move /a /b/a\n0 tags /b/a/a = unbindable\n");
    run_script("the root itself", "0 make,private /\n0 move / /a = ELOOP\n");
    run_script("of another namespace",
               "0 mount /a\n0 open /a\n0 fork 1\n1 unshare\n1 fchdir\n1 move . /b = EINVAL\n"
               "1 bind . /b = EINVAL\n1 mount a = EINVAL\n1 make,shared .\n0 tags /a = shared\n");
    run_script("nothing there", "0 move /x /a = ENOENT\n0 mount /a\n0 move /a /x = ENOENT\n0 move /a /f/x = ENOTDIR\n");
    run_script("files and directories", "0 bind /a /f = ENOTDIR\n0 bind /f /a = ENOTDIR\n0 mount /f = ENOTDIR\n");
}

static void a_pivot_changes_roots_with_all_who_stand_there(void **state)
{
    (void)state;
    run_script(
        "plain",
        "0 mount /a\n0 fork 1\n1 cd /b\n0 pivot /a /a/a\n0 tags /a = private\n1 cd /a/b\n0 cd /\n0 umount,lazy /a\n");
    run_script("onto itself", "0 mount /a\n0 cd /a\n0 pivot . .\n0 umount,lazy .\n0 tags / = private\n0 cd /b\n");
    run_script("with what is below",
               "0 mount /a\n0 mount /b\n0 mount /a/b\n0 pivot /a /a/a\n0 tags /a/b = private\n0 tags /b = private\n");
}

static void pivots_are_refused_as_by_the_kernel(void **state)
{
    (void)state;
    run_script("new_root is no mount",
               "0 mount /a\n0 pivot /b /b/a = EBUSY\n0 pivot /a/a /a/a = EINVAL\n0 pivot /a/a /a/b = EINVAL\n");
    run_script(
        "it is the root",
        "0 pivot / /a = EBUSY\n0 mount /a\n0 pivot / /a/a = EBUSY\n0 pivot /a / = EBUSY\n0 pivot /a /b = EBUSY\n");
    run_script("put_old is elsewhere", "0 mount /a\n0 mount /b\n0 pivot /a /b = EINVAL\n0 pivot /a /b/a = EINVAL\n");
    run_script("the old root's parent is shared, or what new_root is mounted on",
               "0 mount /a\n0 make,shared /\n0 pivot /a /a/a = EINVAL\n0 make,private /\n0 pivot /a /a/a\n");
    run_script("put_old is shared",
               "0 mount /a\n0 make,shared /a\n0 pivot /a /a/a = EINVAL\n0 make,slave /a\n0 pivot /a /a/a\n");
    run_script("the root is no mount", "0 mount /a/b\n0 chroot /a\n0 pivot /b /b/a = EINVAL\n");
    run_script("no directories", "0 mount /a\n0 pivot /a /f = ENOTDIR\n0 pivot /f /a = ENOTDIR\n0 pivot /x /a = "
                                 "ENOENT\n0 pivot /a /x = ENOENT\n");
    run_script("outside of the root",
               "0 mount /a\n0 mount /b\n0 open /b\n0 chroot /a\n0 fchdir\n0 pivot . a = EINVAL\n");
}

/* -- Taking away lazily ------------------------------------------------------------------------------------------------- */

static void what_is_taken_away_lazily_goes_on_working(void **state)
{
    (void)state;
    run_script("inside", "0 mount /a\n0 mkdir /a/a/x\n0 mount /a/a/x\n0 cd /a/a\n0 umount /a = EBUSY\n0 umount,lazy "
                         "/a\n0 mkdir y\n0 cd y\n"
                         "0 create z\n0 cd ..\n0 cd ..\n0 cd ..\n0 cd ..\n0 cd a/x\n0 create here\n0 cd /a\n0 cd /\n");
    run_script("nothing is mounted there any more",
               "0 mount /a\n0 cd /a\n0 umount,lazy /a\n0 mount a = ENOENT\n0 bind /b a = ENOENT\n"
               "0 bind . /b = EINVAL\n0 bind,rec . /b = EINVAL\n0 umount . = EINVAL\n0 umount,lazy . = EINVAL\n"
               "0 make,shared . = EINVAL\n0 move . /b = EINVAL\n0 remount . = EINVAL\n");
    run_script(
        "what was mounted inside goes apart",
        "0 mount /a\n0 mount /a/a\n0 open /a/a\n0 cd /a\n0 umount,lazy /a\n0 cd a\n0 cd ..\n0 fchdir\n0 cd ..\n");
    run_script("the root", "0 mount /a\n0 chroot /a\n0 cd /\n0 umount,lazy /\n0 mkdir /x\n0 cd /x\n0 cd ..\n");
    run_script("a peer keeps working",
               "0 mount /a\n0 make,shared /a\n0 bind /a /b\n0 cd /b\n0 umount,lazy /b\n0 mount /a/a\n0 cd a\n");
}

static void a_umount_goes_to_the_top(void **state)
{
    (void)state;
    run_script("stacked",
               "0 mount /a\n0 mount /a\n0 umount /a\n0 tags /a = private\n0 umount /a\n0 umount /a = EINVAL\n");
    run_script("over the root", "0 mount /\n0 cd /..\n0 umount / = EBUSY\n0 cd /\n0 umount /\n");
    run_script("a file over a file",
               "0 bind /f /a/f\n0 bind /f /a/f\n0 umount /a/f\n0 umount /a/f\n0 umount /a/f = EINVAL\n");
    run_script("through no symlink", "0 mount /a\n0 umount,nofollow /a\n0 umount,nofollow /f = EINVAL\n");
    run_script("what is no root", "0 mount /a\n0 umount /a/a = EINVAL\n0 umount /b = EINVAL\n0 umount /x = ENOENT\n");
}

/* -- Mount points that lose their names ----------------------------------------------------------------------------------- */

static void a_name_is_kept_where_it_is_mounted_on_and_no_longer_elsewhere(void **state)
{
    (void)state;
    run_script("here", "0 mkdir /c\n0 mount /c\n0 rmdir /c = EBUSY\n0 rename /c /d = EBUSY\n0 rename /a/a /c = "
                       "EBUSY\n0 exchange /c /a = EBUSY\n"
                       "0 bind /f /a/f\n0 unlink /a/f = EBUSY\n0 rename /f /a/f = EBUSY\n");
    run_script("elsewhere", "0 mkdir /c\n0 fork 1\n1 unshare\n1 mount /c\n1 mount /c/a\n1 cd /c/a\n0 rmdir /c\n1 tags "
                            "/c = none\n1 cd ..\n1 cd ..\n"
                            "1 cd a\n1 cd /\n");
    run_script("a file elsewhere",
               "0 fork 1\n1 unshare\n1 bind /f /a/f\n0 unlink /a/f\n1 tags /a/f = none\n1 create /a/f\n");
    run_script(
        "renamed elsewhere",
        "0 mkdir /c\n0 fork 1\n1 unshare\n1 mount /c\n0 rename /c /d\n1 tags /d = private\n0 mkdir /e\n0 rename /e /d\n"
        "1 tags /d = none\n");
    run_script(
        "exchanged elsewhere",
        "0 mkdir /c\n0 fork 1\n1 unshare\n1 mount /c\n0 exchange /c /a\n1 tags /a = private\n1 tags /c = none\n");
    run_script("the same directory by another way",
               "0 bind /a /b\n0 mkdir /a/x\n0 mount /b/x\n0 rmdir /a/x = EBUSY\n0 umount /b/x\n0 rmdir /a/x\n");
    run_script("what is shown elsewhere", "0 mkdir /c\n0 bind /c /b\n0 rmdir /c\n0 cd /b\n0 mkdir x = ENOENT\n0 bind "
                                          "/b /a = ENOENT\n0 mount /b = ENOENT\n");
    run_script("between binds",
               "0 bind /a /b\n0 rename /a/f /b/g = EXDEV\n0 link /a/f /b/g = EXDEV\n0 rename /a/f /a/g\n");
}

/* -- Flags ---------------------------------------------------------------------------------------------------------------- */

static void flags_are_kept_and_changed(void **state)
{
    (void)state;
    run_script("remount", "0 mount,nosuid,noatime /a\n0 remount,ro /a\n0 create /a/x = EROFS\n0 "
                          "remount,nodev,strictatime /a\n0 create /a/x\n"
                          "0 remount,noexec,nodiratime /a\n0 remount,nosymfollow /a\n0 remount /a/a = EINVAL\n");
    run_script(
        "a bind inherits",
        "0 mount,nosuid,nodev /a\n0 remount,ro /a\n0 bind /a /b\n0 create /b/x = EROFS\n0 remount /b\n0 create /b/x\n"
        "0 create /a/y = EROFS\n");
    run_script("all below",
               "0 mount /a\n0 mount /a/a\n0 setattr,rec,ro,nosuid /a\n0 create /a/a/x = EROFS\n0 setattr,noatime /a\n"
               "0 setattr,rec,strictatime,shared /a\n0 tags /a/a = shared\n");
    run_script(
        "propagated",
        "0 mount,noexec /a\n0 make,shared /a\n0 bind /a /b\n0 mount,nosuid /a/a\n0 remount,ro /a/a\n0 create /b/a/x\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bind_becomes_what_the_table_says),
        cmocka_unit_test(a_move_becomes_what_the_table_says),
        cmocka_unit_test(a_new_mount_is_as_shared_as_its_place),
        cmocka_unit_test(types_change_as_the_table_says),
        cmocka_unit_test(a_recursive_change_is_for_all_below),
        cmocka_unit_test(a_recursive_bind_leaves_out_what_is_unbindable),
        cmocka_unit_test(a_slave_receives_and_does_not_send),
        cmocka_unit_test(a_umount_takes_along_what_propagation_made),
        cmocka_unit_test(what_propagates_to_a_covered_place_goes_below),
        cmocka_unit_test(a_copied_namespace_has_peers_of_what_is_shared),
        cmocka_unit_test(the_group_that_events_come_from_is_named_where_it_is_seen),
        cmocka_unit_test(moves_are_refused_as_by_the_kernel),
        cmocka_unit_test(a_pivot_changes_roots_with_all_who_stand_there),
        cmocka_unit_test(pivots_are_refused_as_by_the_kernel),
        cmocka_unit_test(what_is_taken_away_lazily_goes_on_working),
        cmocka_unit_test(a_umount_goes_to_the_top),
        cmocka_unit_test(a_name_is_kept_where_it_is_mounted_on_and_no_longer_elsewhere),
        cmocka_unit_test(flags_are_kept_and_changed),
    };
    if (!kernel_is_there())
        printf("# the kernel is not asked: that takes root, a root to pivot from, and Linux 6.17\n");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
