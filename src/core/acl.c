/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/acl.h"

#include "core/alloc.h"
#include "core/dispatch.h"
#include "core/inode.h"
#include "core/perm.h"

#include <string.h>

#define VERSION     2u
#define HEADER      4u
#define ENTRY       8u
#define LARGEST     65536u
#define SMALL       (HEADER + 24 * ENTRY) /* what fits on the stack: more than people write */
#define NO_ID       0xffffffffu
#define RIGHTS      7u
#define PERMISSIONS 0777u

enum tag { USER_OBJ = 0x01, USER = 0x02, GROUP_OBJ = 0x04, GROUP = 0x08, MASK = 0x10, OTHER = 0x20 };

/* -- The format ---------------------------------------------------------------------------------------------------- */

/* An ACL as the bytes of its attribute. */
struct acl {
    const struct vrift_allocator *allocator;
    uint8_t *bytes; /* own, or `large` */
    uint8_t *large; /* an allocation or NULL */
    size_t length;
    uint8_t own[SMALL];
};

struct entry {
    uint32_t tag, rights, id;
};

static uint32_t get16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static void put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static uint32_t count_of(const struct acl *acl)
{
    return (uint32_t)((acl->length - HEADER) / ENTRY);
}

static uint8_t *entry_at(const struct acl *acl, uint32_t i)
{
    return acl->bytes + HEADER + (size_t)i * ENTRY;
}

static struct entry get_entry(const struct acl *acl, uint32_t i)
{
    const uint8_t *p = entry_at(acl, i);
    return (struct entry){get16(p), get16(p + 2), get16(p + 4) | get16(p + 6) << 16};
}

static void set_rights(const struct acl *acl, uint32_t i, uint32_t rights)
{
    put16(entry_at(acl, i) + 2, rights);
}

static void dispose(struct acl *acl)
{
    vr_alloc_free(acl->allocator, acl->large);
}

static int32_t make_room(struct acl *acl, const struct vrift_allocator *allocator, size_t length)
{
    acl->allocator = allocator;
    acl->large = NULL;
    acl->bytes = acl->own;
    acl->length = length;
    if (length <= sizeof acl->own)
        return 0;
    acl->bytes = acl->large = vr_alloc(allocator, length);
    return acl->large ? 0 : -VRIFT_ENOMEM;
}

int32_t vr_acl_check(const void *value, size_t len)
{
    const uint8_t *bytes = value;
    if (len == 0)
        return 0;
    if (len < HEADER)
        return -VRIFT_EINVAL;
    if ((get16(bytes) | get16(bytes + 2) << 16) != VERSION)
        return -VRIFT_EOPNOTSUPP;
    if ((len - HEADER) % ENTRY)
        return -VRIFT_EINVAL;
    for (size_t at = HEADER; at < len; at += ENTRY)
        switch (get16(bytes + at)) {
        case USER_OBJ:
        case USER:
        case GROUP_OBJ:
        case GROUP:
        case MASK:
        case OTHER:
            break;
        default:
            return -VRIFT_EINVAL;
        }
    return 0;
}

/* The order of the entries, after posix_acl_valid() of Linux. */
static int32_t check_order(const struct acl *acl)
{
    uint32_t next = USER_OBJ;
    bool needs_mask = false;
    for (uint32_t i = 0; i < count_of(acl); i++) {
        struct entry entry = get_entry(acl, i);
        if (entry.rights & ~RIGHTS)
            return -VRIFT_EINVAL;
        switch (entry.tag) {
        case USER_OBJ:
            if (next != USER_OBJ)
                return -VRIFT_EINVAL;
            next = USER;
            break;
        case USER:
        case GROUP:
            if (next != entry.tag || entry.id == NO_ID)
                return -VRIFT_EINVAL;
            needs_mask = true;
            break;
        case GROUP_OBJ:
            if (next != USER)
                return -VRIFT_EINVAL;
            next = GROUP;
            break;
        case MASK:
            if (next != GROUP)
                return -VRIFT_EINVAL;
            next = OTHER;
            break;
        case OTHER:
            if (next != OTHER && (next != GROUP || needs_mask))
                return -VRIFT_EINVAL;
            next = 0;
            break;
        default:
            return -VRIFT_EINVAL;
        }
    }
    return next == 0 ? 0 : -VRIFT_EINVAL;
}

