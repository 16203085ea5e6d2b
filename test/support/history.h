/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What a few threads did to a small tree at once, and whether some order of it explains what they were answered.
 *
 * The tree has directories d0 and d1 in its root and files f0 and f1 in all three; it begins with /f0, /d0 and /d0/f1. The
 * order must keep each call between its beginning and its end. A call that walks a path does several things, one after the
 * other, as on Linux: it finds the directory, and then does its work there.
 */
#ifndef VR_TEST_HISTORY_H
#define VR_TEST_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_THREADS 4
#define HISTORY_CALLS   4

enum kind {
    CREATE,
    OPEN_CREATE,
    OPEN,
    UNLINK,
    RENAME,
    LINK,
    MKDIR,
    RMDIR,
    MOVE_DIR,
    STAT,
    STAT_DIR,
    LIST,
    WRITE,
    READ,
    KINDS
};

/* Directories: 0 is the root, 1 and 2 are d0 and d1 in it. Files f0 and f1 may be in each. */
struct call {
    uint32_t kind;
    uint32_t dir, file, other_dir, other_file;
    char content; /* WRITE: what; READ: what was read, 0: nothing */
    int64_t result;
    uint32_t nlink, size; /* STAT */
    uint32_t names;       /* LIST: bit i: f0, f1, d0, d1 */
    uint64_t begun, ended;
};

struct final_file {
    bool exists;
    char content;
    uint32_t nlink;
    uint64_t ino;
};

struct history {
    uint32_t threads, calls[HISTORY_THREADS];
    struct call call[HISTORY_THREADS][HISTORY_CALLS];
    bool dirs[2]; /* d0 and d1 are there in the end */
    struct final_file files[3][2];
};

/* Searches all orders. */
bool history_is_explained(const struct history *history);

#endif
