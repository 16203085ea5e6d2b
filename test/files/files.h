/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Two sides that do the same to open files: the kernel, in a directory of a file system of its own, and libvrift, over
 * one of its backends. Calls have the kernel's numbers; results are >= 0 or a negative error.
 */
#ifndef VR_FILES_H
#define VR_FILES_H

#include "support/check.h"
#include "support/disk.h"

#include <vrift/vrift.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define AT VRIFT_AT_FDCWD

/* task NULL: the kernel, in the directory of the descriptor. */
struct side {
    vrift_task *task;
    int dir;
    vrift_mapping *mapping; /* the last that was made */
    size_t mapped;
};

int64_t side_open(struct side *side, const char *path, uint64_t flags);
int64_t side_close(struct side *side, int64_t fd);
int64_t side_pread(struct side *side, int64_t fd, void *buf, size_t len, uint64_t offset);
int64_t side_pwrite(struct side *side, int64_t fd, const void *buf, size_t len, uint64_t offset);
int64_t side_read(struct side *side, int64_t fd, void *buf, size_t len);
int64_t side_write(struct side *side, int64_t fd, const void *buf, size_t len);
int64_t side_lseek(struct side *side, int64_t fd, int64_t offset, int whence);
int64_t side_ftruncate(struct side *side, int64_t fd, uint64_t length);
int64_t side_fallocate(struct side *side, int64_t fd, uint64_t mode, int64_t offset, int64_t length);
int64_t side_copy(struct side *side, int64_t in, int64_t *in_offset, int64_t out, int64_t *out_offset, uint64_t count,
                  uint64_t flags);
int64_t side_sendfile(struct side *side, int64_t out, int64_t in, int64_t *offset, uint64_t count);
int64_t side_fstat(struct side *side, int64_t fd, struct vrift_stat *out);
int64_t side_mkfifo(struct side *side, const char *path);
int64_t side_chmod(struct side *side, const char *path, uint32_t mode);
int64_t side_set_mtime(struct side *side, const char *path, int64_t sec);
int64_t side_unlink(struct side *side, const char *path);

/* 0 and the address, or an error. One at a time. */
int64_t side_map(struct side *side, int64_t fd, uint64_t offset, uint64_t length, uint64_t prot, uint64_t flags,
                 char **address);
int64_t side_sync(struct side *side, char *address, uint64_t offset, uint64_t length, uint64_t flags);
void side_unmap(struct side *side, char *address);

/* A libvrift over one backend; NULL in *missing, or why there is none. */
struct ours {
    vrift_vfs *vfs;
    vrift_sb *sb, *layers[2];
    vrift_ns *ns;
    struct side side;
    char *directory;
};
void ours_begin(struct ours *ours, const char *kind, const char *directory); /* "mem", "host", "overlay" */
void ours_end(struct ours *ours);

/* A small generator of our own, so that a seed means the same everywhere. */
uint64_t next_random(uint64_t *state);

#endif
