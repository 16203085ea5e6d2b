/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Which node is which: two hash tables, one of nodes known by parent and name, one by the upper's inode number. */
#include "backends/overlay/overlay.h"

#define FIRST_BUCKETS 256u

static uint64_t mix(uint64_t value)
{
    value ^= value >> 33;
    value *= 0xff51afd7ed558ccdULL;
    value ^= value >> 33;
    return value;
}

/* FNV-1a over the name, seeded with the parent. */
static uint64_t hash_low(const struct vr_overlay_node *parent, const char *name, uint32_t length)
{
    uint64_t hash = 0xcbf29ce484222325ULL ^ mix(parent->id);
    for (uint32_t i = 0; i < length; i++) {
        hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3ULL;
    }
    return mix(hash);
}

int32_t vr_overlay_node_table_init(struct vr_overlay *overlay)
{
    struct vr_overlay_table *table = &overlay->table;
    int32_t result = vr_os_mutex_init(&table->lock);
    if (result < 0) {
        return result;
    }
    table->buckets = FIRST_BUCKETS;
    table->next_id = 1;
    table->low = vr_alloc_zero(overlay->allocator, table->buckets, sizeof(*table->low));
    table->upper = vr_alloc_zero(overlay->allocator, table->buckets, sizeof(*table->upper));
    if (!table->low || !table->upper) {
        vr_overlay_node_table_dispose(overlay);
        return -VRIFT_ENOMEM;
    }
    return 0;
}

void vr_overlay_node_table_dispose(struct vr_overlay *overlay)
{
    struct vr_overlay_table *table = &overlay->table;
    vr_alloc_free(overlay->allocator, table->low);
    vr_alloc_free(overlay->allocator, table->upper);
    vr_alloc_free(overlay->allocator, table->kept);
    vr_os_mutex_destroy(&table->lock);
}

/* -- Inode numbers ------------------------------------------------------------------------------------------------ */

uint64_t vr_overlay_node_number(const struct vr_overlay *overlay, uint32_t layer, uint64_t ino)
{
    uint64_t group = overlay->layers[layer].group;
    if (group == 0) {
        return ino;
    }
    /* As the kernel's xino: the layer's number in the high bits, which hardly any file system uses. */
    if (ino >> 56) {
        ino = mix(ino);
    }
    return (ino & ((1ULL << 56) - 1)) | (group << 56);
}

static struct vr_overlay_kept *kept_slot(struct vr_overlay_table *table, uint64_t upper_ino)
{
    if (!table->kept_slots) {
        return NULL;
    }
    size_t mask = table->kept_slots - 1;
    for (size_t i = (size_t)mix(upper_ino) & mask;; i = (i + 1) & mask) {
        if (table->kept[i].upper_ino == upper_ino || table->kept[i].upper_ino == 0) {
            return &table->kept[i];
        }
    }
}

static void kept_grow(struct vr_overlay *overlay)
{
    struct vr_overlay_table *table = &overlay->table;
    struct vr_overlay_kept *old = table->kept;
    size_t old_slots = table->kept_slots, slots = old_slots ? old_slots * 2 : 64;
    struct vr_overlay_kept *fresh = vr_alloc_zero(overlay->allocator, slots, sizeof(*fresh));
    if (!fresh) {
        return;
    }
    table->kept = fresh;
    table->kept_slots = slots;
    table->kept_used = 0;
    for (size_t i = 0; i < old_slots; i++) {
        if (old[i].upper_ino && old[i].ino) {
            *kept_slot(table, old[i].upper_ino) = old[i];
            table->kept_used++;
        }
    }
    vr_alloc_free(overlay->allocator, old);
}

/* Without memory the number is not kept, and changes once the node is forgotten: a flaw, not a failure. */
static void keep_number(struct vr_overlay *overlay, uint64_t upper_ino, uint64_t ino)
{
    struct vr_overlay_table *table = &overlay->table;
    if ((table->kept_used + 1) * 2 > table->kept_slots) {
        kept_grow(overlay);
    }
    if ((table->kept_used + 1) >= table->kept_slots) {
        return;
    }
    struct vr_overlay_kept *slot = kept_slot(table, upper_ino);
    if (!slot->upper_ino) {
        table->kept_used++;
        slot->upper_ino = upper_ino;
    }
    slot->ino = ino;
}

