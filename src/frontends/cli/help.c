/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "cli/help.h"

#include <stdio.h>
#include <string.h>

#include <vrift/version.h>

#include "cli/options.h"
#include "cli/output.h"

#define PAGE_DATE "2026-11-20"

static const char overview[] =
    "vrift keeps trees of files in a content-addressed store: each content once, each tree\n"
    "under one id. A tree comes back with every byte, mode and nanosecond it went in with, in\n"
    "an instant, and a workspace lets compilers work on one without changing it.\n";

static const char overview_notes[] =
    "SNAP is a snapshot's id of 64 hex digits, a unique prefix of at least 4, or a ref. In\n"
    "SNAP:PATH everything after the first ':' is the path.\n"
    "\n"
    "--json writes names as JSON strings; a byte that is not UTF-8 is written as the lone\n"
    "surrogate \\udcNN, as Python's surrogateescape does. Times are {\"sec\", \"nsec\"}, modes\n"
    "are octal strings, digests are 64 hex digits.\n";

static const char statuses[] =
    "0 on success; 1 if it failed, with one line `vrift: WHAT: PATH: WHY` on standard error; 2\n"
    "for wrong usage; 128 + N after signal N. vrift run answers with its command's status.\n";

static void option_words(const struct vr_option *option, char *buf, size_t size)
{
    char letter[5] = "";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(buf, size, "%s--%s%s%s", letter, option->name, option->value ? " " : "",
             option->value ? option->value : "");
}

static void list_options(const struct vr_option *options)
{
    char words[64];
    for (; options && options->name; options++) {
        if (!options->help)
            continue;
        option_words(options, words, sizeof words);
        vr_output_format("  %-22s %s\n", words, options->help);
    }
}

void vr_help_overview(void)
{
    vr_output_text("usage: vrift [--store DIR] [--json] COMMAND ...\n\n");
    vr_output_text(overview);
    vr_output_text("\n");
    for (const struct vr_command *const *command = vr_commands; *command; command++)
        vr_output_format("  %-10s %s\n", (*command)->name, (*command)->summary);
    vr_output_text("\nEvery command takes:\n");
    list_options(vr_options_of_all);
    vr_output_text("\n");
    vr_output_text(overview_notes);
    vr_output_text("\nExit status: ");
    vr_output_text(statuses);
}

void vr_help_command(const struct vr_command *command)
{
    for (int i = 0; i < VR_MAX_SYNOPSES && command->synopses[i]; i++)
        vr_output_format("%s vrift %s\n", i ? "      " : "usage:", command->synopses[i]);
    vr_output_format("\nvrift %s: %s\n\n", command->name, command->summary);
    vr_output_text(command->description);
    vr_output_text("\n");
    list_options(command->options);
    list_options(vr_options_of_all);
}

/* Writes text for man(7): what would be a request or an escape is disarmed, and '-' stays a plain hyphen-minus. */
static void page_text(const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            vr_output_text("\\&");
        line_start = *text == '\n';
        if (*text == '\\')
            vr_output_text("\\e");
        else if (*text == '-')
            vr_output_text("\\-");
        else if (*text == '`')
            vr_output_text("\\(ga");
        else if (*text == '\'')
            vr_output_text("\\(aq");
        else if (*text == '~')
            vr_output_text("\\(ti");
        else if (*text == '^')
            vr_output_text("\\(ha");
        else
            vr_output_bytes(text, 1);
    }
}

/* Writes paragraphs: an empty line parts them, lines that start with two spaces are kept as they are. */
static void page_paragraphs(const char *text)
{
    bool literal = false, parted = false;
    while (*text) {
        size_t length = strcspn(text, "\n");
        char line[256];
        snprintf(line, sizeof line, "%.*s\n", (int)length, text);
        text += length + (text[length] == '\n');
        bool now_literal = strncmp(line, "  ", 2) == 0;
        if (literal && !now_literal)
            vr_output_text(".fi\n.RE\n");
        if (length == 0) {
            parted = true;
            literal = false;
            continue;
        }
        if (!literal && now_literal)
            vr_output_text(parted ? ".PP\n.RS 4\n.nf\n" : ".RS 4\n.nf\n");
        else if (parted)
            vr_output_text(".PP\n");
        page_text(now_literal ? line + 2 : line);
        literal = now_literal;
        parted = false;
    }
    if (literal)
        vr_output_text(".fi\n.RE\n");
}

static void page_options(const struct vr_option *options)
{
    char words[64];
    for (; options && options->name; options++) {
        if (!options->help)
            continue;
        option_words(options, words, sizeof words);
        vr_output_text(".TP\n.B ");
        page_text(words);
        vr_output_text("\n");
        page_text(options->help);
        vr_output_text("\n");
    }
}

static void page_head(const char *title, const char *name, const char *summary)
{
    vr_output_text(".\\\" SPDX-License-Identifier: Apache-2.0 OR MIT\n");
    vr_output_text(".\\\" Printed by `vrift help --man`; the text lives in src/frontends/cli.\n");
    vr_output_format(".TH %s 1 \"%s\" \"vrift %s\" \"vrift manual\"\n.SH NAME\n", title, PAGE_DATE,
                     VRIFT_VERSION_STRING);
    page_text(name);
    vr_output_text(" \\- ");
    page_text(summary);
    vr_output_text("\n.SH SYNOPSIS\n");
}

void vr_help_overview_page(void)
{
    page_head("VRIFT", "vrift", "store, look into, work on and restore trees of files");
    vr_output_text(".B vrift\n[\\-\\-store DIR] [\\-\\-json] COMMAND ...\n.SH DESCRIPTION\n");
    page_paragraphs(overview);
    vr_output_text(".PP\n");
    page_paragraphs(overview_notes);
    vr_output_text(".SH COMMANDS\nEach has a page of its own.\n");
    for (const struct vr_command *const *command = vr_commands; *command; command++) {
        vr_output_format(".TP\n.BR vrift\\-%s (1)\n", (*command)->name);
        page_text((*command)->summary);
        vr_output_text("\n");
    }
    vr_output_text(".SH OPTIONS\nEvery command takes:\n");
    page_options(vr_options_of_all);
    vr_output_text(".SH EXIT STATUS\n");
    page_paragraphs(statuses);
    vr_output_text(".SH ENVIRONMENT\n.TP\n.B VRIFT_STORE\nthe store, where \\-\\-store is not given\n"
                   ".TP\n.B XDG_CACHE_HOME\nwhere else the store lies, in the directory vrift; "
                   "without it, \\(ti/.cache\n");
}

void vr_help_command_page(const struct vr_command *command)
{
    char title[64], name[64];
    size_t length = (size_t)snprintf(title, sizeof title, "VRIFT-%s", command->name);
    for (size_t i = 0; i < length; i++)
        if (title[i] >= 'a' && title[i] <= 'z')
            title[i] = (char)(title[i] - 'a' + 'A');
    snprintf(name, sizeof name, "vrift-%s", command->name);
    page_head(title, name, command->summary);
    for (int i = 0; i < VR_MAX_SYNOPSES && command->synopses[i]; i++) {
        vr_output_text(i ? ".br\n.B vrift\n" : ".B vrift\n");
        page_text(command->synopses[i]);
        vr_output_text("\n");
    }
    vr_output_text(".SH DESCRIPTION\n");
    page_paragraphs(command->description);
    vr_output_text(".SH OPTIONS\n");
    page_options(command->options);
    page_options(vr_options_of_all);
    vr_output_text(".SH SEE ALSO\n.BR vrift (1)\n");
}
