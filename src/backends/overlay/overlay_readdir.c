/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Merged listings. A directory that was read keeps one: each name of each layer once, with a cookie that only grows,
 * so that a scan goes on after any cookie whatever came and went. Our own changes keep it in step; where others may
 * change the upper, each scan from the start reads the layers again, and names that stay keep their cookies.
 */
#include "backends/overlay/overlay.h"

#define SCAN_BYTES 32768u
#define MIN_DEAD   64u

struct item {
    char *name;
    uint32_t length;
    uint32_t type; /* VRIFT_DT_... */
    uint64_t ino;
    uint64_t cookie;
    uint32_t round; /* of the last reading that saw the name */
    bool live;
    bool hidden; /* a whiteout, seen in this round */
};

/* Guarded by the node's listing_lock. */
struct vr_overlay_listing {
    struct item *items; /* in the order of cookies */
    size_t count, capacity, dead;
    uint32_t *slots; /* hash of names: index into items + 1, 0 free; a power of two, NULL at first */
    size_t slot_count;
    uint64_t next_cookie;
    uint32_t round;
    bool complete;
};

/* -- The set of names --------------------------------------------------------------------------------------------- */

static size_t hash_name(const char *name, uint32_t length)
{
    uint64_t hash = 0xcbf29ce484222325ULL;
    for (uint32_t i = 0; i < length; i++) {
        hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3ULL;
    }
    return (size_t)(hash ^ (hash >> 29));
}

static struct item *find(const struct vr_overlay_listing *listing, const char *name, uint32_t length)
{
    if (!listing->slot_count) {
        return NULL;
    }
    size_t mask = listing->slot_count - 1;
    for (size_t i = hash_name(name, length) & mask; listing->slots[i]; i = (i + 1) & mask) {
        struct item *item = &listing->items[listing->slots[i] - 1];
        if (item->length == length && !memcmp(item->name, name, length)) {
            return item;
        }
    }
    return NULL;
}

static int32_t rehash(struct vr_overlay *overlay, struct vr_overlay_listing *listing, size_t slot_count)
{
    uint32_t *slots = vr_alloc_zero(overlay->allocator, slot_count, sizeof(*slots));
    if (!slots) {
        return -VRIFT_ENOMEM;
    }
    for (size_t n = 0; n < listing->count; n++) {
        size_t i = hash_name(listing->items[n].name, listing->items[n].length) & (slot_count - 1);
        while (slots[i]) {
            i = (i + 1) & (slot_count - 1);
        }
        slots[i] = (uint32_t)n + 1;
    }
    vr_alloc_free(overlay->allocator, listing->slots);
    listing->slots = slots;
    listing->slot_count = slot_count;
    return 0;
}

static int32_t make_room(struct vr_overlay *overlay, struct vr_overlay_listing *listing)
{
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity ? listing->capacity * 2 : 32;
        if (capacity > UINT32_MAX / 2) {
            return -VRIFT_ENOMEM;
        }
        struct item *items = vr_alloc_resize(overlay->allocator, listing->items, capacity * sizeof(*items));
        if (!items) {
            return -VRIFT_ENOMEM;
        }
        listing->items = items;
        listing->capacity = capacity;
    }
    if ((listing->count + 1) * 2 > listing->slot_count) {
        return rehash(overlay, listing, listing->slot_count ? listing->slot_count * 2 : 64);
    }
    return 0;
}

/* The item of a name, a new and dead one if it was not known; NULL without memory. */
static struct item *obtain(struct vr_overlay *overlay, struct vr_overlay_listing *listing, const char *name,
                           uint32_t length)
{
    struct item *item = find(listing, name, length);
    if (item) {
        return item;
    }
    char *copy = vr_alloc_string(overlay->allocator, name, length);
    if (!copy || make_room(overlay, listing) < 0) {
        vr_alloc_free(overlay->allocator, copy);
        return NULL;
    }
    size_t i = hash_name(name, length) & (listing->slot_count - 1);
    while (listing->slots[i]) {
        i = (i + 1) & (listing->slot_count - 1);
    }
    listing->slots[i] = (uint32_t)++listing->count;
    item = &listing->items[listing->count - 1];
    *item = (struct item){.name = copy, .length = length, .cookie = ++listing->next_cookie};
    listing->dead++;
    return item;
}

static void set_live(struct vr_overlay_listing *listing, struct item *item, bool live)
{
    if (item->live != live) {
        item->live = live;
        listing->dead += live ? (size_t)-1 : 1;
    }
}

/* Forgets the dead once they are many. A name that comes back later gets a new cookie, as any new name. */
static void bury(struct vr_overlay *overlay, struct vr_overlay_listing *listing)
{
    if (listing->dead < MIN_DEAD || listing->dead < listing->count / 2) {
        return;
    }
    size_t kept = 0;
    for (size_t i = 0; i < listing->count; i++) {
        if (listing->items[i].live) {
            listing->items[kept++] = listing->items[i];
        } else {
            vr_alloc_free(overlay->allocator, listing->items[i].name);
        }
    }
    listing->count = kept;
    listing->dead = 0;
    memset(listing->slots, 0, listing->slot_count * sizeof(*listing->slots));
    for (size_t n = 0; n < kept; n++) {
        size_t i = hash_name(listing->items[n].name, listing->items[n].length) & (listing->slot_count - 1);
        while (listing->slots[i]) {
            i = (i + 1) & (listing->slot_count - 1);
        }
        listing->slots[i] = (uint32_t)n + 1;
    }
}

