/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the tasks are to do: everything follows from the seed. */
#include "differential/differential.h"

#define RUN_ON    75  /* percent: the next step is the same task's */
#define DUMP_EACH 150 /* steps */
#define FIRST     24  /* steps that root takes to make something of the empty tree */

const struct diff_cred diff_creds[DIFF_CREDS] = {
    {.capabilities = UINT64_MAX},
    {1000, 1000, 2, {100, 101}, 0},
    {1001, 1001, 1, {100}, 0},
    {1000, 100, 0, {0}, 0},
    {0, 0, 0, {0}, 0},
    {1002, 1002, 0, {0}, VRIFT_CAP_FOWNER | VRIFT_CAP_DAC_READ_SEARCH},
    {1002, 1000, 0, {0}, VRIFT_CAP_CHOWN | VRIFT_CAP_FSETID},
    {1001, 1001, 0, {0}, VRIFT_CAP_DAC_OVERRIDE},
};
const uint8_t diff_first_cred[DIFF_PROCESSES] = {0, 1, 2, 0, 1, 0};

uint32_t diff_roll(struct diff_random *random, uint32_t sides)
{
    uint64_t z = random->state += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return (uint32_t)((z ^ (z >> 31)) >> 32) % sides;
}

bool diff_chance(struct diff_random *random, uint32_t percent)
{
    return diff_roll(random, 100) < percent;
}

int16_t diff_some_fd(struct diff_random *random)
{
    if (diff_chance(random, 2))
        return (int16_t)((int)diff_roll(random, 4) - 2 + (diff_chance(random, 50) ? DIFF_FILES : 0));
    return (int16_t)diff_roll(random, 1 + diff_roll(random, DIFF_FILES));
}

int16_t diff_some_dirfd(struct diff_random *random)
{
    return diff_chance(random, 85) ? DIFF_HERE : diff_some_fd(random);
}

static const char *some_name(struct diff_random *random)
{
    static const char *const common[] = {"a", "b", "c", "d", "e"};
    static const char *const rare[] = {".", ".", "..", "..", "j", "m", "n"};
    static const char *const odd[] = {"%", "@", "a-name-longer-than-inline", "f"};
    if (diff_chance(random, 82))
        return common[diff_roll(random, 5)];
    return diff_chance(random, 95) ? rare[diff_roll(random, 7)] : odd[diff_roll(random, 4)];
}

void diff_some_path(struct diff_random *random, char *path)
{
    static const uint8_t depths[] = {1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4};
    size_t used = 0;
    path[0] = '\0';
    if (diff_chance(random, 1))
        return;
    if (diff_chance(random, 15))
        path[used++] = '/';
    if (used && diff_chance(random, 5)) {
        path[used] = '\0';
        return;
    }
    uint32_t depth = depths[diff_roll(random, sizeof depths)];
    for (uint32_t i = 0; i < depth; i++) {
        const char *name = some_name(random);
        if (used + strlen(name) + 4 > DIFF_TEXT)
            break;
        used += (size_t)snprintf(path + used, DIFF_TEXT - used, "%s", name);
        if (i + 1 < depth || diff_chance(random, 6))
            path[used++] = '/';
        if (diff_chance(random, 1))
            path[used++] = '/';
    }
    path[used] = '\0';
}

uint32_t diff_some_mode(struct diff_random *random)
{
    static const uint16_t modes[] = {0777,  0755,  0700,  0666,  0644,  0600,  0,     0555,  0711, 0500,
                                     02775, 02755, 04755, 06777, 02666, 01777, 01775, 02765, 0070, 0007};
    return modes[diff_chance(random, 40) ? diff_roll(random, 6) : diff_roll(random, sizeof modes / sizeof modes[0])];
}

static uint32_t total_weight(void)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < diff_kind_count; i++)
        sum += diff_kinds[i].weight;
    return sum;
}

