/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Looking inside a snapshot without restoring it: ls, cat, stat. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vrift/error.h>
#include <vrift/file.h>
#include <vrift/fs.h>
#include <vrift/snapshot.h>
#include <vrift/store.h>
#include <vrift/task.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/locate.h"
#include "cli/look.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/report.h"

enum { LONG, RECURSIVE, NUL };
static const struct vr_option ls_options[] = {
    [LONG] = {"long", 'l', NULL, "mode, links, owner, size, time (UTC) and symlink text too"},
    [RECURSIVE] = {"recursive", 'R', NULL, "everything below, each with its path"},
    [NUL] = {"null", '0', NULL, "end each name with a NUL byte, not a new line"},
    {NULL, 0, NULL, NULL},
};

struct listing {
    const struct vr_arguments *arguments;
    vrift_snapshot *snapshot;
    bool details, recursive;
    char end;
    struct vr_json *json; /* NULL: text */
    char *path;           /* of what is listed, from the directory asked for */
    size_t used, room;
};

static int32_t append_name(struct listing *listing, const char *name, size_t length)
{
    size_t need = listing->used + length + 2;
    if (!listing->path || need > listing->room) {
        size_t room = need * 2;
        char *path = realloc(listing->path, room);
        if (!path)
            return -VRIFT_ENOMEM;
        listing->path = path;
        listing->room = room;
    }
    if (listing->used)
        listing->path[listing->used++] = '/';
    memcpy(listing->path + listing->used, name, length);
    listing->used += length;
    listing->path[listing->used] = '\0';
    return 0;
}

/* The text of a symlink, to be freed; NULL for anything else or for want of memory. */
static char *symlink_text(vrift_snapshot *snapshot, uint64_t entry, const struct vrift_stat *attr)
{
    if ((attr->mode & VRIFT_S_IFMT) != VRIFT_S_IFLNK || attr->size > VRIFT_PATH_MAX)
        return NULL;
    char *text = malloc((size_t)attr->size + 1);
    int64_t length = text ? vrift_snapshot_readlink(snapshot, entry, text, (size_t)attr->size) : -1;
    if (length < 0) {
        free(text);
        return NULL;
    }
    text[length] = '\0';
    return text;
}

static void print_details(const struct vrift_stat *attr)
{
    char mode[11], time[64], size[32];
    uint32_t type = attr->mode & VRIFT_S_IFMT;
    if (type == VRIFT_S_IFCHR || type == VRIFT_S_IFBLK)
        snprintf(size, sizeof size, "%u,%u", VRIFT_DEV_MAJOR(attr->rdev), VRIFT_DEV_MINOR(attr->rdev));
    else
        snprintf(size, sizeof size, "%llu", (unsigned long long)attr->size);
    vr_output_format("%s %3u %5u %5u %12s %s ", vr_look_mode(attr->mode, mode), attr->nlink, attr->uid, attr->gid, size,
                     vr_look_time(&attr->mtime, time));
}

/* Prints the entry whose path is listing->path. */
static int32_t print_entry(struct listing *listing, uint64_t entry)
{
    struct vrift_stat attr = {.mask = 0};
    char *target = NULL;
    if (listing->details || listing->json) {
        int32_t result = vrift_snapshot_stat(listing->snapshot, entry, &attr);
        if (result < 0)
            return result;
        target = symlink_text(listing->snapshot, entry, &attr);
    }
    if (listing->json) {
        vr_json_object(listing->json, NULL);
        vr_json_text(listing->json, "path", listing->path);
        vr_json_stat(listing->json, &attr);
        if (target)
            vr_json_text(listing->json, "target", target);
        vr_json_end(listing->json);
    } else {
        if (listing->details)
            print_details(&attr);
        vr_output_name(listing->path);
        if (target) {
            vr_output_text(" -> ");
            vr_output_name(target);
        }
        vr_output_bytes(&listing->end, 1);
    }
    free(target);
    return vr_output_error() ? -VRIFT_EPIPE : 0;
}

