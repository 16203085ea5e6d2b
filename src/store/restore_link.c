/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Hard links within a restored tree. Each inode that has several names is made in a staging directory, whichever
 * thread comes upon it first, and every name is a link to that: so nobody needs to find an earlier name again, in a
 * directory that may be closed, finished without search permission, or too deep for a path.
 */
#include "store/restore.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum state { FREE, MAKING, MADE, SKIPPED, FAILED };

static size_t slot_of(const struct vr_restore_inode *inodes, size_t slots, uint64_t device, uint64_t number)
{
    uint64_t hash = (number ^ device << 32 ^ device >> 32) * 0x9e3779b97f4a7c15u;
    size_t at = (size_t)(hash >> 20) & (slots - 1);
    while (inodes[at].state != FREE && (inodes[at].number != number || inodes[at].device != device))
        at = (at + 1) & (slots - 1);
    return at;
}

/* Makes room for one more. 0 or -VRIFT_ENOMEM. links_lock is held. */
static int32_t grow(struct vr_restore *restore)
{
    if (restore->inode_count * 2 < restore->inode_slots)
        return 0;
    size_t slots = restore->inode_slots ? restore->inode_slots * 2 : 256;
    struct vr_restore_inode *inodes = calloc(slots, sizeof *inodes);
    if (!inodes)
        return -VRIFT_ENOMEM;
    for (size_t i = 0; i < restore->inode_slots; i++) {
        const struct vr_restore_inode *old = &restore->inodes[i];
        if (old->state != FREE)
            inodes[slot_of(inodes, slots, old->device, old->number)] = *old;
    }
    free(restore->inodes);
    restore->inodes = inodes;
    restore->inode_slots = slots;
    return 0;
}

/* The inode's state, MAKING meaning that the caller is to make it; waits while another does. Or an error. */
static int32_t claim(struct vr_restore *restore, uint64_t device, uint64_t number)
{
    vr_os_mutex_lock(&restore->links_lock);
    int32_t result = grow(restore);
    while (!result) {
        struct vr_restore_inode *inode =
            &restore->inodes[slot_of(restore->inodes, restore->inode_slots, device, number)];
        if (inode->state == FREE) {
            *inode = (struct vr_restore_inode){device, number, MAKING};
            restore->inode_count++;
            result = MAKING;
        } else if (inode->state != MAKING) {
            result = (int32_t)inode->state;
        } else {
            vr_os_cond_wait(&restore->links_cond, &restore->links_lock);
        }
    }
    vr_os_mutex_unlock(&restore->links_lock);
    return result;
}

static void settle(struct vr_restore *restore, uint64_t device, uint64_t number, enum state state)
{
    vr_os_mutex_lock(&restore->links_lock);
    restore->inodes[slot_of(restore->inodes, restore->inode_slots, device, number)].state = state;
    vr_os_cond_broadcast(&restore->links_cond);
    vr_os_mutex_unlock(&restore->links_lock);
}

int32_t vr_restore_linked(struct vr_restore *restore, uint64_t device, uint64_t number, int dirfd, const char *name,
                          vr_restore_make make, void *payload)
{
    char staged[40];
    snprintf(staged, sizeof staged, "%llx-%llx", (unsigned long long)device, (unsigned long long)number);
    int32_t state = claim(restore, device, number);
    if (state < 0)
        return state;
    if (state == MAKING) {
        int32_t result = make(payload, restore->staging, staged);
        state = result < 0 ? FAILED : result == 0 ? MADE : SKIPPED;
        settle(restore, device, number, (enum state)state);
        if (result)
            return result;
    }
    if (state == SKIPPED)
        return 1;
    if (state == FAILED)
        return -VRIFT_ECANCELED; /* who failed has told why */
    return linkat(restore->staging, staged, dirfd, name, 0) < 0 ? vrift_err_from_host_errno(errno) : 0;
}
