/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The seam to the operating system for what is not a file: threads, locks, time, randomness, mappings. */
#ifndef VR_OS_H
#define VR_OS_H

#include <vrift/backend.h>
#include <vrift/types.h>

#include <pthread.h>
#include <string.h>

typedef pthread_mutex_t vr_os_mutex;
typedef pthread_rwlock_t vr_os_rwlock;
typedef pthread_cond_t vr_os_cond;
typedef pthread_t vr_os_thread;

#define VR_OS_MUTEX_INIT PTHREAD_MUTEX_INITIALIZER

/* 0 or -VRIFT_ENOMEM; the others cannot fail on a lock that was initialised. */
int32_t vr_os_mutex_init(vr_os_mutex *mutex);
void vr_os_mutex_destroy(vr_os_mutex *mutex);
void vr_os_mutex_lock(vr_os_mutex *mutex);
void vr_os_mutex_unlock(vr_os_mutex *mutex);

int32_t vr_os_rwlock_init(vr_os_rwlock *lock);
void vr_os_rwlock_destroy(vr_os_rwlock *lock);
void vr_os_rwlock_read(vr_os_rwlock *lock);
void vr_os_rwlock_write(vr_os_rwlock *lock);
void vr_os_rwlock_unlock(vr_os_rwlock *lock);

int32_t vr_os_cond_init(vr_os_cond *cond);
void vr_os_cond_destroy(vr_os_cond *cond);
void vr_os_cond_wait(vr_os_cond *cond, vr_os_mutex *mutex);
/* Until signalled, or vr_os_monotonic_ns() reaches the deadline, or for no reason. */
void vr_os_cond_wait_until(vr_os_cond *cond, vr_os_mutex *mutex, uint64_t deadline_ns);
void vr_os_cond_signal(vr_os_cond *cond);
void vr_os_cond_broadcast(vr_os_cond *cond);

/* 0 or -VRIFT_EAGAIN. The thread starts with all signals blocked: a library has no business with them. */
int32_t vr_os_thread_start(vr_os_thread *thread, void *(*run)(void *payload), void *payload);
void vr_os_thread_join(vr_os_thread thread);

/*
 * Zeroes a small struct whose size is a constant of at most 256, in pieces that compilers turn into a few stores: for the
 * whole they take a string instruction, which costs as much as looking a name up.
 */
static inline void vr_os_clear(void *memory, size_t size)
{
    unsigned char *at = memory;
    size_t first = size < 64 ? size : 64, second = size < 128 ? size - first : 64;
    size_t third = size < 192 ? size - first - second : 64;
    memset(at, 0, first);
    memset(at + first, 0, second);
    memset(at + first + second, 0, third);
    memset(at + first + second + third, 0, size - first - second - third);
}

/* A hint that memory is about to be read; any address is fine. */
static inline void vr_os_prefetch(const void *address)
{
#if defined(__GNUC__)
    __builtin_prefetch(address);
#else
    (void)address;
#endif
}

/* The number of the highest bit set; value is not 0. */
static inline uint32_t vr_os_log2(uint32_t value)
{
#if defined(__GNUC__)
    return 31u - (uint32_t)__builtin_clz(value);
#else
    uint32_t bit = 0;
    while (value >>= 1)
        bit++;
    return bit;
#endif
}

/* Processors this process may use, at least 1. */
uint32_t vr_os_processors(void);

/* Nanoseconds that never go back. */
uint64_t vr_os_monotonic_ns(void);

/* The clock that stamps files: on Linux the coarse one, so that no stamp of ours is later than the kernel's next. */
void vr_os_file_time(struct vrift_timespec *out);

/* The same clock as exactly as it can be read, which takes longer. */
void vr_os_precise_time(struct vrift_timespec *out);

/* Cryptographic randomness; 0 or -VRIFT_EIO. */
int32_t vr_os_random(void *buf, size_t len);

/* Maps a whole file, or its first len bytes, read-only; NULL if that fails or len is 0. */
const void *vr_os_map(int fd, size_t len);
void vr_os_unmap(const void *address, size_t len);

/* Bytes of a page of memory, and how many there are. */
uint64_t vr_os_page_size(void);
uint64_t vr_os_memory_pages(void);

/*
 * Maps a range of a descriptor as a backend was asked to; -VRIFT_EACCES, -VRIFT_ENODEV, -VRIFT_ENOMEM and so on. The
 * descriptor may be closed afterwards.
 */
int32_t vr_os_map_range(int fd, const struct vrift_map_range *range, void **address);

/* msync(2): VRIFT_MS_... */
int32_t vr_os_map_sync(void *address, size_t len, uint64_t flags);

/* Lets the next store to each page of a shared mapping be noticed: the time of its file's last change tells of it. */
void vr_os_map_watch(void *address, size_t len);

/* -- Memory that can be mapped: a nameless file. memory.c ---------------------------------------------------------- */

/* The descriptor, or -VRIFT_ENFILE, -VRIFT_EMFILE, -VRIFT_ENOMEM. */
int32_t vr_os_memory_new(void);
void vr_os_memory_close(int fd);
int32_t vr_os_memory_resize(int fd, uint64_t size);

/* Reads zeroes past the end. Writing makes it longer; -VRIFT_ENOMEM when memory runs out. */
void vr_os_memory_read(int fd, void *buf, size_t len, uint64_t offset);
int32_t vr_os_memory_write(int fd, const void *buf, size_t len, uint64_t offset);

/* Takes memory for a range, or gives it back, the size staying as it is. */
int32_t vr_os_memory_allocate(int fd, uint64_t offset, uint64_t len);
void vr_os_memory_punch(int fd, uint64_t offset, uint64_t len);

/* The first byte at or after offset that is data (want_data) or a hole; UINT64_MAX: none. */
uint64_t vr_os_memory_seek(int fd, uint64_t offset, int want_data);

/* How much memory it takes, and when it was last changed, by calls or by stores to mappings. */
void vr_os_memory_stat(int fd, uint64_t *bytes, struct vrift_timespec *mtime);

/* Identity of this boot of the machine, the same in all processes; zeroes if the system has none. */
void vr_os_boot_id(uint8_t out[16]);

#endif
