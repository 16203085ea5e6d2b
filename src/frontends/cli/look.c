/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "cli/look.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <vrift/error.h>

const char *vr_look_type(uint32_t mode)
{
    switch (mode & VRIFT_S_IFMT) {
    case VRIFT_S_IFREG:
        return "file";
    case VRIFT_S_IFDIR:
        return "directory";
    case VRIFT_S_IFLNK:
        return "symlink";
    case VRIFT_S_IFIFO:
        return "fifo";
    case VRIFT_S_IFSOCK:
        return "socket";
    case VRIFT_S_IFCHR:
        return "character device";
    case VRIFT_S_IFBLK:
        return "block device";
    default:
        return "unknown";
    }
}

static char type_letter(uint32_t mode)
{
    switch (mode & VRIFT_S_IFMT) {
    case VRIFT_S_IFREG:
        return '-';
    case VRIFT_S_IFDIR:
        return 'd';
    case VRIFT_S_IFLNK:
        return 'l';
    case VRIFT_S_IFIFO:
        return 'p';
    case VRIFT_S_IFSOCK:
        return 's';
    case VRIFT_S_IFCHR:
        return 'c';
    case VRIFT_S_IFBLK:
        return 'b';
    default:
        return '?';
    }
}

const char *vr_look_mode(uint32_t mode, char buf[11])
{
    static const char letters[] = "rwxrwxrwx";
    buf[0] = type_letter(mode);
    for (int i = 0; i < 9; i++)
        buf[1 + i] = mode & (0400u >> i) ? letters[i] : '-';
    if (mode & VRIFT_S_ISUID)
        buf[3] = buf[3] == 'x' ? 's' : 'S';
    if (mode & VRIFT_S_ISGID)
        buf[6] = buf[6] == 'x' ? 's' : 'S';
    if (mode & VRIFT_S_ISVTX)
        buf[9] = buf[9] == 'x' ? 't' : 'T';
    buf[10] = '\0';
    return buf;
}

const char *vr_look_time(const struct vrift_timespec *time, char buf[64])
{
    struct tm parts;
    time_t seconds = (time_t)time->sec;
    char date[40];
    if (seconds == time->sec && gmtime_r(&seconds, &parts) && strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts))
        snprintf(buf, 64, "%s.%09u", date, time->nsec);
    else
        snprintf(buf, 64, "@%lld.%09u", (long long)time->sec, time->nsec);
    return buf;
}

const char *vr_look_rungs(const struct vrift_rungs *rungs, char buf[512])
{
    const struct {
        uint64_t count;
        const char *done;
    } served[] = {
        {rungs->hardlink, "hard-linked"},
        {rungs->clone, "cloned"},
        {rungs->kernel_copy, "copied by the kernel"},
        {rungs->copy, "copied"},
    };
    const struct {
        int32_t error;
        const char *rung;
    } stopped[] = {
        {rungs->hardlink_error, "hard link"},
        {rungs->clone_error, "clone"},
        {rungs->kernel_copy_error, "kernel copy"},
    };
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < sizeof served / sizeof served[0]; i++)
        if (served[i].count)
            used += (size_t)snprintf(buf + used, 512 - used, "%s%llu %s", used ? ", " : "",
                                     (unsigned long long)served[i].count, served[i].done);
    if (used == 0)
        used = (size_t)snprintf(buf, 512, "nothing to copy");
    bool first = true;
    for (size_t i = 0; i < sizeof stopped / sizeof stopped[0]; i++) {
        if (!stopped[i].error)
            continue;
        used += (size_t)snprintf(buf + used, 512 - used, "%s%s: %s", first ? " (" : "; ", stopped[i].rung,
                                 vrift_err_str(stopped[i].error));
        first = false;
    }
    if (!first)
        snprintf(buf + used, 512 - used, ")");
    return buf;
}