static uint8_t some_kind(struct diff_random *random, uint32_t total)
{
    uint32_t at = diff_roll(random, total), kind = 0;
    while (at >= diff_kinds[kind].weight)
        at -= diff_kinds[kind++].weight;
    return (uint8_t)kind;
}

/* Paths that were used lately are used again: so calls meet. */
struct memory {
    char paths[8][DIFF_TEXT];
    uint32_t next;
};

static void remember(struct memory *memory, struct diff_random *random, char *path)
{
    if (!path[0])
        return;
    if (diff_chance(random, 35) && memory->paths[0][0])
        memcpy(path, memory->paths[diff_roll(random, 8) % (memory->next < 8 ? memory->next : 8)], DIFF_TEXT);
    else
        memcpy(memory->paths[memory->next++ % 8], path, DIFF_TEXT);
}

static void make_first(struct diff_random *random, struct diff_step *step, uint32_t i)
{
    static const char *const kinds[] = {"mkdir", "mkdir", "mkdir", "open",  "symlink", "link",
                                        "open",  "mknod", "chmod", "chown", "setxattr"};
    static const struct {
        const char *kind, *path, *path2;
        uint8_t task;
        uint64_t a;
    } fixed[] = {
        {"mkdir", "j", "", 0, 0777}, {"mkdir", "m", "", 0, 0777}, {"mkdir", "n", "", 0, 0777},
        {"mkdir", "a", "", 0, 0777}, {"mount", "m", "", 0, 0},    {"bind", "a", "n", 0, 0},
        {"chroot", "/j", "", 3, 0},  {"chdir", "/", "", 3, 0},    {"mkdir", "a/b", "", 0, 0777},
        {"cred", "", "", 3, 1},
    };
    memset(step, 0, sizeof *step);
    step->fd = step->fd2 = DIFF_HERE;
    if (i < sizeof fixed / sizeof fixed[0]) {
        step->kind = (uint8_t)diff_kind_named(fixed[i].kind);
        step->task = fixed[i].task;
        step->a = fixed[i].a;
        snprintf(step->path, DIFF_TEXT, "%s", fixed[i].path);
        snprintf(step->path2, DIFF_TEXT, "%s", fixed[i].path2);
        return;
    }
    step->kind = (uint8_t)diff_kind_named(kinds[diff_roll(random, sizeof kinds / sizeof kinds[0])]);
    diff_kinds[step->kind].choose(random, step);
    step->fd = step->fd2 = DIFF_HERE;
}

static void dump_step(struct diff_step *step)
{
    memset(step, 0, sizeof *step);
    step->task = DIFF_OBSERVER;
    step->kind = (uint8_t)diff_kind_named("dump");
}

uint32_t diff_generate(uint64_t seed, struct diff_step *steps, uint32_t count)
{
    struct diff_random random = {seed * 0x2545f4914f6cdd1dULL + 1};
    struct memory memory = {.next = 0};
    uint32_t total = total_weight(), made = 0;
    uint8_t task = 0;
    diff_roll(&random, 2);
    for (uint32_t i = 0; made + 1 < count; i++) {
        struct diff_step *step = &steps[made++];
        if (i < FIRST) {
            make_first(&random, step, i);
            continue;
        }
        if (i % DUMP_EACH == 0)
            dump_step(step), step = &steps[made < count - 1 ? made++ : made - 1];
        memset(step, 0, sizeof *step);
        if (!diff_chance(&random, RUN_ON))
            task = (uint8_t)diff_roll(&random, DIFF_TASKS);
        step->task = task;
        step->kind = some_kind(&random, total);
        step->look = diff_chance(&random, 75);
        step->fd = step->fd2 = DIFF_HERE;
        if (diff_kinds[step->kind].choose)
            diff_kinds[step->kind].choose(&random, step);
        remember(&memory, &random, step->path);
        remember(&memory, &random, step->path2);
    }
    dump_step(&steps[made++]);
    return made;
}
