/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/lookup.h"

#include "core/dcachehot.h"
#include "core/dispatch.h"
#include "core/inode.h"
#include "core/mnttree.h"
#include "core/notify.h"

#include <assert.h>
#include <string.h>

#define PERMISSION_MASK (VRIFT_STAT_TYPE | VRIFT_STAT_MODE | VRIFT_STAT_UID | VRIFT_STAT_GID)

/* Answers made into dentries that are not in the cache yet; the last may be negative. */
struct answer {
    struct vr_dentry *fresh[VR_LOOKUP_BATCH];
    uint32_t count;
    uint64_t asked_ns;
    uint64_t invalidated, attr_changes; /* the superblock's counters before */
    struct vr_reap spares;              /* what holds the nodes of inodes that were known already */
};

void vr_lookup_name(struct vr_lookup_name *out, const struct vr_component *name)
{
    assert(name->length <= VRIFT_NAME_MAX);
    memcpy(out->bytes, name->name, name->length);
    out->bytes[name->length] = '\0';
    out->name = (struct vrift_name){out->bytes, name->length, name->hash};
}

/* A dentry for one answer. The entry's node is taken, also on failure. */
static int32_t make_positive(vrift_sb *sb, const struct vr_component *name, const struct vrift_entry *entry,
                             struct answer *answer, struct vr_dentry **out)
{
    uint64_t asked_ns = answer->asked_ns;
    struct vr_inode *fresh = vr_inode_new(sb);
    struct vr_dentry *dentry = vr_dcache_new(sb, name);
    if (!fresh || !dentry) {
        vr_inode_discard(fresh);
        vr_dcache_discard(sb->vfs, dentry);
        vr_dispatch_forget(sb, &entry->node);
        return -VRIFT_ENOMEM;
    }
    struct vr_inode *inode = vr_inode_install(fresh, entry, asked_ns);
    int32_t error = 0;
    if (inode != fresh) {
        uint32_t token = vr_inode_attr_token(inode);
        struct vrift_stat attr;
        if (sb->attrs_stable)
            ;
        else if (atomic_load_explicit(&sb->attr_changes, memory_order_acquire) == answer->attr_changes)
            vr_inode_attr_fresh(inode, token, &entry->attr, asked_ns);
        else
            (void)vr_inode_ask(inode, &attr); /* what was answered may be older than what we did meanwhile */
        vr_dcache_reap_spare(&answer->spares, fresh);
    } else if ((entry->attr.mask & PERMISSION_MASK) != PERMISSION_MASK) {
        struct vrift_stat attr;
        error = vr_inode_getattr(inode, 0, &attr);
    }
    if (error) {
        vr_inode_unref(inode);
        vr_dcache_discard(sb->vfs, dentry);
        return error;
    }
    dentry->inode = inode;
    *out = dentry;
    return 0;
}

/* What was not kept goes to where it is let go without a lock. */
static void discard(vrift_vfs *vfs, struct answer *answer, struct vr_reap *reap)
{
    while (answer->spares.spares) {
        struct vr_inode *spare = answer->spares.spares;
        answer->spares.spares =
            (struct vr_inode *)(void *)atomic_load_explicit(&spare->link.next, memory_order_relaxed);
        vr_dcache_reap_spare(reap, spare);
    }
    if (!answer->count)
        return;
    vr_dcache_read_begin(vfs);
    while (answer->count)
        vr_dcache_unref_locked(answer->fresh[--answer->count], reap);
    vr_dcache_read_end(vfs);
}

