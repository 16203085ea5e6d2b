/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/inode.h"

#include "core/alloc.h"
#include "core/dispatch.h"
#include "core/sb.h"

#include <assert.h>
#include <string.h>

_Static_assert(offsetof(struct vrift_stat, spare) % 8 == 0, "attributes are copied in words");
_Static_assert(VR_ATTR_WORDS == 24, "try_copy() names each word");

#define FIRST_TABLE 64u
#define ALL_KNOWN                                                                                                      \
    (VRIFT_STAT_BASIC | VRIFT_STAT_BTIME | VRIFT_STAT_VERSION | VRIFT_STAT_DIGEST | VRIFT_STAT_FLAGS |                 \
     VRIFT_STAT_RIGHTS)
#define PERMISSION_MASK (VRIFT_STAT_TYPE | VRIFT_STAT_MODE | VRIFT_STAT_UID | VRIFT_STAT_GID)

/* -- Life ---------------------------------------------------------------------------------------------------------- */

struct vr_inode *vr_inode_new(vrift_sb *sb)
{
    struct vr_inode *inode = vr_alloc_zero(sb->vfs->allocator, 1, sizeof *inode);
    if (!inode)
        return NULL;
    if (vr_os_rwlock_init(&inode->lock)) {
        vr_alloc_free(sb->vfs->allocator, inode);
        return NULL;
    }
    atomic_init(&inode->refs, 1);
    inode->sb = sb;
    return inode;
}

void vr_inode_discard(struct vr_inode *fresh)
{
    if (!fresh)
        return;
    assert(!fresh->node.key.length);
    vr_os_rwlock_destroy(&fresh->lock);
    vr_alloc_free(fresh->sb->vfs->allocator, fresh);
}

