/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Asking a backend what names mean, and keeping the answers. */
#ifndef VR_LOOKUP_H
#define VR_LOOKUP_H

#include "core/dcache.h"

/* Most components asked for in one call. */
#define VR_LOOKUP_BATCH 16u

/*
 * What names[0] means in dir, names[1] in that, and so on; all answers are cached, the first is *out, held, or NULL
 * if there is no such name. Without locks; dir is held.
 */
int32_t vr_lookup_names(struct vr_dentry *dir, const struct vr_component *names, uint32_t count,
                        struct vr_dentry **out);

/* Likewise for one name whose cached answer is too old at `now`. `stale` stays held by the caller. */
int32_t vr_lookup_again(struct vr_dentry *dir, struct vr_dentry *stale, const struct vr_component *name, uint64_t now,
                        struct vr_dentry **out);

/* One name, with dir's inode locked, by the cache if it may be trusted. -VRIFT_ENOENT in a removed directory. */
int32_t vr_lookup_locked(struct vr_dentry *dir, const struct vr_component *name, struct vr_reap *reap,
                         struct vr_dentry **out);

/* A name with its NUL, as backends get it. */
struct vr_lookup_name {
    struct vrift_name name;
    char bytes[VRIFT_NAME_MAX + 1];
};
void vr_lookup_name(struct vr_lookup_name *out, const struct vr_component *name);

#endif
