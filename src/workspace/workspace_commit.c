/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Commit: the state becomes a snapshot, and the snapshot the base. */
#include "workspace/workspace.h"

#include "core/copyin.h"

/*
 * The snapshot is published before the base file names it, and the upper that it came from goes last: at each moment
 * the base file names a pair that together shows the state.
 */
static int32_t commit_locked(vrift_workspace *workspace, const struct vrift_import_options *options,
                             struct vrift_import_result *out, struct vrift_error_detail *detail)
{
    struct vr_workspace_base base = workspace->base;
    int32_t result = vr_workspace_state_store(workspace, options, out, detail);
    if (result < 0) {
        return result;
    }
    base.empty = false;
    base.number++;
    result = vr_digest_import(&out->snapshot, &base.id);
    if (result == 0) {
        result = vr_workspace_base_make_pair(workspace->store, workspace->dir, &base, -1);
    }
    if (result == 0) {
        result = vr_workspace_replace(workspace, &base);
    }
    return result < 0 ? vr_error_fill(detail, result, "commit", workspace->name, NULL) : 0;
}

static int32_t commit(vrift_workspace *workspace, const struct vrift_import_options *options,
                      struct vrift_import_result *out, struct vrift_error_detail *detail)
{
    struct vr_workspace_hold hold;
    int32_t result = vr_workspace_hold(workspace, &hold);
    if (result < 0) {
        return vr_error_fill(detail, result, "commit", workspace->name,
                             result == -VRIFT_EBUSY ? "the workspace is in use" : NULL);
    }
    result = commit_locked(workspace, options, out, detail);
    vr_workspace_release(&hold);
    return result;
}

int32_t vrift_workspace_commit(vrift_workspace *workspace, const struct vrift_import_options *options,
                               struct vrift_import_result *out)
{
    struct vrift_import_options ours;
    struct vrift_import_result found;
    struct vrift_error_detail detail = {0};
    int32_t result = VR_COPYIN(&ours, options);
    if (result < 0) {
        return result;
    }
    if (!workspace || ours.flags & ~VRIFT_IMPORT_TIMELESS) {
        return -VRIFT_EINVAL;
    }
    vr_os_mutex_lock(&workspace->mutex);
    result = commit(workspace, &ours, &found, &detail);
    vr_os_mutex_unlock(&workspace->mutex);
    if (result == 0 && out) {
        *out = found;
    }
    vr_error_publish(&detail);
    return result;
}