static uint32_t hash_key(const struct vrift_key *key)
{
    uint64_t hash = key->generation * 0x9e3779b97f4a7c15ULL + key->length;
    for (uint32_t i = 0; i < key->length; i += 8) {
        uint64_t word = 0;
        memcpy(&word, key->bytes + i, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

/* Doubles the table when it is full; a failure only makes chains longer. */
static void grow_table(vrift_sb *sb)
{
    uint32_t mask = atomic_load_explicit(&sb->inode_mask, memory_order_relaxed);
    if (atomic_load_explicit(&sb->inode_count, memory_order_relaxed) < mask || mask > (1u << 28))
        return;
    uint32_t wanted = mask * 2 + 1;
    struct vr_inode **table = vr_alloc_zero(sb->vfs->allocator, (size_t)wanted + 1, sizeof *table);
    if (!table)
        return;
    struct vr_inode **old = table;
    vr_sb_inode_lock(sb);
    if (atomic_load_explicit(&sb->inode_mask, memory_order_relaxed) == mask) {
        old = sb->inodes;
        for (uint32_t i = 0; i <= mask; i++) {
            while (old[i]) {
                struct vr_inode *inode = old[i];
                old[i] = inode->hash_next;
                inode->hash_next = table[inode->key_hash & wanted];
                table[inode->key_hash & wanted] = inode;
            }
        }
        sb->inodes = table;
        atomic_store_explicit(&sb->inode_mask, wanted, memory_order_relaxed);
    }
    vr_sb_inode_unlock(sb);
    vr_alloc_free(sb->vfs->allocator, old);
}

/* One more reference unless it is dying. */
static bool ref_if_alive(struct vr_inode *inode)
{
    uint32_t refs = atomic_load_explicit(&inode->refs, memory_order_relaxed);
    while (refs)
        if (atomic_compare_exchange_weak_explicit(&inode->refs, &refs, refs + 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return true;
    return false;
}

struct vr_inode *vr_inode_install(struct vr_inode *fresh, const struct vrift_entry *entry, uint64_t asked_ns)
{
    vrift_sb *sb = fresh->sb;
    assert(entry->node.key.length >= 1 && entry->node.key.length <= VRIFT_KEY_MAX);
    assert(entry->attr.mask & VRIFT_STAT_TYPE);
    grow_table(sb);
    fresh->node = entry->node;
    fresh->key_hash = hash_key(&entry->node.key);
    /* Before anybody can find it, so that a walk never sees an inode without a type. */
    vr_inode_attr_fresh(fresh, 0, &entry->attr, asked_ns);
    atomic_fetch_add_explicit(&sb->holds, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&sb->vfs->dcache.inodes, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&sb->vfs->dcache.bytes, sizeof *fresh, memory_order_relaxed);

    vr_sb_inode_lock(sb);
    struct vr_inode **bucket =
        &sb->inodes[fresh->key_hash & atomic_load_explicit(&sb->inode_mask, memory_order_relaxed)];
    struct vr_inode *known = *bucket;
    while (known && !(known->key_hash == fresh->key_hash &&
                      memcmp(&known->node.key, &fresh->node.key, sizeof known->node.key) == 0 && ref_if_alive(known)))
        known = known->hash_next;
    if (!known) {
        fresh->hash_next = *bucket;
        *bucket = fresh;
        atomic_fetch_add_explicit(&sb->inode_count, 1, memory_order_relaxed);
    }
    vr_sb_inode_unlock(sb);
    return known ? known : fresh;
}

/* Takes an inode out of the table; the spare of vr_inode_install() is not in it. */
static void unhash(struct vr_inode *inode)
{
    vrift_sb *sb = inode->sb;
    vr_sb_inode_lock(sb);
    uint32_t mask = atomic_load_explicit(&sb->inode_mask, memory_order_relaxed);
    struct vr_inode **at = &sb->inodes[inode->key_hash & mask];
    while (*at && *at != inode)
        at = &(*at)->hash_next;
    if (*at) {
        *at = inode->hash_next;
        atomic_fetch_sub_explicit(&sb->inode_count, 1, memory_order_relaxed);
    }
    vr_sb_inode_unlock(sb);
}

void vr_inode_unref(struct vr_inode *inode)
{
    if (!inode || atomic_fetch_sub_explicit(&inode->refs, 1, memory_order_acq_rel) != 1)
        return;
    vrift_sb *sb = inode->sb;
    struct vr_dcache *cache = &sb->vfs->dcache;
    unhash(inode);
    vr_dispatch_forget(sb, &inode->node);
    char *link = atomic_load_explicit(&inode->link, memory_order_relaxed);
    size_t charged = sizeof *inode + (link ? strlen(link) + 1 : 0);
    vr_alloc_free(sb->vfs->allocator, link);
    vr_os_rwlock_destroy(&inode->lock);
    vr_alloc_free(sb->vfs->allocator, inode);
    atomic_fetch_sub_explicit(&cache->bytes, charged, memory_order_relaxed);
    atomic_fetch_sub_explicit(&cache->inodes, 1, memory_order_relaxed);
    vr_sb_let_go(sb);
}

/* -- Locks --------------------------------------------------------------------------------------------------------- */

void vr_inode_lock(struct vr_inode *inode, enum vr_rank rank)
{
    vr_lockrank_take(vr_lockrank_key(inode->sb->depth, rank));
    vr_os_rwlock_write(&inode->lock);
}

void vr_inode_lock_shared(struct vr_inode *inode, enum vr_rank rank)
{
    vr_lockrank_take(vr_lockrank_key(inode->sb->depth, rank));
    vr_os_rwlock_read(&inode->lock);
}

void vr_inode_unlock(struct vr_inode *inode, enum vr_rank rank)
{
    vr_os_rwlock_unlock(&inode->lock);
    vr_lockrank_give(vr_lockrank_key(inode->sb->depth, rank));
}

/* -- Attributes ---------------------------------------------------------------------------------------------------- */
/*
 * Readers take no lock: they copy the words between two looks at attr_seq. Each word is stored with release and
 * loaded with acquire, so that a reader who saw a new word also sees that attr_seq moved.
 */

static vr_os_mutex *attr_lock(struct vr_inode *inode)
{
    return &inode->sb->vfs->attr_lock[((uintptr_t)inode >> 8) % VR_ATTR_LOCKS];
}

static void lock_attr(struct vr_inode *inode)
{
    vr_lockrank_take(VR_RANK_LEAF);
    vr_os_mutex_lock(attr_lock(inode));
}

static void unlock_attr(struct vr_inode *inode)
{
    vr_os_mutex_unlock(attr_lock(inode));
    vr_lockrank_give(VR_RANK_LEAF);
}

/* Under the attr lock. time 0: the attributes are not known, attr is not looked at. */
static void store(struct vr_inode *inode, const struct vrift_stat *attr, uint64_t time)
{
    uint32_t seq = atomic_load_explicit(&inode->attr_seq, memory_order_relaxed);
    atomic_store_explicit(&inode->attr_seq, seq + 1, memory_order_relaxed);
    atomic_store_explicit(&inode->attr_time, time, memory_order_release);
    if (attr) {
        uint64_t words[VR_ATTR_WORDS];
        memcpy(words, attr, sizeof words);
        for (size_t i = 0; i < VR_ATTR_WORDS; i++)
            atomic_store_explicit(&inode->attr[i], words[i], memory_order_release);
    }
    atomic_store_explicit(&inode->attr_seq, seq + 2, memory_order_release);
}

/* The bits above those of st_mode. Where the backend does not tell, there may be ACLs until it was asked for them. */
static uint32_t with_rights(const vrift_sb *sb, uint32_t mode, const struct vrift_stat *attr)
{
    static const struct {
        uint64_t attribute;
        uint32_t mode;
    } flags[] = {{VRIFT_ATTR_IMMUTABLE, VR_MODE_IMMUTABLE},
                 {VRIFT_ATTR_APPEND, VR_MODE_APPEND},
                 {VRIFT_ATTR_NOATIME, VR_MODE_NOATIME}},
      rights[] = {{VRIFT_ATTR_ACL, VR_MODE_ACL},
                  {VRIFT_ATTR_DEFAULT_ACL, VR_MODE_DEFAULT_ACL},
                  {VRIFT_ATTR_FILE_CAPS, VR_MODE_FILE_CAPS}};
    for (size_t i = 0; attr->mask & VRIFT_STAT_FLAGS && i < sizeof flags / sizeof *flags; i++)
        mode = (mode & ~flags[i].mode) | (attr->attributes & flags[i].attribute ? flags[i].mode : 0);
    for (size_t i = 0; attr->mask & VRIFT_STAT_RIGHTS && i < sizeof rights / sizeof *rights; i++)
        mode = (mode & ~rights[i].mode) | (attr->attributes & rights[i].attribute ? rights[i].mode : 0);
    if (attr->mask & VRIFT_STAT_RIGHTS || !sb->acls || (mode & VRIFT_S_IFMT) == VRIFT_S_IFLNK)
        return mode;
    return mode | VR_MODE_ACL | ((mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR ? VR_MODE_DEFAULT_ACL : 0);
}

/* Under the attr lock: what the checks look at. */
static void store_permissions(struct vr_inode *inode, const struct vrift_stat *attr)
{
    uint32_t mode = atomic_load_explicit(&inode->mode, memory_order_relaxed);
    if (attr->mask & VRIFT_STAT_TYPE)
        mode = (mode & ~(uint32_t)VRIFT_S_IFMT) | (attr->mode & VRIFT_S_IFMT);
    if (attr->mask & VRIFT_STAT_MODE)
        mode = (mode & ~07777u) | (attr->mode & 07777);
    mode = with_rights(inode->sb, mode, attr);
    atomic_store_explicit(&inode->mode, mode, memory_order_relaxed);
    if (attr->mask & VRIFT_STAT_UID)
        atomic_store_explicit(&inode->uid, attr->uid, memory_order_relaxed);
    if (attr->mask & VRIFT_STAT_GID)
        atomic_store_explicit(&inode->gid, attr->gid, memory_order_relaxed);
}

uint64_t vr_inode_now(const vrift_sb *sb)
{
    return sb->attrs_stable && sb->names_stable ? 1 : vr_os_monotonic_ns();
}

void vr_inode_attr_fresh(struct vr_inode *inode, uint64_t token, const struct vrift_stat *attr, uint64_t asked_ns)
{
    bool whole = (attr->mask & VRIFT_STAT_BASIC) == VRIFT_STAT_BASIC;
    lock_attr(inode);
    if (atomic_load_explicit(&inode->attr_token, memory_order_relaxed) == token) {
        store_permissions(inode, attr);
        store(inode, attr, whole ? asked_ns : 0);
    }
    unlock_attr(inode);
}

void vr_inode_attr_update(struct vr_inode *inode, uint64_t token, const struct vrift_stat *attr)
{
    bool whole = (attr->mask & VRIFT_STAT_BASIC) == VRIFT_STAT_BASIC;
    uint64_t now = vr_inode_now(inode->sb);
    lock_attr(inode);
    uint64_t current = atomic_load_explicit(&inode->attr_token, memory_order_relaxed);
    if (current == token || (attr->mask & PERMISSION_MASK) == PERMISSION_MASK)
        store_permissions(inode, attr);
    store(inode, attr, current == token && whole ? now : 0);
    atomic_store_explicit(&inode->attr_token, current + 1, memory_order_release);
    unlock_attr(inode);
}

void vr_inode_attr_forget(struct vr_inode *inode)
{
    lock_attr(inode);
    store(inode, NULL, 0);
    atomic_store_explicit(&inode->attr_token, atomic_load_explicit(&inode->attr_token, memory_order_relaxed) + 1,
                          memory_order_release);
    unlock_attr(inode);
}

void vr_inode_lacks(struct vr_inode *inode, uint64_t token, uint32_t rights)
{
    if (!inode->sb->attrs_stable)
        return;
    lock_attr(inode);
    if (atomic_load_explicit(&inode->attr_token, memory_order_relaxed) == token)
        atomic_fetch_and_explicit(&inode->mode, ~rights, memory_order_relaxed);
    unlock_attr(inode);
}

void vr_inode_gained(struct vr_inode *inode, uint32_t rights)
{
    lock_attr(inode);
    atomic_fetch_or_explicit(&inode->mode, rights, memory_order_relaxed);
    unlock_attr(inode);
}

enum copied { COPY_TORN, COPY_NONE, COPY_DONE };

/* One try. *out is written only when it is whole, known and not too old. */
static enum copied try_copy(struct vr_inode *inode, uint64_t now, struct vrift_stat *out)
{
    uint64_t words[VR_ATTR_WORDS];
    uint32_t seq = atomic_load_explicit(&inode->attr_seq, memory_order_acquire);
    if (seq & 1)
        return COPY_TORN;
    uint64_t time = atomic_load_explicit(&inode->attr_time, memory_order_acquire);
#define WORD(i)  words[i] = atomic_load_explicit(&inode->attr[i], memory_order_acquire)
#define WORDS(i) WORD(i), WORD(i + 1), WORD(i + 2), WORD(i + 3)
    WORDS(0), WORDS(4), WORDS(8), WORDS(12), WORDS(16); /* compilers do not unroll a loop of atomics */
    WORDS(20);
#undef WORDS
#undef WORD
    if (atomic_load_explicit(&inode->attr_seq, memory_order_relaxed) != seq)
        return COPY_TORN;
    if (!time || (!inode->sb->attrs_stable && time + inode->sb->attrs_age < now))
        return COPY_NONE;
    memcpy(out, words, sizeof words);
    memset(out->spare, 0, sizeof out->spare);
    return COPY_DONE;
}

bool vr_inode_attr_get(struct vr_inode *inode, uint64_t now, struct vrift_stat *out)
{
    enum copied copied = try_copy(inode, now, out);
    if (copied == COPY_TORN) {
        lock_attr(inode);
        copied = try_copy(inode, now, out);
        assert(copied != COPY_TORN);
        unlock_attr(inode);
    }
    return copied == COPY_DONE;
}

int32_t vr_inode_getattr(struct vr_inode *inode, uint64_t now, struct vrift_stat *out)
{
    if (vr_inode_attr_get(inode, now, out))
        return 0;
    uint64_t token = vr_inode_attr_token(inode);
    uint64_t asked = vr_inode_now(inode->sb);
    struct vrift_stat attr;
    int32_t error = vr_dispatch_getattr(inode, ALL_KNOWN, &attr);
    if (error)
        return error;
    vr_inode_attr_fresh(inode, token, &attr, asked);
    *out = attr;
    return 0;
}

int32_t vr_inode_setattr(struct vr_inode *inode, void *handle, const struct vrift_setattr *set)
{
    uint64_t token = vr_inode_attr_token(inode);
    struct vrift_stat attr;
    int32_t error = vr_dispatch_setattr(inode, handle, set, &attr);
    if (!error)
        vr_inode_attr_update(inode, token, &attr);
    return error;
}

int32_t vr_inode_readlink(struct vr_inode *inode, const char **out)
{
    const struct vrift_allocator *allocator = inode->sb->vfs->allocator;
    char *link = atomic_load_explicit(&inode->link, memory_order_acquire);
    if (link) {
        *out = link;
        return 0;
    }
    char text[VRIFT_PATH_MAX];
    int64_t length = vr_dispatch_readlink(inode, text, sizeof text);
    if (length < 0)
        return (int32_t)length;
    if (length == 0)
        return -VRIFT_ENOENT;
    if (length >= (int64_t)sizeof text)
        return -VRIFT_ENAMETOOLONG;
    if (memchr(text, '\0', (size_t)length))
        return -VRIFT_EIO;
    char *copy = vr_alloc_string(allocator, text, (size_t)length);
    if (!copy)
        return -VRIFT_ENOMEM;
    if (atomic_compare_exchange_strong_explicit(&inode->link, &link, copy, memory_order_acq_rel,
                                                memory_order_acquire)) {
        atomic_fetch_add_explicit(&inode->sb->vfs->dcache.bytes, (uint64_t)length + 1, memory_order_relaxed);
        link = copy;
    } else {
        vr_alloc_free(allocator, copy);
    }
    *out = link;
    return 0;
}
