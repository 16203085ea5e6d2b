/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The dentry cache as a whole: listings with attributes, threads side by side, memory an entry, the budget.
 *
 *   cache_bench DIR ROUNDS ENTRIES     DIR must not exist; a tree of ENTRIES files is swept; prints a JSON array
 *
 * Each row has what is measured, in its unit, and what it is measured against: the kernel, one thread, or a target.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vrift/vrift.h>

#include "support.h"

#define HERE VRIFT_AT_FDCWD

static int rows;

static void row(const char *label, const char *subject, const char *peer, const char *unit, double value,
                double peer_value, const char *better, size_t samples)
{
    printf("%s{\"case\": \"%s\", \"subject\": \"%s\", \"peer\": \"%s\", \"unit\": \"%s\", \"value\": %.2f, "
           "\"peer_value\": %.2f, \"better\": \"%s\", \"samples\": %zu}",
           rows++ ? ",\n" : "", label, subject, peer, unit, value, peer_value, better, samples);
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

/* -- A directory of 100,000 names, each with its attributes --------------------------------------------------------- */

#define LISTED 100000u

static vrift_task *memory_directory(vrift_vfs *vfs)
{
    vrift_sb *sb;

    bench_must(vrift_mem_new(vfs, NULL, &sb), "mem");
    vrift_task *task = look_into(vfs, sb);
    for (unsigned i = 0; i < LISTED; i++) {
        char name[32];
        snprintf(name, sizeof(name), "file-%06u.c", i);
        int64_t fd = bench_must(vrift_openat(task, HERE, name, VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644), name);
        bench_must(vrift_close(task, (int32_t)fd), name);
    }
    return task;
}

static void host_directory(int dir)
{
    for (unsigned i = 0; i < LISTED; i++) {
        char name[32];
        snprintf(name, sizeof(name), "file-%06u.c", i);
        close((int)bench_must(openat(dir, name, O_CREAT | O_WRONLY, 0644), name));
    }
}

static double list_vrift(vrift_task *task, uint64_t flags, uint64_t *buffer, size_t room)
{
    unsigned seen = 0;
    int64_t got;
    struct vrift_stat st;
    uint64_t start = bench_cpu();
    int32_t fd = (int32_t)bench_must(vrift_openat(task, HERE, "/", VRIFT_O_DIRECTORY, 0), "open");

    while ((got = bench_must(vrift_getdents(task, fd, buffer, room, flags), "getdents")) > 0) {
        for (int64_t at = 0; at < got;) {
            const struct vrift_dirent *entry = (const void *)((const char *)buffer + at);
            const struct vrift_stat *attr = vrift_dirent_stat(entry);
            if (!attr) {
                bench_must(vrift_statat(task, fd, vrift_dirent_name(entry), VRIFT_AT_SYMLINK_NOFOLLOW, &st), "stat");
                attr = &st;
            }
            seen += attr->nlink == 1;
            at += entry->record_length;
        }
    }
    vrift_close(task, fd);
    double took = (double)(bench_cpu() - start) / LISTED;
    bench_must(seen == LISTED ? 0 : -VRIFT_EIO, "listing");
    return took;
}

static double list_kernel(int dir)
{
    unsigned seen = 0;
    uint64_t start = bench_cpu();
    int fd = (int)bench_must(openat(dir, ".", O_RDONLY | O_DIRECTORY), "open");
    DIR *stream = fdopendir(fd);

    for (struct dirent *entry; (entry = readdir(stream));) {
        struct stat st;
        bench_must(fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW), entry->d_name);
        seen += st.st_nlink == 1;
    }
    closedir(stream);
    double took = (double)(bench_cpu() - start) / LISTED;
    bench_must(seen == LISTED ? 0 : -VRIFT_EIO, "listing");
    return took;
}

