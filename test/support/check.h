/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What every test in C includes: cmocka, a check that names both errors, and a skip that says why. */
#ifndef VR_TEST_CHECK_H
#define VR_TEST_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <vrift/error.h>

/* The result must be 0 or a count; prints the error's name if not. */
#define check_ok(expression) check_ok_at((int64_t)(expression), #expression, __FILE__, __LINE__)

/* The result must be this error: check_error(-VRIFT_ENOENT, vrift_statat(...)). */
#define check_error(wanted, expression) check_error_at((wanted), (int64_t)(expression), #expression, __FILE__, __LINE__)

/* Ends the test as skipped; the runner counts it and prints the reason. */
#define skip_because(...)                                                                                              \
    do {                                                                                                               \
        printf("# skip: " __VA_ARGS__);                                                                                \
        printf("\n");                                                                                                  \
        skip();                                                                                                        \
    } while (0)

int64_t check_ok_at(int64_t result, const char *expression, const char *file, int line);
void check_error_at(int64_t wanted, int64_t result, const char *expression, const char *file, int line);

/* A new directory under $TMPDIR or /tmp, removed with remove_temporary_directory(). The string is the caller's. */
char *temporary_directory(void);
void remove_temporary_directory(char *path);

#endif
