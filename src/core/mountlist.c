/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What mounts there are: as records, and as the lines of /proc/self/mountinfo. */
#include "core/alloc.h"
#include "core/dcache.h"
#include "core/dpath.h"
#include "core/mnt.h"
#include "core/propagate.h"
#include "core/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A list as it was at one instant: records, each followed by its texts, in a buffer that was allocated before. */
struct listing {
    vrift_vfs *vfs;
    char *buf;
    size_t room;
    size_t used;  /* may be more than room: then it is what was needed so far */
    size_t count; /* of records */
    const struct vrift_mount_info **infos;
};

#define FIRST_ROOM 16384u

/* -- Taking it: under the tree mutex and in a read section ----------------------------------------------------------- */

static bool is_seen(const struct vr_mount *mount, const struct vr_path *root)
{
    const struct vr_dentry *dentry = mount->root;
    for (; mount != root->mount; mount = mount->parent) {
        if (!mount->parent)
            return false;
        dentry = mount->point;
    }
    return vr_dcache_below(dentry, root->dentry);
}

/* Each adds one text and answers where it is; "" where there is no room. */
static const char *add_bytes(struct listing *list, const char *bytes, size_t length)
{
    char *at = list->buf + list->used;
    bool fits = list->used + length + 1 <= list->room;
    list->used += length + 1;
    if (!fits)
        return "";
    memcpy(at, bytes, length);
    at[length] = '\0';
    return at;
}

static const char *add_path(struct listing *list, int64_t written)
{
    const char *at = list->buf + list->used;
    if (written < 0)
        list->used = list->room + VRIFT_PATH_MAX; /* more, whatever it is */
    else
        list->used += (size_t)written;
    return written < 0 ? "" : at;
}

static uint64_t propagation_of(const struct vr_mount *mount)
{
    uint64_t types = (mount->group ? VRIFT_MOUNT_SHARED : 0) | (mount->master ? VRIFT_MOUNT_SLAVE : 0) |
                     (mount->unbindable ? VRIFT_MOUNT_UNBINDABLE : 0);
    return types ? types : VRIFT_MOUNT_PRIVATE;
}

static void add_mount(struct listing *list, struct vr_mount *mount, const struct vr_path *root)
{
    const vrift_sb *sb = mount->sb;
    const struct vr_path top = {mount, mount->root};
    struct vrift_mount_info info = {
        .size = sizeof info,
        .id = mount->id,
        .parent = mount->parent ? mount->parent->id : mount->id,
        .dev = sb->number,
        .flags = atomic_load(&mount->flags),
        .sb_flags = sb->read_only ? VRIFT_MOUNT_RDONLY : 0,
        .propagation = propagation_of(mount),
        .group = mount->group,
        .master = mount->master ? mount->master->group : 0,
        .propagate_from = vr_propagate_dominating(mount, root),
    };
    list->used = (list->used + 7) & ~(size_t)7;
    size_t at = list->used;
    list->used += sizeof info;
    if (list->used >= list->room) {
        list->used = list->room + VRIFT_PATH_MAX;
        return;
    }
    info.root = add_path(list, vr_dpath_in_sb(mount->root, list->buf + list->used, list->room - list->used));
    if (list->used < list->room)
        info.point = add_path(list, vr_dpath_write(root, &top, false, list->buf + list->used, list->room - list->used));
    info.type = add_bytes(list, sb->ops.name ? sb->ops.name : "", sb->ops.name ? strlen(sb->ops.name) : 0);
    info.source = sb->source ? add_bytes(list, sb->source, strlen(sb->source)) : info.type;
    if (list->used <= list->room)
        memcpy(list->buf + at, &info, sizeof info);
    list->count++;
}

static void take(struct listing *list, vrift_task *task)
{
    list->used = list->count = 0;
    vr_mnt_tree_lock(task->vfs);
    vr_dcache_read_begin(task->vfs);
    const struct vr_path root = vr_spot_get(&task->place->root);
    struct vr_mount *top = task->ns->root;
    for (struct vr_mount *at = top; at && list->used <= list->room; at = vr_mnt_next(at, top))
        if (is_seen(at, &root))
            add_mount(list, at, &root);
    vr_dcache_read_end(task->vfs);
    vr_mnt_tree_unlock(task->vfs);
}

/* -- The list as it is handed out ----------------------------------------------------------------------------------- */

static int compare_infos(const void *a, const void *b)
{
    const struct vrift_mount_info *x = *(const struct vrift_mount_info *const *)a;
    const struct vrift_mount_info *y = *(const struct vrift_mount_info *const *)b;
    return (x->id > y->id) - (x->id < y->id);
}

static void dispose(struct listing *list)
{
    vr_alloc_free(list->vfs->allocator, list->buf);
    vr_alloc_free(list->vfs->allocator, list->infos);
}

/* Where the record after this one begins: behind its last text. */
static size_t end_of(const struct listing *list, const struct vrift_mount_info *info)
{
    const char *last = info->source == info->type ? info->type : info->source;
    return ((size_t)(last - list->buf) + strlen(last) + 1 + 7) & ~(size_t)7;
}

static int32_t make(struct listing *list, vrift_task *task)
{
    const struct vrift_allocator *allocator = task->vfs->allocator;
    *list = (struct listing){.vfs = task->vfs};
    size_t room = FIRST_ROOM;
    do {
        vr_alloc_free(allocator, list->buf);
        list->buf = vr_alloc(allocator, room);
        if (!list->buf)
            return -VRIFT_ENOMEM;
        list->room = room;
        take(list, task);
        room *= 2;
    } while (list->used > list->room);
    list->infos = vr_alloc_zero(allocator, list->count + 1, sizeof(struct vrift_mount_info *));
    if (!list->infos) {
        dispose(list);
        return -VRIFT_ENOMEM;
    }
    size_t at = 0;
    for (size_t i = 0; i < list->count; i++) {
        list->infos[i] = (const struct vrift_mount_info *)(const void *)(list->buf + at);
        at = end_of(list, list->infos[i]);
    }
    qsort(list->infos, list->count, sizeof(struct vrift_mount_info *), compare_infos);
    return 0;
}

