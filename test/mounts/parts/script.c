/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Sequences of steps as text, for cases with a name. A line is
 *
 *     PROCESS OPERATION ARGUMENT... [= ERROR]
 *
 * and is expected to succeed, or to answer that error, here and in the kernel if that can be asked; "PROCESS tags PATH = WORD..."
 * expects the topmost mount at PATH to propagate so: shared, slave, private, unbindable, or "none" for no mount there. What
 * flags there are follows the operation after a comma: "bind,rec".
 */
#include "mounts/mounts.h"

#include <vrift/vrift.h>

#include <stdlib.h>
#include <string.h>

static const char *const operation_names[OP_COUNT] = {
    [OP_MOUNT] = "mount",       [OP_BIND] = "bind",       [OP_MOVE] = "move",       [OP_PROPAGATE] = "make",
    [OP_REMOUNT] = "remount",   [OP_SETATTR] = "setattr", [OP_UMOUNT] = "umount",   [OP_EXPIRE] = "expire",
    [OP_PIVOT] = "pivot",       [OP_CHROOT] = "chroot",   [OP_CHDIR] = "cd",        [OP_UNSHARE] = "unshare",
    [OP_FORK] = "fork",         [OP_EXIT] = "exit",       [OP_SETNS] = "setns",     [OP_MKDIR] = "mkdir",
    [OP_RMDIR] = "rmdir",       [OP_UNLINK] = "unlink",   [OP_CREATE] = "create",   [OP_RENAME] = "rename",
    [OP_EXCHANGE] = "exchange", [OP_LINK] = "link",       [OP_OPEN] = "open",       [OP_CLOSE] = "close",
    [OP_FCHDIR] = "fchdir",     [OP_SYMLINK] = "symlink", [OP_RESOLVE] = "resolve",
};

static const struct {
    const char *name;
    uint64_t flag, type;
} flag_names[] = {
    {"rec", VRIFT_MOUNT_REC, VRIFT_MOUNT_REC},
    {"shared", 0, VRIFT_MOUNT_SHARED},
    {"slave", 0, VRIFT_MOUNT_SLAVE},
    {"private", 0, VRIFT_MOUNT_PRIVATE},
    {"unbindable", 0, VRIFT_MOUNT_UNBINDABLE},
    {"lazy", VRIFT_UMOUNT_DETACH, 0},
    {"force", VRIFT_UMOUNT_FORCE, 0},
    {"nofollow", VRIFT_UMOUNT_NOFOLLOW, 0},
    {"ro", VRIFT_MOUNT_RDONLY, 0},
    {"nosuid", VRIFT_MOUNT_NOSUID, 0},
    {"nodev", VRIFT_MOUNT_NODEV, 0},
    {"noexec", VRIFT_MOUNT_NOEXEC, 0},
    {"noatime", VRIFT_MOUNT_NOATIME, 0},
    {"nodiratime", VRIFT_MOUNT_NODIRATIME, 0},
    {"strictatime", VRIFT_MOUNT_STRICTATIME, 0},
    {"nosymfollow", VRIFT_MOUNT_NOSYMFOLLOW, 0},
    {"beneath", VRIFT_RESOLVE_BENEATH, 0},
    {"in_root", VRIFT_RESOLVE_IN_ROOT, 0},
    {"no_xdev", VRIFT_RESOLVE_NO_XDEV, 0},
};

void print_step(const struct step *step)
{
    printf("#     %u %s", step->process, operation_names[step->operation]);
    bool typed = step->operation == OP_PROPAGATE || step->operation == OP_SETATTR;
    for (size_t i = 0; i < sizeof flag_names / sizeof flag_names[0]; i++) {
        bool is_umount = step->operation == OP_UMOUNT;
        bool is_umount_flag = flag_names[i].flag == VRIFT_UMOUNT_DETACH || flag_names[i].flag == VRIFT_UMOUNT_FORCE ||
                              flag_names[i].flag == VRIFT_UMOUNT_NOFOLLOW;
        bool named = typed && step->type & flag_names[i].type;
        named |= step->flags & flag_names[i].flag && (!is_umount || is_umount_flag) &&
                 (is_umount || (strcmp(flag_names[i].name, "lazy") != 0 && strcmp(flag_names[i].name, "force") != 0)) &&
                 strcmp(flag_names[i].name, "nofollow") != 0;
        if (named)
            printf(",%s", flag_names[i].name);
    }
    if (step->operation == OP_SETATTR)
        printf(" (clear %llx, %s)", (unsigned long long)step->clear, step->number ? "recursive" : "one");
    if (step->operation == OP_FORK || step->operation == OP_SETNS)
        printf(" %u", step->other);
    printf(" %s %s\n", step->one, step->two);
}

