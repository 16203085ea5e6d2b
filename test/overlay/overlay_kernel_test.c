/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The overlay against the kernel's overlayfs: the same commands run on both, over equal layers, and every answer, the
 * merged view and what lies in the upper afterwards must be the same. Then each side opens the other's upper.
 */
#include "support/check.h"

#include <vrift/backends.h>
#include <vrift/file.h>
#include <vrift/fs.h>
#include <vrift/task.h>
#include <vrift/vfs.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OPTIONS  "redirect_dir=off,index=off,metacopy=off"
#define HANDLES  4
#define LONG_AGO 1000000000 /* times before are the layers' own, later ones the test's */

/* -- Two ways to a tree ------------------------------------------------------------------------------------------- */

struct text {
    char *data;
    size_t length;
};

static void put(struct text *text, const char *format, ...)
{
    char line[9000];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    text->data = realloc(text->data, text->length + (size_t)length + 1);
    memcpy(text->data + text->length, line, (size_t)length + 1);
    text->length += (size_t)length;
}

/* task NULL: the kernel, in the directory of the descriptor. */
struct driver {
    vrift_task *task;
    int dir;
    int64_t handles[HANDLES];
    bool cached; /* a cached directory may show the link count of before its copy-up */
};

static int64_t host(int64_t result)
{
    return result < 0 ? vrift_err_from_host_errno(errno) : result;
}

#define EITHER(driver, ours, kernel) ((driver)->task ? (int64_t)(ours) : host(kernel))

static int64_t open_path(struct driver *d, const char *path, uint64_t flags, uint32_t mode)
{
    return EITHER(d, vrift_openat(d->task, VRIFT_AT_FDCWD, path, flags, mode), openat(d->dir, path, (int)flags, mode));
}

static int64_t close_fd(struct driver *d, int64_t fd)
{
    return EITHER(d, vrift_close(d->task, (int32_t)fd), close((int)fd));
}

static int64_t read_fd(struct driver *d, int64_t fd, char *buf, size_t len)
{
    return EITHER(d, vrift_pread(d->task, (int32_t)fd, buf, len, 0), pread((int)fd, buf, len, 0));
}

static int64_t write_path(struct driver *d, const char *path, uint64_t flags, const char *value)
{
    int64_t fd = open_path(d, path, flags | O_NONBLOCK, 0644);
    if (fd < 0) {
        return fd;
    }
    int64_t result =
        EITHER(d, vrift_write(d->task, (int32_t)fd, value, strlen(value)), write((int)fd, value, strlen(value)));
    close_fd(d, fd);
    return result;
}

struct shown {
    uint64_t ino, size;
    uint32_t mode, nlink, uid, gid;
    int64_t mtime;
};

static int64_t show(struct driver *d, int64_t fd, const char *path, struct shown *out)
{
    struct vrift_stat v;
    struct stat k;
    int64_t result;
    if (d->task) {
        result = vrift_statat(d->task, fd < 0 ? VRIFT_AT_FDCWD : (int32_t)fd, path,
                              VRIFT_AT_SYMLINK_NOFOLLOW | VRIFT_AT_EMPTY_PATH, &v);
        if (result == 0) {
            *out = (struct shown){v.ino, v.size, v.mode, v.nlink, v.uid, v.gid, v.mtime.sec};
        }
        return result;
    }
    result = host(fstatat(fd < 0 ? d->dir : (int)fd, path, &k, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH));
    if (result == 0) {
        *out = (struct shown){k.st_ino, (uint64_t)k.st_size, k.st_mode, (uint32_t)k.st_nlink, k.st_uid,
                              k.st_gid, k.st_mtim.tv_sec};
    }
    return result;
}

struct name {
    char bytes[256];
    uint64_t ino;
    uint32_t type;
};

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->bytes, ((const struct name *)b)->bytes);
}

static int64_t list_vrift(struct driver *d, const char *path, struct name *names)
{
    uint64_t buffer[512];
    int32_t count = 0;
    int32_t fd = vrift_openat(d->task, VRIFT_AT_FDCWD, path, VRIFT_O_RDONLY | VRIFT_O_DIRECTORY, 0);
    if (fd < 0) {
        return fd;
    }
    int64_t got;
    while ((got = vrift_getdents(d->task, fd, buffer, sizeof(buffer), 0)) > 0) {
        for (int64_t at = 0; at < got;) {
            const struct vrift_dirent *entry = (const void *)((char *)buffer + at);
            snprintf(names[count].bytes, 256, "%s", vrift_dirent_name(entry));
            names[count].ino = entry->ino;
            names[count++].type = entry->type;
            at += entry->record_length;
        }
    }
    vrift_close(d->task, fd);
    return got < 0 ? got : count;
}

