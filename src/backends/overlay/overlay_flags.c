/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The flags of files and directories. Immutable and append-only ones of the upper are kept as the kernel's overlayfs
 * keeps them, in the attribute overlay.protattr ("a", "i"), and are in force for who comes through the overlay alone:
 * really immutable things could neither be moved out of work nor be copied up into.
 */
#include "backends/overlay/overlay.h"

#include <stdio.h>

#define STRONG   (VRIFT_FL_IMMUTABLE | VRIFT_FL_APPEND)
#define PROTATTR "protattr"
#define LETTERS  8 /* more than there are */

static void key_of(const struct vr_overlay *overlay, char key[64])
{
    snprintf(key, 64, "%s" PROTATTR, overlay->prefix);
}

/* What cannot be read is no protection, as with the kernel, but may be one the next time: UNKNOWN. */
static uint32_t read_protection(const struct vr_overlay *overlay, int32_t upper)
{
    char key[64], letters[LETTERS];
    uint32_t flags = 0;
    key_of(overlay, key);
    int64_t length = vrift_getxattrat(vr_overlay_upper_task(overlay), upper, "", key, letters, sizeof(letters),
                                      VRIFT_AT_EMPTY_PATH | VRIFT_AT_OPATH);
    if (length < 0 && length != -VRIFT_ENODATA && length != -VRIFT_EOPNOTSUPP) {
        return VR_OVERLAY_FLAGS_UNKNOWN;
    }
    for (int64_t i = 0; i < length; i++) {
        flags |= letters[i] == 'i' ? VRIFT_FL_IMMUTABLE : letters[i] == 'a' ? VRIFT_FL_APPEND : 0;
    }
    return flags;
}

static bool has_flags(const struct vr_overlay_node *node)
{
    return node->type == VRIFT_S_IFREG || node->type == VRIFT_S_IFDIR;
}

void vr_overlay_flags_show(struct vr_overlay *overlay, struct vr_overlay_node *node, struct vrift_stat *stat)
{
    int32_t upper = node->upper;
    if (!has_flags(node)) {
        return;
    }
    stat->mask |= VRIFT_STAT_FLAGS;
    if (upper < 0) {
        return;
    }
    uint32_t flags = overlay->shared ? VR_OVERLAY_FLAGS_UNKNOWN : atomic_load(&node->flags);
    if (flags == VR_OVERLAY_FLAGS_UNKNOWN) {
        flags = read_protection(overlay, upper);
        atomic_store(&node->flags, flags);
    }
    if (flags != VR_OVERLAY_FLAGS_UNKNOWN) {
        stat->attributes |= flags;
    }
}

static int32_t protect(struct vr_overlay *overlay, int32_t fd, uint64_t flags)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    char key[64], letters[LETTERS];
    size_t length = 0;
    key_of(overlay, key);
    if (flags & VRIFT_FL_APPEND) {
        letters[length++] = 'a';
    }
    if (flags & VRIFT_FL_IMMUTABLE) {
        letters[length++] = 'i';
    }
    if (length) {
        return vrift_setxattrat(task, fd, "", key, letters, length, VRIFT_AT_EMPTY_PATH | VRIFT_AT_OPATH);
    }
    int32_t result = vrift_removexattrat(task, fd, "", key, VRIFT_AT_EMPTY_PATH | VRIFT_AT_OPATH);
    return result == -VRIFT_ENODATA ? 0 : result;
}

/* The others are the upper's own; one that has none can at least do without. */
static int32_t set_weak(struct vr_overlay *overlay, int32_t fd, uint64_t flags)
{
    int32_t result =
        vrift_setflags(vr_overlay_upper_task(overlay), fd, "", flags & ~STRONG, VRIFT_AT_EMPTY_PATH | VRIFT_AT_OPATH);
    if (result == -VRIFT_ENOTTY || result == -VRIFT_EOPNOTSUPP) {
        return flags & ~STRONG ? result : 0;
    }
    return result;
}

int32_t vr_overlay_flags_set(struct vr_overlay *overlay, struct vr_overlay_node *node, uint64_t flags)
{
    int32_t upper = node->upper;
    int32_t result = set_weak(overlay, upper, flags);
    if (result == 0) {
        result = protect(overlay, upper, flags);
    }
    atomic_store(&node->flags, result == 0 ? (uint32_t)(flags & STRONG) : VR_OVERLAY_FLAGS_UNKNOWN);
    return result;
}

int32_t vr_overlay_flags_copy(struct vr_overlay *overlay, const struct vrift_stat *from, int32_t to)
{
    uint64_t flags =
        from->mask & VRIFT_STAT_FLAGS ? from->attributes & (STRONG | VRIFT_FL_NODUMP | VRIFT_FL_NOATIME) : 0;
    if (flags & ~STRONG) {
        set_weak(overlay, to, flags); /* whose loss harms nobody */
    }
    return flags & STRONG ? protect(overlay, to, flags) : 0;
}
