/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * vrift_import(): a directory tree read by several threads. The unit of work is a directory, or a run of files of a
 * large one. A directory's node is made by whichever thread ends the last piece of work in it, so the order in which
 * things happen leaves no trace in the result.
 */
#include "store/ingest.h"

#include "core/alloc.h"
#include "core/copyin.h"
#include "platform/fileops.h"
#include "platform/os.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define RUN       512u /* files of one directory that one thread takes at a time */
#define JOBS_MAX  64u
#define JOBS_AUTO 8u

struct directory {
    struct directory *parent;
    uint32_t slot;            /* its entry in the parent */
    _Atomic uint32_t pending; /* pieces of work left: itself, its runs, its subdirectories */
    char *path;               /* relative to the root, "" for the root; ends in NUL */
    struct directory *before; /* import's lock: in the list of all */
    struct directory *after;  /* import's lock */
    struct vr_tree tree;      /* sorted before any other thread sees it; then each entry has one writer */
};

struct task {
    struct directory *directory;
    uint32_t first; /* entries to read */
    uint32_t count; /* 0: list the directory itself */
    struct task *next;
};

struct import {
    struct vr_ingest *ingest;
    const char *base; /* what the caller named, for messages */
    int root;         /* descriptor */
    int store_root;   /* descriptor */
    uint64_t store_dev, store_ino;
    struct vr_tree_entry entry;       /* of the root; its digest is set by the thread that ends last */
    struct vr_ingest_scratch scratch; /* of that entry */

    vr_os_mutex lock;
    vr_os_cond wake;
    struct task *tasks;            /* lock: a stack, so that few directories are under way */
    struct directory *directories; /* lock: all that are not completed */
    uint32_t idle;                 /* lock: threads that wait */
    uint32_t finished;             /* lock: the root is done, or the session failed */
};

/* path is relative to the root */
static int32_t fail(struct import *import, int32_t error, const char *operation, const char *path, const char *reason)
{
    return vr_ingest_fail_at(import->ingest, error, operation, path, reason);
}

/* -- Tasks -------------------------------------------------------------------------------------------------------- */

static int32_t push(struct import *import, struct directory *directory, uint32_t first, uint32_t count)
{
    struct task *task = vr_alloc(NULL, sizeof *task);
    if (!task)
        return fail(import, -VRIFT_ENOMEM, "import", "", NULL);
    *task = (struct task){directory, first, count, NULL};
    vr_os_mutex_lock(&import->lock);
    task->next = import->tasks;
    import->tasks = task;
    if (import->idle)
        vr_os_cond_signal(&import->wake);
    vr_os_mutex_unlock(&import->lock);
    return 0;
}

static struct task *pop(struct import *import)
{
    vr_os_mutex_lock(&import->lock);
    while (!import->tasks && !import->finished) {
        import->idle++;
        vr_os_cond_wait(&import->wake, &import->lock);
        import->idle--;
    }
    struct task *task = import->finished ? NULL : import->tasks;
    if (task)
        import->tasks = task->next;
    vr_os_mutex_unlock(&import->lock);
    return task;
}

static void finish(struct import *import)
{
    vr_os_mutex_lock(&import->lock);
    import->finished = 1;
    vr_os_cond_broadcast(&import->wake);
    vr_os_mutex_unlock(&import->lock);
}

/* -- Directories -------------------------------------------------------------------------------------------------- */

static char *child_path(const struct directory *parent, uint32_t slot)
{
    struct vr_str path = VR_STR_INIT;
    if (!parent)
        return vr_alloc_string(NULL, "", 0);
    if (parent->path[0]) {
        vr_str_append_text(&path, parent->path);
        vr_str_append(&path, "/", 1);
    }
    vr_str_append(&path, parent->tree.entries[slot].name, parent->tree.entries[slot].name_length);
    if (path.failed)
        vr_str_dispose(&path);
    return path.data;
}

