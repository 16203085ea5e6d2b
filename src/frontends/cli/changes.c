/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "cli/changes.h"

#include <stdio.h>
#include <string.h>

#include <vrift/error.h>

#include "cli/look.h"
#include "cli/output.h"

static const struct {
    char letter;
    const char *word;
} kinds[] = {
    [VRIFT_CHANGE_ADDED] = {'A', "added"},     [VRIFT_CHANGE_REMOVED] = {'D', "removed"},
    [VRIFT_CHANGE_CONTENT] = {'M', "content"}, [VRIFT_CHANGE_ATTR] = {'P', "attributes"},
    [VRIFT_CHANGE_TYPE] = {'T', "type"},
};

void vr_changes_begin(struct vr_changes *changes, const struct vr_arguments *arguments, bool summary)
{
    memset(changes, 0, sizeof *changes);
    changes->summary = summary;
    changes->as_json = arguments->json;
    if (changes->as_json)
        vr_json_object(&changes->json, NULL);
    if (changes->as_json && !summary)
        vr_json_array(&changes->json, "changes");
}

static bool both(const struct vrift_change *change)
{
    return change->before.mask && change->after.mask;
}

static void take_json(struct vr_json *json, const struct vrift_change *change)
{
    vr_json_object(json, NULL);
    vr_json_text(json, "kind", kinds[change->kind].word);
    vr_json_text(json, "path", change->path);
    if (change->before.mask) {
        vr_json_object(json, "before");
        vr_json_stat(json, &change->before);
        vr_json_end(json);
    }
    if (change->after.mask) {
        vr_json_object(json, "after");
        vr_json_stat(json, &change->after);
        vr_json_end(json);
    }
    vr_json_end(json);
}

static void take_text(const struct vrift_change *change)
{
    const struct vrift_stat *a = &change->before, *b = &change->after;
    vr_output_format("%c ", kinds[change->kind].letter);
    vr_output_name(change->path);
    if (change->kind == VRIFT_CHANGE_TYPE && both(change)) {
        vr_output_format(" (%s -> %s)", vr_look_type(a->mode), vr_look_type(b->mode));
    } else if (both(change)) {
        if ((a->mode ^ b->mode) & 07777)
            vr_output_format(" (mode %04o -> %04o)", a->mode & 07777, b->mode & 07777);
        if (a->uid != b->uid || a->gid != b->gid)
            vr_output_format(" (owner %u:%u -> %u:%u)", a->uid, a->gid, b->uid, b->gid);
    }
    vr_output_text("\n");
}

static uint64_t file_bytes(const struct vrift_stat *attr)
{
    return attr->mask && (attr->mode & VRIFT_S_IFMT) == VRIFT_S_IFREG ? attr->size : 0;
}

int32_t vr_changes_take(const struct vrift_change *change, void *payload)
{
    struct vr_changes *changes = payload;
    if (change->kind < VRIFT_CHANGE_ADDED || change->kind > VRIFT_CHANGE_TYPE)
        return -VRIFT_EINVAL;
    changes->count[change->kind]++;
    if (change->kind != VRIFT_CHANGE_ATTR) {
        changes->bytes_removed += file_bytes(&change->before);
        changes->bytes_added += file_bytes(&change->after);
    }
    if (!changes->summary && changes->as_json)
        take_json(&changes->json, change);
    else if (!changes->summary)
        take_text(change);
    return vr_output_error() ? -VRIFT_EPIPE : 0;
}

void vr_changes_end(struct vr_changes *changes)
{
    char added[32], removed[32];
    if (changes->as_json) {
        if (!changes->summary)
            vr_json_end(&changes->json);
        vr_json_object(&changes->json, "counts");
        for (uint32_t kind = VRIFT_CHANGE_ADDED; kind <= VRIFT_CHANGE_TYPE; kind++)
            vr_json_number(&changes->json, kinds[kind].word, changes->count[kind]);
        vr_json_number(&changes->json, "bytes_added", changes->bytes_added);
        vr_json_number(&changes->json, "bytes_removed", changes->bytes_removed);
        vr_json_end(&changes->json);
        vr_json_end(&changes->json);
    } else if (changes->summary) {
        vr_output_format("%llu added, %llu removed, %llu changed, %llu with other attributes, %llu of another type; "
                         "+%s -%s\n",
                         (unsigned long long)changes->count[VRIFT_CHANGE_ADDED],
                         (unsigned long long)changes->count[VRIFT_CHANGE_REMOVED],
                         (unsigned long long)changes->count[VRIFT_CHANGE_CONTENT],
                         (unsigned long long)changes->count[VRIFT_CHANGE_ATTR],
                         (unsigned long long)changes->count[VRIFT_CHANGE_TYPE],
                         vr_output_size(changes->bytes_added, added), vr_output_size(changes->bytes_removed, removed));
    }
}
