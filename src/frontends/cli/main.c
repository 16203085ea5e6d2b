/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The `vrift` command: finds the command that is asked for, and sees that what it wrote was written. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/help.h"
#include "cli/mount_helper.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"

const struct vr_command *const vr_commands[] = {
    &vr_cmd_import, &vr_cmd_ls,    &vr_cmd_cat,       &vr_cmd_stat,  &vr_cmd_checkout, &vr_cmd_diff,
    &vr_cmd_refs,   &vr_cmd_ref,   &vr_cmd_workspace, &vr_cmd_run,   &vr_cmd_mount,    &vr_cmd_umount,
    &vr_cmd_caps,   &vr_cmd_clone, &vr_cmd_verify,    &vr_cmd_stats, &vr_cmd_version,  &vr_cmd_help,
    NULL,
};

/* Commands whose names are taken and whose time comes later. */
static const char *const later[] = {"gc", "push", "pull"};

const struct vr_command *vr_main_command(const char *name)
{
    for (const struct vr_command *const *command = vr_commands; *command; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return NULL;
}

static int unknown_command(const struct vr_arguments *arguments, const char *name)
{
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++)
        if (strcmp(later[i], name) == 0)
            return vr_report_not_built(arguments, name);
    return vr_report_usage(arguments, name, "unknown command");
}

static int dispatch(struct vr_arguments *arguments, char **argv)
{
    static char version[] = "version"; /* --version is what people try first */
    int at = 0, status = 0;
    if (argv[0] && strcmp(argv[0], "--version") == 0)
        argv[0] = version;
    while (argv[at] && (status = vr_options_common(arguments, argv, &at)) == 0)
        continue;
    if (argv[at] && status != VR_OPTION_WORD)
        return status;
    if (!argv[at]) {
        if (!arguments->help)
            return vr_report_usage(arguments, NULL, "a command is missing");
        vr_help_overview();
        return VR_EXIT_OK;
    }
    arguments->command = vr_main_command(argv[at]);
    if (!arguments->command)
        return unknown_command(arguments, argv[at]);
    status = vr_options_parse(arguments, argv + at + 1);
    if (status)
        return status;
    if (arguments->help) {
        vr_help_command(arguments->command);
        return VR_EXIT_OK;
    }
    if (!(arguments->command->flags & VR_COMMAND_STOP_AT_OPERAND)) /* another program expects to die of SIGPIPE */
        signal(SIGPIPE, SIG_IGN);
    return arguments->command->run(arguments);
}

/*
 * A standard descriptor that the caller closed must not become a file of ours, which what is printed would go to. What
 * takes its place answers as a closed one does, and is closed for the command that `vrift run` starts.
 */
static void keep_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/", O_PATH | O_CLOEXEC);
}

int main(int argc, char **argv)
{
    keep_standard_descriptors();
    struct vr_arguments arguments;
    memset(&arguments, 0, sizeof arguments);
    char *helper[6];
    bool helping = vr_mount_helper_called(argv[0]);
    int status = helping ? vr_mount_helper_arguments(argc, argv, helper) : 0;
    if (status)
        return status < 0 ? -status : VR_EXIT_OK;
    status = dispatch(&arguments, helping ? helper : argc > 0 ? argv + 1 : argv);
    int error = vr_output_flush();
    if (error && status == VR_EXIT_OK)
        status = vr_report_errno(&arguments, "standard output", error);
    return helping ? vr_mount_helper_status(status) : status;
}