static void listings(const char *path, size_t rounds)
{
    double *with = bench_memory(rounds, sizeof(*with)), *each = bench_memory(rounds, sizeof(*each)),
           *kernel = bench_memory(rounds, sizeof(*kernel));
    const size_t room = 1 << 16;
    uint64_t *buffer = bench_memory(room / 8, 8);
    struct vrift_vfs_options options = {.size = sizeof(options), .cache_bytes = (uint64_t)256 << 20};
    vrift_vfs *vfs;

    int dir = (int)bench_must(open(path, O_RDONLY | O_DIRECTORY), path);
    host_directory(dir);
    bench_must(vrift_vfs_new(&options, &vfs), "vfs");
    vrift_task *task = memory_directory(vfs);
    list_vrift(task, VRIFT_GETDENTS_STAT, buffer, room);
    list_kernel(dir);
    for (size_t i = 0; i < rounds; i++) {
        if (i % 2)
            kernel[i] = list_kernel(dir);
        with[i] = list_vrift(task, VRIFT_GETDENTS_STAT, buffer, room);
        each[i] = list_vrift(task, 0, buffer, room);
        if (i % 2 == 0)
            kernel[i] = list_kernel(dir);
    }
    double peer = bench_median(kernel, rounds);
    row("list 100,000 names with attributes", "vrift_getdents with attributes on mem", "kernel getdents and fstatat",
        "ns", bench_median(with, rounds), peer, "lower", rounds);
    row("list 100,000 names, stat each", "vrift_getdents and vrift_statat on mem", "kernel getdents and fstatat", "ns",
        bench_median(each, rounds), peer, "lower", rounds);
    vrift_task_free(task);
    vrift_vfs_free(vfs);
    close(dir);
    free(with);
    free(each);
    free(kernel);
    free(buffer);
}

/* -- A file system that costs no memory: DIR/FILE, a thousand files a directory ---------------------------------------- */

#define A_DIRECTORY 1000u

static void numbers_attr(uint32_t number, int is_dir, struct vrift_stat *out)
{
    memset(out, 0, sizeof(*out));
    out->mask = VRIFT_STAT_BASIC | VRIFT_STAT_BTIME | VRIFT_STAT_VERSION;
    out->ino = number;
    out->mode = is_dir ? VRIFT_S_IFDIR | 0755 : VRIFT_S_IFREG | 0644;
    out->nlink = is_dir ? 2 : 1;
    out->size = number;
    out->blocks = ((uint64_t)number + 4095) / 4096 * 8;
    out->version = 1;
    out->blksize = 4096;
    out->atime.sec = out->mtime.sec = out->ctime.sec = out->btime.sec = 1700000000 + number;
}

/* The root is 1, directory d is 2 + d * 1001, its files follow. */
static uint32_t number_of(const struct vrift_node *node)
{
    uint32_t number;
    memcpy(&number, node->key.bytes, sizeof(number));
    return number;
}

static void numbers_entry(uint32_t number, int is_dir, struct vrift_entry *out)
{
    memset(&out->node, 0, sizeof(out->node));
    memcpy(out->node.key.bytes, &number, sizeof(number));
    out->node.key.length = 8;
    numbers_attr(number, is_dir, &out->attr);
}

static int is_directory(uint32_t number)
{
    return number == 1 || (number - 2) % (A_DIRECTORY + 1) == 0;
}

static int32_t numbers_root(void *self, struct vrift_entry *out)
{
    (void)self;
    numbers_entry(1, 1, out);
    return 0;
}

static int32_t numbers_walk(void *self, const struct vrift_node *dir, const struct vrift_name *names, uint32_t count,
                            struct vrift_entry *entries, uint32_t *done)
{
    uint32_t at = number_of(dir);
    (void)self;
    *done = 0;
    while (*done < count && is_directory(at)) {
        const char *digits = strchr(names[*done].bytes, '-');
        unsigned long number = digits ? strtoul(digits + 1, NULL, 10) : ~0UL;
        if (number > 10000000)
            return -VRIFT_ENOENT;
        at = at == 1 ? 2 + (uint32_t)number * (A_DIRECTORY + 1) : at + 1 + (uint32_t)number;
        numbers_entry(at, is_directory(at), &entries[*done]);
        ++*done;
    }
    return *done ? 0 : -VRIFT_ENOTDIR;
}

static int32_t numbers_getattr(void *self, const struct vrift_node *node, uint64_t mask, struct vrift_stat *out)
{
    (void)self, (void)mask;
    numbers_attr(number_of(node), is_directory(number_of(node)), out);
    return 0;
}

