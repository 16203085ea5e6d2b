/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* For tests of the store: making one, importing into it, and comparing a snapshot with a tree of the host. */
#ifndef VR_TEST_STORAGE_H
#define VR_TEST_STORAGE_H

#include <vrift/snapshot.h>
#include <vrift/store.h>

/* A new store at DIRECTORY/store, never syncing. */
vrift_store *storage_make(const char *directory);

/* Imports, which must work; jobs as in the options. */
struct vrift_digest storage_import(vrift_store *store, const char *tree, uint32_t jobs, uint64_t flags);

/* Opens a snapshot, which must work. */
vrift_snapshot *storage_open(vrift_store *store, const struct vrift_digest *id);

/*
 * Fails unless the snapshot shows what the tree holds: names in order, types, attributes, times, contents, holes,
 * symlink texts, xattrs, and which names are one inode.
 */
void storage_assert_matches(vrift_snapshot *snapshot, const char *tree);

/* Fails, printing each problem, unless the store verifies. */
void storage_assert_sound(vrift_store *store);

/* How many problems verifying finds. */
uint64_t storage_problems(vrift_store *store);

/* Writes a file in a directory, made with mode 0644. */
void storage_write(const char *directory, const char *name, const void *data, size_t length);

/* DIRECTORY/NAME in fresh memory. */
char *storage_path(const char *directory, const char *name);

#endif
