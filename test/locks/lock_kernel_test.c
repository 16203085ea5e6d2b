/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Random plays with locks, given by processes of the kernel and by tasks of libvrift at once: every answer, and after
 * every step what is locked, must be the same.
 *
 *   lock_kernel_test [--ops N] [--seed S]
 */
#include "locks/lockplay.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t ops = 4000, seed = 1;

/* What the random choice needs to know. */
struct state {
    uint64_t random;
    int alive[PLAY_ACTORS];
    int table[PLAY_ACTORS]; /* which table of descriptors an actor has */
    int tables;
    int own;                           /* the kernel tells of a description's own locks */
    int open[PLAY_ACTORS][PLAY_SLOTS]; /* the slot has a file, or had one when it was last looked at */
};

static uint32_t any(struct state *state, uint32_t below)
{
    state->random = state->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(state->random >> 33) % below;
}

static int any_actor(struct state *state, int alive)
{
    int actor = 1 + (int)any(state, PLAY_ACTORS - 1);
    for (int tries = 0; tries < PLAY_ACTORS && state->alive[actor] != alive; tries++)
        actor = actor % (PLAY_ACTORS - 1) + 1;
    return state->alive[actor] == alive ? actor : 0;
}

static void any_range(struct state *state, struct play_command *c)
{
    static const int64_t odd[] = {INT64_MAX, INT64_MAX - 1, INT64_MIN, -1, -5, INT64_MAX / 2};
    static const int whences[] = {VRIFT_SEEK_SET, VRIFT_SEEK_SET, VRIFT_SEEK_SET, VRIFT_SEEK_CUR, VRIFT_SEEK_END, 7};
    c->whence = whences[any(state, any(state, 4) ? 3 : 6)];
    c->start = any(state, PLAY_RANGE);
    c->length = any(state, 8) ? any(state, 8) : 0;
    if (!any(state, 6))
        c->length = -(int64_t)any(state, 8);
    if (!any(state, 12))
        c->start = -(int64_t)any(state, PLAY_RANGE);
    if (!any(state, 40))
        c->start = odd[any(state, 6)];
    if (!any(state, 40))
        c->length = odd[any(state, 6)];
    c->type = (int)any(state, any(state, 30) ? 3 : 5);
    if (!any(state, 30))
        c->pid = 7;
}

static int shares_table(const struct state *state, int actor)
{
    for (int i = 1; i < PLAY_ACTORS; i++)
        if (i != actor && state->alive[i] && state->table[i] == state->table[actor])
            return 1;
    return 0;
}

static struct play_command any_command(struct state *state)
{
    static const uint64_t modes[] = {VRIFT_O_RDWR,   VRIFT_O_RDWR, VRIFT_O_RDWR,   VRIFT_O_RDONLY,
                                     VRIFT_O_WRONLY, VRIFT_O_PATH, VRIFT_O_ACCMODE};
    static const uint64_t flocks[] = {
        VRIFT_LOCK_SH, VRIFT_LOCK_EX, VRIFT_LOCK_UN, VRIFT_LOCK_SH, VRIFT_LOCK_EX, 0, 3, 32};
    struct play_command c = {.actor = any_actor(state, 1)};
    int choice = (int)any(state, 100);
    int spare = any_actor(state, 0);
    c.slot = (int)any(state, PLAY_SLOTS);
    if (!state->open[c.actor][c.slot])
        c.slot = (int)any(state, PLAY_SLOTS);
    c.other = (int)any(state, PLAY_SLOTS);
    c.file = (int)any(state, PLAY_FILES);
    if (choice < 15) {
        c.op = PLAY_OPEN;
        c.flags = modes[any(state, 7)];
    } else if (choice < 23) {
        c.op = PLAY_CLOSE;
    } else if (choice < 28) {
        c.op = PLAY_DUP;
        if (c.other == c.slot)
            c.op = PLAY_CLOSE;
    } else if (choice < 32 && spare) {
        c.op = choice < 30 ? PLAY_FORK : PLAY_CLONE;
        c.other = spare;
    } else if (choice < 34 && state->alive[1] + state->alive[2] + state->alive[3] + state->alive[4] > 2) {
        c.op = PLAY_QUIT;
        c.flags = (uint64_t)shares_table(state, c.actor);
    } else if (choice < 37) {
        c.op = PLAY_SEEK;
        c.start = any(state, 12);
    } else if (choice < 50) {
        c.op = PLAY_FLOCK;
        c.flags = flocks[any(state, any(state, 20) ? 5 : 8)] | VRIFT_LOCK_NB;
    } else {
        c.op = choice < 90 ? PLAY_SETLK : PLAY_GETLK;
        c.flags = any(state, 3) ? 0 : VRIFT_SETLK_OFD;
        any_range(state, &c);
        if (c.op == PLAY_GETLK && c.flags && c.type == VRIFT_F_UNLCK && !state->own)
            c.type = VRIFT_F_RDLCK;
    }
    return c;
}

