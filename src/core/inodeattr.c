/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The attributes that an inode keeps, packed: what the common file has lies in the inode, what only some have in its
 * extra, and vr_inode.forms tells which is which.
 *
 * Readers take no lock: they copy the words between two looks at attr_seq. Each word is stored with release and loaded
 * with acquire, so that a reader who saw a new word also sees that attr_seq moved. attr_seq is also the token by which
 * who asked the backend learns that an answer is older than what is known.
 */
#include "core/dispatch.h"
#include "core/inode.h"
#include "core/notify.h"

#include <assert.h>
#include <string.h>

#define ALL_KNOWN                                                                                                      \
    (VRIFT_STAT_BASIC | VRIFT_STAT_BTIME | VRIFT_STAT_VERSION | VRIFT_STAT_DIGEST | VRIFT_STAT_FLAGS |                 \
     VRIFT_STAT_RIGHTS)
#define PERMISSION_MASK (VRIFT_STAT_TYPE | VRIFT_STAT_MODE | VRIFT_STAT_UID | VRIFT_STAT_GID)
#define USUAL_BLKSIZE   4096u
#define MASK_SHIFT      11 /* what lies below is BASIC */
#define KEPT_FORMS      (VR_FORM_INSTALLED | VR_FORM_KEY_INLINE)

_Static_assert(VRIFT_STAT_BASIC == (1u << MASK_SHIFT) - 1, "what is beyond BASIC is kept in a byte");

/* -- Packing ------------------------------------------------------------------------------------------------------- */

#define SECONDS_BITS 34
#define NANOS_BITS   30

static uint64_t pack_time(const struct vrift_timespec *time)
{
    return (uint64_t)time->sec << NANOS_BITS | (time->nsec & ((1u << NANOS_BITS) - 1));
}

static struct vrift_timespec unpack_time(uint64_t word)
{
    struct vrift_timespec time = {0};
    uint64_t sign = 1ULL << (SECONDS_BITS - 1);
    time.sec = (int64_t)(((word >> NANOS_BITS) ^ sign) - sign);
    time.nsec = (uint32_t)(word & ((1u << NANOS_BITS) - 1));
    return time;
}

static bool time_fits(const struct vrift_timespec *time)
{
    return time->sec >= -(1LL << (SECONDS_BITS - 1)) && time->sec < 1LL << (SECONDS_BITS - 1);
}

static uint64_t sectors(uint64_t size)
{
    return size / 512 + (size % 512 != 0);
}

static uint64_t pages(uint64_t size)
{
    return (size / 4096 + (size % 4096 != 0)) * 8;
}

static uint8_t blocks_form(const struct vrift_stat *attr)
{
    if (!attr->blocks)
        return VR_BLOCKS_NONE;
    if (attr->blocks == pages(attr->size))
        return VR_BLOCKS_PAGES;
    return attr->blocks == sectors(attr->size) ? VR_BLOCKS_SECTORS : VR_BLOCKS_EXTRA;
}

static uint8_t ino_form(const struct vr_inode *inode, const struct vrift_stat *attr)
{
    uint64_t key = atomic_load_explicit(&inode->key, memory_order_relaxed);
    if (!(atomic_load_explicit(&inode->forms, memory_order_relaxed) & VR_FORM_KEY_INLINE))
        return VR_INO_EXTRA;
    return attr->ino == key ? VR_INO_KEY : attr->ino == key + 1 ? VR_INO_KEY_PLUS : VR_INO_EXTRA;
}

static bool has_rest(const struct vrift_stat *attr)
{
    return attr->rdev || attr->attributes || attr->version > UINT16_MAX || attr->nlink > UINT16_MAX ||
           attr->blksize != USUAL_BLKSIZE || attr->mask & VRIFT_STAT_DIGEST || attr->digest_algorithm ||
           !time_fits(&attr->atime) || !time_fits(&attr->mtime) || !time_fits(&attr->ctime) || !time_fits(&attr->btime);
}

static uint8_t forms_of(const struct vr_inode *inode, const struct vrift_stat *attr)
{
    return (uint8_t)(blocks_form(attr) | ino_form(inode, attr) | (has_rest(attr) ? VR_FORM_REST : 0));
}

