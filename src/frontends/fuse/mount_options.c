/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The words of -o. */
#include "fuse/mount.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* -- Words without a value ------------------------------------------------------------------------------------------ */

static const struct {
    const char *word;
    uint64_t set, clear; /* of options->flags */
} flags[] = {
    {"ro", VR_MOUNT_RDONLY, 0},
    {"rw", 0, VR_MOUNT_RDONLY},
    {"suid", VR_MOUNT_SUID, 0},
    {"nosuid", 0, VR_MOUNT_SUID},
    {"dev", VR_MOUNT_DEV, 0},
    {"nodev", 0, VR_MOUNT_DEV},
    {"exec", 0, VR_MOUNT_NOEXEC},
    {"noexec", VR_MOUNT_NOEXEC, 0},
    {"atime", 0, VR_MOUNT_NOATIME},
    {"noatime", VR_MOUNT_NOATIME, 0},
    {"diratime", 0, VR_MOUNT_NODIRATIME},
    {"nodiratime", VR_MOUNT_NODIRATIME, 0},
    {"relatime", VR_MOUNT_RELATIME, VR_MOUNT_STRICTATIME},
    {"norelatime", 0, VR_MOUNT_RELATIME},
    {"strictatime", VR_MOUNT_STRICTATIME, VR_MOUNT_RELATIME},
    {"nostrictatime", 0, VR_MOUNT_STRICTATIME},
    {"sync", VR_MOUNT_SYNC, 0},
    {"async", 0, VR_MOUNT_SYNC},
    {"dirsync", VR_MOUNT_DIRSYNC, 0},
    {"symfollow", 0, VR_MOUNT_NOSYMFOLLOW},
    {"nosymfollow", VR_MOUNT_NOSYMFOLLOW, 0},
    {"allow_other", VR_MOUNT_ALLOW_OTHER, 0},
    {"default_permissions", VR_MOUNT_DEFAULT_PERMISSIONS, 0},
    {"remount", VR_MOUNT_REMOUNT, 0},
    {"defaults", 0, 0},
    /* What mount(8) and fstab say to themselves. */
    {"auto", 0, 0},
    {"noauto", 0, 0},
    {"user", 0, VR_MOUNT_SUID | VR_MOUNT_DEV},
    {"nouser", 0, 0},
    {"users", 0, VR_MOUNT_SUID | VR_MOUNT_DEV},
    {"owner", 0, VR_MOUNT_SUID | VR_MOUNT_DEV},
    {"group", 0, VR_MOUNT_SUID | VR_MOUNT_DEV},
    {"nofail", 0, 0},
    {"_netdev", 0, 0},
    {"lazytime", 0, 0},
    {"nolazytime", 0, 0},
    {"loud", 0, 0},
    {"silent", 0, 0},
    {"iversion", 0, 0},
    {"noiversion", 0, 0},
    {"mand", 0, 0},
    {"nomand", 0, 0},
};

static int32_t take_flag(const char *word, struct vr_mount_options *options, struct vr_mount_tree *tree)
{
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        if (strcmp(word, flags[i].word) == 0) {
            options->flags = (options->flags & ~flags[i].clear) | flags[i].set;
            return 1;
        }
    }
    if (strcmp(word, "exclusive") == 0)
        tree->exclusive = 1;
    else if (strcmp(word, "userxattr") == 0)
        tree->user_xattrs = 1;
    else
        return strncmp(word, "x-", 2) == 0 || strncmp(word, "X-", 2) == 0;
    return 1;
}

/* -- Words with one ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    size_t offset; /* of a char * */
    int32_t of_tree;
} texts[] = {
    {"fsname", offsetof(struct vr_mount_options, source), 0},
    {"subtype", offsetof(struct vr_mount_options, subtype), 0},
    {"store", offsetof(struct vr_mount_tree, store_path), 1},
    {"lowerdir", offsetof(struct vr_mount_tree, lower), 1},
    {"upperdir", offsetof(struct vr_mount_tree, upper), 1},
    {"workdir", offsetof(struct vr_mount_tree, work), 1},
};

