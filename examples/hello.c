/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Hello, libvrift: a tree in memory with a directory of the host mounted in it, read and written in process.
 *
 *   cc hello.c -o hello $(pkg-config --cflags --libs vrift) && ./hello /etc
 */
#include <vrift/vrift.h>

#include <stdio.h>

/* Every call answers 0 or more, or a negative Linux error number. */
static int64_t must(int64_t result, const char *what)
{
    if (result < 0)
        fprintf(stderr, "%s: %s\n", what, vrift_err_str(result));
    return result;
}

static int list(vrift_task *task, const char *path)
{
    int32_t dir = vrift_openat(task, VRIFT_AT_FDCWD, path, VRIFT_O_RDONLY | VRIFT_O_DIRECTORY, 0);
    if (must(dir, path) < 0)
        return 1;
    uint64_t buf[512]; /* records are aligned to 8 bytes */
    int64_t filled;
    while ((filled = vrift_getdents(task, dir, buf, sizeof buf, 0)) > 0)
        for (int64_t at = 0; at < filled;) {
            const struct vrift_dirent *entry = (const struct vrift_dirent *)((const char *)buf + at);
            const char *name = vrift_dirent_name(entry);
            struct vrift_stat st;
            if (vrift_statat(task, dir, name, VRIFT_AT_SYMLINK_NOFOLLOW, &st) == 0)
                printf("%06o %10llu %s\n", (unsigned)st.mode, (unsigned long long)st.size, name);
            at += entry->record_length;
        }
    vrift_close(task, dir);
    return must(filled, path) < 0;
}

int main(int argc, char **argv)
{
    const char *directory = argc > 1 ? argv[1] : ".";
    vrift_vfs *vfs = NULL;
    vrift_sb *mem = NULL, *host = NULL;
    vrift_ns *ns = NULL;
    vrift_task *task = NULL;
    char text[64];
    int64_t length = 0;
    int status = 1;

    /* An instance, two file systems, a namespace whose root is the first, and somebody to look into it: uid 0. */
    if (must(vrift_vfs_new(NULL, &vfs), "vfs") < 0 || must(vrift_mem_new(vfs, NULL, &mem), "mem") < 0 ||
        must(vrift_host_new(vfs, directory, NULL, &host), directory) < 0 ||
        must(vrift_ns_new(vfs, mem, 0, &ns), "namespace") < 0 ||
        must(vrift_task_new(ns, NULL, NULL, &task), "task") < 0)
        goto out;

    /* Mount the host's directory, read-only, in the tree that lives in memory. */
    if (must(vrift_mkdirat(task, VRIFT_AT_FDCWD, "/host", 0755), "mkdir /host") < 0 ||
        must(vrift_mount(task, VRIFT_AT_FDCWD, "/host", host, VRIFT_MOUNT_RDONLY), "mount /host") < 0)
        goto out;

    /* Write a file, and read it back through a symlink that goes in and out of the mount. */
    int32_t fd = vrift_openat(task, VRIFT_AT_FDCWD, "/greeting", VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644);
    if (must(fd, "/greeting") < 0 || must(vrift_write(task, fd, "hello, world", 12), "write") < 0 ||
        must(vrift_close(task, fd), "close") < 0 ||
        must(vrift_symlinkat(task, "host/../greeting", VRIFT_AT_FDCWD, "/link"), "symlink") < 0)
        goto out;
    fd = vrift_openat(task, VRIFT_AT_FDCWD, "/link", VRIFT_O_RDONLY, 0);
    if (must(fd, "/link") < 0 || (length = must(vrift_read(task, fd, text, sizeof text), "read")) < 0)
        goto out;
    printf("%.*s\n", (int)length, text);

    /* What must not work does not: the mount is read-only. */
    int32_t refused = vrift_mkdirat(task, VRIFT_AT_FDCWD, "/host/new", 0755);
    printf("mkdir /host/new: %s\n", vrift_err_name(refused));

    status = list(task, "/") | list(task, "/host") | (refused != -VRIFT_EROFS);
out:
    vrift_task_free(task);
    vrift_ns_unref(ns);
    vrift_sb_unref(host);
    vrift_sb_unref(mem);
    vrift_vfs_free(vfs);
    return status;
}
