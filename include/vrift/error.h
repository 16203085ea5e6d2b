/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Errors: one set of numbers on every operating system, Linux's (asm-generic/errno.h), returned negative. One value
 * thus serves C, Python, Rust, the FUSE protocol and a trace.
 */
#ifndef VRIFT_ERROR_H
#define VRIFT_ERROR_H

#include <vrift/common.h>

#define VRIFT_EPERM        1
#define VRIFT_ENOENT       2
#define VRIFT_EINTR        4
#define VRIFT_EIO          5
#define VRIFT_ENXIO        6
#define VRIFT_E2BIG        7
#define VRIFT_ENOEXEC      8
#define VRIFT_EBADF        9
#define VRIFT_ECHILD       10
#define VRIFT_EAGAIN       11
#define VRIFT_ENOMEM       12
#define VRIFT_EACCES       13
#define VRIFT_EFAULT       14
#define VRIFT_ENOTBLK      15
#define VRIFT_EBUSY        16
#define VRIFT_EEXIST       17
#define VRIFT_EXDEV        18
#define VRIFT_ENODEV       19
#define VRIFT_ENOTDIR      20
#define VRIFT_EISDIR       21
#define VRIFT_EINVAL       22
#define VRIFT_ENFILE       23
#define VRIFT_EMFILE       24
#define VRIFT_ENOTTY       25
#define VRIFT_ETXTBSY      26
#define VRIFT_EFBIG        27
#define VRIFT_ENOSPC       28
#define VRIFT_ESPIPE       29
#define VRIFT_EROFS        30
#define VRIFT_EMLINK       31
#define VRIFT_EPIPE        32
#define VRIFT_EDOM         33
#define VRIFT_ERANGE       34
#define VRIFT_EDEADLK      35
#define VRIFT_ENAMETOOLONG 36
#define VRIFT_ENOLCK       37
#define VRIFT_ENOSYS       38
#define VRIFT_ENOTEMPTY    39
#define VRIFT_ELOOP        40
#define VRIFT_ENODATA      61
#define VRIFT_EOVERFLOW    75
#define VRIFT_EPROTO       71
#define VRIFT_EBADMSG      74
#define VRIFT_EILSEQ       84
#define VRIFT_EUSERS       87
#define VRIFT_EOPNOTSUPP   95
#define VRIFT_ENOBUFS      105
#define VRIFT_ETIMEDOUT    110
#define VRIFT_ECONNREFUSED 111
#define VRIFT_EALREADY     114
#define VRIFT_EINPROGRESS  115
#define VRIFT_ESTALE       116
#define VRIFT_EUCLEAN      117
#define VRIFT_EDQUOT       122
#define VRIFT_ECANCELED    125

/**
 * What went wrong, beyond the number: which operation, on which path, and why. Filled by the calls that work on
 * many files or on a store (import, checkout, commit, verify ...), where the number alone says too little. Never
 * filled for a path call such as vrift_statat(): build tools probe misses by the million.
 */
struct vrift_error_detail {
    int32_t error;      /* the negative number that the call returned; 0: the last such call succeeded */
    int32_t native;     /* the operating system's own number behind it, 0 if none */
    char operation[32]; /* what was being done: "open", "read", "verify" */
    char path[4096];    /* on what; empty if nothing has a name; truncated at its front with "..." if longer */
    char reason[256];   /* why, in words; empty if vrift_err_str(error) says it all */
};

VRIFT_BEGIN_DECLS

/**
 * The symbolic name of an error, without the prefix: "ENOENT".
 *
 * @param error the number, negative or positive
 * @return a constant string; "EUNKNOWN" for a number that libvrift does not know.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API const char *vrift_err_name(int64_t error);

/**
 * An error in a few words of English: "no such file or directory".
 *
 * @param error the number, negative or positive
 * @return a constant string.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API const char *vrift_err_str(int64_t error);

/**
 * Translates an error to the host's errno, for embedders that report through it.
 *
 * @param error the number, negative or positive
 * @return the host's errno, positive; EIO's where the host has no such error.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_err_to_host_errno(int64_t error);

/**
 * Translates the host's errno to a result of this library, for writers of backends.
 *
 * @param host_errno the value of errno, positive
 * @return -VRIFT_E...; -VRIFT_EIO where libvrift has no such error.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_err_from_host_errno(int32_t host_errno);

/**
 * Copies the record of the calling thread's last call that keeps one (see struct vrift_error_detail).
 *
 * @param[out] out the record
 * @return 0, or -VRIFT_EINVAL if out is NULL.
 * Thread safety: any thread; the record is the thread's own.
 * @since 0.1
 */
VRIFT_API int32_t vrift_error_detail(struct vrift_error_detail *out);

VRIFT_END_DECLS

#endif
