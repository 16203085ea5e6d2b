/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "core/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct error_row {
    int32_t number; /* ours, which is Linux's */
    int32_t host;
    const char *name;
    const char *text;
};

#define ROW(name, text)                                                                                                \
    {                                                                                                                  \
        VRIFT_##name, name, #name, text                                                                                \
    }

static const struct error_row rows[] = {
    ROW(EPERM, "operation not permitted"),
    ROW(ENOENT, "no such file or directory"),
    ROW(EINTR, "interrupted system call"),
    ROW(EIO, "input/output error"),
    ROW(ENXIO, "no such device or address"),
    ROW(E2BIG, "argument list too long"),
    ROW(ENOEXEC, "exec format error"),
    ROW(EBADF, "bad file descriptor"),
    ROW(ECHILD, "no child processes"),
    ROW(EAGAIN, "resource temporarily unavailable"),
    ROW(ENOMEM, "cannot allocate memory"),
    ROW(EACCES, "permission denied"),
    ROW(EFAULT, "bad address"),
    ROW(ENOTBLK, "block device required"),
    ROW(EBUSY, "device or resource busy"),
    ROW(EEXIST, "file exists"),
    ROW(EXDEV, "invalid cross-device link"),
    ROW(ENODEV, "no such device"),
    ROW(ENOTDIR, "not a directory"),
    ROW(EISDIR, "is a directory"),
    ROW(EINVAL, "invalid argument"),
    ROW(ENFILE, "too many open files in system"),
    ROW(EMFILE, "too many open files"),
    ROW(ENOTTY, "not supported by this kind of file"),
    ROW(ETXTBSY, "text file busy"),
    ROW(EFBIG, "file too large"),
    ROW(ENOSPC, "no space left on device"),
    ROW(ESPIPE, "illegal seek"),
    ROW(EROFS, "read-only file system"),
    ROW(EMLINK, "too many links"),
    ROW(EPIPE, "broken pipe"),
    ROW(EDOM, "numerical argument out of domain"),
    ROW(ERANGE, "numerical result out of range"),
    ROW(EDEADLK, "resource deadlock avoided"),
    ROW(ENAMETOOLONG, "file name too long"),
    ROW(ENOLCK, "no locks available"),
    ROW(ENOSYS, "function not implemented"),
    ROW(ENOTEMPTY, "directory not empty"),
    ROW(ELOOP, "too many levels of symbolic links"),
    ROW(ENODATA, "no data available"),
    ROW(EOVERFLOW, "value too large for defined data type"),
    ROW(EPROTO, "protocol error"),
    ROW(EBADMSG, "bad message"),
    ROW(EILSEQ, "invalid or incomplete multibyte or wide character"),
    ROW(EUSERS, "too many users"),
    ROW(EOPNOTSUPP, "not supported"),
    ROW(ENOBUFS, "no buffer space available"),
    ROW(ETIMEDOUT, "connection timed out"),
    ROW(ECONNREFUSED, "connection refused"),
    ROW(EALREADY, "operation already in progress"),
    ROW(EINPROGRESS, "operation now in progress"),
    ROW(ESTALE, "the file changed meanwhile"),
    ROW(EUCLEAN, "stored data is damaged"),
    ROW(EDQUOT, "disk quota exceeded"),
    ROW(ECANCELED, "operation canceled"),
};

static const struct error_row *find_row(int64_t error)
{
    int64_t number = error < 0 ? -error : error;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].number == number)
            return &rows[i];
    return NULL;
}

static _Thread_local struct vrift_error_detail published;

const char *vrift_err_name(int64_t error)
{
    const struct error_row *row = find_row(error);
    return row ? row->name : "EUNKNOWN";
}

const char *vrift_err_str(int64_t error)
{
    if (error == 0)
        return "success";
    const struct error_row *row = find_row(error);
    return row ? row->text : "unknown error";
}

int32_t vrift_err_to_host_errno(int64_t error)
{
    const struct error_row *row = find_row(error);
    return row ? row->host : EIO;
}

int32_t vrift_err_from_host_errno(int32_t host_errno)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].host == host_errno)
            return -rows[i].number;
    return -VRIFT_EIO;
}

int32_t vrift_error_detail(struct vrift_error_detail *out)
{
    if (!out)
        return -VRIFT_EINVAL;
    *out = published;
    return 0;
}

/* Keeps the end of a text that does not fit: the end of a path says more than its start. */
static void copy_tail(char *to, size_t size, const char *from)
{
    size_t length = strlen(from);
    if (length < size)
        memcpy(to, from, length + 1);
    else
        snprintf(to, size, "...%s", from + length - (size - 4));
}

int32_t vr_error_fill(struct vrift_error_detail *detail, int32_t error, const char *operation, const char *path,
                      const char *reason)
{
    if (!detail || detail->error)
        return error;
    detail->error = error;
    detail->native = error < 0 ? vrift_err_to_host_errno(error) : 0;
    snprintf(detail->operation, sizeof detail->operation, "%s", operation ? operation : "");
    copy_tail(detail->path, sizeof detail->path, path ? path : "");
    snprintf(detail->reason, sizeof detail->reason, "%s", reason ? reason : "");
    return error;
}

int32_t vr_error_publish(const struct vrift_error_detail *detail)
{
    if (detail)
        published = *detail;
    else
        published.error = 0;
    return detail ? detail->error : 0;
}
