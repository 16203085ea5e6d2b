/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "backends/mem/mem.h"

#include <string.h>

/* What the name and the kind of inode allow: 0 or the errno of setxattr(2). */
static int32_t check(const struct vr_memnode *inode, const char *name)
{
    static const char *const prefixes[] = {"user.", "trusted.", "security.", "system.posix_acl_"};
    size_t length = strlen(name);
    if (length == 0 || length > VRIFT_NAME_MAX)
        return -VRIFT_ERANGE;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t prefix = strlen(prefixes[i]);
        if (strncmp(name, prefixes[i], prefix) != 0)
            continue;
        if (length == prefix)
            return -VRIFT_EINVAL;
        if (i == 0 && inode->type != VRIFT_S_IFREG && inode->type != VRIFT_S_IFDIR)
            return -VRIFT_EPERM;
        return 0;
    }
    return -VRIFT_EOPNOTSUPP;
}

/* The order in which tmpfs lists them: the ACLs, then the others by name, the last first. */
static int compare(const char *a, const char *b)
{
    int a_acl = strncmp(a, "system.", 7) == 0, b_acl = strncmp(b, "system.", 7) == 0;
    if (a_acl != b_acl)
        return b_acl - a_acl;
    return a_acl ? strcmp(a, b) : strcmp(b, a);
}

/* What points at the attribute, or at the place for it. Called with the lock held. */
static struct vr_memxattr **find(struct vr_memnode *inode, const char *name)
{
    struct vr_memxattr **link = &inode->xattrs;
    while (*link && compare((*link)->name, name) < 0)
        link = &(*link)->next;
    return link;
}

/* The one that is there. */
static struct vr_memxattr *there(struct vr_memxattr **link, const char *name)
{
    return *link && strcmp((*link)->name, name) == 0 ? *link : NULL;
}

static void free_one(const struct vrift_allocator *allocator, struct vr_memxattr *xattr)
{
    if (!xattr)
        return;
    vr_alloc_free(allocator, xattr->name);
    vr_alloc_free(allocator, xattr->value);
    vr_alloc_free(allocator, xattr);
}

void vr_memxattr_dispose(const struct vrift_allocator *allocator, struct vr_memxattr *list)
{
    while (list) {
        struct vr_memxattr *next = list->next;
        free_one(allocator, list);
        list = next;
    }
}

int64_t VRIFT_CALLBACK vr_memxattr_get(void *self, const struct vrift_node *node, const char *name, void *buf,
                                       size_t len)
{
    struct vr_memnode *inode = node->handle;
    int64_t result = check(inode, name);
    (void)self;
    if (result)
        return result == -VRIFT_EPERM ? -VRIFT_ENODATA : result;
    vr_os_rwlock_read(&inode->lock);
    const struct vr_memxattr *xattr = there(find(inode, name), name);
    if (!xattr)
        result = -VRIFT_ENODATA;
    else if (len > 0 && len < xattr->length)
        result = -VRIFT_ERANGE;
    else
        result = (int64_t)xattr->length;
    if (result > 0 && len > 0)
        memcpy(buf, xattr->value, xattr->length);
    vr_os_rwlock_unlock(&inode->lock);
    return result;
}

static struct vr_memxattr *make(const struct vrift_allocator *allocator, const char *name, const void *value,
                                size_t len)
{
    struct vr_memxattr *xattr = vr_alloc_zero(allocator, 1, sizeof *xattr);
    if (!xattr)
        return NULL;
    xattr->name = vr_alloc_string(allocator, name, strlen(name));
    xattr->value = vr_alloc(allocator, len);
    xattr->length = len;
    if (!xattr->name || !xattr->value) {
        free_one(allocator, xattr);
        return NULL;
    }
    if (len > 0)
        memcpy(xattr->value, value, len);
    return xattr;
}

