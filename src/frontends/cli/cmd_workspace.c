/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <stdio.h>
#include <string.h>

#include <vrift/error.h>
#include <vrift/store.h>
#include <vrift/workspace.h>

#include "cli/changes.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/locate.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/report.h"

enum { NAME, JOBS, STAT };
static const struct vr_option options[] = {
    [NAME] = {"name", 0, "REF", "commit: make REF stand for the snapshot"},
    [JOBS] = {"jobs", 'j', "N", "commit: threads; default: processors, at most 8"},
    [STAT] = {"stat", 0, NULL, "status: count only"},
    {NULL, 0, NULL, NULL},
};

static int failed(const struct vr_arguments *arguments, const char *name, int32_t result)
{
    if (result == -VRIFT_ENOENT)
        return vr_report_failure(arguments, name, "no such workspace");
    if (result == -VRIFT_EEXIST)
        return vr_report_failure(arguments, name, "there is such a workspace already");
    return vr_report_error(arguments, name, result);
}

static void describe(struct vr_json *json, const struct vrift_workspace_info *info)
{
    vr_json_object(json, NULL);
    vr_json_text(json, "name", info->name);
    vr_json_digest(json, "base", &info->base);
    vr_json_text(json, "upper", info->upper);
    vr_json_end(json);
}

static int create(const struct vr_arguments *arguments, vrift_store *store, const char *name)
{
    const char *snap = arguments->operands[2];
    struct vrift_digest base;
    struct vrift_workspace_info info;
    vrift_workspace *workspace = NULL;
    int status = snap ? vr_locate_digest(arguments, store, snap, &base) : 0;
    if (status)
        return status;
    int32_t result = vrift_workspace_create(store, name, snap ? &base : NULL, 0, &workspace);
    if (result == -VRIFT_EINVAL)
        return vr_report_usage(arguments, name, "not a name for a workspace");
    if (result < 0)
        return failed(arguments, name, result);
    if (arguments->json && vrift_workspace_info(workspace, &info) == 0) {
        struct vr_json json = {0};
        describe(&json, &info);
    }
    vrift_workspace_close(workspace);
    return VR_EXIT_OK;
}

struct list {
    vrift_store *store;
    struct vr_json *json;
};

static int32_t list_one(const char *name, void *payload)
{
    struct list *list = payload;
    struct vrift_workspace_info info;
    vrift_workspace *workspace = NULL;
    char hex[65] = "(damaged)";
    int32_t result = vrift_workspace_open(list->store, name, &workspace);
    bool known = result == 0 && vrift_workspace_info(workspace, &info) == 0;
    if (result == -VRIFT_ENOENT)
        return 0; /* removed meanwhile */
    if (list->json && known) {
        describe(list->json, &info);
    } else if (list->json) {
        vr_json_object(list->json, NULL);
        vr_json_text(list->json, "name", name);
        vr_json_text(list->json, "error", vrift_err_name(result));
        vr_json_end(list->json);
    } else {
        if (known && info.base.algorithm == VRIFT_DIGEST_NONE)
            snprintf(hex, sizeof hex, "(empty)");
        else if (known)
            vrift_digest_format(&info.base, hex);
        vr_output_format("%s %s\n", hex, name);
    }
    vrift_workspace_close(workspace);
    return vr_output_error() ? -VRIFT_EPIPE : 0;
}

static int list(const struct vr_arguments *arguments, vrift_store *store, const char *name)
{
    struct vr_json json = {0};
    struct list list = {.store = store, .json = arguments->json ? &json : NULL};
    (void)name;
    if (list.json)
        vr_json_array(&json, NULL);
    int32_t result = vrift_workspace_list(store, list_one, &list);
    if (list.json && result == 0)
        vr_json_end(&json);
    if (result < 0 && !vr_output_error())
        return vr_report_error(arguments, vrift_store_path(store), result);
    return VR_EXIT_OK;
}

static int status(const struct vr_arguments *arguments, vrift_store *store, const char *name)
{
    vrift_workspace *workspace = NULL;
    int32_t result = vrift_workspace_open(store, name, &workspace);
    if (result == 0) {
        struct vr_changes changes;
        vr_changes_begin(&changes, arguments, vr_options_value(arguments, STAT) != NULL);
        result = vrift_workspace_status(workspace, 0, vr_changes_take, &changes);
        if (result == 0)
            vr_changes_end(&changes);
    }
    vrift_workspace_close(workspace);
    return result < 0 && !vr_output_error() ? failed(arguments, name, result) : VR_EXIT_OK;
}

static void report_commit(const struct vr_arguments *arguments, const struct vrift_import_result *result,
                          double seconds)
{
    char hex[65];
    vrift_digest_format(&result->snapshot, hex);
    if (!arguments->json) {
        vr_output_format("%s\n", hex);
        return;
    }
    struct vr_json json = {0};
    vr_json_object(&json, NULL);
    vr_json_text(&json, "snapshot", hex);
    vr_json_number(&json, "changed_files", result->files);
    vr_json_number(&json, "stored_bytes", result->stored_bytes);
    vr_json_number(&json, "new_blobs", result->new_blobs);
    vr_json_decimal(&json, "seconds", seconds);
    vr_json_end(&json);
}

