/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/notify.h"

#include "core/alloc.h"
#include "core/dcache.h"
#include "core/dispatch.h"
#include "core/inode.h"
#include "core/sb.h"
#include "core/watch.h"

#include <vrift/backend.h>

#define MOST_DRAINED 16u /* superblocks, for one reader of a queue at a time */

static uint32_t slot_of_node(uint32_t node_hash)
{
    return (node_hash ^ node_hash >> 16) % VR_NOTIFY_NODES;
}

static uint32_t slot_of_name(uint32_t dir_hash, uint32_t name_hash)
{
    uint64_t both = ((uint64_t)dir_hash << 32 | name_hash) * 0x9e3779b97f4a7c15ULL;
    return (uint32_t)(both >> 40) % VR_NOTIFY_NAMES;
}

static uint32_t hash_of(const struct vr_inode *inode)
{
    struct vrift_node node;
    return vr_inode_hash(&vr_inode_node(inode, &node)->key);
}

/* Times of doubt only grow. */
static void raise_to(_Atomic uint64_t *time, uint64_t now)
{
    uint64_t before = atomic_load_explicit(time, memory_order_relaxed);
    while (before < now &&
           !atomic_compare_exchange_weak_explicit(time, &before, now, memory_order_release, memory_order_relaxed))
        ;
}

/* -- What is told -------------------------------------------------------------------------------------------------- */

static uint64_t own_hash(const struct vr_inode *dir, const char *name, uint32_t length, uint32_t bit)
{
    struct vr_component component;
    vr_dcache_name(name, length, &component);
    uint64_t hash = ((uint64_t)(uintptr_t)dir ^ ((uint64_t)component.hash << 32)) * 0x9e3779b97f4a7c15ULL;
    return (hash ^ bit) * 0xff51afd7ed558ccdULL | 1;
}

void vr_notify_own(vrift_sb *sb, const struct vr_inode *dir, const char *name, uint32_t length, uint32_t mask)
{
    struct vr_notify *notify = sb->notify;
    uint64_t now = vr_os_monotonic_ns();
    for (uint32_t bit = 1; bit <= VRIFT_IN_DELETE; bit <<= 1) {
        if (!(mask & bit))
            continue;
        uint64_t hash = own_hash(dir, name, length, bit);
        atomic_store_explicit(&notify->own_time[hash % VR_NOTIFY_OWN], now, memory_order_relaxed);
        atomic_store_explicit(&notify->own[hash % VR_NOTIFY_OWN], hash, memory_order_relaxed);
    }
}

/* What of a mask watchers have not heard from the core itself since the backend was drained the time before last. */
static uint32_t without_echo(struct vr_notify *notify, const struct vr_inode *dir, const struct vrift_notice *notice)
{
    uint64_t since = atomic_load_explicit(&notify->drained_before, memory_order_relaxed);
    uint32_t mask = notice->mask;
    for (uint32_t bit = 1; bit <= VRIFT_IN_DELETE; bit <<= 1) {
        uint64_t hash = own_hash(dir, notice->name, notice->name_length, bit);
        if (mask & bit && atomic_load_explicit(&notify->own[hash % VR_NOTIFY_OWN], memory_order_relaxed) == hash &&
            atomic_load_explicit(&notify->own_time[hash % VR_NOTIFY_OWN], memory_order_relaxed) >= since)
            mask &= ~bit;
    }
    return mask;
}

static void tell_watchers(vrift_sb *sb, const struct vrift_notice *notice)
{
    struct vr_watch_note note = {.sb = sb,
                                 .mask = notice->mask & (VRIFT_IN_ALL_EVENTS | VRIFT_IN_ISDIR),
                                 .cookie = notice->cookie,
                                 .self = true,
                                 .flags = VRIFT_WATCH_BEHIND};
    note.dir = notice->dir ? vr_inode_known(sb, notice->dir) : NULL;
    note.inode = notice->node ? vr_inode_known(sb, notice->node) : NULL;
    if (notice->name_length) {
        note.name = notice->name;
        note.length = notice->name_length;
        if (note.dir)
            note.mask &= without_echo(sb->notify, note.dir, notice);
    }
    if (note.mask & VRIFT_IN_ALL_EVENTS && (note.name || note.inode))
        vr_watch_tell(&note);
    vr_inode_unref(note.dir);
    vr_inode_unref(note.inode);
}

/* Of the names in a directory nothing will be heard: who relies on that must know. */
static void tell_deaf(vrift_sb *sb, const struct vrift_key *dir)
{
    atomic_store(&sb->notify->any_deaf, 1);
    if (!vr_watch_any(sb->vfs))
        return;
    struct vr_inode *inode = vr_inode_known(sb, dir);
    vr_watch_deaf(sb, inode);
    vr_inode_unref(inode);
}