static int64_t list_kernel(struct driver *d, const char *path, struct name *names)
{
    int fd = openat(d->dir, path, O_RDONLY | O_DIRECTORY);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        return host(-1);
    }
    int count = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        snprintf(names[count].bytes, 256, "%s", entry->d_name);
        names[count].ino = entry->d_ino;
        names[count++].type = entry->d_type;
    }
    closedir(dir);
    return count;
}

/* The names in a directory, sorted. */
static int64_t list(struct driver *d, const char *path, struct name *names)
{
    int64_t count = d->task ? list_vrift(d, path, names) : list_kernel(d, path, names);
    if (count > 0) {
        qsort(names, (size_t)count, sizeof(*names), compare_names);
    }
    return count;
}

/* -- Commands ------------------------------------------------------------------------------------------------------ */

static const char *word(int64_t result)
{
    return result < 0 ? vrift_err_name(result) : "ok";
}

static void put_shown(struct text *out, const struct shown *shown, bool cached)
{
    bool directory = S_ISDIR(shown->mode);
    put(out, "%o %u %u:%u", shown->mode, directory && cached ? 0 : shown->nlink, shown->uid, shown->gid);
    if (!directory) {
        put(out, " %llu", (unsigned long long)shown->size);
    }
    if (shown->mtime < LONG_AGO) {
        put(out, " %lld", (long long)shown->mtime);
    } else {
        put(out, " now");
    }
}

static void command_read(struct driver *d, int64_t fd, struct text *out)
{
    char buffer[4096];
    int64_t got = fd < 0 ? fd : read_fd(d, fd, buffer, sizeof(buffer));
    if (got < 0) {
        put(out, "%s", word(got));
    } else {
        put(out, "'%.*s'", (int)got, buffer);
    }
}

/* A fifo that nobody writes to is at its end. */
static void command_read_path(struct driver *d, const char *path, struct text *out)
{
    int64_t fd = open_path(d, path, O_RDONLY | O_NONBLOCK, 0);
    command_read(d, fd, out);
    if (fd >= 0) {
        close_fd(d, fd);
    }
}

static void command_list(struct driver *d, const char *path, struct text *out)
{
    struct name *names = calloc(1000, sizeof(*names));
    int64_t count = list(d, path, names);
    if (count < 0) {
        put(out, "%s", word(count));
    }
    for (int64_t i = 0; i < count; i++) {
        put(out, "%s:%u ", names[i].bytes, names[i].type);
    }
    free(names);
}

/* d_ino is st_ino, of every entry. */
static void command_inos(struct driver *d, const char *path, struct text *out)
{
    struct name *names = calloc(1000, sizeof(*names));
    int64_t count = list(d, path, names);
    for (int64_t i = 0; i < count; i++) {
        char full[4096];
        struct shown shown;
        if (names[i].bytes[0] == '.') {
            continue;
        }
        snprintf(full, sizeof(full), "%s/%s", path, names[i].bytes);
        if (show(d, -1, full, &shown) == 0 && shown.ino != names[i].ino) {
            put(out, "%s differs ", names[i].bytes);
        }
    }
    put(out, "ok");
    free(names);
}

static void command_stat(struct driver *d, int64_t fd, const char *path, struct text *out)
{
    struct shown shown;
    int64_t result = show(d, fd, path, &shown);
    if (result < 0) {
        put(out, "%s", word(result));
    } else {
        put_shown(out, &shown, d->cached);
    }
}

static void command_same(struct driver *d, const char *a, const char *b, struct text *out)
{
    struct shown x, y;
    int64_t result = show(d, -1, a, &x);
    result = result ? result : show(d, -1, b, &y);
    put(out, "%s", result < 0 ? word(result) : x.ino == y.ino ? "same" : "different");
}

static int64_t rename_path(struct driver *d, const char *a, const char *b, const char *flag)
{
    uint64_t flags = !flag                            ? 0
                     : strcmp(flag, "noreplace") == 0 ? VRIFT_RENAME_NOREPLACE
                     : strcmp(flag, "exchange") == 0  ? VRIFT_RENAME_EXCHANGE
                                                      : VRIFT_RENAME_WHITEOUT;
    return EITHER(d, vrift_renameat2(d->task, VRIFT_AT_FDCWD, a, VRIFT_AT_FDCWD, b, flags),
                  syscall(SYS_renameat2, d->dir, a, d->dir, b, (unsigned)flags));
}

