/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/* What the parts of the `vrift` command share: the table of commands, parsed arguments, exit statuses. */
#ifndef VR_CLI_H
#define VR_CLI_H

#include <stdbool.h>
#include <stdint.h>

#include <vrift/types.h>

#define VR_EXIT_OK     0
#define VR_EXIT_FAILED 1
#define VR_EXIT_USAGE  2

#define VR_MAX_OPTIONS  12
#define VR_MAX_SYNOPSES 8

/* An option of a command. Its place in the command's table is its number for vr_options_value(). */
struct vr_option {
    const char *name;  /* the long form without dashes; never NULL but at the table's end */
    char letter;       /* the short form, 0: none */
    const char *value; /* what help calls its value; NULL: it takes none */
    const char *help;  /* NULL: not listed */
};

/* The arguments of one call of the program, taken apart. */
struct vr_arguments {
    const struct vr_command *command;
    const char *store; /* --store, else NULL */
    bool json;
    bool verbose;
    bool help;
    const char *values[VR_MAX_OPTIONS]; /* "" for a given option without a value, NULL for one not given */
    char **operands;                    /* NULL-terminated */
    int operand_count;
};

/*
 * One command. From this table come the parser's rules, `vrift help` and the man pages, so that none of them can
 * tell a different story.
 */
struct vr_command {
    const char *name;
    const char *synopses[VR_MAX_SYNOPSES]; /* without "vrift "; the first is shown after wrong usage */
    const char *summary;                   /* one line, no full stop */
    const char *description;               /* paragraphs; a line that starts with two spaces is shown as it is */
    const struct vr_option *options;       /* ends with a NULL name; may be NULL */
    int min_operands;
    int max_operands; /* -1: any number */
    uint32_t flags;   /* VR_COMMAND_... */
    int (*run)(const struct vr_arguments *arguments);
};
#define VR_COMMAND_STOP_AT_OPERAND 1u /* what follows the first operand is all operands: another program's */
#define VR_COMMAND_NO_JSON         2u /* reports nothing, so --json is wrong usage */

extern const struct vr_command vr_cmd_import, vr_cmd_ls, vr_cmd_cat, vr_cmd_stat, vr_cmd_checkout, vr_cmd_diff,
    vr_cmd_refs, vr_cmd_ref, vr_cmd_workspace, vr_cmd_run, vr_cmd_mount, vr_cmd_umount, vr_cmd_caps, vr_cmd_clone,
    vr_cmd_verify, vr_cmd_stats, vr_cmd_version, vr_cmd_help;

/* All commands in the order of help, ending with NULL. */
extern const struct vr_command *const vr_commands[];

/* The command of a name, or NULL. */
const struct vr_command *vr_main_command(const char *name);

#endif
