/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Two logs, token by token. */
#include "differential/differential.h"

#include <ctype.h>

/* Things that have a number of its own on each side: which belongs to which. */
#define MOST_PAIRS 8192u
struct pairing {
    struct pair {
        uint64_t kernel[2], vrift[2];
        uint64_t moved[2][2][2]; /* mtime and ctime as last seen: side, seconds and nanoseconds */
        uint32_t age, seen, borrowed;
    } pairs[MOST_PAIRS];
    uint32_t back[MOST_PAIRS * 2]; /* by vrift's number: index of the pair + 1 */
    uint32_t back_age[MOST_PAIRS * 2];
    uint32_t age, count;
};

struct comparison {
    struct pairing *inodes, *mounts;
    bool is_link, is_dir;
    struct pair *inode; /* whose facts these are */
    struct diff_difference *difference;
    bool fine_times;
    uint32_t borrowed; /* directories that got another's stamp so far */
    const char *still; /* which of two times did not move */
};

static uint32_t hash_of(const uint64_t id[2], uint32_t size)
{
    uint64_t hash = (id[0] * 0x9e3779b97f4a7c15ULL) ^ (id[1] + 0x7f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL;
    return (uint32_t)(hash >> 33) & (size - 1);
}

static struct pair *pair_of(struct pairing *pairing, const uint64_t kernel[2], const uint64_t vrift[2])
{
    uint32_t at = hash_of(kernel, MOST_PAIRS);
    struct pair *pair = &pairing->pairs[at];
    while (pair->age == pairing->age && memcmp(pair->kernel, kernel, sizeof pair->kernel) != 0)
        pair = &pairing->pairs[at = (at + 1) % MOST_PAIRS];
    if (pair->age == pairing->age)
        return memcmp(pair->vrift, vrift, sizeof pair->vrift) == 0 ? pair : NULL;
    uint32_t back = hash_of(vrift, MOST_PAIRS * 2);
    while (pairing->back_age[back] == pairing->age) {
        if (memcmp(pairing->pairs[pairing->back[back]].vrift, vrift, sizeof pair->vrift) == 0)
            return NULL;
        back = (back + 1) % (MOST_PAIRS * 2);
    }
    if (pairing->count++ >= MOST_PAIRS * 3 / 4)
        return NULL;
    *pair = (struct pair){.kernel = {kernel[0], kernel[1]}, .vrift = {vrift[0], vrift[1]}, .age = pairing->age};
    pairing->back[back] = at;
    pairing->back_age[back] = pairing->age;
    return pair;
}

static bool set_by_a_call(uint64_t seconds)
{
    return (int64_t)seconds < 1000000000 || (int64_t)seconds > 4000000000LL;
}

static bool same_time(const struct diff_token *k, const struct diff_token *v)
{
    if (set_by_a_call(k->value) || set_by_a_call(v->value))
        return k->value == v->value && k->extra == v->extra;
    return true;
}

static bool same_motion(struct comparison *comparison, const struct diff_token *k, const struct diff_token *v)
{
    if (!same_time(k, v))
        return false;
    struct pair *pair = comparison->inode;
    if (!pair || !comparison->fine_times)
        return true;
    uint32_t which = k->what[0] == 'c';
    uint64_t(*seen)[2] = pair->moved[which];
    bool first = !(pair->seen & 1u << which);
    bool moved_k = seen[0][0] != k->value || seen[0][1] != k->extra;
    bool moved_v = seen[1][0] != v->value || seen[1][1] != v->extra;
    seen[0][0] = k->value, seen[0][1] = k->extra;
    seen[1][0] = v->value, seen[1][1] = v->extra;
    pair->seen |= 1u << which;
    /*
     * Naming and unnaming stamp the directory with the file's stamp, which may be as old as a tick of the clock; a tmpfs
     * that loses a setuid bit by truncate(2) to the same length is not stamped at all.
     */
    if (first || moved_k == moved_v ||
        ((moved_v || diff_backend == DIFF_HOST) && pair->borrowed != comparison->borrowed))
        return true;
    comparison->still = moved_k ? "libvrift's did not move; " : "the kernel's did not move; ";
    return false;
}

static bool same(struct comparison *comparison, const struct diff_token *k, const struct diff_token *v)
{
    uint64_t kernel[2] = {k->value, k->extra}, vrift[2] = {v->value, v->extra};
    struct pair *pair;
    if (k->kind != v->kind || k->what != v->what)
        return false;
    switch (k->kind) {
    case DIFF_INODE:
        pair = pair_of(comparison->inodes, kernel, vrift);
        if (strcmp(k->what, "inode") == 0)
            comparison->inode = pair;
        return pair;
    case DIFF_MOUNT:
        return pair_of(comparison->mounts, kernel, vrift);
    case DIFF_LENIENT:
        return k->value == v->value || (int64_t)k->value == -VRIFT_EAGAIN || (int64_t)v->value == -VRIFT_EAGAIN;
    case DIFF_TIME:
        /* A remembered path stamps its links no more, even if their times were set back: see docs/semantics.md. */
        if (k->what[0] == 'a' && comparison->is_link && !set_by_a_call(k->value) && set_by_a_call(v->value))
            return true;
        /* A stamp that cannot be set is no error of the call; and a host stamps what libvrift reads of it. */
        return (k->what[0] == 'a' && (diff_trouble == DIFF_FAULTS || diff_backend != DIFF_MEM)) || same_time(k, v);
    case DIFF_MOVED:
        return same_motion(comparison, k, v);
    case DIFF_BYTES:
        return k->value == v->value && memcmp(k + 1, v + 1, k->value) == 0;
    default:
        /* An overlay does not count subdirectories, nor does the kernel's in a directory with a lower part. */
        if (diff_backend == DIFF_OVERLAY && comparison->is_dir && strcmp(k->what, "nlink") == 0)
            return true;
        return k->value == v->value;
    }
}

/* -- Telling ------------------------------------------------------------------------------------------------------- */

static void tell_token(const struct diff_token *token, char *buf, size_t len)
{
    if (!token) {
        snprintf(buf, len, "nothing more");
        return;
    }
    size_t used = (size_t)snprintf(buf, len, "%s ", token->what);
    int64_t number = (int64_t)token->value;
    if (used >= len)
        return;
    switch (token->kind) {
    case DIFF_BYTES:
        snprintf(buf + used, len - used, "(%llu) \"%.*s\"", (unsigned long long)token->value,
                 token->value < 80 ? (int)token->value : 80, (const char *)(token + 1));
        for (char *c = buf; *c; c++)
            *c = isprint((unsigned char)*c) ? *c : '?';
        break;
    case DIFF_INODE:
    case DIFF_TIME:
    case DIFF_MOVED:
        snprintf(buf + used, len - used, "%lld.%llu", (long long)number, (unsigned long long)token->extra);
        break;
    default:
        if (number < 0 && number > -4096)
            snprintf(buf + used, len - used, "-%s", vrift_err_name(number));
        else
            snprintf(buf + used, len - used, "%lld (%#llo)", (long long)number, (unsigned long long)number);
    }
}

static bool tell(struct comparison *comparison, uint32_t step, const struct diff_token *k, const struct diff_token *v,
                 const char *path)
{
    struct diff_difference *difference = comparison->difference;
    char theirs[200], ours[200];
    tell_token(k, theirs, sizeof theirs);
    tell_token(v, ours, sizeof ours);
    difference->step = step;
    snprintf(difference->what, sizeof difference->what, "%s", k ? k->what : v ? v->what : "");
    snprintf(difference->text, sizeof difference->text, "%s%s%sthe kernel: %s, libvrift: %s", path, *path ? ": " : "",
             comparison->still ? comparison->still : "", theirs, ours);
    return true;
}

/* -- The whole ----------------------------------------------------------------------------------------------------- */

static void begin(struct comparison *comparison, struct diff_difference *difference)
{
    static struct pairing inodes, mounts;
    static int fine = -1;
    if (fine < 0)
        fine = diff_has_fine_times();
    inodes.age++;
    mounts.age++;
    inodes.count = mounts.count = 0;
    *comparison = (struct comparison){&inodes, &mounts, false, false, NULL, difference, fine, 0, NULL};
}

static bool stamps_directory(const char *kind)
{
    return strcmp(kind, "unlink") == 0 || strcmp(kind, "rmdir") == 0 || strcmp(kind, "rename") == 0 ||
           strcmp(kind, "link") == 0 || strcmp(kind, "truncate") == 0;
}

bool diff_compare(const struct diff_log *kernel, const struct diff_log *vrift, struct diff_difference *difference)
{
    struct comparison comparison;
    size_t at = 0, vat = 0;
    uint32_t step = 0;
    char path[128] = "";
    begin(&comparison, difference);
    for (;;) {
        const struct diff_token *k = diff_log_next(kernel, &at), *v = diff_log_next(vrift, &vat);
        if (!k && !v)
            return false;
        if ((!k && kernel->full) || (!v && vrift->full))
            return false;
        if (!k || !v || !same(&comparison, k, v))
            return tell(&comparison, step, k, v, path);
        if (k->kind == DIFF_MOVED && k->what[0] == 'c' && comparison.inode)
            comparison.inode->borrowed = comparison.borrowed;
        if (k->kind == DIFF_NUMBER && strcmp(k->what, "mode") == 0)
            comparison.is_dir = (k->value & VRIFT_S_IFMT) == VRIFT_S_IFDIR;
        if (k->kind == DIFF_NUMBER && strcmp(k->what, "mode") == 0)
            comparison.is_link = (k->value & VRIFT_S_IFMT) == VRIFT_S_IFLNK;
        if (k->kind == DIFF_STEP) {
            comparison.borrowed += stamps_directory(k->what);
            step = (uint32_t)k->value;
            path[0] = '\0';
        }
        if (k->kind == DIFF_BYTES && strcmp(k->what, "path") == 0)
            snprintf(path, sizeof path, "%.*s", (int)k->value, (const char *)(k + 1));
    }
}