/* The slot stays, without a number, so that those behind it are still found. */
static void drop_number(struct vr_overlay_table *table, uint64_t upper_ino)
{
    struct vr_overlay_kept *slot = kept_slot(table, upper_ino);
    if (slot && slot->upper_ino) {
        slot->ino = 0;
    }
}

static struct vr_overlay_node *upper_chain(struct vr_overlay_table *table, uint64_t upper_ino)
{
    struct vr_overlay_node *node = table->upper[mix(upper_ino) & (table->buckets - 1)];
    while (node && node->upper_ino != upper_ino) {
        node = node->next_upper;
    }
    return node;
}

uint64_t vr_overlay_node_upper_number(struct vr_overlay *overlay, uint64_t upper_ino)
{
    struct vr_overlay_table *table = &overlay->table;
    uint64_t ino = 0;
    vr_os_mutex_lock(&table->lock);
    struct vr_overlay_node *node = upper_chain(table, upper_ino);
    if (node) {
        ino = node->ino;
    } else {
        struct vr_overlay_kept *slot = kept_slot(table, upper_ino);
        ino = slot ? slot->ino : 0;
    }
    vr_os_mutex_unlock(&table->lock);
    return ino ? ino : vr_overlay_node_number(overlay, VR_OVERLAY_UPPER, upper_ino);
}

/* -- The two tables ----------------------------------------------------------------------------------------------- */

static struct vr_overlay_node *low_chain(struct vr_overlay_table *table, const struct vr_overlay_node *parent,
                                         const char *name, uint32_t length)
{
    struct vr_overlay_node *node = table->low[hash_low(parent, name, length) & (table->buckets - 1)];
    while (node && !(node->parent == parent && node->name_length == length && !memcmp(node->name, name, length))) {
        node = node->next_low;
    }
    return node;
}

static void enter_low(struct vr_overlay_table *table, struct vr_overlay_node *node)
{
    struct vr_overlay_node **head =
        &table->low[hash_low(node->parent, node->name, node->name_length) & (table->buckets - 1)];
    node->next_low = *head;
    *head = node;
    node->in_low = true;
}

static void enter_upper(struct vr_overlay_table *table, struct vr_overlay_node *node)
{
    struct vr_overlay_node **head = &table->upper[mix(node->upper_ino) & (table->buckets - 1)];
    node->next_upper = *head;
    *head = node;
    node->in_upper = true;
}

static void leave_low(struct vr_overlay_table *table, struct vr_overlay_node *node)
{
    if (!node->in_low) {
        return;
    }
    struct vr_overlay_node **link =
        &table->low[hash_low(node->parent, node->name, node->name_length) & (table->buckets - 1)];
    while (*link != node) {
        link = &(*link)->next_low;
    }
    *link = node->next_low;
    node->in_low = false;
}

static void leave_upper(struct vr_overlay_table *table, struct vr_overlay_node *node)
{
    if (!node->in_upper) {
        return;
    }
    struct vr_overlay_node **link = &table->upper[mix(node->upper_ino) & (table->buckets - 1)];
    while (*link != node) {
        link = &(*link)->next_upper;
    }
    *link = node->next_upper;
    node->in_upper = false;
}

/* Doubles both tables; without memory the chains just grow longer. */
static void grow(struct vr_overlay *overlay)
{
    struct vr_overlay_table *table = &overlay->table;
    size_t old = table->buckets;
    struct vr_overlay_node **low = vr_alloc_zero(overlay->allocator, old * 2, sizeof(*low));
    struct vr_overlay_node **upper = vr_alloc_zero(overlay->allocator, old * 2, sizeof(*upper));
    if (!low || !upper) {
        vr_alloc_free(overlay->allocator, low);
        vr_alloc_free(overlay->allocator, upper);
        return;
    }
    struct vr_overlay_node **old_low = table->low, **old_upper = table->upper, *next;
    table->low = low;
    table->upper = upper;
    table->buckets = old * 2;
    for (size_t i = 0; i < old; i++) {
        for (struct vr_overlay_node *node = old_low[i]; node; node = next) {
            next = node->next_low;
            enter_low(table, node);
        }
        for (struct vr_overlay_node *node = old_upper[i]; node; node = next) {
            next = node->next_upper;
            enter_upper(table, node);
        }
    }
    vr_alloc_free(overlay->allocator, old_low);
    vr_alloc_free(overlay->allocator, old_upper);
}

