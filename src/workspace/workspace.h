/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Workspaces on disk (docs/formats.md, "Workspaces"):
 *
 *   workspaces/NAME/base      which snapshot, and which upper is the current one
 *   workspaces/NAME/upper-N   the upper, in the kernel's overlayfs format
 *   workspaces/NAME/work-N    its work directory
 *   workspaces/NAME/lock      locked (flock) by who uses or replaces the upper
 *
 * Base and upper belong together, so they change in one step: whatever replaces them (commit, discard, ingest) makes
 * upper-(N+1) and work-(N+1) first, then renames a new base file into place, and then removes upper-N. A crash before
 * the rename leaves the old pair and a stray new one, a crash after it the new pair and a stray old one; strays are
 * what the base file does not name, and are removed by the next opener that gets the lock.
 */
#ifndef VR_WORKSPACE_H
#define VR_WORKSPACE_H

#include <vrift/error.h>
#include <vrift/snapshot.h>
#include <vrift/store.h>
#include <vrift/workspace.h>

#include "core/alloc.h"
#include "core/error.h"
#include "core/str.h"
#include "platform/os.h"
#include "store/digest.h"
#include "store/store.h"

#include <stdbool.h>

#define VR_WORKSPACE_VERSION  1
#define VR_WORKSPACE_NAME_MAX 100
#define VR_WORKSPACE_DIR_NAME 32 /* "upper-" or "work-", 20 digits, NUL */

/* What the base file says. */
struct vr_workspace_base {
    bool empty; /* no snapshot: the tree starts empty */
    bool user;  /* overlay attributes are in "user." */
    struct vr_digest id;
    uint64_t number; /* of the current upper and work */
};

/* A string that a caller of vrift_workspace_info() may still hold. */
struct vr_workspace_text {
    struct vr_workspace_text *next;
    char *text;
};

struct vrift_workspace {
    vrift_store *store; /* owns a reference */
    char *name;
    int dir;           /* descriptor of workspaces/NAME */
    int lock;          /* descriptor of the lock file while vrift_workspace_lock() holds it, -1; guarded by mutex */
    vr_os_mutex mutex; /* held over every public call: guards all below */
    struct vr_workspace_base base;
    char *upper, *work; /* host paths of the current ones, in texts */
    struct vr_workspace_text *texts;
    bool has_checkout;               /* of this handle, for ingest */
    struct vrift_timespec checkout;  /* files that changed before this moment are as they were restored */
    struct vr_digest checkout_state; /* the state that was restored */
};

/* -- workspace_base.c --------------------------------------------------------------------------------------------- */

void vr_workspace_base_upper(uint64_t number, char out[VR_WORKSPACE_DIR_NAME]);
void vr_workspace_base_work(uint64_t number, char out[VR_WORKSPACE_DIR_NAME]);

/* Reads workspaces/NAME/base. 0; -VRIFT_ENOENT; -VRIFT_EUCLEAN; -VRIFT_EOPNOTSUPP for a newer version. */
int32_t vr_workspace_base_read(int dir, struct vr_workspace_base *out);
int32_t vr_workspace_base_write(vrift_store *store, int dir, const struct vr_workspace_base *base);

/* The name of an overlay attribute ("opaque") in the workspace's namespace. */
const char *vr_workspace_base_mark(const struct vr_workspace_base *base, const char *what, char out[64]);

/* Which namespace the file system of dir lets us use; -VRIFT_EOPNOTSUPP if neither, or no whiteouts. */
int32_t vr_workspace_base_probe(int dir, bool *user);

/*
 * Makes upper-N and work-N of base->number, the upper's root with the attributes of the snapshot's root, or of the
 * directory `like` if that is not -1.
 */
int32_t vr_workspace_base_make_pair(vrift_store *store, int dir, const struct vr_workspace_base *base, int like);

/* -- workspace.c -------------------------------------------------------------------------------------------------- */

/* Reads the base file again: another process may have replaced it. */
int32_t vr_workspace_reload(vrift_workspace *workspace);

/* Locks the workspace for one operation, unless this handle has it locked anyway. -VRIFT_EBUSY. */
struct vr_workspace_hold {
    int fd;
};
int32_t vr_workspace_hold(vrift_workspace *workspace, struct vr_workspace_hold *hold);
void vr_workspace_release(struct vr_workspace_hold *hold);

/* Makes a base whose pair exists the current one, and removes the pair before. Under the lock. */
int32_t vr_workspace_replace(vrift_workspace *workspace, const struct vr_workspace_base *base);

/* Removes uppers and work directories that are not the current ones. Under the lock. */
void vr_workspace_sweep(vrift_workspace *workspace);

/* Opens the current upper's root. */
int32_t vr_workspace_open_upper(vrift_workspace *workspace);

/* -- workspace_state.c: the tree that the workspace shows --------------------------------------------------------- */

/*
 * Stores the workspace's present state as a snapshot of the store, without making it the base. Costs what changed.
 * Timeless as its base, or as asked if it has none.
 */
int32_t vr_workspace_state_store(vrift_workspace *workspace, const struct vrift_import_options *options,
                                 struct vrift_import_result *out, struct vrift_error_detail *detail);

/* -- workspace_compare.c ------------------------------------------------------------------------------------------ */

struct vr_workspace_comparison {
    vrift_snapshot *base; /* borrowed */
    bool timeless;
    uint8_t *buffer; /* NULL until needed */
};

/*
 * 1 if name in dir has the same content (data, target, device number) or attributes (mode, owner, time, xattrs) as the
 * entry of the base, whose attributes before are, 0 if not, or an error. Both are of one type.
 */
int32_t vr_workspace_compare_content(struct vr_workspace_comparison *comparison, int dir, const char *name,
                                     uint64_t base, const struct vrift_stat *before, const struct vrift_stat *after);
int32_t vr_workspace_compare_attributes(struct vr_workspace_comparison *comparison, int dir, const char *name,
                                        uint64_t base, const struct vrift_stat *before, const struct vrift_stat *after);
void vr_workspace_compare_dispose(struct vr_workspace_comparison *comparison);

#endif
