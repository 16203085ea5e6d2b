/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The overlay's constructor, what it can do, and its table. */
#include "backends/overlay/overlay.h"

#include "core/copyin.h"

#define TASK_MAX_FILES (1u << 24)

/* -- Slots about the whole ---------------------------------------------------------------------------------------- */

static void VRIFT_CALLBACK destroy(void *self)
{
    struct vr_overlay *overlay = self;
    const struct vrift_allocator *allocator = overlay->allocator;
    vrift_watch_free(overlay->queue);
    vr_overlay_node_unref(overlay, overlay->root);
    if (overlay->work >= 0) {
        vrift_close(vr_overlay_upper_task(overlay), overlay->work);
    }
    for (uint32_t i = 0; i < overlay->layer_count; i++) {
        vrift_task_free(overlay->layers[i].task);
        vrift_ns_unref(overlay->layers[i].ns);
        vrift_sb_unref(overlay->layers[i].sb);
    }
    vr_alloc_free(allocator, overlay->layers);
    vr_overlay_node_table_dispose(overlay);
    vr_alloc_free(allocator, overlay);
}

/* What the upper decides alone, because nothing of it ever happens below. */
static bool needs_upper(uint32_t capability)
{
    switch (capability) {
    case VRIFT_CAPABILITY_UNIX_PERMISSIONS:
    case VRIFT_CAPABILITY_USER_XATTRS:
    case VRIFT_CAPABILITY_TRUSTED_XATTRS:
    case VRIFT_CAPABILITY_ACLS:
    case VRIFT_CAPABILITY_FLAGS:
    case VRIFT_CAPABILITY_SYMLINKS:
    case VRIFT_CAPABILITY_SPARSE_FILES:
    case VRIFT_CAPABILITY_MMAP:
    case VRIFT_CAPABILITY_CASE_SENSITIVE:
    case VRIFT_CAPABILITY_STABLE_INODES:
    case VRIFT_CAPABILITY_UNLINKED_OPEN:
        return false;
    default:
        return true;
    }
}

static int32_t VRIFT_CALLBACK capability(void *self, uint32_t number, struct vrift_capability *out)
{
    struct vr_overlay *overlay = self;
    uint32_t layer = overlay->has_upper ? VR_OVERLAY_UPPER : 1;
    bool directory_rename = number == VRIFT_CAPABILITY_DIRECTORY_RENAME;
    switch (number) {
    case VRIFT_CAPABILITY_RENAME_WHITEOUT:
        *out = (struct vrift_capability){.error = -VRIFT_EINVAL};
        return 0;
    case VRIFT_CAPABILITY_LOCKS:
    case VRIFT_CAPABILITY_DIGEST:
        *out = (struct vrift_capability){.error = -VRIFT_EOPNOTSUPP};
        return 0;
    default:
        break;
    }
    if (!overlay->has_upper && needs_upper(number)) {
        *out = (struct vrift_capability){.error = -VRIFT_EROFS};
        return 0;
    }
    int32_t result = vrift_sb_capability(overlay->layers[layer].sb, number, out);
    if (result == 0 && directory_rename && out->effective != VRIFT_SUPPORT_NONE) {
        out->effective = VRIFT_SUPPORT_NONE; /* of one with a lower part; a new one can be renamed */
        out->error = -VRIFT_EXDEV;
    }
    return result;
}

static bool is_shared(uint32_t model)
{
    return model == VRIFT_CONSISTENCY_SHARED_NOTIFY || model == VRIFT_CONSISTENCY_SHARED_REVALIDATE ||
           model == VRIFT_CONSISTENCY_EVENTUAL;
}