/* The way down to a directory: where to go on in each one above it. On the heap, because a tree may be deep. */
struct level {
    uint64_t dir, cookie;
    size_t path_used; /* length of its path */
};

/* One entry is taken a call when going down, so that the walk can enter it at once. */
struct take {
    struct listing *listing;
    uint64_t cookie;
    uint64_t subdirectory; /* entry to enter next; 0: none, as the root is in no directory */
    size_t prefix;         /* length of the directory's path */
};

static int32_t take_entry(const struct vrift_snapshot_entry *entry, void *payload)
{
    struct take *take = payload;
    struct listing *listing = take->listing;
    if (take->subdirectory)
        return 1;
    listing->used = take->prefix;
    int32_t result = append_name(listing, entry->name, entry->name_length);
    if (result == 0)
        result = print_entry(listing, entry->entry);
    if (result < 0)
        return result;
    take->cookie = entry->cookie;
    if (listing->recursive && entry->type == VRIFT_DT_DIR)
        take->subdirectory = entry->entry;
    return 0;
}

static int32_t push(struct level **levels, size_t *depth, size_t *room, struct level level)
{
    if (*depth == *room) {
        size_t wanted = *room ? *room * 2 : 64;
        struct level *grown = realloc(*levels, wanted * sizeof **levels);
        if (!grown)
            return -VRIFT_ENOMEM;
        *levels = grown;
        *room = wanted;
    }
    (*levels)[(*depth)++] = level;
    return 0;
}

static int32_t list_directory(struct listing *listing, uint64_t dir)
{
    struct level *levels = NULL;
    size_t depth = 0, room = 0;
    int32_t result = push(&levels, &depth, &room, (struct level){.dir = dir});
    while (result == 0 && depth > 0) {
        struct level *level = &levels[depth - 1];
        struct take take = {.listing = listing, .cookie = level->cookie, .prefix = level->path_used};
        result = vrift_snapshot_readdir(listing->snapshot, level->dir, level->cookie, take_entry, &take);
        level->cookie = take.cookie;
        if (result >= 0 && take.subdirectory) {
            /* The path of the subdirectory is what was printed last. */
            result = push(&levels, &depth, &room, (struct level){.dir = take.subdirectory, .path_used = listing->used});
        } else if (result == 0) {
            depth--;
        }
    }
    free(levels);
    return result;
}

static int ls(const struct vr_arguments *arguments)
{
    struct vr_place place;
    struct vr_json json = {0};
    struct listing listing = {.arguments = arguments, .json = arguments->json ? &json : NULL};
    listing.details = vr_options_value(arguments, LONG) != NULL;
    listing.recursive = vr_options_value(arguments, RECURSIVE) != NULL;
    listing.end = vr_options_value(arguments, NUL) ? '\0' : '\n';
    int status = vr_locate_place(arguments, arguments->operands[0], &place);
    if (status)
        return status;
    uint64_t entry;
    struct vrift_stat attr = {.mask = 0};
    status = vr_locate_entry(arguments, &place, &entry);
    if (status == 0) {
        listing.snapshot = place.snapshot;
        int32_t result = vrift_snapshot_stat(place.snapshot, entry, &attr);
        if (result == 0 && listing.json)
            vr_json_array(&json, NULL);
        if (result == 0 && (attr.mode & VRIFT_S_IFMT) == VRIFT_S_IFDIR)
            result = list_directory(&listing, entry);
        else if (result == 0 && (result = append_name(&listing, place.path, strlen(place.path))) == 0)
            result = print_entry(&listing, entry);
        if (result == 0 && listing.json)
            vr_json_end(&json);
        if (result < 0 && !vr_output_error())
            status = vr_report_error(arguments, arguments->operands[0], result);
    }
    free(listing.path);
    vr_locate_close(&place);
    return status;
}

