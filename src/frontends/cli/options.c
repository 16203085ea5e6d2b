/* SPDX-License-Identifier: Apache-2.0 OR MIT */
/*
 * The option parser. Long options take their value after '=' or as the next argument, short ones may be joined
 * (-lR), "--" ends them. Options and operands may come in any order, but for commands that run another program.
 */
#include "cli/options.h"

#include <string.h>

#include <vrift/store.h>

#include "cli/report.h"

const struct vr_option vr_options_of_all[] = {
    {"store", 0, "DIR", "the store; else $VRIFT_STORE, else $XDG_CACHE_HOME/vrift, else ~/.cache/vrift"},
    {"json", 0, NULL, "report as JSON"},
    {"verbose", 'v', NULL, "say more on standard error"},
    {"help", 'h', NULL, "show this text"},
    {NULL, 0, NULL, NULL},
};
enum { STORE, JSON, VERBOSE, HELP };

/* The option whose long name is the first `length` bytes of text; -1 if there is none. */
static int find_long(const struct vr_option *known, const char *text, size_t length)
{
    for (int i = 0; known && known[i].name; i++)
        if (strlen(known[i].name) == length && memcmp(known[i].name, text, length) == 0)
            return i;
    return -1;
}

static int find_short(const struct vr_option *known, char letter)
{
    for (int i = 0; known && known[i].name; i++)
        if (known[i].letter == letter)
            return i;
    return -1;
}

static void take_common(struct vr_arguments *arguments, int option, const char *value)
{
    switch (option) {
    case STORE:
        arguments->store = value;
        break;
    case JSON:
        arguments->json = true;
        break;
    case VERBOSE:
        arguments->verbose = true;
        break;
    default:
        arguments->help = true;
    }
}

/* Reads "--name", "--name=value" or "--name value" at argv[*at] by one table. */
static int take_long(struct vr_arguments *arguments, const struct vr_option *known, bool common, char **argv, int *at)
{
    const char *text = argv[*at] + 2;
    const char *equals = strchr(text, '=');
    int option = find_long(known, text, equals ? (size_t)(equals - text) : strlen(text));
    if (option < 0)
        return VR_OPTION_WORD;

    const char *value = "";
    if (known[option].value) {
        value = equals ? equals + 1 : argv[*at + 1];
        if (!value || !*value)
            return vr_report_usage(arguments, argv[*at], "needs a value");
        if (!equals)
            ++*at;
    } else if (equals) {
        return vr_report_usage(arguments, argv[*at], "takes no value");
    }
    ++*at;
    if (common)
        take_common(arguments, option, value);
    else
        arguments->values[option] = value;
    return 0;
}

/* Reads the joined short options of argv[*at]. */
static int take_short(struct vr_arguments *arguments, const struct vr_option *known, char **argv, int *at)
{
    const char *word = argv[*at];
    for (const char *letter = word + 1; *letter; letter++) {
        int option = find_short(known, *letter);
        bool common = option < 0;
        const struct vr_option *table = common ? vr_options_of_all : known;
        if (common)
            option = find_short(vr_options_of_all, *letter);
        if (option < 0)
            return vr_report_usage(arguments, word, "unknown option");

        const char *value = "";
        if (table[option].value) {
            value = letter[1] ? letter + 1 : argv[*at + 1];
            if (!value || !*value)
                return vr_report_usage(arguments, word, "needs a value");
            if (!letter[1])
                ++*at;
        }
        if (common)
            take_common(arguments, option, value);
        else
            arguments->values[option] = value;
        if (table[option].value)
            break; /* the rest of the word was the value */
    }
    ++*at;
    return 0;
}

int vr_options_common(struct vr_arguments *arguments, char **argv, int *at)
{
    const char *word = argv[*at];
    if (strncmp(word, "--", 2) == 0 && word[2]) {
        int result = take_long(arguments, vr_options_of_all, true, argv, at);
        return result == VR_OPTION_WORD ? vr_report_usage(arguments, word, "unknown option") : result;
    }
    if (word[0] == '-' && word[1] && word[1] != '-')
        return take_short(arguments, NULL, argv, at);
    return VR_OPTION_WORD;
}

static int take_option(struct vr_arguments *arguments, char **argv, int *at)
{
    const struct vr_option *known = arguments->command->options;
    if (argv[*at][1] != '-')
        return take_short(arguments, known, argv, at);
    int result = take_long(arguments, known, false, argv, at);
    if (result == VR_OPTION_WORD)
        result = take_long(arguments, vr_options_of_all, true, argv, at);
    return result == VR_OPTION_WORD ? vr_report_usage(arguments, argv[*at], "unknown option") : result;
}

int vr_options_parse(struct vr_arguments *arguments, char **argv)
{
    const struct vr_command *command = arguments->command;
    bool only_operands = false;
    int kept = 0, at = 0;
    while (argv[at]) {
        const char *word = argv[at];
        if (only_operands || word[0] != '-' || !word[1]) {
            only_operands = only_operands || (command->flags & VR_COMMAND_STOP_AT_OPERAND) != 0;
            argv[kept++] = argv[at++];
        } else if (strcmp(word, "--") == 0) {
            only_operands = true;
            at++;
        } else {
            int result = take_option(arguments, argv, &at);
            if (result)
                return result;
        }
    }
    argv[kept] = NULL;
    arguments->operands = argv;
    arguments->operand_count = kept;
    if (arguments->help)
        return 0;
    if (arguments->json && (command->flags & VR_COMMAND_NO_JSON))
        return vr_report_usage(arguments, "--json", "this command reports nothing");
    if (kept < command->min_operands)
        return vr_report_usage(arguments, NULL, "an argument is missing");
    if (command->max_operands >= 0 && kept > command->max_operands)
        return vr_report_usage(arguments, argv[command->max_operands], "one argument too many");
    return 0;
}

const char *vr_options_value(const struct vr_arguments *arguments, int option)
{
    return arguments->values[option];
}

int vr_options_jobs(const struct vr_arguments *arguments, int option, uint32_t *out)
{
    const char *text = arguments->values[option];
    uint32_t jobs = 0;
    if (!text) {
        *out = 0;
        return 0;
    }
    for (const char *digit = text; *digit; digit++) {
        if (*digit < '0' || *digit > '9' || (jobs = jobs * 10 + (uint32_t)(*digit - '0')) > 1024)
            return vr_report_usage(arguments, text, "not a number of jobs from 1 to 1024");
    }
    if (jobs == 0)
        return vr_report_usage(arguments, text, "not a number of jobs from 1 to 1024");
    *out = jobs;
    return 0;
}

int vr_options_link(const struct vr_arguments *arguments, int option, uint32_t *out)
{
    static const struct {
        const char *name;
        uint32_t link;
    } rungs[] = {
        {"smart", VRIFT_LINK_SMART},
        {"reflink", VRIFT_LINK_REFLINK},
        {"hardlink", VRIFT_LINK_HARDLINK},
        {"copy", VRIFT_LINK_COPY},
    };
    const char *text = arguments->values[option];
    if (!text) {
        *out = VRIFT_LINK_SMART;
        return 0;
    }
    for (size_t i = 0; i < sizeof rungs / sizeof rungs[0]; i++) {
        if (strcmp(text, rungs[i].name) == 0) {
            *out = rungs[i].link;
            return 0;
        }
    }
    return vr_report_usage(arguments, text, "not one of smart, reflink, hardlink, copy");
}