static int64_t with_fd(struct driver *d, const char *path, const char *what, const char *key, const char *value,
                       char *buffer, size_t size)
{
    const uint64_t follow = VRIFT_AT_SYMLINK_NOFOLLOW;
    int64_t fd = d->task ? 0 : open_path(d, path, O_RDONLY | O_NONBLOCK, 0), result;
    if (fd < 0) {
        return fd;
    }
    if (strcmp(what, "setx") == 0) {
        result = EITHER(d, vrift_setxattrat(d->task, VRIFT_AT_FDCWD, path, key, value, strlen(value), follow),
                        fsetxattr((int)fd, key, value, strlen(value), 0));
    } else if (strcmp(what, "getx") == 0) {
        result = EITHER(d, vrift_getxattrat(d->task, VRIFT_AT_FDCWD, path, key, buffer, size, follow),
                        fgetxattr((int)fd, key, buffer, size));
    } else if (strcmp(what, "rmx") == 0) {
        result = EITHER(d, vrift_removexattrat(d->task, VRIFT_AT_FDCWD, path, key, follow), fremovexattr((int)fd, key));
    } else {
        result = EITHER(d, vrift_listxattrat(d->task, VRIFT_AT_FDCWD, path, buffer, size, follow),
                        flistxattr((int)fd, buffer, size));
    }
    if (!d->task) {
        close((int)fd);
    }
    return result;
}

static void command_xattr(struct driver *d, const char *what, const char *path, const char *key, const char *value,
                          struct text *out)
{
    char buffer[1024] = "";
    int64_t result = with_fd(d, path, what, key, value, buffer, sizeof(buffer));
    if (result < 0 || strcmp(what, "setx") == 0 || strcmp(what, "rmx") == 0) {
        put(out, "%s", word(result));
        return;
    }
    for (int64_t i = 0; i + 1 < result; i++) {
        buffer[i] = buffer[i] ? buffer[i] : ' ';
    }
    put(out, "'%.*s'", (int)result, buffer);
}

static void command_link(struct driver *d, const char *path, struct text *out)
{
    char buffer[4096];
    int64_t result = EITHER(d, vrift_readlinkat(d->task, VRIFT_AT_FDCWD, path, buffer, sizeof(buffer)),
                            readlinkat(d->dir, path, buffer, sizeof(buffer)));
    if (result < 0) {
        put(out, "%s", word(result));
    } else {
        put(out, "%.*s", (int)result, buffer);
    }
}

static int64_t set_times(struct driver *d, const char *path, int64_t seconds)
{
    struct vrift_timespec v[2] = {{seconds, 5, 0}, {seconds, 7, 0}};
    struct timespec k[2] = {{seconds, 5}, {seconds, 7}};
    return EITHER(d, vrift_utimensat(d->task, VRIFT_AT_FDCWD, path, v, VRIFT_AT_SYMLINK_NOFOLLOW),
                  utimensat(d->dir, path, k, AT_SYMLINK_NOFOLLOW));
}

static int64_t set_size(struct driver *d, const char *path, uint64_t size)
{
    int64_t fd = open_path(d, path, O_WRONLY | O_NONBLOCK, 0);
    if (fd < 0) {
        return fd;
    }
    int64_t result = EITHER(d, vrift_ftruncate(d->task, (int32_t)fd, size), ftruncate((int)fd, (off_t)size));
    close_fd(d, fd);
    return result;
}

static int64_t make_node(struct driver *d, const char *path, uint32_t mode, unsigned minor)
{
    return EITHER(d, vrift_mknodat(d->task, VRIFT_AT_FDCWD, path, mode, minor),
                  mknodat(d->dir, path, mode, (dev_t)minor));
}

static bool is(const char *word_a, const char *word_b)
{
    return strcmp(word_a, word_b) == 0;
}

/* Commands that only succeed or fail; false if it is none of them. */
static bool simple(struct driver *d, char **w, int64_t *result)
{
    vrift_task *t = d->task;
    const int32_t cwd = VRIFT_AT_FDCWD;
    if (is(w[0], "mkdir")) {
        *result = EITHER(d, vrift_mkdirat(t, cwd, w[1], 0755), mkdirat(d->dir, w[1], 0755));
    } else if (is(w[0], "rmdir")) {
        *result = EITHER(d, vrift_unlinkat(t, cwd, w[1], VRIFT_AT_REMOVEDIR), unlinkat(d->dir, w[1], AT_REMOVEDIR));
    } else if (is(w[0], "unlink")) {
        *result = EITHER(d, vrift_unlinkat(t, cwd, w[1], 0), unlinkat(d->dir, w[1], 0));
    } else if (is(w[0], "rename")) {
        *result = rename_path(d, w[1], w[2], w[3]);
    } else if (is(w[0], "link")) {
        *result = EITHER(d, vrift_linkat(t, cwd, w[1], cwd, w[2], 0), linkat(d->dir, w[1], d->dir, w[2], 0));
    } else if (is(w[0], "symlink")) {
        *result = EITHER(d, vrift_symlinkat(t, w[1], cwd, w[2]), symlinkat(w[1], d->dir, w[2]));
    } else if (is(w[0], "mkfifo")) {
        *result = make_node(d, w[1], S_IFIFO | 0644, 0);
    } else if (is(w[0], "mkdev")) {
        *result = make_node(d, w[1], S_IFCHR | 0600, (unsigned)atoi(w[2]));
    } else if (is(w[0], "write")) {
        *result = write_path(d, w[1], O_WRONLY | O_CREAT | O_TRUNC, w[2]);
    } else if (is(w[0], "append")) {
        *result = write_path(d, w[1], O_WRONLY | O_APPEND, w[2]);
    } else if (is(w[0], "create")) {
        *result = write_path(d, w[1], O_WRONLY | O_CREAT | O_EXCL, w[2]);
    } else if (is(w[0], "chmod")) {
        *result = EITHER(d, vrift_fchmodat(t, cwd, w[1], (uint32_t)strtol(w[2], NULL, 8), 0),
                         fchmodat(d->dir, w[1], (mode_t)strtol(w[2], NULL, 8), 0));
    } else if (is(w[0], "chown")) {
        *result = EITHER(d, vrift_fchownat(t, cwd, w[1], (uint32_t)atoi(w[2]), 9, VRIFT_AT_SYMLINK_NOFOLLOW),
                         fchownat(d->dir, w[1], (uid_t)atoi(w[2]), 9, AT_SYMLINK_NOFOLLOW));
    } else if (is(w[0], "times")) {
        *result = set_times(d, w[1], atoll(w[2]));
    } else if (is(w[0], "truncate")) {
        *result = set_size(d, w[1], (uint64_t)atoll(w[2]));
    } else {
        return false;
    }
    return true;
}

