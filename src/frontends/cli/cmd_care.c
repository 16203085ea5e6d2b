/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Care of the store: verify, stats. */
#include <stdio.h>

#include <vrift/error.h>
#include <vrift/snapshot.h>
#include <vrift/store.h>
#include <vrift/workspace.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/locate.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/report.h"

enum { JOBS, REPAIR };
static const struct vr_option verify_options[] = {
    [JOBS] = {"jobs", 'j', "N", "threads; default: processors, at most 8"},
    [REPAIR] = {"repair", 0, NULL, NULL},
    {NULL, 0, NULL, NULL},
};

struct verify {
    struct vr_progress progress;
    struct vr_json *json; /* NULL: text */
    vrift_store *store;
    uint64_t workspace_problems;
};

static int32_t step(const struct vrift_progress *now, void *payload)
{
    struct verify *verify = payload;
    return vr_progress_step(now, &verify->progress);
}

static int32_t print_problem(const struct vrift_problem *problem, void *payload)
{
    struct verify *verify = payload;
    if (verify->json) {
        vr_json_object(verify->json, NULL);
        vr_json_text(verify->json, "path", problem->path);
        vr_json_text(verify->json, "reason", problem->reason);
        vr_json_end(verify->json);
    } else {
        vr_output_name(problem->path);
        vr_output_format(": %s\n", problem->reason);
    }
    return 0;
}

/* What a workspace is based on. Its changes are files of the user's, and may be anything. */
static int32_t check_base(vrift_store *store, vrift_workspace *workspace)
{
    struct vrift_workspace_info info;
    vrift_snapshot *base = NULL;
    int32_t result = vrift_workspace_info(workspace, &info);
    if (result < 0 || info.base.algorithm == VRIFT_DIGEST_NONE)
        return result;
    result = vrift_snapshot_open(store, &info.base, &base);
    vrift_snapshot_unref(base);
    return result;
}

static int32_t verify_workspace(const char *name, void *payload)
{
    struct verify *verify = payload;
    struct vrift_error_detail detail;
    vrift_workspace *workspace = NULL;
    char path[256];
    int32_t result = vrift_workspace_open(verify->store, name, &workspace);
    bool opened = result == 0;
    if (opened)
        result = check_base(verify->store, workspace);
    if (result < 0 && !(result == -VRIFT_ENOENT && !opened)) { /* not one that was removed meanwhile */
        bool told = vrift_error_detail(&detail) == 0 && detail.error == result && detail.reason[0];
        struct vrift_problem problem = {path, told ? detail.reason : vrift_err_str(result)};
        snprintf(path, sizeof path, "workspaces/%s/base", name);
        verify->workspace_problems++;
        print_problem(&problem, verify);
    }
    vrift_workspace_close(workspace);
    return 0;
}

static void report_verified(struct vr_json *json, const struct vrift_verify_result *result, double seconds)
{
    char size[32];
    if (!json) {
        vr_output_format("%llu blobs, %llu packs, %llu trees, %llu snapshots, %llu indexes, %llu refs, %s read in "
                         "%.2f s: %llu problems\n",
                         (unsigned long long)result->blobs, (unsigned long long)result->packs,
                         (unsigned long long)result->trees, (unsigned long long)result->snapshots,
                         (unsigned long long)result->indexes, (unsigned long long)result->refs,
                         vr_output_size(result->bytes, size), seconds, (unsigned long long)result->problems);
        return;
    }
    vr_json_end(json); /* of the problems */
    vr_json_number(json, "blobs", result->blobs);
    vr_json_number(json, "packs", result->packs);
    vr_json_number(json, "trees", result->trees);
    vr_json_number(json, "snapshots", result->snapshots);
    vr_json_number(json, "indexes", result->indexes);
    vr_json_number(json, "refs", result->refs);
    vr_json_number(json, "bytes", result->bytes);
    vr_json_decimal(json, "seconds", seconds);
    vr_json_end(json);
}

