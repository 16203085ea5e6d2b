/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The inside of vrift_workspace_ingest(), for the files that make it up. */
#ifndef VR_WORKSPACE_INGEST_H
#define VR_WORKSPACE_INGEST_H

#include "platform/fileops.h"
#include "workspace/workspace.h"

#define VR_WORKSPACE_NO_ENTRY UINT64_MAX

/* A file that is linked here or in the base. */
struct vr_workspace_linked {
    char *path;
    uint64_t dev, ino;   /* on the host */
    uint64_t base_inode; /* VR_WORKSPACE_NO_ENTRY */
    size_t order;
    bool same; /* as the base's entry of this path */
};

/* One directory being taken over. */
struct vr_workspace_intake {
    vrift_workspace *workspace;
    struct vr_workspace_base next; /* the pair that is being made */
    struct vr_workspace_comparison comparison;
    vrift_snapshot *state; /* what was restored, NULL: unknown */
    bool state_is_base;
    bool privileged; /* owners are kept and compared */
    int host, upper, old_upper;
    struct vr_str path;
    char **made; /* directories of the new upper, parents first */
    size_t made_count, made_capacity;
    struct vr_workspace_linked *linked;
    size_t linked_count, linked_capacity;
    uint8_t *claimed; /* a bit for each inode of the base that some group of names already stands for */
    struct vr_fileops_ladder ladder;
    struct vrift_progress progress;
    const struct vrift_import_options *options;
    struct vrift_error_detail *detail;
};

/* Fills the detail with the path being looked at; returns error. */
int32_t vr_workspace_ingest_fail(struct vr_workspace_intake *intake, int32_t error, const char *reason);

/* Notes that a directory was made in the new upper, to be given its attributes at the end. */
int32_t vr_workspace_ingest_made(struct vr_workspace_intake *intake, const char *path, size_t length);

/* -- workspace_place.c -------------------------------------------------------------------------------------------- */

/* Makes a copy of a file of the host, attributes and all. */
int32_t vr_workspace_place(struct vr_workspace_intake *intake, int from, const char *from_name, int to,
                           const char *to_name, const struct vrift_stat *stat);

/* Copies the xattrs that a snapshot keeps; "" is the descriptor itself. */
int32_t vr_workspace_place_xattrs(int from, const char *from_name, int to, const char *to_name);
int32_t vr_workspace_place_attributes(struct vr_workspace_intake *intake, int dir, const char *name,
                                      const struct vrift_stat *stat);

/* -- workspace_links.c -------------------------------------------------------------------------------------------- */

/* Puts the file at intake->path off until all links are known. */
int32_t vr_workspace_links_defer(struct vr_workspace_intake *intake, const struct vrift_stat *stat, uint64_t base_inode,
                                 bool same);

/* Places what was put off, linked as on the host. */
int32_t vr_workspace_links_settle(struct vr_workspace_intake *intake);

#endif
