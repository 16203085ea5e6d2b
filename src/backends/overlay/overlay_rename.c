/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Rename, as the kernel's overlayfs without redirect_dir: everything involved is copied up, a directory with a lower
 * part stays where it is (-VRIFT_EXDEV), and where a lower layer would show the old name a whiteout appears in the
 * same step in which it goes.
 */
#include "backends/overlay/overlay.h"

struct move {
    struct vr_overlay *overlay;
    struct vr_overlay_node *old_dir, *node, *new_dir, *victim;
    const struct vrift_name *old_name, *new_name;
    uint64_t flags;
    int32_t state; /* of the new name in the upper */
    int32_t below; /* a lower layer shows the old name */
};

static bool has_lower_part(const struct vr_overlay_node *node)
{
    return vr_overlay_is_dir(node) && node->lower_count > 0;
}

/* In the upper, with flags of its own. */
static int32_t upper_rename(const struct move *move, uint64_t flags)
{
    return vrift_renameat2(vr_overlay_upper_task(move->overlay), move->old_dir->upper, move->old_name->bytes,
                           move->new_dir->upper, move->new_name->bytes, flags);
}

/* A directory that comes to where lower layers are must not merge with what they may have under its new name. */
static int32_t make_opaque(struct vr_overlay *overlay, struct vr_overlay_node *node, const struct vr_overlay_node *dir)
{
    if (!vr_overlay_is_dir(node) || !dir->lower_count || node->opaque) {
        return 0;
    }
    int32_t result = vr_overlay_copyup_set_opaque(overlay, node->upper, ".");
    if (result == 0) {
        node->opaque = true;
    }
    return result;
}

/* A victim directory shows nothing, but its upper part may hold whiteouts: an empty opaque one takes its place. */
static int32_t clear_victim(struct move *move)
{
    struct vr_overlay *overlay = move->overlay;
    vrift_task *task = vr_overlay_upper_task(overlay);
    char temporary[32];
    int32_t result = vr_overlay_readdir_empty(overlay, move->victim);
    if (result < 0 || move->state != VR_OVERLAY_ENTRY) {
        return result;
    }
    vr_overlay_copyup_temporary(overlay, temporary);
    result = vrift_mkdirat(task, overlay->work, temporary, 0700);
    if (result == 0 && move->new_dir->lower_count) {
        result = vr_overlay_copyup_set_opaque(overlay, overlay->work, temporary);
    }
    if (result == 0) {
        result = vrift_renameat2(task, overlay->work, temporary, move->new_dir->upper, move->new_name->bytes,
                                 VRIFT_RENAME_EXCHANGE);
    }
    int32_t cleaned = vr_overlay_names_clean(overlay, temporary);
    return result < 0 ? result : cleaned;
}

/* The upper cannot leave a whiteout by itself: bring one to the new name and let the two change places. */
static int32_t move_leaving_whiteout_by_exchange(struct move *move)
{
    struct vr_overlay *overlay = move->overlay;
    vrift_task *task = vr_overlay_upper_task(overlay);
    if (move->state == VR_OVERLAY_NOTHING) {
        int32_t result = vr_overlay_names_whiteout(overlay, move->new_dir->upper, move->new_name->bytes);
        if (result < 0) {
            return result;
        }
        result = upper_rename(move, VRIFT_RENAME_EXCHANGE);
        if (result < 0) {
            vrift_unlinkat(task, move->new_dir->upper, move->new_name->bytes, 0);
        }
        return result;
    }
    /* Two steps: a crash between them leaves the old name to what lies below. */
    int32_t result = upper_rename(move, 0);
    return result ? result : vr_overlay_names_whiteout(overlay, move->old_dir->upper, move->old_name->bytes);
}

static int32_t move_in_upper(struct move *move)
{
    struct vr_overlay *overlay = move->overlay;
    if (move->state == VR_OVERLAY_WHITEOUT && (move->below || vr_overlay_is_dir(move->node))) {
        /* The whiteout at the new name goes where one is needed, or at least out of a directory's way. */
        int32_t result = upper_rename(move, VRIFT_RENAME_EXCHANGE);
        if (result == 0 && !move->below) {
            result = vrift_unlinkat(vr_overlay_upper_task(overlay), move->old_dir->upper, move->old_name->bytes, 0);
        }
        return result;
    }
    if (!move->below) {
        return upper_rename(move, 0);
    }
    int32_t result = upper_rename(move, VRIFT_RENAME_WHITEOUT);
    return result == -VRIFT_EINVAL || result == -VRIFT_EOPNOTSUPP ? move_leaving_whiteout_by_exchange(move) : result;
}

