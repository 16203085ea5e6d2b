/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <vrift/snapshot.h>
#include <vrift/store.h>

#include "cli/changes.h"
#include "cli/cli.h"
#include "cli/locate.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"

enum { STAT };
static const struct vr_option options[] = {
    [STAT] = {"stat", 0, NULL, "count only"},
    {NULL, 0, NULL, NULL},
};

static int diff(const struct vr_arguments *arguments)
{
    vrift_store *store = NULL;
    vrift_snapshot *a = NULL, *b = NULL;
    int status = vr_locate_store(arguments, false, &store);
    if (status == 0)
        status = vr_locate_snapshot(arguments, store, arguments->operands[0], &a);
    if (status == 0)
        status = vr_locate_snapshot(arguments, store, arguments->operands[1], &b);
    if (status == 0) {
        struct vr_changes changes;
        vr_changes_begin(&changes, arguments, vr_options_value(arguments, STAT) != NULL);
        int32_t result = vrift_diff(a, b, 0, vr_changes_take, &changes);
        if (result == 0)
            vr_changes_end(&changes);
        else if (!vr_output_error())
            status = vr_report_error(arguments, arguments->operands[1], result);
    }
    vrift_snapshot_unref(a);
    vrift_snapshot_unref(b);
    vrift_store_close(store);
    return status;
}

const struct vr_command vr_cmd_diff = {
    .name = "diff",
    .synopses = {"diff [--stat] A B"},
    .summary = "tell what differs between two snapshots",
    .description = "Prints one line for each path that differs, from A to B, in the order of paths:\n"
                   "\n"
                   "  A  added\n"
                   "  D  removed\n"
                   "  M  content changed, of a file or symlink\n"
                   "  P  only properties changed: mode, owner, time, xattrs\n"
                   "  T  the type changed\n"
                   "\n"
                   "The exit status is 0 whether anything differs or not.\n",
    .options = options,
    .min_operands = 2,
    .max_operands = 2,
    .run = diff,
};
