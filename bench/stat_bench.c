/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Attributes in process against the kernel's: the same names at depth 4, in memory, in a snapshot and in a directory
 * of the host. Sides alternate within each round; CPU time counts, as both sides only compute.
 *
 *   stat_bench TREE STORE ROUNDS     TREE and STORE must not exist; prints a JSON array
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vrift/vrift.h>

#include "support.h"

#define FAN   8 /* directories a level, files a directory */
#define NAMES (FAN * FAN * FAN * FAN)
#define CALLS (16 * NAMES)

struct name {
    char path[64];
};

/* One question asked again and again: names in the order of asking, and the answer they must get. */
struct question {
    const char *label;
    struct name *names;
    size_t count;
    int missing;
};

struct side {
    const char *label;
    vrift_task *task;
};

static void file_name(struct name *name, size_t number, const char *suffix)
{
    snprintf(name->path, sizeof(name->path), "source-%zu/module-%zu/part-%zu/file-%zu%s", number / (FAN * FAN * FAN),
             number / (FAN * FAN) % FAN, number / FAN % FAN, number % FAN, suffix);
}

/* The order is shuffled, the same in each run, so that neither side profits from neighbours. */
static struct name *shuffled(const char *suffix)
{
    struct name *names = bench_memory(NAMES, sizeof(*names));
    uint64_t state = 88172645463325252U;

    for (size_t i = 0; i < NAMES; i++)
        file_name(&names[i], i, suffix);
    for (size_t i = NAMES - 1; i > 0; i--) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        struct name keep = names[i];
        size_t other = (size_t)(state % (i + 1));
        names[i] = names[other];
        names[other] = keep;
    }
    return names;
}

/* Calls make for each directory above a file and the file itself. */
static void for_each_part(void (*make)(const char *path, int directory, void *payload), void *payload)
{
    for (size_t i = 0; i < NAMES; i++) {
        struct name name;

        file_name(&name, i, ".h");
        for (char *slash = strchr(name.path, '/'); slash; slash = strchr(slash + 1, '/')) {
            *slash = '\0';
            if (i % FAN == 0)
                make(name.path, 1, payload);
            *slash = '/';
        }
        make(name.path, 0, payload);
    }
}

static void make_on_host(const char *path, int directory, void *payload)
{
    int at = *(int *)payload;

    if (directory) {
        if (mkdirat(at, path, 0755) != 0 && errno != EEXIST)
            bench_must(-errno, path);
    } else {
        close((int)bench_must(openat(at, path, O_CREAT | O_WRONLY, 0644), path));
    }
}

static void make_in_vrift(const char *path, int directory, void *payload)
{
    vrift_task *task = payload;

    if (directory) {
        int32_t result = vrift_mkdirat(task, VRIFT_AT_FDCWD, path, 0755);
        if (result != -VRIFT_EEXIST)
            bench_must(result, path);
    } else {
        int64_t fd = vrift_openat(task, VRIFT_AT_FDCWD, path, VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644);
        bench_must(vrift_close(task, (int32_t)bench_must(fd, path)), "close");
    }
}

static vrift_task *look_into(vrift_vfs *vfs, vrift_sb *sb)
{
    vrift_ns *ns;
    vrift_task *task;

    bench_must(vrift_ns_new(vfs, sb, 0, &ns), "namespace");
    bench_must(vrift_task_new(ns, NULL, NULL, &task), "task");
    vrift_ns_unref(ns);
    vrift_sb_unref(sb);
    return task;
}

static vrift_task *memory_side(vrift_vfs *vfs)
{
    vrift_sb *sb;

    bench_must(vrift_mem_new(vfs, NULL, &sb), "mem");
    vrift_task *task = look_into(vfs, sb);
    for_each_part(make_in_vrift, task);
    return task;
}

static vrift_task *snapshot_side(vrift_vfs *vfs, const char *tree, const char *path)
{
    struct vrift_store_options options = {.size = sizeof(options), .flags = VRIFT_STORE_CREATE};
    struct vrift_import_result imported;
    vrift_store *store;
    vrift_snapshot *snapshot;
    vrift_sb *sb;

    bench_must(vrift_store_open(path, &options, &store), "store");
    bench_must(vrift_import(store, tree, NULL, &imported), "import");
    bench_must(vrift_snapshot_open(store, &imported.snapshot, &snapshot), "snapshot");
    bench_must(vrift_cas_new(vfs, snapshot, &sb), "cas");
    vrift_snapshot_unref(snapshot);
    vrift_store_close(store);
    return look_into(vfs, sb);
}

