/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/restore.h"

#include "core/alloc.h"
#include "core/copyin.h"
#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int32_t host_error(void)
{
    return vrift_err_from_host_errno(errno);
}

/* -- Paths for messages ------------------------------------------------------------------------------------------- */

/* base/.../dir/name, put together from its end: the deepest name is the one at hand. */
static char *path_of(const char *base, const struct vr_restore_dir *dir, const char *name)
{
    size_t length = strlen(base) + 1 + (name ? strlen(name) + 1 : 0);
    for (const struct vr_restore_dir *at = dir; at && at->parent; at = at->parent)
        length += strlen(at->name) + 1;
    char *path = vr_alloc(NULL, length + 1);
    if (!path)
        return NULL;
    char *end = path + length;
    *end = '\0';
    if (name) {
        end -= strlen(name);
        memcpy(end, name, strlen(name));
        *--end = '/';
    }
    for (const struct vr_restore_dir *at = dir; at && at->parent; at = at->parent) {
        end -= strlen(at->name);
        memcpy(end, at->name, strlen(at->name));
        *--end = '/';
    }
    end -= strlen(base);
    memcpy(end, base, strlen(base));
    memmove(path, end, strlen(end) + 1);
    return path;
}

static int32_t fail_at(struct vr_restore *restore, const char *base, const struct vr_restore_dir *dir, const char *name,
                       int32_t error, const char *reason)
{
    if (vr_crew_stopped(&restore->crew) || error == -VRIFT_ECANCELED)
        return error;
    char *path = path_of(base, dir, name);
    vr_crew_fail(&restore->crew, error, restore->operation, path ? path : name, reason);
    vr_alloc_free(NULL, path);
    return error;
}

int32_t vr_restore_fail(struct vr_restore *restore, const struct vr_restore_dir *dir, const char *name, int32_t error,
                        const char *reason)
{
    return fail_at(restore, restore->dest, dir, name, error, reason);
}

int32_t vr_restore_fail_source(struct vr_restore *restore, const struct vr_restore_dir *dir, const char *name,
                               int32_t error, const char *reason)
{
    return fail_at(restore, restore->source, dir, name, error, reason);
}

/* -- Directories -------------------------------------------------------------------------------------------------- */

struct vr_restore_dir *vr_restore_dir_new(struct vr_restore *restore, struct vr_restore_dir *parent, const char *name,
                                          size_t length)
{
    struct vr_restore_dir *dir = vr_alloc_zero(NULL, 1, sizeof *dir + length + 1);
    if (!dir)
        return NULL;
    dir->restore = restore;
    dir->refs = 1;
    dir->unfinished = 1;
    dir->fd = dir->source_fd = -1;
    memcpy(dir->name, name, length);
    if (parent) {
        parent->refs++;
        parent->unfinished++;
        dir->parent = parent;
    }
    return dir;
}

void vr_restore_push(struct vr_restore_dir *dir)
{
    vr_crew_push(&dir->restore->crew, &dir->job);
}

static void drop(struct vr_restore_dir *dir)
{
    while (dir && --dir->refs == 0) {
        struct vr_restore_dir *parent = dir->parent;
        vr_alloc_free(NULL, dir);
        dir = parent;
    }
}

/* One reason less to keep it open; the last one finishes it. */
static void settle(struct vr_restore_dir *dir)
{
    struct vr_restore *restore = dir->restore;
    if (--dir->unfinished)
        return;
    if (dir->fd >= 0 && !vr_crew_stopped(&restore->crew)) {
        struct vr_restore_xattrs xattrs = restore->xattrs(dir);
        int32_t result = vr_restore_finish_file(restore, dir->fd, &dir->stat, &xattrs);
        if (result)
            vr_restore_fail(restore, dir, NULL, result, "its attributes cannot be restored");
    }
    if (dir->fd >= 0 && dir->parent) /* the root's is the target's */
        close(dir->fd);
    if (dir->source_fd >= 0)
        close(dir->source_fd);
    dir->fd = dir->source_fd = -1;
}

