/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* Takes a command line apart by a command's table. */
#ifndef VR_OPTIONS_H
#define VR_OPTIONS_H

#include "cli/cli.h"

#define VR_OPTION_WORD (-1) /* what vr_options_common() answers for an argument that is not a common option */

/*
 * Reads one option that every command has (--store, --json, --verbose, --help) at argv[*at] and moves *at past it.
 * Answers 0, VR_EXIT_USAGE after a complaint, or VR_OPTION_WORD.
 */
int vr_options_common(struct vr_arguments *arguments, char **argv, int *at);

/* Reads all arguments of arguments->command, whose name is gone from argv. Answers 0 or VR_EXIT_USAGE. */
int vr_options_parse(struct vr_arguments *arguments, char **argv);

/* The value of an option, "" for a flag that was given, NULL if it was not given. */
const char *vr_options_value(const struct vr_arguments *arguments, int option);

/* Reads --jobs: a number from 1 to 1024; 0 where value is NULL. Answers 0 or VR_EXIT_USAGE. */
int vr_options_jobs(const struct vr_arguments *arguments, int option, uint32_t *out);

/* Reads --link. Answers 0 or VR_EXIT_USAGE. */
int vr_options_link(const struct vr_arguments *arguments, int option, uint32_t *out);

/* The options that every command has, for help. */
extern const struct vr_option vr_options_of_all[];

#endif