static int verify_store(const struct vr_arguments *arguments, vrift_store *store, uint32_t jobs)
{
    struct vr_json json = {0};
    struct verify verify = {.json = arguments->json ? &json : NULL, .store = store};
    struct vrift_verify_options how = {
        .size = sizeof how, .jobs = jobs, .problem = print_problem, .progress = step, .payload = &verify};
    struct vrift_verify_result result;
    if (verify.json) {
        vr_json_object(&json, NULL);
        vr_json_array(&json, "problems");
    }
    vr_progress_begin(&verify.progress, "verifying");
    int32_t error = vrift_store_verify(store, &how, &result);
    if (error == 0)
        error = vrift_workspace_list(store, verify_workspace, &verify);
    double seconds = vr_progress_end(&verify.progress);
    if (error)
        return vr_report_error(arguments, vrift_store_path(store), error);
    result.problems += verify.workspace_problems;
    report_verified(verify.json, &result, seconds);
    if (result.problems == 0)
        return VR_EXIT_OK;
    return vr_report_failure(arguments, vrift_store_path(store), "the store is damaged");
}

static int verify(const struct vr_arguments *arguments)
{
    vrift_store *store = NULL;
    uint32_t jobs;
    if (vr_options_value(arguments, REPAIR))
        return vr_report_not_built(arguments, "--repair");
    int status = vr_options_jobs(arguments, JOBS, &jobs);
    if (status == 0)
        status = vr_locate_store(arguments, false, &store);
    if (status == 0)
        status = verify_store(arguments, store, jobs);
    vrift_store_close(store);
    return status;
}

static int stats(const struct vr_arguments *arguments)
{
    vrift_store *store = NULL;
    struct vrift_store_stats counts;
    int status = vr_locate_store(arguments, false, &store);
    if (status)
        return status;
    int32_t result = vrift_store_stats(store, &counts);
    if (result < 0) {
        status = vr_report_error(arguments, vrift_store_path(store), result);
        vrift_store_close(store);
        return status;
    }
    const struct {
        const char *key, *label;
        uint64_t number;
        bool bytes;
    } rows[] = {
        {"snapshots", "snapshots", counts.snapshots, false},
        {"refs", "refs", counts.refs, false},
        {"workspaces", "workspaces", counts.workspaces, false},
        {"loose_blobs", "loose blobs", counts.loose_blobs, false},
        {"loose_bytes", "on disk", counts.loose_bytes, true},
        {"packs", "packs", counts.packs, false},
        {"packed_blobs", "blobs in packs", counts.packed_blobs, false},
        {"pack_bytes", "bytes of packs", counts.pack_bytes, true},
        {"index_bytes", "bytes of indexes", counts.index_bytes, true},
        {"temporary_files", "temporary files", counts.temporary_files, false},
    };
    struct vr_json json = {0};
    char size[32];
    if (arguments->json) {
        vr_json_object(&json, NULL);
        vr_json_text(&json, "store", vrift_store_path(store));
    } else {
        vr_output_text("store             ");
        vr_output_name(vrift_store_path(store));
        vr_output_text("\n");
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (arguments->json)
            vr_json_number(&json, rows[i].key, rows[i].number);
        else if (rows[i].bytes)
            vr_output_format("%-17s %s\n", rows[i].label, vr_output_size(rows[i].number, size));
        else
            vr_output_format("%-17s %llu\n", rows[i].label, (unsigned long long)rows[i].number);
    }
    if (arguments->json)
        vr_json_end(&json);
    vrift_store_close(store);
    return VR_EXIT_OK;
}

const struct vr_command vr_cmd_verify = {
    .name = "verify",
    .synopses = {"verify [--jobs N]"},
    .summary = "read everything in the store and check it",
    .description = "Reads every stored file and checks it against its digest or checksum. Prints one line\n"
                   "for each that is wrong, `PATH: WHY`, with PATH relative to the store, and a line of\n"
                   "counts. The exit status is 1 if anything is wrong. Nothing is changed.\n",
    .options = verify_options,
    .max_operands = 0,
    .run = verify,
};

const struct vr_command vr_cmd_stats = {
    .name = "stats",
    .synopses = {"stats"},
    .summary = "count what is in the store",
    .description = "Prints how many snapshots, names, workspaces and contents there are and what they take.\n",
    .max_operands = 0,
    .run = stats,
};