/* Asks, and makes dentries of what is answered. An error after the first answer is left for who asks again. */
static int32_t ask(struct vr_dentry *dir, const struct vr_component *names, uint32_t count, struct answer *answer)
{
    vrift_sb *sb = vr_dcache_sb(dir);
    struct vrift_name given[VR_LOOKUP_BATCH];
    struct vrift_entry entries[VR_LOOKUP_BATCH];
    char bytes[VRIFT_PATH_MAX + VR_LOOKUP_BATCH];
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(bytes + used, names[i].name, names[i].length);
        bytes[used + names[i].length] = '\0';
        given[i] = (struct vrift_name){bytes + used, names[i].length, names[i].hash};
        used += names[i].length + 1;
    }
    struct vrift_node node;
    uint32_t done;
    answer->count = 0;
    answer->spares = (struct vr_reap)VR_REAP_INIT;
    answer->invalidated = atomic_load(&sb->invalidated);
    answer->attr_changes = atomic_load(&sb->attr_changes);
    answer->asked_ns = vr_inode_now(sb);
    int32_t result = vr_dispatch_walk(sb, vr_inode_node(dir->inode, &node), given, count, entries, &done);
    int32_t error = 0;
    for (uint32_t i = 0; i < done; i++) {
        if (error) {
            vr_dispatch_forget(sb, &entries[i].node);
            continue;
        }
        error = make_positive(sb, &names[i], &entries[i], answer, &answer->fresh[i]);
        if (!error)
            answer->count++;
    }
    if (!error && result == -VRIFT_ENOENT && sb->negatives && done < count) {
        struct vr_dentry *negative = vr_dcache_new_negative(sb, &names[done]);
        if (negative)
            answer->fresh[answer->count++] = negative;
    }
    if (!error && result != -VRIFT_ENOENT)
        error = result;
    return done && answer->count ? 0 : error;
}

/* r: was the answer given before somebody said that what was known may be wrong? */
static bool is_overtaken(vrift_sb *sb, const struct answer *answer)
{
    if (atomic_load(&sb->invalidated) == answer->invalidated)
        return false;
    for (uint32_t i = 0; i < answer->count; i++)
        if (answer->fresh[i]->inode)
            vr_inode_doubt(answer->fresh[i]->inode);
    return true;
}

/* r: into the cache, each below the one before. Answers the first, held, or NULL if there is no such name. */
static struct vr_dentry *keep(struct vr_dentry *dir, struct answer *answer, struct vr_reap *reap)
{
    struct vr_dentry *first = NULL;
    for (uint32_t i = 0; i < answer->count; i++) {
        struct vr_inode *inode = answer->fresh[i]->inode;
        bool exists = inode;
        if (exists && atomic_load_explicit(&inode->stale, memory_order_relaxed))
            atomic_store_explicit(&inode->stale, 0, memory_order_relaxed);
        struct vr_dentry *kept = vr_dcache_add(dir, answer->fresh[i], answer->asked_ns, reap);
        if (i == 0 && exists)
            first = kept;
        else
            vr_dcache_unref_locked(kept, reap);
        dir = kept;
    }
    answer->count = 0;
    return first;
}

int32_t vr_lookup_names(struct vr_dentry *dir, const struct vr_component *names, uint32_t count, struct vr_dentry **out)
{
    vrift_sb *sb = vr_dcache_sb(dir);
    struct vr_reap reap = VR_REAP_INIT;
    uint64_t finished = atomic_load(&sb->finished);
    uint64_t started = atomic_load(&sb->started);
    if (started == finished) {
        struct answer answer;
        int32_t error = ask(dir, names, count, &answer);
        if (error) {
            discard(sb->vfs, &answer, &reap);
            vr_dcache_reap(sb->vfs, &reap);
            return error;
        }
        vr_dcache_read_begin(sb->vfs);
        bool kept = atomic_load(&sb->started) == started && !is_overtaken(sb, &answer);
        if (kept)
            *out = keep(dir, &answer, &reap);
        vr_dcache_read_end(sb->vfs);
        discard(sb->vfs, &answer, &reap);
        vr_dcache_reap(sb->vfs, &reap);
        if (kept) {
            vr_dcache_balance(sb->vfs, sb->depth);
            return 0;
        }
    }
    /* Names changed meanwhile: ask again while they cannot. */
    vr_inode_lock_shared(dir->inode, VR_RANK_DIR);
    int32_t error = vr_lookup_locked(dir, names, &reap, out);
    vr_inode_unlock(dir->inode, VR_RANK_DIR);
    vr_dcache_reap(sb->vfs, &reap);
    vr_dcache_balance(sb->vfs, sb->depth);
    return error;
}

