/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Questions 146 to 183: mounts, openat2, read-only mounts. One after another, each needs what the last one left. */
#include "oracle/oracle.h"

#define ASK(number, question, result) oracle_note(o, (number), (question), "%s", oracle_word(result))

static uint64_t ino_in_listing(struct oracle *o, const char *name)
{
    struct oracle_entry entries[64];
    uint64_t found = 0;
    int64_t fd = o->calls->openat(o->self, AT, ".", VRIFT_O_RDONLY, 0);
    int64_t got = o->calls->getdents(o->self, (int)fd, 8192, entries, 64);
    for (int64_t i = 0; i < got; i++)
        if (!strcmp(entries[i].name, name))
            found = entries[i].ino;
    o->calls->close(o->self, (int)fd);
    return found;
}

static struct vrift_stat stat_of(struct oracle *o, const char *path)
{
    struct vrift_stat attr = {.ino = 0};
    o->calls->statat(o->self, AT, path, 0, &attr);
    return attr;
}

static void mountpoints(struct oracle *o)
{
    oracle_fresh(o);
    oracle_mkdir(o, "m");
    oracle_mkdir(o, "m2");
    o->calls->mount(o->self, "m");
    oracle_touch(o, "m/in", "");
    ASK(146, "rmdir(mountpoint)", oracle_rmdir(o, "m"));
    ASK(147, "rename(mountpoint,x)", oracle_rename(o, "m", "x", 0));
    ASK(148, "rename(m2,mountpoint)", oracle_rename(o, "m2", "m", 0));
    ASK(149, "rename across mounts", oracle_rename(o, "m/in", "in", 0));
    ASK(150, "link across mounts", o->calls->linkat(o->self, AT, "m/in", "in", 0));
    oracle_touch(o, "fm", "");
    oracle_touch(o, "fsrc", "S");
    o->calls->bind(o->self, "fsrc", "fm");
    ASK(151, "unlink(file bind mountpoint)", oracle_unlink(o, "fm"));
    oracle_touch(o, "q", "");
    ASK(152, "rename over file mountpoint", oracle_rename(o, "q", "fm", 0));
    o->calls->chdir(o->self, "m");
    ASK(153, "umount busy (cwd inside)", o->calls->umount(o->self, "/base/m", 0));
    o->calls->chdir(o->self, "..");
    struct vrift_stat here = stat_of(o, ".");
    struct vrift_stat up = stat_of(o, "m/..");
    struct vrift_stat m = stat_of(o, "m");
    oracle_note(o, 154, "\"m/..\" crosses to parent", "%s", oracle_truth(here.ino == up.ino && here.dev == up.dev));
    oracle_note(o, 155, "m st_dev differs from parent; d_ino of \"m\" in readdir != st_ino", "(%s, %s)",
                oracle_truth(m.dev != here.dev), oracle_truth(ino_in_listing(o, "m") != m.ino));
}

static void bind_mounts(struct oracle *o)
{
    struct vrift_stat attr;
    oracle_mkdir(o, "bsrc");
    oracle_mkdir(o, "bsrc/k");
    oracle_mkdir(o, "bsrc/k/j");
    oracle_mkdir(o, "b1");
    o->calls->bind(o->self, "bsrc", "b1");
    oracle_touch(o, "bsrc/f", "");
    ASK(156, "rename between two bind mounts of same fs", oracle_rename(o, "bsrc/f", "b1/g", 0));
    ASK(157, "link between bind mounts same fs", o->calls->linkat(o->self, AT, "bsrc/f", "b1/g", 0));
    int64_t fd = o->calls->openat(o->self, AT, "b1/k/j", VRIFT_O_RDONLY, 0);
    oracle_mkdir(o, "outside");
    oracle_rename(o, "bsrc/k/j", "outside/j", 0);
    ASK(158, "\"..\" from dir renamed out of bind root (path_connected)",
        o->calls->statat(o->self, (int)fd, "..", 0, &attr));
    o->calls->close(o->self, (int)fd);
}

static int64_t resolve(struct oracle *o, int64_t dir, const char *path, uint64_t flags, uint64_t mode, uint64_t how)
{
    int64_t fd = o->calls->openat2(o->self, (int)dir, path, flags, mode, how);
    if (fd >= 0)
        o->calls->close(o->self, (int)fd);
    return fd;
}

