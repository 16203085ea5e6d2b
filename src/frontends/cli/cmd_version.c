/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* version and help. */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vrift/clone.h>
#include <vrift/error.h>
#include <vrift/version.h>

#include "cli/cli.h"
#include "cli/help.h"
#include "cli/json.h"
#include "cli/locate.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"

static bool can_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* Tries, in a child, since what is unshared stays so. */
static bool can_unshare(int flags)
{
    pid_t child = fork();
    int status = 1;
    if (child == 0)
        _exit(unshare(flags) == 0 ? 0 : 1);
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool has_overlayfs(void)
{
    char line[128];
    bool found = false;
    FILE *file = fopen("/proc/filesystems", "re");
    if (!file)
        return false;
    while (!found && fgets(line, sizeof line, file))
        found = strstr(line, "\toverlay\n") != NULL;
    fclose(file);
    return found;
}

static int version(const struct vr_arguments *arguments)
{
    char store[VRIFT_PATH_MAX] = "";
    struct vrift_rungs rungs;
    bool there = vr_locate_store_path(arguments, store, sizeof store) && access(store, F_OK) == 0;
    int32_t probed = there ? vrift_clone_probe(store, store, &rungs) : -VRIFT_ENOENT;
    const char *reflink = !there ? "no store yet" : probed < 0 ? "unknown" : rungs.clone ? "yes" : "no";
    const struct {
        const char *key, *label;
        bool is;
    } machine[] = {
        {"fuse", "/dev/fuse can be opened", can_open("/dev/fuse")},
        {"overlayfs", "overlayfs is known to the kernel", has_overlayfs()},
        {"mount_namespace", "mount namespace", can_unshare(CLONE_NEWNS)},
        {"user_namespace", "user and mount namespace", can_unshare(CLONE_NEWUSER | CLONE_NEWNS)},
    };
    struct vr_json json = {0};
    if (arguments->json) {
        vr_json_object(&json, NULL);
        vr_json_text(&json, "version", vrift_version_string());
        vr_json_number(&json, "number", vrift_version());
        vr_json_text(&json, "headers", VRIFT_VERSION_STRING);
        vr_json_text(&json, "store", store);
        vr_json_text(&json, "store_reflink", reflink);
        for (size_t i = 0; i < sizeof machine / sizeof machine[0]; i++)
            vr_json_bool(&json, machine[i].key, machine[i].is);
        vr_json_end(&json);
        return VR_EXIT_OK;
    }
    vr_output_format("vrift %s\n\nstore: ", vrift_version_string());
    vr_output_name(store);
    vr_output_format("\n%-34s%s\n", "reflink in the store", reflink);
    for (size_t i = 0; i < sizeof machine / sizeof machine[0]; i++)
        vr_output_format("%-34s%s\n", machine[i].label, machine[i].is ? "yes" : "no");
    return VR_EXIT_OK;
}

enum { MAN };
static const struct vr_option help_options[] = {
    [MAN] = {"man", 0, NULL, "as the source of a man page"},
    {NULL, 0, NULL, NULL},
};

static int help(const struct vr_arguments *arguments)
{
    bool page = vr_options_value(arguments, MAN) != NULL;
    const char *name = arguments->operands[0];
    const struct vr_command *command = name ? vr_main_command(name) : NULL;
    if (name && !command)
        return vr_report_usage(arguments, name, "unknown command");
    if (command && page)
        vr_help_command_page(command);
    else if (command)
        vr_help_command(command);
    else if (page)
        vr_help_overview_page();
    else
        vr_help_overview();
    return VR_EXIT_OK;
}

const struct vr_command vr_cmd_version = {
    .name = "version",
    .synopses = {"version"},
    .summary = "print versions and what this machine supports",
    .description = "Prints the version and what vrift run and vrift checkout can build on here: clones in\n"
                   "the store's directory, /dev/fuse, overlayfs, namespaces.\n",
    .max_operands = 0,
    .run = version,
};

const struct vr_command vr_cmd_help = {
    .name = "help",
    .synopses = {"help [--man] [COMMAND]"},
    .summary = "explain a command",
    .description = "Prints what you read now, of any command; without one, the overview.\n",
    .options = help_options,
    .max_operands = 1,
    .flags = VR_COMMAND_NO_JSON,
    .run = help,
};
