/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* `vrift help` and the man pages, both made from the table of commands. */
#ifndef VR_HELP_H
#define VR_HELP_H

#include "cli/cli.h"

/* The overview, or one command's text. */
void vr_help_overview(void);
void vr_help_command(const struct vr_command *command);

/* The same in man(7): docs/man/ holds what these print. */
void vr_help_overview_page(void);
void vr_help_command_page(const struct vr_command *command);

#endif