/* Nanoseconds of CPU time a call. The answer of each call is checked: a fast wrong answer is no result. */
static double ask_vrift(vrift_task *task, const struct question *question)
{
    int32_t expected = question->missing ? -VRIFT_ENOENT : 0;
    struct vrift_stat out;
    uint64_t start = bench_cpu();

    for (size_t i = 0, n = 0; i < CALLS; i++, n = n + 1 == question->count ? 0 : n + 1) {
        if (vrift_statat(task, VRIFT_AT_FDCWD, question->names[n].path, 0, &out) != expected)
            bench_must(-VRIFT_EIO, question->names[n].path);
    }
    return (double)(bench_cpu() - start) / CALLS;
}

static double ask_kernel(const struct question *question)
{
    int expected = question->missing ? -1 : 0;
    struct stat out;
    uint64_t start = bench_cpu();

    for (size_t i = 0, n = 0; i < CALLS; i++, n = n + 1 == question->count ? 0 : n + 1) {
        if (fstatat(AT_FDCWD, question->names[n].path, &out, 0) != expected)
            bench_must(-VRIFT_EIO, question->names[n].path);
    }
    return (double)(bench_cpu() - start) / CALLS;
}

static void compare(const struct question *question, const struct side *side, size_t rounds, int last)
{
    double *ours = bench_memory(rounds, sizeof(*ours)), *kernel = bench_memory(rounds, sizeof(*kernel));

    ask_vrift(side->task, question);
    ask_kernel(question);
    for (size_t i = 0; i < rounds; i++) {
        if (i % 2)
            kernel[i] = ask_kernel(question);
        ours[i] = ask_vrift(side->task, question);
        if (i % 2 == 0)
            kernel[i] = ask_kernel(question);
    }
    printf("{\"case\": \"%s\", \"subject\": \"%s\", \"subject_ns\": %.1f, \"kernel_ns\": %.1f, \"rounds\": %zu}%s\n",
           question->label, side->label, bench_median(ours, rounds), bench_median(kernel, rounds), rounds,
           last ? "" : ",");
    free(ours);
    free(kernel);
}

int main(int argc, char **argv)
{
    if (argc != 4 || atoi(argv[3]) < 1) {
        fprintf(stderr, "usage: stat_bench TREE STORE ROUNDS\n");
        return 2;
    }
    if (mkdir(argv[1], 0755) != 0)
        bench_must(-errno, argv[1]);
    int tree = (int)bench_must(open(argv[1], O_RDONLY | O_DIRECTORY), argv[1]);
    for_each_part(make_on_host, &tree);

    vrift_vfs *vfs;
    bench_must(vrift_vfs_new(NULL, &vfs), "vfs");
    const struct vrift_vfs_options walking = {.size = sizeof(walking), .flags = VRIFT_VFS_NO_MEMO};
    vrift_vfs *walker;
    bench_must(vrift_vfs_new(&walking, &walker), "vfs");
    struct side sides[] = {{"mem", memory_side(vfs)},
                           {"cas", snapshot_side(vfs, argv[1], argv[2])},
                           {"mem without memo", memory_side(walker)}};
    const size_t side_count = sizeof(sides) / sizeof(sides[0]);
    bench_must(fchdir(tree) == 0 ? 0 : -errno, "chdir");

    struct name *present = shuffled(".h"), *missing = shuffled(".missing");
    struct question questions[] = {
        {"one file, depth 4", present, 1, 0},
        {"4096 files, depth 4", present, NAMES, 0},
        {"one missing name, depth 4", missing, 1, 1},
        {"4096 missing names, depth 4", missing, NAMES, 1},
    };
    printf("[\n");
    for (size_t q = 0; q < 4; q++)
        for (size_t s = 0; s < side_count; s++)
            compare(&questions[q], &sides[s], (size_t)atoi(argv[3]), q == 3 && s == side_count - 1);
    printf("]\n");

    for (size_t s = 0; s < side_count; s++)
        vrift_task_free(sides[s].task);
    vrift_vfs_free(walker);
    vrift_vfs_free(vfs);
    free(present);
    free(missing);
    close(tree);
    return 0;
}