/* -- Reading ------------------------------------------------------------------------------------------------------- */

/*
 * Reads an ACL of an inode: 0 and *acl to be disposed of, VR_ACL_NONE, or an error. What nobody can have written
 * through the core is -VRIFT_EIO.
 */
static int32_t load(struct vr_inode *inode, const char *name, struct acl *acl)
{
    uint64_t token = vr_inode_attr_token(inode);
    (void)make_room(acl, inode->sb->vfs->allocator, sizeof acl->own);
    int64_t length = vr_dispatch_getxattr(inode, name, acl->own, sizeof acl->own);
    if (length == -VRIFT_ERANGE) {
        int32_t error = make_room(acl, inode->sb->vfs->allocator, LARGEST);
        if (error)
            return error;
        length = vr_dispatch_getxattr(inode, name, acl->large, LARGEST);
    }
    if (length == -VRIFT_ENODATA || length == -VRIFT_EOPNOTSUPP || (length >= 0 && (size_t)length <= HEADER)) {
        dispose(acl);
        vr_inode_lacks(inode, token, strcmp(name, VR_ACL_ACCESS) == 0 ? VR_MODE_ACL : VR_MODE_DEFAULT_ACL);
        return VR_ACL_NONE;
    }
    if (length < 0 || vr_acl_check(acl->bytes, (size_t)length)) {
        dispose(acl);
        return length < 0 ? (int32_t)length : -VRIFT_EIO;
    }
    acl->length = (size_t)length;
    return 0;
}

/* Do an entry's rights, narrowed by the mask behind it, hold all that is wanted? */
static int32_t judge_masked(const struct acl *acl, uint32_t i, uint32_t may)
{
    uint32_t rights = get_entry(acl, i).rights;
    for (uint32_t k = i + 1; k < count_of(acl); k++) {
        struct entry entry = get_entry(acl, k);
        if (entry.tag == MASK) {
            rights &= entry.rights;
            break;
        }
    }
    return (rights & may) == may ? 0 : -VRIFT_EACCES;
}

static int32_t judge(const struct acl *acl, const vrift_cred *cred, uint32_t gid, uint32_t may)
{
    bool in_some_group = false;
    for (uint32_t i = 0; i < count_of(acl); i++) {
        struct entry entry = get_entry(acl, i);
        switch (entry.tag) {
        case USER:
            if (entry.id == cred->uid)
                return judge_masked(acl, i, may);
            break;
        case GROUP_OBJ:
        case GROUP:
            if (vr_perm_in_group(cred, entry.tag == GROUP ? entry.id : gid)) {
                in_some_group = true;
                if ((entry.rights & may) == may)
                    return judge_masked(acl, i, may);
            }
            break;
        case OTHER:
            return in_some_group || (entry.rights & may) != may ? -VRIFT_EACCES : 0;
        default:
            break;
        }
    }
    return -VRIFT_EIO;
}

int32_t vr_acl_permission(const vrift_cred *cred, struct vr_inode *inode, uint32_t may)
{
    struct acl acl;
    int32_t result = load(inode, VR_ACL_ACCESS, &acl);
    if (result)
        return result;
    result = judge(&acl, cred, atomic_load_explicit(&inode->gid, memory_order_relaxed), may & RIGHTS);
    dispose(&acl);
    return result;
}

int64_t vr_acl_get(struct vr_inode *inode, const char *name, void *buf, size_t len)
{
    struct acl acl;
    if (!inode->sb->acls || vr_is_link(inode))
        return -VRIFT_EOPNOTSUPP;
    int64_t result = load(inode, name, &acl);
    if (result)
        return result == VR_ACL_NONE ? -VRIFT_ENODATA : result;
    result = (int64_t)acl.length;
    if (len && acl.length > len)
        result = -VRIFT_ERANGE;
    else if (len)
        memcpy(buf, acl.bytes, acl.length);
    dispose(&acl);
    return result;
}

bool vr_acl_is_name(const char *name)
{
    return strcmp(name, VR_ACL_ACCESS) == 0 || strcmp(name, VR_ACL_DEFAULT) == 0;
}

