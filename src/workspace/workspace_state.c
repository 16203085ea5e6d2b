/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The tree that a workspace shows, as a snapshot: the base's tree nodes merged with the upper. Only directories that
 * the upper has are entered; what lies below any other keeps its digest unread. Attributes are those that an overlay
 * shows: the upper's where it has the entry, else the base's.
 */
#include "workspace/workspace.h"

#include "platform/fileops.h"
#include "store/blob.h"
#include "store/indexbuild.h"
#include "store/ingest.h"
#include "store/links.h"
#include "store/snapobject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A path of the base that the upper hides, with all below it. */
struct hidden {
    char **paths;
    size_t count, capacity;
};

struct merge {
    vrift_workspace *workspace;
    struct vr_ingest *ingest;
    struct vr_ingest_scratch scratch;
    struct vr_str path; /* of what is being looked at, relative to the root */
    struct hidden hidden;
    struct vrift_import_result counts; /* of the upper's entries */
};

struct upper_entry {
    char *name;
    uint32_t length;
    uint32_t type; /* VRIFT_DT_... */
};

struct upper_list {
    struct upper_entry *entries;
    size_t count, capacity;
};

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

static int32_t fail(struct merge *merge, int32_t error, const char *reason)
{
    return vr_ingest_fail(merge->ingest, error, "read workspace", vr_str_text(&merge->path), reason);
}

/* -- Paths -------------------------------------------------------------------------------------------------------- */

static size_t enter(struct vr_str *path, const char *name, size_t length)
{
    size_t before = path->length;
    if (before) {
        vr_str_append(path, "/", 1);
    }
    vr_str_append(path, name, length);
    return before;
}

static int32_t hide(struct merge *merge)
{
    struct hidden *hidden = &merge->hidden;
    if (hidden->count == hidden->capacity) {
        size_t capacity = hidden->capacity ? hidden->capacity * 2 : 64;
        char **paths = vr_alloc_resize(NULL, hidden->paths, capacity * sizeof(*paths));
        if (!paths) {
            return fail(merge, -VRIFT_ENOMEM, NULL);
        }
        hidden->paths = paths;
        hidden->capacity = capacity;
    }
    hidden->paths[hidden->count] = vr_alloc_string(NULL, vr_str_text(&merge->path), merge->path.length);
    return hidden->paths[hidden->count] ? (hidden->count++, 0) : fail(merge, -VRIFT_ENOMEM, NULL);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Whether a path or a directory above it is hidden. The path's memory is written to, and left as it was. */
static bool is_hidden(const struct hidden *hidden, char *path, size_t length)
{
    bool found = false;
    for (size_t i = 1; !found && i <= length; i++) {
        if (i == length || path[i] == '/') {
            char kept = path[i];
            path[i] = '\0';
            found = bsearch(&path, hidden->paths, hidden->count, sizeof(*hidden->paths), compare_paths) != NULL;
            path[i] = kept;
        }
    }
    return found;
}

/* -- The upper's directories -------------------------------------------------------------------------------------- */

static int32_t collect(const struct vr_fileops_dirent *entry, void *payload)
{
    struct upper_list *list = payload;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 32;
        struct upper_entry *entries = vr_alloc_resize(NULL, list->entries, capacity * sizeof(*entries));
        if (!entries) {
            return -VRIFT_ENOMEM;
        }
        list->entries = entries;
        list->capacity = capacity;
    }
    struct upper_entry *fresh = &list->entries[list->count];
    fresh->name = vr_alloc_string(NULL, entry->name, entry->length);
    fresh->length = entry->length;
    fresh->type = entry->type;
    return fresh->name ? (list->count++, 0) : -VRIFT_ENOMEM;
}

static int compare_entries(const void *a, const void *b)
{
    const struct upper_entry *x = a, *y = b;
    return vr_tree_compare(x->name, x->length, y->name, y->length);
}

static void dispose_list(struct upper_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        vr_alloc_free(NULL, list->entries[i].name);
    }
    vr_alloc_free(NULL, list->entries);
}

