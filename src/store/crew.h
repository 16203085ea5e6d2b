/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * A crew of threads that works through a stack of jobs, which may push more. Last in, first out, so that a tree is
 * worked through depth first and few directories are open at a time. Threads are started as work appears.
 */
#ifndef VR_CREW_H
#define VR_CREW_H

#include "platform/os.h"

#include <vrift/error.h>
#include <vrift/store.h>

#define VR_CREW_MAX 64u

struct vr_crew_job {
    struct vr_crew_job *next; /* under the crew's mutex while it waits */
};

struct vr_crew {
    vr_os_mutex mutex;
    vr_os_cond cond;
    struct vr_crew_job *stack; /* mutex */
    uint32_t limit;            /* threads, the caller's included */
    uint32_t started;          /* mutex; without the caller's */
    uint32_t waiting;          /* mutex; jobs on the stack */
    uint32_t idle;             /* mutex; threads without a job */
    uint32_t active;           /* mutex; running one */
    int over;                  /* mutex; all is done */
    vr_os_thread threads[VR_CREW_MAX];
    /* Called once for each job, which it owns then; also after a failure, to free it: see vr_crew_stopped(). */
    void (*run)(struct vr_crew *crew, struct vr_crew_job *job);

    _Atomic int stopped;
    int32_t result;                    /* mutex; the first failure */
    struct vrift_error_detail *detail; /* mutex; of that failure */

    vrift_progress_fn progress; /* may be NULL */
    void *payload;
    _Atomic uint64_t files, bytes; /* done */
    uint64_t files_total, bytes_total;
    _Atomic uint64_t next_report; /* monotonic time; the report before has come back when it is passed */
    _Atomic int reporting;
};

/* jobs 0 means as many as there are processors, at most 8. detail is the operation's. 0 or -VRIFT_ENOMEM. */
int32_t vr_crew_init(struct vr_crew *crew, uint32_t jobs, struct vrift_error_detail *detail);
void vr_crew_dispose(struct vr_crew *crew);

void vr_crew_push(struct vr_crew *crew, struct vr_crew_job *job);

/* Works until no job is left; the first failure or 0. */
int32_t vr_crew_work(struct vr_crew *crew);

/* Records a failure unless there was one, and stops all work. Returns error. detail's texts may be NULL. */
int32_t vr_crew_fail(struct vr_crew *crew, int32_t error, const char *operation, const char *path, const char *reason);
int vr_crew_stopped(const struct vr_crew *crew);

/* Counts what is done, and reports progress when it is time to. */
void vr_crew_count(struct vr_crew *crew, uint64_t files, uint64_t bytes);

/* Reports progress now; not while others work. What the callback returned. */
int32_t vr_crew_report(struct vr_crew *crew);

#endif
