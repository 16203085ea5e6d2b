/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * What every public header needs: visibility, calling convention, and the language rules of the interface.
 *
 * Conventions, valid for every function of libvrift:
 *
 *  - A result of int32_t or int64_t is >= 0 on success and -VRIFT_E... on failure (error.h). Outputs are written
 *    only on success. errno is neither read nor promised.
 *  - Pointers are *borrowed* for the call unless the parameter says *copied* or *taken on success*.
 *  - Every transparent input struct starts with `uint32_t size`, to be set to sizeof(struct). A shorter struct is
 *    extended with zeroes; a longer one must have a zero tail, else -VRIFT_E2BIG; zero in a field means its
 * default;
 *    a size below that of the first release is -VRIFT_EINVAL. A NULL options pointer means all defaults.
 *  - Unknown flag bits are refused with -VRIFT_EINVAL, and so is a NULL object.
 *  - Paths are NUL-terminated bytes separated by '/'; nothing assumes UTF-8.
 *  - Callbacks take `payload` last; a result other than 0 stops the operation and is returned verbatim.
 */
#ifndef VRIFT_COMMON_H
#define VRIFT_COMMON_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define VRIFT_CALLBACK __cdecl
#if defined(VRIFT_BUILD_SHARED)
#define VRIFT_API __declspec(dllexport)
#else
#define VRIFT_API
#endif
#else
#define VRIFT_CALLBACK
#define VRIFT_API __attribute__((visibility("default")))
#endif

#if defined(__cplusplus)
#define VRIFT_BEGIN_DECLS extern "C" {
#define VRIFT_END_DECLS   }
#else
#define VRIFT_BEGIN_DECLS
#define VRIFT_END_DECLS
#endif

#endif