void vr_overlay_readdir_dispose(struct vr_overlay *overlay, struct vr_overlay_node *dir)
{
    struct vr_overlay_listing *listing = dir->listing;
    if (!listing) {
        return;
    }
    for (size_t i = 0; i < listing->count; i++) {
        vr_alloc_free(overlay->allocator, listing->items[i].name);
    }
    vr_alloc_free(overlay->allocator, listing->items);
    vr_alloc_free(overlay->allocator, listing->slots);
    vr_alloc_free(overlay->allocator, listing);
}

/* -- Reading the layers ------------------------------------------------------------------------------------------- */

static int32_t scan_open(vrift_task *task, int32_t fd, vr_overlay_scan_fn fn, void *payload, uint64_t *buffer)
{
    for (;;) {
        int64_t got = vrift_getdents(task, fd, buffer, SCAN_BYTES, 0);
        if (got <= 0) {
            return (int32_t)got;
        }
        for (int64_t at = 0; at < got;) {
            const struct vrift_dirent *entry = (const void *)((const char *)buffer + at);
            const char *name = vrift_dirent_name(entry);
            bool dots = name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
            int32_t result = dots ? 0 : fn(name, entry->name_length, entry->type, entry->ino, payload);
            if (result) {
                return result;
            }
            at += entry->record_length;
        }
    }
}

int32_t vr_overlay_readdir_scan(const struct vr_overlay *overlay, uint32_t layer, int32_t fd, vr_overlay_scan_fn fn,
                                void *payload)
{
    vrift_task *task = overlay->layers[layer].task;
    int32_t dir = vrift_reopen(task, fd, VRIFT_O_RDONLY | VRIFT_O_DIRECTORY);
    if (dir < 0) {
        return dir;
    }
    uint64_t *buffer = vr_alloc(overlay->allocator, SCAN_BYTES);
    int32_t result = buffer ? scan_open(task, dir, fn, payload, buffer) : -VRIFT_ENOMEM;
    vr_alloc_free(overlay->allocator, buffer);
    vrift_close(task, dir);
    return result;
}

struct reading {
    struct vr_overlay *overlay;
    struct vr_overlay_node *dir;
    struct vr_overlay_listing *listing;
    uint32_t layer;
    int32_t fd;
};

static uint32_t type_of_mode(uint32_t mode)
{
    return (mode & VRIFT_S_IFMT) >> 12;
}

/*
 * The number of an upper directory is that of the topmost lower one it merges with, so that it stays the same over
 * copy-up; any other upper entry has the number it was first shown with.
 */
static uint64_t upper_number(struct reading *reading, const char *name, uint32_t type, uint64_t ino)
{
    struct vr_overlay *overlay = reading->overlay;
    struct vr_overlay_node *node = vr_overlay_node_find_upper(overlay, ino);
    uint64_t number = node ? node->ino : 0;
    vr_overlay_node_unref(overlay, node);
    if (number || type != VRIFT_DT_DIR || reading->dir->lower_count == 0) {
        return number ? number : vr_overlay_node_upper_number(overlay, ino);
    }
    struct vrift_stat attr;
    if (vr_overlay_lookup(overlay, reading->dir, name, (uint32_t)strlen(name), &node, &attr) == 0) {
        number = node->ino;
        vr_overlay_node_unref(overlay, node);
    }
    return number;
}

static int32_t take(const char *name, uint32_t length, uint32_t type, uint64_t ino, void *payload)
{
    struct reading *reading = payload;
    struct vr_overlay *overlay = reading->overlay;
    struct item *item = obtain(overlay, reading->listing, name, length);
    if (!item) {
        return -VRIFT_ENOMEM;
    }
    if (item->round == reading->listing->round) {
        return 0; /* a layer above decided */
    }
    if (type == VRIFT_DT_CHR || type == VRIFT_DT_UNKNOWN) {
        struct vrift_stat stat;
        int32_t result =
            vrift_statat(overlay->layers[reading->layer].task, reading->fd, name, VRIFT_AT_SYMLINK_NOFOLLOW, &stat);
        if (result < 0) {
            return result == -VRIFT_ENOENT ? 0 : result; /* it went while we looked */
        }
        type = type_of_mode(stat.mode);
        item->hidden = vr_overlay_is_whiteout(&stat);
    } else {
        item->hidden = false;
    }
    item->round = reading->listing->round;
    if (item->hidden) {
        set_live(reading->listing, item, false);
        return 0;
    }
    item->type = type;
    if (reading->layer == VR_OVERLAY_UPPER) {
        uint64_t number = upper_number(reading, name, type, ino);
        item = find(reading->listing, name, length);
        item->ino = number;
    } else {
        item->ino = vr_overlay_node_number(overlay, reading->layer, ino);
    }
    set_live(reading->listing, item, true);
    return 0;
}

