/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the questions are made of, and their order. */
#include "oracle/oracle.h"

void oracle_note(struct oracle *o, int number, const char *question, const char *format, ...)
{
    assert_true(o->count < ORACLE_MAX);
    struct oracle_answer *answer = &o->answers[o->count++];
    va_list args;
    answer->number = number;
    snprintf(answer->question, sizeof answer->question, "%s", question);
    va_start(args, format);
    vsnprintf(answer->answer, sizeof answer->answer, format, args);
    va_end(args);
}

const char *oracle_word(int64_t result)
{
    return result < 0 ? vrift_err_name(result) : "ok";
}

const char *oracle_truth(int value)
{
    return value ? "True" : "False";
}

/* What prepares a question must work on both sides. */
static void must(struct oracle *o, int64_t result, const char *what)
{
    if (result >= 0)
        return;
    print_error("%s: %s answered %s after question %d\n", o->calls->name, what, vrift_err_name(result),
                o->count ? o->answers[o->count - 1].number : 0);
    fail();
}

void oracle_fresh(struct oracle *o)
{
    oracle_as_root(o);
    must(o, o->calls->chdir(o->self, "/"), "chdir /");
    must(o, o->calls->umount(o->self, "/base", VRIFT_UMOUNT_DETACH), "umount /base");
    must(o, o->calls->mount(o->self, "/base"), "mount /base");
    must(o, o->calls->chdir(o->self, "/base"), "chdir /base");
    o->calls->umask(o->self, 022);
}

void oracle_as_user(struct oracle *o, uint32_t uid, uint32_t gid)
{
    must(o, o->calls->become(o->self, uid, gid, NULL, 0), "become");
}

void oracle_as_root(struct oracle *o)
{
    oracle_as_user(o, 0, 0);
}

void oracle_touch(struct oracle *o, const char *path, const char *text)
{
    int64_t fd = o->calls->openat(o->self, AT, path, VRIFT_O_CREAT | VRIFT_O_WRONLY, 0644);
    must(o, fd, path);
    if (*text)
        must(o, o->calls->write(o->self, (int)fd, text, strlen(text)), path);
    o->calls->close(o->self, (int)fd);
}

int64_t oracle_open_close(struct oracle *o, const char *path, uint64_t flags, uint32_t mode)
{
    int64_t fd = o->calls->openat(o->self, AT, path, flags, mode);
    if (fd >= 0)
        o->calls->close(o->self, (int)fd);
    return fd;
}

int64_t oracle_stat(struct oracle *o, const char *path)
{
    struct vrift_stat attr;
    return o->calls->statat(o->self, AT, path, 0, &attr);
}

uint32_t oracle_mode(struct oracle *o, const char *path)
{
    struct vrift_stat attr = {.mode = 0};
    must(o, o->calls->statat(o->self, AT, path, 0, &attr), path);
    return attr.mode & 07777;
}

int64_t oracle_rename(struct oracle *o, const char *from, const char *to, uint64_t flags)
{
    return o->calls->renameat2(o->self, from, to, flags);
}

int64_t oracle_mkdir(struct oracle *o, const char *path)
{
    return o->calls->mkdirat(o->self, AT, path, 0777);
}

int64_t oracle_unlink(struct oracle *o, const char *path)
{
    return o->calls->unlinkat(o->self, AT, path, 0);
}

int64_t oracle_rmdir(struct oracle *o, const char *path)
{
    return o->calls->unlinkat(o->self, AT, path, VRIFT_AT_REMOVEDIR);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct oracle_entry *)a)->name, ((const struct oracle_entry *)b)->name);
}

void oracle_names(struct oracle *o, int fd, char *out, size_t size)
{
    enum { MAX = 64 };
    struct oracle_entry *entries = calloc(MAX, sizeof *entries);
    size_t count = 0;
    int64_t got;
    assert_non_null(entries);
    while ((got = o->calls->getdents(o->self, fd, 4096, entries + count, MAX - count)) > 0)
        count += (size_t)got;
    if (got < 0 && got != -VRIFT_ENOENT) { /* which the kernel answers in a directory that was removed */
        snprintf(out, size, "%s", vrift_err_name(got));
    } else {
        size_t used = 0;
        qsort(entries, count, sizeof *entries, compare_names);
        out[0] = '\0';
        for (size_t i = 0; i < count; i++)
            if (strcmp(entries[i].name, ".") != 0 && strcmp(entries[i].name, "..") != 0 && used < size)
                used += (size_t)snprintf(out + used, size - used, "%s%s", used ? " " : "", entries[i].name);
    }
    free(entries);
}

int64_t oracle_text(struct oracle *o, const char *path, char *out, size_t size)
{
    int64_t fd = o->calls->openat(o->self, AT, path, VRIFT_O_RDONLY, 0);
    if (fd < 0)
        return fd;
    int64_t got = o->calls->read(o->self, (int)fd, out, size - 1);
    out[got > 0 ? got : 0] = '\0';
    o->calls->close(o->self, (int)fd);
    return got;
}

void oracle_ask_everything(struct oracle *oracle)
{
    oracle_rename_questions(oracle);
    oracle_create_questions(oracle);
    oracle_walk_questions(oracle);
    oracle_nameless_questions(oracle);
    oracle_description_questions(oracle);
    oracle_lock_questions(oracle);
    oracle_permission_questions(oracle);
    oracle_mount_questions(oracle);
    oracle_listing_questions(oracle);
    oracle_mapping_questions(oracle);
    oracle_xattr_questions(oracle);
    oracle_further_questions(oracle);
    oracle_descriptor_questions(oracle);
    oracle_time_questions(oracle);
    oracle_place_questions(oracle);
    oracle_fifo_questions(oracle);
}
