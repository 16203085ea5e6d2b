/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/memo.h"

#include "core/alloc.h"
#include "core/dcachehot.h"

#include <string.h>

/* So many walks of a task in a row must find everything cached and nothing changed before paths are remembered. */
#define CALM 32u

/* The part of the cache's budget that the table takes at most, and between what it has entries if it has any. */
#define BUDGET_PART    16u
#define FEWEST_ENTRIES 16u
#define MOST_ENTRIES   16384u

/* In a kept mask: there is more than zeroes from `digest` on. */
#define HAS_REST (1ULL << 63)

/* Of a hash: how many words the text has, and the flag. */
#define EXACT_BITS 5u
_Static_assert(VR_MEMO_WORDS << 1 < 1u << EXACT_BITS, "they fit");

#define LOAD(field) atomic_load_explicit(&(field), memory_order_acquire)

_Static_assert(offsetof(struct vrift_stat, digest) % 8 == 0 && offsetof(struct vrift_stat, spare) % 8 == 0,
               "answers are kept in words");

/* -- The question -------------------------------------------------------------------------------------------------- */

/* The products do not wait for each other. */
static const uint64_t factors[VR_MEMO_WORDS] = {0x9e3779b97f4a7c15ULL, 0xbf58476d1ce4e5b9ULL, 0x94d049bb133111ebULL,
                                                0xd6e8feb86659fd93ULL, 0xa0761d6478bd642fULL, 0xe7037ed1a0b428dbULL,
                                                0x8ebc6af09c88c6e3ULL, 0x589965cc75374cc3ULL, 0x1d8e4e27c47d124fULL,
                                                0xeb44accab455d165ULL, 0x2d358dccaa6c78a5ULL, 0x8bb84b93962eacc9ULL};

static bool read_text(const char *path, uint64_t flags, struct vr_memo_question *question)
{
    const char *nul = memchr(path, '\0', VR_MEMO_LONGEST + 1);
    size_t length = nul ? (size_t)(nul - path) : 0;
    uint64_t hash = 0;
    uint32_t words = 0;
    if (!length)
        return false;
    for (; length >= 8; length -= 8, path += 8, words++) {
        uint64_t word = vr_hot_load8((const unsigned char *)path);
        question->text[words] = word;
        hash += (word ^ word >> 31) * factors[words];
    }
    uint64_t word = vr_hot_load_tail((const unsigned char *)path, length);
    question->text[words] = word;
    hash += (word ^ word >> 31) * factors[words];
    question->words = words + 1;
    /* Exact, so that only texts of as many words are compared, and questions with the same flags. */
    hash = (hash ^ hash >> 32) & UINT64_MAX >> EXACT_BITS;
    question->hash = hash | ((uint64_t)question->words << 1 | !!flags) << (64 - EXACT_BITS);
    return true;
}

static bool same_key(const struct vr_memo_entry *entry, const struct vr_memo_question *question)
{
    if (LOAD(entry->hash) != question->hash || LOAD(entry->seq) != question->seq ||
        LOAD(entry->cred) != question->cred || LOAD(entry->mounts[0]) != question->root.mount ||
        LOAD(entry->mounts[1]) != question->cwd.mount || LOAD(entry->dentries[0]) != question->root.dentry ||
        LOAD(entry->dentries[1]) != question->cwd.dentry || LOAD(entry->rights) != question->rights)
        return false;
    for (uint32_t i = 0; i < question->words; i++)
        if (LOAD(entry->text[i]) != question->text[i])
            return false;
    return true;
}

/* The words up to `digest`, each in a variable of its own: an array would pass through memory, and be waited for there. */
#define FIRST_WORDS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9)
#define LAST_WORDS(DO)  DO(10) DO(11) DO(12) DO(13) DO(14) DO(15) DO(16) DO(17) DO(18)
#define USUAL_WORDS(DO) FIRST_WORDS(DO) LAST_WORDS(DO)
#define READ_WORD(i)    const uint64_t word_##i = LOAD(entry->answer[i]);
#define WRITE_WORD(i)   memcpy((unsigned char *)out + 8 * (i), &word_##i, 8);
_Static_assert(VR_MEMO_USUAL == 19, "USUAL_WORDS names each word");

