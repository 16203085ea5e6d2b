/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Taking over a directory of the host: a new upper is made that holds just what tells the directory from the base, and
 * takes the place of the present one in one step. Until then the workspace stays as it was.
 *
 * A file that has not changed since it was restored is not read: its ctime, which no program can set, says so. Files
 * that share an inode, here or in the base, wait until all are known, for only then is it clear whether they are
 * linked as before.
 */
#include "workspace/workspace_ingest.h"

#include "core/copyin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory on the way down. */
struct level {
    struct level *parent;
    const char *name;
    int host;      /* descriptor */
    int upper;     /* descriptor in the new upper, -1 until something has to be there */
    uint64_t base; /* the base's directory that shows through, VR_WORKSPACE_NO_ENTRY */
    bool opaque;   /* to be marked so once it is made */
    bool changed;  /* itself, since it was restored */
    bool moved;    /* it or one above it may have had another path when it was restored */
};

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

int32_t vr_workspace_ingest_fail(struct vr_workspace_intake *intake, int32_t error, const char *reason)
{
    return vr_error_fill(intake->detail, error, "take over", intake->path.length ? intake->path.data : ".", reason);
}

static size_t enter(struct vr_str *path, const char *name)
{
    size_t before = path->length;
    if (before) {
        vr_str_append(path, "/", 1);
    }
    vr_str_append_text(path, name);
    return before;
}

/* -- The new upper's directories ---------------------------------------------------------------------------------- */

int32_t vr_workspace_ingest_made(struct vr_workspace_intake *intake, const char *path, size_t length)
{
    if (intake->made_count == intake->made_capacity) {
        size_t capacity = intake->made_capacity ? intake->made_capacity * 2 : 32;
        char **made = vr_alloc_resize(NULL, intake->made, capacity * sizeof(*made));
        if (!made) {
            return -VRIFT_ENOMEM;
        }
        intake->made = made;
        intake->made_capacity = capacity;
    }
    char *copy = vr_alloc_string(NULL, path, length);
    if (!copy) {
        return -VRIFT_ENOMEM;
    }
    intake->made[intake->made_count++] = copy;
    return 0;
}