/* What was cached is what the name means: for another while, unless somebody said meanwhile that it may be wrong. */
static void keep_stale(struct vr_dentry *stale, uint64_t asked, uint64_t invalidated, struct vr_dentry **out)
{
    struct vr_inode *inode = stale->inode;
    vrift_sb *sb = inode->sb;
    vr_dcache_read_begin(sb->vfs);
    if (atomic_load(&sb->invalidated) == invalidated) {
        atomic_store_explicit(&inode->stale, 0, memory_order_relaxed);
        if (!sb->names_stable) /* else the count of children lies there */
            atomic_store_explicit(&stale->checked_ns, asked, memory_order_relaxed);
    }
    vr_dcache_ref(stale);
    vr_dcache_read_end(sb->vfs);
    *out = stale;
}

int32_t vr_lookup_again(struct vr_dentry *dir, struct vr_dentry *stale, const struct vr_component *name, uint64_t now,
                        struct vr_dentry **out)
{
    struct vr_inode *inode = stale->inode;
    if (vr_notify_vouches(dir, stale, now)) {
        if (inode) {
            vr_dcache_ref(stale);
            *out = stale;
        }
        return 0;
    }
    if (inode) {
        struct vr_lookup_name given;
        struct vrift_stat attr;
        vr_lookup_name(&given, name);
        uint64_t invalidated = atomic_load(&inode->sb->invalidated);
        uint64_t asked = vr_os_monotonic_ns();
        uint64_t token = vr_inode_attr_token(inode);
        int32_t error = vr_dispatch_revalidate(dir->inode, &given.name, inode, &attr);
        if (!error) {
            vr_inode_attr_fresh(inode, token, &attr, asked);
            keep_stale(stale, asked, invalidated, out);
            return 0;
        }
        if (error != -VRIFT_ESTALE && error != -VRIFT_EOPNOTSUPP)
            return error;
    }
    /* A different answer takes the old one's place; none at all takes it away. */
    int32_t error = vr_lookup_names(dir, name, 1, out);
    if (error || *out == stale)
        return error;
    vrift_vfs *vfs = vr_dcache_sb(dir)->vfs;
    struct vr_reap reap = VR_REAP_INIT;
    vr_dcache_write_begin(vfs);
    /* A rename may have given it another name meanwhile, of which nothing was asked. */
    bool moved = vr_dcache_hashed(stale) && vr_dcache_find(vfs, dir, name) != stale;
    if (!moved)
        vr_dcache_drop(stale, true, &reap);
    vr_dcache_write_end(vfs);
    vr_dcache_reap(vfs, &reap);
    if (inode && !moved)
        vr_mnttree_abandon_below(stale);
    return 0;
}

int32_t vr_lookup_locked(struct vr_dentry *dir, const struct vr_component *name, struct vr_reap *reap,
                         struct vr_dentry **out)
{
    vrift_sb *sb = vr_dcache_sb(dir);
    *out = NULL;
    if (atomic_load_explicit(&dir->inode->unlinked, memory_order_relaxed))
        return -VRIFT_ENOENT;
    if (name->length > VRIFT_NAME_MAX)
        return -VRIFT_ENAMETOOLONG;
    bool known = false;
    if (sb->names_stable) {
        vr_dcache_read_begin(sb->vfs);
        struct vr_dentry *dentry = vr_dcache_find(sb->vfs, dir, name);
        bool stale = dentry && dentry->inode && atomic_load_explicit(&dentry->inode->stale, memory_order_relaxed);
        known = !stale && (dentry || dir->flags & VR_DENTRY_COMPLETE);
        if (known && dentry && dentry->inode) {
            vr_dcache_ref(dentry);
            *out = dentry;
        }
        vr_dcache_read_end(sb->vfs);
    }
    if (known)
        return 0;
    bool overtaken;
    int32_t error;
    do {
        struct answer answer;
        overtaken = false;
        error = ask(dir, name, 1, &answer);
        if (!error) {
            vr_dcache_read_begin(sb->vfs);
            overtaken = is_overtaken(sb, &answer);
            if (!overtaken)
                *out = keep(dir, &answer, reap);
            vr_dcache_read_end(sb->vfs);
        }
        discard(sb->vfs, &answer, reap);
    } while (overtaken);
    return error;
}
