/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Superblocks: one backend instance each. */
#ifndef VR_SB_H
#define VR_SB_H

#include "core/object.h"

void vr_sb_inode_lock(vrift_sb *sb);
void vr_sb_inode_unlock(vrift_sb *sb);

/* Drops a hold of an inode; the last hold destroys the backend. */
void vr_sb_let_go(vrift_sb *sb);

/* Around each change of names: a look-up that saw one begin does not trust its answer. */
static inline void vr_sb_change_begin(vrift_sb *sb)
{
    atomic_fetch_add(&sb->started, 1);
}
static inline void vr_sb_change_end(vrift_sb *sb)
{
    atomic_fetch_add(&sb->finished, 1);
}

void vr_sb_rename_lock(vrift_sb *sb);
void vr_sb_rename_unlock(vrift_sb *sb);

#endif