static struct directory *new_directory(struct import *import, struct directory *parent, uint32_t slot)
{
    struct directory *directory = vr_alloc_zero(NULL, 1, sizeof *directory);
    char *path = directory ? child_path(parent, slot) : NULL;
    if (!path) {
        vr_alloc_free(NULL, directory);
        return NULL;
    }
    directory->path = path;
    directory->parent = parent;
    directory->slot = slot;
    directory->pending = 1;
    vr_os_mutex_lock(&import->lock);
    directory->after = import->directories;
    if (directory->after)
        directory->after->before = directory;
    import->directories = directory;
    vr_os_mutex_unlock(&import->lock);
    return directory;
}

static void free_directory(struct import *import, struct directory *directory)
{
    vr_os_mutex_lock(&import->lock);
    if (directory->before)
        directory->before->after = directory->after;
    else
        import->directories = directory->after;
    if (directory->after)
        directory->after->before = directory->before;
    vr_os_mutex_unlock(&import->lock);
    vr_tree_dispose(&directory->tree);
    vr_alloc_free(NULL, directory->path);
    vr_alloc_free(NULL, directory);
}

/* Ends one piece of work in a directory; with the last, makes its node and goes on in its parent. */
static int32_t complete(struct import *import, struct directory *directory)
{
    while (--directory->pending == 0) {
        struct directory *parent = directory->parent;
        struct vr_digest digest;
        int32_t error = vr_ingest_tree(import->ingest, &directory->tree, &digest);
        if (error)
            return error;
        if (parent)
            parent->tree.entries[directory->slot].digest = digest;
        else
            import->entry.digest = digest;
        free_directory(import, directory);
        if (!parent) {
            finish(import);
            return 0;
        }
        directory = parent;
    }
    return 0;
}

/*
 * Opens a directory by its path from the root, never through a symlink. Paths may be longer than the system takes at
 * once, so they are walked in pieces.
 */
static int open_directory(const struct import *import, const char *path)
{
    int at = import->root;
    if (!*path)
        return vr_fileops_open_beneath(at, ".", O_RDONLY | O_DIRECTORY, 0, 0);
    while (*path) {
        char piece[VRIFT_PATH_MAX];
        size_t length = strlen(path);
        if (length >= sizeof piece) {
            length = sizeof piece - 1;
            while (path[length] != '/')
                length--;
        }
        memcpy(piece, path, length);
        piece[length] = '\0';
        int fd = vr_fileops_open_beneath(at, piece, O_RDONLY | O_DIRECTORY, 0, 0);
        if (at != import->root)
            close(at);
        if (fd < 0)
            return fd;
        at = fd;
        path += length;
        while (*path == '/')
            path++;
    }
    return at;
}

static int32_t add_name(const struct vr_fileops_dirent *entry, void *payload)
{
    struct vr_tree_entry empty = {.name = entry->name, .name_length = entry->length, .type = entry->type};
    return vr_tree_add(payload, &empty);
}

static int32_t list_once(int fd, struct vr_tree *tree, int timeless)
{
    struct vrift_stat before, after;
    vr_tree_dispose(tree);
    vr_tree_init(tree, timeless);
    int32_t error = vr_fileops_stat(fd, "", &before);
    if (!error)
        error = vr_fileops_readdir(fd, 0, add_name, tree);
    if (!error)
        error = vr_fileops_stat(fd, "", &after);
    if (!error && (before.mtime.sec != after.mtime.sec || before.mtime.nsec != after.mtime.nsec))
        error = -VRIFT_ESTALE;
    if (!error && vr_tree_sort(tree))
        error = -VRIFT_ESTALE; /* one name twice: it changed under the listing */
    return error;
}

static int32_t list(struct import *import, struct directory *directory, int fd)
{
    int timeless = vr_ingest_timeless(import->ingest);
    int32_t error = list_once(fd, &directory->tree, timeless);
    if (error == -VRIFT_ESTALE)
        error = list_once(fd, &directory->tree, timeless);
    if (error)
        fail(import, error, "read directory", directory->path,
             error == -VRIFT_ESTALE ? "it changed while it was read" : NULL);
    return error;
}

