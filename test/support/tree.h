/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Trees for tests: one with everything unusual in it, and a description that two trees are compared by. */
#ifndef VR_TEST_TREE_H
#define VR_TEST_TREE_H

#include <stdint.h>

#define TREE_NO_XATTRS  1u /* the file system has no user xattrs */
#define TREE_NO_DEVICES 2u /* nobody privileged is here */
#define TREE_NO_HUGE    4u /* no file of 5 GiB: hashing its hole takes seconds */

/*
 * Fills an empty directory: names of odd bytes and of 255, empty, sparse, set-user-id and read-only files, every size
 * around a limit, fifo, socket, devices, hard links across directories and of a symlink and a fifo, dangling and looping
 * symlinks, xattrs, times before 1970, a branching chain 320 directories deep, directories without rights.
 */
void tree_make_unusual(const char *path, unsigned without);

/* Owners of all kinds; needs root. */
void tree_make_owners(const char *path);

#define TREE_IGNORE_TIMES  1u
#define TREE_IGNORE_OWNERS 2u

/*
 * One line for each name, in the order of names: path, type, mode, owner, size, mtime, which names are one inode, disk
 * space if it is sparse, xattrs, content. Fresh memory.
 */
char *tree_describe(const char *path, unsigned ignore);

/* Fails the test, printing the first line that differs, unless both trees have one description. */
void tree_assert_same(const char *a, const char *b, unsigned ignore);

/* The number of names in a directory, or -1 if there is none. */
int tree_count_names(const char *path);

#endif