static int32_t replace(struct move *move)
{
    struct vr_overlay *overlay = move->overlay;
    struct vrift_stat stat;
    move->state = vr_overlay_lookup_upper(overlay, move->new_dir, move->new_name->bytes, &stat);
    if (move->state < 0) {
        return move->state;
    }
    if (move->flags & VRIFT_RENAME_NOREPLACE) {
        int32_t hidden = move->state == VR_OVERLAY_NOTHING
                             ? vr_overlay_lookup_lower(overlay, move->new_dir, move->new_name->bytes)
                             : move->state == VR_OVERLAY_ENTRY;
        if (hidden) {
            return hidden < 0 ? hidden : -VRIFT_EEXIST;
        }
    }
    int32_t result = move->victim && vr_overlay_is_dir(move->victim) ? clear_victim(move) : 0;
    if (result == 0) {
        result = make_opaque(overlay, move->node, move->new_dir);
    }
    if (result == 0) {
        result = move->below = vr_overlay_lookup_lower(overlay, move->old_dir, move->old_name->bytes);
    }
    return result < 0 ? result : move_in_upper(move);
}

static int32_t exchange(struct move *move)
{
    int32_t result = make_opaque(move->overlay, move->node, move->new_dir);
    if (result == 0) {
        result = make_opaque(move->overlay, move->victim, move->old_dir);
    }
    return result ? result : upper_rename(move, VRIFT_RENAME_EXCHANGE);
}

static void note(struct move *move)
{
    struct vr_overlay *overlay = move->overlay;
    const struct vrift_name *old = move->old_name, *fresh = move->new_name;
    vr_overlay_readdir_drop(overlay, move->old_dir, old->bytes, old->length);
    vr_overlay_readdir_add(overlay, move->new_dir, fresh->bytes, fresh->length, move->node->type, move->node->ino);
    if (move->flags & VRIFT_RENAME_EXCHANGE) {
        vr_overlay_readdir_add(overlay, move->old_dir, old->bytes, old->length, move->victim->type, move->victim->ino);
    } else if (move->victim) {
        vr_overlay_node_lose_name(overlay, move->victim);
    }
}

static int32_t prepare(struct move *move)
{
    struct vr_overlay *overlay = move->overlay;
    bool swap = move->flags & VRIFT_RENAME_EXCHANGE;
    if (has_lower_part(move->node) || (swap && has_lower_part(move->victim))) {
        return -VRIFT_EXDEV;
    }
    int32_t result = vr_overlay_copyup(overlay, move->node, VR_OVERLAY_ALL_DATA);
    if (result == 0) {
        result = vr_overlay_copyup(overlay, move->old_dir, VR_OVERLAY_ALL_DATA);
    }
    if (result == 0) {
        result = vr_overlay_copyup(overlay, move->new_dir, VR_OVERLAY_ALL_DATA);
    }
    return result < 0 || !swap ? result : vr_overlay_copyup(overlay, move->victim, VR_OVERLAY_ALL_DATA);
}

/* In an order of their own; see overlay.h for why no cycle can arise. */
static void lock_names(struct move *move, bool lock)
{
    struct vr_overlay_node *nodes[3] = {move->old_dir, move->new_dir, NULL};
    if (move->old_dir->id > move->new_dir->id) {
        nodes[0] = move->new_dir;
        nodes[1] = move->old_dir;
    }
    if (nodes[0] == nodes[1]) {
        nodes[1] = NULL;
    }
    if (move->victim && vr_overlay_is_dir(move->victim) && !(move->flags & VRIFT_RENAME_EXCHANGE)) {
        nodes[2] = move->victim;
    }
    for (int i = 0; i < 3; i++) {
        if (nodes[i] && lock) {
            vr_os_rwlock_write(&nodes[i]->names);
        } else if (nodes[i]) {
            vr_os_rwlock_unlock(&nodes[i]->names);
        }
    }
}

int32_t VRIFT_CALLBACK vr_overlay_rename(void *self, const struct vrift_node *old_dir,
                                         const struct vrift_name *old_name, const struct vrift_node *node,
                                         const struct vrift_node *new_dir, const struct vrift_name *new_name,
                                         const struct vrift_node *victim, uint64_t flags)
{
    struct move move = {
        .overlay = self,
        .old_dir = vr_overlay_node_of(old_dir),
        .node = vr_overlay_node_of(node),
        .new_dir = vr_overlay_node_of(new_dir),
        .victim = victim ? vr_overlay_node_of(victim) : NULL,
        .old_name = old_name,
        .new_name = new_name,
        .flags = flags,
    };
    bool swap = flags & VRIFT_RENAME_EXCHANGE;
    if (flags & ~(VRIFT_RENAME_NOREPLACE | VRIFT_RENAME_EXCHANGE) || (swap && flags & VRIFT_RENAME_NOREPLACE)) {
        return -VRIFT_EINVAL;
    }
    if (swap && !victim) {
        return -VRIFT_ENOENT;
    }
    if (move.node == move.victim) {
        return 0; /* two names of one inode */
    }
    int32_t result = prepare(&move);
    if (result < 0) {
        return result;
    }
    lock_names(&move, true);
    result = swap ? exchange(&move) : replace(&move);
    if (result == 0) {
        note(&move);
    }
    lock_names(&move, false);
    return result;
}
