/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * Files in memory. A mapping shows the bytes of an open file at an address; stores through a shared one and reads and
 * writes of the file see each other at once. It holds the open file description, so it outlives close and unlink, and
 * the mount stays busy.
 *
 * What lies behind is memory of the operating system, with its rules: bytes beyond the end of the file read as zeroes
 * up to the end of its last page, and touching a page beyond that raises SIGBUS in the thread that does, also when the
 * file was truncated after it was mapped. A fork of the process shares the memory, but must not call the library.
 */
#ifndef VRIFT_MAP_H
#define VRIFT_MAP_H

#include <vrift/types.h>

typedef struct vrift_mapping vrift_mapping; /* a part of a file in memory */

VRIFT_BEGIN_DECLS

/**
 * Maps a part of an open file, as mmap(2) where the system chooses the address.
 *
 * @param fd a regular file, open for reading; for writing, too, where prot has WRITE and flags SHARED
 * @param offset bytes from the start, whole pages
 * @param length bytes; the mapping is rounded up to whole pages
 * @param prot VRIFT_PROT_...
 * @param flags VRIFT_MAP_SHARED: stores change the file; VRIFT_MAP_PRIVATE: they stay in the mapping
 * @param[out] out the mapping, to be freed with vrift_map_free()
 * @return 0; -VRIFT_EBADF; -VRIFT_EACCES if the file is not open for what is asked; -VRIFT_EPERM to execute on a noexec
 * mount; -VRIFT_ENODEV for what is not a file, or a backend that cannot; -VRIFT_EINVAL for a bad offset, length or
 * flag; -VRIFT_EOVERFLOW; -VRIFT_ENOMEM; -VRIFT_ENOSPC if a limited memory file system could not hold what may be
 * stored, where Linux raises SIGBUS later.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_map(vrift_task *task, int32_t fd, uint64_t offset, uint64_t length, uint64_t prot,
                            uint64_t flags, vrift_mapping **out);

/**
 * Where the first byte of a mapping is.
 *
 * @param map may be NULL
 * @return the address, of a page; NULL for NULL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API void *vrift_map_address(const vrift_mapping *map);

/**
 * How long a mapping is.
 *
 * @param map may be NULL
 * @return bytes, whole pages; 0 for NULL.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API uint64_t vrift_map_length(const vrift_mapping *map);

/**
 * Makes what was stored through a shared mapping known to the file's attributes and brings it to stable storage, as
 * msync(2). Reads of the file see it without that.
 *
 * @param offset,length bytes within the mapping; offset is that of a page
 * @param flags VRIFT_MS_SYNC, or VRIFT_MS_ASYNC, which does not wait for the storage; VRIFT_MS_INVALIDATE changes
 * nothing
 * @return 0; -VRIFT_EINVAL for a bad offset or flag; -VRIFT_ENOMEM beyond the mapping; -VRIFT_EIO, -VRIFT_ENOSPC.
 * Thread safety: any thread.
 * @since 0.1
 */
VRIFT_API int32_t vrift_map_sync(vrift_mapping *map, uint64_t offset, uint64_t length, uint64_t flags);

/**
 * Unmaps, as munmap(2). The file's attributes tell of what was stored.
 *
 * @param map may be NULL
 * Thread safety: no other thread may use the mapping.
 * @since 0.1
 */
VRIFT_API void vrift_map_free(vrift_mapping *map);

VRIFT_END_DECLS

#endif