static void openat2_questions(struct oracle *o)
{
    const uint64_t create = VRIFT_O_CREAT | VRIFT_O_WRONLY;
    int64_t d = o->calls->openat(o->self, AT, ".", VRIFT_O_PATH, 0);
    ASK(159, "openat2 NO_XDEV into m", resolve(o, d, "m/in", 0, 0, VRIFT_RESOLVE_NO_XDEV));
    ASK(160, "openat2 BENEATH \"..\"", resolve(o, d, "..", 0, 0, VRIFT_RESOLVE_BENEATH));
    ASK(161, "openat2 BENEATH \"m/../fsrc\"", resolve(o, d, "m/../fsrc", 0, 0, VRIFT_RESOLVE_BENEATH));
    ASK(162, "openat2 BENEATH \"/x\"", resolve(o, d, "/fsrc", 0, 0, VRIFT_RESOLVE_BENEATH));
    ASK(163, "openat2 IN_ROOT \"/fsrc\"", resolve(o, d, "/fsrc", 0, 0, VRIFT_RESOLVE_IN_ROOT));
    ASK(164, "openat2 IN_ROOT \"../../../fsrc\"", resolve(o, d, "../../../fsrc", 0, 0, VRIFT_RESOLVE_IN_ROOT));
    o->calls->symlinkat(o->self, "/fsrc", "abs");
    ASK(165, "openat2 IN_ROOT abs symlink", resolve(o, d, "abs", 0, 0, VRIFT_RESOLVE_IN_ROOT));
    ASK(166, "openat2 BENEATH abs symlink", resolve(o, d, "abs", 0, 0, VRIFT_RESOLVE_BENEATH));
    ASK(167, "openat2 NO_SYMLINKS final symlink", resolve(o, d, "abs", 0, 0, VRIFT_RESOLVE_NO_SYMLINKS));
    ASK(168, "openat2 NO_SYMLINKS final + O_PATH|O_NOFOLLOW",
        resolve(o, d, "abs", VRIFT_O_PATH | VRIFT_O_NOFOLLOW, 0, VRIFT_RESOLVE_NO_SYMLINKS));
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", (int)d);
    ASK(169, "openat2 NO_MAGICLINKS /proc/self/fd/N",
        resolve(o, AT, link, VRIFT_O_PATH, 0, VRIFT_RESOLVE_NO_MAGICLINKS));
    ASK(170, "openat2 BENEATH|IN_ROOT", resolve(o, d, "fsrc", 0, 0, VRIFT_RESOLVE_BENEATH | VRIFT_RESOLVE_IN_ROOT));
    ASK(171, "openat2 O_CREAT|CACHED", resolve(o, d, "cc", create, 0600, VRIFT_RESOLVE_CACHED));
    ASK(172, "openat2 CACHED on warm", resolve(o, d, "fsrc", 0, 0, VRIFT_RESOLVE_CACHED));
    ASK(173, "openat2 mode bits >07777", resolve(o, d, "c2", create, 0200000, 0));
    ASK(174, "openat2 mode without O_CREAT", resolve(o, d, "fsrc", 0, 0600, 0));
    ASK(175, "openat2 unknown resolve bit", resolve(o, d, "fsrc", 0, 0, 64));
    o->calls->close(o->self, (int)d);
}

static void read_only(struct oracle *o)
{
    static const char *const points[] = {"m2", "b1", "fm", "m"};
    o->calls->bind(o->self, "bsrc", "m2");
    o->calls->make_read_only(o->self, "m2");
    oracle_touch(o, "bsrc/ro", "");
    ASK(176, "ro bind: O_CREAT|O_EXCL existing",
        oracle_open_close(o, "m2/ro", VRIFT_O_CREAT | VRIFT_O_EXCL | VRIFT_O_WRONLY, 0644));
    ASK(177, "ro: mkdir existing", oracle_mkdir(o, "m2/ro"));
    ASK(178, "ro: mkdir new", oracle_mkdir(o, "m2/new"));
    ASK(179, "ro: O_CREAT existing RDONLY", oracle_open_close(o, "m2/ro", VRIFT_O_CREAT, 0644));
    ASK(180, "ro: open WRONLY", oracle_open_close(o, "m2/ro", VRIFT_O_WRONLY, 0644));
    ASK(181, "ro: unlink missing", oracle_unlink(o, "m2/none"));
    ASK(182, "ro: rename missing", oracle_rename(o, "m2/none", "m2/x", 0));
    ASK(183, "ro: O_TRUNC|O_RDONLY", oracle_open_close(o, "m2/ro", VRIFT_O_TRUNC, 0644));
    for (int i = 0; i < 4; i++)
        o->calls->umount(o->self, points[i], VRIFT_UMOUNT_DETACH);
}

void oracle_mount_questions(struct oracle *o)
{
    mountpoints(o);
    bind_mounts(o);
    openat2_questions(o);
    read_only(o);
}