/* 1 if the entry bears the mark of the overlay, 0 if not. */
static int32_t marked(struct merge *merge, int dir, const char *name, const char *what)
{
    char key[64], value = 0;
    int64_t got =
        vr_fileops_xattr_get(dir, name, vr_workspace_base_mark(&merge->workspace->base, what, key), &value, 1);
    if (got == -VRIFT_ENODATA || got == -VRIFT_EOPNOTSUPP) {
        return 0;
    }
    if (got == -VRIFT_ERANGE) {
        return 1;
    }
    return got < 0 ? fail(merge, (int32_t)got, "an overlay attribute cannot be read")
                   : strcmp(what, "opaque") != 0 || (got == 1 && value == 'y');
}

static int32_t refuse_mark(struct merge *merge, int dir, const char *name, const char *what)
{
    int32_t result = marked(merge, dir, name, what);
    return result > 0 ? fail(merge, -VRIFT_EOPNOTSUPP, "its content lies elsewhere (overlay.redirect or metacopy)")
                      : result;
}

/* -- The merge ---------------------------------------------------------------------------------------------------- */

static int32_t merge_directory(struct merge *merge, const struct vr_digest *base, int dir, struct vr_digest *out);

static int32_t add_directory(struct merge *merge, struct vr_tree *tree, const struct vr_tree_entry *base, int dir,
                             const struct upper_entry *upper)
{
    struct vr_tree_entry entry;
    struct vr_digest digest;
    int fd = openat(dir, upper->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return fail(merge, host_error(), NULL);
    }
    int32_t opaque = marked(merge, fd, "", "opaque");
    bool merged = opaque == 0 && base && base->type == VRIFT_DT_DIR;
    int32_t result = opaque < 0 ? opaque : 0;
    if (result == 0 && merged) {
        result = refuse_mark(merge, fd, "", "redirect");
    }
    if (result == 0 && base && !merged) {
        result = hide(merge);
    }
    if (result == 0) {
        result = merge_directory(merge, merged ? &base->digest : NULL, fd, &digest);
    }
    close(fd);
    if (result == 0) {
        result = vr_ingest_file(merge->ingest, dir, upper->name, VRIFT_DT_DIR, vr_str_text(&merge->path), 0,
                                &merge->scratch, &entry);
    }
    if (result < 0) {
        return result;
    }
    entry.name = upper->name;
    entry.name_length = upper->length;
    entry.digest = digest;
    merge->counts.directories++;
    result = vr_tree_add(tree, &entry);
    return result < 0 ? fail(merge, result, NULL) : 0;
}

static int32_t add_file(struct merge *merge, struct vr_tree *tree, int dir, const struct upper_entry *upper,
                        uint32_t type)
{
    struct vr_tree_entry entry;
    int32_t result = type == VRIFT_DT_REG ? refuse_mark(merge, dir, upper->name, "metacopy") : 0;
    if (result == 0) {
        result = vr_ingest_file(merge->ingest, dir, upper->name, type, vr_str_text(&merge->path), 1, &merge->scratch,
                                &entry);
    }
    if (result < 0) {
        return result;
    }
    entry.name = upper->name;
    entry.name_length = upper->length;
    if (entry.type == VRIFT_DT_REG) {
        merge->counts.files++;
        merge->counts.bytes += entry.size;
    } else if (entry.type == VRIFT_DT_LNK) {
        merge->counts.symlinks++;
    } else {
        merge->counts.specials++;
    }
    result = vr_tree_add(tree, &entry);
    return result < 0 ? fail(merge, result, NULL) : 0;
}

static int32_t add_upper(struct merge *merge, struct vr_tree *tree, const struct vr_tree_entry *base, int dir,
                         const struct upper_entry *upper)
{
    uint32_t type = upper->type;
    struct vrift_stat stat;
    if (type == VRIFT_DT_UNKNOWN || type == VRIFT_DT_CHR) {
        int32_t result = vr_fileops_stat(dir, upper->name, &stat);
        if (result < 0) {
            return fail(merge, result, NULL);
        }
        type = vr_tree_mode_type(stat.mode);
        if (type == VRIFT_DT_CHR && stat.rdev == 0) {
            return base ? hide(merge) : 0;
        }
    }
    if (type == VRIFT_DT_DIR) {
        return add_directory(merge, tree, base, dir, upper);
    }
    int32_t result = base ? hide(merge) : 0;
    return result < 0 ? result : add_file(merge, tree, dir, upper, type);
}