int32_t VRIFT_CALLBACK vr_memxattr_set(void *self, const struct vrift_node *node, const char *name, const void *value,
                                       size_t len, uint64_t flags)
{
    struct vr_memfs *fs = self;
    struct vr_memnode *inode = node->handle;
    int32_t error = check(inode, name);
    if (error)
        return error;
    if (len > VR_MEM_XATTR_MAX)
        return -VRIFT_E2BIG;
    struct vr_memxattr *xattr = make(fs->allocator, name, value, len);
    if (!xattr)
        return -VRIFT_ENOMEM;
    vr_os_rwlock_write(&inode->lock);
    struct vr_memxattr **link = find(inode, name);
    struct vr_memxattr *before = there(link, name);
    if (before && (flags & VRIFT_XATTR_CREATE))
        error = -VRIFT_EEXIST;
    else if (!before && (flags & VRIFT_XATTR_REPLACE))
        error = -VRIFT_ENODATA;
    struct vr_memxattr *unused = xattr;
    if (!error) {
        unused = before;
        xattr->next = before ? before->next : *link;
        *link = xattr;
        vr_memnode_now(inode, &inode->ctime);
        inode->version++;
    }
    vr_os_rwlock_unlock(&inode->lock);
    free_one(fs->allocator, unused);
    return error;
}

int64_t VRIFT_CALLBACK vr_memxattr_list(void *self, const struct vrift_node *node, char *buf, size_t len)
{
    struct vr_memnode *inode = node->handle;
    size_t used = 0;
    (void)self;
    vr_os_rwlock_read(&inode->lock);
    for (const struct vr_memxattr *xattr = inode->xattrs; xattr; xattr = xattr->next) {
        size_t size = strlen(xattr->name) + 1;
        if (len > 0 && size <= len && used <= len - size)
            memcpy(buf + used, xattr->name, size);
        used += size;
    }
    vr_os_rwlock_unlock(&inode->lock);
    return len > 0 && used > len ? -VRIFT_ERANGE : (int64_t)used;
}

int32_t VRIFT_CALLBACK vr_memxattr_remove(void *self, const struct vrift_node *node, const char *name)
{
    struct vr_memfs *fs = self;
    struct vr_memnode *inode = node->handle;
    int32_t error = check(inode, name);
    if (error)
        return error;
    vr_os_rwlock_write(&inode->lock);
    struct vr_memxattr **link = find(inode, name);
    struct vr_memxattr *gone = there(link, name);
    int is_acl = strncmp(name, "system.", 7) == 0;
    if (gone)
        *link = gone->next;
    if (gone || is_acl) { /* taking an ACL away that is not there is a change all the same, on tmpfs */
        vr_memnode_now(inode, &inode->ctime);
        inode->version++;
    }
    vr_os_rwlock_unlock(&inode->lock);
    if (!gone)
        return is_acl ? 0 : -VRIFT_ENODATA;
    free_one(fs->allocator, gone);
    return 0;
}

uint64_t vr_memxattr_rights(const struct vr_memnode *node)
{
    uint64_t rights = 0;
    for (const struct vr_memxattr *xattr = node->xattrs; xattr; xattr = xattr->next) {
        if (strcmp(xattr->name, "system.posix_acl_access") == 0)
            rights |= VRIFT_ATTR_ACL;
        else if (strcmp(xattr->name, "system.posix_acl_default") == 0)
            rights |= VRIFT_ATTR_DEFAULT_ACL;
        else if (strcmp(xattr->name, "security.capability") == 0 && xattr->length > 0)
            rights |= VRIFT_ATTR_FILE_CAPS;
    }
    return rights;
}

int32_t vr_memxattr_born(const struct vrift_allocator *allocator, struct vr_memnode *node,
                         const struct vrift_create *how)
{
    struct vr_memxattr **link = &node->xattrs;
    if (how->acl) {
        *link = make(allocator, "system.posix_acl_access", how->acl, how->acl_size);
        if (!*link)
            return -VRIFT_ENOMEM;
        link = &(*link)->next;
    }
    if (how->default_acl)
        *link = make(allocator, "system.posix_acl_default", how->default_acl, how->default_acl_size);
    return how->default_acl && !*link ? -VRIFT_ENOMEM : 0;
}
