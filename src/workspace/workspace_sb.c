/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A workspace in process: an overlay of its upper, a directory of the host, over its base, a snapshot. */
#include "workspace/workspace.h"

#include <vrift/backends.h>
#include <vrift/vfs.h>

static int32_t make_lower(vrift_workspace *workspace, vrift_vfs *vfs, vrift_sb **out)
{
    struct vrift_digest id;
    vrift_snapshot *snapshot;
    vr_digest_export(&workspace->base.id, &id);
    int32_t result = vrift_snapshot_open(workspace->store, &id, &snapshot);
    if (result == 0) {
        result = vrift_cas_new(vfs, snapshot, out);
        vrift_snapshot_unref(snapshot);
    }
    return result;
}

static char *own_path(vrift_workspace *workspace)
{
    struct vr_str path = VR_STR_INIT;
    vr_str_append_text(&path, vrift_store_path(workspace->store));
    vr_str_append_text(&path, "/workspaces/");
    vr_str_append_text(&path, workspace->name);
    if (path.failed) {
        vr_str_dispose(&path);
    }
    return path.data;
}

static int32_t make_sb(vrift_workspace *workspace, vrift_vfs *vfs, vrift_sb **out)
{
    char upper[VR_WORKSPACE_DIR_NAME], work[VR_WORKSPACE_DIR_NAME];
    vrift_sb *host = NULL, *base = NULL;
    int32_t result = vr_workspace_reload(workspace);
    char *path = result < 0 ? NULL : own_path(workspace);
    if (!path) {
        return result < 0 ? result : -VRIFT_ENOMEM;
    }
    vr_workspace_base_upper(workspace->base.number, upper);
    vr_workspace_base_work(workspace->base.number, work);
    result = vrift_host_new(vfs, path, NULL, &host);
    vr_alloc_free(NULL, path);
    if (result == 0 && !workspace->base.empty) {
        result = make_lower(workspace, vfs, &base);
    }
    if (result == 0) {
        struct vrift_overlay_layer upper_layer = {.sb = host, .path = upper}, lower_layer = {.sb = base};
        struct vrift_overlay_options options = {
            .size = sizeof(options),
            .lower_count = base ? 1 : 0,
            .lower = &lower_layer,
            .upper = &upper_layer,
            .work = work,
            .flags = workspace->base.user ? VRIFT_OVERLAY_USERXATTR : 0,
        };
        result = vrift_overlay_new(vfs, &options, out);
    }
    vrift_sb_unref(base);
    vrift_sb_unref(host);
    return result;
}

int32_t vrift_workspace_sb(vrift_workspace *workspace, vrift_vfs *vfs, vrift_sb **out)
{
    if (!workspace || !vfs || !out) {
        return -VRIFT_EINVAL;
    }
    vr_os_mutex_lock(&workspace->mutex);
    int32_t result = make_sb(workspace, vfs, out);
    vr_os_mutex_unlock(&workspace->mutex);
    return result;
}