static int commit(const struct vr_arguments *arguments, vrift_store *store, const char *name)
{
    const char *ref = vr_options_value(arguments, NAME);
    struct vr_progress progress;
    struct vrift_import_options how = {.size = sizeof how, .progress = vr_progress_step, .payload = &progress};
    struct vrift_import_result result;
    vrift_workspace *workspace = NULL;
    int usage = vr_options_jobs(arguments, JOBS, &how.jobs);
    if (usage == 0)
        usage = vr_locate_check_ref(arguments, ref);
    if (usage)
        return usage;
    int32_t error = vrift_workspace_open(store, name, &workspace);
    if (error == 0) {
        vr_progress_begin(&progress, "committing");
        error = vrift_workspace_commit(workspace, &how, &result);
        double seconds = vr_progress_end(&progress);
        if (error == 0 && ref)
            error = vrift_ref_set(store, ref, &result.snapshot);
        if (error == 0)
            report_commit(arguments, &result, seconds);
    }
    vrift_workspace_close(workspace);
    return error < 0 ? failed(arguments, name, error) : VR_EXIT_OK;
}

static int discard(const struct vr_arguments *arguments, vrift_store *store, const char *name)
{
    vrift_workspace *workspace = NULL;
    int32_t result = vrift_workspace_open(store, name, &workspace);
    if (result == 0)
        result = vrift_workspace_discard(workspace);
    vrift_workspace_close(workspace);
    return result < 0 ? failed(arguments, name, result) : VR_EXIT_OK;
}

static int remove_workspace(const struct vr_arguments *arguments, vrift_store *store, const char *name)
{
    int32_t result = vrift_workspace_remove(store, name);
    return result < 0 ? failed(arguments, name, result) : VR_EXIT_OK;
}

static const struct verb {
    const char *name;
    int least, most;  /* operands after the verb */
    uint32_t options; /* bits of those it takes */
    bool json;
    bool creates_store;
    int (*run)(const struct vr_arguments *arguments, vrift_store *store, const char *name);
} verbs[] = {
    {"create", 1, 2, 0, true, true, create},           {"list", 0, 0, 0, true, false, list},
    {"status", 1, 1, 1u << STAT, true, false, status}, {"commit", 1, 1, 1u << NAME | 1u << JOBS, true, false, commit},
    {"discard", 1, 1, 0, false, false, discard},       {"remove", 1, 1, 0, false, false, remove_workspace},
};

static int check_usage(const struct vr_arguments *arguments, const struct verb *verb)
{
    char option[64];
    int operands = arguments->operand_count - 1;
    if (operands < verb->least)
        return vr_report_usage(arguments, verb->name, "needs the NAME of a workspace");
    if (operands > verb->most)
        return vr_report_usage(arguments, arguments->operands[1 + verb->most], "one argument too many");
    if (arguments->json && !verb->json)
        return vr_report_usage(arguments, "--json", "this command reports nothing");
    for (int i = 0; options[i].name; i++) {
        if (!vr_options_value(arguments, i) || (verb->options & 1u << i))
            continue;
        snprintf(option, sizeof option, "--%s", options[i].name);
        return vr_report_usage(arguments, option, "not an option of this command");
    }
    return 0;
}

static int workspace_command(const struct vr_arguments *arguments)
{
    const struct verb *verb = NULL;
    vrift_store *store = NULL;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, arguments->operands[0]) == 0)
            verb = &verbs[i];
    if (!verb)
        return vr_report_usage(arguments, arguments->operands[0], "unknown command of workspaces");
    int result = check_usage(arguments, verb);
    if (result == 0)
        result = vr_locate_store(arguments, verb->creates_store && !arguments->operands[2], &store);
    if (result == 0)
        result = verb->run(arguments, store, arguments->operands[1]);
    vrift_store_close(store);
    return result;
}

const struct vr_command vr_cmd_workspace = {
    .name = "workspace",
    .synopses = {"workspace create|list|status|commit|discard|remove ...", "workspace create NAME [SNAP]",
                 "workspace list", "workspace status [--stat] NAME", "workspace commit NAME [--name REF] [--jobs N]",
                 "workspace discard NAME", "workspace remove NAME"},
    .summary = "make, look at, commit and remove writable views of snapshots",
    .description = "A workspace is a writable view of a snapshot (or of an empty tree), kept in the store.\n"
                   "It costs what changes in it. vrift run gives it to a command as a directory.\n"
                   "\n"
                   "  create   makes one\n"
                   "  list     prints each one's base and name; with --json also where its changes lie\n"
                   "  status   prints what it changed, as vrift diff does\n"
                   "  commit   publishes its present state as a snapshot, prints the id alone, and makes\n"
                   "           that its base\n"
                   "  discard  throws away what it changed\n"
                   "  remove   throws it away whole; snapshots stay\n"
                   "\n"
                   "commit, discard and remove fail while a vrift run uses the workspace. A name is 1 to\n"
                   "100 letters, digits, '.', '_' and '-', not starting with '.'.\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 3,
    .run = workspace_command,
};