/* Does it hold words of extra? */
static bool in_extra(uint8_t forms)
{
    return (forms & VR_FORM_BLOCKS) == VR_BLOCKS_EXTRA || (forms & VR_FORM_INO) == VR_INO_EXTRA || forms & VR_FORM_REST;
}

bool vr_inode_attr_wants_extra(const struct vr_inode *inode, const struct vrift_stat *attr)
{
    return !inode->sb->attrs_stable || in_extra(forms_of(inode, attr));
}

/* -- Storing: under the attr lock, between two steps of attr_seq ------------------------------------------------------ */

static void store_extra(struct vr_inode_extra *extra, const struct vrift_stat *attr)
{
    uint64_t words[VR_EXTRA_WORDS] = {
        [VR_EXTRA_INO] = attr->ino,
        [VR_EXTRA_BLOCKS] = attr->blocks,
        [VR_EXTRA_RDEV] = attr->rdev,
        [VR_EXTRA_VERSION] = attr->version,
        [VR_EXTRA_ATTRIBUTES] = attr->attributes,
        [VR_EXTRA_NLINK_BLKSIZE] = (uint64_t)attr->nlink << 32 | attr->blksize,
        [VR_EXTRA_ALGORITHM] = attr->digest_algorithm,
        [VR_EXTRA_SECONDS] = (uint64_t)attr->atime.sec,
        [VR_EXTRA_SECONDS + 1] = (uint64_t)attr->mtime.sec,
        [VR_EXTRA_SECONDS + 2] = (uint64_t)attr->ctime.sec,
        [VR_EXTRA_SECONDS + 3] = (uint64_t)attr->btime.sec,
    };
    memcpy(&words[VR_EXTRA_DIGEST], attr->digest, sizeof attr->digest);
    for (int i = 0; i < VR_EXTRA_WORDS; i++)
        atomic_store_explicit(&extra->attr[i], words[i], memory_order_release);
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

/* What a walk may do on the way has changed: after that is seen. */
static void tell_rights(const struct vr_inode *inode)
{
    if (vr_is_dir(inode) || vr_is_link(inode))
        atomic_fetch_add(&inode->sb->vfs->dcache.rights, 1);
}

/* What the checks look at, as far as it was told. */
static void store_permissions(struct vr_inode *inode, const struct vrift_stat *attr)
{
    uint32_t mode = atomic_load_explicit(&inode->mode, memory_order_relaxed);
    if (attr->mask & VRIFT_STAT_TYPE)
        mode = (mode & ~(uint32_t)VRIFT_S_IFMT) | (attr->mode & VRIFT_S_IFMT);
    if (attr->mask & VRIFT_STAT_MODE)
        mode = (mode & ~07777u) | (attr->mode & 07777);
    uint32_t uid = atomic_load_explicit(&inode->uid, memory_order_relaxed);
    uint32_t gid = atomic_load_explicit(&inode->gid, memory_order_relaxed);
    uint32_t before = atomic_load_explicit(&inode->mode, memory_order_relaxed);
    uint32_t new_uid = attr->mask & VRIFT_STAT_UID ? attr->uid : uid;
    uint32_t new_gid = attr->mask & VRIFT_STAT_GID ? attr->gid : gid;
    mode = with_rights(inode->sb, mode, attr);
    if ((attr->mask & PERMISSION_MASK) == PERMISSION_MASK)
        mode &= ~VR_MODE_DOUBT;
    atomic_store_explicit(&inode->mode, mode, memory_order_release);
    atomic_store_explicit(&inode->uid, new_uid, memory_order_release);
    atomic_store_explicit(&inode->gid, new_gid, memory_order_release);
    if (before && (before != mode || uid != new_uid || gid != new_gid))
        tell_rights(inode);
}

static void store_words(struct vr_inode *inode, const struct vrift_stat *attr)
{
    const struct vrift_timespec *times[4] = {&attr->atime, &attr->mtime, &attr->ctime, &attr->btime};
    atomic_store_explicit(&inode->size, attr->size, memory_order_release);
    for (int i = 0; i < 4; i++)
        atomic_store_explicit(&inode->times[i], pack_time(times[i]), memory_order_release);
    atomic_store_explicit(&inode->version, (uint16_t)attr->version, memory_order_release);
    atomic_store_explicit(&inode->nlink, (uint16_t)attr->nlink, memory_order_release);
    atomic_store_explicit(&inode->mask, (uint8_t)(attr->mask >> MASK_SHIFT), memory_order_release);
}

/* time 0: the attributes are not known, but for permissions. attr NULL: nothing is. */
static void store(struct vr_inode *inode, const struct vrift_stat *attr, bool permissions, uint64_t time)
{
    struct vr_inode_extra *extra = vr_inode_extra_of(inode);
    uint32_t seq = atomic_load_explicit(&inode->attr_seq, memory_order_relaxed);
    uint8_t before = atomic_load_explicit(&inode->forms, memory_order_relaxed);
    if (extra && atomic_load_explicit(&extra->mapped, memory_order_relaxed))
        time = 0;
    uint8_t kept = before & KEPT_FORMS, forms = before & VR_FORM_INO; /* the number stays known */
    atomic_store_explicit(&inode->attr_seq, seq + 1, memory_order_relaxed);
    if (permissions)
        store_permissions(inode, attr);
    if (time) {
        forms = forms_of(inode, attr);
        if (extra || (!in_extra(forms) && inode->sb->attrs_stable)) {
            store_words(inode, attr);
            forms |= VR_FORM_KNOWN;
        }
        if (in_extra(forms) && extra)
            store_extra(extra, attr);
    }
    if (extra)
        atomic_store_explicit(&extra->attr_time, time, memory_order_release);
    atomic_store_explicit(&inode->forms, kept | forms, memory_order_release);
    atomic_store_explicit(&inode->attr_seq, seq + 2, memory_order_release);
}

/* -- The attr lock ------------------------------------------------------------------------------------------------- */

static vr_os_mutex *attr_lock(struct vr_inode *inode)
{
    return &inode->sb->vfs->attr_lock[((uintptr_t)inode >> 4) * 0x9e3779b97f4a7c15ULL >> 32 & (VR_ATTR_LOCKS - 1)];
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

static bool is_whole(const struct vrift_stat *attr)
{
    return (attr->mask & VRIFT_STAT_BASIC) == VRIFT_STAT_BASIC;
}

/* Before the lock: without memory for an extra that is wanted the attributes stay unknown, which is no error. */
static void prepare(struct vr_inode *inode, const struct vrift_stat *attr)
{
    if (is_whole(attr) && !vr_inode_extra_of(inode) && vr_inode_attr_wants_extra(inode, attr))
        (void)vr_inode_extra(inode);
}

uint64_t vr_inode_now(const vrift_sb *sb)
{
    return sb->attrs_stable && sb->names_stable ? 1 : vr_os_monotonic_ns();
}

void vr_inode_attr_fresh(struct vr_inode *inode, uint64_t token, const struct vrift_stat *attr, uint64_t asked_ns)
{
    prepare(inode, attr);
    lock_attr(inode);
    if (atomic_load_explicit(&inode->attr_seq, memory_order_relaxed) == token)
        store(inode, attr, true, is_whole(attr) ? asked_ns : 0);
    unlock_attr(inode);
}

/* For answers that are on their way and have no token, as it was not known which inode they would be about. */
static void note_change(vrift_sb *sb)
{
    if (!sb->attrs_stable)
        atomic_fetch_add_explicit(&sb->attr_changes, 1, memory_order_acq_rel);
}

/* decides: the inode is locked, so that no other change of its permissions is newer than what was answered. */
static void update(struct vr_inode *inode, uint64_t token, const struct vrift_stat *attr, bool decides)
{
    uint64_t now = vr_inode_now(inode->sb);
    prepare(inode, attr);
    note_change(inode->sb);
    lock_attr(inode);
    bool current = atomic_load_explicit(&inode->attr_seq, memory_order_relaxed) == token;
    bool permissions = current || (decides && (attr->mask & PERMISSION_MASK) == PERMISSION_MASK);
    store(inode, attr, permissions, current && is_whole(attr) ? now : 0);
    unlock_attr(inode);
}

void vr_inode_attr_update(struct vr_inode *inode, uint64_t token, const struct vrift_stat *attr)
{
    update(inode, token, attr, true);
}

void vr_inode_attr_touched(struct vr_inode *inode, uint64_t token, const struct vrift_stat *attr)
{
    update(inode, token, attr, false);
}

void vr_inode_attr_forget(struct vr_inode *inode)
{
    note_change(inode->sb);
    lock_attr(inode);
    store(inode, NULL, false, 0);
    unlock_attr(inode);
}

void vr_inode_lacks(struct vr_inode *inode, uint64_t token, uint32_t rights)
{
    if (!inode->sb->attrs_stable)
        return;
    lock_attr(inode);
    if (atomic_load_explicit(&inode->attr_seq, memory_order_relaxed) == token)
        atomic_fetch_and_explicit(&inode->mode, ~rights, memory_order_relaxed);
    tell_rights(inode);
    unlock_attr(inode);
}

void vr_inode_doubt_rights(struct vr_inode *inode)
{
    uint32_t rights = VR_MODE_DOUBT;
    if (inode->sb->acls && !vr_is_link(inode))
        rights |= VR_MODE_ACL | (vr_is_dir(inode) ? VR_MODE_DEFAULT_ACL : 0);
    vr_inode_gained(inode, rights);
}

void vr_inode_gained(struct vr_inode *inode, uint32_t rights)
{
    lock_attr(inode);
    atomic_fetch_or_explicit(&inode->mode, rights, memory_order_relaxed);
    tell_rights(inode);
    unlock_attr(inode);
}

/* -- Reading ------------------------------------------------------------------------------------------------------- */

enum copied { COPY_TORN, COPY_NONE, COPY_DONE };

#define LOAD(field) atomic_load_explicit(&(field), memory_order_acquire)

static enum copied try_copy(struct vr_inode *inode, uint64_t now, uint64_t age, struct vr_attr_raw *out)
{
    uint32_t seq = LOAD(inode->attr_seq);
    uint64_t time = 1;
    out->seq = seq;
    out->forms = LOAD(inode->forms);
    out->key = LOAD(inode->key);
    out->size = LOAD(inode->size);
    out->times[0] = LOAD(inode->times[0]);
    out->times[1] = LOAD(inode->times[1]);
    out->times[2] = LOAD(inode->times[2]);
    out->times[3] = LOAD(inode->times[3]);
    out->version = LOAD(inode->version);
    out->uid = LOAD(inode->uid);
    out->gid = LOAD(inode->gid);
    out->nlink = LOAD(inode->nlink);
    out->mode = LOAD(inode->mode);
    out->mask = LOAD(inode->mask);
    if (age != VR_AGE_STABLE || in_extra(out->forms)) {
        const struct vr_inode_extra *extra = LOAD(inode->extra);
        time = extra ? LOAD(extra->attr_time) : 0;
        for (int i = 0; extra && i < VR_EXTRA_WORDS; i++)
            out->extra[i] = LOAD(extra->attr[i]);
    }
    if (seq & 1 || atomic_load_explicit(&inode->attr_seq, memory_order_relaxed) != seq)
        return COPY_TORN;
    if (!(out->forms & VR_FORM_KNOWN) || !time || (age != VR_AGE_STABLE && time + age < now))
        return COPY_NONE;
    return COPY_DONE;
}

bool vr_inode_attr_load(struct vr_inode *inode, uint64_t now, uint64_t age, struct vr_attr_raw *out)
{
    return try_copy(inode, now, age, out) == COPY_DONE;
}

static void expand_rest(const struct vr_attr_raw *raw, struct vrift_stat *out)
{
    struct vrift_timespec *times[4] = {&out->atime, &out->mtime, &out->ctime, &out->btime};
    out->rdev = raw->extra[VR_EXTRA_RDEV];
    out->version = raw->extra[VR_EXTRA_VERSION];
    out->attributes = raw->extra[VR_EXTRA_ATTRIBUTES];
    out->nlink = (uint32_t)(raw->extra[VR_EXTRA_NLINK_BLKSIZE] >> 32);
    out->blksize = (uint32_t)raw->extra[VR_EXTRA_NLINK_BLKSIZE];
    out->digest_algorithm = (uint32_t)raw->extra[VR_EXTRA_ALGORITHM];
    memcpy(out->digest, &raw->extra[VR_EXTRA_DIGEST], sizeof out->digest);
    for (int i = 0; i < 4; i++)
        times[i]->sec = (int64_t)raw->extra[VR_EXTRA_SECONDS + i];
}

static uint64_t expand_blocks(const struct vr_attr_raw *raw)
{
    switch (raw->forms & VR_FORM_BLOCKS) {
    case VR_BLOCKS_NONE:
        return 0;
    case VR_BLOCKS_SECTORS:
        return sectors(raw->size);
    case VR_BLOCKS_PAGES:
        return pages(raw->size);
    default:
        return raw->extra[VR_EXTRA_BLOCKS];
    }
}

void vr_inode_attr_expand(const struct vr_attr_raw *raw, struct vrift_stat *out)
{
    vr_os_clear(out->digest, sizeof *out - offsetof(struct vrift_stat, digest));
    out->dev = out->mount_id = out->rdev = 0;
    out->digest_algorithm = 0;
    out->mask = VRIFT_STAT_BASIC | (uint64_t)raw->mask << MASK_SHIFT;
    uint8_t ino = raw->forms & VR_FORM_INO;
    out->ino = ino == VR_INO_KEY ? raw->key : ino == VR_INO_KEY_PLUS ? raw->key + 1 : raw->extra[VR_EXTRA_INO];
    out->size = raw->size;
    out->blocks = expand_blocks(raw);
    out->version = raw->version;
    out->mode = raw->mode & (VRIFT_S_IFMT | 07777);
    out->nlink = raw->nlink;
    out->uid = raw->uid;
    out->gid = raw->gid;
    out->blksize = USUAL_BLKSIZE;
    out->atime = unpack_time(raw->times[0]);
    out->mtime = unpack_time(raw->times[1]);
    out->ctime = unpack_time(raw->times[2]);
    out->btime = unpack_time(raw->times[3]);
    if (raw->forms & VR_FORM_REST)
        expand_rest(raw, out);
}

bool vr_inode_attr_get(struct vr_inode *inode, uint64_t now, struct vrift_stat *out)
{
    struct vr_attr_raw raw;
    uint64_t age = inode->sb->attrs_stable ? VR_AGE_STABLE : inode->sb->attrs_age;
    enum copied copied = try_copy(inode, now, age, &raw);
    if (copied == COPY_TORN) {
        lock_attr(inode);
        copied = try_copy(inode, now, age, &raw);
        assert(copied != COPY_TORN);
        unlock_attr(inode);
    }
    if (copied == COPY_DONE)
        vr_inode_attr_expand(&raw, out);
    return copied == COPY_DONE;
}

uint64_t vr_inode_attr_asked(const struct vr_inode *inode)
{
    const struct vr_inode_extra *extra = vr_inode_extra_of(inode);
    return extra ? atomic_load_explicit(&extra->attr_time, memory_order_acquire) : 0;
}

uint64_t vr_inode_ino(const struct vr_inode *inode)
{
    uint64_t key = atomic_load_explicit(&inode->key, memory_order_relaxed);
    const struct vr_inode_extra *extra = vr_inode_extra_of(inode);
    switch (atomic_load_explicit(&inode->forms, memory_order_relaxed) & VR_FORM_INO) {
    case VR_INO_KEY:
        return key;
    case VR_INO_KEY_PLUS:
        return key + 1;
    default:
        return extra ? atomic_load_explicit(&extra->attr[VR_EXTRA_INO], memory_order_relaxed) : 0;
    }
}

/* -- Asking and changing -------------------------------------------------------------------------------------------- */

int32_t vr_inode_getattr(struct vr_inode *inode, uint64_t now, struct vrift_stat *out)
{
    if (vr_inode_attr_get(inode, now, out) || vr_notify_attributes(inode, now, out))
        return 0;
    return vr_inode_ask(inode, out);
}

int32_t vr_inode_ask(struct vr_inode *inode, struct vrift_stat *out)
{
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
