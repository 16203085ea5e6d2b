/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The version of the headers, and of the library that runs. */
#ifndef VRIFT_VERSION_H
#define VRIFT_VERSION_H

#include <vrift/common.h>

#define VRIFT_VERSION_MAJOR  0
#define VRIFT_VERSION_MINOR  1
#define VRIFT_VERSION_PATCH  0
#define VRIFT_VERSION_STRING "0.1.0"

/* One number that grows with every release: major * 1000000 + minor * 1000 + patch. */
#define VRIFT_VERSION_NUMBER (VRIFT_VERSION_MAJOR * 1000000 + VRIFT_VERSION_MINOR * 1000 + VRIFT_VERSION_PATCH)

VRIFT_BEGIN_DECLS

/**
 * The version number of the library at run time, in the form of VRIFT_VERSION_NUMBER.
 *
 * @return the number; never fails.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API uint32_t vrift_version(void);

/**
 * The version of the library at run time as text, such as "0.1.0".
 *
 * @return a constant string.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API const char *vrift_version_string(void);

VRIFT_END_DECLS

#endif