/* Lower layers must not change, so an upper decides alone; without one the weakest of the lower ones does. */
static int32_t VRIFT_CALLBACK consistency(void *self, uint32_t aspect, struct vrift_consistency *out)
{
    struct vr_overlay *overlay = self;
    uint32_t first = overlay->has_upper ? VR_OVERLAY_UPPER : 1;
    uint32_t count = overlay->has_upper ? 1 : overlay->layer_count;
    struct vrift_consistency weakest = {.model = overlay->has_upper ? VRIFT_CONSISTENCY_EXCLUSIVE
                                                                    : VRIFT_CONSISTENCY_IMMUTABLE};
    for (uint32_t i = first; i < count; i++) {
        struct vrift_consistency layer;
        int32_t result = vrift_sb_consistency(overlay->layers[i].sb, aspect, &layer);
        if (result < 0) {
            return result;
        }
        if (is_shared(layer.model)) {
            /* The layer has its cache; one more here would make answers older than it says. */
            weakest.model = VRIFT_CONSISTENCY_SHARED_REVALIDATE;
            weakest.flags = VRIFT_CONSISTENCY_SPENT;
            if (layer.max_age_ns > weakest.max_age_ns) {
                weakest.max_age_ns = layer.max_age_ns;
            }
            if (overlay->hears && (aspect == VRIFT_ASPECT_NAMES || aspect == VRIFT_ASPECT_LISTINGS)) {
                weakest.model = VRIFT_CONSISTENCY_SHARED_NOTIFY;
            }
        } else if (layer.model > weakest.model) {
            weakest.model = VRIFT_CONSISTENCY_EXCLUSIVE;
        }
    }
    *out = weakest;
    return 0;
}

static uint32_t VRIFT_CALLBACK depth(void *self)
{
    struct vr_overlay *overlay = self;
    uint32_t deepest = 0;
    for (uint32_t i = 0; i < overlay->layer_count; i++) {
        uint32_t layer = vrift_sb_depth(overlay->layers[i].sb);
        deepest = layer > deepest ? layer : deepest;
    }
    return deepest + 1;
}

static int32_t VRIFT_CALLBACK statfs(void *self, struct vrift_statfs *out)
{
    struct vr_overlay *overlay = self;
    const struct vr_overlay_layer *layer = &overlay->layers[overlay->has_upper ? VR_OVERLAY_UPPER : 1];
    int32_t result = vrift_statfs(layer->task, layer->root, "", out);
    if (result == 0) {
        out->type = VR_OVERLAY_MAGIC;
        out->flags = 0;
        out->fsid = 0;
    }
    return result;
}

static int32_t VRIFT_CALLBACK sync_all(void *self)
{
    const struct vr_overlay *overlay = self;
    return vrift_sb_sync(overlay->layers[VR_OVERLAY_UPPER].sb);
}

#define READING                                                                                                        \
    .size = sizeof(struct vrift_backend_ops), .name = "overlay", .root = vr_overlay_lookup_root, .destroy = destroy,   \
    .capability = capability, .consistency = consistency, .depth = depth, .statfs = statfs,                            \
    .walk = vr_overlay_lookup_walk, .forget = vr_overlay_lookup_forget, .getattr = vr_overlay_lookup_getattr,          \
    .readlink = vr_overlay_attr_readlink, .readdir = vr_overlay_readdir, .open = vr_overlay_io_open,                   \
    .release = vr_overlay_io_release, .pread = vr_overlay_io_pread, .seek = vr_overlay_io_seek,                        \
    .getxattr = vr_overlay_attr_getxattr, .listxattr = vr_overlay_attr_listxattr,                                      \
    .revalidate = vr_overlay_lookup_revalidate, .map = vr_overlay_space_map, .map_sync = vr_overlay_space_map_sync,    \
    .unmap = vr_overlay_space_unmap

/* Without an upper; the core says -VRIFT_EROFS where a slot is missing. */
static const struct vrift_backend_ops read_only_ops = {
    READING,
};

static const struct vrift_backend_ops ops = {
    READING,
    .sync = sync_all,
    .setattr = vr_overlay_attr_set,
    .create = vr_overlay_names_create,
    .link = vr_overlay_names_link,
    .unlink = vr_overlay_names_unlink,
    .rename = vr_overlay_rename,
    .pwrite = vr_overlay_io_pwrite,
    .fsync = vr_overlay_io_fsync,
    .setxattr = vr_overlay_attr_setxattr,
    .removexattr = vr_overlay_attr_removexattr,
    .watch = vr_overlay_hear_start,
    .drain = vr_overlay_hear_drain,
    .fallocate = vr_overlay_space_fallocate,
    .copy_range = vr_overlay_space_copy,
};

/* -- The constructor ---------------------------------------------------------------------------------------------- */