static void print_command(const struct play_command *c)
{
    static const char *const names[] = {"open", "close", "dup",   "fork",  "clone", "quit",
                                        "seek", "flock", "setlk", "getlk", "look"};
    print_error("# actor %d: %s slot %d other %d file %d flags %#llx type %d whence %d start %lld length %lld pid %d\n",
                c->actor, names[c->op], c->slot, c->other, c->file, (unsigned long long)c->flags, c->type, c->whence,
                (long long)c->start, (long long)c->length, c->pid);
}

static int same_lock(const struct play_lock *a, const struct play_lock *b)
{
    return a->type == b->type && a->whence == b->whence && a->pid == b->pid && a->start == b->start &&
           a->length == b->length;
}

static void print_lock(const char *who, const struct play_lock *lock)
{
    print_error("#   %s: type %d whence %d pid %d start %lld length %lld\n", who, lock->type, lock->whence, lock->pid,
                (long long)lock->start, (long long)lock->length);
}

static int compare_locks(const char *what, const struct play_lock *kernel, const struct play_lock *ours)
{
    if (same_lock(kernel, ours))
        return 0;
    print_error("# %s\n", what);
    print_lock("the kernel", kernel);
    print_lock("libvrift", ours);
    return 1;
}

/*
 * Of several locks at one place F_GETLK shows the oldest. Readers that were woken together ask again in an order that
 * the kernel's scheduler chooses, so where that has happened only the kind of lock is compared.
 */
static int order_is_chance;

static int compare(const struct play_reply *kernel, const struct play_reply *ours)
{
    int wrong = 0;
    if (kernel->result != ours->result) {
        print_error("# the kernel answered %lld, libvrift %lld\n", (long long)kernel->result, (long long)ours->result);
        wrong = 1;
    }
    wrong += compare_locks("F_GETLK", &kernel->lock, &ours->lock);
    for (int file = 0; file < PLAY_FILES; file++) {
        char what[40];
        for (int at = 0; at < PLAY_RANGE + 2; at++) {
            snprintf(what, sizeof what, "file %d at %d", file, at);
            if (!order_is_chance || kernel->seen[file][at].type != ours->seen[file][at].type)
                wrong += compare_locks(what, &kernel->seen[file][at], &ours->seen[file][at]);
        }
        if (kernel->flocks[file] != ours->flocks[file]) {
            print_error("# flock of file %d: the kernel %d, libvrift %d\n", file, kernel->flocks[file],
                        ours->flocks[file]);
            wrong = 1;
        }
    }
    return wrong;
}

static int step(struct kernel_play *kernel, struct vrift_play *ours, const struct play_command *command)
{
    struct play_reply theirs, reply;
    kernel_play_send(kernel, command);
    assert_true(kernel_play_replied(kernel, command->actor, 20000, &theirs));
    vrift_play_do(ours, command, &reply);
    return compare(&theirs, &reply);
}

static void follow(struct state *state, const struct play_command *c)
{
    if (c->op == PLAY_OPEN)
        state->open[c->actor][c->slot] = 1;
    else if (c->op == PLAY_CLOSE)
        state->open[c->actor][c->slot] = 0;
    else if (c->op == PLAY_DUP)
        state->open[c->actor][c->other] = state->open[c->actor][c->slot];
    else if (c->op == PLAY_FORK || c->op == PLAY_CLONE)
        memcpy(state->open[c->other], state->open[c->actor], sizeof state->open[0]);
    if (c->op == PLAY_FORK || c->op == PLAY_CLONE) {
        state->alive[c->other] = 1;
        state->table[c->other] = c->op == PLAY_CLONE ? state->table[c->actor] : ++state->tables;
    } else if (c->op == PLAY_QUIT)
        state->alive[c->actor] = 0;
}

