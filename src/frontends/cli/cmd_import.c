/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vrift/error.h>
#include <vrift/store.h>

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/locate.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/report.h"

enum { NAME, TIMELESS, JOBS };
static const struct vr_option options[] = {
    [NAME] = {"name", 0, "REF", "make REF stand for the snapshot"},
    [TIMELESS] = {"timeless", 0, NULL, "leave times out: trees of equal content get one id"},
    [JOBS] = {"jobs", 'j', "N", "threads; default: processors, at most 8"},
    {NULL, 0, NULL, NULL},
};

/* Refuses what is no readable directory before a store is made for it, and a tree that holds the store itself. */
static int check_source(const struct vr_arguments *arguments, const char *dir)
{
    char store[VRIFT_PATH_MAX];
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return vr_report_errno(arguments, dir, errno);
    close(fd);
    if (!vr_locate_store_path(arguments, store, sizeof store))
        return 0; /* opening the store says so */
    int status = 0;
    char *real_store = realpath(store, NULL), *real_dir = realpath(dir, NULL);
    size_t length = real_dir ? strlen(real_dir) : 0;
    if (real_store && real_dir && strncmp(real_store, real_dir, length) == 0 &&
        (real_store[length] == '/' || real_store[length] == '\0' || length == 1))
        status = vr_report_failure(arguments, dir, "the store lies inside it");
    free(real_store);
    free(real_dir);
    return status;
}

static void report(const struct vr_arguments *arguments, const struct vrift_import_result *result, double seconds)
{
    char hex[65], size[32], stored[32];
    vrift_digest_format(&result->snapshot, hex);
    if (!arguments->json) {
        vr_output_format("%s\n", hex);
    } else {
        struct vr_json json = {0};
        vr_json_object(&json, NULL);
        vr_json_text(&json, "snapshot", hex);
        vr_json_number(&json, "files", result->files);
        vr_json_number(&json, "directories", result->directories);
        vr_json_number(&json, "symlinks", result->symlinks);
        vr_json_number(&json, "specials", result->specials);
        vr_json_number(&json, "bytes", result->bytes);
        vr_json_number(&json, "stored_bytes", result->stored_bytes);
        vr_json_number(&json, "new_blobs", result->new_blobs);
        vr_json_decimal(&json, "seconds", seconds);
        vr_json_end(&json);
    }
    if (arguments->verbose || isatty(STDERR_FILENO) == 1) {
        vr_output_flush();
        fprintf(stderr, "%llu files, %llu directories, %s; added %llu contents, %s; %.2f s\n",
                (unsigned long long)result->files, (unsigned long long)result->directories,
                vr_output_size(result->bytes, size), (unsigned long long)result->new_blobs,
                vr_output_size(result->stored_bytes, stored), seconds);
    }
}

static int import(const struct vr_arguments *arguments)
{
    const char *dir = arguments->operands[0], *name = vr_options_value(arguments, NAME);
    struct vr_progress progress;
    struct vrift_import_options how = {.size = sizeof how, .progress = vr_progress_step, .payload = &progress};
    if (vr_options_value(arguments, TIMELESS))
        how.flags |= VRIFT_IMPORT_TIMELESS;
    int status = vr_options_jobs(arguments, JOBS, &how.jobs);
    if (status == 0)
        status = vr_locate_check_ref(arguments, name);
    if (status == 0)
        status = check_source(arguments, dir);
    vrift_store *store = NULL;
    if (status == 0)
        status = vr_locate_store(arguments, true, &store);
    if (status == 0) {
        struct vrift_import_result result;
        vr_progress_begin(&progress, "importing");
        int32_t error = vrift_import(store, dir, &how, &result);
        double seconds = vr_progress_end(&progress);
        if (error == 0 && name)
            error = vrift_ref_set(store, name, &result.snapshot);
        if (error)
            status = vr_report_error(arguments, dir, error);
        else
            report(arguments, &result, seconds);
    }
    vrift_store_close(store);
    return status;
}

const struct vr_command vr_cmd_import = {
    .name = "import",
    .synopses = {"import DIR [--name REF] [--timeless] [--jobs N]"},
    .summary = "store a tree and print its snapshot's id",
    .description = "Stores every file below DIR, and DIR itself, with names, contents, modes, owners,\n"
                   "times, xattrs, hard links and holes. Contents that the store has already are not\n"
                   "stored again. Prints the id of the snapshot, 64 hex digits, alone on standard output.\n"
                   "\n"
                   "The id depends on the tree alone: the same tree has the same id anywhere, at any\n"
                   "time. With --timeless it does not depend on times either, and a checkout gives every\n"
                   "file the same old time.\n"
                   "\n"
                   "A file that changes or vanishes while it is read makes the import fail; nothing is\n"
                   "published then. So does Ctrl-C.\n"
                   "\n"
                   "  $ vrift import ~/src/hello --name hello\n"
                   "  5f2c...\n",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .run = import,
};
