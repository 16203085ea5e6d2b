/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "platform/os.h"

#include <vrift/error.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* -- Locks -------------------------------------------------------------------------------------------------------- */

int32_t vr_os_mutex_init(vr_os_mutex *mutex)
{
    return pthread_mutex_init(mutex, NULL) ? -VRIFT_ENOMEM : 0;
}

void vr_os_mutex_destroy(vr_os_mutex *mutex)
{
    pthread_mutex_destroy(mutex);
}

void vr_os_mutex_lock(vr_os_mutex *mutex)
{
    pthread_mutex_lock(mutex);
}

void vr_os_mutex_unlock(vr_os_mutex *mutex)
{
    pthread_mutex_unlock(mutex);
}

int32_t vr_os_rwlock_init(vr_os_rwlock *lock)
{
    return pthread_rwlock_init(lock, NULL) ? -VRIFT_ENOMEM : 0;
}

void vr_os_rwlock_destroy(vr_os_rwlock *lock)
{
    pthread_rwlock_destroy(lock);
}

void vr_os_rwlock_read(vr_os_rwlock *lock)
{
    pthread_rwlock_rdlock(lock);
}

void vr_os_rwlock_write(vr_os_rwlock *lock)
{
    pthread_rwlock_wrlock(lock);
}

void vr_os_rwlock_unlock(vr_os_rwlock *lock)
{
    pthread_rwlock_unlock(lock);
}

int32_t vr_os_cond_init(vr_os_cond *cond)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr))
        return -VRIFT_ENOMEM;
    /* Deadlines must not move when somebody sets the clock. */
    int error = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (!error)
        error = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return error ? -VRIFT_ENOMEM : 0;
}

void vr_os_cond_destroy(vr_os_cond *cond)
{
    pthread_cond_destroy(cond);
}

void vr_os_cond_wait(vr_os_cond *cond, vr_os_mutex *mutex)
{
    pthread_cond_wait(cond, mutex);
}

void vr_os_cond_wait_until(vr_os_cond *cond, vr_os_mutex *mutex, uint64_t deadline_ns)
{
    struct timespec until = {(time_t)(deadline_ns / 1000000000u), (long)(deadline_ns % 1000000000u)};
    pthread_cond_timedwait(cond, mutex, &until);
}

void vr_os_cond_signal(vr_os_cond *cond)
{
    pthread_cond_signal(cond);
}

void vr_os_cond_broadcast(vr_os_cond *cond)
{
    pthread_cond_broadcast(cond);
}

/* -- Threads ------------------------------------------------------------------------------------------------------ */

int32_t vr_os_thread_start(vr_os_thread *thread, void *(*run)(void *payload), void *payload)
{
    /* What a thread's own instruction raises cannot be left to another thread, and blocking it would hide the handler
       of an embedder that has one (language runtimes do). */
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        sigdelset(&blocked, own[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int failed = pthread_create(thread, NULL, run, payload);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? -VRIFT_EAGAIN : 0;
}

void vr_os_thread_join(vr_os_thread thread)
{
    pthread_join(thread, NULL);
}

uint32_t vr_os_processors(void)
{
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return (uint32_t)CPU_COUNT(&set);
#endif
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (uint32_t)count : 1;
}

/* -- Time --------------------------------------------------------------------------------------------------------- */

uint64_t vr_os_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void vr_os_file_time(struct vrift_timespec *out)
{
    struct timespec now;
#ifdef __linux__
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
#else
    clock_gettime(CLOCK_REALTIME, &now);
#endif
    *out = (struct vrift_timespec){now.tv_sec, (uint32_t)now.tv_nsec, 0};
}

void vr_os_precise_time(struct vrift_timespec *out)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *out = (struct vrift_timespec){now.tv_sec, (uint32_t)now.tv_nsec, 0};
}

/* -- Randomness, mappings, identity ------------------------------------------------------------------------------- */

static int32_t random_device(char *buf, size_t len)
{
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -VRIFT_EIO;
    while (len) {
        ssize_t n = read(fd, buf, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        buf += n;
        len -= (size_t)n;
    }
    close(fd);
    return len ? -VRIFT_EIO : 0;
}

int32_t vr_os_random(void *buf, size_t len)
{
    char *to = buf;
    while (len) {
        ssize_t n = getrandom(to, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return random_device(to, len);
        to += n;
        len -= (size_t)n;
    }
    return 0;
}

const void *vr_os_map(int fd, size_t len)
{
    if (!len)
        return NULL;
    void *address = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    return address == MAP_FAILED ? NULL : address;
}

void vr_os_unmap(const void *address, size_t len)
{
    union {
        const void *from;
        void *to;
    } cast = {address};
    if (address)
        munmap(cast.to, len);
}

uint64_t vr_os_page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t vr_os_memory_pages(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    return pages > 0 ? (uint64_t)pages : UINT64_MAX;
}

int32_t vr_os_map_range(int fd, const struct vrift_map_range *range, void **address)
{
    int prot = (range->prot & VRIFT_PROT_READ ? PROT_READ : 0) | (range->prot & VRIFT_PROT_WRITE ? PROT_WRITE : 0) |
               (range->prot & VRIFT_PROT_EXEC ? PROT_EXEC : 0);
    int flags = range->flags == VRIFT_MAP_SHARED ? MAP_SHARED : MAP_PRIVATE;
    if (range->length > SIZE_MAX)
        return -VRIFT_ENOMEM;
    void *at = mmap(NULL, (size_t)range->length, prot, flags, fd, (off_t)range->offset);
    if (at == MAP_FAILED)
        return vrift_err_from_host_errno(errno);
    *address = at;
    return 0;
}

int32_t vr_os_map_sync(void *address, size_t len, uint64_t flags)
{
    int how = flags & VRIFT_MS_SYNC ? MS_SYNC : MS_ASYNC;
    return msync(address, len, how) < 0 ? vrift_err_from_host_errno(errno) : 0;
}

void vr_os_map_watch(void *address, size_t len)
{
#ifdef MADV_DONTNEED
    madvise(address, len, MADV_DONTNEED); /* of a shared mapping only the page tables are emptied */
#else
    (void)address;
    (void)len;
#endif
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void vr_os_boot_id(uint8_t out[16])
{
    char text[64] = "";
    memset(out, 0, 16);
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    size_t digits = 0;
    for (ssize_t i = 0; i < length && digits < 32; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0)
            continue; /* the dashes */
        out[digits / 2] = (uint8_t)(out[digits / 2] << 4 | digit);
        digits++;
    }
    if (digits < 32)
        memset(out, 0, 16);
}
