/* SPDX-License-Identifier: Apache-2.0 OR MIT */
#include "cli/report.h"

#include <stdio.h>
#include <string.h>

#include <vrift/error.h>

#include "cli/interrupt.h"
#include "cli/output.h"

const char *vr_report_escape(unsigned char byte, char buf[5])
{
    if (byte == '\n' || byte == '\t' || byte == '\\')
        snprintf(buf, 5, "\\%c", byte == '\n' ? 'n' : byte == '\t' ? 't' : '\\');
    else if (byte < 0x20 || byte == 0x7f)
        snprintf(buf, 5, "\\x%02x", byte);
    else
        snprintf(buf, 5, "%c", byte);
    return buf;
}

/* A line is built whole and written at once, so that lines of two processes do not mix. */
struct line {
    char text[6144];
    size_t used;
};

static void add_text(struct line *line, const char *text)
{
    size_t length = strlen(text), room = sizeof line->text - 1 - line->used;
    if (length > room)
        length = room;
    memcpy(line->text + line->used, text, length);
    line->used += length;
}

static void add_escaped(struct line *line, const char *text)
{
    char buf[5];
    for (const char *byte = text; *byte; byte++)
        add_text(line, vr_report_escape((unsigned char)*byte, buf));
}

static void begin(struct line *line, const struct vr_arguments *arguments)
{
    line->used = 0;
    add_text(line, "vrift: ");
    if (arguments->command) {
        add_text(line, arguments->command->name);
        add_text(line, ": ");
    }
}

static void end(struct line *line)
{
    line->text[line->used] = '\n';
    vr_output_flush(); /* what was reported before stays before */
    fwrite(line->text, 1, line->used + 1, stderr);
}

int vr_report_usage(const struct vr_arguments *arguments, const char *argument, const char *why)
{
    struct line line;
    begin(&line, arguments);
    if (argument) {
        add_escaped(&line, argument);
        add_text(&line, ": ");
    }
    add_text(&line, why);
    add_text(&line, "; usage: vrift ");
    add_text(&line, arguments->command ? arguments->command->synopses[0] : "COMMAND ... (see vrift help)");
    end(&line);
    return VR_EXIT_USAGE;
}

int vr_report_failure(const struct vr_arguments *arguments, const char *path, const char *why)
{
    struct line line;
    begin(&line, arguments);
    if (path && *path) {
        add_escaped(&line, path);
        add_text(&line, ": ");
    }
    add_escaped(&line, why);
    end(&line);
    return VR_EXIT_FAILED;
}

/* Errors whose plain text helps even beside a reason in words, "the source cannot be read". */
static bool is_plain(int64_t error)
{
    return error == -VRIFT_ENOENT || error == -VRIFT_EACCES || error == -VRIFT_EPERM || error == -VRIFT_EIO ||
           error == -VRIFT_ENOSPC || error == -VRIFT_EROFS;
}

int vr_report_error(const struct vr_arguments *arguments, const char *path, int64_t error)
{
    int number = vr_interrupt_signal();
    if (number) {
        vr_report_failure(arguments, path, "interrupted");
        return 128 + number;
    }
    struct vrift_error_detail detail;
    const char *text = vrift_err_str(error);
    if (vrift_error_detail(&detail) < 0 || detail.error != error)
        return vr_report_failure(arguments, path, text);
    char why[sizeof detail.reason + 64];
    if (!detail.reason[0])
        snprintf(why, sizeof why, "%s", text);
    else if (is_plain(error) && !strstr(detail.reason, text))
        snprintf(why, sizeof why, "%s: %s", detail.reason, text);
    else
        snprintf(why, sizeof why, "%s", detail.reason);
    return vr_report_failure(arguments, detail.path[0] ? detail.path : path, why);
}

int vr_report_errno(const struct vr_arguments *arguments, const char *path, int number)
{
    return vr_report_failure(arguments, path, vrift_err_str(vrift_err_from_host_errno(number)));
}

int vr_report_not_built(const struct vr_arguments *arguments, const char *what)
{
    return vr_report_failure(arguments, what, "not built yet");
}
