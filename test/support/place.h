/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A temporary directory with a source tree, a store, and room for destinations: what tests of checkout start from. */
#ifndef VR_TEST_PLACE_H
#define VR_TEST_PLACE_H

#include <vrift/snapshot.h>
#include <vrift/store.h>

#include <sys/stat.h>

struct place {
    char *path; /* holds src and store, and dest when a test has made it */
    char src[4200], dest[4200], store_path[4200];
    vrift_store *store;
};

/* For cmocka: *state becomes the place. */
int place_set_up(void **state);
int place_tear_down(void **state);

/* Opens the store at store_path, making it if need be; it never syncs. */
void place_open_store(struct place *place);

/* Imports src and opens the snapshot. */
vrift_snapshot *place_import(struct place *place, uint64_t flags);

/* TREE_... for what cannot be had in this directory; and no huge file. */
unsigned place_without(const char *path);

/* Writes a file of exactly this mode; the second one of 100,000 times a letter. */
void place_put(const char *dir, const char *name, const char *text, mode_t mode);
void place_put_large(const char *dir, const char *name, char letter, mode_t mode);

struct vrift_checkout_options place_options(uint32_t link);
struct stat place_stat(const char *dir, const char *name);

#endif