static int32_t make_and_open(struct vr_restore_dir *dir)
{
    if (mkdirat(dir->parent->fd, dir->name, 0700) < 0)
        return host_error();
    dir->fd = openat(dir->parent->fd, dir->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return dir->fd < 0 ? host_error() : 0;
}

/* Opens both sides and lets go of the parent. */
static int32_t open_directory(struct vr_restore_dir *dir)
{
    struct vr_restore *restore = dir->restore;
    int32_t result = -VRIFT_ECANCELED;
    if (!vr_crew_stopped(&restore->crew)) {
        result = restore->open_source ? restore->open_source(dir) : 0;
        if (!result && dir->parent && (result = make_and_open(dir)))
            vr_restore_fail(restore, dir, NULL, result, NULL);
    }
    if (dir->parent)
        settle(dir->parent);
    return result;
}

static void run_directory(struct vr_crew *crew, struct vr_crew_job *job)
{
    struct vr_restore_dir *dir = (struct vr_restore_dir *)job;
    (void)crew;
    if (open_directory(dir) == 0 && dir->restore->fill(dir) == 0)
        dir->restore->directories++;
    settle(dir);
    drop(dir);
}

/* -- The whole ---------------------------------------------------------------------------------------------------- */

static int32_t check_options(const struct vrift_checkout_options *options, struct vrift_checkout_options *own)
{
    int32_t result = VR_COPYIN(own, options);
    if (!result && ((own->flags & ~VRIFT_CHECKOUT_NO_OWNERS) || own->link > VRIFT_LINK_COPY || own->reserved))
        result = -VRIFT_EINVAL;
    return result;
}

static const char *reason_of_target(int32_t error)
{
    return error == -VRIFT_ENOTEMPTY ? "the directory is not empty"
           : error == -VRIFT_EEXIST  ? "something is there already"
                                     : NULL;
}

int32_t vr_restore_init(struct vr_restore *restore, const char *operation, const char *dest,
                        const struct vrift_checkout_options *options)
{
    struct vrift_checkout_options own;
    struct vrift_error_detail none = {0};
    memset(restore, 0, sizeof *restore);
    restore->staging = restore->target.parent = restore->target.root = -1;
    restore->operation = operation;
    restore->dest = dest;
    int32_t result = check_options(options, &own);
    if (!result)
        result = vr_crew_init(&restore->crew, own.jobs, &restore->detail);
    if (result) {
        vr_error_fill(&none, result, operation, dest, NULL);
        vr_error_publish(&none);
        return result;
    }
    restore->crew.run = run_directory;
    restore->crew.progress = own.progress;
    restore->crew.payload = own.payload;
    restore->ladder.link = own.link;
    restore->flags = own.flags;
    result = vr_os_mutex_init(&restore->links_lock);
    if (!result) {
        result = vr_os_cond_init(&restore->links_cond);
        if (result)
            vr_os_mutex_destroy(&restore->links_lock);
    }
    if (result) {
        vr_crew_dispose(&restore->crew);
        return result;
    }
    result = vr_target_open(&restore->target, dest);
    if (result) {
        vr_crew_fail(&restore->crew, result, operation, dest, reason_of_target(result));
        return vr_restore_dispose(restore, result);
    }
    return 0;
}

/* Makes the staging directory, and learns from it what the system gives to new files. */
static int32_t make_staging(struct vr_restore *restore)
{
    struct stat st;
    int root = restore->target.root;
    int32_t result = vr_fileops_temporary_name(restore->staging_name);
    if (result)
        return result;
    if (mkdirat(root, restore->staging_name, 0777) < 0)
        return host_error();
    restore->staging = openat(root, restore->staging_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (restore->staging < 0 || fstat(restore->staging, &st) < 0)
        return host_error();
    restore->umask = ~st.st_mode & 0777;
    restore->uid = st.st_uid;
    restore->gid = st.st_gid;
    return fchmod(restore->staging, 0700) < 0 ? host_error() : 0;
}

static int32_t end_staging(struct vr_restore *restore)
{
    close(restore->staging);
    restore->staging = -1;
    return vr_fileops_remove_tree(restore->target.root, restore->staging_name);
}

static int32_t build(struct vr_restore *restore, struct vr_restore_dir *root)
{
    int32_t result = vr_target_make_root(&restore->target);
    if (!result)
        result = make_staging(restore);
    if (result) {
        drop(root);
        return vr_restore_fail(restore, NULL, NULL, result, NULL);
    }
    root->fd = restore->target.root;
    root->refs++;
    root->unfinished++; /* for us: the staging directory must go before its times are set */
    vr_restore_push(root);
    result = vr_crew_work(&restore->crew);
    if (!result) {
        result = end_staging(restore);
        if (result)
            vr_restore_fail(restore, NULL, NULL, result, "cannot remove the temporary directory in it");
    }
    settle(root);
    drop(root);
    return restore->crew.result;
}

int32_t vr_restore_tree(struct vr_restore *restore, struct vr_restore_dir *root)
{
    int32_t result = build(restore, root);
    if (!result && restore->check)
        result = restore->check(restore);
    if (result)
        return result;
    result = vr_crew_report(&restore->crew);
    if (result)
        return vr_crew_fail(&restore->crew, result, "progress", restore->dest, NULL);
    result = vr_target_publish(&restore->target);
    return result ? vr_restore_fail(restore, NULL, NULL, result, reason_of_target(result)) : 0;
}

void vr_restore_result(struct vr_restore *restore, struct vrift_checkout_result *out)
{
    *out = (struct vrift_checkout_result){
        .files = restore->files,
        .directories = restore->directories,
        .symlinks = restore->symlinks,
        .specials = restore->specials,
        .bytes = restore->bytes,
        .skipped_owners = restore->skipped_owners,
        .skipped_specials = restore->skipped_specials,
    };
    vr_fileops_rungs(&restore->ladder, &out->rungs);
}

int32_t vr_restore_dispose(struct vr_restore *restore, int32_t result)
{
    if (restore->staging >= 0)
        close(restore->staging);
    vr_target_close(&restore->target);
    free(restore->inodes);
    vr_os_cond_destroy(&restore->links_cond);
    vr_os_mutex_destroy(&restore->links_lock);
    vr_crew_dispose(&restore->crew);
    if (result)
        vr_error_fill(&restore->detail, result, restore->operation, restore->dest, NULL);
    vr_error_publish(result ? &restore->detail : NULL);
    return result;
}
