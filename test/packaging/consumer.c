/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A program that knows the installed package only: makes a file in memory and reads it back. */
#include <vrift/vrift.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    vrift_vfs *vfs = NULL;
    vrift_sb *sb = NULL;
    vrift_ns *ns = NULL;
    vrift_task *task = NULL;
    char text[8] = "";
    if (vrift_vfs_new(NULL, &vfs) || vrift_mem_new(vfs, NULL, &sb) || vrift_ns_new(vfs, sb, 0, &ns) ||
        vrift_task_new(ns, NULL, NULL, &task))
        return 1;
    int32_t fd = vrift_openat(task, VRIFT_AT_FDCWD, "/f", VRIFT_O_CREAT | VRIFT_O_RDWR, 0644);
    if (fd < 0 || vrift_write(task, fd, "hello", 5) != 5 || vrift_pread(task, fd, text, sizeof text, 0) != 5)
        return 1;
    vrift_task_free(task);
    vrift_ns_unref(ns);
    vrift_sb_unref(sb);
    vrift_vfs_free(vfs);
    printf("%s from %s\n", text, vrift_version_string());
    return strcmp(text, "hello") != 0 || vrift_version() != VRIFT_VERSION_NUMBER;
}