static int32_t open_layer(struct vr_overlay *overlay, vrift_vfs *vfs, uint32_t index,
                          const struct vrift_overlay_layer *from, uint64_t mount_flags)
{
    struct vr_overlay_layer *layer = &overlay->layers[index];
    struct vrift_task_options options = {.size = sizeof(options), .max_files = TASK_MAX_FILES};
    int32_t result = vrift_ns_new(vfs, from->sb, mount_flags | VRIFT_MOUNT_NOATIME, &layer->ns);
    if (result == 0) {
        result = vrift_task_new(layer->ns, NULL, &options, &layer->task);
    }
    if (result == 0) {
        layer->sb = vrift_sb_ref(from->sb);
        result = vrift_openat(layer->task, VRIFT_AT_FDCWD, from->path ? from->path : "/",
                              VRIFT_O_PATH | VRIFT_O_DIRECTORY, 0);
    }
    if (result < 0) {
        return result;
    }
    layer->root = result;
    layer->group = index;
    for (uint32_t i = overlay->has_upper ? VR_OVERLAY_UPPER : 1; i < index; i++) {
        if (overlay->layers[i].sb == layer->sb) {
            layer->group = overlay->layers[i].group;
            break;
        }
    }
    return 0;
}

/* An upper that cannot hold a whiteout and an opaque directory is refused now, not at the first unlink. */
static int32_t probe_upper(struct vr_overlay *overlay)
{
    vrift_task *task = vr_overlay_upper_task(overlay);
    char name[32];
    vr_overlay_copyup_temporary(overlay, name);
    int32_t result = vr_overlay_names_whiteout(overlay, overlay->work, name);
    if (result == 0) {
        vrift_unlinkat(task, overlay->work, name, 0);
        vr_overlay_copyup_temporary(overlay, name);
        result = vrift_mkdirat(task, overlay->work, name, 0700);
    }
    if (result == 0) {
        result = vr_overlay_copyup_set_opaque(overlay, overlay->work, name);
        vrift_unlinkat(task, overlay->work, name, VRIFT_AT_REMOVEDIR);
    }
    return result == -VRIFT_EPERM || result == -VRIFT_EINVAL ? -VRIFT_EOPNOTSUPP : result;
}

static int32_t open_upper(struct vr_overlay *overlay, vrift_vfs *vfs, const struct vrift_overlay_options *options)
{
    struct vrift_capability owners;
    struct vrift_consistency names;
    int32_t result = open_layer(overlay, vfs, VR_OVERLAY_UPPER, options->upper, 0);
    if (result < 0) {
        return result;
    }
    overlay->work = vrift_openat(vr_overlay_upper_task(overlay), VRIFT_AT_FDCWD, options->work,
                                 VRIFT_O_PATH | VRIFT_O_DIRECTORY, 0);
    if (overlay->work < 0) {
        return overlay->work;
    }
    result = vrift_sb_capability(options->upper->sb, VRIFT_CAPABILITY_OWNERSHIP, &owners);
    if (result == 0) {
        overlay->owners_optional = owners.effective == VRIFT_SUPPORT_NONE;
        result = vrift_sb_consistency(options->upper->sb, VRIFT_ASPECT_NAMES, &names);
    }
    if (result == 0) {
        overlay->shared = is_shared(names.model);
        /* What it tells can only be relied on where what it answers is of now. */
        overlay->hears = names.model == VRIFT_CONSISTENCY_SHARED_NOTIFY && !names.max_age_ns;
        result = probe_upper(overlay);
    }
    return result;
}

