/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Restoring the state of a workspace, for commands that cannot see a mount. */
#include "workspace/workspace.h"

#include "platform/fileops.h"

/* A file whose last change is earlier than this has not been touched since: the clock that stamps files, now. */
static int32_t remember_checkout(vrift_workspace *workspace, const struct vr_digest *state)
{
    struct vrift_stat stat;
    int32_t result = vr_fileops_write_file(workspace->dir, "stamp", "", 0, 0600, 0);
    if (result == 0) {
        result = vr_fileops_stat(workspace->dir, "stamp", &stat);
    }
    workspace->has_checkout = result == 0;
    if (result == 0) {
        workspace->checkout = stat.ctime;
        workspace->checkout_state = *state;
    }
    return 0;
}

static int32_t checkout(vrift_workspace *workspace, const char *dest, const struct vrift_checkout_options *options,
                        struct vrift_checkout_result *out, struct vrift_error_detail *detail)
{
    struct vrift_import_result state;
    struct vr_digest id;
    vrift_snapshot *snapshot;
    int32_t result = vr_workspace_reload(workspace);
    if (result < 0) {
        return vr_error_fill(detail, result, "read workspace", workspace->name, NULL);
    }
    result = vr_workspace_state_store(workspace, NULL, &state, detail);
    if (result < 0) {
        return result;
    }
    result = vrift_snapshot_open(workspace->store, &state.snapshot, &snapshot);
    if (result < 0) {
        vrift_error_detail(detail);
        return result;
    }
    result = vrift_checkout(snapshot, dest, options, out);
    vrift_snapshot_unref(snapshot);
    if (result < 0) {
        vrift_error_detail(detail);
        return result;
    }
    vr_digest_import(&state.snapshot, &id);
    return remember_checkout(workspace, &id);
}

int32_t vrift_workspace_checkout(vrift_workspace *workspace, const char *dest,
                                 const struct vrift_checkout_options *options, struct vrift_checkout_result *out)
{
    struct vrift_error_detail detail = {0};
    if (!workspace || !dest) {
        return -VRIFT_EINVAL;
    }
    vr_os_mutex_lock(&workspace->mutex);
    int32_t result = checkout(workspace, dest, options, out, &detail);
    vr_os_mutex_unlock(&workspace->mutex);
    vr_error_publish(&detail);
    return result;
}
