/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* The processes that are the kernel's side's tasks. */
#ifndef VR_DIFF_PROCESS_H
#define VR_DIFF_PROCESS_H

#include "differential/differential.h"

#define DIFF_FIRST_DISK 200 /* descriptors of the detached mounts */

struct diff_process {
    struct diff_shared *shared;
    uint32_t slot, generation;
    struct diff_run run;
};

int64_t diff_process_fork(struct diff_process *process, uint32_t slot);

#endif