/* -- ACL and mode -------------------------------------------------------------------------------------------------- */

/* The permission bits that show an ACL, and whether they tell all of it. */
static bool equals_mode(const struct acl *acl, uint32_t *permissions)
{
    bool equal = true;
    uint32_t mode = 0;
    for (uint32_t i = 0; i < count_of(acl); i++) {
        struct entry entry = get_entry(acl, i);
        switch (entry.tag) {
        case USER_OBJ:
            mode |= entry.rights << 6;
            break;
        case GROUP_OBJ:
            mode |= entry.rights << 3;
            break;
        case OTHER:
            mode |= entry.rights;
            break;
        case MASK:
            mode = (mode & ~070u) | entry.rights << 3;
            equal = false;
            break;
        default:
            equal = false;
        }
    }
    *permissions = mode;
    return equal;
}

/* The entry that the group bits of the mode stand for: the mask, or the owning group's. */
static uint32_t group_class(const struct acl *acl)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < count_of(acl); i++) {
        uint32_t tag = get_entry(acl, i).tag;
        if (tag == MASK)
            return i;
        if (tag == GROUP_OBJ)
            found = i;
    }
    return found;
}

static void set_from_mode(const struct acl *acl, uint32_t mode)
{
    for (uint32_t i = 0; i < count_of(acl); i++) {
        uint32_t tag = get_entry(acl, i).tag;
        if (tag == USER_OBJ)
            set_rights(acl, i, mode >> 6 & RIGHTS);
        else if (tag == OTHER)
            set_rights(acl, i, mode & RIGHTS);
    }
    set_rights(acl, group_class(acl), mode >> 3 & RIGHTS);
}

int32_t vr_acl_follow_mode(struct vr_inode *inode, uint32_t mode)
{
    struct acl acl;
    uint32_t shown;
    if (!vr_perm_is(inode, VR_MODE_ACL))
        return 0;
    int32_t error = load(inode, VR_ACL_ACCESS, &acl);
    if (error)
        return error == VR_ACL_NONE ? 0 : error;
    equals_mode(&acl, &shown);
    if (shown != (mode & PERMISSIONS)) {
        set_from_mode(&acl, mode);
        error = vr_dispatch_setxattr(inode, VR_ACL_ACCESS, acl.bytes, acl.length, 0);
        vr_inode_attr_forget(inode);
        vr_inode_gained(inode, VR_MODE_ACL);
    }
    dispose(&acl);
    return error;
}

/* -- Setting ------------------------------------------------------------------------------------------------------- */

static int32_t store(struct vr_inode *inode, const char *name, const struct acl *acl, uint32_t right)
{
    int32_t error;
    if (acl)
        error = vr_dispatch_setxattr(inode, name, acl->bytes, acl->length, 0);
    else
        error = vr_dispatch_removexattr(inode, name);
    if (error == -VRIFT_ENODATA && !acl)
        error = 0;
    if (error)
        return error;
    vr_inode_attr_forget(inode);
    if (acl)
        vr_inode_gained(inode, right);
    return 0;
}

static int32_t set_access(const vrift_cred *cred, struct vr_inode *inode, const struct acl *acl)
{
    uint32_t before = atomic_load_explicit(&inode->mode, memory_order_relaxed) & 07777, after = before, shown;
    if (acl) {
        bool equal = equals_mode(acl, &shown);
        after = (before & ~PERMISSIONS) | shown;
        if (equal)
            acl = NULL;
    }
    after &= ~vr_perm_setgid_lost(cred, atomic_load_explicit(&inode->gid, memory_order_relaxed));
    int32_t error = store(inode, VR_ACL_ACCESS, acl, VR_MODE_ACL);
    /* Even where nothing changes, Linux stamps it. */
    if (!error) {
        struct vrift_setattr set = {.size = sizeof set, .mask = VRIFT_SET_MODE, .mode = after};
        error = vr_inode_setattr(inode, NULL, &set);
    }
    return error;
}

