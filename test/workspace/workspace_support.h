/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the tests of workspaces share: a store with one tree in it, scripts that change a tree, and lists of changes. */
#ifndef VR_TEST_WORKSPACE_SUPPORT_H
#define VR_TEST_WORKSPACE_SUPPORT_H

#include "support/check.h"

#include <vrift/snapshot.h>
#include <vrift/store.h>
#include <vrift/workspace.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* bash in a directory; fails the test if the script does. */
static inline void run_in(const char *dir, const char *script)
{
    pid_t child = fork();
    if (child == 0) {
        if (chdir(dir) == 0) {
            execlp("bash", "bash", "-ec", script, (char *)NULL);
        }
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0) {
        print_error("in %s: %s\n", dir, script);
    }
    assert_int_equal(status, 0);
}

struct place {
    char *dir; /* temporary; holds tree, store and what a test adds */
    char tree[4096], m[4096], other[4096];
    vrift_store *store;
    struct vrift_digest base;
};

/* A tree in which every kind of thing is that a change can meet. */
static const char make_tree[] =
    "umask 022; mkdir tree m; cd tree; mkdir -p d/sub/deep e/full empty; echo x >d/x; echo y >d/sub/y;"
    "echo z >d/sub/deep/z; for i in 1 2 3 4 5 6 7 8 9; do echo $i >e/full/$i; done; echo lower >f; ln f hl; ln f d/hl2;"
    "ln -s f s; ln -s nowhere dangling; echo g >g; chmod 755 g; head -c 70000 /dev/urandom >big; echo p >e/p;"
    "truncate -s 200000 sparse; echo end >>sparse; mkfifo fifo; touch zero; printf 'a' >\"$(printf 'new\\nline')\";"
    "setfattr -n user.kind -v file f; setfattr -n user.kind -v dir d; setfattr -n user.kind -v root .;"
    "touch -d '1960-02-03 04:05:06.123456789' old; touch -d '2001-01-01 01:01:01.000000001' d/sub; chmod 1777 e;"
    "touch -d '2002-02-02 02:02:02.5' . d e e/full";

static inline void make_place(struct place *place)
{
    memset(place, 0, sizeof(*place));
    place->dir = temporary_directory();
    snprintf(place->tree, sizeof(place->tree), "%s/tree", place->dir);
    snprintf(place->m, sizeof(place->m), "%s/m", place->dir);
    snprintf(place->other, sizeof(place->other), "%s/other", place->dir);
    run_in(place->dir, make_tree);
    char store[4096];
    snprintf(store, sizeof(store), "%s/store", place->dir);
    struct vrift_store_options options = {
        .size = sizeof(options), .durability = VRIFT_DURABILITY_NONE, .flags = VRIFT_STORE_CREATE};
    struct vrift_import_result result;
    check_ok(vrift_store_open(store, &options, &place->store));
    check_ok(vrift_import(place->store, place->tree, NULL, &result));
    place->base = result.snapshot;
}

static inline void drop_place(struct place *place)
{
    vrift_store_close(place->store);
    remove_temporary_directory(place->dir);
    memset(place, 0, sizeof(*place));
}

static inline struct vrift_digest import_of(struct place *place, const char *dir)
{
    struct vrift_import_result result;
    int32_t error = vrift_import(place->store, dir, NULL, &result);
    if (error < 0) {
        struct vrift_error_detail detail;
        vrift_error_detail(&detail);
        print_error("import: %s %s: %s\n", detail.operation, detail.path, detail.reason);
    }
    check_ok(error);
    return result.snapshot;
}

/* -- Lists of changes --------------------------------------------------------------------------------------------- */

struct changes {
    char *text;
    size_t length;
};

static inline int32_t VRIFT_CALLBACK note_change(const struct vrift_change *change, void *payload)
{
    struct changes *changes = payload;
    char line[8192];
    int length = snprintf(line, sizeof(line), "%c %s\n", "?ARCMT"[change->kind], change -> path);
    changes->text = realloc(changes->text, changes->length + (size_t)length + 1);
    memcpy(changes->text + changes->length, line, (size_t)length + 1);
    changes->length += (size_t)length;
    return 0;
}

