/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "store/crew.h"

#include "core/error.h"

#include <string.h>

#define DEFAULT_LIMIT      8u
#define REPORT_INTERVAL_NS 50000000u

int32_t vr_crew_init(struct vr_crew *crew, uint32_t jobs, struct vrift_error_detail *detail)
{
    memset(crew, 0, sizeof *crew);
    if (!jobs) {
        jobs = vr_os_processors();
        jobs = jobs < DEFAULT_LIMIT ? jobs : DEFAULT_LIMIT;
    }
    crew->limit = jobs < VR_CREW_MAX ? jobs : VR_CREW_MAX;
    crew->detail = detail;
    int32_t result = vr_os_mutex_init(&crew->mutex);
    if (result)
        return result;
    result = vr_os_cond_init(&crew->cond);
    if (result)
        vr_os_mutex_destroy(&crew->mutex);
    return result;
}

void vr_crew_dispose(struct vr_crew *crew)
{
    vr_os_cond_destroy(&crew->cond);
    vr_os_mutex_destroy(&crew->mutex);
}

/* -- Working ------------------------------------------------------------------------------------------------------ */

/* Takes jobs until the crew is done. */
static void work(struct vr_crew *crew)
{
    vr_os_mutex_lock(&crew->mutex);
    for (;;) {
        while (!crew->stack && !crew->over) {
            if (!crew->active) {
                crew->over = 1;
                vr_os_cond_broadcast(&crew->cond);
                break;
            }
            crew->idle++;
            vr_os_cond_wait(&crew->cond, &crew->mutex);
            crew->idle--;
        }
        if (!crew->stack)
            break;
        struct vr_crew_job *job = crew->stack;
        crew->stack = job->next;
        crew->waiting--;
        crew->active++;
        vr_os_mutex_unlock(&crew->mutex);
        crew->run(crew, job);
        vr_os_mutex_lock(&crew->mutex);
        crew->active--;
    }
    vr_os_mutex_unlock(&crew->mutex);
}

static void *work_thread(void *payload)
{
    work(payload);
    return NULL;
}

void vr_crew_push(struct vr_crew *crew, struct vr_crew_job *job)
{
    vr_os_mutex_lock(&crew->mutex);
    job->next = crew->stack;
    crew->stack = job;
    crew->waiting++;
    if (crew->idle)
        vr_os_cond_signal(&crew->cond);
    if (crew->active && crew->waiting > crew->idle && crew->started + 1 < crew->limit &&
        vr_os_thread_start(&crew->threads[crew->started], work_thread, crew) == 0)
        crew->started++; /* without a thread those that are there do the work */
    vr_os_mutex_unlock(&crew->mutex);
}

int32_t vr_crew_work(struct vr_crew *crew)
{
    work(crew);
    /* No thread starts another any more: the stack is empty and nobody runs a job. */
    for (uint32_t i = 0; i < crew->started; i++)
        vr_os_thread_join(crew->threads[i]);
    crew->started = 0;
    crew->over = 0;
    return crew->result;
}

/* -- Failing and reporting ---------------------------------------------------------------------------------------- */

int32_t vr_crew_fail(struct vr_crew *crew, int32_t error, const char *operation, const char *path, const char *reason)
{
    vr_os_mutex_lock(&crew->mutex);
    if (!crew->result) {
        crew->result = error;
        vr_error_fill(crew->detail, error, operation, path, reason);
        crew->stopped = 1;
    }
    vr_os_mutex_unlock(&crew->mutex);
    return error;
}

int vr_crew_stopped(const struct vr_crew *crew)
{
    return crew->stopped;
}

int32_t vr_crew_report(struct vr_crew *crew)
{
    if (!crew->progress)
        return 0;
    const struct vrift_progress progress = {crew->files, crew->files_total, crew->bytes, crew->bytes_total};
    return crew->progress(&progress, crew->payload);
}

void vr_crew_count(struct vr_crew *crew, uint64_t files, uint64_t bytes)
{
    crew->files += files;
    crew->bytes += bytes;
    if (!crew->progress || vr_os_monotonic_ns() < crew->next_report || crew->reporting++)
        return; /* `reporting` is left counted up; the one who reports puts it back to 0 */
    int32_t result = vr_crew_stopped(crew) ? 0 : vr_crew_report(crew);
    if (result)
        vr_crew_fail(crew, result, "progress", NULL, NULL);
    crew->next_report = vr_os_monotonic_ns() + REPORT_INTERVAL_NS;
    crew->reporting = 0;
}