static int32_t make_root(struct vr_overlay *overlay)
{
    struct vr_overlay_part *lower = NULL;
    uint32_t count = overlay->layer_count - 1;
    struct vrift_stat stat;
    if (count) {
        lower = vr_alloc_zero(overlay->allocator, count, sizeof(*lower));
        if (!lower) {
            return -VRIFT_ENOMEM;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        lower[i] = (struct vr_overlay_part){i + 1, overlay->layers[i + 1].root};
    }
    struct vr_overlay_birth birth = {
        .type = VRIFT_S_IFDIR,
        .upper = overlay->has_upper ? overlay->layers[VR_OVERLAY_UPPER].root : -1,
        .lower = lower,
        .lower_count = count,
    };
    uint32_t top = overlay->has_upper ? VR_OVERLAY_UPPER : 1;
    int32_t result = 0;
    if (count) {
        result = vrift_statat(overlay->layers[1].task, overlay->layers[1].root, "", VRIFT_AT_EMPTY_PATH, &stat);
        birth.ino = vr_overlay_node_number(overlay, 1, stat.ino);
    }
    if (result == 0) {
        result = vrift_statat(overlay->layers[top].task, overlay->layers[top].root, "", VRIFT_AT_EMPTY_PATH, &stat);
        birth.upper_ino = stat.ino;
        birth.ino = count ? birth.ino : stat.ino;
    }
    if (result == 0) {
        result = vr_overlay_node_make(overlay, &birth, &overlay->root);
    }
    vr_alloc_free(overlay->allocator, lower);
    return result;
}

static int32_t open_layers(struct vr_overlay *overlay, vrift_vfs *vfs, const struct vrift_overlay_options *options)
{
    uint64_t seed;
    int32_t result = vr_os_random(&seed, sizeof(seed));
    overlay->temporary = seed;
    if (result == 0 && overlay->has_upper) {
        result = open_upper(overlay, vfs, options);
    }
    for (uint32_t i = 0; result == 0 && i < options->lower_count; i++) {
        result = open_layer(overlay, vfs, i + 1, &options->lower[i], VRIFT_MOUNT_RDONLY);
    }
    uint32_t deep = depth(overlay);
    overlay->version_lift = deep <= 2 ? 1ULL << (61 + deep) : 0;
    return result ? result : make_root(overlay);
}

static int32_t make(vrift_vfs *vfs, const struct vrift_overlay_options *options, struct vr_overlay **out)
{
    const struct vrift_allocator *allocator = vrift_vfs_allocator(vfs);
    struct vr_overlay *overlay = vr_alloc_zero(allocator, 1, sizeof(*overlay));
    if (!overlay) {
        return -VRIFT_ENOMEM;
    }
    overlay->allocator = allocator;
    overlay->vfs = vfs;
    overlay->work = -1;
    overlay->has_upper = options->upper != NULL;
    overlay->prefix = options->flags & VRIFT_OVERLAY_USERXATTR ? "user.overlay." : "trusted.overlay.";
    overlay->prefix_length = strlen(overlay->prefix);
    if (vr_overlay_node_table_init(overlay) < 0) {
        vr_alloc_free(allocator, overlay);
        return -VRIFT_ENOMEM;
    }
    overlay->layers = vr_alloc_zero(allocator, options->lower_count + (size_t)1, sizeof(*overlay->layers));
    if (!overlay->layers) {
        destroy(overlay);
        return -VRIFT_ENOMEM;
    }
    overlay->layer_count = options->lower_count + 1;
    int32_t result = open_layers(overlay, vfs, options);
    if (result < 0) {
        destroy(overlay);
        return result;
    }
    *out = overlay;
    return 0;
}

static int32_t check(const struct vrift_overlay_options *options)
{
    bool layers = options->lower_count || options->upper;
    if (!layers || (options->lower_count && !options->lower) || options->lower_count > 500) {
        return -VRIFT_EINVAL; /* 500 is the kernel's limit too */
    }
    if (options->flags & ~VRIFT_OVERLAY_USERXATTR || (options->upper && (!options->work || !options->upper->sb))) {
        return -VRIFT_EINVAL;
    }
    for (uint32_t i = 0; i < options->lower_count; i++) {
        if (!options->lower[i].sb) {
            return -VRIFT_EINVAL;
        }
    }
    return 0;
}

int32_t vrift_overlay_new(vrift_vfs *vfs, const struct vrift_overlay_options *theirs, vrift_sb **out)
{
    struct vrift_overlay_options options;
    struct vr_overlay *overlay = NULL;
    if (!vfs || !theirs || !out) {
        return -VRIFT_EINVAL;
    }
    int32_t result = VR_COPYIN(&options, theirs);
    if (result == 0) {
        result = check(&options);
    }
    if (result == 0) {
        result = make(vfs, &options, &overlay);
    }
    if (result < 0) {
        return result;
    }
    result = vrift_sb_new(vfs, overlay->has_upper ? &ops : &read_only_ops, overlay, out);
    if (result < 0) {
        destroy(overlay);
    }
    return result;
}
