/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "cli/interrupt.h"

#include <signal.h>
#include <stddef.h>
#include <string.h>

static volatile sig_atomic_t caught;

static void note(int number)
{
    caught = number;
}

void vr_interrupt_catch(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction before, action;
        memset(&action, 0, sizeof action);
        action.sa_handler = note;
        action.sa_flags = (int)(SA_RESETHAND | SA_RESTART);
        sigemptyset(&action.sa_mask);
        /* A signal that our parent told us to ignore (nohup, a background job) stays ignored. */
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
}

int vr_interrupt_signal(void)
{
    return caught;
}
