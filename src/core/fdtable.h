/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A task's table of descriptors. */
#ifndef VR_FDTABLE_H
#define VR_FDTABLE_H

#include "core/object.h"

/* The highest limit that can be set. */
#define VR_FDTABLE_MOST (1u << 30)

/* An empty table with one reference; NULL without memory. */
struct vr_fdtable *vr_fdtable_new(vrift_vfs *vfs, uint32_t limit);
/* Keeps the memory of a table, whose descriptors may all be closed meanwhile; and lets it go. */
void vr_fdtable_hold(struct vr_fdtable *table);
void vr_fdtable_let_go(vrift_vfs *vfs, struct vr_fdtable *table);

/* Drops a task's reference; the last one closes all. NULL is fine. */
void vr_fdtable_unref(vrift_vfs *vfs, struct vr_fdtable *table);

/* The description behind a descriptor, with a reference; -VRIFT_EBADF. */
int32_t vr_fdtable_get(struct vr_fdtable *table, int32_t fd, vrift_file **out);

/* Likewise unless it was opened with O_PATH. */
int32_t vr_fdtable_get_open(struct vr_fdtable *table, int32_t fd, vrift_file **out);

/* The first descriptor from `from` on that is open, or -1. */
int64_t vr_fdtable_next(struct vr_fdtable *table, uint64_t from);

/* Is that still what the descriptor means? */
bool vr_fdtable_holds(struct vr_fdtable *table, int32_t fd, const vrift_file *file);

/*
 * What was taken out of a table is closed: its POSIX locks go, and then the table's reference. Answers what the
 * backend says to the release, if that was the last one.
 */
int32_t vr_fdtable_closed(struct vr_fdtable *table, vrift_file *file);

/* Takes the lowest free descriptor from `least` on, to be filled or cancelled. -VRIFT_EMFILE, -VRIFT_ENOMEM. */
int32_t vr_fdtable_reserve(vrift_vfs *vfs, struct vr_fdtable *table, int32_t least, int32_t *out);
/* Takes over the reference on file. */
void vr_fdtable_fill(struct vr_fdtable *table, int32_t fd, vrift_file *file, bool cloexec);
void vr_fdtable_cancel(struct vr_fdtable *table, int32_t fd);

/* Takes a descriptor out; its reference is the caller's, for vr_fdtable_closed(). */
int32_t vr_fdtable_remove(struct vr_fdtable *table, int32_t fd, vrift_file **out);

/*
 * Takes the next one from *first to last out that is open, and marked to be closed on exec if `marked`; *first is then
 * behind it. False if there is none.
 */
bool vr_fdtable_remove_next(struct vr_fdtable *table, uint32_t *first, uint32_t last, bool marked, vrift_file **out);

/* Marks what is open from first to last to be closed on exec. */
void vr_fdtable_mark_range(struct vr_fdtable *table, uint32_t first, uint32_t last);

/* Whether a descriptor is marked to be closed on exec, and marks it anew unless `set` is NULL; -VRIFT_EBADF. */
int32_t vr_fdtable_cloexec(struct vr_fdtable *table, int32_t fd, const bool *set);

/* Puts file at fd, taking over the reference; what was there is the caller's, likewise (NULL: nothing). */
int32_t vr_fdtable_replace(vrift_vfs *vfs, struct vr_fdtable *table, int32_t fd, vrift_file *file, bool cloexec,
                           vrift_file **before);

/* A table of its own that holds the same; NULL without memory. */
struct vr_fdtable *vr_fdtable_copy(vrift_vfs *vfs, struct vr_fdtable *from);

#endif