static void with_handle(struct driver *d, char **w, struct text *out)
{
    int64_t *handle = &d->handles[atoi(w[1]) % HANDLES];
    if (is(w[0], "open")) {
        *handle = open_path(d, w[2], strchr(w[3], 'w') ? O_RDWR : strchr(w[3], 't') ? O_RDONLY | O_TRUNC : O_RDONLY, 0);
        put(out, "%s", word(*handle));
    } else if (is(w[0], "hread")) {
        command_read(d, *handle, out);
    } else if (is(w[0], "hstat")) {
        command_stat(d, *handle, "", out);
    } else {
        put(out, "%s", word(close_fd(d, *handle)));
        *handle = -1;
    }
}

static void run_command(struct driver *d, const char *line, struct text *out)
{
    char copy[4096], *w[6] = {NULL};
    int64_t result = 0;
    int count = 0;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *at = strtok(copy, " "); at && count < 5; at = strtok(NULL, " ")) {
        w[count++] = at;
    }
    put(out, "%s => ", line);
    if (simple(d, w, &result)) {
        put(out, "%s", word(result));
    } else if (is(w[0], "read")) {
        command_read_path(d, w[1], out);
    } else if (is(w[0], "ls")) {
        command_list(d, w[1], out);
    } else if (is(w[0], "inos")) {
        command_inos(d, w[1], out);
    } else if (is(w[0], "stat")) {
        command_stat(d, -1, w[1], out);
    } else if (is(w[0], "same")) {
        command_same(d, w[1], w[2], out);
    } else if (is(w[0], "readlink")) {
        command_link(d, w[1], out);
    } else if (strstr(w[0], "x")) {
        command_xattr(d, w[0], w[1], w[2], w[3], out);
    } else {
        with_handle(d, w, out);
    }
    put(out, "\n");
}

static void run_script(struct driver *d, const char *script, struct text *out)
{
    char *copy = strdup(script), *rest = copy;
    for (char *line; (line = strsep(&rest, "\n"));) {
        if (*line) {
            run_command(d, line, out);
        }
    }
    free(copy);
}

/* -- What is there afterwards -------------------------------------------------------------------------------------- */

static void dump_view(struct driver *d, const char *path, struct text *out)
{
    struct name *names = calloc(1000, sizeof(*names));
    int64_t count = list(d, path, names);
    for (int64_t i = 0; i < count; i++) {
        char full[4096], line[4200];
        struct shown shown;
        if (is(names[i].bytes, ".") || is(names[i].bytes, "..")) {
            continue;
        }
        snprintf(full, sizeof(full), "%s/%s", path, names[i].bytes);
        snprintf(line, sizeof(line), "stat %s", full);
        run_command(d, line, out);
        if (show(d, -1, full, &shown) == 0 && S_ISDIR(shown.mode)) {
            dump_view(d, full, out);
        } else if (S_ISREG(shown.mode)) {
            snprintf(line, sizeof(line), "read %s", full);
            run_command(d, line, out);
        }
    }
    free(names);
}

/* The upper, but for what the kernel adds for itself (origin, impure, uuid) and we do without. */
static void dump_upper(const char *upper, struct text *out)
{
    char command[8192], line[4096];
    snprintf(
        command, sizeof(command),
        "cd %s && find . -mindepth 1 -printf '%%P %%y %%#m %%U:%%G %%n %%l' -exec sh -c "
        "'[ -c \"$1\" ] || [ -d \"$1\" ] || [ -p \"$1\" ] || [ -L \"$1\" ] || cat \"$1\"; getfattr -hd -m - \"$1\" "
        "2>/dev/null | grep -v -e origin -e impure -e uuid | grep =; echo' sh {} \\; | LC_ALL=C sort",
        upper);
    FILE *pipe = popen(command, "r");
    while (fgets(line, sizeof(line), pipe)) {
        /* The kernel links whiteouts with each other and gives them no mode; neither means anything. */
        char *type = strstr(line, " c ");
        put(out, "%.*s\n", type ? (int)(type + 2 - line) : (int)strcspn(line, "\n"), line);
    }
    pclose(pipe);
}