static int cat(const struct vr_arguments *arguments)
{
    struct vr_place place;
    vrift_task *task = NULL;
    char *buffer = NULL;
    if (!strchr(arguments->operands[0], ':'))
        return vr_report_usage(arguments, arguments->operands[0], "has no :PATH");
    int status = vr_locate_place(arguments, arguments->operands[0], &place);
    if (status)
        return status;
    const size_t room = 1u << 20;
    status = vr_locate_task(arguments, place.snapshot, &task);
    if (status == 0) {
        const char *path = place.path[0] ? place.path : "/";
        int64_t fd = vrift_openat(task, VRIFT_AT_FDCWD, path, VRIFT_O_RDONLY, 0), got = fd;
        buffer = malloc(room);
        if (!buffer)
            got = -VRIFT_ENOMEM;
        while (got >= 0 && !vr_output_error()) {
            got = vrift_read(task, (int32_t)fd, buffer, room);
            if (got <= 0)
                break;
            vr_output_bytes(buffer, (size_t)got);
        }
        if (got < 0)
            status = vr_report_error(arguments, arguments->operands[0], got);
    }
    free(buffer);
    vrift_task_free(task);
    vr_locate_close(&place);
    return status;
}

/* Calls show() for each xattr of an entry; values that cannot be read are left out. */
static void each_xattr(vrift_snapshot *snapshot, uint64_t entry, struct vr_json *json)
{
    int64_t length = vrift_snapshot_listxattr(snapshot, entry, NULL, 0);
    if (length <= 0)
        return;
    char *names = malloc((size_t)length), *value = malloc(65536);
    if (names && value && vrift_snapshot_listxattr(snapshot, entry, names, (size_t)length) == length) {
        if (json)
            vr_json_object(json, "xattrs");
        for (char *name = names; name < names + length; name += strlen(name) + 1) {
            int64_t size = vrift_snapshot_getxattr(snapshot, entry, name, value, 65536);
            if (size < 0)
                continue;
            if (json) {
                vr_json_bytes(json, name, value, (size_t)size);
                continue;
            }
            vr_output_text("xattr:    ");
            vr_output_name(name);
            vr_output_format(" (%lld bytes)\n", (long long)size);
        }
        if (json)
            vr_json_end(json);
    }
    free(names);
    free(value);
}

static void stat_text(const struct vr_place *place, uint64_t entry, const struct vrift_stat *attr,
                      const struct vrift_snapshot_info *info)
{
    char buf[65], time[64];
    char *target = symlink_text(place->snapshot, entry, attr);
    if (info) {
        vrift_digest_format(&info->id, buf);
        vr_output_format("snapshot: %s%s\n", buf, info->flags & VRIFT_SNAPSHOT_TIMELESS ? " (timeless)" : "");
        vrift_digest_format(&info->tree, buf);
        vr_output_format("tree:     %s\n", buf);
        vr_output_format("holds:    %llu names, %llu files, %llu directories, %llu symlinks, %llu specials\n",
                         (unsigned long long)info->entries, (unsigned long long)info->files,
                         (unsigned long long)info->directories, (unsigned long long)info->symlinks,
                         (unsigned long long)info->specials);
        vr_output_format("bytes:    %llu\n", (unsigned long long)info->bytes);
    } else {
        vr_output_text("path:     ");
        vr_output_name(place->path);
        vr_output_text("\n");
    }
    vr_output_format("type:     %s\n", vr_look_type(attr->mode));
    vr_output_format("mode:     %04o %s\n", attr->mode & 07777, vr_look_mode(attr->mode, buf));
    vr_output_format("owner:    %u:%u\n", attr->uid, attr->gid);
    vr_output_format("links:    %u\n", attr->nlink);
    if (!info)
        vr_output_format("size:     %llu\n", (unsigned long long)attr->size);
    vr_output_format("modified: %s\n", vr_look_time(&attr->mtime, time));
    if (target) {
        vr_output_text("target:   ");
        vr_output_name(target);
        vr_output_text("\n");
    }
    if (attr->rdev)
        vr_output_format("device:   %u,%u\n", VRIFT_DEV_MAJOR(attr->rdev), VRIFT_DEV_MINOR(attr->rdev));
    if (attr->mask & VRIFT_STAT_DIGEST) {
        struct vrift_digest digest = {.algorithm = attr->digest_algorithm};
        memcpy(digest.bytes, attr->digest, sizeof digest.bytes);
        if (vrift_digest_format(&digest, buf) == 0)
            vr_output_format("digest:   %s\n", buf);
    }
    each_xattr(place->snapshot, entry, NULL);
    free(target);
}