static void random_plays_go_the_same_way(void **state_unused)
{
    (void)state_unused;
    const struct play_command born = {.op = PLAY_FORK, .actor = 0, .other = 1}, look = {.op = PLAY_LOOK};
    struct state state = {.random = seed * 2 + 1};
    uint64_t answered[2] = {0, 0};
    char *directory = temporary_directory();
    state.own = kernel_tells_of_own_locks(directory);
    struct kernel_play *kernel = kernel_play_new(directory);
    struct vrift_play *ours = vrift_play_new();
    state.alive[1] = 1;
    assert_int_equal(step(kernel, ours, &born), 0);
    for (uint64_t i = 0; i < ops; i++) {
        struct play_command command = any_command(&state);
        int wrong = step(kernel, ours, &command);
        follow(&state, &command);
        wrong += step(kernel, ours, &look);
        if (wrong) {
            print_error("# step %llu of seed %llu:\n", (unsigned long long)i, (unsigned long long)seed);
            print_command(&command);
            fail();
        }
        answered[command.op == PLAY_SETLK]++;
    }
    printf("# %llu steps of seed %llu, %llu of them setting locks\n", (unsigned long long)ops, (unsigned long long)seed,
           (unsigned long long)answered[1]);
    vrift_play_free(ours);
    kernel_play_free();
    remove_temporary_directory(directory);
}

/* -- Waiting ------------------------------------------------------------------------------------------------------- */

#define SETTLED  3   /* looks without a change, 4 ms apart */
#define PATIENCE 700 /* looks until the two must agree */

/* Who waits, on each side, and what those were answered that no longer do. */
struct waits {
    struct kernel_play *kernel;
    struct vrift_play *ours;
    int kernel_busy[PLAY_ACTORS], ours_busy[PLAY_ACTORS];
    struct play_reply kernel_reply[PLAY_ACTORS], ours_reply[PLAY_ACTORS];
    uint64_t waited, handed, circles, chances;
};

enum { AGREED, BY_CHANCE, WRONG };

static int listen(struct waits *waits)
{
    int changed = 0;
    for (int i = 0; i < PLAY_ACTORS; i++) {
        if (waits->kernel_busy[i] && kernel_play_replied(waits->kernel, i, 0, &waits->kernel_reply[i])) {
            waits->kernel_busy[i] = 0;
            changed = 1;
        }
        if (waits->ours_busy[i] && vrift_play_replied(waits->ours, i, &waits->ours_reply[i])) {
            waits->ours_busy[i] = 0;
            changed = 1;
        }
    }
    return changed;
}

/*
 * Where both may be right. Those that wait for different locks are woken together if one unlock lets go of them all, and ask
 * again in an order that the kernel's scheduler chooses: it may let in another than we do, of those that waited before.
 * And of several that are in the way of one who waits, both look at one for circles, but not always at the same.
 */
static int how_it_differs(const struct waits *waits, int asker)
{
    int theirs = 0, ours = 0;
    for (int i = 0; i < PLAY_ACTORS; i++) {
        if (waits->kernel_busy[i] == waits->ours_busy[i])
            continue;
        int64_t answered = waits->ours_busy[i] ? waits->kernel_reply[i].result : waits->ours_reply[i].result;
        if (answered == -VRIFT_EDEADLK)
            return BY_CHANCE;
        if (i == asker || answered)
            return WRONG;
        *(waits->ours_busy[i] ? &theirs : &ours) += 1;
    }
    return theirs && ours ? BY_CHANCE : WRONG;
}

/* Until the same actors wait on both sides, and nothing has changed for a moment. */
static int settle(struct waits *waits, int asker)
{
    const struct timespec pause = {0, 4000000};
    for (int quiet = 0, looks = 0; looks < PATIENCE; looks++) {
        quiet = listen(waits) ? 0 : quiet + 1;
        if (quiet >= SETTLED && !memcmp(waits->kernel_busy, waits->ours_busy, sizeof waits->ours_busy))
            return AGREED;
        nanosleep(&pause, NULL);
    }
    int how = how_it_differs(waits, asker);
    for (int i = 0; how == WRONG && i < PLAY_ACTORS; i++)
        print_error("# actor %d: the kernel's %s (%lld), libvrift's %s (%lld)\n", i,
                    waits->kernel_busy[i] ? "waits" : "does not", (long long)waits->kernel_reply[i].result,
                    waits->ours_busy[i] ? "waits" : "does not", (long long)waits->ours_reply[i].result);
    return how;
}

/*
 * One play has either POSIX or OFD locks: Linux does not look for circles where a POSIX lock is waited for behind a
 * request for an OFD lock.
 */