static int32_t numbers_readdir(void *self, const struct vrift_node *dir, uint64_t cookie, uint64_t mask,
                               vrift_emit_fn emit, void *payload, uint32_t *end)
{
    (void)self, (void)dir, (void)cookie, (void)mask, (void)emit, (void)payload;
    *end = 1;
    return 0;
}

static const struct vrift_backend_ops numbers = {
    .size = sizeof(numbers),
    .name = "numbers",
    .root = numbers_root,
    .walk = numbers_walk,
    .getattr = numbers_getattr,
    .readdir = numbers_readdir,
};

static void number_path(char path[64], uint32_t file)
{
    snprintf(path, 64, "module-%u/source-%u.c", file / A_DIRECTORY, file % A_DIRECTORY);
}

/* -- Memory ---------------------------------------------------------------------------------------------------------- */

static _Atomic int64_t allocated;

static void *VRIFT_CALLBACK counted_malloc(size_t size, void *payload)
{
    void *memory = malloc(size);
    (void)payload;
    atomic_fetch_add(&allocated, memory ? (int64_t)malloc_usable_size(memory) : 0);
    return memory;
}

static void VRIFT_CALLBACK counted_free(void *memory, void *payload)
{
    (void)payload;
    atomic_fetch_sub(&allocated, memory ? (int64_t)malloc_usable_size(memory) : 0);
    free(memory);
}

static void *VRIFT_CALLBACK counted_realloc(void *memory, size_t size, void *payload)
{
    int64_t before = memory ? (int64_t)malloc_usable_size(memory) : 0;
    void *grown = realloc(memory, size);
    (void)payload;
    if (grown)
        atomic_fetch_add(&allocated, (int64_t)malloc_usable_size(grown) - before);
    return grown;
}

static vrift_task *counted_world(vrift_vfs **vfs, uint64_t budget)
{
    const struct vrift_allocator allocator = {sizeof(allocator), 0,           NULL, counted_malloc,
                                              counted_realloc,   counted_free};
    struct vrift_vfs_options options = {.size = sizeof(options), .cache_bytes = budget, .allocator = &allocator};
    vrift_sb *sb;

    bench_must(vrift_vfs_new(&options, vfs), "vfs");
    bench_must(vrift_sb_new(*vfs, &numbers, NULL, &sb), "sb");
    return look_into(*vfs, sb);
}

/* All that the allocator gave out while 200,000 files became cached, tables and slack included. */
static void bytes_an_entry(void)
{
    const uint32_t files = 200000;
    vrift_vfs *vfs;
    struct vrift_stat st;
    struct vrift_vfs_stats before, after;
    vrift_task *task = counted_world(&vfs, (uint64_t)1 << 30);

    bench_must(vrift_vfs_stats(vfs, &before), "counters");
    int64_t start = atomic_load(&allocated);
    for (uint32_t i = 0; i < files; i++) {
        char path[64];
        number_path(path, i);
        bench_must(vrift_statat(task, HERE, path, 0, &st), path);
    }
    bench_must(vrift_vfs_stats(vfs, &after), "counters");
    double each = (double)(atomic_load(&allocated) - start) / (double)(after.dentries - before.dentries);
    row("memory of a cached entry, by the allocator", "dentry, inode and tables", "target", "bytes", each, 192, "lower",
        1);
    vrift_task_free(task);
    vrift_vfs_free(vfs);
}

/* How far from the budget the memory is while files are looked at, from when the cache was first full. */
static void budget_held(uint32_t files)
{
    const uint64_t budget = (uint64_t)64 << 20;
    vrift_vfs *vfs;
    struct vrift_stat st;
    double worst = 0;
    int full = 0;
    int64_t start = atomic_load(&allocated);
    vrift_task *task = counted_world(&vfs, budget);

    for (uint32_t i = 0; i < files; i++) {
        char path[64];
        number_path(path, i);
        bench_must(vrift_statat(task, HERE, path, 0, &st), path);
        double off = (double)(atomic_load(&allocated) - start) / (double)budget - 1;
        struct vrift_vfs_stats now;
        if (!full && i % 1024 == 0) {
            bench_must(vrift_vfs_stats(vfs, &now), "counters");
            full = now.evicted > 0;
        }
        if (full && (off < 0 ? -off : off) > (worst < 0 ? -worst : worst))
            worst = off;
    }
    char label[64];
    snprintf(label, sizeof(label), "budget over %u files, furthest off", files);
    row(label, full ? "64 MiB of cache" : "64 MiB of cache, NEVER FULL", "target of 10 percent", "percent",
        100 * (worst < 0 ? -worst : worst) + 0.001, 10, "lower", 1);
    vrift_task_free(task);
    vrift_vfs_free(vfs);
}