struct vr_overlay_node *vr_overlay_node_find_low(struct vr_overlay *overlay, const struct vr_overlay_node *parent,
                                                 const char *name, uint32_t length)
{
    vr_os_mutex_lock(&overlay->table.lock);
    struct vr_overlay_node *node = low_chain(&overlay->table, parent, name, length);
    if (node) {
        node->refs++;
    }
    vr_os_mutex_unlock(&overlay->table.lock);
    return node;
}

struct vr_overlay_node *vr_overlay_node_find_upper(struct vr_overlay *overlay, uint64_t upper_ino)
{
    vr_os_mutex_lock(&overlay->table.lock);
    struct vr_overlay_node *node = upper_chain(&overlay->table, upper_ino);
    if (node) {
        node->refs++;
    }
    vr_os_mutex_unlock(&overlay->table.lock);
    return node;
}

/* -- Life --------------------------------------------------------------------------------------------------------- */

static void close_parts(struct vr_overlay *overlay, int32_t upper, const struct vr_overlay_part *lower, uint32_t count)
{
    if (upper >= 0) {
        vrift_close(vr_overlay_upper_task(overlay), upper);
    }
    for (uint32_t i = 0; i < count; i++) {
        vrift_close(overlay->layers[lower[i].layer].task, lower[i].fd);
    }
}

static void free_memory(struct vr_overlay *overlay, struct vr_overlay_node *node)
{
    vr_alloc_free(overlay->allocator, node->lower);
    vr_alloc_free(overlay->allocator, node->name);
    vr_alloc_free(overlay->allocator, node);
}

static void destroy(struct vr_overlay *overlay, struct vr_overlay_node *node)
{
    close_parts(overlay, node->upper, node->lower, node->lower_count);
    vr_overlay_readdir_dispose(overlay, node);
    vr_os_mutex_destroy(&node->copying);
    vr_os_rwlock_destroy(&node->names);
    vr_os_mutex_destroy(&node->listing_lock);
    free_memory(overlay, node);
}

static int32_t init_locks(struct vr_overlay_node *node)
{
    if (vr_os_mutex_init(&node->copying) < 0) {
        return -VRIFT_ENOMEM;
    }
    if (vr_os_rwlock_init(&node->names) < 0) {
        vr_os_mutex_destroy(&node->copying);
        return -VRIFT_ENOMEM;
    }
    if (vr_os_mutex_init(&node->listing_lock) < 0) {
        vr_os_rwlock_destroy(&node->names);
        vr_os_mutex_destroy(&node->copying);
        return -VRIFT_ENOMEM;
    }
    return 0;
}

static struct vr_overlay_node *newborn(struct vr_overlay *overlay, const struct vr_overlay_birth *birth)
{
    struct vr_overlay_node *node = vr_alloc_zero(overlay->allocator, 1, sizeof(*node));
    if (!node) {
        return NULL;
    }
    node->type = birth->type;
    node->ino = birth->ino;
    node->upper = birth->upper;
    node->upper_ino = birth->upper_ino;
    node->born_alias = birth->alias;
    node->opaque = birth->opaque;
    node->flags = VR_OVERLAY_FLAGS_UNKNOWN;
    node->refs = 1;
    node->lower_count = birth->lower_count;
    if (birth->lower_count) {
        node->lower = vr_alloc_zero(overlay->allocator, birth->lower_count, sizeof(*node->lower));
        if (!node->lower) {
            free_memory(overlay, node);
            return NULL;
        }
        memcpy(node->lower, birth->lower, birth->lower_count * sizeof(*node->lower));
    }
    if (birth->upper < 0 && birth->parent) {
        node->name = vr_alloc_string(overlay->allocator, birth->name, birth->name_length);
        node->name_length = birth->name_length;
        node->parent = birth->parent;
    }
    if ((node->parent && !node->name) || init_locks(node) < 0) {
        free_memory(overlay, node);
        return NULL;
    }
    return node;
}

