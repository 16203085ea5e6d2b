/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* A progress bar on a terminal for whatever takes longer than a second; and the way a Ctrl-C gets in. */
#ifndef VR_PROGRESS_H
#define VR_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include <vrift/store.h>

struct vr_progress {
    const char *verb; /* "importing" */
    bool terminal;    /* standard error is one */
    bool drawn;
    uint64_t started_ns;
    uint64_t drawn_ns;
};

/* Starts the clock and catches interrupts. */
void vr_progress_begin(struct vr_progress *progress, const char *verb);

/* The callback; its payload is the struct vr_progress. */
int32_t vr_progress_step(const struct vrift_progress *now, void *payload);

/* Takes the bar away and answers the seconds since the beginning. */
double vr_progress_end(struct vr_progress *progress);

#endif
