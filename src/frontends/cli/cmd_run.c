/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <string.h>

#include <vrift/store.h>

#include "cli/cli.h"
#include "cli/locate.h"
#include "cli/options.h"
#include "cli/report.h"
#include "fuse/run.h"

enum { WORKSPACE, AT, VIA, QUIET };
static const struct vr_option options[] = {
    [WORKSPACE] = {"workspace", 'w', "NAME", "the workspace"},
    [AT] = {"at", 0, "PATH", "where the command sees it; default: a private directory"},
    [VIA] = {"via", 0, "HOW", "auto, overlay or checkout; default auto"},
    [QUIET] = {"quiet", 'q', NULL, "do not say which way it went"},
    {NULL, 0, NULL, NULL},
};

static int run(const struct vr_arguments *arguments)
{
    const char *via = vr_options_value(arguments, VIA);
    struct vr_run_options how = {
        .workspace = vr_options_value(arguments, WORKSPACE),
        .at = vr_options_value(arguments, AT),
        .via = VR_RUN_AUTO,
        .verbose = vr_options_value(arguments, QUIET) ? -1 : arguments->verbose,
        .argv = arguments->operands,
    };
    if (!how.workspace)
        return vr_report_usage(arguments, NULL, "--workspace NAME is missing");
    if (via && vr_run_parse_via(via, &how.via) < 0)
        return vr_report_usage(arguments, via, "not a way of --via");
    if (how.via == VR_RUN_FUSE || how.via == VR_RUN_PRELOAD)
        return vr_report_not_built(arguments, via);

    vrift_store *store = NULL;
    int status = vr_locate_store(arguments, false, &store);
    if (status)
        return status;
    int32_t result = vr_run_command(store, &how);
    vrift_store_close(store);
    return result < 0 ? VR_EXIT_FAILED : result; /* it has said why */
}

const struct vr_command vr_cmd_run = {
    .name = "run",
    .synopses = {"run --workspace NAME [--at PATH] [--via=auto|overlay|checkout] -- CMD..."},
    .summary = "run a command that sees a workspace as a directory",
    .description = "Runs CMD and answers with its exit status; 128 + N if signal N killed it, 127 if there\n"
                   "is no such command, 126 if it cannot be executed. CMD sees the workspace at PATH and\n"
                   "starts there. What it leaves running is ended with it, and nothing stays mounted.\n"
                   "\n"
                   "  overlay   the kernel's overlayfs over the snapshot, in a private mount namespace: as\n"
                   "            root, or unprivileged through a user namespace. Costs the same whatever\n"
                   "            the size of the tree\n"
                   "  checkout  restores the tree, runs CMD, takes over what changed. Works anywhere\n"
                   "  auto      overlay where it can be had, else checkout; says which on standard error\n"
                   "\n"
                   "  $ vrift workspace create w hello\n"
                   "  $ vrift run --workspace w --at /src/hello -- make\n"
                   "  $ vrift workspace commit w --name hello-built\n",
    .options = options,
    .min_operands = 1,
    .max_operands = -1,
    .flags = VR_COMMAND_STOP_AT_OPERAND | VR_COMMAND_NO_JSON,
    .run = run,
};