static int32_t refuse_store(struct import *import, int fd, const char *path)
{
    struct vrift_stat stat;
    int32_t error = vr_fileops_stat(fd, "", &stat);
    if (error)
        return fail(import, error, "read directory", path, NULL);
    if (stat.dev == import->store_dev && stat.ino == import->store_ino)
        return fail(import, -VRIFT_EINVAL, "import", path, "the store lies in the tree to be stored");
    return 0;
}

/* -- Reading ------------------------------------------------------------------------------------------------------ */

static int32_t read_entry(struct import *import, struct directory *directory, uint32_t slot, int fd,
                          struct vr_str *path, struct vr_ingest_scratch *scratch)
{
    struct vr_tree_entry *entry = &directory->tree.entries[slot], found;
    size_t start = path->length;
    vr_str_append(path, entry->name, entry->name_length);
    if (path->failed)
        return fail(import, -VRIFT_ENOMEM, "import", "", NULL);
    int32_t error = vr_ingest_file(import->ingest, fd, entry->name, entry->type, path->data, 1, scratch, &found);
    vr_str_truncate(path, start);
    if (error)
        return error;
    error = vr_tree_set(&directory->tree, slot, &found);
    if (error)
        return fail(import, error, "import", "", NULL);
    if (found.type != VRIFT_DT_DIR)
        return 0;
    struct directory *child = new_directory(import, directory, slot);
    if (!child)
        return fail(import, -VRIFT_ENOMEM, "import", "", NULL);
    directory->pending++;
    return push(import, child, 0, 0);
}

static int32_t read_run(struct import *import, struct directory *directory, int fd, uint32_t first, uint32_t count,
                        struct vr_ingest_scratch *scratch)
{
    struct vr_str path = VR_STR_INIT;
    int32_t error = 0;
    if (directory->path[0]) {
        vr_str_append_text(&path, directory->path);
        vr_str_append(&path, "/", 1);
    }
    for (uint32_t i = first; !error && i < first + count; i++) {
        error = vr_ingest_failed(import->ingest);
        if (!error)
            error = read_entry(import, directory, i, fd, &path, scratch);
    }
    vr_str_dispose(&path);
    return error;
}

/* Hands all runs but the first to whoever is free. */
static int32_t split_runs(struct import *import, struct directory *directory)
{
    int32_t error = 0;
    for (uint32_t first = RUN; !error && first < directory->tree.count; first += RUN) {
        uint32_t left = directory->tree.count - first;
        directory->pending++;
        error = push(import, directory, first, left < RUN ? left : RUN);
    }
    return error;
}

static int32_t do_task(struct import *import, const struct task *task, struct vr_ingest_scratch *scratch)
{
    struct directory *directory = task->directory;
    int fd = open_directory(import, directory->path);
    if (fd < 0)
        return fail(import, fd, "open directory", directory->path,
                    fd == -VRIFT_ENOENT ? "it vanished while the tree was read" : NULL);
    int32_t error = 0;
    uint32_t first = task->first, count = task->count;
    if (count == 0) {
        error = refuse_store(import, fd, directory->path);
        if (!error)
            error = list(import, directory, fd);
        if (!error)
            error = split_runs(import, directory);
        count = directory->tree.count < RUN ? directory->tree.count : RUN;
    }
    if (!error)
        error = read_run(import, directory, fd, first, count, scratch);
    close(fd);
    return error ? error : complete(import, directory);
}

static void *work(void *payload)
{
    struct import *import = payload;
    struct vr_ingest_scratch scratch = {0};
    struct task *task;
    while ((task = pop(import))) {
        int32_t error = do_task(import, task, &scratch);
        vr_alloc_free(NULL, task);
        if (error)
            finish(import);
    }
    vr_ingest_scratch_dispose(&scratch);
    return NULL;
}