/* Under the names lock (read) and listing_lock. */
static int32_t read_layers(struct vr_overlay *overlay, struct vr_overlay_node *dir, struct vr_overlay_listing *listing)
{
    int32_t result = 0, upper = dir->upper;
    listing->round++;
    if (upper >= 0) {
        struct reading reading = {overlay, dir, listing, VR_OVERLAY_UPPER, upper};
        result = vr_overlay_readdir_scan(overlay, VR_OVERLAY_UPPER, upper, take, &reading);
    }
    for (uint32_t i = 0; result == 0 && i < dir->lower_count; i++) {
        const struct vr_overlay_part *part = &dir->lower[i];
        struct reading reading = {overlay, dir, listing, part->layer, part->fd};
        result = vr_overlay_readdir_scan(overlay, part->layer, part->fd, take, &reading);
    }
    for (size_t i = 0; result == 0 && i < listing->count; i++) {
        if (listing->items[i].round != listing->round) {
            set_live(listing, &listing->items[i], false);
        }
    }
    listing->complete = result == 0;
    return result;
}

/* The listing, read anew if it must be; under the names lock (read) and listing_lock. */
static int32_t get_listing(struct vr_overlay *overlay, struct vr_overlay_node *dir, bool fresh,
                           struct vr_overlay_listing **out)
{
    if (!dir->listing) {
        dir->listing = vr_alloc_zero(overlay->allocator, 1, sizeof(*dir->listing));
        if (!dir->listing) {
            return -VRIFT_ENOMEM;
        }
    }
    *out = dir->listing;
    return fresh || !dir->listing->complete ? read_layers(overlay, dir, dir->listing) : 0;
}

/* -- Use ---------------------------------------------------------------------------------------------------------- */

static size_t first_after(const struct vr_overlay_listing *listing, uint64_t cookie)
{
    size_t low = 0, high = listing->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (listing->items[middle].cookie <= cookie) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool emit_from(const struct vr_overlay_listing *listing, uint64_t cookie, vrift_emit_fn emit, void *payload)
{
    for (size_t i = first_after(listing, cookie); i < listing->count; i++) {
        const struct item *item = &listing->items[i];
        struct vrift_dir_entry entry = {item->name, item->length, item->type, item->ino, item->cookie, NULL};
        if (item->live && emit(&entry, payload)) {
            return false;
        }
    }
    return true;
}

int32_t VRIFT_CALLBACK vr_overlay_readdir(void *self, const struct vrift_node *dirn, uint64_t cookie, uint64_t mask,
                                          vrift_emit_fn emit, void *payload, uint32_t *end)
{
    (void)mask; /* the layers would be asked one by one */
    struct vr_overlay *overlay = self;
    struct vr_overlay_node *dir = vr_overlay_node_of(dirn);
    struct vr_overlay_listing *listing;
    vr_os_rwlock_read(&dir->names);
    vr_os_mutex_lock(&dir->listing_lock);
    int32_t result = get_listing(overlay, dir, overlay->shared && cookie == 0, &listing);
    vr_os_rwlock_unlock(&dir->names);
    if (result == 0) {
        *end = emit_from(listing, cookie, emit, payload);
    }
    vr_os_mutex_unlock(&dir->listing_lock);
    return result;
}

int32_t vr_overlay_readdir_empty(struct vr_overlay *overlay, struct vr_overlay_node *dir)
{
    struct vr_overlay_listing *listing;
    vr_os_mutex_lock(&dir->listing_lock);
    int32_t result = get_listing(overlay, dir, overlay->shared, &listing);
    if (result == 0 && listing->count > listing->dead) {
        result = -VRIFT_ENOTEMPTY;
    }
    vr_os_mutex_unlock(&dir->listing_lock);
    return result;
}

void vr_overlay_readdir_add(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name, uint32_t length,
                            uint32_t type, uint64_t ino)
{
    vr_os_mutex_lock(&dir->listing_lock);
    struct vr_overlay_listing *listing = dir->listing;
    if (listing && listing->complete) {
        struct item *item = obtain(overlay, listing, name, length);
        if (item) {
            item->type = type_of_mode(type);
            item->ino = ino;
            set_live(listing, item, true);
        } else {
            listing->complete = false; /* read it again when there is memory */
        }
    }
    vr_os_mutex_unlock(&dir->listing_lock);
}

void vr_overlay_readdir_drop(struct vr_overlay *overlay, struct vr_overlay_node *dir, const char *name, uint32_t length)
{
    vr_os_mutex_lock(&dir->listing_lock);
    struct vr_overlay_listing *listing = dir->listing;
    struct item *item = listing ? find(listing, name, length) : NULL;
    if (item) {
        set_live(listing, item, false);
        bury(overlay, listing);
    }
    vr_os_mutex_unlock(&dir->listing_lock);
}
