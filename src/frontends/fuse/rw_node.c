/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "fuse/rw_node.h"

#include <vrift/error.h>
#include <vrift/file.h>

#include <stdlib.h>

#define FIRST_BUCKETS 1024u

static size_t bucket_of(const struct vr_rw_server *server, uint64_t ino)
{
    return (size_t)((ino * 0x9e3779b97f4a7c15u) >> 20) & (server->bucket_count - 1);
}

/* With the lock held. Without memory the buckets become longer. */
static void grow(struct vr_rw_server *server)
{
    size_t count = server->bucket_count ? server->bucket_count * 2 : FIRST_BUCKETS, old_count = server->bucket_count;
    struct vr_rw_node **old = server->buckets, **buckets = calloc(count, sizeof(struct vr_rw_node *));
    if (!buckets)
        return;
    server->buckets = buckets;
    server->bucket_count = count;
    for (size_t i = 0; i < old_count; i++) {
        for (struct vr_rw_node *node = old[i], *next; node; node = next) {
            size_t bucket = bucket_of(server, node->ino);
            next = node->next;
            node->next = buckets[bucket];
            buckets[bucket] = node;
        }
    }
    free(old);
}

/* With the lock held. */
static void unhash(struct vr_rw_server *server, struct vr_rw_node *node)
{
    struct vr_rw_node **at = &server->buckets[bucket_of(server, node->ino)];
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    node->hashed = 0;
    server->node_count--;
}

static struct vr_rw_node *find(struct vr_rw_server *server, const struct vrift_stat *stat)
{
    struct vr_rw_node *node = NULL;
    if (server->bucket_count)
        node = server->buckets[bucket_of(server, stat->ino)];
    while (node && node->ino != stat->ino)
        node = node->next;
    return node;
}

/*
 * Where others remove and make files, a number may have come to mean another inode than the node's. The node then stays
 * for those who have it, and is found no more.
 */
static int32_t is_same(const struct vr_rw_server *server, vrift_task *task, const struct vr_rw_node *node,
                       const struct vrift_stat *stat)
{
    struct vrift_stat now;
    if (node->type != (stat->mode & VRIFT_S_IFMT))
        return 0;
    if (!server->shared)
        return 1;
    if (vrift_fstat(task, node->fd, &now) < 0 || (now.nlink == 0 && stat->nlink > 0))
        return 0;
    return !(now.mask & stat->mask & VRIFT_STAT_BTIME) ||
           (now.btime.sec == stat->btime.sec && now.btime.nsec == stat->btime.nsec);
}

struct vr_rw_node *vr_rw_node_find(struct vr_rw_server *server, vrift_task *task, const struct vrift_stat *stat)
{
    struct vr_rw_node *node;
    int32_t same;
    (void)pthread_mutex_lock(&server->lock);
    node = find(server, stat);
    if (node)
        node->lookups++; /* so that it stays while we look at it */
    (void)pthread_mutex_unlock(&server->lock);
    if (!node)
        return NULL;
    same = is_same(server, task, node, stat);
    if (same)
        return node;
    (void)pthread_mutex_lock(&server->lock);
    if (node->hashed && node != server->root)
        unhash(server, node);
    (void)pthread_mutex_unlock(&server->lock);
    vr_rw_node_forget(server, vr_rw_node_number(server, node), 1);
    return NULL;
}

int32_t vr_rw_node_make(struct vr_rw_server *server, vrift_task *task, int32_t fd, const struct vrift_stat *stat,
                        struct vr_rw_node **out)
{
    struct vr_rw_node *node = vr_rw_node_find(server, task, stat), *other;
    if (!node) {
        node = calloc(1, sizeof(*node));
        if (!node) {
            (void)vrift_close(task, fd);
            return -VRIFT_ENOMEM;
        }
        node->ino = stat->ino;
        node->lookups = 1;
        node->fd = fd;
        node->type = (uint16_t)(stat->mode & VRIFT_S_IFMT);
        (void)pthread_mutex_lock(&server->lock);
        other = find(server, stat);
        if (other) {
            other->lookups++;
        } else {
            if (server->node_count >= server->bucket_count)
                grow(server);
            if (server->bucket_count) {
                size_t bucket = bucket_of(server, node->ino);
                node->next = server->buckets[bucket];
                server->buckets[bucket] = node;
                node->hashed = 1;
                server->node_count++;
            }
        }
        (void)pthread_mutex_unlock(&server->lock);
        if (!other) {
            *out = node;
            return 0;
        }
        free(node);
        node = other;
    }
    (void)vrift_close(task, fd);
    *out = node;
    return 0;
}

void vr_rw_node_forget(struct vr_rw_server *server, uint64_t number, uint64_t lookups)
{
    struct vr_rw_node *node = vr_rw_node_of(server, number);
    int32_t gone;
    if (node == server->root)
        return; /* the kernel always has it */
    (void)pthread_mutex_lock(&server->lock);
    node->lookups -= lookups;
    gone = node->lookups == 0;
    if (gone && node->hashed)
        unhash(server, node);
    (void)pthread_mutex_unlock(&server->lock);
    if (!gone)
        return;
    (void)vrift_close(server->base, node->fd);
    free(node);
}

/* Descriptors go with their table. */
void vr_rw_node_dispose(struct vr_rw_server *server)
{
    for (size_t i = 0; i < server->bucket_count; i++) {
        for (struct vr_rw_node *node = server->buckets[i], *next; node; node = next) {
            next = node->next;
            free(node);
        }
    }
    free(server->buckets);
}