/* Goes through both lists in the order of names; base_list may be NULL. */
static int32_t merge_lists(struct merge *merge, struct vr_tree_reader *base_list, int dir,
                           const struct upper_list *uppers, struct vr_tree *tree)
{
    struct vr_tree_entry base;
    int32_t more = base_list ? vr_tree_next(base_list, &base) : 0;
    size_t at = 0;
    while (more > 0 || at < uppers->count) {
        const struct upper_entry *upper = at < uppers->count ? &uppers->entries[at] : NULL;
        int order = more <= 0 ? 1
                    : !upper  ? -1
                              : vr_tree_compare(base.name, base.name_length, upper->name, upper->length);
        int32_t result;
        if (order < 0) {
            result = vr_tree_add(tree, &base);
        } else {
            size_t before = enter(&merge->path, upper->name, upper->length);
            result = merge->path.failed ? -VRIFT_ENOMEM : add_upper(merge, tree, order == 0 ? &base : NULL, dir, upper);
            vr_str_truncate(&merge->path, before);
            at++;
        }
        if (result == 0 && order <= 0) {
            more = vr_tree_next(base_list, &base);
        }
        if (result < 0 || more < 0) {
            return fail(merge, result < 0 ? result : more, NULL);
        }
    }
    return more < 0 ? fail(merge, more, NULL) : 0;
}

static int32_t merge_directory(struct merge *merge, const struct vr_digest *base, int dir, struct vr_digest *out)
{
    struct upper_list uppers = {0};
    struct vr_blob node = {0};
    struct vr_tree_reader reader;
    struct vr_tree tree;
    int timeless = vr_ingest_timeless(merge->ingest);
    vr_tree_init(&tree, timeless);
    int32_t result = vr_fileops_readdir(dir, 0, collect, &uppers);
    if (result == 0 && base) {
        result = vr_blob_load(merge->workspace->store, base, VR_INDEXBUILD_MAX_NODE, &node);
        if (result == 0) {
            result = vr_tree_open(&reader, node.data, node.length);
        }
        if (result == 0 && reader.timeless != (uint32_t)timeless) {
            result = -VRIFT_EUCLEAN;
        }
    }
    if (result < 0) {
        fail(merge, result, NULL);
    } else {
        if (uppers.count) {
            qsort(uppers.entries, uppers.count, sizeof(*uppers.entries), compare_entries);
        }
        result = merge_lists(merge, base ? &reader : NULL, dir, &uppers, &tree);
    }
    if (result == 0) {
        result = vr_ingest_tree(merge->ingest, &tree, out);
    }
    vr_blob_release(&node);
    vr_tree_dispose(&tree);
    dispose_list(&uppers);
    return result;
}

/* -- Hard links ---------------------------------------------------------------------------------------------------- */

/* A name of the base is still one unless the upper hides it; names that are left alone lose their group by themselves. */
static int32_t keep_link(uint32_t group, const char *path, size_t length, void *payload)
{
    struct merge *merge = payload;
    char *text = vr_alloc_string(NULL, path, length);
    int32_t result = text ? 0 : -VRIFT_ENOMEM;
    if (text && !(merge->hidden.count && is_hidden(&merge->hidden, text, length))) {
        result = vr_ingest_link(merge->ingest, group, text);
    }
    vr_alloc_free(NULL, text);
    return result;
}

static int32_t merge_links(struct merge *merge, const struct vr_snapobject *base)
{
    struct vr_blob links;
    if (!base->has_links) {
        return 0;
    }
    if (merge->hidden.count) {
        qsort(merge->hidden.paths, merge->hidden.count, sizeof(*merge->hidden.paths), compare_paths);
    }
    int32_t result = vr_blob_load(merge->workspace->store, &base->links, VR_INDEXBUILD_MAX_NODE, &links);
    if (result < 0) {
        return fail(merge, result, "the list of hard links is damaged");
    }
    result = vr_links_read(links.data, links.length, keep_link, merge);
    vr_blob_release(&links);
    return result < 0 ? fail(merge, result, "the list of hard links is damaged") : 0;
}

