/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * An overlay of two file systems in memory: one below that stays as it is, one above that takes the changes. The
 * upper's format is the kernel's: over a host directory, the kernel's overlayfs could go on where this stops.
 *
 *   cc overlay.c -o overlay $(pkg-config --cflags --libs vrift) && ./overlay
 */
#include <vrift/vrift.h>

#include <stdio.h>
#include <string.h>

static int32_t put(vrift_task *task, const char *path, const char *text)
{
    int32_t fd = vrift_openat(task, VRIFT_AT_FDCWD, path, VRIFT_O_CREAT | VRIFT_O_TRUNC | VRIFT_O_WRONLY, 0644);
    if (fd < 0)
        return fd;
    int64_t written = vrift_write(task, fd, text, strlen(text));
    vrift_close(task, fd);
    return written < 0 ? (int32_t)written : 0;
}

static void show(vrift_task *task, const char *path)
{
    char text[64];
    int64_t length = 0;
    int32_t fd = vrift_openat(task, VRIFT_AT_FDCWD, path, VRIFT_O_RDONLY, 0);
    if (fd >= 0) {
        length = vrift_read(task, fd, text, sizeof text);
        vrift_close(task, fd);
    }
    if (fd < 0 || length < 0)
        printf("  %-12s %s\n", path, vrift_err_name(fd < 0 ? fd : length));
    else
        printf("  %-12s \"%.*s\"\n", path, (int)length, text);
}

/* A task that sees one file system as its root. */
static vrift_task *look_into(vrift_vfs *vfs, vrift_sb *sb)
{
    vrift_ns *ns = NULL;
    vrift_task *task = NULL;
    if (vrift_ns_new(vfs, sb, 0, &ns) == 0)
        vrift_task_new(ns, NULL, NULL, &task);
    vrift_ns_unref(ns); /* the task keeps it */
    return task;
}

int main(void)
{
    static const char *const names[] = {"/kept", "/edited", "/gone", "/added"};
    vrift_vfs *vfs = NULL;
    vrift_sb *lower = NULL, *upper = NULL, *merged = NULL;
    if (vrift_vfs_new(NULL, &vfs) || vrift_mem_new(vfs, NULL, &lower) || vrift_mem_new(vfs, NULL, &upper))
        return 1;
    vrift_task *below = look_into(vfs, lower), *above = look_into(vfs, upper), *task = NULL;
    int status = 1;

    /* Fill the lower layer; the upper needs a directory for changes and one for work in progress. */
    if (!below || !above || put(below, "/kept", "from below") || put(below, "/edited", "from below") ||
        put(below, "/gone", "from below") || vrift_mkdirat(above, VRIFT_AT_FDCWD, "/upper", 0755) ||
        vrift_mkdirat(above, VRIFT_AT_FDCWD, "/work", 0755))
        goto out;

    struct vrift_overlay_layer lower_layer = {lower, NULL}, upper_layer = {upper, "/upper"};
    struct vrift_overlay_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.lower = &lower_layer;
    options.lower_count = 1;
    options.upper = &upper_layer;
    options.work = "/work";
    int32_t error = vrift_overlay_new(vfs, &options, &merged);
    if (error) {
        fprintf(stderr, "overlay: %s\n", vrift_err_str(error));
        goto out;
    }
    task = look_into(vfs, merged);
    if (!task || put(task, "/edited", "changed") || put(task, "/added", "new") ||
        vrift_unlinkat(task, VRIFT_AT_FDCWD, "/gone", 0))
        goto out;

    printf("merged:\n");
    for (size_t i = 0; i < 4; i++)
        show(task, names[i]);
    printf("lower, untouched:\n");
    for (size_t i = 0; i < 4; i++)
        show(below, names[i]);

    /* What was removed is a whiteout in the upper: a character device 0:0. */
    struct vrift_stat st;
    if (vrift_statat(above, VRIFT_AT_FDCWD, "/upper/gone", VRIFT_AT_SYMLINK_NOFOLLOW, &st))
        goto out;
    status = (st.mode & VRIFT_S_IFMT) != VRIFT_S_IFCHR || st.rdev != VRIFT_MKDEV(0, 0);
    printf("upper/gone is %s\n", status ? "no whiteout" : "a whiteout");
out:
    vrift_task_free(task);
    vrift_task_free(above);
    vrift_task_free(below);
    vrift_sb_unref(merged);
    vrift_sb_unref(upper);
    vrift_sb_unref(lower);
    vrift_vfs_free(vfs);
    return status;
}