static void stat_json(const struct vr_place *place, uint64_t entry, const struct vrift_stat *attr,
                      const struct vrift_snapshot_info *info)
{
    struct vr_json json = {0};
    char *target = symlink_text(place->snapshot, entry, attr);
    vr_json_object(&json, NULL);
    vr_json_text(&json, "path", place->path);
    if (info) {
        vr_json_object(&json, "snapshot");
        vr_json_digest(&json, "id", &info->id);
        vr_json_digest(&json, "tree", &info->tree);
        vr_json_bool(&json, "timeless", (info->flags & VRIFT_SNAPSHOT_TIMELESS) != 0);
        vr_json_number(&json, "entries", info->entries);
        vr_json_number(&json, "files", info->files);
        vr_json_number(&json, "directories", info->directories);
        vr_json_number(&json, "symlinks", info->symlinks);
        vr_json_number(&json, "specials", info->specials);
        vr_json_number(&json, "bytes", info->bytes);
        vr_json_end(&json);
    }
    vr_json_stat(&json, attr);
    if (target)
        vr_json_text(&json, "target", target);
    each_xattr(place->snapshot, entry, &json);
    vr_json_end(&json);
    free(target);
}

static int stat_command(const struct vr_arguments *arguments)
{
    struct vr_place place;
    struct vrift_snapshot_info info = {.flags = 0};
    struct vrift_stat attr = {.mask = 0};
    uint64_t entry = 0;
    int status = vr_locate_place(arguments, arguments->operands[0], &place);
    if (status)
        return status;
    status = vr_locate_entry(arguments, &place, &entry);
    if (status == 0) {
        int32_t result = vrift_snapshot_stat(place.snapshot, entry, &attr);
        if (result == 0)
            result = vrift_snapshot_info(place.snapshot, &info);
        if (result < 0)
            status = vr_report_error(arguments, arguments->operands[0], result);
        else if (arguments->json)
            stat_json(&place, entry, &attr, entry == 0 ? &info : NULL);
        else
            stat_text(&place, entry, &attr, entry == 0 ? &info : NULL);
    }
    vr_locate_close(&place);
    return status;
}

const struct vr_command vr_cmd_ls = {
    .name = "ls",
    .synopses = {"ls [-l] [-R] [-0] SNAP[:PATH]"},
    .summary = "list a directory of a snapshot",
    .description = "Lists names in the order of their bytes. Symlinks on the way to PATH are followed;\n"
                   "PATH itself only if a '/' follows it. On a terminal control characters in names are\n"
                   "shown as \\n, \\t and \\xHH; in a pipe names come as they are.\n",
    .options = ls_options,
    .min_operands = 1,
    .max_operands = 1,
    .run = ls,
};

const struct vr_command vr_cmd_cat = {
    .name = "cat",
    .synopses = {"cat SNAP:PATH"},
    .summary = "write a file of a snapshot to standard output",
    .description = "Writes the bytes of the file at PATH. Symlinks are followed, within the snapshot.\n",
    .min_operands = 1,
    .max_operands = 1,
    .flags = VR_COMMAND_NO_JSON,
    .run = cat,
};

const struct vr_command vr_cmd_stat = {
    .name = "stat",
    .synopses = {"stat SNAP[:PATH]"},
    .summary = "tell all about an entry of a snapshot, or about the snapshot",
    .description = "Without PATH tells of the snapshot as a whole too. A symlink at PATH is not followed\n"
                   "unless a '/' comes after it. Times are UTC.\n",
    .min_operands = 1,
    .max_operands = 1,
    .run = stat_command,
};
