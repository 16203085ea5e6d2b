/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Bringing trees to the host: checkout of a snapshot, clone of anything. */
#include <string.h>

#include <vrift/clone.h>
#include <vrift/snapshot.h>
#include <vrift/store.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/locate.h"
#include "cli/look.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/report.h"

#include <vrift/error.h>

enum { LINK, JOBS, NO_OWNERS };
static const struct vr_option options[] = {
    [LINK] = {"link", 0, "HOW", "smart, reflink, hardlink or copy; default smart"},
    [JOBS] = {"jobs", 'j', "N", "threads; default: processors, at most 8"},
    [NO_OWNERS] = {"no-owners", 0, NULL, "files become the caller's own"},
    {NULL, 0, NULL, NULL},
};

static int read_options(const struct vr_arguments *arguments, struct vr_progress *progress,
                        struct vrift_checkout_options *out)
{
    memset(out, 0, sizeof *out);
    out->size = sizeof *out;
    out->progress = vr_progress_step;
    out->payload = progress;
    if (vr_options_value(arguments, NO_OWNERS))
        out->flags |= VRIFT_CHECKOUT_NO_OWNERS;
    int status = vr_options_link(arguments, LINK, &out->link);
    return status ? status : vr_options_jobs(arguments, JOBS, &out->jobs);
}

static void report_json(const struct vrift_checkout_result *result, double seconds)
{
    struct vr_json json = {0};
    vr_json_object(&json, NULL);
    vr_json_number(&json, "files", result->files);
    vr_json_number(&json, "directories", result->directories);
    vr_json_number(&json, "symlinks", result->symlinks);
    vr_json_number(&json, "specials", result->specials);
    vr_json_number(&json, "bytes", result->bytes);
    vr_json_number(&json, "skipped_owners", result->skipped_owners);
    vr_json_number(&json, "skipped_specials", result->skipped_specials);
    vr_json_object(&json, "rungs");
    const struct {
        const char *name;
        uint64_t count;
        int32_t error;
    } rungs[] = {
        {"hardlink", result->rungs.hardlink, result->rungs.hardlink_error},
        {"clone", result->rungs.clone, result->rungs.clone_error},
        {"kernel_copy", result->rungs.kernel_copy, result->rungs.kernel_copy_error},
        {"copy", result->rungs.copy, 0},
    };
    for (size_t i = 0; i < sizeof rungs / sizeof rungs[0]; i++) {
        vr_json_object(&json, rungs[i].name);
        vr_json_number(&json, "files", rungs[i].count);
        if (rungs[i].error)
            vr_json_text(&json, "error", vrift_err_name(rungs[i].error));
        vr_json_end(&json);
    }
    vr_json_end(&json);
    vr_json_decimal(&json, "seconds", seconds);
    vr_json_end(&json);
}

static void report(const struct vr_arguments *arguments, const struct vrift_checkout_result *result, double seconds)
{
    char size[32], rungs[512];
    if (arguments->json) {
        report_json(result, seconds);
        return;
    }
    vr_output_format("%llu files, %llu directories, %llu symlinks, %s in %.2f s: %s\n",
                     (unsigned long long)result->files, (unsigned long long)result->directories,
                     (unsigned long long)result->symlinks, vr_output_size(result->bytes, size), seconds,
                     vr_look_rungs(&result->rungs, rungs));
    if (result->skipped_owners)
        vr_output_format("owners of %llu files could not be restored\n", (unsigned long long)result->skipped_owners);
    if (result->skipped_specials)
        vr_output_format("%llu devices could not be made for want of privilege\n",
                         (unsigned long long)result->skipped_specials);
}

static int checkout(const struct vr_arguments *arguments)
{
    struct vr_progress progress;
    struct vrift_checkout_options how;
    struct vrift_checkout_result result;
    vrift_store *store = NULL;
    vrift_snapshot *snapshot = NULL;
    const char *dest = arguments->operands[1];
    int status = read_options(arguments, &progress, &how);
    if (status == 0)
        status = vr_locate_store(arguments, false, &store);
    if (status == 0)
        status = vr_locate_snapshot(arguments, store, arguments->operands[0], &snapshot);
    if (status == 0) {
        vr_progress_begin(&progress, "checking out");
        int32_t error = vrift_checkout(snapshot, dest, &how, &result);
        double seconds = vr_progress_end(&progress);
        if (error)
            status = vr_report_error(arguments, dest, error);
        else
            report(arguments, &result, seconds);
    }
    vrift_snapshot_unref(snapshot);
    vrift_store_close(store);
    return status;
}

static int clone_command(const struct vr_arguments *arguments)
{
    struct vr_progress progress;
    struct vrift_checkout_options how;
    struct vrift_checkout_result result;
    int status = read_options(arguments, &progress, &how);
    if (status)
        return status;
    vr_progress_begin(&progress, "cloning");
    int32_t error = vrift_clone_tree(arguments->operands[0], arguments->operands[1], &how, &result);
    double seconds = vr_progress_end(&progress);
    if (error)
        return vr_report_error(arguments, arguments->operands[error == -VRIFT_ENOENT ? 0 : 1], error);
    report(arguments, &result, seconds);
    return VR_EXIT_OK;
}

const struct vr_command vr_cmd_checkout = {
    .name = "checkout",
    .synopses = {"checkout SNAP DEST [--link=smart|reflink|hardlink|copy] [--jobs N]"},
    .summary = "restore a tree",
    .description = "Restores a snapshot into DEST, which must be absent or an empty directory. DEST\n"
                   "appears when it is whole; after an error or Ctrl-C there is none. Says how many files\n"
                   "came by which rung of the ladder, and what kept them from a better one:\n"
                   "\n"
                   "  hardlink  shares the store's inodes: read-only, with the store's times\n"
                   "  reflink   clones, where the file system can: no data is copied until one changes\n"
                   "  copy      copies bytes\n"
                   "  smart     the best one that keeps every attribute and shares nothing writable\n"
                   "\n"
                   "Owners are restored where privilege allows. A stored file that was written to since it\n"
                   "was published is checked before it is used; vrift verify also finds bytes that\n"
                   "changed without being written.\n",
    .options = options,
    .min_operands = 2,
    .max_operands = 2,
    .run = checkout,
};

const struct vr_command vr_cmd_clone = {
    .name = "clone",
    .synopses = {"clone SRC DEST [--link=smart|reflink|hardlink|copy] [--jobs N]"},
    .summary = "copy a file or tree by the best rung of the copy ladder, outside any store",
    .description = "Copies SRC to DEST, which must not exist (an empty directory counts as absent), with\n"
                   "modes, times, xattrs, holes, hard links within the tree, and owners where privilege\n"
                   "allows. After an error DEST is gone again. The rungs are those of vrift checkout.\n",
    .options = options,
    .min_operands = 2,
    .max_operands = 2,
    .run = clone_command,
};
