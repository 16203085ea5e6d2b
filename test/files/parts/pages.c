/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "files/pages.h"

#include <string.h>

int32_t open_at(struct world *w, const char *path, uint64_t flags)
{
    return (int32_t)check_ok(vrift_openat(w->task, AT, path, flags | VRIFT_O_CREAT, 0644));
}

void write_pages(struct world *w, int32_t fd, char letter, uint64_t first, uint64_t count)
{
    char page[PAGE];
    memset(page, letter, sizeof page);
    for (uint64_t i = first; i < first + count; i++)
        assert_int_equal(vrift_pwrite(w->task, fd, page, sizeof page, i * PAGE), sizeof page);
}

char byte_at(struct world *w, int32_t fd, uint64_t offset)
{
    char byte = '?';
    assert_int_equal(vrift_pread(w->task, fd, &byte, 1, offset), 1);
    return byte;
}

vrift_mapping *map(struct world *w, int32_t fd, uint64_t pages, uint64_t prot, uint64_t flags)
{
    vrift_mapping *mapping;
    check_ok(vrift_map(w->task, fd, 0, pages * PAGE, prot, flags, &mapping));
    return mapping;
}

struct world *limited(uint64_t pages)
{
    struct world *w = world_new(NULL);
    struct vrift_mem_options options = {.size = sizeof options, .max_bytes = pages * PAGE};
    vrift_sb *sb;
    check_ok(vrift_mem_new(w->vfs, &options, &sb));
    check_ok(vrift_mkdirat(w->task, AT, "/m", 0755));
    check_ok(vrift_mount(w->task, AT, "/m", sb, 0));
    vrift_sb_unref(sb);
    return w;
}

uint64_t free_pages(struct world *w)
{
    struct vrift_statfs st;
    check_ok(vrift_statfs(w->task, AT, "/m", &st));
    return st.bfree;
}