int32_t vr_overlay_node_make(struct vr_overlay *overlay, const struct vr_overlay_birth *birth,
                             struct vr_overlay_node **out)
{
    struct vr_overlay_table *table = &overlay->table;
    struct vr_overlay_node *node = newborn(overlay, birth), *other = NULL;
    if (!node) {
        close_parts(overlay, birth->upper, birth->lower, birth->lower_count);
        return -VRIFT_ENOMEM;
    }
    vr_os_mutex_lock(&table->lock);
    if (birth->upper >= 0) {
        other = upper_chain(table, birth->upper_ino);
    } else if (birth->parent) {
        other = low_chain(table, birth->parent, birth->name, birth->name_length);
    }
    if (other) {
        other->refs++;
    } else {
        node->id = table->next_id++;
        if (++table->count > table->buckets) {
            grow(overlay);
        }
        if (birth->upper >= 0) {
            enter_upper(table, node);
        } else if (birth->parent) {
            birth->parent->refs++;
            enter_low(table, node);
        }
    }
    vr_os_mutex_unlock(&table->lock);
    if (other) {
        destroy(overlay, node);
    }
    *out = other ? other : node;
    return 0;
}

void vr_overlay_node_ref(struct vr_overlay *overlay, struct vr_overlay_node *node)
{
    vr_os_mutex_lock(&overlay->table.lock);
    node->refs++;
    vr_os_mutex_unlock(&overlay->table.lock);
}

/* Whether the upper's inode has lost its last name, so that its number may come back for another one. */
static bool upper_is_gone(struct vr_overlay *overlay, const struct vr_overlay_node *node)
{
    struct vrift_stat stat;
    int32_t upper = node->upper;
    return upper >= 0 && node->lower_count && !vr_overlay_is_dir(node) &&
           vrift_statat(vr_overlay_upper_task(overlay), upper, "", VRIFT_AT_EMPTY_PATH, &stat) == 0 && stat.nlink == 0;
}

void vr_overlay_node_unref(struct vr_overlay *overlay, struct vr_overlay_node *node)
{
    struct vr_overlay_table *table = &overlay->table;
    while (node) {
        vr_os_mutex_lock(&table->lock);
        bool last = --node->refs == 0;
        if (last) {
            leave_low(table, node);
            leave_upper(table, node);
            table->count--;
        }
        vr_os_mutex_unlock(&table->lock);
        if (!last) {
            return;
        }
        if (upper_is_gone(overlay, node)) {
            vr_os_mutex_lock(&table->lock);
            drop_number(table, node->upper_ino);
            vr_os_mutex_unlock(&table->lock);
        }
        struct vr_overlay_node *parent = node->parent;
        destroy(overlay, node);
        node = parent;
    }
}

void vr_overlay_node_lose_name(struct vr_overlay *overlay, struct vr_overlay_node *node)
{
    vr_os_mutex_lock(&overlay->table.lock);
    leave_low(&overlay->table, node);
    vr_os_mutex_unlock(&overlay->table.lock);
    node->unlinked = true;
}

bool vr_overlay_node_rise(struct vr_overlay *overlay, struct vr_overlay_node *node, int32_t upper, uint64_t upper_ino)
{
    struct vr_overlay_table *table = &overlay->table;
    vr_os_mutex_lock(&table->lock);
    if (node->upper >= 0) {
        vr_os_mutex_unlock(&table->lock);
        return false;
    }
    leave_low(table, node);
    node->upper_ino = upper_ino;
    enter_upper(table, node);
    if (node->born_alias) {
        node->ino = vr_overlay_node_number(overlay, VR_OVERLAY_UPPER, upper_ino);
    } else if (!vr_overlay_is_dir(node)) {
        keep_number(overlay, upper_ino, node->ino);
    }
    node->upper = upper;
    vr_os_mutex_unlock(&table->lock);
    return true;
}

void vr_overlay_node_key(const struct vr_overlay_node *node, struct vrift_node *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->key.bytes, &node->id, sizeof(node->id));
    out->key.length = sizeof(node->id);
    out->handle = (void *)(uintptr_t)node;
}
