/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What a backend declares: its capabilities and how stale its answers may be. */
#include <string.h>
#include <sys/stat.h>

#include <vrift/backend.h>
#include <vrift/backends.h>
#include <vrift/error.h>
#include <vrift/snapshot.h>
#include <vrift/store.h>
#include <vrift/vfs.h>
#include <vrift/workspace.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/locate.h"
#include "cli/output.h"
#include "cli/report.h"

static const char *const aspects[] = {
    [VRIFT_ASPECT_NAMES] = "names",
    [VRIFT_ASPECT_ATTRIBUTES] = "attributes",
    [VRIFT_ASPECT_DATA] = "data",
    [VRIFT_ASPECT_LISTINGS] = "listings",
};

static const char *support_word(uint32_t support)
{
    static const char *const words[] = {"none", "emulated", "native"};
    return support < 3 ? words[support] : "?";
}

static const char *source_word(uint32_t source)
{
    static const char *const words[] = {"declared", "configured", "probed", "race-probed"};
    return source < 4 ? words[source] : "?";
}

static void print_text(vrift_sb *sb, const char *kind)
{
    struct vrift_capability capability;
    struct vrift_consistency consistency;
    vr_output_format("backend: %s\n\n%-20s %-9s %-9s %-11s %s\n", kind, "capability", "service", "effective",
                     "known from", "without it");
    for (uint32_t i = 1; i < VRIFT_CAPABILITY_COUNT; i++) {
        if (vrift_sb_capability(sb, i, &capability) < 0)
            continue;
        vr_output_format("%-20s %-9s %-9s %-11s %s\n", vrift_capability_name(i), support_word(capability.service),
                         support_word(capability.effective), source_word(capability.source),
                         capability.effective == VRIFT_SUPPORT_NONE ? vrift_err_name(capability.error) : "");
    }
    vr_output_format("\n%-20s %-23s %s\n", "consistency of", "model", "stale for at most");
    for (uint32_t i = 0; i < VRIFT_ASPECT_COUNT; i++) {
        if (vrift_sb_consistency(sb, i, &consistency) < 0)
            continue;
        vr_output_format("%-20s %-23s ", aspects[i], vrift_consistency_name(consistency.model));
        if (consistency.model == VRIFT_CONSISTENCY_EVENTUAL)
            vr_output_text("nobody knows\n");
        else
            vr_output_format("%.3f ms\n", (double)consistency.max_age_ns / 1e6);
    }
}

static void print_json(vrift_sb *sb, const char *kind)
{
    struct vrift_capability capability;
    struct vrift_consistency consistency;
    struct vr_json json = {0};
    vr_json_object(&json, NULL);
    vr_json_text(&json, "backend", kind);
    vr_json_object(&json, "capabilities");
    for (uint32_t i = 1; i < VRIFT_CAPABILITY_COUNT; i++) {
        if (vrift_sb_capability(sb, i, &capability) < 0)
            continue;
        vr_json_object(&json, vrift_capability_name(i));
        vr_json_text(&json, "service", support_word(capability.service));
        vr_json_text(&json, "effective", support_word(capability.effective));
        vr_json_text(&json, "source", source_word(capability.source));
        if (capability.effective == VRIFT_SUPPORT_NONE)
            vr_json_text(&json, "error", vrift_err_name(capability.error));
        vr_json_end(&json);
    }
    vr_json_end(&json);
    vr_json_object(&json, "consistency");
    for (uint32_t i = 0; i < VRIFT_ASPECT_COUNT; i++) {
        if (vrift_sb_consistency(sb, i, &consistency) < 0)
            continue;
        vr_json_object(&json, aspects[i]);
        vr_json_text(&json, "model", vrift_consistency_name(consistency.model));
        vr_json_number(&json, "max_age_ns", consistency.max_age_ns);
        vr_json_end(&json);
    }
    vr_json_end(&json);
    vr_json_end(&json);
}

/* The superblock of a workspace or a snapshot of the store. */
static int open_stored(const struct vr_arguments *arguments, vrift_vfs *vfs, const char *name, bool is_workspace,
                       vrift_sb **out)
{
    vrift_store *store = NULL;
    int status = vr_locate_store(arguments, false, &store);
    if (status)
        return status;
    int32_t result = 0;
    if (is_workspace) {
        vrift_workspace *workspace = NULL;
        result = vrift_workspace_open(store, name, &workspace);
        if (result == 0)
            result = vrift_workspace_sb(workspace, vfs, out);
        vrift_workspace_close(workspace);
    } else {
        vrift_snapshot *snapshot = NULL;
        status = vr_locate_snapshot(arguments, store, name, &snapshot);
        if (status == 0)
            result = vrift_cas_new(vfs, snapshot, out);
        vrift_snapshot_unref(snapshot);
    }
    if (result < 0)
        status = vr_report_error(arguments, name, result);
    vrift_store_close(store);
    return status;
}

static int open_backend(const struct vr_arguments *arguments, vrift_vfs *vfs, const char *what, vrift_sb **out,
                        const char **kind)
{
    struct stat there;
    bool is_dir = strncmp(what, "dir:", 4) == 0;
    const char *path = is_dir ? what + 4 : what;
    if (strcmp(what, "mem:") == 0) {
        *kind = "mem";
        int32_t result = vrift_mem_new(vfs, NULL, out);
        return result < 0 ? vr_report_error(arguments, what, result) : 0;
    }
    if (strstr(what, "://") || strncmp(what, "overlay:", 8) == 0)
        return vr_report_not_built(arguments, what);
    if (strncmp(what, "ws:", 3) == 0 || strncmp(what, "snap:", 5) == 0) {
        bool is_workspace = what[0] == 'w';
        *kind = is_workspace ? "overlay" : "cas";
        return open_stored(arguments, vfs, strchr(what, ':') + 1, is_workspace, out);
    }
    if (is_dir || stat(path, &there) == 0 || path[0] == '/' || path[0] == '.') {
        *kind = "host";
        int32_t result = vrift_host_new(vfs, path, NULL, out);
        return result < 0 ? vr_report_error(arguments, path, result) : 0;
    }
    *kind = "cas";
    return open_stored(arguments, vfs, what, false, out);
}

static int caps(const struct vr_arguments *arguments)
{
    vrift_vfs *vfs = NULL;
    vrift_sb *sb = NULL;
    const char *kind = "";
    int32_t result = vrift_vfs_new(NULL, &vfs);
    if (result < 0)
        return vr_report_error(arguments, NULL, result);
    int status = open_backend(arguments, vfs, arguments->operands[0], &sb, &kind);
    if (status == 0 && arguments->json)
        print_json(sb, kind);
    else if (status == 0)
        print_text(sb, kind);
    vrift_sb_unref(sb);
    vrift_vfs_free(vfs);
    return status;
}

const struct vr_command vr_cmd_caps = {
    .name = "caps",
    .synopses = {"caps DIR|SNAP|mem:|dir:DIR|snap:SNAP|ws:NAME"},
    .summary = "print what a backend can do and how stale its answers may be",
    .description = "Prints a row for each capability: what the service below can do, what a caller gets\n"
                   "(emulated at a cost, perhaps), where the knowledge comes from, and the error that a\n"
                   "caller gets without it. Then how stale each kind of answer may be. A directory is the\n"
                   "host backend, a snapshot cas, a workspace overlay.\n",
    .min_operands = 1,
    .max_operands = 1,
    .run = caps,
};