/* The bytes as they are stored: an entry that names nobody has no number. */
static int32_t copy_in(struct vr_inode *inode, const void *value, size_t len, struct acl *acl)
{
    int32_t error = make_room(acl, inode->sb->vfs->allocator, len);
    if (error)
        return error;
    memcpy(acl->bytes, value, len);
    for (uint32_t i = 0; i < count_of(acl); i++) {
        uint32_t tag = get_entry(acl, i).tag;
        if (tag != USER && tag != GROUP)
            memset(entry_at(acl, i) + 4, 0xff, 4);
    }
    return 0;
}

int32_t vr_acl_set(const vrift_cred *cred, struct vr_inode *inode, const char *name, const void *value, size_t len)
{
    struct acl acl;
    bool access = strcmp(name, VR_ACL_ACCESS) == 0, given = value && len > HEADER;
    if (vr_perm_is(inode, VR_MODE_IMMUTABLE | VR_MODE_APPEND))
        return -VRIFT_EPERM;
    if (!inode->sb->acls || vr_is_link(inode))
        return -VRIFT_EOPNOTSUPP;
    if (!access && !vr_is_dir(inode))
        return given ? -VRIFT_EACCES : 0;
    if (!vr_perm_owner(cred, inode))
        return -VRIFT_EPERM;
    int32_t error = 0;
    if (given) {
        error = copy_in(inode, value, len, &acl);
        if (error)
            return error;
        error = check_order(&acl);
    }
    if (!error && access)
        error = set_access(cred, inode, given ? &acl : NULL);
    else if (!error)
        error = store(inode, name, given ? &acl : NULL, VR_MODE_DEFAULT_ACL);
    if (given)
        dispose(&acl);
    return error;
}

/* -- Inheritance --------------------------------------------------------------------------------------------------- */

/* Narrows a default ACL and a mode to what both allow; whether the mode then tells all. */
static bool narrow(const struct acl *acl, uint32_t *mode)
{
    uint32_t permissions = *mode & PERMISSIONS, shown, group = group_class(acl);
    for (uint32_t i = 0; i < count_of(acl); i++) {
        struct entry entry = get_entry(acl, i);
        if (entry.tag == USER_OBJ)
            set_rights(acl, i, entry.rights & permissions >> 6);
        else if (entry.tag == OTHER)
            set_rights(acl, i, entry.rights & permissions);
        else if (i == group)
            set_rights(acl, i, entry.rights & permissions >> 3);
    }
    bool equal = equals_mode(acl, &shown);
    *mode = (*mode & ~PERMISSIONS) | shown;
    return equal;
}

/* One allocation: the default ACL as it is, and the access ACL that is made of it. */
static int32_t inherit(const struct acl *parents, struct vrift_create *how, struct vr_acl_birth *birth)
{
    size_t length = parents->length;
    birth->memory = vr_alloc(parents->allocator, 2 * length);
    if (!birth->memory)
        return -VRIFT_ENOMEM;
    memcpy(birth->memory, parents->bytes, length);
    memcpy(birth->memory + length, parents->bytes, length);
    struct acl access = {.bytes = birth->memory + length, .length = length};
    if (!narrow(&access, &how->mode)) {
        how->acl = access.bytes;
        how->acl_size = (uint32_t)length;
    }
    if ((how->mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR) {
        how->default_acl = birth->memory;
        how->default_acl_size = (uint32_t)length;
    }
    return 0;
}

int32_t vr_acl_birth(struct vr_inode *dir, uint32_t umask, struct vrift_create *how, struct vr_acl_birth *birth)
{
    struct acl acl;
    int32_t error = VR_ACL_NONE;
    *birth = (struct vr_acl_birth){dir->sb->vfs->allocator, NULL};
    how->acl = how->default_acl = NULL;
    how->acl_size = how->default_acl_size = 0;
    if ((how->mode & VRIFT_S_IFMT) == VRIFT_S_IFLNK)
        return 0;
    if (vr_perm_is(dir, VR_MODE_DEFAULT_ACL))
        error = load(dir, VR_ACL_DEFAULT, &acl);
    if (error == VR_ACL_NONE) {
        how->mode &= ~(umask & PERMISSIONS);
        return 0;
    }
    if (error)
        return error;
    error = inherit(&acl, how, birth);
    dispose(&acl);
    return error;
}

void vr_acl_birth_end(struct vr_acl_birth *birth)
{
    vr_alloc_free(birth->allocator, birth->memory);
    birth->memory = NULL;
}
