/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Files by the page, for tests of their space. */
#ifndef VR_PAGES_H
#define VR_PAGES_H

#include "support/world.h"

#define AT         VRIFT_AT_FDCWD
#define PAGE       4096
#define READ_WRITE (VRIFT_PROT_READ | VRIFT_PROT_WRITE)

int32_t open_at(struct world *w, const char *path, uint64_t flags); /* made if need be */
void write_pages(struct world *w, int32_t fd, char letter, uint64_t first, uint64_t count);
char byte_at(struct world *w, int32_t fd, uint64_t offset);
vrift_mapping *map(struct world *w, int32_t fd, uint64_t pages, uint64_t prot, uint64_t flags); /* from the start */

/* A world with a memory file system of so many pages at /m; and how many of them are free. */
struct world *limited(uint64_t pages);
uint64_t free_pages(struct world *w);

#endif