/* 1: the entry does not know. Nothing is written to *out before all has been found true. */
static inline int32_t answer(const vrift_vfs *vfs, const struct vr_memo_entry *entry,
                             const struct vr_memo_question *question, struct vrift_stat *out)
{
    uint64_t rest[VR_MEMO_ANSWER - VR_MEMO_USUAL];
    uint64_t version = LOAD(entry->version);
    if (version & 1 || !same_key(entry, question))
        return 1;
    struct vr_inode *inode = LOAD(entry->inode);
    uint64_t attr_seq = LOAD(entry->attr_seq), inserts = LOAD(entry->inserts);
    USUAL_WORDS(READ_WORD)
    bool has_rest = word_0 & HAS_REST;
    for (size_t i = 0; has_rest && i < VR_MEMO_ANSWER - VR_MEMO_USUAL; i++)
        rest[i] = LOAD(entry->answer[VR_MEMO_USUAL + i]);
    if (LOAD(entry->version) != version)
        return 1;
    /* From here on the entry is what it was made as; is it still so? */
    if (inode ? LOAD(inode->attr_seq) != attr_seq : LOAD(vfs->dcache.inserts) != inserts)
        return 1;
    if (LOAD(vfs->dcache.rights) != question->rights || atomic_load(&vfs->dcache.seq) != question->seq)
        return 1;
    if (!inode)
        return -VRIFT_ENOENT;
    vr_os_clear(out->digest, sizeof *out - offsetof(struct vrift_stat, digest));
    USUAL_WORDS(WRITE_WORD)
    out->mask &= ~HAS_REST;
    if (has_rest)
        memcpy(out->digest, rest, sizeof rest);
    return 0;
}

/* Who asks counts, too: tasks that ask for the same paths would take turns in overwriting each other's answers. */
static inline uint64_t place_of(const struct vr_memo_question *question)
{
    return question->hash ^ question->cred << 4 ^ (uint64_t)(uintptr_t)question->cwd.dentry >> 5;
}