/* -- The whole ---------------------------------------------------------------------------------------------------- */

/* Reads the base's snapshot object into memory of the C library, from which the root's entry borrows. */
static int32_t load_base(vrift_workspace *workspace, struct vr_snapobject *out, char **bytes)
{
    char name[VR_DIGEST_HEX], *data;
    struct vr_digest digest;
    size_t length;
    vr_digest_hex(&workspace->base.id, name);
    int32_t result = vr_fileops_read_file(workspace->store->snapshots, name, VR_SNAPOBJECT_MAX, &data, &length);
    if (result < 0) {
        return result == -VRIFT_EFBIG ? -VRIFT_EUCLEAN : result;
    }
    vr_digest_of(data, length, &digest);
    result = vr_digest_equal(&digest, &workspace->base.id) ? vr_snapobject_decode(data, length, out) : -VRIFT_EUCLEAN;
    if (result < 0) {
        free(data);
        return result;
    }
    *bytes = data;
    return 0;
}

static int32_t merge_root(struct merge *merge, const struct vr_snapobject *base, struct vr_tree_entry *root)
{
    int32_t dir = vr_workspace_open_upper(merge->workspace);
    struct vr_digest digest;
    if (dir < 0) {
        return fail(merge, dir, "its upper directory cannot be opened");
    }
    int32_t result = merge_directory(merge, base ? &base->root.digest : NULL, dir, &digest);
    if (result == 0 && base) {
        result = merge_links(merge, base);
    }
    if (result == 0) {
        result = vr_ingest_file(merge->ingest, dir, "", VRIFT_DT_DIR, "", 0, &merge->scratch, root);
    }
    close(dir);
    root->digest = digest;
    merge->counts.directories++;
    return result;
}

static void dispose(struct merge *merge)
{
    for (size_t i = 0; i < merge->hidden.count; i++) {
        vr_alloc_free(NULL, merge->hidden.paths[i]);
    }
    vr_alloc_free(NULL, merge->hidden.paths);
    vr_str_dispose(&merge->path);
    vr_ingest_scratch_dispose(&merge->scratch);
}

static int32_t store_merged(vrift_workspace *workspace, const struct vr_snapobject *base,
                            const struct vrift_import_options *options, struct vrift_import_result *out,
                            struct vrift_error_detail *detail)
{
    struct merge merge = {.workspace = workspace};
    struct vr_tree_entry root;
    int32_t result = vr_ingest_begin(workspace->store, options, &merge.ingest, detail);
    if (result < 0) {
        return result;
    }
    result = merge_root(&merge, base, &root);
    if (result == 0) {
        result = vr_ingest_finish(merge.ingest, &root, out);
    } else {
        vr_ingest_abort(merge.ingest);
    }
    if (result == 0) {
        out->files = merge.counts.files;
        out->directories = merge.counts.directories;
        out->symlinks = merge.counts.symlinks;
        out->specials = merge.counts.specials;
        out->bytes = merge.counts.bytes;
    }
    dispose(&merge);
    return result;
}

int32_t vr_workspace_state_store(vrift_workspace *workspace, const struct vrift_import_options *options,
                                 struct vrift_import_result *out, struct vrift_error_detail *detail)
{
    struct vrift_import_options ours = {.size = sizeof(ours)};
    struct vr_snapobject base;
    char *bytes = NULL;
    if (options) {
        ours = *options;
    }
    if (!workspace->base.empty) {
        int32_t result = load_base(workspace, &base, &bytes);
        if (result < 0) {
            return vr_error_fill(detail, result, "read snapshot", workspace->name, "the base cannot be read");
        }
        if (ours.flags & VRIFT_IMPORT_TIMELESS && !base.timeless) {
            free(bytes);
            return vr_error_fill(detail, -VRIFT_EINVAL, "commit", workspace->name, "the base has times");
        }
        ours.flags |= base.timeless ? VRIFT_IMPORT_TIMELESS : 0;
    }
    int32_t result = store_merged(workspace, workspace->base.empty ? NULL : &base, &ours, out, detail);
    free(bytes);
    return result;
}
