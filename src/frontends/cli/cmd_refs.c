/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Names of snapshots. */
#include <string.h>

#include <vrift/error.h>
#include <vrift/store.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/locate.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"

enum { ALL };
static const struct vr_option refs_options[] = {
    [ALL] = {"all", 'a', NULL, "the ids of all snapshots, named or not, instead"},
    {NULL, 0, NULL, NULL},
};
enum { DELETE };
static const struct vr_option ref_options[] = {
    [DELETE] = {"delete", 'd', NULL, "remove the name; the snapshot stays"},
    {NULL, 0, NULL, NULL},
};

static int32_t print_ref(const struct vrift_ref *ref, void *payload)
{
    struct vr_json *json = payload;
    char hex[65];
    bool damaged = vrift_digest_format(&ref->snapshot, hex) < 0 || ref->snapshot.algorithm == VRIFT_DIGEST_NONE;
    if (json) {
        vr_json_object(json, NULL);
        if (ref->name)
            vr_json_text(json, "name", ref->name);
        vr_json_digest(json, "snapshot", &ref->snapshot);
        vr_json_end(json);
    } else {
        vr_output_text(damaged ? "(damaged)" : hex);
        if (ref->name) {
            vr_output_text(" ");
            vr_output_name(ref->name);
        }
        vr_output_text("\n");
    }
    return vr_output_error() ? -VRIFT_EPIPE : 0;
}

static int refs(const struct vr_arguments *arguments)
{
    vrift_store *store = NULL;
    struct vr_json json = {0}, *form = arguments->json ? &json : NULL;
    int status = vr_locate_store(arguments, false, &store);
    if (status)
        return status;
    if (form)
        vr_json_array(form, NULL);
    int32_t result = vr_options_value(arguments, ALL) ? vrift_snapshot_list(store, print_ref, form)
                                                      : vrift_ref_list(store, print_ref, form);
    if (form && result == 0)
        vr_json_end(form);
    if (result < 0 && !vr_output_error())
        status = vr_report_error(arguments, vrift_store_path(store), result);
    vrift_store_close(store);
    return status;
}

static int set_ref(const struct vr_arguments *arguments, vrift_store *store)
{
    struct vrift_digest id;
    const char *name = arguments->operands[0];
    int status = vr_locate_digest(arguments, store, arguments->operands[1], &id);
    if (status)
        return status;
    int32_t result = vrift_ref_set(store, name, &id);
    if (result == -VRIFT_EINVAL)
        return vr_report_usage(arguments, name, "not a name for a ref");
    return result < 0 ? vr_report_error(arguments, name, result) : 0;
}

static int ref(const struct vr_arguments *arguments)
{
    vrift_store *store = NULL;
    const char *name = arguments->operands[0];
    bool delete = vr_options_value(arguments, DELETE) != NULL;
    if (delete &&arguments->operand_count > 1)
        return vr_report_usage(arguments, arguments->operands[1], "one argument too many");
    int status = vr_locate_store(arguments, false, &store);
    if (status)
        return status;
    if (arguments->operand_count > 1) {
        status = set_ref(arguments, store);
    } else {
        struct vrift_ref found = {.name = NULL};
        int32_t result = delete ? vrift_ref_delete(store, name) : vrift_ref_get(store, name, &found.snapshot);
        if (result == -VRIFT_EINVAL)
            status = vr_report_usage(arguments, name, "not a name for a ref");
        else if (result == -VRIFT_ENOENT)
            status = vr_report_failure(arguments, name, "no such ref");
        else if (result < 0)
            status = vr_report_error(arguments, name, result);
        else if (!delete)
            print_ref(&found, NULL);
    }
    vrift_store_close(store);
    return status;
}

const struct vr_command vr_cmd_refs = {
    .name = "refs",
    .synopses = {"refs [--all]"},
    .summary = "list the names of snapshots",
    .description = "Prints one line a name: the snapshot's id, a space, the name; in the order of names.\n",
    .options = refs_options,
    .max_operands = 0,
    .run = refs,
};

const struct vr_command vr_cmd_ref = {
    .name = "ref",
    .synopses = {"ref NAME SNAP", "ref NAME", "ref -d NAME"},
    .summary = "make, read or remove a name",
    .description = "Makes NAME stand for SNAP, whatever it stood for before; or prints the id that it\n"
                   "stands for; or removes it. A name is 1 to 200 letters, digits, '.', '_', '-' and '/';\n"
                   "no part of it is empty or starts with '.'.\n",
    .options = ref_options,
    .min_operands = 1,
    .max_operands = 2,
    .flags = VR_COMMAND_NO_JSON,
    .run = ref,
};