/* The receiver. May be called from any thread, and from within a slot. */
static void VRIFT_CALLBACK receive(const struct vrift_notice *notice, void *payload)
{
    vrift_sb *sb = payload;
    struct vr_notify *notify = sb->notify;
    uint64_t now = vr_os_monotonic_ns();
    uint32_t dir = notice->dir ? vr_inode_hash(notice->dir) : 0;
    uint32_t node = notice->node ? vr_inode_hash(notice->node) : 0;
    if (notice->mask & VRIFT_IN_Q_OVERFLOW) {
        raise_to(&notify->doubt_all, now);
        if (!(notice->flags & VRIFT_NOTICE_QUIET))
            vr_watch_lost(sb);
        return;
    }
    if (notice->mask & VRIFT_IN_IGNORED && notice->name_length) {
        if (notice->dir)
            tell_deaf(sb, notice->dir);
        now = UINT64_MAX; /* of this name alone nothing is heard: it is doubtful for good */
    } else if (notice->mask & VRIFT_IN_IGNORED) {
        if (notice->dir)
            atomic_store_explicit(&notify->deaf[slot_of_node(dir)], 1, memory_order_release);
        if (notice->node)
            atomic_store_explicit(&notify->deaf[slot_of_node(node)], 1, memory_order_release);
        if (notice->dir)
            tell_deaf(sb, notice->dir);
        return;
    }
    if (notice->dir && notice->name_length) {
        struct vr_component name;
        vr_dcache_name(notice->name, notice->name_length, &name);
        raise_to(&notify->names[slot_of_name(dir, name.hash)], now);
    }
    if (notice->dir && notice->mask & (VRIFT_IN_CREATE | VRIFT_IN_DELETE | VRIFT_IN_MOVED_FROM | VRIFT_IN_MOVED_TO))
        raise_to(&notify->attributes[slot_of_node(dir)], now);
    if (notice->node)
        raise_to(&notify->attributes[slot_of_node(node)], now);
    if (vr_watch_any(sb->vfs) && !(notice->flags & VRIFT_NOTICE_QUIET))
        tell_watchers(sb, notice);
}

/* -- What is vouched for ------------------------------------------------------------------------------------------- */

/* Everything that happened up to `now` less the age that is allowed is known; answers from when it holds. */
static uint64_t drain(vrift_sb *sb, uint64_t now, uint64_t age)
{
    struct vr_notify *notify = sb->notify;
    uint64_t drained = atomic_load_explicit(&notify->drained, memory_order_acquire);
    if (!sb->ops.drain)
        return now; /* told without being asked */
    if (drained + age >= now)
        return drained;
    vr_lockrank_take(vr_lockrank_key(sb->depth, VR_RANK_NOTIFY));
    vr_os_mutex_lock(&notify->drain_lock);
    drained = atomic_load_explicit(&notify->drained, memory_order_acquire);
    if (drained + age < now) {
        uint64_t before = drained;
        drained = vr_os_monotonic_ns();
        vr_dispatch_drain(sb);
        atomic_store_explicit(&notify->drained_before, before, memory_order_relaxed);
        atomic_store_explicit(&notify->drained, drained, memory_order_release);
    }
    vr_os_mutex_unlock(&notify->drain_lock);
    vr_lockrank_give(vr_lockrank_key(sb->depth, VR_RANK_NOTIFY));
    return drained;
}

bool vr_notify_vouches(struct vr_dentry *dir, struct vr_dentry *dentry, uint64_t now)
{
    vrift_sb *sb = dir->inode->sb;
    struct vr_notify *notify = sb->notify;
    struct vr_inode *inode = dentry->inode;
    uint32_t hash = hash_of(dir->inode);
    if (!sb->names_told || (inode && atomic_load_explicit(&inode->stale, memory_order_relaxed)))
        return false;
    uint64_t drained = drain(sb, now, sb->names_age);
    if (atomic_load_explicit(&notify->deaf[slot_of_node(hash)], memory_order_acquire))
        return false;
    uint32_t slot = slot_of_name(hash, atomic_load_explicit(&dentry->hash, memory_order_relaxed));
    uint64_t checked = atomic_load_explicit(&dentry->checked_ns, memory_order_relaxed);
    if (checked <= atomic_load_explicit(&notify->names[slot], memory_order_acquire) ||
        checked <= atomic_load_explicit(&notify->doubt_all, memory_order_acquire))
        return false;
    struct vrift_stat st;
    if (inode && !vr_is_dir(inode) && !vr_inode_attr_get(inode, now, &st) && !vr_notify_attributes(inode, now, &st))
        return false;
    raise_to(&dentry->checked_ns, drained);
    return true;
}