/* -- A scene ------------------------------------------------------------------------------------------------------- */

struct scene {
    char *dir;
    char kernel[2048], ours[2048], mount[2048];
    unsigned lowers;
    bool cached;
    vrift_vfs *vfs;
    struct driver k, v;
};

static void shell(const char *dir, const char *script)
{
    pid_t child = fork();
    if (child == 0) {
        if (chdir(dir) == 0) {
            execlp("bash", "bash", "-ec", script, (char *)NULL);
        }
        _exit(127);
    }
    int status = -1;
    waitpid(child, &status, 0);
    if (status) {
        print_error("in %s: %s\n", dir, script);
    }
    assert_int_equal(status, 0);
}

static void mount_kernel(struct scene *scene, const char *layers, struct driver *d)
{
    char lower[8192] = "", options[16384];
    for (unsigned i = 0; i < scene->lowers; i++) {
        snprintf(lower + strlen(lower), sizeof(lower) - strlen(lower), "%s%s/l%u", i ? ":" : "", layers, i);
    }
    snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s/u,workdir=%s/w," OPTIONS, lower, layers, layers);
    assert_int_equal(mount("overlay", scene->mount, "overlay", 0, options), 0);
    *d = (struct driver){.dir = open(scene->mount, O_RDONLY | O_DIRECTORY), .cached = scene->cached};
}

static void unmount_kernel(struct scene *scene, struct driver *d)
{
    close(d->dir);
    assert_int_equal(umount2(scene->mount, 0), 0);
}

static void open_ours(struct scene *scene, const char *layers, uint64_t host_flags, struct driver *d)
{
    struct vrift_host_options host_options = {.size = sizeof(host_options), .flags = host_flags};
    static const char *const names[] = {"l0", "l1", "l2"};
    struct vrift_overlay_layer lower[3], upper;
    vrift_sb *sb, *overlay;
    vrift_ns *ns;
    check_ok(vrift_host_new(scene->vfs, layers, &host_options, &sb));
    for (unsigned i = 0; i < scene->lowers; i++) {
        lower[i] = (struct vrift_overlay_layer){sb, names[i]};
    }
    upper = (struct vrift_overlay_layer){sb, "u"};
    struct vrift_overlay_options options = {
        .size = sizeof(options), .lower_count = scene->lowers, .lower = lower, .upper = &upper, .work = "w"};
    check_ok(vrift_overlay_new(scene->vfs, &options, &overlay));
    check_ok(vrift_ns_new(scene->vfs, overlay, 0, &ns));
    *d = (struct driver){.dir = -1, .cached = scene->cached};
    check_ok(vrift_task_new(ns, NULL, NULL, &d->task));
    vrift_ns_unref(ns);
    vrift_sb_unref(overlay);
    vrift_sb_unref(sb);
}

static void set_scene(struct scene *scene, unsigned lowers, const char *fill, uint64_t host_flags)
{
    char make[8192];
    memset(scene, 0, sizeof(*scene));
    scene->dir = temporary_directory();
    scene->lowers = lowers;
    scene->cached = host_flags & VRIFT_HOST_EXCLUSIVE;
    snprintf(scene->kernel, sizeof(scene->kernel), "%s/k", scene->dir);
    snprintf(scene->ours, sizeof(scene->ours), "%s/v", scene->dir);
    snprintf(scene->mount, sizeof(scene->mount), "%s/m", scene->dir);
    snprintf(
        make, sizeof(make),
        "umask 022; mkdir -p m k/u k/w k/l0 k/l1; cd k; %s\nfind l0 l1 -exec touch -h -d @900000000.000000009 {} +;"
        "touch -d @900000001 u; cd ..; cp -a k v",
        fill);
    shell(scene->dir, make);
    check_ok(vrift_vfs_new(NULL, &scene->vfs));
    mount_kernel(scene, scene->kernel, &scene->k);
    open_ours(scene, scene->ours, host_flags, &scene->v);
}

static void strike_scene(struct scene *scene)
{
    umount2(scene->mount, MNT_DETACH);
    vrift_task_free(scene->v.task);
    vrift_vfs_free(scene->vfs);
    remove_temporary_directory(scene->dir);
}