static const struct {
    const char *word;
    int32_t base;
    int32_t bits;
    size_t offset; /* in struct vr_mount_tree */
} numbers[] = {
    {"uid", 10, 32, offsetof(struct vr_mount_tree, uid)},
    {"gid", 10, 32, offsetof(struct vr_mount_tree, gid)},
    {"mode", 8, 32, offsetof(struct vr_mount_tree, mode)},
    {"size", 10, 64, offsetof(struct vr_mount_tree, max_bytes)},
    {"nr_inodes", 10, 64, offsetof(struct vr_mount_tree, max_inodes)},
};

/* What mount(8) and fstab say to themselves, and what /proc/mounts says of a mount that is to be remounted. */
static const char *const ignored[] = {"comment=", "x-", "X-", "user_id=", "group_id=", "rootmode=", "max_read="};

/* "64m". 0, or -1 if it is none. */
static int32_t parse_number(const char *text, int32_t base, int32_t bits, uint64_t *out)
{
    static const char units[] = "kmgt";
    char *end;
    const char *unit;
    if (*text < '0' || *text > '9')
        return -1;
    *out = strtoull(text, &end, base);
    unit = bits == 64 && *end ? strchr(units, *end | 0x20) : NULL;
    if (unit) {
        uint64_t shift = 10 * (uint64_t)(unit - units + 1);
        if (*out > UINT64_MAX >> shift)
            return -1;
        *out <<= shift;
        end++;
    }
    return *end || (bits == 32 && *out > UINT32_MAX) ? -1 : 0;
}

static const char *take_value(const char *word, size_t length, const char *value, struct vr_mount_options *options,
                              struct vr_mount_tree *tree)
{
    uint64_t number;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strncmp(word, texts[i].word, length) == 0 && !texts[i].word[length]) {
            char *copy = strdup(value);
            char **at = (char **)(void *)((texts[i].of_tree ? (char *)tree : (char *)options) + texts[i].offset);
            if (!copy)
                return "out of memory";
            free(*at);
            *at = copy;
            return *value ? NULL : "needs a value";
        }
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strncmp(word, numbers[i].word, length) == 0 && !numbers[i].word[length]) {
            char *at = (char *)tree + numbers[i].offset;
            if (parse_number(value, numbers[i].base, numbers[i].bits, &number) < 0)
                return "not a number";
            if (numbers[i].bits == 64)
                *(uint64_t *)(void *)at = number;
            else
                *(uint32_t *)(void *)at = (uint32_t)number;
            return NULL;
        }
    }
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        if (strncmp(word, ignored[i], strlen(ignored[i])) == 0)
            return NULL;
    return "unknown mount option";
}

/* -- The list ------------------------------------------------------------------------------------------------------- */

static const char *take(const char *word, struct vr_mount_options *options, struct vr_mount_tree *tree)
{
    size_t length = strcspn(word, "=");
    if (word[length])
        return take_value(word, length, word + length + 1, options, tree);
    return !*word || take_flag(word, options, tree) ? NULL : "unknown mount option";
}

const char *vr_mount_options_parse(const char *text, struct vr_mount_options *options, struct vr_mount_tree *tree,
                                   const char **bad)
{
    char *word = malloc(strlen(text) + 1);
    const char *wrong = word ? NULL : "out of memory";
    *bad = text;
    while (!wrong && *text) {
        size_t length = 0;
        *bad = text;
        for (; *text && *text != ','; text++) {
            if (text[0] == '\\' && text[1] == ',')
                text++;
            word[length++] = *text;
        }
        word[length] = '\0';
        text += *text == ',';
        wrong = take(word, options, tree);
    }
    free(word);
    /* The kernel opens device nodes without asking us, so it has to check who may by itself. */
    if (options->flags & VR_MOUNT_DEV && options->flags & VR_MOUNT_ALLOW_OTHER)
        options->flags |= VR_MOUNT_DEFAULT_PERMISSIONS;
    return wrong;
}

void vr_mount_options_free(struct vr_mount_options *options, struct vr_mount_tree *tree)
{
    free(options->source);
    free(options->subtype);
    free(tree->store_path);
    free(tree->lower);
    free(tree->upper);
    free(tree->work);
    options->source = options->subtype = tree->store_path = tree->lower = tree->upper = tree->work = NULL;
}