int32_t vrift_mount_list(vrift_task *task, vrift_mount_fn fn, void *payload)
{
    struct listing list;
    if (!task || !fn)
        return -VRIFT_EINVAL;
    int32_t result = make(&list, task);
    if (result)
        return result;
    for (size_t i = 0; i < list.count && !result; i++)
        result = fn(list.infos[i], payload);
    dispose(&list);
    return result;
}

static int32_t copy_info(const struct vrift_mount_info *info, struct vrift_mount_info *out, char *buf, size_t len)
{
    const char *texts[4] = {info->root, info->point, info->type, info->source};
    const char *copies[4];
    size_t used = 0;
    for (int i = 0; i < 4; i++) {
        size_t length = strlen(texts[i]) + 1;
        if (length > len - used)
            return -VRIFT_ERANGE;
        copies[i] = memcpy(buf + used, texts[i], length);
        used += length;
    }
    *out = *info;
    out->root = copies[0];
    out->point = copies[1];
    out->type = copies[2];
    out->source = copies[3];
    return 0;
}

int32_t vrift_mount_stat(vrift_task *task, uint64_t id, struct vrift_mount_info *out, char *buf, size_t len)
{
    struct listing list;
    if (!task || !out || (!buf && len))
        return -VRIFT_EINVAL;
    int32_t error = make(&list, task);
    if (error)
        return error;
    error = -VRIFT_ENOENT;
    for (size_t i = 0; i < list.count; i++)
        if (list.infos[i]->id == id)
            error = copy_info(list.infos[i], out, buf, len);
    dispose(&list);
    return error;
}

/* -- Lines --------------------------------------------------------------------------------------------------------- */

/* As seq_escape() of Linux: what would end a field becomes three octal digits. */
static void escape(struct vr_str *line, const char *text, const char *special)
{
    for (; *text; text++) {
        char octal[5];
        if (!strchr(special, *text)) {
            vr_str_append(line, text, 1);
            continue;
        }
        snprintf(octal, sizeof octal, "\\%03o", (unsigned char)*text);
        vr_str_append_text(line, octal);
    }
}

static void append_number(struct vr_str *line, const char *before, uint64_t number)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRIu64, number);
    vr_str_append_text(line, before);
    vr_str_append_text(line, digits);
}

static void append_flags(struct vr_str *line, uint64_t flags)
{
    static const struct {
        uint64_t flag;
        const char *name;
    } names[] = {
        {VRIFT_MOUNT_NOSUID, ",nosuid"},           {VRIFT_MOUNT_NODEV, ",nodev"},
        {VRIFT_MOUNT_NOEXEC, ",noexec"},           {VRIFT_MOUNT_NOATIME, ",noatime"},
        {VRIFT_MOUNT_NODIRATIME, ",nodiratime"},   {VRIFT_MOUNT_RELATIME, ",relatime"},
        {VRIFT_MOUNT_NOSYMFOLLOW, ",nosymfollow"},
    };
    vr_str_append_text(line, flags & VRIFT_MOUNT_RDONLY ? "ro" : "rw");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (flags & names[i].flag)
            vr_str_append_text(line, names[i].name);
}

static int32_t VRIFT_CALLBACK append_line(const struct vrift_mount_info *info, void *payload)
{
    struct vr_str *text = payload;
    append_number(text, "", info->id);
    append_number(text, " ", info->parent);
    append_number(text, " ", info->dev >> 32);
    append_number(text, ":", info->dev & UINT32_MAX);
    vr_str_append_text(text, " ");
    escape(text, info->root, " \t\n\\");
    vr_str_append_text(text, " ");
    escape(text, info->point, " \t\n\\");
    vr_str_append_text(text, " ");
    append_flags(text, info->flags);
    if (info->propagation & VRIFT_MOUNT_SHARED)
        append_number(text, " shared:", info->group);
    if (info->propagation & VRIFT_MOUNT_SLAVE) {
        append_number(text, " master:", info->master);
        if (info->propagate_from && info->propagate_from != info->master)
            append_number(text, " propagate_from:", info->propagate_from);
    }
    if (info->propagation & VRIFT_MOUNT_UNBINDABLE)
        vr_str_append_text(text, " unbindable");
    vr_str_append_text(text, " - ");
    escape(text, info->type, " \t\n\\#");
    vr_str_append_text(text, " ");
    escape(text, info->source, " \t\n\\#");
    vr_str_append_text(text, info->sb_flags & VRIFT_MOUNT_RDONLY ? " ro\n" : " rw\n");
    return text->failed ? -VRIFT_ENOMEM : 0;
}

int64_t vrift_mountinfo(vrift_task *task, char *buf, size_t len)
{
    if (!task || (!buf && len))
        return -VRIFT_EINVAL;
    struct vr_str text = VR_STR_INIT;
    text.allocator = task->vfs->allocator;
    int64_t result = vrift_mount_list(task, append_line, &text);
    if (!result)
        result = (int64_t)text.length;
    if (result >= 0 && len) {
        if (text.length + 1 > len)
            result = -VRIFT_ERANGE;
        else
            memcpy(buf, vr_str_text(&text), text.length + 1);
    }
    vr_str_dispose(&text);
    return result;
}