/* Makes a level's directory in the new upper, its parents first. `length` is that of the level's path. */
static int32_t ensure(struct vr_workspace_intake *intake, struct level *level, size_t length)
{
    char key[64];
    if (level->upper >= 0) {
        return 0;
    }
    size_t name = strlen(level->name);
    int32_t result = ensure(intake, level->parent, length > name ? length - name - 1 : 0);
    if (result == 0) {
        result = vr_workspace_ingest_made(intake, intake->path.data, length);
    }
    if (result < 0) {
        return result;
    }
    if (mkdirat(level->parent->upper, level->name, 0700) < 0) {
        return host_error();
    }
    level->upper = openat(level->parent->upper, level->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (level->upper < 0) {
        return host_error();
    }
    vr_workspace_base_mark(&intake->next, "opaque", key);
    return level->opaque ? vr_fileops_xattr_set(level->upper, "", key, "y", 1, 0) : 0;
}

static bool earlier(const struct vrift_timespec *a, const struct vrift_timespec *b)
{
    return a->sec < b->sec || (a->sec == b->sec && a->nsec < b->nsec);
}

/* Whether nothing has been done to the inode itself since it was restored. */
static bool unchanged(const struct vr_workspace_intake *intake, const struct vrift_stat *stat)
{
    return intake->state && earlier(&stat->ctime, &intake->workspace->checkout);
}

/* Whether the file is as it was restored, and where. */
static bool untouched(const struct vr_workspace_intake *intake, const struct level *level,
                      const struct vrift_stat *stat)
{
    return !level->moved && unchanged(intake, stat);
}

/* The rename of a directory shows in its own times and in those of its parent, but in nothing that lies below it. */
static void note_changes(const struct vr_workspace_intake *intake, struct level *level, const struct vrift_stat *stat)
{
    const struct level *parent = level->parent;
    level->changed = !unchanged(intake, stat);
    level->moved = parent && (parent->moved || (parent->changed && level->changed));
}

/* What has not changed since the workspace was restored and lies in its present upper is shared with that. */
static bool reuse(struct vr_workspace_intake *intake, const struct level *level, const char *to_name,
                  const struct vrift_stat *stat)
{
    struct vrift_stat old;
    const char *slash = strrchr(intake->path.data, '/');
    struct vr_str parent = VR_STR_INIT;
    bool done = false;
    if (!untouched(intake, level, stat) || (stat->mode & VRIFT_S_IFMT) != VRIFT_S_IFREG) {
        return false;
    }
    vr_str_append(&parent, intake->path.data, slash ? (size_t)(slash - intake->path.data) : 0);
    int dir = vr_fileops_open_beneath(intake->old_upper, parent.length ? parent.data : ".",
                                      O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0);
    vr_str_dispose(&parent);
    if (dir >= 0) {
        const char *name = slash ? slash + 1 : intake->path.data;
        done = vr_fileops_stat(dir, name, &old) == 0 && old.mode == stat->mode && old.size == stat->size &&
               old.mtime.sec == stat->mtime.sec && old.mtime.nsec == stat->mtime.nsec &&
               linkat(dir, name, level->upper, to_name, 0) == 0;
        close(dir);
    }
    return done;
}

static int32_t tick(struct vr_workspace_intake *intake, uint64_t bytes)
{
    intake->progress.files_done++;
    intake->progress.bytes_done += bytes;
    if (!intake->options->progress || intake->progress.files_done % 256) {
        return 0;
    }
    return intake->options->progress(&intake->progress, intake->options->payload);
}

/* -- Comparing ---------------------------------------------------------------------------------------------------- */

/* 1 if an untouched file's content, which is that of the restored state, is the base's; 0 if not. */
static int32_t state_has_content(struct vr_workspace_intake *intake, const struct vrift_stat *before)
{
    uint64_t entry;
    struct vrift_stat restored;
    if (intake->state_is_base) {
        return 1;
    }
    int32_t result = vrift_snapshot_walk(intake->state, intake->path.data, &entry);
    if (result == 0) {
        result = vrift_snapshot_stat(intake->state, entry, &restored);
    }
    if (result < 0) {
        return result == -VRIFT_ENOENT ? 0 : result;
    }
    return restored.size == before->size && memcmp(restored.digest, before->digest, sizeof(before->digest)) == 0;
}

/* 1 if the host's file is the base's entry in all that a snapshot keeps, but for its links. */
static int32_t is_same(struct vr_workspace_intake *intake, const struct level *level, const char *name, uint64_t base,
                       const struct vrift_stat *before, const struct vrift_stat *stat)
{
    int dir = level->host;
    struct vrift_stat after = *stat;
    uint32_t type = after.mode & VRIFT_S_IFMT;
    if ((before->mode ^ after.mode) & (VRIFT_S_IFMT | 07777) || (type == VRIFT_S_IFREG && before->size != after.size)) {
        return 0;
    }
    if (!intake->privileged) { /* what was restored could not keep its owner */
        after.uid = before->uid;
        after.gid = before->gid;
    }
    if (untouched(intake, level, stat) && before->mtime.sec == after.mtime.sec &&
        before->mtime.nsec == after.mtime.nsec && before->uid == after.uid && before->gid == after.gid &&
        type == VRIFT_S_IFREG && intake->state_is_base) {
        return 1;
    }
    int32_t result = vr_workspace_compare_attributes(&intake->comparison, dir, name, base, before, &after);
    if (result <= 0 || type == VRIFT_S_IFDIR) {
        return result;
    }
    if (type == VRIFT_S_IFREG && untouched(intake, level, stat)) {
        return state_has_content(intake, before);
    }
    return vr_workspace_compare_content(&intake->comparison, dir, name, base, before, &after);
}

/* -- The walk ----------------------------------------------------------------------------------------------------- */

struct child {
    char *name;
    bool on_host;
    uint64_t base;
};

struct children {
    struct child *items;
    size_t count, capacity, sorted;
};

static int32_t add_child(struct children *children, const char *name, uint32_t length, bool on_host, uint64_t base)
{
    if (children->count == children->capacity) {
        size_t capacity = children->capacity ? children->capacity * 2 : 32;
        struct child *items = vr_alloc_resize(NULL, children->items, capacity * sizeof(*items));
        if (!items) {
            return -VRIFT_ENOMEM;
        }
        children->items = items;
        children->capacity = capacity;
    }
    struct child *child = &children->items[children->count];
    *child = (struct child){vr_alloc_string(NULL, name, length), on_host, base};
    return child->name ? (children->count++, 0) : -VRIFT_ENOMEM;
}

static int compare_children(const void *a, const void *b)
{
    return strcmp(((const struct child *)a)->name, ((const struct child *)b)->name);
}

static void sort_children(struct children *children)
{
    if (children->count) {
        qsort(children->items, children->count, sizeof(*children->items), compare_children);
    }
    children->sorted = children->count;
}

static int32_t take_host(const struct vr_fileops_dirent *entry, void *payload)
{
    return add_child(payload, entry->name, entry->length, true, VR_WORKSPACE_NO_ENTRY);
}

/* Enters the base's entry at the host's name, which was sorted before, or adds it. */
static int32_t take_base(const struct vrift_snapshot_entry *entry, void *payload)
{
    struct children *children = payload;
    struct child key = {.name = vr_alloc_string(NULL, entry->name, entry->name_length)}, *child = NULL;
    if (!key.name) {
        return -VRIFT_ENOMEM;
    }
    if (children->sorted) {
        child = bsearch(&key, children->items, children->sorted, sizeof(key), compare_children);
    }
    vr_alloc_free(NULL, key.name);
    if (child) {
        child->base = entry->entry;
        return 0;
    }
    return add_child(children, entry->name, entry->name_length, false, entry->entry);
}

static int32_t visit_file(struct vr_workspace_intake *intake, struct level *level, const struct child *child,
                          const struct vrift_stat *stat, size_t level_length)
{
    struct vrift_stat before = {0};
    uint64_t base_inode = VR_WORKSPACE_NO_ENTRY;
    int32_t same = 0;
    if (child->base != VR_WORKSPACE_NO_ENTRY) {
        int32_t result = vrift_snapshot_stat(intake->comparison.base, child->base, &before);
        if (result == 0) {
            result = vrift_snapshot_inode(intake->comparison.base, child->base, &base_inode);
        }
        same = result < 0 ? result : is_same(intake, level, child->name, child->base, &before, stat);
        if (same < 0) {
            return same;
        }
    }
    int32_t result = tick(intake, (stat->mode & VRIFT_S_IFMT) == VRIFT_S_IFREG ? stat->size : 0);
    if (result) {
        return result;
    }
    bool base_is_file = child->base != VR_WORKSPACE_NO_ENTRY && (before.mode & VRIFT_S_IFMT) != VRIFT_S_IFDIR;
    if (stat->nlink > 1 || (base_is_file && before.nlink > 1)) {
        return vr_workspace_links_defer(intake, stat, base_inode, same > 0);
    }
    if (same > 0) {
        return 0;
    }
    result = ensure(intake, level, level_length);
    if (result == 0 && !reuse(intake, level, child->name, stat)) {
        result = vr_workspace_place(intake, level->host, child->name, level->upper, child->name, stat);
    }
    return result;
}

static int32_t walk(struct vr_workspace_intake *intake, struct level *level);

static int32_t visit_directory(struct vr_workspace_intake *intake, struct level *parent, const struct child *child,
                               const struct vrift_stat *stat)
{
    struct vrift_stat before = {0};
    struct level level = {.parent = parent, .name = child->name, .upper = -1, .base = VR_WORKSPACE_NO_ENTRY};
    int32_t result = 0, same = 0;
    if (child->base != VR_WORKSPACE_NO_ENTRY) {
        result = vrift_snapshot_stat(intake->comparison.base, child->base, &before);
        if (result == 0 && (before.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR) {
            level.base = child->base;
            result = same = is_same(intake, parent, child->name, child->base, &before, stat);
        }
    }
    if (result < 0) {
        return result;
    }
    note_changes(intake, &level, stat);
    level.opaque = level.base == VR_WORKSPACE_NO_ENTRY && parent->base != VR_WORKSPACE_NO_ENTRY;
    level.host = openat(parent->host, child->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (level.host < 0) {
        return host_error();
    }
    result = same ? 0 : ensure(intake, &level, intake->path.length);
    if (result == 0) {
        result = walk(intake, &level);
    }
    close(level.host);
    if (level.upper >= 0) {
        close(level.upper);
    }
    return result;
}

static int32_t visit(struct vr_workspace_intake *intake, struct level *level, const struct child *child,
                     size_t level_length)
{
    struct vrift_stat stat;
    if (!child->on_host) {
        int32_t result = ensure(intake, level, level_length);
        if (result == 0 && mknodat(level->upper, child->name, S_IFCHR, 0) < 0) {
            result = host_error();
        }
        return result;
    }
    int32_t result = vr_fileops_stat(level->host, child->name, &stat);
    if (result < 0) {
        return result;
    }
    return (stat.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR ? visit_directory(intake, level, child, &stat)
                                                       : visit_file(intake, level, child, &stat, level_length);
}

static int32_t walk(struct vr_workspace_intake *intake, struct level *level)
{
    struct children children = {0};
    int32_t result = vr_fileops_readdir(level->host, 0, take_host, &children);
    sort_children(&children);
    if (result == 0 && level->base != VR_WORKSPACE_NO_ENTRY) {
        result = vrift_snapshot_readdir(intake->comparison.base, level->base, 0, take_base, &children);
        sort_children(&children);
    }
    if (result < 0) {
        vr_workspace_ingest_fail(intake, result, NULL);
    }
    for (size_t i = 0; result == 0 && i < children.count; i++) {
        size_t before = enter(&intake->path, children.items[i].name);
        result = intake->path.failed ? -VRIFT_ENOMEM : visit(intake, level, &children.items[i], before);
        if (result) {
            vr_workspace_ingest_fail(intake, result, NULL);
        }
        vr_str_truncate(&intake->path, before);
    }
    for (size_t i = 0; i < children.count; i++) {
        vr_alloc_free(NULL, children.items[i].name);
    }
    vr_alloc_free(NULL, children.items);
    return result;
}

/* -- The end ------------------------------------------------------------------------------------------------------ */

static int32_t dress(struct vr_workspace_intake *intake, const char *path)
{
    struct vrift_stat stat;
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    int from = vr_fileops_open_beneath(intake->host, path, flags, 0, 0);
    int to = from < 0 ? from : vr_fileops_open_beneath(intake->upper, path, flags, 0, 0);
    int32_t result = to < 0 ? to : vr_fileops_stat(from, "", &stat);
    if (result == 0) {
        result = vr_workspace_place_xattrs(from, "", to, "");
    }
    if (result == 0) {
        result = vr_workspace_place_attributes(intake, to, "", &stat);
    }
    if (to >= 0) {
        close(to);
    }
    if (from >= 0) {
        close(from);
    }
    return result;
}

/* Directories get their attributes last and from below, when nothing moves their times any more. */
static int32_t dress_all(struct vr_workspace_intake *intake)
{
    for (size_t i = intake->made_count; i-- > 0;) {
        int32_t result = dress(intake, intake->made[i]);
        if (result < 0) {
            vr_str_append_text(&intake->path, intake->made[i]);
            return vr_workspace_ingest_fail(intake, result, NULL);
        }
    }
    int32_t result = dress(intake, ".");
    return result < 0 ? vr_workspace_ingest_fail(intake, result, NULL) : 0;
}

static int32_t fill(struct vr_workspace_intake *intake)
{
    struct level root = {
        .name = "",
        .host = intake->host,
        .upper = intake->upper,
        .base = intake->comparison.base ? 0 : VR_WORKSPACE_NO_ENTRY,
    };
    struct vrift_stat stat;
    int32_t result = vr_fileops_stat(intake->host, "", &stat);
    if (result < 0) {
        return vr_workspace_ingest_fail(intake, result, NULL);
    }
    note_changes(intake, &root, &stat);
    result = walk(intake, &root);
    if (result == 0) {
        result = vr_workspace_links_settle(intake);
    }
    return result ? result : dress_all(intake);
}

static int32_t open_snapshots(struct vr_workspace_intake *intake)
{
    vrift_workspace *workspace = intake->workspace;
    struct vrift_snapshot_info info;
    struct vrift_digest id;
    int32_t result = 0;
    if (!workspace->base.empty) {
        vr_digest_export(&workspace->base.id, &id);
        result = vrift_snapshot_open(workspace->store, &id, &intake->comparison.base);
        if (result == 0) {
            result = vrift_snapshot_info(intake->comparison.base, &info);
            intake->comparison.timeless = result == 0 && info.flags & VRIFT_SNAPSHOT_TIMELESS;
        }
    }
    if (result == 0 && workspace->has_checkout) {
        vr_digest_export(&workspace->checkout_state, &id);
        result = vrift_snapshot_open(workspace->store, &id, &intake->state);
        intake->state_is_base =
            !workspace->base.empty && vr_digest_equal(&workspace->checkout_state, &workspace->base.id);
    }
    return result;
}

static int32_t open_all(struct vr_workspace_intake *intake, const char *dir)
{
    vrift_workspace *workspace = intake->workspace;
    char name[VR_WORKSPACE_DIR_NAME];
    intake->host = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (intake->host < 0) {
        return host_error();
    }
    int32_t result = open_snapshots(intake);
    if (result == 0) {
        intake->next = workspace->base;
        intake->next.number++;
        result = vr_workspace_base_make_pair(workspace->store, workspace->dir, &intake->next, intake->host);
    }
    if (result == 0) {
        result = intake->old_upper = vr_workspace_open_upper(workspace);
    }
    if (result < 0) {
        return result;
    }
    vr_workspace_base_upper(intake->next.number, name);
    intake->upper = openat(workspace->dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return intake->upper < 0 ? host_error() : 0;
}

static void dispose(struct vr_workspace_intake *intake)
{
    for (size_t i = 0; i < intake->made_count; i++) {
        vr_alloc_free(NULL, intake->made[i]);
    }
    for (size_t i = 0; i < intake->linked_count; i++) {
        vr_alloc_free(NULL, intake->linked[i].path);
    }
    vr_alloc_free(NULL, intake->made);
    vr_alloc_free(NULL, intake->linked);
    vr_alloc_free(NULL, intake->claimed);
    vr_str_dispose(&intake->path);
    vrift_snapshot_unref(intake->comparison.base);
    vrift_snapshot_unref(intake->state);
    vr_workspace_compare_dispose(&intake->comparison);
    const int fds[] = {intake->host, intake->upper, intake->old_upper};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static int32_t ingest_locked(vrift_workspace *workspace, const char *dir, const struct vrift_import_options *options,
                             struct vrift_error_detail *detail)
{
    struct vr_workspace_intake intake = {
        .workspace = workspace,
        .privileged = geteuid() == 0,
        .host = -1,
        .upper = -1,
        .old_upper = -1,
        .options = options,
        .detail = detail,
    };
    int32_t result = open_all(&intake, dir);
    if (result < 0) {
        vr_error_fill(detail, result, "take over", dir, NULL);
    } else {
        result = fill(&intake);
    }
    if (result == 0) {
        result = vr_workspace_replace(workspace, &intake.next);
        result = result < 0 ? vr_error_fill(detail, result, "take over", dir, NULL) : 0;
    } else {
        vr_workspace_sweep(workspace);
    }
    dispose(&intake);
    return result;
}

int32_t vrift_workspace_ingest(vrift_workspace *workspace, const char *dir, const struct vrift_import_options *options)
{
    struct vrift_import_options ours;
    struct vrift_error_detail detail = {0};
    struct vr_workspace_hold hold;
    int32_t result = VR_COPYIN(&ours, options);
    if (result < 0) {
        return result;
    }
    if (!workspace || !dir || ours.flags) {
        return -VRIFT_EINVAL;
    }
    vr_os_mutex_lock(&workspace->mutex);
    result = vr_workspace_hold(workspace, &hold);
    if (result < 0) {
        vr_error_fill(&detail, result, "take over", dir, "the workspace is in use");
    } else {
        result = ingest_locked(workspace, dir, &ours, &detail);
        vr_workspace_release(&hold);
    }
    vr_os_mutex_unlock(&workspace->mutex);
    vr_error_publish(&detail);
    return result;
}