static void assert_same_text(struct text *kernel, struct text *ours)
{
    char *k = kernel->data ? kernel->data : strdup(""), *v = ours->data ? ours->data : strdup("");
    char *rest_k = strdup(k), *rest_v = strdup(v), *line_k, *line_v, *keep_k = rest_k, *keep_v = rest_v;
    if (strcmp(k, v) != 0) {
        do {
            line_k = strsep(&rest_k, "\n");
            line_v = strsep(&rest_v, "\n");
            if (!line_k || !line_v || strcmp(line_k, line_v) != 0) {
                print_error("kernel: %s\nours:   %s\n", line_k ? line_k : "(end)", line_v ? line_v : "(end)");
            }
        } while (line_k && line_v);
    }
    bool same = strcmp(k, v) == 0;
    free(keep_k);
    free(keep_v);
    free(k);
    free(v);
    *kernel = *ours = (struct text){NULL, 0};
    assert_true(same);
}

/* Compares the merged views, then the uppers, then what each side makes of the other's layers. */
static void compare_scene(struct scene *scene, uint64_t host_flags)
{
    struct text k = {0}, v = {0};
    char upper[4096];
    dump_view(&scene->k, ".", &k);
    dump_view(&scene->v, ".", &v);
    assert_same_text(&k, &v);
    unmount_kernel(scene, &scene->k);
    vrift_task_free(scene->v.task);
    scene->v.task = NULL;
    snprintf(upper, sizeof(upper), "%s/u", scene->kernel);
    dump_upper(upper, &k);
    snprintf(upper, sizeof(upper), "%s/u", scene->ours);
    dump_upper(upper, &v);
    assert_same_text(&k, &v);

    struct driver across;
    char left[4096];
    snprintf(left, sizeof(left), "[ -z \"$(ls -A %s/w)\" ]", scene->ours);
    shell("/", left); /* nothing of ours stays in work */
    mount_kernel(scene, scene->ours, &across);
    dump_view(&across, ".", &k);
    unmount_kernel(scene, &across);
    open_ours(scene, scene->ours, host_flags, &across);
    dump_view(&across, ".", &v);
    vrift_task_free(across.task);
    assert_same_text(&k, &v);
    open_ours(scene, scene->kernel, host_flags, &across);
    dump_view(&across, ".", &v);
    vrift_task_free(across.task);
    mount_kernel(scene, scene->kernel, &across);
    dump_view(&across, ".", &k);
    unmount_kernel(scene, &across);
    assert_same_text(&k, &v);
}

static bool kernel_overlay_works(void)
{
    static int works;
    if (!works) {
        works = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0
                    ? 1
                    : -1;
    }
    return works > 0;
}

#define NEEDS_KERNEL()                                                                                                 \
    do {                                                                                                               \
        if (!kernel_overlay_works()) {                                                                                 \
            skip_because("mounting an overlay needs root");                                                            \
        }                                                                                                              \
    } while (0)

static const char one_lower[] = "mkdir -p l0/d/sub l0/empty; echo -n x >l0/d/x; echo -n lower >l0/f; ln l0/f l0/hl;"
                                "ln -s f l0/s; echo -n gg >l0/g; mkfifo l0/p; echo deep >l0/d/sub/deep;"
                                "setfattr -n user.z -v 1 l0/d; setfattr -n user.z -v 2 l0/g; chmod 4755 l0/g";

static const char two_lowers[] =
    "mkdir -p l0/d l1/d l1/o/in l0/o l1/p l0/z; echo -n a >l1/d/a; echo -n 1 >l1/f; mknod l0/f c 0 0; echo -n b "
    ">l0/d/b;"
    "setfattr -n trusted.overlay.opaque -v y l0/o; echo -n p >l0/p0; echo -n q >l1/p/q; rm -f l1/z; echo -n z >l1/z;"
    "rmdir l0/z; mkdir l0/z; rm -rf l0/p; echo -n p >l0/p; mkdir -p l0/deep/er l1/deep/er; echo 1 >l1/deep/er/one;"
    "echo 0 >l0/deep/er/zero; mknod l0/deep/er/gone c 0 0; echo g >l1/deep/er/gone";

static void play(unsigned lowers, const char *fill, const char *script, uint64_t host_flags)
{
    struct scene scene;
    struct text k = {0}, v = {0};
    set_scene(&scene, lowers, fill, host_flags);
    run_script(&scene.k, script, &k);
    run_script(&scene.v, script, &v);
    assert_same_text(&k, &v);
    compare_scene(&scene, host_flags);
    strike_scene(&scene);
}

#define SCENE(test, lowers, fill, script)                                                                              \
    static void test(void **state)                                                                                     \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        NEEDS_KERNEL();                                                                                                \
        play(lowers, fill, script, 0);                                                                                 \
        play(lowers, fill, script, VRIFT_HOST_EXCLUSIVE);                                                              \
    }

SCENE(what_nobody_touched_is_shown_as_it_lies, 1, one_lower,
      "ls .\nstat f\nstat d\nread g\nreadlink s\nsame f hl\n"
      "inos .\ninos d\nlistx d\ngetx g user.z\nls nothing")