/* The changes between two snapshots, and those of a workspace, as text; to be freed. */
static inline char *diff_text(vrift_store *store, const struct vrift_digest *a, const struct vrift_digest *b)
{
    vrift_snapshot *x, *y;
    struct changes changes = {calloc(1, 1), 0};
    check_ok(vrift_snapshot_open(store, a, &x));
    check_ok(vrift_snapshot_open(store, b, &y));
    check_ok(vrift_diff(x, y, 0, note_change, &changes));
    vrift_snapshot_unref(x);
    vrift_snapshot_unref(y);
    return changes.text;
}

static inline char *status_text(vrift_workspace *workspace)
{
    struct changes changes = {calloc(1, 1), 0};
    check_ok(vrift_workspace_status(workspace, 0, note_change, &changes));
    return changes.text;
}

static inline struct vrift_digest commit_of(vrift_workspace *workspace)
{
    struct vrift_import_result result;
    int32_t error = vrift_workspace_commit(workspace, NULL, &result);
    if (error < 0) {
        struct vrift_error_detail detail;
        vrift_error_detail(&detail);
        print_error("commit: %s %s: %s\n", detail.operation, detail.path, detail.reason);
    }
    check_ok(error);
    return result.snapshot;
}

static inline void assert_same_snapshot(struct place *place, struct vrift_digest wanted, struct vrift_digest got)
{
    if (memcmp(&wanted, &got, sizeof(wanted)) != 0) {
        char *text = diff_text(place->store, &wanted, &got);
        print_error("differences (none: only in links):\n%s", text);
        free(text);
    }
    assert_memory_equal(&wanted, &got, sizeof(wanted));
}

/* -- Scripts that change a tree ----------------------------------------------------------------------------------- */

struct script {
    const char *name;
    const char *text;
};

static const struct script scripts[] = {
    {"nothing", ":"},
    {"a new file and a changed one", "echo new >d/new; echo more >>d/x"},
    {"removed files and directories", "rm g d/x; rm -r e; rmdir empty"},
    {"modes, owners and times", "chmod 600 f; chmod 700 d/sub; touch -d 2020-01-01 big; chown 7:8 g; chmod 4755 g"},
    {"a directory removed and made again", "rm -r d; mkdir d; echo only >d/only; setfattr -n user.kind -v again d"},
    {"types that change", "rm f; mkdir f; echo in >f/in; rm -r e; echo file >e; rm s; mkfifo s"},
    {"files moved and swapped", "mv d/x e/x; mv big d/sub/big; mv g t; mv zero g; mv t zero; mv -f e/p d/sub/y"},
    {"hard links", "ln big d/big2; ln d/sub/y y2; rm hl; ln big e/big3; ln -f zero d/hl2"},
    {"a link of many broken by a write", "echo broken >>hl"},
    {"symlinks and special files", "ln -sfn other s; mknod dev c 1 3; mkfifo d/fifo2; rm fifo; ln -s /abs d/abs"},
    {"holes and large files", "truncate -s 3000000 holes; echo tail >>holes; cp big big2; truncate -s 100 sparse"},
    {"odd names", "echo 1 >\"$(printf '\\377\\001')\"; mkdir \"$(printf '%0255d' 0)\"; rm \"$(printf 'new\\nline')\""},
    {"attributes with xattrs", "setfattr -n user.new -v v big; setfattr -x user.kind f; setfattr -n user.big -v "
                               "\"$(printf '%02000d' 0)\" d/sub/y; setfattr -n user.r -v r ."},
    {"a file replaced by itself", "cp -p g t; mv t g; touch -r d d; chmod 755 d"},
    {"deep new directories", "mkdir -p n/1/2/3/4; echo 5 >n/1/2/3/4/5; mv n/1 n/one; rm -r d/sub; mkdir d/sub"},
    {"everything gone", "rm -rf -- * ; touch -d 1999-09-09 ."},
};
#define SCRIPTS (sizeof(scripts) / sizeof(scripts[0]))

#endif
