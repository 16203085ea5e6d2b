/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A workspace in process: store a tree, change it without touching the original, commit, read a file's digest.
 *
 *   cc workspace.c -o workspace $(pkg-config --cflags --libs vrift) && ./workspace DIRECTORY
 *
 * Makes DIRECTORY/tree with one file, and DIRECTORY/store.
 */
#include <vrift/vrift.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Calls that work on many files say more than a number. */
static int failed(int32_t error, const char *what)
{
    struct vrift_error_detail detail;
    if (error >= 0)
        return 0;
    vrift_error_detail(&detail);
    fprintf(stderr, "%s: %s %s: %s %s\n", what, detail.operation, detail.path, vrift_err_str(error), detail.reason);
    return 1;
}

static int32_t show(const struct vrift_change *change, void *payload)
{
    static const char letters[] = "?ADMmT";
    (void)payload;
    printf("  %c %s\n", letters[change->kind <= VRIFT_CHANGE_TYPE ? change->kind : 0], change->path);
    return 0;
}

/* Changes the workspace through a file system of its own: the base stays as it is. */
static int change(vrift_workspace *workspace)
{
    vrift_vfs *vfs = NULL;
    vrift_sb *sb = NULL;
    vrift_ns *ns = NULL;
    vrift_task *task = NULL;
    int status = failed(vrift_vfs_new(NULL, &vfs), "vfs") || failed(vrift_workspace_sb(workspace, vfs, &sb), "open") ||
                 failed(vrift_ns_new(vfs, sb, 0, &ns), "namespace") ||
                 failed(vrift_task_new(ns, NULL, NULL, &task), "task");
    if (!status) {
        int32_t fd = vrift_openat(task, VRIFT_AT_FDCWD, "/notes.txt", VRIFT_O_WRONLY | VRIFT_O_APPEND, 0);
        status = failed(fd, "notes.txt") || vrift_write(task, fd, "second line\n", 12) != 12 ||
                 failed(vrift_close(task, fd), "close") ||
                 failed(vrift_mkdirat(task, VRIFT_AT_FDCWD, "/new", 0755), "mkdir");
    }
    vrift_task_free(task);
    vrift_ns_unref(ns);
    vrift_sb_unref(sb);
    vrift_vfs_free(vfs);
    return status;
}

int main(int argc, char **argv)
{
    const char *directory = argc > 1 ? argv[1] : ".";
    char tree[4096], file[4200], store_path[4096], hex[65];
    snprintf(tree, sizeof tree, "%s/tree", directory);
    snprintf(file, sizeof file, "%s/notes.txt", tree);
    snprintf(store_path, sizeof store_path, "%s/store", directory);
    mkdir(tree, 0755);
    FILE *notes = fopen(file, "w");
    if (!notes || fputs("first line\n", notes) < 0 || fclose(notes))
        return 1;

    struct vrift_store_options create;
    memset(&create, 0, sizeof create);
    create.size = sizeof create;
    create.flags = VRIFT_STORE_CREATE;
    vrift_store *store = NULL;
    vrift_workspace *workspace = NULL;
    vrift_snapshot *after = NULL;
    struct vrift_import_result imported, committed;
    struct vrift_stat st;
    uint64_t entry;
    int status = 1;

    /* A snapshot of the tree, and a workspace that starts from it. */
    if (failed(vrift_store_open(store_path, &create, &store), "store") ||
        failed(vrift_import(store, tree, NULL, &imported), "import") ||
        failed(vrift_workspace_create(store, "draft", &imported.snapshot, 0, &workspace), "workspace") ||
        change(workspace))
        goto out;
    printf("changed:\n");
    if (failed(vrift_workspace_status(workspace, 0, show, NULL), "status") ||
        failed(vrift_workspace_commit(workspace, NULL, &committed), "commit"))
        goto out;
    vrift_digest_format(&committed.snapshot, hex);
    printf("committed %s\n", hex);

    /* The content's digest is an attribute: nothing is read, nothing is hashed. */
    if (failed(vrift_snapshot_open(store, &committed.snapshot, &after), "snapshot") ||
        failed(vrift_snapshot_walk(after, "notes.txt", &entry), "walk") ||
        failed(vrift_snapshot_stat(after, entry, &st), "stat") || !(st.mask & VRIFT_STAT_DIGEST))
        goto out;
    printf("notes.txt: %llu bytes, digest %02x%02x%02x%02x...\n", (unsigned long long)st.size, st.digest[0],
           st.digest[1], st.digest[2], st.digest[3]);
    status = st.size != 23;
out:
    vrift_snapshot_unref(after);
    vrift_workspace_close(workspace);
    vrift_store_close(store);
    return status;
}