/* -- Threads --------------------------------------------------------------------------------------------------------- */

#define PATHS 512u
#define CALLS (1u << 20)

struct looker {
    vrift_task *task;
    pthread_barrier_t *barrier;
    double wall, cpu;
};

static char thread_paths[PATHS][64];

static void *look(void *payload)
{
    struct looker *looker = payload;
    struct vrift_stat st;

    pthread_barrier_wait(looker->barrier);
    uint64_t wall = bench_now(), cpu = bench_cpu();
    for (unsigned i = 0; i < CALLS; i++)
        bench_must(vrift_statat(looker->task, HERE, thread_paths[i % PATHS], 0, &st), "stat");
    looker->cpu = (double)(bench_cpu() - cpu);
    looker->wall = (double)(bench_now() - wall);
    return NULL;
}

/* Calls a second of so many threads together: by the clock, and as it would be if each had a processor of its own. */
static void run_threads(vrift_task **tasks, unsigned count, double *by_clock, double *by_cpu)
{
    struct looker lookers[2];
    pthread_t threads[2];
    pthread_barrier_t barrier;
    double wall = 0;

    pthread_barrier_init(&barrier, NULL, count);
    for (unsigned i = 0; i < count; i++) {
        lookers[i] = (struct looker){.task = tasks[i], .barrier = &barrier};
        bench_must(-pthread_create(&threads[i], NULL, look, &lookers[i]), "thread");
    }
    *by_cpu = 0;
    for (unsigned i = 0; i < count; i++) {
        pthread_join(threads[i], NULL);
        *by_cpu += CALLS / lookers[i].cpu * 1e9;
        wall = lookers[i].wall > wall ? lookers[i].wall : wall;
    }
    *by_clock = count * (double)CALLS / wall * 1e9;
    pthread_barrier_destroy(&barrier);
}

static void two_threads(size_t rounds)
{
    double *one[2], *two[2];
    vrift_vfs *vfs;
    vrift_task *tasks[2];

    for (int i = 0; i < 2; i++) {
        one[i] = bench_memory(rounds, sizeof(double));
        two[i] = bench_memory(rounds, sizeof(double));
    }
    tasks[0] = counted_world(&vfs, (uint64_t)64 << 20);
    bench_must(vrift_task_fork(tasks[0], &tasks[1]), "fork");
    for (unsigned i = 0; i < PATHS; i++)
        number_path(thread_paths[i], i * 37);
    run_threads(tasks, 2, &two[0][0], &two[1][0]);
    for (size_t i = 0; i < rounds; i++) {
        run_threads(tasks, 1, &one[0][i], &one[1][i]);
        run_threads(tasks, 2, &two[0][i], &two[1][i]);
    }
    row("stat by two threads, by the clock", "two threads", "one thread", "calls/s", bench_median(two[0], rounds),
        bench_median(one[0], rounds), "higher", rounds);
    row("stat by two threads, by processor time", "two threads", "one thread", "calls/s", bench_median(two[1], rounds),
        bench_median(one[1], rounds), "higher", rounds);
    for (int i = 0; i < 2; i++) {
        vrift_task_free(tasks[i]);
        free(one[i]);
        free(two[i]);
    }
    vrift_vfs_free(vfs);
}

int main(int argc, char **argv)
{
    if (argc != 4 || atoi(argv[2]) < 1 || atoi(argv[3]) < 1) {
        fprintf(stderr, "usage: cache_bench DIR ROUNDS ENTRIES\n");
        return 2;
    }
    if (mkdir(argv[1], 0755) != 0)
        bench_must(-errno, argv[1]);
    printf("[\n");
    listings(argv[1], (size_t)atoi(argv[2]));
    two_threads((size_t)atoi(argv[2]));
    bytes_an_entry();
    budget_held((uint32_t)atoi(argv[3]));
    printf("\n]\n");
    return 0;
}