SCENE(renames_of_directories_and_whiteouts, 1, one_lower,
      "rename d d2\nrename d d2 noreplace\nmkdir pure\nrename pure pure2\nunlink g\ncreate new 1\nunlink new\n"
      "rename f g noreplace\nstat f\nread g\nls .\nrename g f noreplace\nls .\nrename pure2 d\nrename pure2 empty\n"
      "ls .\nls empty\nrmdir empty\nmkdir empty\nls empty\nstat empty")
SCENE(hard_links_of_a_lower_layer_break_at_copy_up, 1, one_lower,
      "stat f\nsame f hl\nchmod f 600\nstat f\nstat hl\nsame f hl\nlink f f2\nsame f f2\nstat f\nunlink f\nstat f2\n"
      "link hl hl2\nstat hl\nsame hl hl2\nrename hl hl2\nls .")
SCENE(a_reader_from_before_the_copy_up_sees_new_data, 1, one_lower,
      "open 0 f r\nopen 1 f w\nwrite f UPPER\nhread 0\nhread 1\nstat f\nclose 0\nclose 1\nopen 2 g t\nstat g\nclose 2\n"
      "open 0 d/x r\nappend d/x more\nhread 0\nhstat 0\nclose 0")
SCENE(opening_for_writing_copies_up, 1, one_lower, "open 0 f w\nclose 0\nstat f\nstat hl\nstat d")
SCENE(directories_removed_and_made_again, 1, one_lower,
      "rmdir empty\nmkdir empty\nstat empty\nunlink d/x\nrmdir d\nunlink d/sub/deep\nrmdir d/sub\nls d\nrmdir d\nmkdir "
      "d\n"
      "ls d\nwrite d/x again\nls d\nrename d e\nls e\nmkdir d\nls d\nls .")
SCENE(a_directory_of_whiteouts_is_empty, 1, one_lower,
      "unlink d/x\nunlink d/sub/deep\nrmdir d/sub\nls d\nrmdir d\nwrite d file\nrename empty d\nread d\nmkdir n\n"
      "rename n empty\nls empty\nrename empty n\nls .")
SCENE(everything_can_take_the_place_of_a_whiteout, 1, one_lower,
      "unlink f\nsymlink g f\nreadlink f\nunlink f\nls .\nmkfifo f\nstat f\nunlink f\nlink g f\nsame f g\nunlink f\n"
      "mkdir f\nstat f\nrmdir f\nwrite f back\nread f\nunlink f\nrename g f\nread f\nls .\nunlink f\nmkdir nd\n"
      "rename nd f\nls .\nls f")
SCENE(renames_with_flags, 1, one_lower,
      "rename f g exchange\nread f\nread g\nrename f zz whiteout\nrename d g exchange\nrename g d exchange\nmkdir n\n"
      "write n/a 1\nrename n f exchange\nread n\nls f\nrename f nothing exchange\nrename s p exchange\nreadlink p\n"
      "ls .\nrename hl d/x\nread d/x\nls d\nrename d/x d/sub/deep\nread d/sub/deep\nls d\nls d/sub")
SCENE(devices_that_would_be_whiteouts_are_refused, 1, one_lower, "mkdev wh 0\nstat wh\nmkdev null 3\nstat null\nls .")
SCENE(copy_up_keeps_all_attributes, 1, one_lower,
      "chown g 7\nstat g\nlistx g\ngetx g user.z\nchown s 8\nstat s\nreadlink s\nchown p 5\nstat p\ntimes d/sub/deep "
      "800000000\nstat d/sub/deep\nstat d/sub\nstat d\nstat .\ngetx d user.z\nchmod d 711\nstat d\nread g")
SCENE(
    extended_attributes_of_the_overlay_are_its_own, 1, one_lower,
    "setx d user.n v\nlistx d\ngetx d user.n\nsetx d trusted.overlay.opaque y\nlistx d\ngetx d trusted.overlay.opaque\n"
    "rmx d trusted.overlay.opaque\nlistx d\ngetx d trusted.overlay.opaque\nrmx g user.none\nrmx g user.z\nlistx g\n"
    "ls d")
SCENE(truncation_and_appending, 1, one_lower,
      "truncate f 2\nread f\nstat f\ntruncate g 10\nstat g\ntruncate d/x 0\nread d/x\nappend d/sub/deep more\n"
      "read d/sub/deep\nwrite new 1\nappend new 2\nread new\ntruncate d 0\ncreate f 1\ncreate hl 1")
SCENE(two_lower_layers_merge, 2, two_lowers,
      "ls .\nstat f\nls d\nls o\nstat p\nls z\nread z\nstat d\nstat o\nstat deep/er\nls deep/er\nread deep/er/one\n"
      "stat deep/er/gone\ncreate f 1\nunlink f\nls .\nunlink d/a\nunlink d/b\nls d\nrmdir d\nmkdir d\nls d\ninos .\n"
      "create deep/er/gone new\nread deep/er/gone\nunlink deep/er/gone\nunlink deep/er/one\nls deep/er\nrename p p2\n"
      "stat p\nls .\nmkdir o/in\nrmdir o/in\nrmdir o\nls .")
