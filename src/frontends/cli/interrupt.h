/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Ctrl-C during a long operation: the operation is cancelled through its progress callback and cleans up. */
#ifndef VR_INTERRUPT_H
#define VR_INTERRUPT_H

/* From here on SIGINT, SIGTERM and SIGHUP are noted; a second one ends the process at once. */
void vr_interrupt_catch(void);

/* The signal that came, 0: none. */
int vr_interrupt_signal(void);

#endif