int32_t vr_memo_find(vrift_task *task, const char *path, uint64_t flags, struct vrift_stat *out,
                     struct vr_memo_question *question, bool *asked)
{
    vrift_vfs *vfs = task->vfs;
    *asked = false;
    if (flags & ~VRIFT_AT_SYMLINK_NOFOLLOW || !vfs->dcache.memo_entries)
        return 1;
    question->seq = LOAD(vfs->dcache.seq);
    if (atomic_load_explicit(&task->calm, memory_order_relaxed) < CALM || question->seq & 1 ||
        atomic_load_explicit(&task->calm_seq, memory_order_relaxed) != question->seq)
        return 1;
    const struct vr_place *place = LOAD(task->place);
    question->rights = LOAD(vfs->dcache.rights);
    question->cred = LOAD(LOAD(task->cred)->id);
    question->root = vr_spot_get(&place->root);
    question->cwd = vr_spot_get(&place->cwd);
    if (!read_text(path, flags, question))
        return 1;
    question->place = place_of(question);
    const struct vr_memo *memo = LOAD(vfs->dcache.memo);
    int32_t result = 1;
    if (memo) {
        uint64_t at = question->place & memo->mask;
        result = answer(vfs, &memo->entries[at], question, out);
        if (result > 0)
            result = answer(vfs, &memo->entries[at ^ 1], question, out);
    }
    if (result > 0)
        question->inserts = LOAD(vfs->dcache.inserts);
    else
        atomic_store_explicit(&task->hits, atomic_load_explicit(&task->hits, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    *asked = true;
    return result;
}

/* -- Keeping ------------------------------------------------------------------------------------------------------- */

void vr_memo_init(vrift_vfs *vfs)
{
    uint64_t entries = MOST_ENTRIES, most = vfs->cache_budget / BUDGET_PART / sizeof(struct vr_memo_entry);
    while (entries > most)
        entries /= 2;
    vfs->dcache.memo_entries = entries < FEWEST_ENTRIES ? 0 : entries;
}

/* The table, made when it is first wanted; NULL without memory. */
static struct vr_memo *table_of(vrift_vfs *vfs)
{
    struct vr_memo *memo = LOAD(vfs->dcache.memo);
    if (memo)
        return memo;
    uint64_t entries = vfs->dcache.memo_entries;
    size_t size = sizeof *memo + (size_t)entries * sizeof(struct vr_memo_entry);
    struct vr_memo *fresh = vr_alloc_zero(vfs->allocator, 1, size);
    if (!fresh)
        return NULL;
    fresh->mask = entries - 1;
    if (!atomic_compare_exchange_strong(&vfs->dcache.memo, &memo, fresh)) {
        vr_alloc_free(vfs->allocator, fresh);
        return memo;
    }
    atomic_fetch_add_explicit(&vfs->dcache.bytes, size, memory_order_relaxed);
    return fresh;
}

#define STORE(field, value) atomic_store_explicit(&(field), (value), memory_order_release)

static void fill(struct vr_memo_entry *entry, const struct vr_memo_question *question, const struct vr_walk *walk,
                 const struct vrift_stat *out)
{
    uint64_t words[VR_MEMO_ANSWER];
    uint64_t version = LOAD(entry->version);
    if (version & 1 || !atomic_compare_exchange_strong(&entry->version, &version, version + 1))
        return; /* somebody else is at it */
    STORE(entry->hash, question->hash);
    STORE(entry->seq, question->seq);
    STORE(entry->rights, question->rights);
    STORE(entry->inserts, question->inserts);
    STORE(entry->mounts[0], question->root.mount);
    STORE(entry->mounts[1], question->cwd.mount);
    STORE(entry->dentries[0], question->root.dentry);
    STORE(entry->dentries[1], question->cwd.dentry);
    STORE(entry->cred, question->cred);
    STORE(entry->inode, out ? walk->peeked_inode : NULL);
    STORE(entry->attr_seq, walk->peeked_seq);
    if (out) {
        memcpy(words, out, sizeof words);
        if (out->attributes || out->mask & VRIFT_STAT_DIGEST)
            words[0] |= HAS_REST;
        for (size_t i = 0; i < VR_MEMO_ANSWER; i++)
            STORE(entry->answer[i], words[i]);
    }
    for (uint32_t i = 0; i < question->words; i++)
        STORE(entry->text[i], question->text[i]);
    STORE(entry->version, version + 2);
}

/* Does an entry hold another path, which as far as can be seen is still good? */
static bool is_others(const struct vr_memo_entry *entry, const struct vr_memo_question *question)
{
    return LOAD(entry->seq) == question->seq && LOAD(entry->hash) != question->hash;
}

void vr_memo_keep(const struct vr_memo_question *question, const struct vr_walk *walk, int32_t result,
                  const struct vrift_stat *out)
{
    vrift_vfs *vfs = walk->task->vfs;
    /* One pass, all of it over what only the core changes, and since the question was put. */
    if (walk->slow || walk->aged || walk->seq != question->seq || (result ? result != -VRIFT_ENOENT : !walk->peeked))
        return;
    struct vr_memo *memo = table_of(vfs);
    if (!memo)
        return;
    uint64_t at = question->place & memo->mask;
    struct vr_memo_entry *entry = &memo->entries[at];
    if (is_others(entry, question))
        entry = &memo->entries[at ^ 1];
    /* Who asks for more paths than there is room for would write each and find none. */
    uint64_t hits = atomic_load_explicit(&walk->task->hits, memory_order_relaxed);
    if (is_others(entry, question) && hits * factors[0] >> 61)
        return;
    fill(entry, question, walk, result ? NULL : out);
}

void vr_memo_note(vrift_task *task, const struct vr_walk *walk)
{
    if (task->vfs->without_memo)
        return;
    uint64_t seq = atomic_load_explicit(&task->calm_seq, memory_order_relaxed);
    uint32_t calm = atomic_load_explicit(&task->calm, memory_order_relaxed);
    if (seq != walk->seq || walk->slow) {
        atomic_store_explicit(&task->calm, 0, memory_order_relaxed);
        atomic_store_explicit(&task->calm_seq, walk->seq, memory_order_relaxed);
    } else if (calm < CALM) {
        atomic_store_explicit(&task->calm, calm + 1, memory_order_relaxed);
    }
}

void vr_memo_dispose(vrift_vfs *vfs)
{
    struct vr_memo *memo = atomic_load(&vfs->dcache.memo);
    vr_alloc_free(vfs->allocator, memo);
}