static struct play_command any_waiting_command(struct state *state, const struct waits *waits, bool ofd)
{
    struct play_command c = {.actor = 1 + (int)any(state, PLAY_ACTORS - 1)};
    while (waits->ours_busy[c.actor])
        c.actor = c.actor % (PLAY_ACTORS - 1) + 1;
    c.slot = (int)any(state, 2);
    c.type = (int)any(state, 3);
    c.start = any(state, 6);
    c.length = any(state, 4);
    if (any(state, 4) == 0) {
        static const uint64_t kinds[] = {VRIFT_LOCK_SH, VRIFT_LOCK_EX, VRIFT_LOCK_UN, VRIFT_LOCK_UN};
        c.op = PLAY_FLOCK;
        c.flags = kinds[any(state, 4)];
    } else {
        c.op = PLAY_SETLK;
        c.flags = VRIFT_SETLK_WAIT | (ofd ? VRIFT_SETLK_OFD : 0);
    }
    if (any(state, 8) == 0)
        c = (struct play_command){.op = PLAY_OPEN, .actor = c.actor, .slot = c.slot, .flags = VRIFT_O_RDWR};
    return c;
}

static int compare_waits(struct waits *waits, const int before[PLAY_ACTORS])
{
    int wrong = 0;
    for (int i = 0; i < PLAY_ACTORS; i++) {
        if (!before[i] || waits->ours_busy[i])
            continue;
        wrong += compare(&waits->kernel_reply[i], &waits->ours_reply[i]);
        waits->handed++;
        waits->circles += waits->ours_reply[i].result == -VRIFT_EDEADLK;
    }
    return wrong;
}

static int free_actors(const struct waits *waits)
{
    int count = 0;
    for (int i = 1; i < PLAY_ACTORS; i++)
        count += !waits->ours_busy[i];
    return count;
}

/* One step of those that may wait, all of them with the first file. */
static int waiting_step(struct state *state, struct waits *waits, bool ofd, struct play_command *command)
{
    int before[PLAY_ACTORS];
    const struct play_command look = {.op = PLAY_LOOK};
    *command = any_waiting_command(state, waits, ofd);
    kernel_play_send(waits->kernel, command);
    vrift_play_send(waits->ours, command);
    waits->kernel_busy[command->actor] = waits->ours_busy[command->actor] = 1;
    memcpy(before, waits->ours_busy, sizeof before);
    int how = settle(waits, command->actor);
    if (how != AGREED)
        return how;
    if (compare_waits(waits, before) || step(waits->kernel, waits->ours, &look))
        return WRONG;
    waits->waited += (uint64_t)waits->ours_busy[command->actor];
    return AGREED;
}

static void play_waiting(struct state *state, const char *directory, uint64_t steps, struct waits *waits)
{
    struct play_command command = {.op = PLAY_FORK};
    memset(waits->ours_busy, 0, sizeof waits->ours_busy);
    memset(waits->kernel_busy, 0, sizeof waits->kernel_busy);
    waits->kernel = kernel_play_new(directory);
    waits->ours = vrift_play_new();
    for (command.other = 1; command.other < PLAY_ACTORS; command.other++)
        assert_int_equal(step(waits->kernel, waits->ours, &command), 0);
    for (int i = 1; i < PLAY_ACTORS; i++) {
        for (int slot = 0; slot < 2; slot++) {
            command = (struct play_command){.op = PLAY_OPEN, .actor = i, .slot = slot, .flags = VRIFT_O_RDWR};
            assert_int_equal(step(waits->kernel, waits->ours, &command), 0);
        }
    }
    bool ofd = any(state, 3) == 0;
    int how = AGREED;
    for (uint64_t i = 0; i < steps && how == AGREED && free_actors(waits) > 1; i++)
        how = waiting_step(state, waits, ofd, &command);
    waits->chances += how == BY_CHANCE;
    if (how == WRONG) {
        print_error("# seed %llu:\n", (unsigned long long)seed);
        print_command(&command);
        fail();
    }
    vrift_play_free(waits->ours);
    kernel_play_free();
}

static void those_that_wait_are_served_the_same_way(void **state_unused)
{
    (void)state_unused;
    struct state state = {.random = seed * 2 + 1};
    static struct waits waits;
    order_is_chance = 1;
    char *directory = temporary_directory();
    for (uint64_t left = ops / 20; left > 0; left -= left < 25 ? left : 25)
        play_waiting(&state, directory, left < 25 ? left : 25, &waits);
    printf(
        "# %llu calls waited, %llu were answered, %llu of them as a circle; %llu plays ended where both may be right\n",
        (unsigned long long)waits.waited, (unsigned long long)waits.handed, (unsigned long long)waits.circles,
        (unsigned long long)waits.chances);
    remove_temporary_directory(directory);
}

static int teardown(void **state)
{
    (void)state;
    kernel_play_free();
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--ops"))
            ops = strtoull(argv[i + 1], NULL, 10);
        else if (!strcmp(argv[i], "--seed"))
            seed = strtoull(argv[i + 1], NULL, 10);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(random_plays_go_the_same_way, teardown),
        cmocka_unit_test_teardown(those_that_wait_are_served_the_same_way, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
