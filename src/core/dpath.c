/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/dpath.h"

#include "core/dcache.h"

#include <string.h>

/* Text that grows towards the front of a buffer. */
struct front {
    char *buf;
    size_t at; /* first byte used */
    bool full;
};

static void prepend(struct front *front, const char *text, size_t length)
{
    if (front->full || length > front->at) {
        front->full = true;
        return;
    }
    front->at -= length;
    memcpy(front->buf + front->at, text, length);
}

int64_t vr_dpath_write(const struct vr_path *root, const struct vr_path *path, bool must_exist, char *buf, size_t len)
{
    static const char unreachable[] = "(unreachable)";
    struct front front = {buf, len, false};
    struct vr_path at = *path;
    bool found = true;
    if (must_exist && !vr_dcache_hashed(at.dentry))
        return -VRIFT_ENOENT;
    prepend(&front, "", 1);
    while (at.dentry != root->dentry || at.mount != root->mount) {
        if (at.dentry == at.mount->root) {
            if (!at.mount->parent) {
                /* The namespace's own root, above a changed root, or a mount that was taken out of the tree. */
                found = false;
                break;
            }
            at = (struct vr_path){at.mount->parent, at.mount->point};
            continue;
        }
        if (at.dentry->parent == at.dentry) {
            /* Moved out of what a bind mount shows: its names lead nowhere, and Linux leaves them out. */
            front.at = len ? len - 1 : 0;
            found = false;
            break;
        }
        char name[VRIFT_NAME_MAX];
        prepend(&front, name, vr_dcache_name_of(at.dentry, name));
        prepend(&front, "/", 1);
        at.dentry = at.dentry->parent;
    }
    if (front.at == len - 1 || front.full)
        prepend(&front, "/", 1);
    if (!found)
        prepend(&front, unreachable, sizeof unreachable - 1);
    if (front.full)
        return -VRIFT_ERANGE;
    memmove(buf, buf + front.at, len - front.at);
    return (int64_t)(len - front.at);
}

int64_t vr_dpath_in_sb(const struct vr_dentry *dentry, char *buf, size_t len)
{
    static const char deleted[] = "//deleted";
    struct front front = {buf, len, false};
    prepend(&front, "", 1);
    if (!vr_dcache_hashed(dentry))
        prepend(&front, deleted, sizeof deleted - 1);
    if (dentry->parent == dentry)
        prepend(&front, "/", 1);
    for (; dentry->parent != dentry; dentry = dentry->parent) {
        char name[VRIFT_NAME_MAX];
        prepend(&front, name, vr_dcache_name_of(dentry, name));
        prepend(&front, "/", 1);
    }
    if (front.full)
        return -VRIFT_ERANGE;
    memmove(buf, buf + front.at, len - front.at);
    return (int64_t)(len - front.at);
}
