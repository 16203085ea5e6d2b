/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Whole paths and what stat answered for them, where nobody but the core changes names and attributes: one hash over the
 * text, one probe, and no walk.
 *
 * An entry tells what the answer rests on, and is good as long as that is as it was: vr_dcache.seq (names that went or
 * moved, mounts, where tasks stand and who they are), vr_dcache.rights (who may search directories), for a name that does
 * not exist vr_dcache.inserts (names that came), and for one that does the attr_seq of its inode. Each of these moves after
 * the change it tells of and before the call that made it returns; each is taken before the walk that an entry is made
 * from. Pointers are told apart by seq: no slot becomes another's of its kind in the cache while that stands. Credentials
 * come and go without it, which is why they have numbers.
 */
#ifndef VR_MEMO_H
#define VR_MEMO_H

#include "core/walk.h"

#define VR_MEMO_WORDS   12u /* of a path's text */
#define VR_MEMO_LONGEST (VR_MEMO_WORDS * 8 - 1)

/* 64-bit words of struct vrift_stat before `spare`, and of these the ones before `digest`. */
#define VR_MEMO_ANSWER (offsetof(struct vrift_stat, spare) / 8)
#define VR_MEMO_USUAL  (offsetof(struct vrift_stat, digest) / 8)

struct vr_memo_entry {
    _Atomic uint64_t version; /* odd while it is written */
    _Atomic uint64_t hash;
    _Atomic uint64_t seq, rights, inserts;
    _Atomic(struct vr_mount *) mounts[2]; /* of the task's root and current directory */
    _Atomic(struct vr_dentry *) dentries[2];
    _Atomic uint64_t cred;            /* its id */
    _Atomic(struct vr_inode *) inode; /* NULL: -VRIFT_ENOENT */
    _Atomic uint64_t attr_seq;
    _Atomic uint64_t answer[VR_MEMO_ANSWER];
    _Atomic uint64_t text[VR_MEMO_WORDS]; /* zeroes behind its end */
};

struct vr_memo {
    uint64_t mask; /* entries, a power of two, less one */
    struct vr_memo_entry entries[];
};

/* One question, as it is when the walk begins. */
struct vr_memo_question {
    uint64_t hash;
    uint64_t place; /* in the table */
    uint64_t seq, rights, inserts;
    struct vr_path root, cwd;
    uint64_t cred;
    uint32_t words;
    uint64_t text[VR_MEMO_WORDS];
};

/*
 * Answers vrift_statat(VRIFT_AT_FDCWD, path, flags) if it may be remembered and is: 0 with *out, or -VRIFT_ENOENT.
 * Otherwise 1, and *asked tells whether the answer is to be given to vr_memo_keep().
 */
int32_t vr_memo_find(vrift_task *task, const char *path, uint64_t flags, struct vrift_stat *out,
                     struct vr_memo_question *question, bool *asked);

/* The walk that answered it, and with what. Without locks. */
void vr_memo_keep(const struct vr_memo_question *question, const struct vr_walk *walk, int32_t result,
                  const struct vrift_stat *out);

/* After a walk that asked no backend, or did: keeps count of how calm it is around a task. */
void vr_memo_note(vrift_task *task, const struct vr_walk *walk);

void vr_memo_init(vrift_vfs *vfs);
void vr_memo_dispose(vrift_vfs *vfs);

#endif