SCENE(deep_copy_up_leaves_the_times_of_directories, 2, two_lowers,
      "append deep/er/one x\nstat deep\nstat deep/er\nstat .\nstat deep/er/one\nchmod deep/er/zero 600\nstat deep/er\n"
      "stat deep/er/zero")

/* -- At random ---------------------------------------------------------------------------------------------------- */

static uint64_t seed;

static unsigned roll(unsigned sides)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(seed >> 33) % sides;
}

static void random_path(char *out, size_t size)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    unsigned depth = 1 + roll(3);
    out[0] = '\0';
    for (unsigned i = 0; i < depth; i++) {
        snprintf(out + strlen(out), size - strlen(out), "%s%s", i ? "/" : "", names[roll(4)]);
    }
}

static void random_command(char *line, size_t size)
{
    static const char *const one[] = {"mkdir", "rmdir", "unlink", "mkfifo", "ls",
                                      "read",  "stat",  "rmdir",  "unlink", "mkdir"};
    static const char *const flags[] = {"", "", " noreplace", " exchange"};
    char a[64], b[64];
    random_path(a, sizeof(a));
    random_path(b, sizeof(b));
    switch (roll(10)) {
    case 0:
    case 1:
    case 2:
        snprintf(line, size, "rename %s %s%s", a, b, flags[roll(4)]);
        break;
    case 3:
        snprintf(line, size, "link %s %s", a, b);
        break;
    case 4:
        snprintf(line, size, "write %s %u", a, roll(100));
        break;
    case 5:
        snprintf(line, size, roll(2) ? "append %s %u" : "chmod %s 7%u5", a, roll(8));
        break;
    case 6:
        snprintf(line, size, "symlink %s %s", b, a);
        break;
    default:
        snprintf(line, size, "%s %s", one[roll(10)], a);
        break;
    }
}

static const char random_lowers[] =
    "mkdir -p l0/a/b/c l1/a/b/d l1/b/a l0/c l1/c/a l0/d/d l1/d/d; echo 0 >l0/a/b/a; echo 1 >l1/a/b/a; echo 2 >l1/b/a/c;"
    "echo 3 >l1/c/a/b; mknod l0/c/a c 0 0; echo 4 >l0/d/d/a; echo 5 >l1/d/d/b; setfattr -n trusted.overlay.opaque -v y "
    "l0/d/d; echo 6 >l1/d/b; ln -s b l1/d/c; echo 7 >l0/b.x; ln l1/d/b l1/d/a";

static void play_at_random(uint64_t number, uint64_t host_flags)
{
    struct scene scene;
    set_scene(&scene, 2, random_lowers, host_flags);
    seed = number;
    for (unsigned i = 0; i < 120; i++) {
        char line[256];
        struct text k = {0}, v = {0};
        random_command(line, sizeof(line));
        run_command(&scene.k, line, &k);
        run_command(&scene.v, line, &v);
        if (strcmp(k.data, v.data) != 0) {
            print_error("seed %llu, step %u\n", (unsigned long long)number, i);
        }
        assert_same_text(&k, &v);
    }
    print_message("# seed %llu agrees\n", (unsigned long long)number);
    compare_scene(&scene, host_flags);
    strike_scene(&scene);
}

static void random_commands_answer_and_leave_the_same(void **state)
{
    (void)state;
    NEEDS_KERNEL();
    const char *count = getenv("VRIFT_RANDOM_SCENES");
    for (int i = 0; i < (count ? atoi(count) : 12); i++) {
        play_at_random((uint64_t)i + 1, i % 2 ? VRIFT_HOST_EXCLUSIVE : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_touched_is_shown_as_it_lies),
        cmocka_unit_test(renames_of_directories_and_whiteouts),
        cmocka_unit_test(hard_links_of_a_lower_layer_break_at_copy_up),
        cmocka_unit_test(a_reader_from_before_the_copy_up_sees_new_data),
        cmocka_unit_test(opening_for_writing_copies_up),
        cmocka_unit_test(directories_removed_and_made_again),
        cmocka_unit_test(a_directory_of_whiteouts_is_empty),
        cmocka_unit_test(everything_can_take_the_place_of_a_whiteout),
        cmocka_unit_test(renames_with_flags),
        cmocka_unit_test(devices_that_would_be_whiteouts_are_refused),
        cmocka_unit_test(copy_up_keeps_all_attributes),
        cmocka_unit_test(extended_attributes_of_the_overlay_are_its_own),
        cmocka_unit_test(truncation_and_appending),
        cmocka_unit_test(two_lower_layers_merge),
        cmocka_unit_test(deep_copy_up_leaves_the_times_of_directories),
        cmocka_unit_test(random_commands_answer_and_leave_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
