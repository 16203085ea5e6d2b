/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What others do to the upper, as its superblock tells watchers: handed on to whoever looks at the overlay.
 *
 * An event in the upper names a directory there by its inode number, and so a node of the table. What no node has as its
 * upper part, nothing was handed out of: a directory that comes into the upper behind us is heard of where its name
 * does. A name of a file concerns that name alone. A directory that comes, goes, moves or changes its attributes may
 * change what all names below mean (it merges, or hides what is below it), so then everything is doubtful.
 */
#include "backends/overlay/overlay.h"

#include <vrift/watch.h>

#define HEARD                                                                                                          \
    (VRIFT_IN_CREATE | VRIFT_IN_DELETE | VRIFT_IN_MOVED_FROM | VRIFT_IN_MOVED_TO | VRIFT_IN_ATTRIB | VRIFT_IN_MODIFY)

int32_t VRIFT_CALLBACK vr_overlay_hear_start(void *self, vrift_notice_fn receive, void *payload)
{
    struct vr_overlay *overlay = self;
    const struct vr_overlay_layer *upper = &overlay->layers[VR_OVERLAY_UPPER];
    overlay->receive = receive;
    overlay->payload = payload;
    int32_t result = vrift_watch_new(overlay->vfs, NULL, &overlay->queue);
    if (result == 0) {
        result = vrift_watch_add(overlay->queue, upper->task, upper->root, "", HEARD,
                                 VRIFT_WATCH_SUPERBLOCK | VRIFT_AT_EMPTY_PATH);
    }
    return result < 0 ? result : 0;
}

static void tell_all(struct vr_overlay *overlay, bool quiet)
{
    struct vrift_notice notice = {
        .size = sizeof(notice), .mask = VRIFT_IN_Q_OVERFLOW, .flags = quiet ? VRIFT_NOTICE_QUIET : 0};
    overlay->receive(&notice, overlay->payload);
}

/* Nothing will be heard of the names in a directory of the upper, or in one that is not known. */
static void hear_deaf(struct vr_overlay *overlay, const struct vrift_watch_event *event)
{
    struct vrift_node key;
    struct vr_overlay_node *dir = event->ino ? vr_overlay_node_find_upper(overlay, event->ino) : NULL;
    if (!dir) {
        overlay->deaf = true;
        return;
    }
    vr_overlay_node_key(dir, &key);
    struct vrift_notice notice = {.size = sizeof(notice), .mask = VRIFT_IN_IGNORED, .dir = &key.key};
    overlay->receive(&notice, overlay->payload);
    vr_overlay_node_unref(overlay, dir);
}

static void hear_name(struct vr_overlay *overlay, const struct vrift_watch_event *event, bool quiet)
{
    struct vrift_node key, of;
    struct vr_overlay_node *dir = vr_overlay_node_find_upper(overlay, event->parent);
    if (!dir) {
        return;
    }
    struct vr_overlay_node *node = event->ino ? vr_overlay_node_find_upper(overlay, event->ino) : NULL;
    vr_overlay_node_key(dir, &key);
    struct vrift_notice notice = {.size = sizeof(notice),
                                  .mask = event->mask,
                                  .cookie = event->cookie,
                                  .name_length = event->name_length,
                                  .name = vrift_watch_event_name(event),
                                  .dir = &key.key,
                                  .flags = quiet ? VRIFT_NOTICE_QUIET : 0};
    if (node) {
        vr_overlay_node_key(node, &of);
        notice.node = &of.key;
    }
    overlay->receive(&notice, overlay->payload);
    if (event->mask & VRIFT_IN_ISDIR) {
        tell_all(overlay, true);
    }
    if (node) {
        vr_overlay_node_unref(overlay, node);
    }
    vr_overlay_node_unref(overlay, dir);
}

static void hear(struct vr_overlay *overlay, const struct vrift_watch_event *event)
{
    bool quiet = !(event->flags & VRIFT_WATCH_BEHIND); /* our own doing, which watchers have heard of above */
    if (event->mask & VRIFT_IN_Q_OVERFLOW) {
        tell_all(overlay, false);
    } else if (event->mask & VRIFT_IN_DEAF) {
        hear_deaf(overlay, event);
    } else if (event->name_length) {
        hear_name(overlay, event, quiet);
    } else if (event->mask & VRIFT_IN_ISDIR) {
        tell_all(overlay, quiet); /* the upper's root */
    }
}

void VRIFT_CALLBACK vr_overlay_hear_drain(void *self)
{
    struct vr_overlay *overlay = self;
    _Alignas(8) char buf[4096];
    int64_t length;
    while ((length = vrift_watch_read(overlay->queue, buf, sizeof(buf), 0)) > 0) {
        for (int64_t at = 0; at < length;) {
            const void *here = buf + at;
            const struct vrift_watch_event *event = here;
            hear(overlay, event);
            at += event->record_length;
        }
    }
    if (overlay->deaf || length != -VRIFT_EAGAIN) {
        tell_all(overlay, true);
    }
}