bool vr_notify_attributes(struct vr_inode *inode, uint64_t now, struct vrift_stat *out)
{
    vrift_sb *sb = inode->sb;
    struct vr_notify *notify = sb->notify;
    struct vr_attr_raw raw;
    if (!sb->attrs_told)
        return false;
    uint32_t slot = slot_of_node(hash_of(inode));
    uint64_t drained = drain(sb, now, sb->attrs_age);
    uint64_t token = vr_inode_attr_token(inode);
    uint64_t asked = vr_inode_attr_asked(inode);
    if (atomic_load_explicit(&notify->deaf[slot], memory_order_acquire) ||
        asked <= atomic_load_explicit(&notify->attributes[slot], memory_order_acquire) ||
        asked <= atomic_load_explicit(&notify->doubt_all, memory_order_acquire) ||
        !vr_inode_attr_load(inode, now, VR_AGE_STABLE, &raw) || vr_inode_attr_token(inode) != token)
        return false;
    vr_inode_attr_expand(&raw, out);
    vr_inode_attr_fresh(inode, token, out, drained);
    return true;
}

/* -- Superblocks --------------------------------------------------------------------------------------------------- */

int32_t vr_notify_start(vrift_sb *sb)
{
    bool names = sb->consistency[VRIFT_ASPECT_NAMES].model == VRIFT_CONSISTENCY_SHARED_NOTIFY;
    bool attrs = sb->consistency[VRIFT_ASPECT_ATTRIBUTES].model == VRIFT_CONSISTENCY_SHARED_NOTIFY;
    vrift_vfs *vfs = sb->vfs;
    if (!sb->ops.watch || (!names && !attrs))
        return 0;
    sb->notify = vr_alloc_zero(vfs->allocator, 1, sizeof *sb->notify);
    if (!sb->notify)
        return -VRIFT_ENOMEM;
    int32_t error = vr_os_mutex_init(&sb->notify->drain_lock);
    if (error) {
        vr_alloc_free(vfs->allocator, sb->notify);
        sb->notify = NULL;
        return error;
    }
    error = vr_dispatch_watch(sb, receive, sb);
    if (error == -VRIFT_EOPNOTSUPP)
        return 0;
    if (error)
        return error;
    sb->names_told = names;
    sb->attrs_told = attrs;
    sb->negatives = sb->negatives || names;
    if (!sb->ops.drain) { /* told as soon as it is heard: so look whether it was at each use */
        sb->names_age = names ? 0 : sb->names_age;
        sb->attrs_age = attrs ? 0 : sb->attrs_age;
    }
    vr_watch_lock(vfs);
    sb->notify_next = vfs->watches.notifying;
    vfs->watches.notifying = sb;
    vr_watch_unlock(vfs);
    return 0;
}

void vr_notify_stop(vrift_sb *sb)
{
    if (!sb->notify)
        return;
    vr_watch_lock(sb->vfs);
    vrift_sb **at = &sb->vfs->watches.notifying;
    while (*at && *at != sb)
        at = &(*at)->notify_next;
    if (*at)
        *at = sb->notify_next;
    vr_watch_unlock(sb->vfs);
}

void vr_notify_free(vrift_sb *sb)
{
    if (!sb->notify)
        return;
    vr_os_mutex_destroy(&sb->notify->drain_lock);
    vr_alloc_free(sb->vfs->allocator, sb->notify);
}

void vr_notify_drain(vrift_sb *sb)
{
    if (sb->ops.drain)
        drain(sb, vr_os_monotonic_ns(), 0);
}

bool vr_notify_drain_watched(vrift_vfs *vfs)
{
    vrift_sb *sbs[MOST_DRAINED];
    uint32_t count = 0;
    vr_watch_lock(vfs);
    for (vrift_sb *sb = vfs->watches.notifying; sb && count < MOST_DRAINED; sb = sb->notify_next) {
        if (!sb->watchers || !sb->ops.drain)
            continue;
        atomic_fetch_add_explicit(&sb->holds, 1, memory_order_relaxed); /* it has one, or it would not be listed */
        sbs[count++] = sb;
    }
    vr_watch_unlock(vfs);
    for (uint32_t i = 0; i < count; i++) {
        drain(sbs[i], vr_os_monotonic_ns(), 0);
        vr_sb_let_go(sbs[i]);
    }
    return count;
}