static void parse_operation(char *word, struct step *step)
{
    char *rest = NULL;
    char *name = strtok_r(word, ",", &rest);
    step->operation = 0;
    while (step->operation < OP_COUNT && strcmp(operation_names[step->operation], name) != 0)
        step->operation++;
    if (step->operation == OP_COUNT)
        fail_msg("no operation is called %s", name);
    bool typed = step->operation == OP_PROPAGATE || step->operation == OP_SETATTR;
    while ((name = strtok_r(NULL, ",", &rest))) {
        size_t i = 0;
        while (strcmp(flag_names[i].name, name) != 0)
            if (++i == sizeof flag_names / sizeof flag_names[0])
                fail_msg("no flag is called %s", name);
        if (typed)
            step->type |= flag_names[i].type;
        if (!typed || !flag_names[i].type)
            step->flags |= flag_names[i].flag;
        if (step->operation == OP_SETATTR && step->type & VRIFT_MOUNT_REC) {
            step->type &= ~VRIFT_MOUNT_REC;
            step->number = 1;
        }
    }
}

static int32_t error_of(const char *name)
{
    for (int32_t error = 1; error < 200; error++)
        if (strcmp(vrift_err_name(-error), name) == 0)
            return -error;
    fail_msg("no error is called %s", name);
    return 0;
}

/* What the last field of the topmost mount at a path says, as words. */
static void tags_at(struct side *ours, uint32_t process, const char *path, char *out, size_t size)
{
    struct view view;
    char probes[PROBES][PATH_SIZE] = {".", ".", ".", "."}, *rest = NULL;
    ours->look(ours->self, process, probes, &view);
    snprintf(out, size, "none");
    for (char *line = strtok_r(view.mountinfo, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char point[256], fields[256] = "";
        if (sscanf(line, "%*u %*u %*s %*s %255s %*s %255[^-]", point, fields) < 1 || strcmp(point, path) != 0)
            continue;
        snprintf(out, size, "%s%s%s%s", strstr(fields, "shared:") ? "shared " : "",
                 strstr(fields, "master:") ? "slave " : "", strstr(fields, "unbindable") ? "unbindable " : "",
                 !strstr(fields, ":") && !strstr(fields, "unbindable") ? "private " : "");
        out[strlen(out) - 1] = '\0';
    }
    free(view.mountinfo);
}

struct run {
    const char *name;
    struct side kernel, ours;
    bool with_kernel;
    bool alive[PROCESSES];
    uint32_t next_number;
};

static void run_step(struct run *run, const char *line, struct step *step, int32_t wanted)
{
    char probes[PROBES][PATH_SIZE] = {"/a", "/b", "..", "/"};
    if (step->operation == OP_MOUNT)
        step->number = ++run->next_number;
    int64_t ours = run->ours.run(run->ours.self, step);
    if (ours != wanted)
        fail_msg("%s: \"%s\" answered %s here", run->name, line, vrift_err_name(ours));
    if (step->operation == OP_FORK)
        run->alive[step->other] = true;
    if (step->operation == OP_EXIT)
        run->alive[step->process] = false;
    if (!run->with_kernel)
        return;
    int64_t theirs = run->kernel.run(run->kernel.self, step);
    if (theirs != wanted)
        fail_msg("%s: \"%s\" answered %s in the kernel", run->name, line, vrift_err_name(theirs));
    if (!same_views(&run->kernel, &run->ours, run->alive, probes))
        fail_msg("%s: the sides differ after \"%s\"", run->name, line);
}

static void run_line(struct run *run, const char *line)
{
    char copy[256], *rest = NULL;
    snprintf(copy, sizeof copy, "%s", line);
    char *expected = strstr(copy, " = ");
    if (expected) {
        *expected = '\0';
        expected += 3;
    }
    struct step step = {.process = (uint32_t)strtoul(strtok_r(copy, " ", &rest), NULL, 10)};
    char *operation = strtok_r(NULL, " ", &rest);
    char *one = strtok_r(NULL, " ", &rest), *two = strtok_r(NULL, " ", &rest);
    if (strcmp(operation, "tags") == 0) {
        char tags[64];
        tags_at(&run->ours, step.process, one, tags, sizeof tags);
        if (strcmp(tags, expected) != 0)
            fail_msg("%s: \"%s\" is %s", run->name, line, tags);
        return;
    }
    parse_operation(operation, &step);
    if (step.operation == OP_FORK || step.operation == OP_SETNS)
        step.other = (uint32_t)strtoul(one, NULL, 10);
    else
        snprintf(step.one, sizeof step.one, "%s", one ? one : "");
    snprintf(step.two, sizeof step.two, "%s", two ? two : "");
    run_step(run, line, &step, expected ? error_of(expected) : 0);
}

void run_script(const char *name, const char *text)
{
    struct run run = {.name = name, .alive = {true}};
    run.with_kernel = kernel_is_there() && kernel_side_begin(&run.kernel);
    vrift_side_begin(&run.ours);
    char *copy = strdup(text), *rest = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        while (*line == ' ')
            line++;
        if (*line)
            run_line(&run, line);
    }
    free(copy);
    if (run.with_kernel)
        run.kernel.end(run.kernel.self);
    run.ours.end(run.ours.self);
}