/* -- The whole ---------------------------------------------------------------------------------------------------- */

static uint32_t choose_jobs(uint32_t wanted)
{
    uint32_t jobs = wanted ? wanted : vr_os_processors();
    uint32_t most = wanted ? JOBS_MAX : JOBS_AUTO;
    return jobs < most ? jobs : most;
}

/* Works with as many threads as can be had; this one is the first. */
static void run(struct import *import, uint32_t jobs)
{
    vr_os_thread threads[JOBS_MAX];
    uint32_t started = 0;
    while (started + 1 < jobs && vr_os_thread_start(&threads[started], work, import) == 0)
        started++;
    work(import);
    for (uint32_t i = 0; i < started; i++)
        vr_os_thread_join(threads[i]);
}

/* What a failure left: nobody works any more. */
static void free_rest(struct import *import)
{
    while (import->tasks) {
        struct task *next = import->tasks->next;
        vr_alloc_free(NULL, import->tasks);
        import->tasks = next;
    }
    while (import->directories)
        free_directory(import, import->directories);
}

static int32_t read_all(struct import *import, uint32_t jobs)
{
    struct vrift_stat store;
    struct vr_ingest *ingest = import->ingest;
    int32_t error = vr_fileops_stat(import->store_root, "", &store);
    if (error)
        return vr_ingest_fail(ingest, error, "import", import->base, NULL);
    import->store_dev = store.dev;
    import->store_ino = store.ino;
    error = vr_ingest_file(ingest, import->root, ".", VRIFT_DT_DIR, NULL, 0, &import->scratch, &import->entry);
    if (error)
        return error;
    struct directory *root = new_directory(import, NULL, 0);
    if (!root)
        return fail(import, -VRIFT_ENOMEM, "import", "", NULL);
    error = push(import, root, 0, 0);
    if (!error)
        run(import, jobs);
    free_rest(import);
    return vr_ingest_failed(ingest);
}

static int32_t import_opened(vrift_store *store, struct import *import, const struct vrift_import_options *options,
                             struct vrift_import_result *out, struct vrift_error_detail *detail)
{
    int32_t error = vr_ingest_begin(store, options, &import->ingest, detail);
    if (error)
        return error;
    vr_ingest_name(import->ingest, import->base);
    import->store_root = store->root;
    error = read_all(import, choose_jobs(options->jobs));
    if (error)
        vr_ingest_abort(import->ingest);
    else
        error = vr_ingest_finish(import->ingest, &import->entry, out);
    return error;
}

static int32_t import_directory(vrift_store *store, const char *dir, const struct vrift_import_options *options,
                                struct vrift_import_result *out, struct vrift_error_detail *detail)
{
    struct import import = {.base = dir};
    import.root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (import.root < 0)
        return vr_error_fill(detail, vrift_err_from_host_errno(errno), "open directory", dir, NULL);
    int32_t error = vr_os_mutex_init(&import.lock);
    if (!error) {
        error = vr_os_cond_init(&import.wake);
        if (!error) {
            error = import_opened(store, &import, options, out, detail);
            vr_os_cond_destroy(&import.wake);
        }
        vr_os_mutex_destroy(&import.lock);
    }
    vr_ingest_scratch_dispose(&import.scratch);
    close(import.root);
    return error;
}

int32_t vrift_import(vrift_store *store, const char *dir, const struct vrift_import_options *options,
                     struct vrift_import_result *out)
{
    struct vrift_import_options ours;
    struct vrift_import_result result;
    struct vrift_error_detail detail = {0};
    int32_t error = VR_COPYIN(&ours, options);
    if (error)
        return error;
    if (!store || !dir || !out || (ours.flags & ~VRIFT_IMPORT_TIMELESS))
        return -VRIFT_EINVAL;
    error = import_directory(store, dir, &ours, &result, &detail);
    vr_error_publish(&detail);
    if (!error)
        *out = result;
    return error;
}
